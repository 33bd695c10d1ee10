"""What PlusVibe is asked, and what its answers mean in every notation they come in."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest

from integrations.http.call import Call, Proof, Raw
from integrations.http.errors import (
    AlreadyExists,
    NotConfigured,
    NotFound,
    OutcomeUnknown,
    PlatformError,
    Rejected,
    Unavailable,
)
from integrations.http.gate import judge
from integrations.http.redact import Hidden
from integrations.plusvibe import Analytics, NewAccount, PlusvibeClient, PlusvibeSettings, WarmupSettings

from .verbs import ADDRESS, HEX, plusvibe

STUDENT = ("student@example.com", "Sample", "Student", "Sample GTM")


def answer(call: Call[Any], body: Any, status: int = 200) -> Any:
    return judge(call, Raw(status, {}, json.dumps(body).encode()))


def refusal(call: Call[Any], body: Any, status: int = 400) -> PlatformError:
    with pytest.raises(PlatformError) as caught:
        answer(call, body, status)
    return caught.value


class TestErrors:
    @pytest.mark.parametrize(
        "body",
        [
            {"errors": ["Bad thing"]},
            {"errors": [{"message": "Bad thing", "path": "x"}]},
            {"message": "Bad thing"},
            {"error": "Bad thing"},
            {"error": "Bad thing", "message": "Bad thing"},
        ],
    )
    def test_three_shapes(self, body: Any) -> None:
        assert refusal(plusvibe.authenticate(), body).sentence == "Bad thing"

    def test_a_wrong_path_is_our_mistake_and_not_an_absence(self) -> None:
        error = refusal(plusvibe.delete_client(HEX, "c1"), {"message": "Page not found"}, 404)
        assert isinstance(error, Rejected)
        assert error.code == "no_such_path"

    def test_a_foreign_workspace(self) -> None:
        error = refusal(plusvibe.list_accounts(HEX), {"message": "Workspace does not belong to this account"})
        assert isinstance(error, Rejected)
        assert error.code == "foreign_workspace"

    def test_a_success_that_says_error_is_lost(self) -> None:
        with pytest.raises(OutcomeUnknown):
            answer(plusvibe.create_workspace("A"), {"status": "error", "_id": HEX})


class TestWorkspaces:
    @pytest.mark.parametrize("nest", [lambda rows: {"workspaces": rows}, lambda rows: {"data": {"workspaces": rows}}])
    @pytest.mark.parametrize("name", ["id", "_id"])
    def test_authenticate(self, nest: Any, name: str) -> None:
        account = answer(plusvibe.authenticate(), {"status": "success", **nest([{name: HEX, "name": "One"}])})
        assert [(workspace.id, workspace.name) for workspace in account.workspaces] == [(HEX, "One")]

    def test_create_goes_through_the_agency_workspace_with_a_trailing_slash(self) -> None:
        call = plusvibe.create_workspace("Sample GTM-7K3F9Q")
        assert call.request.url.endswith("/workspaces/add/")
        assert call.request.json == {"workspace_id": HEX, "workspace_name": "Sample GTM-7K3F9Q"}
        assert (call.items, call.proof) == (("Sample GTM-7K3F9Q",), Proof.ANSWER)

    def test_create_without_agency_workspace(self) -> None:
        with pytest.raises(NotConfigured):
            PlusvibeClient(PlusvibeSettings(Hidden("key-12345"))).create_workspace("A")

    @pytest.mark.parametrize(
        "body",
        [{"_id": HEX}, {"id": HEX}, {"workspace_id": HEX}, {"data": {"_id": HEX}}, {"workspace": {"id": HEX}}],
    )
    def test_the_new_id_in_every_form(self, body: Any) -> None:
        assert answer(plusvibe.create_workspace("A"), {"status": "success", **body}).id == HEX

    @pytest.mark.parametrize("body", [{}, {"_id": "unexpected"}, {"_id": None}, {"_id": 7}])
    def test_without_id_it_is_unknown(self, body: Any) -> None:
        with pytest.raises(OutcomeUnknown):
            answer(plusvibe.create_workspace("A"), {"status": "success", **body})


class TestClients:
    call = plusvibe.create_client(HEX, *STUDENT)

    def test_what_is_asked(self) -> None:
        assert self.call.request.json == {
            "workspace_id": HEX,
            "client_email": "student@example.com",
            "client_first_name": "Sample",
            "client_last_name": "Student",
            "client_business_name": "Sample GTM",
            "workspaces": [{"id": HEX, "hide_labels": [], "permissions": ["UNIBOX_FULL_ACCESS"]}],
        }

    def test_permissions_and_item_name_are_settings(self) -> None:
        settings = PlusvibeSettings(
            Hidden("key-12345"), client_permissions=("FULL_ACCESS",), client_workspace_item="workspace_id"
        )
        (access,) = PlusvibeClient(settings).create_client(HEX, *STUDENT).request.json["workspaces"]
        assert access == {"workspace_id": HEX, "hide_labels": [], "permissions": ["FULL_ACCESS"]}

    def test_how_it_is_kept(self) -> None:
        assert (self.call.items, self.call.proof) == ((f"{HEX}:student@example.com",), Proof.ANSWER)
        assert not self.call.repeatable
        assert "password" in self.call.secret_fields

    @pytest.mark.parametrize(
        "body",
        [
            {"client_id": HEX, "email": "Student@example.com", "password": " a b "},
            {"status": "success", "data": {"_id": HEX, "client_email": "student@example.com", "password": " a b "}},
            {"client": {"id": HEX, "password": " a b "}},
        ],
    )
    def test_the_password_is_taken_as_it_is_and_hidden(self, body: Any) -> None:
        client = answer(self.call, body)
        assert (client.id, client.email, client.password.open()) == (HEX, "student@example.com", " a b ")
        assert " a b " not in repr(client)

    @pytest.mark.parametrize(
        "body",
        [
            {"client_id": HEX},
            {"client_id": HEX, "password": ""},
            {"password": "x"},
            {"client_id": "unexpected", "password": "x"},
            {"status": "success"},
        ],
    )
    def test_without_password_or_id_it_is_unknown(self, body: Any) -> None:
        with pytest.raises(OutcomeUnknown):
            answer(self.call, body)

    @pytest.mark.parametrize(
        ("message", "code"),
        [
            ("This e-mail is already a user of another account", "email_is_user"),
            ("This e-mail cannot be used again", "email_blocked"),
            ("Client limit of your plan reached", "client_limit"),
            ("client_email is not an e-mail address", "bad_email"),
            ("permissions are unknown", "bad_permissions"),
        ],
    )
    def test_refusals(self, message: str, code: str) -> None:
        error = refusal(self.call, {"message": message})
        assert isinstance(error, Rejected)
        assert error.code == code

    def test_already_a_client(self) -> None:
        assert isinstance(refusal(self.call, {"errors": ["Client with this e-mail already exists"]}), AlreadyExists)

    @pytest.mark.parametrize("nest", [lambda rows: {"clients": rows}, lambda rows: {"data": {"clients": rows}}])
    def test_list(self, nest: Any) -> None:
        row = {
            "client_id": "c1", "first_name": "Sample", "last_name": "Student", "client_email": "Student@example.com",
            "client_business_name": "Sample GTM", "status": "active",
            "client_permissions": [{"org_id": "o1", "workspace_id": HEX, "permissions": ["UNIBOX_FULL_ACCESS"]}],
        }  # fmt: skip
        (client,) = answer(plusvibe.list_clients(HEX), nest([row]))
        assert (client.id, client.email, client.first_name, client.status) == (
            "c1", "student@example.com", "Sample", "ACTIVE",
        )  # fmt: skip
        assert client.sees(HEX)
        assert not client.sees("65f0c0ffee00000000000009")

    def test_a_client_without_permissions_sees_nothing(self) -> None:
        (client,) = answer(plusvibe.list_clients(HEX), {"clients": [{"_id": "c1", "email": "a@b.example"}]})
        assert not client.sees(HEX)

    def test_delete_is_repeatable_and_by_id(self) -> None:
        call = plusvibe.delete_client(HEX, "c1")
        assert call.repeatable
        assert (call.request.method, call.request.json) == ("DELETE", {"workspace_id": HEX, "client_id": "c1"})
        assert isinstance(refusal(call, {"message": "Client not found"}), NotFound)


def row(**change: Any) -> dict[str, Any]:
    return {
        "id": "a1", "email": ADDRESS, "status": "ACTIVE", "warmup_status": "INACTIVE", "provider": "GOOGLE_WORKSPACE",
        "warmup_enb_dt": None,
        "payload": {
            "name": {"first_name": "Sample", "last_name": "Student"},
            "warmup": {"limit": 30, "increment": 2, "reply_rate": 30},
            "warmup_rampup": {
                "is_slow_rampup": "yes", "initial_daily_limit": 2, "randomize": "yes", "randomize_num": 20,
            },
            "daily_limit": 30, "sending_gap": 5,
            "analytics": {
                "health_scores": {
                    "7d_overall_warmup_health": 97, "7d_google_warmup_health": "98%", "3d_bounce_rate": 0,
                },
                "reply_rates": {"7d_replyrate": 2.5},
                "daily_counters": {"email_sent_today": "0", "warmup_email_sent_today": 4},
            },
        },
        **change,
    }  # fmt: skip


def account(**change: Any) -> Any:
    return answer(plusvibe.list_accounts(HEX), {"accounts": [row(**change)]}).accounts[0]


class TestAccounts:
    def test_identity(self) -> None:
        assert account().id == "a1"
        assert account(id=None, _id="a2").id == "a2"
        assert account(email=ADDRESS.upper()).email == ADDRESS

    @pytest.mark.parametrize("change", [{"id": None}, {"email": None}, {"email": ""}])
    def test_without_identity_the_page_is_unreadable(self, change: dict[str, Any]) -> None:
        with pytest.raises(Unavailable):
            account(**change)

    def test_states(self) -> None:
        assert account(warmup_status="active").warming
        assert not account().warming
        assert not account(status="AUTH_EXPIRED").connected

    def test_settings_read_back_as_they_were_set(self) -> None:
        assert account().settings.differing(WarmupSettings()) == ()
        assert account().settings.differing(WarmupSettings(max_daily=40, reply_rate_percent=40)) == (
            "max_daily",
            "reply_rate_percent",
        )

    @pytest.mark.parametrize(("value", "percent"), [(30, 30), ("30", 30), (0.3, 30), ("30%", 30), (0, 0), (1, 1)])
    def test_reply_rate_is_percent_even_where_it_comes_back_as_fraction(self, value: Any, percent: int) -> None:
        payload = {"warmup": {"reply_rate": value}}
        assert account(payload=payload).settings.reply_rate_percent == percent

    @pytest.mark.parametrize(("value", "is_on"), [("yes", True), ("no", False), (True, True), (0, False), ("?", None)])
    def test_flags(self, value: Any, is_on: bool | None) -> None:
        assert account(payload={"warmup_rampup": {"is_slow_rampup": value}}).settings.slow_rampup is is_on

    @pytest.mark.parametrize("payload", [None, {}, [], "x", {"warmup": None, "name": "x"}])
    def test_a_missing_payload_costs_nothing_but_the_figures(self, payload: Any) -> None:
        bare = account(payload=payload)
        assert bare.email == ADDRESS
        assert not bare.settings.known
        assert bare.analytics is None

    def test_analytics(self) -> None:
        assert account().analytics == Analytics(
            health=97.0, health_google=98.0, bounce_rate_3d=0.0, reply_rate_7d=2.5, sent_today=0, warmup_sent_today=4
        )

    @pytest.mark.parametrize("block", [None, {}, [], "none"])
    def test_no_analytics_is_no_data_and_not_zero(self, block: Any) -> None:
        assert account(payload={"analytics": block}).analytics is None

    def test_paging(self) -> None:
        call = plusvibe.list_accounts(HEX, skip=100)
        assert call.request.query == {"workspace_id": HEX, "skip": "100", "limit": "100"}
        assert answer(call, {"accounts": [row()] * 99}).last
        assert not answer(call, {"accounts": [row()] * 100}).last


class TestSettings:
    def test_what_is_sent(self) -> None:
        call = plusvibe.update_accounts(HEX, {ADDRESS.upper(): "a1"}, WarmupSettings(), first_name="Sample")
        assert call.request.json == {
            "workspace_id": HEX, "ids": ["a1"], "daily_limit": 30, "interval_limit_in_min": 5,
            "warmup_initial_daily_limit": 2, "warmup_pace_increment": 2, "warmup_max_daily_limit": 30,
            "warmup_reply_rate": 0.3, "warmup_randomize": "yes", "warmup_randomize_num": 20,
            "bulk_warmup_is_slow_rampup": "yes",
        }  # fmt: skip
        assert (call.request.method, call.items, call.repeatable) == ("PUT", (ADDRESS,), True)

    def test_names_only_by_setting(self) -> None:
        client = PlusvibeClient(PlusvibeSettings(Hidden("key-12345"), send_names=True))
        body = client.update_accounts(
            HEX, {ADDRESS: "a1"}, WarmupSettings(), first_name="A", last_name="B"
        ).request.json
        assert (body["first_name"], body["last_name"]) == ("A", "B")

    @pytest.mark.parametrize(
        "change",
        [{"max_daily": 51}, {"max_daily": 0}, {"increment": 0}, {"reply_rate_percent": 101}, {"daily_limit": -1}],
    )
    def test_ranges(self, change: dict[str, Any]) -> None:
        with pytest.raises(ValueError, match=next(iter(change))):
            dataclasses.replace(WarmupSettings(), **change)

    @pytest.mark.parametrize("body", [{}, {"status": "success"}, {"updated_count": "1"}])
    def test_update_is_answered_in_some_way(self, body: Any) -> None:
        answer(plusvibe.update_accounts(HEX, {ADDRESS: "a1"}, WarmupSettings()), body)

    @pytest.mark.parametrize("nest", [lambda body: body, lambda body: {"status": "success", "data": body}])
    def test_warmup_switch(self, nest: Any) -> None:
        call = plusvibe.set_warmup(HEX, {ADDRESS: "a1"}, on=True)
        assert call.request.json == {"workspace_id": HEX, "ids": ["a1"], "warmup_status": "ACTIVE"}
        assert call.request.method == "PATCH"
        changed = answer(call, nest({"updated_count": "1", "updated_ids": ["a1"]}))
        assert (changed.count, changed.ids) == (1, ("a1",))
        assert plusvibe.set_warmup(HEX, {ADDRESS: "a1"}, on=False).request.json["warmup_status"] == "INACTIVE"

    def test_a_hundred_at_most(self) -> None:
        many = {f"u{number}@x.com": f"a{number}" for number in range(101)}
        for bad in (many, {}):
            with pytest.raises(ValueError, match="ids"):
                plusvibe.set_warmup(HEX, bad, on=True)
            with pytest.raises(ValueError, match="ids"):
                plusvibe.update_accounts(HEX, bad, WarmupSettings())

    def test_fallback(self) -> None:
        call = plusvibe.add_accounts(HEX, [NewAccount(ADDRESS, "Sample", "Student", Hidden("app-pass-word"))])
        (sent,) = call.request.json["accounts"]
        assert (sent["username"], sent["password"], sent["smtp_password"]) == (
            ADDRESS,
            "app-pass-word",
            "app-pass-word",
        )
        assert (sent["imap_host"], sent["smtp_port"], sent["enable_warmup"]) == ("imap.gmail.com", 465, "yes")
        assert (call.items, call.repeatable, call.proof) == ((ADDRESS,), False, Proof.READ)
        assert "app-pass-word" not in repr(call)
