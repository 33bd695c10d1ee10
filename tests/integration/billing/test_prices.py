"""manage.py stripe_prices: products and prices by lookup key, any number of times."""

from __future__ import annotations

from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from billing import gateway, prices
from infra.models import Tier
from tests.integration.billing.shop import Shop


def held(shop: Shop) -> dict[str, Any]:
    """Return the prices that hold a lookup key."""
    rows = shop.sandbox.world.stripe["prices"].values()
    return {row["lookup_key"]: row for row in rows if row["lookup_key"]}


def test_ids_are_written_to_the_tiers(shop: Shop) -> None:
    tier = Tier.objects.get()
    by_key = held(shop)
    assert tier.stripe_setup_price_id == by_key["gtm_starter_setup"]["id"]
    assert tier.stripe_monthly_price_id == by_key["gtm_starter_monthly"]["id"]
    assert by_key["gtm_starter_setup"]["recurring"] is None
    assert by_key["gtm_starter_monthly"]["recurring"]["interval"] == "month"


def test_a_second_run_makes_nothing(shop: Shop) -> None:
    before = dict(shop.sandbox.world.stripe["prices"])
    assert {row.done for row in prices.sync_prices(actor="test")} == {"kept"}
    assert shop.sandbox.world.stripe["prices"] == before


def test_a_new_amount_is_a_new_price_that_takes_the_key_over(shop: Shop) -> None:
    old = Tier.objects.get().stripe_setup_price_id
    Tier.objects.update(setup_fee_cents=9900)
    prices.sync_prices(actor="test")
    tier = Tier.objects.get()
    new = held(shop)["gtm_starter_setup"]
    assert (tier.stripe_setup_price_id, new["unit_amount"]) == (new["id"], 9900)
    assert new["id"] != old
    assert shop.sandbox.world.stripe["prices"][old]["active"] is False
    assert shop.sandbox.world.stripe["prices"][old]["lookup_key"] is None


def test_going_back_to_an_old_amount_makes_a_price_again(shop: Shop) -> None:
    for cents in (9900, 9700):
        Tier.objects.update(setup_fee_cents=cents)
        prices.sync_prices(actor="test")
    assert held(shop)["gtm_starter_setup"]["unit_amount"] == 9700


def test_an_open_page_still_sells_at_the_old_price(shop: Shop) -> None:
    checkout = shop.order()
    Tier.objects.update(setup_fee_cents=9900)
    prices.sync_prices(actor="test")
    shop.press(checkout, "pay")
    shop.deliver()
    shop.work()
    assert shop.picture()["payments"] == [(14400, 0)]


def test_a_renamed_tier_renames_its_product(shop: Shop) -> None:
    Tier.objects.update(name="Beginner")
    prices.sync_prices(actor="test")
    (product,) = shop.sandbox.world.stripe["products"].values()
    assert product["name"] == "Beginner"


@pytest.mark.parametrize("verb", ["prices.create", "products.create"])
@pytest.mark.parametrize("kind", ["timeout_before", "timeout_after", "kept_500_before", "kept_500_after"])
def test_a_lost_answer_is_mended_by_running_it_again(shop: Shop, verb: str, kind: str) -> None:
    Tier.objects.update(slug="other", setup_fee_cents=500)
    shop.sandbox.faults.add(kind, platform="stripe", verb=verb, times=1)
    with pytest.raises(CommandError, match="run it again"):
        call_command("stripe_prices", stdout=StringIO())
    call_command("stripe_prices", stdout=StringIO())
    keys = [row["lookup_key"] for row in shop.sandbox.world.stripe["prices"].values() if row["active"]]
    assert sorted(key for key in keys if key.startswith("gtm_other")) == ["gtm_other_monthly", "gtm_other_setup"]


def test_the_command_says_what_it_did(shop: Shop) -> None:
    Tier.objects.update(monthly_fee_cents=5000)
    out = StringIO()
    call_command("stripe_prices", stdout=out)
    assert "created" in out.getvalue()
    assert "50.00 USD" in out.getvalue()
    assert "1 created, 2 in all" in out.getvalue()


def test_tiers_that_are_not_offered_are_left_alone(shop: Shop) -> None:
    Tier.objects.update(is_active=False)
    assert prices.sync_prices(actor="test") == []


def test_fees_edited_meanwhile_do_not_get_the_old_prices(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    original = gateway.Gateway.ensure_product

    def edited_meanwhile(self: gateway.Gateway, product_id: str, name: str) -> None:
        original(self, product_id, name)
        Tier.objects.update(setup_fee_cents=1)

    before = Tier.objects.get().stripe_setup_price_id
    Tier.objects.update(setup_fee_cents=8800)
    monkeypatch.setattr(gateway.Gateway, "ensure_product", edited_meanwhile)
    prices.sync_prices(actor="test")
    assert Tier.objects.get().stripe_setup_price_id == before
