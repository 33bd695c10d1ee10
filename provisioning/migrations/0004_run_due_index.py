"""The index of due runs covers the states that the claim asks for, in the order in which it takes them."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("provisioning", "0003_flight_holder")]

    operations = [
        migrations.RemoveIndex(model_name="run", name="provisioning_run_due"),
        migrations.AddIndex(
            model_name="run",
            index=models.Index(
                condition=models.Q(("state__in", ("queued", "running", "waiting", "parked"))),
                fields=["paid_at", "id"],
                name="provisioning_run_due",
            ),
        ),
    ]
