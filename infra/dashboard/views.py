"""Progress, the choice of another name, the dashboard, and the one look at a password."""

from __future__ import annotations

import uuid

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from billing import actions as billing
from infra import clock, icalendar, naming, rls, warmup
from infra.estate.exports import as_csv
from infra.estate.views import file_of
from infra.models import Credential, CredentialReveal, Domain, Mail, Mailbox, Provision, ProvisionState, User
from infra.presenters_base import Problem, said
from infra.throttle import allow, client_address, refusal, throttled
from infra.wizard import drafts, names, own
from infra.wizard import forms as wizard_forms
from provisioning import actions
from provisioning import mail_tests as testing
from provisioning.engine import doorbell
from provisioning.steps.workspace import registering

from . import batches, billing_notices, board, calendar, mail_tests, presenters, tasks
from .forms import PasswordForm, ReplacementForm
from .progress import ProgressPage, Refusal, replacement_names, terms_version
from .progress import progress as progress_page

CHECK_AGAIN = 25  # seconds between two "Check now" of one person


def _person(request: HttpRequest) -> User:
    assert isinstance(request.user, User)
    return request.user


def _ordered(student: User) -> Provision | None:
    """Return what the progress page is about: the live order, else the last one that ended; never a draft."""
    provision = drafts.current(student) or presenters.last_ended(student)
    return provision if provision and provision.state != ProvisionState.DRAFT else None


@require_safe
@never_cache
@login_required
def progress(request: HttpRequest) -> HttpResponse:
    """Where the order stands."""
    provision = _ordered(_person(request))
    if provision is None:
        return redirect("infrastructure")
    return _show_progress(request, provision)


def _show_progress(request: HttpRequest, provision: Provision, *, refused: Refusal | None = None) -> HttpResponse:
    page = progress_page(_person(request), provision, now=timezone.now(), refused=refused)
    if page.choices:
        names.ask(provision, replacement_names(provision))
    problems = [Problem(refused.sentence, _field_of(refused, page))] if refused else []
    context = {"page": page, "errors": problems, "has_errors": bool(problems), "page_narrow": True}
    return render(request, "progress/progress.html", context, status=422 if problems else 200)


def _field_of(refused: Refusal, page: ProgressPage) -> str:
    """Return the anchor of the field that the refused answer came from."""
    choice = next((one for one in page.choices if one.id == refused.domain), None)
    if choice is None:
        return ""
    return f"#{choice.options[0].id}" if choice.options and not refused.of_own else f"#wanted-{choice.id}"


@require_safe
@never_cache
@login_required
@throttled("status", reads=True)
def progress_state(request: HttpRequest) -> HttpResponse:
    """The page's changing part, asked for while it is open: 204 as long as it would look the same."""
    provision = _ordered(_person(request))
    if provision is None:
        return HttpResponse(status=204)
    page = progress_page(_person(request), provision, now=timezone.now())
    if request.GET.get("version") == page.version:
        return HttpResponse(status=204)
    return render(request, "progress/_progress.html", {"page": page})


@require_POST
@login_required
@throttled("write")
def check_now(request: HttpRequest) -> HttpResponse:
    """Look again at once, at most every 25 seconds."""
    provision = _ordered(_person(request))
    now = timezone.now().timestamp()
    if provision is not None and now - float(request.session.get("checked_at", 0)) >= CHECK_AGAIN:
        request.session["checked_at"] = now
        with rls.acting_as("worker"):
            actions.check_now(provision=provision, actor=_person(request))
    return redirect("progress")


@require_POST
@login_required
@throttled("write")
def change_order(request: HttpRequest) -> HttpResponse:
    """Close the payment page that is still open, and go back to the review."""
    provision = drafts.current(_person(request))
    if provision is None or provision.state != ProvisionState.PENDING_PAYMENT:
        return redirect("infrastructure")
    try:
        billing.abandon_checkout(provision=provision, actor=_person(request))
    except billing.CheckoutRefused as refusal:
        messages.warning(request, str(refusal), extra_tags="attention")
        return redirect("progress")
    provision.refresh_from_db()
    return redirect("setup-review" if provision.state == ProvisionState.DRAFT else "progress")


@require_POST
@login_required
@throttled("write")
def replacement(request: HttpRequest) -> HttpResponse:
    """Answer the question which name replaces a lost one: this one, none, or "first check a name of mine"."""
    student = _person(request)
    provision = _ordered(student)
    form = ReplacementForm(request.POST)
    if provision is None or not form.is_valid():
        raise Http404
    domain = get_object_or_404(Domain, pk=form.cleaned_data["domain"], provision=provision)
    action, typed = form.cleaned_data["action"], form.cleaned_data["name"]
    if action in ("check", "own"):
        typed = form.cleaned_data["wanted"]
    try:
        if action == "drop":
            with rls.acting_as("worker"):
                actions.drop_domain(provision=provision, domain=domain, actor=student.email)
            messages.success(request, _("We go on without %(name)s.") % {"name": domain.name}, extra_tags="done")
        elif action == "stop":
            with rls.acting_as("worker"):
                actions.let_stop(provision=provision, domain=domain, actor=student.email)
            said_so = _("Noted. The name servers of %(name)s appear here in a moment.")
            messages.success(request, said_so % {"name": domain.name}, extra_tags="done")
        elif action == "again":
            _register_again(request, provision, domain)
        elif action == "mine":
            with rls.acting_as("worker"):
                actions.registered_by_hand(provision=provision, domain=domain, actor=student.email)
            said_so = _("Noted: %(name)s is yours. We go on with it.")
            messages.success(request, said_so % {"name": domain.name}, extra_tags="done")
        elif action == "own":
            _replace_with_own(request, provision, domain, typed)
        elif action == "check":
            _check_name(request, provision, typed)
        else:
            _replace(request, provision, domain, typed)
    except naming.NameRefused as refusal:
        sentence = said(refusal.sentence)
    except actions.Refused as refusal:
        sentence = str(refusal)
    else:
        return redirect("progress")
    refused = Refusal(str(domain.pk), typed, sentence, of_own=action in ("check", "own"))
    return _show_progress(request, provision, refused=refused)


def _check_name(request: HttpRequest, provision: Provision, typed: str) -> None:
    name = naming.parse_domain(typed, sold=drafts.sold_endings(provision), main_domain=provision.main_domain).name
    drafts.add_searched(provision, name=name)
    if refused := names.ask(provision, [name]):
        raise actions.Refused(refused)
    messages.info(request, _("We are checking %(name)s.") % {"name": name}, extra_tags="busy")


def _replace(request: HttpRequest, provision: Provision, domain: Domain, typed: str) -> None:
    if not typed.strip():
        raise actions.Refused(_("Choose one of the names, or check a name of your own first."))
    name = naming.parse_domain(typed, sold=drafts.sold_endings(provision), main_domain=provision.main_domain).name
    known = names.known(provision, [name]).get(name)
    if known is not None and known.held_by_another:
        raise actions.Refused(_("Somebody else is ordering %(name)s. Please choose another name.") % {"name": name})
    with rls.acting_as("worker"):
        actions.choose_replacement(provision=provision, domain=domain, name=name, actor=_person(request).email)
    values = {"new": name, "old": domain.name}
    messages.success(request, _("%(new)s takes the place of %(old)s.") % values, extra_tags="done")


def _replace_with_own(request: HttpRequest, provision: Provision, domain: Domain, typed: str) -> None:
    try:
        found = own.parse(typed, provision)
    except ValidationError as error:
        raise actions.Refused(" ".join(error.messages)) from error
    if len(found) != 1:
        raise actions.Refused(_("Type one domain that you own."))
    with rls.acting_as("worker"):
        actions.choose_replacement(provision=provision, domain=domain, name=found[0], actor=_person(request).email)
    values = {"new": found[0], "old": domain.name}
    messages.success(request, _("%(new)s takes the place of %(old)s.") % values, extra_tags="done")


def _register_again(request: HttpRequest, provision: Provision, domain: Domain) -> None:
    """Have a name registered after all, under the terms that the page has shown and under no others."""
    terms = domain.facts.get(registering.TERMS) or None
    if terms_version(terms) != request.POST.get("shown", ""):
        raise actions.Refused(_("What GoDaddy asks has changed once more. Look at it again before you agree."))
    actions.register_again(
        provision=provision, domain=domain, terms=terms, address=client_address(request), actor=_person(request).email
    )
    said_so = _("%(name)s is being registered again.")
    messages.success(request, said_so % {"name": domain.name}, extra_tags="done")


def _batch(request: HttpRequest) -> batches.Batch | None:
    student = _person(request)
    found = batches.order_of(student, _ordered(student))
    return batches.batch(student, *found, now=timezone.now()) if found else None


@require_safe
@never_cache
@login_required
def batch(request: HttpRequest) -> HttpResponse:
    """All domains of the order at a glance."""
    page = _batch(request)
    return render(request, "batches/batch.html", {"page": page}) if page else redirect("infrastructure")


@require_safe
@never_cache
@login_required
@throttled("status", reads=True)
def batch_state(request: HttpRequest) -> HttpResponse:
    """The page's changing part, asked for while it is open: 204 as long as it would look the same."""
    page = _batch(request)
    if page is None or request.GET.get("version") == page.version:
        return HttpResponse(status=204)
    return render(request, "batches/_batch.html", {"page": page})


@require_safe
@never_cache
@login_required
def batch_file(request: HttpRequest) -> HttpResponse:
    """The rows of the page as CSV."""
    page = _batch(request)
    if page is None:
        raise Http404
    body = as_csv(batches.file_rows(page), batches.COLUMNS, for_spreadsheets=True)
    return file_of(f"domains-{page.reference}.csv", body)


@require_POST
@login_required
@throttled("write")
def batch_retry(request: HttpRequest) -> HttpResponse:
    """Have what failed tried once more, all of it at once."""
    provision = _ordered(_person(request))
    if provision is None:
        raise Http404
    try:
        count = batches.retry(_person(request), provision)
    except actions.Refused as refusal:
        messages.warning(request, str(refusal), extra_tags="attention")
    else:
        said_so = ngettext("%(n)s of them is tried again.", "%(n)s of them are tried again.", count)
        messages.success(request, said_so % {"n": count}, extra_tags="busy")
    return redirect("batches")


@require_safe
@never_cache
@login_required
def dashboard(request: HttpRequest) -> HttpResponse:
    """What runs."""
    student = _person(request)
    provision = drafts.current(student)
    if provision is None or provision.state not in presenters.RUNNING:
        return redirect("infrastructure")
    page = board.dashboard(student, provision, now=clock.vendor_now())
    context = {"dashboard": page, "billing": billing_notices.card(student, provision), "page_wide": True}
    return render(request, "dashboard/dashboard.html", context)


def _running(student: User) -> Provision:
    provision = drafts.current(student)
    if provision is None or provision.state not in presenters.RUNNING:
        raise Http404
    return provision


@require_POST
@login_required
@throttled("write")
def tick_task(request: HttpRequest, task: str) -> HttpResponse:
    """Tick a task of the first week, or take the tick away."""
    if task not in tasks.KEYS:
        raise Http404
    tasks.tick(_running(_person(request)), task, done=request.POST.get("done") == "yes")
    return redirect(f"{reverse('dashboard')}#first-week")


@require_POST
@login_required
@throttled("write")
def renew_calendar(request: HttpRequest) -> HttpResponse:
    """End the calendar's links that are in use, and show a new one."""
    provision = _running(_person(request))
    with rls.acting_as("worker"):  # a student may not write to an order
        calendar.renew(provision)
    messages.success(request, _("There is a new link. The old one no longer works."), extra_tags="done")
    return redirect(f"{reverse('dashboard')}#plan")


def _mailbox(request: HttpRequest, key: uuid.UUID) -> Mailbox:
    mine = Mailbox.objects.select_related("domain", "provision").filter(student=_person(request))
    return get_object_or_404(mine, pk=key)


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@login_required
@throttled("write")
def mailbox_test(request: HttpRequest, mailbox_id: uuid.UUID) -> HttpResponse:
    """What messages from a mailbox look like where they arrive; a POST has one sent, unless one is on its way."""
    mailbox = _mailbox(request, mailbox_id)
    if request.method == "POST":
        try:
            with rls.acting_as("worker"):
                testing.ask(mailbox=mailbox, actor=_person(request).email)
        except actions.Refused as refusal:
            messages.warning(request, str(refusal), extra_tags="attention")
        return redirect("mailbox-test", mailbox_id)
    page = mail_tests.mailbox_tests(mailbox, now=clock.vendor_now())
    return render(request, "dashboard/mailbox_test.html", {"page": page, "mailbox_id": mailbox_id})


@require_safe
@never_cache
@login_required
@throttled("status", reads=True)
def mailbox_test_state(request: HttpRequest, mailbox_id: uuid.UUID) -> HttpResponse:
    """The page's changing part, asked for while a test is under way: 204 as long as it would look the same."""
    page = mail_tests.mailbox_tests(_mailbox(request, mailbox_id), now=clock.vendor_now())
    if request.GET.get("version") == page.version:
        return HttpResponse(status=204)
    return render(request, "dashboard/_mailbox_test.html", {"page": page, "mailbox_id": mailbox_id})


@require_safe
def calendar_feed(request: HttpRequest, token: str) -> HttpResponse:
    """The warmup plan for a calendar, which does not sign in: the signed link is the key.

    Counted by link and not by address: one calendar service asks for many students.
    """
    opened = calendar.opened_by(token)
    if opened is None:
        raise Http404
    if not (verdict := allow("calendar", str(opened[0]))).allowed:
        return refusal(request, verdict)
    now = clock.vendor_now()
    with rls.acting_as("worker"):
        provision = calendar.provision_of(*opened)
        if provision is None or provision.state not in presenters.RUNNING:
            raise Http404
        boxes = list(provision.mailboxes.select_related("domain"))
        is_measured = "health" in board.supplied_by(provision)
        found = warmup.standings(provision, boxes, now=now, is_measured=is_measured)
        body = calendar.feed(provision, found, now=now)
    response = HttpResponse(body, content_type=icalendar.CONTENT_TYPE)
    response["Content-Disposition"] = f'inline; filename="warmup-{provision.reference}.ics"'
    response["Cache-Control"] = "private, max-age=3600"
    return response


@sensitive_post_parameters()
@sensitive_variables("shown")
@never_cache
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
@throttled("write")
def reveal(request: HttpRequest, credential_id: uuid.UUID) -> HttpResponse:
    """Show a password once: after the person's own password was typed again, written down, and told by e-mail."""
    student = _person(request)
    credential = get_object_or_404(
        Credential.objects.select_related("provision"), pk=credential_id, provision__student=student
    )
    form = PasswordForm(student, request.POST or None)
    shown, problems = "", []
    if request.method == "POST" and not credential.reveals.exists():
        if form.is_valid():
            shown = _reveal(request, credential)
        else:
            problems = list(wizard_forms.problems(form))
    context = {
        "login": presenters.login(student, credential, now=timezone.now()),
        "form": form,
        "password": shown,
        "errors": problems,
        "has_errors": bool(problems),
        "page_narrow": True,
    }
    return render(request, "dashboard/credential.html", context, status=422 if problems else 200)


def _reveal(request: HttpRequest, credential: Credential) -> str:
    plain: str = credential.password.open()
    with transaction.atomic():
        try:
            with transaction.atomic():
                seen = CredentialReveal.objects.create(
                    credential=credential, student_id=credential.student_id, address=client_address(request) or None
                )
        except IntegrityError:  # another click was faster; it has the password
            return ""
        Mail.post("credential_revealed", key=str(seen.pk), provision=credential.provision, login=credential.login)
        doorbell.ring("mails")
    return plain
