"""The two clocks of the product, both read from one SQL function, `gtm_now(kind)`.

*Machine time* runs as the wall clock does: leases, call deadlines, `send_before`. *Vendor time* is the platforms' time:
waits, budget windows, cool-downs, order drops, list lag. `PROVISIONING_TIME_SCALE` scales vendor time, here and nowhere
else; tests move both. Live mode refuses to start with a moved or scaled clock (`moved`).
"""

from __future__ import annotations

import time
from datetime import datetime, timedelta
from typing import NamedTuple, NewType

from django.db import connection

from . import prepared

MachineInstant = NewType("MachineInstant", datetime)
VendorInstant = NewType("VendorInstant", datetime)

# In PL/pgSQL, because the server keeps its plan; a function in SQL is planned again by each statement that asks the time.
CREATE_SQL = """
CREATE TABLE gtm_clock (
    id smallint PRIMARY KEY DEFAULT 1 CHECK (id = 1),
    machine_offset interval NOT NULL DEFAULT '0',
    machine_origin timestamptz NOT NULL,
    vendor_origin timestamptz NOT NULL,
    scale double precision NOT NULL CHECK (scale > 0)
);
CREATE FUNCTION gtm_now(kind text) RETURNS timestamptz LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    moved gtm_clock;
    machine timestamptz := clock_timestamp();
BEGIN
    SELECT * INTO moved FROM gtm_clock;
    IF NOT FOUND THEN
        RETURN machine;
    END IF;
    machine := machine + moved.machine_offset;
    IF kind = 'machine' THEN
        RETURN machine;
    END IF;
    RETURN moved.vendor_origin + (machine - moved.machine_origin) * moved.scale;
END $$;
"""
DROP_SQL = "DROP FUNCTION gtm_now(text); DROP TABLE gtm_clock;"


INSTANTS = "gtm_now('machine'), gtm_now('vendor'), COALESCE((SELECT scale FROM gtm_clock), 1)"
PRESENT = (  # one row, for a statement that asks the time in several places
    "SELECT gtm_now('machine') AS machine, gtm_now('vendor') AS vendor,"
    " COALESCE((SELECT scale FROM gtm_clock), 1) AS scale"
)


class Instants(NamedTuple):
    """One moment on both clocks, and how many vendor seconds pass in one machine second: what `INSTANTS` selects."""

    machine: MachineInstant
    vendor: VendorInstant
    scale: float


def machine_now() -> MachineInstant:
    """Return the present in machine time."""
    return MachineInstant(_now("machine"))


def vendor_now() -> VendorInstant:
    """Return the present in vendor time."""
    return VendorInstant(_now("vendor"))


def _now(kind: str) -> datetime:
    found = prepared.execute("SELECT gtm_now(%(kind)s::text)", {"kind": kind})
    assert found is not None
    instant: datetime = found[0]
    return instant


def monotonic() -> float:
    """Return machine time for measuring within one process, in seconds from an arbitrary beginning.

    What decides about sending asks here and not `time` itself, so that a test in one process can let it stand still.
    """
    return time.monotonic()


def later(instant: VendorInstant, seconds: float) -> VendorInstant:
    """Return the vendor instant `seconds` of vendor time after `instant`."""
    return VendorInstant(instant + timedelta(seconds=seconds))


def seconds_between(earlier: datetime, until: datetime) -> float:
    """Return the seconds from one stored instant to a later one of the same clock."""
    return (until - earlier).total_seconds()


def set_scale(scale: float) -> None:
    """Let vendor time run `scale` times as fast from now on, without a jump. Needs the owner's or the worker's role."""
    _write(
        "scale = excluded.scale, vendor_origin = gtm_now('vendor'), machine_origin = gtm_now('machine')", scale=scale
    )


def advance_vendor(seconds: float) -> None:
    """Move vendor time forward by `seconds` of vendor time. For tests and drills."""
    _write("vendor_origin = gtm_clock.vendor_origin + make_interval(secs => %(seconds)s)", seconds=seconds)


def advance_machine(seconds: float) -> None:
    """Move machine time forward by `seconds`. For tests and drills."""
    _write("machine_offset = gtm_clock.machine_offset + make_interval(secs => %(seconds)s)", seconds=seconds)


def scale() -> float:
    """Return how many vendor seconds pass in one machine second."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT COALESCE((SELECT scale FROM gtm_clock), 1)")
        return float(cursor.fetchone()[0])


def moved() -> bool:
    """Tell whether either clock differs from the wall clock: never true in a live installation."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT EXISTS (SELECT 1 FROM gtm_clock WHERE scale <> 1 OR machine_offset <> '0'"
            " OR vendor_origin <> machine_origin)"
        )
        return bool(cursor.fetchone()[0])


def _write(change: str, *, scale: float = 1.0, seconds: float = 0.0) -> None:
    # The row is made first, so that `change` always updates: a fresh row would otherwise lose the movement.
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO gtm_clock (machine_origin, vendor_origin, scale) VALUES (gtm_now('machine'), gtm_now('machine'), 1)"
            " ON CONFLICT (id) DO NOTHING"
        )
        cursor.execute(
            "INSERT INTO gtm_clock (machine_origin, vendor_origin, scale)"
            f" VALUES (gtm_now('machine'), gtm_now('vendor'), %(scale)s) ON CONFLICT (id) DO UPDATE SET {change}",
            {"scale": scale, "seconds": seconds},
        )
