"""SIGKILL for the whole worker while a call is on its way, at every call that the smallest package needs.

Each order has one call of its own that the platform leaves without an answer: before it has done the work, or after. While
it hangs, the supervisor and its whole cluster are killed, and a new worker is started, as a service manager does. All
orders are built at once, so a blow also falls into whatever the others are doing.
"""

from __future__ import annotations

import subprocess
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import pytest

from infra.models import Provision
from tests.chaos import whole
from tests.chaos.figures import Figures
from tests.integration.processes import POLL, Processes, kill_tree, pause
from tests.integration.world import describe, new_order, paid

from .oracle import RECOVERY, agree, await_end, is_finished, note_recovery, wakeups

pytestmark = pytest.mark.xdist_group("processes")

KINDS = {"before": "timeout_before", "after": "timeout_after"}
AT_ONCE = 14  # orders built together
SECONDS = 400.0  # for that many orders; what was killed before the work waits until it is certainly absent


@dataclass(frozen=True)
class Moment:
    """The `turn`-th call (from 0) of a verb for one order, before or after the platform's work."""

    side: str
    platform: str
    verb: str
    turn: int = 0

    def __str__(self) -> str:
        return f"{self.side} {self.platform}.{self.verb}"


PART = [
    Moment("after", "zapmail", "buy_domains"),
    Moment("before", "zapmail", "list_domains", 1),
]


@pytest.mark.parametrize("side", whole.sample(["part", *KINDS], part=1))
def test_a_worker_killed_at_any_call_builds_everything_once(world: Processes, side: str, figures: Figures) -> None:
    moments = PART if side == "part" else every_call(world, side)
    orders = {new_order(f"{side}{n}"): moment for n, moment in enumerate(moments)}
    for batch in in_batches(orders, AT_ONCE):
        hold(world, batch)
        for order in batch:
            paid(order)
        kills = kill_at_each_hold(world, figures)
        figures.add("process_kills_at_calls", kills)

    met = {order for order in orders if was_held(world, order)}
    figures.see("calls killed at", *(str(orders[order]) for order in met))
    missed = {str(moment) for order, moment in orders.items() if order not in met}
    assert not {name for name in missed if ".list_" not in name}, "a poll may be needed once less, a write may not"
    agree(world, Provision.objects.all())


def every_call(world: Processes, side: str) -> list[Moment]:
    """Watch an order that nothing disturbs, and return each of its calls."""
    order = new_order("undisturbed")
    worker = world.worker()
    paid(order)
    await_end()
    kill_tree(worker.pid)
    worker.wait()
    turns: Counter[tuple[str, str]] = Counter()
    found = []
    for entry in world.calls():
        verb = entry["platform"], entry["verb"]
        if entry["student_ref"] == order.reference:
            found.append(Moment(side, *verb, turns[verb]))
            turns[verb] += 1
    return found


def in_batches(orders: Mapping[Provision, Moment], size: int) -> Iterable[dict[Provision, Moment]]:
    rows = list(orders.items())
    return (dict(rows[start : start + size]) for start in range(0, len(rows), size))


def hold(world: Processes, orders: Mapping[Provision, Moment]) -> None:
    for order, at in orders.items():
        world.fault(KINDS[at.side], platform=at.platform, verb=at.verb, ref=order.reference, skip=at.turn, times=1)


def was_held(world: Processes, order: Provision) -> bool:
    return any(entry["student_ref"] == order.reference and is_held(entry["fault"]) for entry in world.calls())


def is_held(fault: str) -> bool:
    return fault in KINDS.values()


def kill_at_each_hold(world: Processes, figures: Figures) -> int:
    """Kill the worker whenever a call hangs, and start another, until every run has ended. Return the number of kills."""
    kills, seen = 0, len(world.calls())
    worker = world.worker()
    ends = time.monotonic() + SECONDS
    while not is_finished():
        assert time.monotonic() < ends, f"not done in time: {describe()}"
        fresh = world.calls(seen)
        seen += len(fresh)
        if any(is_held(entry["fault"]) for entry in fresh):
            worker = replace(world, worker, figures)
            kills += 1
        pause(POLL)
    kill_tree(worker.pid)
    worker.wait()
    return kills


def replace(world: Processes, worker: subprocess.Popen[bytes], figures: Figures) -> subprocess.Popen[bytes]:
    kill_tree(worker.pid)
    worker.wait()
    before, began = wakeups(), time.monotonic()
    fresh = world.worker()
    while wakeups() == before:
        assert time.monotonic() - began < RECOVERY, f"no work after a kill: {describe()}"
        pause(POLL)
    note_recovery(figures, "killed at a call", time.monotonic() - began)
    return fresh
