"""Keys of tables that grow follow time."""

from __future__ import annotations

import time
import uuid

import pytest

from infra.models.base import ordered_id


def test_a_later_key_is_a_greater_one(monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    for milliseconds in (1, 2, 1_795_705_435_980, 1_795_705_435_981):
        monkeypatch.setattr(time, "time_ns", lambda now=milliseconds * 1_000_000: now)
        made += [ordered_id()]

    assert made == sorted(made)


def test_a_key_says_by_its_version_how_it_was_made() -> None:
    key = ordered_id()

    assert key.version == 7
    assert key.variant == uuid.RFC_4122


def test_two_keys_of_one_moment_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time_ns", lambda: 1)

    assert len({ordered_id() for _ in range(1000)}) == 1000


def test_keys_of_one_process_keep_their_order_within_a_millisecond() -> None:
    made = [ordered_id() for _ in range(5000)]
    assert made == sorted(made)
