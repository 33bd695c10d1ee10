"""What moves the account's balance: one balance transaction for each charge, refund and decision of a dispute.

Rules over an `Account` (see stripe.py). Fees are Stripe's public American ones. In life they depend on card, country and
contract, and what a refund or a won dispute does to them differs between accounts: those are switches.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .stripe import Account

Object = dict[str, Any]

PERCENT_OF_FEE = 2.9
FIXED_FEE = 30
DISPUTE_FEE = 1500
AVAILABLE_AFTER = 2 * 86400


def book_charge(account: Account, charge: Object) -> None:
    """Book what a charge brought. Stripe does so a while after the charge; until then nothing is said of its fee."""
    _later(account, "charges", charge)


def book_refund(account: Account, refund: Object) -> None:
    """Book what a refund took."""
    _later(account, "refunds", refund)


def book_failure(account: Account, refund: Object) -> None:
    """Give the money of a refund back that did not reach the student, and say so."""
    refund["status"] = "failed"
    booked = _book(account, refund, "refund_failure", refund["amount"], 0, "Failed refund")
    refund["failure_balance_transaction"] = booked["id"]
    account.state["charges"][refund["charge"]]["amount_refunded"] -= refund["amount"]
    account.emit("refund.failed", refund)


def book_dispute(account: Account, dispute: Object, *, won: bool = False) -> None:
    """Book the money that a dispute takes, with its fee; or what comes back once it is won."""
    back = account.world.switches.stripe_dispute_fee == "returned"
    amount, fee = (dispute["amount"], -DISPUTE_FEE if back else 0) if won else (-dispute["amount"], DISPUTE_FEE)
    words = "Chargeback reversal" if won else "Chargeback withdrawal"
    dispute["balance_transactions"].append(_book(account, dispute, "adjustment", amount, fee, words))


def adopt(account: Account) -> None:
    """Book what happened in an account of an earlier version, which knew no balance."""
    for collection in ("charges", "refunds"):
        for row in account.state[collection].values():
            row.setdefault("failure_balance_transaction", None)
            row["balance_transaction"] = None
            _book_now(account, collection, row)
    for dispute in account.state["disputes"].values():
        book_dispute(account, dispute)
        if dispute["status"] == "won":
            book_dispute(account, dispute, won=True)


def on_event(account: Account, collection: str, identifier: str) -> None:
    """Book what was put off."""
    row = account.state[collection].get(identifier)
    if row is not None and not row.get("balance_transaction"):
        _book_now(account, collection, row)


def _later(account: Account, collection: str, row: Object) -> None:
    delay = account.world.switches.stripe_balance_seconds
    if delay:
        at = account.instant + delay
        account.world.schedule(at, "stripe", "book", collection=collection, id=row["id"])
    else:
        _book_now(account, collection, row)


def _book_now(account: Account, collection: str, row: Object) -> None:
    if collection == "charges":
        fee = _fee(account, row["amount"])
        booked = _book(account, row, "charge", row["amount"], fee, "Subscription update")
    else:
        back = account.world.switches.stripe_refund_fee == "returned"
        fee = -round(_settled(account, row["amount"]) * PERCENT_OF_FEE / 100) if back else 0
        booked = _book(account, row, "refund", -row["amount"], fee, "REFUND FOR CHARGE")
    row["balance_transaction"] = booked["id"]


def _fee(account: Account, amount: int) -> int:
    return round(_settled(account, amount) * PERCENT_OF_FEE / 100) + FIXED_FEE


def _settled(account: Account, amount: int) -> int:
    """Return an amount in the currency that the account is paid out in."""
    switches = account.world.switches
    return round(amount * switches.stripe_exchange_rate) if switches.stripe_settles_in else amount


def _book(account: Account, source: Object, type_: str, amount: int, fee: int, words: str) -> Object:
    switches = account.world.switches
    currency = switches.stripe_settles_in or source["currency"]
    gross = _settled(account, amount)
    detail = {"amount": fee, "application": None, "currency": currency, "type": "stripe_fee"}
    return account.new(
        "balance_transactions",
        "txn",
        amount=gross,
        available_on=account.now + AVAILABLE_AFTER,
        balance_type="payments",
        currency=currency,
        description=words,
        exchange_rate=switches.stripe_exchange_rate if switches.stripe_settles_in else None,
        fee=fee,
        fee_details=[{**detail, "description": "Stripe processing fees"}] if fee else [],
        net=gross - fee,
        reporting_category={"adjustment": "dispute"}.get(type_, type_),
        source=source["id"],
        status="pending",
        type=type_,
    )
