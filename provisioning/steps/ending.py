"""Taking an order down where domains and mailboxes are paid for in advance: nothing is deleted before its time ends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from integrations.http.errors import NotFound, Rejected
from integrations.zapmail import DnsRecord, Domain

from ..engine.context import Context, DomainItem
from ..engine.outcomes import Done, NeedsOperator, Outcome, Wait
from ..engine.specs import HOUR
from .common import domains_there, for_all, mailbox_pages

RENEWS = "renewal_on"  # code of the operator's task
NEVER_LISTED = 1 * HOUR  # what may have been bought at the end and is in no list by then was not bought
MOST_NAMED = 4


def keep_records(ctx: Context) -> Mapping[str, Outcome]:
    """Read the domains' records once more, for the student who takes a domain along. What cannot be read is left out."""
    kept = {}
    for domain in ctx.domains:
        if "zapmail_domain_id" in domain.facts and "zapmail_workspace_id" in ctx.facts:
            workspace, key = str(ctx.facts["zapmail_workspace_id"]), str(domain.facts["zapmail_domain_id"])
            try:
                records = ctx.read(ctx.clients.zapmail.list_dns_records(workspace, key))
            except (Rejected, NotFound):
                continue
            kept[domain.key] = records_facts(records, ctx.now)
    return {domain.key: Done(kept.get(domain.key, {})) for domain in ctx.domains}


def records_facts(records: Sequence[DnsRecord], now: Any) -> dict[str, Any]:
    """Return what is kept of a domain's records: rows of type, host, value and priority, and when they were read."""
    rows = [[one.type, one.host, one.value, one.priority] for one in records]
    return {"dns_records": rows, "dns_read_at": now.isoformat()}


def schedule_removal(ctx: Context) -> Mapping[str, Outcome]:
    """Have the mailboxes removed at their next renewal. An absolute value; read back as far as the list counts it."""
    if "zapmail_workspace_id" not in ctx.facts:
        return for_all(ctx.domains, Done({"removal": "scheduled"}))
    boxes = [box for page in mailbox_pages(ctx) for box in page.mailboxes]
    names = {domain.name for domain in ctx.domains}
    ids = {box.domain: box.domain_id for box in boxes if box.domain in names}
    if not ids:
        ctx.ledger.seen("zapmail", "schedule_removal")
    refused = _mark(ctx, ids) if ids else {}
    marked = sum(box.domain in ids and box.domain not in refused for box in boxes)
    counted = mailbox_pages(ctx)[0].scheduled

    def judge(domain: DomainItem) -> Outcome:
        if domain.name in refused:
            why = f"{domain.name}: the removal of its mailboxes was refused: {refused[domain.name].sentence}"
            return NeedsOperator("removal_refused", why)
        if domain.name in ids and counted is not None and counted < marked:
            return Wait(ctx.poll, why="the list counts fewer mailboxes to be removed than were asked for")
        return Done({"removal": "scheduled"})

    return {domain.key: judge(domain) for domain in ctx.domains}


def _mark(ctx: Context, ids: Mapping[str, str]) -> dict[str, Rejected | NotFound]:
    """Send the mark; where one of several domains is refused, each tells for itself. Return the refusals."""
    workspace = str(ctx.facts["zapmail_workspace_id"])
    try:
        ctx.ledger.apply(ctx.clients.zapmail.schedule_removal(workspace, ids))
    except (Rejected, NotFound) as refusal:
        if len(ids) == 1:
            return dict.fromkeys(ids, refusal)
        refused: dict[str, Rejected | NotFound] = {}
        for name, key in ids.items():
            refused |= _mark(ctx, {name: key})
        return refused
    return {}


def renewal_off(ctx: Context) -> Mapping[str, Outcome]:
    """See in the list that no domain renews itself. No call is documented that switches it: a person does, once asked."""
    if "zapmail_workspace_id" not in ctx.facts:
        return for_all(ctx.domains, Done({"renewal": "off"}))
    there = domains_there(ctx)
    renewing = [there[domain.name] for domain in ctx.domains if domain.name in there and renews(there[domain.name])]

    def judge(domain: DomainItem) -> Outcome:
        found = there.get(domain.name)
        if found is None:
            if not domain.facts.get("bought") and ctx.waited > NEVER_LISTED:
                return Done({"renewal": "off"})
            return Wait(ctx.poll, why="not in the list at the moment")
        if renews(found):
            return NeedsOperator(RENEWS, request_of(renewing))
        return Done({"renewal": "off", **bought_facts(found)})

    return {domain.key: judge(domain) for domain in ctx.domains}


def renews(domain: Domain) -> bool:
    """Tell whether a domain renews itself, or may: what the platform does not say counts as yes."""
    return domain.status != "EXPIRED" and domain.auto_renew is not False


def bought_facts(domain: Domain) -> dict[str, Any]:
    """Return what is noted of a domain that is in the list."""
    return {"zapmail_domain_id": domain.id, "bought": True, "expires_on": domain.expires_on}


def request_of(domains: Sequence[Domain]) -> str:
    """Return what the operator is asked to do, for all these domains at once."""
    names = ", ".join(domain.name for domain in domains[:MOST_NAMED])
    more = f" and {len(domains) - MOST_NAMED} more" if len(domains) > MOST_NAMED else ""
    first = min((domain.expires_on[:10] for domain in domains if domain.expires_on), default="")
    by = f" before {first}" if first else ""
    return f"switch auto-renew off in Zapmail's dashboard{by}: {names}{more}; this closes when the list shows it off"
