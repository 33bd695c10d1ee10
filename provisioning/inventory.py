"""Looks at what orders own: dates, renewal and records of domains, passwords and removal of mailboxes.

Once a week while nothing is near, daily before a paid year ends, hourly while a person is asked to switch a renewal. Pages
read what is kept here and never call a platform. A look takes what the budgets leave beside paid work; one that fails is put
off before it is tried. Every time is vendor time.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.db import connection
from django.utils.translation import gettext as _

from infra import clock, prepared, rls
from infra.models import (
    Domain,
    DomainState,
    Inventory,
    Mail,
    Mailbox,
    MailboxSecret,
    MailboxState,
    OperatorItem,
    Provision,
    ProvisionState,
    RenewalChoice,
)
from infra.models.domain import GONE, HELD
from integrations.http.errors import Permanent, PlatformError

from .actions import Refused, note
from .engine import accounts, budget, doorbell
from .engine.holding import HeldDomain, HeldMailbox, Holding, Record
from .engine.measuring import Look
from .engine.runner import Workshop, default_workshop
from .engine.specs import DAY, HOUR, MINUTE
from .looking import NOT_THERE, PatientRead, facts_of_mailboxes, put_off, take_oldest
from .stacks import STACKS

log = logging.getLogger(__name__)

SLICE_SECONDS = 5.0  # machine seconds after which no further look begins
ADMIT_EVERY = 60.0  # machine seconds until what became live is noticed
BACKOFF = (5 * MINUTE, 30 * MINUTE, 2 * HOUR, 6 * HOUR)  # by number of failures in a row
FAR, NEAR, SOON = 7 * DAY, 1 * DAY, 6 * HOUR  # until the next look: nothing near; within weeks; within two days
WATCHED = timedelta(days=35)  # before the end of a paid year
RECORDS_FOR = timedelta(days=30)  # how long records count as known
RECORDS_PER_LOOK = 5
NOTICES = (1, 7, 30)  # days before the end
RUNS = (
    ProvisionState.ACTIVE,
    ProvisionState.ACTIVE_WITH_EXCEPTIONS,
    ProvisionState.UPGRADING,
    ProvisionState.SUSPENDED,
)
ENDED = (ProvisionState.CANCELLING, ProvisionState.CANCELLED)


def is_due() -> bool:
    """Tell whether something waits to be looked at: asked by the supervisor's tick."""
    found = prepared.execute(
        "SELECT EXISTS (SELECT 1 FROM infra_inventory WHERE due_at <= (SELECT gtm_now('vendor')))"
        " OR NOT EXISTS (SELECT 1 FROM provisioning_heartbeat WHERE name = 'work:inventory'"
        "  AND at > gtm_now('machine') - make_interval(secs => %(every)s))",
        {"every": ADMIT_EVERY},
    )
    return bool(found and found[0])


def drain(limit: int = 10) -> int:
    """Look at up to `limit` orders; return how many. Answers the bell `inventory`."""
    workshop, done, ends = default_workshop(), 0, clock.monotonic() + SLICE_SECONDS
    admit()
    while done < limit and clock.monotonic() < ends and look_at_next(workshop):
        done += 1
    return done


def admit() -> int:
    """Let orders that have come to own something be looked at from now on; return how many that were."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO infra_inventory (id, provision_id, student_id, due_at, failures, problem, created_at, updated_at)"
            " SELECT gen_random_uuid(), p.id, p.student_id, gtm_now('vendor'), 0, '', gtm_now('machine'), gtm_now('machine')"
            " FROM infra_provision p LEFT JOIN infra_inventory i ON i.provision_id = p.id"
            " WHERE i.due_at IS NULL AND p.state = ANY(%s) AND p.order ->> 'stack' = ANY(%s)"
            "  AND EXISTS (SELECT 1 FROM infra_domain d WHERE d.provision_id = p.id"
            "   AND (d.bought_at IS NOT NULL OR d.connected_at IS NOT NULL) AND NOT d.state = ANY(%s))"
            " ON CONFLICT (provision_id) DO UPDATE SET due_at = excluded.due_at, failures = 0",
            [
                [str(one) for one in (*RUNS, *ENDED)],
                [one.key for one in STACKS.values() if one.holding],
                [str(one) for one in GONE],
            ],
        )
        return int(cursor.rowcount)


@dataclass
class Found:
    """What one look has seen. `records` by domain key."""

    domains: Sequence[HeldDomain]
    mailboxes: Sequence[HeldMailbox]
    records: dict[str, Sequence[Record]] = field(default_factory=dict)
    all_records: bool = True


def look_at_next(workshop: Workshop) -> bool:
    """Look at the order that has waited longest; return whether it makes sense to go on with the next."""
    due = take_oldest(Inventory, BACKOFF)
    if due is None:
        return False
    provision = due.provision
    holding = _holding(provision)
    if holding is None:
        Inventory.objects.filter(pk=due.pk).update(due_at=None)
        return True
    try:
        found = _read(workshop, provision, holding)
    except (budget.NotNow, PlatformError, KeyError) as error:
        return put_off(due, error)
    now = clock.vendor_now()
    write_down(provision, found, since=due.looked_at, now=now)
    is_asked = judge(provision, holding, now=now)
    wait = MINUTE if not found.all_records else _until_next(provision, is_asked, now)
    Inventory.objects.filter(pk=due.pk).update(
        due_at=clock.later(now, wait) if wait else None, looked_at=now, failures=0, problem=""
    )
    return True


def _holding(provision: Provision) -> Holding | None:
    stack = STACKS.get(str(provision.order.get("stack", "")))
    return stack.holding if stack else None


def _read(workshop: Workshop, provision: Provision, holding: Holding) -> Found:
    mine = holds(provision)
    names, facts = tuple(domain.name for domain in mine), facts_of_mailboxes(provision)
    mine_alone = accounts.of_order(provision)
    clients, read = mine_alone.clients(workshop.clients), PatientRead(workshop, mine_alone)
    look = Look(clients, read, provision.facts, names, mailboxes=facts)
    found = Found(holding.domains(look), holding.mailboxes(look))
    there = {one.name: one for one in found.domains}
    old = clock.vendor_now() - RECORDS_FOR
    wanted = [
        there[domain.name].key
        for domain in mine
        if domain.name in there and str(domain.facts.get("dns_read_at", "")) < old.isoformat()
    ]
    for key in wanted[:RECORDS_PER_LOOK]:
        try:
            found.records[key] = holding.records(look, key)
        except Permanent:
            found.records[key] = ()  # refused for this one: nothing is known of it
    found.all_records = len(wanted) <= RECORDS_PER_LOOK
    return found


def holds(provision: Provision) -> list[Domain]:
    """Return the domains that an order has: those that are paid for, and the student's own."""
    return list(provision.domains.filter(HELD).exclude(state__in=GONE).order_by("position", "name"))


def owned(provision: Provision) -> list[Domain]:
    """Return the domains of an order that are paid for. The student's own are renewed elsewhere."""
    return [domain for domain in holds(provision) if not domain.is_own]


def left_out(provision: Provision) -> list[Domain]:
    """Return the domains that a smaller package has left out and whose paid year lasts: nobody wants them renewed."""
    return list(provision.domains.filter(bought_at__isnull=False, state=DomainState.RELEASED).order_by("name"))


def _until_next(provision: Provision, is_asked: bool, now: datetime) -> float:
    """Return the seconds until the next look; 0 when nothing is owned any more."""
    left = [*holds(provision), *left_out(provision)]
    if not left:
        return 0.0
    if is_asked:
        return HOUR
    ends = min((one.expires_at for one in left if one.expires_at), default=None)
    if ends is not None and ends - now < timedelta(days=2):
        return SOON
    if ends is not None and ends - now < WATCHED:
        return NEAR
    going = provision.state in ENDED and provision.mailboxes.exclude(state__in=NOT_THERE).exists()
    return NEAR if going else FAR


# What was found -------------------------------------------------------------------------------------------------------

CHANGE_DOMAIN = """
    UPDATE infra_domain SET facts = facts || %(facts)s::jsonb, state = %(state)s, reason = %(reason)s,
        expires_at = COALESCE(%(ends)s, expires_at), updated_at = gtm_now('machine') WHERE id = %(id)s
"""


def write_down(provision: Provision, found: Found, *, since: datetime | None, now: datetime) -> None:
    """Keep what was seen. Each row by itself: whoever builds at the same moment waits for none of it."""
    there = {one.name: one for one in found.domains}
    for domain in [*holds(provision), *left_out(provision)]:
        _write_domain(domain, there.get(domain.name), found, now)
    boxes = {one.address.lower(): one for one in found.mailboxes}
    for mailbox in provision.mailboxes.exclude(state__in=NOT_THERE).select_related("domain", "secret"):
        held = boxes.get(mailbox.address.lower())
        if held is not None:
            _keep_password(mailbox, held)
        if mailbox.domain.state == DomainState.EXPIRED:
            _remove(mailbox, _("Its domain has expired."))
        elif provision.state in ENDED:
            _note_absence(mailbox, held is None, since)


def _write_domain(domain: Domain, held: HeldDomain | None, found: Found, now: datetime) -> None:
    ends = held.expires_at if held and held.expires_at else domain.expires_at
    is_over = ends is not None and ends <= now and (held is None or held.renews is False)
    expired = is_over or (held is not None and held.is_expired)
    facts: dict[str, Any] = {}
    if domain.is_own:  # its year and its renewal are a matter between the student and their registrar
        ends, expired = domain.expires_at, False
    if held is not None:
        facts = {"provider": held.provider}
        if not domain.is_own:
            facts["renewal"] = {True: "on", False: "off", None: "unknown"}[held.renews]
        if held.key in found.records:
            facts["dns_read_at"] = now.isoformat()
            if rows := found.records[held.key]:
                facts["dns_records"] = [list(row) for row in rows]
    with connection.cursor() as cursor:
        cursor.execute(
            CHANGE_DOMAIN,
            {
                "facts": json.dumps(facts),
                "state": str(DomainState.EXPIRED) if expired else domain.state,
                "reason": _("Its paid time has ended.") if expired else domain.reason,
                "ends": ends,
                "id": domain.pk,
            },
        )


def _keep_password(mailbox: Mailbox, held: HeldMailbox) -> None:
    if held.password is None:
        return
    known = MailboxSecret.objects.filter(mailbox=mailbox).first()
    if known is None:
        MailboxSecret.objects.create(mailbox=mailbox, student_id=mailbox.student_id, app_password=held.password)
    elif known.app_password != held.password:
        known.app_password = held.password
        known.save()


def _note_absence(mailbox: Mailbox, is_absent: bool, since: datetime | None) -> None:
    """A mailbox may be missing in one answer only: it counts as removed when the look before missed it as well."""
    missed = bool(mailbox.facts.get("missed"))
    if is_absent and missed and since is not None:
        _remove(mailbox, _("It was removed at its renewal, as the order's end asked for."))
    elif is_absent != missed:
        with connection.cursor() as cursor:
            cursor.execute(
                "UPDATE infra_mailbox SET facts = facts || %s::jsonb WHERE id = %s",
                [json.dumps({"missed": is_absent}), mailbox.pk],
            )


def _remove(mailbox: Mailbox, reason: str) -> None:
    Mailbox.objects.filter(pk=mailbox.pk).update(state=MailboxState.REMOVED, reason=reason)
    MailboxSecret.objects.filter(mailbox=mailbox).delete()


# What follows from it ---------------------------------------------------------------------------------------------------

UNWANTED, WANTED = "renewal_unwanted", "renewal_wanted"  # kinds of the operator's items


def judge(provision: Provision, holding: Holding, *, now: datetime) -> bool:
    """Tell students of years that end, and the operator of renewals that stand wrong; return whether one of these does."""
    domains = owned(provision)
    if provision.state in RUNS:
        _post_notices(provision, domains, now)
    chosen = choices(provision)
    asked = [_ask(provision, one, chosen.get(one.name, ""), holding) for one in domains]
    asked += [_ask(provision, one, "", holding) for one in left_out(provision)]
    return any(asked)


def choices(provision: Provision) -> dict[str, str]:
    """Return the newest choice by domain name."""
    rows = RenewalChoice.objects.filter(domain__provision=provision).order_by("created_at", "id")
    return dict(rows.values_list("domain__name", "choice"))


def _post_notices(provision: Provision, domains: Sequence[Domain], now: datetime) -> None:
    for domain in domains:
        if domain.expires_at is None or domain.expires_at <= now:
            continue
        days = (domain.expires_at - now).total_seconds() / DAY
        notice = next((one for one in NOTICES if days <= one), None)
        if notice is not None:  # whoever looks late skips the earlier ones; the domains of one day share a mail
            ends = domain.expires_at.date().isoformat()
            Mail.post("renewal", key=f"{provision.pk}:{ends}:{notice}", provision=provision, ends_on=ends, days=notice)


def _ask(provision: Provision, domain: Domain, chosen: str, holding: Holding) -> bool:
    """Ask the operator to switch a renewal that stands otherwise than it should; return whether it does."""
    stands = domain.facts.get("renewal", "unknown")
    is_dropped = chosen == RenewalChoice.Choice.DROP and provision.state in RUNS
    # While something is taken down its run asks; afterwards only what was switched on again is worth a person.
    is_over = provision.state == ProvisionState.CANCELLED or domain.state == DomainState.RELEASED
    is_unwanted = (is_dropped and stands != "off") or (is_over and stands == "on")
    is_wanted = chosen == RenewalChoice.Choice.KEEP and provision.state in RUNS and stands == "off"
    for kind, applies, position in ((UNWANTED, is_unwanted, "off"), (WANTED, is_wanted, "on")):
        key = str(domain.pk)
        if not applies:
            OperatorItem.close(
                kind, key=key, resolution="The list shows it as it should be, or it is no longer wanted."
            )
            continue
        known = OperatorItem.objects.filter(key=OperatorItem.key_of(kind, key))
        if stands == "unknown" and known.exists():
            continue  # the platform never says: the person's word is enough
        by = f" by {domain.expires_at:%d %B %Y}" if domain.expires_at else ""
        sentence = (
            f"{provision.reference}: switch the renewal of {domain.name} {position}{by}: {holding.how_to_switch}."
        )
        OperatorItem.open(kind, key=key, sentence=sentence, provision=provision)
    open_items = OperatorItem.objects.filter(
        key__in=[OperatorItem.key_of(kind, str(domain.pk)) for kind in (UNWANTED, WANTED)], resolved_at__isnull=True
    )
    return open_items.exists()


# The student's choice ---------------------------------------------------------------------------------------------------


def choose(*, provision: Provision, domain: Domain, choice: str, actor: str) -> bool:
    """Write down whether a student keeps a domain when its year ends; return whether that is anything new.

    Nothing is switched here: the operator is asked where the platform's renewal stands otherwise. Raises Refused.
    """
    with rls.acting_as("worker"):
        if provision.state not in RUNS or domain.bought_at is None or domain.state in GONE:
            raise Refused(_("There is nothing to choose for this domain any more."))
        if choices(provision).get(domain.name) == choice:
            return False
        RenewalChoice.objects.create(
            domain=domain,
            student_id=provision.student_id,
            choice=choice,
            actor=actor[:320],
            ends_at=domain.expires_at,
            price_cents=domain.renewal_cents,
        )
        note(provision, f"renewal_{choice}", actor=actor, item=domain.name)
        Inventory.objects.filter(provision=provision).update(due_at=clock.vendor_now())
        doorbell.ring("inventory")
    return True
