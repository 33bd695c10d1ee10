"""Names in one spelling: lower case, A-labels, no final dot."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache

import idna
from publicsuffixlist import PublicSuffixList

MOST = 253  # RFC 1035, 2.3.4, without the final dot
MOST_LABEL = 63


class BadName(ValueError):
    """Something that no DNS name can be."""


def canonical(name: str) -> str:
    """Return a host or domain name as all of our rules spell it. Raises BadName.

    Underscores are fine (`_dmarc`), and so is a first label `*`. Labels of other scripts become A-labels (IDNA 2008).
    """
    spelled = askable(name)
    if any(not all(33 <= ord(character) < 127 for character in label) for label in spelled.split(".")):
        raise BadName(f"{name[:MOST]!r} is no domain name: it has spaces or control characters")
    return spelled


_HOST_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?")


def is_host(name: str) -> bool:
    """Tell whether a canonical name can be registered or be a host's: letters, digits and hyphens (RFC 1123, 2.1)."""
    return all(_HOST_LABEL.fullmatch(label) for label in name.split("."))


def askable(name: str) -> str:
    """Return a name that a server can be asked for: as `canonical`, and any ASCII may stand in it. Raises BadName."""
    plain = name.strip().rstrip(".").lower()
    labels = [label if label.isascii() else _a_label(label, name) for label in plain.replace("。", ".").split(".")]
    spelled = ".".join(labels)
    if not plain or any(not 0 < len(label) <= MOST_LABEL for label in labels) or len(spelled) > MOST:
        raise BadName(f"{name[:MOST]!r} is no domain name: a label is empty or too long")
    return spelled


def _a_label(label: str, name: str) -> str:
    try:
        return idna.alabel(idna.uts46_remap(label)).decode()
    except idna.IDNAError as error:
        raise BadName(f"{name[:MOST]!r} is no domain name: {error}") from error


def display(name: str) -> str:
    """Return a canonical name in the letters of its own script, for people. What cannot be shown stays as it is."""
    return ".".join(_u_label(label) for label in name.split("."))


def _u_label(label: str) -> str:
    try:
        return idna.ulabel(label) if label.startswith("xn--") else label
    except idna.IDNAError:
        return label


def absolute(host: str, zone: str) -> str:
    """Return the canonical name that a platform means by `host` in `zone`. Raises BadName.

    Platforms write @ or nothing for the zone itself, names relative to it, and whole names; a final dot says whole.
    """
    zone, host = canonical(zone), host.strip()
    if host in ("", "@"):
        return zone
    name = canonical(host)
    return name if host.endswith(".") or is_within(name, zone) else canonical(f"{name}.{zone}")


def is_within(name: str, zone: str) -> bool:
    """Tell whether a canonical name is `zone` or lies below it."""
    return name == zone or name.endswith(f".{zone}")


def registrable(name: str) -> str | None:
    """Return the domain that somebody registered: a label and the public suffix that names are sold under.

    None for what is such a suffix itself (`co.uk`). For pages and for what can be bought; DMARC has its own way.
    """
    found: str | None = _suffixes().privatesuffix(canonical(name))
    return found


@cache
def _suffixes() -> PublicSuffixList:
    return PublicSuffixList(only_icann=True)


def parents(name: str) -> Iterator[str]:
    """Yield the names above a canonical name, the nearest first, the single label last."""
    while "." in name:
        name = name.partition(".")[2]
        yield name
