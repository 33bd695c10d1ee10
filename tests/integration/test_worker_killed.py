"""Real worker processes, killed at any moment: every run arrives, and nothing is bought twice.

The moments come from a seed, which is printed; `GTM_KILL_SEED` repeats a run's choices (not its timing).
"""

from __future__ import annotations

import os
import random
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from config.processes import tree
from infra.models import Provision
from provisioning.models import Heartbeat, Operation, Run
from tests.integration import processes
from tests.integration.processes import Processes, kill, kill_tree, until
from tests.integration.world import describe, new_order, paid

# One group: other tests of real processes would take the processor away from this one.
pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.xdist_group("processes")]

SPEED = 240.0  # a run lasts about twenty seconds
KILLS = 10
NAMES = ("amber", "birch", "cedar", "delta")


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Processes]:
    with processes.running(tmp_path, speed=SPEED) as started:
        started.sandbox()
        yield started


def test_ten_kills_at_random_moments(world: Processes) -> None:
    seed = int(os.environ.get("GTM_KILL_SEED") or random.SystemRandom().randrange(10**6))
    print(f"seed {seed}")
    chance = random.Random(seed)
    orders = [new_order(name) for name in NAMES]
    worker = world.worker()
    for number in range(KILLS):
        if number % 2 == 0 and number // 2 < len(orders):
            paid(orders[number // 2])
        time.sleep(chance.uniform(1.0, 6.0))  # the moment is what is tested
        worker = strike(world, worker, chance)
    until(finished, seconds=75, otherwise=f"seed {seed}: not done in time: {describe()}")

    assert set(Run.objects.values_list("state", flat=True)) == {"done"}, f"seed {seed}"
    agrees_with_the_platforms(world, orders)


def strike(world: Processes, worker: subprocess.Popen[bytes], chance: random.Random) -> subprocess.Popen[bytes]:
    """Kill the worker's processes in one of four ways, and return the worker that goes on."""
    below = [process.pid for process in tree(worker.pid) if process.pid != worker.pid]
    way = chance.choice(("everything", "supervisor", "cluster", "one of the cluster")) if below else "supervisor"
    under_way = Operation.objects.filter(state="intended").count()
    print(f"kill {way}: {len(below)} processes below the supervisor, {under_way} calls under way")
    match way:
        case "everything":
            kill_tree(worker.pid)
        case "supervisor":
            kill(worker.pid)
        case "cluster":
            for pid in below:
                kill(pid)
        case _:
            kill(chance.choice(below))
    if way not in ("everything", "supervisor"):
        return worker
    worker.wait(10)
    return world.worker()


def finished() -> bool:
    return Run.objects.filter(state__in=["done", "failed"]).count() == len(NAMES)


def agrees_with_the_platforms(world: Processes, orders: list[Provision]) -> None:
    state = world.state()
    purchases = state["zapmail"]["purchases"]
    names = [domain.name for order in orders for domain in order.domains.exclude(state="spare")]
    assert {name: bought["bought"] for name, bought in purchases.items()} == dict.fromkeys(names, 1)
    for order in orders:
        order.refresh_from_db()
        assert order.state == "active"
        for platform, things in (("zapmail", "workspaces"), ("plusvibe", "workspaces"), ("heyreach", "lists")):
            ours = [thing for thing in state[platform][things] if thing["name"].endswith(order.reference)]
            assert len(ours) == 1, f"{platform} {things} of {order.reference}"
        clients = [
            client
            for client in state["plusvibe"]["clients"]
            if client["client_email"] == order.facts["plusvibe_client_email"]
        ]
        assert len(clients) == 1
    assert len(state["zapmail"]["mailboxes"]) == 6 * len(orders)


def test_a_restart_on_the_same_machine_goes_on_within_seconds(world: Processes) -> None:
    worker = world.worker()
    run = paid(new_order("elder"))
    until(lambda: Run.objects.get(pk=run.pk).wakeups > 1, seconds=30, otherwise="the run did not begin")
    kill_tree(worker.pid)
    worker.wait()
    wakeups = Run.objects.get(pk=run.pk).wakeups

    worker = world.worker()
    until(lambda: Run.objects.get(pk=run.pk).wakeups > wakeups, seconds=20, otherwise="the run did not go on")


def test_sigterm_ends_a_worker_in_order(world: Processes) -> None:
    worker = world.worker()
    run = paid(new_order("fir"))
    until(lambda: Run.objects.get(pk=run.pk).wakeups > 0, seconds=30, otherwise="the run did not begin")
    below = {process.pid for process in tree(worker.pid)}

    worker.terminate()

    assert worker.wait(30) == 0
    assert Run.objects.get(pk=run.pk).lease_until is None or Run.objects.get(pk=run.pk).state != "running"
    assert not below & {process.pid for process in tree(worker.pid)}
    assert Heartbeat.objects.filter(name="work:runs").exists()
    assert not list((world.folder / "workers").iterdir())
