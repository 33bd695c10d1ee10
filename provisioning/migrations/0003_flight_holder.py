"""Who holds a place in the bulkhead, so that the places of killed workers are free at once."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("provisioning", "0002_row_security")]

    operations = [
        migrations.AddField(
            model_name="flight",
            name="holder",
            field=models.CharField(blank=True, db_default="", help_text="The group that took it last.", max_length=80),
        ),
    ]
