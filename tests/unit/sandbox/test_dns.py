"""The simulated names: what platforms publish, as each name server shows it."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from dataclasses import replace

import dns.flags
import dns.message
import pytest

from infra.dns.records import Type
from infra.dns.resolver import Answer, Status, over_network
from integrations.sandbox import Request, control
from integrations.sandbox.dns import (
    BEYOND,
    NAME_SERVERS,
    RESOLVERS,
    SERVERS,
    Dns,
    ZoneRecord,
    delegate,
    delegation,
)
from integrations.sandbox.dns_server import DnsServers, PortTaken
from tests.integration.world import name_servers
from tests.unit.sandbox.kit import Box

NAME = "getacme.com"


@pytest.fixture
def zone() -> list[ZoneRecord]:
    """The records that the platforms publish: a list to be changed."""
    return [
        ZoneRecord(NAME, NAME, "MX", "smtp.google.com", priority=1),
        ZoneRecord(NAME, NAME, "TXT", "v=spf1 include:_spf.google.com ~all"),
        ZoneRecord(NAME, f"_dmarc.{NAME}", "TXT", "v=DMARC1; p=none"),
    ]


@pytest.fixture
def box(zone: list[ZoneRecord]) -> Box:
    box = Box()
    box.sandbox.platforms["zapmail"] = replace(
        box.sandbox.platforms["zapmail"], records_of=lambda world, now: iter(zone)
    )
    return box


def ask(box: Box, name: str = NAME, kind: Type = Type.TXT, *, server: str = "first") -> Answer:
    servers = name_servers(box.sandbox)
    (found,) = [one for one in (*servers.resolvers, *servers.authoritative) if one.name == server]
    return found.query(name, kind)


@pytest.mark.parametrize("server", SERVERS)
def test_every_server_shows_what_platforms_publish(box: Box, server: str) -> None:
    assert [one.shown for one in ask(box, kind=Type.MX, server=server).records] == ["1 smtp.google.com"]
    assert ask(box, f"_DMARC.{NAME}.", server=server).values == ("v=DMARC1; p=none",)


def test_a_bought_domain_has_its_records_once_it_is_active_and_its_reports_later() -> None:
    box = Box(zapmail_domain_active_seconds=(600, 600), dns_negative_ttl_seconds=0)
    workspace = box.workspace()
    box.buy(workspace, NAME)
    assert ask(box).status is Status.NXDOMAIN

    box.sandbox.advance(600)
    assert ask(box).values == ("v=spf1 include:_spf.google.com ~all",)
    assert ask(box, kind=Type.MX).status is Status.RECORDS
    assert ask(box, f"google._domainkey.{NAME}").status is Status.RECORDS
    assert ask(box, f"_dmarc.{NAME}", server="authoritative").values == ("v=DMARC1; p=none",)

    domain = box.sandbox.world.zapmail.domain_named(NAME)
    assert domain is not None
    body = {"domainIds": [domain.id], "email": "dmarc@ops.example"}
    box.zapmail("POST", "/v2/domains/dmarc", body, workspace=workspace)
    box.sandbox.advance(20)
    reports = ("v=DMARC1; p=none; rua=mailto:dmarc@ops.example",)
    assert ask(box, f"_dmarc.{NAME}", server="authoritative").values == reports
    assert ask(box, f"_dmarc.{NAME}", server="first").values == reports
    assert ask(box, f"_dmarc.{NAME}", server="lagging").status is Status.NXDOMAIN


def test_a_resolver_keeps_what_it_was_told_for_its_time(box: Box, zone: list[ZoneRecord]) -> None:
    assert ask(box).status is Status.RECORDS
    zone[1] = replace(zone[1], value="v=spf1 -all")

    box.sandbox.advance(299)
    assert ask(box).values == ("v=spf1 include:_spf.google.com ~all",)
    assert ask(box, server="authoritative").values == ("v=spf1 -all",)

    box.sandbox.advance(1)
    assert ask(box).values == ("v=spf1 -all",)


def test_a_question_that_comes_too_early_makes_a_resolver_keep_that_there_is_nothing(
    box: Box, zone: list[ZoneRecord]
) -> None:
    box.sandbox.switches.set(dns_negative_ttl_seconds=900)
    early = ask(box, f"mail.{NAME}", Type.A)
    zone.append(ZoneRecord(NAME, f"mail.{NAME}", "A", "192.0.2.1"))

    assert (early.status, early.ttl) == (Status.NXDOMAIN, 900)
    box.sandbox.advance(899)
    assert ask(box, f"mail.{NAME}", Type.A).status is Status.NXDOMAIN
    box.sandbox.advance(1)
    assert ask(box, f"mail.{NAME}", Type.A).values == ("192.0.2.1",)


def test_resolvers_keep_things_for_themselves(box: Box, zone: list[ZoneRecord]) -> None:
    ask(box)
    zone[1] = replace(zone[1], value="v=spf1 -all")

    assert ask(box, server="first").values != ask(box, server="failing").values


def test_the_lagging_resolver_sees_the_past(box: Box, zone: list[ZoneRecord]) -> None:
    box.sandbox.switches.set(dns_lag_seconds=100)
    now = box.clock.now()
    zone[1] = replace(zone[1], until=now)
    zone.append(replace(zone[1], value="v=spf1 -all", since=now, until=1e12))

    box.sandbox.advance(99)
    assert ask(box).values == ("v=spf1 -all",)
    assert ask(box, server="lagging").values == ("v=spf1 include:_spf.google.com ~all",)

    box.sandbox.advance(301)
    assert ask(box, server="lagging").values == ("v=spf1 -all",)


@pytest.mark.parametrize(
    "position, status",
    [("servfail", Status.TEMPORARY_FAILURE), ("refused", Status.TEMPORARY_FAILURE), ("silent", Status.TIMEOUT)],
)
def test_the_failing_resolver_and_the_authoritative_server_fail_by_switch(
    box: Box, position: str, status: Status
) -> None:
    box.sandbox.switches.set(dns_failing=position, dns_authoritative=position)

    assert ask(box, server="failing").status is status
    assert ask(box, server="authoritative").status is status
    assert ask(box, server="first").status is Status.RECORDS


def test_names_are_withheld_and_zones_are_broken_by_switch(box: Box) -> None:
    box.sandbox.switches.set(dns_withheld_names=f"_dmarc.{NAME}")
    assert ask(box, f"_dmarc.{NAME}").status is Status.NXDOMAIN
    assert ask(box).status is Status.RECORDS

    box.sandbox.switches.set(dns_broken_zones=NAME)
    assert ask(box, server="failing").status is Status.TEMPORARY_FAILURE


def test_a_failure_is_not_kept(box: Box) -> None:
    box.sandbox.switches.set(dns_broken_zones=NAME)
    ask(box)
    box.sandbox.switches.set(dns_broken_zones="")

    assert ask(box).status is Status.RECORDS


@pytest.mark.parametrize(
    "name, kind, status",
    [
        (NAME, Type.AAAA, Status.NO_ANSWER),
        (f"no.{NAME}", Type.A, Status.NXDOMAIN),
        (f"_domainkey.{NAME}", Type.TXT, Status.NO_ANSWER),  # names below it make it exist: RFC 8020
        ("elsewhere.org", Type.A, Status.NXDOMAIN),
        ("_spf.google.com", Type.TXT, Status.RECORDS),
        ("getacme-com.mail.protection.outlook.com", Type.A, Status.RECORDS),
        (NAME, Type.NS, Status.RECORDS),
        (NAME, Type.SOA, Status.RECORDS),
    ],
)
def test_what_is_not_there_says_in_which_way(
    box: Box, zone: list[ZoneRecord], name: str, kind: Type, status: Status
) -> None:
    zone.append(ZoneRecord(NAME, f"google._domainkey.{NAME}", "TXT", "v=DKIM1; p=x"))

    assert ask(box, name, kind).status is status


def test_a_domain_that_somebody_else_serves_names_their_servers(box: Box, zone: list[ZoneRecord]) -> None:
    own = ask(box, kind=Type.NS).values
    zone.append(ZoneRecord("other.com", "other.com", "NS", "ns1.registrar.example"))

    assert own == ("ns1.sandbox.test", "ns2.sandbox.test")
    assert ask(box, "other.com", Type.NS).values == ("ns1.registrar.example",)


def test_the_authoritative_server_refuses_what_is_not_its_own(box: Box) -> None:
    answer = ask(box, "elsewhere.org", server="authoritative")

    assert (answer.status, answer.why) == (Status.TEMPORARY_FAILURE, "the server answers REFUSED")


def test_a_wildcard_stands_for_names_that_are_not_there_however_long(box: Box, zone: list[ZoneRecord]) -> None:
    zone.append(ZoneRecord(NAME, f"*.any.{NAME}", "TXT", "wild"))
    zone.append(ZoneRecord(NAME, f"own.any.{NAME}", "A", "192.0.2.1"))

    assert ask(box, f"a.b.any.{NAME}").values == ("wild",)
    assert ask(box, f"own.any.{NAME}").status is Status.NO_ANSWER
    assert ask(box, f"below.own.any.{NAME}").status is Status.NXDOMAIN
    assert ask(box, f"any.{NAME}").status is Status.NO_ANSWER


def test_aliases_lead_across_zones_and_end_when_they_go_round(box: Box, zone: list[ZoneRecord]) -> None:
    zone += [
        ZoneRecord(NAME, f"key.{NAME}", "CNAME", "_spf.google.com"),
        ZoneRecord(NAME, f"a.{NAME}", "CNAME", f"b.{NAME}"),
        ZoneRecord(NAME, f"b.{NAME}", "CNAME", f"a.{NAME}"),
    ]

    assert ask(box, f"key.{NAME}").aliases == ("_spf.google.com",)
    assert ask(box, f"a.{NAME}").status is Status.TEMPORARY_FAILURE
    assert ask(box, f"a.{NAME}", Type.CNAME).values == (f"b.{NAME}",)


def test_data_that_no_server_could_load_is_not_served_and_breaks_nothing(box: Box, zone: list[ZoneRecord]) -> None:
    zone += [ZoneRecord(NAME, f"bad.{NAME}", "A", "not an address"), ZoneRecord(NAME, f"x.{NAME}", "NONE", "x")]

    assert ask(box, f"bad.{NAME}", Type.A).status is Status.NO_ANSWER
    assert ask(box).status is Status.RECORDS


def test_a_reset_empties_what_resolvers_keep(box: Box, zone: list[ZoneRecord]) -> None:
    ask(box)
    zone.clear()
    box.sandbox.reset()

    assert ask(box).status is Status.NXDOMAIN


@pytest.mark.parametrize("message", [b"", b"\x00", b"GET / HTTP/1.1\r\n\r\n", b"\xff" * 40])
def test_what_is_no_message_gets_no_answer(box: Box, message: bytes) -> None:
    assert box.sandbox.dns.respond(message, "first") is None


def test_an_answer_that_does_not_fit_is_cut_short_over_udp_only(box: Box, zone: list[ZoneRecord]) -> None:
    zone.append(ZoneRecord(NAME, f"long.{NAME}", "TXT", "k" * 1500))
    query = dns.message.make_query(f"long.{NAME}", "TXT")

    short = dns.message.from_wire(box.sandbox.dns.respond(query.to_wire(), "first") or b"")
    whole = dns.message.from_wire(box.sandbox.dns.respond(query.to_wire(), "first", by_tcp=True) or b"")

    assert short.flags & dns.flags.TC
    assert [len(part) for part in whole.answer[0][0].strings] == [255] * 5 + [225]


# Delegation

HOSTS = ("ada.ns.cloudflare.com", "bob.ns.cloudflare.com")


def test_what_lies_on_servers_that_nobody_is_led_to_is_seen_by_asking_them(box: Box, zone: list[ZoneRecord]) -> None:
    zone[:] = [replace(one, servers=HOSTS) for one in zone]

    assert ask(box).status is Status.NXDOMAIN
    assert ask(box, server="authoritative").status is Status.RECORDS


def test_resolvers_follow_the_delegation_once_it_has_changed(box: Box, zone: list[ZoneRecord]) -> None:
    zone[:] = [replace(one, servers=HOSTS) for one in zone]
    now = box.clock.now()
    delegate(box.sandbox.world, NAME, ["ns1.registrar.example", "ns2.registrar.example"], now)
    delegate(box.sandbox.world, NAME, ["Bob.ns.cloudflare.com.", "ada.ns.cloudflare.com"], now + 600)

    assert ask(box, kind=Type.NS).values == ("ns1.registrar.example", "ns2.registrar.example")
    assert ask(box).status is Status.NO_ANSWER

    box.sandbox.advance(600)
    assert ask(box, kind=Type.NS).values == HOSTS
    assert ask(box).status is Status.RECORDS
    assert ask(box, server="lagging").status is Status.NO_ANSWER


def test_one_wrong_server_of_two_leads_nowhere(box: Box, zone: list[ZoneRecord]) -> None:
    zone[:] = [replace(one, servers=HOSTS) for one in zone]
    delegate(box.sandbox.world, NAME, [HOSTS[0], "ns1.registrar.example"], box.clock.now())

    assert ask(box).status is Status.NO_ANSWER


def test_a_change_that_was_on_its_way_is_replaced_by_a_later_one(box: Box) -> None:
    now = box.clock.now()
    delegate(box.sandbox.world, NAME, ["ns1.registrar.example"], now + 600)
    delegate(box.sandbox.world, NAME, HOSTS, now + 300)
    box.sandbox.advance(600)

    assert delegation(box.sandbox.world, NAME, box.clock.now()) == HOSTS


def test_the_control_plane_changes_the_name_servers_of_any_domain(box: Box) -> None:
    def steer(**body: object) -> int:
        content = json.dumps(body).encode()
        return control.handle(box.sandbox, Request.to("POST", "/nameservers", body=content)).status

    assert steer(domain=NAME, servers=list(HOSTS)) == 200
    assert ask(box, kind=Type.NS).values == NAME_SERVERS
    box.sandbox.advance(300)
    assert ask(box, kind=Type.NS).values == HOSTS
    for bad in ({"servers": "ns1"}, {"servers": ["no host"]}, {"servers": [7]}, {"domain": "", "servers": []}):
        assert steer(**{"domain": NAME, **bad}) == 400


# Sockets


@pytest.fixture
def ports(box: Box) -> Iterator[dict[str, int]]:
    ended = threading.Event()
    with DnsServers("127.0.0.1", 0) as servers:
        thread = threading.Thread(target=servers.serve, args=(box.sandbox.dns, ended))
        thread.start()
        yield servers.ports
        ended.set()
        thread.join()


def test_each_server_has_a_port_of_its_own_for_udp_and_tcp(
    box: Box, zone: list[ZoneRecord], ports: dict[str, int]
) -> None:
    box.sandbox.switches.set(dns_failing="servfail")
    zone.append(ZoneRecord(NAME, f"long.{NAME}", "TXT", "k" * 1500))

    answers = {
        name: over_network(name, "127.0.0.1", port).query(f"long.{NAME}", Type.TXT) for name, port in ports.items()
    }

    assert len(set(ports.values())) == len(SERVERS)
    assert answers["first"].values == answers["authoritative"].values == ("k" * 1500,)
    assert answers["failing"].status is Status.TEMPORARY_FAILURE


def test_a_silent_server_ends_a_stream_without_an_answer(box: Box, ports: dict[str, int]) -> None:
    box.sandbox.switches.set(dns_failing="silent")
    query = dns.message.make_query(NAME, "TXT").to_wire(prepend_length=True)

    with socket.create_connection(("127.0.0.1", ports["failing"]), timeout=5) as stream:
        stream.sendall(query)
        assert stream.recv(2) == b""


def test_a_port_that_is_taken_is_named(box: Box, ports: dict[str, int]) -> None:
    with pytest.raises(PortTaken) as refused:
        DnsServers("127.0.0.1", ports["first"])

    assert refused.value.args == (ports["first"],)


def test_what_lies_beyond_the_platforms_can_all_be_served(box: Box) -> None:
    for one in BEYOND:
        name = one.name.replace("*", "any")
        assert ask(box, name, Type(one.type)).status is Status.RECORDS, one


def test_the_resolvers_come_first() -> None:
    assert (*RESOLVERS, "authoritative") == SERVERS
    assert isinstance(Box().sandbox.dns, Dns)
