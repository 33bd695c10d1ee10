"""Changing what a subscription is for: the preview, the invoice of the difference, and changes that wait to be paid.

Amounts are reckoned by the second of the period. A change with `pending_if_incomplete` whose payment is declined leaves the
subscription as it was, with `pending_update` and an open invoice, until it is paid or 23 hours have passed.
"""

from __future__ import annotations

import copy
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from . import stripe_life
from .stripe_wire import invalid, require

if TYPE_CHECKING:
    from .stripe import Account

Object = dict[str, Any]
PENDING_SECONDS = 23 * 3600
# What may be given along with `payment_behavior=pending_if_incomplete`.
WITH_PENDING = frozenset(
    ["items", "proration_behavior", "proration_date", "payment_behavior", "add_invoice_items", "metadata", "expand"]
)


def preview(account: Account, given: Object) -> Object:
    """Return the invoice that a change would make, without making it."""
    require(given, "subscription")
    subscription = account._get("subscriptions", given["subscription"], param="subscription", status=400)
    details = given.get("subscription_details", {})
    at = details.get("proration_date", account.now)
    lines = _lines(account, subscription, details.get("items", []), at, given.get("invoice_items", []))
    total = sum(line["amount"] for line in lines)
    return {
        "id": f"upcoming_{subscription['id']}",
        "object": "invoice",
        "amount_due": max(0, total),
        "amount_paid": 0,
        "amount_remaining": max(0, total),
        "billing_reason": "upcoming",
        "currency": subscription["currency"],
        "customer": subscription["customer"],
        "status": "draft",
        "subtotal": total,
        "total": total,
        "livemode": account.livemode,
        "lines": {"object": "list", "data": lines, "has_more": False, "url": "/v1/invoices/upcoming/lines"},
    }


def change(account: Account, subscription: Object, given: Object) -> None:
    """Change the items of a subscription, for the invoice that this makes."""
    if given.get("payment_behavior") == "pending_if_incomplete" and (extra := set(given) - WITH_PENDING):
        name = sorted(extra)[0]
        raise invalid(f"You cannot pass `{name}` with payment_behavior `pending_if_incomplete`.", param=name)
    if subscription["pending_update"] is not None:
        raise invalid("This subscription has a pending update.", code="subscription_pending_update")
    price, quantity = _new_price(account, subscription, given["items"])
    if given.get("proration_behavior") == "none":
        _apply(account, subscription, price["id"], quantity)
        return
    at = given.get("proration_date", account.now)
    lines = _lines(account, subscription, given["items"], at, given.get("add_invoice_items", []))
    invoice = _invoice(account, subscription, lines)
    previous = {"latest_invoice": subscription["latest_invoice"]}
    subscription["latest_invoice"] = invoice["id"]
    if invoice["amount_due"] == 0 or stripe_life.charge(account, invoice):
        if invoice["amount_due"] == 0:
            _settle_nothing(account, invoice)
        _apply(account, subscription, price["id"], quantity, previous)
        return
    if given.get("payment_behavior", "allow_incomplete") != "pending_if_incomplete":
        _apply(
            account, subscription, price["id"], quantity, previous
        )  # Stripe's default: changed, whether or not it is paid
        return
    subscription["pending_update"] = {
        "expires_at": account.now + PENDING_SECONDS,
        "subscription_items": copy.deepcopy(given["items"]),
        "_price": price["id"],
        "_quantity": quantity,
    }
    previous["pending_update"] = None
    account.emit("customer.subscription.updated", subscription, previous)
    account.world.schedule(
        account.now + PENDING_SECONDS, "stripe", "expire_update", id=subscription["id"], invoice=invoice["id"]
    )


def paid_later(account: Account, invoice: Object) -> None:
    """The open invoice of a change was paid after all: what waited is applied."""
    details = (invoice["parent"] or {}).get("subscription_details") or {}
    subscription = account.state["subscriptions"].get(details.get("subscription"))
    if subscription is None or subscription["latest_invoice"] != invoice["id"] or not subscription["pending_update"]:
        return
    price, quantity = (subscription["pending_update"][name] for name in ("_price", "_quantity"))
    subscription["pending_update"] = None
    _apply(account, subscription, price, quantity)
    account.emit("customer.subscription.pending_update_applied", subscription)


def expire(account: Account, subscription_id: str, invoice_id: str) -> None:
    """Nobody paid in time: what waited is dropped, and its invoice is void."""
    subscription = account.state["subscriptions"].get(subscription_id)
    if subscription is None or subscription["latest_invoice"] != invoice_id or not subscription["pending_update"]:
        return
    previous = {"pending_update": subscription["pending_update"]}
    subscription["pending_update"] = None
    invoice = account.state["invoices"][invoice_id]
    invoice["status"] = "void"
    invoice["status_transitions"]["voided_at"] = account.now
    account.emit("invoice.voided", invoice)
    account.emit("customer.subscription.updated", subscription, previous)
    account.emit("customer.subscription.pending_update_expired", subscription)


def _new_price(account: Account, subscription: Object, items: list[Object]) -> tuple[Object, int]:
    """Return the price of the one item and how often it is due: as often as before where that is not said."""
    if len(items) != 1 or items[0].get("id") != subscription["items"]["data"][0]["id"]:
        raise invalid("This sandbox simulates a change of the one item.", code="sandbox_not_simulated", param="items")
    require(items[0], "price")
    price: Object = account._get("prices", items[0]["price"], param="items[0][price]", status=400)
    if not price["active"]:
        raise invalid(
            "The price specified is inactive. This field only accepts active prices.", param="items[0][price]"
        )
    if price["recurring"] is None:
        raise invalid("The price specified is not recurring.", param="items[0][price]")
    quantity = items[0].get("quantity", subscription["items"]["data"][0]["quantity"])
    if quantity < 1:
        raise invalid("This sandbox simulates no quantity of 0.", code="sandbox_not_simulated", param="items")
    return price, quantity


def _lines(account: Account, subscription: Object, items: list[Object], at: int, once: list[Object]) -> list[Object]:
    item = subscription["items"]["data"][0]
    start, end = item["current_period_start"], item["current_period_end"]
    if not start <= at <= end:
        raise invalid("The proration date must lie within the current period.", param="proration_date")
    share, day = (end - at) / (end - start), datetime.fromtimestamp(at, UTC)
    lines = []
    if items:
        new, times = _new_price(account, subscription, items)
        sides = ((item["price"], -item["quantity"], "Unused time on"), (new, times, "Remaining time on"))
        for price, signed, words in sides:
            name = account.state["products"][price["product"]]["name"]
            name = name if abs(signed) == 1 else f"{abs(signed)} × {name}"
            amount = round(price["unit_amount"] * signed * share)
            lines.append(_line(account, subscription, f"{words} {name} after {day:%d %b %Y}", amount, price, (at, end)))
    for number, one in enumerate(once):
        lines.append(_one_time(account, subscription, one, number, at))
    return lines


def _one_time(account: Account, subscription: Object, given: Object, number: int, at: int) -> Object:
    where, quantity = f"add_invoice_items[{number}]", given.get("quantity", 1)
    if "price" in given:
        price = account._get("prices", given["price"], param=f"{where}[price]", status=400)
        if price["recurring"] is not None:
            raise invalid("The price specified is recurring.", param=f"{where}[price]")
    else:
        data = given.get("price_data") or {}
        require(data, "currency", "product", "unit_amount")
        account._get("products", data["product"], param=f"{where}[price_data][product]", status=400)
        price = {"id": account._id("price"), "product": data["product"], "unit_amount": data["unit_amount"]}
    name = account.state["products"][price["product"]]["name"]
    return _line(account, subscription, f"{name}, once", price["unit_amount"] * quantity, price, (at, at))


def _line(
    account: Account, subscription: Object, words: str, amount: int, price: Object, period: tuple[int, int]
) -> Object:
    return {
        "id": account._id("il"),
        "object": "line_item",
        "amount": amount,
        "currency": subscription["currency"],
        "description": words,
        "livemode": account.livemode,
        "metadata": {},
        "parent": {
            "type": "invoice_item_details",
            "invoice_item_details": {
                "invoice_item": account._id("ii"),
                "proration": period[0] != period[1],
                "subscription": subscription["id"],
            },
            "subscription_item_details": None,
        },
        "period": {"start": period[0], "end": period[1]},
        "pricing": {
            "type": "price_details",
            "price_details": {"price": price["id"], "product": price["product"]},
            "unit_amount_decimal": str(abs(amount)),
        },
        "quantity": 1,
        "subtotal": amount,
    }


def _invoice(account: Account, subscription: Object, lines: list[Object]) -> Object:
    total = max(0, sum(line["amount"] for line in lines))
    invoice = account._invoice(subscription, "subscription_update", total, status="open")
    account._put_lines(invoice, lines)
    account.emit("invoice.created", invoice)
    account.emit("invoice.finalized", invoice)
    return invoice


def _settle_nothing(account: Account, invoice: Object) -> None:
    """Nothing is due: the invoice counts as paid, without a charge."""
    invoice.update(status="paid", amount_paid=0, amount_remaining=0)
    invoice["status_transitions"]["paid_at"] = account.now
    account.emit("invoice.paid", invoice)


def _apply(
    account: Account, subscription: Object, price_id: str, quantity: int, previous: Object | None = None
) -> None:
    item = subscription["items"]["data"][0]
    before = copy.deepcopy(subscription["items"])
    item["price"], item["quantity"] = copy.deepcopy(account.state["prices"][price_id]), quantity
    account.emit("customer.subscription.updated", subscription, {**(previous or {}), "items": before})
