"""Warmforge, simulated (platforms/warmforge.md, section 6). Warms mailboxes and measures them; nothing is sent."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

from . import mailhost, warmup
from .clock import iso
from .http import Request, Response, json_response
from .platforms import Platform, Route, Router
from .quota import Window
from .reading import Refusal, peek, read_object, text, whole
from .warmup import DAY, PROFILES, Spells

if TYPE_CHECKING:
    from .world import World

NAME = "warmforge"
API_KEY = "sandbox-warmforge-key"
ACCOUNT = "acc_000000000001"
SCENARIOS = (*PROFILES, "blacklisted", "dkim_missing", "access_lost", "suspended")
ENDS_ON_DAY = {"access_lost": 5, "suspended": 5}  # the day of warmup on which these scenarios end it
CURVE_DAYS = 28  # how long a warmup lasts when no end was set
WARM_DAYS = 14  # from when on a mailbox counts as warm
PROVIDERS = (("gmail", "google", 0.5), ("outlook", "microsoft", 0.4))  # name, as the model calls it, share of the mails
STRANGER = "zoho"  # a provider whose name the documentation does not hold
DOORS = ("smtp", "imap")
NUMBERS = {
    "minEmailsPerDay": (1, 20),
    "maxEmailsPerDay": (1, 20),
    "emailRampUp": (0, 20),
    "replyRatePercent": (0, 50),
}
TEXTS = {"firstName": (1, 255), "lastName": (1, 255), "signature": (0, 1000)}
DATES = ("warmupStartDate", "warmupEndDate")


@dataclass
class Workspace:
    """One workspace of the operator's account. Nothing removes it."""

    id: str
    name: str
    created_at: float


@dataclass
class Mailbox:
    """A connected mailbox. `passwords` are those it was connected with, by door; a look never shows them."""

    id: str
    workspace_id: str
    address: str
    first_name: str
    last_name: str
    via: str
    created_at: float
    ready_at: float  # when the first login is tried
    passwords: dict[str, str]
    external_reference: str = ""
    warmup: Spells = field(default_factory=Spells)
    scenario: str = ""  # how it fares; empty: as the switch says
    settings: dict[str, Any] = field(
        default_factory=lambda: {
            "minEmailsPerDay": 1,
            "maxEmailsPerDay": 10,
            "emailRampUp": 1,
            "replyRatePercent": 20,
            "signature": "",
            "warmupStartDate": None,
            "warmupEndDate": None,
        },
    )


@dataclass
class WarmforgeState:
    """What the platform holds."""

    workspaces: dict[str, Workspace] = field(default_factory=dict)
    mailboxes: dict[str, Mailbox] = field(default_factory=dict)


def handle(world: World, request: Request, now: float) -> Response:
    """Answer one request. Each answer has an id in a header."""
    answer = _answer(world, request, now)
    return Response(
        answer.status, {**answer.headers, "x-request-id": world.hex_id("warmforge request", 16)}, answer.body
    )


def _answer(world: World, request: Request, now: float) -> Response:
    refusal = _unauthorised(world, request.header("authorization"))
    if refusal:
        return error(world, 401, refusal)
    found = ROUTER.find(request)
    if found is None:
        return error(world, 404, "not found")
    route, names = found
    try:
        return route.function(world, request, now, **names)
    except Refusal as refused:
        return error(world, refused.status, refused.sentence)


def _unauthorised(world: World, sent: str) -> str:
    if not sent:
        return "missing api key"
    taken = {"both": (API_KEY, f"Bearer {API_KEY}"), "raw": (API_KEY,), "bearer": (f"Bearer {API_KEY}",)}
    revoked = world.faults.standing("key_revoked", NAME, "")
    return "" if sent in taken[world.switches.warmforge_auth] and not revoked else "invalid api key"


def error(world: World, status: int, sentence: str) -> Response:
    return json_response({"message": sentence}, status)


# Workspaces


def list_workspaces(world: World, request: Request, now: float) -> Response:
    page, size = _paging(request)
    lag = world.faults.lag(NAME, "list_workspaces")
    seen = [one for one in world.warmforge.workspaces.values() if one.created_at + lag <= now]
    rows = world.faults.ordered(NAME, "list_workspaces", seen)
    return json_response(
        {
            "workspaces": [_workspace_row(one) for one in rows[(page - 1) * size : page * size]],
            "currentPage": page,
            "totalCount": len(rows),
            "totalPages": -(-len(rows) // size),
        }
    )


def create_workspace(world: World, request: Request, now: float) -> Response:
    """A second one of the same name is a second one."""
    name = text(read_object(request), "name")
    if len(name) > 50:
        raise Refusal(400, "name must be at most 50 characters")
    made = Workspace(f"wfw_{world.hex_id('warmforge workspace', 12)}", name, now)
    world.warmforge.workspaces[made.id] = made
    return json_response(_workspace_row(made), 201)


def _workspace_row(one: Workspace) -> dict[str, Any]:
    slug = re.sub(r"[^a-z0-9]+", "-", one.name.lower()).strip("-")
    return {"id": one.id, "name": one.name, "slug": slug, "accountID": ACCOUNT}


# Mailboxes


def list_mailboxes(world: World, request: Request, now: float, workspace: str) -> Response:
    """A list without a total: its end is a page that is not full."""
    _workspace(world, workspace)
    page, size = _paging(request)
    part, reference = request.query.get("search", "").lower(), request.query.get("external_reference", "")
    wanted = {"disconnected": "access_lost"}.get(state := request.query.get("status", "all"), state)
    lag = world.faults.lag(NAME, "list_mailboxes")
    rows = [
        _mailbox_row(world, one, now)
        for one in world.warmforge.mailboxes.values()
        if one.workspace_id == workspace
        and one.created_at + lag <= now
        and part in one.address
        and reference in ("", one.external_reference)
    ]
    rows = [row for row in rows if wanted in ("all", row["status"]) or (wanted == "warm" and row["warm"])]
    rows = world.faults.ordered(NAME, "list_mailboxes", rows)
    return json_response(
        {
            "mailboxes": rows[(page - 1) * size : page * size],
            "page": page,
            "pageSize": size,
            "totalPages": -(-len(rows) // size),
        }
    )


def get_mailbox(world: World, request: Request, now: float, workspace: str, address: str) -> Response:
    return json_response(_mailbox_row(world, _mailbox(world, workspace, address), now))


def connect_smtp(world: World, request: Request, now: float, workspace: str) -> Response:
    """By switch a wrong password is refused, or found out at the first login, after the answer."""
    _workspace(world, workspace)
    body, switches = read_object(request), world.switches
    address = text(body, "address").strip().lower()
    names = {name: text(body, name) for name in ("firstName", "lastName")}
    passwords = {}
    for door in DOORS:
        text(body, f"{door}Host")
        text(body, f"{door}Username")
        whole(body, f"{door}Port", low=1)
        passwords[door] = text(body, f"{door}Password")
    reference, signature = (text(body, name, optional=True) for name in ("externalReference", "signature"))
    if len(reference) > 255 or len(signature) > 1000:
        raise Refusal(400, "externalReference or signature is too long")
    known = _connected(world, address)
    if known is not None and known.workspace_id != workspace:
        raise Refusal(409, "mailbox is already connected in another workspace")
    if known is not None and switches.warmforge_same_workspace == "same":
        return json_response(_mailbox_row(world, known, now))
    if known is not None and switches.warmforge_same_workspace == "409":
        raise Refusal(409, "mailbox is already connected")
    wrong = next((door for door in DOORS if not mailhost.opens(world, address, passwords[door])), "")
    if wrong and switches.warmforge_bad_login == "400":
        raise Refusal(400, f"{wrong.upper()} login failed")
    wants_warmup = body.get("warmupEnabled") is True
    if wants_warmup and not _has_slot(world) and switches.warmforge_without_slot == "402":
        raise Refusal(402, "no warmup slot left")
    made = _make(world, now, workspace, address, names["firstName"], names["lastName"], "smtp", passwords)
    made.external_reference, made.settings["signature"] = reference, signature
    _switch_warmup(world, made, wants_warmup, now)
    return json_response(_mailbox_row(world, made, now))


def update_mailbox(world: World, request: Request, now: float, workspace: str, address: str) -> Response:
    """Only the members that were sent change, and what is above a limit is refused as a whole."""
    box, body = _mailbox(world, workspace, address), read_object(request)
    changes = _changes(body)
    on = body.get("warmupEnabled")
    if on not in (None, True, False):
        raise Refusal(400, "warmupEnabled must be a boolean")
    if on and not box.warmup.is_on and not _has_slot(world) and world.switches.warmforge_without_slot == "402":
        raise Refusal(402, "no warmup slot left")
    box.first_name, box.last_name = changes.pop("firstName", box.first_name), changes.pop("lastName", box.last_name)
    box.settings.update(changes)
    if on is not None:
        _switch_warmup(world, box, on, now)
    return json_response(_mailbox_row(world, box, now))


def delete_mailbox(world: World, request: Request, now: float, workspace: str, address: str) -> Response:
    """Take it out with its history. The answer has no body."""
    del world.warmforge.mailboxes[_mailbox(world, workspace, address).id]
    return Response(202)


def warmup_stats(world: World, request: Request, now: float, workspace: str, address: str) -> Response:
    box = _mailbox(world, workspace, address)
    since, until = (_day(request.query, name) for name in ("from", "to"))
    if until < since:
        raise Refusal(400, "from must not be after to")
    rows = [_stats_row(world, one) for one in _history(world, box, now) if since <= one.day <= until]
    return json_response({"stats": rows})


def arrive(
    world: World,
    now: float,
    *,
    workspace_id: str,
    address: str,
    first_name: str,
    last_name: str,
    tag: str = "",
    warmup_on: bool = False,
    via: str = "export",
) -> Mailbox | None:
    """Let a mailbox appear that somebody else hands over, with the password it has at that moment.

    Without any, because none was set before it was handed over, its logins fail.
    A second arrival in the same workspace changes nothing. None where it cannot appear: the workspace is not there, the
    address is connected in another one, or the fault `accounts_lost` is on.
    """
    address = address.strip().lower()
    if workspace_id not in world.warmforge.workspaces:
        return None
    if world.faults.hits("accounts_lost", NAME, "list_mailboxes", address):
        return None
    known = _connected(world, address)
    if known is not None:
        return known if known.workspace_id == workspace_id else None
    passwords = dict.fromkeys(DOORS, mailhost.password_of(world, address) or "")
    made = _make(world, now, workspace_id, address, first_name, last_name, via, passwords)
    _switch_warmup(world, made, warmup_on, now)
    return made


def set_scenario(world: World, address: str, scenario: str) -> int:
    """Let the mailboxes of an address fare so from now on; return how many there are. Raises ValueError."""
    if scenario not in ("", *SCENARIOS):
        raise ValueError(f"a scenario is one of {', '.join(SCENARIOS)}")
    found = [one for one in world.warmforge.mailboxes.values() if one.address == address.strip().lower()]
    if not found:
        raise ValueError("no such mailbox")
    for one in found:
        one.scenario = scenario
    return len(found)


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
    ready_at = now + world.uniform(world.switches.warmforge_connect_seconds, "warmforge connect", address)
    made = Mailbox(
        id=f"mbx_{world.hex_id('warmforge mailbox', 12)}",
        workspace_id=workspace_id,
        address=address,
        first_name=first_name,
        last_name=last_name,
        via=via,
        created_at=now,
        ready_at=ready_at,
        passwords=passwords,
    )
    world.warmforge.mailboxes[made.id] = made
    return made


def _connected(world: World, address: str) -> Mailbox | None:
    return next((one for one in world.warmforge.mailboxes.values() if one.address == address), None)


def _has_slot(world: World) -> bool:
    most = world.switches.warmforge_slots
    return not most or sum(one.warmup.is_on for one in world.warmforge.mailboxes.values()) < most


def _switch_warmup(world: World, box: Mailbox, on: bool, now: float) -> None:
    """Switch warmup; without a slot it simply stays off."""
    if on and not box.warmup.is_on and not _has_slot(world):
        return
    box.warmup.switch(on, now)


def _changes(body: dict[str, Any]) -> dict[str, Any]:
    changes: dict[str, Any] = {}
    for name, (low, high) in NUMBERS.items():
        if name in body:
            value = whole(body, name, low=low)
            if value > high:
                raise Refusal(400, f"{name} must be between {low} and {high}")
            changes[name] = value
    for name, (low, high) in TEXTS.items():
        if name in body:
            said = text(body, name, optional=low == 0)
            if len(said) > high:
                raise Refusal(400, f"{name} must be at most {high} characters")
            changes[name] = said
    for name in DATES:
        if name in body:
            changes[name] = _day(body, name).isoformat()
    return changes


# How a mailbox fares


def _scenario(world: World, box: Mailbox) -> str:
    return box.scenario or world.switches.warmforge_scenario


def _shown_status(world: World, box: Mailbox, now: float) -> str:
    odd = world.faults.hits("unknown_status", NAME, "list_mailboxes", box.address)
    return odd.value or "syncing" if odd else _status(world, box, now)


def _status(world: World, box: Mailbox, now: float) -> str:
    """Return its state: logins are tried once at the beginning and then at every check."""
    if world.faults.standing("account_disconnected", NAME, "list_mailboxes", box.address):
        return "access_lost"
    if now < box.ready_at:
        return "pending"
    last_day = ENDS_ON_DAY.get(scenario := _scenario(world, box))
    if last_day is not None and box.warmup.seconds(0, now) >= last_day * DAY:
        return scenario
    every = max(1.0, world.switches.warmforge_check_seconds)
    checked_at = box.ready_at + int((now - box.ready_at) / every) * every
    opened = all(mailhost.opens(world, box.address, password, at=checked_at) for password in box.passwords.values())
    return "active" if opened else "access_lost"


def _days_done(world: World, box: Mailbox, now: float) -> int:
    days = int(box.warmup.seconds(0, now) / DAY)
    return min(days, ENDS_ON_DAY.get(_scenario(world, box), days))


@dataclass(frozen=True)
class _Day:
    """What warmup did on one day. `by_provider`: name, primary, spam."""

    day: date
    sent: int
    replies: int
    by_provider: tuple[tuple[str, int, int], ...]


def _history(world: World, box: Mailbox, now: float) -> list[_Day]:
    """Return the days of warmup so far, today included as far as it has come.

    Spam is counted on from the first day, so that few mails a day add up to the profile's share all the same.
    """
    if box.warmup.began is None:
        return []
    scenario, kept = _scenario(world, box), box.settings
    profile = scenario if scenario in PROFILES else "healthy"
    names = PROVIDERS if world.switches.warmforge_answers == "full" else (*PROVIDERS, (STRANGER, "other", 0.1))
    days, due, seen = [], dict.fromkeys((name for name, _, _ in names), 0.0), dict[str, int]()
    start = box.warmup.began - box.warmup.began % DAY
    while start <= now:
        end = min(start + DAY, now)
        share = box.warmup.seconds(start, end) / DAY
        warmed = int(box.warmup.seconds(0, start) / DAY)
        day, start = datetime.fromtimestamp(start, UTC).date(), start + DAY
        if share <= 0 or warmed >= ENDS_ON_DAY.get(scenario, warmed + 1):
            continue
        most = min(kept["maxEmailsPerDay"], kept["minEmailsPerDay"] + kept["emailRampUp"] * warmed)
        sent, left, rows = round(most * share), round(most * share), []
        for place, (name, model, part) in enumerate(names):
            mails = left if place == len(names) - 1 else min(left, round(sent * part))
            left -= mails
            score = warmup.health(world.seed, profile, box.address, warmed + 1, model)
            due[name] += mails * (100 - score) / 100
            spam = min(mails, int(due[name]) - seen.get(name, 0))
            seen[name] = seen.get(name, 0) + spam
            rows.append((name, mails - spam, spam))
        days.append(_Day(day, sent, sent * kept["replyRatePercent"] // 100, tuple(rows)))
    return days


def _stats_row(world: World, one: _Day) -> dict[str, Any]:
    def replies(mails: int) -> int:
        return one.replies * mails // one.sent if one.sent else 0

    return {
        "date": _date_text(world, one.day.isoformat()),
        "sentCount": one.sent,
        "replyCount": one.replies,
        "spamCount": sum(spam for _, _, spam in one.by_provider),
        "providerStats": {
            name: {"primaryCount": primary, "replyCount": replies(primary + spam), "spamCount": spam}
            for name, primary, spam in one.by_provider
        },
    }


def _mailbox_row(world: World, box: Mailbox, now: float) -> dict[str, Any]:
    kept = box.settings
    began = datetime.fromtimestamp(box.warmup.began, UTC).date() if box.warmup.began is not None else None
    starts = kept["warmupStartDate"] or (began.isoformat() if began else None)
    ends = kept["warmupEndDate"] or (began + timedelta(CURVE_DAYS)).isoformat() if began else kept["warmupEndDate"]
    length = (date.fromisoformat(ends) - date.fromisoformat(starts)).days if starts and ends else CURVE_DAYS
    done = _days_done(world, box, now)
    row: dict[str, Any] = {
        "id": box.id,
        "address": box.address,
        "workspaceID": box.workspace_id,
        "provider": "smtp",
        "status": _shown_status(world, box, now),
        "warm": done >= WARM_DAYS,
        "warmupEnabled": box.warmup.is_on,
        "warmupStartDate": _date_text(world, starts),
        "warmupEndDate": _date_text(world, ends),
        "warmupDaysCompleted": done,
        "warmupDaysLeft": max(0, length - done),
        "warmupCode": f"{box.id[4:7]}-{box.id[7:10]}",
        **{name: kept[name] for name in (*NUMBERS, "signature")},
        "firstName": box.first_name,
        "lastName": box.last_name,
        "healthReport": _health_report(world, box, now, done),
    }
    if world.switches.warmforge_answers == "sparse":
        del row["healthReport"]
        row |= dict.fromkeys(DATES)
    return row


def _health_report(world: World, box: Mailbox, now: float, done: int) -> dict[str, Any]:
    scenario, domain = _scenario(world, box), box.address.partition("@")[2]
    profile = scenario if scenario in PROFILES else "healthy"

    def valid(value: str) -> dict[str, str]:
        return {"status": "valid", "value": value, "error": ""}

    listed, no_dkim = scenario == "blacklisted", scenario == "dkim_missing"
    heat = warmup.health(world.seed, profile, box.address, done, cold_days=int(box.warmup.cold(now) / DAY))
    dkim = {"status": "missing", "value": "", "error": "no record"} if no_dkim else valid("v=DKIM1; k=rsa; p=MIIB")
    return {
        "id": box.id,
        "address": box.address,
        "domain": domain,
        "heatScore": max(0, heat - (40 if listed else 20 if no_dkim else 0)),
        "warmupDays": done,
        "lastCheckedAt": iso(now - now % DAY)[:19] + "Z",
        "spf": valid("v=spf1 mx ~all"),
        "dmarc": valid("v=DMARC1; p=none"),
        "mx": valid(f"10 mx.{domain}"),
        "dkim": {"selector": "default", **dkim},
        "blacklists": {
            "detectedCount": int(listed),
            "checks": [{"id": "bl.example", "name": "Example BL", "detected": listed, "significant": True}],
        },
    }


def _date_text(world: World, day: str | None) -> str | None:
    return f"{day}T00:00:00Z" if day and world.switches.warmforge_dates_as == "moment" else day


# Reading


def _paging(request: Request) -> tuple[int, int]:
    """Return page and size: both are demanded."""
    page, size = whole(request.query, "page", low=1), whole(request.query, "page_size", low=1)
    if size > 100:
        raise Refusal(400, "page_size must be at most 100")
    return page, size


def _workspace(world: World, workspace: str) -> Workspace:
    found = world.warmforge.workspaces.get(workspace)
    if found is None:
        raise Refusal(404, "workspace not found")
    return found


def _mailbox(world: World, workspace: str, segment: str) -> Mailbox:
    """Find a mailbox by the address in a path; by switch only as they write it, encoded and in lower case."""
    _workspace(world, workspace)
    address = unquote(segment)
    if not world.switches.warmforge_strict_addresses:
        address = address.lower()
    elif segment != quote(address.lower(), safe=""):
        raise Refusal(404, "mailbox not found")
    for one in world.warmforge.mailboxes.values():
        if (one.workspace_id, one.address) == (workspace, address):
            return one
    raise Refusal(404, "mailbox not found")


def _day(given: dict[str, Any], name: str) -> date:
    said = text(given, name)
    try:
        if re.fullmatch(r"\d{4}-\d\d-\d\d", said):
            return date.fromisoformat(said)
    except ValueError:
        pass
    raise Refusal(400, f"{name} must be a date, YYYY-MM-DD")


# Words for the log


def items_of(request: Request) -> tuple[str, ...]:
    """Return the address or the workspace name that a request is about."""
    found = re.search(r"/mailboxes/([^/]+)", request.path)
    if found and found[1] != "connect-smtp":
        return (unquote(found[1]),)
    body = peek(request)
    value = body.get("address") or body.get("name")
    return (value,) if isinstance(value, str) and value else ()


def ref_of(world: World, request: Request) -> str:
    """Return the reference in the name of the workspace that a request is about."""
    found = re.match(r"/workspaces/([^/]+)", request.path)
    workspace = world.warmforge.workspaces.get(found[1]) if found else None
    match = re.search(r"GTM-[0-9A-Z]{6}", workspace.name) if workspace else None
    return match.group() if match else ""


def windows(world: World, verb: str, request: Request) -> list[Window]:
    return [Window("general", world.switches.warmforge_per_second, 1.0)]


def snapshot(world: World, now: float) -> dict[str, Any]:
    """Return everything but passwords."""
    state = world.warmforge
    return {
        "workspaces": [{"id": one.id, "name": one.name} for one in state.workspaces.values()],
        "mailboxes": [
            {
                "id": one.id,
                "email": one.address,
                "workspace_id": one.workspace_id,
                "status": _status(world, one, now),
                "warmup": one.warmup.is_on,
                "warmup_days": _days_done(world, one, now),
                "settings": {name: one.settings[name] for name in NUMBERS},
                "first_name": one.first_name,
                "last_name": one.last_name,
                "via": one.via,
                "scenario": one.scenario,
                "created_at": one.created_at,
            }
            for one in state.mailboxes.values()
        ],
    }


_BOXES = "/workspaces/{workspace}/mailboxes"

ROUTER = Router(
    (
        Route("GET", "/workspaces", "list_workspaces", list_workspaces),
        Route("POST", "/workspaces", "create_workspace", create_workspace),
        Route("GET", _BOXES, "list_mailboxes", list_mailboxes),
        Route("POST", f"{_BOXES}/connect-smtp", "connect_smtp", connect_smtp),
        Route("GET", _BOXES + "/{address}", "get_mailbox", get_mailbox),
        Route("PATCH", _BOXES + "/{address}", "update_mailbox", update_mailbox),
        Route("DELETE", _BOXES + "/{address}", "delete_mailbox", delete_mailbox),
        Route("GET", _BOXES + "/{address}/warmup/stats", "warmup_stats", warmup_stats),
    ),
)

PLATFORM = Platform(
    name=NAME,
    prefix="/warmforge/public/v1",
    handle=handle,
    verb_of=ROUTER.verb_of,
    items_of=items_of,
    reads=frozenset({"list_workspaces", "list_mailboxes", "get_mailbox", "warmup_stats"}),
    error=error,
    windows=windows,
    key_of=lambda request: request.header("authorization").removeprefix("Bearer "),
    ref_of=ref_of,
    snapshot=snapshot,
    quota_in_real_time=True,
)
