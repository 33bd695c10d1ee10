"""Leading a student's own domain to its zone: at GoDaddy by the student's own token, elsewhere by its owner."""

from __future__ import annotations

import uuid
from collections.abc import Mapping

from django.utils.dateparse import parse_datetime

from infra.clock import seconds_between
from integrations.http.errors import BadCredentials, NotFound, OutcomeUnknown, Rejected, Retryable

from ...engine.context import Context, DomainItem
from ...engine.outcomes import Done, NeedsStudent, Outcome, Wait
from ...engine.specs import MINUTE
from .. import owning

PLATFORM, VERB = "godaddy", "set_nameservers"
ATTEMPTS = 3  # requests until the owner is asked after all
TAKES = 90 * MINUTE  # an operation of theirs, and the servers above that follow
SENT_AT = "nameservers_sent_at"


def nameservers(ctx: Context) -> Mapping[str, Outcome]:
    """Wait until each domain leads to its zone. Where its owner would be asked to change that at GoDaddy, and has let us in
    there, we do it: nobody is written to unless that does not work.

    What stops at the domain is asked about all the same, and that it led elsewhere before is what proves whose it is.
    """
    outcomes = dict(owning.nameservers(ctx))
    if not ctx.accounts.is_own(PLATFORM):
        return outcomes
    for domain in ctx.domains:
        asked = outcomes[domain.key]
        if isinstance(asked, Done):  # the servers above it say so, whatever became of an answer
            ctx.ledger.prove(PLATFORM, VERB, {domain.name: {"read_back": True}})
        if isinstance(asked, NeedsStudent) and asked.question == owning.QUESTION:
            outcomes[domain.key] = _lead_here(ctx, domain, asked)
    return outcomes


def _lead_here(ctx: Context, domain: DomainItem, asked: NeedsStudent) -> Outcome:
    """Change the servers of a domain that is in the student's GoDaddy account; else ask its owner, as without it."""
    client, name, wanted = ctx.clients.godaddy, domain.name, owning.named(domain.facts)
    try:
        held = ctx.read(client.get_domain(name))
        if not held.active:
            return asked
        if set(held.nameservers) == set(wanted):
            return _follows(ctx, domain, asked)
        tries = ctx.ledger.counts(PLATFORM, VERB, [name])[name]
        if tries and _sent(ctx, domain) < TAKES:
            return _follows(ctx, domain, asked)
        if tries >= ATTEMPTS or len(wanted) < 2:
            return asked
        key = uuid.uuid5(uuid.NAMESPACE_DNS, f"{ctx.reference} {name} {' '.join(wanted)} {tries}")
        ctx.ledger.apply(client.set_nameservers(name, wanted, str(key)))
    except (NotFound, Rejected, BadCredentials):  # elsewhere, protected, or not let in: its owner changes it by hand
        return asked
    except (Retryable, OutcomeUnknown):
        if _sent(ctx, domain) >= TAKES:
            return asked
    return _follows(ctx, domain, asked, sent=True)


def _sent(ctx: Context, domain: DomainItem) -> float:
    """Return the seconds since the change was asked for; since just now where it was not."""
    sent = parse_datetime(str(domain.facts.get(SENT_AT) or ""))
    return seconds_between(sent, ctx.now) if sent is not None else 0.0


def _follows(ctx: Context, domain: DomainItem, asked: NeedsStudent, *, sent: bool = False) -> Outcome:
    """Wait for the servers above a domain, which follow late; not for ever."""
    if not sent and _sent(ctx, domain) >= 4 * TAKES:
        return asked
    known = domain.facts.get(SENT_AT)
    facts = {**asked.facts, SENT_AT: ctx.now.isoformat() if sent or not known else known}
    return Wait(ctx.poll, why=f"GoDaddy leads {domain.name} to our name servers; the servers above follow", facts=facts)
