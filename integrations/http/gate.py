"""Who executes calls, and what an answer means.

`Gate` is implemented by the engine (permits, intents, captures). `judge` is the one place that turns an answer into a
reply or an error: the ledger, the reader and the tests all use it, also on an answer that was stored before a crash.
"""

from __future__ import annotations

from typing import Protocol, TypeVar

from .call import Call, Raw
from .errors import OutcomeUnknown, PlatformError, Unavailable

T = TypeVar("T")


class Gate(Protocol):
    """Executes calls. Whoever implements it decides when a call may go out and what is written down around it."""

    def execute(self, call: Call[T]) -> T:
        """Send `call` and return its reply.

        Raises a PlatformError: Retryable when nothing happened there, OutcomeUnknown when a write may have happened,
        Permanent when sending it again would fail again.
        """
        ...


def judge(call: Call[T], raw: Raw) -> T:
    """Return what an answer says. Raises the PlatformError it means; an unknown shape is never a success."""
    error = call.classify(raw)
    if error is None:
        try:
            return call.parse(raw)
        except PlatformError as known:
            error = known
        except Exception as broken:  # noqa: BLE001 - any exception on a 2xx means that we do not know this shape
            error = unclear(call, f"unexpected shape ({type(broken).__name__})", status=raw.status)
    # Raised here, outside the handler, so that no cause holding the body hangs on it.
    raise error


def unclear(call: Call[T], sentence: str, *, status: int | None = None) -> PlatformError:
    """Return the error for an answer that is lost or makes no sense: a read may be repeated, a write may not."""
    kind = OutcomeUnknown if call.is_write else Unavailable
    return kind(sentence, platform=call.platform, verb=call.verb, status=status)
