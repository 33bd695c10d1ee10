"""What else becomes true when a run ends, in the same commit. A stack file names one of these in its pipeline's ending."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db.models import F
from django.utils.translation import gettext as _

from infra.models import (
    Credential,
    Domain,
    DomainState,
    Mailbox,
    MailboxSecret,
    MailboxState,
    Provision,
    ProvisionState,
    RunState,
    Tier,
)
from infra.models.domain import GONE
from infra.secret import Secret

from ..models import ACTIVE_RUN, Run
from . import doorbell


def forget_logins(run: Run) -> None:
    """Forget the passwords of logins that are no more; that they were shown stays written down."""
    for credential in Credential.objects.filter(provision=run.provision_id):
        credential.password = Secret("")
        credential.save(update_fields=["password", "updated_at"])


def torn_down(run: Run) -> None:
    """Forget the logins that are gone, and let go of names that turned out never to have been bought."""
    forget_logins(run)
    domains = Domain.objects.filter(provision=run.provision_id, bought_at__isnull=True)
    domains.exclude(state=DomainState.LOST).update(state=DomainState.RELEASED)


def grow(run: Run) -> None:
    """Let a set-up have the package that an upgrade has brought it to."""
    become(Provision.objects.get(pk=run.provision_id), run.order["becomes"])


def shrink(run: Run) -> None:
    """Let a set-up have its smaller package; what was left out belongs to it no more, its paid time aside."""
    left_out = _("Left out at the change to %(package)s.") % {"package": run.order["becomes"]["tier_name"]}
    domains = Domain.objects.filter(provision=run.provision_id, name__in=run.order["drops"]).exclude(state__in=GONE)
    mailboxes = Mailbox.objects.filter(domain__in=list(domains))
    MailboxSecret.objects.filter(mailbox__in=list(mailboxes)).delete()
    mailboxes.update(state=MailboxState.REMOVED, reason=left_out)
    domains.update(state=DomainState.RELEASED, reason=left_out)
    become(Provision.objects.get(pk=run.provision_id), run.order["becomes"])


def become(live: Provision, order: Mapping[str, Any]) -> None:
    """Let a live set-up have another package. What was missing of what it keeps is missing still."""
    live.order, live.tier = dict(order), Tier.objects.filter(slug=order["tier"]).first() or live.tier
    if live.state in (ProvisionState.ACTIVE, ProvisionState.ACTIVE_WITH_EXCEPTIONS):
        gone = live.mailboxes.filter(state__in=[MailboxState.FAILED, MailboxState.REMOVED])
        gone = gone.exclude(domain__state=DomainState.RELEASED)
        is_missing = live.domains.filter(state=DomainState.FAILED).exists() or gone.exists()
        live.state = ProvisionState.ACTIVE_WITH_EXCEPTIONS if is_missing else ProvisionState.ACTIVE
    live.save(update_fields=["order", "tier", "state", "updated_at"])


def go_on(run: Run) -> None:
    """Let what was held while the order was at rest go on."""
    held = Run.objects.filter(provision=run.provision_id, state__in=ACTIVE_RUN, held_since__isnull=False)
    if held.update(
        held_since=None,
        state=RunState.QUEUED,
        next_attempt_at=None,
        rung_at=None,
        waits_on="",
        version=F("version") + 1,
    ):
        doorbell.ring("runs")
