"""Money on its way back: shares of lost domains, second payments, and refunds whose answer was lost."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from billing import actions, cancellation, gateway, refunds, webhooks
from billing.models import Checkout, Payment, Refund
from infra.models import Mail, OperatorItem, OrderLine, ProvisionState, User
from integrations.http.call import Call, Raw
from integrations.http.errors import OutcomeUnknown
from provisioning import actions as provisioning
from provisioning.models import Event
from tests.integration.billing.shop import Shop, gateway_over


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


# --- one key, one refund ----------------------------------------------------------------------------------------------


class Between:
    """A transport that answers the creation of refunds by a script: each step answers instead of Stripe."""

    def __init__(self, shop: Shop, *steps: Callable[[Call[Any]], Raw]) -> None:
        self.inner = shop.sandbox.transport()
        self.steps = list(steps)
        self.sent: list[Call[Any]] = []

    def send(self, call: Call[Any], *, send_before: float | None = None) -> Raw:
        if call.verb == "post refunds":
            self.sent.append(call)
            if self.steps:
                return self.steps.pop(0)(call)
        return self.inner.send(call, send_before=send_before)

    def use(self, monkeypatch: pytest.MonkeyPatch) -> None:
        ours = gateway_over(self)
        monkeypatch.setattr(gateway, "current", lambda: ours)


def no_answer(call: Call[Any]) -> Raw:
    raise OutcomeUnknown("timed out", platform="stripe")


def answer(status: int, code: str = "api_error") -> Callable[[Call[Any]], Raw]:
    body = json.dumps({"error": {"type": "api_error", "code": code, "message": "no"}}).encode()
    return lambda call: Raw(status, {}, body)


@pytest.mark.parametrize(
    "steps",
    [
        [no_answer, answer(409, "lock_timeout"), answer(429)],
        [no_answer, answer(429), answer(429), answer(429)],
        [no_answer, no_answer, no_answer, no_answer],
        [answer(503), no_answer, answer(429)],
    ],
)
def test_a_request_that_executes_late_is_no_second_refund(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, steps: list[Callable[[Call[Any]], Raw]]
) -> None:
    paid(shop)
    lost_domain(shop)
    wire = Between(shop, *steps)
    wire.use(monkeypatch)
    for _ in range(len(steps) + 1):
        refunds.drain(10)
        shop.advance(600)
    refund = Refund.objects.get()
    assert (refund.state, refund.epoch) == ("sent", 1)
    wire.inner.send(wire.sent[0])  # what was held up somewhere arrives now
    assert shop.charged() == 14400 - 3233


def test_a_new_key_waits_until_no_request_under_the_old_one_can_execute(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    paid(shop)
    lost_domain(shop)
    wire = Between(shop, answer(500), answer(500))
    wire.use(monkeypatch)
    refunds.drain(10)
    for _ in range(11):  # sent a second time after a minute, and for ten minutes from then on only looked for
        shop.advance(58)
        refunds.drain(10)
    assert (len(wire.sent), Refund.objects.get().epoch) == (2, 1)
    shop.advance(120)
    refunds.drain(10)
    refund = Refund.objects.get()
    assert (len(wire.sent), refund.epoch, refund.state) == (3, 2, "sent")
    assert shop.charged() == 14400 - 3233


def test_a_refund_that_breaks_our_code_is_reported_and_does_not_hold_up_the_others(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    paid(shop)
    broken, good = lost_domain(shop, cents=1000), lost_domain(shop, cents=2000)
    send = refunds._send

    def breaks(refund: Refund) -> Any:
        if refund.amount_cents == 1000:
            raise KeyError("a bug")
        return send(refund)

    with monkeypatch.context() as patch:
        patch.setattr(refunds, "_send", breaks)
        for _ in range(refunds.ALERT_AFTER):
            refunds.drain(10)
            shop.advance(3600)
    good.refresh_from_db()
    assert good.state == OrderLine.State.REFUNDED
    assert "KeyError" in OperatorItem.objects.get(kind="refund_stuck").sentence
    refunds.drain(10)
    broken.refresh_from_db()
    assert broken.state == OrderLine.State.REFUNDED


def test_a_line_that_breaks_our_code_is_reported_and_does_not_hold_up_the_others(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    paid(shop)
    lost_domain(shop, cents=1000)
    good = lost_domain(shop, cents=2000)
    make = refunds._make_refund

    def breaks(line: OrderLine) -> None:
        if line.amount_cents == 1000:
            raise KeyError("a bug")
        make(line)

    monkeypatch.setattr(refunds, "_make_refund", breaks)
    refunds.drain(10)
    good.refresh_from_db()
    assert good.state == OrderLine.State.REFUNDED
    assert "KeyError" in OperatorItem.objects.get(kind="refund_stuck").sentence


def test_a_payment_that_was_recorded_without_its_intent_can_be_refunded(shop: Shop) -> None:
    """Stripe may fill `invoice.payments` in after it has reported the payment."""
    paid(shop)
    Payment.objects.update(stripe_payment_intent_id="")
    lost_domain(shop)
    refunds.drain(10)
    assert shop.charged() == 14400 - 3233
    assert Payment.objects.get().stripe_payment_intent_id.startswith("pi_")


# --- refunds that fail ------------------------------------------------------------------------------------------------


def saying(status: str, shop: Shop) -> Callable[[Call[Any]], Raw]:
    """Let Stripe make the refund and report this status of it, now and later."""

    def make(call: Call[Any]) -> Raw:
        raw = shop.sandbox.transport().send(call)
        refund = json.loads(raw.body)
        shop.sandbox.world.stripe["refunds"][refund["id"]]["status"] = status
        return Raw(raw.status, raw.headers, json.dumps({**refund, "status": status}).encode())

    return make


def give_back_to_us(shop: Shop) -> None:
    """A refund that failed: the money is with the operator's account again."""
    (charge,) = shop.sandbox.world.stripe["charges"].values()
    charge["amount_refunded"] = 0


@pytest.mark.parametrize("status", ["failed", "canceled"])
def test_a_refund_that_stripe_reports_as_failed_is_not_sent(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, status: str
) -> None:
    paid(shop)
    line = lost_domain(shop)
    Between(shop, saying(status, shop)).use(monkeypatch)
    refunds.drain(10)
    line.refresh_from_db()
    assert Refund.objects.get().state == Refund.State.FAILED
    assert (line.state, Payment.objects.get().refunded_cents) == (OrderLine.State.REFUND_DUE, 0)
    assert not Mail.objects.filter(kind="refunded").exists()
    assert status in OperatorItem.objects.get(kind="refund_stuck").sentence


@pytest.mark.parametrize("status", ["pending", "requires_action"])
def test_a_refund_on_its_way_is_sent(shop: Shop, monkeypatch: pytest.MonkeyPatch, status: str) -> None:
    paid(shop)
    lost_domain(shop)
    Between(shop, saying(status, shop)).use(monkeypatch)
    refunds.drain(10)
    assert Refund.objects.get().state == Refund.State.SENT


def test_a_state_that_we_do_not_know_is_neither_sent_nor_sent_again(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    paid(shop)
    lost_domain(shop)
    wire = Between(shop, saying("on_holiday", shop))
    wire.use(monkeypatch)
    for _ in range(refunds.ALERT_AFTER):
        refunds.drain(10)
        shop.advance(3600)
    assert (Refund.objects.get().state, len(wire.sent)) == ("due", 1)
    assert "on_holiday" in OperatorItem.objects.get(kind="refund_stuck").sentence


def test_a_repeated_answer_is_not_taken_for_the_present(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Made, answer lost, failed meanwhile: the answer repeated under the key still says "succeeded"."""
    paid(shop)
    lost_domain(shop)

    def lost(call: Call[Any]) -> Raw:
        shop.sandbox.transport().send(call)
        (refund,) = shop.sandbox.world.stripe["refunds"].values()
        refund["status"] = "failed"
        raise OutcomeUnknown("timed out", platform="stripe")

    Between(shop, lost).use(monkeypatch)
    refunds.drain(10)
    shop.advance(600)
    refunds.drain(10)
    assert Refund.objects.get().state == Refund.State.FAILED


@pytest.mark.parametrize("kind", ["refund.failed", "refund.updated"])
def test_a_refund_that_comes_back_days_later_is_the_operators_and_can_be_sent_again(shop: Shop, kind: str) -> None:
    paid(shop)
    line = lost_domain(shop)
    refunds.drain(10)
    (held,) = shop.sandbox.world.stripe["refunds"].values()
    held["status"] = "failed"
    give_back_to_us(shop)
    said = {**held, "status": "succeeded"}  # the event is a pointer: what it says of the object does not count
    event = {"id": "evt_r", "object": "event", "type": kind, "livemode": False, "data": {"object": said}}
    for number in range(2):
        shop.post_event({**event, "id": f"evt_{number}"})
        webhooks.drain(10)
    line.refresh_from_db()
    refund = Refund.objects.get()
    assert (refund.state, line.state) == (Refund.State.FAILED, OrderLine.State.REFUND_DUE)
    assert Payment.objects.get().refunded_cents == 0
    assert OperatorItem.objects.filter(kind="refund_stuck", resolved_at__isnull=True).count() == 1
    refunds.retry(refund=refund, actor="operator@example.org", reason="the student has a new card")
    shop.post_event({**event, "id": "evt_late"})
    shop.work()
    line.refresh_from_db()
    assert (Refund.objects.get().state, line.state) == (Refund.State.SENT, OrderLine.State.REFUNDED)
    assert (shop.charged(), Payment.objects.get().refunded_cents) == (14400 - 3233, 3233)
    assert Event.objects.filter(kind="refund_failed").count() == 1


def test_a_refund_of_another_product_is_left_alone(shop: Shop) -> None:
    event = {"id": "evt_r", "object": "event", "type": "refund.failed", "livemode": False}
    shop.post_event({**event, "data": {"object": {"id": "re_foreign", "object": "refund"}}})
    assert webhooks.drain(10) == 1
    assert not OperatorItem.objects.exists()


# --- the operator's verbs ---------------------------------------------------------------------------------------------


@pytest.fixture
def console(client: Client) -> Client:
    browser = Client()
    browser.force_login(User.objects.create_superuser("olive@ops.example", "pw"))
    return browser


def test_a_failed_refund_is_sent_again_from_its_page(
    shop: Shop, console: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    paid(shop)
    lost_domain(shop)
    Between(shop, saying("failed", shop)).use(monkeypatch)
    refunds.drain(10)
    give_back_to_us(shop)
    refund = Refund.objects.get()
    href = reverse("admin:billing_refund_send_again", args=[refund.pk])
    assert href in console.get(reverse("admin:billing_refund_change", args=[refund.pk])).content.decode()
    asked = console.get(href)
    assert "32.33 USD" in asked.content.decode()
    refund.refresh_from_db()
    assert refund.state == Refund.State.FAILED, "to ask is not to do"
    console.post(href, {"reason": "the bank mended it"})
    refunds.drain(10)
    refund.refresh_from_db()
    assert refund.state == Refund.State.SENT
    again = console.post(href, {"reason": "pressed twice"}, follow=True)
    assert "has not failed" in again.content.decode()
    assert shop.charged() == 14400 - 3233


def test_a_subscription_that_could_not_be_ended_is_ended_from_the_orders_page(shop: Shop, console: Client) -> None:
    paid(shop)
    href = reverse("admin:infra_provision_end_subscription", args=[shop.provision.pk])
    assert "Cancel it" in console.post(href, {"reason": "x"}, follow=True).content.decode()
    shop.sandbox.faults.add("status", platform="stripe", verb="subscriptions.cancel", status=503, times=2)
    cancellation.cancel_order(provision=shop.provision, actor="operator", reason="asked for")
    assert shop.live_subscriptions() == 1
    assert "did not end it" in console.post(href, {"reason": "again"}, follow=True).content.decode()
    assert "has ended" in console.post(href, {"reason": "and again"}, follow=True).content.decode()
    assert shop.live_subscriptions() == 0
    assert not OperatorItem.objects.filter(kind="subscription_not_ended", resolved_at__isnull=True).exists()
