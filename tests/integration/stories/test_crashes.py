"""A run that kills its workers again and again must not keep them from the others.

That a death at any place changes nothing is shown by tests/chaos/test_crash_matrix.py, on real commits.
"""

from __future__ import annotations

from datetime import datetime
from itertools import pairwise
from typing import Any

import pytest

from infra import clock

from .kit import dying, outlive, story

pytestmark = pytest.mark.django_db


def test_a_run_that_kills_every_worker_comes_back_ever_more_rarely() -> None:
    made = story()
    deaths: list[datetime] = []

    def at(name: str, _subject: Any) -> bool:
        dies = name == "before_record" and len(deaths) < 8
        if dies:
            deaths.append(clock.vendor_now())
        return dies

    with dying(at):
        assert outlive(made, hours=48) == 8
    pauses = [(later - earlier).total_seconds() for earlier, later in pairwise(deaths)]
    for pause, about in zip(pauses[4:], (120, 240, 480), strict=True):  # the earlier ones last as long as a lease
        assert 0.8 * about < pause < 1.5 * about
    made.check()
    assert made.mails()["operator_run_crashes"] == 1
