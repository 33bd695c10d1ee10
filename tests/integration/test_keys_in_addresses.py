"""A platform that takes its key in the address: the key stands in no row, and two keys see two accounts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from config.bench import noop
from infra.models import RunState
from integrations.http.errors import Rejected
from integrations.http.redact import Hidden
from integrations.logins import Login
from integrations.sandbox import mailhost
from integrations.sandbox.smartlead_world import API_KEY, OTHER_KEY
from integrations.smartlead import SMTP, AppPassword, NewAccount, SmartleadClient
from provisioning import stacks
from provisioning.engine.context import Context
from provisioning.engine.outcomes import Done, Failed, Outcomes
from provisioning.models import Capture, Operation, Run, Step

from .invariants import no_password_is_readable
from .world import World, new_world

ADDRESS, PASSWORD = "sample@getexamplebrand.com", "Word-4-Smartlead"


@pytest.fixture
def world(db: None) -> World:
    world = new_world()
    mailhost.set_password(world.sandbox.world, ADDRESS, PASSWORD, world.sandbox.clock.now())
    return world


def build(world: World, step: Callable[[Context], Outcomes], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Build an order whose last step is `step`; return its run."""
    *others, last = noop.NOOP.steps
    stack = replace(noop.NOOP, steps=(*others, replace(last, function=step)))
    monkeypatch.setitem(stacks.VERSIONS, (stack.key, stack.version), stack)
    noop.make_runs(1)
    while world.run_once():
        pass
    return Run.objects.get()


def account(password: str = PASSWORD) -> NewAccount:
    door = Login("mx1.example", 465, ADDRESS, Hidden(password))
    return NewAccount(ADDRESS, "Sample Sender", AppPassword(door, door), SMTP)


def test_what_is_written_down_of_a_call_holds_neither_key_nor_password(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def step(context: Context) -> Outcomes:
        client = context.clients.smartlead
        made = context.ledger.apply(client.save_account(account()))
        context.reader.read(client.get_account(made.id))
        return Done({"account": made.id})

    assert build(world, step, monkeypatch).state == RunState.DONE

    assert Operation.objects.filter(platform="smartlead", verb="save_account").count() == 1
    assert Capture.objects.count() == 1
    no_password_is_readable([API_KEY, PASSWORD])


def test_a_refusal_that_quotes_the_address_is_written_down_without_the_key(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.sandbox.faults.add("quotes_address", platform="smartlead", verb="save_account")

    def step(context: Context) -> Outcomes:
        try:
            context.ledger.apply(context.clients.smartlead.save_account(account()))
        except Rejected as refused:
            return Failed(refused.code, str(refused))
        return Done()

    assert build(world, step, monkeypatch).state == RunState.FAILED

    assert Step.objects.filter(failure_sentence__contains="email-accounts/save?api_key=[hidden]").exists()
    no_password_is_readable([API_KEY, PASSWORD])


def test_the_same_read_by_another_key_is_another_read(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []

    def step(context: Context) -> Outcomes:
        operators = context.clients.smartlead
        students = SmartleadClient(replace(operators.settings, api_key=Hidden(OTHER_KEY)))
        context.ledger.apply(operators.save_account(account()))
        seen.extend(len(context.reader.read(one.list_accounts()).accounts) for one in (operators, students, operators))
        return Done()

    assert build(world, step, monkeypatch).state == RunState.DONE

    assert seen == [1, 0, 1]
    assert len(world.sandbox.log.of("smartlead", "list_accounts")) == 2
