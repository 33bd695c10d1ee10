"""What Zapmail holds, and what happens to it by itself (platforms/zapmail.md, sections 4 and 6)."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from . import plusvibe
from .clock import iso
from .deliveries import Delivery
from .seeds import fraction

if TYPE_CHECKING:
    from .world import World

NAME = "zapmail"
PRIMARY = "0b6e0000-0000-4000-a000-000000000001"
WEBHOOK_GAPS = (60.0, 300.0, 900.0, 3600.0, 10_800.0, 21_600.0, 43_200.0, 86_400.0)
WEBHOOK_FAILURES = 20
PREMIUM_CENTS = 249_900
MONTH, YEAR = 30 * 86_400.0, 365 * 86_400.0
SLOT_CENTS = {
    "Starter": {"monthly": 350, "quarterly": 975, "yearly": 3900},
    "Growth": {"monthly": 325, "quarterly": 900, "yearly": 3300},
    "Pro": {"monthly": 300, "quarterly": 810, "yearly": 3000},
}
PROVIDERS = ("GOOGLE", "MICROSOFT")


@dataclass
class Workspace:
    """`slots` are the bought mailboxes that have landed, `slots_coming` those paid for and still on their way.

    `landings` says when how many of them landed, for counters that lag.
    """

    id: str
    name: str
    created_at: float
    updated_at: float
    billing: dict[str, Any] = field(default_factory=dict)
    slots: int = 0
    slots_coming: int = 0
    plan: str = ""
    landings: tuple[tuple[float, int], ...] = ()

    def slots_at(self, moment: float) -> int:
        """Return how many slots had landed by a moment."""
        return self.slots - sum(quantity for at, quantity in self.landings if at > moment)


@dataclass
class Domain:
    """A domain the account owns."""

    id: str
    name: str
    workspace_id: str
    provider: str
    created_at: float
    updated_at: float
    cents: int
    years: int
    status: str = "PENDING"
    dmarc_email: str | None = None
    dmarc_added: bool = False
    auto_renew: bool = True
    mailboxes_asked_at: float | None = None
    dns_at: float = 0.0  # since when its records are published

    @property
    def expires_at(self) -> float:
        return self.created_at + self.years * YEAR


@dataclass
class Mailbox:
    """A mailbox. The list shows `password` and `app_password`, as the service does."""

    id: str
    domain_id: str
    domain: str
    workspace_id: str
    username: str
    first_name: str
    last_name: str
    provider: str
    created_at: float
    app_password: str
    password: str
    status: str = "IN_PROGRESS"
    active_at: float | None = None
    attempts: int = 1
    scheduled_for_removal: bool = False
    months: int = 1

    @property
    def email(self) -> str:
        return f"{self.username}@{self.domain}"

    @property
    def paid_until(self) -> float:
        return self.created_at + self.months * MONTH


@dataclass
class LedgerEntry:
    """A movement of a wallet; `cents` is signed."""

    n: int
    at: float
    wallet: str
    kind: str  # opening, domain, renewal, refund, slots, top_up
    cents: int
    what: str
    workspace_id: str = ""


@dataclass
class Order:
    """Something that waits for a person to pay a link. Dropped when nobody does."""

    id: str
    kind: str  # domains, plan, top_up
    workspace_id: str
    provider: str
    cents: int
    at: float
    domains: dict[str, int] = field(default_factory=dict)  # name -> years
    plan: str = ""
    state: str = "unpaid"  # unpaid, paid, dropped


@dataclass
class Sender:
    """A login of a sending tool, kept for exports."""

    id: str
    workspace_id: str
    app: str
    email: str
    password: str
    created_at: float = 0.0


@dataclass
class Export:
    """One export job."""

    id: int
    workspace_id: str
    sender_id: str
    mailbox_ids: list[str]
    at: float
    open_ids: list[str] = field(default_factory=list)
    arrived_ids: list[str] = field(default_factory=list)
    status: str = "in_progress"
    failure_reason: str | None = None


@dataclass
class Endpoint:
    """Where webhooks go."""

    id: str
    url: str
    events: list[str]
    secret: str
    enabled: bool = True
    failures: int = 0


@dataclass
class Purchases:
    """How often a name was asked for in a purchase that reached the platform's work, and how often it was bought."""

    asked: int = 0
    bought: int = 0
    refunded: int = 0


@dataclass
class ZapmailState:
    """What the platform holds."""

    workspaces: dict[str, Workspace] = field(
        default_factory=lambda: {PRIMARY: Workspace(PRIMARY, "Operator", 0.0, 0.0)},
    )
    domains: dict[str, Domain] = field(default_factory=dict)
    mailboxes: dict[str, Mailbox] = field(default_factory=dict)
    wallets: dict[str, int] = field(default_factory=dict)
    ledger: list[LedgerEntry] = field(default_factory=list)
    orders: dict[str, Order] = field(default_factory=dict)
    senders: dict[str, Sender] = field(default_factory=dict)
    exports: dict[int, Export] = field(default_factory=dict)
    endpoints: dict[str, Endpoint] = field(default_factory=dict)
    purchases: dict[str, Purchases] = field(default_factory=dict)
    taken: set[str] = field(default_factory=set)
    last_top_up_link: float | None = None
    next_renewal: float = 0.0  # when something next falls due, at the earliest

    def domain_named(self, name: str) -> Domain | None:
        return next((domain for domain in self.domains.values() if domain.name == name), None)

    def mailboxes_of(self, domain: Domain) -> list[Mailbox]:
        return [mailbox for mailbox in self.mailboxes.values() if mailbox.domain_id == domain.id]

    def free_slots(self, workspace: Workspace) -> int:
        return workspace.slots - sum(m.workspace_id == workspace.id for m in self.mailboxes.values())


# Money


def wallet_name(world: World, workspace_id: str) -> str:
    return workspace_id if world.switches.zapmail_wallet == "workspace" else "account"


def balance(world: World, workspace_id: str, now: float) -> int:
    """Return the cents in the wallet that pays for a workspace."""
    _open_wallet(world, workspace_id, now)
    return world.zapmail.wallets[wallet_name(world, workspace_id)]


def move(world: World, workspace_id: str, kind: str, cents: int, what: str, now: float) -> None:
    """Book `cents` (signed) to the wallet that pays for a workspace."""
    _open_wallet(world, workspace_id, now)
    _book(world, workspace_id, kind, cents, what, now)


def _open_wallet(world: World, workspace_id: str, now: float) -> None:
    """Make a wallet at its first use. A workspace's own one starts empty."""
    name = wallet_name(world, workspace_id)
    if name not in world.zapmail.wallets:
        world.zapmail.wallets[name] = 0
        if name in ("account", PRIMARY):
            _book(world, workspace_id, "opening", world.switches.zapmail_wallet_cents, "opening balance", now)


def _book(world: World, workspace_id: str, kind: str, cents: int, what: str, now: float) -> None:
    state, name = world.zapmail, wallet_name(world, workspace_id)
    state.wallets[name] += cents
    state.ledger.append(LedgerEntry(len(state.ledger) + 1, now, name, kind, cents, what, workspace_id))


def top_up(world: World, cents: int, now: float, workspace_id: str = "") -> None:
    """Add to a wallet; to every wallet when no workspace is named. Raises ValueError when one would fall below 0."""
    targets = [workspace_id] if workspace_id else list(world.zapmail.workspaces)
    wallets = {wallet_name(world, target): target for target in targets}
    if any(balance(world, target, now) + cents < 0 for target in wallets.values()):
        raise ValueError("a wallet cannot hold less than nothing")
    for target in wallets.values():
        move(world, target, "top_up", cents, "top-up by the operator", now)


# Names and prices


def is_taken(world: World, name: str) -> bool:
    """Whether somebody else owns a name at the registry."""
    switches = world.switches
    if name in world.zapmail.taken or name in switches.zapmail_taken_names.split():
        return True
    return fraction(world.seed, "taken", name) < switches.zapmail_taken_share


def price(world: World, verb: str, name: str) -> int:
    """Return the cents of one year as search or purchase see it."""
    cents = PREMIUM_CENTS if is_premium(world, name) else world.switches.zapmail_domain_price_cents
    changed = world.faults.hits("price_changed", NAME, verb, name)
    return cents + changed.amount if changed else cents


def is_premium(world: World, name: str) -> bool:
    return name in world.switches.zapmail_premium_names.split()


def slot_price(world: World) -> int:
    return SLOT_CENTS[world.switches.zapmail_plan][world.switches.zapmail_billing_cycle]


# What is bought


def buy(world: World, order: Order, cents: Mapping[str, int], now: float) -> None:
    """Charge every name, register what is free, refund later what is not. Nothing asks the registry before charging."""
    state = world.zapmail
    for name, years in order.domains.items():
        bought = state.purchases.setdefault(name, Purchases())
        move(world, order.workspace_id, "domain", -cents[name], name, now)
        if is_taken(world, name) or world.faults.hits("domain_taken", NAME, "buy_domains", name):
            state.taken.add(name)
            wait = world.uniform(world.switches.zapmail_refund_seconds, "refund", name)
            world.schedule(now + wait, NAME, "refund", name=name, cents=cents[name], workspace=order.workspace_id)
            continue
        bought.bought += 1
        owned = state.domain_named(name)
        if owned is not None:  # paid for again, another year: what nobody may ever find in the ledger
            owned.years += years
            continue
        domain_id = world.uuid("zapmail domain")
        made = Domain(domain_id, name, order.workspace_id, order.provider, now, now, cents[name], years)
        made.auto_renew = world.switches.zapmail_auto_renew != "off"
        state.domains[domain_id] = made
        state.next_renewal = min(state.next_renewal, made.expires_at)
        wait = world.uniform(world.switches.zapmail_domain_active_seconds, "domain active", name)
        wait += _slowness(world, "slow_domains", name)
        world.schedule(now + wait, NAME, "domain_active", domain=domain_id)


def renew_due(world: World, now: float) -> None:
    """Let what is paid for run out or be renewed: domains by the year from the wallet, mailboxes by the month."""
    state = world.zapmail
    if now < state.next_renewal:
        return
    for domain in list(state.domains.values()):
        while domain.status != "EXPIRED" and domain.expires_at <= now:
            _renew_or_expire(world, domain)
    for box in list(state.mailboxes.values()):
        while box.id in state.mailboxes and box.paid_until <= now:
            if box.scheduled_for_removal:
                del state.mailboxes[box.id]
            box.months += 1
    dates = [domain.expires_at for domain in state.domains.values() if domain.status != "EXPIRED"]
    state.next_renewal = min([*dates, *(box.paid_until for box in state.mailboxes.values())], default=now + MONTH)


def _renew_or_expire(world: World, domain: Domain) -> None:
    state, cents = world.zapmail, price(world, "renewal", domain.name)
    if domain.auto_renew and balance(world, domain.workspace_id, domain.expires_at) >= cents:
        move(world, domain.workspace_id, "renewal", -cents, f"{domain.name}, another year", domain.expires_at)
        domain.years += 1
        return
    domain.status = "EXPIRED"
    for box in state.mailboxes_of(domain):
        del state.mailboxes[box.id]
    if world.switches.zapmail_expired_domain == "gone":
        del state.domains[domain.id]


def set_auto_renew(world: World, name: str, on: bool) -> None:
    """Switch a domain's renewal, as a person does in the dashboard: no call for it is documented. Raises ValueError."""
    domain = world.zapmail.domain_named(name)
    if domain is None:
        raise ValueError("no such domain")
    domain.auto_renew = on


def leave_unpaid(world: World, order: Order) -> str:
    """Keep an order that a person would have to pay by link, and return the link."""
    world.zapmail.orders[order.id] = order
    world.schedule(order.at + world.switches.zapmail_order_drop_seconds, NAME, "order_drop", order=order.id)
    return invoice_link(world, order.id)


def invoice_link(world: World, order_id: str) -> str:
    return f"{world.public_url}/#order-{order_id}"


def pay_order(world: World, order_id: str, now: float) -> None:
    """Pay an open order by card, as a person would through its link. Raises ValueError when it is not open."""
    state = world.zapmail
    order = state.orders.get(order_id)
    if order is None or order.state != "unpaid":
        raise ValueError("no such open order")
    order.state = "paid"
    if order.kind == "plan":
        state.workspaces[order.workspace_id].plan = order.plan
        return
    move(world, order.workspace_id, "top_up", order.cents, "paid by card", now)
    if order.kind == "domains":
        order.domains = {name: years for name, years in order.domains.items() if not state.domain_named(name)}
        buy(world, order, {name: price(world, "buy_domains", name) * y for name, y in order.domains.items()}, now)


def start_mailbox(world: World, mailbox: Mailbox, now: float) -> None:
    """Set a mailbox to work; it ends ACTIVE or FAILED."""
    mailbox.status = "IN_PROGRESS"
    wait = world.uniform(world.switches.zapmail_mailbox_active_seconds, "mailbox", mailbox.email, mailbox.attempts)
    wait += _slowness(world, "slow_mailboxes", mailbox.email)
    failing = world.faults.hits("failing_mailboxes", NAME, "create_mailboxes", mailbox.email, mailbox.attempts)
    world.schedule(now + wait, NAME, "mailbox_ends", mailbox=mailbox.id, failed=failing is not None)


def start_export(
    world: World, sender: Sender | None, boxes: Iterable[Mailbox], workspace_id: str, now: float
) -> Export:
    """Send mailboxes on their way to a sending tool; each arrives on its own, late."""
    job = Export(
        world.count("zapmail export"), workspace_id, sender.id if sender else "", [box.id for box in boxes], now
    )
    job.open_ids = list(job.mailbox_ids)
    world.zapmail.exports[job.id] = job
    emit(world, "export.started", _export_object(job), now)
    for mailbox_id in job.mailbox_ids:
        wait = world.uniform(world.switches.zapmail_export_seconds, "export", job.id, mailbox_id)
        wait += _slowness(world, "slow_export", world.zapmail.mailboxes[mailbox_id].email)
        world.schedule(now + wait, NAME, "export_row", export=job.id, mailbox=mailbox_id)
    return job


def sender_problem(world: World, sender: Sender) -> str:
    """Return why a kept PIPL login no longer works, or an empty text."""
    expired = world.faults.standing("login_expired", NAME, "", sender.email)
    if expired or (sender.app == "PIPL" and plusvibe.login(world, sender.email, sender.password) is None):
        return "Login expired, please reconnect"
    return ""


# What happens by itself


def on_event(world: World, kind: str, data: dict[str, Any], now: float) -> None:
    """Let one scheduled thing happen."""
    EVENTS[kind](world, data, now)


def _domain_active(world: World, data: dict[str, Any], now: float) -> None:
    domain = world.zapmail.domains.get(data["domain"])
    if domain is not None:
        domain.status, domain.updated_at, domain.dns_at = "ACTIVE", now, now
        emit(world, "domain.updated", {"id": domain.id, "domain": domain.name, "status": domain.status}, now)


def _refund(world: World, data: dict[str, Any], now: float) -> None:
    move(world, data["workspace"], "refund", data["cents"], data["name"], now)
    world.zapmail.purchases[data["name"]].refunded += 1


def _order_drop(world: World, data: dict[str, Any], now: float) -> None:
    order = world.zapmail.orders[data["order"]]
    if order.state == "unpaid":
        order.state = "dropped"


def _slots_land(world: World, data: dict[str, Any], now: float) -> None:
    workspace = world.zapmail.workspaces[data["workspace"]]
    workspace.slots += data["quantity"]
    workspace.landings = (*workspace.landings, (now, data["quantity"]))
    workspace.slots_coming -= data["quantity"]


def _dmarc_added(world: World, data: dict[str, Any], now: float) -> None:
    domain = world.zapmail.domains.get(data["domain"])
    if domain is not None and domain.dmarc_email == data["email"]:
        domain.dmarc_added, domain.updated_at = True, now


def _mailbox_ends(world: World, data: dict[str, Any], now: float) -> None:
    mailbox = world.zapmail.mailboxes.get(data["mailbox"])
    if mailbox is None:
        return
    mailbox.status = "FAILED" if data["failed"] else "ACTIVE"
    mailbox.active_at = None if data["failed"] else now
    emit(world, "mailbox.updated", {"id": mailbox.id, "email": mailbox.email, "status": mailbox.status}, now)


def _export_row(world: World, data: dict[str, Any], now: float) -> None:
    """One mailbox reaches the sending tool, or silently does not."""
    state = world.zapmail
    job, mailbox = state.exports[data["export"]], state.mailboxes.get(data["mailbox"])
    job.open_ids.remove(data["mailbox"])
    sender = state.senders.get(job.sender_id)
    if mailbox is not None and sender is not None and sender.app == "PIPL":
        _into_plusvibe(world, job, sender, mailbox, now)
    if not job.open_ids:
        job.status = "failed" if job.failure_reason else "completed"
        emit(world, f"export.{job.status}", _export_object(job), now)


def _into_plusvibe(world: World, job: Export, sender: Sender, mailbox: Mailbox, now: float) -> None:
    if world.faults.hits("export_incomplete", NAME, "export_mailboxes", mailbox.email):
        return
    if sender_problem(world, sender):
        return  # the job still reports success: so it was seen at the vendor
    found = plusvibe.login(world, sender.email, sender.password)
    if found is None or not found.may_add:
        job.failure_reason = "The login may not add accounts"
        return
    first = world.switches.zapmail_export_target == "first_visible"
    account = plusvibe.arrive(
        world,
        found.may_add[0 if first else -1],
        mailbox.email,
        first_name=mailbox.first_name,
        last_name=mailbox.last_name,
        provider=plusvibe.GOOGLE if mailbox.provider == "GOOGLE" else plusvibe.MICROSOFT,
        via="zapmail_export",
        now=now,
    )
    if account is not None:
        job.arrived_ids.append(mailbox.id)


EVENTS = {
    "domain_active": _domain_active,
    "refund": _refund,
    "order_drop": _order_drop,
    "slots_land": _slots_land,
    "dmarc_added": _dmarc_added,
    "mailbox_ends": _mailbox_ends,
    "export_row": _export_row,
}


def _slowness(world: World, kind: str, item: str) -> float:
    fault = world.faults.hits(kind, NAME, "", item)
    return fault.seconds if fault else 0.0


# Webhooks


def emit(world: World, kind: str, thing: dict[str, Any], now: float) -> None:
    """Queue an event to every endpoint that wants it."""
    for endpoint in world.zapmail.endpoints.values():
        if not endpoint.enabled or (endpoint.events and kind not in endpoint.events):
            continue
        if world.faults.draw({"webhook_lost"}, NAME, kind):
            continue
        event = {"id": f"evt_{world.hex_id('zapmail event')}", "type": kind, "created": iso(now), "api_version": "v2"}
        body = json.dumps({**event, "data": {"object": thing}}).encode()
        late = world.faults.draw({"webhook_delay"}, NAME, kind)
        due = now + (late.seconds if late else 0.0)
        copies = 2 if world.faults.draw({"webhook_duplicate"}, NAME, kind) else 1
        for _ in range(copies):
            world.queue(Delivery(NAME, endpoint.url, body, due, kind, endpoint.id, WEBHOOK_GAPS))


def sign(world: World, delivery: Delivery, now: float) -> dict[str, str]:
    """Return the signature header: HMAC-SHA256 over `t.rawbody`."""
    endpoint = world.zapmail.endpoints[delivery.subject]
    stamp = str(int(now))
    digest = hmac.new(endpoint.secret.encode(), stamp.encode() + b"." + delivery.body, hashlib.sha256).hexdigest()
    return {"x-zapmail-signature": f"t={stamp},v1={digest}"}


def settled(world: World, delivery: Delivery, status: int, now: float) -> None:
    """Count failures in a row; twenty disable the endpoint."""
    endpoint = world.zapmail.endpoints[delivery.subject]
    endpoint.failures = 0 if 200 <= status < 300 else endpoint.failures + 1
    if endpoint.failures >= WEBHOOK_FAILURES:
        endpoint.enabled = False
        for waiting in world.deliveries:
            if waiting.subject == endpoint.id and waiting.state == "waiting":
                waiting.state = "given_up"


def _export_object(job: Export) -> dict[str, Any]:
    return {"export_id": job.id, "status": job.status.upper(), "failure_reason": job.failure_reason}


# For people and tests


def snapshot(world: World, now: float) -> dict[str, Any]:
    """Return everything but passwords."""
    state = world.zapmail
    renew_due(world, now)
    balance(world, PRIMARY, now)
    secret = {"app_password", "password"}
    return {
        "workspaces": [
            {
                **asdict(workspace),
                "domains": [d.name for d in state.domains.values() if d.workspace_id == workspace.id],
                "mailboxes": [m.email for m in state.mailboxes.values() if m.workspace_id == workspace.id],
            }
            for workspace in state.workspaces.values()
        ],
        "domains": [asdict(domain) for domain in state.domains.values()],
        "mailboxes": [
            {"email": box.email, **{name: value for name, value in asdict(box).items() if name not in secret}}
            for box in state.mailboxes.values()
        ],
        "wallet_cents": sum(state.wallets.values()),
        "wallets": dict(state.wallets),
        "ledger": [asdict(entry) for entry in state.ledger],
        "purchases": {name: asdict(count) for name, count in state.purchases.items()},
        "orders": [asdict(order) for order in state.orders.values()],
        "senders": [
            {"id": s.id, "workspace_id": s.workspace_id, "app": s.app, "email": s.email} for s in state.senders.values()
        ],
        "exports": [asdict(job) for job in state.exports.values()],
        "endpoints": [
            {"id": e.id, "url": e.url, "enabled": e.enabled, "failures": e.failures} for e in state.endpoints.values()
        ],
    }
