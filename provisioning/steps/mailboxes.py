"""Creating the mailboxes and waiting until they are active."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace

from integrations.http.call import Call
from integrations.zapmail import Accepted, NewMailbox

from ..engine.context import Context, MailboxItem
from ..engine.ledger import EXISTS, Book
from ..engine.outcomes import Done, Failed, NeedsOperator, Outcome, Wait
from ..engine.specs import MINUTE
from .common import chances, mailboxes_there, wait_for
from .money import note_landed, wait_for_slots

# Also what they say while bought slots have not landed: look whether they have, and send again.
NO_SLOTS = "not_enough_slots"
NOT_YET = frozenset({NO_SLOTS, "earlier_mailboxes_pending", "domain_not_ready"})
RETRIES = 2
RETRY_PAUSE = 10 * MINUTE


def mailboxes(ctx: Context) -> Mapping[str, Outcome]:
    """Create the mailboxes of the domains that are ready, all of one domain in one call."""
    workspace = ctx.facts["zapmail_workspace_id"]
    by_address = {mailbox.address: mailbox for mailbox in ctx.mailboxes}

    def build(addresses: tuple[str, ...]) -> Call[Accepted]:
        wanted: dict[str, tuple[str, list[NewMailbox]]] = defaultdict(lambda: ("", []))
        for address in addresses:
            mailbox = by_address[address]
            rows = wanted[mailbox.domain.name][1]
            rows.append(NewMailbox(mailbox.username, mailbox.first_name, mailbox.last_name))
            wanted[mailbox.domain.name] = (str(mailbox.domain.facts["zapmail_domain_id"]), rows)
        return ctx.clients.zapmail.create_mailboxes(workspace, wanted)

    # One mailbox that exists makes them refuse the whole request: before it is sent again, see what is there. It is
    # in the student's own workspace, so it is ours.
    sent_before = ctx.ledger.attempted("zapmail", "create_mailboxes", list(by_address))
    exist = set(mailboxes_there(ctx)) & set(sent_before) if sent_before else set()
    missing = [address for address in by_address if address not in exist]
    book: Book[Accepted] = Book()
    if missing:
        book = ctx.ledger.bring_about(missing, build, lambda: mailboxes_there(ctx), again=NOT_YET | {EXISTS})
    no_slots = wait_for_slots(ctx) if book.refusal is not None and book.refusal.code == NO_SLOTS else None

    def judge(mailbox: MailboxItem) -> Outcome:
        if mailbox.address in book.done or mailbox.address in exist:
            there = mailboxes_there(ctx).get(mailbox.address)
            return (
                Done({"zapmail_mailbox_id": there.id}) if there else Wait(ctx.poll, why="not in the list at the moment")
            )
        if mailbox.address in book.rejected:
            refusal = book.rejected[mailbox.address]
            return NeedsOperator(refusal.code, f"{mailbox.address} was refused: {refusal.sentence}")
        if book.refusal is not None:
            return no_slots or Wait(
                ctx.poll, why=book.refusal.sentence or "the platform is not ready for more mailboxes"
            )
        return wait_for(book, mailbox.address, ctx, "ordered; not in the mailbox list yet")

    return {mailbox.key: judge(mailbox) for mailbox in ctx.mailboxes}


def mailboxes_active(ctx: Context) -> Mapping[str, Outcome]:
    """Wait until each mailbox is active; have failed ones tried again, twice, then set them aside."""
    there = mailboxes_there(ctx)
    failed = [mailbox for mailbox in ctx.mailboxes if mailbox.address in there and there[mailbox.address].failed]
    retried = _retry(ctx, failed)
    if any(mailbox.address in there and there[mailbox.address].active for mailbox in ctx.mailboxes):
        note_landed(ctx)
        if not failed:
            ctx.ledger.seen("zapmail", "retry_failed_mailboxes")

    def judge(mailbox: MailboxItem) -> Outcome:
        found = there.get(mailbox.address)
        if found is None:
            return Wait(ctx.poll, why="not in the list at the moment")
        if found.active:
            return Done()
        if not found.failed:
            return Wait(ctx.poll, why=f"the mailbox is {found.status.lower().replace('_', ' ') or 'not ready'}")
        if mailbox.address in retried:
            return Wait(RETRY_PAUSE, why="the platform failed to make the mailbox and tries again", firm=True)
        return Failed("mailbox_failed", "The platform could not make this mailbox.")

    return {mailbox.key: judge(mailbox) for mailbox in ctx.mailboxes}


def _retry(ctx: Context, failed: list[MailboxItem]) -> set[str]:
    """Have the platform try the failed mailboxes again, per domain; return the addresses that still have a chance."""
    tried = ctx.ledger.counts("zapmail", "retry_failed_mailboxes", list({m.domain.name for m in failed}))
    hopeful = [mailbox for mailbox in failed if tried[mailbox.domain.name] < chances(mailbox, RETRIES)]
    ids = {mailbox.domain.name: str(mailbox.domain.facts["zapmail_domain_id"]) for mailbox in hopeful}
    if ids:
        call = ctx.clients.zapmail.retry_failed_mailboxes(ctx.facts["zapmail_workspace_id"], ids)
        # It touches only mailboxes that are FAILED now, so a second one does no harm.
        ctx.ledger.apply(replace(call, repeatable=True))
    return {mailbox.address for mailbox in hopeful}
