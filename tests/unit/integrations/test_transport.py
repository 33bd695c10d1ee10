"""What leaves the house, what comes back, and what we may conclude when nothing does."""

from __future__ import annotations

import dataclasses
import gzip
import json
import socket
import ssl
import threading
import time
import traceback
from typing import Any
from unittest import mock

import pytest
import responses

from integrations.http.call import MAX_CAPTURE_BYTES, Call, Raw, Request
from integrations.http.errors import NotSent, OutcomeUnknown, PlatformError
from integrations.http.transport import HttpTransport

from .socket_server import Behaviour, answer, receive_request, reset, serving

KEY = "key-that-nobody-may-see"


def a_call(url: str, *, write: bool = True, deadline: float = 5.0, **request: Any) -> Call[Any]:
    headers = {"x-auth-zapmail": KEY, **request.pop("headers", {})}
    return Call(
        "zapmail",
        "buy_domains",
        Request(request.pop("method", "POST"), url, headers, **request),
        parse=lambda raw: raw,
        classify=lambda raw: None,
        items=("example.com",) if write else (),
        deadline=deadline,
    )


@pytest.fixture
def transport() -> Any:
    transport = HttpTransport()
    yield transport
    transport.close()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


class TestRequest:
    def test_sends_method_address_query_headers_and_json(self, transport: HttpTransport) -> None:
        seen: list[bytes] = []

        def behaviour(connection: socket.socket, number: int) -> None:
            seen.append(receive_request(connection))
            connection.sendall(answer(b'{"ok": true}', "201 Created", "X-Request-Id: r1"))

        with serving(behaviour) as server:
            raw = transport.send(a_call(f"{server.url}/v2/x", method="PUT", query={"page": "1"}, json={"a": ["b"]}))
        head, _, body = seen[0].partition(b"\r\n\r\n")
        assert head.startswith(b"PUT /v2/x?page=1 HTTP/1.1")
        assert f"x-auth-zapmail: {KEY}".encode() in head
        assert json.loads(body) == {"a": ["b"]}
        assert (raw.status, raw.headers["x-request-id"], raw.document()) == (201, "r1", {"ok": True})

    def test_sends_a_form_in_the_given_order(self, transport: HttpTransport) -> None:
        seen: list[bytes] = []

        def behaviour(connection: socket.socket, number: int) -> None:
            seen.append(receive_request(connection))
            connection.sendall(answer())

        with serving(behaviour) as server:
            transport.send(a_call(server.url, form=(("b[0]", "1"), ("a", "x y"))))
        assert seen[0].endswith(b"\r\n\r\nb%5B0%5D=1&a=x+y")

    def test_ignores_proxies_and_netrc_of_the_environment(
        self, transport: HttpTransport, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
    ) -> None:
        netrc = tmp_path / "netrc"
        netrc.write_text("machine 127.0.0.1 login someone password secret")
        monkeypatch.setenv("NETRC", str(netrc))
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{free_port()}")
        seen: list[bytes] = []

        def behaviour(connection: socket.socket, number: int) -> None:
            seen.append(receive_request(connection))
            connection.sendall(answer())

        with serving(behaviour) as server:
            assert transport.send(a_call(server.url)).status == 200
        assert b"authorization" not in seen[0].lower()


class TestNotSent:
    def test_refused_connection(self, transport: HttpTransport) -> None:
        with pytest.raises(NotSent):
            transport.send(a_call(f"http://127.0.0.1:{free_port()}/"))

    def test_unknown_host(self, transport: HttpTransport) -> None:
        failure = socket.gaierror(-2, "Name or service not known")
        with mock.patch("socket.getaddrinfo", side_effect=failure), pytest.raises(NotSent):
            transport.send(a_call("http://no-such-host.test/"))

    def test_connection_that_nobody_answers(self, transport: HttpTransport) -> None:
        started = time.monotonic()
        with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
            address = listener.getsockname()
            waiting = []  # fill the queue of unaccepted connections, so that the next one gets no answer at all
            for _ in range(4):
                filler = socket.socket()
                filler.setblocking(False)
                filler.connect_ex(address)
                waiting.append(filler)
            with pytest.raises(NotSent):
                transport.send(a_call(f"http://127.0.0.1:{address[1]}/", deadline=0.5))
            for filler in waiting:
                filler.close()
        assert time.monotonic() - started < 2

    def test_tls_failure(self, transport: HttpTransport) -> None:
        def behaviour(connection: socket.socket, number: int) -> None:
            connection.recv(1024)
            connection.sendall(b"this is not TLS at all\r\n")
            connection.close()

        with serving(behaviour) as server, pytest.raises(NotSent):
            transport.send(a_call(server.url.replace("http:", "https:")))

    def test_tls_handshake_that_hangs_ends_at_the_deadline(self, transport: HttpTransport) -> None:
        started = time.monotonic()
        with serving(lambda connection, number: time.sleep(3)) as server, pytest.raises(NotSent):
            transport.send(a_call(server.url.replace("http:", "https:"), deadline=0.5))
        assert time.monotonic() - started < 1.5

    def test_after_send_before_nothing_is_begun(self, transport: HttpTransport) -> None:
        with serving(lambda connection, number: None) as server:
            with pytest.raises(NotSent, match="too late"):
                transport.send(a_call(server.url), send_before=time.monotonic() - 0.001)
            assert server.connections == 0

    def test_send_before_is_looked_at_again_after_connecting(self, transport: HttpTransport) -> None:
        received: list[bytes] = []
        real = socket.getaddrinfo

        def slow(*args: Any, **kwargs: Any) -> Any:
            time.sleep(0.3)
            return real(*args, **kwargs)

        with (
            serving(lambda connection, number: received.append(connection.recv(1024))) as server,
            mock.patch("socket.getaddrinfo", side_effect=slow),
            pytest.raises(NotSent, match="too late"),
        ):
            transport.send(a_call(server.url), send_before=time.monotonic() + 0.1)
        assert b"".join(received) == b""

    def test_header_that_cannot_be_sent(self, transport: HttpTransport) -> None:
        with serving(lambda connection, number: None) as server, pytest.raises(NotSent) as caught:
            transport.send(a_call(server.url, headers={"x-key": f"{KEY}\r\nx: y"}))
        assert KEY not in shown(caught.value)


def no_answer(connection: socket.socket, number: int) -> None:
    receive_request(connection)
    time.sleep(3)


def reset_after_request(connection: socket.socket, number: int) -> None:
    receive_request(connection)
    reset(connection)


def orderly_end_without_answer(connection: socket.socket, number: int) -> None:
    receive_request(connection)
    connection.close()


def half_a_head(connection: socket.socket, number: int) -> None:
    receive_request(connection)
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Le")
    connection.close()


def truncated_body(connection: socket.socket, number: int) -> None:
    receive_request(connection)
    connection.sendall(b'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"a":')
    connection.close()


def truncated_chunks(connection: socket.socket, number: int) -> None:
    receive_request(connection)
    connection.sendall(b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{"a":\r\n')
    connection.close()


def not_http(connection: socket.socket, number: int) -> None:
    receive_request(connection)
    connection.sendall(b"SSH-2.0-OpenSSH_9.6\r\n")
    connection.close()


def unknown_encoding(connection: socket.socket, number: int) -> None:
    receive_request(connection)
    connection.sendall(answer(b"abc", "200 OK", "Content-Encoding: br"))


class TestOutcomeUnknown:
    @pytest.mark.parametrize("write", [True, False])
    @pytest.mark.parametrize(
        "behaviour",
        [
            no_answer,
            reset_after_request,
            orderly_end_without_answer,
            half_a_head,
            truncated_body,
            truncated_chunks,
            not_http,
            unknown_encoding,
        ],
    )
    def test_anything_that_breaks_after_the_request_began(
        self, transport: HttpTransport, behaviour: Behaviour, write: bool
    ) -> None:
        with serving(behaviour) as server, pytest.raises(OutcomeUnknown):
            transport.send(a_call(server.url, write=write, deadline=0.6))

    def test_nothing_is_sent_a_second_time(self, transport: HttpTransport) -> None:
        with serving(reset_after_request) as server:
            with pytest.raises(OutcomeUnknown):
                transport.send(a_call(server.url))
            time.sleep(0.05)
            assert server.connections == 1

    @pytest.mark.parametrize("part", ["head", "body", "body without length", "chunks"])
    def test_one_byte_at_a_time_does_not_outlive_the_deadline(self, transport: HttpTransport, part: str) -> None:
        beginning = {
            "head": b"HTTP/1.1 200 OK\r\nX-Long: ",
            "body": b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n",
            "body without length": b"HTTP/1.1 200 OK\r\n\r\n",
            "chunks": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3e8\r\n",
        }[part]

        def behaviour(connection: socket.socket, number: int) -> None:
            receive_request(connection)
            connection.sendall(beginning)
            for _ in range(60):
                connection.sendall(b"1")
                time.sleep(0.05)

        started = time.monotonic()
        with serving(behaviour) as server, pytest.raises(OutcomeUnknown, match=r"within 0\.5 seconds"):
            transport.send(a_call(server.url, deadline=0.5))
        assert time.monotonic() - started < 1.2

    def test_the_deadline_also_holds_for_a_request_that_nobody_reads(self, transport: HttpTransport) -> None:
        started = time.monotonic()
        with serving(lambda connection, number: time.sleep(3)) as server, pytest.raises(OutcomeUnknown):
            transport.send(a_call(server.url, deadline=1.0, json={"big": "x" * 16_000_000}))
        assert time.monotonic() - started < 2.5

    def test_too_large_by_length(self, transport: HttpTransport) -> None:
        def behaviour(connection: socket.socket, number: int) -> None:
            receive_request(connection)
            connection.sendall(answer(b"x" * (MAX_CAPTURE_BYTES + 1)))

        with serving(behaviour) as server, pytest.raises(OutcomeUnknown, match="larger"):
            transport.send(a_call(server.url))

    def test_an_endless_answer_is_left_after_the_limit(self, transport: HttpTransport) -> None:
        sent = 0

        def behaviour(connection: socket.socket, number: int) -> None:
            nonlocal sent
            receive_request(connection)
            connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            while True:
                sent += connection.send(b"x" * 65_536)

        with serving(behaviour) as server, pytest.raises(OutcomeUnknown, match="larger"):
            transport.send(a_call(server.url))
        assert sent < 20 * MAX_CAPTURE_BYTES

    def test_a_small_answer_that_unfolds_to_a_giant(self, transport: HttpTransport) -> None:
        bomb = gzip.compress(b"0" * (50 * MAX_CAPTURE_BYTES))

        def behaviour(connection: socket.socket, number: int) -> None:
            receive_request(connection)
            connection.sendall(answer(bomb, "200 OK", "Content-Encoding: gzip"))

        with serving(behaviour) as server, pytest.raises(OutcomeUnknown, match="larger"):
            transport.send(a_call(server.url))


class TestAnswers:
    def respond(self, reply: bytes) -> Behaviour:
        def behaviour(connection: socket.socket, number: int) -> None:
            receive_request(connection)
            connection.sendall(reply)

        return behaviour

    @pytest.mark.parametrize("status", ["200 OK", "400 Bad Request", "429 Too Many", "500 Oops", "503 Busy"])
    def test_every_status_is_an_answer(self, transport: HttpTransport, status: str) -> None:
        with serving(self.respond(answer(b"{}", status, "Retry-After: 0"))) as server:
            assert transport.send(a_call(server.url)).status == int(status[:3])
            assert server.connections == 1

    def test_redirects_are_answers_and_are_not_followed(self, transport: HttpTransport) -> None:
        with serving(self.respond(answer(b"", "307 Temporary Redirect", "Location: /elsewhere"))) as server:
            raw = transport.send(a_call(server.url))
            assert (raw.status, raw.headers["location"], server.connections) == (307, "/elsewhere", 1)

    def test_compressed_answers_are_unpacked(self, transport: HttpTransport) -> None:
        packed = gzip.compress(b'{"a": 1}')
        with serving(self.respond(answer(packed, "200 OK", "Content-Encoding: gzip"))) as server:
            raw = transport.send(a_call(server.url))
        assert raw.document() == {"a": 1}
        assert "content-encoding" not in raw.headers

    def test_cookies_are_neither_kept_nor_stored(self, transport: HttpTransport) -> None:
        seen: list[bytes] = []

        def behaviour(connection: socket.socket, number: int) -> None:
            for _ in range(2):
                seen.append(receive_request(connection))
                connection.sendall(answer(b"{}", "200 OK", "Set-Cookie: session=abc; Path=/"))

        with serving(behaviour) as server:
            first = transport.send(a_call(server.url, write=False))
            transport.send(a_call(server.url, write=False))
        assert "set-cookie" not in first.headers
        assert b"cookie" not in seen[1].lower()


class TestConnections:
    def keep_alive(self, connection: socket.socket, number: int) -> None:
        while True:
            receive_request(connection)
            connection.sendall(answer())

    def test_reads_share_a_connection(self, transport: HttpTransport) -> None:
        with serving(self.keep_alive) as server:
            for _ in range(3):
                transport.send(a_call(server.url, write=False, method="GET"))
            assert server.connections == 1

    def test_each_write_has_its_own(self, transport: HttpTransport) -> None:
        with serving(self.keep_alive) as server:
            transport.send(a_call(server.url, write=False, method="GET"))
            for _ in range(2):
                transport.send(a_call(server.url))
            assert server.connections == 3

    def test_a_kept_connection_that_dies_under_the_request_is_unknown(self, transport: HttpTransport) -> None:
        def behaviour(connection: socket.socket, number: int) -> None:
            receive_request(connection)
            connection.sendall(answer())
            receive_request(connection)
            reset(connection)

        with serving(behaviour) as server:
            transport.send(a_call(server.url, write=False))
            with pytest.raises(OutcomeUnknown):
                transport.send(a_call(server.url, write=False))

    def test_the_deadline_holds_on_a_kept_connection(self, transport: HttpTransport) -> None:
        def behaviour(connection: socket.socket, number: int) -> None:
            receive_request(connection)
            connection.sendall(answer())
            receive_request(connection)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
            for _ in range(60):
                connection.sendall(b"1")
                time.sleep(0.05)

        started = time.monotonic()
        with serving(behaviour) as server:
            transport.send(a_call(server.url, write=False))
            with pytest.raises(OutcomeUnknown):
                transport.send(a_call(server.url, write=False, deadline=0.5))
        assert time.monotonic() - started < 1.5

    def test_many_threads_get_their_own_answers(self, transport: HttpTransport) -> None:
        def behaviour(connection: socket.socket, number: int) -> None:
            while True:
                path = receive_request(connection).split(b" ")[1]
                connection.sendall(answer(path))

        wrong: list[int] = []

        def work(number: int) -> None:
            for turn in range(10):
                path = f"/{number}/{turn}"
                raw = transport.send(a_call(server.url + path, write=turn % 3 == 0, method="GET"))
                if raw.body != path.encode():
                    wrong.append(number)

        with serving(behaviour) as server:
            threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        assert wrong == []

    def test_no_timer_is_left_running(self, transport: HttpTransport) -> None:
        with serving(self.keep_alive) as server:
            transport.send(a_call(server.url, deadline=30))
            timers = [thread for thread in threading.enumerate() if isinstance(thread, threading.Timer)]
            for timer in timers:
                timer.join(1)
            assert not any(timer.is_alive() for timer in timers)


def shown(error: BaseException) -> str:
    """Everything about an error that a log could show, its causes and their arguments included."""
    parts = ["".join(traceback.format_exception(error))]
    cause: BaseException | None = error
    while cause is not None:
        parts += [repr(cause), repr(vars(cause))]
        cause = cause.__cause__ or cause.__context__
    return "\n".join(parts)


QUERY_SECRET, BODY_SECRET = "in-the-" + "query", "in-the-" + "body"


def a_secret_call(url: str) -> Call[Any]:
    return a_call(url, query={"pipl_password": QUERY_SECRET}, json={"password": BODY_SECRET})


class TestSilence:
    @pytest.mark.parametrize("behaviour", [reset_after_request, truncated_body, not_http, no_answer])
    def test_no_error_carries_query_headers_or_body(self, transport: HttpTransport, behaviour: Behaviour) -> None:
        with serving(behaviour) as server:
            call = dataclasses.replace(a_secret_call(server.url), deadline=0.5)
            with pytest.raises(PlatformError) as caught:
                transport.send(call)
        for secret in (KEY, QUERY_SECRET, BODY_SECRET):
            assert secret not in shown(caught.value)
        assert caught.value.__context__ is None

    def test_not_sent_carries_nothing_either(self, transport: HttpTransport) -> None:
        call = a_secret_call(f"http://127.0.0.1:{free_port()}/")
        with pytest.raises(NotSent) as caught:
            transport.send(call)
        for secret in (KEY, QUERY_SECRET, BODY_SECRET):
            assert secret not in shown(caught.value)
        assert caught.value.__context__ is None

    def test_calls_and_answers_hide_their_contents(self) -> None:
        call = a_call("http://127.0.0.1/", json={"password": BODY_SECRET})
        raw = Raw(200, {"x": KEY}, BODY_SECRET.encode())
        assert KEY not in repr(call) + repr(raw)
        assert BODY_SECRET not in repr(call) + repr(raw)


class TestWithCannedAnswers:
    """Other tests stand in for the network one level higher: the meaning must be the same."""

    @responses.activate
    def test_answer(self, transport: HttpTransport) -> None:
        responses.post("https://api.example.test/x", json={"a": 1}, status=202)
        assert transport.send(a_call("https://api.example.test/x")).status == 202

    @responses.activate
    @pytest.mark.parametrize(
        ("failure", "meaning"),
        [
            ("ReadTimeout", OutcomeUnknown),
            ("ConnectTimeout", NotSent),
            ("ConnectionError", NotSent),
            ("SSLError", NotSent),
        ],
    )
    def test_failures(self, transport: HttpTransport, failure: str, meaning: type[PlatformError]) -> None:
        import requests

        responses.post("https://api.example.test/x", body=getattr(requests.exceptions, failure)())
        with pytest.raises(meaning):
            transport.send(a_call("https://api.example.test/x"))


def test_certificates_are_checked_by_default(transport: HttpTransport, tmp_path: Any) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate = self_signed(tmp_path)
    context.load_cert_chain(certificate)
    requests_seen: list[bytes] = []

    def behaviour(connection: socket.socket, number: int) -> None:
        with context.wrap_socket(connection, server_side=True) as secured:
            requests_seen.append(receive_request(secured))
            secured.sendall(answer(b'{"tls": true}'))

    with serving(behaviour) as server:
        url = server.url.replace("http:", "https:")
        with pytest.raises(NotSent):
            transport.send(a_call(url))
        assert requests_seen == []
        assert HttpTransport(verify=certificate).send(a_call(url)).document() == {"tls": True}


def test_the_deadline_holds_over_tls(tmp_path: Any) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate = self_signed(tmp_path)
    context.load_cert_chain(certificate)

    def behaviour(connection: socket.socket, number: int) -> None:
        with context.wrap_socket(connection, server_side=True) as secured:
            receive_request(secured)
            secured.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            for _ in range(60):
                secured.sendall(b"1")
                time.sleep(0.05)

    started = time.monotonic()
    with serving(behaviour) as server, pytest.raises(OutcomeUnknown):
        url = server.url.replace("http:", "https:")
        HttpTransport(verify=certificate).send(a_call(url, deadline=0.5))
    assert time.monotonic() - started < 1.5


def self_signed(directory: Any) -> str:
    """Write a certificate for 127.0.0.1 together with its key, and return the path."""
    import datetime
    import ipaddress

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), True)
        .sign(key, hashes.SHA256())
    )
    path = directory / "server.pem"
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    return str(path)
