"""The stories of the `forge` stack: as it should go, and what its three platforms do instead."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import Any

import pytest

from infra import clock
from infra.dns.dmarc import Rung
from infra.models import Credential, DomainState, MailboxSecret
from integrations.sandbox.infraforge_world import break_record, top_up
from provisioning import actions, changing, inventory, life
from provisioning.models import Run

from .. import invariants
from .kit import Story, story

pytestmark = pytest.mark.django_db

BY = {"actor": "billing", "reason": "its subscription has ended"}


def ordered(tier: str = "ignition", **world: Any) -> Story:
    return story(tier=tier, **world)


def there(made: Story) -> Any:
    return made.sandbox.world.infraforge


@pytest.mark.parametrize("tier", ["ignition", "velocity", "dominance"])
def test_an_order_ends_with_everything_that_was_ordered(tier: str) -> None:
    made = ordered(tier)
    made.play()
    made.check()


def test_two_dedicated_addresses_are_two_workspaces_among_which_the_domains_are_spread() -> None:
    made = ordered("dominance")
    made.play()
    spread = Counter(domain.workspace_id for domain in there(made).domains.values())
    assert sorted(spread.values()) == [2, 3]
    boxes = Counter(mailbox.domain for mailbox in there(made).mailboxes.values())
    assert sorted(boxes.values()) == [2, 2, 2, 2, 3]
    assert len(set(made.provision.facts["dedicated_ips"].values())) == 2


def test_the_registrant_is_the_operator_and_renewal_is_on() -> None:
    made = ordered()
    made.play()
    assert {domain.auto_renew for domain in there(made).domains.values()} == {"enabled"}
    assert {domain.dmarc_email for domain in there(made).domains.values()} == {"dmarc@ops.example"}


@pytest.mark.parametrize("reply", ["402", "checkout"])
def test_credits_that_are_short_are_waited_for_and_nothing_is_bought_twice(reply: str) -> None:
    made = ordered(switches={"infraforge_credits_cents": 1000, "infraforge_short_credits": reply})
    made.play(made.parks("waiting_funds"))
    assert made.calls()["infraforge.create_workspace"] == 0
    top_up(made.sandbox.world, 100_000, made.sandbox.clock.now())
    made.play()
    made.check()


@pytest.mark.parametrize("reply", ["402", "checkout"])
def test_credits_that_only_the_purchase_finds_short(reply: str) -> None:
    made = ordered(switches={"infraforge_short_credits": reply, "infraforge_credits_cents": 491_000})
    made.play(lambda: bool(there(made).workspaces))
    world, now = made.sandbox.world, made.sandbox.clock.now()
    top_up(world, -480_000, now)  # somebody else spends from the same credits
    made.play(made.parks("waiting_funds"))
    top_up(world, 480_000, made.sandbox.clock.now())
    made.play()
    made.check()


def test_an_account_that_never_set_credits_up_waits_for_what_the_purchase_says() -> None:
    made = ordered(switches={"infraforge_credits": "never_404"})
    made.play(made.parks("waiting_funds"))
    assert not there(made).workspaces
    assert made.items("wallet_short", is_open=True).count() == 1


def test_a_name_that_is_gone_is_replaced_by_the_spare() -> None:
    made = ordered(faults=({"kind": "domain_taken", "verb": "buy_domains", "times": 1},))
    made.play()
    made.check()
    assert made.provision.domains.filter(state=DomainState.LOST).count() == 1


def test_only_a_part_of_an_order_was_bought_and_the_rest_is_bought_once() -> None:
    made = ordered("velocity", faults=({"kind": "partial_purchase", "verb": "buy_domains", "times": 1},))
    made.play()
    made.check()


@pytest.mark.parametrize("verb", ["create_workspace", "buy_domains", "create_mailboxes", "export_to_salesforge"])
def test_a_lost_answer_is_read_back_and_nothing_is_paid_twice(verb: str) -> None:
    lost = {"kind": "timeout_after", "platform": "infraforge", "verb": verb, "times": 1}
    made = ordered(faults=(lost,))
    made.play()
    made.check()


def test_records_that_are_broken_in_public_hold_the_mailboxes_up_until_they_are_mended() -> None:
    made = ordered(spares=0)
    made.play(lambda: made.rows("records").filter(state="waiting").exists())
    name, world = made.provision.domains.get(position=0).name, made.sandbox.world
    break_record(world, name, "spf", "missing", made.sandbox.clock.now())
    made.advance(4 * 3600)
    made.play(lambda: made.rows("records").filter(state="completed").count() == 1)
    made.advance(3600)
    made.play(lambda: made.rows("records").filter(why__contains="not everywhere", domain__name=name).exists())
    evidence = made.domain(name).facts["dns_evidence"]
    assert evidence["state"] == "absent" or evidence["coverage"] < 100
    assert not made.rows("mailboxes").filter(mailbox__domain__name=name, state="completed").exists()

    break_record(world, name, "spf", "", made.sandbox.clock.now())
    made.play()
    made.check()
    assert made.domain(name).facts["dns_evidence"]["state"] == "complete"


def test_records_are_looked_at_every_hour_once_the_first_minutes_are_over() -> None:
    made = ordered(spares=0)
    made.play(lambda: made.rows("records").filter(state="waiting").exists())
    for domain in made.provision.domains.all():
        break_record(made.sandbox.world, domain.name, "mx", "missing", made.sandbox.clock.now())
    made.advance(12 * 3600)
    now = clock.vendor_now()
    made.play(lambda: made.rows("records").filter(next_attempt_at__gt=now + timedelta(minutes=30)).count() == 2)
    for row in made.rows("records"):
        assert clock.seconds_between(now, row.next_attempt_at) <= 3660


def test_a_bulk_change_that_changes_nothing_is_made_record_by_record_and_keeps_every_other_row() -> None:
    # They take ids, and we are set to send names: the bulk call is answered and changes nothing.
    made = ordered(INFRAFORGE_BULK_DNS_BY="name")
    made.play()
    made.check()
    assert made.done("infraforge.put_dns") == 2
    for domain in there(made).domains.values():
        assert {"MX", "TXT"} <= {record.type for record in domain.records}
        assert len(domain.records) >= 4


def test_an_export_that_never_lands_is_made_good_by_connecting_the_mailboxes() -> None:
    made = ordered(switches={"infraforge_export_lands": "never"})
    made.play(hours=48)
    made.check()
    assert made.done("salesforge.connect_mailbox") == made.done("warmforge.connect_smtp") == 3


@pytest.mark.parametrize("lands", ["salesforge", "warmforge"])
def test_an_export_that_lands_in_one_tool_only_is_completed_in_the_other(lands: str) -> None:
    made = ordered(switches={"infraforge_export_lands": lands})
    made.play(hours=48)
    made.check()


def test_without_a_slot_a_person_is_asked_instead_of_warmup_being_taken_for_on() -> None:
    made = ordered(switches={"warmforge_slots": 1})
    made.play(made.parks("needs_operator"))
    assert made.items(is_open=True).filter(sentence__contains="is there a slot left").exists()


def test_a_renewal_that_they_call_failed_is_asked_for_three_times_and_then_a_matter_for_a_person() -> None:
    made = ordered(spares=0, switches={"infraforge_autorenew": "fails"})
    made.play(made.parks("needs_operator"))
    (item,) = made.items("step", is_open=True)
    assert item.details["code"] == "renewal_on"
    assert made.done("infraforge.enable_autorenew") == 6, "three times for each of two domains"
    made.advance(12 * 3600)
    made.play(lambda: made.rows("renewal_on").filter(next_attempt_at__gt=clock.vendor_now()).count() == 2)
    assert made.done("infraforge.enable_autorenew") == 6
    made.sandbox.switches.set(infraforge_autorenew="as_asked")
    actions.retry_failed_step(run=made.run, actor="op", reason="the card was mended")
    made.play()
    made.check()


def test_passwords_are_ours_encrypted_and_set_before_anybody_is_told() -> None:
    made = ordered(switches={"infraforge_credentials": "without_passwords"})
    made.play()
    made.check()
    chosen = {one.login: one.password.open() for one in Credential.objects.filter(provision=made.provision)}
    assert {m.email: m.password for m in there(made).mailboxes.values()} == chosen


def test_taking_an_order_down_switches_renewal_off_and_leaves_the_dedicated_address_to_a_person() -> None:
    made = ordered()
    made.play()
    life.tear_down(provision=made.provision, **BY)
    made.play(lambda: made.items(is_open=True).filter(sentence__contains="dedicated IP").exists())
    assert {domain.auto_renew for domain in there(made).domains.values()} == {"disabled"}
    assert len(there(made).mailboxes) == 3, "nothing is deleted before its time ends"
    for workspace in there(made).workspaces.values():
        workspace.ip = None
    made.play(lambda: made.provision.runs.get(kind="teardown").state == "done")
    made.refresh()
    assert made.provision.state == "cancelled"


@pytest.mark.parametrize("tier", ["ignition", "dominance"])
def test_what_an_order_owns_is_looked_at_within_what_the_budget_leaves(tier: str) -> None:
    made = ordered(tier)
    made.play()
    inventory.admit()
    for _minute in range(20):
        inventory.look_at_next(made.world.workshop)
        made.advance(60)
    kept = {one.mailbox.address: one.app_password.open() for one in MailboxSecret.objects.select_related("mailbox")}
    assert kept == {box.email: box.password for box in there(made).mailboxes.values()}
    assert set(made.provision.domains.exclude(bought_at=None).values_list("facts__renewal", flat=True)) == {"on"}


def test_a_student_sets_another_policy_as_often_as_they_like_and_each_time_by_one_call() -> None:
    made = ordered()
    made.play()
    domain = made.provision.domains.select_related("provision").order_by("position")[0]
    for rung in (Rung.REJECT, Rung.QUARANTINE, Rung.NONE, Rung.REJECT, Rung.QUARANTINE):
        begun = made.done("infraforge.set_dmarc_bulk")
        run = changing.change_policy(domain=domain, rung=rung, actor="student")
        began = clock.vendor_now()
        made.world.run_until(lambda run=run: made.world.has_ended(run))  # type: ignore[misc]
        assert Run.objects.get(pk=run.pk).state == "done"
        assert clock.seconds_between(began, clock.vendor_now()) < 600
        assert made.done("infraforge.set_dmarc_bulk") == begun + 1
        domain.refresh_from_db()
        policies = [row[2] for row in domain.facts["dns_records"] if row[1] == f"_dmarc.{domain.name}"]
        assert [f"p={rung}" in text for text in policies] == [True]
    with pytest.raises(actions.Refused, match="does not know this step"):
        changing.change_policy(domain=domain, rung=Rung.QUARANTINE_TEST, actor="student")
    invariants.check(made.sandbox, made.world.books())
