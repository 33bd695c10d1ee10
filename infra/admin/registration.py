from __future__ import annotations

from django.contrib import admin

from infra.models import Registration
from provisioning.admin.base import ReadOnlyAdmin


@admin.register(Registration)
class RegistrationAdmin(ReadOnlyAdmin):
    """Names that students want registered at GoDaddy, and what they agreed to. Who registers is shown nowhere."""

    list_display = ("name", "student", "provision", "state", "problem", "price_cents", "currency", "agreed_at")
    list_filter = ("state", "problem")
    list_select_related = ("student", "provision")
    search_fields = ("name", "student__email")
    ordering = ("-created_at",)
    fields = (
        *("name", "student", "provision", "state", "problem", "price_cents", "renewal_cents", "currency", "agreements"),
        *("contact_source", "asks_registrant", "answered_at", "due_at", "failures", "agreed_at", "agreed_from"),
    )
