"""One call of a run leaves by the real transport, to a server that means harm: the worker is free again in time, our rows
say what happened, and the run ends as if nothing had.

Everything else of the run goes to the simulated platforms, which never hear of that call.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import pytest

from integrations.http.call import Call, Raw
from integrations.http.transport import HttpTransport, Transport
from provisioning.engine.entries import ASKED
from provisioning.models import Operation
from tests.integration.stories.kit import Story
from tests.unit.integrations.socket_server import receive_request, serving

from .fault_runs import class_of_write
from .fault_table import Write
from .figures import Figures
from .scenes import HOURS, SCENES, Scene, Seen, calls_of, put_on_the_line
from .test_wire import DEADLINE, GRACE, Send, a_body_of_known_length, full_backlog, one_byte_a_second, silence
from .whole import sample

PLAIN = [scenes[0] for scenes in SCENES.values()]


@contextmanager
def answering(behave: Callable[[Send], None]) -> Iterator[str]:
    def answer(connection: socket.socket, number: int) -> None:
        receive_request(connection)
        behave(connection.sendall)

    with serving(answer) as server:
        yield server.url


SERVERS: dict[str, tuple[Callable[[], Any], Write]] = {
    "50 MB": (lambda: answering(a_body_of_known_length), Write.UNKNOWN),
    "one byte a second": (lambda: answering(one_byte_a_second), Write.UNKNOWN),
    "no answer": (lambda: answering(silence), Write.UNKNOWN),
    "no connection": (full_backlog, Write.NOT_SENT),
}


@dataclass
class Detour:
    """Sends the first call of a verb to a real server, with a short deadline, and all others where they belong."""

    inner: Transport
    verb: str
    url: str
    seconds: float | None = None

    def send(self, call: Call[Any], *, send_before: float | None = None) -> Raw:
        if self.seconds is not None or f"{call.platform}.{call.verb}" != self.verb:
            return self.inner.send(call, send_before=send_before)
        sender, started = HttpTransport(), time.monotonic()
        try:
            return sender.send(replace(call, request=replace(call.request, url=self.url), deadline=DEADLINE))
        finally:
            self.seconds = time.monotonic() - started
            sender.close()


CASES = [(scene, name) for scene in PLAIN for name in SERVERS]


@pytest.mark.parametrize(("scene", "server"), sample(CASES, part=2), ids=str)
def test_a_write_that_meets_a_hostile_server_is_found_again(scene: Scene, server: str, figures: Figures) -> None:
    writes = [call for call in calls_of(scene) if call.is_write and not call.repeatable]
    for write in sample(writes, part=2):
        made, seconds = play(scene, write, server)
        assert seconds < DEADLINE + GRACE
        made.check()
        assert not made.items().exclude(details__code=ASKED).exists(), "a person was needed"
        figures.greatest("wire_seconds_over_deadline", round(max(0.0, seconds - DEADLINE), 3))
        figures.add("wire_runs")


def play(scene: Scene, write: Seen, server: str) -> tuple[Story, float]:
    """Play a run in which a write meets a server; return it, and how many seconds that took the worker."""
    open_server, expected = SERVERS[server]
    made = scene.begin()
    with open_server() as url:
        detour = Detour(made.world.workshop.transport, str(write), url)
        put_on_the_line(made, lambda _inner: detour)
        made.play(lambda: detour.seconds is not None, hours=HOURS)
    operation = Operation.objects.get(run=made.run, platform=write.platform, verb=write.verb)
    assert class_of_write(operation.pk) is expected
    made.play(hours=HOURS)
    assert detour.seconds is not None
    return made, detour.seconds
