"""Part or whole: `make test` runs a representative part of the chaos tests, `make chaos` (GTM_CHAOS=whole) all of it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

T = TypeVar("T")

IS_WHOLE = os.environ.get("GTM_CHAOS") == "whole"
IN_ONE_RUN = 4  # troubles, each with another call, that one run of the whole meets
DEATHS_IN_ONE_RUN = 3  # fewer than those after which a person is told of a run whose workers die


def sample(items: Iterable[T], *, part: int) -> list[T]:
    """Return all items in the whole, in the part `part` of them: always the same ones, spread evenly, first and last
    included."""
    everything = list(items)
    if IS_WHOLE or len(everything) <= part:
        return everything
    if part == 1:
        return everything[:1]
    return [everything[round(n * (len(everything) - 1) / (part - 1))] for n in range(part)]


def packs(items: Sequence[T]) -> Iterator[Sequence[T]]:
    """Yield what one run meets at once: a few of the items in the whole, all of them in the part."""
    size = IN_ONE_RUN if IS_WHOLE else max(1, len(items))
    for start in range(0, len(items), size):
        yield items[start : start + size]
