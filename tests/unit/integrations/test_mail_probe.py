"""Sending and reading back over real sockets: what each way to fail means, and that nothing lasts beyond its time."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

from integrations.http.errors import (
    BadCredentials,
    NotConfigured,
    NotSent,
    OutcomeUnknown,
    PlatformError,
    Rejected,
    Retryable,
    Unavailable,
)
from integrations.http.redact import Hidden
from integrations.mail_probe import Door, MailProbe, Settings, door
from integrations.sandbox import post_office
from integrations.sandbox.mail_servers import MailServers
from tests.unit.sandbox.kit import Box
from tests.unit.sandbox.letters import PASSWORD, box_with_mailbox, doors, judged, letter

from .socket_server import serving

DEADLINE = 0.6


@pytest.fixture
def box() -> Box:
    return box_with_mailbox()


@pytest.fixture
def probe(box: Box) -> Iterator[MailProbe]:
    servers = MailServers("127.0.0.1", 0)
    servers.start(box.sandbox)
    yield MailProbe(doors(servers.ports))
    servers.stop()


@pytest.mark.parametrize("security", ["SSL/TLS", "STARTTLS"])
def test_a_message_arrives_octet_for_octet_and_is_judged_by_what_it_is(
    box: Box, probe: MailProbe, security: str
) -> None:
    message = letter(door=Door("smtp.gmail.com", 465, security))
    probe.send(message)
    (raw,) = probe.find("token1")
    assert raw.endswith(b"\r\n\r\nHello.\r\n.\r\n..and on\r\n")
    assert judged(box.sandbox, raw).is_signed
    assert probe.find("token2") == []


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("mail_login", BadCredentials),
        ("mail_deferred", Retryable),
        ("mail_cut", OutcomeUnknown),
        ("mail_cut_before", OutcomeUnknown),
    ],
)
def test_each_way_to_fail_has_its_meaning(box: Box, probe: MailProbe, kind: str, error: type[PlatformError]) -> None:
    box.sandbox.faults.add(kind, platform="mail", times=1)
    with pytest.raises(error) as caught:
        probe.send(letter())
    assert type(caught.value) is error
    assert PASSWORD not in f"{caught.value!r} {caught.value}"
    assert len(probe.find("token1")) == (kind == "mail_cut")


def test_a_refused_receiver_is_a_refusal(box: Box, probe: MailProbe) -> None:
    probe.settings = replace(probe.settings, address="x@y.example")
    with pytest.raises(Rejected, match="550"):
        probe.send(letter())


def test_what_is_too_late_is_not_begun(probe: MailProbe) -> None:
    with pytest.raises(NotSent, match="too late"):
        probe.send(letter(), send_before=time.monotonic() - 1)
    assert probe.find("token1") == []


def test_a_server_with_a_certificate_of_nobody_is_not_spoken_to(probe: MailProbe) -> None:
    probe.settings = replace(probe.settings, authorities="")
    with pytest.raises(NotSent, match="certificate"):
        probe.send(letter())
    with pytest.raises(Unavailable, match="certificate"):
        probe.find("token1")


def test_a_server_that_is_not_there_was_sent_nothing(probe: MailProbe) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        nobody = Door("127.0.0.1", free.getsockname()[1])
    probe.settings = replace(probe.settings, submission={"SSL/TLS": nobody}, imap=nobody)
    with pytest.raises(NotSent):
        probe.send(letter())
    with pytest.raises(Unavailable):
        probe.find("token1")


def test_a_wrong_login_at_the_probe_is_told_from_a_server_that_fails(probe: MailProbe) -> None:
    probe.settings = replace(probe.settings, password=Hidden("something else"))
    with pytest.raises(BadCredentials):
        probe.find("token1")


def test_a_token_is_never_a_command(probe: MailProbe) -> None:
    with pytest.raises(Unavailable):
        probe.find('x"\r\n1 LOGOUT')


# ---- servers that misbehave ------------------------------------------------------------------------------------------

GREETING, EHLO = b"220 hello\r\n", b"250-hello\r\n250 AUTH PLAIN\r\n"
IN = [GREETING, EHLO, b"235 in\r\n"]
TAKES = [*IN, b"250 ok\r\n", b"250 ok\r\n"]
IMAP = [b"* OK hello\r\n", b"* CAPABILITY IMAP4rev1\r\nT0 OK done\r\n"]


@contextmanager
def playing(*answers: bytes, then: Callable[[Any], None] = lambda secured: None) -> Iterator[MailProbe]:
    """Serve TLS, and answer each line of the client with the next of these; then do something."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(post_office.CERTIFICATE, post_office.KEY)

    def behave(connection: socket.socket, number: int) -> None:
        with tls.wrap_socket(connection, server_side=True) as secured:
            secured.sendall(answers[0])
            stream = secured.makefile("rb")
            for answer in answers[1:]:
                tag = stream.readline().split(b" ")[0]
                secured.sendall(answer.replace(b"T0", tag))
            then(secured)

    with serving(behave) as server:
        target = Door("127.0.0.1", int(server.url.rpartition(":")[2]))
        settings = replace(doors({"imap": target.port, "ssl": target.port, "starttls": 1}), imap=target)
        yield MailProbe(settings, deadline=DEADLINE)


def trickle(secured: Any) -> None:
    """Answer for ever, one octet at a time, each well within every time-out of one reading."""
    while True:
        secured.sendall(b"2")
        threading.Event().wait(0.02)


def within_its_time(act: Callable[[], object], error: type[PlatformError]) -> None:
    began = time.monotonic()
    with pytest.raises(error):
        act()
    assert time.monotonic() - began < DEADLINE + 2


@pytest.mark.parametrize("answers", [[GREETING[:4]], [GREETING], IN, TAKES])
def test_a_server_that_trickles_before_the_message_is_cut_off_and_was_sent_nothing(answers: list[bytes]) -> None:
    with playing(*answers, then=trickle) as probe:
        within_its_time(lambda: probe.send(letter()), NotSent)


def test_a_server_that_trickles_after_the_message_leaves_it_open() -> None:
    with playing(*TAKES, b"354 go on\r\n", then=trickle) as probe:
        within_its_time(lambda: probe.send(letter()), OutcomeUnknown)


@pytest.mark.parametrize(
    ("answers", "error"),
    [
        ([b"554 no\r\n"], Rejected),
        ([b"421 later\r\n"], Retryable),
        ([GREETING, b"250 nothing\r\n"], Rejected),
        ([GREETING, EHLO, b"454 later\r\n"], Retryable),
        ([*IN, b"550 who\r\n"], Rejected),
        ([*TAKES, b"451 busy\r\n"], Retryable),
        ([*TAKES, b"nonsense\r\n"], NotSent),
        ([*TAKES[:-1], b""], NotSent),
    ],
)
def test_answers_before_the_message_mean_that_it_was_not_taken(
    answers: list[bytes], error: type[PlatformError]
) -> None:
    with playing(*answers) as probe:
        with pytest.raises(error) as caught:
            probe.send(letter())
        assert not isinstance(caught.value, OutcomeUnknown)


@pytest.mark.parametrize(
    ("answer", "error"),
    [(b"552 too large\r\n", Rejected), (b"450 later\r\n", Retryable), (b"what?\r\n", OutcomeUnknown)],
)
def test_the_answer_to_the_message_itself_decides(answer: bytes, error: type[PlatformError]) -> None:
    def reply(secured: Any) -> None:
        received = b""
        while not received.endswith(b"\r\n.\r\n"):
            received += secured.recv(65_536)
        secured.sendall(answer)

    with playing(*TAKES, b"354 go on\r\n", then=reply) as probe:
        with pytest.raises(error) as caught:
            probe.send(letter())
        assert type(caught.value) is error


def test_a_look_that_trickles_is_cut_off() -> None:
    with playing(*IMAP, b"T0 OK done\r\n", then=trickle) as probe:
        within_its_time(lambda: probe.find("token1"), Unavailable)


def test_an_answer_of_the_imap_server_has_bounds() -> None:
    answers = [*IMAP, *[b"T0 OK done\r\n"] * 2, b"* SEARCH 1\r\nT0 OK done\r\n", b"* 1 FETCH (BODY[]<0> {99000000}\r\n"]
    with playing(*answers, then=trickle) as probe:
        began = time.monotonic()
        with pytest.raises(Unavailable, match="too large"):
            probe.find("token1")
        assert time.monotonic() - began < DEADLINE


@pytest.mark.parametrize("answer", [b"T0 NO\r\n", b"* SEARCH\r\nT0 BAD\r\n", b"\r\n", b"* SEARCH x\r\nT0 OK done\r\n"])
def test_odd_answers_of_the_imap_server_are_a_failed_look(answer: bytes) -> None:
    with (
        playing(*IMAP, b"T0 OK done\r\n", b"T0 OK done\r\n", answer, b"T0 NO\r\n") as probe,
        pytest.raises(Unavailable),
    ):
        probe.find("token1")


# ---- settings --------------------------------------------------------------------------------------------------------

VALUES = {
    "PROBE_ADDRESS": "probe@example.com",
    "PROBE_IMAP": "ssl://imap.example.com:993",
    "PROBE_USER": "probe",
    "PROBE_PASSWORD": "long and random",
    "PROBE_AUTHSERV": "mx.example.com",
}


def test_settings_are_read_whole_or_refused_with_what_is_missing() -> None:
    found = Settings.from_mapping(VALUES)
    assert found is not None
    assert (found.imap, found.received_by) == (Door("imap.example.com", 993), "mx.example.com")
    assert "long and random" not in repr(found)
    assert Settings.from_mapping({}) is None
    with pytest.raises(NotConfigured, match="PROBE_AUTHSERV"):
        Settings.from_mapping({**VALUES, "PROBE_AUTHSERV": ""})


@pytest.mark.parametrize("text", ["", "imap.example.com", "ssl://a:0", "ssl://a:70000", "http://a:1", "ssl://u:p@a:1"])
def test_a_door_is_one_host_and_port(text: str) -> None:
    with pytest.raises(NotConfigured):
        door(text)


def test_a_door_may_be_an_address_of_ipv6() -> None:
    assert door("starttls://[::1]:143") == Door("::1", 143, "STARTTLS")
