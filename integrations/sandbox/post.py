"""A way to send and read test messages without a socket, for tests in process."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..http.errors import BadCredentials, NotSent, OutcomeUnknown, Rejected, Retryable
from ..http.redact import Hidden
from ..mail_probe import PLATFORM, TOKEN_HEADER, Door, Outgoing, Settings
from . import post_office

if TYPE_CHECKING:
    from .core import Sandbox

SETTINGS = Settings(
    address=post_office.PROBE,
    imap=Door("imap.probe.example", 993),
    user=post_office.PROBE,
    password=Hidden(post_office.PROBE_PASSWORD),
    authserv=post_office.AUTHSERV,
    received_by=post_office.AUTHSERV,
)


@dataclass
class InProcessPost:
    """As `MailProbe`, on the sandbox itself."""

    sandbox: Sandbox
    settings: Settings = field(default=SETTINGS)
    monotonic: Callable[[], float] = time.monotonic

    def send(self, message: Outgoing, *, send_before: float | None = None) -> None:
        """See `Post.send`."""
        where: dict[str, Any] = {"platform": PLATFORM, "verb": "send"}
        try:
            with self.sandbox.lock:
                post_office.login(self.sandbox, message.login, message.password.open())
        except post_office.NotTaken as refusal:
            raise BadCredentials("the login is refused", **where, status=refusal.code) from refusal
        if send_before is not None and self.monotonic() >= send_before:
            raise NotSent("too late to send", **where)
        try:
            post_office.submit(self.sandbox, message.login, (self.settings.address,), message.raw)
        except post_office.NotTaken as refusal:
            words = f"{refusal.code} {refusal.sentence}"
            raise Retryable(words, **where) if refusal.code < 500 else Rejected("refused", words, **where) from refusal
        except post_office.Cut as cut:
            raise OutcomeUnknown("the connection ended", **where) from cut

    def find(self, token: str) -> list[bytes]:
        """See `Post.find`."""
        return [one.raw for one in post_office.search(self.sandbox, TOKEN_HEADER, token)]
