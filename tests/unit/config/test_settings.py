"""What the rest of the product takes for granted."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings

ROOT = Path(settings.BASE_DIR)
PRINT = "import config.settings as s; print(repr(eval('s.' + __import__('sys').argv[1])))"


def read(name: str, **environment: str) -> str:
    answer = subprocess.run(
        [sys.executable, "-c", PRINT, name],
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return answer.stdout.strip()


def test_the_policy_allows_nothing_from_elsewhere() -> None:
    directives = settings.CONTENT_SECURITY_POLICY["DIRECTIVES"]

    assert directives["default-src"] == ["'none'"]
    assert directives["base-uri"] == directives["frame-ancestors"] == ["'none'"]
    assert not [sources for sources in directives.values() if any("unsafe" in source for source in sources)]


def test_names_are_asked_of_the_sandboxs_servers_which_follow_its_other_ports() -> None:
    assert settings.DNS_RESOLVERS == ["127.0.0.1:9103", "127.0.0.1:9104", "127.0.0.1:9105"]
    assert settings.DNS_AUTHORITATIVE == ["127.0.0.1:9106"]


def test_forms_may_lead_to_the_simulated_checkout() -> None:
    assert settings.CONTENT_SECURITY_POLICY["DIRECTIVES"]["form-action"] == ["'self'", "http://127.0.0.1:9100"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SESSION_COOKIE_NAME", "'__Host-session'"),
        ("SESSION_COOKIE_SECURE", "True"),
        ("CSRF_COOKIE_SECURE", "True"),
        ("SECURE_SSL_REDIRECT", "True"),
        (
            "CONTENT_SECURITY_POLICY['DIRECTIVES']['form-action']",
            "[\"'self'\", 'https://checkout.stripe.com', 'https://billing.stripe.com']",
        ),
        ("PLATFORMS.get('ZAPMAIL_API_KEY')", "None"),
        ("STRIPE_API_URL", "'https://api.stripe.com'"),
        ("DNS_RESOLVERS + s.DNS_AUTHORITATIVE", "['1.1.1.1', '8.8.8.8', '9.9.9.9']"),
    ],
)
def test_live_mode_on_https(name: str, value: str) -> None:
    environment = {"PLATFORM_MODE": "live", "SITE_URL": "https://gtm.example.com", "SECRET_KEY": "x"}

    assert read(name, **environment) == value


def test_plain_http_gets_plain_cookies() -> None:
    assert read("SESSION_COOKIE_NAME, s.SESSION_COOKIE_SECURE") == "('session', False)"


def test_a_process_begins_powerless_unless_told_otherwise() -> None:
    assert read("DATABASE_DEFAULT_ROLE", GTM_DATABASE_ROLE="gtm_worker") == "'worker'"
    assert read("DATABASES['default']['USER']") == "'gtm_web'"
    assert read("DATABASES['default']['USER']", GTM_DATABASE_OWNER="1") == "'postgres'"


def test_an_unknown_mode_is_refused() -> None:
    with pytest.raises(subprocess.CalledProcessError):
        read("PLATFORM_MODE", PLATFORM_MODE="test")


def test_the_queue_outlives_its_tasks() -> None:
    """`retry` counts from the prefetch: a shorter one would run slow tasks twice."""
    q = settings.Q_CLUSTER

    assert q["retry"] >= q["timeout"] * (2 + (q["queue_limit"] + q["bulk"]) / q["workers"])
    assert q["ack_failures"]
    assert q["save_limit"] == -1
