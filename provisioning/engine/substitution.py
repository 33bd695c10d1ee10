"""A lost domain name makes room: for a spare, for the student's new choice, or for nothing (its share is refunded)."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Sequence

from django.utils import timezone

from infra.models import Domain, DomainState, Mailbox, MailboxState, OrderLine, Provision, StepState

from ..models import OPEN_STEP, Run, Step
from .specs import Scope, StepSpec


def next_spare(provision: Provision, *, besides: Collection[uuid.UUID] = ()) -> Domain | None:
    """Return the student's best-ranked spare that is left, besides those just taken."""
    return provision.domains.filter(state=DomainState.SPARE).exclude(pk__in=besides).order_by("position").first()


def replace(run: Run, lost: Domain, substitute: Domain, *, steps: Sequence[StepSpec], reason: str) -> None:
    """Let `substitute` take the place of `lost`: its position, its mailboxes, and of `steps` its own."""
    close(run, lost, reason=reason)
    substitute.state = DomainState.SELECTED
    substitute.position = lost.position
    substitute.ordered_at = substitute.ordered_at or timezone.now()
    substitute.save()
    for mailbox in lost.mailboxes.all():
        mailbox.domain = substitute
        mailbox.address = f"{mailbox.username}@{substitute.name}"
        mailbox.save(update_fields=["domain", "address", "updated_at"])
    open_rows(run, substitute, steps)


def drop(run: Run, lost: Domain, *, reason: str) -> None:
    """Go on without `lost`: its mailboxes leave, and its frozen share of the set-up fee is due back."""
    close(run, lost, reason=reason)
    mailboxes = lost.mailboxes.all()
    run.steps.filter(mailbox__in=mailboxes, state__in=OPEN_STEP).update(
        state=StepState.SKIPPED, why=reason[:300], finished_at=timezone.now(), next_attempt_at=None
    )
    # A failed row takes each mailbox out of the wave; the run ends with an exception that says so.
    for mailbox in mailboxes:
        Mailbox.objects.filter(pk=mailbox.pk).update(state=MailboxState.REMOVED, reason=reason[:300])
    share = int(run.order.get("refund_share_cents", 0))
    if share:
        OrderLine.objects.get_or_create(
            provision=lost.provision,
            domain=lost,
            kind=OrderLine.Kind.DOMAIN_SHARE,
            defaults={
                "student_id": lost.student_id,
                "state": OrderLine.State.REFUND_DUE,
                "amount_cents": share,
                "currency": run.order.get("currency", "usd"),
                "reason": reason[:300],
            },
        )


def close(run: Run, lost: Domain, *, reason: str) -> None:
    """Mark a name lost and take its rows out of the wave."""
    lost.state = DomainState.LOST
    lost.reason = reason[:300]
    lost.save(update_fields=["state", "reason", "updated_at"])
    rows = run.steps.filter(domain=lost)
    first = rows.filter(state__in=[*OPEN_STEP, StepState.FAILED]).order_by("position").first()
    if first is not None:
        Step.objects.filter(pk=first.pk).update(
            state=StepState.FAILED,
            failure_code="name_lost",
            failure_sentence=reason[:300],
            finished_at=timezone.now(),
            next_attempt_at=None,
            waits_on="",
        )
    rows.filter(state__in=OPEN_STEP).update(
        state=StepState.SKIPPED, why=reason[:300], finished_at=timezone.now(), next_attempt_at=None
    )


def open_rows(run: Run, domain: Domain, steps: Sequence[StepSpec]) -> None:
    """Give a substitute the domain steps of a run, all unopened."""
    Step.objects.bulk_create(
        Step(
            run=run,
            student_id=run.student_id,
            key=spec.key,
            position=position,
            domain=domain,
            item_key=str(domain.pk),
        )
        for position, spec in enumerate(steps)
        if spec.scope is Scope.DOMAIN and spec.is_about(domain.origin)
    )
