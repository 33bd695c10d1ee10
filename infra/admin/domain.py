from __future__ import annotations

from django.contrib import admin
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from infra.models import Domain
from provisioning.admin.base import ReadOnlyAdmin, state_means


@admin.register(Domain)
class DomainAdmin(ReadOnlyAdmin):
    list_display = (
        "name",
        "provision",
        "student",
        "state",
        "origin",
        "price_cents",
        "ordered_at",
        "bought_at",
        "expires_at",
    )
    list_filter = ("state", "origin", ("bought_at", admin.EmptyFieldListFilter))
    list_select_related = ("provision", "student")
    search_fields = ("name", "provision__reference", "student__email")
    readonly_fields = ("means",)

    @admin.display(description=_("what this means"))
    def means(self, row: Domain) -> str | SafeString:
        return state_means(row)
