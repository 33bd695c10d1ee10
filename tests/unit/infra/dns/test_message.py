"""What a received message proves: verdicts of its receiver alone, and each of them worked out again."""

from __future__ import annotations

import dkim
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from infra.dns.compliance import Value
from infra.dns.message import Judged, Trust, header_text, judge, parse_verdicts, sender_of, sentence, uncommented
from infra.dns.records import Record, record
from infra.dns.resolver import Answer

from .keys import private_key, rsa
from .kit import BROKEN, Table

TRUST = Trust("mx.probe.example", "mx.probe.example")
NAME, SELECTOR = "getacme.com", "google"
KEY = private_key(2048).private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
PASS, FAIL, UNKNOWN = Value.PASS, Value.FAIL, Value.UNKNOWN
RETURN = f"Return-Path: <ada@{NAME}>"
RECEIVED = (
    "Received: from mail.google.com (mail.google.com [192.0.2.41])\r\n\tby mx.probe.example with ESMTPS id 1"
    " (version=TLS1_3 (bits=256/256)); Fri, 27 Nov 2026 10:00:01 +0000"
)
HOP = "Received: from [127.0.0.1] by smtp.gmail.com with ESMTPSA; Fri, 27 Nov 2026 10:00:00 +0000"
GOOD = "Authentication-Results: mx.probe.example; dkim=pass header.d=getacme.com; spf=pass; dmarc=pass"
BAD = "Authentication-Results: mx.probe.example; dkim=fail; spf=softfail; dmarc=fail"
LETTER = (
    f"From: Ada Sample <ada@{NAME}>\r\nTo: probe@probe.example\r\nSubject: A test\r\n"
    f"Date: Fri, 27 Nov 2026 10:00:00 +0000\r\nMessage-ID: <t@{NAME}>\r\n\r\nHello.\r\n"
)


def zone(**changes: str) -> list[Record]:
    """Return the records of a domain as they should be; a change replaces or, empty, removes one."""
    texts = {
        "spf": (NAME, "v=spf1 ip4:192.0.2.0/25 ~all"),
        "key": (f"{SELECTOR}._domainkey.{NAME}", rsa()),
        "dmarc": (f"_dmarc.{NAME}", "v=DMARC1; p=none"),
        "other_key": (f"{SELECTOR}._domainkey.mailer.example", rsa()),
    }
    kept = {kind: (owner, changes.get(kind, text)) for kind, (owner, text) in texts.items()}
    return [record("TXT", owner, text) for owner, text in kept.values() if text]


def signed(
    letter: str = LETTER, *, domain: str = NAME, headers: tuple[str, ...] = ("from", "to", "subject"), **more: bool
) -> str:
    names = [one.encode() for one in headers]
    line = dkim.sign(letter.encode(), SELECTOR.encode(), domain.encode(), KEY, include_headers=names, **more)
    return str(line.decode()) + letter


def received(letter: str, *, verdict: str = GOOD, top: str = f"{RETURN}\r\n{RECEIVED}") -> bytes:
    lines = [top, verdict, HOP] if verdict else [top, HOP]
    return ("\r\n".join(lines) + "\r\n" + letter).encode("utf-8", "surrogateescape")


def judged(raw: bytes, instead: dict[str, Answer] | None = None, **changes: str) -> Judged:
    return judge(raw, TRUST, Table(records=zone(**changes), instead=instead or {}))


def values(found: Judged) -> tuple[Value, Value, Value]:
    return found.spf.value, found.dkim.value, found.dmarc.value


def test_a_message_that_is_signed_and_sent_by_an_allowed_server_passes_all_three() -> None:
    found = judged(received(signed()))
    assert values(found) == (PASS, PASS, PASS)
    assert (found.domain, found.address, found.sender) == (NAME, "192.0.2.41", f"ada@{NAME}")
    assert {one.reported for one in (found.spf, found.dkim, found.dmarc)} == {"pass"}
    assert found.is_signed
    assert found.ignored == ()


def test_unsigned_mail_is_refused_and_the_way_out_is_said() -> None:
    found = judged(received(LETTER))
    assert found.dkim.said.code == "dkim-unsigned"
    assert values(found) == (PASS, FAIL, PASS)
    assert not found.is_signed
    assert NAME in str(found.dkim.fix)


def test_a_valid_signature_of_somebody_else_does_not_count() -> None:
    found = judged(received(signed(domain="mailer.example")))
    assert found.dkim.said.code == "dkim-foreign"
    assert "mailer.example" in str(found.dkim.said)
    assert not found.is_signed


def test_a_foreign_signature_beside_the_own_one_does_no_harm() -> None:
    assert judged(received(signed(signed(domain="mailer.example")))).is_signed
    assert judged(received(signed(signed(), domain="mailer.example"))).is_signed


@pytest.mark.parametrize(
    "letter",
    [
        signed().replace("Hello", "Hallo"),
        signed().replace("A test", "Another"),
        signed() + "More.\r\n",
        signed().replace("bh=", "bh=AAAA"),
        signed().replace("v=1;", "v=1; x=1;"),
    ],
    ids=["body", "subject", "added", "hash", "expired"],
)
def test_a_message_that_was_changed_after_it_was_signed_is_refused(letter: str) -> None:
    found = judged(received(letter))
    assert found.dkim.value is FAIL
    assert not found.is_signed


def test_a_signature_over_a_part_of_the_message_or_without_its_from_line_is_refused() -> None:
    assert judged(received(signed(length=True))).dkim.said.code == "dkim-partial"
    assert judged(received(signed().replace("h=from : ", "h="))).dkim.said.code == "dkim-partial"


@pytest.mark.parametrize(
    ("key", "code"),
    [
        ("", "dkim-none"),
        ("v=DKIM1; p=", "dkim-revoked"),
        ("v=DKIM1; p=AAAA", "dkim-syntax"),
        (rsa(1024), "dkim-invalid"),
    ],
)
def test_a_signature_whose_key_is_not_there_or_another_is_refused_with_the_cause(key: str, code: str) -> None:
    found = judged(received(signed()), key=key)
    assert (found.dkim.value, found.dkim.said.code) == (FAIL, code)
    assert found.dkim.fix


@pytest.mark.parametrize(
    "forged",
    [
        received(f"{GOOD}\r\n{LETTER}", verdict=""),
        received(f"{GOOD}\r\n{LETTER}", verdict=BAD),
        received(f"{GOOD}\r\n{HOP}\r\n{LETTER}", verdict=BAD),
        received(LETTER, verdict=f"{BAD}\r\n{GOOD}"),
    ],
    ids=["alone", "below the real one", "with a line of its own", "right below"],
)
def test_a_verdict_that_the_receiver_did_not_write_on_top_is_ignored_and_told(forged: bytes) -> None:
    found = judged(forged, spf="v=spf1 -all")
    assert values(found) == (FAIL, FAIL, FAIL)
    assert found.dkim.reported != "pass"
    assert found.ignored == ("mx.probe.example",)


def test_verdicts_of_other_servers_are_ignored_wherever_they_stand() -> None:
    other = "Authentication-Results: elsewhere.example; dkim=fail; spf=fail; dmarc=fail"
    found = judged(received(signed(), top=f"{other}\r\n{RETURN}\r\n{RECEIVED}"))
    assert values(found) == (PASS, PASS, PASS)
    assert found.ignored == ("elsewhere.example",)


def test_the_receivers_good_word_proves_nothing_and_its_bad_one_leaves_it_open() -> None:
    assert judged(received(LETTER)).dkim.reported == "pass"
    found = judged(received(signed(), verdict=BAD))
    assert values(found) == (UNKNOWN, UNKNOWN, UNKNOWN)
    assert found.spf.said.code == "disputed"
    assert "softfail" in str(found.spf.said)


def test_without_the_receivers_verdict_ours_stands() -> None:
    found = judged(received(signed(), verdict=""))
    assert values(found) == (PASS, PASS, PASS)
    assert found.dkim.reported == ""


@pytest.mark.parametrize(
    "line",
    [
        "Received: by mx.probe.example with SMTP id 2",
        "Received: from a.example ([198.51.100.9]) by other.example with SMTP",
        "Received: from a.example (by mx.probe.example [198.51.100.9]) by other.example",
    ],
)
def test_the_address_is_the_one_that_the_receiver_saw(line: str) -> None:
    found = judged(received(signed(), top=f"{RETURN}\r\n{line}\r\n{RECEIVED}"))
    assert found.address == "192.0.2.41"


def test_a_sender_that_names_itself_after_an_allowed_address_gains_nothing() -> None:
    line = "Received: from [192.0.2.41] ([192.0.2.42] [198.51.100.9]) by mx.probe.example with SMTP"
    found = judged(received(LETTER, top=f"{RETURN}\r\n{line}"))
    assert found.address == "198.51.100.9"
    assert found.spf.value is FAIL


def test_where_the_receivers_line_is_missing_the_sender_cannot_be_told() -> None:
    found = judged(received(signed(), top=f"{RETURN}\r\n{RECEIVED.replace('by mx.', 'by mx2.')}"))
    assert found.spf.said.code == "spf-unseen"
    assert values(found) == (UNKNOWN, PASS, PASS)
    assert found.dkim.reported == ""


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "spf-none"),
        ("v=spf1 ip4:198.51.100.0/24 ~all", "spf-fail"),
        ("v=spf1 ?all", "spf-fail"),
        ("v=spf1 ip4:nonsense -all", "spf-broken"),
    ],
)
def test_a_server_that_spf_does_not_allow_fails_with_the_cause(text: str, code: str) -> None:
    found = judged(received(signed()), spf=text)
    assert (found.spf.value, found.spf.said.code) == (FAIL, code)
    assert found.dmarc.value is PASS


def test_name_servers_that_do_not_answer_leave_it_open() -> None:
    everything = judged(received(signed()), {"": BROKEN})
    assert values(everything) == (UNKNOWN, UNKNOWN, UNKNOWN)
    key_alone = judged(received(signed()), {f"{SELECTOR}._domainkey.{NAME}": BROKEN}, spf="v=spf1 -all")
    assert values(key_alone) == (FAIL, UNKNOWN, UNKNOWN)
    assert key_alone.dmarc.said.code == "dmarc-unknown"


def test_dmarc_needs_a_record_and_a_domain_that_fits() -> None:
    assert judged(received(signed()), dmarc="").dmarc.said.code == "dmarc-none"
    elsewhere = f"Return-Path: <bounce@mailer.example>\r\n{RECEIVED}"
    found = judge(
        received(LETTER, top=elsewhere),
        TRUST,
        Table(records=[*zone(), record("TXT", "mailer.example", "v=spf1 ip4:192.0.2.0/25 -all")]),
    )
    assert values(found) == (PASS, FAIL, FAIL)
    assert found.dmarc.said.code == "dmarc-unaligned"


def test_strict_alignment_refuses_a_parent_domain() -> None:
    letter = LETTER.replace(f"ada@{NAME}", f"ada@mail.{NAME}")
    assert judged(received(signed(letter))).is_signed
    strict = judged(received(signed(letter)), dmarc="v=DMARC1; p=reject; adkim=s; aspf=s")
    assert values(strict) == (PASS, FAIL, FAIL)


@pytest.mark.parametrize(
    "line",
    [
        "",
        "From: nobody\r\n",
        f"From: ada@{NAME}, bo@{NAME}\r\n",
        f"From: ada@{NAME}\r\nFrom: ada@{NAME}\r\n",
        "From: a@b..c\r\n",
    ],
)
def test_a_message_without_one_from_address_proves_nothing(line: str) -> None:
    letter = signed().replace(f"From: Ada Sample <ada@{NAME}>\r\n", line)
    found = judged(received(letter))
    assert found.dkim.value is UNKNOWN
    assert not found.is_signed


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\r\n\r\n",
        b"\x00\xff\xfe",
        b"From",
        b": no name\r\n\r\n",
        b"DKIM-Signature: \r\n" * 50,
        b"DKIM-Signature: v=1; d=..; s=; h=from; b=; bh=\r\nFrom: ada@getacme.com\r\n\r\n",
        b"DKIM-Signature: v=1; a=rsa-sha256; d="
        + b"a" * 300
        + b"; s=google; h=from; b=AAAA; bh=AAAA\r\nFrom: a@getacme.com\r\n",
        b"Authentication-Results: " + b"(" * 5_000 + b"\r\n\r\n",
        b'Authentication-Results: "\\' + b"\r\n\r\n",
        b"Received: from a [[[[[::::]]] by mx.probe.example\r\nReturn-Path: <<>>\r\n\r\n",
        b"Received: from a ([999.1.1.1]) by mx.probe.example\r\nReturn-Path: <@>\r\nFrom: \xff@\xff\r\n\r\n",
        b" folded first\r\nFrom: a@getacme.com\r\n\r\n" + b"x" * 100_000,
    ],
)
def test_odd_messages_raise_nothing_and_prove_nothing(raw: bytes) -> None:
    found = judged(raw)
    assert not found.is_signed
    assert header_text(raw).count("\x00") == 0


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("mx.example; none", ("mx.example", [])),
        ("MX.Example 1; spf=pass smtp.mailfrom=a@b.c", ("mx.example", [("spf", "pass")])),
        ("mx.example; DKIM = Pass (1024-bit; evil=pass) header.d=b.c", ("mx.example", [("dkim", "pass")])),
        ('mx.example; spf=fail reason="; dkim=pass"', ("mx.example", [("spf", "fail")])),
        ("mx.example (; dkim=pass (nested) ); dmarc=fail", ("mx.example", [("dmarc", "fail")])),
        ("mx.example; dkim/1=pass; spf", ("mx.example", [("dkim", "pass")])),
        ("mx.example two words; spf=pass", ("", [])),
        ("; spf=pass", ("", [])),
    ],
)
def test_a_verdict_is_read_as_the_standard_writes_it(value: str, expected: tuple[str, list[tuple[str, str]]]) -> None:
    assert parse_verdicts(value) == expected


def test_comments_are_left_out_and_escapes_do_not_end_them() -> None:
    assert uncommented(r"a (b \) c) d").split() == ["a", "d"]
    assert uncommented("a (never closed; x=pass").split() == ["a"]


def test_what_was_judged_can_be_kept_and_said_again() -> None:
    found = judged(received(LETTER))
    kept = found.as_json()
    assert str(sentence(kept["dkim"]["fix"])) == str(found.dkim.fix)
    assert kept["spf"]["value"] == "pass"


def test_the_address_of_a_message_is_its_one_from_address() -> None:
    assert sender_of(LETTER.encode()) == f"ada@{NAME}"
    assert sender_of(b"From: a@b.c, d@e.f\r\n\r\n") == ""
