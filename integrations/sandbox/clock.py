"""Virtual time, which runs faster or is moved by a test, beside machine time.

Both are Unix seconds. `now()` is the platforms' time; `real()` is machine time plus every advance, which is what
Stripe, the mail server and per-second limits go by.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """What the sandbox asks of a clock."""

    def now(self) -> float:
        """Return virtual time."""
        ...

    def real(self) -> float:
        """Return machine time plus all advances."""
        ...

    def advance(self, seconds: float) -> None:
        """Move both times forward."""
        ...


@dataclass
class ManualClock:
    """Virtual time stands still until it is advanced. Machine time runs on its own, unless `machine` is replaced."""

    virtual: float = datetime(2026, 11, 23, 9, tzinfo=UTC).timestamp()
    machine: Callable[[], float] = time.time
    advanced: float = 0.0

    def now(self) -> float:
        return self.virtual

    def real(self) -> float:
        return self.machine() + self.advanced

    def advance(self, seconds: float) -> None:
        _forward(seconds)
        self.virtual += seconds
        self.advanced += seconds


@dataclass
class RunningClock:
    """Virtual time runs at `speed` from an origin that is kept with the state, so that a restart continues it."""

    speed: float
    origin_real: float
    origin_virtual: float
    advanced: float = 0.0
    machine: Callable[[], float] = time.time

    @classmethod
    def starting(cls, speed: float, machine: Callable[[], float] = time.time, *, behind: float = 0.0) -> RunningClock:
        """Return a clock whose virtual time begins at machine time, or so many seconds before it, as both then do."""
        instant = machine()
        return cls(speed, instant, instant, -behind, machine)

    def now(self) -> float:
        return self.origin_virtual + (self.machine() - self.origin_real) * self.speed + self.advanced

    def real(self) -> float:
        return self.machine() + self.advanced

    def advance(self, seconds: float) -> None:
        _forward(seconds)
        self.advanced += seconds

    def at_speed(self, speed: float) -> RunningClock:
        """Return a clock that goes on from this one's present at another speed."""
        instant = self.machine()
        return RunningClock(speed, instant, self.now() - self.advanced, self.advanced, self.machine)


def _forward(seconds: float) -> None:
    if seconds < 0:
        raise ValueError("time does not run backwards")


def iso(instant: float) -> str:
    """Return an instant as the platforms write it: 2026-01-05T10:00:00.000Z."""
    return datetime.fromtimestamp(instant, UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{int(instant * 1000) % 1000:03d}Z"
