"""Who may order in which phase, and the automatic stop."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from billing.actions import CheckoutRefused, start_checkout
from infra import clock, flags, rls
from infra.models import Flag, Mail, OperatorItem, User
from provisioning import rules
from provisioning.engine import doorbell
from provisioning.models import Operation, Run, Step

from .pages import student, text
from .world import new_order, new_world, paid, starter

pytestmark = pytest.mark.django_db


def set_flag(key: str = "orders", **values: Any) -> None:
    Flag.objects.update_or_create(key=key, defaults=values)


@pytest.fixture
def ada() -> User:
    return student(cohort="Spring")


# ---- phases ----------------------------------------------------------------------------------------------------------


def test_without_a_flag_everybody_may_order(ada: User) -> None:
    assert flags.may_order(ada, "zapmail") == flags.ALLOWED


def test_off_means_nobody(ada: User) -> None:
    set_flag(phase="off")
    verdict = flags.may_order(ada, "zapmail")
    assert (verdict.allowed, verdict.sentence) == (False, "New orders are paused at the moment.")


def test_a_stack_is_switched_off_alone(ada: User) -> None:
    set_flag("stack:zapmail", phase="off")
    assert not flags.may_order(ada, "zapmail").allowed
    assert flags.may_order(ada, "forge").allowed


def test_both_flags_must_let_a_student_through(ada: User) -> None:
    set_flag(phase="all")
    set_flag("stack:zapmail", phase="staff")
    assert not flags.may_order(ada, "zapmail").allowed


def test_operators_only(ada: User) -> None:
    set_flag(phase="staff")
    assert not flags.may_order(ada, "zapmail").allowed
    assert flags.may_order(User.objects.create_user("o@ops.example", is_staff=True), "zapmail").allowed


@pytest.mark.parametrize(
    ("named", "allowed"),
    [(["ADA@students.example"], True), ([" spring "], True), (["bo@students.example", "autumn"], False), ([""], False)],
)
def test_named_students_and_cohorts(ada: User, named: list[str], allowed: bool) -> None:
    set_flag(phase="named", named=named)
    assert flags.may_order(ada, "zapmail").allowed is allowed


def test_an_empty_name_lets_nobody_without_a_cohort_in() -> None:
    set_flag(phase="named", named=[""])
    assert not flags.may_order(student(cohort=""), "zapmail").allowed


def test_the_first_orders_take_the_places(ada: User) -> None:
    new_world()
    set_flag(phase="first", first_count=2)
    paid(new_order("one"))
    assert flags.may_order(ada, "zapmail").allowed
    second = paid(new_order("two"))

    assert flags.may_order(ada, "zapmail").sentence == "All places of this round are taken."
    assert flags.may_order(second.student, "zapmail").allowed, "who has a place keeps it"


def test_places_are_counted_although_a_student_sees_only_their_own(ada: User) -> None:
    new_world()
    set_flag("stack:zapmail", phase="first", first_count=1)
    paid(new_order("one"))
    rls.set_role("student", str(ada.pk))
    try:
        assert not flags.may_order(ada, "zapmail").allowed
    finally:
        rls.set_role("worker")


# ---- where it is asked -----------------------------------------------------------------------------------------------


def test_the_wizard_says_so_before_the_click(ada: User, client: Client) -> None:
    starter()
    set_flag(phase="named", named=["bo@students.example"])
    client.force_login(ada)
    page = text(client.get("/infrastructure/setup/package/"))
    assert "open to a few students" in page


def test_the_checkout_refuses_and_keeps_the_choice() -> None:
    new_world()
    provision = new_order()
    set_flag(phase="staff")
    with pytest.raises(CheckoutRefused, match="open to operators only.*Nothing was charged") as caught:
        start_checkout(provision=provision, actor=provision.student)
    assert caught.value.code == "orders_stopped"
    provision.refresh_from_db()
    assert provision.state == "draft"


def test_off_never_hurts_what_is_being_built() -> None:
    world = new_world()
    run = paid(new_order())
    set_flag(phase="off")
    set_flag("stack:zapmail", phase="off")
    world.run_until(lambda: Run.objects.get(pk=run.pk).state == "done")
    run.provision.refresh_from_db()
    assert run.provision.state == "active"


# ---- the automatic stop ----------------------------------------------------------------------------------------------


@pytest.fixture
def run() -> Run:
    new_world()
    made = paid(new_order())
    made.steps.all().delete()
    return made


def steps(run: Run, key: str, **states: int) -> None:
    """Make closed steps of a key: so many per state."""
    rows = [state for state, count in states.items() for _ in range(count)]
    start = run.steps.count()
    Step.objects.bulk_create(
        Step(run=run, student_id=run.student_id, key=key, position=0, item_key=str(start + n), state=state)
        for n, state in enumerate(rows)
    )


def operations(run: Run, key: str, **states: int) -> None:
    now = timezone.now()
    rows = [state for state, count in states.items() for _ in range(count)]
    values = {"platform": "zapmail", "verb": "create_mailboxes", "token": 1, "send_before": now, "absent_after": now}
    Operation.objects.bulk_create(
        Operation(run=run, student_id=run.student_id, step_key=key, state=state, **values) for state in rows
    )


def phase(key: str) -> str:
    return Flag.objects.get(key=key).phase if Flag.objects.filter(key=key).exists() else "all"


def look() -> int:
    clock.advance_machine(61)
    return rules.drain()


def test_too_many_failed_steps_stop_new_orders(run: Run) -> None:
    steps(run, "warmup", completed=94, failed=6)

    assert look() == 1

    flag = Flag.objects.get(key="orders")
    assert (flag.phase, flag.stopped_at is None) == ("off", False)
    assert flag.stopped_reason == "6 of 100 within an hour: errors, more than 5%"
    assert OperatorItem.objects.filter(kind="orders_stopped", resolved_at=None).count() == 1
    assert Mail.objects.filter(kind="operator_orders_stopped").count() == 1
    assert look() == 0, "once is enough"
    assert OperatorItem.objects.filter(kind="orders_stopped").count() == 1


@pytest.mark.parametrize(
    ("key", "states"),
    [
        ("warmup", {"completed": 95, "failed": 5}),  # exactly five per cent
        ("warmup", {"completed": 50, "failed": 40}),  # too few to judge
        ("domains_active", {"completed": 18, "failed": 2}),
        ("domains_active", {"failed": 19}),
    ],
)
def test_few_failures_or_few_steps_stop_nothing(run: Run, key: str, states: dict[str, int]) -> None:
    steps(run, key, **states)
    assert look() == 0
    assert not Flag.objects.exists()


def test_dns_failures_stop_their_stack(run: Run) -> None:
    steps(run, "domains_active", completed=17, failed=3)
    assert look() == 1
    assert (phase("stack:zapmail"), phase("orders")) == ("off", "all")


def test_a_domain_that_waits_for_the_operator_counts_as_failed(run: Run) -> None:
    steps(run, "dmarc", completed=17, waiting=3)
    Step.objects.filter(state="waiting").update(waits_on="operator", facts={"code": "too_slow"})
    assert look() == 1


def test_errors_of_the_mailbox_platform_stop_their_stack(run: Run) -> None:
    operations(run, "mailboxes", done=15, rejected=2, unknown=2, absent=1)
    assert look() == 1
    assert phase("stack:zapmail") == "off"
    assert "mailbox platform errors" in Flag.objects.get(key="stack:zapmail").stopped_reason


def test_a_busy_mailbox_platform_is_no_error(run: Run) -> None:
    operations(run, "mailboxes", done=16, rejected=4, not_done=30)
    assert look() == 0


def test_what_people_decided_is_no_error(run: Run) -> None:
    steps(run, "warmup", completed=94, failed=6)
    Step.objects.filter(state="failed").update(failure_code="skipped")
    assert look() == 0


def test_older_hours_do_not_count(run: Run) -> None:
    steps(run, "warmup", completed=94, failed=6)
    Step.objects.update(updated_at=timezone.now() - timedelta(minutes=61))
    assert look() == 0


def test_a_person_opens_again_and_the_count_begins_anew(run: Run) -> None:
    steps(run, "warmup", completed=94, failed=6)
    look()
    Step.objects.update(updated_at=timezone.now() - timedelta(minutes=5))
    flag = Flag.objects.get(key="orders")
    flag.phase = Flag.Phase.ALL

    flags.set_phase(flag=flag, actor="olive@ops.example")

    assert not OperatorItem.objects.filter(kind="orders_stopped", resolved_at=None).exists()
    assert look() == 0
    steps(run, "warmup", completed=94, failed=6)
    Step.objects.update(updated_at=clock.machine_now())
    assert look() == 1


def test_it_looks_at_most_once_a_minute(run: Run) -> None:
    steps(run, "warmup", completed=94, failed=6)
    assert rules.is_due()
    look()
    assert not rules.is_due()
    Flag.objects.all().delete()
    assert rules.drain() == 0, "somebody has just looked"
    clock.advance_machine(61)
    assert rules.is_due()


def test_the_bell_is_hung() -> None:
    assert "rules" in doorbell.names()
    assert "rules" in doorbell.due_names()
