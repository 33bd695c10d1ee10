"""Money rows for the operator: to read, not to write. What can be done about them are verbs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.db.models import Model
from django.http import HttpRequest
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from provisioning.admin.verbs import Plan, Verb, VerbAdmin

from . import refunds
from .models import Booking, Checkout, Downgrade, Payment, Refund, Subscription, Upgrade, WebhookEvent

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


@admin.register(Upgrade)
class UpgradeAdmin(ReadOnlyAdmin):
    list_display = ("provision", "student", "state", "due_cents", "monthly_cents", "currency", "sent_at", "checked_at")
    list_filter = ("state",)
    search_fields = ("provision__reference", "student__email", "invoice_id", "subscription_id")
    list_select_related = ("provision", "student")
    # Where a declined invoice can be paid is the student's.
    exclude = ("url",)


@admin.register(Downgrade)
class DowngradeAdmin(ReadOnlyAdmin):
    list_display = ("provision", "student", "tier", "state", "monthly_cents", "currency", "period_end", "created_at")
    list_filter = ("state",)
    search_fields = ("provision__reference", "student__email", "subscription_id")
    list_select_related = ("provision", "student", "tier")


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


@admin.register(Booking)
class BookingAdmin(ReadOnlyAdmin):
    list_display = ("booked_at", "payment", "source", "amount", "currency", "gross", "fee", "net", "settled_currency")
    list_filter = ("source", "settled_currency")
    search_fields = ("payment__provision__reference", "stripe_id", "source_id")
    list_select_related = ("payment__provision",)


@admin.register(Subscription)
class SubscriptionAdmin(ReadOnlyAdmin):
    list_display = (
        "provision",
        "student",
        "status",
        "period_end",
        "cancel_at",
        "dispute",
        "overdue_since",
        "checked_at",
    )
    list_filter = ("status", "dispute")
    search_fields = ("provision__reference", "student__email", "stripe_id")
    list_select_related = ("provision", "student")


class SendAgain(Verb):
    """Send a failed refund once more."""

    name = "send_again"
    label = gettext_lazy("Send again")
    permission = "billing.change_refund"

    def refusal(self, row: Refund) -> str:
        return refunds.why_no_retry(row)

    def plan(self, row: Refund) -> Plan:
        return Plan(
            question=_("Send the refund of %(amount)s to %(student)s again?")
            % {"amount": _money(row), "student": row.payment.student.email},
            button=_("Send again"),
            will=[
                _("Stripe is asked first whether it was made after all; if so, that one counts."),
                _("Otherwise %(amount)s are sent back, within some minutes.") % {"amount": _money(row)},
            ],
            will_not=[_("Nothing else of the order changes, and nothing is sent twice.")],
        )

    def perform(self, row: Refund, data: Mapping[str, Any], *, actor: str) -> str:
        refunds.retry(refund=row, actor=actor, reason=data["reason"])
        return _("The refund is sent again.")


def _money(row: Refund) -> str:
    return f"{row.amount_cents / 100:.2f} {row.currency.upper()}"


@admin.register(Refund)
class RefundAdmin(VerbAdmin):
    list_display = ("payment", "state", "amount_cents", "currency", "reason", "attempts", "created_at")
    list_filter = ("state",)
    search_fields = ("payment__provision__reference", "stripe_refund_id", "key")
    list_select_related = ("payment__provision",)
    verbs = (SendAgain(),)


@admin.register(WebhookEvent)
class WebhookEventAdmin(ReadOnlyAdmin):
    list_display = ("event_id", "type", "state", "deliveries", "attempts", "error", "created_at")
    list_filter = ("state", "type")
    search_fields = ("event_id",)
