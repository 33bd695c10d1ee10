from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.utils.translation import gettext_lazy as _

from .base import Record


class Flag(Record):
    """A switch with rollout phases. `off` never hurts a running provision.

    Keys: `orders` (new orders of any kind), `stack:<slug>` (new orders of a stack), `capability:<name>`,
    `purchases` and `purchases:<platform>` (the kill switch: nothing that costs money is sent).
    """

    class Phase(models.TextChoices):
        OFF = "off", _("Off")
        STAFF = "staff", _("Operators only")
        NAMED = "named", _("Named students or cohorts")
        FIRST = "first", _("The first N orders")
        ALL = "all", _("Everybody")

    key = models.CharField(max_length=60)
    phase = models.CharField(max_length=8, choices=Phase, default=Phase.ALL)
    named = ArrayField(models.CharField(max_length=254), default=list, blank=True, help_text=_("E-mails or cohorts."))
    first_count = models.PositiveIntegerField(default=0)
    stopped_at = models.DateTimeField(null=True, blank=True)
    stopped_reason = models.CharField(max_length=300, blank=True)

    class Meta:
        verbose_name = _("flag")
        ordering = ["key"]
        constraints = [models.UniqueConstraint(fields=["key"], name="infra_flag_once")]

    def __str__(self) -> str:
        return self.key
