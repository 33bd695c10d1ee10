from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from infra.secret import SecretField

from .base import Appended
from .provision import Provision


class Registration(Appended):
    """A name that a student wants registered at GoDaddy, in an account of their own, for an order that is not paid yet.

    What it costs there and what has to be agreed to was asked with the student's own token. Once they have agreed, the name
    is part of the order, and what they agreed to is frozen with it: nothing is bought before, and nothing above it. Times
    are vendor time, but the moment of the click.
    """

    class State(models.TextChoices):
        ASKED = "asked", _("Being looked up")
        OFFERED = "offered", _("Can be registered")
        REFUSED = "refused", _("Cannot be registered")
        AGREED = "agreed", _("Agreed to")

    student = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    provision = models.ForeignKey(Provision, on_delete=models.CASCADE, related_name="registrations")
    name = models.CharField(_("name"), max_length=253)
    state = models.CharField(max_length=8, choices=State, default=State.ASKED)
    problem = models.CharField(max_length=40, blank=True, help_text=_("Code of why it cannot be registered."))
    price_cents = models.PositiveIntegerField(
        default=0, help_text=_("Of the first year, fees included, in minor units.")
    )
    renewal_cents = models.PositiveIntegerField(default=0)
    currency = models.CharField(max_length=3, blank=True)
    agreements = models.JSONField(
        default=list, help_text=_("What has to be agreed to: kind, title and address of each.")
    )
    contact_source = models.CharField(max_length=12, blank=True)
    asks_registrant = models.BooleanField(default=False)
    registrant = SecretField(null=True, help_text=_("Who registers it, where the account does not say so itself."))
    due_at = models.DateTimeField(null=True, blank=True)
    failures = models.PositiveSmallIntegerField(default=0)
    answered_at = models.DateTimeField(null=True, blank=True)
    agreed_at = models.DateTimeField(null=True, blank=True)
    agreed_from = models.GenericIPAddressField(null=True, blank=True)

    class Meta:
        verbose_name = _("registration")
        ordering = ["created_at", "id"]
        constraints = [
            models.UniqueConstraint(fields=["provision", "name"], name="infra_registration_once"),
            models.CheckConstraint(
                condition=(Q(state="asked") & Q(due_at__isnull=False)) | (~Q(state="asked") & Q(due_at__isnull=True)),
                name="infra_registration_due_while_asked",
            ),
            models.CheckConstraint(
                condition=(Q(state="agreed", agreed_at__isnull=False, price_cents__gt=0) & ~Q(currency=""))
                | (~Q(state="agreed") & Q(agreed_at__isnull=True)),
                name="infra_registration_agreed_to_a_price",
            ),
        ]
        indexes = [models.Index(fields=["due_at"], name="infra_registration_due", condition=Q(due_at__isnull=False))]

    def __str__(self) -> str:
        return self.name
