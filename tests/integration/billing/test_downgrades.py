"""To a smaller package: planned, withdrawn, renewed at the smaller price, and only what was left out taken down."""

from __future__ import annotations

from typing import Any

import pytest
from django.urls import reverse

from billing import downgrades, gateway, life, prices, upgrades
from billing.actions import CheckoutRefused
from billing.models import Downgrade, Subscription
from infra.models import (
    DomainState,
    Mail,
    MailboxState,
    OperatorItem,
    Provision,
    ProvisionState,
    RunKind,
    RunState,
    Tier,
)
from integrations.sandbox import stripe_life
from integrations.sandbox.stripe import Account
from integrations.sandbox.zapmail_world import set_auto_renew
from provisioning import inventory
from provisioning import life as orders
from provisioning.actions import Refused
from tests.integration.stories.kit import World
from tests.integration.world import open_workshop, synchronise

from .shop import Shop
from .test_upgrades import Life

DAY = 86_400
MONTH = 31 * DAY + 7200  # Stripe's renewals are drafts for an hour


class Smaller(Life):
    """A built order of three domains, and what happens to it at Stripe."""

    def at_stripe(self, verb: str, **given: Any) -> None:
        account = Account(self.sandbox.world, self.sandbox.clock.real())
        stripe_life.act(account, verb, {"reference": self.provision.reference, **given})

    def month(self) -> None:
        """Let the period end and be heard of."""
        self.advance(MONTH)
        for _ in range(2):
            self.hear()

    def names(self) -> list[str]:
        return [one.name for one in downgrades.owned(self.provision)]

    def plan(self, tier: Tier) -> Downgrade:
        """Keep the first two domains."""
        return downgrades.plan(provision=self.provision, tier=tier, keep=self.names()[:2], actor="ada")

    def warmup(self) -> dict[str, str]:
        return {one.email: one.warmup_status for one in self.sandbox.world.plusvibe.accounts.values()}

    def run_kinds(self) -> list[str]:
        return list(self.provision.runs.order_by("created_at").values_list("kind", flat=True))


@pytest.fixture
def mini(db: None) -> Tier:
    return Tier.objects.create(
        name="Mini", slug="mini", stack="zapmail", domain_count=2, mailbox_count=4,
        setup_fee_cents=7700, monthly_fee_cents=2700,
    )  # fmt: skip


@pytest.fixture
def life_(shop: Shop, mini: Tier) -> Smaller:
    prices.sync_prices(actor="test")
    mini.refresh_from_db()
    made = Smaller(shop.sandbox, shop.provision, shop.client)
    shop.sandbox.switches.set(zapmail_auto_renew="off")
    synchronise({})
    made.world = World(shop.sandbox, open_workshop(shop.sandbox.transport(), {}))
    made.press(made.order(), "pay")
    made.hear()
    made.build()
    assert made.provision.state == ProvisionState.ACTIVE
    return made


def test_after_the_renewal_only_what_was_left_out_is_taken_down(life_: Smaller, mini: Tier) -> None:
    kept, dropped = life_.names()[:2], life_.names()[2]
    before = dict(life_.provision.order)
    first, second = life_.plan(mini), life_.plan(mini)  # the button was pressed twice
    assert first == second
    assert (second.state, second.drops, life_.charged()) == (Downgrade.State.PLANNED, [dropped], 14400)
    assert life_.price() == mini.stripe_monthly_price_id
    life_.hear()
    life_.provision.refresh_from_db()
    assert (life_.provision.order, life_.run_kinds()) == (before, [RunKind.SETUP])

    calls = len(life_.sandbox.log)
    life_.month()
    assert life_.run_kinds() == [RunKind.SETUP, RunKind.DOWNGRADE]
    assert "Your package is being changed to Mini" in life_.signed_in().get(reverse("dashboard")).content.decode()
    life_.build()
    for _ in range(2):
        life_.hear()

    order = life_.provision
    assert (order.state, order.tier, order.order["mailbox_count"]) == (ProvisionState.ACTIVE, mini, 4)
    assert (life_.charged(), life_.live_subscriptions()) == (14400 + 2700, 1)
    assert life_.run_kinds() == [RunKind.SETUP, RunKind.DOWNGRADE]
    assert {one.name: one.state for one in order.domains.exclude(state=DomainState.SPARE)} == {
        **dict.fromkeys(kept, DomainState.ACTIVE),
        dropped: DomainState.RELEASED,
    }
    stays = order.mailboxes.filter(domain__name__in=kept)
    assert not stays.filter(state__in=[MailboxState.SUSPENDED, MailboxState.REMOVED]).exists()
    assert set(order.mailboxes.filter(domain__name=dropped).values_list("state", flat=True)) == {MailboxState.REMOVED}
    assert {name for name, status in life_.warmup().items() if status == "ACTIVE"} == set(
        stays.values_list("address", flat=True)
    )
    boxes = life_.sandbox.world.zapmail.mailboxes.values()
    assert {one.email.partition("@")[2] for one in boxes if one.scheduled_for_removal} == {dropped}
    made = {f"{entry.platform}.{entry.verb}" for entry in list(life_.sandbox.log)[calls:]}
    assert "plusvibe.delete_client" not in made
    assert Mail.objects.filter(provision=order, kind__in=["downgrade_planned", "downgraded"]).count() == 2
    assert not OperatorItem.objects.filter(resolved_at=None).exists()

    page = life_.signed_in().get(reverse("dashboard")).content.decode()
    assert (f"@{kept[0]}" in page, f"@{dropped}" in page) == (True, False)

    set_auto_renew(life_.sandbox.world, dropped, True)  # by whoever, later
    inventory.admit()
    inventory.look_at_next(life_.world.workshop)
    assert OperatorItem.objects.get(resolved_at=None).kind == inventory.UNWANTED


def test_nothing_is_enlarged_while_a_change_that_failed_may_be_retried(life_: Smaller, mini: Tier) -> None:
    draft = Provision.objects.create(student=life_.provision.student, enlarges=life_.provision, tier=mini)
    upgrades._check_not_shrinking(life_.provision)
    life_.provision.runs.update(kind=RunKind.DOWNGRADE, state=RunState.FAILED)
    with pytest.raises(CheckoutRefused, match="cannot be enlarged"):
        upgrades.quote(extension=draft)


def test_a_plan_that_is_withdrawn_leaves_everything_as_it_was(life_: Smaller, mini: Tier) -> None:
    price = life_.price()
    with pytest.raises(Refused, match="exactly 2 domains"):
        downgrades.plan(provision=life_.provision, tier=mini, keep=life_.names(), actor="ada")
    life_.plan(mini)
    with pytest.raises(Refused, match="Another change is planned already"):
        downgrades.plan(provision=life_.provision, tier=mini, keep=life_.names()[1:], actor="ada")
    draft = Provision.objects.create(student=life_.provision.student, enlarges=life_.provision, tier=mini)
    with pytest.raises(CheckoutRefused, match="Withdraw it first"):
        upgrades.quote(extension=draft)
    for _ in range(2):
        downgrades.withdraw(provision=life_.provision, actor="ada")
    assert life_.price() == price
    life_.month()
    assert life_.charged() == 14400 + 4700
    assert life_.run_kinds() == [RunKind.SETUP]
    assert Downgrade.objects.get().state == Downgrade.State.WITHDRAWN
    assert life_.live_subscriptions() == 1
    assert not OperatorItem.objects.filter(resolved_at=None).exists()


def test_an_unpaid_renewal_holds_the_change_up_until_it_is_paid(life_: Smaller, mini: Tier) -> None:
    ends = life_.plan(mini).period_end
    assert ends is not None
    life_.bad_card()
    life_.advance(ends.timestamp() - life_.sandbox.clock.real() + 600)
    life_.hear()
    contract = gateway.current().contract(life_.subscription()["id"])
    assert contract.bill is not None
    assert (contract.status, contract.bill.status) == ("active", "draft")  # the next period has begun, unpaid
    assert life_.run_kinds() == [RunKind.SETUP]
    life_.month()
    assert life_.run_kinds() == [RunKind.SETUP]
    with pytest.raises(Refused, match="the change has begun"):
        downgrades.withdraw(provision=life_.provision, actor="ada")
    life_.at_stripe("change_card", card="good")
    life_.hear()
    life_.build()
    assert life_.provision.tier == mini
    assert life_.charged() == 14400 + 2700


def test_an_order_that_ends_meanwhile_is_taken_down_as_a_whole(life_: Smaller, mini: Tier) -> None:
    life_.plan(mini)
    life.let_run_out(provision=life_.provision, actor="ada")
    page = life_.signed_in().get(reverse("dashboard")).content.decode()
    assert ("Your subscription is ending" in page, "Your package changes to Mini" in page) == (True, False)
    life_.month()
    life_.build()
    assert life_.state() == ProvisionState.CANCELLED
    assert Downgrade.objects.get().state == Downgrade.State.VOID
    assert RunKind.DOWNGRADE not in life_.run_kinds()
    assert (life_.charged(), life_.live_subscriptions()) == (14400, 0)


def test_what_is_being_taken_down_goes_on_resting_when_the_order_goes_on(life_: Smaller, mini: Tier) -> None:
    kept, dropped = life_.names()[:2], life_.names()[2]
    stays = set(life_.provision.mailboxes.filter(domain__name__in=kept).values_list("address", flat=True))
    life_.plan(mini)
    life_.month()
    set_auto_renew(life_.sandbox.world, dropped, True)  # so that the change waits for a person
    while life_.world.run_once():
        pass
    assert {name for name, status in life_.warmup().items() if status == "ACTIVE"} == stays
    assert orders.suspend(provision=life_.provision, actor="test", reason="A payment is overdue.")
    life_.build()
    assert orders.resume(provision=life_.provision, actor="test", reason="It is paid.")
    set_auto_renew(life_.sandbox.world, dropped, False)
    life_.build()
    assert (life_.provision.state, life_.provision.tier) == (ProvisionState.ACTIVE, mini)
    assert {name for name, status in life_.warmup().items() if status == "ACTIVE"} == stays


def test_a_plan_that_another_tab_withdraws_meanwhile_is_not_said_to_be_planned(
    life_: Smaller, mini: Tier, monkeypatch: pytest.MonkeyPatch
) -> None:
    send = downgrades._set_price

    def slow(row: Downgrade, contract: gateway.Contract, price_id: str, quantity: int) -> gateway.Contract:
        downgrades.withdraw(provision=life_.provision, actor="ada")
        return send(row, contract, price_id, quantity)

    monkeypatch.setattr(downgrades, "_set_price", slow)
    with pytest.raises(Refused, match="withdrawn in the meantime"):
        life_.plan(mini)
    life_.hear()
    assert OperatorItem.objects.get(resolved_at=None).kind == "subscription_price"


@pytest.mark.parametrize("kind", ["timeout_after", "timeout_before"])
def test_a_lost_answer_is_found_out_and_charges_nothing(life_: Smaller, mini: Tier, kind: str) -> None:
    life_.sandbox.faults.add(kind, platform="stripe", verb="subscriptions.update", times=1)
    if kind == "timeout_before":  # it never arrived, which nobody can know at first
        with pytest.raises(Refused, match="being found out"):
            life_.plan(mini)
        life_.advance(DAY)
        life_.hear()
    else:
        life_.plan(mini)
    assert Downgrade.objects.get().state == Downgrade.State.PLANNED
    assert (life_.price(), life_.charged()) == (mini.stripe_monthly_price_id, 14400)


def test_the_pages_lead_from_the_package_to_the_plan_and_back(life_: Smaller, mini: Tier) -> None:
    student, names = life_.signed_in(), life_.names()
    assert "Choose a smaller package" in student.get(reverse("dashboard")).content.decode()
    assert "Choose Mini" in student.get(reverse("downgrade")).content.decode()
    address = reverse("downgrade-choose", args=["mini"])
    assert "Choose the 2 domains that stay" in student.get(address).content.decode()
    refused = student.post(address, {"keep": names})
    assert (refused.status_code, "exactly 2 domains" in refused.content.decode()) == (422, True)
    assert student.post(address, {"keep": names[1:]}).headers["Location"] == reverse("downgrade")
    assert names[0] in student.get(reverse("downgrade")).content.decode()
    assert "Your package changes to Mini on" in student.get(reverse("dashboard")).content.decode()
    assert student.get(address).status_code == 302
    assert student.post(reverse("downgrade-withdraw")).status_code == 302
    assert Downgrade.objects.get().state == Downgrade.State.WITHDRAWN
    life.let_run_out(provision=life_.provision, actor="ada")
    assert "Keep it first" in student.post(address, {"keep": names[1:]}).content.decode()
    assert Subscription.objects.get().cancel_at_period_end


@pytest.mark.parametrize(("stack", "offered"), [("zapmail", ["mini"]), ("forge", [])])
def test_a_smaller_package_is_offered_where_a_part_can_be_taken_down(
    mini: Tier, stack: str, offered: list[str]
) -> None:
    Tier.objects.filter(pk=mini.pk).update(stack=stack, stripe_monthly_price_id="price_mini")
    live = Provision(order={"stack": stack, "domain_count": 3, "mailbox_count": 6})
    assert [one.slug for one in downgrades.smaller_tiers(live)] == offered
    assert bool(downgrades.why_not_smaller(live)) is not bool(offered)
    Tier.objects.filter(pk=mini.pk).update(is_active=False)
    assert downgrades.why_not_smaller(live) == "", "where there is no smaller one, nothing needs a reason"


def test_the_page_says_why_a_package_cannot_be_made_smaller(life_: Smaller, mini: Tier) -> None:
    Tier.objects.filter(pk=mini.pk).update(stack="forge")
    order = {**life_.provision.order, "stack": "forge"}
    Provision.objects.filter(pk=life_.provision.pk).update(order=order)
    student = life_.signed_in()
    page = student.get(reverse("downgrade")).content.decode()
    assert "This package cannot be made smaller" in page
    assert "You have the smallest package" not in page
    assert "it is paid for until the end of this period. Then the smaller one begins" not in page
    assert student.get(reverse("downgrade-choose", args=[mini.slug])).status_code == 302
    assert reverse("downgrade") in student.get(reverse("dashboard")).content.decode()
