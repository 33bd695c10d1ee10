"""Secrets never reach a log, an exception or a screen by accident.

Three nets: `Hidden` wraps a secret so that printing the object that holds it shows nothing; `taint` remembers the
value itself, so that a platform's sentence quoting it is cleaned; patterns catch what nobody tainted.
"""

from __future__ import annotations

import hmac
import logging
import re
import threading
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, Final, NoReturn
from urllib.parse import quote, quote_plus

MASK: Final = "[hidden]"

# Shorter values would blot out ordinary words ("test", "1234") in every log line.
_SHORTEST: Final = 6
# Mailbox lists carry one password per mailbox: remember the latest, in bounded memory and bounded time per log line.
_REMEMBERED: Final = 2_000


class _Tainted:
    """The values to look for. Pinned ones (our own keys) stay; the others make room for newer ones."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pinned: set[str] = set()
        self._recent: OrderedDict[str, None] = OrderedDict()

    def add(self, value: str, *, pinned: bool) -> None:
        with self._lock:
            if pinned:
                self._pinned.add(value)
                return
            self._recent[value] = None
            self._recent.move_to_end(value)
            while len(self._recent) > _REMEMBERED:
                self._recent.popitem(last=False)

    def values(self) -> list[str]:
        """Longest first, so that a secret which contains another one is removed whole."""
        with self._lock:
            return sorted({*self._pinned, *self._recent}, key=len, reverse=True)


_tainted = _Tainted()


def taint(value: str, *, pinned: bool = False) -> str:
    """Remember a secret so that `redact` removes it from now on, as it is and as it looks in a URL. Returns it.

    `pinned` values are never forgotten: use it for the few long-lived keys of the installation.
    """
    if len(value) >= _SHORTEST:
        for form in {value, quote(value, safe=""), quote_plus(value)}:
            _tainted.add(form, pinned=pinned)
    return value


# Bounded everywhere: the redactor runs over whatever a platform sends and must stay linear.
_NAMES: Final = (
    r"(?:password|passwd|passphrase|\bpass\b|\bpwd|secret|token|api[_-]?key|x-auth-zapmail|authorization|credential)"
    r"[\w.-]{0,40}"
)

_PATTERNS: Final[tuple[tuple[re.Pattern[str], str], ...]] = (
    # A PEM private key, whole.
    (re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL), MASK),
    # Authorization: Bearer abc / Basic abc
    (re.compile(r"\b(Bearer|Basic)\s+[A-Za-z0-9._~+/=-]{6,}", re.IGNORECASE), rf"\1 {MASK}"),
    # user:password@host in an address
    (re.compile(r"((?<![a-z0-9+.-])[a-z][a-z0-9+.-]{0,20}://)[^/\s:@]+:[^/\s@]+@", re.IGNORECASE), rf"\1{MASK}@"),
    # JSON or repr: "password": "...", with escaped quotes inside the value
    (
        re.compile(
            rf"""({_NAMES}["']?\s{{0,9}}[:=]\s{{0,9}})(?:"(?:\\.|[^"\\])*"?|'(?:\\.|[^'\\])*'?)""",
            re.IGNORECASE,
        ),
        rf"\1{MASK}",
    ),
    # password=..., X-API-KEY: ..., ?pipl_password=... up to a separator
    (
        re.compile(
            rf"""({_NAMES}["']?\s{{0,9}}[:=]\s{{0,9}})(?!\[hidden\]|(?:Bearer|Basic)\s)[^\s"'&,;}}\])<>]+""",
            re.IGNORECASE,
        ),
        rf"\1{MASK}",
    ),
    # Stripe keys and webhook secrets keep their kind, which is what one wants to see in a log
    (re.compile(r"\b((?:sk|rk|pk)_(?:live|test)_|whsec_)[A-Za-z0-9]+"), rf"\1{MASK}"),
    # A JSON web token
    (re.compile(r"(?<![\w-])eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*"), MASK),
)


def redact(text: str) -> str:
    """Return `text` without secrets: tainted values first, then whatever looks like one."""
    for value in _tainted.values():
        if value in text:
            text = text.replace(value, MASK)
    for pattern, replacement in _PATTERNS:
        text = pattern.sub(replacement, text)
    return text


class Hidden:
    """A secret in memory. Shown as `[hidden]`; opened only by name, with `.open()`. Refuses pickle."""

    __slots__ = ("__value",)

    def __init__(self, value: str, *, pinned: bool = False) -> None:
        self.__value = taint(value, pinned=pinned)

    def open(self) -> str:
        """Return the secret itself. Every caller of this is worth a look in review."""
        return self.__value

    def __bool__(self) -> bool:
        return bool(self.__value)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Hidden):
            return NotImplemented
        return hmac.compare_digest(self.__value.encode(), other.__value.encode())

    def __hash__(self) -> int:
        return hash((Hidden, self.__value))

    def __repr__(self) -> str:
        return MASK

    __str__ = __repr__

    def __format__(self, format_spec: str) -> str:
        return MASK

    def __copy__(self) -> Hidden:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Hidden:
        return self

    def __reduce__(self) -> NoReturn:
        raise TypeError("a hidden value cannot be pickled")


class RedactingFilter(logging.Filter):
    """Redacts a log record before any handler sees it: message, arguments, exception and stack text.

    Attach it to handlers, not to loggers: a logger's filters do not run for records of its children.
    """

    _formatter = logging.Formatter()

    def filter(self, record: logging.LogRecord) -> bool:
        try:
            record.msg = redact(record.getMessage())
        except Exception:  # noqa: BLE001 - a broken format string must not print its arguments in a traceback of logging's own
            record.msg = redact(str(record.msg))
        record.args = None
        if record.exc_info and record.exc_info[0] is not None:
            record.exc_text = redact(self._formatter.formatException(record.exc_info))
            record.exc_info = None
        elif record.exc_text:
            record.exc_text = redact(record.exc_text)
        if record.stack_info:
            record.stack_info = redact(record.stack_info)
        for name, value in list(vars(record).items()):
            if name not in _STANDARD_FIELDS and isinstance(value, str):
                setattr(record, name, redact(value))
        return True


_STANDARD_FIELDS: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime"}


def without_secrets(document: Any, secret_fields: frozenset[str]) -> Any:
    """Return a copy of a JSON document in which the values of the named members are hidden, at any depth."""
    names = {name.casefold() for name in secret_fields}

    def clean(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {key: MASK if str(key).casefold() in names else clean(inner) for key, inner in value.items()}
        if isinstance(value, list | tuple):
            return [clean(inner) for inner in value]
        return redact(value) if isinstance(value, str) else value

    return clean(document)
