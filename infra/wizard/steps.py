"""The order of the wizard's pages. What is complete is computed from the draft, never stored."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from infra.dashboard import presenters as account
from infra.models import Provision, ProvisionState, User
from infra.naming import judge_patterns
from provisioning.actions import Refused

from . import drafts


@dataclass(frozen=True, slots=True)
class Step:
    """One page. `missing` says what the draft lacks, as an order to the reader, or nothing when it is complete."""

    key: str
    word: str | Promise
    missing: Callable[[Provision], str]


def _package_missing(draft: Provision) -> str:
    if draft.tier is None:
        return _("Choose a package first.")
    if not drafts.offered_tiers().filter(pk=draft.tier.pk).exists():
        return _("The package %(name)s is no longer offered. Choose another one; your names are kept.") % {
            "name": draft.tier.name
        }
    return ""


def _accounts_missing(draft: Provision) -> str:
    unfinished, lacking = drafts.accounts(draft)
    if lacking:
        return _("Connect your accounts first.")
    return _("Finish connecting your accounts first, or use the operator's.") if unfinished else ""


def _domains_missing(draft: Provision) -> str:
    size, chosen = drafts.size(draft), len(drafts.chosen(draft))
    return "" if size.fewest <= chosen <= size.most else _("Choose your domains first.")


def _mailboxes_missing(draft: Provision) -> str:
    if drafts.named(draft):
        try:
            drafts.plan(draft)
        except Refused as refusal:
            return str(refusal)
        return ""
    needed = drafts.patterns_needed(draft)
    good = [verdict for verdict in judge_patterns(draft.mailbox_patterns[:needed]) if verdict.username]
    complete = needed and len(good) == needed and draft.sender_first_name and draft.sender_last_name
    return "" if complete else _("Name your mailboxes first.")


def _review_missing(draft: Provision) -> str:
    return _("Check your order and pay.")


STEPS = (
    Step("package", gettext_lazy("Package"), _package_missing),
    Step("accounts", gettext_lazy("Accounts"), _accounts_missing),
    Step("domains", gettext_lazy("Domains"), _domains_missing),
    Step("mailboxes", gettext_lazy("Mailboxes"), _mailboxes_missing),
    Step("review", gettext_lazy("Review"), _review_missing),
)


def of(draft: Provision) -> tuple[Step, ...]:
    """Return the pages of a draft: whose accounts to use is asked where a student may bring some along."""
    return tuple(step for step in STEPS if step.key != "accounts" or drafts.asks_for_accounts(draft))


def keys(draft: Provision) -> tuple[str, ...]:
    """Return the keys of a draft's pages."""
    return tuple(step.key for step in of(draft))


def first_incomplete(draft: Provision) -> Step:
    """Return the page where the draft goes on. The review is never complete: paying ends the draft."""
    return next(step for step in of(draft) if step.missing(draft))


def address(draft: Provision, page: str) -> str:
    """Return the address of a page for this draft: an upgrade has its own, of the same pages."""
    if page == "mailboxes" and drafts.named(draft):
        page = "people"
    if draft.enlarges_id:
        return reverse("upgrade" if page == "package" else f"upgrade-{page}")
    return reverse(f"setup-{page}")


def sender_address(draft: Provision) -> str:
    """Return the address of the page where one sender writes from all mailboxes, whoever is named at present."""
    return reverse("upgrade-mailboxes" if draft.enlarges_id else "setup-mailboxes")


def number(step: Step, draft: Provision) -> int:
    """Return the page's number, from 1."""
    return of(draft).index(step) + 1


def _is_open(provision: Provision, key: str, request: HttpRequest) -> bool:
    # "Pay" pressed again, in a second tab or after the browser's back button: a new checkout, the old one expires.
    pays_again = provision.state == ProvisionState.PENDING_PAYMENT and key == "review" and request.method == "POST"
    return provision.state == ProvisionState.DRAFT or pays_again


WizardView = Callable[[HttpRequest, Provision], HttpResponse]


def wizard_step(key: str) -> Callable[[WizardView], Callable[..., HttpResponse]]:
    """Make a page of the wizard: signed in, enrolled, with a draft, and not before the pages ahead of it.

    The page of an upgrade (`enlarges`) is the same, with the draft of the upgrade.
    """

    def decorate(view: WizardView) -> Callable[..., HttpResponse]:
        @wraps(view)
        @never_cache
        @login_required
        @require_http_methods(["GET", "HEAD", "POST"])
        def page(request: HttpRequest, *, enlarges: bool = False) -> HttpResponse:
            student = request.user
            assert isinstance(student, User)
            provision = drafts.extension(student) if enlarges else drafts.current(student)
            if enlarges and provision is None:
                return redirect("upgrade")
            if provision is not None and not _is_open(provision, key, request):
                return redirect("upgrade" if enlarges else "infrastructure")
            if not account.may_order(student):
                return render(request, "account/not_enrolled.html", account.not_enrolled(student), status=403)
            draft = provision or Provision(student=student)
            here, order = first_incomplete(draft), keys(draft)
            if key not in order:
                return redirect(address(draft, here.key))
            if order.index(key) > order.index(here.key):
                messages.warning(request, here.missing(draft), extra_tags="attention")
                return redirect(address(draft, here.key))
            try:
                return view(request, draft)
            except drafts.Closed:
                messages.warning(
                    request, _("This order is being paid and can no longer be changed here."), extra_tags="attention"
                )
                return redirect("infrastructure")

        return page

    return decorate
