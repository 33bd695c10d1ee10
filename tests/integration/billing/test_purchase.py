"""One purchase from "pay" to a started run, in every way it can go."""

from __future__ import annotations

import itertools
import json
import random
from datetime import timedelta
from typing import Any

import pytest
from django.urls import reverse
from django.utils import timezone

from billing import actions, gateway, views, webhooks
from billing.actions import CheckoutRefused, Fulfilment
from billing.models import Checkout, Payment, WebhookEvent
from infra.models import Flag, Mail, OperatorItem, Tier
from integrations.http.call import Call, Raw
from integrations.http.errors import BadCredentials, PlatformError
from integrations.http.transport import Transport
from tests.integration.billing.shop import Shop, Wire, gateway_over
from tests.integration.world import new_order

PAID = {
    "provision": "provisioning",
    "paid": True,
    "customer": True,
    "subscription": True,
    "checkouts": ["paid"],
    "payments": [(14400, 0)],
    "refunds": [],
    "runs": ["setup"],
    "mails": ["paid"],
    "items": [],
}


# --- paying -----------------------------------------------------------------------------------------------------------


def test_pressing_pay_opens_one_page_for_the_frozen_amount(shop: Shop) -> None:
    checkout = shop.order()
    assert (checkout.state, checkout.amount_cents, checkout.currency) == ("open", 14400, "usd")
    assert checkout.url == f"http://sandbox.test/stripe/pay/{checkout.session_id}"
    assert shop.state() == "pending_payment"


def test_our_reference_stands_on_session_and_subscription(shop: Shop) -> None:
    shop.press(shop.order(), "pay")
    held = shop.sandbox.world.stripe
    (session,) = held["sessions"].values()
    (subscription,) = held["subscriptions"].values()
    reference = shop.provision.reference
    assert session["client_reference_id"] == session["metadata"]["provision_ref"] == reference
    assert subscription["metadata"]["provision_ref"] == reference
    assert subscription["billing_mode"] == {"type": "flexible"}
    assert session["success_url"].startswith("http://testserver/billing/return/?session_id=")


def test_a_paid_order_starts_one_run_by_its_webhooks(shop: Shop) -> None:
    shop.press(shop.order(), "pay")
    shop.deliver()
    shop.work()
    assert shop.picture() == PAID


def test_the_return_page_alone_is_enough(shop: Shop) -> None:
    checkout = shop.order()
    shop.press(checkout, "pay")
    answer = shop.signed_in().get(reverse("billing-return"), {"session_id": checkout.session_id})
    assert (answer.status_code, answer.headers["Location"]) == (302, reverse("progress"))
    assert shop.picture() == PAID


def test_the_sweep_finds_a_paid_session_whose_webhooks_never_arrived(shop: Shop) -> None:
    shop.sandbox.faults.add("webhook_lost", platform="stripe")
    shop.press(shop.order(), "pay")
    assert shop.deliver() == 0
    assert not actions.is_sweep_due()
    shop.advance(180)
    assert actions.is_sweep_due()
    shop.work()
    assert shop.picture() == PAID
    assert not actions.is_sweep_due()


def test_the_payment_names_its_invoice_and_receipt(shop: Shop) -> None:
    shop.press(shop.order(), "pay")
    shop.deliver()
    shop.work()
    payment = Payment.objects.get()
    assert payment.stripe_invoice_id.startswith("in_")
    assert payment.stripe_payment_intent_id.startswith("pi_")
    assert Mail.objects.get(kind="paid").context["receipt_url"] == payment.receipt_url != ""


def test_the_redirect_alone_proves_nothing(shop: Shop) -> None:
    checkout = shop.order()
    shop.signed_in().get(reverse("billing-return"), {"session_id": checkout.session_id})
    assert shop.state() == "pending_payment"
    assert not Payment.objects.exists()


def test_a_foreign_or_missing_session_is_404(shop: Shop) -> None:
    checkout = shop.order()
    stranger = new_order("other").student
    client = shop.signed_in()
    client.force_login(stranger)
    assert client.get(reverse("billing-return"), {"session_id": checkout.session_id}).status_code == 404
    assert client.get(reverse("billing-return")).status_code == 404
    assert client.get(reverse("billing-return"), {"session_id": "x" * 500}).status_code == 404


def test_the_return_page_survives_a_silent_stripe(shop: Shop) -> None:
    checkout = shop.order()
    shop.press(checkout, "pay")
    shop.sandbox.faults.add("timeout_before", platform="stripe", times=1)
    answer = shop.signed_in().get(reverse("billing-return"), {"session_id": checkout.session_id})
    assert (answer.status_code, answer.headers["Location"]) == (302, reverse("progress"))
    assert shop.state() == "pending_payment"


@pytest.mark.parametrize("query", ["%00", "", "cs_%00", "%ff%fe", "cs_" + "a" * 119, "a" * 5000, "cs_x&session_id=%00"])
def test_a_session_that_cannot_be_one_is_404(shop: Shop, query: str) -> None:
    assert shop.signed_in().get(reverse("billing-return") + "?session_id=" + query).status_code == 404


def asked(shop: Shop) -> int:
    return sum(entry.verb == "checkout.sessions.retrieve" for entry in shop.sandbox.log)


def test_a_paid_order_is_not_asked_about_again(shop: Shop) -> None:
    checkout = shop.order()
    shop.press(checkout, "pay")
    browser = shop.signed_in()
    for _ in range(3):
        answer = browser.get(reverse("billing-return"), {"session_id": checkout.session_id})
        assert answer.headers["Location"] == reverse("progress")
    assert asked(shop) == 1


def test_reloading_the_return_page_asks_stripe_only_so_often(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(views, "ASKING", (3, 3600))
    checkout = shop.order()
    browser = shop.signed_in()
    for _ in range(6):
        answer = browser.get(reverse("billing-return"), {"session_id": checkout.session_id})
        assert answer.headers["Location"] == reverse("progress")
    assert asked(shop) == 3


# --- order, number and age of the events ------------------------------------------------------------------------------


def events_of_a_purchase(shop: Shop) -> list[Any]:
    return list(shop.sandbox.world.stripe["events"].values())


def test_duplicates_change_nothing(shop: Shop) -> None:
    shop.sandbox.faults.add("webhook_duplicate", platform="stripe", amount=4)
    shop.press(shop.order(), "pay")
    shop.deliver()
    shop.work()
    shop.deliver()
    shop.work()
    assert shop.picture() == PAID
    assert set(WebhookEvent.objects.values_list("deliveries", flat=True)) == {5}


@pytest.mark.parametrize("seed", range(6))
def test_any_permutation_with_any_duplicates_ends_in_the_same_state(shop: Shop, seed: int) -> None:
    shop.press(shop.order(), "pay")
    chance = random.Random(seed)
    events = events_of_a_purchase(shop)
    heard = events + chance.choices(events, k=4)
    chance.shuffle(heard)
    for event in heard:
        assert shop.post_event(event) == 200
        if chance.random() < 0.5:
            webhooks.drain(chance.randint(1, 5))
    webhooks.drain(100)
    assert shop.picture() == PAID


def test_every_order_of_the_events_that_matter(shop: Shop) -> None:
    """The four that lead to fulfilment, in all orders, each time from the stored rows anew."""
    shop.press(shop.order(), "pay")
    matter = [event for event in events_of_a_purchase(shop) if event["type"] in webhooks.HANDLERS]
    assert len(matter) >= 2
    for order in itertools.permutations(matter):
        for event in order:
            shop.post_event(event)
            WebhookEvent.objects.filter(event_id=event["id"]).update(state="received", not_before=None)
            webhooks.drain(100)
        assert shop.picture() == PAID


def test_an_old_event_does_not_overwrite_a_newer_state(shop: Shop) -> None:
    checkout = shop.order()
    shop.press(checkout, "later")
    unpaid = next(event for event in events_of_a_purchase(shop) if event["type"] == "checkout.session.completed")
    shop.press(checkout, "debit_succeeds")
    shop.deliver()
    shop.work()
    assert shop.state() == "provisioning"
    shop.post_event({**unpaid, "id": "evt_late_copy"})
    shop.work()
    assert shop.picture() == PAID


def test_a_thin_event_serves_as_well(shop: Shop) -> None:
    shop.sandbox.faults.add("webhook_thin", platform="stripe")
    shop.press(shop.order(), "pay")
    shop.deliver()
    webhooks.drain(100)
    assert shop.picture() == PAID


def test_the_event_may_come_before_our_own_call_has_returned(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """The session is created, paid and reported before the create's answer reaches us."""
    wire = Wire(shop.sandbox.transport())

    def paid_in_between() -> None:
        (session_id,) = shop.sandbox.world.stripe["sessions"]
        shop.press(Checkout(session_id=session_id), "pay")
        shop.deliver()
        webhooks.drain(100)

    ours = gateway_over(wire)
    monkeypatch.setattr(gateway, "current", lambda: ours)
    wire.after["post checkout.sessions"] = paid_in_between
    shop.order()
    assert shop.picture() == PAID


# --- not paying -------------------------------------------------------------------------------------------------------


def test_a_declined_card_leaves_the_page_open_and_can_be_followed_by_a_good_one(shop: Shop) -> None:
    checkout = shop.order()
    assert b"declined" in shop.press(checkout, "decline").body
    shop.deliver()
    shop.work()
    assert shop.state() == "pending_payment"
    shop.press(checkout, "pay")
    shop.deliver()
    shop.work()
    assert shop.picture() == PAID


def test_a_cancelled_checkout_loses_nothing(shop: Shop) -> None:
    names = sorted(shop.provision.domains.values_list("name", "state", "position"))
    checkout = shop.order()
    back = shop.press(checkout, "cancel")
    assert back.headers["location"] == "http://testserver" + reverse("billing-cancel")
    answer = shop.signed_in().get(reverse("billing-cancel"))
    assert (answer.status_code, answer.headers["Location"]) == (302, reverse("setup-review"))
    assert shop.state() == "draft"
    assert sorted(shop.provision.domains.values_list("name", "state", "position")) == names
    assert b"has expired" in shop.page(checkout)
    shop.press(shop.order(), "pay")
    shop.deliver()
    shop.work()
    assert shop.picture()["checkouts"] == ["expired", "paid"]


def test_cancelling_after_paying_counts_as_paid(shop: Shop) -> None:
    checkout = shop.order()
    shop.press(checkout, "pay")
    answer = shop.signed_in().get(reverse("billing-cancel"))
    assert answer.headers["Location"] == reverse("progress")
    assert shop.picture() == PAID


def test_cancelling_without_an_open_page_goes_to_the_entry(shop: Shop) -> None:
    assert shop.signed_in().get(reverse("billing-cancel")).headers["Location"] == reverse("infrastructure")


def test_an_expired_page_gives_the_draft_back(shop: Shop) -> None:
    shop.order()
    shop.advance(24 * 3600)
    shop.deliver()
    shop.work()
    assert shop.state() == "draft"
    assert shop.newest().state == "expired"
    assert not shop.provision.holds.exists()
    assert shop.provision.domains.count() == 4


def test_without_webhooks_the_sweep_notices_the_expiry(shop: Shop) -> None:
    shop.sandbox.faults.add("webhook_lost", platform="stripe")
    shop.order()
    shop.advance(24 * 3600)
    shop.work()
    assert shop.state() == "draft"


# --- delayed payment --------------------------------------------------------------------------------------------------


def test_completed_and_unpaid_builds_nothing(shop: Shop) -> None:
    checkout = shop.order()
    shop.press(checkout, "later")
    shop.deliver()
    shop.work()
    assert shop.newest().state == "confirming"
    assert shop.state() == "pending_payment"
    assert not shop.provision.runs.exists()
    answer = shop.signed_in().get(reverse("billing-return"), {"session_id": checkout.session_id})
    assert answer.headers["Location"] == reverse("progress")


def test_a_bank_debit_that_succeeds_starts_the_run(shop: Shop) -> None:
    checkout = shop.order()
    shop.press(checkout, "later")
    shop.deliver()
    shop.work()
    shop.press(checkout, "debit_succeeds")
    shop.deliver()
    shop.work()
    assert shop.picture() == PAID


def test_a_bank_debit_that_fails_gives_the_draft_back_and_ends_the_subscription(shop: Shop) -> None:
    checkout = shop.order()
    shop.press(checkout, "later")
    shop.press(checkout, "debit_fails")
    shop.deliver()
    shop.work()
    assert shop.newest().state == "failed"
    assert shop.state() == "draft"
    assert Mail.objects.get().kind == "needs_you"
    assert shop.live_subscriptions() == 0


def test_while_a_payment_is_on_its_way_nobody_pays_again(shop: Shop) -> None:
    shop.press(shop.order(), "later")
    with pytest.raises(CheckoutRefused) as caught:
        shop.order()
    assert caught.value.code == "confirming"
    assert Checkout.objects.count() == 1


def test_the_failure_of_a_debit_is_told_once_in_any_order(shop: Shop) -> None:
    checkout = shop.order()
    shop.press(checkout, "later")
    shop.press(checkout, "debit_fails")
    for event in reversed(events_of_a_purchase(shop)):
        shop.post_event(event)
        webhooks.drain(100)
    assert Mail.objects.count() == 1
    assert shop.state() == "draft"


# --- pressing pay again -----------------------------------------------------------------------------------------------


def test_a_new_page_closes_the_old_one(shop: Shop) -> None:
    first = shop.order()
    second = shop.order()
    first.refresh_from_db()
    assert (first.state, second.state) == ("expired", "open")
    shop.press(first, "pay")
    assert shop.charged() == 0


def test_pressing_pay_after_paying_counts_as_paid(shop: Shop) -> None:
    shop.press(shop.order(), "pay")
    with pytest.raises(CheckoutRefused) as caught:
        shop.order()
    assert caught.value.code == "already_paid"
    assert shop.picture() == PAID


def test_a_running_order_cannot_be_paid(shop: Shop) -> None:
    shop.press(shop.order(), "pay")
    shop.deliver()
    shop.work()
    with pytest.raises(CheckoutRefused) as caught:
        shop.order()
    assert caught.value.code == "already_paid"


def test_a_tier_deactivated_in_between_is_refused_with_a_sentence(shop: Shop) -> None:
    Tier.objects.update(is_active=False)
    with pytest.raises(CheckoutRefused, match="no longer offered") as caught:
        shop.order()
    assert caught.value.code == "tier_inactive"
    assert (shop.state(), Checkout.objects.count()) == ("draft", 0)


def test_a_tier_edited_while_a_page_is_open_does_not_change_what_was_bought(shop: Shop) -> None:
    checkout = shop.order()
    Tier.objects.update(setup_fee_cents=1, monthly_fee_cents=1, domain_count=1)
    shop.press(checkout, "pay")
    shop.deliver()
    shop.work()
    assert shop.picture() == PAID
    assert shop.provision.order["setup_fee_cents"] == 9700


@pytest.mark.parametrize("key", ["orders", "stack:zapmail"])
def test_the_kill_switch_for_new_orders(shop: Shop, key: str) -> None:
    Flag.objects.update_or_create(key=key, defaults={"phase": Flag.Phase.OFF})
    with pytest.raises(CheckoutRefused) as caught:
        shop.order()
    assert caught.value.code == "orders_stopped"


def test_a_tier_without_prices_tells_the_operator(shop: Shop) -> None:
    Tier.objects.update(stripe_setup_price_id="")
    with pytest.raises(CheckoutRefused, match="Nothing was charged"):
        shop.order()
    assert OperatorItem.objects.get().kind == "tier_without_prices"


def test_a_price_that_stripe_does_not_know_tells_the_operator_and_gives_the_draft_back(shop: Shop) -> None:
    Tier.objects.update(stripe_setup_price_id="price_deleted")
    with pytest.raises(CheckoutRefused):
        shop.order()
    assert OperatorItem.objects.get().kind == "checkout_refused"
    assert (shop.state(), shop.newest().state) == ("draft", "failed")


def test_an_incomplete_order_is_refused_with_the_reason(shop: Shop) -> None:
    shop.provision.domains.first().delete()  # type: ignore[union-attr]
    with pytest.raises(CheckoutRefused, match="exactly 3 domains") as caught:
        shop.order()
    assert caught.value.code == "not_ready"
    assert shop.state() == "draft"


# --- what is charged is what the page says ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes", [{"amount_total": 14500}, {"amount_subtotal": 14500}, {"currency": "eur"}, {"amount_total": 0}]
)
def test_a_session_for_another_amount_is_closed_and_never_shown(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any]
) -> None:
    ours = gateway_over(Answering(shop.sandbox.transport(), changes))
    monkeypatch.setattr(gateway, "current", lambda: ours)
    with pytest.raises(CheckoutRefused, match="Nothing was charged") as caught:
        shop.order()
    assert caught.value.code == "misconfigured"
    (session,) = shop.sandbox.world.stripe["sessions"].values()
    assert session["status"] == "expired"
    checkout = shop.newest()
    assert (checkout.state, checkout.url, shop.state()) == ("failed", "", "draft")
    assert OperatorItem.objects.get().kind == "checkout_amount"


class Answering:
    """A transport that changes what Stripe says of a session."""

    def __init__(self, inner: Transport, changes: dict[str, Any]) -> None:
        self.inner, self.changes = inner, changes

    def send(self, call: Call[Any], *, send_before: float | None = None) -> Raw:
        raw = self.inner.send(call, send_before=send_before)
        if not call.verb.endswith("checkout.sessions"):
            return raw
        return Raw(raw.status, raw.headers, json.dumps(json.loads(raw.body) | self.changes).encode())


def test_a_fee_edited_after_its_price_was_made_is_noticed_before_paying(shop: Shop) -> None:
    Tier.objects.update(setup_fee_cents=100, monthly_fee_cents=100)
    with pytest.raises(CheckoutRefused):
        shop.order()
    assert "stripe_prices" in OperatorItem.objects.get(kind="checkout_amount").sentence
    assert (shop.charged(), shop.state()) == (0, "draft")


@pytest.mark.parametrize("kind", ["timeout_after", "kept_500_before"])
def test_a_session_for_another_amount_that_cannot_be_closed_is_shown_to_nobody_and_refunded(
    shop: Shop, kind: str
) -> None:
    Tier.objects.update(setup_fee_cents=100, monthly_fee_cents=100)
    shop.sandbox.faults.add("status", platform="stripe", verb="checkout.sessions.expire", status=503)
    shop.sandbox.faults.add(kind, platform="stripe", verb=CREATE, times=1)
    with pytest.raises(CheckoutRefused):
        shop.order()
    checkout = shop.newest()
    assert (checkout.state, checkout.url) == ("failed", "")
    shop.press(checkout, "pay")
    shop.deliver()
    shop.work()
    assert shop.charged() == 0
    assert OperatorItem.objects.filter(kind="late_payment").exists()


def test_the_sweep_does_not_show_a_session_for_another_amount_either(shop: Shop) -> None:
    Tier.objects.update(setup_fee_cents=100, monthly_fee_cents=100)
    shop.sandbox.faults.add("timeout_after", platform="stripe", verb=CREATE)
    with pytest.raises(CheckoutRefused):
        shop.order()
    shop.advance(180)
    actions.sweep_open_checkouts(10)
    assert (shop.newest().state, shop.newest().url, shop.state()) == ("failed", "", "draft")
    (session,) = shop.sandbox.world.stripe["sessions"].values()
    assert session["status"] == "expired"


# --- when the create goes wrong ---------------------------------------------------------------------------------------

CREATE = "checkout.sessions.create"


@pytest.mark.parametrize("kind", ["timeout_after", "timeout_before", "reset_after", "truncated_body", "garbage_body"])
def test_a_lost_answer_is_repeated_with_the_same_key(shop: Shop, kind: str) -> None:
    shop.sandbox.faults.add(kind, platform="stripe", verb=CREATE, times=1)
    shop.order()
    assert len(shop.sandbox.world.stripe["sessions"]) == 1


@pytest.mark.parametrize("kind", ["kept_500_before", "kept_500_after"])
def test_a_kept_500_is_read_back_and_only_then_asked_anew(shop: Shop, kind: str) -> None:
    shop.sandbox.faults.add(kind, platform="stripe", verb=CREATE, times=1)
    checkout = shop.order()
    assert checkout.state == "open"
    assert checkout.epoch == (2 if kind == "kept_500_before" else 1)
    assert len(shop.sandbox.world.stripe["sessions"]) == 1


def test_when_stripe_is_not_there_the_student_can_press_again(shop: Shop) -> None:
    fault = shop.sandbox.faults.add("timeout_after", platform="stripe", verb=CREATE)
    with pytest.raises(CheckoutRefused, match="Nothing was charged") as caught:
        shop.order()
    assert caught.value.code == "unreachable"
    assert shop.newest().state == "intended"
    shop.sandbox.faults.remove(fault.id)
    checkout = shop.order()
    assert checkout.state == "open"
    assert [row["status"] for row in shop.sandbox.world.stripe["sessions"].values()] == ["expired", "open"]


def test_the_sweep_finds_a_session_whose_create_was_never_answered(shop: Shop) -> None:
    shop.sandbox.faults.add("timeout_after", platform="stripe", verb=CREATE)
    with pytest.raises(CheckoutRefused):
        shop.order()
    shop.advance(180)
    actions.sweep_open_checkouts(10)
    assert shop.newest().state == "open"


def test_the_sweep_gives_up_a_session_that_never_came_to_be_but_not_too_early(shop: Shop) -> None:
    shop.sandbox.faults.add("timeout_before", platform="stripe", verb=CREATE)
    with pytest.raises(CheckoutRefused):
        shop.order()
    shop.advance(180)
    actions.sweep_open_checkouts(10)
    assert shop.newest().state == "intended"
    shop.advance(600)
    actions.sweep_open_checkouts(10)
    assert (shop.newest().state, shop.state()) == ("expired", "draft")


def test_a_session_that_executes_after_we_gave_it_up_and_is_paid_is_refunded(shop: Shop) -> None:
    shop.sandbox.faults.add("timeout_before", platform="stripe", verb=CREATE)
    with pytest.raises(CheckoutRefused):
        shop.order()
    parameters = shop.newest().parameters
    shop.advance(900)
    actions.sweep_open_checkouts(10)
    shop.sandbox.faults.clear()
    late = gateway.current().create_session(
        {**parameters, "expires_at": int(shop.sandbox.clock.real()) + 3600}, key="x"
    )
    shop.press(Checkout(session_id=late.id), "pay")
    shop.deliver()
    shop.work()
    assert shop.charged() == 0
    assert shop.picture()["checkouts"] == ["refunded"]
    assert OperatorItem.objects.get(kind="late_payment").provision == shop.provision


@pytest.mark.parametrize("kind", ["timeout_before", "timeout_after", "kept_500_before", "kept_500_after"])
def test_a_lost_answer_to_closing_a_page_does_not_lock_the_student_out(shop: Shop, kind: str) -> None:
    shop.order()
    shop.sandbox.faults.add(kind, platform="stripe", verb="checkout.sessions.expire", times=1)
    for _ in range(2):
        try:
            shop.order()
        except CheckoutRefused as refusal:
            assert refusal.code == "unreachable"  # noqa: PT017
    assert sorted(Checkout.objects.values_list("state", flat=True))[-1] == "open"
    open_pages = [row for row in shop.sandbox.world.stripe["sessions"].values() if row["status"] == "open"]
    assert len(open_pages) == 1


def test_a_session_that_stripe_has_forgotten_does_not_lock_the_student_out(shop: Shop) -> None:
    shop.order()
    shop.sandbox.world.stripe["sessions"].clear()
    assert shop.order().state == "open"


def test_a_double_click_is_told_so(shop: Shop) -> None:
    """The second press meets the first one's create, which is still being executed."""
    shop.sandbox.faults.add("slow_execution", platform="stripe", verb=CREATE, seconds=30)
    for _ in range(2):
        with pytest.raises(CheckoutRefused) as caught:
            shop.order()
    assert caught.value.code == "opening"
    shop.advance(31)
    shop.sandbox.faults.clear()
    assert shop.order().state == "open"


def test_a_paid_session_found_by_reading_back_can_be_refunded(shop: Shop) -> None:
    shop.sandbox.faults.add("timeout_after", platform="stripe", verb=CREATE)
    with pytest.raises(CheckoutRefused):
        shop.order()
    (session_id,) = shop.sandbox.world.stripe["sessions"]
    shop.press(Checkout(session_id=session_id), "pay")
    shop.advance(180)
    actions.sweep_open_checkouts(10)
    assert shop.state() == "provisioning"
    assert Payment.objects.get().stripe_payment_intent_id.startswith("pi_")


def test_a_refused_key_is_one_alert(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    revoked = gateway_over(shop.sandbox.transport(), secret_key="sk_test_revoked")
    monkeypatch.setattr(gateway, "current", lambda: revoked)
    for _ in range(3):
        with pytest.raises(CheckoutRefused):
            shop.order()
    assert OperatorItem.objects.get().kind == "circuit"
    assert shop.state() == "draft"


def test_a_foreign_purchase_on_the_same_account_is_left_alone(shop: Shop) -> None:
    """Another product may sell on the operator's account: its failed debit is not ours to end."""
    checkout = shop.order()
    shop.press(checkout, "later")
    shop.press(checkout, "debit_fails")
    Checkout.objects.all().delete()
    assert actions.fulfil(session_id=checkout.session_id, actor="test") is Fulfilment.FOREIGN
    assert shop.live_subscriptions() == 1


def test_the_alert_of_a_refused_key_closes_itself_so_that_the_next_one_is_heard(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    revoked = gateway_over(shop.sandbox.transport(), secret_key="sk_test_revoked")

    def refused() -> None:
        with monkeypatch.context() as patch:
            patch.setattr(gateway, "current", lambda: revoked)
            with pytest.raises(CheckoutRefused):
                shop.order()

    refused()
    shop.order()
    assert OperatorItem.objects.get(kind="circuit").resolved_at is not None
    OperatorItem.objects.update(created_at=timezone.now() - timedelta(hours=2))  # one mail an hour is enough
    shop.advance(24 * 3600)
    actions.sweep_open_checkouts(10)
    refused()
    assert OperatorItem.objects.filter(kind="circuit", resolved_at__isnull=True).count() == 1
    assert Mail.objects.filter(kind="operator_circuit").count() == 2


def test_a_key_that_may_not_do_one_thing_is_no_refused_key(shop: Shop) -> None:
    """Its other answers are good, so an alert that they closed would come again with every attempt."""
    for _ in range(3):
        actions.report_refused_key(BadCredentials("not allowed", platform="stripe", status=403))
        gateway.current().prices(["x"])
    assert OperatorItem.objects.get(resolved_at=None).kind == "stripe_permission"


# --- when our own code fails ------------------------------------------------------------------------------------------


def breaks(**_: Any) -> Any:
    raise KeyError("a bug")


def test_money_is_recorded_even_when_starting_the_order_crashes_and_the_sweep_starts_it_later(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkout = shop.order()
    shop.press(checkout, "pay")
    with monkeypatch.context() as patch:
        patch.setattr(actions, "start_run", breaks)
        answer = shop.signed_in().get(reverse("billing-return"), {"session_id": checkout.session_id})
        assert answer.headers["Location"] == reverse("progress")
        assert Payment.objects.get().amount_cents == 14400
        assert (shop.newest().state, shop.newest().url, shop.state()) == ("confirming", "", "pending_payment")
        for _ in range(actions.ALERT_AFTER):
            shop.advance(301)
            actions.sweep_open_checkouts(10)
        with pytest.raises(CheckoutRefused) as caught:
            shop.order()
        assert caught.value.code == "confirming"
    assert "KeyError" in OperatorItem.objects.get(kind="checkout_failing").sentence
    shop.advance(301)
    actions.sweep_open_checkouts(10)
    assert OperatorItem.objects.get(kind="checkout_failing").resolved_at is not None
    assert shop.picture() == {**PAID, "items": ["checkout_failing"], "mails": ["operator_checkout_failing", "paid"]}


def test_a_webhook_starts_what_an_earlier_one_could_not(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    checkout = shop.order()
    shop.press(checkout, "pay")
    with monkeypatch.context() as patch:
        patch.setattr(actions, "start_run", breaks)
        actions.fulfil(checkout=checkout, actor="stripe")
    shop.deliver()
    webhooks.drain(100)
    assert shop.picture() == PAID


def test_money_for_a_given_up_order_is_given_back_by_the_sweep_when_it_could_not_be_at_first(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkout = shop.order()
    actions.abandon_checkout(provision=shop.provision, actor="student")
    shop.sandbox.world.stripe["sessions"][checkout.session_id].update(status="open", url="x")
    shop.press(checkout, "pay")
    with monkeypatch.context() as patch:
        patch.setattr(actions, "_give_back", lambda *args, **kwargs: breaks())
        actions.fulfil(checkout=checkout, actor="stripe")
    assert Payment.objects.count() == 1
    shop.advance(301)
    assert actions.is_sweep_due()
    shop.work()
    assert (shop.charged(), shop.newest().state) == (0, "refunded")


def test_a_checkout_that_breaks_our_code_does_not_hold_up_the_others(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    tier = Tier.objects.get(slug="starter")
    other = new_order("beta", tier=tier)
    actions.start_checkout(provision=other, actor="student")
    broken = Checkout.objects.get(provision=other)
    shop.press(shop.order(), "pay")
    look = actions._look_after

    def breaks_for_one(checkout: Checkout, *, actor: str) -> None:
        if checkout.pk == broken.pk:
            raise KeyError("a bug")
        look(checkout, actor=actor)

    monkeypatch.setattr(actions, "_look_after", breaks_for_one)
    for _ in range(actions.ALERT_AFTER):
        shop.advance(301)
        actions.sweep_open_checkouts(10)
    assert shop.picture()["runs"] == ["setup"]
    assert OperatorItem.objects.get(kind="checkout_failing").provision == other


def test_the_payment_intent_is_learned_when_stripe_fills_it_in_later(shop: Shop) -> None:
    shop.press(shop.order(), "pay")
    (invoice,) = shop.sandbox.world.stripe["invoices"].values()
    payments, invoice["_payments"] = invoice["_payments"], []
    actions.fulfil(checkout=shop.newest(), actor="stripe")
    assert Payment.objects.get().stripe_payment_intent_id == ""
    invoice["_payments"] = payments
    shop.deliver()
    webhooks.drain(100)
    assert Payment.objects.get().stripe_payment_intent_id.startswith("pi_")


# --- asking -----------------------------------------------------------------------------------------------------------


def test_check_payment_is_the_return_pages_check(shop: Shop) -> None:
    assert actions.check_payment(provision=shop.provision, actor="api") is Fulfilment.FOREIGN
    checkout = shop.order()
    assert actions.check_payment(provision=shop.provision, actor="api") is Fulfilment.OPEN
    shop.press(checkout, "pay")
    assert actions.check_payment(provision=shop.provision, actor="api") is Fulfilment.PAID
    assert actions.check_payment(provision=shop.provision, actor="api") is Fulfilment.PAID


def test_a_silent_stripe_changes_nothing(shop: Shop) -> None:
    shop.press(shop.order(), "pay")
    shop.sandbox.faults.add("timeout_after", platform="stripe", times=1)
    with pytest.raises(PlatformError):
        actions.check_payment(provision=shop.provision, actor="api")
    assert shop.state() == "pending_payment"


def test_nothing_of_the_payload_is_trusted(shop: Shop) -> None:
    """An event that says "paid" about a session that is not, does nothing."""
    checkout = shop.order()
    event = {
        "id": "evt_forged",
        "object": "event",
        "type": "checkout.session.completed",
        "api_version": "2026-10-28.endive",
        "livemode": False,
        "data": {"object": {"id": checkout.session_id, "object": "checkout.session", "payment_status": "paid"}},
    }
    assert shop.post_event(json.dumps(event).encode()) == 200
    shop.work()
    assert shop.state() == "pending_payment"
