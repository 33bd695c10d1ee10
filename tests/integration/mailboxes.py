"""A mailbox that runs: its rows, and what the simulated platform has of it."""

from __future__ import annotations

from infra.models import AuthenticationTest, DomainState, Mailbox, MailboxSecret, MailboxState, ProvisionState
from infra.secret import Secret
from integrations.sandbox import Sandbox, zapmail_world
from tests.integration.world import new_order, paid

PASSWORD = "abcdefghijklmnop"


def running_mailbox(sandbox: Sandbox | None = None, name: str = "acme") -> Mailbox:
    """Make an order that is up, and return the first of its mailboxes; with a sandbox, it sends."""
    order = new_order(name)
    paid(order)
    order.refresh_from_db()
    order.state = ProvisionState.ACTIVE
    order.save()
    order.domains.filter(state=DomainState.SELECTED).update(state=DomainState.ACTIVE)
    order.mailboxes.update(state=MailboxState.WARMING)
    for one in order.mailboxes.all():
        MailboxSecret.objects.create(mailbox=one, student=order.student, app_password=Secret(PASSWORD))
    box = order.mailboxes.select_related("domain", "provision").order_by("address").first()
    assert box is not None
    if sandbox is not None:
        at_zapmail(sandbox, box)
    return box


def at_zapmail(sandbox: Sandbox, box: Mailbox) -> zapmail_world.Mailbox:
    """Let the simulated platform have a mailbox and its domain, with good records."""
    state, name = sandbox.world.zapmail, box.domain.name
    state.domains[name] = zapmail_world.Domain(name, name, "w", "GOOGLE", 0.0, 0.0, 1299, 1, "ACTIVE")
    names = (box.username, box.first_name, box.last_name, "GOOGLE")
    made = zapmail_world.Mailbox(box.address, name, name, "w", *names, 0.0, PASSWORD, "x", "ACTIVE")
    state.mailboxes[made.id] = made
    return made


def only_test(box: Mailbox) -> AuthenticationTest:
    """Return the one test of a mailbox."""
    return AuthenticationTest.objects.get(mailbox=box)
