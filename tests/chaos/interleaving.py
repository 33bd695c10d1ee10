"""Threads that take turns: at every statement to the database and around every call, a seed says who goes on.

Each agent is a thread with a connection of its own, and one of them runs at a time, so that a race is replayed by its
seed. A turn ends before each statement, or only where no transaction is open (see `Grain`). An agent that waits for a lock
of another one is found out by asking PostgreSQL and gets no turn until it is free; so orders of statements are tried that
threads left to themselves would meet once in a year, and agents that wait for each other are told by name.
"""

from __future__ import annotations

import enum
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from django.db import connection, connections
from psycopg.pq import TransactionStatus

LOOK_AFTER = 0.004  # seconds of silence after which PostgreSQL is asked whether an agent waits for a lock
PATIENCE = 30.0  # seconds after which a race that does not move fails
MOST_TURNS = 20_000
LOYALTIES = (0.3, 0.7, 0.9, 0.97)  # how likely whoever had the last turn has the next one as well


class Grain(enum.Enum):
    """Where a turn may end."""

    STATEMENT = "statement"
    TRANSACTION = "transaction"  # only where none is open: no lock is held across turns


class State(enum.Enum):
    READY = "ready"  # waits for its turn
    RUNNING = "running"
    LOCKED = "locked"  # waits for a lock
    RESTING = "resting"  # has nothing to do until time passes
    ASLEEP = "asleep"  # was stopped, as by a machine that stands still
    DONE = "done"


class Stuck(AssertionError):
    """A race that comes to no end."""


class Over(BaseException):
    """The race has failed; its threads end here."""


here = threading.local()


def point(place: str) -> None:
    """Let another agent go on here, if an agent of a race is who runs this."""
    agent: Agent | None = getattr(here, "agent", None)
    if agent is not None:
        agent.point(place)


def rest() -> None:
    """Say that there is nothing to do until time passes."""
    here.agent.point("rest", State.RESTING)


@dataclass(eq=False)
class Agent:
    """One thread of a race. `place` says where it stands; `result` or `error` what became of it.

    `at_work` is for tests whose interest is in a part of what it does.
    """

    race: Race
    name: str
    work: Callable[[], Any]
    state: State = State.READY
    place: str = "its beginning"
    result: Any = None
    error: BaseException | None = None
    in_transaction: bool = False
    has_slept: bool = False  # since its last turn
    at_work: bool = False
    backend: int = 0  # PostgreSQL's process
    _turn: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))

    def start(self) -> None:
        threading.Thread(target=self._live, name=self.name, daemon=True).start()

    def go(self) -> None:
        self.state, self.has_slept = State.RUNNING, False
        self._turn.release()

    def point(self, place: str, state: State = State.READY) -> None:
        """Stand at a place where another agent may go on, if the grain of the race allows it."""
        if self.race.is_over:
            raise Over
        inner = connection.connection
        self.in_transaction = inner is not None and inner.info.transaction_status != TransactionStatus.IDLE
        self.backend = inner.info.backend_pid if inner is not None else 0
        if self.in_transaction and self.race.grain is Grain.TRANSACTION and state is State.READY:
            return
        self.place = place
        self.race.arrived(self, state)
        self._turn.acquire()
        if self.race.is_over:
            raise Over

    def _live(self) -> None:
        self._turn.acquire()
        here.agent = self
        wrapper = connections["default"]
        commit = wrapper.commit

        def turn_before_commit() -> None:
            self.point("COMMIT")
            commit()

        wrapper.commit = turn_before_commit  # type: ignore[method-assign]
        try:
            with wrapper.execute_wrapper(self._turn_before_statement):
                self.result = self.work()
        except BaseException as error:  # noqa: BLE001 - whoever runs the race looks at it
            self.error = error
        finally:
            wrapper.close()
            self.race.arrived(self, State.DONE)

    def _turn_before_statement(self, execute: Any, sql: Any, params: Any, many: bool, context: Any) -> Any:
        self.point(" ".join(str(sql).split())[:200])
        return execute(sql, params, many, context)


class Race:
    """Agents and the seed that says whose turn it is.

    pass_time  called when everybody rests: lets the next thing fall due
    sleeps     how likely an agent is stopped where it stands outside a transaction, instead of having its turn; it
               sleeps until a number of others' turns have passed, or nobody else has anything to do
    on_sleep   called when one falls asleep: lets its lease run out, for instance
    """

    def __init__(
        self,
        seed: int,
        *,
        grain: Grain = Grain.STATEMENT,
        pass_time: Callable[[], None] | None = None,
        sleeps: float = 0.0,
        on_sleep: Callable[[], None] | None = None,
    ) -> None:
        self.random = random.Random(seed)
        self.grain = grain
        self.pass_time = pass_time
        self.sleeps = sleeps
        self.on_sleep = on_sleep
        self.loyalty = self.random.choice(LOYALTIES)
        self.agents: list[Agent] = []
        self.trace: list[str] = []
        self.deadlocks: list[str] = []
        self.slept = 0
        self.is_over = False
        self._moved = threading.Condition()
        self._last: Agent | None = None
        self._alarms: dict[Agent, int] = {}  # at which turn a sleeper wakes

    def enter(self, name: str, work: Callable[[], Any]) -> Agent:
        """Add an agent. Its work is done in a thread and on a connection of its own."""
        agent = Agent(self, name, work)
        self.agents.append(agent)
        return agent

    def run(self) -> None:
        """Give turns until everybody is done. Raises Stuck when that does not come to an end."""
        with self.under_way():
            while any(agent.state is not State.DONE for agent in self.agents):
                self._one_turn()

    @contextmanager
    def under_way(self) -> Iterator[None]:
        """Let the agents stand at their beginnings; at the end of the block they stop where they are."""
        for agent in self.agents:
            agent.start()
        try:
            yield
        finally:
            self._end()

    def give_turn(self, agent: Agent) -> None:
        """Let one agent go on to its next place; when it rests, time passes first."""
        if agent.state is State.RESTING:
            self._let_time_pass()
        self._last = agent
        self.trace.append(f"{agent.name}: {agent.place}")
        if len(self.trace) > MOST_TURNS:
            raise Stuck(f"no end after {MOST_TURNS} turns: {self.tail()}")
        agent.go()
        self._settle(agent, State.RUNNING)
        for locked in self._in(State.LOCKED):
            self._settle(locked, State.LOCKED)

    def tail(self, turns: int = 40) -> str:
        """Return the last turns, for a failing test."""
        return "\n".join(self.trace[-turns:])

    # ---- what agents call --------------------------------------------------------------------------------------------

    def arrived(self, agent: Agent, state: State) -> None:
        with self._moved:
            agent.state = state
            self._moved.notify_all()

    # ---- turns -------------------------------------------------------------------------------------------------------

    def _one_turn(self) -> None:
        self._wake_sleepers()
        ready = self._in(State.READY)
        if not ready:
            self._let_something_happen()
            return
        agent = self._choose(ready)
        if self._falls_asleep(agent):
            return
        self.give_turn(agent)

    def _choose(self, ready: list[Agent]) -> Agent:
        if self._last in ready and self.random.random() < self.loyalty:
            assert self._last is not None
            return self._last
        return self.random.choice(ready)

    def _falls_asleep(self, agent: Agent) -> bool:
        if agent.in_transaction or agent.has_slept or self.random.random() >= self.sleeps:
            return False
        agent.state, agent.has_slept = State.ASLEEP, True
        self._alarms[agent] = len(self.trace) + self.random.choice((10, 100, 1000))
        self.slept += 1
        self.trace.append(f"{agent.name} falls asleep before: {agent.place}")
        if self.on_sleep is not None:
            self.on_sleep()
        return True

    def _wake_sleepers(self) -> None:
        for agent in self._in(State.ASLEEP):
            if len(self.trace) >= self._alarms[agent]:
                agent.state = State.READY

    def _let_something_happen(self) -> None:
        """Nobody is ready: whoever is locked gets free, or a sleeper wakes, or time passes."""
        if locked := self._in(State.LOCKED):
            self.deadlocks.append("; ".join(f"{agent.name} waits in: {agent.place}" for agent in locked))
            self._until(lambda: any(agent.state is not State.LOCKED for agent in locked))
        elif asleep := self._in(State.ASLEEP):
            asleep[0].state = State.READY
        else:
            self._let_time_pass()

    def _let_time_pass(self) -> None:
        if self.pass_time is None:
            raise Stuck(f"everybody rests: {self.tail()}")
        self.pass_time()
        for agent in self._in(State.RESTING):
            agent.state = State.READY

    def _settle(self, agent: Agent, unsettled: State) -> None:
        """Wait until an agent stands again, or waits for a lock."""
        ends = time.monotonic() + PATIENCE
        while time.monotonic() < ends:
            with self._moved:
                self._moved.wait_for(lambda: agent.state is not unsettled, LOOK_AFTER)
                if agent.state is not unsettled:
                    return
            if self._waits_for_a_lock(agent):
                with self._moved:
                    if agent.state is unsettled:
                        agent.state = State.LOCKED
                return
        raise Stuck(f"{agent.name} does not come back from: {agent.place}\n{self.tail()}")

    def _waits_for_a_lock(self, agent: Agent) -> bool:
        if not agent.backend:
            return False
        with connection.cursor() as cursor:
            cursor.execute("SELECT cardinality(pg_blocking_pids(%s)) > 0", [agent.backend])
            return bool(cursor.fetchone()[0])

    def _until(self, done: Callable[[], bool]) -> None:
        with self._moved:
            if not self._moved.wait_for(done, PATIENCE):
                raise Stuck(self.tail())

    def _in(self, state: State) -> list[Agent]:
        return [agent for agent in self.agents if agent.state is state]

    def _end(self) -> None:
        """Let threads that have not come to their end stop where they stand."""
        self.is_over = True
        for agent in self.agents:
            if agent.state not in (State.DONE, State.RUNNING, State.LOCKED):
                agent.go()
        self._until(lambda: all(agent.state is State.DONE for agent in self.agents))
