"""What InfraForge is asked, and what its answers mean in every notation they come in."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest

from integrations.http.call import Call, Proof, Raw
from integrations.http.errors import (
    AlreadyExists,
    NotFound,
    OutcomeUnknown,
    PlatformError,
    Rejected,
    Unavailable,
)
from integrations.http.gate import judge
from integrations.http.redact import Hidden, redact
from integrations.infraforge import (
    CONTACT,
    DnsRecord,
    InfraforgeClient,
    InfraforgeSettings,
    NewMailbox,
    contact_of,
    own_logins,
)

from .verbs import ADDRESS, DOMAIN, REGISTRANT, infraforge

OTHER = "tryexamplebrand.com"
IDS = {DOMAIN: "dom_1", OTHER: "dom_2"}
FORMS = [
    lambda rows, name: rows,
    lambda rows, name: {name: rows},
    lambda rows, name: {"data": rows},
    lambda rows, name: {"items": rows},
    lambda rows, name: {"results": rows},
    lambda rows, name: {"data": {name: rows}},
]
every_form = pytest.mark.parametrize("form", FORMS, ids=["bare", "named", "data", "items", "results", "nested"])


def answer(call: Call[Any], body: Any, status: int = 200) -> Any:
    return judge(call, Raw(status, {}, body if isinstance(body, bytes) else json.dumps(body).encode()))


def refusal(call: Call[Any], body: Any, status: int = 400) -> PlatformError:
    with pytest.raises(PlatformError) as caught:
        answer(call, body, status)
    return caught.value


def client(**settings: Any) -> InfraforgeClient:
    return InfraforgeClient(InfraforgeSettings(Hidden("key-12345"), **settings))


def domain_row(**change: Any) -> dict[str, Any]:
    return {
        "id": "dom_1", "sld": "getexamplebrand", "tld": "com", "status": "active", "workspaceId": "ws_1",
        "expiresAt": "2027-11-20T00:00:00Z", "autoRenewStatus": "disabled", "failedReason": None, **change,
    }  # fmt: skip


def mailbox_row(**change: Any) -> dict[str, Any]:
    return {
        "id": "mbx_1", "email": ADDRESS.upper(), "firstName": "Sample", "lastName": "Sender", "domain": DOMAIN,
        "workspaceId": "ws_1", "status": "active", "forwardingEmail": None, **change,
    }  # fmt: skip


class TestHowItAsks:
    def test_the_key_stands_alone_in_its_header(self) -> None:
        headers = infraforge.list_workspaces().request.headers
        assert headers["Authorization"] == "infraforge-key-1234"

    @pytest.mark.parametrize("bad", ["", " "])
    def test_an_empty_id_would_name_the_whole_collection(self, bad: str) -> None:
        for build in (infraforge.get_dns, infraforge.eligible_ips, lambda one: infraforge.set_password("a", one, "b")):
            with pytest.raises(ValueError, match="id"):
                build(bad)

    def test_an_id_stays_one_part_of_the_path(self) -> None:
        assert infraforge.get_dns("dom/1?x").request.url.endswith("/domains/dom%2F1%3Fx/dns")

    def test_errors_name_the_fields(self) -> None:
        body = {"message": "invalid request body", "data": ["firstName is a required field"]}
        error = refusal(infraforge.list_workspaces(), body)
        assert error.sentence == "invalid request body; firstName is a required field"


class TestWorkspaces:
    @every_form
    def test_list(self, form: Any) -> None:
        row = {"id": "ws_1", "name": "Acme GTM-7K3F9Q", "mailserver": "MX1.example-mail.net", "ip": "192.0.2.10"}
        (found,) = answer(infraforge.list_workspaces(), form([row], "workspaces"))
        assert (found.id, found.name, found.mailserver, found.ip) == (
            "ws_1", "Acme GTM-7K3F9Q", "mx1.example-mail.net", "192.0.2.10",
        )  # fmt: skip

    @pytest.mark.parametrize(("ip", "seen"), [(None, ""), ("", ""), ({"ip": "192.0.2.10"}, "192.0.2.10")])
    def test_the_ip_may_come_later(self, ip: Any, seen: str) -> None:
        (found,) = answer(infraforge.list_workspaces(), [{"id": "ws_1", "name": "A", "ip": ip}])
        assert found.ip == seen

    def test_what_is_asked(self) -> None:
        call = infraforge.create_workspace("Sample GTM-7K3F9Q", attach_ip=True, ceiling_cents=9900)
        assert call.request.json == {"name": "Sample GTM-7K3F9Q", "attachUniqueIp": True}
        assert (call.items, call.proof, call.repeatable) == (("Sample GTM-7K3F9Q",), Proof.ANSWER, False)
        assert call.price_ceilings == {"Sample GTM-7K3F9Q": 9900}

    @pytest.mark.parametrize("wrap", [lambda row: row, lambda row: {"workspace": row}, lambda row: {"data": row}])
    def test_the_new_id_in_every_form(self, wrap: Any) -> None:
        made = answer(infraforge.create_workspace("A"), wrap({"id": "ws_1", "slug": "a"}), 201)
        assert (made.id, made.name) == ("ws_1", "A")

    @pytest.mark.parametrize("body", [b"", {}, {"workspace": None}, {"id": None}])
    def test_without_id_it_is_unknown(self, body: Any) -> None:
        with pytest.raises(OutcomeUnknown):
            answer(infraforge.create_workspace("A"), body)

    @pytest.mark.parametrize(
        ("message", "status", "code"),
        [
            ("whatever they say", 402, "insufficient_wallet"),
            ("Insufficient credits", 400, "insufficient_wallet"),
            ("no unique IP available", 400, "ip_not_available"),
            ("invalid request body; name must be 1 to 50 characters", 400, "bad_name"),
        ],
    )
    def test_refusals(self, message: str, status: int, code: str) -> None:
        error = refusal(infraforge.create_workspace("A", attach_ip=True), {"message": message}, status)
        assert isinstance(error, Rejected)
        assert error.code == code

    @pytest.mark.parametrize("rows", [["192.0.2.10", "192.0.2.11"], [{"ip": "192.0.2.10"}, {"ip": "192.0.2.11"}]])
    def test_eligible_ips_in_both_forms(self, rows: Any) -> None:
        assert answer(infraforge.eligible_ips("ws_1"), rows) == ("192.0.2.10", "192.0.2.11")

    @pytest.mark.parametrize("rows", [[7], [{"ip": None}], [""], ["unexpected"]])
    def test_an_ip_that_is_none_is_unreadable(self, rows: Any) -> None:
        with pytest.raises(Unavailable):
            answer(infraforge.eligible_ips("ws_1"), rows)

    def test_preserving_spf_is_said_only_by_setting(self) -> None:
        assert infraforge.set_ip("ws_1", "192.0.2.10").request.json == {"ip": "192.0.2.10"}
        said = client(preserve_spf=True).set_ip("ws_1", "192.0.2.10").request.json
        assert said == {"ip": "192.0.2.10", "preserveSpf": True}


class TestNames:
    call = infraforge.check_domains([DOMAIN, OTHER.upper()])

    def test_what_is_asked(self) -> None:
        assert self.call.request.json == {"domains": [DOMAIN, OTHER]}
        assert (self.call.items, self.call.weight_class) == ((), "search")

    @every_form
    def test_offers_come_in_the_order_asked(self, form: Any) -> None:
        rows = [
            {"domain": OTHER, "available": False},
            {"domain": DOMAIN, "available": True, "price": 14, "minCreationPeriodMonths": 12},
        ]
        first, second = answer(self.call, form(rows, "domains"))
        assert (first.name, first.available, first.price_cents, first.months) == (DOMAIN, True, 1400, 12)
        assert (first.premium, first.renewal_cents) == (False, None)
        assert (second.name, second.available, second.price_cents) == (OTHER, False, None)

    @pytest.mark.parametrize(
        ("price", "cents"),
        [({"price": 14}, 1400), ({"price": "14.50"}, 1450), ({"priceCents": 1399, "price": 14}, 1399), ({"price": 0}, None),
         ({"price": -1}, None), ({}, None), ({"price": "soon"}, None)],
    )  # fmt: skip
    def test_prices(self, price: Any, cents: int | None) -> None:
        (offer,) = answer(self.call, [{"domain": DOMAIN, "available": True, **price}])
        assert offer.price_cents == cents

    @pytest.mark.parametrize("word", [None, "perhaps", "pending"])
    def test_neither_yes_nor_no_is_no_answer(self, word: Any) -> None:
        assert answer(self.call, [{"domain": DOMAIN, "available": word}]) == ()

    def test_a_hundred_at_most(self) -> None:
        for bad in ([], [f"n{number}.com" for number in range(101)]):
            with pytest.raises(ValueError, match="names"):
                infraforge.check_domains(bad)


class TestBuying:
    call = infraforge.buy_domains("ws_1", {DOMAIN: 1500, OTHER: 1600}, REGISTRANT, "dmarc@ops.example")
    rows = (domain_row(status="pending"), domain_row(id="dom_2", sld="tryexamplebrand", status="pending"))

    def test_what_is_asked(self) -> None:
        assert self.call.request.json == {
            "workspaceId": "ws_1",
            "domains": [DOMAIN, OTHER],
            "contactDetails": {**REGISTRANT, "dmarcEmail": "dmarc@ops.example"},
        }

    def test_how_it_is_kept(self) -> None:
        call = self.call
        assert (call.items, call.proof, call.repeatable) == ((DOMAIN, OTHER), Proof.READ, False)
        assert call.price_ceilings == {DOMAIN: 1500, OTHER: 1600}
        assert call.order_drop == 300.0

    def test_a_receipt(self) -> None:
        body = {"domains": list(self.rows), "invoice": {"id": "inv_1", "totalCents": 2800}, "checkoutUrl": None}
        receipt = answer(self.call, body)
        assert [domain.name for domain in receipt.domains] == [DOMAIN, OTHER]
        assert (receipt.invoice_id, receipt.invoice_cents) == ("inv_1", 2800)
        assert [domain.name for domain in answer(self.call, list(self.rows)).domains] == [DOMAIN, OTHER]

    @pytest.mark.parametrize("body", [b"", {}, {"domains": []}, {"domains": [domain_row()]}, {"message": "ok"}])
    def test_what_does_not_name_every_domain_is_unknown(self, body: Any) -> None:
        with pytest.raises(OutcomeUnknown):
            answer(self.call, body)

    @pytest.mark.parametrize("rows", [[], None, [domain_row(status="not_paid")], [domain_row(status="draft")]])
    def test_a_checkout_address_bought_nothing(self, rows: Any) -> None:
        error = refusal(self.call, {"domains": rows, "checkoutUrl": "https://pay.example/c_1"}, 200)
        assert isinstance(error, Rejected)
        assert error.code == "insufficient_wallet"
        assert "pay.example" not in str(error)

    def test_a_checkout_address_beside_bought_rows_is_unknown(self) -> None:
        with pytest.raises(OutcomeUnknown):
            answer(self.call, {"domains": list(self.rows), "checkoutUrl": "https://pay.example/c_1"})

    @pytest.mark.parametrize(
        ("message", "code"),
        [
            (f"domain {DOMAIN} is not available", "name_taken"),
            ("unsupported TLD .zz", "ending_not_sold"),
            ("price has changed", "price_changed"),
            ("invalid request body; contactDetails.phone is a required field", "contact_refused"),
            ("not enough credits", "insufficient_wallet"),
        ],
    )
    def test_refusals(self, message: str, code: str) -> None:
        error = refusal(self.call, {"message": message})
        assert isinstance(error, Rejected)
        assert error.code == code

    def test_ours_already(self) -> None:
        assert isinstance(refusal(self.call, {"message": "domain already in your account"}), AlreadyExists)

    def test_nothing_to_buy_and_an_incomplete_contact(self) -> None:
        with pytest.raises(ValueError, match="nothing"):
            infraforge.buy_domains("ws_1", {}, REGISTRANT)
        with pytest.raises(ValueError, match=r"phone, city"):
            infraforge.buy_domains("ws_1", {DOMAIN: 1500}, {**REGISTRANT, "phone": " ", "city": ""})

    def test_the_operators_contact_in_their_words(self) -> None:
        operator = {
            "company": "Ops", "firstName": "Olive", "lastName": "Operator", "addressLineOne": "1 Example Street",
            "city": "Springfield", "state": "IL", "country": "US", "postalCode": "62701", "phoneCc": "+1",
            "phone": "5550100",
        }  # fmt: skip
        contact = contact_of(operator, "contact@ops.example")
        assert set(contact) == set(CONTACT)
        assert (contact["organization"], contact["province"], contact["phone"], contact["email"]) == (
            "Ops", "IL", "+15550100", "contact@ops.example",
        )  # fmt: skip


class TestDomains:
    @every_form
    def test_the_name_is_joined(self, form: Any) -> None:
        (found,) = answer(infraforge.list_domains(), form([domain_row()], "domains"))
        assert (found.id, found.name, found.workspace_id, found.expires_on) == (
            "dom_1", DOMAIN, "ws_1", "2027-11-20T00:00:00Z",
        )  # fmt: skip

    @pytest.mark.parametrize(
        "change", [{"domain": DOMAIN.upper()}, {"name": DOMAIN}, {"sld": "getexamplebrand", "tld": ".com"}]
    )
    def test_the_name_in_other_forms(self, change: dict[str, Any]) -> None:
        (found,) = answer(infraforge.list_domains(), [domain_row(**{"sld": None, "tld": None, **change})])
        assert found.name == DOMAIN

    @pytest.mark.parametrize("change", [{"sld": None}, {"id": None}])
    def test_without_identity_the_list_is_unreadable(self, change: dict[str, Any]) -> None:
        with pytest.raises(Unavailable):
            answer(infraforge.list_domains(), [domain_row(**change)])

    @pytest.mark.parametrize(
        ("status", "seen"),
        [
            ("active", (True, True, False)),
            ("PENDING", (True, False, False)),
            ("failed", (True, False, True)),
            ("draft", (False, False, False)),
            ("not_paid", (False, False, False)),
            ("warming_up", (True, False, False)),
        ],
    )
    def test_states(self, status: str, seen: tuple[bool, bool, bool]) -> None:
        (found,) = answer(infraforge.list_domains(), [domain_row(status=status)])
        assert (found.bought, found.active, found.failed) == seen

    @pytest.mark.parametrize(("word", "on"), [("enabled", True), ("disabled", False), ("failed", None), (None, None)])
    def test_renewal(self, word: str | None, on: bool | None) -> None:
        (found,) = answer(infraforge.list_domains(), [domain_row(autoRenewStatus=word)])
        assert found.auto_renew is on

    def test_search_is_the_only_filter(self) -> None:
        assert infraforge.list_domains().request.query == {}
        assert infraforge.list_domains(DOMAIN.upper()).request.query == {"search": DOMAIN}

    @pytest.mark.parametrize("word", ["enable", "disable"])
    def test_renewal_of_one_and_of_several(self, word: str) -> None:
        switch = getattr(infraforge, f"{word}_autorenew")
        one, several = switch({DOMAIN: "dom_1"}), switch(IDS)
        assert (one.request.method, one.request.json) == ("PUT", None)
        assert one.request.url.endswith(f"/domains/dom_1/{word}-autorenew")
        assert (several.request.method, several.request.json) == ("POST", {"domainIds": ["dom_1", "dom_2"]})
        assert several.request.url.endswith(f"/domains/bulk-{word}-autorenew")
        assert (several.items, several.repeatable, several.proof) == ((DOMAIN, OTHER), True, Proof.READ)
        answer(one, b"", 204)
        with pytest.raises(ValueError, match="no domains"):
            switch({})


class TestDns:
    ROWS: tuple[dict[str, Any], ...] = (
        {"name": DOMAIN, "type": "mx", "value": "10 mx1.example-mail.net", "editable": False},
        {"name": f"_dmarc.{DOMAIN}", "type": "TXT", "value": "v=DMARC1; p=reject", "editable": False},
    )

    @every_form
    def test_read(self, form: Any) -> None:
        records = answer(infraforge.get_dns("dom_1"), form(list(self.ROWS), "records"))
        assert records == (
            DnsRecord(DOMAIN, "MX", "10 mx1.example-mail.net", False),
            DnsRecord(f"_dmarc.{DOMAIN}", "TXT", "v=DMARC1; p=reject", False),
        )

    def test_what_was_read_can_be_sent_back_whole(self) -> None:
        records = answer(infraforge.get_dns("dom_1"), list(self.ROWS))
        call = infraforge.put_dns(DOMAIN, "dom_1", records)
        assert call.request.json == {"records": [{**row, "type": row["type"].upper()} for row in self.ROWS]}
        assert (call.request.method, call.items, call.repeatable) == ("PUT", (DOMAIN,), True)
        answer(call, b"", 204)

    def test_an_empty_set_is_never_sent(self) -> None:
        with pytest.raises(ValueError, match="out of service"):
            infraforge.put_dns(DOMAIN, "dom_1", [])

    @pytest.mark.parametrize(("by", "sent"), [("id", ["dom_1", "dom_2"]), ("name", [DOMAIN, OTHER])])
    def test_the_bulk_call_by_id_or_name(self, by: str, sent: list[str]) -> None:
        call = client(bulk_dns_by=by).set_dmarc_bulk(IDS, "none", "dmarc@ops.example")
        assert call.request.json == {"domains": sent, "dmarcPolicy": "none", "dmarcEmail": "dmarc@ops.example"}
        assert (call.items, call.repeatable) == ((DOMAIN, OTHER), True)
        answer(call, b"", 202)

    def test_an_unknown_policy_is_not_sent(self) -> None:
        with pytest.raises(ValueError, match="policy"):
            infraforge.set_dmarc_bulk(IDS, "monitor")

    def test_an_unknown_domain(self) -> None:
        call = infraforge.set_dmarc_bulk(IDS, "none")
        assert isinstance(refusal(call, {"message": "domain dom_2 not found"}), NotFound)


class TestTransfer:
    call = infraforge.transfer_domains("ws_1", [DOMAIN], "dmarc@ops.example")

    def test_what_is_asked(self) -> None:
        assert self.call.request.json == {
            "workspaceId": "ws_1", "domains": [DOMAIN], "dmarcEmail": "dmarc@ops.example",
        }  # fmt: skip
        assert (self.call.items, self.call.repeatable, self.call.proof) == ((DOMAIN,), False, Proof.READ)

    @pytest.mark.parametrize(
        "body",
        [{"domains": [domain_row()], "invoice": None}, {"domains": [], "allDomainsAlreadyInWorkspace": True}],
    )
    def test_taken_in(self, body: Any) -> None:
        answer(self.call, body)

    @pytest.mark.parametrize("body", [{}, {"domains": []}, {"domains": [], "allDomainsAlreadyInWorkspace": False}])
    def test_what_names_nothing_is_unknown(self, body: Any) -> None:
        with pytest.raises(OutcomeUnknown):
            answer(self.call, body)

    def test_an_invoice_to_be_paid_by_card(self) -> None:
        error = refusal(self.call, {"domains": [], "checkoutUrl": "https://pay.example"}, 200)
        assert isinstance(error, Rejected)
        assert error.code == "insufficient_wallet"

    @pytest.mark.parametrize(
        "body",
        [["NS1.example.net.", "ns2.example.net"], {"nameservers": ["ns1.example.net", "ns2.example.net"]},
         {"data": [{"host": "ns1.example.net"}, {"name": "ns2.example.net"}]}],
    )  # fmt: skip
    def test_nameservers(self, body: Any) -> None:
        assert answer(infraforge.transfer_nameservers(), body) == ("ns1.example.net", "ns2.example.net")

    @pytest.mark.parametrize("body", [[], {"nameservers": []}, {"nameservers": None}, ["unexpected"]])
    def test_no_nameservers_is_unreadable(self, body: Any) -> None:
        with pytest.raises(Unavailable):
            answer(infraforge.transfer_nameservers(), body)


class TestMailboxes:
    boxes = (NewMailbox("Sample", "Sample", "Sender"), NewMailbox("s.sender", "Sample", "Sender"))
    call = infraforge.create_mailboxes({DOMAIN: boxes, OTHER: boxes[:1]}, ceiling_cents=500)
    addresses = (ADDRESS, f"s.sender@{DOMAIN}", f"sample@{OTHER}")

    def test_what_is_asked(self) -> None:
        first, second = self.call.request.json["domains"]
        assert (first["domain"], [row["email"] for row in first["mailboxes"]]) == (DOMAIN, list(self.addresses[:2]))
        assert second == {
            "domain": OTHER, "mailboxes": [{"email": f"sample@{OTHER}", "firstName": "Sample", "lastName": "Sender"}],
        }  # fmt: skip

    def test_how_it_is_kept(self) -> None:
        assert (self.call.items, self.call.proof, self.call.repeatable) == (self.addresses, Proof.READ, False)
        assert self.call.price_ceilings == dict.fromkeys(self.addresses, 500)

    @pytest.mark.parametrize("member", ["email", "address"])
    @every_form
    def test_an_answer_that_names_them_all(self, form: Any, member: str) -> None:
        answer(self.call, form([{member: one.upper(), "status": "pending"} for one in self.addresses], "mailboxes"))

    @pytest.mark.parametrize("body", [b"", {"message": "created"}, {"invoice": {}}])
    def test_an_answer_that_says_little(self, body: Any) -> None:
        answer(self.call, body, 202)

    @pytest.mark.parametrize(
        "body", [{}, [], {"mailboxes": []}, {"mailboxes": [{"email": ADDRESS}]}, {"mailboxes": [{}]}]
    )
    def test_an_answer_that_leaves_some_out_is_unknown(self, body: Any) -> None:
        with pytest.raises(OutcomeUnknown):
            answer(self.call, body)

    @pytest.mark.parametrize(
        ("message", "code"),
        [
            ("limit of 10 mailboxes per domain exceeded", "domain_full"),
            ("domain is not active", "domain_not_ready"),
            ("email must be an email address", "bad_username"),
            ("no card on file; payment required", "insufficient_wallet"),
        ],
    )
    def test_refusals(self, message: str, code: str) -> None:
        error = refusal(self.call, {"message": message})
        assert isinstance(error, Rejected)
        assert error.code == code

    def test_one_exists(self) -> None:
        assert isinstance(refusal(self.call, {"message": f"mailbox {ADDRESS} already exists"}), AlreadyExists)

    def test_none(self) -> None:
        with pytest.raises(ValueError, match="no mailboxes"):
            infraforge.create_mailboxes({})
        with pytest.raises(ValueError, match="no mailboxes"):
            infraforge.create_mailboxes({DOMAIN: []})

    @every_form
    def test_list(self, form: Any) -> None:
        (box,) = answer(infraforge.list_mailboxes("ws_1"), form([mailbox_row()], "mailboxes"))
        assert (box.id, box.address, box.domain, box.workspace_id, box.active, box.imap, box.smtp) == (
            "mbx_1", ADDRESS, DOMAIN, "ws_1", True, None, None,
        )  # fmt: skip

    @pytest.mark.parametrize("change", [{"id": None}, {"email": None}, {"email": "sample"}])
    def test_without_identity_the_list_is_unreadable(self, change: dict[str, Any]) -> None:
        with pytest.raises(Unavailable):
            answer(infraforge.list_mailboxes(), [mailbox_row(**change)])

    def test_the_query_says_only_what_is_wanted(self) -> None:
        assert infraforge.list_mailboxes().request.query == {}
        assert infraforge.list_mailboxes("ws_1", ADDRESS, with_credentials=True).request.query == {
            "workspace_id": "ws_1", "search": ADDRESS, "with_credentials": "true",
        }  # fmt: skip

    def test_passwords_are_hidden_whole_and_remembered(self) -> None:
        credentials = {
            "imapHost": "MX1.example-mail.net", "imapPort": 993, "imapUsername": ADDRESS, "imapPassword": " first-1 ",
            "smtpHost": "mx1.example-mail.net", "smtpPort": "465", "smtpUsername": ADDRESS, "smtpPassword": "second-2",
        }  # fmt: skip
        (box,) = answer(infraforge.list_mailboxes("ws_1"), [mailbox_row(credentials=credentials)])
        assert (box.imap.host, box.imap.port, box.smtp.port) == ("mx1.example-mail.net", 993, 465)
        assert (box.imap.password.open(), box.smtp.password.open()) == (" first-1 ", "second-2")
        assert "second-2" not in repr(box)
        assert "second-2" not in redact("they said second-2")

    @pytest.mark.parametrize("missing", ["imapHost", "imapPort", "imapPassword"])
    @pytest.mark.parametrize("value", [None, ""])
    def test_a_login_that_lacks_a_part_is_none(self, missing: str, value: Any) -> None:
        credentials = {"imapHost": "mx1.example-mail.net", "imapPort": 993, "imapPassword": "first-1", missing: value}
        (box,) = answer(infraforge.list_mailboxes("ws_1"), [mailbox_row(credentials=credentials)])
        assert (box.imap, box.smtp) == (None, None)

    def test_what_we_set_ourselves_goes_by_the_workspaces_server(self) -> None:
        settings = dataclasses.replace(infraforge.settings, smtp_port=587)
        smtp, imap = own_logins(settings, "mx1.example-mail.net", ADDRESS, Hidden("our-own-1"))
        assert (smtp.host, smtp.port, imap.host, imap.port) == (
            "mx1.example-mail.net", 587, "mx1.example-mail.net", 993,
        )  # fmt: skip
        assert (imap.username, smtp.username, imap.password) == (ADDRESS, ADDRESS, Hidden("our-own-1"))

    def test_a_password_is_set_by_id_and_may_be_set_again(self) -> None:
        call = infraforge.set_password(ADDRESS.upper(), "mbx_1", "pass-word-7")
        assert (call.request.method, call.request.json) == ("PATCH", {"password": "pass-word-7"})
        assert (call.items, call.repeatable, call.proof) == ((ADDRESS,), True, Proof.ANSWER)
        assert "pass-word-7" not in redact("refused pass-word-7")
        answer(call, b"", 204)


class TestExport:
    call = infraforge.export_to_salesforge("ws_1", "wks_1", {ADDRESS.upper(): "mbx_1"}, "GTM-7K3F9Q", "wfw_1")

    def test_what_is_asked(self) -> None:
        assert self.call.request.json == {
            "fromWorkspaceId": "ws_1", "toWorkspaceId": "wks_1", "tagName": "GTM-7K3F9Q", "warmupActivated": True,
            "includedIds": ["mbx_1"], "toWarmforgeWorkspaceId": "wfw_1",
        }  # fmt: skip
        assert (self.call.items, self.call.proof, self.call.repeatable) == ((ADDRESS,), Proof.READ, False)

    def test_without_warmforge(self) -> None:
        call = infraforge.export_to_salesforge("ws_1", "wks_1", {ADDRESS: "mbx_1"}, "GTM", warmup_activated=False)
        assert "toWarmforgeWorkspaceId" not in call.request.json
        assert call.request.json["warmupActivated"] is False

    def test_never_everything(self) -> None:
        with pytest.raises(ValueError, match="no mailboxes"):
            infraforge.export_to_salesforge("ws_1", "wks_1", {}, "GTM-7K3F9Q")

    @pytest.mark.parametrize("body", [b"", {}, {"message": "Export started"}])
    def test_any_acceptance_will_do(self, body: Any) -> None:
        answer(self.call, body, 202)

    def test_without_subscription(self) -> None:
        error = refusal(self.call, {"message": "a Salesforge subscription is required"})
        assert isinstance(error, Rejected)
        assert error.code == "no_subscription"


class TestCredits:
    def test_cents(self) -> None:
        body = {"availableAmountCents": 12500, "topupSettings": {"isEnabled": True}}
        balance = answer(infraforge.credit_balance(), body)
        assert (balance.balance_cents, balance.auto_topup) == (12500, True)

    @pytest.mark.parametrize(("status", "message"), [(404, "x"), (400, "credits not set up"), (400, "not found")])
    def test_never_set_up(self, status: int, message: str) -> None:
        assert isinstance(refusal(infraforge.credit_balance(), {"message": message}, status), NotFound)

    @pytest.mark.parametrize("body", [{}, {"availableAmountCents": None}, {"availableAmountCents": "much"}])
    def test_without_a_sum_it_is_unreadable(self, body: Any) -> None:
        with pytest.raises(Unavailable):
            answer(infraforge.credit_balance(), body)
