"""The webhook's door: what is let in, what is refused, and that a bad delivery leaves nothing behind."""

from __future__ import annotations

import json
import logging
import time
from typing import Any

import pytest
from django.urls import reverse

from billing import gateway, webhooks
from billing.models import Payment, WebhookEvent
from infra.models import OperatorItem
from integrations.sandbox.stripe_webhooks import signature_header
from tests.integration.billing.shop import SECRET, Shop, gateway_over

EVENT: dict[str, Any] = {
    "id": "evt_1",
    "object": "event",
    "type": "customer.created",
    "api_version": "2026-10-28.endive",
    "livemode": False,
    "data": {"object": {"id": "cus_1", "object": "customer"}},
}


def nothing_is_stored() -> bool:
    return not WebhookEvent.objects.exists()


def test_a_good_event_is_stored_before_it_is_judged(shop: Shop) -> None:
    assert shop.post_event(EVENT) == 200
    event = WebhookEvent.objects.get()
    assert (event.event_id, event.type, event.state, event.attempts) == ("evt_1", "customer.created", "received", 0)
    assert event.payload == EVENT


def test_the_independent_vector_passes_the_gateway(monkeypatch: pytest.MonkeyPatch, shop: Shop) -> None:
    """The vector of platforms/stripe.md, section 4: it pins the scheme itself, not our signer."""
    monkeypatch.setattr(time, "time", lambda: 1_700_000_000.0)
    ours = gateway_over(shop.sandbox.transport(), webhook_secret="not-a-secret")
    digest = "d5aa4f65f6086935cf1cd89d57b324d27bb3d98fcacdf3aa7f8e4d4a8e2a0741"
    body = b'{"id":"evt_0001","object":"event","type":"invoice.paid"}'
    with pytest.raises(gateway.BadSignature, match="no event"):  # rightly signed; without data it is no event
        ours.verify(body, f"t=1700000000,v1={digest}")
    with pytest.raises(gateway.BadSignature, match="signature"):
        ours.verify(body, f"t=1700000000,v1={digest[:-1]}2")


def test_a_second_delivery_is_counted_and_not_stored_again(shop: Shop) -> None:
    for _ in range(3):
        assert shop.post_event(EVENT) == 200
    assert WebhookEvent.objects.get().deliveries == 3


def test_an_unknown_type_is_stored_and_ignored(shop: Shop) -> None:
    shop.post_event({**EVENT, "type": "unicorn.spotted"})
    webhooks.drain(10)
    assert WebhookEvent.objects.get().state == "ignored"


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "nonsense",
        "t=,v1=",
        "t=x,v1=abc",
        "v1=abc",
        "t=NOW",
        "t=NOW,v1=ü",
        "t=NOW,v0=abc",
        "t=" + "9" * 400 + ",v1=abc",
    ],
)
def test_a_missing_or_malformed_signature_is_400(shop: Shop, header: str | None) -> None:
    header = header and header.replace("NOW", str(int(time.time())))  # here, so that the test's name stays the same
    headers = {} if header is None else {"stripe-signature": header}
    assert shop.send(reverse("billing-webhook"), headers, json.dumps(EVENT).encode()) == 400
    assert nothing_is_stored()


def test_a_wrong_secret_is_400(shop: Shop) -> None:
    assert shop.post_event(EVENT, secret="whsec_other") == 400
    assert nothing_is_stored()


@pytest.mark.parametrize(("age", "status"), [(250, 200), (320, 400), (86400, 400)])
def test_an_old_signature_is_400(shop: Shop, age: int, status: int) -> None:
    assert shop.post_event(EVENT, age=age) == status
    assert nothing_is_stored() is (status == 400)


def test_a_changed_body_is_400(shop: Shop) -> None:
    body = json.dumps(EVENT).encode()
    header = {"stripe-signature": signature_header(body, SECRET, int(time.time()))}
    assert shop.send(reverse("billing-webhook"), header, body + b" ") == 400


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"[]",
        b"null",
        b"7",
        b"{",
        b"\xff\xfe",
        b"[" * 5000,
        json.dumps({**EVENT, "id": None}).encode(),
        json.dumps({**EVENT, "id": ["evt"]}).encode(),
        json.dumps({**EVENT, "type": ""}).encode(),
        json.dumps({**EVENT, "object": "charge"}).encode(),
        json.dumps({**EVENT, "data": None}).encode(),
        json.dumps({**EVENT, "data": {"object": "cus_1"}}).encode(),
    ],
)
def test_a_rightly_signed_body_that_is_no_event_is_400(shop: Shop, body: bytes) -> None:
    assert shop.post_event(body) == 400
    assert nothing_is_stored()


@pytest.mark.parametrize("text", ["\\u0000", "\\ud800", "\\udc00\\ud800"])
def test_text_that_the_database_cannot_keep_is_kept_without_it(shop: Shop, text: str) -> None:
    body = json.dumps({**EVENT, "data": {"object": {"id": "cus_1", "name": "NAME"}}}).replace("NAME", f"Ann{text}")
    assert shop.post_event(body.encode()) == 200
    assert WebhookEvent.objects.get().payload["data"]["object"]["name"].startswith("Ann")


@pytest.mark.parametrize("number", ["NaN", "Infinity", "1e999", "9" * 5000])
def test_numbers_that_are_none_are_400(shop: Shop, number: str) -> None:
    body = json.dumps({**EVENT, "pending_webhooks": 77}).replace("77", number)
    assert shop.post_event(body.encode()) == 400
    assert nothing_is_stored()


@pytest.mark.parametrize("depth", [50, 300, 900, 20_000])
def test_deep_nesting_is_stored_or_400_but_never_500(shop: Shop, depth: int) -> None:
    body = json.dumps({**EVENT, "extra": "DEEP"}).replace('"DEEP"', "[" * depth + "]" * depth)
    assert shop.post_event(body.encode()) in (200, 400)


@pytest.mark.parametrize("size", [500_001, 1_000_000, 1_048_576, 3_000_000])
def test_a_large_body_is_413_and_not_read(shop: Shop, size: int) -> None:
    assert shop.post_event(b"x" * size) == 413
    assert nothing_is_stored()


@pytest.mark.parametrize("announced", ["-1", "many", "9" * 30])
def test_a_strange_length_is_413(shop: Shop, announced: str) -> None:
    answer = shop.client.generic("POST", reverse("billing-webhook"), b"{}", CONTENT_LENGTH=announced)
    assert answer.status_code == 413


def test_only_post_is_taken(shop: Shop) -> None:
    assert shop.client.get(reverse("billing-webhook")).status_code == 405


def test_a_test_event_in_live_mode_is_400_and_nothing_is_done(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.press(shop.order(), "pay")
    live = gateway_over(shop.sandbox.transport(), livemode=True)
    monkeypatch.setattr(gateway, "current", lambda: live)
    shop.deliver()
    shop.deliver()
    webhooks.drain(10)
    assert nothing_is_stored()
    assert not Payment.objects.exists()
    assert OperatorItem.objects.filter(kind="webhook_mode").count() == 1


def test_an_object_of_the_other_mode_is_not_believed(shop: Shop) -> None:
    shop.press(shop.order(), "pay")
    shop.deliver()
    for session in shop.sandbox.world.stripe["sessions"].values():
        session["livemode"] = True
    webhooks.drain(100)
    assert not Payment.objects.exists()
    assert "an object of live mode" in WebhookEvent.objects.get(type="checkout.session.completed").error


def test_a_session_of_somebody_else_is_ignored(shop: Shop) -> None:
    shop.post_event({**EVENT, "type": "checkout.session.completed", "data": {"object": {"id": "cs_foreign"}}})
    webhooks.drain(10)
    assert WebhookEvent.objects.get().state == "ignored"


# --- failing events ---------------------------------------------------------------------------------------------------


def test_a_failing_event_backs_off_and_alerts_after_a_while(shop: Shop) -> None:
    shop.press(shop.order(), "pay")
    shop.deliver()
    shop.sandbox.faults.add("status", platform="stripe", status=503)
    pause = 0.0
    for attempt in range(1, webhooks.ALERT_AFTER + 1):
        webhooks.drain(100)
        event = WebhookEvent.objects.get(type="checkout.session.completed")
        assert (event.attempts, event.state) == (attempt, "received")
        assert OperatorItem.objects.filter(kind="webhook_failing").exists() is (attempt == webhooks.ALERT_AFTER)
        pause = max(60.0, 2 * pause)
        shop.advance(pause + 1)
    shop.sandbox.faults.clear()
    webhooks.drain(100)
    assert shop.state() == "provisioning"
    assert not OperatorItem.objects.filter(kind="webhook_failing", resolved_at__isnull=True).exists()


def test_an_event_is_not_tried_again_before_its_time(shop: Shop) -> None:
    shop.press(shop.order(), "pay")
    shop.deliver()
    shop.sandbox.faults.add("status", platform="stripe", status=503)
    webhooks.drain(100)
    assert not webhooks.is_due()
    assert webhooks.drain(100) == 0


def test_an_event_that_breaks_our_code_does_not_hold_up_the_others(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(subject: object) -> bool:
        raise RuntimeError("a bug")

    monkeypatch.setitem(webhooks.HANDLERS, "customer.created", broken)
    shop.press(shop.order(), "pay")
    shop.deliver()
    with caplog.at_level(logging.CRITICAL, logger="billing.webhooks"):
        webhooks.drain(100)
    assert shop.state() == "provisioning"
    assert WebhookEvent.objects.get(type="customer.created").error == "RuntimeError"


def test_refused_keys_are_one_alert_and_the_rest_waits(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.press(shop.order(), "pay")
    shop.deliver()
    revoked = gateway_over(shop.sandbox.transport(), secret_key="sk_test_revoked")
    with monkeypatch.context() as patch:
        patch.setattr(gateway, "current", lambda: revoked)
        webhooks.drain(100)
        shop.advance(120)
        webhooks.drain(100)
    assert OperatorItem.objects.filter(kind="circuit").count() == 1
    shop.advance(600)
    webhooks.drain(100)
    assert shop.state() == "provisioning"
