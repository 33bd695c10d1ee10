"""Domains whose name servers are tables in the test's hand, looked at as a worker does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from infra import clock
from infra.dns.records import Record, record
from infra.dns.resolver import Answer, NameServers, Resolver
from infra.models import DnsCheck, Domain, Mailbox, MailboxState, Provision
from provisioning import seeing
from provisioning.engine.runner import Workshop
from tests.integration.world import new_order, new_sandbox, new_workshop, paid
from tests.unit.infra.dns.keys import rsa
from tests.unit.infra.dns.kit import Table

NAME = "getacme.com"
KEY = rsa()
SPF = "v=spf1 include:spf.mail.example ~all"
DMARC = "v=DMARC1; p=none; rua=mailto:reports@ops.example"


def mail_records(name: str = NAME, *, spf: str = SPF, dmarc: str = DMARC, selector: str = "k1") -> list[Record]:
    """Return what mail needs of a domain, as a platform would have made it."""
    return [
        record("MX", name, "1 mx.mail.example"),
        record("TXT", name, spf),
        record("TXT", f"{selector}._domainkey.{name}", KEY),
        record("TXT", f"_dmarc.{name}", dmarc),
    ]


AROUND = [
    record("A", "mx.mail.example", "192.0.2.1"),
    record("TXT", "spf.mail.example", "v=spf1 ip4:192.0.2.0/28 ~all"),
    record("TXT", "other.mail.example", "v=spf1 ip4:198.51.100.0/28 ~all"),
]


def servers(
    found: Sequence[Record], *, others: Sequence[Record] | None = None, instead: dict[str, Answer] | None = None
) -> NameServers:
    """Return name servers: the domain's own show `found`, and so do the public ones, or `others`."""
    zones = {one.owner for one in found if one.type == "MX"} or {NAME}
    named = [record("NS", zone, "ns1.host.example") for zone in zones]
    own: Resolver = Table("ns1.host.example", [*named, *found], instead or {})
    agreed = [record("TXT", f"{zone}._report._dmarc.ops.example", "v=DMARC1") for zone in zones]
    seen = [*(found if others is None else others), *AROUND, *agreed]
    return NameServers(tuple(Table(name, seen, instead or {}) for name in ("first", "second", "third")), (own,))


def workshop(name_servers: NameServers) -> Workshop:
    return replace(new_workshop(new_sandbox(), {}), name_servers=name_servers)


def order_up(stack: str = "zapmail", *, listed: Sequence[Record] | None = None, name: str = "acme") -> Provision:
    """Make an order that runs, whose platform lists the records of its first domain."""
    order = new_order(name)
    paid(order)
    order.refresh_from_db()
    order.state, order.order = "active", {**order.order, "stack": stack}
    order.save()
    order.runs.update(state="done", finished_at=clock.machine_now())
    Mailbox.objects.filter(provision=order).update(state=MailboxState.WARMING, warmup_started_at=clock.vendor_now())
    order.domains.filter(state="selected").update(state="active", bought_at=clock.vendor_now())
    own = f"get{name}.com"
    rows = [[one.type, one.owner, one.value, one.priority] for one in (mail_records(own) if listed is None else listed)]
    order.domains.filter(name=own).update(facts={"dns_records": rows})
    return order


def domain_of(order: Provision) -> Domain:
    return order.domains.select_related("provision").order_by("position")[0]


def checked(order: Provision, name_servers: NameServers, *, later: float = 0) -> DnsCheck:
    """Let somebody press "Check now", and a worker look."""
    clock.advance_machine(seeing.CHECK_AGAIN + later)
    domain = domain_of(order)
    DnsCheck.objects.exclude(domain=domain).update(due_at=None)
    assert seeing.check_now(domain=domain, actor="ada")
    assert seeing.look_at_next(workshop(name_servers))
    return DnsCheck.objects.get(domain=domain)


def states(check: DnsCheck) -> dict[str, str]:
    return {row["kind"]: row["state"] for row in check.records}


def aged(order: Provision, days: float) -> None:
    """Let the order have run for so many days."""
    then = clock.vendor_now() - timedelta(days=days)
    order.domains.update(bought_at=then)
    order.mailboxes.update(warmup_started_at=then)


def page(order: Provision, where: str) -> str:
    return f"/infrastructure/domains/{domain_of(order).name}/{where}"


def body(response: Any) -> Any:
    assert response.status_code == 200, response.content
    return response.json()
