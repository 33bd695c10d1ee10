"""What an operator may do to an order and its runs: each verb, and what it must not do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from infra.models import Flag, Mail, Mailbox, OperationState, OperatorItem, Provision
from infra.secret import Secret
from integrations.http.call import Call, Raw
from integrations.http.transport import Transport
from provisioning import actions, life
from provisioning.actions import Refused
from provisioning.engine import claims
from provisioning.engine.options import Options
from provisioning.engine.outcomes import NewCredential
from provisioning.engine.runner import Workshop
from provisioning.models import Circuit, Event, Operation, OperationItem, Run, Step
from provisioning.stacks import STACKS

from .world import SETTINGS, World, new_order, new_world, paid

pytestmark = pytest.mark.django_db
BY: dict[str, Any] = {"actor": "olive@ops.example", "reason": "the platform has mended it"}


def fresh(run: Run) -> Run:
    return Run.objects.select_related("provision").get(pk=run.pk)


def ended(run: Run) -> Callable[[], bool]:
    return lambda: fresh(run).state in ("done", "failed", "cancelled")


def waits_for_operator(run: Run) -> Callable[[], bool]:
    return lambda: run.steps.filter(state="waiting", waits_on="operator").exists()


def writes(world: World, since: int = 0) -> Counter[tuple[str, str]]:
    """Return the requests other than reads that reached the platforms."""
    return Counter((e.platform, e.verb) for e in world.sandbox.log.since(since) if e.method != "GET")


def failed_at_the_mailboxes(world: World) -> Run:
    """Return a run in which the platform could make no mailbox."""
    world.sandbox.faults.add("failing_mailboxes")
    run = paid(new_order())
    world.run_until(ended(run), hours=72)
    assert fresh(run).state == "failed"
    return run


# ---- retry -----------------------------------------------------------------------------------------------------------


def test_a_failed_run_is_retried_and_continues_where_it_failed() -> None:
    world = new_world()
    run = failed_at_the_mailboxes(world)
    before = len(world.sandbox.log)
    world.sandbox.faults.clear()
    completed = list(run.steps.filter(state="completed").order_by("pk").values_list("pk", "finished_at"))

    actions.retry_failed_step(run=run, **BY)
    assert list(run.steps.filter(state="completed").order_by("pk").values_list("pk", "finished_at")) == completed
    world.run_until(ended(run), hours=72)

    provision = fresh(run).provision
    assert (fresh(run).state, provision.state) == ("done", "active")
    assert set(writes(world, before)) == {
        ("zapmail", "retry_failed_mailboxes"),
        ("zapmail", "export_mailboxes"),
        ("plusvibe", "update_accounts"),
        ("plusvibe", "set_warmup"),
        ("heyreach", "create_list"),
    }
    assert set(provision.mailboxes.values_list("state", flat=True)) == {"warming"}
    assert not OperatorItem.objects.filter(resolved_at=None).exists()
    assert Event.objects.filter(run=run, kind="retried", actor=BY["actor"], reason=BY["reason"]).count() == 1


def test_a_second_press_on_retry_is_refused_with_a_sentence() -> None:
    world = new_world()
    run = failed_at_the_mailboxes(world)
    actions.retry_failed_step(run=run, **BY)

    with pytest.raises(Refused, match="automatic attempt is due"):
        actions.retry_failed_step(run=run, **BY)


def test_a_retry_keeps_off_a_run_that_is_being_worked_on() -> None:
    run = failed_at_the_mailboxes(new_world())
    Run.objects.filter(pk=run.pk).update(state="queued", finished_at=None)
    assert claims.take_next(run.pk)

    with pytest.raises(Refused, match="at this moment"):
        actions.retry_failed_step(run=run, **BY)


def test_nothing_is_retried_while_nothing_failed() -> None:
    world = new_world()
    run = paid(new_order())

    with pytest.raises(Refused, match="automatic attempt is due"):
        actions.retry_failed_step(run=run, **BY)
    world.run_until(ended(run))
    with pytest.raises(Refused, match="has failed"):
        actions.retry_failed_step(run=run, **BY)


def test_an_exception_is_retried_after_the_run_has_ended() -> None:
    """The run is done, with a mailbox missing; mended, it ends active without exceptions."""
    world = new_world()
    world.sandbox.faults.add("failing_mailboxes", items=("ada@getacme.com",))
    run = paid(new_order())
    world.run_until(ended(run), hours=72)
    assert fresh(run).provision.state == "active_with_exceptions"
    world.sandbox.faults.clear()
    before = len(world.sandbox.log)

    actions.retry_failed_step(run=run, **BY)
    assert fresh(run).provision.state == "provisioning"
    assert Mailbox.objects.get(address="ada@getacme.com").state == "creating"
    world.run_until(ended(run), hours=72)

    assert (fresh(run).state, fresh(run).provision.state) == ("done", "active")
    assert ("zapmail", "create_mailboxes") not in writes(world, before)
    assert ("heyreach", "create_list") not in writes(world, before)


def test_a_step_that_waits_for_the_operator_is_retried_at_once() -> None:
    world = new_world(DMARC_REPORT_EMAIL="")
    run = paid(new_order())
    world.run_until(waits_for_operator(run))
    items = OperatorItem.objects.filter(kind="step", resolved_at=None)
    assert items.exists()
    world.workshop = new_world_options(world)

    actions.retry_failed_step(run=run, **BY)

    assert not items.exists()
    world.run_until(ended(run))
    assert fresh(run).provision.state == "active"


def refused_mailboxes(world: World) -> Run:
    """Return a run in which one request for all mailboxes was refused, so that each of their rows waits for a person."""
    world.sandbox.faults.add("status", verb="create_mailboxes", status=400, times=1)
    run = paid(new_order())
    world.run_until(waits_for_operator(run))
    assert run.steps.filter(waits_on="operator").count() == 6
    return run


def test_one_refusal_is_one_question_however_many_rows_wait_for_its_answer() -> None:
    run = refused_mailboxes(new_world())
    assert OperatorItem.objects.get(kind="step").resolved_at is None
    assert Mail.objects.filter(kind="operator_step").count() == 1

    rows = list(run.steps.filter(waits_on="operator"))
    for row in rows[:-1]:
        actions.skip_item(run=run, step=row, **BY)
        assert OperatorItem.objects.get(kind="step").resolved_at is None
    actions.skip_item(run=run, step=rows[-1], **BY)
    assert OperatorItem.objects.get(kind="step").resolved_at is not None


def test_a_question_closes_by_itself_when_the_last_row_goes_on() -> None:
    world = new_world()
    run = refused_mailboxes(world)
    OperationItem.objects.filter(state="rejected").update(state="not_done")  # as if it had never been refused for good
    world.run_until(ended(run))
    assert fresh(run).provision.state == "active"
    assert OperatorItem.objects.get(kind="step").resolution == "The step went on by itself."


def new_world_options(world: World) -> Workshop:
    """Return the same workshop with the options as they should be."""
    return Workshop(world.workshop.transport, world.workshop.clients, Options.from_mapping(SETTINGS))


def test_a_suspended_or_cancelled_order_is_not_revived_by_a_retry() -> None:
    run = failed_at_the_mailboxes(new_world())
    Provision.objects.update(state="suspended")
    with pytest.raises(Refused, match="cancelled or suspended"):
        actions.retry_failed_step(run=run, **BY)
    Provision.objects.update(state="failed")

    actions.cancel(provision=run.provision, **BY)
    with pytest.raises(Refused, match="cancelled or suspended"):
        actions.retry_failed_step(run=run, **BY)


def test_a_lost_name_stays_lost() -> None:
    world = new_world()
    world.sandbox.faults.add("domain_taken", items=("getacme.com",))
    world.sandbox.faults.add("failing_mailboxes")
    run = paid(new_order())
    world.run_until(ended(run), hours=72)

    assert "name_lost" not in {row.failure_code for row in actions.retryable(fresh(run))}


# ---- skip ------------------------------------------------------------------------------------------------------------


def test_a_skipped_item_leaves_an_exception_and_the_others_go_on() -> None:
    world = new_world()
    world.sandbox.faults.add("slow_mailboxes", items=("ada@getacme.com",), seconds=7 * 86400)
    run = paid(new_order())
    world.run_until(lambda: run.steps.filter(key="warmup", state="completed").count() >= 2, hours=72)
    step = run.steps.get(key="mailboxes_active", mailbox__address="ada@getacme.com")
    assert step.state == "waiting"

    actions.skip_item(run=run, step=step, actor=BY["actor"], reason="not worth the wait")
    world.run_until(ended(run))

    provision = fresh(run).provision
    assert provision.state == "active_with_exceptions"
    skipped = provision.mailboxes.get(address="ada@getacme.com")
    assert (skipped.state, "not worth the wait" in skipped.reason) == ("failed", True)
    assert provision.mailboxes.filter(state="warming").count() == 5
    assert not OperatorItem.objects.filter(resolved_at=None).exists()


def test_skipping_a_domain_takes_its_mailboxes_along() -> None:
    world = new_world()
    world.sandbox.faults.add("slow_domains", items=("getacme.com",), seconds=30 * 86400)
    run = paid(new_order())
    world.run_until(lambda: run.steps.filter(key="warmup", state="completed").count() == 4, hours=72)

    actions.skip_item(run=run, step=run.steps.get(key="domains_active", domain__name="getacme.com"), **BY)
    world.run_until(ended(run))

    provision = fresh(run).provision
    assert provision.state == "active_with_exceptions"
    assert set(provision.mailboxes.filter(domain__name="getacme.com").values_list("state", flat=True)) == {"failed"}


def test_what_cannot_be_skipped_says_why() -> None:
    world = new_world()
    run = paid(new_order())
    mailbox_step = run.steps.filter(key="mailboxes")[0]

    with pytest.raises(Refused, match="whole run"):
        actions.skip_item(run=run, step=run.steps.get(key="workspace"), **BY)
    actions.skip_item(run=run, step=mailbox_step, **BY)
    with pytest.raises(Refused, match="closed already"):
        actions.skip_item(run=run, step=mailbox_step, **BY)
    world.run_until(ended(run))
    Step.objects.filter(pk=mailbox_step.pk).update(state="pending")
    with pytest.raises(Refused, match="has ended"):
        actions.skip_item(run=run, step=mailbox_step, **BY)


# ---- done by hand ----------------------------------------------------------------------------------------------------


def test_a_step_done_by_hand_is_not_done_again() -> None:
    """A person made the lead list at the platform; the run notes it and ends."""
    world = new_world()
    world.sandbox.faults.add("key_revoked", platform="heyreach")
    run = paid(new_order())
    world.run_until(lambda: run.steps.filter(key="warmup", state="completed").count() == 6, hours=72)
    world.run_until(waits_for_operator(run), hours=72)
    step = run.steps.get(key="lead_list")
    facts = {"heyreach_list_id": 4711, "heyreach_list_name": f"Ada prospects {run.provision.reference}"}

    actions.mark_done_by_hand(
        run=run, step=step, facts=facts, actor=BY["actor"], reason="made in the console, list 4711"
    )
    world.run_until(ended(run))

    provision = fresh(run).provision
    assert (provision.state, provision.facts["heyreach_list_id"]) == ("active", 4711)
    assert not world.sandbox.log.of("heyreach", "create_list") or all(
        entry.status in (401, 403) for entry in world.sandbox.log.of("heyreach", "create_list")
    )
    assert run.steps.get(key="lead_list").facts["by_hand"] == "made in the console, list 4711"


def test_by_hand_needs_what_later_steps_need() -> None:
    new_world()
    run = paid(new_order())

    with pytest.raises(Refused, match="zapmail_workspace_id"):
        actions.mark_done_by_hand(run=run, step=run.steps.get(key="workspace"), facts={}, **BY)
    with pytest.raises(Refused, match="password"):
        actions.mark_done_by_hand(
            run=run,
            step=run.steps.get(key="sender_login"),
            facts={"plusvibe_client_id": "1", "plusvibe_client_email": "ada@students.example"},
            **BY,
        )


def test_a_login_made_by_hand_is_stored_encrypted() -> None:
    new_world()
    run = paid(new_order())
    login = NewCredential("sending_tool", "ada@students.example", Secret("hand-made"))
    facts = {"plusvibe_client_id": "1", "plusvibe_client_email": "ada@students.example"}

    actions.mark_done_by_hand(run=run, step=run.steps.get(key="sender_login"), facts=facts, credential=login, **BY)

    stored = run.provision.credentials.get()
    assert (stored.login, stored.password.open()) == ("ada@students.example", "hand-made")


def test_an_unknown_outcome_is_closed_by_the_person_who_looked() -> None:
    world = new_world()
    world.sandbox.faults.add("timeout_before", platform="zapmail", verb="create_workspace")
    run = paid(new_order())
    world.run_once()
    unknown = OperationItem.objects.get(verb="create_workspace")
    assert unknown.state == "unknown"

    facts = {"zapmail_workspace_id": "ws-1"}
    actions.mark_done_by_hand(run=run, step=run.steps.get(key="workspace"), facts=facts, **BY)

    unknown.refresh_from_db()
    assert (unknown.state, unknown.operation.state) == (OperationState.DONE, OperationState.DONE)


def test_what_a_smaller_package_has_no_room_for_is_not_tried_again() -> None:
    world = new_world()
    world.sandbox.faults.add("failing_mailboxes", items=("ada@getacme.com",))
    run = paid(new_order())
    world.run_until(ended(run), hours=72)
    assert actions.why_no_retry(fresh(run)) == ""

    provision = fresh(run).provision
    provision.order = {**provision.order, "domain_count": provision.order["domain_count"] - 1}
    provision.save()

    with pytest.raises(Refused, match="has become smaller"):
        actions.retry_failed_step(run=fresh(run), **BY)


def test_the_last_failed_item_done_by_hand_revives_the_run() -> None:
    world = new_world()
    world.sandbox.faults.add("failing_mailboxes", items=("ada@getacme.com",))
    run = paid(new_order())
    world.run_until(ended(run), hours=72)
    assert fresh(run).provision.state == "active_with_exceptions"
    world.sandbox.faults.clear()
    domain = run.provision.domains.get(name="getacme.com")
    workspace = fresh(run).provision.facts["zapmail_workspace_id"]
    call = world.workshop.clients.zapmail.retry_failed_mailboxes(
        workspace, {domain.name: str(domain.facts["zapmail_domain_id"])}
    )
    world.workshop.transport.send(call)
    world.advance(3600)

    step = run.steps.get(key="mailboxes_active", mailbox__address="ada@getacme.com")
    actions.mark_done_by_hand(run=run, step=step, facts={}, **BY)
    assert fresh(run).provision.state == "provisioning"
    world.run_until(ended(run), hours=72)

    assert fresh(run).provision.state == "active"


def test_the_facts_to_enter_by_hand_are_those_that_a_run_notes() -> None:
    world = new_world()
    run = paid(new_order())
    world.run_until(ended(run))
    for domain in world.sandbox.world.zapmail.domains.values():
        domain.auto_renew = False
    life.tear_down(provision=run.provision, **BY)
    world.run_until(ended(run.provision.runs.get(kind="teardown")))
    provision = fresh(run).provision
    items: list[Any] = [provision, *provision.domains.all(), *provision.mailboxes.all()]
    noted = {name for item in items for name in item.facts}

    stack = STACKS["zapmail"]
    steps = [*stack.steps, *(spec for one in stack.pipelines.values() for spec in one.steps)]
    asked = {name for spec in steps for name in spec.notes}
    extras = {"expires_on", "zapmail_sender_id", "dns_records", "dns_read_at"}  # noted when the platform says it
    assert noted - asked - extras == set()
    assert asked - noted == set()


# ---- the kill switch -------------------------------------------------------------------------------------------------


def test_the_kill_switch_stops_before_the_next_spending_call_and_its_release_resumes() -> None:
    world = new_world()
    run = paid(new_order())

    actions.pause_purchases(paused=True, actor=BY["actor"], reason="prices look wrong")
    world.run_until(waits_for_operator(run))

    assert writes(world) == Counter({("zapmail", "create_workspace"): 1})
    assert OperatorItem.objects.filter(kind="purchases_paused", resolved_at=None).count() == 1

    actions.pause_purchases(paused=False, actor=BY["actor"], reason="prices are right")
    assert world.run_once(), "released runs go on at once"
    world.run_until(ended(run))
    assert fresh(run).provision.state == "active"
    assert not OperatorItem.objects.filter(resolved_at=None).exists()


def test_purchases_of_one_platform_are_paused_alone() -> None:
    world = new_world()
    run = paid(new_order())
    actions.pause_purchases(paused=True, platform="heyreach", **BY)

    world.run_until(ended(run))

    assert fresh(run).provision.state == "active"


def test_the_kill_switch_pressed_twice_says_so() -> None:
    actions.pause_purchases(paused=True, **BY)
    with pytest.raises(Refused, match="paused already"):
        actions.pause_purchases(paused=True, **BY)
    actions.pause_purchases(paused=False, **BY)
    with pytest.raises(Refused, match="not paused"):
        actions.pause_purchases(paused=False, **BY)
    assert Flag.objects.get(key="purchases").stopped_reason == ""


# ---- circuits --------------------------------------------------------------------------------------------------------


def test_closing_a_circuit_lets_its_runs_go_on_at_once() -> None:
    world = new_world()
    revoked = world.sandbox.faults.add("key_revoked", platform="zapmail")
    run = paid(new_order())
    world.run_until(lambda: Circuit.objects.filter(is_open=True).exists())
    world.run_until(waits_for_operator(run))
    world.sandbox.faults.remove(revoked.id)

    actions.close_circuit(platform="zapmail", **BY)

    assert world.run_once()
    assert run.steps.get(key="workspace").state == "completed"
    with pytest.raises(Refused, match="not stopped"):
        actions.close_circuit(platform="zapmail", **BY)


# ---- cancel ----------------------------------------------------------------------------------------------------------


def test_a_cancelled_order_spends_nothing_more_and_keeps_what_was_bought() -> None:
    world = new_world()
    run = paid(new_order())
    world.run_until(lambda: run.steps.filter(key="buy_domains", state="completed").count() == 3)
    before = len(world.sandbox.log)

    actions.cancel(provision=run.provision, **BY)
    world.advance(86400)
    assert not world.run_once()

    assert len(world.sandbox.log) == before
    provision = fresh(run).provision
    assert (provision.state, fresh(run).state) == ("cancelled", "cancelled")
    assert provision.domains.filter(bought_at__isnull=False).count() == 3
    assert set(provision.domains.filter(bought_at=None).values_list("state", flat=True)) == {"released"}
    with pytest.raises(Refused, match="cancelled already"):
        actions.cancel(provision=run.provision, **BY)


def test_cancelling_fences_off_the_worker_in_the_middle_of_a_purchase() -> None:
    """The student cancels while the purchase is on its way: the answer is kept, nothing follows."""
    world = new_world()
    run = paid(new_order())
    transport = CancelsDuring(world.workshop.transport, "buy_domains", run.provision)
    world.workshop = Workshop(transport, world.workshop.clients, world.workshop.options)

    world.run_until(lambda: fresh(run).state == "cancelled")

    assert writes(world)["zapmail", "buy_domains"] == 1
    bought = OperationItem.objects.filter(verb="buy_domains")
    assert set(bought.values_list("state", flat=True)) == {"intended"}
    assert Operation.objects.get(verb="buy_domains").captures.count() == 1
    item = OperatorItem.objects.get(kind="cancelled_unresolved")
    assert "getacme.com" in item.sentence
    names = run.provision.domains.filter(name__in=[row.natural_key for row in bought])
    assert "released" not in set(names.values_list("state", flat=True)), "they may be ours: nobody else may order them"


class CancelsDuring:
    """A transport during whose call of one verb an operator cancels the order."""

    def __init__(self, inner: Transport, verb: str, provision: Provision) -> None:
        self.inner, self.verb, self.provision = inner, verb, provision

    def send(self, call: Call[Any], *, send_before: float | None = None) -> Raw:
        if call.verb == self.verb:
            actions.cancel(provision=self.provision, **BY)
        return self.inner.send(call, send_before=send_before)


def test_a_draft_is_cancelled_too() -> None:
    provision = new_order()
    actions.cancel(provision=provision, **BY)
    provision.refresh_from_db()
    assert provision.state == "cancelled"


# ---- items for a human -----------------------------------------------------------------------------------------------


def test_an_operator_item_is_resolved_once() -> None:
    OperatorItem.open("wallet_short", key="x", sentence="The wallet is short.", provision=new_order())
    item = OperatorItem.objects.get()

    actions.resolve_operator_item(item=item, **BY)

    item.refresh_from_db()
    assert item.resolved_at
    assert BY["actor"] in item.resolution
    assert Event.objects.get(kind="item_resolved").reason == BY["reason"]
    with pytest.raises(Refused, match="resolved already"):
        actions.resolve_operator_item(item=item, **BY)


# ---- the student's choice --------------------------------------------------------------------------------------------


def test_a_name_of_the_same_order_is_no_replacement() -> None:
    world = new_world()
    provision = new_order(spares=0)
    world.sandbox.faults.add("domain_taken", items=("getacme.com",))
    run = paid(provision)
    world.run_until(lambda: run.steps.filter(state="waiting", waits_on="student").exists())
    lost = provision.domains.get(name="getacme.com")

    with pytest.raises(Refused, match="part of your order already"):
        actions.choose_replacement(provision=provision, domain=lost, name="tryacme.com", actor="ada@students.example")


# ---- what the races found --------------------------------------------------------------------------------------------


def test_a_later_step_done_by_hand_first_keeps_the_domain_where_it_brought_it() -> None:
    world = new_world()
    run = paid(new_order())
    step = run.steps.get(key="dmarc", domain__name="getacme.com")

    actions.mark_done_by_hand(run=run, step=step, facts={"dmarc_report_email": "dmarc@ops.example"}, **BY)
    world.run_until(ended(run))

    assert fresh(run).provision.state == "active"
    assert run.provision.domains.get(name="getacme.com").state == "active"


def test_a_cancelled_order_is_not_started_again() -> None:
    new_world()
    run = paid(new_order())
    actions.cancel(provision=run.provision, **BY)

    with pytest.raises(Refused, match="cancelled or suspended"):
        actions.start_run(provision=run.provision, actor="webhook")


def test_a_name_that_was_lost_stays_lost_when_the_order_is_cancelled() -> None:
    new_world()
    run = paid(new_order())
    run.provision.domains.filter(name="getacme.com").update(state="lost")
    actions.cancel(provision=run.provision, **BY)

    states = dict(run.provision.domains.values_list("name", "state"))
    assert (states["getacme.com"], states["tryacme.com"]) == ("lost", "released")
