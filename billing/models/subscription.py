from __future__ import annotations

from datetime import datetime

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from infra.models.base import Record
from infra.models.provision import Provision


class Subscription(Record):
    """What Stripe says of an order's subscription now, as `billing.life` has fetched it; never what an event said.

    Stripe's own instants are as Stripe states them; `overdue_since`, `suspended_at`, `checked_at` and `look_at` are vendor
    time.
    """

    provision = models.OneToOneField(Provision, on_delete=models.CASCADE, related_name="subscription")
    student = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    stripe_id = models.CharField(max_length=120)
    status = models.CharField(max_length=40, blank=True)
    period_end = models.DateTimeField(null=True, blank=True)
    cancel_at_period_end = models.BooleanField(default=False)
    cancel_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    invoice_id = models.CharField(_("latest invoice"), max_length=120, blank=True)
    invoice_status = models.CharField(max_length=40, blank=True)
    invoice_cents = models.PositiveIntegerField(default=0)
    invoice_currency = models.CharField(max_length=3, blank=True)
    invoice_url = models.TextField(blank=True)
    needs_action = models.BooleanField(default=False, help_text=_("The bank wants to ask the student."))
    card = models.CharField(max_length=60, blank=True, help_text=_("How it is paid: brand and last digits."))
    dispute = models.CharField(max_length=40, blank=True, help_text=_("Stripe's word for the worst dispute."))
    charged_cents = models.PositiveIntegerField(default=0)
    refunded_cents = models.PositiveIntegerField(default=0)
    overdue_since = models.DateTimeField(null=True, blank=True)
    overdue_invoice_id = models.CharField(max_length=120, blank=True)
    suspended_at = models.DateTimeField(null=True, blank=True)
    looks = models.PositiveIntegerField(default=0, help_text=_("How often somebody began to ask."))
    seen = models.PositiveIntegerField(default=0, help_text=_("The look whose answer is written here."))
    checked_at = models.DateTimeField(null=True, blank=True)
    look_at = models.DateTimeField(null=True, blank=True)
    failures = models.PositiveSmallIntegerField(default=0)

    class Meta:
        ordering = ["-created_at"]
        constraints = [
            models.UniqueConstraint(fields=["stripe_id"], name="billing_subscription_once"),
        ]
        indexes = [
            models.Index(fields=["look_at"], name="billing_subscription_due", condition=Q(look_at__isnull=False)),
        ]

    @classmethod
    def begin(cls, provision: Provision, *, look_at: datetime) -> None:
        """Note that an order has a subscription from now on. What Stripe says of it comes with the first look."""
        if provision.stripe_subscription_id:
            cls.objects.get_or_create(
                provision=provision,
                defaults={
                    "student_id": provision.student_id,
                    "stripe_id": provision.stripe_subscription_id,
                    "look_at": look_at,
                },
            )

    def __str__(self) -> str:
        return f"{self.provision.reference}: {self.status or _('not asked yet')}"
