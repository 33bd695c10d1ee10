"""Money rows for the operator: to read, not to write. What can be done about them is done by verbs elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.contrib import admin
from django.db.models import Model
from django.http import HttpRequest

from .models import Checkout, Payment, Refund, WebhookEvent

# The stubs know what ModelAdmin is an admin of; Django 5.2 itself cannot be subscripted.
if TYPE_CHECKING:
    BaseAdmin = admin.ModelAdmin[Model]
else:
    BaseAdmin = admin.ModelAdmin


class ReadOnlyAdmin(BaseAdmin):
    """Machine-written rows: nobody adds, changes or deletes them by hand."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


@admin.register(Checkout)
class CheckoutAdmin(ReadOnlyAdmin):
    list_display = ("provision", "student", "state", "amount_cents", "currency", "session_id", "created_at")
    list_filter = ("state",)
    search_fields = ("provision__reference", "student__email", "session_id")
    list_select_related = ("provision", "student")
    # The address of an open payment page is the student's.
    exclude = ("url",)


@admin.register(Payment)
class PaymentAdmin(ReadOnlyAdmin):
    list_display = (
        "provision",
        "student",
        "amount_cents",
        "refunded_cents",
        "currency",
        "stripe_invoice_id",
        "paid_at",
    )
    search_fields = ("provision__reference", "student__email", "stripe_invoice_id", "stripe_payment_intent_id")
    list_select_related = ("provision", "student")


@admin.register(Refund)
class RefundAdmin(ReadOnlyAdmin):
    list_display = ("payment", "state", "amount_cents", "currency", "reason", "attempts", "created_at")
    list_filter = ("state",)
    search_fields = ("payment__provision__reference", "stripe_refund_id", "key")
    list_select_related = ("payment__provision",)


@admin.register(WebhookEvent)
class WebhookEventAdmin(ReadOnlyAdmin):
    list_display = ("event_id", "type", "state", "deliveries", "attempts", "error", "created_at")
    list_filter = ("state", "type")
    search_fields = ("event_id",)
