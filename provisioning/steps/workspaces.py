"""A workspace of the student's own at each platform, and the lead list. Found again by our reference, never by name."""

from __future__ import annotations

from integrations import heyreach, plusvibe, zapmail

from ..engine.context import Context
from ..engine.ledger import Book
from ..engine.measuring import Counts, Look
from ..engine.outcomes import Done, Outcome
from .common import MOST_PAGES, external_name, is_ours, own, wait_for


def workspace(ctx: Context) -> Outcome:
    """Create the Zapmail workspace."""

    def find() -> zapmail.Workspace | None:
        page = ctx.read(ctx.clients.zapmail.list_workspaces(contains=ctx.reference))
        return next((found for found in page.workspaces if is_ours(ctx, found.name)), None)

    name = external_name(ctx)
    return own(
        ctx,
        name,
        "zapmail_workspace_id",
        lambda: ctx.clients.zapmail.create_workspace(name, ctx.options.operator_contact or None),
        find,
    )


def sender_workspace(ctx: Context) -> Outcome:
    """Create the workspace in the sending tool."""

    def find() -> plusvibe.Workspace | None:
        account = ctx.read(ctx.clients.plusvibe.authenticate())
        return next((found for found in account.workspaces if is_ours(ctx, found.name)), None)

    name = external_name(ctx)
    return own(ctx, name, "plusvibe_workspace_id", lambda: ctx.clients.plusvibe.create_workspace(name), find)


def lead_list(ctx: Context) -> Outcome:
    """Create the lead list. Nothing at HeyReach makes it unique and nothing deletes it: found again, or waited for."""

    def find() -> heyreach.LeadList | None:
        ours: list[heyreach.LeadList] = []
        # How a keyword matches is not documented: what it does not find is looked for among all.
        for keyword in (ctx.reference, ""):
            offset = 0
            for _ in range(MOST_PAGES):
                page = ctx.read(ctx.clients.heyreach.find_lists(keyword, offset))
                ours += [found for found in page.lists if is_ours(ctx, found.name)]
                offset = page.next_offset
                if page.last:
                    break
            if ours:
                return min(ours, key=lambda found: found.id)
        return None

    name = external_name(ctx, "prospects")
    made = ctx.ledger.obtain(name, lambda: ctx.clients.heyreach.create_list(name), find)
    if isinstance(made, Book):
        return wait_for(made, name, ctx, "whether the lead list was created is being checked")
    return Done({"heyreach_list_id": made.id, "heyreach_list_name": made.name})


def lead_counts(look: Look, offset: int) -> Counts:
    """Count the leads of a hundred lists, whoever they belong to: one call for a hundred students."""
    page = look.read(look.clients.heyreach.find_lists("", offset))
    counts = {str(found.id): found.leads for found in page.lists if found.leads is not None and not found.deleted}
    return Counts(counts, None if page.last else page.next_offset)


def lead_count(look: Look) -> int | None:
    """Count the leads of the student's own list."""
    return look.read(look.clients.heyreach.get_list(int(look.facts["heyreach_list_id"]))).leads
