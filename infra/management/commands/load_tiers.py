"""`manage.py load_tiers`: the default packages of the specification. Running it again changes nothing that was edited."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from django.core.management.base import BaseCommand

from infra import rls
from infra.models import Tier
from infra.models.tier import default_warmup


class Default(NamedTuple):
    """A package as the specification lists it. Fees in cents of US dollars."""

    name: str
    domains: int
    mailboxes: int
    setup_cents: int
    monthly_cents: int
    ips: int = 0
    most_warmup: int = 30  # mails a day
    most_domains: int | None = (
        None  # where the number of domains is the student's choice; fees and mailboxes are for each
    )

    @property
    def slug(self) -> str:
        return self.name.lower().replace(" ", "-")

    def as_tier(self, stack: str) -> dict[str, Any]:
        """Return the columns of its row."""
        return {
            "name": self.name,
            "stack": stack,
            "domain_count": self.domains,
            "domain_count_max": self.most_domains,
            "mailbox_count": self.mailboxes,
            "dedicated_ip_count": self.ips,
            "setup_fee_cents": self.setup_cents,
            "monthly_fee_cents": self.monthly_cents,
            "warmup": {**default_warmup(), "max_daily_limit": self.most_warmup},
        }


ZAPMAIL = (
    Default("Starter", 3, 6, 9700, 4700),
    Default("Growth", 5, 10, 14700, 7700),
    Default("Scale", 10, 20, 24700, 14700),
)

# Warmforge takes no more than 20 mails a day.
FORGE = (
    Default("Ignition", 2, 3, 9700, 14900, ips=1, most_warmup=20),
    Default("Velocity", 3, 6, 14700, 19900, ips=1, most_warmup=20),
    Default("Dominance", 5, 11, 24700, 34900, ips=2, most_warmup=20),
)

WORKSPACE = (Default("Own domains", 1, 2, 4900, 1500, most_domains=50),)

# By stack; each stack has packages of its own.
DEFAULTS: Mapping[str, tuple[Default, ...]] = {"zapmail": ZAPMAIL, "forge": FORGE, "workspace": WORKSPACE}


class Command(BaseCommand):
    help = "Create the default tiers that are missing."

    def handle(self, *args: Any, **options: Any) -> None:
        rls.set_role("worker")
        rows = [(stack, default) for stack, defaults in DEFAULTS.items() for default in defaults]
        created = 0
        for order, (stack, default) in enumerate(rows, start=1):
            _tier, is_new = Tier.objects.get_or_create(
                slug=default.slug,
                defaults={**default.as_tier(stack), "sort_order": order},
            )
            created += is_new
        self.stdout.write(f"{created} tiers created, {len(rows) - created} were there already.")
