"""Workspaces of the student's own at the three platforms, and the dedicated IPs that come with those at InfraForge."""

from __future__ import annotations

from functools import partial

from integrations import infraforge, salesforge, warmforge
from integrations.http.errors import NotFound

from ...engine.context import Context
from ...engine.ledger import Book
from ...engine.outcomes import Done, Outcome, Wait, WaitsOn
from ...engine.specs import MINUTE
from ..buying import NO_MONEY
from ..common import MOST_PAGES, external_name, is_ours, own, wait_for

LOOK_FOR_MONEY = 5 * MINUTE
LONGEST = infraforge.LONGEST_WORKSPACE_NAME  # the shortest of the three


def lack_of_credits(ctx: Context, cost_cents: int) -> Wait | None:
    """Return a wait for money when InfraForge's credits are less than `cost_cents`, else None.

    An account that never set credits up pays by card: what that covers only a purchase tells.
    """
    try:
        held = ctx.read(ctx.clients.infraforge.credit_balance()).balance_cents
    except NotFound:
        return None
    if held >= cost_cents:
        return None
    why = f"InfraForge's credits are {held / 100:.2f} USD, {cost_cents / 100:.2f} USD are needed"
    return Wait(LOOK_FOR_MONEY, on=WaitsOn.FUNDS, why=why)


def balance(ctx: Context) -> Outcome:
    """Make sure that the credits cover what is still to be bought."""
    return lack_of_credits(ctx, expected_cost(ctx)) or Done()


def expected_cost(ctx: Context) -> int:
    """Return what the order is expected to cost at InfraForge, in cents, for what it does not own yet."""
    prices, options = ctx.order.get("domain_prices", {}), ctx.options
    domains = [domain.name for domain in ctx.domains if "bought" not in domain.facts and not domain.is_own]
    mailboxes = sum(1 for mailbox in ctx.mailboxes if "infraforge_mailbox_id" not in mailbox.facts)
    ips = int(ctx.order.get("dedicated_ip_count", 0)) - len(ctx.facts.get("infraforge_workspaces", ()))
    return (
        sum(int(prices.get(name) or options.forge_domain_cost_cents) for name in domains)
        + mailboxes * options.forge_mailbox_cost_cents
        + max(0, ips) * options.dedicated_ip_cost_cents
    )


def workspaces(ctx: Context) -> Outcome:
    """Create the InfraForge workspaces: one for each dedicated IP, because an IP belongs to a workspace."""
    ips = int(ctx.order.get("dedicated_ip_count", 0))
    made: list[str] = []
    for number in range(1, max(1, ips) + 1):
        # The number stands before our reference, and whole names are compared: "Ada IP2 GTM-7K3F9Q".
        name = external_name(ctx, f"IP{number}" if number > 1 else "", longest=LONGEST)
        ceiling = ctx.options.dedicated_ip_cost_cents if ips else None
        found = ctx.ledger.obtain(
            name,
            partial(ctx.clients.infraforge.create_workspace, name, bool(ips), ceiling),
            partial(_infraforge, ctx, name),
            again=NO_MONEY,
        )
        if isinstance(found, Book):
            if found.refusal is not None:
                wait = lack_of_credits(ctx, expected_cost(ctx))
                return wait or Wait(LOOK_FOR_MONEY, on=WaitsOn.FUNDS, why=found.refusal.sentence)
            return wait_for(found, name, ctx, "whether the workspace was created is being checked")
        made.append(found.id)
    return Done({"infraforge_workspaces": made})


def _infraforge(ctx: Context, name: str) -> infraforge.Workspace | None:
    there = ctx.read(ctx.clients.infraforge.list_workspaces())
    return next((one for one in there if one.name.split() == name.split()), None)


def dedicated_ips(ctx: Context) -> Outcome:
    """Wait until each workspace has its dedicated IP; note the IPs and the mail servers."""
    mine = [str(one) for one in ctx.facts["infraforge_workspaces"]]
    there = {one.id: one for one in ctx.read(ctx.clients.infraforge.list_workspaces()) if one.id in mine}
    if len(there) < len(mine):
        return Wait(ctx.poll, why="not in the list of workspaces at the moment")
    if ctx.order.get("dedicated_ip_count") and not all(one.ip for one in there.values()):
        return Wait(ctx.poll, why="the dedicated IP is being attached")
    if not all(one.mailserver for one in there.values()):
        return Wait(ctx.poll, why="the workspace has no mail server yet")
    ips = {key: there[key].ip for key in mine if there[key].ip}
    return Done({"dedicated_ips": ips, "mail_servers": {key: there[key].mailserver for key in mine}})


def sending_workspace(ctx: Context) -> Outcome:
    """Create the Salesforge workspace. Nothing there deletes one: found again, or waited for."""

    def find() -> salesforge.Workspace | None:
        offset = 0
        for _ in range(MOST_PAGES):
            page = ctx.read(ctx.clients.salesforge.list_workspaces(offset))
            if ours := [one for one in page.workspaces if is_ours(ctx, one.name)]:
                return ours[0]
            offset = page.next_offset
            if page.last:
                break
        return None

    name = external_name(ctx, longest=LONGEST)
    return own(ctx, name, "salesforge_workspace_id", partial(ctx.clients.salesforge.create_workspace, name), find)


def warmup_workspace(ctx: Context) -> Outcome:
    """Create the Warmforge workspace. Nothing there deletes one either."""

    def find() -> warmforge.Workspace | None:
        for number in range(1, MOST_PAGES):
            page = ctx.read(ctx.clients.warmforge.list_workspaces(number))
            if ours := [one for one in page.workspaces if is_ours(ctx, one.name)]:
                return ours[0]
            if page.last:
                break
        return None

    name = external_name(ctx, longest=LONGEST)
    return own(ctx, name, "warmforge_workspace_id", partial(ctx.clients.warmforge.create_workspace, name), find)
