"""How long calls and wake-ups take."""

from django.db import migrations, models

from infra.rls import RowSecurity


class Migration(migrations.Migration):
    dependencies = [
        ("provisioning", "0007_collection"),
    ]

    operations = [
        migrations.CreateModel(
            name="Timing",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("kind", models.CharField(max_length=10)),
                ("name", models.CharField(max_length=40)),
                ("bound", models.FloatField()),
                ("number", models.BigIntegerField()),
                ("seconds", models.FloatField()),
                ("last_at", models.DateTimeField()),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(fields=("kind", "name", "bound"), name="provisioning_timing_one_bucket")
                ],
            },
        ),
        RowSecurity("Timing", owner_column="", operator="SELECT"),
    ]
