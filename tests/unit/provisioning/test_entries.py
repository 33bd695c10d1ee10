"""What a person types in for several items at once: one line each, judged line by line."""

from __future__ import annotations

import pytest

from provisioning.engine.entries import BadEntry, Entry, read_lines
from provisioning.steps.workspace.made_by_hand import APP_PASSWORD_OF, DKIM_KEY

ITEMS = ["one.example", "two.example"]


def upper(text: str) -> str:
    if not text.isalpha():
        raise BadEntry("letters only.")
    return text.upper()


PLAIN = Entry("Word", (), upper, fact="word")


@pytest.mark.parametrize("between", [" ", ",", ";", ", ", "\t"])
def test_a_line_names_an_item_and_its_value(between: str) -> None:
    read = read_lines(PLAIN, f"one.example{between}abc\n\n TWO.example{between}def ", ITEMS)
    assert (dict(read.values), list(read.problems)) == ({"one.example": "ABC", "two.example": "DEF"}, [])


def test_every_line_that_is_wrong_is_named_with_its_reason() -> None:
    read = read_lines(PLAIN, "one.example abc\nthree.example abc\none.example def\ntwo.example 123", ITEMS)
    assert dict(read.values) == {"one.example": "ABC"}
    assert list(read.problems) == [
        "Line 2 does not begin with one of the names below.",
        "Line 3: one.example stands twice.",
        "Line 4, two.example: letters only.",
    ]


def test_nothing_entered_is_said() -> None:
    assert list(read_lines(PLAIN, " \n\n", ITEMS).problems) == ["Nothing was entered."]


def test_a_secret_is_not_in_what_is_printed_of_the_lines() -> None:
    assert "abcdefghijklmnop" not in repr(read_lines(APP_PASSWORD_OF, "one.example abcdefghijklmnop", ITEMS))


@pytest.mark.parametrize("typed", ["abcd efgh ijkl mnop", "abcdefghijklmnop"])
def test_an_app_password_is_kept_without_its_spaces(typed: str) -> None:
    assert APP_PASSWORD_OF.read(typed) == "abcdefghijklmnop"


@pytest.mark.parametrize("typed", ["", "abcd", "Abcdefghijklmnop", "abcdefghijklmno1", "the account's own password"])
def test_what_is_no_app_password_is_refused(typed: str) -> None:
    with pytest.raises(BadEntry):
        APP_PASSWORD_OF.read(typed)


@pytest.mark.parametrize(
    "typed", ["", "v=spf1 -all", "v=DKIM1; k=rsa; p=", "v=DKIM1; k=rsa; p=AAAA", "google._domainkey"]
)
def test_what_is_no_dkim_key_is_refused(typed: str) -> None:
    with pytest.raises(BadEntry):
        DKIM_KEY.read(typed)
