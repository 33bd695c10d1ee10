"""A permit is spent when it is taken, comes back after its window and a little more, and does not keep in the hand."""

from __future__ import annotations

from typing import Any

import pytest

from infra import clock
from integrations.http.call import Call
from integrations.registry import Clients
from integrations.zapmail import GENERAL
from provisioning.engine import budget

from .world import new_sandbox, new_workshop

pytestmark = pytest.mark.django_db

MINUTE = 60.0


@pytest.fixture
def clients() -> Clients:
    """Clients of a platform that allows one call a minute."""
    return new_workshop(new_sandbox(), {"ZAPMAIL_GENERAL_LIMIT": 1, "ZAPMAIL_GENERAL_RESERVED_PAID": 0}).clients


def take(call: Call[Any]) -> budget.Pass:
    held = budget.acquire(call)
    budget.release(held, answered=True)
    return held


def test_a_permit_is_spent_and_comes_back_a_little_after_its_window(clients: Clients) -> None:
    call = clients.zapmail.list_workspaces()
    take(call)
    with pytest.raises(budget.NoPermit):
        take(call)
    clock.advance_vendor(MINUTE + 1.0)  # over as we count it; perhaps not as the platform does
    with pytest.raises(budget.NoPermit):
        take(call)
    clock.advance_vendor(1.5)
    take(call)


def test_who_comes_after_others_is_told_a_later_time() -> None:
    workshop = new_workshop(new_sandbox(), {"ZAPMAIL_GENERAL_LIMIT": 2, "ZAPMAIL_GENERAL_RESERVED_PAID": 0})
    call = workshop.clients.zapmail.list_workspaces()
    take(call)
    clock.advance_vendor(10.0)
    take(call)
    times = [budget.next_free_in(GENERAL, before=before) for before in range(4)]
    assert [round(times[n] - times[0], -1) for n in range(4)] == [0, 10, MINUTE, MINUTE + 10]


def test_a_permit_that_was_held_for_long_is_thrown_away(clients: Clients, monkeypatch: pytest.MonkeyPatch) -> None:
    held = take(clients.zapmail.list_workspaces())
    assert not held.is_stale()
    monkeypatch.setattr(clock, "monotonic", lambda: held.taken_at + 1.5)
    assert held.is_stale()
