from __future__ import annotations

from django.conf import settings
from django.db import models, transaction
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from .base import Record, empty_facts
from .provision import Provision
from .states import DomainState

GONE = (DomainState.LOST, DomainState.EXPIRED, DomainState.RELEASED)
# What an order has: a domain that was bought for it, or its student's own that was proven to lead to us.
HELD = Q(bought_at__isnull=False) | Q(connected_at__isnull=False)


class Origin(models.TextChoices):
    """Where a domain comes from."""

    BOUGHT = "bought", _("Bought for the order")
    OWN = "own", _("The student's own")


class Domain(Record):
    """A sending domain of a provision: chosen, spare, bought, running, gone.

    One of the student's own is `connected_at` some moment instead of bought: its nameservers proved whose it is. It is paid
    for and renewed at the student's registrar.
    """

    provision = models.ForeignKey(Provision, on_delete=models.CASCADE, related_name="domains")
    student = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    name = models.CharField(_("name"), max_length=253)
    origin = models.CharField(max_length=8, choices=Origin, default=Origin.BOUGHT, db_default=Origin.BOUGHT)
    state = models.CharField(max_length=24, choices=DomainState, default=DomainState.SELECTED)
    position = models.PositiveSmallIntegerField(default=0)
    price_cents = models.PositiveIntegerField(default=0)
    renewal_cents = models.PositiveIntegerField(default=0)
    ordered_at = models.DateTimeField(null=True, blank=True)
    bought_at = models.DateTimeField(null=True, blank=True)
    connected_at = models.DateTimeField(null=True, blank=True)
    expires_at = models.DateTimeField(null=True, blank=True)
    reason = models.CharField(max_length=300, blank=True)
    facts = models.JSONField(default=empty_facts)

    class Meta:
        verbose_name = _("domain")
        ordering = ["position", "name"]
        constraints = [
            models.UniqueConstraint(
                fields=["name"],
                condition=Q(ordered_at__isnull=False) & ~Q(state__in=GONE),
                name="infra_domain_one_live_name",
            ),
            models.UniqueConstraint(fields=["provision", "name"], name="infra_domain_once_per_provision"),
            models.UniqueConstraint(fields=["id", "student"], name="infra_domain_id_student"),
            models.CheckConstraint(
                condition=Q(bought_at__isnull=True) | Q(ordered_at__isnull=False),
                name="infra_domain_bought_was_ordered",
            ),
            models.CheckConstraint(
                condition=Q(connected_at__isnull=True) | Q(ordered_at__isnull=False),
                name="infra_domain_connected_was_ordered",
            ),
            models.CheckConstraint(
                condition=Q(origin=Origin.BOUGHT, connected_at__isnull=True)
                | Q(origin=Origin.OWN, bought_at__isnull=True, price_cents=0),
                name="infra_domain_own_is_not_bought",
            ),
            models.CheckConstraint(
                condition=Q(origin=Origin.BOUGHT) | ~Q(state=DomainState.SPARE), name="infra_domain_own_is_no_spare"
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def is_own(self) -> bool:
        """Whether the student owned it before the order."""
        return self.origin == Origin.OWN

    @property
    def is_held(self) -> bool:
        """Whether the order has it: `HELD` for one row."""
        return self.bought_at is not None or self.connected_at is not None


class DomainHold(Record):
    """A soft hold, so that two students do not order one name. `expires_at` is machine time."""

    name = models.CharField(max_length=253)
    provision = models.ForeignKey(Provision, on_delete=models.CASCADE, related_name="holds")
    student = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    expires_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["name"], name="infra_domainhold_one_per_name")]

    @classmethod
    def let_go(cls, provision: Provision) -> None:
        """Let a provision's names go: one after the other by name, as they are taken, so that nobody waits in a circle."""
        with transaction.atomic():
            mine = cls.objects.filter(provision=provision)
            list(mine.select_for_update(of=("self",)).order_by("name").values_list("pk", flat=True))
            mine.delete()
