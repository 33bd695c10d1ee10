"""The months after the set-up, played in a real browser: bigger, smaller, cancelled, disputed, refunded, expiring."""

from __future__ import annotations

import re
import threading
import time
from functools import partial
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from billing import prices
from infra.models import DomainState, Mail, Provision, ProvisionState, RunKind, Tier
from integrations.sandbox import stripe_life
from integrations.sandbox.stripe import Account
from integrations.sandbox.zapmail_world import set_auto_renew
from provisioning import inventory
from provisioning.engine import doorbell
from provisioning.engine.runner import default_workshop
from provisioning.models import ACTIVE_RUN
from tests.integration.pages import student

from .conftest import Visit
from .house import House
from .walk import DASHBOARD, PROGRESS, button, ended, find_domains, on, pay, pick, to_payment

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser-stories")]

DAY = 86_400.0
MONTH = 31 * DAY + 7200  # Stripe's renewals are drafts for an hour
ARRIVES_WITHIN = 30.0  # seconds, on a busy machine
HEARD = ("webhooks", "upgrades", "refunds", "subscriptions")


class Months:
    """A student with a built order and an open dashboard, and what happens to it at Stripe."""

    def __init__(self, house: House, visit: Visit) -> None:
        house.sandbox.switches.set(zapmail_auto_renew="off")
        self.house, self.page = house, visit(student())
        self.page.clock.install()
        to_payment(self.page, house)
        pay(self.page)
        self.provision = Provision.objects.get()
        house.build(partial(ended, self.provision))
        assert self.provision.state == ProvisionState.ACTIVE

    @property
    def names(self) -> list[str]:
        held = self.provision.domains.filter(state=DomainState.ACTIVE)
        return list(held.order_by("position").values_list("name", flat=True))

    def dashboard(self) -> Page:
        self.page.goto(self.house.site + DASHBOARD)
        return self.page

    def says(self, words: str) -> None:
        expect(self.dashboard().get_by_text(words).first).to_be_visible()

    def hear(self) -> None:
        """Let Stripe's news arrive, and do what is due besides building."""
        for _ in range(3):
            self.house.sandbox.state()
            self._await_arrival()
            for bell in HEARD:
                doorbell.drain(bell)

    def _await_arrival(self) -> None:
        """Wait until nothing that is due is on its way here: another thread delivers it."""
        sandbox, ends = self.house.sandbox, time.monotonic() + ARRIVES_WITHIN
        while True:
            with sandbox.lock:
                now = sandbox.clock.real()
                if not any(one.state in ("waiting", "sending") and one.due <= now for one in sandbox.world.deliveries):
                    return
            assert time.monotonic() < ends, "the news did not arrive"
            threading.Event().wait(0.02)

    def at_stripe(self, verb: str, **given: Any) -> None:
        with self.house.sandbox.lock:
            account = Account(self.house.sandbox.world, self.house.sandbox.clock.real())
            stripe_life.act(account, verb, {"reference": self.provision.reference, **given})
        self.hear()

    def month(self) -> None:
        self.house.world.advance(MONTH)
        self.hear()

    def build(self) -> None:
        """Build, or take down, until nothing is under way."""
        runs = self.provision.runs.filter(state__in=ACTIVE_RUN, held_since__isnull=True)
        self.house.world.run_until(lambda: not runs.exists())
        self.provision.refresh_from_db()

    def subscriptions(self) -> list[str]:
        return [row["status"] for row in self.house.sandbox.world.stripe["subscriptions"].values()]


@pytest.fixture
def months(house: House, visit: Visit) -> Months:
    return Months(house, visit)


def test_a_bigger_package_is_chosen_priced_paid_and_built(months: Months) -> None:
    before, page = months.names, months.dashboard()
    page.get_by_role("link", name="Choose a bigger package").click()
    button(page, "Choose Growth").click()
    find_domains(page, months.house, "Brightside")
    pick(page, ("brightside.com", "getbrightside.com"), spare="")
    on(page, "/infrastructure/upgrade/review/")
    expect(page.get_by_text("ada.keen@brightside.com").first).to_be_visible()  # named as those that are there
    expect(page.get_by_text("Remaining time on Growth").first).to_be_visible()
    page.get_by_role("button", name=re.compile("^Pay")).click()
    on(page, PROGRESS)
    months.says("Your upgrade is under way")  # what is there stays usable
    months.build()
    months.hear()
    page = months.dashboard()
    expect(page.get_by_text("10 of 10 mailboxes are working.").first).to_be_visible()
    assert (months.provision.state, months.provision.tier) == (ProvisionState.ACTIVE, Tier.objects.get(slug="growth"))
    assert (set(before) < set(months.names), months.subscriptions()) == (True, ["active"])


def test_a_declined_upgrade_leaves_everything_as_it_was(months: Months) -> None:
    months.at_stripe("set_card", card="bad")
    before, page = months.names, months.dashboard()
    page.get_by_role("link", name="Choose a bigger package").click()
    button(page, "Choose Growth").click()
    find_domains(page, months.house, "Brightside")
    pick(page, ("brightside.com", "getbrightside.com"), spare="")
    page.get_by_role("button", name=re.compile("^Pay")).click()
    expect(page.get_by_text("Pay the upgrade").first).to_be_visible()
    months.hear()
    expect(months.dashboard().get_by_text("6 of 6 mailboxes are working.").first).to_be_visible()
    months.provision.refresh_from_db()
    assert (months.provision.state, months.names) == (ProvisionState.ACTIVE, before)
    assert (months.provision.runs.count(), months.subscriptions()) == (1, ["active"])


def test_a_smaller_package_is_planned_withdrawn_planned_again_and_begins_with_the_period(months: Months) -> None:
    Tier.objects.create(
        name="Mini", slug="mini", stack="zapmail", domain_count=2, mailbox_count=4, setup_fee_cents=7700,
        monthly_fee_cents=2700,
    )  # fmt: skip
    prices.sync_prices(actor="test")
    kept, dropped = months.names[:2], months.names[2]
    for is_withdrawn in (True, False):
        page = months.dashboard()
        page.get_by_role("link", name="Choose a smaller package").click()
        page.get_by_role("link", name="Choose Mini").click()
        for name in months.names:
            page.get_by_role("checkbox", name=name, exact=True).set_checked(name in kept)
        button(page, "Plan the change").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("Your planned change")
        expect(page.get_by_text(dropped).first).to_be_visible()
        if is_withdrawn:
            button(page, "Withdraw the change").click()
    months.says("Your package changes to Mini on")
    months.month()
    months.says("Your package is being changed to Mini")
    months.build()
    months.hear()
    page = months.dashboard()
    expect(page.get_by_text("4 of 4 mailboxes are working.").first).to_be_visible()
    expect(page.get_by_text(f"@{dropped}")).to_have_count(0)
    assert (months.names, months.subscriptions()) == (kept, ["active"])


def test_cancelled_kept_and_cancelled_again_it_works_until_the_period_ends(months: Months) -> None:
    for label in ("Cancel at the end of the period", "Keep it", "Cancel at the end of the period"):
        page = months.dashboard()
        with page.expect_navigation():  # it is answered before the page is left
            button(page, label).click()
    months.says("Your subscription is ending")
    assert months.provision.runs.count() == 1
    months.month()
    months.build()
    months.page.goto(months.house.site + "/infrastructure/leaving/")
    expect(months.page.get_by_text("This order is cancelled").first).to_be_visible()
    assert (months.provision.state, months.subscriptions()) == (ProvisionState.CANCELLED, ["canceled"])
    assert months.provision.runs.filter(kind=RunKind.TEARDOWN).count() == 1


def test_a_failed_renewal_is_settled_with_another_card_in_the_portal(months: Months) -> None:
    months.at_stripe("set_card", card="bad")
    months.month()
    months.says("A payment did not go through")
    button(months.page, "Update payment method").click()
    expect(months.page).to_have_url(re.compile("/stripe/portal/"))
    months.page.locator('button[value="card_good"]').click()
    months.hear()
    months.build()
    expect(months.dashboard().get_by_text("A payment did not go through")).to_have_count(0)
    assert (months.provision.state, months.subscriptions()) == (ProvisionState.ACTIVE, ["active"])


def test_a_dispute_lets_everything_rest_and_a_lost_one_ends_it(months: Months) -> None:
    months.at_stripe("dispute")
    months.build()
    months.says("Your bank disputes a payment")
    months.at_stripe("dispute_won")
    months.build()
    expect(months.dashboard().get_by_text("Your bank disputes a payment")).to_have_count(0)
    months.at_stripe("renew")
    months.at_stripe("dispute")
    months.at_stripe("dispute_lost")
    months.build()
    months.hear()
    months.page.goto(months.house.site + "/infrastructure/leaving/")
    expect(months.page.get_by_text("This order is cancelled").first).to_be_visible()
    assert (months.provision.state, months.subscriptions()) == (ProvisionState.CANCELLED, ["canceled"])


def test_a_part_that_is_refunded_changes_nothing_and_a_full_refund_ends_the_order(months: Months) -> None:
    months.at_stripe("refund", cents=1000)
    months.says("6 of 6 mailboxes are working.")
    assert months.subscriptions() == ["active"]
    months.at_stripe("refund")
    months.build()
    months.hear()
    months.page.goto(months.house.site + "/infrastructure/leaving/")
    expect(months.page.get_by_text("This order is cancelled").first).to_be_visible()
    assert (months.provision.state, months.subscriptions()) == (ProvisionState.CANCELLED, ["canceled"])


def test_a_domain_is_kept_or_dropped_before_its_year_ends_and_expires_on_its_day(months: Months) -> None:
    def look() -> None:
        inventory.admit()
        while inventory.look_at_next(default_workshop()):
            pass

    look()
    months.house.world.advance(335 * DAY)
    look()
    kept, dropped = months.names[:2], months.names[2]
    (mail,) = Mail.objects.filter(provision=months.provision, kind="renewal")
    assert mail.context["days"] == 30
    page = months.page
    for name in (*kept, dropped):
        page.goto(months.house.site + "/infrastructure/renewals/")
        choice = button(page, f"{'Drop' if name == dropped else 'Keep'} it {name}")
        choice.click()
        expect(choice).to_have_count(0)  # the page has come back: leaving it before would end what it loads
    for name in kept:  # the operator, who is asked to
        set_auto_renew(months.house.sandbox.world, name, True)
    months.house.world.advance(35 * DAY)
    look()
    look()
    page.goto(months.house.site + DASHBOARD)
    card = page.get_by_role("region", name="Domains").get_by_role("listitem").filter(has_text=dropped)
    expect(card).to_contain_text("Expired")
    assert (months.names, months.subscriptions()) == (kept, ["active"])
