"""Section 6 of platforms/warmforge.md, "What the sandbox must reproduce": each heading below is one of its lines."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import pytest

from integrations.sandbox import Response, control, mailhost, warmforge
from integrations.sandbox.http import Request
from tests.unit.sandbox.kit import DAY, HOUR, Box

ADDRESS = "sam@getexamplebrand.com"
PASSWORD = "Sam-and-nobody-else-1"
KEY = "sandbox-warmforge-key"


@pytest.fixture
def box() -> Box:
    box = Box()
    mailhost.set_password(box.sandbox.world, ADDRESS, PASSWORD, box.clock.now())
    return box


@pytest.fixture
def workspace(box: Box) -> str:
    return make_workspace(box)


def make_workspace(box: Box, name: str = "Sample Student GTM-7K3F9Q") -> str:
    answer = box.warmforge("POST", "/workspaces", {"name": name})
    assert answer.status == 201
    return str(answer.json()["id"])


def connect(box: Box, workspace: str, address: str = ADDRESS, password: str = PASSWORD, **changes: Any) -> Response:
    doors = {
        f"{door}{name}": value
        for door in ("smtp", "imap")
        for name, value in (("Host", "mx1.example"), ("Port", 993), ("Username", address), ("Password", password))
    }
    body = {"address": address, "firstName": "Sam", "lastName": "Sample", **doors, "warmupEnabled": True, **changes}
    return box.warmforge("POST", f"/workspaces/{workspace}/mailboxes/connect-smtp", body)


def path(workspace: str, address: str = ADDRESS) -> str:
    return f"/workspaces/{workspace}/mailboxes/{quote(address, safe='')}"


def row(box: Box, workspace: str, address: str = ADDRESS) -> dict[str, Any]:
    answer = box.warmforge("GET", path(workspace, address))
    assert answer.status == 200, answer.body
    return dict(answer.json())


def stats(box: Box, workspace: str, days: int = 7, address: str = ADDRESS) -> list[dict[str, Any]]:
    today = datetime.fromtimestamp(box.clock.now(), UTC).date()
    span = {"from": (today - timedelta(days - 1)).isoformat(), "to": today.isoformat()}
    answer = box.warmforge("GET", f"{path(workspace, address)}/warmup/stats", **span)
    assert answer.status == 200, answer.body
    return list(answer.json()["stats"])


def inbox_share(rows: Iterable[dict[str, Any]], *names: str) -> float:
    found = [seen for one in rows for name, seen in one["providerStats"].items() if not names or name in names]
    primary, spam = (sum(one[name] for one in found) for name in ("primaryCount", "spamCount"))
    return float(100 * primary / (primary + spam))


# --- Both header forms accepted, switch raw only / bearer only; the two 401 sentences --


@pytest.mark.parametrize(("auth", "raw", "bearer"), [("both", 200, 200), ("raw", 200, 401), ("bearer", 401, 200)])
def test_the_key_is_taken_in_the_forms_that_the_switch_says(auth: str, raw: int, bearer: int) -> None:
    box = Box(warmforge_auth=auth)
    for key, status in ((KEY, raw), (f"Bearer {KEY}", bearer)):
        assert box.warmforge("GET", "/workspaces", key=key, page=1, page_size=25).status == status


def test_no_key_and_a_wrong_key_have_a_sentence_each(box: Box) -> None:
    for key, sentence in (("", "missing api key"), ("another", "invalid api key")):
        answer = box.warmforge("GET", "/workspaces", key=key, page=1, page_size=25)
        assert (answer.status, answer.json()) == (401, {"message": sentence})
    box.sandbox.faults.add("key_revoked", platform="warmforge")
    assert box.warmforge("GET", "/workspaces", page=1, page_size=25).status == 401


def test_each_answer_has_an_id(box: Box) -> None:
    ids = [box.warmforge("GET", "/workspaces", page=1, page_size=25).headers["x-request-id"] for _ in range(2)]
    assert ids[0] != ids[1]


# --- 400 when a paging parameter is missing; different envelopes per list; no total on mailboxes --


@pytest.mark.parametrize(
    "query", [{}, {"page": 1}, {"page_size": 25}, {"page": 1, "size": 25}, {"page": 1, "page_size": 101}]
)
def test_paging_is_demanded(box: Box, workspace: str, query: dict[str, Any]) -> None:
    for place in ("/workspaces", f"/workspaces/{workspace}/mailboxes"):
        assert box.warmforge("GET", place, **query).status == 400


def test_the_two_lists_have_envelopes_of_their_own(box: Box, workspace: str) -> None:
    for name in ("kim", "lee", "max"):
        connect(box, workspace, f"{name}@getexamplebrand.com")
    first = box.warmforge("GET", "/workspaces", page=1, page_size=25).json()
    assert set(first) == {"workspaces", "currentPage", "totalCount", "totalPages"}
    assert set(first["workspaces"][0]) == {"id", "name", "slug", "accountID"}
    page = box.warmforge("GET", f"/workspaces/{workspace}/mailboxes", page=2, page_size=2).json()
    assert (set(page), len(page["mailboxes"])) == ({"mailboxes", "page", "pageSize", "totalPages"}, 1)


def test_a_workspace_made_twice_is_there_twice_and_nothing_deletes_it(box: Box, workspace: str) -> None:
    assert make_workspace(box) != workspace
    assert box.warmforge("DELETE", f"/workspaces/{workspace}").status == 404
    assert box.warmforge("POST", "/workspaces", {"name": "x" * 51}).status == 400


def test_mailboxes_are_found_by_reference_part_and_state(box: Box, workspace: str) -> None:
    connect(box, workspace, externalReference="GTM-7K3F9Q-1")
    connect(box, workspace, "kim@getexamplebrand.com")
    box.sandbox.advance(HOUR)

    def found(**query: str) -> list[str]:
        answer = box.warmforge("GET", f"/workspaces/{workspace}/mailboxes", page=1, page_size=25, **query)
        return [one["address"] for one in answer.json()["mailboxes"]]

    assert found(external_reference="GTM-7K3F9Q-1") == [ADDRESS]
    assert found(search="KIM") == found(status="disconnected") == ["kim@getexamplebrand.com"]


# --- Address-keyed routes: 404 for an unencoded or upper-case address if the switch is on; id where an address is needed --


def test_one_mailbox_is_named_by_its_encoded_address_in_lower_case(box: Box, workspace: str) -> None:
    connect(box, workspace)
    mailbox_id = row(box, workspace)["id"]
    for wrong in (ADDRESS, quote(ADDRESS.upper(), safe=""), mailbox_id, "nobody%40getexamplebrand.com"):
        assert box.warmforge("GET", f"/workspaces/{workspace}/mailboxes/{wrong}").status == 404
    box.sandbox.switches.set(warmforge_strict_addresses=False)
    for right in (ADDRESS, quote(ADDRESS.upper(), safe="")):
        assert box.warmforge("GET", f"/workspaces/{workspace}/mailboxes/{right}").status == 200
    assert box.warmforge("GET", f"/workspaces/{workspace}/mailboxes/{mailbox_id}").status == 404


def test_a_mailbox_is_seen_in_its_own_workspace_only(box: Box, workspace: str) -> None:
    connect(box, workspace)
    assert box.warmforge("GET", path(make_workspace(box, "Another GTM-8L4G0R"))).status == 404


# --- Limits of 2.7 enforced with 400; values kept as sent; 202 empty on delete --


@pytest.mark.parametrize(
    "wrong",
    [
        {"minEmailsPerDay": 0}, {"minEmailsPerDay": 21}, {"maxEmailsPerDay": 21}, {"emailRampUp": 21}, {"emailRampUp": -1},
        {"replyRatePercent": 51}, {"warmupEnabled": "yes"}, {"firstName": ""}, {"signature": "x" * 1001},
        {"warmupStartDate": "tomorrow"}, {"warmupEndDate": "2026-13-01"},
    ],
)  # fmt: skip
def test_what_lies_outside_a_limit_is_refused_whole(box: Box, workspace: str, wrong: dict[str, Any]) -> None:
    connect(box, workspace)
    answer = box.warmforge("PATCH", path(workspace), {"lastName": "Changed", **wrong})
    assert answer.status == 400
    assert row(box, workspace)["lastName"] == "Sample"


def test_values_are_kept_as_sent_and_the_others_stay(box: Box, workspace: str) -> None:
    connect(box, workspace)
    sent = {"minEmailsPerDay": 3, "replyRatePercent": 0, "warmupStartDate": "2026-12-01", "warmupEndDate": "2026-12-31"}
    assert box.warmforge("PATCH", path(workspace), sent).status == 200
    seen = row(box, workspace)
    assert {name: seen[name] for name in sent} == sent
    assert (seen["maxEmailsPerDay"], seen["warmupEnabled"], seen["warmupDaysLeft"]) == (10, True, 30)


def test_a_deletion_has_no_body_and_then_there_is_nothing(box: Box, workspace: str) -> None:
    connect(box, workspace)
    answer = box.warmforge("DELETE", path(workspace))
    assert (answer.status, answer.body) == (202, b"")
    assert [box.warmforge(verb, path(workspace)).status for verb in ("GET", "DELETE")] == [404, 404]


# --- 409 for an address in another workspace; switch for the same workspace: 200 same object, 409, or duplicate --


def test_an_address_of_another_workspace_is_a_conflict(box: Box, workspace: str) -> None:
    connect(box, workspace)
    assert connect(box, make_workspace(box, "Another GTM-8L4G0R")).status == 409


@pytest.mark.parametrize(("rule", "status", "rows"), [("same", 200, 1), ("409", 409, 1), ("duplicate", 200, 2)])
def test_the_same_address_again(box: Box, workspace: str, rule: str, status: int, rows: int) -> None:
    box.sandbox.switches.set(warmforge_same_workspace=rule)
    first, second = connect(box, workspace), connect(box, workspace)
    assert second.status == status
    assert (second.json().get("id") == first.json()["id"]) is (rule == "same")
    listed = box.warmforge("GET", f"/workspaces/{workspace}/mailboxes", page=1, page_size=25).json()
    assert len(listed["mailboxes"]) == rows


# --- Login check against the sandbox mail server: wrong password -> access_lost later, or 400 at once --


def test_a_mailbox_is_pending_until_its_login_was_tried(box: Box, workspace: str) -> None:
    assert connect(box, workspace).json()["status"] == "pending"
    box.sandbox.advance(HOUR)
    assert row(box, workspace)["status"] == "active"


def test_a_wrong_password_shows_later(box: Box, workspace: str) -> None:
    answer = connect(box, workspace, password="not the one")
    assert (answer.status, answer.json()["status"]) == (200, "pending")
    box.sandbox.advance(HOUR)
    assert row(box, workspace)["status"] == "access_lost"


def test_a_wrong_password_is_refused_at_once_by_switch(box: Box, workspace: str) -> None:
    box.sandbox.switches.set(warmforge_bad_login="400")
    answer = connect(box, workspace, password="not the one")
    assert (answer.status, answer.json()["message"]) == (400, "SMTP login failed")
    assert box.sandbox.state()["warmforge"]["mailboxes"] == []


def test_a_password_changed_at_the_provider_shows_at_the_next_check(box: Box, workspace: str) -> None:
    connect(box, workspace)
    box.sandbox.advance(HOUR)
    mailhost.set_password(box.sandbox.world, ADDRESS, "a-new-one", box.clock.now())
    assert row(box, workspace)["status"] == "active"
    box.sandbox.advance(HOUR)
    assert row(box, workspace)["status"] == "access_lost"


@pytest.mark.parametrize("missing", ["address", "firstName", "smtpHost", "smtpPort", "smtpUsername", "imapPassword"])
def test_every_field_of_both_doors_is_demanded(box: Box, workspace: str, missing: str) -> None:
    without: dict[str, Any] = {missing: None}
    assert connect(box, workspace, **without).status == 400


# --- Slots: none left -> connected with warmupEnabled false, or 402 --


def test_without_a_slot_warmup_stays_off(box: Box, workspace: str) -> None:
    box.sandbox.switches.set(warmforge_slots=1)
    connect(box, workspace)
    second = connect(box, workspace, "kim@getexamplebrand.com")
    assert (second.status, second.json()["warmupEnabled"]) == (200, False)
    kim = path(workspace, "kim@getexamplebrand.com")
    assert box.warmforge("PATCH", kim, {"warmupEnabled": True}).json()["warmupEnabled"] is False
    box.warmforge("PATCH", path(workspace), {"warmupEnabled": False})
    assert box.warmforge("PATCH", kim, {"warmupEnabled": True}).json()["warmupEnabled"] is True


def test_without_a_slot_it_costs_by_switch(box: Box, workspace: str) -> None:
    box.sandbox.switches.set(warmforge_slots=1, warmforge_without_slot="402")
    connect(box, workspace)
    assert connect(box, workspace, "kim@getexamplebrand.com").status == 402
    assert connect(box, workspace, "kim@getexamplebrand.com", warmupEnabled=False).status == 200
    assert box.warmforge("PATCH", path(workspace, "kim@getexamplebrand.com"), {"warmupEnabled": True}).status == 402


# --- A clock that advances days: warmupDaysCompleted, stats rows, heatScore, warm; scenarios --


def test_warmup_advances_with_the_days(box: Box, workspace: str) -> None:
    connect(box, workspace)
    seen = []
    for _ in range(3):
        box.sandbox.advance(9 * DAY)
        one = row(box, workspace)
        seen.append((one["warmupDaysCompleted"], one["warmupDaysLeft"], one["warm"]))
    assert seen == [(9, 19, False), (18, 10, True), (27, 1, True)]


def test_there_is_a_row_for_each_day_of_warmup_and_none_for_the_others(box: Box, workspace: str) -> None:
    assert connect(box, workspace).status == 200
    box.warmforge("PATCH", path(workspace), {"minEmailsPerDay": 2, "emailRampUp": 2, "maxEmailsPerDay": 20})
    box.sandbox.advance(4 * DAY)
    box.warmforge("PATCH", path(workspace), {"warmupEnabled": False})
    box.sandbox.advance(3 * DAY)
    rows = stats(box, workspace, days=30)
    assert [one["date"] for one in rows] == ["2026-11-23", "2026-11-24", "2026-11-25", "2026-11-26", "2026-11-27"]
    assert [one["sentCount"] for one in rows[1:4]] == [2, 4, 6]
    assert all(one["sentCount"] == sum(
        seen["primaryCount"] + seen["spamCount"] for seen in one["providerStats"].values()
    ) for one in rows)  # fmt: skip
    assert stats(box, workspace, days=2) == []


def test_a_span_that_runs_backwards_or_is_none_is_refused(box: Box, workspace: str) -> None:
    connect(box, workspace)
    for span in ({"from": "2026-11-23"}, {"from": "2026-11-23", "to": "2026-11-22"}, {"from": "x", "to": "2026-11-23"}):
        assert box.warmforge("GET", f"{path(workspace)}/warmup/stats", **span).status == 400


@pytest.mark.parametrize(
    ("scenario", "good", "bad"),
    [
        ("healthy", (5, 12, 25), ()),
        ("bad_start", (20,), (5,)),
        ("collapse", (12,), (25,)),
        ("recovery", (30,), (14,)),
        ("spam_at_microsoft", (), (10, 20)),
    ],
)
def test_figures_develop_by_scenario(
    box: Box, workspace: str, scenario: str, good: tuple[int, ...], bad: tuple[int, ...]
) -> None:
    connect(box, workspace, warmupEnabled=False)
    body = {"warmupEnabled": True, "minEmailsPerDay": 2, "emailRampUp": 2, "maxEmailsPerDay": 20}
    box.warmforge("PATCH", path(workspace), body)
    warmforge.set_scenario(box.sandbox.world, ADDRESS, scenario)
    shares: dict[int, float] = {}
    for day in range(1, 31):
        box.sandbox.advance(DAY)
        shares[day] = inbox_share(stats(box, workspace))
    assert [day for day in good if shares[day] < 90] == []
    assert [day for day in bad if shares[day] >= 90] == []


def test_spam_at_microsoft_is_seen_there_alone(box: Box, workspace: str) -> None:
    connect(box, workspace)
    warmforge.set_scenario(box.sandbox.world, ADDRESS, "spam_at_microsoft")
    box.sandbox.advance(10 * DAY)
    rows = stats(box, workspace)
    assert inbox_share(rows, "gmail") > 90
    assert inbox_share(rows, "outlook") < 65


def test_what_is_wrong_with_the_domain_is_in_the_report(box: Box, workspace: str) -> None:
    connect(box, workspace)
    box.sandbox.advance(5 * DAY)
    healthy = row(box, workspace)["healthReport"]
    warmforge.set_scenario(box.sandbox.world, ADDRESS, "blacklisted")
    listed = row(box, workspace)["healthReport"]
    warmforge.set_scenario(box.sandbox.world, ADDRESS, "dkim_missing")
    unsigned = row(box, workspace)["healthReport"]
    assert (healthy["blacklists"]["detectedCount"], listed["blacklists"]["detectedCount"]) == (0, 1)
    assert (healthy["dkim"]["status"], unsigned["dkim"]["status"]) == ("valid", "missing")
    assert healthy["heatScore"] > max(listed["heatScore"], unsigned["heatScore"])


@pytest.mark.parametrize("scenario", ["access_lost", "suspended"])
def test_warmup_may_end_on_day_five(box: Box, workspace: str, scenario: str) -> None:
    box.sandbox.switches.set(warmforge_scenario=scenario)
    connect(box, workspace)
    box.sandbox.advance(4 * DAY)
    assert row(box, workspace)["status"] == "active"
    box.sandbox.advance(6 * DAY)
    assert (row(box, workspace)["status"], row(box, workspace)["warmupDaysCompleted"]) == (scenario, 5)
    assert stats(box, workspace, days=3) == []


def test_the_control_plane_sets_a_scenario(box: Box, workspace: str) -> None:
    connect(box, workspace)

    def post(**given: str) -> Response:
        return control.handle(box.sandbox, Request("POST", "/warmup", body=json.dumps(given).encode()))

    assert post(platform="warmforge", email=ADDRESS, profile="blacklisted").json() == {"changed": 1}
    assert box.sandbox.state()["warmforge"]["mailboxes"][0]["scenario"] == "blacklisted"
    assert post(platform="warmforge", email=ADDRESS, profile="heavenly").status == 400
    assert post(platform="warmforge", email="nobody@x.com", profile="healthy").status == 400


# --- Arrival from the InfraForge export, in the workspace named there; failures --


def arrive(box: Box, workspace: str, address: str = ADDRESS, **changes: Any) -> Any:
    names = {"first_name": "Sam", "last_name": "Sample", "tag": "GTM-7K3F9Q"} | changes
    return warmforge.arrive(box.sandbox.world, box.clock.now(), workspace_id=workspace, address=address, **names)


@pytest.mark.parametrize("on", [True, False])
def test_an_exported_mailbox_appears_with_warmup_as_asked(box: Box, workspace: str, on: bool) -> None:
    arrive(box, workspace, warmup_on=on)
    box.sandbox.advance(HOUR)
    seen = row(box, workspace)
    assert (seen["status"], seen["warmupEnabled"], seen["firstName"]) == ("active", on, "Sam")


def test_an_export_changes_nothing_that_is_there_and_goes_nowhere_else(box: Box, workspace: str) -> None:
    first = arrive(box, workspace)
    assert arrive(box, workspace) is first
    assert arrive(box, make_workspace(box, "Another GTM-8L4G0R")) is None
    assert arrive(box, "wfw_unknown", "kim@getexamplebrand.com") is None
    box.sandbox.faults.add("accounts_lost", platform="warmforge", items=("lost@getexamplebrand.com",))
    assert arrive(box, workspace, "lost@getexamplebrand.com") is None


def test_a_password_changed_after_the_export_loses_access(box: Box, workspace: str) -> None:
    arrive(box, workspace)
    box.sandbox.advance(HOUR)
    mailhost.set_password(box.sandbox.world, ADDRESS, "a-new-one", box.clock.now())
    box.sandbox.advance(HOUR)
    assert row(box, workspace)["status"] == "access_lost"


def test_a_mailbox_exported_before_it_had_a_password_never_opens(box: Box, workspace: str) -> None:
    late = "late@getexamplebrand.com"
    arrive(box, workspace, late)
    mailhost.set_password(box.sandbox.world, late, PASSWORD, box.clock.now() + 2 * HOUR)
    for _ in range(2):
        box.sandbox.advance(HOUR)
        assert row(box, workspace, late)["status"] == "access_lost"


# --- Sparse replies: missing healthReport, null dates, unknown provider key --


def test_answers_may_be_sparse(box: Box, workspace: str) -> None:
    box.sandbox.switches.set(warmforge_answers="sparse")
    connect(box, workspace)
    box.sandbox.advance(12 * DAY)
    seen = row(box, workspace)
    assert "healthReport" not in seen
    assert (seen["warmupStartDate"], seen["warmupEndDate"]) == (None, None)
    assert set(stats(box, workspace)[0]["providerStats"]) == {"gmail", "outlook", "zoho"}


def test_dates_may_be_moments(box: Box, workspace: str) -> None:
    box.sandbox.switches.set(warmforge_dates_as="moment")
    connect(box, workspace)
    box.sandbox.advance(2 * DAY)
    assert row(box, workspace)["warmupStartDate"] == "2026-11-23T00:00:00Z"
    assert stats(box, workspace)[0]["date"] == "2026-11-23T00:00:00Z"


# --- What every simulated platform owes --


def test_a_state_nobody_has_documented_and_a_lost_account(box: Box, workspace: str) -> None:
    connect(box, workspace)
    box.sandbox.advance(HOUR)
    box.sandbox.faults.add("unknown_status", platform="warmforge", value="syncing", times=1)
    assert [row(box, workspace)["status"] for _ in range(2)] == ["syncing", "active"]
    box.sandbox.faults.add("account_disconnected", platform="warmforge", items=(ADDRESS,))
    assert row(box, workspace)["status"] == "access_lost"


def test_lists_may_lag(box: Box, workspace: str) -> None:
    box.sandbox.faults.add("list_lag", platform="warmforge", seconds=60.0)
    connect(box, workspace)

    def shown() -> int:
        answer = box.warmforge("GET", f"/workspaces/{workspace}/mailboxes", page=1, page_size=25)
        return len(answer.json()["mailboxes"])

    assert shown() == 0
    box.sandbox.advance(61)
    assert shown() == 1


def test_the_log_and_the_state_name_what_a_request_was_about_and_no_password(box: Box, workspace: str) -> None:
    connect(box, workspace)
    row(box, workspace)
    entries = [(entry.verb, entry.items, entry.student_ref) for entry in box.sandbox.log][-2:]
    assert entries == [("connect_smtp", (ADDRESS,), "GTM-7K3F9Q"), ("get_mailbox", (ADDRESS,), "GTM-7K3F9Q")]
    state = box.sandbox.state()["warmforge"]
    assert state["workspaces"] == [{"id": workspace, "name": "Sample Student GTM-7K3F9Q"}]
    seen = state["mailboxes"][0]
    assert (seen["email"], seen["workspace_id"], seen["status"], seen["warmup"]) == (
        ADDRESS,
        workspace,
        "pending",
        True,
    )
    assert PASSWORD not in str(box.sandbox.state()) + repr(box.sandbox.log.entries)


def test_limits_are_counted_per_key_whatever_its_form() -> None:
    box = Box(warmforge_per_second=2, warmforge_retry_after="seconds")
    keys = (KEY, f"Bearer {KEY}", KEY)
    answers = [box.warmforge("GET", "/workspaces", key=key, page=1, page_size=25) for key in keys]
    assert [answer.status for answer in answers] == [200, 200, 429]
    assert int(answers[-1].headers["retry-after"]) >= 1
