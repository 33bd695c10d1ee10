"""The tiers' products and prices at Stripe, found by lookup key, so that the command can run any number of times.

Amounts are immutable there: a new fee is a new price, which takes the lookup key over from the old one.
"""

from __future__ import annotations

from dataclasses import dataclass

from django.db import transaction
from django.utils.translation import gettext as _

from infra.models import Tier
from infra.rls import acting_as
from integrations.http.errors import PlatformError

from . import gateway
from .gateway import Gateway, Price


@dataclass(frozen=True, slots=True)
class Synced:
    """What was done about one price: "kept" or "created"."""

    tier: str
    lookup_key: str
    price_id: str
    amount_cents: int
    currency: str
    done: str


class PricesNotMade(Exception):
    """Stripe could not be asked. The sentence is for the operator."""


def make_prices(*, tier: Tier, actor: str) -> list[Synced]:
    """Make the product and prices of one tier, offered or not. Raises PricesNotMade."""
    try:
        with acting_as("worker"):
            return _sync(gateway.current(), tier)
    except PlatformError as error:
        raise PricesNotMade(_("Stripe could not be asked, try again later: %(error)s") % {"error": error}) from error


def sync_prices(*, actor: str) -> list[Synced]:
    """Make the products and prices of every tier that is offered and write their ids to the tiers.

    Raises PlatformError when Stripe cannot be asked; what was done until then stays, and a repetition goes on there.
    """
    with acting_as("worker"):
        return [row for tier in Tier.objects.filter(is_active=True) for row in _sync(gateway.current(), tier)]


def _sync(stripe: Gateway, tier: Tier) -> list[Synced]:
    product_id = f"gtm_{tier.slug}"
    setup_key, monthly_key = f"gtm_{tier.slug}_setup", f"gtm_{tier.slug}_monthly"
    stripe.ensure_product(product_id, tier.name)
    held = stripe.prices([setup_key, monthly_key])
    setup = _price(stripe, tier, product_id, setup_key, tier.setup_fee_cents, "", held.get(setup_key))
    monthly = _price(stripe, tier, product_id, monthly_key, tier.monthly_fee_cents, "month", held.get(monthly_key))
    with transaction.atomic():
        # Only if the fees are still those that the prices were made for: an operator may have edited them meanwhile.
        Tier.objects.filter(
            pk=tier.pk, setup_fee_cents=tier.setup_fee_cents, monthly_fee_cents=tier.monthly_fee_cents
        ).update(stripe_setup_price_id=setup.price_id, stripe_monthly_price_id=monthly.price_id)
    return [setup, monthly]


def _price(
    stripe: Gateway, tier: Tier, product_id: str, lookup_key: str, amount: int, interval: str, held: Price | None
) -> Synced:
    wanted = (product_id, amount, tier.currency, interval)
    if held is not None and (held.product_id, held.amount_cents, held.currency, held.interval) == wanted:
        return Synced(tier.slug, lookup_key, held.id, amount, tier.currency, "kept")
    price = stripe.create_price(
        product_id=product_id,
        lookup_key=lookup_key,
        amount_cents=amount,
        currency=tier.currency,
        interval=interval,
    )
    if held is not None:
        stripe.deactivate_price(held.id)
    return Synced(tier.slug, lookup_key, price.id, amount, tier.currency, "created")
