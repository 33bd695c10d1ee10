"""One browser and one running product for all tests of this folder; a new context per visitor."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Any, Protocol

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright
from pytest_django.plugin import DjangoDbBlocker

from infra.models import User
from tests import harness

from .chromium import launch
from .house import House, open_house
from .watch import Watch

PATIENCE = 10_000  # milliseconds until something expected counts as missing


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the pictures to `make screens`."""
    if os.environ.get("GTM_SCREENS") != "1":
        config.hook.pytest_deselected(items=[item for item in items if item.get_closest_marker("screens")])
        items[:] = [item for item in items if not item.get_closest_marker("screens")]


class Visit(Protocol):
    """Opens a page in a new context, for somebody who has signed in or for nobody."""

    def __call__(self, person: User | None = None, path: str = "", **options: Any) -> Page: ...


@pytest.fixture(scope="package")
def chromium() -> Iterator[Browser]:
    """A real Chromium. It ends with this package: Playwright keeps an event loop, which Django's other tests refuse."""
    with pytest.MonkeyPatch.context() as patch, sync_playwright() as playwright:
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")
        running = launch(playwright)
        yield running
        running.close()


@pytest.fixture(scope="package")
def opened_house(chromium: Browser, django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[House]:
    harness.collect_static_files()
    with django_db_blocker.unblock(), open_house() as house:
        yield house


@pytest.fixture(scope="module")
def shared_house(opened_house: House) -> House:
    """The product, emptied once for the module."""
    opened_house.empty()
    return opened_house


@pytest.fixture
def house(opened_house: House) -> House:
    """The product, emptied for this test."""
    opened_house.empty()
    return opened_house


@contextlib.contextmanager
def open_context(chromium: Browser, house: House, **options: Any) -> Iterator[tuple[BrowserContext, Watch]]:
    """A browser of its own, watched. Nothing moves in it, so that no colour is judged half way to the next."""
    values = {"viewport": {"width": 1280, "height": 900}, "reduced_motion": "reduce", "locale": "en-US"}
    context = chromium.new_context(**values | options)
    context.set_default_timeout(PATIENCE)
    try:
        yield context, Watch(context, ours=[house.site, house.sandbox_url])
    finally:
        context.close()


@pytest.fixture
def visit(chromium: Browser, opened_house: House) -> Iterator[Visit]:
    """Open pages; at the end of the test none of them may have done what no page may."""
    with contextlib.ExitStack() as undo:
        watches: list[Watch] = []

        def open_page(person: User | None = None, path: str = "", **options: Any) -> Page:
            context, watch = undo.enter_context(open_context(chromium, opened_house, **options))
            watches.append(watch)
            if person is not None:
                opened_house.admit(context, person)
            page = context.new_page()
            if path:
                page.goto(opened_house.site + path)
            return page

        yield open_page
    for watch in watches:
        watch.assert_clean()
