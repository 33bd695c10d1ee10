"""How an order's payment stands, for those who know neither Stripe nor its errors."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from infra.models import Provision, ProvisionState, User
from integrations.http.errors import PlatformError

from .actions import Fulfilment, check_payment

log = logging.getLogger(__name__)

UNPAID_STATES = (ProvisionState.DRAFT, ProvisionState.PENDING_PAYMENT)


@dataclass(frozen=True, slots=True)
class Standing:
    """The outcome of asking, or None when Stripe could not be asked; and the page where one pays, if it is open."""

    outcome: Fulfilment | None
    payment_url: str = ""


def payment_standing(*, provision: Provision, actor: User | str) -> Standing:
    """Ask how the provision's payment stands and fulfil what is paid, as the return page does. Any number of times.

    An order that is past paying is not asked about again. Changes the provision's row: read it anew afterwards.
    """
    if provision.state not in UNPAID_STATES:
        return Standing(Fulfilment.PAID)
    try:
        outcome = check_payment(provision=provision, actor=actor)
    except PlatformError as error:
        log.warning("payment could not be asked about: %s", error, extra={"provision": provision.reference})
        return Standing(None)
    checkout = provision.checkouts.exclude(url="").order_by("created_at").last()
    return Standing(outcome, checkout.url if checkout and outcome is Fulfilment.OPEN else "")
