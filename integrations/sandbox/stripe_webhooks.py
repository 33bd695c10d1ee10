"""Stripe's events on their way to the endpoint: signing, and everything that can go wrong with them.

The queue itself, its retries and its sending are the core's. platforms/stripe.md sections 4 and 6.

Faults of this module, all on platform "stripe"; their verb is the event's type, their item the event's id:

webhook_duplicate       `amount` further copies (0 means one)
webhook_lost            the first `amount` attempts never arrive (0 means all of them)
webhook_delay           the first attempt comes `seconds` later
webhook_reorder         the event takes a random place among those that wait
webhook_early           it arrives before the request that caused it has its answer
webhook_thin            the body is a v2 notification instead of a snapshot event
webhook_old_timestamp   rightly signed, with a time an hour ago
webhook_wrong_secret    signed with another secret
webhook_two_signatures  a retired secret's `v1=` stands before the right one, as during a rotation
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from .deliveries import Delivery
from .faults import Fault
from .seeds import fraction

if TYPE_CHECKING:
    from .world import World

PLATFORM_NAME = "stripe"
WEBHOOK_SECRET = "whsec_sandbox"  # noqa: S105 - known to everyone, opens nothing real

# A Stripe sandbox tries three times within a few hours (platforms/stripe.md 4). The intervals are unknown; these are
# short, so that a demo shows a retry.
RETRY_GAPS = (10.0, 60.0, 600.0)
OLD_SECONDS = 3600

FAULT_KINDS = frozenset(
    {
        "webhook_reorder",
        "webhook_early",
        "webhook_thin",
        "webhook_old_timestamp",
        "webhook_wrong_secret",
        "webhook_two_signatures",
    }
)


def signature(body: bytes, secret: str, timestamp: int) -> str:
    """Return the hex HMAC-SHA256 over `"{t}.{body}"`."""
    return hmac.new(secret.encode(), f"{timestamp}.".encode() + body, hashlib.sha256).hexdigest()


def signature_header(body: bytes, secret: str, timestamp: int, *, retired: str | None = None) -> str:
    """Return a `Stripe-Signature` header; with `retired`, that secret's signature stands first."""
    secrets = [secret] if retired is None else [retired, secret]
    return ",".join([f"t={timestamp}", *(f"v1={signature(body, each, timestamp)}" for each in secrets)])


def thin(event: Mapping[str, Any]) -> dict[str, Any]:
    """Return the v2 notification of an event: it names the object and carries nothing of it."""
    subject = event["data"]["object"]
    return {
        "id": event["id"],
        "object": "v2.core.event",
        "type": f"v1.{event['type']}",
        "created": event["created"],
        "livemode": event["livemode"],
        "related_object": {"id": subject.get("id"), "type": subject.get("object")},
    }


def queue(world: World, event: Mapping[str, Any], now: float) -> None:
    """Put an event into the outgoing queue, with what the faults make of it. Without an endpoint nothing is sent."""
    if not world.webhook_url:
        return
    lost = _fault(world, "webhook_lost", event)
    gaps: tuple[float, ...] = (0.0, *RETRY_GAPS)
    if lost is not None:
        gaps = gaps[lost.amount :] if lost.amount else ()
    if not gaps:
        return
    delay = _fault(world, "webhook_delay", event)
    duplicate = _fault(world, "webhook_duplicate", event)
    content = thin(event) if _fault(world, "webhook_thin", event) else event
    early = _fault(world, "webhook_early", event) is not None
    reorder = _fault(world, "webhook_reorder", event) is not None
    # What was lost leaves its retry: that comes after all the gaps before it.
    waited = sum((0.0, *RETRY_GAPS)[: len(RETRY_GAPS) + 2 - len(gaps)])
    for copy in range(1 + ((duplicate.amount or 1) if duplicate else 0)):
        delivery = Delivery(
            platform=PLATFORM_NAME,
            url=world.webhook_url,
            body=json.dumps(content, indent=2, ensure_ascii=False).encode(),
            due=now + waited + (delay.seconds if delay else 0.0),
            kind=event["type"],
            subject=event["id"],
            gaps=gaps[1:],
            before_answer=early,
            headers={"User-Agent": "Stripe/1.0 (+https://stripe.com/docs/webhooks)"},
        )
        world.queue(delivery)
        if reorder:
            _move(world, delivery, fraction(world.seed, "reorder", event["id"], copy))


def sign(world: World, delivery: Delivery, now: float) -> Mapping[str, str]:
    """Return the signature header of one attempt; each attempt is signed anew."""
    old = _fault_of_delivery(world, "webhook_old_timestamp", delivery)
    wrong = _fault_of_delivery(world, "webhook_wrong_secret", delivery)
    rotation = _fault_of_delivery(world, "webhook_two_signatures", delivery)
    header = signature_header(
        delivery.body,
        "whsec_somebody_else" if wrong else WEBHOOK_SECRET,
        int(now) - (OLD_SECONDS if old else 0),
        retired="whsec_retired" if rotation else None,
    )
    return {"Stripe-Signature": header}


def settled(world: World, delivery: Delivery, status: int, now: float) -> None:
    """Note on the event that its endpoint accepted it."""
    event = world.stripe["events"].get(delivery.subject) if world.stripe else None
    if event is not None and 200 <= status < 300:
        event["pending_webhooks"] = 0


def _fault(world: World, kind: str, event: Mapping[str, Any]) -> Fault | None:
    return world.faults.hits(kind, PLATFORM_NAME, event["type"], event["id"])


def _fault_of_delivery(world: World, kind: str, delivery: Delivery) -> Fault | None:
    return world.faults.hits(kind, PLATFORM_NAME, delivery.kind, delivery.subject)


def _move(world: World, delivery: Delivery, share: float) -> None:
    """Put the newest delivery at a place among those that still wait; `share` in [0, 1) says where."""
    world.deliveries.remove(delivery)
    waiting = [place for place, other in enumerate(world.deliveries) if other.state == "waiting"]
    first = waiting[0] if waiting else len(world.deliveries)
    world.deliveries.insert(first + int(share * (len(world.deliveries) - first + 1)), delivery)
