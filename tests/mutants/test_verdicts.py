"""What counts as caught: the test itself has failed, in any of its cases."""

from __future__ import annotations

from pathlib import Path

import pytest

from .copies import Verdicts

CASES = {
    "passed": "",
    "failed": "<failure/>",
    "broken": "<error/>",
    "skipped": "<skipped/>",
}
WHERE = 'classname="tests.unit.test_thing.TestPart"'
NAME = "tests/unit/test_thing.py::TestPart::test_it_works"


def verdict(folder: Path, *cases: str) -> str:
    rows = "".join(
        f'<testcase {WHERE} name="test_it_works[{n}]">{CASES[case]}</testcase>' for n, case in enumerate(cases)
    )
    report = folder / "report.xml"
    report.write_text(f"<testsuites><testsuite>{rows}</testsuite></testsuites>")
    return Verdicts.read(report).of(NAME)


@pytest.mark.parametrize(
    ("cases", "word"),
    [
        (["passed", "passed"], "passed"),
        (["passed", "failed"], "failed"),
        (["failed", "broken"], "broken"),
        (["passed", "skipped"], "broken"),
        ([], ""),
    ],
)
def test_the_worst_of_the_cases_counts(cases: list[str], word: str, tmp_path: Path) -> None:
    assert verdict(tmp_path, *cases) == word


def test_without_a_report_there_is_no_verdict(tmp_path: Path) -> None:
    assert Verdicts.read(tmp_path / "nothing.xml").of(NAME) == ""
