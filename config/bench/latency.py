"""How long a workflow waits for its first step after it was started, while every worker is idle."""

from __future__ import annotations

import random
import statistics
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from config import demo

from .chapter import BenchFailed, Numbers
from .crews import Crew
from .worlds import MANAGE

STARTS = 15
WARMING = 3  # starts before them that do not count
PATIENCE = 60.0
GAP = (0.1, 0.5)  # seconds between two starts: longer than any poll, so that no start meets a worker that is awake


def measure(
    team: Mapping[str, Crew],
    commands: Mapping[str, Sequence[str]],
    environment: Mapping[str, str],
    folder: Path,
    workers: Sequence[int],
) -> Numbers:
    """Return the median and the longest wait of each contestant, in milliseconds, by number of workers."""
    found: Numbers = {}
    for name, crew in team.items():
        if name == "floor":
            continue
        crew.ask("clear")
        for count in workers:
            file = folder / f"starts-{name}-{count}"
            watched = {**environment, "GTM_BENCH_STARTS": str(file)}
            with listening(name, commands[name], watched, folder, count):
                waits = list(_waits(crew, file))[WARMING:]
            found[f"{name}_wakeup_ms_{count}"] = 1000 * statistics.median(waits)
            found[f"{name}_wakeup_longest_ms_{count}"] = 1000 * max(waits)
    return found


@contextmanager
def listening(
    name: str, command: Sequence[str], environment: Mapping[str, str], folder: Path, count: int
) -> Iterator[None]:
    """Keep so many idle workers for a block: the rivals' own, or the cluster of our queue."""
    if name != "engine":
        with Crew(name, command, environment, folder, size=count, role="listener"):
            yield
        return
    cluster = demo.Service(
        "cluster",
        [sys.executable, MANAGE, "bench", "--part", "noop-cluster"],
        {**environment, "WORKERS": str(count)},
        folder / "cluster.log",
        health_url="",
    )
    cluster.start()
    try:
        yield
    finally:
        cluster.stop()


def _waits(crew: Crew, file: Path) -> Iterator[float]:
    """Start one workflow after the other; yield how long each waited."""
    chance = random.Random(1)  # noqa: S311 - only spreads the starts over the polls
    for number in range(WARMING + STARTS):
        time.sleep(chance.uniform(*GAP))
        [reply] = crew.ask("start")
        yield _await_line(file, number) - reply.at


def _await_line(file: Path, number: int) -> float:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        lines = file.read_text().splitlines() if file.exists() else []
        if len(lines) > number:
            return float(lines[number])
        time.sleep(0.005)
    raise BenchFailed(f"A workflow was started and not taken for {PATIENCE:.0f} seconds; see {file.name}.")
