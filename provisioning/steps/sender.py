"""The sending tool: its login, the export of the mailboxes, the fallback for those that never arrive, and warmup."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from typing import TypeVar

from infra.secret import Secret
from integrations import plusvibe, zapmail
from integrations.http.call import Call
from integrations.http.errors import NotFound, Rejected
from integrations.http.redact import Hidden
from integrations.plusvibe import NewAccount, SendingAccount, WarmupSettings

from ..engine.context import Context, MailboxItem
from ..engine.ledger import Book, Vanished
from ..engine.measuring import Look, Measured
from ..engine.outcomes import Done, Failed, NeedsOperator, NewCredential, Outcome, Wait
from .common import MOST_PAGES, chances, external_name, for_all, mailboxes_there, wait_for

T = TypeVar("T")

LOGIN = "sending_tool"  # kind of the credential
RECREATE_PAUSE = 5.0
FALLBACK_ATTEMPTS = 2
LOGIN_REFUSED = frozenset({"wrong_login"})
NOT_READY = frozenset({"mailbox_not_ready"})


def sender_login(ctx: Context) -> Outcome:
    """Create the login that sees exactly the student's workspace. Its password is shown once: captured first."""
    workspace, email = str(ctx.facts["plusvibe_workspace_id"]), _login_address(ctx)
    key = plusvibe.client_key(workspace, email)
    client = ctx.clients.plusvibe

    def find() -> plusvibe.NewClient | plusvibe.Client | None:
        listed = ctx.read(client.list_clients(workspace))
        return next((one for one in listed if one.email == email.lower() and one.sees(workspace)), None)

    def build() -> Call[plusvibe.NewClient | plusvibe.Client]:
        first, last = str(ctx.order.get("first_name", "")), str(ctx.order.get("last_name", ""))
        return client.create_client(  # type: ignore[return-value]
            workspace, email, first or "Student", last or ctx.reference, external_name(ctx)
        )

    try:
        found = ctx.ledger.obtain(key, build, find)
    except Vanished:
        if not ctx.ledger.seen("plusvibe", "delete_client"):
            raise
        return _make_anew(ctx, key)  # we removed it, and did not live to note that
    if isinstance(found, Book):
        return wait_for(found, key, ctx, "whether the login was created is being checked")
    if isinstance(found, plusvibe.Client):
        # It exists and its password is lost. Nothing depends on it yet: remove it and make it anew.
        with suppress(NotFound):  # gone already
            ctx.ledger.apply(client.delete_client(workspace, found.id))
        return _make_anew(ctx, key)
    return Done(
        {"plusvibe_client_id": found.id, "plusvibe_client_email": found.email},
        NewCredential(LOGIN, found.email, Secret(found.password.open())),
    )


def _make_anew(ctx: Context, key: str) -> Wait:
    ctx.ledger.forget("plusvibe", "create_client", key, why="its password was lost before it was stored")
    return Wait(RECREATE_PAUSE, why="the login is made anew, because its password was lost")


def _login_address(ctx: Context) -> str:
    alias = ctx.options.sender_login_alias
    return alias.format(reference=ctx.reference.lower()) if alias else str(ctx.order["student_email"])


def register_sender(ctx: Context) -> Outcome:
    """Tell Zapmail the login of the sending tool. A refused login is no end: the fallback uploads the mailboxes."""
    workspace, email = str(ctx.facts["zapmail_workspace_id"]), str(ctx.facts["plusvibe_client_email"])
    key = zapmail.sender_key(workspace, email)
    client = ctx.clients.zapmail

    def look() -> Mapping[str, zapmail.Sender]:
        senders = ctx.read(client.list_senders(workspace))
        found = next((sender for sender in senders if sender.email.lower() == email.lower()), None)
        return {} if found is None else {key: found}

    book = ctx.ledger.bring_about(
        [key], lambda _keys: client.register_sender(workspace, email, ctx.credential(LOGIN).open()), look
    )
    if key in book.done:
        there = look()
        return Done({"sender_registered": True, "zapmail_sender_id": there[key].id if key in there else ""})
    if key in book.rejected:
        refusal = book.rejected[key]
        if refusal.code in LOGIN_REFUSED and ctx.options.fallback_upload:
            return Done({"sender_registered": False})
        return NeedsOperator(refusal.code, f"the login of the sending tool was refused: {refusal.sentence}")
    return wait_for(book, key, ctx, "the login is not confirmed yet")


def export(ctx: Context) -> Mapping[str, Outcome] | Outcome:
    """Export the mailboxes by id, only what is missing. Proven when the sending tool lists them."""
    if not ctx.facts.get("sender_registered"):
        return Done({"exported": False})
    ids = {mailbox.address: str(mailbox.facts["zapmail_mailbox_id"]) for mailbox in ctx.mailboxes}

    def build(some: tuple[str, ...]) -> Call[zapmail.ExportStarted]:
        workspace, sender = str(ctx.facts["zapmail_workspace_id"]), str(ctx.facts.get("zapmail_sender_id", ""))
        chosen = {address: ids[address] for address in some}
        return patient(ctx, ctx.clients.zapmail.export_mailboxes(workspace, chosen, sender or None))

    def look() -> Mapping[str, SendingAccount]:
        return accounts_there(ctx)

    book = ctx.ledger.settle(list(ids), build, look, again=NOT_READY)
    sendable = ctx.ledger.sendable("zapmail", "export_mailboxes", list(ids))
    # The platform allows few exports of a mailbox; an attempt whose outcome is unknown counts as used.
    used = ctx.ledger.counts("zapmail", "export_mailboxes", sendable)
    spent = {address for address in sendable if used[address] >= ctx.options.reexport_limit}
    if any(used[address] for address in sendable) and not _login_works(ctx):
        spent = set(sendable)
    wanted = [address for address in sendable if address not in spent]
    if wanted:
        book.join(ctx.ledger.bring_about(wanted, build, look, again=NOT_READY))

    def judge(mailbox: MailboxItem) -> Outcome:
        if mailbox.address in book.done:
            return Done({"exported": True})
        if mailbox.address in spent or mailbox.address in book.rejected:
            if ctx.options.fallback_upload:
                return Done({"exported": False})
            return NeedsOperator("export_refused", f"{mailbox.address} cannot be exported to the sending tool")
        return wait_for(book, mailbox.address, ctx, "exported; not in the sending tool yet")

    return {mailbox.key: judge(mailbox) for mailbox in ctx.mailboxes}


def _login_works(ctx: Context) -> bool:
    """Mend a login that has expired at Zapmail, which reports success all the same; return whether exports can work."""
    workspace, email = str(ctx.facts["zapmail_workspace_id"]), str(ctx.facts["plusvibe_client_email"])
    senders = ctx.read(ctx.clients.zapmail.list_senders(workspace))
    expired = next((sender for sender in senders if sender.email == email.lower() and sender.error), None)
    if expired is None:
        ctx.ledger.seen("zapmail", "update_sender")
        return True
    password = ctx.credential(LOGIN).open()
    try:
        ctx.ledger.apply(ctx.clients.zapmail.update_sender(workspace, email, password, account_id=expired.id))
    except Rejected as refusal:
        if refusal.code not in LOGIN_REFUSED:
            raise
        return False
    return True


def accounts_seen(ctx: Context) -> Mapping[str, Outcome]:
    """See every mailbox in the sending tool; upload by app password only those that are proven absent."""
    there = accounts_there(ctx)
    uploaded = [mailbox for mailbox in ctx.mailboxes if not mailbox.facts.get("exported")]
    absent = [mailbox for mailbox in uploaded if mailbox.address not in there]
    if len(absent) < len(uploaded):
        found = [mailbox.address for mailbox in uploaded if mailbox.address in there]
        ctx.ledger.prove("plusvibe", "add_accounts", {address: {"read_back": True} for address in found})
    book, refused = _upload(ctx, absent) if absent else (Book[plusvibe.Accepted](), set[str]())

    def judge(mailbox: MailboxItem) -> Outcome:
        if mailbox.address in there:
            return Done({"plusvibe_account_id": there[mailbox.address].id})
        if mailbox.address in book.rejected or mailbox.address in refused:
            return Failed("not_in_sending_tool", "The mailbox exists, but the sending tool does not take it.")
        return wait_for(book, mailbox.address, ctx, "not in the sending tool yet")

    return {mailbox.key: judge(mailbox) for mailbox in ctx.mailboxes}


def _upload(ctx: Context, absent: list[MailboxItem]) -> tuple[Book[plusvibe.Accepted], set[str]]:
    """Upload by app password; return where that stands, and the addresses that were uploaded often enough in vain."""
    by_address = {mailbox.address: mailbox for mailbox in absent}
    # Blank ones will do for reading an answer; for sending, the mailbox list has the real ones.
    passwords = dict.fromkeys(by_address, Hidden(""))

    def build(addresses: tuple[str, ...]) -> Call[plusvibe.Accepted]:
        accounts = [
            NewAccount(address, by_address[address].first_name, by_address[address].last_name, passwords[address])
            for address in addresses
        ]
        return patient(ctx, ctx.clients.plusvibe.add_accounts(_workspace(ctx), accounts, warmup_settings(ctx)))

    def look() -> Mapping[str, SendingAccount]:
        return accounts_there(ctx)

    book = ctx.ledger.settle(list(by_address), build, look)
    sendable = ctx.ledger.sendable("plusvibe", "add_accounts", list(by_address))
    used = ctx.ledger.counts("plusvibe", "add_accounts", sendable)
    refused = {address for address in sendable if used[address] >= chances(by_address[address], FALLBACK_ATTEMPTS)}
    wanted = [address for address in sendable if address not in refused]
    if wanted:
        boxes = mailboxes_there(ctx)
        passwords |= {a: password for a in wanted if a in boxes and (password := boxes[a].app_password) is not None}
        wanted = [address for address in wanted if passwords[address].open()]
    if wanted:
        book.join(ctx.ledger.bring_about(wanted, build, look))
    return book, refused


def warmup(ctx: Context) -> Mapping[str, Outcome]:
    """Set the warmup plan and switch warmup on; both are absolute values, proven by reading them back."""
    there, wanted = accounts_there(ctx), warmup_settings(ctx)
    ids = {mailbox.address: there[mailbox.address].id for mailbox in ctx.mailboxes if mailbox.address in there}
    wrong = {a: ids[a] for a in ids if not _set_right(there[a], wanted)}
    cold = {a: ids[a] for a in ids if not there[a].warming}
    client, workspace = ctx.clients.plusvibe, _workspace(ctx)
    for some in _chunks(wrong):
        ctx.ledger.apply(client.update_accounts(workspace, some, wanted))
    for some in _chunks(cold):
        ctx.ledger.apply(client.set_warmup(workspace, some, on=True))
    there = accounts_there(ctx)  # as it is now: a write makes the next read a new one
    warm = {address: {"read_back": True} for address in ids if address in there and _warms(there[address], wanted)}
    for verb in ("update_accounts", "set_warmup") if warm else ():
        ctx.ledger.prove("plusvibe", verb, warm)

    def judge(mailbox: MailboxItem) -> Outcome:
        if mailbox.address not in there:
            return Wait(ctx.poll, why="not in the sending tool at the moment")
        if mailbox.address not in warm:
            return Wait(ctx.poll, why="the warmup settings are being confirmed")
        return Done({"warmup": "on"})

    return {mailbox.key: judge(mailbox) for mailbox in ctx.mailboxes}


def rest(ctx: Context) -> Mapping[str, Outcome]:
    """Let campaigns and warmup rest: a limit of 0 stops campaigns. Nothing is removed; proven by reading it back."""
    if "plusvibe_workspace_id" not in ctx.facts:  # the set-up never came that far
        return for_all(ctx.mailboxes, Done({"warmup": "off"}))
    there, client, workspace = accounts_there(ctx), ctx.clients.plusvibe, _workspace(ctx)
    ids = {mailbox.address: there[mailbox.address].id for mailbox in ctx.mailboxes if mailbox.address in there}
    quiet = replace(warmup_settings(ctx), daily_limit=0)
    for some in _chunks({a: ids[a] for a in ids if there[a].settings.daily_limit != 0}):
        ctx.ledger.apply(client.update_accounts(workspace, some, quiet))
    for some in _chunks({a: ids[a] for a in ids if there[a].warming}):
        ctx.ledger.apply(client.set_warmup(workspace, some, on=False))
    there = accounts_there(ctx)  # as it is now: a write makes the next read a new one
    resting = {a: {"read_back": True} for a in ids if a in there and _rests(there[a])}
    for verb in ("update_accounts", "set_warmup") if resting else ():
        ctx.ledger.prove("plusvibe", verb, resting)

    def judge(mailbox: MailboxItem) -> Outcome:
        if mailbox.address in resting or mailbox.address not in ids:  # what is not in the tool sends nothing
            return Done({"warmup": "off"})
        return Wait(ctx.poll, why="the rest is being confirmed")

    return {mailbox.key: judge(mailbox) for mailbox in ctx.mailboxes}


def _rests(account: SendingAccount) -> bool:
    return not account.warming and account.settings.daily_limit == 0


def remove_login(ctx: Context) -> Outcome:
    """Remove the student's login of the sending tool; proven by its absence in the list."""
    workspace = ctx.facts.get("plusvibe_workspace_id")
    if not workspace:
        return Done()
    client = ctx.clients.plusvibe
    mine = [one for one in ctx.read(client.list_clients(str(workspace))) if one.sees(str(workspace))]
    for login in mine:
        with suppress(NotFound):  # gone already
            ctx.ledger.apply(client.delete_client(str(workspace), login.id))
    if mine:
        return Wait(ctx.poll, why="the login is being removed")
    ctx.ledger.seen("plusvibe", "delete_client")
    return Done()


def _set_right(account: SendingAccount, wanted: WarmupSettings) -> bool:
    return account.settings.known and not account.settings.differing(wanted)


def _warms(account: SendingAccount, wanted: WarmupSettings) -> bool:
    return account.warming and _set_right(account, wanted)


def warmup_settings(ctx: Context) -> WarmupSettings:
    """Return the order's warmup plan in the sending tool's terms."""
    plan = ctx.order.get("warmup", {})
    return WarmupSettings(
        daily_limit=plan.get("campaign_daily_limit", 30),
        interval_minutes=plan.get("gap_minutes", 5),
        initial_daily=plan.get("initial_daily_limit", 2),
        increment=plan.get("pace_increment", 2),
        max_daily=plan.get("max_daily_limit", 30),
        reply_rate_percent=plan.get("reply_rate_percent", 30),
        slow_rampup=plan.get("slow_rampup", True),
        randomize_percent=plan.get("randomize_num", 20),
    )


def accounts_there(ctx: Context) -> dict[str, SendingAccount]:
    """Return the accounts of the student's workspace in the sending tool, by address."""
    found: dict[str, SendingAccount] = {}
    for page in range(MOST_PAGES):
        answer = ctx.read(ctx.clients.plusvibe.list_accounts(_workspace(ctx), page * plusvibe.ACCOUNTS_PER_PAGE))
        found |= {account.email: account for account in answer.accounts}
        if answer.last:
            break
    return found


SUPPLIED = frozenset(
    {"health", "health_google", "health_microsoft", "health_other", "reply_rate", "warmup_sent", "campaign_sent"}
)


def figures(look: Look) -> dict[str, Measured]:
    """Read what the sending tool says of the student's mailboxes: one call for a hundred."""
    workspace, found = str(look.facts["plusvibe_workspace_id"]), dict[str, Measured]()
    for page in range(MOST_PAGES):
        answer = look.read(look.clients.plusvibe.list_accounts(workspace, page * plusvibe.ACCOUNTS_PER_PAGE))
        found |= {account.email: _measured(account) for account in answer.accounts}
        if answer.last:
            break
    return found


def _measured(account: SendingAccount) -> Measured:
    said = account.analytics or plusvibe.Analytics()
    return Measured(
        is_connected=account.connected,
        is_warming=account.warming,
        health=said.health,
        health_google=said.health_google,
        health_microsoft=said.health_microsoft,
        health_other=said.health_other,
        reply_rate=said.reply_rate_7d,
        bounce_rate=said.bounce_rate_3d,
        warmup_sent=said.warmup_sent_today,
        campaign_sent=said.sent_today,
    )


def patient(ctx: Context, call: Call[T]) -> Call[T]:
    """Return a call whose effect may take an operator-set time to show before it counts as absent."""
    return replace(call, order_drop=ctx.options.export_grace)


def _workspace(ctx: Context) -> str:
    return str(ctx.facts["plusvibe_workspace_id"])


def _chunks(ids: Mapping[str, str]) -> list[dict[str, str]]:
    rows = list(ids.items())
    size = plusvibe.MOST_IDS_PER_CALL
    return [dict(rows[start : start + size]) for start in range(0, len(rows), size)]
