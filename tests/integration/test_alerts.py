"""What the operator is told of when something is slower or worse than usual: opened and closed by itself."""

from __future__ import annotations

import math
from datetime import timedelta

import pytest
from django.test import override_settings

from infra import clock
from infra.models import DnsCheck, Mail, OperatorItem
from integrations.http.call import Call, Raw, Request
from integrations.http.errors import NotSent, OutcomeUnknown
from provisioning import rules
from provisioning.engine import doorbell, timing
from provisioning.engine.timing import CALL, WAKEUP, Timed
from provisioning.models import Run, Step, Timing

from .stories.kit import Story
from .stories.test_workspace import NAME, ordered
from .world import new_order, new_world, paid

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def nothing_counted() -> None:
    timing._counted.clear()


def look() -> None:
    clock.advance_machine(61)
    rules.drain()


def is_open(kind: str) -> bool:
    return OperatorItem.objects.filter(kind=kind, resolved_at=None).exists()


def sentence(kind: str) -> str:
    return OperatorItem.objects.get(kind=kind, resolved_at=None).sentence


# ---- records -----------------------------------------------------------------------------------------------------------


def written(late: float = 3 * 3600.0) -> Story:
    """Play an order until its records are written, which the name servers show so much later."""
    made = ordered()
    made.sandbox.faults.add("slow_edge", platform="cloudflare", seconds=late)
    made.play(lambda: made.rows("records_seen").filter(state="waiting").exists(), hours=240)
    return made


def test_records_that_no_name_server_shows_after_half_an_hour_are_told_of_once_and_no_longer_when_they_are_seen() -> (
    None
):
    made = written()
    made.advance(28 * 60)
    look()
    assert not is_open("slow_propagation")
    made.advance(3 * 60)
    look()
    look()
    assert NAME in sentence("slow_propagation")
    assert made.provision.reference in sentence("slow_propagation")
    assert Mail.objects.filter(kind="operator_slow_propagation").count() == 1
    made.play(lambda: made.rows("records_seen").filter(state="completed").exists(), hours=240)
    look()
    assert not is_open("slow_propagation")


def test_what_only_resolvers_do_not_show_yet_is_no_slow_propagation() -> None:
    made = written()
    made.advance(31 * 60)
    domain = made.domain(NAME)
    domain.facts["dns_evidence"] = {"stage": "resolvers"}
    domain.save()
    look()
    assert not is_open("slow_propagation")


@override_settings(ALERT_PROPAGATION_MINUTES=120)
def test_how_long_records_may_take_is_a_setting() -> None:
    made = written()
    made.advance(31 * 60)
    look()
    assert not is_open("slow_propagation")


# ---- how long things take ----------------------------------------------------------------------------------------------


def test_a_wake_up_of_more_than_fifty_seconds_is_told_of_for_an_hour() -> None:
    timing.count(WAKEUP, "runs", 50.0)
    timing.flush()
    look()
    assert not is_open("slow_action")
    timing.count(WAKEUP, "runs", 50.1)
    timing.flush()
    look()
    assert "longer than 50 seconds" in sentence("slow_action")
    clock.advance_machine(3600)
    look()
    assert not is_open("slow_action")


@override_settings(ALERT_ACTION_SECONDS=20)
def test_what_a_wake_up_may_take_is_a_setting() -> None:
    timing.count(WAKEUP, "runs", 21.0)
    timing.flush()
    look()
    assert is_open("slow_action")


class Platform:
    """Answers, or breaks as it is told."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error

    def send(self, call: Call[object], *, send_before: float | None = None) -> Raw:
        if self.error:
            raise self.error
        return Raw(200, {}, b"{}")


def request(transport: Platform) -> None:
    address = Request("GET", "https://x.example")
    asked: Call[object] = Call("cloudflare", "get_zone", address, parse=Raw.document, classify=lambda _raw: None)
    Timed(transport).send(asked)


def test_calls_are_counted_by_platform_and_added_to_the_rows_whoever_made_them() -> None:
    for _process in range(2):
        request(Platform())
        request(Platform())
        timing.flush()
    row = Timing.objects.get(kind=CALL, name="cloudflare")
    assert (row.number, row.bound) == (4, 0.1)
    timing.flush()
    assert Timing.objects.get().number == 4


def test_a_lost_answer_counts_and_what_never_went_out_does_not() -> None:
    for error in (NotSent("refused", platform="cloudflare"), OutcomeUnknown("lost", platform="cloudflare")):
        with pytest.raises(type(error)):
            request(Platform(error))
    timing.flush()
    assert Timing.objects.get().number == 1


def test_what_is_slower_than_every_bound_is_counted_too() -> None:
    timing.count(CALL, "smartlead", 61.0)
    timing.flush()
    assert math.isinf(Timing.objects.get().bound)


def test_a_piece_of_work_leaves_its_counts_behind() -> None:
    new_world()
    paid(new_order())

    def work(_limit: int) -> int:
        timing.count(CALL, "zapmail", 0.2)
        return 1

    doorbell.register("counts", work)
    try:
        doorbell.drain("counts")
    finally:
        del doorbell._drains["counts"]
    assert Timing.objects.get(kind=CALL, name="zapmail").number == 1


# ---- errors and what waits ---------------------------------------------------------------------------------------------


def ended(run: Run, *, completed: int, failed: int) -> None:
    states = ["completed"] * completed + ["failed"] * failed
    run.steps.all().delete()
    Step.objects.bulk_create(
        Step(run=run, student_id=run.student_id, key="warmup", position=0, item_key=str(n), state=state)
        for n, state in enumerate(states)
    )


def test_more_than_three_per_cent_of_errors_are_told_of_long_before_orders_are_stopped() -> None:
    new_world()
    run = paid(new_order())
    ended(run, completed=97, failed=3)
    look()
    assert not is_open("error_rate")
    ended(run, completed=96, failed=4)
    look()
    assert sentence("error_rate").startswith("4 of 100 steps failed within an hour, more than 3 %.")
    assert not is_open("orders_stopped")
    ended(run, completed=10, failed=9)
    look()
    assert not is_open("error_rate"), "too few to judge"


@override_settings(ALERT_ERROR_PERCENT=4)
def test_how_many_errors_there_may_be_is_a_setting() -> None:
    new_world()
    ended(paid(new_order()), completed=96, failed=4)
    look()
    assert not is_open("error_rate")


@override_settings(ALERT_DNS_BACKLOG=2)
def test_domains_whose_dns_nobody_looks_at_are_told_of_until_somebody_does() -> None:
    new_world()
    provision = paid(new_order()).provision
    now = clock.vendor_now()
    for domain in provision.domains.all()[:3]:
        DnsCheck.objects.create(
            domain=domain, provision=provision, student=provision.student, due_at=now - timedelta(seconds=120)
        )
    look()
    assert "The DNS of 3 domains waits" in sentence("dns_backlog")
    DnsCheck.objects.all().update(due_at=now + timedelta(hours=1))
    look()
    assert not is_open("dns_backlog")


@override_settings(ALERT_DNS_BACKLOG=0)
def test_what_has_only_just_become_due_is_no_backlog() -> None:
    new_world()
    provision = paid(new_order()).provision
    (domain, *_) = provision.domains.all()
    DnsCheck.objects.create(domain=domain, provision=provision, student=provision.student, due_at=clock.vendor_now())
    rules.drain()
    assert not is_open("dns_backlog")
