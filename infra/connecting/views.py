"""Accounts at platforms: connected, updated, and what a person makes in them by hand."""

from __future__ import annotations

import uuid
from collections.abc import Sequence

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables
from django.views.decorators.http import require_http_methods, require_safe

from infra import rls
from infra.models import User
from infra.presenters_base import Problem
from infra.throttle import throttled
from infra.wizard import drafts
from provisioning import connections, entering
from provisioning.actions import Refused
from provisioning.connections import GOOGLE
from provisioning.models import Run

from . import presenters
from .forms import ConnectionForm
from .presenters import Typed


def _student(request: HttpRequest) -> User:
    assert isinstance(request.user, User)
    return request.user


def _slugs(student: User) -> tuple[str, ...]:
    draft = drafts.current(student)
    return presenters.platforms_of(student, drafts.stack_of(draft) if draft else "")


@sensitive_post_parameters("value", "code")
@sensitive_variables("typed")
@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@login_required
@throttled("write")
def page(request: HttpRequest) -> HttpResponse:
    """The accounts of a student, after an order or before."""
    student = _student(request)
    slugs = _slugs(student)
    if not slugs:
        raise Http404
    if request.method == "POST":
        typed = answer(request, student, slugs)
        if typed is None:
            return redirect("connections")
    else:
        typed = Typed()
    problems = [Problem(typed.error, f"#{typed.wrong}-{typed.slug}")] if typed.error else []
    context = {
        "accounts": presenters.accounts(student, slugs, typed),
        "errors": problems,
        "has_errors": bool(problems),
        "page_narrow": True,
    }
    return render(request, "connecting/page.html", context, status=422 if problems else 200)


@sensitive_variables()
def answer(request: HttpRequest, student: User, slugs: Sequence[str]) -> Typed | None:
    """Do what a button of a platform's part says; return what was refused, None where it was done. Raises Http404."""
    form = ConnectionForm(request.POST)
    form.is_valid()
    slug, action = str(request.POST.get("platform", "")), str(request.POST.get("action", ""))
    if slug not in slugs or action not in ("save", "prove", "check", "operators"):
        raise Http404
    value, code = (str(form.cleaned_data.get(name) or "") for name in ("value", "code"))
    wrong, typed = ("code", code) if action == "prove" else ("value", value)
    try:
        if "value" in form.errors or "code" in form.errors:
            raise Refused(_("This is too long."))
        match action:
            case "save":
                connections.connect(student=student, slug=slug, key=value, actor=student.email)
            case "prove":
                connections.prove(student=student, slug=slug, code=code, actor=student.email)
            case "check":
                connections.check_again(student=student, slug=slug)
            case _:
                connections.use_operators(student=student, slug=slug, actor=student.email)
    except Refused as refusal:
        return Typed(slug, wrong, typed if slug == GOOGLE else "", str(refusal))
    return None


@require_safe
@never_cache
@login_required
@throttled("status", reads=True)
def state(request: HttpRequest, slug: str) -> HttpResponse:
    """What was found of one platform's account, asked for while it is tried: 204 as long as it would look the same."""
    student = _student(request)
    if slug not in presenters.WORDS:
        raise Http404
    if request.GET.get("version") == presenters.version(student, slug):
        return HttpResponse(status=204)
    return render(request, "connecting/_status.html", {"status": presenters.status(student, slug)})


@sensitive_post_parameters()
@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@login_required
@throttled("write")
def enter(request: HttpRequest, run_id: uuid.UUID) -> HttpResponse:
    """What only the owner of an account can make in it: a line for each thing, all of a form or nothing of it."""
    student = _student(request)
    run = get_object_or_404(Run.objects.select_related("provision"), pk=run_id, provision__student=student)
    if not entering.is_students(run):
        raise Http404
    form = entering.EnterForm(run, request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            with rls.acting_as("worker"):
                count = form.save(actor=student.email)
        except Refused as refusal:
            form.add_error(None, str(refusal))
        else:
            said = ngettext("%(count)d line is taken.", "%(count)d lines are taken.", count) % {"count": count}
            messages.success(request, said, extra_tags="done")
            return redirect("progress")
    problems = [
        Problem(str(error), f"#{form[name].id_for_label}" if name in form.fields else "")
        for name, errors in form.errors.items()
        for error in errors
    ]
    parts = [(one, form[key]) for key, one in form.asked.items()]
    context = {"parts": parts, "errors": problems, "has_errors": bool(problems), "page_narrow": True}
    return render(request, "connecting/enter.html", context, status=422 if problems else 200)
