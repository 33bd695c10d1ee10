"""Students who buy at once at one simulated Stripe, on real commits."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from django.db import transaction
from django.test import Client

from billing import gateway, prices
from integrations.sandbox import ManualClock
from tests.integration.billing.shop import Shop, gateway_over
from tests.integration.stories import kit

from .harness import World, new_world

_seeds = itertools.count(7001)  # one for each world, because Stripe's ids come from it and rows of earlier worlds stay


@dataclass
class Market:
    """One world and many buyers in it. Time stands still until a test moves it."""

    world: World
    shops: list[Shop]

    @classmethod
    def open(cls, monkeypatch: pytest.MonkeyPatch, *, buyers: int) -> Market:
        """Make buyers with complete drafts, prices at Stripe, and let our gateway lead to the simulated account."""
        world = new_world(seed=next(_seeds))
        ours = gateway_over(world.sandbox.transport())
        monkeypatch.setattr(gateway, "current", lambda: ours)
        kit.make_tier("starter")
        prices.sync_prices(actor="test")
        orders = [kit.make_order(world.fresh("buyer")) for _ in range(buyers)]
        return cls(world, [Shop(world.sandbox, order, Client()) for order in orders])

    def events(self) -> list[dict[str, Any]]:
        """Return what Stripe has to tell, oldest first."""
        return list(self.world.sandbox.world.stripe["events"].values())


class _Undo(Exception):
    pass


@contextmanager
def undone(shop: Shop) -> Iterator[None]:
    """Let a block change rows, clocks and Stripe, and have nothing of it afterwards."""
    sandbox, clock = shop.sandbox, shop.sandbox.clock
    assert isinstance(clock, ManualClock)
    world, virtual, advanced = sandbox.world, clock.virtual, clock.advanced
    try:
        with transaction.atomic():
            sandbox.world = copy.deepcopy(world)
            yield
            raise _Undo
    except _Undo:
        pass
    finally:
        sandbox.world, clock.virtual, clock.advanced = world, virtual, advanced
        shop.provision.refresh_from_db()
