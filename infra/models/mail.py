from __future__ import annotations

from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from .base import Record, empty_facts
from .provision import Provision


class Mail(Record):
    """The outbox: one row per mail, with a unique key, so that each is sent once. Text is made when it is sent."""

    key = models.CharField(max_length=200)
    kind = models.CharField(max_length=40)
    to = models.EmailField(max_length=320)
    student = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, null=True, blank=True, related_name="+"
    )
    provision = models.ForeignKey(Provision, on_delete=models.CASCADE, null=True, blank=True, related_name="mails")
    context = models.JSONField(default=empty_facts)
    attempts = models.PositiveSmallIntegerField(default=0)
    not_before = models.DateTimeField(null=True, blank=True)
    sent_at = models.DateTimeField(null=True, blank=True)
    error = models.CharField(max_length=300, blank=True)

    class Meta:
        verbose_name = _("mail")
        ordering = ["-created_at"]
        constraints = [models.UniqueConstraint(fields=["key"], name="infra_mail_once")]
        indexes = [models.Index(fields=["created_at"], name="infra_mail_unsent", condition=Q(sent_at__isnull=True))]

    @classmethod
    def post(
        cls, kind: str, *, key: str, provision: Provision | None = None, to: str | None = None, **context: Any
    ) -> None:
        """Put a mail into the outbox, once per `key`. Without `to` it goes to the provision's student."""
        mail = cls.written(kind, key=key, provision=provision, to=to, **context)
        Mail.objects.bulk_create([mail], ignore_conflicts=True)

    @classmethod
    def written(
        cls, kind: str, *, key: str, provision: Provision | None = None, to: str | None = None, **context: Any
    ) -> Mail:
        """Return a mail that is not in the outbox yet, for who puts it there together with other rows."""
        student = provision.student if provision is not None else None
        return Mail(
            key=f"{kind}:{key}",
            kind=kind,
            to=to or (student.email if student else settings.OPERATOR_EMAIL),
            student=student if to is None else None,
            provision=provision,
            context=context,
        )
