"""What must be so after every blow: the orders are active, and our rows and the platforms agree."""

from __future__ import annotations

import shutil
from collections.abc import Iterable

from django.db import DatabaseError, InterfaceError, connection
from django.db.models import Sum

from infra.models import Provision
from integrations.sandbox import Sandbox
from provisioning.models import Run
from tests.chaos.figures import Figures
from tests.integration import invariants
from tests.integration.books import Books
from tests.integration.processes import Processes, until
from tests.integration.world import describe

RECOVERY = 120.0  # seconds of real time after which work goes on at the latest


def wakeups() -> int:
    """Return how often runs have been woken: while it grows, work is done. 0 while the database cannot be asked."""
    try:
        return int(Run.objects.aggregate(all=Sum("wakeups"))["all"] or 0)
    except (DatabaseError, InterfaceError):
        connection.close()
        return 0


def await_work(since: int) -> float:
    """Wait until a run is woken again; return the seconds that took. Fails after the promised time."""
    return until(
        lambda: wakeups() > since or is_finished(),
        seconds=RECOVERY,
        otherwise=lambda: f"no work within {RECOVERY:.0f} s: {describe()}",
    )


def note_recovery(figures: Figures, case: str, seconds: float) -> None:
    """Keep how long no work was done after a blow: the longest of its kind, and of all."""
    figures.greatest(f"recovery_seconds_{case.replace(' ', '_')}", seconds)
    figures.greatest("recovery_seconds_max", seconds)


def await_end_without_a_long_pause(since: int) -> float:
    """Wait until every run has ended; return the longest time in which no run was woken. Fails after the promised time.

    Counted from the blow, when runs had been woken `since` times.
    """
    longest = 0.0
    while not is_finished():
        longest = max(longest, await_work(since))
        since = wakeups()
    return longest


def is_finished() -> bool:
    """Tell whether no run is under way any more. No while the database cannot be asked."""
    try:
        return not Run.objects.exclude(state__in=["done", "failed"]).exists()
    except (DatabaseError, InterfaceError):
        connection.close()
        return False


def await_end(*, seconds: float = RECOVERY) -> None:
    """Wait until every run has ended."""
    until(is_finished, seconds=seconds, otherwise=lambda: f"not done in time: {describe()}")


def platforms(world: Processes) -> Sandbox:
    """Return the world of the sandbox's process as it is now, to look into."""
    world.tell("/clock", {"advance": 0})  # writes the state file
    copy = world.folder / "seen.state"
    shutil.copy(world.folder / "sandbox.state", copy)
    return Sandbox(speed=world.speed, state_path=copy)


def agree(world: Processes, orders: Iterable[Provision]) -> None:
    """Assert that all orders are active, each domain was bought once, and every invariant holds."""
    sandbox, names = platforms(world), []
    for order in orders:
        order.refresh_from_db()
        assert order.state == "active", f"{order.reference} is {order.state}: {describe()}"
        names += [domain.name for domain in order.domains.exclude(state="spare")]
    bought = {name: purchases.bought for name, purchases in sandbox.world.zapmail.purchases.items()}
    assert bought.items() >= dict.fromkeys(names, 1).items()
    invariants.check(sandbox, Books.since())
