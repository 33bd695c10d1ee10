"""Deliveries by the thousand, and workers that go on working while they arrive."""

from __future__ import annotations

import json
import random
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import cycle, islice
from pathlib import Path
from typing import Any

from django.db import connection

from config.bench import bare
from config.bench.hammer import Post
from config.bench.webhooks import door, signed, unsigned
from tests import harness
from tests.integration.billing.shop import Shop
from tests.integration.processes import Processes

from .market import Market

Event = dict[str, Any]

DECIDING = ("checkout.session.completed", "invoice.paid")
BREATH = 0.02  # seconds a worker waits that found nothing to do


def events_of_paying(market: Market, *, each: int) -> Iterator[Event]:
    """Let every buyer pay, and yield what Stripe tells of it: `each` events per purchase, all with ids of their own.

    Stripe makes nine of one payment. The others tell again, under further ids, what decides.
    """
    for shop in market.shops:
        known = len(market.events())
        shop.press(shop.order(), "pay")
        own = market.events()[known:]
        deciding = [event for event in own if event["type"] in DECIDING]
        again = ({**event, "id": f"{event['id']}_{number}"} for number, event in enumerate(cycle(deciding)))
        yield from own
        yield from islice(again, each - len(own))


def posts(events: Iterable[Event], *, copies: int, bare_every: int, seed: int) -> Iterator[Post]:
    """Yield each event so many times, in no order, each signed at the last moment; between them the bare view's."""
    bodies = [json.dumps(event, indent=2).encode() for event in events] * copies
    random.Random(seed).shuffle(bodies)
    for number, body in enumerate(bodies):
        yield signed(body)
        if number % bare_every == 0:
            yield unsigned(body)


@contextmanager
def web_server(folder: Path) -> Iterator[str]:
    """Run the demo's web server, with the bare view beside it, on this test's database; yield its address."""
    with harness.as_owner():
        bare.create_table()
    processes = Processes(folder, speed=1)
    server = door(processes.site, processes.environment, folder)
    server.start()
    try:
        server.await_health()
        yield processes.site.removeprefix("http://")
    finally:
        server.stop()
        with harness.as_owner():
            bare.drop_table()


@contextmanager
def going_on(*works: Callable[[], object]) -> Iterator[None]:
    """Let each of `works` go on in a thread of its own, again and again, until the block ends. Raises what they raise."""
    over, raised = threading.Event(), list[Exception]()

    def go_on(work: Callable[[], object]) -> None:
        try:
            while not over.is_set():
                if not work():
                    over.wait(BREATH)
        except Exception as error:  # noqa: BLE001 - raised below
            raised.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=go_on, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join()
    if raised:
        raise raised[0]


def one_after_the_other(shops: Iterable[Shop], visit: Callable[[Shop], object]) -> Callable[[], object]:
    """Return work that visits one shop each time, until all were visited."""
    waiting = iter(shops)

    def work() -> bool:
        shop = next(waiting, None)
        if shop is None:
            return False
        visit(shop)
        return True

    return work
