"""The simulated mail servers on sockets: submission with TLS at once and by STARTTLS, and IMAP for the probe mailbox."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import shlex
import socket
import socketserver
import ssl
import threading
from collections.abc import Awaitable
from typing import TYPE_CHECKING, Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword

from . import post_office

if TYPE_CHECKING:
    from .core import Sandbox

DOORS = ("ssl", "starttls", "imap")  # in the order of their ports
PATIENCE = 30.0  # machine seconds that a silent client is waited for
MOST_LINE = 8_192

logging.getLogger("mail.log").setLevel(logging.ERROR)  # aiosmtpd warns of its own ways


def listen(host: str, port: int) -> socket.socket:
    """Return a listening socket; 0 takes any port. Raises OSError and OverflowError."""
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen()
    except (OSError, OverflowError):
        listener.close()
        raise
    return listener


class BoundServer(Controller):
    """An SMTP server on a socket that is bound already, so that a busy port is known before anything starts."""

    def __init__(self, handler: Any, listener: socket.socket, **options: Any) -> None:
        host, port = listener.getsockname()[:2]
        super().__init__(handler, hostname=host, port=port, **options)
        self.listener = listener

    def _create_server(self) -> Awaitable[asyncio.AbstractServer]:
        return self.loop.create_server(self._factory_invoker, sock=self.listener, ssl=self.ssl_context)


class MailServers:
    """Three doors, bound when made. `ports` says where each one is."""

    def __init__(self, host: str, port: int) -> None:
        self.listeners: dict[str, socket.socket] = {}
        try:
            for number, name in enumerate(DOORS):
                self.listeners[name] = listen(host, port + number if port else 0)
        except (OSError, OverflowError) as error:
            self.close()
            raise PortTaken(port + len(self.listeners)) from error
        self.ports = {name: int(one.getsockname()[1]) for name, one in self.listeners.items()}
        self.started: list[Controller] = []

    def __enter__(self) -> MailServers:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def start(self, sandbox: Sandbox) -> None:
        """Begin to answer."""
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(post_office.CERTIFICATE, post_office.KEY)
        submission = Submission(sandbox)
        # Without a login no message is taken, see `Submission`; with TLS at once the server cannot see that there is TLS.
        at_once = {"ssl_context": tls, "auth_require_tls": False}
        by_command = {"tls_context": tls, "require_starttls": True}
        for name, options in (("ssl", at_once), ("starttls", by_command)):
            server = BoundServer(
                submission,
                self.listeners[name],
                authenticator=submission.let_in,
                auth_exclude_mechanism=["LOGIN"],  # with two, clients try a refused password twice
                **options,
            )
            server.start()
            self.started.append(server)
        self.imap = _ImapServer(self.listeners["imap"], sandbox, tls)
        self.thread = threading.Thread(target=self.imap.serve_forever, args=(0.1,), daemon=True)
        self.thread.start()

    def stop(self) -> None:
        """End what was started."""
        for server in self.started:
            server.stop()
        if self.started:
            self.imap.shutdown()
            self.thread.join(5)
        self.close()

    def close(self) -> None:
        for listener in self.listeners.values():
            listener.close()


class PortTaken(OSError):
    """A port of a mail server is in use. Its argument is the port."""


class Submission:
    """Takes messages from mailboxes that have logged in."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox

    def let_in(self, server: SMTP, session: Any, envelope: Any, mechanism: str, login: Any) -> AuthResult:
        if not isinstance(login, LoginPassword):
            return AuthResult(success=False, handled=False)
        address = login.login.decode("utf-8", "replace")
        try:
            with self.sandbox.lock:
                post_office.login(self.sandbox, address, login.password.decode("utf-8", "replace"))
        except post_office.NotTaken:
            return AuthResult(success=False, handled=False)
        return AuthResult(success=True, auth_data=address)

    async def handle_MAIL(  # noqa: N802 - aiosmtpd's name
        self, server: SMTP, session: Any, envelope: Any, address: str, options: list[str]
    ) -> str:
        if session.auth_data is None:
            return "530 5.7.0 Authentication required"
        if address.lower() != session.auth_data.lower():
            return "553 5.7.1 Sender address rejected: not owned by user"
        envelope.mail_from = address
        return "250 2.1.0 OK"

    async def handle_DATA(self, server: SMTP, session: Any, envelope: Any) -> str:  # noqa: N802 - aiosmtpd's name
        raw, to = bytes(envelope.content or b""), tuple(envelope.rcpt_tos)
        try:
            post_office.submit(self.sandbox, envelope.mail_from, to, raw)
        except post_office.NotTaken as refusal:
            return f"{refusal.code} {refusal.sentence}"
        except post_office.Cut:
            transport = server.transport
            assert isinstance(transport, asyncio.Transport)
            transport.abort()
        return "250 2.0.0 OK"


class _ImapServer(socketserver.ThreadingTCPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, listener: socket.socket, sandbox: Sandbox, tls: ssl.SSLContext) -> None:
        super().__init__(listener.getsockname(), _Reader, bind_and_activate=False)
        self.socket.close()
        self.socket, self.sandbox, self.tls = listener, sandbox, tls

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no news."""


class _Reader(socketserver.BaseRequestHandler):
    """One client: what it takes to log in, look for a message and fetch it (RFC 9051)."""

    server: _ImapServer

    def handle(self) -> None:
        self.request.settimeout(PATIENCE)
        with contextlib.suppress(OSError), self.server.tls.wrap_socket(self.request, server_side=True) as secured:
            self.stream = secured.makefile("rwb")
            self.is_in, self.folder = False, "INBOX"
            self._say("* OK ready")
            while (line := self.stream.readline(MOST_LINE)) and self._answer(line.decode("latin-1").strip()):
                pass

    def _say(self, *lines: str) -> None:
        self.stream.write("".join(f"{line}\r\n" for line in lines).encode("latin-1"))
        self.stream.flush()

    def _answer(self, line: str) -> bool:
        """Answer one command; return whether to go on."""
        try:
            tag, verb, *words = shlex.split(line)
        except ValueError:
            self._say("* BAD what is that?")
            return True
        verb = verb.upper()
        if verb == "UID" and words:
            verb, words = f"UID {words[0].upper()}", words[1:]
        match verb:
            case "CAPABILITY":
                self._say("* CAPABILITY IMAP4rev1", f"{tag} OK done")
            case "NOOP":
                self._say(f"{tag} OK done")
            case "LOGOUT":
                self._say("* BYE", f"{tag} OK done")
                return False
            case "LOGIN":
                self.is_in = len(words) == 2 and post_office.opens_probe(*words)
                self._say(f"{tag} OK done" if self.is_in else f"{tag} NO [AUTHENTICATIONFAILED] refused")
            case _ if not self.is_in:
                self._say(f"{tag} NO log in first")
            case "LIST":
                self._say('* LIST (\\HasNoChildren) "/" "INBOX"')
                self._say(f'* LIST (\\HasNoChildren \\Junk) "/" "{post_office.JUNK}"', f"{tag} OK done")
            case "SELECT" | "EXAMINE" if words and words[0] not in ("INBOX", post_office.JUNK):
                self._say(f"{tag} NO [NONEXISTENT] unknown")
            case "SELECT" | "EXAMINE" if words:
                self.folder = words[0]
                self._say(f"* {len(self._letters())} EXISTS", "* OK [UIDVALIDITY 1]", f"{tag} OK [READ-ONLY] done")
            case "UID SEARCH" if len(words) == 3 and words[0].upper() == "HEADER":
                found = post_office.search(self.server.sandbox, words[1], words[2], self.folder)
                self._say("* SEARCH" + "".join(f" {one.uid}" for one in found), f"{tag} OK done")
            case "UID FETCH" if words and words[0].isdecimal():
                self._fetch(tag, int(words[0]), " ".join(words[1:]))
            case _:
                self._say(f"{tag} BAD unknown")
        return True

    def _letters(self) -> list[post_office.Letter]:
        return [one for one in post_office.letters(self.server.sandbox) if one.folder == self.folder]

    def _fetch(self, tag: str, uid: int, what: str) -> None:
        part = re.search(r"<0\.(\d+)>", what)
        for number, one in enumerate(self._letters(), 1):
            if one.uid == uid:
                raw = one.raw[: int(part[1])] if part else one.raw
                self.stream.write(f"* {number} FETCH (UID {uid} BODY[]<0> {{{len(raw)}}}\r\n".encode() + raw + b")\r\n")
        self._say(f"{tag} OK done")
