"""Stripe's webhooks, as `inbox` has stored them: worked on later, and in any order.

An event is never more than a pointer: the object is fetched and its present state written down, so that order, number
and age of the events do not matter.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace

from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from infra.clock import MachineInstant, machine_now
from infra.models import OperatorItem
from infra.rls import acting_as
from integrations.http.errors import BadCredentials, NotFound, PlatformError

from . import gateway, life, refunds, upgrades
from .actions import Fulfilment, fulfil, later, report_refused_key
from .models import Payment, WebhookEvent

log = logging.getLogger(__name__)

ALERT_AFTER = 5
GIVE_UP_AFTER = 30  # more than a day of attempts; the sweep of open checkouts goes on without the event


def drain(limit: int = 10) -> int:
    """Work on stored events that are due, oldest first; return how many. A failing one does not hold up the others."""
    with acting_as("worker"):
        done = 0
        while done < limit and (event := _claim()) is not None:
            done += 1
            if not _work_safely(event):
                break
        return done


def is_due() -> bool:
    """Tell whether an event waits that may be worked on now."""
    return _due(machine_now()).exists()


def _due(now: MachineInstant) -> QuerySet[WebhookEvent]:
    return WebhookEvent.objects.filter(
        Q(not_before__isnull=True) | Q(not_before__lte=now), state=WebhookEvent.State.RECEIVED
    )


def _claim() -> WebhookEvent | None:
    """Take the oldest due event. The attempt is counted, and the next one scheduled, before the work begins."""
    now = machine_now()
    with transaction.atomic():
        event = _due(now).select_for_update(skip_locked=True).order_by("created_at").first()
        if event is None:
            return None
        event.attempts += 1
        event.not_before = later(now, event.attempts, first=60.0)
        event.save(update_fields=["attempts", "not_before", "updated_at"])
    return event


def _work_safely(event: WebhookEvent) -> bool:
    """Work on one event and write down what became of it; return False when no other needs to be tried now."""
    try:
        state = work(event)
    except BadCredentials as error:
        report_refused_key(error)
        _not_yet(event, str(error))
        return False
    except PlatformError as error:
        _not_yet(event, str(error))
    except Exception as error:  # one event that breaks our code must not stop the others
        log.exception("webhook failed", extra={"event": event.event_id})
        _not_yet(event, type(error).__name__)
    else:
        _write_done(event, state)
    return True


def _write_done(event: WebhookEvent, state: WebhookEvent.State) -> None:
    WebhookEvent.objects.filter(pk=event.pk).update(state=state, processed_at=timezone.now(), not_before=None, error="")
    if event.attempts >= ALERT_AFTER:
        OperatorItem.close("webhook_failing", key=event.event_id, resolution="The event was worked on.")


def _not_yet(event: WebhookEvent, error: str) -> None:
    log.warning("webhook not worked on: %s", error, extra={"event": event.event_id, "attempts": event.attempts})
    given_up = event.attempts >= GIVE_UP_AFTER
    WebhookEvent.objects.filter(pk=event.pk).update(
        error=error[:300], state=WebhookEvent.State.FAILED if given_up else WebhookEvent.State.RECEIVED
    )
    if event.attempts >= ALERT_AFTER:
        OperatorItem.open(
            "webhook_failing",
            key=event.event_id,
            sentence=f"{event.type} {event.event_id} fails after {event.attempts} attempts: {error}",
        )


def work(event: WebhookEvent) -> WebhookEvent.State:
    """Do what an event asks for; return whether it concerned us. Raises PlatformError when Stripe cannot be asked."""
    handler = HANDLERS.get(event.type)
    if handler is None:
        return WebhookEvent.State.IGNORED
    return WebhookEvent.State.DONE if handler(_subject(event)) else WebhookEvent.State.IGNORED


@dataclass(frozen=True, slots=True)
class Subject:
    """What an event points at: ids only."""

    event_type: str
    id: str
    subscription_id: str
    payment_intent_id: str
    charge_id: str


def _subject(event: WebhookEvent) -> Subject:
    payload = event.payload
    found = payload.get("related_object") or (payload.get("data") or {}).get("object") or {}
    details = (found.get("parent") or {}).get("subscription_details") or {}
    return Subject(
        event_type=event.type,
        id=str(found.get("id") or ""),
        subscription_id=str(details.get("subscription") or ""),
        payment_intent_id=_id_of(found.get("payment_intent")),
        charge_id=_id_of(found.get("charge")),
    )


def _id_of(value: object) -> str:
    """Return the id of what an event names, expanded or not."""
    found = value.get("id") if isinstance(value, dict) else value
    return found if isinstance(found, str) else ""


def _check_session(subject: Subject) -> bool:
    try:
        return fulfil(session_id=subject.id, actor="stripe") is not Fulfilment.FOREIGN
    except NotFound:
        return False


def _check_invoice(subject: Subject) -> bool:
    """Something about an invoice has changed: of the first one it may be the first that we hear of the purchase."""
    if not subject.subscription_id:
        return False
    return _check_subscription(replace(subject, id=subject.subscription_id))


def _check_dispute(subject: Subject) -> bool:
    """A student's bank takes money back, or has decided. Of a payment that we do not know, a person must hear."""
    payment = _payment_of(subject.payment_intent_id, subject.charge_id)
    if payment is None:
        OperatorItem.open(
            "payment_trouble",
            key=f"dispute:{subject.id}",
            sentence=f"The bank disputes a payment that belongs to no order we know (Stripe's {subject.id})."
            " Answer the dispute at Stripe.",
        )
        return True
    Payment.book_anew(now=machine_now(), pk=payment.pk)  # its word may be the one that another dispute has already
    return _follow(payment.provision.stripe_subscription_id)


def _payment_of(payment_intent_id: str, charge_id: str) -> Payment | None:
    """Return the payment that Stripe speaks of. A dispute names its charge, and not always the payment intent.

    The news of what became of a payment may overtake the news of the payment.
    """
    payment = _payment_with(payment_intent_id)
    if payment is not None or not charge_id:
        return payment
    try:
        charge = gateway.current().charge(charge_id)
    except NotFound:
        return None
    payment = _payment_with(charge.payment_intent_id)
    if payment is None and charge.customer_id:
        _fulfil_for(charge.customer_id)
        payment = _payment_with(charge.payment_intent_id)
    return payment


def _payment_with(payment_intent_id: str) -> Payment | None:
    payments = Payment.objects.exclude(stripe_payment_intent_id="").select_related("provision")
    return payments.filter(stripe_payment_intent_id=payment_intent_id).first()


def _fulfil_for(customer_id: str) -> None:
    for session in gateway.current().sessions_of_customer(customer_id):
        if session.checkout_id:
            fulfil(session_id=session.id, actor="stripe")


def _check_refunds(subject: Subject) -> bool:
    """Money went back. What we sent is known; what somebody sent in Stripe's own dashboard, a person must hear of."""
    payment = _payment_of(subject.payment_intent_id, subject.id)
    if payment is None:
        return False  # another product on the same account
    refunds.report_foreign(payment)
    _follow(payment.provision.stripe_subscription_id)
    return True


def _check_refund(subject: Subject) -> bool:
    try:
        is_ours = refunds.hear(subject.id)
    except NotFound:
        return False
    payment = _payment_with(subject.payment_intent_id)
    if is_ours and payment is not None:
        _follow(payment.provision.stripe_subscription_id)  # what Stripe says was refunded in all has changed, too
    return is_ours


def _check_subscription(subject: Subject) -> bool:
    """Something about a subscription has changed. Its news may overtake the news of the payment that made it."""
    upgrades.follow_subscription(subject.id)
    if _follow(subject.id):
        return True
    session = gateway.current().session_of_subscription(subject.id)
    if session is None or fulfil(session_id=session.id, actor="stripe") is Fulfilment.FOREIGN:
        return False
    _follow(subject.id)
    return True


def _follow(subscription_id: str) -> bool:
    """Look at a subscription again; return whether it is one of ours."""
    try:
        return bool(subscription_id) and life.follow(subscription_id=subscription_id, actor="stripe")
    except NotFound:
        return False


Handler = Callable[[Subject], bool]

HANDLERS: dict[str, Handler] = {
    "checkout.session.completed": _check_session,
    "checkout.session.async_payment_succeeded": _check_session,
    "checkout.session.async_payment_failed": _check_session,
    "checkout.session.expired": _check_session,
    "invoice.paid": _check_invoice,
    "invoice.payment_failed": _check_invoice,
    "invoice.payment_action_required": _check_invoice,
    "customer.subscription.pending_update_applied": _check_subscription,
    "customer.subscription.pending_update_expired": _check_subscription,
    "charge.dispute.created": _check_dispute,
    "charge.dispute.closed": _check_dispute,
    "charge.refunded": _check_refunds,
    "refund.updated": _check_refund,
    "refund.failed": _check_refund,
    "customer.subscription.updated": _check_subscription,
    "customer.subscription.deleted": _check_subscription,
}
