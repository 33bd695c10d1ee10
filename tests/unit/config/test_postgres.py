"""The supervisor of the embedded server: shared by processes, gone with the last of them, whole after any crash."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from config import postgres

USER = """
import sys
from pathlib import Path
from config.postgres import running
with running(Path(sys.argv[1])):
    print("running", flush=True)
    sys.stdin.read()
"""


@pytest.fixture(scope="module")
def data_dir() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="gtm-tests-"))
    folder.chmod(0o711)
    yield folder / "data"
    shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def another_user(data_dir: Path) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-c", USER, str(data_dir)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(Path(postgres.__file__).parent.parent)},
    )
    assert process.stdout is not None
    assert process.stdin is not None
    assert process.stdout.readline() == "running\n"
    with process:
        yield process
        process.stdin.close()


def server_pid(data_dir: Path) -> int:
    found = postgres._postmaster(data_dir)
    assert found is not None
    return found[0]


def answers(url: str) -> bool:
    try:
        with psycopg.connect(url) as connection:
            return connection.execute("SELECT 1").fetchone() == (1,)
    except psycopg.OperationalError:
        return False


def eventually(condition: Callable[[], bool], *, seconds: float = 15.0) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        threading.Event().wait(0.02)
    return True


def test_the_server_runs_for_the_block_and_not_longer(data_dir: Path) -> None:
    with postgres.running(data_dir) as url:
        pid = server_pid(data_dir)
        assert answers(url)

    assert not postgres._exists(pid)
    assert not postgres._keeper_lives(data_dir)
    assert not postgres.socket_dir(data_dir).exists()


def test_the_last_one_out_stops_it(data_dir: Path) -> None:
    with another_user(data_dir):
        with postgres.running(data_dir) as url:
            pid = server_pid(data_dir)
        assert answers(url)

    assert eventually(lambda: not postgres._exists(pid))


def test_what_was_written_is_there_at_the_next_start(data_dir: Path) -> None:
    with postgres.running(data_dir) as url, psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS kept (id int)")

    with postgres.running(data_dir) as url, psycopg.connect(url) as connection:
        assert connection.execute("SELECT count(*) FROM kept").fetchone() == (0,)


def test_a_killed_user_leaves_no_server_behind(data_dir: Path) -> None:
    with another_user(data_dir) as user:
        pid = server_pid(data_dir)
        user.kill()

    assert eventually(lambda: not postgres._exists(pid))


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the kernel tells the child on Linux only")
def test_a_killed_keeper_takes_the_server_with_it_and_the_next_start_works(data_dir: Path) -> None:
    with another_user(data_dir) as user:
        pid = server_pid(data_dir)
        os.kill(parent_of(pid), signal.SIGKILL)
        assert eventually(lambda: not postgres._exists(pid))
        user.kill()

    with postgres.running(data_dir) as url:
        assert answers(url)


def parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def test_a_killed_server_is_started_again(data_dir: Path) -> None:
    with postgres.running(data_dir) as url:
        pid = server_pid(data_dir)
        os.kill(pid, signal.SIGKILL)

        assert eventually(lambda: not postgres._exists(pid))
        assert eventually(lambda: answers(url))


def test_a_pid_file_that_names_a_stranger_does_not_stop_the_start(data_dir: Path) -> None:
    with postgres.running(data_dir):
        left = (data_dir / "postmaster.pid").read_text().splitlines()
    # The number of a living process that is no server, as after a reboot.
    (data_dir / "postmaster.pid").write_text("\n".join([str(os.getppid()), *left[1:]]) + "\n")

    with postgres.running(data_dir) as url:
        assert answers(url)


def test_many_starts_at_once_end_with_one_server(data_dir: Path) -> None:
    with another_user(data_dir), another_user(data_dir), another_user(data_dir), postgres.running(data_dir) as url:
        assert answers(url)


def test_the_words_sort_alike_on_every_machine(data_dir: Path) -> None:
    with postgres.running(data_dir) as url, psycopg.connect(url) as connection:
        found = connection.execute(
            "SELECT datlocprovider::text, datlocale, pg_encoding_to_char(encoding) FROM pg_database"
            " WHERE datname = current_database()"
        ).fetchone()

    assert found == ("b", "C.UTF-8", "UTF8")


def test_only_its_own_user_reaches_the_socket(data_dir: Path) -> None:
    with postgres.running(data_dir) as url, psycopg.connect(url) as connection:
        assert connection.execute("SHOW listen_addresses").fetchone() == ("",)
        assert postgres.socket_dir(data_dir).stat().st_mode & 0o077 == 0


def test_the_socket_path_is_short_enough_for_macos(tmp_path: Path) -> None:
    deep = tmp_path.joinpath(*["a-folder-with-a-long-name"] * 5)

    assert len(str(postgres.socket_dir(deep) / ".s.PGSQL.5432")) < 100


def test_data_of_another_version_is_refused_in_one_sentence(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "PG_VERSION").write_text("9\n")

    with pytest.raises(postgres.PostgresError, match="was made by PostgreSQL 9"), postgres.running(data):
        pass


def test_a_folder_that_cannot_be_written_is_one_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(postgres, "_open_lock", refuse)

    with pytest.raises(postgres.PostgresError, match="No write permission"), postgres.running(tmp_path / "data"):
        pass


@pytest.mark.skipif(os.geteuid() != 0, reason="only root must hand the server to somebody else")
def test_as_root_the_data_lies_where_the_servers_user_can_enter(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    data = tmp_path / "data"

    with postgres.running(data, throwaway=True) as url, psycopg.connect(url) as connection:
        found = connection.execute("SHOW data_directory").fetchone()
        assert found == (str(data.resolve()),)
        assert data.is_symlink()
        assert data.resolve().stat().st_uid != 0

    shutil.rmtree(data.resolve().parent)


def test_importing_starts_nothing() -> None:
    answer = subprocess.run(
        [sys.executable, "-c", "import config.settings, config.postgres as p; print(p._held)"],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(postgres.__file__).parent.parent,
        env=os.environ,
    )

    assert answer.stdout == "{}\n"
