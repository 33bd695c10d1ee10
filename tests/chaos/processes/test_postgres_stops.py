"""PostgreSQL is stopped with `-m immediate` in mid-run and started again: worker and web server live, the run arrives.

It is away when the worker starts, too: after a power cut nobody knows who comes first.

The server is the test's own, durable as in production, kept by config/postgres.py, which starts it again at once. The
worst moment is the one at which an answer is on its way that nobody else holds: a password that is shown once.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from pytest_django.plugin import DjangoDbBlocker

from provisioning.engine.ledger import CAPTURE_PAUSE, CAPTURE_TRIES
from tests import harness
from tests.chaos import whole
from tests.chaos.figures import Figures
from tests.integration.processes import Processes, answers, pause, until
from tests.integration.world import new_order, paid

from .conftest import SPEED
from .oracle import agree, await_end_without_a_long_pause, note_recovery, wakeups
from .own_server import OwnServer, migrate, own_server

pytestmark = pytest.mark.xdist_group("processes")

ON_ITS_WAY = 2.0  # seconds that the answer takes during which the server is stopped
PATIENCE = CAPTURE_TRIES * CAPTURE_PAUSE  # seconds for which a worker tries to store an answer
# Verb whose answer is on its way, seconds for which the server stays away.
CASES = [
    ("plusvibe", "create_client", 0.0),
    ("zapmail", "buy_domains", 0.0),
    ("zapmail", "list_domains", 0.0),
    ("plusvibe", "create_client", ON_ITS_WAY + 2 * PATIENCE),  # the password is lost with the worker's patience
]


@pytest.fixture
def server(django_db_blocker: DjangoDbBlocker) -> Iterator[OwnServer]:
    harness.collect_static_files()
    with django_db_blocker.unblock(), own_server() as started:
        yield started


@pytest.fixture
def world(server: OwnServer, tmp_path: Path) -> Iterator[Processes]:
    started = Processes(tmp_path, speed=SPEED, workers=None, database=server.url)
    try:
        migrate(started)
        started.sandbox()
        yield started
        print(started.log()[-20_000:])
    finally:
        started.end()


@pytest.mark.parametrize("platform, verb, away", whole.sample(CASES, part=1))
def test_a_run_arrives_although_postgres_was_stopped_while_an_answer_was_on_its_way(
    server: OwnServer, world: Processes, platform: str, verb: str, away: float, figures: Figures
) -> None:
    order = new_order()
    worker, web = started_without_a_database(server, world), world.web()
    until(lambda: answers(f"{world.site}/readyz"), seconds=60, otherwise="the site is not ready")
    world.fault("slow_body", platform=platform, verb=verb, seconds=ON_ITS_WAY, times=1)
    paid(order)
    until(lambda: is_on_its_way(world, verb), seconds=60, otherwise=f"{verb} was not called")

    before = wakeups()
    with server.kept_down():
        assert not answers(f"{world.site}/readyz"), "the site says that it is ready without a database"
        pause(away)
    seconds = await_end_without_a_long_pause(before)

    assert (worker.poll(), web.poll()) == (None, None), "worker or web server did not live"
    assert answers(f"{world.site}/readyz")
    assert answers(f"{world.site}/metrics")
    agree(world, [order])
    note_recovery(figures, "postgres stopped", seconds)


def started_without_a_database(server: OwnServer, world: Processes) -> subprocess.Popen[bytes]:
    """Start a worker while the database is away: it says so and waits."""
    with server.kept_down():
        worker = world.worker()
        until(lambda: "does not answer" in world.log(), seconds=60, otherwise="the worker does not say why it waits")
        assert worker.poll() is None, "the worker ended"
    return worker


def is_on_its_way(world: Processes, verb: str) -> bool:
    return any(entry["verb"] == verb and entry["fault"] == "slow_body" for entry in world.calls())
