"""When a cluster is taken for dead: work lies due, nobody finishes any, and no long call is under way."""

from __future__ import annotations

import pytest
from django.db import connection

from infra import clock
from provisioning.engine import budget, claims, doorbell, supervisor
from provisioning.engine.claims import take_next
from provisioning.models import Flight, Heartbeat, Run
from tests.integration.world import new_order, new_world, paid

pytestmark = pytest.mark.django_db

GROUP = "host:1:1"


def idle() -> float:
    return supervisor.seconds_without_work(GROUP)


def empty_queue() -> None:
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM django_q_ormq")


def age_queue(seconds: float) -> None:
    with connection.cursor() as cursor:
        cursor.execute("UPDATE django_q_ormq SET lock = lock - make_interval(secs => %s)", [seconds])


def a_due_run() -> Run:
    run = paid(new_order())
    empty_queue()
    return run


def test_an_idle_cluster_is_well() -> None:
    supervisor.note_work("runs")
    clock.advance_machine(600)

    assert idle() == 0


def test_tasks_that_nobody_takes_are_missed() -> None:
    paid(new_order())
    age_queue(60)

    assert idle() >= 60


def test_a_run_that_was_rung_in_vain_is_missed_although_its_task_was_taken() -> None:
    a_due_run()
    supervisor.tick()
    empty_queue()  # a worker that hangs has taken the tasks in advance
    clock.advance_machine(50)

    assert 50 <= idle() < 55


def test_other_work_that_is_done_shows_a_living_cluster() -> None:
    a_due_run()
    supervisor.tick()
    clock.advance_machine(50)
    supervisor.note_work("mails")

    assert idle() < 5


def test_the_supervisors_own_tick_is_no_work() -> None:
    a_due_run()
    supervisor.tick()
    clock.advance_machine(50)
    supervisor.tick()

    assert idle() >= 50


def test_a_long_call_is_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GTM_WORKER_GROUP", GROUP)
    a_due_run()
    paid(new_order("other"))
    age_queue(60)
    claim = take_next()
    assert claim is not None

    assert idle() == 0
    clock.advance_machine(claims.IDLE_LEASE + 1)
    assert idle() > 0


def test_rings_are_repeated_at_once_after_a_death() -> None:
    a_due_run()

    assert supervisor.tick() == 1
    assert supervisor.tick() == 0
    supervisor.forget_rings()
    assert supervisor.tick() == 1


def test_a_dead_group_gives_back_its_leases_and_its_places(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GTM_WORKER_GROUP", GROUP)
    world = new_world()
    run = a_due_run()
    assert take_next() is not None
    budget.acquire(world.workshop.clients.zapmail.list_workspaces())
    assert Flight.objects.filter(holder=GROUP, until__isnull=False).count() == 1

    assert supervisor.bury("host:2:2") == 0
    assert take_next() is None
    assert supervisor.bury(GROUP) == 1

    assert not Flight.objects.filter(until__isnull=False).exists()
    claim = take_next()
    assert claim is not None and claim.run_id == run.pk  # noqa: PT018
    assert not Heartbeat.objects.filter(name="work:runs").exists()


def test_a_drain_that_breaks_raises_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Or the queue would decide whether, and how often, something is tried again."""

    def broken(limit: int) -> int:
        raise ZeroDivisionError

    monkeypatch.setitem(doorbell._drains, "broken", broken)
    assert doorbell.drain("broken") == 0
