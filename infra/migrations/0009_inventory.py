"""What orders own, as it was looked at; mailbox passwords; what students want when a paid year ends."""

import django.db.models.deletion
import infra.models.base
import infra.secret
import uuid
from django.conf import settings
from django.db import migrations, models

from infra.rls import RowSecurity


class Migration(migrations.Migration):
    dependencies = [
        ("infra", "0008_cold_days"),
    ]

    operations = [
        migrations.CreateModel(
            name="MailboxSecret",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("updated_at", models.DateTimeField(auto_now=True)),
                ("app_password", infra.secret.SecretField()),
                (
                    "mailbox",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE, related_name="secret", to="infra.mailbox"
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
                "verbose_name": "mailbox password",
            },
        ),
        migrations.CreateModel(
            name="RenewalChoice",
            fields=[
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("updated_at", models.DateTimeField(auto_now=True)),
                (
                    "id",
                    models.UUIDField(
                        default=infra.models.base.ordered_id, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("choice", models.CharField(choices=[("keep", "Keep"), ("drop", "Drop")], max_length=4)),
                ("actor", models.CharField(max_length=320)),
                (
                    "ends_at",
                    models.DateTimeField(blank=True, help_text="The end of the year that it was about.", null=True),
                ),
                ("price_cents", models.PositiveIntegerField(default=0, help_text="What the student was shown.")),
                (
                    "domain",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="renewal_choices", to="infra.domain"
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
                "verbose_name": "renewal choice",
                "ordering": ["-created_at", "-id"],
            },
        ),
        migrations.CreateModel(
            name="Inventory",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("updated_at", models.DateTimeField(auto_now=True)),
                ("due_at", models.DateTimeField(blank=True, null=True)),
                ("looked_at", models.DateTimeField(blank=True, null=True)),
                ("tried_at", models.DateTimeField(blank=True, null=True)),
                ("failures", models.PositiveSmallIntegerField(default=0)),
                ("problem", models.CharField(blank=True, max_length=80)),
                (
                    "provision",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE, related_name="inventory", to="infra.provision"
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
                "verbose_name": "inventory",
                "indexes": [
                    models.Index(
                        condition=models.Q(("due_at__isnull", False)), fields=["due_at"], name="infra_inventory_due"
                    )
                ],
            },
        ),
        RowSecurity("Inventory", student="SELECT", parents={"provision_id": "infra_provision"}),
        RowSecurity("MailboxSecret", student="SELECT", parents={"mailbox_id": "infra_mailbox"}),
        RowSecurity("RenewalChoice", student="SELECT", parents={"domain_id": "infra_domain"}),
    ]
