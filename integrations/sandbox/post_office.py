"""Mail between the simulated world's servers: who may send, what is signed, and what a receiver writes into a message.

A mailbox's server takes a message from whoever logs in, signs it as the state of its platform says, and hands it on. The
receiver is the operator's probe mailbox: its server adds the Received line, and verdicts that it has really worked out from
the same names that everybody sees. Nothing else is received: another address is refused.
"""

from __future__ import annotations

import hmac
import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import formatdate, getaddresses
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import dkim

from . import google_world, infraforge_world, mailhost, zapmail_world
from .dns import lookup

if TYPE_CHECKING:
    from .core import Sandbox
    from .world import World

NAME = "mail"
PROBE = "probe@probe.example"
PROBE_PASSWORD = "sandbox-probe-password"  # noqa: S105 - the simulation's own
AUTHSERV = "mx.probe.example"
JUNK = "[Mail]/Spam"  # where the receiver puts what it takes for spam
FOREIGN = ("mailer.example", "s1")  # another sender, with the same key, which it has published
CERTIFICATE, KEY = (Path(__file__).with_name(f"mail_{part}.pem") for part in ("certificate", "key"))

# On demand, each with a `platform` of "mail", and an address in `items` where only one mailbox is meant.
FAULTS = frozenset(
    {
        "mail_unsigned",  # the server forgets to sign
        "mail_foreign",  # it signs for somebody else's domain
        "mail_forged",  # the message brings a verdict along that claims to be the receiver's
        "mail_changed",  # it is changed on the way, after it was signed
        "mail_late",  # it arrives `seconds` later
        "mail_lost",  # it is taken, and never arrives
        "mail_junk",  # the receiver takes it for spam, and puts it into that folder
        "mail_login",  # the login is refused
        "mail_deferred",  # "try again later"
        "mail_cut",  # the connection ends after the message was taken, before the answer
        "mail_cut_before",  # it ends in the middle of the message, which is not taken
    }
)


@dataclass(frozen=True)
class Letter:
    """A message in a folder of the probe mailbox, there from the virtual moment `at`."""

    uid: int
    at: float
    raw: bytes
    folder: str = "INBOX"


@dataclass(frozen=True)
class Signer:
    """What a mailbox's server signs with."""

    domain: str
    selector: str
    key: str


@dataclass(frozen=True)
class Origin:
    """The server that a mailbox's mail leaves from."""

    host: str
    address: str


class NotTaken(Exception):
    """A server's refusal, in its own words and with its own number."""

    def __init__(self, code: int, sentence: str) -> None:
        self.code, self.sentence = code, sentence
        super().__init__(sentence)


class Cut(Exception):
    """The connection ends here, without an answer."""


@cache
def vendor_key() -> str:
    """Return the private half of `DKIM_KEY`, with which the platforms sign whose keys nobody sees."""
    return KEY.read_text()


def login(sandbox: Sandbox, address: str, password: str) -> None:
    """Open a mailbox for sending. Raises NotTaken."""
    world, now = sandbox.world, sandbox.clock.now()
    refused = world.faults.draw({"mail_login"}, NAME, "login", (address.lower(),))
    box = _zapmail_box(world, address)
    if google_world.user_at(world, address) is not None:
        opens = google_world.opens(world, address, now, door="smtp", password=password)
    elif box is not None:
        opens = box.status == "ACTIVE" and box.app_password == password
    else:
        opens = mailhost.opens(world, address, password)
    if refused or not opens:
        raise NotTaken(535, "5.7.8 Username and Password not accepted")


def submit(sandbox: Sandbox, address: str, recipients: tuple[str, ...], raw: bytes) -> None:
    """Take a message from a mailbox and hand it on. Raises NotTaken and Cut."""
    with sandbox.lock:
        world, now, about = sandbox.world, sandbox.clock.now(), (address.lower(),)

        def happens(kind: str) -> bool:
            return world.faults.draw({kind}, NAME, "submit", about) is not None

        if happens("mail_deferred"):
            raise NotTaken(451, "4.3.0 Try again later")
        if happens("mail_cut_before"):
            raise Cut
        if recipients != (PROBE,):
            raise NotTaken(550, "5.1.1 This world knows one receiver only")
        where = origin(world, address)
        raw = re.sub(rb"\r?\n", b"\r\n", raw)
        signed = raw if happens("mail_unsigned") else _sign(world, address, raw, now, foreign=happens("mail_foreign"))
        if happens("mail_forged"):
            signed = _verdicts("pass", "pass", "pass").encode() + signed
        if happens("mail_changed"):
            signed += b"A line that nobody signed.\r\n"
        trace = f"Received: from [127.0.0.1] by {where.host} with ESMTPSA; {formatdate(now, usegmt=True)}\r\n"
        late = world.faults.draw({"mail_late"}, NAME, "submit", about)
        folder = JUNK if happens("mail_junk") else "INBOX"
        if not happens("mail_lost"):
            arrives = now + (late.seconds if late else 0.0)
            _receive(world, where, address, trace.encode() + signed, arrives, folder)
        sandbox.save()
        if happens("mail_cut"):
            raise Cut


def _zapmail_box(world: World, address: str) -> zapmail_world.Mailbox | None:
    return next((one for one in world.zapmail.mailboxes.values() if one.email == address.lower()), None)


def origin(world: World, address: str) -> Origin:
    """Return the server that sends for a mailbox. Raises NotTaken for one that no platform has."""
    box = _zapmail_box(world, address)
    if google_world.user_at(world, address) is not None or (box is not None and box.provider == "GOOGLE"):
        return Origin("mail-sor-f41.google.com", "192.0.2.41")
    if box is not None:
        return Origin("mail-by2nam.outbound.protection.outlook.com", "198.51.100.41")
    forged = next((one for one in world.infraforge.mailboxes.values() if one.email == address), None)
    if forged is None:
        raise NotTaken(550, "5.1.8 Sender address rejected")
    workspace = world.infraforge.workspaces[forged.workspace_id]
    return Origin(workspace.mailserver, workspace.ip or infraforge_world.SHARED_IP)


def signer_of(world: World, address: str, now: float) -> Signer:
    """Return what a mailbox's mail is signed with, as its platform's state says."""
    domain = address.rpartition("@")[2].lower()
    if google_world.user_at(world, address) is not None:
        found = google_world.signature_of(world, address, now)
        return Signer(found.domain, found.selector, found.private_key)
    box = _zapmail_box(world, address)
    if box is None:
        return Signer(domain, infraforge_world.SELECTOR, vendor_key())
    return Signer(domain, "google" if box.provider == "GOOGLE" else "selector1", vendor_key())


def _sign(world: World, address: str, raw: bytes, now: float, *, foreign: bool) -> bytes:
    signer = Signer(*FOREIGN, vendor_key()) if foreign else signer_of(world, address, now)
    names = [b"from", b"to", b"subject", b"date", b"message-id"]
    line = dkim.sign(
        raw,
        signer.selector.encode(),
        signer.domain.encode(),
        signer.key.encode(),
        include_headers=names,
        canonicalize=(b"relaxed", b"relaxed"),
    )
    return bytes(line) + raw


# The receiver


def _receive(world: World, where: Origin, sender: str, raw: bytes, at: float, folder: str) -> None:
    """Put a message into the probe mailbox, with what its server adds on top."""
    by_spf = spf(world, sender.rpartition("@")[2], where.address, at)
    by_dkim, signer = _dkim(world, raw, at)
    domain = _from_domain(raw)
    has_policy = any(text.startswith("v=DMARC1") for text in lookup(world, f"_dmarc.{domain}", "TXT", at))
    fits = (by_dkim == "pass" and _is_aligned(signer, domain)) or (
        by_spf == "pass" and _is_aligned(sender.rpartition("@")[2], domain)
    )
    by_dmarc = ("pass" if fits else "fail") if has_policy else "none"
    uid = world.count("probe letter")
    top = (
        f"Return-Path: <{sender}>\r\n"
        f"Received: from {where.host} ({where.host} [{where.address}]) by {AUTHSERV} with ESMTPS id {uid:08x}"
        f" for <{PROBE}>; {formatdate(at, usegmt=True)}\r\n"
        + _verdicts(by_spf, by_dkim, by_dmarc, sender, signer, domain)
    )
    world.letters.append(Letter(uid, at, top.encode() + raw, folder))


def _verdicts(by_spf: str, by_dkim: str, by_dmarc: str, sender: str = "", signer: str = "", domain: str = "") -> str:
    return (
        f"Authentication-Results: {AUTHSERV};\r\n"
        f"       dkim={by_dkim}{f' header.d={signer}' if signer else ''};\r\n"
        f"       spf={by_spf}{f' smtp.mailfrom={sender}' if sender else ''};\r\n"
        f"       dmarc={by_dmarc}{f' header.from={domain}' if domain else ''}\r\n"
    )


def _dkim(world: World, raw: bytes, now: float) -> tuple[str, str]:
    """Return what the receiver finds of the first signature, and whose it is."""

    def published(name: bytes, timeout: float = 0) -> bytes:
        return "".join(lookup(world, name.decode().rstrip("."), "TXT", now)[:1]).encode()

    message = dkim.DKIM(raw)
    if not message.present():
        return "none", ""
    try:
        fits = message.verify(dnsfunc=published)
    except dkim.ValidationError:
        fits = False
    except dkim.DKIMException:
        return "neutral", ""
    return "pass" if fits else "fail", message.domain.decode()


def _from_domain(raw: bytes) -> str:
    line = re.search(rb"(?im)^from:[^\r\n]*", raw)
    found = getaddresses([line[0].decode("latin-1")[5:]]) if line else []
    return found[0][1].rpartition("@")[2].lower() if found else ""


def _is_aligned(one: str, domain: str) -> bool:
    """Tell whether a domain stands for another: the same, or one below it. Enough for domains that are sold."""
    return bool(one) and (one == domain or one.endswith(f".{domain}") or domain.endswith(f".{one}"))


SPF_RESULTS: Mapping[str, str] = {"+": "pass", "-": "fail", "~": "softfail", "?": "neutral"}
MOST_INCLUDES = 10


def spf(world: World, domain: str, address: str, now: float, depth: int = 0) -> str:
    """Return what an address gets by a domain's SPF record, as far as records of this world go: ip, a, mx, include, all."""
    records = [text for text in lookup(world, domain, "TXT", now) if text.lower().split(" ")[0] == "v=spf1"]
    if len(records) != 1 or depth > MOST_INCLUDES:
        return "permerror" if records else "none"
    for term in records[0].split()[1:]:
        qualifier, mechanism = (term[0], term[1:]) if term[0] in SPF_RESULTS else ("+", term)
        kind, _, value = mechanism.partition(":")
        if _spf_matches(world, kind.lower(), value or domain, address, now, depth):
            return SPF_RESULTS[qualifier]
    return "neutral"


def _spf_matches(world: World, kind: str, value: str, address: str, now: float, depth: int) -> bool:
    if kind == "all":
        return True
    if kind == "include":
        return spf(world, value, address, now, depth + 1) == "pass"
    if kind in ("ip4", "ip6"):
        return ipaddress.ip_address(address) in ipaddress.ip_network(value, strict=False)
    hosts = lookup(world, value, "MX", now) if kind == "mx" else [value] if kind == "a" else []
    return any(address in lookup(world, host, "A", now) for host in hosts)


# Reading


def opens_probe(user: str, password: str) -> bool:
    """Tell whether a login at the probe mailbox is right."""
    return hmac.compare_digest(f"{user}\n{password}".encode(), f"{PROBE}\n{PROBE_PASSWORD}".encode())


def letters(sandbox: Sandbox) -> list[Letter]:
    """Return what lies in the probe mailbox now."""
    with sandbox.lock:
        now = sandbox.clock.now()
        return [one for one in sandbox.world.letters if one.at <= now]


def search(sandbox: Sandbox, name: str, value: str, folder: str = "") -> list[Letter]:
    """Return the letters that have `value` in a header of that name, as IMAP's SEARCH HEADER does (RFC 9051, 6.4.4).

    folder  the one that is open; all of them without it
    """
    wanted, begins = value.lower(), f"{name.lower()}:"
    return [
        one
        for one in letters(sandbox)
        if folder in ("", one.folder)
        and any(
            line.lower().startswith(begins) and wanted in line.lower()
            for line in one.raw.partition(b"\r\n\r\n")[0].decode("latin-1").splitlines()
        )
    ]
