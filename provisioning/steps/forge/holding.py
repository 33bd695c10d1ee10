"""What InfraForge lists of the things that an order owns."""

from __future__ import annotations

from collections.abc import Sequence

from infra.secret import Secret

from ...engine.holding import HeldDomain, HeldMailbox, Record, Server
from ...engine.measuring import Look
from ..holding import instant
from .domains import plain_row

SMTP_PORT, IMAP_PORT = 465, 993


def domains(look: Look) -> Sequence[HeldDomain]:
    """Read the order's domains. `provider` is the mail server of the workspace that a domain is in."""
    mine, servers = _workspaces(look), look.facts.get("mail_servers", {})
    return [
        HeldDomain(
            row.name,
            row.id,
            str(servers.get(row.workspace_id, "")),
            row.auto_renew,
            instant(row.expires_on),
            row.status == "expired",
        )
        for name in look.domains
        for row in look.read(look.clients.infraforge.list_domains(name))
        if row.name == name and row.workspace_id in mine and row.bought
    ]


def mailboxes(look: Look) -> Sequence[HeldMailbox]:
    """Read the order's mailboxes, with the passwords that the list shows."""
    rows = [
        row
        for workspace in _workspaces(look)
        for row in look.read(look.clients.infraforge.list_mailboxes(workspace, with_credentials=True))
        if row.workspace_id in ("", workspace)
    ]
    return [HeldMailbox(row.address, Secret(row.smtp.password.open()) if row.smtp else None) for row in rows]


def records(look: Look, key: str) -> Sequence[Record]:
    """Read a domain's DNS records."""
    return [plain_row(row) for row in look.read(look.clients.infraforge.get_dns(key))]


def servers(provider: str) -> tuple[Server, Server]:
    """Return where programs open a mailbox: at its workspace's mail server."""
    if not provider:
        return Server(), Server()
    return Server(provider, SMTP_PORT, "SSL/TLS"), Server(provider, IMAP_PORT, "SSL/TLS")


def _workspaces(look: Look) -> list[str]:
    return [str(one) for one in look.facts.get("infraforge_workspaces", ())]
