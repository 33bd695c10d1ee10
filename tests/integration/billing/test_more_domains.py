"""A package by the domain: domains are added to a running set-up, and left out of it, on the one subscription."""

from __future__ import annotations

from typing import Any

import pytest
from django.urls import reverse
from django.utils import timezone

from billing import downgrades, prices, upgrades
from billing.actions import CheckoutRefused
from billing.models import Downgrade, Payment, Upgrade
from infra.mails import contents
from infra.models import (
    Domain,
    DomainState,
    Mail,
    MailboxState,
    OperatorItem,
    Origin,
    Provision,
    ProvisionState,
    RunKind,
    RunState,
    Tier,
)
from infra.people import Person
from infra.wizard import drafts
from infra.wizard import upgrade as pages
from integrations.sandbox.google_world import User
from provisioning import actions
from provisioning.actions import Refused
from provisioning.engine import endings
from provisioning.engine.accounts import FROZEN
from provisioning.models import ACTIVE_RUN, Run
from tests.integration import people
from tests.integration.pages import text
from tests.integration.stories.kit import World, make_order
from tests.integration.world import open_workshop, synchronise

from .shop import Shop
from .test_downgrades import Smaller

SETUP, MONTH = 4900, 1500
FIRST, SECOND, THIRD = "getown.com", "tryown.com", "useown.com"


class Own(Smaller):
    """A running order of two domains that the student owns."""

    def build(self) -> None:
        active = Run.objects.filter(provision=self.provision, state__in=ACTIVE_RUN, held_since__isnull=True)
        self.world.run_until(lambda: not active.exists(), hours=240)
        self.provision.refresh_from_db()

    @property
    def tier(self) -> Tier:
        assert self.provision.tier is not None
        return self.provision.tier

    def more(self, *names: str) -> Provision:
        """Begin to add domains; who writes from them is as before."""
        draft = pages.begin(self.provision, None, self.tier)
        choose(draft, *names)
        return draft

    def runs_again(self) -> None:
        """Let what was added have been built, as rows."""
        run = self.provision.runs.get(kind=RunKind.UPGRADE)
        Run.objects.filter(pk=run.pk).update(state=RunState.DONE, finished_at=timezone.now(), next_attempt_at=None)
        endings.grow(run)
        Provision.objects.filter(pk=self.provision.pk).update(state=ProvisionState.ACTIVE)
        self.provision.refresh_from_db()

    def quantity(self) -> int:
        return int(self.subscription()["items"]["data"][0]["quantity"])

    def users(self, name: str) -> list[User]:
        there = self.sandbox.world.google_workspace.users.values()
        return [one for one in there if one.address.endswith(f"@{name}")]

    def warming(self) -> set[str]:
        accounts = self.sandbox.world.smartlead.accounts.values()
        return {one.address.partition("@")[2] for one in accounts if one.warmup_on}


def choose(draft: Provision, *names: str) -> None:
    Domain.objects.bulk_create(
        Domain(
            provision=draft, student=draft.student, name=name, position=place, state=DomainState.SELECTED,
            origin=Origin.OWN,
        )
        for place, name in enumerate(names, start=draft.domains.count())
    )  # fmt: skip


@pytest.fixture
def life_(shop: Shop) -> Own:
    """An order of two domains that is paid, and whose rows say that it runs; nothing of it is at the platforms."""
    made = ordered(shop)
    now = timezone.now()
    Run.objects.filter(provision=made.provision).update(state=RunState.DONE, finished_at=now, next_attempt_at=None)
    made.provision.domains.update(state=DomainState.ACTIVE, connected_at=now)
    made.provision.mailboxes.update(state=MailboxState.WARMING)
    Provision.objects.filter(pk=made.provision.pk).update(state=ProvisionState.ACTIVE, ready_at=now)
    made.provision.refresh_from_db()
    return made


@pytest.fixture
def built(shop: Shop) -> Own:
    """An order of two domains that really runs."""
    made = ordered(shop)
    made.build()
    assert made.provision.state == ProvisionState.ACTIVE
    return made


def ordered(shop: Shop) -> Own:
    order = make_order("own", tier="own-domains")
    choose(order, SECOND)
    prices.sync_prices(actor="test")
    assert order.tier is not None
    order.tier.refresh_from_db()
    made = Own(shop.sandbox, order, shop.client)
    synchronise({})
    made.world = World(shop.sandbox, open_workshop(shop.sandbox.transport(), {}))
    made.world.people = people.of("workspace")
    made.press(made.order(), "pay")
    made.hear()
    assert (made.quantity(), made.charged()) == (2, 2 * (SETUP + MONTH))
    return made


# More ---------------------------------------------------------------------------------------------------------------


def test_a_domain_is_added_to_the_one_subscription_and_only_it_is_built(built: Own) -> None:
    draft = built.more(THIRD)
    quote = upgrades.quote(extension=draft)
    assert (quote.quantity, quote.monthly_cents) == (3, 3 * MONTH)
    assert 0 < quote.due_cents - SETUP <= MONTH, "the set-up of one domain, and its rest of this month"
    assert built.quantity() == 2, "a price preview changes nothing"

    before, calls = built.charged(), len(built.sandbox.log)
    assert upgrades.pay(extension=draft, actor="ada").state == Upgrade.State.APPLIED
    assert (built.charged() - before, built.quantity(), built.live_subscriptions()) == (quote.due_cents, 3, 1)
    built.hear()
    built.build()

    order = built.provision
    assert order.state == ProvisionState.ACTIVE
    wanted = {"domain_count": 3, "mailbox_count": 6, "quantity": 3, "monthly_fee_cents": 3 * MONTH}
    assert {name: order.order[name] for name in wanted} == wanted
    assert order.order["setup_fee_cents"] == 3 * SETUP
    assert set(order.domains.values_list("name", "state")) == {(n, DomainState.ACTIVE) for n in (FIRST, SECOND, THIRD)}
    assert set(order.mailboxes.values_list("state", flat=True)) == {MailboxState.WARMING}
    assert built.warming() == {FIRST, SECOND, THIRD}
    made = [entry for entry in list(built.sandbox.log)[calls:] if entry.verb in ("create_zone", "create_user")]
    assert not [entry for entry in made if FIRST in str(entry.items) or SECOND in str(entry.items)]
    assert Payment.objects.filter(provision=order).count() == 2
    assert "Own domains, 3 domains" in contents.letter(Mail.objects.get(provision=order, kind="upgraded")).subject
    assert not OperatorItem.objects.filter(resolved_at=None).exists()


def test_a_declined_card_leaves_it_at_two_domains_until_it_is_paid(life_: Own) -> None:
    life_.bad_card()
    draft = life_.more(THIRD)
    upgrades.quote(extension=draft)
    upgrade = upgrades.pay(extension=draft, actor="ada")
    life_.hear()
    life_.hear()
    upgrade.refresh_from_db()
    assert (upgrade.state, life_.quantity()) == (Upgrade.State.PENDING, 2), "the price is the same all the while"
    life_.pay_at(upgrade.url)
    life_.hear()
    assert life_.quantity() == 3
    assert life_.provision.runs.filter(kind=RunKind.UPGRADE).count() == 1


@pytest.mark.parametrize("kind", ["timeout_after", "timeout_before"])
def test_a_lost_answer_is_repeated_under_its_key_and_charges_once(life_: Own, kind: str) -> None:
    draft = life_.more(THIRD)
    due = upgrades.quote(extension=draft).due_cents
    before = life_.charged()
    life_.sandbox.faults.add(kind, platform="stripe", verb="subscriptions.update", times=1)
    upgrades.pay(extension=draft, actor="ada")
    life_.hear()
    assert (life_.charged() - before, life_.quantity()) == (due, 3)


def test_the_invoice_of_an_earlier_change_does_not_count_for_one_that_never_arrived(life_: Own) -> None:
    first = life_.more(THIRD)
    upgrades.quote(extension=first)
    upgrades.pay(extension=first, actor="ada")
    life_.runs_again()
    before = life_.charged()

    second = life_.more("goown.com")
    upgrades.quote(extension=second)
    life_.sandbox.faults.add("timeout_before", platform="stripe", verb="subscriptions.update", times=2)
    upgrade = upgrades.pay(extension=second, actor="ada")
    assert (upgrade.state, life_.quantity(), life_.charged()) == (Upgrade.State.INTENDED, 3, before)
    life_.advance(3600)
    life_.hear()
    upgrade.refresh_from_db()
    assert (upgrade.state, life_.quantity(), life_.charged()) == (Upgrade.State.EXPIRED, 3, before)
    assert life_.provision.runs.filter(kind=RunKind.UPGRADE).count() == 1
    assert not OperatorItem.objects.filter(resolved_at=None).exists()


def test_a_domain_more_is_priced_anew_and_one_that_came_since_is_not_charged(life_: Own) -> None:
    draft = life_.more(THIRD)
    first = upgrades.quote(extension=draft).due_cents
    choose(draft, "goacme.com")  # in another tab, after the price was shown
    with pytest.raises(CheckoutRefused):
        upgrades.pay(extension=draft, actor="ada")
    draft.refresh_from_db()
    assert (draft.state, life_.quantity()) == (ProvisionState.DRAFT, 2)
    again = upgrades.quote(extension=draft)
    assert (again.quantity, again.due_cents > first) == (4, True)


def test_what_is_added_is_built_in_the_accounts_of_the_set_up(life_: Own) -> None:
    Provision.objects.filter(pk=life_.provision.pk).update(
        order={**life_.provision.order, FROZEN: ["google_workspace", "smartlead"]}
    )
    life_.provision.refresh_from_db()
    frozen = actions.freeze_order(provision=life_.more(THIRD), actor="test")
    assert frozen.order[FROZEN] == ["google_workspace", "smartlead"]


def test_the_pages_lead_from_the_dashboard_to_the_price_of_one_domain_more(life_: Own) -> None:
    student = life_.signed_in()
    dashboard = student.get(reverse("dashboard"))
    for words in ("Own domains, 2 domains", "Add domains", "Leave domains out"):
        assert words in text(dashboard)
    page = text(student.get(reverse("upgrade")))
    assert "You have Own domains, 2 domains." in page
    for words in ("Add domains", "once for each domain more, and $15 a month for it", "Domains more, at most 48"):
        assert words in page
    assert "You have the biggest package" not in page
    assert student.post(reverse("upgrade"), {"tier": "own-domains"})["Location"] == reverse("upgrade-domains")
    own: dict[str, Any] = {"brand": "", "action": "continue"}
    for mine in (FIRST, "sub.example.com", "\n".join(f"more{number}.com" for number in range(49))):
        assert student.post(reverse("upgrade-domains"), own | {"own": mine}).status_code == 422
    assert student.post(reverse("upgrade-domains"), own | {"own": THIRD})["Location"] == reverse("upgrade-review")
    review = student.get(reverse("upgrade-review"))
    assert "3 × Own domains" in text(review)
    assert f"ada@{THIRD}" in text(review)
    draft = drafts.extension(life_.provision.student)
    assert draft is not None
    bill = pages.bill_of(draft)
    sent = {"total": bill.today_cents, "monthly": bill.monthly_cents}
    assert student.post(reverse("upgrade-review"), sent)["Location"] == reverse("progress")
    assert life_.quantity() == 3
    assert "mail is handled" not in text(student.get(reverse("progress")))


def test_people_who_were_named_write_from_what_is_added_too(life_: Own) -> None:
    named = [Person("Zoë", "Keen", 12), Person("Bo", "Sample")]
    Provision.objects.filter(pk=life_.provision.pk).update(people=[one.as_row() for one in named])
    life_.provision.refresh_from_db()
    draft = actions.freeze_order(provision=life_.more(THIRD), actor="test")
    assert [(one.address, one.daily_limit) for one in draft.mailboxes.all()] == [
        (f"zoe.keen@{THIRD}", 12), (f"bo.sample@{THIRD}", None)
    ]  # fmt: skip


def test_fifty_domains_are_the_most(life_: Own) -> None:
    order = {**life_.provision.order, "domain_count": 50}
    Provision.objects.filter(pk=life_.provision.pk).update(order=order)
    assert "You have the biggest package" in text(life_.signed_in().get(reverse("upgrade")))


# Fewer --------------------------------------------------------------------------------------------------------------


def fewer(life_: Own, *keep: str) -> Downgrade:
    return downgrades.plan(provision=life_.provision, tier=life_.tier, keep=keep, actor="ada")


def test_a_domain_that_is_left_out_rests_after_the_renewal_and_nothing_is_deleted(built: Own) -> None:
    first, second = fewer(built, FIRST), fewer(built, FIRST)  # the button was pressed twice
    assert first == second
    assert (second.drops, second.quantity, second.monthly_cents) == ([SECOND], 1, MONTH)
    assert (built.quantity(), built.charged()) == (1, 2 * (SETUP + MONTH))
    built.hear()
    built.provision.refresh_from_db()
    assert built.run_kinds() == [RunKind.SETUP]
    assert built.warming() == {FIRST, SECOND}

    zone = built.sandbox.world.cloudflare.zone_named(SECOND)
    assert zone is not None
    records = list(zone.records)
    built.month()
    built.build()
    for _ in range(2):
        built.hear()

    order = built.provision
    assert built.run_kinds() == [RunKind.SETUP, RunKind.DOWNGRADE]
    wanted = {
        "domain_count": 1,
        "mailbox_count": 2,
        "quantity": 1,
        "monthly_fee_cents": MONTH,
        "setup_fee_cents": SETUP,
    }
    assert {name: order.order[name] for name in wanted} == wanted
    assert order.state == ProvisionState.ACTIVE
    assert built.charged() == 2 * (SETUP + MONTH) + MONTH
    assert dict(order.domains.values_list("name", "state")) == {
        FIRST: DomainState.ACTIVE, SECOND: DomainState.RELEASED
    }  # fmt: skip
    assert built.warming() == {FIRST}
    assert [(one.suspended, one.deleted_at) for one in built.users(SECOND)] == [(True, None)] * 2
    assert [one.suspended for one in built.users(FIRST)] == [False] * 2
    assert zone.records == records
    letter = contents.letter(Mail.objects.get(provision=order, kind="downgraded"))
    assert "its Google accounts are suspended with everything in them" in " ".join(letter.text.split())
    assert not OperatorItem.objects.filter(resolved_at=None).exists()

    draft = pages.begin(order, None, built.tier)
    answer = built.signed_in().post(
        reverse("upgrade-domains"), {"brand": "", "action": "continue", "own": f"{SECOND}\n{THIRD}"}
    )
    assert answer.status_code == 422
    assert f"{SECOND} was left out of this set-up earlier" in text(answer)
    assert draft.takes() == (1, 49)


def test_a_plan_that_is_withdrawn_leaves_both_domains(life_: Own) -> None:
    fewer(life_, FIRST)
    downgrades.withdraw(provision=life_.provision, actor="ada")
    assert life_.quantity() == 2
    life_.month()
    assert (life_.run_kinds(), life_.charged()) == ([RunKind.SETUP], 2 * (SETUP + MONTH) + 2 * MONTH)
    assert not OperatorItem.objects.filter(resolved_at=None).exists()


@pytest.mark.parametrize("kind", ["timeout_after", "timeout_before"])
def test_a_lost_answer_to_a_smaller_number_is_found_out(life_: Own, kind: str) -> None:
    life_.sandbox.faults.add(kind, platform="stripe", verb="subscriptions.update", times=1)
    if kind == "timeout_before":
        with pytest.raises(Refused, match="being found out"):
            fewer(life_, FIRST)
        life_.advance(86_400)
        life_.hear()
    else:
        fewer(life_, FIRST)
    assert (Downgrade.objects.get().state, life_.quantity()) == (Downgrade.State.PLANNED, 1)


@pytest.mark.parametrize("keep", [(), (FIRST, SECOND), (THIRD,)])
def test_one_stays_at_least_and_one_is_left_out(life_: Own, keep: tuple[str, ...]) -> None:
    student = life_.signed_in()
    response = student.post(reverse("downgrade-choose", args=["own-domains"]), {"keep": keep})
    assert response.status_code == 422
    assert "Please keep 1 domain at least, and 1 at most." in text(response)
    assert life_.quantity() == 2


def test_the_pages_lead_from_the_domains_to_the_plan(life_: Own) -> None:
    student = life_.signed_in()
    page = text(student.get(reverse("downgrade")))
    assert "a month for each domain that stays, from the next period on" in page
    assert "You have the smallest package" not in page
    choice = text(student.get(reverse("downgrade-choose", args=["own-domains"])))
    for words in (
        "Choose the domains that stay",
        "you pay $15 a month for each domain that stays",
        "its Google accounts are suspended with everything in them",
        "One that was left out does not come back into this set-up",
    ):
        assert words in choice
    assert student.post(reverse("downgrade-choose", args=["own-domains"]), {"keep": [FIRST]}).status_code == 302
    assert "Own domains, 1 domain" in text(student.get(reverse("downgrade")))
    assert "Choose the domains" not in text(student.get(reverse("downgrade")))


def test_the_last_domain_cannot_be_left_out(life_: Own) -> None:
    Provision.objects.filter(pk=life_.provision.pk).update(order={**life_.provision.order, "domain_count": 1})
    assert "You have the smallest package" in text(life_.signed_in().get(reverse("downgrade")))
