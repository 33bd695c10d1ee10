"""Section 6 of platforms/smartlead.md, "What the sandbox must reproduce": each heading below is one of its lines."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from integrations.sandbox import Request, Response, control, google_world, mailhost, smartlead_world
from integrations.sandbox.smartlead_world import IMAP_OFF, WRONG
from tests.unit.sandbox.kit import DAY, HOUR, Box

ADDRESS, PASSWORD = "sam@acme.io", "Sam-and-nobody-else-1"
ACCOUNTS = "/email-accounts/"
OTHER = "sandbox-smartlead-other-key"
ALL_KINDS = {"lower": "gmail, microsoft", "upper": "GMAIL, OUTLOOK"}
WARM: dict[str, Any] = {
    "warmup_enabled": True,
    "total_warmup_per_day": 30,
    "daily_rampup": 5,
    "reply_rate_percentage": 30,
}


@pytest.fixture
def box() -> Box:
    return a_box()


def a_box(**switches: Any) -> Box:
    box = Box(**switches)
    open_mailbox(box, ADDRESS)
    return box


def open_mailbox(box: Box, address: str, password: str = PASSWORD) -> None:
    mailhost.set_password(box.sandbox.world, address, password, box.clock.now())


def at_google(box: Box, address: str = ADDRESS, *, imap: bool = True) -> str:
    """Let a Google user with a mailbox have made an app password; return it."""
    world, now = box.sandbox.world, box.clock.now()
    world.google_workspace.domains[address.partition("@")[2]] = google_world.Domain(address.partition("@")[2], now, now)
    user = google_world.User(world.hex_id("person"), address, "Sam", "Sample", "Word-4-you", now, imap=imap)
    world.google_workspace.users[user.id] = user
    google_world.switch_two_step(world, address, True)
    return google_world.make_app_password(world, address, "Smartlead", now).value


def save(box: Box, address: str = ADDRESS, password: str = PASSWORD, *, key: str = "", **changes: Any) -> Response:
    body = {
        "id": None, "from_name": "Sam Sample", "from_email": address, "user_name": address, "password": password,
        "smtp_host": "mx1.example", "smtp_port": 465, "imap_host": "mx1.example", "imap_port": 993,
        "warmup_enabled": False, **changes,
    }  # fmt: skip
    return box.smartlead("POST", "/email-accounts/save", body, **({"key": key} if key else {}))


def save_google(box: Box, password: str, **changes: Any) -> Response:
    return save(box, ADDRESS, password, smtp_host="smtp.gmail.com", imap_host="imap.gmail.com", type="GMAIL", **changes)


def saved(box: Box, address: str = ADDRESS, **changes: Any) -> int:
    answer = save(box, address, **changes)
    assert answer.status == 200, answer.body
    return int(answer.json()["emailAccountId"])


def listed(box: Box, **query: Any) -> list[dict[str, Any]]:
    answer = box.smartlead("GET", ACCOUNTS, **query)
    assert answer.status == 200, answer.body
    return list(answer.json())


def detail(box: Box, account: int) -> dict[str, Any]:
    answer = box.smartlead("GET", f"{ACCOUNTS}{account}/")
    assert answer.status == 200, answer.body
    return dict(answer.json())


def stats(box: Box, account: int) -> dict[str, Any]:
    answer = box.smartlead("GET", f"{ACCOUNTS}{account}/warmup-stats")
    assert answer.status == 200, answer.body
    return dict(answer.json())


def warm(box: Box, account: int, **changes: Any) -> Response:
    return box.smartlead("POST", f"{ACCOUNTS}{account}/warmup", {**WARM, **changes})


def told(answer: Response) -> tuple[int, Any]:
    return answer.status, answer.json()


# --- 1. Key in the query only; 403 page for an empty or default Python User-Agent --


@pytest.mark.parametrize("headers", [{}, {"authorization": "Bearer sandbox-smartlead-key"}, {"x-api-key": "x"}])
def test_a_key_is_looked_for_in_the_query_alone(box: Box, headers: dict[str, str]) -> None:
    named = {"user-agent": "gtm-infrastructure", **headers}
    answer = box.sandbox.handle(Request.to("GET", "/smartlead/api/v1/email-accounts/", headers=named))
    assert told(answer) == (401, {"message": "Invalid API Key"})
    assert box.smartlead("GET", ACCOUNTS, key="another").status == 401
    assert box.smartlead("GET", ACCOUNTS).status == 200


def test_a_revoked_key_opens_nothing(box: Box) -> None:
    box.sandbox.faults.add("key_revoked", platform="smartlead")
    assert box.smartlead("GET", ACCOUNTS).status == 401


@pytest.mark.parametrize("agent", ["", "python-requests/2.32", "Python-urllib/3.11", "aiohttp/3.9", "httpx/0.27"])
@pytest.mark.parametrize(("rule", "status"), [("python_refused", 403), ("any", 200)])
def test_the_edge_refuses_pythons_own_agents(agent: str, rule: str, status: int) -> None:
    answer = Box(smartlead_user_agent=rule).smartlead("GET", ACCOUNTS, agent=agent)
    assert answer.status == status
    assert answer.body.startswith(b"<!doctype html>") is (status == 403)


# --- 2. Bare arrays, limit 100, partial `username` match that returns neighbours --


def test_lists_are_bare_arrays_with_offset_and_limit(box: Box) -> None:
    for number in range(3):
        open_mailbox(box, f"s{number}@acme.io")
        saved(box, f"s{number}@acme.io")
    assert [row["from_email"] for row in listed(box, offset=1, limit=1)] == ["s1@acme.io"]
    assert len(listed(box, limit=2)) == 2
    assert listed(box, offset=3) == []
    assert told(box.smartlead("GET", ACCOUNTS, limit=101)) == (
        422,
        {"error": "limit must be less than or equal to 100"},
    )
    for wrong in ({"limit": 0}, {"offset": -1}, {"offset": "x"}):
        assert box.smartlead("GET", ACCOUNTS, **wrong).status == 422


def test_the_slash_at_the_end_matters(box: Box) -> None:
    assert box.smartlead("GET", "/email-accounts").status == 404


def test_a_search_finds_neighbours(box: Box) -> None:
    for address in ("pam.sam@acme.io", "kim@acme.io"):
        open_mailbox(box, address)
        saved(box, address)
    saved(box)
    assert [row["from_email"] for row in listed(box, username="SAM@")] == ["pam.sam@acme.io", ADDRESS]


def test_lists_are_filtered(box: Box) -> None:
    open_mailbox(box, "kim@acme.io")
    one, other = saved(box, client_id=7), saved(box, "kim@acme.io", warmup_enabled=True)
    for query, found in (
        ({"client_id": 7}, [one]),
        ({"esp": "SMTP"}, [one, other]),
        ({"esp": "GMAIL"}, []),
        ({"emailWarmupStatus": "ACTIVE"}, [other]),
        ({"isSmtpSuccess": "true"}, [one, other]),
        ({"isWarmupBlocked": "true"}, []),
        ({"isInUse": "true"}, []),
    ):
        assert [row["id"] for row in listed(box, **query)] == found


def test_ids_are_found_by_address_or_by_nothing_at_all(box: Box) -> None:
    account = saved(box)
    asked = {"email_ids": [ADDRESS.upper(), "nobody@acme.io"]}
    answer = box.smartlead("POST", "/email-accounts/tag-list", asked)
    assert answer.json() == {"data": [{"email_account_id": account, "email_id": ADDRESS, "tags": []}]}
    box.sandbox.switches.set(smartlead_tag_list="absent")
    assert box.smartlead("POST", "/email-accounts/tag-list", asked).status == 400


# --- 3. Save: real login; both ALREADY_EXIST variants; 400 or 406; SMTP ok + IMAP bad; three success shapes --


def test_both_logins_are_tried_before_the_answer(box: Box) -> None:
    assert save(box, password="not the one").status == 400
    assert save(box, imap_user_name="nobody@acme.io").status == 200
    row = listed(box)[0]
    assert (row["is_smtp_success"], row["is_imap_success"], row["is_different_imap_account"]) == (True, False, True)
    assert (row["smtp_failure_error"], row["imap_failure_error"]) == (None, WRONG["imap"])


@pytest.mark.parametrize(
    ("form", "status", "names"),
    [
        ("400 code", 400, {"ok", "message", "error", "errorCode"}),
        ("400 message", 400, {"ok", "message", "error"}),
        ("406 code", 406, {"ok", "message", "error", "errorCode"}),
    ],
)
def test_a_failed_login_has_three_forms(form: str, status: int, names: set[str]) -> None:
    answer = save(a_box(smartlead_login_failure=form), password="not the one")
    assert (answer.status, set(answer.json()), answer.json()["ok"]) == (status, names, False)
    assert answer.json().get("errorCode", "ACCOUNT_VERIFICATION_FAILED") == "ACCOUNT_VERIFICATION_FAILED"


@pytest.mark.parametrize(("rule", "status", "rows"), [("saved", 200, 1), ("refused", 400, 0)])
def test_google_refuses_imap_that_is_off_while_smtp_works(rule: str, status: int, rows: int) -> None:
    box = a_box(smartlead_imap_failure=rule)
    password = at_google(box, imap=False)
    answer = save_google(box, password)
    assert (answer.status, len(listed(box))) == (status, rows)
    said = listed(box)[0]["imap_failure_error"] if rows else answer.json()["error"]
    assert said == IMAP_OFF


def test_at_google_only_an_app_password_opens(box: Box) -> None:
    password = at_google(box)
    assert save_google(box, "Word-4-you").status == 400
    spaced = f"{password[:4]} {password[4:8]} {password[8:12]} {password[12:]}"
    assert save_google(box, spaced).status == 200


def test_a_fresh_app_password_may_be_refused_for_a_while() -> None:
    box = a_box(smartlead_fresh_password_seconds=300.0)
    password = at_google(box)
    assert save_google(box, password).status == 400
    box.sandbox.advance(301)
    assert save_google(box, password).status == 200


def test_a_duplicate_of_ours_names_its_id(box: Box) -> None:
    account = saved(box)
    answer = save(box, ADDRESS.upper())
    assert told(answer)[0] == 400
    assert (answer.json()["errorCode"], answer.json()["emailAccountId"]) == ("ACCOUNT_ALREADY_EXIST", account)
    assert len(listed(box)) == 1


def test_a_duplicate_across_users_names_none(box: Box) -> None:
    saved(box)
    answer = save(box, key=OTHER)
    assert (answer.status, answer.json()["errorCode"]) == (400, "ACCOUNT_ALREADY_EXIST")
    assert answer.json()["emailAccountId"] is None
    assert box.smartlead("GET", ACCOUNTS, key=OTHER).json() == []
    box.sandbox.switches.set(smartlead_held_addresses="kim@acme.io lee@acme.io")
    open_mailbox(box, "lee@acme.io")
    assert save(box, "lee@acme.io").json()["emailAccountId"] is None


def test_users_do_not_see_each_others_accounts(box: Box) -> None:
    account = saved(box)
    for method, path in (("GET", f"{ACCOUNTS}{account}/"), ("DELETE", f"{ACCOUNTS}{account}")):
        assert box.smartlead(method, path, key=OTHER).status == 404
    assert save(box, id=account, key=OTHER).json()["errorCode"] == "ACCOUNT_NOT_FOUND"


@pytest.mark.parametrize(
    ("form", "names"),
    [("old", {"ok", "message", "emailAccountId", "warmupKey"}), ("new", {"ok", "message", "data"}), ("openapi", {"ok", "id"})],
)  # fmt: skip
def test_a_save_has_three_shapes_of_success(form: str, names: set[str]) -> None:
    answer = save(a_box(smartlead_save_reply=form))
    assert set(answer.json()) == names
    if form == "new":
        assert answer.json()["data"]["is_smtp_success"] is True
        assert set(answer.json()["data"]["warmup_details"]) == {"status", "total_warmup_per_day"}


def test_a_save_with_an_id_gives_a_new_password_and_keeps_the_rest(box: Box) -> None:
    account = saved(box, max_email_per_day=33)
    open_mailbox(box, ADDRESS, "a-new-one")
    assert save(box, id=account).status == 400
    assert saved(box, id=account, password="a-new-one") == account
    assert (detail(box, account)["message_per_day"], len(listed(box))) == (33, 1)
    assert told(save(box, id=99))[0] == 404


@pytest.mark.parametrize("missing", ["from_name", "from_email", "user_name", "password", "smtp_host", "imap_port"])
def test_what_is_demanded(box: Box, missing: str) -> None:
    without: dict[str, Any] = {missing: None}
    assert save(box, **without).status == 400
    assert save(box, type="ZOHO").status == 400
    assert save(box, warmup_enabled="yes").status == 400
    assert listed(box) == []


def test_a_plan_may_have_a_limit() -> None:
    box = a_box(smartlead_max_accounts=1)
    saved(box)
    open_mailbox(box, "kim@acme.io")
    assert "limit of email accounts" in save(box, "kim@acme.io").json()["error"]


def by_token(box: Box, access: str, **changes: Any) -> Response:
    tokens = {"access_token": access, "refresh_token": "refresh-1", "expiry_date": 1_900_000_000_000}
    body = {"from_name": "Sam", "from_email": ADDRESS, "token": tokens, "type": "gmail", **changes}
    return box.smartlead("POST", "/email-accounts/save-oauth", body)


def test_tokens_are_brought_along_and_open_both_doors(box: Box) -> None:
    at_google(box)
    held = google_world.Token(ADDRESS, frozenset({google_world.MAIL}), box.clock.now() + DAY)
    box.sandbox.world.google_workspace.tokens["ya29.sam"] = held
    assert by_token(box, "ya29.nobody").status == 400
    for wrong in ({"type": "GMAIL"}, {"token": "ya29.sam"}, {"token": {"access_token": "ya29.sam"}}):
        assert by_token(box, "ya29.sam", **wrong).status == 400
    assert set(by_token(box, "ya29.sam").json()) == {"ok", "id"}
    row = listed(box)[0]
    assert (row["password"], row["imap_password"], row["type"]) == (None, None, "GMAIL")
    assert row["is_smtp_success"] is row["is_imap_success"] is True
    assert by_token(box, "ya29.sam").json()["errorCode"] == "ACCOUNT_ALREADY_EXIST"


@pytest.mark.parametrize(("form", "taken", "refused"), [("lower", "gmail", "GMAIL"), ("upper", "GMAIL", "gmail")])
def test_kinds_have_other_names_by_token(form: str, taken: str, refused: str) -> None:
    box = a_box(smartlead_oauth_types=form)
    at_google(box)
    held = google_world.Token(ADDRESS, frozenset({google_world.MAIL}), box.clock.now() + DAY)
    box.sandbox.world.google_workspace.tokens["ya29.sam"] = held
    assert by_token(box, "ya29.sam", type=refused).json() == {"error": f"type must be one of {ALL_KINDS[form]}"}
    assert by_token(box, "ya29.sam", type=taken).status == 200


# --- 4. Write and read names differ; list and detail differ; warmup_details null at first; strings as numbers; "98%" --


def test_what_is_written_is_read_under_other_names(box: Box) -> None:
    account = saved(box)
    sent = {
        "max_email_per_day": 0, "from_name": "Sam S", "custom_tracking_url": "https://emailtracking.acme.io",
        "bcc": "crm@acme.io", "signature": "Sam", "time_to_wait_in_mins": 7, "client_id": 3,
    }  # fmt: skip
    answer = box.smartlead("POST", f"{ACCOUNTS}{account}", sent)
    assert told(answer) == (
        200,
        {"ok": True, "message": "Email account details updated successfully!", "emailAccountId": account},
    )
    row = listed(box)[0]
    names = ("message_per_day", "from_name", "custom_tracking_domain", "bcc_email", "signature", "minTimeToWaitInMins")
    assert [row[name] for name in names] == [0, "Sam S", "http://emailtracking.acme.io", "crm@acme.io", "Sam", 7]
    assert not {"max_email_per_day", "user_name", "custom_tracking_url"} & set(row)
    assert box.smartlead("PATCH", f"{ACCOUNTS}{account}", sent).status == 404
    assert box.smartlead("POST", f"{ACCOUNTS}{account}", {"max_email_per_day": 9, "client_id": "x"}).status == 400
    assert detail(box, account)["message_per_day"] == 0


def test_the_detail_has_more_and_less_than_the_list(box: Box) -> None:
    account = saved(box, warmup_enabled=True)
    row, one = listed(box)[0], detail(box, account)
    assert set(row) - set(one) == {"campaign_count", "minTimeToWaitInMins", "tags"}
    assert set(one) - set(row) == {"is_suspended", "use_whitelabel_credentials"}
    assert set(one["warmup_details"]) - set(row["warmup_details"]) == {"id", "created_at", "is_warmup_blocked"}
    assert isinstance(one["warmup_details"]["warmup_reputation"], int)
    assert box.smartlead("GET", f"{ACCOUNTS}99/").status == 404
    box.sandbox.switches.set(smartlead_tags_in_lists=False)
    assert "tags" not in listed(box)[0]


def test_there_are_no_warmup_details_before_warmup_was_ever_on(box: Box) -> None:
    account = saved(box)
    assert listed(box)[0]["warmup_details"] is None
    warm(box, account)
    assert listed(box)[0]["warmup_details"]["status"] == "ACTIVE"
    warm(box, account, warmup_enabled=False)
    assert listed(box)[0]["warmup_details"]["status"] == "INACTIVE"


@pytest.mark.parametrize(("form", "kind"), [("text", str), ("number", int)])
def test_a_reputation_is_a_text_or_a_number(form: str, kind: type) -> None:
    box = a_box(smartlead_reputation_as=form)
    saved(box, warmup_enabled=True)
    assert isinstance(listed(box)[0]["warmup_details"]["warmup_reputation"], kind)


def test_writes_answer_in_full_or_with_ok_alone(box: Box) -> None:
    account = saved(box)
    assert set(warm(box, account).json()) == {"ok", "message", "emailAccountId", "warmupKey"}
    assert warm(box, account, warmup_key_id="brass-sleep").json()["warmupKey"] == "brass-sleep"
    box.sandbox.switches.set(smartlead_write_reply="bare")
    assert warm(box, account).json() == {"ok": True}


@pytest.mark.parametrize("form", ["old", "new", "openapi"])
def test_figures_come_in_three_documents(form: str) -> None:
    box = a_box(smartlead_stats_reply=form)
    account = saved(box, **WARM)
    box.sandbox.advance(9 * DAY)
    seen = stats(box, account)
    match form:
        case "old":
            assert all(isinstance(seen[name], str) for name in ("sent_count", "spam_count", "inbox_count"))
            assert int(seen["sent_count"]) == sum(row["sent_count"] for row in seen["stats_by_date"]) > 100
            assert len(seen["stats_by_date"]) == 7
        case "new":
            assert seen["total_sent"] == sum(row["sent"] for row in seen["daily_stats"])
            assert seen["reputation_score"] > 90
        case "openapi":
            assert (seen["days_in_warmup"], seen["total_inbox"] + seen["total_spam"]) == (9, seen["total_sent"])


# --- Warmup over virtual days --


def test_warmup_climbs_by_its_step_to_its_most(box: Box) -> None:
    account = saved(box, **{**WARM, "total_warmup_per_day": 15})
    box.sandbox.advance(5 * DAY)
    rows = stats(box, account)["stats_by_date"]
    assert [row["sent_count"] for row in rows[1:5]] == [3, 8, 13, 15]
    assert [row["reply_count"] for row in rows[1:5]] == [0, 2, 3, 4]
    warm(box, account, is_rampup_enabled=False, total_warmup_per_day=15)
    assert [row["sent_count"] for row in stats(box, account)["stats_by_date"][1:5]] == [15] * 4


def test_nothing_is_sent_while_warmup_is_off_or_the_account_suspended(box: Box) -> None:
    account = saved(box, **WARM)
    box.sandbox.advance(3 * DAY)
    assert told(box.smartlead("PUT", f"/email-accounts/suspend/{account}")) == (200, {"ok": True})
    assert detail(box, account)["is_suspended"] is True
    box.sandbox.advance(3 * DAY)
    assert box.smartlead("POST", f"/email-accounts/unsuspend/{account}").status == 404  # the verb is DELETE
    assert told(box.smartlead("DELETE", f"/email-accounts/unsuspend/{account}")) == (200, {"ok": True})
    assert len(stats(box, account)["stats_by_date"]) == 4
    box.sandbox.advance(DAY)
    assert len(stats(box, account)["stats_by_date"]) == 5
    box.smartlead("POST", f"{ACCOUNTS}{account}", {"max_email_per_day": 0})
    box.sandbox.advance(DAY)
    assert stats(box, account)["stats_by_date"][-2]["sent_count"] > 0  # campaigns stop, warmup goes on


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
def test_figures_develop_by_scenario(scenario: str, good: tuple[int, ...], bad: tuple[int, ...]) -> None:
    box = a_box(smartlead_scenario=scenario)
    account = saved(box, **WARM)
    shares: dict[int, float] = {}
    for day in range(1, 31):
        box.sandbox.advance(DAY)
        seen = stats(box, account)
        shares[day] = 100 * int(seen["inbox_count"]) / int(seen["sent_count"])
    assert [day for day in good if shares[day] < 90] == []
    assert [day for day in bad if shares[day] >= 90] == []


def test_a_reputation_falls_while_warmup_is_off(box: Box) -> None:
    account = saved(box, **WARM)
    box.sandbox.advance(10 * DAY)
    before = detail(box, account)["warmup_details"]["warmup_reputation"]
    warm(box, account, warmup_enabled=False)
    box.sandbox.advance(10 * DAY)
    assert detail(box, account)["warmup_details"]["warmup_reputation"] == before - 20


@pytest.mark.parametrize(("rule", "days"), [("gone", 0), ("kept", 5)])
def test_the_history_of_a_deleted_account(rule: str, days: int) -> None:
    box = a_box(smartlead_deleted_history=rule, smartlead_stats_reply="openapi")
    account = saved(box, **WARM)
    box.sandbox.advance(5 * DAY)
    assert told(box.smartlead("DELETE", f"{ACCOUNTS}{account}")) == (200, {"ok": True})
    assert [box.smartlead("DELETE", f"{ACCOUNTS}{account}").status, listed(box)] == [404, []]
    box.sandbox.advance(DAY)
    assert stats(box, saved(box, **WARM))["days_in_warmup"] == days


# --- 5. Passwords in list replies, so that a leak in logs is caught by tests --


@pytest.mark.parametrize("form", ["plain", "base64"])
def test_lists_show_passwords_to_whoever_has_the_key(form: str) -> None:
    box = a_box(smartlead_passwords_as=form)
    account = saved(box)
    for row in (listed(box)[0], detail(box, account)):
        shown = row["password"]
        assert (base64.b64decode(shown).decode() if form == "base64" else shown) == PASSWORD
    assert PASSWORD not in str(box.sandbox.state()) + repr(box.sandbox.log.entries)
    assert "sandbox-smartlead-key" not in str(box.sandbox.state()) + repr(box.sandbox.log.entries)
    assert "sandbox-smartlead-key" not in json.dumps(box.sandbox.quotas.snapshot())


# --- 6. All error shapes; 200 with `ok:false`; text path -> 400 --


@pytest.mark.parametrize("path", ["list", "save-many", "abc"])
def test_a_text_where_an_id_belongs_is_an_update(box: Box, path: str) -> None:
    answer = box.smartlead("POST", f"/email-accounts/{path}", {"from_name": "X"})
    assert told(answer) == (400, {"error": '"account_id" must be a number'})


@pytest.mark.parametrize("status", [400, 422])
@pytest.mark.parametrize(
    ("form", "names"),
    [("error", {"error"}), ("guide", {"error"}), ("validation", {"statusCode", "error", "message", "validation"})],
)
def test_a_missing_member_is_told_in_three_forms(form: str, names: set[str], status: int) -> None:
    box = a_box(smartlead_error_form=form, smartlead_validation_status=status)
    answer = save(box, from_name="")
    assert (answer.status, set(answer.json())) == (status, names)
    if form == "guide":
        assert answer.json()["error"]["code"] == "VALIDATION_ERROR"
        assert answer.json()["error"]["details"]["field"] == "from_name"
    if form == "validation":
        assert answer.json()["validation"] == {"source": "body", "keys": ["from_name"]}


def test_refusals_may_come_under_200_but_not_those_of_the_key_or_a_limit() -> None:
    box = a_box(smartlead_refusal="200", smartlead_reconnects_per_day=1)
    assert told(save(box, password="not the one"))[0] == 200
    missing = box.smartlead("GET", f"{ACCOUNTS}99/")
    assert told(missing) == (200, {"success": False, "error": "Email account not found"})
    assert box.smartlead("GET", ACCOUNTS, key="another").status == 401
    reconnect = [box.smartlead("POST", "/email-accounts/reconnect-failed-email-accounts", {}) for _ in range(2)]
    assert [answer.status for answer in reconnect] == [200, 429]


# --- 7. 429 with headers at a configurable limit; `Retry-After`; counter per key; reconnect limit 3 per day --


def test_limits_are_counted_per_key_and_said_in_headers() -> None:
    box = Box(smartlead_per_minute=2)
    answers = [box.smartlead("GET", ACCOUNTS) for _ in range(3)]
    assert [answer.status for answer in answers] == [200, 200, 429]
    assert [answer.headers["x-ratelimit-remaining"] for answer in answers] == ["1", "0", "0"]
    assert answers[0].headers["x-ratelimit-limit"] == "2"
    assert answers[2].json()["error"]["code"] == "RATE_LIMIT_EXCEEDED"
    assert answers[2].json()["error"]["retry_after"] == int(answers[2].headers["retry-after"]) == 61
    assert box.smartlead("GET", ACCOUNTS, key=OTHER).status == 200
    box.sandbox.advance(61)
    assert box.smartlead("GET", ACCOUNTS).status == 200


@pytest.mark.parametrize(
    ("limits", "window"),
    [({"smartlead_per_2_seconds": 1}, 2), ({"smartlead_per_minute": 1}, 60), ({"smartlead_per_hour": 1}, 3600)],
)
def test_each_of_the_three_windows_is_kept(limits: dict[str, int], window: int) -> None:
    box = Box(**limits)
    assert [box.smartlead("GET", ACCOUNTS).status for _ in range(2)] == [200, 429]
    box.sandbox.advance(window + 1)
    assert box.smartlead("GET", ACCOUNTS).status == 200


@pytest.mark.parametrize(
    ("advice", "header", "body"),
    [("both", True, True), ("header", True, False), ("body", False, True), ("none", False, False)],
)
def test_how_a_429_advises(advice: str, header: bool, body: bool) -> None:
    box = Box(smartlead_per_minute=1, smartlead_429_advice=advice)
    box.smartlead("GET", ACCOUNTS)
    answer = box.smartlead("GET", ACCOUNTS)
    assert ("retry-after" in answer.headers, "retry_after" in answer.json()["error"]) == (header, body)


def test_failed_accounts_are_reconnected_three_times_a_day(box: Box) -> None:
    account = saved(box)
    open_mailbox(box, ADDRESS, "a-new-one")
    box.sandbox.advance(2 * HOUR)
    assert detail(box, account)["is_smtp_success"] is False
    open_mailbox(box, ADDRESS)  # what opened it before opens it again
    box.sandbox.advance(2 * HOUR)
    assert detail(box, account)["is_smtp_success"] is False  # nobody has told them
    path = "/email-accounts/reconnect-failed-email-accounts"
    assert box.smartlead("POST", path, {}).status == 200
    assert detail(box, account)["is_smtp_success"] is True
    assert [box.smartlead("POST", path, {}).status for _ in range(3)] == [200, 200, 429]
    box.sandbox.advance(DAY + 1)
    assert box.smartlead("POST", path, {}).status == 200


# --- 8. Account saved but the reply lost; disconnected later; warmup blocked --


def test_an_account_is_saved_although_the_answer_is_lost(box: Box) -> None:
    box.sandbox.faults.add("reset_after", platform="smartlead", verb="save_account", items=(ADDRESS,), times=1)
    assert save(box).wire == "reset"
    assert [row["from_email"] for row in listed(box)] == [ADDRESS]
    assert save(box).json()["emailAccountId"] == listed(box)[0]["id"]


def test_an_answer_may_come_without_anything_having_happened(box: Box) -> None:
    box.sandbox.faults.add("nothing_happens", platform="smartlead", verb="save_account", times=1)
    assert save(box).status == 200
    assert listed(box) == []
    account = saved(box)
    for verb in ("update_account", "set_warmup"):
        box.sandbox.faults.add("nothing_happens", platform="smartlead", verb=verb, times=1)
    box.smartlead("POST", f"{ACCOUNTS}{account}", {"max_email_per_day": 9})
    warm(box, account)
    assert (listed(box)[0]["message_per_day"], listed(box)[0]["warmup_details"]) == (50, None)


@pytest.mark.parametrize("seconds", [3600.0, 7200.0])
def test_a_password_that_changed_shows_at_the_next_check_and_stops_warmup(seconds: float) -> None:
    box = a_box(smartlead_check_seconds=seconds)
    account = saved(box, **WARM)
    open_mailbox(box, ADDRESS, "a-new-one")
    box.sandbox.advance(seconds - 1)
    assert detail(box, account)["is_smtp_success"] is True
    box.sandbox.advance(2)
    row = detail(box, account)
    assert (row["is_smtp_success"], row["smtp_failure_error"]) == (False, WRONG["smtp"])
    box.sandbox.advance(3 * DAY)
    assert len(stats(box, account)["stats_by_date"]) == 1
    saved(box, id=account, password="a-new-one", warmup_enabled=True)
    assert detail(box, account)["is_smtp_success"] is True


def test_a_deleted_account_is_checked_no_more(box: Box) -> None:
    box.smartlead("DELETE", f"{ACCOUNTS}{saved(box)}")
    box.sandbox.advance(2 * HOUR)
    assert box.sandbox.world.events == []


def test_an_account_may_be_disconnected_and_its_warmup_state_a_word_nobody_knows(box: Box) -> None:
    account = saved(box, **WARM)
    box.sandbox.faults.add("unknown_status", platform="smartlead", value="THROTTLED", times=1)
    assert [detail(box, account)["warmup_details"]["status"] for _ in range(2)] == ["THROTTLED", "ACTIVE"]
    box.sandbox.faults.add("account_disconnected", platform="smartlead", items=(ADDRESS,))
    row = listed(box)[0]
    assert (row["is_smtp_success"], row["is_imap_success"], bool(row["smtp_failure_error"])) == (False, False, True)


def test_warmup_may_be_blocked_on_its_fifth_day(box: Box) -> None:
    account = saved(box, **WARM)
    for body in (
        {"platform": "smartlead", "email": ADDRESS, "profile": "blocked"},
        {"platform": "smartlead", "email": ADDRESS, "profile": "flying"},
        {"platform": "smartlead", "email": "nobody@acme.io", "profile": "blocked"},
    ):
        content = json.dumps(body).encode()
        answer = control.handle(box.sandbox, Request.to("POST", "/warmup", body=content))
        assert answer.status == (200 if body["profile"] == "blocked" and body["email"] == ADDRESS else 400)
    box.sandbox.advance(8 * DAY)
    details = detail(box, account)["warmup_details"]
    assert (details["status"], details["is_warmup_blocked"], bool(details["blocked_reason"])) == ("PAUSED", True, True)
    assert len(stats(box, account)["stats_by_date"]) < 6
    assert [row["id"] for row in listed(box, isWarmupBlocked="true")] == [account]
    assert smartlead_world.set_scenario(box.sandbox.world, ADDRESS, "") == 1
    assert detail(box, account)["warmup_details"]["status"] == "ACTIVE"


def test_lists_may_lag_and_be_shuffled(box: Box) -> None:
    box.sandbox.faults.add("list_lag", platform="smartlead", seconds=60.0)
    account = saved(box)
    assert listed(box) == []
    assert box.smartlead("POST", "/email-accounts/tag-list", {"email_ids": [ADDRESS]}).json() == {"data": []}
    assert detail(box, account)["id"] == account
    box.sandbox.advance(61)
    assert len(listed(box)) == 1


# --- 9. Bounds of 2.6 strict or lax; `max_email_per_day` 0 accepted --


@pytest.mark.parametrize(("rule", "status"), [("strict", 400), ("lax", 200)])
@pytest.mark.parametrize(
    "values",
    [{"total_warmup_per_day": 51}, {"daily_rampup": 2}, {"daily_rampup": 21}, {"reply_rate_percentage": 19}],
)
def test_values_of_warmup_have_bounds_or_none(rule: str, status: int, values: dict[str, int]) -> None:
    box = a_box(smartlead_warmup_bounds=rule)
    account = saved(box)
    answer = warm(box, account, **values)
    assert answer.status == status
    assert (listed(box)[0]["warmup_details"] is None) is (status == 400)
    for name in values:
        assert warm(box, account, **{name: -1}).status == 400


def test_a_limit_of_nothing_is_taken(box: Box) -> None:
    assert detail(box, saved(box, max_email_per_day=0))["message_per_day"] == 0


# --- What every simulated platform owes --


def test_the_log_and_the_state_name_what_a_request_was_about(box: Box) -> None:
    account = saved(box, **WARM)
    listed(box, username="sam@")
    listed(box, limit=1)
    detail(box, account)
    entries = [(entry.verb, entry.items, entry.path) for entry in box.sandbox.log]
    assert entries == [
        ("save_account", (ADDRESS,), "/email-accounts/save"),
        ("list_accounts", ("sam@",), ACCOUNTS),
        ("check_key", (), ACCOUNTS),
        ("get_account", (str(account),), f"{ACCOUNTS}{account}/"),
    ]
    (one,) = box.sandbox.state()["smartlead"]["accounts"]
    assert (one["email"], one["by"], one["warmup"], one["failures"]) == (
        ADDRESS,
        "password",
        True,
        {"smtp": "", "imap": ""},
    )


def test_the_pages_show_the_accounts(box: Box) -> None:
    saved(box, **WARM)
    page = box.sandbox.handle(Request.to("GET", "/")).body.decode()
    assert ADDRESS in page
    assert PASSWORD not in page
