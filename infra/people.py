"""The people of an order: who writes from which mailbox, and how many mails a day. Pure: no Django, no HTTP.

People are dealt to the mailboxes in turn, domain after domain, and from the start again when the list ends. That is one rule
for both things that those who send cold e-mail do. As many people as a domain has mailboxes: the same few write from every
domain, so that a recipient who answers always meets a person who exists. As many people as mailboxes: each has one of their
own. Fewer than a domain's mailboxes would make the same address twice, more than mailboxes would leave somebody out, so
both are refused. Somebody who is listed twice has two mailboxes with two addresses.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from . import naming
from .naming import Refused, Sentence, gettext_noop

MOST = 250  # people of one list: 50 domains with five mailboxes each
FIRST, LAST, LIMIT = FIELDS = ("first_name", "last_name", "daily_limit")

_SPELLED = str.maketrans(
    {"ø": "o", "ł": "l", "đ": "d", "ð": "d", "ı": "i", "æ": "ae", "œ": "oe", "þ": "th", "ħ": "h", "ŧ": "t"}
)


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who writes. `daily_limit` are campaign mails a day from each of their mailboxes; None: the package's."""

    first_name: str
    last_name: str
    daily_limit: int | None = None

    @property
    def name(self) -> str:
        """The name that recipients see."""
        return f"{self.first_name} {self.last_name}".strip()

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Person:
        """Return the person that `as_row` wrote."""
        return cls(str(row[FIRST]), str(row[LAST]), None if row[LIMIT] is None else int(row[LIMIT]))

    def as_row(self) -> dict[str, str | int | None]:
        """Return what is kept of them."""
        return {FIRST: self.first_name, LAST: self.last_name, LIMIT: self.daily_limit}


@dataclass(frozen=True, slots=True)
class Planned:
    """One mailbox as it will be: its address in two parts, its place on the domain, and who writes from it."""

    username: str
    domain: str
    position: int
    person: Person

    @property
    def address(self) -> str:
        return f"{self.username}@{self.domain}"


class PersonRefused(ValueError):
    """What was typed makes nobody who can write: the sentence for each field that is wrong."""

    def __init__(self, problems: Mapping[str, Sentence]) -> None:
        self.problems = dict(problems)
        super().__init__("; ".join(f"{name}: {sentence}" for name, sentence in problems.items()))


def parse(first: str, last: str, limit: str, *, most: int) -> Person:
    """Return the person meant by three fields. `most` campaign mails a day are the package's. Raises PersonRefused."""
    problems: dict[str, Sentence] = {}
    names = {FIRST: first, LAST: last}
    for field, typed in names.items():
        try:
            names[field] = naming.parse_person_name(typed)
        except Refused as refusal:
            problems[field] = refusal.sentence
    a_day: int | None = None
    if limit.strip():
        try:
            a_day = _limit(limit.strip(), most)
        except Refused as refusal:
            problems[LIMIT] = refusal.sentence
    person = Person(names[FIRST], names[LAST], a_day)
    if not problems and not _guesses(person):
        problems[FIRST] = Sentence(
            "no_address",
            gettext_noop(
                "The address is made of the name, which has no letter from a to z. Write it in those letters."
            ),
        )
    if problems:
        raise PersonRefused(problems)
    return person


def _limit(typed: str, most: int) -> int:
    if not (typed.isascii() and typed.isdigit()):
        raise Refused("no_number", gettext_noop("Type a whole number of mails a day, or leave it empty."))
    digits = typed.lstrip("0")
    if not digits:
        raise Refused("too_few", gettext_noop("One mail a day at least, or leave it empty."))
    if len(digits) > 6 or int(digits) > most:
        raise Refused("too_many", gettext_noop("This package sends %(most)s mails a day at most."), most=most)
    return int(digits)


def count_problem(count: int, domains: int, mailboxes: int) -> Sentence | None:
    """Return why so many people cannot be dealt to so many mailboxes, or None."""
    fewest = naming.patterns_needed(mailboxes, domains)
    if count < fewest:
        template = gettext_noop(
            "A domain has %(fewest)s mailboxes, so it takes %(fewest)s people at least; %(count)s named so far. Who is"
            " to have two of them is listed twice."
        )
        return Sentence("too_few_people", template, {"fewest": fewest, "count": count})
    if count > mailboxes:
        template = gettext_noop("%(count)s people are named, and this order has %(most)s mailboxes.")
        return Sentence("too_many_people", template, {"count": count, "most": mailboxes})
    return None


def over(named: Sequence[Person], most: int) -> list[Person]:
    """Return those who would send more than `most` mails a day, which a package may have come to mean since."""
    return [one for one in named if one.daily_limit is not None and one.daily_limit > most]


def deal(named: Sequence[Person], domains: Sequence[str], mailboxes: int) -> list[Planned]:
    """Deal people to mailboxes in turn. Raises ValueError where `count_problem` has something to say."""
    if problem := count_problem(len(named), len(domains), mailboxes):
        raise ValueError(str(problem))
    turn = itertools.cycle(zip(usernames(named), named, strict=True))
    return [
        Planned(username, domain, position, person)
        for domain, size in zip(domains, naming.spread(mailboxes, len(domains)), strict=True)
        for position, (username, person) in enumerate(itertools.islice(turn, size))
    ]


def usernames(named: Sequence[Person]) -> list[str]:
    """Return each one's part before the @, all different: `ada.keen`, or else `a.keen`, `ada.k`, `ada-keen`, `ada.keen2`."""
    found: list[str] = []
    for person in named:
        found.append(next(name for name in _all_guesses(person) if name not in found))
    return found


def _all_guesses(person: Person) -> Iterator[str]:
    good = _guesses(person)
    yield from good
    base = good[0][:60].rstrip("._-")
    yield from (f"{base}{number}" for number in itertools.count(2))


def _guesses(person: Person) -> list[str]:
    first, last = _letters(person.first_name), _letters(person.last_name)
    if not (first and last):
        return _usable([first or last])
    return _usable([f"{first}.{last}", f"{first[0]}.{last}", f"{first}.{last[0]}", f"{first}-{last}"])


def _usable(guesses: Collection[str]) -> list[str]:
    return [verdict.username for verdict in naming.judge_patterns(list(guesses)) if verdict.username]


def _letters(name: str) -> str:
    """Return what an address takes of a name: plain letters, digits and inner hyphens; O'Neill is oneill, Bjørn bjorn."""
    plain = naming.fold(name.casefold().translate(_SPELLED))
    kept = "".join(c for c in plain if c == "-" or (c.isascii() and c.isalnum()))
    return "-".join(part for part in kept.split("-") if part)
