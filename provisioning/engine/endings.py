"""What else becomes true when a run ends, in the same commit. A stack file names one of these in its pipeline's ending."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from django.db.models import F, Q
from django.utils.translation import gettext as _

from infra import clock
from infra.models import (
    UNRESOLVED,
    Credential,
    DnsCheck,
    Domain,
    DomainState,
    Mailbox,
    MailboxSecret,
    MailboxState,
    PropagationWatch,
    Provision,
    ProvisionState,
    RunState,
    SpfFlattening,
    StepState,
    Tier,
)
from infra.models.domain import GONE
from infra.secret import Secret

from ..models import ACTIVE_RUN, OperationItem, Run
from . import doorbell
from .specs import Ending


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
    leave_out(Provision.objects.get(pk=run.provision_id), run.order["drops"], run.order["becomes"])


def leave_out(live: Provision, drops: Collection[str], order: Mapping[str, Any]) -> None:
    """Let a set-up have a smaller package without these domains, and without failed ones for which it has no room.

    A failed one that may have been bought all the same is not let go.
    """
    reason = _("Left out at the change to %(package)s.") % {"package": order["tier_name"]}
    there = live.domains.exclude(state__in=[*GONE, DomainState.SPARE])
    open_ = OperationItem.objects.filter(operation__run__provision=live, state__in=UNRESOLVED).values("natural_key")
    failed = Q(state=DomainState.FAILED, bought_at=None) & ~Q(name__in=open_)
    room = int(order["domain_count"]) - there.exclude(failed).exclude(name__in=drops).count()
    lacking = list(there.filter(failed).order_by("position", "name").values_list("name", flat=True))
    domains = there.filter(name__in=[*drops, *lacking[max(0, room) :]])
    mailboxes = Mailbox.objects.filter(domain__in=list(domains))
    MailboxSecret.objects.filter(mailbox__in=list(mailboxes)).delete()
    mailboxes.update(state=MailboxState.REMOVED, reason=reason)
    domains.update(state=DomainState.RELEASED, reason=reason)
    become(live, order)


def become(live: Provision, order: Mapping[str, Any]) -> None:
    """Let a live set-up have another package. What is missing of what that holds is missing still."""
    live.order, live.tier = dict(order), Tier.objects.filter(slug=order["tier"]).first() or live.tier
    if live.state in (ProvisionState.ACTIVE, ProvisionState.ACTIVE_WITH_EXCEPTIONS):
        mine = live.mailboxes.exclude(domain__state=DomainState.RELEASED)
        works = mine.exclude(state__in=[MailboxState.FAILED, MailboxState.REMOVED]).count()
        lacks = works < min(mine.count(), int(order["mailbox_count"]))
        is_missing = lacks or live.domains.filter(state=DomainState.FAILED).exists()
        live.state = ProvisionState.ACTIVE_WITH_EXCEPTIONS if is_missing else ProvisionState.ACTIVE
    live.save(update_fields=["order", "tier", "state", "updated_at"])


def changed(run: Run) -> None:
    """Let a domain be known to have the records that a student wanted, and watch the name servers until they show them."""
    change, domain = _carried_out(run)
    if domain is None:
        return
    Domain.objects.filter(pk=domain.pk).update(facts=domain.facts | change["facts"])
    now = clock.vendor_now()
    PropagationWatch.begin(domain, now=now)
    DnsCheck.want(domain, now=now)
    doorbell.ring("dns")


def flattened(run: Run) -> None:
    """Keep what stood in a domain's SPF record, so that it can be written back, and what stands there now."""
    change, domain = _carried_out(run)
    if domain is not None:
        fields = {
            **change["flattening"],
            "written_at": clock.vendor_now(),
            "drift": {},
            "student_id": domain.student_id,
        }
        SpfFlattening.objects.update_or_create(domain=domain, ended_at=None, defaults=fields)
    changed(run)


def restored(run: Run) -> None:
    """Let a domain's SPF record be the original one again."""
    _change, domain = _carried_out(run)
    if domain is not None:
        SpfFlattening.objects.filter(domain=domain, ended_at=None).update(ended_at=clock.vendor_now())
    changed(run)


def _carried_out(run: Run) -> tuple[Mapping[str, Any], Domain | None]:
    """Return what a change run was about, and its domain if every step of it was done."""
    change: Mapping[str, Any] = run.order["change"]
    if run.steps.exclude(state=StepState.COMPLETED).exists():
        return change, None
    return change, Domain.objects.select_for_update(of=("self",)).filter(
        provision=run.provision_id, name=change["domain"]
    ).first()


SMALLER = Ending(ready="downgraded", missing="downgraded_partly", trouble="downgrade_held_up", act=shrink)


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
