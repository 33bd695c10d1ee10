"""Section 6 of platforms/heyreach.md, "What the sandbox must reproduce": each heading below is one of its lines."""

from __future__ import annotations

from typing import Any

import pytest

from integrations.sandbox import Wire
from integrations.sandbox.server import CannotServe, refuse_production
from tests.unit.sandbox.kit import Box

NAME = "Sample Student prospects GTM-7K3F9Q"


@pytest.fixture
def box() -> Box:
    return Box()


def make(box: Box, name: str = NAME, **more: Any) -> Any:
    return box.heyreach("POST", "/list/CreateEmptyList", {"name": name, **more})


def find(box: Box, **body: Any) -> Any:
    return box.heyreach("POST", "/list/GetAll", {"offset": 0, "limit": 100, **body})


def lead(number: int, **more: Any) -> dict[str, Any]:
    url = f"https://www.linkedin.com/in/lead-{number}"
    return {"firstName": "Sample", "lastName": "Lead", "profileUrl": url, **more}


def add(box: Box, list_id: int, *leads: dict[str, Any]) -> Any:
    return box.heyreach("POST", "/list/AddLeadsToListV2", {"listId": list_id, "leads": list(leads)})


def leads_of(box: Box, list_id: int, **body: Any) -> Any:
    return box.heyreach("POST", "/list/GetLeadsFromList", {"listId": list_id, "offset": 0, "limit": 10, **body})


# --- X-API-KEY checked on every call; CheckApiKey; revoked key -> 401 (or 403 by knob) --


@pytest.mark.parametrize("status", [401, 403])
def test_the_key_is_checked_on_every_call(status: int) -> None:
    box = Box(heyreach_unauthorised_status=status)
    assert box.heyreach("GET", "/auth/CheckApiKey").status == 200
    assert box.heyreach("GET", "/auth/CheckApiKey", key="wrong").status == status
    for path in ("/list/CreateEmptyList", "/list/GetAll", "/list/AddLeadsToListV2", "/list/GetLeadsFromList"):
        assert box.heyreach("POST", path, {"name": "A"}, key="").status == status
    box.sandbox.faults.add("key_revoked", platform="heyreach")
    assert box.heyreach("GET", "/auth/CheckApiKey").status == status


# --- name required -> 400 in the ASP.NET form; errorMessage form by knob; listName and listType ignored --


def test_a_missing_name_is_400_in_the_asp_net_form(box: Box) -> None:
    answer = box.heyreach("POST", "/list/CreateEmptyList", {"listName": NAME, "listType": "USER_LIST"})
    assert (answer.status, answer.json()) == (400, {"errors": {"Name": ["name is required"]}})


def test_the_error_message_form_is_a_knob() -> None:
    answer = Box(heyreach_error_form="message").heyreach("POST", "/list/CreateEmptyList", {})
    assert answer.json() == {"errorMessage": "name is required"}


def test_unknown_members_are_ignored(box: Box) -> None:
    assert make(box, listName="Other", listType="COMPANY_LIST").json()["listType"] == "USER_LIST"


# --- type in, listType out; fresh list; integer ids growing --


def test_a_fresh_list(box: Box) -> None:
    made = make(box, type="COMPANY_LIST").json()
    assert made == {
        "id": 104_512,
        "name": NAME,
        "count": 0,
        "listType": "COMPANY_LIST",
        "creationTime": "2026-11-23T09:00:00.000Z",
        "isDeleted": False,
        "campaigns": None,
        "search": None,
        "status": "UNKNOWN",
    }
    assert make(box).json()["id"] == 104_513
    assert make(box, type="OTHER").status == 400


def test_names_may_be_limited_in_length_and_lists_in_number() -> None:
    assert make(Box(heyreach_max_name_length=5)).status == 400
    box = Box(heyreach_max_lists=1)
    assert [make(box, str(n)).status for n in (1, 2)] == [200, 400]


# --- Duplicate names allowed (default) or refused (knob). No delete route for lists: 404 --


@pytest.mark.parametrize(("position", "status"), [("allow", 200), ("refuse", 400)])
def test_duplicate_names(position: str, status: int) -> None:
    box = Box(heyreach_duplicate_names=position)
    make(box)
    assert make(box).status == status


@pytest.mark.parametrize("path", ["/list/DeleteList", "/list/104512", "/list/GetById"])
def test_no_route_deletes_a_list(box: Box, path: str) -> None:
    make(box)
    assert box.heyreach("DELETE", path, {"listId": 104_512}).status == 404


# --- GetAll: totalCount and items, limit capped at 100, keyword, optional members, a delay --


def test_get_all_has_total_count_and_pages(box: Box) -> None:
    for number in range(3):
        make(box, f"List {number}")
    found = find(box, offset=2, limit=2).json()
    assert (found["totalCount"], [row["name"] for row in found["items"]]) == (3, ["List 2"])
    assert find(box, offset=-1).status == 400


@pytest.mark.parametrize(("position", "status"), [("refuse", 400), ("clip", 200)])
def test_get_all_refuses_or_clips_a_limit_above_100(position: str, status: int) -> None:
    assert find(Box(heyreach_over_limit=position), limit=101).status == status


@pytest.mark.parametrize(
    ("position", "keyword", "count"),
    [
        ("substring", "7k3f", 1),
        ("word", "7k3f", 0),
        ("word", "gtm-7k3f9q", 1),
        ("nothing", "GTM-7K3F9Q", 0),
        ("substring", "absent", 0),
        ("nothing", "", 1),
    ],
)
def test_get_all_filters_by_keyword(position: str, keyword: str, count: int) -> None:
    box = Box(heyreach_keyword=position)
    make(box)
    assert find(box, keyword=keyword).json()["totalCount"] == count


def test_get_all_filters_by_kind(box: Box) -> None:
    make(box)
    assert find(box, listType="COMPANY_LIST").json()["totalCount"] == 0
    assert find(box, listType="USER_LIST").json()["totalCount"] == 1
    assert find(box, listType="OTHER").status == 400


@pytest.mark.parametrize(("position", "present"), [("present", True), ("missing", False)])
def test_get_all_optional_members(position: str, present: bool) -> None:
    box = Box(heyreach_optional_members=position)
    make(box)
    row = find(box).json()["items"][0]
    assert ("totalItemsCount" in row, "campaignIds" in row) == (present, present)


def test_get_all_shows_a_new_list_after_a_few_seconds() -> None:
    box = Box(heyreach_list_visible_seconds=5.0)
    make(box)
    assert find(box).json()["totalCount"] == 0
    box.sandbox.advance(5)
    assert find(box).json()["totalCount"] == 1


# --- GetById by GET only; POST -> 404 or 405 (knob) --


def test_get_by_id_by_get(box: Box) -> None:
    made = make(box).json()["id"]
    assert box.heyreach("GET", "/list/GetById", listId=made).json()["name"] == NAME
    assert box.heyreach("GET", "/list/GetById", listId=1).status == 404
    assert box.heyreach("GET", "/list/GetById").status == 400


@pytest.mark.parametrize("status", [404, 405])
def test_get_by_id_by_post(status: int) -> None:
    box = Box(heyreach_get_by_id_post_status=status)
    assert box.heyreach("POST", "/list/GetById", {"listId": 1}).status == status


# --- AddLeadsToListV2: over 100 -> 400; same profileUrl updates; empty lastName dropped; counters only --


def test_add_leads_takes_a_hundred_at_most(box: Box) -> None:
    made = make(box).json()["id"]
    assert add(box, made, *(lead(n) for n in range(101))).status == 400
    assert add(box, made, *(lead(n) for n in range(100))).json()["addedLeadsCount"] == 100
    assert find(box).json()["items"][0]["totalItemsCount"] == 100


def test_add_leads_updates_the_same_profile(box: Box) -> None:
    made = make(box).json()["id"]
    add(box, made, lead(1))
    answer = add(box, made, lead(1, firstName="New"))
    assert answer.json() == {"addedLeadsCount": 0, "updatedLeadsCount": 1, "failedLeadsCount": 0}
    assert leads_of(box, made).json()["items"][0]["firstName"] == "New"


def test_add_leads_drops_an_empty_last_name_and_does_not_say_so(box: Box) -> None:
    made = make(box).json()["id"]
    answer = add(box, made, lead(1, lastName=""), lead(2, lastName=None))
    assert answer.json() == {"addedLeadsCount": 0, "updatedLeadsCount": 0, "failedLeadsCount": 0}
    assert leads_of(box, made).json()["totalCount"] == 0


def test_add_leads_counts_bad_custom_names_as_failed(box: Box) -> None:
    made = make(box).json()["id"]
    answer = add(box, made, lead(1, customUserFields=[{"name": "no spaces", "value": "x"}]), lead(2, profileUrl=""))
    assert answer.json()["failedLeadsCount"] == 2
    assert add(box, 5, lead(1)).status == 404


# --- GetLeadsFromList: limit 1000, filters, customFields out for customUserFields in --


def test_leads_limit_and_filters(box: Box) -> None:
    made = make(box).json()["id"]
    add(box, made, lead(1), lead(2, companyName="Acme"))
    box.sandbox.advance(60)
    add(box, made, lead(3))
    assert leads_of(box, made, limit=1001).status == 400
    assert leads_of(box, made, limit=1000).json()["totalCount"] == 3
    assert leads_of(box, made, keyword="acme").json()["totalCount"] == 1
    assert leads_of(box, made, leadProfileUrl=lead(1)["profileUrl"]).json()["totalCount"] == 1
    assert leads_of(box, made, createdFrom="2026-11-23T09:00:30Z").json()["totalCount"] == 1
    assert leads_of(box, made, createdTo="2026-11-23T09:00:30Z").json()["totalCount"] == 2
    assert leads_of(box, made, createdTo="yesterday").status == 400


def test_custom_user_fields_come_out_as_custom_fields(box: Box) -> None:
    made = make(box).json()["id"]
    add(box, made, lead(1, customUserFields=[{"name": "segment", "value": "a"}]))
    row = leads_of(box, made).json()["items"][0]
    assert row["customFields"] == [{"name": "segment", "value": "a"}]
    assert "customUserFields" not in row


def test_leads_can_be_removed_and_absent_ones_are_named(box: Box) -> None:
    made = make(box).json()["id"]
    add(box, made, lead(1))
    body = {"listId": made, "leadProfileUrls": [lead(1)["profileUrl"], "absent"]}
    answer = box.heyreach("DELETE", "/list/DeleteLeadsFromListByProfileUrl", body)
    assert answer.json() == {"notFoundInList": ["absent"]}


# --- 300 per minute per key, shared by all students; 429 with and without Retry-After --


@pytest.mark.parametrize(("position", "advised"), [("none", False), ("seconds", True)])
def test_three_hundred_per_minute_shared_by_all(position: str, advised: bool) -> None:
    box = Box(heyreach_per_minute=300, heyreach_retry_after=position)
    statuses = [make(box, f"Student {n % 2}").status for n in range(300)]
    assert set(statuses) == {200}
    answer = make(box)
    assert (answer.status, "retry-after" in answer.headers) == (429, advised)


# --- Time-out after the list was created; 500 before it was; a 200 with an unexpected body --


def test_time_out_after_the_list_was_created(box: Box) -> None:
    box.sandbox.faults.add("timeout_after", verb="create_list", times=1)
    assert make(box).wire is Wire.SILENT
    assert find(box).json()["totalCount"] == 1


def test_500_before_the_list_was_created(box: Box) -> None:
    box.sandbox.faults.add("status", verb="create_list", status=500, times=1)
    assert make(box).status == 500
    assert find(box).json()["totalCount"] == 0


def test_a_200_with_an_unexpected_body(box: Box) -> None:
    box.sandbox.faults.add("wrong_type", verb="create_list", times=1)
    answer = make(box)
    assert (answer.status, answer.json()["id"]) == (200, "unexpected")


# --- Guard: the simulator refuses to start with production settings --


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.5", "example.com", "::"])
def test_the_simulator_serves_this_machine_only(host: str) -> None:
    with pytest.raises(CannotServe, match="not a loopback address"):
        refuse_production({}, host)


def test_the_simulator_refuses_live_mode() -> None:
    with pytest.raises(CannotServe, match="live"):
        refuse_production({"PLATFORM_MODE": "live"})


def test_pages_may_be_smaller_than_asked_for() -> None:
    box = Box(heyreach_page_most=2)
    for number in range(3):
        make(box, f"{number} {NAME}")
    page = find(box).json()
    assert (page["totalCount"], len(page["items"])) == (3, 2)
