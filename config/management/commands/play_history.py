"""`manage.py play_history`: play the three weeks of the demo's second student. The demo calls it, before it starts."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from config.history import History, NotPlayed
from infra.models import Provision, User
from provisioning.management.commands.worker import prepare

from .create_demo_users import SECOND_STUDENT


class Command(BaseCommand):
    help = "Play the demo's second student against a sandbox whose clock stands three weeks back."

    def handle(self, **options: Any) -> None:
        if not settings.SANDBOX:
            raise CommandError("A history is played in sandbox mode only.")
        prepare()
        student = User.objects.get(email=SECOND_STUDENT.email)
        if Provision.objects.filter(frozen_at__isnull=False).exclude(student=student).exists():
            raise CommandError("There are orders already, and the clock cannot be set back for them.")
        try:
            order = History(student, settings.SANDBOX_CONTROL_URL).play()
        except NotPlayed as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"{student.email} is three weeks in: {order.reference}.")
