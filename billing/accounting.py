"""The rows that an order's account is made of, read for one order or many with as many queries."""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime

from django.conf import settings
from django.utils.translation import gettext as _

from infra.models import OrderLine, Provision
from provisioning.engine.options import Options
from provisioning.spending import spent

from .account import Account, Paid, Part, explain
from .models import Booking, Checkout, Payment, Refund, Subscription, Upgrade


def accounts(provisions: Sequence[Provision], *, now: datetime) -> dict[uuid.UUID, Account]:
    """Return the account of each order. `now` is vendor time: until then the platforms were paid."""
    ids = [one.pk for one in provisions]
    payments = Payment.objects.filter(provision__in=ids).select_related("checkout").order_by("paid_at", "created_at")
    held = list(payments)
    refunds, bookings = defaultdict[uuid.UUID, list[Refund]](list), defaultdict[uuid.UUID, list[Booking]](list)
    for refund in Refund.objects.filter(payment__in=held).order_by("created_at"):
        refunds[refund.payment_id].append(refund)
    for booking in Booking.objects.filter(payment__in=held):
        bookings[booking.payment_id].append(booking)
    parts = _Parts.read(ids)
    paid = defaultdict[uuid.UUID, list[Paid]](list)
    for one in held:
        mine = Paid(one, refunds[one.pk], bookings[one.pk], parts.of(one), _counts(one))
        paid[one.provision_id].append(mine)
    costs = spent(provisions, options=Options.from_mapping(settings.BUILD_OPTIONS), now=now)
    said = {one.provision_id: one for one in Subscription.objects.filter(provision__in=ids, checked_at__isnull=False)}
    return {
        key: explain(
            paid[key],
            costs[key],
            charged=said[key].charged_cents if key in said else None,
            refunded=said[key].refunded_cents if key in said else None,
        )
        for key in ids
    }


def _counts(payment: Payment) -> bool:
    """Tell whether Stripe's totals of the subscription hold a payment: not one that was made twice or too late."""
    is_extra = payment.checkout is not None and payment.checkout.state != Checkout.State.PAID
    return bool(payment.stripe_payment_intent_id) and not is_extra


class _Parts:
    """What each payment was for: the lines of the order, or the lines of an upgrade's invoice."""

    def __init__(self, upgrades: dict[str, list[Part]], first: dict[uuid.UUID, list[Part]]) -> None:
        self._upgrades, self._first = upgrades, first

    @classmethod
    def read(cls, ids: Sequence[uuid.UUID]) -> _Parts:
        upgrades = Upgrade.objects.filter(provision__in=ids).exclude(invoice_id="").values_list("invoice_id", "lines")
        first: dict[uuid.UUID, dict[str, Part]] = defaultdict(dict)
        kinds = (OrderLine.Kind.SETUP, OrderLine.Kind.MONTHLY)
        for line in OrderLine.objects.filter(provision__in=ids, kind__in=kinds).order_by("created_at"):
            # An upgrade adds a set-up line of its own; the first of a kind is the order's.
            first[line.provision_id].setdefault(line.kind, (str(line.get_kind_display()), line.amount_cents))
        return cls(
            {invoice: [(str(what), int(cents)) for what, cents in lines] for invoice, lines in upgrades},
            {key: list(lines.values()) for key, lines in first.items()},
        )

    def of(self, payment: Payment) -> list[Part]:
        if payment.stripe_invoice_id in self._upgrades:
            return self._upgrades[payment.stripe_invoice_id]
        if payment.checkout is not None:
            return self._first.get(payment.provision_id, []) if payment.checkout.state == Checkout.State.PAID else []
        return [(_("Monthly fee"), payment.amount_cents)]
