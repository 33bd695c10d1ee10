"""The names of the simulated world: what platforms publish, a server that knows it all, three resolvers that keep it.

A platform publishes by `Platform.records_of`. Messages go in and out as bytes, so that sockets (server.py) and tests in
process get the same answers. Time is virtual: what a resolver keeps, it keeps for so many virtual seconds.

authoritative  answers for every zone of the platforms, from what they hold now; refuses all others
first          a resolver that works
lagging        one that sees each record `dns_lag_seconds` after it was published
failing        one that fails as `dns_failing` says
"""

from __future__ import annotations

import contextlib
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.opcode
import dns.rcode
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.rdtypes.ANY.TXT
import dns.rrset

if TYPE_CHECKING:
    from .core import Sandbox
    from .platforms import Platform
    from .world import World

SERVERS = ("first", "lagging", "failing", "authoritative")
RESOLVERS = SERVERS[:3]
TTL = 300
PLAIN_UDP = 512  # octets of an answer to a question without EDNS: RFC 1035, 2.3.4
MOST_STRING = 255
MOST_ALIASES = 8
NAME_SERVERS = ("ns1.sandbox.test", "ns2.sandbox.test")
# Of the pair in mail_key.pem: what the simulated platforms sign with whose keys nobody sees.
DKIM_KEY = (
    "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAsV9sZv3YCmzDuzLY6FGyp1KjpCDf32fE0UJqI4VpgNHXgBfgY/8PEQ"
    "viMObIa6cSNG1c9GM8JGbMSmn6xClgIrEHTGr/Zq9ux0tourEj2sB7WMSlwYdA5ftA+Q4aFW1m3dObSSs6w2ZjBtkTSltL/x1g"
    "NDKJkeM5YgfAWaEpTzECVyX35qC0pvACEW8gGl2rR8eW+gMCRGbOrSpv6n0kQAJeIyI76nVJ1bgN2J+8efkHnDvzOcsnNdYN9L"
    "nn+++6bAcp2+04qYdmlKOS/w8nieBcRFBhk6cAeo1Nx73pBZPj6smDuFZJbhorn8Y3odEA3jD3+IXiWMiy68fl70c1dQIDAQAB"
)
FAILURES = {"servfail": dns.rcode.SERVFAIL, "refused": dns.rcode.REFUSED}


@dataclass(frozen=True, slots=True)
class ZoneRecord:
    """A record that a platform publishes.

    zone   the domain it belongs to, a whole name
    name   a whole name within the zone, `*` as its first label for a wildcard
    value  TXT: the logical text; MX: the host alone, its priority beside it
    since  the virtual moment of publication
    until  when it was taken back or replaced; by then a resolver that lags still sees it
    servers  the hosts that hold it, where it matters: resolvers see it while its zone is delegated to exactly these
    is_above whether the servers above say it: a delegation
    """

    zone: str
    name: str
    type: str
    value: str
    priority: int = 10
    ttl: int = TTL
    since: float = 0.0
    until: float = math.inf
    servers: tuple[str, ...] = ()
    is_above: bool = False


# What lies beyond the platforms: the names that their records lead to. Addresses are those of documentation.
BEYOND = (
    ZoneRecord("google.com", "_spf.google.com", "TXT", "v=spf1 ip4:192.0.2.0/25 ip6:2001:db8:6006::/48 ~all"),
    ZoneRecord("google.com", "smtp.google.com", "A", "192.0.2.25"),
    ZoneRecord("google.com", "smtp.google.com", "AAAA", "2001:db8:6006::25"),
    ZoneRecord("outlook.com", "spf.protection.outlook.com", "TXT", "v=spf1 ip4:198.51.100.0/25 -all"),
    ZoneRecord("outlook.com", "*.mail.protection.outlook.com", "A", "198.51.100.25"),
    ZoneRecord("ops.example", "*._report._dmarc.ops.example", "TXT", "v=DMARC1"),
    ZoneRecord("mailer.example", "s1._domainkey.mailer.example", "TXT", f"v=DKIM1; k=rsa; p={DKIM_KEY}"),
    ZoneRecord("sleadtrack.com", "open.sleadtrack.com", "A", "192.0.2.80"),
    ZoneRecord("ns.cloudflare.com", "*.ns.cloudflare.com", "A", "127.0.0.1"),
    ZoneRecord("sandbox.test", NAME_SERVERS[0], "A", "127.0.0.1"),
    ZoneRecord("sandbox.test", NAME_SERVERS[1], "A", "127.0.0.1"),
)


@dataclass(frozen=True, slots=True)
class Found:
    """What is known of a name and type at a moment, in the order in which a message says it."""

    code: dns.rcode.Rcode
    answer: tuple[dns.rrset.RRset, ...] = ()
    zone: str = ""

    @property
    def ttl(self) -> int:
        return min((one.ttl for one in self.answer), default=0)


class Names:
    """All zones at one moment."""

    def __init__(self, records: Iterable[ZoneRecord], negative_ttl: int) -> None:
        self.negative_ttl = negative_ttl
        self.zones: set[str] = set()
        self.by_name: dict[str, dict[str, list[ZoneRecord]]] = defaultdict(lambda: defaultdict(list))
        for record in records:
            self.zones.add(record.zone)
            self.by_name[record.name][record.type].append(record)
        self.inner = {
            name.split(".", labels)[labels] for name in self.by_name for labels in range(1, name.count(".") + 1)
        }

    def zone_of(self, name: str) -> str:
        """Return the zone that a name lies in, or an empty text."""
        parts = name.split(".")
        return next((zone for start in range(len(parts)) if (zone := ".".join(parts[start:])) in self.zones), "")

    def find(self, name: str, kind: str) -> Found:
        """Return what the zones say, aliases followed."""
        answer, zone = list[dns.rrset.RRset](), self.zone_of(name)
        for _ in range(MOST_ALIASES):
            here = self._at(name)
            if here is None:
                return Found(dns.rcode.NXDOMAIN, tuple(answer), zone)
            if kind in here or "CNAME" not in here:
                answer += [rows for rows in [_rrset(name, kind, here.get(kind, []))] if len(rows)]
                return Found(dns.rcode.NOERROR, tuple(answer), zone)
            answer.append(_rrset(name, "CNAME", here["CNAME"][:1]))
            name = here["CNAME"][0].value.lower().rstrip(".")
        return Found(dns.rcode.SERVFAIL, zone=zone)

    def _at(self, name: str) -> Mapping[str, list[ZoneRecord]] | None:
        """Return the records of a name by type, none of them for one that only has names below it, None without it."""
        found = self.by_name.get(name) or (None if name in self.inner else self.by_name.get(self._wildcard(name)))
        if name in self.zones:
            servers = [ZoneRecord(name, name, "NS", server) for server in NAME_SERVERS]
            # Who publishes name servers of its own has them: a domain that still lies elsewhere.
            return {"NS": servers, **(found or {}), "SOA": [ZoneRecord(name, name, "SOA", self._soa(name))]}
        return found if found or name not in self.inner else {}

    def _wildcard(self, name: str) -> str:
        """Return the wildcard that may stand for a name that is not there: below the nearest name that is (RFC 4592)."""
        above = name.partition(".")[2]
        while above and above not in self.by_name and above not in self.inner:
            above = above.partition(".")[2]
        return f"*.{above}"

    def _soa(self, zone: str) -> str:
        return f"{NAME_SERVERS[0]}. hostmaster.{zone}. 1 7200 3600 1209600 {self.negative_ttl}"

    def soa(self, zone: str) -> dns.rrset.RRset:
        """Return what goes with "there is none", and says for how long that may be kept."""
        return _rrset(zone, "SOA", [ZoneRecord(zone, zone, "SOA", self._soa(zone), ttl=self.negative_ttl)])


class Dns:
    """The name servers of one sandbox. What resolvers keep is forgotten when the process ends."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self.kept: dict[tuple[str, str, str], tuple[float, Found]] = {}

    def respond(self, wire: bytes, server: str, *, by_tcp: bool = False) -> bytes | None:
        """Answer a message as `server` does. None: it stays silent."""
        try:
            query = dns.message.from_wire(wire)
        except dns.exception.DNSException:
            return None
        with self.sandbox.lock:
            self.sandbox.run_due()
            response = self._response(query, server)
        if response is None:
            return None
        most = max(query.payload, PLAIN_UDP) if query.edns >= 0 else PLAIN_UDP
        return response.to_wire(max_size=65_535 if by_tcp else most, prefer_truncation=True)

    def forget(self) -> None:
        """Empty what the resolvers keep."""
        self.kept.clear()

    def _response(self, query: dns.message.Message, server: str) -> dns.message.Message | None:
        switches, authoritative = self.sandbox.switches, server == "authoritative"
        response = dns.message.make_response(query, recursion_available=not authoritative)
        failure = switches.dns_failing if server == "failing" else switches.dns_authoritative if authoritative else ""
        if failure == "silent":
            return None
        if failure in FAILURES:
            response.set_rcode(FAILURES[failure])
        elif query.opcode() != dns.opcode.QUERY or len(query.question) != 1:
            response.set_rcode(dns.rcode.NOTIMP)
        else:
            question = query.question[0]
            name = question.name.to_text(omit_final_dot=True).lower()
            kind = dns.rdatatype.to_text(question.rdtype)
            self._fill(response, self._asked(server, name, kind), authoritative=authoritative)
        return response

    def _asked(self, server: str, name: str, kind: str) -> Found:
        """Return what a server says of a name: the authoritative one as it is now, a resolver as it has kept it."""
        now = self.sandbox.clock.now()
        if server == "authoritative":
            return self._known(name, kind, now, self._behind(name))
        until, kept = self.kept.get((server, name, kind), (0.0, None))
        if kept is not None and now < until:
            return kept
        lag = self.sandbox.switches.dns_lag_seconds if server == "lagging" else 0.0
        found = self._known(name, kind, now, lag, by_delegation=True)
        if found.code == dns.rcode.REFUSED:  # nobody in this world is responsible for it
            found = Found(dns.rcode.NXDOMAIN)
        elif found.code != dns.rcode.SERVFAIL:
            ttl = found.ttl if found.answer else self.sandbox.switches.dns_negative_ttl_seconds
            self.kept[server, name, kind] = (now + ttl, found)
        return found

    def _behind(self, name: str) -> float:
        """Return by how much this one of a domain's servers is behind the others, which show a change already."""
        parts = name.split(".")
        above = [".".join(parts[start:]) for start in range(len(parts))]
        fault = self.sandbox.faults.draw({"edge_differs"}, "cloudflare", "", above)
        return fault.seconds if fault else 0.0

    def _known(self, name: str, kind: str, now: float, lag: float = 0.0, *, by_delegation: bool = False) -> Found:
        """Return what the zones say of a name, of records that were published `lag` ago at least.

        `by_delegation` leaves out what lies on servers that nobody is led to. So does the question where a name is: it is
        asked of the servers above.
        """
        switches, seen = self.sandbox.switches, now - lag
        world, platforms = self.sandbox.world, self.sandbox.platforms.values()
        shown = (one for one in zones(world, platforms, now) if one.since <= seen < one.until)
        if by_delegation or kind == "NS":
            shown = (one for one in shown if is_led_to(world, one, seen))
        names = Names(shown, int(switches.dns_negative_ttl_seconds))
        zone = names.zone_of(name)
        if not zone:
            # Where a name is, the servers above it are asked, and they know that there is no such name.
            is_asked_above = kind == "NS" or name in world.registrar
            return Found(dns.rcode.NXDOMAIN if is_asked_above else dns.rcode.REFUSED)
        if zone in switches.dns_broken_zones.split():
            return Found(dns.rcode.SERVFAIL)
        return names.find(name, kind)

    def _fill(self, response: dns.message.Message, found: Found, *, authoritative: bool) -> None:
        response.set_rcode(found.code)
        if authoritative and found.zone:
            response.flags |= dns.flags.AA
        response.answer = list(found.answer)
        if found.zone and not any(one.rdtype != dns.rdatatype.CNAME for one in found.answer):
            negative = Names((), int(self.sandbox.switches.dns_negative_ttl_seconds))
            response.authority = [negative.soa(found.zone)]


def delegate(world: World, zone: str, servers: Iterable[str], at: float) -> None:
    """Let the servers above a domain name these for it from `at` on, as a change at its registrar does.

    What the domain's platform says of its name servers no longer counts then. Without servers it is delegated nowhere.
    """
    hosts = tuple(sorted({server.strip().lower().rstrip(".") for server in servers}))
    before = [version for version in world.delegations.get(zone, ()) if version[0] < at]
    world.delegations[zone] = [*before, (at, hosts)]


def delegation(world: World, zone: str, at: float) -> tuple[str, ...]:
    """Return the servers that the ones above name for a domain at a moment."""
    return next((hosts for since, hosts in reversed(world.delegations.get(zone, ())) if since <= at), ())


def is_led_to(world: World, record: ZoneRecord, at: float) -> bool:
    """Tell whether somebody who follows the delegation comes to where a record lies."""
    return not record.servers or set(record.servers) == set(delegation(world, record.zone, at))


def zones(world: World, platforms: Iterable[Platform], now: float) -> Iterable[ZoneRecord]:
    """Yield every record of the world at a moment; those that `dns_withheld_names` names are left out."""
    withheld, delegations = set(world.switches.dns_withheld_names.split()), world.delegations
    for record in (*BEYOND, *published(world, platforms, now), *delegating(world)):
        is_apex = record.type == "NS" and record.name == record.zone in delegations and not record.is_above
        if record.name not in withheld and not is_apex:
            yield record


def texts(world: World, name: str, now: float) -> list[str]:
    """Return the TXT records that somebody outside finds at a name now: he follows delegations and keeps nothing."""
    return lookup(world, name, "TXT", now)


def lookup(world: World, name: str, kind: str, now: float) -> list[str]:
    """Return the TXT, A or MX records that somebody outside finds at a name now, as `texts`; of MX the hosts alone."""
    from .core import all_platforms  # a platform asks this, and `core` knows all platforms

    switches, wanted = world.switches, dns.rdatatype.from_text(kind)
    shown = (one for one in zones(world, all_platforms(), now) if one.since <= now < one.until)
    names = Names((one for one in shown if is_led_to(world, one, now)), int(switches.dns_negative_ttl_seconds))
    if names.zone_of(name) in switches.dns_broken_zones.split() or switches.dns_authoritative != "answers":
        return []
    rows = [row for rows in names.find(name, kind).answer if rows.rdtype == wanted for row in rows]
    if kind == "TXT":
        return [b"".join(row.strings).decode() for row in rows]
    return [row.to_text().split()[-1].rstrip(".") for row in rows]


def delegating(world: World) -> Iterable[ZoneRecord]:
    """Yield the name servers of every domain that has been at its registrar, each version with its times."""
    for zone, versions in world.delegations.items():
        ends = [since for since, _ in versions[1:]]
        for (since, hosts), until in zip(versions, [*ends, math.inf], strict=True):
            yield from (ZoneRecord(zone, zone, "NS", h, since=since, until=until, is_above=True) for h in hosts)


def published(world: World, platforms: Iterable[Platform], now: float) -> Iterable[ZoneRecord]:
    """Yield what the platforms publish, and what lies beyond them of the names that people own."""
    for one in world.registrar.values():
        if set(delegation(world, one.name, now)) not in (set(), set(NAME_SERVERS)):
            yield from one.records
    for platform in platforms:
        yield from platform.records_of(world, now)


def _rrset(name: str, kind: str, records: Iterable[ZoneRecord]) -> dns.rrset.RRset:
    found = dns.rrset.RRset(dns.name.from_text(name), dns.rdataclass.IN, dns.rdatatype.from_text(kind))
    for row in records:
        with contextlib.suppress(dns.exception.DNSException, ValueError):  # what no server could load, none serves
            found.add(_data(row), row.ttl)
    return found


def _data(record: ZoneRecord) -> dns.rdata.Rdata:
    kind = dns.rdatatype.from_text(record.type)
    if record.type == "TXT":
        raw = record.value.encode()
        strings = [raw[start : start + MOST_STRING] for start in range(0, len(raw), MOST_STRING)] or [b""]
        return dns.rdtypes.ANY.TXT.TXT(dns.rdataclass.IN, kind, strings)
    value = record.value
    if record.type in ("MX", "CNAME", "NS", "PTR"):
        value = value.rstrip(".") + "."
    text = f"{record.priority} {value}" if record.type == "MX" else value
    return dns.rdata.from_text(dns.rdataclass.IN, kind, text)
