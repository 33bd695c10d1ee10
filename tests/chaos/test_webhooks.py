"""A hundred purchases and ten thousand deliveries, eight at a time over real HTTP: each purchase is made once."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.db.models import Sum
from django.test import Client

from billing import actions, inbox, webhooks
from billing.gateway import Session
from billing.models import Checkout, Payment, WebhookEvent
from config.bench import bare
from config.bench.hammer import Answer, hammer, percentile
from infra.clock import machine_now
from infra.models import Provision, ProvisionState
from provisioning.engine import doorbell
from provisioning.models import Run
from tests import harness
from tests.integration import invariants
from tests.integration.billing.shop import Shop
from tests.integration.billing.threads import THREADS, at_once, nothing_locked, overtaken

from . import database
from .crowd import DECIDING, events_of_paying, going_on, one_after_the_other, posts, web_server
from .figures import Figures
from .lives import PAID
from .market import Market
from .whole import IS_WHOLE

BUYERS, DELIVERIES, COPIES = (100, 10_000, 4) if IS_WHOLE else (5, 300, 4)
BARE_EVERY = 10
WORKERS = 2


def assert_each_once(market: Market) -> None:
    """Each purchase has one payment, one run, one mail and one subscription, and nobody was asked to help."""
    for shop in market.shops:
        picture = shop.picture()
        assert picture == {name: PAID[name] for name in picture}
    orders = [shop.provision for shop in market.shops]
    assert Payment.objects.filter(provision__in=orders).count() == len(orders)
    assert Run.objects.filter(provision__in=orders).count() == len(orders)
    assert market.shops[0].charged() == PAID["charged"] * len(orders)
    assert market.shops[0].live_subscriptions() == len(orders)


def returns(shop: Shop) -> None:
    """The student comes back from the payment page."""
    actions.fulfil(checkout=shop.newest(), actor=str(shop.provision.student))


@pytest.mark.usefixtures("client")
def test_each_purchase_is_made_once_however_often_it_is_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, figures: Figures
) -> None:
    """Workers, returning students and the sweep ask at the same time as the deliveries arrive."""
    market = Market.open(monkeypatch, buyers=BUYERS)
    events = list(events_of_paying(market, each=DELIVERIES // BUYERS // COPIES))
    market.world.advance(180)  # so that the sweep finds it worth looking, too
    sent = posts(events, copies=COPIES, bare_every=BARE_EVERY, seed=market.world.seed)
    visits = one_after_the_other(market.shops, returns)
    workers = [lambda: webhooks.drain(10)] * WORKERS
    with (
        web_server(tmp_path) as address,
        going_on(*workers, visits, lambda: actions.sweep_open_checkouts(1)),
    ):
        answers = hammer(address, sent, clients=8)
    webhooks.drain(len(events))

    assert {answer.status for answer in answers} == {200}
    rows = WebhookEvent.objects.filter(event_id__in=[event["id"] for event in events])
    assert rows.count() == len(events) == DELIVERIES // COPIES
    assert rows.aggregate(all=Sum("deliveries")) == {"all": DELIVERIES}
    assert not rows.exclude(state__in=["done", "ignored"]).exists()
    assert not rows.exclude(attempts=1).exists()
    assert_each_once(market)
    tell(figures, answers)
    build(market)


def tell(figures: Figures, answers: list[Answer]) -> None:
    """The workers share the machine with the clients here; `make bench` measures without them."""
    ours = [answer.seconds for answer in answers if answer.path != bare.PATH]
    others = [answer.seconds for answer in answers if answer.path == bare.PATH]
    figures.add("webhook_purchases", BUYERS)
    figures.add("webhook_deliveries", len(ours))
    for share, name in ((0.5, "p50"), (0.99, "p99")):
        figures.put(f"webhook_{name}_ms", 1000 * percentile(ours, share))
        figures.put(f"webhook_bare_{name}_ms", 1000 * percentile(others, share))


def build(market: Market, *, some: int = 10) -> None:
    """Build what some of them bought: the platforms hold everything once, too. A hundred at once are another matter."""
    orders = [shop.provision for shop in market.shops[:some]]
    others = Run.objects.filter(provision__in=[shop.provision for shop in market.shops[some:]])
    others.update(state="cancelled", finished_at=machine_now(), next_attempt_at=None)
    market.world.run_until(lambda: not Run.objects.filter(provision__in=orders).exclude(state="done").exists())
    for order in orders:
        order.refresh_from_db()
        assert order.state == ProvisionState.ACTIVE
    invariants.check(market.world.sandbox, market.world.books())
    purchases = market.world.sandbox.world.zapmail.purchases
    assert len(purchases) == 3 * len(orders)
    assert {one.bought for one in purchases.values()} == {1}


# ---- silence ---------------------------------------------------------------------------------------------------------

BELLS = {"webhooks", "refunds", "checkouts"}  # billing's
TICK = 3  # seconds: so often at most does the supervisor ring for what is due


def pay_in_silence(monkeypatch: pytest.MonkeyPatch, *, buyers: int, idle: int = 0) -> Market:
    """Let some pay whose webhooks never arrive and who never come back; `idle` others leave their page open."""
    market = Market.open(monkeypatch, buyers=buyers + idle)
    for number, shop in enumerate(market.shops):
        checkout = shop.order()
        if number < buyers:
            shop.press(checkout, "pay")
    return market


def supervise(market: Market, *, seconds: int) -> dict[str, int]:
    """Let the supervisor ring for what is due and workers answer; return after how long each order was found paid."""
    found: dict[str, int] = {}
    orders = Provision.objects.filter(pk__in=[shop.provision.pk for shop in market.shops])
    for now in range(0, seconds, TICK):
        for bell in BELLS & set(doorbell.due_names()):
            doorbell.drain(bell)
            for reference in orders.filter(state=ProvisionState.PROVISIONING).values_list("reference", flat=True):
                found.setdefault(reference, now)
        market.world.advance(TICK)
    return found


@pytest.mark.usefixtures("client")
def test_a_paid_session_whose_webhooks_never_arrive_is_found(monkeypatch: pytest.MonkeyPatch, figures: Figures) -> None:
    market = pay_in_silence(monkeypatch, buyers=BUYERS, idle=3)
    found = supervise(market, seconds=500)
    assert len(found) == BUYERS
    figures.greatest("silent_payment_found_after_seconds", max(found.values()))
    asked = [entry.items for entry in market.world.sandbox.log if entry.verb == "checkout.sessions.retrieve"]
    paid, idle = market.shops[:BUYERS], market.shops[BUYERS:]
    assert [asked.count((shop.newest().session_id,)) for shop in paid] == [1] * BUYERS
    assert all(asked.count((shop.newest().session_id,)) == 2 for shop in idle)  # after two minutes, and after five more
    market.shops = paid
    assert_each_once(market)


@pytest.mark.usefixtures("client")
def test_control_without_its_bell_a_silent_payment_is_never_found(monkeypatch: pytest.MonkeyPatch) -> None:
    market = pay_in_silence(monkeypatch, buyers=1)
    monkeypatch.delitem(doorbell._due, "checkouts")
    assert supervise(market, seconds=500) == {}
    assert market.shops[0].state() == ProvisionState.PENDING_PAYMENT


@pytest.mark.usefixtures("client")
def test_a_stored_event_whose_ring_was_lost_is_rung_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    market = Market.open(monkeypatch, buyers=1)
    (shop,) = market.shops
    shop.press(shop.order(), "pay")
    for event in market.events():
        shop.post_event(event)
    database.execute("DELETE FROM django_q_ormq")
    assert "webhooks" in doorbell.due_names()
    assert supervise(market, seconds=TICK) == {shop.provision.reference: 0}


# ---- controls: each protection taken away ----------------------------------------------------------------------------

ONE_PAYMENT = "DROP INDEX billing_payment_one_per_invoice"
ONE_EVENT = "ALTER TABLE billing_webhookevent DROP CONSTRAINT billing_webhookevent_once"
_numbers = itertools.count(1)


@pytest.fixture
def unprotected(
    request: pytest.FixtureRequest, chaos_database: str, monkeypatch: pytest.MonkeyPatch, client: Client
) -> Iterator[Market]:
    """One buyer who has paid, in a database of this test's own from which a constraint was taken away."""
    name = f"{chaos_database}_unprotected_{next(_numbers)}"
    harness.create_committing_database(name, then=f"{database.FROZEN_CLOCK}; {request.param}")
    with harness.on_database(name):
        yield one_paid(monkeypatch)


def one_paid(monkeypatch: pytest.MonkeyPatch) -> Market:
    market = Market.open(monkeypatch, buyers=1)
    market.shops[0].press(market.shops[0].order(), "pay")
    return market


def hear_everything(market: Market) -> None:
    for event in market.events():
        market.shops[0].post_event(event)
    webhooks.drain(100)


@pytest.mark.usefixtures("client")
def test_control_without_the_row_lock_a_paid_order_is_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker has read that the page is open; the student returns meanwhile; the worker goes on by what it read."""
    market = one_paid(monkeypatch)
    with (
        nothing_locked(monkeypatch),
        overtaken(monkeypatch, actions, "_locked_checkout", lambda: returns(market.shops[0])),
    ):
        hear_everything(market)
    assert market.shops[0].picture()["items"] == ["late_payment"]
    with pytest.raises(AssertionError):
        assert_each_once(market)


def blindly(checkout: Checkout, session: Session) -> None:
    """Write a payment down without looking for the one that is there."""
    Payment.objects.create(
        checkout=checkout,
        provision_id=checkout.provision_id,
        student_id=checkout.student_id,
        stripe_invoice_id=session.invoice_id,
        amount_cents=session.amount_cents,
        paid_at=machine_now(),
    )


@pytest.mark.parametrize("unprotected", [pytest.param(ONE_PAYMENT, id="constraint dropped")], indirect=True)
def test_control_without_comparing_and_constraint_a_purchase_is_two_payments(
    unprotected: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(actions, "_write_payment", blindly)
    hear_everything(unprotected)
    assert len(unprotected.shops[0].picture()["payments"]) == len(DECIDING)
    with pytest.raises(AssertionError):
        assert_each_once(unprotected)


@pytest.mark.usefixtures("client")
def test_the_constraint_alone_stops_a_second_payment(monkeypatch: pytest.MonkeyPatch) -> None:
    market = one_paid(monkeypatch)
    monkeypatch.setattr(actions, "_write_payment", blindly)
    hear_everything(market)
    assert market.shops[0].picture()["payments"] == PAID["payments"]


@pytest.mark.parametrize("unprotected", [pytest.param(ONE_EVENT, id="constraint dropped")], indirect=True)
def test_control_without_the_events_key_a_copy_is_an_event_of_its_own(
    unprotected: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = "ON CONFLICT (event_id) DO UPDATE\n        SET deliveries = billing_webhookevent.deliveries + 1,"
    assert key in inbox._KEEP
    without = inbox._KEEP.replace(key, "").replace("updated_at = excluded.updated_at", "")
    monkeypatch.setattr(inbox, "_KEEP", without)
    (event, *_others), (shop,) = unprotected.events(), unprotected.shops
    assert at_once(lambda: shop.post_event(event)) == [200] * THREADS
    assert WebhookEvent.objects.filter(event_id=event["id"]).count() == THREADS
