"""A whole world in one process: our rows on real PostgreSQL, the sandbox as transport, both clocks in the test's hand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db.models import Min
from django.utils import timezone

from config.env import SANDBOX_BUILD_OPTIONS
from infra import clock
from infra.models import Domain, DomainState, NameAnswer, NameCheck, Provision, Tier, User
from integrations import registry
from integrations.sandbox import Sandbox
from provisioning import actions
from provisioning.engine import budget, claims
from provisioning.engine.options import Options
from provisioning.engine.runner import Workshop, wake
from provisioning.models import Run

SETTINGS: dict[str, object] = {
    "ZAPMAIL_API_URL": "http://sandbox.test/zapmail/api",
    "ZAPMAIL_API_KEY": "sandbox-zapmail-key",
    "PLUSVIBE_API_URL": "http://sandbox.test/plusvibe/api/v1",
    "PLUSVIBE_API_KEY": "sandbox-plusvibe-key",
    "PLUSVIBE_AGENCY_WORKSPACE_ID": "65f0c0ffee00000000000001",
    "HEYREACH_API_URL": "http://sandbox.test/heyreach/api/public",
    "HEYREACH_API_KEY": "sandbox-heyreach-key",
    **SANDBOX_BUILD_OPTIONS,
}


@dataclass
class World:
    """The sandbox, the workshop that talks to it, and the passing of time."""

    sandbox: Sandbox
    workshop: Workshop

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
        ends = clock.vendor_now() + timedelta(hours=hours)
        while not done():
            if self.run_once():
                continue
            now = clock.vendor_now()
            assert now < ends, "not done in time: " + describe()
            due = Run.objects.filter(next_attempt_at__isnull=False).aggregate(first=Min("next_attempt_at"))["first"]
            self.advance(max(1.0, (due - now).total_seconds()) if due else 60.0)

    def state(self) -> Any:
        """Return what the platforms hold."""
        return self.sandbox.state()


def new_world(**settings: object) -> World:
    """Make a world without faults. Keyword arguments override settings."""
    values = {**SETTINGS, **settings}
    # Its clock runs as ours does, beside what the test adds: on a busy machine the two would drift apart otherwise.
    sandbox = Sandbox(seed=1, speed=1.0, public_url="http://sandbox.test")
    budget.synchronise(
        [budget.Limit(b.name, b.limit, b.window, {"paid": b.reserved_paid}) for b in registry.budgets(values)],
        {row.slug: 8 for row in registry.PLATFORMS},
    )
    workshop = Workshop(sandbox.transport(), registry.build_clients(values), Options.from_mapping(values))
    return World(sandbox, workshop)


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
