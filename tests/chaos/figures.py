"""What the chaos tests measured: numbers from every process of the run, one table at its end, one JSON file.

A test asks for the fixture `figures`:

    figures.add("crash_runs")                       sums
    figures.put("seed", 7)                          the last one counts
    figures.greatest("recovery_seconds_max", 1.4)
    figures.least("p50_seconds", 0.2)
    figures.rate("runs_per_minute", runs, seconds)  per minute, over all processes that report one
    figures.see("calls seen", "zapmail.buy_domains")  a set; the table shows how many
    figures.demand("runs_per_minute", 500)          the whole run fails when the number ends below that
    figures.within("calls seen", "calls in the matrix")  ... when the first set holds something the second lacks

Worker processes of pytest-xdist hand theirs to the controlling process when they end. The file is var/chaos.json for the
whole, var/test.json for the part, with numbers by name.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pytest

from .whole import IS_WHOLE

VAR = Path(__file__).parents[2] / "var"
# A benchmark that plays some of the tests keeps their numbers to itself.
FILE = Path(os.environ.get("GTM_FIGURES") or VAR / ("chaos.json" if IS_WHOLE else "test.json"))
OURS = pytest.StashKey["Figures"]()
HANDED_OVER = "figures"  # name among what a worker process hands over

COMBINE: dict[str, Callable[[float, float], float]] = {
    "sum": lambda old, new: old + new,
    "last": lambda _old, new: new,
    "greatest": max,
    "least": min,
}


@dataclass
class Figures:
    """Numbers by name, each with the way in which two of them are combined. Holds nothing but JSON."""

    numbers: dict[str, list[Any]] = field(default_factory=dict)  # name -> [way, number]
    rates: dict[str, list[float]] = field(default_factory=dict)  # name -> [count, seconds, processes]
    sets: dict[str, list[str]] = field(default_factory=dict)
    demands: dict[str, float] = field(default_factory=dict)
    limits: list[list[str]] = field(default_factory=list)

    def add(self, name: str, number: float = 1) -> None:
        """Add to a sum."""
        self._combine(name, "sum", number)

    def put(self, name: str, number: float) -> None:
        """Set a number; the last one counts."""
        self._combine(name, "last", number)

    def greatest(self, name: str, number: float) -> None:
        """Keep the greatest of all."""
        self._combine(name, "greatest", number)

    def least(self, name: str, number: float) -> None:
        """Keep the least of all."""
        self._combine(name, "least", number)

    def rate(self, name: str, count: float, seconds: float) -> None:
        """Count what this process did in `seconds`. Shown per minute, for all processes that did some of it together."""
        old = self.rates.setdefault(name, [0.0, 0.0, 1])
        self.rates[name] = [old[0] + count, old[1] + seconds, old[2]]

    def see(self, name: str, *things: str) -> None:
        """Put things into a set."""
        if things:
            self.sets[name] = sorted({*self.sets.get(name, ()), *things})

    def demand(self, name: str, at_least: float) -> None:
        """Let the run fail when a number, in the end and over all processes, is missing or below `at_least`."""
        self.demands[name] = at_least

    def within(self, name: str, limit: str) -> None:
        """Let the run fail when a set, in the end, holds something that the set `limit` lacks."""
        if [name, limit] not in self.limits:
            self.limits.append([name, limit])

    def join(self, other: Figures) -> None:
        """Take over what another process measured."""
        for name, (way, number) in other.numbers.items():
            self._combine(name, way, number)
        for name, numbers in other.rates.items():
            old = self.rates.get(name, [0.0, 0.0, 0])
            self.rates[name] = [mine + its for mine, its in zip(old, numbers, strict=True)]
        for name, things in other.sets.items():
            self.see(name, *things)
        self.demands |= other.demands
        for name, limit in other.limits:
            self.within(name, limit)

    def flat(self) -> dict[str, float]:
        """Return every figure as one number."""
        found = {name: float(number) for name, (_way, number) in self.numbers.items()}
        found |= {name: 60 * count * many / seconds for name, (count, seconds, many) in self.rates.items() if seconds}
        found |= {name.replace(" ", "_"): float(len(things)) for name, things in self.sets.items()}
        return {name: int(number) if number == int(number) else round(number, 4) for name, number in found.items()}

    def shortfalls(self) -> list[str]:
        """Return a sentence for each demand that was not met."""
        flat = self.flat()
        found = [
            f"{name} is {flat.get(name, 'missing')}, not at least {least:g}"
            for name, least in sorted(self.demands.items())
            if flat.get(name, float("-inf")) < least
        ]
        for name, limit in self.limits:
            if missing := sorted(set(self.sets.get(name, ())) - set(self.sets.get(limit, ()))):
                found.append(f"{name} not among {limit}: {', '.join(missing)}")
        return found

    def _combine(self, name: str, way: str, number: float) -> None:
        if name in self.numbers:
            number = COMBINE[way](self.numbers[name][1], number)
        self.numbers[name] = [way, number]


# ---- the plugin ------------------------------------------------------------------------------------------------------


class FiguresPlugin:
    """Collects, shows and keeps the figures of a run. Registered by tests/conftest.py, in every process."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.collected = config.stash[OURS] = Figures()

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any, error: object) -> None:
        """A worker process of pytest-xdist has ended: take over its figures."""
        handed_over = getattr(node, "workeroutput", {}).get(HANDED_OVER)
        if handed_over:
            self.collected.join(Figures(**json.loads(handed_over)))

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        output = getattr(self.config, "workeroutput", None)
        if output is not None:
            output[HANDED_OVER] = json.dumps(asdict(self.collected))
        elif self.collected.shortfalls() and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        flat = self.collected.flat()
        if not flat:
            return
        terminalreporter.section("figures")
        for line in table(flat.items()):
            terminalreporter.write_line(line)
        for sentence in self.collected.shortfalls():
            terminalreporter.write_line(f"FELL SHORT: {sentence}", red=True)
        FILE.parent.mkdir(parents=True, exist_ok=True)
        FILE.write_text(json.dumps(dict(sorted(flat.items())), indent=1) + "\n")
        terminalreporter.write_line(f"written to {os.path.relpath(FILE, VAR.parent)}")


def table(rows: Iterable[tuple[str, float]]) -> list[str]:
    """Return the lines of a table of two columns."""
    rows = sorted(rows)
    wide = max(len(name) for name, _ in rows)
    return [f"{name:<{wide}}  {number:>14,}" for name, number in rows]
