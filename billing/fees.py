"""What Stripe itself takes: how each payment was booked, asked once it is known and again when something happens to it.

Read-only. Stripe books a while after the fact, so a payment waits here until all of its bookings are known; until then
pages say "not known yet". What is booked never changes; later things (a refund, a dispute) are bookings of their own.
"""

from __future__ import annotations

import logging
from datetime import timedelta

from django.db import transaction
from django.db.models import QuerySet

from infra.clock import MachineInstant, machine_now
from infra.rls import acting_as
from integrations.http.errors import BadCredentials, PlatformError, RateLimited

from . import gateway
from .actions import report_refused_key
from .gateway import Booked
from .models import Booking, Payment

log = logging.getLogger(__name__)

# Machine time until the next question, by how many were asked in vain.
WAITS = (
    timedelta(minutes=2),
    timedelta(minutes=10),
    timedelta(hours=1),
    timedelta(hours=6),
    timedelta(days=1),
)


def is_due() -> bool:
    """Tell whether it is time to ask how a payment was booked."""
    return _due(machine_now()).exists()


def drain(limit: int = 10) -> int:
    """Ask how payments were booked that wait longest. Answers the bell `fees`; returns how many were asked about.

    At the first sign that Stripe has enough of us it ends: nobody waits for a fee.
    """
    with acting_as("worker"):
        done = 0
        while done < limit and (payment := _claim()) is not None:
            done += 1
            if not _look_safely(payment):
                break
        return done


def _due(now: MachineInstant) -> QuerySet[Payment]:
    return Payment.objects.filter(fees_due_at__lte=now)


def _claim() -> Payment | None:
    """Take the payment that waits longest, and put its next question off before this one is asked."""
    now = machine_now()
    with transaction.atomic():
        payment = _due(now).select_for_update(skip_locked=True, of=("self",)).order_by("fees_due_at").first()
        if payment is not None:
            payment.fees_due_at = now + WAITS[min(payment.fees_looks, len(WAITS) - 1)]
            payment.fees_looks += 1
            payment.save(update_fields=["fees_due_at", "fees_looks", "updated_at"])
    return payment


def _look_safely(payment: Payment) -> bool:
    """Ask about one payment; return False when no other needs to be asked about now."""
    try:
        look(payment)
    except BadCredentials as error:
        report_refused_key(error)
        return False
    except RateLimited:
        return False
    except PlatformError as error:
        log.warning("fees not read: %s", error, extra={"payment": str(payment.pk)})
    return True


def look(payment: Payment) -> bool:
    """Ask how a payment was booked and write that down; return whether all of it is known. Raises PlatformError."""
    if not payment.amount_cents:
        return _know(payment)
    intent = payment.stripe_payment_intent_id or _intent_of(payment)
    if not intent:
        return False
    found = gateway.current().bookings(intent)
    Booking.objects.bulk_create([_row(payment, one) for one in found.booked], ignore_conflicts=True)
    return found.is_complete and _know(payment)


def _intent_of(payment: Payment) -> str:
    """Return how a payment was made that was recorded before Stripe had filled its invoice in."""
    if not payment.stripe_invoice_id:
        return ""
    found = gateway.current().bill(payment.stripe_invoice_id).payment_intent_id
    if found:
        Payment.objects.filter(pk=payment.pk, stripe_payment_intent_id="").update(stripe_payment_intent_id=found)
    return found


def _row(payment: Payment, one: Booked) -> Booking:
    return Booking(
        payment=payment,
        student_id=payment.student_id,
        stripe_id=one.id,
        source=one.source,
        source_id=one.source_id,
        amount=one.amount,
        currency=one.currency,
        gross=one.gross,
        fee=one.fee,
        net=one.net,
        settled_currency=one.settled_currency,
        booked_at=one.at,
    )


def _know(payment: Payment) -> bool:
    """Note that all is known, unless something happened to the payment while we asked."""
    mine = Payment.objects.filter(pk=payment.pk, fees_due_at=payment.fees_due_at)
    return bool(mine.update(fees_due_at=None, fees_looks=0, fees_at=machine_now()))
