"""What could be refunded now, item by item: beside the student's button, and before the operator cancels."""

from __future__ import annotations

from typing import Any

from django.test import Client
from django.urls import reverse

from billing import upgrades
from billing.meter import Why, meter
from infra import rls
from infra.models import Tier
from provisioning import life as orders
from tests.integration.billing.shop import Shop
from tests.integration.billing.test_account import console, mine
from tests.integration.billing.test_life import do, hear
from tests.integration.billing.test_refunds import lost_domain
from tests.integration.billing.test_upgrades import Life, growth, life_
from tests.integration.pages import text

__all__ = ["console", "growth", "life_", "mine"]

SHARE = 3233


def items(shop: Shop) -> list[tuple[Why, int]]:
    shop.provision.refresh_from_db()
    found = meter(shop.provision)
    assert found is not None
    return [(item.why, item.cents) for item in found.items]


def refundable(shop: Shop) -> int:
    found = meter(shop.provision)
    assert found is not None
    return found.cents


def test_before_anything_is_paid_there_is_no_meter(shop: Shop) -> None:
    assert meter(shop.provision) is None


def test_what_was_never_bought_could_go_back_and_the_month_not(mine: Shop) -> None:
    assert items(mine) == [(Why.UNUSED, SHARE)] * 3 + [(Why.MONTH, 4700)]
    assert refundable(mine) == 3 * SHARE
    domain = mine.provision.domains.filter(state="selected")[0]
    domain.state = "purchasing"
    domain.save()
    assert items(mine)[:3].count((Why.BEING_BOUGHT, SHARE)) == 1
    orders.tear_down(provision=mine.provision, actor="op", reason="asked for")
    assert refundable(mine) == 3 * SHARE, "what was let go was never bought"


def test_a_lost_domains_share_is_on_its_way_and_then_back(mine: Shop) -> None:
    line = lost_domain(mine)
    assert line.domain is not None
    mine.provision.domains.filter(pk=line.domain.pk).update(state="lost")
    assert items(mine)[0] == (Why.COMING, SHARE)
    mine.work()
    assert items(mine)[0] == (Why.BACK, SHARE)
    assert refundable(mine) == 2 * SHARE


def test_never_more_than_is_left_of_what_was_paid(mine: Shop) -> None:
    do(mine, "refund", cents=14400 - 50)
    hear(mine)
    assert refundable(mine) == 50


def test_earlier_months_are_used_and_the_last_is_the_present_one(mine: Shop) -> None:
    do(mine, "renew")
    hear(mine)
    assert items(mine)[3:] == [(Why.USED, 4700), (Why.MONTH, 4700)]


def test_what_is_built_is_kept_and_an_upgrade_has_shares_of_its_own(life_: Life, growth: Tier, console: Client) -> None:
    assert items(life_) == [(Why.BOUGHT, SHARE)] * 3 + [(Why.MONTH, 4700)]
    page = text(life_.signed_in().get(reverse("dashboard")))
    assert "What could be refunded now: $0" in page
    assert "no registry takes a name back" in page

    draft = life_.draft(growth)
    upgrades.quote(extension=draft)
    upgrades.pay(extension=draft, actor="ada")
    life_.hear()
    life_.build()
    kinds = [why for why, _cents in items(life_)]
    assert kinds.count(Why.BOUGHT) == 5
    assert kinds.count(Why.UPGRADE) == 1
    paid = sum(payment.amount_cents for payment in life_.provision.payments.all())
    assert 0 <= paid - sum(cents for _why, cents in items(life_)) < 5, "shares are rounded down to the cent"


def test_the_operator_reads_it_before_cancelling(mine: Shop, console: Client) -> None:
    page = text(console.get(reverse("admin:infra_provision_cancel", args=[mine.provision.pk])))
    assert "What could be refunded now: $96.99" in page
    assert "Nothing was bought for it yet" in page


def test_a_student_may_read_all_that_it_is_made_of(mine: Shop, django_assert_max_num_queries: Any) -> None:
    rls.set_role("student", str(mine.provision.student_id))
    try:
        with django_assert_max_num_queries(8):
            assert refundable(mine) == 3 * SHARE
    finally:
        rls.set_role("worker")
