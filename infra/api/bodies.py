"""What the API answers, made from what the pages' presenters answer."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.urls import reverse
from django.utils.translation import gettext as _

from infra.dashboard import words
from infra.dashboard.progress import StageRow, progress
from infra.models import NameAnswer, Provision, ProvisionState, Tier, User
from infra.presenters_base import Fact, Line
from infra.troubles import Trouble
from infra.wizard import drafts, names, presenters
from provisioning import queries, search
from provisioning.queries import ItemStatus, StageStatus

# Packages -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Package:
    """A package: its figures, and its card as the first page shows it."""

    slug: str
    name: str
    description: str
    domain_count: int
    domain_count_max: int | None
    mailbox_count: int
    setup_fee_cents: int
    monthly_fee_cents: int
    currency: str
    domain_price_cap_cents: int
    warmup_days: int
    today: str
    then: str
    facts: list[Fact]
    included: list[str]
    chosen: bool


@dataclass(frozen=True, slots=True)
class Packages:
    tiers: list[Package]


def packages(tiers: Sequence[Tier], draft: Provision) -> Packages:
    """Return the packages that can be ordered."""
    cards = presenters.packages(tiers, draft)
    return Packages([_package(tier, card) for tier, card in zip(tiers, cards, strict=True)])


def _package(tier: Tier, card: presenters.PackageCard) -> Package:
    return Package(
        slug=card.slug,
        name=card.name,
        description=card.description,
        domain_count=tier.domain_count,
        domain_count_max=tier.domain_count_max,
        mailbox_count=tier.mailbox_count,
        setup_fee_cents=tier.setup_fee_cents,
        monthly_fee_cents=tier.monthly_fee_cents,
        currency=tier.currency,
        domain_price_cap_cents=tier.domain_price_cap_cents,
        warmup_days=tier.warmup_days,
        today=card.today,
        then=card.then,
        facts=card.facts,
        included=card.included,
        chosen=card.chosen,
    )


# Names --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Suggestions:
    """Names for a brand, best first. The platform answers `chunk` of them at once."""

    brand: str
    names: list[str]
    chunk: int


@dataclass(frozen=True, slots=True)
class Name:
    """What is known of a name.

    state       checking, available, taken, premium, or unknown when the platform was asked and did not answer
    age_seconds age of the answer, in the platform's time; null without one
    held        another student is ordering it
    waiting     it stands in the queue
    word, note  as the page shows them for the chosen package; null before a package is chosen
    selectable  whether it may be chosen for that package
    """

    name: str
    state: str
    price_cents: int | None
    renewal_cents: int | None
    currency: str
    age_seconds: float | None
    held: bool
    waiting: bool
    word: str | None
    note: str | None
    selectable: bool | None


@dataclass(frozen=True, slots=True)
class Queue:
    """The place in the queue: names before the first one of yours, seconds until its turn, and that in words."""

    names_before: int
    seconds: float
    sentence: str


@dataclass(frozen=True, slots=True)
class Names:
    names: list[Name]
    queue: Queue | None


def checked(draft: Provision, wanted: Sequence[str], student: User) -> Names:
    """Return what is known of each name, and the student's place in the queue."""
    stack = drafts.stack_of(draft)
    answers = search.answers(stack=stack, names=wanted, student=student)
    place = search.position(stack=stack, student=student)
    queue = Queue(place.names_before, place.seconds, presenters.queue_sentence(place.seconds)) if place else None
    return Names([_name(answers[name], draft.tier) for name in wanted], queue)


def _name(answer: search.Answer, tier: Tier | None) -> Name:
    word, _tone, note, is_open = presenters.judge(names.of(answer), tier) if tier else (None, None, None, None)
    is_priced = answer.answer in (NameAnswer.AVAILABLE, NameAnswer.PREMIUM)
    return Name(
        name=answer.name,
        state="unknown" if answer.gave_up else str(answer.answer),
        price_cents=answer.price_cents if is_priced else None,
        renewal_cents=answer.renewal_cents if is_priced else None,
        currency=tier.currency if tier else "usd",
        age_seconds=answer.age_seconds,
        held=answer.held,
        waiting=answer.waiting,
        word=word,
        note=note,
        selectable=is_open,
    )


# Paying -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Started:
    """A paid order, and where to follow it."""

    id: str
    reference: str
    state: str
    status_href: str
    progress_href: str


def started(provision: Provision) -> Started:
    """Return where a paid order can be followed."""
    return Started(
        id=str(provision.pk),
        reference=provision.reference,
        state=provision.state,
        status_href=reverse("api-status", args=[provision.pk]),
        progress_href=reverse("progress"),
    )


# Status -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Item:
    """One domain or mailbox of a stage. `state` is todo, doing, waiting, done, failed or skipped."""

    name: str
    kind: str
    state: str
    word: str
    note: str
    obstacle: Obstacle | None


@dataclass(frozen=True, slots=True)
class Obstacle:
    """What is in the way, from the catalogue of troubles.

    acts       student, operator or nobody: who does something about it
    retryable  whether it is tried again by itself: after so many seconds, where that is known, and at most so often
    help       address of the page that says more
    """

    code: str
    sentence: str
    acts: str
    action: str
    fallback: str
    retryable: bool
    delay_seconds: float | None
    attempts: int | None
    help: str


def _obstacle(found: Trouble | None) -> Obstacle | None:
    if found is None:
        return None
    return Obstacle(
        code=found.code,
        sentence=str(found.sentence),
        acts=str(found.acts),
        action=str(found.action),
        fallback=str(found.fallback),
        retryable=found.retryable,
        delay_seconds=found.delay,
        attempts=found.attempts,
        help=reverse("help", args=[found.help]),
    )


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage in the student's words; its times, and how long it usually takes while it is not finished."""

    key: str
    title: str
    state: str
    word: str
    started: datetime | None
    finished: datetime | None
    sentence: str
    usual: str
    done: int
    total: int
    items: list[Item]
    obstacle: Obstacle | None


@dataclass(frozen=True, slots=True)
class Status:
    """Where an order stands. `version` changes whenever the page would look different."""

    version: str
    state: str
    reason: str
    reference: str
    title: str
    sentence: str
    stages: list[Stage]


def status(student: User, provision: Provision, *, now: datetime) -> Status:
    """Return what the progress page says of an order; of a draft, that it is one."""
    if provision.state == ProvisionState.DRAFT:
        return _draft(provision)
    standing = queries.status_of(provision)
    page = progress(student, provision, now=now, status=standing)
    return Status(
        version=page.version,
        state=standing.state,
        reason=standing.reason,
        reference=standing.reference,
        title=page.title,
        sentence=page.lede,
        stages=[_stage(stage, row) for stage, row in zip(standing.stages, page.stages, strict=False)],
    )


def _draft(provision: Provision) -> Status:
    version = hashlib.sha256(f"{provision.pk}{provision.updated_at.isoformat()}".encode()).hexdigest()[:16]
    return Status(
        version=version,
        state=provision.state,
        reason="",
        reference=provision.reference,
        title=words.provision(provision.state).word,
        sentence=_("You have begun an order. Nothing is paid yet."),
        stages=[],
    )


def _stage(stage: StageStatus, row: StageRow) -> Stage:
    lines = {line.name: line for line in row.lines}
    return Stage(
        key=stage.key,
        title=row.title,
        state=stage.state,
        word=row.word,
        started=stage.started_at,
        finished=stage.finished_at,
        sentence=row.sentence,
        usual=row.usual,
        done=stage.done,
        total=stage.total,
        items=[_item(item, lines.get(item.name)) for item in stage.items],
        obstacle=_obstacle(stage.trouble),
    )


def _item(item: ItemStatus, line: Line | None) -> Item:
    word, note = (line.word, line.note) if line else ("", "")
    return Item(item.name, item.kind, item.state, word, note, _obstacle(item.trouble))
