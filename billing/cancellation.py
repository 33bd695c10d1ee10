"""Cancelling an order as a whole: its open session, what is being built, and its subscription."""

from __future__ import annotations

import logging

from infra.models import OperatorItem, Provision, ProvisionState
from infra.rls import acting_as
from integrations.http.errors import PlatformError
from provisioning import actions as provisioning

from . import gateway
from .actions import abandon_checkout

log = logging.getLogger(__name__)


def cancel_order(*, provision: Provision, actor: str, reason: str) -> None:
    """Cancel an order for an operator: nothing more is bought, charged or built; what was bought stays.

    Building stops first, because it spends. The money that was paid is not sent back by this: that is a decision of its
    own. A subscription that could not be ended becomes an operator item, never a silent monthly charge.
    Raises CheckoutRefused when an open session cannot be closed, and provisioning's Refused.
    """
    if provision.state == ProvisionState.PENDING_PAYMENT:
        abandon_checkout(provision=provision, actor=actor)
    provisioning.cancel(provision=provision, actor=actor, reason=reason)
    end_subscription(provision=Provision.objects.get(pk=provision.pk), actor=actor)


def end_subscription(*, provision: Provision, actor: str) -> bool:
    """End the subscription of a provision now; return whether it is ended. May be repeated."""
    if not provision.stripe_subscription_id:
        return True
    with acting_as("worker"):
        try:
            gateway.current().cancel_subscription(provision.stripe_subscription_id)
        except PlatformError as error:
            log.warning("subscription could not be ended: %s", error, extra={"provision": provision.reference})
            OperatorItem.open(
                "subscription_not_ended",
                key=str(provision.pk),
                sentence=f"{provision.reference} was cancelled, but its subscription could not be ended: {error.sentence}",
                provision=provision,
            )
            return False
        OperatorItem.close("subscription_not_ended", key=str(provision.pk), resolution=f"Ended for {actor}.")
    return True
