"""What the platform says of a name now: asked again before a purchase only if the answer is older than 15 minutes."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from infra.clock import VendorInstant, vendor_now
from infra.models import NameAnswer, NameCheck

from .engine.registrar import Offer, Registrar

if TYPE_CHECKING:
    from .engine.context import Context

FRESH_FOR = timedelta(minutes=15)  # vendor time


@dataclass(frozen=True, slots=True)
class Kept:
    """An offer as it was stored."""

    name: str
    available: bool
    premium: bool
    price_cents: int | None
    renewal_cents: int | None


def fresh(
    ctx: Context, registrar: Registrar, names: Sequence[str], *, always: Collection[str] = ()
) -> dict[str, Offer]:
    """Return an offer per name, asking the platform for those whose stored answer is too old, or is in `always`.

    Raises what reads raise: the paid share of the search budget may be used up for the moment.
    """
    known = {
        check.name: check
        for check in NameCheck.objects.filter(platform=registrar.platform, name__in=names)
        if check.checked_at and check.checked_at > ctx.now - FRESH_FOR and check.answer != NameAnswer.CHECKING
    }
    stale = [name for name in names if name not in known or name in always]
    found: dict[str, Offer] = {name: _offer_of(check) for name, check in known.items()}
    for start in range(0, len(stale), registrar.most_names):
        asked = stale[start : start + registrar.most_names]
        answers = ctx.read(registrar.check(ctx.clients, asked, "paid"))
        remember(registrar, answers, ctx.now)
        found |= {offer.name: offer for offer in answers}
    return found


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
