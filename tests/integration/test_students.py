"""Enrolling, inviting and ending an enrolment, and what an invitation's link is worth."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from infra import accounts, students
from infra.models import Mail, User
from infra.students import Refused

pytestmark = pytest.mark.django_db
ACTOR = "olive@ops.example"
PASSWORD = "a quite long sentence"


def added(email: str = "ada@students.example") -> User:
    return students.add_student(email=email, first_name="Ada", last_name="Keen", actor=ACTOR)


def test_a_new_student_is_enrolled_and_invited_once() -> None:
    student = students.add_student(email="  Ada@Students.Example ", cohort="spring", actor=ACTOR)

    assert (student.email, student.cohort) == ("ada@students.example", "spring")
    assert student.is_enrolled
    assert not student.has_usable_password()
    assert [mail.to for mail in Mail.objects.filter(kind="invited")] == ["ada@students.example"]


def test_the_outbox_holds_no_link() -> None:
    student = added()
    assert accounts.invitation_token(student) not in str(Mail.objects.get(kind="invited").context)


@pytest.mark.parametrize("email", ["", "ada", "ada@", "@example.com", "a b@example.com", "x" * 250 + "@example.com"])
def test_what_is_no_address_is_refused(email: str) -> None:
    with pytest.raises(Refused, match="no e-mail address"):
        students.add_student(email=email, actor=ACTOR)


def test_nobody_is_added_twice() -> None:
    added()
    with pytest.raises(Refused, match="account already"):
        added("ADA@students.example")


def test_a_second_press_sends_no_second_invitation() -> None:
    student = added()
    with pytest.raises(Refused, match="few minutes ago"):
        students.invite(student=student, actor=ACTOR)

    Mail.objects.update(created_at=timezone.now() - timedelta(minutes=6))
    students.invite(student=student, actor=ACTOR)
    assert Mail.objects.filter(kind="invited").count() == 2


def test_a_closed_account_is_not_invited() -> None:
    student = added()
    User.objects.update(is_active=False)
    with pytest.raises(Refused, match="closed"):
        students.invite(student=student, actor=ACTOR)


def test_an_ended_enrolment_ends_once_and_begins_again() -> None:
    student = added()
    students.end_enrolment(student=student, actor=ACTOR, reason="left")
    student.refresh_from_db()
    assert (student.is_enrolled, student.enrolment_ended_at is None) == (False, False)

    with pytest.raises(Refused, match="not enrolled"):
        students.end_enrolment(student=student, actor=ACTOR, reason="left")
    students.enrol(student=student, actor=ACTOR)
    student.refresh_from_db()
    assert (student.is_enrolled, student.enrolment_ended_at) == (True, None)
    with pytest.raises(Refused, match="enrolled already"):
        students.enrol(student=student, actor=ACTOR)


def test_a_class_list_is_read_line_by_line() -> None:
    added("known@students.example")
    text = """
    ada@students.example
    Bo Lind <bo@students.example>
    "Chi, Q" <chi@students.example>
    dee@students.example, Dee, Marsh
    eli@students.example;Eli;Poe
    fay@students.example\tFay\tRoe
    KNOWN@students.example
    ada@students.example
    not an address
    """

    done = students.add_class_list(text=text, cohort="spring", actor=ACTOR)

    assert done.added == [f"{name}@students.example" for name in ("ada", "bo", "chi", "dee", "eli", "fay")]
    assert done.known == ["known@students.example"]
    assert [line for line, _reason in done.refused] == ["not an address"]
    dee = User.objects.get(email="dee@students.example")
    assert (dee.first_name, dee.last_name, dee.cohort) == ("Dee", "Marsh", "spring")
    assert User.objects.get(email="bo@students.example").full_name == "Bo Lind"


def test_a_class_list_enrols_again_who_had_left() -> None:
    student = added()
    students.end_enrolment(student=student, actor=ACTOR, reason="left")

    done = students.add_class_list(text=student.email, actor=ACTOR)

    assert done.enrolled_again == [student.email]


def test_a_class_list_without_end_is_refused() -> None:
    with pytest.raises(Refused, match="At most 1000"):
        students.add_class_list(text="a@b.example\n" * 1001, actor=ACTOR)


# ---- the link --------------------------------------------------------------------------------------------------------


def link(student: User) -> str:
    return f"/invitation/{accounts.invitation_token(student)}/"


def accept(client: Client, address: str) -> int:
    form = {"new_password1": PASSWORD, "new_password2": PASSWORD}
    return client.post(address, form).status_code


def test_a_link_sets_the_password_once(client: Client) -> None:
    student = added()
    address = link(student)

    assert accept(client, address) == 302
    student.refresh_from_db()
    assert student.check_password(PASSWORD)
    assert accept(Client(), address) == 410


def test_a_link_runs_out(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    address = link(added())
    monkeypatch.setattr(accounts, "LASTS", timedelta(seconds=-1))
    assert client.get(address).status_code == 410


def test_a_changed_link_invites_nobody(client: Client) -> None:
    address = link(added())
    assert client.get(address[:-3] + "xx/").status_code == 410
