"""The parts of the demo that can be tried without running all of it."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path

import pytest
from django.contrib.auth import authenticate
from django.core.management import CommandError, call_command
from django.test import override_settings

from config import demo
from config.management.commands.create_demo_users import OPERATOR, SECOND_STUDENT, STUDENT
from infra.models import User


def test_a_busy_port_is_one_sentence_that_names_the_way_out() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(demo.DemoError, match=f"Port {port} is busy.*make demo PORT="):
            demo.require_free_port(port, option="PORT")


def test_a_second_demo_says_where_the_first_one_is(tmp_path: Path) -> None:
    lock = tmp_path / "demo.lock"
    with demo.only_one(lock):
        demo.announce_in(lock, "http://127.0.0.1:8000")
        with pytest.raises(demo.DemoError, match="already running at http://127.0.0.1:8000"), demo.only_one(lock):
            pass


def test_the_demo_can_start_again_after_the_first_has_ended(tmp_path: Path) -> None:
    for _ in range(2):
        with demo.only_one(tmp_path / "demo.lock"):
            pass


def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(demo.DemoError, match="No write permission"), demo.only_one(tmp_path / "file" / "demo.lock"):
        pass


def test_processes_of_the_demo_take_their_own_database_role(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GTM_DATABASE_OWNER", "1")

    environment = demo.demo_environment(port=8001, sandbox_port=9200, time_scale="60")

    assert not [name for name in environment if name.startswith("GTM_DATABASE_")]
    assert environment["SANDBOX_CONTROL_URL"] == "http://127.0.0.1:9201"
    assert environment["EMAIL_URL"] == "smtp://127.0.0.1:9202"
    assert environment["DNS_RESOLVERS"] == "127.0.0.1:9203,127.0.0.1:9204,127.0.0.1:9205"
    assert environment["DNS_AUTHORITATIVE"] == "127.0.0.1:9206"


def test_a_step_that_fails_shows_its_last_lines(tmp_path: Path) -> None:
    manage = tmp_path / "manage.py"
    manage.write_text("import sys; print('the reason'); sys.exit(1)")

    with pytest.raises(demo.DemoError, match="`manage.py migrate` failed.\nthe reason"):
        demo.run_step([sys.executable, str(manage), "migrate"], environment=dict(os.environ))


def service(tmp_path: Path, program: str) -> demo.Service:
    command = [sys.executable, "-c", program]
    return demo.Service("worker", command, dict(os.environ), tmp_path / "log" / "worker.log", "http://127.0.0.1:9/")


def test_a_service_that_ends_while_starting_shows_its_log(tmp_path: Path) -> None:
    worker = service(tmp_path, "print('no database')")
    worker.start()

    with pytest.raises(demo.DemoError, match=r"The worker did not start; see .*worker.log.\nno database"):
        worker.await_health(seconds=20)
    worker.stop()


def test_a_service_that_keeps_ending_is_given_up(tmp_path: Path) -> None:
    worker = service(tmp_path, "")
    with pytest.raises(demo.DemoError, match="keeps ending"):
        for _ in range(demo.RESTARTS + 2):
            worker.restart()
            worker.stop()


def test_a_service_stops_within_moments(tmp_path: Path) -> None:
    worker = service(tmp_path, "import time; time.sleep(60)")
    worker.start()

    worker.stop()

    assert worker.ended()


@pytest.mark.django_db
def test_the_demo_users_can_sign_in_and_are_made_once() -> None:
    for _ in range(2):
        call_command("create_demo_users", verbosity=0)

    student = authenticate(username=STUDENT.email, password=STUDENT.password)
    assert isinstance(student, User)
    assert student.is_enrolled
    assert not student.is_staff
    operator = authenticate(username=OPERATOR.email, password=OPERATOR.password)
    assert isinstance(operator, User)
    assert operator.is_superuser
    assert authenticate(username=SECOND_STUDENT.email, password=SECOND_STUDENT.password)
    assert User.objects.count() == 3


@pytest.mark.parametrize("command", ["create_demo_users", "demo", "play_history"])
def test_nothing_of_the_demo_runs_in_live_mode(command: str) -> None:
    with override_settings(SANDBOX=False), pytest.raises(CommandError):
        call_command(command)
