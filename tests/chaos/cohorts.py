"""Many orders paid at once, students who search beside them, and the least time in which all of that can be done.

    cohort = begin(orders=100, searching=20)
    cohort.play()
    cohort.seconds / bound(cohort)

Unlike in other worlds nothing is left to chance: of the due orders the one that was paid first goes first, as in
production, and names are asked for whenever the supervisor would ring for them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar
from uuid import UUID

from django.db import connection

from config.bench.provision import FEWEST_CALLS
from infra.models import Domain, User
from integrations.sandbox import Sandbox
from integrations.sandbox.log import LogEntry
from integrations.zapmail import GENERAL, MOST_NAMES_PER_CHECK, SEARCH
from provisioning import search
from provisioning.engine import claims
from provisioning.engine.runner import wake
from provisioning.models import Run
from tests.integration.stories.kit import Story

from . import harness
from .harness import World, first_order

STACK = "zapmail"
NAMES = 20  # that one search asks for
A_CLICK = 0.01  # seconds from one to the next
HOURS = 24.0
WALLET = 5_000_000  # cents

# As the platform counts: requests in any so many seconds, over all students.
LIMITS = {GENERAL: (20, 60.0), SEARCH: (10, 1800.0)}
# Calls of one order that have to be made up to and including one of them; see docs/performance.md.
UP_TO = {"buy_domains": 3, "create_mailboxes": 7, "export_mailboxes": FEWEST_CALLS["zapmail"]}


class CohortWorld(World):
    """A world in which the order that was paid first goes first.

    newest  the one that was made last: where names are asked for
    choose  claims the run to wake next
    age     by run: 0 is the one that was paid first
    late    calls that went before those of an older order that was waiting for the same budget: its age, theirs, verb
    """

    newest: ClassVar[CohortWorld]

    def __init__(self, *arguments: Any, counts_as_search: bool, **values: Any) -> None:
        super().__init__(*arguments, **values)
        CohortWorld.newest = self
        self.choose: Callable[[], claims.Claim | None] = claims.take_next
        self.counts_as_search = counts_as_search
        self.age: dict[UUID, int] = {}
        self.waiting: dict[UUID, str] = {}  # runs without a permit, and of which budget
        self.late: list[tuple[int, int, str]] = []

    def run_once(self) -> bool:
        self._at_once, self._ahead = self._at_once + 1, None
        assert self._at_once < harness.AT_ONCE, "it runs in circles"
        return any(act() for act in self.actors) or self._wake()

    def _wake(self, run: Any = None) -> bool:
        before = self.sandbox.log.count
        claim = self.choose()
        if claim is None:
            return False
        self.waiting.pop(claim.run_id, None)
        wake(claim, self.workshop)
        for entry in self.sandbox.log.since(before):
            self._note_late(entry, claim.run_id)
        waits_on, why = Run.objects.values_list("waits_on", "why").get(pk=claim.run_id)
        if waits_on == "budget":
            self.waiting[claim.run_id] = why
        return True

    def _note_late(self, entry: LogEntry, run: UUID) -> None:
        for budget in budgets_of(entry, self.counts_as_search):
            for other, wanted in self.waiting.items():
                if wanted == budget and self.age[other] < self.age[run]:
                    self.late.append((self.age[other], self.age[run], entry.verb))


def budgets_of(entry: LogEntry, counts_as_search: bool) -> tuple[str, ...]:
    """Return the budgets that a call spends."""
    if entry.platform != "zapmail":
        return ()
    searches = entry.verb == "check_domains" or (entry.verb == "buy_domains" and counts_as_search)
    return (GENERAL, SEARCH) if searches else (GENERAL,)


@dataclass
class Cohort:
    """Orders in the order of their payment, and the students who search meanwhile.

    clicker  one more student, who asked again and again before the others came
    seconds  from the payments until the last order was active
    """

    world: CohortWorld
    orders: list[Story]
    searching: list[Searcher]
    clicker: Searcher | None = None
    seconds: float = 0.0

    @property
    def sandbox(self) -> Sandbox:
        return self.world.sandbox

    def play(self) -> None:
        """Let time pass until every order has come to its end."""
        began = self.sandbox.clock.now()
        self.world.run_until(self._is_over, hours=HOURS)
        self.seconds = self.sandbox.clock.now() - began
        for order in self.orders:
            order.refresh()

    def _is_over(self) -> bool:
        return not self.world._look().under_way

    def check(self) -> None:
        """Assert that every order is complete, and the invariants."""
        for order in self.orders:
            assert order.provision.state == "active"
            order.check_complete()
        self.orders[0].check()

    def calls(self, verb: str) -> list[LogEntry]:
        """Return the calls of a verb of Zapmail."""
        return self.sandbox.log.of("zapmail", verb)

    def order_of(self, verb: str) -> list[int]:
        """Return whose turn it was: the ages of the orders in the order of their first call of a verb."""
        ages = {order.provision.reference: age for age, order in enumerate(self.orders)}
        return list(dict.fromkeys(ages[entry.student_ref] for entry in self.calls(verb)))

    @property
    def everybody(self) -> list[Searcher]:
        """All who search."""
        return self.searching + ([self.clicker] if self.clicker else [])

    def place_of(self, names: Iterable[str]) -> float:
        """Return with which search call the last of some names was asked for; infinite while one was not."""
        asked = {name: place for place, entry in enumerate(self.calls("check_domains")) for name in entry.items}
        return max(asked.get(name, math.inf) for name in names)


@dataclass(frozen=True, slots=True)
class Searcher:
    """A student in front of the search page, and the names they asked for."""

    student: User
    names: list[str]


def begin(
    *, orders: int, searching: int = 0, clicks: int = 0, counts_as_search: bool = False, seed: int = 1, **more: Any
) -> Cohort:
    """Let so many students pay at once while others search.

    clicks            how often one more student asks for other names, all at once
    counts_as_search  what the platform does with a purchase, and what we think it does
    """
    switches = {
        "zapmail_wallet_cents": WALLET,
        "zapmail_purchase_counts_as_search": counts_as_search,
        **more.pop("switches", {}),
    }
    settings = {"ZAPMAIL_PURCHASE_COUNTS_AS_SEARCH": str(counts_as_search), **more}
    plain = harness.new_world(seed=seed, switches=switches, **settings)
    world = CohortWorld(plain.sandbox, settings, seed=plain.seed, counts_as_search=counts_as_search)
    clicker = _clicker(world, clicks) if clicks else None
    made = [first_order(world, f"c{number:03}", tier="starter") for number in range(orders)]
    world.age = {order.run.pk: age for age, order in enumerate(made)}
    with connection.cursor() as cursor:
        for age, order in enumerate(made):
            cursor.execute(
                "UPDATE provisioning_run SET paid_at = gtm_now('machine') + make_interval(secs => %s) WHERE id = %s",
                [(age - orders) / 1000, order.run.pk],
            )
    cohort = Cohort(world, made, [_searcher(world, f"s{number:02}") for number in range(searching)], clicker)
    for one in cohort.searching:
        world.advance(A_CLICK)
        search.request_names(student=one.student, stack=STACK, names=one.names)
    world.actors.append(lambda: search.is_due() and search.drain(1) > 0)
    return cohort


def _searcher(world: World, name: str) -> Searcher:
    name = world.fresh(name)
    student = User.objects.create_user(f"{name}@students.example", "pw", is_enrolled=True)
    return Searcher(student, [f"{name}n{number:02}.com" for number in range(NAMES)])


def _clicker(world: World, clicks: int) -> Searcher:
    one = _searcher(world, "clicker")
    asked: list[str] = []
    for click in range(clicks):
        world.advance(A_CLICK)
        names = [f"x{click:04}{name}" for name in one.names]
        try:
            search.request_names(student=one.student, stack=STACK, names=names)
        except search.AllowanceUsedUp:
            continue
        asked += names
    return Searcher(one.student, asked)


# ---- the least time ----------------------------------------------------------------------------------------------------


def bound(cohort: Cohort) -> float:
    """Return the seconds that nobody can go below: see "A hundred orders at once" in docs/performance.md.

    No order is quicker than the platform makes its things, and the last call of a kind comes no earlier than the limits
    let all calls through that have to be made up to it; after that one order's things have yet to be made.
    """
    paths = [_path(cohort, order) for order in cohort.orders]
    found = [max(path["buy_domains"] for path in paths)]
    for verb, calls in UP_TO.items():
        found.append(_last_call(GENERAL, calls * len(paths)) + min(path[verb] for path in paths))
    if cohort.world.counts_as_search:
        found.append(_last_call(SEARCH, _searches(cohort)) + min(path["buy_domains"] for path in paths))
    return max(found)


def _last_call(budget: str, calls: int) -> float:
    limit, window = LIMITS[budget]
    return (math.ceil(calls / limit) - 1) * window


def _searches(cohort: Cohort) -> int:
    """Return the fewest calls that count as searches, where purchases do: a purchase for each order, the names again of
    those whose answers grow old before their turn, and the searches of students that were answered meanwhile."""
    limit, _window = LIMITS[SEARCH]
    late = [order.provision.pk for order in cohort.orders[limit:]]
    names = Domain.objects.filter(provision__in=late, bought_at__isnull=False).values_list("name", flat=True)
    last = max(entry.at for entry in cohort.calls("buy_domains"))
    students = {name for one in cohort.everybody for name in one.names}
    asked = {
        name
        for entry in cohort.calls("check_domains")
        if entry.at <= last
        for name in students.intersection(entry.items)
    }
    return len(cohort.orders) + sum(math.ceil(len(some) / MOST_NAMES_PER_CHECK) for some in (names, asked))


def _path(cohort: Cohort, order: Story) -> Mapping[str, float]:
    """Return how long the platform takes with this order's things, from a call on: of its slowest mailbox."""
    world = cohort.sandbox.world
    switches, zapmail, mine = world.switches, world.zapmail, order.provision.facts["zapmail_workspace_id"]
    found = {"buy_domains": 0.0, "create_mailboxes": 0.0, "export_mailboxes": 0.0}
    exported = {box: job.id for job in zapmail.exports.values() for box in job.mailbox_ids}
    for box in zapmail.mailboxes.values():
        if box.workspace_id != mine:
            continue
        steps = {
            "export_mailboxes": world.uniform(switches.zapmail_export_seconds, "export", exported[box.id], box.id),
            "create_mailboxes": world.uniform(switches.zapmail_mailbox_active_seconds, "mailbox", box.email, 1),
            "buy_domains": world.uniform(switches.zapmail_domain_active_seconds, "domain active", box.domain),
        }
        total = 0.0
        for verb, seconds in steps.items():
            total += seconds
            found[verb] = max(found[verb], total)
    return found
