"""Every call of a name's registration meets every fault: the student is charged once, and the order is built.

Its calls go out with a key of the student's own, so a refusal asks the student, and not the operator: what the fault table
says of others' calls does not hold here. What must hold is that nothing is bought twice, and that it goes on.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from infra.models import PlatformConnection, StepState
from provisioning import actions, connections
from provisioning.models import Step
from provisioning.steps.workspace import registering
from tests.integration.registering import ADDRESS, PRICE, charged
from tests.integration.stories.kit import Story

from .fault_runs import asked_for
from .fault_table import TABLE
from .figures import Figures
from .harness import first_order, new_world
from .tales import have_it_registered, have_it_registered_as_before
from .whole import sample

HOURS = 10 * 24.0
V3 = ("get_domain", "quote", "register", "get_operation", "set_nameservers")
V1 = ("get_domain", "check_domain", "agreements", "validate", "purchase", "set_nameservers")
CASES = [(have_it_registered, V3), (have_it_registered_as_before, V1)]


@pytest.mark.parametrize("shift", sample(range(len(TABLE)), part=2))
@pytest.mark.parametrize(("before", "verbs"), CASES, ids=["v3", "v1"])
def test_whatever_its_calls_meet_a_name_is_bought_once_and_the_order_is_built(
    before: Callable[[Any, Any], None], verbs: tuple[str, ...], shift: int, figures: Figures
) -> None:
    world = new_world()
    made = first_order(world, tier="own-domains", before=before)
    (name,) = made.provision.domains.values_list("name", flat=True)
    faults = []
    for place, verb in enumerate(verbs):
        row = TABLE[(shift + place) % len(TABLE)]
        values = {"platform": "godaddy", "verb": verb, "times": row.times, **row.fault}
        faults.append(made.sandbox.faults.add(values.pop("kind"), **values))
    world.actors.append(lambda: answer(made))
    while not made.has_ended() or asked_for(made):
        made.play(lambda: made.has_ended() or bool(asked_for(made)), hours=HOURS)
        if asked_for(made):
            made.refresh()
            actions.retry_failed_step(run=made.run, actor="operator", reason="the platform takes it now")
    made.check(quotas=False)
    assert charged(made.sandbox) == [(name, PRICE)]
    assert any(fault.drawn for fault in faults)
    figures.add("registration_faults", sum(fault.drawn > 0 for fault in faults))


def answer(made: Story) -> bool:
    """Do what a student does who is asked: have the key looked at again, and the name tried again."""
    waiting = Step.objects.filter(run=made.run, state=StepState.WAITING, waits_on="student")
    row = waiting.filter(facts__question=registering.QUESTION).select_related("domain").first()
    if row is not None and row.domain is not None:
        terms = row.domain.facts.get(registering.TERMS)
        actions.register_again(
            provision=made.provision, domain=row.domain, terms=terms, address=ADDRESS, actor="student"
        )
        return True
    refused = PlatformConnection.objects.filter(
        student=made.provision.student, ended_at=None, state=PlatformConnection.State.REFUSED
    ).first()
    if refused is not None:
        connections.check(refused, made.world.workshop)
        return True
    return False
