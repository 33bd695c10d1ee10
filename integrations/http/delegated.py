"""Platforms that take an access token for an hour instead of a key: asked for by a call of its own, kept in memory only.

The token is no part of the call that needs it. So the same call can be built again after a crash, and its stored answer
parsed, without asking for a token first.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final

from .call import Call, Grant, Raw
from .errors import NotSent, OutcomeUnknown
from .gate import judge
from .redact import Hidden
from .transport import Transport

_EARLY: Final = 120.0  # a token is given up so long before its end: longer than the call it is for may last
_MOST: Final = 1_000


@dataclass(frozen=True, slots=True)
class _Kept:
    value: Hidden
    until: float


class Delegated:
    """A Transport over another one. It touches only calls that need a `grant`.

    `wall` is Unix time, for assertions; `clock` is monotonic, for how long a token may be used. Both in seconds.
    """

    def __init__(
        self,
        transport: Transport,
        *,
        wall: Callable[[], float] = time.time,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._transport = transport
        self._wall, self._clock = wall, clock
        self._kept: dict[tuple[str, ...], _Kept] = {}

    def send(self, call: Call[Any], *, send_before: float | None = None) -> Raw:
        """See Transport.send. Where no token is to be had, the call itself has not been sent.

        A refusal of the token endpoint becomes the answer, always as 401: its own 404 or 400 must not read as one of the
        platform's. A token that was kept and is not taken any more is forgotten, and NotSent raised: a refused token
        means that nothing was done.
        """
        grant = call.request.grant
        if grant is None:
            return self._transport.send(call, send_before=send_before)
        kept = self._kept.get(grant.key)
        is_old = kept is not None and self._clock() < kept.until
        if kept is None or not is_old:
            found = self._ask(call, grant, send_before)
            if isinstance(found, Raw):
                return found
            kept = found
        headers = {**call.request.headers, "authorization": f"Bearer {kept.value.open()}"}
        raw = self._transport.send(
            replace(call, request=replace(call.request, headers=headers, grant=None)), send_before=send_before
        )
        if raw.status == 401:
            self._kept.pop(grant.key, None)
            if is_old:
                raise NotSent("the access token is not taken any more", platform=call.platform, verb=call.verb)
        return raw

    def _ask(self, call: Call[Any], grant: Grant, send_before: float | None) -> _Kept | Raw:
        """Ask for a token and keep it. Return the answer instead where it is a refusal. Raises NotSent."""
        asked, began = grant.call(self._wall()), self._clock()
        try:
            raw = self._transport.send(asked, send_before=send_before)
            if raw.status == 429:
                return raw
            if 400 <= raw.status < 500 and raw.status not in (408, 425):
                return Raw(401, raw.headers, raw.body)
            token = judge(asked, raw)
            kept = _Kept(token.value, began + float(token.expires_in) - _EARLY)
        except NotSent:
            raise
        except Exception as lost:  # noqa: BLE001 - whatever became of the token, the call has not been sent
            reason = lost.sentence if isinstance(lost, OutcomeUnknown) else type(lost).__name__
            problem = NotSent(f"no access token: {reason}", platform=call.platform, verb=call.verb)
        else:
            if len(self._kept) >= _MOST:
                self._kept.clear()
            self._kept[grant.key] = kept
            return kept
        raise problem
