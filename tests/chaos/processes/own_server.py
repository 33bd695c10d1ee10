"""A PostgreSQL of a test's own, as a small installation runs it: embedded, durable, and stopped at the worst moments."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

from django.db import connection

from config import postgres
from tests import harness
from tests.integration.processes import Processes, until


class OwnServer:
    """The server in `data_dir`, kept by config/postgres.py. It commits to the disk, as in production."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir
        self.url = postgres.url(data_dir)

    def pid(self) -> int:
        """Return the main process, once the server is ready."""
        until(lambda: postgres._is_ready(self.data_dir), seconds=60, otherwise="PostgreSQL did not come back")
        found = postgres._postmaster(self.data_dir)
        assert found is not None
        return found[0]

    def stop_immediately(self) -> None:
        """Do what `pg_ctl stop -m immediate` does: all sessions die at once and nothing is flushed."""
        pid = self.pid()
        os.kill(pid, signal.SIGQUIT)
        until(lambda: not postgres._is_our_server(pid, self.data_dir), seconds=30, otherwise="PostgreSQL did not stop")
        connection.close()  # ours died with the others

    @contextlib.contextmanager
    def kept_down(self) -> Iterator[None]:
        """Stop it immediately and let nobody start it again within the block."""
        keeper = parent_of(self.pid())
        os.kill(keeper, signal.SIGSTOP)
        try:
            self.stop_immediately()
            yield
        finally:
            os.kill(keeper, signal.SIGCONT)


@contextlib.contextmanager
def own_server() -> Iterator[OwnServer]:
    """Start a server with an empty, migrated database, and let this process use it for a block."""
    folder = Path(tempfile.mkdtemp(prefix="gtm-tests-"))
    folder.chmod(0o711)  # as root, the server runs as somebody else and must pass through
    server = OwnServer(folder / "data")
    try:
        host = str(postgres.socket_dir(server.data_dir))
        with postgres.running(server.data_dir), harness.on_database(postgres.DATABASE, host=host):
            yield server
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def migrate(world: Processes) -> None:
    """Make the tables of a world's database."""
    process = world.start("migrate", "--no-input", "--verbosity=0")
    assert process.wait(120) == 0, world.log()


def parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
