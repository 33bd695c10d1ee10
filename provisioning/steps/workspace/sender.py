"""The mailboxes at Smartlead: connected by app password, their limits and tracking host, and warmup."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.utils.dateparse import parse_datetime

from infra.clock import seconds_between
from infra.models import MailboxSecret
from infra.secret import Secret
from integrations.http.call import Call
from integrations.http.errors import NotFound, Rejected
from integrations.http.redact import Hidden
from integrations.logins import Login
from integrations.smartlead import (
    AccountSettings,
    AppPassword,
    NewAccount,
    Saved,
    SendingAccount,
    WarmupSettings,
)

from ...engine.context import Context, MailboxItem
from ...engine.entries import entered_at
from ...engine.ledger import ELSEWHERE, Book
from ...engine.outcomes import Done, NeedsOperator, Outcome, Wait
from ...engine.specs import MINUTE
from .. import by_hand
from ..common import LEAST_WAIT, MOST_PAGES, one_by_one, wait_for
from .made_by_hand import APP_PASSWORD_OF

PLATFORM, STEP = "smartlead", "accounts"
SMTP, IMAP = ("smtp.gmail.com", 465), ("imap.gmail.com", 993)
NO_LOGIN = ("wrong_login", "imap_off")
NO_TRACKING = "bad_tracking_domain"
# A fresh app password may not work for a while: when to try again, in seconds since it was entered.
TRIES = (5 * MINUTE, 15 * MINUTE, 30 * MINUTE)
NARROW = {"per_day": (1, 50), "ramp_up": (5, 20), "reply_rate_percent": (20, 100)}  # what their documentation takes


def accounts(ctx: Context) -> Mapping[str, Outcome]:
    """Connect each mailbox with the app password that a person has made in it; ask for one where there is none."""
    mine = MailboxSecret.objects.filter(mailbox__in=[one.key for one in ctx.mailboxes])
    known = {str(one.mailbox_id): one.app_password for one in mine}
    missing = sum(one.key not in known for one in ctx.mailboxes)

    def connect(mailbox: MailboxItem) -> Outcome:
        if mailbox.key not in known:
            return by_hand.ask(ctx, APP_PASSWORD_OF, missing)
        if mailbox.facts.get("refused_password") == _entered(mailbox):
            return by_hand.ask(
                ctx, APP_PASSWORD_OF, 1, f"the app password of {mailbox.address} is not taken: a new one is needed"
            )
        return _connect(ctx, mailbox, known[mailbox.key])

    return one_by_one(ctx.mailboxes, connect)


def _entered(mailbox: MailboxItem) -> str:
    return str(mailbox.facts.get(entered_at(STEP), "by hand"))


def _connect(ctx: Context, mailbox: MailboxItem, app_password: Secret) -> Outcome:
    client, address = ctx.clients.smartlead, mailbox.address

    def build(known: int | None = None) -> Call[Saved]:
        secret = Hidden(app_password.open())
        smtp, imap = (Login(host, port, address, secret) for host, port in (SMTP, IMAP))
        name = f"{mailbox.first_name} {mailbox.last_name}".strip()
        new = NewAccount(address, name, AppPassword(smtp, imap), settings=wanted_limits(ctx, mailbox))
        return client.save_account(new, known)

    def find() -> Saved | None:
        there = account_of(ctx, address)
        return Saved(there.id, there.smtp_works, there.imap_works) if there else None

    if not ctx.ledger.counts(PLATFORM, "save_account", [address]) and find() is not None:
        why = f"{address} is at Smartlead already, and not by this order: remove it there, then retry"
        return NeedsOperator("EMAIL_ALREADY_CONNECTED", why)
    try:
        made = ctx.ledger.obtain(address, build, find, again=frozenset({*NO_LOGIN, NO_TRACKING}))
    except Rejected as refusal:
        if refusal.code in (ELSEWHERE, "elsewhere"):
            why = f"{address} is in the account of another user of Smartlead, who has to remove it there; then retry"
            return NeedsOperator("EMAIL_ALREADY_CONNECTED", why)
        return NeedsOperator(refusal.code, f"Smartlead refuses {address}: {refusal.sentence}")
    if isinstance(made, Book):
        if made.refusal is not None and made.refusal.code == NO_TRACKING and "tracking_refused" not in mailbox.facts:
            why = f"the tracking address of {mailbox.domain.name} is not taken; the tool's own is used instead"
            return Wait(LEAST_WAIT, why=why, cause=NO_TRACKING, facts={"tracking_refused": True})
        if made.refusal is not None:
            return _not_let_in(ctx, mailbox, made.refusal.sentence)
        return wait_for(made, address, ctx, "whether the mailbox was connected is being checked")
    there = find()
    if there is None:
        return Wait(ctx.poll, why="the mailbox is not in Smartlead's list yet")
    if there.failed:  # they keep a mailbox that one of the logins does not open
        try:
            ctx.ledger.apply(build(there.id))
        except Rejected as refusal:
            return _not_let_in(ctx, mailbox, refusal.sentence)
        there = find()
        if there is None or there.failed:
            return _not_let_in(ctx, mailbox, "one of its logins fails")
    return Done({"smartlead_account_id": there.id})


def _not_let_in(ctx: Context, mailbox: MailboxItem, said: str) -> Outcome:
    """Try again in growing steps; then ask for another password, because the same one will not do."""
    entered = parse_datetime(_entered(mailbox)) if "T" in _entered(mailbox) else None
    waited = seconds_between(entered, ctx.now) if entered is not None else ctx.waited
    later = next((moment for moment in TRIES if waited < moment), None)
    why = f"Smartlead cannot open {mailbox.address}: {said}"
    if later is not None:
        return Wait(max(LEAST_WAIT, later - waited), why=why)
    return by_hand.ask(ctx, APP_PASSWORD_OF, 1, why, {"refused_password": _entered(mailbox)})


def account_of(ctx: Context, address: str) -> SendingAccount | None:
    """Return the account of exactly this address, read from the list."""
    offset = 0
    for _ in range(MOST_PAGES):
        page = ctx.read(ctx.clients.smartlead.list_accounts(offset, address))
        if page.accounts:
            return page.accounts[0]
        if page.last:
            break
        offset = page.next_offset
    return None


def wanted_limits(ctx: Context, mailbox: MailboxItem) -> AccountSettings:
    """Return daily limit, gap between mails and tracking host. Their limit counts warmup mails too, so it holds both.

    The campaign's share is what its person may send, where they have a limit of their own, or else the order's.
    """
    plan: Mapping[str, Any] = ctx.order.get("warmup", {})
    settings = ctx.clients.smartlead.settings
    campaign = mailbox.daily_limit or int(plan.get("campaign_daily_limit", 30))
    return AccountSettings(
        per_day=campaign + wanted_warmup(plan).per_day,
        tracking_host="" if mailbox.facts.get("tracking_refused") else settings.tracking_host(mailbox.domain.name),
        gap_minutes=int(plan.get("gap_minutes", 5)),
    )


def limits(ctx: Context) -> Mapping[str, Outcome]:
    """See that each account has the limits that it was connected with; set them where it has not, and read them back."""

    def judge(mailbox: MailboxItem) -> Outcome:
        client, key, wanted = ctx.clients.smartlead, _id(mailbox), wanted_limits(ctx, mailbox)
        if ctx.read(client.get_account(key)).differing(wanted):
            ctx.ledger.apply(client.update_account(mailbox.address, key, wanted))
            if wrong := ctx.read(client.get_account(key)).differing(wanted):
                return Wait(LEAST_WAIT, why=f"not as we set it yet: {', '.join(wrong)}")
        ctx.ledger.prove(PLATFORM, "update_account", {mailbox.address: {"read_back": True}})
        return Done({"tracking_host": wanted.tracking_host})

    return one_by_one(ctx.mailboxes, judge)


def wanted_warmup(plan: Mapping[str, Any], *, enabled: bool = True) -> WarmupSettings:
    """Return the order's warmup in Smartlead's terms, within what it takes."""
    asked = {
        "per_day": int(plan.get("max_daily_limit", 30)),
        "ramp_up": int(plan.get("pace_increment", 2)),
        "reply_rate_percent": int(plan.get("reply_rate_percent", 30)),
    }
    fits = {name: min(most, max(least, asked[name])) for name, (least, most) in NARROW.items()}
    return WarmupSettings(enabled, fits["per_day"], fits["ramp_up"], fits["reply_rate_percent"])


def warmup(ctx: Context) -> Mapping[str, Outcome]:
    """Switch warmup on, with the order's values, and see it on."""
    return _set_warmup(ctx, on=True)


def rest(ctx: Context) -> Mapping[str, Outcome]:
    """Switch warmup off and see it off. What was never connected has none."""
    return _set_warmup(ctx, on=False)


def _set_warmup(ctx: Context, *, on: bool) -> Mapping[str, Outcome]:
    wanted = wanted_warmup(ctx.order.get("warmup", {}), enabled=on)

    def judge(mailbox: MailboxItem) -> Outcome:
        if not on and "smartlead_account_id" not in mailbox.facts:
            return Done({"warmup": "off"})
        client, key = ctx.clients.smartlead, _id(mailbox)
        try:
            if not _is_so(ctx.read(client.get_account(key)), wanted):
                ctx.ledger.apply(client.set_warmup(mailbox.address, key, wanted))
                if not _is_so(ctx.read(client.get_account(key)), wanted):
                    return Wait(LEAST_WAIT, why=f"warmup is not shown as {'on' if on else 'off'} yet")
        except NotFound:
            if not on:
                return Done({"warmup": "off"})
            raise
        ctx.ledger.prove(PLATFORM, "set_warmup", {mailbox.address: {"read_back": True}})
        return Done({"warmup": "on" if on else "off"})

    return one_by_one(ctx.mailboxes, judge)


def _is_so(account: SendingAccount, wanted: WarmupSettings) -> bool:
    """Tell whether an account's warmup is as wanted; without any it is off."""
    if account.warmup is None:
        return not wanted.enabled
    if not wanted.enabled:
        return not account.warming
    return account.warming and not account.warmup.differing(wanted)


def _id(mailbox: MailboxItem) -> int:
    return int(mailbox.facts["smartlead_account_id"])
