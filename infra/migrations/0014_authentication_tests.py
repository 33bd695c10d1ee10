"""Tests of mailboxes by a message."""

import django.db.models.deletion
import infra.models.base
from django.conf import settings
from django.db import migrations, models

from infra.rls import RowSecurity


class Migration(migrations.Migration):
    dependencies = [
        ("infra", "0013_platform_connections"),
    ]

    operations = [
        migrations.CreateModel(
            name="AuthenticationTest",
            fields=[
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("updated_at", models.DateTimeField(auto_now=True)),
                (
                    "id",
                    models.UUIDField(
                        default=infra.models.base.ordered_id, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("actor", models.CharField(max_length=320)),
                ("token", models.CharField(max_length=64)),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("asked", "Asked for"),
                            ("sending", "Being sent"),
                            ("sent", "Sent"),
                            ("received", "Received"),
                            ("judged", "Judged"),
                            ("failed", "Failed"),
                            ("timed_out", "Timed out"),
                        ],
                        default="asked",
                        max_length=12,
                    ),
                ),
                ("asked_at", models.DateTimeField()),
                ("sending_at", models.DateTimeField(blank=True, null=True)),
                ("sent_at", models.DateTimeField(blank=True, null=True)),
                ("received_at", models.DateTimeField(blank=True, null=True)),
                ("ended_at", models.DateTimeField(blank=True, null=True)),
                ("due_at", models.DateTimeField(blank=True, null=True)),
                ("claims", models.PositiveIntegerField(default=0)),
                ("claimed_until", models.DateTimeField(blank=True, help_text="Machine time.", null=True)),
                ("looks", models.PositiveSmallIntegerField(default=0)),
                ("code", models.CharField(blank=True, max_length=40)),
                ("words", models.CharField(blank=True, max_length=300)),
                ("verdicts", models.JSONField(blank=True, default=infra.models.base.empty_facts)),
                ("raw_headers", models.TextField(blank=True)),
                (
                    "mailbox",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="tests", to="infra.mailbox"
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
                "verbose_name": "authentication test",
                "ordering": ["-created_at", "-id"],
                "indexes": [
                    models.Index(
                        condition=models.Q(("due_at__isnull", False)),
                        fields=["due_at"],
                        name="infra_authenticationtest_due",
                    )
                ],
                "constraints": [
                    models.UniqueConstraint(fields=("token",), name="infra_authenticationtest_token"),
                    models.UniqueConstraint(
                        condition=models.Q(("state__in", ("asked", "sending", "sent", "received"))),
                        fields=("mailbox",),
                        name="infra_authenticationtest_one_open",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(
                                ("due_at__isnull", False),
                                ("ended_at__isnull", True),
                                ("state__in", ("asked", "sending", "sent", "received")),
                            ),
                            models.Q(
                                models.Q(("state__in", ("asked", "sending", "sent", "received")), _negated=True),
                                ("due_at__isnull", True),
                                ("ended_at__isnull", False),
                            ),
                            _connector="OR",
                        ),
                        name="infra_authenticationtest_ends",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("sending_at__isnull", False),
                            models.Q(
                                ("received_at__isnull", True),
                                ("sent_at__isnull", True),
                                ("state__in", ["asked", "failed"]),
                            ),
                            _connector="OR",
                        ),
                        name="infra_authenticationtest_intent_first",
                    ),
                ],
            },
        ),
        RowSecurity("AuthenticationTest", student="SELECT", parents={"mailbox_id": "infra_mailbox"}),
    ]
