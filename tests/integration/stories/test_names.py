"""A name is lost after payment: a spare takes its place, the student chooses, or its share is paid back."""

from __future__ import annotations

import pytest

from infra.models import DomainState, OrderLine, Tier
from provisioning import actions

from .kit import Story, answer, story

pytestmark = pytest.mark.django_db

LOST, SPARE = "getacme.com", "goacme.com"
STALE = 20 * 60.0  # the stored answers are older than a quarter of an hour


def lost_before(made: Story) -> None:
    """Somebody registers a name between the payment and the purchase, and our answer about it is old."""
    made.sandbox.switches.set(zapmail_taken_names=LOST)
    made.advance(STALE)


def test_a_name_that_is_gone_before_the_purchase_is_replaced_by_the_spare() -> None:
    made = story()
    lost_before(made)
    made.play()
    made.check()
    assert made.domain(LOST).state == DomainState.LOST
    assert made.domain(SPARE).state == DomainState.ACTIVE
    assert LOST not in made.sandbox.world.zapmail.purchases


def test_a_name_that_the_registry_refuses_after_charging_is_replaced_and_refunded() -> None:
    made = story(faults=({"kind": "domain_taken", "verb": "buy_domains", "items": [LOST]},))
    made.play()
    made.check()
    assert made.domain(LOST).state == DomainState.LOST
    assert made.sandbox.world.zapmail.purchases[LOST].refunded == 1
    assert made.calls()["zapmail.buy_domains"] == 2


def test_a_refusal_that_does_not_say_which_name_is_asked_for_each() -> None:
    made = story(switches={"zapmail_names_with_workspace": LOST})
    made.play()
    made.check()
    assert made.domain(LOST).state == DomainState.LOST
    assert made.calls()["zapmail.buy_domains"] == 1 + 3 + 1  # together, each alone, the spare


def test_a_name_that_is_in_the_account_already_does_not_take_the_others_with_it() -> None:
    made = story()
    zapmail = made.sandbox.world.zapmail
    with_it = story_of_somebody_else(made)
    made.play()
    made.refresh()
    assert made.provision.state == "active"
    assert made.domain(LOST).state == DomainState.LOST
    assert zapmail.domain_named(LOST) is with_it


def story_of_somebody_else(made: Story) -> object:
    """The operator owns a name already, in a workspace that is not the student's."""
    from integrations.sandbox.zapmail_world import PRIMARY, Domain

    held = Domain("d-0", LOST, PRIMARY, "GOOGLE", 0.0, 0.0, 0, 1, status="ACTIVE")
    made.sandbox.world.zapmail.domains["d-0"] = held
    return held


def test_two_names_that_are_gone_at_once_get_two_spares() -> None:
    made = story(spares=2)
    made.sandbox.switches.set(zapmail_taken_names=f"{LOST} tryacme.com")
    made.advance(STALE)
    made.play()
    made.check()
    assert set(made.provision.domains.filter(state=DomainState.LOST).values_list("name", flat=True)) == {
        LOST,
        "tryacme.com",
    }
    assert made.mails() == {"ready": 1}


def test_a_package_that_is_edited_meanwhile_changes_nothing_of_what_was_paid_for() -> None:
    made = story()
    Tier.objects.update(domain_price_cap_cents=1, domain_count=1, mailbox_count=1, warmup={})
    made.advance(STALE)
    made.play()
    made.check()
    assert made.provision.domains.filter(state=DomainState.ACTIVE).count() == 3


def test_a_price_above_the_cap_counts_as_lost() -> None:
    fault = {"kind": "price_changed", "verb": "check_domains", "items": [LOST], "amount": 900}
    made = story(faults=(fault,))
    made.advance(STALE)
    made.play()
    made.check()
    assert made.domain(LOST).state == DomainState.LOST
    assert "costs more" in made.domain(LOST).reason


def without_spares() -> Story:
    made = story(spares=0)
    lost_before(made)
    made.play(made.parks("needs_choice"))
    return made


def test_without_a_spare_the_student_chooses_and_the_others_go_on() -> None:
    made = without_spares()
    assert made.mails() == {"needs_you": 1}
    others = made.provision.domains.exclude(name=LOST)
    made.play(lambda: not others.exclude(state=DomainState.ACTIVE).exists())
    made.check("provisioning")

    answer("acmehq.com")
    actions.choose_replacement(provision=made.provision, domain=made.domain(LOST), name="acmehq.com", actor="student")
    made.play()
    made.check()
    assert made.domain("acmehq.com").state == DomainState.ACTIVE
    assert made.provision.mailboxes.filter(domain__name="acmehq.com").count() == 2


def test_a_choice_that_is_gone_as_well_asks_again() -> None:
    made = without_spares()
    made.sandbox.switches.set(zapmail_taken_names=f"{LOST} acmehq.com")
    answer("acmehq.com")
    made.advance(1)
    actions.choose_replacement(provision=made.provision, domain=made.domain(LOST), name="acmehq.com", actor="student")
    made.play(lambda: made.rows("buy_domains").filter(domain__name="acmehq.com", waits_on="student").exists())
    made.check("provisioning")
    assert made.mails()["needs_you"] == 2
    purchases = made.sandbox.world.zapmail.purchases["acmehq.com"]
    assert (purchases.bought, purchases.asked) == (0, 1)


def test_a_dropped_name_is_paid_back_and_the_set_up_ends_with_an_exception() -> None:
    made = without_spares()
    actions.drop_domain(provision=made.provision, domain=made.domain(LOST), actor="student")
    made.play()
    made.check("active_with_exceptions")
    line = OrderLine.objects.get(kind=OrderLine.Kind.DOMAIN_SHARE)
    assert (line.state, line.amount_cents) == (OrderLine.State.REFUND_DUE, 9700 // 3)
    assert made.provision.domains.filter(state=DomainState.ACTIVE).count() == 2
    assert made.provision.mailboxes.filter(state="warming").count() == 4
    assert made.mails() == {"needs_you": 1, "ready_with_exceptions": 1}


def test_when_every_name_is_dropped_the_run_fails_and_a_person_knows() -> None:
    made = story(spares=0)
    made.sandbox.switches.set(zapmail_taken_names=" ".join(made.names()))
    made.advance(STALE)
    made.play(made.parks("needs_choice"))
    for domain in made.provision.domains.all():
        actions.drop_domain(provision=made.provision, domain=domain, actor="student")
    made.play()
    made.check("failed")
    assert made.items("run_failed", is_open=True).count() == 1
