from __future__ import annotations

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from infra.models.base import Record, empty_facts
from infra.models.provision import Provision
from infra.models.tier import Tier


class Downgrade(Record):
    """A change to a smaller package that is planned for the end of the period that is paid for.

    drops         names of the domains that are left out, with their mailboxes
    order         what the set-up is once the change is done
    price_id      the price from the next period on, due `quantity` times; `price_before` and `quantity_before` are put back
                  when the plan is withdrawn
    period_end    Stripe's time: the period after which the smaller price counts
    """

    class State(models.TextChoices):
        INTENDED = "intended", _("Being noted")
        PLANNED = "planned", _("Planned")
        WITHDRAWING = "withdrawing", _("Being withdrawn")
        WITHDRAWN = "withdrawn", _("Withdrawn")
        APPLIED = "applied", _("Begun, or done")
        VOID = "void", _("The order ended before")

    provision = models.ForeignKey(Provision, on_delete=models.PROTECT, related_name="downgrades")
    student = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    tier = models.ForeignKey(Tier, on_delete=models.PROTECT, related_name="+")
    state = models.CharField(max_length=12, choices=State, default=State.INTENDED)
    drops = ArrayField(models.CharField(max_length=253), default=list, blank=True)
    order = models.JSONField(default=empty_facts)
    subscription_id = models.CharField(max_length=120)
    price_id = models.CharField(max_length=120)
    price_before = models.CharField(max_length=120, blank=True)
    quantity = models.PositiveIntegerField(default=1, db_default=1)
    quantity_before = models.PositiveIntegerField(default=1, db_default=1)
    monthly_cents = models.PositiveIntegerField()
    currency = models.CharField(max_length=3, default="usd")
    period_end = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = _("downgrade")
        ordering = ["-created_at"]
        constraints = [
            models.UniqueConstraint(
                fields=["provision"],
                condition=Q(state__in=["intended", "planned", "withdrawing"]),
                name="billing_downgrade_one_open",
            ),
            models.CheckConstraint(
                condition=~Q(state="planned") | Q(period_end__isnull=False), name="billing_downgrade_planned_has_date"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.provision_id} to {self.price_id}"
