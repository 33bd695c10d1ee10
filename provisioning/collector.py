"""Looks at what runs, twice a day, and keeps what the platforms say. Pages read these rows and never call a platform.

One worker at a time, a few looks per ring, whoever has waited longest first. A look takes what the budgets leave: the
shares reserved for paid work are closed to it, and without a permit it goes at once. What fails is tried again later, ever
more rarely, and put off before it is tried, so that nothing stands in the others' way; pages go on with the figures there
are, and their age.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, TypeVar

from django.db import connection, transaction

from infra import clock, health, prepared
from infra.models import Connection, Mail, Mailbox, MailboxState, Measurement, Provision, ProvisionState
from infra.models.base import ordered_id
from infra.warmup import Standing, figures_of, standings
from integrations.http.call import Call
from integrations.http.errors import PlatformError

from .engine import accounts, budget
from .engine.accounts import OPERATORS, Accounts
from .engine.measuring import Listing, Look, Measured
from .engine.reader import send_read
from .engine.runner import Workshop, default_workshop
from .engine.specs import HOUR, MINUTE
from .looking import WEIGHT, advised, facts_of_mailboxes, leave_place, problem, put_off, take_oldest, take_place
from .models import Collection
from .stacks import STACKS

T = TypeVar("T")

log = logging.getLogger(__name__)

SLICE = "slice"  # the place of whoever is at it
SLICE_SECONDS = 5.0  # machine seconds after which no further look begins
ADMIT_EVERY = 60.0  # machine seconds until what became live is noticed
BACKOFF = (5 * MINUTE, 15 * MINUTE, 30 * MINUTE, HOUR, 2 * HOUR)  # vendor seconds by number of failures in a row
NOTES_LAST = timedelta(hours=1)  # vendor time for which an interrupted look may go on with what it has


LIVE = (
    ProvisionState.ACTIVE,
    ProvisionState.ACTIVE_WITH_EXCEPTIONS,
    ProvisionState.UPGRADING,
    ProvisionState.SUSPENDED,
    ProvisionState.CANCELLING,
)
LOOKED_AT = (MailboxState.CONNECTED, MailboxState.WARMING, MailboxState.READY, MailboxState.SUSPENDED)


def is_due() -> bool:
    """Tell whether something waits to be looked at and nobody is at it: asked by the supervisor's tick."""
    found = prepared.execute(
        "SELECT NOT EXISTS (SELECT 1 FROM provisioning_collection"
        "  WHERE name = %(place)s AND claimed_until > gtm_now('machine'))"
        " AND (EXISTS (SELECT 1 FROM infra_measurement WHERE due_at <= (SELECT gtm_now('vendor')))"
        "  OR EXISTS (SELECT 1 FROM provisioning_collection WHERE due_at <= (SELECT gtm_now('vendor')))"
        "  OR NOT EXISTS (SELECT 1 FROM provisioning_heartbeat WHERE name = 'work:figures'"
        "   AND at > gtm_now('machine') - make_interval(secs => %(every)s)))",
        {"every": ADMIT_EVERY, "place": SLICE},
    )
    return bool(found and found[0])


def drain(limit: int = 10) -> int:
    """Look at up to `limit` provisions and pages of listings; return how many. Answers the bell `figures`."""
    if not take_place(SLICE):
        return 0
    collector, done, ends = Collector(default_workshop()), 0, clock.monotonic() + SLICE_SECONDS
    try:
        admit()
        while done < limit and clock.monotonic() < ends and collector.look_at_next():
            done += 1
    finally:
        leave_place(SLICE)
    return done


def admit() -> int:
    """Let what has become live be looked at from now on; return how many provisions that were."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO infra_measurement (id, provision_id, student_id, due_at, failures, problem, lead_list, notes,"
            "  created_at, updated_at)"
            " SELECT gen_random_uuid(), p.id, p.student_id, gtm_now('vendor'), 0, '', '', '{}', gtm_now('machine'),"
            "  gtm_now('machine') FROM infra_provision p LEFT JOIN infra_measurement m ON m.provision_id = p.id"
            " WHERE m.due_at IS NULL AND p.state = ANY(%s) AND p.order ->> 'stack' = ANY(%s)"
            " ON CONFLICT (provision_id) DO UPDATE SET due_at = excluded.due_at, failures = 0",
            [[str(one) for one in LIVE], [one.key for one in STACKS.values() if one.measuring]],
        )
        admitted = int(cursor.rowcount)
        cursor.execute(
            'INSERT INTO provisioning_collection (name, due_at, "offset", failures)'
            " SELECT name, gtm_now('vendor'), 0, 0 FROM unnest(%s::text[]) AS name ON CONFLICT (name) DO NOTHING",
            [list(_listings())],
        )
    return admitted


def _listings() -> dict[str, Listing]:
    found = (stack.measuring.lists for stack in STACKS.values() if stack.measuring)
    return {one.name: one for one in found if one is not None}


@dataclass
class Collector:
    """One slice of looking."""

    workshop: Workshop

    def look_at_next(self) -> bool:
        """Look at what is due; return whether it makes sense to go on with the next."""
        if (listing := _take_listing()) is not None:
            return self._turn_page(listing)
        if (measurement := take_oldest(Measurement, BACKOFF)) is not None:
            return self._look_at(measurement)
        return False

    def read(self, call: Call[T], /, accounts: Accounts = OPERATORS) -> T:
        """Read within what there is to spare. Raises PlatformError or budget.NotNow."""
        return send_read(self.workshop.transport, replace(call, weight_class=WEIGHT), accounts=accounts)

    def _look_at(self, due: Measurement) -> bool:
        provision = due.provision
        stack = STACKS.get(str(provision.order.get("stack", "")))
        measuring = stack.measuring if stack else None
        if provision.state not in LIVE or measuring is None:
            Measurement.objects.filter(pk=due.pk).update(due_at=None)
            return True
        lists, notes = measuring.lists, _fresh_notes(due)
        facts = facts_of_mailboxes(provision)
        mine = accounts.of_order(provision)
        clients, read = mine.clients(self.workshop.clients), partial(self.read, accounts=mine)
        look = Look(clients, read, provision.facts, now=due.tried_at, notes=notes, mailboxes=facts)
        try:
            found = measuring.figures(look)
        except (budget.NotNow, PlatformError, KeyError) as error:
            if notes != due.notes:
                Measurement.objects.filter(pk=due.pk).update(notes=_dated(notes, due))
            return put_off(due, error)
        if lists is not None and due.leads_at is None and provision.facts.get(lists.fact):
            self._count_own(due, look, lists)
        with transaction.atomic():
            now = clock.vendor_now()
            write_down(due, found, now=now)
            judge(provision, now=now, is_measured="health" in measuring.supplied)
            Measurement.objects.filter(pk=due.pk).update(
                due_at=clock.later(now, self.workshop.options.figures_every),
                looked_at=now,
                failures=0,
                problem="",
                notes={},
                lead_list=str(provision.facts.get(lists.fact, "")) if lists else "",
            )
        return True

    def _count_own(self, due: Measurement, look: Look, lists: Listing) -> None:
        """Count a list that no page has shown yet. Without an answer the pages will, later."""
        try:
            size = lists.one(look)
        except (budget.NotNow, PlatformError) as error:
            log.info("lead list not counted", extra={"provision": due.provision.reference, "problem": problem(error)})
            return
        if size is not None and 0 <= size <= MOST_COUNTED:
            Measurement.objects.filter(pk=due.pk).update(leads=size, leads_at=clock.vendor_now())

    def _turn_page(self, place: Collection) -> bool:
        listing = _listings()[place.name]
        try:
            counts = listing.page(Look(self.workshop.clients, self.read), place.offset)
        except (budget.NotNow, PlatformError) as error:
            return _note_listing(place, error)
        with transaction.atomic(), connection.cursor() as cursor:
            now = clock.vendor_now()
            sizes = {key: size for key, size in counts.sizes.items() if 0 <= size <= MOST_COUNTED}
            cursor.execute(
                "UPDATE infra_measurement SET leads = found.size, leads_at = %s"
                " FROM unnest(%s::text[], %s::integer[]) AS found (id, size) WHERE lead_list = found.id",
                [now, list(sizes), list(sizes.values())],
            )
            is_last = counts.next_offset is None
            wait = self.workshop.options.figures_every if is_last else 0.0
            Collection.objects.filter(name=place.name).update(
                offset=counts.next_offset or 0, due_at=clock.later(now, wait), failures=0
            )
        return True


NOTED = "noted_at"


def _fresh_notes(due: Measurement) -> dict[str, Any]:
    """Return what an interrupted look noted, nothing where that is too old to be told as today's."""
    at = str(due.notes.get(NOTED, ""))
    if not at or due.tried_at is None or datetime.fromisoformat(at) < due.tried_at - NOTES_LAST:
        return {}
    return deepcopy(due.notes)  # whether anything was added is seen by comparing the two


def _dated(notes: dict[str, Any], due: Measurement) -> dict[str, Any]:
    """Return the notes with the moment at which the first of them was written."""
    return {NOTED: due.tried_at.isoformat() if due.tried_at else "", **notes}


# Taking what is due, and giving it back -----------------------------------------------------------------------------


def _backoff(failures: int) -> float:
    return BACKOFF[min(failures, len(BACKOFF) - 1)]


def _take_listing() -> Collection | None:
    known = list(_listings())
    return Collection.objects.filter(name__in=known, due_at__lte=clock.vendor_now()).order_by("due_at").first()


def _note_listing(place: Collection, error: Exception) -> bool:
    if isinstance(error, budget.NoPermit | budget.NoFlight):
        due_at = clock.later(clock.vendor_now(), error.seconds)
        Collection.objects.filter(name=place.name).update(due_at=due_at)
        return True
    log.warning("listing not read", extra={"listing": place.name, "problem": problem(error)})
    wait = advised(error) or _backoff(place.failures)
    due_at = clock.later(clock.vendor_now(), wait)
    Collection.objects.filter(name=place.name).update(due_at=due_at, offset=0, failures=place.failures + 1)
    return True  # another platform may well answer


# What was found -------------------------------------------------------------------------------------------------------

FIGURES = tuple(one.name for one in fields(Measured) if one.name not in ("is_connected", "is_warming"))
COUNTERS = frozenset({"warmup_sent", "campaign_sent"})
MOST_COUNTED = 2_000_000_000  # what the column holds
KEEP = """
    INSERT INTO infra_warmupday AS kept (id, created_at, updated_at, mailbox_id, student_id, day, measured_at, connection,
        is_warming, {names})
    VALUES (%(id)s, gtm_now('machine'), gtm_now('machine'), %(mailbox)s, %(student)s, %(day)s, %(at)s, %(connection)s,
        %(warming)s, {values})
    ON CONFLICT (mailbox_id, day) DO UPDATE SET updated_at = excluded.updated_at, measured_at = excluded.measured_at,
        connection = excluded.connection, is_warming = excluded.is_warming, {kept}
""".format(
    names=", ".join(FIGURES),
    values=", ".join(f"%({name})s" for name in FIGURES),
    kept=", ".join(f"{name} = COALESCE(excluded.{name}, kept.{name})" for name in FIGURES),
)


def write_down(due: Measurement, found: Mapping[str, Measured], *, now: datetime) -> None:
    """Keep what was said of each mailbox today.

    A mailbox that is missing in one answer may be missing in that answer only: it counts as gone when it was missing in
    the look before as well.
    """
    boxes = due.provision.mailboxes.filter(state__in=LOOKED_AT, warmup_started_at__isnull=False)
    rows = []
    for box in boxes.order_by("pk"):
        said = found.get(box.address.lower())
        if said is None:
            if not _was_missing(box, due):
                continue
            said = Measured(is_connected=False, is_warming=False)
            state = Connection.ABSENT
        else:
            state = Connection.CONNECTED if said.is_connected else Connection.DISCONNECTED
        rows.append(_row(box, said, state, now))
    if rows:
        with connection.cursor() as cursor:
            cursor.executemany(KEEP, rows)


def _was_missing(box: Mailbox, due: Measurement) -> bool:
    latest = box.warmup_days.order_by("-day").values_list("measured_at", "connection").first()
    if due.looked_at is None:
        return False
    return latest is None or latest[0] < due.looked_at or latest[1] == Connection.ABSENT


def _row(box: Mailbox, said: Measured, state: Connection, now: datetime) -> dict[str, Any]:
    return {
        "id": ordered_id(),
        "mailbox": box.pk,
        "student": box.student_id,
        "day": now.astimezone(UTC).date(),
        "at": now,
        "connection": str(state),
        "warming": said.is_warming and said.is_connected,  # switched on is not enough
        **{name: believed(name, getattr(said, name)) for name in FIGURES},
    }


def believed(name: str, value: float | None) -> float | None:
    """Return a figure that can be true: a rate from 0 to 100, a counter that fits; nothing for anything else."""
    most = MOST_COUNTED if name in COUNTERS else 100
    return value if value is not None and 0 <= value <= most else None


def judge(provision: Provision, *, now: datetime, is_measured: bool) -> None:
    """Draw the conclusions: which mailbox is ready to send, and whose student must be told of good or bad health."""
    boxes = provision.mailboxes.select_related("domain").order_by("pk")
    for one in standings(provision, list(boxes), now=now, is_measured=is_measured):
        _set_ready(one)
        if provision.state != ProvisionState.SUSPENDED:  # warmup rests then, and the student knows why
            _tell(provision, one)


def _set_ready(one: Standing) -> None:
    before, after = MailboxState.WARMING, MailboxState.READY
    if not one.is_ready:
        before, after = after, before
    if one.mailbox.state == before:
        Mailbox.objects.filter(pk=one.mailbox.pk, state=before).update(state=after)


def _tell(provision: Provision, one: Standing) -> None:
    """Post one mail when a mailbox turns bad, and one when it is good again."""
    box, figures = one.mailbox, figures_of(one.days)
    rows = Mailbox.objects.filter(pk=box.pk, bad_since=box.bad_since)
    since = health.bad_since(figures)
    if box.bad_since is None and since is not None and rows.update(bad_since=since):
        Mail.post("health_bad", key=f"{box.pk}:{since}", provision=provision, **_said(one))
    elif box.bad_since is not None and health.is_good_again(figures) and rows.update(bad_since=None):
        Mail.post("health_good", key=f"{box.pk}:{box.bad_since}", provision=provision, **_said(one))


def _said(one: Standing) -> dict[str, str]:
    """Return what a mail about a mailbox's health needs: figures of that day."""
    assert one.latest is not None
    latest = one.latest
    weakest = health.weakest(google=latest.health_google, microsoft=latest.health_microsoft, other=latest.health_other)
    cause = "disconnected" if one.is_lost else "paused" if one.is_paused else weakest or "unknown"
    return {"address": one.mailbox.address, "figure": str(health.whole(latest.health or 0)), "cause": cause}
