from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import Model
from django.http import HttpRequest
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from infra import flags
from infra.models import Flag
from provisioning import actions
from provisioning.admin.base import BaseModelForm
from provisioning.admin.verbs import HasVerbs, Plan, ReasonForm, Verb, actor_of
from provisioning.stacks import STACKS, platforms

KILL_SWITCH = "purchases"


def is_kill_switch(flag: Flag) -> bool:
    """Tell whether a flag is one that stops spending: thrown and released by verbs, never edited."""
    return flag.key.partition(":")[0] == KILL_SWITCH


class PurchasesForm(ReasonForm):
    """Where, and why."""

    platform = forms.ChoiceField(
        label=gettext_lazy("Where"),
        required=False,
        choices=[
            ("", gettext_lazy("everywhere")),
            *((slug, slug) for slug in platforms()),
        ],
    )
    field_order = ("platform", "reason")


class Pause(Verb):
    """The kill switch."""

    name = "pause"
    label = gettext_lazy("Pause purchases")
    permission = "infra.change_flag"
    form = PurchasesForm

    def plan(self, row: Any) -> Plan:
        return Plan(
            question=_("Stop everything that costs money?"),
            button=_("Pause purchases"),
            will=[
                _("From the next call on, nothing is bought: no domain, no mailbox slot. Runs wait there."),
                _(
                    "Students go on filling in their orders, and may pay; to stop that too, switch the flag “orders” off."
                ),
            ],
            will_not=[_("A purchase that is under way at this moment is not called back.")],
        )

    def perform(self, row: Any, data: Mapping[str, Any], *, actor: str) -> str:
        actions.pause_purchases(paused=True, platform=data["platform"], actor=actor, reason=data["reason"])
        return _("Purchases are paused.")


class Release(Verb):
    """Let purchases go on."""

    name = "release"
    label = gettext_lazy("Release purchases")
    permission = "infra.change_flag"

    def refusal(self, row: Flag) -> str:
        if not is_kill_switch(row):
            return _("This flag stops no purchases.")
        return "" if row.phase == Flag.Phase.OFF else _("Purchases are not paused.")

    def plan(self, row: Flag) -> Plan:
        return Plan(
            question=_("Let purchases go on (%(key)s)?") % {"key": row.key},
            button=_("Release purchases"),
            will=[_("Runs that wait for this go on at once, where they stopped.")],
            will_not=[_("What was bought before is not bought again.")],
        )

    def perform(self, row: Flag, data: Mapping[str, Any], *, actor: str) -> str:
        platform = row.key.partition(":")[2]
        actions.pause_purchases(paused=False, platform=platform, actor=actor, reason=data["reason"])
        return _("Purchases go on.")


class FlagForm(BaseModelForm):
    """A flag of the rollout."""

    class Meta:
        model = Flag
        fields = ("key", "phase", "named", "first_count")
        help_texts = {"key": gettext_lazy("“orders” for all new orders, “stack:zapmail” for those of one stack.")}

    def clean_key(self) -> str:
        key = str(self.cleaned_data["key"]).strip().lower()
        known = {flags.ORDERS, *(flags.stack_key(stack) for stack in STACKS)}
        if key.partition(":")[0] == KILL_SWITCH:
            raise forms.ValidationError(_("Purchases are paused and released by the buttons of the list."))
        if key not in known:
            raise forms.ValidationError(
                _("Nothing asks for this flag. Known: %(keys)s.") % {"keys": ", ".join(sorted(known))}
            )
        return key

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        if data.get("phase") == Flag.Phase.NAMED and not data.get("named"):
            self.add_error("named", _("Name at least one student or cohort."))
        if data.get("phase") == Flag.Phase.FIRST and not data.get("first_count"):
            self.add_error("first_count", _("How many orders?"))
        return data


@admin.register(Flag)
class FlagAdmin(HasVerbs):
    """Who may order, and the kill switch. Off never hurts what is being built."""

    form = FlagForm
    actions = None
    list_display = ("key", "phase", "stopped_at", "stopped_reason", "updated_at")
    fields = ("key", "phase", "named", "first_count", "stopped_at", "stopped_reason")
    readonly_fields = ("stopped_at", "stopped_reason")
    list_verbs = (Pause(),)
    verbs = (Release(),)

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        kill_switch = isinstance(obj, Flag) and is_kill_switch(obj)
        return super().has_change_permission(request, obj) and not kill_switch

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        kill_switch = isinstance(obj, Flag) and is_kill_switch(obj)
        return super().has_delete_permission(request, obj) and not kill_switch

    def save_model(self, request: HttpRequest, obj: Flag, form: Any, change: bool) -> None:
        flags.set_phase(flag=obj, actor=actor_of(request))
