"""The ground the other tests stand on."""

from __future__ import annotations

import socket

import pytest
from django.db import DatabaseError, connection
from django.test import override_settings

from config.apps import set_login_password
from tests import harness
from tests.harness import NetworkForbidden


def _one(sql: str) -> object:
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchone()[0]


@pytest.mark.django_db
def test_tests_run_as_the_powerless_login_in_the_workers_role() -> None:
    assert (_one("SELECT session_user"), _one("SELECT current_user")) == ("gtm_web", "gtm_worker")


@pytest.mark.django_db(transaction=True)
def test_a_lost_connection_comes_back_in_the_first_role() -> None:
    connection.close()

    assert _one("SELECT current_user") == "gtm_worker"


@pytest.mark.django_db
def test_the_runtime_roles_may_not_truncate() -> None:
    with pytest.raises(DatabaseError, match="permission denied"):
        _one("TRUNCATE infra_tier")


@pytest.mark.parametrize("how", ["connect", "connect_ex"])
def test_no_socket_leaves_this_machine(how: str) -> None:
    with socket.socket() as outside, pytest.raises(NetworkForbidden):
        getattr(outside, how)(("192.0.2.1", 80))


def test_no_datagram_leaves_this_machine() -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as outside, pytest.raises(NetworkForbidden):
        outside.sendto(b"", ("192.0.2.1", 53))


@pytest.mark.django_db(transaction=True)
def test_a_migration_gives_the_login_the_password_of_the_settings() -> None:
    """A new SECRET_KEY changes the derived password; without this, web processes could not log in any more."""
    with harness.as_owner():
        set_login_password(using="default", plan=[])
        before = _one("SELECT rolpassword FROM pg_authid WHERE rolname = 'gtm_web'")
        with override_settings(DATABASE_LOGIN_PASSWORD="another"):
            set_login_password(using="default", plan=[])
        assert _one("SELECT rolpassword FROM pg_authid WHERE rolname = 'gtm_web'") != before
        set_login_password(using="default", plan=[])
