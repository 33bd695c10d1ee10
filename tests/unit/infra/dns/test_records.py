"""One canonical form: equal means the same."""

from __future__ import annotations

import pytest

from infra.dns.records import BadRecord, Type, chunks, from_json, joined, purpose, quoted, record

NAME = "getacme.com"
POLICY = "_dmarc.getacme.com"
KEY = "google._domainkey.getacme.com"


@pytest.mark.parametrize(
    "one, other",
    [
        (("MX", NAME, "1 SMTP.google.com.", None), ("mx", "GetAcme.com.", "smtp.google.com", 1)),
        (("CNAME", NAME, "Track.Example.com.", None), ("CNAME", NAME, "track.example.com", 7)),
        (("AAAA", NAME, "2001:DB8:0:0::1", None), ("AAAA", NAME, "2001:db8::1", None)),
        (("TXT", NAME, '"v=spf1 include:_spf.x" ".com ~all"', None), ("TXT", NAME, "v=spf1 include:_spf.x.com ~all", None)),
        (("TXT", NAME, "V=SPF1  +ip4:192.0.2.1   -ALL", None), ("TXT", NAME, "v=spf1 ip4:192.0.2.1 -all", None)),
        (("TXT", POLICY, "v=DMARC1;p=None;rua=a:b , c:d;", None), ("TXT", POLICY, "v=DMARC1; rua=a:b,c:d; p=none", None)),
        (("TXT", KEY, "v=DKIM1; k=rsa; p=MIIB IjAN", None), ("TXT", KEY, "p=MIIBIjAN", None)),
    ],
)  # fmt: skip
def test_records_that_mean_the_same_are_equal(one: tuple[str, str, str, int], other: tuple[str, str, str, int]) -> None:
    assert record(*one) == record(*other)
    assert hash(record(*one)) == hash(record(*other))


@pytest.mark.parametrize(
    "one, other",
    [
        (("MX", NAME, "smtp.google.com", 1), ("MX", NAME, "smtp.google.com", 5)),
        (("TXT", NAME, "google-site-verification=Ab"), ("TXT", NAME, "google-site-verification=ab")),
        (("TXT", NAME, "v=spf1 ip4:192.0.2.1 ip4:192.0.2.2 -all"), ("TXT", NAME, "v=spf1 ip4:192.0.2.2 ip4:192.0.2.1 -all")),
        (("TXT", NAME, "v=spf1 exists:%{S}.a.example -all"), ("TXT", NAME, "v=spf1 exists:%{s}.a.example -all")),
        (("TXT", NAME, "v=spf1 -all"), ("TXT", NAME, "v=spf1 ~all")),
        (("TXT", NAME, "v=spf10 -all"), ("TXT", NAME, "V=spf10 -all")),
        (("TXT", KEY, "v=DKIM1; p=MIIBIjAN"), ("TXT", KEY, "v=DKIM1; p=miibijan")),
        (("TXT", POLICY, "v=DMARC1; p=none"), ("TXT", POLICY, "v=DMARC1; p=reject")),
        (("TXT", NAME, "same"), ("TXT", f"www.{NAME}", "same")),
    ],
)  # fmt: skip
def test_records_that_mean_something_else_differ(one: tuple[str, str, str], other: tuple[str, str, str]) -> None:
    assert record(*one) != record(*other)


@pytest.mark.parametrize(
    "kind, owner, value, priority",
    [
        ("SRV", NAME, "x", None),
        ("A", NAME, "2001:db8::1", None),
        ("A", NAME, "300.1.1.1", None),
        ("MX", NAME, "smtp.google.com", None),
        ("MX", NAME, "smtp.google.com", 70_000),
        ("MX", NAME, "1 two words", None),
        ("CNAME", NAME, "a..b", None),
        ("TXT", "a..b", "x", None),
    ],
)
def test_what_is_no_record_is_refused(kind: str, owner: str, value: str, priority: int | None) -> None:
    with pytest.raises(BadRecord):
        record(kind, owner, value, priority)


def test_a_null_mx_is_kept() -> None:
    assert record("MX", NAME, "0 .").shown == "0 ."


@pytest.mark.parametrize("length, count", [(0, 1), (1, 1), (255, 1), (256, 2), (510, 2), (511, 3)])
def test_a_text_travels_in_strings_of_255_octets(length: int, count: int) -> None:
    text = "k" * length

    assert [len(chunk) <= 255 for chunk in chunks(text)] == [True] * count
    assert joined(quoted(text)) == text


def test_octets_count_and_not_characters() -> None:
    assert [len(chunk) for chunk in chunks("é" * 200)] == [255, 145]


def test_quotes_and_backslashes_come_back_from_a_zone_file() -> None:
    text = 'a "quoted" \\ back\x07slash'

    assert quoted(text) == '"a \\"quoted\\" \\\\ back\\007slash"'
    assert joined(quoted(text)) == text


def test_a_text_that_only_begins_with_a_quote_is_taken_as_it_is() -> None:
    assert joined('"half" open') == '"half" open'


def test_a_record_is_plain_data_and_comes_back() -> None:
    one = record("MX", NAME, "1 smtp.google.com", ttl=300)

    assert one.as_json() == {"type": "MX", "owner": NAME, "value": "smtp.google.com", "priority": 1}
    assert from_json(one.as_json()) == one
    assert one.type is Type.MX


@pytest.mark.parametrize("data", [{}, {"type": "MX", "owner": NAME}, {"type": None, "owner": NAME, "value": "x"}])
def test_data_that_describes_no_record_is_refused(data: dict[str, object]) -> None:
    with pytest.raises(BadRecord):
        from_json(data)


@pytest.mark.parametrize(
    ("kind", "owner", "value", "word"),
    [
        ("MX", "acme.com", "10 mx1.example.net", "MX"),
        ("TXT", "acme.com", "v=spf1 -all", "SPF"),
        ("TXT", "acme.com", "v=spf10 -all", ""),
        ("TXT", "_dmarc.acme.com", "V=DMARC1 ; p=none", "DMARC"),
        ("TXT", "default._domainkey.acme.com", "p=MIIB", "DKIM"),
        ("CNAME", "s1._domainkey.acme.com", "s1.keys.example.net", "DKIM"),
        ("TXT", "_smtp._tls.acme.com", "v=TLSRPTv1; rua=mailto:a@b.example", "TLS-RPT"),
        ("TXT", "acme.com", "google-site-verification=x", ""),
        ("A", "acme.com", "192.0.2.1", ""),
    ],
)
def test_a_record_is_called_by_what_it_is_for(kind: str, owner: str, value: str, word: str) -> None:
    assert purpose(record(kind, owner, value)) == word
