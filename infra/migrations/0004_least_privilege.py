"""Students read their order and never write it themselves: pages do, as the worker, under the order's lock."""

from django.db import migrations

WRITES = "INSERT, UPDATE, DELETE"


class Migration(migrations.Migration):
    dependencies = [("infra", "0003_reveals_of_ones_own")]

    operations = [
        migrations.RunSQL(
            f"REVOKE {WRITES} ON infra_provision, infra_domain, infra_mailbox FROM gtm_student",
            f"GRANT {WRITES} ON infra_provision, infra_domain, infra_mailbox TO gtm_student",
        ),
        migrations.RunSQL(
            "REVOKE UPDATE (password) ON infra_user FROM gtm_visitor",
            "GRANT UPDATE (password) ON infra_user TO gtm_visitor",
        ),
    ]
