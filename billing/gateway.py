"""Stripe behind one service: the only module that imports its SDK (platforms/stripe.md).

Requests travel on `integrations.http.transport`, so that deadline, redaction and "was it sent?" are the same as for
every platform. What comes back are frozen values of ours; what goes wrong are errors of our family:

    NotSent, RateLimited   nothing happened; the same key may be used again later (429, 409)
    OutcomeUnknown         a write may have happened; repeat it with the SAME key and equal parameters
    Unavailable            a read failed; read again
    BadCredentials         401, 403
    NotFound, Rejected     the same request will fail again; `Rejected.code` is Stripe's, or ours: "livemode_mismatch"
"""

from __future__ import annotations

import json
import logging
import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, NoReturn, TypeVar
from urllib.parse import parse_qsl, urlsplit

import stripe
from django.conf import settings

from infra.models import OperatorItem
from integrations.http.call import Call, Request
from integrations.http.errors import (
    BadCredentials,
    NotFound,
    OutcomeUnknown,
    PlatformError,
    RateLimited,
    Rejected,
    Unavailable,
)
from integrations.http.redact import redact, taint
from integrations.http.transport import HttpTransport, Transport

log = logging.getLogger(__name__)
T = TypeVar("T")
PLATFORM = "stripe"
DEADLINE = 20.0
TOLERANCE = 300  # seconds: how old a webhook's signature may be
PAGE = 100
NOTHING_MOVES = frozenset({"prevented"})  # disputes of this state, and inquiries ("warning_..."), take no money

# The SDK logs every request at INFO; our transport and the rows tell that story already.
logging.getLogger("stripe").setLevel(logging.WARNING)


# --- what comes back ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Session:
    """A Checkout Session as it is now. `payment_failed`: its delayed payment was refused."""

    id: str
    status: str
    payment_status: str
    url: str
    checkout_id: str
    reference: str
    customer_id: str
    subscription_id: str
    invoice_id: str
    payment_intent_id: str
    receipt_url: str
    payment_failed: bool
    amount_cents: int
    subtotal_cents: int
    currency: str

    @property
    def is_paid(self) -> bool:
        return self.status == "complete" and self.payment_status in ("paid", "no_payment_required")


@dataclass(frozen=True, slots=True)
class Price:
    """A price. `interval` is empty for a one-time price."""

    id: str
    product_id: str
    lookup_key: str
    amount_cents: int
    currency: str
    interval: str
    active: bool


@dataclass(frozen=True, slots=True)
class Charge:
    """Whose a charge is; an id is empty where it has none."""

    payment_intent_id: str
    customer_id: str


@dataclass(frozen=True, slots=True)
class RefundMade:
    """A refund that exists at Stripe. `refund_id` is ours, from its metadata."""

    id: str
    refund_id: str
    amount_cents: int
    status: str

    @property
    def is_dead(self) -> bool:
        """Tell whether the money did not go back, and will not by this refund."""
        return self.status in ("failed", "canceled")

    @property
    def is_alive(self) -> bool:
        """Tell whether the money went back or is on its way. A word that we do not know is neither alive nor dead."""
        return self.status in ("succeeded", "pending", "requires_action")


@dataclass(frozen=True, slots=True)
class Booked:
    """One balance transaction: what a charge, a refund or a dispute did to our account, in minor units, signed.

    source    "charge", "refund", "refund_failure" or "dispute"
    amount    of the student's money, in `currency`
    gross     as it was booked, in `settled_currency`; less `fee` it is `net`
    """

    id: str
    source: str
    source_id: str
    amount: int
    currency: str
    gross: int
    fee: int
    net: int
    settled_currency: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Bookings:
    """How a payment was booked. `is_complete`: nothing that was charged, refunded or disputed waits to be booked."""

    booked: tuple[Booked, ...]
    is_complete: bool


@dataclass(frozen=True, slots=True)
class InvoicePaid:
    """An invoice whose money has arrived."""

    id: str
    payment_intent_id: str
    amount_cents: int
    currency: str
    url: str


@dataclass(frozen=True, slots=True)
class SubscriptionNow:
    """A subscription as it is now, with its latest invoice and what became of its payments.

    `dispute` is Stripe's word for the dispute that weighs most (lost, then undecided, then won), "" without one; `card` is
    how it is paid, as people read it; `monthly_cents` is what its price comes to, None where that is no fixed amount.
    """

    id: str
    status: str
    monthly_cents: int | None
    period_end: datetime | None
    cancel_at_period_end: bool
    cancel_at: datetime | None
    ended_at: datetime | None
    invoice_id: str
    invoice_status: str
    invoice_cents: int
    invoice_currency: str
    invoice_url: str
    needs_action: bool
    card: str
    dispute: str
    charged_cents: int
    refunded_cents: int


@dataclass(frozen=True, slots=True)
class Notice:
    """A verified webhook: what happened to which object. Never more than a pointer: the object itself is fetched.

    `payload` is the whole event, as JSON that PostgreSQL can keep.
    """

    id: str
    type: str
    api_version: str
    livemode: bool
    object_id: str
    object_type: str
    payload: str


@dataclass(frozen=True, slots=True)
class BillLine:
    """One line of an invoice, or of a preview of one; credits are negative."""

    sentence: str
    amount_cents: int


@dataclass(frozen=True, slots=True)
class Preview:
    """What a change of a subscription would cost now."""

    due_cents: int
    currency: str
    lines: tuple[BillLine, ...]


@dataclass(frozen=True, slots=True)
class Bill:
    """An invoice as it is now."""

    id: str
    status: str
    reason: str
    paid_cents: int
    due_cents: int
    currency: str
    payment_intent_id: str
    url: str


@dataclass(frozen=True, slots=True)
class Contract:
    """A subscription as it is now, with its newest invoice. `is_pending`: a change waits for its payment; `quantity`: how
    often its price is due."""

    id: str
    status: str
    item_id: str
    price_id: str
    quantity: int
    is_pending: bool
    period_end: datetime
    bill: Bill | None


class BadSignature(Exception):
    """A webhook's signature is missing, wrong or too old, or its body is no event. Keep nothing."""


# --- the service ----------------------------------------------------------------------------------------------------


class Gateway:
    """One Stripe account.

    `livemode` is what every object must say; an object of the other mode is refused as Rejected("livemode_mismatch").
    `on_answer` is called after each good answer.
    """

    def __init__(
        self,
        *,
        secret_key: str,
        webhook_secret: str,
        api_url: str,
        livemode: bool,
        transport: Transport,
        on_answer: Callable[[], object] = lambda: None,
    ) -> None:
        taint(secret_key, pinned=True)
        taint(webhook_secret, pinned=True)
        self._webhook_secret = webhook_secret
        self._on_answer = on_answer
        self.livemode = livemode
        client = stripe.StripeClient(
            secret_key,
            base_addresses={"api": api_url},
            max_network_retries=0,
            http_client=_OverTransport(transport, base_path=urlsplit(api_url).path),
        )
        self._v1: Any = client.v1  # the SDK's parameter types are total; ours are plain mappings that tests check

    # Checkout

    def create_session(self, parameters: Mapping[str, Any], *, key: str) -> Session:
        """Create a Checkout Session, or get the one that this key made before. `parameters` must be equal then."""
        return self._write(lambda: self._v1.checkout.sessions.create(dict(parameters), _under(key)), self._session)

    def session(self, session_id: str) -> Session:
        """Return a session as it is now, with what became of its payment. Raises NotFound."""
        found = self._read(
            lambda: self._v1.checkout.sessions.retrieve(session_id, {"expand": ["invoice.payments"]}), self._session
        )
        if found.status == "complete" and found.payment_status == "unpaid" and found.payment_intent_id:
            return self._with_fate_of_payment(found)
        return found

    def find_session(self, checkout_id: str, *, since: datetime) -> Session | None:
        """Return the newest session that carries our checkout's id, or None. Stripe has no filter for it: reads all."""
        window = {"created": {"gte": int(since.timestamp())}, "limit": PAGE}
        found = self._read(
            lambda: list(self._v1.checkout.sessions.list(window).auto_paging_iter()),
            lambda rows: [session for session in map(self._session, rows) if session.checkout_id == checkout_id],
        )
        return found[0] if found else None

    def session_of_subscription(self, subscription_id: str) -> Session | None:
        """Return the session that made a subscription, or None."""
        page = self._read(
            lambda: self._v1.checkout.sessions.list({"subscription": subscription_id, "limit": 1}),
            lambda rows: [self._session(row) for row in rows.data],
        )
        return page[0] if page else None

    def sessions_of_customer(self, customer_id: str) -> list[Session]:
        """Return the newest sessions of a customer: enough of them for anybody who buys one thing."""
        return self._read(
            lambda: self._v1.checkout.sessions.list({"customer": customer_id, "limit": PAGE}),
            lambda rows: [self._session(row) for row in rows.data],
        )

    def expire_session(self, session_id: str) -> Session:
        """Close an open session. Raises Rejected when it is not open any more; so no key of ours is needed."""
        return self._write(
            lambda: self._v1.checkout.sessions.expire(session_id, {"expand": ["invoice.payments"]}),
            self._session,
        )

    # Refunds and subscriptions

    def create_refund(
        self, *, payment_intent_id: str, amount_cents: int, refund_id: str, reference: str, duplicate: bool, key: str
    ) -> RefundMade:
        """Send money back. `refund_id` is ours and goes into the metadata, to find the refund again."""
        parameters = {
            "payment_intent": payment_intent_id,
            "amount": amount_cents,
            "reason": "duplicate" if duplicate else "requested_by_customer",
            "metadata": {"refund_id": refund_id, "provision_ref": reference},
        }
        return self._write(lambda: self._v1.refunds.create(parameters, _under(key)), self._refund)

    def refund(self, refund_id: str) -> RefundMade:
        """Return a refund as it is now. Raises NotFound."""
        return self._read(lambda: self._v1.refunds.retrieve(refund_id), self._refund)

    def refunds_of(self, payment_intent_id: str) -> list[RefundMade]:
        """Return every refund of a payment."""
        return self._read(
            lambda: list(
                self._v1.refunds.list({"payment_intent": payment_intent_id, "limit": PAGE}).auto_paging_iter()
            ),
            lambda rows: [self._refund(row) for row in rows],
        )

    def bookings(self, payment_intent_id: str) -> Bookings:
        """Return how everything that became of a payment was booked: with which fee, and in which currency.

        Stripe books a while after the charge, the refund or the dispute; what is not booked yet makes it incomplete.
        """
        wanted = {"payment_intent": payment_intent_id, "limit": PAGE}
        charges = self._all(self._v1.charges, {**wanted, "expand": ["data.balance_transaction"]})
        charges = [row for row in map(self._checked, charges) if row.status == "succeeded"]
        expand = ["data.balance_transaction", "data.failure_balance_transaction"]
        refunds = self._all(self._v1.refunds, {**wanted, "expand": expand})
        disputes = self._all(self._v1.disputes, wanted) if any(row.disputed for row in charges) else []
        return self._read(lambda: None, lambda _: _bookings(charges, refunds, disputes))

    def _all(self, resource: Any, wanted: dict[str, Any]) -> list[Any]:
        return self._read(lambda: list(resource.list(wanted).auto_paging_iter()), lambda rows: list(rows))

    def charge(self, charge_id: str) -> Charge:
        """Return whose charge it is. Raises NotFound."""
        return self._read(
            lambda: self._v1.charges.retrieve(charge_id),
            lambda row: Charge(_id(self._checked(row).payment_intent), _id(row.customer)),
        )

    def cancel_subscription(self, subscription_id: str) -> None:
        """End a subscription now. One that is gone already is fine."""
        try:
            self._write(lambda: self._v1.subscriptions.cancel(subscription_id), lambda _: None)
        except NotFound:
            return

    def set_cancel_at_period_end(self, subscription_id: str, ending: bool) -> None:
        """Let a subscription run out, or go on after all. Sets a value, so it may be repeated without a key of ours."""
        self._write(
            lambda: self._v1.subscriptions.update(subscription_id, {"cancel_at_period_end": ending}), lambda _: None
        )

    def portal_url(self, customer_id: str, *, return_url: str) -> str:
        """Open the customer portal and return its address, which is as good as a key: short-lived, kept nowhere."""
        parameters = {"customer": customer_id, "return_url": return_url}
        url = self._write(lambda: self._v1.billing_portal.sessions.create(parameters), lambda row: str(row.url))
        taint(url)
        return url

    def subscription(self, subscription_id: str, *, payment_intent_ids: frozenset[str]) -> SubscriptionNow:
        """Return a subscription as it is now. Raises NotFound.

        payment_intent_ids  the payments that belong to it besides its latest invoice's: their refunds and disputes count
        """
        expand = {"expand": ["latest_invoice.payments", "default_payment_method"]}
        row = self._read(lambda: self._v1.subscriptions.retrieve(subscription_id, expand), self._checked)
        invoice = row.latest_invoice
        intent = _payment_intent_of(invoice)
        charges = self._charges_of(_id(row.customer), payment_intent_ids | {intent})
        needs_action, dispute = self._needs_action(invoice, intent), self._dispute(charges)
        return self._read(lambda: row, lambda row: _subscription_now(row, charges, needs_action, dispute))

    def _charges_of(self, customer_id: str, payment_intent_ids: frozenset[str]) -> list[Any]:
        rows = self._read(
            lambda: list(self._v1.charges.list({"customer": customer_id, "limit": PAGE}).auto_paging_iter()),
            lambda rows: [row for row in rows if row.status == "succeeded"],
        )
        return [row for row in rows if _id(row.payment_intent) in payment_intent_ids]

    def _needs_action(self, invoice: Any, intent: str) -> bool:
        if invoice is None or invoice.status != "open" or not intent:
            return False
        return self._read(
            lambda: self._v1.payment_intents.retrieve(intent), lambda row: bool(row.status == "requires_action")
        )

    def _dispute(self, charges: list[Any]) -> str:
        words = [word for charge in charges if charge.disputed for word in self._disputes_of(charge.id)]
        settled = ("won", "warning_closed", "prevented")
        return min(words, key=lambda word: (word != "lost", word in settled), default="")

    def _disputes_of(self, charge_id: str) -> list[str]:
        wanted = {"charge": charge_id, "limit": PAGE}
        return self._read(lambda: self._v1.disputes.list(wanted), lambda rows: [str(row.status) for row in rows.data])

    def paid_invoices(self, subscription_id: str) -> list[InvoicePaid]:
        """Return every paid invoice of a subscription that cost something."""
        wanted = {"subscription": subscription_id, "status": "paid", "limit": PAGE, "expand": ["data.payments"]}
        return self._read(
            lambda: list(self._v1.invoices.list(wanted).auto_paging_iter()),
            lambda rows: [
                InvoicePaid(
                    row.id,
                    _payment_intent_of(row),
                    int(row.amount_paid),
                    str(row.currency),
                    str(row.hosted_invoice_url or ""),
                )
                for row in map(self._checked, rows)
                if row.amount_paid
            ],
        )

    # Changing a package

    def contract(self, subscription_id: str) -> Contract:
        """Return a subscription as it is now. Raises NotFound."""
        return self._read(
            lambda: self._v1.subscriptions.retrieve(subscription_id, {"expand": ["latest_invoice.payments"]}),
            self._contract,
        )

    def bill(self, invoice_id: str) -> Bill:
        """Return an invoice as it is now. Raises NotFound."""
        return self._read(lambda: self._v1.invoices.retrieve(invoice_id, {"expand": ["payments"]}), self._bill)

    def preview(self, parameters: Mapping[str, Any]) -> Preview:
        """Return what a change would cost. Changes nothing, so a lost answer is asked for again."""
        return self._read(lambda: self._v1.invoices.create_preview(dict(parameters)), _preview)

    def change_subscription(self, subscription_id: str, parameters: Mapping[str, Any], *, key: str) -> Contract:
        """Change a subscription, or get what this key changed before. `parameters` must be equal then."""
        return self._write(
            lambda: self._v1.subscriptions.update(subscription_id, dict(parameters), _under(key)), self._contract
        )

    # Products and prices

    def ensure_product(self, product_id: str, name: str) -> None:
        """Make the product with our own id, or give an existing one this name."""
        try:
            found = self._read(lambda: self._v1.products.retrieve(product_id), lambda row: str(row.name))
        except NotFound:
            self._write(lambda: self._v1.products.create({"id": product_id, "name": name}), lambda _: None)
            return
        if found != name:
            self._write(lambda: self._v1.products.update(product_id, {"name": name}), lambda _: None)

    def prices(self, lookup_keys: Iterable[str]) -> dict[str, Price]:
        """Return the active prices that hold these lookup keys, by key. At most ten keys, as Stripe allows."""
        wanted = {"lookup_keys": list(lookup_keys), "active": True, "limit": PAGE}
        found = self._read(lambda: self._v1.prices.list(wanted), lambda rows: [self._price(row) for row in rows.data])
        return {price.lookup_key: price for price in found}

    def create_price(
        self, *, product_id: str, lookup_key: str, amount_cents: int, currency: str, interval: str
    ) -> Price:
        """Make a price that takes `lookup_key` over from whichever price held it. Look the key up before repeating."""
        parameters: dict[str, Any] = {
            "product": product_id,
            "currency": currency,
            "unit_amount": amount_cents,
            "lookup_key": lookup_key,
            "transfer_lookup_key": True,
        }
        if interval:
            parameters["recurring"] = {"interval": interval}
        return self._write(lambda: self._v1.prices.create(parameters), self._price)

    def deactivate_price(self, price_id: str) -> None:
        """Offer a price no more; sessions and subscriptions that use it go on."""
        self._write(lambda: self._v1.prices.update(price_id, {"active": False}), lambda _: None)

    # Webhooks

    def verify(self, body: bytes, header: str) -> Notice:
        """Check a webhook's signature and age on its raw body and return what it points at. Raises BadSignature.

        The age check is one-sided: a time in the future passes (seen). Nobody without the secret can sign one.
        """
        try:
            stripe.WebhookSignature.verify_header(body, header, self._webhook_secret, TOLERANCE)
        except (stripe.SignatureVerificationError, ValueError, TypeError) as error:
            raise BadSignature("the signature is missing, wrong or too old") from error
        try:
            return _notice(body)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise BadSignature("the body is no event") from error

    # Inside

    def _read(self, send: Callable[[], Any], parse: Callable[[Any], T]) -> T:
        try:
            return parse(self._answered(send()))
        except OutcomeUnknown as error:
            raise Unavailable(error.sentence, **_where(error)) from error
        except stripe.StripeError as error:
            _raise_ours(error, is_write=False)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise Unavailable("the answer has an unknown shape", platform=PLATFORM) from error

    def _write(self, send: Callable[[], Any], parse: Callable[[Any], T]) -> T:
        try:
            return parse(self._answered(send()))
        except stripe.StripeError as error:
            _raise_ours(error, is_write=True)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise OutcomeUnknown("the answer has an unknown shape", platform=PLATFORM) from error

    def _answered(self, answer: Any) -> Any:
        """Say that Stripe took our key. What listens must not turn an answered write into one of unknown outcome."""
        try:
            self._on_answer()
        except Exception:
            log.exception("a good answer could not be noted")
        return answer

    def _checked(self, row: Any) -> Any:
        if bool(row.livemode) is not self.livemode:
            mode = "live" if row.livemode else "test"
            raise Rejected("livemode_mismatch", f"an object of {mode} mode", platform=PLATFORM)
        return row

    def _session(self, row: Any) -> Session:
        self._checked(row)
        invoice = row.invoice
        metadata = row.metadata.to_dict() if row.metadata else {}
        return Session(
            id=row.id,
            status=str(row.status),
            payment_status=str(row.payment_status),
            url=row.url or "",
            checkout_id=metadata.get("checkout_id", ""),
            reference=metadata.get("provision_ref", ""),
            customer_id=_id(row.customer),
            subscription_id=_id(row.subscription),
            invoice_id=_id(invoice),
            payment_intent_id=_payment_intent_of(invoice) or _id(row.payment_intent),
            receipt_url="" if invoice is None or isinstance(invoice, str) else str(invoice.hosted_invoice_url or ""),
            payment_failed=False,
            amount_cents=int(row.amount_total or 0),
            subtotal_cents=_subtotal(row),
            currency=str(row.currency or ""),
        )

    def _with_fate_of_payment(self, session: Session) -> Session:
        """Say whether a delayed payment was refused: then its payment intent wants another means of payment."""
        status = self._read(
            lambda: self._v1.payment_intents.retrieve(session.payment_intent_id), lambda row: str(row.status)
        )
        values = {name: getattr(session, name) for name in Session.__slots__}
        return Session(**values | {"payment_failed": status in ("requires_payment_method", "canceled")})

    def _price(self, row: Any) -> Price:
        self._checked(row)
        return Price(
            id=row.id,
            product_id=_id(row.product),
            lookup_key=row.lookup_key or "",
            amount_cents=int(row.unit_amount),
            currency=row.currency,
            interval=str(row.recurring.interval) if row.recurring else "",
            active=bool(row.active),
        )

    def _contract(self, row: Any) -> Contract:
        self._checked(row)
        item, invoice = row["items"].data[0], row.latest_invoice
        return Contract(
            id=row.id,
            status=str(row.status),
            item_id=item.id,
            price_id=item.price.id,
            quantity=int(item.quantity or 1),
            is_pending=row.pending_update is not None,
            period_end=datetime.fromtimestamp(int(item.current_period_end), UTC),
            bill=None if invoice is None or isinstance(invoice, str) else self._bill(invoice),
        )

    def _bill(self, row: Any) -> Bill:
        self._checked(row)
        return Bill(
            id=row.id,
            status=str(row.status),
            reason=str(row.billing_reason or ""),
            paid_cents=int(row.amount_paid),
            due_cents=int(row.amount_due),
            currency=row.currency,
            payment_intent_id=_payment_intent_of(row),
            url=str(row.hosted_invoice_url or ""),
        )

    def _refund(self, row: Any) -> RefundMade:
        metadata = row.metadata.to_dict() if row.metadata else {}
        return RefundMade(
            id=row.id,
            refund_id=metadata.get("refund_id", ""),
            amount_cents=int(row.amount),
            status=str(row.status),
        )


@lru_cache(maxsize=1)
def current() -> Gateway:
    """Return this process's gateway, made from the settings. Tests replace this function."""
    return Gateway(
        secret_key=settings.STRIPE_SECRET_KEY,
        webhook_secret=settings.STRIPE_WEBHOOK_SECRET,
        api_url=settings.STRIPE_API_URL,
        livemode=not settings.SANDBOX,
        transport=HttpTransport(),
        on_answer=key_accepted,
    )


def key_accepted() -> None:
    """Close the alert of a refused key: Stripe takes it again, and the next refusal is to be heard of."""
    OperatorItem.close("circuit", key=PLATFORM, resolution="Stripe takes our key again.")


# --- reading what comes back ------------------------------------------------------------------------------------------


def _id(value: Any) -> str:
    """Return the id of something that may be expanded, may be an id and may be missing."""
    return "" if value is None else value if isinstance(value, str) else str(value.id)


def _subtotal(session: Any) -> int:
    """Return a session's amount before tax and discounts; where Stripe does not say it, nothing differs."""
    stated = session.amount_subtotal if "amount_subtotal" in session else None
    return int((session.amount_total or 0) if stated is None else stated)


def _preview(row: Any) -> Preview:
    lines = tuple(BillLine(str(line.description or ""), int(line.amount)) for line in row.lines.data)
    return Preview(int(row.amount_due), row.currency, lines)


def _payment_intent_of(invoice: Any) -> str:
    """Return the payment intent of an expanded invoice. `invoice.payment_intent` is gone since 2025."""
    if invoice is None or isinstance(invoice, str) or "payments" not in invoice:
        return ""
    for payment in invoice.payments.data:
        if payment.payment.type == "payment_intent":
            return _id(payment.payment.payment_intent)
    return ""


def _bookings(charges: list[Any], refunds: list[Any], disputes: list[Any]) -> Bookings:
    booked: list[Booked | None] = [_booked("charge", row, row.balance_transaction, row.amount) for row in charges]
    for row in refunds:
        if row.status != "canceled" or row.balance_transaction is not None:
            booked.append(_booked("refund", row, row.balance_transaction, -row.amount))
        if row.status == "failed":
            booked.append(_booked("refund_failure", row, row.failure_balance_transaction, row.amount))
    for row in disputes:
        steps = row.balance_transactions
        due = 0 if row.status in NOTHING_MOVES or row.status.startswith("warning_") else 2 if row.status == "won" else 1
        booked += [_booked("dispute", row, step, row.amount if step.amount > 0 else -row.amount) for step in steps]
        booked += [None] * (due - len(steps))
    known = tuple(one for one in booked if one is not None)
    return Bookings(known, bool(charges) and len(known) == len(booked))


def _booked(source: str, row: Any, move: Any, amount: int) -> Booked | None:
    """Read a balance transaction; None where Stripe has not booked yet. Raises ValueError when it does not add up."""
    if move is None:
        return None
    if int(move.amount) - int(move.fee) != int(move.net):
        raise ValueError("a balance transaction does not add up")
    return Booked(
        id=move.id,
        source=source,
        source_id=row.id,
        amount=int(amount),
        currency=str(row.currency),
        gross=int(move.amount),
        fee=int(move.fee),
        net=int(move.net),
        settled_currency=str(move.currency),
        at=datetime.fromtimestamp(int(move.created), UTC),
    )


def _subscription_now(row: Any, charges: list[Any], needs_action: bool, dispute: str) -> SubscriptionNow:
    invoice, item = row.latest_invoice, row["items"].data[0]
    return SubscriptionNow(
        id=row.id,
        status=str(row.status),
        monthly_cents=_amount_of(item),
        period_end=_instant(item.current_period_end),
        cancel_at_period_end=bool(row.cancel_at_period_end),
        cancel_at=_instant(row.cancel_at),
        ended_at=_instant(row.ended_at),
        invoice_id=_id(invoice),
        invoice_status=str(invoice.status) if invoice else "",
        invoice_cents=int(invoice.amount_due) if invoice else 0,
        invoice_currency=str(invoice.currency) if invoice else "",
        invoice_url=str(invoice.hosted_invoice_url or "") if invoice else "",
        needs_action=needs_action,
        card=_card_of(row.default_payment_method),
        dispute=dispute,
        charged_cents=sum(int(charge.amount) for charge in charges),
        refunded_cents=sum(int(charge.amount_refunded) for charge in charges),
    )


def _amount_of(item: Any) -> int | None:
    unit = item.price.unit_amount
    return None if unit is None else int(unit) * int(item.quantity or 1)


def _instant(seconds: Any) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(int(seconds), UTC)


def _card_of(method: Any) -> str:
    """Return how a subscription is paid, e.g. "visa 4242"; of other means than cards, their kind."""
    if method is None or isinstance(method, str):
        return ""
    card = method.card if method.type == "card" and "card" in method else None
    return f"{card.brand} {card.last4}" if card is not None else str(method.type)


# Zero bytes and half surrogates, escaped or (as CESU-8) not; some harmless text beside them.
_ODD_TEXT = re.compile(rb"\\u(?:0000|[dD][89a-fA-F])|\xed[\xa0-\xbf]")


def _notice(body: bytes) -> Notice:
    event = json.loads(body, parse_constant=_refuse_constant, parse_float=_finite)
    if _ODD_TEXT.search(body):  # almost never, and going through every value takes longer than all the rest
        event = _storable(event)
    # A thin event (v2) names its object and prefixes the type; since we fetch the object anyway, it serves as well.
    is_thin = event["object"] == "v2.core.event"
    if not is_thin and event["object"] != "event":
        raise ValueError("not an event")
    subject = (event.get("related_object") or {}) if is_thin else event["data"]["object"]
    return Notice(
        id=_text(event["id"]),
        type=_text(event["type"]).removeprefix("v1."),
        api_version=str(event.get("api_version") or ""),
        livemode=bool(event["livemode"]),
        object_id=str(subject.get("id") or ""),
        object_type=str(subject.get("object") or subject.get("type") or ""),
        payload=json.dumps(event),
    )


def _storable(value: Any) -> Any:
    """Return JSON without the text that PostgreSQL cannot keep: zero bytes, half surrogates."""
    if isinstance(value, dict):
        return {_storable(name): _storable(child) for name, child in value.items()}
    if isinstance(value, list):
        return [_storable(child) for child in value]
    if isinstance(value, str):
        return value.replace("\0", "").encode("utf-8", "replace").decode()
    return value


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("not a finite number")
    return number


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError("not a text")
    return value


def _under(key: str) -> dict[str, Any]:
    return {"idempotency_key": key}


# --- errors -----------------------------------------------------------------------------------------------------------


def _where(error: PlatformError) -> dict[str, Any]:
    return {"platform": error.platform, "verb": error.verb, "status": error.status, "request_id": error.request_id}


def _raise_ours(error: stripe.StripeError, *, is_write: bool) -> NoReturn:
    """Raise the error of our family that an error of the SDK means."""
    status = error.http_status
    where: dict[str, Any] = {"platform": PLATFORM, "status": status, "request_id": str(error.request_id or "")}
    sentence = redact(str(error.user_message or type(error).__name__))[:300]
    if isinstance(error, stripe.RateLimitError) or status in (409, 429):
        raise RateLimited(sentence, advised_wait=_advice(error.headers), **where) from error
    if isinstance(error, stripe.AuthenticationError | stripe.PermissionError):
        raise BadCredentials(sentence, **where) from error
    if status == 404 or error.code == "resource_missing":
        raise NotFound(sentence, **where) from error
    if isinstance(error, stripe.IdempotencyError):
        raise Rejected("idempotency_key_reused", sentence, **where) from error
    if status is not None and 400 <= status < 500:
        raise Rejected(str(error.code or "invalid_request"), sentence, **where) from error
    raise (OutcomeUnknown if is_write else Unavailable)(sentence, **where) from error


def _advice(headers: Mapping[str, str] | None) -> float | None:
    value = {name.lower(): text for name, text in (headers or {}).items()}.get("retry-after", "")
    return float(value) if re.fullmatch(r"\d{1,6}(\.\d+)?", value) else None


# --- the SDK's way out ----------------------------------------------------------------------------------------------


class _OverTransport(stripe.HTTPClient):
    """Sends the SDK's requests on our transport. Its own retries never happen: they are set to none."""

    name = "gtm"

    def __init__(self, transport: Transport, *, base_path: str) -> None:
        super().__init__()
        self._transport = transport
        self._base_path = base_path.rstrip("/")

    def request(
        self, method: str, url: str, headers: Mapping[str, str] | None, post_data: Any = None, *, _usage: Any = None
    ) -> tuple[str, int, Mapping[str, str]]:
        """Send one request. Raises NotSent or OutcomeUnknown, which pass through the SDK as they are."""
        parts = urlsplit(url)
        request = Request(
            method=method.upper(),
            url=parts._replace(query="").geturl(),
            headers={name: value for name, value in (headers or {}).items() if name.lower() != "content-type"},
            query=dict(parse_qsl(parts.query, keep_blank_values=True)),
            form=parse_qsl(post_data or "", keep_blank_values=True) if method.upper() == "POST" else None,
        )
        verb = _verb(method, parts.path.removeprefix(self._base_path))
        raw = self._transport.send(
            Call(
                platform=PLATFORM,
                verb=verb,
                request=request,
                parse=lambda raw: raw,
                classify=lambda raw: None,
                items=() if method.upper() == "GET" else (verb,),
                deadline=DEADLINE,
            )
        )
        return raw.body.decode("utf-8", "replace"), raw.status, raw.headers

    def close(self) -> None:
        """Nothing is kept open here."""


_WORDS = frozenset(
    (
        *(
            "billing_portal",
            "charges",
            "checkout",
            "create_preview",
            "disputes",
            "expire",
            "invoices",
            "payment_intents",
        ),
        *("prices", "products", "refunds", "sessions", "subscriptions"),
    )
)


def _verb(method: str, path: str) -> str:
    """Return e.g. "post checkout.sessions.expire": the address without ids."""
    return f"{method.lower()} {'.'.join(part for part in path.split('/') if part in _WORDS)}"
