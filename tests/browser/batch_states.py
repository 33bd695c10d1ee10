"""The page of an order's domains, and a file of domains in the wizard."""

from __future__ import annotations

from playwright.sync_api import Page

from infra.models import Provision, StepState
from tests.integration.many_domains import end, fail, finish, many
from tests.integration.pages import student
from tests.integration.stories.kit import make_tier

from .house import House
from .states import Shown, ago, state
from .walk import DOMAINS, PROGRESS, button

BATCHES = "/infrastructure/batches/"


@state
def batch_with_failures(house: House, name: str) -> Shown:
    """Some are done, two have failed, one of them too often; one waits for its owner, the others are under way."""
    run = many(name, 9)
    finish(run, *(f"{name}{place}.com" for place in range(3)))
    fail(run, f"{name}3.com", "zones", "zone_elsewhere")
    finish(run, f"{name}4.com")
    fail(run, f"ada@{name}4.com", "users", "weak_password")
    fail(run, f"{name}5.com", "google_domains", "google_domain_elsewhere")
    for _ in range(2):
        run.events.create(
            provision=run.provision, student=run.student, kind="step", item=f"{name}5.com", from_state=StepState.FAILED,
            to_state=StepState.PENDING,
        )  # fmt: skip
    mine = run.steps.filter(domain__name=f"{name}6.com")
    mine.filter(key__in=["registered", "own_before", "zones"]).update(
        state=StepState.COMPLETED, finished_at=ago(hours=3)
    )
    mine.filter(key="nameservers").update(
        state=StepState.WAITING, waits_on="student", started_at=ago(hours=2), facts={"question": "nameservers"}
    )
    return Shown(run.student, BATCHES, sees="Try the failed ones again")


@state
def batch_all_done(house: House, name: str) -> Shown:
    run = many(name, 6)
    finish(run, *(f"{name}{place}.com" for place in range(6)))
    end(run, "active")
    return Shown(run.student, BATCHES, sees="6 of 6 domains are done")


@state
def batch_pressed_twice(house: House, name: str) -> Shown:
    run = many(name, 6)
    end(run, "active")
    fail(run, f"{name}3.com", "zones", "zone_elsewhere")

    def then(page: Page) -> None:
        button(page, "Try the failed ones again").click()
        page.get_by_text("1 of them is tried again").wait_for()

    return Shown(run.student, BATCHES, then=then, sees="1 of them is tried again")


@state
def progress_of_many_domains(house: House, name: str) -> Shown:
    return Shown(many(name, 6).student, PROGRESS, sees="See all 6 domains")


@state
def domains_file_with_bad_lines(house: House, name: str) -> Shown:
    ada = student(f"{name}@students.example")
    Provision.objects.create(student=ada, tier=make_tier("own-domains"), brand="Acme")

    def then(page: Page) -> None:
        body = f"domain\n{name}-one.com\na..b\nmail.{name}-two.com\n".encode()
        page.get_by_label("Or from a file").set_input_files(
            {"name": "domains.csv", "mimeType": "text/csv", "buffer": body}
        )
        button(page, "Continue").click()

    return Shown(ada, DOMAINS, then=then, sees="Line 3: a..b is no domain name.")
