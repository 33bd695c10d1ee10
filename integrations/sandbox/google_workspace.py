"""Google Workspace, simulated (platforms/google_workspace.md, section 6): token endpoint, Directory, Site Verification,
Licensing, Gmail settings and Postmaster compliance of one customer. What people do in a browser: google_world.py."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from .clock import iso
from .dns import texts
from .google_world import (
    ADMIN,
    CUSTOMER,
    EPOCH,
    Domain,
    GoogleWorkspaceState,
    Token,
    User,
    customer_of,
    has_licence,
    has_mailbox,
    is_verified,
    open_doors,
    records,
    revoke_app_passwords,
    user_at,
)
from .http import Request, Response, json_response
from .platforms import Platform, Route, Router
from .quota import Window
from .reading import Refusal, peek, read_object, text, whole
from .seeds import hexadecimal

if TYPE_CHECKING:
    from .world import World

NAME = "google_workspace"
SERVICE_ACCOUNT = "gtm@sandbox.example"
AUDIENCE = "https://oauth2.googleapis.com/token"
BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
# The public half of the sandbox's service account (config/sandbox_service_account.json), which opens nothing elsewhere.
PUBLIC_KEY = b"""-----BEGIN PUBLIC KEY-----
MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEA3cGCHjakdO6d30L1KYaI
26nkTYAeP3tVEL9wR0QN5PfAe/ay34CuIbfQK0FLXWxaCD/yFzwQIhCQUAzygpyO
QN8Ua1xcln0Xti/EMXBjSz7snJmSMx/tymOUEMcDL9HatgO1wMv6p3Tttk83LRVA
Ai8hNDF3sJdM3YdaausQwkbFaE44sORP5gmF/n99YEoU7FSsHQ9KQnOQyB1zlqXq
S7+GrJjCD/UWk3cVkrzgDJsfv7clSchWZ3Iy23+z7Zx10eIbxil8WmDKuoYjoN0p
RqJHUJ5bJjlU12+4mh2IlnN+mPMCgjTIXiPh/QATlnTZqvv9e+6OVuFfSslRt87h
vQIDAQAB
-----END PUBLIC KEY-----
"""
SHORT = "https://www.googleapis.com/auth/"
MOST_TOKENS = 1_000
LONGEST_NAME = 60
PASSWORD_LENGTHS = range(8, 101)
REQUIREMENTS = (
    "SPF", "DKIM", "SPF_AND_DKIM", "DMARC_POLICY", "DMARC_ALIGNMENT", "MESSAGE_FORMATTING", "DNS_RECORDS", "ENCRYPTION",
    "USER_REPORTED_SPAM_RATE", "ONE_CLICK_UNSUBSCRIBE", "HONOR_UNSUBSCRIBE",
)  # fmt: skip
STATUSES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ALREADY_EXISTS",
    412: "FAILED_PRECONDITION",
    429: "RESOURCE_EXHAUSTED",
    503: "UNAVAILABLE",
}
REASONS = {
    400: "invalid",
    401: "authError",
    403: "forbidden",
    404: "notFound",
    409: "duplicate",
    412: "conditionNotMet",
    429: "rateLimitExceeded",
}


def handle(world: World, request: Request, now: float) -> Response:
    """Answer one request of whoever its access token says, if the token is for what is asked."""
    found = ROUTER.find(request)
    if found is None:
        return error(world, 404, "Not Found")
    route, names = found
    try:
        if route.verb == "access_token":
            return access_token(world, request, now)
        return route.function(world, request, now, who=_who(world, request, now, route.verb, names), **names)
    except Refusal as refused:
        return error(world, refused.status, refused.sentence, refused.field)


def error(world: World, status: int, sentence: str, reason: str = "") -> Response:
    """Word an error in either of the two forms of theirs; a used-up limit as the switch says."""
    switches = world.switches
    if status == 429:
        status = int(switches.google_workspace_rate_reply.partition(" ")[0])
        reason = switches.google_workspace_rate_reply.partition(" ")[2]
    reason = reason or REASONS.get(status, "backendError")
    failure: dict[str, Any] = {"code": status, "message": sentence}
    if switches.google_workspace_error_form == "details":
        kind = "type.googleapis.com/google.rpc.ErrorInfo"
        failure["status"] = STATUSES.get(status, "INTERNAL")
        failure["details"] = [{"@type": kind, "reason": reason, "domain": "googleapis.com"}]
    else:
        failure["errors"] = [{"message": sentence, "domain": "global", "reason": reason}]
    return json_response({"error": failure}, status)


# Tokens


def access_token(world: World, request: Request, now: float) -> Response:
    """Take an assertion if it is signed by the service account, for a person of the account and delegated rights."""
    try:
        form = dict(request.form())
    except UnicodeDecodeError:
        form = {}
    if form.get("grant_type") != BEARER:
        return _refuse_token(400, "unsupported_grant_type", "Invalid grant_type")
    claims = _claims(form.get("assertion", ""))
    if claims is None or _is_revoked(world, str(claims.get("sub", "")).lower()):
        return _refuse_token(400, "invalid_grant", "Invalid JWT Signature.")
    if claims.get("iss") != SERVICE_ACCOUNT:
        return _refuse_token(400, "invalid_grant", "Invalid grant: account not found")
    if claims.get("aud") != AUDIENCE:
        return _refuse_token(400, "invalid_grant", "Invalid JWT: Failed audience check.")
    begins, ends = claims.get("iat"), claims.get("exp")
    is_short = isinstance(begins, int) and isinstance(ends, int) and 0 < ends - begins <= 3600
    if not is_short or world.switches.google_workspace_clocks == "differ":
        sentence = "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe."
        return _refuse_token(400, "invalid_grant", sentence)
    subject, scopes = str(claims.get("sub", "")).lower(), frozenset(str(claims.get("scope", "")).split())
    person = user_at(world, subject)
    if person is None or person.suspended or now < person.visible_at:
        return _refuse_token(400, "invalid_grant", "Invalid email or User ID")
    customer = customer_of(world, subject)
    delegated = customer.scopes if customer is not None else None
    delegated = world.switches.google_workspace_scopes if delegated is None else delegated
    if not scopes or {_short(one) for one in scopes} - set(delegated.split()):
        sentence = (
            "Client is unauthorized to retrieve access tokens using this method, or client not authorized for any"
        )
        return _refuse_token(401, "unauthorized_client", f"{sentence} of the scopes requested.")
    tokens = world.google_workspace.tokens
    if len(tokens) >= MOST_TOKENS:
        del tokens[next(iter(tokens))]
    value = f"ya29.sandbox-{world.hex_id('google token', 40)}"
    tokens[value] = Token(subject, scopes, now + world.switches.google_workspace_token_seconds)
    return json_response({"access_token": value, "expires_in": 3599, "token_type": "Bearer"})


def _is_revoked(world: World, who: str) -> bool:
    """Tell whether a fault has ended the delegation: everybody's, or that of the account of one administrator."""
    customer = customer_of(world, who)
    return world.faults.standing("key_revoked", NAME, "", customer.admin if customer else who) is not None


def _mine(world: World, who: str, domain: str) -> Domain | None:
    """Return a domain of the account of whoever asks."""
    found, customer = world.google_workspace.domains.get(domain), customer_of(world, who)
    return found if found is not None and customer is not None and found.customer == customer.id else None


def _refuse_token(status: int, code: str, sentence: str) -> Response:
    return json_response({"error": code, "error_description": sentence}, status)


def _claims(assertion: str) -> Mapping[str, Any] | None:
    """Return what an assertion says, None unless our service account has signed it."""
    signed, _, signature = assertion.rpartition(".")
    key = serialization.load_pem_public_key(PUBLIC_KEY)
    assert isinstance(key, rsa.RSAPublicKey)
    try:
        key.verify(_unpacked(signature), signed.encode(), padding.PKCS1v15(), hashes.SHA256())
        claims = json.loads(_unpacked(signed.partition(".")[2]))
    except (InvalidSignature, ValueError, binascii.Error):
        return None
    return claims if isinstance(claims, dict) else None


def _unpacked(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def _short(scope: str) -> str:
    return scope.removeprefix(SHORT).removeprefix("https://").rstrip("/")


def _who(world: World, request: Request, now: float, verb: str, names: Mapping[str, str]) -> str:
    """Return whose token a request carries. Raises Refusal for none, an old one, and one for something else."""
    held = world.google_workspace.tokens.get(request.header("authorization").removeprefix("Bearer "))
    if held is None or now >= held.until or _is_revoked(world, held.subject):
        raise Refusal(401, "Request had invalid authentication credentials.", "authError")
    if not {_short(one) for one in held.scopes} & SCOPES[verb]:
        raise Refusal(403, "Request had insufficient authentication scopes.", "insufficientPermissions")
    if world.switches.google_workspace_api_access == "none":
        raise Refusal(403, "Domain cannot use apis.", "domainCannotUseApis")
    person = user_at(world, held.subject)
    is_own = verb in OWN and names.get("user") in ("me", held.subject)
    if person is None or not (is_own or (person.is_admin and verb not in OWN)):
        raise _not_authorised()
    return held.subject


# Domains


def list_domains(world: World, request: Request, now: float, who: str, customer: str) -> Response:
    lag = world.faults.lag(NAME, "list_domains")
    there = [one for one in world.google_workspace.domains.values() if _mine(world, who, one.name)]
    seen = [one for one in there if one.created_at + lag <= now]
    rows = [_domain_row(one, now) for one in world.faults.ordered(NAME, "list_domains", seen)]
    return json_response({"kind": "admin#directory#domains", "etag": '"1"', "domains": rows})


def get_domain(world: World, request: Request, now: float, who: str, customer: str, domain: str) -> Response:
    found = _mine(world, who, domain.lower())
    if found is None:
        raise Refusal(404, "Domain not found.", "notFound")
    return json_response(_domain_row(found, now))


def add_domain(world: World, request: Request, now: float, who: str, customer: str) -> Response:
    name = text(read_object(request), "domainName").strip().lower()
    state, switches = world.google_workspace, world.switches
    if not re.fullmatch(r"(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]{0,61}[a-z0-9]", name):
        raise Refusal(400, "Invalid domain name.", "invalid")
    if name in state.domains or name in state.aliases or name in switches.google_workspace_foreign_domains.split():
        raise _taken()
    if len([one for one in state.domains if _mine(world, who, one)]) >= switches.google_workspace_most_domains:
        raise _limit(world, "The limit of domains of this account is reached.")
    state.domains[name] = Domain(name, now, customer=_customer_id(world, who))
    if world.faults.hits("duplicate_after_success", NAME, "add_domain", name):
        raise _taken()
    return json_response(_domain_row(state.domains[name], now), 200)


def delete_domain(world: World, request: Request, now: float, who: str, customer: str, domain: str) -> Response:
    if _mine(world, who, domain.lower()) is None:
        raise Refusal(404, "Domain not found.", "notFound")
    del world.google_workspace.domains[domain.lower()]
    return Response(204)


def list_aliases(world: World, request: Request, now: float, who: str, customer: str) -> Response:
    rows = [_alias_row(name, parent) for name, parent in world.google_workspace.aliases.items()]
    return json_response({"kind": "admin#directory#domainAliases", "etag": '"1"', "domainAliases": rows})


def add_alias(world: World, request: Request, now: float, who: str, customer: str) -> Response:
    body = read_object(request)
    name, parent = text(body, "domainAliasName").lower(), text(body, "parentDomainName").lower()
    state = world.google_workspace
    if _mine(world, who, parent) is None:
        raise Refusal(404, "Domain not found.", "domainNotFound")
    if name in state.domains or name in state.aliases:
        raise _taken()
    if len(state.aliases) >= world.switches.google_workspace_most_aliases:
        raise _limit(world, "The limit of domain aliases of this account is reached.")
    state.aliases[name] = parent
    return json_response(_alias_row(name, parent))


def _alias_row(name: str, parent: str) -> dict[str, Any]:
    kind = "admin#directory#domainAlias"
    return {"kind": kind, "domainAliasName": name, "parentDomainName": parent, "verified": False}


def _domain_row(domain: Domain, now: float) -> dict[str, Any]:
    return {
        "kind": "admin#directory#domain",
        "etag": '"1"',
        "domainName": domain.name,
        "isPrimary": domain.is_primary,
        "verified": is_verified(domain, now),
        "creationTime": str(int(domain.created_at * 1000)),
    }


def _not_authorised() -> Refusal:
    return Refusal(403, "Not Authorized to access this resource/api", "forbidden")


def _taken() -> Refusal:
    return Refusal(409, "Entity already exists.", "duplicate")


def _limit(world: World, sentence: str) -> Refusal:
    status, _, reason = world.switches.google_workspace_limit_reply.partition(" ")
    return Refusal(int(status), sentence, reason)


# Site verification


def verification_token(world: World, request: Request, now: float, who: str) -> Response:
    body = read_object(request)
    method, name = text(body, "verificationMethod"), _site(body, text(body, "verificationMethod"))
    return json_response({"method": method, "token": _expected(world, who, name)})


def verify_domain(world: World, request: Request, now: float, who: str) -> Response:
    """Look for the TXT record as anybody would. What was verified once stays so."""
    method = request.query.get("verificationMethod", "")
    name = _site(read_object(request), method)
    state, switches = world.google_workspace, world.switches
    if method == "DNS":
        raise Refusal(503, "Backend Error", "backendError")
    if (who, name) not in state.verified:
        if _expected(world, who, name) not in texts(world, name, now):
            if switches.google_workspace_unverified == "503":
                raise Refusal(503, "Backend Error", "backendError")
            raise Refusal(400, "The necessary verification token could not be found on your site.", "badRequest")
        state.verified.add((who, name))
    domain = _mine(world, who, name)
    if domain is not None and domain.verified_at is None:
        domain.verified_at = now + world.uniform(switches.google_workspace_verified_seconds, "google verified", name)
    return json_response(_site_row(who, name))


def list_verified(world: World, request: Request, now: float, who: str) -> Response:
    rows = [_site_row(whose, name) for whose, name in sorted(world.google_workspace.verified) if whose == who]
    return json_response({"items": rows} if rows else {})


def _site(body: dict[str, Any], method: str) -> str:
    """Return the domain that a request is about. What names no kind of site is taken for a web address."""
    site = body.get("site")
    site = site if isinstance(site, dict) else {}
    kind, name = site.get("type") or "SITE", str(site.get("identifier") or "").strip().lower()
    if kind != "INET_DOMAIN" and method.startswith("DNS"):
        raise Refusal(400, f"The verification method {method} is not valid for sites of the type {kind}.", "badRequest")
    if kind != "INET_DOMAIN" or not name or method not in ("DNS", "DNS_TXT", "DNS_CNAME"):
        raise Refusal(400, "Invalid Value", "invalid")
    return name


def _expected(world: World, who: str, name: str) -> str:
    """Return the token of one person for one domain: the same whenever it is asked for."""
    return f"google-site-verification={hexadecimal(43, world.seed, 'google verification', who, name)}"


def _site_row(who: str, name: str) -> dict[str, Any]:
    return {"id": f"dns%3A%2F%2F{name}", "site": {"type": "INET_DOMAIN", "identifier": name}, "owners": [who]}


# Users


def list_users(world: World, request: Request, now: float, who: str) -> Response:
    domain, size = request.query.get("domain", "").lower(), min(500, whole(request.query, "maxResults", 100, low=1))
    start = whole(request.query, "pageToken", 0) if request.query.get("pageToken") else 0
    if domain and _mine(world, who, domain) is None:
        raise Refusal(404, "Domain not found.", "domainNotFound")
    lag = world.faults.lag(NAME, "list_users")
    mine = _customer_id(world, who)
    there = [one for one in world.google_workspace.users.values() if one.deleted_at is None and one.customer == mine]
    shown = [one for one in there if one.visible_at + lag <= now]
    found = [one for one in shown if not domain or one.address.endswith(f"@{domain}")]
    rows = [_user_row(world, one, now) for one in world.faults.ordered(NAME, "list_users", found)]
    document: dict[str, Any] = {"kind": "admin#directory#users", "etag": '"1"'}
    if rows[start : start + size]:
        document["users"] = rows[start : start + size]
    if len(rows) > start + size:
        document["nextPageToken"] = str(start + size)
    return json_response(document)


def get_user(world: World, request: Request, now: float, who: str, user: str) -> Response:
    return json_response(_user_row(world, _user(world, who, user, now), now))


def create_user(world: World, request: Request, now: float, who: str) -> Response:
    """Accept a user that readers find, that can be changed, and whose mailbox is there, each a while later."""
    body, switches = read_object(request), world.switches
    address = text(body, "primaryEmail").strip().lower()
    name = body.get("name")
    if not isinstance(name, dict):
        raise Refusal(400, "Missing required field: name", "required")
    given, family = text(name, "givenName"), text(name, "familyName")
    if max(len(given), len(family)) > LONGEST_NAME:
        raise Refusal(400, "Invalid Given/Family Name", "invalid")
    _check_password(world, body)
    local, _, domain = address.partition("@")
    if not re.fullmatch(r"[a-z0-9._'-]{1,64}", local):
        raise Refusal(400, "Invalid Input: primary_user_email", "invalid")
    if not is_verified(_mine(world, who, domain), now):
        status = int(switches.google_workspace_unknown_domain)
        raise Refusal(404, "Domain not found.", "domainNotFound") if status == 404 else _not_authorised()
    unit = body.get("orgUnitPath", "/")
    if unit != "/":
        raise Refusal(400, "Invalid Input: INVALID_OU_ID", "invalidOrgunit")
    if user_at(world, address) is not None:
        raise _taken()
    mine = _customer_id(world, who)
    everybody = [one for one in world.google_workspace.users.values() if one.customer == mine]
    others = [one for one in everybody if not one.is_admin and one.deleted_at is None]
    if len(others) >= switches.google_workspace_seats:
        raise _limit(world, "Domain user limit reached.")
    made = User(
        id=str(10**20 + world.count("google user")),
        address=address,
        given_name=given,
        family_name=family,
        password=str(body["password"]),
        created_at=now,
        visible_at=now + world.uniform(switches.google_workspace_visible_seconds, "google visible", address),
        complete_at=now + world.uniform(switches.google_workspace_complete_seconds, "google complete", address),
        mailbox_seconds=world.uniform(switches.google_workspace_mailbox_seconds, "google mailbox", address),
        external_ids=[one for one in body.get("externalIds") or [] if isinstance(one, dict)],
        must_change=body.get("changePasswordAtNextLogin") is True,
        customer=mine,
    )
    world.google_workspace.users[made.id] = made
    if world.faults.hits("duplicate_after_success", NAME, "create_user", address):
        raise _taken()
    return json_response(_user_row(world, made, now))


def change_user(world: World, request: Request, now: float, who: str, user: str) -> Response:
    found, body = _user(world, who, user, now), read_object(request)
    if now < found.complete_at:
        raise Refusal(412, "User creation is not complete.", "conditionNotMet")
    if "password" in body:
        _check_password(world, body)
        found.password = str(body["password"])
        revoke_app_passwords(world, found)
    if "suspended" in body:
        if not isinstance(body["suspended"], bool):
            raise Refusal(400, "Invalid Input: suspended", "invalid")
        found.suspended = body["suspended"]
        open_doors(world, found, now)
    return json_response(_user_row(world, found, now))


def delete_user(world: World, request: Request, now: float, who: str, user: str) -> Response:
    found = _user(world, who, user, now)
    found.deleted_at = now
    open_doors(world, found, now)
    return Response(204)


def undelete_user(world: World, request: Request, now: float, who: str, user: str) -> Response:
    """Bring a user back by its id, for a while, unless its address was given away."""
    found = world.google_workspace.users.get(user)
    if found is None or found.deleted_at is None:
        raise Refusal(404, "Resource Not Found: userKey", "notFound")
    if now > found.deleted_at + world.switches.google_workspace_undelete_seconds:
        raise Refusal(400, "The user was deleted too long ago.", "invalid")
    if user_at(world, found.address) is not None:
        raise _taken()
    found.deleted_at = None
    open_doors(world, found, now)
    return Response(204)


def _check_password(world: World, body: dict[str, Any]) -> None:
    password = body.get("password")
    if not isinstance(password, str) or not password:
        raise Refusal(400, "Missing required field: password", "required")
    if body.get("hashFunction") in ("MD5", "SHA-1", "crypt"):
        return
    least = world.switches.google_workspace_password_length  # an account may want more than Google does
    if (
        len(password) < least
        or len(password) not in PASSWORD_LENGTHS
        or not password.isascii()
        or len(set(password)) < 4
    ):
        raise Refusal(400, "Invalid Password", "invalid")


def _user(world: World, who: str, key: str, now: float) -> User:
    domain = key.lower().partition("@")[2]
    if domain and _mine(world, who, domain) is None:
        raise _not_authorised()
    found = user_at(world, key)
    if found is None or now < found.visible_at or found.customer != _customer_id(world, who):
        raise Refusal(404, "Resource Not Found: userKey", "notFound")
    return found


def _customer_id(world: World, who: str) -> str:
    customer = customer_of(world, who)
    return customer.id if customer is not None else ""


def _user_row(world: World, user: User, now: float) -> dict[str, Any]:
    row = {
        "kind": "admin#directory#user",
        "id": user.id,
        "etag": '"1"',
        "primaryEmail": user.address,
        "name": {
            "givenName": user.given_name,
            "familyName": user.family_name,
            "fullName": f"{user.given_name} {user.family_name}",
        },
        "isAdmin": user.is_admin,
        "isDelegatedAdmin": False,
        "suspended": user.suspended,
        "creationTime": iso(user.created_at),
        "lastLoginTime": EPOCH,
        "customerId": user.customer,
        "orgUnitPath": user.org_unit,
        "isMailboxSetup": has_mailbox(world, user, now),
        "isEnrolledIn2Sv": user.two_step,
        "agreedToTerms": False,
        "changePasswordAtNextLogin": user.must_change,
        "includeInGlobalAddressList": True,
    }
    if user.external_ids:
        row["externalIds"] = user.external_ids
    if user.suspended:
        row["suspensionReason"] = "ADMIN"
    return row


# App passwords: a list, and no way to make one


def list_app_passwords(world: World, request: Request, now: float, who: str, user: str) -> Response:
    found = _user(world, who, user, now)
    rows = [_asp_row(found, one) for one in found.app_passwords]
    return json_response({"kind": "admin#directory#aspList", "etag": '"1"', **({"items": rows} if rows else {})})


def get_app_password(world: World, request: Request, now: float, who: str, user: str, code: str) -> Response:
    found = _user(world, who, user, now)
    for one in found.app_passwords:
        if str(one.code_id) == code:
            return json_response(_asp_row(found, one))
    raise Refusal(404, "Resource Not Found: codeId", "notFound")


def delete_app_password(world: World, request: Request, now: float, who: str, user: str, code: str) -> Response:
    found = _user(world, who, user, now)
    kept = [one for one in found.app_passwords if str(one.code_id) != code]
    if len(kept) == len(found.app_passwords):
        raise Refusal(404, "Resource Not Found: codeId", "notFound")
    found.app_passwords = kept
    open_doors(world, found, now)
    return Response(204)


def _asp_row(user: User, one: Any) -> dict[str, Any]:
    return {
        "kind": "admin#directory#asp",
        "etag": '"1"',
        "codeId": one.code_id,
        "name": one.name,
        "creationTime": str(int(one.created_at * 1000)),
        "lastTimeUsed": "0",
        "userKey": user.id,
    }


# Licences


def get_licence(world: World, request: Request, now: float, who: str, product: str, sku: str, user: str) -> Response:
    found = _colleague(world, who, user)
    place = (product, sku, user.lower())
    automatic = found is not None and world.switches.google_workspace_licences == "automatic"
    if place not in world.google_workspace.licences and not automatic:
        raise Refusal(404, "User does not have a license for specified sku and product", "notFound")
    return json_response(_licence_row(*place))


def list_licences(world: World, request: Request, now: float, who: str, product: str, sku: str) -> Response:
    rows = [_licence_row(*place) for place in world.google_workspace.licences if place[:2] == (product, sku)]
    return json_response({"kind": "licensing#licenseAssignmentList", "etag": '"1"', "items": rows})


def assign_licence(world: World, request: Request, now: float, who: str, product: str, sku: str) -> Response:
    address = text(read_object(request), "userId").strip().lower()
    found = _colleague(world, who, address)
    if found is None:
        raise Refusal(404, "User not found.", "notFound")
    if now < found.complete_at:
        raise Refusal(412, "User creation is not complete.", "conditionNotMet")
    if (product, sku, address) in world.google_workspace.licences or has_licence(world, found):
        raise Refusal(412, "User already has a license for the specified product and SKU", "conditionNotMet")
    if len(world.google_workspace.licences) >= world.switches.google_workspace_seats:
        raise _limit(world, "There aren't enough available licenses for the specified product-SKU pair.")
    world.google_workspace.licences[product, sku, address] = now
    return json_response(_licence_row(product, sku, address))


def _colleague(world: World, who: str, address: str) -> User | None:
    """Return a user of the account of whoever asks."""
    found = user_at(world, address)
    return found if found is not None and found.customer == _customer_id(world, who) else None


def _licence_row(product: str, sku: str, address: str) -> dict[str, Any]:
    kind = "licensing#licenseAssignment"
    return {"kind": kind, "userId": address, "productId": product, "skuId": sku, "productName": "Google Workspace"}


# Gmail


def imap_enabled(world: World, request: Request, now: float, who: str, user: str) -> Response:
    return json_response(_imap_row(_mailbox(world, who, now)))


def enable_imap(world: World, request: Request, now: float, who: str, user: str) -> Response:
    found, body = _mailbox(world, who, now), read_object(request)
    if not isinstance(body.get("enabled"), bool):
        raise Refusal(400, "Invalid value at 'enabled'", "invalid")
    found.imap = body["enabled"]
    return json_response(_imap_row(found))


def _mailbox(world: World, address: str, now: float) -> User:
    found = _user(world, address, address, now)
    if not has_mailbox(world, found, now):
        raise Refusal(400, "Mail service not enabled", "failedPrecondition")
    return found


def _imap_row(user: User) -> dict[str, Any]:
    return {"enabled": True, "autoExpunge": True, "expungeBehavior": "archive"} if user.imap else {"autoExpunge": True}


# Postmaster


def compliance(world: World, request: Request, now: float, who: str, domain: str) -> Response:
    """Tell how a domain stands, as the switch says; rows may be missing altogether."""
    if (who, domain) not in world.google_workspace.verified:
        raise Refusal(403, "The caller does not have permission", "forbidden")
    position = world.switches.google_workspace_compliance
    word = "NEEDS_WORK" if position == "needs_work" else "COMPLIANT"
    rows = [{"requirement": name, "status": {"status": word}} for name in REQUIREMENTS]
    found = {} if position == "absent" else {"complianceData": {"domainId": domain, "rowData": rows}}
    return json_response({"name": f"domains/{domain}/complianceStatus", **found})


# Words for the log


def items_of(request: Request) -> tuple[str, ...]:
    """Return the domain or the address that a request is about."""
    body = peek(request)
    site = body.get("site")
    named = body.get("domainName") or body.get("primaryEmail") or body.get("userId")
    named = named or (site.get("identifier") if isinstance(site, dict) else "") or request.query.get("domain")
    if isinstance(named, str) and named:
        return (named.lower(),)
    found = re.search(r"/(?:users|domains|user)/([^/]+)", request.path)
    return (found[1].lower(),) if found else ()


def ref_of(world: World, request: Request) -> str:
    """Return our reference in the mark of the user that a request is about."""
    for item in items_of(request):
        user = user_at(world, item)
        for one in user.external_ids if user else ():
            match = re.search(r"GTM-[0-9A-Z]{6}", str(one.get("value")))
            if match:
                return match.group()
    return ""


def windows(world: World, verb: str, request: Request) -> list[Window]:
    """The bucket of the account, whoever asks; users are made no faster than the older texts say."""
    if verb == "access_token":
        return []
    found = [Window("account", world.switches.google_workspace_per_minute, 60.0)]
    creates = [Window("users", world.switches.google_workspace_users_per_second, 1.0)] if verb == "create_user" else []
    return found + creates


def snapshot(world: World, now: float) -> dict[str, Any]:
    """Return everything but passwords, tokens and private keys."""
    state = world.google_workspace
    return {
        "seats": world.switches.google_workspace_seats,
        "domains": [
            {
                "name": one.name,
                "verified": is_verified(one, now),
                "created_at": one.created_at,
                "dkim": one.dkim
                and {"selector": one.dkim.selector, "txt": one.dkim.txt, "started_at": one.dkim.started_at},
            }
            for one in state.domains.values()
        ],
        "users": [
            {
                "id": one.id,
                "email": one.address,
                "first_name": one.given_name,
                "last_name": one.family_name,
                "marks": [item.get("value") for item in one.external_ids],
                "suspended": one.suspended,
                "deleted": one.deleted_at is not None,
                "mailbox": has_mailbox(world, one, now),
                "imap": one.imap,
                "two_step": one.two_step,
                "app_passwords": len(one.app_passwords),
                "created_at": one.created_at,
                "customer": one.customer,
            }
            for one in state.users.values()
        ],
        "aliases": dict(state.aliases),
        "verified": sorted(state.verified),
        "licences": sorted(state.licences),
    }


_DIRECTORY = "/admin/directory/v1"
_DOMAINS = _DIRECTORY + "/customer/{customer}/domains"
_ALIASES = _DIRECTORY + "/customer/{customer}/domainaliases"
_USERS = _DIRECTORY + "/users"
_SITES = "/siteVerification/v1"
_SKU = "/apps/licensing/v1/product/{product}/sku/{sku}"
_IMAP = "/gmail/v1/users/{user}/settings/imap"
_DOMAIN_SCOPE = frozenset({"admin.directory.domain"})
_USER_SCOPE = frozenset({"admin.directory.user"})
_ASP_SCOPE = frozenset({"admin.directory.user.security"})
_SITE_SCOPE = frozenset({"siteverification"})
_LICENCE_SCOPE = frozenset({"apps.licensing"})
_GMAIL_SCOPE = frozenset({"gmail.settings.basic"})

# Each with the rights of which one is needed.
OPERATIONS = (
    (Route("GET", _DOMAINS, "list_domains", list_domains), _DOMAIN_SCOPE),
    (Route("POST", _DOMAINS, "add_domain", add_domain), _DOMAIN_SCOPE),
    (Route("GET", _DOMAINS + "/{domain}", "get_domain", get_domain), _DOMAIN_SCOPE),
    (Route("DELETE", _DOMAINS + "/{domain}", "delete_domain", delete_domain), _DOMAIN_SCOPE),
    (Route("GET", _ALIASES, "list_aliases", list_aliases), _DOMAIN_SCOPE),
    (Route("POST", _ALIASES, "add_alias", add_alias), _DOMAIN_SCOPE),
    (Route("POST", _SITES + "/token", "verification_token", verification_token), _SITE_SCOPE),
    (Route("POST", _SITES + "/webResource", "verify_domain", verify_domain), _SITE_SCOPE),
    (Route("GET", _SITES + "/webResource", "list_verified", list_verified), _SITE_SCOPE),
    (Route("GET", _USERS, "list_users", list_users), _USER_SCOPE),
    (Route("POST", _USERS, "create_user", create_user), _USER_SCOPE),
    (Route("GET", _USERS + "/{user}", "get_user", get_user), _USER_SCOPE),
    (Route("PATCH", _USERS + "/{user}", "suspend_user", change_user), _USER_SCOPE),
    (Route("DELETE", _USERS + "/{user}", "delete_user", delete_user), _USER_SCOPE),
    (Route("POST", _USERS + "/{user}/undelete", "undelete_user", undelete_user), _USER_SCOPE),
    (Route("GET", _USERS + "/{user}/asps", "list_app_passwords", list_app_passwords), _ASP_SCOPE),
    (Route("GET", _USERS + "/{user}/asps/{code}", "get_app_password", get_app_password), _ASP_SCOPE),
    (Route("DELETE", _USERS + "/{user}/asps/{code}", "delete_app_password", delete_app_password), _ASP_SCOPE),
    (Route("GET", _SKU + "/users", "list_licences", list_licences), _LICENCE_SCOPE),
    (Route("POST", _SKU + "/user", "assign_licence", assign_licence), _LICENCE_SCOPE),
    (Route("GET", _SKU + "/user/{user}", "get_licence", get_licence), _LICENCE_SCOPE),
    (Route("GET", _IMAP, "imap_enabled", imap_enabled), _GMAIL_SCOPE),
    (Route("PUT", _IMAP, "enable_imap", enable_imap), _GMAIL_SCOPE),
    (
        Route("GET", "/v2/domains/{domain}/complianceStatus", "compliance", compliance),
        frozenset({"postmaster", "postmaster.domain"}),
    ),
)
SCOPES = {route.verb: rights for route, rights in OPERATIONS}
OWN = frozenset({"imap_enabled", "enable_imap"})  # in a user's own name
ROUTER = Router((Route("POST", "/token", "access_token", access_token), *(route for route, _ in OPERATIONS)))

PLATFORM = Platform(
    name=NAME,
    prefix="/google_workspace",
    handle=handle,
    verb_of=ROUTER.verb_of,
    items_of=items_of,
    reads=frozenset(
        {
            "list_domains",
            "get_domain",
            "list_aliases",
            "verification_token",
            "list_verified",
            "list_users",
            "get_user",
            "list_app_passwords",
            "get_app_password",
            "list_licences",
            "get_licence",
            "imap_enabled",
            "compliance",
        }
    ),
    error=error,
    windows=windows,
    key_of=lambda request: CUSTOMER,
    ref_of=ref_of,
    snapshot=snapshot,
    records_of=records,
    quota_in_real_time=True,
    fault_kinds=frozenset({"duplicate_after_success"}),
)

__all__ = ["ADMIN", "PLATFORM", "GoogleWorkspaceState"]
