"""What was spent for orders at the platforms, as our own rows know it: what was bought, when, and what one of it costs.

No platform is asked. A domain costs what its platform named when it was ordered; everything else costs what the settings
say, and is an estimate. An attempt whose end is not known has no figure.
"""

from __future__ import annotations

import enum
import uuid
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Min, QuerySet
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from infra.models import (
    UNRESOLVED,
    Domain,
    MailboxState,
    OperationState,
    Provision,
    ProvisionState,
    RunKind,
    RunState,
    Tier,
)

from .engine.options import Options
from .engine.spending import Cost, Every, Of
from .models import OperationItem, Step
from .stacks import STACKS

YEAR = 365.25 * 86400
GONE = (ProvisionState.CANCELLING, ProvisionState.CANCELLED)


class Basis(enum.StrEnum):
    """How a figure is known."""

    NAMED = "named"  # by the platform, when it was ordered
    ESTIMATE = "estimate"


@dataclass(frozen=True, slots=True)
class Spent:
    """One thing that was spent for an order. `cents` None: not known yet. `at` is vendor time."""

    seller: str
    what: str
    cents: int | None
    currency: str
    basis: Basis
    at: datetime | None


@dataclass(frozen=True, slots=True)
class _Rows:
    """What the rows say of some orders, by order."""

    domains: Mapping[uuid.UUID, list[Domain]]
    items: Mapping[uuid.UUID, list[OperationItem]]
    opened: Mapping[tuple[uuid.UUID, str], datetime]
    ended: Mapping[uuid.UUID, datetime]
    # What of it was left out since, at a change to a smaller package: by run that bought it, addresses and when.
    left: Mapping[uuid.UUID, Mapping[str, datetime]]


def spent(provisions: Sequence[Provision], *, options: Options, now: datetime) -> dict[uuid.UUID, list[Spent]]:
    """Return what was spent for each order until `now`, which is vendor time; as many queries for many as for one."""
    rows = _read(provisions)
    return {
        one.pk: [line for cost in costs_of(one) for line in _spent_on(cost, one, rows, options=options, now=now)]
        for one in provisions
    }


def costs_of(provision: Provision) -> tuple[Cost, ...]:
    """Return what the orders of this one's stack pay for."""
    stack = STACKS.get(str(provision.order.get("stack", "")))
    return stack.costs if stack else ()


def monthly_cents(tier: Tier, options: Options) -> int:
    """Return what a package costs the operator in a month, by the settings; of what is paid by the year, a twelfth."""
    stack = STACKS.get(tier.stack)
    counts = {Of.DOMAIN: tier.domain_count, Of.MAILBOX: tier.mailbox_count, Of.IP: tier.dedicated_ip_count}
    return sum(counts[cost.of] * cost.cents_a_year(options) // 12 for cost in (stack.costs if stack else ()))


def _read(provisions: Sequence[Provision]) -> _Rows:
    ids = [one.pk for one in provisions]
    verbs = {cost.verb for one in provisions for cost in costs_of(one)}
    domains, items = defaultdict[uuid.UUID, list[Domain]](list), defaultdict[uuid.UUID, list[OperationItem]](list)
    for domain in Domain.objects.filter(provision__in=ids, ordered_at__isnull=False):
        domains[domain.provision_id].append(domain)
    bought = OperationItem.objects.filter(
        operation__run__provision__in=ids, verb__in=verbs, state__in=[*UNRESOLVED, OperationState.DONE]
    )
    for item in bought.select_related("operation__run").order_by("created_at", "natural_key"):
        items[item.operation.run.provision_id].append(item)
    keys = {item.operation.step_key for some in items.values() for item in some}
    steps = Step.objects.filter(run__provision__in=ids, opened_at__isnull=False)
    first = steps.filter(key__in=keys).values_list("run_id", "key").annotate(Min("opened_at"))
    ends = steps.filter(run__kind=RunKind.TEARDOWN).values_list("run__provision_id").annotate(Min("opened_at"))
    runs = {item.operation.run_id for some in items.values() for item in some}
    return _Rows(domains, items, {(run, key): at for run, key, at in first}, dict(ends), _left(steps, runs))


def _left(steps: QuerySet[Step], runs: Collection[uuid.UUID]) -> dict[uuid.UUID, dict[str, datetime]]:
    """Return since when mailboxes that these runs made are paid for no more, because a smaller package left them out."""
    smaller = steps.filter(run__kind=RunKind.DOWNGRADE, run__state=RunState.DONE)
    began = dict(smaller.values_list("run_id").annotate(Min("opened_at")))
    mailboxes = smaller.filter(mailbox__state=MailboxState.REMOVED).values_list("mailbox_id", "run_id")
    since = {mailbox: began[run] for mailbox, run in mailboxes}
    left = defaultdict[uuid.UUID, dict[str, datetime]](dict)
    made = Step.objects.filter(run__in=runs, mailbox__in=list(since)).values_list(
        "run_id", "mailbox_id", "mailbox__address"
    )
    for run, mailbox, address in made:
        left[run][address] = since[mailbox]
    return left


def _spent_on(cost: Cost, provision: Provision, rows: _Rows, *, options: Options, now: datetime) -> Iterator[Spent]:
    mine = [item for item in rows.items[provision.pk] if (item.platform, item.verb) == (cost.platform, cost.verb)]
    if cost.of is Of.DOMAIN:
        for domain in rows.domains[provision.pk]:
            yield from _spent_on_domain(cost, domain, mine, rows, options)
        return
    until = rows.ended.get(provision.pk) or provision.cancelled_at if provision.state in GONE else None
    until = min(until or now, now)
    left = {run: dict(gone) for run, gone in rows.left.items()}
    for batch in _by_operation(mine):
        count = _count(batch)
        ends = Counter(min(at, until) for at in _ends(batch, count, left))
        ends[until] += count - ends.total()
        for at, some in sorted(ends.items(), reverse=True):
            if some:
                yield _spent_on_batch(cost, batch, some, rows, options, until=at)


def _spent_on_domain(
    cost: Cost, domain: Domain, items: list[OperationItem], rows: _Rows, options: Options
) -> Iterator[Spent]:
    asked = [item for item in items if item.natural_key == domain.name]
    at = _opened(asked[-1], rows) if asked else domain.bought_at
    done = domain.bought_at is not None or any(item.state == OperationState.DONE for item in asked)
    if not done:
        if asked:
            yield Spent(cost.seller, domain.name, None, cost.currency, Basis.NAMED, at)
        return
    basis = Basis.NAMED if domain.price_cents else Basis.ESTIMATE
    yield Spent(cost.seller, domain.name, domain.price_cents or cost.cents(options), cost.currency, basis, at)
    years = round((domain.expires_at - at).total_seconds() / YEAR) if domain.expires_at and at else 1
    if years > 1:
        renewals = (years - 1) * (domain.renewal_cents or cost.cents(options))
        said = ngettext("%(name)s, %(n)s year more", "%(name)s, %(n)s years more", years - 1)
        what = said % {"name": domain.name, "n": years - 1}
        yield Spent(cost.seller, what, renewals, cost.currency, Basis.ESTIMATE, None)


def _by_operation(items: list[OperationItem]) -> list[list[OperationItem]]:
    found: dict[uuid.UUID, list[OperationItem]] = defaultdict(list)
    for item in items:
        found[item.operation_id].append(item)
    return list(found.values())


def _count(batch: list[OperationItem]) -> int:
    """Return how many one write has bought: as many as its counter was to rise by, or one for each of its things."""
    target = batch[0].operation.target
    return int(target["target"]) - int(target["baseline"]) if "target" in target else len(batch)


def _ends(batch: list[OperationItem], count: int, left: Mapping[uuid.UUID, dict[str, datetime]]) -> list[datetime]:
    """Take from `left` what one write had bought, and return when each of it was left out; a counter has no names."""
    gone, names = left.get(batch[0].operation.run_id, {}), {item.natural_key for item in batch}
    mine = sorted(gone) if "target" in batch[0].operation.target else [name for name in gone if name in names]
    return [gone.pop(name) for name in mine[:count]]


def _spent_on_batch(
    cost: Cost, batch: list[OperationItem], count: int, rows: _Rows, options: Options, *, until: datetime
) -> Spent:
    """Reckon what was paid for so many of what one write has bought."""
    at = _opened(batch[0], rows)
    periods = begun(at, until, months=1 if cost.every is Every.MONTH else 12)
    values = {"count": count, "label": cost.label, "n": periods}
    if cost.every is Every.MONTH:
        what = ngettext("%(count)s × %(label)s, %(n)s month", "%(count)s × %(label)s, %(n)s months", periods) % values
    else:
        what = ngettext("%(count)s × %(label)s, %(n)s year", "%(count)s × %(label)s, %(n)s years", periods) % values
    open_ = any(item.state in UNRESOLVED for item in batch)
    cents = None if open_ else count * periods * cost.cents(options)
    return Spent(cost.seller, what if not open_ else _("%(what)s, being bought") % {"what": what}, cents,
                 cost.currency, Basis.ESTIMATE, at)  # fmt: skip


def _opened(item: OperationItem, rows: _Rows) -> datetime:
    """Return when a thing was bought, in vendor time, as its step knows it."""
    return rows.opened.get((item.operation.run_id, item.operation.step_key)) or item.created_at


def begun(since: datetime, until: datetime, *, months: int) -> int:
    """Return how many spans of so many calendar months have begun: each is paid for when it begins. At least one."""
    whole = (until.year - since.year) * 12 + until.month - since.month
    if (until.day, until.time()) < (since.day, since.time()):
        whole -= 1
    return max(0, whole) // months + 1
