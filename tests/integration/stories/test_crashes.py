"""The worker dies at every named place of every write and of every step; another one finishes what it began.

Each run lets a worker die at another place of each write, so that as many runs as there are places cover all pairs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from infra.models import OperationState
from provisioning.engine import ledger as ledger_module
from provisioning.engine.ledger import Ledger
from provisioning.models import Capture, OperationItem
from provisioning.stacks.zapmail import STEPS

from .kit import LONGEST_LEASE, Crash, Story, dying, outlive, story
from .test_faults import WRITES, nothing_was_done_twice

pytestmark = pytest.mark.django_db

PLACES = ("before_intent", "after_intent", "after_answer", "after_capture", "before_outcome", "after_outcome")


def each_write(shift: int) -> Callable[[str, Any], bool]:
    """Kill the worker once in each write, at a place that moves on from write to write."""
    left = {(verb, platform): PLACES[(shift + n) % len(PLACES)] for n, (platform, verb) in enumerate(WRITES)}

    def at(name: str, subject: Any) -> bool:
        key = (getattr(subject, "verb", ""), getattr(subject, "platform", ""))
        if left.get(key) != name:
            return False
        del left[key]
        return True

    return at


@pytest.mark.parametrize("shift", range(len(PLACES)))
def test_another_worker_finishes_every_write(shift: int) -> None:
    made = story()
    with dying(each_write(shift)):
        assert outlive(made, hours=48) == len(WRITES)
    made.check()
    nothing_was_done_twice(made)
    assert not made.items().exists(), "a person was needed"


@pytest.mark.parametrize("place", ["before_record", "after_record"])
def test_another_worker_finishes_every_step(place: str) -> None:
    left = {spec.key for spec in STEPS}

    def at(name: str, subject: Any) -> bool:
        if name != place or subject.key not in left:
            return False
        left.remove(subject.key)
        return True

    made = story()
    with dying(at):
        assert outlive(made, hours=48) == len(STEPS)
    made.check()
    nothing_was_done_twice(made)


def test_a_run_that_kills_every_worker_comes_back_ever_more_rarely() -> None:
    made = story()
    deaths: list[Any] = []

    def at(name: str, subject: Any) -> bool:
        if name == "before_record":
            deaths.append(subject)
        return name == "before_record" and len(deaths) <= 8

    with dying(at):
        assert outlive(made, hours=48) == 8
    made.check()
    assert made.mails()["operator_run_crashes"] == 1


# ---- controls: with a protection off, something must exist twice -------------------------------------------------------


def test_control_without_the_capture_a_password_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger_module, "capture_answer", lambda operation, raw: None)
    made = story()
    with dying(each_write(3)):  # create_client dies after the capture
        outlive(made, hours=48)
    assert not Capture.objects.exists()
    assert made.calls()["plusvibe.create_client"] == 2


def test_control_without_a_committed_intent_things_exist_twice() -> None:
    """When the next worker knows nothing of an attempt, it sends it again."""
    made = story()

    def forget_intents() -> None:
        OperationItem.objects.filter(state=OperationState.INTENDED).update(state=OperationState.NOT_DONE)

    assert doubles(made, after_each_death=forget_intents)


def test_control_without_waiting_out_the_bounds_slots_are_bought_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """A purchase that is still on its way is sent a second time."""
    monkeypatch.setattr(Ledger, "_look", blind_resend)
    made = story(faults=({"kind": "late_execution", "verb": "buy_mailbox_slots", "seconds": 200.0, "times": 1},))
    with pytest.raises(AssertionError):
        made.play()
        made.check()
    assert made.sandbox.world.zapmail.workspaces[made.provision.facts["zapmail_workspace_id"]].slots > 6


def blind_resend(self: Ledger, unresolved: list[Any], found: Any, book: Any) -> None:
    there = [item for item in unresolved if item.natural_key in found]
    gone = [item for item in unresolved if item.natural_key not in found]
    book.done |= {item.natural_key: found[item.natural_key] for item in there}
    self._settle({OperationState.DONE: there, OperationState.ABSENT: gone})


def doubles(made: Story, *, after_each_death: Callable[[], None]) -> bool:
    """Let the worker die after each answer; return whether something exists twice in the end."""
    seen: set[str] = set()

    def at(name: str, subject: Any) -> bool:
        if name != "after_answer" or subject.verb in seen:
            return False
        seen.add(subject.verb)
        return True

    with dying(at):
        while True:
            try:
                made.play(lambda: made.has_ended() or made.parks("needs_choice")(), hours=48)
                break
            except Crash:
                after_each_death()
                made.advance(LONGEST_LEASE)
    world = made.sandbox.world
    slots = max(item.slots + item.slots_coming for item in world.zapmail.workspaces.values())
    return slots > 6 or len(world.heyreach.lists) > 1 or len(world.plusvibe.workspaces) > 2
