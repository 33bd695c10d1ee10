"""All ways in which something can go: every choice of a course is taken once, or a few courses are drawn by seed.

    for choices in every_course():      # or drawn_courses(100, seed=1)
        play(choices)                   # asks `choices.pick(n)` wherever something else could happen, and nothing else

A course is played from its beginning each time: what is played must do the same when the same is picked.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator


class Choices:
    """What is picked in one course: first what is given, then by chance or, without one, the first of all."""

    def __init__(self, given: Iterable[int] = (), chance: random.Random | None = None) -> None:
        self._given = list(given)
        self.chance = chance
        self.taken: list[tuple[int, int]] = []  # what was picked, of how many

    def pick(self, count: int) -> int:
        """Return a number below `count`."""
        position = len(self.taken)
        if position < len(self._given):
            picked = self._given[position]
        else:
            picked = self.chance.randrange(count) if self.chance else 0
        self.taken.append((picked, count))
        return picked

    def __repr__(self) -> str:
        return f"Choices({[picked for picked, _count in self.taken]})"


def every_course() -> Iterator[Choices]:
    """Yield choices until every way was gone once."""
    given: list[int] = []
    while True:
        choices = Choices(given)
        yield choices
        taken = choices.taken
        while taken and taken[-1][0] + 1 == taken[-1][1]:
            taken = taken[:-1]
        if not taken:
            return
        given = [picked for picked, _count in taken[:-1]] + [taken[-1][0] + 1]


def drawn_courses(count: int, *, seed: int) -> Iterator[Choices]:
    """Yield so many choices by chance; the same ones for the same seed."""
    for number in range(count):
        yield Choices(chance=random.Random(f"{seed}:{number}"))
