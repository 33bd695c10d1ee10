"""Section 6 of platforms/infraforge.md, "What the sandbox must reproduce": each heading below is one of its lines."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import load_der_public_key

from infra.dns.records import Type
from infra.dns.resolver import Answer, Status
from integrations.sandbox import Request, Response, Wire, control
from integrations.sandbox.dns import DKIM_KEY
from integrations.sandbox.infraforge_world import break_record, records_of
from integrations.sandbox.mailhost import opens
from tests.integration.world import name_servers
from tests.unit.sandbox.kit import DAY, HOUR, Box

NAME, OTHER = "getexamplebrand.com", "tryexamplebrand.com"
REFERENCE = "Sample Student GTM-7K3F9Q"
CONTACT = {
    "firstName": "Olive", "lastName": "Operator", "email": "contact@ops.example", "phone": "+15550100",
    "organization": "Ops", "address1": "1 Street", "city": "Town", "province": "IL", "postalCode": "62701",
    "country": "US",
}  # fmt: skip
PASSWORD = "our-own-password-1"


class Forge(Box):
    """A sandbox, and short ways to talk to its InfraForge."""

    def space(self, name: str = REFERENCE, **body: Any) -> str:
        answer = self.infraforge("POST", "/workspaces", {"name": name, **body})
        assert answer.status == 201, answer.body
        return str(answer.json()["id"])

    def order(self, space: str, *names: str, **contact: Any) -> Response:
        body = {"workspaceId": space, "domains": list(names), "contactDetails": {**CONTACT, **contact}}
        return self.infraforge("POST", "/domains", body)

    def listed(self, **query: Any) -> dict[str, dict[str, Any]]:
        rows = self.infraforge("GET", "/domains", **query).json()
        return {f"{row['sld']}.{row['tld']}": row for row in rows}

    def owned(self, space: str, *names: str) -> list[str]:
        assert self.order(space, *names).status == 200
        self.sandbox.advance(DAY)
        return [self.listed()[name]["id"] for name in names]

    def ask_boxes(self, domain: str, *users: str, **more: Any) -> Response:
        rows = [{"email": f"{u}@{domain}", "firstName": "Sample", "lastName": "Sender", **more} for u in users]
        return self.infraforge("POST", "/mailboxes", {"domains": [{"domain": domain, "mailboxes": rows}]})

    def boxes(self, **query: Any) -> dict[str, dict[str, Any]]:
        return {row["email"]: row for row in self.infraforge("GET", "/mailboxes", **query).json()}

    def working_boxes(self, *users: str) -> tuple[str, list[str]]:
        space = self.space()
        self.owned(space, NAME)
        assert self.ask_boxes(NAME, *users).status == 201
        self.sandbox.advance(DAY)
        return space, [row["id"] for row in self.boxes().values()]

    @property
    def credits(self) -> int:
        return int(self.infraforge("GET", "/credits/balance").json()["availableAmountCents"])

    def public(self) -> set[tuple[str, str, str]]:
        """What the zones hold at this moment, worded as InfraForge words it."""
        now = self.clock.now()
        return {
            (row.name, row.type, f"{row.priority} {row.value}" if row.type == "MX" else row.value)
            for row in records_of(self.sandbox.world, now)
            if row.since <= now < row.until
        }

    def state(self) -> Any:
        return self.sandbox.state()["infraforge"]


@pytest.fixture
def forge() -> Forge:
    return Forge()


@pytest.fixture
def space(forge: Forge) -> str:
    return forge.space()


# 401 for no key, wrong key, Bearer; 400 with sentences; bare lists; ignored filters; 204 without body


@pytest.mark.parametrize(
    ("key", "sentence"),
    [("", "missing api key"), ("wrong", "invalid api key"), ("Bearer sandbox-infraforge-key", "invalid api key")],
)
def test_only_the_bare_key_opens(forge: Forge, key: str, sentence: str) -> None:
    answer = forge.infraforge("GET", "/workspaces", key=key)
    assert (answer.status, answer.json()) == (401, {"message": sentence})


def test_a_revoked_key(forge: Forge) -> None:
    forge.sandbox.faults.add("key_revoked", platform="infraforge")
    assert forge.infraforge("GET", "/workspaces").status == 401


def test_validation_names_the_field_in_a_list(forge: Forge) -> None:
    answer = forge.infraforge("POST", "/workspaces", {})
    assert (answer.status, answer.json()) == (
        400,
        {"message": "invalid request body", "data": ["name is a required field"]},
    )


def test_a_contact_has_to_be_whole(forge: Forge, space: str) -> None:
    answer = forge.order(space, NAME, phone="")
    assert (answer.status, answer.json()["data"]) == (400, ["phone is a required field"])
    assert forge.state()["purchases"] == {}


@pytest.mark.parametrize(
    ("form", "shape"),
    [("bare", list), ("named", "workspaces"), ("data", "data"), ("items", "items"), ("results", "results")],
)
def test_lists_in_every_form(forge: Forge, space: str, form: str, shape: Any) -> None:
    forge.sandbox.switches.set(infraforge_lists=form)
    body = forge.infraforge("GET", "/workspaces").json()
    rows = body if shape is list else body[shape]
    assert [row["id"] for row in rows] == [space]
    assert set(rows[0]) == {"id", "name", "slug", "mailserver", "accountId", "ip"}


def test_filters_are_ignored_but_for_search(forge: Forge, space: str) -> None:
    forge.owned(space, NAME, OTHER)
    assert set(forge.listed(workspaceId="ws_other", status="pending")) == {NAME, OTHER}
    assert set(forge.listed(search="tryex")) == {OTHER}


def test_writes_are_answered_without_a_body(forge: Forge, space: str) -> None:
    (domain,) = forge.owned(space, NAME)
    answers = [
        forge.infraforge("PUT", f"/domains/{domain}/enable-autorenew"),
        forge.infraforge("PUT", f"/domains/{domain}/dns", {"records": []}),
        forge.infraforge("PUT", "/domains/bulk-dns", {"domains": [domain], "dmarcPolicy": "none"}),
    ]
    assert [(answer.status, answer.body) for answer in answers] == [(204, b""), (204, b""), (202, b"")]


# Workspaces and IPs


def test_a_second_workspace_of_the_same_name_orders_a_second_ip(forge: Forge) -> None:
    before = forge.credits
    first, second = forge.space(attachUniqueIp=True), forge.space(attachUniqueIp=True)
    forge.sandbox.advance(HOUR)
    ips = {row["id"]: row["ip"] for row in forge.infraforge("GET", "/workspaces").json()}
    assert ips[first] and ips[second] and ips[first] != ips[second]  # noqa: PT018
    assert forge.credits == before - 2 * 9900


def test_an_ip_is_attached_later(forge: Forge) -> None:
    forge.space(attachUniqueIp=True)
    assert forge.infraforge("GET", "/workspaces").json()[0]["ip"] is None


@pytest.mark.parametrize("form", ["texts", "objects"])
def test_a_workspace_moves_to_an_eligible_ip_only(forge: Forge, space: str, form: str) -> None:
    forge.sandbox.switches.set(infraforge_eligible_ips=form)
    (spare,) = forge.infraforge("GET", f"/workspaces/{space}/eligible-ips").json()
    ip = spare if form == "texts" else spare["ip"]
    assert forge.infraforge("PATCH", f"/workspaces/{space}", {"ip": "192.0.2.1"}).status == 400
    assert forge.infraforge("PATCH", f"/workspaces/{space}", {"ip": ip}).status == 204
    assert forge.infraforge("GET", "/workspaces").json()[0]["ip"] == ip


@pytest.mark.parametrize(
    ("switch", "preserve", "follows"), [("keeps", True, False), ("ignored", True, True), ("keeps", False, True)]
)
def test_spf_follows_the_ip_unless_it_is_preserved(forge: Forge, switch: str, preserve: bool, follows: bool) -> None:
    forge.sandbox.switches.set(infraforge_preserve_spf=switch, infraforge_spf="ip4")
    space = forge.space()
    (domain,) = forge.owned(space, NAME)
    (ip,) = forge.infraforge("GET", f"/workspaces/{space}/eligible-ips").json()
    forge.infraforge("PATCH", f"/workspaces/{space}", {"ip": ip, "preserveSpf": preserve})
    values = [row["value"] for row in forge.infraforge("GET", f"/domains/{domain}/dns").json()]
    assert (f"v=spf1 ip4:{ip} -all" in values) is follows
    assert ("v=spf1 mx -all" in values) is not follows


def test_a_deleted_workspace_takes_everything_along(forge: Forge) -> None:
    space, _ = forge.working_boxes("sample")
    assert forge.infraforge("DELETE", f"/workspaces/{space}").status == 204
    assert (forge.listed(), forge.boxes(), forge.infraforge("GET", "/workspaces").json()) == ({}, {}, [])


# Purchase: credits debited; 402; checkout; 3 of 5; taken in between; price changed; owned names charged again


def test_a_purchase_debits_the_credits(forge: Forge, space: str) -> None:
    before = forge.credits
    answer = forge.order(space, NAME, OTHER).json()
    assert (answer["invoice"]["totalCents"], answer["checkoutUrl"]) == (2800, None)
    assert [(row["sld"], row["tld"], row["status"]) for row in answer["domains"]] == [
        ("getexamplebrand", "com", "pending"), ("tryexamplebrand", "com", "pending"),
    ]  # fmt: skip
    assert forge.credits == before - 2800


@pytest.mark.parametrize(("form", "keys"), [("code", {"code", "message"}), ("message", {"message"}), ("empty", None)])
def test_402_when_the_credits_do_not_do(forge: Forge, space: str, form: str, keys: set[str] | None) -> None:
    forge.sandbox.switches.set(infraforge_402_body=form, infraforge_credits_cents=1000)
    answer = forge.order(space, NAME)
    assert answer.status == 402
    assert (set(answer.json()) if answer.body else None) == keys
    assert (forge.listed(), forge.credits) == ({}, 1000)


@pytest.mark.parametrize("rows", ["none", "unpaid"])
def test_a_checkout_address_and_nothing_bought(forge: Forge, space: str, rows: str) -> None:
    forge.sandbox.switches.set(
        infraforge_short_credits="checkout", infraforge_credits_cents=0, infraforge_checkout_rows=rows
    )
    answer = forge.order(space, NAME)
    assert answer.status == 200
    assert answer.json()["checkoutUrl"]
    assert {row["status"] for row in answer.json()["domains"]} == ({"not_paid"} if rows == "unpaid" else set())
    assert {row["status"] for row in forge.listed().values()} == ({"not_paid"} if rows == "unpaid" else set())
    forge.sandbox.advance(301)
    assert forge.listed() == {}


def test_a_person_may_pay_the_checkout_address_while_it_is_open(forge: Forge, space: str) -> None:
    forge.sandbox.switches.set(
        infraforge_short_credits="checkout", infraforge_credits_cents=0, infraforge_checkout_rows="unpaid"
    )
    forge.order(space, NAME)
    (order,) = forge.state()["orders"]
    assert steer(forge, "/orders", {"pay": order["id"]}) == 200
    forge.sandbox.advance(DAY)
    assert (forge.listed()[NAME]["status"], forge.credits) == ("active", 0)
    assert steer(forge, "/orders", {"pay": order["id"]}) == 400


def test_the_fault_of_a_short_wallet(forge: Forge, space: str) -> None:
    forge.sandbox.faults.add("wallet_short", platform="infraforge", times=1)
    assert forge.order(space, NAME).status == 402
    assert forge.order(space, NAME).status == 200


def test_three_of_five_are_bought(forge: Forge, space: str) -> None:
    names = [f"get{number}example.com" for number in range(5)]
    before = forge.credits
    forge.sandbox.faults.add("partial_purchase", items=names[3:])
    answer = forge.order(space, *names).json()
    assert len(answer["domains"]) == len(forge.listed()) == 3
    assert forge.credits == before - 3 * 1400


@pytest.mark.parametrize(
    ("form", "status", "rows"),
    [
        ("refuse_all", 400, {}),
        ("skip", 200, {OTHER: "pending"}),
        ("failed_row", 200, {NAME: "failed", OTHER: "pending"}),
    ],
)
def test_a_name_that_went_between_check_and_purchase(
    forge: Forge, space: str, form: str, status: int, rows: dict[str, str]
) -> None:
    forge.sandbox.switches.set(infraforge_taken_in_order=form)
    forge.sandbox.faults.add("domain_taken", platform="infraforge", verb="buy_domains", items=[NAME], times=1)
    before = forge.credits
    assert forge.order(space, NAME, OTHER).status == status
    assert {name: row["status"] for name, row in forge.listed().items()} == rows
    assert forge.credits == before - 1400 * list(rows.values()).count("pending")
    assert check(forge, NAME)[NAME]["available"] is False


def test_a_price_that_changed_between_check_and_purchase(forge: Forge, space: str) -> None:
    forge.sandbox.faults.add("price_changed", platform="infraforge", verb="buy_domains", amount=500)
    assert check(forge, NAME)[NAME]["price"] == 14
    before = forge.credits
    forge.order(space, NAME)
    assert forge.credits == before - 1900


@pytest.mark.parametrize(("form", "bought"), [("charge", 2), ("refuse", 1)])
def test_buying_an_owned_name(forge: Forge, space: str, form: str, bought: int) -> None:
    forge.sandbox.switches.set(infraforge_owned_name=form)
    before = forge.credits
    assert [forge.order(space, NAME).status for _ in range(2)] == [200, 200 if form == "charge" else 400]
    assert forge.credits == before - bought * 1400
    assert forge.state()["purchases"][NAME] == {"asked": 2, "bought": bought}
    assert len(forge.listed()) == 1


@pytest.mark.parametrize("form", ["full", "array", "message"])
def test_replies_to_a_purchase(forge: Forge, space: str, form: str) -> None:
    forge.sandbox.switches.set(infraforge_purchase_reply=form)
    body = forge.order(space, NAME).json()
    rows = {"full": ["domains"], "array": [], "message": []}[form]
    for name in rows:
        body = body[name]
    assert body == {"message": "Domains purchased"} if form == "message" else body[0]["sld"] == "getexamplebrand"
    assert set(forge.listed()) == {NAME}


def test_nothing_may_happen_behind_a_good_answer(forge: Forge, space: str) -> None:
    forge.sandbox.faults.add("nothing_happens", verb="buy_domains", times=1)
    assert forge.order(space, NAME).status == 200
    assert forge.listed() == {}


# Effect without answer; late effect


@pytest.mark.parametrize(
    ("kind", "seen"),
    [
        ("reset_after", Wire.RESET),
        ("timeout_after", Wire.SILENT),
        ("status_after", Wire.ANSWERED),
        ("html_body", Wire.ANSWERED),
    ],
)
def test_a_purchase_whose_answer_is_lost_took_place(forge: Forge, space: str, kind: str, seen: Wire) -> None:
    forge.sandbox.faults.add(kind, verb="buy_domains", status=504, times=1)
    answer = forge.order(space, NAME)
    assert answer.wire is seen
    assert answer.status == (504 if kind == "status_after" else 200)
    assert set(forge.listed()) == {NAME}


def test_a_late_purchase(forge: Forge, space: str) -> None:
    forge.sandbox.faults.add("late_execution", verb="buy_domains", seconds=90.0, times=1)
    assert forge.order(space, NAME).wire is Wire.SILENT
    assert forge.listed() == {}
    forge.sandbox.advance(90)
    assert set(forge.listed()) == {NAME}


def test_lists_lag(forge: Forge, space: str) -> None:
    forge.sandbox.faults.add("list_lag", platform="infraforge", seconds=60.0)
    forge.order(space, NAME)
    assert forge.listed() == {}
    forge.sandbox.advance(60)
    assert set(forge.listed()) == {NAME}


# Domains: pending to active or failed by the clock; renewal off at first; rows in parts


def test_a_domain_becomes_active_or_fails(forge: Forge, space: str) -> None:
    forge.sandbox.faults.add("failing_domains", items=[OTHER])
    forge.order(space, NAME, OTHER)
    assert {row["status"] for row in forge.listed().values()} == {"pending"}
    forge.sandbox.advance(HOUR)
    rows = forge.listed()
    assert (rows[NAME]["status"], rows[NAME]["failedReason"]) == ("active", None)
    assert rows[OTHER]["status"] == "failed"
    assert rows[OTHER]["failedReason"]


def test_renewal_is_off_at_first_and_switched_by_one_or_by_many(forge: Forge, space: str) -> None:
    first, second = forge.owned(space, NAME, OTHER)
    assert {row["autoRenewStatus"] for row in forge.listed().values()} == {"disabled"}
    forge.infraforge("PUT", f"/domains/{first}/enable-autorenew")
    assert [forge.listed()[name]["autoRenewStatus"] for name in (NAME, OTHER)] == ["enabled", "disabled"]
    forge.infraforge("POST", "/domains/bulk-disable-autorenew", {"domainIds": [first, second]})
    forge.infraforge("POST", "/domains/bulk-enable-autorenew", {"domainIds": [second]})
    assert [forge.listed()[name]["autoRenewStatus"] for name in (NAME, OTHER)] == ["disabled", "enabled"]
    assert forge.infraforge("POST", "/domains/bulk-enable-autorenew", {"domainIds": ["dom_no"]}).status == 404


def test_a_domain_is_renewed_or_expires_at_its_date(forge: Forge, space: str) -> None:
    first, _ = forge.owned(space, NAME, OTHER)
    forge.infraforge("PUT", f"/domains/{first}/enable-autorenew")
    before = forge.credits
    forge.sandbox.advance(366 * DAY)
    assert [forge.listed()[name]["status"] for name in (NAME, OTHER)] == ["active", "expired"]
    assert forge.credits == before - 1400


def test_unknown_words_of_a_state(forge: Forge, space: str) -> None:
    forge.owned(space, NAME)
    forge.sandbox.faults.add("unknown_status", platform="infraforge", value="reviewing")
    assert forge.listed()[NAME]["status"] == "reviewing"


# Names


def check(forge: Forge, *names: str) -> dict[str, dict[str, Any]]:
    rows = forge.infraforge("POST", "/check-domain-availability-bulk", {"domains": list(names)}).json()
    return {row["domain"]: row for row in rows}


def test_availability(forge: Forge) -> None:
    forge.sandbox.switches.set(infraforge_taken_names=OTHER)
    rows = check(forge, NAME, OTHER, "get.unsold")
    assert rows[NAME] == {"domain": NAME, "available": True, "price": 14, "minCreationPeriodMonths": 12}
    assert [rows[name] for name in (OTHER, "get.unsold")] == [
        {"domain": OTHER, "available": False}, {"domain": "get.unsold", "available": False},
    ]  # fmt: skip
    forge.sandbox.switches.set(infraforge_prices_as="cents")
    assert check(forge, NAME)[NAME]["priceCents"] == 1400


def test_one_name_and_too_many(forge: Forge) -> None:
    assert forge.infraforge("GET", "/check-domain-availability", domain=NAME).json()["available"] is True
    assert forge.infraforge("GET", "/check-domain-availability", domain="get.unsold").status == 400
    many = [f"get{number}.com" for number in range(101)]
    assert forge.infraforge("POST", "/check-domain-availability-bulk", {"domains": many}).status == 400


# DNS: fed into resolvers; a change replaces everything; rows that are not editable can be destroyed


def dns(forge: Forge, domain_id: str) -> list[dict[str, Any]]:
    rows = forge.infraforge("GET", f"/domains/{domain_id}/dns").json()
    assert isinstance(rows, list)
    return rows


def test_the_vendor_makes_four_records_at_once(forge: Forge, space: str) -> None:
    answer = forge.order(space, NAME, dmarcEmail="dmarc@ops.example").json()
    rows = dns(forge, answer["domains"][0]["id"])
    assert [(row["name"], row["type"], row["editable"]) for row in rows] == [
        (NAME, "MX", False), (NAME, "TXT", False), (f"default._domainkey.{NAME}", "TXT", False),
        (f"_dmarc.{NAME}", "TXT", False),
    ]  # fmt: skip
    server = forge.infraforge("GET", "/workspaces").json()[0]["mailserver"]
    assert rows[0]["value"] == f"10 {server}"
    assert rows[3]["value"] == "v=DMARC1; p=reject; rua=mailto:dmarc@ops.example"


def test_the_key_of_dkim_is_a_key() -> None:
    assert load_der_public_key(base64.b64decode(DKIM_KEY)).key_size == 2048  # type: ignore[union-attr]


def test_resolvers_see_active_domains_after_a_while(forge: Forge, space: str) -> None:
    forge.sandbox.switches.set(infraforge_domain_active_seconds=[600, 600], infraforge_dns_visible_seconds=[1800, 1800])
    forge.order(space, NAME)
    assert not [row for row in forge.public() if row[0].endswith(NAME)]
    forge.sandbox.advance(600)
    assert {kind for name, kind, _ in forge.public() if name == NAME} == {"NS"}
    forge.sandbox.advance(1200)
    (domain,) = [row["id"] for row in forge.listed().values()]
    assert {(row["name"], row["type"], row["value"]) for row in dns(forge, domain)} <= forge.public()


def test_the_mail_server_and_the_spf_include_resolve(forge: Forge, space: str) -> None:
    server = forge.infraforge("GET", "/workspaces").json()[0]["mailserver"]
    assert {(name, kind) for name, kind, _ in forge.public()} == {
        (server, "A"), ("_spf.forge-mail.example", "TXT"),
    }  # fmt: skip


def test_a_change_replaces_everything_and_is_seen_a_minute_later(forge: Forge, space: str) -> None:
    (domain,) = forge.owned(space, NAME)
    one = {"name": NAME, "type": "TXT", "value": "only this", "editable": True}
    assert forge.infraforge("PUT", f"/domains/{domain}/dns", {"records": [one]}).status == 204
    assert dns(forge, domain) == [one]
    assert {kind for name, kind, _ in forge.public() if name.endswith(NAME)} == {"NS", "MX", "TXT"}
    forge.sandbox.advance(60)
    assert {(kind, value) for name, kind, value in forge.public() if name.endswith(NAME) and kind != "NS"} == {
        ("TXT", "only this"),
    }  # fmt: skip


def test_a_record_of_another_domain_is_refused(forge: Forge, space: str) -> None:
    (domain,) = forge.owned(space, NAME)
    one = {"name": OTHER, "type": "TXT", "value": "x"}
    assert forge.infraforge("PUT", f"/domains/{domain}/dns", {"records": [one]}).status == 400
    assert len(dns(forge, domain)) == 4


@pytest.mark.parametrize("by", ["id", "name"])
def test_dmarc_in_bulk_by_id_or_name(forge: Forge, space: str, by: str) -> None:
    forge.sandbox.switches.set(infraforge_bulk_dns_by=by)
    ids = forge.owned(space, NAME, OTHER)
    right, wrong = ([NAME, OTHER], ids) if by == "name" else (ids, [NAME, OTHER])
    body = {"dmarcPolicy": "none", "dmarcEmail": "dmarc@ops.example"}
    assert forge.infraforge("PUT", "/domains/bulk-dns", {"domains": wrong, **body}).status == 404
    assert forge.infraforge("PUT", "/domains/bulk-dns", {"domains": right, **body}).status == 202
    for domain in ids:
        assert dns(forge, domain)[3]["value"] == "v=DMARC1; p=none; rua=mailto:dmarc@ops.example"
        assert len(dns(forge, domain)) == 4


def test_dmarc_in_bulk_keeps_what_is_not_said(forge: Forge, space: str) -> None:
    domain = forge.order(space, NAME, dmarcEmail="first@ops.example").json()["domains"][0]["id"]
    forge.infraforge("PUT", "/domains/bulk-dns", {"domains": [domain], "dmarcPolicy": "quarantine"})
    assert dns(forge, domain)[3]["value"] == "v=DMARC1; p=quarantine; rua=mailto:first@ops.example"
    assert forge.infraforge("PUT", "/domains/bulk-dns", {"domains": [domain], "dmarcPolicy": "soft"}).status == 400


def steer(forge: Forge, path: str, body: dict[str, Any]) -> int:
    return control.handle(forge.sandbox, Request.to("POST", path, body=json.dumps(body).encode())).status


@pytest.mark.parametrize("kind", ["mx", "spf", "dkim", "dmarc"])
@pytest.mark.parametrize(("way", "rows"), [("missing", 0), ("wrong", 1), ("double", 2)])
def test_a_record_is_broken_in_public_and_mended(forge: Forge, space: str, kind: str, way: str, rows: int) -> None:
    (domain,) = forge.owned(space, NAME)
    right, shown = forge.public(), dns(forge, domain)
    assert steer(forge, "/records", {"domain": NAME, "kind": kind, "as": way}) == 200
    assert len(forge.public()) == len(right) - 1 + rows
    assert len(right - forge.public()) == (0 if way == "double" else 1)
    assert dns(forge, domain) == shown
    assert steer(forge, "/records", {"domain": NAME, "kind": kind, "as": ""}) == 200
    assert forge.public() == right


def test_a_record_that_a_person_spoiled_is_mended_by_a_whole_set(forge: Forge, space: str) -> None:
    (domain,) = forge.owned(space, NAME)
    right = dns(forge, domain)
    assert steer(forge, "/records", {"domain": NAME, "kind": "spf", "as": "missing", "where": "zone"}) == 200
    assert len(dns(forge, domain)) == 3
    forge.infraforge("PUT", f"/domains/{domain}/dns", {"records": right})
    forge.sandbox.advance(60)
    assert {(row["name"], row["type"], row["value"]) for row in right} <= forge.public()


@pytest.mark.parametrize("body", [{"domain": "no.com"}, {"kind": "txt"}, {"as": "odd"}, {"where": "there"}])
def test_breaking_takes_only_what_there_is(forge: Forge, space: str, body: dict[str, str]) -> None:
    forge.owned(space, NAME)
    assert steer(forge, "/records", {"domain": NAME, "kind": "spf", "as": "wrong", **body}) == 400


def test_public_dns_as_a_switch(forge: Forge, space: str) -> None:
    forge.owned(space, NAME)
    right = forge.public()
    forge.sandbox.switches.set(infraforge_public_dns="not_visible")
    assert {kind for name, kind, _ in forge.public() if name.endswith(NAME)} == {"NS"}
    forge.sandbox.switches.set(infraforge_public_dns="wrong_value")
    assert len(right - forge.public()) == 4
    forge.sandbox.switches.set(infraforge_public_dns="right")
    assert forge.public() == right


def test_the_simulated_name_servers_show_all_of_it(forge: Forge, space: str) -> None:
    (domain,) = forge.owned(space, NAME)
    for row in dns(forge, domain):
        found = resolve(forge, row["name"], Type(row["type"]))
        assert [one.shown for one in found.records] == [row["value"]]
    server = forge.infraforge("GET", "/workspaces").json()[0]["mailserver"]
    assert resolve(forge, server, Type.A).status is Status.RECORDS
    assert resolve(forge, "_spf.forge-mail.example", Type.TXT).values == ("v=spf1 ip4:198.18.0.0/16 -all",)


def test_a_resolver_that_lags_sees_a_change_later(forge: Forge, space: str) -> None:
    forge.sandbox.switches.set(dns_lag_seconds=900)
    (domain,) = forge.owned(space, NAME)
    forge.infraforge("PUT", "/domains/bulk-dns", {"domains": [domain], "dmarcPolicy": "none"})
    forge.sandbox.advance(60)
    policies = [
        resolve(forge, f"_dmarc.{NAME}", Type.TXT, server).values[0].split(";")[1] for server in ("first", "lagging")
    ]
    assert policies == [" p=none", " p=reject"]


def resolve(forge: Forge, name: str, kind: Type, server: str = "first") -> Answer:
    servers = name_servers(forge.sandbox)
    (found,) = [one for one in (*servers.resolvers, *servers.authoritative) if one.name == server]
    return found.query(name, kind)


# Domains from elsewhere


def bring(forge: Forge, space: str, *names: str) -> Response:
    body = {"workspaceId": space, "domains": list(names), "dmarcEmail": "dmarc@ops.example"}
    return forge.infraforge("POST", "/domains/transfer", body)


@pytest.mark.parametrize("form", ["array", "object"])
def test_nameservers_in_both_forms(forge: Forge, form: str) -> None:
    forge.sandbox.switches.set(infraforge_nameservers=form)
    body = forge.infraforge("GET", "/domains/transfer-ns-info").json()
    assert (body if form == "array" else body["nameservers"]) == ["ns1.sandbox.test", "ns2.sandbox.test"]


def test_a_domain_from_elsewhere_waits_for_its_nameservers(forge: Forge, space: str) -> None:
    forge.sandbox.switches.set(infraforge_owner_changes_nameservers="by_control")
    assert bring(forge, space, NAME).json()["domains"][0]["status"] == "pending"
    forge.sandbox.advance(7 * DAY)
    assert not {row for row in forge.public() if row[0] == NAME}
    assert sorted(resolve(forge, NAME, Type.NS).values) == ["ns1.registrar.example", "ns2.registrar.example"]
    assert steer(forge, "/nameservers", {"domain": NAME}) == 200
    assert steer(forge, "/nameservers", {"domain": NAME}) == 400
    forge.sandbox.advance(DAY)
    assert forge.listed()[NAME]["status"] == "active"
    assert sorted(resolve(forge, NAME, Type.NS, "authoritative").values) == ["ns1.sandbox.test", "ns2.sandbox.test"]
    assert {kind for name, kind, _ in forge.public() if name == NAME} == {"MX", "TXT"}


def test_what_lay_at_its_old_place_is_gone_once_a_domain_leads_here(forge: Forge, space: str) -> None:
    forge.sandbox.switches.set(infraforge_owner_changes_nameservers="by_control", dns_delegation_seconds=0)
    old = {"domain": NAME, "servers": ["ns1.old.example"], "owned": True, "mail_server": "mx.old.example"}
    assert steer(forge, "/nameservers", old) == 200
    bring(forge, space, NAME)
    assert resolve(forge, NAME, Type.MX, "authoritative").values == ("mx.old.example",)
    assert steer(forge, "/nameservers", {"domain": NAME, "servers": ["ns1.sandbox.test"]}) == 200
    forge.sandbox.advance(2 * DAY)
    assert forge.listed()[NAME]["status"] == "pending", "one of two servers is not enough"
    assert steer(forge, "/nameservers", {"domain": NAME}) == 200
    forge.sandbox.advance(DAY)
    assert forge.listed()[NAME]["status"] == "active"
    assert resolve(forge, NAME, Type.MX, "authoritative").values != ("mx.old.example",)
    assert steer(forge, "/nameservers", {"domain": NAME, "servers": ["ns1.old.example"]}) == 200
    assert resolve(forge, NAME, Type.MX, "authoritative").values == ("mx.old.example",)


def test_a_name_that_somebody_owns_is_taken(forge: Forge, space: str) -> None:
    steer(forge, "/nameservers", {"domain": NAME, "servers": ["ns1.old.example"], "owned": True})
    assert forge.infraforge("GET", f"/check-domain-availability?domain={NAME}").json()["available"] is False
    assert steer(forge, "/nameservers", {"domain": "no name", "servers": ["ns1.old.example"]}) == 400


def test_or_its_owner_changes_them_at_once(forge: Forge, space: str) -> None:
    bring(forge, space, NAME)
    forge.sandbox.advance(DAY)
    assert forge.listed()[NAME]["status"] == "active"


def test_bringing_in_twice_says_that_it_is_here(forge: Forge, space: str) -> None:
    assert bring(forge, space, NAME).json()["allDomainsAlreadyInWorkspace"] is False
    again = bring(forge, space, NAME).json()
    assert (again["domains"], again["allDomainsAlreadyInWorkspace"]) == ([], True)
    assert bring(forge, forge.space("Another"), NAME).status == 400


@pytest.mark.parametrize(("form", "cents", "bought"), [("free", 0, 1), ("invoice", 1400, 1), ("checkout", 0, 0)])
def test_what_bringing_in_costs(forge: Forge, space: str, form: str, cents: int, bought: int) -> None:
    forge.sandbox.switches.set(infraforge_transfer=form)
    before = forge.credits
    body = bring(forge, space, NAME).json()
    assert (forge.credits, len(forge.listed())) == (before - cents, bought)
    assert bool(body.get("checkoutUrl")) is (form == "checkout")


# Mailboxes: no ids in the reply, password ignored, 535 until one is set, credentials only with the flag, cap, failures


@pytest.mark.parametrize(("form", "status"), [("rows", 201), ("message", 202), ("empty", 202)])
def test_the_reply_to_new_mailboxes_has_no_ids(forge: Forge, space: str, form: str, status: int) -> None:
    forge.sandbox.switches.set(infraforge_mailboxes_reply=form)
    forge.owned(space, NAME)
    before = forge.credits
    answer = forge.ask_boxes(NAME, "sample", "s.sender")
    assert answer.status == status
    assert b"mbx_" not in answer.body
    assert [(box["status"], box["workspaceId"]) for box in forge.boxes().values()] == [("pending", space)] * 2
    assert forge.credits == before - 600


def test_a_login_is_refused_until_a_password_is_set(forge: Forge, space: str) -> None:
    forge.owned(space, NAME)
    forge.ask_boxes(NAME, "sample", password=PASSWORD)
    forge.sandbox.advance(HOUR)
    box = forge.boxes(with_credentials="true")[f"sample@{NAME}"]
    world = forge.sandbox.world
    for password in (PASSWORD, box["credentials"]["smtpPassword"]):
        assert not opens(world, f"sample@{NAME}", password)
    assert forge.infraforge("PATCH", f"/mailboxes/{box['id']}", {"password": PASSWORD}).status == 204
    assert opens(world, f"SAMPLE@{NAME}", PASSWORD)
    assert not opens(world, f"sample@{NAME}", "another-one")
    shown = forge.boxes(with_credentials="true")[f"sample@{NAME}"]["credentials"]
    assert shown["imapPassword"] == shown["smtpPassword"] == PASSWORD


def test_or_the_first_password_works_by_switch(forge: Forge) -> None:
    forge.sandbox.switches.set(infraforge_first_login="works")
    forge.working_boxes("sample")
    shown = forge.boxes(with_credentials="true")[f"sample@{NAME}"]["credentials"]
    assert opens(forge.sandbox.world, f"sample@{NAME}", shown["smtpPassword"])


def test_credentials_come_only_with_the_flag(forge: Forge) -> None:
    space, _ = forge.working_boxes("sample")
    assert "credentials" not in forge.boxes()[f"sample@{NAME}"]
    assert "credentials" not in forge.boxes(with_credentials="false")[f"sample@{NAME}"]
    shown = forge.boxes(with_credentials="true", workspace_id=space)[f"sample@{NAME}"]["credentials"]
    server = forge.infraforge("GET", "/workspaces").json()[0]["mailserver"]
    assert (shown["imapHost"], shown["imapPort"], shown["smtpPort"], shown["smtpUsername"]) == (
        server, 993, 465, f"sample@{NAME}",
    )  # fmt: skip
    forge.sandbox.switches.set(infraforge_credentials="without_passwords")
    shown = forge.boxes(with_credentials="true")[f"sample@{NAME}"]["credentials"]
    assert (shown["imapPassword"], shown["smtpPassword"]) == (None, None)


def test_ten_mailboxes_for_a_domain(forge: Forge, space: str) -> None:
    forge.owned(space, NAME)
    assert forge.ask_boxes(NAME, *(f"user{n}" for n in range(11))).status == 400
    assert forge.ask_boxes(NAME, *(f"user{n}" for n in range(10))).status == 201
    assert forge.ask_boxes(NAME, "another").status == 400
    forge.sandbox.switches.set(infraforge_mailboxes_per_domain=11)
    assert forge.ask_boxes(NAME, "another").status == 201


def test_what_is_refused_before_anything_is_charged(forge: Forge, space: str) -> None:
    forge.order(space, NAME)
    before = forge.credits
    assert forge.ask_boxes(NAME, "sample").status == 400
    assert forge.ask_boxes(OTHER, "sample").status == 404
    forge.sandbox.advance(HOUR)
    assert forge.ask_boxes(NAME, "a", "a").status == 400
    assert forge.ask_boxes(NAME, "..").status == 400
    assert forge.credits == before
    forge.sandbox.faults.add("wallet_short", verb="create_mailboxes", times=1)
    assert forge.ask_boxes(NAME, "sample").status == 402
    assert forge.ask_boxes(NAME, "sample").status == 201
    assert forge.ask_boxes(NAME, "sample").status == 400
    assert forge.credits == before - 300


def test_a_mailbox_becomes_active_or_fails(forge: Forge, space: str) -> None:
    forge.sandbox.switches.set(infraforge_mailbox_active_seconds=[600, 600])
    forge.sandbox.faults.add("failing_mailboxes", items=[f"second@{NAME}"])
    forge.owned(space, NAME)
    forge.ask_boxes(NAME, "first", "second")
    forge.sandbox.advance(300)
    assert {box["status"] for box in forge.boxes().values()} == {"processing"}
    forge.sandbox.advance(300)
    assert {email: box["status"] for email, box in forge.boxes().items()} == {
        f"first@{NAME}": "active", f"second@{NAME}": "failed",
    }  # fmt: skip


def test_one_mailbox_is_read_changed_and_deleted(forge: Forge) -> None:
    _, (box,) = forge.working_boxes("sample")
    assert forge.infraforge("PATCH", f"/mailboxes/{box}", {"firstName": "New", "password": "short"}).status == 400
    assert forge.infraforge("PATCH", f"/mailboxes/{box}", {"firstName": "New"}).status == 204
    assert forge.infraforge("GET", f"/mailboxes/{box}").json()["firstName"] == "New"
    assert forge.infraforge("DELETE", f"/mailboxes/{box}").status == 204
    assert forge.infraforge("DELETE", f"/mailboxes/{box}").status == 404
    assert forge.boxes() == {}


# Export


def export(forge: Forge, space: str, ids: list[str], **more: Any) -> Response:
    """Export to workspaces of the other two, made when they are missing."""
    state = forge.sandbox.state()
    if not state["salesforge"]["workspaces"]:
        forge.salesforge("POST", "/workspaces", {"name": REFERENCE})
        forge.warmforge("POST", "/workspaces", {"name": REFERENCE})
        state = forge.sandbox.state()
    body = {
        "fromWorkspaceId": space,
        "toWorkspaceId": state["salesforge"]["workspaces"][0]["id"],
        "toWarmforgeWorkspaceId": state["warmforge"]["workspaces"][0]["id"],
        "tagName": "GTM-7K3F9Q",
        "warmupActivated": True,
        "includedIds": ids,
    }
    return forge.infraforge("POST", "/mailboxes/export-to-salesforge", {**body, **more})


def arrived(forge: Forge) -> dict[str, set[str]]:
    """Return whose mailboxes both others hold."""
    state = forge.sandbox.state()
    return {name: {row["email"] for row in state[name]["mailboxes"]} for name in ("salesforge", "warmforge")}


@pytest.mark.parametrize(
    ("lands", "where"),
    [
        ("both", {"salesforge", "warmforge"}),
        ("salesforge", {"salesforge"}),
        ("warmforge", {"warmforge"}),
        ("never", set()),
    ],
)
def test_an_export_arrives_later_where_the_switch_lets_it(forge: Forge, lands: str, where: set[str]) -> None:
    forge.sandbox.switches.set(infraforge_export_lands=lands)
    space, ids = forge.working_boxes("sample")
    answer = export(forge, space, ids)
    assert (answer.status, answer.body, arrived(forge)) == (202, b"", {"salesforge": set(), "warmforge": set()})
    forge.sandbox.advance(301)
    assert {name for name, addresses in arrived(forge).items() if addresses == {f"sample@{NAME}"}} == where
    assert set(forge.state()["exports"][0]["arrived"]) == where


@pytest.mark.parametrize(
    ("asked", "switch", "warm"), [(True, "as_asked", True), (False, "as_asked", False), (True, "off", False)]
)
def test_warmup_of_an_export(forge: Forge, asked: bool, switch: str, warm: bool) -> None:
    forge.sandbox.switches.set(infraforge_export_warmup=switch)
    space, ids = forge.working_boxes("sample")
    export(forge, space, ids, warmupActivated=asked)
    forge.sandbox.advance(301)
    workspace = forge.sandbox.state()["warmforge"]["workspaces"][0]["id"]
    shown = forge.warmforge("GET", f"/workspaces/{workspace}/mailboxes/sample%40{NAME}").json()
    assert shown["warmupEnabled"] is warm


@pytest.mark.parametrize(("form", "jobs"), [("again", 2), ("nothing", 1)])
def test_an_export_that_is_repeated(forge: Forge, form: str, jobs: int) -> None:
    forge.sandbox.switches.set(infraforge_repeated_export=form, infraforge_export_reply="message")
    space, ids = forge.working_boxes("sample")
    for _ in range(2):
        assert export(forge, space, ids).json()["message"]
        forge.sandbox.advance(301)
    assert len(forge.state()["exports"]) == jobs
    assert arrived(forge)["salesforge"] == {f"sample@{NAME}"}


def test_some_mailboxes_never_arrive(forge: Forge) -> None:
    space, ids = forge.working_boxes("sample", "second")
    forge.sandbox.faults.add("export_incomplete", platform="infraforge", items=[f"second@{NAME}"])
    export(forge, space, ids)
    forge.sandbox.advance(301)
    assert arrived(forge) == {"salesforge": {f"sample@{NAME}"}, "warmforge": {f"sample@{NAME}"}}


def test_an_export_may_vanish_behind_a_good_answer(forge: Forge) -> None:
    space, ids = forge.working_boxes("sample")
    forge.sandbox.faults.add("nothing_happens", verb="export_to_salesforge", times=1)
    assert export(forge, space, ids).status == 202
    forge.sandbox.advance(DAY)
    assert forge.state()["exports"] == []


def test_what_cannot_be_exported(forge: Forge) -> None:
    space, ids = forge.working_boxes("sample")
    forge.ask_boxes(NAME, "fresh")
    fresh = forge.boxes()[f"fresh@{NAME}"]["id"]
    assert export(forge, space, [fresh]).status == 400
    assert export(forge, space, ["mbx_no"]).status == 400
    assert export(forge, "ws_no", ids).status == 404
    forge.sandbox.switches.set(infraforge_salesforge_subscription=False)
    assert export(forge, space, ids).status == 400
    assert forge.state()["exports"] == []


# A counter per key; 429 with and without Retry-After


@pytest.mark.parametrize("form", ["none", "seconds"])
def test_bursts_are_counted_and_refused(form: str) -> None:
    forge = Forge(infraforge_per_second=4, infraforge_retry_after=form)
    answers = [forge.infraforge("GET", "/workspaces") for _ in range(5)]
    assert [answer.status for answer in answers] == [200] * 4 + [429]
    assert ("retry-after" in answers[-1].headers) is (form == "seconds")
    assert [violation.platform for violation in forge.sandbox.quotas.violations] == ["infraforge"]


# Credits


@pytest.mark.parametrize(("form", "status"), [("never_404", 404), ("never_400", 400)])
def test_credits_that_were_never_set_up(forge: Forge, space: str, form: str, status: int) -> None:
    forge.sandbox.switches.set(infraforge_credits=form)
    assert forge.infraforge("GET", "/credits/balance").status == status
    assert forge.order(space, NAME).status == 402
    assert steer(forge, "/wallet", {"cents": 5000, "platform": "infraforge"}) == 200
    assert forge.credits == 5000
    assert steer(forge, "/wallet", {"cents": -5001, "platform": "infraforge"}) == 400


# For people, tests and the log


def test_the_ledger_explains_the_credits(forge: Forge) -> None:
    forge.space(attachUniqueIp=True)
    forge.working_boxes("sample")
    state = forge.state()
    assert sum(entry["cents"] for entry in state["ledger"]) == state["credits"] == forge.credits
    assert [entry["kind"] for entry in state["ledger"]] == ["opening", "ip", "domain", "mailbox"]


def test_the_snapshot_holds_no_password(forge: Forge) -> None:
    _, (box,) = forge.working_boxes("sample")
    forge.infraforge("PATCH", f"/mailboxes/{box}", {"password": PASSWORD})
    state = forge.sandbox.state()
    assert PASSWORD not in json.dumps(state)
    (domain,) = state["infraforge"]["domains"]
    assert (domain["name"], domain["status"], domain["auto_renew"]) == (NAME, "active", False)
    assert domain["expires_on"].startswith("20")
    assert state["infraforge"]["mailboxes"][0]["email"] == f"sample@{NAME}"


def test_the_log_finds_items_and_reference(forge: Forge) -> None:
    space, (box,) = forge.working_boxes("sample")
    domain = forge.listed()[NAME]["id"]
    log = forge.sandbox.log

    def last() -> tuple[str, tuple[str, ...], str]:
        return log[-1].verb, log[-1].items, log[-1].student_ref

    dns(forge, domain)
    assert last() == ("get_dns", (domain,), "GTM-7K3F9Q")
    forge.boxes(workspace_id=space)
    assert last() == ("list_mailboxes", (), "GTM-7K3F9Q")
    forge.infraforge("PATCH", f"/mailboxes/{box}", {"password": PASSWORD})
    assert last() == ("set_password", (box,), "GTM-7K3F9Q")
    forge.ask_boxes(NAME, "second")
    assert last() == ("create_mailboxes", (f"second@{NAME}",), "GTM-7K3F9Q")
    forge.infraforge("GET", "/nowhere")
    assert last() == ("unknown", (), "")


@pytest.mark.parametrize(
    "body", [None, [], {"domains": "x"}, {"domains": [{"domain": NAME, "mailboxes": 7}]}, {"domains": [7]}]
)
def test_nonsense_is_refused(forge: Forge, body: Any) -> None:
    posts = ("/mailboxes", "/domains", "/check-domain-availability-bulk", "/domains/transfer")
    for path in (*posts, "/mailboxes/export-to-salesforge"):
        assert forge.infraforge("POST", path, body).status in (400, 404), path
    assert forge.infraforge("PUT", "/domains/bulk-dns", body).status in (400, 404)


def test_a_record_is_broken_only_by_its_words(forge: Forge) -> None:
    with pytest.raises(ValueError, match="mx, spf, dkim, dmarc"):
        break_record(forge.sandbox.world, NAME, "spf", "wrong", 0.0)
