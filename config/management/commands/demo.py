"""`manage.py demo`: everything on one machine, with simulated platforms. Ctrl-C stops all of it."""

from __future__ import annotations

import os
import signal
import sys
import time
from argparse import ArgumentParser
from pathlib import Path
from types import FrameType
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import connection

from config import demo
from config.history import BACK
from config.management.commands.create_demo_users import OPERATOR, SECOND_STUDENT, STUDENT
from infra.models import Provision

TIME_SCALE = "60"


class Command(BaseCommand):
    help = "Run sandbox, worker and web server together, with demo data. Ctrl-C stops them."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--port", type=int, default=int(os.environ.get("PORT", "8000")))
        parser.add_argument(
            "--sandbox-port",
            type=int,
            default=int(os.environ.get("SANDBOX_PORT", "9100")),
            help="platforms on this port, control plane, mail and name servers on the next nine",
        )

    def handle(self, *, port: int, sandbox_port: int, **options: Any) -> None:
        if not settings.SANDBOX:
            raise CommandError("The demo simulates every platform; it does not run with PLATFORM_MODE=live.")
        # SIGINT too: a shell that starts us in the background has it ignored.
        for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(name, _interrupt)
        self.started: list[demo.Service] = []
        try:
            with demo.only_one(settings.VAR_DIR / "demo.lock"):
                self._run(port, sandbox_port)
        except demo.DemoError as error:
            raise CommandError(str(error)) from error
        except KeyboardInterrupt:
            self._say("\nStopped. The next start finds everything again.")

    def _run(self, port: int, sandbox_port: int) -> None:
        demo.require_free_port(port, option="PORT")
        for offset in range(demo.SANDBOX_PORTS):
            demo.require_free_port(sandbox_port + offset, option="SANDBOX_PORT")
        scale = os.environ.get("PROVISIONING_TIME_SCALE", TIME_SCALE)
        environment = demo.demo_environment(port=port, sandbox_port=sandbox_port, time_scale=scale)
        sandbox, worker, web = _services(environment, port, sandbox_port)
        try:
            self._prepare(environment)
            has_prices = self._play(environment, sandbox_port)
            self._start(sandbox)
            if not has_prices:
                self._step("stripe_prices", "Prices at the simulated Stripe", environment)
            self._start(web)
            self._start(worker)
            demo.announce_in(settings.VAR_DIR / "demo.lock", environment["SITE_URL"])
            self._introduce(environment, float(scale))
            self._watch()
        finally:
            self._stop()

    def _prepare(self, environment: dict[str, str]) -> None:
        self._step("migrate", "Database", environment, "--no-input", "--verbosity=0")
        self._step("load_tiers", "Tiers", environment)
        self._step("create_demo_users", "Demo student and operator", environment)
        self._step("collectstatic", "Static files", environment, "--no-input", "--verbosity=0")

    def _play(self, environment: dict[str, str], sandbox_port: int) -> bool:
        """Let the second student's three weeks be played on platforms whose clock stands back: in a new demo, once.

        Until the play has come to its end, what the platforms hold lies in a file of another name, and the next start
        goes on with it. Returns whether it was played; the platforms have their prices then.
        """
        state = Path(settings.VAR_DIR) / "sandbox.state"
        draft = state.with_name("sandbox.state.played")
        if state.exists() or (_has_orders() and not draft.exists()):
            return False
        slowly = environment | {"PROVISIONING_TIME_SCALE": "1"}
        sandbox = _sandbox(slowly, sandbox_port, draft, "--profile=none", f"--behind={BACK}")
        self._start(sandbox)
        self._step("stripe_prices", "Prices at the simulated Stripe", slowly)
        try:
            self._step("play_history", "Second student, three weeks played", slowly)
        except demo.DemoError as error:  # the others need not wait for that
            self._say(f"  The second student's story broke off, and goes on from there. {error}")
        self.started.remove(sandbox)
        sandbox.stop()
        draft.with_name(f"{draft.name}.log").replace(state.with_name(f"{state.name}.log"))
        draft.replace(state)
        return True

    def _step(self, command: str, label: str, environment: dict[str, str], *arguments: str) -> None:
        began = time.monotonic()
        demo.run_step(_manage(command, *arguments), environment=environment)
        self._say(f"  {label} ({time.monotonic() - began:.1f} s)")

    def _start(self, service: demo.Service) -> None:
        began = time.monotonic()
        self.started.append(service)
        service.start()
        service.await_health()
        self._say(f"  {service.name.capitalize()} ({time.monotonic() - began:.1f} s)")

    def _watch(self) -> None:
        while True:
            time.sleep(0.5)
            for service in self.started:
                if service.ended():
                    self._say(f"The {service.name} ended and is started again; see {service.log_path}.")
                    service.restart()

    def _stop(self) -> None:
        # A second Ctrl-C must not leave half of them running.
        for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(name, signal.SIG_IGN)
        for service in reversed(self.started):
            service.stop()
        (settings.VAR_DIR / "demo.lock").write_text("")

    def _introduce(self, environment: dict[str, str], scale: float) -> None:
        self._say(
            f"""
GTM Infrastructure is running:  {environment["SITE_URL"]}/

  student    {STUDENT.email} / {STUDENT.password}
{SECOND if _is_played() else ""}  operator   {OPERATOR.email} / {OPERATOR.password}   ({environment["SITE_URL"]}/admin/)

Simulated: Zapmail, PlusVibe, HeyReach, InfraForge, Salesforge, Warmforge, Cloudflare, GoDaddy,
Google Workspace, Smartlead, Stripe, mail servers and DNS.
Nothing leaves this machine and nothing is charged.
  what they hold   {environment["SANDBOX_URL"]}/
  mails            {environment["SANDBOX_URL"]}/mail/
  the platforms' time runs {scale:g} times as fast as yours

Ctrl-C stops everything; the next start finds it again.
"""
        )

    def _say(self, text: str) -> None:
        self.stdout.write(text)
        self.stdout.flush()


SECOND = f"""\
  another    {SECOND_STUDENT.email} / {SECOND_STUDENT.password}
             (began with three weeks of warmup, one mailbox in bad health, and a payment that failed)
"""


def _is_played() -> bool:
    """Tell whether the second student has an order."""
    return _has_orders(student__email=SECOND_STUDENT.email)


def _has_orders(**of: str) -> bool:
    found = Provision.objects.filter(frozen_at__isnull=False, **of).exists()
    connection.close()  # nobody asks again for as long as the demo runs
    return found


def _sandbox(environment: dict[str, str], port: int, state: Path, *more: str) -> demo.Service:
    arguments = [
        f"--port={port}",
        f"--control-port={port + 1}",
        f"--mail-port={port + 2}",
        f"--dns-port={environment['SANDBOX_DNS_PORT']}",
        f"--post-port={environment['SANDBOX_POST_PORT']}",
        f"--state={state}",
        f"--speed={environment['PROVISIONING_TIME_SCALE']}",
    ]
    log_path = Path(settings.VAR_DIR) / "log" / "sandbox.log"
    health = f"{environment['SANDBOX_CONTROL_URL']}/healthz"
    return demo.Service("sandbox", _manage("sandbox", *arguments, *more), environment, log_path, health)


def _services(
    environment: dict[str, str], port: int, sandbox_port: int
) -> tuple[demo.Service, demo.Service, demo.Service]:
    data, logs = Path(settings.VAR_DIR), Path(settings.VAR_DIR) / "log"
    site = environment["SITE_URL"]
    gunicorn = [sys.executable, "-m", "gunicorn", "config.wsgi", f"--bind=127.0.0.1:{port}", *demo.GUNICORN]
    return (
        _sandbox(environment, sandbox_port, data / "sandbox.state", f"--webhook-url={site}/billing/webhook/"),
        # The site is ready when it has heard of a worker.
        demo.Service("worker", _manage("worker"), environment, logs / "worker.log", f"{site}/readyz"),
        demo.Service("web server", gunicorn, environment, logs / "web.log", f"{site}/healthz"),
    )


def _manage(*arguments: str) -> list[str]:
    return [sys.executable, str(Path(settings.BASE_DIR) / "manage.py"), *arguments]


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
