"""Rows that say when something is looked at next, outside of runs: what runs (collector), what is owned (inventory), and
how its names are seen (seeing). And, more simply, what students have asked for: a key to be tried, a name to be looked up.

The row that has waited longest is taken, and put off before the look as if that had failed already: a look that ends its
worker does not stand in the others' way. What fails is tried again ever more rarely. Every time is vendor time.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from django.db import connection

from infra import clock, prepared
from infra.models import (
    DnsCheck,
    Inventory,
    Mailbox,
    MailboxState,
    Measurement,
    PlatformConnection,
    Provision,
    Registration,
)
from integrations.http.call import Call
from integrations.http.errors import Permanent, RateLimited

from .engine import budget
from .engine.accounts import OPERATORS, Accounts
from .engine.reader import send_read
from .engine.runner import Workshop
from .engine.specs import HOUR
from .models import Collection

log = logging.getLogger(__name__)

NOT_THERE = (MailboxState.PLANNED, MailboxState.FAILED, MailboxState.REMOVED)
WEIGHT = "figures"  # no share of a budget is reserved for it
# As if it had failed already, by the backoff and its length.
PUT_OFF = "due_at = gtm_now('vendor') + make_interval(secs => (%s::float8[])[LEAST(failures + 1, %s)])"
LONGEST_WAIT, PATIENCE = 5.0, 20.0  # machine seconds that a look waits for one permit, and in all

T = TypeVar("T")
Row = TypeVar("Row", Measurement, Inventory, DnsCheck)
Asked = TypeVar("Asked", PlatformConnection, Registration)
LEASE = 150.0  # machine seconds: no task lives longer


def take_oldest(model: type[Row], backoff: Sequence[float], *, first: str = "FALSE") -> Row | None:
    """Take the due row whose last look is the oldest; None when none is due.

    backoff  seconds until the next attempt, by number of failures in a row
    first    SQL: which rows go before all others
    """
    table = model._meta.db_table
    with connection.cursor() as cursor:
        cursor.execute(
            f"UPDATE {table} SET tried_at = gtm_now('vendor'), failures = failures + 1, {PUT_OFF}"
            f" WHERE id = ANY(ARRAY(SELECT id FROM {table} WHERE due_at <= (SELECT gtm_now('vendor'))"
            f"  ORDER BY ({first}) IS NOT TRUE, looked_at NULLS FIRST, due_at, id"
            "  LIMIT 1 FOR UPDATE SKIP LOCKED)) RETURNING id",
            [list(backoff), len(backoff)],
        )
        row = cursor.fetchone()
    if row is None:
        return None
    return model._default_manager.select_related("provision__student", "provision__tier").get(pk=row[0])


def is_any_due(model: type[Asked]) -> bool:
    """Tell whether a row of what students have asked for is due: asked by the supervisor's tick."""
    table = model._meta.db_table
    found = prepared.execute(f"SELECT EXISTS (SELECT 1 FROM {table} WHERE due_at <= (SELECT gtm_now('vendor')))", {})
    return bool(found and found[0])


def take_due(model: type[Asked], backoff: Sequence[float]) -> Asked | None:
    """Take the row of what students have asked for that has waited longest; None when none is due. `backoff` as above."""
    table = model._meta.db_table
    with connection.cursor() as cursor:
        cursor.execute(
            f"UPDATE {table} SET failures = LEAST(failures + 1, 1000), {PUT_OFF}"
            f" WHERE id = ANY(ARRAY(SELECT id FROM {table} WHERE due_at <= (SELECT gtm_now('vendor'))"
            "  ORDER BY due_at, id LIMIT 1 FOR UPDATE SKIP LOCKED)) RETURNING id",
            [list(backoff), len(backoff)],
        )
        row = cursor.fetchone()
    return model._default_manager.select_related("student").get(pk=row[0]) if row else None


def take_place(name: str) -> bool:
    """Take the one place there is for looks of a kind; return whether it was free.

    A worker that dies in it loses it after a while.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            'INSERT INTO provisioning_collection AS held (name, claimed_until, "offset", failures)'
            " VALUES (%s, gtm_now('machine') + make_interval(secs => %s), 0, 0)"
            " ON CONFLICT (name) DO UPDATE SET claimed_until = excluded.claimed_until"
            " WHERE held.claimed_until IS NULL OR held.claimed_until < gtm_now('machine')",
            [name, LEASE],
        )
        return bool(cursor.rowcount)


def leave_place(name: str) -> None:
    """Let the next one in."""
    Collection.objects.filter(name=name).update(claimed_until=None)


def facts_of_mailboxes(provision: Provision) -> dict[str, dict[str, Any]]:
    """Return the facts of each mailbox that was made for an order, by address."""
    there = Mailbox.objects.filter(provision=provision).exclude(state__in=NOT_THERE)
    return dict(there.order_by("address").values_list("address", "facts"))


@dataclass
class PatientRead:
    """Reads within what there is to spare, and waits for the next permit where that is a matter of seconds.

    A look of more reads than a short window has room for would begin anew each time, and never come to its end.
    Raises PlatformError or budget.NotNow.
    """

    workshop: Workshop
    accounts: Accounts = OPERATORS
    left: float = PATIENCE

    def __call__(self, call: Call[T], /) -> T:
        while True:
            try:
                return send_read(self.workshop.transport, replace(call, weight_class=WEIGHT), accounts=self.accounts)
            except budget.NoPermit as error:
                seconds = error.seconds / clock.scale()
                if seconds > min(self.left, LONGEST_WAIT):
                    raise
                self.left -= seconds
                self.workshop.wait(seconds)


def put_off(due: Row, error: Exception) -> bool:
    """Write down why a look failed; return whether the next one may be tried."""
    rows = type(due)._default_manager.filter(pk=due.pk)
    if isinstance(error, budget.NoPermit | budget.NoFlight):
        # Nothing was tried. Somebody else's turn comes first, whose platform may have room.
        rows.update(due_at=clock.later(clock.vendor_now(), error.seconds), failures=due.failures - 1)
        return False
    words = problem(error)
    log.warning("%s not read", due._meta.model_name, extra={"provision": due.provision.reference, "problem": words})
    rows.update(problem=words)
    if wait := advised(error):
        rows.update(due_at=clock.later(clock.vendor_now(), wait))
    # A platform that is away is away for the next one too; a refusal is about this one alone.
    return isinstance(error, Permanent | KeyError)


def problem(error: Exception) -> str:
    """Return which platform failed, and how."""
    return f"{getattr(error, 'platform', '')} {type(error).__name__}".strip()[:80]


def advised(error: Exception) -> float:
    """Return for how many seconds a platform asks us to stay away, as far as that is believed."""
    return min(error.advised_wait or 0.0, HOUR) if isinstance(error, RateLimited) else 0.0
