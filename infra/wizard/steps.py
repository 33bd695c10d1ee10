"""The order of the wizard's pages. What is complete is computed from the draft, never stored."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from infra.dashboard import presenters as account
from infra.models import Provision, ProvisionState, User
from infra.naming import judge_patterns

from . import drafts


@dataclass(frozen=True, slots=True)
class Step:
    """One page. `missing` says what the draft lacks, as an order to the reader, or nothing when it is complete."""

    key: str
    word: str | Promise
    url_name: str
    missing: Callable[[Provision], str]


def _package_missing(draft: Provision) -> str:
    if draft.tier is None:
        return _("Choose a package first.")
    if not drafts.offered_tiers().filter(pk=draft.tier.pk).exists():
        return _("The package %(name)s is no longer offered. Choose another one; your names are kept.") % {
            "name": draft.tier.name
        }
    return ""


def _domains_missing(draft: Provision) -> str:
    size, chosen = drafts.size(draft), len(drafts.chosen(draft))
    return "" if size.fewest <= chosen <= size.most else _("Choose your domains first.")


def _mailboxes_missing(draft: Provision) -> str:
    needed = drafts.patterns_needed(draft)
    good = [verdict for verdict in judge_patterns(draft.mailbox_patterns[:needed]) if verdict.username]
    complete = needed and len(good) == needed and draft.sender_first_name and draft.sender_last_name
    return "" if complete else _("Name your mailboxes first.")


def _review_missing(draft: Provision) -> str:
    return _("Check your order and pay.")


STEPS = (
    Step("package", gettext_lazy("Package"), "setup-package", _package_missing),
    Step("domains", gettext_lazy("Domains"), "setup-domains", _domains_missing),
    Step("mailboxes", gettext_lazy("Mailboxes"), "setup-mailboxes", _mailboxes_missing),
    Step("review", gettext_lazy("Review"), "setup-review", _review_missing),
)
KEYS = tuple(step.key for step in STEPS)


def first_incomplete(draft: Provision) -> Step:
    """Return the page where the draft goes on. The review is never complete: paying ends the draft."""
    return next(step for step in STEPS if step.missing(draft))


def number(step: Step) -> int:
    """Return the page's number, from 1."""
    return STEPS.index(step) + 1


def _is_open(provision: Provision, key: str, request: HttpRequest) -> bool:
    # "Pay" pressed again, in a second tab or after the browser's back button: a new checkout, the old one expires.
    pays_again = provision.state == ProvisionState.PENDING_PAYMENT and key == "review" and request.method == "POST"
    return provision.state == ProvisionState.DRAFT or pays_again


WizardView = Callable[[HttpRequest, Provision], HttpResponse]


def wizard_step(key: str) -> Callable[[WizardView], Callable[[HttpRequest], HttpResponse]]:
    """Make a page of the wizard: signed in, enrolled, with a draft, and not before the pages ahead of it."""

    def decorate(view: WizardView) -> Callable[[HttpRequest], HttpResponse]:
        @wraps(view)
        @never_cache
        @login_required
        @require_http_methods(["GET", "HEAD", "POST"])
        def page(request: HttpRequest) -> HttpResponse:
            student = request.user
            assert isinstance(student, User)
            provision = drafts.current(student)
            if provision is not None and not _is_open(provision, key, request):
                return redirect("infrastructure")
            if not account.may_order(student):
                return render(request, "account/not_enrolled.html", account.not_enrolled(student), status=403)
            draft = provision or Provision(student=student)
            here = first_incomplete(draft)
            if KEYS.index(key) > KEYS.index(here.key):
                messages.warning(request, here.missing(draft), extra_tags="attention")
                return redirect(here.url_name)
            try:
                return view(request, draft)
            except drafts.Closed:
                messages.warning(
                    request, _("This order is being paid and can no longer be changed here."), extra_tags="attention"
                )
                return redirect("infrastructure")

        return page

    return decorate
