"""What the wizard knows of names: the answers of `provisioning.search`, cut to what its pages show."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from infra.models import NameAnswer, Provision
from provisioning import search

from . import drafts


@dataclass(frozen=True, slots=True)
class Known:
    """One name: what was answered, its prices in cents, whether the answer is recent, whether another student holds it.

    `gave_up` is an answer that came without this name: it stays unknown until somebody asks again.
    """

    answer: NameAnswer
    price_cents: int = 0
    renewal_cents: int = 0
    fresh: bool = False
    held_by_another: bool = False
    gave_up: bool = False


def known(provision: Provision, names: Collection[str]) -> dict[str, Known]:
    """Return what is known of `names`; the key is missing where nobody has answered yet."""
    if not names or not drafts.has_search(provision):
        return {}
    answers = search.answers(stack=drafts.stack_of(provision), names=list(names), student=provision.student)
    return {name: of(answer) for name, answer in answers.items()}


def of(answer: search.Answer) -> Known:
    """Return what the pages show of an answer."""
    return Known(
        answer.answer,
        answer.price_cents,
        answer.renewal_cents,
        fresh=answer.is_fresh,
        held_by_another=answer.held,
        gave_up=answer.gave_up,
    )


def ask(provision: Provision, names: Sequence[str]) -> str:
    """Put `names` into the queue where no recent answer is there; return why not, or nothing when they are in it."""
    if not names or not drafts.has_search(provision):
        return ""
    try:
        search.request_names(
            stack=drafts.stack_of(provision),
            student=provision.student,
            names=list(names),
            is_paid_work=provision.paid_at is not None,
        )
    except search.AllowanceUsedUp as refusal:
        return str(refusal)
    return ""


def seconds_until_asked(provision: Provision) -> float | None:
    """Return about how long until our waiting names are asked for; None when none is waiting."""
    if not drafts.has_search(provision):
        return None
    place = search.position(stack=drafts.stack_of(provision), student=provision.student)
    return place.seconds if place else None


def hold(provision: Provision, names: Sequence[str]) -> list[str]:
    """Keep `names` for this order for a while; return those that somebody else was faster with."""
    return search.hold(provision=provision, names=names)
