"""A domain that the student owns already, for every stack that takes one: whose it is, its nameservers prove.

Until it leads to the servers that we name, nothing is done for it that anybody outside could notice; the order's other
domains go on. First of all it is noted where it leads and what lies there (`first_look`). Then the stack has its platform
expect it, and leaves the fact `nameservers`: the servers to name. Where something lies there that would stop, mail above
all, its owner says that it may before the servers are named.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.utils.dateparse import parse_datetime

from infra.clock import seconds_between
from infra.dns.delegation import Delegation
from infra.models import Domain

from ..engine.context import Context, DomainItem
from ..engine.outcomes import Done, NeedsOperator, NeedsStudent, Outcome, Wait
from ..engine.specs import DAY, HOUR, MINUTE

QUESTION = "nameservers"  # the page's form; also the kind of the letter
MAY_STOP = "may_stop"  # the question before it, in the same letter
LOOK_AGAIN, LOOK_LATER = 5 * MINUTE, 1 * HOUR
REMIND_AFTER, LATE_AFTER = 1 * DAY, 2 * DAY
NOT_UPDATED = "NAMESERVER_NOT_UPDATED"
UNPROVEN = "own_domain_unproven"  # codes of the operator's tasks


def first_look(ctx: Context) -> Mapping[str, Outcome]:
    """Note where each domain leads and what lies there, before anybody is asked to change that.

    A step of its own: what was seen is kept before anything is done that its owner might follow.
    """
    return {domain.key: _first_look(ctx, domain) for domain in ctx.domains}


def _first_look(ctx: Context, domain: DomainItem) -> Outcome:
    found = ctx.delegation(domain.name)
    if not found.was_answered:
        return Wait(ctx.poll, why=f"nobody says where {domain.name} leads at the moment")
    there = ctx.present(domain.name)
    return Done(
        {
            "nameservers_before": list(found.servers),
            "records_before": [one.as_json() for one in there.records],
            "records_before_known": there.was_answered,
        }
    )


def has_something_to_stop(facts: Mapping[str, Any]) -> bool:
    """Tell whether something lay at a domain that stops when it leads elsewhere, or may have: nobody said."""
    return bool(facts.get("records_before")) or not facts.get("records_before_known")


def must_say(facts: Mapping[str, Any]) -> bool:
    """Tell whether the owner has still to say that this may stop."""
    return has_something_to_stop(facts) and not facts.get("may_stop_at")


def named(facts: Mapping[str, Any]) -> list[str]:
    """Return the servers that a domain shall lead to; a person who notes them by hand may write them in one line."""
    servers = facts.get("nameservers") or ()
    return servers.replace(",", " ").split() if isinstance(servers, str) else [str(one) for one in servers]


def nameservers(ctx: Context) -> Mapping[str, Outcome]:
    """Wait until the servers above each domain say that it leads to those that its owner was told."""
    return {domain.key: _judge(ctx, domain) for domain in ctx.domains}


def _judge(ctx: Context, domain: DomainItem) -> Outcome:
    wanted, found = named(domain.facts), ctx.delegation(domain.name)
    facts = _noted(ctx, domain, found)
    if not (found.was_answered and found.leads_to(wanted)):
        if found.was_answered:
            facts["nameservers_elsewhere"] = True
        if must_say(domain.facts):
            return _ask(ctx, facts, f"whether what lies at {domain.name} today may stop", MAY_STOP)
        return _ask(ctx, facts, _led(domain, facts, found), QUESTION)
    if not _proves(ctx, domain, wanted):
        why = f"{domain.name} led to our nameservers before we had named them, so they do not show that the student owns it"
        return NeedsOperator(UNPROVEN, f"{why}: have it shown in another way, then mark this step as done by hand")
    return Done({**facts, "connected": True})


def _proves(ctx: Context, domain: DomainItem, wanted: list[str]) -> bool:
    """Tell whether leading here shows that the student owns a domain: it led elsewhere before, or was theirs already."""
    before = domain.facts.get("nameservers_before")
    if domain.facts.get("nameservers_elsewhere"):
        return True
    if before is not None and not Delegation(domain.name, tuple(before)).leads_to(wanted):
        return True
    theirs = Domain.objects.filter(student=ctx.provision.student_id, name=domain.name, connected_at__isnull=False)
    return theirs.exists()


def _noted(ctx: Context, domain: DomainItem, found: Delegation) -> dict[str, Any]:
    asked = {"nameservers_asked_at": domain.facts.get("nameservers_asked_at") or ctx.now.isoformat()}
    if not found.was_answered:  # what was seen last stays, with its age
        return asked
    return {**asked, "nameservers_seen": list(found.servers), "nameservers_seen_at": ctx.now.isoformat()}


def _led(domain: DomainItem, facts: Mapping[str, Any], found: Delegation) -> str:
    if not found.was_answered:
        return f"nobody says where {domain.name} leads at the moment: {found.why}"
    return f"{domain.name} leads to {', '.join(facts['nameservers_seen']) or 'nowhere'}"


def _ask(ctx: Context, facts: Mapping[str, Any], why: str, question: str) -> Outcome:
    """Ask the owner whether something may stop, or to change the nameservers: a letter at once, another after a day, and
    one when two have passed. Then the operator is told as well, and we look more rarely; nothing is given up."""
    asked = parse_datetime(str(facts["nameservers_asked_at"])) or ctx.now
    waited = seconds_between(asked, ctx.now)
    is_late = waited >= LATE_AFTER
    return NeedsStudent(
        question,
        f"its nameservers were not changed within {LATE_AFTER / HOUR:.0f} hours: {why}" if is_late else why,
        look_again=LOOK_LATER if is_late else min(LOOK_AGAIN, LATE_AFTER - waited),
        mail=QUESTION,
        notice=2 if is_late else 1 if waited >= REMIND_AFTER else 0,
        code=NOT_UPDATED if is_late else "",
        facts=facts,
    )
