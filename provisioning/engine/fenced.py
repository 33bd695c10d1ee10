"""What a claim writes, in one statement: the lease is renewed and the rows change, or nothing happens at all.

A step costs its round trips to the database, not its disk. So a commit of the engine is one statement without BEGIN and
COMMIT: the first part updates the run behind the fence (`claims.HELD`), and every other part asks whether that part
found its row.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

from django.db import connection, models

from infra.clock import INSTANTS, Instants

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
        model = type(rows[0])
        changes = ", ".join(f"{name} = v.{name}" for name in columns)
        ours, theirs = (", ".join(f"{alias}.{name}" for name in columns) for alias in ("t", "v"))
        stamp = ", updated_at = gtm_now('machine')" if "updated_at" in _columns(model) else ""
        self._parts.append(
            f"UPDATE {model._meta.db_table} AS t SET {changes}{stamp}"
            f" FROM (VALUES {self._rows(rows, ('id', *columns))}) AS v (id, {', '.join(columns)})"
            f" WHERE t.id = v.id AND ROW({ours}) IS DISTINCT FROM ROW({theirs}) AND {PASSED}"
        )
        return self

    def insert(self, rows: Sequence[models.Model]) -> Fenced:
        """Let new rows of one model be."""
        if not rows:
            return self
        names = tuple(_columns(type(rows[0])))
        self._parts.append(
            f"INSERT INTO {type(rows[0])._meta.db_table} ({', '.join(names)}) SELECT *"
            f" FROM (VALUES {self._rows(rows, names, new=True)}) AS v WHERE {PASSED}"
        )
        return self

    def execute(self, *, lease: float | None = IDLE_LEASE, changes_page: bool = False) -> Instants:
        """Write, and let the lease end `lease` machine seconds from now, or at once; return the present.

        Raises LostClaim when the token or the lease is gone; nothing is written then.
        """
        changes = [
            "lease_until = gtm_now('machine') + make_interval(secs => %(lease)s)",
            "version = version + %(page)s",
            "updated_at = gtm_now('machine')",
        ]
        self._values |= {"lease": lease, "page": int(changes_page)}
        for name, value in self._run.items():
            self._values[f"run_{name}"] = value
            changes.append(f"{name} = %(run_{name})s")
        parts = [f"UPDATE provisioning_run SET {', '.join(changes)} WHERE {claims.HELD} RETURNING 1", *self._parts]
        names = ("fence", *(f"part{number}" for number in range(len(self._parts))))
        named = ", ".join(f"{name} AS ({part})" for name, part in zip(names, parts, strict=True))
        with connection.cursor() as cursor:
            cursor.execute(f"WITH {named} SELECT {PASSED}, {INSTANTS}", self._values)
            passed, *now = cursor.fetchone()
        if not passed:
            raise LostClaim(str(self.claim.run_id))
        return Instants(*now)

    def _rows(self, rows: Iterable[models.Model], names: Sequence[str], *, new: bool = False) -> str:
        """Return a VALUES list. The first row names the types, the others follow."""
        lines: list[str] = []
        for row in rows:
            columns, marks = _columns(type(row)), []
            for name in names:
                column, kind = columns[name]
                value = column.pre_save(row, new) if new else getattr(row, column.attname)
                mark = f"v{len(self._values)}"
                self._values[mark] = column.get_db_prep_save(value, connection)
                marks.append(f"%({mark})s" if lines else f"%({mark})s::{kind}")
            lines.append(f"({', '.join(marks)})")
        return ", ".join(lines)


@lru_cache
def _columns(model: type[models.Model]) -> dict[str, tuple[models.Field[Any, Any], str]]:
    """Return the columns of a model in order: name -> field and type."""
    return {str(one.column): (one, str(one.db_type(connection)).split("(")[0]) for one in model._meta.concrete_fields}
