"""An order's money, explained line by line: what was paid, went back, Stripe took and the platforms were paid. Pure.

Every line says where its figure comes from; what is not known yet has none, and is never a zero. Currencies are never
converted by us: where Stripe did, both sides are lines. What the lines say is held against Stripe's own books and totals,
and a difference is shown, not hidden.
"""

from __future__ import annotations

import enum
import uuid
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from django.utils.translation import gettext as _

from provisioning.spending import Basis, Spent

from .models import Booking, Payment, Refund

Part = tuple[str, int]  # what of a payment was for what, in its currency


class Group(enum.StrEnum):
    """What kind of line it is; the order of a page."""

    PAID = "paid"
    BACK = "back"
    CONVERTED = "converted"
    FEES = "fees"
    SPENT = "spent"


class Origin(enum.StrEnum):
    """Where a figure comes from."""

    STRIPE = "stripe"
    NAMED = "named"  # what a platform named when it was ordered
    SETTING = "setting"  # an estimate


@dataclass(frozen=True, slots=True)
class Line:
    """One figure in minor units, signed as it changes what is left; None: not known yet."""

    group: Group
    what: str
    amount: int | None
    currency: str
    origin: Origin
    at: datetime | None = None
    parts: Sequence[Part] = ()

    @property
    def unexplained(self) -> int:
        """Return by how much the parts of a payment differ from it."""
        return 0 if not self.parts or self.amount is None else self.amount - sum(cents for _what, cents in self.parts)


@dataclass(frozen=True, slots=True)
class Sum:
    """What the known figures come to; how many there are, and how many are not known yet."""

    known: int = 0
    figures: int = 0
    unknown: int = 0

    def plus(self, line: Line) -> Sum:
        """Return the sum with one more line."""
        if line.amount is None:
            return Sum(self.known, self.figures, self.unknown + 1)
        return Sum(self.known + line.amount, self.figures + 1, self.unknown)


@dataclass(frozen=True, slots=True)
class Check:
    """What our lines say beside what Stripe says of the same; they are equal, or a person looks."""

    what: str
    ours: int
    theirs: int
    currency: str

    @property
    def difference(self) -> int:
        return self.ours - self.theirs


@dataclass
class Account:
    """The money of one order, or of several."""

    lines: list[Line] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)

    def currencies(self) -> list[str]:
        """Return every currency that a figure is in; that of the first payment first."""
        return list(dict.fromkeys(line.currency for line in self.lines))

    def total(self, currency: str, *groups: Group) -> Sum:
        """Return the sum of some groups; of all of them, what is left."""
        found = Sum()
        for line in self.lines:
            if line.currency == currency and (not groups or line.group in groups):
                found = found.plus(line)
        return found

    def of(self, group: Group) -> list[Line]:
        return [line for line in self.lines if line.group is group]


@dataclass(frozen=True, slots=True)
class Paid:
    """A payment with what became of it. `parts` are what it was for, by the order; `counts`: Stripe's totals hold it."""

    payment: Payment
    refunds: Sequence[Refund] = ()
    bookings: Sequence[Booking] = ()
    parts: Sequence[Part] = ()
    counts: bool = True


def explain(
    paid: Sequence[Paid], spent: Iterable[Spent], *, charged: int | None = None, refunded: int | None = None
) -> Account:
    """Return the account of an order.

    charged, refunded  what Stripe says of the subscription as a whole; None as long as it was not asked
    """
    account = Account()
    for one in paid:
        lines = [*_of_payment(one)]
        account.lines += lines
        account.checks += _against_the_books(one, lines)
    account.lines += [_of_spent(one) for one in spent]
    counted = [one.payment for one in paid if one.counts]
    if counted and charged is not None:
        ours = sum(payment.amount_cents for payment in counted)
        account.checks.append(Check(_("Charged, as Stripe says in all"), ours, charged, counted[0].currency))
    if counted and refunded is not None:
        ours = sum(payment.refunded_cents for payment in counted)
        account.checks.append(Check(_("Refunded, as Stripe says in all"), ours, refunded, counted[0].currency))
    return account


def _of_payment(one: Paid) -> Iterable[Line]:
    payment = one.payment
    by_source: dict[str, list[Booking]] = defaultdict(list)
    for booking in one.bookings:
        by_source[booking.source].append(booking)
    name = payment.stripe_invoice_id or _("Payment")
    yield Line(
        Group.PAID, name, payment.amount_cents, payment.currency, Origin.STRIPE, payment.paid_at, tuple(one.parts)
    )
    charges = by_source[Booking.Source.CHARGE]
    if not charges and payment.amount_cents:
        yield _unknown(Group.FEES, _("Fee of %(what)s") % {"what": name}, payment)
    for booking in charges:
        yield from _booked(booking, _("Fee of %(what)s") % {"what": name}, always=True)
    for refund in one.refunds:
        yield from _of_refund(refund, payment, by_source)
    if charges and payment.fees_due_at is not None:
        # A dispute may have taken the money by now: Stripe is asked, and until it has answered that is not known.
        yield _unknown(Group.BACK, _("What became of %(what)s lately") % {"what": name}, payment)
    for booking in by_source[Booking.Source.DISPUTE]:
        taken = booking.amount < 0
        what = _("Taken back by the bank") if taken else _("Given back by the bank")
        yield Line(Group.BACK, what, booking.amount, booking.currency, Origin.STRIPE, booking.booked_at)
        yield from _booked(booking, _("Fee of the dispute") if taken else _("Fee of the dispute, returned"))


def _of_refund(refund: Refund, payment: Payment, by_source: Mapping[str, list[Booking]]) -> Iterable[Line]:
    """A refund that did not reach the student went and came back; one that is due has not moved yet."""
    booked = [one for one in by_source[Booking.Source.REFUND] if one.source_id == refund.stripe_refund_id]
    failed = [one for one in by_source[Booking.Source.REFUND_FAILURE] if one.source_id == refund.stripe_refund_id]
    went, came_back = refund.state == Refund.State.SENT or booked, refund.state == Refund.State.FAILED and booked
    what = refund.reason or _("Refund")
    if went:
        at = booked[0].booked_at if booked else refund.updated_at
        yield Line(Group.BACK, what, -refund.amount_cents, refund.currency, Origin.STRIPE, at)
    if went and not booked:
        yield _unknown(Group.FEES, _("Fee of the refund"), payment)
    for booking in booked:
        yield from _booked(booking, _("Fee of the refund"))
    for booking in failed:
        words = _("%(what)s: did not arrive and came back") % {"what": what}
        yield Line(Group.BACK, words, booking.amount, booking.currency, Origin.STRIPE, booking.booked_at)
        yield from _booked(booking, _("Fee of the refund that failed"))
    if came_back and not failed:
        yield _unknown(Group.BACK, _("%(what)s: did not arrive and comes back") % {"what": what}, payment)


def _unknown(group: Group, what: str, payment: Payment) -> Line:
    return Line(group, what, None, payment.currency, Origin.STRIPE)


def _booked(booking: Booking, fee: str, *, always: bool = False) -> Iterable[Line]:
    """Say what Stripe took for itself, and how it exchanged the money if it did."""
    at = booking.booked_at
    if booking.fee or always:
        yield Line(Group.FEES, fee, -booking.fee, booking.settled_currency, Origin.STRIPE, at)
    if booking.settled_currency != booking.currency:
        words = {"was": booking.currency.upper(), "is": booking.settled_currency.upper()}
        what = _("Exchanged by Stripe: %(was)s to %(is)s") % words
        yield Line(Group.CONVERTED, what, -booking.amount, booking.currency, Origin.STRIPE, at)
        yield Line(Group.CONVERTED, what, booking.gross, booking.settled_currency, Origin.STRIPE, at)


def _against_the_books(one: Paid, lines: Sequence[Line]) -> Iterable[Check]:
    """Hold a payment's lines against Stripe's balance transactions, once all of them are known."""
    if not one.bookings or any(line.amount is None for line in lines):
        return
    ours, theirs = defaultdict[str, int](int), defaultdict[str, int](int)
    for line in lines:
        ours[line.currency] += line.amount or 0
    for booking in one.bookings:
        theirs[booking.settled_currency] += booking.net
    name = one.payment.stripe_invoice_id or str(one.payment.pk)
    for currency in {**ours, **theirs}:
        what = _("Net of %(what)s in Stripe's books") % {"what": name}
        yield Check(what, ours[currency], theirs[currency], currency)


def _of_spent(one: Spent) -> Line:
    what = _("%(seller)s: %(what)s") % {"seller": one.seller, "what": one.what}
    amount = None if one.cents is None else -one.cents
    origin = Origin.NAMED if one.basis is Basis.NAMED else Origin.SETTING
    return Line(Group.SPENT, what, amount, one.currency, origin, one.at)


def together(accounts: Mapping[uuid.UUID, Account]) -> Account:
    """Return the account of several orders as one."""
    every = accounts.values()
    return Account([line for one in every for line in one.lines], [check for one in every for check in one.checks])
