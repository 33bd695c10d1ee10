"""A platform that takes its key in one of two forms, and does not say in which.

Found out by reads alone, before the first call of a process: a write goes out once, in the form that a read has proven.
The answer is remembered for as long as the process lives.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from .call import Call, Otherwise, Raw, Request
from .errors import PlatformError
from .transport import Transport

_DEADLINE: Final = 6.0  # two of them fit into the margin of a lease


class EitherForm:
    """A Transport over another one. It touches only calls that say how they would go `otherwise`."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._is_otherwise: dict[str, bool] = {}  # by platform, once it is known

    def send(self, call: Call[Any], *, send_before: float | None = None) -> Raw:
        """See Transport.send. Where neither form is proven, the call goes out in its first one."""
        other = call.request.otherwise
        if other is not None:
            if call.platform not in self._is_otherwise:
                self._find_out(call, other)
            if self._is_otherwise.get(call.platform, False):
                call = replace(call, request=_other_form(call.request, other))
        return self._transport.send(call, send_before=send_before)

    def _find_out(self, call: Call[Any], other: Otherwise) -> None:
        check = Request("GET", other.check, call.request.headers, other.query)
        for is_otherwise, request in ((False, check), (True, _other_form(check, other))):
            status = self._status(replace(call, verb="check_key", request=request, items=(), deadline=_DEADLINE))
            if 200 <= status < 300:
                self._is_otherwise[call.platform] = is_otherwise
            if status != 401:  # only a refused key is a reason to try another form
                return

    def _status(self, check: Call[Any]) -> int:
        try:
            return self._transport.send(check).status
        except PlatformError:
            return 0  # lost: the call itself will tell


def _other_form(request: Request, other: Otherwise) -> Request:
    return replace(request, headers={**request.headers, **other.headers}, otherwise=None)
