"""The people who write, in a file: `first_name,last_name,daily_limit`, a line for each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

from infra.people import FIELDS, FIRST, LAST, MOST

from .files import records

EXAMPLE = "first_name,last_name,daily_limit\r\nAda,Keen,20\r\nZoë,Sample,\r\n"


@dataclass(frozen=True, slots=True)
class Typed:
    """A row of the people's grid as typed, or as it stands at a line of a file."""

    first_name: str = ""
    last_name: str = ""
    daily_limit: str = ""
    line: int = 0

    @property
    def is_blank(self) -> bool:
        return not (self.first_name.strip() or self.last_name.strip() or self.daily_limit.strip())


def read(body: bytes) -> list[Typed]:
    """Return what the lines of a file say, good or bad. Columns are found by their names; without names they are first name,
    last name and daily limit, in this order.

    Raises ValidationError for what is no such file, or names more people than an order can hold.
    """
    found = records(body)
    columns: Sequence[int] = range(len(FIELDS))
    heads = [cell.lower().replace(" ", "_") for cell in found[0][1]] if found else []
    if FIRST in heads or LAST in heads:
        for name in (FIRST, LAST):
            if name not in heads:
                raise ValidationError(_("The file has no column called “%(name)s”.") % {"name": name})
        columns = [heads.index(name) if name in heads else len(heads) for name in FIELDS]
        found = found[1:]
    elif any(len(cells) > len(FIELDS) and any(cells[len(FIELDS) :]) for _number, cells in found):
        raise ValidationError(
            _("The file has more than three columns. Call those of the people first_name, last_name and daily_limit.")
        )
    rows = [row for number, cells in found if not (row := _row(cells, columns, number)).is_blank]
    if not rows:
        raise ValidationError(_("The file names nobody."))
    if len(rows) > MOST:
        told = {"count": len(rows), "most": MOST}
        raise ValidationError(_("The file names %(count)s people; one order takes %(most)s at most.") % told)
    return rows


def _row(cells: Sequence[str], columns: Sequence[int], number: int) -> Typed:
    first, last, limit = (cells[column] if column < len(cells) else "" for column in columns)
    return Typed(first, last, limit, number)
