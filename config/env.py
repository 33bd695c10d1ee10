"""The environment, read for settings.py: defaults of the sandbox, local secrets, addresses of databases."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import json
import os
import secrets
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import environ
from django.core.exceptions import ImproperlyConfigured

LOGIN = "gtm_web"

# Everything that belongs to a platform starts with one of these; the registry of clients reads no other names.
PLATFORM_PREFIXES = (
    "DNS_LOOKS_",
    "ZAPMAIL_",
    "PLUSVIBE_",
    "HEYREACH_",
    "STRIPE_",
    "INFRAFORGE_",
    "WARMFORGE_",
    "SALESFORGE_",
    "SMARTLEAD_",
    "GODADDY_",
    "CLOUDFLARE_",
    "GOOGLE_WORKSPACE_",
)

SANDBOX_PATHS = {
    "ZAPMAIL_API_URL": "/zapmail/api",
    "PLUSVIBE_API_URL": "/plusvibe/api/v1",
    "HEYREACH_API_URL": "/heyreach/api/public",
    "INFRAFORGE_API_URL": "/infraforge/public",
    "STRIPE_API_URL": "/stripe",
    "WARMFORGE_API_URL": "/warmforge/public/v1",
    "SALESFORGE_API_URL": "/salesforge/public/v2",
    "CLOUDFLARE_API_URL": "/cloudflare/client/v4",
    "GODADDY_API_URL": "/godaddy",
    "GOOGLE_WORKSPACE_API_URL": "/google_workspace",
    "SMARTLEAD_API_URL": "/smartlead/api/v1",
}

POST_OFFSET = 7  # and its mail servers follow those: submission with TLS at once and by STARTTLS, then IMAP
DNS_OFFSET = 3  # the sandbox's name servers follow its other ports: three resolvers, then the authoritative one
PUBLIC_RESOLVERS = ("1.1.1.1", "8.8.8.8", "9.9.9.9")

# The sandbox accepts these and no real platform does.
SANDBOX_CREDENTIALS = {
    "ZAPMAIL_API_KEY": "sandbox-zapmail-key",
    "PLUSVIBE_API_KEY": "sandbox-plusvibe-key",
    "PLUSVIBE_AGENCY_WORKSPACE_ID": "65f0c0ffee00000000000001",
    "HEYREACH_API_KEY": "sandbox-heyreach-key",
    "INFRAFORGE_API_KEY": "sandbox-infraforge-key",
    "STRIPE_SECRET_KEY": "sk_test_sandbox",
    "STRIPE_WEBHOOK_SECRET": "whsec_sandbox",
    "WARMFORGE_API_KEY": "sandbox-warmforge-key",
    "SALESFORGE_API_KEY": "sandbox-salesforge-key",
    "CLOUDFLARE_API_TOKEN": "sandbox-cloudflare-token",
    "GODADDY_API_TOKEN": "gd_pat_sandbox-godaddy-token",
    "CLOUDFLARE_ACCOUNT_ID": "5a4db0c05a4db0c05a4db0c05a4db0c0",
    "GOOGLE_WORKSPACE_SERVICE_ACCOUNT": (Path(__file__).parent / "sandbox_service_account.json").read_text(),
    "GOOGLE_WORKSPACE_ADMIN": "admin@operator.example",
    "SMARTLEAD_API_KEY": "sandbox-smartlead-key",
}

# What the operator's own choice would be and the simulation shows: registering is off unless it is switched on.
SANDBOX_CHOICES = {"GODADDY_STUDENTS_REGISTER": "yes"}

# What a stack cannot work without; Stripe is needed by all of them.
STACK_CREDENTIALS: Mapping[str, tuple[str, ...]] = {
    "zapmail": ("ZAPMAIL_API_KEY", "PLUSVIBE_API_KEY", "PLUSVIBE_AGENCY_WORKSPACE_ID", "HEYREACH_API_KEY"),
    "forge": ("INFRAFORGE_API_KEY", "WARMFORGE_API_KEY", "SALESFORGE_API_KEY"),
    "workspace": (
        "CLOUDFLARE_API_TOKEN",
        "CLOUDFLARE_ACCOUNT_ID",
        "GOOGLE_WORKSPACE_SERVICE_ACCOUNT",  # students let it into accounts of their own, too
    ),
}
# The operator's own accounts, which students of a stack may do without: each brings some along.
OPTIONAL_CREDENTIALS = ("GOOGLE_WORKSPACE_ADMIN", "SMARTLEAD_API_KEY")
STRIPE_CREDENTIALS = ("STRIPE_SECRET_KEY", "STRIPE_WEBHOOK_SECRET")


def platform_settings(*, sandbox_url: str | None) -> dict[str, str]:
    """Return the platforms' settings: the environment's, above the sandbox's defaults unless `sandbox_url` is None.

    Live mode has no defaults here: each client knows its platform's address, and nobody knows its credentials.
    """
    defaults: dict[str, str] = {}
    if sandbox_url is not None:
        addresses = {name: sandbox_url.rstrip("/") + path for name, path in SANDBOX_PATHS.items()}
        defaults = {**addresses, **SANDBOX_CREDENTIALS, **SANDBOX_CHOICES}
    given = {name: value for name, value in os.environ.items() if name.startswith(PLATFORM_PREFIXES)}
    return defaults | given


def dns_servers(sandbox_port: int | None) -> tuple[list[str], list[str]]:
    """Return the resolvers to ask, and whom to ask in place of domains' own servers: the sandbox's, from a port on."""
    if sandbox_port is None:
        return list(PUBLIC_RESOLVERS), []
    return [f"127.0.0.1:{sandbox_port + number}" for number in range(3)], [f"127.0.0.1:{sandbox_port + 3}"]


SANDBOX_PROBE = {
    "PROBE_ADDRESS": "probe@probe.example",
    "PROBE_USER": "probe@probe.example",
    "PROBE_PASSWORD": "sandbox-probe-password",
    "PROBE_AUTHSERV": "mx.probe.example",
    "PROBE_CA_FILE": str(Path(__file__).parent.parent / "integrations" / "sandbox" / "mail_certificate.pem"),
}


def mail_probe(sandbox_port: int | None) -> dict[str, str]:
    """Return what integrations/mail_probe.py reads: the environment, above the sandbox's from a port on."""
    defaults = dict[str, str]()
    if sandbox_port is not None:
        at_once, by_command, imap = (f"127.0.0.1:{sandbox_port + number}" for number in range(3))
        doors = {"PROBE_SUBMISSION": f"ssl://{at_once},starttls://{by_command}", "PROBE_IMAP": f"ssl://{imap}"}
        defaults = SANDBOX_PROBE | doors
    return defaults | {name: value for name, value in os.environ.items() if name.startswith("PROBE_")}


SANDBOX_BUILD_OPTIONS = {
    "DMARC_REPORT_EMAIL": "dmarc@ops.example",
    "OPERATOR_CONTACT": json.dumps(
        {
            "company": "Sandbox Bootcamp",
            "firstName": "Olive",
            "lastName": "Operator",
            "addressLineOne": "1 Example Street",
            "city": "Springfield",
            "state": "IL",
            "country": "US",
            "postalCode": "62701",
            "phoneCc": "+1",
            "phone": "5550100",
            "languagePreference": "en",
        }
    ),
}


def build_options(*, sandbox: bool) -> dict[str, str]:
    """Return what provisioning/engine/options.py reads: the environment, above the sandbox's defaults."""
    return (SANDBOX_BUILD_OPTIONS if sandbox else {}) | dict(os.environ)


def local_secrets(path: Path, *, create: bool) -> dict[str, str]:
    """Return the secrets of this machine's sandbox installation, made once and readable by its owner only."""
    if not path.exists() and create:
        _write_once(
            path,
            {
                "SECRET_KEY": secrets.token_urlsafe(48),
                "FIELD_ENCRYPTION_KEYS": base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
            },
        )
    if not path.exists():
        return {}
    lines = (line.split("=", 1) for line in path.read_text().splitlines() if "=" in line and not line.startswith("#"))
    return {name.strip(): value.strip() for name, value in lines}


def _write_once(path: Path, values: Mapping[str, str]) -> None:
    # Several processes may start at once: each writes a draft of its own, the first link wins, all read the winner.
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, draft = tempfile.mkstemp(dir=path.parent)
    except OSError as error:
        raise ImproperlyConfigured(f"No write permission in {path.parent}: the local secrets live there.") from error
    with os.fdopen(handle, "w") as file:
        file.write("# Made by the first start in sandbox mode. Never commit it.\n")
        file.writelines(f"{name}={value}\n" for name, value in values.items())
    with contextlib.suppress(FileExistsError):
        os.link(draft, path)
    os.unlink(draft)


def login_password(secret_key: str) -> str:
    """Return the password of the database login, derived from the secret key."""
    return hmac.new(secret_key.encode(), b"database login " + LOGIN.encode(), hashlib.sha256).hexdigest()


def database(url: str, *, as_owner: bool, password: str) -> dict[str, Any]:
    """Return Django's settings of the database at `url`, for its owner or for the powerless login.

    `url` names the owner. Where it names the login itself (a host that must not know the owner), owner commands refuse.
    """
    config: dict[str, Any] = environ.Env.db_url_config(url)
    options = config.setdefault("OPTIONS", {})
    if "host" in options:  # a socket's folder cannot stand in the host part of an address
        config["HOST"] = options.pop("host")
    # Django's default, none at all, makes psycopg ignore a wish to prepare a statement (`infra.prepared`).
    options["prepare_threshold"] = 5
    if as_owner and config["USER"] == LOGIN:
        raise ImproperlyConfigured("This command needs the owner of the database, but DATABASE_URL names the login.")
    if not as_owner and config["USER"] != LOGIN:
        config |= {"USER": LOGIN, "PASSWORD": password}
    return config | {"CONN_MAX_AGE": 60, "CONN_HEALTH_CHECKS": True, "ATOMIC_REQUESTS": False}


def origin(url: str) -> str:
    """Return scheme, host and port of an address."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def is_loopback(url: str) -> bool:
    """Tell whether an address is this machine's own."""
    host = urlsplit(url).hostname or ""
    return host in ("", "localhost", "::1") or host.startswith(("0.", "127.")) or host.endswith(".localhost")
