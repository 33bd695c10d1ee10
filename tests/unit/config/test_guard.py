"""Nothing that the demo starts outlives it, however it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from config import guard

# Runs the guard with a short patience.
GUARD = [
    sys.executable,
    "-c",
    f"import sys; sys.path.insert(0, {str(Path(guard.__file__).parent)!r});"
    " import guard; guard.GRACE_SECONDS = 0.3; sys.exit(guard.main(sys.argv[1:]))",
]

POLITE = (
    "import signal, sys; signal.signal(signal.SIGTERM, lambda *_: sys.exit(7)); print('up', flush=True); signal.pause()"
)
STUBBORN = """
import os, signal, sys, time
child = os.fork()
signal.signal(signal.SIGTERM, signal.SIG_IGN)
if child:
    print(child, flush=True)
while True:
    time.sleep(60)
"""
LEAVES_A_CHILD = "import os, time; child = os.fork(); print(child, flush=True) if child else time.sleep(60)"

STARTS_A_SESSION = """
import os, signal, subprocess, sys
child = "import subprocess, sys; subprocess.run([sys.executable, '-c', %r])"
grandchild = "import os, time; print(os.getpid(), flush=True); time.sleep(60)"
session = subprocess.Popen([sys.executable, "-c", child % grandchild], start_new_session=True, stdout=subprocess.PIPE)
print(session.stdout.readline().decode(), end="", flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def start(program: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*GUARD, sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def first_word(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def let_go(process: subprocess.Popen[str]) -> int:
    process.communicate(timeout=10)
    return process.returncode


def eventually(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 10
    while not condition():
        if time.monotonic() > deadline:
            return False
        threading.Event().wait(0.02)
    return True


def is_gone(pid: int) -> bool:
    stat = Path(f"/proc/{pid}/stat")
    if stat.parent.parent.joinpath("self").exists():
        return not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] == "Z"
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def test_the_program_is_asked_to_stop_when_the_parent_lets_go() -> None:
    process = start(POLITE)
    assert first_word(process) == "up"

    assert let_go(process) == 7


def test_a_program_that_does_not_listen_is_killed_with_its_children() -> None:
    process = start(STUBBORN)
    child = int(first_word(process))

    assert let_go(process) == 128 + signal.SIGKILL
    assert eventually(lambda: is_gone(child))


def test_what_a_program_leaves_behind_goes_with_it() -> None:
    process = start(LEAVES_A_CHILD)
    child = int(first_word(process))

    assert process.wait(timeout=10) == 0
    assert eventually(lambda: is_gone(child))
    let_go(process)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the kernel hands orphans over on Linux only")
def test_orphans_with_a_session_of_their_own_go_too() -> None:
    """A killed worker leaves its cluster, which has a group of its own, and would go on working beside the next one."""
    process = start(STARTS_A_SESSION)
    grandchild = int(first_word(process))

    assert process.wait(timeout=10) == 128 + signal.SIGKILL
    assert is_gone(grandchild)
    let_go(process)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the kernel tells the program on Linux only")
def test_a_killed_guard_takes_the_program_with_it() -> None:
    process = start("import os, time; print(os.getpid(), flush=True); time.sleep(60)")
    program = int(first_word(process))

    process.kill()

    assert eventually(lambda: is_gone(program))
    let_go(process)


def test_the_program_answers_signals_as_usual_under_a_guard_that_ignores_them() -> None:
    process = start("import os, signal; print('up', flush=True); os.kill(os.getpid(), signal.SIGTERM)")
    first_word(process)

    assert let_go(process) == 128 + signal.SIGTERM
