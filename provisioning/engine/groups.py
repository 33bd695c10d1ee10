"""Groups of worker processes on this machine: which of them are dead, so that their leases need not run out.

A group is one cluster with its supervisor. Each of the two holds a lock that the kernel drops however they end:

    <group>.supervisor   by `manage.py worker` alone
    <group>.cluster      by the cluster and everything it forks, through an inherited file; it names the process group

A supervisor that starts looks for groups whose supervisor is gone. It kills what is left of their clusters (two
clusters would work beside each other) and names them, so that their leases are ended: a restart on the same machine goes
on in seconds. A machine that is lost takes its locks along; its leases run out by themselves.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import IO

log = logging.getLogger(__name__)

SUPERVISOR, CLUSTER = ".supervisor", ".cluster"
PR_SET_PDEATHSIG = 1
DIES_WITHIN = 5.0  # seconds after SIGKILL until the kernel has let go of a lock


class Membership:
    """The two locks of one group, held by its supervisor until it hands one of them to the cluster.

    Where the folder cannot be written there are no locks, and leases run out by themselves.
    """

    def __init__(self, folder: Path, group: str) -> None:
        self.folder, self.group = folder, group
        self.supervisor: IO[bytes] | None = None
        self.cluster: IO[bytes] | None = None
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self.supervisor = _locked(folder / f"{group}{SUPERVISOR}")
            self.cluster = _locked(folder / f"{group}{CLUSTER}")
        except OSError as error:
            log.warning("no locks of worker groups: leases of a killed worker end by themselves (%s)", error)

    def start(self, command: Sequence[str], environment: Mapping[str, str], folder: Path) -> subprocess.Popen[bytes]:
        """Start the cluster in a process group of its own and leave its lock to it.

        A Ctrl-C in the terminal does not reach it: it is stopped in order. On Linux it is asked to stop when we die.
        """
        handle = self.cluster.fileno() if self.cluster else None
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=dict(environment),
            start_new_session=True,
            pass_fds=() if handle is None else (handle,),
            preexec_fn=partial(_enlist, handle),
        )
        if self.cluster is not None:
            self.cluster.close()  # closed, never unlocked: the cluster shares this lock
        return process

    def end(self) -> None:
        """Remove the locks of a group that is known to be dead."""
        if self.supervisor is not None:
            self.supervisor.close()
        _remove(self.folder, self.group)


def _enlist(handle: int | None) -> None:
    """In the child, before it becomes the cluster: there is no moment at which it runs and is not named."""
    if handle is not None:
        os.write(handle, str(os.getpid()).encode())
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def bury_dead(folder: Path) -> Iterator[str]:
    """Yield the groups whose supervisor is gone, after killing what was left of their clusters."""
    for path in sorted(folder.glob(f"*{SUPERVISOR}")):
        group = path.name.removesuffix(SUPERVISOR)
        with contextlib.suppress(OSError):
            try:
                lock = _locked(path)
            except BlockingIOError:
                continue  # alive
            with lock:
                if _kill_cluster(folder / f"{group}{CLUSTER}"):
                    _remove(folder, group)
                    yield group


def alive(folder: Path) -> Iterator[str]:
    """Yield the groups whose supervisor runs."""
    for path in sorted(folder.glob(f"*{SUPERVISOR}")):
        try:
            _locked(path).close()
        except BlockingIOError:
            yield path.name.removesuffix(SUPERVISOR)


def supervisor_of(group: str) -> int:
    """Return the process of a group's supervisor: it has named the group, `<host>:<process>:<moment>`."""
    return int(group.rsplit(":", 2)[1])


def _kill_cluster(path: Path) -> bool:
    """Kill the process group that holds the lock of a cluster; return whether nobody holds it any more."""
    deadline = time.monotonic() + DIES_WITHIN
    while path.exists():
        try:
            _locked(path).close()
            return True
        except BlockingIOError:
            # Held, so the number in the file still belongs to the group that we started under it.
            pid = path.read_bytes()
            if not pid.isdigit() or time.monotonic() > deadline:
                return False
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(int(pid), signal.SIGKILL)
            time.sleep(0.02)
    return True


def _locked(path: Path) -> IO[bytes]:
    """Open a file and lock it. Raises BlockingIOError when somebody holds the lock."""
    file = _opened(path)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BaseException:
        file.close()
        raise
    return file


def _opened(path: Path) -> IO[bytes]:
    return open(path, "ab")


def _remove(folder: Path, group: str) -> None:
    for ending in (CLUSTER, SUPERVISOR):
        with contextlib.suppress(OSError):
            (folder / f"{group}{ending}").unlink(missing_ok=True)
