"""Orders that wait for two days are rows and nothing else: no worker, no connection, no transaction, no ring."""

from __future__ import annotations

import pytest
from django.db import connection
from psycopg.pq import TransactionStatus

from provisioning.engine import claims, runner, supervisor
from provisioning.models import Flight, Run

from . import database
from .harness import World, due_runs, first_order, new_world
from .whole import IS_WHOLE

ORDERS = 1000 if IS_WHOLE else 60
HOURS = 48
LOOKS = HOURS if IS_WHOLE else 8  # how often somebody looks during that time
AT_A_TIME = 10  # runs that one answer to a ring wakes


def waiting(orders: int) -> World:
    """Make a world in which so many orders have just been told to look again in two days."""
    world = new_world()
    for number in range(orders):
        first_order(world, f"w{number:04}")
    database.execute(
        "UPDATE provisioning_run SET state = 'waiting', waits_on = 'platform', why = 'the domain is pending',"
        f" next_attempt_at = gtm_now('vendor') + interval '{HOURS} hours' WHERE state = 'queued'"
    )
    return world


def others() -> list[str]:
    """Return what the other sessions of this database are doing."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT state FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        return [str(state) for (state,) in cursor.fetchall()]


def rings() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM django_q_ormq")
        return int(cursor.fetchone()[0])


def work() -> tuple[int, int]:
    """Do what the supervisor and a worker that was rung do; return how many runs were rung for, and woken."""
    return supervisor.tick(), runner.drain(AT_A_TIME)


def test_waiting_orders_hold_nothing() -> None:
    world = waiting(ORDERS)
    for _ in range(LOOKS):
        assert work() == (0, 0)
        assert connection.connection.info.transaction_status == TransactionStatus.IDLE
        assert others() == []
        assert rings() == 0
        assert not Run.objects.filter(lease_until__isnull=False).exists()
        assert not Flight.objects.filter(until__isnull=False).exists()
        world.advance(HOURS * 3600 / LOOKS - 1)
    world.advance(LOOKS)
    assert len(due_runs()) == ORDERS
    assert supervisor.tick() == supervisor.AT_ONCE  # not all at once, even though all are due
    assert rings() == supervisor.AT_ONCE


def test_control_a_wait_that_nobody_respects_is_rung_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "DUE", claims.DUE.replace("next_attempt_at IS NULL OR", "true OR"))
    waiting(2)
    assert supervisor.tick() == 2
