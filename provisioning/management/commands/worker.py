"""`manage.py worker`: the queue's cluster under a supervisor that watches work done, not process life."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError, connection

from infra import clock, rls, secret
from integrations import registry
from provisioning.engine import budget, doorbell, groups, supervisor

log = logging.getLogger("provisioning.worker")

TICK = 1.0
STUCK_AFTER = 30.0  # seconds without any work done, while work lies due, after which the cluster is taken for dead
CHECK_EVERY = 5.0
RING_PAUSE = 3.0
STOP_PATIENCE = 20.0


class Command(BaseCommand):
    help = "Build what is due: django-q2's cluster in a process group of its own, watched and restarted."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--once", action="store_true", help="Drain what is due in this process, then stop.")

    def handle(self, *args: Any, **options: Any) -> None:
        rls.set_role("worker")
        prepare()
        if options["once"]:
            self.stdout.write(f"{drain_here()} pieces of work done.")
            return
        Watchdog().run()


def prepare() -> None:
    """Check the keys, let the vendor clock run at its speed, make the slot rows match the settings."""
    try:
        secret.check_canary()
    except secret.SecretUnreadable as error:
        raise CommandError("FIELD_ENCRYPTION_KEYS does not open what this database holds.") from error
    if clock.scale() != settings.PROVISIONING_TIME_SCALE:
        clock.set_scale(settings.PROVISIONING_TIME_SCALE)
    workers = int(settings.Q_CLUSTER["workers"])
    budget.synchronise(
        [
            budget.Limit(row.name, row.limit, row.window, {"paid": row.reserved_paid})
            for row in registry.budgets(settings.PLATFORMS)
        ],
        {row.slug: max(1, workers - 1) for row in registry.PLATFORMS},
    )


def drain_here() -> int:
    """Answer every bell in this process until nothing is due."""
    done = 0
    for name in doorbell.names():
        done += doorbell.drain(name, 1000)
    return done


class Watchdog:
    """Starts the cluster, ticks every second, and kills and restarts the whole group when due work lies untouched."""

    def __init__(self) -> None:
        self.group = ""
        self.folder = Path(settings.VAR_DIR) / "workers"
        self.member: groups.Membership | None = None
        self.cluster: subprocess.Popen[bytes] | None = None
        self.started_at = 0.0
        self.stopping = False
        self.rung: dict[str, float] = {}

    def run(self) -> None:
        signal.signal(signal.SIGTERM, self._stop)
        signal.signal(signal.SIGINT, self._stop)
        self._bury_dead()
        self._start()
        next_check = time.monotonic() + CHECK_EVERY
        while not self.stopping:
            try:
                supervisor.tick()
                self._ring_due()
            except DatabaseError:
                log.warning("the database does not answer; trying again")
                connection.close()
            if self._died() or time.monotonic() >= next_check:
                next_check = time.monotonic() + CHECK_EVERY
                self._check()
            time.sleep(TICK)
        self._end()

    def _stop(self, *_: object) -> None:
        self.stopping = True

    def _bury_dead(self) -> None:
        """End the leases of groups of this machine that were killed; what they were rung for is rung for again."""
        for group in groups.bury_dead(self.folder):
            runs = supervisor.bury(group)
            log.warning("a killed group of workers was found", extra={"group": group, "runs": runs})
        supervisor.forget_rings()

    def _start(self) -> None:
        self.group = f"{socket.gethostname()[:40]}:{os.getpid()}:{time.time_ns()}"
        self.member = groups.Membership(self.folder, self.group)
        self.cluster = self.member.start(
            [sys.executable, "manage.py", "qcluster"],
            {**os.environ, "GTM_WORKER_GROUP": self.group, "GTM_DATABASE_ROLE": "worker"},
            settings.BASE_DIR,
        )
        self.started_at = time.monotonic()
        log.info("cluster started", extra={"pid": self.cluster.pid})

    def _ring_due(self) -> None:
        now = time.monotonic()
        for name in doorbell.due_names():
            if now - self.rung.get(name, 0.0) > RING_PAUSE:
                self.rung[name] = now
                doorbell.ring(name)

    def _check(self) -> None:
        try:
            idle = supervisor.seconds_without_work(self.group)
        except DatabaseError:
            return
        # What lay due before this cluster began is no fault of its own.
        stuck = min(idle, time.monotonic() - self.started_at) > STUCK_AFTER
        died = self._died()
        if died or stuck:
            log.error("the cluster does no work", extra={"died": died, "stuck": stuck})
            self._kill()
            self._start()

    def _died(self) -> bool:
        return self.cluster is None or self.cluster.poll() is not None

    def _kill(self) -> None:
        """Kill the whole group: orphans of a dead cluster would go on working beside the new one."""
        if self.cluster is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.cluster.pid, signal.SIGKILL)
        self.cluster.wait()
        try:
            runs = supervisor.bury(self.group)
            supervisor.forget_rings()
            log.info("the killed group was buried", extra={"runs": runs})
        except DatabaseError:
            connection.close()
            return  # the locks stay, so that the next start ends the leases
        if self.member is not None:
            self.member.end()

    def _end(self) -> None:
        """Ask the cluster's main process to stop, wait, then kill what is left of the group."""
        if self.cluster is None:
            return
        # django-q2 hangs when the whole group is signalled: only its main process is asked.
        self.cluster.terminate()
        try:
            self.cluster.wait(STOP_PATIENCE)
        except subprocess.TimeoutExpired:
            log.warning("the cluster did not stop in time")
        self._kill()
