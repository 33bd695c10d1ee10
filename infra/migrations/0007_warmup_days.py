"""What the sending tool says day by day, when it was asked last, and the ticks of the first week."""

import django.db.models.deletion
import infra.models.base
import uuid
from django.conf import settings
from django.db import migrations, models

from infra.rls import RowSecurity


class Migration(migrations.Migration):
    dependencies = [
        ("infra", "0006_state_before"),
    ]

    operations = [
        migrations.AddField(
            model_name="mailbox",
            name="bad_since",
            field=models.DateField(
                blank=True, help_text="First day of the bad health that the student was told of.", null=True
            ),
        ),
        migrations.AddField(
            model_name="provision",
            name="calendar_key",
            field=models.CharField(blank=True, help_text="Changing it ends the calendar's old links.", max_length=32),
        ),
        migrations.AlterField(
            model_name="mailbox",
            name="warmup_started_at",
            field=models.DateTimeField(blank=True, help_text="Vendor time.", null=True),
        ),
        migrations.CreateModel(
            name="Measurement",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("updated_at", models.DateTimeField(auto_now=True)),
                ("due_at", models.DateTimeField(blank=True, null=True)),
                ("looked_at", models.DateTimeField(blank=True, null=True)),
                ("tried_at", models.DateTimeField(blank=True, null=True)),
                ("failures", models.PositiveSmallIntegerField(default=0)),
                ("problem", models.CharField(blank=True, max_length=80)),
                ("lead_list", models.CharField(blank=True, max_length=40)),
                ("leads", models.PositiveIntegerField(blank=True, null=True)),
                ("leads_at", models.DateTimeField(blank=True, null=True)),
                (
                    "provision",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE, related_name="measurement", to="infra.provision"
                    ),
                ),
                (
                    "student",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to=settings.AUTH_USER_MODEL
                    ),
                ),
            ],
            options={
                "verbose_name": "measurement",
                "indexes": [
                    models.Index(
                        condition=models.Q(("due_at__isnull", False)), fields=["due_at"], name="infra_measurement_due"
                    ),
                    models.Index(
                        condition=models.Q(("lead_list", ""), _negated=True),
                        fields=["lead_list"],
                        name="infra_measurement_lead_list",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="TaskDone",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("updated_at", models.DateTimeField(auto_now=True)),
                ("task", models.CharField(max_length=40)),
                (
                    "provision",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="tasks_done", to="infra.provision"
                    ),
                ),
                (
                    "student",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to=settings.AUTH_USER_MODEL
                    ),
                ),
            ],
            options={
                "verbose_name": "task done",
                "constraints": [models.UniqueConstraint(fields=("provision", "task"), name="infra_taskdone_once")],
            },
        ),
        migrations.CreateModel(
            name="WarmupDay",
            fields=[
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("updated_at", models.DateTimeField(auto_now=True)),
                (
                    "id",
                    models.UUIDField(
                        default=infra.models.base.ordered_id, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("day", models.DateField()),
                (
                    "connection",
                    models.CharField(
                        choices=[
                            ("connected", "Connected"),
                            ("disconnected", "Disconnected"),
                            ("absent", "Not in the sending tool"),
                        ],
                        max_length=12,
                    ),
                ),
                ("is_warming", models.BooleanField(default=False)),
                ("health", models.FloatField(blank=True, null=True)),
                ("health_google", models.FloatField(blank=True, null=True)),
                ("health_microsoft", models.FloatField(blank=True, null=True)),
                ("health_other", models.FloatField(blank=True, null=True)),
                ("reply_rate", models.FloatField(blank=True, null=True)),
                ("bounce_rate", models.FloatField(blank=True, null=True)),
                ("warmup_sent", models.PositiveIntegerField(blank=True, null=True)),
                ("campaign_sent", models.PositiveIntegerField(blank=True, null=True)),
                ("measured_at", models.DateTimeField()),
                (
                    "mailbox",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="warmup_days", to="infra.mailbox"
                    ),
                ),
                (
                    "student",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to=settings.AUTH_USER_MODEL
                    ),
                ),
            ],
            options={
                "verbose_name": "warmup day",
                "ordering": ["day"],
                "constraints": [models.UniqueConstraint(fields=("mailbox", "day"), name="infra_warmupday_once")],
            },
        ),
        RowSecurity("WarmupDay", student="SELECT", parents={"mailbox_id": "infra_mailbox"}),
        RowSecurity("Measurement", student="SELECT", parents={"provision_id": "infra_provision"}),
        RowSecurity("TaskDone", student="SELECT, INSERT, DELETE", parents={"provision_id": "infra_provision"}),
    ]
