from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _


class Permit(models.Model):
    """A slot of a rate budget: a limit of 20 a minute is 20 rows. `used_at` is vendor time."""

    id = models.BigAutoField(primary_key=True)
    budget = models.CharField(max_length=40)
    slot = models.PositiveIntegerField()
    weight_class = models.CharField(max_length=10, blank=True, help_text=_("Empty: anybody's. Else reserved."))
    window_seconds = models.FloatField()
    used_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["budget", "slot"], name="provisioning_permit_slot")]
        indexes = [models.Index(fields=["budget", "used_at"], name="provisioning_permit_oldest")]


class Flight(models.Model):
    """The bulkhead: one row per call that may be under way at a platform at once. `until` is machine time."""

    id = models.BigAutoField(primary_key=True)
    platform = models.CharField(max_length=20)
    slot = models.PositiveSmallIntegerField()
    until = models.DateTimeField(null=True, blank=True)
    holder = models.CharField(max_length=80, blank=True, db_default="", help_text=_("The group that took it last."))

    class Meta:
        constraints = [models.UniqueConstraint(fields=["platform", "slot"], name="provisioning_flight_slot")]


class Circuit(models.Model):
    """Whether a platform may be called. Open after refused credentials or repeated time-outs."""

    class Reason(models.TextChoices):
        CREDENTIALS = "credentials", _("Credentials refused")
        TIMEOUTS = "timeouts", _("Repeated time-outs")
        OPERATOR = "operator", _("Stopped by an operator")

    platform = models.CharField(max_length=20, primary_key=True)
    is_open = models.BooleanField(default=False)
    reason = models.CharField(max_length=12, choices=Reason, blank=True)
    failures = models.PositiveSmallIntegerField(default=0)
    opened_at = models.DateTimeField(null=True, blank=True)
    try_again_at = models.DateTimeField(null=True, blank=True, help_text=_("Machine time."))

    class Meta:
        verbose_name = _("circuit")
        constraints = [
            models.CheckConstraint(
                condition=Q(is_open=False) | Q(opened_at__isnull=False), name="provisioning_circuit_open_paired"
            )
        ]

    def __str__(self) -> str:
        return self.platform


class Heartbeat(models.Model):
    """When a worker last finished a piece of work, and when the supervisor last ticked. Machine time."""

    name = models.CharField(max_length=40, primary_key=True)
    at = models.DateTimeField()


class Timing(models.Model):
    """How often something took at most `bound` seconds, and longer than the bucket below: calls by platform, wake-ups.

    Machine time. `seconds` is their sum, `last_at` when the last of them was counted.
    """

    id = models.BigAutoField(primary_key=True)
    kind = models.CharField(max_length=10)
    name = models.CharField(max_length=40)
    bound = models.FloatField()
    number = models.BigIntegerField()
    seconds = models.FloatField()
    last_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["kind", "name", "bound"], name="provisioning_timing_one_bucket")]


class Collection(models.Model):
    """What the collector of figures remembers: who is at it (`slice`), and how far it is in each listing of a platform.

    `claimed_until` is machine time, `due_at` vendor time. `offset` is where the next page of a listing begins.
    """

    name = models.CharField(max_length=40, primary_key=True)
    claimed_until = models.DateTimeField(null=True, blank=True)
    due_at = models.DateTimeField(null=True, blank=True)
    offset = models.PositiveIntegerField(default=0)
    failures = models.PositiveSmallIntegerField(default=0)
