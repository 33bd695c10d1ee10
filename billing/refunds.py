"""Money on its way back. A refund is a row first, with a key that names its reason, and is sent by the bell `refunds`.

Two kinds: the share of a lost domain (`line:<order line>`), which provisioning marked as due; and a whole payment that
no order waits for (`duplicate:<checkout>`, `late:<checkout>`), whose subscription is ended before the money goes back.
"""

from __future__ import annotations

import logging
from datetime import timedelta

from django.db import transaction
from django.db.models import CharField, Exists, F, OuterRef, Q, QuerySet, Value
from django.db.models.functions import Cast, Concat

from infra.clock import MachineInstant, machine_now
from infra.models import OperatorItem, OrderLine
from infra.rls import acting_as
from integrations.http.errors import BadCredentials, Permanent, PlatformError
from provisioning.engine.doorbell import ring
from provisioning.models import Event

from . import gateway
from .actions import later, post, report_refused_key
from .gateway import RefundMade
from .models import Payment, Refund

log = logging.getLogger(__name__)

WHOLE = ("duplicate", "late")
# A claim holds a refund back for longer than a call can last, so that nobody else sends it at the same time.
CLAIMED_FOR = timedelta(seconds=60)
# Attempts with one key: the third and later ones have read back first, so a kept 500 does not last for ever.
ATTEMPTS_PER_KEY = 2
ALERT_AFTER = 4


def drain(limit: int = 10) -> int:
    """Turn due order lines into refunds, then send what is due. Returns how many were worked on."""
    with acting_as("worker"):
        done = 0
        while done < limit and _adopt_line():
            done += 1
        while done < limit and (refund := _claim()) is not None:
            done += 1
            if not _send_safely(refund):
                break
        return done


def _adopt_line() -> bool:
    """Make a refund of the next order line that is due; return whether there was one."""
    with transaction.atomic():
        line = (
            _due_lines()
            .select_for_update(skip_locked=True, of=("self",))
            .select_related("provision")
            .order_by("created_at")
            .first()
        )
        if line is None:
            return False
        payment = _payment_with(line)
        if payment is None:
            _nothing_to_refund_from(line)
            return True
        Refund.objects.get_or_create(
            key=f"line:{line.pk}",
            defaults={
                "payment": payment,
                "student_id": line.student_id,
                "amount_cents": line.amount_cents,
                "currency": line.currency,
                "reason": line.reason,
            },
        )
    return True


def is_due() -> bool:
    """Tell whether a refund may be made or sent now."""
    return _due_lines().exists() or _due(machine_now()).exists()


def _due_lines() -> QuerySet[OrderLine]:
    """Return the order lines that provisioning marked and that have no refund yet."""
    key = Concat(Value("line:"), Cast(OuterRef("pk"), CharField()))
    return OrderLine.objects.filter(~Exists(Refund.objects.filter(key=key)), state=OrderLine.State.REFUND_DUE)


def _due(now: MachineInstant) -> QuerySet[Refund]:
    return Refund.objects.filter(Q(not_before__isnull=True) | Q(not_before__lte=now), state=Refund.State.DUE)


def _payment_with(line: OrderLine) -> Payment | None:
    """Return the payment of the order that this much can still be taken from, reserved refunds counted."""
    for payment in Payment.objects.select_for_update().filter(
        provision=line.provision, checkout__state="paid", currency=line.currency
    ):
        reserved = sum(payment.refunds.filter(state=Refund.State.DUE).values_list("amount_cents", flat=True))
        if payment.amount_cents - payment.refunded_cents - reserved >= line.amount_cents:
            return payment
    return None


def _nothing_to_refund_from(line: OrderLine) -> None:
    OrderLine.objects.filter(pk=line.pk).update(state=OrderLine.State.OPEN)
    OperatorItem.open(
        "refund_impossible",
        key=str(line.pk),
        sentence=f"{line.provision.reference}: {line.amount_cents} {line.currency} are due back; no payment covers it.",
        provision=line.provision,
    )


def _claim() -> Refund | None:
    """Take the refund that has been due longest; the attempt is counted before the work."""
    now = machine_now()
    with transaction.atomic():
        refund = (
            _due(now)
            .select_for_update(skip_locked=True, of=("self",))
            .select_related("payment__provision__student", "payment__checkout")
            .order_by("created_at")
            .first()
        )
        if refund is None:
            return None
        refund.attempts += 1
        refund.not_before = max(later(now, refund.attempts), now + CLAIMED_FOR)
        refund.save(update_fields=["attempts", "not_before", "updated_at"])
    return refund


def _send_safely(refund: Refund) -> bool:
    """Send one refund and write down what became of it; return False when no other needs to be tried now."""
    try:
        _write_sent(refund, _send(refund))
    except BadCredentials as error:
        report_refused_key(error)
        return False
    except Permanent as error:
        _write_failed(refund, error)
    except PlatformError as error:
        log.warning("refund not sent: %s", error, extra={"refund": str(refund.pk), "attempts": refund.attempts})
        if refund.attempts >= ALERT_AFTER:
            _tell_operator(refund, f"is not through after {refund.attempts} attempts: {error}")
    return True


def _send(refund: Refund) -> RefundMade:
    """Send a refund, or find the one that an earlier attempt made. Raises PlatformError."""
    payment, stripe = refund.payment, gateway.current()
    kind = refund.key.partition(":")[0]
    if kind in WHOLE and payment.checkout is not None:
        session = stripe.session(payment.checkout.session_id)
        if session.subscription_id:
            stripe.cancel_subscription(session.subscription_id)
    if refund.attempts > 1:
        made = next(
            (each for each in stripe.refunds_of(payment.stripe_payment_intent_id) if each.refund_id == str(refund.pk)),
            None,
        )
        if made is not None:
            return made
        if refund.attempts > ATTEMPTS_PER_KEY:
            refund.epoch += 1
            Refund.objects.filter(pk=refund.pk).update(epoch=refund.epoch)
    return stripe.create_refund(
        payment_intent_id=payment.stripe_payment_intent_id,
        amount_cents=refund.amount_cents,
        refund_id=str(refund.pk),
        reference=payment.provision.reference,
        duplicate=kind == "duplicate",
        key=f"{refund.pk}:{refund.epoch}",
    )


def _write_sent(refund: Refund, made: RefundMade) -> None:
    with transaction.atomic():
        payment = Payment.objects.select_for_update().get(pk=refund.payment_id)
        sent = Refund.objects.filter(pk=refund.pk, state=Refund.State.DUE).update(
            state=Refund.State.SENT, stripe_refund_id=made.id, not_before=None
        )
        if not sent:
            return  # another worker was faster with the same refund
        Payment.objects.filter(pk=payment.pk).update(refunded_cents=F("refunded_cents") + refund.amount_cents)
        line_id = refund.key.removeprefix("line:") if refund.key.startswith("line:") else None
        if line_id:
            OrderLine.objects.filter(pk=line_id).update(state=OrderLine.State.REFUNDED)
        provision = refund.payment.provision
        Event.objects.create(
            provision=provision,
            student_id=provision.student_id,
            kind="refunded",
            actor="billing",
            sentence=f"{refund.amount_cents} {refund.currency}",
            reason=refund.reason,
        )
        OperatorItem.close("refund_stuck", key=str(refund.pk), resolution="The refund went through.")
        post(
            "refunded",
            str(refund.pk),
            provision,
            amount_cents=refund.amount_cents,
            currency=refund.currency,
            reason=refund.reason,
        )


def _write_failed(refund: Refund, error: PlatformError) -> None:
    with transaction.atomic():
        Refund.objects.filter(pk=refund.pk, state=Refund.State.DUE).update(state=Refund.State.FAILED)
        _tell_operator(refund, f"was refused: {error}")


def _tell_operator(refund: Refund, what: str) -> None:
    provision = refund.payment.provision
    OperatorItem.open(
        "refund_stuck",
        key=str(refund.pk),
        sentence=f"{provision.reference}: the refund of {refund.amount_cents} {refund.currency} {what}",
        provision=provision,
    )


def retry(*, refund: Refund, actor: str, reason: str) -> None:
    """Send a refused refund again, with a new key, after the operator has mended what was wrong."""
    with transaction.atomic():
        again = Refund.objects.filter(pk=refund.pk, state=Refund.State.FAILED).update(
            state=Refund.State.DUE, epoch=F("epoch") + 1, not_before=None
        )
        if not again:
            return
        provision = refund.payment.provision
        Event.objects.create(
            provision=provision,
            student_id=provision.student_id,
            kind="refund_retried",
            actor=actor[:320],
            reason=reason[:500],
        )
        OperatorItem.close("refund_stuck", key=str(refund.pk), resolution=f"Retried by {actor}: {reason}")
        ring("refunds")
