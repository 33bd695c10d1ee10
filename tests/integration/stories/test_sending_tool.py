"""The sending tool: its login, the export, the fallback, and what never arrives."""

from __future__ import annotations

from typing import Any

import pytest

from integrations.sandbox.zapmail_world import Sender
from provisioning.models import Capture

from .kit import LONGEST_LEASE, Crash, dying, outlive, story

pytestmark = pytest.mark.django_db

TAKES_UPLOADS = {"plusvibe_bulk_add_big_hosts": "accepted"}
ONE = "ada@getacme.com"
HOURS = 7 * 24


def test_a_refused_login_leads_to_the_fallback_upload() -> None:
    made = story(switches={"zapmail_client_logins": "refused", **TAKES_UPLOADS})
    made.play()
    made.check()
    assert made.calls()["zapmail.export_mailboxes"] == 0
    assert {account.via for account in made.sandbox.world.plusvibe.accounts.values()} == {"bulk_add"}


def test_without_the_fallback_a_refused_login_is_a_persons_matter() -> None:
    made = story(switches={"zapmail_client_logins": "refused"}, FALLBACK_UPLOAD="false")
    made.play(made.parks("needs_operator"))
    made.check("provisioning")
    assert made.items("step", is_open=True).get().details["code"] == "wrong_login"


@pytest.mark.parametrize("lost", [1, 2])
def test_boxes_that_an_export_forgot_are_exported_again_and_only_they(lost: int) -> None:
    made = story(faults=({"kind": "export_incomplete", "items": [ONE], "times": lost},))
    made.play(hours=HOURS)
    made.check()
    exports = [entry for entry in made.sandbox.log if entry.verb == "export_mailboxes"]
    assert [len(entry.items) for entry in exports] == [6] + [1] * lost


def test_after_the_last_export_allowed_the_fallback_takes_over() -> None:
    made = story(faults=({"kind": "export_incomplete", "items": [ONE]},), switches=TAKES_UPLOADS)
    made.play(hours=HOURS)
    made.check()
    exports = [entry for entry in made.sandbox.log if entry.verb == "export_mailboxes"]
    assert [len(entry.items) for entry in exports] == [6, 1, 1]
    assert made.calls()["plusvibe.add_accounts"] == 1


def test_boxes_that_never_arrive_are_set_aside_and_the_others_are_ready() -> None:
    made = story(faults=({"kind": "export_incomplete", "items": [ONE]},))  # and the upload drops Google's boxes
    made.play(hours=HOURS)
    made.check("active_with_exceptions")
    assert made.calls()["plusvibe.add_accounts"] == 2
    assert made.provision.mailboxes.filter(state="warming").count() == 5
    assert made.provision.mailboxes.get(address=ONE).state == "failed"
    assert made.items("set_aside", is_open=True).count() == 1


def test_an_exported_box_that_arrives_late_is_never_uploaded_as_well() -> None:
    made = story(faults=({"kind": "slow_export", "items": [ONE], "seconds": 2 * 3600},), switches=TAKES_UPLOADS)
    made.play(hours=HOURS)
    made.check()
    assert made.calls()["plusvibe.add_accounts"] == 0


def test_an_exported_box_that_the_list_shows_no_more_is_never_uploaded_as_well() -> None:
    made = story(switches=TAKES_UPLOADS)

    def exported(name: str, subject: Any) -> bool:
        seen = name == "after_record" and subject.key == "export"
        return seen and made.rows("export").filter(state="completed").exists()

    with dying(exported), pytest.raises(Crash):
        made.play()
    lag = made.sandbox.faults.add("list_lag", platform="plusvibe", verb="list_accounts", seconds=12 * 3600)
    made.advance(LONGEST_LEASE)
    made.play(lambda: made.rows("accounts_seen").filter(attempts__gte=3).exists())
    assert made.calls()["plusvibe.add_accounts"] == 0
    made.sandbox.faults.remove(lag.id)
    made.play()
    made.check()
    assert made.calls()["plusvibe.add_accounts"] == 0


def test_a_login_that_expired_after_it_was_registered_is_renewed() -> None:
    made = story()
    made.play(lambda: made.calls()["zapmail.list_senders"] == 1)
    fault = made.sandbox.faults.add("login_expired")
    made.play(lambda: made.rows("export").filter(attempts__gte=5).exists())
    made.sandbox.faults.remove(fault.id)
    sender = next(iter(made.sandbox.world.zapmail.senders.values()))
    sender.password = "forgotten"
    made.play(hours=HOURS)
    made.check()
    assert made.calls()["zapmail.update_sender"] == 1


def test_a_login_that_stays_expired_leads_to_the_fallback() -> None:
    made = story(switches=TAKES_UPLOADS)
    made.play(lambda: made.calls()["zapmail.list_senders"] == 1)
    made.sandbox.faults.add("login_expired")
    made.play(hours=HOURS)
    assert made.calls()["zapmail.export_mailboxes"] == 1
    made.check()


@pytest.mark.parametrize("status", [400, 422])
def test_two_logins_of_one_app_are_told_apart(status: int) -> None:
    made = story(switches={"zapmail_missing_account_status": status})
    made.play(lambda: made.calls()["zapmail.register_sender"] == 1)
    workspace = made.provision.facts["zapmail_workspace_id"]
    made.sandbox.world.zapmail.senders["s-0"] = Sender("s-0", workspace, "PIPL", "other@ops.example", "x")
    made.play()
    made.check()
    assert made.calls()["zapmail.export_mailboxes"] == 1


def test_a_password_that_was_shown_to_a_dying_worker_is_made_anew() -> None:
    made = story()
    with dying(once("after_answer", "create_client")):
        assert outlive(made) == 1
    made.check()
    assert made.calls()["plusvibe.delete_client"] == 1
    assert made.calls()["plusvibe.create_client"] == 2


@pytest.mark.parametrize("point", ["after_capture", "before_outcome", "after_outcome"])
def test_a_password_that_was_captured_is_read_from_the_capture(point: str) -> None:
    made = story()
    with dying(once(point, "create_client")):
        assert outlive(made) == 1
    made.check()
    assert made.calls()["plusvibe.delete_client"] == 0
    assert made.calls()["plusvibe.create_client"] == 1


def test_a_login_without_a_password_in_the_answer_is_never_guessed() -> None:
    made = story(switches={"plusvibe_create_client_reply": "no_password"})
    made.play(lambda: made.calls()["plusvibe.create_client"] == 3)
    kept = Capture.objects.filter(operation__run=made.run, operation__verb="create_client")
    assert kept.count() == 3  # also what nobody can read
    made.sandbox.switches.set(plusvibe_create_client_reply="flat")
    made.play()
    made.check()


def test_an_address_that_may_not_be_used_again_is_one_operator_item() -> None:
    made = story(switches={"plusvibe_deleted_email": "blocked"})
    with dying(once("after_answer", "create_client")), pytest.raises(Crash):
        made.play()
    made.advance(LONGEST_LEASE)
    made.play(made.parks("needs_operator"))
    made.check("provisioning")
    assert made.items("step", is_open=True).get().details["code"] == "email_blocked"


@pytest.mark.parametrize(("rule", "code"), [("elsewhere", "email_is_user")])
def test_an_address_that_is_somebodys_login_already_is_a_persons_matter(rule: str, code: str) -> None:
    made = story(switches={"plusvibe_duplicate_email": rule})
    made.play(made.parks("needs_operator"))
    made.check("provisioning")
    assert made.items("step", is_open=True).get().details["code"] == code


def test_a_permission_that_is_not_enough_ends_in_the_fallback() -> None:
    made = story(switches={"plusvibe_inbox_permission": "insufficient", **TAKES_UPLOADS})
    made.play(hours=HOURS)
    made.check()
    assert made.calls()["zapmail.export_mailboxes"] == 3


def test_a_permission_that_is_not_enough_can_be_set() -> None:
    made = story(switches={"plusvibe_inbox_permission": "insufficient"}, PLUSVIBE_CLIENT_PERMISSIONS="FULL_ACCESS")
    made.play()
    made.check()


def once(point: str, verb: str) -> Any:
    """Return what kills a worker the first time a call of `verb` reaches a failpoint."""
    seen: list[str] = []

    def at(name: str, subject: Any) -> bool:
        hit = name == point and getattr(subject, "verb", "") == verb and not seen
        if hit:
            seen.append(name)
        return hit

    return at
