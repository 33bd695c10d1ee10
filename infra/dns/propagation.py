"""Which of several resolvers see what should be there. Pure: resolvers and time are handed in.

What is "there" counts by meaning. A failure is never "absent": it takes a resolver out of the count, and where too few
are left to decide, the state is a temporary failure.

A domain's own servers decide; public resolvers come second and are not asked before, because the question itself makes
them keep "absent" for a while.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from .records import Record, Type
from .resolver import SECONDS, TIMEOUT, Answer, Resolver, Status

ONE_PER_NAME = ("v=spf1", "v=dmarc1", "v=dkim1")  # two of a kind at one name and neither counts: RFC 7208 4.5, 9989 4.8


class Finding(StrEnum):
    """What one resolver says of one record."""

    SEEN = "seen"
    ABSENT = "absent"
    OTHER = "other"  # another value stands there
    CONFLICT = "conflict"  # the wanted value is there, beside one that must not be
    TEMPORARY_FAILURE = "temporary_failure"
    TIMEOUT = "timeout"
    NOT_ASKED = "not_asked"  # no time was left, or it had not answered the question before


class State(StrEnum):
    """Where a record stands, or all of them."""

    ABSENT = "absent"  # nobody sees it yet
    PARTIAL = "partial"
    TEMPORARY_FAILURE = "temporary_failure"
    COMPLETE = "complete"


DISAGREES = (Finding.ABSENT, Finding.OTHER, Finding.CONFLICT)


@dataclass(frozen=True, slots=True)
class Sight:
    """What one resolver showed for one record."""

    finding: Finding
    found: tuple[str, ...] = ()
    why: str = ""

    def as_json(self) -> dict[str, Any]:
        return {"finding": str(self.finding), "found": list(self.found), "why": self.why}


@dataclass(frozen=True, slots=True)
class Seen:
    """One expected record, and what each resolver showed by name."""

    record: Record
    sights: Mapping[str, Sight]
    quorum: int

    @property
    def state(self) -> State:
        findings = [sight.finding for sight in self.sights.values()]
        seen, against = findings.count(Finding.SEEN), sum(one in DISAGREES for one in findings)
        if seen >= self.quorum and not against:
            return State.COMPLETE
        if seen + against < self.quorum:
            return State.TEMPORARY_FAILURE
        if seen or Finding.CONFLICT in findings:
            return State.PARTIAL
        return State.ABSENT

    @property
    def coverage(self) -> int:
        """Percent of these resolvers that see it; no statement about the world."""
        if not self.sights:
            return 0
        return 100 * sum(one.finding is Finding.SEEN for one in self.sights.values()) // len(self.sights)

    def as_json(self) -> dict[str, Any]:
        return {
            **self.record.as_json(),
            "state": str(self.state),
            "coverage": self.coverage,
            "resolvers": {name: sight.as_json() for name, sight in self.sights.items()},
        }


@dataclass(frozen=True, slots=True)
class Evidence:
    """One look: a row per record, a column per resolver.

    at     when, or None
    stage  "authoritative" while a domain's own servers are not complete, "resolvers" from then on
    """

    rows: tuple[Seen, ...]
    stage: str = "resolvers"
    at: datetime | None = None

    @property
    def state(self) -> State:
        """Complete when every record is, and there is one; a failure only where nothing else is wrong."""
        states = {row.state for row in self.rows}
        if len(states) == 1:
            return next(iter(states))
        if states == {State.COMPLETE, State.TEMPORARY_FAILURE}:
            return State.TEMPORARY_FAILURE
        return State.PARTIAL if states else State.ABSENT

    @property
    def is_complete(self) -> bool:
        return self.state is State.COMPLETE

    @property
    def coverage(self) -> int:
        """Percent of all records at all resolvers that were seen."""
        return sum(row.coverage for row in self.rows) // len(self.rows) if self.rows else 0

    @property
    def missing(self) -> tuple[Record, ...]:
        return tuple(row.record for row in self.rows if row.state is not State.COMPLETE)

    def as_json(self) -> dict[str, Any]:
        """Return plain data, to be kept as a fact and shown on a page."""
        return {
            "at": self.at.isoformat() if self.at else None,
            "stage": self.stage,
            "state": str(self.state),
            "coverage": self.coverage,
            "records": [row.as_json() for row in self.rows],
        }


def look(
    expected: Sequence[Record],
    resolvers: Sequence[Resolver],
    *,
    clock: Callable[[], float],
    authoritative: Sequence[Resolver] = (),
    seconds: float = SECONDS,
    timeout: float = TIMEOUT,
    quorum: int | None = None,
    at: datetime | None = None,
) -> Evidence:
    """Ask for what should be there and return what was seen.

    authoritative  the domain's own servers: all of them must show every record before a resolver is asked
    clock          returns seconds from any beginning
    seconds        for the whole look; what is not asked by then is NOT_ASKED
    timeout        for one question
    quorum         how many resolvers must see a record, more than half by default; none that answers may see otherwise
    """
    asking = Asking(clock, clock() + seconds, timeout)
    if authoritative:
        own = Evidence(asking.rows(expected, authoritative, len(authoritative)), "authoritative", at)
        if not own.is_complete or not resolvers:
            return own
    return Evidence(asking.rows(expected, resolvers, quorum or len(resolvers) // 2 + 1), "resolvers", at)


@dataclass(slots=True)
class Asking:
    """The questions of one look: each is asked once of each resolver, and a silent resolver is not asked again."""

    clock: Callable[[], float]
    ends: float
    timeout: float

    def rows(self, expected: Sequence[Record], resolvers: Sequence[Resolver], quorum: int) -> tuple[Seen, ...]:
        questions = list(dict.fromkeys((one.owner, one.type) for one in expected))
        answers = {resolver.name: self._answers(resolver, questions) for resolver in resolvers}
        return tuple(
            Seen(one, {name: judge(one, told.get((one.owner, one.type))) for name, told in answers.items()}, quorum)
            for one in expected
        )

    def _answers(self, resolver: Resolver, questions: Sequence[tuple[str, Type]]) -> dict[tuple[str, Type], Answer]:
        answers = dict[tuple[str, Type], Answer]()
        for question in questions:
            left = self.ends - self.clock()
            if left <= 0:
                break
            answers[question] = resolver.query(*question, timeout=min(self.timeout, left))
            if answers[question].status is Status.TIMEOUT:
                break
        return answers


def judge(wanted: Record, answer: Answer | None) -> Sight:
    """Return what an answer to the question for `wanted` shows of it; None where nobody was asked."""
    if answer is None:
        return Sight(Finding.NOT_ASKED)
    if not answer.says:
        return Sight(Finding(str(answer.status)), why=answer.why)
    found = tuple(one.shown for one in answer.records)
    rivals = [one for one in answer.records if one != wanted and _excludes(wanted, one)]
    if wanted in answer.records:
        return Sight(Finding.CONFLICT if rivals else Finding.SEEN, found)
    if rivals or (found and wanted.type is not Type.TXT):
        return Sight(Finding.OTHER, found)
    return Sight(Finding.ABSENT, found, why="" if found else str(answer.status))


def _excludes(wanted: Record, other: Record) -> bool:
    """Whether `other` may not stand beside `wanted`, at the same name and of the same type."""
    if wanted.type is Type.CNAME:
        return True
    if wanted.type is not Type.TXT:
        return False
    kind = _kind(wanted)
    return bool(kind) and kind == _kind(other)


def _kind(one: Record) -> str:
    """Return which of the kinds a TXT record is of that stand once at a name; empty for any other."""
    if "._domainkey." in one.owner:
        return "v=dkim1"
    lowered = one.value.lower().replace(" ", "")
    return next((kind for kind in ONE_PER_NAME if lowered.startswith(kind)), "")
