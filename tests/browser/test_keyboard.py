"""The whole wizard by keyboard only, with the focus always to be seen."""

from __future__ import annotations

import pytest
from playwright.sync_api import Locator, Page, expect

from infra.models import Provision
from tests.integration.pages import PASSWORD, student

from .conftest import Visit
from .house import House
from .walk import DOMAINS, MAILBOXES, PROGRESS, REVIEW, THREE, button, on, on_payment_page, poll

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser-stories")]

MOST_STOPS = 80
FOCUS = """(wanted) => {
  const node = document.activeElement, style = getComputedStyle(node);
  const ring = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2;
  const box = node.getBoundingClientRect();
  const inside = box.width > 0 && box.bottom > 0 && box.top < innerHeight;
  const name = `${node.tagName} ${node.id} ${node.textContent.trim().slice(0, 40)}`;
  return {there: node === wanted, seen: ring && inside, name};
}"""


def tab_to(page: Page, wanted: Locator) -> None:
    """Press Tab until the focus is there. Each stop on the way must show it, inside the window."""
    expect(wanted).to_be_visible()
    element = wanted.element_handle()
    for _stop in range(MOST_STOPS):
        page.keyboard.press("Tab")
        stop = page.evaluate(FOCUS, element)
        assert stop["seen"] or stop["name"].startswith("BODY"), f"the focus is not to be seen on {stop['name']}"
        if stop["there"]:
            return
    raise AssertionError(f"{wanted} is not reached by Tab")


def press_on(page: Page, wanted: Locator, key: str = "Enter") -> None:
    tab_to(page, wanted)
    page.keyboard.press(key)


def type_into(page: Page, label: str, text: str) -> None:
    tab_to(page, page.get_by_label(label))
    page.keyboard.press("Control+A")
    page.keyboard.type(text)


def test_the_whole_wizard_by_keyboard(house: House, visit: Visit) -> None:
    person = student()
    page = visit()
    page.clock.install()
    page.goto(house.site)
    type_into(page, "E-mail", person.email)
    type_into(page, "Password", PASSWORD)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Welcome, Ada")
    press_on(page, page.get_by_role("navigation", name="Main").get_by_role("link", name="GTM Infrastructure"))
    press_on(page, button(page, "Choose Starter"), "Space")

    on(page, DOMAINS)
    type_into(page, "Brand name", "Acme")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Checking 20 names")).to_be_visible()
    house.drain()
    poll(page)
    expect(page.get_by_text("Checking 20 names")).to_be_hidden()
    for name in THREE:
        press_on(page, page.get_by_role("checkbox", name=name, exact=True), "Space")
    expect(page.locator("output")).to_have_text("3 of 3 chosen")
    press_on(page, page.get_by_label("First spare"), "ArrowDown")
    expect(page.get_by_label("First spare")).not_to_have_value("")
    press_on(page, button(page, "Continue"))

    on(page, MAILBOXES)
    type_into(page, "Name 1", "ada")
    type_into(page, "Name 2", "ada.keen")
    page.keyboard.press("Enter")

    on(page, REVIEW)
    press_on(page, page.get_by_role("link", name="Change the mailboxes"))
    on(page, MAILBOXES)
    press_on(page, button(page, "Continue"))
    on(page, REVIEW)
    press_on(page, button(page, "Pay $144"))
    on_payment_page(page, house)
    press_on(page, button(page, "Pay 144.00 USD"))
    on(page, PROGRESS)
    press_on(page, page.locator("#technical > summary"), "Space")
    expect(page.get_by_text(Provision.objects.get().reference)).to_be_visible()


def test_the_first_stop_leads_past_the_sidebar(house: House, visit: Visit) -> None:
    page = visit(student(), "/infrastructure/setup/package/")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Home").last).to_be_focused()
