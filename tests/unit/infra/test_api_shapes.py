"""Serializers made from dataclasses: what goes in comes out, and what JSON cannot hold is refused when it is declared."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest
from django.utils.safestring import SafeString, mark_safe

from infra.api.shapes import serializer_of


@dataclass(frozen=True)
class Leaf:
    text: str


@dataclass(frozen=True)
class Tree:
    """A tree."""

    name: SafeString
    count: int
    share: float
    open: bool
    at: datetime | None
    leaf: Leaf | None
    rows: list[list[Leaf]]


@dataclass(frozen=True)
class Odd:
    value: object


def test_a_dataclass_becomes_json() -> None:
    tree = Tree(mark_safe("<b>a</b>"), 3, 0.5, True, datetime(2030, 1, 2, tzinfo=UTC), None, [[Leaf("x")], []])
    assert json.loads(json.dumps(serializer_of(Tree)(tree).data)) == {
        "name": "<b>a</b>",
        "count": 3,
        "share": 0.5,
        "open": True,
        "at": "2030-01-02T00:00:00Z",
        "leaf": None,
        "rows": [[{"text": "x"}], []],
    }


def test_a_member_that_json_cannot_hold_is_refused() -> None:
    with pytest.raises(TypeError):
        serializer_of(Odd)
