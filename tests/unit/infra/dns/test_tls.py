"""TLS reports and MTA-STS, as advice."""

from __future__ import annotations

import pytest

from infra.dns.findings import Level
from infra.dns.records import record
from infra.dns.tls import Found, look_at
from tests.unit.infra.dns.kit import BROKEN, Table

NAME = "acme.example"
REPORTS, STS = "v=TLSRPTv1; rua=mailto:tls@acme.example", "v=STSv1; id=20261123T090000;"


def at(reports: str = REPORTS, sts: str = STS) -> Found:
    rows = [record("TXT", f"_smtp._tls.{NAME}", text) for text in reports.split("|")]
    rows += [record("TXT", f"_mta-sts.{NAME}", text) for text in sts.split("|")]
    return look_at(NAME, Table(records=rows))


def ids(found: Found) -> list[str]:
    return [one.id for one in found.findings]


def test_both_are_read() -> None:
    found = at()

    assert (found.reports, found.sts_id, ids(found)) == (("mailto:tls@acme.example",), "20261123T090000", [])


@pytest.mark.parametrize(
    "reports, expected",
    [
        ("unrelated", ["tls-no-reports"]),
        ("v=TLSRPTv1", ["tls-reports-broken"]),
        ("v=TLSRPTv1; rua=tls@acme.example", ["tls-reports-broken"]),
        ("v=TLSRPTv1; rua=https://a.example/x,mailto:a@b.example", []),
        (f"{REPORTS}|{REPORTS}x", ["tls-reports-broken"]),
    ],
)
def test_reports_that_are_not_read_are_named(reports: str, expected: list[str]) -> None:
    assert ids(at(reports=reports)) == expected


@pytest.mark.parametrize(
    "sts, expected",
    [
        ("unrelated", ["sts-none"]),
        ("v=STSv1", ["sts-broken"]),
        ("v=STSv1; id=not-allowed", ["sts-broken"]),
        ("v=STSv1; id=1|v=STSv1; id=2", ["sts-broken"]),
    ],
)
def test_an_mta_sts_record_that_is_not_read_is_named(sts: str, expected: list[str]) -> None:
    assert ids(at(sts=sts)) == expected


def test_a_server_that_fails_is_never_absent() -> None:
    assert ids(look_at(NAME, Table(instead={"": BROKEN}))) == ["tls-unreadable", "tls-unreadable"]


def test_nothing_here_is_ever_an_error() -> None:
    assert Level.ERROR not in {one.level for one in look_at(NAME, Table()).findings}
