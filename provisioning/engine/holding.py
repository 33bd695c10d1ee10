"""What a stack says about things that an order owns and pays for by the month or year: data and functions that read.

`provisioning/inventory.py` does everything else.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from infra.secret import Secret

from .measuring import Look

Record = tuple[str, str, str, int | None]  # type, host, value, priority


@dataclass(frozen=True, slots=True)
class HeldDomain:
    """A domain as its platform lists it. `renews` None: it does not say. `expires_at` None: not said, or unreadable."""

    name: str
    key: str
    provider: str = ""
    renews: bool | None = None
    expires_at: datetime | None = None
    is_expired: bool = False


@dataclass(frozen=True, slots=True)
class HeldMailbox:
    """A mailbox as its platform lists it."""

    address: str
    password: Secret | None = None


@dataclass(frozen=True, slots=True)
class Server:
    """Where programs open a mailbox. `security` as mail programs call it; no host where a password opens nothing."""

    host: str = ""
    port: int = 0
    security: str = ""


@dataclass(frozen=True, slots=True)
class Holding:
    """How a stack's domains and mailboxes are looked at.

    domains, mailboxes  Look -> all that the platform lists for the order
    records             Look and a domain's key -> its DNS records
    servers             what a domain's `provider` says -> (SMTP, IMAP)
    how_to_switch       the operator's words for where a domain's renewal is switched
    """

    domains: Callable[[Look], Sequence[HeldDomain]]
    mailboxes: Callable[[Look], Sequence[HeldMailbox]]
    records: Callable[[Look, str], Sequence[Record]]
    servers: Callable[[str], tuple[Server, Server]]
    how_to_switch: str
