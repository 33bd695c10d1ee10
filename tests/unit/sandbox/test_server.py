"""The sandbox as a process: real sockets on this machine, broken ones included."""

from __future__ import annotations

import http.client
import json
import smtplib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from infra.dns.records import Type
from infra.dns.resolver import servers as resolvers
from integrations.http.errors import NotSent, OutcomeUnknown
from integrations.http.transport import HttpTransport
from integrations.sandbox.server import CannotServe, Options, Servers, is_local, post, serve
from tests.unit.sandbox.kit import call

KEY = {"x-api-key": "sandbox-heyreach-key"}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def options(tmp_path: Path, **changes: Any) -> Options:
    given = {
        "port": 0,
        "control_port": 0,
        "mail_port": 0,
        "dns_port": 0,
        "post_port": 0,
        "state": tmp_path / "sandbox.state",
    }
    return Options(**{**given, "profile": "none", **changes})


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[Servers]:
    running = Servers(options(tmp_path), {})
    running.start()
    running.sandbox.switches.set(heyreach_list_visible_seconds=0)
    yield running
    running.stop()


def ask(port: int, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        content = None if body is None else json.dumps(body)
        connection.request(method, path, content, {name.replace("_", "-"): value for name, value in headers.items()})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def port_of(servers: Servers) -> int:
    return int(servers.main.server_address[1])


def address(servers: Servers, path: str = "/list/CreateEmptyList") -> str:
    return f"{servers.public_url}/heyreach/api/public{path}"


def await_true(check: Callable[[], bool]) -> None:
    """Wait for another thread of the server, briefly."""
    limit = time.monotonic() + 5
    while not check():
        assert time.monotonic() < limit, "it did not happen"
        threading.Event().wait(0.01)


def test_a_platform_answers_over_http_and_the_connection_stays(servers: Servers) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port_of(servers), timeout=5)
    for _ in range(2):
        connection.request("GET", "/heyreach/api/public/auth/CheckApiKey", headers=KEY)
        answer = connection.getresponse()
        assert (answer.status, answer.read()) == (200, b"")
    connection.close()


def test_the_product_s_transport_reaches_it(servers: Servers) -> None:
    request = call(address(servers), method="POST", json={"name": "A"}, headers=KEY)
    assert HttpTransport().send(request).document()["name"] == "A"


@pytest.mark.parametrize(
    "kind", ["reset_before", "reset_after", "truncated_body", "timeout_after", "slow_body", "huge_body"]
)
def test_faults_are_unknown_outcomes_for_the_product_s_transport(servers: Servers, kind: str) -> None:
    servers.sandbox.faults.add(kind, platform="heyreach", seconds=5.0, times=1)
    request = call(address(servers), method="POST", json={"name": "A"}, headers=KEY, deadline=0.5)
    with pytest.raises(OutcomeUnknown):
        HttpTransport().send(request)


def test_a_stopped_sandbox_is_not_reached_at_all(tmp_path: Path) -> None:
    running = Servers(options(tmp_path), {})
    running.start()
    running.stop()
    with pytest.raises(NotSent):
        HttpTransport().send(call(address(running), method="POST", json={"name": "A"}, headers=KEY))


def test_the_control_plane_has_a_port_of_its_own(servers: Servers) -> None:
    port = int(servers.control.server_address[1])
    assert ask(port, "GET", "/healthz")[0] == 200
    assert ask(port_of(servers), "GET", "/state")[0] == 404


def test_mail_is_received_by_smtp(servers: Servers) -> None:
    with smtplib.SMTP("127.0.0.1", servers.mail.port, timeout=5) as client:
        client.sendmail("a@ops.example", ["b@student.example"], b"Subject: Hello\r\n\r\nText\r\n")
    assert [mail.subject for mail in servers.sandbox.world.mail] == ["Hello"]
    assert b"Hello" in ask(port_of(servers), "GET", "/mail/")[1]


def test_a_restart_finds_everything_again(tmp_path: Path) -> None:
    chosen = options(tmp_path)
    first = Servers(chosen, {})
    first.start()
    ask(
        port_of(first),
        "POST",
        "/heyreach/api/public/list/CreateEmptyList",
        {"name": "A"},
        x_api_key=KEY["x-api-key"],
    )
    first.stop()
    again = Servers(chosen, {})
    assert [item["name"] for item in again.sandbox.state()["heyreach"]["lists"]] == ["A"]
    again.stop()


def test_foreign_host_names_and_foreign_forms_are_refused(servers: Servers) -> None:
    port = port_of(servers)
    assert ask(port, "GET", "/", host="evil.example")[0] == 403
    assert ask(port, "POST", "/wallet", {}, origin="https://evil.example")[0] == 403
    assert ask(port, "GET", "/", host=f"localhost:{port}")[0] == 200


def test_a_request_of_unreasonable_length_is_refused(servers: Servers) -> None:
    assert ask(port_of(servers), "POST", "/wallet", content_length="99999999999")[0] == 400


def test_a_busy_port_gives_one_clear_sentence(servers: Servers, tmp_path: Path) -> None:
    busy = port_of(servers)
    for name in ("port", "control_port", "mail_port"):
        with pytest.raises(CannotServe, match=f"^Port {busy} is in use by another program; [^.]*\\.$"):
            serve(options(tmp_path, **{name: busy}), {}, until=threading.Event())


def test_a_busy_port_of_a_name_server_gives_the_same_sentence(servers: Servers, tmp_path: Path) -> None:
    busy = servers.dns.ports["lagging"]
    with pytest.raises(CannotServe, match=f"^Port {busy} is in use by another program; [^.]*\\.$"):
        serve(options(tmp_path, dns_port=busy), {}, until=threading.Event())


def test_its_names_are_asked_over_the_network(servers: Servers) -> None:
    place = f"127.0.0.1:{servers.dns.ports['first']}"
    (resolver,) = resolvers([place])
    assert resolver.query("smtp.google.com", Type.A).values == ("192.0.2.25",)


def test_serve_refuses_live_mode_other_addresses_and_unknown_profiles(tmp_path: Path) -> None:
    until = threading.Event()
    with pytest.raises(CannotServe, match="PLATFORM_MODE is live"):
        serve(options(tmp_path), {"PLATFORM_MODE": "live"}, until=until)
    with pytest.raises(CannotServe, match="loopback"):
        serve(options(tmp_path, host="0.0.0.0"), {}, until=until)
    with pytest.raises(CannotServe, match="no profile"):
        serve(options(tmp_path, profile="chaos"), {}, until=until)


def test_a_state_file_that_cannot_be_written_gives_one_clear_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CannotServe, match=r"^The sandbox cannot write .*sandbox.state: [^.]*\.$"):
        serve(options(tmp_path, state=tmp_path / "file" / "sandbox.state"), {}, until=threading.Event())


def test_serve_ends_when_told_and_tells_when_it_is_ready(tmp_path: Path) -> None:
    until, seen = threading.Event(), list[str]()

    def ready(servers: Servers) -> None:
        seen.append(servers.public_url)
        until.set()

    serve(options(tmp_path), {}, until=until, ready=ready)
    assert seen[0].startswith("http://127.0.0.1:")
    assert (tmp_path / "sandbox.state").stat().st_mode & 0o077 == 0


@pytest.fixture
def hook() -> Iterator[tuple[str, list[bytes]]]:
    """A place that webhooks reach."""
    received: list[bytes] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.append(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(302 if self.path == "/moved" else 204)
            self.send_header("location", "/elsewhere")
            self.end_headers()

        def log_message(self, *args: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}", received
    server.shutdown()
    server.server_close()
    thread.join(5)


def test_webhooks_really_go_out(servers: Servers, hook: tuple[str, list[bytes]]) -> None:
    from integrations.sandbox.zapmail_world import emit

    url, received = hook
    headers = {"x_auth_zapmail": "sandbox-zapmail-key"}
    body = {"url": url, "enabled_events": []}
    assert ask(port_of(servers), "POST", "/zapmail/api/v2/webhooks/endpoints", body, **headers)[0] == 200
    with servers.sandbox.lock:
        emit(servers.sandbox.world, "domain.updated", {"id": "d"}, 0.0)
    await_true(lambda: bool(received))
    assert json.loads(received[0])["type"] == "domain.updated"


def test_webhooks_follow_no_redirect_and_leave_the_machine_never(hook: tuple[str, list[bytes]]) -> None:
    assert post(hook[0] + "/moved", {}, b"{}") == 302
    assert len(hook[1]) == 1
    assert post("http://example.com/hook", {}, b"{}") == 0
    assert post(f"http://127.0.0.1:{free_port()}/", {}, b"{}") == 0


@pytest.mark.parametrize(
    ("host", "local"),
    [("127.0.0.1", True), ("localhost", True), ("[::1]", True), ("10.0.0.1", False), ("localhost.evil.example", False)],
)
def test_what_counts_as_this_machine(host: str, local: bool) -> None:
    assert is_local(host) is local
