from django.apps import AppConfig
from django.db.backends.signals import connection_created


class InfraConfig(AppConfig):
    name = "infra"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from . import prepared, rls

        connection_created.connect(rls.take_first_role, dispatch_uid="infra.rls")
        connection_created.connect(prepared.read_json_as_text, dispatch_uid="infra.prepared")
