"""What Stripe says of each order's subscription now; orders that have one already are looked at at once."""

import django.db.models.deletion
import uuid
from django.conf import settings
from django.db import migrations, models

from infra.rls import RowSecurity

ADOPT = """
INSERT INTO billing_subscription (
    id, created_at, updated_at, provision_id, student_id, stripe_id, status, cancel_at_period_end, invoice_id,
    invoice_status, invoice_cents, invoice_currency, invoice_url, needs_action, card, dispute, charged_cents,
    refunded_cents, overdue_invoice_id, looks, seen, failures, look_at
)
SELECT gen_random_uuid(), clock_timestamp(), clock_timestamp(), id, student_id, stripe_subscription_id, '', false, '',
    '', 0, '', '', false, '', '', 0, 0, '', 0, 0, 0, gtm_now('vendor')
FROM infra_provision WHERE stripe_subscription_id <> ''
"""


class Migration(migrations.Migration):
    dependencies = [
        ("billing", "0006_upgrade_security"),
        ("infra", "0010_extensions"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="Subscription",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("updated_at", models.DateTimeField(auto_now=True)),
                ("stripe_id", models.CharField(max_length=120)),
                ("status", models.CharField(blank=True, max_length=40)),
                ("period_end", models.DateTimeField(blank=True, null=True)),
                ("cancel_at_period_end", models.BooleanField(default=False)),
                ("cancel_at", models.DateTimeField(blank=True, null=True)),
                ("ended_at", models.DateTimeField(blank=True, null=True)),
                ("invoice_id", models.CharField(blank=True, max_length=120, verbose_name="latest invoice")),
                ("invoice_status", models.CharField(blank=True, max_length=40)),
                ("invoice_cents", models.PositiveIntegerField(default=0)),
                ("invoice_currency", models.CharField(blank=True, max_length=3)),
                ("invoice_url", models.TextField(blank=True)),
                ("needs_action", models.BooleanField(default=False, help_text="The bank wants to ask the student.")),
                (
                    "card",
                    models.CharField(blank=True, help_text="How it is paid: brand and last digits.", max_length=60),
                ),
                (
                    "dispute",
                    models.CharField(blank=True, help_text="Stripe's word for the worst dispute.", max_length=40),
                ),
                ("charged_cents", models.PositiveIntegerField(default=0)),
                ("refunded_cents", models.PositiveIntegerField(default=0)),
                ("overdue_since", models.DateTimeField(blank=True, null=True)),
                ("overdue_invoice_id", models.CharField(blank=True, max_length=120)),
                ("suspended_at", models.DateTimeField(blank=True, null=True)),
                ("looks", models.PositiveIntegerField(default=0, help_text="How often somebody began to ask.")),
                ("seen", models.PositiveIntegerField(default=0, help_text="The look whose answer is written here.")),
                ("checked_at", models.DateTimeField(blank=True, null=True)),
                ("look_at", models.DateTimeField(blank=True, null=True)),
                ("failures", models.PositiveSmallIntegerField(default=0)),
                (
                    "provision",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE, related_name="subscription", to="infra.provision"
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
                "ordering": ["-created_at"],
                "indexes": [
                    models.Index(
                        condition=models.Q(("look_at__isnull", False)),
                        fields=["look_at"],
                        name="billing_subscription_due",
                    )
                ],
                "constraints": [
                    models.UniqueConstraint(fields=("stripe_id",), name="billing_subscription_once"),
                ],
            },
        ),
        RowSecurity("Subscription", student="SELECT", parents={"provision_id": "infra_provision"}),
        migrations.RunSQL(ADOPT, migrations.RunSQL.noop),
    ]
