"""The pages around the infrastructure: home, signing in, invitations, and the way in."""

from __future__ import annotations

from typing import Any

from django.contrib.auth import login
from django.contrib.auth.decorators import login_required
from django.contrib.auth.forms import AuthenticationForm, SetPasswordForm
from django.contrib.auth.views import LoginView
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.decorators import method_decorator
from django.utils.translation import gettext_lazy as _
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_safe

from infra import accounts, help_pages
from infra.dashboard import presenters, progress
from infra.models import ProvisionState, User
from infra.rls import acting_as
from infra.throttle import login_throttled, throttled
from infra.wizard import drafts, forms, steps


class EmailSignInForm(AuthenticationForm):
    """Django's form, asking for an e-mail address."""

    error_messages = {
        "invalid_login": _("E-mail and password do not belong together. Capitals matter in the password."),
        "inactive": _("This account is closed."),
    }

    def __init__(self, request: HttpRequest | None = None, *args: Any, **kwargs: Any) -> None:
        super().__init__(request, *args, **kwargs)
        self.fields["username"].label = _("E-mail")
        self.fields["username"].error_messages["required"] = _("Type your e-mail address.")
        self.fields["password"].error_messages["required"] = _("Type your password.")
        self.fields["username"].widget.attrs |= {
            "autocomplete": "username",
            "inputmode": "email",
            "spellcheck": "false",
        }
        self.fields["username"].widget.attrs.pop("autofocus", None)


@method_decorator(login_throttled, name="dispatch")
class SignIn(LoginView):
    """Sign in with e-mail and password."""

    authentication_form = EmailSignInForm
    redirect_authenticated_user = True

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Judge the password as the worker: Django may store it anew with a stronger hash."""
        with acting_as("worker"):
            return super().post(request, *args, **kwargs)

    def form_invalid(self, form: AuthenticationForm) -> HttpResponse:
        """Show the form again, with the status that says so."""
        problems = list(forms.problems(form))
        return self.render_to_response(self.get_context_data(form=form, errors=problems, has_errors=True), status=422)


@require_safe
def signed_out(request: HttpRequest) -> HttpResponse:
    """Say that it worked."""
    return render(request, "registration/logged_out.html")


@require_safe
@login_required
def home(request: HttpRequest) -> HttpResponse:
    """The bootcamp's first page, with the way to the infrastructure."""
    student = _person(request)
    return render(request, "home.html", {"home": presenters.home(student, drafts.current(student))})


@require_safe
@never_cache
@login_required
def entry(request: HttpRequest) -> HttpResponse:
    """The way in: wizard, where you left off, payment, progress or dashboard, by state."""
    student = _person(request)
    provision = drafts.current(student)
    if provision is None:
        ended = presenters.last_ended(student)
        if ended is not None:
            return redirect("progress")
        if not presenters.may_order(student):
            return render(request, "account/not_enrolled.html", presenters.not_enrolled(student), status=403)
        return redirect("setup-package")
    if provision.state == ProvisionState.DRAFT:
        if not presenters.may_order(student):
            return render(request, "account/not_enrolled.html", presenters.not_enrolled(student), status=403)
        step = steps.first_incomplete(provision)
        page = presenters.unfinished(
            provision,
            number=steps.number(step, provision),
            of=len(steps.of(provision)),
            href=steps.address(provision, step.key),
            now=timezone.now(),
        )
        return render(request, "account/continue.html", {"draft": page})
    is_up = provision.state in presenters.RUNNING and provision.state not in progress.BUILDING
    return redirect("dashboard" if is_up else "progress")


@sensitive_post_parameters()
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@throttled("write")
def invitation(request: HttpRequest, token: str) -> HttpResponse:
    """Let an invited student set a password, and sign in with it."""
    invited = accounts.invited_by(token)
    if invited is None:
        return render(request, "account/invitation_over.html", status=410)
    form: SetPasswordForm[User] = SetPasswordForm(invited, request.POST or None)
    form.fields["new_password1"].error_messages["required"] = _("Choose a password.")
    form.fields["new_password2"].error_messages["required"] = _("Type the password a second time.")
    if request.method == "POST" and form.is_valid():
        invited.set_password(form.cleaned_data["new_password1"])
        with acting_as("worker"):  # nobody has signed in yet, and nobody may write passwords
            invited.save(update_fields=["password"])
        login(request, invited, backend="django.contrib.auth.backends.ModelBackend")
        return redirect("infrastructure")
    problems = list(forms.problems(form)) if request.method == "POST" else []
    context = {"form": form, "email": invited.email, "errors": problems, "has_errors": bool(problems)}
    return render(request, "account/invitation.html", context, status=422 if problems else 200)


def _person(request: HttpRequest) -> User:
    assert isinstance(request.user, User)
    return request.user


@require_safe
def help_index(request: HttpRequest) -> HttpResponse:
    """List the help pages. For everybody: letters lead here, too."""
    return render(request, "help/index.html", {"pages": help_pages.PAGES})


@require_safe
def help_page(request: HttpRequest, slug: str) -> HttpResponse:
    """Show one help page. Raises Http404 for one that does not exist."""
    page = help_pages.PAGES.get(slug)
    if page is None:
        raise Http404
    return render(request, "help/page.html", {"page": page})
