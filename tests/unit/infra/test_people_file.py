"""What a file of people may look like, and what is said of one that is none."""

from __future__ import annotations

import contextlib

import pytest
from django.core.exceptions import ValidationError

from infra import people
from infra.wizard import files, people_file
from infra.wizard.forms import judged
from infra.wizard.people_file import Typed

ADA, BO = ("Ada", "Keen", "20"), ("Zoë", "Sample", "")


def rows(body: bytes) -> list[tuple[str, str, str]]:
    return [(one.first_name, one.last_name, one.daily_limit) for one in people_file.read(body)]


@pytest.mark.parametrize(
    "text",
    [
        people_file.EXAMPLE,
        "\ufeff" + people_file.EXAMPLE,
        "First name;Last name;Daily limit\nAda;Keen;20\nZoë;Sample;\n",
        "email,last_name,first_name,daily_limit\na@b.com,Keen,Ada,20\n,Sample,Zoë,\n",
        "Ada,Keen,20\nZoë,Sample\n",
        "\n;;\nAda; Keen ;20\n\nZoë;Sample;;\n",
        '"Ada","Keen","20"\r"Zoë","Sample",""',
    ],
)
def test_columns_are_found_by_name_or_by_their_order(text: str) -> None:
    assert rows(text.encode()) == [ADA, BO]


def test_without_a_column_for_the_limit_everybody_sends_what_the_package_says() -> None:
    assert rows(b"first_name,last_name\nAda,Keen\n") == [("Ada", "Keen", "")]


def test_each_line_is_judged_by_itself_and_named_by_its_number() -> None:
    found = people_file.read(b"first_name,last_name,daily_limit\nAda,Keen,20\n\n,Sample,\nBo,Keen,99\nCy,Keen,many\n")
    named, wrong = judged(found, 30)
    assert [one.name for one in named] == ["Ada Keen"]
    assert [(place, field, sentence.partition(":")[0]) for place, field, sentence in wrong] == [
        (2, "first_name", "Line 4"), (3, "daily_limit", "Line 5"), (4, "daily_limit", "Line 6")
    ]  # fmt: skip


def test_what_is_typed_is_named_by_its_row() -> None:
    named, wrong = judged([Typed("Ada", "Keen"), Typed(" ", "", ""), Typed("Bo", "", "")], 30)
    assert [one.name for one in named] == ["Ada Keen"]
    assert [(place, sentence.partition(":")[0]) for place, _field, sentence in wrong] == [(3, "Person 3")]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "names nobody"),
        (b"first_name,last_name,daily_limit\n", "names nobody"),
        (b"first_name,daily_limit\nAda,20\n", "no column called “last_name”"),
        (b"a,b,c,d\nAda,Keen,20,x\n", "more than three columns"),
        ("Ada,Keen".encode("utf-16"), "no text in UTF-8"),
        (b"Ada,Ke\0en", "no text in UTF-8"),
        (b"a" * (files.MOST_BYTES + 1), "larger than 64 KB"),
        (b"Ada,Keen\n" * (people.MOST + 1), "names 251 people"),
    ],
)
def test_what_is_no_such_file_is_refused_with_a_sentence(body: bytes, words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        people_file.read(body)


@pytest.mark.parametrize("body", [b'"', b'a"b\n"c', b"\r\r\n\n\r", b'"' * 999, b";" * 65000, "👍\u2028x".encode()])
def test_no_bytes_break_it(body: bytes) -> None:
    with contextlib.suppress(ValidationError):
        assert judged(people_file.read(body), 30)
