"""How long calls to platforms and wake-ups take: counted in this process, added to rows after each piece of work.

Rows are few, one for each platform and bound of a bucket, and true however many processes there are. A process that is
killed loses what it has counted since its last piece of work.
"""

from __future__ import annotations

import contextlib
import math
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.db import Error, connection

from infra import clock
from integrations.http.call import Call, Raw
from integrations.http.errors import NotSent
from integrations.http.transport import Transport

CALL, WAKEUP = "call", "wakeup"
BOUNDS = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)  # machine seconds

_lock = threading.Lock()
_counted: dict[tuple[str, str, float], tuple[int, float]] = {}


@dataclass(frozen=True, slots=True)
class Timed:
    """A transport whose calls are counted by platform, reads and writes alike; not what never went out."""

    transport: Transport

    def send(self, call: Call[Any], *, send_before: float | None = None) -> Raw:
        began, went_out = clock.monotonic(), True
        try:
            return self.transport.send(call, send_before=send_before)
        except NotSent:
            went_out = False
            raise
        finally:
            if went_out:
                count(CALL, call.platform, clock.monotonic() - began)


@contextlib.contextmanager
def wakeup() -> Iterator[None]:
    """Count how long one wake-up of a run takes, however it ends."""
    began = clock.monotonic()
    try:
        yield
    finally:
        count(WAKEUP, "runs", clock.monotonic() - began)


def bounds() -> tuple[float, ...]:
    """Return the bounds of the buckets. What an action may take is one, so that the alert about it is exact."""
    return tuple(sorted({*BOUNDS, float(settings.ALERT_ACTION_SECONDS), math.inf}))


def count(kind: str, name: str, seconds: float) -> None:
    """Count one thing that took so many machine seconds."""
    bound = next(bound for bound in bounds() if seconds <= bound)
    with _lock:
        number, total = _counted.get((kind, name, bound), (0, 0.0))
        _counted[kind, name, bound] = (number + 1, total + seconds)


def flush() -> None:
    """Add to the rows what was counted. Without a database it is kept for the next time. Needs the worker's role."""
    with _lock:
        mine = dict(_counted)
        _counted.clear()
    if not mine:
        return
    kinds, names, limits = zip(*mine, strict=True)
    numbers, totals = zip(*mine.values(), strict=True)
    try:
        with connection.cursor() as cursor:
            # In one order, so that two processes never wait for each other's rows.
            cursor.execute(
                "INSERT INTO provisioning_timing AS kept (kind, name, bound, number, seconds, last_at)"
                " SELECT *, gtm_now('machine') FROM unnest(%s::text[], %s::text[], %s::float8[], %s::int8[], %s::float8[])"
                " ORDER BY 1, 2, 3 ON CONFLICT (kind, name, bound) DO UPDATE SET number = kept.number + excluded.number,"
                " seconds = kept.seconds + excluded.seconds, last_at = excluded.last_at",
                [list(kinds), list(names), list(limits), list(numbers), list(totals)],
            )
    except Error:
        with _lock:
            for key, (number, total) in mine.items():
                more, longer = _counted.get(key, (0, 0.0))
                _counted[key] = (number + more, total + longer)
        raise
