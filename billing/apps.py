from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class BillingConfig(AppConfig):
    name = "billing"
    verbose_name = _("Billing")

    def ready(self) -> None:
        from provisioning.engine import doorbell

        from . import actions, fees, life, refunds, upgrades, webhooks

        doorbell.register("webhooks", webhooks.drain, webhooks.is_due)
        doorbell.register("refunds", refunds.drain, refunds.is_due)
        doorbell.register("checkouts", actions.sweep_open_checkouts, actions.is_sweep_due)
        doorbell.register("upgrades", upgrades.sweep, upgrades.is_sweep_due)
        doorbell.register("fees", fees.drain, fees.is_due)
        doorbell.register("subscriptions", life.sweep, life.is_sweep_due)
