"""`manage.py create_demo_users`: the logins of the demo, whose passwords are public. In sandbox mode only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from infra.models import User


@dataclass(frozen=True)
class DemoUser:
    """A person of the demo. The password is public, hence worthless outside it."""

    email: str
    password: str
    first_name: str
    last_name: str


STUDENT = DemoUser("student@demo.example", "demo-student", "Sam", "Rivers")
SECOND_STUDENT = DemoUser("second@demo.example", "demo-second", "Robin", "Hale")
OPERATOR = DemoUser("operator@demo.example", "demo-operator", "Olive", "Park")


class Command(BaseCommand):
    help = "Create the demo's students and operator, or give them their passwords and rights back."

    def handle(self, **options: Any) -> None:
        if not settings.SANDBOX:
            raise CommandError("Demo users have public passwords; they are made in sandbox mode only.")
        _make(STUDENT, is_enrolled=True)
        _make(SECOND_STUDENT, is_enrolled=True)
        _make(OPERATOR, is_staff=True, is_superuser=True)
        self.stdout.write(f"{STUDENT.email}, {SECOND_STUDENT.email} and {OPERATOR.email} are ready.")


def _make(person: DemoUser, **rights: bool) -> None:
    names = {"first_name": person.first_name, "last_name": person.last_name}
    user, _ = User.objects.update_or_create(email=person.email, defaults=names | rights | {"is_active": True})
    if not user.check_password(person.password):
        user.set_password(person.password)
        user.save(update_fields=["password"])
