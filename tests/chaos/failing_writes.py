"""PostgreSQL refuses exactly one write, where we say: Boulder's trick, after the act that cannot be repeated."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from django.db import connection

from tests import harness

CAPTURE, OUTCOME = "provisioning_capture", "provisioning_operation"

# A sequence forgets nothing when the transaction is rolled back: it counts the attempts, and only the first is refused.
TRIGGER = """
CREATE SEQUENCE {name};
CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    IF EXISTS (SELECT 1 FROM provisioning_operation o JOIN provisioning_run r ON r.id = o.run_id
               WHERE o.id = NEW.{operation} AND o.platform = '{platform}' AND o.verb = '{verb}'
                 AND r.provision_id = '{provision}')
       AND nextval('{name}') = 1 THEN
        RAISE EXCEPTION 'refused by the test' USING ERRCODE = '{code}';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER {name} BEFORE {event} ON {table} FOR EACH ROW {condition} EXECUTE FUNCTION {name}();
"""
REMOVE = "DROP TRIGGER {name} ON {table}; DROP FUNCTION {name}(); DROP SEQUENCE {name};"

_numbers = itertools.count(1)


@dataclass(frozen=True)
class Refusal:
    """One write that is refused once: what is kept of a call, or what became of it.

    code  SQLSTATE of the error: it decides which exception we see
    """

    table: str
    platform: str
    verb: str
    code: str

    def __str__(self) -> str:
        kind = "capture" if self.table == CAPTURE else "outcome"
        return f"{kind} of {self.platform}.{self.verb} ({self.code})"


@contextmanager
def refusing(refusal: Refusal, provision: object) -> Iterator[Callable[[], int]]:
    """Refuse one write of one order within the block. Yields how often it was attempted since."""
    values = {
        **refusal.__dict__,
        "provision": provision,
        "name": f"refusal_{next(_numbers)}",
        "operation": "operation_id" if refusal.table == CAPTURE else "id",
        "event": "INSERT" if refusal.table == CAPTURE else "UPDATE",
        "condition": "" if refusal.table == CAPTURE else "WHEN (OLD.state IS DISTINCT FROM NEW.state)",
    }
    as_owner(TRIGGER.format(**values))
    try:
        yield lambda: attempts(str(values["name"]))
    finally:
        as_owner(REMOVE.format(**values))


def attempts(name: str) -> int:
    with harness.as_owner(), connection.cursor() as cursor:
        cursor.execute(f"SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM {name}")
        return int(cursor.fetchone()[0])


def as_owner(statements: str) -> None:
    with harness.as_owner(), connection.cursor() as cursor:
        cursor.execute(statements)
