"""The list of bugs is kept true: each stands for a place that exists, and every trap and invariant has one."""

from __future__ import annotations

from pathlib import Path

import pytest

from .bug import Bug
from .bugs import BUGS

ROOT = Path(__file__).parents[2]
# Traps of what does not exist yet: restored backups, exports.
LATER = {28, 29}


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.key)
def test_a_bug_stands_for_one_place_and_one_test(bug: Bug) -> None:
    assert (ROOT / bug.path).read_text().count(bug.before) == 1
    assert bug.before != bug.after
    file, _, name = bug.test.partition("::")
    *inside, function = name.split("::")
    text = (ROOT / file).read_text()
    assert f"def {function}(" in text
    assert all(f"class {each}" in text for each in inside)


def test_every_invariant_and_every_trap_that_exists_has_a_bug() -> None:
    guarded = {bug.guards for bug in BUGS}
    assert {f"I{number}" for number in range(1, 13)} <= guarded
    assert {f"T{number}" for number in range(1, 33) if number not in LATER} <= guarded
    assert len({bug.key for bug in BUGS}) == len(BUGS) >= 40
