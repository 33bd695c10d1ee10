from __future__ import annotations

from django.contrib import admin

from infra.models import AuthenticationTest
from provisioning.admin.base import ReadOnlyAdmin


@admin.register(AuthenticationTest)
class AuthenticationTestAdmin(ReadOnlyAdmin):
    """Test messages of mailboxes, what became of them and what they showed."""

    list_display = ("mailbox", "state", "code", "actor", "asked_at", "sent_at", "received_at", "ended_at")
    list_filter = ("state", "code")
    list_select_related = ("mailbox",)
    search_fields = ("mailbox__address", "actor")
    ordering = ("-created_at",)
