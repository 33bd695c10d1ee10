from __future__ import annotations

import secrets

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from .base import Record, empty_facts
from .states import ParkedReason, ProvisionState
from .tier import Tier

# Without 0, O, 1, I and L: people read it out on the telephone.
REFERENCE_ALPHABET = "23456789ABCDEFGHJKMNPQRSTUVWXYZ"


def new_reference() -> str:
    """Return a reference such as GTM-7K3F9Q, the name that everything we make at a platform ends in."""
    return "GTM-" + "".join(secrets.choice(REFERENCE_ALPHABET) for _ in range(6))


class Provision(Record):
    """What one student ordered, from the first page of the wizard to the end of its life."""

    student = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="provisions")
    tier = models.ForeignKey(Tier, on_delete=models.PROTECT, null=True, blank=True, related_name="provisions")
    enlarges = models.ForeignKey(
        "self",
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="extensions",
        help_text=_(
            "The live set-up to which this draft of an upgrade adds. It ends as cancelled once it is part of it."
        ),
    )
    reference = models.CharField(max_length=16, unique=True, default=new_reference, editable=False)
    state = models.CharField(max_length=24, choices=ProvisionState, default=ProvisionState.DRAFT)
    state_before = models.CharField(
        max_length=24, blank=True, db_default="", help_text=_("The state to which a suspended order returns.")
    )
    parked_reason = models.CharField(max_length=20, choices=ParkedReason, blank=True)
    brand = models.CharField(_("brand name"), max_length=80, blank=True)
    main_domain = models.CharField(_("main business domain"), max_length=253, blank=True)
    names_shown = models.PositiveSmallIntegerField(default=0)
    searched_names = ArrayField(models.CharField(max_length=253), default=list, blank=True)
    sender_first_name = models.CharField(_("sender's first name"), max_length=80, blank=True)
    sender_last_name = models.CharField(_("sender's last name"), max_length=80, blank=True)
    mailbox_patterns = ArrayField(models.CharField(max_length=64), default=list, blank=True)
    people = models.JSONField(
        default=list,
        db_default=models.Value([], models.JSONField()),
        blank=True,
        help_text=_("Who writes, one by one; where nobody is named, the sender does."),
    )
    order = models.JSONField(default=empty_facts, help_text=_("Tier contents and prices, frozen at pay."))
    facts = models.JSONField(default=empty_facts, help_text=_("What the platforms told us, by name."))
    stripe_customer_id = models.CharField(max_length=120, blank=True)
    stripe_subscription_id = models.CharField(max_length=120, blank=True)
    calendar_key = models.CharField(
        max_length=32, blank=True, help_text=_("Changing it ends the calendar's old links.")
    )
    frozen_at = models.DateTimeField(null=True, blank=True)
    paid_at = models.DateTimeField(null=True, blank=True)
    ready_at = models.DateTimeField(null=True, blank=True)
    cancelled_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = _("provision")
        ordering = ["-created_at"]
        constraints = [
            models.UniqueConstraint(
                fields=["student"],
                condition=~Q(state=ProvisionState.CANCELLED) & Q(enlarges__isnull=True),
                name="infra_provision_one_live",
            ),
            models.UniqueConstraint(
                fields=["enlarges"],
                condition=~Q(state=ProvisionState.CANCELLED),
                name="infra_provision_one_extension",
            ),
            models.UniqueConstraint(fields=["id", "student"], name="infra_provision_id_student"),
            models.CheckConstraint(
                condition=Q(paid_at__isnull=True) | Q(frozen_at__isnull=False), name="infra_provision_paid_is_frozen"
            ),
            models.CheckConstraint(
                condition=Q(state=ProvisionState.CANCELLED, cancelled_at__isnull=False)
                | (~Q(state=ProvisionState.CANCELLED) & Q(cancelled_at__isnull=True)),
                name="infra_provision_cancelled_paired",
            ),
        ]
        indexes = [models.Index(fields=["state"], name="infra_provision_state")]

    def __str__(self) -> str:
        return self.reference

    def takes(self) -> tuple[int, int]:
        """Return how many domains this order is for at least and at most: what its package holds, less what is there
        already. The two differ only where the quantity is the student's."""
        if self.tier is None:
            return 0, 0
        there = int(self.enlarges.order["domain_count"]) if self.enlarges else 0
        if self.tier.domain_count_max is None:
            return self.tier.domain_count - there, self.tier.domain_count - there
        return max(1, self.tier.domain_count - there), max(0, self.tier.domain_count_max - there)

    def adds(self, chosen: int = 0) -> tuple[int, int]:
        """Return how many domains and mailboxes this order is for, as `takes` says.

        Where the quantity is the student's, that is as many as are `chosen`, within what the package allows.
        """
        if self.tier is None:
            return 0, 0
        fewest, most = self.takes()
        domains = min(max(chosen, fewest), most)
        if self.tier.domain_count_max is not None:
            return domains, self.tier.mailbox_count * domains
        there = int(self.enlarges.order["mailbox_count"]) if self.enlarges else 0
        return domains, self.tier.mailbox_count - there
