"""Calendars as RFC 5545 wants them."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from infra.icalendar import Event, escaped, folded, write

NOW = datetime(2026, 12, 1, 12, 30, 5, tzinfo=UTC)


def written(*events: Event) -> bytes:
    return write("Plan, mine", events, now=NOW, product="GTM", refresh=timedelta(hours=12))


def test_a_calendar_is_lines_with_crlf_between_its_begin_and_its_end() -> None:
    body = written(Event("1@x", date(2026, 12, 31), "Last day"))
    assert body.startswith(b"BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:")
    assert body.endswith(b"END:VEVENT\r\nEND:VCALENDAR\r\n")
    assert b"\n" not in body.replace(b"\r\n", b"")


def test_an_event_is_a_whole_day_and_ends_before_the_next() -> None:
    body = written(Event("1@x", date(2026, 12, 31), "Last day")).decode()
    assert "DTSTART;VALUE=DATE:20261231\r\nDTEND;VALUE=DATE:20270101\r\n" in body
    assert "DTSTAMP:20261201T123005Z\r\n" in body


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("a, b; c\\d", "a\\, b\\; c\\\\d"),
        ("one\ntwo\r\nthree\rfour", "one\\ntwo\\nthree\\nfour"),
        ("BEGIN:VEVENT\x00\x07", "BEGIN:VEVENT"),
        ("Grüße: 90 %", "Grüße: 90 %"),
    ],
)
def test_text_is_escaped(text: str, safe: str) -> None:
    assert escaped(text) == safe


def test_no_text_can_begin_a_line_of_its_own() -> None:
    body = written(Event("1@x", date(2026, 12, 1), "x\r\nATTACH:http://evil", "y\nEND:VCALENDAR")).decode()
    assert "\r\nATTACH" not in body
    assert body.count("\r\nEND:VCALENDAR") == 1


@pytest.mark.parametrize("char", ["a", "é", "…", "🎉"])
def test_long_lines_are_folded_within_75_octets_and_never_within_a_character(char: str) -> None:
    line = "DESCRIPTION:" + char * 200
    parts = list(folded(line))
    assert all(len(part.encode()) <= 75 for part in parts)
    assert all(part.startswith(" ") for part in parts[1:])
    assert parts[0] + "".join(part[1:] for part in parts[1:]) == line


def test_a_line_of_exactly_75_octets_is_left_alone() -> None:
    assert list(folded("x" * 75)) == ["x" * 75]
    assert list(folded("x" * 76)) == ["x" * 75, " x"]
