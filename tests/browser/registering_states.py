"""Names that are registered at GoDaddy: looked up and agreed to in the wizard, and what is asked where GoDaddy refuses."""

from __future__ import annotations

from playwright.sync_api import Page

from infra import clock
from infra.models import Provision, Registration, StepState, User
from tests.integration.many_domains import many

from .house import House
from .states import Shown, connected, on_own_domains, state
from .walk import DOMAINS, PROGRESS, button

AGREEMENT = [["API_DPA", "Domain Name Registration Agreement", "https://www.example.com/agreement"]]
OFFERED = {"state": "offered", "price_cents": 1199, "renewal_cents": 2299, "currency": "USD", "agreements": AGREEMENT,
           "contact_source": "ACCOUNT", "due_at": None}  # fmt: skip


def looking_up(name: str, **offered: object) -> User:
    """Return a student with an account at GoDaddy and names in every state."""
    ada = on_own_domains(name)
    connected(ada, "godaddy", state="good", is_used=True)
    draft, now = Provision.objects.get(student=ada), clock.vendor_now()
    rows: dict[str, dict[str, object]] = {
        f"get{name}.com": {**OFFERED, "answered_at": now, **offered},
        f"try-{name}.com": {**OFFERED, "answered_at": now, **offered},
        f"{name}-mail.com": {"state": "refused", "problem": "taken"},
        f"{name}.ca": {"state": "refused", "problem": "ending_not_sold"},
        f"{name}-hq.com": {"state": "asked", "due_at": clock.later(now, 3600)},
    }
    for one, values in rows.items():
        Registration.objects.create(provision=draft, student=ada, name=one, **values)
    return ada


@state
def registering_without_an_account(house: House, name: str) -> Shown:
    return Shown(on_own_domains(name), DOMAINS, sees="Connect your GoDaddy account")


@state
def registering_names_looked_up(house: House, name: str) -> Shown:
    return Shown(looking_up(name), DOMAINS, sees="Your consent")


@state
def registering_agreed(house: House, name: str) -> Shown:
    def then(page: Page) -> None:
        page.get_by_label(f"get{name}.com").check()
        page.get_by_label("I agree, and may register these names").check()
        button(page, "Agree and add the ticked names").click()

    return Shown(looking_up(name), DOMAINS, then=then, sees="At most $11.99")


@state
def registering_without_consent(house: House, name: str) -> Shown:
    def then(page: Page) -> None:
        page.get_by_label(f"get{name}.com").check()
        button(page, "Agree and add the ticked names").click()

    return Shown(looking_up(name), DOMAINS, then=then, sees="There is a problem")


@state
def registering_asks_the_registrant(house: House, name: str) -> Shown:
    def then(page: Page) -> None:
        page.get_by_label(f"get{name}.com").check()
        page.get_by_label("I agree, and may register these names").check()
        page.get_by_label("Phone").fill("12")
        button(page, "Agree and add the ticked names").click()

    return Shown(looking_up(name, asks_registrant=True), DOMAINS, then=then, sees="Write the phone number like")


@state
def registering_asks_for_more(house: House, name: str) -> Shown:
    """GoDaddy wants more than was agreed to; another name's account has no way to pay."""
    run = many(name, 3)
    for place, cause in ((0, "registration_terms"), (1, "registration_payment")):
        rows = run.steps.filter(key="registered", domain__name=f"{name}{place}.com")
        rows.update(state=StepState.WAITING, waits_on="student", facts={"question": "register", "cause": cause})
    domain = run.provision.domains.get(name=f"{name}0.com")
    domain.facts = {"register_terms": {"cents": 1499, "currency": "USD", "agreements": AGREEMENT}}
    domain.save()
    return Shown(run.student, PROGRESS, sees="I agree: register it for at most $14.99")
