"""What every test run stands on: a PostgreSQL of its own, powerless roles, no network.

`prepare` runs when tests/conftest.py is imported, before Django reads its settings, and points them at a server that
does not run yet; the first test that needs a database starts it. A plugin named with `-p` would be imported before the
project's folder is on the path, so that plain `pytest` could not find it; hence this module.
"""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import ipaddress
import os
import shutil
import socket
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from config import postgres
from config.env import PLATFORM_PREFIXES

_OURS = "GTM_TEST_POSTGRES"  # the folder of our server, for the worker processes of pytest-xdist

_TEMPLATE = "test_template"


def prepare() -> None:
    """Choose this run's folder and point Django at it. Worker processes of pytest-xdist inherit the choice."""
    if "PYTEST_XDIST_WORKER" in os.environ and _OURS in os.environ:
        return
    if "django.conf" in sys.modules and sys.modules["django.conf"].settings.configured:
        sys.exit("Settings were read before the tests chose their own database: unset DJANGO_SETTINGS_MODULE.")
    folder = _make_folder()
    for name in [name for name in os.environ if name.startswith(PLATFORM_PREFIXES)]:
        del os.environ[name]  # nobody's real keys
    os.environ.pop("GTM_DATABASE_OWNER", None)
    os.environ |= {
        _OURS: str(folder),
        "VAR_DIR": str(folder),
        "STATIC_ROOT": str(folder / "static"),
        "DATABASE_URL": postgres.url(folder / "data"),
        "GTM_DATABASE_ROLE": "worker",
        "DJANGO_SETTINGS_MODULE": "config.settings",
        "PLATFORM_MODE": "sandbox",
        "SITE_URL": "http://testserver",
        "PROVISIONING_TIME_SCALE": "1",
    }


def _make_folder() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="gtm-tests-"))
    folder.chmod(0o711)  # as root, the server runs as somebody else and must pass through
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def start_server() -> None:
    """Start the run's server, or use it together with the run's other processes; the last one out removes it."""
    postgres.ensure_running(Path(os.environ[_OURS]) / "data", throwaway=True)


def assert_our_server() -> None:
    """Refuse to touch a database of any server but the one this run started."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SHOW data_directory")
        found = Path(cursor.fetchone()[0]).resolve()
    if found != (Path(os.environ[_OURS]) / "data").resolve():
        sys.exit(f"The tests met a PostgreSQL that they did not start, on {found}; nothing was done.")


@contextlib.contextmanager
def as_owner() -> Iterator[None]:
    """Use the database as its owner: for creating, migrating and emptying it. Not inside a transaction."""
    from django.db import connection

    login = {name: connection.settings_dict[name] for name in ("USER", "PASSWORD")}
    connection.close()
    connection.settings_dict |= {"USER": postgres.OWNER, "PASSWORD": ""}
    connection.__dict__.pop("gtm_role", None)  # the owner has no role to go back to
    try:
        yield
    finally:
        connection.close()
        connection.settings_dict |= login


def create_database() -> None:
    """Create this process's test database: migrated by the run's first process, copied from that one by the others.

    Under a lock also because roles belong to the whole server: two migrations at once would alter the same ones.
    """
    from django.conf import settings
    from django.db import connection
    from django.test.utils import setup_databases

    name: str = connection.creation._get_test_db_name()  # type: ignore[attr-defined]
    with open(Path(os.environ[_OURS]) / "database.lock", "a") as lock, as_owner():
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert_our_server()
        if not _has_database(_TEMPLATE):
            setup_databases(verbosity=0, interactive=False, serialized_aliases=())
            connection.close()
            _copy_database(name, _TEMPLATE)
        else:
            _copy_database(_TEMPLATE, name)
            settings.DATABASES["default"]["NAME"] = connection.settings_dict["NAME"] = name


def _has_database(name: str) -> bool:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SELECT EXISTS (SELECT FROM pg_database WHERE datname = %s)", [name])
        return bool(cursor.fetchone()[0])


def _copy_database(source: str, target: str) -> None:
    from django.db import connection

    with connection._nodb_cursor() as cursor:
        cursor.execute(f'CREATE DATABASE "{target}" TEMPLATE "{source}"')


@contextlib.contextmanager
def on_database(name: str, *, host: str = "") -> Iterator[None]:
    """Use another database for a block, in this thread and in those that begin within it: of our server, or of another."""
    from django.db import connection

    before = {key: connection.settings_dict[key] for key in ("NAME", "HOST")}
    connection.close()
    connection.settings_dict |= {"NAME": name, "HOST": host or before["HOST"]}
    try:
        yield
    finally:
        connection.close()
        connection.settings_dict |= before


def create_committing_database(name: str, *, then: str = "") -> None:
    """Copy the migrated database to one that keeps what is committed; run the statements of `then` in it, as its owner.

    Nobody empties it: whoever works in it uses names that nobody has used before. It goes away with the server.
    """
    from django.db import connection

    with open(Path(os.environ[_OURS]) / "database.lock", "a") as lock, as_owner():
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert_our_server()
        _copy_database(_TEMPLATE, name)
        with on_database(name), connection.cursor() as cursor:
            cursor.execute(f'ALTER DATABASE "{name}" SET synchronous_commit = off')
            if then:
                cursor.execute(then)


def drop_database(name: str) -> None:
    """Remove a database that `create_committing_database` made, whoever is still connected to it."""
    from django.db import connection

    with as_owner(), connection._nodb_cursor() as cursor:
        cursor.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


def empty_as_owner() -> None:
    """Let the flush after a transactional test run as the owner: the runtime roles may not truncate."""
    from django.test import TransactionTestCase

    flush = TransactionTestCase._fixture_teardown  # type: ignore[attr-defined]

    def teardown(self: Any) -> None:
        with as_owner():
            flush(self)

    TransactionTestCase._fixture_teardown = teardown  # type: ignore[attr-defined]


def hash_quickly() -> None:
    """Let passwords cost nothing: the real hasher takes half a second each."""
    from django.conf import settings

    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


def collect_static_files() -> None:
    """Collect once for all processes of the run: pages name hashed files, in tests as in production."""
    from django.conf import settings
    from django.core.management import call_command

    with open(Path(os.environ[_OURS]) / "static.lock", "a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (settings.STATIC_ROOT / "staticfiles.json").exists():
            call_command("collectstatic", interactive=False, verbosity=0)


# ---- no network ------------------------------------------------------------------------------------------------------


class NetworkForbidden(RuntimeError):
    """A test tried to leave this machine."""


def forbid_network() -> None:
    """Let sockets reach this machine only."""
    for name in ("connect", "connect_ex", "sendto"):
        _guard(name)


def _guard(name: str) -> None:
    original = getattr(socket.socket, name)

    def guarded(self: socket.socket, *arguments: Any) -> Any:
        address = arguments[-1]
        if self.family in (socket.AF_INET, socket.AF_INET6) and not _is_loopback(address[0]):
            raise NetworkForbidden(f"a test tried to reach {address[0]}")
        return original(self, *arguments)

    setattr(socket.socket, name, guarded)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host in ("localhost", "")
