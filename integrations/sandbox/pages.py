"""The operator's pages: what the simulated platforms hold, what is broken on purpose, and the mail that arrived."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import google_pages, owners, registrar
from .clock import iso
from .http import Request, Response, text_response
from .mail import Mail
from .zapmail_world import pay_order, set_auto_renew, top_up

if TYPE_CHECKING:
    from .core import Sandbox

POLICY = (
    "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; img-src 'self'"
)
MAIL_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'; sandbox"
HEADERS = {"cache-control": "no-store", "referrer-policy": "same-origin", "x-content-type-options": "nosniff"}
STYLES = (Path(__file__).parent / "sandbox.css").read_text()
LINK = re.compile(r"https?://[^\s<>\"']+")
REFRESH_SECONDS = 5
MOST_ROWS = 200

PRESETS: dict[str, tuple[str, dict[str, Any]]] = {
    "wallet": ("Wallet too short at the next domain purchase", {"kind": "wallet_short", "times": 1}),
    "taken": ("Next domain bought is gone at the registry", {"kind": "domain_taken", "times": 1}),
    "price": (
        "Next domain costs 5 dollars more than shown",
        {"kind": "price_changed", "verb": "buy_domains", "amount": 500, "times": 1},
    ),
    "mailbox": ("Next mailbox fails", {"kind": "failing_mailboxes", "times": 1}),
    "slow": ("Mailboxes take two hours longer", {"kind": "slow_mailboxes", "seconds": 7200.0}),
    "login": ("Zapmail cannot sign in to PlusVibe", {"kind": "login_expired", "platform": "zapmail"}),
    "export": ("Half of the exported mailboxes never arrive", {"kind": "export_incomplete", "share": 0.5}),
    "lost_buy": (
        "Answer of the next domain purchase is lost",
        {"kind": "reset_after", "verb": "buy_domains", "times": 1},
    ),
    "lost_password": (
        "Answer with the next PlusVibe password is lost",
        {"kind": "reset_after", "verb": "create_client", "times": 1},
    ),
    "zapmail_down": ("Zapmail answers 503", {"kind": "status", "platform": "zapmail", "status": 503}),
    "plusvibe_down": ("PlusVibe answers 503", {"kind": "status", "platform": "plusvibe", "status": 503}),
    "heyreach_down": ("HeyReach answers 503", {"kind": "status", "platform": "heyreach", "status": 503}),
    "smartlead_down": ("Smartlead answers 503", {"kind": "status", "platform": "smartlead", "status": 503}),
    "smartlead_lost": (
        "Smartlead loses the logins of all mailboxes",
        {"kind": "account_disconnected", "platform": "smartlead"},
    ),
    "infraforge_down": ("InfraForge answers 503", {"kind": "status", "platform": "infraforge", "status": 503}),
    "partial": (
        "One name of the next InfraForge order is left out",
        {"kind": "partial_purchase", "platform": "infraforge", "times": 1},
    ),
    "limits": (
        "Next 10 Zapmail requests are refused with 429",
        {"kind": "rate_limit", "platform": "zapmail", "times": 10},
    ),
    "key": ("The PlusVibe key is revoked", {"kind": "key_revoked", "platform": "plusvibe"}),
}


def handle(sandbox: Sandbox, request: Request) -> Response:
    """Answer a request to the sandbox's own pages."""
    action = POSTS.get(request.path)
    if request.method == "POST" and action is not None:
        return _act(sandbox, request, action)
    if request.method not in ("GET", "HEAD"):
        return _page("Not possible here", "<p>This page takes no such request.</p>", 405)
    if request.path == "/":
        return _root(sandbox, request)
    if request.path == "/sandbox.css":
        return text_response(STYLES, kind="text/css")
    if request.path == "/favicon.ico":
        return Response(204)
    if request.path in ("/mail", "/mail/"):
        return _page("Mail", _mail_list(sandbox.world.mail), refresh=_refreshes(request))
    found = re.fullmatch(r"/mail/(\d{1,9})/(html/)?", request.path)
    mail = next((m for m in sandbox.world.mail if found and m.n == int(found[1])), None)
    if found and mail:
        return _mail_html(mail) if found[2] else _page(mail.subject or "No subject", _mail_view(mail))
    return _page("Not found", '<p>Nothing here. <a href="/">To the overview</a></p>', 404)


# What the forms do


def _act(sandbox: Sandbox, request: Request, action: Callable[[Sandbox, dict[str, str]], None]) -> Response:
    try:
        action(sandbox, dict(request.form()))
        sandbox.run_due()
    except (ValueError, KeyError) as error:
        return _page("Not done", f'<p>{escape(str(error))}</p><p><a href="/">Back to the overview</a></p>', 400)
    return Response(303, {"location": "/", **HEADERS})


def _top_up(sandbox: Sandbox, form: dict[str, str]) -> None:
    dollars = form.get("dollars", "").strip()
    if not re.fullmatch(r"\d{1,7}(\.\d{1,2})?", dollars):
        raise ValueError("Type an amount in dollars, such as 500 or 12.99.")
    whole, _, cents = dollars.partition(".")
    top_up(sandbox.world, int(whole) * 100 + int((cents + "00")[:2]), sandbox.clock.now())


def _add_preset(sandbox: Sandbox, form: dict[str, str]) -> None:
    if form.get("preset") not in PRESETS:
        raise ValueError("Choose one of the failures in the list.")
    values = dict(PRESETS[form["preset"]][1])
    sandbox.faults.add(values.pop("kind"), **values)


def _remove_fault(sandbox: Sandbox, form: dict[str, str]) -> None:
    number = form.get("id", "")
    sandbox.faults.remove(int(number) if number.isdecimal() and len(number) < 12 else 0)


def _clear_faults(sandbox: Sandbox, form: dict[str, str]) -> None:
    sandbox.faults.clear()


def _pay(sandbox: Sandbox, form: dict[str, str]) -> None:
    pay_order(sandbox.world, form.get("order", ""), sandbox.clock.now())


def _switch_renewal(sandbox: Sandbox, form: dict[str, str]) -> None:
    set_auto_renew(sandbox.world, form.get("domain", ""), form.get("on") == "1")


def _change_nameservers(sandbox: Sandbox, form: dict[str, str]) -> None:
    owners.change_nameservers(sandbox.world, form.get("domain", ""), sandbox.clock.now())


POSTS: dict[str, Callable[[Sandbox, dict[str, str]], None]] = {
    "/wallet": _top_up,
    "/faults": _add_preset,
    "/faults/remove": _remove_fault,
    "/faults/clear": _clear_faults,
    "/orders/pay": _pay,
    "/renewal": _switch_renewal,
    "/nameservers": _change_nameservers,
    **google_pages.POSTS,
}


# The overview


def _root(sandbox: Sandbox, request: Request) -> Response:
    state = sandbox.state()
    refreshing = _refreshes(request)
    link = '<a href="/">Stop refreshing</a>' if refreshing else '<a href="/?refresh=1">Refresh every 5 seconds</a>'
    parts = [
        '<p class="notice"><strong>Everything here is simulated.</strong> No domain, mailbox, message or payment on '
        "these pages is real.</p>",
        f'<ul class="facts"><li>Virtual time {iso(state["clock"]["virtual"])[:19].replace("T", " ")} UTC</li>'
        f"<li>Speed {state['clock']['speed']:g}</li><li>Seed {state['seed']}</li>"
        f"<li>Profile {escape(state['profile'])}</li><li>{link}</li></ul>",
        _zapmail_part(state["zapmail"]),
        _plusvibe_part(state["plusvibe"]),
        _heyreach_part(state["heyreach"]),
        _other_part("Warmforge", state.get("warmforge")),
        _other_part("Salesforge", state.get("salesforge")),
        _other_part("InfraForge", state.get("infraforge")),
        _other_part("Cloudflare", state.get("cloudflare")),
        _other_part("GoDaddy", state.get("godaddy")),
        _smartlead_part(state["smartlead"]),
        google_pages.part(sandbox),
        _registrar_part(sandbox),
        _other_part("Stripe", state.get("stripe")),
        f"<h2>Mail</h2><p>{len(state['mail'])} received. <a href='/mail/'>Read the mail</a></p>",
        _faults_part(state["faults"]),
        _log_part(sandbox),
    ]
    return _page("Simulated platforms", "".join(parts), refresh=refreshing)


def _zapmail_part(state: Mapping[str, Any]) -> str:
    names = {workspace["id"]: workspace["name"] for workspace in state["workspaces"]}
    orders = [order for order in state["orders"] if order["state"] == "unpaid"]
    return "".join(
        (
            f"<h2>Zapmail</h2><p>Wallet: <strong>{_money(state['wallet_cents'])}</strong></p>",
            '<form method="post" action="/wallet"><label>Add to the wallet, in dollars'
            '<input name="dollars" inputmode="decimal" required></label><button>Top up</button></form>',
            "".join(_order_form(order) for order in orders),
            _table(
                "Zapmail workspaces",
                ("Name", "Slots", "On their way", "Domains", "Mailboxes"),
                (
                    (w["name"], w["slots"], w["slots_coming"], len(w["domains"]), len(w["mailboxes"]))
                    for w in state["workspaces"]
                ),
            ),
            _table(
                "Domains",
                ("Domain", "Status", "Workspace", "Paid", "Times bought", "DMARC reports to", "Renews"),
                (
                    (
                        d["name"],
                        d["status"],
                        names.get(d["workspace_id"], ""),
                        _money(d["cents"]),
                        state["purchases"].get(d["name"], {}).get("bought", 0),
                        d["dmarc_email"] or "not set",
                        "yes" if d["auto_renew"] else "no",
                    )
                    for d in state["domains"]
                ),
            ),
            "".join(_renewal_form(domain) for domain in state["domains"]),
            _table(
                "Mailboxes",
                ("Address", "Name", "Status"),
                ((m["email"], f"{m['first_name']} {m['last_name']}", m["status"]) for m in state["mailboxes"]),
            ),
            _table(
                "Wallet movements",
                ("When", "What", "Amount"),
                (
                    (iso(e["at"])[:19].replace("T", " "), e["what"], _money(e["cents"]))
                    for e in reversed(state["ledger"])
                ),
            ),
        ),
    )


def _registrar_part(sandbox: Sandbox) -> str:
    """Let a person be the owner of a name, who changes its nameservers at a registrar."""
    world, now = sandbox.world, sandbox.clock.now()
    names = registrar.snapshot(world, now)
    waiting = owners.waiting(world, now)
    if not names and not waiting:
        return ""
    forms = (
        f'<form method="post" action="/nameservers"><input type="hidden" name="domain" value="{escape(name)}">'
        f"<button>Change the nameservers of {escape(name)} to {escape(' and '.join(servers))}</button></form>"
        for name, servers in sorted(waiting.items())
    )
    rows = ((one["name"], ", ".join(one["nameservers"]) or "nowhere") for one in names)
    return _table("Names that people own elsewhere", ("Domain", "Leads to"), rows) + "".join(forms)


def _order_form(order: Mapping[str, Any]) -> str:
    what = ", ".join(order["domains"]) or order["plan"] or order["kind"]
    return (
        f'<form method="post" action="/orders/pay" id="order-{order["id"]}"><p>Open order: {escape(what)} '
        f'({_money(order["cents"])})</p><input type="hidden" name="order" value="{order["id"]}">'
        f"<button>Pay by card</button></form>"
    )


def _renewal_form(domain: Mapping[str, Any]) -> str:
    name, on = escape(domain["name"]), domain["auto_renew"]
    return (
        f'<form method="post" action="/renewal"><input type="hidden" name="domain" value="{name}">'
        f'<input type="hidden" name="on" value="{0 if on else 1}">'
        f"<button>Switch the renewal of {name} {'off' if on else 'on'}</button></form>"
    )


def _plusvibe_part(state: Mapping[str, Any]) -> str:
    names = {workspace["id"]: workspace["name"] for workspace in state["workspaces"]}
    return "<h2>PlusVibe</h2>" + "".join(
        (
            _table("PlusVibe workspaces", ("Name", "Id"), ((w["name"], w["id"]) for w in state["workspaces"])),
            _table(
                "Client logins",
                ("E-mail", "Name", "Workspaces"),
                (
                    (
                        c["client_email"],
                        f"{c['first_name']} {c['last_name']}",
                        ", ".join(names.get(p["workspace_id"], "?") for p in c["client_permissions"]),
                    )
                    for c in state["clients"]
                ),
            ),
            _table(
                "E-mail accounts",
                ("Address", "Workspace", "Warmup", "Start, step, most a day", "Arrived by"),
                (
                    (
                        a["email"],
                        names.get(a["workspace_id"], "?"),
                        a["warmup_status"],
                        " / ".join(str(a["settings"][k]) for k in ("initial_daily_limit", "increment", "limit")),
                        a["via"].replace("_", " "),
                    )
                    for a in state["accounts"]
                ),
            ),
        ),
    )


def _heyreach_part(state: Mapping[str, Any]) -> str:
    rows = ((item["name"], item["id"], item["kind"], item["leads"]) for item in state["lists"])
    return "<h2>HeyReach</h2>" + _table("HeyReach lists", ("Name", "Id", "Kind", "Leads"), rows)


def _smartlead_part(state: Mapping[str, Any]) -> str:
    rows = (
        (
            a["email"],
            a["by"],
            "; ".join(filter(None, a["failures"].values())) or "works",
            "blocked" if a["blocked"] else "on" if a["warmup"] else "off",
            a["warmup_days"],
            a["per_day"],
            a["tracking"] or "none",
        )
        for a in state["accounts"]
    )
    heads = ("Address", "Connected by", "Logins", "Warmup", "Days of warmup", "Most mails a day", "Tracking host")
    return "<h2>Smartlead</h2>" + _table("Smartlead accounts", heads, rows)


def _other_part(title: str, state: Any) -> str:
    if not isinstance(state, dict):
        return ""
    counts = ((name, len(value)) for name, value in state.items() if isinstance(value, list | dict))
    detail = escape(json.dumps(state, indent=1, default=str)[:20_000])
    return (
        f"<h2>{title}</h2>{_table(title + ' objects', ('Kind', 'Count'), counts)}"
        f"<details><summary>All of it as JSON</summary><pre>{detail}</pre></details>"
    )


def _faults_part(faults: list[dict[str, Any]]) -> str:
    options = "".join(f'<option value="{name}">{escape(title)}</option>' for name, (title, _) in PRESETS.items())
    rows = "".join(
        "<tr>"
        + _cells((f["kind"], f["platform"] or "every", f["verb"] or "any", _often(f), f["drawn"]))
        + '<td><form method="post" action="/faults/remove">'
        + f'<input type="hidden" name="id" value="{f["id"]}">'
        + f"<button>Switch off fault {f['id']}</button></form></td></tr>"
        for f in faults
    )
    head = "".join(
        f'<th scope="col">{name}</th>' for name in ("Fault", "Platform", "Request", "How often", "Hits", "Off")
    )
    table = (
        '<div class="scroll" tabindex="0" role="region" aria-label="Faults that are on"><table>'
        f"<caption>Faults that are on</caption><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>"
        '<form method="post" action="/faults/clear"><button>Switch all faults off</button></form>'
    )
    return (
        "<h2>Break something</h2>"
        f'<form method="post" action="/faults">'
        f'<label>What should go wrong<select name="preset">{options}</select></label>'
        f"<button>Switch on</button></form>{table if faults else '<p>Nothing is broken on purpose.</p>'}"
    )


def _log_part(sandbox: Sandbox) -> str:
    newest = list(sandbox.log)[-40:]
    rows = (
        (e.n, iso(e.at)[11:19], e.platform, e.verb, e.status, e.fault or "-", ", ".join(e.items)[:80] or e.student_ref)
        for e in reversed(newest)
    )
    heads = ("No.", "Virtual time", "Platform", "Request", "Answer", "Fault", "About")
    return f"<h2>Newest requests</h2>{_table('The last 40 requests', heads, rows)}"


# Mail


def _mail_list(mails: list[Mail]) -> str:
    if not mails:
        return '<p>No mail yet. <a href="/">To the overview</a></p>'
    rows = "".join(
        f'<tr><td><a href="/mail/{m.n}/">{escape(m.subject or "No subject")}</a></td>'
        + _cells((", ".join(m.recipients), iso(m.at)[:19].replace("T", " ")))
        + "</tr>"
        for m in reversed(mails[-MOST_ROWS:])
    )
    head = "".join(f'<th scope="col">{name}</th>' for name in ("Subject", "To", "Received (UTC)"))
    return (
        '<p>Nothing leaves this machine. <a href="/mail/?refresh=1">Refresh every 5 seconds</a></p>'
        '<div class="scroll" tabindex="0" role="region" aria-label="Mail"><table><caption>Newest first</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>"
    )


def _mail_view(mail: Mail) -> str:
    body = LINK.sub(lambda found: f'<a href="{found[0]}">{found[0]}</a>', escape(mail.text()))
    html = f'<p><a href="/mail/{mail.n}/html/">As HTML</a></p>' if mail.text("html") else ""
    return (
        f'<p><a href="/mail/">All mail</a></p><ul class="facts"><li>From {escape(mail.sender)}</li>'
        f"<li>To {escape(', '.join(mail.recipients))}</li></ul><pre>{body}</pre>{html}"
    )


def _mail_html(mail: Mail) -> Response:
    content = mail.text("html") or "<p>This message has no HTML part.</p>"
    headers = {**HEADERS, "content-type": "text/html; charset=utf-8", "content-security-policy": MAIL_POLICY}
    return Response(200, headers, content.encode())


# Pieces


def _page(title: str, body: str, status: int = 200, *, refresh: bool = False) -> Response:
    again = f'<meta http-equiv="refresh" content="{REFRESH_SECONDS}">' if refresh else ""
    text = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">{again}'
        f"<title>{escape(title)} - sandbox, simulated</title>"
        '<link rel="stylesheet" href="/sandbox.css"></head><body>'
        '<nav aria-label="Sandbox"><ul><li><a href="/">Overview</a></li><li><a href="/mail/">Mail</a></li></ul></nav>'
        f"<main><h1>{escape(title)}</h1>{body}</main></body></html>"
    )
    headers = {**HEADERS, "content-type": "text/html; charset=utf-8", "content-security-policy": POLICY}
    return Response(status, headers, text.encode())


def _table(title: str, heads: tuple[str, ...], rows: Iterable[tuple[Any, ...]]) -> str:
    shown = list(rows)
    if not shown:
        return f'<p class="quiet">{title}: none yet.</p>'
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in heads)
    lines = "".join(f"<tr>{_cells(row)}</tr>" for row in shown[:MOST_ROWS])
    more = f'<p class="quiet">{len(shown) - MOST_ROWS} more</p>' if len(shown) > MOST_ROWS else ""
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(title)}"><table>'
        f"<caption>{escape(title)} ({len(shown)})</caption><thead><tr>{head}</tr></thead>"
        f"<tbody>{lines}</tbody></table></div>{more}"
    )


def _cells(values: Iterable[Any]) -> str:
    return "".join(f"<td>{escape(str(value))}</td>" for value in values)


def _money(cents: int) -> str:
    sign = "-" if cents < 0 else ""
    return f"{sign}${abs(cents) // 100:,}.{abs(cents) % 100:02d}"


def _often(fault: Mapping[str, Any]) -> str:
    share = "always" if fault["share"] >= 1 else f"{fault['share']:.1%}"
    return share if fault["times"] is None else f"{share}, {fault['times']} times at most"


def _refreshes(request: Request) -> bool:
    return request.query.get("refresh") == "1"
