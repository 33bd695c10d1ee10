"""Everything can be done with script off: forms, links and reloads."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from infra.models import Provision, ProvisionState
from tests.integration.pages import PASSWORD, student

from .conftest import Visit
from .house import House
from .states import credential_address, lost, running
from .walk import DOMAINS, MAILBOXES, PROGRESS, REVIEW, SPARE, THREE, button, ended, on, on_payment_page, pay, sign_in

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser-stories")]


def test_the_main_job_without_script(house: House, visit: Visit) -> None:
    page = visit(java_script_enabled=False)
    sign_in(page, house, student())
    page.get_by_role("navigation", name="Main").get_by_role("link", name="GTM Infrastructure").click()
    button(page, "Choose Starter").click()

    on(page, DOMAINS)
    page.get_by_label("Brand name").fill("Acme")
    button(page, "Find domains").click()
    expect(page.get_by_text("Checking 20 names")).to_be_visible()
    house.drain()
    button(page, "Check now").click()
    expect(page.get_by_text("Checking 20 names")).to_be_hidden()
    for name in THREE:
        page.get_by_role("checkbox", name=name, exact=True).check()
    page.get_by_label("First spare").select_option(SPARE)
    button(page, "More names").click()
    for name in THREE:
        expect(page.get_by_role("checkbox", name=name, exact=True)).to_be_checked()
    expect(page.locator("output")).to_have_text("3 of 3 chosen")
    button(page, "Continue").click()

    on(page, MAILBOXES)
    page.get_by_label("Name 1").fill("zoe")
    button(page, "Update the preview").click()
    expect(page.get_by_role("region", name="Preview")).to_contain_text("zoe@getacme.com")
    button(page, "Continue").click()

    on(page, REVIEW)
    button(page, "Pay $144").click()
    on_payment_page(page, house)
    pay(page)
    expect(page.get_by_role("heading", level=1)).to_have_text("We are building your infrastructure")
    provision = Provision.objects.get()
    house.build(lambda: ended(provision))
    button(page, "Check now").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Your infrastructure is ready")
    page.get_by_role("link", name="Open the dashboard").click()
    expect(page.get_by_text("6 of 6 mailboxes are working.")).to_be_visible()
    assert provision.state == ProvisionState.ACTIVE


def test_another_name_is_chosen_without_script(house: House, visit: Visit) -> None:
    run = lost("acme")
    page = visit(run.provision.student, PROGRESS, java_script_enabled=False)
    button(page, "Use this name").click()
    expect(page.get_by_role("alert")).to_contain_text("Choose one of the names")
    page.get_by_role("radio", name="meetacme.com").check()
    button(page, "Use this name").click()
    expect(page.get_by_text("meetacme.com takes the place of getacme.com.")).to_be_visible()


def test_the_password_is_shown_without_script(house: House, visit: Visit) -> None:
    running("acme")
    page = opened(visit, house)
    page.get_by_label("Your password for this site").fill(PASSWORD)
    button(page, "Show it once").click()
    expect(page.get_by_text("s3nding-t00l-Passw0rd")).to_be_visible()
    expect(button(page, "Copy the password")).to_be_hidden()


def opened(visit: Visit, house: House) -> Page:
    person = Provision.objects.get().student
    return visit(person, credential_address("acme"), java_script_enabled=False)
