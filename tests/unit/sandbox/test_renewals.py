"""What is paid for runs out or is renewed, by virtual time; only a person switches a domain's renewal."""

from __future__ import annotations

from typing import Any

import pytest

from integrations.sandbox import Request
from integrations.sandbox.control import handle
from integrations.sandbox.zapmail_world import set_auto_renew, top_up

from .kit import DAY, Box

NAME = "getexamplebrand.com"


@pytest.fixture
def workspace(box: Box) -> str:
    return box.workspace()


@pytest.fixture
def box() -> Box:
    return Box()


def row(box: Box, workspace: str) -> dict[str, Any]:
    box.sandbox.run_due()
    found: dict[str, Any] = box.domains(workspace)[NAME]
    return found


def spent_on_renewals(box: Box) -> int:
    return -sum(entry.cents for entry in box.sandbox.world.zapmail.ledger if entry.kind == "renewal")


def test_a_domain_renews_itself_from_the_wallet_each_year(box: Box, workspace: str) -> None:
    box.active_domain(workspace)
    before = row(box, workspace)["expireOn"]
    box.clock.advance(2 * 366 * DAY)
    after = row(box, workspace)
    assert (after["status"], after["autoRenew"]) == ("ACTIVE", True)
    assert int(after["expireOn"][:4]) - int(before[:4]) == 2
    assert spent_on_renewals(box) == 2 * 1299


def test_switched_off_it_expires_on_its_day_and_its_mailboxes_go(box: Box, workspace: str) -> None:
    box.active_mailboxes(workspace, "a", "b")
    set_auto_renew(box.sandbox.world, NAME, on=False)
    box.clock.advance(360 * DAY)
    assert row(box, workspace)["status"] == "ACTIVE"
    assert len(box.sandbox.world.zapmail.mailboxes) == 2
    box.clock.advance(6 * DAY)
    assert row(box, workspace)["status"] == "EXPIRED"
    assert not box.sandbox.world.zapmail.mailboxes
    assert spent_on_renewals(box) == 0


def test_a_wallet_that_is_short_on_the_day_lets_it_expire(box: Box, workspace: str) -> None:
    box.active_domain(workspace)
    left = sum(box.sandbox.world.zapmail.wallets.values())
    top_up(box.sandbox.world, -left, box.clock.now())
    box.clock.advance(366 * DAY)
    assert row(box, workspace)["status"] == "EXPIRED"


def test_whether_an_expired_domain_stays_listed_is_a_switch(box: Box, workspace: str) -> None:
    box.sandbox.switches.set(zapmail_expired_domain="gone", zapmail_auto_renew="off")
    box.active_domain(workspace)
    box.clock.advance(366 * DAY)
    assert box.domains(workspace) == {}


def test_what_the_list_says_of_renewal_is_a_switch(box: Box, workspace: str) -> None:
    box.sandbox.switches.set(zapmail_auto_renew="unsaid")
    box.active_domain(workspace)
    assert "autoRenew" not in row(box, workspace)


def test_marked_mailboxes_go_at_their_renewal_and_the_others_stay(box: Box, workspace: str) -> None:
    ids = box.active_mailboxes(workspace, "a", "b")
    box.sandbox.world.zapmail.mailboxes[ids[0]].scheduled_for_removal = True
    box.clock.advance(25 * DAY)
    row(box, workspace)
    assert set(box.sandbox.world.zapmail.mailboxes) == set(ids)
    box.clock.advance(6 * DAY)
    row(box, workspace)
    assert set(box.sandbox.world.zapmail.mailboxes) == {ids[1]}


def test_an_operator_switches_renewal_by_the_control_plane(box: Box, workspace: str) -> None:
    box.active_domain(workspace)

    def control(body: bytes) -> int:
        return handle(box.sandbox, Request.to("POST", "/renewal", headers={}, body=body)).status

    assert control(b'{"domain": "getexamplebrand.com", "on": false}') == 200
    assert row(box, workspace)["autoRenew"] is False
    assert control(b'{"domain": "nobody.com", "on": false}') == 400
    assert control(b'{"domain": "getexamplebrand.com"}') == 400
