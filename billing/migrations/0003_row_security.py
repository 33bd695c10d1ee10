"""Who may see which rows."""

from django.db import migrations

from infra.rls import RowSecurity


class Migration(migrations.Migration):
    dependencies = [("billing", "0001_initial"), ("infra", "0002_clocks_and_row_security")]

    operations = [
        RowSecurity("Checkout", student="SELECT", parents={"provision_id": "infra_provision"}),
        RowSecurity(
            "Payment",
            student="SELECT",
            parents={"provision_id": "infra_provision", "checkout_id": "billing_checkout"},
        ),
        RowSecurity("Refund", student="SELECT", parents={"payment_id": "billing_payment"}),
        RowSecurity("WebhookEvent", owner_column=""),
    ]
