"""The suggestions of SPEC 2: the list for "Acme" is written out by hand, so that no change of order goes unseen."""

from __future__ import annotations

import pytest

from infra.suggestions import Affixes, BrandRefused, chunk, clean_brand, suggest

ACME = [
    "acme.com",
    "acme.org",
    "acme.net",
    "getacme.com",
    "tryacme.com",
    "useacme.com",
    "goacme.com",
    "heyacme.com",
    "meetacme.com",
    "withacme.com",
    "joinacme.com",
    "acmehq.com",
    "acmeapp.com",
    "acmemail.com",
    "acmeteam.com",
    "acmeco.com",
    "acmenow.com",
    "acmepro.com",
    "acme-hq.com",
    "acme-app.com",
    "acme-mail.com",
    "acme-team.com",
    "get-acme.com",
    "try-acme.com",
    "getacme.org",
    "getacme.net",
    "tryacme.org",
    "tryacme.net",
    "useacme.org",
    "useacme.net",
]


def test_acme_gives_exactly_this_list() -> None:
    assert suggest("Acme") == ACME


def test_io_comes_last_of_the_endings_where_it_is_sold() -> None:
    names = suggest("Acme", sold=("com", "io", "net", "org"))
    assert names[:4] == ["acme.com", "acme.org", "acme.net", "acme.io"]
    assert names[-3:] == ["useacme.org", "useacme.net", "useacme.io"]


def test_only_sold_endings_appear() -> None:
    assert {name.partition(".")[2] for name in suggest("Acme", sold=("com",))} == {"com"}


def test_the_same_brand_always_gives_the_same_names() -> None:
    assert suggest("  ACME, Inc. ") == suggest("acmeinc")


def test_duplicates_are_dropped() -> None:
    names = suggest("get", affixes=Affixes(prefixes=("get",), suffixes=("get",)))
    assert names.count("getget.com") == 1


def test_affixes_are_parameters() -> None:
    affixes = Affixes(prefixes=("my",), suffixes=("lab",), hyphenated_prefixes=(), endings=())
    assert suggest("Acme", affixes=affixes) == ["acme.com", "myacme.com", "acmelab.com", "acme-lab.com"]


def test_names_that_would_be_too_long_are_left_out() -> None:
    names = suggest("a" * 62)
    assert names == [f"{'a' * 62}.com", f"{'a' * 62}.org", f"{'a' * 62}.net"]


@pytest.mark.parametrize(
    ("brand", "cleaned"),
    [
        ("Acme", "acme"),
        ("Acme & Söhne 24", "acmesohne24"),
        ("Straße", "strasse"),
        ("-Acme-", "acme"),
        ("🚀 Rocket", "rocket"),
        ("Ａｃｍｅ", "acme"),
    ],
)
def test_a_brand_is_cleaned(brand: str, cleaned: str) -> None:
    assert clean_brand(brand) == cleaned


@pytest.mark.parametrize(
    ("brand", "code", "words"),
    [
        ("", "empty", "Type your brand"),
        (" \t\n", "empty", "Type your brand"),
        ("🚀🚀", "no_letters", "needs letters from a to z"),
        ("-----", "no_letters", "needs letters from a to z"),
        ("日本", "no_letters", "needs letters from a to z"),
        ("\x00", "no_letters", "needs letters from a to z"),
        ("a" * 300, "too_long", "80 characters"),
        ("a" * 64, "too_long_for_domain", "makes 64"),
    ],
)
def test_an_unusable_brand_is_refused_with_a_sentence(brand: str, code: str, words: str) -> None:
    with pytest.raises(BrandRefused, match=words) as refusal:
        suggest(brand)
    assert refusal.value.code == code


def test_chunks_cover_the_list_once() -> None:
    assert chunk(ACME, 0, size=20) + chunk(ACME, 1, size=20) == ACME
    assert len(chunk(ACME, 0, size=20)) == 20
    assert chunk(ACME, 2, size=20) == []
