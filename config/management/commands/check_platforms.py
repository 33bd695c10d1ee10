"""`manage.py check_platforms`: before going live, ask every platform what the operator's credentials may do there."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.conf import settings
from django.core.mail import get_connection
from django.core.management.base import BaseCommand, CommandError

from billing import gateway
from config.env import STACK_CREDENTIALS
from integrations import registry
from integrations.http.errors import PlatformError
from provisioning import rights
from provisioning.engine.runner import default_workshop
from provisioning.management.commands.worker import prepare
from provisioning.rights import Right
from provisioning.stacks import STACKS

TITLES = {row.slug: row.title for row in registry.PLATFORMS} | {"stripe": "Stripe", "mail": "Mail"}
NO_PRICE = "gtm-check"  # the lookup key of no price


class Command(BaseCommand):
    help = (
        "Make one free read for each right at each platform of the enabled stacks, and say what works. Changes nothing."
    )

    def handle(self, **options: Any) -> None:
        prepare()
        wrong, untried, last = 0, 0, ""
        for right in self._all():
            if right.platform != last:
                last = right.platform
                self.stdout.write(TITLES[last])
            if not right.is_tried:
                untried += 1
                self.stdout.write(f"  open   {right.name}: {right.problem}")
            elif right.problem:
                wrong += 1
                self.stdout.write(self.style.ERROR(f"  wrong  {right.name}: {right.problem}"))
            else:
                self.stdout.write(f"  works  {right.name}")
        if wrong:
            raise CommandError(f"{wrong} of these do not work.")
        rest = f" {untried} could not be tried." if untried else ""
        self.stdout.write(self.style.SUCCESS(f"Nothing is wrong.{rest}"))

    def _all(self) -> Iterator[Right]:
        workshop = default_workshop()
        stacks = {key: STACKS[key] for key in settings.ENABLED_STACKS}
        needed = {name for key in stacks for name in STACK_CREDENTIALS[key]}
        unseen = []
        for slug, is_there in rights.wanted(stacks, settings.PLATFORMS, needed):
            if is_there:
                yield from rights.rights_of(slug, workshop)
                unseen.append(f"{TITLES[slug]}: {rights.UNSEEN[slug]}")
            elif slug not in {one for stack in stacks.values() for one in (*stack.connections, *stack.helpers)}:
                yield Right(slug, "have credentials", "a setting is missing; see `manage.py check`")
            else:
                self.stdout.write(f"{TITLES[slug]}\n  left out: no account of yours; each student connects one")
        yield _stripe()
        yield from rights.mail_rights(workshop)
        yield _letters()
        self.stdout.write("What only a change would show:\n" + "\n".join(f"  {line}" for line in unseen))


def _stripe() -> Right:
    try:
        gateway.current().prices([NO_PRICE])
    except PlatformError as error:
        return Right("stripe", "read prices", str(error))
    return Right("stripe", "read prices")


def _letters() -> Right:
    """Log in where letters go out, without sending one."""
    server = get_connection()
    try:
        server.open()
        server.close()
    except OSError as error:  # the errors of smtplib are such
        return Right("mail", "log in where letters are sent", type(error).__name__)
    return Right("mail", "log in where letters are sent")
