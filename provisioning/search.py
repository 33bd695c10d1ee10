"""Domain search without a page ever calling a platform: pages want names, a drain asks for many students' at once.

A name is asked for once, whoever wants it (`NameCheck`); an answer younger than 15 minutes is reused. The scarce thing is the
platform's search budget: paid work first, then one bulk call's worth per student in turn, counting what the student got
lately, so that a student who clicks a thousand times delays nobody. All functions may be called in a student's request: they
take on the worker's role themselves.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db import connection, transaction
from django.db.models import Q
from django.utils.translation import gettext as _

from infra import clock, rls, throttle
from infra.models import Counter, Domain, DomainHold, DomainState, NameAnswer, NameCheck, Provision, User
from infra.models.domain import GONE
from integrations.http.errors import AlreadyExists, NotFound, PlatformError, RateLimited, Rejected

from . import offers
from .engine import budget, doorbell
from .engine.reader import send_read
from .engine.registrar import Offer, Registrar
from .engine.runner import default_workshop
from .models import Heartbeat
from .stacks import registrar_of, registrars

log = logging.getLogger(__name__)

FRESH_FOR = offers.FRESH_FOR
SILENT_FOR = timedelta(minutes=3)  # vendor time until a name that was left out of an answer may be asked for again
NAMES_AN_HOUR = 200  # a student's allowance of names that must really be asked for
HOLD = 1800.0  # machine seconds a selected name is kept for a student
CLAIM = 90.0  # machine seconds until names whose worker died are asked for again
PAUSE = 30.0  # machine seconds until names are asked for again after an error, if nobody advises otherwise
LONGEST_PAUSE = 300.0


class AllowanceUsedUp(Exception):
    """This student has asked for as many new names as an hour allows. The sentence is for the student."""

    def __init__(self, sentence: str, retry_after_seconds: int = 0) -> None:
        self.retry_after_seconds = retry_after_seconds
        super().__init__(sentence)


@dataclass(frozen=True, slots=True)
class Answer:
    """What is known of a name. `age_seconds` is vendor time.

    held     another student is ordering it, or has ordered it
    waiting  it stands in the queue: an old answer is being renewed, or there is none yet
    """

    name: str
    answer: NameAnswer
    price_cents: int = 0
    renewal_cents: int = 0
    age_seconds: float | None = None
    held: bool = False
    waiting: bool = False

    @property
    def is_fresh(self) -> bool:
        return self.age_seconds is not None and self.age_seconds <= FRESH_FOR.total_seconds()

    @property
    def gave_up(self) -> bool:
        """The platform was asked and said nothing usable of this name; nobody asks again at the moment."""
        return self.answer == NameAnswer.CHECKING and self.age_seconds is not None and not self.waiting


@dataclass(frozen=True, slots=True)
class Place:
    """A place in the queue: names before our first one, and about how many machine seconds until its turn."""

    names_before: int
    seconds: float


def request_names(*, stack: str, student: User, names: Sequence[str], is_paid_work: bool = False) -> int:
    """Put names into the queue of the stack's registrar unless a fresh answer is there; return how many were put.

    A name that was left out of an answer is asked for again after a pause, not at each click.
    Raises AllowanceUsedUp; nothing is put then. Paid work has no allowance.
    """
    platform = registrar_of(stack).platform
    with rls.acting_as("worker"), transaction.atomic():
        now = clock.vendor_now()
        known = NameCheck.objects.filter(platform=platform, name__in=names, wanted_at__isnull=True)
        answered = ~Q(answer=NameAnswer.CHECKING) & Q(checked_at__gt=now - FRESH_FOR)
        fresh = set(known.filter(answered | Q(checked_at__gt=now - SILENT_FOR)).values_list("name", flat=True))
        waiting = set(
            NameCheck.objects.filter(
                platform=platform,
                name__in=names,
                wanted_at__isnull=False,
                wanted_by__contains=[student.pk],
                is_paid_work__in=[True, is_paid_work],
            ).values_list("name", flat=True)
        )
        wanted = [name for name in dict.fromkeys(names) if name not in fresh and name not in waiting]
        if not wanted:
            return 0
        if not is_paid_work:
            _spend_allowance(student, len(wanted))
        rows = [
            # A microsecond apart, so that they are asked for in the order given.
            (uuid.uuid4(), platform, name, now + timedelta(microseconds=place), student.pk, is_paid_work)
            for place, name in enumerate(wanted)
        ]
        # Always in one order, so that two students who want the same names never wait for each other.
        rows.sort(key=lambda row: row[2])
        with connection.cursor() as cursor:
            cursor.executemany(WANT, rows)
        doorbell.ring("names")
    return len(wanted)


WANT = """
    INSERT INTO infra_namecheck (id, platform, name, answer, price_cents, renewal_cents, wanted_at, wanted_by, is_paid_work,
                                 created_at, updated_at)
    VALUES (%s, %s, %s, 'checking', 0, 0, %s, ARRAY[%s]::uuid[], %s, gtm_now('machine'), gtm_now('machine'))
    ON CONFLICT (platform, name) DO UPDATE SET
        wanted_at = COALESCE(infra_namecheck.wanted_at, excluded.wanted_at),
        is_paid_work = excluded.is_paid_work OR (infra_namecheck.wanted_at IS NOT NULL AND infra_namecheck.is_paid_work),
        wanted_by = CASE WHEN infra_namecheck.wanted_at IS NULL THEN excluded.wanted_by
                         WHEN infra_namecheck.wanted_by @> excluded.wanted_by THEN infra_namecheck.wanted_by
                         ELSE infra_namecheck.wanted_by || excluded.wanted_by END
"""


def _spend_allowance(student: User, count: int) -> None:
    verdict = throttle.hit(f"names:{student.pk}", NAMES_AN_HOUR, throttle.HOUR, cost=count)
    if not verdict.allowed:
        raise AllowanceUsedUp(
            _("You have searched for many names. Please go on with those you see, or search again in an hour."),
            verdict.retry_after_seconds,
        )


def answers(*, stack: str, names: Sequence[str], student: User) -> dict[str, Answer]:
    """Return what is known of each name; unknown names are "checking"."""
    with rls.acting_as("worker"):
        now = clock.vendor_now()
        asked = NameCheck.objects.filter(platform=registrar_of(stack).platform, name__in=names)
        checks = {check.name: check for check in asked}
        taken_here = _ordered_or_held(names, student)
    found: dict[str, Answer] = {}
    for name in names:
        check = checks.get(name)
        if check is None or check.checked_at is None:
            waiting = check is not None and check.wanted_at is not None
            found[name] = Answer(name, NameAnswer.CHECKING, held=name in taken_here, waiting=waiting)
            continue
        found[name] = Answer(
            name,
            NameAnswer(check.answer),
            check.price_cents,
            check.renewal_cents,
            clock.seconds_between(check.checked_at, now),
            held=name in taken_here,
            waiting=check.wanted_at is not None,
        )
    return found


def _ordered_or_held(names: Sequence[str], student: User) -> set[str]:
    ordered = Domain.objects.filter(name__in=names, ordered_at__isnull=False).exclude(state__in=GONE)
    held = DomainHold.objects.filter(name__in=names, expires_at__gt=clock.machine_now())
    return {
        *ordered.exclude(student=student).values_list("name", flat=True),
        *held.exclude(student=student).values_list("name", flat=True),
    }


def position(*, stack: str, student: User) -> Place | None:
    """Return the student's place in the queue of the stack's registrar, or None when nothing of theirs is waiting."""
    registrar = registrar_of(stack)
    with rls.acting_as("worker"), connection.cursor() as cursor:
        cursor.execute(
            f"SELECT min(place) FROM ({QUEUE}) AS queue WHERE %(student)s = ANY(wanted_by)",
            {"student": student.pk, **_queue_of(registrar)},
        )
        place = cursor.fetchone()[0]
        if place is None:
            return None
        before = int(place) - 1
        return Place(before, _seconds_until_call(registrar, before // registrar.most_names))


def _queue_of(registrar: Registrar) -> dict[str, Any]:
    return {"platform": registrar.platform, "chunk": registrar.most_names}


def _seconds_until_call(registrar: Registrar, calls_before: int) -> float:
    """Return the machine seconds until the search budget has room for one more call than `calls_before`."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT GREATEST(0, COALESCE(EXTRACT(EPOCH FROM used_at + make_interval(secs => window_seconds + %s)"
            " - gtm_now('vendor')), 0)) AS free_in, window_seconds FROM provisioning_permit"
            " WHERE budget = %s AND weight_class IN ('', 'search') ORDER BY free_in",
            [budget.SLACK * clock.scale(), registrar.budget],
        )
        slots = [(float(free_in), float(window)) for free_in, window in cursor.fetchall()]
    if not slots:
        return 0.0
    rounds, slot = divmod(calls_before, len(slots))
    free_in, window = slots[slot]
    return (free_in + rounds * window) / clock.scale()


# Paid work first; then each student's first chunk, oldest first; then each student's second chunk, and so on. What a student
# was given lately counts as chunks that are done, so that many names in a row do not go before somebody else's first. A name
# that several want stands where it would come first.
QUEUE = """
    SELECT id, name, wanted_by, is_paid_work, claimed_until,
           row_number() OVER (ORDER BY is_paid_work DESC, turn, wanted_at, name) AS place
    FROM (SELECT id, name, wanted_by, is_paid_work, claimed_until, wanted_at,
                 min((GREATEST(given - waiting, 0) + nth - 1) / %(chunk)s) AS turn
          FROM (SELECT checks.*, count(*) OVER (PARTITION BY who) AS waiting,
                       row_number() OVER (PARTITION BY who ORDER BY wanted_at, name) AS nth,
                       COALESCE((SELECT sum(count) FROM infra_counter WHERE key = 'names:' || who
                                 AND window_start > gtm_now('machine') - interval '1 hour'), 0)::bigint AS given
                FROM infra_namecheck AS checks LEFT JOIN LATERAL unnest(wanted_by) AS who ON true
                WHERE platform = %(platform)s AND wanted_at IS NOT NULL) AS each_students
          GROUP BY id, name, wanted_by, is_paid_work, claimed_until, wanted_at) AS waiting
"""


def drain(limit: int = 10) -> int:
    """Ask the platforms for the names at the heads of their queues, one bulk call at a time. Answers the bell `names`.

    `limit` is the most calls to one platform. Returns how many names were answered.
    """
    return sum(_drain(registrar, limit) for registrar in registrars())


def _drain(registrar: Registrar, limit: int) -> int:
    workshop, answered = default_workshop(), 0
    for _call in range(limit):
        names, is_paid_work = _claim(registrar)
        if not names:
            break
        call = registrar.check(workshop.clients, names, "paid" if is_paid_work else "search")
        try:
            found = send_read(workshop.transport, call)
        except budget.NoPermit:
            _give_back(registrar, names, 0.0)  # `is_due` watches the budget
            break
        except budget.NotNow as error:
            _give_back(registrar, names, error.seconds / clock.scale())
            break
        except RateLimited as error:
            _give_back(registrar, names, (error.advised_wait or PAUSE * clock.scale()) / clock.scale())
            break
        except (Rejected, NotFound, AlreadyExists) as error:
            # The same question will be refused again: nobody waits behind it.
            log.error("names refused: %s", error, extra={"names": len(names)})
            _settle(registrar, names, ())
            continue
        except PlatformError as error:
            log.warning("names not checked: %s", error, extra={"names": len(names)})
            _give_back(registrar, names, PAUSE)
            break
        _settle(registrar, names, found)
        answered += len(found)
    return answered


def is_due() -> bool:
    """Tell whether names wait and a budget has room for them: asked by the supervisor's tick."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT platform, bool_or(is_paid_work) FROM infra_namecheck WHERE wanted_at IS NOT NULL"
            " AND (claimed_until IS NULL OR claimed_until < gtm_now('machine')) GROUP BY platform"
        )
        waiting = dict(cursor.fetchall())
    return any(
        budget.free(one.budget, "paid" if waiting[one.platform] else "search") > 0
        for one in registrars()
        if one.platform in waiting
    )


def _claim(registrar: Registrar) -> tuple[list[str], bool]:
    """Claim one call's worth of names from the head of the queue; tell whether paid work is among them."""
    with transaction.atomic(), connection.cursor() as cursor:
        # More than one call takes, because others may be claiming the first ones at this moment.
        cursor.execute(
            f"SELECT id FROM ({QUEUE}) AS queue WHERE claimed_until IS NULL OR claimed_until < gtm_now('machine')"
            " ORDER BY place LIMIT %(most)s",
            {"most": registrar.most_names * 5, **_queue_of(registrar)},
        )
        ids = [row[0] for row in cursor.fetchall()]
        cursor.execute(
            # An array, so that the selection is made once: the planner may repeat one in IN, and pass over its limit.
            "UPDATE infra_namecheck SET claimed_until = gtm_now('machine') + make_interval(secs => %s) WHERE id = ANY(ARRAY("
            " SELECT id FROM infra_namecheck WHERE id = ANY(%s) AND wanted_at IS NOT NULL"
            "   AND (claimed_until IS NULL OR claimed_until < gtm_now('machine'))"
            "   ORDER BY array_position(%s, id) LIMIT %s FOR UPDATE SKIP LOCKED)) RETURNING id, name, is_paid_work",
            [CLAIM, ids, ids, registrar.most_names],
        )
        rows = sorted(cursor.fetchall(), key=lambda row: ids.index(row[0]))
    return [name for _id, name, _paid in rows], any(paid for _id, _name, paid in rows)


def _give_back(registrar: Registrar, names: Sequence[str], seconds: float) -> None:
    """Let names be claimed again in so many machine seconds."""
    with transaction.atomic(), connection.cursor() as cursor:
        _lock(registrar, names)
        cursor.execute(
            "UPDATE infra_namecheck SET claimed_until = gtm_now('machine') + make_interval(secs => %s)"
            " WHERE platform = %s AND name = ANY(%s) AND wanted_at IS NOT NULL",
            [min(LONGEST_PAUSE, seconds), registrar.platform, list(names)],
        )


def _settle(registrar: Registrar, names: Sequence[str], found: Sequence[Offer]) -> None:
    """Write the answers down. A name that was left out stays "checking", never "available", and waits no longer."""
    answered = {offer.name for offer in found}
    with transaction.atomic():
        _lock(registrar, names)
        offers.remember(registrar, found)
        silent = [name for name in names if name not in answered]
        NameCheck.objects.filter(platform=registrar.platform, name__in=silent).update(
            wanted_at=None, claimed_until=None, checked_at=clock.vendor_now(), answer=NameAnswer.CHECKING
        )


def _lock(registrar: Registrar, names: Sequence[str]) -> None:
    """Lock the names' rows in the order in which everybody does."""
    rows = NameCheck.objects.filter(platform=registrar.platform, name__in=names).order_by("name")
    list(rows.select_for_update().values_list("pk", flat=True))


TAKE = """
    INSERT INTO infra_domainhold (id, name, provision_id, student_id, expires_at, created_at, updated_at)
    VALUES (%(id)s, %(name)s, %(provision)s, %(student)s, gtm_now('machine') + make_interval(secs => %(hold)s),
            gtm_now('machine'), gtm_now('machine'))
    ON CONFLICT (name) DO UPDATE SET provision_id = excluded.provision_id, student_id = excluded.student_id,
        expires_at = excluded.expires_at, updated_at = excluded.updated_at
        WHERE infra_domainhold.expires_at <= gtm_now('machine') OR infra_domainhold.provision_id = excluded.provision_id
    RETURNING name
"""


def hold(*, provision: Provision, names: Sequence[str]) -> list[str]:
    """Keep names for this provision for half an hour; return those that another student holds or has ordered."""
    with rls.acting_as("worker"), transaction.atomic(), connection.cursor() as cursor:
        mine = DomainHold.objects.filter(provision=provision)
        lost = set(
            Domain.objects.filter(name__in=names, ordered_at__isnull=False)
            .exclude(state__in=GONE)
            .exclude(provision=provision)
            .exclude(provision=provision.enlarges_id, state=DomainState.SPARE)  # one's own, which was not needed
            .values_list("name", flat=True)
        )
        let_go = set(mine.exclude(name__in=names).values_list("name", flat=True))
        # What is taken and what is let go always in one order, so that two students never wait for each other.
        for name in sorted({*names, *let_go} - lost):
            if name in let_go:
                mine.filter(name=name).delete()
                continue
            whose = {"provision": provision.pk, "student": provision.student_id}
            cursor.execute(TAKE, {"id": uuid.uuid4(), "name": name, "hold": HOLD, **whose})
            if cursor.fetchone() is None:
                lost.add(name)
    return [name for name in names if name in lost]


def release_holds(*, provision: Provision) -> None:
    """Let a provision's names go."""
    with rls.acting_as("worker"):
        DomainHold.let_go(provision)


def is_prune_due() -> bool:
    """Tell whether nobody has pruned for an hour."""
    recent = clock.machine_now() - timedelta(hours=1)
    return not Heartbeat.objects.filter(name="work:prune", at__gt=recent).exists()


def prune(limit: int = 0) -> int:
    """Delete counters and answers that nobody needs any more; return how many rows went."""
    with transaction.atomic():
        old = clock.vendor_now() - timedelta(days=7)
        rows, _detail = NameCheck.objects.filter(wanted_at__isnull=True, checked_at__lt=old).delete()
        windows, _detail = Counter.objects.filter(window_start__lt=clock.machine_now() - timedelta(days=2)).delete()
    return rows + windows
