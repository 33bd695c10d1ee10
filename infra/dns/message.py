"""What a received message proves of its sender: SPF, DKIM and DMARC, looked at again and held against what the receiver says.

A verdict that stands in a message was written by somebody. Only the receiver's own counts: the topmost one with its name
(RFC 8601, 5), in what it added itself above the lines of the servers before it. And a receiver's word alone is not believed:
each signature is verified against the published key, the address that connected against SPF.
"""

from __future__ import annotations

import ipaddress
import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from email.utils import getaddresses
from typing import Any

import dkim as dkimpy

from infra.naming import Sentence, gettext_noop

from . import dkim, dmarc
from .compliance import Value
from .findings import Level
from .names import BadName, canonical
from .records import tags
from .resolver import Resolver
from .spf import evaluate as spf

MOST_HEADERS = 32_768  # octets that are looked at and kept
MOST_SIGNATURES = 5  # verified at most: each costs a look-up and a calculation
MOST_VERDICTS = 20
MOST_TEXT = 200  # characters of what a message says, where it is shown
VERDICTS = "authentication-results"

_quiet = logging.getLogger("dkim.quiet")
_quiet.addHandler(logging.NullHandler())
_quiet.propagate = False  # dkimpy logs what it refuses; here that is a result


@dataclass(frozen=True, slots=True)
class Trust:
    """The receiver whose lines count.

    authserv     its name in Authentication-Results
    received_by  its name behind "by" in the Received line of the server that took the message in
    """

    authserv: str
    received_by: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is known of one mechanism. `reported` is the trusted receiver's own word, empty without one."""

    value: Value
    said: Sentence
    fix: Sentence | None = None
    reported: str = ""

    def as_json(self) -> dict[str, Any]:
        return {
            "value": str(self.value),
            "code": self.said.code,
            "said": _plain(self.said),
            "fix": _plain(self.fix) if self.fix else None,
            "reported": self.reported,
        }


def _plain(sentence: Sentence) -> dict[str, Any]:
    return {"code": sentence.code, "template": sentence.template, "params": dict(sentence.params)}


def sentence(data: dict[str, Any]) -> Sentence:
    """Return a sentence that `as_json` has written down."""
    return Sentence(str(data["code"]), str(data["template"]), dict(data["params"]))


@dataclass(frozen=True, slots=True)
class Judged:
    """A message, judged.

    domain   of its From address; empty where that cannot be told
    address  from which it came to the receiver, as that one says; sender: its envelope's
    ignored  whose verdicts stood in it without counting: by name, what was forged in the receiver's own included
    """

    spf: Verdict
    dkim: Verdict
    dmarc: Verdict
    domain: str = ""
    address: str = ""
    sender: str = ""
    ignored: tuple[str, ...] = ()

    @property
    def is_signed(self) -> bool:
        """Whether a signature for the From domain was verified."""
        return self.dkim.value is Value.PASS

    def as_json(self) -> dict[str, Any]:
        return {
            "spf": self.spf.as_json(),
            "dkim": self.dkim.as_json(),
            "dmarc": self.dmarc.as_json(),
            "domain": self.domain,
            "address": self.address,
            "sender": self.sender,
            "ignored": list(self.ignored),
        }


SENTENCES = {
    "spf-pass": (
        gettext_noop("The server at %(address)s, which sent it, is allowed by the SPF record of %(domain)s."),
        "",
    ),
    "spf-fail": (
        gettext_noop("The server at %(address)s is not allowed by the SPF record of %(domain)s (%(result)s)."),
        gettext_noop("Put what the mailbox provider tells to include into the SPF record of %(domain)s."),
    ),
    "spf-none": (
        gettext_noop("%(domain)s has no SPF record."),
        gettext_noop("Publish an SPF record that includes the mailbox provider."),
    ),
    "spf-broken": (
        gettext_noop("The SPF record of %(domain)s cannot be used: %(problem)s."),
        gettext_noop("Mend the SPF record of %(domain)s: exactly one, with at most 10 look-ups."),
    ),
    "spf-unreadable": (
        gettext_noop("The name servers did not answer while SPF was looked at."),
        gettext_noop("Run the test again in a few minutes."),
    ),
    "spf-unseen": (
        gettext_noop("The receiver does not say which server sent the message."),
        gettext_noop("Ask the operator to look at the settings of the probe mailbox."),
    ),
    "dkim-pass": (gettext_noop("It carries a valid signature of %(domain)s (selector %(selector)s)."), ""),
    "dkim-unsigned": (
        gettext_noop("It is not signed."),
        gettext_noop("Switch DKIM signing on for %(domain)s at the mailbox provider."),
    ),
    "dkim-foreign": (
        gettext_noop("It is signed, but by %(signer)s and not by %(domain)s."),
        gettext_noop(
            "Switch DKIM signing on for %(domain)s at the mailbox provider; until then it signs in its own name."
        ),
    ),
    "dkim-invalid": (
        gettext_noop("The signature of %(signer)s does not fit: the message was changed, or signed with another key."),
        gettext_noop("Publish the key that the mailbox provider shows for selector %(selector)s."),
    ),
    "dkim-partial": (
        gettext_noop("The signature of %(signer)s covers only a part of the message, so that anything could be added."),
        gettext_noop("Let the mailbox provider sign the whole message with its From line."),
    ),
    "dkim-unreadable": (
        gettext_noop("The name servers did not answer when the key of %(signer)s was asked for."),
        gettext_noop("Run the test again in a few minutes."),
    ),
    "dmarc-pass": (
        gettext_noop("It passes: %(by)s of %(domain)s fits the From address; the policy is p=%(policy)s."),
        "",
    ),
    "dmarc-none": (
        gettext_noop("%(domain)s has no DMARC record."),
        gettext_noop("Publish v=DMARC1; p=none with an address for reports at _dmarc.%(domain)s."),
    ),
    "dmarc-unaligned": (
        gettext_noop("Neither SPF nor DKIM passes for the domain of the From address, %(domain)s."),
        gettext_noop("Mend what fails above: one of the two is enough, both are better."),
    ),
    "dmarc-unknown": (
        gettext_noop("It cannot be told, because SPF or DKIM could not be told."),
        gettext_noop("Run the test again in a few minutes."),
    ),
    "dmarc-unreadable": (
        gettext_noop("The name servers did not answer when the DMARC record was asked for."),
        gettext_noop("Run the test again in a few minutes."),
    ),
    "from-unclear": (
        gettext_noop("The message has no single From address, so nothing can be said of its domain."),
        gettext_noop("Run the test again; if it stays so, tell the operator."),
    ),
    "disputed": (
        gettext_noop("We found that it passes, and the receiver reports “%(word)s”."),
        gettext_noop("Run the test again; records that have just changed may be seen differently."),
    ),
}


def _verdict(value: Value, code: str, reported: str = "", **params: str) -> Verdict:
    said, fix = SENTENCES[code]
    return Verdict(value, Sentence(code, said, params), Sentence(f"{code}-fix", fix, params) if fix else None, reported)


def judge(raw: bytes, trust: Trust, resolver: Resolver) -> Judged:
    """Judge a message as it was received, whole. Whatever stands in it, this raises nothing."""
    headers = read_headers(raw)
    own = _added_by(headers, trust)
    reported, ignored = _reported(headers, own, trust)
    address = _address(own, trust)
    sender = _sender(own)
    domain = _from_domain(headers)
    by_spf = _spf(address, sender, resolver)
    if not domain:
        unclear = _verdict(Value.UNKNOWN, "from-unclear")
        return Judged(by_spf, unclear, unclear, "", address, sender, ignored)
    walked = dmarc.organisational_domain(domain, resolver)
    strict = walked.policy is not None and walked.policy.adkim == "s"
    by_dkim, signer = _dkim(raw, headers, domain, resolver, strict=strict)
    by_dmarc = _dmarc(domain, walked, by_spf, sender, by_dkim, signer, resolver)
    return Judged(
        _held_against(by_spf, reported.get("spf", ())),
        _held_against(by_dkim, reported.get("dkim", ())),
        _held_against(by_dmarc, reported.get("dmarc", ())),
        domain,
        address,
        sender,
        ignored,
    )


def _held_against(verdict: Verdict, reported: Sequence[str]) -> Verdict:
    """Add the receiver's word. It never makes anything pass; where it denies what we found, nothing is proven."""
    if not reported:
        return verdict
    word = "pass" if "pass" in reported else reported[0]
    if verdict.value is Value.PASS and word != "pass":
        return _verdict(Value.UNKNOWN, "disputed", word, word=word)
    return Verdict(verdict.value, verdict.said, verdict.fix, word)


# Headers


@dataclass(frozen=True, slots=True)
class Header:
    """One header of a message. `name` in small letters, `value` unfolded."""

    name: str
    value: str


def header_text(raw: bytes) -> str:
    """Return the headers of a message as they stand there, in bounds, for people."""
    return "\n".join(_head(raw).decode("utf-8", "replace").replace("\x00", "�").splitlines())


def _head(raw: bytes) -> bytes:
    end = re.search(rb"\r?\n\r?\n", raw)
    return (raw[: end.start()] if end else raw)[:MOST_HEADERS]


def read_headers(raw: bytes) -> list[Header]:
    """Return the headers of a message from the top down. Lines that are none are left out."""
    found = list[Header]()
    text = re.sub(r"\r?\n[ \t]+", " ", _head(raw).decode("latin-1"))
    for line in re.split(r"\r?\n", text):
        name, colon, value = line.partition(":")
        if colon and re.fullmatch(r"[\x21-\x39\x3b-\x7e]+", name.rstrip(" \t")):
            found.append(Header(name.rstrip(" \t").lower(), value.strip()))
    return found


def _added_by(headers: Sequence[Header], trust: Trust) -> list[Header]:
    """Return what the receiver added: all above the lines of the server before it, nothing where its own line is missing.

    Receivers put their verdict above their Received line or right below it; what came with the message is below the next one.
    """
    own = next((n for n, one in enumerate(headers) if _took_in(one, trust)), None)
    if own is None:
        return []
    ends = next((n for n, one in enumerate(headers) if n > own and one.name == "received"), len(headers))
    return list(headers[:ends])


_BY = re.compile(r"\bby\s+([A-Za-z0-9._-]+)", re.IGNORECASE)


def _took_in(header: Header, trust: Trust) -> bool:
    """Tell whether a line is the one with which the receiver took the message in from outside."""
    if header.name != "received" or not re.match(r"from\s", header.value, re.IGNORECASE):
        return False
    by = _BY.search(uncommented(header.value))
    return by is not None and by[1].lower().rstrip(".") == trust.received_by.lower()


def _address(own: Sequence[Header], trust: Trust) -> str:
    """Return the address that connected, as the receiver saw it: in brackets, in the comment behind the name it was given."""
    line = next((one for one in own if _took_in(one, trust)), None)
    if line is None:
        return ""
    before = _BY.split(line.value, maxsplit=1)[0]
    # The last one: a server may call itself "[192.0.2.1]", and what the receiver has seen comes after that.
    for text in reversed(re.findall(r"\[(?:IPv6:)?([0-9A-Fa-f.:]{2,45})\]", before)):
        try:
            return str(ipaddress.ip_address(text))
        except ValueError:
            continue
    return ""


def _sender(own: Sequence[Header]) -> str:
    """Return the envelope's sender, which the receiver writes down."""
    value = next((one.value for one in own if one.name == "return-path"), "")
    match = re.fullmatch(r"<?([^<>\s]{1,320})>?", value)
    return match[1] if match and "@" in match[1] else ""


def _from_domain(headers: Sequence[Header]) -> str:
    """Return the domain of the one From address; empty where there are none or several."""
    lines = [one.value for one in headers if one.name == "from"]
    if len(lines) != 1:
        return ""
    addresses = [address for _name, address in getaddresses(lines) if address]
    if len(addresses) != 1 or "@" not in addresses[0]:
        return ""
    try:
        return canonical(addresses[0].rpartition("@")[2])
    except BadName:
        return ""


def sender_of(raw: bytes) -> str:
    """Return the one address in a message's From line, in small letters; empty where there are none or several."""
    lines = [one.value for one in read_headers(raw) if one.name == "from"]
    addresses = [address.lower() for _name, address in getaddresses(lines) if address]
    return addresses[0] if len(lines) == 1 and len(addresses) == 1 else ""


# Verdicts of others (RFC 8601)


def uncommented(text: str) -> str:
    """Return a header's value without its comments, which may be nested; quoted strings keep their words."""
    kept, depth, quoted, number = list[str](), 0, False, 0
    while number < len(text):
        character = text[number]
        if character == "\\" and (depth or quoted) and number + 1 < len(text):
            number += 1
            kept.append(text[number] if not depth and text[number] not in ";=" else "")
        elif quoted:
            quoted = character != '"'
            kept.append("" if character in '";=' else character)  # within quotes these separate nothing
        elif depth or character == "(":
            depth += {"(": 1, ")": -1}.get(character, 0)
            kept.append(" " if not depth else "")
        elif character == '"':
            quoted = True
        else:
            kept.append(character)
        number += 1
    return "".join(kept)


_RESULT = re.compile(r"\s*([A-Za-z][A-Za-z0-9-]*)(?:\s*/\s*\d+)?\s*=\s*([A-Za-z]+)\b")


def parse_verdicts(value: str) -> tuple[str, list[tuple[str, str]]]:
    """Return who wrote an Authentication-Results header, and its (method, result) pairs. Unreadable: nobody, none."""
    first, *rest = uncommented(value).split(";")
    words = first.split()
    if not words or len(words) > 2 or (len(words) == 2 and not words[1].isdecimal()):
        return "", []
    results = [(found[1].lower(), found[2].lower()) for part in rest if (found := _RESULT.match(part))]
    return words[0].lower().rstrip("."), results[:MOST_VERDICTS]


def _reported(
    headers: Sequence[Header], own: Sequence[Header], trust: Trust
) -> tuple[dict[str, list[str]], tuple[str, ...]]:
    """Return what the receiver itself reports, by method, and whose other verdicts stand in the message."""
    named = [(number, *parse_verdicts(one.value)) for number, one in enumerate(headers) if one.name == VERDICTS]
    counts = next((n for n, who, _ in named if n < len(own) and who == trust.authserv.lower()), None)
    reported: dict[str, list[str]] = {}
    for number, _who, results in named:
        if number == counts:
            for method, result in results:
                reported.setdefault(method, []).append(result)
    ignored = [who or "?" for number, who, _ in named if number != counts]
    return reported, tuple(one[:MOST_TEXT] for one in dict.fromkeys(ignored))[:MOST_VERDICTS]


# SPF


def _spf(address: str, sender: str, resolver: Resolver) -> Verdict:
    if not address or not sender:
        return _verdict(Value.UNKNOWN, "spf-unseen")
    found = spf.evaluate(address, sender, "", resolver)
    about: dict[str, str] = {"address": address, "domain": sender.rpartition("@")[2][:MOST_TEXT]}
    match found.result:
        case "pass":
            return _verdict(Value.PASS, "spf-pass", **about)
        case "temperror":
            return _verdict(Value.UNKNOWN, "spf-unreadable")
        case "none":
            return _verdict(Value.FAIL, "spf-none", **about)
        case "permerror":
            return _verdict(Value.FAIL, "spf-broken", problem=found.why[:MOST_TEXT], **about)
    return _verdict(Value.FAIL, "spf-fail", result=found.result, **about)


# DKIM


def _dkim(
    raw: bytes, headers: Sequence[Header], domain: str, resolver: Resolver, *, strict: bool
) -> tuple[Verdict, str]:
    """Return the best of what the signatures prove, and the domain that was proven to have signed for the From domain."""
    values = [one.value for one in headers if one.name == "dkim-signature"][:MOST_SIGNATURES]
    found = [_signature(raw, number, value, domain, resolver, strict) for number, value in enumerate(values)]
    if not found:
        return _verdict(Value.FAIL, "dkim-unsigned", domain=domain), ""
    for value in (Value.PASS, Value.UNKNOWN):
        for verdict, signer in found:
            if verdict.value is value:
                return verdict, signer
    foreign = next((one for one, _ in found if one.said.code == "dkim-foreign"), None)
    return foreign or found[0][0], ""


def _signature(
    raw: bytes, number: int, value: str, domain: str, resolver: Resolver, strict: bool
) -> tuple[Verdict, str]:
    """Judge one signature: its key, what it covers, whether it fits, and whose it is."""
    given = dict(tags(value))
    signer, selector = given.get("d", "")[:MOST_TEXT], given.get("s", "")[:MOST_TEXT]
    about: dict[str, str] = {"signer": signer or "?", "selector": selector or "?", "domain": domain}
    covered = {one.strip().lower() for one in given.get("h", "").split(":")}
    if "l" in given or "from" not in covered:
        return _verdict(Value.FAIL, "dkim-partial", **about), ""
    try:
        key = dkim.look_at(selector, signer, resolver)
        if not key.answer.says:
            return _verdict(Value.UNKNOWN, "dkim-unreadable", **about), ""
        if not key.is_usable:
            worst = next(one for one in key.findings if one.level is Level.ERROR)
            return Verdict(Value.FAIL, worst.said, worst.fix if str(worst.fix) else None), ""
        if not _fits(raw, number, key.answer.values[0]):
            return _verdict(Value.FAIL, "dkim-invalid", **about), ""
        aligned = dmarc.is_aligned(domain, signer, resolver, strict=strict)
    except BadName:
        return _verdict(Value.FAIL, "dkim-invalid", **about), ""
    if aligned is None:
        return _verdict(Value.UNKNOWN, "dkim-unreadable", **about), ""
    if not aligned:
        return _verdict(Value.FAIL, "dkim-foreign", **about), ""
    return _verdict(Value.PASS, "dkim-pass", domain=signer, selector=selector), signer


def _fits(raw: bytes, number: int, key: str) -> bool:
    """Tell whether the signature of that number belongs to the message and to a published key."""

    def published(_name: bytes, timeout: float = 0) -> bytes:
        return key.encode("utf-8", "surrogateescape")

    try:
        return bool(dkimpy.DKIM(raw, logger=_quiet, minkey=dkim.LEAST_BITS).verify(number, dnsfunc=published))
    except Exception:  # noqa: BLE001 - a library that meets odd bytes: what it cannot read, nobody has signed
        return False


# DMARC


def _dmarc(
    domain: str,
    walked: dmarc.Walked,
    by_spf: Verdict,
    sender: str,
    by_dkim: Verdict,
    signer: str,
    resolver: Resolver,
) -> Verdict:
    if walked.name is None:
        return _verdict(Value.UNKNOWN, "dmarc-unreadable")
    if walked.policy is None:
        return _verdict(Value.FAIL, "dmarc-none", domain=walked.name)
    policy, is_subdomain = walked.policy, walked.holder != domain
    about: dict[str, str] = {"domain": domain, "policy": policy.applied(is_subdomain=is_subdomain)}
    if by_dkim.value is Value.PASS:
        return _verdict(Value.PASS, "dmarc-pass", by="DKIM", **about)
    open_ones = {one.value for one in (by_spf, by_dkim)}
    if by_spf.value is Value.PASS:
        aligned = _is_spf_aligned(domain, sender, resolver, strict=policy.aspf == "s")
        if aligned:
            return _verdict(Value.PASS, "dmarc-pass", by="SPF", **about)
        if aligned is None:
            return _verdict(Value.UNKNOWN, "dmarc-unreadable")
    if Value.UNKNOWN in open_ones:
        return _verdict(Value.UNKNOWN, "dmarc-unknown")
    return _verdict(Value.FAIL, "dmarc-unaligned", domain=domain)


def _is_spf_aligned(domain: str, sender: str, resolver: Resolver, *, strict: bool) -> bool | None:
    try:
        return dmarc.is_aligned(domain, sender.rpartition("@")[2], resolver, strict=strict)
    except BadName:
        return False
