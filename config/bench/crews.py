"""The processes of one contestant, and requests to them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.conf import settings

from .chapter import BenchFailed
from .worlds import MANAGE

RIVALS_PYTHON = Path(settings.BASE_DIR) / ".venv-bench" / "bin" / "python"
MISSING = "The rivals' packages are missing: run `make bench`, which installs requirements/bench.txt into .venv-bench."


def require_rivals() -> None:
    """Raise BenchFailed unless the environment of the rivals is there and holds them all."""
    if not RIVALS_PYTHON.exists():
        raise BenchFailed(MISSING)
    tried = subprocess.run(
        [RIVALS_PYTHON, "-c", "import dbos, procrastinate, psycopg"], check=False, capture_output=True
    )
    if tried.returncode:
        raise BenchFailed(MISSING)


def commands(urls: Mapping[str, str]) -> dict[str, list[str]]:
    """Return the command of each contestant's processes; NAME and ROLE are to be filled in."""
    ours = [sys.executable, MANAGE, "bench", "--part", "noop-worker"]
    rooms = {"floor": "floor", "dbos": "with_dbos", "procrastinate": "with_procrastinate"}
    rivals = {
        name: [str(RIVALS_PYTHON), "-m", f"config.bench.rivals.{room}", urls[name], "NAME", "ROLE"]
        for name, room in rooms.items()
    }
    return {"engine": ours, **rivals}


@dataclass(frozen=True, slots=True)
class Reply:
    """What a process answered, when it began (seconds since the epoch), and how long it took."""

    answer: Any
    at: float
    seconds: float


class Crew:
    """Processes that all run the same command and answer one request a line. Ended with the block."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        environment: Mapping[str, str],
        folder: Path,
        *,
        size: int,
        role: str = "worker",
    ) -> None:
        self.name = name
        self.log = folder / f"{name}.log"
        self._file = self.log.open("ab")
        self.members = [
            subprocess.Popen(
                [{"NAME": f"{role}{number}of{size}", "ROLE": role}.get(part, part) for part in command],
                env=dict(environment),
                cwd=settings.BASE_DIR,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._file,
                text=True,
            )
            for number in range(size)
        ]

    def __enter__(self) -> Crew:
        try:
            for member in self.members:
                self._read(member)  # "ready"
        except BaseException:
            self.end()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def end(self) -> None:
        """Kill the processes."""
        for member in self.members:
            member.kill()
            member.communicate()  # closes its pipes
        self._file.close()

    def ask(self, do: str, *, of: int = 1, **body: Any) -> list[Reply]:
        """Send a request to the first `of` processes at once and return their answers. Raises BenchFailed."""
        for member in self.members[:of]:
            assert member.stdin is not None
            member.stdin.write(json.dumps({"do": do, **body}) + "\n")
            member.stdin.flush()
        return [Reply(**self._read(member)) for member in self.members[:of]]

    def _read(self, member: subprocess.Popen[str]) -> Any:
        assert member.stdout is not None
        line = member.stdout.readline()
        if not line:
            last = self.log.read_text(errors="replace").splitlines()[-12:]
            raise BenchFailed(f"A process of {self.name} ended.\n" + "\n".join(last))
        return json.loads(line)
