"""Zone files: what a name server reads back is what the platform listed, and nothing more."""

from __future__ import annotations

import pytest

from infra.estate.zone import zone_file


def lines(*records: tuple[str, str, str, int | None]) -> list[str]:
    """Return the records of the file, without comments and directives."""
    text = zone_file("acme.com", records, read_at="2026-11-26")
    return [line for line in text.splitlines() if not line.startswith((";", "$"))]


def test_names_are_relative_and_targets_end_in_a_dot() -> None:
    assert lines(
        ("MX", "@", "smtp.google.com", 1),
        ("CNAME", "mail.acme.com", "ghs.example.com", None),
        ("A", "acme.com.", "192.0.2.1", None),
        ("AAAA", "www", "2001:db8::1", None),
    ) == [
        "@ IN MX 1 smtp.google.com.",
        "mail IN CNAME ghs.example.com.",
        "@ IN A 192.0.2.1",
        "www IN AAAA 2001:db8::1",
    ]


def test_a_long_text_is_cut_into_strings_of_255_bytes() -> None:
    (line,) = lines(("TXT", "google._domainkey", "v=DKIM1; p=" + "A" * 400, None))
    parts = line.removeprefix("google._domainkey IN TXT ").split(" ", 1)
    assert line.count('"') == 4
    assert len(line.split('" "')[0].split('"')[1]) == 255
    assert parts


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ('say "hi"', '"say \\"hi\\""'),
        ("back\\slash", '"back\\\\slash"'),
        ("two\nlines", '"two\\010lines"'),
        ("semi;colon", '"semi;colon"'),
        ("é", '"\\195\\169"'),
    ],
)
def test_a_text_cannot_leave_its_quotes(value: str, written: str) -> None:
    assert lines(("TXT", "@", value, None)) == [f"@ IN TXT {written}"]


@pytest.mark.parametrize(
    "record",
    [
        ("A", "x\n$INCLUDE /etc/passwd", "192.0.2.1", None),
        ("A", "@", "192.0.2.1\nevil IN A 192.0.2.2", None),
        ("A\n", "@", "192.0.2.1", None),
        ("CNAME", "(", "x.example.com", None),
    ],
)
def test_what_could_end_its_line_becomes_a_comment(record: tuple[str, str, str, int | None]) -> None:
    assert lines(record) == []
    assert len(zone_file("acme.com", [record], read_at="").splitlines()) == 6


def test_an_unknown_priority_is_called_a_guess() -> None:
    text = zone_file("acme.com", [("MX", "@", "mx.example.com", None)], read_at="2026-11-26")
    assert "not known; 10 is a guess" in text
