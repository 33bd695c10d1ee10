"""Domains that the student owns already, as they are typed: one per line, judged before anything is ordered."""

from __future__ import annotations

import re
from collections.abc import Sequence

from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

from infra.dns.names import BadName, canonical, display, registrable
from infra.models import Domain, Provision
from infra.models.domain import GONE
from infra.presenters_base import listed
from infra.rls import acting_as
from infra.troubles import CATALOGUE
from provisioning.actions import own_name_taken

from . import drafts

MOST = 50


def parse(text: str, draft: Provision) -> list[str]:
    """Return the domains in `text`, canonical, each once. Raises ValidationError with one sentence for each that is none."""
    typed = [word for word in re.split(r"[\s,;]+", text) if word][:MOST]
    found, wrong = [], []
    for word in dict.fromkeys(typed):
        try:
            found.append(_one(word, drafts.own_endings(draft)))
        except ValidationError as error:
            wrong.append(error)
    names = list(dict.fromkeys(found))
    wrong += [ValidationError(sentence) for sentence in _live(names, draft)]
    if wrong:
        raise ValidationError(wrong)
    return names


def _one(word: str, endings: Sequence[str]) -> str:
    host = re.sub(r"^[a-z]+://", "", word.lower()).partition("/")[0].removeprefix("www.")
    try:
        name = canonical(host)
        domain = registrable(name)
    except BadName as error:
        raise ValidationError(_("%(name)s is no domain name.") % {"name": word}) from error
    if domain is None or "_" in name or "*" in name:
        raise ValidationError(_("%(name)s is no domain that somebody can own.") % {"name": word})
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


def _live(names: list[str], draft: Provision) -> list[str]:
    """Return why names are not free for this order. Other students' orders are seen by the worker only."""
    with acting_as("worker"):
        live = Domain.objects.filter(name__in=names, ordered_at__isnull=False).exclude(state__in=GONE)
        taken = dict(live.exclude(provision=draft.pk).values_list("name", "student_id"))
    return [
        f"{_('%(name)s is part of your set-up already.') % {'name': name}} {CATALOGUE['DOMAIN_ALREADY_EXISTS'].action}"
        if taken[name] == draft.student_id
        else own_name_taken(name)
        for name in names
        if name in taken
    ]
