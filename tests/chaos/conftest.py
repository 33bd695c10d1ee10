"""Every test here runs with real commits, on a database that this process keeps to itself.

No test marks itself `django_db`: those fixtures would wrap it in a transaction, or empty the database after it.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
from pytest_django.plugin import DjangoDbBlocker

from infra import clock
from integrations.sandbox import seeds
from integrations.sandbox.log import LogEntry, RequestLog
from tests import harness

from . import database
from .figures import Figures
from .harness import alike, seeds_in_use

NOT_BUILDING = (
    "stripe.",  # payments: repeated under an idempotency key, never through the ledger
    # What is read when a student connects an account of their own, before there is an order.
    "godaddy.list_domains",
    "google_workspace.list_domains",
    "google_workspace.list_verified",
)
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def _committing_database(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> str:
    name = f"chaos_{os.environ.get('PYTEST_XDIST_WORKER', 'main')}"
    with django_db_blocker.unblock():
        harness.create_committing_database(name, then=database.FROZEN_CLOCK)
    return name


@pytest.fixture(autouse=True)
def chaos_database(_committing_database: str, django_db_blocker: DjangoDbBlocker) -> Iterator[str]:
    """Let the test work in its process's database, in which time stands still until the test moves it.

    Runs that earlier tests left unfinished are ended, and what all orders share is as new. Returns the database's name.
    """
    seeds_in_use.clear()
    seeds.treat_alike(alike)
    with django_db_blocker.unblock(), harness.on_database(_committing_database), pytest.MonkeyPatch.context() as patch:
        patch.setattr(clock, "monotonic", database.monotonic)
        database.tidy_up()
        yield _committing_database
    seeds.treat_alike(str)


@pytest.fixture(autouse=True)
def _calls_seen(monkeypatch: pytest.MonkeyPatch, figures: Figures) -> Iterator[None]:
    """Note every call that a simulated platform receives in this process: each must have a row in the crash matrix."""
    seen: set[str] = set()
    add = RequestLog.add

    def noted(self: RequestLog, **values: Any) -> LogEntry:
        seen.add(f"{values['platform']}.{values['verb']}")
        return add(self, **values)

    monkeypatch.setattr(RequestLog, "add", noted)
    yield
    figures.see("calls seen", *(call for call in seen if not call.startswith(NOT_BUILDING)))


@pytest.fixture
def running_clock(chaos_database: str) -> Iterator[None]:
    """Let the clocks run with the machine's, as they do in production, for tests with real processes."""
    with harness.as_owner():
        database.execute(database.RUNNING_CLOCK + "DELETE FROM gtm_clock")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(clock, "monotonic", time.monotonic)
        yield
    with harness.as_owner():
        database.execute(database.FROZEN_CLOCK)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, Any, Any]:
    """Say of a failing test how it is played again."""
    report = yield
    if report.failed and seeds_in_use:
        commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False)
        last = seeds_in_use[-1]
        report.sections.append(
            (
                "chaos",
                f"seeds of this test's worlds: {seeds_in_use}, commit {commit.stdout.strip() or 'unknown'}\n"
                f"play it again: GTM_CHAOS_SEED={last} pytest '{item.nodeid}'",
            )
        )
    return report
