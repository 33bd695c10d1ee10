"""Worlds for the benchmarks: a folder, a migrated database and a sandbox of their own, and processes in them."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from django.conf import settings

from config import demo, postgres

MANAGE = str(Path(settings.BASE_DIR) / "manage.py")
FIRST_PORT, PORTS = 21000, 40


@contextmanager
def temporary_folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="gtm-bench-"))
    folder.chmod(0o711)  # as root, the database's server runs as somebody else and must pass through
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def world(folder: Path, *, time_scale: str) -> Iterator[dict[str, str]]:
    """Keep a migrated database and a sandbox without faults for a block; yield the environment of their users."""
    port = free_ports(1 + demo.SANDBOX_PORTS)
    environment = own_environment(folder, port, port + 1, time_scale)
    platforms = [
        f"--port={port + 1}",
        f"--control-port={port + 2}",
        f"--mail-port={port + 3}",
        f"--state={folder / 'sandbox.state'}",
        f"--speed={time_scale}",
        "--profile=none",
    ]
    sandbox = demo.Service(
        "sandbox",
        [sys.executable, MANAGE, "sandbox", *platforms],
        environment,
        folder / "sandbox.log",
        f"{environment['SANDBOX_CONTROL_URL']}/healthz",
    )
    with postgres.running(folder / "postgres"):
        try:
            for command in (
                ["migrate", "--no-input", "--verbosity=0"],
                ["load_tiers"],
                ["collectstatic", "--no-input", "--verbosity=0"],
            ):
                demo.run_step([sys.executable, MANAGE, *command], environment=environment)
            sandbox.start()
            sandbox.await_health()
            yield environment
        finally:
            sandbox.stop()


def own_environment(folder: Path, port: int, sandbox_port: int, time_scale: str) -> dict[str, str]:
    folder.mkdir(mode=0o711, parents=True)
    found = demo.demo_environment(port=port, sandbox_port=sandbox_port, time_scale=time_scale)
    for name in ("DATABASE_URL", "SECRET_KEY", "FIELD_ENCRYPTION_KEYS", "STATIC_ROOT"):
        found.pop(name, None)  # nobody's real data, whatever this shell knows of
    # A web process begins as the visitor; the parts take on the worker's role where they write.
    return found | {"VAR_DIR": str(folder), "GTM_DATABASE_ROLE": "visitor", "LOG_LEVEL": "ERROR"}


def free_ports(count: int) -> int:
    """Return the first of so many free ports in a row. Raises DemoError when there are none."""
    for first in range(FIRST_PORT, FIRST_PORT + PORTS * count, count):
        try:
            for port in range(first, first + count):
                demo.require_free_port(port, option="PORT")
        except demo.DemoError:
            continue
        return first
    raise demo.DemoError("No free ports were found for the benchmark.")


def run_part(part: str, environment: Mapping[str, str]) -> dict[str, float]:
    """Run a part in a process of its own and return its numbers. Raises DemoError with the last lines it wrote."""
    answer = subprocess.run(
        [sys.executable, MANAGE, "bench", "--part", part],
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if answer.returncode:
        raise demo.DemoError(f"The part {part!r} failed.\n" + "\n".join(answer.stderr.splitlines()[-12:]))
    numbers: dict[str, float] = json.loads(answer.stdout.splitlines()[-1])
    return numbers
