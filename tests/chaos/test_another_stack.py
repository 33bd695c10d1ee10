"""A stack that does not exist yet: it enters the crash matrix by itself, and a call that nothing can be read back of ends
with a person.

Its one step makes a lead list and pretends that lists can never be looked at again.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from infra.management.commands.load_tiers import DEFAULTS, Default
from infra.models import OperationState
from integrations.http.call import Proof
from provisioning import actions, stacks
from provisioning.engine.context import Context
from provisioning.engine.ledger import UNDECIDABLE, Book
from provisioning.engine.outcomes import Done, Outcome
from provisioning.engine.specs import Scope, StackSpec, Stage, StepSpec
from provisioning.models import OperationItem
from provisioning.steps import finish
from provisioning.steps.common import external_name, wait_for
from provisioning.steps.domains import REGISTRAR

from .killing import IN_DOUBT, WRITE_POINTS, Deaths, Told, rows, tell, wrongs
from .tales import Tale

TALE = Tale("parcel", "parcel")


def parcel(ctx: Context) -> Outcome:
    """Send something that nobody can look at again."""
    name = external_name(ctx)
    call = replace(ctx.clients.heyreach.create_list(name), proof=Proof.NONE)
    made = ctx.ledger.obtain(name, lambda: call, lambda: None)
    if isinstance(made, Book):
        return wait_for(made, name, ctx, "not answered yet")
    return Done({"heyreach_list_id": made.id})


PARCEL = StackSpec(
    key="parcel",
    title="Parcel",
    version=1,
    stages=(Stage("leads", "Parcel", "It is being sent."),),
    steps=(
        StepSpec("parcel", Scope.RUN, "Sending a parcel", "leads", parcel),
        StepSpec("finish", Scope.RUN, "Setup complete", "leads", finish.finish),
    ),
    registrar=REGISTRAR,
)


@pytest.fixture(autouse=True)
def _another_stack(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(stacks.STACKS, PARCEL.key, PARCEL)
    monkeypatch.setitem(stacks.VERSIONS, (PARCEL.key, PARCEL.version), PARCEL)
    monkeypatch.setitem(
        DEFAULTS,
        PARCEL.key,
        (Default("Parcel", 3, 6, 9700, 4700),),
    )


@pytest.fixture
def model() -> Told:
    """Return the undisturbed story."""
    return tell(TALE)


def test_its_calls_are_found_by_themselves(model: Told) -> None:
    places = [str(place) for place in rows(model.places) if place.kind == "write"]
    assert places == [f"{point} heyreach.create_list 1" for point in WRITE_POINTS]
    assert model.made.provision.state == "active"


def test_a_death_while_its_fate_is_open_asks_one_person_once(model: Told) -> None:
    for place in rows(model.places):
        told = tell(TALE, Deaths((place,)))
        assert wrongs(model, told) == [], place
        asked = [task.details["code"] for tasks in told.books.tasks.values() for task in tasks]
        assert asked == ([UNDECIDABLE] if place.failpoint in IN_DOUBT else []), place


def test_nobody_is_asked_twice_and_nothing_is_sent_until_somebody_has_looked(model: Told) -> None:
    told = tell(TALE, Deaths((rows(model.places)[1],)))
    made = told.made
    for _hour in range(24):
        made.advance(3600.0)
        made.world.run_once()
    assert made.items("step").count() == 1
    assert made.calls()["heyreach.create_list"] == 0


def test_the_operators_retry_says_that_it_is_not_there(model: Told) -> None:
    told = tell(TALE, Deaths((rows(model.places)[1],)))
    actions.retry_failed_step(run=told.made.run, actor="op@example.com", reason="looked: no list")
    told.made.play()
    assert told.made.provision.state == "active"
    assert told.made.calls()["heyreach.create_list"] == 1
    states = OperationItem.objects.filter(operation__run=told.made.run).values_list("state", flat=True)
    assert sorted(states) == [OperationState.ABSENT, OperationState.DONE]
