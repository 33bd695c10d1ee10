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
from dataclasses import dataclass, fields
from typing import Any, ClassVar
from uuid import UUID

from django.db import connection

from config.bench.provision import FEWEST_CALLS
from infra.management.commands.load_tiers import DEFAULTS
from infra.models import Domain, User
from integrations.http.call import Call, Raw
from integrations.sandbox import Sandbox
from integrations.sandbox.log import LogEntry
from integrations.sandbox.switches import Switches
from integrations.zapmail import GENERAL, MOST_NAMES_PER_CHECK, SEARCH
from provisioning import search
from provisioning.engine import claims
from provisioning.engine.registrar import Registrar
from provisioning.engine.runner import wake
from provisioning.models import Run
from provisioning.stacks import STACKS
from tests.integration.stories.kit import Story
from tests.integration.world import open_workshop

from . import harness
from .harness import Line, World, first_order

A_CLICK = 0.01  # seconds from one to the next
HOURS = 96.0  # within which every order has come to its end; Google takes up to 72 until a key can be made
WALLET = 5_000_000  # cents
# Money for a hundred orders, in whatever a platform keeps it.
WEALTH = {one.name: WALLET for one in fields(Switches) if one.name.endswith(("_wallet_cents", "_credits_cents"))}
SOLD = [stack for stack in STACKS if DEFAULTS.get(stack)]  # the stacks that somebody can order
BOUNDED = "zapmail"  # the stack whose least time is derived in docs/performance.md

# As the platform counts: requests in any so many seconds, over all students.
LIMITS = {GENERAL: (20, 60.0), SEARCH: (10, 1800.0)}
# Calls of one order that have to be made up to and including one of them; see docs/performance.md.
UP_TO = {"buy_domains": 3, "create_mailboxes": 7, "export_mailboxes": FEWEST_CALLS["zapmail"]}


class CohortWorld(World):
    """A world in which the order that was paid first goes first.

    newest  the one that was made last: where names are asked for
    choose  claims the run to wake next
    age     by run: 0 is the one that was paid first
    sent    every call that was made
    turns   ages of the orders, in the order of their first calls
    late    calls that went before those of an older order that was waiting for the same budget
    """

    newest: ClassVar[CohortWorld]

    def __init__(self, *arguments: Any, **values: Any) -> None:
        super().__init__(*arguments, **values)
        CohortWorld.newest = self
        self.choose: Callable[[], claims.Claim | None] = claims.take_next
        self.sent: list[Call[Any]] = []
        self.workshop = open_workshop(NotedLine(self.sandbox, self.sent), self.settings)
        self.age: dict[UUID, int] = {}
        self.turns: list[int] = []
        self.waiting: dict[UUID, tuple[str, float]] = {}  # runs without a permit: of which budget, since when
        self.late: list[Late] = []

    def run_once(self) -> bool:
        self._at_once, self._ahead = self._at_once + 1, None
        assert self._at_once < harness.AT_ONCE, "it runs in circles"
        return any(act() for act in self.actors) or self._wake()

    def _wake(self, run: Any = None) -> bool:
        before = len(self.sent)
        claim = self.choose()
        if claim is None:
            return False
        self.waiting.pop(claim.run_id, None)
        wake(claim, self.workshop)
        for call in self.sent[before:]:
            self._note_late(call, claim.run_id)
        age = self.age[claim.run_id]
        if len(self.sent) > before and age not in self.turns:
            self.turns.append(age)
        waits_on, why = Run.objects.values_list("waits_on", "why").get(pk=claim.run_id)
        if waits_on == "budget":
            self.waiting[claim.run_id] = why, self.sandbox.clock.now()
        return True

    def _note_late(self, call: Call[Any], run: UUID) -> None:
        now = self.sandbox.clock.now()
        for other, (wanted, since) in self.waiting.items():
            if wanted in call.budgets and self.age[other] < self.age[run]:
                self.late.append(Late(self.age[other], self.age[run], call.verb, wanted, now - since))


@dataclass(frozen=True, slots=True)
class Late:
    """A call of a younger order, made while an older one was without a permit of the same budget, for so many seconds."""

    older: int
    younger: int
    verb: str
    budget: str
    seconds: float


class NotedLine(Line):
    """A line that notes what goes over it."""

    def __init__(self, sandbox: Sandbox, sent: list[Call[Any]]) -> None:
        super().__init__(sandbox)
        self.sent = sent

    def send(self, call: Call[Any], *, send_before: float | None = None) -> Raw:
        self.sent.append(call)
        return super().send(call, send_before=send_before)


@dataclass
class Cohort:
    """Orders in the order of their payment, and the students who search meanwhile.

    stack    what they ordered
    clicker  one more student, who asked again and again before the others came; nobody where no names are sold
    seconds  from the payments until the last order was active
    """

    world: CohortWorld
    stack: str
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

    def calls(self, verb: str, platform: str = "zapmail") -> list[LogEntry]:
        """Return the calls of a verb."""
        return self.sandbox.log.of(platform, verb)

    def searches(self) -> list[LogEntry]:
        """Return the questions for names."""
        registrar = STACKS[self.stack].registrar
        assert registrar is not None
        question = registrar.check(self.world.workshop.clients, ["example.com"], "search")
        return self.calls(question.verb, question.platform)

    @property
    def everybody(self) -> list[Searcher]:
        """All who search."""
        return self.searching + ([self.clicker] if self.clicker else [])

    def place_of(self, names: Iterable[str]) -> float:
        """Return with which search call the last of some names was asked for; infinite while one was not."""
        asked = {name: place for place, entry in enumerate(self.searches()) for name in entry.items}
        return max(asked.get(name, math.inf) for name in names)


@dataclass(frozen=True, slots=True)
class Searcher:
    """A student in front of the search page, and the names they asked for."""

    student: User
    names: list[str]


def begin(
    *,
    orders: int,
    searching: int = 0,
    clicks: int = 0,
    stack: str = "zapmail",
    counts_as_search: bool = False,
    seed: int = 1,
    **more: Any,
) -> Cohort:
    """Let so many students pay for the smallest package of a stack at once while others search.

    clicks            how often one more student asks for other names, all at once
    counts_as_search  what Zapmail does with a purchase, and what we think it does
    """
    switches = {**WEALTH, "zapmail_purchase_counts_as_search": counts_as_search, **more.pop("switches", {})}
    settings = {"ZAPMAIL_PURCHASE_COUNTS_AS_SEARCH": str(counts_as_search), **more}
    plain = harness.new_world(seed=seed, switches=switches, **settings)
    world = CohortWorld(plain.sandbox, settings, seed=plain.seed)
    sells = STACKS[stack].registrar
    clicker = _clicker(world, stack, sells, clicks) if sells and clicks else None
    made = [first_order(world, f"c{number:03}", tier=DEFAULTS[stack][0].slug) for number in range(orders)]
    world.age = {order.run.pk: age for age, order in enumerate(made)}
    with connection.cursor() as cursor:
        for age, order in enumerate(made):
            cursor.execute(
                "UPDATE provisioning_run SET paid_at = gtm_now('machine') + make_interval(secs => %s) WHERE id = %s",
                [(age - orders) / 1000, order.run.pk],
            )
    searchers = [_searcher(world, sells, f"s{number:02}") for number in range(searching)] if sells else []
    for one in searchers:
        world.advance(A_CLICK)
        search.request_names(student=one.student, stack=stack, names=one.names)
    world.actors.append(lambda: search.is_due() and search.drain(1) > 0)
    return Cohort(world, stack, made, searchers, clicker)


def _searcher(world: World, sells: Registrar, name: str) -> Searcher:
    """Return somebody who wants as many names as one question takes."""
    name = world.fresh(name)
    student = User.objects.create_user(f"{name}@students.example", "pw", is_enrolled=True)
    return Searcher(student, [f"{name}n{number:02}.com" for number in range(sells.most_names)])


def _clicker(world: World, stack: str, sells: Registrar, clicks: int) -> Searcher:
    one = _searcher(world, sells, "clicker")
    asked: list[str] = []
    for click in range(clicks):
        world.advance(A_CLICK)
        names = [f"x{click:04}{name}" for name in one.names]
        try:
            search.request_names(student=one.student, stack=stack, names=names)
        except search.AllowanceUsedUp:
            continue
        asked += names
    return Searcher(one.student, asked)


# ---- the least time ----------------------------------------------------------------------------------------------------


def bound(cohort: Cohort) -> float:
    """Return the seconds that nobody can go below, for orders of `BOUNDED`: see docs/performance.md, "A hundred orders".

    No order is quicker than the platform makes its things, and the last call of a kind comes no earlier than the limits
    let all calls through that have to be made up to it; after that one order's things have yet to be made.
    """
    paths = [_path(cohort, order) for order in cohort.orders]
    found = [max(path["buy_domains"] for path in paths)]
    for verb, calls in UP_TO.items():
        found.append(_last_call(GENERAL, calls * len(paths)) + min(path[verb] for path in paths))
    if cohort.sandbox.world.switches.zapmail_purchase_counts_as_search:
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
