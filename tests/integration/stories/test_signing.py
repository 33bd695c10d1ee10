"""The proof that mail is signed: a message shows it, a person's word does not."""

from __future__ import annotations

from typing import Any

import pytest

from infra.models import AuthenticationTest, OperatorItem, StepState
from integrations.sandbox import google_world
from provisioning import actions, entering
from provisioning.engine.entries import ASKED
from provisioning.steps.workspace import signing

from .. import people
from .kit import Crash, Story, dying
from .test_workspace import NAME, is_asked, ordered

pytestmark = pytest.mark.django_db

HOURS = 240


def is_signed_asked(made: Story) -> bool:
    return bool(is_asked(made, signing.STEP)())


def say_started(made: Story) -> None:
    assert entering.enter(run=made.run, key=signing.STEP, text=f"{NAME} started", actor="operator") == 1


def press_start(made: Story) -> None:
    google_world.start_authentication(made.sandbox.world, NAME, made.sandbox.clock.now())


def codes() -> list[str]:
    """Return what each test showed of the signature, the oldest first."""
    made = AuthenticationTest.objects.order_by("created_at")
    return [one.verdicts["dkim"]["code"] if one.verdicts else one.code for one in made]


def test_a_published_key_is_no_proof_and_a_person_is_asked_with_what_to_do(asked: Story) -> None:
    made = asked
    assert codes() == ["dkim-foreign"]
    item = OperatorItem.objects.get(details__code=ASKED, resolved_at__isnull=True)
    assert f"{NAME}: It is signed, but by getacme-com.20230601.gappssmtp.com" in item.sentence
    assert "Start authentication" in " ".join(str(line) for line in entering.asked(made.run)[0].entry.how)
    assert made.rows("limits").exclude(state=StepState.PENDING).count() == 0
    assert "signed_at" not in made.domain(NAME).facts


def all_but_signing(sandbox: Any) -> bool:
    return people._enter(sandbox, ("dkim_keys", "accounts"))


@pytest.fixture
def asked() -> Story:
    """An order whose mail is not signed yet, and a person who was asked to start it."""
    made = ordered()
    made.world.people = [people.own_domains_are_delegated, people.mail_is_tested, all_but_signing]
    made.play(lambda: is_signed_asked(made), hours=HOURS)
    return made


def test_started_and_said_so_it_is_seen_and_the_order_goes_on(asked: Story) -> None:
    press_start(asked)
    say_started(asked)
    asked.play(hours=HOURS)
    asked.check()
    assert codes()[-1] == "dkim-pass"
    assert asked.domain(NAME).facts["signed_at"]
    assert not asked.items(is_open=True).exists()


def test_a_false_tick_fails_and_the_person_is_asked_again(asked: Story) -> None:
    say_started(asked)
    asked.play(lambda: not is_signed_asked(asked))
    asked.play(lambda: is_signed_asked(asked), hours=24)
    assert codes() == ["dkim-foreign"] * (1 + len(signing.AFTER_START))
    assert "signed_at" not in asked.domain(NAME).facts
    press_start(asked)
    say_started(asked)
    asked.play(hours=HOURS)
    asked.check()


def test_pressing_without_a_word_is_found_within_hours(asked: Story) -> None:
    press_start(asked)
    before = asked.sandbox.clock.now()
    asked.play(hours=HOURS)
    asked.check()
    assert asked.sandbox.clock.now() - before < 12 * 3600


def test_who_says_nothing_is_asked_once_however_often_it_is_tested_meanwhile(asked: Story) -> None:
    asked.play(lambda: len(codes()) == 4 and is_signed_asked(asked), hours=48)
    about = OperatorItem.objects.filter(key__contains=f":{signing.STEP}:", details__code=ASKED)
    assert [one.resolved_at for one in about] == [None]


def test_anything_but_the_word_is_refused(asked: Story) -> None:
    for text in (f"{NAME} yes", f"{NAME} ", "other.com started"):
        with pytest.raises(actions.Refused):
            entering.enter(run=asked.run, key=signing.STEP, text=text, actor="operator")
    assert "signing" not in asked.domain(NAME).facts


def test_messages_that_do_not_arrive_are_sent_anew_ever_more_rarely_and_then_a_person_looks() -> None:
    made = ordered()
    made.sandbox.faults.add("mail_lost", platform="mail")
    made.play(lambda: made.rows(signing.STEP).filter(facts__code="test_failed").exists(), hours=HOURS)
    assert codes() == ["not_arrived"] * (len(signing.TROUBLE) + 1)
    assert len(made.sandbox.world.letters) == 0
    made.sandbox.faults.clear()
    made.play(hours=HOURS)
    made.check()


def test_an_app_password_that_sends_nothing_is_not_passed_over() -> None:
    made = ordered()
    made.sandbox.faults.add("mail_login", platform="mail", times=2)
    made.play(hours=HOURS)
    made.check()
    assert codes()[:2] == ["login_refused"] * 2
    assert codes()[-1] == "dkim-pass"


def test_a_worker_that_dies_between_intent_and_sending_costs_half_an_hour_and_no_second_message(asked: Story) -> None:
    press_start(asked)
    asked.advance(3600)  # by now Google signs
    say_started(asked)
    deaths: list[str] = []

    def at(name: str, _subject: Any) -> bool:
        dies = name == "after_test_intent" and not deaths
        if dies:
            deaths.append(name)
        return dies

    with dying(at):
        while True:
            try:
                asked.play(hours=HOURS)
                break
            except Crash:
                asked.world.bury()
    asked.check()
    assert codes() == ["dkim-foreign", "unclear", "dkim-pass"]
    assert len(asked.sandbox.world.letters) == 2
