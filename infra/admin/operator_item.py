from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.contrib import admin
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from infra.models import OperatorItem
from provisioning import actions
from provisioning.admin.base import link_to
from provisioning.admin.filters import IsOpen
from provisioning.admin.verbs import Plan, Verb, VerbAdmin


class Resolve(Verb):
    """Somebody has dealt with it."""

    name = "resolve"
    label = gettext_lazy("Resolve")
    permission = "infra.change_operatoritem"

    def refusal(self, row: OperatorItem) -> str:
        return _("This was resolved already.") if row.resolved_at else ""

    def plan(self, row: OperatorItem) -> Plan:
        return Plan(
            question=row.sentence,
            button=_("Resolve"),
            will=[_("The item is closed with your reason.")],
            will_not=[_("Nothing is retried by this: for that, open the run and its verbs.")],
        )

    def perform(self, row: OperatorItem, data: Mapping[str, Any], *, actor: str) -> str:
        actions.resolve_operator_item(item=row, actor=actor, reason=data["reason"])
        return _("The item is resolved.")


@admin.register(OperatorItem)
class OperatorItemAdmin(VerbAdmin):
    """What needs a human."""

    list_display = ("created_at", "kind", "sentence", "provision", "resolved_at", "resolution")
    list_filter = (IsOpen, "kind")
    list_select_related = ("provision",)
    search_fields = ("sentence", "provision__reference", "provision__student__email")
    fields = ("created_at", "kind", "sentence", "provision_link", "run", "details", "resolved_at", "resolution")
    readonly_fields = ("created_at", "provision_link", "run")
    verbs = (Resolve(),)

    @admin.display(description=gettext_lazy("order"))
    def provision_link(self, row: OperatorItem) -> str | SafeString:
        return link_to(row.provision)

    @admin.display(description=gettext_lazy("run, with its verbs"))
    def run(self, row: OperatorItem) -> str | SafeString:
        run = row.provision.runs.order_by("-created_at").first() if row.provision else None
        return link_to(run, row.provision.reference if row.provision else "")
