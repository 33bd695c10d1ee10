"""The one table that turns errors into outcomes."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from integrations.http.errors import (
    BadCredentials,
    NotConfigured,
    NotFound,
    NotSent,
    OutcomeUnknown,
    RateLimited,
    Rejected,
    Unavailable,
    Unsupported,
)
from provisioning.engine import budget
from provisioning.engine.ledger import Book, Halted, TimeSpent
from provisioning.engine.outcomes import Done, NeedsOperator, Outcome, Wait, WaitsOn
from provisioning.engine.runner import ADVICE_CAP, BACKOFF, outcome_of
from provisioning.steps.common import one_by_one

WHERE: dict[str, Any] = {"platform": "zapmail", "verb": "buy_domains"}


@pytest.mark.parametrize(
    ("error", "on"),
    [
        (NotSent("x", **WHERE), WaitsOn.PLATFORM),
        (Unavailable("x", **WHERE), WaitsOn.PLATFORM),
        (OutcomeUnknown("x", **WHERE), WaitsOn.PLATFORM),
        (RateLimited("x", **WHERE), WaitsOn.PLATFORM),
        (BadCredentials("x", **WHERE), WaitsOn.OPERATOR),
        (budget.NoPermit(5.0, "full", budget="zapmail.general"), WaitsOn.BUDGET),
        (budget.NoFlight(2.0, "busy"), WaitsOn.PLATFORM),
        (budget.CircuitOpen(60.0, "open", reason="timeouts"), WaitsOn.PLATFORM),
        (budget.CircuitOpen(60.0, "open", reason="credentials"), WaitsOn.OPERATOR),
        (Halted("purchases are paused"), WaitsOn.OPERATOR),
        (TimeSpent("buy_domains"), WaitsOn.PLATFORM),
        (ZeroDivisionError(), WaitsOn.PLATFORM),
    ],
)
def test_what_may_go_away_waits(error: Exception, on: WaitsOn) -> None:
    outcome = outcome_of(error, 0)
    assert isinstance(outcome, Wait)
    assert outcome.on is on
    assert outcome.seconds > 0


@pytest.mark.parametrize(
    ("error", "on", "why"),
    [
        (budget.NoPermit(5.0, "the budget a.b is used up", budget="a.b"), WaitsOn.BUDGET, "a.b"),
        (budget.NoFlight(2.0, "busy"), WaitsOn.PLATFORM, "busy"),
        (budget.CircuitOpen(60.0, "open", reason="operator"), WaitsOn.OPERATOR, "open"),
    ],
)
def test_items_that_the_budget_no_longer_reaches_wait_as_a_whole_step_does(
    error: budget.NotNow, on: WaitsOn, why: str
) -> None:
    items: list[Any] = [SimpleNamespace(key=key) for key in "abc"]

    def judge(item: Any) -> Outcome:
        if item.key == "a":
            return Done()
        raise error

    outcomes = one_by_one(items, judge)
    assert outcomes == {"a": Done(), "b": Wait(error.seconds, on=on, why=why), "c": Wait(error.seconds, on=on, why=why)}
    assert outcomes["b"] == outcome_of(error, 0)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (Rejected("no_plan", "x", **WHERE), "no_plan"),
        (NotFound("x", **WHERE), "refused"),
        (NotConfigured("x", **WHERE), "not_configured"),
        (Unsupported("x", **WHERE), "not_configured"),
    ],
)
def test_what_stays_is_a_persons_matter(error: Exception, code: str) -> None:
    outcome = outcome_of(error, 0)
    assert isinstance(outcome, NeedsOperator)
    assert outcome.code == code


def test_errors_in_a_row_are_tried_ever_more_rarely() -> None:
    waits = [outcome_of(Unavailable("x", **WHERE), errors) for errors in range(9)]
    seconds = [wait.seconds for wait in waits if isinstance(wait, Wait)]
    assert seconds == [*BACKOFF, BACKOFF[-1], BACKOFF[-1]]


def test_the_fifth_crash_in_a_row_is_a_persons_matter() -> None:
    assert isinstance(outcome_of(ZeroDivisionError(), 3), Wait)
    assert isinstance(outcome_of(ZeroDivisionError(), 4), NeedsOperator)


@pytest.mark.parametrize(("advice", "seconds"), [(None, 60.0), (5.0, 5.0), (0.0, 60.0), (9e9, ADVICE_CAP)])
def test_advice_is_taken_within_reason(advice: float | None, seconds: float) -> None:
    outcome = outcome_of(RateLimited("x", advised_wait=advice, **WHERE), 0)
    assert isinstance(outcome, Wait)
    assert outcome.seconds == seconds


def test_a_later_book_knows_better() -> None:
    book = Book[object](done={"a": 1}, waiting={"b": 5.0, "c": 9.0})
    book.join(Book(done={"b": 2}, rejected={"c": Rejected("name_taken", **WHERE)}))
    assert (set(book.done), set(book.waiting), set(book.rejected)) == ({"a", "b"}, set(), {"c"})
