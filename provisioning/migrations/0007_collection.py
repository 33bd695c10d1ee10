"""Where the collector of figures is."""

from django.db import migrations, models

from infra.rls import RowSecurity


class Migration(migrations.Migration):
    dependencies = [
        ("provisioning", "0006_run_pipeline"),
    ]

    operations = [
        migrations.CreateModel(
            name="Collection",
            fields=[
                ("name", models.CharField(max_length=40, primary_key=True, serialize=False)),
                ("claimed_until", models.DateTimeField(blank=True, null=True)),
                ("due_at", models.DateTimeField(blank=True, null=True)),
                ("offset", models.PositiveIntegerField(default=0)),
                ("failures", models.PositiveSmallIntegerField(default=0)),
            ],
        ),
        RowSecurity("Collection", owner_column=""),
    ]
