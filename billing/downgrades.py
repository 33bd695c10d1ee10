"""Changing to a smaller package at the end of the period: a plan that can be withdrawn until then.

Planning gives the one subscription its next price without proration, which charges and credits nothing: Stripe itself
renews by it when the period ends, so that no clock of ours decides what is charged. What is left out is taken down once
Stripe says that the next period is paid for by the smaller price. Every write is an absolute value and may be sent again;
`follow` asks how the subscription stands now and does what follows from it, any number of times.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Collection
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from infra.clock import machine_now, vendor_now
from infra.models import Domain, Mailbox, MailboxState, OperatorItem, Provision, ProvisionState, Tier, User
from infra.models.domain import GONE, HELD
from infra.presenters_base import package_title
from infra.rls import acting_as
from integrations.http.errors import OutcomeUnknown, PlatformError, Rejected
from provisioning import life
from provisioning.actions import Refused, note
from provisioning.stacks import STACKS

from . import gateway
from .actions import post
from .gateway import Contract
from .models import Downgrade, Subscription, Upgrade

log = logging.getLogger(__name__)

State = Downgrade.State
OPEN = (State.INTENDED, State.PLANNED, State.WITHDRAWING)
LIVE = (ProvisionState.ACTIVE, ProvisionState.ACTIVE_WITH_EXCEPTIONS)
ENDED = (ProvisionState.CANCELLING, ProvisionState.CANCELLED)
UNPAID = ("draft", "open")  # Stripe's words for the invoice of a period that has begun and is not paid for
AGAIN = timedelta(minutes=10)  # machine time after which a write whose answer was lost is sent again
SOON = timedelta(minutes=15)  # vendor time until a change that is due and cannot begin is tried again


def open_plan(provision: Provision) -> Downgrade | None:
    """Return the change of an order that is planned, or being noted or withdrawn."""
    return Downgrade.objects.filter(provision=provision, state__in=OPEN).select_related("tier").first()


def smaller_tiers(live: Provision) -> list[Tier]:
    """Return the packages to which a live order can be reduced: of its stack, if that can take a part down, and smaller."""
    stack = STACKS.get(live.order.get("stack", ""))
    return _smaller(live) if stack is not None and life.DOWNGRADE in stack.pipelines else []


def why_not_smaller(live: Provision) -> str:
    """Return why none of the smaller packages that there are can be changed to; nothing where one can, or there is none."""
    stack = STACKS.get(live.order.get("stack", ""))
    if stack is None or life.DOWNGRADE in stack.pipelines or not _smaller(live):
        return ""
    return str(stack.pitch.not_smaller)


def _smaller(live: Provision) -> list[Tier]:
    there = live.order
    domains, mailboxes = int(there["domain_count"]), int(there["mailbox_count"])
    tiers = Tier.objects.filter(is_active=True, stack=there.get("stack", ""))
    return [
        tier
        for tier in tiers.exclude(stripe_monthly_price_id="")
        if tier.domain_count < domains
        and (tier.slug == there.get("tier") if is_by_domain(tier) else tier.mailbox_count < mailboxes)
    ]


def is_by_domain(tier: Tier) -> bool:
    """Tell whether a package's number of domains is the student's: it is made smaller by keeping fewer of them."""
    return tier.domain_count_max is not None


def owned(live: Provision) -> list[Domain]:
    """Return the domains among which a student chooses what to keep."""
    mine = live.domains.filter(HELD).exclude(state__in=GONE)
    return list(mine.prefetch_related("mailboxes").order_by("position", "name"))


def boxes_of(domain: Domain) -> list[Mailbox]:
    """Return the mailboxes that stay where a domain stays."""
    return [one for one in domain.mailboxes.all() if one.state not in (MailboxState.REMOVED, MailboxState.FAILED)]


def fits(live: Provision, tier: Tier) -> bool:
    """Tell whether some choice of domains holds no more mailboxes than a smaller package."""
    if is_by_domain(tier):
        least, most = kept_range(live, tier)
        return least <= most
    fewest = sorted(len(boxes_of(one)) for one in owned(live))[: tier.domain_count]
    return sum(fewest) <= tier.mailbox_count


def kept_range(live: Provision, tier: Tier) -> tuple[int, int]:
    """Return how many domains are kept, at least and at most."""
    there = len(owned(live))
    if is_by_domain(tier):
        return tier.domain_count, min(there, int(live.order["domain_count"]) - 1)
    return min(tier.domain_count, there), min(tier.domain_count, there)


def likely(live: Provision, tier: Tier) -> list[str]:
    """Return the domains that most would keep: those with the most mailboxes that work and fit, as ordered. Where their
    number is the student's, all of them: nobody knows which are not wanted."""
    mine, (_least, count) = owned(live), kept_range(live, tier)
    if is_by_domain(tier):
        return [one.name for one in mine]
    best = sorted(mine, key=lambda one: len(boxes_of(one)), reverse=True)  # of equals the first
    while sum(len(boxes_of(one)) for one in best[:count]) > tier.mailbox_count and len(best) > count:
        best = best[1:]
    return [one.name for one in mine if one in best[:count]]


# --- planning ---------------------------------------------------------------------------------------------------------


def plan(*, provision: Provision, tier: Tier, keep: Collection[str], actor: User | str) -> Downgrade:
    """Plan a change to a smaller package that keeps these domains. Pressed twice, it is planned once.

    Raises Refused with the student's sentence; then nothing has changed, or whether it has is found out later.
    """
    with acting_as("worker"):
        row = _intend(provision, tier, keep, actor=str(actor))
        return _send(row, actor=str(actor))


def _intend(provision: Provision, tier: Tier, keep: Collection[str], *, actor: str) -> Downgrade:
    with transaction.atomic():
        live = Provision.objects.select_for_update(of=("self",)).get(pk=provision.pk)
        mine = owned(live)
        drops = sorted(one.name for one in mine if one.name not in keep)
        known = open_plan(live)
        if known is not None:
            is_same = known.tier_id == tier.pk and sorted(known.drops) == drops
            if is_same and known.state != State.WITHDRAWING:
                return known
            raise Refused(_("Another change is planned already. Withdraw it first."))
        subscription = _check(live, tier)
        least, most = kept_range(live, tier)
        kept = [one for one in mine if one.name in keep]
        if not least <= len(kept) <= most and is_by_domain(tier):
            raise Refused(
                _("Please keep %(least)d domain at least, and %(most)d at most.") % {"least": least, "most": most}
            )
        if not least <= len(kept) <= most:
            raise Refused(_("Please keep exactly %(count)d domains.") % {"count": most})
        if not is_by_domain(tier) and sum(len(boxes_of(one)) for one in kept) > tier.mailbox_count:
            raise Refused(
                _("These domains hold more than %(count)d mailboxes. Please keep others.")
                % {"count": tier.mailbox_count}
            )
        row = Downgrade.objects.create(
            provision=live,
            student_id=live.student_id,
            tier=tier,
            drops=drops,
            order=reduced(live.order, tier, kept),
            subscription_id=subscription.stripe_id,
            price_id=tier.stripe_monthly_price_id,
            quantity=tier.quantity(len(kept)),
            monthly_cents=tier.monthly_fee_cents * tier.quantity(len(kept)),
            currency=tier.currency,
        )
        note(live, "downgrade_intended", actor=actor, sentence=tier.name)
    return row


def _check(live: Provision, tier: Tier) -> Subscription:
    """Return the subscription of an order that can be reduced now. Raises Refused."""
    subscription = Subscription.objects.filter(provision=live).first()
    if live.state not in LIVE or subscription is None or subscription.status != "active":
        raise Refused(_("Your package can be changed as soon as your set-up is running and its payments are in order."))
    if subscription.cancel_at_period_end or subscription.cancel_at:
        raise Refused(_("Your subscription is cancelled. Keep it first, then choose a smaller package."))
    if tier.pk not in [one.pk for one in smaller_tiers(live)]:
        raise Refused(_("This package is not smaller than yours, or no longer offered."))
    if Upgrade.objects.filter(provision=live, state__in=["intended", "pending", "paid"]).exists():
        raise Refused(_("An upgrade is under way."))
    return subscription


def reduced(order: dict[str, Any], tier: Tier, kept: Collection[Domain]) -> dict[str, Any]:
    """Return the frozen order that a set-up has once it is reduced to `tier`, with the domains that are kept."""
    domains, mailboxes, quantity = tier.domain_count, tier.mailbox_count, tier.quantity(len(kept))
    if is_by_domain(tier):
        domains = len(kept)
        mailboxes = sum(box.state != MailboxState.REMOVED for one in kept for box in one.mailboxes.all())
    return {
        **order,
        "tier": tier.slug,
        "tier_name": tier.name,
        "domain_count": domains,
        "mailbox_count": mailboxes,
        "quantity": quantity,
        "is_by_domain": is_by_domain(tier),
        # What a later upgrade adds is paid for again.
        "setup_fee_cents": min(int(order["setup_fee_cents"]), tier.setup_fee_cents * quantity),
        "monthly_fee_cents": tier.monthly_fee_cents * quantity,
    }


def _send(row: Downgrade, *, actor: str) -> Downgrade:
    """Give the subscription its next price, unless it has it."""
    try:
        contract = gateway.current().contract(row.subscription_id)
        if contract.is_pending:
            raise Refused(_("An upgrade is under way."))
        if not _is_smaller(row, contract):
            before = {"price_before": contract.price_id, "quantity_before": contract.quantity}
            Downgrade.objects.filter(pk=row.pk).update(**before)
            contract = _set_price(row, contract, row.price_id, row.quantity)
    except Rejected as error:
        _write_withdrawn(row, State.INTENDED)
        _report(row, f"Stripe refused the smaller price: {error.sentence}")
        raise Refused(_("The change cannot be planned at the moment. Nothing was changed.")) from error
    except PlatformError as error:
        log.warning("downgrade not noted: %s", error, extra={"downgrade": str(row.pk)})
        raise Refused(_("Whether the change is planned is being found out. Nothing is charged for it.")) from error
    _write_planned(row, contract, actor=actor)
    row.refresh_from_db()
    if row.state not in (State.PLANNED, State.APPLIED):
        raise Refused(_("The change was withdrawn in the meantime. Please look at how it stands."))
    return row


def _is_smaller(row: Downgrade, contract: Contract) -> bool:
    """Tell whether a subscription is as a change wants it."""
    return (contract.price_id, contract.quantity) == (row.price_id, row.quantity)


def _set_price(row: Downgrade, contract: Contract, price_id: str, quantity: int) -> Contract:
    """Set the price from the next period on; an absolute value, so that a lost answer is asked for anew."""
    change = {
        "items": [{"id": contract.item_id, "price": price_id, "quantity": quantity}],
        "proration_behavior": "none",
        "expand": ["latest_invoice.payments"],
    }
    try:
        return gateway.current().change_subscription(row.subscription_id, change, key=f"{row.pk}:{uuid.uuid4()}")
    except OutcomeUnknown:
        found = gateway.current().contract(row.subscription_id)
        if (found.price_id, found.quantity) != (price_id, quantity):
            raise
        return found


def _write_planned(row: Downgrade, contract: Contract, *, actor: str) -> None:
    with transaction.atomic():
        live = Provision.objects.select_for_update(of=("self",)).get(pk=row.provision_id)
        moved = Downgrade.objects.filter(pk=row.pk, state=State.INTENDED).update(
            state=State.PLANNED, period_end=contract.period_end
        )
        if not moved:
            return
        note(live, "downgrade_planned", actor=actor, sentence=f"{row.tier.name} from {contract.period_end:%Y-%m-%d}")
        post(
            "downgrade_planned", str(row.pk), live,
            package=package_title(row.order), starts_on=contract.period_end.isoformat(), drops=", ".join(row.drops),
        )  # fmt: skip


# --- withdrawing ------------------------------------------------------------------------------------------------------


def withdraw(*, provision: Provision, actor: User | str) -> None:
    """Take a plan back, as long as the period lasts. May be repeated. Raises Refused with the student's sentence."""
    with acting_as("worker"):
        with transaction.atomic():
            live = Provision.objects.select_for_update(of=("self",)).get(pk=provision.pk)
            row = open_plan(live)
            if row is None:
                return
            Downgrade.objects.filter(pk=row.pk).update(state=State.WITHDRAWING, updated_at=machine_now())
        try:
            is_back = _send_back(row, actor=str(actor))
        except PlatformError as error:
            log.warning("downgrade not withdrawn: %s", error, extra={"downgrade": str(row.pk)})
            raise Refused(_("Whether it is withdrawn is being found out. Nothing was charged.")) from error
        if not is_back:
            raise Refused(_("The period has ended, and the change has begun."))


def _send_back(row: Downgrade, *, actor: str) -> bool:
    """Put the price back; return False when the next period has begun with the smaller one. Raises PlatformError."""
    contract = gateway.current().contract(row.subscription_id)
    if _is_smaller(row, contract) and row.period_end and contract.period_end > row.period_end:
        Downgrade.objects.filter(pk=row.pk, state=State.WITHDRAWING).update(state=State.PLANNED)
        return False
    if _is_smaller(row, contract) and row.price_before:
        contract = _set_price(row, contract, row.price_before, row.quantity_before)
    with transaction.atomic():
        live = Provision.objects.select_for_update(of=("self",)).get(pk=row.provision_id)
        if _write_withdrawn(row, State.WITHDRAWING):
            note(live, "downgrade_withdrawn", actor=actor)
    if row.period_end and contract.period_end > row.period_end:
        _report(row, "it was withdrawn in the moment of the renewal: compare what was charged with the package.")
    return True


def _write_withdrawn(row: Downgrade, before: State) -> bool:
    moved = Downgrade.objects.filter(pk=row.pk, state=before).update(state=State.WITHDRAWN, updated_at=machine_now())
    return moved > 0


# --- how it stands ----------------------------------------------------------------------------------------------------


def follow(*, provision: Provision, actor: str) -> None:
    """Do what follows from how the subscription of a planned change stands now. Raises PlatformError."""
    row = open_plan(provision)
    if row is None:
        return
    state = Provision.objects.values_list("state", flat=True).get(pk=provision.pk)
    if state in ENDED:
        Downgrade.objects.filter(pk=row.pk, state__in=OPEN).update(state=State.VOID)
        return
    steps: dict[str, Callable[[], object]] = {
        State.INTENDED: lambda: _look_for(row, actor=actor),
        State.WITHDRAWING: lambda: _is_old(row) and _send_back(row, actor=actor),
        State.PLANNED: lambda: _begin_if_due(row, actor=actor),
    }
    steps[row.state]()


def _is_old(row: Downgrade) -> bool:
    """Tell whether whoever is at it must have heard by now."""
    return row.updated_at < machine_now() - AGAIN


def _look_for(row: Downgrade, *, actor: str) -> None:
    contract = gateway.current().contract(row.subscription_id)
    if _is_smaller(row, contract) and not contract.is_pending:
        _write_planned(row, contract, actor=actor)
    elif _is_old(row):
        try:
            _send(row, actor=actor)
        except Refused as refusal:
            log.info("downgrade still not planned: %s", refusal, extra={"downgrade": str(row.pk)})


def _begin_if_due(row: Downgrade, *, actor: str) -> None:
    contract = gateway.current().contract(row.subscription_id)
    if not _is_smaller(row, contract):
        if Downgrade.objects.filter(pk=row.pk, state=State.PLANNED).exists():
            _report(row, "the subscription no longer has the smaller price: somebody changed it at Stripe.")
        return
    assert row.period_end is not None
    if contract.status != "active" or contract.period_end <= row.period_end:
        return
    if contract.bill is not None and contract.bill.status in UNPAID:  # active all the same, as long as it is a draft
        _look_soon(row)
        return
    try:
        with transaction.atomic():
            run = life.reduce(provision=row.provision, drops=row.drops, becomes=row.order, actor=actor)
            if run is None:  # there is nothing to wait for
                post("downgraded", str(row.pk), row.provision, package=package_title(row.order), kept="all")
            if not Downgrade.objects.filter(pk=row.pk, state=State.PLANNED).update(state=State.APPLIED):
                raise Refused("somebody else was faster")
    except Refused as refusal:
        log.info("downgrade waits: %s", refusal, extra={"downgrade": str(row.pk)})
        _look_soon(row)


def _look_soon(row: Downgrade) -> None:
    Subscription.objects.filter(provision=row.provision_id).update(look_at=vendor_now() + SOON)


def _report(row: Downgrade, what: str) -> None:
    OperatorItem.open(
        "downgrade_trouble",
        key=str(row.pk),
        sentence=f"{row.provision.reference}, change to {row.tier.name}: {what}",
        provision=row.provision,
    )
