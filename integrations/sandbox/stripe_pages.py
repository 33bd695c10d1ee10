"""The hosted payment page: what a buyer sees between our review page and our return page.

Plain forms, no script. A program pays by POSTing `action=pay` to the page's own address.
"""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from . import stripe_life
from .http import Request, Response, text_response
from .stripe_wire import Refusal

if TYPE_CHECKING:
    from .stripe import Account

ACTIONS = ("pay", "decline", "later", "cancel", "debit_succeeds", "debit_fails")
STYLE_PATH = "/pay.css"


def verb_of(request: Request) -> str:
    """Return "page.show", "page.<action>", "page.style" or "unknown"."""
    if request.path == STYLE_PATH:
        return "page.style"
    if request.path.startswith("/receipt/"):
        return "page.receipt" if request.method == "GET" else "page.confirm"
    if request.path.startswith("/portal/"):
        return "page.portal" if request.method == "GET" else "page.change"
    if not request.path.startswith("/pay/"):
        return "unknown"
    return "page.show" if request.method == "GET" else "page." + _action(request)


def handle(account: Account, request: Request) -> Response:
    """Show the page of a session, or do what its button says."""
    if request.path == STYLE_PATH:
        return text_response(STYLE, kind="text/css")
    if request.path.startswith("/receipt/"):
        return receipt(account, request.path.removeprefix("/receipt/"), pays=request.method == "POST")
    if request.path.startswith("/portal/"):
        return portal(account, request)
    session = account.session(request.path.removeprefix("/pay/")) if request.path.startswith("/pay/") else None
    if session is None:
        return _page("No such payment page", "<p>The address is wrong, or the sandbox was reset.</p>", status=404)
    if request.method == "GET":
        return show(session)
    if request.method != "POST":
        return _page("Not allowed", "<p>This page can be read and its form sent.</p>", session, status=405)
    return _act(account, session, _action(request))


def _action(request: Request) -> str:
    try:
        action = dict(request.form()).get("action", "")
    except UnicodeDecodeError:
        action = ""
    return action if action in ACTIONS else "unknown"


def _act(account: Account, session: dict[str, Any], action: str) -> Response:
    identifier = session["id"]
    try:
        if action == "pay":
            return _redirect(return_address(account.pay(identifier)))
        if action == "later":
            return _redirect(return_address(account.pay_later(identifier)))
        if action == "decline":
            account.decline(identifier)
            return show(session, alert="Your card was declined. You have not been charged. Try again or cancel.")
        if action in ("debit_succeeds", "debit_fails"):
            account.settle_later(identifier, success=action == "debit_succeeds")
            return show(session)
    except Refusal as refusal:
        return show(session, alert=refusal.message)
    if action == "cancel" and session["cancel_url"]:
        return _redirect(session["cancel_url"])
    return _page("Unknown action", "<p>This page has no such button.</p>", session, status=400)


def return_address(session: dict[str, Any]) -> str:
    """Return where a buyer goes after paying, with the session's id filled in."""
    address: str = session["success_url"]
    return address.replace("{CHECKOUT_SESSION_ID}", session["id"])


def _redirect(address: str) -> Response:
    return Response(303, {"location": address, "cache-control": "no-store"})


# --- HTML ---------------------------------------------------------------------------------------------------------


def money(cents: int, currency: str) -> str:
    """Return an amount as people read it: 144.00 USD."""
    sign, whole = "-" if cents < 0 else "", abs(cents)
    return f"{sign}{whole // 100:,}.{whole % 100:02d} {currency.upper()}"


def show(session: dict[str, Any], *, alert: str = "") -> Response:
    """Return the page of a session in its present state."""
    total = money(session["amount_total"], session["currency"])
    if session["status"] == "open":
        return _page(f"Pay {total}", _lines(session) + _open_form(session, total), session, alert=alert)
    back = f'<p><a href="{escape(return_address(session))}">Return to the shop</a></p>'
    if session["status"] == "expired":
        cancel = session["cancel_url"]
        link = f'<p><a href="{escape(cancel)}">Return to the shop</a></p>' if cancel else ""
        return _page("This payment page has expired", f"<p>Nothing was charged.</p>{link}", session, alert=alert)
    if session["payment_status"] == "unpaid":
        return _page("The bank debit is on its way", _lines(session) + _debit_form() + back, session, alert=alert)
    return _page(f"Paid {total}", _lines(session) + back, session, alert=alert)


def receipt(account: Account, identifier: str, *, pays: bool = False) -> Response:
    """Return what Stripe hosts at `hosted_invoice_url`: a receipt, or the page on which an open invoice is paid."""
    invoice = account.state["invoices"].get(identifier)
    if invoice is None:
        return _page("No such receipt", "<p>The address is wrong, or the sandbox was reset.</p>", status=404)
    if pays and invoice["status"] == "open":
        stripe_life.authenticate(account, invoice)
    rows = "".join(
        f"<tr><th scope='row'>{escape(line['description'])}</th><td>{money(line['amount'], line['currency'])}</td></tr>"
        for line in invoice["lines"]["data"]
    )
    if invoice["status"] == "open":
        due = money(invoice["amount_due"], invoice["currency"])
        form = f'<form method="post">{_button("pay", f"Pay {due}", "Another simulated card is accepted.", "primary")}</form>'
        return _page(f"Pay invoice {invoice['number']}", f"<table><tbody>{rows}</tbody></table>{form}")
    if invoice["status"] == "void":
        return _page(f"Invoice {invoice['number']} is void", "<p>Nothing is to be paid.</p>")
    total = money(invoice["amount_paid"], invoice["currency"])
    return _page(
        f"Receipt {invoice['number']}",
        "<table><caption>What was paid for</caption>"
        "<thead><tr><th scope='col'>Item</th><th scope='col'>Amount</th></tr></thead>"
        f"<tbody>{rows}</tbody><tfoot><tr><th scope='row'>Paid</th><td>{total}</td></tr></tfoot></table>",
    )


# --- the customer portal --------------------------------------------------------------------------------------------

PORTAL_ACTIONS = ("card_good", "card_bad", "card_action", "cancel", "keep")


def portal(account: Account, request: Request) -> Response:
    """Show a customer's subscription, or do what a button of the page says."""
    session = account.state["portal_sessions"].get(request.path.removeprefix("/portal/"))
    if session is None:
        return _page("No such portal page", "<p>The address is wrong, or the sandbox was reset.</p>", status=404)
    rows = [row for row in account.state["subscriptions"].values() if row["customer"] == session["customer"]]
    alert = ""
    if request.method == "POST" and rows:
        try:
            _change(account, rows[-1], dict(request.form()).get("action", ""))
        except (Refusal, UnicodeDecodeError) as error:
            alert = error.message if isinstance(error, Refusal) else "This form cannot be read."
    back = session["return_url"]
    link = f'<p><a href="{escape(back)}">Return to the shop</a></p>' if back else ""
    content = (_subscription(account, rows[-1]) if rows else "<p>There is no subscription.</p>") + link
    return _page("Your subscription", content, alert=alert)


def _change(account: Account, subscription: dict[str, Any], action: str) -> None:
    if action not in PORTAL_ACTIONS:
        raise Refusal("This page has no such button.")
    if action.startswith("card_"):
        stripe_life.change_card(account, subscription, action.removeprefix("card_"))
    else:
        stripe_life.cancel_at_period_end(account, subscription, action == "cancel")


def _subscription(account: Account, subscription: dict[str, Any]) -> str:
    invoices = [
        row
        for row in account.state["invoices"].values()
        if row["parent"]["subscription_details"]["subscription"] == subscription["id"]
    ]
    lines = "".join(
        f"<tr><th scope='row'><a href='{escape(row['hosted_invoice_url'])}'>{escape(row['number'])}</a></th>"
        f"<td>{escape(row['status'])}</td><td>{money(row['amount_due'], row['currency'])}</td></tr>"
        for row in reversed(invoices)
    )
    card = account.state["payment_methods"][subscription["default_payment_method"]]["card"]
    buttons = [
        _button("card_good", "Use another card that works", "It is accepted from now on.", "primary"),
        _button("card_bad", "Use a card that is declined", "The next attempt fails."),
        _button("card_action", "Use a card whose bank asks", "The next attempt waits for a confirmation."),
        _button("keep", "Keep the subscription", "It goes on after all.")
        if subscription["cancel_at_period_end"]
        else _button("cancel", "Cancel at the end of the period", "Nothing more is charged."),
    ]
    form = "" if subscription["status"] == "canceled" else f'<form method="post">{"".join(buttons)}</form>'
    return (
        f"<p>State: {escape(subscription['status'])}. Card: {card['brand']} ending {card['last4']}.</p>"
        "<table><caption>Invoices</caption><thead><tr><th scope='col'>Number</th><th scope='col'>State</th>"
        f"<th scope='col'>Amount</th></tr></thead><tbody>{lines}</tbody></table>{form}"
    )


def _lines(session: dict[str, Any]) -> str:
    rows = "".join(
        f"<tr><th scope='row'>{escape(line['description'])}<br><span>{_interval(line)}</span></th>"
        f"<td>{line['quantity']}</td><td>{money(line['amount_total'], line['currency'])}</td></tr>"
        for line in session["_line_items"]
    )
    total = money(session["amount_total"], session["currency"])
    buyer = session["customer_email"] or (session["customer_details"] or {}).get("email") or ""
    who = f"<p>Buyer: {escape(buyer)}</p>" if buyer else ""
    return (
        "<table><caption>What you pay for</caption>"
        "<thead><tr><th scope='col'>Item</th><th scope='col'>Quantity</th><th scope='col'>Amount</th></tr></thead>"
        f"<tbody>{rows}</tbody>"
        f"<tfoot><tr><th scope='row' colspan='2'>Due today</th><td>{total}</td></tr></tfoot></table>{who}"
    )


def _interval(line: dict[str, Any]) -> str:
    recurring = line["price"]["recurring"]
    return "once" if recurring is None else f"each {escape(recurring['interval'])}"


def _button(action: str, label: str, help_text: str, style: str = "quiet") -> str:
    return (
        f'<p><button name="action" value="{action}" class="{style}" aria-describedby="about-{action}">{escape(label)}'
        f'</button> <span id="about-{action}">{escape(help_text)}</span></p>'
    )


def _open_form(session: dict[str, Any], total: str) -> str:
    buttons = [
        _button("pay", f"Pay {total}", "The simulated card is accepted.", "primary"),
        _button("decline", "Decline the card", "The simulated bank refuses; this page stays open."),
        _button("later", "Pay later by bank debit", "The order is placed now; the money comes, or not, afterwards."),
    ]
    if session["cancel_url"]:
        buttons.append(_button("cancel", "Cancel", "Back to the shop; nothing is charged."))
    return f'<form method="post">{"".join(buttons)}</form>'


def _debit_form() -> str:
    return (
        '<form method="post"><p>The order is placed and not paid yet. You decide what the bank does:</p>'
        + _button("debit_succeeds", "The debit succeeds", "The money arrives.", "primary")
        + _button("debit_fails", "The debit fails", "The bank refuses; nothing is charged.")
        + "</form>"
    )


def _page(
    heading: str, content: str, session: dict[str, Any] | None = None, *, alert: str = "", status: int = 200
) -> Response:
    notice = f'<p class="alert" role="alert">{escape(alert)}</p>' if alert else ""
    title = f"Error: {heading}" if alert or status >= 400 else heading
    html = f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)} - simulated Stripe</title>
<link rel="stylesheet" href="/stripe{STYLE_PATH}">
<link rel="icon" href="data:,">
</head>
<body>
<header>
<p><strong>Simulated payment page.</strong> This is not Stripe: no card is asked for and no money moves.</p>
</header>
<main>
<h1>{escape(heading)}</h1>
{notice}{content}
</main>
</body>
</html>
"""
    response = text_response(html, status, kind="text/html")
    return Response(response.status, {**response.headers, **_headers(session)}, response.body)


def _headers(session: dict[str, Any] | None) -> dict[str, str]:
    # A browser applies form-action to the redirect after the POST too, so the shop's origins stand in it.
    addresses = [session["success_url"], session["cancel_url"]] if session else []
    origins = sorted({f"{part.scheme}://{part.netloc}" for part in map(urlsplit, filter(None, addresses))})
    policy = (
        "default-src 'none'; style-src 'self'; img-src data:; base-uri 'none'; frame-ancestors 'none'; form-action "
        + " ".join(["'self'", *origins])
    )
    return {
        "content-security-policy": policy,
        "cache-control": "no-store",
        "referrer-policy": "no-referrer",
        "x-content-type-options": "nosniff",
    }


STYLE = """
:root { color-scheme: light dark; --ink: light-dark(#1a1f2b, #e8ebf2); --paper: light-dark(#f6f7fb, #12151c);
  --card: light-dark(#ffffff, #1b202a); --line: light-dark(#8a92a6, #6d7690); --soft: light-dark(#4a5164, #aab2c5);
  --accent: light-dark(#4338ca, #a5b4fc); --on-accent: light-dark(#ffffff, #12151c);
  --bad: light-dark(#a11020, #ff9aa5); --note: light-dark(#fff3c4, #3a3213); }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 1rem/1.5 system-ui, sans-serif; }
header { background: var(--note); padding: .5rem 1rem; text-align: center; }
header p { margin: 0; }
main { max-width: 38rem; margin: 2rem auto; padding: 1.5rem; background: var(--card); border-radius: .75rem;
  border: 1px solid var(--line); }
h1 { margin: 0 0 1rem; font-size: 1.75rem; line-height: 1.2; }
table { width: 100%; border-collapse: collapse; }
caption { text-align: left; color: var(--soft); padding-bottom: .25rem; }
th, td { padding: .5rem .25rem; border-bottom: 1px solid var(--line); text-align: left; vertical-align: top;
  overflow-wrap: anywhere; }
td:last-child, thead th:last-child { text-align: right; }
th span { color: var(--soft); font-weight: 400; }
tfoot th, tfoot td { font-weight: 700; border-bottom: 0; }
form { margin-top: 1.5rem; }
form p { display: grid; gap: .25rem; margin: 0 0 1rem; }
form p span { color: var(--soft); }
button { font: inherit; font-weight: 600; min-height: 2.75rem; padding: .5rem 1rem; border-radius: .5rem;
  cursor: pointer; border: 2px solid var(--accent); }
.primary { background: var(--accent); color: var(--on-accent); }
.quiet { background: var(--card); color: var(--accent); }
a { color: var(--accent); }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 3px; }
.alert { border-left: .375rem solid var(--bad); color: var(--bad); padding: .5rem .75rem; font-weight: 600; }
@media (max-width: 40rem) { main { margin: 0; border: 0; border-radius: 0; } }
"""
