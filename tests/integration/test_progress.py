"""The way in and the progress page: every state of an order, in plain words."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from billing.models import Checkout
from infra.models import (
    Domain,
    DomainState,
    OrderLine,
    Provision,
    ProvisionState,
    RunState,
    StepState,
)
from infra.rls import acting_as
from provisioning.models import Run
from tests.integration.pages import answered, at_domains, signed_in, student, text, tier
from tests.integration.world import new_order, paid

# `client`: the tests show pages, so the static files are collected first.
pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("client")]

ENTRY, PROGRESS, DASHBOARD = "/infrastructure/", "/infrastructure/progress/", "/infrastructure/dashboard/"
STATE, REPLACEMENT, CHANGE = f"{PROGRESS}state/", f"{PROGRESS}replacement/", f"{PROGRESS}change/"


def in_state(state: str, **fields: Any) -> Provision:
    """Make a complete order in this state."""
    order = new_order()
    Provision.objects.filter(pk=order.pk).update(state=state, **fields)
    order.refresh_from_db()
    return order


def page_of(order: Provision) -> str:
    return text(signed_in(order.student).get(PROGRESS))


def building(**step: Any) -> Run:
    """Make a paid order whose domains wait, and let its step of buying be as given."""
    run = paid(new_order())
    now = timezone.now()
    run.steps.filter(key__in=["workspace", "wallet", "slots"]).update(
        state=StepState.COMPLETED, started_at=now, finished_at=now
    )
    if step:
        run.steps.filter(key="buy_domains").update(**{"started_at": now, **step})
    return run


# The way in ---------------------------------------------------------------------------------------------------------


def test_without_an_order_the_wizard_begins() -> None:
    tier()
    assert signed_in(student()).get(ENTRY)["Location"] == "/infrastructure/setup/package/"


def test_a_draft_is_offered_for_going_on() -> None:
    ada = student()
    draft = at_domains(ada)
    Provision.objects.filter(pk=draft.pk).update(updated_at=timezone.now() - timedelta(days=2))
    response = signed_in(ada).get(ENTRY)
    assert "Step 2 of 4, saved 2 days ago. Nothing is paid yet." in text(response)
    assert b'href="/infrastructure/setup/domains/"' in response.content


@pytest.mark.parametrize(
    ("state", "place"),
    [
        (ProvisionState.PENDING_PAYMENT, PROGRESS),
        (ProvisionState.PROVISIONING, PROGRESS),
        (ProvisionState.UPGRADING, PROGRESS),
        (ProvisionState.FAILED, PROGRESS),
        (ProvisionState.ACTIVE, DASHBOARD),
        (ProvisionState.ACTIVE_WITH_EXCEPTIONS, DASHBOARD),
        (ProvisionState.SUSPENDED, DASHBOARD),
        (ProvisionState.CANCELLING, DASHBOARD),
    ],
)
def test_the_entry_chooses_by_state(state: str, place: str) -> None:
    order = in_state(state)
    assert signed_in(order.student).get(ENTRY)["Location"] == place


def test_an_ended_order_is_said_and_a_new_one_may_begin() -> None:
    order = in_state(ProvisionState.CANCELLED, cancelled_at=timezone.now())
    response = signed_in(order.student).get(ENTRY, follow=True)
    assert "Your infrastructure has ended" in text(response)
    assert b'href="/infrastructure/setup/package/"' in response.content
    assert signed_in(order.student).get("/infrastructure/setup/package/").status_code == 200


def test_those_who_are_not_enrolled_learn_whom_to_ask() -> None:
    response = signed_in(student(is_enrolled=False)).get(ENTRY)
    assert response.status_code == 403
    assert "Your account is not enrolled" in text(response)


def test_an_ended_enrolment_keeps_what_was_bought_in_sight() -> None:
    order = in_state(ProvisionState.ACTIVE)
    type(order.student).objects.filter(pk=order.student_id).update(is_enrolled=False)
    assert signed_in(order.student).get(ENTRY)["Location"] == DASHBOARD


def test_home_says_what_the_infrastructure_is_up_to() -> None:
    order = in_state(ProvisionState.PROVISIONING)
    assert "Being built" in text(signed_in(order.student).get("/"))


# Paying -------------------------------------------------------------------------------------------------------------


def with_checkout(state: str, url: str = "") -> Provision:
    order = in_state(ProvisionState.PENDING_PAYMENT)
    Checkout.objects.create(
        provision=order, student=order.student, state=state, url=url, amount_cents=14400, expires_at=timezone.now()
    )
    return order


def test_an_open_payment_can_be_continued_or_changed() -> None:
    order = with_checkout(Checkout.State.OPEN, "http://sandbox.test/stripe/pay/cs_1")
    response = signed_in(order.student).get(PROGRESS)
    assert "Waiting for your payment" in text(response)
    assert b'href="http://sandbox.test/stripe/pay/cs_1"' in response.content
    assert CHANGE.encode() in response.content


def test_a_payment_on_its_way_is_being_confirmed() -> None:
    page = page_of(with_checkout(Checkout.State.CONFIRMING))
    assert "Confirming your payment" in page
    assert "Change the order" not in page


def test_changing_the_order_closes_the_payment_page(monkeypatch: pytest.MonkeyPatch) -> None:
    def abandon(*, provision: Provision, actor: object) -> None:
        with acting_as("worker"):
            Provision.objects.filter(pk=provision.pk).update(state=ProvisionState.DRAFT)

    order = with_checkout(Checkout.State.OPEN)
    monkeypatch.setattr("billing.actions.abandon_checkout", abandon)
    assert signed_in(order.student).post(CHANGE)["Location"] == "/infrastructure/setup/review/"


def test_changing_an_order_that_cannot_be_closed_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    from billing import actions

    def refuse(**_: object) -> None:
        raise actions.CheckoutRefused("unreachable", "The payment page cannot be reached.")

    order = with_checkout(Checkout.State.OPEN)
    monkeypatch.setattr(actions, "abandon_checkout", refuse)
    assert "The payment page cannot be reached." in text(signed_in(order.student).post(CHANGE, follow=True))


# Building -----------------------------------------------------------------------------------------------------------


def test_the_stages_stand_in_the_students_words() -> None:
    page = page_of(building().provision)
    titles = ["Payment", "Domains", "Address records", "Mailboxes", "Sending tool", "Warmup", "Lead list"]
    places = [page.index(f"{title} ", page.index("Finished")) for title in titles]
    assert places == sorted(places)
    assert "we will e-mail you at acme@students.example" in page
    assert "Zapmail" not in page


def with_a_login_in_advance(**register: Any) -> str:
    """Return the page of an order whose mailboxes are being made while the sending tool's login is made already."""
    run = building(state=StepState.COMPLETED)
    now = timezone.now()
    ready = ["domains_active", "dmarc", "sender_workspace", "sender_login", "register_sender"]
    run.steps.filter(key__in=ready).update(state=StepState.COMPLETED, started_at=now, finished_at=now)
    run.steps.filter(key="mailboxes").update(state=StepState.WAITING, waits_on="platform", started_at=now)
    run.steps.filter(key="register_sender").update(**register)
    return page_of(run.provision)


@pytest.mark.parametrize(
    "register", [{}, {"state": StepState.WAITING, "waits_on": "platform", "finished_at": None}], ids=["made", "waits"]
)
def test_what_is_made_in_advance_for_a_stage_does_not_begin_it(register: dict[str, Any]) -> None:
    page = with_a_login_in_advance(**{"state": StepState.COMPLETED, **register})
    assert "Mailboxes Waiting" in page
    assert "Sending tool Not started" in page
    assert "being connected to the sending tool" not in page


def test_what_is_made_in_advance_for_a_stage_and_needs_a_person_is_told() -> None:
    page = with_a_login_in_advance(state=StepState.WAITING, waits_on="operator", finished_at=None)
    assert "Sending tool With the operator" in page


def test_waiting_on_a_platform_says_whom_we_wait_for() -> None:
    run = building(state=StepState.WAITING, waits_on="platform", why="ACTIVE is not seen yet")
    Provision.objects.filter(pk=run.provision_id).update(parked_reason="waiting_vendor")
    page = page_of(run.provision)
    assert "Waiting for a platform" in page
    assert "We wait for the platform that does this, and look again every few minutes." in page
    assert "getacme.com Waiting" in page
    assert "sually" in page


def test_waiting_for_the_operator_is_no_alarm() -> None:
    run = building(state=StepState.WAITING, waits_on="funds", why="wallet has $3")
    Provision.objects.filter(pk=run.provision_id).update(parked_reason="waiting_funds")
    page = page_of(run.provision)
    assert "The operator is looking at one step" in page
    assert "With the operator" in page


def test_the_fragment_answers_204_until_something_changes() -> None:
    run = building()
    client = signed_in(run.provision.student)
    match = re.search(r'hx-get="([^"]+)"', client.get(PROGRESS).content.decode())
    assert match
    assert client.get(match[1]).status_code == 204
    run.steps.filter(key="buy_domains").update(state=StepState.WAITING, waits_on="platform", started_at=timezone.now())
    response = client.get(match[1])
    assert response.status_code == 200
    assert b"<html" not in response.content
    assert "getacme.com Waiting" in text(response)


def test_the_fragment_says_when_it_is_over() -> None:
    run = building()
    Provision.objects.filter(pk=run.provision_id).update(state=ProvisionState.ACTIVE)
    response = signed_in(run.provision.student).get(STATE)
    assert "Your infrastructure is ready" in text(response)
    assert b"data-poll" not in response.content


def test_check_now_wakes_a_waiting_run_once_in_25_seconds() -> None:
    run = building(state=StepState.WAITING, waits_on="platform", next_attempt_at=timezone.now() + timedelta(hours=1))
    Run.objects.filter(pk=run.pk).update(state=RunState.WAITING)
    client = signed_in(run.provision.student)
    assert client.post(f"{PROGRESS}check/")["Location"] == PROGRESS
    run.refresh_from_db()
    assert run.state == RunState.QUEUED
    Run.objects.filter(pk=run.pk).update(state=RunState.WAITING)
    client.post(f"{PROGRESS}check/")
    run.refresh_from_db()
    assert run.state == RunState.WAITING


def test_a_failed_run_says_what_it_means() -> None:
    run = building()
    Run.objects.filter(pk=run.pk).update(state=RunState.FAILED, failure_sentence="The workspace could not be made.")
    Provision.objects.filter(pk=run.provision_id).update(state=ProvisionState.FAILED, parked_reason="needs_operator")
    page = page_of(run.provision)
    for words in ("The set-up has stopped", "No domain has been bought.", "You are not charged again.", "GTM-"):
        assert words in page
    assert "The workspace could not be made." in page


# Another name for a lost one ----------------------------------------------------------------------------------------


def lost() -> tuple[Run, Domain]:
    """Make a run that asks which name replaces getacme.com."""
    run = paid(new_order(spares=0))
    domain = run.provision.domains.get(name="getacme.com")
    run.steps.filter(key="buy_domains", domain=domain).update(
        state=StepState.WAITING, waits_on="student", facts={"question": "choose_replacement"}
    )
    Run.objects.filter(pk=run.pk).update(state=RunState.PARKED)
    Provision.objects.filter(pk=run.provision_id).update(parked_reason="needs_choice", names_shown=20)
    answered("meetacme.com")
    return run, domain


def test_a_lost_name_asks_for_another() -> None:
    run, _domain = lost()
    page = page_of(run.provision)
    assert "We need your choice" in page
    assert "Somebody else registered getacme.com after you had paid." in page
    assert "Another name for getacme.com" in page
    assert "meetacme.com renews at $14.99" in page
    assert "Go on without it and get $32.33 back" in page


def test_a_free_name_takes_its_place() -> None:
    run, domain = lost()
    values = {"domain": str(domain.pk), "action": "replace", "name": "meetacme.com"}
    response = signed_in(run.provision.student).post(REPLACEMENT, values, follow=True)
    assert "meetacme.com takes the place of getacme.com." in text(response)
    domain.refresh_from_db()
    assert domain.state == DomainState.LOST
    assert run.provision.mailboxes.filter(address="ada@meetacme.com").exists()


def test_going_on_without_it_gives_its_share_back() -> None:
    run, domain = lost()
    values = {"domain": str(domain.pk), "action": "drop"}
    assert signed_in(run.provision.student).post(REPLACEMENT, values)["Location"] == PROGRESS
    assert OrderLine.objects.get(domain=domain).amount_cents == 3233


def test_a_name_of_ones_own_is_checked_first() -> None:
    run, domain = lost()
    values = {"domain": str(domain.pk), "action": "check", "wanted": "https://AcmeLabs.com"}
    response = signed_in(run.provision.student).post(REPLACEMENT, values, follow=True)
    assert "We are checking acmelabs.com." in text(response)
    answered("acmelabs.com")
    assert "acmelabs.com renews at" in page_of(run.provision)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"action": "replace", "name": "acme.io"}, ".io are not sold here"),
        ({"action": "replace", "name": ""}, "Choose one of the names"),
        ({"action": "replace", "name": "acmenow.com"}, "acmenow.com is not available"),
        ({"action": "check", "wanted": "🚀"}, "accents or other scripts"),
    ],
)
def test_a_refused_replacement_is_a_sentence(values: dict[str, str], words: str) -> None:
    run, domain = lost()
    response = signed_in(run.provision.student).post(REPLACEMENT, {"domain": str(domain.pk), **values})
    assert response.status_code == 422
    assert words in text(response)


def test_somebody_elses_domain_is_not_there() -> None:
    _run, domain = lost()
    bob = in_state_of_bob()
    response = signed_in(bob.student).post(REPLACEMENT, {"domain": str(domain.pk), "action": "drop"})
    assert response.status_code == 404


def in_state_of_bob() -> Provision:
    order = new_order("bobs")
    paid(order)
    return order
