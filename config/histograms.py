"""Histograms of /metrics in Prometheus' text format: how long things take, from the rows that say when they began and ended.

Rows are never deleted, so that each figure only grows, as a scraper expects, however many processes there are.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

from django.db import connection

from infra.models import RunKind, RunState, StepState
from provisioning import alerts, rules
from provisioning.engine import timing
from provisioning.models import Timing
from provisioning.stacks import STACKS

MINUTE, HOUR, DAY = 60.0, 3600.0, 86_400.0
LONG = (10 * MINUTE, HOUR, 6 * HOUR, DAY, 2 * DAY, 4 * DAY, 7 * DAY)  # people and platforms take days
SHORT = (10.0, 30.0, MINUTE, 5 * MINUTE, 15 * MINUTE, 30 * MINUTE, HOUR, 6 * HOUR, DAY, 2 * DAY)

Bucket = tuple[str, float, int, float]  # label, upper bound, how many are in it and in none below, and their sum

# What took how long, by stack. Times are machine time. The stacks and keys of steps come as two lists, pair by pair.
PAIRS = "(SELECT * FROM unnest(%s::text[], %s::text[])) AS wanted (stack, key)"
SETUPS = "SELECT stack, finished_at - paid_at FROM provisioning_run WHERE kind = %s AND state = %s"
SEEN = (
    f"SELECT r.stack, s.finished_at - s.started_at FROM {PAIRS} JOIN provisioning_step s ON s.key = wanted.key"
    " JOIN provisioning_run r ON r.id = s.run_id AND r.stack = wanted.stack WHERE s.state = %s"
)
MAILBOXES = (
    f"SELECT min(r.stack), max(s.finished_at) - min(s.started_at) FROM {PAIRS} JOIN provisioning_step s ON s.key = wanted.key"
    " JOIN provisioning_run r ON r.id = s.run_id AND r.stack = wanted.stack WHERE s.mailbox_id IS NOT NULL"
    " GROUP BY s.run_id, s.item_key HAVING bool_and(s.state = %s)"
)


def lines() -> Iterator[str]:
    """Yield every histogram, and how many domains of orders of several came to which end. Needs the worker's role."""
    yield from _histogram("setup_seconds", "stack", LONG, _counted(SETUPS, [RunKind.SETUP, RunState.DONE], LONG))
    seen = alerts.steps_that_see()
    yield from _histogram(
        "propagation_seconds", "stack", SHORT, _counted(SEEN, [*_lists(seen), StepState.COMPLETED], SHORT)
    )
    making = [(one.key, key) for one in STACKS.values() for key in rules.steps_of(one, rules.MAILBOX_STAGE)]
    made = _counted(MAILBOXES, [*_lists(making), StepState.COMPLETED], SHORT)
    yield from _histogram("mailbox_seconds", "stack", SHORT, made)
    calls = Timing.objects.filter(kind=timing.CALL).values_list("name", "bound", "number", "seconds")
    yield from _histogram("call_seconds", "platform", timing.bounds(), calls)
    wakeups = Timing.objects.filter(kind=timing.WAKEUP).values_list("name", "bound", "number", "seconds")
    yield from _histogram("wakeup_seconds", "bell", timing.bounds(), wakeups)
    yield from _batches()


def _lists(pairs: Sequence[tuple[str, str]]) -> list[list[str]]:
    return [[stack for stack, _ in pairs], [key for _, key in pairs]]


def _counted(durations: str, parameters: Sequence[str | list[str]], bounds: Sequence[float]) -> list[Bucket]:
    """Count durations by label and bucket, in the database: there may be hundreds of thousands."""
    downwards = [math.inf, *reversed(bounds)]
    with connection.cursor() as cursor:
        # Turned round, because a bucket holds its upper bound, and `width_bucket` takes the lower one in.
        cursor.execute(
            "SELECT label, width_bucket(-took, %s::float8[]), count(*), sum(took) FROM"
            f" (SELECT label, extract(epoch FROM span)::float8 AS took FROM ({durations}) AS spans (label, span)"
            "  WHERE span IS NOT NULL) AS durations GROUP BY 1, 2",
            [[-bound for bound in downwards], *parameters],
        )
        rows = cursor.fetchall()
    return [(str(label), downwards[place - 1], number, seconds) for label, place, number, seconds in rows]


def _histogram(name: str, label: str, bounds: Sequence[float], buckets: Iterable[Bucket]) -> Iterator[str]:
    found: defaultdict[str, list[Bucket]] = defaultdict(list)
    for bucket in buckets:
        found[bucket[0]].append(bucket)
    yield f"# TYPE gtm_{name} histogram"
    for value, rows in sorted(found.items()):
        for bound in sorted({*bounds, *(row[1] for row in rows), math.inf}):
            below = sum(row[2] for row in rows if row[1] <= bound)
            yield f'gtm_{name}_bucket{{{label}="{value}",le="{"+Inf" if math.isinf(bound) else f"{bound:g}"}"}} {below}'
        yield f'gtm_{name}_sum{{{label}="{value}"}} {round(sum(row[3] for row in rows), 3)}'
        yield f'gtm_{name}_count{{{label}="{value}"}} {sum(row[2] for row in rows)}'


def _batches() -> Iterator[str]:
    """Yield the ends that the domains of paid orders of several came to; the success rate is done by done and failed."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT p.order->>'stack', count(*) FILTER (WHERE d.state = 'active'),"
            "  count(*) FILTER (WHERE d.state IN ('failed', 'lost'))"
            " FROM infra_domain d JOIN infra_provision p ON p.id = d.provision_id WHERE d.ordered_at IS NOT NULL"
            " AND (SELECT count(*) FROM infra_domain o WHERE o.provision_id = p.id AND o.ordered_at IS NOT NULL) > 1"
            " GROUP BY 1 ORDER BY 1"
        )
        rows = cursor.fetchall()
    yield "# TYPE gtm_batch_domains gauge"
    for stack, done, failed in rows:
        yield f'gtm_batch_domains{{stack="{stack}",outcome="done"}} {done}'
        yield f'gtm_batch_domains{{stack="{stack}",outcome="failed"}} {failed}'
    yield "# TYPE gtm_batch_success_ratio gauge"
    for stack, done, failed in rows:
        if done + failed:
            yield f'gtm_batch_success_ratio{{stack="{stack}"}} {round(done / (done + failed), 4)}'
