"""An order after its set-up, and in the middle of it: at rest, up again, taken down, each at any moment."""

from __future__ import annotations

from typing import Any

import pytest

from infra.models import MailboxState, ProvisionState, RunKind, RunState
from provisioning import life
from provisioning.engine.runner import wake
from provisioning.models import ACTIVE_RUN, Run
from tests.chaos import whole

from .kit import Story, begin, claim, make_world, story

pytestmark = pytest.mark.django_db

RENEWAL_OFF = {"zapmail_auto_renew": "off"}
ANN = {"actor": "billing", "reason": "a payment is overdue"}


def accounts(made: Story) -> list[Any]:
    workspace = made.provision.facts.get("plusvibe_workspace_id")
    return [a for a in made.sandbox.world.plusvibe.accounts.values() if a.workspace_id == workspace]


def sending(made: Story) -> set[tuple[str, int]]:
    return {(account.warmup_status, account.settings["daily_limit"]) for account in accounts(made)}


def play_all(made: Story) -> None:
    """Let time pass until nothing of this order is under way."""
    active = Run.objects.filter(provision=made.provision, state__in=ACTIVE_RUN, held_since__isnull=True)
    made.play(lambda: not active.exists())


def wake_up(made: Story, times: int) -> None:
    """Let a run be worked on so many times, or until it has ended."""
    for _ in range(times):
        if not made.has_ended():
            made.world.run_until(lambda: made.world.run_once() or made.has_ended())


def suspend(made: Story) -> bool:
    return life.suspend(provision=made.provision, **ANN)


def resume(made: Story) -> bool:
    return life.resume(provision=made.provision, **ANN)


def test_at_rest_nothing_is_sent_and_nothing_is_deleted() -> None:
    made = story()
    made.play()
    assert sending(made) == {("ACTIVE", 30)}

    assert suspend(made)
    assert not suspend(made)
    play_all(made)

    assert made.provision.state == ProvisionState.SUSPENDED
    assert sending(made) == {("INACTIVE", 0)}
    assert len(accounts(made)) == 6
    assert set(made.provision.mailboxes.values_list("state", flat=True)) == {MailboxState.SUSPENDED}


def test_up_again_everything_is_as_it_was() -> None:
    made = story()
    made.play()
    suspend(made)
    play_all(made)

    assert resume(made)
    assert not resume(made)
    play_all(made)

    made.check()
    assert sending(made) == {("ACTIVE", 30)}
    assert made.mails()["ready"] == 1


def test_a_set_up_is_held_at_any_moment_and_goes_on_where_it_was() -> None:
    undisturbed = story()
    undisturbed.play()
    steps, apart = 0, 1 if whole.IS_WHOLE else 3
    for moment in range(0, 40, apart):
        made = begin(make_world(), f"acme{moment}")
        wake_up(made, moment)
        if made.has_ended():
            break
        steps += 1
        suspend(made)
        spent = made.calls()
        play_all(made)
        made.advance(3600.0)
        assert made.world.run_once() is False
        purchases = {verb: n for verb, n in (made.calls() - spent).items() if "buy" in verb or "create" in verb}
        assert purchases == {}
        resume(made)
        made.play()
        play_all(made)
        made.check()
    assert steps > (undisturbed.run.wakeups - 4) // apart  # names, and with them the platforms' times, differ


def test_a_worker_that_was_at_it_writes_nothing_more_and_nothing_is_bought_twice() -> None:
    made = story()
    made.play(lambda: made.done("zapmail.buy_domains") > 0)
    made.advance(3600.0)
    late = claim(made.run)
    suspend(made)
    resume(made)
    wake(late, made.world.workshop)
    made.play()
    made.check()
    assert made.done("zapmail.buy_domains") == 1


def test_what_is_suspended_in_the_middle_of_its_return_rests_again() -> None:
    made = story()
    made.play()
    suspend(made)
    play_all(made)
    resume(made)
    suspend(made)
    play_all(made)
    assert sending(made) == {("INACTIVE", 0)}
    resume(made)
    play_all(made)
    made.check()


def test_taking_an_order_down_quiets_it_and_removes_its_login_and_may_be_repeated() -> None:
    world = make_world(switches=RENEWAL_OFF)
    made, other = begin(world, "acme"), begin(world, "bolt")
    made.play()
    other.play()

    assert life.tear_down(provision=made.provision, **ANN)
    assert not life.tear_down(provision=made.provision, **ANN)
    play_all(made)

    assert made.provision.state == ProvisionState.CANCELLED
    assert made.mails()["cancelled"] == 1
    assert sending(made) == {("INACTIVE", 0)}
    other.check()
    assert sending(other) == {("ACTIVE", 30)}
    clients = {one.email for one in made.sandbox.world.plusvibe.clients.values()}
    assert other.provision.student.email in clients
    assert made.provision.student.email not in clients


@pytest.mark.parametrize("turns", range(4, 24, 4))
def test_an_order_is_taken_down_at_any_moment_of_its_set_up(turns: int) -> None:
    made = story(switches=RENEWAL_OFF)
    wake_up(made, turns)
    life.tear_down(provision=made.provision, **ANN)
    play_all(made)
    assert made.provision.state == ProvisionState.CANCELLED
    assert all(status == "INACTIVE" for status, _limit in sending(made))
    assert Run.objects.get(provision=made.provision, kind=RunKind.TEARDOWN).state == RunState.DONE
