"""What a file of the student's own domains may look like, and what is said of one that is none."""

from __future__ import annotations

import contextlib

import pytest
from django.core.exceptions import ValidationError

from infra.wizard import files, own


def texts(body: bytes) -> list[tuple[int, str]]:
    return [(line.number, line.text) for line in own.read(body)]


@pytest.mark.parametrize(
    "body",
    [
        b"one.com\ntwo.com\n",
        b"one.com\r\ntwo.com",
        b"one.com\rtwo.com\r",
        "\ufeffone.com\ntwo.com\n".encode(),
        b"one.com\ntwo.com\none.com\n",
    ],
)
def test_one_domain_per_line_however_the_lines_end(body: bytes) -> None:
    assert texts(body) == [(1, "one.com"), (2, "two.com")]


@pytest.mark.parametrize(
    "body",
    [
        b"domain,owner\none.com,Ada\ntwo.com,Bo\n",
        b"owner;Domain\r\nAda;one.com\r\nBo;two.com\r\n",
        "\ufeffdomain;note\none.com;müde\ntwo.com;\n".encode(),
        b'"domain","owner, or who"\n"one.com","A, B"\ntwo.com,\n',
    ],
)
def test_a_column_called_domain_is_found_whatever_stands_beside_it(body: bytes) -> None:
    assert texts(body) == [(2, "one.com"), (3, "two.com")]


def test_lines_are_counted_as_an_editor_counts_them() -> None:
    body = b'\ndomain,note\n\none.com,"over\ntwo lines"\n\n two.com ,x\n'
    assert texts(body) == [(4, "one.com"), (7, "two.com")]


def test_a_line_that_names_no_domain_says_why_and_is_kept() -> None:
    without, empty = own.read(b"one.com\nAda,two.com\n")[1], own.read(b"owner,domain\nAda,\n")[0]
    assert (without.number, without.text) == (2, "Ada, two.com")
    assert "none of them is called" in without.problem
    assert (empty.number, empty.text) == (2, "Ada")
    assert "is empty" in empty.problem


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "names no domains"),
        (b"\n ,,\n", "names no domains"),
        (b"domain\n", "names no domains"),
        ("one.com".encode("utf-16"), "no text in UTF-8"),
        (b"\xff\xfe\x00", "no text in UTF-8"),
        (b"one\0.com", "no text in UTF-8"),
        (b"a" * (files.MOST_BYTES + 1), "larger than 64 KB"),
    ],
)
def test_what_is_no_such_file_is_refused_with_a_sentence(body: bytes, words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        own.read(body)


@pytest.mark.parametrize("body", [b'"', b'a"b\n"c', b"\r\r\n\n\r", b'"' * 999, b";" * 65000, "👍\u2028x".encode()])
def test_no_bytes_break_it(body: bytes) -> None:
    with contextlib.suppress(ValidationError):
        assert own.read(body)
