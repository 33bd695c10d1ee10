"""Money on its way back: shares of lost domains, second payments, and refunds whose answer was lost."""

from __future__ import annotations

import pytest
from django.urls import reverse

from billing import actions, refunds
from billing.models import Checkout, Payment, Refund
from infra.models import Mail, OperatorItem, OrderLine, ProvisionState
from provisioning import actions as provisioning
from tests.integration.billing.shop import Shop


def paid(shop: Shop) -> Checkout:
    checkout = shop.order()
    shop.press(checkout, "pay")
    shop.deliver()
    shop.work()
    return checkout


def lost_domain(shop: Shop, *, cents: int = 3233) -> OrderLine:
    """Mark a domain's share as due, as provisioning does."""
    return OrderLine.objects.create(
        provision=shop.provision,
        student=shop.provision.student,
        domain=shop.provision.domains.first(),
        kind=OrderLine.Kind.DOMAIN_SHARE,
        state=OrderLine.State.REFUND_DUE,
        amount_cents=cents,
        reason="The name was lost.",
    )


def second_paid_session(shop: Shop) -> Checkout:
    """Pay twice: an old page that was never closed is paid after the new one."""
    first = shop.order()
    Checkout.objects.filter(pk=first.pk).update(state=Checkout.State.EXPIRED)
    shop.provision.refresh_from_db()
    second = shop.order()
    shop.press(second, "pay")
    shop.deliver()
    shop.work()
    shop.press(first, "pay")
    return first


# --- second and late payments -----------------------------------------------------------------------------------------


def test_a_second_paid_session_is_refunded_and_flagged(shop: Shop) -> None:
    second_paid_session(shop)
    assert shop.charged() == 2 * 14400
    shop.deliver()
    shop.work()
    assert shop.charged() == 14400
    assert shop.live_subscriptions() == 1
    picture = shop.picture()
    assert picture["checkouts"] == ["paid", "refunded"]
    assert picture["payments"] == [(14400, 0), (14400, 14400)]
    assert picture["items"] == ["duplicate_payment"]
    assert picture["runs"] == ["setup"]
    assert Mail.objects.filter(kind="refunded", student=shop.provision.student).count() == 1


def test_the_return_page_of_a_second_payment_says_that_it_is_refunded(shop: Shop) -> None:
    first = second_paid_session(shop)
    answer = shop.signed_in().get(reverse("billing-return"), {"session_id": first.session_id}, follow=False)
    assert answer.headers["Location"] == reverse("progress")
    refunds.drain(10)
    assert shop.charged() == 14400


def test_the_first_of_two_stays_paid_in_whatever_order_they_are_heard(shop: Shop) -> None:
    second_paid_session(shop)
    before = shop.picture()["subscription"]
    shop.sandbox.faults.add("webhook_reorder", platform="stripe")
    shop.deliver()
    shop.work()
    shop.provision.refresh_from_db()
    live = [row for row in shop.sandbox.world.stripe["subscriptions"].values() if row["status"] != "canceled"]
    assert before
    assert [row["id"] for row in live] == [shop.provision.stripe_subscription_id]


def test_a_payment_after_cancelling_is_never_dropped(shop: Shop) -> None:
    checkout = shop.order()
    provisioning.cancel(provision=shop.provision, actor="operator", reason="asked for")
    shop.press(checkout, "pay")
    shop.deliver()
    shop.work()
    assert shop.state() == ProvisionState.CANCELLED
    assert shop.charged() == 0
    assert shop.live_subscriptions() == 0
    assert OperatorItem.objects.filter(kind="late_payment").count() == 1
    assert not shop.provision.runs.exists()


def test_a_payment_of_a_draft_that_was_given_back_is_refunded(shop: Shop) -> None:
    checkout = shop.order()
    actions.abandon_checkout(provision=shop.provision, actor="student")
    # Stripe closed the page; should it be paid all the same, the order is not what was paid for any more.
    shop.sandbox.world.stripe["sessions"][checkout.session_id].update(status="open", url="x")
    shop.press(checkout, "pay")
    shop.deliver()
    shop.work()
    assert (shop.charged(), shop.state()) == (0, "draft")


# --- the share of a lost domain ---------------------------------------------------------------------------------------


def test_a_due_share_is_refunded_once_and_mailed(shop: Shop) -> None:
    paid(shop)
    line = lost_domain(shop)
    for _ in range(3):
        refunds.drain(10)
    line.refresh_from_db()
    assert line.state == OrderLine.State.REFUNDED
    assert shop.charged() == 14400 - 3233
    assert Payment.objects.get().refunded_cents == 3233
    assert Mail.objects.filter(kind="refunded").count() == 1
    assert shop.live_subscriptions() == 1


def test_the_platform_knows_which_refund_of_ours_it_is(shop: Shop) -> None:
    paid(shop)
    lost_domain(shop)
    refunds.drain(10)
    (held,) = shop.sandbox.world.stripe["refunds"].values()
    refund = Refund.objects.get()
    assert held["metadata"] == {"refund_id": str(refund.pk), "provision_ref": shop.provision.reference}
    assert refund.stripe_refund_id == held["id"]


def test_several_shares_are_several_refunds(shop: Shop) -> None:
    paid(shop)
    for cents in (3233, 3233, 3234):
        lost_domain(shop, cents=cents)
    refunds.drain(10)
    assert shop.charged() == 4700
    assert Payment.objects.get().refunded_cents == 9700


def test_more_than_was_paid_is_never_sent(shop: Shop) -> None:
    paid(shop)
    lost_domain(shop, cents=14000)
    lost_domain(shop, cents=1000)
    refunds.drain(10)
    assert shop.charged() == 400
    assert OperatorItem.objects.get().kind == "refund_impossible"
    assert not refunds.is_due()


def test_a_share_without_a_payment_is_the_operators(shop: Shop) -> None:
    lost_domain(shop)
    assert refunds.drain(10) == 1
    assert OperatorItem.objects.get().kind == "refund_impossible"
    assert refunds.drain(10) == 0


@pytest.mark.parametrize(
    "kind",
    [
        "timeout_before",
        "timeout_after",
        "reset_after",
        "garbage_body",
        "truncated_body",
        "rate_limit",
        "kept_500_before",
        "kept_500_after",
        "refuse",
        "slow_execution",
    ],
)
def test_whatever_happens_to_the_answer_the_money_goes_back_once(shop: Shop, kind: str) -> None:
    paid(shop)
    lost_domain(shop)
    shop.sandbox.faults.add(kind, platform="stripe", verb="refunds.create", times=1, seconds=30)
    for _ in range(4):
        refunds.drain(10)
        shop.advance(600)
    assert shop.charged() == 14400 - 3233
    assert Refund.objects.get().state == Refund.State.SENT
    assert Mail.objects.filter(kind="refunded").count() == 1


def test_a_refund_waits_before_it_is_tried_again(shop: Shop) -> None:
    paid(shop)
    lost_domain(shop)
    shop.sandbox.faults.add("status", platform="stripe", verb="refunds.create", status=503)
    assert refunds.drain(10) == 2
    assert refunds.drain(10) == 0
    assert not refunds.is_due()


def test_a_refund_that_does_not_get_through_is_told_and_goes_on(shop: Shop) -> None:
    paid(shop)
    lost_domain(shop)
    shop.sandbox.faults.add("status", platform="stripe", verb="refunds.create", status=503)
    for _ in range(refunds.ALERT_AFTER):
        refunds.drain(10)
        shop.advance(3600)
    assert OperatorItem.objects.get(kind="refund_stuck").resolved_at is None
    shop.sandbox.faults.clear()
    refunds.drain(10)
    assert Refund.objects.get().state == Refund.State.SENT
    assert OperatorItem.objects.get(kind="refund_stuck").resolved_at is not None


def test_a_refused_refund_is_the_operators_and_can_be_retried(shop: Shop) -> None:
    paid(shop)
    lost_domain(shop)
    (charge,) = shop.sandbox.world.stripe["charges"].values()
    charge["amount_refunded"] = 14400  # somebody refunded all of it in Stripe's own dashboard
    refunds.drain(10)
    refund = Refund.objects.get()
    assert refund.state == Refund.State.FAILED
    assert OperatorItem.objects.get(kind="refund_stuck").provision == shop.provision
    charge["amount_refunded"] = 0
    refunds.retry(refund=refund, actor="operator@example.org", reason="mended in the dashboard")
    refunds.drain(10)
    refund.refresh_from_db()
    assert refund.state == Refund.State.SENT
