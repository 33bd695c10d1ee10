"""What a step function may answer. It never saves a status, sleeps or schedules: it returns one of these, per item."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from infra.secret import Secret


class WaitsOn(enum.StrEnum):
    """Whom an unfinished step waits for."""

    PLATFORM = "platform"
    BUDGET = "budget"
    FUNDS = "funds"
    STUDENT = "student"
    OPERATOR = "operator"


PEOPLE = frozenset({WaitsOn.FUNDS, WaitsOn.STUDENT, WaitsOn.OPERATOR})


@dataclass(frozen=True, slots=True)
class Done:
    """The step is proven. `facts` are kept with the item (or the provision), `credential` encrypted."""

    facts: Mapping[str, Any] = field(default_factory=dict)
    credential: NewCredential | None = None


@dataclass(frozen=True, slots=True)
class NewCredential:
    """A login that a platform gave us."""

    kind: str
    login: str
    password: Secret


@dataclass(frozen=True, slots=True)
class Wait:
    """Look again after `seconds` of vendor time. `why` is the operator's sentence.

    `firm`: nobody's "check now" makes it shorter, because the platform asked for it, or needs it.
    `facts`: what was seen meanwhile and is shown; kept like those of `Done`.
    `cause`: what it waits for, as a code of the catalogue of troubles; empty for what is usual.
    """

    seconds: float
    on: WaitsOn = WaitsOn.PLATFORM
    why: str = ""
    firm: bool = False
    cause: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class NeedsStudent:
    """The student must choose or do something. `question` names the page's form.

    look_again  vendor seconds until we look by ourselves whether it is done; 0: once a day
    mail        kind of the letter that tells the student
    notice      number of that letter, each of which is sent once
    letter      what names that letter where one is for several items; empty: each item has its own
    code        of a task for the operator beside it; empty while the student alone is asked
    cause       why, as a code of the catalogue of troubles; empty where the question says it
    facts       what was seen meanwhile and is shown; kept like those of `Done`
    """

    question: str
    why: str = ""
    look_again: float = 0.0
    mail: str = "needs_you"
    notice: int = 0
    letter: str = ""
    code: str = ""
    cause: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class NeedsOperator:
    """A person must look at the platform. `code` makes the operator's item unique; `facts` are kept like those of `Done`."""

    code: str
    why: str
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Failed:
    """This item (or the run) cannot go on. An item is set aside; the others continue."""

    code: str
    sentence: str


@dataclass(frozen=True, slots=True)
class Lost:
    """A domain name is gone: a spare takes its place, else the student chooses."""

    sentence: str


Outcome = Done | Wait | NeedsStudent | NeedsOperator | Failed | Lost
Outcomes = Outcome | Mapping[str, Outcome]
