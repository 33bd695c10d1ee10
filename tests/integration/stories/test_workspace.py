"""The stories of the stack `workspace`: the student's own domains, with people who do what no call can."""

from __future__ import annotations

from typing import Any

import pytest
from django.utils import timezone

from infra import clock
from infra.dashboard import board
from infra.estate import exports
from infra.models import DomainState, MailboxSecret, OperatorItem, Provision
from infra.people import Person
from infra.warmup import standings
from infra.wizard import drafts
from integrations.cloudflare import marked
from integrations.sandbox import google_world, registrar
from integrations.sandbox.cloudflare_world import Record, add_zone
from provisioning import actions, entering, life
from provisioning.models import Run

from .. import people
from .kit import Story, World, make_order, make_world

pytestmark = pytest.mark.django_db

NAME = "getacme.com"


def ordered(name: str = "acme", **world: Any) -> Story:
    return paid(make_world(**world), make_order(name, tier="own-domains"))


def paid(made_world: World, provision: Provision) -> Story:
    """Let an order be paid, whose people do what no call can."""
    actions.freeze_order(provision=provision, actor="test")
    run = actions.start_run(provision=provision, actor="test", paid_at=timezone.now())
    provision.refresh_from_db()
    made = Story(made_world, provision, run)
    made.world.people = people.of(made.run.stack)
    return made


def is_asked(made: Story, step: str) -> Any:
    return lambda: any(one.key == step for one in entering.asked(made.run))


def purposes(made: Story) -> list[str]:
    zone = made.sandbox.world.cloudflare.zone_named(NAME)
    assert zone is not None
    return sorted(mine[1] for row in zone.records if (mine := marked(row.comment or "")))


def test_an_own_domain_gets_its_records_its_mailboxes_and_its_sending_tool() -> None:
    made = ordered()
    made.play(hours=240)
    made.check()
    (domain,) = made.provision.domains.all()
    assert domain.state == DomainState.ACTIVE
    assert domain.facts["dns_evidence"]["state"] == "complete"
    assert purposes(made) == ["dkim", "dmarc", "google", "mx", "spf", "tracking"]
    accounts = made.sandbox.world.smartlead.accounts.values()
    assert {one.address for one in accounts} == set(made.provision.mailboxes.values_list("address", flat=True))
    assert all(one.warmup_on and one.tracking == f"emailtracking.{NAME}" for one in accounts)
    assert made.done("cloudflare.batch_records") == 2  # all at once, and the key when it was known


def test_each_person_gets_a_user_in_their_name_and_sends_no_more_than_they_may() -> None:
    made_world = make_world()
    draft = make_order("acme", tier="own-domains")
    drafts.name_people(draft, named=[Person("Zoë", "Keen", 12), Person("Bo", "Sample")])
    made = paid(made_world, draft)
    made.play(hours=240)
    made.check()
    people_there = [one for one in made.sandbox.world.google_workspace.users.values() if not one.is_admin]
    assert {(one.address, one.given_name, one.family_name) for one in people_there} == {
        (f"zoe.keen@{NAME}", "Zoë", "Keen"), (f"bo.sample@{NAME}", "Bo", "Sample")
    }  # fmt: skip
    accounts = made.sandbox.world.smartlead.accounts.values()
    sent = {one.name: one.per_day - one.warmup["total_warmup_per_day"] for one in accounts}
    assert sent == {"Zoë Keen": 12, "Bo Sample": 30}
    boxes = exports.mailboxes_of(made.provision)
    rows = exports.mailbox_rows(made.provision, boxes, with_passwords=False)
    assert {(row["email"], row["first_name"], row["daily_limit"]) for row in rows} == {
        (f"zoe.keen@{NAME}", "Zoë", "12"), (f"bo.sample@{NAME}", "Bo", "30")
    }  # fmt: skip
    now = clock.vendor_now()
    page = board.dashboard(made.provision.student, made.provision, now=now)
    assert {one.address: one.sender for one in page.mailboxes}[f"zoe.keen@{NAME}"] == "Zoë Keen"
    found = standings(made.provision, boxes, now=now)
    assert {one.mailbox.first_name: one.ramp.plan.campaign_cap for one in found if one.ramp} == {"Zoë": 12, "Bo": 30}


def test_a_licence_that_was_asked_for_in_vain_is_settled_although_the_mailbox_is_there() -> None:
    made = ordered(switches={"google_workspace_mailbox_seconds": (1000.0, 1100.0)})
    made.sandbox.faults.add("status", platform="google_workspace", verb="get_licence", status=404, times=1)
    made.play(hours=240)
    assert made.calls()["google_workspace.assign_licence"] == 1
    made.check()  # nothing is open in a run that is done


def test_nothing_is_written_before_the_name_servers_show_whose_the_domain_is() -> None:
    made = ordered()
    made.world.people = []
    made.play(made.parks("needs_student"))
    made.advance(3 * 3600)
    made.play(made.parks("needs_student"))
    assert {f"{one.platform}.{one.verb}" for one in made.sandbox.log if one.work_done} <= {
        "cloudflare.find_zone", "cloudflare.create_zone"
    }  # fmt: skip


def test_a_password_that_smartlead_cannot_log_in_with_is_tried_again_and_then_another_is_asked_for() -> None:
    made = ordered()
    made.world.people = [people.own_domains_are_delegated]
    made.play(is_asked(made, "dkim_keys"))
    made.world.people = [people.own_domains_are_delegated, people.keys_are_entered]
    made.play(is_asked(made, "accounts"), hours=240)
    addresses = list(made.provision.mailboxes.values_list("address", flat=True))
    wrong = "\n".join(f"{address} abcdefghijklmnop" for address in addresses)
    assert entering.enter(run=made.run, key="accounts", text=wrong, actor="test") == 2
    made.play(lambda: not is_asked(made, "accounts")())
    made.play(is_asked(made, "accounts"))
    item = OperatorItem.objects.get(kind="step", resolved_at__isnull=True)
    assert "Smartlead cannot open" in item.sentence or "not taken" in item.sentence
    made.world.people = people.of(made.run.stack)
    made.play(hours=48)
    made.check()
    assert {one.app_password.open() for one in MailboxSecret.objects.all()} != {"abcdefghijklmnop"}


def test_what_is_entered_wrong_is_refused_whole_and_nothing_of_it_is_kept() -> None:
    made = ordered()
    made.world.people = [people.own_domains_are_delegated]
    made.play(is_asked(made, "dkim_keys"), hours=240)
    with pytest.raises(actions.Refused, match="no DKIM record"):
        entering.enter(run=made.run, key="dkim_keys", text=f"{NAME} nonsense", actor="test")
    assert "dkim_record" not in made.domain(NAME).facts
    with pytest.raises(actions.Refused):
        entering.enter(run=made.run, key="accounts", text="x y", actor="test")


def test_a_foreign_policy_in_the_zone_stops_the_records_and_is_never_touched() -> None:
    made = ordered()
    registrar.register(made.sandbox.world, NAME)  # led elsewhere until now, where nothing lies
    zone = add_zone(made.sandbox.world, NAME, made.sandbox.clock.now())
    foreign = Record("r1", "TXT", NAME, '"v=spf1 include:other.example -all"', 300, 0.0, 0.0)
    zone.records.append(foreign)
    made.play(lambda: made.rows("records").filter(facts__code="records_in_the_way").exists(), hours=240)
    assert zone.records == [foreign]
    zone.records.remove(foreign)
    made.play(hours=240)
    made.check()


def test_an_account_that_is_there_already_is_not_touched() -> None:
    made = ordered()
    address = made.provision.mailboxes.order_by("address").values_list("address", flat=True)[0]
    world = made.sandbox.world
    world.google_workspace.users["77"] = google_world.User("77", address, "Some", "Body", "own", 0.0)
    made.play(lambda: made.rows("users").filter(facts__code="EMAIL_ALREADY_EXISTS").exists(), hours=240)
    assert world.google_workspace.users["77"].password == "own"


def test_taking_the_order_down_suspends_its_accounts_and_deletes_nothing() -> None:
    made = ordered()
    made.play(hours=240)
    given_up(made)
    users = [one for one in made.sandbox.world.google_workspace.users.values() if not one.is_admin]
    assert [(one.suspended, one.deleted_at) for one in users] == [(True, None)] * 2
    assert not any(one.warmup_on for one in made.sandbox.world.smartlead.accounts.values())
    assert purposes(made) == ["dkim", "dmarc", "google", "mx", "spf", "tracking"]


def test_what_was_written_for_a_set_up_that_is_given_up_is_taken_back_and_nothing_else() -> None:
    made = ordered()
    made.play(is_asked(made, "dkim_keys"), hours=240)
    zone = made.sandbox.world.cloudflare.zone_named(NAME)
    assert zone is not None
    own = Record("77", "TXT", f"shop.{NAME}", "the owner's own", 300, 0.0, 0.0)
    zone.records.append(own)
    given_up(made)
    assert zone.records == [own]
    assert zone.status == "active"
    assert all(one.suspended for one in made.sandbox.world.google_workspace.users.values() if not one.is_admin)
    assert made.done("cloudflare.batch_records") == 2


def test_records_whose_answer_was_lost_are_taken_back_when_it_is_known_that_they_are_there() -> None:
    made = ordered()
    late = {"platform": "cloudflare", "verb": "batch_records", "times": 1, "seconds": 250.0}
    made.sandbox.faults.add("late_execution", **late)
    made.play(lambda: made.calls()["cloudflare.batch_records"] == 1, hours=240)
    given_up(made)
    made.advance(600)
    assert purposes(made) == []


def given_up(made: Story) -> None:
    made.refresh()
    assert life.tear_down(provision=made.provision, actor="test", reason="wanted")
    made.run = Run.objects.get(provision=made.provision, kind="teardown")
    made.play(hours=48)
    made.refresh()
    assert made.provision.state == "cancelled"
