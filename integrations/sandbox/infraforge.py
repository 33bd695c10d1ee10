"""InfraForge, simulated (platforms/infraforge.md, section 6). Domains, their DNS, mailboxes, export to the other two."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from .clock import iso
from .dns import NAME_SERVERS
from .http import Request, Response, json_response
from .infraforge_world import (
    NAME,
    OWNED,
    UNPAID,
    Domain,
    Mailbox,
    Order,
    Purchases,
    Record,
    Workspace,
    add_domain,
    balance,
    bring_in,
    buy,
    checkout_link,
    is_taken,
    leave_unpaid,
    make_workspace,
    move,
    on_event,
    price,
    records_of,
    remove_mailbox,
    renew_due,
    set_dmarc,
    set_password,
    set_records,
    snapshot,
    start_export,
    start_mailbox,
    use_ip,
)
from .platforms import Platform, Route, Router
from .quota import Window
from .reading import Refusal, objects, peek, read_object, text, texts

if TYPE_CHECKING:
    from .world import World

API_KEY = "sandbox-infraforge-key"
MOST_SEARCHED = 100
DOMAIN_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?(?:\.[a-z]{2,3})?\.[a-z]{2,24}")
ADDRESS = re.compile(r"[a-z0-9]+(?:[._-][a-z0-9]+)*@[a-z0-9.-]+")
POLICIES = frozenset({"none", "quarantine", "reject"})
REGISTRANT = (
    *("firstName", "lastName", "email", "phone", "organization"),
    *("address1", "city", "province", "postalCode", "country"),
)


def handle(world: World, request: Request, now: float) -> Response:
    """Answer one request. The key stands alone in its header; with "Bearer" before it, it is a wrong one."""
    given = request.header("authorization")
    if given != API_KEY or world.faults.standing("key_revoked", NAME, ""):
        return error(world, 401, "missing api key" if not given else "invalid api key")
    renew_due(world, now)
    found = ROUTER.find(request)
    if found is None:
        return error(world, 404, "not found")
    try:
        return found[0].function(world, request, now, **found[1])
    except Refusal as refusal:
        return _refused(world, refusal)


def error(world: World, status: int, sentence: str) -> Response:
    """Word an error: a message, and nothing else."""
    return json_response({"message": sentence}, status)


def _refused(world: World, refusal: Refusal) -> Response:
    """Word a refusal. What is wrong with a member is a sentence in a list, as their validation has it."""
    if refusal.status == 402:
        form = world.switches.infraforge_402_body
        if form == "empty":
            return Response(402)
        return json_response({**({"code": 402} if form == "code" else {}), "message": refusal.sentence}, 402)
    if refusal.field:
        sentence = refusal.sentence.replace(" is required", " is a required field")
        return json_response({"message": "invalid request body", "data": [sentence]}, refusal.status)
    return error(world, refusal.status, refusal.sentence)


def _listing(world: World, verb: str, name: str, rows: list[Any]) -> Response:
    rows, form = world.faults.ordered(NAME, verb, rows), world.switches.infraforge_lists
    return json_response(rows if form == "bare" else {name if form == "named" else form: rows})


# Workspaces


def list_workspaces(world: World, request: Request, now: float) -> Response:
    lag = world.faults.lag(NAME, "list_workspaces")
    rows = [_workspace_row(w) for w in world.infraforge.workspaces.values() if w.created_at + lag <= now]
    return _listing(world, "list_workspaces", "workspaces", rows)


def create_workspace(world: World, request: Request, now: float) -> Response:
    """Names are not unique; each call makes one, and orders an IP again."""
    body = read_object(request)
    name, attach = text(body, "name"), body.get("attachUniqueIp", False)
    if len(name) > 50:
        raise Refusal(400, "name must be at most 50 characters", "name")
    if not isinstance(attach, bool):
        raise Refusal(400, "attachUniqueIp must be a boolean", "attachUniqueIp")
    if attach:
        _afford(world, "create_workspace", world.switches.infraforge_ip_price_cents, (name,), now)
    row = _workspace_row(make_workspace(world, name, attach, now))
    return json_response({"workspace": row} if world.switches.infraforge_workspace_reply == "named" else row, 201)


def change_workspace(world: World, request: Request, now: float, workspace: str) -> Response:
    found, body = _workspace(world, workspace), read_object(request)
    found.name = text(body, "name", optional=True) or found.name
    ip = text(body, "ip", optional=True)
    if ip and ip != found.ip:
        if ip not in found.spare_ips:
            raise Refusal(400, "ip is not eligible for this workspace")
        use_ip(world, found, ip, body.get("preserveSpf") is True, now)
    return Response(204)


def delete_workspace(world: World, request: Request, now: float, workspace: str) -> Response:
    """Takes its IP, domains and mailboxes along."""
    found, state = _workspace(world, workspace), world.infraforge
    for box in [box for box in state.mailboxes.values() if box.workspace_id == found.id]:
        remove_mailbox(world, box)
    for domain in [domain for domain in state.domains.values() if domain.workspace_id == found.id]:
        del state.domains[domain.id]
    del state.workspaces[found.id]
    return Response(204)


def eligible_ips(world: World, request: Request, now: float, workspace: str) -> Response:
    spare = _workspace(world, workspace).spare_ips
    rows: list[Any] = [{"ip": ip} for ip in spare] if world.switches.infraforge_eligible_ips == "objects" else spare
    return _listing(world, "eligible_ips", "ips", rows)


def _workspace(world: World, workspace_id: str) -> Workspace:
    found = world.infraforge.workspaces.get(workspace_id)
    if found is None:
        raise Refusal(404, "workspace not found")
    return found


def _workspace_row(workspace: Workspace) -> dict[str, Any]:
    slug = re.sub(r"[^a-z0-9]+", "-", workspace.name.lower()).strip("-")
    where = {"mailserver": workspace.mailserver, "accountId": "acc_operator", "ip": workspace.ip}
    return {"id": workspace.id, "name": workspace.name, "slug": slug, **where}


# Names and purchase


def check_domain(world: World, request: Request, now: float) -> Response:
    (name,) = _sold_names(world, [text(request.query, "domain")])
    return json_response(_offer(world, name))


def check_domains(world: World, request: Request, now: float) -> Response:
    names = _names(texts(read_object(request), "domains"))
    if len(names) > MOST_SEARCHED:
        raise Refusal(400, f"domains must contain at most {MOST_SEARCHED} items", "domains")
    return _listing(world, "check_domains", "domains", [_offer(world, name) for name in names])


def buy_domains(world: World, request: Request, now: float) -> Response:
    """Not idempotent: a name that the account owns is charged again, so that a blind repetition is seen in the ledger."""
    order = _order(world, read_object(request), now)
    if world.faults.draw({"nothing_happens"}, NAME, "buy_domains", order.domains):
        rows = [{"id": f"dom_{n}", "domain": name, "status": "pending"} for n, name in enumerate(order.domains)]
        return _purchased(world, rows, order.cents)
    if not _affordable(world, "buy_domains", order.cents, order.domains, now):
        if world.switches.infraforge_short_credits == "402":
            raise Refusal(402, "Insufficient credits, please top up")
        rows = [_domain_row(domain) for domain in leave_unpaid(world, order)]
        return _checkout(world, rows, order)
    made = [_domain_row(domain) for domain in buy(world, order, now)]
    return _purchased(world, made, order.cents)


def transfer_domains(world: World, request: Request, now: float) -> Response:
    body = read_object(request)
    workspace, names = _workspace(world, text(body, "workspaceId")), _sold_names(world, texts(body, "domains"))
    email, mode = text(body, "dmarcEmail", optional=True), world.switches.infraforge_transfer
    here = {d.name for d in world.infraforge.domains.values() if d.workspace_id == workspace.id}
    fresh = [name for name in names if name not in here]
    taken = [name for name in fresh if world.infraforge.domain_named(name)]
    if taken:
        raise Refusal(400, f"domain {taken[0]} already in another workspace")
    cents = world.switches.infraforge_domain_price_cents * len(fresh) if mode != "free" else 0
    if mode == "checkout" and fresh:
        return _checkout(world, [], Order(f"ord_{world.hex_id('infraforge order', 12)}", workspace.id, cents, now, {}))
    if cents:
        _afford(world, "transfer_domains", cents, fresh, now)
        move(world, "transfer", -cents, ", ".join(fresh), now, workspace.id)
    rows = [_domain_row(bring_in(world, workspace, name, email, now)) for name in fresh]
    invoice = {"id": f"inv_{world.hex_id('infraforge invoice', 12)}", "totalCents": cents} if cents else None
    return json_response({"domains": rows, "invoice": invoice, "allDomainsAlreadyInWorkspace": not fresh})


def transfer_nameservers(world: World, request: Request, now: float) -> Response:
    hosts = list(NAME_SERVERS)
    return json_response({"nameservers": hosts} if world.switches.infraforge_nameservers == "object" else hosts)


def _names(given: list[str]) -> list[str]:
    names = list(dict.fromkeys(name.strip().lower() for name in given))
    if not names or not all(DOMAIN_NAME.fullmatch(name) for name in names):
        raise Refusal(400, "domains must be valid domain names", "domains")
    return names


def _sold_names(world: World, given: list[str]) -> list[str]:
    names = _names(given)
    for name in names:
        if not _is_sold(world, name):
            raise Refusal(400, f"unsupported TLD of {name}")
    return names


def _is_sold(world: World, name: str) -> bool:
    return name.rsplit(".", 1)[1] in world.switches.infraforge_endings.split()


def _offer(world: World, name: str) -> dict[str, Any]:
    told = world.faults.standing("domain_taken", NAME, "check_domains", name)
    owned = world.infraforge.domain_named(name)
    gone = bool(told and told.verb) or is_taken(world, name) or (owned is not None and owned.status != UNPAID)
    row: dict[str, Any] = {"domain": name, "available": _is_sold(world, name) and not gone}
    if row["available"]:
        cents = price(world, "check_domains", name)
        in_cents = world.switches.infraforge_prices_as == "cents"
        row |= {"priceCents": cents} if in_cents else {"price": cents // 100 if cents % 100 == 0 else cents / 100}
        row["minCreationPeriodMonths"] = 12
    return row


def _order(world: World, body: dict[str, Any], now: float) -> Order:
    """Read a purchase. Raises Refusal for what the platform rejects before charging."""
    workspace = _workspace(world, text(body, "workspaceId"))
    names, contact = _sold_names(world, texts(body, "domains")), body.get("contactDetails")
    if not isinstance(contact, dict):
        raise Refusal(400, "contactDetails is required", "contactDetails")
    for member in REGISTRANT:
        text(contact, member)
    for name in names:
        world.infraforge.purchases.setdefault(name, Purchases()).asked += 1
    wanted = [name for name in names if _goes_through(world, workspace, name, now)]
    order = Order(
        id=f"ord_{world.hex_id('infraforge order', 12)}",
        workspace_id=workspace.id,
        cents=0,
        at=now,
        domains={name: price(world, "buy_domains", name) for name in wanted},
        dmarc_email=text(contact, "dmarcEmail", optional=True),
        forward_to=text(contact, "forwardToDomain", optional=True) or None,
    )
    order.cents = sum(order.domains.values())
    return order


def _goes_through(world: World, workspace: Workspace, name: str, now: float) -> bool:
    """Tell whether a name is bought with the others. Raises Refusal where the whole order ends with it."""
    owned, switches = world.infraforge.domain_named(name), world.switches
    if owned is not None and owned.status in OWNED:
        if switches.infraforge_owned_name == "refuse":
            raise Refusal(400, f"domain {name} already exists in your account")
        return True
    if world.faults.hits("partial_purchase", NAME, "buy_domains", name):
        return False
    if not is_taken(world, name) and not world.faults.hits("domain_taken", NAME, "buy_domains", name):
        return True
    world.infraforge.taken.add(name)
    if switches.infraforge_taken_in_order == "refuse_all":
        raise Refusal(400, f"domain {name} is not available")
    if switches.infraforge_taken_in_order == "failed_row":
        row = add_domain(world, workspace, name, 0, now, dmarc_email="", forward_to=None)
        row.status, row.failed_reason = "failed", "The domain is not available"
    return False


def _purchased(world: World, rows: list[dict[str, Any]], cents: int) -> Response:
    form = world.switches.infraforge_purchase_reply
    if form == "message":
        return json_response({"message": "Domains purchased"})
    if form == "array":
        return json_response(rows)
    invoice = {"id": f"inv_{world.hex_id('infraforge invoice', 12)}", "totalCents": cents}
    return json_response({"domains": rows, "invoice": invoice, "checkoutUrl": None})


def _checkout(world: World, rows: list[dict[str, Any]], order: Order) -> Response:
    invoice = {"id": f"inv_{order.id}", "totalCents": order.cents}
    return json_response({"domains": rows, "invoice": invoice, "checkoutUrl": checkout_link(world, order.id)})


def _affordable(world: World, verb: str, cents: int, items: Any, now: float) -> bool:
    short = world.faults.draw({"wallet_short"}, NAME, verb, items)
    return short is None and balance(world, now) >= cents


def _afford(world: World, verb: str, cents: int, items: Any, now: float) -> None:
    if not _affordable(world, verb, cents, items, now):
        raise Refusal(402, "Insufficient credits, please top up")


# Domains


def list_domains(world: World, request: Request, now: float) -> Response:
    """Only `search` works, as part of the name; other filters are ignored without a word."""
    part, lag = request.query.get("search", "").strip().lower(), world.faults.lag(NAME, "list_domains")
    rows = []
    for domain in world.infraforge.domains.values():
        if domain.created_at + lag <= now and part in domain.name:
            odd = world.faults.hits("unknown_status", NAME, "list_domains", domain.name)
            rows.append(_domain_row(domain) | ({"status": odd.value or "provisioning_queued"} if odd else {}))
    return _listing(world, "list_domains", "domains", rows)


def get_dns(world: World, request: Request, now: float, domain: str) -> Response:
    rows = [_record_row(record) for record in _domain(world, domain).records]
    return _listing(world, "get_dns", "records", rows)


def put_dns(world: World, request: Request, now: float, domain: str) -> Response:
    """Replaces everything: what is not sent is gone, editable or not."""
    found, rows = _domain(world, domain), objects(read_object(request), "records")
    records = []
    for row in rows:
        name = text(row, "name").lower()
        if name != found.name and not name.endswith(f".{found.name}"):
            raise Refusal(400, f"record name {name} is not part of the domain")
        records.append(Record(name, text(row, "type").upper(), text(row, "value"), row.get("editable") is not False))
    set_records(world, found, records, now)
    return Response(204)


def set_dmarc_bulk(world: World, request: Request, now: float) -> Response:
    body = read_object(request)
    policy = text(body, "dmarcPolicy", optional=True)
    if policy and policy not in POLICIES:
        raise Refusal(400, "dmarcPolicy must be one of none quarantine reject", "dmarcPolicy")
    found = [_domain_for_bulk(world, word) for word in texts(body, "domains")]
    for domain in found:
        set_dmarc(world, domain, policy, text(body, "dmarcEmail", optional=True), now)
        domain.forward_to = text(body, "forwardToDomain", optional=True) or domain.forward_to
    return Response(202)


def enable_autorenew(world: World, request: Request, now: float, domain: str = "") -> Response:
    return _switch_renewal(world, request, domain, "enabled")


def disable_autorenew(world: World, request: Request, now: float, domain: str = "") -> Response:
    return _switch_renewal(world, request, domain, "disabled")


def _switch_renewal(world: World, request: Request, domain_id: str, word: str) -> Response:
    ids = [domain_id] if domain_id else texts(read_object(request), "domainIds")
    for found in [_domain(world, one) for one in ids]:
        found.auto_renew = word if world.switches.infraforge_autorenew == "as_asked" else "failed"
    return Response(204)


def _domain(world: World, domain_id: str) -> Domain:
    found = world.infraforge.domains.get(domain_id)
    if found is None:
        raise Refusal(404, "domain not found")
    return found


def _domain_for_bulk(world: World, word: str) -> Domain:
    if world.switches.infraforge_bulk_dns_by == "id":
        return _domain(world, word)
    found = world.infraforge.domain_named(word.lower())
    if found is None:
        raise Refusal(404, f"domain {word} not found")
    return found


def _domain_row(domain: Domain) -> dict[str, Any]:
    label, _, ending = domain.name.partition(".")
    return {
        "id": domain.id,
        "sld": label,
        "tld": ending,
        "status": domain.status,
        "expiresAt": iso(domain.expires_at),
        "autoRenewStatus": domain.auto_renew,
        "workspaceId": domain.workspace_id,
        "forwardToDomain": domain.forward_to,
        "failedReason": domain.failed_reason,
    }


def _record_row(record: Record) -> dict[str, Any]:
    return {"name": record.name, "type": record.type, "value": record.value, "editable": record.editable}


# Mailboxes


def create_mailboxes(world: World, request: Request, now: float) -> Response:
    """Charged at once. The reply has no ids, and a password in the body is ignored."""
    boxes = [box for row in objects(read_object(request), "domains") for box in _new_mailboxes(world, row, now)]
    if not boxes:
        raise Refusal(400, "domains is required", "domains")
    addresses = [box.email for box in boxes]
    if len(set(addresses)) < len(addresses):
        raise Refusal(400, "email must be unique", "email")
    if not world.faults.draw({"nothing_happens"}, NAME, "create_mailboxes", addresses):
        cents = world.switches.infraforge_mailbox_price_cents
        _afford(world, "create_mailboxes", cents * len(boxes), addresses, now)
        for box in boxes:
            move(world, "mailbox", -cents, box.email, now, box.workspace_id)
            world.infraforge.mailboxes[box.id] = box
            start_mailbox(world, box, now)
    form = world.switches.infraforge_mailboxes_reply
    if form == "empty":
        return Response(202)
    if form == "message":
        return json_response({"message": "Mailboxes are being created"}, 202)
    return json_response({"mailboxes": [{"email": email, "status": "pending"} for email in addresses]}, 201)


def list_mailboxes(world: World, request: Request, now: float) -> Response:
    """Everything at once; `page`, `size` and `domain` are ignored."""
    workspace, part = request.query.get("workspace_id", ""), request.query.get("search", "").strip().lower()
    lag = world.faults.lag(NAME, "list_mailboxes")
    rows = []
    for box in world.infraforge.mailboxes.values():
        if box.created_at + lag <= now and workspace in ("", box.workspace_id) and part in box.email:
            odd = world.faults.hits("unknown_status", NAME, "list_mailboxes", box.email)
            row = _mailbox_row(world, request, box)
            rows.append(row | ({"status": odd.value or "provisioning_queued"} if odd else {}))
    return _listing(world, "list_mailboxes", "mailboxes", rows)


def get_mailbox(world: World, request: Request, now: float, mailbox: str) -> Response:
    return json_response(_mailbox_row(world, request, _mailbox(world, mailbox)))


def change_mailbox(world: World, request: Request, now: float, mailbox: str) -> Response:
    found, body = _mailbox(world, mailbox), read_object(request)
    password = text(body, "password", optional=True)
    if password and len(password) < 8:
        raise Refusal(400, "password must be at least 8 characters", "password")
    found.first_name = text(body, "firstName", optional=True) or found.first_name
    found.last_name = text(body, "lastName", optional=True) or found.last_name
    found.signature = text(body, "signature", optional=True) or found.signature
    found.forwarding_email = text(body, "forwardingEmail", optional=True) or found.forwarding_email
    if password:
        set_password(world, found, password, now)
    return Response(204)


def delete_mailbox(world: World, request: Request, now: float, mailbox: str) -> Response:
    remove_mailbox(world, _mailbox(world, mailbox))
    return Response(204)


def export_to_salesforge(world: World, request: Request, now: float) -> Response:
    """Starts an export; there is no job to follow."""
    body = read_object(request)
    source, target = _workspace(world, text(body, "fromWorkspaceId")), text(body, "toWorkspaceId")
    tag, warmforge = text(body, "tagName"), text(body, "toWarmforgeWorkspaceId", optional=True)
    if not world.switches.infraforge_salesforge_subscription:
        raise Refusal(400, "a Salesforge subscription is required")
    ids, without = texts(body, "includedIds", optional=True), texts(body, "excludedIds", optional=True)
    boxes = [
        box
        for box in world.infraforge.mailboxes.values()
        if box.workspace_id == source.id and (not ids or box.id in ids) and box.id not in without
    ]
    if not boxes:
        raise Refusal(400, "no mailboxes to export")
    if any(box.status != "active" for box in boxes):
        raise Refusal(400, "mailbox is not active")
    to = {"salesforge": target, **({"warmforge": warmforge} if warmforge else {})}
    if not world.faults.draw({"nothing_happens"}, NAME, "export_to_salesforge", [box.email for box in boxes]):
        start_export(world, boxes, to, tag, body.get("warmupActivated") is True, now)
    if world.switches.infraforge_export_reply == "message":
        return json_response({"message": "Export started"}, 202)
    return Response(202)


def _new_mailboxes(world: World, row: dict[str, Any], now: float) -> list[Mailbox]:
    """Read the mailboxes of one domain. Raises Refusal for what the platform rejects before charging."""
    domain = world.infraforge.domain_named(text(row, "domain").strip().lower())
    if domain is None:
        raise Refusal(404, "domain not found")
    if domain.status != "active":
        raise Refusal(400, f"domain {domain.name} is not active")
    rows, most = objects(row, "mailboxes"), world.switches.infraforge_mailboxes_per_domain
    if len(world.infraforge.mailboxes_of(domain)) + len(rows) > most:
        raise Refusal(400, f"limit of {most} mailboxes per domain exceeded")
    return [_new_mailbox(world, domain, wanted, now) for wanted in rows]


def _new_mailbox(world: World, domain: Domain, row: dict[str, Any], now: float) -> Mailbox:
    email = text(row, "email").strip().lower()
    if not ADDRESS.fullmatch(email) or email.partition("@")[2] != domain.name:
        raise Refusal(400, "email must be an address of the domain", "email")
    if world.infraforge.mailbox_at(email):
        raise Refusal(400, f"mailbox {email} already exists")
    first, last = text(row, "firstName"), text(row, "lastName")
    return Mailbox(
        id=f"mbx_{world.hex_id('infraforge mailbox', 12)}",
        domain_id=domain.id,
        domain=domain.name,
        email=email,
        workspace_id=domain.workspace_id,
        first_name=first,
        last_name=last,
        created_at=now,
        password=f"fm-{world.hex_id('infraforge password', 16)}",
        forwarding_email=text(row, "forwardingEmail", optional=True) or None,
        signature=text(row, "signature", optional=True),
    )


def _mailbox(world: World, mailbox_id: str) -> Mailbox:
    found = world.infraforge.mailboxes.get(mailbox_id)
    if found is None:
        raise Refusal(404, "mailbox not found")
    return found


def _mailbox_row(world: World, request: Request, box: Mailbox) -> dict[str, Any]:
    row: dict[str, Any] = {
        "id": box.id,
        "email": box.email,
        "firstName": box.first_name,
        "lastName": box.last_name,
        "domain": box.domain,
        "workspaceId": box.workspace_id,
        "status": box.status,
        "forwardingEmail": box.forwarding_email,
    }
    if request.query.get("with_credentials", "").lower() in ("true", "1"):
        row["credentials"] = _credentials(world, box)
    return row


def _credentials(world: World, box: Mailbox) -> dict[str, Any]:
    server = world.infraforge.workspaces[box.workspace_id].mailserver
    password = box.password if world.switches.infraforge_credentials == "with_passwords" else None
    ports = {"imap": 993, "smtp": 465}
    return {
        f"{kind}{member}": value
        for kind, port in ports.items()
        for member, value in (("Host", server), ("Port", port), ("Username", box.email), ("Password", password))
    }


# Money


def credit_balance(world: World, request: Request, now: float) -> Response:
    form = world.switches.infraforge_credits
    if form != "set_up" and not world.infraforge.credits:
        raise Refusal(404 if form == "never_404" else 400, "credits are not set up")
    return json_response({"availableAmountCents": balance(world, now), "topupSettings": {"isEnabled": False}})


# Words for the log


def items_of(request: Request) -> tuple[str, ...]:
    """Return names, addresses or ids that a request is about."""
    body = peek(request)
    match ROUTER.verb_of(request):
        case "create_mailboxes":
            return tuple(str(box["email"]) for row in body["domains"] for box in row["mailboxes"])
        case "export_to_salesforge":
            return tuple(map(str, body.get("includedIds") or ()))
        case "check_domains" | "buy_domains" | "transfer_domains" | "set_dmarc_bulk":
            return tuple(map(str, body["domains"]))
    if "domainIds" in body:
        return tuple(map(str, body["domainIds"]))
    found = ROUTER.find(request)
    named = [*(found[1].values() if found else ()), body.get("name") or request.query.get("search")]
    return tuple(str(one) for one in named if one)[:1]


def ref_of(world: World, request: Request) -> str:
    """Return the reference in the name of the workspace that what the request names belongs to."""
    state, body = world.infraforge, peek(request)
    words = [*items_of_safely(request), *map(str, (body.get("workspaceId"), body.get("fromWorkspaceId")))]
    words += [request.query.get("workspace_id", ""), request.query.get("search", "")]
    for word in words:
        owner = state.domains.get(word) or state.mailboxes.get(word) or state.domain_named(word.partition("@")[2])
        owner = owner or state.domain_named(word)
        workspace = state.workspaces.get(owner.workspace_id if owner else word)
        if workspace is not None and (match := re.search(r"GTM-[0-9A-Z]{6}", workspace.name)):
            return match.group()
    return ""


def items_of_safely(request: Request) -> tuple[str, ...]:
    try:
        return items_of(request)
    except (ValueError, TypeError, AttributeError, KeyError):
        return ()


def windows(world: World, verb: str, request: Request) -> list[Window]:
    """One bucket per key. Nothing is published; counting shows bursts."""
    return [Window("general", world.switches.infraforge_per_second, 1.0)]


ROUTER = Router(
    (
        Route("GET", "/workspaces", "list_workspaces", list_workspaces),
        Route("POST", "/workspaces", "create_workspace", create_workspace),
        Route("PATCH", "/workspaces/{workspace}", "set_ip", change_workspace),
        Route("DELETE", "/workspaces/{workspace}", "delete_workspace", delete_workspace),
        Route("GET", "/workspaces/{workspace}/eligible-ips", "eligible_ips", eligible_ips),
        Route("GET", "/credits/balance", "credit_balance", credit_balance),
        Route("GET", "/check-domain-availability", "check_domain", check_domain),
        Route("POST", "/check-domain-availability-bulk", "check_domains", check_domains),
        Route("POST", "/domains", "buy_domains", buy_domains),
        Route("GET", "/domains", "list_domains", list_domains),
        Route("PUT", "/domains/bulk-dns", "set_dmarc_bulk", set_dmarc_bulk),
        Route("POST", "/domains/bulk-enable-autorenew", "enable_autorenew", enable_autorenew),
        Route("POST", "/domains/bulk-disable-autorenew", "disable_autorenew", disable_autorenew),
        Route("POST", "/domains/transfer", "transfer_domains", transfer_domains),
        Route("GET", "/domains/transfer-ns-info", "transfer_nameservers", transfer_nameservers),
        Route("GET", "/domains/{domain}/dns", "get_dns", get_dns),
        Route("PUT", "/domains/{domain}/dns", "put_dns", put_dns),
        Route("PUT", "/domains/{domain}/enable-autorenew", "enable_autorenew", enable_autorenew),
        Route("PUT", "/domains/{domain}/disable-autorenew", "disable_autorenew", disable_autorenew),
        Route("POST", "/mailboxes", "create_mailboxes", create_mailboxes),
        Route("GET", "/mailboxes", "list_mailboxes", list_mailboxes),
        Route("POST", "/mailboxes/export-to-salesforge", "export_to_salesforge", export_to_salesforge),
        Route("GET", "/mailboxes/{mailbox}", "get_mailbox", get_mailbox),
        Route("PATCH", "/mailboxes/{mailbox}", "set_password", change_mailbox),
        Route("DELETE", "/mailboxes/{mailbox}", "delete_mailbox", delete_mailbox),
    ),
)

PLATFORM = Platform(
    name=NAME,
    prefix="/infraforge/public",
    handle=handle,
    verb_of=ROUTER.verb_of,
    items_of=items_of,
    reads=frozenset(
        {
            "list_workspaces",
            "eligible_ips",
            "credit_balance",
            "check_domain",
            "check_domains",
            "list_domains",
            "transfer_nameservers",
            "get_dns",
            "list_mailboxes",
            "get_mailbox",
        },
    ),
    on_event=on_event,
    error=error,
    windows=windows,
    key_of=lambda request: request.header("authorization"),
    ref_of=ref_of,
    snapshot=snapshot,
    records_of=records_of,
    # A virtual second of the demo lasts a sixtieth: nobody could keep a limit per second in it.
    quota_in_real_time=True,
    fault_kinds=frozenset({"partial_purchase", "failing_domains"}),
)
