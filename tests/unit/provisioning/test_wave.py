"""Which items go now: the wavefront, the gathering of siblings, and the pace of looking."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from infra.clock import VendorInstant
from infra.models import Domain, Mailbox, StepState
from provisioning.engine.outcomes import Done, WaitsOn
from provisioning.engine.specs import HOUR, MINUTE, Needs, Scope, StackSpec, StepSpec, before_each
from provisioning.engine.wave import Wave
from provisioning.models import Step
from provisioning.stacks import STACKS

NOW = VendorInstant(datetime(2026, 11, 23, 9, tzinfo=UTC))


def spec(key: str, scope: Scope, **values: Any) -> StepSpec:
    return StepSpec(key, scope, key, "stage", lambda ctx: Done(), **values)


STACK = StackSpec(
    "test",
    "Test",
    1,
    (),
    (
        spec("begin", Scope.RUN),
        spec("buy", Scope.DOMAIN, usual=(0.0, 10 * MINUTE)),
        spec("records", Scope.DOMAIN, gather=15 * MINUTE),
        spec("boxes", Scope.MAILBOX),
        spec("tool", Scope.RUN, needs=Needs.FIRST),
        spec("end", Scope.RUN),
    ),
)


class Made:
    """Two domains with two mailboxes each, nothing done yet."""

    def __init__(self) -> None:
        self.domains = [Domain(pk=uuid.uuid4(), name=f"{name}.com") for name in "ab"]
        self.mailboxes = [
            Mailbox(pk=uuid.uuid4(), domain=d, address=f"{n}@{d.name}") for d in self.domains for n in "xy"
        ]
        items = {Scope.RUN: [""], Scope.DOMAIN: keys(self.domains), Scope.MAILBOX: keys(self.mailboxes)}
        self.steps = [Step(key=one.key, item_key=key) for one in STACK.steps for key in items[one.scope]]

    def wave(self) -> Wave:
        return Wave(STACK, self.steps, self.domains, self.mailboxes)

    def row(self, key: str, item: Any = None) -> Step:
        wanted = "" if item is None else str(item.pk)
        return next(step for step in self.steps if (step.key, step.item_key) == (key, wanted))

    def close(self, key: str, item: Any = None) -> None:
        self.row(key, item).state = StepState.COMPLETED

    def due(self, key: str, now: VendorInstant = NOW) -> list[Step]:
        return self.wave().due(STACK.step(key), now)


def keys(items: list[Any]) -> list[str]:
    return [str(item.pk) for item in items]


def at(seconds: float) -> VendorInstant:
    return VendorInstant(NOW + timedelta(seconds=seconds))


def test_items_are_ready_one_by_one() -> None:
    made = Made()
    assert not made.due("buy")
    made.close("begin")
    assert [row.item_key for row in made.due("buy")] == keys(made.domains)
    made.close("buy", made.domains[0])
    made.close("records", made.domains[0])
    assert [row.item_key for row in made.due("boxes")] == keys(made.mailboxes[:2])


def test_a_run_step_waits_for_the_first_or_for_all() -> None:
    made = Made()
    made.close("begin")
    for key in ("buy", "records"):
        made.close(key, made.domains[0])
    made.close("boxes", made.mailboxes[0])
    assert made.due("tool") == [made.row("tool")]
    made.close("tool")
    assert not made.due("end")


def test_the_items_of_a_failed_domain_leave_the_wave() -> None:
    made = Made()
    made.close("begin")
    made.row("buy", made.domains[0]).state = StepState.FAILED
    wave = made.wave()
    assert wave.live(Scope.MAILBOX) == keys(made.mailboxes[2:])
    assert not wave.has_nothing_left()
    made.row("buy", made.domains[1]).state = StepState.FAILED
    assert made.wave().has_nothing_left()


def one_of_two_bought() -> Made:
    made = Made()
    made.close("begin")
    made.close("buy", made.domains[0])
    made.row("buy", made.domains[1]).opened_at = NOW
    return made


def test_a_ready_item_waits_for_a_sibling_on_its_way() -> None:
    made = one_of_two_bought()
    fresh = made.due("records")
    assert made.wave().gathers(STACK.step("records"), fresh, NOW)
    fresh[0].next_attempt_at = at(900)
    assert not made.due("records", at(60))


def test_held_items_go_when_the_last_sibling_is_there() -> None:
    made = one_of_two_bought()
    made.row("records", made.domains[0]).next_attempt_at = at(900)
    made.close("buy", made.domains[1])
    rows = made.due("records", at(60))
    assert len(rows) == 2
    assert not made.wave().gathers(STACK.step("records"), rows, at(60))


def test_held_items_go_when_their_time_is_over() -> None:
    made = one_of_two_bought()
    held = made.row("records", made.domains[0])
    held.next_attempt_at = at(900)
    assert made.due("records", at(900)) == [held]
    assert not made.wave().gathers(STACK.step("records"), [held], at(900))


@pytest.mark.parametrize(("waits_on", "late"), [(WaitsOn.STUDENT, False), (WaitsOn.FUNDS, False), ("platform", True)])
def test_nobody_waits_for_a_sibling_that_waits_for_a_person_or_is_late(waits_on: str, late: bool) -> None:
    made = one_of_two_bought()
    slow = made.row("buy", made.domains[1])
    slow.state, slow.waits_on = StepState.WAITING, waits_on
    now = at(11 * MINUTE) if late else NOW
    assert not made.wave().gathers(STACK.step("records"), made.due("records", now), now)


def test_a_look_that_is_due_soon_is_made_together() -> None:
    made = Made()
    made.close("begin")
    first, second = (made.row("buy", domain) for domain in made.domains)
    for row, seconds in ((first, 0), (second, 50)):
        row.state, row.waits_on, row.opened_at = StepState.WAITING, WaitsOn.PLATFORM, NOW
        row.next_attempt_at = at(seconds)
    assert made.due("buy") == [first, second]
    second.next_attempt_at = at(120)
    assert made.due("buy") == [first]


@pytest.mark.parametrize(
    ("waited", "wait"),
    [(0, 600), (300, 300), (580, 120), (600, 150), (1200, 300), (3 * HOUR, 0.5 * HOUR), (40 * HOUR, 0.5 * HOUR)],
)
def test_looks_become_rarer(waited: float, wait: float) -> None:
    step = spec("active", Scope.DOMAIN, poll=2 * MINUTE, usual=(10 * MINUTE, 2 * HOUR))
    assert step.pace(waited) == wait


def test_a_row_without_a_permit_is_not_held_for_siblings() -> None:
    made = one_of_two_bought()
    row = made.row("records", made.domains[0])
    row.state, row.waits_on, row.next_attempt_at = StepState.WAITING, WaitsOn.BUDGET, at(60)
    made.close("buy", made.domains[1])
    assert made.due("records", at(10)) == [made.row("records", made.domains[1])]
    assert len(made.due("records", at(60))) == 2


BESIDE = (
    spec("begin", Scope.RUN),
    spec("buy", Scope.DOMAIN),
    spec("room", Scope.RUN, after=("begin",)),
    spec("boxes", Scope.MAILBOX, after=("buy", "room")),
    spec("policy", Scope.DOMAIN, after=("buy",)),
    spec("end", Scope.RUN, after=("policy", "boxes")),
)


def waits_for(steps: tuple[StepSpec, ...]) -> dict[str, list[str]]:
    return {key: [one.key for one in before] for key, before in before_each(steps).items()}


def test_a_step_waits_for_what_it_names_and_for_what_that_waits_for() -> None:
    assert waits_for(BESIDE) == {
        "begin": [],
        "buy": ["begin"],
        "room": ["begin"],
        "boxes": ["begin", "buy", "room"],
        "policy": ["begin", "buy"],
        "end": ["begin", "buy", "room", "boxes", "policy"],
    }


def test_without_names_a_step_waits_for_all_that_stand_before_it() -> None:
    assert waits_for(STACK.steps)["end"] == ["begin", "buy", "records", "boxes", "tool"]


def test_a_step_waits_for_no_step_that_a_pipeline_leaves_out() -> None:
    assert waits_for(BESIDE[1:])["room"] == ["buy"]
    assert waits_for((*BESIDE[:2], BESIDE[3]))["boxes"] == ["begin", "buy"]


def test_a_step_cannot_wait_for_what_stands_behind_it() -> None:
    with pytest.raises(ValueError, match="room waits"):
        before_each((BESIDE[2], BESIDE[0]))


@pytest.mark.parametrize("stack", STACKS.values(), ids=list(STACKS))
def test_the_last_step_of_every_pipeline_waits_for_all_others(stack: StackSpec) -> None:
    for steps in (stack.steps, *(one.steps for one in stack.pipelines.values())):
        assert len(before_each(steps)[steps[-1].key]) == len(steps) - 1
