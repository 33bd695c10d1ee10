"""procrastinate: one job per step, each of which defers the next. PostgreSQL is its queue, and a NOTIFY its bell."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

import procrastinate
import psycopg

from config.bench.rivals import STEPS, note_start, serve

T = TypeVar("T")


class WithProcrastinate:
    """One process with `at_once` jobs in hand at a time."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.done = 0
        self.app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=url, min_size=1, max_size=10))
        self.app.task(name="step", pass_context=True)(self.step)
        self.loop = asyncio.new_event_loop()
        threading.Thread(target=self.loop.run_forever, daemon=True).start()
        self._await(self._open())

    async def _open(self) -> None:
        await self.app.open_async()

    async def step(self, context: procrastinate.JobContext, number: int) -> None:
        """Do nothing, and defer the next step, which goes before other workflows' first."""
        if number == 0:
            note_start()
        if number + 1 < STEPS:
            following = context.app.configure_task("step", priority=number + 1)
            await following.defer_async(number=number + 1)
        self.done += 1

    def prepare(self) -> None:
        self._await(self.app.schema_manager.apply_schema_async())

    def stock(self, workflows: int) -> None:
        with psycopg.connect(self.url) as connection:
            [(waiting,)] = connection.execute("SELECT count(*) FROM procrastinate_jobs WHERE status = 'todo'")
        if workflows > waiting:
            self._await(self.app.tasks["step"].batch_defer_async(*[{"number": 0}] * (workflows - waiting)))

    def work(self, seconds: float, at_once: int) -> int:
        before = self.done
        self._await(self._work(seconds, at_once))
        return self.done - before

    async def _work(self, seconds: float, at_once: int) -> None:
        with contextlib.suppress(asyncio.TimeoutError):  # cancelled, a worker ends the jobs in hand
            await asyncio.wait_for(self._wait_for_jobs(at_once), seconds)

    async def _wait_for_jobs(self, at_once: int) -> None:
        await self.app.run_worker_async(install_signal_handlers=False, concurrency=at_once)

    def recorded(self) -> int:
        with psycopg.connect(self.url) as connection:
            [(steps,)] = connection.execute("SELECT count(*) FROM procrastinate_jobs WHERE status = 'succeeded'")
        return int(steps)

    def clear(self) -> None:
        with psycopg.connect(self.url) as connection:
            connection.execute("DELETE FROM procrastinate_jobs WHERE status = 'todo'")

    def start(self) -> None:
        self._await(self.app.tasks["step"].defer_async(number=0))

    def listen(self) -> None:
        """Take what others start, until the process ends."""
        asyncio.run_coroutine_threadsafe(self._wait_for_jobs(1), self.loop)

    def _await(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result()


def main(url: str, name: str, role: str) -> None:
    """Open the application and answer requests; with the role `listener`, take what others start."""
    contestant = WithProcrastinate(url)
    if role == "listener":
        contestant.listen()
    serve(contestant)


if __name__ == "__main__":
    main(*sys.argv[1:])
