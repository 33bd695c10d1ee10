"""What Cloudflare holds, and what happens to it by itself (platforms/cloudflare.md, sections 4 and 6)."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from . import dns
from .dns import ZoneRecord

if TYPE_CHECKING:
    from .world import World

NAME = "cloudflare"
ACCOUNT = "5a4db0c05a4db0c05a4db0c05a4db0c0"
OTHER_ACCOUNT = "0e5e0e5e0e5e0e5e0e5e0e5e0e5e0e5e"
MINUTE, HOUR, DAY = 60.0, 3600.0, 86_400.0
FIRST_CHECK, LONGEST_GAP = 60.0, 6 * HOUR
PENDING_LIFE, MOVED_LIFE, DELETED_LIFE = 28 * DAY, 7 * DAY, 7 * DAY
AUTOMATIC_TTL = 300
WOMEN = ("ada", "dana", "elle", "fay", "gina", "iris", "june", "kate", "lara", "mona", "nora", "vera")
MEN = ("bob", "carl", "dirk", "ed", "finn", "greg", "hank", "ivan", "jay", "karl", "leo", "norm")
HOSTS = frozenset({"CNAME", "MX", "NS", "PTR"})


@dataclass
class Record:
    """A record as it was sent: `content` of a text with or without quotes."""

    id: str
    type: str
    name: str
    content: str
    ttl: int
    created_at: float
    modified_at: float
    priority: int | None = None
    comment: str | None = None
    proxied: bool = False

    @property
    def value(self) -> str:
        """What a name server says."""
        if self.type == "TXT":
            return plain_text(self.content)
        return self.content.lower().rstrip(".") if self.type in HOSTS else self.content

    @property
    def identity(self) -> tuple[str, str, str, int | None]:
        return (self.type, self.name, self.value, self.priority)


@dataclass
class Zone:
    """A zone. `published` holds what the edge shows, each version from its moment on."""

    id: str
    name: str
    name_servers: tuple[str, str]
    created_at: float
    account_id: str = ACCOUNT
    status: str = "pending"  # pending, active, moved, deleted
    since: float = 0.0  # of the status
    activated_at: float | None = None
    checked_at: float | None = None  # by request
    original_name_servers: tuple[str, ...] = ()
    records: list[Record] = field(default_factory=list)
    published: list[tuple[float, tuple[Record, ...]]] = field(default_factory=list)


@dataclass
class CloudflareState:
    """What the platform holds."""

    zones: dict[str, Zone] = field(default_factory=dict)
    blocked_until: float = -math.inf

    def zone_named(self, name: str) -> Zone | None:
        return next((zone for zone in self.zones.values() if zone.name == name and zone.status != "deleted"), None)

    def listed(self) -> list[Zone]:
        """Return the zones of the operator's account."""
        return [zone for zone in self.zones.values() if zone.status != "deleted" and zone.account_id == ACCOUNT]


_STRING = re.compile(r'"((?:[^"\\]|\\.)*)"\s*', re.DOTALL)


def plain_text(content: str) -> str:
    """Return the text of quoted strings as a name server keeps it; what is not quoted is taken as it is."""
    text, at = "", 0
    while found := _STRING.match(content, at):
        text, at = text + re.sub(r"\\(\d{3}|.)", _unescaped, found[1]), found.end()
    if at == 0 or at != len(content):
        return content
    return text.encode("latin-1", "ignore").decode("utf-8", "replace")


def _unescaped(found: re.Match[str]) -> str:
    return chr(int(found[1])) if found[1].isdecimal() and len(found[1]) == 3 else found[1]


# Zones


def add_zone(world: World, name: str, now: float, account_id: str = ACCOUNT) -> Zone:
    """Make a zone with a pair of name servers of its own: another one each time, also for the same name."""
    known = dns.delegation(world, name, now)
    zone = Zone(world.hex_id("cloudflare zone", 32), name, _new_pair(world, name), now, account_id, since=now)
    zone.original_name_servers = known
    world.cloudflare.zones[zone.id] = zone
    publish(world, zone, now)
    world.schedule(now + FIRST_CHECK, NAME, "check", zone=zone.id, gap=FIRST_CHECK)
    world.schedule(now + PENDING_LIFE, NAME, "expires", zone=zone.id, status="pending", since=now)
    return zone


def _new_pair(world: World, name: str) -> tuple[str, str]:
    earlier = {zone.name_servers for zone in world.cloudflare.zones.values() if zone.name == name}
    while True:
        number = int(world.hex_id("cloudflare pair", 8), 16)
        woman, man = WOMEN[number % len(WOMEN)], MEN[number // len(WOMEN) % len(MEN)]
        pair = (f"{woman}.ns.cloudflare.com", f"{man}.ns.cloudflare.com")
        if pair not in earlier:
            return pair


def delete_zone(world: World, zone: Zone, now: float) -> None:
    """Delete a zone; for seven days it is only out of sight."""
    _become(zone, "deleted", now)
    world.schedule(now + DELETED_LIFE, NAME, "expires", zone=zone.id, status="deleted", since=now)


def look(world: World, zone: Zone, now: float) -> None:
    """Compare a zone with what the servers above the domain say."""
    leads_here = set(dns.delegation(world, zone.name, now)) == set(zone.name_servers)
    if leads_here and zone.status in ("pending", "moved"):
        _become(zone, "active", now)
        zone.activated_at = zone.activated_at or now
    elif not leads_here and zone.status == "active":
        _become(zone, "moved", now)
        world.schedule(now + MOVED_LIFE, NAME, "expires", zone=zone.id, status="moved", since=now)


def _become(zone: Zone, status: str, now: float) -> None:
    zone.status, zone.since = status, now


def on_event(world: World, kind: str, data: dict[str, Any], now: float) -> None:
    """Let one scheduled thing happen."""
    zone = world.cloudflare.zones.get(data["zone"])
    if zone is None:
        return
    if kind == "check":
        if zone.status != "deleted":
            look(world, zone, now)
            gap = min(2 * data["gap"], LONGEST_GAP)
            world.schedule(now + gap, NAME, "check", zone=zone.id, gap=gap)
    elif (zone.status, zone.since) == (data["status"], data["since"]):
        if zone.status == "deleted":
            del world.cloudflare.zones[zone.id]
        else:
            delete_zone(world, zone, now)


# DNS


def publish(world: World, zone: Zone, now: float) -> None:
    """Let the edge show what the zone holds now; a version that was on its way is never seen after a later one."""
    wait = world.uniform(world.switches.cloudflare_edge_seconds, "cloudflare edge", zone.id, len(zone.published))
    slow = world.faults.draw({"slow_edge"}, NAME, "batch_records", (zone.name, zone.id))
    at = now + wait + (slow.seconds if slow else 0.0)
    if zone.published:
        at = max(at, zone.published[-1][0])
    zone.published = [*zone.published[-3:], (at, tuple(zone.records))]


def records_of(world: World, now: float) -> Iterator[ZoneRecord]:
    """Yield what the assigned name servers hold, also of zones that nobody is led to yet."""
    for zone in world.cloudflare.zones.values():
        if zone.status == "deleted":
            continue
        hosts = zone.name_servers
        yield from (
            ZoneRecord(zone.name, zone.name, "NS", host, since=zone.created_at, servers=hosts) for host in hosts
        )
        ends = [at for at, _ in zone.published[1:]]
        for (since, version), until in zip(zone.published, [*ends, math.inf], strict=True):
            for one in version:
                yield ZoneRecord(
                    zone.name,
                    one.name,
                    one.type,
                    one.value,
                    priority=one.priority or 0,
                    ttl=AUTOMATIC_TTL if one.ttl == 1 else one.ttl,
                    since=since,
                    until=until,
                    servers=hosts,
                )


# For people and tests


def put_record(world: World, domain: str, kind: str, owner: str, content: str, now: float) -> Record:
    """Let whoever owns a domain write a record in the dashboard; a zone is made in the operator's account if need be."""
    zone = world.cloudflare.zone_named(domain) or add_zone(world, domain, now)
    made = Record(world.hex_id("cloudflare record", 32), kind, owner, content, 300, now, now)
    zone.records.append(made)
    publish(world, zone, now)
    return made


def snapshot(world: World, now: float) -> dict[str, Any]:
    """Return every zone with its records."""
    return {"zones": [_row(zone) for zone in world.cloudflare.zones.values()]}


def _row(zone: Zone) -> dict[str, Any]:
    return {name: value for name, value in asdict(zone).items() if name != "published"}


def holds_elsewhere(world: World, names: Iterable[str]) -> set[str]:
    """Return those names that another account has a zone of."""
    held = set(world.switches.cloudflare_held_names.split())
    return {name for name in names if name in held}
