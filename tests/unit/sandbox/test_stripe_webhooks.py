"""Section 6 of platforms/stripe.md, "Events with unique ids ... delivery knobs", judged by the SDK's own verifier."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
import stripe

from integrations.sandbox.stripe_webhooks import WEBHOOK_SECRET, signature, signature_header
from tests.unit.sandbox.stripe_sdk import NOW, WEBHOOK_URL, Shop

COMPLETED = "checkout.session.completed"


@dataclass
class Endpoint:
    """Takes deliveries; answers 400 to what the SDK's verifier refuses, or whatever it is told to answer."""

    answer: int = 200
    secret: str = WEBHOOK_SECRET
    seen: list[dict[str, Any]] = field(default_factory=list)
    headers: list[str] = field(default_factory=list)

    def __call__(self, url: str, headers: Mapping[str, str], body: bytes) -> int:
        assert url == WEBHOOK_URL
        try:
            self._verify(body, headers["Stripe-Signature"])
        except stripe.SignatureVerificationError:
            return 400
        self.headers.append(headers["Stripe-Signature"])
        self.seen.append(json.loads(body))
        return self.answer

    def _verify(self, body: bytes, header: str) -> None:
        # The SDK reads the machine's clock, the sandbox of these tests stands still: check the age against that.
        stripe.WebhookSignature.verify_header(body, header, self.secret)
        if int(header.split(",")[0].removeprefix("t=")) < NOW - 300:
            raise stripe.SignatureVerificationError("too old", header)  # type: ignore[no-untyped-call]

    def types(self) -> list[str]:
        return [event["type"] for event in self.seen]


@pytest.fixture
def shop() -> Shop:
    return Shop()


@pytest.fixture
def endpoint() -> Endpoint:
    return Endpoint()


def faulty(shop: Shop, kind: str, **values: Any) -> None:
    shop.sandbox.faults.add(kind, platform="stripe", verb=COMPLETED, **values)


def test_the_independent_vector() -> None:
    body = b'{"id":"evt_0001","object":"event","type":"invoice.paid"}'
    assert signature(body, "not-a-secret", 1_700_000_000) == (
        "d5aa4f65f6086935cf1cd89d57b324d27bb3d98fcacdf3aa7f8e4d4a8e2a0741"
    )


def test_the_header_is_the_one_that_the_sdk_makes() -> None:
    body = '{"id":"evt_ä"}'
    assert signature_header(body.encode(), "s", 1_700_000_000) == (
        stripe.WebhookSignature.generate_signature_header(body, "s", 1_700_000_000)
    )


def test_a_purchase_tells_its_story_in_unique_events(shop: Shop, endpoint: Endpoint) -> None:
    shop.paid()
    shop.sandbox.deliver_due(endpoint)
    assert {"customer.created", "customer.subscription.created", "invoice.paid", COMPLETED} <= set(endpoint.types())
    assert len({event["id"] for event in endpoint.seen}) == len(endpoint.seen)
    assert {event["api_version"] for event in endpoint.seen} == {"2026-10-28.endive"}


def test_an_event_is_a_snapshot_with_previous_attributes_on_updates_only(shop: Shop, endpoint: Endpoint) -> None:
    identifier = str(shop.paid().subscription)
    shop.v1.subscriptions.update(identifier, {"cancel_at_period_end": True})
    shop.v1.subscriptions.cancel(identifier)
    shop.sandbox.deliver_due(endpoint)
    by_type = {event["type"]: event["data"] for event in endpoint.seen}
    assert by_type["customer.subscription.created"]["object"]["status"] == "active"
    assert "previous_attributes" not in by_type["customer.subscription.created"]
    assert by_type["customer.subscription.updated"]["previous_attributes"]["cancel_at_period_end"] is False
    assert not any(name.startswith("_") for data in by_type.values() for name in data["object"])


def test_events_are_listed_by_type_time_and_delivery(shop: Shop, endpoint: Endpoint) -> None:
    shop.paid()
    listed = shop.v1.events.list({"types": [COMPLETED], "created": {"gte": NOW}, "delivery_success": False})
    assert [event.type for event in listed.data] == [COMPLETED]
    shop.sandbox.deliver_due(endpoint)
    assert not shop.v1.events.list({"types": [COMPLETED], "delivery_success": False}).data
    shop.sandbox.advance(31 * 86400)
    assert not shop.v1.events.list({"type": COMPLETED}).data


def test_duplicates(shop: Shop, endpoint: Endpoint) -> None:
    faulty(shop, "webhook_duplicate", amount=3)
    shop.paid()
    shop.sandbox.deliver_due(endpoint)
    copies = [event["id"] for event in endpoint.seen if event["type"] == COMPLETED]
    assert len(copies) == 4
    assert len(set(copies)) == 1


def test_reordering(shop: Shop, endpoint: Endpoint) -> None:
    shop.sandbox.faults.add("webhook_reorder", platform="stripe")
    shop.paid()
    shop.sandbox.deliver_due(endpoint)
    assert sorted(endpoint.types()) == sorted(shop.event_types())
    assert endpoint.types() != shop.event_types()


def test_delay(shop: Shop, endpoint: Endpoint) -> None:
    faulty(shop, "webhook_delay", seconds=120)
    shop.paid()
    shop.sandbox.deliver_due(endpoint)
    assert COMPLETED not in endpoint.types()
    shop.sandbox.advance(120)
    shop.sandbox.deliver_due(endpoint)
    assert COMPLETED in endpoint.types()


def test_a_lost_attempt_is_retried(shop: Shop, endpoint: Endpoint) -> None:
    faulty(shop, "webhook_lost", amount=1)
    shop.paid()
    shop.sandbox.deliver_due(endpoint)
    assert COMPLETED not in endpoint.types()
    shop.sandbox.advance(10)
    shop.sandbox.deliver_due(endpoint)
    assert endpoint.types().count(COMPLETED) == 1


def test_a_webhook_that_never_arrives(shop: Shop, endpoint: Endpoint) -> None:
    faulty(shop, "webhook_lost")
    shop.paid()
    shop.sandbox.advance(86400)
    shop.sandbox.deliver_due(endpoint)
    assert COMPLETED not in endpoint.types()
    assert COMPLETED in shop.event_types()


def test_an_answer_that_is_not_2xx_is_retried_and_given_up(shop: Shop, endpoint: Endpoint) -> None:
    endpoint.answer = 500
    shop.paid()
    for _ in range(6):
        shop.sandbox.deliver_due(endpoint)
        shop.sandbox.advance(3600)
    assert endpoint.types().count(COMPLETED) == 4


def test_an_old_timestamp_is_refused_by_the_verifier(shop: Shop, endpoint: Endpoint) -> None:
    faulty(shop, "webhook_old_timestamp", times=1)
    shop.paid()
    shop.sandbox.deliver_due(endpoint)
    assert COMPLETED not in endpoint.types()
    shop.sandbox.advance(10)
    shop.sandbox.deliver_due(endpoint)
    assert COMPLETED in endpoint.types()


def test_a_wrong_secret_is_refused_by_the_verifier(shop: Shop, endpoint: Endpoint) -> None:
    faulty(shop, "webhook_wrong_secret")
    shop.paid()
    shop.sandbox.deliver_due(endpoint)
    assert COMPLETED not in endpoint.types()


def test_two_signatures_pass_with_either_secret(shop: Shop) -> None:
    faulty(shop, "webhook_two_signatures")
    shop.paid()
    old, new = Endpoint(secret="whsec_retired"), Endpoint(answer=500)
    shop.sandbox.deliver_due(new)
    shop.sandbox.advance(10)
    shop.sandbox.deliver_due(old)
    assert COMPLETED in new.types()
    assert old.types() == [COMPLETED]


def test_a_thin_event_names_the_object_and_carries_nothing_of_it(shop: Shop, endpoint: Endpoint) -> None:
    faulty(shop, "webhook_thin")
    session = shop.paid()
    shop.sandbox.deliver_due(endpoint)
    event = next(event for event in endpoint.seen if event["object"] == "v2.core.event")
    assert event["related_object"] == {"id": session.id, "type": "checkout.session"}
    assert "data" not in event
    with pytest.raises(ValueError, match="thin"):
        body, now = json.dumps(event), None
        header = stripe.WebhookSignature.generate_signature_header(body, WEBHOOK_SECRET, now)
        shop.client.construct_event(body, header, WEBHOOK_SECRET)


def test_an_event_can_arrive_before_the_call_that_caused_it_has_returned(shop: Shop, endpoint: Endpoint) -> None:
    shop.sandbox.faults.add("webhook_early", platform="stripe", verb="charge.refunded")
    session = shop.paid()
    invoice = shop.v1.invoices.retrieve(session.invoice, {"expand": ["payments"]})
    shop.v1.refunds.create({"payment_intent": invoice["payments"]["data"][0]["payment"]["payment_intent"]})
    assert shop.sandbox.has_urgent_deliveries()
    shop.sandbox.deliver_due(endpoint, before_answer_only=True)
    assert endpoint.types() == ["charge.refunded"]


def test_without_an_endpoint_nothing_is_sent(shop: Shop, endpoint: Endpoint) -> None:
    shop.sandbox.world.webhook_url = ""
    shop.paid()
    assert shop.sandbox.deliver_due(endpoint) == 0
    assert COMPLETED in shop.event_types()
