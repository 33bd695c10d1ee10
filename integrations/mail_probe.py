"""A message sent from a mailbox by SMTP, and read back by IMAP where the operator receives it.

What it guarantees, because whoever sends depends on it:
- NotSent and the refusals mean that the message was not taken. From its first octet on, everything that is no answer is
  OutcomeUnknown.
- Neither a sending nor a look outlives its deadline: a timer cuts the connection, however slowly the other side trickles.
- Everything travels over TLS that was verified. Memory is bounded. Nothing is retried, nothing changed in the probe mailbox.

SMTP: RFC 5321, 6409 and 8314. IMAP: RFC 9051, which keeps the commands of RFC 3501.
"""

from __future__ import annotations

import contextlib
import imaplib
import os
import re
import smtplib
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from .http.errors import (
    BadCredentials,
    NotConfigured,
    NotSent,
    OutcomeUnknown,
    PlatformError,
    Rejected,
    Retryable,
    Unavailable,
)
from .http.redact import Hidden, redact

PLATFORM: Final = "mail"
IMPLICIT, STARTTLS = "SSL/TLS", "STARTTLS"
DEADLINE: Final = 30.0  # machine seconds for one sending, and for one look
MOST_OCTETS: Final = 262_144  # of one answer of the IMAP server, a message included
MOST_FOUND: Final = 5  # messages that are fetched in one look
MOST_WORDS: Final = 200
TOKEN_HEADER: Final = "X-Mailbox-Test"  # noqa: S105 - a name
_CRLF: Final = b"\r\n"


@dataclass(frozen=True, slots=True)
class Door:
    """Where a server is reached. `security` is SSL/TLS or STARTTLS, as mail programs call them."""

    host: str
    port: int
    security: str = IMPLICIT


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message to be sent: `raw` with its headers, from the mailbox that `login` opens at `door`."""

    door: Door
    login: str
    password: Hidden
    raw: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Settings:
    """The operator's probe mailbox.

    address      where test messages go
    imap         where they are read, with `user` and `password`
    authserv     the receiver's name in Authentication-Results
    received_by  its name behind "by" in the Received line with which it takes messages in from outside
    submission   by security, where messages go in place of the mailboxes' own servers: the sandbox's
    authorities  a file of certificates to trust in place of the machine's
    """

    address: str
    imap: Door
    user: str
    password: Hidden
    authserv: str
    received_by: str
    submission: Mapping[str, Door] = field(default_factory=dict)
    authorities: str = ""

    @classmethod
    def from_mapping(cls, values: Mapping[str, str]) -> Settings | None:
        """Read PROBE_ADDRESS and its siblings; None where there is no address. Raises NotConfigured with what is wrong."""
        if not values.get("PROBE_ADDRESS"):
            return None
        missing = [
            name for name in ("PROBE_IMAP", "PROBE_USER", "PROBE_PASSWORD", "PROBE_AUTHSERV") if not values.get(name)
        ]
        if missing:
            raise NotConfigured(f"{', '.join(missing)} missing beside PROBE_ADDRESS", platform=PLATFORM)
        submission = [door(text) for text in values.get("PROBE_SUBMISSION", "").split(",") if text.strip()]
        return cls(
            address=values["PROBE_ADDRESS"],
            imap=door(values["PROBE_IMAP"]),
            user=values["PROBE_USER"],
            password=Hidden(values["PROBE_PASSWORD"], pinned=True),
            authserv=values["PROBE_AUTHSERV"],
            received_by=values.get("PROBE_RECEIVED_BY") or values["PROBE_AUTHSERV"],
            submission={one.security: one for one in submission},
            authorities=values.get("PROBE_CA_FILE", ""),
        )


_DOOR = re.compile(r"(ssl|starttls)://(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):(\d{1,5})")


def door(text: str) -> Door:
    """Read `ssl://host:port` or `starttls://host:port`. Raises NotConfigured."""
    found = _DOOR.fullmatch(text.strip())
    if found is None or not 0 < int(found[3]) < 2**16:
        raise NotConfigured(
            f"{text[:80]!r} is no server: write ssl://host:port or starttls://host:port", platform=PLATFORM
        )
    return Door(found[2].strip("[]"), int(found[3]), IMPLICIT if found[1] == "ssl" else STARTTLS)


class Post(Protocol):
    """Who sends messages and reads them back: `MailProbe`, or the simulation without sockets."""

    @property
    def settings(self) -> Settings: ...

    def send(self, message: Outgoing, *, send_before: float | None = None) -> None:
        """Send once; returning means that the server has taken the message.

        `send_before` is a limit on time.monotonic(): after it the message is not begun any more.
        Raises NotSent and Retryable (it was not taken, and may be sent again), BadCredentials and Rejected (it will not be
        taken), OutcomeUnknown (nobody knows whether it was).
        """
        ...

    def find(self, token: str) -> list[bytes]:
        """Return the messages in the probe mailbox that carry a token in TOKEN_HEADER, oldest first, whole: those of its
        inbox, else those that it takes for spam.

        Raises Unavailable and BadCredentials.
        """
        ...


class MailProbe:
    """Sends and reads over the network."""

    def __init__(self, settings: Settings, *, deadline: float = DEADLINE) -> None:
        self.settings = settings
        self.deadline = deadline

    def __repr__(self) -> str:
        return f"MailProbe({self.settings.address})"

    def send(self, message: Outgoing, *, send_before: float | None = None) -> None:
        """See `Post.send`."""
        target = self.settings.submission.get(message.door.security) or message.door
        client: _Smtp | None = None
        begun = False
        with self._line() as line:
            try:
                client = _Smtp(target, line, self._tls())
                client.login(message.login, message.password.open())
                _envelope(client, message.login, self.settings.address)
                line.check(send_before)
                begun = True
                _transmit(client, message.raw)
            except (OSError, smtplib.SMTPException, ValueError) as error:
                raise _meaning(error, begun=begun, is_cut=line.is_cut) from error
            finally:
                if client is not None:
                    client.close()

    def find(self, token: str) -> list[bytes]:
        """See `Post.find`."""
        client: _Imap | None = None
        with self._line() as line:
            try:
                client = _Imap(self.settings.imap, line, self._tls())
                return _fetch_all(client, self.settings, token)
            except _LoginRefused as error:
                raise BadCredentials("the probe mailbox refuses its login", platform=PLATFORM, verb="find") from error
            except (OSError, imaplib.IMAP4.error, ValueError) as error:
                raise Unavailable(_words(error), platform=PLATFORM, verb="find") from error
            finally:
                if client is not None:
                    with contextlib.suppress(OSError, imaplib.IMAP4.error, ValueError):
                        client.shutdown()

    def _tls(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=self.settings.authorities or None)

    @contextlib.contextmanager
    def _line(self) -> Iterator[_Line]:
        line = _Line(self.deadline)
        timer = threading.Timer(self.deadline, line.cut)
        timer.daemon = True
        timer.start()
        try:
            yield line
        finally:
            timer.cancel()
            line.close()


class _Line:
    """The connection of one sending or look. Shared by the thread that uses it and the timer that cuts it."""

    def __init__(self, seconds: float) -> None:
        self.ends = time.monotonic() + seconds
        self._lock = threading.Lock()
        self._handle: socket.socket | None = None
        self.is_cut = False

    @property
    def left(self) -> float:
        return max(0.05, self.ends - time.monotonic())

    def connect(self, target: Door, tls: ssl.SSLContext) -> socket.socket:
        """Connect within the time, over TLS where the door begins with it. Raises OSError."""
        plain = socket.create_connection((target.host, target.port), self.left)
        with self._lock:
            # A descriptor of our own: TLS takes the first one over in mid-handshake.
            self._handle = socket.socket(fileno=os.dup(plain.fileno()))
        try:
            plain.settimeout(self.left)
            return tls.wrap_socket(plain, server_hostname=target.host) if target.security == IMPLICIT else plain
        except BaseException:
            plain.close()
            raise

    def check(self, send_before: float | None) -> None:
        """Raise OSError when a message must not begin any more."""
        if self.is_cut or (send_before is not None and time.monotonic() >= send_before):
            raise OSError("too late to send")

    def cut(self) -> None:
        with self._lock:
            self.is_cut = True
            if self._handle is not None:
                with contextlib.suppress(OSError):
                    self._handle.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        with self._lock:
            if self._handle is not None:
                self._handle.close()
                self._handle = None


# Sending


class _Smtp(smtplib.SMTP):
    """A client on a watched line, encrypted before anything of the message or the login goes out."""

    def __init__(self, target: Door, line: _Line, tls: ssl.SSLContext) -> None:
        self.target, self.line, self.tls = target, line, tls
        super().__init__(target.host, target.port, local_hostname="localhost", timeout=line.left)
        self.ehlo_or_helo_if_needed()
        if target.security != IMPLICIT:
            self.starttls(context=tls)
            self.ehlo_or_helo_if_needed()

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        return self.line.connect(self.target, self.tls)


def _envelope(client: _Smtp, sender: str, recipient: str) -> None:
    steps: tuple[Callable[[], tuple[int, bytes]], ...] = (
        lambda: client.mail(sender),
        lambda: client.rcpt(recipient),
        lambda: client.docmd("DATA"),
    )
    for step, expected in zip(steps, ((250,), (250, 251), (354,)), strict=True):
        code, said = step()
        if code not in expected:
            raise smtplib.SMTPResponseException(code, said)


def _transmit(client: _Smtp, raw: bytes) -> None:
    """Send the message itself. Whatever breaks from here on leaves open whether it was taken."""
    body = re.sub(rb"\r\n|\r|\n", _CRLF, raw)
    body = re.sub(rb"(?m)^\.", b"..", body)  # RFC 5321, 4.5.2
    client.send(body + (b"" if body.endswith(_CRLF) else _CRLF) + b"." + _CRLF)
    code, said = client.getreply()
    if code == -1:
        raise smtplib.SMTPServerDisconnected("no answer")
    if code != 250:
        raise smtplib.SMTPResponseException(code, said)
    with contextlib.suppress(OSError, smtplib.SMTPException):
        client.docmd("QUIT")


def _meaning(error: Exception, *, begun: bool, is_cut: bool) -> PlatformError:
    """Return what a failure means: 4xx may be tried again, 5xx may not (RFC 5321, 4.2.1), anything else is no answer.

    A line that was cut off may look like an answer.
    """
    code = error.smtp_code if isinstance(error, smtplib.SMTPResponseException) and not is_cut else 0
    where: dict[str, Any] = {"platform": PLATFORM, "verb": "send"}
    if 400 <= code < 600:
        said = error.smtp_error if isinstance(error, smtplib.SMTPResponseException) else ""
        words = _words(said.decode("utf-8", "replace") if isinstance(said, bytes) else said)
        if code < 500:
            return Retryable(words, **where, status=code)
        if isinstance(error, smtplib.SMTPAuthenticationError):
            return BadCredentials("the login is refused", **where, status=code)
        return Rejected("refused", f"{code} {words}", **where, status=code)
    if begun:
        return OutcomeUnknown(_words(error), **where)
    if isinstance(error, smtplib.SMTPNotSupportedError) and not is_cut:
        return Rejected("no_login", "the server takes no login by password, or no encryption", **where)
    return NotSent(_words(error), **where)


def _words(said: object) -> str:
    return " ".join(redact(str(said)).split())[:MOST_WORDS] or type(said).__name__


# Reading


class _LoginRefused(Exception):
    """The probe mailbox does not open."""


class _Imap(imaplib.IMAP4):
    """A client on a watched line that takes no answer without end."""

    def __init__(self, target: Door, line: _Line, tls: ssl.SSLContext) -> None:
        self.target, self.line, self.tls = target, line, tls
        super().__init__(target.host, target.port, timeout=line.left)
        if target.security != IMPLICIT:
            self.starttls(tls)

    def _create_socket(self, timeout: float | None) -> socket.socket:
        return self.line.connect(self.target, self.tls)

    def read(self, size: int) -> bytes:
        if size > MOST_OCTETS:
            raise imaplib.IMAP4.abort("an answer that is too large")
        return super().read(size)


def _fetch_all(client: _Imap, settings: Settings, token: str) -> list[bytes]:
    """Return the messages that carry the token, without marking them as read."""
    if not re.fullmatch(r"[A-Za-z0-9_-]+", token):
        raise ValueError("a token is letters and digits")
    try:
        client.login(settings.user, settings.password.open())
    except imaplib.IMAP4.abort:
        raise
    except imaplib.IMAP4.error as error:
        raise _LoginRefused from error
    found = _fetch_from(client, "INBOX", token)
    if not found and (spam := _spam_folder(client)):
        found = _fetch_from(client, spam, token)
    client.logout()
    return found


def _fetch_from(client: _Imap, folder: str, token: str) -> list[bytes]:
    _done(client.select(folder, readonly=True))
    [numbers] = _done(client.uid("SEARCH", "HEADER", TOKEN_HEADER, token))[:1] or [b""]
    found = list[bytes]()
    for number in (numbers or b"").split()[:MOST_FOUND]:
        rows = _done(client.uid("FETCH", number.decode("ascii"), f"(BODY.PEEK[]<0.{MOST_OCTETS - 1}>)"))
        found += [row[1] for row in rows if isinstance(row, tuple) and isinstance(row[1], bytes)]
    return found


_LISTED = re.compile(rb'\(([^()]*)\) (?:"[^"]*"|NIL) ("[^"\\]+"|[^"\s(){%*\\]+)')


def _spam_folder(client: _Imap) -> str:
    """Return the folder of what the receiver takes for spam, as its list writes it (RFC 6154); empty where it names none.

    A message of a young domain often lands there, and is received all the same.
    """
    for row in _done(client.list()):
        listed = _LISTED.fullmatch(row) if isinstance(row, bytes) else None
        if listed and b"\\junk" in listed[1].lower().split() and listed[2].isascii():
            return listed[2].decode("ascii")
    return ""


def _done(answer: tuple[str, list[Any]]) -> list[Any]:
    kind, rows = answer
    if kind != "OK":
        raise imaplib.IMAP4.error("the server refuses a command")
    return rows
