from __future__ import annotations

import pytest
from django.test import Client

from billing import gateway, prices
from tests.integration.billing.shop import Shop, gateway_over


@pytest.fixture
def shop(db: None, client: Client, monkeypatch: pytest.MonkeyPatch) -> Shop:
    """A student with a complete draft, prices at Stripe, and our gateway on the simulated account."""
    shop = Shop.open(client)
    ours = gateway_over(shop.sandbox.transport())
    monkeypatch.setattr(gateway, "current", lambda: ours)
    prices.sync_prices(actor="test")
    shop.provision.tier.refresh_from_db()  # type: ignore[union-attr]
    return shop
