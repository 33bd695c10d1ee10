"""The first dashboard, and the one look at a password."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from infra import accounts
from infra.models import (
    Credential,
    CredentialReveal,
    Mail,
    Mailbox,
    MailboxState,
    Provision,
    ProvisionState,
    User,
)
from infra.secret import Secret
from tests.integration.pages import PASSWORD, signed_in, student, text
from tests.integration.world import new_order, paid

# `client`: the tests show pages, so the static files are collected first.
pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("client")]

DASHBOARD = "/infrastructure/dashboard/"
SECRET = "s3nding-t00l-passw0rd"


def running(state: str = ProvisionState.ACTIVE) -> Provision:
    """Make an order that is up: six mailboxes in warmup, a login, a lead list."""
    order = new_order()
    paid(order)
    order.refresh_from_db()
    order.state, order.ready_at = state, timezone.now()
    order.facts = {"heyreach_list_id": 7, "heyreach_list_name": f"Ada Sample {order.reference}"}
    order.order = {**order.order, "instructions": "Read the **guide**.\n\n<script>alert(1)</script>"}
    order.save()
    order.domains.filter(state="selected").update(state="active")
    Mailbox.objects.filter(provision=order).update(state=MailboxState.WARMING, warmup_started_at=timezone.now())
    order.student.set_password(PASSWORD)
    order.student.save()
    return order


def credential(order: Provision) -> Credential:
    return Credential.objects.create(
        provision=order, student=order.student, kind="sending_tool", login="ada@tool.example", password=Secret(SECRET)
    )


def test_three_sentences_come_first() -> None:
    page = text(signed_in(running().student).get(DASHBOARD))
    assert "6 of 6 mailboxes are working. Nothing needs your attention. Ready to send about" in page


def test_every_mailbox_and_domain_has_a_row() -> None:
    order = running()
    page = text(signed_in(order.student).get(DASHBOARD))
    for mailbox in order.mailboxes.all():
        assert f"{mailbox.address} Warming up day 1 of 14" in page
    assert "getacme.com Ready 2" in page
    assert "goacme.com" not in page  # a spare that was not needed


def test_what_is_missing_is_said() -> None:
    order = running(ProvisionState.ACTIVE_WITH_EXCEPTIONS)
    Mailbox.objects.filter(address="ada@getacme.com").update(state=MailboxState.FAILED, reason="It could not be made.")
    page = text(signed_in(order.student).get(DASHBOARD))
    assert "Something that you ordered is missing" in page
    assert "ada@getacme.com: It could not be made." in page
    assert "5 of 6 mailboxes are working. 1 needs attention." in page


def test_after_the_warmup_days_it_says_so() -> None:
    order = running()
    Mailbox.objects.filter(provision=order).update(warmup_started_at=timezone.now() - timedelta(days=20))
    assert "The warmup days are over." in text(signed_in(order.student).get(DASHBOARD))


def test_instructions_are_markdown_without_html() -> None:
    response = signed_in(running().student).get(DASHBOARD)
    assert b"<strong>guide</strong>" in response.content
    assert b"<script>alert" not in response.content


def test_links_and_list_are_there() -> None:
    order = running()
    credential(order)
    response = signed_in(order.student).get(DASHBOARD)
    assert "ada@tool.example" in text(response)
    assert order.reference in text(response)
    assert b"https://app.heyreach.io/" in response.content


def test_suspended_and_ending_are_said() -> None:
    order = running(ProvisionState.SUSPENDED)
    client = signed_in(order.student)
    assert "Your infrastructure is paused" in text(client.get(DASHBOARD))
    Provision.objects.update(state=ProvisionState.CANCELLING)
    assert "Your subscription is ending" in text(client.get(DASHBOARD))


def test_a_student_sees_only_their_own() -> None:
    running()
    response = signed_in(student("bob@students.example")).get(DASHBOARD)
    assert response["Location"] == "/infrastructure/"


# The one look -------------------------------------------------------------------------------------------------------


def address(one: Credential) -> str:
    return f"{DASHBOARD}credentials/{one.pk}/"


def test_the_password_is_shown_once_after_typing_ones_own() -> None:
    order = running()
    one = credential(order)
    client = signed_in(order.student)
    assert SECRET not in client.get(address(one)).content.decode()
    response = client.post(address(one), {"password": PASSWORD})
    assert SECRET in response.content.decode()
    assert "no-store" in response["Cache-Control"]
    assert CredentialReveal.objects.get().credential == one
    assert Mail.objects.filter(kind="credential_revealed", provision=order).count() == 1
    again = client.post(address(one), {"password": PASSWORD})
    assert SECRET not in again.content.decode()
    assert "The password has been shown (" in text(again)


@pytest.mark.parametrize(
    ("typed", "words"), [("wrong", "This is not the password"), ("", "Type the password"), ("\x00", "Null characters")]
)
def test_a_wrong_password_shows_nothing(typed: str, words: str) -> None:
    order = running()
    one = credential(order)
    response = signed_in(order.student).post(address(one), {"password": typed})
    assert response.status_code == 422
    assert words in text(response)
    assert SECRET not in response.content.decode()
    assert not CredentialReveal.objects.exists()


def test_somebody_elses_password_is_not_there() -> None:
    one = credential(running())
    bob = student("bob@students.example")
    assert signed_in(bob).post(address(one), {"password": PASSWORD}).status_code == 404


# Invitations --------------------------------------------------------------------------------------------------------


def invited() -> User:
    return User.objects.create_user("new@students.example", None, is_enrolled=True)


def test_an_invitation_sets_a_password_and_signs_in() -> None:
    user, client = invited(), Client()
    link = f"/invitation/{accounts.invitation_token(user)}/"
    assert "Choose a password for new@students.example." in text(client.get(link))
    values = {"new_password1": PASSWORD, "new_password2": PASSWORD}
    assert client.post(link, values)["Location"] == "/infrastructure/"
    user.refresh_from_db()
    assert user.check_password(PASSWORD)
    assert client.get("/").status_code == 200


def test_an_invitation_works_once() -> None:
    user = invited()
    link = f"/invitation/{accounts.invitation_token(user)}/"
    user.set_password(PASSWORD)
    user.save()
    response = Client().get(link)
    assert response.status_code == 410
    assert "This invitation no longer works" in text(response)


def test_a_weak_password_is_refused_with_the_reason() -> None:
    link = f"/invitation/{accounts.invitation_token(invited())}/"
    response = Client().post(link, {"new_password1": "short", "new_password2": "short"})
    assert response.status_code == 422
    assert "too short" in text(response)
