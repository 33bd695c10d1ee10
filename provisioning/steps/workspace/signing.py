"""Proof that mail is signed in the domain's name: a message from one of its mailboxes, received and verified.

A published key shows that signing is possible. Google signs with it from some time after a person has pressed a button, and
in its own name until then, so that a tick proves nothing and a message does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from django.utils.dateparse import parse_datetime

from infra.clock import seconds_between
from infra.dns import message
from infra.dns.compliance import Value
from infra.models import AuthenticationTest, TrialState

from ...engine import trials
from ...engine.context import Context, DomainItem, MailboxItem
from ...engine.entries import entered_at
from ...engine.outcomes import Done, NeedsOperator, Outcome, Wait, WaitsOn
from ...engine.specs import HOUR, MINUTE
from .. import by_hand
from ..common import LEAST_WAIT, one_by_one
from .made_by_hand import SIGNING

STEP = "signed"
ACTOR = "engine"
# Signing may begin some time after the button was pressed: when to test again, in seconds since somebody said so.
AFTER_START = (0.0, 5 * MINUTE, 15 * MINUTE, 30 * MINUTE, HOUR, 2 * HOUR, 6 * HOUR)
BY_ITSELF = 6 * HOUR  # between two tests while nobody says anything
TROUBLE = (MINUTE, 5 * MINUTE, 30 * MINUTE, HOUR)  # until the next test, by how many in a row came to no verdict


def signed(ctx: Context) -> Mapping[str, Outcome]:
    """See that a message from each domain carries a valid signature of that domain; ask a person to start signing."""
    return one_by_one(ctx.domains, lambda domain: _signed(ctx, domain))


def _signed(ctx: Context, domain: DomainItem) -> Outcome:
    boxes = sorted((one for one in ctx.mailboxes if one.domain.key == domain.key), key=lambda one: one.address)
    if not boxes:
        return Done()  # none of its mailboxes came so far: nothing of it sends
    made = list(AuthenticationTest.objects.filter(mailbox__in=[one.key for one in boxes]))
    if not made:
        return _test(ctx, domain, boxes[0], made)
    newest = made[0]
    if newest.is_open:
        return Wait(ctx.poll, on=_asked(domain, made), why="a test message is on its way")
    verdict = _verdict(newest)
    if verdict == Value.PASS and newest.verdicts.get("domain") == domain.name:
        return Done({"signed_at": ctx.now.isoformat()})
    if verdict is None or verdict == Value.UNKNOWN:
        return _no_verdict(ctx, domain, boxes[0], made)
    return _not_signed(ctx, domain, boxes[0], made)


def _verdict(test: AuthenticationTest) -> str | None:
    """Return what a test says of the signature; None where its message did not arrive."""
    return str(test.verdicts["dkim"]["value"]) if test.state == TrialState.JUDGED else None


def _test(ctx: Context, domain: DomainItem, mailbox: MailboxItem, made: Sequence[AuthenticationTest]) -> Outcome:
    trials.begin(mailbox=UUID(mailbox.key), student=ctx.provision.student_id, actor=ACTOR)
    return Wait(ctx.poll, on=_asked(domain, made), why="a test message is about to be sent")


def _asked(domain: DomainItem, made: Sequence[AuthenticationTest]) -> WaitsOn:
    """Return who has been asked about a domain and has not answered: a test that we make meanwhile is no answer, and asking
    anew after each would write to them each time."""
    judged, said = next((one for one in made if one.state == TrialState.JUDGED), None), _said(domain)
    if said is not None and (judged is None or judged.asked_at <= said):
        return WaitsOn.PLATFORM
    if domain.step_facts.get("question"):
        return WaitsOn.STUDENT
    return WaitsOn.OPERATOR if domain.step_facts.get("code") else WaitsOn.PLATFORM


def _said(domain: DomainItem) -> datetime | None:
    """Return when somebody last said that signing is started."""
    return parse_datetime(str(domain.facts.get(entered_at(STEP), "")))


def _no_verdict(ctx: Context, domain: DomainItem, mailbox: MailboxItem, made: Sequence[AuthenticationTest]) -> Outcome:
    """Test again, ever more rarely; where none comes to anything, a person looks."""
    newest = made[0]
    if newest.code == "no_probe":
        return NeedsOperator("not_configured", "PROBE_ADDRESS is not set: nobody can see whether mail is signed")
    in_vain = next((n for n, test in enumerate(made) if _verdict(test) not in (None, Value.UNKNOWN)), len(made))
    pause = TROUBLE[min(in_vain, len(TROUBLE)) - 1]
    waited = seconds_between(newest.ended_at or newest.asked_at, ctx.now)
    if waited >= pause:
        return _test(ctx, domain, mailbox, made)
    why = f"the test message of {mailbox.address} came to nothing: {newest.code or 'name servers did not answer'}"
    if in_vain > len(TROUBLE):
        return NeedsOperator("test_failed", f"{why} {newest.words}".strip())
    return Wait(max(LEAST_WAIT, pause - waited), why=why)


def _not_signed(ctx: Context, domain: DomainItem, mailbox: MailboxItem, made: Sequence[AuthenticationTest]) -> Outcome:
    """Ask a person to start signing; test again when they say that they have, and for a while after that."""
    newest, said = made[0], _said(domain)
    if said is not None:
        waited = seconds_between(said, ctx.now)
        if any(newest.asked_at < said + timedelta(seconds=one) <= ctx.now for one in AFTER_START):
            return _test(ctx, domain, mailbox, made)
        if later := next((one for one in AFTER_START if waited < one), None):
            why = f"mail of {domain.name} is not signed by it yet, which Google may take a while for"
            return Wait(max(LEAST_WAIT, later - waited), why=why)
    if seconds_between(newest.asked_at, ctx.now) >= BY_ITSELF:
        return _test(ctx, domain, mailbox, made)
    why = f"{domain.name}: {message.sentence(newest.verdicts['dkim']['said'])}"
    return by_hand.ask(ctx, SIGNING, 1, why)
