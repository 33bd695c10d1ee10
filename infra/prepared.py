"""Statements that the server plans once per connection, for the few that run many times a second.

Django composes the text of each statement anew, so that the server parses and plans it each time; with the engine's
statements that takes three times as long as doing what they say. Here the values travel apart from the text.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Generic, TypeVar
from uuid import UUID, uuid4

import psycopg
from django.db import DEFAULT_DB_ALIAS, connection, connections
from django.db.models import Model, QuerySet
from django.db.models.query import get_related_populators
from psycopg.adapt import Loader
from psycopg.pq import Format
from psycopg.rows import tuple_row

Row = tuple[Any, ...]
M = TypeVar("M", bound=Model)


def execute(sql: str, params: Mapping[str, Any]) -> Row | None:
    """Run a statement on Django's connection, in its transaction if there is one; return its first row.

    Casts (`%(ids)s::uuid[]`) name the types where the server cannot tell them. Raises Django's database errors.
    """
    found = _run(sql, params)
    return found[0] if found else None


class Lookup(Generic[M]):
    """A question for rows that is asked many times a minute. Django composes its statement once instead of each time.

    compose  returns a queryset for the ids that it is given; called once, with ids that stand for others. It may use
             `select_related`, `only` and `order_by`; what depends on anything but these ids is frozen with it

    Calling it with ids returns the same rows as the queryset would. Raises Django's database errors.
    """

    def __init__(self, compose: Callable[..., QuerySet[M]]) -> None:
        self._compose = compose
        self._composed: _Composed[M] | None = None

    def __call__(self, *ids: UUID) -> list[M]:
        composed = self._composed = self._composed or _Composed(self._compose, len(ids))
        given = dict(zip(composed.marks, ids, strict=True))
        rows = _run(
            composed.sql, [given.get(value, value) if isinstance(value, UUID) else value for value in composed.params]
        )
        return list(composed.made(rows))


class _Composed(Generic[M]):
    """A composed statement, and what Django's own `ModelIterable` finds out anew about the columns of each answer."""

    def __init__(self, compose: Callable[..., QuerySet[M]], ids: int) -> None:
        self.marks = [uuid4() for _ in range(ids)]
        compiler = compose(*self.marks).query.get_compiler(connection=connection)
        self.sql, self.params = compiler.as_sql()
        select, info = compiler.select, compiler.klass_info
        self._model: type[M] = info["model"]
        self._first, self._last = info["select_fields"][0], info["select_fields"][-1] + 1
        self._names = [column.target.attname for column, _, _ in select[self._first : self._last]]
        self._related = get_related_populators(info, select, connection.alias)  # type: ignore[call-arg]  # stubs of 6.1
        self._converters = compiler.get_converters(column for column, _, _ in select)
        self._convert = compiler.apply_converters

    def made(self, rows: Sequence[Row]) -> Iterator[M]:
        """Yield what `ModelIterable` would make of these rows."""
        alias = connection.alias
        for row in self._convert(rows, self._converters) if self._converters else rows:
            one = self._model.from_db(alias, self._names, row[self._first : self._last])
            for populator in self._related:
                populator.populate(row, one)
            yield one


def _run(sql: str, params: Mapping[str, Any] | Sequence[Any]) -> list[Row]:
    """Run a statement on Django's connection; return its rows."""
    ours = connections[DEFAULT_DB_ALIAS]  # looked up once: the proxy `connection` does it for each of its attributes
    ours.validate_no_broken_transaction()
    ours.close_if_health_check_failed()  # as Django does before each cursor: it may have died while it was idle
    ours.ensure_connection()
    run: Any = _execute
    for wrapper in reversed(ours.execute_wrappers):  # whoever counts statements sees these too
        run = partial(wrapper, run)
    rows: list[Row] = run(sql, params, False, {"connection": ours, "cursor": None})
    return rows


def _execute(sql: str, params: Any, many: bool, context: Mapping[str, Any]) -> list[Row]:
    del many
    ours = context["connection"]
    with ours.wrap_database_errors, psycopg.Cursor(ours.connection, row_factory=tuple_row) as cursor:
        cursor.execute(sql, params, prepare=True, binary=True)
        return cursor.fetchall() if cursor.pgresult and cursor.pgresult.nfields else []


class _JsonText(Loader):
    """A `jsonb` in binary is a byte, the version of the format, and then its text, which Django's fields expect."""

    format = Format.BINARY

    def load(self, data: Any) -> str:
        return bytes(data)[1:].decode()


def read_json_as_text(connection: Any, **_: object) -> None:
    """Let the answers of prepared statements hold JSON as those of Django's do (`connection_created`)."""
    connection.connection.adapters.register_loader("jsonb", _JsonText)
