"""Runs one program for a parent that may die at any moment: `python guard.py PROGRAM ARGUMENT...`

The parent holds the other end of our standard input. When it closes that end, on purpose or by dying, the program is
asked to stop (its main process only: a group that gets SIGTERM all at once can hang), then its whole process group is
killed. When the program ends by itself, what is left of its group goes too. Standard library only, so
that a guard is small and quick.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable

GRACE_SECONDS = 20.0


def main(command: list[str]) -> int:
    for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(name, signal.SIG_IGN)  # the parent decides, through the pipe
    program = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, start_new_session=True, preexec_fn=_prepare(), restore_signals=True
    )
    threading.Thread(target=_stop_when_parent_leaves, args=[program], daemon=True).start()
    code = program.wait()
    _signal_group(program.pid, signal.SIGKILL)
    return code if code >= 0 else 128 - code


def _prepare() -> Callable[[], None]:
    prctl = ctypes.CDLL(None).prctl if sys.platform.startswith("linux") else None

    def prepare() -> None:
        for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(name, signal.SIG_DFL)
        if prctl is not None:
            prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG: the guard itself may be killed too

    return prepare


def _stop_when_parent_leaves(program: subprocess.Popen[bytes]) -> None:
    while os.read(0, 1024):
        pass
    program.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        program.wait(GRACE_SECONDS)
    _signal_group(program.pid, signal.SIGKILL)


def _signal_group(group: int, which: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, which)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
