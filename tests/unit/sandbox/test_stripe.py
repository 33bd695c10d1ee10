"""Section 6 of platforms/stripe.md, "What the sandbox must reproduce": the API and its objects, judged by the SDK."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import stripe

from integrations.sandbox import Request
from tests.unit.sandbox.stripe_sdk import NOW, Shop


@pytest.fixture
def shop() -> Shop:
    return Shop()


# --- basics: section 1 --------------------------------------------------------------------------------------------


def test_a_wrong_key_is_401(shop: Shop) -> None:
    wrong = stripe.StripeClient(
        "sk_test_wrong",
        base_addresses={"api": "http://sandbox.test/stripe"},
        max_network_retries=0,
        http_client=shop.http,
    )
    with pytest.raises(stripe.AuthenticationError) as caught:
        wrong.v1.products.list()
    assert "sk_test_wrong" not in str(caught.value)


def test_an_unknown_address_is_404_in_stripes_shape(shop: Shop) -> None:
    response = shop.sandbox.handle(
        Request.to("GET", "/stripe/v1/unicorns", headers={"Authorization": "Bearer sk_test_sandbox"})
    )
    assert response.status == 404
    assert response.json()["error"]["type"] == "invalid_request_error"


def test_a_body_that_is_no_text_is_400(shop: Shop) -> None:
    headers = {"Authorization": "Bearer sk_test_sandbox"}
    response = shop.sandbox.handle(Request.to("POST", "/stripe/v1/products", headers=headers, body=b"\xff\xfe=1"))
    assert response.status == 400


def test_unknown_parameters_are_refused(shop: Shop) -> None:
    with pytest.raises(stripe.InvalidRequestError) as caught:
        shop.checkout(colour="red")
    assert (caught.value.http_status, caught.value.code, caught.value.param) == (400, "parameter_unknown", "colour")


def test_a_missing_object_is_resource_missing(shop: Shop) -> None:
    with pytest.raises(stripe.InvalidRequestError) as caught:
        shop.v1.subscriptions.retrieve("sub_none")
    assert (caught.value.http_status, caught.value.code) == (404, "resource_missing")


OBJECTS: list[tuple[str, type[stripe.StripeObject]]] = [
    ("products", stripe.Product),
    ("prices", stripe.Price),
    ("customers", stripe.Customer),
    ("sessions", stripe.checkout.Session),
    ("subscriptions", stripe.Subscription),
    ("invoices", stripe.Invoice),
    ("payment_intents", stripe.PaymentIntent),
    ("charges", stripe.Charge),
    ("refunds", stripe.Refund),
    ("balance_transactions", stripe.BalanceTransaction),
    ("events", stripe.Event),
]


@pytest.mark.parametrize(("collection", "declared"), OBJECTS)
def test_replies_have_only_members_that_the_sdk_declares(
    shop: Shop, collection: str, declared: type[stripe.StripeObject]
) -> None:
    session = shop.v1.checkout.sessions.retrieve(shop.paid().id, {"expand": ["invoice.payments"]})
    payment = session["invoice"]["payments"]["data"][0]
    shop.v1.refunds.create({"payment_intent": payment["payment"]["payment_intent"], "amount": 100})
    shop.sandbox.advance(120)
    rows = shop.sandbox.world.stripe[collection].values()
    assert rows
    for row in rows:
        own = {name for name in row if name.startswith("_")}
        assert set(row) - own <= set(declared.__annotations__)


# --- products and prices: section 2 -------------------------------------------------------------------------------


def test_a_product_may_bring_its_own_id_once(shop: Shop) -> None:
    with pytest.raises(stripe.InvalidRequestError) as caught:
        shop.v1.products.create({"id": "prod_starter", "name": "Again"})
    assert caught.value.code == "resource_already_exists"


def test_prices_are_found_by_lookup_key(shop: Shop) -> None:
    found = shop.v1.prices.list({"lookup_keys": ["starter_setup", "absent"], "active": True})
    assert [price.id for price in found.data] == [shop.setup.id]


def test_a_lookup_key_moves_only_when_transferred(shop: Shop) -> None:
    new: Any = {"product": "prod_starter", "currency": "usd", "unit_amount": 9900, "lookup_key": "starter_setup"}
    with pytest.raises(stripe.InvalidRequestError):
        shop.v1.prices.create(new)
    new["transfer_lookup_key"] = True
    price = shop.v1.prices.create(new)
    assert [p.id for p in shop.v1.prices.list({"lookup_keys": ["starter_setup"]}).data] == [price.id]
    assert shop.v1.prices.retrieve(shop.setup.id).lookup_key is None


@pytest.mark.parametrize("name", ["unit_amount", "currency", "product", "recurring"])
def test_what_a_price_is_cannot_be_updated(shop: Shop, name: str) -> None:
    changes: Any = {name: "1"}
    with pytest.raises(stripe.InvalidRequestError) as caught:
        shop.v1.prices.update(shop.setup.id, changes)
    assert caught.value.code == "parameter_unknown"


def test_a_price_is_switched_off(shop: Shop) -> None:
    assert shop.v1.prices.update(shop.setup.id, {"active": False}).active is False
    with pytest.raises(stripe.InvalidRequestError, match="inactive"):
        shop.checkout()


# --- Checkout Session life ----------------------------------------------------------------------------------------


def test_a_new_session_is_open_with_an_absolute_address_and_makes_nothing_else(shop: Shop) -> None:
    session = shop.checkout()
    assert (session.status, session.payment_status, session.url) == (
        "open",
        "unpaid",
        f"http://sandbox.test/stripe/pay/{session.id}",
    )
    assert session.amount_total == 14400
    world = shop.sandbox.world.stripe
    assert [world[name] for name in ("subscriptions", "customers", "invoices")] == [{}, {}, {}]


@pytest.mark.parametrize("name", ["success_url", "cancel_url"])
@pytest.mark.parametrize("address", ["/return/", "shop.test/x", "ftp://shop.test/", "http://", "http://a b/"])
def test_relative_and_malformed_addresses_are_refused(shop: Shop, name: str, address: str) -> None:
    with pytest.raises(stripe.InvalidRequestError, match="Not a valid URL") as caught:
        shop.checkout(**{name: address})
    assert (caught.value.code, caught.value.param) == ("url_invalid", name)


def test_an_address_has_at_most_5000_characters(shop: Shop) -> None:
    with pytest.raises(stripe.InvalidRequestError, match="5000 characters or less"):
        shop.checkout(success_url="http://shop.test/" + "x" * 5000)


@pytest.mark.parametrize(("seconds", "fine"), [(1799, False), (1800, True), (86400, True), (86401, False)])
def test_the_window_of_expires_at(shop: Shop, seconds: int, fine: bool) -> None:
    if fine:
        assert shop.checkout(expires_at=NOW + seconds).expires_at == NOW + seconds
    else:
        with pytest.raises(stripe.InvalidRequestError) as caught:
            shop.checkout(expires_at=NOW + seconds)
        assert caught.value.param == "expires_at"


def test_without_expires_at_a_session_lives_24_hours(shop: Shop) -> None:
    assert shop.checkout(expires_at=None).expires_at == NOW + 86400


@pytest.mark.parametrize(
    "changes",
    [
        lambda shop: {"mode": None},
        lambda shop: {"line_items": None},
        lambda shop: {"success_url": None},
        lambda shop: {"customer_creation": "always"},
        lambda shop: {"customer": "cus_none", "customer_email": None},
        lambda shop: {"customer_email": "no address"},
        lambda shop: {"line_items": [{"price": shop.setup.id, "quantity": 1}]},
        lambda shop: {"line_items": [{"price": "price_none", "quantity": 1}]},
        lambda shop: {"line_items": [{"price": shop.monthly.id}]},
        lambda shop: {"line_items": [{"price": shop.monthly.id, "quantity": 1}] * 21},
        lambda shop: {"ui_mode": "embedded_page"},
        lambda shop: {"subscription_data": {"billing_mode": {"type": "baroque"}}},
    ],
)
def test_sessions_that_stripe_refuses(shop: Shop, changes: Callable[[Shop], dict[str, Any]]) -> None:
    with pytest.raises(stripe.InvalidRequestError) as caught:
        shop.checkout(**changes(shop))
    assert caught.value.http_status == 400


def test_paying_makes_customer_subscription_and_a_first_invoice_with_both_lines(shop: Shop) -> None:
    session = shop.paid()
    assert (session.status, session.payment_status, session.url) == ("complete", "paid", None)
    subscription = shop.v1.subscriptions.retrieve(session.subscription)
    assert subscription.status == "active"
    assert subscription.metadata.to_dict() == {"provision_ref": "GTM-7K3F9Q"}
    assert [item.price.id for item in subscription["items"]["data"]] == [shop.monthly.id]
    invoice = shop.v1.invoices.retrieve(session.invoice)
    assert (invoice.status, invoice.amount_paid, invoice.billing_reason) == ("paid", 14400, "subscription_create")
    assert sorted(line.amount for line in invoice.lines.data) == [4700, 9700]
    assert invoice.parent is not None
    assert invoice.parent.subscription_details is not None
    assert invoice.parent.subscription_details.subscription == session.subscription


def test_what_is_expanded_appears_and_what_is_not_is_absent(shop: Shop) -> None:
    session = shop.paid()
    assert "line_items" not in session
    assert "payments" not in shop.v1.invoices.retrieve(session.invoice)
    full = shop.v1.checkout.sessions.retrieve(
        session.id, {"expand": ["line_items", "invoice.payments", "subscription"]}
    )
    assert [line["amount_total"] for line in full["line_items"]["data"]] == [9700, 4700]
    assert full["invoice"]["payments"]["data"][0]["status"] == "paid"
    assert full["subscription"]["id"] == session.subscription


def test_expansion_goes_four_levels_deep(shop: Shop) -> None:
    invoice = shop.paid().invoice
    deep = shop.v1.invoices.retrieve(invoice, {"expand": ["payments.data.payment.payment_intent"]})
    assert deep["payments"]["data"][0]["payment"]["payment_intent"]["status"] == "succeeded"
    with pytest.raises(stripe.InvalidRequestError, match="more than 4 levels"):
        shop.v1.invoices.retrieve(invoice, {"expand": ["payments.data.payment.payment_intent.latest_charge"]})


def test_what_cannot_be_expanded_is_refused(shop: Shop) -> None:
    with pytest.raises(stripe.InvalidRequestError, match="cannot be expanded"):
        shop.v1.checkout.sessions.retrieve(shop.paid().id, {"expand": ["mode"]})


def test_the_period_is_a_calendar_month_on_the_item(shop: Shop) -> None:
    subscription = shop.v1.subscriptions.retrieve(shop.paid().subscription)
    item = subscription["items"]["data"][0]
    assert "current_period_end" not in subscription
    assert (item.current_period_end - item.current_period_start) // 86400 in (28, 29, 30, 31)


def test_a_session_expires_by_the_clock(shop: Shop) -> None:
    session = shop.checkout()
    shop.sandbox.advance(3601)
    assert shop.v1.checkout.sessions.retrieve(session.id).status == "expired"
    assert shop.event_types() == ["checkout.session.expired"]


def test_a_session_expires_by_a_call_only_while_open(shop: Shop) -> None:
    assert shop.v1.checkout.sessions.expire(shop.checkout().id).status == "expired"
    with pytest.raises(stripe.InvalidRequestError, match="status of `complete`"):
        shop.v1.checkout.sessions.expire(shop.paid().id)


def test_sessions_are_listed_by_subscription_and_status(shop: Shop) -> None:
    session, other = shop.paid(), shop.checkout()
    assert [s.id for s in shop.v1.checkout.sessions.list({"subscription": session.subscription}).data] == [session.id]
    assert [s.id for s in shop.v1.checkout.sessions.list({"status": "open"}).data] == [other.id]


# --- delayed payment ----------------------------------------------------------------------------------------------


def test_a_bank_debit_completes_unpaid_then_succeeds(shop: Shop) -> None:
    session = shop.checkout()
    shop.press(session.id, "later")
    waiting = shop.v1.checkout.sessions.retrieve(session.id)
    assert (waiting.status, waiting.payment_status) == ("complete", "unpaid")
    shop.press(session.id, "debit_succeeds")
    assert shop.v1.checkout.sessions.retrieve(session.id).payment_status == "paid"
    assert shop.event_types()[-1] == "checkout.session.async_payment_succeeded"
    assert waiting.invoice is not None
    assert shop.v1.invoices.retrieve(str(waiting.invoice)).status == "paid"


def test_a_bank_debit_that_fails_leaves_the_session_complete_and_unpaid(shop: Shop) -> None:
    session = shop.checkout()
    shop.press(session.id, "later")
    shop.press(session.id, "debit_fails")
    failed = shop.v1.checkout.sessions.retrieve(session.id)
    assert (failed.status, failed.payment_status) == ("complete", "unpaid")
    assert shop.event_types()[-1] == "checkout.session.async_payment_failed"
    assert b"no such button" not in shop.press(session.id, "debit_succeeds").body
    assert shop.v1.checkout.sessions.retrieve(session.id).payment_status == "unpaid"


# --- subscriptions and refunds ------------------------------------------------------------------------------------


def test_cancelling_at_once(shop: Shop) -> None:
    subscription = shop.v1.subscriptions.cancel(str(shop.paid().subscription))
    assert (subscription.status, subscription.ended_at) == ("canceled", NOW)
    assert shop.event_types()[-1] == "customer.subscription.deleted"
    with pytest.raises(stripe.InvalidRequestError):
        shop.v1.subscriptions.cancel(subscription.id)


def test_cancelling_at_period_end_ends_at_the_real_end(shop: Shop) -> None:
    identifier = str(shop.paid().subscription)
    shop.v1.subscriptions.update(identifier, {"cancel_at_period_end": True})
    assert shop.v1.subscriptions.retrieve(identifier).status == "active"
    updated = list(shop.sandbox.world.stripe["events"].values())[-1]
    assert updated["type"] == "customer.subscription.updated"
    assert updated["data"]["previous_attributes"]["cancel_at_period_end"] is False
    shop.sandbox.advance(32 * 86400)
    assert shop.v1.subscriptions.retrieve(identifier).status == "canceled"
    assert shop.event_types()[-1] == "customer.subscription.deleted"


def test_ending_the_cancellation_keeps_the_subscription(shop: Shop) -> None:
    identifier = str(shop.paid().subscription)
    shop.v1.subscriptions.update(identifier, {"cancel_at_period_end": True})
    shop.v1.subscriptions.update(identifier, {"cancel_at_period_end": False})
    shop.sandbox.advance(32 * 86400)
    assert shop.v1.subscriptions.retrieve(identifier).status == "active"


def payment_intent_of(shop: Shop, session: Any) -> str:
    invoice = shop.v1.invoices.retrieve(session.invoice, {"expand": ["payments"]})
    return str(invoice["payments"]["data"][0]["payment"]["payment_intent"])


def test_refunds_in_parts_never_exceed_the_charge(shop: Shop) -> None:
    intent = payment_intent_of(shop, shop.paid())
    first = shop.v1.refunds.create({"payment_intent": intent, "amount": 3233, "metadata": {"key": "a"}})
    assert (first.amount, first.status) == (3233, "succeeded")
    with pytest.raises(stripe.InvalidRequestError, match="greater than unrefunded"):
        shop.v1.refunds.create({"payment_intent": intent, "amount": 14400})
    shop.v1.refunds.create({"payment_intent": intent})
    with pytest.raises(stripe.InvalidRequestError) as caught:
        shop.v1.refunds.create({"payment_intent": intent})
    assert caught.value.code == "charge_already_refunded"
    assert sum(refund.amount for refund in shop.v1.refunds.list({"payment_intent": intent}).data) == 14400
    assert shop.event_types()[-1] == "charge.refunded"


def test_what_was_not_paid_cannot_be_refunded(shop: Shop) -> None:
    session = shop.checkout()
    shop.press(session.id, "later")
    with pytest.raises(stripe.InvalidRequestError) as caught:
        shop.v1.refunds.create(
            {"payment_intent": payment_intent_of(shop, shop.v1.checkout.sessions.retrieve(session.id))}
        )
    assert caught.value.code == "payment_intent_unexpected_state"


def test_lists_page_from_newest_to_oldest(shop: Shop) -> None:
    for _ in range(3):
        shop.checkout()
    pages = shop.v1.checkout.sessions.list({"limit": 2})
    assert pages.has_more
    everything = [session.id for session in pages.auto_paging_iter()]
    assert everything == list(reversed(shop.sandbox.world.stripe["sessions"]))


# --- idempotency over the wire: section 3 -------------------------------------------------------------------------


def test_the_same_key_replays_the_first_answer(shop: Shop) -> None:
    options: Any = {"idempotency_key": "op:1"}
    first = shop.v1.checkout.sessions.create(shop.parameters(), options)
    assert "idempotent-replayed" not in shop.http.headers
    again = shop.v1.checkout.sessions.create(shop.parameters(), options)
    assert (again.id, shop.http.headers["idempotent-replayed"]) == (first.id, "true")
    assert len(shop.sandbox.world.stripe["sessions"]) == 1


def test_the_same_key_with_other_parameters_is_an_idempotency_error(shop: Shop) -> None:
    options: Any = {"idempotency_key": "op:1"}
    shop.v1.checkout.sessions.create(shop.parameters(), options)
    with pytest.raises(stripe.IdempotencyError):
        shop.v1.checkout.sessions.create(shop.parameters(locale="de"), options)


def test_a_validation_error_is_not_kept_under_the_key(shop: Shop) -> None:
    options: Any = {"idempotency_key": "op:1"}
    with pytest.raises(stripe.InvalidRequestError):
        shop.v1.checkout.sessions.create(shop.parameters(success_url="/relative/"), options)
    assert shop.v1.checkout.sessions.create(shop.parameters(), options).status == "open"


@pytest.mark.parametrize(("kind", "made"), [("kept_500_before", 0), ("kept_500_after", 1)])
def test_a_500_is_kept_under_its_key_and_a_new_key_begins_anew(shop: Shop, kind: str, made: int) -> None:
    shop.sandbox.faults.add(kind, platform="stripe", verb="checkout.sessions.create", times=1, value="false")
    for _ in range(2):
        with pytest.raises(stripe.APIError):
            shop.v1.checkout.sessions.create(shop.parameters(), {"idempotency_key": "op:1"})
    assert len(shop.sandbox.world.stripe["sessions"]) == made
    assert shop.v1.checkout.sessions.create(shop.parameters(), {"idempotency_key": "op:2"}).status == "open"


def test_a_500_says_whether_to_retry_when_told_to(shop: Shop) -> None:
    shop.sandbox.faults.add("kept_500_before", platform="stripe", times=1, value="true")
    with pytest.raises(stripe.APIError):
        shop.checkout()
    assert shop.http.headers["stripe-should-retry"] == "true"


def test_a_key_in_use_is_409_until_its_request_has_executed(shop: Shop) -> None:
    shop.sandbox.faults.add("slow_execution", platform="stripe", seconds=30)
    options: Any = {"idempotency_key": "op:1"}
    with pytest.raises(stripe.APIConnectionError):
        shop.v1.checkout.sessions.create(shop.parameters(), options)
    with pytest.raises(stripe.APIError) as caught:
        shop.v1.checkout.sessions.create(shop.parameters(), options)
    assert caught.value.http_status == 409
    assert "idempotency_key_in_use" in str(caught.value.http_body)
    shop.sandbox.advance(31)
    assert shop.v1.checkout.sessions.create(shop.parameters(), options).status == "open"
    assert len(shop.sandbox.world.stripe["sessions"]) == 1


# --- faults -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "error", "made"),
    [
        ({"kind": "rate_limit"}, stripe.RateLimitError, 0),
        ({"kind": "status", "status": 409}, stripe.APIError, 0),
        ({"kind": "status", "status": 500}, stripe.APIError, 0),
        ({"kind": "timeout_after"}, stripe.APIConnectionError, 1),
        ({"kind": "truncated_body"}, stripe.APIConnectionError, 1),
    ],
)
def test_faults_around_a_call(shop: Shop, fault: dict[str, Any], error: type[Exception], made: int) -> None:
    fault = dict(fault)
    shop.sandbox.faults.add(fault.pop("kind"), platform="stripe", verb="checkout.sessions.create", times=1, **fault)
    with pytest.raises(error):
        shop.checkout()
    assert len(shop.sandbox.world.stripe["sessions"]) == made


def test_a_livemode_mismatch_is_seen_on_objects_and_events(shop: Shop) -> None:
    shop.sandbox.faults.add("livemode_mismatch", platform="stripe")
    assert shop.paid().livemode is True
    assert {event["livemode"] for event in shop.sandbox.world.stripe["events"].values()} == {True}


def test_the_snapshot_shows_what_the_account_holds(shop: Shop) -> None:
    session = shop.paid()
    shown = shop.sandbox.state()["stripe"]
    assert [row["id"] for row in shown["sessions"]] == [session.id]
    assert not any(name.startswith("_") for row in shown["sessions"] for name in row)


def test_the_log_names_the_operation_and_our_reference(shop: Shop) -> None:
    shop.checkout()
    entry = shop.sandbox.log.of("stripe", "checkout.sessions.create")[0]
    assert (entry.status, entry.items, entry.student_ref) == (200, ("GTM-7K3F9Q",), "GTM-7K3F9Q")


def test_an_account_of_an_earlier_version_gets_its_books(shop: Shop) -> None:
    shop.paid()
    state = shop.sandbox.world.stripe
    del state["balance_transactions"]
    for row in state["charges"].values():
        del row["balance_transaction"]
    (charge,) = shop.v1.charges.list({"expand": ["data.balance_transaction"]}).data
    booked: Any = charge.balance_transaction
    assert booked.net == charge.amount - booked.fee
