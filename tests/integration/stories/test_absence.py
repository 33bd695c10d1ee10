"""When something whose answer was lost counts as absent. tests/chaos/test_absence.py plays the whole grid."""

from __future__ import annotations

from typing import Any

import pytest

from infra.models import OperationState
from provisioning.models import Operation, OperationItem

from .kit import Crash, dying, outlive, story

pytestmark = pytest.mark.django_db

READ_BY = {"heyreach.create_list": "find_lists", "zapmail.buy_domains": "list_domains"}


@pytest.mark.parametrize("name", READ_BY)
def test_what_was_lost_is_sent_again_after_two_reads_past_the_bounds(name: str) -> None:
    platform, _, verb = name.partition(".")
    made = story(faults=({"kind": "timeout_before", "platform": platform, "verb": verb, "times": 1},))
    made.play()
    made.check()
    first, second = Operation.objects.filter(run=made.run, verb=verb).order_by("created_at")
    assert (first.state, second.state) == (OperationState.ABSENT, OperationState.DONE)
    assert set(first.items.values_list("absent_reads", flat=True)) == {2}

    lost, again = made.sandbox.log.of(platform, verb)
    bounds = getattr(made.world.workshop.clients, platform).settings
    order_drop = bounds.order_drop if verb == "buy_domains" else 0.0
    absent_after = first.absent_after.timestamp()
    assert absent_after >= lost.at + bounds.late_execution + bounds.list_lag + order_drop
    reads = {entry.at for entry in made.sandbox.log.of(platform, READ_BY[name]) if absent_after < entry.at <= again.at}
    assert len(reads) >= 2


@pytest.mark.parametrize("name", READ_BY)
def test_what_was_carried_out_and_its_answer_lost_is_found_and_not_sent_again(name: str) -> None:
    platform, _, verb = name.partition(".")
    made = story(faults=({"kind": "timeout_after", "platform": platform, "verb": verb, "times": 1},))
    made.play()
    made.check()
    assert made.calls()[name] == 1
    only = Operation.objects.get(run=made.run, verb=verb)
    assert only.state == OperationState.DONE
    assert all(evidence["read_back"] for evidence in only.items.values_list("evidence", flat=True))


def test_an_intent_is_there_before_anything_is_sent() -> None:
    made = story()
    with dying(lambda point, _: point == "after_intent"), pytest.raises(Crash):
        made.play()
    assert not any(entry.method != "GET" for entry in made.sandbox.log)
    assert [item.state for item in OperationItem.objects.filter(operation__run=made.run)] == [OperationState.INTENDED]
    made.world.bury()
    made.play()
    made.check()


@pytest.mark.parametrize("name", READ_BY)
def test_a_worker_that_died_with_the_answer_has_left_its_intent(name: str) -> None:
    _, _, verb = name.partition(".")
    deaths: list[str] = []

    def at(point: str, subject: Any) -> bool:
        if point == "after_answer" and getattr(subject, "verb", "") == verb:
            deaths.append(verb)
        return deaths == [verb] and point == "after_answer" and getattr(subject, "verb", "") == verb

    made = story()
    with dying(at):
        assert outlive(made) == 1
    made.check()
    assert made.calls()[name] == 1
