"""The draft behind the wizard: what it holds, and the writes that change it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import QuerySet

from infra import flags, naming, people, suggestions
from infra.models import Domain, DomainState, Origin, PlatformConnection, Provision, ProvisionState, Tier, User
from infra.rls import acting_as
from provisioning import actions
from provisioning.engine.accounts import operator_has, to_freeze
from provisioning.stacks import STACKS

MAX_SPARES = 3
MAX_SEARCHED = 40


@dataclass(frozen=True, slots=True)
class Size:
    """How much a package holds. `fewest` and `most` differ only where the quantity is the student's choice."""

    fewest: int
    most: int
    mailboxes: int


def current(student: User) -> Provision | None:
    """Return the student's live provision, or None before the first page and after a cancellation."""
    live = Provision.objects.filter(student=student, enlarges=None).exclude(state=ProvisionState.CANCELLED)
    return live.select_related("tier", "student").prefetch_related("domains").first()


def extension(student: User) -> Provision | None:
    """Return the student's draft of an upgrade, or None when there is none."""
    drafted = Provision.objects.filter(student=student, enlarges__isnull=False).exclude(state=ProvisionState.CANCELLED)
    return drafted.select_related("tier", "student", "enlarges").prefetch_related("domains").first()


def offered_tiers() -> QuerySet[Tier]:
    """Return the packages that can be ordered here, in the operator's order."""
    return Tier.objects.filter(is_active=True, stack__in=settings.ENABLED_STACKS)


def may_order(draft: Provision) -> flags.Verdict:
    """Return whether the draft's student may order its package now. A draft may be filled in all the same."""
    return flags.may_order(draft.student, stack_of(draft))


def sold_endings(draft: Provision) -> tuple[str, ...]:
    """Return the endings that the draft's platform sells."""
    return _endings(settings.SOLD_ENDINGS, draft) or naming.SOLD_ENDINGS


def own_endings(draft: Provision) -> tuple[str, ...]:
    """Return the endings of the domains that may be brought along to the draft's platform; none where all may."""
    return _endings(settings.OWN_ENDINGS, draft)


def _endings(of: Mapping[str, Sequence[str]], draft: Provision) -> tuple[str, ...]:
    return tuple(ending.strip().lower().lstrip(".") for ending in of.get(stack_of(draft), ()))


def suggested(draft: Provision) -> list[str]:
    """Return every name suggested for the draft's brand; none before a brand is known."""
    try:
        return suggestions.suggest(draft.brand, sold=sold_endings(draft))
    except suggestions.BrandRefused:
        return []


def shown_names(draft: Provision) -> list[str]:
    """Return the names on the page: what was chosen and typed first, then the suggestions that are unfolded."""
    kept = [domain.name for domain in to_buy(draft)]
    typed = list(reversed(draft.searched_names))
    unfolded = suggested(draft)[: draft.names_shown]
    fresh = [name for name in typed + kept if name not in unfolded]
    return list(dict.fromkeys(fresh + unfolded))


def chosen(draft: Provision) -> list[Domain]:
    """Return the draft's chosen domains in their order."""
    return _domains(draft, DomainState.SELECTED)


def own(draft: Provision) -> list[Domain]:
    """Return those of the chosen domains that the student owns already."""
    return [domain for domain in chosen(draft) if domain.is_own]


def to_buy(draft: Provision) -> list[Domain]:
    """Return the domains that a registry is asked about: chosen ones that are bought for the order, then spares."""
    return [domain for domain in (*chosen(draft), *spares(draft)) if not domain.is_own]


def takes_own(draft: Provision) -> bool:
    """Whether the draft's package takes a domain that the student owns already."""
    return STACKS[stack_of(draft)].takes_own


def platforms(draft: Provision) -> tuple[str, ...]:
    """Return the platforms at which the draft's student may have an account, those that nobody needs last."""
    return (*STACKS[stack_of(draft)].connections, *STACKS[stack_of(draft)].helpers)


def asks_for_accounts(draft: Provision) -> bool:
    """Whether the draft's package may be built in accounts of the student's own."""
    return draft.tier is not None and bool(STACKS[stack_of(draft)].connections) and not draft.enlarges_id


def accounts(draft: Provision) -> tuple[bool, bool]:
    """Return whether an own account is begun and not connected, or refused; and whether a platform has none at all.

    What is only not checked yet keeps nobody from going on; it is waited for before paying.
    """
    slugs, helpers = STACKS[stack_of(draft)].connections, STACKS[stack_of(draft)].helpers
    own, unfinished = to_freeze(draft.student, (*slugs, *helpers))
    known = [*own, *(one.platform for one in unfinished)]
    checking = PlatformConnection.State.CHECKING
    return (
        any(one.state != checking for one in unfinished),
        any(slug not in known and not operator_has(slug) for slug in slugs),
    )


def has_search(draft: Provision) -> bool:
    """Whether names are bought for the draft's package; where not, the student's own are all there is."""
    return STACKS[stack_of(draft)].registrar is not None


def spares(draft: Provision) -> list[Domain]:
    """Return the draft's spares, best first."""
    return _domains(draft, DomainState.SPARE)


def size(draft: Provision) -> Size:
    """Return how many domains and mailboxes the draft's package takes. Needs a package."""
    tier = draft.tier
    if tier is None:
        return Size(0, 0, 0)
    fewest, most = draft.takes()
    return Size(fewest, most, draft.adds(len(chosen(draft)))[1])


def patterns_needed(draft: Provision) -> int:
    """Return how many patterns the fullest domain takes."""
    held = size(draft)
    return naming.patterns_needed(held.mailboxes, len(chosen(draft)) or held.fewest)


def takes_people(draft: Provision) -> bool:
    """Whether the people who write may be named one by one for the draft's package."""
    return STACKS[stack_of(draft)].takes_people


def named(draft: Provision) -> list[people.Person]:
    """Return the people who are named one by one; none where one sender writes from all mailboxes."""
    return actions.named_people(draft, draft.tier) if draft.tier else []


def most_a_day(draft: Provision) -> int:
    """Return how many campaign mails a day a mailbox of the draft's package sends at most."""
    return actions.most_a_day(draft.tier) if draft.tier else 0


def plan(draft: Provision) -> list[people.Planned]:
    """Return the mailboxes that the draft makes. Raises Refused where what was answered makes none."""
    names = [domain.name for domain in chosen(draft)]
    return actions.planned(draft, draft.tier, names, size(draft).mailboxes) if draft.tier else []


def stack_of(draft: Provision) -> str:
    """Return the draft's stack; before a package is chosen, the first that is offered here."""
    return draft.tier.stack if draft.tier else str(settings.ENABLED_STACKS[0])


def chunk_size(draft: Provision) -> int:
    """Return how many names are unfolded at a time: what one bulk call answers."""
    registrar = STACKS[stack_of(draft)].registrar
    return registrar.most_names if registrar else 0


def _domains(draft: Provision, state: DomainState) -> list[Domain]:
    if draft._state.adding:
        return []
    return [domain for domain in draft.domains.all() if domain.state == state]


# Writes -------------------------------------------------------------------------------------------------------------


class Closed(Exception):
    """The order is being paid, or is paid: a page that was loaded before may not change it any more."""


@contextlib.contextmanager
def _editing(draft: Provision) -> Iterator[None]:
    """Hold the draft's row while it is changed, as the worker: the student's role may read its order, not write it.

    Raises Closed unless the row is still a draft of this student, whatever the page that asks has seen.
    """
    with acting_as("worker"), transaction.atomic():
        mine = Provision.objects.select_for_update(of=("self",)).filter(pk=draft.pk, student_id=draft.student_id)
        if mine.values_list("state", flat=True).first() != ProvisionState.DRAFT:
            raise Closed
        yield


def choose_package(draft: Provision, *, tier: Tier) -> Provision:
    """Put `tier` on the draft, making its row on the first page. Returns the row; a race keeps the first one."""
    draft.tier = tier
    if not draft._state.adding:
        with _editing(draft):
            draft.save(update_fields=["tier", "updated_at"])
        return draft
    draft.sender_first_name, draft.sender_last_name = draft.student.first_name, draft.student.last_name
    try:
        with acting_as("worker"), transaction.atomic():
            draft.save(force_insert=True)
    except IntegrityError:  # the same page was sent twice, or from two devices
        existing = current(draft.student)
        if existing is None or existing.state != ProvisionState.DRAFT:
            raise
        return choose_package(existing, tier=tier)
    return draft


def set_brand(draft: Provision, *, brand: str, main_domain: str) -> None:
    """Remember the brand and unfold its first chunk of suggestions. Raises BrandRefused, changing nothing."""
    suggestions.clean_brand(brand)
    if brand != draft.brand or not draft.names_shown:
        draft.names_shown = chunk_size(draft)
    draft.brand, draft.main_domain = brand, main_domain
    with _editing(draft):
        draft.save(update_fields=["brand", "main_domain", "names_shown", "updated_at"])


def show_more(draft: Provision) -> None:
    """Unfold the next chunk of suggestions."""
    draft.names_shown = min(draft.names_shown + chunk_size(draft), len(suggested(draft)))
    with _editing(draft):
        draft.save(update_fields=["names_shown", "updated_at"])


def add_searched(draft: Provision, *, name: str) -> None:
    """Put a name that the student typed onto the page, newest first; the oldest fall off."""
    names = [known for known in draft.searched_names if known != name] + [name]
    draft.searched_names = names[-MAX_SEARCHED:]
    with acting_as("worker"):  # also for a paid order whose lost name is being replaced: what was typed buys nothing
        draft.save(update_fields=["searched_names", "updated_at"])


def select(
    draft: Provision,
    *,
    chosen: Sequence[str],
    spares: Sequence[str],
    prices: dict[str, tuple[int, int]],
    own: Sequence[str] = (),
) -> None:
    """Make exactly these names the draft's domains and ranked spares. `prices` are (first year, renewal) in cents.

    `own` are domains that the student has already: beside the chosen ones, and without a price.
    """
    chosen = [*(name for name in chosen if name not in own), *own]
    spares = [name for name in dict.fromkeys(spares) if name not in chosen]
    wanted = {name: (DomainState.SELECTED, place) for place, name in enumerate(dict.fromkeys(chosen))}
    wanted |= {name: (DomainState.SPARE, place) for place, name in enumerate(spares)}
    with _editing(draft):
        Domain.objects.filter(provision=draft).exclude(name__in=wanted).delete()
        kept = {domain.name: domain for domain in Domain.objects.filter(provision=draft)}
        for name, (state, place) in wanted.items():
            domain = kept.get(name) or Domain(provision=draft, student_id=draft.student_id, name=name)
            domain.state, domain.position = state, place
            domain.origin = Origin.OWN if name in own else Origin.BOUGHT
            known = prices.get(name, (domain.price_cents, domain.renewal_cents))
            domain.price_cents, domain.renewal_cents = (0, 0) if domain.is_own else known
            domain.save()
        draft.save(update_fields=["updated_at"])
    draft._prefetched_objects_cache = {}  # type: ignore[attr-defined]


def name_mailboxes(draft: Provision, *, first_name: str, last_name: str, patterns: Sequence[str]) -> None:
    """Remember the sender's name and the normalised patterns: one sender writes, and nobody is named beside."""
    draft.sender_first_name, draft.sender_last_name = first_name, last_name
    draft.mailbox_patterns, draft.people = list(patterns), []
    with _editing(draft):
        names = ["sender_first_name", "sender_last_name", "mailbox_patterns", "people", "updated_at"]
        draft.save(update_fields=names)


def name_people(draft: Provision, *, named: Sequence[people.Person]) -> None:
    """Remember the people who write, one by one. The sender's name and the patterns stay, for who goes back to them."""
    draft.people = [one.as_row() for one in named]
    with _editing(draft):
        draft.save(update_fields=["people", "updated_at"])
