"""The control plane: JSON on a port of its own, for operators, tests and the smoke story."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from . import (
    cloudflare_world,
    godaddy_world,
    google_world,
    infraforge_world,
    owners,
    profiles,
    registrar,
    smartlead_world,
    stripe_life,
    warmforge,
)
from .http import Request, Response, json_response
from .plusvibe import set_profile
from .reading import Refusal, read_object, texts, whole
from .stripe import Account
from .stripe_wire import Refusal as StripeRefusal
from .zapmail_world import pay_order, set_auto_renew, top_up

if TYPE_CHECKING:
    from .core import Sandbox

HOST = re.compile(r"(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]{0,61}[a-z0-9]")
Action = Callable[["Sandbox", Request, dict[str, Any]], Any]


def handle(sandbox: Sandbox, request: Request) -> Response:
    """Answer one control request. Bad input is 400 with a sentence in `error`."""
    action = ACTIONS.get((request.method, request.path))
    if action is None:
        return json_response({"error": "not found", "paths": sorted({f"{m} {p}" for m, p in ACTIONS})}, 404)
    try:
        with sandbox.lock:
            body = read_object(request)
            answer = action(sandbox, request, body)
            if request.method == "POST":
                sandbox.run_due()
                sandbox.save()
        return json_response(answer)
    except Refusal as refusal:
        return json_response({"error": refusal.sentence}, 400)
    except (ValueError, TypeError) as error:
        return json_response({"error": str(error)}, 400)


def healthz(sandbox: Sandbox, request: Request, body: dict[str, Any]) -> Any:
    return {"ok": True, "simulated": True}


def state(sandbox: Sandbox, request: Request, body: dict[str, Any]) -> Any:
    return sandbox.state()


def log(sandbox: Sandbox, request: Request, body: dict[str, Any]) -> Any:
    since = whole(request.query, "since", 0)
    return {"count": sandbox.log.count, "entries": [asdict(entry) for entry in sandbox.log.since(since)]}


def quotas(sandbox: Sandbox, request: Request, body: dict[str, Any]) -> Any:
    return sandbox.quotas.snapshot()


def list_faults(sandbox: Sandbox, request: Request, body: dict[str, Any]) -> Any:
    return {"faults": sandbox.faults.snapshot()}


def set_faults(sandbox: Sandbox, request: Request, body: dict[str, Any]) -> Any:
    """{"kind": ...} or {"add": [{...}]} adds, {"remove": id}, {"clear": true}, {"profile": name}."""
    if body.get("clear") is True:
        sandbox.faults.clear()
    if "profile" in body:
        profiles.apply(sandbox.world, str(body["profile"]))
    if "remove" in body:
        sandbox.faults.remove(whole(body, "remove"))
    added = body.get("add", [body] if "kind" in body else [])
    if not isinstance(added, list) or not all(isinstance(item, dict) for item in added):
        raise Refusal(400, "add is a list of faults")
    for item in added:
        values = dict(item)
        for name in ("clear", "remove", "profile"):
            values.pop(name, None)
        sandbox.faults.add(str(values.pop("kind", "")), **values)
    return {"faults": sandbox.faults.snapshot()}


def list_switches(sandbox: Sandbox, request: Request, body: dict[str, Any]) -> Any:
    return {"switches": sandbox.switches.snapshot(), "positions": sandbox.switches.positions()}


def set_switches(sandbox: Sandbox, request: Request, body: dict[str, Any]) -> Any:
    sandbox.switches.set(**body)
    return {"switches": sandbox.switches.snapshot()}


def clock(sandbox: Sandbox, request: Request, body: dict[str, Any]) -> Any:
    seconds = body.get("advance")
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 <= seconds < 1e9:
        raise Refusal(400, "advance is a number of seconds")
    sandbox.clock.advance(seconds)
    return {"virtual": sandbox.clock.now(), "real": sandbox.clock.real()}


def wallet(sandbox: Sandbox, request: Request, body: dict[str, Any]) -> Any:
    """{"cents": N} adds N to the wallet (negative takes away); "workspace" names one where each has its own.

    {"cents": N, "platform": "infraforge"} adds N to the credits there.
    """
    cents = body.get("cents")
    if isinstance(cents, bool) or not isinstance(cents, int) or abs(cents) > 10**10:
        raise Refusal(400, "cents is a whole number")
    if body.get("platform") == "infraforge":
        infraforge_world.top_up(sandbox.world, cents, sandbox.clock.now())
        return {"credits": sandbox.world.infraforge.credits}
    workspace = body.get("workspace", "")
    if workspace and workspace not in sandbox.world.zapmail.workspaces:
        raise Refusal(400, "no such workspace")
    top_up(sandbox.world, cents, sandbox.clock.now(), workspace)
    return {"wallets": dict(sandbox.world.zapmail.wallets)}


def orders(sandbox: Sandbox, request: Request, body: dict[str, Any]) -> Any:
    """{"pay": id} pays an open order at Zapmail or InfraForge by card, as a person would through its link."""
    order_id, now = str(body.get("pay")), sandbox.clock.now()
    if order_id in sandbox.world.infraforge.orders:
        infraforge_world.pay_order(sandbox.world, order_id, now)
    else:
        pay_order(sandbox.world, order_id, now)
    return {"paid": body["pay"]}


def renewal(sandbox: Sandbox, request: Request, body: dict[str, Any]) -> Any:
    """{"domain": name, "on": false} switches a Zapmail domain's renewal, as a person would in the dashboard."""
    if not isinstance(body.get("on"), bool):
        raise Refusal(400, "on is true or false")
    set_auto_renew(sandbox.world, str(body.get("domain")), body["on"])
    return {"domain": body["domain"], "on": body["on"]}


def records(sandbox: Sandbox, request: Request, body: dict[str, Any]) -> Any:
    """{"domain", "kind": mx|spf|dkim|dmarc, "as": missing|wrong|double} breaks an InfraForge record, an empty "as" mends.

    "where": "public" (default) spoils what resolvers see, "zone" the domain's own set.
    """
    domain, kind, way = (str(body.get(name) or "") for name in ("domain", "kind", "as"))
    where, now = str(body.get("where") or "public"), sandbox.clock.now()
    infraforge_world.break_record(sandbox.world, domain, kind, way, now, where=where)
    return {"domain": domain, "kind": kind, "as": way, "where": where}


def nameservers(sandbox: Sandbox, request: Request, body: dict[str, Any]) -> Any:
    """{"domain": name} lets the owner of a domain that a platform waits for change its nameservers as asked.

    {"domain": name, "servers": [...]} says which ones, of any domain; the servers above it follow when the switch says. With
    "owned": true somebody owns it from now on, and receives mail at it with "mail_server".
    """
    now = sandbox.clock.now()
    if "servers" not in body:
        owners.change_nameservers(sandbox.world, str(body.get("domain")), now)
        return {"domain": body["domain"]}
    servers = texts(body, "servers")
    if not all(HOST.fullmatch(host.strip().lower().rstrip(".")) for host in servers):
        raise Refusal(400, "servers are host names")
    domain = str(body.get("domain") or "").strip().lower().rstrip(".")
    if not HOST.fullmatch(domain):
        raise Refusal(400, "domain is a domain name")
    if body.get("owned") is True:
        registrar.register(sandbox.world, domain, mail_server=str(body.get("mail_server") or ""))
    registrar.delegate(sandbox.world, domain, servers, now + sandbox.switches.dns_delegation_seconds)
    return {"domain": domain, "servers": servers}


def zone(sandbox: Sandbox, request: Request, body: dict[str, Any]) -> Any:
    """{"domain", "type": "TXT", "name", "content"} puts a record into a domain's zone at Cloudflare, as its owner would there;
    where there is no zone one is made."""
    domain, kind, name, content = (str(body.get(one) or "").strip() for one in ("domain", "type", "name", "content"))
    if not HOST.fullmatch(domain) or not (name == domain or (name.endswith(f".{domain}") and HOST.fullmatch(name))):
        raise Refusal(400, "domain is a domain name, and name is it or a name below it")
    if kind not in ("A", "CNAME", "TXT") or not content:
        raise Refusal(400, "type is A, CNAME or TXT, and content is a text")
    made = cloudflare_world.put_record(sandbox.world, domain, kind, name, content, sandbox.clock.now())
    return {"made": made.id}


def google(sandbox: Sandbox, request: Request, body: dict[str, Any]) -> Any:
    """What a person does at Google: {"dkim": domain} makes a key, {"start": domain} signs with it from now on,
    {"app_password": address} makes one in the mailbox, {"delegate": admin, "scopes": "..."} opens an account of somebody
    else's, or changes what it has delegated. Returns as `made` what the console shows."""
    world, now = sandbox.world, sandbox.clock.now()
    if admin := str(body.get("delegate") or ""):
        scopes = body.get("scopes")
        return {"made": google_world.delegate(world, admin, None if scopes is None else str(scopes)).id}
    if domain := str(body.get("dkim") or ""):
        return {"made": google_world.generate_key(world, domain, now).txt}
    if domain := str(body.get("start") or ""):
        google_world.start_authentication(world, domain, now)
        return {"made": ""}
    address = str(body.get("app_password") or "")
    google_world.switch_two_step(world, address, True)
    return {"made": google_world.make_app_password(world, address, "Smartlead", now).value}


def stripe(sandbox: Sandbox, request: Request, body: dict[str, Any]) -> Any:
    """{"do": verb, "reference": ours}: let something happen to a subscription (stripe_life.ACTS); "card", "cents"."""
    account = Account(sandbox.world, sandbox.clock.real())
    try:
        return stripe_life.act(account, str(body.get("do")), body)
    except StripeRefusal as refusal:
        raise Refusal(400, refusal.message) from refusal


def smartlead(sandbox: Sandbox, request: Request, body: dict[str, Any]) -> Any:
    """{"key": key, "owner": number} makes a key of one of Smartlead's users; {"end": key} ends one."""
    owners = sandbox.world.smartlead.owners
    if key := str(body.get("end") or ""):
        owners.pop(key, None)
        return {"made": ""}
    key = str(body.get("key") or "")
    if not key:
        raise Refusal(400, "key is a text")
    owners[key] = whole(body, "owner")
    return {"made": key}


def godaddy(sandbox: Sandbox, request: Request, body: dict[str, Any]) -> Any:
    """{"token": token, "account": name} makes a token of somebody else's account; with "domain" it holds that one, too."""
    token, account = str(body.get("token") or ""), str(body.get("account") or "")
    if not token or not account:
        raise Refusal(400, "token and account are texts")
    sandbox.world.godaddy.tokens[token] = account
    if domain := str(body.get("domain") or "").strip().lower():
        if not HOST.fullmatch(domain):
            raise Refusal(400, "domain is a domain name")
        now = sandbox.clock.now()
        godaddy_world.own(sandbox.world, domain, now, "ACTIVE", godaddy_world.OWN_SERVERS, True, account)
    return {"account": account}


def logins(sandbox: Sandbox, request: Request, body: dict[str, Any]) -> Any:
    """{"email", "password"}: the PlusVibe workspaces the login sees, null when it opens nothing."""
    return {"workspaces": sandbox.check_login(str(body.get("email")), str(body.get("password")))}


def warmup(sandbox: Sandbox, request: Request, body: dict[str, Any]) -> Any:
    """{"email", "profile"}: let the figures of a PlusVibe account develop so; an empty profile: as the switch says.

    With "platform": "warmforge" or "smartlead" the profile is one of that platform's scenarios.
    """
    setters = {warmforge.NAME: warmforge.set_scenario, smartlead_world.NAME: smartlead_world.set_scenario}
    setter = setters.get(str(body.get("platform")), set_profile)
    return {"changed": setter(sandbox.world, str(body.get("email")), str(body.get("profile")))}


def reset(sandbox: Sandbox, request: Request, body: dict[str, Any]) -> Any:
    sandbox.reset()
    return {"ok": True}


ACTIONS: dict[tuple[str, str], Action] = {
    ("GET", "/healthz"): healthz,
    ("GET", "/state"): state,
    ("GET", "/log"): log,
    ("GET", "/quotas"): quotas,
    ("GET", "/faults"): list_faults,
    ("POST", "/faults"): set_faults,
    ("GET", "/switches"): list_switches,
    ("POST", "/switches"): set_switches,
    ("POST", "/clock"): clock,
    ("POST", "/wallet"): wallet,
    ("POST", "/orders"): orders,
    ("POST", "/renewal"): renewal,
    ("POST", "/records"): records,
    ("POST", "/nameservers"): nameservers,
    ("POST", "/zone"): zone,
    ("POST", "/google"): google,
    ("POST", "/stripe"): stripe,
    ("POST", "/smartlead"): smartlead,
    ("POST", "/godaddy"): godaddy,
    ("POST", "/logins"): logins,
    ("POST", "/warmup"): warmup,
    ("POST", "/reset"): reset,
}
