"""Addresses in place of names, on demand and only where it is safe. Off by default: providers change their addresses
without a word, and what was flattened does not follow.

`flatten` says what would stand there and what it costs; `refresh` looks again and keeps the last good state when the
sources cannot be read, shrink or grow too much, or are empty.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from infra.naming import gettext_noop

from ..records import Type
from ..resolver import Answer, Resolver
from .evaluate import MOST_HOSTS, MOST_LOOKUPS
from .syntax import Network, Policy, SpfSyntax, Term, is_spf, only_spf, parse
from .tree import MOST_OCTETS, MOST_WALKED, grow

LEAST_TTL = 300
MOST_CHANGE = 0.5  # share of the addresses that may come or go in one refresh before a person looks
NEEDLESS = frozenset({"_spf.google.com"})  # alone it takes few look-ups, and its owner changes it
WARNING = gettext_noop(
    "The addresses are copied. When a sender changes theirs, your mail fails until the copy is refreshed; it is looked at "
    "every %(minutes)s minutes."
)
REASONS = {
    "none": gettext_noop("There is no SPF record to flatten."),
    "broken": gettext_noop("The record cannot be used as it is: %(detail)s."),
    "nothing": gettext_noop("The record has no names that addresses could stand for."),
    "needless": gettext_noop(
        "The record includes only %(detail)s, which takes few look-ups and changes without notice."
    ),
    "macro": gettext_noop("%(detail)s depends on the sender, so that no list of addresses can stand for it."),
    "ptr": gettext_noop("%(detail)s goes by the sender's name, so that no list of addresses can stand for it."),
    "exp": gettext_noop("The record explains failures (%(detail)s), which a copy would lose."),
    "everybody": gettext_noop("%(detail)s lets everybody send."),
    "temporary": gettext_noop("The name servers of %(detail)s did not answer."),
    "empty": gettext_noop("No addresses were found, and an empty list would refuse all mail."),
    "too_long": gettext_noop("The addresses need more records (%(detail)s) than look-ups are allowed."),
}


class CannotFlatten(ValueError):
    """Flattening is refused. `reason` is a key of REASONS, `detail` fills its sentence."""

    def __init__(self, reason: str, detail: str = "") -> None:
        self.reason, self.detail = reason, detail
        super().__init__(REASONS[reason] % {"detail": detail} if "%" in REASONS[reason] else REASONS[reason])


@dataclass(frozen=True, slots=True)
class Flattening:
    """What would stand in DNS.

    original  the record as it stands, for going back
    records   name to text: the domain's own record, and those it includes when one is not enough
    networks  all addresses, in their shortest form
    sources   the names that were resolved
    refresh   seconds after which to look again at the latest: the sources' shortest time to live
    """

    domain: str
    original: str
    records: Mapping[str, str]
    networks: tuple[str, ...]
    sources: tuple[str, ...]
    lookups_before: int
    lookups_after: int
    refresh: int

    @property
    def characters(self) -> int:
        """The length of all records together."""
        return sum(map(len, self.records.values()))

    @property
    def warning(self) -> str:
        return WARNING % {"minutes": max(1, self.refresh // 60)}

    def as_json(self) -> dict[str, Any]:
        return {
            "domain": self.domain,
            "original": self.original,
            "records": dict(self.records),
            "networks": list(self.networks),
            "sources": list(self.sources),
            "lookups_before": self.lookups_before,
            "lookups_after": self.lookups_after,
            "characters": self.characters,
            "refresh": self.refresh,
            "warning": self.warning,
        }


def flatten(domain: str, original: str, resolver: Resolver) -> Flattening:
    """Return what would stand for a domain's record. Changes nothing. Raises CannotFlatten."""
    if not is_spf(original):
        raise CannotFlatten("none")
    tree = grow(domain, resolver, text=original)
    if tree.policy is None:
        raise CannotFlatten("broken", str(tree.findings[0].said).rstrip("."))
    _refuse_needless(tree.policy)
    work = _Resolving(resolver)
    groups = work.groups(tree.policy, domain, (domain.lower(),))
    networks = [one for group in groups for one in group.networks]
    if not networks:
        raise CannotFlatten("empty")
    others = [one.text for one in tree.policy.others]
    records, lookups = _write(domain, groups, others)
    shortest = tuple(str(one) for one in collapsed(networks))
    ttl = max(LEAST_TTL, min(work.ttls, default=LEAST_TTL))
    return Flattening(domain, original, records, shortest, tuple(work.sources), tree.lookups, lookups, ttl)


class Change(StrEnum):
    """What a refresh came to."""

    SAME = "same"
    CHANGED = "changed"  # the new state may be published
    KEPT = "kept"  # the sources cannot be read: the last good state stays
    ALARM = "alarm"  # the sources changed so much that a person looks first; the last good state stays


@dataclass(frozen=True, slots=True)
class Refresh:
    """A second look at what was flattened. `flattening` is what should stand there now."""

    change: Change
    flattening: Flattening
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    why: str = ""


def refresh(last: Flattening, resolver: Resolver, *, most_change: float = MOST_CHANGE) -> Refresh:
    """Look again. Never returns an empty state: what cannot be read or is refused leaves the last good one."""
    try:
        now = flatten(last.domain, last.original, resolver)
    except CannotFlatten as error:
        return Refresh(Change.KEPT if error.reason == "temporary" else Change.ALARM, last, why=str(error))
    added = tuple(one for one in now.networks if one not in last.networks)
    removed = tuple(one for one in last.networks if one not in now.networks)
    if not added and not removed:
        return Refresh(Change.SAME, now if now.records == last.records else last)
    if max(len(added), len(removed)) > most_change * len(last.networks):
        why = f"{len(added)} networks came and {len(removed)} went, of {len(last.networks)}"
        return Refresh(Change.ALARM, last, added, removed, why)
    return Refresh(Change.CHANGED, now, added, removed)


# Resolving


@dataclass(frozen=True, slots=True)
class Group:
    """Addresses that get the same result, in their place; `all` when it is the end of the record."""

    qualifier: str
    networks: tuple[Network, ...] = ()
    is_all: bool = False


@dataclass(slots=True)
class _Resolving:
    resolver: Resolver
    sources: dict[str, None] = field(default_factory=dict)
    ttls: list[int] = field(default_factory=list)
    asked: int = 0

    def groups(self, policy: Policy, domain: str, path: tuple[str, ...]) -> list[Group]:
        """Return a record's decisive terms as addresses, in order; a redirect is followed in its place."""
        if policy.exp:
            raise CannotFlatten("exp", policy.exp.text)
        found = [Group(one.qualifier, self._networks(one, domain, path), one.name == "all") for one in policy.decisive]
        if policy.redirect and not policy.has_all:
            target = self._target(policy.redirect, domain)
            found += self.groups(self._policy(target, path), target, (*path, target.lower()))
        return found

    def _networks(self, term: Term, domain: str, path: tuple[str, ...]) -> tuple[Network, ...]:
        if term.name == "all":
            return ()
        if term.network is not None:
            return (term.network,)
        if term.name == "ptr":
            raise CannotFlatten("ptr", term.text)
        target = self._target(term, domain)
        if term.name == "exists":
            raise CannotFlatten("macro", term.text)
        if term.name == "include":
            return self._passing(target, (*path, target.lower()), self._policy(target, path))
        hosts = [target] if term.name == "a" else [one.value for one in self._ask(target, Type.MX).records]
        if len(hosts) > MOST_HOSTS:
            raise CannotFlatten("broken", f"{term.text} has more than {MOST_HOSTS} hosts")
        return tuple(one for host in hosts if host != "." for one in self._addresses(host, term))

    def _passing(self, domain: str, path: tuple[str, ...], policy: Policy) -> tuple[Network, ...]:
        """Return the addresses that pass an included record: the first term that matches decides, so earlier ones that
        do not pass take theirs away."""
        passing, decided = list[Network](), list[Network]()
        terms = [(one, self._networks(one, domain, path)) for one in policy.decisive]
        for term, networks in terms:
            if term.name == "all":
                if term.result == "pass":
                    raise CannotFlatten("everybody", term.text)
                break
            if term.result == "pass":
                passing += [left for one in networks for left in without(one, decided)]
            decided += networks
        if policy.redirect and not policy.has_all:
            target = self._target(policy.redirect, domain)
            below = self._passing(target, (*path, target.lower()), self._policy(target, path))
            passing += [left for one in below for left in without(one, decided)]
        return tuple(passing)

    def _target(self, term: Term, domain: str) -> str:
        if term.has_macro:
            raise CannotFlatten("macro", term.text)
        return (term.domain or domain).rstrip(".")

    def _policy(self, target: str, path: tuple[str, ...]) -> Policy:
        if target.lower() in path:
            raise CannotFlatten("broken", f"it leads back to {target}")
        texts = only_spf(self._ask(target, Type.TXT).values)
        if len(texts) != 1:
            raise CannotFlatten("broken", f"{target} has {len(texts)} SPF records")
        try:
            return parse(texts[0])
        except SpfSyntax as error:
            raise CannotFlatten("broken", f"{target}: {error}") from error

    def _addresses(self, host: str, term: Term) -> list[Network]:
        found = list[Network]()
        for kind, length in ((Type.A, term.cidr4), (Type.AAAA, term.cidr6)):
            answer = self._ask(host, kind)
            found += [ipaddress.ip_network(f"{one.value}/{length}", False) for one in answer.records]
        return found

    def _ask(self, name: str, kind: Type) -> Answer:
        self.asked += 1
        answer = self.resolver.query(name, kind) if self.asked <= MOST_WALKED else None
        if answer is None or not answer.says:
            raise CannotFlatten("temporary", name)
        self.sources[name] = None
        self.ttls += [answer.ttl] if answer.ttl is not None else []
        return answer


def without(network: Network, holes: Iterable[Network]) -> list[Network]:
    """Return what is left of a network once others are taken away."""
    left = [network]
    for hole in holes:
        left = [piece for one in left for piece in _minus(one, hole)]
    return left


def _minus(one: Network, hole: Network) -> Iterable[Network]:
    if one.version != hole.version or not one.overlaps(hole):
        return [one]
    if one.subnet_of(hole):  # type: ignore[arg-type]
        return []
    return one.address_exclude(hole)  # type: ignore[arg-type]


def collapsed(networks: Iterable[Network]) -> list[Network]:
    """Return exactly the same addresses in the fewest networks, IPv4 first."""
    rows = list(networks)
    four = [one for one in rows if isinstance(one, ipaddress.IPv4Network)]
    six = [one for one in rows if isinstance(one, ipaddress.IPv6Network)]
    return [*ipaddress.collapse_addresses(four), *ipaddress.collapse_addresses(six)]


def _refuse_needless(policy: Policy) -> None:
    asking = policy.asking
    if not asking:
        raise CannotFlatten("nothing")
    if len(asking) == 1 and asking[0].name == "include" and asking[0].domain.lower().rstrip(".") in NEEDLESS:
        raise CannotFlatten("needless", asking[0].domain)


# Writing


def _write(domain: str, groups: Sequence[Group], others: Sequence[str]) -> tuple[dict[str, str], int]:
    """Return the records by name, and the look-ups that they take: one record if it fits, else own includes."""
    runs = _runs(groups)
    whole = _record([word for run in runs for word in _words(run)], others)
    if len(whole) <= MOST_OCTETS:
        return {domain: whole}, 0
    records, words = dict[str, str](), list[str]()
    for run in runs:
        if run.is_all:
            words += _words(run)
            continue
        for part in _parts(run):
            name = f"_spf{len(records) + 1}.{domain}"
            records[name] = _record([*(_word("", one) for one in part), "-all"], ())
            words.append(f"{run.qualifier}include:{name}")
    if len(records) > MOST_LOOKUPS:
        raise CannotFlatten("too_long", str(len(records)))
    return {domain: _record(words, others), **records}, len(records)


def _runs(groups: Sequence[Group]) -> list[Group]:
    """Return neighbours with the same qualifier as one, their addresses in the shortest form."""
    runs = list[Group]()
    for group in groups:
        if group.is_all:
            runs.append(group)
        elif runs and runs[-1].qualifier == group.qualifier and not runs[-1].is_all:
            runs[-1] = Group(group.qualifier, (*runs[-1].networks, *group.networks))
        elif group.networks:
            runs.append(group)
    return [Group(one.qualifier, tuple(collapsed(one.networks)), one.is_all) for one in runs]


def _parts(run: Group) -> Iterable[list[Network]]:
    part, size = list[Network](), len("v=spf1 -all")
    for one in run.networks:
        length = len(_word("", one)) + 1
        if size + length > MOST_OCTETS:
            yield part
            part, size = [], len("v=spf1 -all")
        part.append(one)
        size += length
    yield part


def _words(run: Group) -> list[str]:
    return [f"{run.qualifier}all"] if run.is_all else [_word(run.qualifier, one) for one in run.networks]


def _word(qualifier: str, network: Network) -> str:
    bare = network.prefixlen == network.max_prefixlen
    return f"{qualifier}ip{network.version}:{network.network_address if bare else network}"


def _record(words: Iterable[str], others: Iterable[str]) -> str:
    return " ".join(["v=spf1", *words, *others])
