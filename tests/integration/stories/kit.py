"""What the stories share: worlds with faults, orders of any size, crashes, and the passing of time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, NoReturn

from django.utils import timezone

from infra import clock
from infra.management.commands.load_tiers import DEFAULTS
from infra.models import Domain, DomainState, Mail, NameAnswer, NameCheck, OperatorItem, Origin, Provision, Tier, User
from integrations.sandbox import Sandbox
from integrations.sandbox.zapmail_world import top_up
from provisioning import actions
from provisioning.engine import claims, failpoints
from provisioning.engine.entries import ASKED
from provisioning.engine.runner import wake
from provisioning.models import Run, Step
from provisioning.stacks import STACKS, registrar_of

from .. import forge_invariants, invariants, workspace_invariants
from ..books import Books
from ..world import World as PlainWorld
from ..world import new_sandbox, new_workshop

ENDED = ("done", "failed", "cancelled")
PREFIXES = ("get", "try", "use", "go", "hey", "meet", "with", "join", "my", "the", "our", "all", "one", "top", "pro")
LONGEST_LEASE = 90.0  # machine seconds


class World(PlainWorld):
    """A world in which machine time passes along with vendor time, as it does: leases end, circuits may be tried."""

    def advance(self, seconds: float) -> None:
        clock.advance_machine(seconds)
        self.sandbox.advance(seconds)

    def books(self) -> Books:
        """Open the books of this world's orders."""
        return Books.since(self.began)

    def has_ended(self, run: Run) -> bool:
        """Tell whether a run has come to its end, good or bad."""
        return Run.objects.filter(pk=run.pk, state__in=ENDED).exists()

    def bury(self) -> None:
        """After a crash: let the lease of the dead worker end."""
        self.advance(LONGEST_LEASE)


class Crash(BaseException):
    """A worker dies here: nothing catches it."""


@dataclass
class Story:
    """One order in its world."""

    world: World
    provision: Provision
    run: Run

    @property
    def sandbox(self) -> Sandbox:
        return self.world.sandbox

    def play(self, until: Callable[[], bool] | None = None, *, hours: float = 24) -> None:
        """Let time pass until the run has ended, or until something is so."""
        self.world.run_until(until or self.has_ended, hours=hours)
        self.refresh()

    def play_on_after(self, step: str, act: Callable[[], object], until: Callable[[], bool]) -> None:
        """Let time pass until something is so; `act` once, as soon as a step is written down, in the midst of a wake-up."""
        left = [act]

        def hook(name: str, subject: Any) -> None:
            if left and name == "after_record" and subject.key == step:
                left.pop()()

        failpoints.set_hook(hook)
        try:
            self.play(until)
        finally:
            failpoints.set_hook(None)

    def refresh(self) -> None:
        self.run.refresh_from_db()
        self.provision.refresh_from_db()

    def has_ended(self) -> bool:
        return self.world.has_ended(self.run)

    def parks(self, reason: str) -> Callable[[], bool]:
        """Return the question whether the provision is parked for a reason."""
        return lambda: Provision.objects.filter(pk=self.provision.pk, parked_reason=reason).exists()

    def waits(self, step: str, on: str) -> Callable[[], bool]:
        """Return the question whether a step waits for somebody."""
        return lambda: self.rows(step).filter(waits_on=on).exists()

    def rows(self, step: str) -> Any:
        return Step.objects.filter(run=self.run, key=step)

    def advance(self, seconds: float) -> None:
        self.world.advance(seconds)

    def top_up(self, cents: int) -> None:
        """The operator puts money into the wallet."""
        top_up(self.sandbox.world, cents, self.sandbox.clock.now())

    def domain(self, name: str) -> Domain:
        return self.provision.domains.get(name=name)

    def names(self) -> list[str]:
        return list(self.provision.domains.filter(state=DomainState.SELECTED).values_list("name", flat=True))

    def items(self, kind: str = "", *, is_open: bool | None = None) -> Any:
        """Return the operator's items of this world."""
        found = OperatorItem.objects.filter(created_at__gte=self.world.began)
        found = found.filter(kind=kind) if kind else found
        return found if is_open is None else found.filter(resolved_at__isnull=is_open)

    def decisions(self) -> Any:
        """Return the operator's items that ask for a decision: no circuit, and nothing that only has to be made at a
        platform and typed in."""
        return self.items().exclude(kind="circuit").exclude(details__code=ASKED)

    def mails(self) -> Counter[str]:
        """Count the mails of this world by kind."""
        return Counter(Mail.objects.filter(created_at__gte=self.world.began).values_list("kind", flat=True))

    def calls(self) -> Counter[str]:
        """Return how often each verb was called."""
        return Counter(f"{entry.platform}.{entry.verb}" for entry in self.sandbox.log)

    def done(self, verb: str) -> int:
        """Return how often the platform did the work of a verb."""
        return sum(entry.work_done and f"{entry.platform}.{entry.verb}" == verb for entry in self.sandbox.log)

    def check(self, state: str = "active", *, quotas: bool = True) -> None:
        """Assert how the order stands, and the invariants."""
        self.refresh()
        print(f"\n{sum(self.calls().values())} calls, {self.run.wakeups} wake-ups: {dict(self.calls())}")
        assert self.provision.state == state, describe(self.run)
        invariants.check(self.sandbox, self.world.books(), quotas=quotas)
        if state == "active":
            self.check_complete()

    def check_complete(self) -> None:
        """Assert that everything that was ordered is there, once, and works."""
        if self.provision.order["stack"] == "forge":
            forge_invariants.check_complete(self.provision, self.sandbox)
            return
        if self.provision.order["stack"] == "workspace":
            workspace_invariants.check_complete(self.provision, self.sandbox)
            return
        size = self.provision.order
        domains = self.provision.domains.filter(state=DomainState.ACTIVE)
        world = self.sandbox.world
        assert domains.count() == size["domain_count"]
        assert {d.name for d in world.zapmail.domains.values()} >= {domain.name for domain in domains}
        assert set(self.provision.mailboxes.values_list("state", flat=True)) == {"warming"}
        assert self.provision.mailboxes.count() == size["mailbox_count"]
        workspace = self.provision.facts["plusvibe_workspace_id"]
        accounts = {a.email: a for a in world.plusvibe.accounts.values() if a.workspace_id == workspace}
        assert set(accounts) == set(self.provision.mailboxes.values_list("address", flat=True))
        for account in accounts.values():
            assert account.warmup_status == "ACTIVE"
            assert (account.settings["limit"], account.settings["reply_rate"]) == (30, 30)
        assert self.provision.facts["heyreach_list_id"] in world.heyreach.lists
        assert self.items(is_open=True).filter(provision=self.provision).count() == 0


def make_world(
    *, seed: int = 1, profile: str = "none", switches: dict[str, Any] | None = None, **settings: object
) -> World:
    """Make a world: sandbox with seed, profile and switches; keyword arguments override settings."""
    sandbox = new_sandbox(seed=seed, profile=profile, switches=switches)
    return World(sandbox, new_workshop(sandbox, settings))


def make_tier(slug: str) -> Tier:
    """Return one of the default tiers, of whatever stack."""
    stack, size = next((stack, one) for stack, sizes in DEFAULTS.items() for one in sizes if one.slug == slug)
    tier, _created = Tier.objects.get_or_create(
        slug=slug,
        defaults={
            **size.as_tier(stack),
            "stripe_setup_price_id": "price_setup",
            "stripe_monthly_price_id": "price_monthly",
        },
    )
    return tier


def make_order(name: str = "acme", *, tier: str = "starter", spares: int = 1, own: int = 0) -> Provision:
    """Make a complete draft: names with fresh answers, spares, mailbox patterns, sender. The last `own` of the chosen
    domains are the student's."""
    size = make_tier(tier)
    student = User.objects.create_user(
        f"{name}@students.example", "pw", first_name="Ada", last_name="Sample", is_enrolled=True
    )
    provision = Provision.objects.create(
        student=student,
        tier=size,
        brand=name.title(),
        sender_first_name="Ada",
        sender_last_name="Sample",
        mailbox_patterns=["ada", "ada.sample", "a.sample"],
    )
    if STACKS[size.stack].registrar is None:
        own, spares = size.domain_count, 0
    names = [f"{prefix}{name}.com" for prefix in PREFIXES[: size.domain_count + spares]]
    if own < size.domain_count:
        answer(*names, platform=registrar_of(size.stack).platform)
    Domain.objects.bulk_create(
        Domain(
            provision=provision,
            student=student,
            name=domain,
            position=position,
            state=DomainState.SELECTED if position < size.domain_count else DomainState.SPARE,
            origin=Origin.OWN if size.domain_count - own <= position < size.domain_count else Origin.BOUGHT,
        )
        for position, domain in enumerate(names)
    )
    return provision


def answer(*names: str, price_cents: int = 1299, platform: str = "zapmail") -> None:
    """Store a fresh answer of the platform about names."""
    now = clock.vendor_now()
    found = {
        "answer": NameAnswer.AVAILABLE,
        "price_cents": price_cents,
        "renewal_cents": price_cents,
        "checked_at": now,
    }
    NameCheck.objects.bulk_create(
        (NameCheck(platform=platform, name=name, **found) for name in names),
        update_conflicts=True,
        unique_fields=["platform", "name"],
        update_fields=list(found),
    )


def begin(world: World, name: str = "acme", *, tier: str = "starter", spares: int = 1) -> Story:
    """Let a student order and pay."""
    return order(world, world.fresh(name), tier=tier, spares=spares)


def order(
    world: World,
    name: str,
    *,
    tier: str,
    spares: int,
    own: int = 0,
    before: Callable[[World, Provision], object] | None = None,
) -> Story:
    """Begin one order under exactly this name. `before` happens before it is paid."""
    provision = make_order(name, tier=tier, spares=spares, own=own)
    if before is not None:
        before(world, provision)
    actions.freeze_order(provision=provision, actor="test")
    run = actions.start_run(provision=provision, actor="test", paid_at=timezone.now() - timedelta(seconds=1))
    provision.refresh_from_db()
    return Story(world, provision, run)


def story(*, tier: str = "starter", spares: int = 1, faults: tuple[dict[str, Any], ...] = (), **world: Any) -> Story:
    """Begin one order in a world of its own; `faults` are the sandbox's, by `kind`."""
    made = make_world(**world)
    add_faults(made.sandbox, faults)
    return begin(made, tier=tier, spares=spares)


def add_faults(sandbox: Sandbox, faults: Iterable[dict[str, Any]]) -> None:
    """Let the platforms misbehave; each fault is its `kind` and what `FaultTable.add` takes."""
    for fault in faults:
        values = dict(fault)
        sandbox.faults.add(values.pop("kind"), **values)


def crash(where: str) -> NoReturn:
    """End a worker."""
    raise Crash(where)


@contextmanager
def dying(at: Callable[[str, Any], bool], *, die: Callable[[str], NoReturn] = crash) -> Iterator[None]:
    """Let the worker die at the failpoints that `at(name, subject)` picks."""

    def hook(name: str, subject: Any) -> None:
        if at(name, subject):
            die(f"{name} {subject}")

    failpoints.set_hook(hook)
    try:
        yield
    finally:
        failpoints.set_hook(None)


def outlive(made: Story, until: Callable[[], bool] | None = None, *, hours: float = 24) -> int:
    """Play with new workers in the place of those that die; return how many died."""
    deaths = 0
    while True:
        try:
            made.play(until, hours=hours)
            return deaths
        except Crash:
            deaths += 1
            made.world.bury()


def claim(run: Run) -> claims.Claim:
    """Claim a run that is due."""
    taken = claims.take_next(run.pk)
    assert taken is not None
    return taken


def wake_once(made: Story) -> None:
    """Work on the run once."""
    wake(claim(made.run), made.world.workshop)


def describe(run: Run) -> str:
    """Say where a run stands, for a failing test."""
    open_rows = run.steps.exclude(state__in=["completed", "pending", "skipped"])
    rows = list(open_rows.values_list("key", "state", "waits_on", "why", "failure_sentence"))
    return f"{run.provision.state} {run.state} {run.failure_sentence} {rows}"
