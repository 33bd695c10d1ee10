"""MX records: one provider's, whole, leading to servers that exist."""

from __future__ import annotations

import json

import pytest

from infra.dns.mx import GOOGLE_OLD, Found, Provider, google_records, look_at
from infra.dns.records import Record, record
from infra.dns.resolver import Answer, Status
from tests.unit.infra.dns.kit import BROKEN, SILENT, Table

NAME = "acme.example"
HOSTS = ["smtp.google.com", "mx.other.example", *(host for _, host in GOOGLE_OLD)]
NEW, OLD = ["1 smtp.google.com"], [f"{priority} {host}" for priority, host in GOOGLE_OLD]


def at(*values: str, **instead: Answer) -> Found:
    servers: list[Record] = [record("A", host, "192.0.2.25") for host in HOSTS]
    rows = [record("MX", NAME, value) for value in values]
    return look_at(
        NAME, Table(records=[*servers, *rows], instead={k.replace("__", "."): v for k, v in instead.items()})
    )


def ids(found: Found) -> list[str]:
    return [one.id for one in found.findings]


@pytest.mark.parametrize(
    "values, provider, found",
    [
        (NEW, Provider.GOOGLE, []),
        (OLD, Provider.GOOGLE_OLD, ["mx-google-old"]),
        (OLD[:3], Provider.GOOGLE_OLD, ["mx-google-incomplete"]),
        ([*NEW, OLD[0]], Provider.GOOGLE_MIXED, ["mx-google-mixed"]),
        ([*NEW, "10 mx.other.example"], Provider.GOOGLE, ["mx-google-other"]),
        (["10 mx.other.example"], Provider.OTHER, []),
        (["10 gone.example"], Provider.OTHER, ["mx-nowhere"]),
        (["0 ."], Provider.NULL, ["mx-null"]),
        (["0 .", "10 mx.other.example"], Provider.OTHER, ["mx-null-among-others"]),
        ([], Provider.NONE, ["mx-none"]),
    ],
)
def test_what_is_wrong_has_a_stable_id(values: list[str], provider: Provider, found: list[str]) -> None:
    one = at(*values)

    assert (one.provider, ids(one)) == (provider, found)


def test_a_name_that_only_ends_like_a_providers_is_not_the_providers() -> None:
    assert at("10 evil-mail.protection.outlook.com").provider is Provider.OTHER
    assert at("0 acme-example.mail.protection.outlook.com").provider is Provider.MICROSOFT


def test_a_server_behind_an_alias_is_an_error() -> None:
    alias = Answer(Status.RECORDS, (record("A", "mx.other.example", "192.0.2.1"),), aliases=("real.example",))

    assert ids(at("10 mx.other.example", mx__other__example=alias)) == ["mx-alias"]


def test_a_server_with_ipv6_alone_has_an_address() -> None:
    rows = [record("MX", NAME, "10 six.example"), record("AAAA", "six.example", "2001:db8::1")]

    assert ids(look_at(NAME, Table(records=rows))) == []


@pytest.mark.parametrize("failure", [BROKEN, SILENT])
def test_a_server_that_fails_is_never_absent(failure: Answer) -> None:
    assert ids(at(*NEW, smtp__google__com=failure)) == ["mx-unreadable"]
    found = at(*NEW, acme__example=failure)
    assert (ids(found), found.is_usable) == (["mx-unreadable"], False)


def test_a_new_domain_at_google_gets_one_record() -> None:
    assert [one.shown for one in google_records(NAME)] == NEW
    assert at(*NEW).is_usable


def test_what_was_found_is_plain_data() -> None:
    kept = json.loads(json.dumps(at(*NEW, OLD[1]).as_json()))

    assert (kept["provider"], kept["records"]) == ("google_mixed", ["1 smtp.google.com", "5 alt1.aspmx.l.google.com"])
