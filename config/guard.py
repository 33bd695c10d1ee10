"""Runs one program for a parent that may die at any moment: `python guard.py PROGRAM ARGUMENT...`

The parent holds the other end of our standard input. When it closes that end, on purpose or by dying, the program is
asked to stop (its main process only: a group that gets SIGTERM all at once can hang), then killed. However the program
ends, everything it leaves behind goes with it: its process group, and on Linux also children that made groups of their
own, which the kernel hands to us. Standard library only, so that a guard is small and quick.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator

GRACE_SECONDS = 25.0
ON_LINUX = sys.platform.startswith("linux")
PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36


def main(command: list[str]) -> int:
    for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(name, signal.SIG_IGN)  # the parent decides, through the pipe
    if ON_LINUX:
        _prctl(PR_SET_CHILD_SUBREAPER, 1)
    program = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True, preexec_fn=_prepare)
    threading.Thread(target=_stop_when_parent_leaves, args=[program], daemon=True).start()
    code = program.wait()
    _kill_group(program.pid)
    _kill_orphans()
    return code if code >= 0 else 128 - code


def _prepare() -> None:
    """In the child: answer signals as usual, and get one when the guard itself is killed."""
    for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(name, signal.SIG_DFL)
    if ON_LINUX:
        _prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def _prctl(option: int, value: int) -> None:
    ctypes.CDLL(None).prctl(option, value)


def _stop_when_parent_leaves(program: subprocess.Popen[bytes]) -> None:
    while os.read(0, 1024):
        pass
    program.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        program.wait(GRACE_SECONDS)
    _kill_group(program.pid)


def _kill_group(group: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)


def _kill_orphans() -> None:
    """Kill what the program left to us. The children of what is killed come to us in turn."""
    while ON_LINUX and (orphans := list(_children())):
        for orphan in orphans:
            with contextlib.suppress(ProcessLookupError):
                os.kill(orphan, signal.SIGKILL)
            with contextlib.suppress(ChildProcessError):
                os.waitpid(orphan, 0)


def _children() -> Iterator[int]:
    for name in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError), open(f"/proc/{name}/stat") as stat:
            if int(stat.read().rpartition(")")[2].split()[1]) == os.getpid():
                yield int(name)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
