"""Real threads on real connections, for tests that really commit."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import connection
from django.db.models import QuerySet

THREADS = 6
PATIENCE = 30.0


def at_once(work: Callable[[], Any], *, threads: int = THREADS) -> list[Any]:
    """Run `work` in many threads that start together; return results and exceptions."""
    start, results = threading.Barrier(threads), []

    def run() -> None:
        start.wait()
        try:
            results.append(work())
        except Exception as error:  # noqa: BLE001 - the test looks at it
            results.append(error)
        finally:
            connection.close()

    running = [threading.Thread(target=run) for _ in range(threads)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join(2 * PATIENCE)
    return results


@contextmanager
def together(monkeypatch: pytest.MonkeyPatch, module: object, name: str, *, threads: int = THREADS) -> Iterator[None]:
    """Let a function of `module` begin only when so many threads have come to it, as often as they come."""
    everybody = threading.Barrier(threads)
    original = getattr(module, name)

    def wait_first(*args: Any, **kwargs: Any) -> Any:
        everybody.wait(PATIENCE)
        return original(*args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(module, name, wait_first)
        yield


@contextmanager
def overtaken(
    monkeypatch: pytest.MonkeyPatch, module: object, name: str, by: Callable[[], object]
) -> Iterator[list[object]]:
    """Let somebody else do `by` from beginning to end after the first call of a function, before its caller goes on.

    Yields what that returned or raised; nothing when it had to wait for the caller, as it should.
    """
    original, done, is_first = getattr(module, name), list[object](), iter([True])

    def then_wait(*args: Any, **kwargs: Any) -> Any:
        found = original(*args, **kwargs)
        if next(is_first, False):
            other = threading.Thread(target=lambda: done.extend(at_once(by, threads=1)))
            other.start()
            other.join(PATIENCE)
        return found

    with monkeypatch.context() as patch:
        patch.setattr(module, name, then_wait)
        yield done


@contextmanager
def nothing_locked(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Take `SELECT ... FOR UPDATE` away."""
    with monkeypatch.context() as patch:
        patch.setattr(QuerySet, "select_for_update", lambda self, **options: self)
        yield
