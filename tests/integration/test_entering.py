"""The operator's page for what no call can make: several lines at once, nothing lost where one of them is wrong."""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from infra.models import Domain, OperatorItem, User
from integrations.sandbox.google_world import generate_key
from provisioning import actions, entering
from provisioning.models import Event, Run

from . import people
from .pages import text
from .stories.kit import World, make_order, make_world

pytestmark = pytest.mark.django_db

NAME = "getacme.com"


@pytest.fixture
def console(client: Client) -> Client:
    client.force_login(User.objects.create_superuser("olive@ops.example", "pw"))
    return client


def asks_for_a_key() -> tuple[World, Run]:
    """Return an order that waits for a person to make its domain's key."""
    world = make_world(switches={"google_workspace_dkim_wait_seconds": (0.0, 0.0)})
    provision = make_order(tier="own-domains")
    actions.freeze_order(provision=provision, actor="test")
    run = actions.start_run(provision=provision, actor="test", paid_at=timezone.now())
    world.people = [people.own_domains_are_delegated]
    world.run_until(lambda: bool(entering.asked(run)), hours=240)
    run.refresh_from_db()
    return world, run


def page_of(run: Run) -> str:
    return reverse("admin:provisioning_run_enter", args=[run.pk])


def test_a_key_is_entered_on_the_page_of_the_run_and_the_run_goes_on_with_it(console: Client) -> None:
    world, run = asks_for_a_key()
    assert OperatorItem.objects.filter(kind="step", resolved_at__isnull=True).exists()
    page = text(console.get(page_of(run)))
    assert "Authenticate email" in page
    assert NAME in page

    wrong = console.post(page_of(run), {"dkim_keys": f"{NAME} v=DKIM1; p=nonsense"})
    assert wrong.status_code == 422
    assert "Line 1" in text(wrong)
    assert "v=DKIM1; p=nonsense" in wrong.content.decode()
    assert "dkim_record" not in Domain.objects.get(name=NAME).facts

    key = generate_key(world.sandbox.world, NAME, world.sandbox.clock.now()).txt
    answer = console.post(page_of(run), {"dkim_keys": f'{NAME}, "{key}"'}, follow=True)
    assert "1 line is entered." in text(answer)
    again = console.post(page_of(run), {"dkim_keys": f"{NAME} {key}"}, follow=True)
    assert "Nothing has to be entered at the moment." in text(again)
    assert Event.objects.filter(kind="entered", item=NAME).count() == 1

    world.run_until(lambda: run.steps.filter(key="dkim_published", state="completed").exists(), hours=48)
    assert Domain.objects.get(name=NAME).state == "active"
    assert not OperatorItem.objects.filter(key__contains=":dkim_keys:", resolved_at__isnull=True).exists()


def test_a_line_without_a_value_is_left_for_later_and_no_value_at_all_is_said(console: Client) -> None:
    _world, run = asks_for_a_key()
    answer = console.post(page_of(run), {"dkim_keys": f"{NAME} \n"})
    assert answer.status_code == 422
    assert "Nothing was entered." in text(answer)


def test_somebody_without_the_right_cannot_enter_anything(client: Client) -> None:
    _world, run = asks_for_a_key()
    client.force_login(User.objects.create_user("eve@ops.example", "pw", is_staff=True))
    assert client.post(page_of(run), {"dkim_keys": f"{NAME} x"}).status_code == 403
