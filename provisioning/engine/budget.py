"""Who may call a platform now: rate permits, the bulkhead and the circuit.

A permit is a slot row: a limit of 20 a minute is 20 rows, taken by stamping the longest unused one whose window has
passed. Nobody waits for a lock, and a crash with a permit in hand spends it. The window is widened by two seconds of
machine time, because our stamp and the platform's count differ by the journey.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from django.db import InterfaceError, OperationalError, connection, transaction

from infra import clock
from infra.models import OperatorItem
from integrations.http.call import Call

from .claims import worker_group

SLACK = 2.0  # machine seconds a window is widened by
STALE = 1.0  # machine seconds after which a permit in hand is thrown away
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


@dataclass(frozen=True, slots=True)
class Pass:
    """The right to send one request now. Thrown away when it is older than a second at the moment of sending."""

    platform: str
    flight_id: int
    taken_at: float

    def is_stale(self) -> bool:
        return clock.monotonic() - self.taken_at > STALE


def acquire(call: Call[Any]) -> Pass:
    """Take a place in the bulkhead and one permit of each budget, in the current transaction.

    Raises CircuitOpen, NoFlight or NoPermit; the caller's transaction must then roll back.
    """
    taken_at = clock.monotonic()
    _pass_circuit(call.platform)
    flight_id = _take_flight(call.platform, call.deadline)
    for budget in call.budgets:
        _take_permit(budget, call.weight_class)
    return Pass(call.platform, flight_id, taken_at)


def renew(old: Pass, call: Call[Any]) -> Pass:
    """Take fresh permits for a pass that grew stale before sending; its place in the bulkhead is kept."""
    taken_at = clock.monotonic()
    with transaction.atomic():
        for budget in call.budgets:
            _take_permit(budget, call.weight_class)
    return Pass(old.platform, old.flight_id, taken_at)


def release(held: Pass) -> None:
    """Give the place in the bulkhead back. The permits stay spent.

    A lost connection is no reason to lose what the caller holds: the place comes free by itself when its time is over.
    """
    try:
        with connection.cursor() as cursor:
            cursor.execute("UPDATE provisioning_flight SET until = NULL WHERE id = %s", [held.flight_id])
    except (OperationalError, InterfaceError):
        connection.close()


def release_all_of(group: str) -> None:
    """Give back the places of a group whose processes are known to be dead."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE provisioning_flight SET until = NULL WHERE holder = %s AND until > gtm_now('machine')", [group]
        )


def _pass_circuit(platform: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT reason, try_again_at <= gtm_now('machine') FROM provisioning_circuit WHERE platform = %s AND is_open",
            [platform],
        )
        row = cursor.fetchone()
        if row is None:
            return
        reason, may_try = row
        if may_try:  # one call tries; the others see the new time
            cursor.execute(
                "UPDATE provisioning_circuit SET try_again_at = gtm_now('machine') + make_interval(secs => %s)"
                " WHERE platform = %s AND try_again_at <= gtm_now('machine')",
                [TRY_AGAIN_AFTER, platform],
            )
            if cursor.rowcount == 1:
                return
    raise CircuitOpen(
        TRY_AGAIN_AFTER * clock.scale(), f"{platform} is not called at the moment ({reason})", reason=reason
    )


def _take_flight(platform: str, deadline: float) -> int:
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE provisioning_flight SET until = gtm_now('machine') + make_interval(secs => %s), holder = %s"
            " WHERE id = ("
            " SELECT id FROM provisioning_flight WHERE platform = %s AND (until IS NULL OR until < gtm_now('machine'))"
            " ORDER BY slot LIMIT 1 FOR UPDATE SKIP LOCKED) RETURNING id",
            [deadline + 20.0, worker_group(), platform],
        )
        row = cursor.fetchone()
    if row is None:
        raise NoFlight(2.0 * clock.scale(), f"enough calls are under way at {platform}")
    return int(row[0])


def _take_permit(budget: str, weight_class: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE provisioning_permit SET used_at = gtm_now('vendor') WHERE id = ("
            " SELECT id FROM provisioning_permit WHERE budget = %(budget)s AND weight_class IN ('', %(class)s)"
            "   AND (used_at IS NULL OR used_at + make_interval(secs => window_seconds + %(slack)s) <= gtm_now('vendor'))"
            "   ORDER BY weight_class DESC, used_at NULLS FIRST LIMIT 1 FOR UPDATE SKIP LOCKED) RETURNING id",
            {"budget": budget, "class": weight_class, "slack": SLACK * clock.scale()},
        )
        if cursor.fetchone() is None:
            raise NoPermit(next_free_in(budget, weight_class), f"the budget {budget} is used up", budget=budget)


def next_free_in(budget: str, weight_class: str = "paid") -> float:
    """Return the vendor seconds until a slot of `budget` is free again; at least one."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT EXTRACT(EPOCH FROM min(used_at + make_interval(secs => window_seconds + %s)) - gtm_now('vendor'))"
            " FROM provisioning_permit WHERE budget = %s AND weight_class IN ('', %s)",
            [SLACK * clock.scale(), budget, weight_class],
        )
        seconds = cursor.fetchone()[0]
    return max(1.0, float(seconds or 0.0))


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


def note_answer(platform: str) -> None:
    """The platform answered: forget its time-outs, close its circuit."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE provisioning_circuit SET is_open = false, failures = 0, reason = '', opened_at = NULL,"
            " try_again_at = NULL WHERE platform = %s AND reason <> 'operator' AND (is_open OR failures > 0)",
            [platform],
        )
        closed = cursor.rowcount
    if closed:
        OperatorItem.close("circuit", key=platform, resolution="The platform answers again.")


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
