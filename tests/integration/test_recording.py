"""What a step leaves behind, and how few statements it takes, on a stack of steps that do nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from django.db import connection

from config.bench import noop
from infra.models import ProvisionState, RunState, StepState
from provisioning import stacks
from provisioning.engine import claims, runner
from provisioning.engine.context import Context
from provisioning.engine.outcomes import Done, Failed, Outcomes
from provisioning.engine.specs import StackSpec
from provisioning.models import Run, Step

MOST_STATEMENTS = 13  # the claim, the run, its steps, and ten records of which the last ends the run


def build(stack: StackSpec, monkeypatch: pytest.MonkeyPatch) -> tuple[Run, list[str]]:
    """Build one order without items; return its run and the statements that took."""
    monkeypatch.setitem(stacks.VERSIONS, (stack.key, stack.version), stack)
    noop.make_runs(1)
    statements: list[str] = []

    def note(execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        statements.append(sql)
        return execute(sql, params, many, context)

    with connection.execute_wrapper(note):
        claim = claims.take_next()
        assert claim is not None
        runner.wake(claim, runner.default_workshop())
    return Run.objects.select_related("provision").get(), statements


def with_last_step(function: Callable[[Context], Outcomes]) -> StackSpec:
    *others, last = noop.NOOP.steps
    return replace(noop.NOOP, steps=(*others, replace(last, function=function)))


def test_a_step_is_one_statement_and_the_last_one_ends_the_run(monkeypatch: pytest.MonkeyPatch, db: None) -> None:
    run, statements = build(noop.NOOP, monkeypatch)

    assert run.state == RunState.DONE
    assert sum("fence AS" in sql for sql in statements) == len(noop.NOOP.steps)
    assert len(statements) <= MOST_STATEMENTS


def test_what_the_last_step_learnt_is_kept_beside_the_end_of_the_run(monkeypatch: pytest.MonkeyPatch, db: None) -> None:
    """Both are columns of the same row, and a statement changes a row once."""
    run, _ = build(with_last_step(lambda context: Done({"learnt": "at the end"})), monkeypatch)

    assert run.provision.facts == {"learnt": "at the end"}
    assert run.provision.state == ProvisionState.ACTIVE


def test_a_last_step_that_fails_does_not_end_the_run_well(monkeypatch: pytest.MonkeyPatch, db: None) -> None:
    run, _ = build(with_last_step(lambda context: Failed("broken", "It cannot be done.")), monkeypatch)

    assert run.state == RunState.FAILED
    assert run.provision.state == ProvisionState.FAILED
    assert Step.objects.filter(state=StepState.COMPLETED).count() == len(noop.NOOP.steps) - 1
