"""The end of an order at the platforms: mailboxes marked, renewal off and seen to be off, at any moment and repeated."""

from __future__ import annotations

from typing import Any

import pytest

from infra.models import DomainState, Mail, OperatorItem, ProvisionState, RunKind, RunState, StepState
from infra.models.domain import GONE
from integrations.sandbox.zapmail_world import set_auto_renew
from provisioning import actions, life
from provisioning.models import ACTIVE_RUN, Run, Step

from .kit import Crash, Story, begin, crash, dying, make_world, story
from .test_life import accounts, play_all, wake_up

pytestmark = pytest.mark.django_db

ANN = {"actor": "ann@ops.example", "reason": "asked for"}
OFF = {"zapmail_auto_renew": "off"}


def teardown_of(made: Story) -> Run:
    return Run.objects.get(provision=made.provision, kind=RunKind.TEARDOWN)


def tear_down(made: Story) -> Run:
    made.refresh()
    assert life.tear_down(provision=made.provision, **ANN)
    return teardown_of(made)


def is_asked(made: Story) -> bool:
    return OperatorItem.objects.filter(provision=made.provision, kind="step", resolved_at__isnull=True).exists()


def zapmail_of(made: Story) -> tuple[list[Any], list[Any]]:
    """Return the domains and the mailboxes of an order as the platform holds them."""
    world, workspace = made.sandbox.world.zapmail, made.provision.facts.get("zapmail_workspace_id")
    return (
        [domain for domain in world.domains.values() if domain.workspace_id == workspace],
        [box for box in world.mailboxes.values() if box.workspace_id == workspace],
    )


def switch_all_off(made: Story) -> None:
    """The operator does what was asked for, in the platform's dashboard."""
    for domain in zapmail_of(made)[0]:
        set_auto_renew(made.sandbox.world, domain.name, on=False)


def test_a_domain_that_renews_itself_is_one_task_which_closes_when_the_list_shows_it_off() -> None:
    made = story()
    made.play()
    tear_down(made)
    made.play(lambda: is_asked(made))
    made.advance(7 * 3600.0)
    made.play(lambda: Run.objects.filter(pk=teardown_of(made).pk, state=RunState.PARKED).exists())

    (item,) = OperatorItem.objects.filter(provision=made.provision, resolved_at__isnull=True)
    assert all(domain.name in item.sentence for domain in zapmail_of(made)[0])
    assert made.provision.state == ProvisionState.CANCELLING
    assert Mail.objects.filter(provision=made.provision, kind="operator_step").count() == 1

    switch_all_off(made)
    play_all(made)
    assert made.provision.state == ProvisionState.CANCELLED
    item.refresh_from_db()
    assert item.resolution == "The step went on by itself."
    assert {domain.facts["renewal"] for domain in made.provision.domains.filter(bought_at__isnull=False)} == {"off"}


def test_what_the_list_does_not_say_is_asked_for_and_a_person_may_answer() -> None:
    made = story(switches={"zapmail_auto_renew": "unsaid"})
    made.play()
    run = tear_down(made)
    made.play(lambda: is_asked(made))
    for row in Step.objects.filter(run=run, key="renewal_off"):
        actions.mark_done_by_hand(
            run=run, step=row, facts={"renewal": "off"}, actor="ann", reason="seen in its dashboard"
        )
    play_all(made)
    assert made.provision.state == ProvisionState.CANCELLED
    assert not is_asked(made)


def test_nothing_is_deleted_before_its_paid_time_ends_and_mailboxes_go_at_their_renewal() -> None:
    made = story(switches=OFF)
    made.play()
    tear_down(made)
    play_all(made)
    domains, boxes = zapmail_of(made)
    assert made.provision.state == ProvisionState.CANCELLED
    assert {domain.status for domain in domains} == {"ACTIVE"}
    assert len(boxes) == 6
    assert all(box.scheduled_for_removal for box in boxes)
    assert made.mails()["cancelled"] == 1

    made.advance(31 * 86_400.0)
    made.sandbox.state()
    domains, boxes = zapmail_of(made)
    assert boxes == []
    assert {domain.status for domain in domains} == {"ACTIVE"}
    made.advance(340 * 86_400.0)
    made.sandbox.state()
    assert {domain.status for domain in zapmail_of(made)[0]} == {"EXPIRED"}


def test_the_records_are_kept_for_whoever_takes_a_domain_along() -> None:
    made = story(switches=OFF)
    made.play()
    tear_down(made)
    play_all(made)
    domain = made.provision.domains.get(name=made.names()[0]) if made.names() else made.provision.domains.first()
    assert domain is not None
    assert {row[0] for row in domain.facts["dns_records"]} == {"MX", "TXT"}


def test_one_refused_domain_is_asked_about_and_does_not_hold_up_the_others() -> None:
    made = story(switches=OFF)
    made.play()
    first = zapmail_of(made)[0][0]
    made.sandbox.faults.add("status", verb="schedule_removal", items=(first.id,), status=400)
    run = tear_down(made)
    made.play(lambda: is_asked(made))

    boxes = zapmail_of(made)[1]
    assert {box.scheduled_for_removal for box in boxes if box.domain != first.name} == {True}
    assert {box.scheduled_for_removal for box in boxes if box.domain == first.name} == {False}
    done = Step.objects.filter(run=run, key="renewal_off", state=StepState.COMPLETED)
    assert done.count() == len(zapmail_of(made)[0]) - 1
    assert made.provision.state == ProvisionState.CANCELLING

    made.sandbox.faults.clear()
    play_all(made)
    assert made.provision.state == ProvisionState.CANCELLED
    assert all(box.scheduled_for_removal for box in zapmail_of(made)[1])


def test_an_order_whose_every_domain_a_person_takes_over_ends_all_the_same() -> None:
    made = story()
    made.play()
    run = tear_down(made)
    made.play(lambda: is_asked(made))
    for row in Step.objects.filter(run=run, key="renewal_off", state=StepState.WAITING):
        actions.skip_item(run=run, step=row, actor="ann", reason="it is done in the browser")
    play_all(made)
    run.refresh_from_db()
    assert (run.state, made.provision.state) == (RunState.DONE, ProvisionState.CANCELLED)
    assert run.steps.get(key="remove_login").state == StepState.COMPLETED
    assert not OperatorItem.objects.filter(kind="run_failed", resolved_at=None).exists()


def test_what_was_never_built_is_cancelled_at_once() -> None:
    made = story()
    made.refresh()
    assert life.tear_down(provision=made.provision, **ANN)
    made.refresh()
    assert made.provision.state == ProvisionState.CANCELLED
    assert not Run.objects.filter(provision=made.provision, state__in=ACTIVE_RUN).exists()
    assert set(made.provision.domains.values_list("state", flat=True)) == {DomainState.RELEASED}
    assert not life.tear_down(provision=made.provision, **ANN)
    assert made.mails()["cancelled"] == 1


@pytest.mark.parametrize("turns", [1, 5, 12, 18])
def test_taken_down_in_the_middle_by_workers_that_die_at_every_place_nothing_of_another_is_touched(turns: int) -> None:
    world = make_world(switches=OFF)
    other = begin(world, "bolt")
    other.play()
    before = [repr(thing) for part in zapmail_of(other) for thing in part], [repr(one) for one in accounts(other)]
    made = begin(world, "acme")
    wake_up(made, turns)
    made.refresh()
    assert life.tear_down(provision=made.provision, **ANN)
    passed: set[str] = set()

    def first_time(name: str, subject: Any) -> bool:
        place = f"{name} {getattr(subject, 'verb', '') or getattr(subject, 'key', '')}"
        is_new = place not in passed
        passed.add(place)
        return is_new

    deaths = 0
    with dying(first_time, die=crash):
        while made.provision.state != ProvisionState.CANCELLED:
            try:
                play_all(made)
            except Crash:
                deaths += 1
                world.bury()
            made.refresh()
    assert deaths > 0
    assert not life.tear_down(provision=made.provision, **ANN)

    assert all(box.scheduled_for_removal for box in zapmail_of(made)[1])
    assert all(one.warmup_status == "INACTIVE" for one in accounts(made))
    bought = set(made.provision.domains.exclude(state__in=GONE).values_list("name", flat=True))
    assert {domain.name for domain in zapmail_of(made)[0]} == bought
    assert (
        [repr(thing) for part in zapmail_of(other) for thing in part],
        [repr(one) for one in accounts(other)],
    ) == before
    other.check()
