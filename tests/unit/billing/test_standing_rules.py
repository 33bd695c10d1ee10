"""How a subscription stands: every answer of the rule, and at which instant one becomes the next."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import pytest

from billing.standing_rules import Days, Stands, judge

DAYS = Days(grace=3, suspend=7, terminate=28)
NOW = datetime(2026, 11, 26, 9, tzinfo=UTC)
MOMENT = timedelta(seconds=1)


@dataclass
class Said:
    status: str = "active"
    cancel_at_period_end: bool = False
    cancel_at: datetime | None = None
    needs_action: bool = False
    dispute: str = ""
    charged_cents: int = 14400
    refunded_cents: int = 0
    overdue_since: datetime | None = None


OVERDUE = Said(status="past_due", overdue_since=NOW)


def stands(said: Said, *, at: datetime = NOW) -> Stands:
    return judge(said, now=at, days=DAYS).stands


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (Said(), Stands.GOOD),
        (Said(status="trialing"), Stands.GOOD),
        (Said(charged_cents=0), Stands.GOOD),
        (Said(refunded_cents=14399), Stands.GOOD),
        (Said(refunded_cents=14400), Stands.REFUNDED),
        (Said(cancel_at_period_end=True), Stands.ENDING),
        (Said(cancel_at=NOW), Stands.ENDING),
        (Said(status="canceled", dispute="needs_response"), Stands.ENDED),
        (Said(status="incomplete_expired"), Stands.ENDED),
        (Said(status="something new"), Stands.UNKNOWN),
        (Said(status=""), Stands.UNKNOWN),
        (Said(dispute="needs_response"), Stands.DISPUTED),
        (Said(dispute="a new word"), Stands.DISPUTED),
        (Said(dispute="won"), Stands.GOOD),
        (Said(dispute="warning_closed"), Stands.GOOD),
        (Said(dispute="lost"), Stands.DISPUTE_LOST),
        (OVERDUE, Stands.GRACE),
        (replace(OVERDUE, status="unpaid"), Stands.GRACE),
        (replace(OVERDUE, needs_action=True), Stands.ACTION_REQUIRED),
        (replace(OVERDUE, dispute="needs_response"), Stands.DISPUTED),
        (replace(OVERDUE, cancel_at_period_end=True), Stands.GRACE),
    ],
)
def test_what_stripe_says_is_judged_so(said: Said, expected: Stands) -> None:
    assert stands(said) is expected


@pytest.mark.parametrize(
    ("day", "before", "after"),
    [(7, Stands.GRACE, Stands.SUSPENDED), (28, Stands.SUSPENDED, Stands.OVERDUE_TOO_LONG)],
)
def test_an_overdue_payment_takes_its_steps_on_their_days(day: int, before: Stands, after: Stands) -> None:
    at = NOW + timedelta(days=day)
    assert stands(OVERDUE, at=at - MOMENT) is before
    assert stands(OVERDUE, at=at) is after


def test_a_payment_that_is_overdue_too_long_ends_the_order_although_it_is_disputed() -> None:
    assert stands(replace(OVERDUE, dispute="needs_response"), at=NOW + timedelta(days=28)) is Stands.OVERDUE_TOO_LONG


def test_the_next_look_comes_with_each_mail_and_each_step() -> None:
    verdict, at, days = judge(OVERDUE, now=NOW, days=DAYS), NOW, []
    while (step := verdict.next_step(at)) is not None:
        days.append((step - NOW).days)
        at = step
    assert days == [3, 7, 25, 28]


def test_a_subscription_in_order_waits_for_no_step() -> None:
    assert judge(Said(), now=NOW, days=DAYS).next_step(NOW) is None
