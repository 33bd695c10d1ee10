"""What must hold before anything starts: live mode with everything real, sandbox mode with nothing real."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, register, run_checks
from django.core.exceptions import ImproperlyConfigured
from django.db import connection

from config.env import (
    OPTIONAL_CREDENTIALS,
    SANDBOX_CREDENTIALS,
    SANDBOX_PROBE,
    STACK_CREDENTIALS,
    STRIPE_CREDENTIALS,
    is_loopback,
    local_secrets,
)
from infra import clock
from infra.dns.resolver import split_place
from integrations.http.errors import NotConfigured
from integrations.mail_probe import Settings as ProbeSettings


@register()
def check_mode(app_configs: Sequence[AppConfig] | None, **_: Any) -> list[CheckMessage]:
    """Refuse to start with settings of the other mode."""
    mode = _sandbox_errors() if settings.SANDBOX else _live_errors()
    found = [*mode, *_name_server_errors(), *_probe_errors()]
    return [Error(sentence, id=f"gtm.{code}") for code, sentence in found]


@register(Tags.database)
def check_clock(
    app_configs: Sequence[AppConfig] | None, databases: Sequence[str] | None = None, **_: Any
) -> list[CheckMessage]:
    """Refuse live mode on a database whose clocks were moved or scaled for a demo or a test."""
    if settings.SANDBOX or not databases:
        return []
    with connection.cursor() as cursor:
        if "gtm_clock" not in connection.introspection.table_names(cursor):  # before the first migration
            return []
    if not clock.moved():
        return []
    return [Error("The database's clocks were moved by a demo or a test: live mode needs a fresh one.", id="gtm.L015")]


def refuse_a_wrong_start() -> None:
    """Raise ImproperlyConfigured with every reason not to start. For processes that run no management command."""
    errors = [message for message in run_checks() if message.is_serious() and not message.is_silenced()]
    if not settings.SANDBOX:
        errors += check_clock(None, databases=["default"])
    if errors:
        raise ImproperlyConfigured("Refusing to start. " + " ".join(str(error.msg) for error in errors))


def _name_server_errors() -> Iterator[tuple[str, str]]:
    for name in ("DNS_RESOLVERS", "DNS_AUTHORITATIVE"):
        for place in getattr(settings, name):
            try:
                split_place(place)
            except ValueError as error:
                yield "D001", f"{name}: {error}."


def _probe_errors() -> Iterator[tuple[str, str]]:
    """Yield what is wrong with the mailbox that test messages go to. Without one there are no tests, which one stack needs."""
    try:
        probe = ProbeSettings.from_mapping(settings.MAIL_PROBE)
    except NotConfigured as error:
        yield "P001", f"The probe mailbox: {error.sentence}."
        return
    if probe is None:
        if "workspace" in settings.ENABLED_STACKS:
            yield "P002", "PROBE_ADDRESS is missing: the stack `workspace` proves by a message that mail is signed."
        return
    if settings.SANDBOX:
        return
    # An authority of our own would be trusted for the mailboxes' servers, too, which are shown their passwords.
    is_sandboxs = bool(probe.submission or probe.authorities) or is_loopback(f"imaps://{probe.imap.host}")
    if is_sandboxs or probe.address == SANDBOX_PROBE["PROBE_ADDRESS"]:
        yield "P003", "The probe mailbox is the sandbox's, and PLATFORM_MODE is live."


def _sandbox_errors() -> Iterator[tuple[str, str]]:
    for name in ("STRIPE_SECRET_KEY",):
        if settings.PLATFORMS.get(name, "").startswith(("sk_live_", "rk_live_")):
            yield "S001", f"{name} is a live key, and PLATFORM_MODE is sandbox."


def _live_errors() -> Iterator[tuple[str, str]]:
    yield from _credential_errors()
    yield from _address_errors()
    if settings.DEBUG:
        yield "L010", "DEBUG is on in live mode."
    if local_secrets(settings.VAR_DIR / "local.env", create=False).get("SECRET_KEY") == settings.SECRET_KEY:
        yield "L011", "SECRET_KEY is the sandbox's, from var/local.env."
    if not settings.FIELD_ENCRYPTION_KEYS:
        yield "L012", "FIELD_ENCRYPTION_KEYS is missing: secrets could not be stored."
    if not all(_is_key(key) for key in settings.FIELD_ENCRYPTION_KEYS):
        yield "L016", "FIELD_ENCRYPTION_KEYS holds something that is not 32 bytes in URL-safe base64."
    if settings.PROVISIONING_TIME_SCALE != 1:
        yield "L013", "PROVISIONING_TIME_SCALE is not 1 in live mode: vendor time must be real."
    if not settings.OPERATOR_EMAIL:
        yield "L014", "OPERATOR_EMAIL is missing: nobody would hear of a problem."


def _is_key(text: str) -> bool:
    try:
        return len(base64.urlsafe_b64decode(text)) == 32
    except ValueError:
        return False


def _credential_errors() -> Iterator[tuple[str, str]]:
    needed = {name for stack in settings.ENABLED_STACKS for name in STACK_CREDENTIALS.get(stack, ())}
    for stack in settings.ENABLED_STACKS:
        if stack not in STACK_CREDENTIALS:
            yield "L001", f"ENABLED_STACKS names {stack!r}; known are {', '.join(STACK_CREDENTIALS)}."
    given = {name for name in OPTIONAL_CREDENTIALS if settings.PLATFORMS.get(name)}
    for name in sorted(needed.union(STRIPE_CREDENTIALS, given)):
        value = settings.PLATFORMS.get(name, "")
        if not value:
            yield "L002", f"{name} is missing."
        elif value == SANDBOX_CREDENTIALS.get(name) or value.startswith(("sk_test_", "rk_test_")):
            yield "L003", f"{name} is the sandbox's or a test key, and PLATFORM_MODE is live."


def _address_errors() -> Iterator[tuple[str, str]]:
    addresses = {name: value for name, value in settings.PLATFORMS.items() if name.endswith("_API_URL")}
    for name, value in sorted(addresses.items()):
        if is_loopback(value) or not value.startswith("https://"):
            yield "L004", f"{name} does not lead to a real platform: {value}."
    if not settings.SITE_URL.startswith("https://") or is_loopback(settings.SITE_URL):
        yield "L005", "SITE_URL is not a public https address."
    if not settings.ALLOWED_HOSTS:
        yield "L006", "ALLOWED_HOSTS is missing."
    if not getattr(settings, "EMAIL_HOST", "") or (
        is_loopback(f"smtp://{settings.EMAIL_HOST}") and settings.EMAIL_PORT == 9102
    ):
        yield "L007", "EMAIL_URL is missing or the sandbox's."
