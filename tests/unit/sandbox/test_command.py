"""`manage.py sandbox` and what it refuses."""

from __future__ import annotations

import signal
import socket
import threading
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from integrations.sandbox.server import Servers
from provisioning.management.commands.sandbox import Command


@pytest.fixture(autouse=True)
def _signals_as_before() -> Iterator[None]:
    kept = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in kept.items():
        signal.signal(number, handler)


def run(tmp_path: Path, **options: Any) -> None:
    ports = {"port": 0, "control_port": 0, "mail_port": 0, "dns_port": 0, "post_port": 0}
    call_command("sandbox", **{**ports, "state": tmp_path / "sandbox.state", **options})


def test_it_says_where_everything_is_and_ends_on_a_signal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = StringIO()

    def announce(self: Command, servers: Servers) -> None:
        self.stdout = self.stdout.__class__(said)
        original(self, servers)
        threading.Timer(0.01, signal.raise_signal, [signal.SIGTERM]).start()

    original = Command.announce
    monkeypatch.setattr(Command, "announce", announce)
    run(tmp_path, seed=7)
    assert "(nothing real)" in said.getvalue()
    assert "Seed 7, speed 60, faults: demo." in said.getvalue()
    assert (tmp_path / "sandbox.state").exists()


def test_it_refuses_live_mode(tmp_path: Path, settings: Any) -> None:
    settings.PLATFORM_MODE = "live"
    with pytest.raises(CommandError, match="PLATFORM_MODE is live"):
        run(tmp_path)


def test_it_refuses_an_address_that_others_reach(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="loopback"):
        run(tmp_path, host="0.0.0.0")


def test_a_busy_port_is_one_sentence_and_exit_code_1(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(CommandError, match="is in use by another program") as caught:
            run(tmp_path, port=taken.getsockname()[1])
    assert caught.value.returncode == 1
