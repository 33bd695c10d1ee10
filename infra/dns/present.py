"""What lies at a domain today, before somebody leads it elsewhere: asked of its own servers, once, and shown to its owner."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .names import canonical
from .records import Record, Type
from .resolver import Patience, Resolver, Status

# What stops when a domain leads elsewhere, as far as one can ask for it without knowing every name below: mail, the
# website with and without "www", and what services have had put there to know the domain by.
ASKED = (("", Type.A), ("", Type.AAAA), ("www", Type.A), ("", Type.TXT))


@dataclass(frozen=True, slots=True)
class Present:
    """The records that were found. `was_answered` is False where nobody said who receives the domain's mail."""

    records: tuple[Record, ...] = ()
    was_answered: bool = True


def find(zone: str, servers: Sequence[Resolver], patience: Patience) -> Present:
    """Ask the first of a domain's own servers that knows who receives its mail, and the same one for the rest.

    What it does not say of the rest is left out. Raises BadName.
    """
    name = canonical(zone)
    for server in servers:
        mail = patience.ask(server, name, Type.MX)
        if mail.says:
            rest = [patience.ask(server, f"{below}.{name}".lstrip("."), kind) for below, kind in ASKED]
            found = [one for answer in (mail, *rest) if answer.status is Status.RECORDS for one in answer.records]
            return Present(tuple(found))
    return Present(was_answered=False)
