"""The benchmark of the engines: what it calls done is recorded, and it says so when something is missing."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from config import bench
from config.bench import crews, engines, noop
from config.bench.rivals import STEPS
from infra.models import Mail, Provision, ProvisionState, RunState
from provisioning import stacks
from provisioning.models import Event, Run, Step

ROUNDS = [10.0, 20.0, 1.0, 40.0, 30.0]


@pytest.fixture
def worker(monkeypatch: pytest.MonkeyPatch, db: None) -> noop.Engine:
    """A worker of the contest, in this process."""
    monkeypatch.setitem(stacks.VERSIONS, (noop.NOOP.key, noop.NOOP.version), noop.NOOP)
    return noop.Engine()


def test_a_run_of_the_contest_leaves_every_step_and_event_behind(worker: noop.Engine) -> None:
    worker.stock(3)

    assert worker.work(0.0001, at_once=1) == 3 * STEPS

    assert worker.recorded() == 3 * STEPS
    assert Run.objects.filter(state=RunState.DONE).count() == 3
    assert Provision.objects.filter(state=ProvisionState.ACTIVE).count() == 3


LOSSES: dict[str, Callable[[], object]] = {
    "an event of a step": lambda: Event.objects.filter(kind="step").first().delete(),  # type: ignore[union-attr]
    "a step": lambda: Step.objects.filter(position=4).update(state="pending"),
    "the mail": lambda: Mail.objects.all().delete(),
    "the order's state": lambda: Provision.objects.update(state=ProvisionState.PROVISIONING),
}


@pytest.mark.parametrize("loss", LOSSES)
def test_work_of_which_something_is_missing_is_not_counted(worker: noop.Engine, loss: str) -> None:
    worker.stock(1)
    worker.work(0.0001, at_once=1)

    LOSSES[loss]()

    with pytest.raises(bench.BenchFailed):
        worker.recorded()


def test_too_small_a_stock_is_a_failure_and_no_slow_engine(worker: noop.Engine) -> None:
    with pytest.raises(bench.BenchFailed, match="not enough runs"):
        worker.work(0.0001, at_once=1)


def test_the_product_does_not_know_the_stack_of_the_contest() -> None:
    assert noop.NOOP.key not in stacks.STACKS
    assert (noop.NOOP.key, noop.NOOP.version) not in stacks.VERSIONS
    assert len(noop.NOOP.steps) == STEPS


@pytest.mark.parametrize("python", ["nowhere/python", sys.executable])
def test_a_missing_rival_fails_the_benchmark_with_a_sentence(monkeypatch: pytest.MonkeyPatch, python: str) -> None:
    """Where the environment is missing, and where it is there without them."""
    monkeypatch.setattr(crews, "RIVALS_PYTHON", Path(python))

    with pytest.raises(bench.BenchFailed, match="packages are missing: run `make bench`"):
        engines.CHAPTER.needs()


def test_a_server_that_may_forget_a_commit_is_refused(db: None) -> None:
    with pytest.raises(bench.BenchFailed, match="not durable"):
        engines.require_durable(os.environ["DATABASE_URL"])  # the tests' own server is thrown away, and set up so


def test_a_step_that_was_not_recorded_fails_the_contest() -> None:
    class Forgetful:
        def ask(self, do: str, **body: Any) -> list[crews.Reply]:
            return [crews.Reply(answer={"work": STEPS, "recorded": STEPS - 1}[do], at=0.0, seconds=1.0)]

    contest = engines.Contest({"dbos": Forgetful()}, {})  # type: ignore[dict-item]
    contest.done["dbos"] = STEPS

    with pytest.raises(bench.BenchFailed, match="dbos did 10 steps, but 9 are recorded"):
        contest.check()


def test_the_ratio_is_taken_within_each_round_so_that_a_slow_moment_does_not_count() -> None:
    twice_as_fast = [2 * rate for rate in ROUNDS]

    assert engines.ratio(twice_as_fast, ROUNDS) == 2


def test_of_a_rivals_ways_the_faster_one_is_compared() -> None:
    contest = engines.Contest({}, {})
    contest.rates[engines.Way("dbos"), 2] = [10.0, 10.0, 10.0]
    contest.rates[engines.Way("dbos", together=True), 2] = [5.0, 90.0, 20.0]

    assert contest.best("dbos", 2) == [5.0, 90.0, 20.0]


def test_a_process_that_ends_is_reported_with_its_last_words(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "import sys; sys.exit('no such server')"]

    with pytest.raises(bench.BenchFailed, match="no such server"), crews.Crew("dbos", command, {}, tmp_path, size=1):
        pass


def test_the_rivals_scripts_need_nothing_of_ours() -> None:
    """They run in an environment without Django: importing what they share must not bring it in."""
    code = "import sys; import config.bench.rivals; sys.exit('django' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
