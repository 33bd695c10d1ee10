"""What Zapmail lists of the things that an order owns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import TypeVar

from django.utils.dateparse import parse_date, parse_datetime

from infra.secret import Secret
from integrations import zapmail
from integrations.http.call import Call

from ..engine.holding import HeldDomain, HeldMailbox, Record, Server
from ..engine.measuring import Look
from .common import MOST_PAGES

Page = TypeVar("Page", zapmail.DomainPage, zapmail.MailboxPage)

GOOGLE = (Server("smtp.gmail.com", 465, "SSL/TLS"), Server("imap.gmail.com", 993, "SSL/TLS"))
# A password does not open IMAP at Microsoft: programs sign in with OAuth there.
MICROSOFT = (Server("smtp.office365.com", 587, "STARTTLS"), Server())


def servers(provider: str) -> tuple[Server, Server]:
    """Return where programs open a mailbox. Where the list does not say whose it is, it is Google's."""
    return {"GOOGLE": GOOGLE, "MICROSOFT": MICROSOFT}.get(provider or "GOOGLE", (Server(), Server()))


def domains(look: Look) -> Sequence[HeldDomain]:
    """Read the domain list of the order's workspace."""
    client, workspace = look.clients.zapmail, str(look.facts["zapmail_workspace_id"])
    pages = _pages(look, lambda page: client.list_domains(workspace, page=page))
    return [
        HeldDomain(one.name, one.id, one.provider, one.auto_renew, instant(one.expires_on), one.status == "EXPIRED")
        for page in pages
        for one in page.domains
    ]


def mailboxes(look: Look) -> Sequence[HeldMailbox]:
    """Read the mailbox list of the order's workspace, with the passwords it shows."""
    client, workspace = look.clients.zapmail, str(look.facts["zapmail_workspace_id"])
    pages = _pages(look, lambda page: client.list_mailboxes(workspace, page))
    return [
        HeldMailbox(one.address, Secret(one.app_password.open()) if one.app_password else None)
        for page in pages
        for one in page.mailboxes
    ]


def records(look: Look, key: str) -> Sequence[Record]:
    """Read a domain's DNS records."""
    call = look.clients.zapmail.list_dns_records(str(look.facts["zapmail_workspace_id"]), key)
    return [(one.type, one.host, one.value, one.priority) for one in look.read(call)]


def instant(text: str) -> datetime | None:
    """Read one of the platform's dates, which come in many shapes; None for one that cannot be read."""
    try:
        found = parse_datetime(text)
        if found is None and (day := parse_date(text[:10])):
            found = datetime(day.year, day.month, day.day, tzinfo=UTC)
    except ValueError:
        return None
    return found if found is None or found.tzinfo else found.replace(tzinfo=UTC)


def _pages(look: Look, call: Callable[[int], Call[Page]]) -> list[Page]:
    pages: list[Page] = []
    for number in range(1, MOST_PAGES):
        pages.append(look.read(call(number)))
        if pages[-1].last:
            break
    return pages
