"""What a student does on the pages, and what a page is asked to notice."""

from __future__ import annotations

import re
from collections.abc import Sequence

from playwright.sync_api import Locator, Page, Request, expect

from infra.models import Provision, User
from provisioning import queries
from tests.integration.pages import PASSWORD

from .house import House

PACKAGE, DOMAINS, MAILBOXES, REVIEW = (
    f"/infrastructure/setup/{page}/" for page in ("package", "domains", "mailboxes", "review")
)
PROGRESS, DASHBOARD = "/infrastructure/progress/", "/infrastructure/dashboard/"
THREE, SPARE = ("getacme.com", "tryacme.com", "useacme.com"), "goacme.com"
POLL = re.compile(r"/(state|names)/(\?|$)")


def on(page: Page, path: str) -> None:
    """Expect to be on this page, without a problem."""
    expect(page).to_have_url(re.compile(re.escape(path) + r"(\?.*|#.*)?$"))


def button(page: Page | Locator, label: str) -> Locator:
    return page.get_by_role("button", name=label, exact=True)


def poll(page: Page) -> int:
    """Let the page ask once whether something has changed; return the answer's status. Needs `page.clock.install()`."""
    asked: list[Request] = []

    def note(request: Request) -> None:
        if POLL.search(request.url):
            asked.append(request)

    page.on("request", note)
    with page.expect_response(lambda response: response.request in asked) as answer:
        for _half_second in range(80):  # it asks every 3 seconds at first, in the end every 30
            if asked:
                break
            page.clock.run_for(500)
    page.remove_listener("request", note)
    answer.value.finished()
    return answer.value.status


def sign_in(page: Page, house: House, person: User) -> None:
    page.goto(house.site)
    page.get_by_label("E-mail").fill(person.email)
    page.get_by_label("Password").fill(PASSWORD)
    button(page, "Sign in").click()
    expect(page.get_by_role("heading", level=1)).to_have_text(f"Welcome, {person.first_name}")


def find_domains(page: Page, house: House, brand: str) -> None:
    """Ask for names, and let the platform answer while the page is open."""
    page.get_by_label("Brand name").fill(brand)
    button(page, "Find domains").click()
    expect(page.get_by_text("Checking 20 names")).to_be_visible()
    house.drain()
    poll(page)
    expect(page.get_by_text("Checking 20 names")).to_be_hidden()


def pick(page: Page, names: Sequence[str] = THREE, spare: str = SPARE) -> None:
    """Tick the names and rank a spare; go on."""
    for place, name in enumerate(names, start=1):
        page.get_by_role("checkbox", name=name, exact=True).check()
        expect(page.locator("output")).to_have_text(f"{place} of {len(names)} chosen")
    if spare:
        page.get_by_label("First spare").select_option(spare)
    button(page, "Continue").click()


def name_mailboxes(page: Page, first: str = "ada", second: str = "ada.keen") -> None:
    page.get_by_label("Name 1").fill(first)
    page.get_by_label("Name 2").fill(second)
    button(page, "Continue").click()


def to_review(page: Page, house: House) -> None:
    """Fill in the whole wizard as a newcomer to it."""
    page.goto(house.site + "/infrastructure/")
    button(page, "Choose Starter").click()
    find_domains(page, house, "Acme")
    pick(page)
    name_mailboxes(page)
    on(page, REVIEW)


def to_payment(page: Page, house: House) -> None:
    """Go to Stripe's page from a complete wizard."""
    to_review(page, house)
    button(page, "Pay $144").click()
    on_payment_page(page, house)


def on_payment_page(page: Page, house: House) -> None:
    expect(page).to_have_url(re.compile(re.escape(house.sandbox_url) + "/stripe/pay/cs_"))


def pay(page: Page) -> None:
    """Pay on Stripe's page, and come back."""
    button(page, "Pay 144.00 USD").click()
    on(page, PROGRESS)


def is_done(provision: Provision, title: str) -> bool:
    """Whether the stage of this title is over."""
    provision.refresh_from_db()
    return any(stage.title == title and stage.state == "done" for stage in queries.status_of(provision).stages)


def ended(provision: Provision) -> bool:
    """Whether building is over."""
    provision.refresh_from_db()
    return provision.state not in ("pending_payment", "provisioning")
