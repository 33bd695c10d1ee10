"""The upgrade: which bigger package, then the wizard's own pages for what it adds, then the price that Stripe names."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db import IntegrityError, transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from billing import upgrades
from billing.actions import CheckoutRefused
from billing.models import Upgrade
from infra.models import Provision, ProvisionState, Tier, User
from infra.presenters_base import Fact, Problem, money, package_title
from infra.rls import acting_as
from infra.throttle import throttled

from . import drafts, forms, presenters, steps

UPGRADABLE = (ProvisionState.ACTIVE, ProvisionState.ACTIVE_WITH_EXCEPTIONS)


def bill_of(draft: Provision) -> presenters.Bill:
    """Return what an upgrade costs now, as Stripe says. Raises CheckoutRefused."""
    quote = upgrades.quote(extension=draft)
    return presenters.Bill(
        lines=[Fact(sentence, money(cents, quote.currency)) for sentence, cents in quote.lines],
        today_cents=quote.due_cents,
        monthly_cents=quote.monthly_cents,
        currency=quote.currency,
    )


def pay(draft: Provision) -> str:
    """Pay an upgrade by the card that the subscription has; return the address of what comes next."""
    upgrade = upgrades.pay(extension=draft, actor=draft.student)
    return reverse("progress") if upgrade.state == Upgrade.State.APPLIED else reverse("upgrade")


def bigger_tiers(live: Provision) -> list[Tier]:
    """Return the packages to which a live order can be enlarged: of its stack, and bigger.

    Where the number of domains is the student's, that is the package itself, as long as it takes more of them.
    """
    there = live.order
    domains, mailboxes = int(there["domain_count"]), int(there["mailbox_count"])
    tiers = drafts.offered_tiers().filter(stack=there.get("stack", ""))
    return [
        tier
        for tier in tiers
        if (
            tier.domain_count > domains and tier.mailbox_count > mailboxes
            if tier.domain_count_max is None
            else tier.slug == there.get("tier") and tier.domain_count_max > domains
        )
    ]


@never_cache
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
@throttled("write")
def upgrade(request: HttpRequest) -> HttpResponse:
    """Choose a bigger package, go on with a draft, or see how the payment stands."""
    student = request.user
    assert isinstance(student, User)
    live = drafts.current(student)
    if live is None or live.state in (ProvisionState.DRAFT, ProvisionState.PENDING_PAYMENT):
        return redirect("infrastructure")
    draft = drafts.extension(student)
    if draft is not None and draft.state == ProvisionState.PENDING_PAYMENT:
        return _paying(request, live)
    if live.state == ProvisionState.UPGRADING:
        return redirect("progress")
    tiers = bigger_tiers(live) if live.state in UPGRADABLE else []
    form = forms.PackageForm(request.POST or None, instance=Provision(student=student))
    if request.method == "POST" and form.is_valid() and form.cleaned_data["tier"] in tiers:
        draft = begin(live, draft, form.cleaned_data["tier"])
        return redirect(steps.address(draft, steps.first_incomplete(draft).key))
    problems = []
    if request.method == "POST":
        problems = list(forms.problems(form)) or [Problem(_("This package is not bigger than yours."))]
    context = {
        "errors": problems,
        "has_errors": bool(problems),
        "cards": presenters.upgrades(tiers, live, draft),
        "draft": draft,
        "draft_href": steps.address(draft, steps.first_incomplete(draft).key) if draft else "",
        "heading": _("Add domains") if live.order.get("is_by_domain") else _("Choose a bigger package"),
        "package": package_title(live.order),
        "is_upgradable": live.state in UPGRADABLE,
    }
    return render(request, "wizard/upgrade.html", context, status=422 if problems else 200)


def _paying(request: HttpRequest, live: Provision) -> HttpResponse:
    """Show how the payment of an upgrade stands, asking Stripe."""
    found = upgrades.open_upgrade(live)
    if found is not None and found.state != Upgrade.State.QUOTED:
        found = upgrades.look(upgrade=found, actor=str(request.user))
    if found is None or found.state in (Upgrade.State.EXPIRED, Upgrade.State.REFUNDED):
        messages.warning(
            request,
            _("The upgrade was not paid. Nothing was charged, and nothing has changed; your choice is kept."),
            extra_tags="attention",
        )
        return redirect("infrastructure")
    if found.state == Upgrade.State.APPLIED:
        return redirect("progress")
    context = {"upgrade": found, "is_declined": found.state == Upgrade.State.PENDING}
    return render(request, "wizard/upgrade_paying.html", context)


def begin(live: Provision, draft: Provision | None, tier: Tier) -> Provision:
    """Return the draft of an upgrade to `tier`; another package than before keeps what was chosen."""
    if draft is not None:
        return drafts.choose_package(draft, tier=tier)
    with acting_as("worker"):
        try:
            with transaction.atomic():
                return Provision.objects.create(
                    student=live.student,
                    enlarges=live,
                    tier=tier,
                    brand=live.brand,
                    main_domain=live.main_domain,
                    names_shown=live.names_shown,
                    sender_first_name=live.sender_first_name,
                    sender_last_name=live.sender_last_name,
                    mailbox_patterns=live.mailbox_patterns,
                    people=live.people,
                )
        except IntegrityError:  # the button was pressed twice
            existing = drafts.extension(live.student)
            assert existing is not None
            return existing


@require_POST
@login_required
@throttled("write")
def discard(request: HttpRequest) -> HttpResponse:
    """Let the draft of an upgrade go."""
    student = request.user
    assert isinstance(student, User)
    draft = drafts.extension(student)
    if draft is not None:
        try:
            upgrades.discard(extension=draft, actor=student)
            messages.info(request, _("The upgrade was given up. Your set-up is as it was."))
        except CheckoutRefused as refusal:
            messages.warning(request, refusal.sentence, extra_tags="attention")
    return redirect("infrastructure")
