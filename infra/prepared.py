"""Statements that the server plans once per connection, for the few that run many times a second.

Django composes the text of each statement anew, so that the server parses and plans it each time; with the engine's
statements that takes three times as long as doing what they say. Here the values travel apart from the text.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import psycopg
from django.db import connection

Row = tuple[Any, ...]


def execute(sql: str, params: Mapping[str, Any]) -> Row | None:
    """Run a statement on Django's connection, in its transaction if there is one; return its first row.

    Casts (`%(ids)s::uuid[]`) name the types where the server cannot tell them. Raises Django's database errors.
    """
    connection.validate_no_broken_transaction()
    connection.close_if_health_check_failed()  # as Django does before each cursor: it may have died while it was idle
    connection.ensure_connection()
    run: Any = _execute
    for wrapper in reversed(connection.execute_wrappers):  # whoever counts statements sees these too
        run = partial(wrapper, run)
    row: Row | None = run(sql, params, False, {"connection": connection, "cursor": None})
    return row


def _execute(sql: str, params: Mapping[str, Any], many: bool, context: Mapping[str, Any]) -> Row | None:
    del many, context
    with connection.wrap_database_errors, psycopg.Cursor(connection.connection) as cursor:
        cursor.execute(sql, params, prepare=True)
        return cursor.fetchone() if cursor.description else None
