"""Smartlead, simulated (platforms/smartlead.md, section 6). Sends cold e-mail and warms mailboxes."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from .clock import iso
from .http import Request, Response, json_response, text_response
from .platforms import Platform, Route, Router
from .quota import Window
from .reading import Refusal, peek, read_object, text, texts, whole
from .smartlead_world import (
    DOORS,
    GOOGLE,
    NAME,
    Account,
    Door,
    account_at,
    check,
    failures_of,
    history,
    is_blocked,
    reputation,
    settle,
    snapshot,
    take_logins,
    try_logins,
)
from .warmup import DAY, Spells

if TYPE_CHECKING:
    from .world import World

MOST_ROWS = 100
FIRST_ID = 2848
KINDS = ("GMAIL", "OUTLOOK", "SMTP")
OAUTH_KINDS = {"lower": {"gmail": "GMAIL", "microsoft": "OUTLOOK"}, "upper": {"GMAIL": "GMAIL", "OUTLOOK": "OUTLOOK"}}
BOUNDS = {"total_warmup_per_day": (1, 50), "daily_rampup": (5, 20), "reply_rate_percentage": (20, 100)}
# Name when writing -> member of an account. Readers see them under other names: `_row`.
CHANGES = {
    "max_email_per_day": "per_day",
    "from_name": "name",
    "custom_tracking_url": "tracking",
    "bcc": "bcc",
    "signature": "signature",
    "different_reply_to_address": "reply_to",
    "time_to_wait_in_mins": "gap",
    "client_id": "client_id",
    "is_suspended": "suspended",
}
NUMBERS = ("max_email_per_day", "time_to_wait_in_mins", "client_id")
SUGGESTED_WAIT = 30
PYTHONS = re.compile(r"(python|aiohttp|httpx)", re.IGNORECASE)
EDGE = "<!doctype html><title>Attention Required!</title><h1>Sorry, you have been blocked</h1>"


class Failure(Exception):
    """The platform says no in a form of its own."""

    def __init__(self, status: int, document: dict[str, Any]) -> None:
        super().__init__(str(document))
        self.status, self.document = status, document


def handle(world: World, request: Request, now: float) -> Response:
    """Answer one request. The key is looked for in the query and nowhere else."""
    agent = request.header("user-agent")
    if world.switches.smartlead_user_agent == "python_refused" and (not agent or PYTHONS.match(agent)):
        return text_response(EDGE, 403, "text/html")
    key = request.query.get("api_key", "")
    owners = world.smartlead.owners
    if key not in owners or world.faults.standing("key_revoked", NAME, "", key):
        return error(world, 401, "Invalid API Key")
    answer = _over_limit(world, request, now) or _answer(world, request, now, owners[key])
    return Response(answer.status, {**answer.headers, **_limits(world, key, now)}, answer.body)


def _answer(world: World, request: Request, now: float, owner: int) -> Response:
    found = ROUTER.find(request)
    try:
        if found is None:
            raise Refusal(404, "Not found")
        route, names = found
        if world.faults.draw({"quotes_address"}, NAME, verb_of(request), items_of(request)):
            raise Refusal(400, f"Cannot {request.method} {request.path}?api_key={request.query['api_key']}")
        if "account" not in names:
            return route.function(world, request, now, owner)
        return route.function(world, request, now, owner, _account(world, owner, names["account"]))
    except Failure as failure:
        status, document = failure.status, failure.document
    except Refusal as refusal:
        status, document = _words(world, refusal)
    if world.switches.smartlead_refusal == "200" and status != 429:
        return json_response({"success": False, **document})
    return json_response(document, status)


# How they say no


def _words(world: World, refusal: Refusal) -> tuple[int, dict[str, Any]]:
    """Word a refusal. What is wrong with a member is 400 or 422, and in one form names the member."""
    status, sentence, switches = refusal.status, refusal.sentence, world.switches
    if status == 400 and refusal.field:
        status = switches.smartlead_validation_status
    match switches.smartlead_error_form:
        case "guide":
            code = {404: "NOT_FOUND", 429: "RATE_LIMIT_EXCEEDED"}.get(status, "VALIDATION_ERROR")
            details = {"field": refusal.field, "constraint": "required"} if refusal.field else {}
            return status, {"error": {"code": code, "message": sentence, "details": details}}
        case "validation" if refusal.field:
            validation = {"source": "body", "keys": [refusal.field]}
            return status, {"statusCode": status, "error": "Bad Request", "message": sentence, "validation": validation}
    return status, {"error": sentence}


def error(world: World, status: int, sentence: str) -> Response:
    """Word a wrong key, a limit or a fault."""
    if status == 401:
        return json_response({"message": sentence}, 401)
    if status == 429:
        return _too_many(world, SUGGESTED_WAIT, in_header=False)
    return json_response({"error": sentence}, status)


def _too_many(world: World, wait: float, *, in_header: bool = True) -> Response:
    advice, seconds = world.switches.smartlead_429_advice, int(wait) + 1
    told: dict[str, Any] = {"code": "RATE_LIMIT_EXCEEDED", "message": "Rate limit exceeded"}
    if advice in ("both", "body"):
        told["retry_after"] = seconds
    headers = {"retry-after": str(seconds)} if in_header and advice in ("both", "header") else {}
    return json_response({"error": told}, 429, headers)


# Limits, shared by all endpoints of a key


def _windows(world: World) -> list[Window]:
    switches = world.switches
    return [
        Window("burst", switches.smartlead_per_2_seconds, 2.0),
        Window("minute", switches.smartlead_per_minute, 60.0),
        Window("hour", switches.smartlead_per_hour, 3600.0),
    ]


def _over_limit(world: World, request: Request, now: float) -> Response | None:
    wait = world.quotas.take(NAME, request.query["api_key"], verb_of(request), _windows(world), now)
    return None if wait is None else _too_many(world, wait)


def _limits(world: World, key: str, now: float) -> dict[str, str]:
    limit = world.switches.smartlead_per_minute
    if not limit or world.switches.smartlead_429_advice == "none":
        return {}
    left = max(0, limit - world.quotas.used(NAME, "minute", key))
    return {"x-ratelimit-limit": str(limit), "x-ratelimit-remaining": str(left), "x-ratelimit-reset": "60"}


# Saving: both logins are tried before the answer


def save(world: World, request: Request, now: float, owner: int) -> Response:
    """Create (`id` null) or update (`id` a number) an account by password."""
    body = read_object(request)
    address = _email(body)
    known = _known(world, owner, body)
    if known is None:
        _check_is_free(world, owner, address)
    smtp = Door(*_door(body, "smtp"), text(body, "user_name"), text(body, "password"))
    imap = Door(
        *_door(body, "imap"),
        text(body, "imap_user_name", optional=True) or smtp.username,
        text(body, "imap_password", optional=True) or smtp.password,
    )
    kind = body.get("type", "GMAIL" if smtp.host.lower() in GOOGLE else "SMTP")
    if kind not in KINDS:
        raise Refusal(400, f"type must be one of {', '.join(KINDS)}", "type")
    account = _made(world, owner, address, text(body, "from_name"), kind, {"smtp": smtp, "imap": imap}, now, known)
    return _take_in(world, account, body, now, known)


def save_oauth(world: World, request: Request, now: float, owner: int) -> Response:
    """Add an account by tokens that were made elsewhere. Only Google's can be judged here."""
    body = read_object(request)
    address, token = _email(body), body.get("token")
    _check_is_free(world, owner, address)
    kinds = OAUTH_KINDS[world.switches.smartlead_oauth_types]
    kind = kinds.get(text(body, "type"))
    if kind is None:
        raise Refusal(400, f"type must be one of {', '.join(kinds)}", "type")
    if not isinstance(token, dict):
        raise Refusal(400, "token is required", "token")
    access = text(token, "access_token")
    text(token, "refresh_token")
    whole(token, "expiry_date")
    doors = {name: Door(host, port, address, "") for name, host, port in zip(DOORS, GOOGLE, (465, 993), strict=True)}
    account = _made(world, owner, address, text(body, "from_name"), kind, doors, now, None)
    account.token = access
    account.client_id = whole(body, "client_id") if body.get("client_id") is not None else None
    return _take_in(world, account, {"warmup_enabled": body.get("warmup_enabled", False)}, now, None)


def _take_in(world: World, account: Account, body: dict[str, Any], now: float, known: Account | None) -> Response:
    """Try the logins, and keep the account if they let us."""
    switch_on = _flag(body, "warmup_enabled", needed=True)
    _apply(account, _changes(world, body))
    account.warmup |= _warmup_changes(world, body)
    failures = try_logins(world, account, now)
    if failures["smtp"] or (failures["imap"] and world.switches.smartlead_imap_failure == "refused"):
        raise _login_failed(world, failures)
    if known is None and world.faults.draw({"nothing_happens"}, NAME, "save_account", (account.address,)):
        return _saved(world, account, now)
    if known is None:
        world.schedule(now + max(60.0, world.switches.smartlead_check_seconds), NAME, "check", account=account.id)
    world.smartlead.accounts[account.id] = account
    take_logins(world, account, failures, now)
    _switch(account, switch_on, now)
    return _saved(world, account, now)


def _made(
    world: World,
    owner: int,
    address: str,
    name: str,
    kind: str,
    doors: dict[str, Door],
    now: float,
    known: Account | None,
) -> Account:
    """Return an account to be taken in; of one that is there a copy, which replaces it if the logins work."""
    if known is not None:
        values: dict[str, Any] = {"address": address, "name": name, "kind": kind, "doors": doors, "token": ""}
        return replace(known, warmup=dict(known.warmup), updated_at=now, **values)
    most = world.switches.smartlead_max_accounts
    if most and sum(one.owner == owner for one in world.smartlead.accounts.values()) >= most:
        raise Refusal(400, "The limit of email accounts of your plan is reached, please upgrade")
    number = FIRST_ID + world.count("smartlead account")
    made = Account(number, owner, address, name, kind, now, now, doors)
    made.warming = world.smartlead.histories.get((owner, address), Spells())
    return made


def _known(world: World, owner: int, body: dict[str, Any]) -> Account | None:
    if body.get("id") is None:
        return None
    found = world.smartlead.accounts.get(whole(body, "id", low=1))
    if found is None or found.owner != owner:
        raise Failure(404, {"ok": False, "message": "Email account not found", "errorCode": "ACCOUNT_NOT_FOUND"})
    return found


def _check_is_free(world: World, owner: int, address: str) -> None:
    """Raise Failure for an address that somebody has: ours with its id, another user's without."""
    found = account_at(world, address)
    held = address in world.switches.smartlead_held_addresses.lower().split()
    if found is None and not held:
        return
    ours = found is not None and found.owner == owner and not held
    sentence = "Email account already exists. Please pass id" if ours else "Email account already exists"
    told = {"ok": False, "message": sentence, "errorCode": "ACCOUNT_ALREADY_EXIST"}
    raise Failure(400, {**told, "emailAccountId": found.id if found is not None and ours else None})


def _login_failed(world: World, failures: dict[str, str]) -> Failure:
    door = "smtp" if failures["smtp"] else "imap"
    status, _, form = world.switches.smartlead_login_failure.partition(" ")
    told: dict[str, Any] = {"ok": False, "message": f"{door.upper()} connection failed", "error": failures[door]}
    if form == "code":
        told |= {"message": "Email account verification failed", "errorCode": "ACCOUNT_VERIFICATION_FAILED"}
    return Failure(int(status), told)


def _saved(world: World, account: Account, now: float) -> Response:
    told = {"ok": True, "message": "Email account added/updated successfully!"}
    if account.token:
        return json_response({"ok": True, "id": account.id})
    match world.switches.smartlead_save_reply:
        case "new":
            works = {f"is_{name}_success": not account.doors[name].failure for name in DOORS}
            details = {"status": "ACTIVE" if account.warmup_on else "INACTIVE"}
            details |= {"total_warmup_per_day": account.warmup["total_warmup_per_day"]}
            data = {"id": account.id, "from_email": account.address, **works, "warmup_details": details}
            return json_response({**told, "data": data})
        case "openapi":
            return json_response({"ok": True, "id": account.id})
    return json_response({**told, "emailAccountId": account.id, "warmupKey": account.warmup_key})


# Looking


def list_accounts(world: World, request: Request, now: float, owner: int) -> Response:
    """A bare array without a total; `username` finds every address that holds it."""
    query = request.query
    offset, limit = whole(query, "offset", 0, status=422), whole(query, "limit", MOST_ROWS, low=1, status=422)
    if limit > MOST_ROWS:
        raise Refusal(422, f"limit must be less than or equal to {MOST_ROWS}")
    lag = world.faults.lag(NAME, "list_accounts")
    rows = [one for one in world.smartlead.accounts.values() if one.owner == owner and one.created_at + lag <= now]
    for name, suits in _filters(world, now).items():
        if name in query:
            rows = [one for one in rows if suits(one, query[name])]
    rows = world.faults.ordered(NAME, "list_accounts", rows)
    return json_response([_row(world, one, now) for one in rows[offset : offset + limit]])


def _filters(world: World, now: float) -> dict[str, Callable[[Account, str], bool]]:
    def said(value: bool, word: str) -> bool:
        return word.lower() == ("true" if value else "false")

    return {
        "username": lambda one, word: word.lower() in one.address,
        "client_id": lambda one, word: str(one.client_id or "") == word,
        "esp": lambda one, word: one.kind == word.upper(),
        "isSmtpSuccess": lambda one, word: said(not failures_of(world, one)["smtp"], word),
        "isWarmupBlocked": lambda one, word: said(is_blocked(world, one, now), word),
        "isInUse": lambda one, word: said(False, word),
        "emailWarmupStatus": lambda one, word: ("ACTIVE" if one.warmup_on else "INACTIVE") == word.upper(),
    }


def get_account(world: World, request: Request, now: float, owner: int, account: Account) -> Response:
    """The same as in the list, and yet different: some members more, some less, reputation as a number."""
    row = _row(world, account, now) | {"is_suspended": account.suspended, "use_whitelabel_credentials": False}
    for name in ("campaign_count", "minTimeToWaitInMins", "tags"):
        row.pop(name, None)
    if row["warmup_details"] is not None:
        row["warmup_details"] |= {
            "id": account.id,
            "created_at": row["warmup_details"]["warmup_created_at"],
            "is_warmup_blocked": is_blocked(world, account, now),
            "warmup_reputation": reputation(world, account, now),
        }
    return json_response(row)


def find_ids(world: World, request: Request, now: float, owner: int) -> Response:
    """The tags of addresses. Nothing makes tags here, so there are none."""
    if world.switches.smartlead_tag_list == "absent":
        raise _no_number()
    wanted, lag = {one.lower() for one in texts(read_object(request), "email_ids")}, world.faults.lag(NAME, "find_ids")
    rows = [
        {"email_account_id": one.id, "email_id": one.address, "tags": []}
        for one in world.smartlead.accounts.values()
        if one.owner == owner and one.address in wanted and one.created_at + lag <= now
    ]
    return json_response({"data": rows})


def warmup_stats(world: World, request: Request, now: float, owner: int, account: Account) -> Response:
    """The last seven days, today among them, in one of three documents."""
    since = now - now % DAY - 6 * DAY
    days = [one for one in history(world, account, now) if iso(since)[:10] <= one.day.isoformat()]
    sent, spam = sum(one.sent for one in days), sum(one.spam for one in days)
    match world.switches.smartlead_stats_reply:
        case "new":
            rows = [
                {
                    "date": one.day.isoformat(),
                    "sent": one.sent,
                    "spam": one.spam,
                    "delivered": one.sent - one.spam,
                    "opened": one.sent - one.spam,
                    "replied": one.replies,
                }
                for one in days
            ]
            score = reputation(world, account, now)
            return json_response(
                {"total_sent": sent, "spam_count": spam, "reputation_score": score, "daily_stats": rows}
            )
        case "openapi":
            figures = {"total_sent": sent, "total_inbox": sent - spam, "total_spam": spam}
            score, warmed = reputation(world, account, now), int(account.warming.seconds(0, now) / DAY)
            return json_response({**figures, "warmup_reputation": score, "days_in_warmup": warmed})
    rows = [
        {
            "id": number,
            "date": one.day.isoformat(),
            "sent_count": one.sent,
            "reply_count": one.replies,
            "save_from_spam_count": one.spam,
        }
        for number, one in enumerate(days, 1)
    ]
    totals = {"sent_count": sent, "spam_count": spam, "inbox_count": sent - spam}
    received = {"warmup_email_received_count": sum(one.replies for one in days)}
    texts_ = {name: str(value) for name, value in (totals | received).items()}
    return json_response({"id": account.id, **texts_, "stats_by_date": rows})


def _row(world: World, account: Account, now: float) -> dict[str, Any]:
    smtp, imap, failures = account.doors["smtp"], account.doors["imap"], failures_of(world, account)
    row: dict[str, Any] = {
        "id": account.id,
        "created_at": iso(account.created_at),
        "updated_at": iso(account.updated_at),
        "user_id": account.owner,
        "from_name": account.name,
        "from_email": account.address,
        "username": smtp.username,
        "password": _shown(world, account, smtp.password),
        "smtp_host": smtp.host,
        "smtp_port": smtp.port,
        "smtp_port_type": "SSL" if smtp.port == 465 else "TLS",
        "imap_host": imap.host,
        "imap_port": imap.port,
        "imap_port_type": "SSL",
        "imap_username": imap.username,
        "imap_password": _shown(world, account, imap.password),
        "is_different_imap_account": imap.username != smtp.username,
        "different_reply_to_address": account.reply_to,
        "message_per_day": account.per_day,
        "minTimeToWaitInMins": account.gap,
        "signature": account.signature or None,
        "custom_tracking_domain": f"http://{account.tracking}" if account.tracking else "",
        "bcc_email": account.bcc or None,
        "is_smtp_success": not failures["smtp"],
        "is_imap_success": not failures["imap"],
        "smtp_failure_error": failures["smtp"] or None,
        "imap_failure_error": failures["imap"] or None,
        "type": account.kind,
        "daily_sent_count": 0,
        "client_id": account.client_id,
        "campaign_count": 0,
        "expires_at": None,
        "is_connected_to_campaign": False,
        "tags": [],
        "warmup_details": _warmup_row(world, account, now),
    }
    if not world.switches.smartlead_tags_in_lists:
        del row["tags"]
    return row


def _shown(world: World, account: Account, password: str) -> str | None:
    """Return a mailbox's password as they show it to everybody who has the key."""
    if account.token:
        return None
    if world.switches.smartlead_passwords_as == "base64":
        return base64.b64encode(password.encode()).decode()
    return password


def _warmup_row(world: World, account: Account, now: float) -> dict[str, Any] | None:
    if account.warmup_since is None:
        return None
    days, score = history(world, account, now), reputation(world, account, now)
    blocked = is_blocked(world, account, now)
    odd = world.faults.hits("unknown_status", NAME, "list_accounts", account.address)
    status = "PAUSED" if blocked else "ACTIVE" if account.warmup_on else "INACTIVE"
    return {
        "status": (odd.value or "THROTTLED") if odd else status,
        "reply_rate": account.warmup["reply_rate_percentage"],
        "warmup_key_id": account.warmup_key,
        "blocked_reason": "Too many of its warmup mails were reported as spam" if blocked else None,
        "total_sent_count": sum(one.sent for one in days),
        "total_spam_count": sum(one.spam for one in days),
        "warmup_min_count": 3,
        "warmup_max_count": account.warmup["total_warmup_per_day"],
        "max_email_per_day": account.warmup["total_warmup_per_day"],
        "warmup_reputation": f"{score}%" if world.switches.smartlead_reputation_as == "text" else score,
        "warmup_created_at": iso(account.warmup_since),
    }


# Changing


def update_account(world: World, request: Request, now: float, owner: int, account: Account) -> Response:
    """Change what was sent, whole or not at all."""
    changes = _changes(world, read_object(request))
    if not _nothing_happens(world, "update_account", account):
        _apply(account, changes)
        account.updated_at = now
        settle(account, now)
    return _accepted(world, account, "Email account details updated successfully!")


def set_warmup(world: World, request: Request, now: float, owner: int, account: Account) -> Response:
    body = read_object(request)
    on, changes = _flag(body, "warmup_enabled", needed=True), _warmup_changes(world, body)
    if not _nothing_happens(world, "set_warmup", account):
        account.warmup |= changes
        account.warmup_key = text(body, "warmup_key_id", optional=True) or account.warmup_key
        account.updated_at = now
        _switch(account, on, now)
    told = {"warmupKey": account.warmup_key}
    return _accepted(world, account, "Email warmup details updated successfully!", **told)


def suspend(world: World, request: Request, now: float, owner: int, account: Account) -> Response:
    return _suspend(account, True, now)


def unsuspend(world: World, request: Request, now: float, owner: int, account: Account) -> Response:
    return _suspend(account, False, now)


def delete_account(world: World, request: Request, now: float, owner: int, account: Account) -> Response:
    """Take it out; by switch its warmup goes on where it stopped when the address comes back."""
    del world.smartlead.accounts[account.id]
    if world.switches.smartlead_deleted_history == "kept":
        account.warming.switch(False, now)
        world.smartlead.histories[owner, account.address] = account.warming
    return json_response({"ok": True})


def reconnect_failed(world: World, request: Request, now: float, owner: int) -> Response:
    """Try every failed account of the user again, a few times a day."""
    window = Window("reconnect", world.switches.smartlead_reconnects_per_day, DAY)
    wait = world.quotas.take(NAME, request.query["api_key"], "reconnect_failed", [window], now)
    if wait is not None:
        return _too_many(world, wait)
    for one in world.smartlead.accounts.values():
        if one.owner == owner and any(door.failure for door in one.doors.values()):
            take_logins(world, one, try_logins(world, one, now), now)
    return json_response({"ok": True, "message": "Accounts will be reconnected"})


def _suspend(account: Account, suspended: bool, now: float) -> Response:
    account.suspended = suspended
    settle(account, now)
    return json_response({"ok": True})


def _switch(account: Account, on: bool, now: float) -> None:
    account.warmup_on = on
    settle(account, now)


def _nothing_happens(world: World, verb: str, account: Account) -> bool:
    return world.faults.draw({"nothing_happens"}, NAME, verb, (account.address, str(account.id))) is not None


def _accepted(world: World, account: Account, sentence: str, **more: Any) -> Response:
    if world.switches.smartlead_write_reply == "bare":
        return json_response({"ok": True})
    return json_response({"ok": True, "message": sentence, "emailAccountId": account.id, **more})


# Reading


def _account(world: World, owner: int, said: str) -> Account:
    """Find an account of the user. A text where the id belongs is told as such: every unknown POST ends here."""
    if not said.isdecimal() or len(said) > 15:
        raise _no_number()
    found = world.smartlead.accounts.get(int(said))
    if found is None or found.owner != owner:
        raise Refusal(404, "Email account not found")
    return found


def _no_number() -> Refusal:
    return Refusal(400, '"account_id" must be a number')


def _email(body: dict[str, Any]) -> str:
    address = text(body, "from_email").strip().lower()
    if not re.fullmatch(r"[^@\s]+@[^@\s]+\.[^@\s]+", address):
        raise Refusal(400, "from_email must be a valid email", "from_email")
    return address


def _door(body: dict[str, Any], name: str) -> tuple[str, int]:
    return text(body, f"{name}_host"), whole(body, f"{name}_port", low=1)


def _flag(body: dict[str, Any], name: str, *, needed: bool = False) -> bool:
    value = body.get(name)
    if value is None and not needed:
        return False
    if not isinstance(value, bool):
        raise Refusal(400, f"{name} is required and must be a boolean", name)
    return value


def _changes(world: World, body: dict[str, Any]) -> dict[str, Any]:
    """Return what a body changes, by the member of the account."""
    changes: dict[str, Any] = {}
    for name in (name for name in CHANGES if body.get(name) is not None):
        if name in NUMBERS:
            changes[CHANGES[name]] = whole(body, name)
        elif name == "is_suspended":
            changes[CHANGES[name]] = _flag(body, name)
        else:
            said = text(body, name, optional=name != "from_name")
            if name == "custom_tracking_url" and said and world.switches.smartlead_tracking == "refused":
                raise Refusal(400, "custom_tracking_url: the custom tracking domain could not be verified", name)
            changes[CHANGES[name]] = re.sub(r"^https?://", "", said) if name == "custom_tracking_url" else said
    return changes


def _apply(account: Account, changes: dict[str, Any]) -> None:
    for member, value in changes.items():
        setattr(account, member, value)


def _warmup_changes(world: World, body: dict[str, Any]) -> dict[str, Any]:
    changes: dict[str, Any] = {}
    for name, (low, high) in BOUNDS.items():
        if body.get(name) is not None:
            value = whole(body, name)
            if world.switches.smartlead_warmup_bounds == "strict" and not low <= value <= high:
                raise Refusal(400, f"{name} must be between {low} and {high}", name)
            changes[name] = value
    for name in ("auto_adjust_warmup", "is_rampup_enabled"):
        if body.get(name) is not None:
            changes[name] = _flag(body, name)
    return changes


def on_event(world: World, kind: str, data: dict[str, Any], now: float) -> None:
    """Look whether an account's logins still work."""
    check(world, data["account"], now)


# Words for the log


def verb_of(request: Request) -> str:
    """Return the operation. A list of one row is what tells a key from none."""
    verb = ROUTER.verb_of(request)
    asks_for_one = request.query.get("limit") == "1" and "offset" not in request.query
    return "check_key" if verb == "list_accounts" and asks_for_one else verb


def items_of(request: Request) -> tuple[str, ...]:
    """Return the addresses or the account id that a request is about."""
    body = peek(request)
    if isinstance(body.get("from_email"), str):
        return (body["from_email"].lower(),)
    if isinstance(body.get("email_ids"), list):
        return tuple(map(str, body["email_ids"]))
    found = re.search(r"/(\d+)(/|$)", request.path)
    return (found[1],) if found else tuple(filter(None, [request.query.get("username", "")]))


_ONE = "/email-accounts/{account}"


def _routes() -> Iterable[Route]:
    yield Route("POST", "/email-accounts/save", "save_account", save)
    yield Route("POST", "/email-accounts/save-oauth", "save_account", save_oauth)
    yield Route("POST", "/email-accounts/tag-list", "find_ids", find_ids)
    yield Route("POST", "/email-accounts/reconnect-failed-email-accounts", "reconnect_failed", reconnect_failed)
    yield Route("GET", "/email-accounts/", "list_accounts", list_accounts)
    yield Route("PUT", "/email-accounts/suspend/{account}", "suspend_account", suspend)
    yield Route("DELETE", "/email-accounts/unsuspend/{account}", "suspend_account", unsuspend)
    yield Route("GET", f"{_ONE}/", "get_account", get_account)
    yield Route("GET", f"{_ONE}/warmup-stats", "warmup_stats", warmup_stats)
    yield Route("POST", f"{_ONE}/warmup", "set_warmup", set_warmup)
    yield Route("POST", _ONE, "update_account", update_account)
    yield Route("DELETE", _ONE, "delete_account", delete_account)


ROUTER = Router(tuple(_routes()))

PLATFORM = Platform(
    name=NAME,
    prefix="/smartlead/api/v1",
    handle=handle,
    verb_of=verb_of,
    items_of=items_of,
    reads=frozenset({"check_key", "list_accounts", "find_ids", "get_account", "warmup_stats"}),
    on_event=on_event,
    error=error,
    key_of=lambda request: request.query.get("api_key", ""),
    snapshot=snapshot,
    fault_kinds=frozenset({"quotes_address"}),
)
