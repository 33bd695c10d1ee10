"""The ground the chaos tests stand on: their database, their clock, their figures."""

from __future__ import annotations

import json
from dataclasses import asdict

import pytest
from django.db import connection, transaction

from infra import clock
from infra.models import Flag
from integrations.http.call import Proof
from tests.chaos import whole
from tests.chaos.figures import Figures
from tests.chaos.killing import Deaths, Place, apart


def one(sql: str) -> object:
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchone()[0]


def test_commits_are_real_and_wait_for_no_disk(chaos_database: str) -> None:
    with transaction.atomic(durable=True):
        Flag.objects.create(key="kept")
    connection.close()

    assert one("SELECT current_database()") == chaos_database
    assert one("SHOW synchronous_commit") == "off"
    assert Flag.objects.filter(key="kept").exists()
    assert one("SELECT current_user") == "gtm_worker"


def test_time_stands_still_until_it_is_moved() -> None:
    machine, vendor = clock.machine_now(), clock.vendor_now()
    assert (clock.machine_now(), clock.vendor_now()) == (machine, vendor)

    clock.advance_machine(2.5)
    clock.advance_vendor(60)

    assert clock.seconds_between(machine, clock.machine_now()) == 2.5
    assert clock.seconds_between(vendor, clock.vendor_now()) == 62.5


@pytest.mark.usefixtures("running_clock")
def test_time_runs_where_processes_are_real() -> None:
    assert clock.machine_now() < clock.machine_now()


def test_a_part_is_spread_evenly_and_the_whole_is_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(whole, "IS_WHOLE", False)
    assert whole.sample(range(11), part=3) == [0, 5, 10]
    assert whole.sample(range(2), part=3) == [0, 1]
    assert whole.sample(range(9), part=1) == [0]
    assert list(whole.packs(range(11))) == [range(11)]
    assert list(whole.packs([])) == []
    monkeypatch.setattr(whole, "IS_WHOLE", True)
    assert whole.sample(range(11), part=3) == list(range(11))
    assert list(whole.packs(range(6))) == [range(4), range(4, 6)]


def test_deaths_in_one_story_are_at_different_calls_and_what_needs_a_person_is_alone() -> None:
    places = [Place("after_work", what, nth, "write") for what in "abc" for nth in (1, 2)]
    lost = Place("after_intent", "d", 1, "write", Proof.NONE)
    plans = apart([*places, lost], 2)
    assert sorted(str(place) for plan in plans for place in plan.places) == sorted(map(str, [*places, lost]))
    assert Deaths((lost,)) in plans
    for plan in plans:
        assert len(plan.places) <= 2
        assert len({place.what for place in plan.places}) == len(plan.places)
    assert [len(plan.places) for plan in apart(places, 1)] == [1] * 6


def test_figures_of_several_processes_become_one() -> None:
    mine, its, all_of_them = Figures(), Figures(), Figures()
    for figures, number in ((mine, 2), (its, 3)):
        figures.add("runs", number)
        figures.greatest("slowest", number)
        figures.least("quickest", number)
        figures.rate("per_minute", number * 10, 60)
        figures.see("calls seen", f"call {number}", "both")
    for figures in (mine, its):
        all_of_them.join(Figures(**json.loads(json.dumps(asdict(figures)))))

    assert all_of_them.flat() == {"runs": 5, "slowest": 3, "quickest": 2, "per_minute": 50, "calls_seen": 3}


def test_figures_that_fall_short_are_named() -> None:
    figures = Figures()
    figures.add("reached", 1)
    figures.demand("reached", 1)
    figures.see("seen", "a", "b")
    figures.see("known", "a", "b", "c")
    figures.within("seen", "known")
    assert figures.shortfalls() == []

    figures.demand("reached", 2)
    figures.demand("forgotten", 1)
    figures.see("seen", "d")
    assert figures.shortfalls() == [
        "forgotten is missing, not at least 1",
        "reached is 1, not at least 2",
        "seen not among known: d",
    ]
