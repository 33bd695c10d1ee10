"""Names that people own beyond the platforms: where each of them leads, and what lies there.

Whoever owns a name changes its nameservers at a registrar. That is an act of a person, so tests and the control plane do it;
platforms are told afterwards by an event, and see it in DNS like everybody else.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from . import dns
from .dns import NAME_SERVERS, ZoneRecord

if TYPE_CHECKING:
    from .world import World

ELSEWHERE = ("ns1.registrar.example", "ns2.registrar.example")  # where a name leads of which nothing else is known
WATCHERS = ("infraforge",)  # platforms that wait for somebody's nameservers


@dataclass
class Registration:
    """A name that somebody owns. Where it leads, `dns.delegation` knows.

    records  what its old place answers while it does not lead to the simulated platforms
    """

    name: str
    records: list[ZoneRecord] = field(default_factory=list)


def register(
    world: World, name: str, *, nameservers: Sequence[str] = ELSEWHERE, mail_server: str = "", texts: Iterable[str] = ()
) -> Registration:
    """Let somebody own a name and have led it anywhere all along, nowhere without servers, and perhaps receive mail at it.

    What was there of it before is replaced.
    """
    old = [ZoneRecord(name, name, "TXT", text) for text in texts]
    if mail_server:
        old.append(ZoneRecord(name, name, "MX", mail_server))
    world.registrar[name] = Registration(name, old)
    world.delegations.pop(name, None)
    dns.delegate(world, name, nameservers, 0.0)
    return world.registrar[name]


def delegate(world: World, name: str, nameservers: Sequence[str], at: float) -> None:
    """Let the owner of a name change its nameservers, which the servers above it follow at a moment."""
    dns.delegate(world, name, nameservers, at)
    for platform in WATCHERS:
        world.schedule(at, platform, "delegated", name=name)


def leads_here(world: World, name: str, now: float) -> bool:
    """Tell whether a name leads to the simulated platforms."""
    return set(dns.delegation(world, name, now)) == set(NAME_SERVERS)


def snapshot(world: World, now: float) -> list[dict[str, Any]]:
    """Return every name with where it leads, as plain JSON."""
    return [{"name": name, "nameservers": list(dns.delegation(world, name, now))} for name in world.registrar]
