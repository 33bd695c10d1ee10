"""Where a domain's own servers are, asked of the servers above it."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from infra.dns.delegation import Delegation, find, own_servers
from infra.dns.records import Record, Type, record
from infra.dns.resolver import Patience, Resolver, Status
from tests.unit.infra.dns.kit import BROKEN, SILENT, Table

ZONE = "acme.example"
NS = (record("NS", ZONE, "ns2.host.example"), record("NS", ZONE, "ns1.host.example"))
PUBLIC = (
    record("NS", "example", "a.above.example"),
    record("NS", "example", "b.above.example"),
    record("A", "a.above.example", "192.0.2.1"),
    record("A", "b.above.example", "192.0.2.2"),
    record("A", "ns1.host.example", "192.0.2.11"),
    record("AAAA", "ns2.host.example", "2001:db8::12"),
)


@dataclass
class Net:
    """Servers by address, and who was reached."""

    servers: dict[str, Table]
    reached: list[tuple[str, str]] = field(default_factory=list)

    def connect(self, name: str, address: str) -> Resolver:
        self.reached.append((name, address))
        return self.servers[address]


def patience(*times: float) -> Patience:
    clock = iter(times)
    return Patience(lambda: next(clock, 0.0), 5.0)


def above(*records: Record, **options: object) -> Net:
    return Net({"192.0.2.1": Table("a", records, **options), "192.0.2.2": Table("b", NS)})  # type: ignore[arg-type]


def found(net: Net, resolver: Table | None = None) -> Delegation:
    return find(ZONE, [resolver or Table(records=PUBLIC)], net.connect, patience())


def test_the_servers_above_say_where_it_is() -> None:
    delegation = found(above(*NS))

    assert delegation == Delegation(ZONE, ("ns1.host.example", "ns2.host.example"))
    assert delegation.leads_to(["NS2.host.example.", "ns1.host.example"])
    assert not delegation.leads_to(["ns1.host.example"])


def test_resolvers_are_never_asked_for_the_domain_itself() -> None:
    resolver = Table(records=PUBLIC)
    found(above(*NS), resolver)

    assert ZONE not in {name for name, _, _ in resolver.asked}


def test_a_domain_that_is_not_there_is_not_delegated() -> None:
    delegation = found(above())

    assert (delegation.is_delegated, delegation.was_answered) == (False, True)


@pytest.mark.parametrize("failure", [BROKEN, SILENT])
def test_the_next_server_above_is_asked_when_one_fails(failure: object) -> None:
    net = above(instead={"": failure})

    assert found(net).is_delegated
    assert [name for name, _ in net.reached] == ["a.above.example", "b.above.example"]


def test_nobody_above_who_answers_is_no_statement_about_the_domain() -> None:
    silent = Net({address: Table(instead={"": BROKEN}) for address in ("192.0.2.1", "192.0.2.2")})

    assert not found(silent).was_answered
    assert found(silent).why == "b.above.example: the server answers SERVFAIL"
    assert not found(above(*NS), Table(instead={"": BROKEN})).was_answered


def test_the_nearest_zone_above_is_found_over_names_that_are_none() -> None:
    net = Net({"192.0.2.1": Table("a", [record("NS", "a.b.acme.example", "ns1.host.example")])})

    delegation = find("a.b.acme.example", [Table(records=PUBLIC)], net.connect, patience())

    assert delegation.servers == ("ns1.host.example",)


def test_each_of_its_own_servers_is_reached_by_either_family_and_one_without_an_address_fails() -> None:
    net = Net({"192.0.2.11": Table("ns1"), "2001:db8::12": Table("ns2")})
    delegation = Delegation(ZONE, ("gone.example", "ns1.host.example", "ns2.host.example"))

    gone, one, two = own_servers(delegation, [Table(records=PUBLIC)], net.connect, patience())

    assert [one.name, two.name] == ["ns1", "ns2"]
    assert (gone.name, gone.query(ZONE, Type.A).status) == ("gone.example", Status.TEMPORARY_FAILURE)


def test_it_ends_when_the_time_is_over() -> None:
    resolver = Table(records=PUBLIC)
    late = Patience(lambda: 6.0, 5.0)

    delegation = find(ZONE, [resolver], above(*NS).connect, late)

    assert (delegation.was_answered, resolver.asked) == (False, [])
