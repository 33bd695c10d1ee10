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
from django.db import Error, OperationalError, connection

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
        if options["once"]:
            prepare()
            self.stdout.write(f"{drain_here()} pieces of work done.")
            return
        prepare_patiently()
        Watchdog().run()


def prepare_patiently() -> None:
    """Prepare once the database answers: it may start after us, or be away just now."""
    while True:
        try:
            prepare()
            return
        except OperationalError as error:
            note_absence(error)
            time.sleep(TICK)


def note_absence(error: Error) -> None:
    """The database does not answer: say so, and begin anew with a fresh connection."""
    log.warning("the database does not answer; trying again (%s)", str(error).splitlines()[:1])
    connection.close()


def prepare() -> None:
    """Check the keys, let the vendor clock run at its speed, make the slot rows match the settings."""
    rls.set_role("worker")
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
        self.dead: list[tuple[str, groups.Membership | None]] = []  # groups whose leases are still to be ended
        self.rings_are_lost = True
        self.cluster: subprocess.Popen[bytes] | None = None
        self.started_at = 0.0
        self.stopping = False
        self.rung: dict[str, float] = {}

    def run(self) -> None:
        signal.signal(signal.SIGTERM, self._stop)
        signal.signal(signal.SIGINT, self._stop)
        self.dead = [(group, None) for group in groups.bury_dead(self.folder)]
        self._start()
        next_check = time.monotonic() + CHECK_EVERY
        while not self.stopping:
            try:
                self._bury()
                supervisor.tick()
                self._ring_due()
                if self._died() or time.monotonic() >= next_check:
                    next_check = time.monotonic() + CHECK_EVERY
                    self._check()
            except Error as error:
                note_absence(error)
            time.sleep(TICK)
        self._end()

    def _stop(self, *_: object) -> None:
        self.stopping = True

    def _bury(self) -> None:
        """End the leases of groups whose processes are dead; what they were rung for is rung for again."""
        if not self.rings_are_lost:
            return
        for group, _ in self.dead:
            log.warning("a killed group of workers is buried", extra={"group": group, "runs": supervisor.bury(group)})
        supervisor.forget_rings()
        while self.dead:
            _, member = self.dead.pop()
            if member is not None:
                member.end()
        self.rings_are_lost = False

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
        # What lay due before this cluster began is no fault of its own.
        idle = min(supervisor.seconds_without_work(self.group), time.monotonic() - self.started_at)
        died, stuck = self._died(), idle > STUCK_AFTER
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
        self.dead.append((self.group, self.member))
        self.rings_are_lost = True

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
        try:
            self._bury()
        except Error as error:
            note_absence(error)  # the locks stay, so that the next start ends the leases
