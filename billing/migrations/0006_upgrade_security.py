"""Who may see which rows."""

from django.db import migrations

from infra.rls import RowSecurity


class Migration(migrations.Migration):
    dependencies = [("billing", "0005_upgrade"), ("infra", "0010_extensions")]

    operations = [
        RowSecurity(
            "Upgrade",
            student="SELECT",
            parents={"provision_id": "infra_provision", "extension_id": "infra_provision"},
        ),
    ]
