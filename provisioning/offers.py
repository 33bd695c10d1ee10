"""What the platform says of a name now: asked again before a purchase only if the answer is older than 15 minutes."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from django.db import connection

from infra.clock import VendorInstant, vendor_now
from infra.models import UNRESOLVED, DomainState, NameAnswer, NameCheck, OperationState, Origin, RunState

from .engine import budget, claims
from .engine.registrar import Offer, Registrar

if TYPE_CHECKING:
    from .engine.context import Context

FRESH_FOR = timedelta(minutes=15)  # vendor time
SOON = timedelta(minutes=5)  # what grows old within it travels along


@dataclass(frozen=True, slots=True)
class Kept:
    """An offer as it was stored."""

    name: str
    available: bool
    premium: bool
    price_cents: int | None
    renewal_cents: int | None


def fresh(
    ctx: Context, registrar: Registrar, names: Sequence[str], *, always: Collection[str] = (), then: int = 0
) -> dict[str, Offer]:
    """Return an offer per name, asking the platform for those whose stored answer is too old, or is in `always`.

    then  so many permits of the same budget are needed right afterwards: without them the answers would grow old again

    One question has room for more names than an order has: those that other orders are to ask for soon travel along.
    Raises what reads raise: the paid share of the search budget may be used up for the moment.
    """
    known = {
        check.name: check
        for check in NameCheck.objects.filter(platform=registrar.platform, name__in=names)
        if check.checked_at and check.checked_at > ctx.now - FRESH_FOR and check.answer != NameAnswer.CHECKING
    }
    stale = [name for name in names if name not in known or name in always]
    found: dict[str, Offer] = {name: _offer_of(check) for name, check in known.items()}
    if stale and then and budget.free(registrar.budget) <= then:
        before = budget.waiting_before(registrar.budget, ctx.run_id) + then
        seconds = budget.next_free_in(registrar.budget, before=before)
        raise budget.NoPermit(seconds, f"the budget {registrar.budget} is nearly used up", budget=registrar.budget)
    for start in range(0, len(stale), registrar.most_names):
        asked = stale[start : start + registrar.most_names]
        asked += _of_others(ctx, registrar, registrar.most_names - len(asked))
        answers = ctx.read(registrar.check(ctx.clients, asked, "paid"))
        remember(registrar, answers, ctx.now)
        found |= {offer.name: offer for offer in answers}
    return found


def _of_others(ctx: Context, registrar: Registrar, room: int) -> list[str]:
    """Return names that other orders are yet to buy and whose answers are too old, or soon: a question has room for several.
    First those of orders that wait for the same budget, then of those that will."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT name FROM infra_domain AS domain JOIN ("
            f" SELECT provision_id, paid_at, id, {claims.WAITS_FOR} AS waits FROM provisioning_run"
            "  WHERE stack = %(stack)s AND state = ANY(%(under_way)s)) AS run USING (provision_id)"
            " WHERE provision_id <> %(mine)s AND origin = %(bought)s AND domain.state = ANY(%(wanted)s) AND NOT EXISTS ("
            "  SELECT 1 FROM infra_namecheck AS known WHERE known.platform = %(platform)s AND known.name = domain.name"
            "  AND known.checked_at > %(since)s)"
            " AND NOT EXISTS (SELECT 1 FROM provisioning_operationitem AS item WHERE item.platform = %(platform)s"
            "  AND item.verb = 'buy_domains' AND item.natural_key = domain.name AND item.state = ANY(%(ordered)s))"
            " ORDER BY waits DESC, paid_at, run.id, position LIMIT %(room)s",
            {
                "budget": registrar.budget,
                "mine": ctx.provision.pk,
                "stack": ctx.order["stack"],
                "under_way": [RunState.QUEUED, RunState.RUNNING, RunState.WAITING],
                "bought": Origin.BOUGHT,
                "wanted": [DomainState.SELECTED, DomainState.PURCHASING],
                "platform": registrar.platform,
                "ordered": [*UNRESOLVED, OperationState.DONE],
                "since": ctx.now - FRESH_FOR + SOON,
                "room": room,
            },
        )
        return [row[0] for row in cursor.fetchall()]


def remember(registrar: Registrar, offers: Sequence[Offer], now: VendorInstant | None = None) -> None:
    """Store answers for everybody who asks next."""
    now = now or vendor_now()
    NameCheck.objects.bulk_create(
        [
            NameCheck(
                platform=registrar.platform,
                name=offer.name,
                answer=answer_of(offer),
                price_cents=offer.price_cents or 0,
                renewal_cents=offer.renewal_cents or offer.price_cents or 0,
                checked_at=now,
                wanted_at=None,
                claimed_until=None,
            )
            for offer in sorted(offers, key=lambda offer: offer.name)  # the order in which everybody locks names
        ],
        update_conflicts=True,
        unique_fields=["platform", "name"],
        update_fields=["answer", "price_cents", "renewal_cents", "checked_at", "wanted_at", "claimed_until"],
    )


def answer_of(offer: Offer) -> NameAnswer:
    """Return our word for an offer. An available name without a price is not to be bought: "checking"."""
    if not offer.available:
        return NameAnswer.TAKEN
    if offer.premium:
        return NameAnswer.PREMIUM
    return NameAnswer.AVAILABLE if offer.price_cents is not None else NameAnswer.CHECKING


def _offer_of(check: NameCheck) -> Kept:
    return Kept(
        name=check.name,
        available=check.answer in (NameAnswer.AVAILABLE, NameAnswer.PREMIUM),
        premium=check.answer == NameAnswer.PREMIUM,
        price_cents=check.price_cents,
        renewal_cents=check.renewal_cents,
    )
