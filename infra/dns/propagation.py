"""Which of several resolvers see what should be there. Pure: resolvers and time are handed in.

What is "there" counts by meaning. A failure is never "absent": it takes a resolver out of the count, and where too few
are left to decide, the state is a temporary failure.

A domain's own servers decide; public resolvers come second and are not asked before, because the question itself makes
them keep "absent" for a while.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from .records import Record, Type, purpose
from .resolver import Answer, Patience, Resolver, Status


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


class Cause(StrEnum):
    """Why something is not complete, as far as it shows: what a person can do something about."""

    NOTHING = ""
    NOT_DELEGATED = "not_delegated"  # the servers above do not know the domain
    MISSING = "missing"
    OTHER_VALUE = "other_value"
    SECOND_RECORD = "second_record"
    LAME_SERVER = "lame_server"  # one of the domain's own servers does not answer for it
    STALE = "stale"  # only resolvers still keep what was there before
    DNSSEC = "dnssec"  # the domain's own servers answer, and resolvers refuse what they say
    UNREADABLE = "unreadable"  # nobody answered


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

    stage         "delegation" while the servers above do not know the domain, "authoritative" while its own servers are
                  not complete, "resolvers" from then on
    at            when, or None
    own_agree     whether the domain's own servers were asked and are complete
    was_answered  False where not even the servers above answered
    """

    rows: tuple[Seen, ...]
    stage: str = "resolvers"
    at: datetime | None = None
    own_agree: bool = False
    was_answered: bool = True

    @property
    def state(self) -> State:
        """Complete when every record is, and there is one; a failure only where nothing else is wrong."""
        if self.stage == "delegation":
            return State.ABSENT if self.was_answered else State.TEMPORARY_FAILURE
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
    def cause(self) -> Cause:
        """The worst of what holds it up."""
        if self.is_complete:
            return Cause.NOTHING
        if self.stage == "delegation":
            return Cause.NOT_DELEGATED if self.was_answered else Cause.UNREADABLE
        sights = [sight for row in self.rows for sight in row.sights.values()]
        findings = {sight.finding for sight in sights}
        if self.own_agree:
            if findings & set(DISAGREES):
                return Cause.STALE
            return Cause.DNSSEC if any("SERVFAIL" in sight.why for sight in sights) else Cause.UNREADABLE
        for finding, cause in _CAUSES.items():
            if finding in findings:
                return cause
        return Cause.LAME_SERVER if self.stage == "authoritative" else Cause.UNREADABLE

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
            "cause": str(self.cause),
            "coverage": self.coverage,
            "records": [row.as_json() for row in self.rows],
        }


_CAUSES = {
    Finding.CONFLICT: Cause.SECOND_RECORD,
    Finding.OTHER: Cause.OTHER_VALUE,
    Finding.ABSENT: Cause.MISSING,
}


def undelegated(expected: Sequence[Record], *, was_answered: bool, at: datetime | None = None) -> Evidence:
    """Return the evidence of a domain that the servers above do not know, or were not heard about: nobody was asked."""
    return Evidence(tuple(Seen(one, {}, 1) for one in expected), "delegation", at, was_answered=was_answered)


def look(
    expected: Sequence[Record],
    resolvers: Sequence[Resolver],
    *,
    patience: Patience,
    authoritative: Sequence[Resolver] = (),
    quorum: int | None = None,
    at: datetime | None = None,
) -> Evidence:
    """Ask for what should be there and return what was seen.

    authoritative  the domain's own servers: all of them must show every record before a resolver is asked
    patience       how long it may take; what is not asked by then is NOT_ASKED
    quorum         how many resolvers must see a record, more than half by default; none that answers may see otherwise
    """
    if authoritative:
        own = Evidence(_rows(expected, authoritative, len(authoritative), patience), "authoritative", at)
        if not own.is_complete or not resolvers:
            return replace(own, own_agree=own.is_complete)
    rows = _rows(expected, resolvers, quorum or len(resolvers) // 2 + 1, patience)
    return Evidence(rows, "resolvers", at, own_agree=bool(authoritative))


FIRST, FIRST_FOR = 30.0, 600.0  # vendor seconds
LATER = ((1800.0, 120.0), (3600.0, 300.0), (4 * 3600.0, 900.0), (12 * 3600.0, 1800.0))
LAST = 3600.0
JITTER = 0.1


def pace(waited: float, *, chance: float = 0.5) -> float:
    """Return the seconds until the next look after `waited` seconds: often at first, then ever more rarely.

    `chance`, from 0 to 1, moves it a little, so that not all watches look at the same moment.
    """
    step = FIRST if waited < FIRST_FOR else next((each for until, each in LATER if waited < until), LAST)
    return step * (1 + JITTER * (2 * chance - 1))


def _rows(
    expected: Sequence[Record], resolvers: Sequence[Resolver], quorum: int, patience: Patience
) -> tuple[Seen, ...]:
    questions = list(dict.fromkeys((one.owner, one.type) for one in expected))
    answers = {resolver.name: _answers(resolver, questions, patience) for resolver in resolvers}
    return tuple(
        Seen(one, {name: judge(one, told.get((one.owner, one.type))) for name, told in answers.items()}, quorum)
        for one in expected
    )


def _answers(
    resolver: Resolver, questions: Sequence[tuple[str, Type]], patience: Patience
) -> dict[tuple[str, Type], Answer]:
    """Ask each question once; a resolver that stays silent is not asked again."""
    answers = dict[tuple[str, Type], Answer]()
    for question in questions:
        if patience.is_over:
            break
        answers[question] = patience.ask(resolver, *question)
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
    kind = purpose(wanted)
    return bool(kind) and kind == purpose(other)
