"""Several workers on the runs of one world, in threads that take turns: who goes on, who falls asleep, who is refused."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from django.db import connection

from integrations.http.call import Call, Raw
from integrations.http.transport import Transport
from provisioning.engine import claims
from provisioning.engine.runner import wake
from tests.integration.stories.kit import LONGEST_LEASE, Story

from .harness import story
from .interleaving import Agent, Grain, Race, State, here, point, rest


class Doors:
    """A transport before and behind which others may have their turn: between an intent and its request, for instance."""

    def __init__(self, inner: Transport) -> None:
        self.inner = inner

    def send(self, call: Call[Any], *, send_before: float | None = None) -> Raw:
        point(f"send {call.platform}.{call.verb}")
        raw = self.inner.send(call, send_before=send_before)
        point(f"answer {call.platform}.{call.verb}")
        return raw


def racing_story(seed: int, **world: Any) -> Story:
    """Begin an order in a world whose calls are places, too."""
    made = story(seed=seed, **world)
    made.world.workshop = replace(made.world.workshop, transport=Doors(made.world.workshop.transport))
    return made


SLEEPY = 0.01  # how likely a worker stops at a place, so that its lease ends


def grain_of(seed: int) -> Grain:
    """Let every third race be played statement by statement, the others transaction by transaction."""
    return Grain.STATEMENT if seed % 3 == 0 else Grain.TRANSACTION


def race_of_workers(
    made: Story,
    seed: int,
    *,
    workers: int,
    sleeps: float = SLEEPY,
    grain: Grain = Grain.TRANSACTION,
    until: Callable[[], bool] | None = None,
) -> Race:
    """Return a race of workers on one run. Time passes when nobody has anything to do, and while one of them sleeps."""
    race = Race(
        seed,
        grain=grain,
        pass_time=partial(pass_time, made),
        sleeps=sleeps,
        on_sleep=partial(made.advance, LONGEST_LEASE),
    )
    for number in range(workers):
        race.enter(f"worker {number + 1}", partial(work, made, until))
    return race


def work(made: Story, until: Callable[[], bool] | None = None) -> int:
    """Do what a worker does until the run has ended; return how often it had the run."""
    done, wakeups = until or made.has_ended, 0
    while not done():
        taken = claims.take_next(made.run.pk)
        if taken is None:
            rest()
        else:
            wakeups += 1
            here.agent.at_work = True
            wake(taken, made.world.workshop)
            here.agent.at_work = False
    return wakeups


def press_now_and_then(buttons: Sequence[Callable[[], str]], seed: int, *, thinks: int = 60) -> Callable[[], list[str]]:
    """Return what a person does who presses these buttons one after the other, thinking in between; and hears what."""
    chance = random.Random(seed)

    def work() -> list[str]:
        heard = []
        for button in buttons:
            for _ in range(chance.randrange(thinks)):
                point("thinks")
            heard.append(button())
        return heard

    return work


def pass_time(made: Story) -> None:
    """Let the next thing fall due."""
    made.advance(max(1.0, made.world.until_next()))


def all_came_home(race: Race) -> None:
    """Assert that no agent met an error, and that none waited in a circle."""
    assert not race.deadlocks, "\n".join([*race.deadlocks, race.tail()])
    for agent in race.agents:
        if agent.error is not None:
            raise AssertionError(f"{agent.name}: {agent.error!r}\n{race.tail()}") from agent.error


def ended_well(made: Story, race: Race) -> None:
    """Assert that everybody came home, that nothing was done twice, and that the order is complete."""
    all_came_home(race)
    no_error_of_ours(made)
    made.check()
    nothing_was_done_twice(made)


@dataclass
class Awakening:
    """One worker works up to a place, falls asleep there until its lease is over, and wakes too late.

    turn    after how many turns it falls asleep
    before  whether another one brings the run to its end before it wakes, or only afterwards
    """

    made: Story
    turn: int
    before: bool = True
    place: str = ""
    at_work: bool = False  # whether it had the run when it fell asleep
    untouched: bool = False  # whether all rows were, after it had done what it could, as it found them when it woke
    writes: list[str] = field(default_factory=list)  # that reached a platform after it woke
    refused: int = 0

    def play(self) -> Race:
        """Let it happen."""
        made = self.made
        race = Race(0, grain=Grain.TRANSACTION, pass_time=partial(pass_time, made))
        sleeper, other = (race.enter(name, partial(work, made)) for name in ("sleeper", "other"))
        with race.under_way(), refusals() as refused:
            for _ in range(self.turn):
                race.give_turn(sleeper)
            self.place, self.at_work = sleeper.place, sleeper.at_work
            made.advance(LONGEST_LEASE)
            if self.before:
                finish(race, other)
            found, calls = rows_of(made), len(made.sandbox.log)
            while sleeper.at_work:
                race.give_turn(sleeper)
            self.untouched = rows_of(made) == found
            self.writes = [f"{e.platform}.{e.verb}" for e in made.sandbox.log.since(calls) if e.method != "GET"]
            self.refused = refused.count
            finish(race, other)
            finish(race, sleeper)
        return race


def finish(race: Race, agent: Agent) -> None:
    """Let one agent come to its end."""
    while agent.state is not State.DONE:
        race.give_turn(agent)


def places(made: Story) -> list[tuple[int, str]]:
    """Return where a worker stands while it has the run, from its claim to the run's end: its turn, and what comes next."""
    race, found = Race(0, grain=Grain.TRANSACTION, pass_time=partial(pass_time, made)), list[tuple[int, str]]()
    worker = race.enter("worker", partial(work, made))
    with race.under_way():
        while worker.state is not State.DONE:
            race.give_turn(worker)
            if worker.at_work:
                found.append((len(race.trace), worker.place))
    return found


# What a worker that has lost its claim may not touch. Captures are exempt, and so is what belongs to no run.
RUNS_ROWS = (
    *("provisioning_run", "provisioning_step", "provisioning_operation", "provisioning_operationitem"),
    *("provisioning_event", "infra_domain", "infra_mailbox", "infra_credential", "infra_orderline", "infra_mail"),
)


def rows_of(made: Story) -> dict[str, str]:
    """Return a digest of every table that a run writes, as far as it is about one student."""
    student, found = made.provision.student_id, {}
    with connection.cursor() as cursor:
        for table in RUNS_ROWS:
            cursor.execute(
                f"SELECT md5(string_agg(t::text, '|' ORDER BY t::text)) FROM {table} AS t WHERE student_id = %s",
                [student],
            )
            found[table] = str(cursor.fetchone()[0])
        for table, column in (("infra_provision", "id"), ("infra_operatoritem", "provision_id")):
            cursor.execute(
                f"SELECT md5(string_agg(t::text, '|' ORDER BY t::text)) FROM {table} AS t WHERE {column} = %s",
                [made.provision.pk],
            )
            found[table] = str(cursor.fetchone()[0])
    return found


def no_error_of_ours(made: Story) -> None:
    """Assert that no step met an error of our own code, which the engine would take for a reason to wait."""
    failed = made.run.steps.filter(why__contains="internal error")
    assert not failed.exists(), list(failed.values_list("key", "why"))


def nothing_was_done_twice(made: Story) -> None:
    """What has no way back was carried out once, and what carries the order's name exists once."""
    for verb in ("zapmail.create_workspace", "zapmail.buy_mailbox_slots", "zapmail.buy_domains"):
        assert made.done(verb) <= 1, verb
    world = made.sandbox.world
    assert len(world.heyreach.lists) == 1
    assert len(world.plusvibe.workspaces) == 2  # the agency's own, and the student's
    assert len(world.plusvibe.clients) == 1
    assert len(world.zapmail.senders) == 1


class Refusals(logging.Handler):
    """Counts the workers that the fence has refused."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def emit(self, record: logging.LogRecord) -> None:
        self.count += record.getMessage() == "claim lost"


@contextmanager
def refusals() -> Iterator[Refusals]:
    """Count the late workers of a block."""
    counted, log = Refusals(), logging.getLogger("provisioning.engine.runner")
    log.addHandler(counted)
    try:
        yield counted
    finally:
        log.removeHandler(counted)
