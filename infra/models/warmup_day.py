from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from .base import Appended, Record
from .mailbox import Mailbox
from .provision import Provision


class Connection(models.TextChoices):
    """What the sending tool says of a mailbox, in our words. A word of theirs that nobody knows is no connection."""

    CONNECTED = "connected", _("Connected")
    DISCONNECTED = "disconnected", _("Disconnected")
    ABSENT = "absent", _("Not in the sending tool")


class WarmupDay(Appended):
    """What the sending tool said of one mailbox on one day. Days and `measured_at` are vendor time.

    Figures are as the platform gave them, rates in percent; null is "it did not say", which is not zero. A later look of
    the same day overwrites what it brings anew and leaves what it does not. `sent` counters are of this day until then.
    """

    mailbox = models.ForeignKey(Mailbox, on_delete=models.CASCADE, related_name="warmup_days")
    student = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    day = models.DateField()
    connection = models.CharField(max_length=12, choices=Connection)
    is_warming = models.BooleanField(default=False)
    health = models.FloatField(null=True, blank=True)
    health_google = models.FloatField(null=True, blank=True)
    health_microsoft = models.FloatField(null=True, blank=True)
    health_other = models.FloatField(null=True, blank=True)
    reply_rate = models.FloatField(null=True, blank=True)
    bounce_rate = models.FloatField(null=True, blank=True)
    warmup_sent = models.PositiveIntegerField(null=True, blank=True)
    campaign_sent = models.PositiveIntegerField(null=True, blank=True)
    measured_at = models.DateTimeField()

    class Meta:
        verbose_name = _("warmup day")
        ordering = ["day"]
        constraints = [models.UniqueConstraint(fields=["mailbox", "day"], name="infra_warmupday_once")]
        # Days without warmup are few, and all of them are asked for.
        indexes = [models.Index(fields=["mailbox", "day"], name="infra_warmupday_cold", condition=Q(is_warming=False))]


class Measurement(Record):
    """When a provision's figures were looked at last, when they are due again, and whether the last look failed.

    All times are vendor time. `due_at` is empty while there is nothing to look at.

    looked_at  the last look at the mailboxes that succeeded
    failures   looks in a row that did not
    problem    why the last one failed: the platform's slug and the kind of failure, for the operator
    lead_list  the platform's id of the lead list; its size, and when it was counted
    notes      what a look that a budget interrupted has read so far; empty after a whole one
    """

    provision = models.OneToOneField(Provision, on_delete=models.CASCADE, related_name="measurement")
    student = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    due_at = models.DateTimeField(null=True, blank=True)
    looked_at = models.DateTimeField(null=True, blank=True)
    tried_at = models.DateTimeField(null=True, blank=True)
    failures = models.PositiveSmallIntegerField(default=0)
    problem = models.CharField(max_length=80, blank=True)
    lead_list = models.CharField(max_length=40, blank=True)
    notes = models.JSONField(default=dict, blank=True)
    leads = models.PositiveIntegerField(null=True, blank=True)
    leads_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = _("measurement")
        indexes = [
            models.Index(fields=["due_at"], name="infra_measurement_due", condition=Q(due_at__isnull=False)),
            models.Index(fields=["lead_list"], name="infra_measurement_lead_list", condition=~Q(lead_list="")),
        ]


class TaskDone(Record):
    """A task of "Your first week" that the student has ticked."""

    provision = models.ForeignKey(Provision, on_delete=models.CASCADE, related_name="tasks_done")
    student = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    task = models.CharField(max_length=40)

    class Meta:
        verbose_name = _("task done")
        constraints = [models.UniqueConstraint(fields=["provision", "task"], name="infra_taskdone_once")]
