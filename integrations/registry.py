"""The one table of platforms, and the one place that builds clients."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

from . import (
    cloudflare,
    godaddy,
    google_workspace,
    heyreach,
    infraforge,
    plusvibe,
    salesforge,
    smartlead,
    warmforge,
    zapmail,
)
from .cloudflare import CloudflareClient, CloudflareSettings
from .godaddy import GodaddyClient, GodaddySettings
from .google_workspace import GoogleWorkspaceClient, GoogleWorkspaceSettings
from .heyreach import HeyreachClient, HeyreachSettings
from .http.errors import NotConfigured
from .http.options import Options
from .infraforge import InfraforgeClient, InfraforgeSettings
from .plusvibe import PlusvibeClient, PlusvibeSettings
from .salesforge import SalesforgeClient, SalesforgeSettings
from .smartlead import SmartleadClient, SmartleadSettings
from .warmforge import WarmforgeClient, WarmforgeSettings
from .zapmail import ZapmailClient, ZapmailSettings


@dataclass(frozen=True, slots=True)
class Budget:
    """A rate budget: `limit` permits in any `window` vendor seconds, `reserved_paid` of them for paid work only.

    Figures are settings: <NAME>_LIMIT, <NAME>_WINDOW_SECONDS, <NAME>_RESERVED_PAID, as in ZAPMAIL_SEARCH_LIMIT.
    """

    name: str
    limit: int
    window: float
    reserved_paid: int = 0

    def with_settings(self, values: Mapping[str, object]) -> Budget:
        """Return this budget with the figures of the settings. Raises NotConfigured for figures that make no sense."""
        options = Options(self.name.partition(".")[0], values)
        prefix = self.name.upper().replace(".", "_")
        limit = options.whole(f"{prefix}_LIMIT", self.limit, least=1)
        window = options.seconds(f"{prefix}_WINDOW_SECONDS", self.window)
        # A lower limit shrinks the default share with it: what is reserved must leave something for everybody else.
        share = self.reserved_paid * limit // self.limit
        reserved = options.whole(f"{prefix}_RESERVED_PAID", share)
        if reserved > limit or window <= 0:
            raise NotConfigured(f"{prefix}: reserved share or window make no sense", platform=options.platform)
        return Budget(self.name, limit, window, reserved)


@dataclass(frozen=True, slots=True)
class Platform:
    """A row of the table. `secrets` and `needs` name settings: credentials, and what else has no default."""

    slug: str
    title: str
    base_url: str
    client: Callable[[Any], Any]
    settings: Callable[[Mapping[str, object]], Any]
    budgets: tuple[Budget, ...]
    secrets: tuple[str, ...]
    needs: tuple[str, ...] = ()

    @property
    def url_setting(self) -> str:
        return f"{self.slug.upper()}_API_URL"


# The lower of the figures known: all students share one key, and being too slow is cheaper than being locked out.
PLATFORMS: Final[tuple[Platform, ...]] = (
    Platform(
        slug="zapmail",
        title="Zapmail",
        base_url=zapmail.BASE_URL,
        client=ZapmailClient,
        settings=ZapmailSettings.from_mapping,
        budgets=(
            Budget(zapmail.GENERAL, limit=20, window=60.0, reserved_paid=8),
            Budget(zapmail.SEARCH, limit=10, window=1800.0, reserved_paid=4),
        ),
        secrets=("ZAPMAIL_API_KEY",),
    ),
    Platform(
        slug="plusvibe",
        title="PlusVibe",
        base_url=plusvibe.BASE_URL,
        client=PlusvibeClient,
        settings=PlusvibeSettings.from_mapping,
        budgets=(Budget(plusvibe.GENERAL, limit=5, window=1.0, reserved_paid=3),),
        secrets=("PLUSVIBE_API_KEY",),
        needs=("PLUSVIBE_AGENCY_WORKSPACE_ID",),
    ),
    Platform(
        slug="heyreach",
        title="HeyReach",
        base_url=heyreach.BASE_URL,
        client=HeyreachClient,
        settings=HeyreachSettings.from_mapping,
        budgets=(Budget(heyreach.GENERAL, limit=240, window=60.0, reserved_paid=120),),
        secrets=("HEYREACH_API_KEY",),
    ),
    # Neither publishes a limit: what these two take is a guess on the careful side.
    Platform(
        slug="warmforge",
        title="Warmforge",
        base_url=warmforge.BASE_URL,
        client=WarmforgeClient,
        settings=WarmforgeSettings.from_mapping,
        budgets=(Budget(warmforge.GENERAL, limit=4, window=1.0, reserved_paid=2),),
        secrets=("WARMFORGE_API_KEY",),
    ),
    Platform(
        slug="salesforge",
        title="Salesforge",
        base_url=salesforge.BASE_URL,
        client=SalesforgeClient,
        settings=SalesforgeSettings.from_mapping,
        budgets=(Budget(salesforge.GENERAL, limit=4, window=1.0, reserved_paid=2),),
        secrets=("SALESFORGE_API_KEY",),
    ),
    # Nothing is published for it: two at a time, a quarter of a second apart, and the same again for paid work.
    Platform(
        slug="infraforge",
        title="InfraForge",
        base_url=infraforge.BASE_URL,
        client=InfraforgeClient,
        settings=InfraforgeSettings.from_mapping,
        budgets=(Budget(infraforge.GENERAL, limit=4, window=1.0, reserved_paid=2),),
        secrets=("INFRAFORGE_API_KEY",),
    ),
    # 1,200 in five minutes, people at the dashboard included, and whoever exceeds it is shut out for five more: 3.5 a
    # second leave them a reserve, in short windows, so that no burst uses up the whole of it.
    Platform(
        slug="cloudflare",
        title="Cloudflare",
        base_url=cloudflare.BASE_URL,
        client=CloudflareClient,
        settings=CloudflareSettings.from_mapping,
        budgets=(
            Budget(cloudflare.GENERAL, limit=105, window=30.0, reserved_paid=60),
            Budget(cloudflare.ZONES, limit=25, window=600.0),
        ),
        secrets=("CLOUDFLARE_API_TOKEN",),
        needs=("CLOUDFLARE_ACCOUNT_ID",),
    ),
    # 60 a minute, by one reading for each endpoint and by another for all. No secret is needed to begin with: buying
    # goes by a token of the student's, or not at all.
    Platform(
        slug="godaddy",
        title="GoDaddy",
        base_url=godaddy.BASE_URL,
        client=GodaddyClient,
        settings=GodaddySettings.from_mapping,
        budgets=(Budget(godaddy.GENERAL, limit=50, window=60.0, reserved_paid=25),),
        secrets=(),
    ),
    # The page knows of 2,400 a minute for each user of a project, of a limit of the account that nobody publishes, and of
    # about ten users a second in older texts. A student's own account spends the same: slower than it need be, never too fast.
    Platform(
        slug="google_workspace",
        title="Google Workspace",
        base_url=google_workspace.BASE_URL,
        client=GoogleWorkspaceClient,
        settings=GoogleWorkspaceSettings.from_mapping,
        budgets=(
            Budget(google_workspace.GENERAL, limit=20, window=1.0, reserved_paid=10),
            Budget(google_workspace.USERS, limit=8, window=1.0),
        ),
        secrets=("GOOGLE_WORKSPACE_SERVICE_ACCOUNT",),
        needs=("GOOGLE_WORKSPACE_ADMIN",),
    ),
    # Three readings: 10 in 2 s; 60 a minute and 1,000 an hour on their plan "Standard"; 200 a minute as callers see it, the
    # account's own sending included. One a second, ten at once, keeps all of them with the hour beside it.
    Platform(
        slug="smartlead",
        title="Smartlead",
        base_url=smartlead.BASE_URL,
        client=SmartleadClient,
        settings=SmartleadSettings.from_mapping,
        budgets=(
            Budget(smartlead.GENERAL, limit=10, window=10.0, reserved_paid=5),
            Budget(smartlead.HOUR, limit=1000, window=3600.0, reserved_paid=500),
            Budget(smartlead.RECONNECT, limit=3, window=86_400.0),
        ),
        secrets=("SMARTLEAD_API_KEY",),
    ),
)


# No platform's: how often a domain's name servers are looked at outside of runs, for all students together. One look is
# some dozens of questions, to servers that others pay for.
LOOKS = Budget("dns.looks", limit=60, window=60.0)

_BY_SLUG: Final = {row.slug: row for row in PLATFORMS}


def platform(slug: str) -> Platform:
    """Return a platform by slug. Raises KeyError."""
    return _BY_SLUG[slug]


def budgets(values: Mapping[str, object]) -> tuple[Budget, ...]:
    """Return every rate budget with the figures of the settings. Raises NotConfigured."""
    every = (*(budget for row in PLATFORMS for budget in row.budgets), LOOKS)
    return tuple(budget.with_settings(values) for budget in every)


def missing(values: Mapping[str, object]) -> tuple[str, ...]:
    """Return the names of settings that have no default and are not set."""
    return tuple(
        name for row in PLATFORMS for name in (*row.secrets, *row.needs) if not str(values.get(name) or "").strip()
    )


@dataclass(frozen=True)
class Clients:
    """The clients, each built when first asked for. Raises NotConfigured then, not before."""

    values: Mapping[str, object] = field(repr=False)

    def with_own(self, values: Mapping[str, object]) -> Clients:
        """Return clients with some settings in the place of ours: those of an account of somebody's own.

        A secret comes as Hidden: it is no key of the installation, and is remembered for redaction while it is in use.
        """
        return Clients({**self.values, **values})

    @cached_property
    def zapmail(self) -> ZapmailClient:
        return ZapmailClient(ZapmailSettings.from_mapping(self.values))

    @cached_property
    def plusvibe(self) -> PlusvibeClient:
        return PlusvibeClient(PlusvibeSettings.from_mapping(self.values))

    @cached_property
    def heyreach(self) -> HeyreachClient:
        return HeyreachClient(HeyreachSettings.from_mapping(self.values))

    @cached_property
    def warmforge(self) -> WarmforgeClient:
        return WarmforgeClient(WarmforgeSettings.from_mapping(self.values))

    @cached_property
    def salesforge(self) -> SalesforgeClient:
        return SalesforgeClient(SalesforgeSettings.from_mapping(self.values))

    @cached_property
    def infraforge(self) -> InfraforgeClient:
        return InfraforgeClient(InfraforgeSettings.from_mapping(self.values))

    @cached_property
    def cloudflare(self) -> CloudflareClient:
        return CloudflareClient(CloudflareSettings.from_mapping(self.values))

    @cached_property
    def godaddy(self) -> GodaddyClient:
        return GodaddyClient(GodaddySettings.from_mapping(self.values))

    @cached_property
    def google_workspace(self) -> GoogleWorkspaceClient:
        return GoogleWorkspaceClient(GoogleWorkspaceSettings.from_mapping(self.values))

    @cached_property
    def smartlead(self) -> SmartleadClient:
        return SmartleadClient(SmartleadSettings.from_mapping(self.values))


def build_clients(settings: Mapping[str, object]) -> Clients:
    """Return the clients for a mapping of settings such as os.environ. Nothing is checked before a client is used."""
    return Clients(settings)
