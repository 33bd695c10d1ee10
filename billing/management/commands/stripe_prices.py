"""manage.py stripe_prices: make the tiers' products and prices at Stripe and write their ids to the tiers."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from billing.prices import sync_prices
from integrations.http.errors import PlatformError


class Command(BaseCommand):
    help = "Make the products and prices of the offered tiers at Stripe. May run any number of times."

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            rows = sync_prices(actor="stripe_prices")
        except PlatformError as error:
            raise CommandError(f"Stripe could not be asked, run it again later: {error}") from error
        for row in rows:
            amount = f"{row.amount_cents / 100:.2f} {row.currency.upper()}"
            self.stdout.write(f"{row.done:8} {row.lookup_key:32} {amount:>12}  {row.price_id}")
        self.stdout.write(f"{sum(row.done == 'created' for row in rows)} created, {len(rows)} in all")
