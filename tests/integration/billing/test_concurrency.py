"""Real threads on real connections: one purchase heard by many at once ends once. Each race has a control."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from billing import actions, gateway, prices, refunds, webhooks
from billing.actions import CheckoutRefused
from billing.models import Checkout, Payment, Refund, WebhookEvent
from infra.models import Flag, Mail, OrderLine, Tier
from tests.integration.billing.shop import Shop, gateway_over
from tests.integration.billing.threads import THREADS, at_once, nothing_locked, overtaken, together
from tests.integration.world import new_order

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def shop(client: Client, transactional_db: None, monkeypatch: pytest.MonkeyPatch) -> Shop:
    shop = Shop.open(client)
    ours = gateway_over(shop.sandbox.transport())
    monkeypatch.setattr(gateway, "current", lambda: ours)
    prices.sync_prices(actor="test")
    return shop


def test_concurrent_fulfilments_start_one_run(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    checkout = shop.order()
    shop.press(checkout, "pay")
    # All of them hold the same answer of Stripe before the first may write it down.
    with together(monkeypatch, actions, "_record"):
        results = at_once(lambda: actions.fulfil(session_id=checkout.session_id, actor="test"))
    assert {str(result) for result in results} == {"paid"}
    assert Payment.objects.count() == 1
    assert shop.provision.runs.count() == 1
    assert Mail.objects.filter(kind="paid").count() == 1


def test_control_without_the_lock_a_paid_order_is_given_back(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """One has read that the page is open; another one pays the order meanwhile; the first goes on by what it read."""
    checkout = shop.order()
    shop.press(checkout, "pay")

    def fulfil() -> str:
        return actions.fulfil(session_id=checkout.session_id, actor="test")

    with nothing_locked(monkeypatch), overtaken(monkeypatch, actions, "_locked_checkout", fulfil) as other:
        assert (fulfil(), other) == ("refunded", ["paid"])
    assert shop.picture()["refunds"] == [("due", 14400)]


def test_many_workers_drain_the_same_events_once(shop: Shop) -> None:
    shop.sandbox.faults.add("webhook_duplicate", platform="stripe", amount=2)
    shop.press(shop.order(), "pay")
    shop.deliver()
    results = at_once(lambda: webhooks.drain(50))
    assert not [result for result in results if isinstance(result, Exception)]
    assert shop.state() == "provisioning"
    assert shop.picture()["runs"] == ["setup"]
    assert shop.picture()["mails"] == ["paid"]


def test_the_same_event_delivered_at_once_is_stored_once(shop: Shop) -> None:
    event = {
        "id": "evt_1",
        "object": "event",
        "type": "customer.created",
        "livemode": False,
        "data": {"object": {"id": "cus_1"}},
    }
    assert at_once(lambda: shop.post_event(event)) == [200] * THREADS
    assert WebhookEvent.objects.get().deliveries == THREADS


def test_a_delivery_is_stored_and_rung_for_in_one_statement(shop: Shop) -> None:
    """Stripe waits for the answer. Beside it, two statements give the request its role and take it away again."""
    queries = CaptureQueriesContext(connection)
    event = {"id": "evt_1", "object": "event", "type": "x", "livemode": False, "data": {"object": {"id": "cus_1"}}}
    with queries:
        shop.post_event(event)
        shop.post_event(event)
    assert len(queries) == 2 * 3
    assert (WebhookEvent.objects.count(), rings()) == (1, 1)  # the copy is counted; it needs no ring of its own


def rings() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM django_q_ormq")
        return int(cursor.fetchone()[0])


def test_pressing_pay_in_many_tabs_leaves_one_open_page(shop: Shop) -> None:
    def press() -> str:
        return actions.start_checkout(provision=shop.provision, actor="student")

    results = at_once(press)
    assert not [r for r in results if isinstance(r, Exception) and not isinstance(r, CheckoutRefused)]
    assert Checkout.objects.filter(state__in=actions.PAYABLE).count() == 1
    open_pages = [row for row in shop.sandbox.world.stripe["sessions"].values() if row["status"] == "open"]
    assert [row["id"] for row in open_pages] == [Checkout.objects.get(state="open").session_id]


def test_the_last_place_of_a_round_is_given_to_one(shop: Shop) -> None:
    Flag.objects.create(key="orders", phase=Flag.Phase.FIRST, first_count=1)
    tier = Tier.objects.get(slug="starter")
    orders = [shop.provision, *(new_order(name, tier=tier) for name in ("beta", "gamma", "delta", "zeta", "eta"))]
    turn = iter(orders)
    results = at_once(lambda: actions._intend(next(turn), actor="student"))
    refused = [result for result in results if isinstance(result, CheckoutRefused)]
    assert {refusal.code for refusal in refused} == {"orders_stopped"}
    assert (len(refused), Checkout.objects.count()) == (THREADS - 1, 1)


def test_paying_while_pressing_pay_again_never_charges_twice(shop: Shop) -> None:
    checkout = shop.order()
    turn = iter(range(THREADS))

    def pay_or_press() -> object:
        if next(turn) % 2:
            return shop.press(checkout, "pay")
        return actions.start_checkout(provision=shop.provision, actor="student")

    at_once(pay_or_press)
    shop.deliver()
    shop.work()
    paid = Checkout.objects.filter(state="paid").count()
    assert shop.charged() == 14400 * paid
    assert Checkout.objects.filter(state__in=["paid", "open"]).count() == 1


def test_many_workers_send_one_refund(shop: Shop) -> None:
    shop.press(shop.order(), "pay")
    shop.deliver()
    shop.work()
    OrderLine.objects.create(
        provision=shop.provision,
        student=shop.provision.student,
        kind=OrderLine.Kind.DOMAIN_SHARE,
        state=OrderLine.State.REFUND_DUE,
        amount_cents=3233,
    )
    results = at_once(lambda: refunds.drain(10))
    assert not [result for result in results if isinstance(result, Exception)]
    assert Refund.objects.count() == 1
    assert shop.charged() == 14400 - 3233
    assert Mail.objects.filter(kind="refunded").count() == 1
