"""Packages whose number of domains is the student's: every fee is due for each domain, and once frozen it is a sum."""

from __future__ import annotations

import pytest

from billing import prices
from billing.models import Checkout, Payment
from infra.models import DomainState, OrderLine, Provision, Tier
from infra.wizard import drafts, presenters
from provisioning import actions
from provisioning.actions import Refused
from tests.integration.billing.shop import Shop


def by_the_domain(provision: Provision, *, fewest: int = 1, most: int = 50) -> Tier:
    """Make the package of the order one whose number of domains is the student's, with two mailboxes on each."""
    tier = provision.tier
    assert tier is not None
    tier.domain_count, tier.domain_count_max, tier.mailbox_count = fewest, most, 2
    tier.setup_fee_cents, tier.monthly_fee_cents = 4900, 1500
    tier.save()
    return tier


def reprice(shop: Shop) -> None:
    prices.sync_prices(actor="test")
    assert shop.provision.tier is not None
    shop.provision.tier.refresh_from_db()


def test_three_domains_cost_three_times_the_fees(shop: Shop) -> None:
    by_the_domain(shop.provision)
    reprice(shop)
    checkout = shop.order()
    assert checkout.amount_cents == 3 * (4900 + 1500)
    shop.press(checkout, "pay")
    shop.deliver()
    shop.work()
    assert Checkout.objects.get().state == "paid"
    assert Payment.objects.get().amount_cents == 3 * (4900 + 1500)
    lines = dict(OrderLine.objects.values_list("kind", "amount_cents"))
    assert lines == {"setup": 3 * 4900, "monthly": 3 * 1500}
    order = Provision.objects.get(pk=shop.provision.pk).order
    assert (order["domain_count"], order["mailbox_count"], order["quantity"]) == (3, 6, 3)
    assert order["refund_share_cents"] == 4900


@pytest.mark.parametrize(("fewest", "most"), [(4, 50), (1, 2)])
def test_fewer_or_more_domains_than_the_package_takes_are_refused(shop: Shop, fewest: int, most: int) -> None:
    by_the_domain(shop.provision, fewest=fewest, most=most)
    with pytest.raises(Refused, match="domains"):
        actions.freeze_order(provision=shop.provision, actor="test")
    shop.provision.refresh_from_db()
    assert shop.provision.state == "draft"


def test_the_review_shows_how_the_sum_is_made_up(shop: Shop) -> None:
    tier = by_the_domain(shop.provision)
    bill = presenters.bill_of(shop.provision)
    assert [line.value for line in bill.lines] == ["3 × $49 = $147", "3 × $15 = $45"]
    assert (bill.today_cents, bill.monthly_cents) == (19200, 4500)
    (card,) = presenters.packages([tier], shop.provision)
    facts = {fact.label: fact.value for fact in card.facts}
    assert (facts["Domains"], facts["Mailboxes on each domain"]) == ("1–50", "2")
    assert card.then == "for each domain today, then $15 a month"


def test_each_domain_more_takes_two_mailboxes_more(shop: Shop) -> None:
    by_the_domain(shop.provision)
    held = drafts.size(shop.provision)
    assert (held.fewest, held.most, held.mailboxes) == (1, 50, 6)
    shop.provision.domains.filter(position=2).update(state=DomainState.SPARE)
    draft = drafts.current(shop.provision.student)
    assert draft is not None
    assert drafts.size(draft).mailboxes == 4
    assert drafts.patterns_needed(draft) == 2
