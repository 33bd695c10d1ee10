"""Domains that the student owns already, as typed or in a file: one per line, judged before anything is ordered."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

from infra.dns.names import BadName, canonical, display, is_host, registrable
from infra.models import Domain, Provision
from infra.models.domain import GONE
from infra.presenters_base import listed
from infra.rls import acting_as
from infra.troubles import CATALOGUE
from provisioning.actions import own_name_taken

from . import drafts
from .files import Record, at_line, records

MOST = 50
COLUMN = "domain"
SHOWN = 100  # characters of what is no domain


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a file, counted from 1: the domain that it names, or why it names none."""

    number: int
    text: str
    problem: str = ""


def parse(text: str, draft: Provision) -> list[str]:
    """Return the domains in `text`, canonical, each once. Raises ValidationError with one sentence for each that is none."""
    typed = dict.fromkeys(word for word in re.split(r"[\s,;]+", text) if word)
    if sentence := too_many(len(typed)):
        raise ValidationError(sentence)
    return _judged([Line(0, word) for word in typed], draft)


def parse_lines(lines: Sequence[Line], draft: Provision) -> list[str]:
    """Return the domains of a file's lines, as `parse` does; each sentence names the line."""
    if sentence := too_many(len(lines)):
        raise ValidationError(sentence)
    return _judged(lines, draft)


def too_many(count: int) -> str:
    """Say that so many domains are more than an order takes; nothing where they are not."""
    if count <= MOST:
        return ""
    return _("These are %(count)s domains; one order takes at most %(most)s.") % {"count": count, "most": MOST}


def _judged(lines: Sequence[Line], draft: Provision) -> list[str]:
    found: dict[str, int] = {}
    wrong = []
    for line in lines:
        try:
            if line.problem:
                raise ValidationError(line.problem)
            found.setdefault(_one(line.text, drafts.own_endings(draft)), line.number)
        except ValidationError as error:
            wrong.append((line.number, error.messages[0]))
    wrong += [(found[name], sentence) for name, sentence in _live(list(found), draft)]
    if wrong:
        raise ValidationError([at_line(number, sentence) for number, sentence in sorted(wrong, key=lambda one: one[0])])
    return list(found)


def read(body: bytes) -> list[Line]:
    """Return the lines of a file, equal ones once: one domain per line, or columns of which one is called `domain`.

    Raises ValidationError for what is no such file.
    """
    found: dict[str, Line] = {}
    for line in _lines(records(body)):
        found.setdefault(line.text, line)
    if not found:
        raise ValidationError(_("The file names no domains."))
    return list(found.values())


def _lines(found: Sequence[Record]) -> Iterator[Line]:
    column: int | None = None
    is_first = True
    for number, cells in found:
        heads = [cell.lower() for cell in cells]
        if is_first and COLUMN in heads:
            column, is_first = heads.index(COLUMN), False
            continue
        is_first = False
        filled = [cell for cell in cells if cell]
        if column is None and len(filled) > 1:
            problem = _("there are several columns here, and none of them is called “domain”.")
            yield Line(number, ", ".join(filled), problem)
        elif column is None:
            yield Line(number, filled[0])
        elif column < len(cells) and cells[column]:
            yield Line(number, cells[column])
        else:
            yield Line(number, ", ".join(filled), _("the column “domain” is empty."))


def _one(word: str, endings: Sequence[str]) -> str:
    host = re.sub(r"^[a-z]+://", "", word.lower()).partition("/")[0].removeprefix("www.")
    try:
        name = canonical(host)
        domain = registrable(name)
    except BadName as error:
        raise ValidationError(_("%(name)s is no domain name.") % {"name": word[:SHOWN]}) from error
    if domain is None or not is_host(name):
        raise ValidationError(_("%(name)s is no domain that somebody can own.") % {"name": word[:SHOWN]})
    if domain != name:
        raise ValidationError(
            _(
                "%(name)s is part of the domain %(domain)s. Type %(domain)s, if the whole domain may be used for sending."
            )
            % {"name": name, "domain": domain}
        )
    if endings and name.partition(".")[2] not in endings:
        values = {"name": display(name), "endings": listed([f".{ending}" for ending in endings])}
        raise ValidationError(
            _(
                "%(name)s cannot be part of this package: it takes these endings: %(endings)s. Take another domain, or"
                " ask the operator about this ending."
            )
            % values
        )
    return name


def _live(names: list[str], draft: Provision) -> list[tuple[str, str]]:
    """Return names that are not free for this order, and why. Other students' orders are seen by the worker only."""
    with acting_as("worker"):
        live = Domain.objects.filter(name__in=names, ordered_at__isnull=False).exclude(state__in=GONE)
        taken = dict(live.exclude(provision=draft.pk).values_list("name", "student_id"))
        had = Domain.objects.filter(name__in=names, provision=draft.enlarges_id, state__in=GONE)
        left = set(had.values_list("name", flat=True))
    mine = _("%(name)s is part of your set-up already.")
    action = CATALOGUE["DOMAIN_ALREADY_EXISTS"].action
    back = _("%(name)s was left out of this set-up earlier and cannot come back into it. Take another domain.")
    return [(name, back % {"name": name}) for name in names if name in left and name not in taken] + [
        (name, f"{mine % {'name': name}} {action}" if taken[name] == draft.student_id else own_name_taken(name))
        for name in names
        if name in taken
    ]
