"""Stripe, simulated: products, prices, customers, Checkout in subscription mode, refunds, events, webhooks.

What is real and what is not: platforms/stripe.md section 6 and docs/divergences.md. What happens to a subscription after
it was bought is in stripe_life.py; prorations are not simulated. Times are real time plus advances, because signatures
go by it.
"""

from __future__ import annotations

import copy
import json
import re
from calendar import monthrange
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from . import stripe_balance, stripe_changes, stripe_life, stripe_pages, stripe_webhooks
from .http import Request, Response, Wire
from .platforms import Platform
from .seeds import hexadecimal
from .stripe_wire import (
    PARAMETERS,
    IdempotencyTable,
    Refusal,
    absolute_url,
    decode,
    fingerprint,
    invalid,
    missing,
    one_of,
    read,
    require,
)

if TYPE_CHECKING:
    from .world import World

PREFIX = "/stripe"
API_KEY = "sk_test_sandbox"
API_VERSION = "2026-10-28.endive"

EXPIRES_MIN = 30 * 60
EXPIRES_MAX = 24 * 3600
EVENTS_KEPT = 30 * 24 * 3600
MAX_LINES_OF_A_KIND = 20

Object = dict[str, Any]
Parameters = dict[str, Any]

# Id prefix -> collection, to find what an id in a reply names when it is to be expanded.
_PREFIXES = {
    "prod": "products",
    "price": "prices",
    "cus": "customers",
    "cs": "sessions",
    "sub": "subscriptions",
    "in": "invoices",
    "pi": "payment_intents",
    "ch": "charges",
    "re": "refunds",
    "dp": "disputes",
    "txn": "balance_transactions",
    "pm": "payment_methods",
    "bps": "portal_sessions",
    "evt": "events",
}
_KINDS = {
    "products": "product",
    "prices": "price",
    "customers": "customer",
    "sessions": "checkout.session",
    "subscriptions": "subscription",
    "invoices": "invoice",
    "payment_intents": "payment_intent",
    "charges": "charge",
    "refunds": "refund",
    "disputes": "dispute",
    "balance_transactions": "balance_transaction",
    "payment_methods": "payment_method",
    "portal_sessions": "billing_portal.session",
    "events": "event",
}


Operation = Callable[["Account", Parameters, str], Object]

_INVOICE_EVENTS: dict[str, Callable[[Account, Object], object]] = {
    "finalise_invoice": stripe_life.finalise,
    "retry_invoice": stripe_life.attempt,
    "give_up_invoice": stripe_life.give_up,
}


@dataclass(frozen=True)
class _Route:
    method: str
    pattern: re.Pattern[str]
    operation: str
    run: Operation


def empty_state() -> dict[str, Any]:
    """Return the plain data of an account that nobody has used."""
    collections: dict[str, Any] = {name: {} for name in _KINDS}
    return {**collections, "idempotency": {}, "counter": 0}


class Account:
    """One Stripe account at one moment: what it holds (`world.stripe`, plain data) and how it behaves.

    Faults of its own, beside those of stripe_webhooks; their verb is the operation:

    kept_500_before    a 500 that is kept under the idempotency key, and nothing happened; `value` is the
                       `Stripe-Should-Retry` header
    kept_500_after     the same, and it did happen
    slow_execution     the client gets no answer; the request executes `seconds` later, and until then its key is in use
    livemode_mismatch  objects and events of the other mode
    """

    def __init__(self, world: World, now: float) -> None:
        if world.stripe is None:
            world.stripe = empty_state()
        self.world = world
        self.state: dict[str, Any] = world.stripe
        is_older = "balance_transactions" not in self.state
        for name, nothing in empty_state().items():  # a state file of an earlier version lacks what is new
            self.state.setdefault(name, nothing)
        self.instant = now
        self.now = int(now)
        self.livemode = world.faults.standing("livemode_mismatch", "stripe", "") is not None
        self._keys = IdempotencyTable(self.state["idempotency"])
        self._request: tuple[str | None, str | None] = (None, None)
        self._late = False
        if is_older:
            stripe_balance.adopt(self)

    # --- the API ----------------------------------------------------------------------------------------------

    def handle(self, request: Request) -> Response:
        """Answer a request to the API; `request.path` begins with /v1/."""
        self._keys.prune(self.instant)
        key = request.header("idempotency-key") if request.method == "POST" else ""
        headers = {
            "content-type": "application/json",
            "request-id": self._id("req"),
            "stripe-version": request.header("stripe-version") or API_VERSION,
        }
        if key:
            headers["idempotency-key"] = key
        try:
            _authenticate(request)
            route, identifier = _route(request)
            given = decode(request.body.decode() if request.method == "POST" else urlencode(request.pairs))
            if key:
                status, body, replayed = self._once(route, identifier, given, key, request, headers)
                if replayed:
                    headers["idempotent-replayed"] = "true"
            else:
                status, body = self._execute(route, identifier, given, headers)
        except _NoAnswer:
            return Response(0, wire=Wire.SILENT)
        except Refusal as refusal:
            status, body = refusal.status, json.dumps(refusal.document())
        except UnicodeDecodeError:
            status, body = 400, json.dumps(invalid("Invalid request body.").document())
        return Response(status, headers, body.encode())

    def _once(
        self, route: _Route, identifier: str, given: Parameters, key: str, request: Request, headers: dict[str, str]
    ) -> tuple[int, str, bool]:
        """Execute under an idempotency key, or replay; return status, body and whether it was a replay."""
        saved = self._keys.begin(key, fingerprint(request.method, request.path, given), self.instant)
        if saved is not None:
            return *saved, True
        slow = None if self._late else self.world.faults.draw({"slow_execution"}, "stripe", route.operation)
        if slow is not None:
            self.world.schedule(self.instant + slow.seconds, "stripe", "execute", request=request, key=key)
            raise _NoAnswer
        try:
            status, body = self._execute(route, identifier, given, headers)
        except Refusal as refusal:
            if not refusal.saved:
                self._keys.forget(key)
                raise
            status, body = refusal.status, json.dumps(refusal.document())
        self._keys.finish(key, status, body)
        return status, body, False

    def _execute(self, route: _Route, identifier: str, given: Parameters, headers: dict[str, str]) -> tuple[int, str]:
        parameters = read(PARAMETERS[route.operation], given)
        self._break("kept_500_before", route, headers)
        self._request = (headers["request-id"], headers.get("idempotency-key"))
        try:
            result = route.run(self, parameters, identifier)
            answer = json.dumps(self._expanded(result, parameters.get("expand", [])))
        finally:
            self._request = (None, None)
        self._break("kept_500_after", route, headers)
        return 200, answer

    def _break(self, kind: str, route: _Route, headers: dict[str, str]) -> None:
        fault = self.world.faults.draw({kind}, "stripe", route.operation)
        if fault is None:
            return
        if fault.value:
            headers["stripe-should-retry"] = fault.value
        raise Refusal("An unknown error occurred", status=500, type="api_error")

    def emit(self, type_: str, subject: Object, previous: Object | None = None) -> None:
        """Make an event with a snapshot of `subject` and send it on its way."""
        data: Object = {"object": _public(subject)}
        if previous is not None:
            data["previous_attributes"] = previous
        request_id, key = self._request
        event = {
            "id": self._id("evt"),
            "object": "event",
            "api_version": API_VERSION,
            "created": self.now,
            "data": data,
            "livemode": self.livemode,
            "pending_webhooks": 1 if self.world.webhook_url else 0,
            "request": {"id": request_id, "idempotency_key": key},
            "type": type_,
        }
        self.state["events"][event["id"]] = event
        stripe_webhooks.queue(self.world, event, self.instant)

    # --- what time alone brings -----------------------------------------------------------------------------------

    def on_event(self, kind: str, data: dict[str, Any]) -> None:
        """Let something scheduled happen: a session expires, a subscription ends, a slow request executes."""
        if kind == "execute":
            self._keys.forget(data["key"])
            self._late = True
            self.handle(data["request"])
        elif kind == "expire_session":
            session = self.state["sessions"].get(data["id"])
            if session is not None and session["status"] == "open":
                self._expire(session)
        elif kind == "expire_update":
            stripe_changes.expire(self, data["id"], data["invoice"])
        elif kind == "book":
            stripe_balance.on_event(self, data["collection"], data["id"])
        elif kind == "end_subscription":
            subscription = self.state["subscriptions"].get(data["id"])
            if subscription is not None and subscription["cancel_at"] == data["ends"] and not subscription["ended_at"]:
                self.end_subscription(subscription)
        elif kind == "renew_subscription":
            subscription = self.state["subscriptions"].get(data["id"])
            if subscription is not None and self._renews_at(subscription, data["ends"]):
                stripe_life.renew(self, subscription)
        elif kind in _INVOICE_EVENTS:
            invoice = self.state["invoices"].get(data["id"])
            if (
                invoice is not None
                and invoice["auto_advance"]
                and data.get("attempt") in (None, invoice["attempt_count"])
            ):
                _INVOICE_EVENTS[kind](self, invoice)

    def _renews_at(self, subscription: Object, ends: int) -> bool:
        """Tell whether a period that was to end now is still the present one, and another is to follow."""
        present: int = subscription["items"]["data"][0]["current_period_end"]
        return (
            subscription["status"] in stripe_life.LIVE and not subscription["cancel_at_period_end"] and present == ends
        )

    # --- what a person does on the hosted page ------------------------------------------------------------------

    def session(self, identifier: str) -> Object | None:
        """Return a Checkout Session of this account."""
        found: Object | None = self.state["sessions"].get(identifier)
        return found

    def pay(self, identifier: str) -> Object:
        """Pay an open session by card: it completes, and everything Stripe makes of it comes to be."""
        session = self._open_session(identifier)
        invoice = self._complete(session)
        self.settle(invoice)
        session["payment_status"] = "paid"
        self._announce_subscription(session)
        self.emit("checkout.session.completed", session)
        return session

    def pay_later(self, identifier: str) -> Object:
        """Pay an open session by a bank debit: it completes unpaid; `settle_later` decides."""
        session = self._open_session(identifier)
        invoice = self._complete(session)
        intent = self.state["payment_intents"][_payment_intent_of(invoice)]
        intent["status"] = "processing"
        self.emit("payment_intent.processing", intent)
        self._announce_subscription(session)
        self.emit("checkout.session.completed", session)
        return session

    def decline(self, identifier: str) -> Object:
        """A card is refused: nothing is made, the session stays open."""
        return self._open_session(identifier)

    def settle_later(self, identifier: str, *, success: bool) -> Object:
        """The bank debit of a completed, unpaid session succeeds or fails."""
        session = self._get("sessions", identifier)
        if session["status"] != "complete" or session["payment_status"] != "unpaid":
            raise invalid("This Checkout Session is not waiting for a payment.")
        invoice = self.state["invoices"][session["invoice"]]
        intent = self.state["payment_intents"][_payment_intent_of(invoice)]
        if intent["status"] != "processing":
            raise invalid("The payment has failed already.")
        if success:
            self.settle(invoice)
            session["payment_status"] = "paid"
            self.emit("checkout.session.async_payment_succeeded", session)
            return session
        intent["status"] = "requires_payment_method"
        intent["last_payment_error"] = {"type": "card_error", "code": "payment_intent_payment_attempt_failed"}
        invoice.update(attempt_count=1, attempted=True)
        subscription = self.state["subscriptions"][session["subscription"]]
        self.change_subscription(subscription, status="past_due")
        self.emit("payment_intent.payment_failed", intent)
        self.emit("invoice.payment_failed", invoice)
        self.emit("checkout.session.async_payment_failed", session)
        return session

    # --- making of objects --------------------------------------------------------------------------------------

    def _id(self, prefix: str) -> str:
        self.state["counter"] += 1
        number = self.state["counter"]
        test = "test_" if prefix == "cs" else ""
        return f"{prefix}_{test}{number:06d}{hexadecimal(16, self.world.seed, prefix, number)}"

    def new(self, collection: str, prefix: str, **fields: Any) -> Object:
        identifier = fields.pop("id", None) or self._id(prefix)
        created = {
            "id": identifier,
            "object": _KINDS[collection],
            "created": self.now,
            "livemode": self.livemode,
            **fields,
        }
        if collection in ("refunds", "balance_transactions"):
            del created["livemode"]  # they do not carry it
        self.state[collection][identifier] = created
        return created

    def _get(self, collection: str, identifier: str, *, param: str = "id", status: int = 404) -> Object:
        found: Object | None = self.state[collection].get(identifier)
        if found is None:
            raise missing(_KINDS[collection], identifier, param=param, status=status)
        return found

    def _open_session(self, identifier: str) -> Object:
        session = self.session(identifier)
        if session is None:
            raise missing("checkout.session", identifier)
        if session["status"] != "open":
            raise invalid("This Checkout Session is not open.")
        return session

    def _complete(self, session: Object) -> Object:
        """Close a session and make customer, subscription, invoice and payment intent; return the open invoice."""
        if session["customer"] is None:
            email = session["customer_email"] or "buyer@sandbox.test"
            customer = self._create_customer({"email": email}, "")
            session["customer"] = customer["id"]
        customer = self.state["customers"][session["customer"]]
        settings = session["_subscription_data"]
        card = stripe_life.new_card(self, customer["id"], "good")
        subscription = self.new(
            "subscriptions",
            "sub",
            status="active",
            customer=customer["id"],
            currency=session["currency"],
            metadata=dict(settings.get("metadata", {})),
            description=settings.get("description"),
            billing_mode={"type": settings.get("billing_mode", {}).get("type", "flexible")},
            cancel_at=None,
            cancel_at_period_end=False,
            canceled_at=None,
            ended_at=None,
            cancellation_details={"comment": None, "feedback": None, "reason": None},
            collection_method="charge_automatically",
            latest_invoice=None,
            default_payment_method=card["id"],
            pending_update=None,
            start_date=self.now,
            billing_cycle_anchor=self.now,
            items={"object": "list", "data": [], "has_more": False, "url": "/v1/subscription_items"},
        )
        invoice = self._first_invoice(session, subscription)
        subscription["latest_invoice"] = invoice["id"]
        stripe_life.schedule_renewal(self, subscription)
        session.update(
            status="complete",
            payment_status="unpaid",
            url=None,
            subscription=subscription["id"],
            invoice=invoice["id"],
            customer_details={
                "email": customer["email"],
                "name": customer["name"],
                "phone": None,
                "tax_exempt": "none",
                "tax_ids": [],
                "address": None,
            },
        )
        self.emit("invoice.created", invoice)
        self.emit("invoice.finalized", invoice)
        return invoice

    def _first_invoice(self, session: Object, subscription: Object) -> Object:
        invoice = self._invoice(subscription, "subscription_create", session["amount_total"], status="open")
        self._put_lines(invoice, [self._invoice_line(invoice, subscription, line) for line in session["_line_items"]])
        return invoice

    def next_invoice(self, subscription: Object) -> Object:
        """Make the draft of a renewal: its items for the period that has just begun."""
        items = subscription["items"]["data"]
        total = sum(item["price"]["unit_amount"] * item["quantity"] for item in items)
        invoice = self._invoice(subscription, "subscription_cycle", total, status="draft")
        self._put_lines(invoice, [self._line_of_item(invoice, subscription, item) for item in items])
        return invoice

    def _put_lines(self, invoice: Object, lines: list[Object]) -> None:
        invoice["lines"] = {
            "object": "list",
            "data": lines,
            "has_more": False,
            "url": f"/v1/invoices/{invoice['id']}/lines",
        }
        recurring = [line["period"] for line in lines if line["period"]["end"] > line["period"]["start"]]
        invoice["period_start"] = invoice["period_end"] = recurring[0]["start"]

    def _invoice(self, subscription: Object, reason: str, total: int, *, status: str) -> Object:
        """Make an invoice without lines, and the payment intent that is to pay it."""
        customer, currency = subscription["customer"], subscription["currency"]
        intent = self.new(
            "payment_intents",
            "pi",
            amount=total,
            amount_received=0,
            currency=currency,
            customer=customer,
            status="requires_confirmation",
            latest_charge=None,
            last_payment_error=None,
            metadata={},
        )
        invoice = self.new(
            "invoices",
            "in",
            status=status,
            billing_reason=reason,
            customer=customer,
            customer_email=self.state["customers"][customer]["email"],
            currency=currency,
            amount_due=total,
            amount_paid=0,
            amount_remaining=total,
            subtotal=total,
            total=total,
            attempt_count=0,
            attempted=False,
            auto_advance=True,
            next_payment_attempt=None,
            collection_method="charge_automatically",
            metadata={},
            hosted_invoice_url=None,
            number=f"SANDBOX-{self.state['counter']:06d}",
            parent={
                "type": "subscription_details",
                "quote_details": None,
                "subscription_details": {
                    "subscription": subscription["id"],
                    "metadata": dict(subscription["metadata"]),  # as it is at finalisation, frozen
                },
            },
            status_transitions={
                "finalized_at": self.now if status == "open" else None,
                "paid_at": None,
                "voided_at": None,
                "marked_uncollectible_at": None,
            },
        )
        invoice["hosted_invoice_url"] = f"{self.world.public_url.rstrip('/')}{PREFIX}/receipt/{invoice['id']}"
        invoice["_payments"] = [
            {
                "id": self._id("inpay"),
                "object": "invoice_payment",
                "amount_paid": None,
                "amount_requested": total,
                "created": self.now,
                "currency": currency,
                "invoice": invoice["id"],
                "is_default": True,
                "livemode": self.livemode,
                "payment": {"type": "payment_intent", "payment_intent": intent["id"]},
                "status": "open",
                "status_transitions": {"canceled_at": None, "paid_at": None},
            }
        ]
        return invoice

    def _line_of_item(self, invoice: Object, subscription: Object, item: Object) -> Object:
        price, amount = item["price"], item["price"]["unit_amount"] * item["quantity"]
        return {
            "id": self._id("il"),
            "object": "line_item",
            "amount": amount,
            "currency": price["currency"],
            "description": self.state["products"][price["product"]]["name"],
            "invoice": invoice["id"],
            "livemode": self.livemode,
            "metadata": {},
            "parent": {
                "type": "subscription_item_details",
                "invoice_item_details": None,
                "subscription_item_details": {
                    "subscription_item": item["id"],
                    "subscription": subscription["id"],
                    "proration": False,
                },
            },
            "period": {"start": item["current_period_start"], "end": item["current_period_end"]},
            "pricing": {
                "type": "price_details",
                "price_details": {"price": price["id"], "product": price["product"]},
                "unit_amount_decimal": str(price["unit_amount"]),
            },
            "quantity": item["quantity"],
            "subtotal": amount,
        }

    def _invoice_line(self, invoice: Object, subscription: Object, line: Object) -> Object:
        price = line["price"]
        period = {"start": self.now, "end": self.now}
        if price["recurring"] is None:
            parent = {
                "type": "invoice_item_details",
                "invoice_item_details": {
                    "invoice_item": self._id("ii"),
                    "proration": False,
                    "subscription": subscription["id"],
                },
                "subscription_item_details": None,
            }
        else:
            period["end"] = _after(self.now, price["recurring"])
            item = {
                "id": self._id("si"),
                "object": "subscription_item",
                "created": self.now,
                "current_period_start": period["start"],
                "current_period_end": period["end"],
                "metadata": {},
                "price": price,
                "quantity": line["quantity"],
                "subscription": subscription["id"],
            }
            subscription["items"]["data"].append(item)
            parent = {
                "type": "subscription_item_details",
                "invoice_item_details": None,
                "subscription_item_details": {
                    "subscription_item": item["id"],
                    "subscription": subscription["id"],
                    "proration": False,
                },
            }
        return {
            "id": self._id("il"),
            "object": "line_item",
            "amount": line["amount_total"],
            "currency": line["currency"],
            "description": line["description"],
            "invoice": invoice["id"],
            "livemode": self.livemode,
            "metadata": {},
            "parent": parent,
            "period": period,
            "pricing": {
                "type": "price_details",
                "price_details": {"price": price["id"], "product": price["product"]},
                "unit_amount_decimal": str(price["unit_amount"]),
            },
            "quantity": line["quantity"],
            "subtotal": line["amount_subtotal"],
        }

    def settle(self, invoice: Object) -> None:
        """The money of an open invoice arrives."""
        intent = self.state["payment_intents"][_payment_intent_of(invoice)]
        charge = self.new(
            "charges",
            "ch",
            amount=intent["amount"],
            amount_captured=intent["amount"],
            amount_refunded=0,
            captured=True,
            currency=intent["currency"],
            customer=intent["customer"],
            disputed=False,
            paid=True,
            payment_intent=intent["id"],
            receipt_url=None,
            refunded=False,
            status="succeeded",
            balance_transaction=None,
            metadata={},
        )
        stripe_balance.book_charge(self, charge)
        intent.update(status="succeeded", amount_received=intent["amount"], latest_charge=charge["id"])
        total = invoice["amount_due"]
        attempts = invoice["attempt_count"] + 1
        invoice.update(status="paid", amount_paid=total, amount_remaining=0, attempt_count=attempts, attempted=True)
        invoice["status_transitions"]["paid_at"] = self.now
        payment = invoice["_payments"][0]
        payment.update(status="paid", amount_paid=total)
        payment["status_transitions"]["paid_at"] = self.now
        self.emit("charge.succeeded", charge)
        self.emit("payment_intent.succeeded", intent)
        self.emit("invoice.paid", invoice)
        self.emit("invoice.payment_succeeded", invoice)

    def _announce_subscription(self, session: Object) -> None:
        self.emit("customer.subscription.created", self.state["subscriptions"][session["subscription"]])

    def change_subscription(self, subscription: Object, **changes: Any) -> None:
        previous = {name: copy.deepcopy(subscription[name]) for name in changes if subscription[name] != changes[name]}
        subscription.update(changes)
        if previous:
            self.emit("customer.subscription.updated", subscription, previous)

    def end_subscription(self, subscription: Object) -> None:
        subscription.update(status="canceled", ended_at=self.now, canceled_at=subscription["canceled_at"] or self.now)
        self.emit("customer.subscription.deleted", subscription)

    def _expire(self, session: Object) -> None:
        session.update(status="expired", url=None)
        self.emit("checkout.session.expired", session)

    # --- operations: products, prices, customers ------------------------------------------------------------------

    def _create_product(self, given: Parameters, _: str) -> Object:
        require(given, "name")
        if given.get("id") in self.state["products"]:
            raise invalid(f"Product already exists: {given['id']}.", code="resource_already_exists", param="id")
        return self.new(
            "products",
            "prod",
            id=given.get("id"),
            name=given["name"],
            active=given.get("active", True),
            description=given.get("description"),
            metadata=given.get("metadata", {}),
            updated=self.now,
        )

    def _update_product(self, given: Parameters, identifier: str) -> Object:
        return self._merge(self._get("products", identifier), given, updated=self.now)

    def _create_price(self, given: Parameters, _: str) -> Object:
        require(given, "currency", "product", "unit_amount")
        self._get("products", given["product"], param="product", status=400)
        if given["unit_amount"] < 0:
            raise invalid("Invalid non-negative integer", param="unit_amount")
        recurring = given.get("recurring")
        if recurring is not None:
            require(recurring, "interval")
            one_of(recurring, "interval", "day", "week", "month", "year")
            recurring = {
                "interval_count": 1,
                "usage_type": "licensed",
                "meter": None,
                "trial_period_days": None,
                **recurring,
            }
        self._claim_lookup_key(given)
        return self.new(
            "prices",
            "price",
            active=given.get("active", True),
            billing_scheme="per_unit",
            currency=given["currency"].lower(),
            lookup_key=given.get("lookup_key"),
            metadata=given.get("metadata", {}),
            nickname=given.get("nickname"),
            product=given["product"],
            recurring=recurring,
            type="one_time" if recurring is None else "recurring",
            unit_amount=given["unit_amount"],
            unit_amount_decimal=str(Decimal(given["unit_amount"])),
        )

    def _update_price(self, given: Parameters, identifier: str) -> Object:
        price = self._get("prices", identifier)
        if given.get("lookup_key") != price["lookup_key"]:
            self._claim_lookup_key(given)
        given.pop("transfer_lookup_key", None)
        return self._merge(price, given)

    def _claim_lookup_key(self, given: Parameters) -> None:
        """Refuse a lookup key that another price holds, or take it away from there when asked to."""
        key = given.get("lookup_key")
        holders = [price for price in self.state["prices"].values() if key and price["lookup_key"] == key]
        if holders and not given.get("transfer_lookup_key"):
            raise invalid(
                f"A price (`{holders[0]['id']}`) already uses that lookup key.",
                code="resource_already_exists",
                param="lookup_key",
            )
        for price in holders:
            price["lookup_key"] = None

    def _create_customer(self, given: Parameters, _: str) -> Object:
        customer = self.new(
            "customers",
            "cus",
            email=given.get("email"),
            name=given.get("name"),
            phone=given.get("phone"),
            description=given.get("description"),
            metadata=given.get("metadata", {}),
            delinquent=False,
        )
        self.emit("customer.created", customer)
        return customer

    def _merge(self, target: Object, given: Parameters, **more: Any) -> Object:
        changes = {name: value for name, value in given.items() if name != "expand"}
        if "metadata" in changes:
            merged = {**target["metadata"], **changes["metadata"]}
            changes["metadata"] = {name: value for name, value in merged.items() if value != ""}
        target.update(changes, **more)
        return target

    # --- operations: Checkout -------------------------------------------------------------------------------------

    def _create_session(self, given: Parameters, _: str) -> Object:
        self._check_session(given)
        lines = [self._session_line(number, line) for number, line in enumerate(given["line_items"])]
        _check_lines(lines)
        total = sum(line["amount_total"] for line in lines)
        session = self.new(
            "sessions",
            "cs",
            mode="subscription",
            ui_mode="hosted_page",
            status="open",
            payment_status="unpaid" if total else "no_payment_required",
            client_reference_id=given.get("client_reference_id"),
            metadata=given.get("metadata", {}),
            customer=given.get("customer"),
            customer_creation=None if "customer" in given else "always",
            customer_email=given.get("customer_email"),
            customer_details=None,
            currency=lines[0]["currency"],
            amount_subtotal=total,
            amount_total=total,
            total_details={"amount_discount": 0, "amount_shipping": 0, "amount_tax": 0},
            expires_at=given.get("expires_at", self.now + EXPIRES_MAX),
            subscription=None,
            invoice=None,
            payment_intent=None,
            payment_method_types=["card", "us_bank_account"],
            payment_method_collection="always",
            locale=given.get("locale"),
            success_url=given["success_url"],
            cancel_url=given.get("cancel_url"),
            _line_items=lines,
            _subscription_data=given.get("subscription_data", {}),
        )
        session["url"] = f"{self.world.public_url.rstrip('/')}{PREFIX}/pay/{session['id']}"
        self.world.schedule(session["expires_at"], "stripe", "expire_session", id=session["id"])
        return session

    def _check_session(self, given: Parameters) -> None:
        require(given, "mode")
        one_of(given, "mode", "payment", "setup", "subscription")
        if given["mode"] != "subscription":
            raise invalid("This sandbox simulates subscription mode only.", code="sandbox_not_simulated", param="mode")
        one_of(given, "ui_mode", "hosted_page", "embedded_page", "elements", "form")
        ui_mode = given.get("ui_mode", "hosted_page")
        if ui_mode in ("embedded_page", "elements"):
            for name in ("success_url", "cancel_url"):
                if name in given:
                    raise invalid(f"{name} can not be used with ui_mode {ui_mode}.", param=name)
        if ui_mode != "hosted_page":
            raise invalid("This sandbox simulates the hosted page only.", code="sandbox_not_simulated", param="ui_mode")
        require(given, "success_url", "line_items")
        absolute_url(given, "success_url")
        absolute_url(given, "cancel_url")
        if "customer_creation" in given:
            raise invalid("`customer_creation` can only be used in `payment` mode.", param="customer_creation")
        if "customer" in given and "customer_email" in given:
            raise invalid(
                "You may only specify one of these parameters: customer, customer_email.", param="customer_email"
            )
        if "customer" in given:
            self._get("customers", given["customer"], param="customer", status=400)
        if "customer_email" in given and re.fullmatch(r"[^@\s]+@[^@\s]+\.[^@\s]+", given["customer_email"]) is None:
            raise invalid(
                f"Invalid email address: {given['customer_email']}", code="email_invalid", param="customer_email"
            )
        if len(given.get("client_reference_id", "")) > 200:
            raise invalid("client_reference_id has at most 200 characters.", param="client_reference_id")
        one_of(given.get("subscription_data", {}).get("billing_mode", {}), "type", "classic", "flexible")
        expires = given.get("expires_at", self.now + EXPIRES_MAX)
        if not EXPIRES_MIN <= expires - self.now <= EXPIRES_MAX:
            raise invalid(
                "The `expires_at` timestamp must be between 30 minutes and 24 hours from Checkout Session creation.",
                param="expires_at",
            )

    def _session_line(self, number: int, given: Parameters) -> Object:
        where = f"line_items[{number}]"
        if "price" not in given:
            raise invalid(f"Missing required param: {where}[price].", code="parameter_missing", param=f"{where}[price]")
        price = self._get("prices", given["price"], param=f"{where}[price]", status=400)
        if not price["active"]:
            raise invalid(
                "The price specified is inactive. This field only accepts active prices.", param=f"{where}[price]"
            )
        quantity = given.get("quantity")
        if quantity is None or quantity < 1:
            raise invalid("Quantity is required, and at least 1.", param=f"{where}[quantity]")
        amount = price["unit_amount"] * quantity
        return {
            "id": self._id("li"),
            "object": "item",
            "amount_discount": 0,
            "amount_subtotal": amount,
            "amount_tax": 0,
            "amount_total": amount,
            "currency": price["currency"],
            "description": self.state["products"][price["product"]]["name"],
            "price": copy.deepcopy(price),
            "quantity": quantity,
        }

    def _expire_session(self, _: Parameters, identifier: str) -> Object:
        session = self._get("sessions", identifier)
        if session["status"] != "open":
            raise invalid(
                f'Only Checkout Sessions with a status in ["open"] can be expired. '
                f"This Checkout Session has a status of `{session['status']}`."
            )
        self._expire(session)
        return session

    def _line_items(self, given: Parameters, identifier: str) -> Object:
        lines = self._get("sessions", identifier)["_line_items"]
        return _page(lines, given, f"/v1/checkout/sessions/{identifier}/line_items")

    # --- operations: subscriptions, invoices, refunds -------------------------------------------------------------

    def _update_subscription(self, given: Parameters, identifier: str) -> Object:
        subscription = self._get("subscriptions", identifier)
        if subscription["status"] == "canceled":
            raise invalid("A canceled subscription can only update its cancellation_details and metadata.")
        if "items" in given:
            stripe_changes.change(self, subscription, given)
            return subscription
        changes: Parameters = {name: given[name] for name in ("cancel_at_period_end", "description") if name in given}
        if "metadata" in given:
            merged = {**subscription["metadata"], **given["metadata"]}
            changes["metadata"] = {name: value for name, value in merged.items() if value != ""}
        if "cancellation_details" in given:
            changes["cancellation_details"] = {**subscription["cancellation_details"], **given["cancellation_details"]}
        if (ending := changes.pop("cancel_at_period_end", None)) is not None:
            changes |= self._running_out(subscription, ending)
        self.change_subscription(subscription, **changes)
        return subscription

    def _preview_invoice(self, given: Parameters, _: str) -> Object:
        return stripe_changes.preview(self, given)

    def set_cancel_at_period_end(self, subscription: Object, ending: bool) -> None:
        """Let a subscription run out at the end of its period, or go on after all."""
        self.change_subscription(subscription, **self._running_out(subscription, ending))

    def _running_out(self, subscription: Object, ending: bool) -> Parameters:
        ends = subscription["items"]["data"][0]["current_period_end"]
        if ending:
            self.world.schedule(ends, "stripe", "end_subscription", id=subscription["id"], ends=ends)
        elif ends > self.now:
            stripe_life.schedule_renewal(self, subscription)
        return {
            "cancel_at_period_end": ending,
            "canceled_at": self.now if ending else None,
            "cancel_at": ends if ending else None,
        }

    def payment_intent_of(self, invoice: Object) -> str:
        """Return the id of what pays an invoice."""
        return _payment_intent_of(invoice)

    def refund(self, given: Parameters) -> Object:
        """Send money back, as a person does in the dashboard."""
        return self._create_refund(given, "")

    def _create_portal_session(self, given: Parameters, _: str) -> Object:
        require(given, "customer")
        self._get("customers", given["customer"], param="customer", status=400)
        absolute_url(given, "return_url")
        session = self.new(
            "portal_sessions",
            "bps",
            customer=given["customer"],
            return_url=given.get("return_url"),
            configuration="bpc_sandbox",
            locale=None,
            flow=None,
            on_behalf_of=None,
        )
        session["url"] = f"{self.world.public_url.rstrip('/')}{PREFIX}/portal/{session['id']}"
        return session

    def _cancel_subscription(self, given: Parameters, identifier: str) -> Object:
        if given.get("prorate"):
            raise invalid("This sandbox does not simulate prorations.", code="sandbox_not_simulated", param="prorate")
        subscription = self._get("subscriptions", identifier)
        if subscription["status"] == "canceled":
            raise missing("subscription", identifier)
        subscription["canceled_at"] = self.now
        subscription["cancellation_details"].update(
            given.get("cancellation_details", {}), reason="cancellation_requested"
        )
        invoice = self.state["invoices"][subscription["latest_invoice"]]
        if (
            invoice["status"] == "open"
            and self.state["payment_intents"][_payment_intent_of(invoice)]["status"] != "processing"
        ):
            # Stripe stops collecting; the invoice stays open. UNKNOWN in detail, so nothing is charged again here.
            invoice["auto_advance"] = False
        self.end_subscription(subscription)
        return subscription

    def _create_refund(self, given: Parameters, _: str) -> Object:
        if ("charge" in given) == ("payment_intent" in given):
            raise invalid("One of the following params should be provided for this request: payment_intent or charge.")
        one_of(given, "reason", "duplicate", "fraudulent", "requested_by_customer")
        charge = self._charge_to_refund(given)
        left = charge["amount"] - charge["amount_refunded"]
        amount = given.get("amount", left)
        if left == 0:
            raise Refusal(f"Charge {charge['id']} has already been refunded.", code="charge_already_refunded")
        if amount < 1:
            raise invalid("Invalid positive integer", code="parameter_invalid_integer", param="amount")
        if amount > left:
            raise Refusal(
                f"Refund amount ({amount}) is greater than unrefunded amount on charge ({left}).", param="amount"
            )
        refund = self.new(
            "refunds",
            "re",
            amount=amount,
            charge=charge["id"],
            currency=charge["currency"],
            metadata=given.get("metadata", {}),
            payment_intent=charge["payment_intent"],
            reason=given.get("reason"),
            status="succeeded",
            balance_transaction=None,
            failure_balance_transaction=None,
            receipt_number=None,
        )
        stripe_balance.book_refund(self, refund)
        charge["amount_refunded"] += amount
        charge["refunded"] = charge["amount_refunded"] == charge["amount"]
        self.emit("refund.created", refund)
        self.emit("charge.refunded", charge)
        return refund

    def _charge_to_refund(self, given: Parameters) -> Object:
        if "charge" in given:
            return self._get("charges", given["charge"], param="charge", status=400)
        intent = self._get("payment_intents", given["payment_intent"], param="payment_intent", status=400)
        if intent["latest_charge"] is None:
            raise invalid(
                f"This PaymentIntent ({intent['id']}) does not have a successful charge to refund.",
                code="payment_intent_unexpected_state",
                param="payment_intent",
            )
        charge: Object = self.state["charges"][intent["latest_charge"]]
        return charge

    # --- reading ----------------------------------------------------------------------------------------------------

    def _list(self, collection: str, given: Parameters) -> Object:
        rows = [row for row in reversed(self.state[collection].values()) if self._matches(collection, row, given)]
        path = "checkout/sessions" if collection == "sessions" else collection
        return _page(rows, given, f"/v1/{path}")

    def _matches(self, collection: str, row: Object, given: Parameters) -> bool:
        for name, wanted in given.items():
            if name in ("limit", "starting_after", "ending_before", "expand"):
                continue
            if not _FILTERS.get((collection, name), _equal(name))(row, wanted):
                return False
        if collection == "events":
            return bool(row["created"] > self.now - EVENTS_KEPT)
        # Without a status, cancelled subscriptions are left out.
        return not (collection == "subscriptions" and "status" not in given and row["status"] == "canceled")

    def _expanded(self, answer: Object, paths: list[str]) -> Object:
        """Return a copy without our own members, with what `expand` asks for put in."""
        result: Object = _public(answer)
        for path in paths:
            if len(path.split(".")) > 4:
                raise invalid("You cannot expand more than 4 levels of a property.", param="expand")
            self._expand(result, answer, path.split("."), path)
        return result

    def _expand(self, node: Object, source: Object, path: list[str], whole: str) -> None:
        name, *rest = path
        if node.get("object") == "list" and name == "data" and rest:
            for child, original in zip(node["data"], source["data"], strict=True):
                self._expand(child, original, rest, whole)
            return
        if f"_{name}" in source:  # includable, absent unless asked for
            node[name] = {
                "object": "list",
                "data": _public(source[f"_{name}"]),
                "has_more": False,
                "url": f"/v1/{name}",
            }
            original = {**node[name], "data": source[f"_{name}"]}
        elif isinstance(node.get(name), str) and node[name].split("_")[0] in _PREFIXES:
            original = self.state[_PREFIXES[node[name].split("_")[0]]][node[name]]
            node[name] = _public(original)
        elif isinstance(node.get(name), dict) and rest:
            original = source[name]
        elif name in node and node[name] is None:
            return
        else:
            raise invalid(f"This property cannot be expanded ({whole}).", param="expand")
        if rest:
            self._expand(node[name], original, rest, whole)


def _check_lines(lines: list[Object]) -> None:
    if not lines:
        raise invalid("Missing required param: line_items.", code="parameter_missing", param="line_items")
    recurring = sum(line["price"]["recurring"] is not None for line in lines)
    if not recurring:
        raise invalid(
            "You must provide at least one recurring price in `subscription` mode when using prices.",
            param="line_items",
        )
    if max(recurring, len(lines) - recurring) > MAX_LINES_OF_A_KIND:
        raise invalid("At most 20 recurring and 20 one-time line items are allowed.", param="line_items")
    if len({line["currency"] for line in lines}) > 1:
        raise invalid("All prices of a Checkout Session must have one currency.", param="line_items")
    intervals = {
        (line["price"]["recurring"]["interval"], line["price"]["recurring"]["interval_count"])
        for line in lines
        if line["price"]["recurring"]
    }
    if len(intervals) > 1:
        raise invalid("All recurring prices of a Checkout Session must have one interval.", param="line_items")


def _payment_intent_of(invoice: Object) -> str:
    identifier: str = invoice["_payments"][0]["payment"]["payment_intent"]
    return identifier


def _after(instant: int, recurring: Mapping[str, Any]) -> int:
    """Return the end of a billing period: calendar months keep the day where the month has it."""
    count = int(recurring["interval_count"])
    days = {"day": count, "week": 7 * count}.get(recurring["interval"])
    if days is not None:
        return instant + days * 86400
    start = datetime.fromtimestamp(instant, UTC)
    months = start.month - 1 + count * (12 if recurring["interval"] == "year" else 1)
    year, month = start.year + months // 12, months % 12 + 1
    return int(start.replace(year=year, month=month, day=min(start.day, monthrange(year, month)[1])).timestamp())


def _public(value: Any) -> Any:
    """Return a deep copy without the members that begin with an underscore: they are the sandbox's own."""
    if isinstance(value, dict):
        return {name: _public(child) for name, child in value.items() if not name.startswith("_")}
    if isinstance(value, list):
        return [_public(child) for child in value]
    return value


def _page(rows: list[Object], given: Parameters, url: str) -> Object:
    limit = given.get("limit", 10)
    if not 1 <= limit <= 100:
        raise invalid("limit must be between 1 and 100.", code="parameter_invalid_integer", param="limit")
    ids = [row["id"] for row in rows]
    for name in ("starting_after", "ending_before"):
        if name in given and given[name] not in ids:
            raise missing("object", given[name], param=name, status=400)
    if "ending_before" in given:
        before = rows[: ids.index(given["ending_before"])]
        data, more = before[-limit:], len(before) > limit
    else:
        rest = rows[ids.index(given["starting_after"]) + 1 :] if "starting_after" in given else rows
        data, more = rest[:limit], len(rest) > limit
    return {"object": "list", "data": data, "has_more": more, "url": url}


Filter = Callable[[Object, Any], bool]


def _equal(name: str) -> Filter:
    return lambda row, wanted: bool(row[name] == wanted)


def _created(row: Object, wanted: Mapping[str, int]) -> bool:
    at = row["created"]
    tests = {"gt": at.__gt__, "gte": at.__ge__, "lt": at.__lt__, "lte": at.__le__}
    return all(tests[name](limit) for name, limit in wanted.items())


def _price_of_subscription(row: Object, wanted: str) -> bool:
    return any(item["price"]["id"] == wanted for item in row["items"]["data"])


def _in(name: str) -> Filter:
    return lambda row, wanted: row[name] in wanted


_FILTERS: dict[tuple[str, str], Filter] = {
    **{(collection, "created"): _created for collection in _KINDS},
    ("prices", "lookup_keys"): _in("lookup_key"),
    ("products", "ids"): _in("id"),
    ("subscriptions", "status"): lambda row, wanted: wanted == "all" or row["status"] == wanted,
    ("subscriptions", "price"): _price_of_subscription,
    ("invoices", "subscription"): lambda row, wanted: bool(
        row["parent"]["subscription_details"]["subscription"] == wanted
    ),
    ("events", "types"): _in("type"),
    ("events", "delivery_success"): lambda row, wanted: bool((row["pending_webhooks"] == 0) == wanted),
}


class _NoAnswer(Exception):
    """The request will execute later; its client hears nothing."""


def _authenticate(request: Request) -> None:
    scheme, _, credential = request.header("authorization").partition(" ")
    if scheme != "Bearer" or not credential:
        raise Refusal("You did not provide an API key.", status=401, saved=False)
    if credential != API_KEY:
        raise Refusal("Invalid API Key provided: " + "*" * 8, status=401, saved=False)


def _retrieving(collection: str) -> Operation:
    def retrieve(account: Account, _: Parameters, identifier: str) -> Object:
        return account._get(collection, identifier)

    return retrieve


def _listing(collection: str) -> Operation:
    def listing(account: Account, given: Parameters, _: str) -> Object:
        return account._list(collection, given)

    return listing


def _routes() -> Iterator[_Route]:
    def route(method: str, path: str, operation: str, run: Callable[[Account, Parameters, str], Object]) -> _Route:
        pattern = re.compile("^/v1/" + path.replace("{id}", r"(?P<id>[A-Za-z0-9_.-]+)") + "$")
        return _Route(method, pattern, operation, run)

    account = Account
    yield route("POST", "products", "products.create", account._create_product)
    yield route("POST", "products/{id}", "products.update", account._update_product)
    yield route("POST", "prices", "prices.create", account._create_price)
    yield route("POST", "prices/{id}", "prices.update", account._update_price)
    yield route("POST", "customers", "customers.create", account._create_customer)
    yield route("POST", "checkout/sessions", "checkout.sessions.create", account._create_session)
    yield route("POST", "checkout/sessions/{id}/expire", "checkout.sessions.expire", account._expire_session)
    yield route("GET", "checkout/sessions/{id}/line_items", "checkout.sessions.list_line_items", account._line_items)
    yield route("POST", "subscriptions/{id}", "subscriptions.update", account._update_subscription)
    yield route("DELETE", "subscriptions/{id}", "subscriptions.cancel", account._cancel_subscription)
    yield route("POST", "invoices/create_preview", "invoices.create_preview", account._preview_invoice)
    yield route("POST", "refunds", "refunds.create", account._create_refund)
    yield route("POST", "billing_portal/sessions", "billing_portal.sessions.create", account._create_portal_session)
    for collection in _KINDS:
        path = "checkout/sessions" if collection == "sessions" else collection
        name = path.replace("/", ".")
        if f"{name}.retrieve" in PARAMETERS:
            yield route("GET", f"{path}/{{id}}", f"{name}.retrieve", _retrieving(collection))
        if f"{name}.list" in PARAMETERS:
            yield route("GET", path, f"{name}.list", _listing(collection))


_ROUTES = tuple(_routes())


def _route(request: Request) -> tuple[_Route, str]:
    for route in _ROUTES:
        match = route.pattern.match(request.path)
        if match is not None and route.method == request.method:
            return route, match.groupdict().get("id", "")
    raise Refusal(f"Unrecognized request URL ({request.method}: {request.path}).", status=404, saved=False)


# --- the platform -------------------------------------------------------------------------------------------------


def handle(world: World, request: Request, now: float) -> Response:
    """Answer a request to the API or to the hosted payment page."""
    account = Account(world, now)
    if request.path.startswith("/v1/"):
        return account.handle(request)
    return stripe_pages.handle(account, request)


def verb_of(request: Request) -> str:
    """Return the operation that a request asks for, e.g. "checkout.sessions.create"; of the page, "page.pay"."""
    if not request.path.startswith("/v1/"):
        return stripe_pages.verb_of(request)
    try:
        return _route(request)[0].operation
    except Refusal:
        return "unknown"


def items_of(request: Request) -> tuple[str, ...]:
    """Return what a write is about: our reference, a lookup key, a payment, or the object of the address."""
    if request.method == "POST":
        fields = dict(request.form())
        for name in ("client_reference_id", "lookup_key", "payment_intent", "charge", "id"):
            if name in fields:
                return (fields[name],)
    match = _OBJECT_OF_ADDRESS.search(request.path)
    return (match["id"],) if match else ()


_OBJECT_OF_ADDRESS = re.compile(r"/(?P<id>(?:prod|price|cus|cs|sub|in|pi|ch|re|dp|txn|pm|evt)_[A-Za-z0-9_]+)(?:/|$)")


def error(world: World, status: int, sentence: str) -> Response:
    """Return an error in Stripe's words."""
    types = {429: "invalid_request_error", 409: "invalid_request_error"}
    codes = {429: "rate_limit", 409: "lock_timeout"}
    refusal = Refusal(sentence, status=status, type=types.get(status, "api_error"), code=codes.get(status))
    return Response(status, {"content-type": "application/json"}, json.dumps(refusal.document()).encode())


def key_of(request: Request) -> str:
    """Return the credential that limits are counted by."""
    return request.header("authorization")


def on_event(world: World, kind: str, data: dict[str, Any], now: float) -> None:
    """Let something scheduled happen."""
    Account(world, now).on_event(kind, data)


def snapshot(world: World, now: float) -> dict[str, Any]:
    """Return what the account holds, as plain JSON for people and for the smoke test."""
    state = world.stripe or empty_state()
    names = (
        "products",
        "prices",
        "customers",
        "sessions",
        "subscriptions",
        "invoices",
        "charges",
        "refunds",
        "disputes",
    )
    return {
        **{name: [_public(row) for row in state.get(name, {}).values()] for name in names},
        "events": [{name: row[name] for name in ("id", "type", "created")} for row in state["events"].values()],
    }


PLATFORM = Platform(
    name="stripe",
    prefix=PREFIX,
    handle=handle,
    verb_of=verb_of,
    items_of=items_of,
    reads=frozenset(name for name in PARAMETERS if name.rpartition(".")[2] in ("retrieve", "list", "list_line_items"))
    | {"page.show", "page.style", "page.receipt", "page.portal"},
    on_event=on_event,
    sign=stripe_webhooks.sign,
    settled=stripe_webhooks.settled,
    error=error,
    key_of=key_of,
    snapshot=snapshot,
    real_time=True,
    fault_kinds=stripe_webhooks.FAULT_KINDS
    | {"kept_500_before", "kept_500_after", "slow_execution", "livemode_mismatch"},
)
