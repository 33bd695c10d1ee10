"""Where a domain's own servers are: asked of the servers above it, because they decide and nobody keeps their answers.

Resolvers are asked for the servers above and for addresses only, never for the domain itself: before it is there, the
question would make them keep that it is not.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from .names import canonical, parents
from .records import Type
from .resolver import Answer, Connect, Patience, Resolver, Status, Unreachable

MOST_ABOVE = 3  # servers of the parent that are asked until one answers
MOST_SERVERS = 8  # of the domain itself


@dataclass(frozen=True, slots=True)
class Delegation:
    """What the servers above say. `servers` are host names; none where the domain is not delegated or nobody answered.

    was_answered  False where no server above answered, so that nothing is known
    """

    zone: str
    servers: tuple[str, ...] = ()
    was_answered: bool = True
    why: str = ""

    @property
    def is_delegated(self) -> bool:
        return bool(self.servers)

    def leads_to(self, servers: Iterable[str]) -> bool:
        """Tell whether it is delegated to exactly these servers. Raises BadName."""
        return set(self.servers) == {canonical(one) for one in servers}


def find(zone: str, resolvers: Sequence[Resolver], connect: Connect, patience: Patience) -> Delegation:
    """Ask the servers above a domain where it is. Raises BadName."""
    name, why = canonical(zone), "no server above the domain answered"
    above = _above(name, resolvers, patience)
    for host in above[:MOST_ABOVE]:
        for server in _connected(host, resolvers, connect, patience)[:1]:
            if patience.is_over:
                return Delegation(name, was_answered=False, why="no time was left")
            answer = patience.ask(server, name, Type.NS)
            if answer.says:
                return Delegation(name, tuple(sorted(answer.values)))
            why = f"{host}: {answer.why}"
    return Delegation(name, was_answered=False, why=why)


def named_by(servers: Sequence[Resolver], zone: str, patience: Patience) -> Delegation:
    """Ask servers that stand in for those above a domain where it is. Raises BadName."""
    answer = first_answer(servers, canonical(zone), Type.NS, patience)
    if answer.says:
        return Delegation(canonical(zone), tuple(sorted(answer.values)))
    return Delegation(canonical(zone), was_answered=False, why=answer.why)


def own_servers(
    delegation: Delegation, resolvers: Sequence[Resolver], connect: Connect, patience: Patience
) -> tuple[Resolver, ...]:
    """Return a resolver for each of a domain's own servers; one without an address fails every question."""
    found = list[Resolver]()
    for host in delegation.servers[:MOST_SERVERS]:
        reached = _connected(host, resolvers, connect, patience)
        found.append(reached[0] if reached else Unreachable(host, "its name has no address"))
    return tuple(found)


def _above(name: str, resolvers: Sequence[Resolver], patience: Patience) -> tuple[str, ...]:
    """Return the servers of the nearest zone above a name."""
    for parent in parents(name):
        answer = first_answer(resolvers, parent, Type.NS, patience)
        if not answer.says:
            return ()
        if answer.status is Status.RECORDS:
            return answer.values
    return ()


def _connected(host: str, resolvers: Sequence[Resolver], connect: Connect, patience: Patience) -> list[Resolver]:
    for kind in (Type.A, Type.AAAA):
        answer = first_answer(resolvers, host, kind, patience)
        if answer.status is Status.RECORDS:
            return [connect(host, one) for one in answer.values]
    return []


def first_answer(resolvers: Sequence[Resolver], name: str, kind: Type, patience: Patience) -> Answer:
    """Return what the first resolver that knows says; a failure where none does."""
    for resolver in itertools.takewhile(lambda _: not patience.is_over, resolvers):
        answer = patience.ask(resolver, name, kind)
        if answer.says:
            return answer
    return Answer(Status.TEMPORARY_FAILURE, why="no resolver answered")
