"""Files that a student hands in: small text, in columns or not."""

from __future__ import annotations

import csv
import io

from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

MOST_BYTES = 64 * 1024

Record = tuple[int, list[str]]


def records(body: bytes) -> list[Record]:
    """Return the records of a file, each with the line at which it begins: a quoted cell may reach over several.

    UTF-8 with or without a mark in front, `,` or `;` between columns; spaces are single, empty records are left out.
    Raises ValidationError for what is no such file.
    """
    if len(body) > MOST_BYTES:
        raise ValidationError(
            _("The file is larger than %(size)s KB. Take one that holds nothing else.") % {"size": MOST_BYTES // 1024}
        )
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        raise ValidationError(_("The file is no text in UTF-8. Save it as “CSV UTF-8”, or type what it says."))
    first = next((line for line in text.splitlines() if line.strip(" ,;")), "")
    separator = ";" if ";" in first else ","
    reader, number = csv.reader(io.StringIO(text, newline=""), delimiter=separator), 1
    found = []
    for row in reader:
        cells = [" ".join(cell.split()) for cell in row]
        if any(cells):
            found.append((number, cells))
        number = reader.line_num + 1
    return found


def at_line(number: int, sentence: str) -> str:
    """Return a sentence about a line of a file; about what was typed (line 0) it stands alone."""
    return _("Line %(number)s: %(sentence)s") % {"number": number, "sentence": sentence} if number else sentence
