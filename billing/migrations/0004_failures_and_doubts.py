"""How often our own code failed with a checkout; what is known of the requests under a refund's present key."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("billing", "0003_row_security")]

    operations = [
        migrations.AddField("checkout", "failures", models.PositiveSmallIntegerField(default=0)),
        migrations.AddField("refund", "server_errors", models.PositiveSmallIntegerField(default=0)),
        migrations.AddField("refund", "in_doubt_at", models.DateTimeField(blank=True, null=True)),
    ]
