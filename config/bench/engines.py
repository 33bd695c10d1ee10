"""Chapter: a durable workflow of ten steps that do nothing, on our engine and on what a builder would take instead.

All contestants use one server, each a database of its own. They take turns, round after round and in changing order,
because machines are noisy: what is compared was measured seconds apart. A *worker* is one workflow in hand at a time. Ours are
processes; the rivals may have them as processes or as threads (or coroutines) of one process, and the faster way counts.
"""

from __future__ import annotations

import statistics
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

from config import demo, postgres

from . import crews, latency, noop
from .chapter import BenchFailed, Chapter, Note, Numbers
from .rivals import STEPS
from .worlds import MANAGE, free_ports, own_environment

WORKERS = (1, 2, 4)
HEADLINE = 2  # workers of the figure that has no number in its name
ROUNDS = 5
SECONDS = 2.0  # of a turn
FEWEST_COMMITS = STEPS + 1  # the claim, and each result; the last one may carry the end
RIVALS = ("dbos", "procrastinate")
IN_STOCK = 400  # workflows per worker before the first turn


@dataclass(frozen=True, slots=True)
class Way:
    """One contestant with its workers as processes, or together in one process."""

    name: str
    together: bool = False

    def turn(self, crew: crews.Crew, workers: int) -> tuple[float, int]:
        """Let so many workers work for a turn; return steps per second, and how many were done."""
        processes, at_once = (1, workers) if self.together else (workers, 1)
        replies = crew.ask("work", of=processes, seconds=SECONDS, at_once=at_once)
        return sum(one.answer / one.seconds for one in replies), sum(one.answer for one in replies)


def ways(workers: int) -> list[Way]:
    """Return how so many workers can be had."""
    found = [Way("engine"), *map(Way, RIVALS)]
    return found + [Way(name, together=True) for name in RIVALS] if workers > 1 else [Way("floor"), *found]


@dataclass
class Contest:
    """The turns of all contestants: steps per second by way and number of workers, in the order of the rounds."""

    team: Mapping[str, crews.Crew]
    urls: Mapping[str, str]
    rates: dict[tuple[Way, int], list[float]] = field(default_factory=lambda: defaultdict(list))
    done: Counter[str] = field(default_factory=Counter)

    def run(self, note: Note) -> None:
        """Hold all rounds; the first of them is for warming up and is taken out."""
        for number in range(ROUNDS + 1):
            note(f"engines, round {number} of {ROUNDS}")
            for workers in WORKERS:
                turns = ways(workers)
                shift = number % len(turns)
                for way in turns[shift:] + turns[:shift]:
                    self._turn(way, workers)
        for rates in self.rates.values():
            del rates[0]

    def _turn(self, way: Way, workers: int) -> None:
        crew, rates = self.team[way.name], self.rates[way, workers]
        enough = 2 * SECONDS * max(rates) / STEPS + 50 * workers if rates else IN_STOCK * workers
        crew.ask("stock", workflows=int(enough))
        with psycopg.connect(self.urls[way.name], autocommit=True) as owner:
            owner.execute("VACUUM ANALYZE")  # as autovacuum does in time
        rate, done = way.turn(crew, workers)
        rates.append(rate)
        self.done[way.name] += done

    def check(self) -> None:
        """Raise BenchFailed unless every step that was done is recorded."""
        for name, done in self.done.items():
            [reply] = self.team[name].ask("recorded")
            if reply.answer != done:
                raise BenchFailed(f"{name} did {done} steps, but {reply.answer} are recorded.")

    def best(self, name: str, workers: int) -> list[float]:
        """Return the rates of a contestant's faster way."""
        found = [self.rates[way, workers] for way in ways(workers) if way.name == name]
        return max(found, key=statistics.median)

    def numbers(self) -> Numbers:
        """Return workflows per second, and how many times as fast as the rivals and the floor we are."""
        found: Numbers = {
            f"{way.name}_{'together' if way.together else 'processes'}_workflows_per_second_{workers}": (
                statistics.median(rates) / STEPS
            )
            for (way, workers), rates in self.rates.items()
            if way.name != "floor"
        }
        for workers in WORKERS:
            ours = self.best("engine", workers)
            found[f"engine_workflows_per_second_{workers}"] = statistics.median(ours) / STEPS
            for name in RIVALS:
                theirs = self.best(name, workers)
                found[f"{name}_workflows_per_second_{workers}"] = statistics.median(theirs) / STEPS
                found[f"engine_over_{name}_{workers}"] = ratio(ours, theirs)
        for name in RIVALS:
            found[f"engine_over_{name}"] = found[f"engine_over_{name}_{HEADLINE}"]
        floor = self.best("floor", 1)
        found["commit_floor_per_second"] = statistics.median(floor)
        found["engine_over_commit_floor"] = ratio(self.best("engine", 1), floor) * FEWEST_COMMITS / STEPS
        return found


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """Return the median of the ratios of each round, so that what slows a whole round down does not count."""
    return statistics.median(one / other for one, other in zip(ours, theirs, strict=True))


# ---- the world of the contest ----------------------------------------------------------------------------------------


def run(folder: Path, note: Note) -> Numbers:
    """Make one server with a database for each contestant, and let them compete."""
    port = free_ports(4)
    environment = own_environment(folder / "engines", port, port + 1, "1") | {"GTM_DATABASE_ROLE": "worker"}
    with postgres.running(folder / "engines" / "postgres") as url:
        require_durable(url)
        demo.run_step([sys.executable, MANAGE, "migrate", "--no-input", "--verbosity=0"], environment=environment)
        urls = {"engine": url} | {name: database(url, name) for name in ("floor", *RIVALS)}
        commands = crews.commands(urls)
        with ExitStack() as stack:
            team = {
                name: stack.enter_context(crews.Crew(name, commands[name], environment, folder, size=max(WORKERS)))
                for name in urls
            }
            for crew in team.values():
                crew.ask("prepare")
            contest = Contest(team, urls)
            contest.run(note)
            contest.check()
            numbers = contest.numbers()
            note("wake-ups")
            return numbers | latency.measure(team, commands, environment, folder, WORKERS)


def database(url: str, name: str) -> str:
    """Make a database on the server of `url` and return its address."""
    with psycopg.connect(url, autocommit=True) as owner:
        owner.execute(f"CREATE DATABASE {name}")
    return url.replace(f"/{postgres.DATABASE}?", f"/{name}?")


DURABLE = {"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on"}


def require_durable(url: str) -> None:
    """Raise BenchFailed unless a commit of this server survives a power cut."""
    with psycopg.connect(url) as owner:
        for name, wanted in DURABLE.items():
            [(value,)] = owner.execute("SELECT current_setting(%s)", [name])
            if value != wanted:
                raise BenchFailed(f"The server is not durable: {name} is {value}.")


def table(numbers: Mapping[str, float]) -> Iterator[str]:
    """Yield the lines of the report."""
    yield f"\n{'durable ten-step workflows':<28}" + "".join(f"{f'{n} workers':>12}" for n in WORKERS)
    for name in ("engine", *RIVALS):
        rates = [numbers[f"{name}_workflows_per_second_{n}"] for n in WORKERS]
        yield f"  {name + ', per second':<26}" + "".join(f"{rate:>12.1f}" for rate in rates)
    for name in RIVALS:
        yield f"  {'engine over ' + name:<26}" + "".join(
            f"{numbers[f'engine_over_{name}_{n}']:>12.2f}" for n in WORKERS
        )
    for name in ("engine", *RIVALS):
        waits = [numbers[f"{name}_wakeup_ms_{n}"] for n in WORKERS]
        yield f"  {name + ', wake-up in ms':<26}" + "".join(f"{wait:>12.1f}" for wait in waits)
    yield (
        f"  one connection commits {numbers['commit_floor_per_second']:.0f} times a second;"
        f" engine_over_commit_floor {numbers['engine_over_commit_floor']:.2f}"
    )


CHAPTER = Chapter(run, table, {"noop-worker": noop.worker, "noop-cluster": noop.cluster}, needs=crews.require_rivals)
