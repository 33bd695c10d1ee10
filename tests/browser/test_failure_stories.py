"""What goes wrong on the way, and what the student sees of it."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, Route, expect

from billing.models import Checkout
from infra.models import Domain, Provision, ProvisionState, Tier, User
from tests.integration import pages
from tests.integration.pages import PASSWORD, student
from tests.integration.world import new_order

from .conftest import Visit
from .house import House
from .walk import (
    DASHBOARD,
    DOMAINS,
    MAILBOXES,
    PACKAGE,
    PROGRESS,
    REVIEW,
    SPARE,
    THREE,
    button,
    ended,
    find_domains,
    on,
    on_payment_page,
    pay,
    pick,
    poll,
    to_payment,
    to_review,
)

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser-stories")]

ANSWERS = ("Starter", *THREE, SPARE, "Ada Keen", "ada@getacme.com", "ada.keen@useacme.com")


def watching(visit: Visit, person: User) -> Page:
    """Return a page whose time the test moves."""
    page = visit(person)
    page.clock.install()
    return page


# Paying -------------------------------------------------------------------------------------------------------------


def test_after_a_declined_card_the_page_stays_and_can_be_paid(house: House, visit: Visit) -> None:
    page = watching(visit, student())
    to_payment(page, house)
    button(page, "Decline the card").click()
    expect(page.get_by_role("alert")).to_contain_text("Your card was declined. You have not been charged.")
    on_payment_page(page, house)
    assert Provision.objects.get().state == ProvisionState.PENDING_PAYMENT

    pay(page)
    expect(page.get_by_role("heading", level=1)).to_have_text("We are building your infrastructure")


def test_a_cancelled_checkout_returns_with_nothing_lost(house: House, visit: Visit) -> None:
    page = watching(visit, student())
    to_payment(page, house)
    button(page, "Cancel").click()

    on(page, REVIEW)
    sentence = "You have not paid, and nothing was charged. Everything you chose is still here."
    expect(page.get_by_text(sentence)).to_be_visible()
    for words in ANSWERS:
        expect(page.locator("dl.summary")).to_contain_text(words)
    button(page, "Pay $144").click()
    on_payment_page(page, house)
    pay(page)


def test_the_back_button_after_paying_leads_to_the_progress(house: House, visit: Visit) -> None:
    page = watching(visit, student())
    to_payment(page, house)
    pay(page)

    page.go_back()
    expect(page.get_by_role("heading", level=1)).to_have_text("Paid 144.00 USD")
    expect(page.get_by_role("button")).to_have_count(0)
    page.go_back()
    on(page, PROGRESS)
    expect(page.get_by_role("heading", level=1)).to_have_text("We are building your infrastructure")
    assert Checkout.objects.count() == 1


def test_back_from_the_payment_page_one_can_pay_again_and_pays_once(house: House, visit: Visit) -> None:
    page = watching(visit, student())
    to_payment(page, house)
    page.go_back()
    on(page, PROGRESS)
    page.get_by_role("link", name="Go to the payment page").click()
    on_payment_page(page, house)
    pay(page)
    assert list(Checkout.objects.values_list("state", flat=True)) == ["paid"]


def test_a_double_click_on_pay_opens_one_payment_page(house: House, visit: Visit) -> None:
    page = watching(visit, student())
    to_review(page, house)
    button(page, "Pay $144").dblclick()
    on_payment_page(page, house)
    assert Checkout.objects.filter(state="open").count() == 1
    assert Checkout.objects.count() == 1


# Building -----------------------------------------------------------------------------------------------------------


def order_without_spares(visit: Visit, house: House) -> tuple[Page, Provision]:
    """Return the progress page of a paid order that has no spares."""
    person = student()
    page = watching(visit, person)
    page.goto(house.site + "/infrastructure/")
    button(page, "Choose Starter").click()
    find_domains(page, house, "Acme")
    pick(page, spare="")
    button(page, "Continue").click()
    button(page, "Pay $144").click()
    pay(page)
    return page, Provision.objects.get()


def test_a_name_lost_after_payment_is_replaced_by_the_students_choice(house: House, visit: Visit) -> None:
    house.sandbox.faults.add("domain_taken", platform="zapmail", items=["tryacme.com"])
    page, provision = order_without_spares(visit, house)

    house.build(lambda: Provision.objects.filter(parked_reason="needs_choice").exists())
    poll(page)
    expect(page.get_by_role("heading", level=1)).to_have_text("We need your choice")
    expect(page.get_by_text("Somebody else registered tryacme.com after you had paid.")).to_be_visible()
    page.reload()
    house.drain()
    poll(page)
    page.get_by_role("radio", name="heyacme.com").check()
    button(page, "Use this name").click()

    expect(page.get_by_text("heyacme.com takes the place of tryacme.com.")).to_be_visible()
    house.build(lambda: ended(provision))
    assert provision.state == ProvisionState.ACTIVE
    poll(page)
    page.get_by_role("link", name="Open the dashboard").click()
    expect(page.get_by_role("row").filter(has_text="ada@heyacme.com")).to_contain_text("Warming up")


def test_waiting_for_funds_is_said_in_plain_words_and_ends_with_a_top_up(house: House, visit: Visit) -> None:
    house.sandbox.switches.set(zapmail_wallet_cents=500)
    page, provision = order_without_spares(visit, house)

    house.build(lambda: Provision.objects.filter(parked_reason="waiting_funds").exists())
    poll(page)
    expect(page.get_by_text("The operator is looking at one step")).to_be_visible()
    expect(page.get_by_text("nothing is lost, and nothing is paid twice")).to_be_visible()
    expect(page.get_by_role("main")).not_to_contain_text(re.compile("wallet|zapmail|funds", re.I))

    operator = visit()
    operator.goto(house.sandbox_url)
    operator.get_by_label("Add to the wallet, in dollars").fill("500")
    button(operator, "Top up").click()
    house.build(lambda: ended(provision))
    assert provision.state == ProvisionState.ACTIVE
    poll(page)
    expect(page.get_by_role("heading", level=1)).to_have_text("Your infrastructure is ready")


def test_one_failed_mailbox_sinks_nothing_and_is_named(house: House, visit: Visit) -> None:
    house.sandbox.faults.add("failing_mailboxes", platform="zapmail", items=["ada.keen@useacme.com"])
    page, provision = order_without_spares(visit, house)

    house.build(lambda: ended(provision), hours=100)
    assert provision.state == ProvisionState.ACTIVE_WITH_EXCEPTIONS
    poll(page)
    expect(page.get_by_role("heading", level=1)).to_have_text("Your infrastructure is ready, with exceptions")
    failed = page.get_by_role("listitem").filter(has_text=re.compile(r"^\s*ada\.keen@useacme\.com"))
    expect(failed.first).to_contain_text("Failed")

    page.get_by_role("link", name="Open the dashboard").click()
    on(page, DASHBOARD)
    expect(page.get_by_text("5 of 6 mailboxes are working. 1 needs attention.")).to_be_visible()
    expect(page.get_by_role("row").filter(has_text="ada.keen@useacme.com")).to_contain_text("Failed")


# The wizard ---------------------------------------------------------------------------------------------------------


def test_a_step_opened_out_of_order_leads_to_the_one_that_is_missing(house: House, visit: Visit) -> None:
    page = visit(student(), REVIEW)
    on(page, PACKAGE)
    expect(page.get_by_role("status").filter(has_text="Choose a package first.")).to_be_visible()
    button(page, "Choose Starter").click()
    page.goto(house.site + MAILBOXES)
    on(page, DOMAINS)
    expect(page.get_by_text("Choose your domains first.")).to_be_visible()


def test_a_session_that_ends_in_mid_wizard_keeps_the_draft(house: House, visit: Visit) -> None:
    person = student()
    page = watching(visit, person)
    page.goto(house.site + "/infrastructure/")
    button(page, "Choose Starter").click()
    find_domains(page, house, "Acme")
    pick(page)
    on(page, MAILBOXES)
    page.context.clear_cookies(name="session")
    button(page, "Continue").click()

    expect(page.get_by_role("heading", level=1)).to_have_text("Sign in")
    page.get_by_label("E-mail").fill(person.email)
    page.get_by_label("Password").fill(PASSWORD)
    button(page, "Sign in").click()
    on(page, MAILBOXES)
    expect(page.get_by_role("region", name="Preview")).to_contain_text("getacme.com")


def test_a_session_that_ends_on_an_open_page_shows_the_way_back(house: House, visit: Visit) -> None:
    """The answer to a poll is the sign-in page then; it must not appear inside the list of names."""
    person = student()
    page = watching(visit, person)
    page.goto(house.site + "/infrastructure/")
    button(page, "Choose Starter").click()
    page.get_by_label("Brand name").fill("Acme")
    button(page, "Find domains").click()
    expect(page.get_by_text("Checking 20 names")).to_be_visible()
    page.context.clear_cookies(name="session")
    page.clock.run_for(3000)

    expect(page).to_have_url(re.compile(r"/login/\?next=/infrastructure/setup/domains/(#names)?$"))
    expect(page.get_by_role("heading", level=1)).to_have_text("Sign in")


def test_a_package_withdrawn_in_between_is_said_and_keeps_the_names(house: House, visit: Visit) -> None:
    order = new_order()
    page = visit(order.student, REVIEW)
    expect(button(page, "Pay $144")).to_be_visible()
    Tier.objects.filter(slug="starter").update(is_active=False)
    button(page, "Pay $144").click()

    on(page, PACKAGE)
    sentence = "The package Starter is no longer offered. Choose another one; your names are kept."
    expect(page.get_by_text(sentence)).to_be_visible()
    button(page, "Choose Growth").click()
    on(page, DOMAINS)
    for name in THREE:
        expect(page.get_by_role("checkbox", name=name, exact=True)).to_be_checked()
    assert Domain.objects.filter(provision=order, state="selected").count() == 3


def test_what_is_ticked_while_an_answer_travels_stays_ticked(house: House, visit: Visit) -> None:
    person = student()
    pages.at_domains(person)
    page = watching(visit, person)
    page.goto(house.site + DOMAINS)
    pages.answered(*THREE)
    poll(page)
    expect(page.get_by_role("checkbox", name="getacme.com", exact=True)).to_be_enabled()

    def tick_meanwhile(route: Route) -> None:
        response = route.fetch()
        page.get_by_role("checkbox", name="getacme.com", exact=True).check()
        route.fulfill(response=response)

    pages.answered("acme.com")
    page.route(re.compile("/names/"), tick_meanwhile)
    page.clock.run_for(7000)
    expect(page.get_by_role("checkbox", name="acme.com", exact=True)).to_be_enabled()
    expect(page.get_by_role("checkbox", name="getacme.com", exact=True)).to_be_checked()
    expect(page.locator("output")).to_have_text("1 of 3 chosen")
