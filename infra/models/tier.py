from __future__ import annotations

from typing import Any

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from .base import Record


def default_warmup() -> dict[str, Any]:
    """The warmup plan of the specification. Rates in percent, gap in minutes."""
    return {
        "initial_daily_limit": 2,
        "pace_increment": 2,
        "max_daily_limit": 30,
        "reply_rate_percent": 30,
        "randomize_num": 20,
        "slow_rampup": True,
        "campaign_daily_limit": 30,
        "gap_minutes": 5,
    }


class Tier(Record):
    """A package that students can order. Operators edit it; a provision freezes what it needs at "pay"."""

    name = models.CharField(_("name"), max_length=60)
    slug = models.SlugField(_("slug"), unique=True)
    description = models.CharField(_("one line for students"), max_length=200, blank=True)
    stack = models.CharField(_("stack"), max_length=20)
    domain_count = models.PositiveSmallIntegerField(
        _("domains"), validators=[MinValueValidator(1), MaxValueValidator(50)]
    )
    domain_count_max = models.PositiveSmallIntegerField(
        _("domains at most"), null=True, blank=True, help_text=_("Only where the quantity is the student's choice.")
    )
    mailbox_count = models.PositiveSmallIntegerField(
        _("mailboxes"),
        validators=[MinValueValidator(1)],
        help_text=_("In all; per domain where the quantity is the student's choice."),
    )
    dedicated_ip_count = models.PositiveSmallIntegerField(_("dedicated IPs"), default=0)
    setup_fee_cents = models.PositiveIntegerField(_("set-up fee, cents"))
    monthly_fee_cents = models.PositiveIntegerField(_("monthly fee, cents"))
    currency = models.CharField(_("currency"), max_length=3, default="usd")
    domain_price_cap_cents = models.PositiveIntegerField(
        _("price cap per domain, cents"), default=2000, help_text=_("Dearer names are shown as not included.")
    )
    stripe_setup_price_id = models.CharField(max_length=120, blank=True)
    stripe_monthly_price_id = models.CharField(max_length=120, blank=True)
    warmup = models.JSONField(_("warmup settings"), default=default_warmup)
    warmup_days = models.PositiveSmallIntegerField(_("warmup days"), default=14)
    dmarc_policy = models.CharField(_("first DMARC policy"), max_length=12, default="none")
    instructions = models.TextField(_("instructions (Markdown)"), blank=True)
    is_active = models.BooleanField(_("offered"), default=True)
    sort_order = models.PositiveSmallIntegerField(_("order"), default=0)

    class Meta:
        verbose_name = _("tier")
        ordering = ["sort_order", "name"]
        constraints = [
            models.CheckConstraint(
                condition=Q(domain_count_max__isnull=True) | Q(domain_count_max__gte=models.F("domain_count")),
                name="infra_tier_domain_range",
            ),
            models.CheckConstraint(condition=Q(domain_count__gte=1), name="infra_tier_has_domains"),
            models.CheckConstraint(condition=Q(mailbox_count__gte=1), name="infra_tier_has_mailboxes"),
        ]

    def __str__(self) -> str:
        return self.name

    def quantity(self, domains: int) -> int:
        """Return how often its fees are due for so many domains: once, or for each where their number is the student's."""
        return 1 if self.domain_count_max is None else domains
