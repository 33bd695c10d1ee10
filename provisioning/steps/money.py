"""The operator's wallet, and the mailbox slots that are paid from it."""

from __future__ import annotations

from dataclasses import replace

from infra.models import OperationState
from integrations import zapmail

from ..engine.context import Context
from ..engine.outcomes import Done, Outcome, Wait, WaitsOn
from ..engine.specs import MINUTE
from .common import mailbox_pages

LOOK_FOR_MONEY = 5 * MINUTE
SLOTS_TAKE = 2 * MINUTE  # to land, as a rule


def wallet(ctx: Context) -> Outcome:
    """Make sure that the wallet covers what is still to be bought. A short wallet answers a purchase with success."""
    return lack_of_funds(ctx, expected_cost(ctx)) or Done()


def expected_cost(ctx: Context) -> int:
    """Return what the order is expected to cost at Zapmail, in cents, for what it does not own yet."""
    prices = ctx.order.get("domain_prices", {})
    domains = sum(
        prices.get(domain.name, ctx.options.domain_cost_cents) for domain in ctx.domains if "bought" not in domain.facts
    )
    unmade = sum(1 for mailbox in ctx.mailboxes if "zapmail_mailbox_id" not in mailbox.facts)
    return int(domains) + unmade * ctx.options.slot_cost_cents


def lack_of_funds(ctx: Context, cost_cents: int) -> Wait | None:
    """Return a wait for money when the wallet holds less than `cost_cents`, else None."""
    balance = ctx.read(ctx.clients.zapmail.wallet_balance(ctx.facts["zapmail_workspace_id"])).balance_cents
    if balance >= cost_cents:
        return None
    why = f"the Zapmail wallet holds {balance / 100:.2f} USD, {cost_cents / 100:.2f} USD are needed"
    return Wait(LOOK_FOR_MONEY, on=WaitsOn.FUNDS, why=why)


def slots(ctx: Context) -> Outcome:
    """Buy the mailbox slots that the order lacks. Once the platform has agreed and had time, the set-up goes on: whether they
    have landed shows when they are needed, see `wait_for_slots` and `note_landed`."""
    if _is_agreed(ctx):
        return Done()
    wait = wait_for_slots(ctx)
    if wait is not None and _is_agreed(ctx):
        return Wait(SLOTS_TAKE, why="the mailbox slots are landing")
    return wait or Done()


def _is_agreed(ctx: Context) -> bool:
    return ctx.ledger.state_of(*_purchase(ctx)) in (OperationState.CAPTURED, OperationState.DONE)


def wait_for_slots(ctx: Context) -> Wait | None:
    """Bring the workspace's counter of mailbox slots to what the mailboxes need; return the wait until that is so, if any."""
    workspace, (*_, key) = ctx.facts["zapmail_workspace_id"], _purchase(ctx)
    pages = mailbox_pages(ctx)
    made = {mailbox.address for page in pages for mailbox in page.mailboxes}
    counters = pages[0]
    purchased = counters.purchased or 0
    free = counters.available if counters.available is not None else purchased - (counters.assigned or 0)
    missing = sum(1 for mailbox in ctx.mailboxes if mailbox.address not in made) - free
    if missing <= 0:
        note_landed(ctx)
        return None
    have_landed = ctx.ledger.state_of(*_purchase(ctx)) == OperationState.DONE
    if have_landed and purchased < ctx.ledger.target(*_purchase(ctx)):
        return Wait(ctx.poll, why="the mailbox list is older than the slots that were seen in it")
    book = ctx.ledger.bring_about(
        [key],
        lambda _keys: replace(
            ctx.clients.zapmail.buy_mailbox_slots(
                workspace,
                missing,
                purchased,
                purchased + missing,
                missing * ctx.options.slot_cost_cents,
                _batch(ctx),
            ),
            order_drop=ctx.options.slots_grace,
        ),
        dict,
        again=frozenset({"insufficient_wallet"}),
    )
    if book.refusal is not None:
        return lack_of_funds(ctx, missing * ctx.options.slot_cost_cents) or Wait(ctx.poll, why=book.refusal.sentence)
    if key in book.rejected:
        raise book.rejected[key]
    return Wait(ctx.poll, why=f"{missing} mailbox slots have not landed yet")


def note_landed(ctx: Context) -> None:
    """Settle the purchase of slots once the mailbox list counts them; a list without counters proves it by its mailboxes."""
    purchased, (platform, verb, key) = mailbox_pages(ctx)[0].purchased, _purchase(ctx)
    if purchased is None or purchased >= ctx.ledger.target(platform, verb, key):
        ctx.ledger.prove(platform, verb, {key: {"purchased": purchased}})


def _purchase(ctx: Context) -> tuple[str, str, str]:
    return "zapmail", "buy_mailbox_slots", zapmail.slots_key(ctx.facts["zapmail_workspace_id"], _batch(ctx))


def _batch(ctx: Context) -> str:
    return str(ctx.order.get("extension", ""))  # an upgrade buys slots for a workspace that has some
