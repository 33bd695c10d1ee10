"""The operator's questions, as filters of lists."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.contrib import admin
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from infra.models import OperationState, OperatorItem, RunState, StepState
from integrations.registry import PLATFORMS

from ..engine.outcomes import WaitsOn
from ..models import ACTIVE_RUN, Event, OperationItem, Run, Step
from ..stacks import STACKS

STUCK_AFTER = timedelta(hours=1)
START_WITHIN = timedelta(minutes=5)

HUMAN, STUCK, UNKNOWN, NOT_STARTED, FUNDS = "human", "stuck", "unknown", "not_started", "funds"
QUESTIONS = (
    (HUMAN, _("needs a human")),
    (STUCK, _("stuck for over an hour")),
    (UNKNOWN, _("outcome unknown")),
    (NOT_STARTED, _("paid, but not started")),
    (FUNDS, _("waiting for funds")),
)


def runs_asking(question: str) -> Q:
    """Return the condition under which a run is an answer to one of the questions."""
    steps = Step.objects.filter(run=OuterRef("pk"), state=StepState.WAITING)
    now = timezone.now()
    match question:
        case "human":
            item = OperatorItem.objects.filter(provision=OuterRef("provision"), resolved_at=None)
            asked = steps.filter(waits_on__in=[WaitsOn.OPERATOR, WaitsOn.STUDENT])
            return Q(state=RunState.FAILED) | Q(Exists(asked)) | Q(Exists(item))
        case "stuck":
            heard = Event.objects.filter(run=OuterRef("pk"), created_at__gt=now - STUCK_AFTER)
            return Q(state__in=ACTIVE_RUN, paid_at__lt=now - STUCK_AFTER) & ~Q(Exists(heard))
        case "unknown":
            items = OperationItem.objects.filter(operation__run=OuterRef("pk"), state=OperationState.UNKNOWN)
            return Q(Exists(items))
        case "not_started":
            return Q(state=RunState.QUEUED, started_at=None, paid_at__lt=now - START_WITHIN)
        case "funds":
            return Q(Exists(steps.filter(waits_on=WaitsOn.FUNDS)))
    return Q()


def runs_waiting_for(platform: str) -> Q:
    """Return the condition under which a run waits for a platform's answer."""
    waiting = Step.objects.filter(
        run=OuterRef("pk"), state=StepState.WAITING, waits_on__in=[WaitsOn.PLATFORM, WaitsOn.BUDGET]
    )
    asked = Q(pk__in=[])
    for stack in STACKS.values():
        asked |= Q(stack=stack.key) & Q(Exists(waiting.filter(key__in=stack.steps_asking(platform))))
    return Q(state__in=ACTIVE_RUN) & asked


class RunQuestion(admin.SimpleListFilter):
    """Runs by what an operator asks."""

    title = _("question")
    parameter_name = "question"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return list(QUESTIONS)

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(runs_asking(self.value() or ""))


class RunPlatform(admin.SimpleListFilter):
    """Runs by the platform that they wait for."""

    title = _("waiting on platform")
    parameter_name = "platform"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [(platform.slug, platform.slug) for platform in PLATFORMS]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(runs_waiting_for(self.value() or "")) if self.value() else queryset


class ProvisionQuestion(RunQuestion):
    """Orders by what an operator asks of their runs."""

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        question = self.value()
        if not question:
            return queryset
        asked = Q(pk__in=Run.objects.filter(runs_asking(question)).values("provision"))
        if question == NOT_STARTED:  # money arrived, and there is no run at all
            asked |= Q(payments__isnull=False, runs__isnull=True)
        if question == HUMAN:
            asked |= Q(
                pk__in=OperatorItem.objects.filter(resolved_at=None, provision__isnull=False).values("provision")
            )
        return queryset.filter(asked).distinct()


class ProvisionPlatform(RunPlatform):
    """Orders by the platform that they wait for."""

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if not self.value():
            return queryset
        return queryset.filter(pk__in=Run.objects.filter(runs_waiting_for(self.value() or "")).values("provision"))


class IsOpen(admin.SimpleListFilter):
    """Items that nobody has resolved; shown first, unless all are asked for."""

    title = _("resolved")
    parameter_name = "resolved"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("no", _("no")), ("yes", _("yes"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        match self.value():
            case "no":
                return queryset.filter(resolved_at=None)
            case "yes":
                return queryset.filter(resolved_at__isnull=False)
        return queryset
