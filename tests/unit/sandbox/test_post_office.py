"""Mail between the simulated servers: signed as the platforms' state says, and judged by the receiver for what it is."""

from __future__ import annotations

import base64
import json
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from infra.dns.compliance import Value
from integrations.http.errors import BadCredentials, OutcomeUnknown, Rejected, Retryable
from integrations.sandbox import Request, control, google_world, infraforge_world, mailhost
from integrations.sandbox.dns import DKIM_KEY
from integrations.sandbox.post import InProcessPost
from integrations.sandbox.post_office import KEY, PROBE, spf

from .kit import Box
from .letters import ADDRESS, NAME, box_with_mailbox, judged, letter

PASS, FAIL = Value.PASS, Value.FAIL


@pytest.fixture
def box() -> Box:
    return box_with_mailbox()


def delivered(box: Box, token: str = "token1") -> bytes:
    (raw,) = InProcessPost(box.sandbox).find(token)
    return raw


def verdicts(raw: bytes) -> list[str]:
    """Return what the receiver wrote on top."""
    lines = raw.decode().split("\r\n")
    start = next(number for number, line in enumerate(lines) if line.startswith("Authentication-Results:"))
    return [line.strip(" ;").split(" ")[0] for line in lines[start + 1 : start + 4]]


def test_the_published_key_is_that_of_the_pair_that_signs() -> None:
    key = load_pem_private_key(KEY.read_bytes(), None).public_key()
    assert base64.b64encode(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).decode() == DKIM_KEY


@pytest.mark.parametrize("provider", ["GOOGLE", "MICROSOFT"])
def test_a_mailbox_of_a_good_domain_passes_for_the_receiver_and_for_us(provider: str) -> None:
    box = box_with_mailbox(provider=provider)
    InProcessPost(box.sandbox).send(letter())
    raw = delivered(box)
    assert verdicts(raw) == ["dkim=pass", "spf=pass", "dmarc=pass"]
    found = judged(box.sandbox, raw)
    assert (found.spf.value, found.dkim.value, found.dmarc.value) == (PASS, PASS, PASS)
    assert found.domain == NAME


def test_a_mailbox_at_infraforge_signs_and_sends_from_its_own_server(box: Box) -> None:
    world, now = box.sandbox.world, box.sandbox.clock.now()
    space = infraforge_world.make_workspace(world, "x", False, now)
    domain = infraforge_world.Domain("d1", "getforge.com", space.id, now, 0)
    domain.records = infraforge_world.first_records(world, domain, space)
    domain.status, domain.published = "active", [(now, tuple(domain.records))]
    world.infraforge.domains[domain.id] = domain
    address = "ada@getforge.com"
    world.infraforge.mailboxes["m"] = infraforge_world.Mailbox(
        "m", domain.id, domain.name, address, space.id, "A", "B", now, "first"
    )
    mailhost.set_password(world, address, "second", now)
    with pytest.raises(BadCredentials):
        InProcessPost(box.sandbox).send(letter(address=address, password="first"))
    InProcessPost(box.sandbox).send(letter(address=address, password="second"))
    raw = delivered(box)
    assert space.mailserver in raw.decode()
    assert verdicts(raw) == ["dkim=pass", "spf=pass", "dmarc=pass"]
    assert judged(box.sandbox, raw).is_signed


def test_at_google_a_message_is_signed_in_the_domains_name_once_it_was_started_and_published(box: Box) -> None:
    world, now = box.sandbox.world, box.sandbox.clock.now()
    state, address = world.google_workspace, "ada@ownexample.com"
    state.domains["ownexample.com"] = google_world.Domain("ownexample.com", now, now)
    state.users["7"] = google_world.User("7", address, "Ada", "Sample", "own", 0.0, two_step=True)
    google_world.make_app_password(world, address, "Mail", now)
    password = state.users["7"].app_passwords[0].value
    send = InProcessPost(box.sandbox).send
    send(letter("before", address=address, password=password))
    found = judged(box.sandbox, delivered(box, "before"))
    assert found.dkim.said.code == "dkim-foreign"
    assert "gappssmtp.com" in str(found.dkim.said)
    key = google_world._make_key("google", 2048)
    key.started_at = now
    state.domains["ownexample.com"].dkim = key
    send(letter("started", address=address, password=password))
    raw = delivered(box, "started")
    assert b"d=ownexample.com" in raw
    assert verdicts(raw)[0] == "dkim=fail"  # nothing is published
    with pytest.raises(BadCredentials):
        send(letter(address=address, password="own"))


@pytest.mark.parametrize(
    ("kind", "code", "first"),
    [
        ("mail_unsigned", "dkim-unsigned", "dkim=none"),
        ("mail_foreign", "dkim-foreign", "dkim=pass"),
        ("mail_changed", "dkim-invalid", "dkim=fail"),
    ],
)
def test_hostile_senders_are_what_they_are(box: Box, kind: str, code: str, first: str) -> None:
    box.sandbox.faults.add(kind, platform="mail", times=1)
    InProcessPost(box.sandbox).send(letter())
    raw = delivered(box)
    assert verdicts(raw)[0] == first
    assert judged(box.sandbox, raw).dkim.said.code == code
    InProcessPost(box.sandbox).send(letter("again"))
    assert judged(box.sandbox, delivered(box, "again")).is_signed


def test_a_forged_verdict_travels_along_and_is_not_believed(box: Box) -> None:
    for kind in ("mail_unsigned", "mail_forged"):
        box.sandbox.faults.add(kind, platform="mail", times=1)
    InProcessPost(box.sandbox).send(letter())
    raw = delivered(box)
    assert raw.count(b"Authentication-Results: mx.probe.example") == 2
    found = judged(box.sandbox, raw)
    assert (found.dkim.value, found.dkim.reported, found.ignored) == (FAIL, "none", ("mx.probe.example",))


def test_mail_may_be_late_lost_or_taken_without_an_answer(box: Box) -> None:
    post, faults = InProcessPost(box.sandbox), box.sandbox.faults
    faults.add("mail_late", platform="mail", seconds=60, times=1)
    post.send(letter("late"))
    assert post.find("late") == []
    box.sandbox.advance(60)
    assert len(post.find("late")) == 1
    faults.add("mail_lost", platform="mail", times=1)
    post.send(letter("lost"))
    for kind, arrived in (("mail_cut", 1), ("mail_cut_before", 0)):
        faults.add(kind, platform="mail", times=1)
        with pytest.raises(OutcomeUnknown):
            post.send(letter(kind))
        assert len(post.find(kind)) == arrived
    assert post.find("lost") == []
    faults.add("mail_deferred", platform="mail", times=1)
    with pytest.raises(Retryable):
        post.send(letter())
    faults.add("mail_login", platform="mail", times=1)
    with pytest.raises(BadCredentials):
        post.send(letter())


def test_only_mailboxes_of_a_platform_send_and_only_to_the_probe(box: Box) -> None:
    post = InProcessPost(box.sandbox)
    with pytest.raises(BadCredentials):
        post.send(letter(password="wrong"))
    mailhost.set_password(box.sandbox.world, "nobody@example.com", "secret", 0.0)
    with pytest.raises(Rejected):
        post.send(letter(address="nobody@example.com", password="secret"))
    elsewhere = InProcessPost(box.sandbox, replace(post.settings, address="x@y.example"))
    with pytest.raises(Rejected, match="one receiver"):
        elsewhere.send(letter())


def test_a_search_looks_into_headers_alone(box: Box) -> None:
    post = InProcessPost(box.sandbox)
    post.send(letter("abc"))
    assert len(post.find("abc")) == 1
    assert post.find("Hello") == post.find("zzz") == []


def test_the_control_plane_plays_the_hostile_sender_and_shows_what_arrived(box: Box) -> None:
    fault = {"kind": "mail_unsigned", "platform": "mail", "items": [ADDRESS], "times": 1}
    control.handle(box.sandbox, Request.to("POST", "/faults", body=json.dumps(fault).encode()))
    InProcessPost(box.sandbox).send(letter())
    assert judged(box.sandbox, delivered(box)).dkim.said.code == "dkim-unsigned"
    assert [one["uid"] for one in box.sandbox.state()["probe"]] == [1]
    assert PROBE in delivered(box).decode()


@pytest.mark.parametrize(
    ("address", "result"), [("192.0.2.41", "pass"), ("198.51.100.9", "softfail"), ("2001:db8:6006::1", "pass")]
)
def test_the_receiver_works_spf_out(box: Box, address: str, result: str) -> None:
    assert spf(box.sandbox.world, NAME, address, box.sandbox.clock.now()) == result
    assert spf(box.sandbox.world, "nothing.example", address, 0.0) == "none"
