"""Budgets, circuits and the tick: what keeps one platform, one student or one key from stopping everybody."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import pytest
from django.db import connection

from infra import clock
from integrations.sandbox import Sandbox
from provisioning import actions
from provisioning.engine import budget, supervisor
from provisioning.models import Circuit, Run

from .kit import begin, make_world, story

pytestmark = pytest.mark.django_db

FIVE = ("acme", "zenith", "orbit", "delta", "umber")


def test_five_orders_at_once_never_exceed_a_window() -> None:
    world = make_world()
    orders = [begin(world, name) for name in FIVE]
    world.run_until(lambda: not Run.objects.exclude(state="done").exists())
    for order in orders:
        order.check()
    assert {entry.status for entry in world.sandbox.log} == {200}
    assert busiest(world.sandbox) <= 20
    assert world.sandbox.quotas.violations == []


def test_orders_that_wait_for_a_search_share_one_question() -> None:
    """Where a purchase counts as a search, answers grow old while it waits: one question renews those of all who wait."""
    made = make_world(
        switches={"zapmail_purchase_counts_as_search": True, "zapmail_search_per_30_min": 3},
        ZAPMAIL_PURCHASE_COUNTS_AS_SEARCH="true",
        ZAPMAIL_SEARCH_LIMIT=3,
    )
    orders = [begin(made, name) for name in FIVE]
    late = {name for order in orders[3:] for name in order.names()}
    made.run_until(lambda: made.sandbox.log.of("zapmail", "buy_domains")[4:] != [])
    asked = [entry.items for entry in made.sandbox.log.of("zapmail", "check_domains")]
    assert [set(names) for names in asked] == [late]
    assert made.sandbox.quotas.violations == []


def test_a_question_takes_along_the_names_that_others_will_ask_for_soon() -> None:
    made = make_world()
    orders = [begin(made, name) for name in FIVE]
    wanted = {name for order in orders for name in order.names()}
    made.advance(15.5 * 60)
    made.run_until(lambda: len(made.sandbox.log.of("zapmail", "buy_domains")) == len(orders))
    asked = [entry.items for entry in made.sandbox.log.of("zapmail", "check_domains")]
    assert [set(names) for names in asked] == [wanted]


@pytest.mark.parametrize("waits_for", ["zapmail.general", "zapmail.search"])
def test_a_look_lets_those_go_first_who_wait_for_the_same_requests(waits_for: str) -> None:
    world = make_world()
    looking, other = (begin(world, name) for name in FIVE[:2])
    looking.play(looking.waits("domains_active", "platform"))
    Run.objects.filter(pk=other.run.pk).update(
        state="waiting", waits_on="budget", why=waits_for, next_attempt_at=clock.later(clock.vendor_now(), 3600)
    )
    since = looking.rows("buy_domains").first().opened_at
    before = looking.calls()["zapmail.list_domains"]
    looking.play(lambda: looking.calls()["zapmail.list_domains"] > before, hours=1)
    waited = clock.seconds_between(since, clock.vendor_now()) / 60
    # Its usual time at the earliest; while others wait, as long as a domain takes as a rule.
    assert (10 <= waited < 15) if waits_for == "zapmail.search" else (20 <= waited < 25)


def test_a_look_is_as_patient_as_its_thing_takes_and_not_anew_for_what_was_ready_early() -> None:
    world = make_world()
    made, other = (begin(world, name) for name in FIVE[:2])
    made.play(made.waits("mailboxes_active", "platform"))
    later = clock.later(clock.vendor_now(), 24 * 3600)
    others = Run.objects.filter(pk=other.run.pk)
    others.update(state="waiting", waits_on="budget", why="zapmail.general", next_attempt_at=later)
    since, before = made.rows("mailboxes").first().opened_at, made.calls()["zapmail.list_mailboxes"]
    made.rows("mailboxes_active").update(opened_at=clock.later(since, 15 * 60))  # as if asked for one by one
    made.play(lambda: made.calls()["zapmail.list_mailboxes"] > before, hours=1)
    assert 25 <= clock.seconds_between(since, clock.vendor_now()) / 60 < 30


def test_a_step_that_stands_back_does_not_hide_that_another_is_without_a_permit() -> None:
    """Others see by its run that an order waits: its mailboxes do, while DMARC lets them go first."""
    world = make_world(switches={"zapmail_domain_active_seconds": (600.0, 600.0)})
    made, other = (begin(world, name) for name in FIVE[:2])
    made.play(made.waits("domains_active", "platform"))
    later = clock.later(clock.vendor_now(), 24 * 3600)
    others = Run.objects.filter(pk=other.run.pk)
    others.update(state="waiting", waits_on="budget", why="zapmail.general", next_attempt_at=later)

    def use_up() -> None:
        with connection.cursor() as cursor:
            cursor.execute(
                "UPDATE provisioning_permit SET used_at = gtm_now('vendor') WHERE budget = 'zapmail.general'"
            )

    made.play_on_after("domains_active", use_up, made.waits("mailboxes", "budget"))
    assert set(made.rows("dmarc").values_list("waits_on", flat=True)) == {"platform"}
    assert (made.run.waits_on, made.run.why) == ("budget", "zapmail.general")
    made.play()
    made.check()


def test_control_without_permits_the_window_is_exceeded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budget, "PERMIT", "SELECT id FROM provisioning_permit WHERE budget = %(budget{n})s LIMIT 1")
    world = make_world(switches={"zapmail_general_per_minute": 5})
    for name in FIVE:
        begin(world, name)
    world.run_until(lambda: bool(world.sandbox.quotas.violations), hours=1)


def busiest(sandbox: Sandbox) -> int:
    """Return how many calls the fullest minute of Zapmail's key held."""
    window: deque[float] = deque()
    most = 0
    for entry in sandbox.log.of("zapmail"):
        window.append(entry.at)
        while window[0] <= entry.at - 60.0:
            window.popleft()
        most = max(most, len(window))
    return most


@pytest.mark.parametrize("platform", ["zapmail", "plusvibe", "heyreach"])
@pytest.mark.parametrize("status", [401, 403])
def test_a_revoked_key_parks_every_run_with_one_alert_and_they_go_on_by_themselves(platform: str, status: int) -> None:
    world = make_world(switches={f"{platform}_unauthorised_status": status})
    orders = [begin(world, name) for name in FIVE[:2]]
    fault = world.sandbox.faults.add("key_revoked", platform=platform)
    for order in orders:
        order.play(order.parks("needs_operator"))
    refused = len(world.sandbox.log)
    ends = clock.vendor_now().timestamp() + 3600
    world.run_until(lambda: clock.vendor_now().timestamp() > ends)
    assert orders[0].mails()["operator_circuit"] == 1
    assert len(world.sandbox.log) - refused <= 70  # one call a minute tries

    world.sandbox.faults.remove(fault.id)
    world.run_until(lambda: not Run.objects.exclude(state="done").exists())
    for order in orders:
        order.check()
    assert orders[0].mails() == {"operator_circuit": 1, "ready": 2}
    assert not Circuit.objects.filter(is_open=True).exists()


def test_a_key_that_is_revoked_while_runs_only_look_opens_the_circuit() -> None:
    world = make_world()
    orders = [begin(world, name) for name in FIVE[:2]]
    world.run_until(lambda: all(order.waits("domains_active", "platform")() for order in orders))
    before = len(world.sandbox.log)
    world.sandbox.faults.add("key_revoked", platform="zapmail")
    for order in orders:
        order.play(order.parks("needs_operator"))
    refused = [entry for entry in world.sandbox.log.since(before) if entry.platform == "zapmail"]
    assert {entry.method for entry in refused} == {"GET"}
    assert Circuit.objects.get(platform="zapmail", is_open=True).reason == "credentials"
    assert orders[0].mails()["operator_circuit"] == 1


def test_an_operator_who_mended_the_key_need_not_wait() -> None:
    made = story()
    fault = made.sandbox.faults.add("key_revoked", platform="zapmail")
    made.play(made.parks("needs_operator"))
    made.sandbox.faults.remove(fault.id)
    actions.close_circuit(platform="zapmail", actor="operator", reason="new key")
    assert made.world.run_once()
    assert len(made.sandbox.world.zapmail.workspaces) == 2


def test_time_outs_in_a_row_open_the_circuit_and_an_answer_closes_it() -> None:
    world = make_world()
    orders = [begin(world, name) for name in FIVE]
    fault = world.sandbox.faults.add("timeout_before", platform="zapmail")
    world.run_until(lambda: Circuit.objects.filter(platform="zapmail", is_open=True).exists())
    assert Circuit.objects.get(platform="zapmail").reason == "timeouts"
    assert orders[0].mails() == {"operator_circuit": 1}
    world.sandbox.faults.remove(fault.id)
    world.run_until(lambda: not Run.objects.exclude(state="done").exists())
    for order in orders:
        order.check()


def test_an_answer_between_time_outs_begins_their_count_anew() -> None:
    call = make_world().workshop.clients.zapmail.list_workspaces()
    for _ in range(3):
        for _ in range(budget.TIMEOUTS_TO_OPEN - 1):
            budget.note_timeout("zapmail")
        assert not Circuit.objects.filter(is_open=True).exists()
        budget.release(budget.acquire(call), answered=True)


def test_the_tick_rings_for_what_is_due_once(monkeypatch: pytest.MonkeyPatch) -> None:
    rung = ringing(monkeypatch)
    made = story()
    assert supervisor.tick() == 1
    assert supervisor.tick() == 0
    made.advance(supervisor.RING_AGAIN + 1)
    assert supervisor.tick() == 1  # a lost ring is repeated
    assert sum(rung()) == 3  # the start of the run rang as well


def test_who_waits_for_a_budget_that_is_no_more_is_rung_all_the_same() -> None:
    made = story()
    Run.objects.filter(provision=made.provision).update(
        state="waiting", waits_on="budget", why="gone.general", next_attempt_at=clock.vendor_now()
    )
    assert supervisor.tick() == 1


def test_the_tick_rings_no_more_than_permits_are_free(monkeypatch: pytest.MonkeyPatch) -> None:
    ringing(monkeypatch)
    world = make_world(ZAPMAIL_GENERAL_LIMIT=2, ZAPMAIL_GENERAL_RESERVED_PAID=0)
    for name in FIVE:
        begin(world, name)
    for _ in FIVE:
        world.run_once()
    waiting = Run.objects.filter(waits_on="budget")
    assert waiting.count() >= 3
    waiting.update(next_attempt_at=clock.vendor_now())
    Run.objects.exclude(waits_on="budget").update(next_attempt_at=clock.later(clock.vendor_now(), 3600))
    assert supervisor.tick() == 0
    world.advance(63)
    assert supervisor.tick() == 2


def ringing(monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[int]]:
    heard: list[int] = []
    monkeypatch.setattr("provisioning.engine.doorbell.ring", lambda name, times=1: heard.append(times))
    return lambda: heard
