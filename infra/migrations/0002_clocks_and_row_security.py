"""The SQL clocks, the roles, and who may see which rows."""

from django.db import migrations

from infra import clock
from infra.rls import ALL, CreateRoles, Grants, RowSecurity

EVERYBODY = {"visitor": "SELECT", "student": "SELECT", "operator": "SELECT", "worker": "SELECT"}
READ_WRITE = "SELECT, INSERT, UPDATE"


class Migration(migrations.Migration):
    dependencies = [
        ("infra", "0001_initial"),
        ("admin", "0003_logentry_add_action_flag_choices"),
        ("auth", "0012_alter_user_first_name_max_length"),
        ("contenttypes", "0002_remove_content_type_name"),
        ("sessions", "0001_initial"),
        ("django_q", "0018_task_success_index"),
    ]

    operations = [
        migrations.RunSQL(clock.CREATE_SQL, clock.DROP_SQL),
        CreateRoles(),
        RowSecurity(
            "User",
            owner_column="id",
            visitor="SELECT, UPDATE (password, last_login)",
            student="SELECT, UPDATE (password, last_login, first_name, last_name, time_zone, updated_at)",
        ),
        RowSecurity("Tier", owner_column="", visitor="SELECT", student="SELECT"),
        RowSecurity("Provision", student=ALL),
        RowSecurity("Domain", student=ALL, parents={"provision_id": "infra_provision"}),
        RowSecurity("DomainHold", student="SELECT", parents={"provision_id": "infra_provision"}),
        RowSecurity("Mailbox", student=ALL, parents={"provision_id": "infra_provision", "domain_id": "infra_domain"}),
        RowSecurity("NameCheck", owner_column=""),
        RowSecurity(
            "OrderLine", student="SELECT", parents={"provision_id": "infra_provision", "domain_id": "infra_domain"}
        ),
        RowSecurity("Mail", student="SELECT, INSERT", parents={"provision_id": "infra_provision"}),
        RowSecurity("OperatorItem", owner_column=""),
        RowSecurity("Flag", owner_column="", visitor="SELECT", student="SELECT"),
        RowSecurity("Credential", student="SELECT", parents={"provision_id": "infra_provision"}),
        RowSecurity("CredentialReveal", student="SELECT, INSERT", operator="SELECT"),
        RowSecurity("Counter", owner_column="", visitor=ALL, student=ALL),
        RowSecurity("KeyCanary", owner_column="", visitor="SELECT", student="SELECT"),
        Grants(
            infra_user_groups={"operator": ALL, "worker": ALL},
            infra_user_user_permissions={"operator": ALL, "worker": ALL},
            auth_group={"operator": ALL, "worker": ALL},
            auth_group_permissions={"operator": ALL, "worker": ALL},
            auth_permission={"operator": ALL, "worker": ALL},
            django_admin_log={"operator": ALL, "worker": ALL},
            django_content_type=EVERYBODY,
            django_migrations=EVERYBODY,
            django_session={"visitor": ALL, "student": ALL, "operator": ALL, "worker": ALL},
            django_q_ormq={"visitor": READ_WRITE, "student": READ_WRITE, "operator": ALL, "worker": ALL},
            django_q_task={"operator": "SELECT", "worker": ALL},
            django_q_schedule={"worker": ALL},
            gtm_clock={"visitor": "SELECT", "student": "SELECT", "operator": "SELECT", "worker": ALL},
        ),
        # The queue is read by its lock time, many times a second.
        migrations.RunSQL("CREATE INDEX infra_queue_by_lock ON django_q_ormq (lock)", "DROP INDEX infra_queue_by_lock"),
    ]
