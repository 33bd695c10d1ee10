"""How often a price is due before and after a change: once for each domain where their number is the student's."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("billing", "0011_downgrade_unsettled"),
    ]

    operations = [
        migrations.AddField(
            model_name="downgrade",
            name="quantity",
            field=models.PositiveIntegerField(db_default=1, default=1),
        ),
        migrations.AddField(
            model_name="downgrade",
            name="quantity_before",
            field=models.PositiveIntegerField(db_default=1, default=1),
        ),
        migrations.AddField(
            model_name="upgrade",
            name="quantity",
            field=models.PositiveIntegerField(db_default=1, default=1),
        ),
    ]
