"""Two web servers and three workers on one PostgreSQL: one worker is killed, nothing changes, connections stay counted."""

from __future__ import annotations

import threading
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from django.db import connection

from config.demo import GUNICORN
from tests import harness
from tests.chaos import database
from tests.chaos.figures import Figures
from tests.integration import processes
from tests.integration.processes import Processes, answers, free_ports, kill_tree, pause, until
from tests.integration.world import new_order, paid

from .conftest import SPEED
from .oracle import agree, await_end_without_a_long_pause, await_work, note_recovery, wakeups

pytestmark = pytest.mark.xdist_group("processes")

NAMES = ("amber", "birch", "cedar", "dunes")
WORKERS, PROCESSES = 3, 2  # how many workers, and processes of each that take work
WEB_SERVERS, THREADS, BESIDES = 2, 8, 2
# README.md: a thread of a web server has one, so has a process that takes work; a supervisor and its cluster have two.
# All of them keep theirs while there is work, so that busy processes hold exactly so many.
MOST = WEB_SERVERS * THREADS + WORKERS * (PROCESSES + BESIDES)
BUDGET = MOST * 3 // 2  # and half as many again: for a release that starts beside the old one, and people's commands


@pytest.fixture
def world(own_database: str, tmp_path: Path) -> Iterator[Processes]:
    with harness.as_owner():  # whoever wanted more than the budget would be refused, and a page or a run would fail
        database.execute(f'ALTER DATABASE "{own_database}" CONNECTION LIMIT {BUDGET}')
    with processes.running(tmp_path, speed=SPEED, workers=PROCESSES) as started:
        started.sandbox()
        yield started
        print(started.log()[-20_000:])


def test_one_of_three_workers_is_killed_and_nothing_changes(world: Processes, figures: Figures) -> None:
    assert f"--threads={THREADS}" in GUNICORN
    sites = [serve(world, number) for number in range(WEB_SERVERS)]
    world.slow(0.2)
    workers = [world.worker() for _ in range(WORKERS)]
    for site in sites:  # ready once a worker has been heard of
        until(lambda site=site: answers(f"{site}/readyz"), seconds=60, otherwise="not ready")  # type: ignore[misc]
    orders = [new_order(name) for name in NAMES]
    with counted() as most, visited(sites) as seen:
        for order in orders:
            paid(order)
        await_work(wakeups())
        pause(1.0)
        before = wakeups()
        kill_tree(workers[1].pid)
        note_recovery(figures, "one of three workers", await_end_without_a_long_pause(before))
    agree(world, orders)
    assert set(seen) == {200}
    assert workers[0].poll() is workers[2].poll() is None
    figures.greatest("connections_several_processes", most())
    figures.put("connections_budget", BUDGET)
    assert 0 < most() <= MOST


def serve(world: Processes, number: int) -> str:
    """Start a web server of its own and return its address."""
    (port,) = free_ports(1)
    world.run(f"web{number}", "-m", "gunicorn", "config.wsgi", f"--bind=127.0.0.1:{port}", *GUNICORN)
    site = f"http://127.0.0.1:{port}"
    until(lambda: answers(f"{site}/healthz"), seconds=60, otherwise="a web server did not start")
    return site


@contextmanager
def visited(sites: list[str]) -> Iterator[list[int]]:
    """Let visitors ask every web server all the time; yield what they are answered."""
    seen: list[int] = []
    over = threading.Event()

    def visit(site: str) -> None:
        while not over.is_set():
            with urllib.request.urlopen(f"{site}/readyz", timeout=30) as answer:
                seen.append(answer.status)

    threads = [threading.Thread(target=visit, args=(site,)) for site in sites * 4]
    for thread in threads:
        thread.start()
    try:
        yield seen
    finally:
        over.set()
        for thread in threads:
            thread.join()


@contextmanager
def counted() -> Iterator[Callable[[], int]]:
    """Count the connections of everybody else again and again; yield how to ask for the most there were."""
    most, over = [0], threading.Event()

    def look() -> None:
        while not over.wait(0.1):
            with connection.cursor() as cursor:
                cursor.execute(
                    "SELECT count(*) FROM pg_stat_activity WHERE datname = %s AND pid <> %s", [database, ours]
                )
                most[0] = max(most[0], int(cursor.fetchone()[0]))
        connection.close()

    connection.ensure_connection()
    database = connection.settings_dict["NAME"]  # this thread's alone: the other one is connected elsewhere
    ours = connection.connection.info.backend_pid
    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield lambda: most[0]
    finally:
        over.set()
        thread.join()
