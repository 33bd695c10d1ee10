"""SIGTERM while a call is on its way: the worker ends by itself and in order, and whoever comes next loses nothing.

A service manager may signal the main process alone, or everything at once. Then django-q2 hangs, and is killed after a
while; so is a call that nobody answers.
"""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass

import pytest

from config.processes import tree
from infra import clock
from provisioning.models import Operation, Run
from tests.chaos.figures import Figures
from tests.integration.processes import Processes, until
from tests.integration.world import new_order, paid

from .oracle import agree, await_end_without_a_long_pause, note_recovery, wakeups

pytestmark = pytest.mark.xdist_group("processes")

PATIENCE = 60.0  # seconds after which a service manager kills; ours ends after 20 at the latest


@dataclass(frozen=True)
class Stop:
    """How a worker is stopped while a purchase is under way.

    fault    what the platform does with the call: it answers late, or never
    whole    whether all processes are signalled, not only the supervisor
    in_time  whether the answer comes before the worker's patience is over
    """

    fault: str
    whole: bool
    in_time: bool

    def __str__(self) -> str:
        return f"{self.fault}-{'everything' if self.whole else 'supervisor'}"


STOPS = [Stop("slow_body", False, True), Stop("timeout_after", False, False), Stop("slow_body", True, False)]


@pytest.mark.parametrize("stop", STOPS, ids=str)
def test_a_worker_that_is_asked_to_stop_ends_in_order(world: Processes, stop: Stop, figures: Figures) -> None:
    order = new_order()
    world.fault(stop.fault, platform="zapmail", verb="buy_domains", seconds=2.0, times=1)
    worker = world.worker()
    paid(order)
    until(lambda: bool(purchases(world)), seconds=60, otherwise="nothing was bought")
    processes = [process.pid for process in tree(worker.pid)]

    began = time.monotonic()
    for pid in processes if stop.whole else [worker.pid]:
        os.kill(pid, signal.SIGTERM)
    assert worker.wait(PATIENCE) == 0
    figures.greatest("stop_seconds_sigterm", time.monotonic() - began)

    assert not set(processes) & {process.pid for process in tree(os.getpid())}
    assert not list((world.folder / "workers").iterdir()), "a lock was left"
    assert not Run.objects.filter(lease_until__gt=clock.machine_now()).exists(), "a lease was left"
    if stop.in_time:
        assert not Operation.objects.filter(state="intended").exists(), "the answer was not waited for"

    before = wakeups()
    world.worker()
    note_recovery(figures, "asked to stop", await_end_without_a_long_pause(before))
    assert len(purchases(world)) == 1
    agree(world, [order])


def purchases(world: Processes) -> list[dict[str, object]]:
    return [entry for entry in world.calls() if entry["verb"] == "buy_domains"]
