"""Chapter: the peak memory of the demo's processes while one story is played."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

from config import demo, postgres, processes

from .chapter import Chapter, Note, Numbers
from .worlds import MANAGE, free_ports, own_environment

SAMPLE_EVERY = 0.25
MEGABYTE = 1024


def run(folder: Path, note: Note) -> Numbers:
    """Run the demo, play the main story against it, and return the peak memory of its processes in megabytes."""
    note("memory during one story")
    port, folder = free_ports(1 + demo.SANDBOX_PORTS), folder / "story"
    environment = own_environment(folder, port, port + 1, "60")
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


def table(numbers: Mapping[str, float]) -> Iterator[str]:
    """Yield the lines of the report."""
    yield f"\npeak memory in MB during one story of {numbers['smoke_seconds']:.0f} s"
    yield f"  {'(processes)':<22}{'sum':>8}{'largest':>8}{'shared pages once':>20}"
    for kind in ("web", "worker", "sandbox"):
        one = f"memory_{kind}"
        yield (
            f"  {kind:<22}{numbers[f'{one}_mb']:>8.0f}{numbers[f'{one}_largest_process_mb']:>8.0f}"
            f"{numbers[f'{one}_shared_fairly_mb']:>20.0f}"
        )


CHAPTER = Chapter(run, table)
