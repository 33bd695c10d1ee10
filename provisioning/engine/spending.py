"""What a stack says about what its orders cost the operator: data. `provisioning/spending.py` does the counting."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from django.utils.functional import Promise

from .options import Options


class Of(enum.StrEnum):
    """What a package counts of a thing that costs."""

    DOMAIN = "domain"
    MAILBOX = "mailbox"
    IP = "ip"


class Every(enum.StrEnum):
    """What one payment of the operator's lasts for."""

    MONTH = "month"
    YEAR = "year"


@dataclass(frozen=True, slots=True)
class Cost:
    """Something that orders pay for at a platform.

    of        what a package counts of it; a domain has a price of its own, named when it was ordered
    platform  slug, and with `verb` the write that buys it: what is done was paid for, what is open is not known yet
    seller    the platform in the operator's words
    label     the thing, in the singular
    option    the option that says what one costs for a month or year (`Options`): an estimate
    """

    of: Of
    platform: str
    verb: str
    seller: str
    label: str | Promise
    option: str
    every: Every
    currency: str = "usd"

    def cents(self, options: Options) -> int:
        """Return what one costs for a month or year, by the settings."""
        return int(getattr(options, self.option))

    def cents_a_year(self, options: Options) -> int:
        """Return what one costs in a year, by the settings."""
        return self.cents(options) * (12 if self.every is Every.MONTH else 1)
