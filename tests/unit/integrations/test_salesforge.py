"""What Salesforge is asked, and what its answers mean."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from integrations.http.call import Call, Proof, Raw
from integrations.http.errors import AlreadyExists, NotFound, OutcomeUnknown, Rejected, Unavailable
from integrations.http.gate import judge
from integrations.http.redact import Hidden, redact, without_secrets
from integrations.logins import Login
from integrations.salesforge import NewMailbox, SalesforgeClient, SalesforgeSettings

from .verbs import KEYS, salesforge

ADDRESS = "sam@getacme.com"
SMTP = Login("mx1.example-mail.net", 465, ADDRESS, Hidden("a secret of sam's"))
IMAP = Login("mx1.example-mail.net", 993, ADDRESS, Hidden("a secret of sam's"))
ROW: dict[str, Any] = {
    "id": "mbx_9", "address": "Sam@getacme.com", "firstName": "Sam", "lastName": "Sample", "mailboxProvider": "smtp",
    "status": "pending", "disconnectReason": None, "dailyEmailLimit": 30, "signature": "", "resolvedSignature": "",
    "trackingDomain": None, "trackingDomainStatus": None,
}  # fmt: skip


def answer(call: Call[Any], body: Any, status: int = 200) -> Any:
    return judge(call, Raw(status, {}, body if isinstance(body, bytes) else json.dumps(body).encode()))


def refusal(call: Call[Any], message: str, status: int = 400) -> str:
    with pytest.raises(Rejected) as caught:
        answer(call, {"message": message, "data": None}, status)
    return caught.value.code


def listed(*rows: dict[str, Any], total: int | None = None) -> dict[str, Any]:
    return {"data": list(rows), "limit": 100, "offset": 0, "total": len(rows) if total is None else total}


def test_the_key_goes_bare() -> None:
    request = salesforge.me().request
    assert (request.headers["authorization"], request.otherwise) == (KEYS["salesforge"], None)


def test_the_key_check_says_whose_it_is() -> None:
    me = answer(salesforge.me(), {"accountId": "acc_1", "apiKeyName": "production"})
    assert (me.account_id, me.key_name) == ("acc_1", "production")


class TestWorkspaces:
    def test_the_limit_is_always_sent(self) -> None:
        assert salesforge.list_workspaces(100).request.query == {"limit": "100", "offset": "100"}

    @pytest.mark.parametrize(
        ("total", "rows", "offset", "last"),
        [(1, 1, 0, True), (150, 100, 0, False), (150, 50, 100, True), (9, 0, 0, True), (25, 10, 0, False)],
    )
    def test_the_end(self, total: int, rows: int, offset: int, last: bool) -> None:
        page = answer(salesforge.list_workspaces(offset), listed(*[{"id": "wks_1", "name": "A"}] * rows, total=total))
        assert (page.last, page.next_offset) == (last, offset + rows)

    def test_without_total_it_is_unreadable(self) -> None:
        with pytest.raises(Unavailable):
            answer(salesforge.list_workspaces(), {"data": []})

    def test_one_is_made(self) -> None:
        call = salesforge.create_workspace("Acme GTM-7K3F9Q")
        assert (call.items, call.proof, call.repeatable) == (("Acme GTM-7K3F9Q",), Proof.ANSWER, False)
        assert answer(call, {"id": "wks_1", "accountId": "acc_1", "name": "Acme GTM-7K3F9Q"}, 201).id == "wks_1"
        with pytest.raises(OutcomeUnknown):
            answer(call, {"id": None, "name": "Acme GTM-7K3F9Q"}, 201)

    def test_a_name_they_would_not_take_is_not_sent(self) -> None:
        with pytest.raises(ValueError, match="1 to 100"):
            salesforge.create_workspace("x" * 101)


class TestList:
    def test_the_filter_is_a_name_in_brackets_for_each_address(self) -> None:
        call = salesforge.list_mailboxes("wks_1", ["Sam@getacme.com", "kim@getacme.com"])
        assert call.request.query["addresses[]"] == (ADDRESS, "kim@getacme.com")
        assert "addresses[]" not in salesforge.list_mailboxes("wks_1").request.query
        assert call.request.digest(b"k") != salesforge.list_mailboxes("wks_1").request.digest(b"k")

    def test_states_are_read(self) -> None:
        rows = [{**ROW, "id": status, "status": status} for status in ("active", "pending", "access_lost", "Frozen")]
        boxes = answer(salesforge.list_mailboxes("wks_1"), listed(*rows)).mailboxes
        assert [(box.connected, box.pending, box.lost) for box in boxes] == [
            (True, False, False), (False, True, False), (False, False, True), (False, False, False),
        ]  # fmt: skip

    def test_a_deleted_one_counts_as_absent_and_as_a_row(self) -> None:
        page = answer(salesforge.list_mailboxes("wks_1"), listed({**ROW, "status": "deleted"}, total=2))
        assert (page.mailboxes, page.next_offset, page.last) == ((), 1, False)

    def test_one_by_id(self) -> None:
        box = answer(salesforge.get_mailbox("wks_1", "mbx_9"), {**ROW, "status": "deleted"})
        assert (box.address, box.daily_limit, box.gone) == (ADDRESS, 30, True)
        with pytest.raises(Unavailable):
            answer(salesforge.get_mailbox("wks_1", "mbx_8"), ROW)


class TestConnect:
    call = salesforge.connect_mailbox("wks_1", NewMailbox("Sam@getacme.com", "Sam", "Sample", SMTP, IMAP, 40))

    def test_what_is_asked(self) -> None:
        door = {"host": "mx1.example-mail.net", "username": ADDRESS, "password": "a secret of sam's"}
        assert self.call.request.json == {
            "address": ADDRESS, "firstName": "Sam", "lastName": "Sample", "smtp": {**door, "port": 465},
            "imap": {**door, "port": 993}, "dailyEmailLimit": 40,
        }  # fmt: skip
        assert (self.call.items, self.call.proof, self.call.deadline) == ((ADDRESS,), Proof.ANSWER, 60.0)

    def test_the_limit_and_the_tracking_domain_are_theirs_unless_set(self) -> None:
        new = NewMailbox(ADDRESS, "Sam", "Sample", SMTP, IMAP)
        assert not {"dailyEmailLimit", "trackingDomain"} & set(salesforge.connect_mailbox("wks_1", new).request.json)
        client = SalesforgeClient(replace(SalesforgeSettings(Hidden("key-12345")), tracking_domain="t.getacme.com"))
        assert client.connect_mailbox("wks_1", new).request.json["trackingDomain"] == "t.getacme.com"

    def test_passwords_are_shown_nowhere(self) -> None:
        shown = without_secrets(self.call.request.json, self.call.secret_fields)
        assert shown["smtp"]["port"] == 465
        assert "a secret of sam's" not in str(shown) + repr(self.call) + redact("535 for a secret of sam's")

    def test_success_is_pending(self) -> None:
        assert answer(self.call, ROW, 201).pending
        with pytest.raises(OutcomeUnknown):
            answer(self.call, {**ROW, "address": "kim@getacme.com"}, 201)

    @pytest.mark.parametrize(
        ("status", "message", "code"),
        [
            (400, "SMTP login failed: authentication failed", "wrong_login"),
            (400, "IMAP: connection refused", "wrong_login"),
            (400, "mailbox is connected in another workspace", "elsewhere"),
            (409, "mailbox is connected in another workspace", "elsewhere"),
            (400, "dailyEmailLimit must be at most 50", "bad_limit"),
            (402, "credits used up", "no_credits"),
            (400, "trackingDomain does not point at us", "bad_tracking_domain"),
        ],
    )
    def test_refusals(self, status: int, message: str, code: str) -> None:
        assert refusal(self.call, message, status) == code

    def test_being_connected_right_now_means_to_read_it_back(self) -> None:
        with pytest.raises(AlreadyExists):
            answer(self.call, {"message": "mailbox is being connected right now"}, 409)


class TestChange:
    def test_the_daily_limit_is_an_absolute_value(self) -> None:
        call = salesforge.update_mailbox("wks_1", "mbx_9", 25)
        assert (call.request.method, call.request.json, call.repeatable) == ("PATCH", {"dailyEmailLimit": 25}, True)
        assert answer(call, {**ROW, "dailyEmailLimit": 25})
        assert refusal(call, "dailyEmailLimit must be between 1 and 100") == "bad_limit"

    @pytest.mark.parametrize("limit", [0, 101])
    def test_a_limit_they_would_not_take_is_not_sent(self, limit: int) -> None:
        with pytest.raises(ValueError, match="1 to 100"):
            salesforge.update_mailbox("wks_1", "mbx_9", limit)
        with pytest.raises(ValueError, match="1 to 100"):
            salesforge.connect_mailbox("wks_1", NewMailbox(ADDRESS, "Sam", "Sample", SMTP, IMAP, limit))

    def test_new_passwords_are_answered_without_body(self) -> None:
        call = salesforge.update_connection_settings("wks_1", "mbx_9", SMTP, IMAP)
        assert call.request.url.endswith("/workspaces/wks_1/mailboxes/mbx_9/connection-settings")
        assert call.request.json["imap"]["port"] == 993
        assert answer(call, b"", 204)
        assert refusal(call, "IMAP login failed") == "wrong_login"

    def test_a_deletion_is_answered_without_body(self) -> None:
        call = salesforge.delete_mailbox("wks_1", "mbx_9")
        assert answer(call, b"", 204)
        with pytest.raises(NotFound):
            answer(call, {"message": "mailbox not found"}, 404)
