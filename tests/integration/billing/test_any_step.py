"""What happens to the money while a set-up is being built, at each of its steps: it stops, goes on, or is taken down."""

from __future__ import annotations

from collections import Counter

import pytest

from billing import prices
from infra.models import ProvisionState, RunKind
from integrations.sandbox import stripe_life
from integrations.sandbox.stripe import Account
from provisioning.models import Step
from provisioning.stacks.zapmail import ZAPMAIL
from tests.integration.stories.kit import World
from tests.integration.world import open_workshop, synchronise

from .shop import Shop
from .test_upgrades import Life

# The last ones end with the wake-up in which they begin: nobody can come between them and the end of the set-up.
AT_ONCE = ("warmup", "lead_list", "finish")
STEPS = [spec.key for spec in ZAPMAIL.steps if spec.key not in AT_ONCE]


class Building(Life):
    """An order that is being built, and what happens to it at Stripe."""

    def until(self, key: str) -> None:
        """Build until some row of this step was attempted."""
        begun = Step.objects.filter(run__provision=self.provision, key=key, opened_at__isnull=False)
        self.world.run_until(begun.exists)
        self.provision.refresh_from_db()
        assert self.provision.state == ProvisionState.PROVISIONING

    def at_stripe(self, verb: str) -> None:
        account = Account(self.sandbox.world, self.sandbox.clock.real())
        stripe_life.act(account, verb, {"reference": self.provision.reference})
        for _ in range(2):
            self.hear()

    def made(self) -> Counter[str]:
        """Count what was bought or made at the platforms that build."""
        entries = [one for one in list(self.sandbox.log) if one.platform != "stripe"]
        return Counter(one.verb for one in entries if one.verb.startswith(("buy", "create", "add", "export")))


@pytest.fixture
def built(shop: Shop) -> Building:
    """An order that is paid, before its first step."""
    prices.sync_prices(actor="test")
    made = Building(shop.sandbox, shop.provision, shop.client)
    shop.sandbox.switches.set(zapmail_auto_renew="off")
    synchronise({})
    made.world = World(shop.sandbox, open_workshop(shop.sandbox.transport(), {}))
    made.press(made.order(), "pay")
    made.hear()
    return made


@pytest.mark.parametrize("key", STEPS)
def test_a_dispute_stops_the_building_and_a_won_one_lets_it_go_on(built: Building, key: str) -> None:
    built.until(key)
    built.at_stripe("dispute")
    before = built.made()
    built.build()
    assert (built.provision.state, built.made() - before) == (ProvisionState.SUSPENDED, Counter())
    built.at_stripe("dispute_won")
    built.build()
    assert (built.provision.state, built.live_subscriptions()) == (ProvisionState.ACTIVE, 1)
    assert built.made()["buy_domains"] == 1


@pytest.mark.parametrize("verb", ["refund", "cancel_now"])
@pytest.mark.parametrize("key", STEPS)
def test_money_that_went_back_or_an_end_takes_down_what_was_built(built: Building, key: str, verb: str) -> None:
    built.until(key)
    built.at_stripe(verb)
    before = built.made()
    built.build()
    assert built.provision.state == ProvisionState.CANCELLED
    assert (built.made() - before, built.live_subscriptions()) == (Counter(), 0)
    assert built.provision.runs.filter(kind=RunKind.TEARDOWN).count() == 1
    assert {one.warmup_status for one in built.sandbox.world.plusvibe.accounts.values()} <= {"INACTIVE"}
