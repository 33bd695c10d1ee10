"""Two browsers and one domain name, one student and two tabs: one wins, the others are told why not, nobody meets an error.

Real views, real roles, real locks. Each scene is played in many orders of its statements; a seed is an order.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import pytest
from django.db import IntegrityError, connection
from django.db.models import QuerySet

from billing import actions as billing
from billing.cancellation import cancel_order
from infra.models import Domain, DomainHold, Mail, Provision
from provisioning import actions as provisioning
from provisioning import search
from provisioning.models import ACTIVE_RUN
from tests import harness
from tests.integration.pages import signed_in, student, text

from . import whole
from .figures import Figures
from .interleaving import Race
from .street import API_PROVISION, PACKAGE, Street, chosen, no_page_failed, owners, presses_pay, statuses, ticks

pytestmark = pytest.mark.usefixtures("client")  # pages are shown, so the static files are collected first

SEEDS = whole.sample(range(60), part=3)


@pytest.fixture
def street(monkeypatch: pytest.MonkeyPatch) -> Street:
    return Street.open(monkeypatch)


def play(race: Race, figures: Figures) -> None:
    race.run()
    figures.add("race_schedules")
    figures.add("race_turns", len(race.trace))


@pytest.mark.parametrize("seed", SEEDS)
def test_two_students_order_the_same_names_and_one_gets_them(seed: int, street: Street, figures: Figures) -> None:
    shared = street.names("x", "y")
    orders = street.order("ada", *shared), street.order("bob", *reversed(shared))
    race = Race(seed)
    for order in orders:
        race.enter(order.student.email, presses_pay(order))
    play(race, figures)
    no_page_failed(race)
    assert sorted(statuses(race)) in ([302, 303], [303, 422])
    assert len({one for name in shared for one in owners(name)}) == 1
    loser = next(agent for agent in race.agents if agent.result.status_code != 303)
    if loser.result.status_code == 422:
        assert "has just been ordered by somebody else" in text(loser.result)


TOLD = re.compile("somebody else is ordering it|reserved")


@pytest.mark.parametrize("seed", SEEDS)
def test_two_students_choose_the_same_names_and_one_holds_each(seed: int, street: Street, figures: Figures) -> None:
    a, z, p, q = street.names("a", "z", "p", "q")
    ada, bob = street.order("ada", a, z, p), street.order("bob", z, a, q)
    race = Race(seed)
    race.enter("ada", ticks(ada, *chosen(ada)))
    race.enter("bob", ticks(bob, *chosen(bob)))
    play(race, figures)
    no_page_failed(race)
    assert statuses(race) in ([302, 422], [422, 422])  # both are told no when each has one of the two
    assert DomainHold.objects.filter(name__in=[a, z]).count() == 2
    for agent, order in zip(race.agents, (ada, bob), strict=True):
        if agent.result.status_code == 302:
            assert set(chosen(order)) <= held_by(order)
        else:
            assert TOLD.search(text(agent.result)), text(agent.result)


def held_by(order: Provision) -> set[str]:
    return set(DomainHold.objects.filter(provision=order).values_list("name", flat=True))


@pytest.mark.parametrize("seed", SEEDS)
def test_minds_that_change_at_the_same_moment_never_wait_for_each_other(
    seed: int, street: Street, figures: Figures
) -> None:
    """Who lets a name go takes another one, and the other way round."""
    a, m, z = street.names("a", "m", "z")
    ada, bob = street.order("ada"), street.order("bob")
    search.hold(provision=ada, names=[z, m])
    race = Race(seed)
    race.enter("ada", lambda: [search.hold(provision=ada, names=names) for names in ([a], [m, z], [a])])
    race.enter("bob", lambda: [search.hold(provision=bob, names=names) for names in ([z, m, a], [m], [a, z])])
    play(race, figures)
    no_page_failed(race)
    for agent, order, wanted in zip(race.agents, (ada, bob), ({a}, {a, z}), strict=True):
        assert held_by(order) == wanted - set(agent.result[-1])


@pytest.mark.parametrize("seed", SEEDS)
def test_a_payment_arrives_while_another_student_wants_the_same_names(
    seed: int, street: Street, figures: Figures
) -> None:
    """The order that is paid lets its holds go; the other student learns that the names are gone."""
    shared = street.names("x", "y", "z")
    ada, bob = street.order("ada", *shared), street.order("bob", *reversed(shared))
    search.hold(provision=ada, names=shared)
    billing.start_checkout(provision=ada, actor="test")
    street.press_pay_at_stripe(ada.checkouts.get().session_id)
    race = Race(seed)
    race.enter("ada's payment", lambda: billing.check_payment(provision=ada, actor="webhook"))
    race.enter("bob", ticks(bob, *chosen(bob)))
    play(race, figures)
    no_page_failed(race)
    assert race.agents[0].result == "paid"
    assert race.agents[1].result.status_code == 422
    assert all(owners(name) == [ada.reference] for name in shared)
    assert not DomainHold.objects.filter(provision=ada).exists()


# ---- one student, several tabs ---------------------------------------------------------------------------------------


def one_page_can_be_paid(street: Street, order: Provision) -> None:
    """Assert that at most one checkout of an order is open, and the same one at Stripe."""
    ours = order.checkouts.filter(state__in=billing.PAYABLE)
    assert ours.count() <= 1
    open_pages = [row["id"] for row in street.sandbox.world.stripe["sessions"].values() if row["status"] == "open"]
    assert open_pages == [checkout.session_id for checkout in ours]


@pytest.mark.parametrize("seed", SEEDS)
def test_pay_pressed_in_three_tabs_leaves_one_page_to_pay(seed: int, street: Street, figures: Figures) -> None:
    order = street.order("ada")
    race = Race(seed)
    for tab in "first", "second", "third":
        race.enter(tab, presses_pay(order))
    play(race, figures)
    no_page_failed(race)
    one_page_can_be_paid(street, order)
    assert 303 in statuses(race)
    assert order.checkouts.filter(state="open").count() == 1


@pytest.mark.parametrize("seed", SEEDS)
def test_what_is_paid_is_what_the_order_says_whatever_another_tab_does(
    seed: int, street: Street, figures: Figures
) -> None:
    """One tab pays while another changes the names: either the old ones are ordered, or the new ones."""
    old, new = street.names("a", "b", "c"), street.names("p", "q", "r")
    order = street.order("ada", *old)
    race = Race(seed)
    race.enter("pays", presses_pay(order))
    race.enter("changes", ticks(order, *new))
    play(race, figures)
    no_page_failed(race)
    one_page_can_be_paid(street, order)
    order.refresh_from_db()
    if order.state == "pending_payment":
        assert set(chosen(order)) <= set(order.order["domain_prices"])
        assert all(owners(name) == [order.reference] for name in chosen(order))
        assert sorted(chosen(order)) in (old, new)
    else:
        assert order.state == "draft"
        assert not order.checkouts.filter(state__in=billing.PAYABLE).exists()


@pytest.mark.parametrize("seed", SEEDS)
def test_two_first_pages_make_one_draft(seed: int, street: Street, figures: Figures) -> None:
    person = student(f"new{street.number}@students.example")
    race = Race(seed)
    for device in "telephone", "laptop":
        browser = signed_in(person)
        race.enter(device, partial(browser.post, PACKAGE, {"tier": street.tier.slug}))
    play(race, figures)
    no_page_failed(race)
    assert statuses(race) == [302, 302]
    assert Provision.objects.filter(student=person).count() == 1


# ---- paid, and everybody says so at once -------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", SEEDS)
def test_a_payment_heard_of_from_all_sides_starts_one_run(seed: int, street: Street, figures: Figures) -> None:
    """The return page, the API, the sweep and two webhooks."""
    order, session = street.paid_at_stripe("ada")
    browser, program = signed_in(order.student), signed_in(order.student)
    race = Race(seed)
    race.enter("return page", partial(browser.get, "/billing/return/", {"session_id": session}))
    race.enter("api", partial(program.post, API_PROVISION))
    race.enter("sweep", partial(billing.check_payment, provision=order, actor="sweep"))
    for number in "first", "second":
        race.enter(f"{number} webhook", partial(billing.fulfil, session_id=session, actor="webhook"))
    play(race, figures)
    no_page_failed(race)
    assert [agent.result for agent in race.agents[2:]] == ["paid"] * 3
    assert race.agents[1].result.status_code == 200
    assert order.runs.count() == 1
    assert order.payments.count() == 1
    assert Mail.objects.filter(kind="paid", provision=order).count() == 1


def cancels(order: Provision) -> None:
    """Cancel an order, and press once more when it has just been paid, as the sentence says."""
    try:
        cancel_order(provision=order, actor="olive", reason="asked to")
    except provisioning.Refused as refusal:
        assert "Press once more" in str(refusal)  # noqa: PT017
        cancel_order(provision=Provision.objects.get(pk=order.pk), actor="olive", reason="asked to")


@pytest.mark.parametrize("seed", SEEDS)
def test_an_order_cancelled_while_its_payment_arrives_is_refunded_or_stopped(
    seed: int, street: Street, figures: Figures
) -> None:
    order, session = street.paid_at_stripe("ada")
    race = Race(seed)
    race.enter("operator", partial(cancels, order))
    race.enter("webhook", partial(billing.fulfil, session_id=session, actor="webhook"))
    play(race, figures)
    order.refresh_from_db()
    # Cancelling closes the payment page first, and so may hear of the payment itself.
    no_page_failed(race)
    assert order.state == "cancelled"
    assert not order.runs.filter(state__in=ACTIVE_RUN).exists()
    assert order.payments.count() == 1


# ---- controls: without its protection each scene ends badly -----------------------------------------------------------


def test_control_without_the_index_both_students_order_the_name(street: Street) -> None:
    with without_index("infra_domain_one_live_name"):
        assert any(both_order_one_name(street, seed) for seed in range(20))


def both_order_one_name(street: Street, seed: int) -> bool:
    (shared,) = street.names(f"x{seed}w")
    ada, bob = street.order(f"ada{seed}w", shared), street.order(f"bob{seed}w", shared)
    bob.mailbox_patterns = ["bob", "bob.sample"]  # or the index over addresses would notice
    bob.save()
    race = Race(seed)
    for order in ada, bob:
        race.enter(order.student.email, presses_pay(order))
    race.run()
    how_many = len(owners(shared))
    Domain.objects.filter(name=shared).update(ordered_at=None)  # or the index could not come back
    return how_many == 2


def test_control_names_ordered_in_the_students_order_wait_in_a_circle(
    street: Street, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(provisioning, "sorted", lambda names, **_: list(names), raising=False)
    assert any(deadlocks_over_two_names(street, seed) for seed in range(60))


def deadlocks_over_two_names(street: Street, seed: int) -> bool:
    x, y = street.names(f"x{seed}w", f"y{seed}w")
    race = Race(seed)
    for order in street.order(f"ada{seed}w", x, y), street.order(f"bob{seed}w", y, x):
        race.enter(order.student.email, partial(provisioning.freeze_order, provision=order, actor="test"))
    race.run()
    return bool(race.deadlocks)


def test_control_a_hold_that_anybody_may_take_over_is_promised_twice(
    street: Street, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "TAKE", search.TAKE.replace("WHERE infra_domainhold", "WHERE true OR infra_domainhold"))
    (shared,) = street.names("x")
    race = Race(0)
    for order in street.order("ada"), street.order("bob"):
        race.enter(order.student.email, partial(search.hold, provision=order, names=[shared]))
    race.run()
    assert [agent.result for agent in race.agents] == [[], []]  # both were told that the name is theirs


def test_control_without_locks_two_tabs_do_not_both_end_well(street: Street, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(QuerySet, "select_for_update", lambda self, **_: self)
    assert any(two_tabs_end_badly(street, seed) for seed in range(20))


def two_tabs_end_badly(street: Street, seed: int) -> bool:
    order = street.order(f"ada{seed}w")
    race = Race(seed)
    for tab in "first", "second":
        race.enter(tab, presses_pay(order))
    race.run()
    return any(isinstance(agent.error, IntegrityError) for agent in race.agents)


@contextmanager
def without_index(name: str) -> Iterator[None]:
    """Take an index of the database away for a block."""
    with harness.as_owner(), connection.cursor() as cursor:
        cursor.execute("SELECT indexdef FROM pg_indexes WHERE indexname = %s", [name])
        (definition,) = cursor.fetchone()
        cursor.execute(f'DROP INDEX "{name}"')
    try:
        yield
    finally:
        with harness.as_owner(), connection.cursor() as cursor:
            cursor.execute(definition)
