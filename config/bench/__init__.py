"""What `manage.py bench` measures, in chapters. `docs/performance.md` says what the numbers mean.

A chapter is a module of this package that holds a `CHAPTER`. The command checks what every chapter needs, runs one after
the other in a folder of its own, and writes all numbers together. A new chapter is a new module and one more name here.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module

from .chapter import BenchFailed, Chapter, Note, Numbers

CHAPTERS = ("product", "memory", "webhooks", "engines", "figures", "cohort", "domains")

__all__ = ["CHAPTERS", "BenchFailed", "Chapter", "Note", "Numbers", "chapters", "measure"]


def chapters(only: str = "") -> Iterator[Chapter]:
    """Yield the chapters in their order, or those of a list with commas. Raises BenchFailed for an unknown name."""
    wanted = only.split(",") if only else CHAPTERS
    for name in wanted:
        if name not in CHAPTERS:
            raise BenchFailed(f"There is no chapter {name!r}; there are {', '.join(CHAPTERS)}.")
        found: Chapter = import_module(f"{__name__}.{name}").CHAPTER  # here, because the chapters need the models
        yield found


def measure(part: str) -> Numbers:
    """Run one part in this process. Raises BenchFailed when no chapter has it."""
    for chapter in chapters():
        if part in chapter.parts:
            return chapter.parts[part]()
    raise BenchFailed(f"There is no part {part!r}.")
