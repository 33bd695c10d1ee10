"""`manage.py set_time_scale`: let vendor time run as PROVISIONING_TIME_SCALE says. In sandbox mode only."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from infra import clock


class Command(BaseCommand):
    help = "Let the platforms' time run PROVISIONING_TIME_SCALE times as fast as the wall clock, from now on."

    def handle(self, **options: Any) -> None:
        if not settings.SANDBOX:
            raise CommandError("In live mode the platforms' time is the wall clock's.")
        if clock.scale() != settings.PROVISIONING_TIME_SCALE:
            clock.set_scale(settings.PROVISIONING_TIME_SCALE)
        self.stdout.write(f"Vendor time runs {settings.PROVISIONING_TIME_SCALE:g} times as fast.")
