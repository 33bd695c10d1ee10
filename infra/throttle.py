"""How often one person, or one address, may ask: counted in one table, so that all processes share the count.

A window slides in twelfths, and no window of the full length ever holds more than the limit. One statement judges and
counts, so that requests at the same moment cannot pass each other; what is refused is not counted. Windows are
machine time.
"""

from __future__ import annotations

import hashlib
import ipaddress
import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import wraps
from typing import Any, TypeVar, cast

from django.conf import settings
from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone

from infra.models import Counter
from infra.presenters_base import moment

Page = TypeVar("Page", bound=Callable[..., HttpResponse])

HOUR = 3600


@dataclass(frozen=True, slots=True)
class Rate:
    """So many requests in so many seconds."""

    limit: int
    seconds: int = HOUR


# `THROTTLES` in the settings replaces any of them: {"write": (100, 3600)}.
RATES = {
    "write": Rate(100),
    "status": Rate(1500),
    "anonymous": Rate(100),
    "calendar": Rate(60),
    "login_email": Rate(10, 900),
    "login_address": Rate(100, 900),
}


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a request may go on, and if not, in how many seconds one may. At least one second then."""

    allowed: bool
    retry_after_seconds: int = 0


ALLOWED = Verdict(True)

BUCKETS = 12  # a window is counted in so many pieces

_EARLIER = """
    WITH clock AS (SELECT floor(EXTRACT(EPOCH FROM gtm_now('machine')) / %(bucket)s) * %(bucket)s AS started),
    earlier AS (SELECT COALESCE(sum(count), 0) AS count FROM infra_counter, clock WHERE key = %(key)s
                AND window_start >= to_timestamp(started - %(reach)s) AND window_start < to_timestamp(started))
"""
_COUNT = f"""{_EARLIER}
    INSERT INTO infra_counter (key, window_start, count)
    SELECT %(key)s, to_timestamp(clock.started), %(cost)s FROM clock, earlier
    WHERE earlier.count + %(cost)s <= %(limit)s
    ON CONFLICT (key, window_start) DO UPDATE SET count = infra_counter.count + excluded.count
    WHERE infra_counter.count + excluded.count + (SELECT count FROM earlier) <= %(limit)s
    RETURNING count
"""
_STANDING = """
    SELECT count, EXTRACT(EPOCH FROM window_start - gtm_now('machine')) + %(reach)s + %(bucket)s AS leaves
    FROM infra_counter WHERE key = %(key)s ORDER BY window_start DESC LIMIT %(pieces)s
"""


def hit(key: str, limit: int, window_seconds: int, *, cost: int = 1) -> Verdict:
    """Count `cost` under `key`, unless that would be more than `limit` within `window_seconds`.

    In a transaction that is rolled back, nothing is counted.
    """
    bucket = math.ceil(window_seconds / BUCKETS)
    pieces = math.ceil(window_seconds / bucket)
    values: dict[str, str | int] = {
        "key": key,
        "limit": limit,
        "cost": cost,
        "bucket": bucket,
        "reach": pieces * bucket,
    }
    with connection.cursor() as cursor:
        cursor.execute(_COUNT, values)
        if cursor.fetchone() is not None:
            return ALLOWED
        cursor.execute(_STANDING, values | {"pieces": pieces + 1})
        standing = [(int(count), float(leaves)) for count, leaves in cursor.fetchall() if leaves > 0]
    return Verdict(False, _wait(standing, limit - cost, window_seconds))


def _wait(standing: list[tuple[int, float]], room: int, window_seconds: int) -> int:
    """Return the seconds until at most `room` is left of what was counted. `standing` is newest first."""
    left = 0
    for count, leaves in standing:
        left += count
        if left > room:
            return max(1, math.ceil(leaves))
    return window_seconds  # more at once than is ever allowed, or the count has just gone down


def forget(key: str) -> None:
    """Forget what was counted under `key`."""
    Counter.objects.filter(key=key).delete()


def rate(name: str) -> Rate:
    """Return a class's rate. Raises KeyError for a class that nobody declared."""
    configured = getattr(settings, "THROTTLES", {}).get(name)
    return Rate(*configured) if configured else RATES[name]


def allow(name: str, who: str) -> Verdict:
    """Count one request of class `name` for `who`."""
    its = rate(name)
    return hit(f"{name}:{who}", its.limit, its.seconds)


# Who asks -----------------------------------------------------------------------------------------------------------


def client_address(request: HttpRequest) -> str:
    """Return the address that a request came from; empty when it is not known.

    With `TRUSTED_PROXIES` proxies of ours in front, the entry that the outermost of them wrote; whatever stands left
    of it was written by the client. Without proxies, what the connection says.
    """
    peer = _address(request.META.get("REMOTE_ADDR", ""))
    proxies = int(settings.TRUSTED_PROXIES)
    if proxies < 1:
        return peer
    entries = request.META.get("HTTP_X_FORWARDED_FOR", "").split(",")
    return (_address(entries[-proxies]) if len(entries) >= proxies else "") or peer


def _address(text: str) -> str:
    try:
        return str(ipaddress.ip_address(text.strip()))
    except ValueError:
        return ""


def address_key(request: HttpRequest) -> str:
    """Return the address as it is counted: a whole IPv6 network is one client."""
    address = client_address(request)
    if ":" in address:
        return str(ipaddress.ip_network(f"{address}/64", strict=False))
    return address or "unknown"


def allow_request(name: str, request: HttpRequest) -> Verdict:
    """Count a request of class `name`: per person, or, while nobody has signed in, per address as "anonymous"."""
    user = getattr(request, "user", None)
    if user is not None and user.is_authenticated:
        return allow(name, str(user.pk))
    return allow("anonymous", address_key(request))


# Pages --------------------------------------------------------------------------------------------------------------


def refusal(request: HttpRequest, verdict: Verdict) -> HttpResponse:
    """Return the page that says when to go on."""
    now = timezone.now()
    retry_at = moment(
        getattr(request, "user", None), now + timedelta(seconds=verdict.retry_after_seconds + 59), now=now
    )
    response = render(request, "429.html", {"retry_at": retry_at}, status=429)
    response["Retry-After"] = str(verdict.retry_after_seconds)
    return response


def throttled(name: str, *, reads: bool = False) -> Callable[[Page], Page]:
    """Let a page take only so many POSTs of class `name`. Looking at it is free, unless `reads`: what a page polls."""

    def decorate(page: Page) -> Page:
        @wraps(page)
        def limited(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            counts = reads or request.method == "POST"
            if counts and not (verdict := allow_request(name, request)).allowed:
                return refusal(request, verdict)
            return page(request, *args, **kwargs)

        return cast(Page, limited)

    return decorate


def login_throttled(page: Page) -> Page:
    """Let a sign-in page take only so many tries, per e-mail and per address, counted before the password is judged.

    Whoever gets in is forgiven the tries with that e-mail.
    """

    @wraps(page)
    def limited(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if request.method != "POST":
            return page(request, *args, **kwargs)
        email = _hashed(request.POST.get("username", ""))
        for name, who in (("login_address", address_key(request)), ("login_email", email)):
            if not (verdict := allow(name, who)).allowed:
                return refusal(request, verdict)
        response = page(request, *args, **kwargs)
        user: Any = getattr(request, "user", None)
        if response.status_code == 302 and user is not None and user.is_authenticated:
            forget(f"login_email:{email}")
        return response

    return cast(Page, limited)


def _hashed(email: str) -> str:
    """Return what stands for an e-mail address in a counter's key."""
    return hashlib.sha256(email.strip().casefold().encode("utf-8", "replace")).hexdigest()[:32]
