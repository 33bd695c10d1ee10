"""`manage.py smoke`: play a story against the running demo; exit 0 only when our rows and the sandbox agree."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from config import demo, smoke_batch, smoke_billing, smoke_forge, smoke_workspace
from config.smoke import STARTER, Package, SmokeFailed, Story
from infra import rls

BAR = 28
# By stack: its smallest package, and its stories.
STACKS: dict[str, tuple[Package, dict[str, Callable[[Story], None]]]] = {
    "zapmail": (STARTER, {"main": Story.main, **smoke_billing.STORIES}),
    "forge": (smoke_forge.IGNITION, {"main": smoke_forge.main, "own": smoke_forge.own, "hourly": smoke_forge.hourly}),
    "workspace": (
        smoke_workspace.OWN_DOMAINS,
        {"main": smoke_workspace.main, "own-accounts": smoke_workspace.own_accounts, "batch": smoke_batch.batch},
    ),
}


class Command(BaseCommand):
    help = "Play a story against the running demo through real HTTP, with a progress bar."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--story", choices=sorted({name for _, told in STACKS.values() for name in told}), default="main"
        )
        parser.add_argument("--stack", choices=sorted(STACKS), default="zapmail")
        parser.add_argument("--site", default=settings.SITE_URL, help="address of the running demo")
        parser.add_argument("--control", default=settings.SANDBOX_CONTROL_URL, help="the sandbox's control plane")

    def handle(self, *, story: str, stack: str, site: str, control: str, **options: Any) -> None:
        if not settings.SANDBOX:
            raise CommandError("The smoke test orders things; it does not run with PLATFORM_MODE=live.")
        package, stories = STACKS[stack]
        if story not in stories:
            raise CommandError(f"The stack {stack!r} has no story {story!r}; it has {', '.join(sorted(stories))}.")
        for name, address in (("demo", f"{site}/healthz"), ("sandbox", f"{control}/healthz")):
            if not demo.answers(address):
                raise CommandError(f"No {name} answers at {address}: start `make demo` first.")
        rls.set_role("worker")
        self.began = time.monotonic()
        try:
            stories[story](Story(site=site, control=control, say=self._say, package=package))
        except SmokeFailed as error:
            self.stdout.write("")
            raise CommandError(str(error)) from error
        except OSError as error:  # the errors of `requests` are such
            self.stdout.write("")
            raise CommandError(f"The demo at {site} stopped answering in mid-story: {type(error).__name__}.") from error
        self.stdout.write(
            self.style.SUCCESS(f"\nThe story {story!r} of {stack!r} passed in {time.monotonic() - self.began:.0f} s.")
        )

    def _say(self, share: float, sentence: str) -> None:
        filled = round(share * BAR)
        line = f"[{'#' * filled}{'.' * (BAR - filled)}] {share:4.0%} {time.monotonic() - self.began:5.1f} s  {sentence}"
        if sys.stdout.isatty():
            self.stdout.write(f"\r{line:<100}", ending="")
        else:
            self.stdout.write(line)
        self.stdout.flush()
