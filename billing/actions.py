"""What changes money rows. Calls to Stripe never happen inside a transaction; every outcome is written under a lock.

One purchase, whatever the order of what we hear: the student presses "pay" (`start_checkout`), and from then on any
number of webhooks, the return page and the sweep call `fulfil`, which asks Stripe how the session stands *now* and
writes that down once. Locks are taken in one order: the provision, then its checkout.
"""

from __future__ import annotations

import enum
import logging
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, F, OuterRef, Q, QuerySet
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from infra import flags
from infra.clock import MachineInstant, machine_now, vendor_now
from infra.models import DomainHold, Mail, OperatorItem, Provision, ProvisionState, RunKind, Tier, User
from infra.rls import acting_as
from integrations.http.errors import (
    BadCredentials,
    NotFound,
    OutcomeUnknown,
    Permanent,
    PlatformError,
    RateLimited,
    Rejected,
    Retryable,
)
from provisioning.actions import Refused, freeze_order, start_run, thaw_order
from provisioning.engine.doorbell import ring
from provisioning.models import Event

from . import gateway
from .gateway import Session
from .models import Checkout, Payment, Refund, Subscription

if TYPE_CHECKING:
    from django_stubs_ext import StrPromise

log = logging.getLogger(__name__)

# Stripe allows 30 minutes to 24 hours. Below 24 hours, so that the idempotency key outlives what it made.
SESSION_LIFE = timedelta(hours=23)
# A create whose answer was lost may execute late: absent only after deadline, late execution, list lag and a margin.
ABSENT_AFTER = timedelta(minutes=10)
ROUNDS = 3
FIRST_LOOK = timedelta(minutes=2)
NEXT_LOOK = timedelta(minutes=5)
LOOK_EVERY = timedelta(days=1)  # of vendor time: so often is a subscription looked at of which nothing is heard
ALERT_AFTER = 3
CONFIRMING_LATE = timedelta(hours=1)  # a card takes seconds; after that the student is told that a bank takes its time

WAITING = (Checkout.State.INTENDED, Checkout.State.OPEN)
PAYABLE = (*WAITING, Checkout.State.CONFIRMING)


class Fulfilment(enum.StrEnum):
    """How a checkout stands after asking Stripe."""

    OPEN = "open"
    CONFIRMING = "confirming"
    PAID = "paid"
    EXPIRED = "expired"
    FAILED = "failed"
    REFUNDED = "refunded"
    FOREIGN = "foreign"  # a session that is not ours


class CheckoutRefused(Exception):
    """No checkout was started; nothing was charged. `sentence` is for the student.

    code: "already_paid", "confirming", "tier_inactive", "orders_stopped", "not_ready", "opening", "unreachable",
    "misconfigured"
    """

    def __init__(self, code: str, sentence: StrPromise | str) -> None:
        self.code = code
        self.sentence = str(sentence)
        super().__init__(self.sentence)


_UNREACHABLE = _("The payment page cannot be opened at the moment. Nothing was charged. Please try again in a minute.")
_WRONG_AMOUNT = _(
    "The price of this package is being corrected, so it cannot be paid at the moment. Nothing was charged, and your"
    " choice is kept. Please try again later."
)
_BEING_OPENED = _("Your payment page is being opened already. If it does not appear, press the button once more.")
_BEING_CONFIRMED = _("Your payment is being confirmed. You need not pay again.")


# --- starting ---------------------------------------------------------------------------------------------------------


def start_checkout(*, provision: Provision, actor: User | str) -> str:
    """Freeze the order, open a Checkout Session for it and return the address of its payment page.

    A session that is still open is expired first; one that turns out to be paid counts. The session's parameters and
    key are stored before the call, so that a lost answer is repeated as it was. Raises CheckoutRefused.
    """
    with acting_as("worker"):
        _check_offer(provision)
        for _round in range(ROUNDS):
            _settle_open_checkout(provision, actor=str(actor))
            checkout = _intend(provision, actor=str(actor))
            if checkout is not None:
                return _create(checkout)
    raise CheckoutRefused("unreachable", _UNREACHABLE)


def abandon_checkout(*, provision: Provision, actor: User | str) -> Fulfilment:
    """Close the open session, if there is one, and give the draft back for editing.

    Call it before anything of a provision that waits for payment is changed. If the session was paid in the meantime,
    that counts and the draft does not come back: look at the answer. Raises CheckoutRefused when Stripe is not there.
    """
    with acting_as("worker"):
        return _settle_open_checkout(provision, actor=str(actor), refuse_paid=False)


def _settle_open_checkout(provision: Provision, *, actor: str, refuse_paid: bool = True) -> Fulfilment:
    """Let no session of the provision be payable any more; raise CheckoutRefused if one was paid or is being paid."""
    checkout = provision.checkouts.filter(state__in=PAYABLE).order_by("created_at").first()
    if checkout is None:
        return Fulfilment.EXPIRED
    try:
        outcome = _close(checkout, actor=actor)
    except PlatformError as error:
        log.warning("checkout could not be closed: %s", error, extra={"checkout": str(checkout.pk)})
        if isinstance(error, RateLimited) and checkout.state == Checkout.State.INTENDED:
            raise CheckoutRefused("opening", _BEING_OPENED) from error  # the button was pressed twice
        raise CheckoutRefused("unreachable", _UNREACHABLE) from error
    if outcome is Fulfilment.OPEN:
        raise CheckoutRefused("unreachable", _UNREACHABLE)
    if not refuse_paid:
        return outcome
    if outcome is Fulfilment.PAID:
        raise CheckoutRefused("already_paid", _("This order is paid. You need not pay again."))
    if outcome is Fulfilment.CONFIRMING:
        raise CheckoutRefused("confirming", _BEING_CONFIRMED)
    return outcome


def _close(checkout: Checkout, *, actor: str) -> Fulfilment:
    """Expire a checkout's session; if it cannot be expired, it was completed: then fulfil."""
    if checkout.state == Checkout.State.INTENDED and not _resolve(checkout):
        _write_expired(checkout, actor=actor)
        return Fulfilment.EXPIRED
    if checkout.state == Checkout.State.CONFIRMING:
        return fulfil(checkout=checkout, actor=actor)
    try:
        session = gateway.current().expire_session(checkout.session_id)
    except NotFound:
        _write_expired(checkout, actor=actor)
        return Fulfilment.EXPIRED
    except (Rejected, OutcomeUnknown):
        return fulfil(checkout=checkout, actor=actor)
    return _record(session, actor=actor)


def _intend(provision: Provision, *, actor: str) -> Checkout | None:
    """Freeze the order and note the session that is about to be made; None when another click was faster."""
    now = machine_now()
    with transaction.atomic():
        _take_place(provision)
        locked = Provision.objects.select_for_update(of=("self",)).select_related("tier").get(pk=provision.pk)
        if locked.state not in (ProvisionState.DRAFT, ProvisionState.PENDING_PAYMENT):
            raise CheckoutRefused("already_paid", _("This order is paid. You need not pay again."))
        if locked.checkouts.filter(state__in=PAYABLE).exists():
            return None
        try:
            frozen = freeze_order(provision=locked, actor=actor, now=now)
        except Refused as refusal:
            raise CheckoutRefused("not_ready", str(refusal)) from refusal
        checkout = Checkout(
            provision=frozen,
            student_id=frozen.student_id,
            amount_cents=_amount(frozen.order),
            currency=frozen.order["currency"],
            expires_at=now + SESSION_LIFE,
        )
        checkout.parameters = session_parameters(frozen, checkout)
        checkout.save(force_insert=True)
        _note(frozen, "checkout_started", actor=actor, to_state=frozen.state)
    return checkout


def _check_offer(provision: Provision) -> None:
    """Raise CheckoutRefused unless the tier can be ordered now. In no transaction, so that the operator hears of it."""
    tier = Tier.objects.filter(provisions=provision).first()
    if tier is None or not tier.is_active:
        raise CheckoutRefused(
            "tier_inactive", _("This package is no longer offered. Please choose another one; your names are kept.")
        )
    _check_flags(flags.may_order(provision.student, tier.stack))
    if not (tier.stripe_setup_price_id and tier.stripe_monthly_price_id):
        OperatorItem.open(
            "tier_without_prices",
            key=str(tier.pk),
            sentence=f"{tier.name} has no Stripe prices, so nobody can order it: run manage.py stripe_prices.",
        )
        raise CheckoutRefused("misconfigured", _UNREACHABLE)


def _take_place(provision: Provision) -> None:
    """Judge the rollout again where the order is frozen, so that the last place is not given to two at once."""
    tier = Tier.objects.filter(provisions=provision).first()
    if tier is not None:
        _check_flags(flags.take_place(provision.student, tier.stack))


def _check_flags(verdict: flags.Verdict) -> None:
    if not verdict.allowed:
        kept = _("%(reason)s Nothing was charged, and your choice is kept.") % {"reason": verdict.sentence}
        raise CheckoutRefused("orders_stopped", kept)


def session_parameters(provision: Provision, checkout: Checkout) -> dict[str, Any]:
    """Return what Stripe is asked for. Stored with the checkout, and repeated unchanged under its key.

    Our reference stands in three places: on the session, on the subscription, and by it on every later invoice.
    """
    metadata = {"provision_ref": provision.reference, "checkout_id": str(checkout.pk)}
    tier, quantity = provision.tier, int(provision.order.get("quantity", 1))
    assert tier is not None  # or the order would not be frozen
    parameters: dict[str, Any] = {
        "mode": "subscription",
        "line_items": [
            {"price": tier.stripe_setup_price_id, "quantity": quantity},
            {"price": tier.stripe_monthly_price_id, "quantity": quantity},
        ],
        "client_reference_id": provision.reference,
        "metadata": metadata,
        "subscription_data": {"metadata": metadata, "billing_mode": {"type": "flexible"}},
        "success_url": settings.SITE_URL + reverse("billing-return") + "?session_id={CHECKOUT_SESSION_ID}",
        "cancel_url": settings.SITE_URL + reverse("billing-cancel"),
        "expires_at": int(checkout.expires_at.timestamp()),
    }
    if provision.stripe_customer_id:
        parameters["customer"] = provision.stripe_customer_id
    else:
        parameters["customer_email"] = provision.student.email
    return parameters


def _amount(order: dict[str, Any]) -> int:
    return int(order["setup_fee_cents"] + order["monthly_fee_cents"])


def _create(checkout: Checkout) -> str:
    """Make the session of an intended checkout and return its page. Raises CheckoutRefused."""
    try:
        session = _create_or_find(checkout)
    except Permanent as error:
        _refused_by_stripe(checkout, error)
        raise CheckoutRefused("misconfigured", _UNREACHABLE) from error
    except PlatformError as error:
        log.warning("checkout not opened: %s", error, extra={"checkout": str(checkout.pk)})
        raise CheckoutRefused("unreachable", _UNREACHABLE) from error
    if not _write_opened(checkout, session):
        raise CheckoutRefused("misconfigured", _WRONG_AMOUNT)
    return session.url


def _create_or_find(checkout: Checkout) -> Session:
    """Create the session; repeat a lost answer with the same key, which creates nothing twice.

    An answered 5xx may be one that Stripe keeps under the key and replays for ever: then read back, and only if the
    session is absent begin a new epoch of the key. A session that exists unseen does no harm: nobody has its address.
    """
    try:
        return _send_create(checkout)
    except OutcomeUnknown:
        log.info("create repeated with the same key", extra={"checkout": str(checkout.pk)})
    try:
        return _send_create(checkout)
    except OutcomeUnknown as error:
        if error.status is None:
            raise
    found = _read_back(checkout)
    if found is not None:
        return found
    checkout.epoch += 1
    Checkout.objects.filter(pk=checkout.pk).update(epoch=checkout.epoch)
    return _send_create(checkout)


def _send_create(checkout: Checkout) -> Session:
    return gateway.current().create_session(checkout.parameters, key=f"{checkout.pk}:{checkout.epoch}")


def _read_back(checkout: Checkout) -> Session | None:
    return gateway.current().find_session(str(checkout.pk), since=_intended_at(checkout) - timedelta(minutes=5))


def _intended_at(checkout: Checkout) -> datetime:
    """Return when a checkout began, by the database's clock. `created_at` is by the clock of some web server."""
    return checkout.expires_at - SESSION_LIFE


def _write_opened(checkout: Checkout, session: Session) -> bool:
    """Note the session; return whether its page may be shown: only one that charges what our own page says."""
    if _differs(checkout, session) and _refuse_amount(checkout, session, actor="billing"):
        _expire_quietly(session)
        return False
    # A webhook may have been faster than our own answer: then the state is further on already.
    Checkout.objects.filter(pk=checkout.pk).update(session_id=session.id)
    Checkout.objects.filter(pk=checkout.pk, state__in=WAITING).update(state=Checkout.State.OPEN, url=session.url)
    checkout.refresh_from_db()
    return True


def _differs(checkout: Checkout, session: Session) -> bool:
    amounts = {session.amount_cents, session.subtotal_cents}
    return amounts != {checkout.amount_cents} or session.currency != checkout.currency


def _refuse_amount(checkout: Checkout, session: Session, *, actor: str) -> bool:
    """Give up a checkout that would charge another amount; return False when it is open no more.

    From here on nobody gets its address, and should it be paid all the same, the money goes back.
    """
    with transaction.atomic():
        provision = Provision.objects.select_for_update().get(pk=checkout.provision_id)
        given_up = Checkout.objects.filter(pk=checkout.pk, state__in=WAITING).update(
            state=Checkout.State.FAILED, session_id=session.id, url=""
        )
        if not given_up:
            return False
        _reopen(provision, actor=actor, reason="Stripe would have charged another amount. Nothing was charged.")
        OperatorItem.open(
            "checkout_amount",
            key=str(provision.tier_id),
            sentence=f"{provision.reference}: Stripe would charge {session.amount_cents} {session.currency} "
            f"(before tax and discounts {session.subtotal_cents}), the page says {checkout.amount_cents} "
            f"{checkout.currency}. Nobody can order {provision.tier}: run manage.py stripe_prices.",
            provision=provision,
        )
    return True


def _expire_quietly(session: Session) -> None:
    """Close a page that nobody has the address of; if that fails, it closes by itself."""
    try:
        gateway.current().expire_session(session.id)
    except PlatformError as error:
        log.warning("session could not be closed: %s", error, extra={"checkout": session.checkout_id})


def _refused_by_stripe(checkout: Checkout, error: PlatformError) -> None:
    with transaction.atomic():
        provision = Provision.objects.select_for_update().get(pk=checkout.provision_id)
        if Checkout.objects.filter(pk=checkout.pk, state=Checkout.State.INTENDED).update(state=Checkout.State.FAILED):
            _reopen(provision, actor="stripe", reason=error.sentence)
        if isinstance(error, BadCredentials):
            report_refused_key(error)
            return
        OperatorItem.open(
            "checkout_refused",
            key=str(provision.tier_id),
            sentence=f"Stripe refused to open a checkout: {error}. Check the tier's prices (manage.py stripe_prices).",
            provision=provision,
        )


def _resolve(checkout: Checkout) -> bool:
    """Find out what became of a create whose answer was lost; return whether its session exists."""
    too_late_to_repeat = checkout.expires_at <= machine_now() + timedelta(minutes=31)
    try:
        session = _read_back(checkout) if too_late_to_repeat else _create_or_find(checkout)
    except Permanent as error:
        _refused_by_stripe(checkout, error)
        return False
    return session is not None and _write_opened(checkout, session)


# --- fulfilling -------------------------------------------------------------------------------------------------------


def fulfil(*, session_id: str = "", checkout: Checkout | None = None, actor: str) -> Fulfilment:
    """Ask Stripe how a session stands and write that down. May be called at any time, any number of times, at once.

    Give the session's id, or a checkout whose session is known. Raises PlatformError when Stripe cannot be asked:
    nothing is changed then, and the call may be repeated.
    """
    identifier = session_id or (checkout.session_id if checkout is not None else "")
    with acting_as("worker"):
        session = gateway.current().session(identifier)
        if session.payment_failed and session.subscription_id and _find_checkout(session) is not None:
            # Or Stripe would go on collecting for an order that we give up. Before our rows, so that it is repeated.
            gateway.current().cancel_subscription(session.subscription_id)
        outcome = _record(session, actor=actor)
        if outcome is Fulfilment.FAILED and session.status == "open":
            _expire_quietly(session)
        return outcome


def _record(session: Session, *, actor: str) -> Fulfilment:
    """Write down what a session, just fetched, means. Money is written down before anything is made of it."""
    with transaction.atomic():
        checkout = _locked_checkout(session)
        if checkout is None:
            return Fulfilment.FOREIGN
        Checkout.objects.filter(pk=checkout.pk).update(checked_at=machine_now(), session_id=session.id)
        if not session.is_paid:
            return _record_not_paid(checkout, session, actor=actor)
        _write_payment(checkout, session)
        if checkout.state in WAITING:
            Checkout.objects.filter(pk=checkout.pk).update(state=Checkout.State.CONFIRMING, url="")
    return _record_paid(checkout, session, actor=actor)


def _record_not_paid(checkout: Checkout, session: Session, *, actor: str) -> Fulfilment:
    if session.status == "complete":
        return _record_unpaid(checkout, session, actor=actor)
    if session.status == "expired":
        return _record_expired(checkout, actor=actor)
    # Open: the create's answer may have been lost, and this is how we learn of it.
    if checkout.state == Checkout.State.INTENDED:
        if _differs(checkout, session) and _refuse_amount(checkout, session, actor=actor):
            return Fulfilment.FAILED
        Checkout.objects.filter(pk=checkout.pk).update(state=Checkout.State.OPEN, url=session.url)
    return Fulfilment.OPEN


def _locked_checkout(session: Session) -> Checkout | None:
    """Return the session's checkout, with its provision locked first, then itself; None when it is not ours."""
    found = _find_checkout(session)
    if found is None:
        return None
    Provision.objects.select_for_update().get(pk=found.provision_id)
    return Checkout.objects.select_for_update(of=("self",)).select_related("provision__student").get(pk=found.pk)


def _find_checkout(session: Session) -> Checkout | None:
    found = Checkout.objects.filter(session_id=session.id).first()
    if found is None and session.checkout_id:
        # The answer to our create has not been written yet: the metadata say whose it is.
        found = Checkout.objects.filter(pk=session.checkout_id, session_id="").first()
    return found


def _record_paid(checkout: Checkout, session: Session, *, actor: str) -> Fulfilment:
    """Make of recorded money what is to be made of it. When our own code fails, the sweep comes back to it."""
    try:
        with transaction.atomic():
            outcome = _use_payment(session, actor=actor)
    except Exception as error:
        log.exception("a paid order could not be started", extra={"checkout": str(checkout.pk)})
        _count_failure(checkout, error)
        return Fulfilment.CONFIRMING
    _forget_failures(checkout)
    return outcome


def _use_payment(session: Session, *, actor: str) -> Fulfilment:
    checkout = _locked_checkout(session)
    assert checkout is not None  # its payment is recorded
    if checkout.state == Checkout.State.PAID:
        return Fulfilment.PAID
    if checkout.state == Checkout.State.REFUNDED:
        return Fulfilment.REFUNDED
    provision, payment = checkout.provision, checkout.payments.get()
    if provision.checkouts.filter(state=Checkout.State.PAID).exists():
        return _give_back(checkout, payment, actor=actor, why="duplicate")
    if provision.state != ProvisionState.PENDING_PAYMENT or checkout.state not in PAYABLE:
        return _give_back(checkout, payment, actor=actor, why="late")
    if session.amount_cents != checkout.amount_cents or session.currency != checkout.currency:
        OperatorItem.open(
            "amount_mismatch",
            key=str(checkout.pk),
            sentence=f"{provision.reference}: paid {session.amount_cents} {session.currency}, "
            f"expected {checkout.amount_cents} {checkout.currency}. The order goes on.",
            provision=provision,
        )
    _take(checkout, session, payment, actor=actor)
    return Fulfilment.PAID


def _write_payment(checkout: Checkout, session: Session) -> None:
    payment, _created = Payment.objects.get_or_create(
        checkout=checkout,
        defaults={
            "provision_id": checkout.provision_id,
            "student_id": checkout.student_id,
            "stripe_invoice_id": session.invoice_id,
            "stripe_payment_intent_id": session.payment_intent_id,
            "receipt_url": session.receipt_url,
            "amount_cents": session.amount_cents,
            "currency": session.currency,
            "paid_at": machine_now(),
        },
    )
    if session.payment_intent_id and not payment.stripe_payment_intent_id:
        # Stripe may fill the invoice in after it has reported the payment.
        Payment.objects.filter(pk=payment.pk).update(stripe_payment_intent_id=session.payment_intent_id)


def _take(checkout: Checkout, session: Session, payment: Payment, *, actor: str) -> None:
    """The order is paid: start building it, once."""
    provision = checkout.provision
    Checkout.objects.filter(pk=checkout.pk).update(state=Checkout.State.PAID, url="")
    provision.stripe_customer_id = session.customer_id
    provision.stripe_subscription_id = session.subscription_id
    provision.save(update_fields=["stripe_customer_id", "stripe_subscription_id", "updated_at"])
    Subscription.begin(provision, look_at=vendor_now() + LOOK_EVERY)
    _note(provision, "paid", actor=actor, sentence=f"{payment.amount_cents} {payment.currency}")
    start_run(provision=provision, kind=RunKind.SETUP, actor=actor, paid_at=payment.paid_at)
    post(
        "paid",
        str(payment.pk),
        provision,
        amount_cents=payment.amount_cents,
        currency=payment.currency,
        receipt_url=payment.receipt_url,
    )


def _give_back(checkout: Checkout, payment: Payment, *, actor: str, why: str) -> Fulfilment:
    """Money arrived that no order waits for: refund all of it and say so. It is never dropped."""
    sentences = {
        "duplicate": "paid a second time; the second payment is being refunded and its subscription ended.",
        "late": "paid after the order was given up; the payment is being refunded and its subscription ended.",
    }
    provision = checkout.provision
    Checkout.objects.filter(pk=checkout.pk).update(state=Checkout.State.REFUNDED, url="")
    Refund.objects.get_or_create(
        key=f"{why}:{checkout.pk}",
        defaults={
            "payment": payment,
            "student_id": payment.student_id,
            "amount_cents": payment.amount_cents,
            "currency": payment.currency,
            "reason": "Paid twice" if why == "duplicate" else "Paid after the order was given up",
        },
    )
    _note(provision, f"{why}_payment", actor=actor, sentence=f"{provision.reference} was {sentences[why]}")
    OperatorItem.open(
        f"{why}_payment",
        key=str(checkout.pk),
        sentence=f"{provision.reference} was {sentences[why]}",
        provision=provision,
    )
    ring("refunds")
    return Fulfilment.REFUNDED


def _record_unpaid(checkout: Checkout, session: Session, *, actor: str) -> Fulfilment:
    """Completed, not paid: a delayed payment is on its way, or was refused."""
    if session.payment_failed:
        return _record_failed(checkout, actor=actor)
    if checkout.state in WAITING:
        Checkout.objects.filter(pk=checkout.pk).update(state=Checkout.State.CONFIRMING, url="")
        _note(checkout.provision, "confirming", actor=actor, sentence="The order is placed; the payment is on its way.")
    return _standing(checkout, Fulfilment.CONFIRMING)


def _record_failed(checkout: Checkout, *, actor: str) -> Fulfilment:
    if checkout.state in PAYABLE:
        Checkout.objects.filter(pk=checkout.pk).update(state=Checkout.State.FAILED, url="")
        reason = "The bank refused the payment. Nothing was charged."
        _reopen(checkout.provision, actor=actor, reason=reason)
        post("needs_you", f"payment:{checkout.pk}", checkout.provision, sentence=reason)
    return _standing(checkout, Fulfilment.FAILED)


def _record_expired(checkout: Checkout, *, actor: str) -> Fulfilment:
    if checkout.state in WAITING:
        Checkout.objects.filter(pk=checkout.pk).update(state=Checkout.State.EXPIRED, url="")
        nobody_came_back = checkout.expires_at <= machine_now()
        _reopen(
            checkout.provision,
            actor=actor,
            reason="The payment page was closed or has expired.",
            release_holds=nobody_came_back,
        )
    return _standing(checkout, Fulfilment.EXPIRED)


def _standing(checkout: Checkout, fresh: Fulfilment) -> Fulfilment:
    """Return what was just written, or the state that an earlier call had brought the checkout to."""
    if checkout.state == Checkout.State.PAID:
        return Fulfilment.PAID
    return Fulfilment.REFUNDED if checkout.state == Checkout.State.REFUNDED else fresh


def _write_expired(checkout: Checkout, *, actor: str) -> None:
    """Give up a checkout whose session never came to be."""
    with transaction.atomic():
        provision = Provision.objects.select_for_update().get(pk=checkout.provision_id)
        if Checkout.objects.filter(pk=checkout.pk, state__in=WAITING).update(state=Checkout.State.EXPIRED, url=""):
            _reopen(provision, actor=actor, reason="The payment page was never opened.")


def _reopen(provision: Provision, *, actor: str, reason: str, release_holds: bool = False) -> None:
    """Give the draft back with everything that was chosen. Needs the provision's lock.

    The soft holds stay for a student who is at the screen, and go when nobody came back.
    """
    if provision.state != ProvisionState.PENDING_PAYMENT:
        return
    if provision.checkouts.filter(state__in=PAYABLE).exists():
        return
    thaw_order(provision=provision, actor=actor)
    if release_holds:
        DomainHold.let_go(provision)
    _note(provision, "reopened", actor=actor, to_state=ProvisionState.DRAFT, reason=reason)


# --- when nobody tells us ---------------------------------------------------------------------------------------------


def check_payment(*, provision: Provision, actor: User | str) -> Fulfilment:
    """Ask how the provision's newest checkout stands, as the return page does. Raises PlatformError."""
    with acting_as("worker"):
        checkout = provision.checkouts.order_by("created_at").last()
        if checkout is None:
            return Fulfilment.FOREIGN
        if checkout.state in PAYABLE:
            _look_after(checkout, actor=str(actor))
            checkout.refresh_from_db()
        return Fulfilment.OPEN if checkout.state == Checkout.State.INTENDED else Fulfilment(checkout.state)


def sweep_open_checkouts(limit: int = 10) -> int:
    """Ask how waiting checkouts stand, for those whose webhooks never came. Answers the bell `checkouts`.

    Returns how many were looked at. A failing one is looked at again later and does not hold up the others.
    """
    with acting_as("worker"):
        done = 0
        while done < limit and (checkout := _claim_unheard()) is not None:
            done += 1
            if not _look_after_safely(checkout):
                break
        return done


def _look_after_safely(checkout: Checkout) -> bool:
    """Look after one checkout and note what goes wrong; return False when no other needs to be tried now."""
    before = checkout.failures
    try:
        _look_after(checkout, actor="sweep")
    except BadCredentials as error:
        report_refused_key(error)
        return False
    except Retryable as error:
        log.warning("checkout not checked: %s", error, extra={"checkout": str(checkout.pk)})
    except Exception as error:  # a refusal, or our own code: the other checkouts are looked after all the same
        log.exception("checkout fails", extra={"checkout": str(checkout.pk)})
        _count_failure(checkout, error)
    else:
        checkout.refresh_from_db(fields=["failures"])
        if checkout.failures <= before:
            _forget_failures(checkout)
    return True


def _count_failure(checkout: Checkout, error: Exception) -> None:
    """Count that looking after a checkout failed, and tell the operator when it lasts."""
    with transaction.atomic():
        Checkout.objects.filter(pk=checkout.pk).update(failures=F("failures") + 1)
        checkout.refresh_from_db(fields=["failures"])
        if checkout.failures < ALERT_AFTER:
            return
        paid = "is paid, and starting it" if checkout.payments.exists() else "waits for payment, and checking it"
        what = str(error) if isinstance(error, PlatformError) else type(error).__name__
        OperatorItem.open(
            "checkout_failing",
            key=str(checkout.pk),
            sentence=f"{checkout.provision.reference} {paid} has failed {checkout.failures} times: {what}."
            " It is tried again every few minutes.",
            provision=checkout.provision,
        )


def _forget_failures(checkout: Checkout) -> None:
    if Checkout.objects.filter(pk=checkout.pk, failures__gt=0).update(failures=0):
        OperatorItem.close("checkout_failing", key=str(checkout.pk), resolution="It went through.")


def is_sweep_due() -> bool:
    """Tell whether a waiting checkout has not been heard of for a while."""
    return _unheard(machine_now()).exists()


def _unheard(now: MachineInstant) -> QuerySet[Checkout]:
    # By what is left of its life: when it was intended is known by the database's clock only so (`_intended_at`).
    due = Q(checked_at__isnull=True, expires_at__lt=now + SESSION_LIFE - FIRST_LOOK) | Q(checked_at__lt=now - NEXT_LOOK)
    # Given up, and paid all the same: the money waits to be given back.
    is_paid = Exists(Payment.objects.filter(checkout=OuterRef("pk")))
    given_up = Q(state__in=[Checkout.State.EXPIRED, Checkout.State.FAILED]) & Q(is_paid)
    return Checkout.objects.filter(due, Q(state__in=PAYABLE) | given_up)


def _claim_unheard() -> Checkout | None:
    """Take the waiting checkout that was looked at longest ago, and mark it looked at before the look."""
    now = machine_now()
    with transaction.atomic():
        checkout = _unheard(now).select_for_update(skip_locked=True).order_by("checked_at", "created_at").first()
        if checkout is not None:
            Checkout.objects.filter(pk=checkout.pk).update(checked_at=now)
    return checkout


def _look_after(checkout: Checkout, *, actor: str) -> None:
    session_id = checkout.session_id
    if not session_id and (session := _read_back(checkout)) is not None:
        session_id = session.id
    if session_id:
        try:
            outcome = fulfil(session_id=session_id, actor=actor)
        except NotFound:
            _write_expired(checkout, actor=actor)
            return
        if outcome is Fulfilment.CONFIRMING and machine_now() > _intended_at(checkout) + CONFIRMING_LATE:
            post("confirming_late", str(checkout.pk), checkout.provision)
    elif machine_now() > _intended_at(checkout) + ABSENT_AFTER:
        _write_expired(checkout, actor=actor)


def report_refused_key(error: BadCredentials) -> None:
    """Tell the operator, once, that Stripe refuses our key; money waits until it is mended.

    A key that may not do one thing (403) may do others: their good answers do not close that alert, a person does.
    """
    if error.status == 403:
        sentence = f"Stripe's key may not do what we need: give it the right, then resolve this. {error}"
        OperatorItem.open("stripe_permission", key="stripe", sentence=sentence)
        return
    OperatorItem.open("circuit", key="stripe", sentence=f"Stripe refuses our key, so payments wait: {error}")


# --- small things -----------------------------------------------------------------------------------------------------


def post(kind: str, key: str, provision: Provision, **context: Any) -> None:
    """Mail the student, once per key, and ring for it."""
    Mail.post(kind, key=key, provision=provision, reference=provision.reference, **context)
    ring("mails")


def _note(provision: Provision, kind: str, *, actor: str, **details: Any) -> None:
    Event.objects.create(provision=provision, student_id=provision.student_id, kind=kind, actor=actor[:320], **details)


def later(now: MachineInstant, attempts: int, *, first: float = 15.0, most: float = 3600.0) -> MachineInstant:
    """Return when to try again after `attempts` attempts: doubled each time."""
    return MachineInstant(now + timedelta(seconds=min(most, first * 2 ** max(0, attempts - 1))))
