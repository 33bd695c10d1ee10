"""What the operator's credentials may do is asked before going live: right by right, for nothing, and without a secret."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from io import StringIO
from smtplib import SMTPAuthenticationError
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import override_settings

from billing import gateway
from config.env import SANDBOX_CREDENTIALS
from config.management.commands import check_platforms
from infra.models import OperatorItem
from integrations.http.errors import BadCredentials
from integrations.registry import PLATFORMS
from integrations.sandbox.cloudflare_world import add_zone
from provisioning import rights
from provisioning.models import Circuit

from .world import SETTINGS, World, new_world

pytestmark = pytest.mark.django_db

EVERYTHING = ["zapmail", "forge", "workspace"]


class Prices:
    """Stripe, which takes our key or does not."""

    def __init__(self, error: BadCredentials | None = None) -> None:
        self.error = error

    def prices(self, _keys: Any) -> list[Any]:
        if self.error:
            raise self.error
        return []


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    made = new_world()
    add_zone(made.sandbox.world, "acme.com", made.sandbox.clock.now())
    monkeypatch.setattr(check_platforms, "default_workshop", lambda: made.workshop)
    monkeypatch.setattr(check_platforms, "prepare", lambda: None)
    monkeypatch.setattr(gateway, "current", Prices)
    return made


@pytest.fixture(autouse=True)
def sandbox_settings() -> Iterator[None]:
    with override_settings(PLATFORMS=SETTINGS, ENABLED_STACKS=EVERYTHING):
        yield


def said() -> str:
    out = StringIO()
    try:
        call_command("check_platforms", stdout=out, no_color=True)
    except CommandError as error:
        return f"{out.getvalue()}{error}"
    return out.getvalue()


def test_every_platform_has_its_rights_and_says_what_no_read_shows() -> None:
    slugs = {row.slug for row in PLATFORMS}
    assert set(rights.READS) == slugs == set(rights.UNSEEN)


def test_with_good_credentials_everything_works_and_nothing_is_changed(world: World) -> None:
    before = len(world.sandbox.log)
    text = said()
    assert "Nothing is wrong." in text
    assert "  wrong  " not in text
    for line in (
        "Cloudflare",
        "  works  read a zone's records",
        "  works  admin.directory.user",
        "  works  read prices",
    ):
        assert line in text.splitlines()
    assert {entry.method for entry in list(world.sandbox.log)[before:] if entry.verb != "access_token"} <= {
        "GET",
        "POST",
    }
    assert all(not entry.items for entry in list(world.sandbox.log)[before:] if entry.method != "GET")


def test_a_right_that_is_missing_is_named_alone(world: World) -> None:
    scopes = "admin.directory.user admin.directory.domain siteverification gmail.settings.basic"
    world.sandbox.switches.set(google_workspace_scopes=scopes)
    text = said()
    assert "  works  admin.directory.domain" in text
    assert [line.split(":")[0] for line in text.splitlines() if "  wrong  " in line] == ["  wrong  apps.licensing"]
    assert text.endswith("1 of these do not work.")


def test_a_refused_key_is_said_without_it_and_stops_nobody_else(world: World) -> None:
    world.sandbox.faults.add("key_revoked", platform="smartlead")
    text = said()
    assert "  wrong  list accounts: smartlead.list_accounts [401]" in text
    for name, secret in SANDBOX_CREDENTIALS.items():
        assert secret not in text or name in ("CLOUDFLARE_ACCOUNT_ID", "GOOGLE_WORKSPACE_ADMIN")
    assert not Circuit.objects.filter(is_open=True).exists()
    assert not OperatorItem.objects.exists()


def test_a_platform_that_does_not_answer_is_said(world: World) -> None:
    world.sandbox.faults.add("refuse", platform="cloudflare")
    assert said().count("  wrong  ") == 2


def test_what_a_new_account_holds_nothing_to_try_with_is_open_and_not_wrong(world: World) -> None:
    world.sandbox.world.cloudflare.zones.clear()
    text = said()
    assert "  open   read a zone's records: the account has no zone yet" in text
    assert text.rstrip().endswith("Nothing is wrong. 1 could not be tried.")


def test_the_workspace_of_the_agency_has_to_be_among_those_of_the_key(world: World) -> None:
    with override_settings(PLATFORMS=SETTINGS):
        settings = replace(world.workshop.clients.plusvibe.settings, agency_workspace_id="another")
        world.workshop.clients.plusvibe.settings = settings
        assert "  wrong  see the agency's workspace: the key does not cover" in said()


def test_a_key_that_stripe_refuses_is_said(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    refused = BadCredentials("no such key", platform="stripe", verb="prices", status=401)
    monkeypatch.setattr(gateway, "current", lambda: Prices(refused))
    assert "  wrong  read prices: stripe.prices [401]" in said()


def test_a_mail_server_that_lets_nobody_in_is_said(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    class Server:
        def open(self) -> None:
            raise SMTPAuthenticationError(535, b"no such password as s3cret")

    monkeypatch.setattr(check_platforms, "get_connection", Server)
    text = said()
    assert "  wrong  log in where letters are sent: SMTPAuthenticationError" in text
    assert "s3cret" not in text


@override_settings(ENABLED_STACKS=["zapmail"])
def test_platforms_of_stacks_that_are_not_enabled_are_left_alone(world: World) -> None:
    said()
    assert {entry.platform for entry in world.sandbox.log} == {"zapmail", "plusvibe", "heyreach"}


@override_settings(PLATFORMS={**SETTINGS, "SMARTLEAD_API_KEY": "", "GOOGLE_WORKSPACE_ADMIN": ""})
def test_where_students_bring_their_own_account_none_of_the_operators_is_asked_for(world: World) -> None:
    text = said()
    assert text.count("left out: no account of yours") == 2
    assert "Nothing is wrong." in text
