"""How values are said: money, moments, spans. What pages, mails and the API share, so that they say the same."""

from __future__ import annotations

import hashlib
import json
import zoneinfo
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.utils import formats, timezone
from django.utils.formats import number_format
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from .naming import Sentence

_SYMBOLS = {"usd": "$", "eur": "€", "gbp": "£"}


@dataclass(frozen=True, slots=True)
class Option:
    """A link or button: where it leads and what it says."""

    label: str
    href: str
    away: bool = False


@dataclass(frozen=True, slots=True)
class Fact:
    """A label and its value."""

    label: str
    value: str


@dataclass(frozen=True, slots=True)
class Tag:
    """A status: the word, and the tone that chooses shape and colour (done, busy, wait, attention, failed, off)."""

    word: str
    tone: str


@dataclass(frozen=True, slots=True)
class Line:
    """One domain or mailbox in a list."""

    name: str
    word: str
    tone: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class ChoiceRow:
    """A name that can be ticked, as `components/choice_row.html` draws it."""

    id: str
    name: str
    value: str
    label: str
    checked: bool
    open: bool
    word: str
    tone: str
    note: str
    warnings: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Problem:
    """An entry of an error summary; `href` leads to the field."""

    text: str
    href: str = ""


def version_of(*parts: Any) -> str:
    """Return what changes when something of a page would look different."""
    return hashlib.sha256(json.dumps(parts, default=str, sort_keys=True).encode()).hexdigest()[:16]


def said(sentence: Sentence) -> str:
    """Return a sentence of the pure modules in the reader's language."""
    return _(sentence.template) % sentence.params if sentence.params else _(sentence.template)


def money(cents: int, currency: str = "usd") -> str:
    """Return an amount in minor units as people write it: whole amounts without cents, `$1,250`, `$12.99`."""
    sign = "-" if cents < 0 else ""
    amount = number_format(
        abs(cents) / 100, decimal_pos=0 if cents % 100 == 0 else 2, use_l10n=True, force_grouping=True
    )
    symbol = _SYMBOLS.get(currency.lower())
    return f"{sign}{symbol}{amount}" if symbol else f"{sign}{amount} {currency.upper()}"


def exact(cents: int, currency: str) -> str:
    """Return an amount in minor units to the cent, for whoever adds up: `1,250.00 USD`, `-0.30 EUR`."""
    whole, rest = divmod(abs(cents), 100)
    return f"{'-' if cents < 0 else ''}{whole:,}.{rest:02} {currency.upper()}"


def package_title(order: Mapping[str, Any]) -> str:
    """Return what a frozen order's package is called: with its domains, where their number is the student's."""
    name, domains = str(order.get("tier_name", "")), int(order.get("domain_count", 0))
    if not order.get("is_by_domain"):
        return name
    return ngettext("%(name)s, %(n)s domain", "%(name)s, %(n)s domains", domains) % {"name": name, "n": domains}


def in_zone_of(person: Any, instant: datetime) -> datetime:
    """Return `instant` in the person's time zone; UTC where none, or an unknown one, is set."""
    try:
        zone = zoneinfo.ZoneInfo(getattr(person, "time_zone", "") or "UTC")
    except (zoneinfo.ZoneInfoNotFoundError, ValueError):
        zone = zoneinfo.ZoneInfo("UTC")
    return timezone.localtime(instant, zone)


def moment(person: Any, instant: datetime, *, now: datetime) -> str:
    """Return when something was or will be: `14:05` today, `yesterday, 14:05`, `3 December, 14:05` otherwise."""
    local, today = in_zone_of(person, instant), in_zone_of(person, now).date()
    clock = formats.date_format(local, "H:i")
    if local.date() == today:
        return clock
    if local.date() == today - timedelta(days=1):
        return _("yesterday, %(time)s") % {"time": clock}
    if local.date() == today + timedelta(days=1):
        return _("tomorrow, %(time)s") % {"time": clock}
    return _("%(day)s, %(time)s") % {"day": day(person, instant), "time": clock}


def day(person: Any, instant: datetime) -> str:
    """Return the date in the person's zone, such as `5 December`."""
    return formats.date_format(in_zone_of(person, instant), "j F")


def ago(instant: datetime, *, now: datetime) -> str:
    """Return how long ago, roughly: `just now`, `12 minutes ago`, `3 hours ago`, `2 days ago`."""
    seconds = max(0.0, (now - instant).total_seconds())
    return _("just now") if seconds < 60 else _("%(span)s ago") % {"span": span(seconds)}


def span(seconds: float) -> str:
    """Return a length of time in its largest unit, rounded up: `4 minutes`, `2 hours`, `3 days`."""
    minutes = max(1, -(-int(seconds) // 60))
    if minutes < 90:
        return ngettext("%(n)s minute", "%(n)s minutes", minutes) % {"n": minutes}
    hours = -(-minutes // 60)
    if hours < 48:
        return ngettext("%(n)s hour", "%(n)s hours", hours) % {"n": hours}
    days = -(-hours // 24)
    return ngettext("%(n)s day", "%(n)s days", days) % {"n": days}


def usual(seconds: tuple[float, float]) -> str:
    """Return `usually 8-20 minutes` for a range in seconds."""
    low, high = (max(1, round(value / 60)) for value in seconds)
    if high <= 1:
        return _("usually about a minute")
    if high < 90:
        return (
            _("usually %(low)s-%(high)s minutes") % {"low": low, "high": high}
            if low < high
            else (_("usually %(high)s minutes") % {"high": high})
        )
    low, high = max(1, round(seconds[0] / 3600)), max(1, round(seconds[1] / 3600))
    if low == high:
        return ngettext("usually about %(n)s hour", "usually about %(n)s hours", high) % {"n": high}
    return _("usually %(low)s-%(high)s hours") % {"low": low, "high": high}


def listed(words: Sequence[str]) -> str:
    """Return `a, b and c`."""
    if len(words) < 2:
        return "".join(words)
    return _("%(first)s and %(last)s") % {"first": ", ".join(words[:-1]), "last": words[-1]}
