from __future__ import annotations

from django.contrib import admin

from infra.models import Measurement
from provisioning.admin.base import ReadOnlyAdmin


@admin.register(Measurement)
class MeasurementAdmin(ReadOnlyAdmin):
    """When each order's figures were read, and why the last look failed."""

    list_display = ("provision", "student", "looked_at", "due_at", "failures", "problem", "leads", "leads_at")
    list_filter = ("problem",)
    list_select_related = ("provision", "student")
    search_fields = ("provision__reference", "student__email")
    ordering = ("-failures", "looked_at")
