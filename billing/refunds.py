"""Money on its way back. A refund is a row first, with a key that names its reason, and is sent by the bell `refunds`.

Two kinds: the share of a lost domain (`line:<order line>`), which provisioning marked as due; and a whole payment that
no order waits for (`duplicate:<checkout>`, `late:<checkout>`), whose subscription is ended before the money goes back.
What somebody refunds in Stripe's own dashboard is written down as well (`stripe:<refund>`), and never sent by us.

A refund keeps its idempotency key through time-outs, 429 and 409. Only a server error that Stripe keeps under the key
and repeats for ever asks for a new one, and not before every request under the old one has surely executed or never
will: until then, two keys could mean two refunds.
"""

from __future__ import annotations

import logging
import uuid
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import CharField, Exists, F, OuterRef, Q, QuerySet, Value
from django.db.models.functions import Cast, Concat
from django.utils.translation import gettext as _

from infra.clock import MachineInstant, machine_now
from infra.models import OperatorItem, OrderLine
from infra.rls import acting_as
from integrations.http.errors import BadCredentials, OutcomeUnknown, Permanent, PlatformError, Unavailable
from provisioning.actions import Refused
from provisioning.engine.doorbell import ring
from provisioning.models import Event

from . import gateway
from .actions import ABSENT_AFTER, later, post, report_refused_key
from .gateway import RefundMade
from .models import Payment, Refund

log = logging.getLogger(__name__)

WHOLE = ("duplicate", "late")
FOREIGN = "stripe"  # the key of what somebody refunded in Stripe's own dashboard begins so
# A claim holds a refund back for longer than a call can last, so that nobody else sends it at the same time.
CLAIMED_FOR = timedelta(seconds=60)
# So many answered server errors under one key: the later ones repeat the first, which Stripe has kept.
KEPT_ERRORS = 2
ALERT_AFTER = 4


def drain(limit: int = 10) -> int:
    """Turn due order lines into refunds, then send what is due. Returns how many were worked on.

    One that breaks our code is reported and does not hold up the others.
    """
    with acting_as("worker"):
        done, broken = 0, set[uuid.UUID]()
        while done < limit and _adopt_line(broken):
            done += 1
        while done < limit and (refund := _claim()) is not None:
            done += 1
            if not _send_safely(refund):
                break
        return done


def _adopt_line(broken: set[uuid.UUID]) -> bool:
    """Make a refund of the next order line that is due; return whether there was one. Notes lines that break us."""
    with transaction.atomic():
        line = (
            _due_lines()
            .exclude(pk__in=broken)
            .select_for_update(skip_locked=True, of=("self",))
            .select_related("provision")
            .order_by("created_at")
            .first()
        )
        if line is None:
            return False
        try:
            with transaction.atomic():
                _make_refund(line)
        except Exception as error:  # the other lines are refunded all the same
            log.exception("order line not made into a refund", extra={"line": str(line.pk)})
            broken.add(line.pk)
            OperatorItem.open(
                "refund_stuck",
                key=str(line.pk),
                sentence=f"{line.provision.reference}: {line.amount_cents} {line.currency} are due back, and making the"
                f" refund fails: {type(error).__name__}",
                provision=line.provision,
            )
        else:
            OperatorItem.close("refund_stuck", key=str(line.pk), resolution="The refund is made.")
    return True


def _make_refund(line: OrderLine) -> None:
    payment = _payment_with(line)
    if payment is None:
        _nothing_to_refund_from(line)
        return
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
        _settle(refund, _send(refund))
    except BadCredentials as error:
        report_refused_key(error)
        return False
    except Permanent as error:
        _write_failed(refund, f"was refused: {error}")
    except PlatformError as error:
        log.warning("refund not sent: %s", error, extra={"refund": str(refund.pk), "attempts": refund.attempts})
        _alert_when_it_lasts(refund, str(error))
    except Exception as error:  # one that breaks our code must not stop the others
        log.exception("refund failed", extra={"refund": str(refund.pk), "attempts": refund.attempts})
        _alert_when_it_lasts(refund, type(error).__name__)
    return True


def _alert_when_it_lasts(refund: Refund, error: str) -> None:
    if refund.attempts >= ALERT_AFTER:
        _tell_operator(refund, f"is not through after {refund.attempts} attempts: {error}")


def _send(refund: Refund) -> RefundMade:
    """Send a refund, or find the one that an earlier attempt made. Raises PlatformError."""
    payment, stripe = refund.payment, gateway.current()
    kind = refund.key.partition(":")[0]
    if kind in WHOLE and payment.checkout is not None:
        session = stripe.session(payment.checkout.session_id)
        if session.subscription_id:
            stripe.cancel_subscription(session.subscription_id)
    _learn_payment_intent(payment)
    if refund.attempts > 1:
        made = _read_back(refund)
        if made is not None:
            return made
        if refund.server_errors >= KEPT_ERRORS:
            _take_new_key(refund)
    made = _create(refund, duplicate=kind == "duplicate")
    # What is repeated under a key is the first answer; by now it may be old.
    return stripe.refund(made.id) if refund.attempts > 1 else made


def _learn_payment_intent(payment: Payment) -> None:
    """Complete a payment that was recorded before Stripe had filled its invoice in. Raises PlatformError."""
    if not payment.stripe_payment_intent_id and payment.checkout is not None:
        found = gateway.current().session(payment.checkout.session_id).payment_intent_id
        payment.stripe_payment_intent_id = found
        payment.save(update_fields=["stripe_payment_intent_id", "updated_at"])
    if not payment.stripe_payment_intent_id:
        raise Unavailable("Stripe does not say yet how this was paid", platform=gateway.PLATFORM)


def _read_back(refund: Refund) -> RefundMade | None:
    """Return the refund that an earlier attempt made; not one that failed, for its money did not go back."""
    made = gateway.current().refunds_of(refund.payment.stripe_payment_intent_id)
    return next((each for each in made if each.refund_id == str(refund.pk) and not each.is_dead), None)


def _take_new_key(refund: Refund) -> None:
    """Begin a new epoch of the key; Stripe repeats an error under the old one, and the refund is absent.

    Raises OutcomeUnknown, and has the refund wait, as long as a request under the old key may still execute.
    """
    until = _doubted_until(refund)
    if until is not None:
        Refund.objects.filter(pk=refund.pk).update(not_before=until)
        raise OutcomeUnknown("Stripe repeats a server error; a new key is taken later", platform=gateway.PLATFORM)
    mine = Refund.objects.filter(
        pk=refund.pk, state=Refund.State.DUE, epoch=refund.epoch, in_doubt_at=refund.in_doubt_at
    )
    if not mine.update(epoch=refund.epoch + 1, server_errors=0, in_doubt_at=None):
        raise OutcomeUnknown("another worker is sending this refund", platform=gateway.PLATFORM)
    refund.epoch, refund.server_errors, refund.in_doubt_at = refund.epoch + 1, 0, None


def _doubted_until(refund: Refund) -> datetime | None:
    """Return when every request under the refund's key has executed or never will; None when that is so already."""
    if refund.in_doubt_at is None:
        return None
    until = refund.in_doubt_at + ABSENT_AFTER
    return until if until > machine_now() else None


def _create(refund: Refund, *, duplicate: bool) -> RefundMade:
    """Send the request. Noted before: from now on it may execute. Noted after: what its answer has made certain."""
    before, now = refund.in_doubt_at, machine_now()
    mine = Refund.objects.filter(pk=refund.pk, state=Refund.State.DUE, epoch=refund.epoch)
    if not mine.update(in_doubt_at=now):
        raise OutcomeUnknown("another worker is sending this refund", platform=gateway.PLATFORM)
    refund.in_doubt_at = now
    try:
        made = gateway.current().create_refund(
            payment_intent_id=refund.payment.stripe_payment_intent_id,
            amount_cents=refund.amount_cents,
            refund_id=str(refund.pk),
            reference=refund.payment.provision.reference,
            duplicate=duplicate,
            key=f"{refund.pk}:{refund.epoch}",
        )
    except OutcomeUnknown as error:
        if error.status is not None and error.status >= 500:
            _note_attempt(refund, server_errors=refund.server_errors + 1)
        raise
    except PlatformError:
        _note_attempt(refund, in_doubt_at=before)  # it was answered, or never sent: this request executes no more
        raise
    _note_attempt(refund, in_doubt_at=None)
    return made


def _note_attempt(refund: Refund, **values: Any) -> None:
    for name, value in values.items():
        setattr(refund, name, value)
    Refund.objects.filter(pk=refund.pk).update(**values)


def _settle(refund: Refund, made: RefundMade) -> None:
    """Write down how a refund stands at Stripe. Raises OutcomeUnknown for a state that we do not know."""
    if made.is_alive:
        _write_sent(refund, made)
    elif made.is_dead:
        _write_failed(refund, f"did not reach the student: Stripe says {made.status} ({made.id})", made)
    else:
        raise OutcomeUnknown(f"Stripe says {made.status} of {made.id}", platform=gateway.PLATFORM)


def hear(refund_id: str) -> bool:
    """Ask how a refund stands that Stripe told us of, and write that down; return whether it is ours.

    A refund that was on its way may come back days later. Raises PlatformError.
    """
    made = gateway.current().refund(refund_id)
    refund = _refund_with(made)
    if refund is None:
        return _hear_of_foreign(made)
    if made.is_dead and refund.stripe_refund_id not in ("", made.id):
        return True  # an earlier attempt; another one took its place
    if made.is_dead and refund.state == Refund.State.DUE and refund.stripe_refund_id == made.id:
        return True  # known already, and on its way again
    _settle(refund, made)
    return True


def _hear_of_foreign(made: RefundMade) -> bool:
    known = Refund.objects.select_related("payment").filter(key=f"{FOREIGN}:{made.id}").first()
    if known is not None:
        _write_foreign(known.payment, made)
    return known is not None


def report_foreign(payment: Payment) -> None:
    """Write down refunds of a payment that somebody made in Stripe's own dashboard, and tell a person, once each.

    Raises PlatformError.
    """
    ours = {str(pk) for pk in payment.refunds.values_list("pk", flat=True)}
    for made in gateway.current().refunds_of(payment.stripe_payment_intent_id):
        if made.refund_id not in ours:
            _write_foreign(payment, made)


def _write_foreign(payment: Payment, made: RefundMade) -> None:
    """Count a refund that is not ours as long as its money went back, or is on its way."""
    key = f"{FOREIGN}:{made.id}"
    with transaction.atomic():
        payment = Payment.objects.select_for_update(of=("self",)).select_related("provision").get(pk=payment.pk)
        known = Refund.objects.filter(key=key).first()
        if made.is_alive and known is None:
            Refund.objects.create(
                key=key,
                payment=payment,
                student_id=payment.student_id,
                state=Refund.State.SENT,
                amount_cents=made.amount_cents,
                currency=payment.currency,
                reason="Refunded in Stripe's own dashboard",
                stripe_refund_id=made.id,
            )
            _count(payment, made.amount_cents)
            _tell_of_foreign(payment, made)
        elif made.is_dead and known is not None and known.state == Refund.State.SENT:
            known.state = Refund.State.FAILED
            known.save(update_fields=["state", "updated_at"])
            _count(payment, -made.amount_cents)
            _note(known, "refund_failed", actor="stripe", sentence=f"Stripe says {made.status} ({made.id})")


def _tell_of_foreign(payment: Payment, made: RefundMade) -> None:
    provision, key = payment.provision, f"charge.refunded:{made.id}"
    if not OperatorItem.objects.filter(key=f"payment_trouble:{key}").exists():
        OperatorItem.open(
            "payment_trouble",
            key=key,
            sentence=f"{provision.reference}: {made.amount_cents} {payment.currency} were refunded at Stripe ({made.id}),"
            " not by us. All of the money refunded ends the order; less than that changes nothing else.",
            provision=provision,
        )
    Event.objects.get_or_create(
        provision=provision,
        kind="refunded_elsewhere",
        sentence=f"{made.amount_cents} {payment.currency}: {made.id}",
        defaults={"student_id": provision.student_id, "actor": "stripe"},
    )


def _count(payment: Payment, cents: int) -> None:
    """Count money that went back, or came back after all; Stripe books it anew. Needs the payment's lock."""
    Payment.objects.filter(pk=payment.pk).update(refunded_cents=F("refunded_cents") + cents)
    Payment.book_anew(now=machine_now(), pk=payment.pk)


def _refund_with(made: RefundMade) -> Refund | None:
    try:
        key = uuid.UUID(made.refund_id)
    except ValueError:
        return None
    return Refund.objects.select_related("payment__provision__student", "payment__checkout").filter(pk=key).first()


def _write_sent(refund: Refund, made: RefundMade) -> None:
    with transaction.atomic():
        payment = Payment.objects.select_for_update().get(pk=refund.payment_id)
        waiting = Refund.objects.filter(pk=refund.pk).exclude(state=Refund.State.SENT)
        if not waiting.update(state=Refund.State.SENT, stripe_refund_id=made.id, not_before=None):
            return  # another worker was faster with the same refund
        _count(payment, refund.amount_cents)
        _lines_of(refund).update(state=OrderLine.State.REFUNDED)
        provision = refund.payment.provision
        _note(
            refund,
            "refunded",
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


def _write_failed(refund: Refund, what: str, made: RefundMade | None = None) -> None:
    """The money did not go back. It may have counted as sent: that is taken back, too."""
    with transaction.atomic():
        payment = Payment.objects.select_for_update().get(pk=refund.payment_id)
        found = Refund.objects.get(pk=refund.pk)
        if found.state == Refund.State.FAILED or (found.state == Refund.State.SENT and made is None):
            return
        was_sent = found.state == Refund.State.SENT
        found.state, found.not_before = Refund.State.FAILED, None
        if made is not None:
            found.stripe_refund_id = made.id
        if was_sent:
            _count(payment, -refund.amount_cents)
            _lines_of(refund).update(state=OrderLine.State.REFUND_DUE)
        found.save(update_fields=["state", "not_before", "stripe_refund_id", "updated_at"])
        _note(refund, "refund_failed", actor="billing", sentence=f"{refund.amount_cents} {refund.currency} {what}")
        _tell_operator(refund, what)


def _lines_of(refund: Refund) -> QuerySet[OrderLine]:
    """Return the order line that a refund is the share of, if it is one."""
    kind, _colon, key = refund.key.partition(":")
    return OrderLine.objects.filter(pk=key) if kind == "line" else OrderLine.objects.none()


def _note(refund: Refund, kind: str, *, actor: str, **details: str) -> None:
    provision = refund.payment.provision
    details = {name: text[:500] for name, text in details.items()}
    Event.objects.create(provision=provision, student_id=provision.student_id, kind=kind, actor=actor[:320], **details)


def _tell_operator(refund: Refund, what: str) -> None:
    provision = refund.payment.provision
    OperatorItem.open(
        "refund_stuck",
        key=str(refund.pk),
        sentence=f"{provision.reference}: the refund of {refund.amount_cents} {refund.currency} {what}",
        provision=provision,
    )


def why_no_retry(refund: Refund) -> str:
    """Return why a refund cannot be sent again now; nothing when it can."""
    if refund.key.startswith(f"{FOREIGN}:"):
        return _("This refund was made in Stripe's own dashboard, and is made again only there.")
    return "" if refund.state == Refund.State.FAILED else _("This refund has not failed.")


def retry(*, refund: Refund, actor: str, reason: str) -> None:
    """Send a failed refund again, with a new key, after the operator has mended what was wrong.

    What it made before is looked for first. Raises Refused when it has not failed.
    """
    with transaction.atomic():
        refund = Refund.objects.select_for_update(of=("self",)).select_related("payment__provision").get(pk=refund.pk)
        if refusal := why_no_retry(refund):
            raise Refused(refusal)
        refund.not_before = _doubted_until(refund)
        refund.state, refund.epoch, refund.server_errors = Refund.State.DUE, refund.epoch + 1, 0
        refund.attempts = 1  # so that the next attempt reads back
        refund.save()
        _note(refund, "refund_retried", actor=actor, reason=reason)
        OperatorItem.close("refund_stuck", key=str(refund.pk), resolution=f"Retried by {actor}: {reason}")
        ring("refunds")
