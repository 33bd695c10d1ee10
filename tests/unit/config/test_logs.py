from __future__ import annotations

import logging
import sys
from typing import Any

from config.logs import KeyValueFormatter, RedactingFilter


def line(message: str, *arguments: object, error: BaseException | None = None, **extra: Any) -> str:
    trace = (type(error), error, error.__traceback__) if error else None
    record = logging.LogRecord("gtm.test", logging.INFO, __file__, 1, message, arguments, trace)
    record.__dict__.update(extra)
    RedactingFilter().filter(record)
    return KeyValueFormatter().format(record)


def test_a_line_is_keys_and_values() -> None:
    found = line("claimed %s", "run 7", run="GTM-7K3F9Q")

    assert 'level=info logger=gtm.test message="claimed run 7" run=GTM-7K3F9Q' in found


def test_an_event_stays_on_one_line() -> None:
    assert "\n" not in line("first\nsecond", note='say "hi"\n')


def test_secrets_are_removed_from_message_arguments_and_extras() -> None:
    found = line("token %s", "sk_live_abcdefghijklmnop", header="Bearer sk_live_abcdefghijklmnop")

    assert "abcdefghijklmnop" not in found


def test_secrets_are_removed_from_traces() -> None:
    try:
        raise ValueError("sk_live_abcdefghijklmnop was refused")
    except ValueError:
        found = line("failed", error=sys.exception())

    assert "ValueError" in found
    assert "abcdefghijklmnop" not in found
