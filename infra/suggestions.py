"""Domain names suggested for a brand: deterministic, in a fixed order, no platform asked. Pure: no Django, no HTTP."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from .naming import MAX_LABEL, SOLD_ENDINGS, Refused, fold, gettext_noop

BRAND_LIMIT = 80


class BrandRefused(Refused):
    """A brand of which no domain name can be made, with the sentence that says why."""


@dataclass(frozen=True, slots=True)
class Affixes:
    """What is put around a brand. Settings may replace any of them; the order is the order of the suggestions.

    endings             other endings than .com that students accept, used where the platform sells them
    hyphenated_suffixes how many of the suffixes are also tried with a hyphen
    spread_prefixes     how many of the prefixes are also tried on the other endings
    """

    prefixes: Sequence[str] = ("get", "try", "use", "go", "hey", "meet", "with", "join")
    suffixes: Sequence[str] = ("hq", "app", "mail", "team", "co", "now", "pro")
    hyphenated_prefixes: Sequence[str] = ("get", "try")
    endings: Sequence[str] = ("org", "net", "io")
    hyphenated_suffixes: int = 4
    spread_prefixes: int = 3


DEFAULT_AFFIXES = Affixes()


def clean_brand(brand: str) -> str:
    """Return the brand as it stands in a domain name: lower case, accents folded, letters a-z and digits only.

    Raises BrandRefused when nothing usable is left or too much is.
    """
    if not brand.strip():
        raise BrandRefused("empty", gettext_noop("Type your brand or company name, for example Acme."))
    if len(brand.strip()) > BRAND_LIMIT:
        raise BrandRefused(
            "too_long",
            gettext_noop("That is longer than a brand name can be (%(limit)s characters). Try a short form."),
            limit=BRAND_LIMIT,
        )
    cleaned = re.sub(r"[^a-z0-9]", "", fold(brand))
    if not cleaned:
        raise BrandRefused(
            "no_letters",
            gettext_noop("A domain name needs letters from a to z or digits, and this has none. Example: Acme."),
        )
    if len(cleaned) > MAX_LABEL:
        raise BrandRefused(
            "too_long_for_domain",
            gettext_noop(
                "A domain name has %(limit)s characters at most; this brand makes %(length)s. Try a short form."
            ),
            limit=MAX_LABEL,
            length=len(cleaned),
        )
    return cleaned


def suggest(brand: str, *, sold: Collection[str] = SOLD_ENDINGS, affixes: Affixes = DEFAULT_AFFIXES) -> list[str]:
    """Return every name suggested for `brand` on the endings in `sold`, best first, without duplicates.

    Names whose label would be too long are left out. Raises BrandRefused.
    """
    cleaned = clean_brand(brand)
    names = (f"{label}.{ending}" for label, ending in _candidates(cleaned, affixes) if ending in sold)
    return [name for name in dict.fromkeys(names) if len(name.partition(".")[0]) <= MAX_LABEL]


def chunk(names: Sequence[str], number: int, *, size: int) -> list[str]:
    """Return the `number`-th chunk (from 0) of `names`; `size` is what one bulk call of the platform takes."""
    return list(names[number * size : (number + 1) * size])


def _candidates(brand: str, affixes: Affixes) -> Iterator[tuple[str, str]]:
    yield brand, "com"
    for ending in affixes.endings:
        yield brand, ending
    for prefix in affixes.prefixes:
        yield prefix + brand, "com"
    for suffix in affixes.suffixes:
        yield brand + suffix, "com"
    for suffix in affixes.suffixes[: affixes.hyphenated_suffixes]:
        yield f"{brand}-{suffix}", "com"
    for prefix in affixes.hyphenated_prefixes:
        yield f"{prefix}-{brand}", "com"
    for prefix in affixes.prefixes[: affixes.spread_prefixes]:
        for ending in affixes.endings:
            yield prefix + brand, ending
