"""The sandbox as a process: ports for HTTP, mail and DNS, a state file. Loopback only, never beside live settings."""

from __future__ import annotations

import contextlib
import ipaddress
import select
import socket
import struct
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socketserver import TCPServer
from typing import Any
from urllib.parse import urlsplit

from . import control
from .core import Sandbox
from .dns_server import DnsServers, PortTaken
from .http import Request, Response, Wire, json_response, text_response
from .mail_servers import BoundServer, MailServers, listen
from .mail_servers import PortTaken as MailPortTaken
from .store import BadState

MOST_BODY = 10_000_000
TICK = 0.1
HANG = 75.0  # machine seconds a silent request is held; our own deadlines are 60 at most
LOCAL_NAMES = frozenset({"localhost", "testserver"})


class CannotServe(Exception):
    """The sandbox will not start. Its text is one sentence for the operator."""


@dataclass(frozen=True)
class Options:
    """What the command line says. From `dns_port` on, each name server of dns.SERVERS has a port, and from `post_port` on
    each door of mail_servers.DOORS; 0 takes any."""

    port: int = 9100
    control_port: int = 9101
    mail_port: int = 9102
    dns_port: int = 9103
    post_port: int = 9107
    state: Path | None = None
    speed: float = 60.0
    seed: int = 1
    profile: str = "demo"
    webhook_url: str = ""
    behind: float = 0.0
    host: str = "127.0.0.1"


def refuse_production(environment: Mapping[str, str], host: str = "127.0.0.1") -> None:
    """Raise CannotServe beside live settings or on an address that others reach."""
    if environment.get("PLATFORM_MODE", "sandbox").strip().lower() == "live":
        raise CannotServe("The sandbox does not start while PLATFORM_MODE is live.")
    if "_live_" in environment.get("STRIPE_SECRET_KEY", ""):
        raise CannotServe("The sandbox does not start beside a live Stripe key.")
    if not is_local(host):
        raise CannotServe(f"The sandbox serves this machine only; {host} is not a loopback address.")


def is_local(host: str) -> bool:
    """Whether a host name or address means this machine."""
    if host in LOCAL_NAMES:
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


class Servers:
    """All threads of one running sandbox: made bound, then `start`, then `stop`, which saves."""

    def __init__(self, options: Options, environment: Mapping[str, str]) -> None:
        refuse_production(environment, options.host)
        self.options = options
        self.ended = threading.Event()
        self.threads: list[threading.Thread] = []
        with contextlib.ExitStack() as undo:
            self.main = _bind(options.host, options.port, lambda request: self.sandbox.handle(request), self)
            undo.callback(self.main.server_close)
            self.control = _bind(options.host, options.control_port, self._control, self)
            undo.callback(self.control.server_close)
            self.mail_listener = _listen(options.host, options.mail_port)
            undo.callback(self.mail_listener.close)
            self.dns = undo.enter_context(_name_servers(options))
            self.post = undo.enter_context(_mail_servers(options))
            self.public_url = f"http://{options.host}:{self.main.server_address[1]}"
            self.sandbox = _make_sandbox(options, self.public_url)
            undo.pop_all()

    def start(self) -> None:
        """Begin to answer."""
        self.mail = BoundServer(_MailHandler(self.sandbox), self.mail_listener)
        self.mail.start()
        self.post.start(self.sandbox)
        for work in (self._serve_main, self._serve_control, self._serve_dns, self._tick):
            thread = threading.Thread(target=work, daemon=True)
            thread.start()
            self.threads.append(thread)

    def stop(self) -> None:
        """End everything and write the state file."""
        self.ended.set()
        if self.threads:  # shutdown and stop wait for ever for what never began
            self.main.shutdown()
            self.control.shutdown()
            self.mail.stop()
        self.post.stop()
        for thread in self.threads:
            thread.join(5)
        for listener in (self.main.socket, self.control.socket, self.mail_listener):
            listener.close()
        self.dns.close()
        self.sandbox.save()

    def _control(self, request: Request) -> Response:
        return control.handle(self.sandbox, request)

    def _serve_main(self) -> None:
        self.main.serve_forever(poll_interval=TICK)

    def _serve_control(self) -> None:
        self.control.serve_forever(poll_interval=TICK)

    def _serve_dns(self) -> None:
        self.dns.serve(self.sandbox.dns, self.ended)

    def _tick(self) -> None:
        """Let due things happen and due webhooks go out, and write what only reads have changed."""
        while not self.ended.wait(TICK):
            self.sandbox.deliver_due(post)
            if self.sandbox.dirty:
                self.sandbox.save()


def serve(
    options: Options,
    environment: Mapping[str, str],
    *,
    until: threading.Event,
    ready: Callable[[Servers], None] = lambda servers: None,
) -> None:
    """Serve until the event is set. Raises CannotServe with one sentence."""
    servers = Servers(options, environment)
    servers.start()
    try:
        ready(servers)
        while not until.wait(TICK):  # a signal that another thread takes does not end an endless wait
            pass
    finally:
        servers.stop()


def post(url: str, headers: Mapping[str, str], body: bytes) -> int:
    """Really send a webhook to this machine. Returns its status, 0 when nobody answered."""
    if not is_local(urlsplit(url).hostname or ""):
        return 0
    request = urllib.request.Request(url, data=body, headers=dict(headers), method="POST")  # noqa: S310 - local only
    try:
        with _OPENER.open(request, timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        error.close()
        return error.code
    except (OSError, ValueError):
        return 0


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        return None


_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}), _NoRedirects)


class _MailHandler:
    """Takes every message."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802 - aiosmtpd's name
        self.sandbox.receive_mail(envelope.mail_from or "", tuple(envelope.rcpt_tos), bytes(envelope.content or b""))
        return "250 Message accepted for simulated delivery"


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def server_bind(self) -> None:
        """Bind without asking a name server who we are, as the base class would."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no news."""


def _make_sandbox(options: Options, public_url: str) -> Sandbox:
    try:
        sandbox = Sandbox(
            seed=options.seed,
            speed=options.speed,
            public_url=public_url,
            profile=options.profile,
            state_path=options.state,
            webhook_url=options.webhook_url,
            behind=options.behind,
        )
        sandbox.save()
        return sandbox
    except (BadState, ValueError) as error:
        raise CannotServe(str(error)) from error
    except OSError as error:
        raise CannotServe(f"The sandbox cannot write {options.state}: {error.strerror}.") from error


def _busy(port: int) -> str:
    return f"Port {port} is in use by another program; stop it or choose another port for the sandbox."


def _bind(host: str, port: int, answer: Callable[[Request], Response], servers: Servers) -> _Server:
    class Handler(_Handler):
        pass

    Handler.answer = staticmethod(answer)
    Handler.servers = servers
    try:
        return _Server((host, port), Handler)
    except (OSError, OverflowError) as error:
        raise CannotServe(_busy(port)) from error


def _listen(host: str, port: int) -> socket.socket:
    try:
        return listen(host, port)
    except (OSError, OverflowError) as error:
        raise CannotServe(_busy(port)) from error


def _name_servers(options: Options) -> DnsServers:
    try:
        return DnsServers(options.host, options.dns_port)
    except PortTaken as error:
        raise CannotServe(_busy(error.args[0])) from error


def _mail_servers(options: Options) -> MailServers:
    try:
        return MailServers(options.host, options.post_port)
    except MailPortTaken as error:
        raise CannotServe(_busy(error.args[0])) from error


class _Handler(BaseHTTPRequestHandler):
    """Turns sockets into requests and answers into bytes, broken ones included."""

    protocol_version = "HTTP/1.1"
    server_version, sys_version = "Sandbox", ""
    answer: Callable[[Request], Response]
    servers: Servers
    disable_nagle_algorithm = True

    def handle_one(self) -> None:
        """Answer one request of the connection."""
        request = self._read()
        if request is None:
            self._send(text_response("Bad request", 400))
            self.close_connection = True
            return
        if not self._is_local(request):
            self._send(json_response({"error": "this machine only"}, 403))
            return
        try:
            response = type(self).answer(request)
        except Exception as error:  # noqa: BLE001 - a bug of ours must be seen, and must not hang the client
            response = json_response({"error": f"the sandbox failed: {error!r}"}, 500)
        sandbox = self.servers.sandbox
        if sandbox.has_urgent_deliveries():
            sandbox.deliver_due(post, before_answer_only=True)
        self._send(response)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = do_OPTIONS = handle_one  # noqa: N815

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """Stay quiet: the request log is at the control plane."""

    def _read(self) -> Request | None:
        length = self.headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > MOST_BODY or "transfer-encoding" in self.headers:
            return None
        body = self.rfile.read(int(length))
        return Request.to(self.command, self.path, headers=dict(self.headers.items()), body=body)

    def _is_local(self, request: Request) -> bool:
        """Refuse foreign host names (rebinding) and forms posted by foreign pages."""
        host = urlsplit("//" + request.header("host")).hostname or ""
        origin = request.header("origin")
        return is_local(host) and (origin in ("", "null") or is_local(urlsplit(origin).hostname or ""))

    def _send(self, response: Response) -> None:
        match response.wire:
            case Wire.SILENT:
                self._hang()
                self._break()
                return
            case Wire.REFUSED | Wire.UNREACHABLE | Wire.RESET:
                self._break()
                return
        cut = response.wire is Wire.TRUNCATED
        self.send_response(response.status)
        for name, value in response.headers.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(response.body) * 2 + 2 if cut else len(response.body)))
        self.end_headers()
        if response.delay:
            self.servers.ended.wait(response.delay)
        if self.command != "HEAD":
            self.wfile.write(response.body)
        if cut:
            self.wfile.flush()
            self.close_connection = True

    def _hang(self) -> None:
        """Hold the connection until the client gives up."""
        waited = 0.0
        while waited < HANG and not self.servers.ended.wait(0.05):
            waited += 0.05
            readable, _, _ = select.select([self.connection], [], [], 0)
            if readable and self.connection.recv(1, socket.MSG_PEEK) == b"":
                return

    def _break(self) -> None:
        """End the connection with a reset."""
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
