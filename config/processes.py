"""What the operating system says of processes: who descends from whom, and how much memory each holds."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class Process:
    """One process as it is now. `resident` is in kilobytes."""

    pid: int
    parent: int
    resident: int
    command: str


def tree(root: int) -> list[Process]:
    """Return a process and everything below it, parents first; what has lost its parent is not below it any more."""
    alive = {process.pid: process for process in snapshot()}
    children: dict[int, list[int]] = {}
    for process in alive.values():
        children.setdefault(process.parent, []).append(process.pid)
    pids = [root] if root in alive else []
    for pid in pids:
        pids += children.get(pid, [])
    return [alive[pid] for pid in pids]


def snapshot() -> Iterator[Process]:
    """Yield every process that we may look at."""
    return _from_proc() if (PROC / "self" / "stat").exists() else _from_ps()


def shared_fairly(pid: int) -> int:
    """Return the kilobytes of a process where each shared page counts a share (PSS); 0 where nobody says so."""
    with contextlib.suppress(OSError):
        for line in (PROC / str(pid) / "smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1])
    return 0


def _from_proc() -> Iterator[Process]:
    page = os.sysconf("SC_PAGE_SIZE") // 1024
    for name in filter(str.isdigit, os.listdir(PROC)):
        with contextlib.suppress(OSError):
            fields = (PROC / name / "stat").read_text().rpartition(")")[2].split()
            command = (PROC / name / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            if fields[0] != "Z":
                yield Process(int(name), int(fields[1]), int(fields[21]) * page, command.strip())


def _from_ps() -> Iterator[Process]:
    listing = ["ps", "-ww", "-axo", "pid=,ppid=,rss=,command="]
    for line in subprocess.run(listing, capture_output=True, text=True, check=True).stdout.splitlines():
        pid, parent, resident, command = line.split(None, 3)
        yield Process(int(pid), int(parent), int(resident), command)
