"""The sandbox as a transport: no socket, the same errors."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from integrations.http.call import MAX_CAPTURE_BYTES, Call, Raw
from integrations.http.errors import NotSent, OutcomeUnknown

from .http import Request, Response, Wire

if TYPE_CHECKING:
    from .core import Sandbox


class InProcessTransport:
    """Implements `integrations.http.transport.Transport` over a sandbox in the same process.

    Addresses need only the right path: any host counts as the sandbox.
    """

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox

    def send(self, call: Call[Any], *, send_before: float | None = None) -> Raw:
        """Hand the call to the sandbox. Raises NotSent or OutcomeUnknown as a network would make it."""
        if send_before is not None and time.monotonic() >= send_before:
            raise NotSent("too late to send", platform=call.platform, verb=call.verb)
        response = self.sandbox.handle(request_of(call))
        sender = self.sandbox.webhook_sender
        if sender is not None and self.sandbox.has_urgent_deliveries():
            self.sandbox.deliver_due(sender, before_answer_only=True)
        return _received(call, response)


def request_of(call: Call[Any]) -> Request:
    """Return the request that `call` would put on the wire."""
    request = call.request
    headers = {name.lower(): value for name, value in request.headers.items()}
    body = b""
    if request.form is not None:
        body = urlencode(list(request.form)).encode()
        headers.setdefault("content-type", "application/x-www-form-urlencoded")
    elif request.json is not None:
        body = json.dumps(request.json).encode()
        headers.setdefault("content-type", "application/json")
    pairs = {**request.query, **request.secret_query}
    query = "?" + urlencode(pairs, doseq=True) if pairs else ""
    return Request.to(request.method, request.url + query, headers=headers, body=body)


def _received(call: Call[Any], response: Response) -> Raw:
    where: dict[str, Any] = {"platform": call.platform, "verb": call.verb}
    match response.wire:
        case Wire.REFUSED:
            raise NotSent("connection refused", **where)
        case Wire.UNREACHABLE:
            raise NotSent("no connection within the deadline", **where)
        case Wire.SILENT:
            raise OutcomeUnknown("no answer within the deadline", **where)
        case Wire.RESET:
            raise OutcomeUnknown("connection reset", **where)
        case Wire.TRUNCATED:
            raise OutcomeUnknown("answer cut short", status=response.status, **where)
        case Wire.ANSWERED if response.delay >= call.deadline:
            raise OutcomeUnknown("no answer within the deadline", **where)
    if len(response.body) > MAX_CAPTURE_BYTES:
        raise OutcomeUnknown("answer larger than we keep", status=response.status, **where)
    return Raw(response.status, {name.lower(): value for name, value in response.headers.items()}, response.body)
