"""The life of a subscription: overdue, at rest, in order again, at its end, disputed, refunded; told or not."""

from __future__ import annotations

from typing import Any

import pytest
from django.conf import settings
from django.urls import reverse

from billing import life, webhooks
from billing.models import Payment, Subscription
from infra import clock
from infra.models import Mail, OperatorItem, ProvisionState
from integrations.sandbox import stripe_life
from integrations.sandbox.stripe import Account
from provisioning.actions import Refused
from tests.integration.billing.shop import Shop
from tests.integration.billing.test_refunds import paid

DAY = 86400


@pytest.fixture
def mine(shop: Shop) -> Shop:
    """A student who has paid, and of whose subscription everything was heard."""
    paid(shop)
    hear(shop)
    return shop


def do(shop: Shop, verb: str, **given: Any) -> None:
    """Let something happen at Stripe."""
    account = Account(shop.sandbox.world, shop.sandbox.clock.real())
    stripe_life.act(account, verb, {"reference": shop.provision.reference, **given})


def hear(shop: Shop) -> None:
    """Let everything that Stripe has to tell arrive and be worked on."""
    while shop.deliver():
        shop.work()


def pass_days(shop: Shop, days: float) -> None:
    shop.advance(days * DAY)
    hear(shop)
    life.sweep(100)


def row(shop: Shop) -> Subscription:
    return Subscription.objects.select_related("provision").get(provision=shop.provision)


def mails(shop: Shop, *kinds: str) -> list[str]:
    found = Mail.objects.filter(provision=shop.provision, student__isnull=False).exclude(kind="paid")
    return sorted(found.values_list("kind", flat=True))


def stripe_status(shop: Shop) -> str:
    return str(shop.sandbox.world.stripe["subscriptions"][row(shop).stripe_id]["status"])


def renewal_fails(shop: Shop, card: str = "bad") -> None:
    do(shop, "set_card", card=card)
    do(shop, "renew")
    hear(shop)


# --- in order ---------------------------------------------------------------------------------------------------------


def test_a_purchase_leaves_what_stripe_says_of_its_subscription(mine: Shop) -> None:
    found = row(mine)
    assert (found.status, found.invoice_status, found.card) == ("active", "paid", "visa 4242")
    assert (found.charged_cents, found.refunded_cents, found.dispute) == (14400, 0, "")
    assert found.student == mine.provision.student


def test_a_renewal_is_a_payment_of_its_own_once(mine: Shop) -> None:
    do(mine, "renew")
    hear(mine)
    life.follow(subscription_id=row(mine).stripe_id, actor="test")
    assert sorted(Payment.objects.values_list("amount_cents", flat=True)) == [4700, 14400]
    assert mine.charged() == 19100
    assert mails(mine) == []


def test_a_renewal_comes_by_itself_when_the_month_is_over(mine: Shop) -> None:
    pass_days(mine, 32)
    pass_days(mine, 0.1)
    assert sorted(Payment.objects.values_list("amount_cents", flat=True)) == [4700, 14400]


# --- overdue ----------------------------------------------------------------------------------------------------------


def test_a_failed_payment_is_said_and_everything_goes_on(mine: Shop) -> None:
    renewal_fails(mine)
    assert row(mine).overdue_since is not None
    assert mails(mine) == ["payment_failed"]
    assert mine.state() == ProvisionState.PROVISIONING


def test_a_bank_that_asks_is_said_to_the_student(mine: Shop) -> None:
    renewal_fails(mine, "action")
    assert mails(mine) == ["action_required"]
    do(mine, "authenticate")
    hear(mine)
    assert mails(mine) == ["action_required", "recovered"]
    assert row(mine).overdue_since is None


def test_an_overdue_payment_is_reminded_of_then_the_order_rests_then_it_ends(mine: Shop) -> None:
    mine.sandbox.switches.set(stripe_after_last_attempt="past_due")
    renewal_fails(mine)
    pass_days(mine, settings.BILLING_GRACE_DAYS)
    assert mails(mine) == ["grace", "payment_failed"]
    pass_days(mine, settings.BILLING_SUSPEND_DAYS - settings.BILLING_GRACE_DAYS)
    assert mine.state() == ProvisionState.SUSPENDED
    assert mails(mine) == ["grace", "payment_failed", "suspended"]
    pass_days(mine, settings.BILLING_TERMINATE_DAYS - settings.BILLING_SUSPEND_DAYS - 1)
    assert mine.state() == ProvisionState.SUSPENDED
    assert mails(mine) == ["grace", "grace", "payment_failed", "suspended"]
    pass_days(mine, 1)
    assert mine.state() in (ProvisionState.CANCELLING, ProvisionState.CANCELLED)
    assert stripe_status(mine) == "canceled"
    assert mine.live_subscriptions() == 0
    assert mails(mine) == ["cancelled", "grace", "grace", "payment_failed", "suspended"]


def test_a_new_card_pays_and_lets_the_order_go_on_where_it_rested(mine: Shop) -> None:
    renewal_fails(mine)
    pass_days(mine, settings.BILLING_SUSPEND_DAYS)
    assert mine.state() == ProvisionState.SUSPENDED
    do(mine, "change_card", card="good")
    hear(mine)
    assert mine.state() == ProvisionState.PROVISIONING
    assert mails(mine).count("recovered") == 1
    assert row(mine).suspended_at is None
    assert mine.live_subscriptions() == 1


def test_stripe_tries_again_by_itself_and_a_card_that_works_by_then_is_enough(mine: Shop) -> None:
    renewal_fails(mine)
    do(mine, "set_card", card="good")
    pass_days(mine, stripe_life.RETRY_DAYS[0])
    assert (row(mine).status, mails(mine)) == ("active", ["payment_failed", "recovered"])


def test_a_second_failed_renewal_is_told_anew(mine: Shop) -> None:
    for _time in range(2):
        renewal_fails(mine)
        do(mine, "change_card", card="good")
        hear(mine)
    assert mails(mine) == ["payment_failed", "payment_failed", "recovered", "recovered"]


@pytest.mark.parametrize("then", ["canceled", "unpaid", "past_due"])
def test_whatever_stripe_does_after_its_last_attempt_the_order_does_not_go_on(mine: Shop, then: str) -> None:
    mine.sandbox.switches.set(stripe_after_last_attempt=then)
    renewal_fails(mine)
    for days in (*stripe_life.RETRY_DAYS, 0.1):
        pass_days(mine, days)
    ended = (ProvisionState.CANCELLING, ProvisionState.CANCELLED)
    assert mine.state() in (ended if then == "canceled" else (ProvisionState.SUSPENDED,))
    assert stripe_status(mine) == then


# --- cancelled --------------------------------------------------------------------------------------------------------


def test_a_cancelled_subscription_runs_out_at_the_end_of_its_period(mine: Shop) -> None:
    life.let_run_out(provision=mine.provision, actor="student")
    assert (mine.state(), mails(mine)) == (ProvisionState.PROVISIONING, ["ending"])
    pass_days(mine, 32)
    assert mine.state() in (ProvisionState.CANCELLING, ProvisionState.CANCELLED)
    assert mine.live_subscriptions() == 0
    assert mine.charged() == 14400
    with pytest.raises(Refused):
        life.keep(provision=mine.provision, actor="student")


def test_a_cancellation_can_be_taken_back(mine: Shop) -> None:
    life.let_run_out(provision=mine.provision, actor="student")
    life.keep(provision=mine.provision, actor="student")
    pass_days(mine, 32)
    pass_days(mine, 0.1)
    assert mine.state() == ProvisionState.PROVISIONING
    assert Payment.objects.count() == 2
    assert mine.live_subscriptions() == 1


def test_a_subscription_that_is_ended_at_stripe_takes_the_order_down(mine: Shop) -> None:
    do(mine, "cancel_now")
    hear(mine)
    assert mine.state() in (ProvisionState.CANCELLING, ProvisionState.CANCELLED)
    assert mails(mine) == ["cancelled"]


def test_a_subscription_that_outlives_its_order_is_ended_by_the_next_look(mine: Shop) -> None:
    from provisioning import life as orders

    orders.tear_down(provision=mine.provision, actor="test", reason="asked for")
    assert mine.live_subscriptions() == 1
    pass_days(mine, 1)
    assert mine.live_subscriptions() == 0


# --- disputes and refunds ---------------------------------------------------------------------------------------------


def test_a_disputed_payment_lets_the_order_rest_and_a_person_answer(mine: Shop) -> None:
    do(mine, "dispute")
    hear(mine)
    assert mine.state() == ProvisionState.SUSPENDED
    assert OperatorItem.objects.get(kind="dispute").provision == mine.provision
    assert mails(mine) == ["suspended"]


def test_a_dispute_that_is_won_lets_it_go_on(mine: Shop) -> None:
    do(mine, "dispute")
    hear(mine)
    do(mine, "dispute_won")
    hear(mine)
    assert mine.state() == ProvisionState.PROVISIONING
    assert OperatorItem.objects.get(kind="dispute").resolved_at is not None
    assert mails(mine) == ["recovered", "suspended"]


def test_a_dispute_that_is_lost_ends_the_order_and_its_subscription(mine: Shop) -> None:
    do(mine, "dispute")
    hear(mine)
    do(mine, "dispute_lost")
    hear(mine)
    assert mine.state() in (ProvisionState.CANCELLING, ProvisionState.CANCELLED)
    assert mine.live_subscriptions() == 0


def test_a_full_refund_ends_the_order_and_its_subscription(mine: Shop) -> None:
    do(mine, "refund")
    hear(mine)
    assert mine.state() in (ProvisionState.CANCELLING, ProvisionState.CANCELLED)
    assert (mine.live_subscriptions(), mine.charged()) == (0, 0)


def test_a_partial_refund_is_noted_and_nothing_else_changes(mine: Shop) -> None:
    do(mine, "refund", cents=5000)
    hear(mine)
    assert (mine.state(), row(mine).refunded_cents) == (ProvisionState.PROVISIONING, 5000)
    assert OperatorItem.objects.get(kind="payment_trouble").provision == mine.provision


# --- heard of late, twice, or never -----------------------------------------------------------------------------------

TROUBLES = {
    "fails": ["set_card", "renew"],
    "disputed": ["dispute"],
    "lost": ["dispute", "dispute_lost"],
    "refunded": ["refund"],
    "ended": ["cancel_now"],
    "runs out": ["cancel_at_period_end"],
}


@pytest.mark.parametrize("trouble", TROUBLES)
def test_what_no_event_told_is_found_within_a_day(mine: Shop, trouble: str) -> None:
    mine.sandbox.world.webhook_url = ""
    for verb in TROUBLES[trouble]:
        do(mine, verb)
    mine.advance(DAY)
    assert life.is_sweep_due()
    life.sweep(10)
    told = {"fails": "payment_failed", "disputed": "suspended", "runs out": "ending"}.get(trouble, "cancelled")
    assert mails(mine) == [told]
    assert not life.is_sweep_due()


def test_an_answer_that_was_asked_for_earlier_never_overwrites_a_later_one(
    mine: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, ask = row(mine), life._ask

    def overtaken(subscription: Subscription) -> Any:
        said = ask(subscription)
        monkeypatch.setattr(life, "_ask", ask)
        do(mine, "cancel_now")
        life.follow(subscription_id=subscription.stripe_id, actor="faster")
        return said

    monkeypatch.setattr(life, "_ask", overtaken)
    life.follow(subscription_id=found.stripe_id, actor="slower")
    assert row(mine).status == "canceled"
    assert mine.state() in (ProvisionState.CANCELLING, ProvisionState.CANCELLED)


def test_the_daily_look_asks_stripe_twice_for_a_student_in_order(mine: Shop) -> None:
    before = mine.sandbox.log.count
    mine.advance(DAY)
    life.sweep(10)
    asked = [entry.verb for entry in mine.sandbox.log if entry.n > before]
    assert asked == ["subscriptions.retrieve", "charges.list"]


def test_a_word_that_we_do_not_know_changes_nothing_and_is_the_operators(mine: Shop) -> None:
    mine.sandbox.world.stripe["subscriptions"][row(mine).stripe_id]["status"] = "dormant"
    life.follow(subscription_id=row(mine).stripe_id, actor="test")
    assert mine.state() == ProvisionState.PROVISIONING
    assert OperatorItem.objects.get(kind="subscription_unknown").provision == mine.provision


def test_another_students_order_is_left_alone(mine: Shop) -> None:
    assert life.follow(subscription_id="sub_of_somebody_else", actor="test") is False
    do(mine, "cancel_now")
    assert clock.vendor_now() < row(mine).look_at  # type: ignore[operator]


# --- the student's buttons --------------------------------------------------------------------------------------------


def test_the_portal_is_opened_anew_by_each_click(mine: Shop) -> None:
    browser = mine.signed_in()
    first, second = (browser.post(reverse("billing-portal")).headers["location"] for _ in range(2))
    assert first != second
    assert first.startswith("http://sandbox.test/stripe/portal/bps_")
    assert browser.get(reverse("billing-portal")).status_code == 405


def test_the_student_cancels_and_keeps_by_buttons(mine: Shop) -> None:
    browser = mine.signed_in()
    browser.post(reverse("billing-run-out"))
    assert row(mine).cancel_at_period_end is True
    browser.post(reverse("billing-keep"))
    assert row(mine).cancel_at_period_end is False


def test_the_pages_say_how_an_overdue_payment_stands(mine: Shop) -> None:
    renewal_fails(mine)
    page = mine.signed_in().get(reverse("progress")).content.decode()
    assert "A payment did not go through" in page
    pass_days(mine, settings.BILLING_SUSPEND_DAYS)
    page = mine.signed_in().get(reverse("dashboard")).content.decode()
    assert "Your infrastructure is paused" in page
    assert "Update payment method" in page


def test_stripes_silence_is_told_to_the_student_and_changes_nothing(mine: Shop) -> None:
    mine.sandbox.faults.add("timeout_before", platform="stripe")
    answer = mine.signed_in().post(reverse("billing-run-out"))
    assert answer.headers["location"] == reverse("infrastructure")
    assert row(mine).cancel_at_period_end is False


def test_events_that_arrive_twice_say_everything_once(mine: Shop) -> None:
    renewal_fails(mine)
    for event in list(mine.sandbox.world.stripe["events"].values()):
        mine.post_event({**event, "id": event["id"] + "_again"})
    webhooks.drain(100)
    assert mails(mine) == ["payment_failed"]
