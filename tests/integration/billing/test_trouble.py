"""What happens to a payment afterwards and a person must hear of: disputes, refunds made elsewhere, ended subscriptions."""

from __future__ import annotations

from typing import Any

import pytest

from billing import cancellation, gateway, refunds, webhooks
from billing.models import Payment, WebhookEvent
from infra.models import OperatorItem
from integrations.sandbox import stripe_life
from integrations.sandbox.stripe import Account
from provisioning.models import Event
from tests.integration.billing.shop import Shop
from tests.integration.billing.test_refunds import lost_domain, paid
from tests.integration.billing.test_webhook_view import EVENT


def dispute(**names: Any) -> dict[str, Any]:
    """Return a dispute as Stripe sends it: it names a charge and a payment intent, and no customer."""
    return {
        "id": "dp_1",
        "object": "dispute",
        "amount": 14400,
        "currency": "usd",
        "metadata": {},
        "reason": "fraudulent",
        "status": "needs_response",
        **names,
    }


def hear(shop: Shop, kind: str, subject: dict[str, Any]) -> WebhookEvent:
    shop.post_event({**EVENT, "id": "evt_trouble", "type": kind, "data": {"object": subject}})
    webhooks.drain(10)
    return WebhookEvent.objects.get(event_id="evt_trouble")


def charge_of(shop: Shop) -> dict[str, Any]:
    (charge,) = shop.sandbox.world.stripe["charges"].values()
    return charge  # type: ignore[no-any-return]


# --- disputes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("expanded", [False, True])
def test_a_dispute_of_a_payment_is_the_operators(shop: Shop, expanded: bool) -> None:
    paid(shop)
    found = disputed_at_stripe(shop)
    intent = Payment.objects.get().stripe_payment_intent_id
    named: Any = {"id": intent, "object": "payment_intent"} if expanded else intent
    event = hear(shop, "charge.dispute.created", found | {"payment_intent": named})
    assert event.state == "done"
    assert OperatorItem.objects.get(kind="dispute").provision == shop.provision
    assert Event.objects.get(kind="disputed").provision == shop.provision


def test_a_dispute_that_names_only_its_charge_finds_the_order_as_well(shop: Shop) -> None:
    paid(shop)
    hear(shop, "charge.dispute.created", disputed_at_stripe(shop) | {"payment_intent": None})
    assert OperatorItem.objects.get(kind="dispute").provision == shop.provision


def disputed_at_stripe(shop: Shop) -> dict[str, Any]:
    account = Account(shop.sandbox.world, shop.sandbox.clock.real())
    return stripe_life.dispute(account, charge_of(shop))


@pytest.mark.parametrize("names", [{}, {"charge": "ch_unknown"}, {"charge": "ch_unknown", "payment_intent": "pi_x"}])
def test_a_dispute_of_a_payment_that_we_do_not_know_is_the_operators_too(shop: Shop, names: dict[str, str]) -> None:
    paid(shop)
    Payment.objects.update(stripe_payment_intent_id="")  # an empty name must not match an empty name
    hear(shop, "charge.dispute.created", dispute(**names))
    item = OperatorItem.objects.get(kind="payment_trouble")
    assert (item.provision, "dp_1" in item.sentence) == (None, True)


def test_a_dispute_may_be_heard_before_its_payment(shop: Shop) -> None:
    shop.press(shop.order(), "pay")
    hear(shop, "charge.dispute.created", disputed_at_stripe(shop) | {"payment_intent": None})
    assert shop.state() == "suspended"
    assert OperatorItem.objects.get(kind="dispute").provision == shop.provision
    assert Event.objects.get(kind="disputed").provision == shop.provision


# --- refunds ----------------------------------------------------------------------------------------------------------


def test_a_refund_made_in_stripes_dashboard_may_be_heard_before_its_payment(shop: Shop) -> None:
    shop.press(shop.order(), "pay")
    refund_by_hand(charge_of(shop)["payment_intent"])
    hear(shop, "charge.refunded", charge_of(shop))
    assert shop.state() == "provisioning"
    assert OperatorItem.objects.get(kind="payment_trouble").provision == shop.provision


def refund_by_hand(payment_intent_id: str) -> None:
    gateway.current().create_refund(
        payment_intent_id=payment_intent_id,
        amount_cents=5000,
        refund_id="made by hand",
        reference="",
        duplicate=False,
        key="by-hand",
    )


def test_a_refund_made_in_stripes_dashboard_is_the_operators_once(shop: Shop) -> None:
    paid(shop)
    refund_by_hand(Payment.objects.get().stripe_payment_intent_id)
    shop.deliver()
    webhooks.drain(10)
    item = OperatorItem.objects.get(kind="payment_trouble")
    assert item.provision == shop.provision
    assert "5000 usd were refunded at Stripe" in item.sentence
    OperatorItem.close("payment_trouble", key=item.key.partition(":")[2], resolution="agreed with the student")
    hear(shop, "charge.refunded", charge_of(shop))
    assert OperatorItem.objects.filter(kind="payment_trouble").count() == 1


def test_our_own_refunds_are_no_news(shop: Shop) -> None:
    paid(shop)
    lost_domain(shop)
    refunds.drain(10)
    shop.deliver()
    shop.work()
    assert WebhookEvent.objects.get(type="charge.refunded").state == "done"
    assert not OperatorItem.objects.exists()


def test_a_refund_of_another_product_on_the_account_is_left_alone(shop: Shop) -> None:
    event = hear(shop, "charge.refunded", {"id": "ch_foreign", "object": "charge", "payment_intent": "pi_foreign"})
    assert (event.state, OperatorItem.objects.count()) == ("ignored", 0)


# --- subscriptions ----------------------------------------------------------------------------------------------------


def end_at_stripe(shop: Shop) -> None:
    (subscription_id,) = shop.sandbox.world.stripe["subscriptions"]
    gateway.current().cancel_subscription(subscription_id)
    shop.deliver()


def test_a_subscription_that_ends_while_building_takes_the_order_down(shop: Shop) -> None:
    paid(shop)
    end_at_stripe(shop)
    shop.work()
    assert not OperatorItem.objects.exists()
    assert Event.objects.filter(kind="subscription_over").count() == 1
    assert shop.state() == "cancelled"


def test_the_end_of_a_subscription_may_be_heard_before_its_payment(shop: Shop) -> None:
    shop.press(shop.order(), "pay")
    end_at_stripe(shop)
    ended = WebhookEvent.objects.get(type="customer.subscription.deleted")
    WebhookEvent.objects.exclude(pk=ended.pk).delete()
    webhooks.drain(10)
    assert shop.state() == "cancelled"
    assert Payment.objects.count() == 1


def test_the_end_of_a_cancelled_orders_subscription_is_no_news(shop: Shop) -> None:
    paid(shop)
    cancellation.cancel_order(provision=shop.provision, actor="operator", reason="asked for")
    OperatorItem.open("subscription_not_ended", key=str(shop.provision.pk), sentence="x", provision=shop.provision)
    shop.deliver()
    webhooks.drain(10)
    assert not OperatorItem.objects.filter(resolved_at__isnull=True).exists()


def test_the_end_of_another_products_subscription_is_left_alone(shop: Shop) -> None:
    event = hear(shop, "customer.subscription.deleted", {"id": "sub_foreign", "object": "subscription"})
    assert (event.state, OperatorItem.objects.count()) == ("ignored", 0)
