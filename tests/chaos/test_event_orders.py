"""Every order of the life-cycle events ends in the same state: doubled, late, overtaking each other, or not at all."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

import pytest
from django.test import Client

from billing import webhooks
from billing.gateway import Gateway
from billing.models import Checkout, WebhookEvent

from .choices import Choices, drawn_courses, every_course
from .figures import Figures
from .lives import LIVES, Hearing, Life, Picture, play
from .market import Market, undone
from .whole import IS_WHOLE

MOST = 200 if IS_WHOLE else 0  # courses of one life that are gone through one by one; of the others, some are drawn
DRAWN = 60 if IS_WHOLE else 2
BARELY = 20 if IS_WHOLE else 1

CALM = Hearing()
NOISY = Hearing(everything=True, copies=3, lazy=0.4)
SILENT = Hearing(everything=True, copies=2, lazy=0.4, lost=0.5)
DEAF = Hearing(lost=1.0)


@pytest.fixture
def market(monkeypatch: pytest.MonkeyPatch, client: Client) -> Market:
    """A student before an open payment page."""
    market = Market.open(monkeypatch, buyers=1)
    market.shops[0].order()
    return market


def wrong_ends(market: Market, life: Life, courses: Iterable[Choices], hearing: Hearing) -> list[str]:
    """Go through courses of a life; return a line for each that did not end as it must."""
    (shop,) = market.shops
    wrong = []
    for choices in courses:
        with undone(shop):
            differs = difference(play(shop, life, choices, hearing), life)
        if differs:
            wrong.append(f"{choices} {hearing}: {differs}")
    return wrong


def difference(picture: Picture, life: Life) -> str:
    return ", ".join(
        f"{name} is {picture[name]}, not {value}" for name, value in life.ends.items() if picture[name] != value
    )


def counted(courses: Iterable[Choices], figures: Figures) -> Iterable[Choices]:
    for choices in courses:
        yield choices
        figures.add("event_orders_played")
        figures.greatest("event_orders_longest", len(choices.taken))


@pytest.mark.parametrize("name", LIVES)
def test_every_order_of_the_events_ends_in_the_same_state(market: Market, name: str, figures: Figures) -> None:
    one_by_one = every_course()
    assert wrong_ends(market, LIVES[name], counted(islice(one_by_one, MOST), figures), CALM) == []
    if MOST and next(one_by_one, None) is None:
        figures.add("lives_played_in_every_order")
    else:
        assert wrong_ends(market, LIVES[name], counted(drawn_courses(DRAWN, seed=1), figures), CALM) == []


@pytest.mark.parametrize("name", LIVES)
def test_copies_and_events_that_mean_nothing_to_us_change_nothing(market: Market, name: str, figures: Figures) -> None:
    assert wrong_ends(market, LIVES[name], counted(drawn_courses(BARELY, seed=2), figures), NOISY) == []


@pytest.mark.parametrize("name", [name for name, life in LIVES.items() if life.is_found])
def test_what_is_never_heard_of_is_found_by_asking(market: Market, name: str, figures: Figures) -> None:
    """Half of the events never arrive, or none at all."""
    assert wrong_ends(market, LIVES[name], counted(drawn_courses(BARELY, seed=3), figures), SILENT) == []
    assert wrong_ends(market, LIVES[name], counted(drawn_courses(1, seed=4), figures), DEAF) == []


# ---- controls --------------------------------------------------------------------------------------------------------


def test_control_whoever_copies_what_an_event_says_ends_in_an_old_state(
    market: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    def copy(event: WebhookEvent) -> WebhookEvent.State:
        told = event.payload["data"]["object"]
        if told["object"] == "checkout.session":
            state = {"paid": "paid", "unpaid": "confirming"}[told["payment_status"]]
            Checkout.objects.filter(session_id=told["id"]).update(state=state)
        return WebhookEvent.State.DONE

    monkeypatch.setattr(webhooks, "work", copy)
    life = Life(LIVES["debit that succeeds"].steps, {"checkouts": ["paid"]})
    wrong = wrong_ends(market, life, every_course(), CALM)
    assert wrong
    assert all("checkouts is ['confirming'], not ['paid']" in line for line in wrong)


@pytest.mark.parametrize("name", ["dispute", "refund by hand"])
def test_control_whoever_does_not_look_at_the_subscription_misses_what_overtook_its_payment(
    market: Market, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(Gateway, "sessions_of_customer", lambda self, customer_id: [])
    monkeypatch.setattr("billing.life.follow", lambda **_: False)
    overtaking = Choices([0, 2, 2])  # paid; the trouble happens; its news arrives before the two events of the payment
    assert wrong_ends(market, LIVES[name], [overtaking], CALM)


def test_control_without_the_sweep_nobody_finds_what_was_not_heard_of(
    market: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("billing.actions._unheard", lambda now: Checkout.objects.none())
    (line,) = wrong_ends(market, LIVES["card"], drawn_courses(1, seed=4), DEAF)
    assert "provision is pending_payment, not provisioning" in line


def test_every_event_that_we_act_upon_belongs_to_a_life(market: Market) -> None:
    (shop,), heard = market.shops, set[str]()
    for life in LIVES.values():
        with undone(shop):
            play(shop, life, Choices(), CALM)
            heard |= set(WebhookEvent.objects.values_list("type", flat=True))
    elsewhere = {"refund.updated", "refund.failed"}  # test_refunds.py
    elsewhere |= {f"customer.subscription.pending_update_{end}" for end in ("applied", "expired")}  # test_upgrades.py
    assert set(webhooks.HANDLERS) - heard == elsewhere
