"""When a mailbox is healthy, when its student is told, and when it may send. Pure: figures in, verdicts out.

A platform's health is a share of seven days, in percent. "Bad" is below 90. One bad day is weather: the second tells the
student, and the second good one that it is over. A day on which nothing could be measured neither counts nor breaks a row.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

GOOD = 90.0
BAD_DAYS_TO_TELL = 2
GOOD_DAYS_TO_TELL = 2
GOOD_DAYS_TO_SEND = 3
MOST_APART = timedelta(days=2)  # two figures further apart are not "in a row"
FRESH_FOR = timedelta(days=2)  # figures older than this prove nothing about today


class Health(enum.StrEnum):
    """The verdict on a mailbox's newest figure."""

    HEALTHY = "healthy"
    BAD = "bad"
    TOO_EARLY = "too_early"  # not enough data yet
    NOT_MEASURED = "not_measured"  # by this platform, ever


class Lack(enum.StrEnum):
    """A condition of sending that is not fulfilled."""

    WARMUP_DAYS = "warmup_days"
    HEALTH = "health"
    DNS = "dns"
    CONNECTION = "connection"


@dataclass(frozen=True, slots=True)
class Figure:
    """What the platform said on a day; `health` is None where it said nothing."""

    day: date
    health: float | None


def measured(figures: Sequence[Figure]) -> list[Figure]:
    """Return the figures that say something, oldest first: a zero before anything else is "no data yet"."""
    known = [one for one in sorted(figures, key=lambda one: one.day) if one.health is not None]
    first = next((place for place, one in enumerate(known) if one.health), len(known))
    return known[first:]


def verdict(figures: Sequence[Figure], *, is_measured: bool = True) -> Health:
    """Judge the newest figure."""
    if not is_measured:
        return Health.NOT_MEASURED
    known = measured(figures)
    if not known:
        return Health.TOO_EARLY
    return Health.HEALTHY if _is_good(known[-1]) else Health.BAD


def in_a_row(figures: Sequence[Figure], *, good: bool) -> int:
    """Return how many of the newest figures are good, or bad, without a break."""
    count, newer = 0, None
    for one in reversed(measured(figures)):
        if _is_good(one) is not good or (newer is not None and newer - one.day > MOST_APART):
            break
        count, newer = count + 1, one.day
    return count


def bad_since(figures: Sequence[Figure]) -> date | None:
    """Return the first bad day of a row that is long enough to tell the student; None otherwise."""
    count = in_a_row(figures, good=False)
    return measured(figures)[-count].day if count >= BAD_DAYS_TO_TELL else None


def is_good_again(figures: Sequence[Figure]) -> bool:
    """Tell whether a mailbox that was bad has been good for long enough to say so."""
    return in_a_row(figures, good=True) >= GOOD_DAYS_TO_TELL


def good_days_left(figures: Sequence[Figure], *, today: date, is_measured: bool = True) -> int:
    """Return how many more good days the health condition of sending needs; 0 when it is fulfilled.

    What the platform does not measure cannot be asked for. Old figures prove nothing.
    """
    if not is_measured:
        return 0
    known = measured(figures)
    if not known or today - known[-1].day > FRESH_FOR:
        return GOOD_DAYS_TO_SEND
    return max(0, GOOD_DAYS_TO_SEND - in_a_row(figures, good=True))


def lacks(*, warmup_days_over: bool, good_days_left: int, dns_is_valid: bool, is_connected: bool) -> tuple[Lack, ...]:
    """Return every condition of sending that fails; none means that the mailbox is ready to send."""
    holds = {
        Lack.WARMUP_DAYS: warmup_days_over,
        Lack.HEALTH: good_days_left == 0,
        Lack.DNS: dns_is_valid,
        Lack.CONNECTION: is_connected,
    }
    return tuple(lack for lack, fulfilled in holds.items() if not fulfilled)


def whole(figure: float) -> int:
    """Return a figure as people read it: rounded down, so that what is below 90 is never shown as 90."""
    return math.floor(figure)


def weakest(**by_provider: float | None) -> str:
    """Return the provider at whose addresses the mailbox does worst, if it does badly there."""
    bad = {name: figure for name, figure in by_provider.items() if figure is not None and figure < GOOD}
    return min(bad, key=lambda name: bad[name]) if bad else ""


def _is_good(figure: Figure) -> bool:
    return figure.health is not None and figure.health >= GOOD
