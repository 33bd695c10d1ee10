"""Everybody at once: orders by the dozen or the hundred and students who search, on the platforms' limits.

No window is exceeded as the platform counts, whoever was paid first goes first, somebody who clicks delays nobody, and all of
it ends not much later than the limits let it.
"""

from __future__ import annotations

from datetime import timedelta

import pytest

from integrations.sandbox.log import LogEntry
from provisioning import search
from provisioning.engine import budget, claims

from . import cohorts
from .cohorts import BOUNDED, SOLD, Cohort
from .figures import Figures
from .harness import due_runs
from .whole import IS_WHOLE

ORDERS, SEARCHING, CLICKS = (100, 20, 1000) if IS_WHOLE else (12, 6, 30)
OF_ANOTHER_STACK = ORDERS if IS_WHOLE else 3
# A permit of a budget by the second comes back before whoever lacks it can be woken: after a second at the earliest.
A_MOMENT = 5.0


@pytest.fixture(autouse=True)
def _asking(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let names be asked for where the cohort's orders are built."""
    monkeypatch.setattr(search, "default_workshop", lambda: cohorts.CohortWorld.newest.workshop)


@pytest.mark.parametrize("counts_as_search", [False, True], ids=["purchases-are-free", "purchases-are-searches"])
def test_a_cohort_keeps_every_limit_and_takes_little_more_than_the_least_time(
    counts_as_search: bool, figures: Figures
) -> None:
    cohort = keeps_every_limit(BOUNDED, ORDERS, counts_as_search=counts_as_search)
    assert [one for one in cohort.world.late if one.seconds > patience(one.budget)] == []
    least, reading = cohorts.bound(cohort), "searches" if counts_as_search else "free"
    figures.greatest("cohort_over_bound", cohort.seconds / least)
    figures.put(f"cohort_over_bound_{reading}", cohort.seconds / least)
    figures.put(f"cohort_minutes_{reading}", cohort.seconds / 60)
    figures.put(f"cohort_least_minutes_{reading}", least / 60)


@pytest.mark.parametrize("stack", [stack for stack in SOLD if stack != BOUNDED])
def test_a_cohort_of_another_stack_keeps_every_limit(stack: str, figures: Figures) -> None:
    """A stack enters by itself as soon as it has packages."""
    cohort = keeps_every_limit(stack, OF_ANOTHER_STACK)
    assert [one for one in cohort.world.late if one.seconds > A_MOMENT] == []
    figures.put(f"cohort_minutes_{stack}", cohort.seconds / 60)


def patience(name: str) -> float:
    """Return for how many seconds a younger order may go first: for a moment where a permit comes back by the second, and
    in the crowd of the whole, where several come free within the second to which wake-ups are rounded."""
    return A_MOMENT if IS_WHOLE or name not in cohorts.LIMITS else 0.0


def keeps_every_limit(stack: str, orders: int, *, counts_as_search: bool = False) -> Cohort:
    """Play a cohort to its end: every limit is kept, and whoever was paid first goes first."""
    cohort = cohorts.begin(
        orders=orders, searching=SEARCHING, clicks=CLICKS, stack=stack, counts_as_search=counts_as_search
    )
    cohort.play()
    cohort.check()
    assert [
        entry for entry in cohort.sandbox.log if entry.status not in (200, 201, 202, 204) and not is_absent(entry)
    ] == []
    assert cohort.sandbox.quotas.violations == []
    assert cohort.world.turns == list(range(orders))
    assert cohort.clicker is None or clicker_waits(cohort)
    return cohort


def is_absent(entry: LogEntry) -> bool:
    """Tell whether a read was told that there is no such thing, which is an answer like any other."""
    return entry.method == "GET" and entry.status == 404


def clicker_waits(cohort: Cohort) -> bool:
    """Tell whether everybody's first search was asked for before the clicker's second one."""
    assert cohort.clicker is not None
    first = len(cohort.searching[0].names)
    second = cohort.place_of(cohort.clicker.names[first : first + 1])
    return max(cohort.place_of(one.names) for one in cohort.searching) < second


def test_the_time_without_a_permit_is_not_the_platforms() -> None:
    cohort = cohorts.begin(orders=21)
    last = cohort.orders[-1].run.steps.filter(key="workspace")
    cohort.world.run_until(lambda: last.filter(waits_on="budget").exists(), hours=1)
    assert last.get().opened_at is None
    cohort.world.run_until(lambda: last.filter(state="completed").exists(), hours=1)
    opened, first = last.get().opened_at, cohort.orders[0].run.steps.get(key="workspace").opened_at
    assert opened is not None
    assert first is not None
    assert opened >= first + timedelta(minutes=1)


def slots_bought_before_the_last_name() -> int:
    """Return how many of twelve orders have their mailbox slots when the last one buys its names."""
    cohort = cohorts.begin(orders=12)
    cohort.world.run_until(lambda: len(cohort.calls("buy_domains")) == 12, hours=1)
    return len(cohort.calls("buy_mailbox_slots"))


def test_what_is_not_urgent_lets_others_go_first() -> None:
    assert slots_bought_before_the_last_name() <= 6


def test_control_without_leisure_slots_go_before_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budget, "is_contested", lambda name, run: False)
    assert slots_bought_before_the_last_name() >= 10


def test_control_without_permits_the_window_is_exceeded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budget, "PERMIT", "SELECT id FROM provisioning_permit WHERE budget = %(budget{n})s LIMIT 1")
    cohort = cohorts.begin(orders=8)
    cohort.world.run_until(lambda: bool(cohort.sandbox.quotas.violations), hours=1)


def test_control_without_an_order_of_payment_the_younger_go_first() -> None:
    cohort = cohorts.begin(orders=8)
    cohort.world.choose = lambda: claims.take_next(runs[-1]) if (runs := due_runs()) else None
    cohort.world.run_until(lambda: len(cohort.calls("create_workspace")) == 8, hours=1)
    assert cohort.world.turns != list(range(8))


def test_control_without_turns_the_clicker_goes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "QUEUE", search.QUEUE.replace("turn, wanted_at", "wanted_at"))
    cohort = cohorts.begin(orders=0, searching=2, clicks=CLICKS)
    cohort.world.run_until(lambda: len(cohort.calls("check_domains")) >= 3, hours=1)
    assert not clicker_waits(cohort)
