"""Chapter: what the design of own domains wants done within so many seconds, where a platform takes 100 ms for a call.

The platforms' own waits are jumped over; what is left is our calls, one after the other, and our own work.
"""

from __future__ import annotations

import statistics
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from django.conf import settings

from infra import clock, rls
from infra.models import Domain, DomainState, Mailbox, MailboxState, Provision, Tier, User
from infra.wizard import drafts
from integrations.http.call import Call, Raw
from integrations.http.transport import Transport
from provisioning import actions
from provisioning.engine import claims, failpoints
from provisioning.engine.runner import default_workshop, wake
from provisioning.management.commands.worker import prepare
from provisioning.models import Run

from .chapter import BenchFailed, Chapter, Note, Numbers
from .orders import pay
from .provision import LONGEST_BUILD, ask
from .worlds import run_part, world

LATENCY = 0.1  # seconds that a call takes at the platform
ORDERS, MAILBOXES = 3, 2
# What the design names, the steps that it consists of, and how many seconds it may take.
WANTED: Mapping[str, tuple[tuple[str, ...], float]] = {
    "connect_domain": (("own_before", "zones", "nameservers", "zone_active"), 2.0),
    "records_of_domain": (("google_domains", "records", "records_seen", "google_verified"), 30.0),
    "mailbox_account": (("account_passwords", "users", "mailboxes_ready", "imap"), 5.0),
}
MADE = (MailboxState.CREATED, MailboxState.CONNECTED, MailboxState.WARMING)


@dataclass
class Slow:
    """A transport on which every call takes so much longer."""

    transport: Transport

    def send(self, call: Call[Any], *, send_before: float | None = None) -> Raw:
        time.sleep(LATENCY)
        return self.transport.send(call, send_before=send_before)


@dataclass
class Steps:
    """Seconds by step: from the last record of any step to its own. A hook for the engine's failpoints."""

    spent: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    since: float = 0.0

    def begin(self) -> None:
        self.since = time.perf_counter()

    def __call__(self, name: str, subject: Any) -> None:
        if name == "after_record":
            now = time.perf_counter()
            self.spent[subject.key] += now - self.since
            self.since = now


def own_domain() -> Numbers:
    """Build orders of one own domain with two mailboxes each, until the mailboxes are there; return the medians."""
    rls.set_role("worker")
    prepare()
    told = [_build(number) for number in range(ORDERS)]
    return {f"{name}_s": statistics.median(one[name] for one in told) for name in WANTED}


def _build(number: int) -> dict[str, float]:
    run, steps = pay(_draft(number)), Steps()
    workshop = default_workshop()
    workshop = replace(workshop, transport=Slow(workshop.transport))
    ends = clock.later(clock.vendor_now(), LONGEST_BUILD)
    failpoints.set_hook(steps)
    try:
        while Mailbox.objects.filter(provision=run.provision_id, state__in=MADE).count() < MAILBOXES:
            claim = claims.take_next(run.pk)
            if claim is not None:
                steps.begin()
                wake(claim, workshop)
            elif not _owner_acts(run):
                _jump(run)
            if clock.vendor_now() > ends:
                raise BenchFailed("An own domain was not connected in time.")
    finally:
        failpoints.set_hook(None)
    found = {name: sum(steps.spent[key] for key in keys) for name, (keys, _) in WANTED.items()}
    return found | {"mailbox_account": found["mailbox_account"] / MAILBOXES}


def _draft(number: int) -> Provision:
    student = User.objects.create_user(
        f"own{number}@students.example", "bench", first_name="Ada", last_name="Bench", is_enrolled=True
    )
    provision = drafts.choose_package(Provision(student=student), tier=Tier.objects.get(slug="own-domains"))
    drafts.select(provision, chosen=[], spares=[], prices={}, own=[f"bench-own-{number}.com"])
    drafts.name_mailboxes(provision, first_name="Ada", last_name="Bench", patterns=["ada", "ada.bench"])
    return provision


def _owner_acts(run: Run) -> bool:
    """Let the owner change the name servers once asked, and press "Check now"; return whether there was somebody to."""
    waiting = Domain.objects.filter(provision=run.provision_id, state=DomainState.PENDING_NAMESERVERS)
    acted = False
    for domain in waiting.filter(facts__has_key="nameservers").exclude(facts__has_key="bench_changed"):
        ask(f"{settings.SANDBOX_CONTROL_URL}/nameservers", {"domain": domain.name})
        Domain.objects.filter(pk=domain.pk).update(facts={**domain.facts, "bench_changed": True})
        acted = True
    if acted:
        actions.check_now(provision=Provision.objects.get(pk=run.provision_id), actor="bench")
    return acted


def _jump(run: Run) -> None:
    run.refresh_from_db()
    wait = 1.0
    if run.next_attempt_at:
        wait = max(wait, (run.next_attempt_at - clock.vendor_now()).total_seconds())
    clock.advance_vendor(wait)
    ask(f"{settings.SANDBOX_CONTROL_URL}/clock", {"advance": wait})


def run(folder: Path, note: Note) -> Numbers:
    """Make a world and build the orders in it."""
    with world(folder / "domains", time_scale="1") as environment:
        note("own domains")
        return run_part("own-domain", environment)


def table(numbers: Mapping[str, float]) -> Iterator[str]:
    """Yield the lines of the report."""
    yield f"\n{'own domains, 100 ms a call':<28}{'seconds':>8}{'wanted':>8}"
    for name, (_, wanted) in WANTED.items():
        yield f"  {name.replace('_', ' '):<26}{numbers[f'{name}_s']:>8.1f}{wanted:>8.0f}"


CHAPTER = Chapter(run, table, {"own-domain": own_domain})
