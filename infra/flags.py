"""Who may order what: the rollout phases of a flag, and its stop and reset. Off never hurts what is being built.

    orders            new orders of any kind
    stack:<slug>      new orders of one stack
A flag without a row stands at "everybody". Both flags must let a student through. The kill switch (`purchases...`) is no
flag of this kind: it stops spending, also for orders that are paid (provisioning.actions.pause_purchases).
"""

from __future__ import annotations

from dataclasses import dataclass

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from infra import rls
from infra.models import Flag, OperatorItem, Provision, ProvisionState, User

ORDERS = "orders"


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a student may order now, and the sentence for those who may not."""

    allowed: bool
    sentence: str = ""


ALLOWED = Verdict(True)


def stack_key(stack: str) -> str:
    """Return the key of a stack's flag."""
    return f"stack:{stack}"


def may_order(student: User, stack: str) -> Verdict:
    """Return whether `student` may order a package of `stack` now. Only new orders ask; what is paid goes on."""
    return _judge_all(_flags(stack), student)


def take_place(student: User, stack: str) -> Verdict:
    """Judge as `may_order` does, and let nobody else be judged until the transaction ends.

    For the transaction that freezes the order: places that are counted must not be given away twice.
    """
    return _judge_all(_flags(stack).select_for_update(), student)


def _flags(stack: str) -> QuerySet[Flag]:
    return Flag.objects.filter(key__in=[ORDERS, stack_key(stack)]).order_by("key")


def _judge_all(found: QuerySet[Flag], student: User) -> Verdict:
    for flag in found:
        verdict = _judge(flag, student)
        if not verdict.allowed:
            return verdict
    return ALLOWED


def _judge(flag: Flag, student: User) -> Verdict:
    match flag.phase:
        case Flag.Phase.ALL:
            return ALLOWED
        case Flag.Phase.STAFF:
            allowed, sentence = student.is_staff, _("New orders are open to operators only at the moment.")
        case Flag.Phase.NAMED:
            allowed, sentence = _is_named(flag, student), _("New orders are open to a few students at the moment.")
        case Flag.Phase.FIRST:
            allowed = _orders_of_others(flag, student) < flag.first_count
            sentence = _("All places of this round are taken.")
        case _:
            allowed, sentence = False, _("New orders are paused at the moment.")
    return ALLOWED if allowed else Verdict(False, sentence)


def _is_named(flag: Flag, student: User) -> bool:
    names = {name.strip().lower() for name in flag.named}
    return bool(names & {student.email.lower(), student.cohort.strip().lower()} - {""})


def _orders_of_others(flag: Flag, student: User) -> int:
    """Count the orders that took a place: paid ones, and those whose payment page is open."""
    with rls.acting_as("worker"):  # a student sees only their own
        taken = Provision.objects.filter(enlarges=None).exclude(student=student)
        taken = taken.filter(paid_at__isnull=False) | taken.filter(state=ProvisionState.PENDING_PAYMENT)
        if flag.key != ORDERS:
            taken = taken.filter(order__stack=flag.key.removeprefix("stack:"))
        return taken.count()


def stop(*, key: str, reason: str) -> bool:
    """Stop new orders by a rule, and tell the operator once; return whether they were open until now."""
    with transaction.atomic():
        flag, _created = Flag.objects.select_for_update().get_or_create(key=key)
        if flag.phase == Flag.Phase.OFF:
            return False
        flag.phase, flag.stopped_at, flag.stopped_reason = Flag.Phase.OFF, timezone.now(), reason[:300]
        flag.save()
        OperatorItem.open("orders_stopped", key=key, sentence=f"New orders were stopped ({key}): {reason}")
    return True


def set_phase(*, flag: Flag, actor: str) -> None:
    """Save a flag as a person set it; opening it again closes the alert, and the rules begin to count anew."""
    with transaction.atomic():
        if flag.phase == Flag.Phase.OFF:
            flag.stopped_at = flag.stopped_at or timezone.now()
            flag.stopped_reason = flag.stopped_reason or f"Switched off by {actor}"[:300]
        else:
            flag.stopped_at, flag.stopped_reason = None, ""
            OperatorItem.close("orders_stopped", key=flag.key, resolution=f"Opened again by {actor}")
        flag.save()
