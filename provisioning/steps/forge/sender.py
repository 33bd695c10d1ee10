"""Handing the mailboxes over to Salesforge and Warmforge, seeing them there, and warmup."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

from integrations import infraforge, salesforge, warmforge
from integrations.http.call import Call

from ...engine.context import Context, MailboxItem
from ...engine.outcomes import Done, Failed, NeedsOperator, Outcome, Wait
from ..common import chances, for_all, wait_for
from .common import doors_of, sending_there, warming_there, workspace_of

T = TypeVar("T")

EXPORT_ATTEMPTS = 2
CONNECT_ATTEMPTS = 2
SWITCHED_ON = 2  # times that warmup is switched on before somebody looks why it stays off
NOT_READY = frozenset({"mailbox_not_ready"})
LEAST_DAILY = 1  # mails a day: the least that Salesforge takes
MOST_WARMUP = 20  # mails a day: the most that Warmforge takes


def export(ctx: Context) -> Mapping[str, Outcome]:
    """Hand the mailboxes over by id, those of one workspace together, only what is absent in both tools."""
    outcomes: dict[str, Outcome] = {}
    for workspace in dict.fromkeys(workspace_of(ctx, mailbox.domain) for mailbox in ctx.mailboxes):
        mine = [mailbox for mailbox in ctx.mailboxes if workspace_of(ctx, mailbox.domain) == workspace]
        outcomes |= _export(ctx, workspace, mine)
    return outcomes


def _export(ctx: Context, workspace: str, mailboxes: Sequence[MailboxItem]) -> Mapping[str, Outcome]:
    ids = {mailbox.address: str(mailbox.facts["infraforge_mailbox_id"]) for mailbox in mailboxes}
    sending, warming = str(ctx.facts["salesforge_workspace_id"]), str(ctx.facts["warmforge_workspace_id"])

    def build(some: tuple[str, ...]) -> Call[infraforge.Accepted]:
        chosen = {address: ids[address] for address in some}
        return ctx.clients.infraforge.export_to_salesforge(workspace, sending, chosen, ctx.reference, warming, True)

    def look() -> Mapping[str, object]:
        # Only once in both: one that has landed in one of them may be on its way to the other.
        there = {**warming_there(ctx), **sending_there(ctx)}
        return {address: there[address] for address in ids if address in there}

    book = ctx.ledger.settle(list(ids), build, look, again=NOT_READY)
    sendable = ctx.ledger.sendable("infraforge", "export_to_salesforge", list(ids))
    used = ctx.ledger.counts("infraforge", "export_to_salesforge", sendable)
    most = {mailbox.address: chances(mailbox, EXPORT_ATTEMPTS) for mailbox in mailboxes}
    spent = {address for address in sendable if used[address] >= most[address]}
    if wanted := [address for address in sendable if address not in spent]:
        book.join(ctx.ledger.bring_about(wanted, build, look, again=NOT_READY))

    def judge(mailbox: MailboxItem) -> Outcome:
        if mailbox.address in book.done:
            return Done({"exported": True})
        if mailbox.address in spent:
            return Done({"exported": False})
        if mailbox.address in book.rejected:
            refusal = book.rejected[mailbox.address]
            return NeedsOperator(refusal.code, f"the export was refused: {refusal.sentence}")
        if book.refusal is not None:
            return Wait(ctx.poll, why=book.refusal.sentence or "the platform is not ready to export")
        return wait_for(book, mailbox.address, ctx, "exported; not in the sending tool yet")

    return {mailbox.key: judge(mailbox) for mailbox in mailboxes}


def accounts_seen(ctx: Context) -> Mapping[str, Outcome]:
    """See every mailbox connected in both tools; connect by its password what the export has not brought there.

    An export that is on its way may still land: until its time is over nothing is connected beside it.
    """
    sending, warming = sending_there(ctx), warming_there(ctx)
    return {mailbox.key: _seen(ctx, mailbox, sending, warming) for mailbox in ctx.mailboxes}


def _seen(
    ctx: Context,
    mailbox: MailboxItem,
    sending: Mapping[str, salesforge.Mailbox],
    warming: Mapping[str, warmforge.Mailbox],
) -> Outcome:
    address = mailbox.address
    late = not mailbox.facts.get("exported") or ctx.waited > ctx.clients.infraforge.settings.export_grace
    if address not in sending:
        if not late:
            return Wait(ctx.poll, why="not in Salesforge yet")
        return _connect_sending(ctx, mailbox)
    if address not in warming:
        if not late:
            return Wait(ctx.poll, why="not in Warmforge yet")
        return _connect_warmup(ctx, mailbox)
    _prove(ctx, address)
    there, warm = sending[address], warming[address]
    if there.lost:
        return _heal(ctx, mailbox, there)
    if not there.connected:
        return Wait(ctx.poll, why=f"Salesforge says that the mailbox is {there.status or 'not ready'}")
    if not warm.connected:
        return Wait(ctx.poll, why=f"Warmforge says that the mailbox is {warm.status or 'not ready'}")
    return Done({"salesforge_mailbox_id": there.id, "warmforge_mailbox_id": warm.id})


def _prove(ctx: Context, address: str) -> None:
    for platform, verb in (("salesforge", "connect_mailbox"), ("warmforge", "connect_smtp")):
        ctx.ledger.prove(platform, verb, {address: {"read_back": True}})


def _connect_sending(ctx: Context, mailbox: MailboxItem) -> Outcome:
    workspace, client = str(ctx.facts["salesforge_workspace_id"]), ctx.clients.salesforge

    def build(_keys: tuple[str, ...]) -> Call[salesforge.Mailbox]:
        smtp, imap = doors_of(ctx, mailbox)
        new = salesforge.NewMailbox(
            mailbox.address, mailbox.first_name, mailbox.last_name, smtp, imap, daily_limit=daily_limit(ctx)
        )
        return client.connect_mailbox(workspace, new)

    return _connect(ctx, mailbox, "Salesforge", ("salesforge", "connect_mailbox"), build, partial(sending_there, ctx))


def _connect_warmup(ctx: Context, mailbox: MailboxItem) -> Outcome:
    workspace, client = str(ctx.facts["warmforge_workspace_id"]), ctx.clients.warmforge

    def build(_keys: tuple[str, ...]) -> Call[warmforge.Mailbox]:
        smtp, imap = doors_of(ctx, mailbox)
        new = warmforge.NewMailbox(
            mailbox.address, mailbox.first_name, mailbox.last_name, smtp, imap, reference=ctx.reference
        )
        return client.connect_smtp(workspace, new)

    return _connect(ctx, mailbox, "Warmforge", ("warmforge", "connect_smtp"), build, partial(warming_there, ctx))


def _connect(
    ctx: Context,
    mailbox: MailboxItem,
    title: str,
    verb: tuple[str, str],
    build: Callable[[tuple[str, ...]], Call[T]],
    look: Callable[[], Mapping[str, Any]],
) -> Outcome:
    """Connect a mailbox by its password, unless that has been tried often enough."""
    address, key = mailbox.address, [mailbox.address]
    book = ctx.ledger.settle(key, build, look)
    if ctx.ledger.sendable(*verb, key):
        if ctx.ledger.counts(*verb, key)[address] >= chances(mailbox, CONNECT_ATTEMPTS):
            return Failed("not_in_sending_tool", f"The mailbox exists, but {title} does not take it.")
        book.join(ctx.ledger.bring_about(key, build, look))
    if address in book.rejected:
        refusal = book.rejected[address]
        return NeedsOperator(refusal.code, f"{address} was refused by {title}: {refusal.sentence}")
    if address in book.done:
        return Wait(ctx.poll, why=f"connected to {title}; not in its list yet")
    return wait_for(book, address, ctx, f"whether {title} has connected it is being checked")


def _heal(ctx: Context, mailbox: MailboxItem, there: salesforge.Mailbox) -> Outcome:
    """Give Salesforge the mailbox's password once more; an operator looks when that does not help."""
    if ctx.ledger.counts("salesforge", "update_connection_settings", [there.id])[there.id] >= chances(mailbox, 1):
        return NeedsOperator("access_lost", f"Salesforge cannot sign in to {mailbox.address}: {there.reason}")
    client, workspace = ctx.clients.salesforge, str(ctx.facts["salesforge_workspace_id"])
    ctx.ledger.apply(client.update_connection_settings(workspace, there.id, *doors_of(ctx, mailbox)))
    return Wait(ctx.poll, why="Salesforge has been given the password once more")


def warmup(ctx: Context) -> Mapping[str, Outcome]:
    """Set the warmup plan and the daily limit, within what the tools take; absolute values, proven by reading them back."""
    wanted, limit = warmup_settings(ctx), daily_limit(ctx)
    warm = _set(ctx, wanted, limit)
    tried = ctx.ledger.counts("warmforge", "update_mailbox", [mailbox.address for mailbox in ctx.mailboxes])

    def judge(mailbox: MailboxItem) -> Outcome:
        found = warm.get(mailbox.address)
        if found is None:
            return Wait(ctx.poll, why="not in the sending tool at the moment")
        if found == "right":
            return Done({"warmup": "on"})
        if found == "off" and tried[mailbox.address] >= chances(mailbox, SWITCHED_ON):
            why = f"Warmforge keeps the warmup of {mailbox.address} off: is there a slot left for it?"
            return NeedsOperator("slot_missing", why)
        return Wait(ctx.poll, why="the warmup settings are being confirmed")

    return {mailbox.key: judge(mailbox) for mailbox in ctx.mailboxes}


def rest(ctx: Context) -> Mapping[str, Outcome]:
    """Let warmup rest, and campaigns as far as Salesforge can: one mail a day is the least it takes. Nothing is removed."""
    if "warmforge_workspace_id" not in ctx.facts or "salesforge_workspace_id" not in ctx.facts:
        return for_all(ctx.mailboxes, Done({"warmup": "off"}))  # the set-up never came that far
    quiet = _set(ctx, replace(warmup_settings(ctx), enabled=False), LEAST_DAILY)
    return {
        mailbox.key: Done({"warmup": "off"})
        if quiet.get(mailbox.address) in (None, "right")  # what is not in the tools sends nothing
        else Wait(ctx.poll, why="the rest is being confirmed")
        for mailbox in ctx.mailboxes
    }


def _set(ctx: Context, wanted: warmforge.WarmupSettings, limit: int) -> dict[str, str]:
    """Set what differs, and return how each mailbox that both tools list reads back: right, off, or differs."""
    sending, warming = sending_there(ctx), warming_there(ctx)
    mine = [mailbox.address for mailbox in ctx.mailboxes if mailbox.address in sending and mailbox.address in warming]
    for address in mine:
        if warming[address].settings.differing(wanted):
            ctx.ledger.apply(
                ctx.clients.warmforge.update_mailbox(str(ctx.facts["warmforge_workspace_id"]), address, wanted)
            )
        if sending[address].daily_limit != limit:
            workspace, key = str(ctx.facts["salesforge_workspace_id"]), sending[address].id
            ctx.ledger.apply(ctx.clients.salesforge.update_mailbox(workspace, key, limit))
    sending, warming = sending_there(ctx), warming_there(ctx)  # as it is now: a write makes the next read a new one
    stands = {}
    for address in mine:
        if address not in sending or address not in warming:
            continue
        differing = warming[address].settings.differing(wanted)
        if not differing and sending[address].daily_limit == limit:
            stands[address] = "right"
            ctx.ledger.prove("warmforge", "update_mailbox", {address: {"read_back": True}})
            ctx.ledger.prove("salesforge", "update_mailbox", {sending[address].id: {"read_back": True}})
        else:
            stands[address] = "off" if "enabled" in differing else "differs"
    return stands


def warmup_settings(ctx: Context) -> warmforge.WarmupSettings:
    """Return the order's warmup plan in Warmforge's terms and within its limits."""
    plan = ctx.order.get("warmup", {})
    most = min(MOST_WARMUP, max(1, int(plan.get("max_daily_limit", MOST_WARMUP))))
    return warmforge.WarmupSettings(
        min_daily=min(most, max(1, int(plan.get("initial_daily_limit", 2)))),
        max_daily=most,
        ramp_up=min(20, int(plan.get("pace_increment", 2))),
        reply_rate_percent=min(50, int(plan.get("reply_rate_percent", 30))),
    )


def daily_limit(ctx: Context) -> int:
    """Return how many mails a day a mailbox may send, within what Salesforge takes."""
    return min(100, max(LEAST_DAILY, int(ctx.order.get("warmup", {}).get("campaign_daily_limit", 30))))
