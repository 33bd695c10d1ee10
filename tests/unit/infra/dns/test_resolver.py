"""What a server's message means, and the way to real sockets."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import dns.exception
import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest

from infra.dns.names import BadName
from infra.dns.records import Type
from infra.dns.resolver import Answer, MessageResolver, Status, over_network, servers, split_place

NAME = "getacme.com"
SOA = "ns1.x. host.x. 1 7200 3600 1209600 60"

Change = Callable[[dns.message.Message], None]


def answer_of(change: Change, kind: Type = Type.TXT, name: str = NAME) -> Answer:
    """Ask a server that answers as `change` makes it."""

    def ask(question: dns.message.Message, seconds: float) -> dns.message.Message:
        response = dns.message.make_response(question, recursion_available=True)
        change(response)
        return dns.message.from_wire(response.to_wire())

    return MessageResolver("it", ask).query(name, kind)


def rows(*texts: str, kind: str = "TXT", name: str = NAME, ttl: int = 300) -> Change:
    return lambda response: response.answer.append(dns.rrset.from_text(f"{name}.", ttl, "IN", kind, *texts))


def both(*changes: Change) -> Change:
    def change_all(response: dns.message.Message) -> None:
        for change in changes:
            change(response)

    return change_all


def test_records_come_back_canonical_under_the_name_asked_for() -> None:
    answer = answer_of(rows("5 SMTP.Google.com.", kind="MX"), Type.MX, "GetAcme.com.")

    assert answer.status is Status.RECORDS
    assert [(one.owner, one.shown, one.ttl) for one in answer.records] == [(NAME, "5 smtp.google.com", 300)]


def test_records_come_in_one_order_whatever_the_servers() -> None:
    answer = answer_of(rows("10 b.example.", "5 c.example.", "10 a.example.", kind="MX"), Type.MX)

    assert [one.shown for one in answer.records] == ["5 c.example", "10 a.example", "10 b.example"]


def test_the_strings_of_a_text_are_joined_without_a_space() -> None:
    assert answer_of(rows('"v=spf1 ip4:192.0.2.1 " "-all"')).values == ("v=spf1 ip4:192.0.2.1 -all",)


def test_a_text_that_begins_with_a_quote_is_not_unquoted_twice() -> None:
    assert answer_of(rows(r'"\"a\" \"b\""')).values == ('"a" "b"',)


def test_octets_that_are_no_text_do_not_break_it() -> None:
    assert answer_of(rows(r'"\255\254"')).status is Status.RECORDS


def test_aliases_are_followed_and_named() -> None:
    answer = answer_of(both(rows("key.vendor.com.", kind="CNAME"), rows('"p=x"', name="key.vendor.com")))

    assert (answer.values, answer.aliases) == (("p=x",), ("key.vendor.com",))
    assert answer.records[0].owner == NAME


def test_aliases_in_a_circle_end() -> None:
    answer = answer_of(both(rows("b.com.", kind="CNAME"), rows(f"{NAME}.", kind="CNAME", name="b.com")))

    assert answer.status is Status.NO_ANSWER


@pytest.mark.parametrize(
    "code, status",
    [
        (dns.rcode.NOERROR, Status.NO_ANSWER),
        (dns.rcode.NXDOMAIN, Status.NXDOMAIN),
        (dns.rcode.SERVFAIL, Status.TEMPORARY_FAILURE),
        (dns.rcode.REFUSED, Status.TEMPORARY_FAILURE),
        (dns.rcode.NOTIMP, Status.TEMPORARY_FAILURE),
    ],
)
def test_absent_and_failing_are_kept_apart(code: dns.rcode.Rcode, status: Status) -> None:
    assert answer_of(lambda response: response.set_rcode(code)).status is status


def test_absent_may_be_kept_as_long_as_the_zone_says() -> None:
    def absent(response: dns.message.Message) -> None:
        response.authority.append(dns.rrset.from_text(f"{NAME}.", 900, "IN", "SOA", SOA))

    assert answer_of(absent).ttl == 60


def test_a_server_that_only_names_others_does_not_know() -> None:
    def referral(response: dns.message.Message) -> None:
        response.flags &= ~dns.flags.RA
        response.authority.append(dns.rrset.from_text("com.", 900, "IN", "NS", "a.gtld.example."))

    assert answer_of(referral).status is Status.TEMPORARY_FAILURE


def test_a_server_above_answers_who_serves_a_domain_by_sending_on() -> None:
    def referral(response: dns.message.Message) -> None:
        response.flags &= ~dns.flags.RA
        response.authority.append(
            dns.rrset.from_text(f"{NAME}.", 900, "IN", "NS", "NS2.host.example.", "ns1.host.example.")
        )

    answer = answer_of(referral, Type.NS)
    assert answer.values == ("ns1.host.example", "ns2.host.example")
    assert answer_of(referral, Type.A).status is Status.TEMPORARY_FAILURE
    assert answer_of(referral, Type.NS, f"www.{NAME}").status is Status.TEMPORARY_FAILURE


@pytest.mark.parametrize(
    "error, status",
    [
        (dns.exception.Timeout, Status.TIMEOUT),
        (dns.exception.FormError, Status.TEMPORARY_FAILURE),
        (ConnectionRefusedError, Status.TEMPORARY_FAILURE),
        (EOFError, Status.TEMPORARY_FAILURE),
    ],
)
def test_what_the_network_does_is_an_answer_too(error: type[Exception], status: Status) -> None:
    def ask(question: dns.message.Message, seconds: float) -> dns.message.Message:
        raise error

    assert MessageResolver("it", ask).query(NAME, Type.A).status is status


def test_what_is_no_name_is_refused_before_anybody_is_asked() -> None:
    with pytest.raises(BadName):
        over_network("it", "127.0.0.1").query("a..b", Type.A)


def test_a_domains_own_server_is_not_asked_to_ask_others() -> None:
    flags = list[bool]()

    def ask(question: dns.message.Message, seconds: float) -> dns.message.Message:
        flags.append(bool(question.flags & dns.flags.RD))
        return dns.message.make_response(question)

    for recursive in (True, False):
        MessageResolver("it", ask, recursive).query(NAME, Type.A)

    assert flags == [True, False]


@pytest.mark.parametrize(
    "place, split",
    [
        ("192.0.2.1", ("192.0.2.1", 53)),
        ("localhost:5301", ("localhost", 5301)),
        ("[::1]:5301", ("::1", 5301)),
        ("[::1]", ("::1", 53)),
        ("2001:db8::1", ("2001:db8::1", 53)),
    ],
)
def test_a_server_is_named_by_host_and_port(place: str, split: tuple[str, int]) -> None:
    assert split_place(place) == split


@pytest.mark.parametrize("place", ["", ":53", "host:port", "host:0", "host:70000", "[::1]x"])
def test_what_names_no_server_is_refused(place: str) -> None:
    with pytest.raises(ValueError, match="names no server"):
        split_place(place)


# Sockets


@contextmanager
def a_server(respond: Callable[[bytes], bytes | None]) -> Iterator[int]:
    """Answer datagrams on a port of this machine for a block."""
    with socket.socket(type=socket.SOCK_DGRAM) as listener:
        listener.bind(("127.0.0.1", 0))

        def serve() -> None:
            while True:
                message, client = listener.recvfrom(4096)
                if message == b"end":
                    return
                if answer := respond(message):
                    listener.sendto(answer, client)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            with socket.socket(type=socket.SOCK_DGRAM) as knock:
                knock.sendto(b"end", listener.getsockname())
            thread.join()


def test_a_real_server_is_asked_at_its_address_and_port() -> None:
    def respond(message: bytes) -> bytes:
        response = dns.message.make_response(dns.message.from_wire(message), recursion_available=True)
        rows('"hello"')(response)
        return response.to_wire()

    with a_server(respond) as port:
        (resolver,) = servers([f"localhost:{port}"])
        assert resolver.query(NAME, Type.TXT).values == ("hello",)
        assert resolver.name == f"localhost:{port}"


def test_a_silent_server_is_given_up_in_time() -> None:
    with a_server(lambda message: None) as port:
        assert over_network("it", "127.0.0.1", port).query(NAME, Type.A, timeout=0.1).status is Status.TIMEOUT


def test_a_host_that_nobody_knows_is_a_failure_and_no_crash() -> None:
    assert over_network("it", "no.such.host.invalid").query(NAME, Type.A).status is Status.TEMPORARY_FAILURE
