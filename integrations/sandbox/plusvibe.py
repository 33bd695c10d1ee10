"""PlusVibe (PIPL), simulated (platforms/plusvibe.md, section 6). Sends cold e-mail and warms mailboxes."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from . import warmup
from .clock import iso
from .http import Request, Response, json_response
from .platforms import Platform, Route, Router
from .quota import Window
from .reading import Refusal, objects, peek, read_object, text, texts, whole
from .seeds import fraction

if TYPE_CHECKING:
    from .world import World

NAME = "plusvibe"
API_KEY = "sandbox-plusvibe-key"
AGENCY = "65f0c0ffee00000000000001"
ORGANISATION = "65f0c0ffee00000000000009"
HEX_ID = re.compile(r"[0-9a-f]{24}")
PERMISSIONS = frozenset({"UNIBOX_FULL_ACCESS", "FULL_ACCESS"})
YES_NO = ("yes", "no")
GOOGLE, MICROSOFT, REGULAR = "GOOGLE_WORKSPACE", "MICROSOFT365", "REGULAR_ACCOUNT"
DAY = 86_400.0


@dataclass
class Workspace:
    """One workspace of the operator's account."""

    id: str
    name: str
    created_at: float


@dataclass
class Access:
    """What a client may do in one workspace."""

    workspace_id: str
    permissions: list[str]
    hide_labels: list[str]


@dataclass
class Client:
    """A client login. Its password leaves the platform once, in the answer to its creation."""

    id: str
    email: str
    first_name: str
    last_name: str
    business_name: str
    password: str
    created_at: float
    access: list[Access]
    status: str = "ACTIVE"


@dataclass
class Account:
    """A mailbox that PlusVibe sends from. `settings` are named as `payload` shows them, reply rate in percent."""

    id: str
    workspace_id: str
    email: str
    first_name: str
    last_name: str
    provider: str
    via: str
    created_at: float
    updated_at: float
    status: str = "ACTIVE"
    warmup_status: str = "INACTIVE"
    warmup_enabled_at: float | None = None
    warmed: float = 0.0  # virtual seconds of warmup before it was switched off last
    cold_since: float | None = None
    profile: str = ""  # how its figures develop; empty: as the switch says
    tags: list[str] = field(default_factory=list)
    settings: dict[str, Any] = field(
        default_factory=lambda: {
            "daily_limit": 50,
            "sending_gap": 10,
            "limit": 20,
            "increment": 1,
            "initial_daily_limit": 1,
            "reply_rate": 20,
            "randomize": "no",
            "randomize_num": 10,
            "warmup_slow_rampup": "no",
            "camp_slow_rampup": "no",
            "rampup_daily_limit": 0,
            "rampup_daily_inc": 0,
            "warmup_business_type": "",
            "signature": "",
            "warmup_signature": "",
            "reply_to": "",
            "schedule": None,
        },
    )


@dataclass
class PlusVibeState:
    """What the platform holds."""

    workspaces: dict[str, Workspace] = field(default_factory=lambda: {AGENCY: Workspace(AGENCY, "Agency", 0.0)})
    clients: dict[str, Client] = field(default_factory=dict)
    deleted_emails: set[str] = field(default_factory=set)
    accounts: dict[str, Account] = field(default_factory=dict)


def handle(world: World, request: Request, now: float) -> Response:
    """Answer one request. A wrong verb is an unknown page, never 405; trailing slashes count."""
    found = ROUTER.find(request)
    if found is None:
        return error(world, 404, "Page not found")
    if request.header("x-api-key") != API_KEY or world.faults.standing("key_revoked", NAME, ""):
        return error(world, world.switches.plusvibe_unauthorised_status, "Invalid API key")
    try:
        given = request.query if request.method == "GET" else read_object(request)
        return found[0].function(world, given, now)
    except Refusal as refusal:
        return error(world, refusal.status, refusal.sentence)


def error(world: World, status: int, sentence: str) -> Response:
    """Word an error in one of the three forms that have been seen."""
    shape = world.switches.plusvibe_error_shape
    return json_response({shape: [sentence] if shape == "errors" else sentence}, status)


# Workspaces


def authenticate(world: World, given: dict[str, Any], now: float) -> Response:
    lag = world.faults.lag(NAME, "authenticate")
    seen = [item for item in world.plusvibe.workspaces.values() if item.created_at + lag <= now]
    rows = [{"_id": item.id, "name": item.name} for item in world.faults.ordered(NAME, "authenticate", seen)]
    return json_response({"status": "success", "workspaces": rows})


def create_workspace(world: World, given: dict[str, Any], now: float) -> Response:
    _workspace(world, given)
    name, state, switches = text(given, "workspace_name"), world.plusvibe, world.switches
    if switches.plusvibe_duplicate_workspace == "refuse" and any(w.name == name for w in state.workspaces.values()):
        raise Refusal(400, "Workspace name already exists")
    if switches.plusvibe_max_workspaces and len(state.workspaces) >= switches.plusvibe_max_workspaces:
        raise Refusal(400, "Workspace limit of your plan reached")
    made = Workspace(world.hex_id("plusvibe workspace"), name, now)
    state.workspaces[made.id] = made
    return json_response({"status": "success", "_id": made.id})


# Clients


def create_client(world: World, given: dict[str, Any], now: float) -> Response:
    """The only answer that ever holds the password. Names are `client_*` here and different in the list."""
    _workspace(world, given)
    names = ("client_email", "client_first_name", "client_last_name", "client_business_name")
    email, first, last, business = (text(given, name) for name in names)
    email = email.strip().lower()
    if not re.fullmatch(r"[^@\s]+@[^@\s]+\.[^@\s]+", email):
        raise Refusal(400, "client_email is not an e-mail address")
    access = _access(world, given)
    _check_email_is_free(world, email)
    if world.switches.plusvibe_max_clients and len(world.plusvibe.clients) >= world.switches.plusvibe_max_clients:
        raise Refusal(400, "Client limit of your plan reached")
    password = "Pv" + world.hex_id("plusvibe password", 18)
    made = Client(world.hex_id("plusvibe client"), email, first, last, business, password, now, access)
    world.plusvibe.clients[made.id] = made
    reply = {"client_id": made.id, "email": email, "password": password}
    match world.switches.plusvibe_create_client_reply:
        case "data":
            return json_response({"status": "success", "data": reply})
        case "no_password":
            return json_response({"status": "success", "client_id": made.id})
    return json_response(reply)


def list_clients(world: World, given: dict[str, Any], now: float) -> Response:
    """All clients of the account. Never a password."""
    _workspace(world, given)
    lag = world.faults.lag(NAME, "list_clients")
    seen = [client for client in world.plusvibe.clients.values() if client.created_at + lag <= now]
    return json_response(
        {"clients": [_client_row(client) for client in world.faults.ordered(NAME, "list_clients", seen)]}
    )


def update_client(world: World, given: dict[str, Any], now: float) -> Response:
    client = _client(world, given)
    access = _access(world, given) if "workspaces" in given else client.access
    for name, member in (("client_first_name", "first_name"), ("first_name", "first_name")):
        if name in given:
            setattr(client, member, text(given, name))
    for name in ("client_last_name", "client_business_name"):
        if name in given:
            setattr(client, name.removeprefix("client_"), text(given, name))
    client.access = access
    return json_response({"status": "success"})


def set_client_status(world: World, given: dict[str, Any], now: float) -> Response:
    client, status = _client(world, given), given.get("status")
    if status not in ("ACTIVE", "INACTIVE"):
        raise Refusal(400, "status is ACTIVE or INACTIVE")
    client.status = status
    return json_response({"status": "success"})


def delete_client(world: World, given: dict[str, Any], now: float) -> Response:
    client = _client(world, given)
    del world.plusvibe.clients[client.id]
    world.plusvibe.deleted_emails.add(client.email)
    return json_response({"status": "success"})


@dataclass(frozen=True)
class Login:
    """A client login as another tool sees it after signing in."""

    workspaces: tuple[str, ...]
    may_add: tuple[str, ...]


def login(world: World, email: str, password: str) -> Login | None:
    """Sign a client in. None when e-mail and password open nothing."""
    for client in world.plusvibe.clients.values():
        if client.email == email.strip().lower() and client.password == password and client.status == "ACTIVE":
            sufficient = {"FULL_ACCESS"}
            if world.switches.plusvibe_inbox_permission == "sufficient":
                sufficient.add("UNIBOX_FULL_ACCESS")
            allowed = tuple(a.workspace_id for a in client.access if sufficient & set(a.permissions))
            return Login(tuple(a.workspace_id for a in client.access), allowed)
    return None


def workspaces_of_login(world: World, email: str, password: str) -> list[str] | None:
    """Return the ids of the workspaces a login sees, None when it opens nothing."""
    found = login(world, email, password)
    return list(found.workspaces) if found else None


def _check_email_is_free(world: World, email: str) -> None:
    taken = any(client.email == email for client in world.plusvibe.clients.values())
    rule = world.switches.plusvibe_duplicate_email
    if rule == "elsewhere":
        raise Refusal(400, "This e-mail is already a user of another account")
    if taken and rule == "refuse":
        raise Refusal(400, "Client with this e-mail already exists")
    if email in world.plusvibe.deleted_emails and world.switches.plusvibe_deleted_email == "blocked":
        raise Refusal(400, "This e-mail cannot be used again")


def _access(world: World, given: dict[str, Any]) -> list[Access]:
    rows, member = objects(given, "workspaces"), world.switches.plusvibe_client_workspace_item
    if not rows:
        raise Refusal(400, "workspaces must not be empty")
    access = []
    for row in rows:
        workspace = _workspace(world, row, member)
        permissions = texts(row, "permissions")
        if not permissions or not set(permissions) <= PERMISSIONS:
            raise Refusal(400, "permissions are unknown")
        access.append(Access(workspace.id, permissions, texts(row, "hide_labels", optional=True)))
    return access


def _client_row(client: Client) -> dict[str, Any]:
    return {
        "client_id": client.id,
        "first_name": client.first_name,
        "last_name": client.last_name,
        "client_email": client.email,
        "client_business_name": client.business_name,
        "status": client.status,
        "client_permissions": [
            {"org_id": ORGANISATION, "workspace_id": item.workspace_id, "permissions": item.permissions}
            for item in client.access
        ],
    }


# Accounts


def arrive(
    world: World,
    workspace_id: str,
    email: str,
    *,
    first_name: str,
    last_name: str,
    provider: str,
    via: str,
    now: float,
) -> Account | None:
    """Let a mailbox appear in a workspace, warmup off. A second arrival there changes nothing."""
    state = world.plusvibe
    if workspace_id not in state.workspaces or world.faults.hits("accounts_lost", NAME, "list_accounts", email):
        return None
    for known in state.accounts.values():
        if (known.workspace_id, known.email) == (workspace_id, email):
            return known
    account_id = world.hex_id("plusvibe account")
    made = Account(account_id, workspace_id, email, first_name, last_name, provider, via, now, now)
    state.accounts[account_id] = made
    if world.switches.plusvibe_warmup_on_arrival == "ACTIVE":
        _switch_warmup(made, "ACTIVE", now)
    return made


def list_accounts(world: World, given: dict[str, Any], now: float) -> Response:
    workspace = _workspace(world, given)
    skip, limit = whole(given, "skip", 0), whole(given, "limit", 100, low=1)
    part, tag = text(given, "email", optional=True).lower(), text(given, "tags", optional=True)
    lag = world.faults.lag(NAME, "list_accounts")
    seen = [
        account
        for account in world.plusvibe.accounts.values()
        if account.workspace_id == workspace.id
        and account.created_at + lag <= now
        and part in account.email
        and (not tag or tag in account.tags)
    ]
    page = world.faults.ordered(NAME, "list_accounts", seen)[skip : skip + min(limit, 100)]
    return json_response({"accounts": [_account_row(world, item, now) for item in page]})


def account_status(world: World, given: dict[str, Any], now: float) -> Response:
    account = _account(world, given)
    row = _account_row(world, account, now)
    return json_response({"status": row["status"], "warmup_status": row["warmup_status"], "email": account.email})


def update_accounts(world: World, given: dict[str, Any], now: float) -> Response:
    """Only the members that were sent change. The reply rate comes in as a fraction and is kept in percent."""
    accounts = _accounts(world, given)
    changes = _changes(given)
    names = world.switches.plusvibe_names_in_bulk_update
    for account in accounts:
        account.settings.update(changes)
        account.updated_at = now
        for name in ("first_name", "last_name"):
            if names and isinstance(given.get(name), str):
                setattr(account, name, given[name])
    if world.switches.plusvibe_bulk_update_reply == "empty":
        return json_response({})
    return json_response({"status": "success"})


def set_warmup(world: World, given: dict[str, Any], now: float) -> Response:
    status = given.get("warmup_status")
    if status not in ("ACTIVE", "INACTIVE"):
        raise Refusal(400, "warmup_status is ACTIVE or INACTIVE")
    accounts = _accounts(world, given)
    for account in accounts:
        _switch_warmup(account, status, now)
    result = {"updated_count": len(accounts), "updated_ids": [account.id for account in accounts]}
    if world.switches.plusvibe_updated_ids == "data":
        return json_response({"status": "success", "data": result})
    return json_response({"status": "success", **result})


def enable_warmup(world: World, given: dict[str, Any], now: float) -> Response:
    _switch_warmup(_account(world, given), "ACTIVE", now)
    return json_response({"status": "success"})


def pause_warmup(world: World, given: dict[str, Any], now: float) -> Response:
    _switch_warmup(_account(world, given), "INACTIVE", now)
    return json_response({"status": "success"})


def add_accounts(world: World, given: dict[str, Any], now: float) -> Response:
    """Accepted is all the answer says; some rows may never appear. Results go by e-mail at the vendor."""
    workspace = _workspace(world, given)
    rows = objects(given, "accounts")
    if not rows:
        raise Refusal(400, "accounts must not be empty")
    for row in rows:
        for name in ("email", "password", "smtp_host", "imap_host"):
            text(row, name)
        for name in ("smtp_port", "imap_port"):
            whole(row, name, low=1)
    for row in rows:
        email = row["email"].strip().lower()
        if world.faults.hits("rows_lost", NAME, "add_accounts", email):
            continue
        seconds = world.uniform(world.switches.plusvibe_bulk_add_seconds, "plusvibe bulk add", email)
        world.schedule(now + seconds, NAME, "bulk_row", workspace=workspace.id, row=row)
    return json_response({"status": "success", "message": "Accepted, results are sent by e-mail"})


def delete_account(world: World, given: dict[str, Any], now: float) -> Response:
    del world.plusvibe.accounts[_account(world, given).id]
    return json_response({"status": "success"})


def reconnect_accounts(world: World, given: dict[str, Any], now: float) -> Response:
    _accounts(world, given)
    return json_response({"status": "success"})


def on_event(world: World, kind: str, data: dict[str, Any], now: float) -> None:
    """A row of a bulk upload is taken in, unless it belongs to Google or Microsoft and the switch drops those."""
    row = data["row"]
    host = str(row["smtp_host"]).lower()
    provider = GOOGLE if "gmail" in host or "google" in host else MICROSOFT if "office365" in host else REGULAR
    if provider != REGULAR and world.switches.plusvibe_bulk_add_big_hosts == "dropped":
        return
    names = {name: str(row.get(name) or "") for name in ("first_name", "last_name")}
    email = row["email"].strip().lower()
    account = arrive(world, data["workspace"], email, **names, provider=provider, via="bulk_add", now=now)
    if account is None or account.via != "bulk_add":
        return
    sent = {kept: row[name] for name, kept in UPLOADED.items() if isinstance(row.get(name), int | str)}
    account.settings.update(sent)
    if row.get("enable_warmup") == "yes":
        _switch_warmup(account, "ACTIVE", now)


def _switch_warmup(account: Account, status: str, now: float) -> None:
    if status == "ACTIVE" and account.warmup_status != "ACTIVE":
        account.warmup_enabled_at, account.cold_since = now, None
    elif status != "ACTIVE" and account.warmup_status == "ACTIVE":
        account.warmed, account.cold_since = _warmed(account, now), now
    account.warmup_status = status
    account.updated_at = now


def _changes(given: dict[str, Any]) -> dict[str, Any]:
    """Return the settings a bulk update asks for, checked, under the names they are kept by."""
    changes: dict[str, Any] = {}
    for name, (kept, low, high) in NUMBERS.items():
        if name in given:
            value = whole(given, name, low=low)
            if value > high:
                raise Refusal(400, f"{name} must lie between {low} and {high}")
            changes[kept] = value
    for name, kept in FLAGS.items():
        if name in given:
            if given[name] not in YES_NO:
                raise Refusal(400, f"{name} is yes or no")
            changes[kept] = given[name]
    for name in ("warmup_business_type", "signature", "warmup_signature"):
        if name in given:
            changes[name] = text(given, name, optional=True)
    if "warmup_reply_rate" in given:
        rate = given["warmup_reply_rate"]
        if isinstance(rate, bool) or not isinstance(rate, int | float) or not 0 <= rate <= 1:
            raise Refusal(400, "warmup_reply_rate must lie between 0 and 1")
        changes["reply_rate"] = round(rate * 100)
    if "warmup_schedule" in given:
        changes["schedule"] = _schedule(given["warmup_schedule"])
    return changes


def _schedule(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict) or not isinstance(value.get("days"), list) or len(value["days"]) < 5:
        raise Refusal(400, "warmup_schedule needs at least 5 days")
    return value


NUMBERS = {
    "daily_limit": ("daily_limit", 0, 10_000),
    "interval_limit_in_min": ("sending_gap", 0, 1440),
    "bulk_rampup_daily_limit": ("rampup_daily_limit", 0, 10_000),
    "bulk_rampup_daily_inc": ("rampup_daily_inc", 0, 10_000),
    "warmup_initial_daily_limit": ("initial_daily_limit", 0, 50),
    "warmup_pace_increment": ("increment", 1, 50),
    "warmup_max_daily_limit": ("limit", 1, 50),
    "warmup_randomize_num": ("randomize_num", 1, 50),
}
UPLOADED = {
    "daily_limit": "daily_limit",
    "min_interval": "sending_gap",
    "warmup_daily_limit": "limit",
    "enable_warmup_rampup": "warmup_slow_rampup",
    "warmup_rampup_start": "initial_daily_limit",
    "warmup_rampup_increment": "increment",
}
FLAGS = {
    "warmup_randomize": "randomize",
    "bulk_warmup_is_slow_rampup": "warmup_slow_rampup",
    "bulk_is_slow_rampup": "camp_slow_rampup",
}


def _account_row(world: World, account: Account, now: float) -> dict[str, Any]:
    kept, flag = account.settings, _flag_form(world)
    names = {"id": ("id",), "_id": ("_id",), "both": ("id", "_id")}[world.switches.plusvibe_account_id]
    payload: dict[str, Any] = {
        "name": {"first_name": account.first_name, "last_name": account.last_name},
        "warmup": {
            "limit": kept["limit"],
            "increment": kept["increment"],
            "reply_rate": kept["reply_rate"],
            "warmup_custom_words": "",
            "warmup_signature": kept["warmup_signature"],
            "advanced": {
                "warm_ctd": False,
                "weekday_only": False,
                "warmup_business_type": kept["warmup_business_type"],
            },
        },
        "warmup_rampup": {
            "is_slow_rampup": flag(kept["warmup_slow_rampup"]),
            "initial_daily_limit": kept["initial_daily_limit"],
            "randomize": flag(kept["randomize"]),
            "randomize_num": kept["randomize_num"],
        },
        "sending_rampup": {
            "is_slow_rampup": flag(kept["camp_slow_rampup"]),
            "rampup_daily_limit": kept["rampup_daily_limit"],
            "rampup_daily_inc": kept["rampup_daily_inc"],
        },
        "imap_host": "outlook.office365.com" if account.provider == MICROSOFT else "imap.gmail.com",
        "imap_port": 993,
        "smtp_host": "smtp.office365.com" if account.provider == MICROSOFT else "smtp.gmail.com",
        "smtp_port": 587 if account.provider == MICROSOFT else 465,
        "daily_limit": kept["daily_limit"],
        "sending_gap": kept["sending_gap"],
        "reply_to": kept["reply_to"],
        "custom_domain": "",
        "signature": kept["signature"],
        "tags": account.tags,
        "cmps": [],
    }
    analytics = _analytics(world, account, now)
    return {
        **dict.fromkeys(names, account.id),
        "email": account.email,
        "status": _status(world, account),
        "warmup_status": account.warmup_status,
        "provider": account.provider,
        "warmup_enb_dt": iso(account.warmup_enabled_at) if account.warmup_enabled_at is not None else None,
        "timestamp_created": iso(account.created_at),
        "timestamp_updated": iso(account.updated_at),
        "payload": payload | ({"analytics": analytics} if analytics else {}),
    }


def _status(world: World, account: Account) -> str:
    if world.faults.standing("account_disconnected", NAME, "list_accounts", account.email):
        return world.switches.plusvibe_disconnected_status
    odd = world.faults.hits("unknown_status", NAME, "list_accounts", account.email)
    return odd.value or "SYNC_PAUSED" if odd else account.status


def _flag_form(world: World) -> Any:
    return (lambda value: value == "yes") if world.switches.plusvibe_flags_as == "boolean" else (lambda value: value)


def _warmed(account: Account, now: float) -> float:
    """Return the virtual seconds of warmup so far."""
    since = account.warmup_enabled_at
    running = now - since if since is not None and account.warmup_status == "ACTIVE" else 0.0
    return account.warmed + running


def _analytics(world: World, account: Account, now: float) -> dict[str, Any] | None:
    """Return the figures of a mailbox; nothing until warmup has run for one virtual day.

    A day without warmup costs a little health, and nothing is sent while it is off or the account is disconnected.
    """
    warmed = _warmed(account, now)
    day = int(warmed / DAY)
    if day < 1:
        return None
    kept, profile = account.settings, account.profile or world.switches.plusvibe_warmup_profile
    cold = int((now - account.cold_since) / DAY) if account.cold_since is not None else 0
    lost = bool(world.faults.standing("account_disconnected", NAME, "list_accounts", account.email))
    is_sending = account.warmup_status == "ACTIVE" and not lost
    sent = min(kept["limit"], kept["initial_daily_limit"] + kept["increment"] * day)

    def score(name: str) -> int:
        return warmup.health(world.seed, profile, account.email, day, name, cold_days=cold)

    return {
        "health_scores": {
            "7d_overall_warmup_health": score("overall"),
            "7d_google_warmup_health": score("google"),
            "7d_microsoft_warmup_health": score("microsoft"),
            "7d_other_warmup_health": score("other"),
            "1d_miss_warmup_rate": 0,
            "3d_bounce_rate": 0 if score("overall") >= 80 else 2,
        },
        "reply_rates": {
            "7d_ooo_replyrate": 0,
            "7d_replyrate": int(4 * fraction(world.seed, "replies", account.email, day)),
        },
        "daily_counters": {
            "email_sent_today": 0,
            "warmup_email_sent_today": int(sent * (warmed % DAY) / DAY) if is_sending else 0,
        },
    }


def set_profile(world: World, email: str, profile: str) -> int:
    """Let the accounts of an address develop so from now on; return how many there are. Raises ValueError."""
    if profile not in ("", *warmup.PROFILES):
        raise ValueError(f"a profile is one of {', '.join(warmup.PROFILES)}")
    found = [account for account in world.plusvibe.accounts.values() if account.email == email.strip().lower()]
    if not found:
        raise ValueError("no such account")
    for account in found:
        account.profile = profile
    return len(found)


# Reading


def _workspace(world: World, given: dict[str, Any], name: str = "workspace_id") -> Workspace:
    workspace_id = text(given, name)
    if not HEX_ID.fullmatch(workspace_id):
        raise Refusal(400, f"{name} is not valid")
    found = world.plusvibe.workspaces.get(workspace_id)
    if found is None:
        raise Refusal(400, "Workspace does not belong to this account")
    return found


def _client(world: World, given: dict[str, Any]) -> Client:
    _workspace(world, given)
    found = world.plusvibe.clients.get(text(given, "client_id"))
    if found is None:
        raise Refusal(400, "Client not found")
    return found


def _account(world: World, given: dict[str, Any]) -> Account:
    workspace, email = _workspace(world, given), text(given, "email").lower()
    for account in world.plusvibe.accounts.values():
        if (account.workspace_id, account.email) == (workspace.id, email):
            return account
    raise Refusal(400, "Email account not found")


def _accounts(world: World, given: dict[str, Any]) -> list[Account]:
    workspace, ids = _workspace(world, given), texts(given, "ids")
    if not ids or not all(HEX_ID.fullmatch(item) for item in ids):
        raise Refusal(400, "ids must be an array of at least one valid id")
    known = world.plusvibe.accounts
    return [known[item] for item in ids if item in known and known[item].workspace_id == workspace.id]


# Words for the log


def items_of(request: Request) -> tuple[str, ...]:
    """Return addresses, account ids or the workspace name that a request is about."""
    body = peek(request)
    if isinstance(body.get("accounts"), list):
        return tuple(str(row["email"]) for row in body["accounts"])
    if isinstance(body.get("ids"), list):
        return tuple(map(str, body["ids"]))
    for name in ("workspace_name", "client_email", "client_id"):
        if body.get(name):
            return (str(body[name]),)
    workspace = request.query.get("workspace_id")
    return (workspace,) if workspace else ()


def ref_of(world: World, request: Request) -> str:
    """Return the reference in the name of the workspace that a request is about."""
    body = peek(request)
    workspace_id = str(body.get("workspace_id") or request.query.get("workspace_id") or "")
    workspace = world.plusvibe.workspaces.get(workspace_id)
    match = re.search(r"GTM-[0-9A-Z]{6}", workspace.name) if workspace else None
    if match is None and isinstance(body.get("workspaces"), list):
        for row in body["workspaces"]:
            target = world.plusvibe.workspaces.get(str(row.get("id"))) if isinstance(row, dict) else None
            match = match or (re.search(r"GTM-[0-9A-Z]{6}", target.name) if target else None)
    return match.group() if match else ""


def windows(world: World, verb: str, request: Request) -> list[Window]:
    return [Window("general", world.switches.plusvibe_per_second, 1.0)]


def snapshot(world: World, now: float) -> dict[str, Any]:
    """Return everything but passwords."""
    state = world.plusvibe
    return {
        "workspaces": [{"id": w.id, "name": w.name, "created_at": w.created_at} for w in state.workspaces.values()],
        "clients": [{**_client_row(client), "created_at": client.created_at} for client in state.clients.values()],
        "accounts": [
            {
                "id": account.id,
                "workspace_id": account.workspace_id,
                "email": account.email,
                "first_name": account.first_name,
                "last_name": account.last_name,
                "provider": account.provider,
                "via": account.via,
                "status": account.status,
                "warmup_status": account.warmup_status,
                "warmup_enabled_at": account.warmup_enabled_at,
                "profile": account.profile,
                "settings": dict(account.settings),
                "created_at": account.created_at,
            }
            for account in state.accounts.values()
        ],
    }


ROUTER = Router(
    (
        Route("GET", "/authenticate", "authenticate", authenticate),
        Route("POST", "/workspaces/add/", "create_workspace", create_workspace),
        Route("POST", "/client", "create_client", create_client),
        Route("GET", "/client/", "list_clients", list_clients),
        Route("PUT", "/client", "update_client", update_client),
        Route("PATCH", "/client", "set_client_status", set_client_status),
        Route("DELETE", "/client", "delete_client", delete_client),
        Route("GET", "/account/list", "list_accounts", list_accounts),
        Route("PUT", "/account/bulk-update", "update_accounts", update_accounts),
        Route("PATCH", "/account/bulk-update-warmup", "set_warmup", set_warmup),
        Route("POST", "/account/bulk-add-regular-accounts", "add_accounts", add_accounts),
        Route("GET", "/account/status", "account_status", account_status),
        Route("POST", "/account/delete", "delete_account", delete_account),
        Route("POST", "/account/bulk-reconnect", "reconnect_accounts", reconnect_accounts),
        Route("POST", "/account/warmup/enable", "enable_warmup", enable_warmup),
        Route("POST", "/account/warmup/pause", "pause_warmup", pause_warmup),
    ),
)

PLATFORM = Platform(
    name=NAME,
    prefix="/plusvibe/api/v1",
    handle=handle,
    verb_of=ROUTER.verb_of,
    items_of=items_of,
    reads=frozenset({"authenticate", "list_clients", "list_accounts", "account_status"}),
    on_event=on_event,
    error=error,
    windows=windows,
    key_of=lambda request: request.header("x-api-key"),
    ref_of=ref_of,
    snapshot=snapshot,
    quota_in_real_time=True,
)
