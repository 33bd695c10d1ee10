"""DNS records as a zone file in BIND's syntax (RFC 1035, section 5). Pure.

Records are data from elsewhere: a value that could end its line or its quotes is written as escapes, and a host or a type
that is none becomes a comment.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from infra.dns.records import escaped, quoted

TTL = 300
HOST = re.compile(r"@|(\*\.)?[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?\.?")
NAMED = ("CNAME", "NS", "MX", "SRV")  # their value ends in a name, which gets its final dot
PLAIN = re.compile(r"[A-Za-z0-9_.:/ \"*-]+")


def zone_file(domain: str, records: Iterable[Sequence[object]], *, read_at: str) -> str:
    """Return the zone file of a domain; `records` are type, host, value and priority."""
    rows = list(records)
    lines = [f"; {domain}", f"; Records as the platform listed them on {read_at}." if read_at else UNKNOWN]
    lines += [
        f"; The platform names no time to live; {TTL} seconds are ours. SOA and NS come from wherever you take it.",
        f"$ORIGIN {domain}.",
        f"$TTL {TTL}",
        *(line for row in rows for line in _lines(domain, *row)),
    ]
    return "\n".join(lines) + "\n"


UNKNOWN = (
    "; The records of this domain have not been read yet: none are listed here, which does not mean that none exist."
)


def _lines(domain: str, kind: object, host: object, value: object, priority: object = None) -> list[str]:
    kind, host, value = str(kind).upper(), str(host).strip() or "@", str(value)
    if host.lower().rstrip(".") == domain:
        host = "@"
    elif host.lower().rstrip(".").endswith(f".{domain}"):
        host = host.rstrip(".")[: -len(domain) - 1]
    if not HOST.fullmatch(host) or not kind.isalpha():
        return [f"; not written, because its name is none: {_escaped(f'{host} {kind} {value}')}"]
    if kind in ("TXT", "SPF"):
        return [f"{host} IN {kind} {quoted(value)}"]
    if not PLAIN.fullmatch(value):
        return [f"; not written, because its value is none: {_escaped(f'{host} {kind} {value}')}"]
    if kind in NAMED and "." in value:
        value = value.rstrip(".") + "."
    if kind == "MX" and not re.match(r"\d+ ", value):
        if priority is None:
            return ["; the priority of the next record is not known; 10 is a guess", f"{host} IN MX 10 {value}"]
        return [f"{host} IN MX {priority} {value}"]
    return [f"{host} IN {kind} {value}"]


def _escaped(text: str) -> str:
    return "".join(map(escaped, text.encode()))
