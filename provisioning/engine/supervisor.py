"""The tick: once a second, find what is due, mark it rung, ring. And the memory of when work was last done."""

from __future__ import annotations

from django.db import connection, transaction

from . import budget, claims, doorbell
from .claims import DUE

RING_AGAIN = 60.0  # machine seconds until a run that nobody took is rung again
AT_ONCE = 16  # how many runs are rung in one tick at most


def note_work(name: str) -> None:
    """Remember that a worker has just finished a piece of work."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO provisioning_heartbeat (name, at) VALUES (%s, gtm_now('machine'))"
            " ON CONFLICT (name) DO UPDATE SET at = excluded.at",
            [f"work:{name}"],
        )


# A budget that is no more holds nobody up: whoever waits for it asks again and learns what is missing now.
NEEDS_NO_PERMIT = (
    "(waits_on <> 'budget' OR NOT EXISTS (SELECT 1 FROM provisioning_permit WHERE provisioning_permit.budget = why))"
)


def tick() -> int:
    """Ring for every run whose time has come, at most as many per exhausted budget as permits are free.

    One statement claims them, oldest paid first; a lost ring is repeated after a minute. Returns how many were rung.
    """
    with transaction.atomic():
        note_work("supervisor")
        rung = _mark(waiting_for_permits=False, limit=AT_ONCE, name="")
        for name in _budgets_waited_for():
            rung += _mark(waiting_for_permits=True, limit=min(AT_ONCE, budget.free(name)), name=name)
        if rung:
            doorbell.ring("runs", rung)
    return rung


def _mark(*, waiting_for_permits: bool, limit: int, name: str) -> int:
    if limit <= 0:
        return 0
    waits = "waits_on = 'budget' AND why = %(name)s" if waiting_for_permits else NEEDS_NO_PERMIT
    with connection.cursor() as cursor:
        cursor.execute(
            # An array, so that the selection is made once: the planner may repeat one in IN, and pass over its limit.
            f"UPDATE provisioning_run SET rung_at = gtm_now('machine') WHERE id = ANY(ARRAY("
            f" SELECT id FROM provisioning_run WHERE {DUE} AND {waits}"
            "   AND (rung_at IS NULL OR rung_at < (SELECT gtm_now('machine')) - make_interval(secs => %(again)s))"
            "   ORDER BY paid_at, id LIMIT %(limit)s FOR UPDATE SKIP LOCKED))",
            {"again": RING_AGAIN, "limit": limit, "name": name},
        )
        return int(cursor.rowcount)


def _budgets_waited_for() -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT DISTINCT why FROM provisioning_run WHERE {DUE} AND waits_on = 'budget'")
        return [row[0] for row in cursor.fetchall()]


def bury(group: str) -> int:
    """Take back what a group held whose processes are known to be dead: leases and places in the bulkhead.

    Returns how many runs it was working on.
    """
    with transaction.atomic():
        budget.release_all_of(group)
        return claims.expire_leases_of(group)


def forget_rings() -> None:
    """Let every due run be rung again at once: whoever took the last rings is dead. A ring too many does no harm."""
    with connection.cursor() as cursor:
        cursor.execute("UPDATE provisioning_run SET rung_at = NULL WHERE rung_at IS NOT NULL")


def seconds_without_work(group: str) -> float:
    """Return for how many machine seconds work has lain due while no worker finished any; 0 while all is well.

    A cluster whose workers all wait for one that was killed looks alive, and takes some tasks in advance before it takes
    no more: so both untaken tasks and runs that were rung in vain are looked at. Nothing due, or a lease that `group`
    holds, means that all is well: an idle cluster does no work, and a long call is work.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT CASE WHEN EXISTS (SELECT 1 FROM provisioning_run WHERE state = 'running' AND holder = %s"
            "   AND lease_until > gtm_now('machine')) THEN 0"
            " ELSE EXTRACT(EPOCH FROM gtm_now('machine') - GREATEST("
            "   (SELECT max(at) FROM provisioning_heartbeat WHERE name <> 'work:supervisor'),"
            "   LEAST((SELECT min(lock) FROM django_q_ormq WHERE lock <= clock_timestamp()),"
            f"        (SELECT min(rung_at) FROM provisioning_run WHERE rung_at IS NOT NULL AND {DUE})))) END,"
            " EXISTS (SELECT 1 FROM django_q_ormq WHERE lock <= clock_timestamp())"
            f" OR EXISTS (SELECT 1 FROM provisioning_run WHERE rung_at IS NOT NULL AND {DUE})",
            [group],
        )
        idle, is_due = cursor.fetchone()
    return max(0.0, float(idle)) if is_due else 0.0
