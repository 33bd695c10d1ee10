"""Live mode starts with everything real, sandbox mode with nothing real."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import connection
from django.test import override_settings

from config import checks
from infra import clock

ROOT = Path(checks.__file__).parent.parent
LIVE = {
    "SANDBOX": False,
    "DEBUG": False,
    "SITE_URL": "https://gtm.example.com",
    "ALLOWED_HOSTS": ["gtm.example.com"],
    "SECRET_KEY": "long and random",
    "FIELD_ENCRYPTION_KEYS": ["AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="],
    "OPERATOR_EMAIL": "ops@example.com",
    "EMAIL_HOST": "mail.example.com",
    "EMAIL_PORT": 587,
    "PROVISIONING_TIME_SCALE": 1.0,
    "ENABLED_STACKS": ["zapmail"],
    "MAIL_PROBE": {},
    "PLATFORMS": {
        "ZAPMAIL_API_URL": "https://api.zapmail.ai/api",
        "ZAPMAIL_API_KEY": "real",
        "PLUSVIBE_API_KEY": "real",
        "PLUSVIBE_AGENCY_WORKSPACE_ID": "real",
        "HEYREACH_API_KEY": "real",
        "STRIPE_SECRET_KEY": "sk_live_real",
        "STRIPE_WEBHOOK_SECRET": "whsec_real",
    },
}


PROBE = {
    "PROBE_ADDRESS": "probe@example.com",
    "PROBE_IMAP": "ssl://imap.example.com:993",
    "PROBE_USER": "probe",
    "PROBE_PASSWORD": "long and random",
    "PROBE_AUTHSERV": "mx.example.com",
}


def codes(**changes: Any) -> list[str]:
    platforms = LIVE["PLATFORMS"] | changes.pop("PLATFORMS", {})
    with override_settings(**(LIVE | {"PLATFORMS": platforms} | changes)):
        return [str(error.id).removeprefix("gtm.") for error in checks.check_mode(None)]


def test_good_live_settings_start() -> None:
    assert codes() == codes(MAIL_PROBE=PROBE) == []


def test_only_a_stack_that_proves_its_signature_needs_a_probe_mailbox() -> None:
    assert "P002" in codes(ENABLED_STACKS=["workspace"])
    assert "P002" not in codes(ENABLED_STACKS=["workspace"], MAIL_PROBE=PROBE)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"PLATFORMS": {"ZAPMAIL_API_KEY": ""}}, "L002"),
        ({"PLATFORMS": {"ZAPMAIL_API_KEY": "sandbox-zapmail-key"}}, "L003"),
        ({"PLATFORMS": {"STRIPE_SECRET_KEY": "sk_test_123"}}, "L003"),
        ({"PLATFORMS": {"STRIPE_WEBHOOK_SECRET": "whsec_sandbox"}}, "L003"),
        ({"PLATFORMS": {"HEYREACH_API_URL": "http://127.0.0.1:9100/heyreach"}}, "L004"),
        ({"PLATFORMS": {"HEYREACH_API_URL": "http://api.heyreach.io"}}, "L004"),
        ({"ENABLED_STACKS": ["nonsense"]}, "L001"),
        ({"SITE_URL": "http://gtm.example.com"}, "L005"),
        ({"SITE_URL": "https://localhost"}, "L005"),
        ({"ALLOWED_HOSTS": []}, "L006"),
        ({"EMAIL_HOST": "127.0.0.1", "EMAIL_PORT": 9102}, "L007"),
        ({"MAIL_PROBE": {"PROBE_ADDRESS": "probe@example.com"}}, "P001"),
        ({"MAIL_PROBE": PROBE | {"PROBE_IMAP": "imap.example.com"}}, "P001"),
        ({"MAIL_PROBE": PROBE | {"PROBE_IMAP": "ssl://127.0.0.1:9109"}}, "P003"),
        ({"MAIL_PROBE": PROBE | {"PROBE_SUBMISSION": "ssl://mail.example.com:465"}}, "P003"),
        ({"MAIL_PROBE": PROBE | {"PROBE_CA_FILE": "/etc/ours.pem"}}, "P003"),
        ({"DEBUG": True}, "L010"),
        ({"FIELD_ENCRYPTION_KEYS": []}, "L012"),
        ({"FIELD_ENCRYPTION_KEYS": ["abc"]}, "L016"),
        ({"PROVISIONING_TIME_SCALE": 60.0}, "L013"),
        ({"OPERATOR_EMAIL": ""}, "L014"),
        ({"DNS_RESOLVERS": ["1.1.1.1", "host:port"]}, "D001"),
        ({"DNS_AUTHORITATIVE": [":53"]}, "D001"),
    ],
)
def test_live_mode_refuses(changes: dict[str, Any], code: str) -> None:
    assert codes(**changes) == [code]


def test_a_stack_that_is_not_enabled_needs_no_credential() -> None:
    assert codes(ENABLED_STACKS=[], PLATFORMS={"ZAPMAIL_API_KEY": ""}) == []


def test_an_enabled_stack_needs_its_credentials() -> None:
    assert set(codes(ENABLED_STACKS=["forge"])) == {"L002"}


def test_live_mode_refuses_the_sandboxs_secret_key(tmp_path: Path) -> None:
    (tmp_path / "local.env").write_text("SECRET_KEY=generated\n")

    assert codes(VAR_DIR=tmp_path, SECRET_KEY="generated") == ["L011"]


@pytest.mark.parametrize("key", ["sk_live_x", "rk_live_x"])
def test_sandbox_mode_refuses_a_live_stripe_key(key: str) -> None:
    with override_settings(SANDBOX=True, PLATFORMS={"STRIPE_SECRET_KEY": key}):
        assert [error.id for error in checks.check_mode(None)] == ["gtm.S001"]


@pytest.mark.django_db
def test_live_mode_refuses_a_database_whose_clock_was_moved() -> None:
    with override_settings(**LIVE):
        assert checks.check_clock(None, databases=["default"]) == []

        clock.advance_vendor(60)

        assert [error.id for error in checks.check_clock(None, databases=["default"])] == ["gtm.L015"]


@pytest.mark.django_db
def test_a_web_server_with_wrong_settings_refuses_to_start() -> None:
    with override_settings(**(LIVE | {"DEBUG": True})), pytest.raises(ImproperlyConfigured, match="DEBUG is on"):
        checks.refuse_a_wrong_start()


@pytest.mark.django_db
def test_a_database_before_its_first_migration_has_no_moved_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection.introspection, "table_names", lambda cursor: [])

    with override_settings(**LIVE):
        assert checks.check_clock(None, databases=["default"]) == []


def test_live_mode_without_a_secret_key_says_so_in_one_sentence() -> None:
    environment = {name: value for name, value in os.environ.items() if name != "SECRET_KEY"}

    answer = subprocess.run(
        [sys.executable, "manage.py", "check"],
        cwd=ROOT,
        env=environment | {"PLATFORM_MODE": "live"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert answer.returncode == 1
    assert answer.stderr == "SECRET_KEY is missing.\n"
