"""What can become of a purchase: lives made of steps, in whatever order, how often and how late they are heard of.

A step is something that a student, a bank, an operator or Stripe does; Stripe tells of it by events. A life is its steps
in their order and what must be so in the end. One course of it is one way in which the steps and the arrivals of the
events follow each other (`play`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from billing import cancellation, gateway, refunds, webhooks
from billing.models import Checkout, WebhookEvent
from infra.models import OperatorItem, OrderLine, ProvisionState
from integrations.sandbox import stripe_life
from integrations.sandbox.stripe import Account
from provisioning import actions as provisioning
from tests.integration.billing.shop import Shop

from .choices import Choices

Step = Callable[[Shop], object]
Picture = dict[str, Any]

SHARE = 3233
DAY = 86400


@dataclass(frozen=True)
class Life:
    """Steps in their order, and what must be so in the end, whatever was heard when.

    ready     what must be so before a step can happen at all, by the step's name
    is_found  whether we find out by asking, should no event arrive at all
    """

    steps: tuple[str, ...]
    ends: Mapping[str, Any]
    ready: Mapping[str, Callable[[Shop], bool]] = field(default_factory=dict)
    is_found: bool = True


# ---- steps -----------------------------------------------------------------------------------------------------------


def _press(button: str, *, first: bool = False) -> Step:
    def press(shop: Shop) -> None:
        shop.press(_first(shop) if first else shop.newest(), button)

    return press


def _first(shop: Shop) -> Checkout:
    return shop.provision.checkouts.earliest("created_at")


def _old_page_stays(shop: Shop) -> None:
    """A page that was never closed at Stripe, although we think so, and a new one beside it."""
    Checkout.objects.filter(pk=shop.newest().pk).update(state=Checkout.State.EXPIRED)
    shop.provision.refresh_from_db()
    shop.order()


def _at_stripe(*acts: dict[str, Any]) -> Step:
    """Let something happen that no button of ours does."""

    def happen(shop: Shop) -> None:
        account = Account(shop.sandbox.world, shop.sandbox.clock.real())
        for given in acts:
            stripe_life.act(account, given["do"], {"reference": shop.provision.reference, **given})

    return happen


def _refund_by_hand(shop: Shop) -> None:
    charge = next(iter(shop.sandbox.world.stripe["charges"].values()))
    gateway.current().create_refund(
        payment_intent_id=charge["payment_intent"],
        amount_cents=5000,
        refund_id="by hand",
        reference="",
        duplicate=False,
        key="by-hand",
    )


def _end_subscription(shop: Shop) -> None:
    (subscription,) = shop.sandbox.world.stripe["subscriptions"]
    gateway.current().cancel_subscription(subscription)


def _lose_a_domain(shop: Shop) -> None:
    """Mark a share as due, as provisioning does, and let a worker send it back."""
    OrderLine.objects.create(
        provision=shop.provision,
        student=shop.provision.student,
        kind=OrderLine.Kind.DOMAIN_SHARE,
        state=OrderLine.State.REFUND_DUE,
        amount_cents=SHARE,
    )
    refunds.drain(10)


def _cancel_order(shop: Shop) -> None:
    shop.provision.refresh_from_db()
    cancellation.cancel_order(provision=shop.provision, actor="operator", reason="asked for")


def _give_up(shop: Shop) -> None:
    """Cancel an order without closing its page: nobody asks whether it is being paid."""
    provisioning.cancel(provision=shop.provision, actor="operator", reason="asked for")


STEPS: Mapping[str, Step] = {
    "pays": _press("pay"),
    "pays later": _press("later"),
    "debit succeeds": _press("debit_succeeds"),
    "debit fails": _press("debit_fails"),
    "page expires": lambda shop: shop.advance(24 * 3600),
    "opens a new page": lambda shop: shop.order(),
    "old page stays": _old_page_stays,
    "pays on the old page": _press("pay", first=True),
    "bank disputes": _at_stripe({"do": "dispute"}),
    "bank decides against us": _at_stripe({"do": "dispute_lost"}),
    "bank decides for us": _at_stripe({"do": "dispute_won"}),
    "all is refunded by hand": _at_stripe({"do": "refund"}),
    "renewal": _at_stripe({"do": "renew"}),
    "renewal fails": _at_stripe({"do": "set_card", "card": "bad"}, {"do": "renew"}),
    "renewal has to be confirmed": _at_stripe({"do": "set_card", "card": "action"}, {"do": "renew"}),
    "student confirms": _at_stripe({"do": "authenticate"}),
    "card is changed": _at_stripe({"do": "change_card", "card": "good"}),
    "subscription is to run out": _at_stripe({"do": "cancel_at_period_end"}),
    "subscription is kept": _at_stripe({"do": "keep"}),
    "refunded by hand": _refund_by_hand,
    "subscription ends": _end_subscription,
    "domain is lost": _lose_a_domain,
    "operator cancels": _cancel_order,
    "order is given up": _give_up,
}

# ---- lives -----------------------------------------------------------------------------------------------------------

PAID: Picture = {
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
    "unread events": 0,
    "charged": 14400,
    "live subscriptions": 1,
}
UNPAID: Picture = PAID | {
    "provision": "draft",
    "paid": False,
    "customer": False,
    "subscription": False,
    "payments": [],
    "runs": [],
    "mails": [],
    "charged": 0,
    "live subscriptions": 0,
}
RENEWED: Picture = {"payments": [(4700, 0), (14400, 0)], "charged": 19100}


def _but(ends: Picture, **others: Any) -> Picture:
    """Return an end of which only what must be so is said: what was heard of while it lasted is not the same each time."""
    return {name: value for name, value in ends.items() if name not in ("mails", "items")} | {"open_items": []} | others


OVER: Picture = _but(PAID | {"provision": "cancelled", "live subscriptions": 0})
PART_BACK: Picture = {"refunds": [("sent", 5000)], "payments": [(14400, 5000)], "charged": 9400}
ALL_BACK: Picture = {"refunds": [("sent", 14400)], "payments": [(14400, 14400)], "charged": 0}
GIVEN_BACK: Picture = {"refunds": [("sent", 14400)], "payments": [(14400, 0), (14400, 14400)]}


def _always(_shop: Shop) -> bool:
    return True


def _building(shop: Shop) -> bool:
    return shop.state() == ProvisionState.PROVISIONING


LIVES: Mapping[str, Life] = {
    "card": Life(("pays",), PAID),
    "debit that succeeds": Life(("pays later", "debit succeeds"), PAID),
    "debit that fails": Life(("pays later", "debit fails"), UNPAID | {"checkouts": ["failed"], "mails": ["needs_you"]}),
    "page that expires": Life(("page expires",), UNPAID | {"checkouts": ["expired"]}),
    "second page": Life(("opens a new page", "pays"), PAID | {"checkouts": ["expired", "paid"]}),
    "paid twice": Life(
        ("old page stays", "pays", "pays on the old page"),
        PAID
        | GIVEN_BACK
        | {
            "checkouts": ["paid", "refunded"],
            "mails": ["operator_duplicate_payment", "paid", "refunded"],
            "items": ["duplicate_payment"],
        },
        is_found=False,  # a page that Stripe has told us is closed is not asked about
    ),
    "paid too late": Life(
        ("order is given up", "pays"),
        UNPAID
        | {
            "provision": "cancelled",
            "checkouts": ["refunded"],
            "payments": [(14400, 14400)],
            "refunds": [("sent", 14400)],
            "mails": ["cancelled", "operator_duplicate_payment", "refunded"],
            "items": ["duplicate_payment"],
        },
    ),
    "dispute": Life(("pays", "bank disputes"), _but(PAID, provision="suspended", open_items=["dispute"])),
    "dispute that is lost": Life(("pays", "bank disputes", "bank decides against us"), OVER),
    "dispute that is won": Life(("pays", "bank disputes", "bank decides for us"), _but(PAID)),
    "refund by hand": Life(
        ("pays", "refunded by hand"),
        PAID | PART_BACK | {"items": ["payment_trouble"], "mails": ["operator_payment_trouble", "paid"]},
    ),
    "full refund": Life(("pays", "all is refunded by hand"), OVER | ALL_BACK | {"open_items": ["payment_trouble"]}),
    "subscription that ends": Life(
        ("pays", "subscription ends"),
        PAID | {"provision": "cancelled", "mails": ["cancelled", "paid"], "live subscriptions": 0},
    ),
    "renewal": Life(("pays", "renewal"), PAID | RENEWED),
    "renewal that fails": Life(("pays", "renewal fails"), PAID | {"mails": ["paid", "payment_failed"]}),
    "renewal that is paid late": Life(("pays", "renewal fails", "card is changed"), _but(PAID | RENEWED)),
    "renewal that waits for the student": Life(
        ("pays", "renewal has to be confirmed"), PAID | {"mails": ["action_required", "paid"]}
    ),
    "renewal that is confirmed": Life(
        ("pays", "renewal has to be confirmed", "student confirms"), _but(PAID | RENEWED)
    ),
    "subscription that runs out": Life(("pays", "subscription is to run out"), PAID | {"mails": ["ending", "paid"]}),
    "subscription that is kept": Life(("pays", "subscription is to run out", "subscription is kept"), _but(PAID)),
    "lost domain": Life(
        ("pays", "domain is lost"),
        PAID
        | {
            "payments": [(14400, SHARE)],
            "refunds": [("sent", SHARE)],
            "mails": ["paid", "refunded"],
            "charged": 14400 - SHARE,
        },
        {"domain is lost": _building},
    ),
    "cancelled by the operator": Life(
        ("pays", "operator cancels"),
        PAID | {"provision": "cancelled", "mails": ["cancelled", "paid"], "live subscriptions": 0},
    ),
    "everything at once": Life(
        (
            "pays later",
            "debit succeeds",
            "renewal fails",
            "bank disputes",
            "refunded by hand",
            "card is changed",
            "bank decides against us",
        ),
        OVER
        | PART_BACK
        | {"payments": [(4700, 0), (14400, 5000)], "charged": 14100, "open_items": ["payment_trouble"]},
    ),
}


# ---- one course of a life --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Hearing:
    """How events reach us.

    everything  also the events that mean nothing to us; otherwise only those that we act upon
    copies      how often an event arrives at most
    lost        share of the events that never arrive
    lazy        share of the arrivals after which no worker looks at once
    """

    everything: bool = False
    copies: int = 1
    lost: float = 0.0
    lazy: float = 0.0


def play(shop: Shop, life: Life, choices: Choices, hearing: Hearing) -> Picture:
    """Live one course of a life to its end, and return what it left behind."""
    course = _Course(shop, life, choices, hearing)
    course.run()
    if hearing.lost:
        for seconds in (
            600,
            DAY,
        ):  # who hears nothing looks for itself: soon whether it was paid, each day how it stands
            shop.advance(seconds)
            shop.work()
            course.run()
    return picture(shop)


class _Course:
    def __init__(self, shop: Shop, life: Life, choices: Choices, hearing: Hearing) -> None:
        self.shop, self.life, self.choices, self.hearing = shop, life, choices, hearing
        self.steps = list(life.steps)
        self.known = len(shop.sandbox.world.stripe["events"])
        self.under_way: list[Any] = []

    def run(self) -> None:
        while self._goes_on():
            pass

    def _goes_on(self) -> bool:
        """Let the next step happen, or an event arrive; return False when nothing is left to happen."""
        self._send()
        can_step = bool(self.steps) and self.life.ready.get(self.steps[0], _always)(self.shop)
        count = len(self.under_way) + can_step
        if not count:
            self.shop.work()
            self._send()
            return bool(self.under_way)
        picked = self.choices.pick(count)
        if picked < len(self.under_way):
            self._arrive(self.under_way.pop(picked))
        else:
            STEPS[self.steps.pop(0)](self.shop)
        return True

    def _send(self) -> None:
        """Put what Stripe has to tell since the last look on its way."""
        events = list(self.shop.sandbox.world.stripe["events"].values())
        for event in events[self.known :]:
            if self.hearing.everything or event["type"] in webhooks.HANDLERS:
                self.under_way += [event] * self._copies()
        self.known = len(events)

    def _copies(self) -> int:
        chance = self.choices.chance
        if chance is None:
            return self.hearing.copies
        return 0 if chance.random() < self.hearing.lost else chance.randint(1, self.hearing.copies)

    def _arrive(self, event: Any) -> None:
        assert self.shop.post_event(event) == 200
        if self.choices.chance is None or self.choices.chance.random() >= self.hearing.lazy:
            webhooks.drain(100)


def picture(shop: Shop) -> Picture:
    """Return what a purchase left behind: our rows, and what Stripe holds."""
    found = shop.picture()
    # Money that comes twice is "late" when it is heard of first, and "duplicate" when it is heard of second.
    for name in ("items", "mails"):
        found[name] = [kind.replace("late_payment", "duplicate_payment") for kind in found[name]]
    return {
        **found,
        "open_items": _open_items(shop),
        "unread events": WebhookEvent.objects.exclude(state__in=["done", "ignored"]).count(),
        "charged": shop.charged(),
        "live subscriptions": shop.live_subscriptions(),
    }


def _open_items(shop: Shop) -> list[str]:
    rows = OperatorItem.objects.filter(provision=shop.provision, resolved_at__isnull=True)
    return sorted(rows.values_list("kind", flat=True))
