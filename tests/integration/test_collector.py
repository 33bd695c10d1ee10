"""The collector: what it keeps of what the platforms say, how seldom it asks, and what it does when they do not answer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, timedelta
from typing import Any

import pytest
from django.db import connection

from infra import clock
from infra.dashboard import board
from infra.models import (
    Connection,
    Mail,
    Mailbox,
    MailboxState,
    Measurement,
    Provision,
    ProvisionState,
    WarmupDay,
)
from infra.warmup import standings
from integrations.http.gate import judge
from integrations.sandbox import mailhost, plusvibe, salesforge, warmforge
from integrations.sandbox.heyreach import Lead
from provisioning import collector, life
from provisioning.engine import doorbell
from provisioning.engine.budget import NoPermit
from provisioning.engine.measuring import Look, Measured, Measuring
from provisioning.engine.reader import send_read
from provisioning.models import Circuit, Collection, Heartbeat, Permit, Run
from provisioning.stacks import STACKS
from provisioning.steps.forge import figures as forge_figures
from tests.integration.world import World, new_order, new_world, paid

pytestmark = pytest.mark.django_db

DAY, HALF_A_DAY = 86_400.0, 43_200.0


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    world = new_world()
    monkeypatch.setattr(collector, "default_workshop", lambda: world.workshop)
    return world


@pytest.fixture
def order(world: World) -> Provision:
    """An order that has been built: six mailboxes whose warmup has just begun."""
    return built(world, "acme")


def built(world: World, name: str) -> Provision:
    run = paid(new_order(name))
    world.run_until(lambda: Run.objects.get(pk=run.pk).finished_at is not None)
    provision = Provision.objects.get(pk=run.provision_id)
    assert provision.state == ProvisionState.ACTIVE
    return provision


def pass_days(world: World, days: float) -> None:
    """Let days pass, with two looks a day."""
    for _ in range(round(2 * days)):
        world.advance(HALF_A_DAY)
        collect(world)


def collect(world: World) -> int:
    """Look at everything that is due; the budgets' windows pass in between."""
    done = 0
    for _ in range(50):
        found = collector.drain()
        done += found
        if not found:
            break
        world.advance(5)
    return done


@contextmanager
def counted(world: World) -> Iterator[Counter[str]]:
    """Count the calls of a block by verb."""
    before, found = world.sandbox.log.count, Counter[str]()
    yield found
    found.update(entry.verb for entry in world.sandbox.log.since(before))


def develop(world: World, profile: str) -> None:
    """Let the figures of one mailbox develop so."""
    assert plusvibe.set_profile(world.sandbox.world, "ada@getacme.com", profile) == 1


def today() -> Any:
    return clock.vendor_now().astimezone(UTC).date()


def latest(address: str) -> WarmupDay:
    return WarmupDay.objects.filter(mailbox__address=address).latest("day")


def measurement(order: Provision) -> Measurement:
    return Measurement.objects.get(provision=order)


# What is kept --------------------------------------------------------------------------------------------------------


def test_there_are_no_figures_on_the_first_day_and_that_is_not_zero(world: World, order: Provision) -> None:
    collect(world)
    rows = WarmupDay.objects.filter(mailbox__provision=order)
    assert rows.count() == 6
    for row in rows:
        assert (row.health, row.warmup_sent, row.reply_rate) == (None, None, None)
        assert (row.connection, row.is_warming) == (Connection.CONNECTED, True)


def test_each_mailbox_has_one_row_a_day_and_the_history_stays(world: World, order: Provision) -> None:
    collect(world)
    first = today()
    pass_days(world, 4)
    for box in order.mailboxes.all():
        found = list(box.warmup_days.values_list("day", "health"))
        assert [day for day, _ in found] == [first + timedelta(days=n) for n in range(5)]
        assert found[0][1] is None
        assert all(90 <= (figure or 0) <= 100 for _, figure in found[2:])


def test_what_the_platform_says_is_kept_as_it_said_it(world: World, order: Provision) -> None:
    pass_days(world, 6)
    call = world.workshop.clients.plusvibe.list_accounts(order.facts["plusvibe_workspace_id"])
    for account in send_read(world.workshop.transport, call).accounts:
        row, said = latest(account.email), account.analytics
        assert said is not None
        assert (row.health, row.health_google, row.reply_rate) == (said.health, said.health_google, said.reply_rate_7d)
        assert (row.warmup_sent, row.campaign_sent) == (said.warmup_sent_today, said.sent_today)
        assert row.measured_at == measurement(order).looked_at


def test_a_figure_stays_when_a_later_look_of_the_day_brings_none(world: World, order: Provision) -> None:
    pass_days(world, 3)
    before, due = latest("ada@getacme.com"), measurement(order)
    said = {before.mailbox.address: Measured(is_connected=True, is_warming=False)}
    collector.write_down(due, said, now=before.measured_at + timedelta(minutes=5))
    after = latest("ada@getacme.com")
    assert (after.day, after.health, after.is_warming) == (before.day, before.health, False)


@pytest.mark.parametrize("nonsense", [-1.0, 100.5, float("nan"), 1e9])
def test_a_figure_that_cannot_be_true_is_no_figure(world: World, order: Provision, nonsense: float) -> None:
    collect(world)
    said = {"ada@getacme.com": Measured(True, True, health=nonsense, health_google=99.0, campaign_sent=10**12)}
    collector.write_down(measurement(order), said, now=clock.vendor_now())
    row = latest("ada@getacme.com")
    assert (row.health, row.health_google, row.campaign_sent) == (None, 99.0, None)


def test_a_disconnected_mailbox_is_one_whatever_they_call_it(world: World, order: Provision) -> None:
    pass_days(world, 2)
    world.sandbox.faults.add("account_disconnected", items=["ada@getacme.com"])
    world.sandbox.switches.set(plusvibe_disconnected_status="WAITING_FOR_GODOT")
    pass_days(world, 1)
    row = latest("ada@getacme.com")
    assert (row.connection, row.is_warming) == (Connection.DISCONNECTED, False)  # no day of its warmup
    assert latest("ada.sample@getacme.com").connection == Connection.CONNECTED


def test_a_mailbox_missing_once_is_not_gone_but_missing_twice_it_is(world: World, order: Provision) -> None:
    pass_days(world, 2)
    account = next(one for one in world.sandbox.world.plusvibe.accounts.values() if one.email == "ada@getacme.com")
    del world.sandbox.world.plusvibe.accounts[account.id]
    pass_days(world, 0.5)
    assert latest("ada@getacme.com").connection == Connection.CONNECTED
    pass_days(world, 0.5)
    assert latest("ada@getacme.com").connection == Connection.ABSENT


def test_the_size_of_the_lead_list_comes_along(world: World, order: Provision) -> None:
    collect(world)
    world.advance(HALF_A_DAY)
    [row] = [one for one in world.sandbox.world.heyreach.lists.values() if order.reference in one.name]
    row.leads = {str(number): Lead(str(number), {}, [], 0.0) for number in range(412)}
    collect(world)
    found = measurement(order)
    assert found.leads == 412
    assert found.leads_at is not None


# How seldom it asks --------------------------------------------------------------------------------------------------


def test_a_new_list_is_counted_at_the_first_look_and_with_the_others_from_then_on(
    world: World, order: Provision
) -> None:
    with counted(world) as seen:
        collect(world)
    assert measurement(order).leads == 0
    assert seen["get_list"] == 1
    with counted(world) as seen:
        pass_days(world, 2)
    assert "get_list" not in seen


def test_a_day_takes_two_calls_for_a_students_mailboxes(world: World, order: Provision) -> None:
    collect(world)
    with counted(world) as seen:
        pass_days(world, 1)
    assert seen == {"list_accounts": 2, "find_lists": 2}


def test_the_lists_of_all_students_are_read_together(world: World, order: Provision) -> None:
    built(world, "bolt")
    collect(world)
    with counted(world) as seen:
        pass_days(world, 1)
    assert seen == {"list_accounts": 4, "find_lists": 2}


def test_nothing_is_asked_before_it_is_due(world: World, order: Provision) -> None:
    collect(world)
    world.advance(HALF_A_DAY - 3600)
    with counted(world) as seen:
        assert collector.drain() == 0
    assert not seen


def test_how_often_is_a_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    world = new_world(FIGURES_EVERY="3600")
    monkeypatch.setattr(collector, "default_workshop", lambda: world.workshop)
    order = built(world, "acme")
    collect(world)
    due, looked = measurement(order).due_at, measurement(order).looked_at
    assert due is not None
    assert looked is not None
    assert (due - looked).total_seconds() == 3600


def test_the_oldest_look_comes_first(world: World, order: Provision) -> None:
    other = built(world, "bolt")
    collect(world)
    Measurement.objects.filter(provision=other).update(looked_at=clock.later(clock.vendor_now(), -DAY))
    world.advance(HALF_A_DAY + 60)
    Collection.objects.exclude(name=collector.SLICE).update(due_at=clock.later(clock.vendor_now(), DAY))
    assert collector.drain(1) == 1
    assert (measurement(other).looked_at or clock.vendor_now()) > (measurement(order).looked_at or clock.vendor_now())


def test_a_slice_is_small_and_the_next_goes_on(world: World, order: Provision) -> None:
    built(world, "bolt")
    collector.admit()
    assert [collector.drain(1), collector.drain(1)] == [1, 1]


def test_only_one_worker_is_at_it(world: World, order: Provision) -> None:
    Collection.objects.create(name=collector.SLICE, claimed_until=clock.machine_now() + timedelta(seconds=60))
    assert not collector.is_due()
    assert collector.drain() == 0
    clock.advance_machine(61)
    assert collector.is_due()
    assert collector.drain() > 0


def test_what_is_reserved_for_paid_work_stays_for_it(world: World, order: Provision) -> None:
    collector.admit()
    world.advance(60)  # so that what is reserved is free
    Permit.objects.filter(budget="plusvibe.general", weight_class="").update(used_at=clock.vendor_now())
    with counted(world) as seen:
        collector.drain()
    assert "list_accounts" not in seen
    found = measurement(order)
    assert (found.failures, found.problem, found.looked_at) == (0, "", None)
    world.advance(60)
    collect(world)
    assert measurement(order).looked_at is not None


def test_a_listing_without_a_permit_keeps_nobody_waiting(world: World, order: Provision) -> None:
    collector.admit()
    Permit.objects.filter(budget="heyreach.general").update(used_at=clock.vendor_now())
    with counted(world) as seen:
        collector.drain()
    assert seen == {"list_accounts": 1}


def test_the_tick_rings_for_it(world: World, order: Provision) -> None:
    assert collector.is_due()  # something new may have become live
    assert doorbell.drain("figures") > 0
    collect(world)
    doorbell.drain("figures")
    assert not collector.is_due()
    world.advance(HALF_A_DAY)
    Heartbeat.objects.filter(name="work:figures").update(at=clock.machine_now())
    assert collector.is_due()
    assert "figures" in doorbell.due_names()


def test_what_has_ended_is_not_asked_for_and_what_begins_again_is(world: World, order: Provision) -> None:
    collect(world)
    Provision.objects.filter(pk=order.pk).update(state=ProvisionState.FAILED)
    world.advance(HALF_A_DAY)
    with counted(world) as seen:
        collect(world)
    assert "list_accounts" not in seen
    assert measurement(order).due_at is None
    Provision.objects.filter(pk=order.pk).update(state=ProvisionState.ACTIVE)
    with counted(world) as seen:
        collect(world)
    assert seen["list_accounts"] == 1


# When a platform does not answer -------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["unreachable", "timeout_before", "status", "html_body", "rate_limit", "empty_body"])
def test_a_failed_look_is_noted_and_tried_again_later(world: World, order: Provision, kind: str) -> None:
    pass_days(world, 2)
    before, looked = latest("ada@getacme.com"), measurement(order).looked_at
    world.sandbox.faults.add(kind, platform="plusvibe", verb="list_accounts")
    world.advance(HALF_A_DAY)
    collector.drain()
    found = measurement(order)
    assert found.failures == 1
    assert found.problem.startswith("plusvibe ")
    assert found.looked_at == looked
    assert latest("ada@getacme.com") == before
    assert found.due_at is not None
    assert found.due_at > clock.vendor_now()
    world.sandbox.faults.clear()
    world.advance(collector.BACKOFF[0] + 10)
    collect(world)
    found = measurement(order)
    assert (found.failures, found.problem) == (0, "")
    assert found.looked_at is not None
    assert looked is not None
    assert found.looked_at > looked


def test_it_is_asked_ever_more_rarely(world: World, order: Provision) -> None:
    collect(world)
    world.sandbox.faults.add("status", platform="plusvibe", verb="list_accounts", status=503)
    world.advance(HALF_A_DAY)
    waits = []
    for _ in range(7):
        collector.drain()
        due = measurement(order).due_at
        assert due is not None
        waits.append(round((due - clock.vendor_now()).total_seconds(), -1))
        world.advance(waits[-1] + 30)
    assert waits == [*collector.BACKOFF, collector.BACKOFF[-1], collector.BACKOFF[-1]]


def test_one_platform_that_is_away_takes_nothing_from_the_other(world: World, order: Provision) -> None:
    collect(world)
    world.sandbox.faults.add("status", platform="heyreach", status=503)
    before = measurement(order)
    world.advance(HALF_A_DAY)
    collect(world)
    after = measurement(order)
    assert before.looked_at is not None
    assert after.looked_at is not None
    assert after.looked_at > before.looked_at
    assert after.leads_at == before.leads_at


def test_an_open_circuit_is_a_failed_look_and_no_call(world: World, order: Provision) -> None:
    collector.admit()
    now = clock.machine_now()
    Circuit.objects.create(
        platform="plusvibe", is_open=True, reason="operator", opened_at=now, try_again_at=now + timedelta(hours=1)
    )
    with counted(world) as seen:
        collector.drain()
    assert "list_accounts" not in seen
    assert measurement(order).problem == "CircuitOpen"


def test_a_row_that_cannot_be_looked_at_stands_in_nobodys_way(
    world: World, order: Provision, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = built(world, "bolt")
    collector.admit()
    Measurement.objects.filter(provision=other).update(looked_at=clock.vendor_now())
    Provision.objects.filter(pk=order.pk).update(facts={})
    collect(world)
    assert measurement(order).problem == "KeyError"
    assert measurement(other).failures == 0


def test_a_worker_that_dies_in_a_look_leaves_it_put_off(world: World, order: Provision) -> None:
    class Died(BaseException):
        pass

    def die(*_: object, **__: object) -> None:
        raise Died

    collector.admit()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(collector, "write_down", die)
        with pytest.raises(Died):
            collect(world)
    found = measurement(order)
    assert found.failures == 1
    assert found.due_at is not None
    assert found.due_at > clock.vendor_now()
    world.advance(collector.BACKOFF[0] + 10)
    collect(world)
    assert measurement(order).failures == 0


# What follows from the figures ----------------------------------------------------------------------------------------


def of_kind(kind: str) -> list[Mail]:
    return list(Mail.objects.filter(kind=kind).order_by("created_at"))


def test_a_mailbox_that_turns_bad_is_told_once_and_once_when_it_is_good_again(world: World, order: Provision) -> None:
    develop(world, "recovery")
    pass_days(world, 9)
    assert latest("ada@getacme.com").health is not None
    assert of_kind("health_bad") == []  # bad since today at most
    pass_days(world, 3)
    [mail] = of_kind("health_bad")
    assert mail.to == order.student.email
    assert mail.context["address"] == "ada@getacme.com"
    assert mail.context["cause"] == "google"
    assert Mailbox.objects.get(address="ada@getacme.com").bad_since is not None
    assert of_kind("health_good") == []
    pass_days(world, 5)
    assert len(of_kind("health_bad")) == len(of_kind("health_good")) == 1
    assert Mailbox.objects.get(address="ada@getacme.com").bad_since is None


def test_a_second_collapse_is_told_again(world: World, order: Provision) -> None:
    box = Mailbox.objects.get(address="ada@getacme.com")
    for figures in ((80, 80), (95, 95), (80, 80), (95, 95)):
        for figure in figures:
            world.advance(DAY)
            say(box, figure)
    assert [len(of_kind(kind)) for kind in ("health_bad", "health_good")] == [2, 2]


def say(box: Mailbox, figure: float) -> None:
    """Let the platform say so today, and the conclusions be drawn."""
    collector.admit()
    now = clock.vendor_now()
    said = {box.address: Measured(is_connected=True, is_warming=True, health=figure)}
    collector.write_down(Measurement.objects.get(provision=box.provision), said, now=now)
    collector.judge(box.provision, now=now, is_measured=True)


def test_one_bad_day_is_told_to_nobody(world: World, order: Provision) -> None:
    box = Mailbox.objects.get(address="ada@getacme.com")
    for figure in (95, 80, 95, 80, 95):
        world.advance(DAY)
        say(box, figure)
    assert of_kind("health_bad") == []


def test_nobody_is_told_of_bad_health_while_the_payment_is_missing(world: World, order: Provision) -> None:
    Provision.objects.filter(pk=order.pk).update(state=ProvisionState.SUSPENDED)
    box = Mailbox.objects.get(address="ada@getacme.com")
    for figure in (80, 80, 80):
        world.advance(DAY)
        say(box, figure)
    assert of_kind("health_bad") == []


def test_a_mailbox_becomes_ready_when_its_days_are_over_and_it_is_healthy(world: World, order: Provision) -> None:
    pass_days(world, 13)
    assert set(order.mailboxes.values_list("state", flat=True)) == {MailboxState.WARMING}
    pass_days(world, 1.5)
    assert set(order.mailboxes.values_list("state", flat=True)) == {MailboxState.READY}


def test_a_mailbox_that_collapses_is_ready_no_more(world: World, order: Provision) -> None:
    develop(world, "collapse")
    pass_days(world, 20)
    states = dict(order.mailboxes.values_list("address", "state"))
    assert states["ada@getacme.com"] == MailboxState.WARMING
    assert states["ada.sample@getacme.com"] == MailboxState.READY


def test_the_statements_of_a_look_do_not_grow_with_its_history(world: World, order: Provision) -> None:
    def statements() -> int:
        world.advance(HALF_A_DAY)
        Collection.objects.exclude(name=collector.SLICE).update(due_at=None)
        with connection.execute_wrapper(count := Statements()):
            collector.drain()
        return count.seen

    collect(world)
    few = statements()
    pass_days(world, 3)
    assert statements() == few


class Statements:
    seen = 0

    def __call__(self, execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        self.seen += 1
        return execute(sql, params, many, context)


# Another stack, and an order at rest ----------------------------------------------------------------------------------


def test_a_further_stack_supplies_its_data_and_nothing_else(
    world: World, order: Provision, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its platform knows nothing of health: that is said, asked of nobody, and no reason against sending."""

    def figures(look: Look) -> dict[str, Measured]:
        listed = look.read(look.clients.plusvibe.list_accounts(str(look.facts["plusvibe_workspace_id"])))
        return {one.email: Measured(True, True, warmup_sent=7) for one in listed.accounts}

    measuring = Measuring(figures, frozenset({"warmup_sent"}))
    other = replace(STACKS["zapmail"], key="other", measuring=measuring)
    monkeypatch.setitem(STACKS, "other", other)
    Provision.objects.filter(pk=order.pk).update(order={**order.order, "stack": "other"})
    pass_days(world, 14.5)
    order.refresh_from_db()
    page = board.dashboard(order.student, order, now=clock.vendor_now())
    assert {row.health.text for row in page.mailboxes} == {"Not measured by this platform"}
    assert {row.warmup_today for row in page.mailboxes} == {"7 of 30"}
    assert page.sentences[2] == "All of them are ready to send."
    assert set(order.mailboxes.values_list("state", flat=True)) == {MailboxState.READY}


def test_a_look_that_needs_more_calls_than_there_are_permits_goes_on_where_it_stopped(
    world: World, order: Provision, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Warmforge shows days for one mailbox at a time: eight calls, and two permits that are not kept for paid work."""
    facts = at_warmforge(world, order)
    other = replace(STACKS["zapmail"], key="other", measuring=Measuring(forge_figures.figures, forge_figures.SUPPLIED))
    monkeypatch.setitem(STACKS, "other", other)
    Provision.objects.filter(pk=order.pk).update(order={**order.order, "stack": "other"}, facts=facts)
    collector.admit()
    world.advance(3 * DAY)
    with counted(world) as seen:
        collector.drain()
    begun = measurement(order)
    assert (seen["warmup_stats"], begun.looked_at, begun.failures) == (1, None, 0)
    assert begun.notes
    with counted(world) as rest:
        for _ in range(8):
            world.advance(5)
            collector.drain()
    calls = seen + rest
    assert (calls["list_mailboxes"], calls["warmup_stats"]) == (2, 6)
    ended = measurement(order)
    assert (ended.notes, ended.looked_at is not None) == ({}, True)
    for box in order.mailboxes.all():
        assert 90 <= (latest(box.address).health or 0) <= 100


def at_warmforge(world: World, order: Provision) -> dict[str, Any]:
    """Let the order's mailboxes be warmed at Warmforge and held at Salesforge; return the facts that say where."""
    sandbox, clients, name = world.sandbox, world.workshop.clients, f"Ada {order.reference}"
    warming, holding = clients.warmforge.create_workspace(name), clients.salesforge.create_workspace(name)
    warm = judge(warming, world.workshop.transport.send(warming)).id
    held = judge(holding, world.workshop.transport.send(holding)).id
    for box in order.mailboxes.all():
        whom = {"address": box.address, "first_name": box.first_name, "last_name": box.last_name}
        now = sandbox.clock.now()
        mailhost.set_password(sandbox.world, box.address, "a password of theirs", now)
        warmforge.arrive(sandbox.world, now, workspace_id=warm, warmup_on=True, **whom)
        salesforge.arrive(sandbox.world, now, workspace_id=held, **whom)
    return {**order.facts, "warmforge_workspace_id": warm, "salesforge_workspace_id": held}


def test_what_an_interrupted_look_noted_is_of_use_for_an_hour(world: World, order: Provision) -> None:
    given: list[dict[str, Any]] = []

    def figures(look: Look) -> dict[str, Measured]:
        given.append(dict(look.notes))
        look.notes["count"] = len(given)
        raise NoPermit(1800.0, "no permit is left")

    with pytest.MonkeyPatch.context() as patch:
        measuring = Measuring(figures, frozenset())
        patch.setitem(STACKS, "zapmail", replace(STACKS["zapmail"], measuring=measuring))
        collector.admit()
        for _ in range(4):
            collect(world)
            world.advance(1900.0)
    assert [one.get("count") for one in given] == [None, 1, None, 3]


def test_an_order_at_rest_loses_the_days_and_no_more(world: World, order: Provision) -> None:
    def ready_on() -> Any:
        found = standings(order, list(order.mailboxes.select_related("domain")), now=clock.vendor_now())
        return {one.ready_on for one in found}

    def work() -> None:
        world.run_until(lambda: not Run.objects.filter(finished_at__isnull=True).exists())

    pass_days(world, 3)
    [before] = ready_on()
    order.refresh_from_db()
    assert life.suspend(provision=order, actor="billing", reason="a payment is overdue")
    work()
    pass_days(world, 4)
    order.refresh_from_db()
    assert ready_on() == {None}
    assert set(WarmupDay.objects.filter(day=today()).values_list("is_warming", flat=True)) == {False}
    assert life.resume(provision=order, actor="billing", reason="paid")
    work()
    pass_days(world, 1)
    order.refresh_from_db()
    [after] = ready_on()
    assert timedelta(days=3) <= after - before <= timedelta(days=5)
    assert of_kind("health_bad") == []
