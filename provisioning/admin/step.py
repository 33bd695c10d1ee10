from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from django import forms
from django.contrib import admin
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from infra.secret import Secret

from .. import actions
from ..engine.outcomes import NewCredential
from ..models import Step
from ..stacks import pipeline_of
from .base import link_to, state_means
from .run import done_already, item_of, label_of
from .verbs import Plan, ReasonForm, Verb, VerbAdmin


class Skip(Verb):
    """Go on without an item."""

    name = "skip"
    label = gettext_lazy("Skip this item")
    permission = "provisioning.change_run"

    def refusal(self, row: Step) -> str:
        return actions.why_no_skip(row.run, row)

    def plan(self, row: Step) -> Plan:
        will = [
            _("%(item)s is set aside, and nothing more is tried for it.") % {"item": item_of(row)},
            _("The run goes on with the rest and ends “active, with exceptions”."),
        ]
        if row.domain:
            will.append(_("The mailboxes of this domain are set aside with it."))
        return Plan(
            question=_("Go on without %(item)s?") % {"item": item_of(row)},
            button=_("Skip"),
            will=will,
            will_not=[
                _("Nothing is given back or deleted at the platform."),
                _("No money is refunded by this."),
            ],
        )

    def perform(self, row: Step, data: Mapping[str, Any], *, actor: str) -> str:
        actions.skip_item(run=row.run, step=row, actor=actor, reason=data["reason"])
        return _("%(item)s is set aside; the run goes on.") % {"item": item_of(row)}


class _Indented(json.JSONEncoder):
    """One fact a line, so that its value can be typed in."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{**options, "indent": 2})


class ByHandForm(ReasonForm):
    """The evidence, and the facts that the step would have noted."""

    facts = forms.JSONField(
        label=gettext_lazy("Facts"),
        encoder=_Indented,
        required=False,
        help_text=gettext_lazy("What the step would have noted, as the platform shows it. Later steps read it."),
        widget=forms.Textarea(attrs={"rows": 6, "class": "vLargeTextField", "spellcheck": "false"}),
    )
    field_order = ("facts", "reason")

    def __init__(self, step: Step, data: Mapping[str, Any] | None = None) -> None:
        spec = pipeline_of(step.run).step(step.key)
        super().__init__(data, initial={"facts": dict.fromkeys(spec.notes, "")})
        self.fields["reason"].label = _("Evidence")
        self.fields["reason"].help_text = _("What you did and saw at the platform. Kept with your name.")
        if spec.login:
            plain = {"class": "vTextField", "autocomplete": "off"}
            self.fields["login"] = forms.CharField(
                label=_("Login that you made"), max_length=320, widget=forms.TextInput(attrs=plain)
            )
            self.fields["password"] = forms.CharField(
                label=_("Its password"),
                max_length=200,
                strip=False,
                help_text=_("Stored encrypted; it is not shown here again."),
                widget=forms.PasswordInput(attrs={"class": "vTextField", "autocomplete": "new-password"}),
            )

    def clean_facts(self) -> dict[str, Any]:
        facts = self.cleaned_data["facts"] or {}
        if not isinstance(facts, dict):
            raise forms.ValidationError(_('One JSON object, please: {"name": "value"}.'))
        return facts


class DoneByHand(Verb):
    """A person did the step at the platform."""

    name = "by_hand"
    label = gettext_lazy("Mark done by hand")
    permission = "provisioning.change_run"

    def refusal(self, row: Step) -> str:
        return actions.why_not_by_hand(row.run, row)

    def make_form(self, row: Step, data: Mapping[str, Any] | None = None) -> forms.Form:
        return ByHandForm(row, data)

    def plan(self, row: Step) -> Plan:
        label = label_of(row.run, row)
        return Plan(
            question=_("Did you do this at the platform yourself: %(step)s, for %(item)s?")
            % {"step": label, "item": item_of(row)},
            button=_("Mark as done"),
            will=[_("The step counts as proven by you, and the run goes on behind it.")],
            will_not=[_("The machine will not do this step, nor check it."), *done_already(row.run)],
        )

    def perform(self, row: Step, data: Mapping[str, Any], *, actor: str) -> str:
        credential, kind = None, pipeline_of(row.run).step(row.key).login
        if kind:
            credential = NewCredential(kind, data["login"], Secret(data["password"]))
        actions.mark_done_by_hand(
            run=row.run, step=row, facts=data["facts"], credential=credential, actor=actor, reason=data["reason"]
        )
        return _("%(step)s counts as done; the run goes on.") % {"step": label_of(row.run, row)}


@admin.register(Step)
class StepAdmin(VerbAdmin):
    list_display = ("key", "item", "run", "state", "waits_on", "why", "next_attempt_at", "attempts", "errors")
    list_filter = ("state", "waits_on", "key")
    list_select_related = ("run", "domain", "mailbox")
    search_fields = ("run__provision__reference", "domain__name", "mailbox__address")
    fields = (
        "run_link",
        "label",
        "item",
        "state",
        "means",
        "waits_on",
        "why",
        "next_attempt_at",
        "opened_at",
        "attempts",
        "errors",
        "started_at",
        "finished_at",
        "failure_code",
        "failure_sentence",
        "facts",
    )
    readonly_fields = ("run_link", "label", "item", "means")
    verbs = (Skip(), DoneByHand())

    @admin.display(description=gettext_lazy("run"))
    def run_link(self, row: Step) -> str | SafeString:
        return link_to(row.run, row.run.provision.reference)

    @admin.display(description=gettext_lazy("step"))
    def label(self, row: Step) -> str:
        return label_of(row.run, row)

    @admin.display(description=gettext_lazy("item"))
    def item(self, row: Step) -> str:
        return item_of(row)

    @admin.display(description=gettext_lazy("what this means"))
    def means(self, row: Step) -> str | SafeString:
        return state_means(row)
