"""Looks at DNS, watches of its propagation, and SPF records whose names were replaced by addresses."""

import django.db.models.deletion
import infra.models.base
import infra.models.dns
import uuid
from django.conf import settings
from django.db import migrations, models

from infra.rls import RowSecurity


class Migration(migrations.Migration):
    dependencies = [
        ("infra", "0014_authentication_tests"),
    ]

    operations = [
        migrations.CreateModel(
            name="PropagationWatch",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("updated_at", models.DateTimeField(auto_now=True)),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("polling", "Watching"),
                            ("completed", "Completed"),
                            ("timeout", "Timed out"),
                            ("cancelled", "Stopped"),
                        ],
                        default="polling",
                        max_length=12,
                    ),
                ),
                ("since", models.DateTimeField()),
                ("ended_at", models.DateTimeField(blank=True, null=True)),
                ("looks", models.PositiveIntegerField(default=0)),
                ("coverage", models.PositiveSmallIntegerField(default=0)),
                (
                    "domain",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="watches", to="infra.domain"
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
                "verbose_name": "propagation watch",
                "ordering": ["-created_at"],
            },
        ),
        migrations.CreateModel(
            name="PropagationObservation",
            fields=[
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("updated_at", models.DateTimeField(auto_now=True)),
                (
                    "id",
                    models.UUIDField(
                        default=infra.models.base.ordered_id, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("at", models.DateTimeField()),
                ("state", models.CharField(max_length=20)),
                ("cause", models.CharField(blank=True, max_length=20)),
                ("coverage", models.PositiveSmallIntegerField(default=0)),
                (
                    "student",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to=settings.AUTH_USER_MODEL
                    ),
                ),
                (
                    "watch",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="observations",
                        to="infra.propagationwatch",
                    ),
                ),
            ],
            options={
                "verbose_name": "observation",
                "ordering": ["-at", "-id"],
            },
        ),
        migrations.CreateModel(
            name="SpfFlattening",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("updated_at", models.DateTimeField(auto_now=True)),
                ("original", models.TextField()),
                ("flattened", models.JSONField(default=infra.models.base.empty_facts)),
                ("sources", models.JSONField(default=infra.models.dns.no_rows)),
                ("networks", models.JSONField(default=infra.models.dns.no_rows)),
                ("lookups_before", models.PositiveSmallIntegerField()),
                ("lookups_after", models.PositiveSmallIntegerField()),
                ("characters", models.PositiveIntegerField()),
                (
                    "refresh",
                    models.PositiveIntegerField(help_text="Seconds for which its sources say that their answer holds."),
                ),
                ("written_at", models.DateTimeField()),
                ("looked_at", models.DateTimeField(blank=True, null=True)),
                ("drift", models.JSONField(blank=True, default=infra.models.base.empty_facts)),
                ("ended_at", models.DateTimeField(blank=True, null=True)),
                (
                    "domain",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="flattenings", to="infra.domain"
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
                "verbose_name": "SPF flattening",
                "ordering": ["-written_at"],
            },
        ),
        migrations.CreateModel(
            name="DnsCheck",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("updated_at", models.DateTimeField(auto_now=True)),
                ("due_at", models.DateTimeField(blank=True, null=True)),
                ("looked_at", models.DateTimeField(blank=True, null=True)),
                ("tried_at", models.DateTimeField(blank=True, null=True)),
                ("failures", models.PositiveSmallIntegerField(default=0)),
                ("problem", models.CharField(blank=True, max_length=80)),
                ("asked_at", models.DateTimeField(blank=True, null=True)),
                ("checked_at", models.DateTimeField(blank=True, null=True)),
                ("records", models.JSONField(blank=True, default=infra.models.dns.no_rows)),
                ("seen", models.JSONField(blank=True, default=infra.models.base.empty_facts)),
                (
                    "domain",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE, related_name="dns_check", to="infra.domain"
                    ),
                ),
                (
                    "provision",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="dns_checks", to="infra.provision"
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
                "verbose_name": "look at DNS",
                "indexes": [
                    models.Index(
                        condition=models.Q(("due_at__isnull", False)), fields=["due_at"], name="infra_dnscheck_due"
                    )
                ],
            },
        ),
        migrations.AddConstraint(
            model_name="propagationwatch",
            constraint=models.UniqueConstraint(
                condition=models.Q(("state", "polling")), fields=("domain",), name="infra_propagationwatch_one_polling"
            ),
        ),
        migrations.AddConstraint(
            model_name="propagationwatch",
            constraint=models.UniqueConstraint(fields=("id", "student"), name="infra_propagationwatch_id_student"),
        ),
        migrations.AddConstraint(
            model_name="propagationwatch",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("ended_at__isnull", True), ("state", "polling")),
                    models.Q(models.Q(("state", "polling"), _negated=True), ("ended_at__isnull", False)),
                    _connector="OR",
                ),
                name="infra_propagationwatch_ended_paired",
            ),
        ),
        migrations.AddIndex(
            model_name="propagationobservation",
            index=models.Index(fields=["watch", "state", "at"], name="infra_observation_by_state"),
        ),
        migrations.AddConstraint(
            model_name="spfflattening",
            constraint=models.UniqueConstraint(
                condition=models.Q(("ended_at__isnull", True)),
                fields=("domain",),
                name="infra_spfflattening_one_in_use",
            ),
        ),
        RowSecurity(
            "DnsCheck", student="SELECT", parents={"domain_id": "infra_domain", "provision_id": "infra_provision"}
        ),
        RowSecurity("PropagationWatch", student="SELECT", parents={"domain_id": "infra_domain"}),
        RowSecurity("PropagationObservation", student="SELECT", parents={"watch_id": "infra_propagationwatch"}),
        RowSecurity("SpfFlattening", student="SELECT", parents={"domain_id": "infra_domain"}),
    ]
