"""What orders own is watched: years that end are told of, choices are kept, what is gone is noted. A year passes here."""

from __future__ import annotations

from typing import Any

import pytest

from infra import clock
from infra.mails import contents
from infra.models import (
    Domain,
    DomainState,
    Inventory,
    Mail,
    MailboxSecret,
    MailboxState,
    OperatorItem,
    ProvisionState,
    RenewalChoice,
)
from infra.secret import Secret
from integrations.sandbox.zapmail_world import set_auto_renew
from provisioning import inventory, life
from provisioning.actions import Refused
from provisioning.engine import doorbell
from provisioning.models import Event, Heartbeat, Permit

from .kit import Story, begin, make_world, story
from .test_life import play_all

pytestmark = pytest.mark.django_db

DAY = 86_400.0
ANN = {"actor": "ann@ops.example", "reason": "asked for"}


def live(**world: Any) -> Story:
    made = story(**world)
    made.play()
    return made


def look(made: Story) -> int:
    """Answer the bell: look at everything that is due."""
    inventory.admit()
    done = 0
    while inventory.look_at_next(made.world.workshop):
        done += 1
    return done


def pass_days(made: Story, days: int, *, step: int = 1) -> None:
    for _ in range(0, days, step):
        made.advance(step * DAY)
        look(made)


def reads(made: Story) -> int:
    return sum(made.calls()[f"zapmail.{verb}"] for verb in ("list_domains", "list_mailboxes", "list_dns_records"))


def notices(made: Story) -> list[int]:
    rows = Mail.objects.filter(provision=made.provision, kind="renewal").order_by("created_at")
    return [row.context["days"] for row in rows]


def domains(made: Story) -> list[Domain]:
    return inventory.owned(made.provision)


def test_a_look_keeps_dates_records_and_passwords_and_costs_few_calls() -> None:
    made = live()
    before = reads(made)
    look(made)
    assert reads(made) - before == 2 + len(domains(made))
    for domain in domains(made):
        assert domain.expires_at is not None
        assert domain.facts["renewal"] == "on"
        assert {row[0] for row in domain.facts["dns_records"]} == {"MX", "TXT"}
    held = {box.email: box.app_password for box in made.sandbox.world.zapmail.mailboxes.values()}
    kept = {one.mailbox.address: one.app_password.open() for one in MailboxSecret.objects.select_related("mailbox")}
    assert kept == held
    assert look(made) == 0
    pass_days(made, 70, step=1)
    assert reads(made) - before <= 4 * len(domains(made)) + 2 * 11


def test_a_changed_password_replaces_the_old_one() -> None:
    made = live()
    look(made)
    box = next(iter(made.sandbox.world.zapmail.mailboxes.values()))
    box.app_password = "=changed"
    pass_days(made, 7)
    assert MailboxSecret.objects.get(mailbox__address=box.email).app_password == Secret("=changed")


def test_notices_go_out_at_thirty_seven_and_one_day_once_each() -> None:
    made = live()
    look(made)
    pass_days(made, 329, step=7)
    assert notices(made) == []
    pass_days(made, 36)
    assert notices(made) == [30, 7, 1]


def test_whoever_looks_late_sends_only_the_notice_that_is_true_now() -> None:
    made = live()
    look(made)
    made.advance(360 * DAY)
    look(made)
    look(made)
    assert notices(made) == [7]
    (row,) = Mail.objects.filter(provision=made.provision, kind="renewal")
    letter = contents.letter(row)
    assert all(domain.name in letter.text and "$12.99" in letter.text for domain in domains(made))
    assert "you have not chosen yet" in letter.text


def test_a_kept_domain_is_renewed_and_its_new_year_is_told_of_anew() -> None:
    made = live()
    look(made)
    first = domains(made)[0].expires_at
    for domain in domains(made):
        assert inventory.choose(provision=made.provision, domain=domain, choice="keep", actor="ada")
    pass_days(made, 372, step=3)
    made.refresh()
    assert {domain.state for domain in domains(made)} == {DomainState.ACTIVE}
    now = domains(made)[0].expires_at
    assert first is not None
    assert now is not None
    assert (now - first).days == 365
    assert not OperatorItem.objects.filter(provision=made.provision, kind__startswith="renewal").exists()


def test_a_dropped_domain_is_one_task_that_closes_by_itself_and_the_domain_expires() -> None:
    made = live()
    look(made)
    dropped = domains(made)[0]
    assert inventory.choose(provision=made.provision, domain=dropped, choice="drop", actor="ada@students.example")
    assert not inventory.choose(provision=made.provision, domain=dropped, choice="drop", actor="ada@students.example")
    look(made)
    made.advance(3 * 3600)
    look(made)
    (item,) = OperatorItem.objects.filter(provision=made.provision, kind="renewal_unwanted")
    assert dropped.name in item.sentence

    set_auto_renew(made.sandbox.world, dropped.name, on=False)
    made.advance(3600)
    look(made)
    item.refresh_from_db()
    assert item.resolved_at is not None

    pass_days(made, 367, step=3)
    dropped.refresh_from_db()
    assert dropped.state == DomainState.EXPIRED
    assert set(dropped.mailboxes.values_list("state", flat=True)) == {MailboxState.REMOVED}
    assert not MailboxSecret.objects.filter(mailbox__domain=dropped).exists()
    assert len(domains(made)) == 2
    choice = RenewalChoice.objects.get()
    assert (choice.actor, choice.choice, choice.price_cents) == ("ada@students.example", "drop", 1299)
    assert Event.objects.filter(provision=made.provision, kind="renewal_drop", actor="ada@students.example").exists()
    with pytest.raises(Refused):
        inventory.choose(provision=made.provision, domain=dropped, choice="keep", actor="ada")


def test_a_changed_mind_asks_for_the_opposite() -> None:
    made = live(switches={"zapmail_auto_renew": "off"})
    look(made)
    domain = domains(made)[0]
    inventory.choose(provision=made.provision, domain=domain, choice="drop", actor="ada")
    look(made)
    assert not OperatorItem.objects.filter(provision=made.provision, kind="renewal_unwanted").exists()
    inventory.choose(provision=made.provision, domain=domain, choice="keep", actor="ada")
    look(made)
    assert OperatorItem.objects.get(provision=made.provision, kind="renewal_wanted").resolved_at is None


def test_a_list_that_never_says_asks_once_and_takes_a_persons_word() -> None:
    made = live(switches={"zapmail_auto_renew": "unsaid"})
    look(made)
    inventory.choose(provision=made.provision, domain=domains(made)[0], choice="drop", actor="ada")
    look(made)
    OperatorItem.objects.filter(kind="renewal_unwanted").update(resolved_at=clock.machine_now(), resolution="done")
    pass_days(made, 3)
    assert OperatorItem.objects.filter(kind="renewal_unwanted").count() == 1


def test_after_the_end_mailboxes_are_removed_when_they_are_and_domains_expire_on_their_day() -> None:
    world = make_world(switches={"zapmail_auto_renew": "off"})
    made, other = begin(world, "acme"), begin(world, "bolt")
    made.play()
    other.play()
    look(made)
    life.tear_down(provision=made.provision, **ANN)
    play_all(made)
    assert made.provision.state == ProvisionState.CANCELLED
    before = MailboxState.SUSPENDED
    assert set(made.provision.mailboxes.values_list("state", flat=True)) == {before}

    pass_days(made, 40)
    assert set(made.provision.mailboxes.values_list("state", flat=True)) == {MailboxState.REMOVED}
    assert {domain.state for domain in domains(made)} == {DomainState.ACTIVE}
    assert set(other.provision.mailboxes.values_list("state", flat=True)) <= {MailboxState.WARMING, MailboxState.READY}
    assert notices(made) == []

    pass_days(made, 340, step=5)
    assert set(made.provision.domains.filter(bought_at__isnull=False).values_list("state", flat=True)) == {
        DomainState.EXPIRED
    }
    assert Inventory.objects.get(provision=made.provision).due_at is None


def test_a_renewal_that_is_switched_on_after_the_end_is_asked_about_again() -> None:
    made = live(switches={"zapmail_auto_renew": "off"})
    look(made)
    life.tear_down(provision=made.provision, **ANN)
    play_all(made)
    set_auto_renew(made.sandbox.world, domains(made)[0].name, on=True)
    pass_days(made, 8)
    (item,) = OperatorItem.objects.filter(provision=made.provision, kind="renewal_unwanted", resolved_at__isnull=True)
    assert domains(made)[0].name in item.sentence


def test_a_platform_that_is_away_leaves_what_is_known_and_is_asked_again_later() -> None:
    made = live()
    look(made)
    known = [domain.facts for domain in domains(made)]
    made.sandbox.faults.add("status", verb="list_domains", status=503)
    made.advance(8 * DAY)
    look(made)
    row = Inventory.objects.get(provision=made.provision)
    assert "zapmail" in row.problem
    assert [domain.facts for domain in domains(made)] == known
    made.sandbox.faults.clear()
    made.advance(3600)
    assert look(made) == 1
    row.refresh_from_db()
    assert row.problem == ""


def test_no_password_is_in_a_fact_a_mail_or_an_item() -> None:
    made = live()
    look(made)
    words = [box.app_password for box in made.sandbox.world.zapmail.mailboxes.values()]
    written = repr(list(made.provision.domains.values())) + repr(list(made.provision.mailboxes.values()))
    written += repr(list(Mail.objects.values())) + repr(list(OperatorItem.objects.values()))
    written += repr(list(MailboxSecret.objects.values_list("pk", "app_password")))
    assert not [word for word in words if word in written]


def test_the_bell_is_answered_and_rung_for_what_is_due(monkeypatch: pytest.MonkeyPatch) -> None:
    made = live()
    monkeypatch.setattr(inventory, "default_workshop", lambda: made.world.workshop)
    assert inventory.is_due()  # something new may have come to be owned
    assert doorbell.drain("inventory") == 1
    assert not inventory.is_due()
    made.advance(8 * DAY)
    Heartbeat.objects.filter(name="work:inventory").update(at=clock.machine_now())
    assert "inventory" in doorbell.due_names()


def test_paid_work_goes_first_and_a_look_without_a_permit_has_tried_nothing() -> None:
    made = live()
    inventory.admit()
    before = reads(made)
    Permit.objects.filter(budget="zapmail.general").update(used_at=clock.vendor_now())
    assert not inventory.look_at_next(made.world.workshop)
    row = Inventory.objects.get(provision=made.provision)
    assert (row.failures, row.problem, row.looked_at) == (0, "", None)
    assert reads(made) == before
    made.advance(120)
    assert look(made) == 1


def test_a_suspended_order_is_taken_down_too() -> None:
    made = live(switches={"zapmail_auto_renew": "off"})
    life.suspend(provision=made.provision, **ANN)
    play_all(made)
    life.tear_down(provision=made.provision, **ANN)
    play_all(made)
    assert made.provision.state == ProvisionState.CANCELLED
    boxes = made.sandbox.world.zapmail.mailboxes.values()
    assert all(box.scheduled_for_removal for box in boxes)
