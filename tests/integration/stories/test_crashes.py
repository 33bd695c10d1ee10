"""A run that kills its workers again and again must not keep them from the others.

That a death at any place changes nothing is shown by tests/chaos/test_crash_matrix.py, on real commits.
"""

from __future__ import annotations

from typing import Any

import pytest

from .kit import dying, outlive, story

pytestmark = pytest.mark.django_db


def test_a_run_that_kills_every_worker_comes_back_ever_more_rarely() -> None:
    made = story()
    deaths: list[Any] = []

    def at(name: str, subject: Any) -> bool:
        if name == "before_record":
            deaths.append(subject)
        return name == "before_record" and len(deaths) <= 8

    with dying(at):
        assert outlive(made, hours=48) == 8
    made.check()
    assert made.mails()["operator_run_crashes"] == 1
