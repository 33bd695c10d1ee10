"""Resolvers that answer from a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from infra.dns.names import canonical
from infra.dns.records import Record, Type
from infra.dns.resolver import TIMEOUT, Answer, Status

SILENT = Answer(Status.TIMEOUT, why="no answer")
BROKEN = Answer(Status.TEMPORARY_FAILURE, why="the server answers SERVFAIL")


@dataclass
class Table:
    """Answers from `records`; a name without any is NXDOMAIN. `instead` answers for a name, or for all under ""."""

    name: str = "table"
    records: Sequence[Record] = ()
    instead: Mapping[str, Answer] = field(default_factory=dict)
    asked: list[tuple[str, Type, float]] = field(default_factory=list)

    def query(self, name: str, kind: Type, *, timeout: float = TIMEOUT) -> Answer:
        owner = canonical(name)
        self.asked.append((owner, kind, timeout))
        if answer := self.instead.get(owner, self.instead.get("")):
            return answer
        here = [one for one in self.records if one.owner == owner]
        found = tuple(one for one in here if one.type is kind)
        if found:
            return Answer(Status.RECORDS, found)
        return Answer(Status.NO_ANSWER if here else Status.NXDOMAIN)
