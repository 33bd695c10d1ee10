"""One canonical form of a record. Two records are equal when they mean the same, however they were written."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from .names import BadName, askable, canonical

MOST_OCTETS = 255  # of one character-string of a TXT record: RFC 1035, 3.3.14


class Type(StrEnum):
    """The types that mail needs."""

    A = "A"
    AAAA = "AAAA"
    CNAME = "CNAME"
    MX = "MX"
    NS = "NS"
    PTR = "PTR"
    SOA = "SOA"
    TXT = "TXT"


HOSTS = (Type.CNAME, Type.MX, Type.NS, Type.PTR)  # their value is a name
ADDRESSES: Mapping[Type, type[ipaddress.IPv4Address] | type[ipaddress.IPv6Address]] = {
    Type.A: ipaddress.IPv4Address,
    Type.AAAA: ipaddress.IPv6Address,
}


class BadRecord(ValueError):
    """Data that is no record of its type."""


@dataclass(frozen=True, slots=True, eq=False)
class Record:
    """A record. Make it with `record`; what the fields hold is canonical.

    owner     the whole name, canonical
    value     a host, an address, or the logical text of a TXT record: unquoted, its strings joined
    priority  of an MX record, None otherwise
    ttl       seconds; says nothing about what the record means
    """

    type: Type
    owner: str
    value: str
    priority: int | None = None
    ttl: int | None = None

    @property
    def meaning(self) -> tuple[object, ...]:
        """What two records that mean the same have in common."""
        value: object = text_meaning(self.owner, self.value) if self.type is Type.TXT else self.value
        return (self.type, self.owner, value, self.priority)

    def __eq__(self, other: object) -> bool:
        return self.meaning == other.meaning if isinstance(other, Record) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.meaning)

    def __str__(self) -> str:
        return f"{self.owner} {self.type} {self.shown}"

    @property
    def shown(self) -> str:
        """The value as people read it, an MX record's priority before its host."""
        return self.value if self.priority is None else f"{self.priority} {self.value}"

    def as_json(self) -> dict[str, Any]:
        """Return the record as plain data; `from_json` reads it back."""
        return {"type": str(self.type), "owner": self.owner, "value": self.value, "priority": self.priority}


def record(kind: str, owner: str, value: str, priority: int | None = None, *, ttl: int | None = None) -> Record:
    """Return the canonical record of what a platform, a person or a server wrote. Raises BadRecord.

    A TXT value may come bare or as quoted strings, an MX value with its priority before the host.
    """
    try:
        name, of_type = askable(owner), Type(kind.strip().upper())
    except BadName as error:
        raise BadRecord(str(error)) from error
    except ValueError as error:
        raise BadRecord(f"{kind[:16]!r} is no type of record that is used here") from error
    if of_type is Type.TXT:
        return Record(of_type, name, joined(value), ttl=ttl)
    if of_type is Type.MX:
        priority, value = _mx(value, priority)
    return Record(of_type, name, _canonical_value(of_type, value), priority if of_type is Type.MX else None, ttl)


def from_json(data: Mapping[str, Any]) -> Record:
    """Return the record that `as_json` described. Raises BadRecord."""
    try:
        return record(data["type"], data["owner"], data["value"], data.get("priority"))
    except (KeyError, TypeError, AttributeError) as error:
        raise BadRecord("this does not describe a record") from error


def _mx(value: str, priority: int | None) -> tuple[int, str]:
    """Return priority and host of an MX record, whichever way they were given."""
    if match := re.fullmatch(r"\s*(\d+)\s+(\S+)\s*", value):
        priority, value = int(match[1]), match[2]
    if priority is None or not 0 <= priority < 2**16:
        raise BadRecord("an MX record needs a priority from 0 to 65535")
    return priority, value


def _canonical_value(of_type: Type, value: str) -> str:
    try:
        if of_type in ADDRESSES:
            return str(ADDRESSES[of_type](value.strip()))
        if of_type is Type.MX and value.strip() == ".":  # RFC 7505: takes no mail
            return "."
        return canonical(value) if of_type in HOSTS else " ".join(value.lower().split())
    except ValueError as error:
        raise BadRecord(f"{value[:100]!r} is no value of an {of_type} record") from error


# Texts


_STRING = re.compile(r'\s*"((?:[^"\\]|\\.)*)"', re.DOTALL)
_ESCAPE = re.compile(r"\\(\d{3}|.)", re.DOTALL)


def joined(text: str) -> str:
    """Return a TXT record's logical text: quoted strings are unquoted and joined without a space, as RFC 7208 3.3 says.

    Text that is not wholly made of quoted strings is bare already.
    """
    parts, end = [], 0
    while match := _STRING.match(text, end):
        parts.append(_ESCAPE.sub(_unescaped, match[1]))
        end = match.end()
    return "".join(parts) if parts and not text[end:].strip() else text


def _unescaped(match: re.Match[str]) -> str:
    return chr(int(match[1]) % 256) if match[1].isdecimal() else match[1]


def chunks(text: str) -> tuple[bytes, ...]:
    """Return the character-strings that carry a text: 255 octets each at most, one empty string for an empty text."""
    raw = text.encode("utf-8", "surrogateescape")
    return tuple(raw[start : start + MOST_OCTETS] for start in range(0, len(raw), MOST_OCTETS)) or (b"",)


def quoted(text: str) -> str:
    """Return a text as a zone file writes it: quoted strings of 255 octets at most (RFC 1035, 5.1)."""
    return " ".join(f'"{"".join(map(escaped, chunk))}"' for chunk in chunks(text))


def escaped(octet: int) -> str:
    """Return an octet as a zone file writes it within quotes."""
    if octet in b'"\\':
        return f"\\{chr(octet)}"
    return chr(octet) if 32 <= octet < 127 else f"\\{octet:03d}"


TAGGED = ("v=dmarc1", "v=dkim1", "v=tlsrptv1", "v=stsv1")
ANY_CASE = frozenset({"p", "sp", "np", "adkim", "aspf", "t", "psd", "fo"})  # RFC 9989: words, not data


def text_meaning(owner: str, text: str) -> object:
    """Return what a TXT record says to those who read it: SPF by its terms, tag lists by their tags, others as they are."""
    lowered = text.strip().lower()
    if lowered == "v=spf1" or lowered.startswith("v=spf1 "):
        return ("v=spf1", *map(_term, text.split()[1:]))
    if lowered.replace(" ", "").startswith(TAGGED) or "._domainkey." in owner:
        pairs = tags(text)
        version, is_key = pairs[0][1] if pairs and pairs[0][0] == "v" else "", "._domainkey." in owner
        rest = ((n, _tag_value(n, v, is_key=is_key)) for n, v in pairs if n != "v")
        # A key's version may be left out, and its type when it is RSA: RFC 6376, 3.6.1.
        return (version if not is_key else "DKIM1", *sorted(one for one in rest if not is_key or one != ("k", "rsa")))
    return text


def tags(text: str) -> list[tuple[str, str]]:
    """Return the tags of a tag list (RFC 6376, 3.2) in their order: names lower case, values trimmed, no empty parts."""
    pairs = (part.partition("=") for part in text.split(";") if part.strip())
    return [(name.strip().lower(), value.strip()) for name, _, value in pairs]


def _term(term: str) -> str:
    """Return an SPF term without its default qualifier, lower case unless a macro's capitals may matter."""
    plain = term[1:] if term.startswith("+") else term
    return plain if "%" in plain else plain.lower()


def _tag_value(name: str, value: str, *, is_key: bool) -> str:
    if is_key:
        return re.sub(r"\s+", "", value) if name in ("p", "h", "s", "t") else value
    return value.lower() if name in ANY_CASE else re.sub(r"\s*,\s*", ",", value)


PURPOSES = {"v=dmarc1": "DMARC", "v=dkim1": "DKIM", "v=tlsrptv1": "TLS-RPT", "v=stsv1": "MTA-STS"}


def purpose(one: Record) -> str:
    """Return what a record is for, as people call it: MX, SPF, DKIM, DMARC, TLS-RPT, MTA-STS; empty for anything else.

    Of the texts among them one alone may stand at a name (RFC 7208 4.5, 9989 4.8, 6376 3.6.2.2).
    """
    if one.type is Type.MX:
        return "MX"
    if one.type not in (Type.TXT, Type.CNAME):
        return ""
    if "._domainkey." in one.owner:
        return "DKIM"
    lowered = one.value.lower()
    if lowered == "v=spf1" or lowered.startswith("v=spf1 "):
        return "SPF"
    lowered = lowered.replace(" ", "")
    return next((word for version, word in PURPOSES.items() if lowered.startswith(version)), "")


def only(records: Iterable[Record], kind: Type) -> list[Record]:
    """Return the records of one type."""
    return [one for one in records if one.type is kind]
