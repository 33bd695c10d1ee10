"""The one table of platforms, and settings from a plain mapping."""

from __future__ import annotations

import pytest

from config.env import SANDBOX_CREDENTIALS
from integrations import registry
from integrations.http.errors import NotConfigured
from integrations.http.redact import redact

COMPLETE = {
    "ZAPMAIL_API_KEY": "sandbox-zapmail-key",
    "PLUSVIBE_API_KEY": "sandbox-plusvibe-key",
    "PLUSVIBE_AGENCY_WORKSPACE_ID": "65f0c0ffee00000000000001",
    "HEYREACH_API_KEY": "sandbox-heyreach-key",
    "WARMFORGE_API_KEY": "sandbox-warmforge-key",
    "SALESFORGE_API_KEY": "sandbox-salesforge-key",
    "INFRAFORGE_API_KEY": "sandbox-infraforge-key",
    "CLOUDFLARE_API_TOKEN": "sandbox-cloudflare-token",
    "CLOUDFLARE_ACCOUNT_ID": "5a4db0c05a4db0c05a4db0c05a4db0c0",
    "GODADDY_API_TOKEN": "gd_pat_sandbox-godaddy-token",
    "GOOGLE_WORKSPACE_SERVICE_ACCOUNT": SANDBOX_CREDENTIALS["GOOGLE_WORKSPACE_SERVICE_ACCOUNT"],
    "GOOGLE_WORKSPACE_ADMIN": "admin@operator.example",
    "SMARTLEAD_API_KEY": "sandbox-smartlead-key",
}


def test_clients_are_built_from_a_mapping() -> None:
    clients = registry.build_clients({**COMPLETE, "ZAPMAIL_API_URL": "http://127.0.0.1:9100/zapmail/api/"})
    assert clients.zapmail.wallet_balance().request.url == "http://127.0.0.1:9100/zapmail/api/v2/wallet/balance"
    assert clients.plusvibe.settings.base_url == "https://api.plusvibe.ai/api/v1"
    assert clients.heyreach is clients.heyreach


def test_every_row_of_the_table_builds_its_client() -> None:
    for row in registry.PLATFORMS:
        client = row.client(row.settings(COMPLETE))
        assert type(client) is type(getattr(registry.build_clients(COMPLETE), row.slug))
        assert client.settings.base_url == row.base_url
        assert registry.platform(row.slug) is row


def test_a_missing_key_is_noticed_when_the_client_is_used() -> None:
    clients = registry.build_clients({"ZAPMAIL_API_KEY": "k-123456"})
    assert clients.zapmail
    with pytest.raises(NotConfigured, match="HEYREACH_API_KEY"):
        _ = clients.heyreach


def test_missing_names_what_live_mode_needs() -> None:
    assert registry.missing(COMPLETE) == ()
    assert registry.missing({**COMPLETE, "PLUSVIBE_API_KEY": " "}) == ("PLUSVIBE_API_KEY",)
    assert len(registry.missing({})) == 12


def test_neither_clients_nor_settings_show_a_key() -> None:
    clients = registry.build_clients(COMPLETE)
    assert "sandbox-zapmail-key" not in repr(clients) + repr(clients.zapmail.settings)
    assert "sandbox-zapmail-key" not in redact("refused sandbox-zapmail-key")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ZAPMAIL_API_URL", "ftp://x"),
        ("ZAPMAIL_API_URL", "https://"),
        ("ZAPMAIL_API_URL", "https://x/?key=1"),
        ("ZAPMAIL_API_URL", "https://user:pass@x/"),
        ("ZAPMAIL_API_URL", "https://x:99999/"),
        ("ZAPMAIL_API_KEY", "key\r\nx-other: 1"),
        ("ZAPMAIL_API_KEY", "k\u00e9y"),
        ("ZAPMAIL_DNS_SHIELD", "perhaps"),
        ("ZAPMAIL_PAGE_SIZE", "0"),
        ("ZAPMAIL_LIST_LAG_SECONDS", "nan"),
        ("INFRAFORGE_BULK_DNS_BY", "number"),
        ("INFRAFORGE_PRESERVE_SPF", "perhaps"),
        ("INFRAFORGE_SMTP_PORT", "smtps"),
        ("CLOUDFLARE_TTL", "30"),
        ("GODADDY_API", "v2"),
        ("GODADDY_PHONE_AS", "number"),
        ("GODADDY_API_TOKEN", "t\u00f6ken-1"),
        ("CLOUDFLARE_PAGE_SIZE", "0"),
        ("SMARTLEAD_PAGE_SIZE", "101"),
        ("SMARTLEAD_OAUTH_TYPES", "google"),
        ("SMARTLEAD_CLIENT_ID", "white"),
    ],
)
def test_settings_that_make_no_sense(name: str, value: str) -> None:
    with pytest.raises(NotConfigured, match=name) as caught:
        _ = getattr(registry.build_clients({**COMPLETE, name: value}), name.partition("_")[0].lower())
    assert value not in str(caught.value)


def test_vendor_unknowns_are_settings() -> None:
    clients = registry.build_clients(
        {
            **COMPLETE,
            "PLUSVIBE_CLIENT_PERMISSIONS": "FULL_ACCESS, UNIBOX_FULL_ACCESS",
            "PLUSVIBE_SEND_NAMES": "yes",
            "ZAPMAIL_PURCHASE_COUNTS_AS_SEARCH": "1",
            "ZAPMAIL_PROVIDER": "microsoft",
            "INFRAFORGE_BULK_DNS_BY": "Name",
            "INFRAFORGE_PRESERVE_SPF": "no",
        }
    )
    assert clients.plusvibe.settings.client_permissions == ("FULL_ACCESS", "UNIBOX_FULL_ACCESS")
    assert clients.plusvibe.settings.send_names
    assert clients.zapmail.settings.purchase_counts_as_search
    assert clients.zapmail.settings.provider == "MICROSOFT"
    assert clients.infraforge.settings.bulk_dns_by == "name"
    assert clients.infraforge.settings.preserve_spf is False


class TestBudgets:
    def test_defaults_are_the_lower_figures(self) -> None:
        figures = {budget.name: (budget.limit, budget.window) for budget in registry.budgets({})}
        assert figures == {
            "zapmail.general": (20, 60.0),
            "zapmail.search": (10, 1800.0),
            "plusvibe.general": (5, 1.0),
            "heyreach.general": (240, 60.0),
            "warmforge.general": (4, 1.0),
            "salesforge.general": (4, 1.0),
            "infraforge.general": (4, 1.0),
            "cloudflare.general": (105, 30.0),
            "cloudflare.zones": (25, 600.0),
            "godaddy.general": (50, 60.0),
            "google_workspace.general": (20, 1.0),
            "google_workspace.users": (8, 1.0),
            "smartlead.general": (10, 10.0),
            "smartlead.hour": (1000, 3600.0),
            "smartlead.reconnect": (3, 86_400.0),
            "dns.looks": (60, 60.0),
        }

    def test_settings_override(self) -> None:
        budgets = registry.budgets({"ZAPMAIL_GENERAL_LIMIT": "200", "ZAPMAIL_SEARCH_RESERVED_PAID": "1"})
        assert (budgets[0].limit, budgets[0].reserved_paid, budgets[1].reserved_paid) == (200, 80, 1)

    @pytest.mark.parametrize(
        "settings",
        [
            {"ZAPMAIL_GENERAL_LIMIT": "0"},
            {"ZAPMAIL_SEARCH_RESERVED_PAID": "11"},
            {"HEYREACH_GENERAL_WINDOW_SECONDS": "0"},
        ],
    )
    def test_figures_that_make_no_sense(self, settings: dict[str, str]) -> None:
        with pytest.raises(NotConfigured):
            registry.budgets(settings)

    def test_every_call_spends_known_budgets(self) -> None:
        from .verbs import VERBS

        known = {budget.name for budget in registry.budgets({})} - {registry.LOOKS.name}
        assert {name for verb in VERBS for name in verb.build().budgets} == known
