"""What Zapmail is asked, and what its answers mean in every notation they come in."""

from __future__ import annotations

import json
from typing import Any

import pytest

from integrations.http.call import Call, Proof, Raw
from integrations.http.errors import AlreadyExists, OutcomeUnknown, PlatformError, Rejected, Unavailable
from integrations.http.gate import judge
from integrations.http.redact import Hidden
from integrations.zapmail import DomainOffer, NewMailbox, ZapmailClient, ZapmailSettings

from .verbs import ADDRESS, DOMAIN, PAGE, WORKSPACE, envelope, zapmail


def answer(call: Call[Any], body: Any, status: int = 200) -> Any:
    return judge(call, Raw(status, {}, json.dumps(body).encode()))


def refusal(call: Call[Any], message: str, status: int = 400) -> PlatformError:
    with pytest.raises(PlatformError) as caught:
        answer(call, {"status": status, "message": message}, status)
    return caught.value


class TestHeaders:
    def test_key_and_provider_go_with_every_call(self) -> None:
        client = ZapmailClient(ZapmailSettings(Hidden("key-12345"), provider="MICROSOFT"))
        headers = client.wallet_balance().request.headers
        assert (headers["x-auth-zapmail"], headers["x-service-provider"]) == ("key-12345", "MICROSOFT")
        assert "x-workspace-key" not in headers

    def test_the_workspace_is_a_header(self) -> None:
        assert zapmail.list_domains(WORKSPACE).request.headers["x-workspace-key"] == WORKSPACE


class TestWorkspaces:
    def rows(self, data: Any) -> Any:
        return answer(zapmail.list_workspaces("GTM"), envelope(data))

    def test_the_current_one_stands_apart_and_counters_are_strings(self) -> None:
        current = {
            "id": "w1",
            "name": "One",
            "domainCountGoogle": "3",
            "domainCountMicrosoft": "1",
            "totalMailboxesPurchasedGoogle": "6",
            "totalMailboxesPurchasedMicrosoft": 2,
            "assignedMailboxesCountGoogle": "4",
        }
        page = self.rows({"currentWorkspace": current, "workspaces": [{"id": "w2", "name": "Two"}], "totalPages": 1})
        assert [workspace.id for workspace in page.workspaces] == ["w1", "w2"]
        first, second = page.workspaces
        assert (first.domains, first.purchased_mailboxes, first.assigned_mailboxes) == (4, 8, 4)
        assert second.purchased_mailboxes is None
        assert page.last

    def test_a_plain_array_is_accepted(self) -> None:
        assert self.rows([{"_id": 7, "name": "One"}]).workspaces[0].id == "7"

    def test_no_current_workspace(self) -> None:
        page = self.rows({"currentWorkspace": None, "workspaces": [{"id": "w2", "name": "Two"}]})
        assert [workspace.name for workspace in page.workspaces] == ["Two"]

    def test_the_current_one_repeated_among_the_others_counts_once(self) -> None:
        row = {"id": "w1", "name": "One"}
        assert len(self.rows({"currentWorkspace": row, "workspaces": [row]}).workspaces) == 1

    def test_missing_list_is_no_empty_list(self) -> None:
        with pytest.raises(Unavailable):
            self.rows({"currentWorkspace": {"id": "w1", "name": "One"}})

    def test_create_sends_billing_only_when_given(self) -> None:
        assert zapmail.create_workspace("A").request.json == {"name": "A"}
        assert zapmail.create_workspace("A", {"city": "X"}).request.json == {
            "name": "A",
            "billingDetails": {"city": "X"},
        }

    def test_create_is_proven_by_its_answer_and_keyed_by_name(self) -> None:
        call = zapmail.create_workspace("Sample GTM-7K3F9Q")
        assert (call.proof, call.items) == (Proof.ANSWER, ("Sample GTM-7K3F9Q",))
        assert answer(call, envelope({"id": "w9"})).name == "Sample GTM-7K3F9Q"

    def test_create_without_id_is_unknown(self) -> None:
        with pytest.raises(OutcomeUnknown):
            answer(zapmail.create_workspace("A"), envelope({"name": "A"}))

    @pytest.mark.parametrize("status", [400, 409, 422])
    def test_a_name_in_use(self, status: int) -> None:
        error = refusal(zapmail.create_workspace("A"), "Workspace name already exists", status)
        assert isinstance(error, AlreadyExists)


class TestCheckDomains:
    row = {
        "domainName": DOMAIN,
        "status": "AVAILABLE",
        "isPremiumDomain": False,
        "domainPrice": 12.99,
        "renewPrice": 13,
    }

    @pytest.mark.parametrize(
        "nest", [lambda rows: {"domains": rows}, lambda rows: envelope({"domains": rows}), envelope]
    )
    def test_every_nesting(self, nest: Any) -> None:
        assert answer(zapmail.check_domains([DOMAIN]), nest([self.row])) == (
            DomainOffer(DOMAIN, available=True, premium=False, price_cents=1299, renewal_cents=1300),
        )

    @pytest.mark.parametrize(
        ("change", "expected"),
        [
            ({"status": "available"}, (True, False, 1299)),
            ({"status": "UNAVAILABLE"}, (False, False, 1299)),
            ({"status": "Reserved"}, (False, False, 1299)),
            ({"domainPrice": "12.99"}, (True, False, 1299)),
            ({"domainPrice": "$1,299.00"}, (True, False, 129900)),
            ({"domainPrice": "0.1"}, (True, False, 10)),
            ({"domainPrice": None}, (True, False, None)),
            ({"domainPrice": "NaN"}, (True, False, None)),
            ({"domainPrice": 0}, (True, False, None)),
            ({"domainPrice": -3}, (True, False, None)),
            ({"domainPrice": True}, (True, False, None)),
            ({"isPremiumDomain": "true"}, (True, True, 1299)),
        ],
    )
    def test_notations(self, change: dict[str, Any], expected: tuple[Any, ...]) -> None:
        (offer,) = answer(zapmail.check_domains([DOMAIN]), {"domains": [{**self.row, **change}]})
        assert (offer.available, offer.premium, offer.price_cents) == expected

    def test_only_what_was_asked_in_the_order_asked(self) -> None:
        rows = [{**self.row, "domainName": name} for name in ("C.com", "suggested.com", "a.com")]
        offers = answer(zapmail.check_domains(["a.com", "b.com", "c.com"]), {"domains": rows})
        assert [offer.name for offer in offers] == ["a.com", "c.com"]

    @pytest.mark.parametrize("word", ["PENDING_REVIEW", "checking", "error"])
    def test_a_word_that_nobody_knows_is_no_answer_for_that_name(self, word: str) -> None:
        rows = [{**self.row, "domainName": "a.com", "status": word}, {**self.row, "domainName": "b.com"}]
        offers = answer(zapmail.check_domains(["a.com", "b.com"]), {"domains": rows})
        assert [offer.name for offer in offers] == ["b.com"]

    def test_a_row_without_status_is_no_answer(self) -> None:
        with pytest.raises(Unavailable):
            answer(zapmail.check_domains([DOMAIN]), {"domains": [{"domainName": DOMAIN}]})

    def test_twenty_at_most(self) -> None:
        names = [f"n{number}.com" for number in range(21)]
        assert len(zapmail.check_domains(names[:20]).request.json["domainNames"]) == 20
        for bad in (names, []):
            with pytest.raises(ValueError, match="names"):
                zapmail.check_domains(bad)

    def test_budgets_and_class(self) -> None:
        call = zapmail.check_domains([DOMAIN], weight_class="paid")
        assert (call.budgets, call.weight_class) == (("zapmail.general", "zapmail.search"), "paid")
        assert zapmail.check_domains([DOMAIN]).weight_class == "search"


class TestBuyDomains:
    call = zapmail.buy_domains(WORKSPACE, {"A.com ": 1400, "b.com": 1500})

    def test_what_is_asked(self) -> None:
        assert self.call.request.json == {
            "domains": [{"domainName": "a.com", "years": 1}, {"domainName": "b.com", "years": 1}],
            "useWallet": True,
            "enableDnsShield": False,
        }

    def test_how_it_is_kept(self) -> None:
        assert self.call.items == ("a.com", "b.com")
        assert self.call.price_ceilings == {"a.com": 1400, "b.com": 1500}
        assert (self.call.proof, self.call.repeatable) == (Proof.READ, False)
        assert (self.call.deadline, self.call.order_drop) == (60.0, 300.0)

    def test_a_purchase_may_count_as_a_search(self) -> None:
        client = ZapmailClient(ZapmailSettings(Hidden("key-12345"), purchase_counts_as_search=True))
        assert "zapmail.search" in client.buy_domains(WORKSPACE, {DOMAIN: 1}).budgets
        assert "zapmail.search" not in self.call.budgets

    def test_an_invoice_is_only_accepted(self) -> None:
        receipt = answer(self.call, {"message": "Domains purchased", "invoiceLink": "https://i.example"})
        assert receipt.invoice_link == "https://i.example"

    @pytest.mark.parametrize(
        "body", [{"message": "Pay", "paymentLink": "https://p"}, envelope({"paymentLink": "p"}), {}]
    )
    def test_a_payment_link_or_nothing_is_unknown(self, body: Any) -> None:
        with pytest.raises(OutcomeUnknown):
            answer(self.call, body)

    @pytest.mark.parametrize(
        ("message", "code"),
        [
            ("Insufficient wallet balance. Required: $25.98, Available: $3.00", "insufficient_wallet"),
            ("Domain contains a banned phrase", "banned_name"),
            ("Domain already has a Google workspace", "name_has_workspace"),
            ("The price of a.com has changed", "price_changed"),
            ("a.com is not available", "name_taken"),
            ("TLD .io is not available", "ending_not_sold"),
            ("Billing details are missing", "billing_missing"),
            ("Something else", "refused"),
        ],
    )
    def test_refusals(self, message: str, code: str) -> None:
        error = refusal(self.call, message)
        assert isinstance(error, Rejected)
        assert error.code == code

    def test_a_name_already_in_the_account(self) -> None:
        assert isinstance(refusal(self.call, "a.com is already in your account"), AlreadyExists)

    def test_nothing_to_buy(self) -> None:
        with pytest.raises(ValueError, match="nothing"):
            zapmail.buy_domains(WORKSPACE, {})


class TestDomains:
    row = {"id": "d1", "domain": "GetExampleBrand.com", "status": "active"}

    def domain(self, **change: Any) -> Any:
        page = answer(zapmail.list_domains(WORKSPACE), envelope({**PAGE, "domains": [{**self.row, **change}]}))
        return page.domains[0]

    def test_names_are_lower_case_and_states_upper_case(self) -> None:
        domain = self.domain()
        assert (domain.id, domain.name, domain.status) == ("d1", DOMAIN, "ACTIVE")

    @pytest.mark.parametrize(
        ("change", "ready"),
        [
            ({}, True),
            ({"dnsAuthenticationInProgress": False, "dnsBoxInvalidNameServers": None}, True),
            ({"dnsAuthenticationInProgress": True}, False),
            ({"dnsBoxInvalidNameServers": "true"}, False),
            ({"status": "PENDING"}, False),
            ({"status": "NEVER_HEARD_OF"}, False),
            ({"status": None}, False),
        ],
    )
    def test_ready(self, change: dict[str, Any], ready: bool) -> None:
        assert self.domain(**change).dns_ready is ready

    def test_the_other_spellings(self) -> None:
        domain = self.domain(
            domain=None, domainName="other.com", assignedMailboxesCount="2", dmarcEmail="D@ops.example",
            dmarcEmailAddedToReseller=1, autoRenew="false", serviceProvider="google",
        )  # fmt: skip
        assert (domain.name, domain.assigned_mailboxes, domain.dmarc_email) == ("other.com", 2, "d@ops.example")
        assert (domain.dmarc_applied, domain.auto_renew, domain.provider) == (True, False, "GOOGLE")

    def test_a_row_without_name_makes_the_page_unreadable(self) -> None:
        with pytest.raises(Unavailable):
            self.domain(domain="")

    @pytest.mark.parametrize(
        ("page", "pages", "rows", "last"),
        [
            (1, 1, 1, True),
            (1, 2, 1, False),
            (2, "2", 1, True),
            (1, 5, 0, True),
            (1, None, 1, True),
            (1, None, 50, False),
        ],
    )
    def test_the_end_is_not_told_by_next_page(self, page: int, pages: Any, rows: int, last: bool) -> None:
        data = {"nextPage": 2, "totalPages": pages, "domains": [self.row] * rows}
        assert answer(zapmail.list_domains(WORKSPACE, page=page), envelope(data)).last is last

    def test_query(self) -> None:
        query = zapmail.list_domains(WORKSPACE, DOMAIN, 3).request.query
        assert query == {"page": "3", "limit": "50", "contains": DOMAIN}

    def test_dmarc_is_absolute_and_sends_empty_filters(self) -> None:
        call = zapmail.set_dmarc(WORKSPACE, {DOMAIN: "d1"}, "dmarc@ops.example")
        assert call.repeatable
        assert call.items == (DOMAIN,)
        assert call.request.json == {
            "domainIds": ["d1"], "email": "dmarc@ops.example", "contains": "", "status": [], "tagIds": []
        }  # fmt: skip

    def test_dmarc_may_be_answered_with_nothing(self) -> None:
        call = zapmail.set_dmarc(WORKSPACE, {DOMAIN: "d1"}, "dmarc@ops.example")
        assert judge(call, Raw(200, {}, b"")).message == ""
        assert answer(call, {}).message == ""


class TestMailboxes:
    def test_create_is_keyed_by_domain_id(self) -> None:
        call = zapmail.create_mailboxes(WORKSPACE, {DOMAIN: ("d1", [NewMailbox("Sample.S", "Sample", "Sender")])})
        assert call.request.json == {
            "d1": [{"firstName": "Sample", "lastName": "Sender", "mailboxUsername": "Sample.S", "domainName": DOMAIN}]
        }
        assert call.items == (f"sample.s@{DOMAIN}",)

    def test_five_at_most_on_a_domain(self) -> None:
        for wanted in ([NewMailbox(f"u{n}", "A", "B") for n in range(6)], []):
            with pytest.raises(ValueError, match="mailboxes"):
                zapmail.create_mailboxes(WORKSPACE, {DOMAIN: ("d1", wanted)})

    @pytest.mark.parametrize(
        ("message", "code"),
        [
            ("You don't have enough mailboxes", "not_enough_slots"),
            ("There are not enough mailboxes for this request", "not_enough_slots"),
            ("At most 5 mailboxes per domain", "domain_full"),
            ("You have already reached the limit of 5 mailboxes", "domain_full"),
            ("Domain is not active yet", "domain_not_ready"),
            ("getexamplebrand.com is not active yet", "domain_not_ready"),
            ("Wait until the earlier mailboxes are active", "earlier_mailboxes_pending"),
            ("Username has consecutive separators", "bad_username"),
        ],
    )
    def test_refusals(self, message: str, code: str) -> None:
        call = zapmail.create_mailboxes(WORKSPACE, {DOMAIN: ("d1", [NewMailbox("a", "A", "B")])})
        error = refusal(call, message)
        assert isinstance(error, Rejected)
        assert error.code == code

    def test_one_existing_mailbox_fails_the_batch(self) -> None:
        call = zapmail.create_mailboxes(WORKSPACE, {DOMAIN: ("d1", [NewMailbox("a", "A", "B")])})
        assert isinstance(refusal(call, f"Mailbox a@{DOMAIN} already exists"), AlreadyExists)

    def test_202_is_accepted(self) -> None:
        call = zapmail.create_mailboxes(WORKSPACE, {DOMAIN: ("d1", [NewMailbox("a", "A", "B")])})
        assert answer(call, {"status": 202, "message": "queued", "data": None}, 202).message == "queued"

    def page(self, *mailboxes: dict[str, Any], **counters: Any) -> Any:
        domains = [{"id": "d1", "domain": DOMAIN, "status": "ACTIVE", "mailboxes": list(mailboxes)}]
        return answer(zapmail.list_mailboxes(WORKSPACE), envelope({**PAGE, **counters, "domains": domains}))

    def test_only_the_app_password_is_kept_and_it_is_hidden(self) -> None:
        row = {
            "id": "m1", "username": "Sample", "status": "in progress", "appPassword": "abcd efgh ijkl mnop",
            "password": "never-kept-1", "secret": "never-kept-2",
        }  # fmt: skip
        (mailbox,) = self.page(row).mailboxes
        assert (mailbox.address, mailbox.domain_id, mailbox.status) == (ADDRESS, "d1", "IN_PROGRESS")
        assert mailbox.app_password is not None
        assert mailbox.app_password.open() == "abcd efgh ijkl mnop"
        assert "abcd" not in repr(mailbox)
        assert "never-kept" not in repr(mailbox)

    @pytest.mark.parametrize(
        "row",
        [
            {"id": "m1", "username": "sample"},
            {"_id": "m1", "email": ADDRESS.upper()},
            {"id": "m1", "mailboxUsername": ADDRESS, "domain": DOMAIN},
        ],
    )
    def test_the_address_is_found_in_every_form(self, row: dict[str, Any]) -> None:
        (mailbox,) = self.page(row).mailboxes
        assert (mailbox.id, mailbox.address, mailbox.app_password) == ("m1", ADDRESS, None)

    def test_counters_are_strings_numbers_or_absent(self) -> None:
        page = self.page(purchasedMailboxes="6", totalAssignedMailboxes=2, availableMailboxes="4")
        assert (page.purchased, page.assigned, page.available, page.scheduled) == (6, 2, 4, None)

    def test_a_domain_without_mailboxes(self) -> None:
        data = {**PAGE, "domains": [{"id": "d1", "domain": DOMAIN, "mailboxes": None}]}
        assert answer(zapmail.list_mailboxes(WORKSPACE), envelope(data)).mailboxes == ()

    @pytest.mark.parametrize("row", [{"username": "sample"}, {"id": "m1"}])
    def test_a_row_without_id_or_address_makes_the_page_unreadable(self, row: dict[str, Any]) -> None:
        with pytest.raises(Unavailable):
            self.page(row)

    def test_secrets_of_the_reply_are_named(self) -> None:
        assert {"password", "appPassword", "secret"} <= zapmail.list_mailboxes(WORKSPACE).secret_fields

    def test_retry_and_removal_go_by_domain(self) -> None:
        retry = zapmail.retry_failed_mailboxes(WORKSPACE, {DOMAIN: "d1"})
        removal = zapmail.schedule_removal(WORKSPACE, {DOMAIN: "d1"})
        assert (retry.items, retry.request.json, retry.repeatable) == ((DOMAIN,), {"domainIds": ["d1"]}, True)
        assert (removal.request.json, removal.repeatable) == ({"domainIds": ["d1"], "remove": True}, True)


class TestMoney:
    def test_slots_lead_from_baseline_to_target(self) -> None:
        call = zapmail.buy_mailbox_slots(WORKSPACE, 3, baseline=2, target=5, ceiling_cents=1050)
        key = f"slots:{WORKSPACE}"
        assert (call.items, call.target, call.price_ceilings) == ((key,), {"baseline": 2, "target": 5}, {key: 1050})
        assert (call.request.query, call.request.json) == ({"quantity": "3"}, None)
        assert not call.repeatable

    @pytest.mark.parametrize(("quantity", "baseline", "target"), [(0, 2, 2), (3, 2, 6), (-1, 3, 2), (3, -1, 2)])
    def test_slots_that_lead_elsewhere_are_not_bought(self, quantity: int, baseline: int, target: int) -> None:
        with pytest.raises(ValueError, match="baseline"):
            zapmail.buy_mailbox_slots(WORKSPACE, quantity, baseline, target)

    def test_slots_are_answered_with_a_payment_link(self) -> None:
        receipt = answer(zapmail.buy_mailbox_slots(WORKSPACE, 1, 0, 1), {"message": "ok", "paymentLink": "https://p"})
        assert receipt.payment_link == "https://p"

    def test_slots_short_wallet(self) -> None:
        error = refusal(zapmail.buy_mailbox_slots(WORKSPACE, 1, 0, 1), "Insufficient wallet balance. Required: $3.50")
        assert isinstance(error, Rejected)
        assert error.code == "insufficient_wallet"

    @pytest.mark.parametrize(
        ("value", "cents"), [(120.5, 12050), ("120.50", 12050), ("$0.10", 10), (0, 0), ("-3", -300)]
    )
    def test_wallet(self, value: Any, cents: int) -> None:
        wallet = answer(zapmail.wallet_balance(), envelope({"walletBalance": value, "autoRechargeEnabled": "true"}))
        assert (wallet.balance_cents, wallet.auto_recharge) == (cents, True)

    @pytest.mark.parametrize("value", [None, "", "soon", {}, "NaN"])
    def test_a_wallet_without_figure_is_not_empty_but_unreadable(self, value: Any) -> None:
        with pytest.raises(Unavailable):
            answer(zapmail.wallet_balance(), envelope({"walletBalance": value}))


class TestExport:
    def test_register(self) -> None:
        call = zapmail.register_sender(WORKSPACE, "Client@ops.example", "pw-123456")
        assert call.request.json == {"email": "Client@ops.example", "password": "pw-123456", "app": "PIPL"}
        assert call.items == (f"{WORKSPACE}:client@ops.example",)
        assert "password" in call.secret_fields

    @pytest.mark.parametrize(
        ("message", "code"), [("Invalid password", "wrong_login"), ("Unsupported app", "app_unknown")]
    )
    def test_register_refused(self, message: str, code: str) -> None:
        error = refusal(zapmail.register_sender(WORKSPACE, "c@ops.example", "pw-123456"), message)
        assert isinstance(error, Rejected)
        assert error.code == code

    def test_a_password_quoted_back_is_removed(self) -> None:
        error = refusal(
            zapmail.register_sender(WORKSPACE, "c@ops.example", "Tr1cky&pw"), "Cannot sign in with Tr1cky&pw"
        )
        assert "Tr1cky" not in str(error)

    def test_update_names_the_account(self) -> None:
        call = zapmail.update_sender(WORKSPACE, "c@ops.example", "pw-123456", account_id="a1")
        assert call.request.method == "PUT"
        assert call.request.json["accountId"] == "a1"
        assert call.repeatable

    @pytest.mark.parametrize(
        "data",
        [
            {"accounts": [{"id": 5, "appName": "pipl", "email": "C@ops.example", "error": None}]},
            [{"_id": "5", "email": "c@ops.example"}],
        ],
    )
    def test_senders(self, data: Any) -> None:
        (sender,) = answer(zapmail.list_senders(WORKSPACE), envelope(data))
        assert (sender.id, sender.email, sender.app, sender.error) == ("5", "c@ops.example", "PIPL", "")

    def test_an_expired_login_shows(self) -> None:
        row = {"id": "5", "email": "c@ops.example", "error": {"message": "expired"}}
        (sender,) = answer(zapmail.list_senders(WORKSPACE), envelope({"accounts": [row]}))
        assert "expired" in sender.error

    def test_senders_always_name_the_app(self) -> None:
        assert zapmail.list_senders(WORKSPACE).request.query == {"app": "PIPL"}

    def test_export_goes_by_ids_with_every_selector_present(self) -> None:
        call = zapmail.export_mailboxes(WORKSPACE, {ADDRESS: "m1"})
        assert call.request.json == {
            "apps": ["PIPL"], "ids": ["m1"], "excludeIds": [], "tagIds": [], "contains": "", "status": ""
        }  # fmt: skip
        assert call.items == (ADDRESS,)
        with_account = zapmail.export_mailboxes(WORKSPACE, {ADDRESS: "m1"}, account_id="a1")
        assert with_account.request.json["thirdPartyAccountId"] == "a1"

    @pytest.mark.parametrize(("data", "export_id"), [(None, None), ({"exportId": "12"}, 12), ({"export_id": 12}, 12)])
    def test_export_id_where_there_is_one(self, data: Any, export_id: int | None) -> None:
        assert answer(zapmail.export_mailboxes(WORKSPACE, {ADDRESS: "m1"}), envelope(data)).export_id == export_id

    @pytest.mark.parametrize(
        ("message", "code"),
        [
            ("thirdPartyAccountId is required", "account_required"),
            ("No PIPL account found", "no_account"),
            ("No mailboxes found to export", "nothing_to_export"),
            ("Re-export limit of 3 per week reached", "export_limit"),
            ("The login has expired", "sender_login_expired"),
        ],
    )
    def test_export_refused(self, message: str, code: str) -> None:
        error = refusal(zapmail.export_mailboxes(WORKSPACE, {ADDRESS: "m1"}), message)
        assert isinstance(error, Rejected)
        assert error.code == code

    @pytest.mark.parametrize(
        ("status", "completed", "failed"),
        [("completed", True, False), ("FAILED", False, True), ("Reconnected", False, False)],
    )
    def test_export_status(self, status: str, completed: bool, failed: bool) -> None:
        state = answer(zapmail.export_status(WORKSPACE, 7), envelope({"export_id": "7", "status": status}))
        assert (state.export_id, state.completed, state.failed) == (7, completed, failed)
