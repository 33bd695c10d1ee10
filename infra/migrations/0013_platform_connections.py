"""Whose accounts at the platforms a student's orders work on."""

import django.db.models.deletion
import infra.models.base
import infra.secret
from django.conf import settings
from django.db import migrations, models

from infra.rls import RowSecurity


class Migration(migrations.Migration):
    dependencies = [
        ("infra", "0012_own_domains"),
    ]

    operations = [
        migrations.CreateModel(
            name="PlatformConnection",
            fields=[
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("updated_at", models.DateTimeField(auto_now=True)),
                (
                    "id",
                    models.UUIDField(
                        default=infra.models.base.ordered_id, editable=False, primary_key=True, serialize=False
                    ),
                ),
                (
                    "platform",
                    models.CharField(
                        choices=[
                            ("google_workspace", "Google Workspace"),
                            ("smartlead", "Smartlead"),
                            ("godaddy", "GoDaddy"),
                        ],
                        max_length=20,
                    ),
                ),
                (
                    "owner",
                    models.CharField(choices=[("operator", "The operator"), ("student", "The student")], max_length=8),
                ),
                ("credential", infra.secret.SecretField(null=True)),
                ("label", models.CharField(blank=True, help_text="What may be shown: never a key.", max_length=320)),
                (
                    "account",
                    models.CharField(blank=True, help_text="The platform's own name of the account.", max_length=120),
                ),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("proving", "Waiting for the code that its administrator was sent"),
                            ("checking", "Saved, not checked yet"),
                            ("good", "Works"),
                            ("refused", "Refused by the platform"),
                        ],
                        default="checking",
                        max_length=8,
                    ),
                ),
                (
                    "is_used",
                    models.BooleanField(default=False, help_text="Orders work with it. Else it is still being tried."),
                ),
                (
                    "problem",
                    models.CharField(blank=True, help_text="Code of why it is refused, or not checked.", max_length=40),
                ),
                (
                    "scopes",
                    models.JSONField(
                        default=infra.models.base.empty_facts,
                        help_text="Each right that was checked, and whether it is there.",
                    ),
                ),
                ("checked_at", models.DateTimeField(blank=True, null=True)),
                ("due_at", models.DateTimeField(blank=True, help_text="When it is checked next.", null=True)),
                ("failures", models.PositiveSmallIntegerField(default=0)),
                ("wrong_codes", models.PositiveSmallIntegerField(default=0)),
                ("actor", models.CharField(max_length=320)),
                ("ended_at", models.DateTimeField(blank=True, null=True)),
                ("ended_by", models.CharField(blank=True, max_length=320)),
                (
                    "student",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="connections",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "verbose_name": "connection",
                "ordering": ["-created_at", "-id"],
                "indexes": [
                    models.Index(
                        condition=models.Q(("due_at__isnull", False)),
                        fields=["due_at"],
                        name="infra_platformconnection_due",
                    )
                ],
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("ended_at__isnull", True), ("is_used", True)),
                        fields=("student", "platform"),
                        name="infra_platformconnection_one_used",
                    ),
                    models.UniqueConstraint(
                        condition=models.Q(("ended_at__isnull", True), ("is_used", False)),
                        fields=("student", "platform"),
                        name="infra_platformconnection_one_tried",
                    ),
                    models.UniqueConstraint(
                        condition=models.Q(
                            ("ended_at__isnull", True), ("is_used", True), models.Q(("account", ""), _negated=True)
                        ),
                        fields=("platform", "account"),
                        name="infra_platformconnection_one_student",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("credential__isnull", False), ("ended_at__isnull", True), ("owner", "student")),
                            models.Q(("credential__isnull", True), ("ended_at__isnull", True), ("owner", "operator")),
                            models.Q(("credential__isnull", True), ("ended_at__isnull", False)),
                            _connector="OR",
                        ),
                        name="infra_platformconnection_key_while_live",
                    ),
                ],
            },
        ),
        RowSecurity("PlatformConnection", student="SELECT"),
    ]
