from __future__ import annotations

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from .base import Record
from .domain import Domain
from .provision import Provision


class OrderLine(Record):
    """One line of what a student paid for. Provisioning marks it `refund_due`; billing pays it back."""

    class Kind(models.TextChoices):
        SETUP = "setup", _("Set-up fee")
        MONTHLY = "monthly", _("Monthly fee")
        DOMAIN_SHARE = "domain_share", _("A domain's share of the set-up fee")

    class State(models.TextChoices):
        OPEN = "open", _("Open")
        REFUND_DUE = "refund_due", _("Refund due")
        REFUNDED = "refunded", _("Refunded")

    provision = models.ForeignKey(Provision, on_delete=models.CASCADE, related_name="order_lines")
    student = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    domain = models.ForeignKey(Domain, on_delete=models.SET_NULL, null=True, blank=True, related_name="order_lines")
    kind = models.CharField(max_length=16, choices=Kind)
    state = models.CharField(max_length=12, choices=State, default=State.OPEN)
    amount_cents = models.PositiveIntegerField()
    currency = models.CharField(max_length=3, default="usd")
    reason = models.CharField(max_length=300, blank=True)

    class Meta:
        ordering = ["created_at"]
