"""Every test here runs with real commits, on a database that this process keeps to itself.

No test marks itself `django_db`: those fixtures would wrap it in a transaction, or empty the database after it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from pytest_django.plugin import DjangoDbBlocker

from tests import harness

from . import database


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
    with django_db_blocker.unblock(), harness.on_database(_committing_database):
        database.tidy_up()
        yield _committing_database


@pytest.fixture
def running_clock(chaos_database: str) -> Iterator[None]:
    """Let the database's clocks run with the machine's, as they do in production, for tests with real processes."""
    with harness.as_owner():
        database.execute(database.RUNNING_CLOCK)
    yield
    with harness.as_owner():
        database.execute(database.FROZEN_CLOCK)
