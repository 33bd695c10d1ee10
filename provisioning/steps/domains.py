"""Buying the domains, waiting until they are active, and their DMARC records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from integrations.http.call import Call
from integrations.registry import Clients
from integrations.zapmail import MOST_NAMES_PER_CHECK, SEARCH, DomainOffer, Receipt

from .. import offers
from ..engine.context import Context, DomainItem
from ..engine.ledger import ELSEWHERE, EXISTS, Book
from ..engine.outcomes import Done, Failed, Lost, NeedsOperator, Outcome, Wait
from ..engine.registrar import Offer, Registrar
from ..engine.specs import MINUTE
from .common import domains_there, wait_for
from .money import lack_of_funds

UNPRICED_PAUSE = 5 * MINUTE
# Refusals that speak of one name without saying which.
NAME_REFUSED = frozenset({"name_taken", "banned_name", "name_has_workspace", "ending_not_sold", "price_changed"})
NO_MONEY = frozenset({"insufficient_wallet"})
AMBIGUOUS = NAME_REFUSED | NO_MONEY | {EXISTS}


def _check(clients: Clients, names: Sequence[str], weight_class: str) -> Call[tuple[DomainOffer, ...]]:
    return clients.zapmail.check_domains(names, weight_class=weight_class)


REGISTRAR = Registrar("zapmail", SEARCH, MOST_NAMES_PER_CHECK, _check)


def buy_domains(ctx: Context) -> Mapping[str, Outcome]:
    """Buy the names, once each. Proven only when the domain list shows them; a name that is gone is `Lost`."""
    names = [domain.name for domain in ctx.domains]
    book = ctx.ledger.settle(names, partial(_order, ctx), lambda: domains_there(ctx), again=AMBIGUOUS)
    sendable = ctx.ledger.sendable("zapmail", "buy_domains", names)
    held = _held_back(ctx, sendable)
    wanted = [name for name in sendable if name not in held]
    if wanted:
        book.join(_buy(ctx, wanted))
    return {domain.key: held.get(domain.name) or _bought(ctx, domain, book) for domain in ctx.domains}


def _held_back(ctx: Context, sendable: list[str]) -> dict[str, Outcome]:
    """Return the names that are not to be sent now: lost, without a price, or not covered by the wallet."""
    failed_before = ctx.ledger.attempted("zapmail", "buy_domains", sendable)
    answers = offers.fresh(ctx, REGISTRAR, sendable, always=failed_before)
    cap = ctx.order.get("domain_price_cap_cents", 0)
    held = {name: why for name in sendable if (why := _why_not(answers.get(name), cap))}
    wanted = [name for name in sendable if name not in held]
    # The wallet was looked at before the first attempt; an attempt that came to nothing may have lacked money.
    if wanted and failed_before and (short := lack_of_funds(ctx, _cost(ctx, wanted))):
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


def _cost(ctx: Context, names: Sequence[str]) -> int:
    prices = ctx.order.get("domain_prices", {})
    return sum(int(prices.get(name) or ctx.options.domain_cost_cents) for name in names)


def _order(ctx: Context, names: Sequence[str]) -> Call[Receipt]:
    ceilings = {domain.name: domain.ceiling_cents for domain in ctx.domains}
    return ctx.clients.zapmail.buy_domains(ctx.facts["zapmail_workspace_id"], {name: ceilings[name] for name in names})


def _buy(ctx: Context, names: list[str]) -> Book[Receipt]:
    """Send one order. When it is refused for one of several names and they do not say which, one order each tells."""
    again = AMBIGUOUS if len(names) > 1 else NO_MONEY
    book = ctx.ledger.bring_about(names, partial(_order, ctx), lambda: domains_there(ctx), again=again)
    if len(names) > 1 and book.refusal is not None and book.refusal.code not in NO_MONEY:
        for name in names:
            book.join(_buy(ctx, [name]))
    return book


def _bought(ctx: Context, domain: DomainItem, book: Book[Receipt]) -> Outcome:
    if domain.name in book.done:
        there = domains_there(ctx).get(domain.name)
        if there is None:
            return Wait(ctx.poll, why="bought, and not in the list at the moment")
        return Done({"zapmail_domain_id": there.id, "bought": True})
    if domain.name in book.rejected:
        refusal = book.rejected[domain.name]
        if refusal.code in NAME_REFUSED or refusal.code == ELSEWHERE:
            return Lost("The registry refused the name.")
        return NeedsOperator(refusal.code, f"{domain.name} was refused: {refusal.sentence}")
    if book.refusal is not None and book.refusal.code in NO_MONEY:
        return lack_of_funds(ctx, _cost(ctx, [domain.name])) or Wait(ctx.poll, why=book.refusal.sentence)
    return wait_for(book, domain.name, ctx, "ordered; not in the domain list yet")


def domains_active(ctx: Context) -> Mapping[str, Outcome]:
    """Wait until each domain is active and its DNS is ready. Absence from the list for a while is normal."""
    there = domains_there(ctx)

    def judge(domain: DomainItem) -> Outcome:
        found = there.get(domain.name)
        if found is None:
            return Wait(ctx.poll, why="not in the list at the moment")
        if found.dns_ready:
            return Done({"expires_on": found.expires_on})
        if found.status == "FAILED":
            return Failed("domain_failed", "The platform could not set the domain up.")
        return Wait(ctx.poll, why=f"the domain is {found.status.lower() or 'not ready'}")

    return {domain.key: judge(domain) for domain in ctx.domains}


def dmarc(ctx: Context) -> Mapping[str, Outcome] | Outcome:
    """Set the address that DMARC reports go to, in a domain of the operator: elsewhere they never arrive."""
    address = ctx.options.dmarc_report_email
    if not address:
        return NeedsOperator("dmarc_address", "DMARC_REPORT_EMAIL is not set")
    workspace = ctx.facts["zapmail_workspace_id"]
    ids = {domain.name: str(domain.facts["zapmail_domain_id"]) for domain in ctx.domains}

    def look() -> Mapping[str, object]:
        there = domains_there(ctx)
        return {
            name: {"dmarc_email": address}
            for name in ids
            if name in there and there[name].dmarc_email.lower() == address.lower() and there[name].dmarc_applied
        }

    book = ctx.ledger.bring_about(
        list(ids),
        lambda some: ctx.clients.zapmail.set_dmarc(workspace, {name: ids[name] for name in some}, address),
        look,
    )
    for refusal in book.rejected.values():
        raise refusal
    return {
        domain.key: Done({"dmarc_report_email": address})
        if domain.name in book.done
        else wait_for(book, domain.name, ctx, "the DMARC record is not confirmed yet")
        for domain in ctx.domains
    }
