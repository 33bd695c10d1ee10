"""What GoDaddy is asked in both generations, and what its answers mean."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from integrations.godaddy import GodaddyClient, GodaddySettings, Money
from integrations.http.call import Call, Proof, Raw
from integrations.http.errors import (
    AlreadyExists,
    BadCredentials,
    NotConfigured,
    OutcomeUnknown,
    PlatformError,
    RateLimited,
    Rejected,
    Unavailable,
    Unsupported,
)
from integrations.http.gate import judge

from .verbs import AGREED, DOMAIN, PERSON, QUOTED, SERVERS, UNDER_WAY, godaddy, godaddy_v1

REGISTER = godaddy.register(QUOTED, AGREED, "key-1", 1500)


def answer(call: Call[Any], body: Any, status: int = 200, headers: dict[str, str] | None = None) -> Any:
    return judge(call, Raw(status, headers or {}, body if isinstance(body, bytes) else json.dumps(body).encode()))


def refusal(call: Call[Any], body: Any, status: int, headers: dict[str, str] | None = None) -> PlatformError:
    with pytest.raises(PlatformError) as caught:
        answer(call, body, status, headers)
    return caught.value


class TestCredentials:
    def test_a_token(self) -> None:
        assert godaddy.get_domain(DOMAIN).request.headers["Authorization"] == "Bearer godaddy-key-1234"

    def test_key_and_secret_are_of_v1_alone(self) -> None:
        both = {"GODADDY_API_TOKEN": "token-123", "GODADDY_API_KEY": "key-1234", "GODADDY_API_SECRET": "secret-12"}
        old = GodaddyClient(GodaddySettings.from_mapping({**both, "GODADDY_API": "v1"}))
        assert old.get_domain(DOMAIN).request.headers["Authorization"] == "sso-key key-1234:secret-12"
        new = GodaddyClient(GodaddySettings.from_mapping(both))
        assert new.get_domain(DOMAIN).request.headers["Authorization"] == "Bearer token-123"
        assert "secret-12" not in repr(old.settings) + repr(old.get_domain(DOMAIN))

    def test_half_a_credential(self) -> None:
        for values in ({}, {"GODADDY_API": "v1", "GODADDY_API_KEY": "key-1234"}):
            with pytest.raises(NotConfigured):
                GodaddySettings.from_mapping(values)


class TestNames:
    def test_v3_money_is_in_minor_units(self) -> None:
        row = {"domain": DOMAIN, "available": True, "inventory": "REGISTRY", "prices": [
            {"period": 2, "price": {"currencyCode": "USD", "value": 9999}},
            {"period": 1, "price": {"currencyCode": "USD", "value": 1199},
             "renewalPrice": {"currencyCode": "JPY", "value": 2299}},
        ]}  # fmt: skip
        offer = answer(godaddy.check_domain(DOMAIN), row)
        assert (offer.price, offer.renewal) == (Money(Decimal("11.99"), "USD"), Money(Decimal(2299), "JPY"))
        assert (offer.price.minor, offer.renewal.minor) == (1199, 2299)

    def test_v1_money_is_in_millionths(self) -> None:
        row = {"domain": DOMAIN, "available": True, "price": 11_990_000, "currency": "USD", "period": 1}
        assert answer(godaddy_v1.check_domain(DOMAIN), row).price == Money(Decimal("11.99"), "USD")

    @pytest.mark.parametrize("inventory", ["REGISTRY_PREMIUM", "PREMIUM", "SOMETHING_NEW"])
    def test_premium(self, inventory: str) -> None:
        assert answer(
            godaddy.check_domain(DOMAIN), {"domain": DOMAIN, "available": True, "inventory": inventory}
        ).premium

    def test_an_error_of_one_name_hides_no_other(self) -> None:
        rows = [{"domain": "bad..com", "error": {"name": "MISMATCH_FORMAT"}}, {"domain": DOMAIN, "available": True}]
        first, second = answer(godaddy.check_domains([DOMAIN, "bad..com"]), {"items": rows})
        assert (first.name, first.available) == (DOMAIN, True)
        assert (second.problem, second.available) == ("mismatch_format", False)

    def test_a_partial_answer_of_v1(self) -> None:
        body = {
            "domains": [{"domain": DOMAIN, "available": True}],
            "errors": [{"domain": "x.us", "code": "UNSUPPORTED_TLD"}],
        }
        first, second = answer(godaddy_v1.check_domains([DOMAIN, "x.us"]), body, 203)
        assert (first.available, second.problem) == (True, "unsupported_tld")

    def test_how_many_and_how_exactly(self) -> None:
        assert godaddy.check_domains([DOMAIN]).request.json == {"domains": [DOMAIN], "optimizeFor": "SPEED"}
        old = godaddy_v1.check_domains([DOMAIN], accurate=True).request
        assert (old.json, old.query) == ([DOMAIN], {"checkType": "FULL"})
        for one, most in ((godaddy, 25), (godaddy_v1, 500)):
            with pytest.raises(ValueError, match="names"):
                one.check_domains([f"n{n}.com" for n in range(most + 1)])


class TestQuote:
    row = {
        "domain": DOMAIN, "available": True, "inventory": "REGISTRY", "price": {"currencyCode": "USD", "value": 1199},
        "fees": None, "quoteToken": "qt_123456", "expiresAt": "2026-11-20T10:10:00Z",
        "requiredAgreements": [{"agreementType": "API_DPA"}], "resolved": {"contactSource": "ACCOUNT"},
    }  # fmt: skip

    def test_a_quote(self) -> None:
        quote = answer(godaddy.quote(DOMAIN), self.row)
        assert quote.total == Money(Decimal("11.99"), "USD")
        assert (quote.token.open(), quote.contact_source) == ("qt_123456", "ACCOUNT")
        assert [one.kind for one in quote.agreements] == ["API_DPA"]
        assert "qt_123456" not in repr(quote)

    def test_fees_count_in(self) -> None:
        fees = [{"type": "x", "amount": {"currencyCode": "USD", "value": 500}}]
        assert answer(godaddy.quote(DOMAIN), {**self.row, "fees": fees}).total == Money(Decimal("16.99"), "USD")

    def test_a_fee_that_cannot_be_read_leaves_no_total(self) -> None:
        assert answer(godaddy.quote(DOMAIN), {**self.row, "fees": [{"type": "x"}]}).total is None

    def test_taken(self) -> None:
        assert not answer(godaddy.quote(DOMAIN), {"domain": DOMAIN, "available": False}).available

    def test_available_without_token_makes_no_sense(self) -> None:
        with pytest.raises(Unavailable):
            answer(godaddy.quote(DOMAIN), {**self.row, "quoteToken": None})


class TestBuying:
    def test_what_is_sent(self) -> None:
        assert REGISTER.request.headers["Idempotency-Key"] == "key-1"
        assert REGISTER.request.json == {
            "domain": DOMAIN, "period": 1, "profile": {"autoRenew": False}, "quoteToken": "quote-token-1",
            "consent": {"agreementTypes": ["API_DPA"], "agreedAt": "2026-11-20T10:00:00Z"},
        }  # fmt: skip
        assert (REGISTER.repeatable, REGISTER.proof, REGISTER.price_ceilings) == (True, Proof.READ, {DOMAIN: 1500})

    def test_fees_are_repeated_word_for_word(self) -> None:
        fee = {"type": "x", "amount": {"currencyCode": "USD", "value": 1}}
        call = godaddy.register(replace(QUOTED, fees=(fee,)), AGREED, "key-1", 1500)
        assert call.request.json["consent"]["acknowledgedFees"] == [fee]

    @pytest.mark.parametrize(
        ("change", "why"),
        [({"premium": True}, "premium"), ({"total": None}, "price"), ({"total": Money(Decimal("15.01"), "USD")}, "ceiling"),
         ({"agreements": ()}, "consent")],
    )  # fmt: skip
    def test_what_is_never_bought(self, change: dict[str, Any], why: str) -> None:
        with pytest.raises(ValueError, match=why):
            godaddy.register(replace(QUOTED, **change), AGREED, "key-1", 1500)

    def test_without_a_key_nothing_is_bought(self) -> None:
        with pytest.raises(ValueError, match="key"):
            godaddy.register(QUOTED, AGREED, " ", 1500)

    def test_the_old_purchase_is_never_repeated(self) -> None:
        call = godaddy_v1.purchase(DOMAIN, AGREED, PERSON, 1500)
        assert (call.repeatable, call.proof) == (False, Proof.READ)
        assert call.request.json["consent"] == {
            "agreementKeys": ["API_DPA"], "agreedBy": "203.0.113.7", "agreedAt": "2026-11-20T10:00:00Z",
        }  # fmt: skip
        assert call.request.json["contactRegistrant"]["phone"] == "+1.4805551234"
        assert call.request.json["renewAuto"] is False
        with pytest.raises(OutcomeUnknown):
            answer(call, {"itemCount": 1})

    def test_each_generation_has_calls_of_its_own(self) -> None:
        for build in (
            lambda: godaddy_v1.quote(DOMAIN),
            lambda: godaddy_v1.register(QUOTED, AGREED, "k", 1500),
            lambda: godaddy_v1.get_operation("op1"),
            lambda: godaddy.agreements("com"),
            lambda: godaddy.validate(DOMAIN, AGREED, PERSON),
            lambda: godaddy.purchase(DOMAIN, AGREED, PERSON, 1500),
        ):
            with pytest.raises(Unsupported):
                build()

    @pytest.mark.parametrize(("form", "phone"), [("object", {"countryCode": "1", "nationalNumber": "4805551234"}),
                                                 ("text", "+1.4805551234")])  # fmt: skip
    def test_the_form_of_a_phone_is_a_setting(self, form: str, phone: Any) -> None:
        settings = GodaddySettings.from_mapping({"GODADDY_API_TOKEN": "token-123", "GODADDY_PHONE_AS": form})
        body = GodaddyClient(settings).quote(DOMAIN, contact=PERSON).request.json
        assert body["profile"]["contacts"]["registrant"]["phone"] == phone


class TestErrors:
    @pytest.mark.parametrize("envelope", ["name", "code"])
    @pytest.mark.parametrize("spell", [str.upper, str.lower])
    @pytest.mark.parametrize(
        ("word", "status", "code"),
        [
            ("quote_expired", 409, "quote_gone"),
            ("quote_consumed", 409, "quote_gone"),
            ("quote_mismatch", 422, "quote_mismatch"),
            ("consent_fees_required", 422, "consent_refused"),
            ("no_payment_profile", 422, "no_funds"),
            ("invalid_payment_info", 402, "no_funds"),
            ("domain_not_available", 422, "name_taken"),
            ("missing_contact", 422, "contact_refused"),
            ("access_denied", 403, "not_eligible"),
            ("insufficient_scope", 403, "scope_missing"),
        ],
    )
    def test_both_envelopes_in_any_case(self, envelope: str, spell: Any, word: str, status: int, code: str) -> None:
        error = refusal(REGISTER, {envelope: spell(word), "message": "?"}, status)
        assert isinstance(error, Rejected)
        assert error.code == code

    def test_there_already(self) -> None:
        assert isinstance(refusal(REGISTER, {"name": "domain_already_exists"}, 409), AlreadyExists)

    def test_a_403_without_a_word_of_theirs_is_the_token(self) -> None:
        assert isinstance(refusal(REGISTER, {"message": "no"}, 403), BadCredentials)

    @pytest.mark.parametrize(
        ("body", "headers", "wait"),
        [({"retryAfterSec": 30}, {}, 30.0), ({"retryAfterSec": 30}, {"retry-after": "45"}, 45.0),
         ({"retryAfterSec": 60}, {"retry-after": "45"}, 60.0), ({}, {}, None)],
    )  # fmt: skip
    def test_the_longer_wait_counts(self, body: Any, headers: dict[str, str], wait: float | None) -> None:
        error = refusal(REGISTER, body, 429, headers)
        assert isinstance(error, RateLimited)
        assert error.advised_wait == wait

    def test_a_protected_name(self) -> None:
        error = refusal(godaddy.set_nameservers(DOMAIN, SERVERS, "k"), {"code": "DOMAIN_PROTECTED"}, 409)
        assert isinstance(error, Rejected)
        assert error.code == "protected"


class TestAfterwards:
    def test_an_operation_says_when_to_ask_again(self) -> None:
        one = answer(godaddy.get_operation("op1"), UNDER_WAY, 200, {"retry-after": "5"})
        assert (one.done, one.failed, one.again) == (False, False, 5.0)

    def test_a_failed_one_says_why(self) -> None:
        body = {**UNDER_WAY, "status": "FAILED", "error": {"name": "BILLING_DECLINED"}}
        one = answer(godaddy.get_operation("op1"), body)
        assert (one.failed, one.problem) == (True, "billing_declined")

    @pytest.mark.parametrize(
        ("status", "what"),
        [("ACTIVE", "active"), ("pending_setup", "waiting"), ("AWAITING_VERIFICATION_ICANN", "waiting"),
         ("FAILED_SETUP", "failed"), ("CANCELLED", "failed"), ("HELD_REGISTRAR", "needs_operator"),
         ("SOMETHING_NEW", "needs_operator")],
    )  # fmt: skip
    def test_states_of_a_name(self, status: str, what: str) -> None:
        one = answer(godaddy_v1.get_domain(DOMAIN), {"domain": DOMAIN, "status": status})
        assert [name for name in ("active", "waiting", "failed", "needs_operator") if getattr(one, name)] == [what]

    def test_pages(self) -> None:
        row = {"domain": DOMAIN, "status": "ACTIVE"}
        link = {"rel": "next", "href": "https://x/v3/domains/domain-names?pageSize=100&pageToken=abc"}
        assert answer(godaddy.list_domains(), {"items": [row], "links": [link]}).next_marker == "abc"
        assert godaddy.list_domains("abc").request.query["pageToken"] == "abc"
        assert answer(godaddy_v1.list_domains(), [row]).next_marker == ""
        assert answer(godaddy_v1.list_domains(), [row] * 100).next_marker == DOMAIN

    def test_name_servers_are_a_bare_array_in_v3(self) -> None:
        assert godaddy.set_nameservers(DOMAIN, SERVERS, "k").request.json == list(SERVERS)
        assert godaddy_v1.set_nameservers(DOMAIN, SERVERS, "").request.json == {"nameServers": list(SERVERS)}
        for bad in (SERVERS[:1], [f"n{n}.example.net" for n in range(14)]):
            with pytest.raises(ValueError, match="name servers"):
                godaddy.set_nameservers(DOMAIN, bad, "k")
