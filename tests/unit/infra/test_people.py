"""The people of an order: what may be typed, which addresses follow, and how they are dealt to domains."""

from __future__ import annotations

import pytest

from infra import people
from infra.naming import MAX_USERNAME
from infra.people import Person

ADA, BO, CY, DEE = (Person(name, "Keen") for name in ("Ada", "Bo", "Cy", "Dee"))


@pytest.mark.parametrize(
    ("first", "last", "username"),
    [
        ("Zoë", "Keen", "zoe.keen"),
        ("Anna Maria", "van der Berg", "annamaria.vanderberg"),
        ("Sam", "O'Neill", "sam.oneill"),
        ("Jean-Luc", "Straße", "jean-luc.strasse"),
        ("J. R.", "Smith 3rd", "jr.smith3rd"),
        ("Bjørn", "Łuczak", "bjorn.luczak"),
        ("Ada", "李", "ada"),
        ("Ada-", "Keen", "ada.keen"),
    ],
)
def test_an_address_is_made_of_the_name(first: str, last: str, username: str) -> None:
    assert people.usernames([people.parse(first, last, "", most=30)]) == [username]


def test_equal_names_get_different_addresses_and_the_first_keeps_its_own() -> None:
    twins = [ADA, Person("Adá", "Keen"), *[ADA] * 4]
    assert people.usernames(twins) == ["ada.keen", "a.keen", "ada.k", "ada-keen", "ada.keen2", "ada.keen3"]


def test_an_address_is_never_longer_than_mail_allows() -> None:
    long = people.parse("A" * 60, "B" * 60, "", most=30)
    names = people.usernames([long] * people.MOST)
    assert max(map(len, names)) <= MAX_USERNAME
    assert len(set(names)) == people.MOST


def test_what_is_typed_is_tidied() -> None:
    assert people.parse("  Ada  Maria ", "Keen", " 020 ", most=30) == Person("Ada Maria", "Keen", 20)
    assert people.parse("Ada", "Keen", "", most=30).daily_limit is None


@pytest.mark.parametrize(
    ("first", "last", "limit", "field", "words"),
    [
        ("", "Keen", "", "first_name", "Type the name"),
        ("Ada", "", "", "last_name", "Type the name"),
        ("Ada", "x" * 61, "", "last_name", "60 characters at most"),
        ("Ada", "<b>", "", "last_name", "cannot stand"),
        ("🚀", "Keen", "", "first_name", "at least one letter"),
        ("李", "小龙", "", "first_name", "no letter from a to z"),
        ("Ada", "Keen", "many", "daily_limit", "whole number"),
        ("Ada", "Keen", "-1", "daily_limit", "whole number"),
        ("Ada", "Keen", "1.5", "daily_limit", "whole number"),
        ("Ada", "Keen", "²", "daily_limit", "whole number"),
        ("Ada", "Keen", "0", "daily_limit", "One mail a day at least"),
        ("Ada", "Keen", "31", "daily_limit", "sends 30 mails a day at most"),
        ("Ada", "Keen", "9" * 5000, "daily_limit", "sends 30 mails a day at most"),
    ],
)
def test_what_makes_nobody_is_refused_at_its_field(first: str, last: str, limit: str, field: str, words: str) -> None:
    with pytest.raises(people.PersonRefused) as refused:
        people.parse(first, last, limit, most=30)
    assert list(refused.value.problems) == [field]
    assert words in str(refused.value.problems[field])


def test_every_wrong_field_is_told_at_once() -> None:
    with pytest.raises(people.PersonRefused) as refused:
        people.parse("", "", "x", most=30)
    assert set(refused.value.problems) == set(people.FIELDS)


def dealt(named: list[Person], domains: int, mailboxes: int) -> list[tuple[str, str]]:
    names = [f"{number}.com" for number in range(domains)]
    return [(one.domain, one.person.first_name) for one in people.deal(named, names, mailboxes)]


def test_as_many_people_as_a_domain_has_mailboxes_write_from_every_domain() -> None:
    expected = [("0.com", "Ada"), ("0.com", "Bo"), ("1.com", "Ada"), ("1.com", "Bo")]
    assert dealt([ADA, BO], 2, 4) == expected


def test_as_many_people_as_mailboxes_have_one_each() -> None:
    expected = [("0.com", "Ada"), ("0.com", "Bo"), ("1.com", "Cy"), ("1.com", "Dee")]
    assert dealt([ADA, BO, CY, DEE], 2, 4) == expected


def test_the_list_begins_again_when_it_ends_and_no_domain_has_an_address_twice() -> None:
    expected = [("0.com", "Ada"), ("0.com", "Bo"), ("1.com", "Cy"), ("1.com", "Ada"), ("2.com", "Bo"), ("2.com", "Cy")]
    assert dealt([ADA, BO, CY], 3, 6) == expected
    for count in range(3, 12):
        addresses = [one.address for one in people.deal([ADA] * count, ["a.com", "b.com", "c.com", "d.com"], 11)]
        assert len(addresses) == len(set(addresses)) == 11


def test_a_person_has_the_same_address_on_every_domain_and_a_place_on_each() -> None:
    plan = people.deal([ADA, BO], ["a.com", "b.com"], 3)
    assert [(one.address, one.position) for one in plan] == [
        ("ada.keen@a.com", 0), ("bo.keen@a.com", 1), ("ada.keen@b.com", 0)
    ]  # fmt: skip


@pytest.mark.parametrize(("count", "words"), [(1, "2 people at least; 1 named"), (5, "5 people are named")])
def test_too_few_and_too_many_are_refused(count: int, words: str) -> None:
    problem = people.count_problem(count, 2, 4)
    assert problem is not None
    assert words in str(problem)
    with pytest.raises(ValueError, match=words):
        dealt([ADA] * count, 2, 4)


def test_whoever_sends_more_than_the_package_is_found() -> None:
    keen = Person("Ada", "Keen", 25)
    assert people.over([keen, BO], 20) == [keen]
    assert people.over([keen, BO], 25) == []


def test_what_is_kept_of_a_person_makes_the_same_person() -> None:
    assert [Person.of(one.as_row()) for one in (ADA, Person("Bo", "Keen", 3))] == [ADA, Person("Bo", "Keen", 3)]
