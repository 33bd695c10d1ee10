"""Whether Stripe charges each month what was agreed, whoever changed the price, and however late it was carried out.

What is agreed is the package's price, and while a change to another package is under way that one's, too. What Stripe
says now counts; a difference is for a person, who sets the price right at Stripe or says that it is meant.
"""

from __future__ import annotations

from infra.models import OperatorItem, Provision, ProvisionState, RunKind, RunState
from provisioning.models import ACTIVE_RUN

from . import gateway
from .gateway import SubscriptionNow
from .models import Downgrade, Subscription, Upgrade

KIND = "subscription_price"
RIGHT = "Stripe charges what was agreed."
CHANGES = (RunKind.UPGRADE, RunKind.DOWNGRADE)
OVER = (ProvisionState.CANCELLING, ProvisionState.CANCELLED)


def agreed_cents(provision: Provision) -> set[int]:
    """Return the monthly amounts that are right for an order now: one, or several while its package changes."""
    fees = [provision.order.get("monthly_fee_cents")]
    runs = provision.runs.filter(kind__in=CHANGES, state__in=[*ACTIVE_RUN, RunState.FAILED])
    fees += [run.order.get("becomes", {}).get("monthly_fee_cents") for run in runs]
    fees += Downgrade.objects.filter(
        provision=provision, state__in=["intended", "planned", "withdrawing"]
    ).values_list("monthly_cents", flat=True)  # fmt: skip
    fees += Upgrade.objects.filter(
        provision=provision, state__in=["intended", "pending", "paid"]
    ).values_list("monthly_cents", flat=True)  # fmt: skip
    return {int(fee) for fee in fees if fee is not None}


def compare(row: Subscription, said: SubscriptionNow) -> None:
    """Open an item for a person when Stripe's price is none that was agreed, and close it when it is.

    What a person has resolved is not asked again for the same price. Raises PlatformError.
    """
    provision = Provision.objects.get(pk=row.provision_id)
    if said.monthly_cents not in agreed_cents(provision):  # or the package was changed while Stripe was asked
        said = gateway.current().subscription(row.stripe_id, payment_intent_ids=frozenset())
    agreed = agreed_cents(provision)
    if said.ended_at or provision.state in OVER or said.monthly_cents is None or not agreed:
        return
    mine = OperatorItem.objects.filter(provision=provision, kind=KIND)
    if said.monthly_cents in agreed:
        for item in mine.filter(resolved_at=None):
            OperatorItem.close(KIND, key=item.key.partition(":")[2], resolution=RIGHT)
        return
    key = f"{row.pk}:{said.monthly_cents}"
    if mine.filter(key=OperatorItem.key_of(KIND, key), resolved_at__isnull=False).exclude(resolution=RIGHT).exists():
        return
    due = " or ".join(f"{cents / 100:.2f}" for cents in sorted(agreed))
    currency = str(provision.order.get("currency", "")).upper()
    OperatorItem.open(
        KIND,
        key=key,
        sentence=f"{provision.reference}: Stripe charges {said.monthly_cents / 100:.2f} {currency} a month, agreed are"
        f" {due}: set the subscription's price right at Stripe, or resolve this if it is meant.",
        provision=provision,
    )
