"""What takes the time: of the wall, of our processor, of the platforms; and the statements that go to the database."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from integrations.http.call import Call, Raw
from integrations.http.transport import Transport


@dataclass
class Spent:
    """Adds up what its blocks take: seconds by the wall, and of our processor."""

    wall: float = 0.0
    cpu: float = 0.0

    def __enter__(self) -> None:
        self.wall -= time.perf_counter()
        self.cpu -= time.process_time()

    def __exit__(self, *_: object) -> None:
        self.wall += time.perf_counter()
        self.cpu += time.process_time()


@dataclass
class Timed:
    """A transport that remembers how long the platforms took, so that the rest is our own."""

    transport: Transport
    spent: Spent = field(default_factory=lambda: Spent())

    def send(self, call: Call[Any], *, send_before: float | None = None) -> Raw:
        with self.spent:
            return self.transport.send(call, send_before=send_before)


@dataclass
class Count:
    """Counts the statements that go to the database inside `with connection.execute_wrapper(count)`."""

    statements: int = 0

    def __call__(self, execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        self.statements += 1
        return execute(sql, params, many, context)


def median_ms(work: Callable[[], object], repeats: int) -> float:
    """Return the median milliseconds of so many repetitions."""
    took = []
    for _ in range(repeats):
        began = time.perf_counter()
        work()
        took.append(1000 * (time.perf_counter() - began))
    return statistics.median(took)
