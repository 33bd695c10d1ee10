"""The deterministic harness: whole worlds in one process, on real commits, in which only the test moves time.

    made = story(seed=7)                      one order in a world of its own; takes what `kit.story` takes
    made.play(); made.check()                 as in tests/integration/stories/kit.py
    with dying(at): outlive(made)             workers die where `at(name, subject)` says, others go on
    world = new_world(seed=7); begin(world)   several orders in one world

A world is decided by its seed: which of several due runs goes next, how far time overshoots, which worker dies by
chance. `GTM_CHAOS_SEED` replaces the seeds of all worlds, so that a failing test can be played again.

Both clocks of the database stand still (`database.py`); the sandbox's and `infra.clock.monotonic` go in step with them.
A call takes `LATENCY`, a call that nobody answers its whole deadline.

Nothing is emptied between worlds. `world.fresh("acme")` makes a name that nobody has used, and the platforms' chance
does not tell such names apart, so that equal seeds play equal stories.
"""

from __future__ import annotations

import itertools
import os
import random
import re
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, NoReturn
from uuid import UUID

from django.db import connection

from infra import clock, prepared
from infra.models import Provision
from integrations import registry
from integrations.http.call import Call, Raw
from integrations.http.errors import NotSent, OutcomeUnknown
from integrations.sandbox import ManualClock, Sandbox
from integrations.sandbox.transport import InProcessTransport
from provisioning.engine import claims
from provisioning.engine.claims import DUE
from provisioning.engine.failpoints import failpoint
from provisioning.engine.runner import wake
from provisioning.models import Run
from tests.integration import people
from tests.integration.books import Books
from tests.integration.stories import kit
from tests.integration.stories.kit import Crash, Story, add_faults, begin, outlive
from tests.integration.world import FLIGHTS, SETTINGS, UNTIL_NEXT, describe, name_servers, open_workshop, synchronise

from . import database
from .copies import copy

__all__ = ["Crash", "Story", "World", "begin", "dying", "first_order", "new_world", "outlive", "story"]

LATENCY = 0.25  # machine seconds that a call takes
NOW = datetime.fromisoformat(database.BEGINNING).timestamp()
AT_ONCE = 500  # pieces of work without time passing, after which a world counts as running in circles

_numbers = itertools.count(1)
_TAG = re.compile(r"zq\d{5}")
_REFERENCE = re.compile(r"(?i)GTM-[0-9A-Z]{6}")
_KEY = re.compile(r"p=[A-Za-z0-9+/=]{200,}")  # public keys are made by chance

seeds_in_use: list[int] = []  # of the test that runs, for its report when it fails


def alike(text: str) -> str:
    """Return a text without what tells one world's names from another's."""
    return _KEY.sub("p=KEY", _REFERENCE.sub("GTM", _TAG.sub("", text)))


@dataclass(frozen=True, slots=True)
class Ahead:
    """The seconds until something is due, and the runs that have not ended."""

    seconds: float
    under_way: frozenset[UUID]


AHEAD = UNTIL_NEXT.replace("\nFROM", ", array_agg(id)\nFROM")


class World(kit.World):
    """A world whose time, platforms and chance belong to the test.

    seed       decides everything that is free
    chance     the one source of chance
    overshoot  seconds at most by which time jumps beyond the next thing to do
    mortality  share of the failpoints at which a worker dies by chance, within `dying_by_chance`
    actors     who may go next besides due runs: each returns whether it did something
    deaths     how many workers have died
    """

    def __init__(self, sandbox: Sandbox, settings: Mapping[str, object], *, seed: int) -> None:
        self.settings = dict(settings)
        super().__init__(sandbox, open_workshop(Line(sandbox), settings))
        self._equip()
        self.seed = seed
        self.chance = random.Random(seed)
        self.overshoot = 0.0
        self.mortality = 0.0
        self.actors: list[Callable[[], bool]] = []
        self.orders = 0
        self.copies: list[UUID] = []
        self.deaths = 0
        self._at_once = 0
        self._ahead: Ahead | None = None

    def fresh(self, name: str) -> str:
        """Return a name that begins with `name` and that nobody has used before."""
        self.orders += 1
        return f"{name}zq{next(_numbers):05d}"

    def books(self) -> Books:
        return Books.since(self.began, besides=self.copies)  # a copy is as old as its model

    def advance(self, seconds: float) -> None:
        """Let time pass, on all clocks alike."""
        self._at_once, self._ahead = 0, None
        database.advance(seconds)
        self.sandbox.advance(seconds)

    def run_until(self, done: Callable[[], bool], *, hours: float = 24) -> None:
        """Work on what is due and let time pass until `done`. Fails when that takes more than `hours`."""
        self._ahead = None
        left = hours * 3600
        while not done():
            seconds = self._look().seconds
            if (seconds <= 0 or self.actors) and self.run_once():
                continue
            if any(act(self.sandbox) for act in self.people):
                self._ahead = None
                continue
            assert left > 0, "not done in time: " + describe()
            seconds = max(1.0, seconds) + (self.chance.uniform(0.0, self.overshoot) if self.overshoot else 0.0)
            left -= seconds
            ahead = self._look()
            self.advance(seconds)
            self._ahead = Ahead(0.0, ahead.under_way)  # nothing else has happened: no need to look again

    def run_once(self) -> bool:
        """Let somebody go on who has something to do: a due run, or one of `actors`. Return whether there was one."""
        self._at_once, self._ahead = self._at_once + 1, None
        assert self._at_once < AT_ONCE, "it runs in circles"
        choices = list(self.actors)
        if self.orders <= 1:
            choices.append(self._wake)
        else:
            choices += [lambda run=run: self._wake(run) for run in due_runs()]  # type: ignore[misc]
        while choices:
            one = choices.pop(self.chance.randrange(len(choices)) if len(choices) > 1 else 0)
            if one():
                return True
        return False

    def has_ended(self, run: Run) -> bool:
        return run.pk not in self._look().under_way

    def _look(self) -> Ahead:
        """Return what lies ahead; one look serves until something happens."""
        if self._ahead is None:
            seconds, under_way = prepared.execute(AHEAD, {}) or (None, None)
            self._ahead = Ahead(60.0 if seconds is None else float(seconds), frozenset(under_way or ()))
        return self._ahead

    def _wake(self, run: Any = None) -> bool:
        claim = claims.take_next(run)
        if claim is not None:
            wake(claim, self.workshop)
        return claim is not None

    def bury(self) -> None:
        """After a crash: keep nothing of the dead worker but what it committed, and let another one begin."""
        self.deaths += 1
        if _dead in connection.execute_wrappers:
            connection.execute_wrappers.remove(_dead)
        connection.close()
        self.workshop = open_workshop(Line(self.sandbox), self.settings)
        self._equip()

    def _equip(self) -> None:
        """Let a name server that stays silent cost its time on all clocks."""
        self.workshop = replace(self.workshop, name_servers=name_servers(self.sandbox, pass_time(self.sandbox)))

    def dies_by_chance(self, _name: str, _subject: Any) -> bool:
        """Tell whether the worker dies at this failpoint: give it to `dying`, and set `mortality`."""
        return self.chance.random() < self.mortality


class Line(InProcessTransport):
    """The sandbox at the end of a line that takes time, with places to die within the platform."""

    def send(self, call: Call[Any], *, send_before: float | None = None) -> Raw:
        if send_before is not None and clock.monotonic() >= send_before:
            raise NotSent("too late to send", platform=call.platform, verb=call.verb)
        failpoint("before_work", call)
        seconds = LATENCY
        try:
            return super().send(call)
        except OutcomeUnknown as error:
            seconds = call.deadline if "within the deadline" in error.sentence else LATENCY
            raise
        finally:
            failpoint("after_work", call)
            pass_time(self.sandbox)(seconds)


def pass_time(sandbox: Sandbox) -> Callable[[float], None]:
    """Return how time passes within a call, which nothing else happens in."""

    def wait(seconds: float) -> None:
        database.advance(seconds)
        sandbox.clock.advance(seconds)

    return wait


def _dead(*_arguments: object) -> NoReturn:
    raise Crash("a dead process does not speak to the database")


def die(where: str) -> NoReturn:
    """End the worker as SIGKILL does: what its `finally` blocks would still write does not happen."""
    connection.execute_wrappers.append(_dead)
    raise Crash(where)


def dying(at: Callable[[str, Any], bool]) -> AbstractContextManager[None]:
    """Let the worker die at the failpoints that `at(name, subject)` picks; `outlive` brings the next one."""
    return kit.dying(at, die=die)


def due_runs() -> list[Any]:
    """Return the ids of the runs that could be claimed now, oldest paid first."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT id FROM provisioning_run WHERE {DUE} ORDER BY paid_at, created_at")
        return [row[0] for row in cursor.fetchall()]


def new_world(
    *,
    seed: int = 1,
    profile: str = "none",
    switches: Mapping[str, Any] | None = None,
    faults: Iterable[dict[str, Any]] = (),
    **settings: object,
) -> World:
    """Make a world in which nothing has happened yet. It is 9 o'clock, whatever was before; earlier orders have ended.

    seed, profile, switches, faults  of the sandbox; the seed is the scheduler's, too
    settings                         override ours
    """
    seed = int(os.environ.get("GTM_CHAOS_SEED", seed))
    seeds_in_use.append(seed)
    database.tidy_up()
    if database.slots() != slots_for(settings):
        synchronise(settings)
    sandbox = Sandbox(seed=seed, speed=ManualClock(virtual=NOW, machine=lambda: NOW), profile=profile)
    sandbox.switches.set(**(switches or {}))
    add_faults(sandbox, faults)
    return World(sandbox, settings, seed=seed)


def slots_for(settings: Mapping[str, object]) -> dict[str, tuple[int, int, float]]:
    """Return the slot rows that `synchronise` would leave, as `database.slots` counts them."""
    budgets = registry.budgets({**SETTINGS, **settings})
    flights = {row.slug: (FLIGHTS, 0, 0.0) for row in registry.PLATFORMS}
    return {b.name: (b.limit, min(b.limit, b.reserved_paid), b.window) for b in budgets} | flights


def story(*, tier: str = "starter", spares: int = 1, name: str = "acme", **world: Any) -> Story:
    """Begin one order in a world of its own; `world` is what `new_world` takes."""
    return first_order(new_world(**world), name, tier=tier, spares=spares)


def first_order(
    world: World,
    name: str = "acme",
    *,
    tier: str = "starter",
    spares: int = 1,
    own: int = 0,
    before: Callable[[kit.World, Provision], object] | None = None,
) -> Story:
    """Begin an order in a world in which no time has passed: as `begin`, and much quicker (see `copies.py`), unless
    something is to happen `before` it is paid."""
    fresh = world.fresh(name)
    if before is not None:
        begun = kit.order(world, fresh, tier=tier, spares=spares, own=own, before=before)
    else:
        begun = copy(world, fresh, tier=tier, spares=spares, own=own)
        world.copies.append(begun.provision.pk)
    world.people += [person for person in people.of(begun.run.stack) if person not in world.people]
    return begun
