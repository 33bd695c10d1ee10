"""States as a student reads them: the word, the tone that chooses shape and colour, and the sentence."""

from __future__ import annotations

from django.utils.functional import Promise
from django.utils.translation import gettext as _text
from django.utils.translation import gettext_lazy as _

from infra.models import Domain, DomainState, MailboxState, ProvisionState
from infra.presenters_base import Tag
from provisioning.stacks import STACKS

Words = tuple[str | Promise, str]

DOMAIN: dict[str, Words] = {
    DomainState.SELECTED: (_("Chosen"), "off"),
    DomainState.SPARE: (_("Spare"), "off"),
    DomainState.LOST: (_("Lost to somebody else"), "failed"),
    DomainState.PURCHASING: (_("Being bought"), "busy"),
    DomainState.PENDING_NAMESERVERS: (_("Waiting for your name servers"), "attention"),
    DomainState.NAMESERVERS_VERIFIED: (_("Connected"), "busy"),
    DomainState.DNS_PENDING: (_("Address records on their way"), "wait"),
    DomainState.CONNECTED: (_("Connected"), "done"),
    DomainState.ACTIVE: (_("Ready"), "done"),
    DomainState.FAILED: (_("Failed"), "failed"),
    DomainState.EXPIRED: (_("Expired"), "failed"),
    DomainState.RELEASED: (_("Released"), "off"),
}

MAILBOX: dict[str, Words] = {
    MailboxState.PLANNED: (_("Planned"), "off"),
    MailboxState.CREATING: (_("Being made"), "busy"),
    MailboxState.CREATED: (_("Made"), "busy"),
    MailboxState.CONNECTED: (_("In the sending tool"), "busy"),
    MailboxState.WARMING: (_("Warming up"), "busy"),
    MailboxState.READY: (_("Ready to send"), "done"),
    MailboxState.SUSPENDED: (_("Paused"), "attention"),
    MailboxState.FAILED: (_("Failed"), "failed"),
    MailboxState.REMOVED: (_("Removed"), "off"),
}

PROVISION: dict[str, Words] = {
    ProvisionState.DRAFT: (_("Draft"), "off"),
    ProvisionState.PENDING_PAYMENT: (_("Waiting for payment"), "wait"),
    ProvisionState.PROVISIONING: (_("Being built"), "busy"),
    ProvisionState.ACTIVE: (_("Active"), "done"),
    ProvisionState.ACTIVE_WITH_EXCEPTIONS: (_("Active, with exceptions"), "attention"),
    ProvisionState.UPGRADING: (_("Being enlarged"), "busy"),
    ProvisionState.SUSPENDED: (_("Paused"), "attention"),
    ProvisionState.FAILED: (_("Stopped"), "failed"),
    ProvisionState.CANCELLING: (_("Being taken down"), "wait"),
    ProvisionState.CANCELLED: (_("Ended"), "off"),
}


def how_long(stack: str) -> str:
    """Say how long a set-up of this stack usually takes."""
    found = STACKS.get(stack)
    if found is None or not found.pitch.ready:
        return ""
    return _text("A set-up usually takes %(time)s.") % {"time": found.pitch.ready}


def domain(one: Domain) -> Tag:
    """Return how a domain's state reads. Nobody else takes a domain that the student owns: it is left out."""
    if one.is_own and one.state == DomainState.LOST:
        return Tag(str(_("Left out")), "off")
    return _tag(DOMAIN, one.state)


def mailbox(state: str) -> Tag:
    """Return how a mailbox's state reads."""
    return _tag(MAILBOX, state)


def provision(state: str) -> Tag:
    """Return how a provision's state reads."""
    return _tag(PROVISION, state)


def _tag(table: dict[str, Words], state: str) -> Tag:
    word, tone = table[state]
    return Tag(str(word), tone)
