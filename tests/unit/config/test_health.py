"""What machines are told."""

from __future__ import annotations

import json
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
from provisioning.models import Heartbeat

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
