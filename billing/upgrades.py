"""Changing a subscription to a bigger package: one subscription, one fixed date, applied only if it is paid.

The student sees a preview of Stripe's; what was previewed is what is sent, under a key of ours. From then on any number
of webhooks, page views and sweeps call `follow`, which asks Stripe how the subscription stands *now* and writes that down
once. What is built is begun by the paid invoice, never by the answer to our request.
"""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils.translation import gettext_lazy as _

from infra import flags
from infra.clock import MachineInstant, machine_now
from infra.models import DomainState, OperatorItem, Provision, ProvisionState, RunKind, RunState, User
from infra.rls import acting_as
from integrations.http.errors import OutcomeUnknown, PlatformError, RateLimited, Rejected
from provisioning import life
from provisioning.actions import Refused, freeze_order, give_up_extension, note, setup_fee_cents, thaw_order
from provisioning.engine.doorbell import ring
from provisioning.models import ACTIVE_RUN

from . import gateway
from .actions import ABSENT_AFTER, FIRST_LOOK, NEXT_LOOK, CheckoutRefused, post
from .gateway import Bill, Contract
from .models import Downgrade, Payment, Refund, Upgrade

log = logging.getLogger(__name__)

QUOTE_LASTS = timedelta(minutes=15)
LIVE = (ProvisionState.ACTIVE, ProvisionState.ACTIVE_WITH_EXCEPTIONS)
SENT = (Upgrade.State.INTENDED, Upgrade.State.PENDING)
OPEN = (Upgrade.State.QUOTED, *SENT, Upgrade.State.PAID)

_UNREACHABLE = _("The price cannot be asked for at the moment. Nothing was charged. Please try again in a minute.")
_UNDER_WAY = _("Your upgrade is being paid already.")
_SMALLER = _("A change to a smaller package is planned. Withdraw it first, then choose a bigger one.")
_NOT_NOW = _("Your set-up cannot be enlarged at the moment. Nothing was charged.")


def open_upgrade(provision: Provision) -> Upgrade | None:
    """Return the upgrade of a live order that is priced, sent or paid and not begun."""
    return Upgrade.objects.filter(provision=provision, state__in=OPEN).select_related("extension__tier").first()


# --- the price --------------------------------------------------------------------------------------------------------


def quote(*, extension: Provision) -> Upgrade:
    """Return what an upgrade costs now, asking Stripe unless a recent answer is there. Raises CheckoutRefused."""
    with acting_as("worker"):
        known = open_upgrade(_live(extension))
        if known is not None and known.state != Upgrade.State.QUOTED:
            raise CheckoutRefused("confirming", _UNDER_WAY)
        tier, (added, quantity) = _tier(extension), _quantities(extension)
        now = machine_now()
        if (
            known is not None
            and known.extension_id == extension.pk
            and known.price_id == tier.stripe_monthly_price_id
            and known.quantity == quantity
            and known.monthly_cents == tier.monthly_fee_cents * quantity
            and known.proration_at > (now - QUOTE_LASTS).timestamp()
        ):
            return known
        live = _live(extension)
        _check_not_shrinking(live)
        if live.state not in LIVE or not live.stripe_subscription_id or not tier.stripe_monthly_price_id:
            raise CheckoutRefused("not_ready", _NOT_NOW)
        try:
            contract = gateway.current().contract(live.stripe_subscription_id)
            if contract.status != "active" or contract.is_pending:
                raise CheckoutRefused("not_ready", _NOT_NOW)
            change = _change(extension, contract, int(now.timestamp()), added=added, quantity=quantity)
            preview = gateway.current().preview(_preview_of(contract, change))
        except PlatformError as error:
            log.warning("upgrade not priced: %s", error, extra={"provision": live.reference})
            raise CheckoutRefused("unreachable", _UNREACHABLE) from error
        with transaction.atomic():
            Provision.objects.select_for_update(of=("self",)).get(pk=live.pk)  # the page may be open twice
            known = open_upgrade(live)
            if known is not None and known.state != Upgrade.State.QUOTED:
                raise CheckoutRefused("confirming", _UNDER_WAY)
            if known is not None:
                known.delete()
            return Upgrade.objects.create(
                provision=live,
                extension=extension,
                student_id=live.student_id,
                subscription_id=contract.id,
                price_id=tier.stripe_monthly_price_id,
                quantity=quantity,
                parameters=change,
                proration_at=change["proration_date"],
                due_cents=max(0, preview.due_cents),
                monthly_cents=tier.monthly_fee_cents * quantity,
                currency=preview.currency,
                lines=[[line.sentence, line.amount_cents] for line in preview.lines],
            )


def _check_not_shrinking(live: Provision) -> None:
    """Raise CheckoutRefused while a change to a smaller package is planned or carried out."""
    if Downgrade.objects.filter(provision=live, state__in=["intended", "planned", "withdrawing"]).exists():
        raise CheckoutRefused("not_ready", _SMALLER)
    # One that failed is retried, and would make the package smaller after all.
    if live.runs.filter(kind=RunKind.DOWNGRADE, state__in=[*ACTIVE_RUN, RunState.FAILED]).exists():
        raise CheckoutRefused("not_ready", _NOT_NOW)


def _live(extension: Provision) -> Provision:
    assert extension.enlarges is not None
    return extension.enlarges


def _tier(extension: Provision) -> Any:
    tier = extension.tier
    if tier is None or not tier.is_active:
        raise CheckoutRefused("tier_inactive", _("This package is no longer offered. Please choose another one."))
    return tier


def _quantities(extension: Provision) -> tuple[int, int]:
    """Return how often the fees are due for what is added, and then for the whole: once, or for each domain."""
    tier = _tier(extension)
    added, _mailboxes = extension.adds(extension.domains.filter(state=DomainState.SELECTED).count())
    return tier.quantity(added), tier.quantity(int(_live(extension).order["domain_count"]) + added)


def _change(extension: Provision, contract: Contract, at: int, *, added: int, quantity: int) -> dict[str, Any]:
    """Return what Stripe is asked for: the default payment behaviour would apply the change even if nobody pays."""
    tier = _tier(extension)
    change: dict[str, Any] = {
        "items": [{"id": contract.item_id, "price": tier.stripe_monthly_price_id, "quantity": quantity}],
        "proration_behavior": "always_invoice",
        "proration_date": at,
        "payment_behavior": "pending_if_incomplete",
        "expand": ["latest_invoice.payments"],
    }
    once = setup_fee_cents(extension, added)
    if once:
        change["add_invoice_items"] = [
            {
                "price_data": {"currency": tier.currency, "product": f"gtm_{tier.slug}", "unit_amount": once},
                "quantity": 1,
            }
        ]
    return change


def _preview_of(contract: Contract, change: dict[str, Any]) -> dict[str, Any]:
    details = {name: change[name] for name in ("items", "proration_behavior", "proration_date")}
    once = [
        {"price_data": item["price_data"], "quantity": item["quantity"]} for item in change.get("add_invoice_items", ())
    ]
    return {"subscription": contract.id, "subscription_details": details, **({"invoice_items": once} if once else {})}


# --- paying -----------------------------------------------------------------------------------------------------------


def pay(*, extension: Provision, actor: User | str) -> Upgrade:
    """Freeze an upgrade's order and change the subscription as it was previewed; return how that stands.

    Pressed twice, the second press is refused or finds what the first one did. Raises CheckoutRefused.
    """
    with acting_as("worker"):
        upgrade = _intend(extension, actor=str(actor))
        try:
            _send(upgrade)
        except Rejected as error:
            _give_up(upgrade, actor="stripe", why=error.sentence)
            OperatorItem.open(
                "checkout_refused",
                key=str(upgrade.pk),
                sentence=f"Stripe refused to upgrade {upgrade.provision.reference}: {error}",
                provision=upgrade.provision,
            )
            raise CheckoutRefused("misconfigured", _UNREACHABLE) from error
        except PlatformError as error:
            log.warning("upgrade not answered: %s", error, extra={"upgrade": str(upgrade.pk)})
        return look(upgrade=upgrade, actor=str(actor))


def _intend(extension: Provision, *, actor: str) -> Upgrade:
    with transaction.atomic():
        live = Provision.objects.select_for_update(of=("self",)).get(pk=_live(extension).pk)
        upgrade = Upgrade.objects.select_for_update(of=("self",)).filter(provision=live, state__in=OPEN).first()
        if upgrade is None or upgrade.extension_id != extension.pk:
            raise CheckoutRefused("not_ready", _NOT_NOW)
        if upgrade.state != Upgrade.State.QUOTED:
            raise CheckoutRefused("confirming", _UNDER_WAY)
        tier = _tier(extension)
        verdict = flags.may_order(live.student, tier.stack)
        if not verdict.allowed:
            raise CheckoutRefused("orders_stopped", verdict.sentence)
        if live.state not in LIVE:
            raise CheckoutRefused("not_ready", _NOT_NOW)
        _check_not_shrinking(live)
        try:
            frozen = freeze_order(provision=extension, actor=actor, now=machine_now())
        except Refused as refusal:
            raise CheckoutRefused("not_ready", str(refusal)) from refusal
        if frozen.order["quantity"] != upgrade.quantity:  # domains were chosen in another tab since it was priced
            raise CheckoutRefused("not_ready", _NOT_NOW)
        upgrade.state, upgrade.sent_at = Upgrade.State.INTENDED, machine_now()
        upgrade.save()
        note(live, "upgrade_sent", actor=actor, sentence=f"{upgrade.due_cents} {upgrade.currency}")
        upgrade.provision, upgrade.extension = live, extension
    return upgrade


def _send(upgrade: Upgrade) -> None:
    """Send the change; a lost answer is repeated under its key, which changes nothing twice."""
    for attempt in (1, 2):
        try:
            gateway.current().change_subscription(upgrade.subscription_id, upgrade.parameters, key=str(upgrade.pk))
        except OutcomeUnknown:
            if attempt == 2:
                raise
        else:
            return


# --- how it stands ----------------------------------------------------------------------------------------------------


def follow(*, upgrade: Upgrade, actor: str) -> Upgrade:
    """Ask Stripe how an upgrade stands and write that down. May be called at any time, any number of times, at once.

    Raises PlatformError when Stripe cannot be asked: nothing is changed then.
    """
    with acting_as("worker"):
        upgrade = Upgrade.objects.select_related("provision", "extension").get(pk=upgrade.pk)
        if upgrade.state in SENT:
            contract = gateway.current().contract(upgrade.subscription_id)
            _write(upgrade, contract, actor=actor)
            upgrade.refresh_from_db()
        if upgrade.state == Upgrade.State.PAID:
            _begin(upgrade, actor=actor)
            upgrade.refresh_from_db()
    return upgrade


def look(*, upgrade: Upgrade, actor: str) -> Upgrade:
    """Follow an upgrade for a page; how it stood when Stripe cannot be asked: a webhook or the sweep brings the news."""
    try:
        return follow(upgrade=upgrade, actor=actor)
    except PlatformError as error:
        log.warning("upgrade not checked: %s", error, extra={"upgrade": str(upgrade.pk)})
        upgrade.refresh_from_db()
        return upgrade


def follow_subscription(subscription_id: str) -> bool:
    """Follow the newest upgrade of a subscription while it is open; return whether it is.

    One that was given up and applied all the same, later than Stripe was thought to take, is for a person.
    """
    upgrade = Upgrade.objects.filter(subscription_id=subscription_id).order_by("created_at").last()
    if upgrade is None:
        return False
    if upgrade.state in (*SENT, Upgrade.State.PAID):
        follow(upgrade=upgrade, actor="stripe")
        return True
    if upgrade.state == Upgrade.State.EXPIRED:
        contract = gateway.current().contract(subscription_id)
        if _is_applied(upgrade, contract):
            _report(
                upgrade, "it was given up, and Stripe has changed the subscription all the same: set it back, refund."
            )
    return False


def _write(upgrade: Upgrade, contract: Contract, *, actor: str) -> None:
    now, bill = machine_now(), contract.bill
    is_ours = bill is not None and bill.reason == "subscription_update" and bill.id != ""
    if _is_applied(upgrade, contract):
        paid = _paid_bill(upgrade, bill if is_ours else None)
        if paid is None:
            _report(upgrade, "the subscription has the new price, and no paid invoice says so: look at Stripe.")
            return
        _write_paid(upgrade, paid, actor=actor)
    elif contract.is_pending and bill is not None:
        changed = Upgrade.objects.filter(pk=upgrade.pk, state=Upgrade.State.INTENDED).update(
            state=Upgrade.State.PENDING, invoice_id=bill.id, url=bill.url, checked_at=now
        )
        Upgrade.objects.filter(pk=upgrade.pk).update(checked_at=now)
        if changed:
            note(upgrade.provision, "upgrade_declined", actor=actor, sentence="The payment did not go through.")
            post("upgrade_declined", str(upgrade.pk), upgrade.provision)
    elif upgrade.state == Upgrade.State.PENDING or _is_absent(upgrade, now):
        _give_up(upgrade, actor=actor, why="The payment did not come.")
    else:
        Upgrade.objects.filter(pk=upgrade.pk).update(checked_at=now)


def _is_applied(upgrade: Upgrade, contract: Contract) -> bool:
    """Tell whether a subscription is as an upgrade wants it: where fees are due by the domain, the price stays the same."""
    wanted = (upgrade.price_id, upgrade.quantity)
    return (contract.price_id, contract.quantity) == wanted and not contract.is_pending


def _is_absent(upgrade: Upgrade, now: MachineInstant) -> bool:
    return upgrade.sent_at is not None and now > upgrade.sent_at + ABSENT_AFTER


def _paid_bill(upgrade: Upgrade, newest: Bill | None) -> Bill | None:
    """Return the invoice of the change: the newest of the subscription, or the one that was noted while it waited."""
    for bill in (newest, gateway.current().bill(upgrade.invoice_id) if upgrade.invoice_id else None):
        if bill is not None and bill.status == "paid":
            return bill
    return None


def _write_paid(upgrade: Upgrade, bill: Bill, *, actor: str) -> None:
    """Money is written down before anything is made of it."""
    with transaction.atomic():
        live = Provision.objects.select_for_update(of=("self",)).get(pk=upgrade.provision_id)
        moved = Upgrade.objects.filter(pk=upgrade.pk, state__in=SENT).update(
            state=Upgrade.State.PAID, invoice_id=bill.id, url="", checked_at=machine_now()
        )
        if not moved:
            return
        payment, _created = Payment.objects.get_or_create(
            stripe_invoice_id=bill.id,
            defaults={
                "provision": live,
                "student_id": live.student_id,
                "stripe_payment_intent_id": bill.payment_intent_id,
                "receipt_url": bill.url,
                "amount_cents": bill.paid_cents,
                "currency": bill.currency,
                "paid_at": machine_now(),
            },
        )
        note(live, "paid", actor=actor, sentence=f"{payment.amount_cents} {payment.currency}")
        post(
            "paid", str(payment.pk), live,
            amount_cents=payment.amount_cents, currency=payment.currency, receipt_url=payment.receipt_url,
        )  # fmt: skip
        if bill.paid_cents != upgrade.due_cents:
            # In flexible billing a one-time line may stay behind: then the student owes it, or paid too much.
            _report(
                upgrade,
                f"the page said {upgrade.due_cents}, {bill.paid_cents} {bill.currency} were paid. The upgrade goes on.",
            )


def _begin(upgrade: Upgrade, *, actor: str) -> None:
    """Begin to build a paid upgrade, once; while the order cannot be built on, the sweep tries again."""
    payment = Payment.objects.get(stripe_invoice_id=upgrade.invoice_id)
    with transaction.atomic():
        live = Provision.objects.select_for_update(of=("self",)).get(pk=upgrade.provision_id)
        locked = Upgrade.objects.select_for_update(of=("self",)).get(pk=upgrade.pk)
        if locked.state != Upgrade.State.PAID:
            return
        if live.state in (ProvisionState.CANCELLING, ProvisionState.CANCELLED):
            _give_back(locked, payment)
            return
        extension = Provision.objects.select_related("enlarges", "tier").get(pk=upgrade.extension_id)
    try:
        life.enlarge(extension=extension, actor=actor, paid_at=payment.paid_at)
    except Refused as refusal:
        if Provision.objects.filter(pk=extension.pk, state=ProvisionState.PENDING_PAYMENT).exists():
            log.info("paid upgrade waits: %s", refusal, extra={"upgrade": str(upgrade.pk)})
            Upgrade.objects.filter(pk=upgrade.pk).update(checked_at=machine_now())
            return
    Upgrade.objects.filter(pk=upgrade.pk, state=Upgrade.State.PAID).update(state=Upgrade.State.APPLIED)


def _give_back(upgrade: Upgrade, payment: Payment) -> None:
    """The order ended before its upgrade began: all of the upgrade's money goes back."""
    Upgrade.objects.filter(pk=upgrade.pk).update(state=Upgrade.State.REFUNDED)
    Refund.objects.get_or_create(
        key=f"upgrade:{upgrade.pk}",
        defaults={
            "payment": payment,
            "student_id": payment.student_id,
            "amount_cents": payment.amount_cents,
            "currency": payment.currency,
            "reason": "The order ended before its upgrade began",
        },
    )
    ring("refunds")


def _give_up(upgrade: Upgrade, *, actor: str, why: str) -> None:
    """Nothing changed at Stripe: the draft of the upgrade is editable again, the live set-up is as it was."""
    with transaction.atomic():
        Provision.objects.select_for_update(of=("self",)).get(pk=upgrade.provision_id)
        if not Upgrade.objects.filter(pk=upgrade.pk, state__in=SENT).update(state=Upgrade.State.EXPIRED, url=""):
            return
        thaw_order(provision=upgrade.extension, actor=actor)
        note(upgrade.provision, "upgrade_ended", actor=actor, sentence=why[:500])


def _report(upgrade: Upgrade, what: str) -> None:
    OperatorItem.open(
        "upgrade_trouble",
        key=str(upgrade.pk),
        sentence=f"{upgrade.provision.reference}, upgrade: {what}",
        provision=upgrade.provision,
    )


def discard(*, extension: Provision, actor: User | str) -> None:
    """Let a draft of an upgrade go. Raises CheckoutRefused while it is being paid."""
    with acting_as("worker"), transaction.atomic():
        live = Provision.objects.select_for_update(of=("self",)).get(pk=_live(extension).pk)
        if Upgrade.objects.filter(provision=live, state__in=[*SENT, Upgrade.State.PAID]).exists():
            raise CheckoutRefused("confirming", _UNDER_WAY)
        Upgrade.objects.filter(provision=live, state=Upgrade.State.QUOTED).delete()
        draft = Provision.objects.select_for_update(of=("self",)).get(pk=extension.pk)
        if draft.state == ProvisionState.DRAFT:
            give_up_extension(draft)
            note(live, "upgrade_discarded", actor=str(actor))


# --- when nobody tells us ---------------------------------------------------------------------------------------------


def is_sweep_due() -> bool:
    """Tell whether a sent or paid upgrade has not been heard of for a while."""
    return _unheard(machine_now()).exists()


def sweep(limit: int = 10) -> int:
    """Ask how upgrades stand whose webhooks never came. Answers the bell `upgrades`; returns how many were asked."""
    with acting_as("worker"):
        done = 0
        while done < limit and (upgrade := _claim()) is not None:
            done += 1
            try:
                follow(upgrade=upgrade, actor="sweep")
            except RateLimited:
                break
            except PlatformError as error:
                log.warning("upgrade not checked: %s", error, extra={"upgrade": str(upgrade.pk)})
        return done


def _unheard(now: MachineInstant) -> QuerySet[Upgrade]:
    due = Q(checked_at__isnull=True, sent_at__lt=now - FIRST_LOOK) | Q(checked_at__lt=now - NEXT_LOOK)
    return Upgrade.objects.filter(due, state__in=[*SENT, Upgrade.State.PAID])


def _claim() -> Upgrade | None:
    """Take the upgrade that was looked at longest ago, and mark it looked at before the look."""
    now = machine_now()
    with transaction.atomic():
        upgrade = (
            _unheard(now).select_for_update(skip_locked=True, of=("self",)).order_by("checked_at", "created_at").first()
        )
        if upgrade is not None:
            Upgrade.objects.filter(pk=upgrade.pk).update(checked_at=now)
    return upgrade
