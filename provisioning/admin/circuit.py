from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.contrib import admin
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from .. import actions
from ..models import Circuit
from .verbs import Plan, Verb, VerbAdmin


class Close(Verb):
    """Let calls through again."""

    name = "close"
    label = gettext_lazy("Close the circuit")
    permission = "provisioning.change_circuit"

    def refusal(self, row: Circuit) -> str:
        return "" if row.is_open else _("Calls to %(platform)s are not stopped.") % {"platform": row.platform}

    def plan(self, row: Circuit) -> Plan:
        return Plan(
            question=_("Let calls to %(platform)s through again?") % {"platform": row.platform},
            button=_("Close the circuit"),
            will=[_("Runs that wait for it try again at once.")],
            will_not=[_("What was done before is not repeated.")],
        )

    def perform(self, row: Circuit, data: Mapping[str, Any], *, actor: str) -> str:
        actions.close_circuit(platform=row.platform, actor=actor, reason=data["reason"])
        return _("Calls to %(platform)s go through again.") % {"platform": row.platform}


@admin.register(Circuit)
class CircuitAdmin(VerbAdmin):
    list_display = ("platform", "is_open", "reason", "failures", "opened_at", "try_again_at")
    verbs = (Close(),)
