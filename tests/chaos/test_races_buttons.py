"""Every button pressed twenty times in every state: one press counts, the others are told why not, nothing happens twice."""

from __future__ import annotations

import itertools
import random
from collections import Counter
from collections.abc import Sequence
from functools import partial

import pytest

from infra.models import RunState, StepState
from provisioning import actions
from provisioning.engine.outcomes import WaitsOn
from tests.integration.books import Books
from tests.integration.stories.kit import Story

from . import whole
from .figures import Figures
from .interleaving import Agent, Race, State
from .picture import Picture, differences, picture
from .racing import all_came_home, grain_of, no_error_of_ours, press_now_and_then, race_of_workers, refusals, rows_of
from .standings import BUTTONS, STANDINGS, one_of_each, press, vocabulary

TIMES = 20
PAIRS = list(itertools.product(STANDINGS, BUTTONS))
NEVER = {"step in_progress"}  # a word that no row has: what is under way is known by the run's lease


def end_of(made: Story, standing: str) -> Picture:
    """Take away what keeps an order where it stands, let it come to its end, and return how that looks."""
    made.refresh()
    if made.run.state not in ("done", "failed", "cancelled"):
        STANDINGS[standing].mend(made)
        made.play(lambda: made.has_ended() or made.provision.runs.filter(state="parked").exists(), hours=96)
    return picture(Books([made.provision]), made.sandbox)


def pressed_once(standing: str, button: str) -> Picture:
    """Return how an order ends on which a button was pressed once."""
    made = STANDINGS[standing].begin(1)
    press(BUTTONS[button](made))
    return end_of(made, standing)


@pytest.mark.parametrize(("standing", "button"), whole.sample(PAIRS, part=8))
def test_twenty_presses_end_as_one_does(standing: str, button: str, figures: Figures) -> None:
    made = STANDINGS[standing].begin(1)
    pressing = BUTTONS[button](made)
    found = rows_of(made)
    outcomes = Counter(press(pressing) for _ in range(TIMES))
    figures.add("button_presses", TIMES)
    figures.add("button_refusals", TIMES - outcomes["done"])
    figures.see("words pressed in", *vocabulary(made))
    one_of_each(made)
    if outcomes["done"] and button != "start":
        assert outcomes["done"] == 1, outcomes
        ended = end_of(made, standing)  # before the other world begins, because that ends this one
        assert differences(pressed_once(standing, button), ended) == []
    else:
        assert rows_of(made) == found, "it was refused, and changed something"


# ---- while workers work ----------------------------------------------------------------------------------------------


def race_of_presses(standing: str, names: Sequence[str], seed: int, figures: Figures) -> tuple[Story, Race]:
    """Play two persons who press these buttons by turns, while two workers bring the order to its end."""
    made = STANDINGS[standing].begin(1)
    STANDINGS[standing].mend(made)
    buttons = {name: partial(press, BUTTONS[name](made)) for name in dict.fromkeys(names)}
    people: list[Agent] = []

    def nothing_more_happens() -> bool:
        return all(one.state is State.DONE for one in people) and has_settled(made)

    race = race_of_workers(made, seed, workers=2, sleeps=0.003, grain=grain_of(seed), until=nothing_more_happens)
    for number in (0, 1):
        mine = [buttons[name] for name in names[number::2]]
        people.append(race.enter(f"person {number + 1}", press_now_and_then(mine, seed + number)))
    with refusals() as refused:
        race.run()
    figures.add("race_schedules")
    figures.add("race_turns", len(race.trace))
    figures.add("button_presses", len(names))
    figures.add("zombie_refused", refused.count)
    return made, race


def has_settled(made: Story) -> bool:
    return made.has_ended() or made.provision.runs.filter(state="parked").exists()


def is_as_it_must_be(made: Story, race: Race) -> None:
    """Assert what holds whatever was pressed when: no error, no circle, nothing twice, all rows and things in step."""
    all_came_home(race)
    no_error_of_ours(made)
    one_of_each(made)
    made.refresh()
    made.check(made.provision.state)


@pytest.mark.parametrize(("standing", "button"), whole.sample(PAIRS, part=4))
def test_twenty_presses_while_workers_work_do_nothing_twice(standing: str, button: str, figures: Figures) -> None:
    seed = PAIRS.index((standing, button))
    made, race = race_of_presses(standing, [button] * TIMES, seed, figures)
    is_as_it_must_be(made, race)


@pytest.mark.parametrize(
    ("standing", "seed"), whole.sample([(standing, n) for n in range(5) for standing in STANDINGS], part=4)
)
def test_any_buttons_pressed_at_any_moment_do_nothing_twice(standing: str, seed: int, figures: Figures) -> None:
    chance = random.Random(f"{standing} {seed}")
    pressed = [chance.choice(list(BUTTONS)) for _ in range(TIMES)]
    made, race = race_of_presses(standing, pressed, seed, figures)
    is_as_it_must_be(made, race)
    figures.see("buttons pressed in races", *pressed)


# ---- the words and the control ---------------------------------------------------------------------------------------


def test_the_standings_are_all_states_there_are() -> None:
    covered = {word for standing in STANDINGS.values() for word in vocabulary(standing.begin(1))}
    words = {
        *(f"run {state}" for state in RunState.values),
        *(f"step {state}" for state in StepState.values),
        *(f"waits on {on.value}" for on in WaitsOn),
    }
    assert words - covered == NEVER


def test_control_without_the_refusal_every_press_of_retry_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    made = STANDINGS["failed"].begin(1)
    rows = actions.retryable(made.run)
    monkeypatch.setattr(actions, "why_no_retry", lambda run: "")
    monkeypatch.setattr(actions, "retryable", lambda run: rows)
    assert Counter(press(BUTTONS["retry"](made)) for _ in range(TIMES)) == {"done": TIMES}
    assert made.run.events.filter(kind="retried").count() == TIMES
