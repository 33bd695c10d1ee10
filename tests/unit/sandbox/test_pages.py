"""The operator's pages of the sandbox: honest, plain, and usable for the demo's failures."""

from __future__ import annotations

import re
from email.message import EmailMessage
from urllib.parse import urlencode

import pytest

from integrations.sandbox import Request, Response, google_world
from integrations.sandbox.pages import PRESETS, STYLES
from tests.unit.sandbox.kit import Box


@pytest.fixture
def box() -> Box:
    return Box()


def get(box: Box, url: str) -> Response:
    return box.sandbox.handle(Request.to("GET", url))


def post(box: Box, url: str, **fields: object) -> Response:
    return box.sandbox.handle(Request.to("POST", url, body=urlencode(fields).encode()))


def receive(box: Box, subject: str = "Hello", text: str = "See http://127.0.0.1:8000/x", html: str = "") -> None:
    message = EmailMessage()
    message["Subject"], message["From"], message["To"] = subject, "a@ops.example", "b@student.example"
    message.set_content(text)
    if html:
        message.add_alternative(html, subtype="html")
    box.sandbox.receive_mail("a@ops.example", ("b@student.example",), message.as_bytes())


def test_the_root_page_shows_what_the_platforms_hold_and_that_it_is_simulated(box: Box) -> None:
    box.exported("sample")
    page = get(box, "/").body.decode()
    assert "Everything here is simulated" in page
    for text in ("getexamplebrand.com", "sample@getexamplebrand.com", "GTM-7K3F9Q", "student@example.com", "$4,983.51"):
        assert text in page


def test_pages_have_a_strict_policy_and_nothing_inline_or_foreign(box: Box) -> None:
    box.exported("sample")
    box.sandbox.faults.add("status", platform="heyreach")
    receive(box)
    for url in ("/", "/?refresh=1", "/mail/", "/mail/1/", "/nowhere"):
        answer = get(box, url)
        assert answer.headers["content-security-policy"].startswith("default-src 'none'; style-src 'self'")
        page = answer.body.decode()
        assert not re.search(r"<script|\sstyle=|\son\w+=|<style", page)
        assert 'lang="en"' in page
        assert page.count("<h1>") == 1
    assert "url(" not in STYLES


def test_the_root_page_refreshes_only_when_asked(box: Box) -> None:
    assert "http-equiv" not in get(box, "/").body.decode()
    assert '<meta http-equiv="refresh" content="5">' in get(box, "/?refresh=1").body.decode()


def test_foreign_text_is_escaped(box: Box) -> None:
    box.workspace("<script>alert(1)</script>")
    receive(box, subject="<b>bold</b>", text="<i>x</i>")
    for url in ("/", "/mail/", "/mail/1/"):
        assert not re.search("<script>|<b>|<i>", get(box, url).body.decode())


def test_the_wallet_is_topped_up_by_a_form(box: Box) -> None:
    assert post(box, "/wallet", dollars="12.5").status == 303
    assert box.sandbox.state()["zapmail"]["wallet_cents"] == 501_250
    for wrong in ("", "-5", "1e9", "abc", "1.234"):
        assert post(box, "/wallet", dollars=wrong).status == 400


@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_every_failure_in_the_list_can_be_switched_on_and_off(box: Box, preset: str) -> None:
    assert post(box, "/faults", preset=preset).status == 303
    fault = box.sandbox.faults.faults[0]
    assert f"Switch off fault {fault.id}" in get(box, "/").body.decode()
    assert post(box, "/faults/remove", id=fault.id).status == 303
    assert box.sandbox.faults.faults == []


def test_unknown_failures_are_refused_and_all_can_be_switched_off(box: Box) -> None:
    assert post(box, "/faults", preset="gremlins").status == 400
    assert post(box, "/faults/remove", id="x").status == 400
    post(box, "/faults", preset="key")
    assert post(box, "/faults/clear").status == 303
    assert box.sandbox.faults.faults == []


def test_an_open_order_can_be_paid_on_the_page(box: Box) -> None:
    workspace = box.workspace()
    box.buy(workspace, "getexamplebrand.com", wallet=False)
    found = re.search(r'name="order" value="(\w+)"', get(box, "/").body.decode())
    assert found
    assert post(box, "/orders/pay", order=found[1]).status == 303
    assert list(box.domains(workspace)) == ["getexamplebrand.com"]


def test_mail_is_listed_and_read_with_its_links(box: Box) -> None:
    assert "No mail yet" in get(box, "/mail/").body.decode()
    receive(box)
    assert '<a href="/mail/1/">Hello</a>' in get(box, "/mail/").body.decode()
    page = get(box, "/mail/1/").body.decode()
    assert '<a href="http://127.0.0.1:8000/x">http://127.0.0.1:8000/x</a>' in page
    assert get(box, "/mail/2/").status == 404


def test_the_html_part_of_a_mail_is_shown_in_a_cage(box: Box) -> None:
    receive(box, html="<p>Rich</p><script>alert(1)</script>")
    answer = get(box, "/mail/1/html/")
    assert b"Rich" in answer.body
    assert answer.headers["content-security-policy"].endswith("sandbox")


@pytest.mark.parametrize(("method", "status"), [("PUT", 405), ("DELETE", 405), ("POST", 405)])
def test_other_methods_are_refused(box: Box, method: str, status: int) -> None:
    assert box.sandbox.handle(Request.to(method, "/")).status == status


def test_a_person_makes_at_google_what_no_call_can_and_sees_it(box: Box) -> None:
    world, now = box.sandbox.world, box.sandbox.clock.now()
    box.sandbox.switches.set(google_workspace_dkim_wait_seconds=(0.0, 0.0))
    assert "Google Workspace</h2>" not in get(box, "/").body.decode()
    world.google_workspace.domains["own.example"] = google_world.Domain("own.example", now, now)
    assert "no DKIM key" in get(box, "/").body.decode()
    assert post(box, "/google/dkim", domain="own.example").status == 303
    assert "v=DKIM1; k=rsa; p=" in get(box, "/").body.decode()
    refused = post(box, "/google/start", domain="own.example")
    assert refused.status == 400
    assert "not visible in DNS yet" in refused.body.decode()
    assert post(box, "/google/app-password", address="nobody@own.example").status == 400
