"""What InfraForge holds, and what happens to it by itself (platforms/infraforge.md, sections 4 and 6)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

from . import mailhost, registrar, salesforge, warmforge
from .clock import iso
from .dns import DKIM_KEY, NAME_SERVERS, ZoneRecord
from .seeds import fraction

if TYPE_CHECKING:
    from .world import World

NAME = "infraforge"
DAY, YEAR = 86_400.0, 365 * 86_400.0
MAIL_HOST = "forge-mail.example"
SPF_HOST = f"_spf.{MAIL_HOST}"
SHARED_IP = "198.18.255.254"  # of mail servers without an address of their own
SELECTOR = "default"
# How a record can be broken on purpose.
WAYS = ("missing", "wrong", "double")
KINDS = ("mx", "spf", "dkim", "dmarc")
UNPAID, OWNED = "not_paid", frozenset({"pending", "active"})


@dataclass
class Workspace:
    """A workspace. `ip` is its dedicated one, None while it has none or none yet."""

    id: str
    name: str
    mailserver: str
    created_at: float
    ip: str | None = None
    spare_ips: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Record:
    """A DNS record; `name` is the full host name."""

    name: str
    type: str
    value: str
    editable: bool = False


@dataclass
class Domain:
    """A domain of the account. `published` holds what public DNS shows, each version from its moment on.

    `origin` is "bought" or "transfer"; of the latter `nameservers_set` says whether its owner has changed them.
    """

    id: str
    name: str
    workspace_id: str
    created_at: float
    cents: int
    records: list[Record] = field(default_factory=list)
    published: list[tuple[float, tuple[Record, ...]]] = field(default_factory=list)
    broken: dict[str, str] = field(default_factory=dict)  # kind -> way, in public DNS only
    years: int = 1
    status: str = "pending"
    auto_renew: str = "disabled"
    failed_reason: str | None = None
    forward_to: str | None = None
    dmarc_email: str = ""
    origin: str = "bought"
    nameservers_set: bool = True
    active_at: float = 0.0

    @property
    def expires_at(self) -> float:
        return self.created_at + self.years * YEAR


@dataclass
class Mailbox:
    """A mailbox. Its first password opens nothing until one is set."""

    id: str
    domain_id: str
    domain: str
    email: str
    workspace_id: str
    first_name: str
    last_name: str
    created_at: float
    password: str
    password_set: bool = False
    status: str = "pending"
    forwarding_email: str | None = None
    signature: str = ""


@dataclass
class LedgerEntry:
    """A movement of the credits; `cents` is signed."""

    n: int
    at: float
    kind: str  # opening, domain, renewal, mailbox, ip, transfer, top_up
    cents: int
    what: str
    workspace_id: str = ""


@dataclass
class Order:
    """A purchase that waits for a card. Dropped when nobody pays."""

    id: str
    workspace_id: str
    cents: int
    at: float
    domains: dict[str, int]  # name -> cents
    dmarc_email: str = ""
    forward_to: str | None = None
    state: str = "unpaid"  # unpaid, paid, dropped


@dataclass
class Export:
    """One mailbox on its way to the other two."""

    n: int
    email: str
    mailbox_id: str
    at: float
    to: dict[str, str]  # platform -> workspace there
    tag: str
    warmup: bool
    arrived: list[str] = field(default_factory=list)
    done: bool = False


@dataclass
class Purchases:
    """How often a name was asked for in a purchase that reached the platform's work, and how often it was bought."""

    asked: int = 0
    bought: int = 0


@dataclass
class InfraForgeState:
    """What the platform holds."""

    workspaces: dict[str, Workspace] = field(default_factory=dict)
    domains: dict[str, Domain] = field(default_factory=dict)
    mailboxes: dict[str, Mailbox] = field(default_factory=dict)
    credits: int | None = None
    ledger: list[LedgerEntry] = field(default_factory=list)
    orders: dict[str, Order] = field(default_factory=dict)
    exports: list[Export] = field(default_factory=list)
    purchases: dict[str, Purchases] = field(default_factory=dict)
    taken: set[str] = field(default_factory=set)
    next_renewal: float = 0.0  # when something next falls due, at the earliest

    def domain_named(self, name: str) -> Domain | None:
        """Return the domain of this name, an owned one before one that is only listed."""
        same = [domain for domain in self.domains.values() if domain.name == name]
        return next((domain for domain in same if domain.status in OWNED), same[0] if same else None)

    def mailboxes_of(self, domain: Domain) -> list[Mailbox]:
        return [mailbox for mailbox in self.mailboxes.values() if mailbox.domain_id == domain.id]

    def mailbox_at(self, email: str) -> Mailbox | None:
        return next((mailbox for mailbox in self.mailboxes.values() if mailbox.email == email), None)


# Money


def balance(world: World, now: float) -> int:
    """Return the cents that can be spent."""
    state = world.infraforge
    if state.credits is None:
        state.credits = 0
        if world.switches.infraforge_credits == "set_up":
            move(world, "opening", world.switches.infraforge_credits_cents, "opening balance", now)
    return state.credits


def move(world: World, kind: str, cents: int, what: str, now: float, workspace_id: str = "") -> None:
    """Book `cents` (signed) to the credits."""
    state = world.infraforge
    held = balance(world, now)
    state.credits = held + cents
    state.ledger.append(LedgerEntry(len(state.ledger) + 1, now, kind, cents, what, workspace_id))


def top_up(world: World, cents: int, now: float) -> None:
    """Add to the credits, as a person does. Raises ValueError when they would fall below 0."""
    if balance(world, now) + cents < 0:
        raise ValueError("the credits cannot hold less than nothing")
    move(world, "top_up", cents, "top-up by the operator", now)


def price(world: World, verb: str, name: str) -> int:
    """Return the cents of one year as search or purchase see it."""
    cents = world.switches.infraforge_domain_price_cents
    changed = world.faults.hits("price_changed", NAME, verb, name)
    return cents + changed.amount if changed else cents


def is_taken(world: World, name: str) -> bool:
    """Whether somebody else owns a name at the registry."""
    switches = world.switches
    if name in world.registrar:
        return True
    if name in world.infraforge.taken or name in switches.infraforge_taken_names.split():
        return True
    return fraction(world.seed, "infraforge taken", name) < switches.infraforge_taken_share


# Workspaces


def make_workspace(world: World, name: str, attach_ip: bool, now: float) -> Workspace:
    """Make a workspace with a mail server of its own, and set its IP on its way when one is ordered."""
    made_id = f"ws_{world.hex_id('infraforge workspace', 12)}"
    server = f"mx{world.count('infraforge mail server')}.{MAIL_HOST}"
    made = Workspace(made_id, name, server, now, spare_ips=[new_ip(world)])
    world.infraforge.workspaces[made.id] = made
    if attach_ip:
        move(world, "ip", -world.switches.infraforge_ip_price_cents, f"dedicated IP of {name}", now, made.id)
        wait = world.uniform(world.switches.infraforge_ip_seconds, "infraforge ip", made.id)
        if wait:
            world.schedule(now + wait, NAME, "ip_attached", workspace=made.id)
        else:
            made.ip = new_ip(world)
    return made


def new_ip(world: World) -> str:
    """Return an address of the range that is kept for tests of network equipment."""
    number = world.count("infraforge ip")
    return f"198.18.{number // 250}.{number % 250 + 1}"


def use_ip(world: World, workspace: Workspace, ip: str, preserve_spf: bool, now: float) -> None:
    """Move a workspace to another IP. SPF that names the old one follows, unless it is to stay."""
    old, workspace.ip = workspace.ip, ip
    workspace.spare_ips = [one for one in workspace.spare_ips if one != ip] + ([old] if old else [])
    if preserve_spf and world.switches.infraforge_preserve_spf == "keeps":
        return
    for domain in world.infraforge.domains.values():
        if domain.workspace_id == workspace.id and domain.records:
            fresh = spf_text(world, workspace)
            rows = [replace(r, value=fresh) if kind_of(domain, r) == "spf" else r for r in domain.records]
            set_records(world, domain, rows, now)


# Domains


def add_domain(
    world: World, workspace: Workspace, name: str, cents: int, now: float, *, dmarc_email: str, forward_to: str | None
) -> Domain:
    """Register a name and set it to work; it ends active or failed."""
    made = Domain(f"dom_{world.hex_id('infraforge domain', 12)}", name, workspace.id, now, cents)
    made.dmarc_email, made.forward_to = dmarc_email, forward_to
    made.records = first_records(world, made, workspace)
    wait = world.uniform(world.switches.infraforge_dns_visible_seconds, "infraforge dns", name)
    made.published = [(now + wait, tuple(made.records))]
    state = world.infraforge
    state.domains[made.id] = made
    state.next_renewal = min(state.next_renewal, made.expires_at)
    wait = world.uniform(world.switches.infraforge_domain_active_seconds, "infraforge domain", name)
    wait += _slowness(world, "slow_domains", name)
    failing = world.faults.hits("failing_domains", NAME, "buy_domains", name)
    world.schedule(now + wait, NAME, "domain_ends", domain=made.id, failed=failing is not None)
    return made


def buy(world: World, order: Order, now: float) -> list[Domain]:
    """Charge every name and register it. A name that is owned already is paid for again: nothing there knows better."""
    state, made = world.infraforge, []
    for name, cents in order.domains.items():
        bought = state.purchases.setdefault(name, Purchases())
        move(world, "domain", -cents, name, now, order.workspace_id)
        bought.bought += 1
        owned = state.domain_named(name)
        if owned is not None and owned.status in OWNED:
            owned.years += 1  # what nobody may ever find in the ledger
            made.append(owned)
            continue
        workspace = state.workspaces[order.workspace_id]
        for row in [row for row in state.domains.values() if row.name == name and row.status == UNPAID]:
            del state.domains[row.id]
        made.append(
            add_domain(world, workspace, name, cents, now, dmarc_email=order.dmarc_email, forward_to=order.forward_to)
        )
    return made


def leave_unpaid(world: World, order: Order) -> list[Domain]:
    """Keep an order that a person would have to pay by card; return the rows that are listed for it."""
    state, rows = world.infraforge, []
    state.orders[order.id] = order
    world.schedule(order.at + world.switches.infraforge_order_drop_seconds, NAME, "order_drop", order=order.id)
    if world.switches.infraforge_checkout_rows == "unpaid":
        for name, cents in order.domains.items():
            if state.domain_named(name) is None:
                row = Domain(f"dom_{world.hex_id('infraforge domain', 12)}", name, order.workspace_id, order.at, cents)
                row.status = UNPAID
                state.domains[row.id] = row
                rows.append(row)
    return rows


def checkout_link(world: World, order_id: str) -> str:
    return f"{world.public_url}/#order-{order_id}"


def pay_order(world: World, order_id: str, now: float) -> None:
    """Pay an open order by card, as a person would at its address. Raises ValueError when it is not open."""
    order = world.infraforge.orders.get(order_id)
    if order is None or order.state != "unpaid":
        raise ValueError("no such open order")
    order.state = "paid"
    move(world, "top_up", order.cents, "paid by card", now)
    buy(world, order, now)


def bring_in(world: World, workspace: Workspace, name: str, dmarc_email: str, now: float) -> Domain:
    """Take in a domain that is registered elsewhere: pending until its owner has changed the nameservers."""
    made = Domain(f"dom_{world.hex_id('infraforge domain', 12)}", name, workspace.id, now, 0, origin="transfer")
    made.dmarc_email, made.nameservers_set = dmarc_email, False
    made.records = first_records(world, made, workspace)
    world.infraforge.domains[made.id] = made
    if name not in world.registrar and name not in world.delegations:
        registrar.register(world, name)
    if registrar.leads_here(world, name, now):
        _settle_delegation(world, made, now)
    elif world.switches.infraforge_owner_changes_nameservers == "by_itself":
        wait = world.uniform(world.switches.infraforge_owner_seconds, "infraforge owner", name)
        world.schedule(now + wait, NAME, "owner_acts", name=name)
    return made


def _settle_delegation(world: World, domain: Domain, now: float) -> None:
    """See where a domain's owner has led it: here, for the first time or again, or away from here."""
    leads_here = registrar.leads_here(world, domain.name, now)
    if leads_here == domain.nameservers_set:
        return
    domain.nameservers_set = leads_here
    if not leads_here or domain.status != "pending":
        return
    wait = world.uniform(world.switches.infraforge_transfer_seconds, "infraforge transfer", domain.name)
    domain.published = [(now + wait, tuple(domain.records))]
    world.schedule(now + wait, NAME, "domain_ends", domain=domain.id, failed=False)


def renew_due(world: World, now: float) -> None:
    """Let what is paid for run out or be renewed by the year from the credits."""
    state = world.infraforge
    if now < state.next_renewal:
        return
    for domain in state.domains.values():
        while domain.status == "active" and domain.expires_at <= now:
            _renew_or_expire(world, domain)
    dates = [domain.expires_at for domain in state.domains.values() if domain.status in OWNED]
    state.next_renewal = min(dates, default=now + YEAR)


def _renew_or_expire(world: World, domain: Domain) -> None:
    at, cents = domain.expires_at, price(world, "renewal", domain.name)
    if domain.auto_renew == "enabled" and balance(world, at) >= cents:
        move(world, "renewal", -cents, f"{domain.name}, another year", at, domain.workspace_id)
        domain.years += 1
        return
    domain.status = "expired"
    domain.auto_renew = "failed" if domain.auto_renew == "enabled" else domain.auto_renew


# DNS


def spf_text(world: World, workspace: Workspace) -> str:
    if world.switches.infraforge_spf == "include":
        return f"v=spf1 include:{SPF_HOST} -all"
    return f"v=spf1 {f'ip4:{workspace.ip}' if workspace.ip else 'mx'} -all"


def dmarc_text(policy: str, email: str) -> str:
    return f"v=DMARC1; p={policy}" + (f"; rua=mailto:{email}" if email else "")


def first_records(world: World, domain: Domain, workspace: Workspace) -> list[Record]:
    """Return the records that the vendor makes by itself."""
    return [
        Record(domain.name, "MX", f"10 {workspace.mailserver}"),
        Record(domain.name, "TXT", spf_text(world, workspace)),
        Record(f"{SELECTOR}._domainkey.{domain.name}", "TXT", f"v=DKIM1; k=rsa; p={DKIM_KEY}"),
        Record(f"_dmarc.{domain.name}", "TXT", dmarc_text("reject", domain.dmarc_email or f"dmarc@{MAIL_HOST}")),
    ]


def kind_of(domain: Domain, record: Record) -> str:
    """Return which of the four a record is, or an empty text."""
    if record.name == domain.name and record.type == "MX":
        return "mx"
    if record.name == domain.name and record.type == "TXT" and record.value.lower().startswith("v=spf1"):
        return "spf"
    if record.name.endswith(f"._domainkey.{domain.name}"):
        return "dkim"
    return "dmarc" if record.name == f"_dmarc.{domain.name}" else ""


def set_records(world: World, domain: Domain, records: Iterable[Record], now: float) -> None:
    """Replace the whole set; public DNS follows."""
    domain.records = list(records)
    at = now + world.switches.infraforge_dns_change_seconds
    if domain.published:  # what was on its way before is never seen after what comes later
        at = max(at, domain.published[-1][0])
    if domain.nameservers_set:
        domain.published = [*domain.published[-3:], (at, tuple(domain.records))]


def set_dmarc(world: World, domain: Domain, policy: str, email: str, now: float) -> None:
    """Put the DMARC record as asked; an empty word leaves its part as it is."""
    domain.dmarc_email = email or domain.dmarc_email
    known = [r.value for r in domain.records if kind_of(domain, r) == "dmarc"]
    held = dict(part.strip().split("=", 1) for part in known[0].split(";") if "=" in part) if known else {}
    rua = domain.dmarc_email or held.get("rua", "").removeprefix("mailto:")
    fresh = Record(f"_dmarc.{domain.name}", "TXT", dmarc_text(policy or held.get("p", "reject"), rua))
    rows = [fresh if kind_of(domain, r) == "dmarc" else r for r in domain.records]
    set_records(world, domain, rows if fresh in rows else [*rows, fresh], now)


def break_record(world: World, name: str, kind: str, way: str, now: float, *, where: str = "public") -> None:
    """Break one record of a domain, or mend it with an empty `way`. Raises ValueError.

    `where` "public" spoils what resolvers see and nothing else, as a fault at their nameservers would; "zone" changes
    the domain's own set, as a person in the dashboard would.
    """
    domain = world.infraforge.domain_named(name)
    if domain is None or kind not in KINDS or way not in ("", *WAYS) or where not in ("public", "zone"):
        raise ValueError(f"break one of {', '.join(KINDS)} of a domain as one of {', '.join(WAYS)}, or mend it")
    if where == "public":
        domain.broken = {one: how for one, how in {**domain.broken, kind: way}.items() if how}
        return
    workspace = world.infraforge.workspaces[domain.workspace_id]
    right = [r for r in first_records(world, domain, workspace) if kind_of(domain, r) == kind]
    others = [r for r in domain.records if kind_of(domain, r) != kind]
    set_records(world, domain, [*others, *(_spoiled(right, way) if way else right)], now)


def records_of(world: World, now: float) -> Iterator[ZoneRecord]:
    """Yield what public DNS holds for this platform, the versions before and after a change with their times.

    Nothing of a domain whose owner leads it elsewhere: what is there is asked of nobody.
    """
    for domain in world.infraforge.domains.values():
        if domain.status == "active" and domain.nameservers_set:
            yield from _records_of_domain(world, domain)
    for workspace in world.infraforge.workspaces.values():
        yield ZoneRecord(MAIL_HOST, workspace.mailserver, "A", workspace.ip or SHARED_IP)
    yield ZoneRecord(MAIL_HOST, SPF_HOST, "TXT", "v=spf1 ip4:198.18.0.0/16 -all")


def _records_of_domain(world: World, domain: Domain) -> Iterator[ZoneRecord]:
    if domain.origin != "transfer":  # the nameservers of those are their owners' affair
        yield from (ZoneRecord(domain.name, domain.name, "NS", host) for host in NAME_SERVERS)
    public = world.switches.infraforge_public_dns
    broken = {**(dict.fromkeys(KINDS, "wrong") if public == "wrong_value" else {}), **domain.broken}
    ends = [at for at, _ in domain.published[1:]]
    for (since, version), until in zip(domain.published, [*ends, math.inf], strict=True):
        records = list(version) if public != "not_visible" else []
        for kind, way in broken.items():
            mine = [r for r in records if kind_of(domain, r) == kind]
            records = [r for r in records if kind_of(domain, r) != kind] + _spoiled(mine, way)
        yield from (_zone_record(domain, record, since, until) for record in records)


def _zone_record(domain: Domain, record: Record, since: float, until: float) -> ZoneRecord:
    priority, _, host = record.value.partition(" ")
    since = max(since, domain.active_at)
    if record.type == "MX" and priority.isdecimal():
        return ZoneRecord(domain.name, record.name, "MX", host, int(priority), since=since, until=until)
    return ZoneRecord(domain.name, record.name, record.type, record.value, since=since, until=until)


_WRONG = {"MX": "10 mail.elsewhere.example"}


def _spoiled(records: list[Record], way: str) -> list[Record]:
    if way == "missing":
        return []
    wrong = [replace(record, value=_WRONG.get(record.type) or _wrong_text(record.value)) for record in records]
    return wrong if way == "wrong" else [*records, *wrong]


def _wrong_text(value: str) -> str:
    if value.startswith("v=spf1"):
        return "v=spf1 include:_spf.elsewhere.example ~all"
    return "v=DMARC1; p=none" if value.startswith("v=DMARC1") else "v=DKIM1; k=rsa; p="


# Mailboxes


def start_mailbox(world: World, mailbox: Mailbox, now: float) -> None:
    """Set a mailbox to work; it ends active or failed."""
    wait = world.uniform(world.switches.infraforge_mailbox_active_seconds, "infraforge mailbox", mailbox.email)
    wait += _slowness(world, "slow_mailboxes", mailbox.email)
    failing = world.faults.hits("failing_mailboxes", NAME, "create_mailboxes", mailbox.email)
    world.schedule(now + wait / 2, NAME, "mailbox_begins", mailbox=mailbox.id)
    world.schedule(now + wait, NAME, "mailbox_ends", mailbox=mailbox.id, failed=failing is not None)


def set_password(world: World, mailbox: Mailbox, password: str, now: float) -> None:
    """Let a password open a mailbox from now on, and no other one: before the first, logins are refused with 535."""
    mailbox.password, mailbox.password_set = password, True
    if mailbox.status == "active":
        mailhost.set_password(world, mailbox.email, password, now)


def remove_mailbox(world: World, mailbox: Mailbox) -> None:
    """Let a mailbox be gone."""
    del world.infraforge.mailboxes[mailbox.id]
    mailhost.remove(world, mailbox.email)


# Export


def start_export(
    world: World, mailboxes: Iterable[Mailbox], to: Mapping[str, str], tag: str, warmup: bool, now: float
) -> None:
    """Send mailboxes on their way; each arrives on its own, late, where the switch lets it."""
    state, switches = world.infraforge, world.switches
    for mailbox in mailboxes:
        repeated = any(export.email == mailbox.email and export.to == dict(to) for export in state.exports)
        if repeated and switches.infraforge_repeated_export == "nothing":
            continue
        export = Export(world.count("infraforge export"), mailbox.email, mailbox.id, now, dict(to), tag, warmup)
        state.exports.append(export)
        wait = world.uniform(switches.infraforge_export_seconds, "infraforge export", mailbox.email, export.n)
        wait += _slowness(world, "slow_export", mailbox.email)
        world.schedule(now + wait, NAME, "export_due", export=export.n)


def _export_due(world: World, data: dict[str, Any], now: float) -> None:
    """One mailbox reaches the platforms it was sent to, or silently does not."""
    export = next(export for export in world.infraforge.exports if export.n == data["export"])
    export.done = True
    mailbox, lands = world.infraforge.mailboxes.get(export.mailbox_id), world.switches.infraforge_export_lands
    if mailbox is None or lands == "never":
        return
    if world.faults.hits("export_incomplete", NAME, "export_to_salesforge", mailbox.email):
        return
    whom = {"address": mailbox.email, "first_name": mailbox.first_name, "last_name": mailbox.last_name}
    warmup = export.warmup and world.switches.infraforge_export_warmup == "as_asked"
    sending, warming = (
        export.to.get(name) if lands in ("both", name) else None for name in ("salesforge", "warmforge")
    )
    if sending and salesforge.arrive(world, now, workspace_id=sending, tag=export.tag, **whom):
        export.arrived.append("salesforge")
    if warming and warmforge.arrive(world, now, workspace_id=warming, warmup_on=warmup, **whom):
        export.arrived.append("warmforge")


# What happens by itself


def on_event(world: World, kind: str, data: dict[str, Any], now: float) -> None:
    """Let one scheduled thing happen."""
    EVENTS[kind](world, data, now)


def _ip_attached(world: World, data: dict[str, Any], now: float) -> None:
    workspace = world.infraforge.workspaces.get(data["workspace"])
    if workspace is not None and workspace.ip is None:
        use_ip(world, workspace, new_ip(world), False, now)


def _domain_ends(world: World, data: dict[str, Any], now: float) -> None:
    domain = world.infraforge.domains.get(data["domain"])
    if domain is None or domain.status != "pending":
        return
    domain.status = "failed" if data["failed"] else "active"
    domain.failed_reason = "The registry refused the registration" if data["failed"] else None
    domain.active_at = now


def _order_drop(world: World, data: dict[str, Any], now: float) -> None:
    state, order = world.infraforge, world.infraforge.orders[data["order"]]
    if order.state != "unpaid":
        return
    order.state = "dropped"
    for row in [row for row in state.domains.values() if row.status == UNPAID and row.name in order.domains]:
        del state.domains[row.id]


def _mailbox_begins(world: World, data: dict[str, Any], now: float) -> None:
    mailbox = world.infraforge.mailboxes.get(data["mailbox"])
    if mailbox is not None and mailbox.status == "pending":
        mailbox.status = "processing"


def _mailbox_ends(world: World, data: dict[str, Any], now: float) -> None:
    mailbox = world.infraforge.mailboxes.get(data["mailbox"])
    if mailbox is not None:
        mailbox.status = "failed" if data["failed"] else "active"
        if mailbox.password_set or world.switches.infraforge_first_login == "works":
            set_password(world, mailbox, mailbox.password, now)


def _delegated(world: World, data: dict[str, Any], now: float) -> None:
    domain = world.infraforge.domain_named(data["name"])
    if domain is not None and domain.origin == "transfer":
        _settle_delegation(world, domain, now)


def _owner_acts(world: World, data: dict[str, Any], now: float) -> None:
    if not registrar.leads_here(world, data["name"], now):
        registrar.delegate(world, data["name"], NAME_SERVERS, now)


EVENTS: dict[str, Callable[[World, dict[str, Any], float], None]] = {
    "delegated": _delegated,
    "owner_acts": _owner_acts,
    "ip_attached": _ip_attached,
    "domain_ends": _domain_ends,
    "order_drop": _order_drop,
    "mailbox_begins": _mailbox_begins,
    "mailbox_ends": _mailbox_ends,
    "export_due": _export_due,
}


def _slowness(world: World, kind: str, item: str) -> float:
    fault = world.faults.hits(kind, NAME, "", item)
    return fault.seconds if fault else 0.0


# For people and tests


def snapshot(world: World, now: float) -> dict[str, Any]:
    """Return everything but passwords."""
    state = world.infraforge
    renew_due(world, now)
    return {
        "workspaces": [asdict(workspace) for workspace in state.workspaces.values()],
        "domains": [_domain_snapshot(domain) for domain in state.domains.values()],
        "mailboxes": [
            {name: value for name, value in asdict(box).items() if name != "password"}
            for box in state.mailboxes.values()
        ],
        "credits": balance(world, now),
        "ledger": [asdict(entry) for entry in state.ledger],
        "purchases": {name: asdict(count) for name, count in state.purchases.items()},
        "orders": [asdict(order) for order in state.orders.values()],
        "exports": [asdict(export) for export in state.exports],
    }


def _domain_snapshot(domain: Domain) -> dict[str, Any]:
    row = {name: value for name, value in asdict(domain).items() if name != "published"}
    return {**row, "auto_renew": domain.auto_renew == "enabled", "expires_on": iso(domain.expires_at)}
