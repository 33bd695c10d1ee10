"""Row-level security: who the database thinks is asking.

Processes log in as `gtm_web`, a role that may do nothing, and take on one of four roles: `gtm_visitor` (nobody has signed
in yet), `gtm_student` (sees the rows whose `student_id` is `gtm.student_id`), `gtm_operator` (the admin) and `gtm_worker`.
A lost connection comes back as the process's first role, so web processes fail closed. Migrations run as the owner.

`RowSecurity` is the migration operation that declares all of this for a model; a test fails for a table with a
`student_id` that lacks it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from django.conf import settings
from django.db import DatabaseError, connection
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.migrations.operations.base import Operation
from django.db.migrations.state import ProjectState
from django.http import HttpRequest, HttpResponse

LOGIN = "gtm_web"
ROLES = ("visitor", "student", "operator", "worker")
ALL = "SELECT, INSERT, UPDATE, DELETE"


def create_roles(cursor: Any, *, login_password: str) -> None:
    """Create the roles that are missing and set the login's password. Needs a role that may create roles."""
    for role in ROLES:
        _create_role(cursor, f"gtm_{role} NOLOGIN")
    _create_role(cursor, f"{LOGIN} LOGIN NOINHERIT")
    cursor.execute(f"ALTER ROLE {LOGIN} PASSWORD %s", [login_password])
    for role in ROLES:
        cursor.execute(f"GRANT gtm_{role} TO {LOGIN}")
    for role in (*ROLES, "web"):
        cursor.execute(f"GRANT USAGE ON SCHEMA public TO gtm_{role}")


def _create_role(cursor: Any, definition: str) -> None:
    # Two databases of one server may be migrated at the same moment, and roles belong to the server.
    cursor.execute(
        f"DO $$ BEGIN CREATE ROLE {definition}; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$"
    )


class CreateRoles(Operation):
    """Create the roles; the first operation of the first migration."""

    reversible = True

    def state_forwards(self, app_label: str, state: ProjectState) -> None:
        pass

    def database_forwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        with schema_editor.connection.cursor() as cursor:
            create_roles(cursor, login_password=settings.DATABASE_LOGIN_PASSWORD)
            cursor.execute(
                "CREATE FUNCTION gtm_student_id() RETURNS uuid LANGUAGE sql STABLE AS"
                " $$ SELECT NULLIF(current_setting('gtm.student_id', true), '')::uuid $$"
            )

    def database_backwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        schema_editor.execute("DROP FUNCTION gtm_student_id()")

    def describe(self) -> str:
        return "Create the database roles"


class RowSecurity(Operation):
    """Declare who may do what with a model's rows.

    owner_column  the column that names the student; "" for tables that belong to nobody
    student, visitor, operator, worker  privileges, as SQL; "" for none
    parents       {column: table}: foreign keys that must belong to the same student (composite foreign keys, because
                  foreign-key checks bypass policies)
    """

    reversible = True

    def __init__(
        self,
        model: str,
        *,
        owner_column: str = "student_id",
        student: str = "",
        visitor: str = "",
        operator: str = ALL,
        worker: str = ALL,
        parents: Mapping[str, str] | None = None,
    ) -> None:
        self.model = model
        self.owner_column = owner_column
        self.grants = {"student": student, "visitor": visitor, "operator": operator, "worker": worker}
        self.parents = dict(parents or {})

    def deconstruct(self) -> tuple[str, list[Any], dict[str, Any]]:
        return (
            type(self).__name__,
            [self.model],
            {"owner_column": self.owner_column, "parents": self.parents, **self.grants},
        )

    def state_forwards(self, app_label: str, state: ProjectState) -> None:
        pass

    def database_forwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        table = to_state.apps.get_model(app_label, self.model)._meta.db_table
        for statement in grant_statements(table, self.grants):
            schema_editor.execute(statement)
        if not self.owner_column:
            return
        schema_editor.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        schema_editor.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
        mine = f"{self.owner_column} = gtm_student_id()"
        schema_editor.execute(
            f"CREATE POLICY {table}_student ON {table} TO gtm_student USING ({mine}) WITH CHECK ({mine})"
        )
        schema_editor.execute(
            f"CREATE POLICY {table}_staff ON {table} TO gtm_operator, gtm_worker, CURRENT_USER"
            " USING (true) WITH CHECK (true)"
        )
        if self.grants["visitor"]:
            schema_editor.execute(
                f"CREATE POLICY {table}_visitor ON {table} TO gtm_visitor USING (true) WITH CHECK (true)"
            )
        for column, parent in self.parents.items():
            name = f"{table}_{column.removesuffix('_id')}_same_student"
            schema_editor.execute(
                f"ALTER TABLE {table} ADD CONSTRAINT {name} FOREIGN KEY ({column}, {self.owner_column})"
                f" REFERENCES {parent} (id, student_id) DEFERRABLE INITIALLY DEFERRED"
            )

    def database_backwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        table = from_state.apps.get_model(app_label, self.model)._meta.db_table
        schema_editor.execute(f"REVOKE ALL ON {table} FROM gtm_visitor, gtm_student, gtm_operator, gtm_worker")
        for column in self.parents:
            name = f"{table}_{column.removesuffix('_id')}_same_student"
            schema_editor.execute(f"ALTER TABLE {table} DROP CONSTRAINT {name}")
        for policy in ("student", "staff", "visitor"):
            schema_editor.execute(f"DROP POLICY IF EXISTS {table}_{policy} ON {table}")
        schema_editor.execute(f"ALTER TABLE {table} DISABLE ROW LEVEL SECURITY")

    def describe(self) -> str:
        return f"Row security of {self.model}"


class Grants(Operation):
    """Grant privileges on tables that are not ours (sessions, queue, admin log)."""

    reversible = True

    def __init__(self, **tables: Mapping[str, str]) -> None:
        self.tables = tables

    def deconstruct(self) -> tuple[str, list[Any], dict[str, Any]]:
        return (type(self).__name__, [], dict(self.tables))

    def state_forwards(self, app_label: str, state: ProjectState) -> None:
        pass

    def database_forwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        for table, grants in self.tables.items():
            for statement in grant_statements(table, grants):
                schema_editor.execute(statement)

    def database_backwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        for table in self.tables:
            schema_editor.execute(f"REVOKE ALL ON {table} FROM gtm_visitor, gtm_student, gtm_operator, gtm_worker")

    def describe(self) -> str:
        return "Grant privileges on " + ", ".join(self.tables)


def grant_statements(table: str, grants: Mapping[str, str]) -> Iterator[str]:
    """Yield the GRANT statements of a table."""
    for role, privileges in grants.items():
        if privileges:
            yield f"GRANT {privileges} ON {table} TO gtm_{role}"


# ---- at run time -----------------------------------------------------------------------------------------------------


def take_first_role(sender: object, connection: BaseDatabaseWrapper, **_: object) -> None:
    """Give a new connection the process's first role (`connection_created`). The owner keeps its own."""
    if connection.settings_dict.get("USER") == LOGIN:
        set_role(settings.DATABASE_DEFAULT_ROLE, using=connection)


def set_role(role: str, student_id: str = "", *, using: BaseDatabaseWrapper | None = None) -> None:
    """Take on a role for this connection, in one statement."""
    wrapper: Any = using or connection
    with wrapper.cursor() as cursor:
        cursor.execute(
            "SELECT set_config('role', %s, false), set_config('gtm.student_id', %s, false)", [f"gtm_{role}", student_id]
        )
    wrapper.gtm_role = (role, student_id)


@contextlib.contextmanager
def acting_as(role: str) -> Iterator[None]:
    """Take on another role for a trusted piece of work, and go back afterwards."""
    connection.ensure_connection()
    before = getattr(connection, "gtm_role", None)
    if before is None or before[0] == role:  # the owner, or nothing to change
        yield
        return
    set_role(role)
    try:
        yield
    finally:
        try:
            set_role(*before)
        except DatabaseError:
            # The transaction is broken: its rollback undoes our change of role, since it began inside it.
            connection.gtm_role = before  # type: ignore[attr-defined]
            if not connection.in_atomic_block:
                connection.close()


def execute_as(role: str, statement: str, parameters: Sequence[Any]) -> None:
    """Execute one statement in another role, in one round trip and one transaction of its own.

    Where a transaction is open already, the statement becomes part of it.
    """
    connection.ensure_connection()
    before = getattr(connection, "gtm_role", None)
    if connection.in_atomic_block or before is None or before[0] == role:
        with acting_as(role), connection.cursor() as cursor:
            cursor.execute(statement, parameters)
        return
    with connection.cursor() as cursor:
        # Sent together they are one transaction, and a role that is local to it ends with it, also when it fails.
        cursor.execute(f"SELECT set_config('role', %s, true); {statement}", [f"gtm_{role}", *parameters])


class VisitorRoleMiddleware:
    """Before the session is read: nobody."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        before = getattr(connection, "gtm_role", None)
        if before is None or connection.connection is None:
            return self.get_response(request)  # a new connection begins as the process's first role
        set_role("visitor")
        try:
            return self.get_response(request)
        finally:
            if before[0] == settings.DATABASE_DEFAULT_ROLE != "visitor":  # tests share the connection with the page
                set_role(*before)


class DatabaseRoleMiddleware:
    """After authentication: the student that signed in, or the operator."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        user = request.user
        if user.is_authenticated and hasattr(connection, "gtm_role"):
            if user.is_staff:
                set_role("operator")
            else:
                set_role("student", str(user.pk))
        return self.get_response(request)
