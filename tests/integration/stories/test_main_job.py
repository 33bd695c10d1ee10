"""The main job in every size, undisturbed and under the demo's faults."""

from __future__ import annotations

import pytest

from .kit import story

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("tier", ["starter", "growth", "scale"])
def test_every_package_is_built_completely(tier: str) -> None:
    made = story(tier=tier)
    made.play()
    made.check()
    assert made.mails() == {"ready": 1}


@pytest.mark.parametrize(("tier", "seed"), [("starter", 7), ("starter", 8), ("growth", 9), ("scale", 10)])
def test_the_demos_faults_change_nothing(tier: str, seed: int) -> None:
    made = story(tier=tier, seed=seed, profile="demo", spares=4, switches={"zapmail_taken_share": 0.1})
    made.play()
    made.check(quotas=False)
