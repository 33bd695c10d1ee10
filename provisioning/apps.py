from django.apps import AppConfig


class ProvisioningConfig(AppConfig):
    name = "provisioning"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from . import collector, connections, inventory, mail_tests, registering, rules, search, seeing
        from .engine import doorbell, runner, trials

        doorbell.register("runs", runner.drain)
        doorbell.register("names", search.drain, search.is_due)
        doorbell.register("figures", collector.drain, collector.is_due)
        doorbell.register("inventory", inventory.drain, inventory.is_due)
        doorbell.register("connections", connections.drain, connections.is_due)
        doorbell.register("registrations", registering.drain, registering.is_due)
        doorbell.register(trials.BELL, mail_tests.drain, mail_tests.is_due)
        doorbell.register(seeing.BELL, seeing.drain, seeing.is_due)
        doorbell.register("rules", rules.drain, rules.is_due)
        doorbell.register("prune", search.prune, search.is_prune_due)
