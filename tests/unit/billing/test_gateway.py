"""The gateway alone: what goes out, what comes back, and what every refusal and silence means."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from billing.gateway import Gateway
from integrations.http.call import Call, Raw
from integrations.http.errors import (
    BadCredentials,
    NotFound,
    NotSent,
    OutcomeUnknown,
    PlatformError,
    RateLimited,
    Rejected,
    Unavailable,
)

KEY = "sk_test_unit_0123456789"
SESSION = {
    "id": "cs_1",
    "object": "checkout.session",
    "status": "open",
    "payment_status": "unpaid",
    "url": "https://pay.example/cs_1",
    "metadata": {"checkout_id": "c-1", "provision_ref": "GTM-7K3F9Q"},
    "customer": None,
    "subscription": None,
    "invoice": None,
    "payment_intent": None,
    "amount_total": 14400,
    "currency": "usd",
    "livemode": False,
}


@dataclass
class Canned:
    """A transport that keeps the calls and gives one answer."""

    answer: Raw | PlatformError
    calls: list[Call[Any]] = field(default_factory=list)

    def send(self, call: Call[Any], *, send_before: float | None = None) -> Raw:
        self.calls.append(call)
        if isinstance(self.answer, PlatformError):
            raise self.answer
        return self.answer


def answer(status: int, document: Any = None, **headers: str) -> Raw:
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    return Raw(status, {"request-id": "req_1", **{name.replace("_", "-"): v for name, v in headers.items()}}, body)


def error(status: int, code: str | None = None, kind: str = "invalid_request_error", **headers: str) -> Raw:
    return answer(status, {"error": {"type": kind, "code": code, "message": "A sentence."}}, **headers)


def gateway(given: Raw | PlatformError, *, livemode: bool = False) -> tuple[Gateway, Canned]:
    transport = Canned(given)
    made = Gateway(
        secret_key=KEY,
        webhook_secret="whsec_unit_0123",
        api_url="https://stripe.example/base",
        livemode=livemode,
        transport=transport,
    )
    return made, transport


def a_write(stripe: Gateway) -> object:
    return stripe.create_session({"mode": "subscription", "line_items": [{"price": "p", "quantity": 1}]}, key="op:1")


def a_read(stripe: Gateway) -> object:
    return stripe.session("cs_1")


# --- what goes out ----------------------------------------------------------------------------------------------------


def test_a_write_is_a_form_with_brackets_under_its_key() -> None:
    stripe, transport = gateway(answer(200, SESSION))
    a_write(stripe)
    (call,) = transport.calls
    assert (call.platform, call.verb, call.is_write) == ("stripe", "post checkout.sessions", True)
    assert call.request.url == "https://stripe.example/base/v1/checkout/sessions"
    assert ("line_items[0][price]", "p") in list(call.request.form or ())
    headers = {name.lower(): value for name, value in call.request.headers.items()}
    assert headers["idempotency-key"] == "op:1"
    assert headers["authorization"] == f"Bearer {KEY}"
    assert headers["stripe-version"] == "2026-10-28.endive"


def test_a_read_has_its_parameters_in_the_query_and_no_id_in_its_name() -> None:
    stripe, transport = gateway(answer(200, SESSION))
    a_read(stripe)
    (call,) = transport.calls
    assert (call.verb, call.is_write) == ("get checkout.sessions", False)
    assert call.request.query == {"expand[0]": "invoice.payments"}
    assert call.request.form is None


@pytest.mark.parametrize("identifier", ["cs_live_a1B2c3D4e5F6g7H8", "cs_0001", "cs_test_abc"])
def test_names_of_calls_carry_no_ids(identifier: str) -> None:
    stripe, transport = gateway(answer(200, SESSION))
    stripe.session(identifier)
    stripe.expire_session(identifier)
    assert [call.verb for call in transport.calls] == ["get checkout.sessions", "post checkout.sessions.expire"]


def test_nothing_is_retried_by_the_sdk() -> None:
    stripe, transport = gateway(error(500, kind="api_error", stripe_should_retry="true"))
    with pytest.raises(OutcomeUnknown):
        a_write(stripe)
    assert len(transport.calls) == 1


# --- what it means ----------------------------------------------------------------------------------------------------

BOTH: list[tuple[Raw | PlatformError, type[PlatformError]]] = [
    (error(400, "parameter_unknown"), Rejected),
    (error(400, "resource_missing"), NotFound),
    (error(404, "resource_missing"), NotFound),
    (error(400, None, "idempotency_error"), Rejected),
    (error(402, "card_declined", "card_error"), Rejected),
    (error(401), BadCredentials),
    (error(403), BadCredentials),
    (error(429, "rate_limit"), RateLimited),
    (error(409, "idempotency_key_in_use", "idempotency_error"), RateLimited),
    (error(409, "lock_timeout"), RateLimited),
    (NotSent("refused"), NotSent),
]
LOST: list[Raw | PlatformError] = [
    error(500, kind="api_error"),
    error(503, kind="api_error"),
    answer(200, b"<html>"),
    answer(200, b""),
    answer(502, b"<html>Bad gateway</html>"),
    answer(200, {}),
    answer(200, []),
    answer(200, {**SESSION, "livemode": None, "amount_total": "many"}),
    OutcomeUnknown("no answer"),
]


@pytest.mark.parametrize("act", [a_write, a_read])
@pytest.mark.parametrize(("given", "meaning"), BOTH)
def test_refusals_mean_the_same_for_reads_and_writes(
    given: Raw | PlatformError, meaning: type[PlatformError], act: Callable[[Gateway], object]
) -> None:
    with pytest.raises(meaning) as caught:
        act(gateway(given)[0])
    assert type(caught.value) is meaning


@pytest.mark.parametrize("given", LOST)
def test_a_lost_answer_of_a_write_is_unknown_and_of_a_read_unavailable(given: Raw | PlatformError) -> None:
    with pytest.raises(OutcomeUnknown):
        a_write(gateway(given)[0])
    with pytest.raises(Unavailable):
        a_read(gateway(given)[0])


def test_an_error_names_status_and_request_and_no_secret() -> None:
    stripe, _ = gateway(answer(400, {"error": {"type": "invalid_request_error", "message": f"Bad key {KEY}"}}))
    with pytest.raises(Rejected) as caught:
        a_write(stripe)
    assert (caught.value.status, caught.value.request_id) == (400, "req_1")
    assert KEY not in str(caught.value)


@pytest.mark.parametrize(("header", "wait"), [("7", 7.0), ("2.5", 2.5), ("soon", None), ("-1", None)])
def test_the_advice_of_a_429_is_read_where_it_makes_sense(header: str, wait: float | None) -> None:
    with pytest.raises(RateLimited) as caught:
        a_read(gateway(error(429, retry_after=header))[0])
    assert caught.value.advised_wait == wait


@pytest.mark.parametrize(("ours", "theirs"), [(False, True), (True, False)])
def test_an_object_of_the_other_mode_is_refused(ours: bool, theirs: bool) -> None:
    stripe, _ = gateway(answer(200, {**SESSION, "livemode": theirs}), livemode=ours)
    with pytest.raises(Rejected) as caught:
        a_read(stripe)
    assert caught.value.code == "livemode_mismatch"


def test_a_session_is_read_defensively() -> None:
    found = gateway(answer(200, {**SESSION, "metadata": {}, "status": "hovering", "amount_total": None}))[0].session(
        "x"
    )
    assert (found.status, found.checkout_id, found.amount_cents, found.is_paid) == ("hovering", "", 0, False)


def test_the_payment_intent_is_found_in_the_expanded_invoice() -> None:
    invoice = {
        "id": "in_1",
        "object": "invoice",
        "hosted_invoice_url": "https://pay.example/r",
        "payments": {
            "object": "list",
            "data": [{"object": "invoice_payment", "payment": {"type": "payment_intent", "payment_intent": "pi_1"}}],
        },
    }
    found = gateway(answer(200, {**SESSION, "status": "complete", "payment_status": "paid", "invoice": invoice}))[
        0
    ].session("cs_1")
    assert (found.invoice_id, found.payment_intent_id, found.is_paid) == ("in_1", "pi_1", True)


def test_a_subscription_that_is_gone_is_cancelled() -> None:
    gateway(error(404, "resource_missing"))[0].cancel_subscription("sub_1")
