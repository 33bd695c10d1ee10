"""Domains are looked at outside of runs: asked for, watched, and once a day; and what a student has changed is seen."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.test import Client

from infra import clock
from infra.dns.dmarc import Rung
from infra.mails import contents
from infra.models import (
    DnsCheck,
    Domain,
    DomainState,
    Mail,
    OperatorItem,
    PropagationObservation,
    PropagationWatch,
    SpfFlattening,
    WatchState,
)
from infra.models.domain import GONE
from integrations.registry import LOOKS
from integrations.sandbox.cloudflare_world import Record, publish
from provisioning import actions, changing, life, seeing
from provisioning.engine import budget
from provisioning.engine.specs import DAY, HOUR
from provisioning.models import Operation, Run

from ..pages import signed_in, text
from .kit import Story
from .test_workspace import NAME, ordered

pytestmark = pytest.mark.django_db


@pytest.fixture
def built() -> Story:
    """An own domain whose set-up is done."""
    made = ordered()
    made.play(hours=240)
    made.check()
    return made


def domain_of(made: Story) -> Domain:
    return Domain.objects.select_related("provision").get(provision=made.provision, name=NAME)


def look(made: Story) -> DnsCheck:
    """Let a worker look once."""
    assert seeing.look_at_next(made.world.workshop)
    return DnsCheck.objects.get(domain__name=NAME)


def checked(made: Story) -> DnsCheck:
    clock.advance_machine(seeing.CHECK_AGAIN)
    assert seeing.check_now(domain=domain_of(made), actor="ada")
    return look(made)


def states(check: DnsCheck) -> dict[str, str]:
    return {row["kind"]: row["state"] for row in check.records}


def rows_of(made: Story) -> list[Record]:
    zone = made.sandbox.world.cloudflare.zone_named(NAME)
    assert zone is not None
    return zone.records


def row(made: Story, words: str) -> Record:
    return next(one for one in rows_of(made) if words in one.content)


def finished(made: Story, run: Run) -> Run:
    made.world.run_until(lambda: made.world.has_ended(run))
    run.refresh_from_db()
    return run


def test_a_look_keeps_each_record_with_its_state_and_what_every_name_server_said(built: Story) -> None:
    check = checked(built)
    assert set(states(check).values()) == {"propagated"}
    assert set(states(check)) == {"mx", "spf", "dkim", "dmarc", "google", "tracking"}
    assert all(one["coverage"] == 100 and one["propagated_at"] for one in check.records)
    assert len(check.records[0]["resolvers"]) >= 3
    assert check.looked_at is not None and not check.is_wanted  # noqa: PT018
    assert check.due_at == check.looked_at + timedelta(days=1)


def test_looks_spend_a_budget_and_the_domain_that_has_waited_longest_goes_first(built: Story) -> None:
    checked(built)
    seeing.tidy()
    while budget.take(LOOKS.name):
        pass
    clock.advance_machine(seeing.CHECK_AGAIN)
    seeing.check_now(domain=domain_of(built), actor="ada")
    assert not seeing.look_at_next(built.world.workshop)
    assert not seeing.is_due()
    built.advance(120)
    assert seeing.is_due()
    assert seeing.look_at_next(built.world.workshop)


# ---- what is not as it was -------------------------------------------------------------------------------------------


def letters() -> list[Mail]:
    return list(Mail.objects.filter(kind="dns_changed").order_by("created_at"))


def looked(made: Story, seconds: float = DAY) -> DnsCheck:
    """Let name servers show what stands in the zone, time pass and a worker look: due then and not a moment before."""
    zone = made.sandbox.world.cloudflare.zone_named(NAME)
    assert zone is not None
    publish(made.sandbox.world, zone, made.sandbox.clock.now())
    made.advance(seconds - 60)
    assert not seeing.look_at_next(made.world.workshop)
    made.advance(60)
    return look(made)


def dns_page_of(made: Story) -> str:
    return text(signed_in(made.provision.student).get(f"/infrastructure/domains/{NAME}/dns/"))


def test_a_set_up_that_runs_is_looked_at_once_a_day_without_anybody_asking(built: Story) -> None:
    assert seeing.is_due()  # to notice it
    seeing.drain()
    assert (seeing.admit(), seeing.is_due()) == (0, False)
    for _ in range(3):
        assert set(states(looked(built)).values()) == {"propagated"}
    assert letters() == []
    built.provision.state = "suspended"
    built.provision.save()
    DnsCheck.objects.update(due_at=None)
    assert seeing.admit() == 0


def test_a_record_that_is_gone_is_written_of_once_after_a_second_look_and_again_when_it_goes_again(
    built: Story, client: Client
) -> None:
    seeing.admit()
    spf, dkim = row(built, "v=spf1"), row(built, "v=DKIM1")
    rows_of(built).remove(spf)
    dkim.content = '"v=DKIM1; k=rsa; p="'
    assert {kind for kind, state in states(looked(built)).items() if state == "drifted"} == {"spf", "dkim"}
    assert letters() == []
    assert "SPF: the record is gone." in dns_page_of(built)
    for seconds in (HOUR, DAY, DAY):
        looked(built, seconds)
        assert len(letters()) == 1
    (item,) = OperatorItem.objects.filter(kind="dns_changed", resolved_at=None)
    assert NAME in item.sentence
    words = contents.letter(letters()[0])
    assert words.subject == f"DNS of {NAME} has changed"
    assert f"- {NAME}. SPF: the record is gone. DKIM: something else stands there now." in words.text
    assert f"/infrastructure/domains/{NAME}/dns/" in words.html
    Mail.objects.filter(kind="dns_changed").update(sent_at=clock.machine_now(), attempts=1)
    assert "the operator was told" in dns_page_of(built)

    rows_of(built).append(spf)
    looked(built)
    assert len(letters()) == 1
    dkim.content = f'"{domain_of(built).facts["dkim_record"]}"'
    assert set(states(looked(built)).values()) == {"propagated"}
    assert "Something has changed" not in dns_page_of(built)
    assert not OperatorItem.objects.filter(kind="dns_changed", resolved_at=None).exists()

    rows_of(built).remove(spf)
    looked(built)
    looked(built, HOUR)
    assert len(letters()) == 2


def test_a_second_record_beside_ours_is_written_of_too(built: Story, client: Client) -> None:
    seeing.admit()
    rows_of(built).append(Record("r9", "TXT", NAME, '"v=spf1 include:other.example -all"', 300, 0.0, 0.0))
    looked(built)
    looked(built, HOUR)
    assert "SPF: a second record stands beside ours" in contents.letter(letters()[0]).text


def test_what_is_mended_before_the_second_look_is_nobodys_letter(built: Story) -> None:
    seeing.admit()
    spf = row(built, "v=spf1")
    rows_of(built).remove(spf)
    looked(built)
    rows_of(built).append(spf)
    looked(built, HOUR)
    looked(built)
    assert letters() == []


# ---- watching --------------------------------------------------------------------------------------------------------


def watched(made: Story) -> PropagationWatch:
    return PropagationWatch.objects.get(domain__name=NAME)


def hide(made: Story, name: str = f"_dmarc.{NAME}") -> None:
    """Let name servers show nothing at a name, for long enough that nobody keeps what was there."""
    made.sandbox.switches.set(dns_withheld_names=name)
    made.advance(HOUR)


def pass_until_due(made: Story) -> float:
    due = DnsCheck.objects.get(domain__name=NAME).due_at
    assert due is not None
    seconds = clock.seconds_between(clock.vendor_now(), due)
    made.advance(max(1.0, seconds))
    return seconds


def test_a_watch_looks_often_at_first_and_ever_more_rarely_and_ends_when_everything_is_seen(built: Story) -> None:
    hide(built)
    seeing.watch(domain=domain_of(built), actor="ada")
    look(built)
    waits = []
    for _ in range(40):
        waits.append(pass_until_due(built))
        look(built)
    assert all(25 <= one <= 35 for one in waits[:15])
    assert waits[-1] > 60
    assert watched(built).state == WatchState.POLLING
    built.sandbox.switches.set(dns_withheld_names="")
    built.advance(2 * HOUR)
    look(built)
    watch = watched(built)
    assert (watch.state, watch.coverage, watch.looks) == (WatchState.COMPLETED, 100, 42)
    assert set(watch.observations.values_list("state", flat=True)) == {"partial", "complete"}


def test_after_two_days_a_watch_gives_up_and_can_be_told_to_go_on(built: Story) -> None:
    hide(built)
    seeing.watch(domain=domain_of(built), actor="ada")
    look(built)
    built.advance(2 * DAY)
    check = look(built)
    assert watched(built).state == WatchState.TIMEOUT
    assert states(check)["dmarc"] in ("failed", "drifted")
    assert check.due_at is not None
    assert check.due_at > clock.later(clock.vendor_now(), 0.9 * DAY)  # a day goes by until the next look
    seeing.watch(domain=domain_of(built), actor="ada")
    assert (watched(built).state, watched(built).ended_at) == (WatchState.POLLING, None)


def test_a_stopped_watch_looks_no_more(built: Story) -> None:
    hide(built)
    seeing.watch(domain=domain_of(built), actor="ada")
    look(built)
    assert seeing.stop_watching(domain=domain_of(built), actor="ada")
    assert not seeing.stop_watching(domain=domain_of(built), actor="ada")
    built.advance(HOUR)
    assert not seeing.look_at_next(built.world.workshop)


def test_between_two_looks_a_watch_holds_nothing(built: Story) -> None:
    seeing.watch(domain=domain_of(built), actor="ada")
    look(built)
    assert not Run.objects.filter(state__in=["queued", "running", "waiting", "parked"]).exists()


def test_what_a_watch_saw_is_kept_for_a_week_and_then_the_first_and_last_of_each_state(built: Story) -> None:
    watch = PropagationWatch.begin(domain_of(built), now=clock.vendor_now())
    for number in range(6):
        at = clock.vendor_now() - timedelta(days=9, minutes=-number)
        values = {"at": at, "state": "absent" if number < 4 else "complete", "student_id": watch.student_id}
        PropagationObservation.objects.create(watch=watch, coverage=number, **values)
    assert seeing.is_due()
    assert seeing.tidy() == 2
    assert sorted(watch.observations.values_list("coverage", flat=True)) == [0, 3, 4, 5]
    assert not seeing.is_due()


def test_an_order_that_has_ended_is_not_looked_at_any_more(built: Story) -> None:
    seeing.watch(domain=domain_of(built), actor="ada")
    built.provision.state = "cancelled"
    built.provision.cancelled_at = clock.machine_now()
    built.provision.save()
    look(built)
    assert watched(built).state == WatchState.CANCELLED
    assert DnsCheck.objects.get().due_at is None


# ---- changing --------------------------------------------------------------------------------------------------------


def test_another_policy_is_written_once_however_often_it_is_pressed_and_then_expected(built: Story) -> None:
    checked(built)
    first = changing.change_policy(domain=domain_of(built), rung=Rung.QUARANTINE_TEST, actor="ada")
    assert changing.change_policy(domain=domain_of(built), rung=Rung.QUARANTINE_TEST, actor="ada") == first
    with pytest.raises(actions.Refused, match="under way"):
        changing.change_policy(domain=domain_of(built), rung=Rung.REJECT, actor="ada")
    assert finished(built, first).state == "done"
    assert row(built, "v=DMARC1").content.strip('"') == "v=DMARC1; p=quarantine; t=y; rua=mailto:dmarc@ops.example"
    assert Operation.objects.filter(run=first).count() == 1
    assert watched(built).state == WatchState.POLLING
    built.advance(HOUR)  # resolvers keep what was there before for a while
    assert set(states(look(built)).values()) == {"propagated"}
    assert watched(built).state == WatchState.COMPLETED
    built.check()


def test_a_policy_goes_up_and_down_again_and_each_change_is_a_request_of_its_own(built: Story) -> None:
    for rung, words in ((Rung.REJECT, "p=reject"), (Rung.NONE, "p=none"), (Rung.REJECT, "p=reject")):
        run = finished(built, changing.change_policy(domain=domain_of(built), rung=rung, actor="ada"))
        assert run.state == "done"
        assert words in row(built, "v=DMARC1").content
    built.check()


def test_a_change_that_a_foreign_record_stands_in_the_way_of_is_refused_and_the_domain_works_on(built: Story) -> None:
    theirs = Record("r9", "TXT", f"_dmarc.{NAME}", '"v=DMARC1; p=none"', 300, 0.0, 0.0)
    rows_of(built).append(theirs)
    before = [one.content for one in rows_of(built)]
    run = finished(built, changing.change_policy(domain=domain_of(built), rung=Rung.REJECT, actor="ada"))
    assert run.state == "done"
    assert "was not made here" in run.steps.get().failure_sentence
    assert [one.content for one in rows_of(built)] == before
    assert domain_of(built).state == DomainState.ACTIVE
    assert "dmarc_rung" not in domain_of(built).facts
    built.refresh()
    assert built.provision.state == "active"


def test_a_change_under_way_rests_with_a_suspended_order_and_goes_on_afterwards(built: Story) -> None:
    run = changing.change_policy(domain=domain_of(built), rung=Rung.REJECT, actor="ada")
    assert life.suspend(provision=built.provision, actor="billing", reason="unpaid")
    built.world.run_until(lambda: not Run.objects.filter(pipeline="pause").exclude(state="done").exists())
    run.refresh_from_db()
    assert run.held_since is not None
    assert life.resume(provision=built.provision, actor="billing", reason="paid")
    assert finished(built, run).state == "done"
    assert "p=reject" in row(built, "v=DMARC1").content


MANY = "v=spf1 include:_spf.google.com include:spf.protection.outlook.com ~all"


def another_sender(made: Story) -> None:
    """Let the SPF record name one more sender, as a student may write it at Cloudflare."""
    row(made, "v=spf1").content = f'"{MANY}"'
    made.advance(HOUR)


def test_names_are_replaced_by_addresses_on_demand_and_written_back_afterwards(built: Story) -> None:
    another_sender(built)
    checked(built)
    run = finished(built, changing.flatten_spf(domain=domain_of(built), actor="ada"))
    assert run.state == "done"
    written = row(built, "v=spf1").content
    assert "ip4:198.51.100.0/25" in written
    assert "include:" not in written
    kept = SpfFlattening.objects.get()
    assert (kept.original, kept.lookups_before, kept.lookups_after, kept.ended_at) == (MANY, 2, 0, None)
    built.advance(HOUR)
    assert states(look(built))["spf"] == "propagated"
    assert finished(built, changing.restore_spf(domain=domain_of(built), actor="ada")).state == "done"
    assert row(built, "v=spf1").content.strip('"') == MANY
    assert not SpfFlattening.objects.filter(ended_at=None).exists()
    built.advance(HOUR)
    assert states(look(built))["spf"] == "propagated"


def test_a_change_of_the_policy_leaves_alone_what_its_owner_has_made_of_other_records(built: Story) -> None:
    another_sender(built)
    tracking = row(built, "sleadtrack")
    rows_of(built).remove(tracking)
    run = finished(built, changing.change_policy(domain=domain_of(built), rung=Rung.REJECT, actor="ada"))
    assert (run.state, run.steps.get().failure_sentence) == ("done", "")
    assert "p=reject" in row(built, "v=DMARC1").content
    assert row(built, "v=spf1").content.strip('"') == MANY
    assert not [one for one in rows_of(built) if "sleadtrack" in one.content]


def test_addresses_are_not_written_over_what_somebody_changed_since_the_look(built: Story) -> None:
    another_sender(built)
    checked(built)
    row(built, "v=spf1").content = '"v=spf1 include:_spf.google.com include:new.example ~all"'
    run = finished(built, changing.flatten_spf(domain=domain_of(built), actor="ada"))
    assert "was changed at Cloudflare since we looked" in run.steps.get().failure_sentence
    assert "include:new.example" in row(built, "v=spf1").content
    assert not SpfFlattening.objects.exists()
    assert "spf_records" not in domain_of(built).facts


def test_the_stacks_own_record_is_not_flattened_and_what_is_old_is_not_written_by(built: Story) -> None:
    with pytest.raises(actions.Refused, match="Check now"):
        changing.flatten_spf(domain=domain_of(built), actor="ada")
    checked(built)
    with pytest.raises(actions.Refused, match="takes few look-ups"):
        changing.flatten_spf(domain=domain_of(built), actor="ada")
    with pytest.raises(actions.Refused, match="nothing to write back"):
        changing.restore_spf(domain=domain_of(built), actor="ada")


def test_nothing_is_changed_for_a_domain_that_is_gone_or_an_order_at_rest(built: Story) -> None:
    Domain.objects.filter(name=NAME).update(state=GONE[1])
    with pytest.raises(actions.Refused):
        changing.change_policy(domain=domain_of(built), rung=Rung.REJECT, actor="ada")
    Domain.objects.filter(name=NAME).update(state="active")
    life.suspend(provision=built.provision, actor="billing", reason="unpaid")
    with pytest.raises(actions.Refused):
        changing.change_policy(domain=domain_of(built), rung=Rung.REJECT, actor="ada")
