"""The product's own clients play the main job against the sandbox: neither side may misunderstand the other."""

from __future__ import annotations

from typing import Any, TypeVar

import pytest

from integrations.http.call import Call
from integrations.plusvibe import WarmupSettings
from integrations.registry import Clients, build_clients
from integrations.zapmail import NewMailbox
from tests.unit.sandbox.kit import BILLING, DAY, HOUR, Box

T = TypeVar("T")
NAME = "getexamplebrand.com"
REFERENCE = "Sample Student GTM-7K3F9Q"
SETTINGS = {
    "ZAPMAIL_API_URL": "http://sandbox.test/zapmail/api",
    "ZAPMAIL_API_KEY": "sandbox-zapmail-key",
    "PLUSVIBE_API_URL": "http://sandbox.test/plusvibe/api/v1",
    "PLUSVIBE_API_KEY": "sandbox-plusvibe-key",
    "PLUSVIBE_AGENCY_WORKSPACE_ID": "65f0c0ffee00000000000001",
    "HEYREACH_API_URL": "http://sandbox.test/heyreach/api/public",
    "HEYREACH_API_KEY": "sandbox-heyreach-key",
}
POSITIONS: list[dict[str, Any]] = [
    {},
    {"zapmail_bulk_nesting": "data", "zapmail_bulk_status_case": "lower", "zapmail_prices_as": "string"},
    {"zapmail_workspaces_as": "array", "zapmail_counters_as": "number", "zapmail_export_id": "present"},
    {"zapmail_dmarc_reply": "empty", "zapmail_create_mailboxes_status": 202},
    {"plusvibe_account_id": "_id", "plusvibe_updated_ids": "data", "plusvibe_create_client_reply": "data"},
    {"plusvibe_account_id": "both", "plusvibe_flags_as": "boolean", "plusvibe_bulk_update_reply": "empty"},
    {"heyreach_optional_members": "missing"},
]


class Play:
    """Executes calls as the engine would: send, classify, parse."""

    def __init__(self, **switches: Any) -> None:
        self.box = Box(**switches)
        self.clients: Clients = build_clients(SETTINGS)
        self.transport = self.box.sandbox.transport()

    def __call__(self, call: Call[T]) -> T:
        raw = self.transport.send(call)
        problem = call.classify(raw)
        if problem is not None:
            raise problem
        return call.parse(raw)


@pytest.mark.parametrize("switches", POSITIONS, ids=lambda switches: "-".join(switches) or "defaults")
def test_the_main_job_goes_through_in_every_form_of_answer(switches: dict[str, Any]) -> None:
    play = Play(**switches)
    zapmail, plusvibe, heyreach = play.clients.zapmail, play.clients.plusvibe, play.clients.heyreach
    offer = play(zapmail.check_domains([NAME]))[0]
    assert (offer.available, offer.price_cents, offer.renewal_cents) == (True, 1299, 1299)
    workspace = play(zapmail.create_workspace(REFERENCE, BILLING)).id
    assert workspace in [row.id for row in play(zapmail.list_workspaces("GTM-7K3F9Q")).workspaces]
    play(zapmail.buy_mailbox_slots(workspace, 2, baseline=0, target=2))
    play(zapmail.buy_domains(workspace, {NAME: 1299}))
    play.box.sandbox.advance(HOUR)
    domain = play(zapmail.list_domains(workspace, NAME)).domains[0]
    assert domain.dns_ready
    play(zapmail.set_dmarc(workspace, {NAME: domain.id}, "dmarc@ops.example"))
    wanted = (NewMailbox("sample", "Sample", "Student"), NewMailbox("s.student", "Sample", "Student"))
    play(zapmail.create_mailboxes(workspace, {NAME: (domain.id, wanted)}))
    play.box.sandbox.advance(HOUR)
    boxes = play(zapmail.list_mailboxes(workspace))
    assert (boxes.purchased, boxes.available, [box.active for box in boxes.mailboxes]) == (2, 0, [True, True])
    assert play(zapmail.list_domains(workspace)).domains[0].dmarc_applied

    sending = play(plusvibe.create_workspace(REFERENCE)).id
    login = play(plusvibe.create_client(sending, "student@example.com", "Sample", "Student", "Sample GTM"))
    assert play(plusvibe.list_clients(sending))[0].sees(sending)
    play(zapmail.register_sender(workspace, login.email, login.password.open()))
    assert [row.error for row in play(zapmail.list_senders(workspace))] == [""]
    play(zapmail.export_mailboxes(workspace, {box.address: box.id for box in boxes.mailboxes}))
    play.box.sandbox.advance(HOUR)
    accounts = {row.email: row.id for row in play(plusvibe.list_accounts(sending)).accounts}
    assert sorted(accounts) == [f"s.student@{NAME}", f"sample@{NAME}"]
    play(plusvibe.update_accounts(sending, accounts, WarmupSettings()))
    play(plusvibe.set_warmup(sending, accounts, on=True))
    for account in play(plusvibe.list_accounts(sending)).accounts:
        assert (account.warming, account.settings.differing(WarmupSettings()), account.analytics) == (True, (), None)
    play.box.sandbox.advance(2 * DAY)
    analytics = play(plusvibe.list_accounts(sending)).accounts[0].analytics
    assert analytics is not None
    assert analytics.health is not None

    made = play(heyreach.create_list(f"Prospects {REFERENCE}"))
    assert [row.id for row in play(heyreach.find_lists("GTM-7K3F9Q")).lists] == [made.id]
    assert {entry.student_ref for entry in play.box.sandbox.log if entry.items} <= {"GTM-7K3F9Q", ""}
    assert {entry.verb for entry in play.box.sandbox.log} >= {"buy_domains", "create_client", "set_warmup"}
    assert "unknown" not in {entry.verb for entry in play.box.sandbox.log}


def test_our_budgets_are_the_limits_that_the_sandbox_counts() -> None:
    from integrations.registry import budgets
    from integrations.sandbox.switches import Switches

    limits = {budget.name: budget.limit for budget in budgets(SETTINGS)}
    counted = Switches()
    assert limits["zapmail.general"] <= counted.zapmail_general_per_minute
    assert limits["zapmail.search"] <= counted.zapmail_search_per_30_min
    assert limits["plusvibe.general"] <= counted.plusvibe_per_second
    assert limits["heyreach.general"] <= counted.heyreach_per_minute
    assert limits["infraforge.general"] <= counted.infraforge_per_second
    assert limits["warmforge.general"] <= counted.warmforge_per_second
    assert limits["salesforge.general"] <= counted.salesforge_per_second
    assert 300 / 30 * limits["cloudflare.general"] <= counted.cloudflare_per_5_min
    assert limits["cloudflare.zones"] <= counted.cloudflare_zones_per_10_min
    assert limits["godaddy.general"] <= counted.godaddy_per_minute
    assert limits["smartlead.general"] <= counted.smartlead_per_2_seconds
    assert 60 / 10 * limits["smartlead.general"] <= counted.smartlead_per_minute
    assert limits["smartlead.hour"] <= counted.smartlead_per_hour
    assert limits["smartlead.reconnect"] <= counted.smartlead_reconnects_per_day
