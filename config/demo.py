"""The parts of `manage.py demo` that are not a command: ports, processes, waiting."""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO
from urllib.error import URLError

from config.env import DNS_OFFSET, POST_OFFSET, dns_servers

SANDBOX_PORTS = 10  # platforms, control plane, mail server, four name servers, three of the mailboxes' mail servers
GUARD = Path(__file__).with_name("guard.py")
GUNICORN = ["--workers=1", "--threads=8", "--graceful-timeout=10", "--no-control-socket"]
LOG_LIMIT_BYTES = 5_000_000
STOP_SECONDS = 30.0
# A service that ends is started again, but not for ever.
RESTARTS = 5
RESTARTS_WINDOW_SECONDS = 60.0


class DemoError(Exception):
    """The demo cannot run. The text is one sentence for a person."""


@contextlib.contextmanager
def only_one(path: Path) -> Iterator[None]:
    """Hold the lock of the one demo of this folder. Raises DemoError when another holds it."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = path.open("a+")
    except OSError as error:
        raise DemoError(f"No write permission in {path.parent}: the demo keeps its data there.") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            lock.seek(0)
            raise DemoError(f"A demo of this folder is already running{lock.read().rstrip()}.") from error
        yield


def announce_in(path: Path, address: str) -> None:
    """Leave a word for a second start."""
    path.write_text(f" at {address}")


def require_free_port(port: int, *, option: str) -> None:
    """Raise DemoError when something listens on `port` already."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise DemoError(
                f"Port {port} is busy: stop the program that uses it, or choose another with `make demo {option}=...`."
            ) from error


def answers(url: str) -> bool:
    """Tell whether `url` answers with a success."""
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:  # noqa: S310  (addresses of our own processes)
            return bool(200 <= answer.status < 300)
    except (URLError, OSError, ValueError):
        return False


@dataclass
class Service:
    """One long-running program of the demo, under a guard that outlives us by a moment only."""

    name: str
    command: Sequence[str]
    environment: dict[str, str]
    log_path: Path
    health_url: str
    process: subprocess.Popen[bytes] | None = None
    starts: list[float] = field(default_factory=list)

    def start(self) -> None:
        self.log_path.parent.mkdir(parents=True, exist_ok=True)
        self.starts = [at for at in self.starts if at > time.monotonic() - RESTARTS_WINDOW_SECONDS] + [time.monotonic()]
        with _log(self.log_path) as log:
            self.process = subprocess.Popen(
                [sys.executable, "-I", "-S", str(GUARD), *self.command],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                env=self.environment,
                start_new_session=True,  # Ctrl-C reaches us alone; we stop the others in order
            )

    def ended(self) -> bool:
        return self.process is not None and self.process.poll() is not None

    def restart(self) -> None:
        """Start it again. Raises DemoError when that happened too often."""
        if len(self.starts) > RESTARTS:
            raise DemoError(f"The {self.name} keeps ending; see {self.log_path}.")
        self.start()

    def stop(self) -> None:
        """Let go of the guard's pipe and wait until everything of this service is gone."""
        if self.process is None:
            return
        assert self.process.stdin is not None
        with contextlib.suppress(OSError):
            self.process.stdin.close()
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def await_health(self, *, seconds: float = 60.0, alive: Callable[[float], None] = time.sleep) -> None:
        """Wait until it answers. Raises DemoError when it ends or stays silent."""
        deadline = time.monotonic() + seconds
        while not answers(self.health_url):
            if self.ended() or time.monotonic() > deadline:
                raise DemoError(f"The {self.name} did not start; see {self.log_path}.\n{_tail(self.log_path)}")
            alive(0.1)


def _log(path: Path) -> IO[bytes]:
    if path.exists() and path.stat().st_size > LOG_LIMIT_BYTES:
        path.replace(path.with_suffix(".old.log"))
    return open(path, "ab")


def _tail(path: Path, lines: int = 8) -> str:
    return "\n".join(path.read_text(errors="replace").splitlines()[-lines:])


def run_step(command: Sequence[str], *, environment: dict[str, str]) -> None:
    """Run one program to its end. Raises DemoError with the last lines it wrote."""
    answer = subprocess.run(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if answer.returncode:
        last = "\n".join(answer.stdout.splitlines()[-8:])
        raise DemoError(f"`{' '.join(Path(part).name for part in command[1:3])}` failed.\n{last}")


def demo_environment(*, port: int, sandbox_port: int, time_scale: str) -> dict[str, str]:
    """Return the environment of every process of the demo. The sandbox's ports follow each other."""
    # Each process takes the database role of its own command, not ours.
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("GTM_DATABASE_")}
    resolvers, authoritative = dns_servers(sandbox_port + DNS_OFFSET)
    return inherited | {
        "DJANGO_SETTINGS_MODULE": "config.settings",
        "PYTHONUNBUFFERED": "1",
        "PLATFORM_MODE": "sandbox",
        "SITE_URL": f"http://127.0.0.1:{port}",
        "SANDBOX_URL": f"http://127.0.0.1:{sandbox_port}",
        "SANDBOX_CONTROL_URL": f"http://127.0.0.1:{sandbox_port + 1}",
        "EMAIL_URL": f"smtp://127.0.0.1:{sandbox_port + 2}",
        "SANDBOX_DNS_PORT": str(sandbox_port + DNS_OFFSET),
        "SANDBOX_POST_PORT": str(sandbox_port + POST_OFFSET),
        "DNS_RESOLVERS": ",".join(resolvers),
        "DNS_AUTHORITATIVE": ",".join(authoritative),
        "PROVISIONING_TIME_SCALE": time_scale,
    }
