"""The OpenSPF test suite (RFC 7208, release 2014.04): 203 cases in 16 scenarios, judged by what they expect.

The suite lies in `openspf/` as its authors published it, with their licence.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from infra.dns.names import askable
from infra.dns.records import BadRecord, Record, Type, record
from infra.dns.resolver import TIMEOUT, Answer, Status
from infra.dns.spf.evaluate import evaluate

SUITE = Path(__file__).parent / "openspf" / "rfc7208-tests.yml"


@dataclass
class Zone:
    """A scenario's zone data as a resolver: what is named `TIMEOUT` fails, and what begins with `error.` too."""

    rows: Mapping[str, list[Any]]
    name: str = "suite"

    def query(self, name: str, kind: Type, *, timeout: float = TIMEOUT) -> Answer:
        owner, seen = askable(name), set[str]()
        while owner not in seen:
            seen.add(owner)
            rows = self.rows.get(owner, [])
            if not rows and owner.startswith("error."):
                return Answer(Status.TEMPORARY_FAILURE)
            found = list(self._found(rows, kind, owner))
            if found:
                return Answer(Status.RECORDS, tuple(found))
            alias = next((row["CNAME"] for row in rows if isinstance(row, dict) and "CNAME" in row), None)
            if alias is not None:
                owner = askable(alias)
                continue
            if "TIMEOUT" in rows or {str(kind): "TIMEOUT"} in rows:
                return Answer(Status.TIMEOUT)
            return Answer(Status.NO_ANSWER if rows else Status.NXDOMAIN)
        return Answer(Status.TEMPORARY_FAILURE)

    def _found(self, rows: list[Any], kind: Type, owner: str) -> Iterator[Record]:
        given = [row for row in rows if isinstance(row, dict)]
        wanted = str(kind)
        if kind is Type.TXT and not any("TXT" in row for row in given):
            wanted = "SPF"  # stands for TXT as well
        for row in given:
            value = row.get(wanted)
            if value in (None, "NONE", "TIMEOUT"):
                continue
            try:
                if kind is Type.TXT:
                    yield Record(kind, owner, "".join(value) if isinstance(value, list) else value)
                elif kind is Type.MX:
                    yield record("MX", owner, value[1] or ".", value[0])
                else:
                    yield record(wanted, owner, value)
            except BadRecord:
                continue


def cases() -> Iterator[Any]:
    for scenario in yaml.safe_load_all(SUITE.read_text(encoding="utf-8")):
        zone = Zone({askable(name): rows for name, rows in scenario["zonedata"].items()})
        for name, case in scenario["tests"].items():
            yield pytest.param(zone, case, id=f"{scenario['description']}: {name}")


CASES = list(cases())


def test_the_suite_is_whole() -> None:
    assert len(CASES) == 203


@pytest.mark.parametrize("zone, case", CASES)
def test_what_the_suite_expects(zone: Zone, case: Mapping[str, Any]) -> None:
    verdict = evaluate(str(case["host"]), case["mailfrom"], case["helo"], zone)
    expected = case["result"] if isinstance(case["result"], list) else [case["result"]]

    assert verdict.result in expected, verdict
    if "explanation" in case and verdict.result == "fail":
        assert verdict.explanation == case["explanation"]
