"""What all simulated warmup has in common, and the mail server that connected mailboxes are tried at."""

from __future__ import annotations

import pickle

import pytest

from integrations.sandbox import mailhost, warmup
from integrations.sandbox.warmup import DAY, PROFILES, Spells, expected_health
from integrations.sandbox.world import World
from tests.unit.sandbox.kit import Box

ADDRESS = "sam@getexamplebrand.com"


def test_spells_count_only_the_time_in_which_warmup_was_on() -> None:
    spells = Spells()
    assert (spells.is_on, spells.began, spells.seconds(0, DAY)) == (False, None, 0.0)
    spells.switch(True, DAY)
    spells.switch(True, 2 * DAY)  # is on already
    spells.switch(False, 3 * DAY)
    spells.switch(False, 4 * DAY)  # is off already
    assert spells.cold(4 * DAY) == DAY
    spells.switch(True, 5 * DAY)
    assert (spells.is_on, spells.began, spells.cold(9 * DAY)) == (True, DAY, 0.0)
    assert spells.seconds(0, 6 * DAY) == 3 * DAY
    assert spells.seconds(2.5 * DAY, 5.5 * DAY) == DAY


@pytest.mark.parametrize("profile", PROFILES)
def test_health_is_a_percentage_and_the_same_each_time(profile: str) -> None:
    days = [warmup.health(1, profile, ADDRESS, day, cold_days=day // 3) for day in range(90)]
    assert all(0 <= figure <= 100 for figure in days)
    assert days == [warmup.health(1, profile, ADDRESS, day, cold_days=day // 3) for day in range(90)]


def test_spam_at_microsoft_spares_the_others() -> None:
    figures = [expected_health("spam_at_microsoft", 10, name) for name in ("google", "microsoft", "other")]
    assert figures == [97, 55, 97]


def test_only_the_newest_password_opens_a_mailbox() -> None:
    world = World()
    assert not mailhost.opens(world, ADDRESS, "")
    mailhost.set_password(world, ADDRESS.upper(), "first-password", 100.0)
    mailhost.set_password(world, ADDRESS, "second-password", 200.0)
    assert mailhost.opens(world, ADDRESS, "second-password")
    assert not mailhost.opens(world, ADDRESS, "first-password")
    assert mailhost.opens(world, ADDRESS, "first-password", at=199.0)
    assert not mailhost.opens(world, ADDRESS, "first-password", at=200.0)
    assert mailhost.password_of(world, ADDRESS) == "second-password"
    mailhost.remove(world, ADDRESS)
    assert not mailhost.opens(world, ADDRESS, "second-password")


def test_a_world_saved_before_there_was_a_mail_server_is_taken_up() -> None:
    world = World(seed=7)
    world.count("workspace")
    del world.__dict__["mailhost"]
    again = pickle.loads(pickle.dumps(world))
    assert (again.seed, again.counters, again.mailhost) == (7, {"workspace": 1}, {})


def test_the_state_shows_no_password() -> None:
    box = Box()
    mailhost.set_password(box.sandbox.world, ADDRESS, "a-password-of-the-mail-host", 1.0)
    assert "a-password-of-the-mail-host" not in str(box.sandbox.state())
