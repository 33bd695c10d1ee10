from __future__ import annotations

from django.contrib import admin

from infra.models import Mail
from provisioning.admin.base import ReadOnlyAdmin


@admin.register(Mail)
class MailAdmin(ReadOnlyAdmin):
    """The outbox. Rows hold no text and no link: both are made when a mail is sent."""

    list_display = ("created_at", "kind", "to", "provision", "sent_at", "attempts", "error")
    list_filter = (("sent_at", admin.EmptyFieldListFilter), "kind")
    list_select_related = ("provision",)
    search_fields = ("to", "provision__reference", "kind")
    readonly_fields = ("created_at",)
