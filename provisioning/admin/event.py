from __future__ import annotations

from django.contrib import admin

from ..models import Event
from .base import ReadOnlyAdmin


@admin.register(Event)
class EventAdmin(ReadOnlyAdmin):
    list_display = ("created_at", "provision", "kind", "step_key", "item", "from_state", "to_state", "actor", "reason")
    list_filter = ("kind", "to_state")
    list_select_related = ("provision",)
    search_fields = ("provision__reference", "student__email", "item", "actor")
