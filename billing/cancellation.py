"""Cancelling an order as a whole: its open session, what is being built, and its subscription."""

from __future__ import annotations

import logging

from django.db import transaction
from django.db.models import QuerySet
from django.utils.translation import gettext as _

from infra.models import OperatorItem, Provision, ProvisionState
from infra.rls import acting_as
from integrations.http.errors import PlatformError
from provisioning import life
from provisioning.models import Event

from . import gateway
from .actions import abandon_checkout

log = logging.getLogger(__name__)

NOT_ENDED = "subscription_not_ended"


def cancel_order(*, provision: Provision, actor: str, reason: str) -> None:
    """Cancel an order for an operator: nothing more is bought, charged or built, and what was built is taken down.

    Building stops first, because it spends. The money that was paid is not sent back by this: that is a decision of its
    own. A subscription that could not be ended becomes an operator item, never a silent monthly charge.
    Raises CheckoutRefused when an open session cannot be closed, and provisioning's Refused.
    """
    if provision.state == ProvisionState.PENDING_PAYMENT:
        abandon_checkout(provision=provision, actor=actor)
    life.tear_down(provision=provision, actor=actor, reason=reason)
    end_subscription(provision=Provision.objects.get(pk=provision.pk), actor=actor, reason=reason)


def why_not_ended(provision: Provision) -> str:
    """Return why the operator cannot end a provision's subscription by itself; nothing when they can."""
    if not provision.stripe_subscription_id:
        return _("This order has no subscription.")
    if provision.state not in (ProvisionState.CANCELLING, ProvisionState.CANCELLED):
        return _("This order is not cancelled. Cancel it, and its subscription ends with it.")
    if not _alerts(provision).exists():
        return _("Nothing says that the subscription goes on.")
    return ""


def _alerts(provision: Provision) -> QuerySet[OperatorItem]:
    return OperatorItem.objects.filter(key=f"{NOT_ENDED}:{provision.pk}", resolved_at__isnull=True)


def end_subscription(*, provision: Provision, actor: str, reason: str = "") -> bool:
    """End the subscription of a provision now; return whether it is ended. May be repeated."""
    if not provision.stripe_subscription_id:
        return True
    with acting_as("worker"):
        try:
            gateway.current().cancel_subscription(provision.stripe_subscription_id)
        except PlatformError as error:
            log.warning("subscription could not be ended: %s", error, extra={"provision": provision.reference})
            OperatorItem.open(
                NOT_ENDED,
                key=str(provision.pk),
                sentence=f"{provision.reference} was cancelled, but its subscription could not be ended: "
                f"{error.sentence}. Open the order and end it there.",
                provision=provision,
            )
            return False
        with transaction.atomic():
            if OperatorItem.close(NOT_ENDED, key=str(provision.pk), resolution=f"Ended by {actor}: {reason}"):
                Event.objects.create(
                    provision=provision,
                    student_id=provision.student_id,
                    kind="subscription_ended",
                    actor=actor[:320],
                    reason=reason[:500],
                )
    return True
