"""Addresses for machines: is the process up, can it work, what do the rows say."""

from __future__ import annotations

import hmac
from collections.abc import Iterator

from django.conf import settings
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from django.db.models import Count, Max, Min, Model, Q
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from billing.models import Checkout, Refund, WebhookEvent
from infra.clock import machine_now
from infra.models import Domain, Mail, Mailbox, OperatorItem, Provision
from infra.rls import acting_as
from provisioning.models import Circuit, Heartbeat, Operation, Permit, Run, Step

from . import histograms

WORKER_SILENT_SECONDS = 60


@never_cache
@require_safe
def healthz(request: HttpRequest) -> HttpResponse:
    """The process is up. Asks nobody else."""
    return JsonResponse({"status": "ok"})


@never_cache
@require_safe
def readyz(request: HttpRequest) -> HttpResponse:
    """The database answers and is migrated, and a worker has been heard of lately; 503 with the reason otherwise."""
    problems: list[str] = []
    try:
        with acting_as("worker"):
            problems += _pending_migrations()
            problems += [] if problems else _silent_worker()
    except DatabaseError:
        problems.append("the database does not answer")
    state = {"status": "not ready", "problems": problems} if problems else {"status": "ok"}
    response = JsonResponse(state, status=503 if problems else 200)
    response._has_been_logged = True  # type: ignore[attr-defined]  # asked every few seconds: not an error each time
    return response


def _pending_migrations() -> list[str]:
    executor = MigrationExecutor(connection)
    pending = executor.migration_plan(executor.loader.graph.leaf_nodes())
    return [f"{len(pending)} migrations are pending"] if pending else []


def _silent_worker() -> list[str]:
    age = _heartbeat_age()
    if age is None:
        return ["no worker has been heard of"]
    return [f"no worker has been heard of for {age:.0f} s"] if age > WORKER_SILENT_SECONDS else []


def _heartbeat_age() -> float | None:
    last = Heartbeat.objects.aggregate(last=Max("at"))["last"]
    return None if last is None else max((machine_now() - last).total_seconds(), 0.0)


# ---- metrics: computed from rows, so they are true however many processes there are ----------------------------------

COUNTED: tuple[tuple[str, type[Model]], ...] = (
    ("provisions", Provision),
    ("domains", Domain),
    ("mailboxes", Mailbox),
    ("runs", Run),
    ("steps", Step),
    ("operations", Operation),
    ("checkouts", Checkout),
    ("refunds", Refund),
    ("webhook_events", WebhookEvent),
)


@never_cache
@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """Counts and histograms in Prometheus' text format. In live mode for those who know METRICS_TOKEN; 404 to others."""
    if not (_knows_token(request) or settings.SANDBOX):
        raise Http404
    with acting_as("worker"):
        lines = [*_states(), *_gauges(), *histograms.lines()]
    return HttpResponse("\n".join(lines) + "\n", content_type="text/plain; version=0.0.4; charset=utf-8")


def _knows_token(request: HttpRequest) -> bool:
    given = request.headers.get("Authorization", "").encode()
    return bool(settings.METRICS_TOKEN) and hmac.compare_digest(given, f"Bearer {settings.METRICS_TOKEN}".encode())


def _states() -> Iterator[str]:
    for name, model in COUNTED:
        yield f"# TYPE gtm_{name} gauge"
        rows = model._default_manager.order_by().values_list("state").annotate(Count("pk")).order_by("state")
        for state, count in rows:
            yield f'gtm_{name}{{state="{state}"}} {count}'


def _gauges() -> Iterator[str]:
    yield from _gauge("mails_unsent", Mail.objects.filter(sent_at=None).count())
    yield from _gauge("operator_items_open", OperatorItem.objects.filter(resolved_at=None).count())
    yield from _gauge("circuits_open", Circuit.objects.filter(is_open=True).count())
    oldest = WebhookEvent.objects.filter(state="received").aggregate(at=Min("created_at"))["at"]
    waiting = max((machine_now() - oldest).total_seconds(), 0.0) if oldest else 0
    yield from _gauge("webhook_oldest_seconds", round(waiting, 3))
    age = _heartbeat_age()
    if age is not None:
        yield from _gauge("worker_heartbeat_age_seconds", round(age, 3))
    yield "# TYPE gtm_permits gauge"
    budgets = Permit.objects.values_list("budget").annotate(
        slots=Count("pk"), unused=Count("pk", filter=Q(used_at=None))
    )
    for budget, slots, unused in budgets.order_by("budget"):
        yield f'gtm_permits{{budget="{budget}",kind="slots"}} {slots}'
        yield f'gtm_permits{{budget="{budget}",kind="never_used"}} {unused}'


def _gauge(name: str, value: float) -> Iterator[str]:
    yield f"# TYPE gtm_{name} gauge"
    yield f"gtm_{name} {value}"
