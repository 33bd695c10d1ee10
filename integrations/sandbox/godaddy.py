"""GoDaddy, simulated: v3 and v1 side by side (platforms/godaddy.md, section 6)."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .clock import iso
from .godaddy_world import (
    NAME,
    OWN_SERVERS,
    Domain,
    Operation,
    Quote,
    charge,
    is_premium,
    is_taken,
    lead,
    on_event,
    own,
    price,
    snapshot,
    start,
)
from .http import Request, Response, json_response
from .platforms import Platform, Route, Router
from .quota import Window
from .reading import Refusal, peek, read_object, text, texts, whole

if TYPE_CHECKING:
    from .world import World

TOKEN = "gd_pat_sandbox-godaddy-token"  # noqa: S105 - opens nothing but this simulation
KEY, SECRET = "sandbox-godaddy-key", "sandbox-godaddy-secret"
QUOTE_SECONDS = 600.0
DOMAIN_NAME = re.compile(r"(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]{0,61}[a-z0-9]")
UNSUPPORTED = ("us", "ca", "eu")
AGREEMENTS = ("API_DPA",)
V1_AGREEMENTS = ("DNRA",)
PEOPLE = ("contactRegistrant", "contactAdmin", "contactTech", "contactBilling")
SCOPES = {
    "check_domain": "domains.domain:read", "check_domains": "domains.domain:read", "quote": "domains.domain:read",
    "get_operation": "domains.domain:read", "list_domains": "domains.domain:read", "get_domain": "domains.domain:read",
    "register": "domains.domain:create", "set_nameservers": "domains.nameserver:update",
    "set_auto_renew": "domains.domain:update",
}  # fmt: skip


class Problem(Exception):
    """The platform says no."""

    def __init__(self, status: int, code: str, message: str = "", field: str = "") -> None:
        super().__init__(code)
        self.status, self.code, self.message, self.field = status, code, message or code.replace("_", " "), field


def handle(world: World, request: Request, now: float) -> Response:
    """Answer one request of either generation, each with its own credentials."""
    v1 = request.path.startswith("/v1/")
    try:
        found = ROUTER.find(request)
        if found is None:
            raise Problem(404, "NOT_FOUND", "No such path")
        _open(world, request, found[0].verb, v1)
        return found[0].function(world, request, now, **found[1])
    except Problem as problem:
        return failure(world, problem.status, problem.code, problem.message, problem.field, v1=v1)
    except Refusal as refusal:
        return failure(world, refusal.status, "INVALID_BODY", refusal.sentence, refusal.field, v1=v1)


def failure(world: World, status: int, code: str, message: str, field: str = "", *, v1: bool = False) -> Response:
    """Word an error in the envelope of the generation, or of the platform's announcement; their case is not fixed."""
    case = world.switches.godaddy_code_case
    code = code.upper() if case == "upper" or v1 else code.lower() if case == "lower" else code
    if v1 or world.switches.godaddy_envelope == "v1":
        fields = [{"path": field, "code": "INVALID_FORMAT", "message": message}] if field else []
        return json_response({"code": code, "message": message, "fields": fields}, status)
    details = (
        [{"field": f"/{field}", "issue": "INVALID_FORMAT", "description": message, "location": "body"}] if field else []
    )
    body = {"name": code, "message": message, "correlationId": world.uuid("godaddy correlation"), "details": details}
    return json_response(body, status)


def error(world: World, status: int, sentence: str) -> Response:
    """Word a limit or a fault. A limit may say inside how long to wait."""
    answer = failure(world, status, "TOO_MANY_REQUESTS" if status == 429 else "ERROR_UNKNOWN", sentence)
    if status == 429 and world.switches.godaddy_429_body:
        return json_response({**answer.json(), "retryAfterSec": 30}, 429)
    return answer


def _open(world: World, request: Request, verb: str, v1: bool) -> None:
    """Raise Problem where the credential does not open this."""
    given, switches = request.header("authorization"), world.switches
    kind, _space, token = given.partition(" ")
    accounts = {TOKEN: "", f"{KEY}:{SECRET}": "", **world.godaddy.tokens}
    is_pair = ":" in token  # key and secret, which v3 does not take
    is_known = token in accounts and kind == ("sso-key" if is_pair else "Bearer") and (v1 or not is_pair)
    if not is_known or world.faults.standing("key_revoked", NAME, "", token):
        raise Problem(401, "UNABLE_TO_AUTHENTICATE", "Unauthorized: credentials must be specified")
    world.godaddy.asking = accounts.get(token, "")
    if v1 and switches.godaddy_v1_gate == "closed":
        raise Problem(403, "ACCESS_DENIED", "Authenticated user is not allowed access")
    if not v1 and SCOPES[verb] not in switches.godaddy_scopes.split():
        raise Problem(403, "INSUFFICIENT_SCOPE", "The token lacks a scope")
    if not v1 and verb == "register" and not switches.godaddy_token_buys:
        raise Problem(403, "ACCESS_DENIED", "An OAuth token is needed")


# v3


def check_domain(world: World, request: Request, now: float) -> Response:
    return json_response(_offer(world, text(request.query, "domain"), request.query.get("optimizeFor", "SPEED")))


def check_domains(world: World, request: Request, now: float) -> Response:
    body = read_object(request)
    names, how = texts(body, "domains"), str(body.get("optimizeFor", "SPEED"))
    if not 1 <= len(names) <= 25:
        raise Problem(400, "INVALID_BODY", "1 to 25 domains", "domains")
    return json_response({"items": [_offer(world, name, how) for name in names]})


def _offer(world: World, name: str, how: str) -> dict[str, Any]:
    name = name.strip().lower()
    if not DOMAIN_NAME.fullmatch(name):
        return {"domain": name, "error": {"name": "MISMATCH_FORMAT", "message": "no domain", "correlationId": "c"}}
    if name.rsplit(".", 1)[1] in UNSUPPORTED:
        return {"domain": name, "error": {"name": "UNSUPPORTED_TLD", "message": "not sold", "correlationId": "c"}}
    gone = is_taken(world, name) and not (how == "SPEED" and name in world.switches.godaddy_cached_names.split())
    row: dict[str, Any] = {"domain": name, "available": not gone, "definitive": how == "ACCURACY"}
    if not gone:
        row["inventory"] = "REGISTRY_PREMIUM" if is_premium(world, name) else "REGISTRY"
        prices = {"price": _usd(price(world, name)), "renewalPrice": _usd(world.switches.godaddy_renewal_cents)}
        row["prices"] = [{"term": "YEAR", "period": 1, **prices, "fees": None}]
    return row


def quote(world: World, request: Request, now: float) -> Response:
    """A new token each time; none for a name that is taken."""
    order = read_object(request)
    name = text(order, "domain").strip().lower()
    if not DOMAIN_NAME.fullmatch(name):
        raise Problem(422, "INVALID_DOMAIN", "no domain", "domain")
    if name.rsplit(".", 1)[1] in UNSUPPORTED:
        raise Problem(422, "UNSUPPORTED_TLD", "not sold", "domain")
    if world.switches.godaddy_payment == "none":
        raise Problem(422, "NO_PAYMENT_PROFILE", "No payment profile on the account")
    source = _check_contact(world, order)
    years, cents = whole(order, "period", 1, low=1), price(world, name)
    if years > 10:
        raise Problem(422, "INVALID_BODY", "1 to 10 years", "period")
    if is_taken(world, name) or world.faults.draw({"domain_taken"}, NAME, "quote", (name,)):
        return json_response({"domain": name, "available": False, "period": years})
    fees = [{"type": "REGISTRY_PREMIUM", "amount": _usd(500)}] if is_premium(world, name) else []
    made = Quote(world.uuid("godaddy quote"), order, cents, fees, now + QUOTE_SECONDS)
    world.godaddy.quotes[made.token] = made
    profile = order.get("profile") or {}
    body = {
        "domain": name,
        "available": True,
        "period": years,
        "inventory": "REGISTRY_PREMIUM" if fees else "REGISTRY",
        "price": _usd(cents * years),
        "renewalPrice": _usd(world.switches.godaddy_renewal_cents),
        "fees": fees or None,
        "irreversible": True,
        "quoteToken": made.token,
        "expiresAt": iso(made.expires_at),
        "requiredAgreements": [{"agreementType": kind, "title": kind, "url": "https://x"} for kind in AGREEMENTS],
        "resolved": {
            "autoRenew": profile.get("autoRenew", True), "privacy": False, "contactSource": source,
            "nameServers": profile.get("nameServers") or list(OWN_SERVERS), "registrantSummary": "",
        },
    }  # fmt: skip
    return json_response(body)


def _check_contact(world: World, order: dict[str, Any]) -> str:
    """Return where the contact comes from. Raises Problem for one that is not whole, or not in plain letters."""
    profile = order.get("profile")
    contacts = profile.get("contacts") if isinstance(profile, dict) else None
    if not contacts:
        if world.switches.godaddy_account_contact != "whole":
            raise Problem(422, "MISSING_CONTACT", "The account's contact is incomplete", "profile")
        return "ACCOUNT"
    person = contacts.get("registrant") if isinstance(contacts, dict) else None
    if not isinstance(person, dict) or not isinstance(person.get("address"), dict):
        raise Problem(422, "MISSING_CONTACT", "registrant is required", "profile")
    for row, names in (
        (person, ("firstName", "lastName", "email")),
        (person["address"], ("line1", "city", "countryCode")),
    ):
        for name in names:
            if not text(row, name, status=422).isascii():
                raise Problem(422, "INVALID_CONTACT", "Only plain letters", name)
    form = world.switches.godaddy_phone
    if form != "either" and not isinstance(person.get("phone"), dict if form == "object" else str):
        raise Problem(422, "MISSING_BILLING_PHONE", "phone", "phone")
    return "INLINE"


def register(world: World, request: Request, now: float) -> Response:
    """Charges. The same key has the same answer, and a new key buys again."""
    body = read_object(request)
    token, name = text(body, "quoteToken"), text(body, "domain").strip().lower()
    return _once(world, request, lambda: _register(world, body, token, name, now))


def _register(world: World, body: dict[str, Any], token: str, name: str, now: float) -> Operation:
    found, consent = world.godaddy.quotes.get(token), body.get("consent")
    if found is None or now >= found.expires_at:
        raise Problem(409, "quote_expired")
    if found.used:
        raise Problem(409, "quote_consumed")
    order = {part: value for part, value in body.items() if part not in ("quoteToken", "consent")}
    if order != found.order:
        raise Problem(422, "quote_mismatch")
    kinds = consent.get("agreementTypes") if isinstance(consent, dict) else None
    if not isinstance(consent, dict) or not isinstance(kinds, list) or set(AGREEMENTS) - set(map(str, kinds)):
        raise Problem(422, "INVALID_AGREEMENT_KEYS")
    if found.fees and consent.get("acknowledgedFees") != found.fees:
        raise Problem(422, "consent_fees_required")
    found.used = True
    profile = order.get("profile") or {}
    servers, renew = profile.get("nameServers") or [], profile.get("autoRenew", True)
    made = start(world, "REGISTER", name, now, nameservers=servers, auto_renew=renew)
    made.cents = found.cents * int(order.get("period", 1)) + 500 * len(found.fees)
    return made


def _once(world: World, request: Request, act: Callable[[], Operation]) -> Response:
    """Carry out a request of an Idempotency-Key once, and answer it the same way ever after."""
    key, body = request.header("idempotency-key"), request.body.decode("utf-8", "replace")
    if not key:
        raise Problem(400, "MISSING_IDEMPOTENCY_KEY", "Idempotency-Key is required")
    known = world.godaddy.keys.get(key)
    if known is not None and known[0] != f"{request.path} {body}":
        raise Problem(422, "IDEMPOTENCY_KEY_REUSED", "Another request had this key")
    if known is None:
        world.godaddy.keys[key] = known = (f"{request.path} {body}", act().id)
    return _operation_reply(world, world.godaddy.operations[known[1]], 202)


def _operation_reply(world: World, one: Operation, status: int = 200) -> Response:
    body: dict[str, Any] = {
        "operationId": one.id,
        "registrationId": one.registration_id,
        "type": one.kind,
        "domain": one.domain,
        "status": one.status,
        "createdAt": iso(one.created_at),
        "updatedAt": iso(one.created_at),
        "links": [],
    }
    if one.kind == "REGISTER":
        body["price"] = _usd(one.cents)
    if one.status == "COMPLETED":
        body["result"] = {"orderId": one.order_id}
    if one.status == "FAILED":
        body["error"] = {"name": one.problem, "message": one.problem, "correlationId": "c"}
    final = one.status in ("COMPLETED", "FAILED")
    return json_response(body, status, {} if final else {"retry-after": "5"})


def get_operation(world: World, request: Request, now: float, operation: str) -> Response:
    found = world.godaddy.operations.get(operation)
    if found is None:
        raise Problem(404, "NOT_FOUND")
    return _operation_reply(world, found)


def list_domains(world: World, request: Request, now: float) -> Response:
    rows, size = _listed(world, now), min(whole(request.query, "pageSize", 100, low=1), 200)
    at = whole(request.query, "pageToken", 0)
    more = [{"rel": "next", "href": f"/v3/domains/domain-names?pageToken={at + size}"}] if len(rows) > at + size else []
    return json_response({"items": [_row(one) for one in rows[at : at + size]], "links": more})


def get_domain(world: World, request: Request, now: float, domain: str) -> Response:
    return json_response(_row(_domain(world, domain, now)))


def set_nameservers(world: World, request: Request, now: float, domain: str) -> Response:
    """The body is a bare array."""
    found, hosts = _changeable(world, domain, now), _hosts(request)
    return _once(world, request, lambda: start(world, "UPDATE_NAMESERVERS", found.name, now, nameservers=hosts))


def set_auto_renew(world: World, request: Request, now: float, domain: str) -> Response:
    """The body is a bare true or false."""
    found = _domain(world, domain, now)
    if world.switches.godaddy_auto_renew == "not_public":
        raise Problem(404, "NOT_FOUND", "No such path")
    try:
        on = request.json()
    except ValueError:
        on = None
    if not isinstance(on, bool):
        raise Problem(400, "INVALID_BODY", "true or false")
    return _once(world, request, lambda: start(world, "UPDATE_AUTO_RENEW", found.name, now, auto_renew=on))


def _hosts(request: Request) -> list[str]:
    try:
        given = request.json()
    except ValueError:
        given = None
    return _right_hosts(given)


def _right_hosts(given: Any) -> list[str]:
    if not isinstance(given, list) or not 2 <= len(given) <= 13:
        raise Problem(422, "INVALID_BODY", "2 to 13 name servers", "nameServers")
    hosts = [str(host).strip().lower().rstrip(".") for host in given]
    if not all(DOMAIN_NAME.fullmatch(host) for host in hosts):
        raise Problem(422, "INVALID_BODY", "name servers are host names", "nameServers")
    return hosts


def _listed(world: World, now: float) -> list[Domain]:
    lag = world.faults.lag(NAME, "list_domains")
    mine = [one for one in world.godaddy.domains.values() if one.account == world.godaddy.asking]
    return [one for one in mine if one.created_at + lag <= now]


def _domain(world: World, name: str, now: float) -> Domain:
    found = world.godaddy.domains.get(name.strip().lower())
    is_mine = found is not None and found.account == world.godaddy.asking
    if found is None or not is_mine or found.created_at + world.faults.lag(NAME, "get_domain") > now:
        raise Problem(404, "NOT_FOUND", "The domain is not in this account")
    return found


def _changeable(world: World, name: str, now: float) -> Domain:
    found = _domain(world, name, now)
    if found.name in world.switches.godaddy_protected_names.split():
        raise Problem(409, "DOMAIN_PROTECTED", "The domain is not eligible for a change of name servers")
    return found


def _row(one: Domain) -> dict[str, Any]:
    dates = {"createdAt": iso(one.created_at), "expiresAt": iso(one.expires_at), "renewBy": iso(one.expires_at)}
    flags = {"autoRenew": one.auto_renew, "privacy": False, "transferLock": True}
    return {
        "domain": one.name,
        "status": one.status,
        **dates,
        **flags,
        "nameServers": list(one.nameservers),
        "links": [],
    }


def _usd(cents: int) -> dict[str, Any]:
    return {"currencyCode": "USD", "value": cents}


# v1


def v1_check_domain(world: World, request: Request, now: float) -> Response:
    row = _v1_offer(world, text(request.query, "domain"))
    if "code" in row:
        raise Problem(422, row["code"], "not possible", "domain")
    return json_response(row)


def v1_check_domains(world: World, request: Request, now: float) -> Response:
    """Answers 203 where something of it failed."""
    try:
        names = request.json()
    except ValueError:
        names = None
    if not isinstance(names, list) or not 1 <= len(names) <= 500:
        raise Problem(422, "INVALID_BODY", "1 to 500 names")
    rows = [_v1_offer(world, str(name)) for name in names]
    bad = [row for row in rows if "code" in row]
    body: dict[str, Any] = {"domains": [row for row in rows if "code" not in row]}
    return json_response({**body, "errors": bad} if bad else body, 203 if bad else 200)


def _v1_offer(world: World, name: str) -> dict[str, Any]:
    name = name.strip().lower()
    if world.faults.hits("partial_check", NAME, "check_domains", name):
        return {"domain": name, "code": "ERROR_UNKNOWN", "message": "?", "path": "domain", "status": 500}
    if not DOMAIN_NAME.fullmatch(name) or name.rsplit(".", 1)[1] in UNSUPPORTED:
        code = "UNSUPPORTED_TLD" if DOMAIN_NAME.fullmatch(name) else "INVALID_DOMAIN"
        return {"domain": name, "code": code, "message": "?", "path": "domain", "status": 422}
    row: dict[str, Any] = {"domain": name, "available": not is_taken(world, name), "definitive": False}
    return {**row, "price": price(world, name) * 10_000, "currency": "USD", "period": 1}


def agreements(world: World, request: Request, now: float) -> Response:
    text(request.query, "tlds")
    kinds = [*V1_AGREEMENTS, *(["DNPA"] if request.query.get("privacy") == "true" else [])]
    rows = [{"agreementKey": kind, "title": kind, "content": "<p>text</p>", "url": "https://x"} for kind in kinds]
    return json_response(rows)


def validate(world: World, request: Request, now: float) -> Response:
    _read_purchase(read_object(request))
    return Response(200)


def purchase(world: World, request: Request, now: float) -> Response:
    """Synchronous, from the prepaid account; nothing keeps it from being bought twice."""
    body = read_object(request)
    name, cents = _read_purchase(body), price(world, text(body, "domain"))
    if world.switches.godaddy_payment == "none" or world.faults.draw({"wallet_short"}, NAME, "purchase", (name,)):
        raise Problem(402, "INVALID_PAYMENT_INFO", "Unable to authorize credit")
    held = name in world.godaddy.domains
    if not held and (is_taken(world, name) or world.faults.draw({"domain_taken"}, NAME, "purchase", (name,))):
        raise Problem(422, world.switches.godaddy_v1_taken_code, "The domain is not available", "domain")
    charge(world, name, cents, now)
    servers, renews = tuple(body.get("nameServers") or ()), body.get("renewAuto", True) is True
    own(world, name, now, "PENDING_SETUP", servers, renews, world.godaddy.asking)
    wait = world.uniform(world.switches.godaddy_operation_seconds, "godaddy v1", name)
    world.schedule(now + wait, NAME, "active", domain=name)
    order = 500_000_000 + world.count("godaddy order")
    return json_response({"orderId": order, "itemCount": 1, "total": cents * 10_000, "currency": "USD"})


def _read_purchase(body: dict[str, Any]) -> str:
    name, consent = text(body, "domain", status=422).strip().lower(), body.get("consent")
    if not DOMAIN_NAME.fullmatch(name):
        raise Problem(422, "INVALID_DOMAIN", "no domain", "domain")
    keys = consent.get("agreementKeys") if isinstance(consent, dict) else None
    if not isinstance(consent, dict) or not isinstance(keys, list) or set(V1_AGREEMENTS) - set(map(str, keys)):
        raise Problem(422, "INVALID_AGREEMENT_KEYS", "consent", "consent.agreementKeys")
    for member in ("agreedBy", "agreedAt"):
        text(consent, member, status=422)
    for person in PEOPLE:
        row = body.get(person)
        address = row.get("addressMailing") if isinstance(row, dict) else None
        if not isinstance(row, dict) or not isinstance(address, dict):
            raise Problem(422, "MISSING_VALUE", "contact", person)
        for member in ("nameFirst", "nameLast", "email", "phone"):
            text(row, member, status=422)
        for member in ("address1", "city", "state", "postalCode", "country"):
            text(address, member, status=422)
    if body.get("nameServers") is not None:
        _right_hosts(body["nameServers"])
    return name


def v1_list_domains(world: World, request: Request, now: float) -> Response:
    """A bare array; `marker` is the last name of the page before."""
    rows, size = sorted(_listed(world, now), key=lambda one: one.name), whole(request.query, "limit", 100, low=1)
    if size > 1000:
        raise Problem(422, "INVALID_BODY", "limit", "limit")
    after = request.query.get("marker", "")
    return json_response([_v1_row(one) for one in rows if one.name > after][:size])


def v1_get_domain(world: World, request: Request, now: float, domain: str) -> Response:
    return json_response(_v1_row(_domain(world, domain, now)))


def v1_change(world: World, request: Request, now: float, domain: str) -> Response:
    found, body = _domain(world, domain, now), read_object(request)
    if "nameServers" in body:
        lead(world, _changeable(world, domain, now), tuple(_right_hosts(body["nameServers"])), now)
    if isinstance(body.get("renewAuto"), bool):
        found.auto_renew = body["renewAuto"]
    return Response(200)


def _v1_row(one: Domain) -> dict[str, Any]:
    dates = {"createdAt": iso(one.created_at), "expires": iso(one.expires_at)}
    flags = {"renewAuto": one.auto_renew, "privacy": False, "locked": True}
    return {
        "domain": one.name,
        "domainId": 1,
        "status": one.status,
        **dates,
        **flags,
        "nameServers": list(one.nameservers),
    }


# Words for the log


def items_of(request: Request) -> tuple[str, ...]:
    """Return the names that a request is about."""
    found, body = ROUTER.find(request), peek(request)
    if found and "domain" in found[1]:
        return (found[1]["domain"],)
    listed = body.get("domains")
    if isinstance(listed, list):
        return tuple(map(str, listed))
    one = body.get("domain") or request.query.get("domain")
    return (str(one),) if one else ()


def windows(world: World, verb: str, request: Request) -> list[Window]:
    """One bucket per credential: the stricter reading of theirs."""
    return [Window("general", world.switches.godaddy_per_minute, 60.0)]


V3, V1 = "/v3/domains", "/v1/domains"
ROUTER = Router(
    (
        Route("GET", f"{V3}/check-availability", "check_domain", check_domain),
        Route("POST", f"{V3}/check-availability", "check_domains", check_domains),
        Route("POST", f"{V3}/registration-quotes", "quote", quote),
        Route("POST", f"{V3}/registrations", "register", register),
        Route("GET", f"{V3}/operations/{{operation}}", "get_operation", get_operation),
        Route("GET", f"{V3}/domain-names", "list_domains", list_domains),
        Route("GET", f"{V3}/domain-names/{{domain}}", "get_domain", get_domain),
        Route("PUT", f"{V3}/domain-names/{{domain}}/nameservers", "set_nameservers", set_nameservers),
        Route("POST", f"{V3}/domain-names/{{domain}}/auto-renew", "set_auto_renew", set_auto_renew),
        Route("GET", f"{V1}/available", "check_domain", v1_check_domain),
        Route("POST", f"{V1}/available", "check_domains", v1_check_domains),
        Route("GET", f"{V1}/agreements", "agreements", agreements),
        Route("POST", f"{V1}/purchase/validate", "validate", validate),
        Route("POST", f"{V1}/purchase", "purchase", purchase),
        Route("GET", V1, "list_domains", v1_list_domains),
        Route("GET", f"{V1}/{{domain}}", "get_domain", v1_get_domain),
        Route("PATCH", f"{V1}/{{domain}}", "set_nameservers", v1_change),
    ),
)


def verb_of(request: Request) -> str:
    """Return the verb; one call of v1 changes name servers and renewal alike."""
    verb = ROUTER.verb_of(request)
    return "set_auto_renew" if request.method == "PATCH" and "renewAuto" in peek(request) else verb


PLATFORM = Platform(
    name=NAME,
    prefix="/godaddy",
    handle=handle,
    verb_of=verb_of,
    items_of=items_of,
    reads=frozenset(
        {"check_domain", "check_domains", "get_operation", "list_domains", "get_domain", "agreements", "validate"}
    ),
    on_event=on_event,
    error=error,
    windows=windows,
    key_of=lambda request: request.header("authorization"),
    snapshot=snapshot,
    fault_kinds=frozenset({"stuck", "declined", "registry_taken", "partial_check"}),
)
