"""What a claim writes, in one statement: the lease is renewed and the rows change, or nothing happens at all.

A step costs its round trips to the database, not its disk. So a commit of the engine is one statement without BEGIN and
COMMIT: the first part updates the run behind the fence (`claims.HELD`), and every other part asks whether that part
found its row.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any
from uuid import UUID

from django.db import connection, models

from infra import prepared
from infra.clock import PRESENT, Instants

from . import claims
from .claims import IDLE_LEASE, Claim, LostClaim

PASSED = "EXISTS (SELECT 1 FROM fence)"


class Fenced:
    """Gathers rows to write, then writes them all at once if the claim still holds.

    A row may be given once only: a statement changes a row once.
    """

    def __init__(self, claim: Claim) -> None:
        self.claim = claim
        self._run: dict[str, Any] = {}
        self._parts: list[str] = []
        self._values: dict[str, Any] = {"run": claim.run_id, "token": claim.token}

    def run(self, **columns: Any) -> Fenced:
        """Let columns of the run change along with its lease."""
        self._run |= columns
        return self

    def update(self, rows: Sequence[models.Model], columns: Sequence[str]) -> Fenced:
        """Let `columns` of rows of one model become what they are in memory; rows that are so already are left alone."""
        if not rows:
            return self
        changes = ", ".join(f"{name} = v.{name}" for name in columns)
        ours, theirs = (", ".join(f"{alias}.{name}" for name in columns) for alias in ("t", "v"))
        self._parts.append(
            f"UPDATE {rows[0]._meta.db_table} AS t SET {changes}, updated_at = present.machine"
            f" FROM present, {self._rows(rows, ('id', *columns))} AS v (id, {', '.join(columns)})"
            f" WHERE t.id = v.id AND ROW({ours}) IS DISTINCT FROM ROW({theirs}) AND {PASSED}"
        )
        return self

    def insert(self, rows: Sequence[models.Model], *, once: bool = False) -> Fenced:
        """Let new rows of one model be; with `once`, those whose unique columns are not there yet."""
        if not rows:
            return self
        names = tuple(_columns(type(rows[0])))
        columns = ", ".join(f'"{name}"' for name in names)
        self._parts.append(
            f"INSERT INTO {rows[0]._meta.db_table} ({columns})"
            f" SELECT * FROM {self._rows(rows, names, new=True)} AS v WHERE {PASSED}"
            + (" ON CONFLICT DO NOTHING" if once else "")
        )
        return self

    def resolve(self, keys: Sequence[str], resolution: str) -> Fenced:
        """Let the open operator items with these keys be closed."""
        if not keys:
            return self
        mark = len(self._values)
        self._values |= {f"v{mark}": list(keys), f"v{mark + 1}": resolution[:300]}
        self._parts.append(
            f"UPDATE infra_operatoritem SET resolved_at = present.machine, resolution = %(v{mark + 1})s::varchar"
            f" FROM present WHERE key = ANY(%(v{mark})s::varchar[]) AND resolved_at IS NULL AND {PASSED}"
        )
        return self

    def execute(self, *, lease: float | None = IDLE_LEASE, changes_page: bool = False) -> Instants:
        """Write, and let the lease end `lease` machine seconds from now, or at once; return the present.

        Raises LostClaim when the token or the lease is gone; nothing is written then.
        """
        changes = [
            "lease_until = present.machine + make_interval(secs => %(lease)s)",
            "version = version + %(page)s",
            "updated_at = present.machine",
        ]
        self._values |= {"lease": lease, "page": int(changes_page)}
        for name, value in self._run.items():
            self._values[f"run_{name}"] = value
            changes.append(f"{name} = %(run_{name})s")
        parts = {
            "present": PRESENT,
            "fence": f"UPDATE provisioning_run SET {', '.join(changes)} FROM present WHERE {claims.HELD} RETURNING 1",
            **{f"part{number}": part for number, part in enumerate(self._parts)},
        }
        named = ", ".join(f"{name} AS MATERIALIZED ({part})" for name, part in parts.items())
        passed, *now = prepared.execute(f"WITH {named} SELECT {PASSED}, present.* FROM present", self._values) or ()
        if not passed:
            raise LostClaim(str(self.claim.run_id))
        return Instants(*now)

    def _rows(self, rows: Sequence[models.Model], names: Sequence[str], *, new: bool = False) -> str:
        """Return the rows as a table: one row as it is, several as an array for each column.

        So the text of a statement is the same for any number of rows, and the usual one pays for no arrays.
        """
        columns, marks = _columns(type(rows[0])), []
        several = len(rows) > 1
        for name in names:
            column, kind = columns[name]
            saved = [_saved(column, row, new=new) for row in rows]
            mark = f"v{len(self._values)}"
            self._values[mark] = saved if several else saved[0]
            marks.append(f"%({mark})s::{kind}{'[]' if several else ''}")
        return f"unnest({', '.join(marks)})" if several else f"(VALUES ({', '.join(marks)}))"


def _saved(column: models.Field[Any, Any], row: models.Model, *, new: bool) -> Any:
    """Return the value of a column as the driver takes it. Plain ones it takes as they are."""
    value = column.pre_save(row, new) if new else getattr(row, column.attname)
    return value if value is None or type(value) in PLAIN else column.get_db_prep_save(value, connection)


PLAIN = frozenset({str, int, bool, datetime, UUID})


@lru_cache
def _columns(model: type[models.Model]) -> dict[str, tuple[models.Field[Any, Any], str]]:
    """Return the columns of a model in order: name -> field and type."""
    return {str(one.column): (one, str(one.db_type(connection)).split("(")[0]) for one in model._meta.concrete_fields}
