"""The whole product on this machine: our pages and the simulated platforms, each on a loopback port of its own.

The pages are served by threads with connections of their own, which begin powerless as in production. What a worker
would do is done by the test, in its own thread and over real HTTP, so that nothing has to be waited for.
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from django.conf import settings
from django.db import connection
from django.test import Client, override_settings
from playwright.sync_api import BrowserContext
from pytest_django.live_server_helper import LiveServer

from billing import gateway, prices
from config.env import platform_settings
from infra import rls
from infra.dashboard import progress
from infra.models import Tier, User
from integrations import registry
from integrations.sandbox import ManualClock, Sandbox
from integrations.sandbox.server import Options, Servers
from provisioning.engine import budget, doorbell, runner
from tests import harness
from tests.integration.world import World, starter

KEPT = ("django_migrations", "django_content_type", "auth_permission")  # written by migrations, not by tests
BELLS = ("names", "webhooks", "checkouts", "refunds")


@dataclass(frozen=True)
class House:
    """Where the pages and the sandbox are, and the work that a worker would do."""

    site: str
    servers: Servers
    undo: contextlib.ExitStack  # what one test has changed for all

    @property
    def sandbox(self) -> Sandbox:
        return self.servers.sandbox

    @property
    def sandbox_url(self) -> str:
        return self.servers.public_url

    @property
    def world(self) -> World:
        return World(self.sandbox, runner.default_workshop())

    def empty(self) -> None:
        """Begin anew: no rows but the packages, nothing at the platforms, and the time is that of the machine."""
        empty_tables()
        rls.set_role("worker")
        self.sandbox.clock = ManualClock()  # Stripe goes by it: a story of weeks is not the next one's past
        self.sandbox.reset()
        _clear_caches()
        values = settings.PLATFORMS
        budget.synchronise(
            [
                budget.Limit(one.name, one.limit, one.window, {"paid": one.reserved_paid})
                for one in registry.budgets(values)
            ],
            {row.slug: 8 for row in registry.PLATFORMS},
        )
        offer_packages()
        prices.sync_prices(actor="test")

    def admit(self, context: BrowserContext, person: User) -> None:
        """Let a person be signed in, who has come through the sign-in page some other time."""
        client = Client()
        client.force_login(person)
        name = settings.SESSION_COOKIE_NAME
        context.add_cookies([{"name": name, "value": client.cookies[name].value, "url": self.site}])

    def drain(self) -> None:
        """Do what is due besides building: names to ask for, webhooks, refunds, open checkouts."""
        for bell in BELLS:
            doorbell.drain(bell)

    def build(self, until: Callable[[], bool], *, hours: float = 24) -> None:
        """Build what is paid for, letting time pass, until it is so."""
        self.drain()
        self.world.run_until(until, hours=hours)


def offer_packages() -> None:
    """Offer the three packages of the `zapmail` stack."""
    starter()
    for slug, domains, mailboxes, setup, monthly in (("growth", 5, 10, 14700, 7700), ("scale", 10, 20, 24700, 14700)):
        Tier.objects.create(
            slug=slug,
            name=slug.title(),
            stack="zapmail",
            domain_count=domains,
            mailbox_count=mailboxes,
            setup_fee_cents=setup,
            monthly_fee_cents=monthly,
            sort_order=mailboxes,
        )


@contextlib.contextmanager
def open_house() -> Iterator[House]:
    """Serve everything while the context lasts, and leave the database empty."""
    with contextlib.ExitStack() as stack:
        site = LiveServer("127.0.0.1")
        stack.callback(site.stop)
        webhooks = f"{site.url}/billing/webhook/"
        servers = Servers(
            Options(port=0, control_port=0, mail_port=0, dns_port=0, post_port=0, profile="none", webhook_url=webhooks),
            {},
        )
        servers.sandbox.clock = ManualClock()
        servers.start()
        stack.callback(servers.stop)
        stack.enter_context(_settings(site.url, servers.public_url))
        stack.callback(_clear_caches)
        stack.callback(empty_tables)
        house = House(site.url, servers, stack.enter_context(contextlib.ExitStack()))
        house.empty()
        yield house


def _settings(site: str, sandbox: str) -> contextlib.AbstractContextManager[object]:
    policy = copy.deepcopy(settings.CONTENT_SECURITY_POLICY)
    policy["DIRECTIVES"]["form-action"] = [*policy["DIRECTIVES"]["form-action"][:1], sandbox]
    platforms = platform_settings(sandbox_url=sandbox)
    return override_settings(
        SITE_URL=site,
        ALLOWED_HOSTS=["127.0.0.1", "testserver"],
        CSRF_TRUSTED_ORIGINS=[site],
        CONTENT_SECURITY_POLICY=policy,
        PLATFORMS=platforms,
        STRIPE_API_URL=platforms["STRIPE_API_URL"],
        DATABASE_DEFAULT_ROLE="visitor",  # the pages' threads begin powerless; this thread takes on the worker's role
    )


def _clear_caches() -> None:
    gateway.current.cache_clear()
    runner.default_workshop.cache_clear()
    progress._measured.cache_clear()


def empty_tables() -> None:
    """Delete every row and let the clocks run as the wall clock does, as the owner: the runtime roles may not."""
    with harness.as_owner(), connection.cursor() as cursor:
        tables = [name for name in connection.introspection.table_names(cursor) if name not in KEPT]
        cursor.execute("TRUNCATE " + ", ".join(f'"{name}"' for name in tables) + " CASCADE")
