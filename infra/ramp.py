"""The plan of a warmup, day by day: how many mails on which day, and when sending may start. Pure.

Only days on which warmup was on count. While it is off the rest of the plan moves, a day for each day.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Plan:
    """The warmup settings of an order. Mails a day and mailbox; `days` until campaigns may begin.

    start, step, cap  warmup mails on the first day, more each day, at most
    campaign_cap      campaign mails a day at most
    """

    start: int = 2
    step: int = 2
    cap: int = 30
    days: int = 14
    campaign_cap: int = 30

    @classmethod
    def of(cls, warmup: Mapping[str, Any], days: int) -> Plan:
        """Read the settings of a package or a frozen order; without a slow ramp each day is the last."""
        cap = int(warmup.get("max_daily_limit", 30))
        slow = bool(warmup.get("slow_rampup", True))
        return cls(
            start=int(warmup.get("initial_daily_limit", 2)) if slow else cap,
            step=int(warmup.get("pace_increment", 2)) if slow else 0,
            cap=cap,
            days=days,
            campaign_cap=int(warmup.get("campaign_daily_limit", 30)),
        )

    def volume(self, day: int) -> int:
        """Return the warmup mails of the `day`-th day, counted from 1; none before."""
        return min(self.cap, self.start + (day - 1) * self.step) if day >= 1 else 0

    def safe(self, day: int) -> int:
        """Return the campaign mails that are safe on that day: none until the warmup days are over."""
        return min(self.campaign_cap, self.volume(day)) if day > self.days else 0


@dataclass(frozen=True, slots=True)
class Ramp:
    """A plan in the calendar: when it began, and on which days warmup was off."""

    plan: Plan
    started: date
    paused: frozenset[date] = frozenset()

    @classmethod
    def since(cls, plan: Plan, started: date, paused: Collection[date] = ()) -> Ramp:
        return cls(plan, started, frozenset(day for day in paused if day >= started))

    def day(self, today: date) -> int:
        """Return which day of the plan today is, from 1: that of the last day with warmup while it is off."""
        return max(1, self._warm_until(today))

    def is_over(self, today: date) -> bool:
        """Tell whether the warmup days have passed."""
        return today >= self.sending_may_start()

    def date_of(self, day: int) -> date:
        """Return the date of the `day`-th day, counted from 1; days that nobody knows of yet count as warm."""
        return next(one for count, one in enumerate(self._warm_days(), start=1) if count == day)

    def sending_may_start(self) -> date:
        """Return the first day after the warmup days."""
        return self.date_of(self.plan.days + 1)

    def safe_today(self, today: date) -> int:
        """Return how many campaign mails are safe today, if nothing else forbids them."""
        return self.plan.safe(self.day(today)) if self.is_over(today) else 0

    def _warm_until(self, today: date) -> int:
        between = (today - self.started).days + 1
        return between - sum(day <= today for day in self.paused)

    def _warm_days(self) -> Iterator[date]:
        day = self.started
        while True:
            if day not in self.paused:
                yield day
            day += DAY
