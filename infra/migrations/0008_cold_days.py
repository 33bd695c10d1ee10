"""Days without warmup are found without reading the others."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("infra", "0007_warmup_days"),
    ]

    operations = [
        migrations.AddIndex(
            model_name="warmupday",
            index=models.Index(
                condition=models.Q(("is_warming", False)), fields=["mailbox", "day"], name="infra_warmupday_cold"
            ),
        ),
    ]
