"""As tests/chaos/test_failing_writes.py, with the demo's own worker: one order for each write that is refused once."""

from __future__ import annotations

import contextlib
import itertools

import pytest

from provisioning.models import Operation
from tests.chaos.failing_writes import CAPTURE, OUTCOME, Refusal, refusing
from tests.chaos.figures import Figures
from tests.chaos.test_failing_writes import CODES
from tests.integration.processes import Processes, kill_tree
from tests.integration.world import new_order, paid

from .oracle import agree, await_end

pytestmark = pytest.mark.xdist_group("processes")


@pytest.mark.parametrize("table", [CAPTURE, OUTCOME])
def test_any_one_write_may_be_refused_to_a_worker(world: Processes, table: str, figures: Figures) -> None:
    codes = itertools.cycle(CODES)
    refusals = [Refusal(table, platform, verb, next(codes)) for platform, verb in writes(world)]
    orders = [new_order(f"order{n}") for n in range(len(refusals))]
    with contextlib.ExitStack() as refused:
        attempts = [
            refused.enter_context(refusing(refusal, order.pk)) for refusal, order in zip(refusals, orders, strict=True)
        ]
        worker = world.worker()
        for order in orders:
            paid(order)
        await_end()
        missed = [str(one) for one, counted in zip(refusals, attempts, strict=True) if not counted()]
        kill_tree(worker.pid)

    assert missed == [], "these writes were never refused"
    agree(world, [*orders])
    figures.add("writes_refused_to_processes", len(refusals))


def writes(world: Processes) -> list[tuple[str, str]]:
    """Watch an order that nothing disturbs, and return platform and verb of all it wrote."""
    worker = world.worker()
    run = paid(new_order("undisturbed"))
    await_end()
    kill_tree(worker.pid)
    worker.wait()
    return sorted({(row.platform, row.verb) for row in Operation.objects.filter(run=run)})
