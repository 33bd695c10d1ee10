"""Three values, never a promise: what DNS proves, what it disproves, and what it cannot show."""

from __future__ import annotations

import json

import pytest

from infra.dns import dkim, dmarc
from infra.dns.compliance import (
    BULK_RULES,
    ROWS,
    Check,
    Facts,
    Proof,
    Provider,
    Value,
    checks,
    judge,
    report,
    required_by,
    spam_rate,
)
from infra.dns.records import record
from infra.dns.spf.evaluate import Verdict
from infra.dns.spf.tree import grow
from tests.unit.infra.dns import keys
from tests.unit.infra.dns.kit import BROKEN, Table

NAME = "acme.example"
SPF, DMARC = "v=spf1 ip4:192.0.2.0/24 ~all", "v=DMARC1; p=none; rua=mailto:r@acme.example"
BY_MESSAGE = ("spf_sender", "dkim_signed", "aligned", "tls", "format", "unsubscribe")


def facts(*, spf: str = SPF, key: str = "", policy: str = DMARC, **changes: object) -> Facts:
    """Return what DNS says of a domain; an empty text is no record."""
    rows = [
        record("TXT", name, text)
        for name, texts in (
            (NAME, spf),
            (f"google._domainkey.{NAME}", key or keys.rsa()),
            (f"_dmarc.{NAME}", policy),
        )
        for text in texts.split("|")
        if text not in ("", "-")
    ]
    world = Table(records=rows)
    given = {
        "spf": grow(NAME, world),
        "keys": [dkim.look_at("google", NAME, world)],
        "dmarc": dmarc.look_at(NAME, world),
        **changes,
    }
    return Facts(NAME, **given)  # type: ignore[arg-type]


def value(row: str, one: Facts) -> Value:
    return checks(one)[row].value


ALL_PROVEN = {
    **{row: Proof(Value.PASS, "message", "so it is") for row in BY_MESSAGE},
    "ptr": Proof(Value.PASS, "postmaster"),
    "spam_rate": spam_rate(0.0004),
}


def test_dns_alone_proves_three_rows_and_no_provider() -> None:
    found = checks(facts())

    assert {row for row, one in found.items() if one.value is Value.PASS} == {"spf_record", "dkim_key", "dmarc_record"}
    assert {one.value for one in judge(found).values()} == {Value.UNKNOWN}


def test_what_is_missing_is_named() -> None:
    found = judge(checks(facts()))[Provider.OUTLOOK]

    assert found.missing == ("spf_sender", "dkim_signed", "aligned")


def test_all_rows_proven_by_some_evidence_make_a_pass() -> None:
    found = judge(checks(facts(proofs=ALL_PROVEN)))

    assert {one.value for one in found.values()} == {Value.PASS}


@pytest.mark.parametrize("row", [*BY_MESSAGE, "ptr", "spam_rate"])
def test_one_row_without_evidence_leaves_it_open_for_those_who_ask(row: str) -> None:
    found = judge(checks(facts(proofs={name: one for name, one in ALL_PROVEN.items() if name != row})))

    for provider, judgement in found.items():
        asks = provider in required_by(row)
        assert judgement.value is (Value.UNKNOWN if asks else Value.PASS)
        assert judgement.missing == ((row,) if asks else ())


@pytest.mark.parametrize(
    "row, changes",
    [
        ("spf_record", {"spf": "-"}),
        ("spf_record", {"spf": "v=spf1 -all|v=spf1 ~all"}),
        ("spf_record", {"spf": "v=spf1 nonsense"}),
        ("spf_record", {"spf": "v=spf1 " + "a:x.example " * 11 + "-all"}),
        ("spf_record", {"spf": "v=spf1 a:x.example a:y.example a:z.example -all"}),
        ("spf_sender", {"spf": "-"}),
        ("spf_sender", {"senders": [Verdict("pass"), Verdict("softfail")]}),
        ("dkim_key", {"key": "-"}),
        ("dkim_key", {"key": "v=DKIM1; p="}),
        ("dkim_key", {"key": keys.SHORT}),
        ("dkim_signed", {"key": "-"}),
        ("dmarc_record", {"policy": "-"}),
        ("dmarc_record", {"policy": f"{DMARC}|v=DMARC1; p=reject"}),
        ("dmarc_record", {"policy": "v=DMARC1; rua=mailto:r@acme.example"}),
    ],
)
def test_what_dns_disproves_fails_everywhere_with_a_reason_and_a_fix(row: str, changes: dict[str, object]) -> None:
    one = facts(**changes, proofs=ALL_PROVEN if row != "spf_sender" else {})  # type: ignore[arg-type]
    check = checks(one)[row]

    assert (check.value, check.source) == (Value.FAIL, "dns")
    assert str(check.reason)
    assert str(check.fix)
    assert {judgement.value for judgement in judge(checks(one)).values()} == {Value.FAIL}


def test_a_key_of_1024_bits_is_a_pass_and_no_more_than_that() -> None:
    assert value("dkim_key", facts(key=keys.rsa(1024))) is Value.PASS


def test_one_usable_key_among_several_selectors_is_enough() -> None:
    world = Table(records=[record("TXT", f"two._domainkey.{NAME}", keys.rsa())])
    found = [dkim.look_at(selector, NAME, world) for selector in ("one", "two")]

    assert value("dkim_key", facts(keys=found)) is Value.PASS


def test_a_server_that_does_not_answer_leaves_it_open() -> None:
    silent = Table(instead={"": BROKEN})
    one = Facts(NAME, grow(NAME, silent), (), [dkim.look_at("google", NAME, silent)], dmarc.look_at(NAME, silent))

    assert {check.value for check in checks(one).values()} == {Value.UNKNOWN}


def test_what_was_not_looked_at_is_unknown() -> None:
    assert {check.value for check in checks(Facts(NAME)).values()} == {Value.UNKNOWN}


def test_senders_that_are_known_and_allowed_prove_it_and_an_unclear_one_does_not() -> None:
    assert value("spf_sender", facts(senders=[Verdict("pass")])) is Value.PASS
    assert value("spf_sender", facts(senders=[Verdict("pass"), Verdict("temperror")])) is Value.UNKNOWN


def test_evidence_from_elsewhere_does_not_outweigh_what_dns_disproves() -> None:
    one = facts(key="-", proofs=ALL_PROVEN)

    assert value("dkim_signed", one) is Value.FAIL


def test_evidence_counts_only_where_it_can_settle_the_row() -> None:
    claim = {"ptr": Proof(Value.PASS, "message"), "dkim_key": Proof(Value.PASS, "message")}
    found = checks(facts(keys=[], proofs=claim))

    assert (found["ptr"].value, found["dkim_key"].value) == (Value.UNKNOWN, Value.UNKNOWN)


def test_a_test_message_can_disprove_too() -> None:
    found = checks(facts(proofs={"aligned": Proof(Value.FAIL, "message", "d=other.example")}))

    assert (found["aligned"].value, found["aligned"].source) == (Value.FAIL, "message")
    assert str(found["aligned"].reason) == "A received test message shows: d=other.example."


@pytest.mark.parametrize(
    "rate, expected", [(0.0, Value.PASS), (0.0009, Value.PASS), (0.001, Value.UNKNOWN), (0.003, Value.FAIL)]
)
def test_the_lines_of_the_spam_rate(rate: float, expected: Value) -> None:
    assert spam_rate(rate).value is expected


def test_few_messages_need_one_of_spf_and_dkim() -> None:
    proofs = {**ALL_PROVEN, "unsubscribe": Proof(Value.FAIL, "tool")}
    one = facts(key="-", policy="-", proofs=proofs)

    few = judge(checks(one), bulk=False)
    assert {found.value for found in few.values()} == {Value.PASS}
    assert judge(checks(one))[Provider.GMAIL].value is Value.FAIL


def test_who_asks_for_what() -> None:
    assert required_by("unsubscribe") == (Provider.GMAIL, Provider.YAHOO)
    assert required_by("ptr") == (Provider.GMAIL,)
    assert required_by("aligned") == tuple(Provider)


def test_every_row_is_asked_for_by_somebody_and_every_rule_names_a_row() -> None:
    named = {row for required in BULK_RULES.values() for group in required for row in group}

    assert named == set(ROWS)


def test_the_report_is_plain_data_with_a_reason_for_every_row() -> None:
    kept = json.loads(json.dumps(report(facts(spf="-"))))

    assert kept["providers"]["gmail"]["failing"] == ["spf_record", "spf_sender"]
    assert all(row["reason"] and row["standard"] and row["required_by"] for row in kept["checks"])
    assert [row["id"] for row in kept["checks"]] == list(ROWS)


def test_a_check_knows_its_row() -> None:
    one: Check = checks(facts())["spf_record"]

    assert one.row is ROWS["spf_record"]
    assert str(one.reason) == "One record, 0 of 10 look-ups, 0 without an answer."
