"""What nobody should send: each answer is a sentence with a 4xx status, never a 500, and nothing is lost."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from infra.models import Provision
from tests.integration.pages import answered, at_domains, signed_in, student, text, ticked, tier
from tests.integration.world import new_order

NOBODY = "4f0ce00f-3f3c-4517-92d7-6313d5acdb29"  # an id that no row has; fixed, since it names tests

# `client`: the tests show pages, so the static files are collected first.
pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("client")]

PACKAGE, DOMAINS, MAILBOXES, REVIEW = (
    f"/infrastructure/setup/{page}/" for page in ("package", "domains", "mailboxes", "review")
)


@pytest.mark.parametrize(
    ("brand", "words"),
    [
        ("🚀🚀", "needs letters from a to z"),
        ("a" * 300, "longer than a brand name can be"),
        ("", "Type your brand"),
        ("   ", "Type your brand"),
        ("----", "needs letters from a to z"),
        ("a" * 70, "has 63 characters at most"),
        ("Ac\x00me", "Null characters are not allowed"),
    ],
)
def test_a_brand_that_makes_no_name(brand: str, words: str) -> None:
    ada = student()
    draft = at_domains(ada)
    answered("getacme.com")
    response = signed_in(ada).post(DOMAINS, {"brand": brand, "action": "find", "chosen": ["getacme.com"]})
    assert response.status_code == 422
    assert words in text(response)
    assert ticked(response) == {"getacme.com"}
    draft.refresh_from_db()
    assert draft.brand == "Acme"


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("", "Type a domain name"),
        ("acme.io", ".io are not sold here"),
        ("müller.com", "accents or other scripts"),
        ("acme", "Add an ending"),
        ("mail.acme.com", "Type the domain itself: acme.com"),
        ("http://", "does not read as a domain name"),
        ("a" * 401, "at most 400 characters"),
        ("' OR 1=1 --.com", "letters, digits and hyphens only"),
        ("acme.com\x00", "Null characters"),
    ],
)
def test_a_name_that_cannot_be_ordered(typed: str, words: str) -> None:
    ada = student()
    draft = at_domains(ada)
    response = signed_in(ada).post(DOMAINS, {"brand": "Acme", "wanted": typed, "action": "add"})
    assert response.status_code == 422
    assert words in text(response)
    draft.refresh_from_db()
    assert draft.searched_names == []


def test_what_was_typed_stays_in_the_field() -> None:
    ada = student()
    at_domains(ada)
    response = signed_in(ada).post(DOMAINS, {"brand": "Acme", "wanted": "acme.io", "action": "add"})
    assert b'value="acme.io"' in response.content


@pytest.mark.parametrize(
    "values",
    [
        {"action": "continue", "chosen": ["<script>.com", "x" * 5000, "\x00", "acme.io"]},
        {"action": "nonsense"},
        {"action": "continue", "chosen": [f"name{n}.com" for n in range(200)]},
        {"brand": "Acme", "action": "continue", "spare_1": "\x00", "spare_9": "x"},
        {},
    ],
)
def test_forged_choices(values: dict[str, Any]) -> None:
    ada = student()
    at_domains(ada)
    assert signed_in(ada).post(DOMAINS, {"brand": "Acme", **values}).status_code == 422


@pytest.mark.parametrize("slug", ["", "nonsense", "\x00", "starter'--", "x" * 500])
def test_a_package_that_does_not_exist(slug: str) -> None:
    tier()
    response = signed_in(student()).post(PACKAGE, {"tier": slug})
    assert response.status_code == 422
    assert not Provision.objects.exists()


@pytest.mark.parametrize(
    ("patterns", "words"),
    [
        ((".tim", "tim"), "neither begin nor end"),
        (("tim.", "tim"), "neither begin nor end"),
        (("tim..keen", "tim"), "next to each other"),
        (("Tim", "tim"), "same address as another one"),
        (("postmaster", "tim"), "reserved on every mail server"),
        (("", "tim"), "Type a name"),
        (("🚀", "tim"), "cannot be used"),
        (("x" * 300, "tim"), "64 characters at most"),
        (("tim keen", "tim"), "Try tim.keen."),
        (("t\x00im", "tim"), "Null characters"),
    ],
)
def test_patterns_against_the_rules(patterns: tuple[str, str], words: str) -> None:
    order = new_order()
    values = {
        "sender_first_name": "Ada",
        "sender_last_name": "Keen",
        "pattern_1": patterns[0],
        "pattern_2": patterns[1],
    }
    response = signed_in(order.student).post(MAILBOXES, values)
    assert response.status_code == 422
    assert words in text(response)
    order.refresh_from_db()
    assert order.mailbox_patterns == ["ada", "ada.sample"]


@pytest.mark.parametrize("name", ["", "🚀", "x" * 300, "<b>", "A\x00"])
def test_sender_names_against_the_rules(name: str) -> None:
    order = new_order()
    values = {"sender_first_name": name, "sender_last_name": "Keen", "pattern_1": "ada", "pattern_2": "ada.k"}
    assert signed_in(order.student).post(MAILBOXES, values).status_code == 422


@pytest.mark.parametrize("values", [{}, {"total": "x"}, {"total": "-1", "monthly": "4700"}, {"total": "9" * 40}])
def test_a_review_that_was_tampered_with(values: dict[str, str]) -> None:
    order = new_order()
    response = signed_in(order.student).post(REVIEW, values)
    assert response.status_code == 422
    order.refresh_from_db()
    assert order.state == "draft"


@pytest.mark.parametrize(
    ("address", "values"),
    [
        ("/infrastructure/progress/replacement/", {}),
        ("/infrastructure/progress/replacement/", {"domain": "x", "action": "drop"}),
        ("/infrastructure/progress/replacement/", {"domain": NOBODY, "action": "drop"}),
        (f"/infrastructure/dashboard/credentials/{NOBODY}/", {"password": "x"}),
    ],
)
def test_things_that_are_not_there(address: str, values: dict[str, str]) -> None:
    order = new_order()
    Provision.objects.filter(pk=order.pk).update(state="provisioning")
    response = signed_in(order.student).post(address, values)
    assert response.status_code == 404
    assert "There is no such page" in text(response)


@pytest.mark.parametrize("token", ["x", "a:b:c", "\u2603", "%00", "x" * 3000])
def test_invitations_that_are_not_ours(token: str) -> None:
    assert Client().get(f"/invitation/{token}/").status_code == 410


@pytest.mark.parametrize(
    "values", [{}, {"username": "\x00", "password": "x"}, {"username": "x" * 5000, "password": "y"}]
)
def test_signing_in_with_nonsense(values: dict[str, str]) -> None:
    assert Client().post("/login/", values).status_code == 422


def test_a_form_without_its_token_is_refused_with_a_sentence() -> None:
    client = Client(enforce_csrf_checks=True)
    ada = student()
    at_domains(ada)
    client.force_login(ada)
    response = client.post(DOMAINS, {"brand": "Acme", "action": "find"})
    assert response.status_code == 403
    assert "Please send that again" in text(response)


@pytest.mark.parametrize("method", ["put", "delete", "patch"])
def test_other_methods_are_refused(method: str) -> None:
    tier()
    assert getattr(signed_in(student()), method)(PACKAGE).status_code == 405


def test_pages_without_a_signed_in_person_lead_to_the_login() -> None:
    for place in ("/", "/infrastructure/", PACKAGE, "/infrastructure/progress/", "/infrastructure/dashboard/"):
        assert Client().get(place)["Location"] == f"/login/?next={place}"
