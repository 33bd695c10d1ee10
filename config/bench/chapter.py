"""The seam between the command and what it measures."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

Numbers = dict[str, float]
Note = Callable[[str], None]  # tells the person who waits what is being done


class BenchFailed(Exception):
    """Something that must work for a measurement did not. The text is one sentence."""


def _nothing() -> None:
    pass


@dataclass(frozen=True)
class Chapter:
    """A group of measurements that share a table.

    `run` gets an empty folder of its own and makes worlds in it; it may start parts, each a process of its own
    (`worlds.run_part`). `needs` raises BenchFailed when something is missing, and is called before anything is measured.
    """

    run: Callable[[Path, Note], Numbers]
    lines: Callable[[Mapping[str, float]], Iterator[str]]
    parts: Mapping[str, Callable[[], Numbers]] = field(default_factory=dict)
    needs: Callable[[], None] = _nothing
