"""Real worker processes, killed at any moment: every run arrives, and nothing is bought twice.

The moments come from a seed, which is printed; `GTM_KILL_SEED` repeats a run's choices (not its timing).
"""

from __future__ import annotations

import contextlib
import os
import random
import subprocess
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
WAYS = ["everything"] * 5 + ["the supervisor"] * 2 + ["the cluster"] * 2 + ["one of the cluster"]
Worker = subprocess.Popen[bytes]
NAMES = ("amber", "birch", "cedar")


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Processes]:
    with processes.running(tmp_path, speed=SPEED) as started:
        started.sandbox()
        yield started


def test_ten_kills_at_random_moments(world: Processes) -> None:
    seed = int(os.environ.get("GTM_KILL_SEED") or random.SystemRandom().randrange(10**6))
    print(f"seed {seed}")
    chance = random.Random(seed)
    world.slow(0.4)  # so that many a blow falls while an answer is on its way
    orders = [new_order(name) for name in NAMES]
    ways = chance.sample(WAYS, k=len(WAYS))
    worker = world.worker()
    for number, way in enumerate(ways):
        if number % 2 == 0 and number // 2 < len(orders):
            paid(orders[number // 2])
        until(lambda: len(tree(worker.pid)) > 3, seconds=30, otherwise="the worker did not start")  # noqa: B023
        processes.pause(chance.uniform(0.0, 3.0))
        if chance.random() < 0.5:
            wait_for_a_write()
            processes.pause(chance.uniform(0.0, 0.4))
        worker = strike(world, worker, way, chance)
    until(finished, seconds=180, otherwise=f"seed {seed}: not done in time: {describe()}")

    assert set(Run.objects.values_list("state", flat=True)) == {"done"}, f"seed {seed}"
    agrees_with_the_platforms(world, orders)


def await_cluster(worker: Worker) -> None:
    """Wait until the worker's cluster has processes that could work: a blow before that proves little."""
    until(lambda: len(tree(worker.pid)) > 3, seconds=30, otherwise="the worker did not start")


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
