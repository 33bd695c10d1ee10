"""The one way a read leaves the house. Reads may always be repeated; within one wake-up equal reads are made once."""

from __future__ import annotations

from typing import Any, TypeVar

from integrations.http.call import Call
from integrations.http.errors import BadCredentials, OutcomeUnknown, Permanent, PlatformError, Unavailable
from integrations.http.transport import Transport

from . import budget
from .accounts import OPERATORS, Accounts
from .claims import LEASE_MARGIN, Claim
from .failpoints import failpoint

T = TypeVar("T")


class Reader:
    """Executes reads for one wake-up. The claim is kept alive for as long as each may take."""

    def __init__(self, transport: Transport, claim: Claim, accounts: Accounts = OPERATORS) -> None:
        self.transport = transport
        self.claim = claim
        self.accounts = accounts
        self._seen: dict[tuple[object, ...], Any] = {}

    def read(self, call: Call[T]) -> T:
        """Return the parsed answer. Raises PlatformError, budget.NotNow or LostClaim."""
        request = call.request
        key = (
            request.method,
            request.url,
            tuple(sorted(request.query.items())),
            tuple(sorted(request.headers.items())),  # the workspace travels in a header
            tuple(sorted(request.secret_query.items())),
            repr(request.json),
            request.grant.key if request.grant else (),  # the same address shows other things to another account
        )
        if key not in self._seen:
            self._seen[key] = send_read(self.transport, call, self.claim, self.accounts)
        answer: T = self._seen[key]
        return answer

    def forget(self) -> None:
        """Drop what was read: a write has changed the world."""
        self._seen.clear()


def send_read(transport: Transport, call: Call[T], claim: Claim | None = None, accounts: Accounts = OPERATORS) -> T:
    """Take a pass, send, judge and parse. Raises PlatformError, budget.NotNow or, for a claimed run, LostClaim."""
    accounts.admit(call)
    is_own = accounts.is_own(call.platform)
    held, answered = budget.acquire(call, claim, lease=call.deadline + LEASE_MARGIN, is_own=is_own), False
    failpoint("before_read", call)
    try:
        if held.is_stale():
            held = budget.renew(held, call)
        raw = transport.send(call)
        error = call.classify(raw)
        answered = is_answer(error)
    except OutcomeUnknown as lost:
        budget.note_timeout(call.platform)
        raise Unavailable(lost.sentence, platform=call.platform, verb=call.verb) from lost
    finally:
        budget.release(held, answered=answered)
    failpoint("after_read", call)
    if error is not None:
        raise as_read_error(error, call, accounts)
    try:
        return call.parse(raw)
    except PlatformError:
        raise
    except Exception as broken:
        raise Unavailable("the answer has an unknown shape", platform=call.platform, verb=call.verb) from broken


def is_answer(error: PlatformError | None) -> bool:
    """Tell whether the platform works: a refusal is an answer too, but one of our credentials is none."""
    return error is None or (isinstance(error, Permanent) and not isinstance(error, BadCredentials))


def as_read_error(error: PlatformError, call: Call[Any], accounts: Accounts = OPERATORS) -> PlatformError:
    """Open the circuit on refused credentials of the operator's; a read's unknown outcome is only an unavailable platform.

    Raises OwnAccountRefused where the account is the student's own.
    """
    if isinstance(error, BadCredentials):
        if accounts.is_own(call.platform):
            accounts.refuse(call, error)
        budget.open_circuit(call.platform, "credentials", f"{call.platform} refuses our credentials ({call.verb}).")
        return error
    if isinstance(error, OutcomeUnknown):
        return Unavailable(error.sentence, platform=call.platform, verb=call.verb, status=error.status)
    return error
