"""How an order's subscription stands, as a pure rule: what Stripe says, the time, and the operator's clock of days."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

FINE = frozenset({"active", "trialing"})
OVERDUE = frozenset({"past_due", "unpaid", "incomplete", "paused"})
ENDED = frozenset({"canceled", "incomplete_expired"})
DISPUTE_IS_OVER = frozenset({"", "won", "warning_closed", "prevented"})


class Stands(enum.StrEnum):
    """How an order stands. Worse ones come later and win."""

    GOOD = "good"
    ENDING = "ending"  # runs out at the end of the period, unless the student keeps it
    ACTION_REQUIRED = "action_required"  # overdue: the bank wants to ask the student
    GRACE = "grace"  # overdue, and everything goes on
    UNKNOWN = "unknown"  # a word of Stripe's that we do not know: nothing changes, a person looks
    SUSPENDED = "suspended"
    DISPUTED = "disputed"
    OVERDUE_TOO_LONG = "overdue_too_long"
    REFUNDED = "refunded"  # all of the money went back
    DISPUTE_LOST = "dispute_lost"
    ENDED = "ended"

    @property
    def is_overdue(self) -> bool:
        return self in (Stands.ACTION_REQUIRED, Stands.GRACE, Stands.SUSPENDED, Stands.OVERDUE_TOO_LONG)

    @property
    def rests(self) -> bool:
        """Tell whether nothing may be built or spent, and nothing is deleted."""
        return self in (Stands.SUSPENDED, Stands.DISPUTED)

    @property
    def is_over(self) -> bool:
        return self in (Stands.OVERDUE_TOO_LONG, Stands.REFUNDED, Stands.DISPUTE_LOST, Stands.ENDED)


@dataclass(frozen=True, slots=True)
class Days:
    """Counted from the first failed attempt: the reminder, the suspension, the end. The last notice comes `grace` days
    before the end."""

    grace: int
    suspend: int
    terminate: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """`remind_at`, `suspend_at`, `warn_at` and `end_at` are set while a payment is overdue."""

    stands: Stands
    remind_at: datetime | None = None
    suspend_at: datetime | None = None
    warn_at: datetime | None = None
    end_at: datetime | None = None

    def next_step(self, now: datetime) -> datetime | None:
        """Return when time alone will change something."""
        steps = (self.remind_at, self.suspend_at, self.warn_at, self.end_at)
        return min((at for at in steps if at is not None and at > now), default=None)


class Said(Protocol):
    """What is judged: a `Subscription` row, or anything that has these."""

    status: str
    cancel_at_period_end: bool
    cancel_at: datetime | None
    needs_action: bool
    dispute: str
    charged_cents: int
    refunded_cents: int
    overdue_since: datetime | None


def judge(said: Said, *, now: datetime, days: Days) -> Verdict:
    """Return how a subscription stands at `now`, on the clock that `overdue_since` was read from."""
    if said.status in ENDED:
        return Verdict(Stands.ENDED)
    if said.dispute == "lost":
        return Verdict(Stands.DISPUTE_LOST)
    if 0 < said.charged_cents <= said.refunded_cents:
        return Verdict(Stands.REFUNDED)
    if said.status in OVERDUE and said.overdue_since is not None:
        return _overdue(said, said.overdue_since, now=now, days=days)
    if said.dispute not in DISPUTE_IS_OVER:
        return Verdict(Stands.DISPUTED)
    if said.status not in FINE:
        return Verdict(Stands.UNKNOWN)
    return Verdict(Stands.ENDING if said.cancel_at_period_end or said.cancel_at else Stands.GOOD)


def _overdue(said: Said, since: datetime, *, now: datetime, days: Days) -> Verdict:
    suspend_at, end_at = since + timedelta(days=days.suspend), since + timedelta(days=days.terminate)
    if now >= end_at:
        stands = Stands.OVERDUE_TOO_LONG
    elif said.dispute not in DISPUTE_IS_OVER:
        stands = Stands.DISPUTED
    elif now >= suspend_at:
        stands = Stands.SUSPENDED
    else:
        stands = Stands.ACTION_REQUIRED if said.needs_action else Stands.GRACE
    remind_at, warn_at = since + timedelta(days=days.grace), end_at - timedelta(days=days.grace)
    return Verdict(stands, remind_at, suspend_at, warn_at, end_at)
