"""A worker dies at every point of every call of every package of every stack, alone and twice; another one goes on.

The undisturbed story of a package tells which calls it makes and in what order, so that a stack added later enters by
itself. Each killed story must end exactly as the undisturbed one: same rows, same things at the platforms, same money,
same mails, and nobody asked for help, unless the call can be read back nowhere: then exactly one person is, once.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, TypeVar

import pytest

from infra.management.commands.load_tiers import DEFAULTS
from infra.models import OperationState, Provision
from provisioning.engine import ledger
from provisioning.engine.ledger import Ledger
from provisioning.models import Operation, OperationItem
from provisioning.stacks import STACKS
from tests.integration import invariants
from tests.integration.books import Books

from . import whole
from .figures import Figures
from .harness import World
from .killing import (
    LOOK_POINTS,
    MAIL_POINTS,
    READ_POINTS,
    STEP_POINTS,
    WRITE_POINTS,
    Deaths,
    Place,
    Told,
    apart,
    rows,
    tell,
    within,
    wrongs,
)
from .tales import DETOURS, PLAIN, SMALLEST, Tale, smallest_like

T = TypeVar("T", bound=Callable[..., Any])
SHARDS = 4  # tests among which the places of a tier are dealt out, so that all processes have something to do
SEED = int(os.environ.get("GTM_CHAOS_SEED", 1))
# How many places of a tier the part visits, and how many pairs; the whole visits all places and PAIRS pairs.
PART, PART_OF_OTHERS, PART_OF_DETOURS, PART_OF_STEPS = 20, 4, 1, 2
PAIRS = 1000
PAIRS_IN_PART = 12
# Where the workers of the controls die, and a platform that carries a purchase out only later.
KILLED = (
    "after_work heyreach.create_list 1",
    "after_work zapmail.buy_mailbox_slots 1",
    "after_capture plusvibe.create_client 1",
)
LATE = ({"kind": "late_execution", "verb": "buy_mailbox_slots", "seconds": 200.0, "times": 1},)
SOON = 12  # places after the first death within which half of the second ones die


def together(test: T) -> T:
    """Let one process play all detours in the part, which plays each but once or twice: it knows then how it goes
    undisturbed."""
    if not whole.IS_WHOLE:
        pytest.mark.xdist_group("detours")(test)
    return test


@cache
def undisturbed(tale: Tale) -> Told:
    """Play the story that all others of a tale must end like, once per process."""
    return tell(tale)


def places(tale: Tale) -> list[Place]:
    """Return the rows of the matrix that a tale adds: all of a package's, all of another run's, of a detour those of its
    further calls or of the steps that it leads through."""
    told = undisturbed(tale)
    found = rows(told.places[told.then_at if tale.then else 0 :])
    if tale.then is not None:
        return found
    if tale not in DETOURS:
        return found
    if tale.steps:
        return rows(within(told.places, tale.steps))
    plain = undisturbed(smallest_like(tale)).calls()
    return [place for place in found if place.kind in ("read", "write") and place.what not in plain]


def test_every_stack_has_packages_in_the_matrix() -> None:
    assert set(DEFAULTS) == set(STACKS)


@together
def test_a_detour_through_steps_has_rows_around_everything_in_them() -> None:
    tale = next(tale for tale in DETOURS if tale.steps)
    wanted = {
        *((point, "infraforge.transfer_domains") for point in WRITE_POINTS),
        *((point, "infraforge.transfer_nameservers") for point in READ_POINTS),
        *((point, "infraforge.list_domains") for point in READ_POINTS),
        *((point, "dns.delegation") for point in LOOK_POINTS),
        *((point, step) for point in STEP_POINTS for step in tale.steps),
    }
    assert wanted <= {(place.failpoint, place.what) for place in places(tale)}


@together
@pytest.mark.parametrize("tale", DETOURS, ids=str)
def test_every_detour_leads_to_further_calls(tale: Tale) -> None:
    assert places(tale)


@together
def test_every_call_that_a_platform_receives_has_a_row(figures: Figures) -> None:
    """Judged at the end of the run, over the calls of all chaos tests."""
    every = [place for tale in (*PLAIN, *DETOURS) for place in places(tale)]
    figures.see("calls in the matrix", *{place.what for place in every if place.kind in ("read", "write")})
    figures.within("calls seen", "calls in the matrix")


@pytest.mark.parametrize("shard", range(SHARDS))
@pytest.mark.parametrize("tale", PLAIN, ids=str)
def test_a_death_at_any_point_of_any_call_changes_nothing(tale: Tale, shard: int, figures: Figures) -> None:
    """In the smallest package each death has a story of its own; bigger ones have some deaths, far apart, in each."""
    chosen = whole.sample(places(tale), part=PART if tale == SMALLEST else PART_OF_OTHERS)[shard::SHARDS]
    figures.add("matrix_places", play(tale, apart(chosen, 1 if tale == SMALLEST else whole.DEATHS_IN_ONE_RUN), figures))


def test_a_death_around_a_test_message_changes_nothing(figures: Figures) -> None:
    """At each point of the first message that shows a foreign signature, and of the last one that shows the domain's own."""
    tale = next(tale for tale in PLAIN if any(place.failpoint in MAIL_POINTS for place in places(tale)))
    chosen = [place for place in places(tale) if place.failpoint in MAIL_POINTS]
    assert {place.failpoint for place in chosen} == set(MAIL_POINTS)
    figures.add("matrix_places", play(tale, apart(whole.sample(chosen, part=2), 1), figures))


@together
@pytest.mark.parametrize("tale", DETOURS, ids=str)
def test_a_death_on_a_detour_changes_nothing(tale: Tale, figures: Figures) -> None:
    chosen = whole.sample(places(tale), part=PART_OF_STEPS if tale.steps else PART_OF_DETOURS)
    figures.add("matrix_places", play(tale, apart(chosen, 1), figures))


@pytest.mark.parametrize("shard", range(SHARDS))
def test_two_deaths_in_one_story_change_nothing(shard: int, figures: Figures) -> None:
    """The second one dies soon after the first, while it looks for what that one did, or anywhere in the rest."""
    chance = random.Random(f"{SEED} {shard}")
    all_places = undisturbed(SMALLEST).places
    pairs = []
    for _ in range((PAIRS if whole.IS_WHOLE else PAIRS_IN_PART) // SHARDS):
        first = chance.choice(places(SMALLEST))
        left = len(all_places) - all_places.index(first)
        pairs.append(Deaths((first,), chance.randint(1, chance.choice([SOON, max(SOON, left)]))))
    figures.add("matrix_pairs", play(SMALLEST, pairs, figures))


# ---- controls: with a protection off, the oracle must tell -----------------------------------------------------------


def place(named: str) -> Place:
    """Return a place of the smallest package's matrix."""
    return next(place for place in rows(undisturbed(SMALLEST).places) if str(place) == named)


def tells(named: str, **world: Any) -> list[str]:
    """Return what the oracle finds after a death at a place."""
    try:
        return wrongs(undisturbed(SMALLEST), tell(SMALLEST, Deaths((place(named),)), **world))
    except AssertionError as error:
        return [str(error)]


@pytest.mark.parametrize("named", KILLED)
def test_the_oracle_finds_nothing_where_everything_is_protected(named: str) -> None:
    assert tells(named, faults=LATE) == []


def test_control_without_a_committed_intent_something_is_made_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """The next worker knows nothing of an attempt whose outcome nobody wrote."""
    undisturbed(SMALLEST)
    bury = World.bury

    def bury_and_forget(self: World) -> None:
        bury(self)
        OperationItem.objects.filter(state=OperationState.INTENDED).update(state=OperationState.NOT_DONE)
        Operation.objects.filter(state=OperationState.INTENDED).update(state=OperationState.NOT_DONE)

    monkeypatch.setattr(World, "bury", bury_and_forget)
    assert any("lead list twice" in sentence for sentence in tells("after_work heyreach.create_list 1"))


def test_control_with_a_blind_resend_something_is_bought_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """The next worker sends again what it does not see at once."""
    undisturbed(SMALLEST)

    def look(self: Ledger, unresolved: list[OperationItem], found: Any, book: Any, *, provable: bool) -> None:
        book.done |= {item.natural_key: found[item.natural_key] for item in unresolved if item.natural_key in found}
        there = [item for item in unresolved if item.natural_key in found]
        gone = [item for item in unresolved if item.natural_key not in found]
        self._settle({OperationState.DONE: there, OperationState.ABSENT: gone})

    monkeypatch.setattr(Ledger, "_look", look)
    told = tells("after_work zapmail.buy_mailbox_slots 1", faults=LATE)
    assert any("more slots than were ordered" in sentence for sentence in told), told


def test_control_without_the_capture_a_password_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    undisturbed(SMALLEST)
    monkeypatch.setattr(ledger, "capture_answer", lambda operation, raw: None)
    assert "plusvibe.delete_client although the answer of plusvibe.create_client was not lost" in tells(
        "after_capture plusvibe.create_client 1"
    )


# ---- playing ---------------------------------------------------------------------------------------------------------


def play(tale: Tale, plans: Sequence[Deaths], figures: Figures) -> int:
    """Play one story for each plan of deaths and compare it with the undisturbed one; return at how many places.

    A place that a story has not come by, because an earlier death in it changed its way, gets a story of its own.
    """
    model, wrong, began = undisturbed(tale), list[str](), time.monotonic()
    secrets, orders = list[str](), list[Provision]()
    left, stories = list(plans), 0
    while left:
        plan = left.pop()
        stories += 1
        try:
            told = tell(tale, plan)
        except AssertionError as error:
            wrong.append(f"{plan}: {error}")
            continue
        wrong += [f"{plan}: {sentence}" for sentence in wrongs(model, told)]
        secrets += invariants.passwords_of(told.made.sandbox)
        orders += told.books.orders
        figures.add("matrix_deaths", len(told.deaths))
        if len(plan.places) > 1:
            left += [Deaths((place,)) for place in plan.places if place not in told.deaths]
    if tale == SMALLEST:
        figures.rate("runs_per_minute", stories, time.monotonic() - began)
    assert not wrong, f"{len(wrong)} differences from the undisturbed story:\n" + "\n".join(wrong)
    everybody = Books(orders)
    invariants.no_password_is_readable(secrets, everybody)
    invariants.no_row_is_seen_by_another_student(everybody)
    return sum(len(plan.places) for plan in plans)
