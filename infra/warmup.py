"""Where each mailbox stands in its warmup: rows read once, judged by the pure rules of `health` and `ramp`.

The one answer for the dashboard, the mails, the calendar and the collector, so that they never say different things.
"""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta

from infra.health import Figure, Health, Lack, bad_since, good_days_left, lacks, verdict
from infra.models import Connection, DomainState, Mailbox, MailboxState, Provision, ProvisionState, WarmupDay
from infra.ramp import Plan, Ramp

KEPT = 10  # figures of a mailbox that decide, and are shown
RESTING = (MailboxState.SUSPENDED, MailboxState.FAILED, MailboxState.REMOVED)

RECENT = """
    SELECT recent.* FROM infra_mailbox AS box CROSS JOIN LATERAL (
        SELECT * FROM infra_warmupday WHERE mailbox_id = box.id ORDER BY day DESC LIMIT %s) AS recent
    WHERE box.provision_id = %s ORDER BY recent.day
"""


@dataclass(frozen=True, slots=True)
class Standing:
    """A mailbox today.

    days      what was measured last, oldest first, at most ten days
    ramp      its plan in the calendar; None while warmup has not begun
    lacks     conditions of sending that fail; empty when it is ready to send
    ready_on  the day from which it may send, as far as anybody can know; None when nobody can
    """

    mailbox: Mailbox
    today: date
    days: tuple[WarmupDay, ...]
    health: Health
    ramp: Ramp | None
    lacks: tuple[Lack, ...]
    ready_on: date | None

    @property
    def latest(self) -> WarmupDay | None:
        return self.days[-1] if self.days else None

    @property
    def is_ready(self) -> bool:
        return not self.lacks

    @property
    def is_paused(self) -> bool:
        """Whether warmup was off when somebody last looked."""
        return self.latest is not None and not self.latest.is_warming

    @property
    def is_lost(self) -> bool:
        """Whether the sending tool does not reach the mailbox, as it last said."""
        return self.latest is not None and self.latest.connection != Connection.CONNECTED

    @property
    def is_bad(self) -> bool:
        """Whether it has been bad for long enough to tell its student."""
        return bad_since(figures_of(self.days)) is not None

    @property
    def needs_attention(self) -> bool:
        return self.mailbox.state in RESTING or self.is_bad or self.is_lost


def plan_of(provision: Provision) -> Plan:
    """Return the warmup plan that was ordered, or else the package's."""
    order, tier = provision.order, provision.tier
    days = order.get("warmup_days") or (tier.warmup_days if tier else 14)
    return Plan.of(order.get("warmup") or (tier.warmup if tier else {}), int(days))


def figures_of(days: Collection[WarmupDay]) -> list[Figure]:
    """Return the figures that decide about health."""
    return [Figure(one.day, one.health) for one in days]


def standings(
    provision: Provision, mailboxes: Sequence[Mailbox], *, now: datetime, is_measured: bool = True
) -> list[Standing]:
    """Judge every mailbox of a provision, in two queries. `now` is vendor time; each mailbox comes with its domain."""
    recent: dict[uuid.UUID, list[WarmupDay]] = defaultdict(list)
    for row in WarmupDay.objects.raw(RECENT, [KEPT, provision.pk]):
        recent[row.mailbox_id].append(row)
    paused: dict[uuid.UUID, list[date]] = defaultdict(list)
    cold = WarmupDay.objects.filter(mailbox__provision=provision, is_warming=False)
    for key, day in cold.order_by().values_list("mailbox_id", "day"):
        paused[key].append(day)
    plan, rests = plan_of(provision), provision.state == ProvisionState.SUSPENDED
    plans = {one.pk: replace(plan, campaign_cap=one.daily_limit or plan.campaign_cap) for one in mailboxes}
    return [
        _standing(one, plans[one.pk], recent[one.pk], paused[one.pk], now=now, is_measured=is_measured, rests=rests)
        for one in mailboxes
    ]


def _standing(
    mailbox: Mailbox,
    plan: Plan,
    days: Sequence[WarmupDay],
    paused: Sequence[date],
    *,
    now: datetime,
    is_measured: bool,
    rests: bool,
) -> Standing:
    today, figures = now.astimezone(UTC).date(), figures_of(days)
    begun = mailbox.warmup_started_at
    ramp = Ramp.since(plan, begun.astimezone(UTC).date(), paused) if begun else None
    left = good_days_left(figures, today=today, is_measured=is_measured)
    found = lacks(
        warmup_days_over=ramp is not None and ramp.is_over(today),
        good_days_left=left,
        dns_is_valid=mailbox.domain.state == DomainState.ACTIVE,
        is_connected=mailbox.state not in RESTING and (not days or days[-1].connection == Connection.CONNECTED),
    )
    health = verdict(figures, is_measured=is_measured)
    stands_still = rests or ramp is None or bool(days and not days[-1].is_warming) or Lack.CONNECTION in found
    ready_on = None if stands_still else _ready_on(ramp, health, left, found, today)
    return Standing(mailbox, today, tuple(days), health, ramp, found, ready_on)


def _ready_on(ramp: Ramp | None, health: Health, left: int, found: Sequence[Lack], today: date) -> date | None:
    """Return the earliest day that fulfils every condition; None when bad health holds up what is warm otherwise."""
    assert ramp is not None
    if Lack.DNS in found or (health == Health.BAD and Lack.WARMUP_DAYS not in found):
        return None
    may_start = ramp.sending_may_start()
    return max(may_start, today + timedelta(days=left)) if left else may_start


def all_ready_on(found: Sequence[Standing]) -> date | None:
    """Return the day from which every mailbox may send of which that can be known; None where it can of none."""
    return max((one.ready_on for one in found if one.ready_on is not None), default=None)
