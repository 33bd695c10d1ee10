"""The world on disk: written whole and swapped in, so that a stop at any moment leaves a readable file."""

from __future__ import annotations

import json
import os
import pickle
from dataclasses import astuple
from pathlib import Path
from typing import TYPE_CHECKING

from .clock import RunningClock
from .log import KEEP, LogEntry, RequestLog

if TYPE_CHECKING:
    from .world import World

VERSION = 2  # of what the file holds: raised when older ones would lack something


class BadState(Exception):
    """The state file cannot be read. Its text is a sentence for the operator."""


class StateFile:
    """A file that holds world and clock, and a journal of the request log beside it.

    Both are the sandbox's own: never load a state file from elsewhere (it is a pickle).
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.journal = path.with_name(path.name + ".log")
        self.journaled = 0

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
        self._read_journal(world.log)
        return world, RunningClock(*origin)

    def save(self, world: World, clock: RunningClock) -> None:
        """Replace the file, after the journal has what it does not hold."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._write_journal(world.log)
        origin = (clock.speed, clock.origin_real, clock.origin_virtual, clock.advanced)
        fresh = self.path.with_name(self.path.name + ".new")
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            pickle.dump((VERSION, world, origin), file, protocol=pickle.HIGHEST_PROTOCOL)
        fresh.replace(self.path)

    def _write_journal(self, log: RequestLog) -> None:
        """Append what is new; begin anew after a reset."""
        begin_anew = log.count < self.journaled or not self.journaled
        fresh = log.entries if begin_anew else log.since(self.journaled)
        if fresh or begin_anew:
            flags = os.O_WRONLY | os.O_CREAT | (os.O_TRUNC if begin_anew else os.O_APPEND)
            with os.fdopen(os.open(self.journal, flags, 0o600), "w") as file:
                file.writelines(json.dumps(astuple(entry)) + "\n" for entry in fresh)
        self.journaled = log.count

    def _read_journal(self, log: RequestLog) -> None:
        """Take the newest entries. A last line that a crash cut short is left out."""
        try:
            lines = self.journal.read_text().splitlines()[-KEEP:]
        except OSError:
            lines = []
        for line in lines:
            try:
                n, at, platform, verb, method, path, status, items, *rest = json.loads(line)
                log.entries.append(LogEntry(n, at, platform, verb, method, path, status, tuple(items), *rest))
            except (ValueError, TypeError):
                continue
        log.count = max([log.count, *(entry.n for entry in log.entries)])
