"""Reading what platforms answer: leniently in notation, strictly in meaning.

The pages disagree about types (counters as strings, prices as numbers or strings, flags as yes/no or booleans, ids as
`id` or `_id`). Notation is accepted in every form seen; what is missing or contradictory raises `UnknownShape`, because
a 2xx that we cannot read is not a success.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from email.utils import parsedate_to_datetime
from typing import Any, Final, TypeVar

from .call import Raw
from .errors import (
    AlreadyExists,
    BadCredentials,
    NotFound,
    OutcomeUnknown,
    PlatformError,
    RateLimited,
    Rejected,
    Unavailable,
)
from .redact import redact

T = TypeVar("T")

Object = Mapping[str, Any]

_LONGEST_SENTENCE: Final = 300


class UnknownShape(ValueError):
    """A reply does not look like anything we know. Its text names fields, never values."""


# --- parsing ---------------------------------------------------------------------------------------------------------


def document(raw: Raw) -> Any:
    """Return the JSON document of an answer. Raises UnknownShape."""
    try:
        return json.loads(raw.body)
    except (ValueError, RecursionError):
        pass
    raise UnknownShape("not JSON")


def as_object(value: Any, what: str) -> Object:
    """Return `value` as a JSON object. Raises UnknownShape."""
    if not isinstance(value, dict):
        raise UnknownShape(f"{what} is not an object")
    return value


def as_rows(value: Any, what: str) -> list[Object]:
    """Return `value` as a list of JSON objects. Raises UnknownShape."""
    if not isinstance(value, list):
        raise UnknownShape(f"{what} is not a list")
    return [as_object(row, what) for row in value]


def first(row: Object, *names: str) -> Any:
    """Return the first member that is present and not null, or None."""
    for name in names:
        if row.get(name) is not None:
            return row[name]
    return None


def text(row: Object, *names: str) -> str:
    """Return a member as stripped text; "" when it is absent. Raises UnknownShape for objects and lists."""
    value = first(row, *names)
    if value is None:
        return ""
    if isinstance(value, dict | list):
        raise UnknownShape(f"{names[0]} is not text")
    return str(value).strip()


def required(row: Object, *names: str) -> str:
    """Return a member as text. Raises UnknownShape when it is absent or empty."""
    value = text(row, *names)
    if not value or isinstance(first(row, *names), bool):
        raise UnknownShape(f"{names[0]} is missing")
    return value


def number(value: Any) -> Decimal | None:
    """Return a finite number from 3, 3.0, "3", "12.99", "$1,299.00" or "97%"; None when it is none of these."""
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, str):
        value = value.strip().replace(",", "").removeprefix("$").removesuffix("%").strip()
    try:
        result = Decimal(str(value))
    except (InvalidOperation, ValueError):
        return None
    return result if result.is_finite() and abs(result) < 10**15 else None


def count(value: Any) -> int | None:
    """Return a whole number of 0 or more, also from a string; None when it is not one."""
    result = number(value)
    return int(result) if result is not None and result >= 0 and result == int(result) else None


def cents(value: Any) -> int | None:
    """Return a sum in minor units from a sum in major units, as number or string. None when it is neither."""
    result = number(value)
    return None if result is None else int((result * 100).quantize(Decimal(1), rounding=ROUND_HALF_UP))


def measure(value: Any) -> float | None:
    """Return a score or rate as float, None when the platform gave none. 0 is a figure, not an absence."""
    result = number(value)
    return None if result is None else float(result)


_TRUE: Final = frozenset({"true", "yes", "1", "on", "y", "active", "enabled"})
_FALSE: Final = frozenset({"false", "no", "0", "off", "n", "inactive", "disabled", ""})


def flag(value: Any) -> bool | None:
    """Return a flag from a boolean, 0/1 or yes/no/true/false; None when it is absent or says something else."""
    if value is None or isinstance(value, bool):
        return value
    word = str(value).strip().casefold()
    return True if word in _TRUE else False if word in _FALSE else None


# --- judging ---------------------------------------------------------------------------------------------------------

EXISTS: Final = "already_exists"
MISSING: Final = "not_found"


@dataclass(frozen=True, slots=True)
class Refusal:
    """A sentence of a platform that we understand, and the stable code we give it.

    `code` "already_exists" becomes AlreadyExists and "not_found" NotFound, every other one Rejected(code).
    `statuses` narrows it to some statuses; empty means every 4xx that has no fixed meaning.
    """

    code: str
    pattern: str
    statuses: frozenset[int] = frozenset()

    def matches(self, status: int, sentence: str) -> bool:
        if self.statuses and status not in self.statuses:
            return False
        return re.search(self.pattern, sentence, re.IGNORECASE) is not None


def advised_wait(headers: Mapping[str, str]) -> float | None:
    """Return the seconds a 429 asks us to wait, from seconds or an HTTP date; None when it gives no readable advice.

    A date is compared with the answer's own Date header: their clock need not agree with ours.
    """
    advice = headers.get("retry-after", "").strip()
    seconds = number(advice) if re.fullmatch(r"\d+(\.\d+)?", advice) else None
    if seconds is not None:
        return float(seconds)
    try:
        wait = parsedate_to_datetime(advice) - parsedate_to_datetime(headers.get("date", ""))
        return max(0.0, wait.total_seconds())
    except (TypeError, ValueError, IndexError, OverflowError):
        return None


def tidy(sentence: str) -> str:
    """Return a platform's sentence fit to be stored: redacted, one line, bounded, no markup."""
    plain = re.sub(r"<[^>]*>", " ", sentence[: 20 * _LONGEST_SENTENCE])
    return redact(" ".join(plain.split()))[:_LONGEST_SENTENCE]


@dataclass(frozen=True, slots=True)
class Judge:
    """Classifies the answers of one verb of one platform.

    speak        reads the platform's own sentence out of an error document
    refusals     sentences that have a code of their own, first match wins
    """

    platform: str
    verb: str
    is_write: bool
    speak: Callable[[Any], str]
    refusals: Sequence[Refusal] = ()

    def __call__(self, raw: Raw) -> PlatformError | None:
        """Return the error an answer means, None for a 2xx (whose shape `parse` decides)."""
        status = raw.status
        if 200 <= status < 300:
            return None
        sentence = self._sentence(raw)
        where: dict[str, Any] = {
            "platform": self.platform,
            "verb": self.verb,
            "status": status,
            "request_id": _request_id(raw.headers),
        }
        if status == 429:
            return RateLimited(sentence, advised_wait=advised_wait(raw.headers), **where)
        if status in (401, 403):
            return BadCredentials(sentence, **where)
        # 408 and 425 say that a server in between gave up, not that nothing happened.
        if not 400 <= status < 500 or status in (408, 425):
            return (OutcomeUnknown if self.is_write else Unavailable)(sentence, **where)
        code = self._code(status, sentence)
        if code == EXISTS:
            return AlreadyExists(sentence, **where)
        if code == MISSING:
            return NotFound(sentence, **where)
        return Rejected(code, sentence, **where)

    def _code(self, status: int, sentence: str) -> str:
        for refusal in self.refusals:
            if refusal.matches(status, sentence):
                return refusal.code
        return {404: MISSING, 409: EXISTS, 422: "malformed"}.get(status, "refused")

    def _sentence(self, raw: Raw) -> str:
        try:
            return tidy(self.speak(document(raw)))
        except (ValueError, TypeError, AttributeError):
            return ""  # not JSON, or no sentence in it: a body is never quoted


def _request_id(headers: Mapping[str, str]) -> str:
    for name in ("x-request-id", "request-id", "x-correlation-id", "cf-ray"):
        if value := headers.get(name):
            return re.sub(r"[^\w.:-]", "", value)[:80]
    return ""


def at_most(values: Sequence[T], what: str, limit: int) -> Sequence[T]:
    """Return `values` if a platform takes that many in one call. Raises ValueError when empty or too many."""
    if not 1 <= len(values) <= limit:
        raise ValueError(f"{what}: 1 to {limit} in one call, not {len(values)}")
    return values
