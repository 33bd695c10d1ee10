"""The operator's console in a real browser: within the content security policy, and accessible by axe's rules."""

from __future__ import annotations

from typing import Literal

import pytest
from django.urls import reverse
from playwright.sync_api import expect

from infra.models import Tier, User
from tests.integration.test_admin import change, looks_failed, verb

from .conftest import Visit
from .house import House
from .test_states import AXE, JUDGE, TAGS

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser-admin")]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_console_is_accessible_and_keeps_its_policy(
    house: House, visit: Visit, scheme: Literal["light", "dark"]
) -> None:
    olive = User.objects.create_superuser("olive@ops.example", "pw")
    run = looks_failed()
    pages = [
        "/admin/",
        "/admin/provisioning/run/",
        "/admin/infra/user/",
        change(run),
        change(run.provision),
        reverse("admin:infra_provision_money", args=[run.provision.pk]),
        reverse("admin:infra_provision_money_all"),
        change(run.student),
        change(Tier.objects.all()[0]),
        verb(run, "retry"),
        verb(run.steps.get(key="mailboxes_active", mailbox__address="ada@getacme.com"), "by_hand"),
    ]
    page = visit(olive, pages[0], color_scheme=scheme)
    found = {}
    for address in pages:
        page.goto(house.site + address)
        page.evaluate(AXE)
        found[address] = page.evaluate(JUDGE, TAGS)
    assert {address: problems for address, problems in found.items() if problems} == {}


def test_a_failed_run_is_retried_by_its_buttons(house: House, visit: Visit) -> None:
    olive = User.objects.create_superuser("olive@ops.example", "pw")
    run = looks_failed()
    page = visit(olive, change(run))

    page.get_by_role("link", name="Retry failed step").click()
    expect(page.get_by_text("3 of 3 domains are bought and will not be bought again.")).to_be_visible()
    page.get_by_label("Reason").fill("the platform has mended it")
    page.get_by_role("button", name="Retry").click()

    expect(page.get_by_text("6 steps are tried again.")).to_be_visible()
    expect(page.get_by_text("an automatic attempt is due")).to_be_visible()
