"""The main job in every size, undisturbed and under the demo's faults."""

from __future__ import annotations

import pytest

from .kit import story

pytestmark = pytest.mark.django_db

MOST_CALLS = 40  # docs/performance.md: 20 at least, the rest are looks


@pytest.mark.parametrize("tier", ["starter", "growth", "scale"])
def test_every_package_is_built_completely(tier: str) -> None:
    made = story(tier=tier)
    made.play()
    made.check()
    assert made.mails() == {"ready": 1}
    assert sum(made.calls().values()) <= MOST_CALLS
    assert all(count == 1 for verb, count in made.calls().items() if ".list_" not in verb)


def test_dmarc_reports_go_to_the_operator_because_at_the_students_they_never_arrive() -> None:
    made = story()
    made.play()
    domains = made.sandbox.world.zapmail.domains.values()
    assert {domain.dmarc_email for domain in domains} == {made.world.workshop.options.dmarc_report_email}
    assert all(domain.dmarc_added for domain in domains)


@pytest.mark.parametrize(("tier", "seed"), [("starter", 7), ("starter", 8), ("growth", 9), ("scale", 10)])
def test_the_demos_faults_change_nothing(tier: str, seed: int) -> None:
    made = story(tier=tier, seed=seed, profile="demo", spares=4, switches={"zapmail_taken_share": 0.1})
    made.play()
    made.check(quotas=False)
