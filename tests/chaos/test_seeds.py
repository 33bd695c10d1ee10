"""Worlds in which everything is left to chance: several orders at once, hostile platforms, workers that die anywhere.

Each seed is one world. Whatever happened in it, every order ends, or waits for a person who has been told; the twelve
invariants hold. A seed that fails is played again with GTM_CHAOS_SEED.
"""

from __future__ import annotations

import pytest

from infra.models import OperationState, ParkedReason, Provision, RunState
from provisioning.models import ACTIVE_RUN, Operation, OperationItem, Run
from tests.integration import invariants

from . import whole
from .figures import Figures
from .harness import World, begin, dying, new_world, outlive

SEEDS = range(1, 101)
IN_PART = 2
NAMES = ("acme", "bolt", "cork")
MORTALITY = 0.02  # share of the failpoints at which a worker dies
OVERSHOOT = 30.0  # seconds at most that a wake-up comes late
PEOPLE = (ParkedReason.NEEDS_CHOICE, ParkedReason.NEEDS_OPERATOR, ParkedReason.WAITING_FUNDS)
UNWRITTEN = SEEDS[4]  # here a worker dies after the work of a platform, before the outcome is written


def left_to_chance(seed: int) -> World:
    """Play one world to its end, and judge it."""
    world = new_world(seed=seed, profile="demo", switches={"zapmail_taken_share": 0.05})
    world.overshoot, world.mortality = OVERSHOOT, MORTALITY
    orders = [begin(world, name, spares=2) for name in NAMES]
    with dying(world.dies_by_chance):
        outlive(orders[0], lambda: all_rest(world), hours=14 * 24)
    books = world.books()
    invariants.check(world.sandbox, books, quotas=False)
    for order, run in zip(books.orders, books.all_runs, strict=True):
        assert run.state == RunState.DONE or books.is_known(order.pk) or order.parked_reason in PEOPLE, order
    return world


@pytest.mark.parametrize("seed", whole.sample(SEEDS, part=IN_PART))
def test_whatever_chance_does_every_order_ends_or_waits_for_a_person(seed: int, figures: Figures) -> None:
    world = left_to_chance(seed)
    figures.add("seeds_played")
    figures.add("seeds_deaths", world.deaths)


def test_control_without_a_committed_intent_chance_makes_something_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """The next worker knows nothing of an attempt whose outcome nobody wrote. With its intent this world ends well."""
    bury = World.bury

    def bury_and_forget(self: World) -> None:
        bury(self)
        OperationItem.objects.filter(state=OperationState.INTENDED).update(state=OperationState.NOT_DONE)
        Operation.objects.filter(state=OperationState.INTENDED).update(state=OperationState.NOT_DONE)

    monkeypatch.setattr(World, "bury", bury_and_forget)
    with pytest.raises(AssertionError, match="lead list twice"):
        left_to_chance(UNWRITTEN)


def all_rest(world: World) -> bool:
    """Tell whether only people can move what is left."""
    open_runs = Run.objects.filter(provision__in=world.books().ids, state__in=ACTIVE_RUN)
    moving = Provision.objects.filter(runs__in=open_runs).exclude(parked_reason__in=PEOPLE)
    return not moving.exists()
