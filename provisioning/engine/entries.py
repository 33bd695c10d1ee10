"""What a person makes by hand at a platform and types in here, because no call can make it: a key, a password.

A step with an entry asks the operator for it (code `ASKED`) and goes on with what was entered. Whether the value is right,
the platform says: a step may ask again.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from django.utils.functional import Promise
from django.utils.translation import gettext as _

ASKED = "enter_by_hand"  # code of the operator's task


class BadEntry(ValueError):
    """What was typed in cannot be it. The text is for the person who did."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What is typed in for each item of a step.

    label   what it is
    how     what to do at the platform, one step a line
    read    the text as typed -> the value to keep. Raises BadEntry
    fact    where it is kept with the item; empty for a secret, which is kept encrypted as what opens the mailbox
    """

    label: str | Promise
    how: tuple[str | Promise, ...]
    read: Callable[[str], str]
    fact: str = ""

    @property
    def is_secret(self) -> bool:
        return not self.fact


def entered_at(key: str) -> str:
    """Return the fact of an item that says when a person last entered something for the step `key`."""
    return f"{key}_entered_at"


@dataclass(frozen=True, slots=True)
class Read:
    """What several lines said. `values` by item; `problems` in the order of the lines, for the person."""

    values: Mapping[str, str] = field(default_factory=dict, repr=False)  # they may be secrets
    problems: Sequence[str] = ()


LINE = re.compile(r"\s*([^\s,;]+)[\s,;]\s*(.*?)\s*")


def read_lines(entry: Entry, text: str, items: Sequence[str]) -> Read:
    """Read lines of "item, value" for those of `items` that are named, in whatever order. Never repeats a value."""
    known, values, problems = {item.lower(): item for item in items}, dict[str, str](), list[str]()
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        found = LINE.fullmatch(line)
        item = known.get(found[1].lower().rstrip(":")) if found else None
        if found is None or item is None:
            problems.append(_("Line %(number)d does not begin with one of the names below.") % {"number": number})
        elif item in values:
            problems.append(_("Line %(number)d: %(item)s stands twice.") % {"number": number, "item": item})
        else:
            try:
                values[item] = entry.read(found[2])
            except BadEntry as error:
                said = {"number": number, "item": item, "why": str(error)}
                problems.append(_("Line %(number)d, %(item)s: %(why)s") % said)
    if not values and not problems:
        problems.append(_("Nothing was entered."))
    return Read(values, problems)
