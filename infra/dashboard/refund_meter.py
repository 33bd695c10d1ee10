"""The refund meter in words: what could be refunded now, item by item, with reasons; for the student and the operator."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.utils import formats
from django.utils.translation import gettext as _

from billing.meter import Item, Why, meter
from infra.models import Provision, User
from infra.presenters_base import Line, in_zone_of, money

TONES = {Why.BACK: "done", Why.COMING: "busy", Why.UNUSED: "attention"}


@dataclass(frozen=True, slots=True)
class MeterCard:
    """What could be refunded now, in one sentence; and each item with its reason."""

    title: str
    lines: Sequence[Line]


def card(reader: User, provision: Provision) -> MeterCard | None:
    """Return the meter of an order as `reader` reads it, in their time zone; None as long as nothing was paid."""
    found = meter(provision)
    if found is None:
        return None
    title = _("What could be refunded now: %(amount)s") % {"amount": money(found.cents, found.currency)}
    return MeterCard(title, [_line(reader, item) for item in found.items])


def _line(reader: User, item: Item) -> Line:
    amount = money(item.cents, item.currency)
    return Line(item.name or _name(item), amount, TONES.get(item.why, "off"), _reason(reader, item))


def _name(item: Item) -> str:
    names = {
        Why.MONTH: _("This month"),
        Why.USED: _("Months before"),
        Why.UPGRADE: _("The bigger package, for the rest of a month"),
        Why.UNUSED: _("The bigger package"),
    }
    return names.get(item.why, _("A payment that was not needed"))


def _reason(reader: User, item: Item) -> str:
    until = formats.date_format(in_zone_of(reader, item.until), "j F Y") if item.until else ""
    match item.why:
        case Why.BACK:
            return _("Went back already.")
        case Why.COMING:
            return _("Is on its way back.")
        case Why.UNUSED:
            return _("Nothing was bought for it yet: the operator can send this back when the order ends now.")
        case Why.BEING_BOUGHT:
            return _("Being bought at this moment.")
        case Why.BOUGHT if until:
            return _("Kept: the domain is registered until %(day)s, and no registry takes a name back.") % {
                "day": until
            }
        case Why.BOUGHT:
            return _("Kept: the domain is registered, and no registry takes a name back.")
        case Why.LEFT_OUT:
            return _("Used: the domain was registered, and you left it out when you took a smaller package.")
        case Why.MONTH if until:
            return _("Kept: it pays for the time until %(day)s.") % {"day": until}
        case Why.MONTH:
            return _("Kept: it pays for the present period.")
        case Why.USED:
            return _("Kept: these months are over.")
        case Why.UPGRADE:
            return _("Kept: the bigger package runs.")
