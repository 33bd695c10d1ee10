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
from django.db import connection
from django.db.models import Model, QuerySet
from django.db.models.query import get_related_populators

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
        self._composed: tuple[Any, str, tuple[UUID | Any, ...], list[UUID]] | None = None

    def __call__(self, *ids: UUID) -> list[M]:
        if self._composed is None:
            marks = [uuid4() for _ in ids]
            compiler = self._compose(*marks).query.get_compiler(connection=connection)
            sql, params = compiler.as_sql()
            self._composed = compiler, sql, params, marks
        compiler, sql, params, marks = self._composed
        given = dict(zip(marks, ids, strict=True))
        rows = _run(sql, [given.get(value, value) if isinstance(value, UUID) else value for value in params])
        return list(self._made(compiler, rows))

    def _made(self, compiler: Any, rows: Sequence[Row]) -> Iterator[M]:
        """Yield what Django's own `ModelIterable` would make of these rows."""
        select, info = compiler.select, compiler.klass_info
        first, last = info["select_fields"][0], info["select_fields"][-1] + 1
        names = [column.target.attname for column, _, _ in select[first:last]]
        related = get_related_populators(info, select, connection.alias)  # type: ignore[call-arg]  # stubs of 6.1
        for row in compiler.results_iter([rows]):
            made: M = info["model"].from_db(connection.alias, names, row[first:last])
            for populator in related:
                populator.populate(row, made)
            yield made


def _run(sql: str, params: Mapping[str, Any] | Sequence[Any]) -> list[Row]:
    """Run a statement on Django's connection; return its rows."""
    connection.validate_no_broken_transaction()
    connection.close_if_health_check_failed()  # as Django does before each cursor: it may have died while it was idle
    connection.ensure_connection()
    run: Any = _execute
    for wrapper in reversed(connection.execute_wrappers):  # whoever counts statements sees these too
        run = partial(wrapper, run)
    rows: list[Row] = run(sql, params, False, {"connection": connection, "cursor": None})
    return rows


def _execute(sql: str, params: Any, many: bool, context: Mapping[str, Any]) -> list[Row]:
    del many, context
    with connection.wrap_database_errors, psycopg.Cursor(connection.connection) as cursor:
        cursor.execute(sql, params, prepare=True)
        return cursor.fetchall() if cursor.description else []
