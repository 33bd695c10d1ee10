"""Fixtures of all tests. The import itself chooses the run's PostgreSQL: see tests/harness.py."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from tests import harness
from tests.chaos.figures import OURS, Figures, FiguresPlugin

harness.prepare()
harness.forbid_network()

import django  # noqa: E402
from pytest_django.plugin import DjangoDbBlocker  # noqa: E402

django.setup()

from django.conf import settings  # noqa: E402

harness.empty_as_owner()
harness.hash_quickly()


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(FiguresPlugin(config), "figures")


def pytest_collection_finish() -> None:
    """Look for garbage among what tests leave behind, and not again and again among thousands of tests and modules."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


@pytest.fixture(scope="session")
def figures(pytestconfig: pytest.Config) -> Figures:
    """The numbers that this process has measured, shown at the end of the run."""
    return pytestconfig.stash[OURS]


@pytest.fixture(scope="session")
def django_db_setup(
    django_test_environment: None,
    django_db_blocker: DjangoDbBlocker,
    django_db_modify_db_settings: None,
) -> None:
    """Create and migrate the test database as its owner. It goes away with the whole server, so nobody drops it."""
    harness.start_server()
    with django_db_blocker.unblock():
        harness.create_database()


@pytest.fixture(scope="session", autouse=True)
def _static_files(request: pytest.FixtureRequest) -> None:
    if any(_shows_pages(item) for item in request.session.items):
        harness.collect_static_files()


def _shows_pages(item: pytest.Item) -> bool:
    return bool({"client", "admin_client", "live_server", "rf"} & set(getattr(item, "fixturenames", ())))


@pytest.fixture(scope="session", autouse=True)
def _static_files_of_live_server() -> Iterator[None]:
    """Let WhiteNoise serve the live server's files; Django's handler knows no hashed names."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("django.contrib.staticfiles.handlers.StaticFilesHandler", lambda application: application)
        yield


@pytest.fixture(autouse=True)
def _first_role(request: pytest.FixtureRequest) -> None:
    """Let each test begin as the process's first role, whatever the one before it left on the shared connection."""
    if not ({"db", "transactional_db"} & set(request.fixturenames) or request.node.get_closest_marker("django_db")):
        return
    request.getfixturevalue("_django_db_helper")
    from django.db import connection

    from infra import rls

    if connection.settings_dict.get("USER") == rls.LOGIN:
        rls.set_role(settings.DATABASE_DEFAULT_ROLE)
