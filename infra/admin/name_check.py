from __future__ import annotations

from django.contrib import admin

from infra.models import NameCheck
from provisioning.admin.base import ReadOnlyAdmin


@admin.register(NameCheck)
class NameCheckAdmin(ReadOnlyAdmin):
    """What the platforms said of names, and which names are waited for."""

    list_display = ("name", "platform", "answer", "price_cents", "renewal_cents", "checked_at", "wanted_at")
    list_filter = ("answer", ("wanted_at", admin.EmptyFieldListFilter), "platform")
    search_fields = ("name",)
    exclude = ("wanted_by",)
