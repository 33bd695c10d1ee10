"""Section 6 of platforms/plusvibe.md, "What the sandbox must reproduce": each heading below is one of its lines."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any

import pytest

from integrations.sandbox import Wire, control, plusvibe
from integrations.sandbox.http import Request
from integrations.sandbox.plusvibe import AGENCY
from integrations.sandbox.server import CannotServe, refuse_production
from tests.unit.sandbox.kit import DAY, HOUR, Box

DOMAIN = "getexamplebrand.com"
EMAIL = f"sample@{DOMAIN}"
SETTINGS = {
    "daily_limit": 30,
    "interval_limit_in_min": 5,
    "warmup_initial_daily_limit": 2,
    "warmup_pace_increment": 2,
    "warmup_max_daily_limit": 30,
    "warmup_reply_rate": 0.3,
    "warmup_randomize": "yes",
    "warmup_randomize_num": 20,
    "bulk_warmup_is_slow_rampup": "yes",
}


@pytest.fixture
def box() -> Box:
    return Box()


@pytest.fixture
def sending(box: Box) -> str:
    """A workspace with one account."""
    return box.exported("sample")[1]


def update(box: Box, sending: str, **changes: Any) -> Any:
    ids = [row["id"] for row in box.accounts(sending).values()]
    return box.plusvibe("PUT", "/account/bulk-update", {"workspace_id": sending, "ids": ids, **changes})


def warmup(box: Box, sending: str, status: str = "ACTIVE") -> Any:
    ids = [row["id"] for row in box.accounts(sending).values()]
    body = {"workspace_id": sending, "ids": ids, "warmup_status": status}
    return box.plusvibe("PATCH", "/account/bulk-update-warmup", body)


def clients(box: Box) -> list[dict[str, Any]]:
    rows = box.plusvibe("GET", "/client/", workspace_id=AGENCY).json()["clients"]
    return list(rows)


# --- workspace_id demanded everywhere; ids of 24 hex; another account's workspace refused --


def test_workspace_id_is_demanded_everywhere(box: Box) -> None:
    for method, path in (("GET", "/client/"), ("GET", "/account/list")):
        assert box.plusvibe(method, path).status == 400
    for method, path in (
        ("POST", "/workspaces/add/"),
        ("POST", "/client"),
        ("PUT", "/client"),
        ("DELETE", "/client"),
        ("PUT", "/account/bulk-update"),
        ("PATCH", "/account/bulk-update-warmup"),
        ("POST", "/account/bulk-add-regular-accounts"),
    ):
        assert box.plusvibe(method, path, {"workspace_name": "A", "warmup_status": "ACTIVE"}).status == 400


@pytest.mark.parametrize("workspace", ["65f0c0ffee00000000000fff", "short", "65F0C0FFEE00000000000001"])
def test_another_account_s_workspace_is_refused(box: Box, workspace: str) -> None:
    assert box.plusvibe("GET", "/account/list", workspace_id=workspace).status == 400
    assert box.ask_client(workspace).status == 400


def test_ids_are_24_hexadecimal_digits(box: Box, sending: str) -> None:
    found = [sending, clients(box)[0]["client_id"], box.accounts(sending)[EMAIL]["id"]]
    assert all(re.fullmatch("[0-9a-f]{24}", item) for item in found)


def test_a_new_workspace_is_seen_with_its_name(box: Box) -> None:
    made = box.sending_workspace("Sample GTM-7K3F9Q")
    rows = box.plusvibe("GET", "/authenticate").json()["workspaces"]
    assert {"_id": made, "name": "Sample GTM-7K3F9Q"} in rows


# --- Trailing-slash paths; wrong verb -> 404 "Page not found"; three error shapes, chosen by knob --


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/workspaces/add"),
        ("GET", "/client"),
        ("POST", "/client/"),
        ("PUT", "/account/bulk-update-warmup"),
        ("PATCH", "/account/bulk-update"),
        ("GET", "/nowhere"),
    ],
)
def test_wrong_verb_or_slash_is_page_not_found(box: Box, method: str, path: str) -> None:
    answer = box.plusvibe(method, path, None if method == "GET" else {})
    assert (answer.status, answer.json()) == (404, {"message": "Page not found"})


@pytest.mark.parametrize(
    ("shape", "body"),
    [
        ("message", {"message": "Page not found"}),
        ("error", {"error": "Page not found"}),
        ("errors", {"errors": ["Page not found"]}),
    ],
)
def test_three_error_shapes(shape: str, body: dict[str, Any]) -> None:
    assert Box(plusvibe_error_shape=shape).plusvibe("GET", "/nowhere").json() == body


# --- id or _id by knob; client_* names in create, first_name in list; updated_ids at top level or under data --


@pytest.mark.parametrize(("form", "names"), [("id", {"id"}), ("_id", {"_id"}), ("both", {"id", "_id"})])
def test_accounts_have_id_or_underscore_id(box: Box, sending: str, form: str, names: set[str]) -> None:
    box.sandbox.switches.set(plusvibe_account_id=form)
    assert {"id", "_id"} & set(box.accounts(sending)[EMAIL]) == names


def test_a_client_is_listed_under_other_names_than_it_was_created_with(box: Box) -> None:
    made = box.sending_workspace()
    box.ask_client(made)
    assert clients(box) == [
        {
            "client_id": clients(box)[0]["client_id"],
            "first_name": "Sample",
            "last_name": "Student",
            "client_email": "student@example.com",
            "client_business_name": "Sample GTM",
            "status": "ACTIVE",
            "client_permissions": [
                {
                    "org_id": "65f0c0ffee00000000000009",
                    "workspace_id": made,
                    "permissions": ["UNIBOX_FULL_ACCESS"],
                },
            ],
        },
    ]


@pytest.mark.parametrize("place", ["top", "data"])
def test_updated_ids_at_top_level_or_under_data(box: Box, sending: str, place: str) -> None:
    box.sandbox.switches.set(plusvibe_updated_ids=place)
    answer = warmup(box, sending).json()
    found = answer["data"] if place == "data" else answer
    assert (found["updated_count"], len(found["updated_ids"])) == (1, 1)


@pytest.mark.parametrize(("item", "status"), [("id", 200), ("workspace_id", 400)])
def test_the_member_that_names_a_client_s_workspace_is_a_switch(item: str, status: int) -> None:
    box = Box(plusvibe_client_workspace_item=item)
    assert box.ask_client(box.sending_workspace()).status == status


# --- Reply rate in as fraction, out as percent; ranges checked; only sent fields change --


def test_the_reply_rate_comes_in_as_a_fraction_and_goes_out_in_percent(box: Box, sending: str) -> None:
    assert update(box, sending, **SETTINGS).json() == {"status": "success"}
    payload = box.accounts(sending)[EMAIL]["payload"]
    assert payload["warmup"] | {"advanced": None} == {
        "limit": 30,
        "increment": 2,
        "reply_rate": 30,
        "warmup_custom_words": "",
        "warmup_signature": "",
        "advanced": None,
    }
    assert payload["warmup_rampup"] == {
        "is_slow_rampup": "yes",
        "initial_daily_limit": 2,
        "randomize": "yes",
        "randomize_num": 20,
    }
    assert (payload["daily_limit"], payload["sending_gap"]) == (30, 5)


@pytest.mark.parametrize(
    "change",
    [
        {"warmup_reply_rate": 30},
        {"warmup_reply_rate": "0.3"},
        {"warmup_pace_increment": 0},
        {"warmup_max_daily_limit": 51},
        {"warmup_randomize_num": 0},
        {"warmup_randomize": True},
        {"daily_limit": -1},
        {"warmup_schedule": {"days": [1, 2]}},
    ],
)
def test_ranges_are_checked_and_nothing_changes_then(box: Box, sending: str, change: dict[str, Any]) -> None:
    before = box.accounts(sending)
    assert update(box, sending, **{"interval_limit_in_min": 9, **change}).status == 400
    assert box.accounts(sending) == before


def test_only_sent_fields_change(box: Box, sending: str) -> None:
    update(box, sending, **SETTINGS)
    update(box, sending, daily_limit=7)
    payload = box.accounts(sending)[EMAIL]["payload"]
    assert (payload["daily_limit"], payload["warmup"]["limit"]) == (7, 30)


@pytest.mark.parametrize(("position", "name"), [(False, "Sample"), (True, "Renamed")])
def test_names_in_a_bulk_update_are_a_switch(box: Box, sending: str, position: bool, name: str) -> None:
    box.sandbox.switches.set(plusvibe_names_in_bulk_update=position)
    update(box, sending, first_name="Renamed")
    assert box.accounts(sending)[EMAIL]["payload"]["name"]["first_name"] == name


def test_the_reply_of_a_bulk_update_and_the_form_of_flags_are_switches(box: Box, sending: str) -> None:
    box.sandbox.switches.set(plusvibe_bulk_update_reply="empty", plusvibe_flags_as="boolean")
    assert update(box, sending, **SETTINGS).json() == {}
    assert box.accounts(sending)[EMAIL]["payload"]["warmup_rampup"]["randomize"] is True


# --- Password shown once, never in a list; works as PIPL login; delete and recreate gives a new one --


def test_the_password_is_shown_once_and_never_in_a_list(box: Box) -> None:
    made = box.sending_workspace()
    _, password = box.login_for(made)
    assert password
    for path in ("/client/", "/account/list"):
        assert password not in box.plusvibe("GET", path, workspace_id=made).body.decode()


def test_the_password_really_opens_the_zapmail_export(box: Box) -> None:
    workspace = box.workspace()
    email, password = box.login_for(box.sending_workspace())
    assert box.register(workspace, email, password + "x").status == 400
    assert box.register(workspace, email, password).status == 200


def test_delete_and_recreate_gives_a_new_password_and_kills_the_old(box: Box) -> None:
    made = box.sending_workspace()
    email, old = box.login_for(made)
    body = {"workspace_id": AGENCY, "client_id": clients(box)[0]["client_id"]}
    assert box.plusvibe("DELETE", "/client", body).status == 200
    _, new = box.login_for(made)
    assert new != old
    assert box.sandbox.check_login(email, old) is None
    assert box.sandbox.check_login(email, new) == [made]


@pytest.mark.parametrize(("position", "status"), [("reusable", 200), ("blocked", 400)])
def test_reuse_of_a_deleted_e_mail_is_a_switch(position: str, status: int) -> None:
    box = Box(plusvibe_deleted_email=position)
    made = box.sending_workspace()
    box.ask_client(made)
    box.plusvibe("DELETE", "/client", {"workspace_id": AGENCY, "client_id": clients(box)[0]["client_id"]})
    assert box.ask_client(made).status == status


@pytest.mark.parametrize(
    ("position", "members"),
    [
        ("flat", {"client_id", "email", "password"}),
        ("data", {"status", "data"}),
        ("no_password", {"status", "client_id"}),
    ],
)
def test_the_reply_to_a_new_client_is_a_switch(position: str, members: set[str]) -> None:
    box = Box(plusvibe_create_client_reply=position)
    assert set(box.ask_client(box.sending_workspace()).json()) == members


def test_a_client_is_edited_and_switched_off(box: Box) -> None:
    made, other = box.sending_workspace(), box.sending_workspace("Other")
    email, password = box.login_for(made)
    names = {"workspace_id": AGENCY, "client_id": clients(box)[0]["client_id"]}
    rows = [{"id": other, "permissions": ["FULL_ACCESS"], "hide_labels": []}]
    assert box.plusvibe("PUT", "/client", {**names, "client_first_name": "New", "workspaces": rows}).status == 200
    assert clients(box)[0]["first_name"] == "New"
    assert box.sandbox.check_login(email, password) == [other]
    assert box.plusvibe("PATCH", "/client", {**names, "status": "INACTIVE"}).status == 200
    assert box.sandbox.check_login(email, password) is None


# --- Duplicate e-mail: refuse / accept / already a user elsewhere. Duplicate workspace name: allow or refuse --


@pytest.mark.parametrize(
    ("position", "statuses"),
    [
        ("refuse", [200, 400]),
        ("accept", [200, 200]),
        ("elsewhere", [400, 400]),
    ],
)
def test_duplicate_e_mail(position: str, statuses: list[int]) -> None:
    box = Box(plusvibe_duplicate_email=position)
    made = box.sending_workspace()
    assert [box.ask_client(made).status for _ in range(2)] == statuses


@pytest.mark.parametrize(("position", "status"), [("allow", 200), ("refuse", 400)])
def test_duplicate_workspace_name(position: str, status: int) -> None:
    box = Box(plusvibe_duplicate_workspace=position)
    box.sending_workspace("Same")
    body = {"workspace_id": AGENCY, "workspace_name": "Same"}
    assert box.plusvibe("POST", "/workspaces/add/", body).status == status


def test_a_plan_may_limit_workspaces_and_clients() -> None:
    box = Box(plusvibe_max_workspaces=2, plusvibe_max_clients=1)
    made = box.sending_workspace("One")
    body = {"workspace_id": AGENCY, "workspace_name": "Two"}
    assert box.plusvibe("POST", "/workspaces/add/", body).status == 400
    assert box.ask_client(made).status == 200
    assert box.ask_client(made, email="other@example.com").status == 400


@pytest.mark.parametrize(
    "change",
    [
        {"client_email": ""},
        {"client_email": "no address"},
        {"client_last_name": None},
        {"client_business_name": 5},
        {"workspaces": []},
        {"permissions": ["EVERYTHING"]},
    ],
)
def test_an_incomplete_client_is_refused(box: Box, change: dict[str, Any]) -> None:
    assert box.ask_client(box.sending_workspace(), **change).status == 400
    assert clients(box) == []


# --- Accounts late, in parts, or in the wrong workspace; warmup off on arrival; some never --


def test_accounts_arrive_in_parts(box: Box) -> None:
    workspace, made = box.workspace(), box.sending_workspace()
    ids = box.active_mailboxes(workspace, "a", "b", "c")
    box.register(workspace, *box.login_for(made))
    box.export(workspace, ids)
    seen = set()
    for _ in range(36):
        box.sandbox.advance(10)
        seen.add(len(box.accounts(made)))
    assert len(seen) > 2
    assert max(seen) == 3


@pytest.mark.parametrize(("target", "index"), [("first_visible", 0), ("last_visible", 1)])
def test_accounts_land_in_the_wrong_workspace_when_a_client_sees_two(target: str, index: int) -> None:
    box = Box(zapmail_export_target=target)
    workspace, two = box.workspace(), [box.sending_workspace("One"), box.sending_workspace("Two")]
    ids = box.active_mailboxes(workspace, "sample")
    box.register(workspace, *box.login_for(*two))
    box.export(workspace, ids)
    box.sandbox.advance(HOUR)
    assert [list(box.accounts(item)) for item in two] == [[EMAIL] if n == index else [] for n in (0, 1)]


@pytest.mark.parametrize("status", ["INACTIVE", "ACTIVE"])
def test_warmup_on_arrival(status: str) -> None:
    box = Box(plusvibe_warmup_on_arrival=status)
    _, made, _ = box.exported("sample")
    assert box.accounts(made)[EMAIL]["warmup_status"] == status


def test_some_accounts_never_arrive(box: Box) -> None:
    box.sandbox.faults.add("accounts_lost", items=[f"b@{DOMAIN}"])
    _, made, _ = box.exported("a", "b")
    assert list(box.accounts(made)) == [f"a@{DOMAIN}"]


def test_accounts_are_paged_and_filtered(box: Box) -> None:
    _, made, _ = box.exported("a", "b", "c")
    page = box.plusvibe("GET", "/account/list", workspace_id=made, skip=1, limit=1).json()["accounts"]
    assert len(page) == 1
    found = box.plusvibe("GET", "/account/list", workspace_id=made, email=f"b@{DOMAIN}").json()["accounts"]
    assert [row["email"] for row in found] == [f"b@{DOMAIN}"]
    assert box.plusvibe("GET", "/account/list", workspace_id=made, limit="x").status == 400


# --- Permission knob: UNIBOX_FULL_ACCESS sufficient or not for adding accounts --


@pytest.mark.parametrize(
    ("knob", "permission", "arrives"),
    [
        ("sufficient", "UNIBOX_FULL_ACCESS", True),
        ("insufficient", "UNIBOX_FULL_ACCESS", False),
        ("insufficient", "FULL_ACCESS", True),
    ],
)
def test_permission_to_add_accounts(knob: str, permission: str, arrives: bool) -> None:
    box = Box(plusvibe_inbox_permission=knob)
    _, made, _ = box.exported("sample", permissions=[permission])
    assert (EMAIL in box.accounts(made)) is arrives


# --- Bulk add: 200 accepted, some rows silently missing; Google and Microsoft hosts dropped by knob --


def upload(box: Box, made: str, *emails: str, host: str = "smtp.other.example") -> Any:
    rows = [
        {
            "first_name": "A",
            "last_name": "B",
            "email": email,
            "username": email,
            "password": "x",
            "imap_host": host,
            "imap_port": 993,
            "smtp_host": host,
            "smtp_port": 465,
            "enable_warmup": "no",
        }
        for email in emails
    ]
    return box.plusvibe("POST", "/account/bulk-add-regular-accounts", {"workspace_id": made, "accounts": rows})


def test_bulk_add_is_accepted_and_some_rows_are_silently_missing(box: Box) -> None:
    made = box.sending_workspace()
    box.sandbox.faults.add("rows_lost", items=["b@own.example"])
    assert upload(box, made, "a@own.example", "b@own.example").status == 200
    assert box.accounts(made) == {}
    box.sandbox.advance(300)
    assert list(box.accounts(made)) == ["a@own.example"]


@pytest.mark.parametrize("host", ["smtp.gmail.com", "smtp.office365.com"])
@pytest.mark.parametrize(("position", "count"), [("dropped", 0), ("accepted", 1)])
def test_bulk_add_drops_google_and_microsoft_hosts_by_knob(host: str, position: str, count: int) -> None:
    box = Box(plusvibe_bulk_add_big_hosts=position)
    made = box.sending_workspace()
    assert upload(box, made, "a@own.example", host=host).status == 200
    box.sandbox.advance(300)
    assert len(box.accounts(made)) == count


def test_bulk_add_and_export_of_the_same_address_make_one_account(box: Box, sending: str) -> None:
    upload(box, sending, EMAIL)
    box.sandbox.advance(HOUR)
    assert list(box.accounts(sending)) == [EMAIL]


# --- Analytics absent on day 0, then grow with the simulated clock; a disconnected state with an unexpected name --


def analytics(box: Box, sending: str) -> Any:
    return box.accounts(sending)[EMAIL]["payload"].get("analytics")


def test_analytics_are_absent_on_day_0_and_then_grow(box: Box, sending: str) -> None:
    update(box, sending, **SETTINGS)
    box.sandbox.advance(3 * DAY)
    assert analytics(box, sending) is None  # warmup is still off
    warmup(box, sending)
    assert analytics(box, sending) is None
    sent = []
    box.sandbox.advance(DAY * 0.9)
    for _ in range(20):
        box.sandbox.advance(DAY)
        found = analytics(box, sending)
        assert 90 <= found["health_scores"]["7d_overall_warmup_health"] <= 100
        sent.append(found["daily_counters"]["warmup_email_sent_today"])
    assert sent == sorted(sent)
    assert sent[0] < sent[-1] <= 30


def curve(box: Box, sending: str, days: int) -> list[float]:
    """Return the overall health of each day from the second on."""
    found = []
    for _ in range(days):
        box.sandbox.advance(DAY)
        found.append(analytics(box, sending)["health_scores"]["7d_overall_warmup_health"])
    return found


@pytest.mark.parametrize(
    ("profile", "good", "bad"),
    [
        ("healthy", range(1, 21), ()),
        ("bad_start", range(8, 21), range(1, 5)),
        ("collapse", range(1, 13), range(15, 21)),
        ("recovery", (*range(1, 8), *range(14, 21)), (10, 11)),
    ],
)
def test_figures_develop_by_profile_and_alike_each_time(
    box: Box, sending: str, profile: str, good: Iterable[int], bad: Iterable[int]
) -> None:
    plusvibe.set_profile(box.sandbox.world, EMAIL, profile)
    warmup(box, sending)
    found = dict(enumerate(curve(box, sending, 20), start=1))
    assert all(found[day] >= 90 for day in good)
    assert all(found[day] < 90 for day in bad)
    again = Box()
    place = again.exported("sample")[1]
    plusvibe.set_profile(again.sandbox.world, EMAIL, profile)
    warmup(again, place)
    assert curve(again, place, 20) == list(found.values())


def test_the_control_plane_sets_a_profile(box: Box, sending: str) -> None:
    given = {"email": EMAIL, "profile": "bad_start"}
    answer = control.handle(box.sandbox, Request("POST", "/warmup", body=json.dumps(given).encode()))
    assert answer.status == 200
    warmup(box, sending)
    assert curve(box, sending, 1)[0] < 80
    for wrong in ({"email": EMAIL, "profile": "heavenly"}, {"email": "nobody@x.com", "profile": "healthy"}):
        assert control.handle(box.sandbox, Request("POST", "/warmup", body=json.dumps(wrong).encode())).status == 400


def test_the_switch_says_how_all_others_develop(box: Box, sending: str) -> None:
    box.sandbox.switches.set(plusvibe_warmup_profile="bad_start")
    warmup(box, sending)
    assert curve(box, sending, 1)[0] < 80


def test_days_without_warmup_cost_health_and_do_not_count_as_days(box: Box, sending: str) -> None:
    warmup(box, sending)
    before = curve(box, sending, 8)[-1]
    warmup(box, sending, "INACTIVE")
    resting = curve(box, sending, 5)
    assert resting[-1] == before - 10
    warmup(box, sending)
    box.sandbox.advance(DAY * 0.99)
    assert analytics(box, sending)["daily_counters"]["warmup_email_sent_today"] <= 2 + 2 * 9


def test_pausing_warmup_stops_the_day_s_counter(box: Box, sending: str) -> None:
    warmup(box, sending)
    box.sandbox.advance(2.5 * DAY)
    assert box.plusvibe("POST", "/account/warmup/pause", {"workspace_id": sending, "email": EMAIL}).status == 200
    assert analytics(box, sending)["daily_counters"]["warmup_email_sent_today"] == 0


def test_a_disconnected_account_has_an_unexpected_status(box: Box, sending: str) -> None:
    box.sandbox.faults.add("account_disconnected", items=[EMAIL])
    assert box.accounts(sending)[EMAIL]["status"] == "AUTH_EXPIRED"
    found = box.plusvibe("GET", "/account/status", workspace_id=sending, email=EMAIL).json()
    assert found["status"] == "AUTH_EXPIRED"
    box.sandbox.faults.clear()
    box.sandbox.faults.add("unknown_status", platform="plusvibe", value="NAPPING")
    assert box.accounts(sending)[EMAIL]["status"] == "NAPPING"


def test_an_account_can_be_deleted_and_reconnected(box: Box, sending: str) -> None:
    ids = [box.accounts(sending)[EMAIL]["id"]]
    assert box.plusvibe("POST", "/account/bulk-reconnect", {"workspace_id": sending, "ids": ids}).status == 200
    assert box.plusvibe("POST", "/account/delete", {"workspace_id": sending, "email": EMAIL}).status == 200
    assert box.accounts(sending) == {}


# --- 5 per second per key with 429; 401 on a revoked key; time-out after the effect; truncated JSON there --


def test_five_per_second_counted_in_machine_time() -> None:
    box = Box(plusvibe_per_second=5)
    assert [box.plusvibe("GET", "/authenticate").status for _ in range(6)] == [200] * 5 + [429]
    box.clock.virtual += 10  # virtual seconds alone give no room
    assert box.plusvibe("GET", "/authenticate").status == 429
    box.clock.advance(1)
    assert box.plusvibe("GET", "/authenticate").status == 200


@pytest.mark.parametrize("status", [401, 403])
def test_a_revoked_key_is_refused(status: int) -> None:
    box = Box(plusvibe_unauthorised_status=status)
    assert box.plusvibe("GET", "/authenticate", key="wrong").status == status
    box.sandbox.faults.add("key_revoked", platform="plusvibe")
    assert box.plusvibe("GET", "/authenticate").status == status


def test_a_time_out_after_the_client_was_created_loses_the_password(box: Box) -> None:
    box.sandbox.faults.add("timeout_after", verb="create_client", times=1)
    assert box.ask_client(box.sending_workspace()).wire is Wire.SILENT
    assert [row["client_email"] for row in clients(box)] == ["student@example.com"]


def test_truncated_json_at_the_client_s_creation(box: Box) -> None:
    box.sandbox.faults.add("truncated_body", verb="create_client", times=1)
    answer = box.ask_client(box.sending_workspace())
    assert (answer.wire, answer.body.endswith(b"}")) == (Wire.TRUNCATED, False)
    assert len(clients(box)) == 1


# --- Guard: the simulator refuses to start with production settings --


@pytest.mark.parametrize(
    "environment", [{"PLATFORM_MODE": "live"}, {"PLATFORM_MODE": " LIVE "}, {"STRIPE_SECRET_KEY": "sk_live_1"}]
)
def test_the_simulator_refuses_to_start_with_production_settings(environment: dict[str, str]) -> None:
    with pytest.raises(CannotServe, match="does not start"):
        refuse_production(environment)
