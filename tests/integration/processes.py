"""Real processes for tests: a sandbox server and workers on the test's own database, killed in every way."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import connection

from config.env import SANDBOX_PATHS
from config.processes import tree
from provisioning.engine import groups
from tests import harness

ROOT = Path(__file__).parents[2]
POLL = 0.05


class Processes:
    """What a test has started, under one environment. Everything is gone when the block ends."""

    def __init__(self, folder: Path, *, speed: float) -> None:
        self.folder = folder
        self.speed = speed
        self.ports = free_ports(3)
        self.control = f"http://127.0.0.1:{self.ports[1]}"
        self.environment = self._environment()
        self.started: list[subprocess.Popen[bytes]] = []

    def _environment(self) -> dict[str, str]:
        database = settings.DATABASES["default"]
        base = f"http://127.0.0.1:{self.ports[0]}"
        host, name = connection.settings_dict["HOST"] or database["HOST"], connection.settings_dict["NAME"]
        shutil.copy(Path(settings.VAR_DIR) / "local.env", self.folder)  # the same keys as this process
        return {
            **os.environ,
            **{name: base + path for name, path in SANDBOX_PATHS.items()},
            "DATABASE_URL": f"postgresql://postgres@/{name}?host={host}",
            "VAR_DIR": str(self.folder),
            "SANDBOX_URL": base,
            "SANDBOX_CONTROL_URL": self.control,
            "EMAIL_URL": f"smtp://127.0.0.1:{self.ports[2]}",
            "PROVISIONING_TIME_SCALE": str(self.speed),
            "WORKERS": "4",
            "PYTHONUNBUFFERED": "1",
        }

    def sandbox(self) -> None:
        """Start the simulated platforms, without faults, and wait until they answer."""
        port, control, mail = self.ports
        self._start(
            "sandbox",
            f"--port={port}",
            f"--control-port={control}",
            f"--mail-port={mail}",
            f"--state={self.folder / 'sandbox.state'}",
            f"--speed={self.speed}",
            "--profile=none",
        )
        until(lambda: self._answers(), seconds=20, otherwise="the sandbox did not start")

    def slow(self, seconds: float) -> None:
        """Let every answer of a platform take so long, after the platform has done its work."""
        for platform in ("zapmail", "plusvibe", "heyreach"):
            fault = {"kind": "slow_body", "platform": platform, "share": 1.0, "seconds": seconds}
            request = urllib.request.Request(f"{self.control}/faults", json.dumps(fault).encode(), method="POST")
            urllib.request.urlopen(request, timeout=10).close()

    def worker(self) -> subprocess.Popen[bytes]:
        """Start `manage.py worker`."""
        return self._start("worker")

    def state(self) -> dict[str, Any]:
        """Return what the platforms hold."""
        with urllib.request.urlopen(f"{self.control}/state", timeout=10) as answer:
            found: dict[str, Any] = json.load(answer)
        return found

    def log(self) -> str:
        """Return what the processes have written."""
        return "\n".join(path.read_text(errors="replace") for path in sorted(self.folder.glob("*.log")))

    def end(self) -> None:
        """Kill whatever is left, the sessions of grandchildren included."""
        for process in self.started:
            kill_tree(process.pid)
            process.wait()
        for _ in groups.bury_dead(self.folder / "workers"):
            pass  # clusters that had lost their supervisor are killed by it

    def _start(self, command: str, *arguments: str) -> subprocess.Popen[bytes]:
        with open(self.folder / f"{command}.log", "ab") as log:
            process = subprocess.Popen(
                [sys.executable, str(ROOT / "manage.py"), command, *arguments],
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.started.append(process)
        return process

    def _answers(self) -> bool:
        with contextlib.suppress(OSError), urllib.request.urlopen(f"{self.control}/healthz", timeout=2) as answer:
            return bool(answer.status == 200)
        return False


@contextlib.contextmanager
def running(folder: Path, *, speed: float) -> Iterator[Processes]:
    """Give a test its processes on its own database (mark it `django_db(transaction=True)`)."""
    processes = Processes(folder, speed=speed)
    try:
        yield processes
    finally:
        processes.end()
        forget_clock()


def forget_clock() -> None:
    """Let the database's clocks be the machine's again; the table is not Django's, so no flush empties it."""
    with harness.as_owner(), connection.cursor() as cursor:
        cursor.execute("DELETE FROM gtm_clock")


def until(done: Callable[[], bool], *, seconds: float, otherwise: str) -> float:
    """Poll until `done`; return how long that took. Fails after `seconds`."""
    began = time.monotonic()
    while not done():
        assert time.monotonic() - began < seconds, otherwise
        pause(POLL)
    return time.monotonic() - began


def pause(seconds: float) -> None:
    """Let real time pass: between two looks, or until the moment of a blow."""
    threading.Event().wait(seconds)


def free_ports(count: int) -> list[int]:
    """Return ports of this machine that nobody uses."""
    with contextlib.ExitStack() as probes:
        found = []
        for _ in range(count):
            probe = probes.enter_context(socket.socket())
            probe.bind(("127.0.0.1", 0))
            found.append(int(probe.getsockname()[1]))
        return found


def kill_tree(pid: int) -> None:
    """SIGKILL a process and everything below it, all at once."""
    for process in tree(pid):
        kill(process.pid)


def kill(pid: int) -> None:
    """SIGKILL one process, if it still lives."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
