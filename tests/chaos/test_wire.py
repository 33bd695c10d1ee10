"""The real transport against servers that mean harm: it gives up in time, and keeps little of what it is sent.

`tests/unit/integrations/test_transport.py` shows the meaning of each failure; here the figures are taken: how long after
its deadline a call ended, how much it took from the wire, and how much memory that cost.
"""

from __future__ import annotations

import socket
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from integrations.http import transport
from integrations.http.call import MAX_CAPTURE_BYTES, Call, Request
from integrations.http.errors import NotSent, OutcomeUnknown, PlatformError
from integrations.http.transport import HttpTransport
from tests.integration.processes import pause
from tests.unit.integrations.socket_server import receive_request, serving

from .figures import Figures
from .whole import sample

DEADLINE = 1.0  # seconds
GRACE = 5.0  # seconds a busy machine may take to notice that a deadline has passed
HUGE = 50_000_000  # bytes
PIECE = b"x" * 65_536
MEMORY = 8 * MAX_CAPTURE_BYTES  # bytes a call may hold at most: an answer, its pieces and its head
TAKEN = 2 * MAX_CAPTURE_BYTES + 8_000_000  # bytes that may leave the server: what we read and what the sockets hold

OK = b"HTTP/1.1 200 OK\r\n"
Send = Callable[[bytes], None]


def pour(send: Send, piece: bytes = PIECE, total: float = HUGE) -> None:
    """Send as much as is asked for, or until the other side has had enough."""
    sent = 0
    while sent < total:
        send(piece)
        sent += len(piece)


def a_body_of_known_length(send: Send) -> None:
    send(OK + f"Content-Length: {HUGE}\r\n\r\n".encode())
    pour(send)


def a_body_of_unknown_length(send: Send) -> None:
    send(OK + b"\r\n")
    pour(send)


def a_body_in_chunks(send: Send) -> None:
    send(OK + b"Transfer-Encoding: chunked\r\n\r\n")
    pour(send, f"{len(PIECE):x}\r\n".encode() + PIECE + b"\r\n")


def one_chunk(send: Send) -> None:
    send(OK + f"Transfer-Encoding: chunked\r\n\r\n{HUGE:x}\r\n".encode())
    pour(send)


def headers_without_end(send: Send) -> None:
    send(OK)
    pour(send, b"X-More: and more\r\n" * 1000)


def a_header_without_end(send: Send) -> None:
    send(OK + b"X-Long: ")
    pour(send)


def a_status_line_without_end(send: Send) -> None:
    pour(send)


def preliminary_answers_without_end(send: Send) -> None:
    pour(send, b"HTTP/1.1 100 Continue\r\n\r\n" * 1000, total=float("inf"))


def one_byte_a_second(send: Send) -> None:
    send(OK + b"Content-Length: 1000\r\n\r\n")
    while True:
        send(b"1")
        pause(1.0)


def silence(send: Send) -> None:
    pause(10 * DEADLINE)


HOSTILE = (
    a_body_of_known_length,
    a_body_of_unknown_length,
    a_body_in_chunks,
    one_chunk,
    headers_without_end,
    a_header_without_end,
    a_status_line_without_end,
    preliminary_answers_without_end,
    one_byte_a_second,
    silence,
)


@dataclass
class Measured:
    """What a call cost. Seconds; bytes."""

    error: PlatformError | None = None
    seconds: float = 0.0
    memory: int = 0
    resident: int = 0
    taken: int = 0

    def keep(self, figures: Figures) -> None:
        figures.add("wire_calls")
        figures.greatest("wire_seconds_over_deadline", round(max(0.0, self.seconds - DEADLINE), 3))
        figures.greatest("wire_memory_bytes", self.memory)
        figures.greatest("wire_resident_growth_bytes", self.resident)
        figures.greatest("wire_bytes_taken", self.taken)


@pytest.mark.parametrize(
    ("behave", "write"),
    sample([(behave, write) for write in (True, False) for behave in HOSTILE], part=8),
    ids=lambda value: getattr(value, "__name__", "write" if value else "read"),
)
def test_a_hostile_answer_costs_no_more_than_its_deadline_and_little_memory(
    behave: Callable[[Send], None], write: bool, figures: Figures
) -> None:
    measured = measure(behave, write=write)
    measured.keep(figures)
    assert isinstance(measured.error, OutcomeUnknown)
    assert measured.seconds < DEADLINE + GRACE
    assert measured.memory < MEMORY
    assert measured.taken < TAKEN or behave is preliminary_answers_without_end


def test_a_server_that_takes_no_connection_costs_no_more_than_the_deadline(figures: Figures) -> None:
    with full_backlog() as url:
        measured = Measured()
        call_measured(url, measured, write=True)
    measured.keep(figures)
    assert isinstance(measured.error, NotSent)
    assert measured.seconds < DEADLINE + GRACE


def test_control_without_the_limit_the_whole_body_is_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "MAX_CAPTURE_BYTES", 10 * HUGE)
    measured = measure(a_body_of_known_length, deadline=60.0)
    assert measured.error is None
    assert measured.memory > HUGE > MEMORY


def test_control_without_the_timer_a_drip_outlives_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    def drip_that_ends(send: Send) -> None:
        send(OK + b"Content-Length: 12\r\n\r\n")
        for _ in range(12):
            send(b"1")
            pause(DEADLINE / 4)

    monkeypatch.setattr(transport._Line, "cut", lambda line: None)
    measured = measure(drip_that_ends)
    assert measured.error is None
    assert measured.seconds > 2 * DEADLINE


def measure(behave: Callable[[Send], None], *, write: bool = True, deadline: float = DEADLINE) -> Measured:
    """Make one call to a server that behaves so, and return what it cost."""
    measured = Measured()

    def answer(connection: socket.socket, number: int) -> None:
        def send(data: bytes) -> None:
            connection.sendall(data)
            measured.taken += len(data)

        receive_request(connection)
        behave(send)

    with serving(answer) as server:
        call_measured(server.url, measured, write=write, deadline=deadline)
    return measured


def call_measured(url: str, measured: Measured, *, write: bool, deadline: float = DEADLINE) -> None:
    sender, before = HttpTransport(), resident()
    tracemalloc.start()
    started = time.monotonic()
    try:
        sender.send(a_call(url, write=write, deadline=deadline))
    except PlatformError as error:
        measured.error = error
    finally:
        measured.seconds = time.monotonic() - started
        measured.memory = tracemalloc.get_traced_memory()[1]
        measured.resident = max(0, resident() - before)
        tracemalloc.stop()
        sender.close()


def a_call(url: str, *, write: bool, deadline: float) -> Call[Any]:
    return Call(
        "zapmail",
        "buy_domains",
        Request("POST", url, {}, json={"domains": ["example.com"]}),
        parse=lambda raw: raw,
        classify=lambda raw: None,
        items=("example.com",) if write else (),
        deadline=deadline,
    )


@contextmanager
def full_backlog() -> Iterator[str]:
    """Yield the address of a server whose queue of connections is full: the next one is not answered at all."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        address = listener.getsockname()
        waiting = [socket.socket() for _ in range(4)]
        for each in waiting:
            each.setblocking(False)
            each.connect_ex(address)
        yield f"http://127.0.0.1:{address[1]}/"
        for each in waiting:
            each.close()


def resident() -> int:
    """Return the bytes of memory this process holds, where the system tells (Linux); else 0."""
    try:
        pages = Path("/proc/self/statm").read_text().split()[1]
    except OSError:
        return 0
    return int(pages) * 4096
