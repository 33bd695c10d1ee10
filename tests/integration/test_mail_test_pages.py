"""The page of a mailbox's tests and its address in the API: the button, the wait, what came of it, and nobody else's."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any
from uuid import UUID

import pytest
from django.core.serializers.json import DjangoJSONEncoder
from django.test import override_settings

from infra import clock
from infra.dashboard.mail_tests import REASONS, STATES, mailbox_tests
from infra.models import AuthenticationTest, Mailbox, MailboxSecret, MailboxState, TrialState
from tests.integration.mailboxes import running_mailbox
from tests.integration.pages import signed_in, student, text
from tests.integration.stories.kit import World, make_world
from tests.integration.test_mail_tests import play

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("client")]

NOBODY = UUID("4f0ce00f-3f3c-4517-92d7-6313d5acdb29")
NO_PROBE = override_settings(MAIL_PROBE={})


@pytest.fixture
def world() -> World:
    return make_world()


@pytest.fixture
def box(world: World) -> Mailbox:
    return running_mailbox(world.sandbox)


def page(box: Mailbox | UUID) -> str:
    return f"/infrastructure/mailboxes/{box.pk if isinstance(box, Mailbox) else box}/test/"


def api(box: Mailbox | UUID) -> str:
    return f"/api{page(box)}"


def look(box: Mailbox) -> str:
    return text(signed_in(box.student).get(page(box)))


def press(box: Mailbox) -> Any:
    return signed_in(box.student).post(page(box))


def presented(box: Mailbox) -> dict[str, Any]:
    """Return what the presenter says, as it reads after a journey as JSON."""
    shown = asdict(mailbox_tests(box, now=clock.vendor_now()))
    made: dict[str, Any] = json.loads(json.dumps(shown, cls=DjangoJSONEncoder))
    return made


def test_the_dashboard_leads_to_each_mailboxs_test(box: Mailbox) -> None:
    assert page(box) in signed_in(box.student).get("/infrastructure/dashboard/").content.decode()


def test_a_button_has_a_message_sent_and_the_page_follows_it(world: World, box: Mailbox) -> None:
    assert "Send a test message" in look(box)
    assert press(box)["Location"] == page(box)
    shown = look(box)
    assert "about to be sent" in shown
    assert "Send a" not in shown
    assert "data-poll" in signed_in(box.student).get(page(box)).content.decode()
    play(world, box)
    done = look(box)
    assert "All passed" in done
    for words in (
        "SPF",
        "DKIM",
        "DMARC",
        "valid signature of getacme.com",
        "The receiver reports: pass",
        "DKIM-Signature:",
    ):
        assert words in done
    assert "Send another test message" in done
    assert "data-poll" not in signed_in(box.student).get(page(box)).content.decode()


def test_what_fails_is_said_with_what_to_do_and_earlier_tests_stay(world: World, box: Mailbox) -> None:
    for kind in ("mail_unsigned", "mail_forged"):
        world.sandbox.faults.add(kind, platform="mail", times=1)
    press(box)
    play(world, box)
    shown = look(box)
    assert "Needs attention" in shown
    assert "It is not signed. What to do Switch DKIM signing on for getacme.com" in shown
    assert "they do not count" in shown
    press(box)
    play(world, box)
    again = look(box)
    assert "Earlier tests" in again
    assert "SPF: Passes, DKIM: Fails, DMARC: Passes" in again


@pytest.mark.parametrize("code", sorted(REASONS))
def test_each_end_without_a_verdict_has_its_words(box: Mailbox, code: str) -> None:
    press(box)
    now = clock.vendor_now()
    AuthenticationTest.objects.update(
        state=TrialState.TIMED_OUT if code == "unclear" else TrialState.FAILED,
        sending_at=now, ended_at=now, due_at=None, code=code, words="550 5.7.1 <script>no",
    )  # fmt: skip
    response = signed_in(box.student).get(page(box))
    shown = text(response)
    assert all(str(words) in shown for words in REASONS[code])
    assert ("550 5.7.1" in shown) == (code in ("refused", "unreachable"))
    assert b"<script>no" not in response.content


def test_every_state_has_its_words() -> None:
    assert set(STATES) == set(TrialState)


def test_pressing_twenty_times_makes_one(box: Mailbox) -> None:
    for _ in range(20):
        press(box)
    assert AuthenticationTest.objects.count() == 1


def test_without_a_probe_mailbox_there_is_no_button_and_the_page_says_whom_to_ask(box: Mailbox) -> None:
    with NO_PROBE:
        shown = look(box)
        assert "Send a" not in shown
        assert "ask the operator" in shown
        assert "operator@demo.example" in shown
        response = signed_in(box.student).post(page(box), follow=True)
        assert "ask the operator" in text(response)
        refused = signed_in(box.student).post(api(box))
    assert refused.status_code == 409
    assert not AuthenticationTest.objects.exists()


def test_a_mailbox_whose_password_is_not_known_says_so(box: Mailbox) -> None:
    MailboxSecret.objects.all().delete()
    shown = look(box)
    assert "password" in shown
    assert "Send a" not in shown
    Mailbox.objects.update(state=MailboxState.FAILED)
    assert page(box) not in signed_in(box.student).get("/infrastructure/dashboard/").content.decode()


def test_the_changing_part_is_sent_when_it_has_changed(world: World, box: Mailbox) -> None:
    press(box)
    person, address = signed_in(box.student), f"{page(box)}state/"
    version = presented(box)["version"]
    assert person.get(f"{address}?version={version}").status_code == 204
    play(world, box)
    changed = person.get(f"{address}?version={version}")
    assert changed.status_code == 200
    assert "All passed" in text(changed)
    assert "<html" not in changed.content.decode()


@pytest.mark.parametrize("method", ["get", "post"])
def test_anothers_mailbox_is_not_there(box: Mailbox, method: str) -> None:
    other = signed_in(student("bo@students.example"))
    for address in (page(box), api(box), page(NOBODY), api(NOBODY)):
        assert getattr(other, method)(address).status_code == 404
    assert not AuthenticationTest.objects.exists()


def test_whoever_has_not_signed_in_is_asked_to(box: Mailbox, client: Any) -> None:
    assert client.get(page(box))["Location"].startswith("/login/")
    assert client.post(api(box)).status_code == 403


def test_the_api_says_what_the_page_says(world: World, box: Mailbox) -> None:
    person = signed_in(box.student)
    assert person.get(api(box)).json() == presented(box)
    started = person.post(api(box))
    assert (started.status_code, started.json()) == (200, presented(box))
    assert started.json()["is_open"]
    play(world, box)
    assert person.get(api(box)).json() == presented(box)
    assert [one["value"] for one in person.get(api(box)).json()["newest"]["checks"]] == ["pass"] * 3


def test_page_and_api_share_one_allowance_for_asking_and_looking_is_free_of_it(box: Mailbox) -> None:
    person = signed_in(box.student)
    with override_settings(THROTTLES={"write": (3, 3600)}):
        for send in (person.post, person.post):
            assert send(page(box)).status_code == 302
        assert person.post(api(box)).status_code == 200
        refused = person.post(api(box))
        assert (refused.status_code, person.post(page(box)).status_code) == (429, 429)
        assert int(refused["Retry-After"]) > 0
        assert (person.get(api(box)).status_code, person.get(page(box)).status_code) == (200, 200)


def test_no_password_is_on_the_page_or_in_the_api(world: World, box: Mailbox) -> None:
    press(box)
    play(world, box)
    secret = MailboxSecret.objects.get(mailbox=box).app_password.open()
    for address in (page(box), api(box)):
        assert secret not in signed_in(box.student).get(address).content.decode()
