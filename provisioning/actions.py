"""What people and payments may do to an order and its runs. Keyword-only, actor named, atomic, an event inside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from infra import naming, rls
from infra.models import (
    Domain,
    DomainHold,
    DomainState,
    Flag,
    Mail,
    Mailbox,
    MailboxState,
    NameAnswer,
    NameCheck,
    OperationState,
    OperatorItem,
    OrderLine,
    Provision,
    ProvisionState,
    RunKind,
    RunState,
    StepState,
    User,
)

from .engine import doorbell, substitution
from .engine.specs import Scope
from .models import ACTIVE_RUN, OPEN_STEP, Circuit, Event, OperationItem, Run, Step
from .stacks import STACKS, stack_of

EDITABLE = (ProvisionState.DRAFT, ProvisionState.PENDING_PAYMENT)


class Refused(Exception):
    """The action is not possible now. The sentence is for the person who asked."""


# ---- ordering --------------------------------------------------------------------------------------------------------


def freeze_order(*, provision: Provision, actor: str, now: datetime | None = None) -> Provision:
    """Freeze tier contents, prices, domains and mailboxes at "pay". May be repeated while nothing is paid.

    Raises Refused with the student's sentence when the order is not complete or a name was ordered by somebody else.
    """
    now = now or timezone.now()
    with transaction.atomic():
        provision = (
            Provision.objects.select_for_update(of=("self",)).select_related("tier", "student").get(pk=provision.pk)
        )
        if provision.state not in EDITABLE or provision.paid_at:
            raise Refused(_("This order is paid already and cannot be changed."))
        tier = provision.tier
        if tier is None or not tier.is_active:
            raise Refused(_("This package is no longer offered. Please choose another one."))
        chosen = list(provision.domains.filter(state=DomainState.SELECTED).order_by("position", "name"))
        spares = list(provision.domains.filter(state=DomainState.SPARE).order_by("position", "name"))
        if len(chosen) != tier.domain_count:
            raise Refused(_("Please choose exactly %(count)d domains.") % {"count": tier.domain_count})
        _freeze_prices(chosen + spares, tier.domain_price_cap_cents)
        try:
            with transaction.atomic():
                for domain in chosen + spares:
                    domain.ordered_at = now
                    domain.save()
                _plan_mailboxes(provision, chosen, tier.mailbox_count)
        except IntegrityError as error:
            raise Refused(
                _("One of these names has just been ordered by somebody else. Please choose another.")
            ) from error
        provision.order = {
            "tier": tier.slug,
            "tier_name": tier.name,
            "stack": tier.stack,
            "domain_count": tier.domain_count,
            "mailbox_count": tier.mailbox_count,
            "setup_fee_cents": tier.setup_fee_cents,
            "monthly_fee_cents": tier.monthly_fee_cents,
            "currency": tier.currency,
            "domain_price_cap_cents": tier.domain_price_cap_cents,
            "domain_prices": {domain.name: domain.price_cents for domain in chosen + spares},
            "refund_share_cents": tier.setup_fee_cents // tier.domain_count,
            "warmup": tier.warmup,
            "warmup_days": tier.warmup_days,
            "dmarc_policy": tier.dmarc_policy,
            "instructions": tier.instructions,
            "student_email": provision.student.email,
            "student_name": provision.student.full_name,
            "first_name": provision.sender_first_name,
            "last_name": provision.sender_last_name,
        }
        provision.frozen_at = now
        provision.state = ProvisionState.PENDING_PAYMENT
        provision.save()
        _note(provision, "frozen", actor=actor)
    return provision


def _freeze_prices(domains: Sequence[Domain], cap_cents: int) -> None:
    checks = {check.name: check for check in NameCheck.objects.filter(name__in=[domain.name for domain in domains])}
    for domain in domains:
        check = checks.get(domain.name)
        if check is None or check.answer == NameAnswer.CHECKING:
            continue
        if check.answer != NameAnswer.AVAILABLE or check.price_cents > cap_cents:
            raise Refused(_("%(name)s is no longer available for this package.") % {"name": domain.name})
        domain.price_cents, domain.renewal_cents = check.price_cents, check.renewal_cents


def _plan_mailboxes(provision: Provision, domains: Sequence[Domain], count: int) -> None:
    provision.mailboxes.all().delete()
    for domain, size in zip(domains, naming.spread(count, len(domains)), strict=True):
        patterns = provision.mailbox_patterns[:size]
        if len(patterns) < size:
            raise Refused(_("Please name %(count)d mailboxes.") % {"count": size})
        for position, username in enumerate(patterns):
            Mailbox.objects.create(
                provision=provision,
                domain=domain,
                student_id=provision.student_id,
                username=username,
                address=f"{username}@{domain.name}",
                first_name=provision.sender_first_name,
                last_name=provision.sender_last_name,
                position=position,
            )


def thaw_order(*, provision: Provision, actor: str) -> None:
    """Make an unpaid order editable again: names are no longer live, planned mailboxes go."""
    with transaction.atomic():
        provision = Provision.objects.select_for_update(of=("self",)).get(pk=provision.pk)
        if provision.state != ProvisionState.PENDING_PAYMENT or provision.paid_at:
            return
        provision.mailboxes.all().delete()
        provision.domains.update(ordered_at=None)
        provision.state, provision.frozen_at, provision.order = ProvisionState.DRAFT, None, {}
        provision.save()
        _note(provision, "thawed", actor=actor)


def start_run(*, provision: Provision, kind: str = RunKind.SETUP, actor: str, paid_at: datetime | None = None) -> Run:
    """Start building what was paid for; return the run. Calling it again returns the same run."""
    with transaction.atomic():
        provision = Provision.objects.select_for_update(of=("self",)).select_related("student").get(pk=provision.pk)
        existing = provision.runs.filter(kind=kind).exclude(state=RunState.CANCELLED).first()
        if existing is not None:
            return existing
        if not provision.frozen_at:
            raise Refused(_("This order has not been frozen."))
        stack = STACKS[provision.order["stack"]]
        paid_at = paid_at or timezone.now()
        run = Run.objects.create(
            provision=provision,
            student_id=provision.student_id,
            kind=kind,
            stack=stack.key,
            stack_version=stack.version,
            order=provision.order,
            paid_at=paid_at,
        )
        _make_rows(run)
        for row_kind, amount in (
            (OrderLine.Kind.SETUP, provision.order["setup_fee_cents"]),
            (OrderLine.Kind.MONTHLY, provision.order["monthly_fee_cents"]),
        ):
            OrderLine.objects.get_or_create(
                provision=provision,
                kind=row_kind,
                defaults={
                    "student_id": provision.student_id,
                    "amount_cents": amount,
                    "currency": provision.order["currency"],
                },
            )
        provision.state = ProvisionState.PROVISIONING
        provision.paid_at = provision.paid_at or paid_at
        provision.save()
        DomainHold.objects.filter(provision=provision).delete()
        _note(provision, "run_started", run=run, actor=actor)
        doorbell.ring("runs")
    return run


def _make_rows(run: Run) -> None:
    stack = stack_of(run.stack, run.stack_version)
    domains = list(run.provision.domains.filter(state=DomainState.SELECTED))
    mailboxes = list(run.provision.mailboxes.all())
    items: Mapping[Scope, Sequence[Mapping[str, Any]]] = {
        Scope.RUN: [{}],
        Scope.DOMAIN: [{"domain": domain, "item_key": str(domain.pk)} for domain in domains],
        Scope.MAILBOX: [{"mailbox": mailbox, "item_key": str(mailbox.pk)} for mailbox in mailboxes],
    }
    Step.objects.bulk_create(
        Step(run=run, student_id=run.student_id, key=spec.key, position=position, **item)
        for position, spec in enumerate(stack.steps)
        for item in items[spec.scope]
    )


# ---- the student's choices -------------------------------------------------------------------------------------------


def choose_replacement(*, provision: Provision, domain: Domain, name: str, actor: str) -> Domain:
    """Put a name of the student's choice in the place of a lost one. Raises Refused with a sentence."""
    with rls.acting_as("worker"), transaction.atomic():
        run = _open_run(provision)
        _open_question(run, domain, "choose_replacement")
        check = NameCheck.objects.filter(name=name).first()
        cap = run.order["domain_price_cap_cents"]
        if check is None or check.answer != NameAnswer.AVAILABLE or check.price_cents > cap:
            raise Refused(_("%(name)s is not available for this package. Please choose another name.") % {"name": name})
        try:
            with transaction.atomic():
                substitute, _created = Domain.objects.get_or_create(
                    provision=provision,
                    name=name,
                    defaults={"student_id": provision.student_id, "price_cents": check.price_cents},
                )
                if substitute.state == DomainState.LOST:
                    raise Refused(_("%(name)s was lost already. Please choose another name.") % {"name": name})
                substitute.renewal_cents = check.renewal_cents
                substitution.replace(run, domain, substitute, reason=_("The name was lost; another one was chosen."))
        except IntegrityError as error:
            raise Refused(_("%(name)s has just been ordered by somebody else.") % {"name": name}) from error
        _note(provision, "replacement_chosen", run=run, actor=actor, item=domain.name, sentence=name)
        _wake(run)
    return substitute


def drop_domain(*, provision: Provision, domain: Domain, actor: str) -> None:
    """Go on without a lost domain; its share of the set-up fee is refunded."""
    with rls.acting_as("worker"), transaction.atomic():
        run = _open_run(provision)
        _open_question(run, domain, "choose_replacement")
        substitution.drop(run, domain, reason=_("The name was lost and not replaced; its share is refunded."))
        _note(provision, "domain_dropped", run=run, actor=actor, item=domain.name)
        _wake(run)
        doorbell.ring("refunds")


def _open_question(run: Run, domain: Domain, question: str) -> Step:
    row = run.steps.select_for_update(of=("self",)).filter(domain=domain, state=StepState.WAITING).first()
    if row is None or row.facts.get("question") != question:
        raise Refused(_("There is nothing to choose for this domain any more."))
    return row


# ---- the operator's verbs ---------------------------------------------------------------------------------------------


def retry_failed_step(*, run: Run, actor: str, reason: str) -> int:
    """Try the failed steps of a run again; what is proven stays proven and nothing of it is sent again.

    Returns the number of rows that were opened. Raises Refused when nothing failed or the run is being worked on.
    """
    with transaction.atomic():
        run = _lock(run)
        failed = list(run.steps.filter(state=StepState.FAILED).exclude(failure_code="name_lost"))
        waiting = list(run.steps.filter(state=StepState.WAITING, waits_on="operator"))
        if not failed and not waiting:
            raise Refused(_("No step of this run has failed."))
        if run.state in (RunState.DONE, RunState.CANCELLED) and run.provision.state == ProvisionState.CANCELLED:
            raise Refused(_("This order was cancelled."))
        for row in failed:
            _reopen_item(run, row)
        for row in [*failed, *waiting]:
            _reopen(row)
        OperationItem.objects.filter(
            operation__run=run,
            operation__step_key__in={row.key for row in [*failed, *waiting]},
            state=OperationState.REJECTED,
        ).update(state=OperationState.NOT_DONE)
        run.failure_code = run.failure_sentence = ""
        run.finished_at = None
        run.save()
        Provision.objects.filter(pk=run.provision_id).update(state=ProvisionState.PROVISIONING, parked_reason="")
        for row in [*failed, *waiting]:
            for kind in ("step", "set_aside"):
                OperatorItem.close(kind, key=str(row.pk), resolution=f"Retried by {actor}: {reason}")
        OperatorItem.close("run_failed", key=str(run.pk), resolution=f"Retried by {actor}: {reason}")
        _note(run.provision, "retried", run=run, actor=actor, reason=reason)
        _wake(run)
    return len(failed) + len(waiting)


def _reopen_item(run: Run, row: Step) -> None:
    """Bring a set-aside item back into the wave: the rows that were skipped with it are open again."""
    if not row.item_key:
        return
    mailboxes = list(row.domain.mailboxes.all()) if row.domain else [row.mailbox] if row.mailbox else []
    rows = run.steps.filter(state=StepState.SKIPPED, position__gte=row.position)
    keys = [row.item_key, *(str(mailbox.pk) for mailbox in mailboxes if mailbox)]
    for skipped in rows.filter(item_key__in=keys):
        _reopen(skipped)
    if row.domain:
        Domain.objects.filter(pk=row.domain.pk).update(state=DomainState.SELECTED, reason="")
    Mailbox.objects.filter(pk__in=[m.pk for m in mailboxes if m]).update(state=MailboxState.PLANNED, reason="")
    run.steps.filter(key="finish", state__in=[StepState.COMPLETED, StepState.SKIPPED]).update(
        state=StepState.PENDING, finished_at=None
    )


def _reopen(row: Step) -> None:
    row.state, row.next_attempt_at, row.opened_at, row.finished_at = StepState.PENDING, None, None, None
    row.waits_on = row.why = row.failure_code = row.failure_sentence = ""
    row.errors = 0
    row.facts = {}
    row.save()


def skip_item(*, run: Run, step: Step, actor: str, reason: str) -> None:
    """Go on without an item: it is set aside, and the run ends with an exception that says so."""
    with transaction.atomic():
        run = _lock(run)
        step = run.steps.select_for_update(of=("self",)).get(pk=step.pk)
        if not step.item_key:
            raise Refused(_("This step belongs to the whole run and cannot be skipped."))
        if step.state not in OPEN_STEP:
            raise Refused(_("This step is closed already."))
        sentence = _("Skipped by the operator: %(reason)s") % {"reason": reason}
        step.state, step.failure_code, step.failure_sentence = StepState.FAILED, "skipped", sentence[:300]
        step.finished_at, step.next_attempt_at, step.waits_on = timezone.now(), None, ""
        step.save()
        mailboxes = list(step.domain.mailboxes.all()) if step.domain else [step.mailbox]
        keys = [step.item_key, *(str(mailbox.pk) for mailbox in mailboxes if mailbox)]
        run.steps.filter(item_key__in=keys, state__in=OPEN_STEP).update(
            state=StepState.SKIPPED, why=sentence[:300], finished_at=timezone.now(), next_attempt_at=None
        )
        if step.domain:
            Domain.objects.filter(pk=step.domain.pk).update(state=DomainState.FAILED, reason=sentence[:300])
        Mailbox.objects.filter(pk__in=[m.pk for m in mailboxes if m]).update(
            state=MailboxState.FAILED, reason=sentence[:300]
        )
        OperatorItem.close("step", key=str(step.pk), resolution=f"Skipped by {actor}: {reason}")
        _note(run.provision, "item_skipped", run=run, actor=actor, reason=reason, step_key=step.key, item=_item(step))
        _wake(run)


def mark_done_by_hand(*, run: Run, step: Step, facts: Mapping[str, Any], actor: str, reason: str) -> None:
    """Record that a person did a step at the platform. `facts` are what the step would have noted; `reason` the evidence."""
    with transaction.atomic():
        run = _lock(run)
        step = run.steps.select_for_update(of=("self",)).get(pk=step.pk)
        if step.state not in (*OPEN_STEP, StepState.FAILED):
            raise Refused(_("This step is closed already."))
        if step.state == StepState.FAILED:
            _reopen_item(run, step)
        spec = stack_of(run.stack, run.stack_version).step(step.key)
        owner: Domain | Mailbox | Provision = step.domain or step.mailbox or run.provision
        owner.refresh_from_db()
        owner.facts = {**owner.facts, **facts}
        if spec.ends and not isinstance(owner, Provision):
            owner.state = spec.ends
        owner.save()
        step.state, step.finished_at, step.next_attempt_at = StepState.COMPLETED, timezone.now(), None
        step.waits_on = step.failure_code = step.failure_sentence = ""
        step.facts = {**step.facts, "by_hand": reason}
        step.save()
        if run.state == RunState.FAILED:
            Provision.objects.filter(pk=run.provision_id).update(state=ProvisionState.PROVISIONING, parked_reason="")
            OperatorItem.close("run_failed", key=str(run.pk), resolution=f"Done by hand by {actor}: {reason}")
        OperatorItem.close("step", key=str(step.pk), resolution=f"Done by hand by {actor}: {reason}")
        _note(run.provision, "done_by_hand", run=run, actor=actor, reason=reason, step_key=step.key, item=_item(step))
        _wake(run)


def cancel(*, provision: Provision, actor: str, reason: str) -> None:
    """Cancel an order: nothing more is bought or built; what exists stays until the teardown."""
    with transaction.atomic():
        provision = Provision.objects.select_for_update(of=("self",)).get(pk=provision.pk)
        if provision.state == ProvisionState.CANCELLED:
            raise Refused(_("This order is cancelled already."))
        for run in provision.runs.select_for_update(of=("self",)).filter(state__in=[*ACTIVE_RUN, RunState.FAILED]):
            run.token += 1  # fences off whoever works on it
            run.state, run.finished_at, run.lease_until, run.next_attempt_at = (
                RunState.CANCELLED,
                timezone.now(),
                None,
                None,
            )
            run.version += 1
            run.save()
        # Names that were never bought are free for others again.
        provision.domains.filter(bought_at__isnull=True).update(state=DomainState.RELEASED)
        Mailbox.objects.filter(provision=provision, state=MailboxState.PLANNED).update(state=MailboxState.REMOVED)
        DomainHold.objects.filter(provision=provision).delete()
        provision.state, provision.cancelled_at, provision.parked_reason = ProvisionState.CANCELLED, timezone.now(), ""
        provision.save()
        OperatorItem.objects.filter(provision=provision, resolved_at__isnull=True).update(
            resolved_at=timezone.now(), resolution=f"Cancelled by {actor}: {reason}"[:300]
        )
        _note(provision, "cancelled", actor=actor, reason=reason)
        Mail.post("cancelled", key=str(provision.pk), provision=provision)


def pause_purchases(*, paused: bool, actor: str, reason: str, platform: str = "") -> None:
    """Throw or release the kill switch: while paused, nothing that costs money is sent (to `platform`, or anywhere)."""
    key = f"purchases:{platform}" if platform else "purchases"
    with transaction.atomic():
        Flag.objects.update_or_create(
            key=key,
            defaults={
                "phase": Flag.Phase.OFF if paused else Flag.Phase.ALL,
                "stopped_at": timezone.now() if paused else None,
                "stopped_reason": f"{actor}: {reason}"[:300] if paused else "",
            },
        )
        if paused:
            OperatorItem.open("purchases_paused", key=key, sentence=f"Purchases are paused: {reason}", actor=actor)
        else:
            OperatorItem.close("purchases_paused", key=key, resolution=f"Released by {actor}: {reason}")
            for run in Run.objects.filter(state__in=[RunState.WAITING, RunState.PARKED], waits_on="operator"):
                _wake(run)


def close_circuit(*, platform: str, actor: str, reason: str) -> None:
    """Let calls to a platform through again, e.g. after its key was mended; its runs go on at once."""
    with transaction.atomic():
        Circuit.objects.filter(pk=platform).update(
            is_open=False, reason="", failures=0, opened_at=None, try_again_at=None
        )
        OperatorItem.close("circuit", key=platform, resolution=f"Closed by {actor}: {reason}")
        for run in Run.objects.filter(state__in=[RunState.WAITING, RunState.PARKED]):
            _wake(run)


def check_now(*, provision: Provision, actor: User | str) -> bool:
    """Look again at once, if the run is only waiting for time to pass; return whether anything was woken."""
    with rls.acting_as("worker"), transaction.atomic():
        run = (
            provision.runs.select_for_update(of=("self",)).filter(state__in=[RunState.WAITING, RunState.PARKED]).first()
        )
        if run is None:
            return False
        _wake(run, rows=run.steps.filter(state=StepState.WAITING).exclude(waits_on="budget"))
    return True


# ---- small things -----------------------------------------------------------------------------------------------------


def _open_run(provision: Provision) -> Run:
    run = (
        Run.objects.select_for_update(of=("self",))
        .select_related("provision")
        .filter(provision=provision, state__in=[*ACTIVE_RUN])
        .first()
    )
    if run is None:
        raise Refused(_("Nothing is being built for this order at the moment."))
    return run


def _lock(run: Run) -> Run:
    return Run.objects.select_for_update(of=("self",)).select_related("provision").get(pk=run.pk)


def _wake(run: Run, rows: Any = None) -> None:
    """Make a run due now. The token is raised, so that whoever works on it at this moment writes nothing more."""
    rows = run.steps.filter(state=StepState.WAITING, waits_on__in=["operator", "funds"]) if rows is None else rows
    rows.update(next_attempt_at=None)
    Run.objects.filter(pk=run.pk).update(
        state=RunState.QUEUED,
        token=run.token + 1,
        lease_until=None,
        rung_at=None,
        next_attempt_at=None,
        waits_on="",
        version=run.version + 1,
        finished_at=None,
    )
    doorbell.ring("runs")


def _note(provision: Provision, kind: str, *, run: Run | None = None, actor: str, **fields: str) -> None:
    Event.objects.create(
        provision=provision, run=run, student_id=provision.student_id, kind=kind, actor=str(actor)[:320], **fields
    )


def _item(step: Step) -> str:
    return str(step.domain or step.mailbox or "")
