"""Salesforge, simulated (platforms/salesforge.md, section 6). Holds sending mailboxes; sequences and contacts are left out."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit

from . import mailhost, warmforge
from .http import Request, Response, json_response, text_response
from .platforms import Platform, Route, Router
from .quota import Window
from .reading import Refusal, peek, read_object, text, whole

if TYPE_CHECKING:
    from .world import World

NAME = "salesforge"
API_KEY = "sandbox-salesforge-key"
ACCOUNT = "acc_000000000002"
PREFIX = "/salesforge/public/v2"
DOORS = ("smtp", "imap")
LOST = "Authentication failed"
LIMIT, OFFSET = "limit", "offset"
FILTERS = frozenset(
    {
        "statuses[]",
        "mailbox_ids[]",
        "excluded_mailbox_ids[]",
        "search",
        "tag_ids[]",
        "not_tag_ids[]",
        "addresses[]",
        "status_criteria",
        "statuses_criteria",
    }
)


@dataclass
class Workspace:
    """One workspace of the operator's account. Nothing removes it."""

    id: str
    name: str
    created_at: float


@dataclass
class Mailbox:
    """A sending mailbox. `passwords` are those it is reached by, by door; no answer ever shows them."""

    id: str
    workspace_id: str
    address: str
    first_name: str
    last_name: str
    via: str
    created_at: float
    ready_at: float  # when it stops being connected
    passwords: dict[str, str]
    daily_limit: int = 30
    signature: str = ""
    tracking_domain: str | None = None
    tags: list[str] = field(default_factory=list)  # ids
    is_deleted: bool = False


@dataclass
class Consent:
    """A page at which somebody is asked to hand over a mailbox of Google or Microsoft."""

    token: str
    workspace_id: str
    redirect_url: str
    email: str


@dataclass
class SalesforgeState:
    """What the platform holds. `tags`: (workspace, name) -> id."""

    workspaces: dict[str, Workspace] = field(default_factory=dict)
    mailboxes: dict[str, Mailbox] = field(default_factory=dict)
    tags: dict[tuple[str, str], str] = field(default_factory=dict)
    consents: dict[str, Consent] = field(default_factory=dict)


def handle(world: World, request: Request, now: float) -> Response:
    """Answer one request. The consent page is for people, who have no key."""
    found = ROUTER.find(request)
    is_page = found is not None and found[0].verb == "consent"
    revoked = world.faults.standing("key_revoked", NAME, "")
    if not is_page and (request.header("authorization") != API_KEY or revoked):
        return error(world, 401, "invalid api key")
    if found is None:
        return error(world, 404, "not found")
    route, names = found
    try:
        if "workspace" in names:
            _workspace(world, names["workspace"])
        return route.function(world, request, now, **names)
    except Refusal as refused:
        return error(world, refused.status, refused.sentence)


def error(world: World, status: int, sentence: str) -> Response:
    return json_response({"message": sentence, "data": None}, status)


def me(world: World, request: Request, now: float) -> Response:
    return json_response({"accountId": ACCOUNT, "apiKeyName": "sandbox"})


# Workspaces


def list_workspaces(world: World, request: Request, now: float) -> Response:
    _known_names(world, request, frozenset())
    lag = world.faults.lag(NAME, "list_workspaces")
    seen = [one for one in world.salesforge.workspaces.values() if one.created_at + lag <= now]
    rows = [_workspace_row(one) for one in world.faults.ordered(NAME, "list_workspaces", seen)]
    return _page(world, request, rows)


def create_workspace(world: World, request: Request, now: float) -> Response:
    """A second one of the same name is a second one."""
    name = text(read_object(request), "name")
    if len(name) > 100:
        raise Refusal(400, "name must be at most 100 characters")
    made = Workspace(f"wks_{world.hex_id('salesforge workspace', 12)}", name, now)
    world.salesforge.workspaces[made.id] = made
    return json_response(_workspace_row(made), 201)


def get_workspace(world: World, request: Request, now: float, workspace: str) -> Response:
    return json_response(_workspace_row(_workspace(world, workspace)))


def _workspace_row(one: Workspace) -> dict[str, Any]:
    slug = re.sub(r"[^a-z0-9]+", "-", one.name.lower()).strip("-")
    return {"id": one.id, "accountId": ACCOUNT, "name": one.name, "slug": slug}


# Mailboxes


def list_mailboxes(world: World, request: Request, now: float, workspace: str) -> Response:
    """Ten rows unless `limit` says more; a filter is a name in brackets, once for each value."""
    _known_names(world, request, FILTERS)
    given: dict[str, set[str]] = {}
    for name, value in request.pairs:
        given.setdefault(name, set()).add(value)
    addresses = {address.lower() for address in given.get("addresses[]", ())}
    lag = world.faults.lag(NAME, "list_mailboxes")
    rows = []
    for one in world.salesforge.mailboxes.values():
        if one.workspace_id != workspace or one.created_at + lag > now or _is_hidden(world, one):
            continue
        row = _mailbox_row(world, one, now)
        statuses, tags = given.get("statuses[]"), given.get("tag_ids[]")
        if (
            (not addresses or one.address in addresses)
            and (statuses is None or row["status"] in statuses)
            and (tags is None or tags & set(one.tags))
            and not given.get("not_tag_ids[]", set()) & set(one.tags)
            and one.id in given.get("mailbox_ids[]", {one.id})
            and one.id not in given.get("excluded_mailbox_ids[]", ())
            and request.query.get("search", "").lower() in one.address
        ):
            rows.append(row)
    return _page(world, request, world.faults.ordered(NAME, "list_mailboxes", rows))


def connect_mailbox(world: World, request: Request, now: float, workspace: str) -> Response:
    """Both logins are tried first; what is refused leaves nothing behind."""
    body, switches = read_object(request), world.switches
    if switches.salesforge_credits == "used_up":
        raise Refusal(402, "credits used up")
    address = text(body, "address").strip().lower()
    first_name, last_name = text(body, "firstName"), text(body, "lastName")
    doors = {door: _door(body, door) for door in DOORS}
    daily = whole(body, "dailyEmailLimit", 30, low=1)
    if daily > switches.salesforge_daily_cap:
        raise Refusal(400, f"dailyEmailLimit must be at most {switches.salesforge_daily_cap}")
    tracking = text(body, "trackingDomain", optional=True) or None
    known = next((one for one in _live(world) if one.address == address), None)
    if known is not None and known.workspace_id != workspace:
        raise Refusal(int(switches.salesforge_other_workspace), "mailbox is connected in another workspace")
    if known is not None and now < known.ready_at:
        raise Refusal(409, "mailbox is being connected right now")
    if known is not None and switches.salesforge_same_workspace == "same":
        return json_response(_mailbox_row(world, known, now))
    if known is not None:
        raise Refusal(int(switches.salesforge_same_workspace), "mailbox is already connected")
    _try_doors(world, address, doors)
    made = _make(world, now, workspace, address, first_name, last_name, "smtp", doors)
    made.daily_limit, made.tracking_domain = daily, tracking
    made.signature = text(body, "signature", optional=True)
    _reach_warmforge(world, now, made)
    return json_response(_mailbox_row(world, made, now), 201)


def get_mailbox(world: World, request: Request, now: float, workspace: str, mailbox: str) -> Response:
    return json_response(_mailbox_row(world, _mailbox(world, workspace, mailbox), now))


def update_mailbox(world: World, request: Request, now: float, workspace: str, mailbox: str) -> Response:
    box, body = _mailbox(world, workspace, mailbox), read_object(request)
    daily = whole(body, "dailyEmailLimit", box.daily_limit, low=1)
    if daily > 100:
        raise Refusal(400, "dailyEmailLimit must be between 1 and 100")
    names = {
        member: text(body, name, optional=name == "signature")
        for name, member in (("firstName", "first_name"), ("lastName", "last_name"), ("signature", "signature"))
        if name in body
    }
    if "trackingDomain" in body:
        box.tracking_domain = text(body, "trackingDomain", optional=True) or None
    for member, value in names.items():
        setattr(box, member, value)
    box.daily_limit = daily
    return json_response(_mailbox_row(world, box, now))


def update_connection_settings(world: World, request: Request, now: float, workspace: str, mailbox: str) -> Response:
    """Tried before they are kept; a door that was left out stays as it was."""
    box, body = _mailbox(world, workspace, mailbox), read_object(request)
    doors = {door: _door(body, door) for door in DOORS if door in body}
    if not doors:
        raise Refusal(400, "smtp or imap is required")
    _try_doors(world, box.address, doors)
    box.passwords |= doors
    return Response(204)


def delete_mailbox(world: World, request: Request, now: float, workspace: str, mailbox: str) -> Response:
    """Mark it as deleted; at its provider it stays."""
    _mailbox(world, workspace, mailbox).is_deleted = True
    return Response(204)


def arrive(
    world: World,
    now: float,
    *,
    workspace_id: str,
    address: str,
    first_name: str,
    last_name: str,
    tag: str = "",
    via: str = "export",
) -> Mailbox | None:
    """Let a mailbox appear that InfraForge exports, with the password it has at that moment.

    Without any, because none was set before the export, its logins fail.
    A second arrival in the same workspace changes nothing. None where it cannot appear: the workspace is not there, the
    address is connected in another one, or the fault `accounts_lost` is on. By switch it appears twice.
    """
    address = address.strip().lower()
    if workspace_id not in world.salesforge.workspaces:
        return None
    if world.faults.hits("accounts_lost", NAME, "list_mailboxes", address):
        return None
    known = next((one for one in _live(world) if one.address == address), None)
    if known is not None:
        return known if known.workspace_id == workspace_id else None
    passwords = dict.fromkeys(DOORS, mailhost.password_of(world, address) or "")
    names = (address, first_name, last_name, via)
    made = _make(world, now, workspace_id, *names, passwords)
    twin = _make(world, now, workspace_id, *names, passwords) if world.switches.salesforge_export == "doubled" else made
    if tag:
        tag_id = _tag(world, workspace_id, tag)
        made.tags, twin.tags = [tag_id], [tag_id]
    return made


def _make(
    world: World,
    now: float,
    workspace_id: str,
    address: str,
    first_name: str,
    last_name: str,
    via: str,
    passwords: dict[str, str],
) -> Mailbox:
    ready_at = now + world.uniform(world.switches.salesforge_connect_seconds, "salesforge connect", address)
    made = Mailbox(
        id=f"mbx_{world.hex_id('salesforge mailbox', 12)}",
        workspace_id=workspace_id,
        address=address,
        first_name=first_name,
        last_name=last_name,
        via=via,
        created_at=now,
        ready_at=ready_at,
        passwords=dict(passwords),
    )
    world.salesforge.mailboxes[made.id] = made
    return made


def _live(world: World) -> list[Mailbox]:
    return [one for one in world.salesforge.mailboxes.values() if not one.is_deleted]


def _is_hidden(world: World, box: Mailbox) -> bool:
    return box.is_deleted and world.switches.salesforge_deleted == "gone"


def _reach_warmforge(world: World, now: float, box: Mailbox) -> None:
    """By switch a mailbox appears in Warmforge too, in the workspace of the same name."""
    if world.switches.salesforge_reaches_warmforge != "always":
        return
    name = world.salesforge.workspaces[box.workspace_id].name
    for workspace in world.warmforge.workspaces.values():
        if workspace.name == name:
            made = warmforge.arrive(
                world,
                now,
                workspace_id=workspace.id,
                address=box.address,
                first_name=box.first_name,
                last_name=box.last_name,
                via="salesforge",
            )
            if made is not None:
                made.passwords = dict(box.passwords)  # a mailbox of Google's comes without any


def _door(body: dict[str, Any], name: str) -> str:
    """Read one door of a request and return its password."""
    door = body.get(name)
    if not isinstance(door, dict):
        raise Refusal(400, f"{name} is required")
    text(door, "host")
    text(door, "username")
    if whole(door, "port", low=1) > 65_535:
        raise Refusal(400, f"{name}.port must be at most 65535")
    return text(door, "password")


def _try_doors(world: World, address: str, doors: dict[str, str]) -> None:
    for door, password in doors.items():
        if not mailhost.opens(world, address, password):
            raise Refusal(400, f"{door.upper()} login failed: authentication failed")


def _status(world: World, box: Mailbox, now: float) -> str:
    """Return its state: logins are tried again at every check."""
    if box.is_deleted:
        return "deleted"
    if world.faults.standing("account_disconnected", NAME, "list_mailboxes", box.address):
        return "access_lost"
    if now < box.ready_at:
        return "pending"
    every = max(1.0, world.switches.salesforge_check_seconds)
    checked_at = box.ready_at + int((now - box.ready_at) / every) * every
    opened = all(mailhost.opens(world, box.address, password, at=checked_at) for password in box.passwords.values())
    return "active" if opened else "access_lost"


def _mailbox_row(world: World, box: Mailbox, now: float) -> dict[str, Any]:
    """Show a mailbox. There are no warmup fields, and never a password."""
    odd = world.faults.hits("unknown_status", NAME, "list_mailboxes", box.address)
    status = odd.value or "frozen" if odd else _status(world, box, now)
    return {
        "id": box.id,
        "address": box.address,
        "firstName": box.first_name,
        "lastName": box.last_name,
        "mailboxProvider": "gmail" if box.via == "oauth" else "smtp",
        "status": status,
        "disconnectReason": LOST if status == "access_lost" else None,
        "dailyEmailLimit": box.daily_limit,
        "signature": box.signature,
        "resolvedSignature": box.signature,
        "trackingDomain": box.tracking_domain,
        "trackingDomainStatus": "pending" if box.tracking_domain else None,
    }


# Tags


def list_tags(world: World, request: Request, now: float, workspace: str) -> Response:
    _known_names(world, request, frozenset({"search", "caseSensitive"}))
    part = request.query.get("search", "").lower()
    tags = world.salesforge.tags.items()
    rows = [
        {"id": tag_id, "name": name} for (place, name), tag_id in tags if place == workspace and part in name.lower()
    ]
    return _page(world, request, rows)


def _tag(world: World, workspace_id: str, name: str) -> str:
    tags = world.salesforge.tags
    if (workspace_id, name) not in tags:
        tags[workspace_id, name] = f"ltg_{world.hex_id('salesforge tag', 12)}"
    return tags[workspace_id, name]


# Consent


def oauth_link(world: World, request: Request, now: float, workspace: str) -> Response:
    body = read_object(request)
    provider, target = text(body, "provider"), text(body, "redirectUrl")
    parts = urlsplit(target)
    if provider not in ("google", "outlook"):
        raise Refusal(400, "provider must be google or outlook")
    if parts.scheme != "https" or not parts.hostname or parts.fragment or parts.username is not None:
        raise Refusal(400, "redirectUrl must be an absolute https address without fragment and credentials")
    made = Consent(world.hex_id("salesforge consent"), workspace, target, text(body, "email", optional=True))
    world.salesforge.consents[made.token] = made
    return json_response({"url": f"{world.public_url}{PREFIX}/consent/{made.token}"})


def show_consent(world: World, request: Request, now: float, token: str) -> Response:
    """Ask the way Google or Microsoft would; which address is given is up to whoever sits before the page."""
    consent = _consent(world, token)
    page = (
        "<!doctype html><html lang='en'><title>Consent, simulated</title><h1>Hand over a mailbox (simulated)</h1>"
        f"<form method='post'><label>Address <input name='email' value='{escape(consent.email)}'></label>"
        "<button name='answer' value='allow'>Allow</button><button name='answer' value='deny'>Deny</button></form></html>"
    )
    return text_response(page, kind="text/html")


def answer_consent(world: World, request: Request, now: float, token: str) -> Response:
    consent = _consent(world, token)
    try:
        form = dict(request.form())
    except UnicodeDecodeError as problem:
        raise Refusal(400, "not a form") from problem
    address = form.get("email", "").strip().lower()
    if form.get("answer") == "allow" and "@" in address:
        made = _make(world, now, consent.workspace_id, address, "", "", "oauth", {})
        _reach_warmforge(world, now, made)
        words = {"mailboxId": made.id, "address": address}
    else:
        words = {"connection_status": "failed", "error": "access_denied"}
    del world.salesforge.consents[token]
    joint = "&" if urlsplit(consent.redirect_url).query else "?"
    return Response(303, {"location": f"{consent.redirect_url}{joint}{urlencode(words)}"})


def _consent(world: World, token: str) -> Consent:
    found = world.salesforge.consents.get(token)
    if found is None:
        raise Refusal(404, "consent not found")
    return found


# Reading


def _known_names(world: World, request: Request, names: frozenset[str]) -> None:
    unknown = {name for name, _ in request.pairs} - names - {LIMIT, OFFSET}
    if unknown and world.switches.salesforge_unknown_query == "refuse":
        raise Refusal(400, f"unknown query parameter: {min(unknown)}")


def _page(world: World, request: Request, rows: list[dict[str, Any]]) -> Response:
    limit, offset = whole(request.query, LIMIT, 10, low=1), whole(request.query, OFFSET, 0)
    limit = min(limit, max(1, world.switches.salesforge_page_most))
    shown = rows[offset : offset + limit]
    return json_response({"data": shown, "limit": limit, "offset": offset, "total": len(rows)})


def _workspace(world: World, workspace: str) -> Workspace:
    if world.switches.salesforge_scope == "none":
        raise Refusal(403, "workspace is out of scope")
    found = world.salesforge.workspaces.get(workspace)
    if found is None:
        raise Refusal(404, "workspace not found")
    return found


def _mailbox(world: World, workspace: str, mailbox: str) -> Mailbox:
    found = world.salesforge.mailboxes.get(mailbox)
    if found is None or found.workspace_id != workspace or _is_hidden(world, found):
        raise Refusal(404, "mailbox not found")
    return found


# Words for the log


def items_of(request: Request) -> tuple[str, ...]:
    """Return the address, the mailbox's id or the workspace name that a request is about."""
    found = re.search(r"/mailboxes/([^/]+)", request.path)
    if found and found[1] != "oauth-link":
        return (found[1],)
    addresses = tuple(value for name, value in request.pairs if name == "addresses[]")
    body = peek(request)
    value = body.get("address") or body.get("name")
    return addresses or ((value,) if isinstance(value, str) and value else ())


def ref_of(world: World, request: Request) -> str:
    """Return the reference in the name of the workspace that a request is about."""
    found = re.match(r"/workspaces/([^/]+)", request.path)
    workspace = world.salesforge.workspaces.get(found[1]) if found else None
    match = re.search(r"GTM-[0-9A-Z]{6}", workspace.name) if workspace else None
    return match.group() if match else ""


def windows(world: World, verb: str, request: Request) -> list[Window]:
    return [] if verb == "consent" else [Window("general", world.switches.salesforge_per_second, 1.0)]


def snapshot(world: World, now: float) -> dict[str, Any]:
    """Return everything but passwords."""
    state = world.salesforge
    names = {tag_id: name for (_, name), tag_id in state.tags.items()}
    return {
        "workspaces": [{"id": one.id, "name": one.name} for one in state.workspaces.values()],
        "mailboxes": [
            {
                "id": one.id,
                "email": one.address,
                "workspace_id": one.workspace_id,
                "status": _status(world, one, now),
                "daily_limit": one.daily_limit,
                "tags": [names[tag] for tag in one.tags],
                "first_name": one.first_name,
                "last_name": one.last_name,
                "via": one.via,
                "created_at": one.created_at,
            }
            for one in state.mailboxes.values()
        ],
    }


_BOXES = "/workspaces/{workspace}/mailboxes"

ROUTER = Router(
    (
        Route("GET", "/me", "me", me),
        Route("GET", "/workspaces", "list_workspaces", list_workspaces),
        Route("POST", "/workspaces", "create_workspace", create_workspace),
        Route("GET", "/workspaces/{workspace}", "get_workspace", get_workspace),
        Route("GET", _BOXES, "list_mailboxes", list_mailboxes),
        Route("POST", _BOXES, "connect_mailbox", connect_mailbox),
        Route("POST", f"{_BOXES}/oauth-link", "oauth_link", oauth_link),
        Route("GET", _BOXES + "/{mailbox}", "get_mailbox", get_mailbox),
        Route("PATCH", _BOXES + "/{mailbox}", "update_mailbox", update_mailbox),
        Route("DELETE", _BOXES + "/{mailbox}", "delete_mailbox", delete_mailbox),
        Route(
            "PATCH", _BOXES + "/{mailbox}/connection-settings", "update_connection_settings", update_connection_settings
        ),
        Route("GET", "/workspaces/{workspace}/tags", "list_tags", list_tags),
        Route("GET", "/consent/{token}", "consent", show_consent),
        Route("POST", "/consent/{token}", "consent", answer_consent),
    ),
)

PLATFORM = Platform(
    name=NAME,
    prefix=PREFIX,
    handle=handle,
    verb_of=ROUTER.verb_of,
    items_of=items_of,
    reads=frozenset({"me", "list_workspaces", "get_workspace", "list_mailboxes", "get_mailbox", "list_tags"}),
    error=error,
    windows=windows,
    key_of=lambda request: request.header("authorization"),
    ref_of=ref_of,
    snapshot=snapshot,
    quota_in_real_time=True,
)
