"""The dashboard as a student meets it over the weeks: figures that the sandbox makes, read by the collector, on the page."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from infra.models import Provision, TaskDone
from integrations.sandbox import plusvibe
from provisioning.engine import doorbell
from tests.integration.world import new_order, paid

from .conftest import Visit
from .house import House
from .states import STATES, running
from .test_states import WIDER
from .walk import DASHBOARD, button, ended

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser-stories")]

HALF_A_DAY = 43_200.0


def built(house: House) -> Provision:
    run = paid(new_order("acme"))
    provision = Provision.objects.get(pk=run.provision_id)
    house.build(lambda: ended(provision))
    return Provision.objects.get(pk=provision.pk)


def pass_days(house: House, days: float) -> None:
    """Let days pass, with two looks a day."""
    for _ in range(round(2 * days)):
        house.world.advance(HALF_A_DAY)
        while doorbell.drain("figures"):
            house.world.advance(5)


def test_the_weeks_of_a_warmup(house: House, visit: Visit) -> None:
    order = built(house)
    plusvibe.set_profile(house.sandbox.world, "ada@getacme.com", "collapse")
    page = visit(order.student, DASHBOARD)
    expect(page.get_by_text("6 of 6 mailboxes are working.")).to_be_visible()
    expect(page.get_by_text("No figures read yet")).to_be_visible()

    pass_days(house, 0.5)
    page.reload()
    expect(page.get_by_text("Updated just now").or_(page.get_by_text(re.compile("Updated .* ago")))).to_be_visible()
    expect(page.get_by_role("row").filter(has_text="ada@getacme.com")).to_contain_text("Not enough data yet")

    pass_days(house, 5)
    page.reload()
    expect(page.get_by_text("6 of 6 mailboxes are healthy. Nothing needs your attention.")).to_be_visible()
    mine = page.get_by_role("row").filter(has_text="ada@getacme.com")
    expect(mine).to_contain_text("of 30")
    mine.get_by_text("Numbers").click()
    expect(mine.get_by_text("Google")).to_be_visible()

    pass_days(house, 14)
    page.reload()
    expect(page.get_by_text("5 of 6 mailboxes are healthy. 1 needs attention. 5 are ready to send.")).to_be_visible()
    mine = page.get_by_role("row").filter(has_text="ada@getacme.com")
    expect(mine).to_contain_text("Below 90 %")
    expect(mine).to_contain_text("Not known yet")
    mine.get_by_text("Why not yet").click()
    expect(mine.get_by_text("its health has not been 90 % or more on three days in a row")).to_be_visible()
    expect(page.get_by_role("row").filter(has_text="ada.sample@getacme.com")).to_contain_text("Ready now")


def test_with_the_sending_tool_away_the_page_goes_on_with_what_it_has(house: House, visit: Visit) -> None:
    order = built(house)
    pass_days(house, 3)
    house.sandbox.faults.add("status", platform="plusvibe", status=503)
    pass_days(house, 1)
    page = visit(order.student, DASHBOARD)
    expect(page.get_by_text("The sending tool does not answer us at the moment")).to_be_visible()
    expect(page.get_by_text("6 of 6 mailboxes are healthy.")).to_be_visible()


def test_everything_fits_at_every_width(house: House, visit: Visit) -> None:
    shown = STATES["dashboard-with-troubles"](house, "acme")
    page = visit(shown.person, DASHBOARD)
    shown.then(page)
    for width in (320, 390, 500, 700, 710, 800, 959, 961, 1100, 1280, 1600):
        page.set_viewport_size({"width": width, "height": 900})
        assert page.evaluate(WIDER) == [], f"at {width} px"


@pytest.mark.parametrize("script", [True, False])
def test_a_task_is_ticked_and_stays_ticked(house: House, visit: Visit, script: bool) -> None:
    order = running("acme")
    page = visit(order.student, DASHBOARD, java_script_enabled=script)
    button(page, "Mark as done Fill your lead list").click()
    expect(button(page, "Undo Fill your lead list")).to_be_visible()
    assert TaskDone.objects.get().task == "leads"
    button(page, "Undo Fill your lead list").click()
    expect(button(page, "Mark as done Fill your lead list")).to_be_visible()
    assert not TaskDone.objects.exists()


def test_the_calendar_is_handed_out_without_signing_in(house: House, visit: Visit) -> None:
    order = running("acme")
    page = visit(order.student, DASHBOARD)
    page.get_by_text("In your calendar", exact=True).click()
    link = page.get_by_role("link", name="Download the calendar").get_attribute("href")
    assert link is not None
    answer = visit().request.get(link)
    assert answer.status == 200
    assert answer.headers["content-type"] == "text/calendar; charset=utf-8"
    assert "SUMMARY:Sending may start" in answer.text()
