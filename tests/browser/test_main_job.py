"""The main job as a newcomer does it, from signing in to the dashboard."""

from __future__ import annotations

from functools import partial

import pytest
from playwright.sync_api import Page, expect

from infra.models import Provision
from tests.integration.pages import student

from .conftest import Visit
from .house import House
from .walk import (
    DASHBOARD,
    DOMAINS,
    MAILBOXES,
    REVIEW,
    THREE,
    button,
    ended,
    find_domains,
    is_done,
    on,
    on_payment_page,
    pay,
    pick,
    poll,
    sign_in,
)

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser-stories")]

STAGES = ["Payment", "Domains", "Address records", "Mailboxes", "Sending tool", "Warmup", "Lead list"]
ADDRESSES = [f"{name}@{domain}" for domain in THREE for name in ("ada", "ada.keen")]


def test_a_newcomer_orders_and_gets_a_working_infrastructure(house: House, visit: Visit) -> None:
    person = student()
    page = visit()
    page.clock.install()
    sign_in(page, house, person)
    page.get_by_role("navigation", name="Main").get_by_role("link", name="GTM Infrastructure").click()

    card = page.get_by_role("listitem").filter(has=page.get_by_role("heading", name="Starter"))
    expect(card).to_contain_text("$144today, then $47 a month")
    button(card, "Choose Starter").click()

    on(page, DOMAINS)
    find_domains(page, house, "Acme")
    pick(page)

    on(page, MAILBOXES)
    preview = page.get_by_role("region", name="Preview")
    page.get_by_label("Name 1").fill("Zoë")
    page.clock.run_for(400)
    expect(preview).to_contain_text("zoe@getacme.com")
    page.get_by_label("Name 1").fill("ada")
    page.get_by_label("Name 2").fill("ada")
    page.clock.run_for(400)
    expect(preview).to_contain_text("Name 2: ")
    page.get_by_label("Name 2").fill("ada.keen")
    page.clock.run_for(400)
    for address in ADDRESSES:
        expect(preview.get_by_text(address, exact=True).last).to_be_visible()
    button(page, "Continue").click()

    on(page, REVIEW)
    answers = page.locator("dl.summary")
    for words in ("Starter", *THREE, "goacme.com", "Ada Keen", *ADDRESSES):
        expect(answers).to_contain_text(words)
    expect(page.get_by_text("get $32.33 back for it")).to_be_visible()
    button(page, "Pay $144").click()

    on_payment_page(page, house)
    pay(page)
    _watch_the_stages(page, house, Provision.objects.get())

    page.get_by_role("link", name="Open the dashboard").click()
    on(page, DASHBOARD)
    expect(page.get_by_text("6 of 6 mailboxes are working. Nothing needs your attention.")).to_be_visible()
    for address in ADDRESSES:
        row = page.get_by_role("row").filter(has_text=address)
        expect(row).to_contain_text("Warming up")
    domains = page.get_by_role("region", name="Domains").get_by_role("heading", level=3)
    assert domains.count() == 3
    for name in THREE:
        card = page.get_by_role("region", name="Domains").get_by_role("listitem").filter(has_text=name)
        expect(card).to_contain_text("Ready")
    expect(page.get_by_role("link", name="Show the password")).to_be_visible()
    expect(page.get_by_role("heading", name="Lead list")).to_be_visible()


def _watch_the_stages(page: Page, house: House, provision: Provision) -> None:
    expect(page.get_by_role("heading", level=1)).to_have_text("We are building your infrastructure")
    for place, title in enumerate(STAGES):
        house.build(partial(is_done, provision, title))
        if page.locator("[data-poll]").count():
            poll(page)
        row = page.locator(".stage").nth(place)
        expect(row.get_by_role("heading")).to_have_text(title)
        expect(row).to_contain_text("Done")
    house.build(lambda: ended(provision))
    expect(page.get_by_role("heading", level=1)).to_have_text("Your infrastructure is ready")
