"""Bugs in what the database keeps: constraints, row security, secrets."""

from __future__ import annotations

from .bug import Bug
from .where import SCHEMA, SECURITY

# fmt: off
ROWS = (
    Bug("any_students_rows", "I10", "infra/rls.py",
        "        mine = f\"{self.owner_column} = gtm_student_id()\"",
        "        mine = \"true\"",
        f"{SECURITY}::test_another_students_rows_cannot_be_read"),
    Bug("two_live_orders_of_a_student", "I6", "infra/migrations/0010_extensions.py",
        "models.Q(models.Q((\"state\", \"cancelled\"), _negated=True), (\"enlarges__isnull\", True))",
        "models.Q(models.Q((\"state\", \"draft\")), (\"enlarges__isnull\", True))",
        "tests/integration/test_constraints.py::test_beside_an_order_in_any_other_state_no_new_one_may_begin"),
    Bug("one_order_of_a_student_for_ever", "T16", "infra/migrations/0010_extensions.py",
        "models.Q(models.Q((\"state\", \"cancelled\"), _negated=True), (\"enlarges__isnull\", True))",
        "models.Q(models.Q((\"state\", \"never\"), _negated=True), (\"enlarges__isnull\", True))",
        "tests/integration/test_constraints.py::test_after_a_cancelled_order_a_new_one_may_follow"),
    Bug("two_runs_at_once", "T14", "provisioning/migrations/0006_run_pipeline.py",
        "(\"state__in\", (\"queued\", \"running\", \"waiting\", \"parked\"))",
        "(\"state__in\", (\"queued\",))",
        SCHEMA),
    Bug("two_students_one_name", "T7", "infra/migrations/0001_initial.py",
        "                    (\"ordered_at__isnull\", False),\n                    models.Q((\"state__in\", (\"lost\", \"expired\", \"released\")), _negated=True),",
        "                    (\"ordered_at__isnull\", True),\n                    models.Q((\"state__in\", (\"lost\", \"expired\", \"released\")), _negated=True),",
        SCHEMA),
    Bug("two_attempts_at_once", "I4", "provisioning/migrations/0001_initial.py",
        "condition=models.Q((\"state__in\", (\"intended\", \"captured\", \"unknown\"))),",
        "condition=models.Q((\"state__in\", (\"captured\", \"unknown\"))),",
        SCHEMA),
    Bug("writes_into_anybodys_rows", "I10", "infra/rls.py",
        "USING ({mine}) WITH CHECK ({mine})\"",
        "USING ({mine}) WITH CHECK (true)\"",
        f"{SECURITY}::test_a_students_table_has_its_policies"),
    Bug("roles_keep_who_asked_last", "I10", "infra/rls.py",
        "                set_role(\"student\", str(user.pk))",
        "                connection.gtm_role[0] == \"student\" or set_role(\"student\", str(user.pk))",
        f"{SECURITY}::test_who_has_signed_in_sees_their_own_whoever_the_connection_served_before"),
    Bug("nobody_is_whoever_asked_last", "I10", "infra/rls.py",
        "        set_role(\"visitor\")\n",
        "",
        f"{SECURITY}::test_who_has_not_signed_in_is_nobody_whoever_the_connection_served_before"),
    Bug("secrets_in_plain_text", "I9", "infra/secret.py",
        "            token = encrypt(value.open(), bound_to=self.place(model_instance))",
        "            token = value.open()",
        "tests/unit/infra/test_secret.py::test_the_column_holds_no_plain_text"),
    Bug("a_token_opens_in_any_row", "I9", "infra/secret.py",
        "        return f\"{instance._meta.db_table}/{instance.pk}/{self.column}\"",
        "        return f\"{instance._meta.db_table}/{self.column}\"",
        "tests/unit/infra/test_secret.py::test_a_token_copied_into_another_row_does_not_open"),
)
