"""Browsers of several students on one street: real pages, our rows, Stripe simulated, clocks that stand still."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from billing import actions as billing
from billing import gateway, prices
from infra.models import Domain, Provision, Tier
from infra.models.domain import GONE
from integrations.sandbox import ManualClock, Request, Sandbox
from tests.integration.billing.shop import gateway_over
from tests.integration.pages import answered, signed_in
from tests.integration.world import new_order, starter

from .harness import NOW
from .interleaving import Race
from .racing import all_came_home

PACKAGE, DOMAINS, REVIEW = (f"/infrastructure/setup/{page}/" for page in ("package", "domains", "review"))
API_PROVISION = "/api/infrastructure/provision/"
PRICE = {"total": 14400, "monthly": 4700}
_fresh = itertools.count(1)


@dataclass
class Street:
    """A shop and its students. Everything in it has names that nobody in this database has used before."""

    sandbox: Sandbox
    tier: Tier
    number: int

    @classmethod
    def open(cls, monkeypatch: pytest.MonkeyPatch) -> Street:
        """Open the shop: our gateway on a simulated Stripe whose clock stands where ours does."""
        number = next(_fresh)
        sandbox = Sandbox(seed=number, speed=ManualClock(virtual=NOW, machine=lambda: NOW))
        ours = gateway_over(sandbox.transport())
        monkeypatch.setattr(gateway, "current", lambda: ours)
        tier = starter()
        Tier.objects.filter(pk=tier.pk).update(stripe_setup_price_id="", stripe_monthly_price_id="")
        prices.sync_prices(actor="test")
        tier.refresh_from_db()
        return cls(sandbox, tier, number)

    def order(self, who: str, *wanted: str) -> Provision:
        """Return a new student's draft, complete up to the last button. It begins with the names `wanted`."""
        order = new_order(f"{who}{self.number}", tier=self.tier)
        for domain, name in zip(order.domains.filter(state="selected").order_by("position"), wanted, strict=False):
            domain.name = name
            domain.save()
        return order

    def names(self, *marks: str) -> list[str]:
        """Return names that the registry has just called available."""
        found = [f"{mark}{self.number}.com" for mark in marks]
        answered(*found)
        return found

    def press_pay_at_stripe(self, session_id: str) -> None:
        """The student pays on Stripe's page."""
        self.sandbox.handle(Request.to("POST", f"/stripe/pay/{session_id}", body=b"action=pay"))

    def paid_at_stripe(self, who: str) -> tuple[Provision, str]:
        """Return an order that its student has paid without our having heard of it, and its session."""
        order = self.order(who)
        billing.start_checkout(provision=order, actor="test")
        session = order.checkouts.get().session_id
        self.press_pay_at_stripe(session)
        return order, session


def chosen(order: Provision) -> list[str]:
    """Return the names that a draft has chosen, in their order."""
    return list(order.domains.filter(state="selected").order_by("position").values_list("name", flat=True))


def owners(name: str) -> list[str]:
    """Return who has ordered a name and not lost it: nobody or one, if all is well."""
    live = Domain.objects.filter(name=name, ordered_at__isnull=False).exclude(state__in=GONE)
    return list(live.values_list("provision__reference", flat=True))


def presses_pay(order: Provision) -> Callable[[], Any]:
    """Return what a browser does that presses "pay" on the review page."""
    browser = signed_in(order.student)
    return lambda: browser.post(REVIEW, PRICE)


def ticks(order: Provision, *names: str) -> Callable[[], Any]:
    """Return what a browser does that ticks these names and continues."""
    browser = signed_in(order.student)
    form = {"brand": order.brand, "action": "continue", "chosen": list(names)}
    return lambda: browser.post(DOMAINS, form)


def no_page_failed(race: Race) -> None:
    """Assert that nobody met an error, a deadlock or a page of ours that says "500"."""
    all_came_home(race)
    for agent in race.agents:
        status = getattr(agent.result, "status_code", 200)
        assert status < 500, f"{agent.name}: {status}\n{race.tail()}"


def statuses(race: Race) -> list[int]:
    """Return what the browsers were answered, lowest first."""
    return sorted(agent.result.status_code for agent in race.agents)
