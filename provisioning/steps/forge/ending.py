"""Taking an order down: records kept, renewal off, and what is paid by the month ended by a person."""

from __future__ import annotations

from collections.abc import Mapping

from integrations.http.errors import NotFound, Rejected

from ...engine.context import Context
from ...engine.outcomes import Done, NeedsOperator, Outcome
from .domains import kept_records

BY_THE_MONTH = "paid_by_the_month"  # code of the operator's task


def keep_records(ctx: Context) -> Mapping[str, Outcome]:
    """Read the domains' records once more, for the student who takes a domain along. What cannot be read is left out."""
    kept = {}
    for domain in ctx.domains:
        if "infraforge_domain_id" not in domain.facts:
            continue
        try:
            rows = ctx.read(ctx.clients.infraforge.get_dns(str(domain.facts["infraforge_domain_id"])))
        except (Rejected, NotFound):
            continue
        kept[domain.key] = kept_records(rows, ctx.now)
    return {domain.key: Done(kept.get(domain.key, {})) for domain in ctx.domains}


def end_subscriptions(ctx: Context) -> Outcome:
    """See that no dedicated IP is paid for any more.

    The call that ends an IP takes its workspace's mailboxes out of service at once, and mail in them is lost: a person
    decides when, with the day until which the student has paid in view. This closes when the list shows no IP.
    """
    mine = {str(one) for one in ctx.facts.get("infraforge_workspaces", ())}
    if not mine:
        return Done()
    held = [one for one in ctx.read(ctx.clients.infraforge.list_workspaces()) if one.id in mine and one.ip]
    if not held:
        return Done()
    ips = ", ".join(f"{one.ip} ({one.name})" for one in held)
    why = f"end the mailboxes and the dedicated IP in InfraForge's dashboard when the paid time is over: {ips}"
    return NeedsOperator(BY_THE_MONTH, f"{why}; this closes when the list shows no IP")
