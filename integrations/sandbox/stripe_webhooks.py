"""Stripe's events on their way to an endpoint: signing, queue, retries and everything that can go wrong with them.

The queue is plain data, so that it survives a restart with the rest of the world. platforms/stripe.md sections 4 and 6.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from typing import Any

from .seeds import fraction

# Given (url, headers, body): the endpoint's status, or None when it did not answer.
Post = Callable[[str, dict[str, str], bytes], int | None]

# A Stripe sandbox tries three times within a few hours (platforms/stripe.md 4); the exact intervals are unknown.
RETRY_SECONDS = (10.0, 60.0, 600.0)
OLD_SECONDS = 3600


@dataclass
class WebhookKnobs:
    """What goes wrong with deliveries. All off: each event once, at once, in order, rightly signed.

    duplicate       further copies of each event
    reorder         due events leave in a random order
    delay           seconds before the first attempt
    drop            so many attempts of each event are lost on the way; a retry follows
    old_timestamp   signed, but with a time an hour ago
    wrong_secret    signed with another secret
    two_signatures  a second `v1=` of a retired secret stands first, as during a rotation
    early           events of an API call arrive before the call has returned
    thin            the body is a v2 notification instead of a snapshot event
    """

    duplicate: int = 0
    reorder: bool = False
    delay: float = 0.0
    drop: int = 0
    old_timestamp: bool = False
    wrong_secret: bool = False
    two_signatures: bool = False
    early: bool = False
    thin: bool = False

    def set(self, **values: Any) -> None:
        """Change knobs by name. Raises KeyError for an unknown name, TypeError for a value of the wrong type."""
        types = {field.name: type(field.default) for field in fields(self)}
        for name, value in values.items():
            expected = types[name]
            if expected is float and isinstance(value, int):
                value = float(value)
            if type(value) is not expected:
                raise TypeError(f"{name} must be {expected.__name__}")
            setattr(self, name, value)

    def as_dict(self) -> dict[str, Any]:
        """Return all knobs by name."""
        return asdict(self)


def signature(body: bytes, secret: str, timestamp: int) -> str:
    """Return the hex HMAC-SHA256 over `"{t}.{body}"`."""
    return hmac.new(secret.encode(), f"{timestamp}.".encode() + body, hashlib.sha256).hexdigest()


def signature_header(body: bytes, secret: str, timestamp: int, *, retired: str | None = None) -> str:
    """Return a `Stripe-Signature` header; with `retired`, that secret's signature stands first."""
    parts = [f"t={timestamp}"]
    if retired is not None:
        parts.append(f"v1={signature(body, retired, timestamp)}")
    parts.append(f"v1={signature(body, secret, timestamp)}")
    return ",".join(parts)


def thin(event: dict[str, Any]) -> dict[str, Any]:
    """Return the v2 notification of an event: it names the object and carries nothing of it."""
    related = event["data"]["object"]
    return {
        "id": event["id"],
        "object": "v2.core.event",
        "type": f"v1.{event['type']}",
        "created": event["created"],
        "livemode": event["livemode"],
        "related_object": {"id": related.get("id"), "type": related.get("object")},
    }


class Outbox:
    """Deliveries waiting for their time. `rows` and `events` are plain data; each row is one copy of one event."""

    def __init__(
        self,
        rows: list[dict[str, Any]],
        events: dict[str, dict[str, Any]],
        knobs: WebhookKnobs,
        seed: int,
        secret: str,
    ) -> None:
        self._rows = rows
        self.knobs = knobs
        self._seed = seed
        self._secret = secret
        self._events = events

    def queue(self, event: dict[str, Any], now: float) -> None:
        """Queue an event, with its duplicates, after the delay."""
        for _ in range(1 + self.knobs.duplicate):
            self._rows.append({"event": event["id"], "due": now + self.knobs.delay, "attempts": 0})

    @property
    def waiting(self) -> int:
        """How many deliveries are still to be made."""
        return len(self._rows)

    def next_due(self) -> float | None:
        """When the next delivery is due."""
        return min((row["due"] for row in self._rows), default=None)

    def deliver(self, url: str, post: Post, now: float) -> int:
        """Attempt what is due at `now`; return how many were answered 2xx. A failure is queued again, then given up."""
        due = [row for row in self._rows if row["due"] <= now]
        if self.knobs.reorder:
            due.sort(key=lambda row: fraction(self._seed, "reorder", row["event"], row["attempts"]))
        return sum(self._attempt(row, url, post, now) for row in due)

    def _attempt(self, row: dict[str, Any], url: str, post: Post, now: float) -> bool:
        # Leaves the queue before the call: an endpoint that calls the API back must not be delivered the same row again.
        self._rows.remove(row)
        row["attempts"] += 1
        event = self._events[row["event"]]
        status = None if row["attempts"] <= self.knobs.drop else post(url, *self._sealed(event, now))
        if status is not None and 200 <= status < 300:
            event["pending_webhooks"] = max(0, event["pending_webhooks"] - 1)
            return True
        if row["attempts"] <= len(RETRY_SECONDS):
            self._rows.append({**row, "due": now + RETRY_SECONDS[row["attempts"] - 1]})
        return False

    def _sealed(self, event: dict[str, Any], now: float) -> tuple[dict[str, str], bytes]:
        content = thin(event) if self.knobs.thin else event
        body = json.dumps(content, indent=2, ensure_ascii=False).encode()
        timestamp = int(now) - (OLD_SECONDS if self.knobs.old_timestamp else 0)
        secret = "whsec_somebody_else" if self.knobs.wrong_secret else self._secret
        retired = "whsec_retired" if self.knobs.two_signatures else None
        headers = {
            "Content-Type": "application/json; charset=utf-8",
            "User-Agent": "Stripe/1.0 (+https://stripe.com/docs/webhooks)",
            "Stripe-Signature": signature_header(body, secret, timestamp, retired=retired),
        }
        return headers, body
