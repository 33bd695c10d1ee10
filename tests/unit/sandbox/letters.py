"""A mailbox of the simulated world with a good domain, and messages from it."""

from __future__ import annotations

from infra.dns.message import Judged, Trust, judge
from integrations.http.redact import Hidden
from integrations.mail_probe import TOKEN_HEADER, Door, Outgoing, Settings
from integrations.sandbox import Sandbox, post_office
from integrations.sandbox.zapmail_world import Mailbox
from tests.integration.world import name_servers

from .kit import Box

NAME, PASSWORD = "getacme.com", "abcdefghijklmnop"
ADDRESS = f"ada@{NAME}"
TRUST = Trust(post_office.AUTHSERV, post_office.AUTHSERV)
SMTP = Door("smtp.gmail.com", 465)


def box_with_mailbox(address: str = ADDRESS, provider: str = "GOOGLE") -> Box:
    """Return a sandbox in which Zapmail has an active domain with one mailbox."""
    box = Box(zapmail_domain_active_seconds=(600, 600))
    box.buy(box.workspace(), NAME)
    box.sandbox.advance(1200)
    domain = box.sandbox.world.zapmail.domain_named(NAME)
    assert domain is not None
    domain.provider = provider
    user = address.partition("@")[0]
    made = Mailbox(
        "m1", domain.id, NAME, domain.workspace_id, user, "Ada", "Sample", provider, 0.0, PASSWORD, "x", "ACTIVE"
    )
    box.sandbox.world.zapmail.mailboxes[made.id] = made
    return box


def letter(token: str = "token1", *, address: str = ADDRESS, password: str = PASSWORD, door: Door = SMTP) -> Outgoing:
    raw = (
        f"From: {address}\r\nTo: {post_office.PROBE}\r\nSubject: A test\r\nDate: Fri, 27 Nov 2026 10:00:00 +0000\r\n"
        f"Message-ID: <{token}@{NAME}>\r\n{TOKEN_HEADER}: {token}\r\n\r\nHello.\r\n.\r\n..and on\r\n"
    )
    return Outgoing(door, address, Hidden(password), raw.encode())


def judged(sandbox: Sandbox, raw: bytes) -> Judged:
    return judge(raw, TRUST, name_servers(sandbox).resolvers[0])


def doors(ports: dict[str, int]) -> Settings:
    """Return the settings of a probe whose servers listen on this machine."""
    return Settings(
        address=post_office.PROBE,
        imap=Door("127.0.0.1", ports["imap"]),
        user=post_office.PROBE,
        password=Hidden(post_office.PROBE_PASSWORD),
        authserv=post_office.AUTHSERV,
        received_by=post_office.AUTHSERV,
        submission={
            "SSL/TLS": Door("127.0.0.1", ports["ssl"]),
            "STARTTLS": Door("127.0.0.1", ports["starttls"], "STARTTLS"),
        },
        authorities=str(post_office.CERTIFICATE),
    )
