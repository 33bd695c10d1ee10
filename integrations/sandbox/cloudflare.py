"""Cloudflare, simulated (platforms/cloudflare.md, section 6). Zones, their records, their life at the registrar's pace."""

from __future__ import annotations

import copy
import ipaddress
import re
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from .clock import iso
from .cloudflare_world import (
    ACCOUNT,
    HOUR,
    MINUTE,
    NAME,
    Record,
    Zone,
    add_zone,
    delete_zone,
    holds_elsewhere,
    look,
    on_event,
    plain_text,
    publish,
    records_of,
    snapshot,
)
from .http import Request, Response, json_response
from .platforms import Platform, Route, Router
from .quota import Window
from .reading import Refusal, objects, peek, read_object, text, whole

if TYPE_CHECKING:
    from .world import World

TOKEN = "sandbox-cloudflare-token"  # noqa: S105 - opens nothing but this simulation
BLOCK = 300.0
TYPES = frozenset({"A", "AAAA", "CNAME", "MX", "NS", "TXT"})
ONE_ONLY = frozenset({"A", "AAAA", "CNAME"})  # what a CNAME of the same name excludes
REFUSED_ENDINGS = (".cf", ".ga", ".gq", ".ml", ".tk")
MOST_OCTETS, MOST_TOGETHER = 4096, 8192
DOMAIN_NAME = re.compile(r"(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]{0,61}[a-z0-9]")
OWNER_NAME = re.compile(r"(?:\*\.)?(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.)*[a-z0-9-]+\.[a-z][a-z0-9-]+")
REFERENCE = re.compile(r"GTM-[0-9A-Z]{6}")


class Problem(Exception):
    """The platform says no, with a number; some say why in a chain below it."""

    def __init__(self, status: int, code: int, message: str, *chain: tuple[int, str]) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.chain = status, code, message, chain


def handle(world: World, request: Request, now: float) -> Response:
    """Answer one request, if the token is right and has calls left."""
    refused = _token_problem(world, request) or _over_limit(world, request, now)
    if refused is not None:
        return _with_limits(world, request, now, refused)
    found = ROUTER.find(request)
    try:
        if found is None:
            raise Problem(400, 7003, f"Could not route to {request.path}, perhaps your object identifier is invalid?")
        if world.faults.draw({"no_permission"}, NAME, verb_of(request), items_of(request)):
            raise Problem(403, 10000, "Authentication error")
        answer = found[0].function(world, request, now, **found[1])
    except Problem as problem:
        answer = failure(problem.status, problem.code, problem.message, problem.chain)
    except Refusal as refusal:
        answer = failure(refusal.status, 1004, "DNS Validation Error", [(9000, refusal.sentence)])
    return _with_limits(world, request, now, answer)


def failure(status: int, code: int, message: str, chain: Iterable[tuple[int, str]] = ()) -> Response:
    """Return an error in their envelope."""
    row: dict[str, Any] = {"code": code, "message": message}
    if chained := [{"code": number, "message": sentence} for number, sentence in chain]:
        row["error_chain"] = chained
    return json_response({"success": False, "errors": [row], "messages": [], "result": None}, status)


def error(world: World, status: int, sentence: str) -> Response:
    """Word a limit or a fault."""
    if status == 429:
        return failure(429, 971, "Please wait and consider throttling your request speed")
    return failure(status, 10013, sentence)


def success(result: Any, status: int = 200, **more: Any) -> Response:
    return json_response({"success": True, "errors": [], "messages": [], "result": result, **more}, status)


def _token_problem(world: World, request: Request) -> Response | None:
    given = request.header("authorization")
    if not re.fullmatch(r"Bearer \S+", given):
        chain = [(6111, "Invalid format for Authorization header")]
        return failure(400, 6003, "Invalid request headers", chain)
    if given != f"Bearer {TOKEN}" or world.faults.standing("key_revoked", NAME, ""):
        return failure(403, 9109, "Invalid access token")
    return None


# The bucket: 1,200 in five minutes; who exceeds it is shut out from everything for five minutes


def _window(world: World) -> Window:
    return Window("general", world.switches.cloudflare_per_5_min, 300.0)


def _over_limit(world: World, request: Request, now: float) -> Response | None:
    state, window, key = world.cloudflare, _window(world), request.header("authorization")
    if now < state.blocked_until:
        world.quotas.refused(NAME, window, verb_of(request), now)
    elif world.quotas.take(NAME, key, verb_of(request), [window], now) is None:
        return None
    else:
        state.blocked_until = now + BLOCK
    return error(world, 429, "")


def _with_limits(world: World, request: Request, now: float, answer: Response) -> Response:
    window = _window(world)
    used, left = (
        world.quotas.used(NAME, window.name, request.header("authorization")),
        world.cloudflare.blocked_until - now,
    )
    blocked = left > 0
    limits = {
        "ratelimit": f'"default";r={0 if blocked else max(0, window.limit - used)};t={int(max(left, 1))}',
        "ratelimit-policy": f'"default";q={window.limit};w={int(window.seconds)}',
    }
    if answer.status == 429 and blocked:
        limits["retry-after"] = str(int(left))
    return Response(answer.status, {**answer.headers, **limits}, answer.body)


# Zones


def list_zones(world: World, request: Request, now: float) -> Response:
    query, lag = request.query, world.faults.lag(NAME, verb_of(request))
    zones = [zone for zone in world.cloudflare.listed() if zone.created_at + lag <= now]
    if "name" in query:
        zones = [zone for zone in zones if zone.name == query["name"].strip().lower()]
    if "status" in query:
        zones = [zone for zone in zones if zone.status == query["status"]]
    if query.get("account.id", ACCOUNT) != ACCOUNT:
        zones = []
    return _paged(world, request, [_zone_row(world, zone) for zone in zones], 20, 50)


def create_zone(world: World, request: Request, now: float) -> Response:
    body = read_object(request)
    name, account = text(body, "name").strip().lower().rstrip("."), body.get("account")
    if not isinstance(account, dict) or account.get("id") != ACCOUNT:
        raise Problem(403, 10000, "Authentication error")
    if not DOMAIN_NAME.fullmatch(name):
        raise Problem(400, 1097, f"{name[:80]} is not a valid zone name")
    if name.endswith(REFUSED_ENDINGS):
        raise Problem(400, 1116, "You cannot use this API for domains with a .cf, .ga, .gq, .ml, or .tk TLD")
    if world.switches.cloudflare_unregistered == "refuse" and not world.delegations.get(name):
        raise Problem(400, 1049, f"{name} is not a registered domain")
    if world.cloudflare.zone_named(name) or holds_elsewhere(world, [name]):
        raise Problem(world.switches.cloudflare_conflict_status, 1061, f"{name} already exists")
    _within_zone_limits(world, now)
    if world.faults.draw({"nothing_happens"}, NAME, "create_zone", (name,)):
        return success(_zone_row(world, Zone("0" * 32, name, ("ada.ns.cloudflare.com", "bob.ns.cloudflare.com"), now)))
    return success(_zone_row(world, add_zone(world, name, now)))


def _within_zone_limits(world: World, now: float) -> None:
    """Raise Problem for the zones of ten minutes, and for an account that has more pending zones than active ones."""
    switches, zones = world.switches, world.cloudflare.listed()
    pending = sum(zone.status == "pending" for zone in zones)
    status = switches.cloudflare_zone_limit_status
    if len(zones) > switches.cloudflare_zones_unwatched and pending > len(zones) - pending:
        raise Problem(status, 1118, "You have too many pending zones. Activate or delete some of them and try again")
    window = Window("zones", switches.cloudflare_zones_per_10_min, 10 * MINUTE)
    if world.quotas.take(NAME, ACCOUNT, "create_zone", [window], now) is not None:
        raise Problem(status, 1105, "You have exceeded the limit for adding zones, please try again later")


def get_zone(world: World, request: Request, now: float, zone: str) -> Response:
    return success(_zone_row(world, _zone(world, zone)))


def activation_check(world: World, request: Request, now: float, zone: str) -> Response:
    found = _zone(world, zone)
    gap = HOUR if world.switches.cloudflare_plan == "free" else 5 * MINUTE
    if found.checked_at is not None and now < found.checked_at + gap:
        status = world.switches.cloudflare_early_check_status
        raise Problem(status, 1224, "You may only perform this action once per hour")
    found.checked_at = now
    look(world, found, now)
    return success({"id": found.id})


def remove_zone(world: World, request: Request, now: float, zone: str) -> Response:
    found = _zone(world, zone)
    delete_zone(world, found, now)
    return success({"id": found.id})


def _zone(world: World, zone_id: str) -> Zone:
    found = world.cloudflare.zones.get(zone_id)
    if found is None or found.status == "deleted" or found.account_id != ACCOUNT:
        if world.switches.cloudflare_unknown_zone == "403":
            raise Problem(403, 10000, "Authentication error")
        raise Problem(404, 1001, "Invalid zone identifier")
    return found


def _zone_row(world: World, zone: Zone) -> dict[str, Any]:
    odd = world.faults.hits("unknown_status", NAME, "get_zone", zone.name)
    return {
        "id": zone.id,
        "name": zone.name,
        "status": (odd.value or "provisioning") if odd else zone.status,
        "paused": False,
        "type": "full",
        "development_mode": 0,
        "name_servers": list(zone.name_servers),
        "original_name_servers": list(zone.original_name_servers) or None,
        "original_registrar": None,
        "original_dnshost": None,
        "created_on": iso(zone.created_at),
        "modified_on": iso(zone.since),
        "activated_on": iso(zone.activated_at) if zone.activated_at is not None else None,
        "meta": {"step": 2, "custom_certificate_quota": 0, "page_rule_quota": 3, "phishing_detected": False},
        "owner": {"id": None, "type": "user", "email": None},
        "account": {"id": zone.account_id, "name": "Operator"},
        "permissions": ["#dns_records:edit", "#zone:read"],
        "plan": {
            "id": "p1",
            "name": "Free Website",
            "price": 0,
            "currency": "USD",
            "frequency": "",
            "legacy_id": "free",
            **dict.fromkeys(("is_subscribed", "can_subscribe", "legacy_discount", "externally_managed"), False),
        },
    }


# Records


def list_records(world: World, request: Request, now: float, zone: str) -> Response:
    query, lag = request.query, world.faults.lag(NAME, "list_records")
    rows = [record for record in _zone(world, zone).records if record.created_at + lag <= now]
    for name, of in _FILTERS.items():
        if name in query:
            rows = [record for record in rows if of(record, query[name])]
    rows = world.faults.ordered(NAME, "list_records", rows)
    return _paged(world, request, [_record_row(world, record) for record in rows], 100, 50_000)


_FILTERS: dict[str, Callable[[Record, str], bool]] = {
    "type": lambda record, word: record.type == word.upper(),
    "name": lambda record, word: record.name == word.lower(),
    "name.exact": lambda record, word: record.name == word.lower(),
    "content.exact": lambda record, word: record.content == word,
    "comment.exact": lambda record, word: (record.comment or "") == word,
    "comment.startswith": lambda record, word: (record.comment or "").startswith(word),
}


def record_usage(world: World, request: Request, now: float, zone: str) -> Response:
    quota = world.switches.cloudflare_record_quota if world.switches.cloudflare_quota_of == "zone" else None
    return success({"record_quota": quota, "record_usage": len(_zone(world, zone).records)})


def batch_records(world: World, request: Request, now: float, zone: str) -> Response:
    """Carry out deletes, patches, puts and posts in this order, or nothing of it."""
    found, body = _zone(world, zone), read_object(request)
    wanted = {name: objects(body, name) if body.get(name) is not None else [] for name in BATCH}
    if not 0 < sum(map(len, wanted.values())) <= world.switches.cloudflare_batch_most:
        raise Problem(400, 9207, "The batch holds no changes or too many")
    done = _change(world, found, wanted, now)
    return success({name: rows if wanted[name] else None for name, rows in done.items()})


def create_record(world: World, request: Request, now: float, zone: str) -> Response:
    done = _change(world, _zone(world, zone), {"posts": [read_object(request)]}, now)
    return success(done["posts"][0])


def change_record(world: World, request: Request, now: float, zone: str, record: str) -> Response:
    kind = "patches" if request.method == "PATCH" else "puts"
    done = _change(world, _zone(world, zone), {kind: [{**read_object(request), "id": record}]}, now)
    return success(done[kind][0])


def delete_record(world: World, request: Request, now: float, zone: str, record: str) -> Response:
    _change(world, _zone(world, zone), {"deletes": [{"id": record}]}, now)
    return success({"id": record})


BATCH = ("deletes", "patches", "puts", "posts")


def _change(world: World, zone: Zone, wanted: dict[str, list[dict[str, Any]]], now: float) -> dict[str, list[Any]]:
    """Return the rows of what was done. Raises Problem for the first thing that cannot be, and nothing is done then."""
    records, done = copy.deepcopy(zone.records), dict[str, list[Any]]()
    for kind in BATCH:
        done[kind] = []
        for row in wanted.get(kind, []):
            record = None if kind == "posts" else _take(records, row)
            if kind != "deletes":
                kept = record if kind == "patches" else None
                fresh = _read_record(world, zone, row, now, kept)
                if record is not None:
                    fresh.id, fresh.created_at = record.id, record.created_at
                _fits(world, records, fresh)
                records.append(fresh)
                record = fresh
            assert record is not None
            done[kind].append(record)
    if not world.faults.draw({"nothing_happens"}, NAME, "batch_records", (zone.name, zone.id)):
        zone.records = records
        publish(world, zone, now)
    return {kind: [_record_row(world, record) for record in rows] for kind, rows in done.items()}


def _take(records: list[Record], row: dict[str, Any]) -> Record:
    found = next((record for record in records if record.id == row.get("id")), None)
    if found is None:
        raise Problem(404, 81044, "Record does not exist.")
    records.remove(found)
    return found


def _read_record(world: World, zone: Zone, row: dict[str, Any], now: float, kept: Record | None) -> Record:
    """Return the record that a row describes; what a patch leaves out stays as it was."""
    old: dict[str, Any] = _record_row(world, kept) if kept else {}
    stays: dict[str, Any] = {name: old[name] for name in ("type", "name", "ttl", "priority", "comment") if name in old}
    given = {**stays, **row}
    if kept and "content" not in row:
        given["content"] = kept.content
    kind, content = text(given, "type").upper(), text(given, "content")
    name = _whole_name(text(given, "name"), zone)
    if kind not in TYPES:
        raise _invalid(9003, f"Unsupported record type {kind[:16]}")
    ttl, priority = whole(given, "ttl", 1), given.get("priority")
    if ttl != 1 and not 60 <= ttl <= 86_400:
        raise _invalid(9021, "Invalid TTL. Must be between 60 and 86400 seconds, or 1 for Automatic.")
    if kind == "MX" and (not isinstance(priority, int) or isinstance(priority, bool) or not 0 <= priority < 2**16):
        raise _invalid(9100, "Priority is required and must be between 0 and 65535")
    if given.get("proxied") is True and kind not in ONE_ONLY:
        raise _invalid(9004, "This record type cannot be proxied")
    _check_content(kind, content)
    comment = given.get("comment")
    if comment is not None and (not isinstance(comment, str) or len(comment) > 100):
        raise _invalid(9300, "Comments may hold up to 100 characters")
    return Record(
        world.hex_id("cloudflare record", 32),
        kind,
        name,
        content if kind == "TXT" else content.rstrip("."),
        ttl,
        now,
        now,
        priority if kind == "MX" else None,
        comment or None,
        given.get("proxied") is True,
    )


def _whole_name(given: str, zone: Zone) -> str:
    name = given.strip().lower().rstrip(".")
    name = zone.name if name == "@" else name
    name = name if name == zone.name or name.endswith(f".{zone.name}") else f"{name}.{zone.name}"
    if len(name) > 253 or not OWNER_NAME.fullmatch(name):
        raise _invalid(9000, "DNS name is invalid.")
    return name


def _check_content(kind: str, content: str) -> None:
    if kind in ("A", "AAAA"):
        version = 4 if kind == "A" else 6
        try:
            right = ipaddress.ip_address(content).version == version
        except ValueError:
            right = False
        if not right:
            raise _invalid(9005, f"Content for {kind} record must be a valid IPv{version} address.")
    elif kind == "TXT":
        if len(plain_text(content).encode()) > MOST_OCTETS:
            raise _invalid(9207, f"Content is too long: {MOST_OCTETS} octets at most")
    elif not OWNER_NAME.fullmatch(content.lower().rstrip(".")):
        raise _invalid(9009, f"Content for {kind} record is invalid.")


def _fits(world: World, records: list[Record], fresh: Record) -> None:
    """Raise Problem where a record stands in the way. A second SPF or DMARC record does not."""
    same = [record for record in records if record.name == fresh.name]
    status = world.switches.cloudflare_conflict_status
    if any(record.identity == fresh.identity for record in same):
        code = world.switches.cloudflare_identical_code
        raise Problem(
            status, code, "An identical record already exists." if code == 81058 else "The record already exists."
        )
    if fresh.type in ONE_ONLY and any(record.type == "CNAME" for record in same):
        raise Problem(status, 81054, "A CNAME record with that host already exists.")
    if fresh.type == "CNAME" and any(record.type in ONE_ONLY for record in same):
        raise Problem(status, 81053, "An A, AAAA, or CNAME record with that host already exists.")
    together = sum(len(record.content) for record in [*same, fresh] if record.type == fresh.type)
    if together > MOST_TOGETHER:
        raise _invalid(9208, f"Contents of one name and type are too long: {MOST_TOGETHER} characters at most")
    if len(records) + 1 > world.switches.cloudflare_record_quota:
        raise Problem(400, 81045, "Record quota exceeded.")


def _invalid(code: int, sentence: str) -> Problem:
    return Problem(400, 1004, "DNS Validation Error", (code, sentence))


def _record_row(world: World, record: Record) -> dict[str, Any]:
    content = record.content
    if record.type == "TXT" and world.switches.cloudflare_dashboard_touched and not content.startswith('"'):
        content = f'"{content}"'
    row: dict[str, Any] = {
        "id": record.id,
        "name": record.name,
        "type": record.type,
        "content": content,
        "proxiable": record.type in ONE_ONLY,
        "proxied": record.proxied,
        "ttl": record.ttl,
        "settings": {},
        "meta": {},
        "comment": record.comment,
        "tags": [],
        "created_on": iso(record.created_at),
        "modified_on": iso(record.modified_at),
    }
    return row if record.priority is None else {**row, "priority": record.priority}


def _paged(world: World, request: Request, rows: list[dict[str, Any]], size: int, most: int) -> Response:
    """Answer with one page; the one after the last is empty."""
    page, size = whole(request.query, "page", 1, low=1), min(whole(request.query, "per_page", size, low=1), most)
    shown = rows[(page - 1) * size : page * size]
    info = {
        "page": page,
        "per_page": size,
        "count": len(shown),
        "total_count": len(rows),
        "total_pages": -(-len(rows) // size),
    }
    return success(shown, result_info=info)


# Words for the log


def verb_of(request: Request) -> str:
    """Return the verb; a list of zones with a name is a search for one."""
    verb = ROUTER.verb_of(request)
    return "find_zone" if verb == "list_zones" and "name" in request.query else verb


def items_of(request: Request) -> tuple[str, ...]:
    """Return the name or the id of the zone that a request is about."""
    found = ROUTER.find(request)
    named = [found[1].get("zone") if found else None, peek(request).get("name"), request.query.get("name")]
    return tuple(str(one) for one in named if one)[:1]


def ref_of(world: World, request: Request) -> str:
    """Return the reference in the mark of a record of the zone."""
    for word in items_of(request):
        zone = world.cloudflare.zones.get(word) or world.cloudflare.zone_named(word)
        for record in zone.records if zone else ():
            if record.comment and (found := REFERENCE.search(record.comment)):
                return found.group()
    return ""


ROUTER = Router(
    (
        Route("GET", "/zones", "list_zones", list_zones),
        Route("POST", "/zones", "create_zone", create_zone),
        Route("GET", "/zones/{zone}", "get_zone", get_zone),
        Route("DELETE", "/zones/{zone}", "delete_zone", remove_zone),
        Route("PUT", "/zones/{zone}/activation_check", "activation_check", activation_check),
        Route("GET", "/zones/{zone}/dns_records", "list_records", list_records),
        Route("POST", "/zones/{zone}/dns_records", "create_record", create_record),
        Route("POST", "/zones/{zone}/dns_records/batch", "batch_records", batch_records),
        Route("GET", "/zones/{zone}/dns_records/usage", "record_usage", record_usage),
        Route("PATCH", "/zones/{zone}/dns_records/{record}", "change_record", change_record),
        Route("PUT", "/zones/{zone}/dns_records/{record}", "change_record", change_record),
        Route("DELETE", "/zones/{zone}/dns_records/{record}", "delete_record", delete_record),
    ),
)

PLATFORM = Platform(
    name=NAME,
    prefix="/cloudflare/client/v4",
    handle=handle,
    verb_of=verb_of,
    items_of=items_of,
    reads=frozenset({"list_zones", "find_zone", "get_zone", "list_records", "record_usage"}),
    on_event=on_event,
    error=error,
    key_of=lambda request: request.header("authorization"),
    ref_of=ref_of,
    snapshot=snapshot,
    records_of=records_of,
    fault_kinds=frozenset({"no_permission", "slow_edge", "edge_differs"}),
)
