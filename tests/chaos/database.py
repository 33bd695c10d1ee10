"""The database of the chaos tests: its clock stands still, and nothing of an earlier test disturbs a later one."""

from __future__ import annotations

import threading

import psycopg
from django.db import connection

from infra import clock

BEGINNING = "2026-11-23 09:00:00+00"  # where both clocks stand in a fresh world

_OF_THE_MACHINE = "clock_timestamp()"
_CREATE = "CREATE FUNCTION"
_BODY = clock.CREATE_SQL[clock.CREATE_SQL.index(_CREATE) :].replace(_CREATE, "CREATE OR REPLACE FUNCTION")

# The product's own function; frozen, it knows no other time than what was moved.
RUNNING_CLOCK = _BODY
FROZEN_CLOCK = _BODY.replace(_OF_THE_MACHINE, f"timestamptz '{BEGINNING}'")

TIDY = """
UPDATE provisioning_run SET state = 'cancelled', finished_at = gtm_now('machine'), next_attempt_at = NULL,
    lease_until = NULL WHERE state IN ('queued', 'running', 'waiting', 'parked');
UPDATE provisioning_operationitem SET state = 'absent' WHERE state IN ('intended', 'captured', 'unknown');
UPDATE infra_operatoritem SET resolved_at = gtm_now('machine') WHERE resolved_at IS NULL;
UPDATE infra_mail SET sent_at = gtm_now('machine') WHERE sent_at IS NULL;
UPDATE infra_namecheck SET wanted_at = NULL WHERE wanted_at IS NOT NULL;
UPDATE infra_orderline SET state = 'refunded' WHERE state = 'refund_due';
UPDATE billing_webhookevent SET state = 'ignored' WHERE state = 'received';
UPDATE billing_checkout SET state = 'expired' WHERE state IN ('intended', 'open', 'confirming');
UPDATE billing_refund SET state = 'failed' WHERE state = 'due';
UPDATE billing_subscription SET look_at = NULL WHERE look_at IS NOT NULL;
UPDATE provisioning_permit SET used_at = NULL WHERE used_at IS NOT NULL;
UPDATE provisioning_flight SET until = NULL WHERE until IS NOT NULL;
DELETE FROM provisioning_circuit;
DELETE FROM provisioning_heartbeat;
DELETE FROM infra_flag;
DELETE FROM infra_counter;
DELETE FROM django_q_ormq;
DELETE FROM gtm_clock;
"""
START_CLOCK = f"INSERT INTO gtm_clock (machine_origin, vendor_origin, scale) VALUES ('{BEGINNING}', '{BEGINNING}', 1);"
MOVE = "UPDATE gtm_clock SET machine_offset = machine_offset + make_interval(secs => %s::float8)"

SLOTS = """
SELECT budget, count(*), count(*) FILTER (WHERE weight_class <> ''), max(window_seconds)
FROM provisioning_permit GROUP BY budget
UNION ALL SELECT platform, count(*), 0, 0 FROM provisioning_flight GROUP BY platform
"""

_moved = 0.0  # seconds since BEGINNING, as far as this process moved the clocks
_moving = threading.Lock()


def execute(statements: str) -> None:
    """Run SQL without parameters."""
    with connection.cursor() as cursor:
        cursor.execute(statements)


def advance(seconds: float) -> None:
    """Move machine time forward, and vendor time with it: in the database and for `infra.clock.monotonic`."""
    global _moved
    with _moving:
        _moved += seconds
    connection.ensure_connection()
    with connection.wrap_database_errors:
        # Past Django's cursor and prepared, because it happens with every call.
        psycopg.Cursor(connection.connection).execute(MOVE, [seconds], prepare=True)


def monotonic() -> float:
    """Stand in for `infra.clock.monotonic`."""
    return _moved


def slots() -> dict[str, tuple[int, int, float]]:
    """Return how many slot rows each budget has, how many of them are reserved, and their window; bulkheads likewise."""
    with connection.cursor() as cursor:
        cursor.execute(SLOTS)
        return {name: (count, reserved, window) for name, count, reserved, window in cursor.fetchall()}


def tidy_up() -> None:
    """End what earlier or failed tests have left under way, and make what all orders share as new; both clocks go back
    to `BEGINNING`. Rows that are done stay: the names in them are never used again."""
    global _moved
    execute(TIDY + START_CLOCK)
    _moved = 0.0
