"""Zapmail, simulated (platforms/zapmail.md, section 6). Domains, their DNS, mailboxes, export to PlusVibe."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

from . import plusvibe
from .clock import iso
from .dns import DKIM_KEY, ZoneRecord
from .http import Request, Response, json_response
from .platforms import Platform, Route, Router
from .quota import Window
from .reading import Refusal, objects, peek, read_object, text, texts, whole
from .seeds import hexadecimal
from .zapmail_world import (
    NAME,
    PRIMARY,
    PROVIDERS,
    Domain,
    Endpoint,
    Mailbox,
    Order,
    Purchases,
    Sender,
    Workspace,
    balance,
    buy,
    invoice_link,
    is_premium,
    is_taken,
    leave_unpaid,
    move,
    on_event,
    price,
    renew_due,
    sender_problem,
    settled,
    sign,
    slot_price,
    snapshot,
    start_export,
    start_mailbox,
)

if TYPE_CHECKING:
    from .world import World

API_KEY = "sandbox-zapmail-key"
DAY, WEEK = 86_400.0, 604_800.0
MOST_SEARCHED = 20
TOP_UP_PAUSE = 60.0
FIRST_DMARC = "v=DMARC1; p=none"
NO_SLOTS = "You don't have enough mailboxes. Please purchase more mailboxes to continue"
DOMAIN_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.[a-z]{2,24}")
USERNAME = re.compile(r"[a-z0-9]+(?:[._-][a-z0-9]+)*")
APPS = frozenset(
    (
        *("REACHINBOX", "INSTANTLY", "SMARTLEAD", "REPLY_IO", "QUICKMAIL", "EMELIA", "EMAILBISON", "FIRSTQUADRANT"),
        *("WARMY", "SUPERAGI", "LEMLIST", "PIPL", "LUELLA", "MASTER_INBOX", "SAILE", "SNOV"),
    ),
)
FETCHABLE = frozenset(
    (
        *("INSTANTLY", "QUICKMAIL", "SUPERAGI", "REACHINBOX", "MANYREACH", "MASTER_INBOX", "SAILE", "COLDSTATS"),
        *("PIPL", "HOTHAWK", "EMAILGUARD"),
    ),
)
BILLING = (
    *("company", "firstName", "lastName", "addressLineOne", "city", "state", "country", "postalCode"),
    *("phoneCc", "phone", "languagePreference"),
)
EXPORT_SELECTORS = ("ids", "excludeIds", "tagIds", "contains", "status")
T = TypeVar("T")


class Asked:
    """One authorised request: its body, its workspace and its provider header."""

    def __init__(self, world: World, request: Request, now: float) -> None:
        self.request, self.query = request, request.query
        self.body = {} if request.method == "GET" else read_object(request, 422)
        key = request.header("x-workspace-key")
        found = world.zapmail.workspaces.get(key or PRIMARY)
        if found is None:
            raise Refusal(400, "Workspace not found")
        self.workspace, self.names_workspace = found, bool(key)

    def provider(self, world: World) -> str:
        """Return the provider a write is for. Raises Refusal where the required header is missing."""
        provider = self.request.header("x-service-provider")
        if provider not in PROVIDERS:
            raise Refusal(400, "x-service-provider header is required")
        return provider if world.switches.zapmail_provider_on_writes == "header" else PROVIDERS[0]

    def provider_or_default(self, world: World) -> str:
        """Return the provider of a call that does not demand the header."""
        return self.provider(world) if self.request.header("x-service-provider") else PROVIDERS[0]


def handle(world: World, request: Request, now: float) -> Response:
    """Answer one request to `/v2/...`."""
    if request.header("x-auth-zapmail") != API_KEY or world.faults.standing("key_revoked", NAME, ""):
        return error(world, world.switches.zapmail_unauthorised_status, "Unauthorized")
    renew_due(world, now)
    found = ROUTER.find(request)
    if found is None:
        return error(world, 404, f"Cannot {request.method} {request.path}")
    try:
        return found[0].function(world, Asked(world, request, now), now)
    except Refusal as refusal:
        return error(world, refusal.status, refusal.sentence)


def error(world: World, status: int, sentence: str) -> Response:
    """Word an error in the envelope, without data."""
    return json_response({"status": status, "message": sentence}, status)


def envelope(message: str, data: Any = None, status: int = 200) -> Response:
    return json_response({"status": status, "message": message, "data": data}, status)


# Workspaces


def list_workspaces(world: World, asked: Asked, now: float) -> Response:
    """`currentWorkspace` is the one of the header, `workspaces` holds only the others. Numbers are texts."""
    for name in ("page", "limit"):
        text(asked.query, name)
    lag, part = world.faults.lag(NAME, "list_workspaces"), asked.query.get("contains", "").lower()
    seen = [w for w in world.zapmail.workspaces.values() if w.created_at + lag <= now and part in w.name.lower()]
    rows = [_workspace_row(world, workspace) for workspace in seen]
    if world.switches.zapmail_workspaces_as == "array":
        return envelope("Workspaces fetched successfully", _paged(world, asked, "list_workspaces", rows)[1])
    others = [row for row in rows if row["id"] != asked.workspace.id]
    paging, page = _paged(world, asked, "list_workspaces", others)
    current = _workspace_row(world, asked.workspace)
    return envelope("Workspaces fetched successfully", {"currentWorkspace": current, "workspaces": page, **paging})


def create_workspace(world: World, asked: Asked, now: float) -> Response:
    name, switches, state = text(asked.body, "name", status=422), world.switches, world.zapmail
    billing = asked.body.get("billingDetails")
    if switches.zapmail_billing_details == "required" or billing is not None:
        if not isinstance(billing, dict):
            raise Refusal(422, "billingDetails is required")
        for member in BILLING:
            text(billing, member, status=422)
    if any(workspace.name == name for workspace in state.workspaces.values()):
        raise Refusal(switches.zapmail_duplicate_name_status, "Workspace with this name already exists")
    made = Workspace(world.uuid("zapmail workspace"), name, now, now, billing or {})
    if switches.zapmail_new_workspace == "inherits":
        made.slots, made.plan = switches.zapmail_inherited_slots, switches.zapmail_plan
    elif switches.zapmail_new_workspace == "zero":
        made.plan = switches.zapmail_plan
    state.workspaces[made.id] = made
    data = {"id": made.id, "name": name, "userId": "u-operator", "createdAt": iso(now), "updatedAt": iso(now)}
    return envelope("Workspace created successfully", {**data, "deletedAt": None})


def rename_workspace(world: World, asked: Asked, now: float) -> Response:
    found = world.zapmail.workspaces.get(text(asked.body, "id", status=422))
    name = text(asked.body, "name", status=422)
    if found is None:
        raise Refusal(400, "Workspace not found")
    if any(w.name == name and w.id != found.id for w in world.zapmail.workspaces.values()):
        raise Refusal(world.switches.zapmail_duplicate_name_status, "Workspace with this name already exists")
    found.name, found.updated_at = name, now
    return envelope("Workspace updated successfully", {"id": found.id, "name": name})


def _workspace_row(world: World, workspace: Workspace) -> dict[str, Any]:
    state, number = world.zapmail, _number_form(world)
    row: dict[str, Any] = {"id": workspace.id, "name": workspace.name}
    for provider in PROVIDERS:
        word = provider.capitalize()
        mine = [d for d in state.domains.values() if (d.workspace_id, d.provider) == (workspace.id, provider)]
        boxes = [m for m in state.mailboxes.values() if (m.workspace_id, m.provider) == (workspace.id, provider)]
        row[f"domainCount{word}"] = number(len(mine))
        row[f"totalMailboxesPurchased{word}"] = number(workspace.slots if provider == "GOOGLE" else 0)
        row[f"assignedMailboxesCount{word}"] = number(len(boxes))
    return row


# Domain search and purchase


def check_domains(world: World, asked: Asked, now: float) -> Response:
    names = _search_names(asked.body)
    rows = [_search_row(world, name) for name in names]
    free = sum(row["status"].upper() == "AVAILABLE" for row in rows)
    data = {"domains": rows, "total": len(rows), "available": free, "unavailable": len(rows) - free}
    if world.switches.zapmail_bulk_nesting == "data":
        return envelope("Domains checked", data)
    return json_response(data)


def buy_domains(world: World, asked: Asked, now: float) -> Response:
    """No envelope, no ids, not idempotent. A short wallet answers 200 too; only the domain list tells the truth."""
    order = _order(world, asked, now)
    cents = {name: price(world, "buy_domains", name) * years for name, years in order.domains.items()}
    order.cents = sum(cents.values())
    if world.faults.draw({"nothing_happens"}, NAME, "buy_domains", order.domains):
        return json_response({"message": "Domains purchased", "invoiceLink": invoice_link(world, order.id)})
    if asked.body.get("useWallet") is not True:
        return json_response({"message": "Payment link generated", "paymentLink": leave_unpaid(world, order)})
    short = world.faults.draw({"wallet_short"}, NAME, "buy_domains", order.domains)
    if short or balance(world, asked.workspace.id, now) < order.cents:
        return _short_wallet(world, order, balance(world, asked.workspace.id, now))
    order.state = "paid"
    buy(world, order, cents, now)
    return json_response({"message": "Domains purchased", "invoiceLink": invoice_link(world, order.id)})


def _search_names(body: dict[str, Any]) -> list[str]:
    """`domainNames` is a list; the vendor's page says text, so one text with commas passes too."""
    given = body.get("domainNames")
    names = given.split(",") if isinstance(given, str) else texts(body, "domainNames", status=422)
    names = [name.strip().lower() for name in names]
    if not names or not all(DOMAIN_NAME.fullmatch(name) for name in names):
        raise Refusal(422, "domainNames must be valid domain names")
    if len(names) > MOST_SEARCHED:
        raise Refusal(400, f"At most {MOST_SEARCHED} domains per request")
    return names


def _search_row(world: World, name: str) -> dict[str, Any]:
    told = world.faults.standing("domain_taken", NAME, "check_domains", name)
    gone = bool(told and told.verb) or is_taken(world, name) or world.zapmail.domain_named(name) is not None
    free = not gone and name.rsplit(".", 1)[1] in world.switches.zapmail_endings.split()
    word = "AVAILABLE" if free else "UNAVAILABLE"
    year, again = price(world, "check_domains", name), price(world, "renewal", name)
    money = (lambda cents: f"{cents / 100:.2f}") if world.switches.zapmail_prices_as == "string" else _dollars
    return {
        "domainName": name,
        "status": word.lower() if world.switches.zapmail_bulk_status_case == "lower" else word,
        "isPremiumDomain": is_premium(world, name),
        "domainPrice": money(year),
        "renewPrice": money(again),
    }


def _order(world: World, asked: Asked, now: float) -> Order:
    """Read a purchase. Raises Refusal for what the platform rejects before charging."""
    wanted: dict[str, int] = {}
    for row in objects(asked.body, "domains", status=422):
        name = text(row, "domainName", status=422).strip().lower()
        years = whole(row, "years", low=1, status=422)
        if not DOMAIN_NAME.fullmatch(name) or years > 10 or name in wanted:
            raise Refusal(422, f"{name} is not valid")
        wanted[name] = years
    if not wanted:
        raise Refusal(422, "domains must not be empty")
    for name in wanted:
        world.zapmail.purchases.setdefault(name, Purchases()).asked += 1
    for name in wanted:
        _check_sellable(world, name)
    provider = asked.provider_or_default(world)
    return Order(world.hex_id("order", 12), "domains", asked.workspace.id, provider, 0, now, wanted)


def _check_sellable(world: World, name: str) -> None:
    label, ending = name.rsplit(".", 1)
    if ending not in world.switches.zapmail_endings.split():
        raise Refusal(400, f"TLD .{ending} is not supported")
    if world.switches.zapmail_owned_name == "refuse" and world.zapmail.domain_named(name):
        raise Refusal(400, f"{name} already exists in your account")
    if any(phrase in label for phrase in world.switches.zapmail_banned_phrases.split()):
        raise Refusal(400, f"{name} contains a banned phrase")
    if name in world.switches.zapmail_names_with_workspace.split():
        raise Refusal(400, f"{name} already has a Google or Microsoft workspace")


def _short_wallet(world: World, order: Order, held: int) -> Response:
    reply = world.switches.zapmail_short_wallet_reply
    if reply == "error":
        need, have = f"{order.cents / 100:.2f}", f"{held / 100:.2f}"
        raise Refusal(400, f"Insufficient wallet balance. Required: ${need}, Available: ${have}")
    link = leave_unpaid(world, order)
    if reply == "payment_link":
        return json_response({"message": "Payment link generated", "paymentLink": link})
    return json_response({"message": "Invoice generated", "invoiceLink": link})


# Domains


def list_domains(world: World, asked: Asked, now: float) -> Response:
    filters = asked.body if asked.request.method == "POST" else dict(asked.query)
    _refuse_nulls(filters, "status", "contains", "tagIds", "sortBy")
    wanted = texts(filters, "status", status=422, optional=True) if asked.request.method == "POST" else []
    rows = [
        _domain_row(world, domain, "list_domains")
        for domain in _domains(world, asked, "list_domains", now)
        if not wanted or domain.status in wanted
    ]
    paging, page = _paged(world, asked, "list_domains", rows)
    return envelope("Domains fetched successfully", {**paging, "domains": page})


def assignable_domains(world: World, asked: Asked, now: float) -> Response:
    """Domains that can still take mailboxes; a full one stays by switch."""
    keep_full = world.switches.zapmail_full_domain == "assignable"
    rows = [
        _domain_row(world, domain, "assignable_domains")
        for domain in _domains(world, asked, "assignable_domains", now)
        if domain.status == "ACTIVE" and (keep_full or _room(world, domain) > 0)
    ]
    paging, page = _paged(world, asked, "assignable_domains", rows)
    return envelope("Domains fetched successfully", {**paging, "domains": page})


def connection_requests(world: World, asked: Asked, now: float) -> Response:
    """Domains of one's own that are still being connected: rows under `data.data`. Bought ones only by switch."""
    rows = []
    if world.switches.zapmail_bought_in_connection_requests:
        rows = [
            {
                "id": f"c-{domain.id}",
                "domainName": domain.name,
                "userId": "u-operator",
                "workspaceId": domain.workspace_id,
                "serviceProvider": domain.provider,
                "dnsManagedBy": "ZAPMAIL",
                "status": "CHECKING_NS_IN_WHOIS",
                "metadata": {"currentNameServers": ["ns1.example"]},
                "nextRetryOn": None,
                "createdAt": iso(domain.created_at),
                "updatedAt": iso(domain.updated_at),
                "deletedAt": None,
            }
            for domain in _domains(world, asked, "connection_requests", now)
            if domain.status == "PENDING"
        ]
    paging, page = _paged(world, asked, "connection_requests", rows)
    return envelope("Connection requests fetched", {**paging, "totalCount": len(rows), "data": page})


def set_dmarc(world: World, asked: Asked, now: float) -> Response:
    _refuse_nulls(asked.body, "domainIds", "contains", "status", "tagIds")
    email = text(asked.body, "email", status=422)
    if not re.fullmatch(r"[^@\s]+@[^@\s]+\.[^@\s]+", email):
        raise Refusal(422, "email is not valid")
    for domain in _owned(world, asked, texts(asked.body, "domainIds", status=422)):
        domain.dmarc_email, domain.dmarc_added, domain.updated_at = email, False, now
        world.schedule(now + 20.0, NAME, "dmarc_added", domain=domain.id, email=email)
    if world.switches.zapmail_dmarc_reply == "empty":
        return json_response({})
    return envelope("DMARC updated successfully")


def remove_domains(world: World, asked: Asked, now: float) -> Response:
    domains = _owned(world, asked, texts(asked.body, "ids", status=422))
    if any(world.zapmail.mailboxes_of(domain) for domain in domains):
        raise Refusal(400, "Domains with mailboxes cannot be removed")
    for domain in domains:
        del world.zapmail.domains[domain.id]
    return envelope("Domains removed successfully")


def list_dns_records(world: World, asked: Asked, now: float) -> Response:
    domain = _owned(world, asked, [text(asked.query, "id")])[0]
    records = [
        {
            "id": hexadecimal(12, world.seed, "record", domain.id, kind, host),
            "assignedDomainId": domain.id,
            "recordType": kind,
            "host": host,
            "value": value,
            "priority": 1 if kind == "MX" else None,
            "cdfRecordId": None,
            "cdfResponse": None,
        }
        for kind, host, value in _records(domain)
    ]
    return envelope("DNS records fetched", {"records": records, "disabledRecords": []})


def records_of(world: World, now: float) -> Iterator[ZoneRecord]:
    """Yield what the platform publishes: a domain's records once it is active, its DMARC as it was and as it is."""
    for domain in world.zapmail.domains.values():
        reports = bool(domain.dmarc_email and domain.dmarc_added)
        for kind, host, value in _records(domain):
            name = domain.name if host == "@" else f"{host}.{domain.name}"
            since = domain.updated_at if host == "_dmarc" and reports else domain.dns_at
            yield ZoneRecord(domain.name, name, kind, value, priority=1, since=since)
        if domain.status == "ACTIVE" and reports:
            old = (domain.name, f"_dmarc.{domain.name}", "TXT", FIRST_DMARC)
            yield ZoneRecord(*old, since=domain.dns_at, until=domain.updated_at)


def _records(domain: Domain) -> list[tuple[str, str, str]]:
    if domain.status != "ACTIVE":
        return []
    google = domain.provider == "GOOGLE"
    include = "_spf.google.com" if google else "spf.protection.outlook.com"
    mx = "smtp.google.com" if google else f"{domain.name.replace('.', '-')}.mail.protection.outlook.com"
    report = f"; rua=mailto:{domain.dmarc_email}" if domain.dmarc_email and domain.dmarc_added else ""
    return [
        ("MX", "@", mx),
        ("TXT", "@", f"v=spf1 include:{include} ~all"),
        ("TXT", "google._domainkey" if google else "selector1._domainkey", f"v=DKIM1; k=rsa; p={DKIM_KEY}"),
        ("TXT", "_dmarc", f"{FIRST_DMARC}{report}"),
    ]


def _domain_row(world: World, domain: Domain, verb: str) -> dict[str, Any]:
    boxes = world.zapmail.mailboxes_of(domain)
    active = domain.status == "ACTIVE"
    return {
        "id": domain.id,
        "workspaceId": domain.workspace_id,
        "domain": domain.name,
        "status": _odd_status(world, verb, domain.name) or domain.status,
        "serviceProvider": domain.provider,
        "assignedMailboxesCount": _number_form(world)(len(boxes)),
        "forwardTo": None,
        "forwardToAddedOnReseller": False,
        "dmarcEmail": domain.dmarc_email,
        "dmarcEmailAddedToReseller": domain.dmarc_added,
        "dnsAuthenticationInProgress": not active,
        "dnsBoxInvalidNameServers": False,
        **({"autoRenew": domain.auto_renew} if world.switches.zapmail_auto_renew != "unsaid" else {}),
        "registeredOn": iso(domain.created_at),
        "expireOn": iso(domain.expires_at),
        "mailboxes": [
            {
                "id": box.id,
                "username": box.username,
                "firstName": box.first_name,
                "lastName": box.last_name,
                "status": box.status,
                "createdAt": iso(box.created_at),
            }
            for box in boxes
        ],
        "createdAt": iso(domain.created_at),
        "updatedAt": iso(domain.updated_at),
    }


def _domains(world: World, asked: Asked, verb: str, now: float) -> list[Domain]:
    """The workspace's domains that a list shows by now, filtered by the substring `contains`."""
    lag = world.faults.lag(NAME, verb)
    part = str(asked.query.get("contains") or asked.body.get("contains") or "").lower()
    return [
        domain
        for domain in world.zapmail.domains.values()
        if domain.workspace_id == asked.workspace.id
        and domain.created_at + lag <= now
        and part in domain.name
        and _shown_provider(world, asked, domain.provider)
    ]


def _shown_provider(world: World, asked: Asked, provider: str) -> bool:
    """Since 2026-10-13 lists show both providers; before, the header's, GOOGLE by default."""
    if world.switches.zapmail_lists == "both_providers":
        return True
    return provider == (asked.request.header("x-service-provider") or PROVIDERS[0])


def _owned(world: World, asked: Asked, ids: list[str]) -> list[Domain]:
    found = [world.zapmail.domains.get(domain_id) for domain_id in ids]
    mine = [domain for domain in found if domain is not None and domain.workspace_id == asked.workspace.id]
    if not mine or len(mine) != len(ids):
        raise Refusal(400, "Domain not found in this workspace")
    return mine


def _room(world: World, domain: Domain) -> int:
    return world.switches.zapmail_mailboxes_per_domain - len(world.zapmail.mailboxes_of(domain))


# Mailboxes


def create_mailboxes(world: World, asked: Asked, now: float) -> Response:
    """All or nothing. `data` is null: ids come from the list."""
    provider = asked.provider(world)
    wanted = [(domain, row) for domain, rows in _wanted_mailboxes(world, asked) for row in rows]
    emails = [f"{row['mailboxUsername']}@{domain.name}" for domain, row in wanted]
    if world.faults.draw({"nothing_happens"}, NAME, "create_mailboxes", emails):
        return envelope("Mailboxes will be assigned shortly", None, 202)
    known = {mailbox.email for mailbox in world.zapmail.mailboxes.values()}
    if known & set(emails) or len(set(emails)) < len(emails):
        raise Refusal(400, "Mailbox already exists")
    for domain in {domain.id: domain for domain, _ in wanted}.values():
        _check_domain_takes(world, domain, sum(d.id == domain.id for d, _ in wanted), provider, now)
    if world.zapmail.free_slots(asked.workspace) < len(wanted):
        raise Refusal(400, NO_SLOTS)
    for domain, row in wanted:
        _make_mailbox(world, domain, row, provider, now)
    return envelope("Mailboxes will be assigned shortly", None, world.switches.zapmail_create_mailboxes_status)


def list_mailboxes(world: World, asked: Asked, now: float) -> Response:
    """Pages count domains. Holds live secrets, as the service's does."""
    number, seen = _number_form(world), now - world.faults.lag(NAME, "list_mailboxes")
    boxes = [box for box in world.zapmail.mailboxes.values() if box.workspace_id == asked.workspace.id]
    mine, slots = [box for box in boxes if box.created_at <= seen], asked.workspace.slots_at(seen)
    rows = [_mailbox_domain_row(world, domain, now) for domain in _domains(world, asked, "list_mailboxes", now)]
    paging, page = _paged(world, asked, "list_mailboxes", rows)
    counters = {
        "purchasedMailboxes": number(slots),
        "totalAssignedMailboxes": number(len(mine)),
        "totalActiveMailboxes": number(sum(box.status == "ACTIVE" for box in mine)),
        "availableMailboxes": number(slots - len(mine)),
        "scheduledMailboxes": number(sum(box.scheduled_for_removal for box in mine)),
    }
    return envelope("Mailboxes fetched successfully", {**paging, **counters, "domains": page})


def broken_mailboxes(world: World, asked: Asked, now: float) -> Response:
    return error(world, 500, "Internal server error")


def update_mailboxes(world: World, asked: Asked, now: float) -> Response:
    results = []
    for row in objects(asked.body, "mailboxData", status=422):
        box = world.zapmail.mailboxes.get(str(row.get("mailboxId")))
        if box is None or box.workspace_id != asked.workspace.id:
            results.append({"mailboxId": row.get("mailboxId"), "success": False, "failureDetails": "Not found"})
            continue
        box.first_name = text(row, "firstName", optional=True) or box.first_name
        box.last_name = text(row, "lastName", optional=True) or box.last_name
        results.append({"mailboxId": box.id, "success": True, "failureDetails": None})
    return envelope("Mailboxes updated", results)


def retry_failed_mailboxes(world: World, asked: Asked, now: float) -> Response:
    asked.provider(world)
    for domain in _owned(world, asked, texts(asked.body, "domainIds", status=422)):
        for mailbox in world.zapmail.mailboxes_of(domain):
            if mailbox.status == "FAILED":
                mailbox.attempts += 1
                start_mailbox(world, mailbox, now)
    return envelope("Failed mailboxes will be retried shortly")


def schedule_removal(world: World, asked: Asked, now: float) -> Response:
    _refuse_nulls(asked.body, "status", "contains")
    remove = asked.body.get("remove")
    if not isinstance(remove, bool):
        raise Refusal(422, "remove must be a boolean")
    for domain in _owned(world, asked, texts(asked.body, "domainIds", status=422)):
        for mailbox in world.zapmail.mailboxes_of(domain):
            mailbox.scheduled_for_removal = remove
    return envelope("Mailbox removal updated")


def _wanted_mailboxes(world: World, asked: Asked) -> list[tuple[Domain, list[dict[str, Any]]]]:
    """Read a request keyed by domain id. Raises Refusal: 422 for its form, 400 for its contents."""
    if not asked.body:
        raise Refusal(422, "Body must not be empty")
    wanted = []
    for domain_id, rows in asked.body.items():
        if not isinstance(rows, list) or not rows or not all(isinstance(row, dict) for row in rows):
            raise Refusal(422, "Each domain needs a non-empty array")
        for row in rows:
            for name in ("firstName", "lastName", "mailboxUsername", "domainName"):
                text(row, name, status=422)
        domain = _owned(world, asked, [domain_id])[0]
        for row in rows:
            if row["domainName"].lower() != domain.name:
                raise Refusal(400, "domainName does not match the domain")
            if not USERNAME.fullmatch(row["mailboxUsername"]) or len(row["mailboxUsername"]) > 64:
                raise Refusal(400, "mailboxUsername is not valid")
        wanted.append((domain, rows))
    return wanted


def _check_domain_takes(world: World, domain: Domain, count: int, provider: str, now: float) -> None:
    if domain.status != "ACTIVE":
        raise Refusal(400, f"{domain.name} is not active yet")
    if _room(world, domain) < count:
        most = world.switches.zapmail_mailboxes_per_domain
        raise Refusal(400, f"A domain can have at most {most} mailboxes")
    cooldown, last = world.switches.zapmail_domain_cooldown_seconds, domain.mailboxes_asked_at
    if last is not None and now - last < cooldown:
        raise Refusal(400, "Mailboxes can be added once per cooldown period")
    waiting = any(box.status == "IN_PROGRESS" for box in world.zapmail.mailboxes_of(domain))
    if provider == "MICROSOFT" and waiting:
        raise Refusal(400, "Wait until the earlier mailboxes are active")


def _make_mailbox(world: World, domain: Domain, row: dict[str, Any], provider: str, now: float) -> None:
    box_id = world.uuid("zapmail mailbox")
    secret = world.hex_id("zapmail secret", 32)
    made = Mailbox(
        box_id,
        domain.id,
        domain.name,
        domain.workspace_id,
        row["mailboxUsername"],
        row["firstName"],
        row["lastName"],
        provider,
        now,
        app_password=secret[:16],
        password=f"={secret[16:24]}Zm!",  # begins with "=" on purpose: a spreadsheet would run it
    )
    world.zapmail.mailboxes[box_id] = made
    world.zapmail.next_renewal = min(world.zapmail.next_renewal, made.paid_until)
    domain.mailboxes_asked_at = now
    start_mailbox(world, made, now)


def _mailbox_domain_row(world: World, domain: Domain, now: float) -> dict[str, Any]:
    lag = world.faults.lag(NAME, "list_mailboxes")
    boxes = [box for box in world.zapmail.mailboxes_of(domain) if box.created_at + lag <= now]
    rows = [_mailbox_row(world, box) for box in boxes]
    return {"id": domain.id, "domain": domain.name, "status": domain.status, "mailboxes": rows}


def _mailbox_row(world: World, box: Mailbox) -> dict[str, Any]:
    return {
        "id": box.id,
        "username": box.username,
        "firstName": box.first_name,
        "lastName": box.last_name,
        "status": _odd_status(world, "list_mailboxes", box.email) or box.status,
        "profilePicture": None,
        "domain": box.domain,
        "domainId": box.domain_id,
        "email": box.email,
        "appPassword": box.app_password,
        "password": box.password,
        "assignedOn": iso(box.created_at),
        "expireOn": iso(box.paid_until),
    }


# Slots, plan, wallet


def buy_mailbox_slots(world: World, asked: Asked, now: float) -> Response:
    """Paid from the wallet; the slots land later. No envelope."""
    quantity = whole(asked.query, "quantity", low=1)
    if quantity > 1000:
        raise Refusal(400, "quantity is too large")
    if not asked.workspace.plan and asked.workspace.id != PRIMARY:
        raise Refusal(400, "An active subscription is required")
    cents, held = quantity * slot_price(world), balance(world, asked.workspace.id, now)
    if held < cents or world.faults.draw({"wallet_short"}, NAME, "buy_mailbox_slots"):
        raise Refusal(400, f"Insufficient wallet balance. Required: ${cents / 100:.2f}, Available: ${held / 100:.2f}")
    move(world, asked.workspace.id, "slots", -cents, f"{quantity} mailbox slots", now)
    asked.workspace.slots_coming += quantity
    number = world.count("slot purchase")
    wait = world.uniform(world.switches.zapmail_slots_seconds, "slots", number)
    slow = world.faults.draw({"slow_slots"}, NAME, "buy_mailbox_slots")
    wait += slow.seconds if slow else 0.0
    world.schedule(now + wait, NAME, "slots_land", workspace=asked.workspace.id, quantity=quantity)
    return json_response({"message": "Mailboxes purchased", "paymentLink": invoice_link(world, f"slots-{number}")})


def wallet_balance(world: World, asked: Asked, now: float) -> Response:
    held = _dollars(balance(world, asked.workspace.id, now))
    data = {"walletBalance": held, "autoRechargeEnabled": False, "autoRechargeDetails": None}
    return envelope("Wallet balance fetched", data)


def top_up_link(world: World, asked: Asked, now: float) -> Response:
    amount, state = whole(asked.body, "amount", low=1, status=422), world.zapmail
    if state.last_top_up_link is not None and now - state.last_top_up_link < TOP_UP_PAUSE:
        raise Refusal(400, "Please wait before requesting another top-up")
    state.last_top_up_link = now
    order = Order(world.hex_id("order", 12), "top_up", asked.workspace.id, "", amount * 100, now)
    return json_response({"message": "Payment link generated", "paymentLink": leave_unpaid(world, order)})


def buy_plan(world: World, asked: Asked, now: float) -> Response:
    asked.provider(world)
    plan = asked.query.get("planName", "")
    if plan not in ("Starter", "Growth", "Pro"):
        raise Refusal(400, "planName is not valid")
    order = Order(world.hex_id("order", 12), "plan", asked.workspace.id, "", 0, now, plan=plan)
    return json_response({"message": "Payment link generated", "paymentLink": leave_unpaid(world, order)})


def list_subscriptions(world: World, asked: Asked, now: float) -> Response:
    plan = asked.workspace.plan
    cycle = world.switches.zapmail_billing_cycle
    rows = (
        [{"id": f"s-{asked.workspace.id}", "planName": plan, "billingCycle": cycle, "status": "ACTIVE"}] if plan else []
    )
    return envelope("Subscriptions fetched", {"subscriptions": rows})


# Sending tools and export


def register_sender(world: World, asked: Asked, now: float) -> Response:
    """Keep a login of a sending tool. PlusVibe really checks it. `data` is null."""
    app, email, password = _login_fields(asked.body)
    same = [s for s in _senders(world, asked, app) if s.email == email]
    if same and world.switches.zapmail_duplicate_sender == "refuse":
        raise Refusal(400, "Account already exists")
    _check_login(world, app, email, password)
    made = Sender(world.uuid("zapmail sender"), asked.workspace.id, app, email, password, now)
    world.zapmail.senders[made.id] = made
    return envelope("Account added successfully")


def update_sender(world: World, asked: Asked, now: float) -> Response:
    app, email, password = _login_fields(asked.body)
    account_id = text(asked.body, "accountId", optional=True)
    known = [s for s in _senders(world, asked, app) if account_id in ("", s.id) and (account_id or s.email == email)]
    if not known:
        raise Refusal(400, "Account not found")
    _check_login(world, app, email, password)
    known[0].email, known[0].password = email, password
    return envelope("Account updated successfully")


def list_senders(world: World, asked: Asked, now: float) -> Response:
    rows, seen = [], now - world.faults.lag(NAME, "list_senders")
    for sender in _senders(world, asked, text(asked.query, "app")):
        problem = sender_problem(world, sender)
        row = {"id": sender.id, "appName": sender.app, "email": sender.email}
        if sender.created_at <= seen:
            rows.append(row | ({"error": problem} if problem else {}))
    rows = world.faults.ordered(NAME, "list_senders", rows)
    return envelope("Accounts fetched successfully", {"accounts": rows})


def fetch_sender_workspaces(world: World, asked: Asked, now: float) -> Response:
    """The workspaces that a kept login sees. The reply's form is unknown at the vendor."""
    app, account_id = text(asked.query, "app"), text(asked.query, "accountId")
    sender = world.zapmail.senders.get(account_id)
    if app not in FETCHABLE or sender is None or (sender.app, sender.workspace_id) != (app, asked.workspace.id):
        raise Refusal(400, "Account not found")
    seen = plusvibe.login(world, sender.email, sender.password)
    known = world.plusvibe.workspaces
    rows = [{"id": item, "name": known[item].name} for item in (seen.workspaces if seen else ()) if item in known]
    return envelope("Workspaces fetched successfully", {"workspaces": rows})


def export_mailboxes(world: World, asked: Asked, now: float) -> Response:
    """Starts an export and promises nothing: `data` is null unless the switch gives an id."""
    apps = texts(asked.body, "apps", status=422)
    _refuse_nulls(asked.body, *EXPORT_SELECTORS, "thirdPartyAccountId")
    if not apps or not all(app in APPS or app == "MANUAL" for app in apps):
        raise Refusal(422, "apps is not valid")
    senders = [_export_sender(world, asked, app) for app in apps if app != "MANUAL"]
    boxes = _export_boxes(world, asked)
    if not boxes:
        raise Refusal(400, "No mailboxes found to export")
    window = Window("re-export", world.switches.zapmail_reexports_per_week, WEEK)
    if any(not world.quotas.has_room(NAME, box.id, window, now) for box in boxes):
        world.quotas.refused(NAME, window, "export_mailboxes", now)
        raise Refusal(429, "Too many requests")
    for box in boxes:
        world.quotas.take(NAME, box.id, "export_mailboxes", [window], now)
    jobs = [start_export(world, sender, boxes, asked.workspace.id, now) for sender in senders or (None,)]
    data = {"exportId": jobs[0].id} if world.switches.zapmail_export_id == "present" else None
    return envelope("Export started, this may take some time", data)


def export_status(world: World, asked: Asked, now: float) -> Response:
    if not asked.names_workspace:
        raise Refusal(400, "x-workspace-key header is required")
    job = world.zapmail.exports.get(whole(asked.query, "exportId"))
    if job is None or job.workspace_id != asked.workspace.id:
        raise Refusal(400, "Export not found")
    data = {"export_id": job.id, "status": job.status, "failure_reason": job.failure_reason}
    return envelope("Export status fetched", data)


def _login_fields(body: dict[str, Any]) -> tuple[str, str, str]:
    app, email, password = (text(body, name, status=422) for name in ("app", "email", "password"))
    if app not in APPS:
        raise Refusal(422, "app is not valid")
    return app, email.strip().lower(), password


def _check_login(world: World, app: str, email: str, password: str) -> None:
    if app != "PIPL":
        return
    if world.switches.zapmail_client_logins == "refused" or world.faults.standing("login_expired", NAME, "", email):
        raise Refusal(400, "Could not log in with this account")
    wrong = plusvibe.login(world, email, password) is None
    if wrong and world.switches.zapmail_wrong_sender_login == "refuse":
        raise Refusal(400, "Invalid email or password")


def _senders(world: World, asked: Asked, app: str) -> list[Sender]:
    return [s for s in world.zapmail.senders.values() if (s.workspace_id, s.app) == (asked.workspace.id, app)]


def _export_sender(world: World, asked: Asked, app: str) -> Sender:
    known, wanted = _senders(world, asked, app), text(asked.body, "thirdPartyAccountId", optional=True)
    if wanted:
        known = [sender for sender in known if sender.id == wanted]
    if not known:
        raise Refusal(400, f"No {app} account found")
    if len(known) > 1:
        raise Refusal(world.switches.zapmail_missing_account_status, "thirdPartyAccountId is required")
    return known[0]


def _export_boxes(world: World, asked: Asked) -> list[Mailbox]:
    """Mailboxes by id, or all that match; those not active are left out without a word."""
    body = asked.body
    ids, without = (texts(body, name, status=422, optional=True) for name in ("ids", "excludeIds"))
    part = text(body, "contains", optional=True).lower()
    return [
        box
        for box in world.zapmail.mailboxes.values()
        if box.workspace_id == asked.workspace.id
        and box.status == "ACTIVE"
        and (not ids or box.id in ids)
        and box.id not in without
        and part in box.email
    ]


# Webhooks


def list_endpoints(world: World, asked: Asked, now: float) -> Response:
    rows = [
        {"id": e.id, "url": e.url, "enabled_events": e.events, "enabled": e.enabled}
        for e in world.zapmail.endpoints.values()
    ]
    return envelope("Endpoints fetched", {"endpoints": rows})


def create_endpoint(world: World, asked: Asked, now: float) -> Response:
    """The secret is in this answer and nowhere else."""
    url, events = text(asked.body, "url", status=422), texts(asked.body, "enabled_events", status=422)
    if not url.startswith(("http://", "https://")):
        raise Refusal(422, "url is not valid")
    made = Endpoint(world.uuid("zapmail endpoint"), url, events, "whsec_" + world.hex_id("zapmail endpoint secret", 32))
    world.zapmail.endpoints[made.id] = made
    return envelope("Endpoint created", {"id": made.id, "url": url, "secret": made.secret})


# Shapes


def _paged(world: World, asked: Asked, verb: str, rows: list[T]) -> tuple[dict[str, Any], list[T]]:
    """Return one page and the paging members. `nextPage` never ends: it is no end marker at the vendor either."""
    given = asked.query if asked.request.method == "GET" else {**asked.query, **asked.body}
    page, limit = whole(given, "page", 1, low=1), whole(given, "limit", 10, low=1)
    limit = max(1, min(limit, world.switches.zapmail_page_most))
    rows = world.faults.ordered(NAME, verb, rows)
    pages = max(1, -(-len(rows) // limit))
    members = {"totalSearchedCount": len(rows), "currentPage": page, "nextPage": page + 1, "totalPages": pages}
    return members, rows[(page - 1) * limit : page * limit]


def _number_form(world: World) -> Callable[[int], Any]:
    return str if world.switches.zapmail_counters_as == "string" else int


def _dollars(cents: int) -> float:
    return cents / 100


def _refuse_nulls(body: dict[str, Any], *names: str) -> None:
    for name in names:
        if name in body and body[name] is None:
            raise Refusal(422, f"{name} must not be null")


def _odd_status(world: World, verb: str, item: str) -> str:
    odd = world.faults.hits("unknown_status", NAME, verb, item)
    return (odd.value or "PROVISIONING_QUEUED") if odd else ""


# Words for the log


def items_of(request: Request) -> tuple[str, ...]:
    """Return names, addresses or ids that a request is about."""
    body, verb = peek(request), ROUTER.verb_of(request)
    match verb:
        case "check_domains":
            given = body["domainNames"]
            return tuple(given.split(",") if isinstance(given, str) else map(str, given))
        case "buy_domains":
            return tuple(str(row["domainName"]) for row in body["domains"])
        case "create_mailboxes":
            return tuple(f"{row['mailboxUsername']}@{row['domainName']}" for rows in body.values() for row in rows)
        case "export_mailboxes":
            return tuple(map(str, body.get("ids") or ()))
        case "set_dmarc" | "retry_failed_mailboxes" | "schedule_removal":
            return tuple(map(str, body["domainIds"]))
        case "buy_mailbox_slots":
            return (request.header("x-workspace-key") or PRIMARY,)
    named = body.get("name") or body.get("email") or request.query.get("contains")
    return (str(named),) if named else ()


def ref_of(world: World, request: Request) -> str:
    """Return the reference in the name of the workspace that the header names."""
    workspace = world.zapmail.workspaces.get(request.header("x-workspace-key"))
    match = re.search(r"GTM-[0-9A-Z]{6}", workspace.name) if workspace else None
    return match.group() if match else ""


def windows(world: World, verb: str, request: Request) -> list[Window]:
    """One bucket per key over all workspaces; searches count in a second one."""
    switches = world.switches
    found = [Window("general", switches.zapmail_general_per_minute, 60.0)]
    counts = verb == "check_domains" or (verb == "buy_domains" and switches.zapmail_purchase_counts_as_search)
    if counts:
        found.append(Window("search", switches.zapmail_search_per_30_min, 1800.0))
    return found


ROUTER = Router(
    (
        Route("GET", "/v2/workspaces", "list_workspaces", list_workspaces),
        Route("POST", "/v2/workspaces", "create_workspace", create_workspace),
        Route("PUT", "/v2/workspaces", "rename_workspace", rename_workspace),
        Route("POST", "/v2/domains/available-bulk", "check_domains", check_domains),
        Route("POST", "/v2/domains/buy", "buy_domains", buy_domains),
        Route("GET", "/v2/domains", "list_domains", list_domains),
        Route("POST", "/v2/domains", "list_domains", list_domains),
        Route("DELETE", "/v2/domains", "remove_domains", remove_domains),
        Route("GET", "/v2/domains/assignable", "assignable_domains", assignable_domains),
        Route("GET", "/v2/domains/connection-requests", "connection_requests", connection_requests),
        Route("POST", "/v2/domains/dmarc", "set_dmarc", set_dmarc),
        Route("GET", "/v2/dns/", "list_dns_records", list_dns_records),
        Route("POST", "/v2/mailboxes", "create_mailboxes", create_mailboxes),
        Route("GET", "/v2/mailboxes", "broken_mailboxes", broken_mailboxes),
        Route("PUT", "/v2/mailboxes", "update_mailboxes", update_mailboxes),
        Route("GET", "/v2/mailboxes/list", "list_mailboxes", list_mailboxes),
        Route("PUT", "/v2/mailboxes/retry-failed", "retry_failed_mailboxes", retry_failed_mailboxes),
        Route("PUT", "/v2/mailboxes/scheduled-removal", "schedule_removal", schedule_removal),
        Route("POST", "/v2/wallet/buy-addon-mailboxes", "buy_mailbox_slots", buy_mailbox_slots),
        Route("GET", "/v2/wallet/balance", "wallet_balance", wallet_balance),
        Route("POST", "/v2/wallet/balance", "top_up_link", top_up_link),
        Route("POST", "/v2/subscriptions/purchase", "buy_plan", buy_plan),
        Route("GET", "/v2/subscriptions", "list_subscriptions", list_subscriptions),
        Route("POST", "/v2/exports/accounts/third-party", "register_sender", register_sender),
        Route("PUT", "/v2/exports/accounts/third-party", "update_sender", update_sender),
        Route("GET", "/v2/exports/accounts/third-party", "list_senders", list_senders),
        Route("GET", "/v2/exports/fetch-workspaces", "fetch_sender_workspaces", fetch_sender_workspaces),
        Route("POST", "/v2/exports/mailboxes", "export_mailboxes", export_mailboxes),
        Route("GET", "/v2/exports/status", "export_status", export_status),
        Route("GET", "/v2/webhooks/endpoints", "list_endpoints", list_endpoints),
        Route("POST", "/v2/webhooks/endpoints", "create_endpoint", create_endpoint),
    ),
)

PLATFORM = Platform(
    name=NAME,
    prefix="/zapmail/api",
    handle=handle,
    verb_of=ROUTER.verb_of,
    items_of=items_of,
    reads=frozenset(
        {
            "list_workspaces",
            "check_domains",
            "list_domains",
            "assignable_domains",
            "connection_requests",
            "list_dns_records",
            "broken_mailboxes",
            "list_mailboxes",
            "wallet_balance",
            "list_subscriptions",
            "list_senders",
            "fetch_sender_workspaces",
            "export_status",
            "list_endpoints",
        },
    ),
    on_event=on_event,
    sign=sign,
    settled=settled,
    error=error,
    windows=windows,
    key_of=lambda request: request.header("x-auth-zapmail"),
    ref_of=ref_of,
    snapshot=snapshot,
    records_of=records_of,
)
