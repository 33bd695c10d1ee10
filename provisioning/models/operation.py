from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from infra.models.base import Appended, empty_facts
from infra.models.states import UNRESOLVED, OperationState
from infra.secret import SecretField

from .run import Run


class Operation(Appended):
    """One outgoing write: stored before it is sent. `send_before` is machine time, `absent_after` vendor time."""

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="operations")
    student = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    step_key = models.CharField(max_length=40)
    platform = models.CharField(max_length=20)
    verb = models.CharField(max_length=40)
    digest = models.CharField(max_length=64)
    proof = models.CharField(max_length=8)
    repeatable = models.BooleanField(default=False)
    state = models.CharField(max_length=10, choices=OperationState, default=OperationState.INTENDED)
    attempt = models.PositiveSmallIntegerField(default=1)
    token = models.PositiveBigIntegerField()
    price_ceilings = models.JSONField(default=empty_facts)
    target = models.JSONField(default=empty_facts)
    send_before = models.DateTimeField()
    absent_after = models.DateTimeField()
    status = models.PositiveSmallIntegerField(null=True, blank=True)
    request_id = models.CharField(max_length=120, blank=True)
    sentence = models.CharField(max_length=300, blank=True)
    settled_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = _("operation")
        ordering = ["-created_at"]
        constraints = [models.UniqueConstraint(fields=["id", "student"], name="provisioning_operation_id_student")]

    def __str__(self) -> str:
        return f"{self.platform}.{self.verb}"


class OperationItem(Appended):
    """One thing that an operation asks for. While it is unresolved nobody may ask for the same thing again."""

    operation = models.ForeignKey(Operation, on_delete=models.CASCADE, related_name="items")
    student = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    platform = models.CharField(max_length=20)
    verb = models.CharField(max_length=40)
    natural_key = models.CharField(max_length=320)
    state = models.CharField(max_length=10, choices=OperationState, default=OperationState.INTENDED)
    evidence = models.JSONField(default=empty_facts)
    absent_reads = models.PositiveSmallIntegerField(default=0)

    class Meta:
        verbose_name = _("operation item")
        ordering = ["natural_key"]
        constraints = [
            models.UniqueConstraint(
                fields=["platform", "verb", "natural_key"],
                condition=Q(state__in=UNRESOLVED),
                name="provisioning_operationitem_one_unresolved",
            )
        ]
        indexes = [models.Index(fields=["platform", "verb", "natural_key"], name="provisioning_opitem_key")]

    def __str__(self) -> str:
        return self.natural_key


class Capture(Appended):
    """The raw answer of one attempt, encrypted, appended before anybody parses it, whoever holds the run by now."""

    operation = models.ForeignKey(Operation, on_delete=models.CASCADE, related_name="captures")
    student = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    attempt = models.PositiveSmallIntegerField()
    status = models.PositiveSmallIntegerField()
    headers = models.JSONField(default=empty_facts)
    body = SecretField()

    class Meta:
        verbose_name = _("capture")
        constraints = [models.UniqueConstraint(fields=["operation", "attempt"], name="provisioning_capture_once")]
