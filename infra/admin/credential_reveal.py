from __future__ import annotations

from django.contrib import admin
from django.utils.translation import gettext_lazy as _

from infra.models import CredentialReveal
from provisioning.admin.base import ReadOnlyAdmin


@admin.register(CredentialReveal)
class CredentialRevealAdmin(ReadOnlyAdmin):
    """Who looked at which login, and when. The login itself is the student's."""

    list_display = ("created_at", "student", "kind", "address")
    list_select_related = ("student", "credential")
    search_fields = ("student__email",)
    fields = ("created_at", "student", "kind", "address")
    readonly_fields = ("created_at", "kind")

    @admin.display(description=_("login of"))
    def kind(self, row: CredentialReveal) -> str:
        return row.credential.kind
