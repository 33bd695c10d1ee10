"""A bigger package: one subscription, paid or left as it was, and only the difference is built."""

from __future__ import annotations

from typing import Any

import pytest
from django.urls import reverse
from django.utils import timezone

from billing import gateway, prices, upgrades
from billing.actions import CheckoutRefused
from billing.models import Payment, Upgrade
from infra import flags
from infra.dashboard import presenters
from infra.models import (
    Domain,
    DomainState,
    Flag,
    Mail,
    MailboxState,
    OperatorItem,
    Provision,
    ProvisionState,
    RunKind,
    RunState,
    Tier,
    User,
)
from infra.wizard import upgrade as pages
from integrations.sandbox import Request, stripe_life
from integrations.sandbox.stripe import Account
from provisioning import actions, life, search
from provisioning.models import ACTIVE_RUN, Run
from tests.integration.stories.kit import World, answer
from tests.integration.world import open_workshop, synchronise

from .shop import Shop


class Life(Shop):
    """A shop whose order is built, on the same sandbox."""

    world: World

    def build(self) -> None:
        """Let time pass until nothing is under way."""
        active = Run.objects.filter(provision=self.provision, state__in=ACTIVE_RUN, held_since__isnull=True)
        self.world.run_until(lambda: not active.exists())
        self.provision.refresh_from_db()

    def bad_card(self) -> None:
        """Let the student's card be declined from now on."""
        account = Account(self.sandbox.world, self.sandbox.clock.real())
        stripe_life.act(account, "set_card", {"reference": self.provision.reference, "card": "bad"})

    def subscription(self) -> dict[str, Any]:
        (one,) = self.sandbox.world.stripe["subscriptions"].values()
        return one  # type: ignore[no-any-return]

    def price(self) -> str:
        return str(self.subscription()["items"]["data"][0]["price"]["id"])

    def hear(self) -> None:
        self.deliver()
        self.work()
        upgrades.sweep(100)

    def pay_at(self, address: str) -> None:
        """Pay an invoice on its hosted page."""
        path = address.partition("/stripe")[2]
        self.sandbox.handle(Request.to("POST", f"/stripe{path}", body=b"action=pay"))

    def draft(self, tier: Tier, *first: str) -> Provision:
        """Choose a bigger package and two more names, some of which may be given."""
        draft = pages.begin(self.provision, None, tier)
        names = [*first, *(f"more{number}acme.com" for number in range(draft.adds()[0] - len(first)))]
        answer(*names)
        Domain.objects.bulk_create(
            Domain(provision=draft, student=draft.student, name=name, position=place, state=DomainState.SELECTED)
            for place, name in enumerate(names)
        )
        return draft


@pytest.fixture
def growth(db: None) -> Tier:
    return Tier.objects.create(
        name="Growth", slug="growth", stack="zapmail", domain_count=5, mailbox_count=10,
        setup_fee_cents=14700, monthly_fee_cents=7700,
    )  # fmt: skip


@pytest.fixture
def life_(shop: Shop, growth: Tier) -> Life:
    prices.sync_prices(actor="test")
    growth.refresh_from_db()
    made = Life(shop.sandbox, shop.provision, shop.client)
    synchronise({})
    made.world = World(shop.sandbox, open_workshop(shop.sandbox.transport(), {}))
    made.press(made.order(), "pay")
    made.hear()
    made.build()
    assert made.provision.state == ProvisionState.ACTIVE
    return made


def test_only_the_difference_is_built_and_there_is_one_subscription(life_: Life, growth: Tier) -> None:
    draft = life_.draft(growth)
    quote = upgrades.quote(extension=draft)
    assert quote.due_cents == quote.lines[0][1] + quote.lines[1][1] + 5000
    before = life_.charged()
    calls = len(life_.sandbox.log)

    upgrade = upgrades.pay(extension=draft, actor="ada")
    assert upgrade.state == Upgrade.State.APPLIED
    assert life_.charged() - before == quote.due_cents
    life_.hear()
    life_.build()

    order = life_.provision
    assert (order.state, order.tier, order.order["mailbox_count"]) == (ProvisionState.ACTIVE, growth, 10)
    assert order.domains.filter(state=DomainState.ACTIVE).count() == 5
    assert set(order.mailboxes.values_list("state", flat=True)) == {"warming"}
    assert order.mailboxes.count() == 10
    assert life_.live_subscriptions() == 1
    assert life_.price() == growth.stripe_monthly_price_id
    made = [f"{e.platform}.{e.verb}" for e in list(life_.sandbox.log)[calls:]]
    assert made.count("zapmail.buy_domains") == 1
    assert made.count("zapmail.buy_mailbox_slots") == 1
    assert not [verb for verb in made if "create_workspace" in verb or "create_client" in verb or "create_list" in verb]
    assert Payment.objects.filter(provision=order).count() == 2
    assert Mail.objects.filter(provision=order, kind="upgraded").count() == 1
    assert not OperatorItem.objects.filter(resolved_at=None).exists()


def test_an_upgrade_of_which_the_operator_skips_everything_ends_with_what_was_there(life_: Life, growth: Tier) -> None:
    there = set(life_.provision.domains.filter(state=DomainState.ACTIVE))
    draft = life_.draft(growth)
    upgrades.quote(extension=draft)
    upgrades.pay(extension=draft, actor="ada")
    run = life_.provision.runs.get(kind=RunKind.UPGRADE)
    for row in run.steps.filter(key="buy_domains"):
        actions.skip_item(run=run, step=row, actor="olive", reason="The student asked for it.")
    life_.build()
    run.refresh_from_db()
    assert (run.state, life_.provision.state) == (RunState.DONE, ProvisionState.ACTIVE_WITH_EXCEPTIONS)
    assert set(life_.provision.domains.filter(state=DomainState.ACTIVE)) == there
    assert Mail.objects.get(provision=life_.provision, kind="ready_with_exceptions")
    assert [one.verb for one in life_.sandbox.log].count("buy_domains") == 1


def test_pressed_twice_and_heard_often_it_is_paid_and_built_once(life_: Life, growth: Tier) -> None:
    draft = life_.draft(growth)
    upgrades.quote(extension=draft)
    first = upgrades.pay(extension=draft, actor="ada")
    draft.refresh_from_db()
    with pytest.raises(CheckoutRefused):
        upgrades.pay(extension=draft, actor="ada")
    for _ in range(3):
        upgrades.follow(upgrade=first, actor="test")
        life_.hear()
    assert life_.provision.runs.filter(kind=RunKind.UPGRADE).count() == 1
    assert Payment.objects.filter(provision=life_.provision).count() == 2


def test_a_declined_card_leaves_the_live_set_up_untouched_until_it_is_paid(life_: Life, growth: Tier) -> None:
    life_.bad_card()
    draft = life_.draft(growth)
    upgrades.quote(extension=draft)
    upgrade = upgrades.pay(extension=draft, actor="ada")
    assert upgrade.state == Upgrade.State.PENDING
    life_.hear()
    life_.provision.refresh_from_db()
    assert (life_.provision.state, life_.provision.domains.count()) == (ProvisionState.ACTIVE, 4)
    assert life_.price() != growth.stripe_monthly_price_id
    assert Mail.objects.filter(kind="upgrade_declined").count() == 1

    life_.pay_at(upgrade.url)
    life_.hear()
    life_.build()
    assert life_.provision.tier == growth
    assert life_.live_subscriptions() == 1


def test_what_nobody_pays_ends_by_itself_and_its_names_can_be_chosen_again(life_: Life, growth: Tier) -> None:
    life_.bad_card()
    draft = life_.draft(growth)
    upgrades.quote(extension=draft)
    upgrade = upgrades.pay(extension=draft, actor="ada")
    life_.advance(24 * 3600)
    life_.hear()
    upgrade.refresh_from_db()
    draft.refresh_from_db()
    life_.provision.refresh_from_db()
    assert (upgrade.state, draft.state) == (Upgrade.State.EXPIRED, ProvisionState.DRAFT)
    assert life_.provision.state == ProvisionState.ACTIVE
    assert not draft.domains.filter(ordered_at__isnull=False).exists()
    assert life_.charged() == 14400


def test_a_spare_that_was_not_needed_can_be_added(life_: Life, growth: Tier) -> None:
    spare = life_.provision.domains.get(state=DomainState.SPARE).name
    draft = life_.draft(growth, spare)
    assert search.hold(provision=draft, names=[spare]) == []
    upgrades.quote(extension=draft)
    upgrades.pay(extension=draft, actor="ada")
    life_.build()
    assert life_.provision.domains.get(name=spare).state == DomainState.ACTIVE


def test_a_name_that_the_set_up_has_lost_is_refused_before_anything_is_paid(life_: Life, growth: Tier) -> None:
    lost = life_.provision.domains.get(state=DomainState.SPARE)
    Domain.objects.filter(pk=lost.pk).update(state=DomainState.LOST)
    draft = life_.draft(growth, lost.name)
    upgrades.quote(extension=draft)
    with pytest.raises(CheckoutRefused, match=f"{lost.name} has been part of this set-up already"):
        upgrades.pay(extension=draft, actor="ada")
    assert life_.charged() == 14400
    assert life_.state() == ProvisionState.ACTIVE


@pytest.mark.parametrize("kind", ["timeout_after", "timeout_before", "kept_500_after", "kept_500_before"])
def test_a_lost_answer_is_repeated_under_its_key_and_charges_once(life_: Life, growth: Tier, kind: str) -> None:
    draft = life_.draft(growth)
    quote = upgrades.quote(extension=draft)
    life_.sandbox.faults.add(kind, platform="stripe", verb="subscriptions.update", times=1)
    upgrades.pay(extension=draft, actor="ada")
    life_.advance(700)
    life_.hear()
    upgrade = Upgrade.objects.get()
    if kind == "kept_500_before":  # the answer of the key for ever, and nothing happened
        assert (life_.charged() - 14400, upgrade.state) == (0, Upgrade.State.EXPIRED)
    else:
        assert (life_.charged() - 14400, upgrade.state) == (quote.due_cents, Upgrade.State.APPLIED)


def test_an_order_that_ended_meanwhile_gets_the_money_of_its_upgrade_back(life_: Life, growth: Tier) -> None:
    draft = life_.draft(growth)
    upgrades.quote(extension=draft)
    life_.bad_card()
    upgrade = upgrades.pay(extension=draft, actor="ada")
    life_.pay_at(upgrade.url)
    life.tear_down(provision=life_.provision, actor="op", reason="asked for")
    life_.hear()
    life_.work()
    upgrade.refresh_from_db()
    assert upgrade.state == Upgrade.State.REFUNDED
    assert life_.charged() == 14400
    assert not life_.provision.runs.filter(kind=RunKind.UPGRADE).exists()


def test_a_suspended_order_is_enlarged_when_it_is_up_again(life_: Life, growth: Tier) -> None:
    draft = life_.draft(growth)
    upgrades.quote(extension=draft)
    life_.bad_card()
    upgrade = upgrades.pay(extension=draft, actor="ada")
    life.suspend(provision=life_.provision, actor="billing", reason="overdue")
    life_.pay_at(upgrade.url)
    life_.hear()
    upgrade.refresh_from_db()
    assert upgrade.state == Upgrade.State.PAID
    life.resume(provision=life_.provision, actor="billing", reason="paid")
    life_.build()
    life_.advance(400)
    life_.hear()
    life_.build()
    assert life_.provision.tier == growth


def test_the_pages_lead_from_the_package_to_the_price(life_: Life, growth: Tier) -> None:
    student = life_.signed_in()
    page = student.get(reverse("upgrade"))
    assert "Growth" in page.content.decode()
    answered = student.post(reverse("upgrade"), {"tier": "growth"})
    assert answered.headers["Location"] == reverse("upgrade-domains")
    answer("onemoreacme.com", "twomoreacme.com")
    body = {"brand": "Acme", "main_domain": "", "wanted": "", "action": "continue",
            "chosen": ["onemoreacme.com", "twomoreacme.com"]}  # fmt: skip
    answered = student.post(reverse("upgrade-domains"), body)
    assert answered.status_code == 302, answered.content.decode()[:3000]
    answered = student.get(answered.headers["Location"])
    page = student.get(reverse("upgrade-review"))
    text = page.content.decode()
    assert "Remaining time on Growth" in text
    assert "The button charges the card that you have already given." in text
    quote = Upgrade.objects.get()
    sent = {"total": quote.due_cents, "monthly": quote.monthly_cents}
    answered = student.post(reverse("upgrade-review"), sent)
    assert answered.status_code == 303, answered.content.decode()[:3000]
    assert answered.headers["Location"] == reverse("progress")
    assert student.get(reverse("progress")).status_code == 200
    assert student.get(reverse("upgrade")).status_code == 302


def test_a_draft_of_an_upgrade_can_be_given_up(life_: Life, growth: Tier) -> None:
    draft = life_.draft(growth)
    upgrades.quote(extension=draft)
    assert life_.signed_in().post(reverse("upgrade-discard")).status_code == 302
    draft.refresh_from_db()
    assert draft.state == ProvisionState.CANCELLED
    assert not Upgrade.objects.exists()
    assert life_.signed_in().get(reverse("upgrade")).status_code == 200


def test_a_page_that_is_open_twice_shows_one_price(life_: Life, growth: Tier, monkeypatch: pytest.MonkeyPatch) -> None:
    draft = life_.draft(growth)
    ours = gateway.current()
    preview = ours.preview

    def meanwhile(parameters: Any) -> Any:
        monkeypatch.setattr(ours, "preview", preview)
        upgrades.quote(extension=draft)  # the other tab is faster
        return preview(parameters)

    monkeypatch.setattr(ours, "preview", meanwhile)
    upgrades.quote(extension=draft)
    assert Upgrade.objects.filter(state=Upgrade.State.QUOTED).count() == 1


def test_what_was_given_up_and_is_applied_all_the_same_is_for_a_person(life_: Life, growth: Tier) -> None:
    draft = life_.draft(growth)
    upgrades.quote(extension=draft)
    life_.sandbox.faults.add("kept_500_before", platform="stripe", verb="subscriptions.update", times=1)
    upgrade = upgrades.pay(extension=draft, actor="ada")
    life_.advance(700)
    life_.hear()
    upgrade.refresh_from_db()
    assert upgrade.state == Upgrade.State.EXPIRED

    gateway.current().change_subscription(upgrade.subscription_id, upgrade.parameters, key="much later")
    life_.hear()
    assert OperatorItem.objects.filter(kind="upgrade_trouble", resolved_at=None).count() == 1
    assert life_.state() == ProvisionState.ACTIVE


def test_what_was_missing_before_is_missing_still_also_after_a_rest(life_: Life, growth: Tier) -> None:
    lost = life_.provision.mailboxes.first()
    assert lost is not None
    lost.state = MailboxState.FAILED
    lost.save()
    Provision.objects.filter(pk=life_.provision.pk).update(state=ProvisionState.ACTIVE_WITH_EXCEPTIONS)
    life_.provision.refresh_from_db()
    draft = life_.draft(growth)
    upgrades.quote(extension=draft)
    upgrades.pay(extension=draft, actor="ada")
    life.suspend(provision=life_.provision, actor="billing", reason="overdue")
    life.resume(provision=life_.provision, actor="billing", reason="paid")
    life_.build()
    assert (life_.state(), life_.provision.tier) == (ProvisionState.ACTIVE_WITH_EXCEPTIONS, growth)


def test_the_dashboard_stays_open_while_an_upgrade_is_built(life_: Life, growth: Tier) -> None:
    draft = life_.draft(growth)
    upgrades.quote(extension=draft)
    upgrades.pay(extension=draft, actor="ada")
    student = life_.signed_in()
    page = student.get(reverse("dashboard"))
    assert page.status_code == 200
    assert "Your upgrade is under way" in page.content.decode()
    assert student.get(reverse("infrastructure")).headers["Location"] == reverse("progress")
    progress = student.get(reverse("progress")).content.decode()
    assert "We are enlarging your infrastructure" in progress
    assert reverse("dashboard") in progress


def test_an_upgrade_is_neither_a_second_order_nor_the_last_one(life_: Life, growth: Tier) -> None:
    draft = life_.draft(growth)
    upgrades.quote(extension=draft)
    upgrades.pay(extension=draft, actor="ada")
    life_.hear()
    life_.build()
    others = User.objects.create_user("bo@students.example", "pw", is_enrolled=True)
    Flag.objects.update_or_create(key=flags.ORDERS, defaults={"phase": Flag.Phase.FIRST, "first_count": 2})
    assert flags.may_order(others, "zapmail").allowed
    life.tear_down(provision=life_.provision, actor="op", reason="asked for")
    Provision.objects.filter(pk=life_.provision.pk).update(state="cancelled", cancelled_at=timezone.now())
    assert presenters.last_ended(life_.provision.student) == life_.provision
