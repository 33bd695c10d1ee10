"""The one path on which HTTP leaves the house.

What it guarantees, because the ledger depends on it:
- NotSent means that not one byte of the request went out. Everything after that is OutcomeUnknown, whatever broke.
- No call outlives its deadline: a timer cuts the connection, however slowly the other side trickles.
- A write travels on a connection of its own. A kept-alive connection may have been closed there a moment ago; then the
  request is lost in a way that cannot be told from "executed, answer lost".
- No redirect is followed, nothing is retried, no proxy, netrc or cookie of the environment is used.
- Memory is bounded, also for compressed answers. No exception carries an address, a header or a body.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, Protocol

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from .call import MAX_CAPTURE_BYTES, Call, Raw
from .errors import NotSent, OutcomeUnknown, PlatformError

_CHUNK: Final = 16_384
_CONNECT_SECONDS: Final = 10.0
_HEADERS: Final = {
    "user-agent": "gtm-infrastructure",
    "accept": "application/json",
    # Plain answers: a compressed megabyte can unfold to a gigabyte.
    "accept-encoding": "identity",
}


class Transport(Protocol):
    """Sends a call and returns the answer as it arrived."""

    def send(self, call: Call[Any], *, send_before: float | None = None) -> Raw:
        """Send `call` once and return its answer, whatever its status.

        `send_before` is a limit on time.monotonic(): after it the request is not begun any more.
        Raises NotSent when nothing went out, OutcomeUnknown when something did and no whole answer came back. That
        holds for reads too: the reader, which may repeat them, calls it Unavailable.
        """
        ...


class _TooLate(OSError):
    """The request was not begun, because its time had passed."""


class _TooLarge(Exception):
    """The answer does not fit into a capture."""


class _Line:
    """What one call has done so far on its connection. Shared by the sending thread and the timer that cuts it."""

    def __init__(self, *, deadline: float, send_before: float | None) -> None:
        self.deadline = deadline
        self._send_before = deadline if send_before is None else min(deadline, send_before)
        self._lock = threading.Lock()
        self._handle: socket.socket | None = None
        self.watched = False
        self.begun = False
        self.cut_off = False
        self.too_late = False

    @property
    def left(self) -> float:
        return self.deadline - time.monotonic()

    def check(self) -> None:
        """Raise _TooLate when the request must not begin any more."""
        if self.cut_off or time.monotonic() >= self._send_before:
            self.too_late = True
            raise _TooLate

    def begin(self, sock: socket.socket | None) -> None:
        """Mark the moment before the first byte goes out: from here on the outcome is unknown until an answer is."""
        if self.begun:
            return
        self.watched = True
        if sock is not None:
            self.hold(sock)
        with self._lock:
            self.check()
            self.begun = True

    def hold(self, sock: socket.socket) -> None:
        """Keep a second descriptor of the socket, by which the timer can shut it down.

        A descriptor of our own: TLS takes the first one over in mid-handshake, and a number that the pool has closed
        may belong to somebody else's connection when the timer fires.
        """
        with self._lock:
            if self._handle is None:
                self._handle = socket.socket(fileno=os.dup(sock.fileno()))
            if self.cut_off:
                self._shut()

    def cut(self) -> None:
        with self._lock:
            self.cut_off = True
            self._shut()

    def close(self) -> None:
        with self._lock:
            if self._handle is not None:
                self._handle.close()
                self._handle = None

    def _shut(self) -> None:
        # shutdown, not close: closing a descriptor does not wake a thread that waits on it.
        if self._handle is not None:
            with contextlib.suppress(OSError):
                self._handle.shutdown(socket.SHUT_RDWR)


class _Current(threading.local):
    line: _Line | None = None


# The connection classes are created deep inside urllib3; a call and its connection live in one thread.
_current = _Current()


class _Watched:
    """Mixed into urllib3's connections: connects within the call's time and notices when the request begins."""

    host: str
    port: int
    sock: socket.socket | None
    _dns_host: str

    def _new_conn(self) -> socket.socket:
        line = _current.line
        if line is None:  # somebody else uses the connection class: nothing of ours to guard
            return socket.create_connection((self._dns_host, self.port), _CONNECT_SECONDS)
        line.watched = True
        # Looking a name up cannot be interrupted. It ends by the resolver's own limits; the check after it sees to it
        # that nothing goes out too late.
        failure: OSError = OSError("no address")
        for family, kind, protocol, _, address in socket.getaddrinfo(self._dns_host, self.port, 0, socket.SOCK_STREAM):
            line.check()
            sock = socket.socket(family, kind, protocol)
            try:
                # urllib3 gives every address its own time-out; here they share the call's.
                sock.settimeout(max(0.001, min(_CONNECT_SECONDS, line.left)))
                sock.connect(address)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                sock.settimeout(max(0.001, line.left))  # bounds the TLS handshake as a whole
                line.hold(sock)
                return sock
            except OSError as error:
                sock.close()
                failure = error
        raise failure

    def send(self, data: Any) -> None:
        if self.sock is None:
            self.connect()  # type: ignore[attr-defined]
        if _current.line is not None:
            _current.line.begin(self.sock)
        super().send(data)  # type: ignore[misc]


class _HttpConnection(_Watched, HTTPConnection):
    pass


class _HttpsConnection(_Watched, HTTPSConnection):
    pass


class _HttpPool(HTTPConnectionPool):
    ConnectionCls = _HttpConnection


class _HttpsPool(HTTPSConnectionPool):
    ConnectionCls = _HttpsConnection


class _Adapter(HTTPAdapter):
    """requests' adapter with watched connections and without retries. Its pools are thread-safe, one per origin."""

    def __init__(self) -> None:
        super().__init__(max_retries=0, pool_connections=16, pool_maxsize=8)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {"http": _HttpPool, "https": _HttpsPool}


class HttpTransport:
    """Transport over the network. Thread-safe; one per process is enough.

    `verify` is requests' own: True for the usual certificates, or the path of a bundle.
    """

    def __init__(self, *, verify: bool | str = True) -> None:
        self._verify = verify
        self._kept = _Adapter()
        self._pid = os.getpid()

    def send(self, call: Call[Any], *, send_before: float | None = None) -> Raw:
        """See Transport.send."""
        line = _Line(deadline=time.monotonic() + call.deadline, send_before=send_before)
        try:
            return self._exchange(call, line)
        except Exception as failure:  # noqa: BLE001 - whatever breaks, the answer to "was it sent?" is all that counts
            error = _meaning(call, line, failure)
        # Outside the handler: the failure holds the request, and with it the credentials.
        raise error

    def close(self) -> None:
        """Drop the kept connections."""
        self._kept.close()

    def _kept_here(self) -> HTTPAdapter:
        # After a fork two processes would read from one connection, and get each other's answers.
        if self._pid != os.getpid():
            self._kept, self._pid = _Adapter(), os.getpid()
        return self._kept

    def _exchange(self, call: Call[Any], line: _Line) -> Raw:
        prepared = _prepare(call)
        line.check()
        timer = threading.Timer(max(0.0, line.left), line.cut)
        timer.daemon = True
        with self._adapter(call) as adapter:
            _current.line = line
            try:
                timer.start()
                return self._receive(adapter, prepared, line)
            finally:
                timer.cancel()
                _current.line = None
                line.close()

    def _receive(self, adapter: HTTPAdapter, prepared: requests.PreparedRequest, line: _Line) -> Raw:
        answer = adapter.send(
            prepared,
            stream=True,
            timeout=(_CONNECT_SECONDS, max(0.001, line.left)),
            verify=self._verify,
        )
        line.begun = True  # there is an answer, so there was a request: also where a test stands in for the network
        try:
            headers = {name.lower(): value for name, value in answer.headers.items()}
            body = _collect(answer.raw, headers.pop("content-encoding", ""), line)
        except BaseException:
            answer.raw.close()  # a half-read connection must not go back into the pool
            raise
        answer.close()
        # A cut connection looks like an ordinary end to a body without length, and so does one that broke off in the
        # middle of the head: http.client takes that for its end.
        if line.cut_off or (line.watched and _headless(answer.status_code, headers, body)):
            raise _Cut
        headers.pop("set-cookie", None)
        return Raw(answer.status_code, headers, body)

    @contextlib.contextmanager
    def _adapter(self, call: Call[Any]) -> Iterator[HTTPAdapter]:
        if not call.is_write:
            yield self._kept_here()
            return
        fresh = _Adapter()
        try:
            yield fresh
        finally:
            fresh.close()


class _Cut(OSError):
    """The answer ended before its time."""


def _headless(status: int, headers: Mapping[str, str], body: bytes) -> bool:
    """Whether an answer has neither body nor anything that says it should have none."""
    told = "content-length" in headers or "transfer-encoding" in headers or status in (204, 304)
    return not body and not told


def _prepare(call: Call[Any]) -> requests.PreparedRequest:
    request = call.request
    return requests.Request(
        request.method,
        request.url,
        headers={**_HEADERS, **request.headers, **({"connection": "close"} if call.is_write else {})},
        params={**request.query, **request.secret_query},
        json=request.json,
        data=list(request.form) if request.form is not None else None,
    ).prepare()


def _collect(raw: Any, encoding: str, line: _Line) -> bytes:
    """Read a body piece by piece. Raises _TooLarge beyond MAX_CAPTURE_BYTES, before and after unpacking."""
    unpack = _unpacker(encoding)
    body = bytearray()
    arrived = 0
    for piece in raw.stream(_CHUNK, decode_content=False):
        arrived += len(piece)
        body += unpack(piece)
        if max(arrived, len(body)) > MAX_CAPTURE_BYTES:
            raise _TooLarge
        if line.cut_off:
            raise _Cut
    return bytes(body)


def _unpacker(encoding: str) -> Callable[[bytes], bytes]:
    """Return a decoder for a content encoding. We ask for none; some servers compress all the same."""
    name = encoding.strip().lower()
    if name in ("", "identity"):
        return lambda piece: piece
    if name not in ("gzip", "x-gzip", "deflate"):
        raise ValueError("unknown content encoding")
    decoder = zlib.decompressobj(zlib.MAX_WBITS | 32)

    def unpack(piece: bytes) -> bytes:
        unpacked = decoder.decompress(piece, MAX_CAPTURE_BYTES + 1)
        if decoder.unconsumed_tail:
            raise _TooLarge
        return unpacked

    return unpack


def _meaning(call: Call[Any], line: _Line, failure: Exception) -> PlatformError:
    """Translate any failure. What counts is whether the request had begun, not what the failure is called.

    Failures are named by their kind alone: their text quotes addresses.
    """
    kind = type(failure).__name__.lstrip("_")
    # A TLS handshake that hangs is called a read time-out too. Where no connection of ours was seen (a test stands in
    # for the network), a read time-out means what it says.
    if not line.begun and (line.watched or not isinstance(failure, requests.ReadTimeout)):
        reason = "too late to begin" if line.too_late else kind
        return NotSent(f"nothing was sent: {reason}", platform=call.platform, verb=call.verb)
    sentence = f"no whole answer came back: {kind}"
    if isinstance(failure, _TooLarge):
        sentence = f"the answer is larger than {MAX_CAPTURE_BYTES} bytes"
    elif line.cut_off:
        sentence = f"no whole answer within {call.deadline:g} seconds"
    return OutcomeUnknown(sentence, platform=call.platform, verb=call.verb)
