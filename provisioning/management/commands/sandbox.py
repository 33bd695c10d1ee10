"""`manage.py sandbox`: every platform simulated, on this machine only."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from integrations.sandbox.server import CannotServe, Options, Servers, serve

DNS_OFFSET, POST_OFFSET = 3, 7  # as config/demo.py and the settings have it


class Command(BaseCommand):
    """Runs the simulated platforms until it is stopped, and keeps what they hold in a file."""

    help = "Run the simulated platforms (Zapmail, PlusVibe, HeyReach, Stripe, mail, DNS) on this machine."
    requires_system_checks: tuple[str, ...] = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--port", type=int, default=9100, help="platforms and operator's page")
        parser.add_argument("--control-port", type=int, default=9101, help="control plane")
        parser.add_argument("--mail-port", type=int, default=9102, help="mail server (SMTP)")
        parser.add_argument("--dns-port", type=int, help="name servers (UDP and TCP), four ports; default: --port + 3")
        parser.add_argument(
            "--post-port", type=int, help="the mailboxes' SMTP and IMAP, three ports; default: --port + 7"
        )
        parser.add_argument("--host", default="127.0.0.1", help="a loopback address")
        parser.add_argument("--state", type=Path, default=Path("var/sandbox.state"), help="where the world is kept")
        parser.add_argument("--speed", type=float, default=60.0, help="virtual seconds per second")
        parser.add_argument("--seed", type=int, default=1, help="same seed, same durations and same faults")
        parser.add_argument("--profile", choices=("demo", "none"), default="demo", help="which faults are on")
        parser.add_argument("--behind", type=float, default=0.0, help="seconds that a new world's clocks stand back")
        parser.add_argument("--webhook-url", default="", help="where Stripe's webhooks go")

    def handle(self, *args: Any, **options: Any) -> None:
        names = Options.__dataclass_fields__
        for name, offset in (("dns_port", DNS_OFFSET), ("post_port", POST_OFFSET)):
            if options[name] is None:
                options[name] = options["port"] + offset if options["port"] else 0
        chosen = Options(**{name: value for name, value in options.items() if name in names})
        mode = str(getattr(settings, "PLATFORM_MODE", os.environ.get("PLATFORM_MODE", "sandbox")))
        stopped = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stopped.set())
        try:
            serve(chosen, {**os.environ, "PLATFORM_MODE": mode}, until=stopped, ready=self.announce)
        except CannotServe as error:
            raise CommandError(str(error)) from error

    def announce(self, servers: Servers) -> None:
        """Say where everything is."""
        options = servers.options
        self.stdout.write(
            f"Simulated platforms at {servers.public_url}/ (nothing real), control plane on port "
            f"{options.control_port}, mail on port {options.mail_port}, "
            f"name servers on {', '.join(f'{port} ({name})' for name, port in servers.dns.ports.items())}, "
            f"the mailboxes' doors on {', '.join(f'{port} ({name})' for name, port in servers.post.ports.items())}.\n"
            f"Seed {servers.sandbox.world.seed}, speed {options.speed:g}, faults: {servers.sandbox.world.profile}.",
        )
        self.stdout.flush()
