"""The stories of a domain that the student owned before the order: its nameservers prove whose it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from django.utils import timezone

from infra.dns import present
from infra.models import Domain, DomainState, Mail, OrderLine, Origin, Provision
from integrations.sandbox import registrar
from integrations.sandbox.infraforge_world import top_up
from provisioning import actions, life
from provisioning.steps import owning

from .kit import Story, answer, dying, make_order, make_world, outlive

pytestmark = pytest.mark.django_db

OWN, OURS = "sample-agency.com", ("ns1.sandbox.test", "ns2.sandbox.test")
OLD = ("ns37.domaincontrol.com", "ns38.domaincontrol.com")
ASKED = {"infraforge_owner_changes_nameservers": "by_control"}


def ordered(
    *own: str, tier: str = "ignition", name: str = "acme", spares: int = 1, mail: str = "", **world: Any
) -> Story:
    """Begin an order whose last domains are the student's own, registered elsewhere, where `mail` may receive theirs."""
    made = make_world(**{"switches": {}, **world} | {"switches": ASKED | world.get("switches", {})})
    for one in own or (OWN,):
        registrar.register(made.sandbox.world, one, nameservers=OLD, mail_server=mail)
    return order(made, own or (OWN,), tier=tier, name=name, spares=spares)


def order(world: Any, own: Sequence[str], *, tier: str = "ignition", name: str = "acme", spares: int = 1) -> Story:
    provision = make_order(name, tier=tier, spares=spares)
    chosen = list(provision.domains.filter(state=DomainState.SELECTED).order_by("position"))
    for domain, its_name in zip(chosen[len(chosen) - len(own) :], own, strict=True):
        domain.name, domain.origin = its_name, Origin.OWN
        domain.save()
    actions.freeze_order(provision=provision, actor="test")
    run = actions.start_run(provision=provision, actor="test", paid_at=timezone.now())
    provision.refresh_from_db()
    return Story(world, provision, run)


def delegate(made: Story, *servers: str, name: str = OWN) -> None:
    """Let the owner change the nameservers at the registrar."""
    registrar.delegate(made.sandbox.world, name, servers or OURS, made.sandbox.clock.now())


def asked(made: Story, name: str = OWN) -> Any:
    return lambda: made.rows("nameservers").filter(domain__name=name, waits_on="student").exists()


def is_ready(made: Story, name: str) -> Any:
    return lambda: Domain.objects.filter(name=name, state=DomainState.ACTIVE).exists()


def letters(made: Story, kind: str = "nameservers") -> list[int]:
    found = Mail.objects.filter(provision=made.provision, kind=kind).order_by("created_at")
    return [int(one.context["notice"]) for one in found]


def test_an_own_domain_is_connected_once_its_owner_has_changed_the_nameservers() -> None:
    made = ordered()
    made.play(asked(made))
    made.refresh()
    own = made.domain(OWN)
    assert own.state == DomainState.PENDING_NAMESERVERS
    assert own.facts["nameservers"] == list(OURS)
    assert own.facts["nameservers_seen"] == list(OLD)
    assert made.provision.parked_reason == "needs_student"
    assert letters(made) == [0]

    delegate(made)
    made.play(hours=72)
    made.check()
    own.refresh_from_db()
    assert (own.bought_at, own.price_cents, own.expires_at) == (None, 0, None)
    assert own.connected_at is not None
    assert own.facts["dns_evidence"]["state"] == "complete"
    assert made.provision.mailboxes.filter(domain=own).exists()
    assert not [e for e in made.sandbox.world.infraforge.ledger if OWN in e.what and e.kind != "mailbox"]


def test_the_bought_domains_go_on_while_the_owner_is_waited_for_and_nothing_is_done_for_the_own_one() -> None:
    made = ordered()
    made.play(lambda: is_ready(made, "getacme.com")() and asked(made)())
    made.play(lambda: made.rows("warmup").filter(state="completed").exists(), hours=12)
    before = made.sandbox.world.infraforge.domain_named(OWN)
    assert before is not None
    assert before.status == "pending"
    assert not made.provision.mailboxes.filter(domain__name=OWN).exclude(state="planned").exists()
    assert not made.rows("dmarc").filter(domain__name=OWN).exclude(state="pending").exists()
    touched = {e.verb for e in made.sandbox.log if OWN in str(e.items)}
    assert touched <= {"transfer_domains", "list_domains"}


def test_one_of_two_nameservers_is_not_enough_and_what_is_seen_is_kept() -> None:
    made = ordered()
    made.play(asked(made))
    delegate(made, OURS[0], OLD[0])
    made.advance(301)
    made.play(lambda: OURS[0] in made.domain(OWN).facts["nameservers_seen"])
    assert sorted(made.domain(OWN).facts["nameservers_seen"]) == sorted([OURS[0], OLD[0]])
    assert made.domain(OWN).connected_at is None


def test_a_domain_that_leads_nowhere_yet_may_be_brought_along() -> None:
    made = ordered()
    registrar.register(made.sandbox.world, OWN, nameservers=())
    made.play(asked(made))
    assert made.domain(OWN).facts["nameservers_seen"] == []
    delegate(made)
    made.play(hours=72)
    made.check()


def test_a_name_of_which_nothing_is_known_is_asked_about_like_any_other() -> None:
    made = make_world(switches=ASKED)
    order_of_it = order(made, ("never-heard-of.com",))
    order_of_it.play(asked(order_of_it, "never-heard-of.com"))
    delegate(order_of_it, name="never-heard-of.com")
    order_of_it.play(hours=72)
    order_of_it.check()


def test_after_a_day_the_owner_is_reminded_and_after_two_the_operator_is_told_and_nothing_is_lost() -> None:
    made = ordered()
    made.play(asked(made))
    made.play(lambda: letters(made) == [0, 1], hours=26)
    assert not made.items(is_open=True).exists()
    made.play(lambda: letters(made) == [0, 1, 2], hours=26)
    made.refresh()
    (item,) = made.items("step", is_open=True)
    assert "48 hours" in item.sentence
    assert item.details["code"] == "NAMESERVER_NOT_UPDATED"
    assert (made.run.state, made.domain(OWN).state) == ("parked", DomainState.PENDING_NAMESERVERS)

    made.advance(5 * 86400)
    delegate(made)
    made.play(hours=72)
    made.check()
    assert letters(made) == [0, 1, 2]


def test_while_nobody_above_answers_the_owner_is_asked_all_the_same_with_what_was_seen_last() -> None:
    made = ordered()
    made.play(asked(made))
    seen_at = made.domain(OWN).facts["nameservers_seen_at"]
    made.sandbox.switches.set(dns_authoritative="servfail")
    made.advance(301)
    made.play(lambda: made.rows("nameservers").filter(why__contains="nobody says").exists())
    assert made.domain(OWN).facts["nameservers_seen_at"] == seen_at
    made.sandbox.switches.set(dns_authoritative="answers")
    delegate(made)
    made.play(hours=72)
    made.check()


def test_before_anybody_says_where_it_leads_nothing_is_brought_in() -> None:
    made = ordered(switches={"dns_authoritative": "servfail"})
    made.play(lambda: made.rows("own_before").filter(why__contains="nobody says").exists())
    assert not made.calls()["infraforge.transfer_domains"]
    made.sandbox.switches.set(dns_authoritative="answers")
    made.play(asked(made))


def test_a_domain_that_led_here_before_we_asked_is_shown_to_be_the_students_by_a_person() -> None:
    made = ordered()
    registrar.register(made.sandbox.world, OWN, nameservers=OURS)
    made.play(made.parks("needs_operator"))
    (item,) = made.items("step", is_open=True)
    assert item.details["code"] == "own_domain_unproven"
    assert made.domain(OWN).connected_at is None
    row = made.rows("nameservers").get()
    actions.mark_done_by_hand(
        run=made.run, step=row, facts={"connected": True}, actor="op", reason="an invoice was shown"
    )
    made.play(hours=72)
    made.check()


def test_servers_that_a_person_noted_in_one_line_are_those_that_are_waited_for() -> None:
    assert owning.named({"nameservers": "ns1.sandbox.test, ns2.sandbox.test"}) == list(OURS)
    assert owning.named({"nameservers": list(OURS)}) == list(OURS)


def test_or_by_leading_it_elsewhere_and_here_again() -> None:
    made = ordered()
    registrar.register(made.sandbox.world, OWN, nameservers=OURS)
    made.play(made.parks("needs_operator"))
    delegate(made, *OLD)
    made.advance(3601)
    made.play(asked(made))
    delegate(made)
    made.play(hours=72)
    made.check()


def test_the_student_may_take_a_bought_name_instead() -> None:
    made = ordered(spares=0)
    made.play(asked(made))
    answer("instead.com", platform="infraforge")
    actions.choose_replacement(provision=made.provision, domain=made.domain(OWN), name="instead.com", actor="student")
    made.play(hours=48)
    made.check()
    assert made.domain(OWN).state == DomainState.LOST
    assert made.domain("instead.com").bought_at is not None
    assert not made.rows("nameservers").filter(domain__name="instead.com").exists()
    assert made.rows("buy_domains").filter(domain__name="instead.com", state="completed").exists()


def test_or_leave_it_out_and_have_its_share_back() -> None:
    made = ordered()
    made.play(lambda: letters(made) == [0, 1, 2], hours=60)
    actions.drop_domain(provision=made.provision, domain=made.domain(OWN), actor="student")
    assert not made.items("step", is_open=True).exists()
    made.play(hours=48)
    made.check("active_with_exceptions")
    line = OrderLine.objects.get(provision=made.provision, kind=OrderLine.Kind.DOMAIN_SHARE)
    assert (line.state, line.amount_cents) == ("refund_due", made.provision.order["refund_share_cents"])


def test_an_ending_that_the_platform_does_not_take_makes_room_for_the_spare() -> None:
    made = ordered("sample-agency.co.uk")
    made.play()
    made.check()
    assert made.domain("sample-agency.co.uk").state == DomainState.LOST


def test_a_domain_in_somebody_elses_workspace_is_a_matter_for_a_person() -> None:
    made = ordered()
    forge = made.sandbox
    other = forge.world.infraforge
    from integrations.sandbox.infraforge_world import bring_in, make_workspace

    space = make_workspace(forge.world, "Somebody else", False, forge.clock.now())
    bring_in(forge.world, space, OWN, "", forge.clock.now())
    made.play(made.parks("needs_operator"))
    (item,) = made.items("step", is_open=True)
    assert item.details["code"] == "own_domain_elsewhere"
    mine = next(w for w in other.workspaces.values() if w is not space)
    other.domain_named(OWN).workspace_id = mine.id  # type: ignore[union-attr]
    actions.retry_failed_step(run=made.run, actor="op", reason="moved")
    made.play(asked(made))
    assert made.calls()["infraforge.transfer_domains"] >= 1


def test_a_price_of_bringing_it_in_that_the_credits_do_not_cover_is_waited_for() -> None:
    made = ordered(switches={"infraforge_transfer": "invoice"})
    made.play(lambda: bool(made.sandbox.world.infraforge.workspaces))
    world = made.sandbox.world
    top_up(world, -(world.infraforge.credits or 0) + 1400, made.sandbox.clock.now())
    made.play(made.parks("waiting_funds"))
    top_up(world, 100_000, made.sandbox.clock.now())
    made.play(asked(made))
    assert len([d for d in world.infraforge.domains.values() if d.name == OWN]) == 1


def test_a_platform_that_wants_bringing_it_in_paid_on_a_page_of_its_own_is_a_matter_for_a_person() -> None:
    made = ordered(switches={"infraforge_transfer": "checkout"})
    made.play(made.parks("needs_operator"))
    assert made.sandbox.world.infraforge.domain_named(OWN) is None
    assert made.rows("connect_domains").get().waits_on == "operator"


def test_an_answer_that_is_lost_brings_it_in_once() -> None:
    made = ordered(faults=())
    made.sandbox.faults.add("timeout_after", platform="infraforge", verb="transfer_domains", times=1)
    made.play(asked(made))
    assert made.done("infraforge.transfer_domains") == 1


def stops(made: Story) -> Any:
    return lambda: made.rows("nameservers").filter(waits_on="student", facts__question="may_stop").exists()


def names_servers(made: Story) -> Any:
    return lambda: made.rows("nameservers").filter(waits_on="student", facts__question="nameservers").exists()


def test_where_mail_arrives_today_its_owner_says_that_it_may_stop_before_the_servers_are_named() -> None:
    made = ordered(mail="mx.old.example")
    made.play(stops(made))
    own = made.domain(OWN)
    assert own.facts["records_before"] == [{"type": "MX", "owner": OWN, "value": "mx.old.example", "priority": 10}]
    assert letters(made) == [0]
    made.advance(3 * 86400)
    made.play(lambda: letters(made) == [0, 2])
    assert not names_servers(made)(), "however long that takes"

    actions.let_stop(provision=made.provision, domain=own, actor="student")
    made.play(names_servers(made))
    with pytest.raises(actions.Refused):
        actions.let_stop(provision=made.provision, domain=own, actor="student")
    delegate(made)
    made.play(is_ready(made, OWN), hours=72)
    assert made.provision.events.filter(kind="may_stop", actor="student", item=OWN).count() == 1


def test_an_owner_who_has_changed_them_already_is_not_asked_what_may_stop() -> None:
    made = ordered(mail="mx.old.example")
    made.play(stops(made))
    delegate(made)
    made.play(lambda: made.domain(OWN).connected_at is not None, hours=2)


def test_where_nobody_says_what_lies_there_it_is_asked_about_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(present, "find", lambda zone, servers, patience: present.Present(was_answered=False))
    made = ordered()
    made.play(stops(made))
    facts = made.domain(OWN).facts
    assert (facts["records_before"], facts["records_before_known"]) == ([], False)


def test_where_nothing_lies_the_servers_are_named_at_once() -> None:
    made = ordered()
    made.play(asked(made))
    assert names_servers(made)()
    assert made.domain(OWN).facts["records_before"] == []


@pytest.mark.parametrize("point", ["before_look", "after_look"])
def test_a_worker_that_dies_while_it_looks_at_the_nameservers(point: str) -> None:
    made, deaths = ordered(), 0

    def at(name: str, subject: Any) -> bool:
        nonlocal deaths
        if name == point and subject.key == "dns.delegation" and deaths < 3:
            deaths += 1
            return True
        return False

    with dying(at):
        assert outlive(made, asked(made)) == 3
    delegate(made)
    made.play(hours=72)
    made.check()


def test_own_domains_are_not_renewed_and_their_order_comes_down_without_touching_them() -> None:
    made = ordered()
    made.play(asked(made))
    delegate(made)
    made.play(hours=72)
    world = made.sandbox.world
    assert made.calls()["infraforge.enable_autorenew"] == 1
    assert world.infraforge.domain_named(OWN).auto_renew == "disabled"  # type: ignore[union-attr]
    life.tear_down(provision=made.provision, actor="billing", reason="its subscription has ended")
    for workspace in world.infraforge.workspaces.values():
        workspace.ip = None
    made.play(lambda: made.provision.runs.get(kind="teardown").state == "done")
    assert made.calls()["infraforge.disable_autorenew"] == 1
    assert made.domain(OWN).state == DomainState.RELEASED
    assert registrar.leads_here(world, OWN, made.sandbox.clock.now()), "where it leads is its owner's affair"


def test_cancelled_before_it_was_proven_the_name_is_free_at_once() -> None:
    made = ordered()
    made.play(asked(made))
    life.tear_down(provision=made.provision, actor="billing", reason="its subscription has ended")
    assert made.domain(OWN).state == DomainState.RELEASED


def test_a_student_who_had_it_connected_before_may_order_it_again() -> None:
    made = ordered()
    made.play(asked(made))
    delegate(made)
    made.play(is_ready(made, OWN), hours=72)
    made.play()
    life.tear_down(provision=made.provision, actor="billing", reason="its subscription has ended")
    for workspace in made.sandbox.world.infraforge.workspaces.values():
        workspace.ip = None
    made.play(lambda: made.provision.runs.get(kind="teardown").state == "done")
    old = made.domain(OWN)
    again = make_again(made)
    made.sandbox.world.infraforge.domain_named(OWN).status = "expired"  # type: ignore[union-attr]
    del made.sandbox.world.infraforge.domains[old.facts["infraforge_domain_id"]]  # a person removed it there
    again.play(lambda: Domain.objects.filter(provision=again.provision, name=OWN, connected_at__isnull=False).exists())
    assert not again.rows("nameservers").filter(waits_on="operator").exists()


def make_again(made: Story) -> Story:
    student, tier = made.provision.student, made.provision.tier
    provision = Provision.objects.create(
        student=student, tier=tier, brand="Again", sender_first_name="Ada", sender_last_name="Sample",
        mailbox_patterns=["eve", "eve.sample", "e.sample"],
    )  # fmt: skip
    answer("againacme.com", platform="infraforge")
    Domain.objects.create(provision=provision, student=student, name="againacme.com", position=0)
    Domain.objects.create(provision=provision, student=student, name=OWN, position=1, origin=Origin.OWN)
    actions.freeze_order(provision=provision, actor="test")
    run = actions.start_run(provision=provision, actor="test", paid_at=timezone.now())
    provision.refresh_from_db()
    return Story(made.world, provision, run)


def test_a_name_that_is_live_for_another_student_is_refused_before_paying() -> None:
    made = ordered()
    with pytest.raises(actions.Refused, match=OWN):
        order(made.world, (OWN,), name="second")
