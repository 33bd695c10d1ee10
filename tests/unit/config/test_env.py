from __future__ import annotations

import stat
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from config import env
from integrations import registry

URL = "postgresql://postgres@/gtm?host=/tmp/gtm-0123"


def test_a_process_logs_in_as_the_powerless_role() -> None:
    config = env.database(URL, as_owner=False, password="secret")

    assert (config["USER"], config["PASSWORD"], config["HOST"]) == ("gtm_web", "secret", "/tmp/gtm-0123")


def test_owner_commands_keep_the_owner() -> None:
    assert env.database(URL, as_owner=True, password="secret")["USER"] == "postgres"


def test_a_host_that_knows_only_the_login_refuses_owner_commands() -> None:
    with pytest.raises(ImproperlyConfigured, match="names the login"):
        env.database("postgresql://gtm_web:given@db/gtm", as_owner=True, password="secret")


def test_a_given_login_keeps_its_own_password() -> None:
    assert env.database("postgresql://gtm_web:given@db/gtm", as_owner=False, password="secret")["PASSWORD"] == "given"


def test_connections_live_a_minute_and_are_checked() -> None:
    config = env.database(URL, as_owner=False, password="")

    assert config["CONN_MAX_AGE"] == 60
    assert config["CONN_HEALTH_CHECKS"]
    assert not config["ATOMIC_REQUESTS"]
    assert "pool" not in config["OPTIONS"]


def test_local_secrets_are_made_once_and_for_the_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "var" / "local.env"

    first = env.local_secrets(path, create=True)

    assert env.local_secrets(path, create=True) == first
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert set(first) == {"SECRET_KEY", "FIELD_ENCRYPTION_KEYS"}
    assert [name.name for name in path.parent.iterdir()] == ["local.env"]


def test_a_folder_that_cannot_be_written_gives_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(ImproperlyConfigured, match="No write permission"):
        env.local_secrets(tmp_path / "file" / "local.env", create=True)


@pytest.mark.parametrize("url", ["http://127.0.0.1:9100/x", "http://localhost", "http://[::1]:1/", "http://0.0.0.0"])
def test_loopback_addresses_are_known(url: str) -> None:
    assert env.is_loopback(url)


def test_real_addresses_are_not_loopback() -> None:
    assert not env.is_loopback("https://api.zapmail.ai/api")


def test_each_platform_can_be_pointed_anywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZAPMAIL_API_URL", "http://127.0.0.1:7/other")

    settings = env.platform_settings(sandbox_url="http://127.0.0.1:9100/")

    assert settings["ZAPMAIL_API_URL"] == "http://127.0.0.1:7/other"
    assert settings["HEYREACH_API_URL"] == "http://127.0.0.1:9100/heyreach/api/public"


def test_live_mode_has_no_defaults() -> None:
    assert env.platform_settings(sandbox_url=None) == {}


def test_the_sandbox_serves_every_platform() -> None:
    settings = env.platform_settings(sandbox_url="http://127.0.0.1:9100")

    assert registry.missing(settings) == ()
    assert [row.slug for row in registry.PLATFORMS if not settings.get(row.url_setting)] == []


def test_live_mode_asks_for_what_the_clients_need() -> None:
    asked = {name for names in env.STACK_CREDENTIALS.values() for name in names}

    assert set(registry.missing({})) <= asked.union(env.OPTIONAL_CREDENTIALS)
