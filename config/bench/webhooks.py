"""Chapter: how fast a webhook is acknowledged, beside a bare view that inserts one row, on the same server.

Deliveries arrive eight at a time. Both views get the same bodies, in blocks that take turns, so that neither has the
quieter moments of the machine; the clients' own time is in both.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import random
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import urlsplit

from django.conf import settings
from django.db import connection
from django.urls import reverse

from config import demo

from . import bare
from .chapter import BenchFailed, Chapter, Note, Numbers
from .hammer import Answer, Post, hammer, percentile
from .worlds import run_part, world

BLOCKS, BLOCK = 12, 400
CLIENTS = 8
COPIES = 2  # each event is delivered so often


def run(folder: Path, note: Note) -> Numbers:
    """Make a world and knock at its door."""
    note("webhooks beside a bare insert")
    with world(folder / "webhooks", time_scale="1") as environment:
        return run_part("webhooks", environment | {"GTM_DATABASE_OWNER": "1"})


def knock() -> Numbers:
    """Start the web server, deliver to both views in turns, and return the latencies."""
    bare.create_table()
    server = door(settings.SITE_URL, os.environ, Path(settings.VAR_DIR))
    server.start()
    try:
        server.await_health()
        answers = list(_answers())
    finally:
        server.stop()
    if failed := [answer for answer in answers if answer.status != 200]:
        raise BenchFailed(f"{len(failed)} of {len(answers)} deliveries were not acknowledged, e.g. {failed[0]}.")
    _check_rows(len(answers) // 2)
    return figures(answers)


def door(site: str, environment: Mapping[str, str], folder: Path) -> demo.Service:
    """Return the demo's web server with both views, not started yet, as the visitor that web processes begin as."""
    bind = f"--bind={urlsplit(site).netloc}"
    command = [sys.executable, "-m", "gunicorn", "config.bench.door", bind, *demo.GUNICORN]
    visitor = {name: value for name, value in environment.items() if name != "GTM_DATABASE_OWNER"}
    visitor["GTM_DATABASE_ROLE"] = "visitor"
    return demo.Service("web server", command, visitor, folder / "door.log", f"{site}/healthz")


def _answers() -> Iterator[Answer]:
    address, bodies = urlsplit(settings.SITE_URL).netloc, deliveries(BLOCKS * BLOCK)
    hammer(address, list(warm_up()), clients=CLIENTS)
    for number in range(BLOCKS):
        block = bodies[number * BLOCK : (number + 1) * BLOCK]
        for turn in (signed, unsigned) if number % 2 else (unsigned, signed):
            yield from hammer(address, map(turn, block), clients=CLIENTS)


def warm_up() -> Iterator[Post]:
    """Yield a few requests that open connections and fill caches."""
    for number in range(10 * CLIENTS):
        body = event(-number - 1)
        yield signed(body)
        yield unsigned(body)


def deliveries(count: int) -> list[bytes]:
    """Return bodies: each event so many times, in no order."""
    bodies = [event(number // COPIES) for number in range(count)]
    random.Random(1).shuffle(bodies)  # noqa: S311 - the same order in every run
    return bodies


def event(number: int) -> bytes:
    """Return the body of an event, as long as Stripe's usually are."""
    ident = f"{number % 10**9:09d}"
    session: dict[str, object] = {
        "id": f"cs_test_{ident}",
        "object": "checkout.session",
        "mode": "subscription",
        "status": "complete",
        "payment_status": "paid",
        "metadata": {"provision_ref": "GTM-000000", "checkout_id": ""},
        "customer": f"cus_{ident}",
        "customer_details": {"email": "a@students.example", "name": "A B", "address": None, "tax_ids": []},
        "lines": [
            {"id": f"li_{each}", "amount": 4700, "price": {"id": "price_1", "recurring": None}} for each in range(8)
        ],
        **{f"option_{each}": None for each in range(40)},
    }
    return json.dumps(
        {
            "id": f"evt_{ident}",
            "object": "event",
            "api_version": "2026-10-28.endive",
            "created": 1790000000,
            "data": {"object": session},
            "livemode": False,
            "pending_webhooks": 1,
            "request": {"id": None, "idempotency_key": None},
            "type": "checkout.session.completed",
        },
        indent=2,
    ).encode()


def signed(body: bytes) -> Post:
    """Return a delivery to the product's webhook."""
    timestamp = int(time.time())
    digest = hmac.new(settings.STRIPE_WEBHOOK_SECRET.encode(), f"{timestamp}.".encode() + body, hashlib.sha256)
    headers = {"Content-Type": "application/json", "Stripe-Signature": f"t={timestamp},v1={digest.hexdigest()}"}
    return Post(reverse("billing-webhook"), body, headers)


def unsigned(body: bytes) -> Post:
    """Return the same delivery to the bare view."""
    return Post(bare.PATH, body, {"Content-Type": "application/json"})


def _check_rows(each: int) -> None:
    """Both views must have stored what they acknowledged."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT count(*) - {10 * CLIENTS} FROM {bare.TABLE}")
        inserted = cursor.fetchone()[0]
        cursor.execute(f"SELECT sum(deliveries) - {10 * CLIENTS} FROM billing_webhookevent")
        delivered = cursor.fetchone()[0]
    if (inserted, delivered) != (each, each):
        raise BenchFailed(f"Of {each} deliveries {delivered} were stored, and {inserted} by the bare view.")


def figures(answers: list[Answer]) -> Numbers:
    """Return what each view took, and the ratios."""
    took = {
        name: [1000 * answer.seconds for answer in answers if (answer.path == bare.PATH) is is_bare]
        for name, is_bare in (("webhook", False), ("bare", True))
    }
    numbers = {
        f"{name}_p{share}_ms": percentile(found, share / 100) for name, found in took.items() for share in (50, 99)
    }
    for share in (50, 99):
        numbers[f"webhook_p{share}_over_bare"] = numbers[f"webhook_p{share}_ms"] / numbers[f"bare_p{share}_ms"]
    return numbers | {"webhook_deliveries": float(len(took["webhook"]))}


def table(numbers: Mapping[str, float]) -> Iterator[str]:
    """Yield the lines of the report."""
    yield f"\n{f'acknowledging, {CLIENTS} at a time':<32}{'p50 ms':>8}{'p99 ms':>8}"
    for name, label in (("webhook", "webhook: verify, store, ring"), ("bare", "a bare view inserting one row")):
        yield f"  {label:<30}{numbers[f'{name}_p50_ms']:>8.1f}{numbers[f'{name}_p99_ms']:>8.1f}"
    yield f"  {'ratio':<30}{numbers['webhook_p50_over_bare']:>8.2f}{numbers['webhook_p99_over_bare']:>8.2f}"


CHAPTER = Chapter(run, table, {"webhooks": knock})
