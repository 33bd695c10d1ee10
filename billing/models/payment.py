from __future__ import annotations

from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import Func, Q, Value
from django.utils.translation import gettext_lazy as _

from infra.models.base import Record, empty_facts
from infra.models.provision import Provision


class Checkout(Record):
    """One Checkout Session at Stripe. Its parameters are frozen before the call, so that it can be repeated as it was."""

    class State(models.TextChoices):
        INTENDED = "intended", _("Intended")
        OPEN = "open", _("Open")
        CONFIRMING = "confirming", _("Completed, not paid yet")
        PAID = "paid", _("Paid")
        EXPIRED = "expired", _("Expired")
        FAILED = "failed", _("Failed")
        REFUNDED = "refunded", _("Paid and refunded")

    provision = models.ForeignKey(Provision, on_delete=models.CASCADE, related_name="checkouts")
    student = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    state = models.CharField(max_length=12, choices=State, default=State.INTENDED)
    epoch = models.PositiveSmallIntegerField(default=1)
    session_id = models.CharField(max_length=120, blank=True)
    url = models.TextField(blank=True)
    parameters = models.JSONField(default=empty_facts)
    amount_cents = models.PositiveIntegerField()
    currency = models.CharField(max_length=3, default="usd")
    expires_at = models.DateTimeField()
    checked_at = models.DateTimeField(null=True, blank=True)
    failures = models.PositiveSmallIntegerField(default=0)  # of our own code, in a row

    class Meta:
        ordering = ["-created_at"]
        constraints = [
            models.UniqueConstraint(
                fields=["provision"], condition=Q(state__in=["intended", "open"]), name="billing_checkout_one_open"
            ),
            models.UniqueConstraint(fields=["provision"], condition=Q(state="paid"), name="billing_checkout_one_paid"),
            models.UniqueConstraint(
                fields=["session_id"], condition=~Q(session_id=""), name="billing_checkout_session"
            ),
            models.UniqueConstraint(fields=["id", "student"], name="billing_checkout_id_student"),
        ]


class Payment(Record):
    """Money that arrived. One row per paid invoice or session; never dropped, whatever the provision's state.

    fees_due_at  machine time of the next question how Stripe has booked it; empty once all of that is known
    """

    provision = models.ForeignKey(Provision, on_delete=models.PROTECT, related_name="payments")
    student = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    checkout = models.ForeignKey(Checkout, on_delete=models.PROTECT, null=True, blank=True, related_name="payments")
    stripe_invoice_id = models.CharField(max_length=120, blank=True)
    stripe_payment_intent_id = models.CharField(max_length=120, blank=True)
    receipt_url = models.TextField(blank=True)
    amount_cents = models.PositiveIntegerField()
    refunded_cents = models.PositiveIntegerField(default=0)
    currency = models.CharField(max_length=3, default="usd")
    paid_at = models.DateTimeField()
    fees_due_at = models.DateTimeField(
        null=True,
        blank=True,
        db_default=Func(Value("machine"), function="gtm_now", output_field=models.DateTimeField()),
    )
    fees_looks = models.PositiveSmallIntegerField(default=0, db_default=0)
    fees_at = models.DateTimeField(null=True, blank=True, help_text=_("When all bookings were known last."))

    class Meta:
        ordering = ["-paid_at"]
        constraints = [
            models.UniqueConstraint(
                fields=["stripe_invoice_id"], condition=~Q(stripe_invoice_id=""), name="billing_payment_one_per_invoice"
            ),
            models.UniqueConstraint(fields=["id", "student"], name="billing_payment_id_student"),
            models.CheckConstraint(
                condition=Q(refunded_cents__lte=models.F("amount_cents")), name="billing_payment_refund_within"
            ),
        ]
        indexes = [
            models.Index(
                fields=["fees_due_at"], name="billing_payment_fees_due", condition=Q(fees_due_at__isnull=False)
            ),
        ]

    @classmethod
    def book_anew(cls, *, now: datetime, **which: Any) -> None:
        """Let some payments be asked about again: something has happened to them that Stripe books."""
        cls.objects.filter(**which).update(fees_due_at=now, fees_looks=0)


class Refund(Record):
    """Money on its way back. `key` names its reason, so that one reason is refunded once."""

    class State(models.TextChoices):
        DUE = "due", _("Due")
        SENT = "sent", _("Sent")
        FAILED = "failed", _("Failed")

    payment = models.ForeignKey(Payment, on_delete=models.PROTECT, related_name="refunds")
    student = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    key = models.CharField(max_length=160)
    state = models.CharField(max_length=8, choices=State, default=State.DUE)
    epoch = models.PositiveSmallIntegerField(default=1)
    amount_cents = models.PositiveIntegerField()
    currency = models.CharField(max_length=3, default="usd")
    reason = models.CharField(max_length=300, blank=True)
    stripe_refund_id = models.CharField(max_length=120, blank=True)
    attempts = models.PositiveSmallIntegerField(default=0)
    # Of the present key: how often Stripe answered with a server error, and the last request that may still execute.
    server_errors = models.PositiveSmallIntegerField(default=0)
    in_doubt_at = models.DateTimeField(null=True, blank=True)
    not_before = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-created_at"]
        constraints = [models.UniqueConstraint(fields=["key"], name="billing_refund_once")]
