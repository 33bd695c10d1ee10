from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from .base import Record, empty_facts
from .domain import Domain
from .provision import Provision
from .states import MailboxState


class Mailbox(Record):
    """One mailbox on one domain."""

    provision = models.ForeignKey(Provision, on_delete=models.CASCADE, related_name="mailboxes")
    domain = models.ForeignKey(Domain, on_delete=models.CASCADE, related_name="mailboxes")
    student = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    username = models.CharField(_("user name"), max_length=64)
    address = models.EmailField(_("address"), max_length=320)
    first_name = models.CharField(max_length=80, blank=True)
    last_name = models.CharField(max_length=80, blank=True)
    daily_limit = models.PositiveIntegerField(
        null=True, blank=True, help_text=_("Campaign mails a day at most; empty: as many as the order's plan says.")
    )
    state = models.CharField(max_length=16, choices=MailboxState, default=MailboxState.PLANNED)
    position = models.PositiveSmallIntegerField(default=0)
    warmup_started_at = models.DateTimeField(null=True, blank=True, help_text=_("Vendor time."))
    bad_since = models.DateField(
        null=True, blank=True, help_text=_("First day of the bad health that the student was told of.")
    )
    reason = models.CharField(max_length=300, blank=True)
    facts = models.JSONField(default=empty_facts)

    class Meta:
        verbose_name = _("mailbox")
        verbose_name_plural = _("mailboxes")
        ordering = ["domain__position", "position"]
        constraints = [
            models.UniqueConstraint(
                fields=["address"], condition=~Q(state=MailboxState.REMOVED), name="infra_mailbox_one_live_address"
            ),
            models.UniqueConstraint(fields=["id", "student"], name="infra_mailbox_id_student"),
        ]

    def __str__(self) -> str:
        return self.address

    @property
    def sender(self) -> str:
        """The name that recipients see."""
        return f"{self.first_name} {self.last_name}".strip()
