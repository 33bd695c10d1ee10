"""The automatic stop: when too much goes wrong within an hour, new orders are stopped until a person opens them again.

Judged from rows, once a minute, in machine time. What is being built goes on; only new orders stop. Long before that the
operator is told by `alerts`, which this look sets off.

    more than 5 % of all steps fail                    stops `orders`
    more than 10 % of a stack's DNS set-ups fail       stops `stack:<slug>`
    more than 20 % of the requests that make a stack's mailboxes fail   stops `stack:<slug>`
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import connection
from django.db.models import Q, QuerySet

from infra import clock, flags
from infra.models import Flag, OperationState, StepState

from . import alerts
from .engine.outcomes import WaitsOn
from .engine.specs import StackSpec
from .models import Operation, Step
from .stacks import STACKS

WINDOW = timedelta(hours=1)
EVERY = 60.0  # machine seconds between two looks
CHECKED = "rules"  # name of the heartbeat that remembers the last look
DNS_STAGE, MAILBOX_STAGE = "records", "mailboxes"

# What a person decided, or a name that somebody else took, is no fault of the machinery.
NOT_OUR_FAULT = ("name_lost", "skipped")
TROUBLE = (OperationState.REJECTED, OperationState.UNKNOWN, OperationState.ABSENT)


@dataclass(frozen=True, slots=True)
class Rule:
    """At most `most` (a share) of the things may fail, judged from `at_least` things on."""

    name: str
    most: float
    at_least: int


ERRORS = Rule("errors", 0.05, 100)
DNS = Rule("DNS set-up failures", 0.10, 20)
MAILBOXES = Rule("mailbox platform errors", 0.20, 20)


@dataclass(frozen=True, slots=True)
class Finding:
    """What a rule counted, and the flag it stops."""

    key: str
    rule: Rule
    failed: int
    total: int

    @property
    def is_too_much(self) -> bool:
        return self.total >= self.rule.at_least and self.failed > self.rule.most * self.total

    @property
    def sentence(self) -> str:
        return f"{self.failed} of {self.total} within an hour: {self.rule.name}, more than {self.rule.most:.0%}"


def drain(limit: int = 1) -> int:
    """Look, unless somebody has looked within the last minute; return whether anything was stopped. Bell `rules`."""
    if not _claim_look():
        return 0
    alerts.look(error_share())
    return sum(flags.stop(key=finding.key, reason=finding.sentence) for finding in findings() if finding.is_too_much)


def is_due() -> bool:
    """Tell whether the last look was more than a minute ago."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT NOT EXISTS (SELECT 1 FROM provisioning_heartbeat WHERE name = %s"
            " AND at > gtm_now('machine') - make_interval(secs => %s))",
            [CHECKED, EVERY],
        )
        return bool(cursor.fetchone()[0])


def _claim_look() -> bool:
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO provisioning_heartbeat AS last (name, at) VALUES (%s, gtm_now('machine'))"
            " ON CONFLICT (name) DO UPDATE SET at = excluded.at"
            " WHERE last.at <= excluded.at - make_interval(secs => %s)",
            [CHECKED, EVERY],
        )
        return bool(cursor.rowcount == 1)


def error_share() -> tuple[int, int]:
    """Return how many of how many steps failed within the hour; none of none where they are too few to judge."""
    since = clock.machine_now() - WINDOW
    found = _of_steps(flags.ORDERS, ERRORS, Step.objects.filter(updated_at__gt=since))
    return (found.failed, found.total) if found.total >= ERRORS.at_least else (0, 0)


def findings() -> Iterator[Finding]:
    """Yield what each rule counts in its hour. A flag that a person has set since begins to count from there."""
    since = clock.machine_now() - WINDOW
    changed = dict(Flag.objects.values_list("key", "updated_at"))

    def begin(key: str) -> datetime:
        return max(since, changed.get(key, since))

    yield _of_steps(flags.ORDERS, ERRORS, Step.objects.filter(updated_at__gt=begin(flags.ORDERS)))
    for stack in STACKS.values():
        key = flags.stack_key(stack.key)
        dns = Step.objects.filter(run__stack=stack.key, key__in=steps_of(stack, DNS_STAGE), updated_at__gt=begin(key))
        yield _of_steps(key, DNS, dns)
        asked = Operation.objects.filter(
            run__stack=stack.key, step_key__in=steps_of(stack, MAILBOX_STAGE), updated_at__gt=begin(key)
        )
        answered = asked.exclude(state=OperationState.INTENDED)
        yield Finding(key, MAILBOXES, answered.filter(state__in=TROUBLE).count(), answered.count())


def _of_steps(key: str, rule: Rule, steps: QuerySet[Step]) -> Finding:
    """Count steps that came to their end, and those that stand still until a person has looked at the platform."""
    asks = Q(state=StepState.WAITING, waits_on=WaitsOn.OPERATOR, facts__has_key="code")
    failed = steps.filter(Q(state=StepState.FAILED) | asks).exclude(failure_code__in=NOT_OUR_FAULT).count()
    return Finding(key, rule, failed, failed + steps.filter(state=StepState.COMPLETED).count())


def steps_of(stack: StackSpec, stage: str) -> list[str]:
    """Return the keys of the steps behind one of the student's stages."""
    return [spec.key for spec in stack.steps if spec.stage == stage]
