"""The simulated name servers on sockets: UDP and TCP, one port for each server, one thread for all."""

from __future__ import annotations

import contextlib
import selectors
import socket
import struct
import threading
from typing import TYPE_CHECKING

from .dns import SERVERS

if TYPE_CHECKING:
    from .dns import Dns

TICK = 0.1
MOST_DATAGRAM = 65_535
ATTEMPTS = 20  # at a number that is free for TCP and for UDP


class PortTaken(OSError):
    """A port of a name server is in use. Its argument is the port."""


class DnsServers:
    """Sockets for each server, bound when made. `ports` says where each one is."""

    def __init__(self, host: str, port: int) -> None:
        self.host = host
        self.ports: dict[str, int] = {}
        self.selector = selectors.DefaultSelector()
        self.sockets: list[socket.socket] = []
        try:
            for number, server in enumerate(SERVERS):
                self.ports[server] = self._bind(server, port + number if port else 0)
        except OSError:
            self.close()
            raise

    def __enter__(self) -> DnsServers:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def serve(self, dns: Dns, ended: threading.Event) -> None:
        """Answer until the event is set."""
        while not ended.is_set():
            for key, _events in self.selector.select(TICK):
                listener, server = key.fileobj, key.data
                assert isinstance(listener, socket.socket)
                with contextlib.suppress(OSError):  # a client that went away is no news
                    if listener.type == socket.SOCK_DGRAM:
                        _answer_datagram(listener, dns, server)
                    else:
                        connection, _client = listener.accept()
                        threading.Thread(target=_answer_stream, args=(connection, dns, server), daemon=True).start()

    def close(self) -> None:
        for one in self.sockets:
            one.close()
        self.selector.close()

    def _bind(self, server: str, port: int) -> int:
        """Bind both kinds of socket to one number and return it. Raises PortTaken."""
        for _ in range(ATTEMPTS):
            by_tcp, by_udp = socket.socket(), socket.socket(type=socket.SOCK_DGRAM)
            by_tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                by_tcp.bind((self.host, port))
                by_udp.bind((self.host, by_tcp.getsockname()[1]))
            except (OSError, OverflowError):
                by_tcp.close()
                by_udp.close()
                if port:
                    break
                continue
            by_tcp.listen()
            for one in (by_tcp, by_udp):
                one.setblocking(False)
                self.sockets.append(one)
                self.selector.register(one, selectors.EVENT_READ, server)
            return int(by_tcp.getsockname()[1])
        raise PortTaken(port)


def _answer_datagram(listener: socket.socket, dns: Dns, server: str) -> None:
    message, client = listener.recvfrom(MOST_DATAGRAM)
    answer = dns.respond(message, server)
    if answer is not None:
        listener.sendto(answer, client)


def _answer_stream(connection: socket.socket, dns: Dns, server: str) -> None:
    """Answer the messages of one connection, each behind two octets that say its length (RFC 1035, 4.2.2)."""
    with contextlib.suppress(OSError, struct.error), connection:
        connection.settimeout(5)
        stream = connection.makefile("rb")
        while length := stream.read(2):
            message = stream.read(struct.unpack("!H", length)[0])
            answer = dns.respond(message, server, by_tcp=True)
            if answer is None:
                return
            connection.sendall(struct.pack("!H", len(answer)) + answer)
