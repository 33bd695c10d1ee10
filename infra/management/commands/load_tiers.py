"""`manage.py load_tiers`: the default packages of the specification. Running it again changes nothing that was edited."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from django.core.management.base import BaseCommand

from infra import rls
from infra.models import Tier


class Default(NamedTuple):
    """A package as the specification lists it. Fees in cents of US dollars."""

    name: str
    domains: int
    mailboxes: int
    setup_cents: int
    monthly_cents: int

    @property
    def slug(self) -> str:
        return self.name.lower()


ZAPMAIL = (
    Default("Starter", 3, 6, 9700, 4700),
    Default("Growth", 5, 10, 14700, 7700),
    Default("Scale", 10, 20, 24700, 14700),
)

# By stack; each stack has packages of its own.
DEFAULTS: Mapping[str, tuple[Default, ...]] = {"zapmail": ZAPMAIL}


class Command(BaseCommand):
    help = "Create the default tiers that are missing."

    def handle(self, *args: Any, **options: Any) -> None:
        rls.set_role("worker")
        rows = [(stack, default) for stack, defaults in DEFAULTS.items() for default in defaults]
        created = 0
        for order, (stack, default) in enumerate(rows, start=1):
            _tier, is_new = Tier.objects.get_or_create(
                slug=default.slug,
                defaults={
                    "name": default.name,
                    "stack": stack,
                    "domain_count": default.domains,
                    "mailbox_count": default.mailboxes,
                    "setup_fee_cents": default.setup_cents,
                    "monthly_fee_cents": default.monthly_cents,
                    "sort_order": order,
                },
            )
            created += is_new
        self.stdout.write(f"{created} tiers created, {len(rows) - created} were there already.")
