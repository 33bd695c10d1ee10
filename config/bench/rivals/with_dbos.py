"""DBOS: a decorated function whose steps' results are recorded; started in the process itself, without its queue.

DBOS's queue would add a claim and a poll; our engine's runs are always claimed. The comparison gives DBOS the faster way.
Only `start` and `listen` use the queue, because starting work in *another* process takes one.
"""

from __future__ import annotations

import sys
import time
from concurrent.futures import ThreadPoolExecutor

import psycopg
from dbos import DBOS

from config.bench.rivals import DEPLOYED, STEPS, note_start, serve

QUEUE = "noop"
POLL = 0.1  # as often as our queue's; DBOS's default is once a second


def nothing(number: int) -> int:
    """Do nothing; the first one says when."""
    if number == 0:
        note_start()
    return number


def ten() -> int:
    """Ten steps."""
    return sum(step(number) for number in range(STEPS))


step = DBOS.step()(nothing)
workflow = DBOS.workflow()(ten)


class WithDbos:
    """One process, with `at_once` workflows in hand at a time, each in a thread."""

    def __init__(self, url: str) -> None:
        self.url = url

    def prepare(self) -> None:
        DBOS.register_queue(QUEUE, worker_concurrency=1, polling_interval_sec=POLL, on_conflict="always_update")

    def stock(self, workflows: int) -> None:
        pass  # nothing has to be written down before it is started

    def work(self, seconds: float, at_once: int) -> int:
        ends = time.monotonic() + seconds
        if at_once == 1:
            return STEPS * self._until(ends)
        with ThreadPoolExecutor(at_once) as pool:
            return STEPS * sum(pool.map(self._until, [ends] * at_once))

    def _until(self, ends: float) -> int:
        done = 0
        while time.monotonic() < ends:
            workflow()
            done += 1
        return done

    def recorded(self) -> int:
        """Count the steps of the workflows that are recorded as done with all of their steps."""
        with psycopg.connect(self.url) as connection:
            [(whole,)] = connection.execute(
                "SELECT count(*) FROM dbos.workflow_status AS flow WHERE status = 'SUCCESS' AND"
                " (SELECT count(*) FROM dbos.operation_outputs WHERE workflow_uuid = flow.workflow_uuid) = %s",
                [STEPS],
            )
        return STEPS * int(whole)

    def clear(self) -> None:
        pass  # nothing waits

    def start(self) -> None:
        queue = DBOS.retrieve_queue(QUEUE)
        assert queue is not None
        queue.enqueue(workflow)


def main(url: str, name: str, role: str) -> None:
    """Launch DBOS and answer requests; with the role `listener`, take what others start."""
    DBOS(
        config={
            "name": "noop",
            "system_database_url": url,
            "executor_id": name,
            "application_version": DEPLOYED,
            "log_level": "ERROR",
            "sys_db_pool_size": 20,
        }
    )
    DBOS.listen_queues([QUEUE] if role == "listener" else [])
    DBOS.launch()
    serve(WithDbos(url))


if __name__ == "__main__":
    main(*sys.argv[1:])
