"""A page with a problem: it says so in its title, the summary has the focus, its links lead to the fields."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from .conftest import Visit
from .house import House
from .states import STATES, show

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser-stories")]

WRONG = [name for name in STATES if name.endswith(("-with-errors", "-too-few")) and not name.startswith("sandbox")]


@pytest.mark.parametrize("name", WRONG)
def test_the_summary_is_read_first_and_leads_to_the_fields(name: str, opened_house: House, visit: Visit) -> None:
    with opened_house.undo:
        opened_house.empty()
        shown = STATES[name](opened_house, name)
        page = visit(shown.person)
        show(page, opened_house, shown)

        assert page.title().startswith("Error: ")
        summary = page.get_by_role("alert")
        expect(summary).to_be_focused()
        expect(summary).to_be_in_viewport()
        for link in summary.get_by_role("link").all():
            target = page.locator(str(link.get_attribute("href")))
            link.click()
            expect(target).to_be_in_viewport()
            assert page.evaluate("document.activeElement.matches(':target, input, select, textarea')"), (
                link.inner_text()
            )
            if target.evaluate("(node) => node.matches('input')"):
                described = [f"#{one}" for one in str(target.get_attribute("aria-describedby")).split()]
                assert any(link.inner_text() in page.locator(one).inner_text() for one in described)
