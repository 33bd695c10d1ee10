"""Several workers on one run, and workers that wake after their lease: nothing is done twice, and late writes are refused."""

from __future__ import annotations

import threading

import pytest
from django.db import connection

from provisioning.engine import claims, ledger, runner
from provisioning.engine.runner import wake
from provisioning.models import Capture
from tests.integration.processes import pause

from . import whole
from .figures import Figures
from .interleaving import Stuck
from .racing import Awakening, ended_well, grain_of, pass_time, places, race_of_workers, racing_story, refusals

POLL = 0.005  # real seconds
NO_FENCE = "id = %(run)s AND %(token)s >= 0"
SCHEDULES = whole.sample([(seed, 2 + seed % 4) for seed in range(48)], part=5)


# ---- two to five workers ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("seed", "workers"), SCHEDULES)
def test_however_many_workers_take_turns_the_run_ends_as_with_one(seed: int, workers: int, figures: Figures) -> None:
    made = racing_story(seed)
    race = race_of_workers(made, seed, workers=workers, grain=grain_of(seed))
    with refusals() as refused:
        race.run()
    ended_well(made, race)
    figures.add("race_schedules")
    figures.add("race_turns", len(race.trace))
    figures.add("race_sleeps", race.slept)
    figures.add("zombie_refused", refused.count)
    figures.demand("zombie_refused", 1)


def test_control_without_the_fence_workers_undo_what_others_did(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claims, "HELD", NO_FENCE)
    assert any(ends_badly(seed) for seed in range(6))


def ends_badly(seed: int) -> bool:
    made = racing_story(seed)
    race = race_of_workers(made, seed, workers=3)
    try:
        race.run()
        ended_well(made, race)
    except (AssertionError, Stuck):
        return True
    return False


def test_five_free_threads_end_a_run_as_one(figures: Figures) -> None:
    """Nobody gives them turns: whoever comes first works."""
    made = racing_story(1)
    errors: list[BaseException] = []

    def work() -> None:
        try:
            while not made.has_ended() and not errors:
                taken = claims.take_next(made.run.pk)
                if taken is not None:
                    wake(taken, made.world.workshop)
                else:
                    pause(POLL)
        except BaseException as error:  # noqa: BLE001 - the test looks at it
            errors.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=work) for _ in range(5)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        made.refresh()
        if made.run.lease_until is None and not made.has_ended():
            pass_time(made)
        else:
            pause(POLL)
    assert not errors
    made.check()
    figures.add("race_schedules")


# ---- a worker that wakes after its lease -----------------------------------------------------------------------------

CHUNKS = 12 if whole.IS_WHOLE else 2  # so that several processes share the places


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_a_worker_that_wakes_too_late_writes_nothing_wherever_it_slept(chunk: int, figures: Figures) -> None:
    """At every statement and call between a claim and its end: all but the answer that it holds is refused."""
    found = places(racing_story(1))
    for number, (turn, place) in list(enumerate(whole.sample(found, part=8)))[chunk::CHUNKS]:
        made = racing_story(1)
        late = Awakening(made, turn, before=number % 2 == 0)
        race = late.play()
        assert (late.place, late.at_work) == (place, True)
        assert late.refused == 1, place
        assert late.untouched, place
        assert not late.writes, f"{place}: {late.writes}"
        ended_well(made, race)
        figures.add("zombie_places")
        figures.add("zombie_refused", late.refused)
        figures.see("kinds of zombie places", place.split(" (")[0][:60])


def before_intent_of(verb: str) -> int:
    """Return the turn after which a worker has decided to make a call and has not written it down."""
    found = places(racing_story(1))
    sending = next(number for number, (_turn, place) in enumerate(found) if place == f"send {verb}")
    return found[sending - 1][0]


@pytest.mark.parametrize("verb", ["zapmail.create_workspace", "heyreach.create_list"])
def test_control_with_neither_fence_nor_limit_a_late_worker_makes_things_twice(
    verb: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Either alone suffices: what a late worker still means to send is too late by its own clock, too."""
    turn = before_intent_of(verb)
    monkeypatch.setattr(claims, "HELD", NO_FENCE)
    monkeypatch.setattr(ledger, "SEND_WINDOW", 1e6)
    monkeypatch.setattr(runner, "WAKEUP", 1e9)
    made = racing_story(1)
    late = Awakening(made, turn)
    late.play()
    assert verb in late.writes
    with pytest.raises(AssertionError):
        made.check()


def test_control_without_the_fence_late_workers_change_rows_nearly_everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    found = places(racing_story(1))
    monkeypatch.setattr(claims, "HELD", NO_FENCE)
    step = len(found) // 6
    touched = []
    for turn, _place in found[step::step]:
        late = Awakening(racing_story(1), turn)
        late.play()
        touched.append(not late.untouched)
    assert sum(touched) >= len(touched) - 1


def test_the_answer_that_a_late_worker_holds_is_kept() -> None:
    """Its capture is exempt from the fence: it may be the only copy of a password."""
    found = places(racing_story(1))
    turn = next(turn for turn, place in found if place == "answer plusvibe.create_client")
    made = racing_story(1)
    late = Awakening(made, turn, before=False)
    race = late.play()
    ended_well(made, race)
    assert Capture.objects.filter(operation__run=made.run, operation__verb="create_client").count() == 1
    assert made.calls()["plusvibe.create_client"] == 1
