"""What happens to a subscription after it was bought: renewals, cards that fail, retries, disputes, refunds.

Rules over an `Account` (see stripe.py); each may be called by time, by the portal's page or by the control plane.
platforms/stripe.md sections 2, 4 and 7. Unknown there and assumed here: when Stripe tries again, and that a new card is
tried on an open invoice at once (docs/divergences.md).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from . import stripe_balance, stripe_changes
from .stripe_wire import invalid

if TYPE_CHECKING:
    from .stripe import Account

Object = dict[str, Any]

DRAFT_SECONDS = 3600
RETRY_DAYS = (3, 5, 7)  # between one attempt and the next
DAY = 86400
CARDS = {"good": "4242", "bad": "0341", "action": "3184"}  # the last digits of Stripe's own test cards
LIVE = ("active", "trialing", "past_due", "unpaid")


# --- renewals ---------------------------------------------------------------------------------------------------------


def renew(account: Account, subscription: Object, *, now: bool = False) -> Object:
    """Begin the next period: its invoice is a draft for an hour, then charged; with `now` it is charged at once."""
    from .stripe import _after  # the same calendar as the first period's

    if subscription["status"] not in LIVE or subscription["cancel_at_period_end"]:
        raise invalid("This subscription does not renew.")
    items = subscription["items"]["data"]
    for item in items:
        item["current_period_start"] = item["current_period_end"]
        item["current_period_end"] = _after(item["current_period_start"], item["price"]["recurring"])
    invoice = account.next_invoice(subscription)
    subscription["latest_invoice"] = invoice["id"]
    account.emit("invoice.created", invoice)
    account.emit("customer.subscription.updated", subscription, {"latest_invoice": None})
    schedule_renewal(account, subscription)
    if now:
        finalise(account, invoice)
    else:
        account.world.schedule(account.instant + DRAFT_SECONDS, "stripe", "finalise_invoice", id=invoice["id"])
    return invoice


def schedule_renewal(account: Account, subscription: Object) -> None:
    """Let the present period end when its time has come."""
    ends = subscription["items"]["data"][0]["current_period_end"]
    account.world.schedule(ends, "stripe", "renew_subscription", id=subscription["id"], ends=ends)


def finalise(account: Account, invoice: Object) -> None:
    """Close a draft and try to charge it."""
    if invoice["status"] != "draft":
        return
    invoice["status"] = "open"
    invoice["status_transitions"]["finalized_at"] = account.now
    account.emit("invoice.finalized", invoice)
    attempt(account, invoice)


def attempt(account: Account, invoice: Object) -> bool:
    """Try to charge an open invoice; when that fails, try again later. Returns whether it is paid now."""
    if invoice["status"] != "open":
        return False
    if charge(account, invoice):
        return True
    subscription = _subscription_of(account, invoice)
    if subscription["pending_update"]:
        return False  # what waits to be paid is dropped after a time, and is not collected
    _schedule_retry(account, invoice)
    if subscription["status"] == "active":
        account.change_subscription(subscription, status="past_due")
    return False


def charge(account: Account, invoice: Object) -> bool:
    """Charge an open invoice by the subscription's card, once; return whether that went through."""
    subscription = _subscription_of(account, invoice)
    card = account.state["payment_methods"].get(subscription["default_payment_method"], {"_behaves": "good"})
    if card["_behaves"] == "good":
        settle(account, invoice)
        return True
    intent = account.state["payment_intents"][account.payment_intent_of(invoice)]
    invoice.update(attempted=True, attempt_count=invoice["attempt_count"] + 1)
    if card["_behaves"] == "action":
        intent.update(status="requires_action", last_payment_error=None)
        account.emit("payment_intent.requires_action", intent)
        account.emit("invoice.payment_action_required", invoice)
    else:
        error = {"type": "card_error", "code": "card_declined", "decline_code": "generic_decline"}
        intent.update(status="requires_payment_method", last_payment_error=error)
        account.emit("payment_intent.payment_failed", intent)
    account.emit("invoice.payment_failed", invoice)
    return False


def _schedule_retry(account: Account, invoice: Object) -> None:
    made = invoice["attempt_count"]
    if made > len(RETRY_DAYS):
        invoice["next_payment_attempt"] = None
        account.world.schedule(account.instant, "stripe", "give_up_invoice", id=invoice["id"])
        return
    due = account.now + RETRY_DAYS[made - 1] * DAY
    invoice["next_payment_attempt"] = due
    account.world.schedule(due, "stripe", "retry_invoice", id=invoice["id"], attempt=made)


def settle(account: Account, invoice: Object) -> None:
    """The money of an open invoice arrives, and the subscription is in order again."""
    invoice["next_payment_attempt"] = None
    account.settle(invoice)
    subscription = _subscription_of(account, invoice)
    if subscription["status"] in ("past_due", "unpaid") and subscription["latest_invoice"] == invoice["id"]:
        account.change_subscription(subscription, status="active")
    stripe_changes.paid_later(account, invoice)


def give_up(account: Account, invoice: Object) -> None:
    """The last attempt has failed: what follows is a setting of the account."""
    subscription = _subscription_of(account, invoice)
    if invoice["status"] != "open" or subscription["status"] != "past_due":
        return
    then = account.world.switches.stripe_after_last_attempt
    if then == "canceled":
        subscription["cancellation_details"]["reason"] = "payment_failed"
        account.end_subscription(subscription)
    elif then == "unpaid":
        account.change_subscription(subscription, status="unpaid")


# --- what the student does in the portal --------------------------------------------------------------------------------


def new_card(account: Account, customer: str, behaves: str) -> Object:
    """Make a card of a customer; `behaves`: "good", "bad" (declined) or "action" (the bank wants to be asked)."""
    if behaves not in CARDS:
        raise invalid(f"A card is one of {', '.join(CARDS)}.")
    return account.new(
        "payment_methods",
        "pm",
        type="card",
        customer=customer,
        card={"brand": "visa", "last4": CARDS[behaves], "exp_month": 12, "exp_year": 2034},
        metadata={},
        _behaves=behaves,
    )


def change_card(account: Account, subscription: Object, behaves: str) -> None:
    """Put a new card in the place of the old one, and try it on what is open."""
    card = new_card(account, subscription["customer"], behaves)
    account.change_subscription(subscription, default_payment_method=card["id"])
    invoice = account.state["invoices"][subscription["latest_invoice"]]
    if subscription["status"] in LIVE:
        attempt(account, invoice)


def authenticate(account: Account, invoice: Object) -> None:
    """The student pays an open invoice by another card, or confirms it to the bank."""
    if invoice["status"] != "open":
        raise invalid("This invoice is not open.")
    settle(account, invoice)


def cancel_at_period_end(account: Account, subscription: Object, ending: bool) -> None:
    """Let a subscription run out, or take that back."""
    if subscription["status"] == "canceled":
        raise invalid("This subscription has ended.")
    account.set_cancel_at_period_end(subscription, ending)


# --- disputes and refunds ---------------------------------------------------------------------------------------------


def dispute(account: Account, charge: Object) -> Object:
    """The bank takes the money of a charge back, for now."""
    if charge["disputed"]:
        raise invalid(f"Charge {charge['id']} is disputed already.")
    charge["disputed"] = True
    found = account.new(
        "disputes",
        "dp",
        amount=charge["amount"],
        charge=charge["id"],
        currency=charge["currency"],
        payment_intent=charge["payment_intent"],
        reason="fraudulent",
        status="needs_response",
        is_charge_refundable=False,
        metadata={},
        balance_transactions=[],
        evidence={},
        evidence_details={"due_by": account.now + 14 * DAY, "has_evidence": False, "past_due": False},
    )
    stripe_balance.book_dispute(account, found)
    account.emit("charge.dispute.created", found)
    account.emit("charge.dispute.funds_withdrawn", found)
    return found


def close_dispute(account: Account, found: Object, *, won: bool) -> None:
    """The bank decides."""
    if found["status"] in ("won", "lost"):
        raise invalid("This dispute is closed.")
    previous = {"status": found["status"]}
    found["status"] = "won" if won else "lost"
    if won:
        stripe_balance.book_dispute(account, found, won=True)
    account.emit("charge.dispute.updated", found, previous)
    account.emit("charge.dispute.closed", found)
    if won:
        account.emit("charge.dispute.funds_reinstated", found)


# --- the control plane --------------------------------------------------------------------------------------------------


def act(account: Account, verb: str, given: Object) -> Object:
    """Do what a test, a demo or the smoke command asks for, to the order that `given["reference"]` names."""
    if verb not in ACTS:
        raise invalid(f"do is one of {', '.join(ACTS)}.")
    subscription = subscription_of_order(account, str(given.get("reference", "")))
    ACTS[verb](account, subscription, given)
    return {"id": subscription["id"], "status": subscription["status"]}


def subscription_of_order(account: Account, reference: str) -> Object:
    """Return the newest subscription that carries an order's reference."""
    rows = [row for row in account.state["subscriptions"].values() if row["metadata"].get("provision_ref") == reference]
    if not reference or not rows:
        raise invalid("reference names no subscription.")
    found: Object = rows[-1]
    return found


def charges_of(account: Account, subscription: Object) -> list[Object]:
    """Return the charges of a subscription's customer, oldest first."""
    return [row for row in account.state["charges"].values() if row["customer"] == subscription["customer"]]


def _newest_invoice(account: Account, subscription: Object) -> Object:
    found: Object = account.state["invoices"][subscription["latest_invoice"]]
    return found


def _subscription_of(account: Account, invoice: Object) -> Object:
    found: Object = account.state["subscriptions"][invoice["parent"]["subscription_details"]["subscription"]]
    return found


def _open_dispute(account: Account, subscription: Object) -> Object:
    charges = {row["id"] for row in charges_of(account, subscription)}
    rows = [row for row in account.state["disputes"].values() if row["charge"] in charges]
    if not rows:
        raise invalid("Nothing is disputed.")
    found: Object = rows[-1]
    return found


def _refund(account: Account, subscription: Object, given: Object) -> None:
    left = given.get("cents")
    for charge in charges_of(account, subscription):
        amount = charge["amount"] - charge["amount_refunded"]
        if left is not None:
            amount, left = min(amount, left), max(0, left - amount)
        if amount > 0:
            account.refund({"charge": charge["id"], "amount": amount})


def _fail_refund(account: Account, subscription: Object) -> None:
    """The newest refund does not reach the student."""
    charges = {row["id"] for row in charges_of(account, subscription)}
    rows = [row for row in account.state["refunds"].values() if row["charge"] in charges and row["status"] != "failed"]
    if not rows:
        raise invalid("Nothing was refunded.")
    stripe_balance.book_failure(account, rows[-1])


def _set_card(account: Account, subscription: Object, given: Object) -> None:
    """Change how the card behaves from now on, without an attempt: the student does not know yet."""
    card = new_card(account, subscription["customer"], str(given.get("card", "bad")))
    subscription["default_payment_method"] = card["id"]


ACTS: dict[str, Callable[[Account, Object, Object], object]] = {
    "renew": lambda account, subscription, given: renew(account, subscription, now=True),
    "set_card": _set_card,
    "change_card": lambda account, subscription, given: change_card(
        account, subscription, str(given.get("card", "good"))
    ),
    "authenticate": lambda account, subscription, given: authenticate(account, _newest_invoice(account, subscription)),
    "retry": lambda account, subscription, given: attempt(account, _newest_invoice(account, subscription)),
    "cancel_at_period_end": lambda account, subscription, given: cancel_at_period_end(account, subscription, True),
    "keep": lambda account, subscription, given: cancel_at_period_end(account, subscription, False),
    "cancel_now": lambda account, subscription, given: account.end_subscription(subscription),
    "dispute": lambda account, subscription, given: dispute(account, charges_of(account, subscription)[-1]),
    "dispute_won": lambda account, subscription, given: close_dispute(
        account, _open_dispute(account, subscription), won=True
    ),
    "dispute_lost": lambda account, subscription, given: close_dispute(
        account, _open_dispute(account, subscription), won=False
    ),
    "refund": _refund,
    "refund_fails": lambda account, subscription, given: _fail_refund(account, subscription),
}
