"""`manage.py load_tiers`: the default packages of the specification. Running it again changes nothing that was edited."""

from __future__ import annotations

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


ZAPMAIL = (
    Default("Starter", 3, 6, 9700, 4700),
    Default("Growth", 5, 10, 14700, 7700),
    Default("Scale", 10, 20, 24700, 14700),
)


class Command(BaseCommand):
    help = "Create the default tiers that are missing."

    def handle(self, *args: Any, **options: Any) -> None:
        rls.set_role("worker")
        created = 0
        for order, default in enumerate(ZAPMAIL, start=1):
            _tier, is_new = Tier.objects.get_or_create(
                slug=default.name.lower(),
                defaults={
                    "name": default.name,
                    "stack": "zapmail",
                    "domain_count": default.domains,
                    "mailbox_count": default.mailboxes,
                    "setup_fee_cents": default.setup_cents,
                    "monthly_fee_cents": default.monthly_cents,
                    "sort_order": order,
                },
            )
            created += is_new
        self.stdout.write(f"{created} tiers created, {len(ZAPMAIL) - created} were there already.")
