"""HeyReach, simulated (platforms/heyreach.md, section 6). LinkedIn lead lists of one organisation."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from .clock import iso
from .http import Request, Response, json_response, text_response
from .platforms import Platform, Route, Router
from .quota import Window
from .reading import Refusal, objects, peek, read_object, text, texts, whole

if TYPE_CHECKING:
    from .world import World

NAME = "heyreach"
API_KEY = "sandbox-heyreach-key"
FIRST_ID = 104_512
KINDS = ("USER_LIST", "COMPANY_LIST")
MOST_LISTS, MOST_LEADS, MOST_ADDED = 100, 1000, 100
CUSTOM_NAME = re.compile(r"[A-Za-z0-9_]+")


@dataclass
class Lead:
    """One person in a list; `profile_url` is the identity."""

    profile_url: str
    values: dict[str, Any]
    custom: list[dict[str, str]]
    created_at: float


@dataclass
class LeadList:
    """One list. Nothing removes it."""

    id: int
    name: str
    kind: str
    created_at: float
    leads: dict[str, Lead] = field(default_factory=dict)


@dataclass
class HeyReachState:
    """What the platform holds."""

    lists: dict[int, LeadList] = field(default_factory=dict)


def handle(world: World, request: Request, now: float) -> Response:
    """Answer one request to the public API."""
    if request.header("x-api-key") != API_KEY or world.faults.standing("key_revoked", NAME, ""):
        return error(world, world.switches.heyreach_unauthorised_status, "Unauthorized")
    found = ROUTER.find(request)
    if found is None:
        return Response(404)
    try:
        return found[0].function(world, request, now)
    except Refusal as refusal:
        return error(world, refusal.status, refusal.sentence, refusal.field)


def error(world: World, status: int, sentence: str, member: str = "") -> Response:
    """Word an error: the ASP.NET form for validation, or `errorMessage` by switch."""
    if status == 400 and world.switches.heyreach_error_form == "aspnet":
        name = member[:1].upper() + member[1:] or "Request"
        return json_response({"errors": {name: [sentence]}}, status)
    return json_response({"errorMessage": sentence}, status)


def check_key(world: World, request: Request, now: float) -> Response:
    return text_response("")


def create_list(world: World, request: Request, now: float) -> Response:
    """`type` comes in, `listType` goes out. A `listName` or `listType` member is ignored."""
    body, switches, state = read_object(request), world.switches, world.heyreach
    name = text(body, "name")
    kind = body.get("type") or KINDS[0]
    if kind not in KINDS:
        raise Refusal(400, "type is unknown", "type")
    if switches.heyreach_max_name_length and len(name) > switches.heyreach_max_name_length:
        raise Refusal(400, "name is too long", "name")
    if switches.heyreach_max_lists and len(state.lists) >= switches.heyreach_max_lists:
        raise Refusal(400, "The list limit of your plan is reached")
    if switches.heyreach_duplicate_names == "refuse" and any(item.name == name for item in state.lists.values()):
        raise Refusal(400, "A list with this name already exists", "name")
    made = LeadList(FIRST_ID - 1 + world.count("heyreach list"), name, kind, now)
    state.lists[made.id] = made
    return json_response(
        {
            "id": made.id,
            "name": name,
            "count": 0,
            "listType": kind,
            "creationTime": iso(now),
            "isDeleted": False,
            "campaigns": None,
            "search": None,
            "status": "UNKNOWN",
        },
    )


def find_lists(world: World, request: Request, now: float) -> Response:
    body = read_object(request)
    keyword, kind = text(body, "keyword", optional=True), body.get("listType")
    if kind is not None and kind not in KINDS:
        raise Refusal(400, "listType is unknown", "listType")
    lag = world.switches.heyreach_list_visible_seconds + world.faults.lag(NAME, "find_lists")
    found = [
        _list_row(world, item)
        for item in world.heyreach.lists.values()
        if item.created_at + lag <= now and kind in (None, item.kind) and _matches(world, keyword, item.name)
    ]
    return _page(world, body, world.faults.ordered(NAME, "find_lists", found), MOST_LISTS)


def get_list(world: World, request: Request, now: float) -> Response:
    found = world.heyreach.lists.get(whole(request.query, "listId"))
    return json_response(_list_row(world, found)) if found else error(world, 404, "List not found")


def get_list_by_post(world: World, request: Request, now: float) -> Response:
    return Response(world.switches.heyreach_get_by_id_post_status)


def list_leads(world: World, request: Request, now: float) -> Response:
    body = read_object(request)
    leads = list(_list_of(world, body).leads.values())
    keyword = text(body, "keyword", optional=True).lower()
    url = text(body, "leadProfileUrl", optional=True)
    begin, end = _moment(body, "createdFrom"), _moment(body, "createdTo")
    found = [
        _lead_row(lead)
        for lead in leads
        if (not keyword or keyword in " ".join(map(str, lead.values.values())).lower())
        and url in ("", lead.profile_url)
        and (begin is None or lead.created_at >= begin)
        and (end is None or lead.created_at <= end)
    ]
    return _page(world, body, found, MOST_LEADS)


def add_leads(world: World, request: Request, now: float) -> Response:
    """Counters only. A lead without a last name is dropped, and no counter says so."""
    body = read_object(request)
    target, leads = _list_of(world, body), objects(body, "leads")
    if len(leads) > MOST_ADDED:
        raise Refusal(400, f"At most {MOST_ADDED} leads per request", "leads")
    counters = {"addedLeadsCount": 0, "updatedLeadsCount": 0, "failedLeadsCount": 0}
    for values in leads:
        outcome = _add_lead(target, values, now)
        if outcome:
            counters[outcome] += 1
    return json_response(counters)


def remove_leads(world: World, request: Request, now: float) -> Response:
    """Body names are unknown at the vendor; here `listId` and `leadProfileUrls` or `leadMemberIds`."""
    body = read_object(request)
    target = _list_of(world, body)
    names = texts(body, "leadProfileUrls", optional=True) + texts(body, "leadMemberIds", optional=True)
    absent = [name for name in names if target.leads.pop(name, None) is None]
    return json_response({"notFoundInList": absent})


def _add_lead(target: LeadList, values: dict[str, Any], now: float) -> str:
    url = values.get("profileUrl")
    if not str(values.get("lastName") or "").strip():
        return ""
    custom = values.get("customUserFields") or []
    named = isinstance(custom, list) and all(
        isinstance(item, dict) and CUSTOM_NAME.fullmatch(str(item.get("name", ""))) for item in custom
    )
    if not isinstance(url, str) or not url or not named:
        return "failedLeadsCount"
    known = target.leads.get(url)
    fields = [{"name": str(item["name"]), "value": str(item.get("value", ""))} for item in custom]
    plain = {name: value for name, value in values.items() if name not in ("profileUrl", "customUserFields")}
    target.leads[url] = Lead(url, plain, fields, known.created_at if known else now)
    return "updatedLeadsCount" if known else "addedLeadsCount"


def _list_of(world: World, body: dict[str, Any]) -> LeadList:
    found = world.heyreach.lists.get(whole(body, "listId"))
    if found is None:
        raise Refusal(404, "List not found", "listId")
    return found


def _page(world: World, body: dict[str, Any], rows: list[dict[str, Any]], most: int) -> Response:
    offset, limit = whole(body, "offset", 0), whole(body, "limit", most)
    if limit > most and world.switches.heyreach_over_limit == "refuse":
        raise Refusal(400, f"limit must be at most {most}", "limit")
    limit = min(limit, most, max(1, world.switches.heyreach_page_most))
    return json_response({"totalCount": len(rows), "items": rows[offset : offset + limit]})


def _matches(world: World, keyword: str, name: str) -> bool:
    match world.switches.heyreach_keyword if keyword else "everything":
        case "substring":
            return keyword.lower() in name.lower()
        case "word":
            return keyword.lower() in name.lower().split()
        case "nothing":
            return False
    return True


def _moment(body: dict[str, Any], name: str) -> float | None:
    value = text(body, name, optional=True)
    try:
        return datetime.fromisoformat(value).timestamp() if value else None
    except (ValueError, OverflowError) as problem:
        raise Refusal(400, f"{name} is not a date", name) from problem


def _list_row(world: World, item: LeadList) -> dict[str, Any]:
    row = {"id": item.id, "name": item.name, "listType": item.kind, "creationTime": iso(item.created_at)}
    if world.switches.heyreach_optional_members == "missing":
        return row
    return row | {"totalItemsCount": len(item.leads), "campaignIds": []}


def _lead_row(lead: Lead) -> dict[str, Any]:
    names = (
        "firstName",
        "lastName",
        "headline",
        "imageUrl",
        "location",
        "companyName",
        "companyUrl",
        "position",
        "about",
    )
    row: dict[str, Any] = {"profileUrl": lead.profile_url} | {name: lead.values.get(name) for name in names}
    row |= {"connections": 0, "followers": 0, "tags": [], "emailAddress": lead.values.get("emailAddress")}
    return row | {"customFields": lead.custom}


def items_of(request: Request) -> tuple[str, ...]:
    """Return the list's name or id."""
    body = peek(request)
    value = body.get("name") or body.get("listId") or request.query.get("listId")
    return (str(value),) if isinstance(value, str | int) and value else ()


def windows(world: World, verb: str, request: Request) -> list[Window]:
    return [Window("general", world.switches.heyreach_per_minute, 60.0)]


def ref_of(world: World, request: Request) -> str:
    """Return the reference in the name of the list that a request is about."""
    number = str(peek(request).get("listId") or request.query.get("listId"))
    found = world.heyreach.lists.get(int(number)) if number.isdecimal() and len(number) < 19 else None
    match = re.search(r"GTM-[0-9A-Z]{6}", found.name) if found else None
    return match.group() if match else ""


def snapshot(world: World, now: float) -> dict[str, Any]:
    rows = [{**asdict(item), "leads": len(item.leads)} for item in world.heyreach.lists.values()]
    return {"lists": rows}


ROUTER = Router(
    (
        Route("GET", "/auth/CheckApiKey", "check_key", check_key),
        Route("POST", "/list/CreateEmptyList", "create_list", create_list),
        Route("POST", "/list/GetAll", "find_lists", find_lists),
        Route("GET", "/list/GetById", "get_list", get_list),
        Route("POST", "/list/GetById", "get_list", get_list_by_post),
        Route("POST", "/list/GetLeadsFromList", "list_leads", list_leads),
        Route("POST", "/list/AddLeadsToListV2", "add_leads", add_leads),
        Route("DELETE", "/list/DeleteLeadsFromList", "remove_leads", remove_leads),
        Route("DELETE", "/list/DeleteLeadsFromListByProfileUrl", "remove_leads", remove_leads),
    ),
)

PLATFORM = Platform(
    name=NAME,
    prefix="/heyreach/api/public",
    handle=handle,
    verb_of=ROUTER.verb_of,
    items_of=items_of,
    reads=frozenset({"check_key", "find_lists", "get_list", "list_leads"}),
    error=error,
    windows=windows,
    key_of=lambda request: request.header("x-api-key"),
    ref_of=ref_of,
    snapshot=snapshot,
)
