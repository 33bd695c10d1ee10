"""Buying the domains, waiting until they are active, and their DMARC records."""

from __future__ import annotations

from collections.abc import Mapping

from integrations.zapmail import DomainOffer, Receipt

from .. import offers
from ..engine.context import Context, DomainItem
from ..engine.ledger import Book
from ..engine.outcomes import Done, Failed, Lost, NeedsOperator, Outcome, Wait
from .common import domains_there, wait_for
from .money import lack_of_funds

# Refusals that speak of one name without saying which.
NAME_REFUSED = frozenset(
    {"name_taken", "banned_name", "name_has_workspace", "ending_not_sold", "price_changed", "exists_elsewhere"}
)
NO_MONEY = frozenset({"insufficient_wallet"})


def buy_domains(ctx: Context) -> Mapping[str, Outcome]:
    """Buy the names, once each. Proven only when the domain list shows them; a name that is gone is `Lost`."""
    asked = [domain.name for domain in ctx.domains]
    lost = _gone(ctx, asked)
    names = [name for name in asked if name not in lost]
    if not names:
        return {domain.key: lost[domain.name] for domain in ctx.domains}
    again = ctx.ledger.attempted("zapmail", "buy_domains", names)
    if again and (short := lack_of_funds(ctx, len(again) * ctx.options.domain_cost_cents)):
        return {domain.key: lost.get(domain.name, short) for domain in ctx.domains}
    book = _buy(ctx, names, NAME_REFUSED | NO_MONEY)
    if book.refusal is not None and book.refusal.code in NAME_REFUSED:
        # One of them is refused and they do not say which: one request each tells.
        for name in names:
            single = _buy(ctx, [name], NO_MONEY)
            book.done |= single.done
            book.rejected |= single.rejected
            book.waiting |= single.waiting
    return {domain.key: lost.get(domain.name) or _bought(ctx, domain, book) for domain in ctx.domains}


def _gone(ctx: Context, names: list[str]) -> dict[str, Outcome]:
    """Return the names that can no longer be bought, of those that would be asked for now."""
    sendable = ctx.ledger.sendable("zapmail", "buy_domains", names)
    failed_before = ctx.ledger.attempted("zapmail", "buy_domains", sendable)
    answers = offers.fresh(ctx, sendable, always=failed_before)
    cap = ctx.order.get("domain_price_cap_cents", 0)
    return {name: Lost(reason) for name in sendable if (reason := _why_not(answers.get(name), cap))}


def _why_not(offer: DomainOffer | None, cap_cents: int) -> str:
    if offer is None:
        return ""
    if not offer.available:
        return "The name was registered by somebody else."
    if offer.premium or (offer.price_cents is not None and offer.price_cents > cap_cents):
        return "The name costs more by now than the package includes."
    return ""


def _buy(ctx: Context, names: list[str], again: frozenset[str]) -> Book[Receipt]:
    ceilings = {domain.name: domain.ceiling_cents for domain in ctx.domains}
    workspace = ctx.facts["zapmail_workspace_id"]
    return ctx.ledger.bring_about(
        names,
        lambda some: ctx.clients.zapmail.buy_domains(workspace, {name: ceilings[name] for name in some}),
        lambda: domains_there(ctx),
        again=again,
    )


def _bought(ctx: Context, domain: DomainItem, book: Book[Receipt]) -> Outcome:
    if domain.name in book.done:
        there = domains_there(ctx).get(domain.name)
        if there is None:
            return Wait(ctx.poll, why="bought, and not in the list at the moment")
        return Done({"zapmail_domain_id": there.id, "bought": True})
    if domain.name in book.rejected:
        refusal = book.rejected[domain.name]
        if refusal.code in NAME_REFUSED:
            return Lost("The registry refused the name.")
        return NeedsOperator(refusal.code, f"{domain.name} was refused: {refusal.sentence}")
    if book.refusal is not None and book.refusal.code in NO_MONEY:
        return lack_of_funds(ctx, ctx.options.domain_cost_cents) or Wait(ctx.poll, why=book.refusal.sentence)
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
