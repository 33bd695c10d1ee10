"""Mail that the product sent to the simulated mail server."""

from __future__ import annotations

from dataclasses import dataclass
from email import message_from_bytes, policy
from email.message import EmailMessage


@dataclass(frozen=True, slots=True)
class Mail:
    """One received message. `at` is machine time."""

    n: int
    at: float
    sender: str
    recipients: tuple[str, ...]
    raw: bytes

    @property
    def message(self) -> EmailMessage:
        return message_from_bytes(self.raw, policy=policy.default)

    @property
    def subject(self) -> str:
        return str(self.message.get("subject", ""))

    def text(self, kind: str = "plain") -> str:
        """Return the readable part, "plain" or "html", or an empty string."""
        part = self.message.get_body((kind,))
        return str(part.get_content()) if part else ""
