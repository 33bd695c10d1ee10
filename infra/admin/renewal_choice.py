from __future__ import annotations

from django.contrib import admin

from infra.models import RenewalChoice
from provisioning.admin.base import ReadOnlyAdmin


@admin.register(RenewalChoice)
class RenewalChoiceAdmin(ReadOnlyAdmin):
    """What students want of their domains when a paid year ends; the newest of a domain counts."""

    list_display = ("created_at", "domain", "student", "choice", "actor", "ends_at", "price_cents")
    list_filter = ("choice",)
    list_select_related = ("domain", "student")
    search_fields = ("domain__name", "student__email", "domain__provision__reference")
