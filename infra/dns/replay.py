"""Answers kept: what was asked in one look, so that a page can judge it again without asking anybody. Pure.

`Recording` passes questions on and keeps the answers; `Replay` answers from them. The rules run over both alike.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .delegation import first_answer
from .names import askable, is_within
from .records import Record, Type
from .resolver import TIMEOUT, Answer, Patience, Resolver, Status

NOT_ASKED = Answer(Status.TEMPORARY_FAILURE, why="it was not asked")


@dataclass
class OwnFirst:
    """Asks a domain's own servers about its names, and public resolvers about all others and where an alias leads out."""

    zone: str
    own: Sequence[Resolver]
    others: Sequence[Resolver]
    patience: Patience
    name: str = "own servers first"

    def query(self, name: str, kind: Type, *, timeout: float = TIMEOUT) -> Answer:
        if not is_within(askable(name), self.zone):
            return first_answer(self.others, name, kind, self.patience)
        answer = first_answer(self.own, name, kind, self.patience)
        if answer.status is Status.NO_ANSWER and answer.aliases and not is_within(answer.aliases[-1], self.zone):
            return first_answer(self.others, name, kind, self.patience)
        return answer


@dataclass
class Recording:
    """Asks `resolver`, each question once, and keeps what it said."""

    resolver: Resolver
    kept: dict[str, dict[str, Any]] = field(default_factory=dict)
    _said: dict[str, Answer] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.resolver.name

    def query(self, name: str, kind: Type, *, timeout: float = TIMEOUT) -> Answer:
        key = _key(name, kind)
        if key not in self._said:
            self._said[key] = answer = self.resolver.query(name, kind, timeout=timeout)
            self.kept[key] = _as_json(answer)
        return self._said[key]


@dataclass(frozen=True, slots=True)
class Replay:
    """Answers what a recording kept; whatever else is asked counts as not answered."""

    kept: Mapping[str, Any]
    name: str = "kept answers"

    def query(self, name: str, kind: Type, *, timeout: float = TIMEOUT) -> Answer:
        found = self.kept.get(_key(name, kind))
        return _from_json(found) if found else NOT_ASKED


def _key(name: str, kind: Type) -> str:
    return f"{kind} {askable(name)}"


def _as_json(answer: Answer) -> dict[str, Any]:
    kept = {
        "status": str(answer.status),
        "records": [[str(one.type), one.owner, one.value, one.priority, one.ttl] for one in answer.records],
        "why": answer.why,
        "aliases": list(answer.aliases),
        "ttl": answer.ttl,
    }
    return {name: value for name, value in kept.items() if value not in ("", [], None)}


def _from_json(kept: Mapping[str, Any]) -> Answer:
    records = tuple(
        Record(Type(kind), owner, value, priority, ttl) for kind, owner, value, priority, ttl in kept.get("records", ())
    )
    return Answer(Status(kept["status"]), records, kept.get("why", ""), tuple(kept.get("aliases", ())), kept.get("ttl"))


def storable(value: Any) -> Any:
    """Return plain data as PostgreSQL's JSON takes it: name servers may send octets that are no text, and zeros."""
    if isinstance(value, str):
        return value.encode("utf-8", "surrogateescape").decode("utf-8", "replace").replace("\0", "\ufffd")
    if isinstance(value, Mapping):
        return {storable(name): storable(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [storable(one) for one in value]
    return value
