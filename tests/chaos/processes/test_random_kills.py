"""Real worker processes, killed at any moment: every run arrives, and nothing is bought twice.

The moments come from a seed, which is printed; `GTM_KILL_SEED` repeats a run's choices (not its timing).
"""

from __future__ import annotations

import contextlib
import os
import random
import subprocess

import pytest

from config.processes import tree
from provisioning.models import Operation
from tests.chaos.figures import Figures
from tests.integration.processes import Processes, kill, kill_tree, pause, until
from tests.integration.world import new_order, paid

from .oracle import agree, await_end

pytestmark = pytest.mark.xdist_group("processes")

WAYS = ["everything"] * 5 + ["the supervisor"] * 2 + ["the cluster"] * 2 + ["one of the cluster"]
NAMES = ("amber", "birch", "cedar")
Worker = subprocess.Popen[bytes]


def test_ten_kills_at_random_moments(world: Processes, figures: Figures) -> None:
    seed = int(os.environ.get("GTM_KILL_SEED") or random.SystemRandom().randrange(10**6))
    print(f"seed {seed}")
    figures.put("random_kills_seed", seed)
    chance = random.Random(seed)
    world.slow(0.4)  # so that many a blow falls while an answer is on its way
    orders = [new_order(name) for name in NAMES]
    worker = world.worker()
    for number, way in enumerate(chance.sample(WAYS, k=len(WAYS))):
        if number % 2 == 0 and number // 2 < len(orders):
            paid(orders[number // 2])
        await_cluster(worker)
        pause(chance.uniform(0.0, 3.0))
        if chance.random() < 0.5:
            wait_for_a_write()
            pause(chance.uniform(0.0, 0.4))
        worker = strike(world, worker, way, chance)
    await_end()

    agree(world, orders)
    figures.add("random_kills", len(WAYS))


def await_cluster(worker: Worker) -> None:
    """Wait until the worker's cluster has processes that could work: a blow before that proves little."""
    until(lambda: len(tree(worker.pid)) > 3, seconds=60, otherwise="the worker did not start")


def wait_for_a_write() -> None:
    """Wait until a worker has written down what it is about to send, if that happens soon."""
    with contextlib.suppress(AssertionError):
        until(lambda: Operation.objects.filter(state="intended").exists(), seconds=3, otherwise="nothing is sent")


def strike(world: Processes, worker: Worker, way: str, chance: random.Random) -> Worker:
    """Kill the worker's processes in one of four ways, and return the worker that goes on."""
    below = [process.pid for process in tree(worker.pid) if process.pid != worker.pid]
    under_way = Operation.objects.filter(state="intended").count()
    print(f"kill {way}: {len(below)} processes below the supervisor, {under_way} writes under way")
    match way:
        case "everything":
            kill_tree(worker.pid)
        case "the supervisor":
            kill(worker.pid)
        case "the cluster":
            for pid in below:
                kill(pid)
        case "one of the cluster":
            kill(chance.choice(below or [worker.pid]))
    if below and way in ("the cluster", "one of the cluster"):
        return worker
    kill(worker.pid)
    worker.wait(10)
    return world.worker()
