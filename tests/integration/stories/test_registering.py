"""The stories of names that are registered at GoDaddy, in the student's own account: once, for what was agreed to."""

from __future__ import annotations

from typing import Any

import pytest
from django.utils import timezone

from infra.mails import contents
from infra.models import Mail, Registration
from integrations.sandbox import godaddy_world
from provisioning import actions, connections

from .. import people
from ..own_accounts import connect
from ..registering import ADDRESS, PAIR, PRICE, TOKEN, charged, open_account, to_register
from .kit import Story, make_order, make_world

pytestmark = pytest.mark.django_db

NAME = "getacme.com"


def ordered(key: str = TOKEN, **switches: Any) -> Story:
    """Begin an order whose one domain is to be registered in the student's account."""
    world = make_world(switches=switches)
    open_account(world.sandbox, key)
    provision = make_order("acme", tier="own-domains")
    to_register(provision, world.workshop, key=key)
    actions.freeze_order(provision=provision, actor="test")
    run = actions.start_run(provision=provision, actor="test", paid_at=timezone.now())
    provision.refresh_from_db()
    world.people = [people.what_is_asked_is_entered, people.mail_is_tested]
    return Story(world, provision, run)


def asked(made: Story) -> Any:
    return made.rows("registered").filter(waits_on="student", facts__question="register")


def problem(made: Story) -> str:
    return str(asked(made).get().facts["cause"])


@pytest.mark.parametrize("key", [TOKEN, PAIR], ids=["v3", "v1"])
def test_a_name_is_registered_once_led_here_and_built_on_and_nobody_is_asked_about_it(key: str) -> None:
    made = ordered(key)
    assert charged(made.sandbox) == []
    made.play(hours=240)
    made.check()
    assert charged(made.sandbox) == [(NAME, PRICE)]
    assert "may_stop_at" in made.domain(NAME).facts  # nothing lay there, so nobody was asked
    there = made.sandbox.world.godaddy.domains[NAME]
    assert (there.account, there.auto_renew) == ("ada's", False)
    assert set(there.nameservers) == set(made.domain(NAME).facts["nameservers"])
    assert not Mail.objects.filter(provision=made.provision, kind="nameservers").exists()


def test_what_was_agreed_to_is_sent_word_for_word() -> None:
    made = ordered()
    wish = made.domain(NAME).facts["register"]
    row = Registration.objects.get(name=NAME)
    assert row.agreed_at is not None
    assert wish == {
        "cents": PRICE,
        "currency": "USD",
        "agreements": ["API_DPA"],
        "agreed_at": row.agreed_at.isoformat(),
        "address": ADDRESS,
    }
    made.play(lambda: bool(made.calls()["godaddy.register"]))
    (sent,) = [one for one in made.sandbox.log if one.verb == "register"]
    assert sent.items == (NAME,)


@pytest.mark.parametrize("key", [TOKEN, PAIR], ids=["v3", "v1"])
@pytest.mark.parametrize("kind", ["timeout_before", "timeout_after", "reset_after", "late_execution"])
def test_whatever_becomes_of_an_answer_it_is_bought_once(key: str, kind: str) -> None:
    made = ordered(key)
    verb = "register" if key == TOKEN else "purchase"
    seconds = {"seconds": 200.0} if kind == "late_execution" else {}
    made.sandbox.faults.add(kind, platform="godaddy", verb=verb, times=1, **seconds)
    made.play(hours=240)
    made.check()
    assert charged(made.sandbox) == [(NAME, PRICE)]
    assert made.calls()[f"godaddy.{verb}"] >= 1


def test_a_quote_that_has_ended_after_a_lost_answer_is_taken_anew_only_once_nothing_came_of_it() -> None:
    made = ordered()
    made.sandbox.faults.add("timeout_before", platform="godaddy", verb="register", times=1)
    made.play(lambda: bool(made.calls()["godaddy.register"]))
    made.sandbox.world.godaddy.quotes.clear()  # as if ten minutes had passed
    began = made.sandbox.clock.now()
    made.play(lambda: made.calls()["godaddy.quote"] >= 3)
    assert made.sandbox.clock.now() - began > 60 + 300 + 120
    made.play(hours=240)
    made.check()
    assert charged(made.sandbox) == [(NAME, PRICE)]


@pytest.mark.parametrize("status", [500, 503])
def test_an_error_after_the_work_is_no_word_that_nothing_was_bought_however_late_it_is_asked_again(status: int) -> None:
    """The registration is under way for long, and nobody works on the order until the quote has ended."""
    made = ordered(godaddy_operation_seconds=(1500.0, 1500.0))
    made.sandbox.faults.add("status_after", platform="godaddy", verb="register", status=status, times=1)
    made.play(lambda: bool(made.calls()["godaddy.register"]))
    made.advance(900)
    made.play(hours=240)
    made.check()
    assert charged(made.sandbox) == [(NAME, PRICE)]


@pytest.mark.parametrize("verb", ["get_operation", "get_domain", "register"])
def test_a_refusal_while_it_may_be_under_way_forgets_nothing_of_it(verb: str) -> None:
    """The student is asked, has it tried again, and it is the same request that goes on, or none."""
    made = ordered(godaddy_operation_seconds=(1200.0, 1200.0))
    if verb == "register":  # the answer is lost, and asking for it again is refused
        made.sandbox.faults.add("timeout_after", platform="godaddy", verb=verb, times=1)
        made.play(lambda: bool(made.calls()["godaddy.register"]))
    else:
        made.play(lambda: bool(made.calls()["godaddy.get_operation"]))
    made.sandbox.faults.add("status", platform="godaddy", verb=verb, status=400, times=1)
    made.play(lambda: made.has_ended() or asked(made).exists(), hours=240)
    if asked(made).exists():
        domain = made.domain(NAME)
        actions.register_again(provision=made.provision, domain=domain, terms=None, address=ADDRESS, actor="ada")
    made.play(hours=240)
    made.check()
    assert charged(made.sandbox) == [(NAME, PRICE)]


def test_a_name_that_the_account_has_already_is_not_bought() -> None:
    made = ordered()
    state, now = made.sandbox.world, made.sandbox.clock.now()
    godaddy_world.own(state, NAME, now, "ACTIVE", godaddy_world.OWN_SERVERS, True, "ada's")
    made.play(made.rows("registered").filter(state="completed").exists)
    assert "may_stop_at" not in made.domain(NAME).facts  # what lies at it is theirs: it is asked about as ever
    made.play(hours=240)
    made.check()
    assert charged(made.sandbox) == []
    assert not made.calls()["godaddy.register"]


@pytest.mark.parametrize("key", [TOKEN, PAIR], ids=["v3", "v1"])
def test_what_costs_more_than_was_agreed_to_is_asked_and_bought_for_what_is_agreed_to_then(key: str) -> None:
    made = ordered(key)
    made.sandbox.switches.set(godaddy_price_cents=1499)
    made.play(asked(made).exists)
    assert charged(made.sandbox) == []
    domain = made.domain(NAME)
    assert problem(made) == "registration_terms"
    terms = domain.facts["register_terms"]
    assert terms["cents"] == 1499
    with pytest.raises(actions.Refused):
        actions.register_again(
            provision=made.provision, domain=domain, terms={**terms, "cents": 1}, address=ADDRESS, actor="ada"
        )
    actions.register_again(provision=made.provision, domain=domain, terms=terms, address=ADDRESS, actor="ada")
    made.play(hours=240)
    made.check()
    assert charged(made.sandbox) == [(NAME, 1499)]


@pytest.mark.parametrize("key", [TOKEN, PAIR], ids=["v3", "v1"])
def test_without_a_way_to_pay_the_student_is_asked_and_it_goes_on_once_there_is_one(key: str) -> None:
    made = ordered(key)
    made.sandbox.switches.set(godaddy_payment="none")
    made.play(asked(made).exists)
    assert problem(made) == "registration_payment"
    letter = contents.letter(Mail.objects.get(provision=made.provision, kind="registering"))
    assert letter.subject == f"GoDaddy did not register {NAME}"
    assert "no way to pay" in letter.text
    assert "Buy it yourself" in letter.html
    made.sandbox.switches.set(godaddy_payment="set_up")
    actions.register_again(provision=made.provision, domain=made.domain(NAME), terms=None, address=ADDRESS, actor="ada")
    made.play(hours=240)
    made.check()
    assert charged(made.sandbox) == [(NAME, PRICE)]


def test_a_registration_that_fails_half_way_is_asked_about_and_tried_again_with_another_quote() -> None:
    made = ordered()
    made.sandbox.faults.add("declined", platform="godaddy", verb="register", times=1)
    made.play(asked(made).exists)
    assert problem(made) == "registration_payment"
    actions.register_again(provision=made.provision, domain=made.domain(NAME), terms=None, address=ADDRESS, actor="ada")
    made.play(hours=240)
    made.check()
    assert charged(made.sandbox) == [(NAME, PRICE)]
    assert made.calls()["godaddy.quote"] == 3  # in the wizard, and twice here


def test_who_bought_it_themselves_goes_on_with_it_as_with_any_domain_of_theirs() -> None:
    made = ordered()
    made.sandbox.switches.set(godaddy_scopes="domains.domain:read")
    made.play(asked(made).exists)
    assert problem(made) == "GODADDY_API_ERROR"
    actions.registered_by_hand(provision=made.provision, domain=made.domain(NAME), actor="ada")
    made.world.people = people.of("workspace")
    made.play(hours=240)
    made.check()
    assert charged(made.sandbox) == []


@pytest.mark.parametrize("fault", ["registry_taken", "switch"])
def test_a_name_that_somebody_else_was_faster_with_is_another_ones_to_choose(fault: str) -> None:
    made = ordered()
    if fault == "switch":
        made.sandbox.switches.set(godaddy_taken_names=NAME)
    else:
        made.sandbox.faults.add("registry_taken", platform="godaddy", verb="register", times=1)
    made.play(asked(made).exists)
    assert (problem(made), charged(made.sandbox)) == ("registration_lost", [])
    actions.drop_domain(provision=made.provision, domain=made.domain(NAME), actor="ada")


def test_what_takes_half_an_hour_is_looked_at_by_a_person_and_nothing_is_sent_again() -> None:
    made = ordered()
    made.sandbox.faults.add("stuck", platform="godaddy", verb="REGISTER", times=1)
    made.play(made.rows("registered").filter(waits_on="operator").exists)
    assert made.calls()["godaddy.register"] == 1
    assert made.items("step", is_open=True).count() == 1


def test_nothing_is_bought_while_purchases_are_paused() -> None:
    made = ordered()
    actions.pause_purchases(paused=True, actor="olive", reason="test")
    made.play(made.rows("registered").filter(waits_on="operator").exists)
    assert not made.calls()["godaddy.register"]
    actions.pause_purchases(paused=False, actor="olive", reason="test")
    made.play(hours=240)
    made.check()
    assert charged(made.sandbox) == [(NAME, PRICE)]


def test_without_the_account_that_it_is_to_be_registered_in_an_order_is_not_frozen() -> None:
    world = make_world()
    open_account(world.sandbox)
    provision = make_order("acme", tier="own-domains")
    to_register(provision, world.workshop)
    connections.use_operators(student=provision.student, slug="godaddy", actor="ada")
    with pytest.raises(actions.Refused, match="not connected"):
        actions.freeze_order(provision=provision, actor="test")


def test_silence_of_an_hour_before_anything_was_sent_shows_the_student_other_ways_and_a_blip_does_not() -> None:
    made = ordered()
    began = made.sandbox.clock.now()
    made.sandbox.faults.add("status", platform="godaddy", verb="get_domain", status=503, times=1)
    made.sandbox.switches.set(godaddy_operation_seconds=(0.0, 0.0))
    fault = made.sandbox.faults.add("status", platform="godaddy", verb="quote", status=503)
    made.play(asked(made).exists)
    assert made.sandbox.clock.now() - began > 3600
    assert (problem(made), charged(made.sandbox)) == ("GODADDY_API_ERROR", [])
    made.sandbox.faults.remove(fault.id)
    actions.register_again(provision=made.provision, domain=made.domain(NAME), terms=None, address=ADDRESS, actor="ada")
    made.play(hours=240)
    made.check()
    assert charged(made.sandbox) == [(NAME, PRICE)]


def test_who_does_not_answer_is_reminded_after_a_day_and_after_two_the_operator_is_told() -> None:
    made = ordered()
    made.sandbox.switches.set(godaddy_payment="none")
    made.play(asked(made).exists)
    letters = Mail.objects.filter(provision=made.provision, kind="registering")
    assert (letters.count(), made.items("step", is_open=True).count()) == (1, 0)
    made.play(lambda: letters.count() == 2, hours=30)
    assert made.items("step", is_open=True).count() == 0
    made.play(lambda: letters.count() == 3, hours=30)
    assert made.items("step", is_open=True).count() == 1


def test_a_key_of_the_other_interface_buys_nothing_while_nobody_knows_what_the_first_one_did() -> None:
    made = ordered(PAIR)
    made.sandbox.faults.add("timeout_before", platform="godaddy", verb="purchase", times=1)
    made.play(lambda: bool(made.calls()["godaddy.purchase"]))
    open_account(made.sandbox)
    assert connect(made.provision.student, "godaddy", TOKEN, made.world.workshop).state == "good"
    made.play(made.rows("registered").filter(waits_on="operator").exists)
    assert not made.calls()["godaddy.register"]
    assert charged(made.sandbox) == []


def test_what_was_refused_as_there_already_is_asked_for_again_when_its_student_says_so() -> None:
    made = ordered(PAIR)
    made.sandbox.faults.add("status", platform="godaddy", verb="purchase", status=409, times=1)
    made.play(asked(made).exists)
    assert problem(made) == "registration_lost"
    actions.register_again(provision=made.provision, domain=made.domain(NAME), terms=None, address=ADDRESS, actor="ada")
    made.play(hours=240)
    made.check()
    assert charged(made.sandbox) == [(NAME, PRICE)]


def test_where_it_is_switched_off_by_then_an_order_is_not_frozen(settings: Any) -> None:
    world = make_world()
    open_account(world.sandbox)
    provision = make_order("acme", tier="own-domains")
    to_register(provision, world.workshop)
    settings.PLATFORMS = {**settings.PLATFORMS, "GODADDY_STUDENTS_REGISTER": ""}
    with pytest.raises(actions.Refused, match="cannot be registered here"):
        actions.freeze_order(provision=provision, actor="test")
