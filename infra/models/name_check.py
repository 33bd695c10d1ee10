from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from .base import Record


class NameAnswer(models.TextChoices):
    CHECKING = "checking", _("Checking")
    AVAILABLE = "available", _("Available")
    TAKEN = "taken", _("Taken")
    PREMIUM = "premium", _("Premium")


class NameCheck(Record):
    """What a platform said of a domain name, and who waits for it: cache, merge and visible queue in one.

    `checked_at` and `wanted_at` are vendor time, because the platform's search budget is. `wanted_at` is empty while
    nobody waits. `wanted_by` holds the students' ids: equal requests are merged.
    """

    platform = models.CharField(max_length=20, default="zapmail")
    name = models.CharField(max_length=253)
    answer = models.CharField(max_length=12, choices=NameAnswer, default=NameAnswer.CHECKING)
    price_cents = models.PositiveIntegerField(default=0)
    renewal_cents = models.PositiveIntegerField(default=0)
    checked_at = models.DateTimeField(null=True, blank=True)
    wanted_at = models.DateTimeField(null=True, blank=True)
    wanted_by = ArrayField(models.UUIDField(), default=list, blank=True)
    is_paid_work = models.BooleanField(default=False)
    claimed_until = models.DateTimeField(null=True, blank=True, help_text=_("Machine time."))

    class Meta:
        constraints = [models.UniqueConstraint(fields=["platform", "name"], name="infra_namecheck_once")]
        indexes = [
            models.Index(fields=["wanted_at"], name="infra_namecheck_wanted", condition=Q(wanted_at__isnull=False))
        ]
