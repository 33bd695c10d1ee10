"""What the account lists as the order's own. Lists at InfraForge are the whole account's: everything is compared exactly."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from integrations import infraforge, salesforge, warmforge
from integrations.http.redact import Hidden
from integrations.logins import Login

from ...engine.context import Context, DomainItem, MailboxItem
from ..common import MOST_PAGES
from ..passwords import mailbox_kind


def workspaces_of(ctx: Context) -> list[str]:
    """Return the ids of the order's InfraForge workspaces: one for each dedicated IP, one where there is none."""
    return [str(one) for one in ctx.facts["infraforge_workspaces"]]


def workspace_of(ctx: Context, domain: DomainItem) -> str:
    """Return the workspace of a domain: the one it is in, before that the one that is planned for it.

    Those of a run are planned in their order, each into the workspace that holds fewest; what the order has from before
    counts. The plan does not depend on how far the run is, so that a request is built again as it was.
    """
    if known := domain.facts.get("infraforge_workspace_id"):
        return str(known)
    mine = workspaces_of(ctx)
    held = Counter(str(one.facts.get("infraforge_workspace_id")) for one in ctx.there)
    for one in sorted(ctx.built, key=lambda item: (item.place, item.name)):
        planned = min(mine, key=lambda space: (held[space], mine.index(space)))
        if one.key == domain.key:
            return planned
        held[planned] += 1
    return mine[domain.place % len(mine)]  # taken down: nothing is built


def domains_there(ctx: Context, names: Sequence[str]) -> dict[str, infraforge.Domain]:
    """Return those of `names` that stand in the order's workspaces. One name is looked for, several in the whole list."""
    mine = workspaces_of(ctx)
    rows = ctx.read(ctx.clients.infraforge.list_domains(names[0] if len(names) == 1 else ""))
    return {row.name: row for row in rows if row.name in names and row.bought and row.workspace_id in ("", *mine)}


def mailboxes_there(ctx: Context, *, with_credentials: bool = False) -> dict[str, infraforge.Mailbox]:
    """Return the mailboxes of the order's workspaces, by address."""
    found: dict[str, infraforge.Mailbox] = {}
    for workspace in workspaces_of(ctx):
        rows = ctx.read(ctx.clients.infraforge.list_mailboxes(workspace, with_credentials=with_credentials))
        found |= {row.address: row for row in rows if row.workspace_id in ("", workspace)}
    return found


def sending_there(ctx: Context) -> dict[str, salesforge.Mailbox]:
    """Return the mailboxes of the order's Salesforge workspace, by address."""
    workspace, found, offset = str(ctx.facts["salesforge_workspace_id"]), dict[str, salesforge.Mailbox](), 0
    for _ in range(MOST_PAGES):
        page = ctx.read(ctx.clients.salesforge.list_mailboxes(workspace, offset=offset))
        found |= {one.address: one for one in page.mailboxes}
        offset = page.next_offset
        if page.last:
            break
    return found


def warming_there(ctx: Context) -> dict[str, warmforge.Mailbox]:
    """Return the mailboxes of the order's Warmforge workspace, by address."""
    workspace, found = str(ctx.facts["warmforge_workspace_id"]), dict[str, warmforge.Mailbox]()
    for number in range(1, MOST_PAGES):
        page = ctx.read(ctx.clients.warmforge.list_mailboxes(workspace, number))
        found |= {one.address: one for one in page.mailboxes}
        if page.last:
            break
    return found


def doors_of(ctx: Context, mailbox: MailboxItem) -> tuple[Login, Login]:
    """Return how a mailbox is reached: (SMTP, IMAP) at its workspace's mail server, with the password that we set."""
    host = str(ctx.facts["mail_servers"][workspace_of(ctx, mailbox.domain)])
    password = Hidden(ctx.credential(mailbox_kind(mailbox)).open())
    return infraforge.own_logins(ctx.clients.infraforge.settings, host, mailbox.address, password)
