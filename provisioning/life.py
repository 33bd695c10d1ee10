"""The life of an order after it was set up: at rest while money is missing, up again, and taken down at its end.

What changes the outside world is a run of one of the stack's pipelines; each function here may be called again, at any
moment of a running set-up, and does nothing the second time. Keyword-only, actor named, atomic, an event inside.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import F, Max
from django.utils import timezone
from django.utils.translation import gettext as _

from infra import rls
from infra.models import (
    Domain,
    DomainHold,
    DomainState,
    Mail,
    Mailbox,
    MailboxState,
    OrderLine,
    Provision,
    ProvisionState,
    RunKind,
    RunState,
)
from infra.models.domain import GONE

from .actions import Refused, end_runs, make_rows, note, stop_building
from .engine import doorbell, endings
from .models import ACTIVE_RUN, Run
from .stacks import STACKS

LIVE = (
    ProvisionState.PROVISIONING,
    ProvisionState.ACTIVE,
    ProvisionState.ACTIVE_WITH_EXCEPTIONS,
    ProvisionState.UPGRADING,
    ProvisionState.FAILED,
)
RESTING = ("pause", "resume")  # names of the pipelines that let an order rest and go on: a new one ends the last
DOWNGRADE = "downgrade"  # name of the pipeline of a stack that can take a part of an order down
IN_THE_TOOL = (MailboxState.CONNECTED, MailboxState.WARMING, MailboxState.READY, MailboxState.SUSPENDED)


def suspend(*, provision: Provision, actor: str, reason: str) -> bool:
    """Let an order rest: what is being built is held, warmup and campaigns stop, nothing is deleted.

    Returns whether anything changed.
    """
    with rls.acting_as("worker"), transaction.atomic():
        provision = _lock(provision)
        if provision.state not in LIVE:
            return False
        end_runs(provision, actor=actor, pipelines=RESTING)
        # Fenced off: what was under way is written down, and is read back when it goes on.
        provision.runs.filter(state__in=ACTIVE_RUN).update(
            state=RunState.PARKED,
            held_since=timezone.now(),
            token=F("token") + 1,
            version=F("version") + 1,
            lease_until=None,
        )
        provision.state_before, provision.state, provision.parked_reason = provision.state, ProvisionState.SUSPENDED, ""
        provision.save()
        note(provision, "suspended", actor=actor, reason=reason, to_state=provision.state)
        _begin(provision, RunKind.CHANGE, "pause", actor=actor, mailboxes=_in_the_tool(provision))
    return True


def resume(*, provision: Provision, actor: str, reason: str) -> bool:
    """Let a suspended order go on as before: warmup first, then what was being built. Returns whether anything changed."""
    with rls.acting_as("worker"), transaction.atomic():
        provision = _lock(provision)
        if provision.state != ProvisionState.SUSPENDED:
            return False
        end_runs(provision, actor=actor, pipelines=RESTING)
        provision.state, provision.state_before = provision.state_before or ProvisionState.ACTIVE, ""
        provision.save()
        note(provision, "resumed", actor=actor, reason=reason, to_state=provision.state)
        leaving = _leaving(provision)
        mailboxes = [one for one in _in_the_tool(provision) if one.domain.name not in leaving]
        run = _begin(provision, RunKind.CHANGE, "resume", actor=actor, mailboxes=mailboxes)
        if run is None:
            held = provision.runs.filter(held_since__isnull=False).first()
            if held is not None:
                endings.go_on(held)
    return True


def tear_down(*, provision: Provision, actor: str, reason: str) -> bool:
    """Take an order down at the platforms, and end it. Returns whether anything changed.

    Raises Refused when it is being paid at this moment; what was never built is cancelled at once. A name that may have
    been bought is taken down like one that was.
    """
    with rls.acting_as("worker"), transaction.atomic():
        if _lock(provision).state in (ProvisionState.CANCELLING, ProvisionState.CANCELLED):
            return False
        provision = stop_building(provision=provision, actor=actor, reason=reason)
        domains = list(provision.domains.filter(ordered_at__isnull=False).exclude(state__in=GONE))
        mailboxes = list(provision.mailboxes.exclude(state__in=[MailboxState.PLANNED, MailboxState.REMOVED]))
        is_built = bool(domains or mailboxes or provision.facts)
        provision.state_before = ""
        provision.state = ProvisionState.CANCELLING if is_built else ProvisionState.CANCELLED
        provision.cancelled_at = None if is_built else timezone.now()
        provision.save()
        note(provision, provision.state, actor=actor, reason=reason, to_state=provision.state)
        Mail.post("cancelled", key=str(provision.pk), provision=provision)
        if is_built:
            _begin(provision, RunKind.TEARDOWN, "teardown", actor=actor, domains=domains, mailboxes=mailboxes)
    return True


def enlarge(*, extension: Provision, actor: str, paid_at: datetime) -> Run:
    """Make a paid upgrade's names and mailboxes part of the live set-up, and begin to build them; return the run.

    Raises Refused while the live order cannot be built on: it is suspended, being taken down, or something is being
    built for it already.
    """
    with rls.acting_as("worker"), transaction.atomic():
        assert extension.enlarges is not None
        live = _lock(extension.enlarges)
        extension = Provision.objects.select_for_update(of=("self",)).select_related("tier").get(pk=extension.pk)
        if live.state not in (ProvisionState.ACTIVE, ProvisionState.ACTIVE_WITH_EXCEPTIONS):
            raise Refused(_("This set-up cannot be enlarged at the moment."))
        if live.runs.filter(state__in=ACTIVE_RUN).exists():
            raise Refused(_("Something else is under way for this set-up."))
        if extension.state != ProvisionState.PENDING_PAYMENT:
            raise Refused(_("This upgrade is not waiting for its payment."))
        order = {**extension.order, "extension": extension.reference, "becomes": grown(live.order, extension.order)}
        domains, mailboxes = _move(extension, live)
        extension.state, extension.cancelled_at, extension.paid_at = ProvisionState.CANCELLED, timezone.now(), paid_at
        extension.save()
        live.state, live.parked_reason = ProvisionState.UPGRADING, ""
        live.save()
        OrderLine.objects.create(
            provision=live,
            student_id=live.student_id,
            kind=OrderLine.Kind.SETUP,
            amount_cents=order["setup_fee_cents"],
            currency=order["currency"],
        )
        note(live, "upgrade_started", actor=actor, to_state=live.state, sentence=str(order["tier_name"]))
        run = _begin(live, RunKind.UPGRADE, "upgrade", actor=actor, domains=domains, mailboxes=mailboxes, order=order)
        assert run is not None
    return run


def reduce(*, provision: Provision, drops: Collection[str], becomes: Mapping[str, Any], actor: str) -> Run | None:
    """Begin to take down what a smaller package leaves out; the package changes once that is done.

    Returns None when nothing is left out: it has changed at once then. What is kept is not touched. Raises Refused while
    the order is not running, or something else is under way for it.
    """
    with rls.acting_as("worker"), transaction.atomic():
        live = _lock(provision)
        if live.state not in (ProvisionState.ACTIVE, ProvisionState.ACTIVE_WITH_EXCEPTIONS):
            raise Refused(_("This set-up cannot be reduced at the moment."))
        if live.runs.filter(state__in=ACTIVE_RUN).exists():
            raise Refused(_("Something else is under way for this set-up."))
        domains = list(live.domains.filter(name__in=drops).exclude(state__in=GONE))
        mailboxes = live.mailboxes.filter(domain__in=domains)
        mailboxes = mailboxes.exclude(state__in=[MailboxState.PLANNED, MailboxState.REMOVED])
        note(live, "downgrade_started", actor=actor, sentence=str(becomes["tier_name"]))
        if not domains:
            endings.leave_out(live, [], becomes)
            return None
        order = {**live.order, "drops": [one.name for one in domains], "becomes": becomes}
        return _begin(
            live, RunKind.DOWNGRADE, DOWNGRADE, actor=actor, domains=domains, mailboxes=list(mailboxes), order=order
        )


def change(
    *, provision: Provision, domain: Domain, pipeline: str, wanted: Mapping[str, Any], actor: str, **order: Any
) -> Run:
    """Begin to change records of one domain; return the run. The same change, wanted twice, is one run.

    wanted  `facts` that the domain has once they are written, and what else the pipeline's ending reads
    order   what else the steps are told

    Raises Refused while the set-up is not running, its domain is not ready, or something else is under way for it.
    """
    with rls.acting_as("worker"), transaction.atomic():
        live = _lock(provision)
        domain = live.domains.select_for_update(of=("self",)).get(pk=domain.pk)
        about = {"domain": domain.name, **wanted}
        for run in live.runs.filter(state__in=ACTIVE_RUN, held_since__isnull=True):
            if run.pipeline == pipeline and run.order.get("change") == about:
                return run
            raise Refused(_("Something else is under way for this set-up. Try again once that is done."))
        if live.state not in (ProvisionState.ACTIVE, ProvisionState.ACTIVE_WITH_EXCEPTIONS):
            raise Refused(_("This set-up cannot be changed at the moment."))
        if domain.state not in (DomainState.CONNECTED, DomainState.ACTIVE):
            raise Refused(_("%(name)s is not ready, so its records cannot be changed.") % {"name": domain.name})
        begun = _begin(
            live,
            RunKind.CHANGE,
            pipeline,
            actor=actor,
            domains=[domain],
            order={**live.order, **order, "change": about, "number": live.runs.count()},
        )
        assert begun is not None
    return begun


def grown(order: Mapping[str, Any], extension: Mapping[str, Any]) -> dict[str, Any]:
    """Return the frozen order that a set-up has once an upgrade is part of it."""
    sums = ("domain_count", "mailbox_count", "setup_fee_cents")
    kept = ("student_email", "student_name", "first_name", "last_name", "refund_share_cents")
    return {
        **order,
        **{name: value for name, value in extension.items() if name not in kept},
        **{name: int(order[name]) + int(extension[name]) for name in sums},
        "domain_prices": {**order["domain_prices"], **extension["domain_prices"]},
    }


def _move(extension: Provision, live: Provision) -> tuple[list[Domain], list[Mailbox]]:
    """Hang the names and mailboxes of an extension on the live set-up, after those that are there."""
    last = live.domains.aggregate(last=Max("position"))["last"] or 0
    DomainHold.let_go(extension)
    mailboxes = list(extension.mailboxes.all())
    domains = list(extension.domains.all())
    for domain in domains:
        domain.provision, domain.position = live, last + 1 + domain.position
        domain.save(update_fields=["provision", "position", "updated_at"])
    extension.mailboxes.update(provision=live)
    return [domain for domain in domains if domain.state == DomainState.SELECTED], mailboxes


def _lock(provision: Provision) -> Provision:
    """Return the order, locked after its runs, as the engine locks them."""
    list(provision.runs.select_for_update(of=("self",)).order_by("pk").values_list("pk", flat=True))
    return Provision.objects.select_for_update(of=("self",)).get(pk=provision.pk)


def _in_the_tool(provision: Provision) -> list[Mailbox]:
    return list(provision.mailboxes.filter(state__in=IN_THE_TOOL).select_related("domain"))


def _leaving(provision: Provision) -> list[str]:
    """Return the names of the domains that a change to a smaller package has begun to take down, and has not yet."""
    runs = provision.runs.filter(kind=RunKind.DOWNGRADE, state__in=[*ACTIVE_RUN, RunState.FAILED])
    return [name for run in runs for name in run.order["drops"]]


def _begin(
    provision: Provision,
    kind: str,
    pipeline: str,
    *,
    actor: str,
    domains: Sequence[Domain] = (),
    mailboxes: Sequence[Mailbox] = (),
    order: Mapping[str, Any] | None = None,
) -> Run | None:
    """Begin a run of a pipeline; None when there is nothing that it would be about."""
    stack = STACKS[provision.order["stack"]]
    if kind == RunKind.CHANGE and not (domains or mailboxes):
        return None
    run = Run.objects.create(
        provision=provision,
        student_id=provision.student_id,
        kind=kind,
        pipeline=pipeline,
        stack=stack.key,
        stack_version=stack.version,
        order=provision.order if order is None else order,
        paid_at=provision.paid_at or timezone.now(),
    )
    make_rows(run, domains, mailboxes)
    note(provision, "run_started", run=run, actor=actor)
    doorbell.ring("runs")
    return run
