"""What the platform says of a name now: asked again before a purchase only if the answer is older than 15 minutes."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

from infra.clock import VendorInstant, vendor_now
from infra.models import NameAnswer, NameCheck
from integrations.zapmail import MOST_NAMES_PER_CHECK, DomainOffer

if TYPE_CHECKING:
    from .engine.context import Context

FRESH_FOR = timedelta(minutes=15)  # vendor time


def fresh(ctx: Context, names: Sequence[str], *, always: Collection[str] = ()) -> dict[str, DomainOffer]:
    """Return an offer per name, asking the platform for those whose stored answer is too old, or is in `always`.

    Raises what reads raise: the paid share of the search budget may be used up for the moment.
    """
    known = {
        check.name: check
        for check in NameCheck.objects.filter(platform="zapmail", name__in=names)
        if check.checked_at and check.checked_at > ctx.now - FRESH_FOR and check.answer != NameAnswer.CHECKING
    }
    stale = [name for name in names if name not in known or name in always]
    found = {name: _offer_of(check) for name, check in known.items()}
    for start in range(0, len(stale), MOST_NAMES_PER_CHECK):
        asked = stale[start : start + MOST_NAMES_PER_CHECK]
        answers = ctx.read(ctx.clients.zapmail.check_domains(asked, weight_class="paid"))
        remember(answers, ctx.now)
        found |= {offer.name: offer for offer in answers}
    return found


def remember(offers: Sequence[DomainOffer], now: VendorInstant | None = None) -> None:
    """Store answers for everybody who asks next."""
    now = now or vendor_now()
    NameCheck.objects.bulk_create(
        [
            NameCheck(
                platform="zapmail",
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


def answer_of(offer: DomainOffer) -> NameAnswer:
    """Return our word for an offer. An available name without a price is not to be bought: "checking"."""
    if not offer.available:
        return NameAnswer.TAKEN
    if offer.premium:
        return NameAnswer.PREMIUM
    return NameAnswer.AVAILABLE if offer.price_cents is not None else NameAnswer.CHECKING


def _offer_of(check: NameCheck) -> DomainOffer:
    return DomainOffer(
        name=check.name,
        available=check.answer in (NameAnswer.AVAILABLE, NameAnswer.PREMIUM),
        premium=check.answer == NameAnswer.PREMIUM,
        price_cents=check.price_cents,
        renewal_cents=check.renewal_cents,
    )
