from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from infra.models import SpfFlattening
from provisioning.admin.base import ReadOnlyAdmin


class SendersFilter(admin.SimpleListFilter):
    """Which copies of addresses are out of date."""

    title = _("senders")
    parameter_name = "senders"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("changed", _("have changed their addresses")), ("same", _("say the same"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[SpfFlattening]) -> QuerySet[SpfFlattening]:
        match self.value():
            case "changed":
                return queryset.exclude(drift={})
            case "same":
                return queryset.filter(drift={})
        return queryset


@admin.register(SpfFlattening)
class SpfFlatteningAdmin(ReadOnlyAdmin):
    """SPF records with addresses in place of names: what stood there before, and what its senders say by now."""

    list_display = ("domain", "student", "lookups_before", "lookups_after", "written_at", "looked_at", "ended_at")
    list_filter = (("ended_at", admin.EmptyFieldListFilter), SendersFilter)
    list_select_related = ("domain", "student")
    search_fields = ("domain__name", "student__email")
    ordering = ("-written_at",)
