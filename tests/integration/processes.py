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

from config.demo import GUNICORN
from config.env import SANDBOX_PATHS
from config.processes import tree
from integrations.sandbox.dns import SERVERS
from integrations.sandbox.mail_servers import DOORS
from provisioning.engine import groups
from tests import harness

ROOT = Path(__file__).parents[2]
POLL = 0.05


class Processes:
    """What a test has started, under one environment. Everything is gone when the block ends.

    speed     how fast the platforms' time goes
    workers   how many processes of a cluster take work; None for what the settings say
    database  the owner's address of the database; the test's own by default
    """

    def __init__(self, folder: Path, *, speed: float, workers: int | None = 4, database: str = "") -> None:
        self.folder = folder
        self.speed = speed
        self.workers = workers
        self.database = database or address_of_our_database()
        self.ports = free_ports(4)
        self.dns_port = first_of_free_ports(len(SERVERS))
        self.post_port = first_of_free_ports(len(DOORS))
        self.site = f"http://127.0.0.1:{self.ports[3]}"
        self.control = f"http://127.0.0.1:{self.ports[1]}"
        self.environment = self._environment()
        self.started: list[subprocess.Popen[bytes]] = []

    def _environment(self) -> dict[str, str]:
        base = f"http://127.0.0.1:{self.ports[0]}"
        shutil.copy(Path(settings.VAR_DIR) / "local.env", self.folder)  # the same keys as this process
        return {
            **os.environ,
            **{name: base + path for name, path in SANDBOX_PATHS.items()},
            "DATABASE_URL": self.database,
            "VAR_DIR": str(self.folder),
            "SANDBOX_URL": base,
            "SANDBOX_CONTROL_URL": self.control,
            "EMAIL_URL": f"smtp://127.0.0.1:{self.ports[2]}",
            "SANDBOX_DNS_PORT": str(self.dns_port),
            "SANDBOX_POST_PORT": str(self.post_port),
            "PROVISIONING_TIME_SCALE": str(self.speed),
            **({"WORKERS": str(self.workers)} if self.workers else {}),
            "PYTHONUNBUFFERED": "1",
        }

    def sandbox(self) -> None:
        """Start the simulated platforms, without faults, and wait until they answer."""
        port, control, mail, _web = self.ports
        self.start(
            "sandbox",
            f"--port={port}",
            f"--control-port={control}",
            f"--mail-port={mail}",
            f"--dns-port={self.dns_port}",
            f"--post-port={self.post_port}",
            f"--state={self.folder / 'sandbox.state'}",
            f"--speed={self.speed}",
            "--profile=none",
        )
        until(lambda: answers(f"{self.control}/healthz"), seconds=20, otherwise="the sandbox did not start")

    def fault(self, kind: str, **values: object) -> None:
        """Add a fault to the sandbox's table."""
        self.tell("/faults", {"kind": kind, **values})

    def slow(self, seconds: float) -> None:
        """Let every answer of a platform take so long, after the platform has done its work."""
        for platform in ("zapmail", "plusvibe", "heyreach"):
            self.fault("slow_body", platform=platform, seconds=seconds)

    def worker(self) -> subprocess.Popen[bytes]:
        """Start `manage.py worker`."""
        return self.start("worker")

    def web(self) -> subprocess.Popen[bytes]:
        """Start the web server as the demo does, and wait until it answers."""
        bind = f"--bind=127.0.0.1:{self.ports[3]}"
        process = self.run("web", "-m", "gunicorn", "config.wsgi", bind, *GUNICORN)
        until(lambda: answers(f"{self.site}/healthz"), seconds=30, otherwise="the web server did not start")
        return process

    def state(self) -> dict[str, Any]:
        """Return what the platforms hold."""
        return self.ask("/state")

    def calls(self, since: int = 0) -> list[dict[str, Any]]:
        """Return the platforms' log of requests after number `since`: what was asked, and which fault it met."""
        entries: list[dict[str, Any]] = self.ask(f"/log?since={since}")["entries"]
        return entries

    def ask(self, path: str) -> dict[str, Any]:
        """Ask the sandbox's control plane."""
        with urllib.request.urlopen(self.control + path, timeout=10) as answer:
            found: dict[str, Any] = json.load(answer)
        return found

    def tell(self, path: str, document: object) -> None:
        """Tell the sandbox's control plane something."""
        request = urllib.request.Request(self.control + path, json.dumps(document).encode(), method="POST")
        urllib.request.urlopen(request, timeout=10).close()

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

    def start(self, command: str, *arguments: str) -> subprocess.Popen[bytes]:
        """Start a command of manage.py in a session of its own."""
        return self.run(command, str(ROOT / "manage.py"), command, *arguments)

    def run(self, name: str, *arguments: str) -> subprocess.Popen[bytes]:
        """Start Python with these arguments. What it writes goes to the log `name`."""
        with open(self.folder / f"{name}.log", "ab") as log:
            process = subprocess.Popen(
                [sys.executable, *arguments],
                env=self.environment,
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.started.append(process)
        return process


@contextlib.contextmanager
def running(folder: Path, *, speed: float, workers: int | None = 4) -> Iterator[Processes]:
    """Give a test its processes on its own database, in which it really commits."""
    processes = Processes(folder, speed=speed, workers=workers)
    try:
        yield processes
    finally:
        processes.end()
        forget_clock()


def address_of_our_database() -> str:
    """Return the owner's address of the database that this test uses."""
    host = connection.settings_dict["HOST"] or settings.DATABASES["default"]["HOST"]
    return f"postgresql://postgres@/{connection.settings_dict['NAME']}?host={host}"


def answers(url: str) -> bool:
    """Tell whether an address answers with 200."""
    with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=2) as answer:
        return bool(answer.status == 200)
    return False


def forget_clock() -> None:
    """Let the database's clocks be the machine's again; the table is not Django's, so no flush empties it."""
    with harness.as_owner(), connection.cursor() as cursor:
        cursor.execute("DELETE FROM gtm_clock")


def until(done: Callable[[], bool], *, seconds: float, otherwise: str | Callable[[], str]) -> float:
    """Poll until `done`; return how long that took. Fails after `seconds`, with a sentence or what describes the case."""
    began = time.monotonic()
    while not done():
        assert time.monotonic() - began < seconds, otherwise if isinstance(otherwise, str) else otherwise()
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


def first_of_free_ports(count: int) -> int:
    """Return the first of so many ports in a row that nobody uses, neither for TCP nor for UDP."""
    while True:
        first = free_ports(1)[0]
        with contextlib.ExitStack() as probes, contextlib.suppress(OSError, OverflowError):
            for port in range(first, first + count):
                for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
                    probes.enter_context(socket.socket(type=kind)).bind(("127.0.0.1", port))
            return first


def kill_tree(pid: int) -> None:
    """SIGKILL a process and everything below it, all at once."""
    for process in tree(pid):
        kill(process.pid)


def kill(pid: int) -> None:
    """SIGKILL one process, if it still lives."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
