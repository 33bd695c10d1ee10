"""Outgoing webhooks: a queue that the server's background thread, or a test, really sends."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

Send = Callable[[str, Mapping[str, str], bytes], int]
"""(url, headers, body) -> HTTP status, 0 when nobody answered."""


@dataclass
class Delivery:
    """One webhook on its way. `due` and `gaps` are in the platform's time, like everything it schedules.

    url            where to
    body           exactly these bytes
    kind           the event's type, for people
    subject        what the platform needs to find its endpoint again
    gaps           seconds until each further attempt after a refusal; empty means the next refusal is the last
    before_answer  send it before the request that caused it has its answer
    headers        fixed headers; the platform's `sign` adds those that depend on the moment of sending
    """

    platform: str
    url: str
    body: bytes
    due: float
    kind: str = ""
    subject: str = ""
    gaps: tuple[float, ...] = ()
    before_answer: bool = False
    headers: dict[str, str] = field(default_factory=dict)
    id: int = 0
    attempts: int = 0
    statuses: list[int] = field(default_factory=list)
    state: str = "waiting"  # waiting, sending, delivered, given_up
