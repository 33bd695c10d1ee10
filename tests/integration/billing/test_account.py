"""An order's money: what its lines leave is, to the cent, what Stripe and the platforms have booked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from billing import fees, upgrades
from billing.account import Account, Group, Origin
from billing.accounting import accounts
from billing.models import Refund
from infra import clock
from infra.models import Tier, User
from provisioning.engine.options import Options
from provisioning.models import OperationItem
from provisioning.spending import spent
from tests.integration.billing.shop import Shop
from tests.integration.billing.test_life import do, hear
from tests.integration.billing.test_refunds import lost_domain, paid
from tests.integration.billing.test_upgrades import Life, growth, life_
from tests.integration.pages import text

__all__ = ["growth", "life_"]

FEE = 448  # 2.9 % of 144 and 30 cents


@pytest.fixture
def mine(shop: Shop) -> Shop:
    """A student who has paid, and of whose subscription everything was heard."""
    paid(shop)
    hear(shop)
    return shop


@pytest.fixture
def console(db: None) -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("olive@ops.example", "pw"))
    return client


def account(shop: Shop) -> Account:
    shop.provision.refresh_from_db()
    return accounts([shop.provision], now=clock.vendor_now())[shop.provision.pk]


def booked(shop: Shop) -> None:
    """Let Stripe book, and our worker ask."""
    hear(shop)
    shop.advance(300)
    fees.drain(100)


def moved(shop: Shop) -> Counter[str]:
    """Return what Stripe and the simulated wallet have booked, by currency: nothing of it is from our rows."""
    found = Counter[str]()
    for row in shop.sandbox.world.stripe["balance_transactions"].values():
        found[row["currency"]] += row["net"]
    for entry in shop.sandbox.world.zapmail.ledger:
        if entry.kind not in ("opening", "top_up"):
            found["usd"] += entry.cents
    return found


def is_explained(shop: Shop) -> Account:
    """Assert that the account explains every cent, and return it."""
    found, real = account(shop), moved(shop)
    lefts = {currency: found.total(currency) for currency in found.currencies()}
    assert {currency: left.unknown for currency, left in lefts.items()} == dict.fromkeys(lefts, 0)
    assert {currency: left.known for currency, left in lefts.items()} == {one: real[one] for one in lefts}
    assert set(real) <= set(lefts)
    assert [check for check in found.checks if check.difference] == []
    assert len(found.checks) >= 3
    assert [line.unexplained for line in found.of(Group.PAID) if line.unexplained] == []
    return found


# --- to the cent ------------------------------------------------------------------------------------------------------


def test_a_set_up_and_its_upgrade_are_explained_to_the_cent(life_: Life, growth: Tier) -> None:
    booked(life_)
    found = is_explained(life_)
    assert found.total("usd", Group.PAID).known == 14400
    assert found.total("usd", Group.FEES).known == -FEE
    assert found.total("usd", Group.SPENT).known == -(3 * 1299 + 6 * 350)
    assert [part for line in found.of(Group.PAID) for part in line.parts] == [
        ("Set-up fee", 9700), ("Monthly fee", 4700),
    ]  # fmt: skip
    origins = Counter(line.origin for line in found.of(Group.SPENT))
    assert origins == {Origin.NAMED: 3, Origin.SETTING: 1}

    draft = life_.draft(growth)
    upgrades.quote(extension=draft)
    upgrades.pay(extension=draft, actor="ada")
    life_.hear()
    life_.build()
    booked(life_)
    found = is_explained(life_)
    assert found.total("usd", Group.SPENT).known == -(5 * 1299 + 10 * 350)
    assert len(found.of(Group.PAID)[1].parts) == 3


def at_stripe(verb: str, **given: Any) -> Callable[[Shop], None]:
    return lambda shop: do(shop, verb, **given)


HAPPENINGS: dict[str, tuple[tuple[Callable[[Shop], object], ...], int]] = {
    "a share goes back": ((lost_domain, Shop.work), -3233),
    "refunded at Stripe in part": ((at_stripe("refund", cents=1000),), -1000),
    "refunded at Stripe as a whole": ((at_stripe("refund"),), -14400),
    "a dispute lost": ((at_stripe("dispute"), hear, at_stripe("dispute_lost")), -14400),
    "a dispute won": ((at_stripe("dispute"), hear, at_stripe("dispute_won")), 0),
    "a refund that fails": ((at_stripe("refund", cents=1000), booked, at_stripe("refund_fails")), 0),
    "renewed, and refunded in part": ((at_stripe("renew"), at_stripe("refund", cents=1000)), -1000),
}


EXCHANGED = ("a dispute won", "a refund that fails")


@pytest.mark.parametrize(
    ("what", "back", "settles_in"),
    [
        *(pytest.param(*course, "", id=name) for name, course in HAPPENINGS.items()),
        *(pytest.param(*HAPPENINGS[name], "eur", id=f"{name}, in euros") for name in EXCHANGED),
    ],
)
def test_whatever_happens_to_the_money_every_cent_is_explained(
    mine: Shop, what: Sequence[Callable[[Shop], object]], back: int, settles_in: str
) -> None:
    mine.sandbox.switches.set(
        stripe_settles_in=settles_in, stripe_exchange_rate=0.9137, stripe_refund_fee="returned",
        stripe_dispute_fee="returned",
    )  # fmt: skip
    booked(mine)
    for happens in what:
        happens(mine)
    booked(mine)
    found = is_explained(mine)
    assert found.total("usd", Group.BACK).known == back
    assert bool(found.of(Group.CONVERTED)) is bool(settles_in)


def test_a_refund_that_never_went_is_no_line(mine: Shop) -> None:
    payment = mine.provision.payments.get()
    Refund.objects.create(payment=payment, student=payment.student, key="due", amount_cents=100, state="failed")
    Refund.objects.create(payment=payment, student=payment.student, key="failed", amount_cents=100)
    booked(mine)
    assert account(mine).of(Group.BACK) == []


# --- not known yet ----------------------------------------------------------------------------------------------------


def test_what_is_not_booked_yet_is_not_known_and_not_nothing(mine: Shop, console: Client) -> None:
    fees.drain(100)
    (fee,) = account(mine).of(Group.FEES)
    assert fee.amount is None
    left = account(mine).total("usd")
    assert (left.known, left.unknown) == (14400, 1)
    page = text(console.get(reverse("admin:infra_provision_money", args=[mine.provision.pk])))
    assert "Stripe's fees not known yet" in page
    assert "144.00 USD known so far" in page
    booked(mine)
    lost_domain(mine)
    mine.work()
    assert account(mine).total("usd", Group.FEES).unknown == 1


def test_a_dispute_that_stripe_was_not_asked_about_yet_is_not_known(mine: Shop) -> None:
    booked(mine)
    do(mine, "dispute")
    hear(mine)
    assert account(mine).total("usd", Group.BACK).unknown == 1


def test_what_is_paid_by_the_month_grows_a_domain_renews_and_an_open_purchase_has_no_figure(life_: Life) -> None:
    order, now = life_.provision, clock.vendor_now()

    def by_day(days: float) -> dict[str, int | None]:
        found = spent([order], options=Options(), now=clock.later(now, days * 86400))[order.pk]
        return {one.what: one.cents for one in found}

    assert by_day(0)["6 × mailbox slot, 1 month"] == 2100
    assert by_day(70)["6 × mailbox slot, 3 months"] == 6300
    domain = order.domains.filter(bought_at__isnull=False).order_by("name")[0]
    domain.expires_at = clock.later(now, 2 * 365.25 * 86400)
    domain.renewal_cents = 1500
    domain.save()
    assert by_day(0)[f"{domain.name}, 1 year more"] == 1500

    OperationItem.objects.filter(verb="buy_mailbox_slots").update(state="unknown")
    order.domains.update(bought_at=None)
    OperationItem.objects.filter(verb="buy_domains").update(state="captured")
    assert list(by_day(0).values()) == [None] * 4


# --- a difference is shown --------------------------------------------------------------------------------------------


def test_what_our_rows_have_missed_is_shown_and_not_hidden(mine: Shop, console: Client) -> None:
    do(mine, "refund", cents=1000)
    booked(mine)
    is_explained(mine)
    Refund.objects.all().delete()
    differences = {check.difference for check in account(mine).checks}
    assert 1000 in differences
    page = console.get(reverse("admin:infra_provision_money", args=[mine.provision.pk]))
    assert "money-differs" in page.content.decode()
    assert "1 figure differs from what Stripe says" in text(console.get(reverse("admin:infra_provision_money_all")))


def test_a_payment_that_is_not_what_was_ordered_says_by_how_much(mine: Shop) -> None:
    mine.provision.order_lines.filter(kind="monthly").update(amount_cents=4600)
    (line,) = account(mine).of(Group.PAID)
    assert line.unexplained == 100


# --- pages ------------------------------------------------------------------------------------------------------------


def test_the_operator_reads_the_account_from_the_order(life_: Life, console: Client) -> None:
    booked(life_)
    page = console.get(reverse("admin:infra_provision_change", args=[life_.provision.pk])).content.decode()
    href = reverse("admin:infra_provision_money", args=[life_.provision.pk])
    assert href in page
    account_page = text(console.get(href))
    left = 14400 - FEE - 3 * 1299 - 6 * 350
    for words in ("Set-up fee: 97.00 USD", "-4.48 USD", "-12.99 USD", "estimate, by the settings", "Zapmail",
                  f"{left / 100:.2f} USD, {round(left / 144)} % of what was paid", "Margin before Stripe's fees"):  # fmt: skip
        assert words in account_page
    together = text(console.get(reverse("admin:infra_provision_money_all")))
    assert together.count(f"{left / 100:.2f} USD") == 2


def test_money_is_shown_to_those_who_may_see_payments(mine: Shop, client: Client) -> None:
    clerk = User.objects.create_user("clerk@ops.example", "pw", is_staff=True)
    client.force_login(clerk)
    for address in (reverse("admin:infra_provision_money_all"),
                    reverse("admin:infra_provision_money", args=[mine.provision.pk])):  # fmt: skip
        assert client.get(address).status_code == 403


def test_the_list_costs_the_same_however_long_it_is(mine: Shop, django_assert_max_num_queries: Any) -> None:
    with django_assert_max_num_queries(11):
        accounts([mine.provision], now=clock.vendor_now())
