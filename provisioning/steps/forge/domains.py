"""Buying the domains at InfraForge, waiting until they are active, their renewal, and their DMARC records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from infra.clock import VendorInstant
from infra.dns.plan import Action, Existing, plan
from infra.dns.records import BadRecord, Record, purpose, record, tags
from integrations import infraforge
from integrations.http.call import Call
from integrations.http.errors import NotFound, Rejected
from integrations.registry import Clients

from ...engine.context import Context, DomainItem
from ...engine.ledger import ELSEWHERE
from ...engine.outcomes import Done, Failed, Lost, NeedsOperator, Outcome, Wait, WaitsOn
from ...engine.registrar import Registrar
from ...engine.specs import MINUTE
from ..buying import NO_MONEY, Shop, buy
from ..common import chances, for_all, look, one_by_one, wait_for
from .common import domains_there, workspace_of
from .workspaces import LOOK_FOR_MONEY, lack_of_credits

WANTED = ("MX", "SPF", "DKIM", "DMARC")
READ_AGAIN = timedelta(hours=1)  # until what the platform lists is read once more, while it is not seen everywhere
BULK_ATTEMPTS = 3
RENEWAL_ATTEMPTS = 3
RENEWAL_TAKES = 15 * MINUTE  # what the list does not show by then is asked for again
BULK_TAKES = 15 * MINUTE  # what their bulk call has not changed by then is changed record by record


def _check(clients: Clients, names: Sequence[str], weight_class: str) -> Call[tuple[infraforge.DomainOffer, ...]]:
    return clients.infraforge.check_domains(names, weight_class=weight_class)


REGISTRAR = Registrar("infraforge", infraforge.GENERAL, infraforge.MOST_NAMES_PER_CHECK, _check)


def _order(ctx: Context, ceilings: Mapping[str, int]) -> Call[infraforge.Receipt]:
    domain = next(one for one in ctx.domains if one.name in ceilings)
    contact = infraforge.contact_of(ctx.options.operator_contact, ctx.options.dmarc_report_email)
    return ctx.clients.infraforge.buy_domains(
        workspace_of(ctx, domain), ceilings, contact, ctx.options.dmarc_report_email
    )


SHOP = Shop(
    registrar=REGISTRAR,
    order=_order,
    there=domains_there,
    note=lambda there: {"infraforge_domain_id": there.id, "infraforge_workspace_id": there.workspace_id},
    short=lack_of_credits,
    cost=lambda ctx: ctx.options.forge_domain_cost_cents,
    apart=workspace_of,
)


def buy_domains(ctx: Context) -> Mapping[str, Outcome]:
    """Buy the names, those of one workspace together. The registrant is the operator."""
    return buy(ctx, SHOP)


def connect_domains(ctx: Context) -> Mapping[str, Outcome]:
    """Have InfraForge expect domains that their student owns, and note the nameservers that it names for them."""
    return one_by_one(ctx.domains, lambda domain: _connect(ctx, domain))


def _connect(ctx: Context, domain: DomainItem) -> Outcome:
    name = domain.name
    workspace, email = workspace_of(ctx, domain), ctx.options.dmarc_report_email
    book = ctx.ledger.bring_about(
        [name],
        lambda names: ctx.clients.infraforge.transfer_domains(workspace, names, email),
        lambda: domains_there(ctx, [name]),
        again=NO_MONEY,
    )
    if (refusal := book.rejected.get(name)) is not None:
        return _not_taken(name, refusal)
    if book.refusal is not None:  # of money
        return lack_of_credits(ctx, ctx.options.forge_domain_cost_cents) or Wait(
            LOOK_FOR_MONEY, on=WaitsOn.FUNDS, why=f"bringing {name} in: {book.refusal.sentence}"
        )
    there = domains_there(ctx, [name]).get(name) if name in book.done else None
    if there is None:
        return wait_for(book, name, ctx, "whether InfraForge expects the domain is being checked")
    named = ctx.read(ctx.clients.infraforge.transfer_nameservers())
    return Done({**SHOP.note(there), "nameservers": list(named)})


def _not_taken(name: str, refusal: Rejected) -> Outcome:
    if refusal.code in ("ending_not_sold", "bad_name"):
        return Lost(f"The platform takes no domain like {name}.")
    if refusal.code == ELSEWHERE:
        why = f"{name} is in another workspace of the account: whose it is, and whether it may be moved here, a person says"
        return NeedsOperator("own_domain_elsewhere", f"{why}; move it in InfraForge's dashboard, then retry")
    return NeedsOperator(refusal.code, f"{name} was refused: {refusal.sentence}")


def domains_active(ctx: Context) -> Mapping[str, Outcome]:
    """Wait until each domain is active."""
    there = domains_there(ctx, [domain.name for domain in ctx.domains])

    def judge(domain: DomainItem) -> Outcome:
        found = there.get(domain.name)
        if found is None:
            return Wait(ctx.poll, why="not in the list at the moment")
        if found.active:
            return Done({} if domain.is_own else {"expires_on": found.expires_on})
        if found.failed:
            return Failed("domain_failed", "The platform could not set the domain up.")
        return Wait(ctx.poll, why=f"the domain is {found.status or 'not ready'}")

    return {domain.key: judge(domain) for domain in ctx.domains}


def renewal_on(ctx: Context) -> Mapping[str, Outcome]:
    """Switch the renewal on, which begins switched off: the set-up must not end after a year by itself."""
    return _renewal(ctx, on=True)


def renewal_off(ctx: Context) -> Mapping[str, Outcome]:
    """Switch the renewal off and see it off; nothing is deleted before its paid time ends."""
    return _renewal(ctx, on=False)


def _renewal(ctx: Context, *, on: bool) -> Mapping[str, Outcome]:
    if "infraforge_workspaces" not in ctx.facts:  # the set-up never came that far
        return for_all(ctx.domains, Done({"renewal": "off"}))
    client, verb = ctx.clients.infraforge, f"{'enable' if on else 'disable'}_autorenew"
    position = "on" if on else "off"

    def judge(domain: DomainItem) -> Outcome:
        there = domains_there(ctx, [domain.name]).get(domain.name)
        if there is None:
            if not on and not domain.facts.get("bought"):
                return Done({"renewal": "off"})  # what was never bought renews nothing
            return Wait(ctx.poll, why="not in the list at the moment")
        if there.auto_renew is not on:
            sent = ctx.ledger.counts("infraforge", verb, [domain.name])[domain.name]
            tries = sent - chances(domain, RENEWAL_ATTEMPTS) + RENEWAL_ATTEMPTS  # since an operator had it tried again
            if ctx.waited < tries * RENEWAL_TAKES:
                return Wait(ctx.poll, why=f"the list does not show the renewal switched {position} yet")
            if tries >= RENEWAL_ATTEMPTS:
                why = f"InfraForge was asked {tries} times to switch the renewal of {domain.name} {position}, in vain"
                return NeedsOperator(f"renewal_{position}", f"{why}: switch it in its dashboard, or retry")
            ids = {domain.name: there.id}
            ctx.ledger.apply(client.enable_autorenew(ids) if on else client.disable_autorenew(ids))
            there = domains_there(ctx, [domain.name]).get(domain.name)  # as it is now
        if there is None or there.auto_renew is not on:
            return Wait(ctx.poll, why=f"the list does not show the renewal switched {position} yet")
        ctx.ledger.prove("infraforge", verb, {domain.name: {"read_back": True}})
        return Done({"renewal": position, "expires_on": there.expires_on})

    return one_by_one(ctx.domains, judge)


def dmarc(ctx: Context) -> Mapping[str, Outcome] | Outcome:
    """Set the first DMARC policy and the address of the reports, in a domain of the operator.

    Their bulk call changes that record alone. Where it changed nothing after a while, the whole set is read, planned with
    that one record changed, and written back whole: a set that lacks a row would take the domain's mail down.
    """
    address, policy = ctx.options.dmarc_report_email, str(ctx.order.get("dmarc_policy", "none"))
    if not address:
        return NeedsOperator("dmarc_address", "DMARC_REPORT_EMAIL is not set")
    client = ctx.clients.infraforge

    def judge(domain: DomainItem) -> Outcome:
        name, key = domain.name, _id(domain)
        rows = ctx.read(client.get_dns(key))
        if not _says(rows, name, policy, address):
            if not _changed_in_bulk(ctx, name, key, policy, address):
                wanted = record("TXT", f"_dmarc.{name}", f"v=DMARC1; p={policy}; rua=mailto:{address}")
                if whole := planned(rows, name, wanted):
                    ctx.ledger.apply(client.put_dns(name, key, whole))
            rows = ctx.read(client.get_dns(key))  # as it is now: a write makes the next read a new one
        if not _says(rows, name, policy, address):
            return Wait(ctx.poll, why="the DMARC record is not as we want it yet")
        for verb in ("set_dmarc_bulk", "put_dns"):
            ctx.ledger.prove("infraforge", verb, {name: {"read_back": True}})
        return Done({"dmarc_report_email": address, **kept_records(rows, ctx.now)})

    return one_by_one(ctx.domains, judge)


def _changed_in_bulk(ctx: Context, name: str, key: str, policy: str, address: str) -> bool:
    """Have the record changed by their bulk call; return whether it may yet be. Refused, or in vain for long, it is not:
    whether that call takes ids or names is documented both ways."""
    if ctx.waited >= BULK_TAKES:
        return False
    if ctx.ledger.counts("infraforge", "set_dmarc_bulk", [name], here=True)[name] < BULK_ATTEMPTS:
        try:
            ctx.ledger.apply(ctx.clients.infraforge.set_dmarc_bulk({name: key}, policy, address))
        except NotFound:
            return False
    return True


def planned(rows: Sequence[infraforge.DnsRecord], zone: str, wanted: Record) -> list[infraforge.DnsRecord]:
    """Return the whole set with its DMARC record as `wanted` and every other row as it was read; empty where that is
    not safe, as in a set without mail server, SPF or key."""
    there = {str(place): found for place, row in enumerate(rows) if (found := _canonical(*plain_row(row))) is not None}
    existing = [Existing(key, found, ours=_is_dmarc(rows[int(key)], zone)) for key, found in there.items()]
    change = plan(zone, [wanted], existing)
    if not {"MX", "SPF", "DKIM"} <= set(map(purpose, there.values())) or not change.is_safe:
        return []
    mine = infraforge.DnsRecord(wanted.owner, "TXT", wanted.value)
    becomes = {step.existing.id: step.action for step in change.steps if step.existing}
    kept = [
        mine if becomes.get(str(place)) is Action.UPDATE else row
        for place, row in enumerate(rows)
        if becomes.get(str(place)) is not Action.DELETE
    ]
    return kept if mine in kept else [*kept, mine]


def _is_dmarc(row: infraforge.DnsRecord, domain: str) -> bool:
    return row.type == "TXT" and row.name == f"_dmarc.{domain}"


def _says(rows: Sequence[infraforge.DnsRecord], domain: str, policy: str, address: str) -> bool:
    """Tell whether the one DMARC record has the policy, and the address among those of its reports."""
    found = [dict(tags(row.value.strip(' "'))) for row in rows if _is_dmarc(row, domain)]
    return (
        len(found) == 1
        and found[0].get("p", "").lower() == policy
        and f"mailto:{address}".lower() in (part.strip().lower() for part in found[0].get("rua", "").split(","))
    )


def records(ctx: Context) -> Mapping[str, Outcome]:
    """See every record that mail needs in public DNS, through resolvers of our own; what was seen is kept and shown."""
    return one_by_one(ctx.domains, lambda domain: _seen(ctx, domain))


def _seen(ctx: Context, domain: DomainItem) -> Outcome:
    kept = {name: domain.facts[name] for name in ("dns_records", "dns_read_at") if name in domain.facts}
    if str(kept.get("dns_read_at", "")) < (ctx.now - READ_AGAIN).isoformat():
        rows = ctx.read(ctx.clients.infraforge.get_dns(_id(domain)))
        kept = kept_records(rows, ctx.now)
    listed = [one for row in kept["dns_records"] if (one := _canonical(*row)) is not None]
    missing = [kind for kind in WANTED if kind not in set(map(purpose, listed))]
    if missing:
        return Wait(ctx.poll, why=f"the platform lists no {' and no '.join(missing)} record", facts=kept)
    return look(ctx, listed, domain.name, kept)


def _id(domain: DomainItem) -> str:
    return str(domain.facts["infraforge_domain_id"])


def _canonical(kind: str, host: str, value: str, priority: int | None) -> Record | None:
    """Return a row as a record that can be looked for; None for a type that mail does not need."""
    try:
        return record(kind, host, value, priority)
    except BadRecord:
        return None


def kept_records(rows: Sequence[infraforge.DnsRecord], now: VendorInstant) -> dict[str, Any]:
    """Return what is kept of a domain's records: rows of type, host, value and priority, and when they were read."""
    return {"dns_records": [list(plain_row(row)) for row in rows], "dns_read_at": now.isoformat()}


def plain_row(row: infraforge.DnsRecord) -> tuple[str, str, str, int | None]:
    """Return a row as type, host, value and priority."""
    head, _, host = row.value.partition(" ")
    if row.type == "MX" and head.isdecimal():
        return row.type, row.name, host.strip(), int(head)
    return row.type, row.name, row.value, None
