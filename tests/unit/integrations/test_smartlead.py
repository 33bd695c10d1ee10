"""What Smartlead is asked, and what its answers mean in every shape they come in."""

from __future__ import annotations

import csv
import io
import json
import logging
import socket
import traceback
from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from config.logs import KeyValueFormatter, RedactingFilter
from infra.estate import exports
from integrations.http.call import Call, Proof, Raw
from integrations.http.errors import (
    AlreadyExists,
    BadCredentials,
    NotFound,
    OutcomeUnknown,
    PlatformError,
    RateLimited,
    Rejected,
    Unavailable,
)
from integrations.http.gate import judge
from integrations.http.redact import Hidden, without_secrets
from integrations.http.transport import HttpTransport
from integrations.logins import Login
from integrations.smartlead import (
    AccountSettings,
    AppPassword,
    NewAccount,
    SmartleadClient,
    SmartleadSettings,
    WarmupDay,
    WarmupSettings,
)
from integrations.smartlead_import import IMPORT_COLUMNS, UnsafeForSpreadsheets, import_file

from .socket_server import answer as served
from .socket_server import receive_request, reset, serving
from .verbs import BY_TOKENS, KEYS, smartlead

ADDRESS = "sam@acme.io"
DOOR = Login("smtp.gmail.com", 465, ADDRESS, Hidden("abcd efgh ijkl mnop"))
BY_PASSWORD = AppPassword(DOOR, replace(DOOR, host="imap.gmail.com", port=993))
NEW = NewAccount(" Sam@Acme.io", "Sam Sample", BY_PASSWORD)
SAVE = smartlead.save_account(NEW)
DETAILS = {
    "status": "ACTIVE", "reply_rate": 30, "warmup_key_id": "brass-sleep", "blocked_reason": None,
    "total_sent_count": 40, "total_spam_count": 0, "warmup_min_count": 3, "warmup_max_count": 20,
    "max_email_per_day": 20, "warmup_reputation": "98%", "warmup_created_at": "2026-11-20T09:00:00.000Z",
}  # fmt: skip
ROW: dict[str, Any] = {
    "id": 2849, "user_id": 456, "from_name": "Sam Sample", "from_email": "Sam@acme.io", "username": ADDRESS,
    "password": "the mailbox password", "smtp_host": "smtp.gmail.com", "smtp_port": 465, "imap_host": "imap.gmail.com",
    "imap_password": "the imap password", "message_per_day": 50, "minTimeToWaitInMins": 5,
    "custom_tracking_domain": "http://emailtracking.acme.io", "is_smtp_success": True, "is_imap_success": True,
    "smtp_failure_error": None, "imap_failure_error": None, "type": "GMAIL", "daily_sent_count": 12, "client_id": None,
    "warmup_details": DETAILS,
}  # fmt: skip


def answer(call: Call[Any], body: Any, status: int = 200, headers: dict[str, str] | None = None) -> Any:
    return judge(call, Raw(status, headers or {}, body if isinstance(body, bytes) else json.dumps(body).encode()))


def error(call: Call[Any], body: Any, status: int = 400, headers: dict[str, str] | None = None) -> PlatformError:
    with pytest.raises(PlatformError) as caught:
        answer(call, body, status, headers)
    return caught.value


def code(call: Call[Any], body: Any, status: int = 400) -> str:
    found = error(call, body, status)
    assert isinstance(found, Rejected), found
    return found.code


class TestKey:
    call = smartlead.list_accounts()
    key = KEYS["smartlead"]

    def test_it_is_in_no_part_of_a_request_that_is_shown_or_stored(self) -> None:
        request = self.call.request
        assert request.secret_query == {"api_key": self.key}
        assert self.key not in f"{self.call!r} {request.url} {request.query} {request.headers} {request.json}"

    def test_an_intent_is_the_same_under_another_key(self) -> None:
        other = SmartleadClient(SmartleadSettings(Hidden("another-key-1234")))
        assert other.list_accounts().request.digest(b"k") == self.call.request.digest(b"k")
        assert other.save_account(NEW).request.digest(b"k") == SAVE.request.digest(b"k")

    def test_it_goes_out_in_the_query_with_our_own_user_agent_and_into_no_log(self) -> None:
        seen: list[bytes] = []

        def behaviour(connection: socket.socket, number: int) -> None:
            seen.append(receive_request(connection))
            connection.sendall(
                served(json.dumps({"error": f"GET /?api_key={self.key} is not allowed"}).encode(), "400 No")
            )

        lines = io.StringIO()
        handler = logging.StreamHandler(lines)
        handler.addFilter(RedactingFilter())
        handler.setFormatter(KeyValueFormatter())
        wire, transport = logging.getLogger("urllib3"), HttpTransport()
        before = wire.level
        wire.addHandler(handler)
        wire.setLevel(logging.DEBUG)
        try:
            with serving(behaviour) as server:
                settings = SmartleadSettings(Hidden(self.key), base_url=server.url)
                call = SmartleadClient(settings).list_accounts(0, "a+b@acme.io")
                with pytest.raises(Rejected) as caught:
                    judge(call, transport.send(call))
        finally:
            wire.removeHandler(handler)
            wire.setLevel(before)
            transport.close()
        head = seen[0].decode()
        assert head.startswith("GET /email-accounts/?offset=0&limit=100&username=a%2Bb%40acme.io&api_key=" + self.key)
        assert "user-agent: gtm-infrastructure" in head.lower()
        assert "/email-accounts/" in lines.getvalue()
        shown = lines.getvalue() + str(caught.value) + "".join(traceback.format_exception(caught.value))
        assert self.key not in shown

    def test_a_request_that_breaks_off_names_no_address(self) -> None:
        def behaviour(connection: socket.socket, number: int) -> None:
            receive_request(connection)
            reset(connection)

        with serving(behaviour) as server:
            call = SmartleadClient(SmartleadSettings(Hidden(self.key), base_url=server.url)).save_account(NEW)
            with pytest.raises(OutcomeUnknown) as caught:
                HttpTransport().send(call)
        assert self.key not in "".join(traceback.format_exception(caught.value))

    @pytest.mark.parametrize("status", [401, 403])
    def test_a_wrong_one_is_a_matter_of_credentials(self, status: int) -> None:
        assert isinstance(error(self.call, {"message": "Invalid API Key"}, status), BadCredentials)

    def test_a_page_of_the_edge_is_not_quoted(self) -> None:
        refused = error(self.call, b"<html>blocked: password of the day</html>", 403)
        assert (type(refused), refused.sentence) == (BadCredentials, "")

    def test_one_row_tells_a_key_from_none(self) -> None:
        call = smartlead.check_key()
        assert call.request.query == {"limit": "1"}
        assert answer(call, [])


class TestSave:
    def test_by_password(self) -> None:
        assert (SAVE.request.method, SAVE.request.url.endswith("/email-accounts/save")) == ("POST", True)
        assert SAVE.request.json == {
            "id": None, "from_name": "Sam Sample", "from_email": ADDRESS, "user_name": ADDRESS,
            "password": "abcd efgh ijkl mnop", "smtp_host": "smtp.gmail.com", "smtp_port": 465,
            "imap_host": "imap.gmail.com", "imap_port": 993, "type": "GMAIL", "warmup_enabled": False,
        }  # fmt: skip
        assert (SAVE.items, SAVE.proof, SAVE.repeatable, SAVE.deadline) == ((ADDRESS,), Proof.ANSWER, True, 60.0)

    def test_everything_that_may_come_along(self) -> None:
        imap = Login("imap.gmail.com", 993, "other@acme.io", Hidden("another password"))
        settings = AccountSettings(per_day=0, tracking_host="https://EmailTracking.acme.io/", gap_minutes=5)
        new = replace(NEW, credential=AppPassword(DOOR, imap), settings=settings, warmup=WarmupSettings())
        client = SmartleadClient(SmartleadSettings(Hidden("key-123456"), client_id=7))
        body = client.save_account(new, 2849).request.json
        assert (body["id"], body["client_id"], body["max_email_per_day"], body["time_to_wait_in_mins"]) == (
            2849,
            7,
            0,
            5,
        )
        assert (body["imap_user_name"], body["imap_password"]) == ("other@acme.io", "another password")
        assert body["custom_tracking_url"] == "emailtracking.acme.io"
        assert [body[name] for name in ("warmup_enabled", "total_warmup_per_day", "daily_rampup")] == [True, 30, 5]
        assert body["reply_rate_percentage"] == 30

    def test_by_tokens_with_lower_case_kinds(self) -> None:
        for kind, word in (("GMAIL", "gmail"), ("OUTLOOK", "microsoft")):
            call = smartlead.save_account(replace(BY_TOKENS, address=ADDRESS, kind=kind))
            assert call.request.url.endswith("/email-accounts/save-oauth")
            assert call.request.json == {
                "from_name": "Sample Sender", "from_email": ADDRESS, "type": word, "warmup_enabled": False,
                "token": {"access_token": "access-1", "refresh_token": "refresh-1", "expiry_date": 1_800_000_000_000},
            }  # fmt: skip
            assert not call.repeatable  # read first: nothing says that a duplicate is refused here
        with pytest.raises(ValueError, match="GMAIL, OUTLOOK"):
            smartlead.save_account(replace(BY_TOKENS, kind="SMTP"))
        with pytest.raises(ValueError, match="tokens"):
            smartlead.save_account(BY_TOKENS, 2849)

    def test_what_kinds_are_called_by_oauth_is_a_setting(self) -> None:
        values = {"SMARTLEAD_API_KEY": "key-123456", "SMARTLEAD_OAUTH_TYPES": "GMAIL, OUTLOOK"}
        client = SmartleadClient(SmartleadSettings.from_mapping(values))
        assert client.save_account(replace(BY_TOKENS, kind="OUTLOOK")).request.json["type"] == "OUTLOOK"

    def test_passwords_and_tokens_are_shown_nowhere(self) -> None:
        for call in (SAVE, smartlead.save_account(BY_TOKENS)):
            shown = f"{call!r} {without_secrets(call.request.json, call.secret_fields)}"
            assert not [word for word in ("abcd", "access-1", "refresh-1") if word in shown]

    @pytest.mark.parametrize(
        ("body", "works"),
        [
            ({"ok": True, "message": "done", "emailAccountId": 2849, "warmupKey": "apple-keys"}, (None, None)),
            ({"ok": True, "data": {"id": 2849, "is_smtp_success": True, "is_imap_success": False}}, (True, False)),
            ({"ok": True, "data": {"id": 2849, "from_email": "SAM@acme.io"}}, (None, None)),
            ({"ok": True, "id": "2849"}, (None, None)),
        ],
    )  # fmt: skip
    def test_success_has_three_shapes(self, body: Any, works: tuple[bool | None, bool | None]) -> None:
        saved = answer(SAVE, body)
        assert (saved.id, (saved.smtp_works, saved.imap_works), saved.failed) == (2849, works, False in works)

    @pytest.mark.parametrize(
        "body",
        [
            {"ok": True}, {"ok": True, "id": None}, {"ok": True, "id": "x"}, {"ok": True, "id": 0}, {"ok": True, "id": True},
            {"ok": True, "data": {"id": 5, "from_email": "other@acme.io"}},
        ],
    )  # fmt: skip
    def test_an_answer_without_id_or_about_another_account_is_none(self, body: Any) -> None:
        assert type(error(SAVE, body, 200)) is OutcomeUnknown

    def test_an_update_must_be_about_its_account(self) -> None:
        call = smartlead.save_account(NEW, 2849)
        assert answer(call, {"ok": True, "emailAccountId": 2849}).id == 2849
        assert type(error(call, {"ok": True, "emailAccountId": 2850}, 200)) is OutcomeUnknown

    def test_a_duplicate_of_ours_is_read_back_and_another_users_is_for_good(self) -> None:
        told = {"ok": False, "message": "Already exists. Please pass id", "errorCode": "ACCOUNT_ALREADY_EXIST"}
        assert isinstance(error(SAVE, {**told, "emailAccountId": 2849}), AlreadyExists)
        assert code(SAVE, {**told, "emailAccountId": None}) == "elsewhere"

    def test_an_update_of_an_unknown_id(self) -> None:
        told = {"ok": False, "message": "no", "errorCode": "ACCOUNT_NOT_FOUND"}
        assert isinstance(error(smartlead.save_account(NEW, 1), told, 404), NotFound)

    @pytest.mark.parametrize("status", [400, 406])
    @pytest.mark.parametrize(
        ("body", "meaning"),
        [
            ({"ok": False, "message": "no", "errorCode": "ACCOUNT_VERIFICATION_FAILED", "error": "535"}, "wrong_login"),
            ({"ok": False, "message": "SMTP connection failed", "error": "Invalid credentials"}, "wrong_login"),
            ({"ok": False, "message": "no", "error": "Application-specific password required"}, "wrong_login"),
            (
                {"ok": False, "errorCode": "ACCOUNT_VERIFICATION_FAILED", "error": "Your account is not enabled for IMAP use"},
                "imap_off",
            ),
            ({"error": "The limit of email accounts of your plan is reached"}, "account_limit"),
            ({"ok": False, "message": "Invalid or expired OAuth token"}, "wrong_login"),
            ({"error": "password is required"}, "bad_value"),
        ],
    )  # fmt: skip
    def test_refusals_are_told_by_code_and_words_under_either_status(
        self, body: Any, meaning: str, status: int
    ) -> None:
        assert code(SAVE, body, status) == meaning


class TestErrors:
    @pytest.mark.parametrize(
        ("status", "body", "sentence"),
        [
            (
                422,
                {"error": {"code": "VALIDATION_ERROR", "message": "Bad", "details": {"field": "from_name"}}},
                "Bad; from_name (VALIDATION_ERROR)",
            ),
            (400, {"error": "Invalid parameters provided"}, "Invalid parameters provided"),
            (401, {"message": "Invalid API Key"}, "Invalid API Key"),
            (
                400,
                {"ok": False, "message": "No", "errorCode": "ACCOUNT_ODD", "emailAccountId": 1},
                "No (ACCOUNT_ODD)",
            ),
            (
                400,
                {"statusCode": 400, "error": "Bad Request", "message": "No", "validation": {"keys": ["from_name"]}},
                "No; Bad Request; from_name",
            ),
        ],
    )
    def test_the_first_five_shapes_are_read(self, status: int, body: Any, sentence: str) -> None:
        assert error(SAVE, body, status).sentence == sentence

    def test_a_refusal_under_200_means_what_it_says_where_we_know_the_words(self) -> None:
        told = {"ok": False, "message": "no", "errorCode": "ACCOUNT_ALREADY_EXIST", "emailAccountId": None}
        refused = error(SAVE, told, 200)
        assert (type(refused), refused.status) == (Rejected, 200)
        assert code(SAVE, {"success": False, "error": "Invalid credentials"}, 200) == "wrong_login"
        get = smartlead.get_account(2849)
        assert isinstance(error(get, {"success": False, "error": "Email account not found"}, 200), NotFound)
        assert isinstance(error(get, {"success": False, "message": "Invalid API Key"}, 200), BadCredentials)

    def test_a_refusal_under_200_that_nobody_knows_proves_nothing(self) -> None:
        told = {"success": False, "message": "Something happened", "emailAccountId": 2849, "sent_count": 1}
        assert type(error(SAVE, told, 200)) is OutcomeUnknown
        assert type(error(smartlead.warmup_stats(2849), told, 200)) is Unavailable

    def test_a_text_where_an_id_belongs_is_our_mistake_and_never_sent(self) -> None:
        for wrong in ("save", "", 0, -1, True, 2.0):
            with pytest.raises(ValueError, match="a number"):
                smartlead.get_account(wrong)  # type: ignore[arg-type]
        assert code(smartlead.find_ids([ADDRESS]), {"error": '"account_id" must be a number'}) == "no_such_path"

    @pytest.mark.parametrize(
        ("body", "headers", "wait"),
        [
            ({"error": {"code": "RATE_LIMIT_EXCEEDED", "message": "No", "retry_after": 30}}, {}, 30.0),
            ({"error": {"message": "No", "retry_after": 30}}, {"retry-after": "7"}, 7.0),
            ({"error": "No"}, {"x-ratelimit-limit": "200", "x-ratelimit-remaining": "0", "x-ratelimit-reset": "12"}, 12.0),
            ({"error": "No"}, {"x-ratelimit-reset": "1795773600"}, None),
            (b"<html>", {}, None),
        ],
    )  # fmt: skip
    def test_how_long_to_wait(self, body: Any, headers: dict[str, str], wait: float | None) -> None:
        limited = error(SAVE, body, 429, headers)
        assert isinstance(limited, RateLimited)
        assert limited.advised_wait == wait


class TestAccounts:
    def test_a_row_is_read_without_its_passwords(self) -> None:
        (one,) = answer(smartlead.list_accounts(), [ROW]).accounts
        assert (one.id, one.address, one.kind, one.connected, one.warming) == (2849, ADDRESS, "GMAIL", True, True)
        assert (one.per_day, one.gap_minutes, one.tracking_host) == (50, 5, "emailtracking.acme.io")
        assert (one.warmup.reputation, one.campaign_per_day, one.suspended) == (98.0, 30, None)
        assert "password" not in repr(one)

    def test_the_detail_differs_from_the_list(self) -> None:
        seen = {name: value for name, value in ROW.items() if name not in ("minTimeToWaitInMins",)}
        details = {**DETAILS, "id": 1, "is_warmup_blocked": True, "warmup_reputation": 98}
        one = answer(smartlead.get_account(2849), {**seen, "is_suspended": True, "warmup_details": details})
        assert (one.suspended, one.gap_minutes, one.warmup.reputation) == (True, None, 98.0)
        assert (one.warming, one.warmup.blocked) == (False, "blocked")
        assert type(error(smartlead.get_account(2850), ROW, 200)) is Unavailable

    @pytest.mark.parametrize("details", [None, {}, "none"])
    def test_warmup_that_was_never_on(self, details: Any) -> None:
        one = answer(smartlead.get_account(2849), {**ROW, "warmup_details": details})
        assert (one.warmup, one.warming, one.campaign_per_day) == (None, False, 50)

    def test_a_login_that_fails_has_its_words_without_secrets(self) -> None:
        row = {**ROW, "is_imap_success": "false", "imap_failure_error": "login password=the-imap-one failed"}
        one = answer(smartlead.get_account(2849), row)
        assert (one.connected, one.smtp_works, one.imap_works) == (False, True, False)
        assert one.failure.startswith("login password=[hidden]")

    def test_kinds_and_states_that_nobody_has_documented_are_kept(self) -> None:
        row = {**ROW, "type": "zoho", "warmup_details": {"status": "throttled"}}
        one = answer(smartlead.get_account(2849), row)
        assert (one.kind, one.warmup.status, one.warming) == ("ZOHO", "THROTTLED", False)

    def test_what_was_written_is_compared_under_the_names_it_is_read_by(self) -> None:
        one = answer(smartlead.get_account(2849), ROW)
        same = AccountSettings(50, "Sam Sample", "EMAILTRACKING.acme.io", 5)
        assert one.differing(same) == ()
        assert one.differing(AccountSettings(60, "Sam", "", 6)) == ("per_day", "name", "tracking_host", "gap_minutes")
        assert one.warmup.differing(WarmupSettings(per_day=20)) == ()
        off = WarmupSettings(enabled=False, reply_rate_percent=40)
        assert one.warmup.differing(off) == ("enabled", "per_day", "reply_rate_percent")

    def test_a_search_finds_neighbours_and_only_the_address_itself_counts(self) -> None:
        call = smartlead.list_accounts(100, " SAM@acme.io")
        assert call.request.url.endswith("/email-accounts/")  # with this slash
        assert call.request.query == {"offset": "100", "limit": "100", "username": ADDRESS}
        page = answer(call, [{**ROW, "id": 1, "from_email": "pam.sam@acme.io"}, ROW])
        assert ([one.id for one in page.accounts], page.next_offset, page.last) == ([2849], 102, True)

    @pytest.mark.parametrize(("rows", "last"), [(100, False), (99, True), (0, True)])
    def test_the_end_is_a_page_that_is_not_full(self, rows: int, last: bool) -> None:
        page = answer(smartlead.list_accounts(0, "nobody@acme.io"), [ROW] * rows)
        assert (page.accounts, page.last, page.next_offset) == ((), last, rows)

    def test_a_sub_account_is_listed_alone(self) -> None:
        client = SmartleadClient(SmartleadSettings(Hidden("key-123456"), client_id=7, page_size=10))
        assert client.list_accounts().request.query == {"offset": "0", "limit": "10", "client_id": "7"}
        assert "client_id" not in client.list_accounts(0, ADDRESS).request.query  # a duplicate is refused everywhere

    def test_ids_by_address(self) -> None:
        call = smartlead.find_ids(["B@acme.io", ADDRESS])
        assert (call.request.method, call.request.json) == ("POST", {"email_ids": ["b@acme.io", ADDRESS]})
        assert not call.is_write
        rows = [
            {"email_account_id": "2849", "email_id": "SAM@acme.io"},
            {"email_account_id": 1, "email_id": "z@acme.io"},
        ]
        assert answer(call, {"data": rows}) == {ADDRESS: 2849}
        with pytest.raises(ValueError, match="1 to 100"):
            smartlead.find_ids([])


class TestChanges:
    def test_only_what_changes_is_sent(self) -> None:
        call = smartlead.update_account(ADDRESS, 2849, AccountSettings(per_day=0, tracking_host=""))
        assert (call.request.method, call.request.url.endswith("/email-accounts/2849")) == ("POST", True)
        assert call.request.json == {"max_email_per_day": 0, "custom_tracking_url": ""}
        assert (call.items, call.proof, call.repeatable) == ((ADDRESS,), Proof.READ, True)
        with pytest.raises(ValueError, match="nothing"):
            smartlead.update_account(ADDRESS, 2849, AccountSettings())
        with pytest.raises(ValueError, match="per_day"):
            AccountSettings(per_day=-1)

    def test_warmup_is_set_whole_and_has_no_duration(self) -> None:
        call = smartlead.set_warmup(ADDRESS, 2849, WarmupSettings(enabled=False, per_day=20))
        assert call.request.url.endswith("/email-accounts/2849/warmup")
        assert call.request.json == {
            "warmup_enabled": False, "total_warmup_per_day": 20, "daily_rampup": 5, "reply_rate_percentage": 30,
            "is_rampup_enabled": True, "auto_adjust_warmup": False,
        }  # fmt: skip

    @pytest.mark.parametrize(
        "wrong",
        [
            {"per_day": 0},
            {"per_day": 51},
            {"ramp_up": 2},
            {"ramp_up": 21},
            {"reply_rate_percent": 19},
            {"reply_rate_percent": 101},
        ],
    )
    def test_what_one_of_their_documents_forbids_is_not_sent(self, wrong: dict[str, Any]) -> None:
        with pytest.raises(ValueError, match=next(iter(wrong))):
            WarmupSettings(**wrong)

    def test_unsuspending_is_a_deletion_of_something_else(self) -> None:
        for suspended, method, word in ((True, "PUT", "suspend"), (False, "DELETE", "unsuspend")):
            request = smartlead.suspend_account(ADDRESS, 2849, suspended).request
            assert (request.method, request.url.endswith(f"/email-accounts/{word}/2849")) == (method, True)
        request = smartlead.delete_account(ADDRESS, 2849).request
        assert (request.method, request.url.endswith("/email-accounts/2849")) == ("DELETE", True)

    @pytest.mark.parametrize(
        "body", [{"ok": True}, {"success": True}, {"ok": True, "message": "x", "emailAccountId": 2849}]
    )
    def test_a_change_is_accepted_in_every_shape(self, body: Any) -> None:
        for call in (
            smartlead.update_account(ADDRESS, 2849, AccountSettings(per_day=1)),
            smartlead.set_warmup(ADDRESS, 2849, WarmupSettings()),
            smartlead.delete_account(ADDRESS, 2849),
        ):
            assert answer(call, body)
            assert type(error(call, {}, 200)) is OutcomeUnknown
            assert isinstance(error(call, {"error": "Email account not found"}, 404), NotFound)

    def test_reconnecting_has_a_budget_of_its_own_and_is_never_repeated(self) -> None:
        call = smartlead.reconnect_failed()
        assert (call.repeatable, "smartlead.reconnect" in call.budgets) == (False, True)
        assert code(call, {"error": "You can do this 3 times a day"}) == "too_often"


class TestStats:
    call = smartlead.warmup_stats(2849)

    def test_old_document_with_texts_for_numbers(self) -> None:
        rows = [
            {"id": 2, "date": "2026-11-28", "sent_count": 8, "reply_count": 3, "save_from_spam_count": 1},
            {"id": 1, "date": "2026-11-27T00:00:00Z", "sent_count": "5"},
        ]
        totals = {"sent_count": "40", "spam_count": "1", "inbox_count": "39", "warmup_email_received_count": "35"}
        stats = answer(self.call, {"id": 2849, **totals, "stats_by_date": rows})
        assert (stats.sent, stats.spam, stats.inbox, stats.received, stats.inbox_percent) == (40, 1, 39, 35, 97.5)
        assert stats.days == (
            WarmupDay(date(2026, 11, 27), 5),
            WarmupDay(date(2026, 11, 28), 8, replies=3, rescued=1),
        )

    def test_new_document(self) -> None:
        rows = [{"date": "2026-11-28", "sent": 8, "spam": 1, "delivered": 7, "opened": 5, "replied": 2}]
        body = {"total_sent": 8, "spam_count": 1, "reputation_score": 97, "daily_stats": rows}
        stats = answer(self.call, body)
        assert (stats.sent, stats.spam, stats.inbox, stats.reputation, stats.inbox_percent) == (8, 1, None, 97.0, 87.5)
        assert stats.days == (WarmupDay(date(2026, 11, 28), 8, replies=2, spam=1),)

    def test_totals_alone(self) -> None:
        body = {"total_sent": 0, "total_inbox": 0, "total_spam": 0, "warmup_reputation": "100%", "days_in_warmup": 0}
        stats = answer(self.call, body)
        assert (stats.inbox_percent, stats.reputation, stats.days) == (None, 100.0, ())

    @pytest.mark.parametrize(
        "body",
        [{}, {"sent_count": "many"}, {"sent_count": 1, "spam_count": 2}, {"sent_count": 1, "stats_by_date": [{}]}],
    )
    def test_figures_that_make_no_sense(self, body: Any) -> None:
        assert type(error(self.call, body, 200)) is Unavailable


class TestFile:
    def rows(self, *accounts: NewAccount, **how: bool) -> list[dict[str, str]]:
        content = import_file(accounts, **how).decode()
        assert content.split("\r\n")[0] == ",".join(IMPORT_COLUMNS)
        return list(csv.DictReader(io.StringIO(content, newline="")))

    def test_it_has_the_columns_of_their_import_as_the_students_export_has(self) -> None:
        assert list(exports.SMARTLEAD) == list(IMPORT_COLUMNS)

    def test_a_row_says_what_the_api_would_have_been_told(self) -> None:
        settings = AccountSettings(per_day=60, tracking_host="emailtracking.acme.io", gap_minutes=5)
        (row,) = self.rows(replace(NEW, settings=settings, warmup=WarmupSettings()))
        assert {name: value for name, value in row.items() if value} == {
            "from_name": "Sam Sample", "from_email": ADDRESS, "user_name": ADDRESS, "password": "abcd efgh ijkl mnop",
            "smtp_host": "smtp.gmail.com", "smtp_port": "465", "imap_host": "imap.gmail.com", "imap_port": "993",
            "max_email_per_day": "60", "custom_tracking_url": "emailtracking.acme.io", "warmup_enabled": "TRUE",
            "total_warmup_per_day": "30", "daily_rampup": "5", "reply_rate_percentage": "30",
            "imap_user_name": ADDRESS, "imap_password": "abcd efgh ijkl mnop",
        }  # fmt: skip
        assert self.rows(NEW)[0]["warmup_enabled"] == "FALSE"

    def test_cells_are_harmless_and_passwords_are_byte_for_byte(self) -> None:
        evil = '=1+"a",\u00e9\r\n'
        door = replace(DOOR, password=Hidden(evil))
        (row,) = self.rows(NewAccount(ADDRESS, "=HYPERLINK(1)", AppPassword(door, door)))
        assert (row["from_name"], row["password"], row["imap_password"]) == ("'=HYPERLINK(1)", evil, evil)

    def test_a_file_for_people_is_refused_where_a_password_would_be_run(self) -> None:
        risky = NewAccount("=b@acme.io", "B", AppPassword(replace(DOOR, password=Hidden("+secret-1")), DOOR))
        with pytest.raises(UnsafeForSpreadsheets) as caught:
            import_file([NEW, risky], for_spreadsheets=True)
        assert caught.value.addresses == ["=b@acme.io"]
        assert len(self.rows(NEW, for_spreadsheets=True)) == 1

    def test_tokens_have_no_column(self) -> None:
        with pytest.raises(ValueError, match="OAuth"):
            import_file([NEW, BY_TOKENS])


def test_where_the_tracking_host_leads_is_a_setting() -> None:
    settings = SmartleadSettings.from_mapping({"SMARTLEAD_API_KEY": "key-123456"})
    assert (settings.tracking_host("Acme.io."), settings.tracking_target) == (
        "emailtracking.acme.io",
        "open.sleadtrack.com",
    )
    assert settings.spf == ""
    other = {"SMARTLEAD_TRACKING_LABEL": "Track", "SMARTLEAD_TRACKING_TARGET": "click.sleadtrack.com"}
    settings = SmartleadSettings.from_mapping({"SMARTLEAD_API_KEY": "key-123456", **other})
    assert (settings.tracking_host("acme.io"), settings.tracking_target) == ("track.acme.io", "click.sleadtrack.com")
