"""Slots, domains and mailboxes that are slow, late, odd or broken."""

from __future__ import annotations

import pytest

from infra.models import DomainState

from .kit import story

pytestmark = pytest.mark.django_db

ONE = "ada@getacme.com"
MINUTE, HOUR = 60.0, 3600.0


@pytest.mark.parametrize("failures", [1, 2])
def test_a_mailbox_that_fails_is_tried_again(failures: int) -> None:
    made = story(faults=({"kind": "failing_mailboxes", "items": [ONE], "times": failures},))
    made.play()
    made.check()
    assert made.calls()["zapmail.retry_failed_mailboxes"] == failures


def test_a_mailbox_that_never_works_is_set_aside_and_the_others_are_ready() -> None:
    made = story(faults=({"kind": "failing_mailboxes", "items": [ONE]},))
    made.play()
    made.check("active_with_exceptions")
    assert made.calls()["zapmail.retry_failed_mailboxes"] == 2
    assert made.provision.mailboxes.get(address=ONE).state == "failed"
    assert made.provision.mailboxes.filter(state="warming").count() == 5
    assert made.items("set_aside", is_open=True).count() == 1
    assert made.mails()["ready_with_exceptions"] == 1


def test_a_slow_mailbox_does_not_hold_the_others() -> None:
    made = story(faults=({"kind": "slow_mailboxes", "items": [ONE], "seconds": 10 * HOUR},))
    made.play(lambda: made.provision.mailboxes.filter(state="warming").count() == 5, hours=2)
    made.play()
    made.check()
    assert made.mails() == {"delayed": 1, "fixed": 1, "ready": 1} or made.mails()["ready"] == 1


def test_a_slow_domain_does_not_hold_the_others() -> None:
    made = story(faults=({"kind": "slow_domains", "items": ["getacme.com"], "seconds": 10 * HOUR},))
    made.play(lambda: made.provision.mailboxes.filter(state="warming").count() == 4, hours=2)
    made.play()
    made.check()
    assert made.mails() == {"delayed": 1, "fixed": 1, "ready": 1}


def test_slots_that_land_late_are_bought_once_and_mailboxes_asked_for_again() -> None:
    made = story(faults=({"kind": "slow_slots", "seconds": 30 * MINUTE},))
    made.play()
    made.check()
    assert made.calls()["zapmail.buy_mailbox_slots"] == 1
    assert made.calls()["zapmail.create_mailboxes"] > 1


def test_slots_that_never_land_are_bought_again_after_the_bounds() -> None:
    made = story()
    made.play(lambda: made.done("zapmail.buy_mailbox_slots") == 1)
    world = made.sandbox.world  # as if nobody had ever ordered them
    world.events[:] = [event for event in world.events if event.kind != "slots_land"]
    (paid,) = [entry for entry in world.zapmail.ledger if entry.kind == "slots"]
    world.zapmail.ledger.remove(paid)
    world.zapmail.wallets["account"] -= paid.cents
    world.zapmail.workspaces[paid.workspace_id].slots_coming = 0
    made.play()
    made.check()
    assert made.done("zapmail.buy_mailbox_slots") == 2


def test_slots_that_were_seen_are_not_bought_again_because_an_older_list_lacks_them() -> None:
    made = story(faults=({"kind": "slow_domains", "items": ["getacme.com"], "seconds": 2 * HOUR},))
    made.play(lambda: made.provision.mailboxes.filter(state="warming").count() == 4)
    (workspace,) = (w for w in made.sandbox.world.zapmail.workspaces.values() if w.slots)
    workspace.slots = 4
    asked = made.calls()["zapmail.create_mailboxes"]
    made.play(lambda: made.calls()["zapmail.create_mailboxes"] == asked + 3)
    assert made.calls()["zapmail.buy_mailbox_slots"] == 1
    workspace.slots = 6
    made.play()
    made.check()
    assert made.calls()["zapmail.buy_mailbox_slots"] == 1


def test_accepted_and_nothing_happens_is_asked_for_again_after_the_bounds() -> None:
    made = story(faults=({"kind": "nothing_happens", "verb": "create_mailboxes", "times": 1},))
    made.play()
    made.check()
    assert made.calls()["zapmail.create_mailboxes"] == 2


def test_one_mailbox_that_exists_does_not_block_the_missing_ones() -> None:
    made = story()
    made.play(made.rows("buy_domains").filter(state="completed").exists)
    world = made.sandbox.world
    from integrations.sandbox.zapmail import _make_mailbox

    domain = world.zapmail.domain_named("getacme.com")
    assert domain is not None
    row = {"mailboxUsername": "ada", "firstName": "Ada", "lastName": "Sample"}
    _make_mailbox(world, domain, row, "GOOGLE", made.sandbox.clock.now())
    made.play()
    made.check()


def test_a_domain_that_stays_pending_becomes_an_operators_matter_and_the_others_are_ready() -> None:
    made = story(faults=({"kind": "slow_domains", "items": ["getacme.com"], "seconds": 60 * HOUR},))
    made.play(made.waits("domains_active", "operator"), hours=60)
    made.check("provisioning")
    assert made.provision.mailboxes.filter(state="warming").count() == 4
    assert made.items("step", is_open=True).get().details["code"] == "too_slow"
    assert made.provision.parked_reason == "needs_operator"
    made.play(hours=60)
    made.check()
    assert made.items(is_open=True).count() == 0


def test_an_order_that_vanishes_is_ordered_again_once() -> None:
    made = story(faults=({"kind": "nothing_happens", "verb": "buy_domains", "times": 1},))
    made.play()
    made.check()
    assert made.calls()["zapmail.buy_domains"] == 2


@pytest.mark.parametrize("verb", ["list_domains", "list_mailboxes", "list_accounts"])
def test_states_with_unknown_names_are_waited_out(verb: str) -> None:
    made = story(faults=({"kind": "unknown_status", "verb": verb, "value": "RECALIBRATING", "times": 9},))
    made.play()
    made.check()


def test_a_domain_that_failed_is_set_aside_with_its_mailboxes() -> None:
    fault = {"kind": "unknown_status", "verb": "list_domains", "items": ["getacme.com"], "value": "FAILED", "times": 20}
    made = story(faults=(fault,))
    made.play()
    made.check("active_with_exceptions")
    assert made.domain("getacme.com").state == DomainState.FAILED
    assert made.provision.mailboxes.filter(state="warming").count() == 4
