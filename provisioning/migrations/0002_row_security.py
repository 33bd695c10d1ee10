"""Who may see which rows. Operations, their items and captures are the worker's alone; operators may read two of them."""

from django.db import migrations

from infra.rls import RowSecurity


class Migration(migrations.Migration):
    dependencies = [("provisioning", "0001_initial"), ("infra", "0002_clocks_and_row_security")]

    operations = [
        RowSecurity("Run", student="SELECT", parents={"provision_id": "infra_provision"}),
        RowSecurity(
            "Step",
            student="SELECT",
            parents={"run_id": "provisioning_run", "domain_id": "infra_domain", "mailbox_id": "infra_mailbox"},
        ),
        RowSecurity(
            "Event", student="SELECT", parents={"provision_id": "infra_provision", "run_id": "provisioning_run"}
        ),
        RowSecurity("Operation", operator="SELECT, UPDATE", parents={"run_id": "provisioning_run"}),
        RowSecurity("OperationItem", operator="SELECT, UPDATE", parents={"operation_id": "provisioning_operation"}),
        RowSecurity(
            "Capture", operator="", worker="SELECT, INSERT", parents={"operation_id": "provisioning_operation"}
        ),
        RowSecurity("Permit", owner_column="", operator="SELECT"),
        RowSecurity("Flight", owner_column="", operator="SELECT"),
        RowSecurity("Circuit", owner_column="", student="SELECT"),
        RowSecurity("Heartbeat", owner_column="", visitor="SELECT", student="SELECT"),
    ]
