"""What a name server is asked, and its answer with the five outcomes kept apart. The only way out to the network.

`Resolver` is what every rule takes. `MessageResolver` speaks DNS messages through whatever carries them: `over_network`
for a server's address, the simulation itself in tests.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.query
import dns.rcode
import dns.rdata
import dns.rdatatype
import dns.rdtypes.txtbase
import dns.rrset

from .names import BadName, askable
from .records import BadRecord, Record, Type, record

TIMEOUT = 3.0  # seconds for one question to one server
SECONDS = 5.0  # for all questions of one look
PORT = 53
MOST_ALIASES = 8  # CNAMEs followed within one answer


class Status(StrEnum):
    """What came of a question. Only the first three say something about the records."""

    RECORDS = "records"
    NO_ANSWER = "no_answer"  # the name exists, without records of this type
    NXDOMAIN = "nxdomain"
    TEMPORARY_FAILURE = "temporary_failure"
    TIMEOUT = "timeout"


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer. The records are those of the type asked for, under the name asked for, aliases followed.

    why      what went wrong, in words for an operator
    aliases  the names that CNAME records led through
    ttl      seconds for which the answer may be kept, None where it does not say
    """

    status: Status
    records: tuple[Record, ...] = ()
    why: str = ""
    aliases: tuple[str, ...] = ()
    ttl: int | None = None

    @property
    def says(self) -> bool:
        """Whether the server knew: a failure is never the same as "absent"."""
        return self.status not in (Status.TEMPORARY_FAILURE, Status.TIMEOUT)

    @property
    def values(self) -> tuple[str, ...]:
        return tuple(one.value for one in self.records)


class Resolver(Protocol):
    """Somebody who answers questions about names. `name` tells it from others, on pages and in evidence."""

    @property
    def name(self) -> str: ...

    def query(self, name: str, kind: Type, *, timeout: float = TIMEOUT) -> Answer:
        """Return the answer, whatever comes of it; never raises for what a server or the network does.

        Takes `timeout` seconds at most. Raises BadName for what is no name.
        """
        ...


Ask = Callable[[dns.message.Message, float], dns.message.Message]


@dataclass(frozen=True, slots=True)
class MessageResolver:
    """Asks by DNS messages.

    ask        sends a message and returns the answer within so many seconds; raises OSError or DNSException
    recursive  False for a domain's own servers, which answer from what they hold
    """

    name: str
    ask: Ask
    recursive: bool = True

    def query(self, name: str, kind: Type, *, timeout: float = TIMEOUT) -> Answer:
        owner = askable(name)
        try:
            question = dns.message.make_query(_wire_name(owner), str(kind), use_edns=0, payload=1232)
            if not self.recursive:
                question.flags &= ~dns.flags.RD
            return _answer(self.ask(question, timeout), owner, kind)
        except dns.exception.Timeout:
            return Answer(Status.TIMEOUT, why=f"no answer within {timeout:g} seconds")
        except dns.exception.DNSException as error:
            return Answer(Status.TEMPORARY_FAILURE, why=f"an answer that makes no sense ({type(error).__name__})")
        except (OSError, EOFError) as error:
            return Answer(Status.TEMPORARY_FAILURE, why=f"not reached ({type(error).__name__})")


def over_network(name: str, host: str, port: int = PORT, *, recursive: bool = True) -> MessageResolver:
    """Return a resolver that asks a server by UDP, and by TCP what UDP cut short.

    host  an address, or a name that this machine knows
    """

    def ask(question: dns.message.Message, seconds: float) -> dns.message.Message:
        answer, _by_tcp = dns.query.udp_with_fallback(
            question, _address(host, port), timeout=seconds / 2, port=port, ignore_unexpected=True
        )  # half for each way, so that both together stay within the time
        return answer

    return MessageResolver(name, ask, recursive)


@dataclass(frozen=True, slots=True)
class Unreachable:
    """A server that need not be asked: it fails every question, and so is seen in the evidence."""

    name: str
    why: str

    def query(self, name: str, kind: Type, *, timeout: float = TIMEOUT) -> Answer:
        return Answer(Status.TEMPORARY_FAILURE, why=self.why)


@dataclass(frozen=True, slots=True)
class Patience:
    """How long questions may take: one `timeout` seconds, all of them until `ends` on `clock`."""

    clock: Callable[[], float]
    ends: float
    timeout: float = TIMEOUT

    @property
    def is_over(self) -> bool:
        return self.clock() >= self.ends

    def ask(self, resolver: Resolver, name: str, kind: Type) -> Answer:
        """Ask within the time that is left. Raises BadName."""
        return resolver.query(name, kind, timeout=max(0.0, min(self.timeout, self.ends - self.clock())))


@dataclass(frozen=True, slots=True)
class FirstToSay:
    """Asks several resolvers in turn until one knows, all within one patience."""

    resolvers: tuple[Resolver, ...]
    patience: Patience
    name: str = "resolvers"

    def query(self, name: str, kind: Type, *, timeout: float = TIMEOUT) -> Answer:
        answer = Answer(Status.TEMPORARY_FAILURE, why="nobody was asked")
        for one in self.resolvers:
            answer = self.patience.ask(one, name, kind)
            if answer.says:
                break
        return answer


Connect = Callable[[str, str], Resolver]  # a server's name and its address


def reach(name: str, address: str) -> MessageResolver:
    """Return a resolver that asks a domain's own server."""
    return over_network(name, address, recursive=False)


@dataclass(frozen=True, slots=True)
class NameServers:
    """Whom a process asks.

    resolvers      public ones, or the operator's own; several, since one alone proves little
    authoritative  asked in place of a domain's own servers, where those cannot be reached
    connect        reaches a domain's own servers at their addresses; without it and `authoritative` they are not asked
    timeout        seconds for one question
    seconds        for all questions of one look
    """

    resolvers: tuple[Resolver, ...] = ()
    authoritative: tuple[Resolver, ...] = ()
    connect: Connect | None = None
    timeout: float = TIMEOUT
    seconds: float = SECONDS


def servers(places: Iterable[str], *, recursive: bool = True) -> tuple[MessageResolver, ...]:
    """Return a resolver for each `host` or `host:port` (`[::1]:53` for IPv6). Raises ValueError."""
    return tuple(over_network(place, *split_place(place), recursive=recursive) for place in places)


def split_place(place: str) -> tuple[str, int]:
    """Return host and port of `host` or `host:port`. Raises ValueError."""
    bare = place.strip()
    host, port = bare, ""
    if bare.startswith("["):
        host, _, port = bare[1:].partition("]")
        port = port.removeprefix(":")
    elif bare.count(":") == 1:
        host, _, port = bare.partition(":")
    number = int(port) if port.isdecimal() else PORT if not port else 0
    if not host or not 0 < number < 2**16:
        raise ValueError(f"{place!r} names no server: write host or host:port")
    return host, number


def _address(host: str, port: int) -> str:
    """Return the address of a host; dnspython takes nothing else. Raises OSError."""
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        return str(socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0][4][0])


def _answer(message: dns.message.Message, owner: str, kind: Type) -> Answer:
    """Judge a server's message."""
    code = message.rcode()
    if code not in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN):
        return Answer(Status.TEMPORARY_FAILURE, why=f"the server answers {dns.rcode.to_text(code)}")
    aliases, found = _follow(message.answer, owner, kind)
    if found is not None:
        return _known(found, owner, kind, aliases)
    if kind is Type.NS and code == dns.rcode.NOERROR and (named := _referral(message, owner)) is not None:
        return _known(named, owner, kind, ())
    nothing = Status.NXDOMAIN if code == dns.rcode.NXDOMAIN else Status.NO_ANSWER
    if nothing is Status.NO_ANSWER and _leads_elsewhere(message):
        return Answer(Status.TEMPORARY_FAILURE, why="the server does not know this zone", aliases=aliases)
    return Answer(nothing, aliases=aliases, ttl=_negative_ttl(message))


def _known(found: dns.rrset.RRset, owner: str, kind: Type, aliases: tuple[str, ...]) -> Answer:
    try:
        records = sorted((_record(kind, owner, data, found.ttl) for data in found), key=_order)
    except BadRecord as error:
        return Answer(Status.TEMPORARY_FAILURE, why=f"an answer that makes no sense ({error})", aliases=aliases)
    return Answer(Status.RECORDS, tuple(records), aliases=aliases, ttl=found.ttl)


def _order(one: Record) -> tuple[int, str]:
    """Sort records: servers hand them out in any order, and evidence should not change with it."""
    return one.priority or 0, one.value


def _referral(message: dns.message.Message, owner: str) -> dns.rrset.RRset | None:
    """Return the servers that a server above names for `owner` itself: the answer to who they are."""
    named = [one for one in message.authority if one.rdtype == dns.rdatatype.NS and _spelled(one.name) == owner]
    return named[0] if named else None


def _follow(answer: list[dns.rrset.RRset], owner: str, kind: Type) -> tuple[tuple[str, ...], dns.rrset.RRset | None]:
    """Return the aliases that lead from `owner` to records of the type, and those records."""
    by_name = {(_spelled(one.name), one.rdtype): one for one in answer}
    wanted, aliases = dns.rdatatype.from_text(str(kind)), list[str]()
    name = owner
    while (name, wanted) not in by_name:
        alias = by_name.get((name, dns.rdatatype.CNAME))
        if alias is None or len(aliases) >= MOST_ALIASES:
            return tuple(aliases), None
        name = _spelled(alias[0].target)
        aliases.append(name)
    return tuple(aliases), by_name[(name, wanted)]


def _wire_name(owner: str) -> dns.name.Name:
    """Return a name label by label: read as text, a backslash in it would be an escape."""
    return dns.name.Name([*(label.encode() for label in owner.split(".")), b""])


def _spelled(name: dns.name.Name) -> str:
    try:
        return askable(".".join(label.decode("latin-1") for label in name.labels[:-1]))
    except BadName:
        return ""


def _record(kind: Type, owner: str, data: dns.rdata.Rdata, ttl: int) -> Record:
    """Return a server's data as a record. Raises BadRecord."""
    if isinstance(data, dns.rdtypes.txtbase.TXTBase):  # its strings are bare: quotes in them belong to the text
        return Record(kind, owner, b"".join(data.strings).decode("utf-8", "surrogateescape"), ttl=ttl)
    return record(kind, owner, data.to_text(), ttl=ttl)


def _leads_elsewhere(message: dns.message.Message) -> bool:
    """Whether a server without authority only names other servers (a referral): it was the wrong one to ask."""
    is_recursive = bool(message.flags & dns.flags.RA)
    has_servers = any(one.rdtype == dns.rdatatype.NS for one in message.authority)
    return not is_recursive and not message.flags & dns.flags.AA and has_servers


def _negative_ttl(message: dns.message.Message) -> int | None:
    """Return for how long "absent" may be kept: RFC 2308, 5."""
    for one in message.authority:
        if one.rdtype == dns.rdatatype.SOA:
            return int(min(one.ttl, one[0].minimum))
    return None
