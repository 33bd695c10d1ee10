from __future__ import annotations

from django.contrib import admin
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from ..models import Operation, OperationItem
from .base import ReadOnlyAdmin, ReadOnlyInline, link_to, state_means


class Items(ReadOnlyInline):
    """What one request asks for, each with its own state."""

    model = OperationItem
    fields = ("natural_key", "state", "evidence", "absent_reads", "created_at", "updated_at")
    readonly_fields = fields
    show_change_link = False


@admin.register(Operation)
class OperationAdmin(ReadOnlyAdmin):
    """Attempts. What the platforms answered, word for word, is shown to nobody: it may hold passwords."""

    list_display = ("created_at", "platform", "verb", "state", "status", "step_key", "run", "sentence", "settled_at")
    list_filter = ("state", "platform", "verb")
    list_select_related = ("run",)
    search_fields = ("run__provision__reference", "student__email", "items__natural_key", "request_id")
    fields = (
        "run_link",
        "step_key",
        "platform",
        "verb",
        "state",
        "means",
        "attempt",
        "proof",
        "repeatable",
        "price_ceilings",
        "target",
        "send_before",
        "absent_after",
        "status",
        "request_id",
        "sentence",
        "created_at",
        "settled_at",
    )
    readonly_fields = ("run_link", "means", "created_at")
    inlines = (Items,)

    @admin.display(description=_("run"))
    def run_link(self, row: Operation) -> str | SafeString:
        return link_to(row.run, row.run.provision.reference)

    @admin.display(description=_("what this means"))
    def means(self, row: Operation) -> str | SafeString:
        return state_means(row)
