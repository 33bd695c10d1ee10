"""What the simulated platforms receive and answer, without a socket in sight."""

from __future__ import annotations

import enum
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import parse_qsl, urlsplit


class Wire(enum.StrEnum):
    """What the client notices of a request, besides the answer itself."""

    ANSWERED = "answered"
    REFUSED = "refused"  # the connection was never made
    UNREACHABLE = "unreachable"  # nobody ever answered the attempt to connect
    SILENT = "silent"  # sent, and no answer comes
    RESET = "reset"  # sent, and the connection breaks before the answer
    TRUNCATED = "truncated"  # the body ends before its announced length


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request as it arrived.

    `path` begins with "/"; a platform module sees it without its own prefix. `pairs` are the decoded query
    parameters in order, `headers` has lower-case names.
    """

    method: str
    path: str
    pairs: tuple[tuple[str, str], ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    @classmethod
    def to(cls, method: str, url: str, *, headers: Mapping[str, str] | None = None, body: bytes = b"") -> Request:
        """Build a request from an address, absolute or not, with or without a query."""
        parts = urlsplit(url)
        pairs = tuple(parse_qsl(parts.query, keep_blank_values=True))
        lower = {name.lower(): value for name, value in (headers or {}).items()}
        return cls(method.upper(), parts.path or "/", pairs, lower, body)

    @property
    def query(self) -> dict[str, str]:
        """The query as a mapping; of a repeated name the last value counts."""
        return dict(self.pairs)

    def header(self, name: str) -> str:
        """Return a header's value without surrounding space, or an empty string."""
        return self.headers.get(name.lower(), "").strip()

    def json(self) -> Any:
        """Return the body as JSON, None when it is empty. Raises ValueError when it is something else."""
        return json.loads(self.body) if self.body.strip() else None

    def form(self) -> list[tuple[str, str]]:
        """Return the body as form fields in order. Raises UnicodeDecodeError on a body that is not text."""
        return parse_qsl(self.body.decode(), keep_blank_values=True)

    def below(self, prefix: str) -> Request:
        """Return the same request as the module mounted at `prefix` sees it."""
        return replace(self, path=self.path[len(prefix) :] or "/")


@dataclass(frozen=True, slots=True)
class Response:
    """An answer. `delay` is in machine seconds, spent before the body."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    wire: Wire = Wire.ANSWERED
    delay: float = 0.0

    def json(self) -> Any:
        """Return the body as JSON. Raises ValueError when it is something else."""
        return json.loads(self.body)


def json_response(document: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Return `document` as a JSON answer."""
    body = json.dumps(document, ensure_ascii=False).encode()
    return Response(status, {"content-type": "application/json; charset=utf-8", **(headers or {})}, body)


def text_response(text: str, status: int = 200, kind: str = "text/plain") -> Response:
    """Return text as an answer of type `kind`."""
    return Response(status, {"content-type": f"{kind}; charset=utf-8"}, text.encode())
