"""What could be refunded now, item by item, and why the rest could not.

The rule is the specification's: a domain that was never registered is worth its share of the set-up fee, frozen at "pay";
what is registered, or was used, is kept. Nothing is decided or sent here: `refunds` sends what is due, a person the rest.
"""

from __future__ import annotations

import enum
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from infra.models import Domain, DomainState, OrderLine, Provision
from provisioning.models import BUILDS, Run

from .models import Checkout, Payment, Refund, Subscription, Upgrade


class Why(enum.StrEnum):
    """What becomes of the money of an item."""

    BACK = "back"  # went back already
    COMING = "coming"  # on its way back
    UNUSED = "unused"  # nothing was bought for it: it could go back
    BEING_BOUGHT = "being_bought"
    BOUGHT = "bought"
    LEFT_OUT = "left_out"  # bought, and left out since at a change to a smaller package
    MONTH = "month"  # pays for the present period
    USED = "used"  # paid for periods that are over
    UPGRADE = "upgrade"  # the rest of a month in the bigger package


@dataclass(frozen=True, slots=True)
class Item:
    """A part of what was paid, in minor units. `name` is a domain's; `until`: when it, or the period, ends."""

    why: Why
    cents: int
    currency: str
    name: str = ""
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Meter:
    """The items, and what could go back now: never more than is left of what was paid."""

    items: Sequence[Item]
    cents: int
    currency: str


def meter(provision: Provision) -> Meter | None:
    """Return what could be refunded of an order now; None as long as nothing was paid. A handful of queries, no platform."""
    payments = list(Payment.objects.filter(provision=provision).select_related("checkout").order_by("paid_at"))
    if not payments:
        return None
    due = Refund.objects.filter(payment__in=payments, state=Refund.State.DUE)
    reserved = sum(due.values_list("amount_cents", flat=True))
    extra = [one for one in payments if one.checkout is not None and one.checkout.state != Checkout.State.PAID]
    regular = [one for one in payments if one not in extra]
    lines = list(OrderLine.objects.filter(provision=provision).order_by("created_at"))
    items = [
        *_shares(provision, {line.domain_id: line for line in lines if line.kind == OrderLine.Kind.DOMAIN_SHARE}),
        *_months(provision, regular, [line.amount_cents for line in lines if line.kind == OrderLine.Kind.MONTHLY]),
        *(Item(_gone(one), one.amount_cents, one.currency) for one in extra),
    ]
    left = sum(one.amount_cents - one.refunded_cents for one in payments) - reserved
    unused = sum(item.cents for item in items if item.why is Why.UNUSED)
    return Meter(items, max(0, min(unused, left)), payments[0].currency)


def _gone(payment: Payment) -> Why:
    return Why.BACK if payment.refunded_cents >= payment.amount_cents else Why.COMING


def _shares(provision: Provision, lines: Mapping[uuid.UUID | None, OrderLine]) -> Iterator[Item]:
    """Return the set-up fee by domain: as many shares as each paid run was to build. `lines` are those of lost names."""
    domains = [one for one in provision.domains.all() if one.state != DomainState.LOST or one.pk in lines]
    for run in Run.objects.filter(provision=provision, kind__in=BUILDS).order_by("-created_at"):
        share, currency = int(run.order.get("refund_share_cents", 0)), str(run.order.get("currency", "usd"))
        mine = [one for one in domains if not run.order.get("extension") or one.name in run.order["domain_prices"]]
        domains = [one for one in domains if one not in mine]
        for domain in sorted(mine, key=_rank)[: int(run.order.get("domain_count", 0))]:
            if share:
                yield _share(domain, lines.get(domain.pk), share, currency)


def _rank(domain: Domain) -> tuple[bool, bool, int]:
    """Sort those first that a share surely belongs to: spares and names that were let go may have none."""
    idle = domain.state in (DomainState.SPARE, DomainState.RELEASED)
    return (domain.bought_at is None and domain.state != DomainState.LOST, idle, domain.position)


def _share(domain: Domain, line: OrderLine | None, share: int, currency: str) -> Item:
    if domain.state == DomainState.LOST and line is not None:
        why = {OrderLine.State.REFUNDED: Why.BACK, OrderLine.State.REFUND_DUE: Why.COMING}
        return Item(why.get(OrderLine.State(line.state), Why.UNUSED), line.amount_cents, line.currency, domain.name)
    is_untouched = domain.state in (DomainState.SELECTED, DomainState.SPARE, DomainState.RELEASED, DomainState.LOST)
    if domain.bought_at is None and (is_untouched or domain.state == DomainState.PURCHASING):
        return Item(Why.UNUSED if is_untouched else Why.BEING_BOUGHT, share, currency, domain.name)
    bought = Why.LEFT_OUT if domain.state == DomainState.RELEASED else Why.BOUGHT
    return Item(bought, share, currency, domain.name, domain.expires_at)


def _months(provision: Provision, payments: Sequence[Payment], monthly: Sequence[int]) -> Iterator[Item]:
    """Return what was paid for periods: the present one, those that are over, and the rest of one after an upgrade.

    monthly  the fee within the first payment, which holds the set-up fee as well
    """
    row = Subscription.objects.filter(provision=provision).first()
    changes = {one.invoice_id: one for one in Upgrade.objects.filter(provision=provision).select_related("extension")}
    present: list[int] = []
    for payment in payments:
        if (change := changes.get(payment.stripe_invoice_id)) is not None:
            yield from _change(change, payment)
        else:
            present.append((monthly or [0])[0] if payment.checkout is not None else payment.amount_cents)
    currency = payments[0].currency if payments else "usd"
    if sum(present[:-1]):
        yield Item(Why.USED, sum(present[:-1]), currency)
    if present and present[-1]:
        yield Item(Why.MONTH, present[-1], currency, until=row.period_end if row else None)


def _change(change: Upgrade, payment: Payment) -> Iterator[Item]:
    """An upgrade that was not begun goes back as a whole; of one that was, its domains have their shares."""
    if change.state == Upgrade.State.REFUNDED:
        yield Item(_gone(payment), payment.amount_cents, payment.currency)
    elif change.state == Upgrade.State.PAID:
        yield Item(Why.UNUSED, payment.amount_cents, payment.currency)
    elif rest := payment.amount_cents - int(change.extension.order.get("setup_fee_cents", 0)):
        yield Item(Why.UPGRADE, rest, payment.currency)
