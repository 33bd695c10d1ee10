from __future__ import annotations

from django.contrib import admin
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from infra.models import Mailbox
from provisioning.admin.base import ReadOnlyAdmin, state_means


@admin.register(Mailbox)
class MailboxAdmin(ReadOnlyAdmin):
    list_display = ("address", "provision", "student", "state", "warmup_started_at", "bad_since", "reason")
    list_filter = ("state", ("bad_since", admin.EmptyFieldListFilter))
    list_select_related = ("provision", "student")
    search_fields = ("address", "provision__reference", "student__email")
    readonly_fields = ("means",)

    @admin.display(description=_("what this means"))
    def means(self, row: Mailbox) -> str | SafeString:
        return state_means(row)
