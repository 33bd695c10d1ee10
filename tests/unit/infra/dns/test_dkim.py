"""DKIM keys, judged beside dkimpy."""

from __future__ import annotations

import json
import warnings

import pytest

from infra.dns.dkim import BadKey, Found, look_at, parse
from infra.dns.records import record
from infra.dns.resolver import Answer
from tests.unit.infra.dns import keys
from tests.unit.infra.dns.kit import BROKEN, SILENT, Table

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # its source has escapes that Python no longer likes
    import dkim

NAME = "google._domainkey.acme.example"


def at(*texts: str) -> Found:
    return look_at("google", "acme.example", Table(records=[record("TXT", NAME, text) for text in texts]))


def ids(found: Found) -> list[str]:
    return [one.id for one in found.findings]


def test_a_key_of_2048_bits_is_good() -> None:
    found = at(keys.rsa())

    assert found.is_usable
    assert found.key is not None
    assert (found.key.kind, found.key.bits, ids(found)) == ("rsa", 2048, [])


@pytest.mark.parametrize("text", [keys.rsa(1024), keys.rsa(), keys.rsa(4096)])
def test_dkimpy_reads_the_same_key(text: str) -> None:
    mine = parse(text)
    _key, bits, kind, *_ = dkim.load_pk_from_dns(NAME.encode(), lambda name, timeout=5: text.encode())

    assert (mine.kind, mine.bits) == (kind.decode(), bits)


@pytest.mark.parametrize(
    "texts, found",
    [
        ([], ["dkim-none"]),
        (["v=DKIM1; p="], ["dkim-revoked"]),
        (["v=DKIM1; k=rsa"], ["dkim-syntax"]),
        (["v=DKIM1; p=MIIBIjANBgkq"], ["dkim-syntax"]),
        (["v=DKIM1; p=!!!"], ["dkim-syntax"]),
        (["v=DKIM1; k=dsa; p=AAAA"], ["dkim-syntax"]),
        (["v=DKIM1; k=ed25519; p=AAAA"], ["dkim-syntax"]),
        (["v=DKIM2; p=AAAA"], ["dkim-syntax"]),
        (["p=AAAA; p=AAAA"], ["dkim-syntax"]),
        ([keys.SHORT], ["dkim-short"]),
        ([keys.rsa(1024)], ["dkim-1024"]),
        ([keys.rsa(extra=" t=y:s;")], ["dkim-testing"]),
        ([keys.rsa(extra=" h=sha1;")], ["dkim-hash"]),
        ([keys.rsa(extra=" h=sha1:sha256;")], []),
        ([keys.rsa(extra=" s=tlsrpt;")], ["dkim-service"]),
        ([keys.rsa(extra=" s=email;")], []),
        ([keys.rsa(extra=" n=note; x=y;")], []),
        ([keys.rsa().removeprefix("v=DKIM1; k=rsa; ")], []),
        ([keys.ed25519()], ["dkim-ed25519"]),
        ([keys.rsa(), keys.rsa(1024)], ["dkim-several"]),
    ],
)
def test_what_is_wrong_has_a_stable_id(texts: list[str], found: list[str]) -> None:
    assert ids(at(*texts)) == found


def test_white_space_within_a_key_does_not_matter() -> None:
    text = keys.rsa()

    assert parse(f"{text[:100]} {text[100:200]}\t{text[200:]}") == parse(text)


def test_a_key_that_was_cut_off_is_no_key() -> None:
    with pytest.raises(BadKey, match="whole"):
        parse(keys.rsa()[:-56])


@pytest.mark.parametrize("failure", [BROKEN, SILENT])
def test_a_server_that_fails_is_never_a_missing_key(failure: Answer) -> None:
    found = look_at("google", "acme.example", Table(instead={"": failure}))

    assert (ids(found), found.is_usable) == (["dkim-unreadable"], False)


def test_what_was_found_is_plain_data_without_the_key() -> None:
    kept = json.loads(json.dumps(at(keys.rsa(1024)).as_json()))

    assert (kept["name"], kept["bits"], kept["findings"][0]["id"]) == (NAME, 1024, "dkim-1024")
