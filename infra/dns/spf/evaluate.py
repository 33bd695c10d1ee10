"""What one sender gets (RFC 7208, 4 to 7): the dynamic count, which stops at the match."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, field
from urllib.parse import quote

from ..names import BadName, canonical, is_within
from ..records import Type
from ..resolver import Answer, Resolver, Status
from .syntax import ASKING, Policy, SpfSyntax, Term, only_spf, parse

MOST_LOOKUPS = 10
MOST_VOIDS = 2
MOST_HOSTS = 10  # of one mx, and of one ptr
MOST_NAME = 253
DEFAULT_EXPLANATION = "DEFAULT"

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_EXPANSION = re.compile(r"%(?:\{([A-Za-z])(\d*)([rR]?)([.\-+,/_=]*)\}|([%_-]))")


class PermError(Exception):
    """The published record cannot be used."""


class TempError(Exception):
    """A name server did not answer: try again later."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one evaluation may cost."""

    lookups: int = MOST_LOOKUPS
    voids: int = MOST_VOIDS


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of it: none, neutral, pass, fail, softfail, temperror or permerror.

    lookups, voids  what this sender's evaluation cost
    matched         the term that decided, as it stands in its record
    """

    result: str
    why: str = ""
    explanation: str = ""
    lookups: int = 0
    voids: int = 0
    matched: str = ""


@dataclass(slots=True)
class Session:
    """One evaluation: who sends, and what has been spent."""

    resolver: Resolver
    address: Address
    sender: str
    helo: str
    receiver: str
    now: int
    limits: Limits
    lookups: int = 0
    voids: int = 0
    matched: str = ""
    explanation: str = ""
    _validated: dict[str, str] = field(default_factory=dict)

    @property
    def local(self) -> str:
        return self.sender.rpartition("@")[0]

    @property
    def origin(self) -> str:
        return self.sender.rpartition("@")[2]

    @property
    def is_ip4(self) -> bool:
        return self.address.version == 4

    # Asking

    def ask(self, name: str, kind: Type, *, counts: bool = True) -> Answer:
        """Ask, and count an answer without records. Raises TempError, PermError."""
        try:
            answer = self.resolver.query(name, kind)
        except BadName:
            answer = Answer(Status.NXDOMAIN)
        if not answer.says:
            raise TempError(f"{name}: {answer.why}")
        if counts and answer.status is not Status.RECORDS:
            self.voids += 1
            if self.voids > self.limits.voids:
                raise PermError(f"more than {self.limits.voids} look-ups found nothing")
        return answer

    def spend(self, term: Term) -> None:
        """Count a term that looks something up. Raises PermError."""
        self.lookups += 1
        if self.lookups > self.limits.lookups:
            raise PermError(f"more than {self.limits.lookups} look-ups, at {term.text}")

    def policy(self, domain: str) -> Policy | None:
        """Return the one record of a domain, None without one. Raises TempError, PermError."""
        texts = only_spf(self.ask(domain, Type.TXT, counts=False).values)
        if len(texts) > 1:
            raise PermError(f"{domain} has {len(texts)} SPF records")
        try:
            return parse(texts[0]) if texts else None
        except SpfSyntax as error:
            raise PermError(f"{domain}: {error}") from error

    # Evaluating

    def check(self, domain: str, *, is_included: bool = False) -> str:
        """Return the result of a domain's record, "none" without one. Raises TempError, PermError."""
        policy = self.policy(domain)
        if policy is None:
            return "none"
        for term in policy.decisive:
            if term.name in ASKING:
                self.spend(term)
            if self._matches(term, domain):
                self.matched = term.text
                if term.result == "fail" and policy.exp and not is_included:
                    self.explanation = self._explain(policy.exp, domain)
                return term.result
        if policy.redirect:
            self.spend(policy.redirect)
            result = self.check(self.expand(policy.redirect.domain, domain), is_included=is_included)
            if result == "none":
                raise PermError(f"{policy.redirect.text} leads to no record")
            return result
        return "neutral"

    def _matches(self, term: Term, domain: str) -> bool:
        match term.name:
            case "all":
                return True
            case "ip4" | "ip6":
                assert term.network is not None
                return term.network.version == self.address.version and self.address in term.network
        target = self.expand(term.domain, domain) if term.domain else domain
        match term.name:
            case "include":
                result = self.check(target, is_included=True)
                if result == "none":
                    raise PermError(f"{term.text} leads to no record")
                return result == "pass"
            case "a":
                return self._is_at(target, term)
            case "mx":
                hosts = [one.value for one in self.ask(target, Type.MX).records]
                if len(hosts) > MOST_HOSTS:
                    raise PermError(f"{term.text} has more than {MOST_HOSTS} hosts")
                return any(self._is_at(host, term) for host in hosts if host != ".")
            case "ptr":
                return any(is_within(name, _plain(target)) for name in self._names())
        return bool(self.ask(target, Type.A).records)  # exists asks for A, whatever the sender's family: 5.7

    def _is_at(self, host: str, term: Term) -> bool:
        length = term.cidr4 if self.is_ip4 else term.cidr6
        answer = self.ask(host, Type.A if self.is_ip4 else Type.AAAA)
        return any(self.address in ipaddress.ip_network(f"{one.value}/{length}", False) for one in answer.records)

    def _names(self) -> list[str]:
        """Return the names that the sender's address has, those that lead back to it (5.5). An error means none."""
        try:
            answer = self.ask(_reverse(self.address), Type.PTR)
        except TempError:
            return []
        found = list[str]()
        for one in answer.records[:MOST_HOSTS]:
            try:
                back = self.ask(one.value, Type.A if self.is_ip4 else Type.AAAA)
            except TempError:
                continue
            if str(self.address) in back.values:
                found.append(one.value)
        return found

    # Macros

    def expand(self, text: str, domain: str) -> str:
        """Return a domain-spec expanded (7.3); what is too long loses labels on its left."""
        name = self._expanded(text, domain).rstrip(".")
        while len(name) > MOST_NAME and "." in name:
            name = name.partition(".")[2]
        return name

    def _expanded(self, text: str, domain: str) -> str:
        return _EXPANSION.sub(lambda found: self._macro(found, domain), text)

    def _macro(self, found: re.Match[str], domain: str) -> str:
        if found[5]:
            return {"%": "%", "_": " ", "-": "%20"}[found[5]]
        letter, digits, reverse, delimiters = found[1], found[2], found[3], found[4] or "."
        parts = re.split(f"[{re.escape(delimiters)}]", self._value(letter.lower(), domain))
        if reverse:
            parts.reverse()
        if digits:
            parts = parts[-int(digits) :]
        value = ".".join(parts)
        return quote(value, safe="-._~") if letter.isupper() else value

    def _value(self, letter: str, domain: str) -> str:
        match letter:
            case "s":
                return self.sender
            case "l":
                return self.local
            case "o":
                return self.origin
            case "d":
                return domain
            case "i":
                return str(self.address) if self.is_ip4 else ".".join(self.address.exploded.replace(":", "").upper())
            case "c":
                return str(self.address)
            case "p":
                return self._validated_name(domain)
            case "v":
                return "in-addr" if self.is_ip4 else "ip6"
            case "h":
                return self.helo
            case "r":
                return self.receiver
        return str(self.now)  # t

    def _validated_name(self, domain: str) -> str:
        """Return the sender's name: the domain itself, else one below it, else any (7.3)."""
        if domain not in self._validated:
            try:
                names = self._names()
            except PermError:
                names = []
            plain = _plain(domain)
            below = [name for name in names if is_within(name, plain)]
            self._validated[domain] = plain if plain in names else (below or names or ["unknown"])[0]
        return self._validated[domain]

    def _explain(self, exp: Term, domain: str) -> str:
        """Return the domain's own words for a failure (6.2); nothing where they cannot be read."""
        try:
            texts = self.ask(self.expand(exp.domain, domain), Type.TXT, counts=False).values
        except (TempError, PermError):
            return ""
        if (
            len(texts) != 1
            or not texts[0].isascii()
            or re.search(r"%(?![%_-]|\{[A-Za-z]\d*[rR]?[.\-+,/_=]*\})", texts[0])
        ):
            return ""
        if any(found[1] and found[1].lower() not in "slodiphvcrt" for found in _EXPANSION.finditer(texts[0])):
            return ""
        return self._expanded(texts[0], domain)


def evaluate(
    address: str,
    sender: str,
    helo: str,
    resolver: Resolver,
    *,
    receiver: str = "unknown",
    now: int = 0,
    limits: Limits = Limits(),
) -> Verdict:
    """Return what a sender gets: `address` connects, says `helo`, and sends from `sender` (empty for bounces).

    receiver, now  what explanations may name: the host that asks, and Unix seconds
    """
    ip = ipaddress.ip_address(address)
    if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped:
        ip = ip.ipv4_mapped
    local, at, domain = sender.rpartition("@")
    if not sender or not at:
        local, domain = "postmaster", sender or helo
    session = Session(resolver, ip, f"{local or 'postmaster'}@{domain}", helo, receiver, now, limits)
    try:
        name = canonical(domain)
    except BadName:
        return Verdict("none", f"{domain!r} is no domain")
    if "." not in name or name != domain.lower().rstrip(".") or name.startswith("["):
        return Verdict("none", f"{domain!r} is no domain")
    try:
        result, why = session.check(domain.rstrip(".")), ""
    except PermError as error:
        result, why = "permerror", str(error)
    except TempError as error:
        result, why = "temperror", str(error)
    explanation = (session.explanation or DEFAULT_EXPLANATION) if result == "fail" else ""
    matched = session.matched if result not in ("permerror", "temperror") else ""
    return Verdict(result, why, explanation, session.lookups, session.voids, matched)


def _reverse(address: Address) -> str:
    return address.reverse_pointer


def _plain(name: str) -> str:
    """Return a name as `is_within` compares it, whatever a record wrote."""
    try:
        return canonical(name)
    except BadName:
        return name.lower()
