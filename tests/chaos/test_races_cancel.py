"""An order that is cancelled at the very moment at which something is made for it: no circle, and nothing is forgotten."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from infra.models import DomainState, OperatorItem
from provisioning import actions
from provisioning.engine import claims, failpoints
from provisioning.models import OperationItem
from tests.integration.stories.kit import Story

from . import whole
from .figures import Figures
from .interleaving import Grain, Race
from .racing import all_came_home, no_error_of_ours, press_now_and_then, race_of_workers, racing_story
from .standings import WHO

SEEDS = whole.sample(range(300), part=16)
CIRCLES = (
    111,
    115,
    124,
)  # seeds in which worker and operator wait for each other where the worker locks the order first


def cancelled_at_work(seed: int) -> tuple[Story, Race]:
    """Let an operator cancel somewhere within the statements of a run that has just begun, its purchases among them."""
    made = racing_story(seed)
    race = race_of_workers(made, seed, workers=1, sleeps=0.0, grain=Grain.STATEMENT)
    cancel = partial(actions.cancel, provision=made.provision, **WHO)
    race.enter("operator", press_now_and_then([lambda: str(cancel())], seed, thinks=80))
    race.run()
    return made, race


@pytest.mark.parametrize("seed", SEEDS)
def test_an_order_cancelled_at_any_statement_waits_in_no_circle_and_forgets_nothing(
    seed: int, figures: Figures
) -> None:
    made, race = cancelled_at_work(seed)
    all_came_home(race)
    no_error_of_ours(made)
    made.check("cancelled")
    figures.add("race_schedules")
    figures.add("race_turns", len(race.trace))


def test_control_a_worker_that_locks_the_order_before_its_run_waits_in_a_circle(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(claims, "lock", lambda claim: None)
    assert any(cancelled_at_work(seed)[1].deadlocks for seed in CIRCLES)


# ---- bought, and not yet written down --------------------------------------------------------------------------------


def cancelled_before_the_note(step: str, verb: str) -> Story:
    """Let an order be cancelled when a step's things are proven and the step itself is not yet recorded."""
    made, pressed = racing_story(1), list[str]()

    def hook(name: str, spec: Any) -> None:
        done = OperationItem.objects.filter(operation__run=made.run, verb=verb, state="done")
        if name == "before_record" and spec.key == step and done.exists() and not pressed:
            pressed.append(step)
            actions.cancel(provision=made.provision, **WHO)

    failpoints.set_hook(hook)
    try:
        made.play()
    finally:
        failpoints.set_hook(None)
    assert pressed
    return made


def test_a_name_that_is_bought_and_not_yet_written_down_is_not_released_by_a_cancellation() -> None:
    made = cancelled_before_the_note("buy_domains", "buy_domains")
    bought = set(made.sandbox.world.zapmail.purchases)
    released = set(made.provision.domains.filter(state=DomainState.RELEASED).values_list("name", flat=True))
    assert bought
    assert not bought & released
    told = OperatorItem.objects.get(kind="cancelled_unresolved", provision=made.provision)
    assert all(name in told.sentence for name in bought)
    made.check("cancelled")


def test_control_without_looking_for_what_is_not_written_down_a_bought_name_is_given_away(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(actions, "_not_written_down", lambda provision: set())
    made = cancelled_before_the_note("buy_domains", "buy_domains")
    released = set(made.provision.domains.filter(state=DomainState.RELEASED).values_list("name", flat=True))
    assert set(made.sandbox.world.zapmail.purchases) & released
    with pytest.raises(AssertionError):
        made.check("cancelled")
