from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from infra.secret import SecretField

from .base import Appended, Record
from .domain import Domain
from .mailbox import Mailbox
from .provision import Provision


class Inventory(Record):
    """When what an order owns was looked at last (dates, renewal, records), and when it is due again. Vendor time.

    `due_at` is empty while there is nothing to look at. Otherwise as `Measurement`.
    """

    provision = models.OneToOneField(Provision, on_delete=models.CASCADE, related_name="inventory")
    student = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    due_at = models.DateTimeField(null=True, blank=True)
    looked_at = models.DateTimeField(null=True, blank=True)
    tried_at = models.DateTimeField(null=True, blank=True)
    failures = models.PositiveSmallIntegerField(default=0)
    problem = models.CharField(max_length=80, blank=True)

    class Meta:
        verbose_name = _("inventory")
        indexes = [models.Index(fields=["due_at"], name="infra_inventory_due", condition=Q(due_at__isnull=False))]


class MailboxSecret(Record):
    """The password with which programs open a mailbox, as the platform shows it; in a table that no listing reads."""

    mailbox = models.OneToOneField(Mailbox, on_delete=models.CASCADE, related_name="secret")
    student = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    app_password = SecretField()

    class Meta:
        verbose_name = _("mailbox password")


class RenewalChoice(Appended):
    """What a student wants of a domain when its paid year ends. Append-only; the newest of a domain counts."""

    class Choice(models.TextChoices):
        KEEP = "keep", _("Keep")
        DROP = "drop", _("Drop")

    domain = models.ForeignKey(Domain, on_delete=models.CASCADE, related_name="renewal_choices")
    student = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    choice = models.CharField(max_length=4, choices=Choice)
    actor = models.CharField(max_length=320)
    ends_at = models.DateTimeField(null=True, blank=True, help_text=_("The end of the year that it was about."))
    price_cents = models.PositiveIntegerField(default=0, help_text=_("What the student was shown."))

    class Meta:
        verbose_name = _("renewal choice")
        ordering = ["-created_at", "-id"]
