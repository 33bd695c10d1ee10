"""A whole world in one process: our rows on real PostgreSQL, the sandbox as transport, both clocks in the test's hand."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import dns.exception
import dns.message
from django.db import connection
from django.utils import timezone

from config.env import SANDBOX_BUILD_OPTIONS, SANDBOX_CHOICES, SANDBOX_CREDENTIALS, SANDBOX_PATHS
from infra import clock
from infra.dns.resolver import MessageResolver, NameServers
from infra.models import Domain, DomainState, NameAnswer, NameCheck, Provision, Tier, User
from integrations import registry
from integrations.http.delegated import Delegated
from integrations.http.transport import Transport
from integrations.sandbox import Sandbox
from integrations.sandbox.dns import RESOLVERS
from integrations.sandbox.post import InProcessPost
from integrations.sandbox.transport import InProcessTransport
from provisioning import actions
from provisioning.engine import budget, claims
from provisioning.engine.options import Options
from provisioning.engine.runner import Workshop, wake
from provisioning.models import Run

SETTINGS: dict[str, object] = {
    **{name: f"http://sandbox.test{path}" for name, path in SANDBOX_PATHS.items()},
    **SANDBOX_CREDENTIALS,
    **SANDBOX_CHOICES,
    **SANDBOX_BUILD_OPTIONS,
}


FLIGHTS = 8  # calls that may be under way at a platform at once
UNTIL_NEXT = """
SELECT EXTRACT(EPOCH FROM min(GREATEST(next_attempt_at - gtm_now('vendor'), lease_until - gtm_now('machine'))))
FROM provisioning_run WHERE state IN ('queued', 'running', 'waiting', 'parked') AND held_since IS NULL
"""


@dataclass
class World:
    """The sandbox, the workshop that talks to it, and the passing of time."""

    sandbox: Sandbox
    workshop: Workshop
    began: datetime = field(default_factory=timezone.now)  # rows that were made earlier belong to other worlds
    people: list[Callable[[Sandbox], bool]] = field(default_factory=list)  # who act while nothing else is to be done

    def fresh(self, name: str) -> str:
        """Return the name to use for an order called `name`: itself, where every test begins with an empty database."""
        return name

    def advance(self, seconds: float) -> None:
        """Let vendor time pass, ours and the sandbox's alike."""
        clock.advance_vendor(seconds)
        self.sandbox.advance(seconds)

    def run_once(self) -> bool:
        """Wake the next due run; return whether there was one."""
        claim = claims.take_next()
        if claim is None:
            return False
        wake(claim, self.workshop)
        return True

    def run_until(self, done: Callable[[], bool], *, hours: float = 24) -> None:
        """Wake what is due and let time pass until `done`. Fails when that takes more than `hours` of vendor time."""
        left = hours * 3600
        while not done():
            if self.run_once() or any(act(self.sandbox) for act in self.people):
                continue
            assert left > 0, "not done in time: " + describe()
            seconds = max(1.0, self.until_next())
            self.advance(seconds)
            left -= seconds

    def until_next(self) -> float:
        """Return the seconds until an unfinished run is due: its time has come, and nobody's lease is on it."""
        with connection.cursor() as cursor:
            cursor.execute(UNTIL_NEXT)
            (seconds,) = cursor.fetchone()
        return 60.0 if seconds is None else float(seconds)

    def state(self) -> Any:
        """Return what the platforms hold."""
        return self.sandbox.state()


def new_world(**settings: object) -> World:
    """Make a world without faults. Keyword arguments override settings."""
    sandbox = new_sandbox()
    return World(sandbox, new_workshop(sandbox, settings))


def new_sandbox(*, seed: int = 1, profile: str = "none", switches: Mapping[str, Any] | None = None) -> Sandbox:
    """Make the platforms. Their clock runs as ours does, beside what the test adds: on a busy machine the two would
    drift apart otherwise."""
    sandbox = Sandbox(seed=seed, speed=1.0, public_url="http://sandbox.test", profile=profile)
    sandbox.switches.set(**(switches or {}))
    return sandbox


def new_workshop(sandbox: Sandbox, settings: Mapping[str, object]) -> Workshop:
    """Make what a worker builds with, and the slot rows that its budgets need. `settings` override ours."""
    synchronise(settings)
    return open_workshop(sandbox.transport(), settings)


def synchronise(settings: Mapping[str, object]) -> None:
    """Make the slot rows that the budgets of these settings need, as a worker does when it starts."""
    found = registry.budgets({**SETTINGS, **settings})
    budget.synchronise(
        [budget.Limit(b.name, b.limit, b.window, {"paid": b.reserved_paid}) for b in found],
        {row.slug: FLIGHTS for row in registry.PLATFORMS},
    )


def open_workshop(transport: Transport, settings: Mapping[str, object]) -> Workshop:
    """Make what a worker builds with. `settings` override ours."""
    values = {**SETTINGS, **settings}
    names = name_servers(transport.sandbox) if isinstance(transport, InProcessTransport) else NameServers()
    workshop = Workshop(transport, registry.build_clients(values), Options.from_mapping(values), names)
    if not isinstance(transport, InProcessTransport):
        return workshop
    now = transport.sandbox.clock.now
    delegated = Delegated(transport, wall=now, clock=now)
    return replace(
        workshop, transport=delegated, wait=partial(_pass, transport.sandbox), post=post_of(transport.sandbox)
    )


def post_of(sandbox: Sandbox) -> InProcessPost:
    """Return who sends test messages without a socket."""
    return InProcessPost(sandbox, monotonic=clock.monotonic)


def _pass(sandbox: Sandbox, seconds: float) -> None:
    """Let time pass for somebody who waits: ours and the sandbox's alike."""
    clock.advance_vendor(seconds)
    sandbox.advance(seconds)


def name_servers(sandbox: Sandbox, wait: Callable[[float], None] = lambda seconds: None) -> NameServers:
    """Return the sandbox's name servers, asked without a socket. `wait` lets the time pass that a silent one costs."""

    def resolver(server: str) -> MessageResolver:
        def ask(question: dns.message.Message, seconds: float) -> dns.message.Message:
            answer = sandbox.dns.respond(question.to_wire(), server)
            if answer is None:
                wait(seconds)
                raise dns.exception.Timeout
            return dns.message.from_wire(answer)

        return MessageResolver(server, ask, recursive=server in RESOLVERS)

    return NameServers(tuple(map(resolver, RESOLVERS)), (resolver("authoritative"),))


def starter() -> Tier:
    """Return the Starter tier."""
    tier, _created = Tier.objects.get_or_create(
        slug="starter",
        defaults={
            "name": "Starter",
            "stack": "zapmail",
            "domain_count": 3,
            "mailbox_count": 6,
            "setup_fee_cents": 9700,
            "monthly_fee_cents": 4700,
            "stripe_setup_price_id": "price_setup",
            "stripe_monthly_price_id": "price_monthly",
        },
    )
    return tier


def new_order(name: str = "acme", *, spares: int = 1, tier: Tier | None = None) -> Provision:
    """Make a complete draft: brand, domains with fresh answers, spares, patterns, sender."""
    tier = tier or starter()
    student = User.objects.create_user(
        f"{name}@students.example", "pw", first_name="Ada", last_name="Sample", is_enrolled=True
    )
    provision = Provision.objects.create(
        student=student,
        tier=tier,
        brand=name.title(),
        sender_first_name="Ada",
        sender_last_name="Sample",
        mailbox_patterns=["ada", "ada.sample"],
    )
    names = [
        f"{prefix}{name}.com" for prefix in ("get", "try", "use", "go", "hey", "meet")[: tier.domain_count + spares]
    ]
    now = clock.vendor_now()
    for position, domain in enumerate(names):
        NameCheck.objects.create(
            name=domain, answer=NameAnswer.AVAILABLE, price_cents=1299, renewal_cents=1299, checked_at=now
        )
        Domain.objects.create(
            provision=provision,
            student=student,
            name=domain,
            position=position,
            state=DomainState.SELECTED if position < tier.domain_count else DomainState.SPARE,
        )
    return provision


def paid(provision: Provision) -> Run:
    """Freeze and start an order, as a payment does."""
    actions.freeze_order(provision=provision, actor="test")
    return actions.start_run(provision=provision, actor="test", paid_at=timezone.now() - timedelta(seconds=1))


def describe() -> str:
    """Say where every unfinished run stands, for a failing test."""
    rows = []
    for run in Run.objects.exclude(state="done"):
        waits = run.steps.exclude(state__in=["completed", "pending", "skipped"]).values_list(
            "key", "state", "waits_on", "why"
        )
        rows.append(f"{run.state} next={run.next_attempt_at} {list(waits)}")
    return "; ".join(rows)
