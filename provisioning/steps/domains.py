"""Buying the domains, waiting until they are active, and their DMARC records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from integrations.http.call import Call
from integrations.registry import Clients
from integrations.zapmail import MOST_NAMES_PER_CHECK, SEARCH, DomainOffer, Receipt

from ..engine.context import Context, DomainItem
from ..engine.outcomes import Done, Failed, NeedsOperator, Outcome, Wait
from ..engine.registrar import Registrar
from .buying import Shop, buy
from .common import domains_there, wait_for
from .money import lack_of_funds


def _check(clients: Clients, names: Sequence[str], weight_class: str) -> Call[tuple[DomainOffer, ...]]:
    return clients.zapmail.check_domains(names, weight_class=weight_class)


REGISTRAR = Registrar("zapmail", SEARCH, MOST_NAMES_PER_CHECK, _check)


def _order(ctx: Context, ceilings: Mapping[str, int]) -> Call[Receipt]:
    return ctx.clients.zapmail.buy_domains(ctx.facts["zapmail_workspace_id"], ceilings)


SHOP = Shop(
    registrar=REGISTRAR,
    order=_order,
    there=lambda ctx, names: domains_there(ctx),
    note=lambda there: {"zapmail_domain_id": there.id},
    short=lack_of_funds,
    cost=lambda ctx: ctx.options.domain_cost_cents,
)


def buy_domains(ctx: Context) -> Mapping[str, Outcome]:
    """Buy the names into the student's workspace."""
    return buy(ctx, SHOP)


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
