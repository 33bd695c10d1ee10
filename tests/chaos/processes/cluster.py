"""Who is who in a worker's processes.

    manage.py worker            the supervisor
      manage.py qcluster        the main process of django-q2's cluster
        sentinel                bears the others and replaces those that die
          worker, worker ...    take tasks from a queue in memory
          monitor               acknowledges what is done
          pusher                takes rows from the queue's table

They all carry one name, but the sentinel bears its children in a fixed order.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from config.processes import tree
from tests.integration.processes import until

MOST_PIDS = 2**22


@dataclass(frozen=True)
class Cluster:
    """Process ids by role, as they are right after the start."""

    supervisor: int
    main: int
    sentinel: int
    workers: tuple[int, ...]
    monitor: int
    pusher: int

    @property
    def holder(self) -> int | None:
        """The idle worker that reads the queue in memory. It holds the lock for which the other idle ones wait.

        Return None while nobody reads it.
        """
        return next((pid for pid in self.workers if "pipe_read" in sleeps_in(pid)), None)

    def is_idle(self) -> bool:
        """Tell whether all workers wait for tasks: one of them at the queue, the others for its lock."""
        waiting = [pid for pid in self.workers if waits_for_a_lock(pid)]
        return self.holder is not None and len(waiting) == len(self.workers) - 1


def cluster_of(main: int, workers: int) -> Cluster | None:
    """Name the processes below a cluster's main process; None while some are missing."""
    processes = tree(main)
    sentinels = [process.pid for process in processes if process.parent == main]
    if len(sentinels) != 1:
        return None
    born = children_of(sentinels[0])
    if len(born) != workers + 2:
        return None
    parent = next(process.parent for process in processes if process.pid == main)
    return Cluster(parent, main, sentinels[0], tuple(born[:workers]), monitor=born[-2], pusher=born[-1])


def children_of(pid: int) -> list[int]:
    """Return a process's children in the order of their birth: later numbers, which begin anew at the end."""
    born = [process.pid for process in tree(pid) if process.parent == pid]
    return sorted(born, key=lambda child: (child - pid) % MOST_PIDS)


def await_idle_cluster(main: int, workers: int) -> Cluster:
    """Wait until a cluster is complete and idle, and return who is who."""
    found: list[Cluster] = []

    def is_idle() -> bool:
        cluster = cluster_of(main, workers)
        if cluster is None or not cluster.is_idle():
            return False
        found.append(cluster)
        return True

    until(is_idle, seconds=60, otherwise="the cluster did not become idle")
    return found[-1]


def main_of(supervisor: int) -> int:
    """Wait until a supervisor has started its cluster; return the cluster's main process."""
    until(lambda: bool(children_of(supervisor)), seconds=60, otherwise="the worker started no cluster")
    return children_of(supervisor)[-1]


def waits_for_a_lock(pid: int) -> bool:
    """Tell whether a process waits for a lock."""
    return "futex" in sleeps_in(pid)


def sleeps_in(pid: int) -> str:
    """Return the kernel's name for what a process waits for; empty when it does not wait or is gone."""
    try:
        return Path(f"/proc/{pid}/wchan").read_text()
    except OSError:
        return ""
