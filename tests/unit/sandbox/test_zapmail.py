"""Section 6 of platforms/zapmail.md, "What the sandbox must reproduce": each heading below is one of its lines."""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import Any

import pytest

from integrations.sandbox import Wire
from integrations.sandbox.plusvibe import AGENCY
from tests.unit.sandbox.kit import BILLING, DAY, HOUR, Box, data

NAME = "getexamplebrand.com"


@pytest.fixture
def box() -> Box:
    return Box()


@pytest.fixture
def workspace(box: Box) -> str:
    return box.workspace()


def message(answer: Any) -> str:
    return str(answer.json()["message"])


# --- Shapes: envelope and envelope-free purchases; string counters; current and other workspaces; data.data; ... --


def test_shapes_envelope_of_ordinary_answers(box: Box) -> None:
    answer = box.zapmail("GET", "/v2/wallet/balance").json()
    assert answer == {
        "status": 200,
        "message": "Wallet balance fetched",
        "data": {"walletBalance": 5000.0, "autoRechargeEnabled": False, "autoRechargeDetails": None},
    }


def test_shapes_purchases_have_no_envelope_and_no_ids(box: Box, workspace: str) -> None:
    bought = box.buy(workspace, NAME).json()
    assert set(bought) == {"message", "invoiceLink"}
    assert set(box.slots(workspace, 2).json()) == {"message", "paymentLink"}


@pytest.mark.parametrize(("form", "expected"), [("string", "1"), ("number", 1)])
def test_shapes_counters_are_strings_by_default(box: Box, workspace: str, form: str, expected: object) -> None:
    box.sandbox.switches.set(zapmail_counters_as=form)
    box.buy(workspace, NAME)
    found = data(box.zapmail("GET", "/v2/workspaces", workspace=workspace, page=1, limit=10))
    assert found["currentWorkspace"]["domainCountGoogle"] == expected


def test_shapes_current_workspace_stands_apart_from_the_others(box: Box, workspace: str) -> None:
    found = data(box.zapmail("GET", "/v2/workspaces", workspace=workspace, page=1, limit=10))
    assert found["currentWorkspace"]["id"] == workspace
    assert workspace not in [row["id"] for row in found["workspaces"]]
    lonely = data(Box().zapmail("GET", "/v2/workspaces", page=1, limit=10))
    assert lonely["workspaces"] == []


def test_shapes_workspaces_as_a_plain_array_by_switch(box: Box, workspace: str) -> None:
    box.sandbox.switches.set(zapmail_workspaces_as="array")
    found = data(box.zapmail("GET", "/v2/workspaces", page=1, limit=10, contains="GTM-7K3F9Q"))
    assert [row["id"] for row in found] == [workspace]


def test_shapes_connection_requests_lie_under_data_data(box: Box, workspace: str) -> None:
    box.buy(workspace, NAME)
    assert data(box.zapmail("GET", "/v2/domains/connection-requests", workspace=workspace))["data"] == []
    box.sandbox.switches.set(zapmail_bought_in_connection_requests=True)
    found = data(box.zapmail("GET", "/v2/domains/connection-requests", workspace=workspace))
    assert [row["domainName"] for row in found["data"]] == [NAME]


def test_shapes_next_page_is_no_end_marker(box: Box, workspace: str) -> None:
    found = data(box.zapmail("GET", "/v2/domains", workspace=workspace, page=1, limit=10))
    assert (found["currentPage"], found["nextPage"], found["totalPages"]) == (1, 2, 1)


def test_shapes_mailbox_pages_count_domains(box: Box, workspace: str) -> None:
    box.active_mailboxes(workspace, "a", "b", domain="getone.com")
    box.active_mailboxes(workspace, "a", "b", domain="gettwo.com")
    found = data(box.zapmail("GET", "/v2/mailboxes/list", workspace=workspace, page=1, limit=1))
    assert (found["totalSearchedCount"], found["totalPages"]) == (2, 2)
    assert [len(row["mailboxes"]) for row in found["domains"]] == [2]


def test_shapes_contains_is_a_substring_filter(box: Box, workspace: str) -> None:
    box.buy(workspace, "acme.com", "getacme.com", "other.com")
    assert set(box.domains(workspace, contains="acme.com")) == {"acme.com", "getacme.com"}


def test_shapes_data_is_null_on_mailboxes_third_party_and_export(box: Box, workspace: str) -> None:
    ids = box.active_mailboxes(workspace, "sample")
    domain = box.mailboxes(workspace)[f"sample@{NAME}"]["domainId"]
    box.slots(workspace, 1)
    box.sandbox.advance(HOUR)
    assert data(box.ask_mailboxes(workspace, domain, NAME, "second")) is None
    assert data(box.register(workspace, *box.login_for(box.sending_workspace()))) is None
    assert data(box.export(workspace, ids)) is None


@pytest.mark.parametrize("nesting", ["top", "data"])
def test_shapes_both_nestings_of_the_bulk_search(box: Box, nesting: str) -> None:
    box.sandbox.switches.set(zapmail_bulk_nesting=nesting)
    answer = box.zapmail("POST", "/v2/domains/available-bulk", {"domainNames": [NAME]}).json()
    found = answer["data"] if nesting == "data" else answer
    assert found == {
        "domains": [
            {
                "domainName": NAME,
                "status": "AVAILABLE",
                "isPremiumDomain": False,
                "domainPrice": 12.99,
                "renewPrice": 12.99,
            },
        ],
        "total": 1,
        "available": 1,
        "unavailable": 0,
    }


def test_shapes_search_status_spelling_and_price_type_are_switches(box: Box) -> None:
    box.sandbox.switches.set(zapmail_bulk_status_case="lower", zapmail_prices_as="string")
    row = box.zapmail("POST", "/v2/domains/available-bulk", {"domainNames": [NAME]}).json()["domains"][0]
    assert (row["status"], row["domainPrice"]) == ("available", "12.99")


def test_shapes_search_takes_twenty_names_at_most(box: Box) -> None:
    names = [f"brand{n}.com" for n in range(21)]
    assert box.zapmail("POST", "/v2/domains/available-bulk", {"domainNames": names[:20]}).json()["total"] == 20
    assert box.zapmail("POST", "/v2/domains/available-bulk", {"domainNames": names}).status == 400


def test_shapes_the_export_id_is_a_switch() -> None:
    box = Box(zapmail_export_id="present")
    workspace, _, ids = box.exported("sample")
    assert data(box.export(workspace, ids)) == {"exportId": 2}


def test_shapes_the_dmarc_reply_is_a_switch(box: Box, workspace: str) -> None:
    domain_id = box.active_domain(workspace)
    body = {"domainIds": [domain_id], "email": "dmarc@ops.example", "contains": "", "status": [], "tagIds": []}
    box.sandbox.switches.set(zapmail_dmarc_reply="empty")
    assert box.zapmail("POST", "/v2/domains/dmarc", body, workspace=workspace).json() == {}


# --- Headers: key, workspace, provider; missing app, or no workspace on export status -> 400; null filters -> 422 --


@pytest.mark.parametrize("status", [401, 403])
def test_headers_a_wrong_or_revoked_key_is_refused(box: Box, status: int) -> None:
    box.sandbox.switches.set(zapmail_unauthorised_status=status)
    assert box.zapmail("GET", "/v2/wallet/balance", key="wrong").status == status
    box.sandbox.faults.add("key_revoked", platform="zapmail")
    assert box.zapmail("GET", "/v2/wallet/balance").status == status


def test_headers_the_workspace_decides_what_is_seen(box: Box, workspace: str) -> None:
    box.buy(workspace, NAME)
    assert list(box.domains(workspace)) == [NAME]
    assert list(box.domains("")) == []
    assert box.zapmail("GET", "/v2/domains", workspace="no-such").status == 400


def test_headers_the_provider_is_demanded_for_mailboxes_and_retry(box: Box, workspace: str) -> None:
    domain_id = box.active_domain(workspace)
    assert box.ask_mailboxes(workspace, domain_id, NAME, "sample", provider="").status == 400
    body = {"domainIds": [domain_id]}
    assert box.zapmail("PUT", "/v2/mailboxes/retry-failed", body, workspace=workspace, provider="").status == 400


@pytest.mark.parametrize(("position", "provider"), [("header", "MICROSOFT"), ("google", "GOOGLE")])
def test_headers_the_provider_of_a_write_is_a_switch(box: Box, workspace: str, position: str, provider: str) -> None:
    box.sandbox.switches.set(zapmail_provider_on_writes=position)
    body = {"domains": [{"domainName": NAME, "years": 1}], "useWallet": True, "enableDnsShield": False}
    box.zapmail("POST", "/v2/domains/buy", body, workspace=workspace, provider="MICROSOFT")
    assert box.domains(workspace)[NAME]["serviceProvider"] == provider


def test_headers_lists_show_both_providers_or_one_by_switch(box: Box, workspace: str) -> None:
    body = {"domains": [{"domainName": NAME, "years": 1}], "useWallet": True, "enableDnsShield": False}
    box.zapmail("POST", "/v2/domains/buy", body, workspace=workspace, provider="MICROSOFT")
    assert list(box.domains(workspace)) == [NAME]
    box.sandbox.switches.set(zapmail_lists="one_provider")
    assert list(box.domains(workspace)) == []


def test_headers_missing_app_is_400(box: Box) -> None:
    assert box.zapmail("GET", "/v2/exports/accounts/third-party").status == 400


def test_headers_export_status_without_workspace_is_400(box: Box) -> None:
    workspace, _, _ = box.exported("sample")
    assert box.zapmail("GET", "/v2/exports/status", exportId=1).status == 400
    found = data(box.zapmail("GET", "/v2/exports/status", workspace=workspace, exportId=1))
    assert found == {"export_id": 1, "status": "completed", "failure_reason": None}


def test_headers_null_filters_are_422(box: Box, workspace: str) -> None:
    domain_id = box.active_domain(workspace)
    dmarc = {"domainIds": [domain_id], "email": "dmarc@ops.example", "contains": None}
    assert box.zapmail("POST", "/v2/domains/dmarc", dmarc, workspace=workspace).status == 422
    assert box.zapmail("POST", "/v2/domains", {"status": None}, workspace=workspace).status == 422
    assert box.export(workspace, [], tagIds=None).status == 422


# --- Money: a wallet; domains at 12.99; slot prices; short wallet; taken name; price or availability changed --


def wallet(box: Box, workspace: str = "") -> float:
    return float(data(box.zapmail("GET", "/v2/wallet/balance", workspace=workspace))["walletBalance"])


def test_money_a_purchase_debits_the_wallet_and_registers_the_names(box: Box, workspace: str) -> None:
    box.buy(workspace, "getone.com", "gettwo.com")
    assert wallet(box) == 5000 - 2 * 12.99
    state = box.sandbox.state()["zapmail"]
    assert state["wallet_cents"] == 500_000 - 2 * 1299
    assert [e["cents"] for e in state["ledger"]] == [500_000, -1299, -1299]
    assert state["purchases"]["getone.com"] == {"asked": 1, "bought": 1, "refunded": 0}


def test_money_a_second_purchase_of_the_same_name_is_seen_by_the_counter(box: Box, workspace: str) -> None:
    box.buy(workspace, NAME)
    assert box.buy(workspace, NAME).status == 400
    assert box.sandbox.state()["zapmail"]["purchases"][NAME] == {"asked": 2, "bought": 1, "refunded": 0}


@pytest.mark.parametrize(("plan", "cents"), [("Starter", 350), ("Growth", 325), ("Pro", 300)])
def test_money_slots_cost_what_the_plan_says(box: Box, workspace: str, plan: str, cents: int) -> None:
    box.sandbox.switches.set(zapmail_plan=plan)
    box.slots(workspace, 6)
    assert box.sandbox.state()["zapmail"]["wallet_cents"] == 500_000 - 6 * cents


def test_money_slots_with_a_short_wallet_are_400(box: Box, workspace: str) -> None:
    answer = Box(zapmail_wallet_cents=100)
    refused = answer.slots(answer.workspace(), 1)
    assert (refused.status, message(refused).startswith("Insufficient wallet balance")) == (400, True)


def test_money_a_short_wallet_looks_like_success_and_registers_nothing(box: Box, workspace: str) -> None:
    poor = Box(zapmail_wallet_cents=1298)
    there = poor.workspace()
    answer = poor.buy(there, NAME)
    assert (answer.status, set(answer.json())) == (200, {"message", "invoiceLink"})
    poor.sandbox.advance(DAY)
    assert poor.domains(there) == {}
    assert wallet(poor) == 12.98


def test_money_the_unpaid_order_is_gone_after_five_minutes(box: Box) -> None:
    poor = Box(zapmail_wallet_cents=0)
    poor.buy(poor.workspace(), NAME)
    orders = poor.sandbox.world.zapmail.orders
    poor.sandbox.advance(299)
    assert [order.state for order in orders.values()] == ["unpaid"]
    poor.sandbox.advance(1)
    assert [order.state for order in orders.values()] == ["dropped"]


@pytest.mark.parametrize(
    ("reply", "status", "members"),
    [
        ("payment_link", 200, {"message", "paymentLink"}),
        ("error", 400, {"status", "message"}),
    ],
)
def test_money_the_short_wallet_reply_is_a_switch(reply: str, status: int, members: set[str]) -> None:
    poor = Box(zapmail_wallet_cents=0, zapmail_short_wallet_reply=reply)
    answer = poor.buy(poor.workspace(), NAME)
    assert (answer.status, set(answer.json())) == (status, members)


def test_money_a_short_wallet_can_be_forced_once_and_topped_up(box: Box, workspace: str) -> None:
    box.sandbox.faults.add("wallet_short", times=1)
    box.buy(workspace, NAME)
    assert box.domains(workspace) == {}
    box.buy(workspace, NAME)
    assert list(box.domains(workspace)) == [NAME]


def test_money_without_the_wallet_there_is_only_a_payment_link(box: Box, workspace: str) -> None:
    assert set(box.buy(workspace, NAME, wallet=False).json()) == {"message", "paymentLink"}
    assert box.domains(workspace) == {}


def test_money_an_order_paid_by_card_in_time_is_carried_out(box: Box, workspace: str) -> None:
    from integrations.sandbox.zapmail_world import pay_order

    box.buy(workspace, NAME, wallet=False)
    order = next(iter(box.sandbox.world.zapmail.orders))
    pay_order(box.sandbox.world, order, box.clock.now())
    assert list(box.domains(workspace)) == [NAME]
    assert wallet(box) == 5000.0


def test_money_a_taken_name_is_charged_then_refunded(box: Box, workspace: str) -> None:
    box.sandbox.faults.add("domain_taken", verb="buy_domains", items=[NAME])
    assert box.buy(workspace, NAME, "getother.com").status == 200
    assert wallet(box) == 5000 - 2 * 12.99
    box.sandbox.advance(HOUR)
    assert wallet(box) == 5000 - 12.99
    assert list(box.domains(workspace)) == ["getother.com"]
    assert box.sandbox.state()["zapmail"]["purchases"][NAME] == {"asked": 1, "bought": 0, "refunded": 1}


def test_money_the_price_may_have_changed_since_the_search(box: Box, workspace: str) -> None:
    box.sandbox.faults.add("price_changed", verb="buy_domains", amount=700)
    search = box.zapmail("POST", "/v2/domains/available-bulk", {"domainNames": [NAME]}).json()
    assert search["domains"][0]["domainPrice"] == 12.99
    box.buy(workspace, NAME)
    assert wallet(box) == 5000 - 19.99


def test_money_availability_may_have_changed_since_the_search(box: Box, workspace: str) -> None:
    def free() -> int:
        return int(box.zapmail("POST", "/v2/domains/available-bulk", {"domainNames": [NAME]}).json()["available"])

    box.sandbox.faults.add("domain_taken", times=1)
    assert free() == 1
    box.buy(workspace, NAME)
    assert free() == 0


def test_money_taken_and_premium_names_show_in_the_search(box: Box, workspace: str) -> None:
    box.sandbox.switches.set(zapmail_taken_names="brand.com", zapmail_premium_names="vip.com")
    box.buy(workspace, "mine.com")
    body = {"domainNames": ["brand.com", "vip.com", "mine.com", "free.com", "wrong.io"]}
    rows = box.zapmail("POST", "/v2/domains/available-bulk", body).json()["domains"]
    assert [row["status"] for row in rows] == ["UNAVAILABLE", "AVAILABLE", "UNAVAILABLE", "AVAILABLE", "UNAVAILABLE"]
    assert (rows[1]["isPremiumDomain"], rows[1]["domainPrice"]) == (True, 2499.0)


def test_money_a_share_of_names_can_be_taken() -> None:
    box = Box(zapmail_taken_share=0.3)
    found = [
        box.zapmail("POST", "/v2/domains/available-bulk", {"domainNames": [f"b{n}-{m}.com" for m in range(20)]})
        for n in range(10)
    ]
    assert 90 <= sum(answer.json()["available"] for answer in found) <= 185


def test_money_the_wallet_is_the_account_s_or_each_workspace_s_by_switch(box: Box, workspace: str) -> None:
    assert wallet(box, workspace) == wallet(box) == 5000.0
    own = Box(zapmail_wallet="workspace")
    there = own.workspace()
    assert (wallet(own), wallet(own, there)) == (5000.0, 0.0)


def test_money_a_top_up_is_only_a_link_and_not_within_a_minute(box: Box) -> None:
    assert "paymentLink" in box.zapmail("POST", "/v2/wallet/balance", {"amount": 50}).json()
    assert box.zapmail("POST", "/v2/wallet/balance", {"amount": 50}).status == 400
    assert wallet(box) == 5000.0


# --- Slots apart from domains, landing late; refusal text for no quota identical to slots not landed --


def test_slots_start_at_zero_and_land_late(box: Box, workspace: str) -> None:
    def purchased() -> str:
        found = data(box.zapmail("GET", "/v2/mailboxes/list", workspace=workspace))
        return str(found["purchasedMailboxes"])

    assert purchased() == "0"
    box.slots(workspace, 6)
    assert purchased() == "0"
    box.sandbox.advance(120)
    assert purchased() == "6"


def test_slots_missing_and_slots_not_landed_are_refused_in_the_same_words(box: Box, workspace: str) -> None:
    domain_id = box.active_domain(workspace)
    none = box.ask_mailboxes(workspace, domain_id, NAME, "sample")
    box.slots(workspace, 1)
    coming = box.ask_mailboxes(workspace, domain_id, NAME, "sample")
    assert (none.status, none.body) == (400, coming.body)
    assert "don't have enough mailboxes" in message(none)


@pytest.mark.parametrize(("position", "slots"), [("zero", "0"), ("inherits", "30")])
def test_slots_of_a_new_workspace_are_a_switch(position: str, slots: str) -> None:
    box = Box(zapmail_new_workspace=position)
    found = data(box.zapmail("GET", "/v2/mailboxes/list", workspace=box.workspace()))
    assert found["purchasedMailboxes"] == slots


def test_slots_may_need_a_plan_of_the_workspace_s_own() -> None:
    from integrations.sandbox.zapmail_world import pay_order

    box = Box(zapmail_new_workspace="needs_plan")
    workspace = box.workspace()
    assert box.slots(workspace, 1).status == 400
    box.zapmail("POST", "/v2/subscriptions/purchase", workspace=workspace, planName="Starter", billingCycle="monthly")
    pay_order(box.sandbox.world, next(iter(box.sandbox.world.zapmail.orders)), box.clock.now())
    assert box.slots(workspace, 1).status == 200
    assert data(box.zapmail("GET", "/v2/subscriptions", workspace=workspace))["subscriptions"]


def test_slots_can_be_slow(box: Box, workspace: str) -> None:
    box.sandbox.faults.add("slow_slots", seconds=900.0)
    box.slots(workspace, 1)
    box.sandbox.advance(900)
    assert box.sandbox.world.zapmail.workspaces[workspace].slots == 0
    box.sandbox.advance(120)
    assert box.sandbox.world.zapmail.workspaces[workspace].slots == 1


# --- Rules: unique workspace names, 5 per domain, separators, whole-batch 400, Microsoft wait, endings, banned, used --


@pytest.mark.parametrize("status", [400, 409, 422])
def test_rules_workspace_names_are_unique(box: Box, status: int) -> None:
    box.sandbox.switches.set(zapmail_duplicate_name_status=status)
    box.workspace("Same GTM-7K3F9Q")
    body = {"name": "Same GTM-7K3F9Q", "billingDetails": BILLING}
    assert box.zapmail("POST", "/v2/workspaces", body).status == status


def test_rules_billing_details_are_required_or_optional_by_switch(box: Box) -> None:
    assert box.zapmail("POST", "/v2/workspaces", {"name": "A"}).status == 422
    assert box.zapmail("POST", "/v2/workspaces", {"name": "A", "billingDetails": {**BILLING, "city": ""}}).status == 422
    box.sandbox.switches.set(zapmail_billing_details="optional")
    assert set(data(box.zapmail("POST", "/v2/workspaces", {"name": "A"}))) == {
        "id",
        "name",
        "userId",
        "createdAt",
        "updatedAt",
        "deletedAt",
    }


def test_rules_five_mailboxes_per_domain_in_total(box: Box, workspace: str) -> None:
    box.active_mailboxes(workspace, "a", "b", "c", "d")
    domain_id = box.domains(workspace)[NAME]["id"]
    box.slots(workspace, 5)
    box.sandbox.advance(HOUR)
    assert box.ask_mailboxes(workspace, domain_id, NAME, "e", "f").status == 400
    assert box.ask_mailboxes(workspace, domain_id, NAME, "e").status == 200


@pytest.mark.parametrize("user", [".a", "a.", "a..b", "_a", "a-", "a._b", "A B", "", "a@b", "é"])
def test_rules_separators_neither_at_the_ends_nor_in_a_row(box: Box, workspace: str, user: str) -> None:
    domain_id = box.active_domain(workspace)
    box.slots(workspace, 1)
    box.sandbox.advance(HOUR)
    assert box.ask_mailboxes(workspace, domain_id, NAME, user).status in (400, 422)


def test_rules_one_existing_mailbox_refuses_the_whole_batch(box: Box, workspace: str) -> None:
    box.active_mailboxes(workspace, "a")
    domain_id = box.domains(workspace)[NAME]["id"]
    box.slots(workspace, 2)
    box.sandbox.advance(HOUR)
    assert box.ask_mailboxes(workspace, domain_id, NAME, "a", "b").status == 400
    assert list(box.mailboxes(workspace)) == [f"a@{NAME}"]


def test_rules_malformed_mailboxes_are_422(box: Box, workspace: str) -> None:
    domain_id = box.active_domain(workspace)
    bodies: tuple[Any, ...] = ({}, {domain_id: []}, {domain_id: ["a"]}, {domain_id: [{"firstName": "A"}]})
    for body in bodies:
        assert box.zapmail("POST", "/v2/mailboxes", body, workspace=workspace).status == 422


def test_rules_microsoft_waits_for_earlier_mailboxes(box: Box, workspace: str) -> None:
    domain_id = box.active_domain(workspace)
    box.slots(workspace, 2)
    box.sandbox.advance(HOUR)
    assert box.ask_mailboxes(workspace, domain_id, NAME, "a", provider="MICROSOFT").status == 200
    assert box.ask_mailboxes(workspace, domain_id, NAME, "b", provider="MICROSOFT").status == 400
    box.sandbox.advance(HOUR)
    assert box.ask_mailboxes(workspace, domain_id, NAME, "b", provider="MICROSOFT").status == 200


def test_rules_a_cooldown_per_domain_can_be_set(box: Box, workspace: str) -> None:
    box.sandbox.switches.set(zapmail_domain_cooldown_seconds=DAY)
    domain_id = box.active_domain(workspace)
    box.slots(workspace, 2)
    box.sandbox.advance(HOUR)
    assert box.ask_mailboxes(workspace, domain_id, NAME, "a").status == 200
    assert box.ask_mailboxes(workspace, domain_id, NAME, "b").status == 400
    box.sandbox.advance(DAY)
    assert box.ask_mailboxes(workspace, domain_id, NAME, "b").status == 200


@pytest.mark.parametrize("name", ["brand.io", "paypal-brand.com", "known.com", "mine.com"])
def test_rules_endings_banned_phrases_and_used_names_are_rejected(box: Box, workspace: str, name: str) -> None:
    box.sandbox.switches.set(zapmail_names_with_workspace="known.com")
    box.buy(workspace, "mine.com")
    before = wallet(box)
    assert box.buy(workspace, name).status == 400
    assert wallet(box) == before


def test_rules_mailboxes_need_an_active_domain(box: Box, workspace: str) -> None:
    box.buy(workspace, NAME)
    domain_id = box.domains(workspace)[NAME]["id"]
    assert box.ask_mailboxes(workspace, domain_id, NAME, "a").status == 400


@pytest.mark.parametrize(("position", "listed"), [("not_assignable", []), ("assignable", [NAME])])
def test_rules_a_full_domain_stays_assignable_by_switch(position: str, listed: list[str]) -> None:
    box = Box(zapmail_full_domain=position)
    workspace = box.workspace()
    box.active_mailboxes(workspace, "a", "b", "c", "d", "e")
    found = data(box.zapmail("GET", "/v2/domains/assignable", workspace=workspace))["domains"]
    assert [row["domain"] for row in found] == listed


# --- Clock: domains PENDING -> ACTIVE, mailboxes IN_PROGRESS -> ACTIVE or FAILED; unknown status values --


def test_clock_a_domain_becomes_active(box: Box, workspace: str) -> None:
    box.buy(workspace, NAME)
    row = box.domains(workspace)[NAME]
    assert (row["status"], row["dnsAuthenticationInProgress"]) == ("PENDING", True)
    box.sandbox.advance(1200)
    row = box.domains(workspace)[NAME]
    assert (row["status"], row["dnsAuthenticationInProgress"], row["dnsBoxInvalidNameServers"]) == (
        "ACTIVE",
        False,
        False,
    )


def test_clock_a_mailbox_becomes_active(box: Box, workspace: str) -> None:
    domain_id = box.active_domain(workspace)
    box.slots(workspace, 1)
    box.sandbox.advance(HOUR)
    box.ask_mailboxes(workspace, domain_id, NAME, "sample")
    assert box.mailboxes(workspace)[f"sample@{NAME}"]["status"] == "IN_PROGRESS"
    box.sandbox.advance(1500)
    assert box.mailboxes(workspace)[f"sample@{NAME}"]["status"] == "ACTIVE"


def test_clock_a_mailbox_can_fail_and_be_retried(box: Box, workspace: str) -> None:
    box.sandbox.faults.add("failing_mailboxes", items=[f"b@{NAME}"], times=1)
    box.active_mailboxes(workspace, "a", "b")
    statuses = {email: row["status"] for email, row in box.mailboxes(workspace).items()}
    assert statuses == {f"a@{NAME}": "ACTIVE", f"b@{NAME}": "FAILED"}
    body = {"domainIds": [box.domains(workspace)[NAME]["id"]]}
    box.zapmail("PUT", "/v2/mailboxes/retry-failed", body, workspace=workspace)
    box.sandbox.advance(HOUR)
    assert box.mailboxes(workspace)[f"b@{NAME}"]["status"] == "ACTIVE"


def test_clock_domains_and_mailboxes_can_be_slow(box: Box, workspace: str) -> None:
    box.sandbox.faults.add("slow_domains", items=["getslow.com"], seconds=2 * DAY)
    box.buy(workspace, "getslow.com", NAME)
    box.sandbox.advance(DAY)
    assert {name: row["status"] for name, row in box.domains(workspace).items()} == {
        "getslow.com": "PENDING",
        NAME: "ACTIVE",
    }


def test_clock_unknown_status_values_now_and_then(box: Box, workspace: str) -> None:
    box.sandbox.faults.add("unknown_status", verb="list_domains", value="MOON_PHASE", times=1)
    box.buy(workspace, NAME)
    assert box.domains(workspace)[NAME]["status"] == "MOON_PHASE"
    assert box.domains(workspace)[NAME]["status"] == "PENDING"


def test_clock_dmarc_is_absolute_and_reaches_the_reseller_soon_after(box: Box, workspace: str) -> None:
    domain_id = box.active_domain(workspace)
    body = {"domainIds": [domain_id], "email": "dmarc@ops.example", "contains": "", "status": [], "tagIds": []}
    for _ in range(2):
        assert data(box.zapmail("POST", "/v2/domains/dmarc", body, workspace=workspace)) is None
    assert box.domains(workspace)[NAME]["dmarcEmailAddedToReseller"] is False
    box.sandbox.advance(60)
    row = box.domains(workspace)[NAME]
    assert (row["dmarcEmail"], row["dmarcEmailAddedToReseller"]) == ("dmarc@ops.example", True)
    records = data(box.zapmail("GET", "/v2/dns/", workspace=workspace, id=domain_id))["records"]
    assert "rua=mailto:dmarc@ops.example" in next(r["value"] for r in records if r["host"] == "_dmarc")


# --- Failure knobs: 202 and nothing; time-out after the effect; 500 on GET /v2/mailboxes; 429 buckets; re-export ... --


def test_failure_202_and_nothing_happens(box: Box, workspace: str) -> None:
    domain_id = box.active_domain(workspace)
    box.sandbox.faults.add("nothing_happens", verb="create_mailboxes", times=1)
    assert box.ask_mailboxes(workspace, domain_id, NAME, "sample").status == 202
    box.sandbox.advance(DAY)
    assert box.mailboxes(workspace) == {}


def test_failure_time_out_after_the_effect(box: Box, workspace: str) -> None:
    box.sandbox.faults.add("timeout_after", verb="buy_domains", times=1)
    assert box.buy(workspace, NAME).wire is Wire.SILENT
    assert list(box.domains(workspace)) == [NAME]


def test_failure_the_old_mailbox_path_answers_500(box: Box, workspace: str) -> None:
    assert box.zapmail("GET", "/v2/mailboxes", workspace=workspace).status == 500


def test_failure_429_counts_per_key_over_all_workspaces() -> None:
    box = Box(zapmail_general_per_minute=20)
    one, two = box.workspace("One"), box.workspace("Two")
    for number in range(18):
        assert box.zapmail("GET", "/v2/wallet/balance", workspace=one if number % 2 else two).status == 200
    answer = box.zapmail("GET", "/v2/wallet/balance", workspace=one)
    assert (answer.status, answer.json()) == (429, {"status": 429, "message": "Too many requests"})
    box.clock.advance(60)
    assert box.zapmail("GET", "/v2/wallet/balance").status == 200


def test_failure_429_searches_have_a_window_of_their_own() -> None:
    box = Box(zapmail_search_per_30_min=10)
    body = {"domainNames": [NAME]}
    assert [box.zapmail("POST", "/v2/domains/available-bulk", body).status for _ in range(11)][-2:] == [200, 429]
    assert box.sandbox.quotas.violations[0].window == "search"
    box.clock.advance(1800)
    assert box.zapmail("POST", "/v2/domains/available-bulk", body).status == 200


@pytest.mark.parametrize(("counts", "used"), [(False, 0), (True, 1)])
def test_failure_429_a_purchase_counts_as_a_search_by_switch(counts: bool, used: int) -> None:
    box = Box(zapmail_search_per_30_min=10, zapmail_purchase_counts_as_search=counts)
    box.buy(box.workspace(), NAME)
    assert box.sandbox.quotas.used("zapmail", "search") == used


def test_failure_weekly_re_export_limit_per_mailbox(box: Box) -> None:
    workspace, _, ids = box.exported("sample")
    assert [box.export(workspace, ids).status for _ in range(3)] == [200, 200, 429]
    box.sandbox.advance(7 * DAY)
    assert box.export(workspace, ids).status == 200


def test_failure_export_success_with_boxes_missing(box: Box) -> None:
    box.sandbox.faults.add("export_incomplete", items=[f"b@{NAME}"])
    workspace, sending, _ = box.exported("a", "b")
    assert list(box.accounts(sending)) == [f"a@{NAME}"]
    assert data(box.zapmail("GET", "/v2/exports/status", workspace=workspace, exportId=1))["status"] == "completed"


@pytest.mark.parametrize("status", [400, 422])
def test_failure_two_accounts_of_one_app_need_the_account_id(box: Box, workspace: str, status: int) -> None:
    box.sandbox.switches.set(zapmail_missing_account_status=status)
    ids = box.active_mailboxes(workspace, "sample")
    sending = box.sending_workspace()
    for email in ("one@example.com", "two@example.com"):
        box.register(workspace, *box.login_for(sending, email=email))
    assert box.export(workspace, ids).status == status
    rows = data(box.zapmail("GET", "/v2/exports/accounts/third-party", workspace=workspace, app="PIPL"))["accounts"]
    assert box.export(workspace, ids, thirdPartyAccountId=rows[0]["id"]).status == 200


def test_failure_expired_login_reports_success_and_shows_an_error(box: Box, workspace: str) -> None:
    ids, sending = box.active_mailboxes(workspace, "sample"), box.sending_workspace()
    box.register(workspace, *box.login_for(sending))
    box.sandbox.faults.add("login_expired")
    assert box.export(workspace, ids).status == 200
    box.sandbox.advance(HOUR)
    assert box.accounts(sending) == {}
    rows = data(box.zapmail("GET", "/v2/exports/accounts/third-party", workspace=workspace, app="PIPL"))["accounts"]
    assert "expired" in rows[0]["error"]


def test_failure_the_mailbox_list_holds_secrets_to_test_the_redactor(box: Box, workspace: str) -> None:
    box.active_mailboxes(workspace, "sample")
    row = box.mailboxes(workspace)[f"sample@{NAME}"]
    assert len(row["appPassword"]) == 16
    assert row["password"].startswith("=")


# --- Export really creates accounts in PlusVibe, in the workspace the login sees, late, warmup off; wrong password --


def test_export_creates_the_accounts_late_in_the_workspace_of_the_login_with_warmup_off(
    box: Box, workspace: str
) -> None:
    ids, sending = box.active_mailboxes(workspace, "a", "b"), box.sending_workspace()
    box.register(workspace, *box.login_for(sending))
    box.export(workspace, ids)
    assert box.accounts(sending) == {}
    box.sandbox.advance(360)
    found = box.accounts(sending)
    assert set(found) == {f"a@{NAME}", f"b@{NAME}"}
    assert {row["warmup_status"] for row in found.values()} == {"INACTIVE"}
    assert box.accounts(AGENCY) == {}


def test_export_of_a_mailbox_that_is_there_changes_nothing(box: Box) -> None:
    workspace, sending, ids = box.exported("sample")
    before = box.accounts(sending)
    box.export(workspace, ids)
    box.sandbox.advance(HOUR)
    assert box.accounts(sending) == before


def test_export_takes_only_the_ids_that_were_named(box: Box, workspace: str) -> None:
    ids, sending = box.active_mailboxes(workspace, "a", "b"), box.sending_workspace()
    box.register(workspace, *box.login_for(sending))
    box.export(workspace, ids[:1])
    box.sandbox.advance(HOUR)
    assert list(box.accounts(sending)) == [f"a@{NAME}"]


@pytest.mark.parametrize(("position", "status"), [("refuse", 400), ("accept", 200)])
def test_export_a_wrong_password_is_400_by_switch(box: Box, workspace: str, position: str, status: int) -> None:
    box.sandbox.switches.set(zapmail_wrong_sender_login=position)
    email, _ = box.login_for(box.sending_workspace())
    assert box.register(workspace, email, "wrong").status == status


def test_export_client_logins_may_not_be_accepted_at_all(box: Box, workspace: str) -> None:
    box.sandbox.switches.set(zapmail_client_logins="refused")
    assert box.register(workspace, *box.login_for(box.sending_workspace())).status == 400


@pytest.mark.parametrize(("position", "status"), [("refuse", 400), ("accept", 200)])
def test_export_the_same_login_twice_is_a_switch(box: Box, workspace: str, position: str, status: int) -> None:
    box.sandbox.switches.set(zapmail_duplicate_sender=position)
    login = box.login_for(box.sending_workspace())
    box.register(workspace, *login)
    assert box.register(workspace, *login).status == status


def test_export_a_login_is_updated_by_put(box: Box, workspace: str) -> None:
    sending = box.sending_workspace()
    box.register(workspace, *box.login_for(sending))
    client = next(iter(box.sandbox.world.plusvibe.clients))
    box.plusvibe("DELETE", "/client", {"workspace_id": AGENCY, "client_id": client})
    email, password = box.login_for(sending)
    body = {"email": email, "password": password, "app": "PIPL"}
    assert box.zapmail("PUT", "/v2/exports/accounts/third-party", body, workspace=workspace).status == 200
    rows = data(box.zapmail("GET", "/v2/exports/accounts/third-party", workspace=workspace, app="PIPL"))["accounts"]
    assert "error" not in rows[0]
    assert password not in json.dumps(rows)


def test_export_shows_the_workspaces_a_login_sees(box: Box, workspace: str) -> None:
    sending = box.sending_workspace()
    box.register(workspace, *box.login_for(sending))
    sender = next(iter(box.sandbox.world.zapmail.senders))
    answer = box.zapmail("GET", "/v2/exports/fetch-workspaces", workspace=workspace, app="PIPL", accountId=sender)
    assert [row["id"] for row in data(answer)["workspaces"]] == [sending]


# --- Webhooks with signature, duplicates, retries and disabling --


class Inbox:
    def __init__(self, *statuses: int) -> None:
        self.statuses = list(statuses)
        self.received: list[tuple[dict[str, str], bytes]] = []

    def __call__(self, url: str, headers: Any, body: bytes) -> int:
        self.received.append((dict(headers), body))
        return self.statuses.pop(0) if self.statuses else 200

    @property
    def kinds(self) -> list[str]:
        return [json.loads(body)["type"] for _, body in self.received]


def endpoint(box: Box, *events: str) -> str:
    body = {"url": "http://127.0.0.1:1/hook", "enabled_events": list(events)}
    return str(data(box.zapmail("POST", "/v2/webhooks/endpoints", body))["secret"])


def test_webhooks_are_signed_over_time_and_raw_body(box: Box, workspace: str) -> None:
    secret, inbox = endpoint(box), Inbox()
    box.active_domain(workspace)
    assert box.sandbox.deliver_due(inbox) == 1
    headers, body = inbox.received[0]
    stamp, digest = (part.split("=")[1] for part in headers["x-zapmail-signature"].split(","))
    assert digest == hmac.new(secret.encode(), f"{stamp}.".encode() + body, hashlib.sha256).hexdigest()
    assert json.loads(body)["data"]["object"]["status"] == "ACTIVE"


def test_webhooks_tell_of_exports_and_only_what_was_asked_for(box: Box) -> None:
    endpoint(box, "export.started", "export.completed")
    inbox = Inbox()
    box.exported("sample")
    box.sandbox.deliver_due(inbox)
    assert inbox.kinds == ["export.started", "export.completed"]


def test_webhooks_secret_is_shown_once(box: Box) -> None:
    secret = endpoint(box)
    assert secret not in box.zapmail("GET", "/v2/webhooks/endpoints").body.decode()


def test_webhooks_can_be_doubled_lost_and_late(box: Box, workspace: str) -> None:
    endpoint(box)
    inbox = Inbox()
    box.sandbox.faults.add("webhook_duplicate", times=1)
    box.active_domain(workspace, "getone.com")
    assert box.sandbox.deliver_due(inbox) == 2
    box.sandbox.faults.add("webhook_lost", times=1)
    box.active_domain(workspace, "gettwo.com")
    assert box.sandbox.deliver_due(inbox) == 0
    box.sandbox.faults.add("webhook_delay", seconds=2 * DAY, times=1)
    box.active_domain(workspace, "getthree.com")
    assert box.sandbox.deliver_due(inbox) == 0
    box.sandbox.advance(2 * DAY)
    assert box.sandbox.deliver_due(inbox) == 1


def test_webhooks_are_retried_after_a_minute_and_up_to_eight_times(box: Box, workspace: str) -> None:
    endpoint(box)
    inbox = Inbox(*[500] * 20)
    box.active_domain(workspace)
    assert box.sandbox.deliver_due(inbox) == 1
    assert box.sandbox.deliver_due(inbox) == 0
    box.sandbox.advance(60)
    assert box.sandbox.deliver_due(inbox) == 1
    for _ in range(10):
        box.sandbox.advance(DAY)
        box.sandbox.deliver_due(inbox)
    assert len(inbox.received) == 9
    assert box.sandbox.world.deliveries[0].state == "given_up"


def test_webhooks_twenty_failures_in_a_row_disable_the_endpoint(box: Box, workspace: str) -> None:
    endpoint(box)
    inbox = Inbox(*[0] * 30)
    for number in range(3):
        box.active_domain(workspace, f"get{number}.com")
    for _ in range(10):
        box.sandbox.deliver_due(inbox)
        box.sandbox.advance(DAY)
    assert len(inbox.received) == 20
    assert [e.enabled for e in box.sandbox.world.zapmail.endpoints.values()] == [False]


# --- The rest of the surface --


def test_removal_is_scheduled_and_taken_back(box: Box, workspace: str) -> None:
    box.active_mailboxes(workspace, "a", "b")
    ids = [box.domains(workspace)[NAME]["id"]]
    for remove, counted in ((True, "2"), (False, "0")):
        body = {"domainIds": ids, "remove": remove}
        assert box.zapmail("PUT", "/v2/mailboxes/scheduled-removal", body, workspace=workspace).status == 200
        found = data(box.zapmail("GET", "/v2/mailboxes/list", workspace=workspace))
        assert found["scheduledMailboxes"] == counted


def test_unused_domains_can_be_removed_and_workspaces_renamed(box: Box, workspace: str) -> None:
    domain_id = box.active_domain(workspace)
    assert box.zapmail("DELETE", "/v2/domains", {"ids": [domain_id]}, workspace=workspace).status == 200
    assert box.domains(workspace) == {}
    assert box.zapmail("PUT", "/v2/workspaces", {"id": workspace, "name": "New"}).status == 200


def test_mailbox_names_can_be_changed_row_by_row(box: Box, workspace: str) -> None:
    ids = box.active_mailboxes(workspace, "a")
    rows = [{"mailboxId": ids[0], "firstName": "New"}, {"mailboxId": "m-nobody"}]
    found = data(box.zapmail("PUT", "/v2/mailboxes", {"mailboxData": rows}, workspace=workspace))
    assert [row["success"] for row in found] == [True, False]


@pytest.mark.parametrize("verb", ["list_domains", "list_workspaces", "list_mailboxes"])
def test_lists_can_lag(box: Box, workspace: str, verb: str) -> None:
    box.sandbox.faults.add("list_lag", verb=verb, seconds=30.0)
    assert box.sandbox.faults.lag("zapmail", verb) == 30.0
    box.buy(workspace, NAME)
    shown = box.domains(workspace)
    assert (NAME in shown) is (verb != "list_domains")


def test_lists_can_lag_for_bought_slots_and_registered_logins(box: Box, workspace: str) -> None:
    box.sandbox.faults.add("list_lag", seconds=600.0)
    email, password = box.login_for(box.sending_workspace())
    box.register(workspace, email, password)
    box.slots(workspace, 3)
    box.sandbox.advance(599)  # landed, and not shown yet
    assert counters(box, workspace) == ("0", "0")
    assert senders(box, workspace) == []
    box.sandbox.advance(600)
    assert counters(box, workspace) == ("3", "3")
    assert senders(box, workspace) == [email]


def counters(box: Box, workspace: str) -> tuple[str, str]:
    shown = data(box.zapmail("GET", "/v2/mailboxes/list", workspace=workspace))
    return shown["purchasedMailboxes"], shown["availableMailboxes"]


def senders(box: Box, workspace: str) -> list[str]:
    rows = data(box.zapmail("GET", "/v2/exports/accounts/third-party", workspace=workspace, app="PIPL"))["accounts"]
    return [row["email"] for row in rows]


def test_pages_may_be_smaller_than_asked_for(workspace: str, box: Box) -> None:
    box.sandbox.switches.set(zapmail_page_most=2)
    box.buy(workspace, "getone.com", "gettwo.com", "getthree.com")
    first = data(box.zapmail("GET", "/v2/domains", workspace=workspace, limit=50))
    assert (len(first["domains"]), first["totalPages"], first["totalSearchedCount"]) == (2, 2, 3)


def test_money_an_owned_name_may_be_charged_again_by_switch(box: Box, workspace: str) -> None:
    box.sandbox.switches.set(zapmail_owned_name="charge")
    for _ in range(2):
        assert box.buy(workspace, NAME).status == 200
    bought = box.sandbox.state()["zapmail"]
    assert (bought["purchases"][NAME]["bought"], len(bought["domains"])) == (2, 1)
    assert [entry["cents"] for entry in bought["ledger"] if entry["kind"] == "domain"] == [-1299, -1299]
