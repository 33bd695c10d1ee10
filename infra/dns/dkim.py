"""DKIM keys (RFC 6376, 8301, 8463). A key that is published shows that signing is possible, never that it is done.

Keys cannot be listed: the selector is always known beforehand.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey, RSAPublicNumbers
from cryptography.hazmat.primitives.serialization import load_der_public_key

from infra.naming import gettext_noop

from .findings import Finding, Level, Rule, Rules
from .records import Type, tags
from .resolver import Answer, Resolver

LEAST_BITS = 1024  # RFC 8301, 3.2: verifiers refuse shorter ones
GOOD_BITS = 2048
ED25519_OCTETS = 32

RULES = Rules(
    {
        "dkim-none": Rule(
            Level.ERROR,
            "RFC 6376, 3.6.2",
            gettext_noop("There is no key at %(name)s."),
            gettext_noop("Publish the key that the sending service shows for this selector."),
        ),
        "dkim-several": Rule(
            Level.ERROR,
            "RFC 6376, 3.6.2.2",
            gettext_noop("%(name)s has %(count)s records, and which one counts is not defined."),
            gettext_noop("Keep the one that the sending service shows."),
        ),
        "dkim-syntax": Rule(
            Level.ERROR,
            "RFC 6376, 3.6.1",
            gettext_noop("The key at %(name)s cannot be read: %(problem)s."),
            gettext_noop("Copy it again, whole and without quotes or line breaks."),
        ),
        "dkim-revoked": Rule(
            Level.ERROR,
            "RFC 6376, 3.6.1",
            gettext_noop("The key at %(name)s was withdrawn: its p= is empty."),
            gettext_noop("Publish the key that the sending service uses now."),
        ),
        "dkim-short": Rule(
            Level.ERROR,
            "RFC 8301, 3.2",
            gettext_noop("The key at %(name)s has %(bits)s bits; receivers refuse less than 1024."),
            gettext_noop("Let the sending service make a key of 2048 bits."),
        ),
        "dkim-1024": Rule(
            Level.WARNING,
            "RFC 8301, 3.2",
            gettext_noop("The key at %(name)s has %(bits)s bits; 2048 are advised."),
            gettext_noop("Let the sending service make a key of 2048 bits."),
        ),
        "dkim-testing": Rule(
            Level.WARNING,
            "RFC 6376, 3.6.1",
            gettext_noop("The key at %(name)s says that it is a test (t=y): receivers may treat the mail as unsigned."),
            gettext_noop("Remove t=y."),
        ),
        "dkim-hash": Rule(
            Level.ERROR,
            "RFC 8301, 3.1",
            gettext_noop("The key at %(name)s does not allow sha256, the only hash that counts."),
            gettext_noop("Remove the h= tag."),
        ),
        "dkim-service": Rule(
            Level.ERROR,
            "RFC 6376, 3.6.1",
            gettext_noop("The key at %(name)s is not meant for e-mail (s=%(value)s)."),
            gettext_noop("Remove the s= tag."),
        ),
        "dkim-ed25519": Rule(
            Level.ADVICE,
            "RFC 8463, 3",
            gettext_noop("The key at %(name)s is of a kind that few receivers know."),
            gettext_noop("Sign with an RSA key as well."),
        ),
        "dkim-unreadable": Rule(
            Level.WARNING,
            "RFC 6376, 3.6.2",
            gettext_noop("The name servers of %(name)s did not answer."),
            gettext_noop("Look again later."),
        ),
    }
)


class BadKey(ValueError):
    """Text that is no key record. The text says why."""


@dataclass(frozen=True, slots=True)
class Key:
    """A key record. `bits` is 0 for a revoked key, `public` the key as it stands there, without white space."""

    kind: str
    bits: int
    public: str
    is_testing: bool = False
    is_strict: bool = False
    hashes: tuple[str, ...] = ()
    services: tuple[str, ...] = ("*",)

    @property
    def is_revoked(self) -> bool:
        return not self.public


@dataclass(frozen=True, slots=True)
class Found:
    """What stands at a selector. `answer` tells absent from not answered."""

    name: str
    answer: Answer
    key: Key | None
    findings: tuple[Finding, ...]

    @property
    def is_usable(self) -> bool:
        return self.key is not None and all(one.level is not Level.ERROR for one in self.findings)

    def as_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "status": str(self.answer.status),
            "kind": self.key.kind if self.key else "",
            "bits": self.key.bits if self.key else 0,
            "aliases": list(self.answer.aliases),
            "findings": [one.as_json() for one in self.findings],
        }


def key_name(selector: str, domain: str) -> str:
    """Return where a selector's key stands."""
    return f"{selector}._domainkey.{domain}"


def parse(text: str) -> Key:
    """Return the key that a record holds. Raises BadKey."""
    pairs = tags(text)
    given = dict(pairs)
    if len(given) != len(pairs):
        raise BadKey("a tag stands twice")
    if "v" in given and (pairs[0][0] != "v" or given["v"] != "DKIM1"):
        raise BadKey("v=DKIM1 has to be its first tag")
    if "p" not in given:
        raise BadKey("it has no p=")
    kind = given.get("k", "rsa").lower()
    public = re.sub(r"\s+", "", given["p"])
    flags = _list(given.get("t", ""))
    return Key(
        kind,
        _bits(kind, public) if public else 0,
        public,
        is_testing="y" in flags,
        is_strict="s" in flags,
        hashes=_list(given.get("h", "")),
        services=_list(given.get("s", "*")) or ("*",),
    )


def _list(text: str) -> tuple[str, ...]:
    return tuple(part.strip().lower() for part in text.split(":") if part.strip())


def _bits(kind: str, public: str) -> int:
    """Return a key's length. Raises BadKey."""
    try:
        raw = base64.b64decode(public, validate=True)
    except (binascii.Error, ValueError) as error:
        raise BadKey("its p= is not base64") from error
    if kind == "ed25519":
        if len(raw) != ED25519_OCTETS:
            raise BadKey("its p= is not a key of 32 octets")
        return 256
    if kind != "rsa":
        raise BadKey(f"k={kind[:20]} is no kind that receivers know")
    try:
        key = load_der_public_key(raw)
    except (ValueError, UnsupportedAlgorithm) as error:
        if bits := _bare_bits(raw):
            return bits
        raise BadKey("its p= is not a whole RSA key") from error
    if not isinstance(key, RSAPublicKey):
        raise BadKey("its p= is not an RSA key")
    return key.key_size


def _bare_bits(raw: bytes) -> int:
    """Return the length of a key too short for the library to load, or 0 where it is none: it still has to be named."""
    match = re.search(rb"\x02([\x01-\x7f])(.+)\x02\x03\x01\x00\x01\Z", raw, re.DOTALL)
    if match is None or len(match[2]) != match[1][0]:
        return 0
    return RSAPublicNumbers(65537, int.from_bytes(match[2], "big")).n.bit_length()


def look_at(selector: str, domain: str, resolver: Resolver) -> Found:
    """Return what stands at a selector, judged. Raises BadName."""
    name = key_name(selector, domain)
    return judge(name, resolver.query(name, Type.TXT))


def judge(name: str, answer: Answer) -> Found:
    """Judge an answer to the question for a selector's TXT records."""
    if not answer.says:
        return Found(name, answer, None, (RULES.finding("dkim-unreadable", name=name),))
    texts: Sequence[str] = answer.values
    if not texts:
        return Found(name, answer, None, (RULES.finding("dkim-none", name=name),))
    if len(texts) > 1:
        return Found(name, answer, None, (RULES.finding("dkim-several", name=name, count=len(texts)),))
    try:
        key = parse(texts[0])
    except BadKey as error:
        return Found(name, answer, None, (RULES.finding("dkim-syntax", name=name, problem=str(error)),))
    return Found(name, answer, key, tuple(_judged(name, key)))


def _judged(name: str, key: Key) -> Iterator[Finding]:
    if key.is_revoked:
        yield RULES.finding("dkim-revoked", name=name)
        return
    if key.kind == "rsa" and key.bits < LEAST_BITS:
        yield RULES.finding("dkim-short", name=name, bits=key.bits)
    elif key.kind == "rsa" and key.bits < GOOD_BITS:
        yield RULES.finding("dkim-1024", name=name, bits=key.bits)
    if key.kind == "ed25519":
        yield RULES.finding("dkim-ed25519", name=name)
    if key.is_testing:
        yield RULES.finding("dkim-testing", name=name)
    if key.hashes and "sha256" not in key.hashes:
        yield RULES.finding("dkim-hash", name=name)
    if not {"*", "email"} & set(key.services):
        yield RULES.finding("dkim-service", name=name, value=":".join(key.services))
