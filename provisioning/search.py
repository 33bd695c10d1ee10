"""Domain search without a page ever calling a platform: pages want names, a drain asks for many students' at once.

A name is asked for once, whoever wants it (`NameCheck`); an answer younger than 15 minutes is reused. The scarce thing is the
platform's search budget: paid work first, then one bulk call's worth per student in turn, so that a student who clicks a
thousand times delays nobody. All functions may be called in a student's request: they take on the worker's role themselves.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from django.db import connection, transaction
from django.utils.translation import gettext as _

from infra import clock, rls
from infra.models import Counter, Domain, DomainHold, NameAnswer, NameCheck, Provision, User
from infra.models.domain import GONE
from integrations.http.errors import PlatformError
from integrations.zapmail import MOST_NAMES_PER_CHECK, SEARCH

from . import offers
from .engine import budget, doorbell
from .engine.reader import send_read
from .engine.runner import default_workshop

CHUNK = MOST_NAMES_PER_CHECK
FRESH_FOR = offers.FRESH_FOR
NAMES_AN_HOUR = 200  # a student's allowance of names that must really be asked for
HOLD = 1800.0  # machine seconds a selected name is kept for a student
CLAIM = 90.0  # machine seconds until names whose worker died are asked for again


class AllowanceUsedUp(Exception):
    """This student has asked for as many new names as an hour allows. The sentence is for the student."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What is known of a name. `age_seconds` is vendor time; `held` means that another student is ordering it."""

    name: str
    answer: NameAnswer
    price_cents: int = 0
    renewal_cents: int = 0
    age_seconds: float | None = None
    held: bool = False

    @property
    def is_fresh(self) -> bool:
        return self.age_seconds is not None and self.age_seconds <= FRESH_FOR.total_seconds()


@dataclass(frozen=True, slots=True)
class Place:
    """A place in the queue: names before ours, and about how many machine seconds until our turn."""

    names_before: int
    seconds: float


def request_names(*, student: User, names: Sequence[str], now_asked: bool = True) -> int:
    """Put names into the queue unless a fresh answer is there; return how many were put.

    Raises AllowanceUsedUp; nothing is put then.
    """
    with rls.acting_as("worker"), transaction.atomic():
        now = clock.vendor_now()
        fresh = set(
            NameCheck.objects.filter(name__in=names, checked_at__gt=now - FRESH_FOR)
            .exclude(answer=NameAnswer.CHECKING)
            .values_list("name", flat=True)
        )
        waiting = set(
            NameCheck.objects.filter(
                name__in=names, wanted_at__isnull=False, wanted_by__contains=[student.pk]
            ).values_list("name", flat=True)
        )
        wanted = [name for name in dict.fromkeys(names) if name not in fresh and name not in waiting]
        if not wanted:
            return 0
        _spend_allowance(student, len(wanted))
        with connection.cursor() as cursor:
            cursor.executemany(
                "INSERT INTO infra_namecheck (id, platform, name, answer, price_cents, renewal_cents, wanted_at, wanted_by,"
                " is_paid_work, created_at, updated_at) VALUES (%s, 'zapmail', %s, 'checking', 0, 0, gtm_now('vendor'),"
                " ARRAY[%s]::uuid[], false, gtm_now('machine'), gtm_now('machine'))"
                " ON CONFLICT (platform, name) DO UPDATE SET"
                " wanted_at = COALESCE(infra_namecheck.wanted_at, excluded.wanted_at),"
                " wanted_by = (SELECT array_agg(DISTINCT who) FROM unnest("
                "   CASE WHEN infra_namecheck.wanted_at IS NULL THEN excluded.wanted_by"
                "        ELSE infra_namecheck.wanted_by || excluded.wanted_by END) AS who)",
                [[uuid.uuid4(), name, student.pk] for name in wanted],
            )
        doorbell.ring("names")
    return len(wanted)


def _spend_allowance(student: User, count: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO infra_counter (key, window_start, count)"
            " VALUES (%(key)s, date_trunc('hour', gtm_now('machine')), %(count)s)"
            " ON CONFLICT (key, window_start) DO UPDATE SET count = infra_counter.count + excluded.count"
            " WHERE infra_counter.count + excluded.count <= %(most)s RETURNING count",
            {"key": f"names:{student.pk}", "count": count, "most": NAMES_AN_HOUR},
        )
        if cursor.fetchone() is None:
            raise AllowanceUsedUp(
                _("You have searched for many names. Please go on with those you see, or search again in an hour.")
            )


def answers(*, names: Sequence[str], student: User) -> dict[str, Answer]:
    """Return what is known of each name; unknown names are "checking"."""
    with rls.acting_as("worker"):
        now = clock.vendor_now()
        checks = {check.name: check for check in NameCheck.objects.filter(name__in=names)}
        taken_here = _ordered_or_held(names, student)
    found: dict[str, Answer] = {}
    for name in names:
        check = checks.get(name)
        if check is None or check.checked_at is None:
            found[name] = Answer(name, NameAnswer.CHECKING, held=name in taken_here)
            continue
        found[name] = Answer(
            name,
            NameAnswer(check.answer),
            check.price_cents,
            check.renewal_cents,
            clock.seconds_between(check.checked_at, now),
            held=name in taken_here,
        )
    return found


def _ordered_or_held(names: Sequence[str], student: User) -> set[str]:
    ordered = Domain.objects.filter(name__in=names, ordered_at__isnull=False).exclude(state__in=GONE)
    held = DomainHold.objects.filter(name__in=names, expires_at__gt=clock.machine_now())
    return {
        *ordered.exclude(student=student).values_list("name", flat=True),
        *held.exclude(student=student).values_list("name", flat=True),
    }


def position(*, student: User) -> Place | None:
    """Return the student's place in the queue, or None when nothing of theirs is waiting."""
    with rls.acting_as("worker"), connection.cursor() as cursor:
        cursor.execute(
            f"SELECT row_number, student FROM ({QUEUE}) AS queue WHERE %(student)s = ANY(wanted_by)"
            " ORDER BY row_number DESC LIMIT 1",
            {"student": student.pk},
        )
        row = cursor.fetchone()
        if row is None:
            return None
        before = int(row[0]) - 1
        if budget.free(SEARCH, "search"):
            wait = 0.0
        else:
            wait = budget.next_free_in(SEARCH, "search")
        chunks_before = before // CHUNK
        cursor.execute(
            "SELECT COALESCE(max(window_seconds) / NULLIF(count(*), 0), 0) FROM provisioning_permit"
            " WHERE budget = %s AND weight_class IN ('', 'search')",
            [SEARCH],
        )
        pace = float(cursor.fetchone()[0] or 0.0)
        extra = max(0, chunks_before - budget.free(SEARCH, "search")) * pace
        return Place(before, (wait + extra) / clock.scale())


# Paid work first; then each student's first chunk, oldest first; then each student's second chunk, and so on.
QUEUE = f"""
    SELECT id, name, wanted_by, wanted_by[1] AS student,
           row_number() OVER (ORDER BY is_paid_work DESC, turn, wanted_at, name) AS row_number
    FROM (SELECT *, (row_number() OVER (PARTITION BY wanted_by[1] ORDER BY wanted_at, name) - 1) / {CHUNK} AS turn
          FROM infra_namecheck WHERE wanted_at IS NOT NULL) AS waiting
"""


def drain(limit: int = 10) -> int:
    """Ask the platform for the names at the head of the queue, one bulk call at a time. Answers the bell `names`."""
    workshop, asked = default_workshop(), 0
    for _call in range(limit):
        names = _claim()
        if not names:
            break
        call = workshop.clients.zapmail.check_domains(names, weight_class="search")
        try:
            found = send_read(workshop.transport, call)
        except (PlatformError, budget.NotNow):
            _give_back(names)
            break
        offers.remember(found)
        _settle_unanswered(names, {offer.name for offer in found})
        asked += len(names)
    return asked


def is_due() -> bool:
    """Tell whether names wait and the budget has room for them: asked by the supervisor's tick."""
    waiting = NameCheck.objects.filter(wanted_at__isnull=False)
    return waiting.exists() and budget.free(SEARCH, "search") > 0


def _claim() -> list[str]:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"SELECT id FROM ({QUEUE}) AS queue ORDER BY row_number LIMIT %s", [CHUNK * 3])
        ids = [row[0] for row in cursor.fetchall()]
        cursor.execute(
            "UPDATE infra_namecheck SET claimed_until = gtm_now('machine') + make_interval(secs => %s) WHERE id IN ("
            " SELECT id FROM infra_namecheck WHERE id = ANY(%s) AND wanted_at IS NOT NULL"
            "   AND (claimed_until IS NULL OR claimed_until < gtm_now('machine'))"
            "   ORDER BY array_position(%s, id) LIMIT %s FOR UPDATE SKIP LOCKED) RETURNING name",
            [CLAIM, ids, ids, CHUNK],
        )
        return [row[0] for row in cursor.fetchall()]


def _give_back(names: Sequence[str]) -> None:
    NameCheck.objects.filter(name__in=names).update(claimed_until=None)


def _settle_unanswered(names: Sequence[str], answered: set[str]) -> None:
    """A name the platform left out is not asked for again by itself: it stays "checking", never "available"."""
    NameCheck.objects.filter(name__in=[name for name in names if name not in answered]).update(
        wanted_at=None, claimed_until=None, checked_at=clock.vendor_now(), answer=NameAnswer.CHECKING
    )


def hold(*, provision: Provision, names: Sequence[str]) -> list[str]:
    """Keep names for this provision for half an hour; return those that another student holds or has ordered."""
    with rls.acting_as("worker"), transaction.atomic(), connection.cursor() as cursor:
        DomainHold.objects.filter(provision=provision).exclude(name__in=names).delete()
        lost = set(
            Domain.objects.filter(name__in=names, ordered_at__isnull=False)
            .exclude(state__in=GONE)
            .exclude(provision=provision)
            .values_list("name", flat=True)
        )
        for name in sorted(set(names) - lost):  # always in one order, so that two students never wait for each other
            cursor.execute(
                "INSERT INTO infra_domainhold (id, name, provision_id, student_id, expires_at, created_at, updated_at)"
                " VALUES (%(id)s, %(name)s, %(provision)s, %(student)s, gtm_now('machine') + make_interval(secs => %(hold)s),"
                " gtm_now('machine'), gtm_now('machine'))"
                " ON CONFLICT (name) DO UPDATE SET provision_id = excluded.provision_id, student_id = excluded.student_id,"
                " expires_at = excluded.expires_at, updated_at = excluded.updated_at"
                " WHERE infra_domainhold.expires_at <= gtm_now('machine')"
                " OR infra_domainhold.provision_id = excluded.provision_id RETURNING name",
                {
                    "id": uuid.uuid4(),
                    "name": name,
                    "provision": provision.pk,
                    "student": provision.student_id,
                    "hold": HOLD,
                },
            )
            if cursor.fetchone() is None:
                lost.add(name)
    return [name for name in names if name in lost]


def release_holds(*, provision: Provision) -> None:
    """Let a provision's names go."""
    with rls.acting_as("worker"):
        DomainHold.objects.filter(provision=provision).delete()


def prune() -> int:
    """Delete counters and answers that nobody needs any more; return how many rows went."""
    with transaction.atomic():
        old = clock.vendor_now() - timedelta(days=7)
        rows, _detail = NameCheck.objects.filter(wanted_at__isnull=True, checked_at__lt=old).delete()
        windows, _detail = Counter.objects.filter(window_start__lt=clock.machine_now() - timedelta(days=2)).delete()
    return rows + windows
