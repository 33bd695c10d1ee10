from __future__ import annotations

from django.contrib import admin

from infra.models import OrderLine
from provisioning.admin.base import ReadOnlyAdmin


@admin.register(OrderLine)
class OrderLineAdmin(ReadOnlyAdmin):
    """What students paid for, and what goes back to them."""

    list_display = ("created_at", "provision", "kind", "domain", "state", "amount_cents", "currency", "reason")
    list_filter = ("state", "kind")
    list_select_related = ("provision", "domain")
    search_fields = ("provision__reference", "student__email", "domain__name")
