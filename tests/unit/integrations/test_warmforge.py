"""What Warmforge is asked, and what its answers mean in every notation they come in."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from integrations.http.call import Call, Proof, Raw
from integrations.http.errors import AlreadyExists, NotConfigured, NotFound, OutcomeUnknown, Rejected, Unavailable
from integrations.http.gate import judge
from integrations.http.redact import Hidden, redact, without_secrets
from integrations.logins import Login
from integrations.warmforge import (
    CurrentSettings,
    NewMailbox,
    Placement,
    WarmforgeClient,
    WarmforgeSettings,
    WarmupSettings,
)

from .verbs import KEYS, warmforge

ADDRESS = "sam@getacme.com"
PATH = "/workspaces/wfw_1/mailboxes/sam%40getacme.com"
DOOR = Login("mx1.example-mail.net", 465, ADDRESS, Hidden("a secret of sam's"))
SETTINGS = WarmforgeSettings(Hidden("key-12345"))
DNS = {"status": "valid", "value": "v=spf1 ...", "error": ""}
ROW: dict[str, Any] = {
    "id": "mbx_1", "address": "Sam@getacme.com", "workspaceID": "wfw_1", "provider": "smtp", "status": "active",
    "warm": False, "warmupEnabled": True, "warmupStartDate": "2026-11-20", "warmupEndDate": "2026-12-18",
    "warmupDaysCompleted": 9, "warmupDaysLeft": 19, "warmupCode": "abc-def", "minEmailsPerDay": 2,
    "maxEmailsPerDay": 20, "emailRampUp": 2, "replyRatePercent": 30, "firstName": "Sam", "lastName": "Sample",
    "signature": "",
    "healthReport": {
        "id": "mbx_1", "heatScore": 82, "lastCheckedAt": "2026-11-29T01:08:08Z", "spf": DNS, "dmarc": DNS, "mx": DNS,
        "dkim": {"selector": "default", "status": "Missing"},
        "blacklists": {"detectedCount": 2, "checks": [
            {"id": "bl.example", "detected": True, "significant": True},
            {"id": "bl.minor", "detected": True, "significant": False},
            {"id": "bl.other", "detected": False, "significant": True},
        ]},
    },
}  # fmt: skip


def answer(call: Call[Any], body: Any, status: int = 200) -> Any:
    return judge(call, Raw(status, {}, body if isinstance(body, bytes) else json.dumps(body).encode()))


class TestKey:
    def test_it_is_sent_in_the_form_that_is_set(self) -> None:
        for auth, sent in (("raw", "key-12345"), ("bearer", "Bearer key-12345")):
            request = WarmforgeClient(replace(SETTINGS, auth=auth)).list_workspaces().request
            assert (request.headers["authorization"], request.otherwise) == (sent, None)

    def test_where_the_form_is_to_be_found_out_a_read_says_which(self) -> None:
        request = WarmforgeClient(SETTINGS).create_workspace("A GTM-7K3F9Q").request
        other = request.otherwise
        assert other is not None
        assert request.headers["authorization"] == "key-12345"
        assert other.headers == {"authorization": "Bearer key-12345"}
        assert other.check.endswith("/public/v1/workspaces")
        assert set(other.query) == {"page", "page_size"}

    def test_neither_form_is_ever_shown(self) -> None:
        request = warmforge.list_workspaces().request
        assert KEYS["warmforge"] not in repr(request) + repr(request.otherwise)
        assert KEYS["warmforge"] not in redact(f"refused Bearer {KEYS['warmforge']} and {KEYS['warmforge']}")

    def test_another_form_is_refused_as_a_setting(self) -> None:
        with pytest.raises(NotConfigured, match="WARMFORGE_AUTH"):
            WarmforgeSettings.from_mapping({"WARMFORGE_API_KEY": "key-12345", "WARMFORGE_AUTH": "basic"})

    def test_an_old_key_is_bound_to_its_workspace(self) -> None:
        client = WarmforgeClient(replace(SETTINGS, workspace_key=True))
        assert client.get_mailbox("wfw_1", ADDRESS).request.url.endswith("/public/v1/mailboxes/sam%40getacme.com")


class TestWorkspaces:
    def test_both_paging_parameters_are_sent(self) -> None:
        assert warmforge.list_workspaces(3).request.query == {"page": "3", "page_size": "100"}

    @pytest.mark.parametrize(
        ("page", "pages", "rows", "last"), [(1, 1, 1, True), (1, 2, 100, False), (2, 2, 1, True), (1, 3, 0, True)]
    )
    def test_the_end(self, page: int, pages: int, rows: int, last: bool) -> None:
        body = {"workspaces": [{"id": "wfw_1", "name": "A"}] * rows, "currentPage": page, "totalPages": pages}
        assert answer(warmforge.list_workspaces(page), body).last is last

    def test_one_is_made(self) -> None:
        call = warmforge.create_workspace("Acme GTM-7K3F9Q")
        assert (call.items, call.proof, call.repeatable) == (("Acme GTM-7K3F9Q",), Proof.ANSWER, False)
        made = answer(call, {"id": "wfw_1", "name": "Acme GTM-7K3F9Q", "slug": "acme", "accountID": "acc_1"}, 201)
        assert (made.id, made.name) == ("wfw_1", "Acme GTM-7K3F9Q")
        with pytest.raises(OutcomeUnknown):
            answer(call, {"name": "Acme GTM-7K3F9Q"}, 201)

    def test_a_name_they_would_not_take_is_not_sent(self) -> None:
        for name in ("", "x" * 51):
            with pytest.raises(ValueError, match="1 to 50"):
                warmforge.create_workspace(name)


class TestMailbox:
    def test_the_address_goes_encoded_and_in_lower_case(self) -> None:
        call = warmforge.get_mailbox("wfw_1", " Sam@GetAcme.com")
        assert call.request.url.endswith(PATH)

    def test_everything_is_read(self) -> None:
        box = answer(warmforge.get_mailbox("wfw_1", ADDRESS), ROW)
        assert (box.id, box.address, box.connected, box.warming, box.warm) == ("mbx_1", ADDRESS, True, True, False)
        assert (box.started_on, box.ends_on) == (date(2026, 11, 20), date(2026, 12, 18))
        assert (box.days_completed, box.days_left) == (9, 19)
        assert box.settings == CurrentSettings(True, 2, 20, 2, 30)
        assert box.health.heat_score == 82.0
        assert {name: record.status for name, record in box.health.records.items()} == {
            "spf": "valid", "dmarc": "valid", "mx": "valid", "dkim": "missing",
        }  # fmt: skip

    def test_only_blacklists_that_matter_count(self) -> None:
        assert answer(warmforge.get_mailbox("wfw_1", ADDRESS), ROW).health.listed_on == 1
        report = {"blacklists": {"detectedCount": "2"}}
        assert answer(warmforge.get_mailbox("wfw_1", ADDRESS), {**ROW, "healthReport": report}).health.listed_on == 2

    @pytest.mark.parametrize("report", [None, {}, "none yet"])
    def test_a_report_may_be_missing(self, report: Any) -> None:
        bare = {"id": "mbx_1", "address": ADDRESS, "healthReport": report, "warmupStartDate": None}
        box = answer(warmforge.get_mailbox("wfw_1", ADDRESS), bare)
        assert (box.health, box.started_on, box.warming, box.connected) == (None, None, False, False)

    def test_dates_come_in_any_format(self) -> None:
        said = {"warmupStartDate": "2026-11-20T09:00:00Z", "warmupEndDate": "soon"}
        box = answer(warmforge.get_mailbox("wfw_1", ADDRESS), {**ROW, **said})
        assert (box.started_on, box.ends_on) == (date(2026, 11, 20), None)

    def test_another_mailbox_is_no_answer(self) -> None:
        with pytest.raises(Unavailable):
            answer(warmforge.get_mailbox("wfw_1", "else@getacme.com"), ROW)

    def test_404_is_absence(self) -> None:
        with pytest.raises(NotFound):
            answer(warmforge.get_mailbox("wfw_1", ADDRESS), {"message": "mailbox not found"}, 404)

    @pytest.mark.parametrize(
        ("rows", "size", "last"), [(100, 100, False), (99, 100, True), (25, 25, False), (24, 25, True), (0, None, True)]
    )
    def test_a_list_ends_with_a_page_that_is_not_full(self, rows: int, size: int | None, last: bool) -> None:
        body = {"mailboxes": [ROW] * rows, "page": 1, "pageSize": size, "totalPages": 1}
        assert answer(warmforge.list_mailboxes("wfw_1"), body).last is last


class TestConnect:
    call = warmforge.connect_smtp("wfw_1", NewMailbox("Sam@getacme.com", "Sam", "Sample", DOOR, DOOR, "GTM-7K3F9Q"))

    def test_what_is_asked(self) -> None:
        assert self.call.request.url.endswith("/workspaces/wfw_1/mailboxes/connect-smtp")
        assert self.call.request.json == {
            "address": ADDRESS, "firstName": "Sam", "lastName": "Sample",
            "smtpHost": "mx1.example-mail.net", "smtpPort": 465, "smtpUsername": ADDRESS,
            "smtpPassword": "a secret of sam's",
            "imapHost": "mx1.example-mail.net", "imapPort": 465, "imapUsername": ADDRESS,
            "imapPassword": "a secret of sam's",
            "warmupEnabled": True, "externalReference": "GTM-7K3F9Q",
        }  # fmt: skip
        assert (self.call.items, self.call.proof) == ((ADDRESS,), Proof.ANSWER)

    def test_passwords_are_shown_nowhere(self) -> None:
        assert "a secret of sam's" not in str(without_secrets(self.call.request.json, self.call.secret_fields))
        assert "a secret of sam's" not in repr(self.call) + redact("login as sam with a secret of sam's failed")

    @pytest.mark.parametrize(
        ("status", "message", "code"),
        [
            (409, "mailbox is already connected in another workspace", "elsewhere"),
            (402, "no warmup slot left", "no_slot"),
            (400, "SMTP login failed", "wrong_login"),
            (400, "smtpPort is a required field", "refused"),
        ],
    )
    def test_refusals(self, status: int, message: str, code: str) -> None:
        with pytest.raises(Rejected) as caught:
            answer(self.call, {"message": message}, status)
        assert caught.value.code == code

    def test_what_is_there_already_is_read_back(self) -> None:
        with pytest.raises(AlreadyExists):
            answer(self.call, {"message": "mailbox is already connected"}, 409)


class TestUpdate:
    def test_absolute_values_are_sent(self) -> None:
        call = warmforge.update_mailbox("wfw_1", ADDRESS, WarmupSettings(enabled=False, max_daily=10))
        assert (call.request.method, call.repeatable, call.proof) == ("PATCH", True, Proof.READ)
        assert call.request.json == {
            "warmupEnabled": False, "minEmailsPerDay": 2, "maxEmailsPerDay": 10, "emailRampUp": 2, "replyRatePercent": 30,
        }  # fmt: skip

    @pytest.mark.parametrize(
        "wrong", [{"min_daily": 0}, {"min_daily": 21}, {"max_daily": 21}, {"ramp_up": 21}, {"reply_rate_percent": 51}]
    )
    def test_what_they_would_not_take_is_not_sent(self, wrong: dict[str, Any]) -> None:
        with pytest.raises(ValueError, match=next(iter(wrong))):
            WarmupSettings(**wrong)

    def test_a_slot_that_is_missing_has_a_code(self) -> None:
        with pytest.raises(Rejected) as caught:
            answer(warmforge.update_mailbox("wfw_1", ADDRESS, WarmupSettings()), {"message": "no slot left"}, 402)
        assert caught.value.code == "no_slot"

    def test_what_differs_is_named(self) -> None:
        seen = CurrentSettings(enabled=True, min_daily=2, max_daily=10)
        assert seen.differing(WarmupSettings(reply_rate_percent=50)) == ("max_daily",)


class TestStats:
    call = warmforge.warmup_stats("wfw_1", ADDRESS, date(2026, 11, 22), date(2026, 11, 28))

    def test_what_is_asked(self) -> None:
        assert self.call.request.url.endswith(f"{PATH}/warmup/stats")
        assert self.call.request.query == {"from": "2026-11-22", "to": "2026-11-28"}

    def test_days_come_in_order_and_providers_by_name(self) -> None:
        gmail = {"primaryCount": 6, "replyCount": 2, "spamCount": 1}
        rows = [
            {"date": "2026-11-28T00:00:00Z", "sentCount": "12", "replyCount": 4, "spamCount": 1,
             "providerStats": {"Gmail": gmail, "zoho": {"primaryCount": 1}, "odd": None}},
            {"date": "2026-11-27", "sentCount": 0},
        ]  # fmt: skip
        first, second = answer(self.call, {"stats": rows})
        assert (first.day, first.sent, first.replies, first.providers) == (date(2026, 11, 27), 0, 0, {})
        assert (second.sent, second.replies, second.spam) == (12, 4, 1)
        assert second.providers == {"gmail": Placement(6, 1, 2), "zoho": Placement(1, 0, 0)}

    @pytest.mark.parametrize("row", [{"sentCount": 1}, {"date": "2026-11-28"}, {"date": "x", "sentCount": 1}])
    def test_a_day_without_date_or_figure_is_unreadable(self, row: dict[str, Any]) -> None:
        with pytest.raises(Unavailable):
            answer(self.call, {"stats": [row]})


class TestDelete:
    call = warmforge.delete_mailbox("wfw_1", ADDRESS)

    def test_an_answer_without_body_is_one(self) -> None:
        assert answer(self.call, b"", 202)
        assert (self.call.repeatable, self.call.proof, self.call.items) == (True, Proof.READ, (ADDRESS,))

    def test_what_is_gone_already_is_not_found(self) -> None:
        with pytest.raises(NotFound):
            answer(self.call, {"message": "mailbox not found"}, 404)


def test_the_members_of_an_error_are_part_of_its_sentence() -> None:
    body = {"message": "invalid request body", "data": ["page is a required field"]}
    with pytest.raises(Rejected, match="invalid request body; page is a required field"):
        answer(warmforge.list_workspaces(), body, 400)
