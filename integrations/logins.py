"""How a mail server is reached with a password: what the platforms that connect mailboxes are told."""

from __future__ import annotations

from dataclasses import dataclass

from .http.redact import Hidden


@dataclass(frozen=True, slots=True)
class Login:
    """One of the two doors of a mailbox, SMTP or IMAP."""

    host: str
    port: int
    username: str
    password: Hidden
