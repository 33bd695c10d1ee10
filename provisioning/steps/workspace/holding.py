"""What Google and Cloudflare list of the things that an order owns. The domains are the student's own, and renewed by them."""

from __future__ import annotations

from collections.abc import Sequence

from integrations.http.errors import NotFound

from ...engine.holding import HeldDomain, HeldMailbox, Record, Server
from ...engine.measuring import Look
from ..common import MOST_PAGES
from ..holding import GOOGLE


def domains(look: Look) -> Sequence[HeldDomain]:
    """Read the zones of the order's domains. When they end, their registrar knows alone."""
    return [
        HeldDomain(zone.name, zone.id)
        for name in look.domains
        for zone in look.read(look.clients.cloudflare.find_zone(name))
    ]


def mailboxes(look: Look) -> Sequence[HeldMailbox]:
    """Read the users of the order's domains. Their passwords are never shown."""
    found, known = list[HeldMailbox](), set(look.mailboxes)
    for name in look.domains:
        page = ""
        for _ in range(MOST_PAGES):
            try:
                answer = look.read(look.clients.google_workspace.list_users(name, page))
            except NotFound:  # the domain is not in the account
                break
            found += [HeldMailbox(user.address) for user in answer.users if user.address in known]
            page = answer.next_page
            if answer.last:
                break
    return found


def records(look: Look, key: str) -> Sequence[Record]:
    """Read a domain's DNS records."""
    found, number = list[Record](), 1
    for _ in range(MOST_PAGES):
        page = look.read(look.clients.cloudflare.list_records(key, number))
        found += [(row.type, row.name, row.content, row.priority) for row in page.records]
        if page.next_page is None:
            break
        number = page.next_page
    return found


def servers(provider: str) -> tuple[Server, Server]:
    """Return where programs open a mailbox."""
    return GOOGLE
