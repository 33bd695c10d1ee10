"""Domain names and mailbox patterns as people type them."""

from __future__ import annotations

import pytest

from infra.naming import (
    NameRefused,
    UsernameRefused,
    judge_patterns,
    parse_domain,
    parse_person_name,
    parse_username,
    patterns_needed,
    plan_addresses,
    spread,
)


@pytest.mark.parametrize(
    "typed",
    [
        "acme.com",
        "https://www.Acme.com/",
        "  ACME.COM  ",
        "acme .com",
        "acme.com.",
        "http://acme.com:8080/path?x=1#y",
        "www.acme.com",
        "sales@acme.com",
        "ａｃｍｅ．ｃｏｍ",
        "ac\u200bme.com",
    ],
)
def test_what_people_type_is_understood(typed: str) -> None:
    assert parse_domain(typed).name == "acme.com"


@pytest.mark.parametrize(
    ("typed", "code", "words"),
    [
        ("", "empty", "Type a domain name"),
        ("   ", "empty", "Type a domain name"),
        ("acme", "no_ending", "acme.com"),
        ("müller.com", "idn", "letters a to z"),
        ("xn--mller-kva.com", "idn", "letters a to z"),
        ("🚀.com", "idn", "letters a to z"),
        ("acme.io", "unsold", r"\.io are not sold here. You can order \.com, \.net"),
        ("acme.co.uk", "unsold", r"\.uk"),
        ("mail.acme.com", "subdomain", "the domain itself: acme.com"),
        ("-acme.com", "characters", "letters, digits and hyphens"),
        ("acme-.com", "characters", "letters, digits and hyphens"),
        ("ac--me.com", "characters", "letters, digits and hyphens"),
        ("ac_me.com", "characters", "letters, digits and hyphens"),
        ("acme..com", "malformed", "does not read as"),
        (".com", "no_ending", "com"),
        ("...", "malformed", "does not read as"),
        ("127.0.0.1", "malformed", "does not read as"),
        ("acme.com, getacme.com", "several", "one domain name at a time"),
        ("a" * 64 + ".com", "too_long", "63 characters at most; this has 64"),
        ("a" * 300, "malformed", "does not read as"),
        ("\x00.com", "no_ending", "com"),
        ("<script>.com", "characters", "letters, digits"),
    ],
)
def test_what_cannot_be_ordered_is_refused_with_a_reason(typed: str, code: str, words: str) -> None:
    with pytest.raises(NameRefused, match=words) as refusal:
        parse_domain(typed)
    assert refusal.value.code == code


def test_the_longest_label_is_accepted() -> None:
    assert parse_domain("a" * 63 + ".com").label == "a" * 63


def test_io_is_accepted_where_it_is_sold() -> None:
    assert parse_domain("acme.io", sold=("com", "io")).ending == "io"


@pytest.mark.parametrize(
    ("typed", "main_domain", "codes"),
    [
        ("getacme.com", "acme.com", []),
        ("acme.com", "https://www.acme.com", ["main_domain"]),
        ("acme.com", "acme", []),
        ("google.com", "", ["look_alike"]),
        ("g00gle.com", "", ["look_alike"]),
        ("rnicrosoft.com", "", ["look_alike"]),
        ("linkedln.com", "", ["look_alike"]),
        ("paypla.com", "", ["look_alike"]),
        ("try-stripe.com", "", ["look_alike"]),
        ("improvisa.com", "", []),
        ("get-acme.com", "", []),
        ("get-acme-now.com", "", ["hyphens"]),
        ("pay-pal-now.com", "", ["look_alike", "hyphens"]),
    ],
)
def test_doubtful_names_are_warned_about_not_blocked(typed: str, main_domain: str, codes: list[str]) -> None:
    assert [warning.code for warning in parse_domain(typed, main_domain=main_domain).warnings] == codes


def test_a_warning_reads_as_a_sentence() -> None:
    assert "resembles the brand “google”" in str(parse_domain("g00gle.com").warnings[0])


@pytest.mark.parametrize(
    ("typed", "username"),
    [
        ("tim", "tim"),
        (" Tim.Keen ", "tim.keen"),
        ("zoë", "zoe"),
        ("Straße", "strasse"),
        ("t_k-1.x", "t_k-1.x"),
        ("ｔｉｍ", "tim"),
        ("a" * 64, "a" * 64),
        ("7", "7"),
    ],
)
def test_a_pattern_is_normalised(typed: str, username: str) -> None:
    assert parse_username(typed) == username


@pytest.mark.parametrize(
    ("typed", "code"),
    [
        ("", "empty"),
        (" ", "empty"),
        (".tim", "edge"),
        ("tim.", "edge"),
        ("-tim", "edge"),
        ("tim_", "edge"),
        ("tim..keen", "doubled"),
        ("tim._keen", "doubled"),
        ("tim--keen", "doubled"),
        ("tim keen", "space"),
        ("tim@acme.com", "at"),
        ("tim+x", "characters"),
        ("тим", "characters"),
        ("🚀", "characters"),
        ("tim\x00", "characters"),
        ("a" * 65, "too_long"),
        ("postmaster", "reserved"),
        ("Abuse", "reserved"),
        ("ADMIN", "reserved"),
        ("no-reply", "reserved"),
    ],
)
def test_a_pattern_is_refused_with_a_reason(typed: str, code: str) -> None:
    with pytest.raises(UsernameRefused) as refusal:
        parse_username(typed)
    assert refusal.value.code == code


def test_a_refused_space_comes_with_a_suggestion() -> None:
    with pytest.raises(UsernameRefused, match=r"Try tim\.keen\."):
        parse_username("Tim  Keen")


@pytest.mark.parametrize(("typed", "again"), [("Zoë", "zoe"), ("zoe", "Zoë"), ("zoe", "ZOE ")])
def test_patterns_must_differ_after_normalising(typed: str, again: str) -> None:
    first, second, third = judge_patterns([typed, again, "zoe.k"])
    assert (first.username, third.username) == ("zoe", "zoe.k")
    assert second.reason is not None
    assert second.reason.code == "equal"


def test_each_refused_pattern_has_its_own_reason() -> None:
    verdicts = judge_patterns(["postmaster", "", "tim."])
    assert [verdict.reason.code for verdict in verdicts if verdict.reason] == ["reserved", "empty", "edge"]


@pytest.mark.parametrize(
    ("typed", "name"),
    [
        ("Tim", "Tim"),
        ("  Mary   Ann ", "Mary Ann"),
        ("O'Neill", "O'Neill"),
        ("Jean-Luc", "Jean-Luc"),
        ("Łukasz", "Łukasz"),
    ],
)
def test_a_sender_name_is_kept_as_typed(typed: str, name: str) -> None:
    assert parse_person_name(typed) == name


@pytest.mark.parametrize(
    ("typed", "code"),
    [("", "empty"), ("🚀", "no_letter"), ("Tim 🚀", "characters"), ("Tim <x>", "characters"), ("-", "no_letter"),
     ("x" * 61, "too_long"), ("Tim\x07", "characters")],
)  # fmt: skip
def test_a_sender_name_is_refused_with_a_reason(typed: str, code: str) -> None:
    with pytest.raises(UsernameRefused) as refusal:
        parse_person_name(typed)
    assert refusal.value.code == code


@pytest.mark.parametrize(
    ("mailboxes", "domains", "counts"),
    [(6, 3, (2, 2, 2)), (3, 2, (2, 1)), (11, 5, (3, 2, 2, 2, 2)), (2, 3, (1, 1, 0)), (0, 2, (0, 0)), (5, 0, ())],
)
def test_mailboxes_are_spread_evenly(mailboxes: int, domains: int, counts: tuple[int, ...]) -> None:
    assert spread(mailboxes, domains) == counts


def test_the_fullest_domain_says_how_many_patterns_are_needed() -> None:
    assert patterns_needed(11, 5) == 3
    assert patterns_needed(6, 3) == 2
    assert patterns_needed(0, 0) == 0


def test_every_address_is_planned() -> None:
    plan = plan_addresses(["tim", "tim.keen"], ["getacme.com", "acmehq.com"], 3)
    assert [one.address for one in plan] == ["tim@getacme.com", "tim.keen@getacme.com", "tim@acmehq.com"]


def test_a_plan_never_drops_a_mailbox() -> None:
    with pytest.raises(ValueError, match="2 patterns are needed"):
        plan_addresses(["tim"], ["getacme.com"], 2)


def test_counts_cannot_be_negative() -> None:
    with pytest.raises(ValueError, match="negative"):
        spread(-1, 2)
