"""What a person is asked about a step: one open item for each step of a run and cause, however many rows wait for it.

A platform that refuses one request for six mailboxes has refused once; six letters would say nothing more.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from infra.models import OperatorItem, StepState

from ..models import Run, Step
from .outcomes import WaitsOn

KIND = "step"


def key_of(run: Any, step: str, code: str) -> str:
    """Return the key of a question; `run` is the run's primary key."""
    return f"{run}:{step}:{code}"


def is_asked(rows: Iterable[Step], step: str, code: str) -> bool:
    """Tell whether one of `rows` waits for the answer."""
    return any(
        row.key == step
        and row.state == StepState.WAITING
        and row.waits_on in (WaitsOn.OPERATOR, WaitsOn.STUDENT)
        and row.facts.get("code") == code
        for row in rows
    )


def close_answered(run: Run, *, resolution: str) -> None:
    """Close the questions about a run that none of its rows asks any more."""
    rows = list(run.steps.filter(state=StepState.WAITING, waits_on__in=[WaitsOn.OPERATOR, WaitsOn.STUDENT]))
    mine = f"{KIND}:{run.pk}:"
    for item in OperatorItem.objects.filter(kind=KIND, key__startswith=mine, resolved_at__isnull=True):
        step, _, code = item.key.removeprefix(mine).partition(":")
        if not is_asked(rows, step, code):
            OperatorItem.close(KIND, key=key_of(run.pk, step, code), resolution=resolution)
