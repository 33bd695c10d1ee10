"""The harness: equal seeds play equal stories, a death takes everything with it, and it is quick."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from infra import clock
from infra.dns.records import Type
from infra.dns.resolver import Status
from provisioning.engine import failpoints
from provisioning.models import Event, Flight

from .harness import Crash, World, alike, begin, dying, new_world, outlive, story


def played(seed: int) -> tuple[list[str], list[str]]:
    """Play two orders among faults and deaths by chance; return the request log and the events."""
    world = new_world(seed=seed, profile="demo")
    world.overshoot, world.mortality = 20.0, 0.02
    made = [begin(world, name, spares=4) for name in ("acme", "bolt")]
    with dying(world.dies_by_chance):
        for one in made:
            outlive(one, hours=96)
    log = [f"{e.at:.3f} {e.platform}.{e.verb} {e.status} {alike(str(e.items))} {e.fault}" for e in world.sandbox.log]
    return log, [event for one in made for event in events_of(one.provision)]


def events_of(provision: Any) -> Iterator[str]:
    for row in Event.objects.filter(provision=provision).order_by("created_at", "id"):
        yield alike(f"{row.kind} {row.step_key} {row.item} {row.from_state} {row.to_state} {row.sentence}")


def test_equal_seeds_play_equal_stories() -> None:
    first, second = played(11), played(11)
    assert first == second
    assert played(12) != first


def test_a_story_ends_as_it_does_elsewhere() -> None:
    made = story()
    made.play()
    made.check()


def test_a_dead_worker_writes_nothing_more() -> None:
    """Not even in its `finally` blocks: its place in the bulkhead stays taken until its time is over."""
    made = story()
    with dying(lambda name, _subject: name == "after_work"), pytest.raises(Crash):
        made.play()
    assert isinstance(made.world, World)
    made.world.bury()
    assert Flight.objects.filter(until__isnull=False).count() == 1
    made.play()
    made.check()


def test_a_silent_name_server_costs_its_time_on_all_clocks() -> None:
    world = new_world(switches={"dns_authoritative": "silent"})
    (server,) = world.workshop.name_servers.authoritative
    before = clock.monotonic(), world.sandbox.clock.now(), clock.vendor_now().timestamp()

    assert server.query("getacme.com", Type.MX, timeout=2.0).status is Status.TIMEOUT

    after = clock.monotonic(), world.sandbox.clock.now(), clock.vendor_now().timestamp()
    assert [round(late - early, 3) for early, late in zip(before, after, strict=True)] == [2.0, 2.0, 2.0]


def test_no_failpoint_is_left_behind() -> None:
    with dying(lambda name, subject: True):
        pass
    assert failpoints._hook is None
