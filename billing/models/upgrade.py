from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from infra.models.base import Record, empty_facts
from infra.models.provision import Provision


class Upgrade(Record):
    """The change of one subscription to a bigger package. What Stripe is asked for is frozen with its price preview.

    proration_at  the instant, in seconds, for which preview and change both reckon
    quantity      how often the price is due from then on
    url           where an invoice that was declined can be paid until the change expires
    """

    class State(models.TextChoices):
        QUOTED = "quoted", _("Priced")
        INTENDED = "intended", _("Being sent")
        PENDING = "pending", _("Waiting for its payment")
        PAID = "paid", _("Paid, not begun")
        APPLIED = "applied", _("Being built, or built")
        EXPIRED = "expired", _("Declined or given up")
        REFUNDED = "refunded", _("Paid and refunded")

    provision = models.ForeignKey(Provision, on_delete=models.PROTECT, related_name="upgrades")
    extension = models.ForeignKey(Provision, on_delete=models.PROTECT, related_name="+")
    student = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    state = models.CharField(max_length=10, choices=State, default=State.QUOTED)
    subscription_id = models.CharField(max_length=120)
    price_id = models.CharField(max_length=120)
    quantity = models.PositiveIntegerField(default=1, db_default=1)
    parameters = models.JSONField(default=empty_facts)
    proration_at = models.BigIntegerField()
    due_cents = models.PositiveIntegerField()
    monthly_cents = models.PositiveIntegerField()
    currency = models.CharField(max_length=3, default="usd")
    lines = models.JSONField(default=list)
    invoice_id = models.CharField(max_length=120, blank=True)
    url = models.TextField(blank=True)
    sent_at = models.DateTimeField(null=True, blank=True)
    checked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = _("upgrade")
        ordering = ["-created_at"]
        constraints = [
            models.UniqueConstraint(
                fields=["provision"],
                condition=Q(state__in=["quoted", "intended", "pending", "paid"]),
                name="billing_upgrade_one_open",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.provision_id} to {self.price_id}"
