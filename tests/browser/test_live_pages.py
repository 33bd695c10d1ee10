"""Pages that change while they are open: what is announced, what stays, what is asked."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from django.utils import timezone
from playwright.sync_api import expect

from infra.models import Provision, ProvisionState, StepState
from provisioning.models import Step
from tests.integration.pages import answered, at_domains, student

from .conftest import Visit
from .house import House
from .states import building, done, lost, running, steps
from .walk import DASHBOARD, DOMAINS, MAILBOXES, PROGRESS, button, on, poll

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser-stories")]

COUNT = """() => { window.asked = [];
  document.addEventListener("htmx:beforeRequest", (event) => {
    event.preventDefault();
    window.asked.push(Date.now());
  }); }"""
LISTEN = """() => { window.heard = []; const region = document.getElementById("live");
  const note = () => window.heard.push(region.textContent);
  new MutationObserver(note).observe(region, {childList: true, characterData: true, subtree: true}); }"""


def test_ten_polls_without_news_change_nothing(house: House, visit: Visit) -> None:
    run = building("acme")
    page = visit(run.provision.student)
    page.clock.install()
    page.goto(house.site + PROGRESS)
    page.locator("#technical > summary").click()
    expect(page.locator("#technical > summary")).to_be_focused()
    page.evaluate(LISTEN)

    assert [poll(page) for _ in range(10)] == [204] * 10

    expect(page.locator("#technical")).to_have_attribute("open", "")
    expect(page.locator("#technical > summary")).to_be_focused()
    assert page.evaluate("window.heard") == []


def test_open_details_and_the_focus_survive_news(house: House, visit: Visit) -> None:
    run = building("acme")
    done(run, "buy_domains", minutes=5)
    page = visit(run.provision.student)
    page.clock.install()
    page.goto(house.site + PROGRESS)
    page.locator("#stage-domains > summary").click()
    page.locator("#technical > summary").click()

    for minutes in range(3, 0, -1):
        row = steps(run, "domains_active").filter(state=StepState.PENDING)[0]
        Step.objects.filter(pk=row.pk).update(
            state=StepState.COMPLETED,
            started_at=timezone.now(),
            finished_at=timezone.now() - timedelta(minutes=minutes),
        )
        assert poll(page) == 200
        expect(page.locator("#stage-domains")).to_have_attribute("open", "")
        expect(page.locator("#technical")).to_have_attribute("open", "")
        expect(page.locator("#technical > summary")).to_be_focused()


def test_each_stage_is_announced_once(house: House, visit: Visit) -> None:
    run = building("acme")
    page = visit(run.provision.student)
    page.clock.install()
    page.goto(house.site + PROGRESS)
    page.evaluate(LISTEN)

    for key in ("buy_domains", "domains_active", "dmarc", "mailboxes", "mailboxes_active"):
        for row in steps(run, key):  # one item after the other: news for the eye, not for the ear
            Step.objects.filter(pk=row.pk).update(
                state=StepState.COMPLETED, started_at=timezone.now(), finished_at=timezone.now()
            )
            if row == steps(run, key).last() or key == "mailboxes":
                poll(page)
    Provision.objects.filter(pk=run.provision_id).update(state=ProvisionState.ACTIVE)
    poll(page)

    expect(page.get_by_role("heading", level=1)).to_have_text("Your infrastructure is ready")
    building_words = "We are building your infrastructure."
    assert page.evaluate("window.heard") == [
        f"{building_words} Address records: Not started.",
        f"{building_words} Address records: In progress.",
        f"{building_words} Mailboxes: Not started.",
        f"{building_words} Mailboxes: In progress.",
        f"{building_words} Sending tool: Not started.",
        "Your infrastructure is ready. Sending tool: Not started.",
    ]


def test_an_ended_set_up_is_asked_about_no_more(house: House, visit: Visit) -> None:
    page = visit(running("acme").student)
    page.clock.install()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if "/infrastructure/" in request.url else None)
    page.goto(house.site + PROGRESS)
    page.goto(house.site + DASHBOARD)
    asked.clear()
    page.clock.run_for(60_000)
    expect(page.get_by_role("heading", level=1)).to_have_text("Your infrastructure")
    assert asked == []


def test_polls_become_rarer(house: House, visit: Visit) -> None:
    run = building("acme")
    page = visit(run.provision.student)
    page.clock.install()
    page.goto(house.site + PROGRESS)
    page.evaluate(COUNT)
    page.clock.run_for(600_000)
    times = page.evaluate("window.asked")
    gaps = [round((later - earlier) / 1000) for earlier, later in pairwise(times)]
    assert set(gaps) == {3, 7, 30}
    assert gaps == sorted(gaps)


def test_what_is_typed_into_the_choice_survives_news(house: House, visit: Visit) -> None:
    run = lost("acme")
    page = visit(run.provision.student)
    page.clock.install()
    page.goto(house.site + PROGRESS)
    page.get_by_role("radio", name="withacme.com").check()
    own = page.get_by_label("Or check a name of your own")
    own.fill("acmelabs")
    answered("acmehq.com")

    assert poll(page) == 200
    expect(page.get_by_role("radio", name="acmehq.com")).to_be_visible()
    expect(page.get_by_role("radio", name="withacme.com")).to_be_checked()
    expect(own).to_have_value("acmelabs")
    expect(own).to_be_focused()


def test_an_answer_that_is_still_travelling_does_not_stop_the_preview(house: House, visit: Visit) -> None:
    """Typing goes on while the last answer is under way; the preview ends with what is typed."""
    draft = lost("acme").provision
    Provision.objects.filter(pk=draft.pk).update(state=ProvisionState.DRAFT)
    page = visit(draft.student)
    page.clock.install()
    page.goto(house.site + MAILBOXES)
    # Time stands still but for what the test lets pass: however slow the answer, nothing is sent meanwhile.
    page.clock.pause_at(datetime.fromtimestamp(page.evaluate("Date.now()") / 1000 + 1, UTC))
    page.get_by_label("Name 1").fill("first")
    page.clock.run_for(400)
    page.get_by_label("Name 1").fill("second")
    expect(page.get_by_role("region", name="Preview")).to_contain_text("first@")
    page.clock.run_for(400)
    expect(page.get_by_role("region", name="Preview")).to_contain_text("second@")


def test_names_that_arrive_keep_the_ticks(house: House, visit: Visit) -> None:
    draft = at_domains(student())
    answered("getacme.com", "tryacme.com")
    page = visit(draft.student)
    page.clock.install()
    page.goto(house.site + DOMAINS)
    assert poll(page) == 204
    page.get_by_role("checkbox", name="tryacme.com").check()
    answered("useacme.com")
    assert poll(page) == 200
    expect(page.get_by_role("checkbox", name="useacme.com")).to_be_enabled()
    expect(page.get_by_role("checkbox", name="tryacme.com")).to_be_checked()
    expect(page.locator("output")).to_have_text("1 of 3 chosen")
    button(page, "Continue").click()
    on(page, DOMAINS)
    expect(page.get_by_role("alert")).to_contain_text("Choose 3 domains; 1 is ticked.")


def test_an_address_is_copied_and_said(house: House, visit: Visit) -> None:
    page = visit(running("acme").student, DASHBOARD, permissions=["clipboard-read", "clipboard-write"])
    button(page, "Copy ada@getacme.com").click()
    expect(page.locator("#live")).to_have_text("Copied ada@getacme.com")
    assert page.evaluate("navigator.clipboard.readText()") == "ada@getacme.com"
