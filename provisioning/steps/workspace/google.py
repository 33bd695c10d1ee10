"""Domains and users of a Google Workspace account. A user is never deleted: that would destroy a mailbox."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from infra.models.credential import ACCOUNT
from integrations.google_workspace import Domain, Licence, NewUser, User
from integrations.http.call import Call
from integrations.http.errors import NotFound, OutcomeUnknown, RateLimited, Rejected, Retryable
from integrations.http.redact import Hidden

from ...engine.context import Context, DomainItem, MailboxItem
from ...engine.ledger import ELSEWHERE, Book
from ...engine.outcomes import Done, Failed, NeedsOperator, Outcome, Wait
from ...engine.specs import MINUTE
from .. import passwords
from ..common import LEAST_WAIT, one_by_one, wait_for

PLATFORM = "google_workspace"
FULL, NO_SEATS, NOT_READY = "domain_limit", "no_seats", "not_ready"
LICENCE_AFTER = 10 * MINUTE  # accounts assign licences by themselves, most of them

T = TypeVar("T")


def found(ctx: Context, call: Call[T]) -> T | None:
    """Return what is read, or None where it is not there."""
    try:
        return ctx.read(call)
    except NotFound:
        return None


# ---- domains ---------------------------------------------------------------------------------------------------------


def domains(ctx: Context) -> Mapping[str, Outcome]:
    """Add each domain to the account, and note what it has to publish so that Google believes whose it is."""
    return one_by_one(ctx.domains, lambda domain: _add(ctx, domain))


def _add(ctx: Context, domain: DomainItem) -> Outcome:
    client, name = ctx.clients.google_workspace, domain.name

    def find() -> Domain | None:
        return found(ctx, client.get_domain(name))

    made: Domain | Book[Domain] | None = None
    if not ctx.ledger.counts(PLATFORM, "add_domain", [name]):
        made = find()  # from an order of earlier
    try:
        made = made or ctx.ledger.obtain(name, lambda: client.add_domain(name), find, again=frozenset({FULL}))
    except Rejected as refusal:
        if refusal.code == ELSEWHERE:
            why = f"{name} is in another Google account: its owner has to remove it there first; then retry"
            return NeedsOperator("google_domain_elsewhere", why)
        return NeedsOperator(refusal.code, f"Google refuses {name}: {refusal.sentence}")
    if isinstance(made, Book):
        if made.refusal is not None:
            return NeedsOperator(FULL, f"the Google account takes no more domains: {made.refusal.sentence}")
        return wait_for(made, name, ctx, "whether Google has the domain is being checked")
    return Done({"google_txt": ctx.read(client.verification_token(name)).txt})


def verified(ctx: Context) -> Mapping[str, Outcome]:
    """Let Google look for its record, until it says that the domain is verified."""
    return one_by_one(ctx.domains, lambda domain: _verify(ctx, domain))


def _verify(ctx: Context, domain: DomainItem) -> Outcome:
    client = ctx.clients.google_workspace
    if not _is_verified(ctx, domain):
        try:
            ctx.ledger.apply(client.verify_domain(domain.name))
        except RateLimited:
            raise
        except (Rejected, NotFound, Retryable, OutcomeUnknown) as error:
            return Wait(ctx.poll, why=f"Google does not see its record yet: {error.sentence}")
        if not _is_verified(ctx, domain):
            return Wait(ctx.poll, why="Google has not verified the domain yet")
    ctx.ledger.prove(PLATFORM, "verify_domain", {domain.name: {"read_back": True}})
    return Done()


def _is_verified(ctx: Context, domain: DomainItem) -> bool:
    there = found(ctx, ctx.clients.google_workspace.get_domain(domain.name))
    return there is not None and there.verified


# ---- users -----------------------------------------------------------------------------------------------------------


def account_kind(mailbox: MailboxItem) -> str:
    """Return the kind of the credential that keeps the password of the Google account behind a mailbox."""
    return f"{ACCOUNT}{mailbox.key.replace('-', '')}"


def choose_passwords(ctx: Context) -> Mapping[str, Outcome]:
    """Choose the passwords of the accounts, before anybody is told."""
    return passwords.choose(ctx, account_kind)


def users(ctx: Context) -> Mapping[str, Outcome]:
    """Create a user for each mailbox, with our mark. What is there with another's mark is never touched."""
    return one_by_one(ctx.mailboxes, lambda mailbox: _create(ctx, mailbox))


def _create(ctx: Context, mailbox: MailboxItem) -> Outcome:
    client, address = ctx.clients.google_workspace, mailbox.address

    def find() -> User | None:
        user = found(ctx, client.get_user(address))
        return user if user is not None and user.is_ours(ctx.reference) else None

    def build() -> Call[User]:
        secret = Hidden(ctx.credential(account_kind(mailbox)).open())
        return client.create_user(NewUser(address, mailbox.first_name, mailbox.last_name, secret, ctx.reference))

    if not ctx.ledger.counts(PLATFORM, "create_user", [address]):
        there = found(ctx, client.get_user(address))
        if there is not None and not there.is_ours(ctx.reference):
            return _taken(address)
    try:
        made = ctx.ledger.obtain(address, build, find, again=frozenset({NO_SEATS}))
    except Rejected as refusal:
        if refusal.code == ELSEWHERE:
            return _taken(address)
        return NeedsOperator(refusal.code, f"Google refuses {address}: {refusal.sentence}")
    if isinstance(made, Book):
        if made.refusal is not None:
            return _no_seats(len(ctx.mailboxes), made.refusal.sentence)
        return wait_for(made, address, ctx, "whether the account was made is being checked")
    return Done({"google_user_id": made.id})


def _taken(address: str) -> Outcome:
    why = f"{address} is an account already, and not of this order: skip it, or have it removed and retry"
    return NeedsOperator("EMAIL_ALREADY_EXISTS", why)


def _no_seats(count: int, sentence: str) -> Outcome:
    why = f"the Google account has too few seats, {count} more are needed: {sentence}"
    return NeedsOperator("WORKSPACE_QUOTA_EXCEEDED", f"{why}. Add them in the admin console; this goes on by itself")


def mailboxes_ready(ctx: Context) -> Mapping[str, Outcome]:
    """Wait until each account has its mailbox; give it a licence where the account does not do so by itself."""
    return one_by_one(ctx.mailboxes, lambda mailbox: _ready(ctx, mailbox))


def _ready(ctx: Context, mailbox: MailboxItem) -> Outcome:
    client, address = ctx.clients.google_workspace, mailbox.address
    user = found(ctx, client.get_user(address))
    if user is not None and user.suspended:
        return Failed("suspended", "Google has suspended this account.")
    if user is not None and user.mailbox_ready:
        return _licence_settled(ctx, address)
    wait = Wait(ctx.poll, why="Google is setting the mailbox up")
    if ctx.waited < LICENCE_AFTER or user is None:
        return wait
    if _licence(ctx, address) is not None:
        return wait
    try:
        made = ctx.ledger.obtain(
            address,
            lambda: client.assign_licence(address),
            lambda: _licence(ctx, address),
            again=frozenset({NO_SEATS, NOT_READY}),
        )
    except Rejected as refusal:
        return NeedsOperator(refusal.code, f"Google gives {address} no licence: {refusal.sentence}")
    if isinstance(made, Book) and made.refusal is not None and made.refusal.code == NO_SEATS:
        return _no_seats(len(ctx.mailboxes), made.refusal.sentence)
    return wait


def _licence_settled(ctx: Context, address: str) -> Outcome:
    """Find out what became of our request for a licence, also where the mailbox is there without waiting for it."""
    if not ctx.ledger.counts(PLATFORM, "assign_licence", [address]):
        return Done()

    def look() -> Mapping[str, Licence]:
        there = _licence(ctx, address)
        return {} if there is None else {address: there}

    book = ctx.ledger.settle([address], lambda _keys: ctx.clients.google_workspace.assign_licence(address), look)
    is_open = address in book.waiting and not ctx.ledger.sendable(PLATFORM, "assign_licence", [address])
    return wait_for(book, address, ctx, "whether the licence was assigned is being checked") if is_open else Done()


def _licence(ctx: Context, address: str) -> Licence | None:
    return found(ctx, ctx.clients.google_workspace.get_licence(address))


def imap(ctx: Context) -> Mapping[str, Outcome]:
    """Switch IMAP on, which a sending tool reads the answers by, and see it on."""
    return one_by_one(ctx.mailboxes, lambda mailbox: _imap(ctx, mailbox))


def _imap(ctx: Context, mailbox: MailboxItem) -> Outcome:
    client, address = ctx.clients.google_workspace, mailbox.address
    try:
        if not ctx.read(client.imap_enabled(address)):
            ctx.ledger.apply(client.enable_imap(address))
            if not ctx.read(client.imap_enabled(address)):
                return Wait(LEAST_WAIT, why="IMAP is not shown as on yet")
    except Rejected as refusal:
        if refusal.code != NOT_READY:
            raise
        return Wait(ctx.poll, why="the mailbox takes no settings yet")
    ctx.ledger.prove(PLATFORM, "enable_imap", {address: {"read_back": True}})
    return Done()


def suspend(ctx: Context) -> Mapping[str, Outcome]:
    """Suspend the accounts that we made, which keeps what is in their mailboxes, and see them suspended."""
    return one_by_one(ctx.mailboxes, lambda mailbox: _suspend(ctx, mailbox))


def _suspend(ctx: Context, mailbox: MailboxItem) -> Outcome:
    client, address = ctx.clients.google_workspace, mailbox.address
    if "google_user_id" not in mailbox.facts:  # the set-up never came that far
        return Done()
    user = found(ctx, client.get_user(address))
    if user is None or not user.is_ours(ctx.reference):
        return Done()  # gone, or somebody else's by now
    if not user.suspended:
        try:
            ctx.ledger.apply(client.suspend_user(address))
        except Rejected as refusal:
            if refusal.code != NOT_READY:
                raise
            return Wait(ctx.poll, why="a new account takes no changes yet")
        user = found(ctx, client.get_user(address))
        if user is None or not user.suspended:
            return Wait(LEAST_WAIT, why="the list does not show it yet")
    ctx.ledger.prove(PLATFORM, "suspend_user", {address: {"read_back": True}})
    return Done({"suspended": True})
