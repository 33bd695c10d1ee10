"""The control plane: what operators and tests reach for, and what it refuses."""

from __future__ import annotations

import json
from typing import Any

import pytest

from integrations.sandbox import Request, control
from tests.unit.sandbox.kit import Box


@pytest.fixture
def box() -> Box:
    return Box()


def ask(box: Box, method: str, url: str, body: Any = None) -> tuple[int, Any]:
    content = b"" if body is None else json.dumps(body).encode()
    answer = control.handle(box.sandbox, Request.to(method, url, body=content))
    return answer.status, answer.json()


def test_healthz_says_that_it_is_simulated(box: Box) -> None:
    assert ask(box, "GET", "/healthz") == (200, {"ok": True, "simulated": True})


def test_state_shows_every_platform(box: Box) -> None:
    box.workspace()
    status, state = ask(box, "GET", "/state")
    assert status == 200
    assert {"zapmail", "plusvibe", "heyreach", "clock", "switches", "faults", "deliveries", "mail"} <= set(state)
    assert state["zapmail"]["workspaces"][1]["name"].endswith("GTM-7K3F9Q")


def test_the_log_is_read_from_a_number_on(box: Box) -> None:
    box.workspace("One")
    box.workspace("Two")
    _, answer = ask(box, "GET", "/log?since=1")
    assert (answer["count"], [entry["items"] for entry in answer["entries"]]) == (2, [["Two"]])
    assert ask(box, "GET", "/log?since=x")[0] == 400


def test_faults_are_added_removed_and_cleared(box: Box) -> None:
    _, answer = ask(box, "POST", "/faults", {"kind": "status", "platform": "zapmail", "status": 503})
    assert answer["faults"][0]["status"] == 503
    _, answer = ask(box, "POST", "/faults", {"add": [{"kind": "refuse", "times": 2}, {"kind": "html_body"}]})
    assert len(answer["faults"]) == 3
    _, answer = ask(box, "POST", "/faults", {"remove": answer["faults"][0]["id"]})
    assert len(answer["faults"]) == 2
    assert ask(box, "POST", "/faults", {"clear": True})[1] == {"faults": []}
    assert ask(box, "POST", "/faults", {"profile": "demo"})[1]["faults"]


@pytest.mark.parametrize("body", [{"kind": "gremlins"}, {"remove": 99}, {"add": "all"}, {"profile": "x"}, [1]])
def test_bad_faults_are_400_with_a_sentence(box: Box, body: Any) -> None:
    status, answer = ask(box, "POST", "/faults", body)
    assert (status, list(answer)) == (400, ["error"])


def test_switches_are_set_and_listed_with_their_positions(box: Box) -> None:
    _, answer = ask(box, "POST", "/switches", {"zapmail_wallet": "workspace"})
    assert answer["switches"]["zapmail_wallet"] == "workspace"
    assert ask(box, "GET", "/switches")[1]["positions"]["zapmail_wallet"] == ["account", "workspace"]
    assert ask(box, "POST", "/switches", {"zapmail_wallet": "pocket"})[0] == 400


def test_the_clock_advances_and_what_is_due_happens(box: Box) -> None:
    workspace = box.workspace()
    box.buy(workspace, "getexamplebrand.com")
    before = box.clock.now()
    _, answer = ask(box, "POST", "/clock", {"advance": 1200})
    assert answer["virtual"] == before + 1200
    assert box.sandbox.state()["zapmail"]["domains"][0]["status"] == "ACTIVE"
    for wrong in (-1, "soon", True, None):
        assert ask(box, "POST", "/clock", {"advance": wrong})[0] == 400


def test_the_wallet_is_topped_up_and_emptied_but_never_below_nothing(box: Box) -> None:
    assert ask(box, "POST", "/wallet", {"cents": 100})[1] == {"wallets": {"account": 500_100}}
    assert ask(box, "POST", "/wallet", {"cents": -500_100})[1] == {"wallets": {"account": 0}}
    assert ask(box, "POST", "/wallet", {"cents": -1})[0] == 400
    assert ask(box, "POST", "/wallet", {"cents": 1.5})[0] == 400


def test_a_workspace_s_own_wallet_is_topped_up_by_name() -> None:
    box = Box(zapmail_wallet="workspace")
    workspace = box.workspace()
    ask(box, "POST", "/wallet", {"cents": 700, "workspace": workspace})
    assert box.sandbox.state()["zapmail"]["wallets"][workspace] == 700
    assert ask(box, "POST", "/wallet", {"cents": 700, "workspace": "no-such"})[0] == 400


def test_an_open_order_is_paid_by_card_once(box: Box) -> None:
    box.buy(box.workspace(), "getexamplebrand.com", wallet=False)
    order = next(iter(box.sandbox.world.zapmail.orders))
    assert ask(box, "POST", "/orders", {"pay": order}) == (200, {"paid": order})
    assert ask(box, "POST", "/orders", {"pay": order})[0] == 400


def test_logins_are_checked_without_being_shown(box: Box) -> None:
    made = box.sending_workspace()
    email, password = box.login_for(made)
    assert ask(box, "POST", "/logins", {"email": email, "password": password})[1] == {"workspaces": [made]}
    assert ask(box, "POST", "/logins", {"email": email, "password": "no"})[1] == {"workspaces": None}


def test_an_owner_puts_a_record_into_the_zone_of_a_domain(box: Box) -> None:
    record = {"domain": "acme.com", "type": "TXT", "name": "shop.acme.com", "content": "the owner's own"}
    assert ask(box, "POST", "/zone", record)[0] == 200
    assert ask(box, "POST", "/zone", record | {"name": "acme.com"})[0] == 200
    (zone,) = box.sandbox.state()["cloudflare"]["zones"]
    assert [(one["name"], one["comment"]) for one in zone["records"]] == [("shop.acme.com", None), ("acme.com", None)]


@pytest.mark.parametrize("wrong", [{"domain": "x"}, {"name": "shop.other.com"}, {"type": "MX"}, {"content": ""}])
def test_a_record_that_no_zone_could_hold_is_refused(box: Box, wrong: dict[str, str]) -> None:
    record = {"domain": "acme.com", "type": "TXT", "name": "shop.acme.com", "content": "the owner's own"}
    assert ask(box, "POST", "/zone", record | wrong)[0] == 400
    assert box.sandbox.state()["cloudflare"]["zones"] == []


def test_quotas_and_reset(box: Box) -> None:
    box.workspace()
    assert ask(box, "GET", "/quotas")[1]["windows"][0]["platform"] == "zapmail"
    assert ask(box, "POST", "/reset")[0] == 200
    assert len(box.sandbox.state()["zapmail"]["workspaces"]) == 1


def test_an_unknown_path_names_the_known_ones(box: Box) -> None:
    status, answer = ask(box, "GET", "/nowhere")
    assert status == 404
    assert "GET /state" in answer["paths"]
