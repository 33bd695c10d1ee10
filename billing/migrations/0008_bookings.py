"""How Stripe has booked each payment, and when to ask; payments that are there already are asked about at once."""

import django.db.models.deletion
import django.db.models.expressions
import infra.models.base
from django.conf import settings
from django.db import migrations, models

from infra.rls import RowSecurity


class Migration(migrations.Migration):
    dependencies = [
        ("billing", "0007_subscription"),
        ("infra", "0010_extensions"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="Booking",
            fields=[
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("updated_at", models.DateTimeField(auto_now=True)),
                (
                    "id",
                    models.UUIDField(
                        default=infra.models.base.ordered_id, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("stripe_id", models.CharField(max_length=120)),
                (
                    "source",
                    models.CharField(
                        choices=[
                            ("charge", "Charge"),
                            ("refund", "Refund"),
                            ("refund_failure", "Refund that failed"),
                            ("dispute", "Dispute"),
                        ],
                        max_length=16,
                    ),
                ),
                ("source_id", models.CharField(max_length=120)),
                ("amount", models.BigIntegerField()),
                ("currency", models.CharField(max_length=3)),
                ("gross", models.BigIntegerField()),
                ("fee", models.BigIntegerField()),
                ("net", models.BigIntegerField()),
                ("settled_currency", models.CharField(max_length=3)),
                ("booked_at", models.DateTimeField()),
            ],
            options={
                "verbose_name": "booking at Stripe",
                "verbose_name_plural": "bookings at Stripe",
                "ordering": ["booked_at", "id"],
            },
        ),
        migrations.AddField(
            model_name="payment",
            name="fees_at",
            field=models.DateTimeField(blank=True, help_text="When all bookings were known last.", null=True),
        ),
        migrations.AddField(
            model_name="payment",
            name="fees_due_at",
            field=models.DateTimeField(
                blank=True,
                db_default=models.Func(
                    models.Value("machine"), function="gtm_now", output_field=models.DateTimeField()
                ),
                null=True,
            ),
        ),
        migrations.AddField(
            model_name="payment",
            name="fees_looks",
            field=models.PositiveSmallIntegerField(db_default=0, default=0),
        ),
        migrations.AddIndex(
            model_name="payment",
            index=models.Index(
                condition=models.Q(("fees_due_at__isnull", False)),
                fields=["fees_due_at"],
                name="billing_payment_fees_due",
            ),
        ),
        migrations.AddField(
            model_name="booking",
            name="payment",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT, related_name="bookings", to="billing.payment"
            ),
        ),
        migrations.AddField(
            model_name="booking",
            name="student",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT, related_name="+", to=settings.AUTH_USER_MODEL
            ),
        ),
        migrations.AddConstraint(
            model_name="booking",
            constraint=models.UniqueConstraint(fields=("stripe_id",), name="billing_booking_once"),
        ),
        migrations.AddConstraint(
            model_name="booking",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("net", django.db.models.expressions.CombinedExpression(models.F("gross"), "-", models.F("fee")))
                ),
                name="billing_booking_adds_up",
            ),
        ),
        RowSecurity("Booking", parents={"payment_id": "billing_payment"}),
    ]
