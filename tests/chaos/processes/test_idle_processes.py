"""SIGKILL and SIGSTOP of each process of a worker while it is idle: the next order is built all the same, by itself.

A process may vanish or stand still at any time: killed for its memory, frozen with its container, under a debugger. What
is worst is not its absence but what it takes along: the idle worker that reads the queue holds a lock for which all
others wait, for ever, and the cluster looks well. So the supervisor looks at work done, not at processes.
"""

from __future__ import annotations

import os
import signal
from signal import SIGKILL, SIGSTOP

import pytest
from django.conf import settings
from django.db import connection

from provisioning.engine import doorbell
from tests.chaos import whole
from tests.chaos.figures import Figures
from tests.integration.processes import Processes, until
from tests.integration.world import new_order, paid

from .cluster import Cluster, await_idle_cluster, children_of, main_of, waits_for_a_lock
from .oracle import agree, await_end_without_a_long_pause, note_recovery, wakeups

pytestmark = pytest.mark.xdist_group("processes")

WORKERS = int(settings.Q_CLUSTER["workers"])
ROLES = ["reader of the queue", "another worker", "pusher", "monitor", "sentinel", "main process", "supervisor"]
CASES = [(role, how) for how in (SIGKILL, SIGSTOP) for role in ROLES]
PART = [("sentinel", SIGKILL)]  # it needs no half minute of patience


@pytest.mark.parametrize("role, how", CASES if whole.IS_WHOLE else PART)
def test_an_order_is_built_although_an_idle_process_is_gone(
    world: Processes, role: str, how: signal.Signals, figures: Figures
) -> None:
    supervisor = world.worker()
    cluster = await_idle_cluster(main_of(supervisor.pid), WORKERS)

    os.kill(pid_of(role, cluster), how)
    if role == "supervisor":
        if how == SIGKILL:
            supervisor.wait()
        world.worker()  # the service manager's, or the one on the next host
    order = new_order()
    paid(order)

    seconds = await_end_without_a_long_pause(since=0)
    agree(world, [order])
    note_recovery(figures, f"{role} {'killed' if how == SIGKILL else 'stopped'}", seconds)


def pid_of(role: str, cluster: Cluster) -> int:
    reader = cluster.holder
    assert reader is not None
    others = [pid for pid in cluster.workers if pid != reader]
    return {
        "reader of the queue": reader,
        "another worker": others[0],
        "pusher": cluster.pusher,
        "monitor": cluster.monitor,
        "sentinel": cluster.sentinel,
        "main process": cluster.main,
        "supervisor": cluster.supervisor,
    }[role]


def test_without_a_supervisor_the_death_of_one_idle_worker_ends_all_work(world: Processes) -> None:
    """The control: django-q2's own cluster. It replaces the dead worker, looks well, and never works again."""
    cluster = await_idle_cluster(world.start("qcluster").pid, WORKERS)
    doorbell.ring("runs")
    until(lambda: queued() == 0, seconds=30, otherwise="the cluster does not even work undisturbed")
    until(lambda: cluster.is_idle(), seconds=30, otherwise="the cluster did not become idle")
    reader = cluster.holder
    assert reader is not None

    os.kill(reader, SIGKILL)
    until(lambda: reader not in children_of(cluster.sentinel), seconds=30, otherwise="it was not killed")
    until(lambda: is_complete(cluster), seconds=30, otherwise="the dead worker was not replaced")
    paid(new_order())
    until(lambda: taken() > 0, seconds=30, otherwise="the pusher took nothing")
    until(lambda: waits_for_the_dead(cluster), seconds=30, otherwise="somebody goes on")

    assert wakeups() == 0
    assert queued() > 0


def is_complete(cluster: Cluster) -> bool:
    return len(children_of(cluster.sentinel)) == WORKERS + 2


def waits_for_the_dead(cluster: Cluster) -> bool:
    """Tell whether every worker waits for the queue's lock, so that nobody is left who could release it."""
    workers = set(children_of(cluster.sentinel)) - {cluster.monitor, cluster.pusher}
    return all(waits_for_a_lock(pid) for pid in workers)


def queued() -> int:
    """Return how many tasks lie in the queue's table, taken or not."""
    return count("TRUE")


def taken() -> int:
    """Return how many of them the pusher has taken into the cluster's memory."""
    return count("lock > clock_timestamp()")


def count(condition: str) -> int:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT count(*) FROM django_q_ormq WHERE {condition}")
        return int(cursor.fetchone()[0])
