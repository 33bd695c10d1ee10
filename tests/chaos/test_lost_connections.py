"""The database ends a worker's connection in mid-work: the run is given back and goes on at once, not when its lease ends."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from django.db import OperationalError, close_old_connections, connection

from provisioning.engine import claims, failpoints
from tests.integration.processes import address_of_our_database

from .harness import Story, due_runs, story

PLACES = [
    "before_intent",
    "before_outcome",
    "after_outcome",
    "before_record",
    "after_record",
    "before_read",
    "after_read",
]


def end_our_connection() -> None:
    """Do what a database does that is stopped, or an administrator who is impatient."""
    assert connection.connection is not None
    pid = connection.connection.info.backend_pid
    with psycopg.connect(address_of_our_database()) as owner:
        owner.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])


@contextmanager
def cutting(place: str) -> Iterator[list[str]]:
    """End the connection once, at a failpoint. Yields the failpoints at which that happened."""
    cuts: list[str] = []

    def hook(name: str, _subject: Any) -> None:
        if name == place and not cuts:
            cuts.append(name)
            end_our_connection()

    failpoints.set_hook(hook)
    try:
        yield cuts
    finally:
        failpoints.set_hook(None)


def played_until_cut(place: str) -> Story:
    made = story()
    with cutting(place) as cuts:
        made.play(until=lambda: bool(cuts))
    return made


@pytest.mark.parametrize("place", PLACES)
def test_a_run_whose_connection_broke_is_due_at_once(place: str) -> None:
    made = played_until_cut(place)

    assert due_runs() == [made.run.pk]
    made.play()
    made.check()


def test_without_being_given_back_it_waits_for_its_lease(monkeypatch: pytest.MonkeyPatch) -> None:
    """The control."""
    monkeypatch.setattr(claims, "give_back", lambda _claim: connection.close())

    made = played_until_cut("before_outcome")

    assert due_runs() == []
    assert made.world.until_next() >= claims.IDLE_LEASE


def test_an_answer_is_kept_although_the_connection_broke_before_it_was() -> None:
    made = played_until_cut("after_answer")

    assert due_runs() == []  # the wake-up went on
    made.play()
    made.check()


def die_between_two_tasks() -> None:
    """Let the connection die while it is idle; the next task begins as django-q2 begins each."""
    end_our_connection()
    close_old_connections()


def test_a_connection_that_died_while_idle_costs_no_ring() -> None:
    made = story()
    die_between_two_tasks()

    made.play()
    made.check()


def test_without_a_check_of_its_health_it_does(monkeypatch: pytest.MonkeyPatch) -> None:
    """The control."""
    story()
    die_between_two_tasks()
    monkeypatch.setattr(connection, "close_if_health_check_failed", lambda: None)

    with pytest.raises(OperationalError):
        claims.take_next()
    connection.close()
