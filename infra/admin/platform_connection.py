from __future__ import annotations

from django.contrib import admin

from infra.models import PlatformConnection
from provisioning.admin.base import ReadOnlyAdmin


@admin.register(PlatformConnection)
class PlatformConnectionAdmin(ReadOnlyAdmin):
    """Whose accounts students' orders work on, and who changed that when. Keys are shown nowhere."""

    list_display = ("student", "platform", "owner", "label", "state", "is_used", "problem", "checked_at", "ended_at")
    list_filter = ("platform", "owner", "state", "is_used", "problem")
    list_select_related = ("student",)
    search_fields = ("student__email", "label", "account")
    ordering = ("-created_at",)
    fields = (
        *("student", "platform", "owner", "label", "account", "state", "is_used", "problem", "scopes"),
        *("checked_at", "due_at", "failures", "created_at", "actor", "ended_at", "ended_by"),
    )
