"""The world on disk: written whole and swapped in, so that a stop at any moment leaves a readable file."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import TYPE_CHECKING

from .clock import RunningClock

if TYPE_CHECKING:
    from .world import World

VERSION = 1


class BadState(Exception):
    """The state file cannot be read. Its text is a sentence for the operator."""


class StateFile:
    """One file that holds world and clock. It is the sandbox's own: never load one from elsewhere (it is a pickle)."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def load(self) -> tuple[World, RunningClock] | None:
        """Return what the file holds, None when there is none. Raises BadState."""
        try:
            content = self.path.read_bytes()
        except FileNotFoundError:
            return None
        try:
            version, world, origin = pickle.loads(content)  # noqa: S301 - a file that only this class writes
            if version != VERSION:
                raise ValueError(f"version {version}")
        except Exception as error:  # a pickle of another version may raise anything
            raise BadState(f"The sandbox cannot read {self.path}; delete it to start with empty platforms.") from error
        return world, RunningClock(*origin)

    def save(self, world: World, clock: RunningClock) -> None:
        """Replace the file."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        origin = (clock.speed, clock.origin_real, clock.origin_virtual, clock.advanced)
        fresh = self.path.with_name(self.path.name + ".new")
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            pickle.dump((VERSION, world, origin), file, protocol=pickle.HIGHEST_PROTOCOL)
        fresh.replace(self.path)
