"""Every page and state: accessible by axe's rules in both schemes and at two widths, and never wider than a small phone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import axe_playwright_python
import pytest
from playwright.sync_api import Browser, BrowserContext, Page

from .conftest import Visit, open_context
from .house import House
from .states import STATES, show
from .watch import Watch

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser-states")]

AXE = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text()
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
LOOKS: list[tuple[int, Literal["light", "dark"]]] = [
    (width, scheme) for width in (1280, 390) for scheme in ("light", "dark")
]
PICTURES = Path(__file__).resolve().parents[2] / "var" / "screens"
PAINTED = "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
# Without `preload`, axe would load the stylesheets of stylesheets by an inline style, which the policy refuses.
JUDGE = """async (tags) => {
  await Promise.all(document.getAnimations().map((one) => one.finished.catch(() => null)));
  const {violations} = await axe.run(document, {runOnly: tags, preload: false, resultTypes: ["violations"]});
  return violations.flatMap(
    (rule) => rule.nodes.map((node) => `${rule.id}: ${node.target.join(" ")}: ${node.failureSummary}`)); }"""
SPOIL = """() => { document.querySelector("label").remove();
  const wide = document.createElement("div"); wide.style.cssText = "width: 900px; height: 9px"; wide.append(new Image());
  document.querySelector("main").append(wide); }"""
WIDER = """() => document.documentElement.scrollWidth <= window.innerWidth ? [] :
  [...document.querySelectorAll("body *")].filter((node) => node.getBoundingClientRect().right > window.innerWidth + 1)
    .map((node) => `${node.tagName} ${node.className} ${node.textContent.trim().slice(0, 40)}`).concat("the page scrolls")"""


@pytest.fixture(scope="module")
def stage(chromium: Browser, shared_house: House) -> Iterator[tuple[BrowserContext, Watch]]:
    """One context for all states; who is signed in changes."""
    with open_context(chromium, shared_house) as (context, watch):
        yield context, watch


@pytest.fixture(params=STATES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def opened(name: str, stage: tuple[BrowserContext, Watch], shared_house: House) -> Iterator[Page]:
    """A page that shows the state."""
    context, watch = stage
    with shared_house.undo:
        shown = STATES[name](shared_house, name)
        context.clear_cookies()
        if shown.person is not None:
            shared_house.admit(context, shown.person)
        page = context.new_page()
        show(page, shared_house, shown)
        yield page
        page.close()
    watch.assert_clean()


def judged(page: Page) -> list[str]:
    """Return what axe has to say, after every colour has arrived."""
    page.evaluate(PAINTED)
    found: list[str] = page.evaluate(JUDGE, TAGS)
    return found


def test_every_state_is_accessible_and_fits_a_phone(opened: Page) -> None:
    opened.evaluate(AXE)
    found = []
    for width, scheme in LOOKS:
        opened.set_viewport_size({"width": width, "height": 900})
        opened.emulate_media(color_scheme=scheme)
        found += [f"{scheme} at {width} px: {line}" for line in judged(opened)]
    opened.set_viewport_size({"width": 320, "height": 900})
    found += [f"wider than 320 px: {line}" for line in opened.evaluate(WIDER)]
    assert not found, "\n".join(found)


def test_the_judges_see_what_is_wrong(house: House, visit: Visit) -> None:
    page = visit(path="/login/", viewport={"width": 320, "height": 900})
    page.evaluate(AXE)
    assert judged(page) == page.evaluate(WIDER) == []
    page.evaluate(SPOIL)
    assert {line.split(":")[0] for line in judged(page)} >= {"label", "image-alt"}
    assert page.evaluate(WIDER)


@pytest.mark.screens
def test_take_pictures(name: str, opened: Page) -> None:
    """Write var/screens/<state>-<width>-<scheme>.png, as tall as the page is."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    for width, scheme in LOOKS:
        opened.emulate_media(color_scheme=scheme)
        opened.set_viewport_size({"width": width, "height": 800})
        tall = opened.evaluate("document.documentElement.scrollHeight")
        opened.set_viewport_size({"width": width, "height": max(800, tall)})
        opened.evaluate(PAINTED)
        opened.screenshot(path=PICTURES / f"{name}-{width}-{scheme}.png")
