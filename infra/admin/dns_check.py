from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from infra.models import DnsCheck, DnsRecordState
from provisioning.admin.base import ReadOnlyAdmin


class RecordsFilter(admin.SimpleListFilter):
    """Which domains have records that are not as they should be."""

    title = _("records")
    parameter_name = "records"
    STATES = (DnsRecordState.DRIFTED, DnsRecordState.FAILED, DnsRecordState.PROPAGATING)

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(str(one), str(one.label)) for one in self.STATES]

    def queryset(self, request: HttpRequest, queryset: QuerySet[DnsCheck]) -> QuerySet[DnsCheck]:
        wanted = [one for one in self.STATES if one == self.value()]
        return queryset.filter(Q(records__contains=[{"state": str(wanted[0])}])) if wanted else queryset


@admin.register(DnsCheck)
class DnsCheckAdmin(ReadOnlyAdmin):
    """What each domain's records looked like when they were looked at last, and when that is done again."""

    list_display = ("domain", "provision", "student", "as_expected", "looked_at", "due_at", "failures", "problem")
    list_filter = (RecordsFilter, "problem")
    list_select_related = ("domain", "provision", "student")
    search_fields = ("domain__name", "provision__reference", "student__email")
    ordering = ("-failures", "looked_at")
    readonly_fields = ("as_expected",)

    @admin.display(description=_("as they should be"))
    def as_expected(self, row: DnsCheck) -> str:
        good = sum(one.get("state") == DnsRecordState.PROPAGATED for one in row.records)
        return f"{good} / {len(row.records)}"
