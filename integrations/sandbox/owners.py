"""What people who own domains do elsewhere: the names that wait for their owner, and the change of name servers."""

from __future__ import annotations

from . import dns, registrar
from .world import World


def waiting(world: World, now: float) -> dict[str, tuple[str, ...]]:
    """Return the names that some platform waits for, and the name servers that it has named."""
    found: dict[str, tuple[str, ...]] = {
        domain.name: dns.NAME_SERVERS
        for domain in world.infraforge.domains.values()
        if domain.origin == "transfer" and not domain.nameservers_set
    }
    for zone in world.cloudflare.zones.values():
        if zone.status == "pending" and set(dns.delegation(world, zone.name, now)) != set(zone.name_servers):
            found[zone.name] = zone.name_servers
    return found


def change_nameservers(world: World, name: str, now: float) -> None:
    """Let the owner of a domain do as asked. Raises ValueError for a domain that waits for nothing."""
    servers = waiting(world, now).get(name)
    if servers is None:
        raise ValueError("no such domain waits for its nameservers")
    registrar.delegate(world, name, servers, now)
