"""Whatever happens to the subscription while the order is being built: at each pause between two wake-ups."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.conf import settings
from django.test import Client

from billing import life
from billing.models import Subscription
from infra.models import Mail, ProvisionState
from integrations.sandbox import stripe_life
from integrations.sandbox.stripe import Account
from provisioning.models import ACTIVE_RUN, Run
from tests.integration import invariants
from tests.integration.billing.shop import Shop

from .market import Market
from .whole import IS_WHOLE

DAY = 86400
PAUSES = range(40) if IS_WHOLE else (9,)  # wake-ups before it happens; an order has about thirty
OVER = (ProvisionState.CANCELLING, ProvisionState.CANCELLED)


@pytest.fixture
def market(monkeypatch: pytest.MonkeyPatch, client: Client) -> Market:
    """Two students who have paid; nothing is built yet. The second one is only there to be left alone."""
    market = Market.open(monkeypatch, buyers=2)
    for shop in market.shops:
        shop.press(shop.order(), "pay")
    hear(market)
    return market


def hear(market: Market) -> None:
    """Let every event arrive, and everything of billing be worked on."""
    for event in market.events():
        market.shops[0].post_event(event)
    market.shops[0].work()


def do(market: Market, *acts: tuple[str, dict[str, Any]]) -> None:
    """Let things happen at Stripe to the first student's subscription, one after the other, each heard."""
    (shop, _other), sandbox = market.shops, market.world.sandbox
    for verb, given in acts:
        account = Account(sandbox.world, sandbox.clock.real())
        stripe_life.act(account, verb, {"reference": shop.provision.reference, **given})
        hear(market)


def overdue(market: Market) -> None:
    """A renewal fails, and stays unpaid until the order rests."""
    do(market, ("set_card", {"card": "bad"}), ("renew", {}))
    market.world.advance(settings.BILLING_SUSPEND_DAYS * DAY)
    life.sweep(10)
    assert market.shops[0].state() == ProvisionState.SUSPENDED


def overdue_and_ended(market: Market) -> None:
    overdue(market)
    do(market, ("cancel_now", {}))


PASSING: dict[str, tuple[Callable[[Market], object], Callable[[Market], object]]] = {
    "overdue, then paid": (overdue, lambda market: do(market, ("change_card", {"card": "good"}))),
    "disputed, then won": (
        lambda market: do(market, ("dispute", {})),
        lambda market: do(market, ("dispute_won", {})),
    ),
    "cancelled, then kept": (
        lambda market: do(market, ("cancel_at_period_end", {})),
        lambda market: do(market, ("keep", {})),
    ),
    "partly refunded": (lambda market: do(market, ("refund", {"cents": 5000})), lambda market: None),
    "payment to be confirmed": (
        lambda market: do(market, ("set_card", {"card": "action"}), ("renew", {})),
        lambda market: do(market, ("authenticate", {})),
    ),
}
ENDS: dict[str, Callable[[Market], object]] = {
    "ended at Stripe": lambda market: do(market, ("cancel_now", {})),
    "refunded": lambda market: do(market, ("refund", {})),
    "disputed and lost": lambda market: do(market, ("dispute", {}), ("dispute_lost", {})),
    "overdue and ended": overdue_and_ended,
}


def build(market: Market, wake_ups: int) -> None:
    """Let both orders be built for so many wake-ups."""
    for _ in range(2 * wake_ups):
        market.world.run_until(lambda: market.world.run_once() or not under_way(market.shops))


def under_way(shops: list[Shop]) -> bool:
    orders = [shop.provision for shop in shops]
    return Run.objects.filter(provision__in=orders, state__in=ACTIVE_RUN, held_since=None).exists()


def finish(market: Market) -> None:
    market.world.run_until(lambda: not under_way(market.shops))


def bought(shop: Shop) -> dict[str, int]:
    names = set(shop.provision.domains.values_list("name", flat=True))
    purchases = shop.sandbox.world.zapmail.purchases
    return {name: one.bought for name, one in purchases.items() if name in names and one.bought}


def live_subscriptions(shop: Shop) -> int:
    rows = shop.sandbox.world.stripe["subscriptions"].values()
    mine = [row for row in rows if row["metadata"]["provision_ref"] == shop.provision.reference]
    return sum(row["status"] != "canceled" for row in mine)


def assert_left_alone(other: Shop) -> None:
    assert other.state() == ProvisionState.ACTIVE
    assert live_subscriptions(other) == 1
    found = Subscription.objects.get(provision=other.provision)
    assert (found.status, found.overdue_since, found.dispute, found.refunded_cents) == ("active", None, "", 0)
    kinds = set(Mail.objects.filter(provision=other.provision).values_list("kind", flat=True))
    assert kinds <= {"paid", "ready", "delayed", "fixed"}


@pytest.mark.parametrize("pause", PAUSES)
@pytest.mark.parametrize("name", PASSING)
def test_what_passes_leaves_a_whole_set_up_bought_once(market: Market, name: str, pause: int) -> None:
    begins, ends = PASSING[name]
    mine, other = market.shops
    build(market, pause)
    begins(market)
    build(market, 3)
    ends(market)
    finish(market)
    assert mine.state() == ProvisionState.ACTIVE
    assert set(bought(mine).values()) == {1}
    assert len(bought(mine)) == 3
    assert live_subscriptions(mine) == 1
    assert_left_alone(other)
    invariants.check(market.world.sandbox, market.world.books())


@pytest.mark.parametrize("pause", PAUSES)
@pytest.mark.parametrize("name", ENDS)
def test_what_ends_the_order_ends_spending_and_collecting(market: Market, name: str, pause: int) -> None:
    mine, other = market.shops
    build(market, pause)
    ENDS[name](market)
    assert mine.state() in OVER
    spent = bought(mine)
    build(market, 20)
    market.world.run_until(lambda: other.state() == ProvisionState.ACTIVE)
    assert mine.state() in OVER
    assert bought(mine) == spent
    assert live_subscriptions(mine) == 0
    assert_left_alone(other)
