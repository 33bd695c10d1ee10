"""How Stripe has booked each payment: late, in another currency, with fees kept or returned; read and never written."""

from __future__ import annotations

from typing import Any

import pytest

from billing import fees, refunds, webhooks
from billing.models import Booking, Payment, Refund
from infra.models import OperatorItem
from provisioning.engine import doorbell
from tests.integration.billing.shop import Shop
from tests.integration.billing.test_life import do, hear, row
from tests.integration.billing.test_refunds import lost_domain, paid

BOOKED = 100  # seconds after which everything is booked


@pytest.fixture
def mine(shop: Shop) -> Shop:
    """A student who has paid, and of whose subscription everything was heard."""
    paid(shop)
    hear(shop)
    return shop


def look(shop: Shop, seconds: float = BOOKED) -> list[tuple[str, int, int, int]]:
    """Let Stripe book and our worker ask; return what is written down: source, amount, fee, net."""
    shop.advance(seconds + 120)
    fees.drain(100)
    return list(Booking.objects.order_by("created_at").values_list("source", "amount", "fee", "net"))


CHARGE = ("charge", 14400, 448, 13952)  # 2.9 % and 30 cents


def test_a_fee_is_not_known_until_stripe_has_booked_it(mine: Shop) -> None:
    mine.sandbox.switches.set(stripe_balance_seconds=3600)
    do(mine, "renew")
    hear(mine)
    fees.drain(100)
    renewal, first = Payment.objects.order_by("amount_cents")
    assert (first.fees_at, renewal.fees_at, Booking.objects.count()) == (None, None, 0)
    assert look(mine) == [CHARGE]
    renewal.refresh_from_db()
    assert renewal.fees_at is None
    assert renewal.fees_due_at is not None
    assert look(mine, 3600) == [CHARGE, ("charge", 4700, 166, 4534)]
    assert not fees.is_due()


def test_what_is_known_is_not_asked_for_again(mine: Shop) -> None:
    assert "fees" in doorbell.due_names()
    look(mine)
    before = mine.sandbox.log.count
    assert look(mine, 86400) == [CHARGE]
    assert [entry.verb for entry in mine.sandbox.log if entry.n > before] == []


def test_a_payment_costs_two_questions(mine: Shop) -> None:
    before = mine.sandbox.log.count
    look(mine)
    assert [entry.verb for entry in mine.sandbox.log if entry.n > before] == ["charges.list", "refunds.list"]


@pytest.mark.parametrize(("switch", "fee"), [("kept", 0), ("returned", -94)])
def test_a_refund_is_booked_of_its_own_and_returns_the_fee_or_not(mine: Shop, switch: Any, fee: int) -> None:
    look(mine)
    mine.sandbox.switches.set(stripe_refund_fee=switch)
    lost_domain(mine)
    mine.work()
    assert look(mine) == [CHARGE, ("refund", -3233, fee, -3233 - fee)]


def test_a_dispute_takes_the_money_and_a_fee_and_a_won_one_brings_it_back(mine: Shop) -> None:
    mine.sandbox.switches.set(stripe_dispute_fee="returned")
    do(mine, "dispute")
    hear(mine)
    taken = ("dispute", -14400, 1500, -15900)
    assert sorted(look(mine)) == [CHARGE, taken]
    do(mine, "dispute_won")
    hear(mine)
    assert ("dispute", 14400, -1500, 15900) in look(mine)


def test_an_account_that_is_paid_out_in_another_currency(mine: Shop) -> None:
    mine.sandbox.switches.set(stripe_settles_in="eur", stripe_exchange_rate=0.9)
    look(mine)
    (one,) = Booking.objects.all()
    assert (one.amount, one.currency) == (14400, "usd")
    assert (one.gross, one.fee, one.net, one.settled_currency) == (12960, 406, 12554, "eur")


@pytest.mark.parametrize("broken", [{"net": 1}, {"fee": None}])
def test_a_booking_that_makes_no_sense_is_not_known(mine: Shop, broken: dict[str, Any]) -> None:
    mine.sandbox.advance(BOOKED)
    (held,) = mine.sandbox.world.stripe["balance_transactions"].values()
    good = dict(held)
    held.update(broken)
    assert look(mine) == []
    assert Payment.objects.get().fees_due_at is not None
    held.update(good)
    assert look(mine, 3600) == [CHARGE]


def test_stripe_that_has_enough_of_us_is_left_alone(mine: Shop) -> None:
    do(mine, "renew")
    hear(mine)
    mine.advance(BOOKED)
    mine.sandbox.faults.add("rate_limit", platform="stripe")
    assert fees.drain(100) == 1


# --- what somebody refunds in Stripe's own dashboard --------------------------------------------------------------------


def test_a_refund_made_at_stripe_counts_once_however_often_it_is_heard(mine: Shop) -> None:
    do(mine, "refund", cents=1000)
    hear(mine)
    refunds.report_foreign(Payment.objects.get())
    payment, refund = Payment.objects.get(), Refund.objects.get()
    assert (payment.refunded_cents, row(mine).refunded_cents) == (1000, 1000)
    assert (refund.state, refund.amount_cents, refund.key) == ("sent", 1000, f"stripe:{refund.stripe_refund_id}")
    assert OperatorItem.objects.filter(kind="payment_trouble").count() == 1
    assert look(mine)[1:] == [("refund", -1000, 0, -1000)]


def test_a_refund_made_at_stripe_that_fails_is_taken_back(mine: Shop) -> None:
    do(mine, "refund", cents=1000)
    hear(mine)
    look(mine)
    do(mine, "refund_fails")
    hear(mine)
    assert (Payment.objects.get().refunded_cents, Refund.objects.get().state) == (0, "failed")
    assert "only there" in refunds.why_no_retry(Refund.objects.get())
    assert [source for source, *_rest in look(mine)] == ["charge", "refund", "refund_failure"]
    assert sum(net for *_rest, net in look(mine)) == CHARGE[3]
    for event in list(mine.sandbox.world.stripe["events"].values()):
        mine.post_event({**event, "id": event["id"] + "_again"})
    webhooks.drain(100)
    assert Payment.objects.get().refunded_cents == 0


def test_our_own_refund_is_not_taken_for_one_of_stripes(mine: Shop) -> None:
    lost_domain(mine)
    mine.work()
    hear(mine)
    refunds.report_foreign(Payment.objects.get())
    assert Payment.objects.get().refunded_cents == 3233
    assert Refund.objects.count() == 1
