"""Groups of worker processes: who is dead is known by locks that the kernel drops."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from provisioning.engine import groups
from provisioning.engine.groups import Membership, alive, bury_dead, supervisor_of

SLEEP = [sys.executable, "-c", "import time; print('up', flush=True); time.sleep(60)"]
# A cluster whose main process dies and leaves a worker behind.
ORPHANS = """
import os, time
if not os.fork():
    open("child", "w").close()
time.sleep(60)
"""


def begin(
    folder: Path, command: list[str] = SLEEP, group: str = "host:1:1"
) -> tuple[Membership, subprocess.Popen[bytes]]:
    member = Membership(folder, group)
    return member, member.start(command, os.environ, folder)


def lose_supervisor(member: Membership) -> None:
    """Let go of the supervisor's lock, as the kernel does when it dies."""
    assert member.supervisor is not None
    member.supervisor.close()


def eventually(done: Callable[[], bool], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline
        threading.Event().wait(0.02)


def test_a_living_group_is_left_alone(tmp_path: Path) -> None:
    member, process = begin(tmp_path)

    assert list(bury_dead(tmp_path)) == []
    assert process.poll() is None
    process.kill()
    process.wait()
    member.end()


def test_a_group_runs_for_as_long_as_its_supervisor_does_and_names_it(tmp_path: Path) -> None:
    member, process = begin(tmp_path, group="host:with:colons:4711:1")

    assert [supervisor_of(group) for group in alive(tmp_path)] == [4711]
    lose_supervisor(member)
    assert list(alive(tmp_path)) == []
    process.kill()
    process.wait()
    member.end()


def test_a_cluster_without_its_supervisor_is_killed_and_named(tmp_path: Path) -> None:
    member, process = begin(tmp_path)
    lose_supervisor(member)

    assert list(bury_dead(tmp_path)) == ["host:1:1"]
    assert process.wait(5) == -9
    assert list(tmp_path.iterdir()) == []


def test_what_a_dead_cluster_left_behind_is_killed_too(tmp_path: Path) -> None:
    member, process = begin(tmp_path, [sys.executable, "-c", ORPHANS])
    eventually((tmp_path / "child").exists)
    process.kill()
    process.wait()
    lose_supervisor(member)
    with pytest.raises(BlockingIOError):  # the child holds it
        groups._locked(tmp_path / f"host:1:1{groups.CLUSTER}")

    assert list(bury_dead(tmp_path)) == ["host:1:1"]  # only once the kernel has let go of the child's lock


def test_a_group_of_which_nothing_lives_is_named_once(tmp_path: Path) -> None:
    member, process = begin(tmp_path)
    process.kill()
    process.wait()
    lose_supervisor(member)

    assert list(bury_dead(tmp_path)) == ["host:1:1"]
    assert list(bury_dead(tmp_path)) == []


def test_the_end_of_a_group_removes_its_locks(tmp_path: Path) -> None:
    member, process = begin(tmp_path)
    process.kill()
    process.wait()
    member.end()

    assert list(tmp_path.iterdir()) == []


def test_no_folder_means_no_locks_and_no_harm(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    member = Membership(tmp_path / "file", "host:1:1")
    process = member.start(SLEEP, os.environ, tmp_path)

    assert list(bury_dead(tmp_path / "file")) == []
    process.kill()
    process.wait()
    member.end()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux tells a child that its parent died")
def test_the_cluster_is_asked_to_stop_when_its_supervisor_dies(tmp_path: Path) -> None:
    program = (
        "import os, signal, sys; from pathlib import Path; from provisioning.engine.groups import Membership;"
        f"member = Membership(Path({str(tmp_path)!r}), 'host:1:1');"
        f"process = member.start({SLEEP!r}, os.environ, Path('.'));"
        "os.read(0, 1); os.kill(os.getpid(), signal.SIGKILL)"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as supervisor:
        assert supervisor.stdout is not None
        assert supervisor.stdin is not None
        assert supervisor.stdout.readline() == b"up\n"
        supervisor.stdin.write(b".")
        supervisor.stdin.flush()
        supervisor.wait(10)

        assert supervisor.stdout.read() == b""  # ends when the cluster, which holds the other end, has ended
