"""The queue is a doorbell: a task carries nothing but the name of what to drain. The only module that imports django-q2.

A task may run fifty times at once, late, or never. The database is the truth; the supervisor rings again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from django.db import connection
from django_q.conf import Conf
from django_q.tasks import async_task

log = logging.getLogger(__name__)

Drain = Callable[[int], int]
Due = Callable[[], bool]

_drains: dict[str, Drain] = {}
_due: dict[str, Due] = {}


def register(name: str, drain: Drain, due: Due | None = None) -> None:
    """Let `drain(limit)` answer the bell `name`; it claims its own rows and returns how many it worked on.

    `due()` tells the supervisor that rows wait although nobody rang: rings are lost, and waits end by themselves.
    """
    _drains[name] = drain
    if due is not None:
        _due[name] = due


def due_names() -> list[str]:
    """Return the bells that should be rung now."""
    return [name for name, due in _due.items() if due()]


def names() -> tuple[str, ...]:
    """Return the registered bells."""
    return tuple(_drains)


def ring(name: str, times: int = 1) -> None:
    """Ask a worker to drain `name`, in the current transaction: no commit, no ring."""
    statement, parameters = ring_for_each(name, "generate_series(1, %s)")
    with connection.cursor() as cursor:
        cursor.execute(statement, [*parameters, times])


def ring_for_each(name: str, source: str) -> tuple[str, list[Any]]:
    """Return a statement that rings once for each row of `source`, and its parameters; those of `source` come after.

    For who is about to send a statement anyway: the ring travels with it.
    """
    statement = f"INSERT INTO django_q_ormq (key, payload, lock) SELECT %s, %s, clock_timestamp() FROM {source}"
    return statement, [Conf.CLUSTER_NAME, _package(name)]


@lru_cache
def _package(name: str) -> str:
    """Return the task as django-q2 packs and signs it. One for all rings: nothing in it tells two of them apart."""
    kept = _Kept()
    async_task("provisioning.engine.doorbell.drain", name, broker=kept)
    return kept.package


class _Kept:
    """What django-q2 hands a finished package to; this one keeps it."""

    list_key = Conf.CLUSTER_NAME
    package = ""

    def enqueue(self, package: str) -> None:
        self.package = package


def drain(name: str, limit: int = 10) -> int:
    """Work on what is due under `name`. Runs in a worker; never raises, so that the queue never decides anything."""
    from . import timing
    from .supervisor import note_work

    try:
        done = _drains[name](limit)
    except Exception:
        log.exception("drain failed", extra={"drain": name})
        return 0
    note_work(name)
    timing.flush()
    return done
