"""Who may call a platform now: rate permits, the bulkhead and the circuit.

A permit is a slot row: a limit of 20 a minute is 20 rows, taken by stamping the longest unused one whose window has
passed. Nobody waits for a lock, and a crash with a permit in hand spends it. The window is widened by two seconds of
machine time, because our stamp and the platform's count differ by the journey.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import InterfaceError, OperationalError, connection, transaction

from infra import clock, prepared
from infra.clock import PRESENT, Instants
from infra.models import OperatorItem
from integrations.http.call import Call

from . import claims
from .claims import Claim, LostClaim, worker_group
from .outcomes import Wait, WaitsOn

SLACK = 2.0  # machine seconds a window is widened by
STALE = 1.0  # machine seconds after which a permit in hand is thrown away
FLIGHT_MARGIN = 20.0  # machine seconds a place in the bulkhead is kept beyond the deadline of its call
TIMEOUTS_TO_OPEN = 5
TRY_AGAIN_AFTER = 60.0  # machine seconds until an open circuit lets one call try


class NotNow(Exception):
    """This call may not be made yet. `seconds` is vendor time."""

    def __init__(self, seconds: float, why: str, *, budget: str = "") -> None:
        self.seconds = seconds
        self.why = why
        self.budget = budget
        super().__init__(why)


class NoPermit(NotNow):
    """A rate budget is used up."""


class NoFlight(NotNow):
    """As many calls as the bulkhead allows are under way at this platform."""


class CircuitOpen(NotNow):
    """The platform refused our credentials, or timed out again and again, or an operator stopped it."""

    def __init__(self, seconds: float, why: str, *, reason: str) -> None:
        super().__init__(seconds, why)
        self.reason = reason


def called_later(error: NotNow) -> Wait:
    """Return the wait for a call that may not be made yet. Of a permit `why` is its budget alone: the tick rings by it."""
    match error:
        case NoPermit():
            return Wait(error.seconds, on=WaitsOn.BUDGET, why=error.budget)
        case CircuitOpen(reason="credentials" | "operator"):
            return Wait(error.seconds, on=WaitsOn.OPERATOR, why=error.why)
        case _:
            return Wait(error.seconds, why=error.why)


@dataclass(frozen=True, slots=True)
class Pass:
    """The right to send one request now. Thrown away when it is older than a second at the moment of sending."""

    platform: str
    flight_id: int
    taken_at: float
    now: Instants
    is_own: bool = False

    def is_stale(self) -> bool:
        return clock.monotonic() - self.taken_at > STALE


def acquire(call: Call[Any], claim: Claim | None = None, *, lease: float = 0.0, is_own: bool = False) -> Pass:
    """Take a place in the bulkhead and one permit of each budget, and let the lease of `claim` last `lease` seconds.

    is_own  the call is of a student's own account, which the operator's refused key says nothing about

    One statement that takes everything or nothing. Raises LostClaim, CircuitOpen, NoFlight or NoPermit.
    """
    taken_at = clock.monotonic()
    found = _take(call, claim, lease, seat=SEAT, is_own=is_own)
    if found.reason and found.may_try and _take_try(call.platform):
        found = _take(call, claim, lease, seat=SEAT, past_circuit=True)
    elif found.reason:
        why = f"{call.platform} is not called at the moment ({found.reason})"
        raise CircuitOpen(TRY_AGAIN_AFTER * clock.scale(), why, reason=found.reason)
    if not found.is_held:
        assert claim is not None
        raise LostClaim(str(claim.run_id))
    if found.seat is None:
        raise NoFlight(2.0 * clock.scale(), f"enough calls are under way at {call.platform}")
    _refuse_unpermitted(call, found, claim)
    return Pass(call.platform, found.seat, taken_at, found.now, is_own)


def renew(old: Pass, call: Call[Any]) -> Pass:
    """Take fresh permits for a pass that grew stale before sending; its place in the bulkhead is kept."""
    taken_at = clock.monotonic()
    seat = "SELECT id FROM provisioning_flight WHERE id = %(kept)s"
    found = _take(call, None, 0.0, seat=seat, kept=old.flight_id, is_own=old.is_own)
    _refuse_unpermitted(call, found)
    return Pass(old.platform, old.flight_id, taken_at, found.now, old.is_own)


def _refuse_unpermitted(call: Call[Any], found: _Found, claim: Claim | None = None) -> None:
    for budget, permit in zip(call.budgets, found.permits, strict=True):
        if permit is None:
            before = waiting_before(budget, claim.run_id) if claim else 0
            seconds = next_free_in(budget, call.weight_class, before=before)
            raise NoPermit(seconds, f"the budget {budget} is used up", budget=budget)


def take(name: str) -> bool:
    """Take one permit of a budget for work that is no call of a platform; return whether there was one."""
    found = prepared.execute(
        f"WITH present AS MATERIALIZED ({PRESENT}), permit0 AS MATERIALIZED ({PERMIT.format(n=0)})"
        " UPDATE provisioning_permit SET used_at = (SELECT vendor FROM present) WHERE id = (SELECT id FROM permit0)"
        " RETURNING 1",
        {"budget0": name, "class": "", "slack": SLACK},
    )
    return found is not None


# ---- the one statement -----------------------------------------------------------------------------------------------

SEAT = (
    "SELECT id FROM provisioning_flight WHERE platform = %(platform)s"
    " AND (until IS NULL OR until < (SELECT machine FROM present)) ORDER BY slot LIMIT 1 FOR UPDATE SKIP LOCKED"
)
PERMIT = (
    "SELECT id FROM provisioning_permit WHERE budget = %(budget{n})s AND weight_class IN ('', %(class)s)"
    " AND (used_at IS NULL OR used_at + make_interval(secs => window_seconds + (SELECT %(slack)s * scale FROM present))"
    "   <= (SELECT vendor FROM present))"
    " ORDER BY weight_class DESC, used_at NULLS FIRST LIMIT 1 FOR UPDATE SKIP LOCKED"
)
CIRCUIT = (
    "SELECT reason, try_again_at <= (SELECT machine FROM present) AS may_try FROM provisioning_circuit"
    " WHERE platform = %(platform)s AND is_open AND NOT %(past_circuit)s AND NOT (%(is_own)s AND reason = 'credentials')"
)


@dataclass(frozen=True, slots=True)
class _Found:
    """What the statement found; everything was taken if nothing is missing."""

    is_held: bool
    reason: str | None
    may_try: bool | None
    seat: int | None
    now: Instants
    permits: Sequence[int | None]


def _take(
    call: Call[Any],
    claim: Claim | None,
    lease: float,
    *,
    seat: str,
    kept: int = 0,
    past_circuit: bool = False,
    is_own: bool = False,
) -> _Found:
    slots = range(len(call.budgets))
    held = f"SELECT 1 FROM provisioning_run WHERE {claims.HELD} FOR UPDATE" if claim else "SELECT 1"
    complete = ["EXISTS (SELECT 1 FROM held)", "NOT EXISTS (SELECT 1 FROM circuit)", "EXISTS (SELECT 1 FROM seat)"]
    complete += [f"EXISTS (SELECT 1 FROM permit{n})" for n in slots]
    parts = {
        "present": PRESENT,
        "held": held,
        "circuit": CIRCUIT,
        "seat": seat,
        **{f"permit{n}": PERMIT.format(n=n) for n in slots},
        "complete": f"SELECT 1 WHERE {' AND '.join(complete)}",
        "taken": (
            "UPDATE provisioning_flight SET until = (SELECT machine FROM present) + make_interval(secs => %(flight)s),"
            " holder = %(holder)s WHERE id = (SELECT id FROM seat) AND EXISTS (SELECT 1 FROM complete)"
        ),
        **{
            f"spent{n}": "UPDATE provisioning_permit SET used_at = (SELECT vendor FROM present)"
            f" WHERE id = (SELECT id FROM permit{n}) AND EXISTS (SELECT 1 FROM complete)"
            for n in slots
        },
    }
    if claim:
        parts["renewed"] = (
            "UPDATE provisioning_run SET lease_until = (SELECT machine FROM present) + make_interval(secs => %(lease)s)"
            " WHERE id = %(run)s AND EXISTS (SELECT 1 FROM complete)"
        )
    named = ", ".join(f"{name} AS MATERIALIZED ({part})" for name, part in parts.items())
    permits = "".join(f", (SELECT id FROM permit{n})" for n in slots)
    found = prepared.execute(
        f"WITH {named} SELECT EXISTS (SELECT 1 FROM held), (SELECT reason FROM circuit), (SELECT may_try FROM circuit),"
        f" (SELECT id FROM seat), present.*{permits} FROM present",
        {
            "run": claim.run_id if claim else None,
            "token": claim.token if claim else None,
            "lease": lease,
            "platform": call.platform,
            "past_circuit": past_circuit,
            "is_own": is_own,
            "kept": kept,
            "flight": call.deadline + FLIGHT_MARGIN,
            "holder": worker_group(),
            "class": call.weight_class,
            "slack": SLACK,
            **{f"budget{n}": call.budgets[n] for n in slots},
        },
    )
    assert found is not None
    is_held, reason, may_try, free_seat, machine, vendor, scale, *permits_found = found
    return _Found(is_held, reason, may_try, free_seat, Instants(machine, vendor, scale), permits_found)


def _take_try(platform: str) -> bool:
    """Be the one call that tries a platform whose circuit is open; the others see the new time."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE provisioning_circuit SET try_again_at = gtm_now('machine') + make_interval(secs => %s)"
            " WHERE platform = %s AND try_again_at <= gtm_now('machine')",
            [TRY_AGAIN_AFTER, platform],
        )
        return bool(cursor.rowcount)


def release(held: Pass, *, answered: bool) -> None:
    """Give the place in the bulkhead back, and close the circuit if the platform has answered. The permits stay spent.

    An answer to a student's own account says nothing of the operator's key.

    A lost connection is no reason to lose what the caller holds: the place comes free by itself when its time is over.
    """
    try:
        closed = prepared.execute(
            "WITH freed AS (UPDATE provisioning_flight SET until = NULL WHERE id = %(seat)s),"
            " closed AS (UPDATE provisioning_circuit SET is_open = false, failures = 0, reason = '', opened_at = NULL,"
            "  try_again_at = NULL WHERE %(answered)s AND platform = %(platform)s AND reason <> 'operator'"
            "  AND NOT (%(is_own)s AND reason = 'credentials')"
            "  AND (is_open OR failures > 0) RETURNING 1)"
            " SELECT 1 WHERE EXISTS (SELECT 1 FROM closed)",
            {"seat": held.flight_id, "platform": held.platform, "answered": answered, "is_own": held.is_own},
        )
    except (OperationalError, InterfaceError):
        connection.close()
        return
    if closed:
        OperatorItem.close("circuit", key=held.platform, resolution="The platform answers again.")


def release_all_of(group: str) -> None:
    """Give back the places of a group whose processes are known to be dead."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE provisioning_flight SET until = NULL WHERE holder = %s AND until > gtm_now('machine')", [group]
        )


def next_free_in(budget: str, weight_class: str = "paid", *, before: int = 0) -> float:
    """Return the vendor seconds until a slot of `budget` is free for who comes after `before` others; at least one."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT GREATEST(0, COALESCE(EXTRACT(EPOCH FROM used_at + make_interval(secs => window_seconds + %s)"
            " - gtm_now('vendor')), 0)) AS free_in, window_seconds FROM provisioning_permit"
            " WHERE budget = %s AND weight_class IN ('', %s) ORDER BY free_in",
            [SLACK * clock.scale(), budget, weight_class],
        )
        slots = [(float(free_in), float(window)) for free_in, window in cursor.fetchall()]
    if not slots:
        return 1.0
    rounds, slot = divmod(before, len(slots))
    free_in, window = slots[slot]
    return max(1.0, free_in + rounds * window)


def waiting_before(budget: str, run_id: UUID) -> int:
    """Return how many runs that were paid earlier wait for a permit of `budget`: each of them is to have one first."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT count(*) FROM provisioning_run WHERE {claims.WAITS_FOR}"
            " AND (paid_at, id) < (SELECT paid_at, id FROM provisioning_run WHERE id = %(run)s)",
            {"budget": budget, "run": run_id},
        )
        return int(cursor.fetchone()[0])


def is_contested(budget: str, run_id: UUID) -> bool:
    """Tell whether others than this run wait for a permit of `budget`."""
    found = prepared.execute(
        f"SELECT 1 FROM provisioning_run WHERE {claims.WAITS_FOR} AND id <> %(run)s LIMIT 1",
        {"budget": budget, "run": run_id},
    )
    return found is not None


def free(budget: str, weight_class: str = "paid") -> int:
    """Return how many permits of `budget` could be taken now."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM provisioning_permit WHERE budget = %s AND weight_class IN ('', %s)"
            " AND (used_at IS NULL OR used_at + make_interval(secs => window_seconds + %s) <= gtm_now('vendor'))",
            [budget, weight_class, SLACK * clock.scale()],
        )
        return int(cursor.fetchone()[0])


@dataclass(frozen=True, slots=True)
class Limit:
    """A rate limit: so many requests in so many vendor seconds, `reserved` of them for a class of work."""

    budget: str
    limit: int
    window_seconds: float
    reserved: Mapping[str, int]


def synchronise(limits: Iterable[Limit], flights: Mapping[str, int]) -> None:
    """Make the slot rows match the settings. Idempotent; run by the worker at its start."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [0x67746D])
        for limit in limits:
            classes = [name for name, count in limit.reserved.items() for _ in range(count)][: limit.limit]
            cursor.execute(
                "INSERT INTO provisioning_permit (budget, slot, weight_class, window_seconds)"
                " SELECT %s, slot, COALESCE((%s::text[])[slot + 1], ''), %s FROM generate_series(0, %s - 1) AS slot"
                " ON CONFLICT (budget, slot) DO UPDATE SET weight_class = excluded.weight_class,"
                " window_seconds = excluded.window_seconds",
                [limit.budget, classes, limit.window_seconds, limit.limit],
            )
            cursor.execute(
                "DELETE FROM provisioning_permit WHERE budget = %s AND slot >= %s", [limit.budget, limit.limit]
            )
        for platform, count in flights.items():
            cursor.execute(
                "INSERT INTO provisioning_flight (platform, slot) SELECT %s, generate_series(0, %s - 1)"
                " ON CONFLICT DO NOTHING",
                [platform, count],
            )
            cursor.execute("DELETE FROM provisioning_flight WHERE platform = %s AND slot >= %s", [platform, count])


# ---- the circuit -----------------------------------------------------------------------------------------------------


def note_timeout(platform: str) -> None:
    """A call timed out: the fifth in a row opens the circuit."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO provisioning_circuit (platform, is_open, reason, failures) VALUES (%s, false, '', 1)"
            " ON CONFLICT (platform) DO UPDATE SET failures = provisioning_circuit.failures + 1 RETURNING failures",
            [platform],
        )
        failures = cursor.fetchone()[0]
    if failures >= TIMEOUTS_TO_OPEN:
        open_circuit(platform, "timeouts", f"{platform} has timed out {failures} times in a row.")


def open_circuit(platform: str, reason: str, sentence: str) -> None:
    """Stop calling a platform: all its runs wait, the operator gets one alert."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO provisioning_circuit (platform, is_open, reason, failures, opened_at, try_again_at)"
            " VALUES (%(platform)s, true, %(reason)s, 0, gtm_now('machine'),"
            " gtm_now('machine') + make_interval(secs => %(again)s))"
            " ON CONFLICT (platform) DO UPDATE SET is_open = true, reason = excluded.reason,"
            " opened_at = COALESCE(provisioning_circuit.opened_at, excluded.opened_at), try_again_at = excluded.try_again_at",
            {"platform": platform, "reason": reason, "again": TRY_AGAIN_AFTER},
        )
        OperatorItem.open("circuit", key=platform, sentence=sentence)
