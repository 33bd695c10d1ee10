"""What is made of Warmforge's and Salesforge's answers for the dashboard, and with how few calls."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any, TypeVar

import pytest

from integrations.http.call import Call
from integrations.http.gate import judge
from integrations.registry import build_clients
from integrations.sandbox import mailhost, salesforge, warmforge
from integrations.warmforge import Placement, WarmupDay
from provisioning.engine.measuring import Look, Measured
from provisioning.steps.forge.figures import SUPPLIED, figures, summed_up
from tests.unit.sandbox.kit import DAY, HOUR, Box

T = TypeVar("T")

CLIENTS = build_clients(
    {
        "WARMFORGE_API_URL": "http://sandbox.test/warmforge/public/v1",
        "WARMFORGE_API_KEY": "sandbox-warmforge-key",
        "SALESFORGE_API_URL": "http://sandbox.test/salesforge/public/v2",
        "SALESFORGE_API_KEY": "sandbox-salesforge-key",
    }
)
NAME = "Sample Student GTM-7K3F9Q"
ADDRESSES = tuple(f"{name}@getexamplebrand.com" for name in ("kim", "lee", "sam"))
KIM, LEE, SAM = ADDRESSES
TODAY = date(2026, 11, 28)


class NoMore(Exception):
    """No permit is left."""


@dataclass
class Student:
    """Three mailboxes at both platforms, and the looks at them."""

    box: Box = field(default_factory=Box)
    facts: dict[str, Any] = field(default_factory=dict)
    permits: int = 1000
    calls: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        world, now = self.box.sandbox.world, self.box.clock.now()
        self.facts["warmforge_workspace_id"] = self.do(CLIENTS.warmforge.create_workspace(NAME)).id
        self.facts["salesforge_workspace_id"] = self.do(CLIENTS.salesforge.create_workspace(NAME)).id
        for address in ADDRESSES:
            mailhost.set_password(world, address, "a password of theirs", now)
            names = {"address": address, "first_name": "Sample", "last_name": "Sender"}
            at = {name: str(self.facts[f"{name}_workspace_id"]) for name in ("warmforge", "salesforge")}
            warmforge.arrive(world, now, workspace_id=at["warmforge"], warmup_on=address != KIM, **names)
            salesforge.arrive(world, now, workspace_id=at["salesforge"], **names)
        self.calls.clear()

    def do(self, call: Call[T]) -> T:
        if not self.permits:
            raise NoMore
        self.permits -= 1
        self.calls[f"{call.platform}.{call.verb}"] += 1
        return judge(call, self.box.sandbox.transport().send(call))

    def look(self, notes: dict[str, Any] | None = None) -> dict[str, Measured]:
        now = datetime.fromtimestamp(self.box.clock.now(), UTC)
        return figures(Look(CLIENTS, self.do, self.facts, now=now, notes={} if notes is None else notes))


@pytest.fixture
def student() -> Student:
    return Student()


def test_a_look_costs_one_call_at_each_platform_and_one_for_each_mailbox_that_warms(student: Student) -> None:
    student.box.sandbox.advance(10 * DAY)
    found = student.look()
    assert set(found) == set(ADDRESSES)
    assert student.calls == {
        "warmforge.list_mailboxes": 1, "salesforge.list_mailboxes": 1, "warmforge.warmup_stats": 2,
    }  # fmt: skip


def test_what_warms_has_figures_and_what_never_did_has_none(student: Student) -> None:
    student.box.sandbox.advance(10 * DAY + HOUR)
    found = student.look()
    assert found[KIM] == Measured(is_connected=True, is_warming=False)
    seen = found[SAM]
    assert (seen.is_connected, seen.is_warming) == (True, True)
    assert {name for name in SUPPLIED if getattr(seen, name) is None} == {"health_other"}  # no third provider
    assert all(90 <= figure <= 100 for figure in (seen.health, seen.health_google, seen.health_microsoft) if figure)
    assert (seen.bounce_rate, seen.campaign_sent) == (None, None)


def test_on_the_first_day_there_is_no_figure_and_no_zero(student: Student) -> None:
    assert student.look()[SAM] == Measured(is_connected=False, is_warming=True)


def test_spam_at_microsoft_is_told_from_the_others(student: Student) -> None:
    warmforge.set_scenario(student.box.sandbox.world, SAM, "spam_at_microsoft")
    student.box.sandbox.advance(12 * DAY)
    seen = student.look()[SAM]
    assert seen.health_microsoft is not None
    assert seen.health_google is not None
    assert seen.health_microsoft < 65 < 90 < seen.health_google


def test_who_lost_access_at_either_platform_is_not_connected(student: Student) -> None:
    student.box.sandbox.advance(DAY)
    for platform, address in (("salesforge", LEE), ("warmforge", SAM)):
        student.box.sandbox.faults.add("account_disconnected", platform=platform, items=(address,))
    assert {address: seen.is_connected for address, seen in student.look().items()} == {
        KIM: True,
        LEE: False,
        SAM: False,
    }


def test_without_salesforge_warmforge_alone_is_asked(student: Student) -> None:
    student.box.sandbox.advance(DAY)
    del student.facts["salesforge_workspace_id"]
    assert all(seen.is_connected for seen in student.look().values())
    assert "salesforge.list_mailboxes" not in student.calls


def test_a_look_that_runs_out_of_permits_asks_nothing_twice(student: Student) -> None:
    student.box.sandbox.advance(10 * DAY)
    whole, notes = student.look(), dict[str, Any]()
    student.calls.clear()
    for _ in range(3):
        student.permits = 1
        with pytest.raises(NoMore):
            student.look(notes)
    student.permits = 1
    assert student.look(notes) == whole
    assert student.calls == {
        "warmforge.list_mailboxes": 1, "salesforge.list_mailboxes": 1, "warmforge.warmup_stats": 2,
    }  # fmt: skip
    assert json.loads(json.dumps(notes)) == notes


def test_what_was_noted_before_midnight_is_not_told_as_todays(student: Student) -> None:
    student.box.sandbox.advance(10 * DAY)
    notes: dict[str, Any] = {}
    before = student.look(notes)[SAM]
    student.box.sandbox.advance(DAY)
    assert student.look(notes)[SAM] == student.look()[SAM] != before


def test_a_mailbox_removed_during_the_look_spoils_nothing(student: Student) -> None:
    student.box.sandbox.advance(10 * DAY)
    student.box.sandbox.faults.add("status", platform="warmforge", verb="warmup_stats", items=(LEE,), status=404)
    found = student.look()
    assert (found[LEE].health, found[SAM].health is None) == (None, False)


@pytest.mark.parametrize("answers", ["full", "sparse"])
def test_figures_are_read_from_sparse_answers_too(answers: str) -> None:
    student = Student(Box(warmforge_answers=answers, warmforge_dates_as="moment"))
    student.box.sandbox.advance(10 * DAY + HOUR)
    seen = student.look()[SAM]
    assert seen.health is not None
    assert (seen.warmup_sent is None, seen.health_other is None) == (False, answers == "full")


def test_shares_are_those_of_all_the_days_mails() -> None:
    days = [
        WarmupDay(TODAY - timedelta(1), 10, 4, 5, {"gmail": Placement(5, 5), "zoho": Placement(0, 0)}),
        WarmupDay(TODAY, 30, 6, 5, {"gmail": Placement(10, 0), "outlook": Placement(15, 5)}),
    ]
    assert summed_up(days, TODAY) == {
        "health": 75.0, "health_google": 75.0, "health_microsoft": 75.0, "health_other": None, "reply_rate": 25.0,
        "warmup_sent": 30,
    }  # fmt: skip
    assert set(summed_up([], TODAY).values()) == {None}
    assert set(summed_up([], TODAY)) == SUPPLIED
