"""Who may write: the lease, the fence, and workers that wake too late."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from infra import clock
from integrations.http.call import Call, Raw
from integrations.http.transport import Transport
from provisioning.engine import claims
from provisioning.engine.claims import Claim, LostClaim
from provisioning.engine.fenced import Fenced
from provisioning.engine.runner import Workshop, wake
from provisioning.models import Capture, Operation, Run

from .kit import LONGEST_LEASE, Story, begin, claim, make_world, story, wake_once

pytestmark = pytest.mark.django_db


class Sleeper:
    """A transport whose worker falls asleep after the answer to one verb has arrived, and wakes when `meanwhile` is over."""

    def __init__(self, inner: Transport, verb: str, meanwhile: Any) -> None:
        self.inner, self.verb, self.meanwhile = inner, verb, meanwhile
        self.slept = False

    def send(self, call: Call[Any], *, send_before: float | None = None) -> Raw:
        raw = self.inner.send(call, send_before=send_before)
        if call.verb == self.verb and not self.slept:
            self.slept = True
            self.meanwhile()
        return raw


def with_a_sleeper(made: Story, verb: str, meanwhile: Any) -> Workshop:
    shop = made.world.workshop
    return Workshop(Sleeper(shop.transport, verb, meanwhile), shop.clients, shop.options)


def renew(claim: Claim) -> None:
    Fenced(claim).execute()


def up_to(made: Story, verb: str) -> None:
    """Play until the call before `verb` has been made; the next wake-up may make it."""
    made.play(lambda: made.calls()[f"plusvibe.{verb}"] == 0 and made.rows("sender_workspace").exists(), hours=0.1)


def test_a_claimed_run_cannot_be_claimed_again() -> None:
    made = story()
    first = claim(made.run)
    assert claims.take_next() is None
    renew(first)
    made.advance(LONGEST_LEASE)
    second = claim(made.run)
    with pytest.raises(LostClaim):
        renew(first)
    renew(second)


def test_a_lease_that_ran_out_is_lost_even_if_nobody_took_it() -> None:
    made = story()
    first = claim(made.run)
    made.advance(LONGEST_LEASE)
    with pytest.raises(LostClaim):
        renew(first)


def sleeps_through(made: Story, verb: str) -> list[Capture]:
    """Let a worker sleep after its answer for longer than its lease, while another one works; return its captures."""
    kept: list[Capture] = []

    def meanwhile() -> None:
        made.advance(LONGEST_LEASE)
        wake(claim(made.run), made.world.workshop)

    plain = made.world.workshop
    made.world.workshop = with_a_sleeper(made, verb, meanwhile)
    try:
        made.play(lambda: made.world.workshop.transport.slept)  # type: ignore[attr-defined]
    finally:
        made.world.workshop = plain
    kept += Capture.objects.filter(operation__verb=verb)
    return kept


@pytest.mark.parametrize("verb", ["create_workspace", "buy_domains", "create_mailboxes", "create_list"])
def test_a_worker_that_wakes_too_late_writes_nothing_but_its_capture(verb: str) -> None:
    made = story()
    captures = sleeps_through(made, verb)
    assert len(captures) == 1
    late = captures[0].operation
    assert late.token < Run.objects.get(pk=made.run.pk).token
    assert late.status is None or late.state == "done"
    made.play()
    made.check()
    assert Operation.objects.filter(platform=late.platform, verb=verb).count() == 1


def test_a_password_that_a_late_worker_captured_is_used() -> None:
    made = story(faults=({"kind": "list_lag", "verb": "list_clients", "seconds": 100.0},))
    assert len(sleeps_through(made, "create_client")) == 1
    made.play()
    made.check()
    assert made.calls()["plusvibe.create_client"] == 1
    assert made.calls()["plusvibe.delete_client"] == 0


def test_control_without_the_fence_a_late_worker_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claims, "HELD", "id = %(run)s")
    made = story()
    captures = sleeps_through(made, "create_workspace")
    assert captures[0].operation.token < Run.objects.get(pk=made.run.pk).token
    assert captures[0].operation.status == 200  # it judged although somebody else had the run


def test_two_workers_ring_and_exactly_one_works() -> None:
    made = story()
    first = claim(made.run)
    assert claims.take_next(made.run.pk) is None
    wake(first, made.world.workshop)
    assert Run.objects.get(pk=made.run.pk).wakeups == 1
    with pytest.raises(LostClaim):
        renew(first)  # it was given back


def test_a_run_that_cannot_be_worked_on_does_not_stop_the_others() -> None:
    made = story()
    Run.objects.filter(pk=made.run.pk).update(stack_version=99)
    for _ in range(6):
        wake_once(made)
        made.refresh()
        assert made.run.next_attempt_at is not None
        made.advance(3700)
    assert made.run.crashes == 6
    Run.objects.filter(pk=made.run.pk).update(stack_version=1)
    made.play()
    made.check()


def test_who_paid_first_is_served_first() -> None:
    world = make_world()
    runs = [begin(world, name).run for name in ("acme", "zenith", "orbit")]
    for run, minutes in zip(runs, (2, 3, 1), strict=True):
        Run.objects.filter(pk=run.pk).update(paid_at=clock.machine_now() - timedelta(minutes=minutes))
    served = [taken.run_id for _ in runs if (taken := claims.take_next()) is not None]
    assert served == [runs[1].pk, runs[0].pk, runs[2].pk]


def test_leases_of_a_group_that_was_killed_end_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GTM_WORKER_GROUP", "host:1")
    made = story()
    claim(made.run)
    assert claims.expire_leases_of("host:2") == 0
    assert claims.expire_leases_of("host:1") == 1
    assert claims.take_next() is not None
