"""Killing workers at chosen places of a story: which places there are, and what happened when they died there.

A place is the n-th passage of a failpoint on behalf of one call or step: "after_work zapmail.buy_domains 1". One
undisturbed story tells which places a stack has; nobody lists them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

from infra.models import ParkedReason, StepState
from integrations.http.call import Call, Proof
from integrations.sandbox import Sandbox
from provisioning.engine import failpoints
from provisioning.models import ACTIVE_RUN, Run
from tests.integration import invariants
from tests.integration.books import Books

from .harness import Story, die, first_order, new_world, outlive
from .picture import RECOVERY, Picture, differences, picture
from .tales import Tale

HOURS = 240  # vendor time in which every killed story must end

# The six points of every outgoing write, in order, and the two around every read, every record and every look at DNS.
WRITE_POINTS = ("before_intent", "after_intent", "before_work", "after_work", "after_answer", "after_capture")
READ_POINTS = ("before_read", "after_read")
# Around a read that no step asks for: an access token, for another call's sake.
LINE_POINTS = ("before_work", "after_work")
STEP_POINTS = ("before_record", "after_record")
LOOK_POINTS = ("before_look", "after_look")
# Around the sending of a test message, and before it is judged.
MAIL_POINTS = ("before_test_intent", "after_test_intent", "after_test_sent", "after_test_received")
# Where a worker has sent something and nobody knows yet what became of it.
IN_DOUBT = ("after_intent", "before_work", "after_work", "after_answer")
# Where the platform has done its work and its answer is in the worker's memory, or on its way there.
ANSWER_IN_MEMORY = ("after_work", "after_answer")


@dataclass(frozen=True, slots=True)
class Place:
    """The `nth` passage of a failpoint on behalf of a call ("zapmail.buy_domains") or a step ("buy_domains")."""

    failpoint: str
    what: str
    nth: int
    kind: str = field(default="", compare=False)  # write, read or step
    proof: str = field(default="", compare=False)

    def __str__(self) -> str:
        return f"{self.failpoint} {self.what} {self.nth}"


class Passages:
    """Counts how often each failpoint is passed on behalf of what."""

    def __init__(self) -> None:
        self.counts: Counter[tuple[str, str]] = Counter()
        self.kinds: dict[str, tuple[str, str]] = {}

    def next(self, name: str, subject: Any) -> Place:
        """Return the place that is passed now."""
        what = named(subject)
        self.counts[name, what] += 1
        if isinstance(subject, Call):
            self.kinds[what] = ("write" if subject.is_write else "read", str(subject.proof))
        kind, proof = self.kinds.get(what, ("step", ""))
        return Place(name, what, self.counts[name, what], kind, proof)


def named(subject: Any) -> str:
    """Return the name of what a failpoint is passed on behalf of: a call, an operation or a step."""
    return f"{subject.platform}.{subject.verb}" if hasattr(subject, "verb") else str(subject.key)


@dataclass(frozen=True, slots=True)
class Deaths:
    """Where workers die in one story: one at each of some places, another so many places after the first (0: no such)."""

    places: tuple[Place, ...] = ()
    later: int = 0

    def __str__(self) -> str:
        named = ", ".join(map(str, self.places))
        return f"{named}, then {self.later} places later" if self.later else named


@dataclass
class Told:
    """How one story went: the places its workers passed, and how everything stood in the end."""

    made: Story
    places: list[Place]
    deaths: list[Place]
    books: Books
    picture: Picture
    then_at: int = 0  # how many places were passed before the tale went on with another run

    def calls(self) -> set[str]:
        """Return the calls that the platforms saw."""
        return {f"{entry.platform}.{entry.verb}" for entry in self.made.sandbox.log}


NOBODY_DIES = Deaths()


def tell(tale: Tale, plan: Deaths = NOBODY_DIES, **world: Any) -> Told:
    """Play an order to its end, with these deaths, and hold the invariants against it. `world` adds to the tale's.

    A story ends when its run does, or when only a person can go on.
    """
    where = new_world(**{**tale.world, **world})
    made = first_order(where, tier=tale.tier, own=tale.own, before=tale.before)
    if tale.mischief is not None:
        where.actors.append(once(tale.mischief, where.sandbox))
    passages, places, deaths, passed = Passages(), list[Place](), list[Place](), 0

    def hook(name: str, subject: Any) -> None:
        nonlocal passed
        place = passages.next(name, subject)
        places.append(place)
        passed += len(deaths) == 1
        if (place in plan.places and place not in deaths) or (len(deaths) == 1 and passed == plan.later):
            deaths.append(place)
            die(str(place))

    asks = made.parks(ParkedReason.NEEDS_OPERATOR)
    failpoints.set_hook(hook)
    try:
        is_far_enough = made.rows(tale.until).filter(state=StepState.WAITING).exists if tale.until else made.has_ended
        outlive(made, lambda: is_far_enough() or (lost_for_good(deaths) and asks()), hours=HOURS)
        then_at = len(places)
        if tale.then is not None:
            tale.then(made.provision)
            under_way = Run.objects.filter(provision=made.provision, state__in=ACTIVE_RUN)
            outlive(made, lambda: not under_way.exists(), hours=HOURS)
    finally:
        failpoints.set_hook(None)
    books = made.world.books()
    invariants.check_books(books, made.sandbox)
    return Told(made, places, deaths, books, picture(books, made.sandbox), then_at)


def once(mischief: Callable[[Sandbox], bool], sandbox: Sandbox) -> Callable[[], bool]:
    """Return an actor that tries to do mischief until it has succeeded."""
    done = False

    def act() -> bool:
        nonlocal done
        done = done or mischief(sandbox)
        return False

    return act


def rows(places: Sequence[Place]) -> list[Place]:
    """Return the places of the matrix: six of every write, two of every read, and those around every step's record,
    every look at DNS and every test message."""
    wanted = {"write": WRITE_POINTS, "read": READ_POINTS, "step": (*STEP_POINTS, *LOOK_POINTS, *MAIL_POINTS)}
    read = {place.what for place in places if place.failpoint in READ_POINTS}
    on_the_way = [place for place in places if place.kind == "read" and place.what not in read]
    return [place for place in places if place.failpoint in wanted[place.kind]] + [
        place for place in on_the_way if place.failpoint in LINE_POINTS
    ]


def within(places: Sequence[Place], steps: Collection[str]) -> list[Place]:
    """Return the places that are passed while one of these steps is worked on: all since the record before, its own
    included."""
    found, since = list[Place](), 0
    for number, place in enumerate(places, start=1):
        if place.failpoint == "after_record":
            found += places[since:number] if place.what in steps else []
            since = number
    return found


def apart(places: Sequence[Place], most: int) -> list[Deaths]:
    """Deal places out to stories, each of which has `most` at most and no two of one call or step: so that none of these
    deaths changes how often another one's call is made before it. Places that only a person gets over are alone."""
    plans: list[list[Place]] = []
    alone = [place for place in places if lost_for_good([place])]
    for place in (place for place in places if place not in alone):
        fits = (plan for plan in plans if len(plan) < most and all(other.what != place.what for other in plan))
        plan = next(fits, None)
        if plan is None:
            plans.append(plan := [])
        plan.append(place)
    return [Deaths((place,)) for place in alone] + [Deaths(tuple(plan)) for plan in plans]


def wrongs(model: Told, told: Told) -> list[str]:
    """Return what is wrong with how a story with deaths ended, held against the undisturbed one."""
    if not told.deaths:
        return ["nobody died"]
    found = differences(model.picture, told.picture)
    for write, because in RECOVERY.items():
        lost = [place for place in told.deaths if place.what == because and place.failpoint in ANSWER_IN_MEMORY]
        if write in told.calls() - model.calls() and not lost:
            found.append(f"{write} although the answer of {because} was not lost")
    if lost_for_good(told.deaths):
        asked = [task for tasks in told.books.tasks.values() for task in tasks]
        return [] if len(asked) == 1 else [f"{len(asked)} tasks for people, not one", *found]
    return found


def lost_for_good(deaths: Sequence[Place]) -> bool:
    """Tell whether what became of a call is known nowhere after these deaths: only a person can find out."""
    return any(place.kind == "write" and place.proof == Proof.NONE and place.failpoint in IN_DOUBT for place in deaths)
