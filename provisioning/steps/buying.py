"""Buying domain names, wherever a stack buys them: once each, at a price that the package includes, and proven by a list."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from integrations.http.call import Call

from .. import offers
from ..engine.context import Context, DomainItem
from ..engine.ledger import ELSEWHERE, EXISTS, Book
from ..engine.outcomes import Done, Lost, NeedsOperator, Outcome, Wait
from ..engine.registrar import Offer, Registrar
from ..engine.specs import MINUTE
from .common import wait_for

UNPRICED_PAUSE = 5 * MINUTE
# Refusals that speak of one name without saying which.
NAME_REFUSED = frozenset({"name_taken", "banned_name", "name_has_workspace", "ending_not_sold", "price_changed"})
NO_MONEY = frozenset({"insufficient_wallet"})
AMBIGUOUS = NAME_REFUSED | NO_MONEY | {EXISTS}


@dataclass(frozen=True, slots=True)
class Shop:
    """Where a stack's names are bought.

    registrar  where they are asked for, once more before they are bought
    order      context, names and what each may cost at most -> the purchase, whose natural keys are the names
    there      context and names -> those that the account lists as ours
    note       what is listed of a name -> the facts that its domain keeps
    short      context and a sum in cents -> the wait for money, if there is too little
    cost       what a name is expected to cost, in cents, where the order does not say
    apart      names in one order go together only if this says the same of them
    """

    registrar: Registrar
    order: Callable[[Context, Mapping[str, int]], Call[Any]]
    there: Callable[[Context, Sequence[str]], Mapping[str, Any]]
    note: Callable[[Any], Mapping[str, Any]]
    short: Callable[[Context, int], Wait | None]
    cost: Callable[[Context], int]
    apart: Callable[[Context, DomainItem], object] = lambda ctx, domain: None


def buy(ctx: Context, shop: Shop) -> Mapping[str, Outcome]:
    """Buy the names, once each. Proven only when the domain list shows them; a name that is gone is `Lost`."""
    names = [domain.name for domain in ctx.domains]
    book = ctx.ledger.settle(names, partial(_order, ctx, shop), partial(shop.there, ctx, names), again=AMBIGUOUS)
    sendable = ctx.ledger.sendable(shop.registrar.platform, "buy_domains", names)
    held = _held_back(ctx, shop, sendable)
    wanted = [domain for domain in ctx.domains if domain.name in sendable and domain.name not in held]
    for together in dict.fromkeys(shop.apart(ctx, domain) for domain in wanted):
        book.join(_buy(ctx, shop, [domain.name for domain in wanted if shop.apart(ctx, domain) == together]))
    return {domain.key: held.get(domain.name) or _bought(ctx, shop, domain, book) for domain in ctx.domains}


def _held_back(ctx: Context, shop: Shop, sendable: list[str]) -> dict[str, Outcome]:
    """Return the names that are not to be sent now: lost, without a price, or not covered by the wallet."""
    failed_before = ctx.ledger.attempted(shop.registrar.platform, "buy_domains", sendable)
    # Where a purchase counts as a question too, asking without a permit left for it would be in vain.
    then = int(bool(sendable) and shop.registrar.budget in _order(ctx, shop, sendable).budgets)
    answers = offers.fresh(ctx, shop.registrar, sendable, always=failed_before, then=then)
    cap = ctx.order.get("domain_price_cap_cents", 0)
    held = {name: why for name in sendable if (why := _why_not(answers.get(name), cap))}
    wanted = [name for name in sendable if name not in held]
    # The wallet was looked at before the first attempt; an attempt that came to nothing may have lacked money.
    if wanted and failed_before and (short := shop.short(ctx, cost_of(ctx, shop, wanted))):
        held |= dict.fromkeys(wanted, short)
    return held


def _why_not(offer: Offer | None, cap_cents: int) -> Outcome | None:
    if offer is None:
        return Wait(UNPRICED_PAUSE, why="the platform says nothing about the name at the moment")
    if not offer.available:
        return Lost("The name was registered by somebody else.")
    if offer.premium or (offer.price_cents is not None and offer.price_cents > cap_cents):
        return Lost("The name costs more by now than the package includes.")
    if offer.price_cents is None:
        return Wait(UNPRICED_PAUSE, why="the platform names no price at the moment")
    return None


def cost_of(ctx: Context, shop: Shop, names: Sequence[str]) -> int:
    """Return what names are expected to cost, in cents."""
    prices = ctx.order.get("domain_prices", {})
    return sum(int(prices.get(name) or shop.cost(ctx)) for name in names)


def _order(ctx: Context, shop: Shop, names: Sequence[str]) -> Call[Any]:
    ceilings = {domain.name: domain.ceiling_cents for domain in ctx.domains}
    return shop.order(ctx, {name: ceilings[name] for name in names})


def _buy(ctx: Context, shop: Shop, names: list[str]) -> Book[Any]:
    """Send one order. When it is refused for one of several names and they do not say which, one order each tells."""
    again = AMBIGUOUS if len(names) > 1 else NO_MONEY
    book = ctx.ledger.bring_about(names, partial(_order, ctx, shop), partial(shop.there, ctx, names), again=again)
    if len(names) > 1 and book.refusal is not None and book.refusal.code not in NO_MONEY:
        for name in names:
            book.join(_buy(ctx, shop, [name]))
    return book


def _bought(ctx: Context, shop: Shop, domain: DomainItem, book: Book[Any]) -> Outcome:
    if domain.name in book.done:
        there = shop.there(ctx, [domain.name for domain in ctx.domains]).get(domain.name)
        if there is None:
            return Wait(ctx.poll, why="bought, and not in the list at the moment")
        return Done({**shop.note(there), "bought": True})
    if domain.name in book.rejected:
        refusal = book.rejected[domain.name]
        if refusal.code in NAME_REFUSED or refusal.code == ELSEWHERE:
            return Lost("The registry refused the name.")
        return NeedsOperator(refusal.code, f"{domain.name} was refused: {refusal.sentence}")
    if book.refusal is not None and book.refusal.code in NO_MONEY:
        return shop.short(ctx, cost_of(ctx, shop, [domain.name])) or Wait(ctx.poll, why=book.refusal.sentence)
    return wait_for(book, domain.name, ctx, "ordered; not in the domain list yet")
