"""What GoDaddy holds, and what happens to it by itself (platforms/godaddy.md, sections 4 and 6)."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from . import dns

if TYPE_CHECKING:
    from .world import World

NAME = "godaddy"
YEAR = 365 * 86_400.0
OWN_SERVERS = ("ns01.domaincontrol.com", "ns02.domaincontrol.com")


@dataclass
class Domain:
    """A name of the account."""

    name: str
    status: str
    created_at: float
    nameservers: tuple[str, ...] = OWN_SERVERS
    auto_renew: bool = True
    years: int = 1
    account: str = ""

    @property
    def expires_at(self) -> float:
        return self.created_at + self.years * YEAR


@dataclass
class Quote:
    """A quote of v3. `order` is what the registration must repeat."""

    token: str
    order: dict[str, Any]
    cents: int
    fees: list[dict[str, Any]]
    expires_at: float
    used: bool = False


@dataclass
class Operation:
    """Something under way."""

    id: str
    registration_id: str
    kind: str
    domain: str
    created_at: float
    status: str = "CONFIRMED"
    cents: int = 0
    problem: str = ""
    order_id: str = ""
    want: dict[str, Any] = field(default_factory=dict)
    account: str = ""


@dataclass
class GodaddyState:
    """What the platform holds. `charges` has a row (moment, name, cents) for each time somebody paid.

    tokens  the account that each further credential opens, a token or `key:secret`; the operator's is ""
    asking  the account of the request that is being answered
    """

    tokens: dict[str, str] = field(default_factory=dict)
    asking: str = ""

    domains: dict[str, Domain] = field(default_factory=dict)
    quotes: dict[str, Quote] = field(default_factory=dict)
    operations: dict[str, Operation] = field(default_factory=dict)
    keys: dict[str, tuple[str, str]] = field(default_factory=dict)  # key -> body, operation
    charges: list[tuple[float, str, int]] = field(default_factory=list)
    spent: int = 0


def is_taken(world: World, name: str) -> bool:
    """Whether somebody has a name at the registry, ourselves included."""
    return name in world.godaddy.domains or name in world.switches.godaddy_taken_names.split()


def is_premium(world: World, name: str) -> bool:
    return name in world.switches.godaddy_premium_names.split()


def price(world: World, name: str) -> int:
    """Return the cents of the first year."""
    changed = world.faults.hits("price_changed", NAME, "quote", name)
    cents = world.switches.godaddy_price_cents * (100 if is_premium(world, name) else 1)
    return cents + (changed.amount if changed else 0)


def start(world: World, kind: str, domain: str, now: float, **want: Any) -> Operation:
    """Begin an operation; it executes, and ends completed or failed. A fault may let it execute for ever."""
    made = Operation(world.uuid("godaddy operation"), world.uuid("godaddy registration"), kind, domain, now, want=want)
    made.account = world.godaddy.asking
    world.godaddy.operations[made.id] = made
    wait = world.uniform(world.switches.godaddy_operation_seconds, "godaddy operation", made.id)
    world.schedule(now + wait / 2, NAME, "executing", operation=made.id)
    if not world.faults.draw({"stuck"}, NAME, kind, (domain,)):
        world.schedule(now + wait, NAME, "ends", operation=made.id)
    return made


def charge(world: World, name: str, cents: int, now: float) -> None:
    world.godaddy.charges.append((now, name, cents))


def own(
    world: World, name: str, now: float, status: str, servers: tuple[str, ...], auto_renew: bool, account: str = ""
) -> None:
    """Let the account have a name; one that it has already runs on for another year."""
    held = world.godaddy.domains.get(name)
    if held is not None:
        held.years += 1
        return
    world.godaddy.domains[name] = Domain(name, status, now, servers or OWN_SERVERS, auto_renew, account=account)
    dns.delegate(world, name, servers or OWN_SERVERS, now)


def lead(world: World, domain: Domain, servers: tuple[str, ...], now: float) -> None:
    """Change the name servers of a name; the servers above it follow later."""
    domain.nameservers = servers
    wait = world.uniform(world.switches.godaddy_nameserver_seconds, "godaddy servers", domain.name, now)
    dns.delegate(world, domain.name, servers, now + wait)


def on_event(world: World, kind: str, data: dict[str, Any], now: float) -> None:
    """Let one scheduled thing happen."""
    if kind == "active":
        domain = world.godaddy.domains.get(data["domain"])
        if domain is not None and domain.status == "PENDING_SETUP":
            domain.status = world.switches.godaddy_v1_status
        return
    one = world.godaddy.operations[data["operation"]]
    if kind == "executing":
        one.status = "EXECUTING" if one.status == "CONFIRMED" else one.status
    else:
        _end(world, one, now)


def _end(world: World, one: Operation, now: float) -> None:
    domain = world.godaddy.domains.get(one.domain)
    one.status = "COMPLETED"
    if one.kind == "REGISTER":
        for fault, problem in (("declined", "BILLING_DECLINED"), ("registry_taken", "DOMAIN_NOT_AVAILABLE")):
            if world.faults.draw({fault}, NAME, "register", (one.domain,)):
                one.status, one.problem = "FAILED", problem
                return
        one.order_id = str(world.count("godaddy order") + 500_000_000)
        charge(world, one.domain, one.cents, now)
        servers, renews = tuple(one.want["nameservers"]), bool(one.want["auto_renew"])
        own(world, one.domain, now, "ACTIVE", servers, renews, one.account)
    elif domain is not None and one.kind == "UPDATE_NAMESERVERS":
        lead(world, domain, tuple(one.want["nameservers"]), now)
    elif domain is not None:
        domain.auto_renew = one.want["auto_renew"]


def snapshot(world: World, now: float) -> dict[str, Any]:
    """Return names, operations and charges; no tokens."""
    state = world.godaddy
    return {
        "domains": [asdict(domain) for domain in state.domains.values()],
        "operations": [asdict(one) for one in state.operations.values()],
        "charges": [{"at": at, "domain": name, "cents": cents} for at, name, cents in state.charges],
    }
