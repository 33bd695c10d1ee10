"""The rules of health and of "ready to send": one bad day is weather, two are told, three good ones let mails go."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from infra import health
from infra.health import Figure, Health, Lack

TODAY = date(2026, 12, 5)


def days(*figures: float | None) -> list[Figure]:
    """Return one figure a day, the last one today's."""
    first = TODAY - timedelta(days=len(figures) - 1)
    return [Figure(first + timedelta(days=place), figure) for place, figure in enumerate(figures)]


@pytest.mark.parametrize(
    ("figures", "verdict"),
    [
        ((), Health.TOO_EARLY),
        ((None, None), Health.TOO_EARLY),
        ((0.0,), Health.TOO_EARLY),
        ((None, 0.0, 0.0), Health.TOO_EARLY),
        ((90.0,), Health.HEALTHY),
        ((89.9,), Health.BAD),
        ((95.0, 0.0), Health.BAD),  # a zero after something else is a figure
        ((80.0, 97.0), Health.HEALTHY),
        ((97.0, None), Health.HEALTHY),
    ],
)
def test_the_newest_figure_decides(figures: tuple[float | None, ...], verdict: Health) -> None:
    assert health.verdict(days(*figures)) == verdict


def test_what_the_platform_does_not_measure_is_said_so() -> None:
    assert health.verdict(days(12.0), is_measured=False) == Health.NOT_MEASURED


def test_one_bad_day_tells_nobody_and_the_second_does() -> None:
    assert health.bad_since(days(97.0, 80.0)) is None
    assert health.bad_since(days(97.0, 80.0, 85.0)) == TODAY - timedelta(days=1)


def test_a_row_of_bad_days_keeps_its_first_day() -> None:
    assert health.bad_since(days(97.0, 80.0, 85.0, 70.0, 60.0)) == TODAY - timedelta(days=3)


def test_a_day_without_a_figure_neither_counts_nor_breaks_a_row() -> None:
    assert health.bad_since(days(80.0, None)) is None
    assert health.bad_since(days(80.0, None, 80.0)) == TODAY - timedelta(days=2)


def test_figures_far_apart_are_no_row() -> None:
    assert health.bad_since(days(80.0, None, None, 80.0)) is None


def test_good_again_needs_two_good_days() -> None:
    assert not health.is_good_again(days(80.0, 95.0))
    assert health.is_good_again(days(80.0, 95.0, 90.0))


@pytest.mark.parametrize(
    ("figures", "left"),
    [((), 3), ((95.0,), 2), ((95.0, 95.0), 1), ((95.0, 95.0, 95.0), 0), ((95.0, 95.0, 89.0), 3), ((89.0, 95.0), 2)],
)
def test_three_good_days_in_a_row_are_needed_to_send(figures: tuple[float, ...], left: int) -> None:
    assert health.good_days_left(days(*figures), today=TODAY) == left


def test_old_figures_prove_nothing_about_today() -> None:
    assert health.good_days_left(days(95.0, 95.0, 95.0), today=TODAY + timedelta(days=2)) == 0
    assert health.good_days_left(days(95.0, 95.0, 95.0), today=TODAY + timedelta(days=3)) == 3


def test_what_is_not_measured_cannot_be_asked_for() -> None:
    assert health.good_days_left([], today=TODAY, is_measured=False) == 0


FULFILLED = {"warmup_days_over": True, "good_days_left": 0, "dns_is_valid": True, "is_connected": True}


def test_a_mailbox_that_lacks_nothing_may_send() -> None:
    assert health.lacks(**FULFILLED) == ()  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("change", "lack"),
    [
        ({"warmup_days_over": False}, Lack.WARMUP_DAYS),
        ({"good_days_left": 1}, Lack.HEALTH),
        ({"dns_is_valid": False}, Lack.DNS),
        ({"is_connected": False}, Lack.CONNECTION),
    ],
)
def test_each_condition_that_fails_is_named(change: dict[str, object], lack: Lack) -> None:
    assert health.lacks(**{**FULFILLED, **change}) == (lack,)  # type: ignore[arg-type]


def test_the_provider_that_judges_worst_is_the_cause() -> None:
    assert health.weakest(google=82.0, microsoft=88.0, other=None) == "google"
    assert health.weakest(google=95.0, microsoft=None) == ""
