"""Who works on a run. One conditional update claims it: a lease in machine time and a fencing token.

Every later write of the claim names the token; a worker that wakes too late is refused by the fence. Fencing protects
our rows, never the platform: what protects the platform is that nobody resends blindly.
"""

from __future__ import annotations

import os
import time
import uuid
from dataclasses import dataclass, field

from django.db import InterfaceError, OperationalError, connection

from infra import prepared
from infra.clock import INSTANTS, PRESENT, Instants

LEASE_MARGIN = 15.0  # machine seconds a lease lasts beyond the deadline of the call under way
PATIENCE = 3  # wake-ups in a row that may end without a release before a run has to wait for the next one
GIVE_BACK_TRIES, GIVE_BACK_PAUSE = 20, 0.5  # how often, and after how many machine seconds
IDLE_LEASE = 30.0  # machine seconds of a lease while no call is under way

# The fence: what must be so of the run whenever a claim writes.
# The statement has a part `present` (`clock.PRESENT`).
HELD = "id = %(run)s AND token = %(token)s AND state = 'running' AND lease_until > (SELECT machine FROM present)"


class LostClaim(Exception):
    """Somebody else works on this run by now. Nothing may be written."""


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to work on a run, for as long as the fence lets it pass. `at` is when it was taken."""

    run_id: uuid.UUID
    token: int
    at: Instants = field(compare=False)


def lock(claim: Claim) -> None:
    """Lock the run in the current transaction. Raises LostClaim when the token or the lease is gone.

    For what locks the order as well: always the run first, as people's actions do, so that nobody waits in a circle.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            f"WITH present AS MATERIALIZED ({PRESENT}) SELECT 1 FROM provisioning_run WHERE {HELD} FOR UPDATE",
            {"run": claim.run_id, "token": claim.token},
        )
        if cursor.fetchone() is None:
            raise LostClaim(str(claim.run_id))


# `due`: unfinished, its time has come in vendor time, and nobody holds it in machine time. The states are those of the
# index `provisioning_run_due`; the clocks are read once for the statement, not once for each row.
DUE = (
    "state IN ('queued', 'running', 'waiting', 'parked') AND held_since IS NULL"
    " AND (next_attempt_at IS NULL OR next_attempt_at <= (SELECT gtm_now('vendor')))"
    " AND (lease_until IS NULL OR lease_until <= (SELECT gtm_now('machine')))"
)


# A run that was without a permit of a budget when it was last woken.
WAITS_FOR = (
    "state IN ('queued', 'running', 'waiting', 'parked') AND held_since IS NULL"
    " AND waits_on = 'budget' AND why = %(budget)s"
)


def take_next(run_id: uuid.UUID | None = None) -> Claim | None:
    """Claim the due run that was paid first, or the one named. Return None when there is none."""
    row = prepared.execute(
        "UPDATE provisioning_run SET state = 'running', token = token + 1, wakeups = wakeups + 1, rung_at = NULL,"
        # Counted before the work: a run that ends its worker each time comes back ever more rarely.
        " crashes = crashes + 1, next_attempt_at = CASE WHEN crashes < %(patience)s THEN next_attempt_at"
        " ELSE gtm_now('vendor')"
        "   + make_interval(secs => LEAST(3600, 60 * power(2, LEAST(crashes, 20) - %(patience)s))) END,"
        " holder = %(holder)s, lease_until = gtm_now('machine') + make_interval(secs => %(lease)s),"
        " started_at = COALESCE(started_at, gtm_now('machine')), updated_at = gtm_now('machine')"
        f" WHERE id = (SELECT id FROM provisioning_run WHERE {DUE}"
        "   AND (%(run)s::uuid IS NULL OR id = %(run)s::uuid)"
        "   ORDER BY paid_at, id LIMIT 1 FOR UPDATE SKIP LOCKED)"
        f" RETURNING id, token, {INSTANTS}",
        {"lease": IDLE_LEASE, "run": run_id, "holder": worker_group(), "patience": PATIENCE},
    )
    return Claim(row[0], row[1], Instants(*row[2:])) if row else None


def prolong(claim: Claim, seconds: float) -> None:
    """Let the lease last so many machine seconds from now, or as long as it does. Raises LostClaim."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"WITH present AS MATERIALIZED ({PRESENT}) UPDATE provisioning_run SET lease_until ="
            f" GREATEST(lease_until, (SELECT machine FROM present) + make_interval(secs => %(seconds)s)) WHERE {HELD}",
            {"run": claim.run_id, "token": claim.token, "seconds": seconds},
        )
        if cursor.rowcount != 1:
            raise LostClaim(str(claim.run_id))


def put_off(claim: Claim) -> None:
    """Give a run back after a wake-up that crashed: again after a pause, longer each time."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE provisioning_run SET state = 'waiting', lease_until = NULL, next_attempt_at = GREATEST("
            " COALESCE(next_attempt_at, gtm_now('vendor')), gtm_now('vendor') + make_interval(secs => 60))"
            " WHERE id = %s AND token = %s AND state = 'running'",
            [claim.run_id, claim.token],
        )


def give_back(claim: Claim) -> None:
    """End the lease of a wake-up whose connection broke, on a new one: whoever claims the run next goes on at once.

    The database may be starting again: tried for a while. Then the lease ends by itself.
    """
    for _ in range(GIVE_BACK_TRIES):
        connection.close()
        try:
            with connection.cursor() as cursor:
                cursor.execute(
                    "UPDATE provisioning_run SET lease_until = gtm_now('machine'), rung_at = NULL"
                    " WHERE id = %s AND token = %s AND state = 'running' AND lease_until > gtm_now('machine')",
                    [claim.run_id, claim.token],
                )
            return
        except (OperationalError, InterfaceError):
            time.sleep(GIVE_BACK_PAUSE)


def worker_group() -> str:
    """Name the group of worker processes this one belongs to (set by `manage.py worker` for its children)."""
    return os.environ.get("GTM_WORKER_GROUP", "")


def expire_leases_of(group: str) -> int:
    """End the leases of a group whose processes are known to be dead; return how many there were."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE provisioning_run SET lease_until = gtm_now('machine'), rung_at = NULL"
            " WHERE state = 'running' AND holder = %s AND lease_until > gtm_now('machine')",
            [group],
        )
        return int(cursor.rowcount)
