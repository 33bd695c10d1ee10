"""What can go wrong with a platform. The first property of an error is whether trying again can help.

    PlatformError
    ├── NotConfigured        a setting is missing
    ├── Unsupported          this platform cannot express it
    ├── Retryable            NotSent · RateLimited(advised wait) · Unavailable
    ├── OutcomeUnknown       it was sent; the answer was lost or made no sense
    └── Permanent            BadCredentials · Rejected(code, sentence) · AlreadyExists · NotFound

No error carries a body, a header or an address that has not passed `redact`.
"""

from __future__ import annotations

from typing import Any


class PlatformError(Exception):
    """Base of everything a platform call can raise.

    `platform` and `verb` name the call, `status` is the HTTP status if there was an answer, `request_id` is the
    platform's own id of the request if it sent one, `sentence` is already redacted.
    """

    def __init__(
        self,
        sentence: str = "",
        *,
        platform: str = "",
        verb: str = "",
        status: int | None = None,
        request_id: str = "",
    ) -> None:
        self.sentence = sentence
        self.platform = platform
        self.verb = verb
        self.status = status
        self.request_id = request_id
        super().__init__(sentence)

    @property
    def origin(self) -> dict[str, Any]:
        """What names the call and its answer: for a client that knows better what an answer means."""
        return {"platform": self.platform, "verb": self.verb, "status": self.status, "request_id": self.request_id}

    def __str__(self) -> str:
        where = f"{self.platform}.{self.verb}" if self.platform else "platform"
        status = f" [{self.status}]" if self.status is not None else ""
        return f"{where}{status}: {type(self).__name__}: {self.sentence}"


class NotConfigured(PlatformError):
    """A setting is missing."""


class Unsupported(PlatformError):
    """This platform cannot express what was asked."""


class Retryable(PlatformError):
    """Nothing happened there; the same request may be sent again later."""


class NotSent(Retryable):
    """The request never reached the platform: refused connection, DNS or TLS failure, or it was too late to send."""


class RateLimited(Retryable):
    """429. `advised_wait` is in the platform's seconds, or None when it gave no advice we can read."""

    def __init__(self, sentence: str = "", *, advised_wait: float | None = None, **where: object) -> None:
        super().__init__(sentence, **where)  # type: ignore[arg-type]
        self.advised_wait = advised_wait


class Unavailable(Retryable):
    """A read failed: 5xx, time-out, reset or an answer of an unknown shape. Reads may always be repeated."""


class OutcomeUnknown(PlatformError):
    """A write was sent, and its answer was lost or made no sense. Never resend: read back."""


class Permanent(PlatformError):
    """The same request will fail again."""


class BadCredentials(Permanent):
    """401 or 403."""


class Rejected(Permanent):
    """A refusal that we understand. `code` is ours and stable, `sentence` is the platform's, redacted."""

    def __init__(self, code: str, sentence: str = "", **where: object) -> None:
        super().__init__(sentence, **where)  # type: ignore[arg-type]
        self.code = code


class AlreadyExists(Permanent):
    """The thing exists: read it back, adopt it only if our reference matches."""


class NotFound(Permanent):
    """The platform knows no such thing."""
