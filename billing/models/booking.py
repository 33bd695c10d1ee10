from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from infra.models.base import Appended

from .payment import Payment


class Booking(Appended):
    """One balance transaction of Stripe's that a payment led to: what a charge, a refund or a dispute did to the account.

    Minor units, signed as they change the account. `amount` is of the student's money; `gross`, `fee` and `net` are as
    Stripe booked it, in `settled_currency`. A negative fee was given back.
    """

    class Source(models.TextChoices):
        CHARGE = "charge", _("Charge")
        REFUND = "refund", _("Refund")
        REFUND_FAILURE = "refund_failure", _("Refund that failed")
        DISPUTE = "dispute", _("Dispute")

    payment = models.ForeignKey(Payment, on_delete=models.PROTECT, related_name="bookings")
    student = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    stripe_id = models.CharField(max_length=120)
    source = models.CharField(max_length=16, choices=Source)
    source_id = models.CharField(max_length=120)
    amount = models.BigIntegerField()
    currency = models.CharField(max_length=3)
    gross = models.BigIntegerField()
    fee = models.BigIntegerField()
    net = models.BigIntegerField()
    settled_currency = models.CharField(max_length=3)
    booked_at = models.DateTimeField()

    class Meta:
        verbose_name = _("booking at Stripe")
        verbose_name_plural = _("bookings at Stripe")
        ordering = ["booked_at", "id"]
        constraints = [
            models.UniqueConstraint(fields=["stripe_id"], name="billing_booking_once"),
            models.CheckConstraint(condition=Q(net=F("gross") - F("fee")), name="billing_booking_adds_up"),
        ]

    def __str__(self) -> str:
        return self.stripe_id
