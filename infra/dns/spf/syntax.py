"""An SPF record as terms (RFC 7208, 4.6 and 12). A record is parsed whole before anything is asked."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

VERSION = "v=spf1"
QUALIFIERS = {"+": "pass", "-": "fail", "~": "softfail", "?": "neutral"}
ASKING = frozenset({"include", "a", "mx", "ptr", "exists", "redirect"})  # terms that cost a look-up: 4.6.4
NEEDS_DOMAIN = frozenset({"include", "exists"})
MECHANISMS = frozenset({"all", "include", "a", "mx", "ptr", "ip4", "ip6", "exists"})

_MODIFIER = re.compile(r"([A-Za-z][A-Za-z0-9._-]*)=(.*)", re.DOTALL)
_MECHANISM = re.compile(r"([+?~-]?)([A-Za-z0-9]+)([:/].*)?", re.DOTALL)
_CIDR = re.compile(r"(?:/(0|[1-9]\d?))?(?://(0|[1-9]\d{0,2}))?$")
_MACRO = re.compile(r"%(?:\{([slodiphv])(\d*)(r?)([.\-+,/_=]*)\}|[%_-])", re.IGNORECASE)
_LITERAL = re.compile(r"[\x21-\x24\x26-\x7e]")
_TOP_LABEL = re.compile(r"\.(?:[A-Za-z0-9]*[A-Za-z][A-Za-z0-9]*|[A-Za-z0-9]+-[A-Za-z0-9-]*[A-Za-z0-9])\.?$")


class SpfSyntax(ValueError):
    """A record that every receiver refuses (permerror). The text says where it is wrong."""


@dataclass(frozen=True, slots=True)
class Term:
    """A mechanism, or the modifier `redirect`, `exp` or an unknown one.

    text       as it stands in the record
    name       lower case
    result     what a match means: pass, fail, softfail or neutral; empty for modifiers
    domain     the domain-spec or macro-string, macros unexpanded; empty without one
    network    of ip4 and ip6
    cidr4, cidr6  prefix lengths of a and mx
    """

    text: str
    name: str
    result: str = ""
    domain: str = ""
    network: Network | None = None
    cidr4: int = 32
    cidr6: int = 128

    @property
    def qualifier(self) -> str:
        """The qualifier as it is written, nothing for the default."""
        return self.text[0] if self.text[:1] in "-~?" else ""

    @property
    def has_macro(self) -> bool:
        return "%" in self.domain


@dataclass(frozen=True, slots=True)
class Policy:
    """A parsed record. `mechanisms` in order; `others` are unknown modifiers, kept."""

    text: str
    mechanisms: tuple[Term, ...]
    redirect: Term | None = None
    exp: Term | None = None
    others: tuple[Term, ...] = ()

    @property
    def has_all(self) -> bool:
        return any(one.name == "all" for one in self.mechanisms)

    @property
    def decisive(self) -> tuple[Term, ...]:
        """The mechanisms that can match: those up to `all`."""
        for number, one in enumerate(self.mechanisms):
            if one.name == "all":
                return self.mechanisms[: number + 1]
        return self.mechanisms

    @property
    def dead(self) -> tuple[Term, ...]:
        """What stands behind `all` and never counts, `redirect` included (6.1)."""
        behind = self.mechanisms[len(self.decisive) :]
        return (*behind, self.redirect) if self.has_all and self.redirect else behind

    @property
    def asking(self) -> tuple[Term, ...]:
        """The terms that cost a look-up, in the order in which they are tried."""
        found = [one for one in self.decisive if one.name in ASKING]
        return (*found, self.redirect) if self.redirect and not self.has_all else tuple(found)


def is_spf(text: str) -> bool:
    """Tell whether a TXT record claims to be SPF: the version, then a space or the end (4.5)."""
    lowered = text[: len(VERSION) + 1].lower()
    return lowered in (VERSION, f"{VERSION} ")


def parse(text: str) -> Policy:
    """Return the record's terms. Raises SpfSyntax."""
    if not is_spf(text):
        raise SpfSyntax("it does not begin with v=spf1")
    if not text.isascii():
        raise SpfSyntax("it has characters that are not ASCII")
    mechanisms, modifiers = list[Term](), dict[str, Term]()
    others = list[Term]()
    for word in text[len(VERSION) :].split(" "):
        if not word:
            continue
        if match := _MODIFIER.fullmatch(word):
            name = match[1].lower()
            if name not in ("redirect", "exp"):
                _check_macros(match[2], word)
                others.append(Term(word, name, domain=match[2]))
                continue
            if name in modifiers:
                raise SpfSyntax(f"{name}= stands twice")
            _check_domain(match[2], word)
            modifiers[name] = Term(word, name, domain=match[2])
            continue
        mechanisms.append(_mechanism(word))
    return Policy(text, tuple(mechanisms), modifiers.get("redirect"), modifiers.get("exp"), tuple(others))


def _mechanism(word: str) -> Term:
    match = _MECHANISM.fullmatch(word)
    name = match[2].lower() if match else ""
    if match is None or name not in MECHANISMS:
        raise SpfSyntax(f"{word[:80]!r} is no mechanism")
    result, rest = QUALIFIERS[match[1] or "+"], match[3] or ""
    if name == "all":
        if rest:
            raise SpfSyntax(f"{word[:80]!r}: all takes nothing")
        return Term(word, name, result)
    if name in ("ip4", "ip6"):
        return Term(word, name, result, network=_network(name, rest[1:] if rest.startswith(":") else "", word))
    domain, lengths = rest, ""
    if name in ("a", "mx"):
        cut = _cidr_start(rest)
        domain, lengths = rest[:cut], rest[cut:]
    if domain.startswith("/") or domain == ":" or (name in NEEDS_DOMAIN and not domain):
        raise SpfSyntax(f"{word[:80]!r} needs a domain")
    if domain:
        _check_domain(domain[1:], word)
    cidr4, cidr6 = _lengths(lengths, word)
    return Term(word, name, result, domain[1:], cidr4=cidr4, cidr6=cidr6)


def _cidr_start(rest: str) -> int:
    """Return where the prefix lengths begin: the last slash that no macro holds, and one right before it."""
    plain = _MACRO.sub(lambda found: "x" * len(found[0]), rest)
    match = re.search(r"(?:/\d*)?(?://\d*)?$", plain)
    return match.start() if match else len(rest)


def _lengths(text: str, word: str) -> tuple[int, int]:
    match = _CIDR.fullmatch(text)
    if match is None:
        raise SpfSyntax(f"{word[:80]!r} has a bad prefix length")
    cidr4, cidr6 = int(match[1] or 32), int(match[2] or 128)
    if cidr4 > 32 or cidr6 > 128:
        raise SpfSyntax(f"{word[:80]!r} has a bad prefix length")
    return cidr4, cidr6


def _network(name: str, text: str, word: str) -> Network:
    address, slash, length = text.partition("/")
    kind = ipaddress.IPv4Network if name == "ip4" else ipaddress.IPv6Network
    if slash and not re.fullmatch(r"0|[1-9]\d*", length):
        raise SpfSyntax(f"{word[:80]!r} has a bad prefix length")
    try:
        return kind(text, strict=False) if address else _no_address()
    except ValueError as error:
        raise SpfSyntax(f"{word[:80]!r} has no address") from error


def _no_address() -> Network:
    raise ValueError("none")


def _check_macros(text: str, word: str) -> None:
    """Refuse what is no macro-string (7.1)."""
    rest = text
    while rest:
        if match := _MACRO.match(rest):
            if match[2] and int(match[2]) == 0:
                raise SpfSyntax(f"{word[:80]!r}: a macro that keeps no label")
            rest = rest[match.end() :]
        elif _LITERAL.match(rest):
            rest = rest[1:]
        else:
            raise SpfSyntax(f"{word[:80]!r} has a bad macro or character")


def _check_domain(text: str, word: str) -> None:
    """Refuse what is no domain-spec: it ends in a macro or in a top label that is more than a number."""
    _check_macros(text, word)
    ends_in_macro = any(found.end() == len(text) and found[1] for found in _MACRO.finditer(text))
    if not ends_in_macro and not _TOP_LABEL.search(text):
        raise SpfSyntax(f"{word[:80]!r} has no domain")


def only_spf(texts: Iterable[str]) -> list[str]:
    """Return those texts of a name that claim to be SPF."""
    return [one for one in texts if is_spf(one)]
