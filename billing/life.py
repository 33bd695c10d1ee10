"""The life of a subscription after it was bought: whoever hears of something, or nothing for a day, looks again.

`follow` asks Stripe how the subscription stands *now*, writes that down, and does what follows from it: mails before each
step, the order at rest, up again, or taken down. It may be called at any time, any number of times and at once; what was
asked earlier never overwrites what was asked later. No call to Stripe is made inside a transaction.
"""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import F, Q, QuerySet
from django.utils.translation import gettext as _

from infra.clock import VendorInstant, machine_now, vendor_now
from infra.models import OperatorItem, Provision, ProvisionState, User
from infra.rls import acting_as
from integrations.http.errors import BadCredentials, NotFound, PlatformError
from provisioning import life as orders
from provisioning.actions import Refused
from provisioning.models import Event

from . import agreed, downgrades, gateway, refunds
from .actions import LOOK_EVERY, post, report_refused_key
from .gateway import SubscriptionNow
from .models import Checkout, Payment, Subscription
from .standing_rules import DISPUTE_IS_OVER, OVERDUE, Days, Stands, Verdict, judge

log = logging.getLogger(__name__)

LOOK_AGAIN = timedelta(minutes=15)  # after a look that failed
ALERT_AFTER = 5
GONE = (ProvisionState.CANCELLING, ProvisionState.CANCELLED)
ENDING_REASONS = {
    Stands.ENDED: "The subscription has ended at Stripe.",
    Stands.REFUNDED: "All of the money was refunded at Stripe.",
    Stands.DISPUTE_LOST: "The bank decided the dispute against us.",
    Stands.OVERDUE_TOO_LONG: "The payment stayed overdue until the end of the days of grace.",
}


def days() -> Days:
    """Return the operator's clock."""
    return Days(settings.BILLING_GRACE_DAYS, settings.BILLING_SUSPEND_DAYS, settings.BILLING_TERMINATE_DAYS)


# --- looking ----------------------------------------------------------------------------------------------------------


def follow(*, subscription_id: str, actor: str) -> bool:
    """Look at a subscription again and do what follows; return whether it is one of ours.

    Raises PlatformError when Stripe cannot be asked: nothing has changed then, and the call may be repeated.
    """
    with acting_as("worker"):
        row = Subscription.objects.select_related("provision").filter(stripe_id=subscription_id).first()
        if row is None:
            return False
        look = _begin_look(row)
        said = _ask(row)
        payments = _unknown_payments(row, said)
        if said.refunded_cents != row.refunded_cents:
            for payment in _payments(row).select_related("provision"):
                refunds.report_foreign(payment)
        verdict = _write_and_act(row, said, payments, look=look, actor=actor)
        if verdict is not None:
            _end_at_stripe(row, verdict)
        downgrades.follow(provision=row.provision, actor=actor)
        if verdict is not None:
            agreed.compare(row, said)
        return True


def _begin_look(row: Subscription) -> int:
    """Number a look before it is made, so that its answer can be told from those of later ones."""
    with transaction.atomic():
        locked = Subscription.objects.select_for_update(of=("self",)).get(pk=row.pk)
        locked.looks += 1
        locked.save(update_fields=["looks", "updated_at"])
    return locked.looks


def _ask(row: Subscription) -> SubscriptionNow:
    known = _payments(row).values_list("stripe_payment_intent_id", flat=True)
    return gateway.current().subscription(row.stripe_id, payment_intent_ids=frozenset(known))


def _payments(row: Subscription) -> QuerySet[Payment]:
    """Return what was paid for the order; not what was paid twice or too late, which is given back."""
    found = Payment.objects.filter(provision=row.provision_id).exclude(stripe_payment_intent_id="")
    return found.filter(Q(checkout=None) | Q(checkout__state=Checkout.State.PAID))


def _unknown_payments(row: Subscription, said: SubscriptionNow) -> list[gateway.InvoicePaid]:
    """Return what was paid for this subscription and has no row of ours; asks only when there may be something."""
    is_known = Payment.objects.filter(stripe_invoice_id=said.invoice_id).exists()
    if said.invoice_id == row.invoice_id and (is_known or said.invoice_status != "paid"):
        return []
    paid = gateway.current().paid_invoices(row.stripe_id)
    known = set(Payment.objects.filter(provision=row.provision_id).values_list("stripe_invoice_id", flat=True))
    return [one for one in paid if one.id not in known]


def _write_and_act(
    row: Subscription, said: SubscriptionNow, payments: list[gateway.InvoicePaid], *, look: int, actor: str
) -> Verdict | None:
    """Write down what Stripe said and do what follows, at once; None when a later look has been written already."""
    for one in payments:
        _write_payment(row, one)
    with transaction.atomic():
        row = Subscription.objects.select_for_update(of=("self",)).select_related("provision__student").get(pk=row.pk)
        if look <= row.seen:
            return None
        now = vendor_now()
        before = _copy(row)
        _take_over(row, said, now=now)
        if any(before[name] != getattr(row, name) for name in ("dispute", "refunded_cents")):
            Payment.book_anew(now=machine_now(), provision=row.provision_id)
        verdict = judge(row, now=now, days=days())
        _act(row, before, verdict, now=now, actor=actor)
        row.seen, row.checked_at, row.failures = look, now, 0
        row.look_at = None if row.ended_at and row.provision.state in GONE else _next_look(verdict, now)
        row.save()
        OperatorItem.close("subscription_failing", key=str(row.pk), resolution="It could be looked at.")
    return verdict


def _next_look(verdict: Verdict, now: VendorInstant) -> datetime:
    return min(now + LOOK_EVERY, verdict.next_step(now) or now + LOOK_EVERY)


def _copy(row: Subscription) -> dict[str, Any]:
    return {field.attname: getattr(row, field.attname) for field in row._meta.concrete_fields}


def _take_over(row: Subscription, said: SubscriptionNow, *, now: VendorInstant) -> None:
    for name in (
        "status", "period_end", "cancel_at_period_end", "cancel_at", "ended_at", "invoice_id", "invoice_status",
        "invoice_cents", "invoice_currency", "invoice_url", "needs_action", "card", "dispute", "charged_cents",
        "refunded_cents",
    ):  # fmt: skip
        setattr(row, name, getattr(said, name))
    if row.status not in OVERDUE:
        row.overdue_since, row.overdue_invoice_id = None, ""
    elif row.overdue_since is None:
        row.overdue_since, row.overdue_invoice_id = now, row.invoice_id


def _write_payment(row: Subscription, paid: gateway.InvoicePaid) -> None:
    Payment.objects.get_or_create(
        stripe_invoice_id=paid.id,
        defaults={
            "provision_id": row.provision_id,
            "student_id": row.student_id,
            "stripe_payment_intent_id": paid.payment_intent_id,
            "receipt_url": paid.url,
            "amount_cents": paid.amount_cents,
            "currency": paid.currency,
            "paid_at": machine_now(),
        },
    )


# --- acting -----------------------------------------------------------------------------------------------------------


def _act(row: Subscription, before: dict[str, Any], verdict: Verdict, *, now: VendorInstant, actor: str) -> None:
    """Do what a verdict asks for. Everything here may be repeated, and changes nothing the second time.

    The order is changed before anything is written that points at it: runs are locked before their provision.
    """
    provision, stands = row.provision, verdict.stands
    if stands.is_over:
        reason = ENDING_REASONS[stands]
        if provision.state not in GONE and orders.tear_down(provision=provision, actor=actor, reason=reason):
            _note(row, "subscription_over", actor=actor, sentence=reason)
        provision.refresh_from_db()
        return
    if provision.state in GONE:
        return
    if stands.rests:
        _suspend(row, verdict, actor=actor)
    elif stands is Stands.UNKNOWN:
        OperatorItem.open(
            "subscription_unknown",
            key=str(row.pk),
            sentence=f"{provision.reference}: Stripe says {row.status!r} of the subscription, which we do not know."
            " Nothing was changed.",
            provision=provision,
        )
    else:
        _recover(row, before, verdict, actor=actor)
    _report_dispute(row, before, actor=actor)
    if stands.is_overdue:
        _write_about_overdue(row, verdict, now=now)
    if stands is Stands.ENDING:
        ends = row.cancel_at or row.period_end
        post("ending", f"{row.pk}:{_iso(ends)}", provision, ends_on=_iso(ends))


def _write_about_overdue(row: Subscription, verdict: Verdict, *, now: VendorInstant) -> None:
    """Mail before each step; the keys name the invoice, so that each is said once for each failed payment."""
    if verdict.remind_at is None or verdict.suspend_at is None or verdict.warn_at is None:
        return
    key = f"{row.pk}:{row.overdue_invoice_id}"
    facts = {
        "amount_cents": row.invoice_cents,
        "currency": row.invoice_currency,
        "suspend_on": _iso(verdict.suspend_at),
        "end_on": _iso(verdict.end_at),
        "invoice_url": row.invoice_url,
    }
    if row.needs_action and now < verdict.suspend_at:
        post("action_required", key, row.provision, **facts)
    else:
        post("payment_failed", key, row.provision, **facts)
    if verdict.remind_at <= now < verdict.suspend_at:
        post("grace", f"{key}:suspend", row.provision, **facts, step="suspend")
    if verdict.warn_at <= now:
        post("grace", f"{key}:end", row.provision, **facts, step="end")


def _suspend(row: Subscription, verdict: Verdict, *, actor: str) -> None:
    disputed = verdict.stands is Stands.DISPUTED
    reason = "The bank disputes a payment." if disputed else "A payment is overdue."
    if not orders.suspend(provision=row.provision, actor=actor, reason=reason):
        return
    row.suspended_at = vendor_now()
    row.provision.refresh_from_db()
    key = f"{row.pk}:{_iso(row.suspended_at)}"
    post("suspended", key, row.provision, why="dispute" if disputed else "overdue", end_on=_iso(verdict.end_at))


def _recover(row: Subscription, before: dict[str, Any], verdict: Verdict, *, actor: str) -> None:
    """Let the order go on, when it was us who let it rest, and say so when a payment had been overdue."""
    resumed = False
    if row.suspended_at is not None:
        resumed = orders.resume(provision=row.provision, actor=actor, reason="The subscription is in order again.")
        row.provision.refresh_from_db()
    if verdict.stands.is_overdue:  # the dispute is over, the payment is not
        row.suspended_at = None
        return
    if resumed or before["overdue_since"] is not None:
        key = f"{row.pk}:{before['overdue_invoice_id'] or _iso(row.suspended_at)}"
        post("recovered", key, row.provision, rested="yes" if resumed else "")
        _note(row, "recovered", actor=actor, sentence="The subscription is in order again.")
    row.suspended_at = None


def _report_dispute(row: Subscription, before: dict[str, Any], *, actor: str) -> None:
    """A person answers a dispute at Stripe; the machine has stopped spending meanwhile."""
    provision, is_open = row.provision, _is_undecided(row.dispute)
    if is_open:
        OperatorItem.open(
            "dispute",
            key=str(row.pk),
            sentence=f"{provision.reference}: the bank disputes a payment. The order rests, nothing is spent on it: answer"
            " the dispute at Stripe. Won, it goes on by itself; lost, it is taken down.",
            provision=provision,
        )
        if not _is_undecided(before["dispute"]):
            _note(row, "disputed", actor=actor, sentence="The bank disputes a payment.")
    elif row.dispute:
        OperatorItem.close("dispute", key=str(row.pk), resolution=f"Stripe says: {row.dispute}.")


def _is_undecided(word: str) -> bool:
    """Tell whether Stripe's word for a dispute means that it is not decided yet."""
    return word not in DISPUTE_IS_OVER and word != "lost"


def _end_at_stripe(row: Subscription, verdict: Verdict) -> None:
    """Let Stripe charge no more for an order that is over. Raises PlatformError; then the next look does it."""
    if not Provision.objects.filter(pk=row.provision_id, state__in=GONE).exists():
        return
    OperatorItem.close("dispute", key=str(row.pk), resolution="The order is over.")
    if verdict.stands is not Stands.ENDED:
        gateway.current().cancel_subscription(row.stripe_id)
    OperatorItem.close("subscription_not_ended", key=str(row.provision_id), resolution="Stripe says that it has ended.")


# --- the student's choices ----------------------------------------------------------------------------------------------


def let_run_out(*, provision: Provision, actor: User | str) -> None:
    """Cancel at the end of the period that is paid for. May be repeated. Raises Refused and PlatformError."""
    _set_running_out(provision, True, actor=str(actor))


def keep(*, provision: Provision, actor: User | str) -> None:
    """Take a cancellation back, as long as the period lasts. May be repeated. Raises Refused and PlatformError."""
    _set_running_out(provision, False, actor=str(actor))


def _set_running_out(provision: Provision, ending: bool, *, actor: str) -> None:
    with acting_as("worker"):
        row = Subscription.objects.select_related("provision").filter(provision=provision).first()
        if row is None or row.ended_at or row.provision.state in GONE:
            raise Refused(_("There is no subscription that goes on."))
        gateway.current().set_cancel_at_period_end(row.stripe_id, ending)
        _note(
            row,
            "runs_out" if ending else "kept",
            actor=actor,
            sentence="At the end of the paid period." if ending else "",
        )
        follow(subscription_id=row.stripe_id, actor=actor)


def portal_url(*, provision: Provision, return_url: str) -> str:
    """Open Stripe's customer portal; the address is the student's alone, and is kept nowhere. Raises PlatformError."""
    with acting_as("worker"):
        if not provision.stripe_customer_id:
            raise Refused(_("There is nothing to pay for yet."))
        return gateway.current().portal_url(provision.stripe_customer_id, return_url=return_url)


# --- when nobody tells us ---------------------------------------------------------------------------------------------


def sweep(limit: int = 10) -> int:
    """Look at subscriptions that were not looked at for a day, or whose next step has come. Answers `subscriptions`."""
    with acting_as("worker"):
        done = 0
        while done < limit and (row := _claim()) is not None:
            done += 1
            if not _look_safely(row):
                break
        return done


def is_sweep_due() -> bool:
    """Tell whether a subscription should be looked at now."""
    return _due(vendor_now()).exists()


def _due(now: VendorInstant) -> QuerySet[Subscription]:
    return Subscription.objects.filter(look_at__lte=now)


def _claim() -> Subscription | None:
    """Take the subscription that is due longest, and put its next look off before this one begins."""
    now = vendor_now()
    with transaction.atomic():
        row = _due(now).select_for_update(skip_locked=True, of=("self",)).order_by("look_at").first()
        if row is not None:
            row.look_at = now + LOOK_AGAIN
            row.save(update_fields=["look_at", "updated_at"])
    return row


def _look_safely(row: Subscription) -> bool:
    """Look at one subscription; return False when no other needs to be tried now."""
    try:
        follow(subscription_id=row.stripe_id, actor="sweep")
    except BadCredentials as error:
        report_refused_key(error)
        return False
    except NotFound as error:
        _count_failure(row, error)
    except PlatformError as error:
        log.warning("subscription not checked: %s", error, extra={"subscription": row.stripe_id})
    except Exception as error:  # the others are looked at all the same
        log.exception("subscription fails", extra={"subscription": row.stripe_id})
        _count_failure(row, error)
    return True


def _count_failure(row: Subscription, error: Exception) -> None:
    Subscription.objects.filter(pk=row.pk).update(failures=F("failures") + 1)
    row.refresh_from_db(fields=["failures"])
    if row.failures >= ALERT_AFTER:
        what = str(error) if isinstance(error, PlatformError) else type(error).__name__
        OperatorItem.open(
            "subscription_failing",
            key=str(row.pk),
            sentence=f"{row.provision.reference}: its subscription cannot be looked after: {what}",
            provision=row.provision,
        )


# --- small things -----------------------------------------------------------------------------------------------------


def _iso(at: datetime | None) -> str:
    return at.isoformat() if at else ""


def _note(row: Subscription, kind: str, *, actor: str, sentence: str) -> None:
    Event.objects.create(
        provision=row.provision, student_id=row.student_id, kind=kind, actor=actor[:320], sentence=sentence
    )
