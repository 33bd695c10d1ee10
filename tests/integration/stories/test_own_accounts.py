"""The stories of students who work in accounts of their own: what is theirs is done there, and nowhere else."""

from __future__ import annotations

from typing import Any

import pytest
from django.utils import timezone

from infra.models import Mail, Measurement, PlatformConnection, Provision, WarmupDay
from integrations.http.redact import redact
from integrations.sandbox import godaddy_world
from integrations.sandbox.google_world import ADMIN as OPERATORS
from provisioning import actions, collector, connections, inventory, life
from provisioning.engine import budget
from provisioning.engine.accounts import FROZEN, Accounts
from provisioning.models import Circuit, Run

from .. import people
from ..invariants import no_password_is_readable
from ..own_accounts import ADMIN, GOOGLE, KEY, OWNER, SMARTLEAD, accounts, connect, connect_both, open_accounts, users
from .kit import Story, make_order, make_world

pytestmark = pytest.mark.django_db

OPERATORS_OWNER = 456


def begin(world: Any, name: str = "acme", **own: str) -> Story:
    """Let a student order in the accounts of `own` (admin, key), or in the operator's."""
    provision = make_order(name, tier="own-domains")
    if own:
        connect_both(provision.student, world.workshop, **own)
    actions.freeze_order(provision=provision, actor="test")
    run = actions.start_run(provision=provision, actor="test", paid_at=timezone.now())
    provision.refresh_from_db()
    made = Story(world, provision, run)
    made.world.people = people.of(run.stack)
    return made


def ordered(**switches: Any) -> Story:
    world = make_world(switches=switches)
    open_accounts(world.sandbox)
    return begin(world, admin=ADMIN, key=KEY)


def revoke(made: Story, slug: str, item: str) -> int:
    return made.sandbox.faults.add("key_revoked", platform=slug, items=(item,)).id


def asked_for_a_key(made: Story) -> Any:
    return made.run.steps.filter(waits_on="student", facts__question="update_key")


def addresses(made: Story) -> set[str]:
    return set(made.provision.mailboxes.values_list("address", flat=True))


def test_everything_of_the_order_is_made_in_the_students_own_accounts() -> None:
    made = ordered()
    assert made.provision.order[FROZEN] == [GOOGLE, SMARTLEAD]
    made.play(hours=240)
    made.check()
    assert users(made.sandbox, ADMIN) == accounts(made.sandbox, OWNER) == addresses(made)
    assert users(made.sandbox, OPERATORS) == accounts(made.sandbox, OPERATORS_OWNER) == set()


def test_figures_and_what_is_owned_are_read_from_the_same_accounts_and_taking_down_ends_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = ordered()
    made.play(hours=240)
    made.advance(60)  # the run's last calls have used up what a look would need
    monkeypatch.setattr(collector, "default_workshop", lambda: made.world.workshop)
    collector.drain()
    measured = Measurement.objects.get(provision=made.provision)
    assert (measured.problem, measured.looked_at is not None) == ("", True)
    seen = WarmupDay.objects.filter(student=made.provision.student)
    assert set(seen.values_list("mailbox__address", "connection")) == {(one, "connected") for one in addresses(made)}
    inventory.admit()
    assert inventory.look_at_next(made.world.workshop)
    assert life.tear_down(provision=made.provision, actor="test", reason="wanted")
    made.run = Run.objects.get(provision=made.provision, kind="teardown")
    made.play(hours=48)
    assert made.provision.state == "cancelled"
    theirs = [one for one in made.sandbox.world.google_workspace.users.values() if one.address in addresses(made)]
    assert [one.suspended for one in theirs] == [True, True]
    assert not any(one.warmup_on for one in made.sandbox.world.smartlead.accounts.values())


def test_two_students_with_different_accounts_at_the_same_time_never_touch_each_others() -> None:
    world = make_world()
    open_accounts(world.sandbox)
    open_accounts(world.sandbox, admin="bo@other.example", key="own-smartlead-key-of-bo", owner=99)
    ada = begin(world, "ada", admin=ADMIN, key=KEY)
    bo = begin(world, "bo", admin="bo@other.example", key="own-smartlead-key-of-bo")
    cy = begin(world, "cy")
    world.run_until(lambda: all(world.has_ended(one.run) for one in (ada, bo, cy)), hours=240)
    for made, admin, owner in ((ada, ADMIN, OWNER), (bo, "bo@other.example", 99), (cy, OPERATORS, OPERATORS_OWNER)):
        made.check()
        assert users(world.sandbox, admin) == accounts(world.sandbox, owner) == addresses(made)


@pytest.mark.parametrize(
    ("slug", "item", "after", "code"),
    [
        (GOOGLE, ADMIN, "zones", "GOOGLE_WORKSPACE_AUTH_FAILED"),
        (GOOGLE, ADMIN, "account_passwords", "GOOGLE_WORKSPACE_AUTH_FAILED"),
        (SMARTLEAD, KEY, "imap", "SMARTLEAD_API_KEY_INVALID"),
        (SMARTLEAD, KEY, "accounts", "SMARTLEAD_API_KEY_INVALID"),
    ],
)
def test_a_key_that_ends_in_the_middle_parks_its_own_student_alone_and_a_new_one_goes_on(
    slug: str, item: str, after: str, code: str
) -> None:
    made = ordered()
    other = begin(made.world, "other")
    made.play(made.rows(after).filter(state="completed").exists, hours=240)
    fault = revoke(made, slug, item)
    made.play(asked_for_a_key(made).exists, hours=48)
    assert not Circuit.objects.filter(is_open=True).exists()
    assert {one.why.partition(":")[0] for one in asked_for_a_key(made)} == {code}
    connection = PlatformConnection.objects.get(student=made.provision.student, platform=slug, ended_at=None)
    assert (connection.state, connection.problem) == ("refused", code)
    assert Mail.objects.filter(kind="update_key", provision=made.provision).count() == 1
    other.play(hours=240)
    other.check()
    calls = len(made.sandbox.log)
    made.advance(1200)
    made.play(asked_for_a_key(made).exists)
    assert not [one for one in made.sandbox.log.since(calls) if one.platform == slug and one.status in (400, 401)]

    made.sandbox.faults.remove(fault)
    if slug == SMARTLEAD:
        made.sandbox.world.smartlead.owners["own-smartlead-key-anew"] = OWNER
        item = "own-smartlead-key-anew"
    assert connect(made.provision.student, slug, item, made.world.workshop).state == "good"
    made.play(hours=240)
    made.check()
    assert users(made.sandbox, ADMIN) == accounts(made.sandbox, OWNER) == addresses(made)


def test_one_bad_key_of_a_students_own_opens_no_circuit() -> None:
    made = ordered()
    revoke(made, GOOGLE, ADMIN)
    made.play(made.rows("zone_active").filter(state="completed").exists, hours=72)
    made.play(asked_for_a_key(made).exists, hours=1)
    assert not Circuit.objects.filter(is_open=True).exists()


def test_control_without_the_isolation_one_bad_key_stops_everybody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Accounts, "is_own", lambda self, platform: False)
    made = ordered()
    revoke(made, GOOGLE, ADMIN)
    made.play(lambda: Circuit.objects.filter(platform=GOOGLE, is_open=True).exists(), hours=240)


def test_the_operators_refused_key_does_not_stop_a_student_with_an_account_of_their_own() -> None:
    made = ordered()
    fault = revoke(made, GOOGLE, OPERATORS)
    budget.open_circuit(GOOGLE, "credentials", "Google refuses our credentials.")
    made.play(made.rows("zone_active").filter(state="completed").exists, hours=72)
    made.play(made.rows("google_domains").filter(state="completed").exists, hours=1)
    assert Circuit.objects.get(platform=GOOGLE).is_open, "an answer to the student says nothing of the operator's key"
    made.sandbox.faults.remove(fault)
    other = begin(made.world, "other")
    other.play(hours=240)
    other.check()


def test_a_key_of_another_account_is_refused_while_an_order_lives_in_this_one() -> None:
    made = ordered()
    made.play(hours=240)
    student, workshop, world = made.provision.student, made.world.workshop, made.sandbox.world
    world.smartlead.owners["own-smartlead-key-elsewhere"] = 5
    open_accounts(made.sandbox, admin="ada@elsewhere.example")
    for slug, value in ((SMARTLEAD, "own-smartlead-key-elsewhere"), (GOOGLE, "ada@elsewhere.example")):
        row = connect(student, slug, value, workshop)
        assert (row.state, row.is_used, row.problem) == ("refused", False, "another_account")
    used = PlatformConnection.objects.filter(student=student, is_used=True, ended_at=None)
    assert {one.credential.open() for one in used} == {ADMIN, KEY}
    with pytest.raises(actions.Refused, match="cannot move"):
        connections.use_operators(student=student, slug=SMARTLEAD, actor="test")


def test_an_order_keeps_to_the_operators_accounts_when_its_student_connects_some_later() -> None:
    world = make_world()
    open_accounts(world.sandbox)
    made = begin(world)
    connect_both(made.provision.student, world.workshop)
    made.play(hours=240)
    made.check()
    assert users(world.sandbox, ADMIN) == accounts(world.sandbox, OWNER) == set()


def test_an_account_that_was_closed_to_us_does_not_keep_an_order_from_ending() -> None:
    made = ordered()
    made.play(hours=240)
    revoke(made, GOOGLE, ADMIN)
    revoke(made, SMARTLEAD, KEY)
    assert life.tear_down(provision=made.provision, actor="test", reason="wanted")
    made.run = Run.objects.get(provision=made.provision, kind="teardown")
    made.play(hours=48)
    assert Provision.objects.get(pk=made.provision.pk).state == "cancelled"
    assert not Circuit.objects.filter(is_open=True).exists()


def test_an_own_key_is_readable_nowhere() -> None:
    made = ordered()
    made.sandbox.faults.add("quotes_address", platform="smartlead", verb="set_warmup", times=1)
    made.play(lambda: made.rows("warmup").filter(why__contains="[hidden]").exists() or made.has_ended(), hours=240)
    no_password_is_readable([KEY])
    assert KEY not in redact(f"https://server.example/api/v1?api_key={KEY}")


def test_a_name_that_went_to_an_unknown_end_is_looked_for_in_the_account_that_it_was_asked_of() -> None:
    made = ordered()
    made.sandbox.faults.add("timeout_after", platform="google_workspace", verb="add_domain", times=1)
    made.play(hours=240)
    made.check()
    assert made.done("google_workspace.add_domain") == 1


# ---- name servers at GoDaddy -------------------------------------------------------------------------------------------

TOKEN, NAME = "gd_pat_own-token-of-ada", "getacme.com"


def at_godaddy(**switches: Any) -> Story:
    """Begin an order whose domain is registered at GoDaddy, in an account that its student has connected."""
    world = make_world(switches=switches)
    state, now = world.sandbox.world.godaddy, world.sandbox.clock.now()
    state.tokens[TOKEN] = "ada's"
    godaddy_world.own(world.sandbox.world, NAME, now, "ACTIVE", godaddy_world.OWN_SERVERS, True, "ada's")
    provision = make_order("acme", tier="own-domains")
    assert connect(provision.student, "godaddy", TOKEN, world.workshop).state == "good"
    actions.freeze_order(provision=provision, actor="test")
    run = actions.start_run(provision=provision, actor="test", paid_at=timezone.now())
    provision.refresh_from_db()
    world.people = [people.what_is_asked_is_entered, people.mail_is_tested]
    return Story(world, provision, run)


def test_a_domain_at_godaddy_is_led_here_by_its_owners_token_and_nobody_is_written_to() -> None:
    made = at_godaddy()
    assert made.provision.order[FROZEN] == ["godaddy"]
    made.play(hours=240)
    made.check()
    assert made.done("godaddy.set_nameservers") == 1
    assert not Mail.objects.filter(provision=made.provision, kind="nameservers").exists()
    assert made.domain(NAME).connected_at is not None
    assert set(made.sandbox.world.godaddy.domains[NAME].nameservers) == set(made.domain(NAME).facts["nameservers"])


def test_an_answer_that_is_lost_or_a_change_that_does_not_happen_is_asked_for_again_and_then_of_its_owner() -> None:
    made = at_godaddy()
    made.sandbox.faults.add("timeout_after", platform="godaddy", verb="set_nameservers", times=1)
    made.sandbox.faults.add("stuck", platform="godaddy", verb="UPDATE_NAMESERVERS", times=1)
    made.play(hours=240)
    made.check()
    assert made.done("godaddy.set_nameservers") == 2
    assert not Mail.objects.filter(provision=made.provision, kind="nameservers").exists()


@pytest.mark.parametrize(
    "switches",
    [{"godaddy_protected_names": NAME}, {"godaddy_scopes": "domains.domain:read"}],
    ids=["protected", "without-the-scope"],
)
def test_where_godaddy_does_not_let_us_its_owner_is_asked_as_ever(switches: dict[str, Any]) -> None:
    made = at_godaddy(**switches)
    made.play(lambda: made.rows("nameservers").filter(facts__question="nameservers").exists(), hours=24)
    assert Mail.objects.filter(provision=made.provision, kind="nameservers").count() == 1
    made.world.people = people.of("workspace")
    made.play(hours=240)
    made.check()


def test_a_token_that_ended_stops_nothing_and_is_told_once() -> None:
    made = at_godaddy()
    revoke(made, "godaddy", TOKEN)
    made.world.people = people.of("workspace")
    made.play(hours=240)
    made.check()
    assert Mail.objects.filter(provision=made.provision, kind="update_key").count() == 1
    assert not Circuit.objects.filter(is_open=True).exists()


def test_a_domain_elsewhere_is_not_touched_by_a_token() -> None:
    made = at_godaddy()
    made.sandbox.world.godaddy.domains[NAME].account = "somebody else's"
    made.play(lambda: made.rows("nameservers").filter(facts__question="nameservers").exists(), hours=24)
    assert not made.calls()["godaddy.set_nameservers"]
