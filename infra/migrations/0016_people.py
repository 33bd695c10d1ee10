"""People who are named one by one, each with mails a day of their own."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("infra", "0015_dns_pages"),
    ]

    operations = [
        migrations.AddField(
            model_name="mailbox",
            name="daily_limit",
            field=models.PositiveIntegerField(
                blank=True,
                help_text="Campaign mails a day at most; empty: as many as the order's plan says.",
                null=True,
            ),
        ),
        migrations.AddField(
            model_name="provision",
            name="people",
            field=models.JSONField(
                blank=True,
                db_default=models.Value([], models.JSONField()),
                default=list,
                help_text="Who writes, one by one; where nobody is named, the sender does.",
            ),
        ),
    ]
