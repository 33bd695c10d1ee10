"""What machines are told."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.db import OperationalError, connection
from django.db.migrations.executor import MigrationExecutor
from django.http import Http404, HttpRequest, HttpResponse
from django.test import RequestFactory, override_settings

from config import health
from infra import rls
from infra.clock import machine_now
from infra.models import OperatorItem
from provisioning.models import Heartbeat, Run, Step, Timing
from tests.integration.world import new_order, new_world, paid

View = Callable[[HttpRequest], HttpResponse]


def ask(view: View, **headers: str) -> tuple[int, dict[str, object]]:
    answer = view(RequestFactory().get("/", headers=headers))
    return answer.status_code, json.loads(answer.content)


def beat(*, seconds_ago: float) -> None:
    Heartbeat.objects.create(name="supervisor", at=machine_now() - timedelta(seconds=seconds_ago))


def test_a_process_that_answers_is_up() -> None:
    assert ask(health.healthz) == (200, {"status": "ok"})


@pytest.mark.django_db
def test_ready_means_migrated_and_a_worker_heard_of() -> None:
    beat(seconds_ago=5)

    assert ask(health.readyz) == (200, {"status": "ok"})


@pytest.mark.django_db
def test_without_a_worker_it_is_not_ready() -> None:
    status, state = ask(health.readyz)

    assert (status, state["problems"]) == (503, ["no worker has been heard of"])


@pytest.mark.django_db
def test_a_silent_worker_is_named_with_its_silence() -> None:
    beat(seconds_ago=300)

    status, state = ask(health.readyz)

    assert (status, state["problems"]) == (503, ["no worker has been heard of for 300 s"])


@pytest.mark.django_db
def test_pending_migrations_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MigrationExecutor, "migration_plan", lambda *_: [("infra", "0099")])

    assert ask(health.readyz)[1]["problems"] == ["1 migrations are pending"]


def test_a_database_that_does_not_answer_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(role: str) -> None:
        raise OperationalError

    monkeypatch.setattr(health, "acting_as", refuse)

    assert ask(health.readyz) == (503, {"status": "not ready", "problems": ["the database does not answer"]})


@pytest.mark.django_db
def test_readiness_works_for_visitors_and_leaves_them_powerless() -> None:
    beat(seconds_ago=5)
    rls.set_role("visitor")

    assert ask(health.readyz)[0] == 200
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_user")
        assert cursor.fetchone() == ("gtm_visitor",)


@pytest.mark.django_db
def test_metrics_count_rows_by_state() -> None:
    beat(seconds_ago=5)
    OperatorItem.objects.create(key="wallet_short:zapmail", kind="wallet_short")

    lines = health.metrics(RequestFactory().get("/")).content.decode().splitlines()

    assert "gtm_operator_items_open 1" in lines
    assert "# TYPE gtm_runs gauge" in lines
    assert any(line.startswith("gtm_worker_heartbeat_age_seconds 5") for line in lines)


def metrics() -> list[str]:
    return health.metrics(RequestFactory().get("/")).content.decode().splitlines()


@pytest.mark.django_db
def test_a_histogram_counts_every_bucket_below_a_bound_as_well() -> None:
    Timing.objects.create(kind="call", name="cloudflare", bound=0.1, number=3, seconds=0.2, last_at=machine_now())
    Timing.objects.create(kind="call", name="cloudflare", bound=1.0, number=2, seconds=1.5, last_at=machine_now())
    Timing.objects.create(kind="call", name="smartlead", bound=math.inf, number=1, seconds=70, last_at=machine_now())

    lines = metrics()

    assert "# TYPE gtm_call_seconds histogram" in lines
    for bound, below in (("0.1", 3), ("0.25", 3), ("1", 5), ("60", 5), ("+Inf", 5)):
        assert f'gtm_call_seconds_bucket{{platform="cloudflare",le="{bound}"}} {below}' in lines
    assert 'gtm_call_seconds_sum{platform="cloudflare"} 1.7' in lines
    assert 'gtm_call_seconds_count{platform="cloudflare"} 5' in lines
    assert 'gtm_call_seconds_bucket{platform="smartlead",le="60"} 0' in lines
    assert 'gtm_call_seconds_bucket{platform="smartlead",le="+Inf"} 1' in lines


@pytest.mark.django_db
def test_how_long_orders_records_and_mailboxes_take_comes_from_their_rows() -> None:
    new_world()
    run = paid(new_order())
    now = machine_now()
    run.steps.all().delete()
    Run.objects.filter(pk=run.pk).update(
        stack="workspace", state="done", paid_at=now - timedelta(days=3), finished_at=now
    )
    made = [
        ("records_seen", "d", 900),
        ("users", "m", 100),
        ("imap", "m", 40),
        ("users", "n", 20),
        ("limits", "m", 9999),
    ]
    domain, mailbox = run.provision.domains.all()[0], run.provision.mailboxes.all()[0]
    Step.objects.bulk_create(
        Step(
            run=run,
            student_id=run.student_id,
            key=key,
            position=0,
            item_key=item,
            domain=domain if item == "d" else None,
            mailbox=mailbox if item != "d" else None,
            state="completed",
            started_at=now - timedelta(seconds=ago),
            finished_at=now,
        )
        for key, item, ago in made
    )
    Step.objects.create(
        run=run, student_id=run.student_id, key="imap", position=0, item_key="n", mailbox=mailbox, state="waiting"
    )  # that mailbox is not there yet

    lines = metrics()

    assert 'gtm_setup_seconds_bucket{stack="workspace",le="172800"} 0' in lines
    assert 'gtm_setup_seconds_bucket{stack="workspace",le="345600"} 1' in lines
    assert 'gtm_propagation_seconds_bucket{stack="workspace",le="300"} 0' in lines
    assert 'gtm_propagation_seconds_bucket{stack="workspace",le="900"} 1' in lines
    assert 'gtm_mailbox_seconds_bucket{stack="workspace",le="60"} 0' in lines
    assert 'gtm_mailbox_seconds_count{stack="workspace"} 1' in lines
    assert 'gtm_mailbox_seconds_sum{stack="workspace"} 100.0' in lines


@pytest.mark.django_db
def test_the_success_rate_is_that_of_orders_of_several_domains() -> None:
    new_world()
    provision = paid(new_order()).provision
    first, second, third = provision.domains.exclude(state="spare")
    for domain, state in ((first, "active"), (second, "active"), (third, "failed")):
        domain.state = state
        domain.save()

    assert 'gtm_batch_domains{stack="zapmail",outcome="done"} 2' in metrics()
    assert 'gtm_batch_success_ratio{stack="zapmail"} 0.6667' in metrics()
    provision.domains.exclude(pk=third.pk).update(ordered_at=None)
    assert not [line for line in metrics() if line.startswith("gtm_batch_success_ratio{")]


@pytest.mark.django_db
@override_settings(SANDBOX=False, METRICS_TOKEN="of-the-collector")
def test_metrics_of_a_live_installation_need_the_token() -> None:
    allowed = RequestFactory().get("/", headers={"Authorization": "Bearer of-the-collector"})

    assert health.metrics(allowed).status_code == 200
    with pytest.raises(Http404):
        health.metrics(RequestFactory().get("/"))


@override_settings(SANDBOX=False, METRICS_TOKEN="")
def test_without_a_token_nobody_gets_metrics() -> None:
    with pytest.raises(Http404):
        health.metrics(RequestFactory().get("/", headers={"Authorization": "Bearer "}))
