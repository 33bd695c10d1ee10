"""Each test of real processes has a database of its own, whose clocks run, and simulated platforms that start empty."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import harness
from tests.chaos import whole
from tests.integration import processes
from tests.integration.processes import Processes

# Half a minute or a whole one each: they belong to the whole.
LONG = ["test_sigterm.py", "test_random_kills.py", "test_refused_writes.py", "test_several_processes.py"]
collect_ignore = [] if whole.IS_WHOLE else LONG

SPEED = 960.0  # a run lasts about seven seconds

_numbers = itertools.count(1)


@pytest.fixture
def own_database(chaos_database: str) -> Iterator[str]:
    """A fresh copy of the migrated database: what is compared with the platforms is all that is in it."""
    name = f"{chaos_database}_{next(_numbers)}"
    harness.create_committing_database(name)
    with harness.on_database(name):
        yield name
    harness.drop_database(name)


@pytest.fixture
def world(own_database: str, tmp_path: Path) -> Iterator[Processes]:
    """Processes with default settings, except that the platforms' time is fast; the sandbox runs already."""
    with processes.running(tmp_path, speed=SPEED, workers=None) as started:
        started.sandbox()
        yield started
        print(started.log()[-20_000:])  # shown when the test fails
