"""Passwords that we choose for mailboxes: kept, encrypted, before anybody is told, so that a repetition sends the same."""

from __future__ import annotations

import secrets
import string
from collections.abc import Callable, Mapping

from infra.models import Credential
from infra.models.credential import MAILBOX
from infra.secret import Secret

from ..engine.context import Context, MailboxItem
from ..engine.outcomes import Done, NewCredential, Outcome

LENGTH = 20
LETTERS = string.ascii_letters + string.digits


def mailbox_kind(mailbox: MailboxItem) -> str:
    """Return the kind of the credential that keeps what opens a mailbox in mail programs."""
    return f"{MAILBOX}{mailbox.key.replace('-', '')}"


def choose(ctx: Context, kind_of: Callable[[MailboxItem], str] = mailbox_kind) -> Mapping[str, Outcome]:
    """Choose a password for each mailbox that has none of its kind."""
    chosen = set(Credential.objects.filter(provision=ctx.provision).values_list("kind", flat=True))

    def new(mailbox: MailboxItem) -> Outcome:
        kind = kind_of(mailbox)
        return Done({}, None if kind in chosen else NewCredential(kind, mailbox.address, Secret(new_password())))

    return {mailbox.key: new(mailbox) for mailbox in ctx.mailboxes}


def new_password() -> str:
    """Return a password that has each kind of letter, and nothing that a form or a file could trip over."""
    while True:
        text = "".join(secrets.choice(LETTERS) for _ in range(LENGTH))
        if any(c.islower() for c in text) and any(c.isupper() for c in text) and any(c.isdigit() for c in text):
            return text
