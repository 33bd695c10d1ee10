"""What a builder would take instead of our engine. Each module is a process that `config.bench.crews` starts.

They live in an environment of their own (`.venv-bench`), without Django and without ours, so nothing but the standard
library and the rival itself is imported here. All of them do the same work: a workflow of ten steps that do nothing,
each recorded in PostgreSQL before the next begins.
"""

from __future__ import annotations

import json
import os
import sys
import time
from typing import Any, Protocol

STEPS = 10
DEPLOYED = "1"  # the version that every process of a rival says it runs


class Contestant(Protocol):
    """What a process is asked to do, one request a line. Only one process of a crew is asked to prepare, stock or count."""

    def prepare(self) -> None:
        """Make the tables."""

    def stock(self, workflows: int) -> None:
        """Have so many workflows wait for `work`, where a workflow has to be written down before it is started."""

    def work(self, seconds: float, at_once: int) -> int:
        """Build workflows for so long, `at_once` of them at a time; return how many steps were done."""

    def recorded(self) -> int:
        """Return how many steps are recorded in the database as done."""

    def clear(self) -> None:
        """Let nothing be left that waits for `work`."""

    def start(self) -> None:
        """Start one workflow that a listening process is to build, as a web page would."""


def serve(contestant: Contestant) -> None:
    """Answer requests from stdin until it ends: {"do": name, ...} gives {"answer": ..., "seconds": ...}."""
    print(json.dumps("ready"), flush=True)  # noqa: T201 - the protocol
    for line in sys.stdin:
        request: dict[str, Any] = json.loads(line)
        began = time.perf_counter()
        at = time.time()
        answer = getattr(contestant, request.pop("do"))(**request)
        reply = {"answer": answer, "at": at, "seconds": time.perf_counter() - began}
        print(json.dumps(reply), flush=True)  # noqa: T201 - the protocol
    os._exit(0)  # the rivals' own threads have nothing left to do


def note_start() -> None:
    """Note when the first step of a workflow began, where somebody wants to know (`GTM_BENCH_STARTS`, a file)."""
    if path := os.environ.get("GTM_BENCH_STARTS"):
        now = time.time()
        with open(path, "a") as file:
            file.write(f"{now!r}\n")
