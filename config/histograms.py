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

# What took how long, by stack. Times are machine time.
SETUPS = "SELECT stack, finished_at - paid_at FROM provisioning_run WHERE kind = %s AND state = %s"
SEEN = (
    "SELECT r.stack, s.finished_at - s.started_at FROM provisioning_step s JOIN provisioning_run r ON r.id = s.run_id"
    " WHERE s.state = %s AND r.stack || ' ' || s.key = ANY(%s)"
)
MAILBOXES = (
    "SELECT min(r.stack), max(s.finished_at) - min(s.started_at) FROM provisioning_step s"
    " JOIN provisioning_run r ON r.id = s.run_id WHERE s.mailbox_id IS NOT NULL AND r.stack || ' ' || s.key = ANY(%s)"
    " GROUP BY s.run_id, s.item_key HAVING bool_and(s.state = %s)"
)


def lines() -> Iterator[str]:
    """Yield every histogram, and how many domains of orders of several came to which end. Needs the worker's role."""
    yield from _histogram("setup_seconds", "stack", LONG, _counted(SETUPS, [RunKind.SETUP, RunState.DONE], LONG))
    seen = [f"{stack} {key}" for stack, key in alerts.steps_that_see()]
    yield from _histogram("propagation_seconds", "stack", SHORT, _counted(SEEN, [StepState.COMPLETED, seen], SHORT))
    making = [f"{one.key} {key}" for one in STACKS.values() for key in rules.steps_of(one, rules.MAILBOX_STAGE)]
    made = _counted(MAILBOXES, [making, StepState.COMPLETED], SHORT)
    yield from _histogram("mailbox_seconds", "stack", SHORT, made)
    calls = Timing.objects.filter(kind=timing.CALL).values_list("name", "bound", "number", "seconds")
    yield from _histogram("call_seconds", "platform", timing.bounds(), calls)
    wakeups = Timing.objects.filter(kind=timing.WAKEUP).values_list("name", "bound", "number", "seconds")
    yield from _histogram("wakeup_seconds", "bell", timing.bounds(), wakeups)
    yield from _batches()


def _counted(durations: str, parameters: Sequence[str | list[str]], bounds: Sequence[float]) -> list[Bucket]:
    """Count durations by label and bucket, in the database: there may be hundreds of thousands."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT label, bound, count(*), sum(took) FROM (SELECT label, extract(epoch FROM span)::float8 AS took"
            f"  FROM ({durations}) AS spans (label, span) WHERE span IS NOT NULL) AS durations"
            " CROSS JOIN LATERAL (SELECT min(bound) FROM unnest(%s::float8[]) AS bound WHERE took <= bound) AS b (bound)"
            " GROUP BY label, bound",
            [*parameters, [*bounds, math.inf]],
        )
        return [(str(label), bound, number, seconds) for label, bound, number, seconds in cursor.fetchall()]


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
