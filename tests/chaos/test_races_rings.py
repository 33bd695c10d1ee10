"""Wake-ups that arrive never, once or fifty times, and a queue that is emptied in mid-run: the order is built all the same."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field

import psycopg
import pytest
from django.db import connection
from django_q.signing import SignedPackage

from config import postgres
from provisioning.engine import doorbell, runner, supervisor
from provisioning.engine.claims import DUE
from tests.integration.books import Books
from tests.integration.stories.kit import Story

from . import whole
from .figures import Figures
from .interleaving import Race, Stuck, rest
from .picture import Picture, differences, picture
from .racing import ended_well, grain_of, racing_story, refusals

FIFTY = 50
MOST_QUIET = 200  # times in a row nothing was to be done, after which a run counts as forgotten
LOST_IN_A_ROW = 10  # at most: each loss costs a minute, and a run that is rung for in vain longer than that is stuck
MOODS: dict[str, Sequence[int]] = {
    "all arrive": (1,),
    "many are lost": (0, 0, 0, 1),
    "all arrive fifty times": (FIFTY,),
    "anything": (0, 1, FIFTY),
}
SEEDS = range(8)


@dataclass
class Post:
    """Carries what stands in the queue's table to the workers: each ring as often as chance says."""

    made: Story
    seed: int
    mood: Sequence[int]
    ticks: bool = True
    truncates: float = 0.0  # how likely the table is emptied before it is looked at
    lost: int = 0
    doubled: int = 0
    truncated: int = 0
    quiet: int = 0
    in_a_row: int = 0  # rings that were lost one after the other
    bag: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.chance = random.Random(self.seed)

    def work(self) -> None:
        """Do what a worker of the cluster does: take a task and answer its bell."""
        while not self.made.has_ended():
            self.collect()
            if self.bag:
                doorbell.drain(self.bag.pop())
            else:
                rest()

    def collect(self) -> None:
        with connection.cursor() as cursor:
            cursor.execute("DELETE FROM django_q_ormq RETURNING payload")
            rung = [SignedPackage.loads(payload)["args"][0] for (payload,) in cursor.fetchall()]
        for name in rung:
            if name != "runs":
                continue
            times = self.chance.choice(self.mood) if self.in_a_row < LOST_IN_A_ROW else 1
            self.in_a_row = 0 if times else self.in_a_row + 1
            self.lost += times == 0
            self.doubled += times > 1
            self.bag += [name] * times
            self.quiet = 0 if times else self.quiet

    def pass_time(self) -> None:
        """Nobody has anything to do: the supervisor ticks, and where nothing was rung for, time passes."""
        self.quiet += 1
        if self.quiet > MOST_QUIET:
            raise Stuck("the run is forgotten")
        rung = supervisor.tick() if self.ticks else 0
        if self.chance.random() < self.truncates:
            self.truncated += truncate_queue()
            rung = 0
        if not rung:
            self.made.advance(5.0 if is_due() else max(1.0, self.made.world.until_next()))


def is_due() -> bool:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT EXISTS (SELECT 1 FROM provisioning_run WHERE {DUE})")
        return bool(cursor.fetchone()[0])


def truncate_queue() -> int:
    """Empty the queue's table, as its owner; return how many rings were in it."""
    where = connection.settings_dict
    with psycopg.connect(host=where["HOST"], dbname=where["NAME"], user=postgres.OWNER, autocommit=True) as owner:
        row = owner.execute("SELECT count(*) FROM django_q_ormq").fetchone()
        owner.execute("TRUNCATE django_q_ormq")
    return int(row[0]) if row else 0


def race_of_rings(monkeypatch: pytest.MonkeyPatch, seed: int, mood: str, **post: object) -> tuple[Post, Race]:
    made = racing_story(seed)
    monkeypatch.setattr(runner, "default_workshop", lambda: made.world.workshop)
    carried = Post(made, seed, MOODS[mood], **post)  # type: ignore[arg-type]
    race = Race(seed, grain=grain_of(seed), pass_time=carried.pass_time)
    for number in range(3):
        race.enter(f"worker {number + 1}", carried.work)
    return carried, race


def picture_of(made: Story) -> Picture:
    return picture(Books([made.provision]), made.sandbox)


def undisturbed(seed: int) -> Picture:
    made = racing_story(seed)
    made.play()
    return picture_of(made)


def play(post: Post, race: Race, figures: Figures) -> None:
    with refusals() as refused:
        race.run()
    figures.add("race_schedules")
    figures.add("race_turns", len(race.trace))
    figures.add("rings_lost", post.lost)
    figures.add("rings_doubled", post.doubled)
    figures.add("rings_truncated", post.truncated)
    figures.add("zombie_refused", refused.count)


@pytest.mark.parametrize(("seed", "mood"), whole.sample([(seed, mood) for seed in SEEDS for mood in MOODS], part=3))
def test_however_often_a_wake_up_arrives_the_run_ends_as_if_undisturbed(
    seed: int, mood: str, monkeypatch: pytest.MonkeyPatch, figures: Figures
) -> None:
    expected = undisturbed(seed)
    post, race = race_of_rings(monkeypatch, seed, mood)
    play(post, race, figures)
    ended_well(post.made, race)
    assert differences(expected, picture_of(post.made)) == []


@pytest.mark.parametrize("seed", whole.sample(SEEDS, part=1))
def test_a_queue_that_is_emptied_in_mid_run_costs_time_and_nothing_else(
    seed: int, monkeypatch: pytest.MonkeyPatch, figures: Figures
) -> None:
    expected = undisturbed(seed)
    post, race = race_of_rings(monkeypatch, seed, "all arrive", truncates=0.5)
    play(post, race, figures)
    ended_well(post.made, race)
    assert differences(expected, picture_of(post.made)) == []
    assert post.truncated, "the queue was never emptied while a ring was in it"


# ---- controls --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mood", ["many are lost", "all arrive"])
def test_control_without_the_supervisor_a_run_is_forgotten(mood: str, monkeypatch: pytest.MonkeyPatch) -> None:
    post, race = race_of_rings(monkeypatch, 1, mood, ticks=False)
    with pytest.raises(Stuck):
        race.run()
    assert not post.made.has_ended()


def test_control_rings_that_are_never_repeated_leave_a_run_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "RING_AGAIN", 1e9)
    post, race = race_of_rings(monkeypatch, 1, "all arrive", truncates=1.0)
    with pytest.raises(Stuck):
        race.run()
    assert not post.made.has_ended()
