"""Part or whole: `make test` runs a representative part of the chaos tests, `make chaos` (GTM_CHAOS=whole) all of it."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TypeVar

T = TypeVar("T")

IS_WHOLE = os.environ.get("GTM_CHAOS") == "whole"


def sample(items: Iterable[T], *, part: int) -> list[T]:
    """Return all items in the whole, in the part `part` of them: always the same ones, spread evenly, first and last
    included."""
    everything = list(items)
    if IS_WHOLE or len(everything) <= part:
        return everything
    if part == 1:
        return everything[:1]
    return [everything[round(n * (len(everything) - 1) / (part - 1))] for n in range(part)]
