"""Domains and mailboxes as rows for files: JSON as it is, CSV that a spreadsheet does not execute.

A cell that begins like a formula gets an apostrophe in front. A password never does: it is written byte for byte. Where one
begins like a formula, the file for spreadsheets is refused, and JSON or the layout of a sending tool, which programs read,
is offered instead.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from django.db.models import Q
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from infra.models import Domain, DomainState, Mailbox, MailboxSecret, MailboxState, Origin, Provision
from infra.models.domain import GONE, HELD
from provisioning.engine.holding import Server
from provisioning.stacks import STACKS

FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
Row = dict[str, str]

PASSWORDS = frozenset({"password", "smtp_password", "imap_password"})
PLAIN = ("email", "first_name", "last_name", "domain", "state", "daily_limit")
LOGIN = (
    *("smtp_host", "smtp_port", "smtp_security", "smtp_user", "smtp_password"),
    *("imap_host", "imap_port", "imap_security", "imap_user", "imap_password"),
)
DOMAIN_COLUMNS = ("domain", "state", "registered_until", "renewal", "mailboxes")


@dataclass(frozen=True, slots=True)
class Layout:
    """The columns of a file: header -> how it is read from a full row. `has_passwords`: makes sense only with them."""

    title: str | Promise
    columns: Mapping[str, Callable[[Row], str]]
    has_passwords: bool = True


def _field(name: str) -> Callable[[Row], str]:
    return lambda row: row[name]


def _name(row: Row) -> str:
    return f"{row['first_name']} {row['last_name']}".strip()


def _always(value: str) -> Callable[[Row], str]:
    return lambda row: value


SMARTLEAD = {
    "from_name": _name,
    "from_email": _field("email"),
    "user_name": _field("smtp_user"),
    "password": _field("smtp_password"),
    "smtp_host": _field("smtp_host"),
    "smtp_port": _field("smtp_port"),
    "imap_host": _field("imap_host"),
    "imap_port": _field("imap_port"),
    "max_email_per_day": _field("daily_limit"),
    **{name: _always("") for name in ("custom_tracking_url",)},
    "warmup_enabled": _always("FALSE"),
    **{name: _always("") for name in ("total_warmup_per_day", "daily_rampup", "reply_rate_percentage", "bcc")},
    **{name: _always("") for name in ("signature", "different_reply_to_address")},
    "imap_user_name": _field("imap_user"),
    "imap_password": _field("imap_password"),
}
PLUSVIBE = {
    **{name: _field(name) for name in ("first_name", "last_name", "email")},
    "username": _field("smtp_user"),
    "password": _field("smtp_password"),
    **{name: _field(name) for name in ("imap_host", "imap_port", "smtp_host", "smtp_port")},
    "smtp_username": _field("smtp_user"),
    "smtp_password": _field("smtp_password"),
    "daily_limit": _field("daily_limit"),
}
LAYOUTS: Mapping[str, Layout] = {
    "plain": Layout(_("All columns, for you and for spreadsheets"), {n: _field(n) for n in PLAIN}, has_passwords=False),
    "smartlead": Layout(_("Smartlead's import"), SMARTLEAD),
    "plusvibe": Layout(_("PlusVibe: the field names of its interface"), PLUSVIBE),
    "generic": Layout(
        _("Another tool, such as Instantly: columns to be matched by hand"), {n: _field(n) for n in (*PLAIN, *LOGIN)}
    ),
}


class Unsafe(Exception):
    """A password would be executed by a spreadsheet: names the addresses."""

    def __init__(self, addresses: Sequence[str]) -> None:
        self.addresses = list(addresses)
        super().__init__(", ".join(addresses))


def mailboxes_of(provision: Provision) -> list[Mailbox]:
    """Return the mailboxes that can be exported."""
    rows = provision.mailboxes.exclude(state__in=[MailboxState.PLANNED, MailboxState.REMOVED])
    return list(rows.select_related("domain"))


def domains_of(provision: Provision) -> list[Domain]:
    """Return the domains that can be exported; of the student's own also those that an order has let go."""
    mine = provision.domains.filter(HELD).exclude(~Q(origin=Origin.OWN, state=DomainState.RELEASED), state__in=GONE)
    return list(mine.order_by("position", "name"))


def mailbox_rows(provision: Provision, boxes: Sequence[Mailbox], *, with_passwords: bool) -> list[Row]:
    """Return the rows of mailboxes; the columns of the login only with passwords."""
    stack = STACKS.get(str(provision.order.get("stack", "")))
    limit = provision.order.get("warmup", {}).get("campaign_daily_limit", 30)
    secrets = (
        {one.mailbox_id: one.app_password for one in MailboxSecret.objects.filter(mailbox__in=boxes)}
        if with_passwords
        else {}
    )
    rows = []
    for box in boxes:
        row = {
            "email": box.address,
            "first_name": box.first_name,
            "last_name": box.last_name,
            "domain": box.domain.name,
            "state": box.state,
            "daily_limit": str(box.daily_limit or limit),
        }
        if with_passwords:
            secret = secrets.get(box.pk)
            provider = str(box.domain.facts.get("provider") or "")
            smtp, imap = stack.holding.servers(provider) if stack and stack.holding else (Server(), Server())
            row |= _login("smtp", smtp, box.address, secret.open() if secret else "")
            row |= _login("imap", imap, box.address, secret.open() if secret else "")
        rows.append(row)
    return rows


def _login(kind: str, server: Server, user: str, password: str) -> Row:
    is_open = bool(server.host)
    return {
        f"{kind}_host": server.host,
        f"{kind}_port": str(server.port or ""),
        f"{kind}_security": server.security,
        f"{kind}_user": user if is_open else "",
        f"{kind}_password": password if is_open else "",
    }


def domain_rows(domains: Sequence[Domain], boxes: Sequence[Mailbox]) -> list[Row]:
    """Return the rows of domains."""
    return [
        {
            "domain": one.name,
            "state": one.state,
            "registered_until": one.expires_at.date().isoformat() if one.expires_at else "",
            "renewal": str(one.facts.get("renewal", "unknown")),
            "mailboxes": str(sum(box.domain_id == one.pk for box in boxes)),
        }
        for one in domains
    ]


def as_json(kind: str, rows: Sequence[Row]) -> bytes:
    """Return rows as JSON, every value as it is."""
    return json.dumps({kind: list(rows)}, ensure_ascii=False, indent=2).encode()


def as_csv(rows: Sequence[Row], columns: Sequence[str], *, for_spreadsheets: bool) -> bytes:
    """Return rows as CSV (RFC 4180). Raises Unsafe for a password that a spreadsheet would execute."""
    if for_spreadsheets:
        risky = [
            row["email"] for row in rows for name in columns if name in PASSWORDS and _is_formula(row.get(name, ""))
        ]
        if risky:
            raise Unsafe(list(dict.fromkeys(risky)))
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow([row[name] if name in PASSWORDS else defused(row[name]) for name in columns])
    return text.getvalue().encode()


def laid_out(rows: Sequence[Row], layout: str) -> list[Row]:
    """Return rows in the columns of a layout. The plain one has the login's columns if the rows have."""
    its = LAYOUTS[layout].columns
    login = LOGIN if layout == "plain" and rows and "smtp_host" in rows[0] else ()
    return [{name: read(row) for name, read in its.items()} | {name: row[name] for name in login} for row in rows]


def _is_formula(text: str) -> bool:
    return text.startswith(FORMULA)


def defused(text: str) -> str:
    """Return a cell that a spreadsheet takes for text."""
    return f"'{text}" if _is_formula(text) else text
