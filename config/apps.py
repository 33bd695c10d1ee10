from __future__ import annotations

from typing import Any

from django.apps import AppConfig
from django.db import connections
from django.db.models.signals import post_migrate


class ProjectConfig(AppConfig):
    name = "config"

    def ready(self) -> None:
        from config import checks  # noqa: F401  (registers them)
        from infra import mails
        from provisioning.engine import doorbell

        doorbell.register("mails", mails.drain, mails.is_due)

        post_migrate.connect(set_login_password, sender=self, dispatch_uid="config.login")


def set_login_password(using: str, **details: Any) -> None:
    """After a migration: give the login the password of the settings, which a new SECRET_KEY changes."""
    from django.conf import settings

    from infra.rls import LOGIN, create_roles

    is_flush = "plan" not in details
    if is_flush or connections[using].settings_dict["USER"] == LOGIN:
        return
    with connections[using].cursor() as cursor:
        create_roles(cursor, login_password=settings.DATABASE_LOGIN_PASSWORD)
