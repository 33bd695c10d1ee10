"""The third page for those who name the people who write, one by one or by a file."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from infra.models import Domain, DomainState, Origin, Provision, Tier
from infra.wizard import people_file
from provisioning import actions
from tests.integration.pages import signed_in, student, text
from tests.integration.stories.kit import make_order, make_tier

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("client")]

MAILBOXES, REVIEW = "/infrastructure/setup/mailboxes/", "/infrastructure/setup/review/"
PEOPLE = f"{MAILBOXES}people/"
ADA, BO = ("Ada", "Keen", "20"), ("Bo", "Sample", "")


@pytest.fixture
def draft() -> Provision:
    """A draft of three own domains with two mailboxes each."""
    made = make_order("acme", tier="own-domains")
    for place, name in enumerate(("tryacme.com", "useacme.com"), start=1):
        Domain.objects.create(
            provision=made, student=made.student, name=name, position=place, state=DomainState.SELECTED,
            origin=Origin.OWN,
        )  # fmt: skip
    return made


def rows(*people: tuple[str, str, str]) -> dict[str, str]:
    """Return the fields of these rows."""
    return {
        f"{field}_{place}": value
        for place, one in enumerate(people, start=1)
        for field, value in zip(("first_name", "last_name", "daily_limit"), one, strict=True)
    }


def name(client: Client, *people: tuple[str, str, str], **fields: Any) -> Any:
    return client.post(PEOPLE, rows(*people) | {"action": "continue"} | fields)


def values(response: Any) -> list[str]:
    """Return what stands in the fields of the rows, those that are empty left out."""
    inputs = re.findall(
        r'<input type="text" name="(?:first_name|last_name|daily_limit)_\d+"[^>]*>', response.content.decode()
    )
    return [m[1] for one in inputs if (m := re.search(r' value="([^"]+)"', one))]


def kept(draft: Provision) -> list[tuple[Any, ...]]:
    draft.refresh_from_db()
    return [tuple(row[name] for name in ("first_name", "last_name", "daily_limit")) for row in draft.people]


def test_one_sender_stays_the_default_and_leads_to_the_people(draft: Provision) -> None:
    client = signed_in(draft.student)
    response = client.get(MAILBOXES)
    assert f'href="{PEOPLE}"' in response.content.decode()
    page = text(client.get(PEOPLE))
    for words in (
        "2 people: the same ones write from each of your 3 domains.",
        "6 people: one mailbox for each.",
        "at most 30, which this package sends",
        "Use one sender for all mailboxes instead",
        "Person 6",
    ):
        assert words in page
    assert "Person 7" not in page
    assert kept(draft) == []


def test_a_package_of_another_stack_has_no_people() -> None:
    order = make_order("other")
    client = signed_in(order.student)
    assert PEOPLE not in client.get(MAILBOXES).content.decode()
    for address in (PEOPLE, f"{PEOPLE}preview/"):
        assert client.post(address, rows(ADA, BO))["Location"] == MAILBOXES
    assert kept(order) == []


def test_people_are_kept_and_shown_with_their_addresses(draft: Provision) -> None:
    client = signed_in(draft.student)
    assert name(client, ADA, ("", "", ""), BO)["Location"] == REVIEW
    assert kept(draft) == [("Ada", "Keen", 20), ("Bo", "Sample", None)]
    review = client.get(REVIEW)
    page = text(review)
    assert "Ada Keen, up to 20 mails a day Bo Sample, up to 30 mails a day" in page
    assert "ada.keen@getacme.com bo.sample@getacme.com ada.keen@tryacme.com bo.sample@tryacme.com" in page
    assert f'href="{PEOPLE}"' in review.content.decode()
    assert values(client.get(PEOPLE)) == ["Ada", "Keen", "20", "Bo", "Sample"]


def test_bad_rows_are_shown_again_as_typed_and_nothing_is_kept(draft: Provision) -> None:
    name(signed_in(draft.student), ADA, BO)
    response = name(signed_in(draft.student), ("Cy", "", "99"), ("Dee", "Keen", "many"))
    assert response.status_code == 422
    page = text(response)
    for words in (
        "Person 1: Type the name that recipients should see.",
        "Person 1: This package sends 30 mails a day at most.",
        "Person 2: Type a whole number of mails a day, or leave it empty.",
    ):
        assert words in page
    assert values(response) == ["Cy", "99", "Dee", "Keen", "many"]
    assert kept(draft) == [("Ada", "Keen", 20), ("Bo", "Sample", None)]


@pytest.mark.parametrize(
    ("people", "words"),
    [
        ([ADA], "it takes 2 people at least; 1 named so far"),
        ([], "it takes 2 people at least; 0 named so far"),
        ([ADA] * 7, "7 people are named, and this order has 6 mailboxes"),
    ],
)
def test_too_few_or_too_many_people_are_refused_and_none_is_dropped(
    draft: Provision, people: list[tuple[str, str, str]], words: str
) -> None:
    response = name(signed_in(draft.student), *people)
    assert response.status_code == 422
    assert words in text(response)
    assert values(response) == [value for one in people for value in one]
    assert kept(draft) == []


def test_the_preview_is_drawn_from_what_is_typed_and_saves_nothing(draft: Provision) -> None:
    client = signed_in(draft.student)
    page = text(client.post(f"{PEOPLE}preview/", rows(ADA, BO)))
    assert "getacme.com ada.keen@getacme.com Ada Keen, up to 20 mails a day bo.sample@getacme.com" in page
    assert "Person 2: Type the name" in text(client.post(f"{PEOPLE}preview/", rows(ADA, ("Bo", "", ""))))
    assert "ada.keen@useacme.com" in text(name(client, ADA, BO, action="preview"))
    assert kept(draft) == []


def test_more_rows_are_there_on_request_and_keep_what_is_typed(draft: Provision) -> None:
    for place in range(3, 20):
        Domain.objects.create(
            provision=draft, student=draft.student, name=f"acme{place}.com", position=place,
            state=DomainState.SELECTED, origin=Origin.OWN,
        )  # fmt: skip
    client = signed_in(draft.student)
    first = client.get(PEOPLE)
    assert "Person 6 " in text(first)
    assert "Person 7" not in text(first)
    more = name(client, ADA, *[("", "", "")] * 5, action="more")
    assert more.status_code == 200
    assert "Person 12 " in text(more)
    assert "Person 13" not in text(more)
    assert values(more) == list(ADA)


def upload(draft: Provision, body: bytes, *typed: tuple[str, str, str], **fields: str) -> Any:
    return name(signed_in(draft.student), *typed, file=SimpleUploadedFile("people.csv", body), **fields)


def test_a_file_takes_the_place_of_the_rows(draft: Provision) -> None:
    assert upload(draft, people_file.EXAMPLE.encode(), BO)["Location"] == REVIEW
    assert kept(draft) == [("Ada", "Keen", 20), ("Zoë", "Sample", None)]


def test_each_bad_line_of_a_file_is_named_and_all_lines_stand_in_the_rows(draft: Provision) -> None:
    response = upload(draft, b"first_name;last_name;daily_limit\nAda;Keen;31\nBo;;\nCy;Keen;3\n")
    assert response.status_code == 422
    page = text(response)
    assert "Line 2: This package sends 30 mails a day at most." in page
    assert "Line 3: Type the name that recipients should see." in page
    assert values(response) == ["Ada", "Keen", "31", "Bo", "Cy", "Keen", "3"]
    assert kept(draft) == []


@pytest.mark.parametrize("action", ["continue", "preview", "more"])
def test_a_file_that_cannot_be_read_is_refused_and_what_was_typed_stays(draft: Provision, action: str) -> None:
    response = upload(draft, b"\xff\xfea", ADA, BO, action=action)
    assert response.status_code == 422
    assert "no text in UTF-8" in text(response)
    assert values(response) == ["Ada", "Keen", "20", "Bo", "Sample"]
    assert kept(draft) == []


def test_the_example_can_be_handed_in_as_it_is(draft: Provision) -> None:
    response = signed_in(draft.student).get(f"{PEOPLE}example.csv")
    assert "people.csv" in response["Content-Disposition"]
    assert upload(draft, response.content)["Location"] == REVIEW


@pytest.mark.parametrize(
    "fields",
    [
        {"first_name_1": "\x00", "last_name_1": "x"},
        {"first_name_0": "x", "first_name_-1": "x", "first_name_251": "x", "first_name_x": "x"},
        {"first_name_250": "<script>", "daily_limit_250": "9" * 400},
        {"action": "nonsense"},
        {"file": "no file"},
        {f"first_name_{place}": "x" * 300 for place in range(1, 251)},
    ],
)
def test_forged_rows(draft: Provision, fields: dict[str, str]) -> None:
    client = signed_in(draft.student)
    assert client.post(PEOPLE, fields).status_code == 422
    assert client.post(f"{PEOPLE}preview/", fields).status_code == 200
    assert kept(draft) == []


def test_one_sender_is_an_answer_again_and_lets_the_people_go(draft: Provision) -> None:
    client = signed_in(draft.student)
    name(client, ADA, BO)
    sender = {"sender_first_name": "Ada", "sender_last_name": "Keen", "pattern_1": "ada", "pattern_2": "a.keen"}
    assert client.post(MAILBOXES, sender)["Location"] == REVIEW
    assert kept(draft) == []
    assert "ada@getacme.com" in text(client.get(REVIEW))


def test_people_who_no_longer_fit_the_domains_are_asked_about_before_paying(draft: Provision) -> None:
    client = signed_in(draft.student)
    name(client, *[("Ada", "Keen", "")] * 6)
    draft.domains.exclude(name="getacme.com").delete()
    response = client.get(REVIEW, follow=True)
    assert response.redirect_chain == [(PEOPLE, 302)]
    assert "6 people are named, and this order has 2 mailboxes" in text(response)
    assert len(values(response)) == 12
    with pytest.raises(actions.Refused, match="6 people are named"):
        actions.freeze_order(provision=draft, actor="test")


def test_a_limit_above_what_the_package_has_come_to_send_is_asked_about_before_paying(draft: Provision) -> None:
    client = signed_in(draft.student)
    name(client, ADA, BO)
    tier = make_tier("own-domains")
    Tier.objects.filter(pk=tier.pk).update(warmup={**tier.warmup, "campaign_daily_limit": 10})
    assert "Ada Keen: this package sends 10 mails a day" in text(client.get(REVIEW, follow=True))
    with pytest.raises(actions.Refused, match="Ada Keen: this package sends 10 mails a day"):
        actions.freeze_order(provision=draft, actor="test")


def test_a_change_to_a_package_without_people_has_its_one_sender(draft: Provision) -> None:
    client = signed_in(draft.student)
    name(client, ADA, BO)
    draft.refresh_from_db()
    draft.tier = make_tier("starter")
    draft.save()
    page = client.get(MAILBOXES)
    assert page.status_code == 200
    assert "ada.sample@getacme.com" in text(page)


def test_what_is_frozen_names_each_person_at_their_mailboxes(draft: Provision) -> None:
    name(signed_in(draft.student), ADA, BO)
    draft.refresh_from_db()
    actions.freeze_order(provision=draft, actor="test")
    rows = draft.mailboxes.filter(domain__name="tryacme.com").order_by("position")
    assert [(one.address, one.sender, one.daily_limit) for one in rows] == [
        ("ada.keen@tryacme.com", "Ada Keen", 20),
        ("bo.sample@tryacme.com", "Bo Sample", None),
    ]


def test_people_of_another_student_are_neither_seen_nor_touched(draft: Provision) -> None:
    name(signed_in(draft.student), ADA, BO)
    bob = student("bob@students.example")
    other = signed_in(bob)
    assert other.get(PEOPLE).status_code == 302
    assert name(other, ("Bob", "Else", "1"), ("Cy", "Else", "1")).status_code == 302
    assert kept(draft) == [("Ada", "Keen", 20), ("Bo", "Sample", None)]
