"""The threads that take turns: replayed by seed, locks found out, circles named, everything ended."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.db import connection, transaction
from django.db.utils import OperationalError

from infra.models import Flag

from .interleaving import Grain, Race, State, Stuck, rest


def locks(*keys: str) -> Callable[[], None]:
    """Return an agent's work: lock these flags one after the other."""

    def work() -> None:
        with transaction.atomic():
            for key in keys:
                Flag.objects.select_for_update().get(key=key)

    return work


def race_for_flags(seed: int, *, grain: Grain = Grain.STATEMENT) -> Race:
    Flag.objects.bulk_create([Flag(key="a"), Flag(key="b")], ignore_conflicts=True)
    race = Race(seed, grain=grain)
    race.enter("one", locks("a", "b"))
    race.enter("two", locks("b", "a"))
    race.run()
    return race


def test_equal_seeds_give_equal_turns_and_others_give_others() -> None:
    traces = [tuple(race_for_flags(seed, grain=Grain.TRANSACTION).trace) for seed in (3, 3, *range(8))]
    assert traces[0] == traces[1]
    assert len(set(traces)) > 1


def test_agents_that_wait_for_each_other_are_named_and_one_of_them_is_told() -> None:
    races = [race_for_flags(seed) for seed in range(12)]
    circles = [race for race in races if race.deadlocks]
    assert circles
    assert "one waits in: SELECT" in circles[0].deadlocks[0]
    assert [type(agent.error) for agent in circles[0].agents if agent.error] == [OperationalError]


def test_no_lock_is_held_across_turns_in_the_coarse_grain() -> None:
    assert not any(race_for_flags(seed, grain=Grain.TRANSACTION).deadlocks for seed in range(12))


def rests_three_times() -> None:
    for _ in range(3):
        rest()


def test_time_passes_only_when_everybody_rests() -> None:
    passed: list[int] = []
    race = Race(0, pass_time=lambda: passed.append(1))
    race.enter("waits", rests_three_times)
    race.enter("works", lambda: connection.cursor().execute("SELECT 1"))
    race.run()
    assert len(passed) == 3
    assert all(agent.state is State.DONE and agent.error is None for agent in race.agents)


def test_a_race_in_which_nothing_can_happen_fails_and_leaves_no_thread_behind() -> None:
    race = Race(0)
    race.enter("waits", rest)
    with pytest.raises(Stuck, match="everybody rests"):
        race.run()
    assert race.agents[0].state is State.DONE


def test_who_falls_asleep_wakes_at_last_when_nobody_else_is_there() -> None:
    race = Race(0, sleeps=1.0)
    agent = race.enter("sleeps", lambda: Flag.objects.count())
    race.run()
    assert agent.error is None
    assert race.slept >= 1
