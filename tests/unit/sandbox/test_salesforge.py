"""Section 6 of platforms/salesforge.md, "What the sandbox must reproduce": each heading below is one of its lines."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest

from integrations.sandbox import Request, Response, Wire, mailhost, salesforge
from tests.unit.sandbox.kit import HOUR, SALESFORGE, Box

ADDRESS = "sam@getexamplebrand.com"
OTHER = "kim@getexamplebrand.com"
PASSWORD = "Sam-and-nobody-else-1"
KEY = "sandbox-salesforge-key"


@pytest.fixture
def box() -> Box:
    box = Box()
    for address in (ADDRESS, OTHER):
        mailhost.set_password(box.sandbox.world, address, PASSWORD, box.clock.now())
    return box


@pytest.fixture
def workspace(box: Box) -> str:
    return make_workspace(box)


def make_workspace(box: Box, name: str = "Sample Student GTM-7K3F9Q") -> str:
    answer = box.salesforge("POST", "/workspaces", {"name": name})
    assert answer.status == 201
    return str(answer.json()["id"])


def door(password: str = PASSWORD, **changes: Any) -> dict[str, Any]:
    return {"host": "mx1.example", "port": 465, "username": ADDRESS, "password": password, **changes}


def connect(box: Box, workspace: str, address: str = ADDRESS, **changes: Any) -> Response:
    body = {"address": address, "firstName": "Sam", "lastName": "Sample", "smtp": door(), "imap": door(), **changes}
    return box.salesforge("POST", f"/workspaces/{workspace}/mailboxes", body)


def connected(box: Box, workspace: str, address: str = ADDRESS) -> str:
    """Connect a mailbox, wait until it is active, and return its id."""
    answer = connect(box, workspace, address)
    assert answer.status == 201, answer.body
    box.sandbox.advance(HOUR)
    return str(answer.json()["id"])


def listed(box: Box, workspace: str, *pairs: tuple[str, object]) -> dict[str, Any]:
    answer = box.salesforge("GET", f"/workspaces/{workspace}/mailboxes?{urlencode(pairs)}")
    assert answer.status == 200, answer.body
    return dict(answer.json())


def row(box: Box, workspace: str, mailbox: str) -> dict[str, Any]:
    return dict(box.salesforge("GET", f"/workspaces/{workspace}/mailboxes/{mailbox}").json())


def arrive(box: Box, workspace: str, address: str = ADDRESS, tag: str = "GTM-7K3F9Q") -> Any:
    names = {"first_name": "Sam", "last_name": "Sample", "tag": tag}
    return salesforge.arrive(box.sandbox.world, box.clock.now(), workspace_id=workspace, address=address, **names)


# --- 401 with Bearer; list envelope with default limit 10; bracket filters; 400 on unknown query names (switch) --


def test_the_key_goes_bare(box: Box) -> None:
    assert box.salesforge("GET", "/me").json() == {"accountId": "acc_000000000002", "apiKeyName": "sandbox"}
    for key in ("", f"Bearer {KEY}", "another"):
        answer = box.salesforge("GET", "/me", key=key)
        assert (answer.status, answer.json()) == (401, {"message": "invalid api key", "data": None})
    box.sandbox.faults.add("key_revoked", platform="salesforge")
    assert box.salesforge("GET", "/me").status == 401


def test_a_forgotten_limit_loses_rows(box: Box, workspace: str) -> None:
    for number in range(12):
        arrive(box, workspace, f"box{number}@getexamplebrand.com")
    page = listed(box, workspace)
    assert (len(page["data"]), page["limit"], page["offset"], page["total"]) == (10, 10, 0, 12)
    assert len(listed(box, workspace, ("limit", 100))["data"]) == 12
    assert len(listed(box, workspace, ("limit", 10), ("offset", 10))["data"]) == 2
    box.sandbox.switches.set(salesforge_page_most=5)
    assert listed(box, workspace, ("limit", 100))["limit"] == 5


def test_filters_are_names_in_brackets_once_for_each_value(box: Box, workspace: str) -> None:
    mailhost.set_password(box.sandbox.world, "lee@getexamplebrand.com", PASSWORD, box.clock.now())
    for name in ("sam", "kim", "lee"):
        arrive(box, workspace, f"{name}@getexamplebrand.com", tag=name)
    box.sandbox.advance(HOUR)

    def found(*pairs: tuple[str, object]) -> list[str]:
        return [one["address"].partition("@")[0] for one in listed(box, workspace, *pairs)["data"]]

    assert found(("addresses[]", ADDRESS.upper()), ("addresses[]", OTHER)) == ["sam", "kim"]
    assert found(("statuses[]", "active"), ("search", "LEE")) == ["lee"]
    assert found(("statuses[]", "pending"), ("statuses[]", "access_lost")) == []
    ids = {one["address"]: one["id"] for one in listed(box, workspace)["data"]}
    assert found(("mailbox_ids[]", ids[ADDRESS])) == ["sam"]
    assert found(("excluded_mailbox_ids[]", ids[ADDRESS])) == ["kim", "lee"]
    tags = {one["name"]: one["id"] for one in box.salesforge("GET", f"/workspaces/{workspace}/tags").json()["data"]}
    assert found(("tag_ids[]", tags["kim"])) == ["kim"]
    assert found(("not_tag_ids[]", tags["kim"])) == ["sam", "lee"]


def test_unknown_query_names_are_refused_by_switch(box: Box, workspace: str) -> None:
    place = f"/workspaces/{workspace}/mailboxes"
    assert box.salesforge("GET", place, addresses=ADDRESS).status == 400
    assert box.salesforge("GET", "/workspaces", page=1).status == 400
    box.sandbox.switches.set(salesforge_unknown_query="ignore")
    assert box.salesforge("GET", place, addresses=ADDRESS).status == 200


def test_a_workspace_made_twice_is_there_twice_and_nothing_deletes_it(box: Box, workspace: str) -> None:
    assert make_workspace(box) != workspace
    assert box.salesforge("GET", f"/workspaces/{workspace}").json()["name"] == "Sample Student GTM-7K3F9Q"
    assert box.salesforge("DELETE", f"/workspaces/{workspace}").status == 404
    assert box.salesforge("POST", "/workspaces", {"name": "x" * 101}).status == 400


# --- Connect: tests both logins; bad login 400 and no row; success 201 pending, later active or access_lost --


def test_success_is_pending_and_then_active(box: Box, workspace: str) -> None:
    answer = connect(box, workspace)
    made = answer.json()
    assert (answer.status, made["status"], made["dailyEmailLimit"]) == (201, "pending", 30)
    assert not [name for name in made if "warm" in name.lower() or "password" in name.lower()]
    box.sandbox.advance(HOUR)
    assert row(box, workspace, made["id"])["status"] == "active"


@pytest.mark.parametrize("wrong", ["smtp", "imap"])
def test_a_login_that_fails_leaves_nothing_behind(box: Box, workspace: str, wrong: str) -> None:
    doors: dict[str, Any] = {wrong: door("not the one")}
    answer = connect(box, workspace, **doors)
    assert (answer.status, answer.json()["message"].partition(" ")[0]) == (400, wrong.upper())
    assert listed(box, workspace)["total"] == 0


def test_a_mailbox_may_lose_access_before_it_was_ever_active(box: Box, workspace: str) -> None:
    mailbox = connect(box, workspace).json()["id"]
    mailhost.set_password(box.sandbox.world, ADDRESS, "a-new-one", box.clock.now())
    box.sandbox.advance(HOUR)
    seen = row(box, workspace, mailbox)
    assert (seen["status"], bool(seen["disconnectReason"])) == ("access_lost", True)


@pytest.mark.parametrize(
    "wrong",
    [
        {"address": ""}, {"firstName": None}, {"smtp": None}, {"imap": "mx1.example"}, {"smtp": door(port=0)},
        {"smtp": door(port=65_536)}, {"imap": door(username="")}, {"imap": door(host=None)},
    ],
)  # fmt: skip
def test_every_field_of_both_doors_is_demanded(box: Box, workspace: str, wrong: dict[str, Any]) -> None:
    assert connect(box, workspace, **wrong).status == 400


# --- 409 while connecting; address held by another workspace: 400 (default) or 409 (switch) --


def test_an_address_that_is_being_connected_is_a_conflict(box: Box, workspace: str) -> None:
    connect(box, workspace)
    assert connect(box, workspace).status == 409
    assert listed(box, workspace)["total"] == 1


@pytest.mark.parametrize("status", [400, 409])
def test_an_address_of_another_workspace(box: Box, workspace: str, status: int) -> None:
    box.sandbox.switches.set(salesforge_other_workspace=status)
    connected(box, workspace)
    assert connect(box, make_workspace(box, "Another GTM-8L4G0R")).status == status


@pytest.mark.parametrize(("rule", "status"), [("409", 409), ("400", 400), ("same", 200)])
def test_an_address_that_is_connected_already(box: Box, workspace: str, rule: str, status: int) -> None:
    box.sandbox.switches.set(salesforge_same_workspace=rule)
    mailbox = connected(box, workspace)
    answer = connect(box, workspace)
    assert (answer.status, answer.json().get("id") == mailbox) == (status, rule == "same")
    assert listed(box, workspace)["total"] == 1


# --- dailyEmailLimit above the cap 400 on connect, outside 1-100 on PATCH --


def test_the_daily_limit_has_a_cap(box: Box, workspace: str) -> None:
    box.sandbox.switches.set(salesforge_daily_cap=50)
    assert connect(box, workspace, dailyEmailLimit=51).status == 400
    assert connect(box, workspace, dailyEmailLimit=50).json()["dailyEmailLimit"] == 50


@pytest.mark.parametrize(("limit", "status", "kept"), [(1, 200, 1), (100, 200, 100), (0, 400, 30), (101, 400, 30)])
def test_the_daily_limit_is_changed_within_its_bounds(
    box: Box, workspace: str, limit: int, status: int, kept: int
) -> None:
    mailbox = connected(box, workspace)
    answer = box.salesforge("PATCH", f"/workspaces/{workspace}/mailboxes/{mailbox}", {"dailyEmailLimit": limit})
    assert (answer.status, row(box, workspace, mailbox)["dailyEmailLimit"]) == (status, kept)


# --- Arrival from the InfraForge export with tag, missing for some addresses, doubled (switch); OAuth link --


def test_an_exported_mailbox_appears_with_its_tag(box: Box, workspace: str) -> None:
    first = arrive(box, workspace)
    assert arrive(box, workspace) is first
    assert arrive(box, make_workspace(box, "Another GTM-8L4G0R")) is None
    assert arrive(box, "wks_unknown", OTHER) is None
    assert listed(box, workspace)["data"][0]["status"] == "pending"
    box.sandbox.advance(HOUR)
    (seen,) = box.sandbox.state()["salesforge"]["mailboxes"]
    assert (seen["email"], seen["status"], seen["tags"], seen["via"]) == (ADDRESS, "active", ["GTM-7K3F9Q"], "export")


def test_a_mailbox_exported_before_it_had_a_password_never_opens(box: Box, workspace: str) -> None:
    mailbox = arrive(box, workspace, "late@getexamplebrand.com").id
    mailhost.set_password(box.sandbox.world, "late@getexamplebrand.com", PASSWORD, box.clock.now())
    box.sandbox.advance(HOUR)
    assert row(box, workspace, mailbox)["status"] == "access_lost"


def test_some_never_arrive_and_others_arrive_twice(box: Box, workspace: str) -> None:
    box.sandbox.switches.set(salesforge_export="doubled")
    box.sandbox.faults.add("accounts_lost", platform="salesforge", items=(OTHER,))
    arrive(box, workspace)
    arrive(box, workspace, OTHER)
    rows = listed(box, workspace)["data"]
    assert [one["address"] for one in rows] == [ADDRESS, ADDRESS]
    assert len({one["id"] for one in rows}) == 2


def consent(box: Box, workspace: str, **form: str) -> tuple[str, dict[str, str]]:
    """Ask for a consent page, answer it as a person would, and return where the browser goes."""
    body = {"provider": "google", "redirectUrl": "https://gtm.example.com/back?order=7", "email": ADDRESS}
    url = box.salesforge("POST", f"/workspaces/{workspace}/mailboxes/oauth-link", body).json()["url"]
    page = box.sandbox.handle(Request.to("GET", url))
    assert (page.status, ADDRESS in page.body.decode()) == (200, True)
    answer = box.sandbox.handle(Request.to("POST", url, body=urlencode(form).encode()))
    assert answer.status == 303
    assert box.sandbox.handle(Request.to("GET", url)).status == 404
    return answer.headers["location"].partition("?")[0], dict(parse_qsl(urlsplit(answer.headers["location"]).query))


def test_a_consent_connects_the_address_that_was_given_not_the_one_that_was_asked_for(box: Box, workspace: str) -> None:
    place, words = consent(box, workspace, answer="allow", email="Other@getexamplebrand.com")
    assert (place, words["order"], words["address"]) == (
        "https://gtm.example.com/back",
        "7",
        "other@getexamplebrand.com",
    )
    box.sandbox.advance(HOUR)
    seen = row(box, workspace, words["mailboxId"])
    assert (seen["mailboxProvider"], seen["status"]) == ("gmail", "active")


def test_a_consent_that_is_denied_connects_nothing(box: Box, workspace: str) -> None:
    _, words = consent(box, workspace, answer="deny")
    assert (words["connection_status"], words["error"]) == ("failed", "access_denied")
    assert listed(box, workspace)["total"] == 0


@pytest.mark.parametrize("url", ["http://x.example/", "https://x.example/#a", "https://u@x.example/", "/back", ""])
def test_a_consent_leads_back_to_a_plain_https_address_only(box: Box, workspace: str, url: str) -> None:
    body = {"provider": "google", "redirectUrl": url}
    assert box.salesforge("POST", f"/workspaces/{workspace}/mailboxes/oauth-link", body).status == 400


@pytest.mark.parametrize(("reaches", "there"), [("by_export", 0), ("always", 1)])
def test_whether_a_connected_mailbox_reaches_warmforge_by_itself(
    box: Box, workspace: str, reaches: str, there: int
) -> None:
    box.sandbox.switches.set(salesforge_reaches_warmforge=reaches)
    for name in ("Sample Student GTM-7K3F9Q", "Another GTM-8L4G0R"):
        box.warmforge("POST", "/workspaces", {"name": name})
    connect(box, workspace)
    assert len(box.sandbox.state()["warmforge"]["mailboxes"]) == there


# --- Deleted mailboxes still listed with status deleted (switch) --


@pytest.mark.parametrize(("rule", "rows", "status"), [("listed", 1, 200), ("gone", 0, 404)])
def test_a_deleted_mailbox(box: Box, workspace: str, rule: str, rows: int, status: int) -> None:
    box.sandbox.switches.set(salesforge_deleted=rule)
    mailbox = connected(box, workspace)
    place = f"/workspaces/{workspace}/mailboxes/{mailbox}"
    answer = box.salesforge("DELETE", place)
    assert (answer.status, answer.body) == (204, b"")
    assert [one["status"] for one in listed(box, workspace)["data"]] == ["deleted"] * rows
    assert box.salesforge("GET", place).status == status
    assert connected(box, workspace) != mailbox  # the address is free again


# --- Password changed at the provider -> access_lost after the next check; connection-settings heals it --


def test_new_passwords_heal_what_a_change_has_broken(box: Box, workspace: str) -> None:
    mailbox = connected(box, workspace)
    mailhost.set_password(box.sandbox.world, ADDRESS, "a-new-one", box.clock.now())
    assert row(box, workspace, mailbox)["status"] == "active"
    box.sandbox.advance(HOUR)
    assert row(box, workspace, mailbox)["status"] == "access_lost"
    place = f"/workspaces/{workspace}/mailboxes/{mailbox}/connection-settings"
    assert box.salesforge("PATCH", place, {"smtp": door(), "imap": door()}).status == 400
    assert box.salesforge("PATCH", place, {}).status == 400
    assert box.salesforge("PATCH", place, {"smtp": door("a-new-one")}).status == 204
    assert row(box, workspace, mailbox)["status"] == "access_lost"  # the other door kept its old one
    assert box.salesforge("PATCH", place, {"imap": door("a-new-one")}).status == 204
    assert row(box, workspace, mailbox)["status"] == "active"


# --- 402 and 403 switches; 500 after the mailbox was created; reply truncated --


def test_credits_may_be_used_up(box: Box, workspace: str) -> None:
    box.sandbox.switches.set(salesforge_credits="used_up")
    assert connect(box, workspace).status == 402
    assert listed(box, workspace)["total"] == 0


def test_workspaces_may_be_out_of_scope(box: Box, workspace: str) -> None:
    box.sandbox.switches.set(salesforge_scope="none")
    assert connect(box, workspace).status == 403
    assert box.salesforge("GET", "/me").status == 200


@pytest.mark.parametrize(("kind", "wire"), [("status_after", Wire.ANSWERED), ("truncated_body", Wire.TRUNCATED)])
def test_the_mailbox_may_be_there_although_the_answer_is_not(box: Box, workspace: str, kind: str, wire: Wire) -> None:
    box.sandbox.faults.add(kind, platform="salesforge", verb="connect_mailbox", items=(ADDRESS,), times=1)
    answer = connect(box, workspace)
    assert (answer.wire, answer.status) == (wire, 500 if kind == "status_after" else 201)
    assert listed(box, workspace, ("addresses[]", ADDRESS))["total"] == 1


# --- What every simulated platform owes --


def test_a_state_nobody_has_documented_and_a_lost_account(box: Box, workspace: str) -> None:
    mailbox = connected(box, workspace)
    box.sandbox.faults.add("unknown_status", platform="salesforge", times=1)
    assert [row(box, workspace, mailbox)["status"] for _ in range(2)] == ["frozen", "active"]
    box.sandbox.faults.add("account_disconnected", platform="salesforge", items=(ADDRESS,))
    assert row(box, workspace, mailbox)["status"] == "access_lost"


def test_lists_may_lag(box: Box, workspace: str) -> None:
    box.sandbox.faults.add("list_lag", platform="salesforge", seconds=60.0)
    connect(box, workspace)
    assert listed(box, workspace)["total"] == 0
    box.sandbox.advance(61)
    assert listed(box, workspace)["total"] == 1


def test_the_log_and_the_state_name_what_a_request_was_about_and_no_password(box: Box, workspace: str) -> None:
    connect(box, workspace)
    listed(box, workspace, ("addresses[]", ADDRESS), ("addresses[]", OTHER))
    entries = [(entry.verb, entry.items, entry.student_ref) for entry in box.sandbox.log][-2:]
    assert entries[0] == ("connect_mailbox", (ADDRESS,), "GTM-7K3F9Q")
    assert entries[1] == ("list_mailboxes", (ADDRESS, OTHER), "GTM-7K3F9Q")
    assert box.sandbox.state()["salesforge"]["workspaces"] == [{"id": workspace, "name": "Sample Student GTM-7K3F9Q"}]
    assert PASSWORD not in str(box.sandbox.state()) + repr(box.sandbox.log.entries)


def test_limits_are_counted() -> None:
    box = Box(salesforge_per_second=1, salesforge_retry_after="seconds")
    answers = [box.salesforge("GET", "/me") for _ in range(2)]
    assert [answer.status for answer in answers] == [200, 429]
    assert int(answers[1].headers["retry-after"]) >= 1
    assert (
        box.sandbox.handle(Request.to("GET", f"{SALESFORGE}/consent/unknown")).status == 404
    )  # people are not counted
