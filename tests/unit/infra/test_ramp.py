"""The plan of a warmup in the calendar: how much on which day, and when it moves."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from infra.models.tier import default_warmup
from infra.ramp import Plan, Ramp

BEGAN = date(2026, 12, 1)
PLAN = Plan.of(default_warmup(), 14)


def after(days: int) -> date:
    return BEGAN + timedelta(days=days)


@pytest.mark.parametrize(("day", "mails"), [(0, 0), (1, 2), (2, 4), (14, 28), (15, 30), (16, 30), (400, 30)])
def test_the_volume_grows_by_two_a_day_up_to_thirty(day: int, mails: int) -> None:
    assert PLAN.volume(day) == mails


def test_without_a_slow_ramp_each_day_is_the_last() -> None:
    plan = Plan.of({**default_warmup(), "slow_rampup": False}, 14)
    assert (plan.volume(1), plan.volume(9)) == (30, 30)


def test_sending_may_start_after_the_warmup_days() -> None:
    ramp = Ramp.since(PLAN, BEGAN)
    assert ramp.sending_may_start() == after(14)
    assert not ramp.is_over(after(13))
    assert ramp.is_over(after(14))


def test_no_campaign_mail_is_safe_before_and_then_as_many_as_the_ramp_has_reached() -> None:
    ramp = Ramp.since(PLAN, BEGAN)
    assert [ramp.safe_today(after(days)) for days in (0, 13, 14, 30)] == [0, 0, 30, 30]


def test_the_days_are_counted_from_one() -> None:
    assert [Ramp.since(PLAN, BEGAN).day(after(days)) for days in (0, 1, 13)] == [1, 2, 14]


def test_days_without_warmup_do_not_count_and_the_rest_moves() -> None:
    ramp = Ramp.since(PLAN, BEGAN, [after(3), after(4)])
    assert [ramp.day(after(days)) for days in (2, 3, 4, 5)] == [3, 3, 3, 4]
    assert ramp.date_of(4) == after(5)
    assert ramp.sending_may_start() == after(16)


def test_a_pause_before_the_beginning_or_after_the_end_moves_nothing() -> None:
    ramp = Ramp.since(PLAN, BEGAN, [after(-2), after(20)])
    assert ramp.sending_may_start() == after(14)
    assert ramp.is_over(after(20))


def test_a_pause_that_lasts_moves_the_day_each_day() -> None:
    for length in range(1, 30):
        ramp = Ramp.since(PLAN, BEGAN, [after(5 + day) for day in range(length)])
        assert ramp.sending_may_start() == after(14 + length)
