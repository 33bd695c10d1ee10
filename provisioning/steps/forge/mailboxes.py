"""Creating the mailboxes, waiting until they are active, and setting the passwords that we chose."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from integrations.http.call import Call
from integrations.infraforge import Accepted, Mailbox, NewMailbox

from ...engine.context import Context, MailboxItem
from ...engine.ledger import EXISTS, Book
from ...engine.outcomes import Done, Failed, NeedsOperator, Outcome, Wait
from .. import passwords
from ..buying import NO_MONEY
from ..common import LEAST_WAIT, one_by_one, wait_for
from .common import mailboxes_there
from .workspaces import lack_of_credits

NOT_YET = frozenset({"domain_not_ready"}) | NO_MONEY


def mailboxes(ctx: Context) -> Mapping[str, Outcome]:
    """Create the mailboxes of the domains that are ready. A repetition would be paid for: only what is proven absent."""
    by_address = {mailbox.address: mailbox for mailbox in ctx.mailboxes}

    def build(addresses: tuple[str, ...]) -> Call[Accepted]:
        wanted: dict[str, list[NewMailbox]] = defaultdict(list)
        for mailbox in (by_address[address] for address in addresses):
            wanted[mailbox.domain.name].append(NewMailbox(mailbox.username, mailbox.first_name, mailbox.last_name))
        return ctx.clients.infraforge.create_mailboxes(wanted, ctx.options.forge_mailbox_cost_cents)

    # One mailbox that exists may make them refuse the whole request: before it is sent again, see what is there. It is
    # in the student's own workspace, so it is ours.
    sent_before = ctx.ledger.attempted("infraforge", "create_mailboxes", list(by_address))
    exist = set(mailboxes_there(ctx)) & set(sent_before) if sent_before else set()
    missing = [address for address in by_address if address not in exist]
    book: Book[Accepted] = Book()
    if missing:
        book = ctx.ledger.bring_about(missing, build, lambda: mailboxes_there(ctx), again=NOT_YET | {EXISTS})

    def judge(mailbox: MailboxItem) -> Outcome:
        if mailbox.address in book.done or mailbox.address in exist:
            there = mailboxes_there(ctx).get(mailbox.address)
            if there is None:
                return Wait(ctx.poll, why="not in the list at the moment")
            return Done({"infraforge_mailbox_id": there.id})
        if mailbox.address in book.rejected:
            refusal = book.rejected[mailbox.address]
            return NeedsOperator(refusal.code, f"{mailbox.address} was refused: {refusal.sentence}")
        if book.refusal is not None:
            short = lack_of_credits(ctx, len(missing) * ctx.options.forge_mailbox_cost_cents)
            return short or Wait(ctx.poll, why=book.refusal.sentence or "the platform is not ready for more mailboxes")
        return wait_for(book, mailbox.address, ctx, "ordered; not in the mailbox list yet")

    return {mailbox.key: judge(mailbox) for mailbox in ctx.mailboxes}


def mailboxes_active(ctx: Context) -> Mapping[str, Outcome]:
    """Wait until each mailbox is active. Nothing there tries a failed one again: it is set aside."""
    there = mailboxes_there(ctx)

    def judge(mailbox: MailboxItem) -> Outcome:
        found = there.get(mailbox.address)
        if found is None:
            return Wait(ctx.poll, why="not in the list at the moment")
        if found.active:
            return Done()
        if found.failed:
            return Failed("mailbox_failed", "The platform could not make this mailbox.")
        return Wait(ctx.poll, why=f"the mailbox is {found.status or 'not ready'}")

    return {mailbox.key: judge(mailbox) for mailbox in ctx.mailboxes}


def set_passwords(ctx: Context) -> Mapping[str, Outcome]:
    """Set the passwords and read them back. Where the list shows none, the sending tool's login is what proves it."""
    there = mailboxes_there(ctx, with_credentials=True)

    def judge(mailbox: MailboxItem) -> Outcome:
        wanted = ctx.credential(passwords.mailbox_kind(mailbox)).open()
        shown = _shown(there.get(mailbox.address))
        if shown == wanted:
            ctx.ledger.prove("infraforge", "set_password", {mailbox.address: {"read_back": True}})
            return Done({"password_set": True})
        key = str(mailbox.facts["infraforge_mailbox_id"])
        ctx.ledger.apply(ctx.clients.infraforge.set_password(mailbox.address, key, wanted))
        return Wait(LEAST_WAIT, why="the password is being read back") if shown else Done({"password_set": True})

    return one_by_one(ctx.mailboxes, judge)


def _shown(mailbox: Mailbox | None) -> str:
    """Return the password that the list shows; empty where it shows none."""
    return mailbox.smtp.password.open() if mailbox is not None and mailbox.smtp is not None else ""
