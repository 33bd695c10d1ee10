from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from .base import Record, empty_facts
from .mail import Mail
from .provision import Provision

ALERT_AGAIN_AFTER = timedelta(hours=1)


class OperatorItem(Record):
    """Something that needs a human: one open item per key, with a mail to the operator when it opens."""

    key = models.CharField(max_length=200)
    kind = models.CharField(max_length=40)
    sentence = models.CharField(max_length=500)
    provision = models.ForeignKey(
        Provision, on_delete=models.CASCADE, null=True, blank=True, related_name="operator_items"
    )
    details = models.JSONField(default=empty_facts)
    resolved_at = models.DateTimeField(null=True, blank=True)
    resolution = models.CharField(max_length=300, blank=True)

    class Meta:
        verbose_name = _("operator item")
        ordering = ["resolved_at", "-created_at"]
        constraints = [
            models.UniqueConstraint(
                fields=["key"], condition=Q(resolved_at__isnull=True), name="infra_operatoritem_one_open"
            )
        ]

    def __str__(self) -> str:
        return self.sentence

    @staticmethod
    def key_of(kind: str, key: str) -> str:
        """Return the key of an item, of which one may be open at a time."""
        return f"{kind}:{key}"

    @classmethod
    def open(
        cls,
        kind: str,
        *,
        key: str,
        sentence: str,
        provision: Provision | None = None,
        alert: bool = True,
        **details: Any,
    ) -> None:
        """Open the item unless it is open already; mail the operator when it is new.

        What opens and closes again and again sends one mail an hour, not one each time.
        """
        lately = cls.objects.filter(
            key=cls.key_of(kind, key), created_at__gt=timezone.now() - ALERT_AGAIN_AFTER
        ).exists()
        item = OperatorItem(
            key=cls.key_of(kind, key), kind=kind, sentence=sentence[:500], provision=provision, details=details
        )
        OperatorItem.objects.bulk_create([item], ignore_conflicts=True)
        if alert and not lately and cls.objects.filter(pk=item.pk).exists():
            from django.conf import settings

            Mail.post(
                "operator_" + kind, key=str(item.pk), provision=provision, to=settings.OPERATOR_EMAIL, sentence=sentence
            )

    @classmethod
    def close(cls, kind: str, *, key: str, resolution: str) -> int:
        """Resolve the open item, if there is one; return how many were open."""
        return cls.objects.filter(key=cls.key_of(kind, key), resolved_at__isnull=True).update(
            resolved_at=timezone.now(), resolution=resolution[:300]
        )
