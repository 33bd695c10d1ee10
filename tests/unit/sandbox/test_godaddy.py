"""Section 6 of platforms/godaddy.md, "What the sandbox must reproduce"."""

from __future__ import annotations

from typing import Any

import pytest

from integrations.sandbox import Response, Wire
from integrations.sandbox.dns import delegation
from tests.unit.sandbox.kit import DAY, HOUR, Box

NAME = "boughtexample.com"
SERVERS = ["ada.ns.cloudflare.com", "bob.ns.cloudflare.com"]
ADDRESS = {"address1": "1 St", "city": "Town", "state": "AZ", "postalCode": "85001", "country": "US"}
PERSON = {
    "nameFirst": "S",
    "nameLast": "S",
    "email": "s@ops.example",
    "phone": "+1.4805551234",
    "addressMailing": ADDRESS,
}
V1_ORDER = {
    "domain": NAME,
    "consent": {"agreementKeys": ["DNRA"], "agreedBy": "203.0.113.7", "agreedAt": "2026-11-20T10:00:00Z"},
    **{f"contact{role}": PERSON for role in ("Registrant", "Admin", "Tech", "Billing")},
}


class Shop(Box):
    """A sandbox, and short ways to talk to its GoDaddy."""

    def quote(self, name: str = NAME, **more: Any) -> Response:
        return self.godaddy("POST", "/v3/domains/registration-quotes", {"domain": name, "period": 1, **more})

    def order(self, token: str, key: str = "key-1", **more: Any) -> Response:
        consent = {"agreementTypes": ["API_DPA"], "agreedAt": "2026-11-20T10:00:00Z"}
        body = {"domain": NAME, "period": 1, "quoteToken": token, "consent": consent, **more}
        return self.godaddy("POST", "/v3/domains/registrations", body, key=key)

    def bought(self) -> None:
        assert self.order(self.quote().json()["quoteToken"]).status == 202
        self.sandbox.advance(HOUR)

    def status(self, operation: str) -> Any:
        return self.godaddy("GET", f"/v3/domains/operations/{operation}").json()

    @property
    def charges(self) -> int:
        return len(self.sandbox.state()["godaddy"]["charges"])


def word(answer: Response) -> tuple[int, str]:
    body = answer.json()
    return answer.status, str(body.get("code") or body.get("name"))


@pytest.fixture
def shop() -> Shop:
    return Shop()


def test_credentials_are_separate_and_scopes_enforced(shop: Shop) -> None:
    assert shop.godaddy("GET", f"/v3/domains/domain-names/{NAME}", auth="sso-key sandbox-godaddy-key:x").status == 401
    shop.sandbox.switches.set(godaddy_scopes="domains.domain:read")
    assert word(shop.order("t")) == (403, "INSUFFICIENT_SCOPE")


@pytest.mark.parametrize(("gate", "status"), [("open", 200), ("closed", 403)])
def test_the_gate_of_v1(shop: Shop, gate: str, status: int) -> None:
    shop.sandbox.switches.set(godaddy_v1_gate=gate)
    assert shop.godaddy("GET", "/v1/domains/available", domain=NAME).status == status


@pytest.mark.parametrize(("buys", "status"), [(True, 409), (False, 403)])
def test_whether_a_token_may_buy(shop: Shop, buys: bool, status: int) -> None:
    shop.sandbox.switches.set(godaddy_token_buys=buys)
    assert shop.order("nothing").status == status


def test_money_in_two_units_and_another_price_of_renewal(shop: Shop) -> None:
    new = shop.godaddy("GET", "/v3/domains/check-availability", domain=NAME).json()["prices"][0]
    assert (new["price"]["value"], new["renewalPrice"]["value"]) == (1199, 2299)
    assert shop.godaddy("GET", "/v1/domains/available", domain=NAME).json()["price"] == 11_990_000


def test_a_premium_name_has_fees_that_are_consented_to(shop: Shop) -> None:
    shop.sandbox.switches.set(godaddy_premium_names=NAME)
    quote = shop.quote().json()
    assert quote["inventory"] == "REGISTRY_PREMIUM"
    assert word(shop.order(quote["quoteToken"])) == (422, "consent_fees_required")


def test_names_that_are_answered_with_an_error_inside_200(shop: Shop) -> None:
    body = {"domains": ["bad..com", "a.us", NAME]}
    rows = shop.godaddy("POST", "/v3/domains/check-availability", body).json()["items"]
    assert [row.get("error", {}).get("name") for row in rows] == ["MISMATCH_FORMAT", "UNSUPPORTED_TLD", None]


def test_speed_says_free_and_the_quote_says_taken(shop: Shop) -> None:
    shop.sandbox.switches.set(godaddy_taken_names=NAME, godaddy_cached_names=NAME)
    fast = shop.godaddy("GET", "/v3/domains/check-availability", domain=NAME).json()
    sure = shop.godaddy("GET", "/v3/domains/check-availability", domain=NAME, optimizeFor="ACCURACY").json()
    assert (fast["available"], sure["available"]) == (True, False)
    quote = shop.quote()
    assert (quote.status, quote.json()["available"], "quoteToken" in quote.json()) == (200, False, False)


def test_a_quote_lives_ten_minutes_and_once(shop: Shop) -> None:
    old, new = shop.quote().json()["quoteToken"], shop.quote().json()["quoteToken"]
    assert word(shop.order(new, period=2)) == (422, "quote_mismatch")
    assert shop.order(new).status == 202
    assert word(shop.order(new, "key-2")) == (409, "quote_consumed")
    shop.sandbox.advance(600)
    assert word(shop.order(old, "key-3")) == (409, "quote_expired")


def test_no_way_to_pay_and_contacts_that_will_not_do(shop: Shop) -> None:
    person = {"firstName": "Zoé", "lastName": "S", "email": "s@x.com", "phone": "+1.4",
              "address": {"line1": "1 St", "city": "Town", "countryCode": "US"}}  # fmt: skip
    assert word(shop.quote(profile={"contacts": {"registrant": person}})) == (422, "INVALID_CONTACT")
    shop.sandbox.switches.set(godaddy_account_contact="incomplete")
    assert word(shop.quote()) == (422, "MISSING_CONTACT")
    shop.sandbox.switches.set(godaddy_payment="none")
    assert word(shop.quote()) == (422, "NO_PAYMENT_PROFILE")
    assert word(shop.godaddy("POST", "/v1/domains/purchase", V1_ORDER)) == (402, "INVALID_PAYMENT_INFO")


@pytest.mark.parametrize("form", ["object", "text"])
def test_the_form_of_a_phone(shop: Shop, form: str) -> None:
    shop.sandbox.switches.set(godaddy_phone=form)
    address = {"line1": "1 St", "city": "Town", "countryCode": "US"}
    for phone in ("+1.4805551234", {"countryCode": "1", "nationalNumber": "4805551234"}):
        person = {"firstName": "S", "lastName": "S", "email": "s@x.com", "phone": phone, "address": address}
        right = isinstance(phone, str) is (form == "text")
        assert (shop.quote(profile={"contacts": {"registrant": person}}).status == 200) is right


def test_the_same_key_replays_and_a_new_one_buys_again(shop: Shop) -> None:
    first, second = (shop.quote().json()["quoteToken"] for _ in range(2))
    assert shop.order(first, "").status == 400
    replies = [shop.order(first), shop.order(first)]
    assert len({reply.json()["operationId"] for reply in replies}) == 1
    assert shop.order(second, "key-2").status == 202
    shop.sandbox.advance(HOUR)
    assert shop.charges == 2
    assert [row["years"] for row in shop.sandbox.state()["godaddy"]["domains"]] == [2]


@pytest.mark.parametrize(
    ("fault", "problem"), [("declined", "BILLING_DECLINED"), ("registry_taken", "DOMAIN_NOT_AVAILABLE")]
)
def test_accepted_and_then_failed(shop: Shop, fault: str, problem: str) -> None:
    shop.sandbox.faults.add(fault, times=1)
    operation = shop.order(shop.quote().json()["quoteToken"]).json()["operationId"]
    shop.sandbox.advance(HOUR)
    assert (shop.status(operation)["status"], shop.status(operation)["error"]["name"]) == ("FAILED", problem)
    assert shop.charges == 0


def test_executing_for_ever(shop: Shop) -> None:
    shop.sandbox.faults.add("stuck", times=1)
    operation = shop.order(shop.quote().json()["quoteToken"]).json()["operationId"]
    shop.sandbox.advance(DAY)
    assert shop.status(operation)["status"] == "EXECUTING"


def test_an_answer_that_is_lost_after_the_charge(shop: Shop) -> None:
    token = shop.quote().json()["quoteToken"]
    shop.sandbox.faults.add("reset_after", verb="register", times=1)
    assert shop.order(token).wire is Wire.RESET
    assert shop.order(token).status == 202
    shop.sandbox.advance(HOUR)
    assert shop.charges == 1


def test_v1_buys_at_once_and_again_when_asked_again(shop: Shop) -> None:
    shop.sandbox.faults.add("reset_after", verb="purchase", times=1)
    assert shop.godaddy("POST", "/v1/domains/purchase", V1_ORDER).wire is Wire.RESET
    assert shop.godaddy("GET", f"/v1/domains/{NAME}").json()["status"] == "PENDING_SETUP"
    assert shop.godaddy("POST", "/v1/domains/purchase", V1_ORDER).json()["total"] == 11_990_000
    assert shop.charges == 2


@pytest.mark.parametrize("status", ["ACTIVE", "PENDING_FRAUD_VERIFICATION"])
def test_what_becomes_of_an_order_of_v1(shop: Shop, status: str) -> None:
    shop.sandbox.switches.set(godaddy_v1_status=status)
    shop.godaddy("POST", "/v1/domains/purchase", V1_ORDER)
    shop.sandbox.advance(HOUR)
    assert shop.godaddy("GET", f"/v1/domains/{NAME}").json()["status"] == status


@pytest.mark.parametrize("code", ["UNAVAILABLE_DOMAIN", "DOMAIN_NOT_AVAILABLE"])
def test_v1_refuses_a_taken_name_and_answers_in_part(shop: Shop, code: str) -> None:
    shop.sandbox.switches.set(godaddy_taken_names=NAME, godaddy_v1_taken_code=code)
    assert word(shop.godaddy("POST", "/v1/domains/purchase", V1_ORDER)) == (422, code)
    shop.sandbox.faults.add("partial_check", items=["x.com"])
    assert shop.godaddy("POST", "/v1/domains/available", [NAME, "x.com"]).status == 203
    assert shop.godaddy("POST", "/v1/domains/available", [NAME]).status == 200


def test_name_servers_change_by_an_operation_and_dns_follows_late(shop: Shop) -> None:
    shop.sandbox.switches.set(godaddy_operation_seconds=(10, 10), godaddy_nameserver_seconds=(600, 600))
    shop.bought()
    path = f"/v3/domains/domain-names/{NAME}/nameservers"
    assert shop.godaddy("PUT", path, SERVERS[:1], key="a").status == 422
    assert shop.godaddy("PUT", path, {"nameServers": SERVERS}, key="a").status == 422
    assert shop.godaddy("PUT", path, SERVERS, key="b").status == 202
    shop.sandbox.advance(10)
    assert shop.godaddy("GET", f"/v3/domains/domain-names/{NAME}").json()["nameServers"] == SERVERS
    assert "cloudflare" not in delegation(shop.sandbox.world, NAME, shop.clock.now())[0]
    shop.sandbox.advance(600)
    assert list(delegation(shop.sandbox.world, NAME, shop.clock.now())) == SERVERS


def test_a_protected_name_and_a_renewal_that_is_not_public(shop: Shop) -> None:
    shop.bought()
    shop.sandbox.switches.set(godaddy_protected_names=NAME, godaddy_auto_renew="not_public")
    assert shop.godaddy("PUT", f"/v3/domains/domain-names/{NAME}/nameservers", SERVERS, key="a").status == 409
    assert shop.godaddy("PATCH", f"/v1/domains/{NAME}", {"nameServers": SERVERS}).status == 409
    assert shop.godaddy("POST", f"/v3/domains/domain-names/{NAME}/auto-renew", False, key="b").status == 404


@pytest.mark.parametrize("in_body", [True, False])
@pytest.mark.parametrize(("form", "has_header"), [("seconds", True), ("none", False)])
def test_the_limit_in_both_forms(shop: Shop, in_body: bool, form: str, has_header: bool) -> None:
    shop.sandbox.switches.set(godaddy_per_minute=1, godaddy_429_body=in_body, godaddy_retry_after=form)
    shop.quote()
    answer = shop.quote()
    assert (answer.status, "retryAfterSec" in answer.json(), "retry-after" in answer.headers) == (
        429,
        in_body,
        has_header,
    )


@pytest.mark.parametrize(("envelope", "member"), [("v3", "name"), ("v1", "code")])
@pytest.mark.parametrize(("case", "spelled"), [("as_written", "quote_expired"), ("upper", "QUOTE_EXPIRED"),
                                               ("lower", "quote_expired")])  # fmt: skip
def test_both_envelopes_and_cases(shop: Shop, envelope: str, member: str, case: str, spelled: str) -> None:
    shop.sandbox.switches.set(godaddy_envelope=envelope, godaddy_code_case=case)
    assert shop.order("nothing").json()[member] == spelled
