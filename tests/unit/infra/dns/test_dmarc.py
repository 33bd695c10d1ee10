"""DMARC by RFC 9989: records, the tree walk, alignment, reports, the ladder."""

from __future__ import annotations

import json

import pytest

from infra.dns.dmarc import (
    BadPolicy,
    Found,
    Policy,
    Rung,
    at_rung,
    first_record,
    is_aligned,
    look_at,
    next_rung,
    organisational_domain,
    parse,
    rung,
    walked,
)
from infra.dns.records import record
from infra.dns.resolver import Answer
from tests.unit.infra.dns.kit import BROKEN, SILENT, Table

NAME = "acme.example"


def world(**policies: str) -> Table:
    """Return a resolver of DMARC records: `mail__acme` is at _dmarc.mail.acme.example; two texts apart by |."""
    return Table(
        records=[
            record("TXT", f"_dmarc.{name.replace('__', '.')}.example", text)
            for name, texts in policies.items()
            for text in texts.split("|")
        ]
    )


def found(text: str) -> Found:
    return look_at(NAME, world(acme=text))


def ids(one: Found) -> list[str]:
    return [finding.id for finding in one.findings]


# The record


def test_a_record_is_read_in_any_order_with_defaults_for_what_it_leaves_out() -> None:
    policy = parse("v=DMARC1; rua=mailto:a@acme.example!10m , mailto:b@acme.example;sp=Reject; p=quarantine; t=y; x=y")

    assert policy == Policy(
        "quarantine", "reject", t=True, rua=("mailto:a@acme.example", "mailto:b@acme.example"), has_policy=True
    )


@pytest.mark.parametrize("text", ["v=dmarc1; p=none", "p=none; v=DMARC1", "v=DMARC11; p=none", "hello", ""])
def test_what_does_not_begin_with_its_version_is_no_record(text: str) -> None:
    with pytest.raises(BadPolicy):
        parse(text)


@pytest.mark.parametrize(
    "text, expected",
    [
        ("v=DMARC1; p=none; rua=mailto:r@acme.example", []),
        ("v=DMARC1; p=none", ["dmarc-no-reports"]),
        ("v=DMARC1; rua=mailto:r@acme.example", ["dmarc-policy"]),
        ("v=DMARC1; p=all; rua=mailto:r@acme.example", ["dmarc-policy"]),
        ("v=DMARC1; p=none; sp=all; rua=mailto:r@acme.example", ["dmarc-value"]),
        ("v=DMARC1; p=none; fo=0:1; rua=mailto:r@acme.example", ["dmarc-value"]),
        ("v=DMARC1; p=none; pct=50; ri=3600; rua=mailto:r@acme.example", ["dmarc-removed", "dmarc-removed"]),
        ("v=DMARC1; p=none; rua=https://acme.example", ["dmarc-report-address"]),
        ("v=DMARC1; p=none; rua=mailto:r@acme.example; ruf=mailto:r@acme.example", ["dmarc-failure-reports"]),
        ("v=DMARC1; p=reject; t=y; rua=mailto:r@acme.example", ["dmarc-testing"]),
        ("v=DMARC1; p=none|v=DMARC1; p=reject", ["dmarc-several"]),
        ("v=DMARC1; p=none; rua=mailto:r@acme.example|unrelated", []),
        ("v=dmarc1; p=none", ["dmarc-version"]),
        ("unrelated", ["dmarc-none"]),
    ],
)
def test_what_is_wrong_has_a_stable_id(text: str, expected: list[str]) -> None:
    assert ids(found(text)) == expected


def test_an_unknown_value_counts_as_its_default() -> None:
    policy = parse("v=DMARC1; p=reject; adkim=strict; psd=maybe")

    assert (policy.adkim, policy.psd) == ("r", "u")
    assert policy.unknown == (("adkim", "strict"), ("psd", "maybe"))


@pytest.mark.parametrize("failure", [BROKEN, SILENT])
def test_a_server_that_fails_is_never_a_missing_record(failure: Answer) -> None:
    one = look_at(NAME, Table(instead={"": failure}))

    assert (ids(one), one.is_usable) == (["dmarc-unreadable"], False)


def test_what_was_found_is_plain_data() -> None:
    kept = json.loads(json.dumps(found("v=DMARC1; p=quarantine; t=y; rua=mailto:r@acme.example").as_json()))

    assert (kept["policy"], kept["rung"], kept["findings"][0]["id"]) == (
        "quarantine",
        "quarantine_test",
        "dmarc-testing",
    )


@pytest.mark.parametrize(
    "text, domain, existing, missing",
    [
        ("v=DMARC1; p=reject", "reject", "reject", "reject"),
        ("v=DMARC1; p=reject; sp=none", "reject", "none", "none"),
        ("v=DMARC1; p=none; sp=quarantine; np=reject", "none", "quarantine", "reject"),
        ("v=DMARC1; p=reject; np=none", "reject", "reject", "none"),
        ("v=DMARC1; p=reject; sp=quarantine; t=y", "quarantine", "none", "none"),
    ],
)
def test_the_policy_that_is_applied(text: str, domain: str, existing: str, missing: str) -> None:
    policy = parse(text)

    assert policy.applied() == domain
    assert policy.applied(is_subdomain=True) == existing
    assert policy.applied(is_subdomain=True, exists=False) == missing


# Reports


def test_reports_to_another_organisation_need_its_word() -> None:
    text = "v=DMARC1; p=none; rua=mailto:x@reports.ops.example"
    resolver = world(acme=text, ops="v=DMARC1; p=none")

    assert ids(look_at(NAME, resolver)) == ["dmarc-report-refused"]
    agreed = record("TXT", "acme.example._report._dmarc.reports.ops.example", "v=DMARC1")
    unrelated = record("TXT", "acme.example._report._dmarc.reports.ops.example", "hello")
    assert ids(look_at(NAME, Table(records=[*resolver.records, unrelated, agreed]))) == []


def test_reports_to_a_part_of_the_same_organisation_need_no_word() -> None:
    assert ids(found("v=DMARC1; p=none; rua=mailto:x@mail.acme.example")) == []


def test_a_word_that_cannot_be_read_is_not_a_refusal() -> None:
    resolver = world(acme="v=DMARC1; p=none; rua=mailto:x@ops.example")
    resolver.instead = {"acme.example._report._dmarc.ops.example": BROKEN}

    assert ids(look_at(NAME, resolver)) == ["dmarc-unreadable"]


# The tree walk


def test_a_walk_asks_at_most_eight_times() -> None:
    assert list(walked("a.b.c.example")) == ["a.b.c.example", "b.c.example", "c.example", "example"]
    assert list(walked("1.2.3.4.5.6.7.8.9.10.11.example"))[:3] == [
        "1.2.3.4.5.6.7.8.9.10.11.example",
        "6.7.8.9.10.11.example",
        "7.8.9.10.11.example",
    ]
    assert len(list(walked("1.2.3.4.5.6.7.8.9.10.11.example"))) == 8
    assert len(list(walked("1.2.3.4.5.6.7.example"))) == 8


@pytest.mark.parametrize(
    "policies, name, holder",
    [
        ({}, "mail.acme.example", ""),
        ({"acme": "v=DMARC1; p=reject"}, "acme.example", "acme.example"),
        ({"mail__acme": "v=DMARC1; p=none", "acme": "v=DMARC1; p=reject"}, "acme.example", "mail.acme.example"),
        (
            {"mail__acme": "v=DMARC1; p=none; psd=n", "acme": "v=DMARC1; p=reject"},
            "mail.acme.example",
            "mail.acme.example",
        ),
        ({"acme": "v=DMARC1; p=reject; psd=y"}, "mail.acme.example", "acme.example"),
    ],
)
def test_the_organisational_domain_is_found_by_walking(policies: dict[str, str], name: str, holder: str) -> None:
    walk = organisational_domain("mail.acme.example", world(**policies))

    assert (walk.name, walk.holder) == (name, holder)


def test_a_public_suffix_keeps_its_customers_apart() -> None:
    resolver = world(shop="v=DMARC1; p=none; psd=y")

    assert organisational_domain("mail.one.shop.example", resolver).name == "one.shop.example"
    assert is_aligned("mail.one.shop.example", "one.shop.example", resolver) is True
    assert is_aligned("one.shop.example", "two.shop.example", resolver) is False


def test_alignment_is_relaxed_or_strict() -> None:
    resolver = world(acme="v=DMARC1; p=none")

    assert is_aligned("mail.acme.example", "ACME.example.", resolver) is True
    assert is_aligned("mail.acme.example", "acme.example", resolver, strict=True) is False
    assert is_aligned("acme.example", "evil.example", resolver) is False


def test_without_an_answer_nothing_is_said_about_alignment() -> None:
    assert is_aligned("mail.acme.example", "acme.example", Table(instead={"": BROKEN})) is None


# The ladder


def test_the_ladder_is_climbed_step_by_step_and_nothing_else_changes() -> None:
    policy = parse("v=DMARC1; p=none; pct=20; rua=mailto:r@ops.example; aspf=s")
    texts = [policy.text()]
    while (step := next_rung(policy)) is not None:
        policy = at_rung(policy, step)
        texts.append(policy.text())

    assert texts == [
        "v=DMARC1; p=none; aspf=s; rua=mailto:r@ops.example",
        "v=DMARC1; p=quarantine; t=y; aspf=s; rua=mailto:r@ops.example",
        "v=DMARC1; p=quarantine; aspf=s; rua=mailto:r@ops.example",
        "v=DMARC1; p=reject; aspf=s; rua=mailto:r@ops.example",
    ]


def test_a_rejection_on_trial_stands_on_quarantine() -> None:
    assert rung(parse("v=DMARC1; p=reject; t=y")) is Rung.QUARANTINE
    assert next_rung(parse("v=DMARC1; p=reject; t=y")) is Rung.REJECT


def test_what_is_written_is_read_back() -> None:
    text = "v=DMARC1; p=reject; sp=none; np=reject; t=y; adkim=s; aspf=s; rua=mailto:a@b.example; fo=1:d; psd=n"

    assert parse(text).text() == text


def test_a_new_domain_begins_by_watching() -> None:
    assert first_record("g7k3@reports.ops.example") == "v=DMARC1; p=none; rua=mailto:g7k3@reports.ops.example"
    assert ids(found(first_record("x@acme.example"))) == []
