from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import Prefetch, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from infra.models import StepState

from .. import actions, entering
from ..engine.specs import Scope
from ..models import ACTIVE_RUN, OPEN_STEP, Event, Operation, OperationItem, Run, Step
from ..stacks import pipeline_of
from .base import ReadOnlyInline, link_to, state_means
from .filters import RunPlatform, RunQuestion
from .verbs import Plan, Verb, VerbAdmin


class Retry(Verb):
    """Try what failed again; what is proven is not repeated."""

    name = "retry"
    label = gettext_lazy("Retry failed step")
    permission = "provisioning.change_run"

    def refusal(self, row: Run) -> str:
        return actions.why_no_retry(row)

    def plan(self, row: Run) -> Plan:
        rows = actions.retryable(row)
        will = [
            _("%(step)s is tried again: %(item)s") % {"step": label_of(row, step), "item": item_of(step)}
            for step in rows
        ]
        skipped = row.steps.filter(
            state=StepState.SKIPPED, item_key__in=[step.item_key for step in rows if step.item_key]
        )
        if count := skipped.count():
            will.append(
                ngettext(
                    "%(count)d step that was left out with it follows.",
                    "%(count)d steps that were left out with it follow.",
                    count,
                )
                % {"count": count}
            )
        return Plan(
            question=_("Try the failed steps of %(reference)s again?") % {"reference": row.provision.reference},
            button=_("Retry"),
            will=will,
            will_not=done_already(row),
        )

    def perform(self, row: Run, data: Mapping[str, Any], *, actor: str) -> str:
        count = actions.retry_failed_step(run=row, actor=actor, reason=data["reason"])
        return ngettext("%(count)d step is tried again.", "%(count)d steps are tried again.", count) % {"count": count}


class Enter(Verb):
    """Enter what a person made at a platform."""

    name = "enter"
    label = gettext_lazy("Enter what was made by hand")
    permission = "provisioning.change_run"

    def refusal(self, row: Run) -> str:
        return "" if entering.asked(row) else _("Nothing has to be entered at the moment.")

    def make_form(self, row: Run, data: Mapping[str, Any] | None = None) -> forms.Form:
        return entering.EnterForm(row, data)

    def plan(self, row: Run) -> Plan:
        return Plan(
            question=_("What did you make for %(reference)s at the platform?") % {"reference": row.provision.reference},
            button=_("Enter"),
            will=[_("Each line is checked; then the run goes on with it, and proves it at the platform.")],
            will_not=[_("Nothing is made at the platform by this. Lines without a value are left for later.")],
        )

    def perform(self, row: Run, data: Mapping[str, Any], *, actor: str) -> str:
        count = sum(entering.enter(run=row, key=key, text=text, actor=actor) for key, text in data.items() if text)
        return ngettext("%(count)d line is entered.", "%(count)d lines are entered.", count) % {"count": count}


def label_of(run: Run, step: Step) -> str:
    """Return the operator's words for a step."""
    try:
        return pipeline_of(run).step(step.key).label
    except KeyError:  # a stack that is gone
        return step.key


def item_of(step: Step) -> str:
    """Return the domain or mailbox of a row, or words for the whole order."""
    return str(step.domain or step.mailbox or _("the whole order"))


def done_already(run: Run) -> list[str]:
    """Return what is proven and will not happen again, e.g. "2 of 3 domains: bought"."""
    rows: dict[str, list[str]] = {}
    for key, state in run.steps.values_list("key", "state"):
        rows.setdefault(key, []).append(state)
    found = []
    for spec in pipeline_of(run).steps:
        states = rows.get(spec.key, [])
        done = states.count(StepState.COMPLETED)
        if done:
            found.append(_sentence(spec.key, spec.label, spec.scope, done, len(states)))
    return found


def _sentence(key: str, label: str, scope: Scope, done: int, total: int) -> str:
    values = {"done": done, "total": total, "label": label}
    if key == "buy_domains":
        return _("%(done)d of %(total)d domains are bought and will not be bought again.") % values
    if scope is Scope.DOMAIN:
        return _("%(label)s: done for %(done)d of %(total)d domains, not repeated for them.") % values
    if scope is Scope.MAILBOX:
        return _("%(label)s: done for %(done)d of %(total)d mailboxes, not repeated for them.") % values
    return _("%(label)s: done, not repeated.") % values


class StepRows(ReadOnlyInline):
    """The steps of a run, with what may be done about each."""

    model = Step
    fields = ("label", "item", "state", "waits_on", "why", "next_attempt_at", "attempts", "failure_sentence", "verbs")
    readonly_fields = fields
    ordering = ("position", "created_at")
    show_change_link = False

    def get_queryset(self, request: HttpRequest) -> QuerySet[Step]:
        return super().get_queryset(request).select_related("run", "domain", "mailbox")

    @admin.display(description=gettext_lazy("step"))
    def label(self, row: Step) -> str | SafeString:
        return link_to(row, label_of(row.run, row))

    @admin.display(description=gettext_lazy("item"))
    def item(self, row: Step) -> str:
        return item_of(row)

    @admin.display(description=gettext_lazy("verbs"))
    def verbs(self, row: Step) -> str | SafeString:
        # By the row alone: the pages of the verbs ask the actions, which know more.
        is_open = row.state in OPEN_STEP and row.run.state in ACTIVE_RUN
        has_failed = row.state == StepState.FAILED and row.failure_code != "name_lost"
        names = [
            *([("skip", _("skip"))] if is_open and row.item_key else []),
            *([("by_hand", _("done by hand"))] if is_open or has_failed else []),
        ]
        hrefs = ((reverse(f"admin:provisioning_step_{name}", args=[row.pk]), words) for name, words in names)
        return format_html_join(" · ", '<a href="{}">{}</a>', hrefs)


class OperationRows(ReadOnlyInline):
    """The attempts: every request that was to change something outside, with its things and what became of them."""

    model = Operation
    verbose_name_plural = gettext_lazy("attempts")
    fields = ("request", "step_key", "attempt", "state", "items_said", "status", "sentence", "created_at", "settled_at")
    readonly_fields = fields
    show_change_link = False

    def get_queryset(self, request: HttpRequest) -> QuerySet[Operation]:
        return super().get_queryset(request).prefetch_related(Prefetch("items", OperationItem.objects.all()))

    @admin.display(description=gettext_lazy("request"))
    def request(self, row: Operation) -> str | SafeString:
        return link_to(row)

    @admin.display(description=gettext_lazy("items"))
    def items_said(self, row: Operation) -> SafeString:
        found = ((item.natural_key, item.get_state_display()) for item in row.items.all())
        return format_html_join(SafeString("<br>"), "{}: {}", found)


class EventRows(ReadOnlyInline):
    """The history of a run, newest first."""

    model = Event
    fields = ("created_at", "kind", "step_key", "item", "from_state", "to_state", "sentence", "actor", "reason")
    readonly_fields = fields
    show_change_link = False


@admin.register(Run)
class RunAdmin(VerbAdmin):
    list_display = (
        "provision",
        "student",
        "kind",
        "state",
        "waits_on",
        "why",
        "next_attempt_at",
        "paid_at",
        "finished_at",
    )
    list_filter = (RunQuestion, RunPlatform, "state", "kind", "stack")
    list_select_related = ("provision", "student")
    search_fields = ("provision__reference", "student__email", "provision__domains__name")
    ordering = ("-paid_at",)
    fields = (
        "provision_link",
        "student",
        "kind",
        "stack_said",
        "state",
        "means",
        "waits_on",
        "why",
        "next_attempt_at",
        "lease_until",
        "holder",
        "wakeups",
        "crashes",
        "paid_at",
        "started_at",
        "finished_at",
        "failure_code",
        "failure_sentence",
        "order",
    )
    readonly_fields = ("provision_link", "stack_said", "means")
    inlines = (StepRows, OperationRows, EventRows)
    verbs = (Retry(), Enter())

    @admin.display(description=gettext_lazy("order"))
    def provision_link(self, row: Run) -> str | SafeString:
        return link_to(row.provision)

    @admin.display(description=gettext_lazy("stack"))
    def stack_said(self, row: Run) -> str:
        return format_html("{}, version {}", row.stack, row.stack_version)

    @admin.display(description=gettext_lazy("what this means"))
    def means(self, row: Run) -> str | SafeString:
        return state_means(row)
