"""`manage.py bench`: the benchmarks, on a database and on simulated platforms of their own."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from argparse import ArgumentParser
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from config import demo, postgres, processes

MANAGE = str(Path(settings.BASE_DIR) / "manage.py")
FIRST_PORT, PORTS = 21000, 40
SAMPLE_EVERY = 0.25
MEGABYTE = 1024


class Command(BaseCommand):
    help = "Measure calls per provision, our own time, the pages at ten and ten thousand provisions, and memory."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--part", help="one part of the measurement; the command starts them itself")

    def handle(self, *, part: str | None, **options: Any) -> None:
        if not settings.SANDBOX:
            raise CommandError("The benchmark orders things; it does not run with PLATFORM_MODE=live.")
        if part:
            self.stdout.write(json.dumps(measure(part)))
            return
        for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(name, _interrupt)
        began = time.monotonic()
        try:
            with _folder() as folder:
                numbers = self.run(folder)
        except (demo.DemoError, postgres.PostgresError) as error:
            raise CommandError(str(error)) from error
        except KeyboardInterrupt:
            raise CommandError("Stopped.") from None
        numbers["bench_seconds"] = time.monotonic() - began
        target = Path(settings.VAR_DIR) / "bench.json"
        target.parent.mkdir(parents=True, exist_ok=True)
        rounded = {name: round(value, 3) for name, value in numbers.items()}
        target.write_text(json.dumps(rounded, indent=1, sort_keys=True) + "\n")
        self.stdout.write("\n".join(table(rounded)))
        self.stdout.write(f"\nAll numbers: {target}")

    def run(self, folder: Path) -> dict[str, float]:
        """Make a world, measure part after part, and return the numbers."""
        numbers: dict[str, float] = {}
        with world(folder / "rows", time_scale="1") as environment:
            self._note("one provision")
            numbers |= run_part("provision", environment)
            self._note("pages at ten provisions")
            few = run_part("pages", environment)
            self._note("ten thousand provisions")
            numbers |= run_part("grow", environment | {"GTM_DATABASE_OWNER": "1"})
            self._note("pages at ten thousand provisions")
            numbers |= compared(few, run_part("pages", environment))
        self._note("memory during one story")
        return numbers | memory(folder / "story")

    def _note(self, what: str) -> None:
        self.stdout.write(f"  {what} ...")
        self.stdout.flush()


def measure(part: str) -> dict[str, float]:
    """Run one part in this process."""
    from config import bench  # the models, only where they are needed

    try:
        return bench.PARTS[part]()
    except KeyError:
        raise CommandError(f"There is no part {part!r}.") from None
    except bench.BenchFailed as error:
        raise CommandError(str(error)) from error


# ---- worlds ----------------------------------------------------------------------------------------------------------


@contextmanager
def _folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="gtm-bench-"))
    folder.chmod(0o711)  # as root, the database's server runs as somebody else and must pass through
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def world(folder: Path, *, time_scale: str) -> Iterator[dict[str, str]]:
    """Keep a migrated database and a sandbox without faults for a block; yield the environment of their users."""
    port = free_ports(4)
    environment = _environment(folder, port, port + 1, time_scale)
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


def _environment(folder: Path, port: int, sandbox_port: int, time_scale: str) -> dict[str, str]:
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


# ---- memory ----------------------------------------------------------------------------------------------------------


def memory(folder: Path) -> dict[str, float]:
    """Run the demo, play the main story against it, and return the peak memory of its processes in megabytes."""
    port = free_ports(4)
    environment = _environment(folder, port, port + 1, "60")
    environment.pop("GTM_DATABASE_ROLE")
    command = [sys.executable, MANAGE, "demo", f"--port={port}", f"--sandbox-port={port + 1}"]
    service = demo.Service("demo", command, environment, folder / "demo.log", f"{environment['SITE_URL']}/readyz")
    with ExitStack() as stack:
        stack.enter_context(postgres.running(folder / "postgres"))
        stack.callback(service.stop)
        service.start()
        service.await_health(seconds=120)
        assert service.process is not None
        sampler = Sampler(service.process.pid)
        stack.callback(sampler.stop)
        sampler.start()
        began = time.monotonic()
        demo.run_step([sys.executable, MANAGE, "smoke"], environment=environment)
        return {"smoke_seconds": time.monotonic() - began, **sampler.numbers()}


class Sampler(threading.Thread):
    """Looks at the demo's processes four times a second and remembers the most that each kind held."""

    KINDS: Mapping[str, str] = {
        "gunicorn": "web",
        "qcluster": "worker",
        "manage.py worker": "worker",
        "sandbox": "sandbox",
    }

    def __init__(self, root: int) -> None:
        super().__init__(daemon=True)
        self.root = root
        self.ended = threading.Event()
        self.peaks: dict[str, float] = {}

    def run(self) -> None:
        while not self.ended.wait(SAMPLE_EVERY):
            self.look()

    def look(self) -> None:
        """Take one sample."""
        sums: dict[str, float] = {}
        for process in processes.tree(self.root):
            if "guard.py" in process.command:
                continue
            kind = next((kind for word, kind in self.KINDS.items() if word in process.command), "")
            if kind:
                sums[f"memory_{kind}_mb"] = sums.get(f"memory_{kind}_mb", 0.0) + process.resident / MEGABYTE
                largest = f"memory_{kind}_largest_process_mb"
                sums[largest] = max(sums.get(largest, 0.0), process.resident / MEGABYTE)
                fair = f"memory_{kind}_shared_fairly_mb"
                sums[fair] = sums.get(fair, 0.0) + processes.shared_fairly(process.pid) / MEGABYTE
        for name, value in sums.items():
            self.peaks[name] = max(self.peaks.get(name, 0.0), value)

    def stop(self) -> None:
        self.ended.set()
        self.join()

    def numbers(self) -> dict[str, float]:
        return dict(self.peaks)


# ---- the table -------------------------------------------------------------------------------------------------------


def compared(few: Mapping[str, float], many: Mapping[str, float]) -> dict[str, float]:
    """Put the two measurements of the pages beside each other: queries must not grow, times are a ratio."""
    found: dict[str, float] = {"queries_growth": 0.0}
    for name, value in many.items():
        if name.endswith("_queries"):
            found |= {name: value, f"{name}_growth": value - few[name]}
            found["queries_growth"] += abs(value - few[name])
        else:
            found |= {f"{name}_at_10": few[name], f"{name}_at_10000": value, f"{name}_ratio": value / few[name]}
    return found


def table(numbers: Mapping[str, float]) -> Iterator[str]:
    """Yield the lines of the report."""
    yield f"\n{'calls per provision':<24}{'ours':>8}{'fewest':>8}{'ratio':>8}"
    for name in ("zapmail", "plusvibe", "heyreach"):
        ours, fewest = numbers[f"calls_{name}"], numbers[f"calls_fewest_{name}"]
        yield f"  {name:<22}{ours:>8.1f}{fewest:>8.0f}{numbers[f'calls_over_minimum_{name}']:>8.2f}"
    yield f"  {'in all':<22}{'':>16}{numbers['calls_over_minimum']:>8.2f}"
    yield "\nour own work per provision, without the platforms and without waits"
    yield (
        f"  {numbers['provision_own_ms']:.0f} ms ({numbers['provision_own_cpu_ms']:.0f} ms of our processor), "
        f"{numbers['provision_statements']:.0f} SQL statements, {numbers['provision_wakeups']:.0f} wake-ups"
    )
    yield f"\n{'pages at 10 and 10,000':<24}{'queries':>8}{'growth':>8}{'ms':>8}{'ms':>8}{'ratio':>8}"
    for key in [name for name in numbers if name.startswith("page_") and name.endswith("_queries")]:
        page = key.removesuffix("_queries")
        yield (
            f"  {page.removeprefix('page_'):<22}{numbers[key]:>8.0f}{numbers[f'{key}_growth']:>8.0f}"
            f"{numbers[f'{page}_ms_at_10']:>8.1f}{numbers[f'{page}_ms_at_10000']:>8.1f}{numbers[f'{page}_ms_ratio']:>8.2f}"
        )
    yield (
        f"  {'(supervisor tick)':<38}{numbers['tick_ms_at_10']:>8.1f}{numbers['tick_ms_at_10000']:>8.1f}"
        f"{numbers['tick_ms_ratio']:>8.2f}"
    )
    yield f"  queries_growth {numbers['queries_growth']:.0f}"
    yield f"\npeak memory in MB during one story of {numbers['smoke_seconds']:.0f} s"
    yield f"  {'(processes)':<22}{'sum':>8}{'largest':>8}{'shared pages once':>20}"
    for kind in ("web", "worker", "sandbox"):
        one = f"memory_{kind}"
        yield (
            f"  {kind:<22}{numbers[f'{one}_mb']:>8.0f}{numbers[f'{one}_largest_process_mb']:>8.0f}"
            f"{numbers[f'{one}_shared_fairly_mb']:>20.0f}"
        )


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
