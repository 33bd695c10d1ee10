"""Every verb of every client once, with an answer it accepts. Tests of what all verbs share run over this table."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from config.env import SANDBOX_CREDENTIALS
from integrations.cloudflare import CloudflareClient, CloudflareSettings
from integrations.cloudflare import DnsRecord as CloudflareRecord
from integrations.godaddy import Agreement, Consent, Contact, GodaddyClient, GodaddySettings, Money, Quote
from integrations.google_workspace import GoogleWorkspaceClient, GoogleWorkspaceSettings, NewUser
from integrations.heyreach import HeyreachClient, HeyreachSettings
from integrations.http.call import Call
from integrations.http.redact import Hidden
from integrations.infraforge import DnsRecord, InfraforgeClient, InfraforgeSettings
from integrations.infraforge import NewMailbox as ForgeMailbox
from integrations.logins import Login
from integrations.plusvibe import NewAccount, PlusvibeClient, PlusvibeSettings, WarmupSettings
from integrations.salesforge import NewMailbox as SendingMailbox
from integrations.salesforge import SalesforgeClient, SalesforgeSettings
from integrations.smartlead import AccountSettings, AppPassword, SmartleadClient, SmartleadSettings, Tokens
from integrations.smartlead import NewAccount as SmartAccount
from integrations.smartlead import WarmupSettings as SmartWarmup
from integrations.warmforge import NewMailbox as WarmMailbox
from integrations.warmforge import WarmforgeClient, WarmforgeSettings
from integrations.warmforge import WarmupSettings as WarmforgeWarmup
from integrations.zapmail import NewMailbox, ZapmailClient, ZapmailSettings

WORKSPACE = "0b6e0000-0000-4000-8000-000000000001"
HEX = "65f0c0ffee00000000000002"
PLATFORMS = (
    "zapmail",
    "plusvibe",
    "heyreach",
    "warmforge",
    "salesforge",
    "infraforge",
    "cloudflare",
    "godaddy",
    "smartlead",
)
SERVICE_ACCOUNT = str(SANDBOX_CREDENTIALS["GOOGLE_WORKSPACE_SERVICE_ACCOUNT"])
KEYS = {name: f"{name}-key-1234" for name in PLATFORMS}
KEYS["google_workspace"] = json.loads(SERVICE_ACCOUNT)["private_key"]

zapmail = ZapmailClient(ZapmailSettings(api_key=Hidden(KEYS["zapmail"])))
plusvibe = PlusvibeClient(PlusvibeSettings(api_key=Hidden(KEYS["plusvibe"]), agency_workspace_id=HEX))
heyreach = HeyreachClient(HeyreachSettings(api_key=Hidden(KEYS["heyreach"])))
warmforge = WarmforgeClient(WarmforgeSettings(api_key=Hidden(KEYS["warmforge"])))
salesforge = SalesforgeClient(SalesforgeSettings(api_key=Hidden(KEYS["salesforge"])))
infraforge = InfraforgeClient(InfraforgeSettings(api_key=Hidden(KEYS["infraforge"])))
cloudflare = CloudflareClient(CloudflareSettings(api_token=Hidden(KEYS["cloudflare"]), account_id="acc1"))
smartlead = SmartleadClient(SmartleadSettings(api_key=Hidden(KEYS["smartlead"])))
godaddy = GodaddyClient(GodaddySettings.from_mapping({"GODADDY_API_TOKEN": KEYS["godaddy"]}))
godaddy_v1 = GodaddyClient(GodaddySettings.from_mapping({"GODADDY_API_TOKEN": KEYS["godaddy"], "GODADDY_API": "v1"}))

google = GoogleWorkspaceClient(
    GoogleWorkspaceSettings.from_mapping(
        {"GOOGLE_WORKSPACE_SERVICE_ACCOUNT": SERVICE_ACCOUNT, "GOOGLE_WORKSPACE_ADMIN": "admin@operator.example"}
    )
)


@dataclass(frozen=True)
class Verb:
    build: Callable[[], Call[Any]]
    accepted: Any

    def __str__(self) -> str:
        call = self.build()
        return f"{call.platform}.{call.verb}"


def wrapped(result: Any, **more: Any) -> dict[str, Any]:
    """Cloudflare's envelope."""
    return {"success": True, "errors": [], "messages": [], "result": result, **more}


def envelope(data: Any, message: str = "done") -> dict[str, Any]:
    return {"status": 200, "message": message, "data": data}


REGISTRANT = {
    "firstName": "Sample", "lastName": "Operator", "email": "contact@ops.example", "phone": "+15550100",
    "organization": "Sample GTM", "address1": "1 Sample Street", "city": "Sampletown", "province": "SA",
    "postalCode": "12345", "country": "US",
}  # fmt: skip
ADDRESS, DOMAIN = "sample@getexamplebrand.com", "getexamplebrand.com"
GOOGLE_DOMAIN = {"kind": "admin#directory#domain", "domainName": DOMAIN, "verified": False, "isPrimary": False}
GOOGLE_USER = {"kind": "admin#directory#user", "id": "1001", "primaryEmail": ADDRESS}
GOOGLE_SITE = {"id": f"dns://{DOMAIN}", "site": {"type": "INET_DOMAIN", "identifier": DOMAIN}}
NEW_USER = NewUser(ADDRESS, "Sample", "Sender", Hidden("Word-4-you-and-me"), "GTM-7K3F9Q")
LICENCE = {"userId": ADDRESS, "productId": "Google-Apps", "skuId": "1010020027"}
SCOPE = "https://www.googleapis.com/auth/admin.directory.domain"
DOOR = Login("mx1.example.com", 465, ADDRESS, Hidden("door-key-1"))
SMART = {"id": 2849, "from_email": ADDRESS, "is_smtp_success": True, "is_imap_success": True, "warmup_details": None}
BY_PASSWORD = SmartAccount(ADDRESS, "Sample Sender", AppPassword(DOOR, DOOR), "SMTP")
BY_TOKENS = SmartAccount(ADDRESS, "Sample Sender", Tokens(Hidden("access-1"), Hidden("refresh-1"), 1_800_000_000))
WARM = {"id": "mbx_1", "address": ADDRESS, "status": "active", "warmupEnabled": True}
SENDING = {"id": "mbx_9", "address": ADDRESS, "status": "pending", "dailyEmailLimit": 30}
ZONE = {
    "id": "z1", "name": DOMAIN, "status": "pending", "account": {"id": "acc1"},
    "name_servers": ["ada.ns.cloudflare.com", "bob.ns.cloudflare.com"],
}  # fmt: skip
SPF = CloudflareRecord("TXT", DOMAIN, "v=spf1 ~all", comment="gtm:GTM-7K3F9Q:spf")
SPF_ROW = {"id": "r1", "type": "TXT", "name": DOMAIN, "content": '"v=spf1 ~all"', "ttl": 300, "comment": SPF.comment}
PERSON = Contact(
    "Sample", "Student", "sample@ops.example", "+1.4805551234", "1 Street", "Town", "AZ", "85001", "US"
)  # fmt: skip
AGREED = Consent(("API_DPA",), "2026-11-20T10:00:00Z", "203.0.113.7")
QUOTED = Quote(
    DOMAIN, True, Hidden("quote-token-1"), Money(Decimal("11.99"), "USD"), agreements=(Agreement("API_DPA"),)
)
UNDER_WAY = {"operationId": "op1", "registrationId": "reg1", "status": "CONFIRMED", "domain": DOMAIN}
OWNED = {"domain": DOMAIN, "status": "ACTIVE", "nameServers": ["ns1.example.net", "ns2.example.net"]}
SERVERS = ("ada.ns.cloudflare.com", "bob.ns.cloudflare.com")
PAGE = {"totalSearchedCount": 1, "currentPage": 1, "nextPage": 2, "totalPages": 1}

VERBS = [
    Verb(
        lambda: zapmail.list_workspaces("GTM-7K3F9Q"),
        envelope({"currentWorkspace": {"id": WORKSPACE, "name": "One"}, "workspaces": []}),
    ),
    Verb(
        lambda: zapmail.create_workspace("Sample GTM-7K3F9Q", {"city": "Sampletown"}),
        envelope({"id": WORKSPACE, "name": "Sample GTM-7K3F9Q", "userId": "u", "deletedAt": None}),
    ),
    Verb(
        lambda: zapmail.check_domains([DOMAIN]),
        {"domains": [{"domainName": DOMAIN, "status": "AVAILABLE", "domainPrice": 12.99, "renewPrice": 12.99}]},
    ),
    Verb(
        lambda: zapmail.buy_domains(WORKSPACE, {DOMAIN: 1500}),
        {"message": "Domains purchased", "invoiceLink": "https://invoice.example"},
    ),
    Verb(lambda: zapmail.list_domains(WORKSPACE), envelope({**PAGE, "domains": []})),
    Verb(lambda: zapmail.list_dns_records(WORKSPACE, "d1"), envelope({"records": [], "disabledRecords": []})),
    Verb(lambda: zapmail.set_dmarc(WORKSPACE, {DOMAIN: "d1"}, "dmarc@ops.example"), envelope(None)),
    Verb(
        lambda: zapmail.create_mailboxes(WORKSPACE, {DOMAIN: ("d1", [NewMailbox("sample", "Sample", "Sender")])}),
        envelope(None, "Mailboxes will be assigned shortly"),
    ),
    Verb(lambda: zapmail.list_mailboxes(WORKSPACE), envelope({**PAGE, "domains": []})),
    Verb(lambda: zapmail.retry_failed_mailboxes(WORKSPACE, {DOMAIN: "d1"}), envelope(None)),
    Verb(lambda: zapmail.schedule_removal(WORKSPACE, {DOMAIN: "d1"}), envelope(None)),
    Verb(
        lambda: zapmail.buy_mailbox_slots(WORKSPACE, 3, 0, 3),
        {"message": "Purchased", "paymentLink": "https://pay.example"},
    ),
    Verb(lambda: zapmail.wallet_balance(WORKSPACE), envelope({"walletBalance": "120.50"})),
    Verb(
        lambda: zapmail.register_sender(WORKSPACE, "client@ops.example", "pass-word-1"),
        envelope(None, "Account added successfully"),
    ),
    Verb(lambda: zapmail.update_sender(WORKSPACE, "client@ops.example", "pass-word-1"), envelope(None)),
    Verb(lambda: zapmail.list_senders(WORKSPACE), envelope({"accounts": []})),
    Verb(lambda: zapmail.export_mailboxes(WORKSPACE, {ADDRESS: "m1"}), envelope(None)),
    Verb(lambda: zapmail.export_status(WORKSPACE, 7), envelope({"export_id": 7, "status": "completed"})),
    Verb(lambda: plusvibe.authenticate(), {"status": "success", "workspaces": [{"_id": HEX, "name": "One"}]}),
    Verb(lambda: plusvibe.create_workspace("Sample GTM-7K3F9Q"), {"status": "success", "_id": HEX}),
    Verb(
        lambda: plusvibe.create_client(HEX, "student@example.com", "Sample", "Student", "Sample GTM"),
        {"client_id": HEX, "email": "student@example.com", "password": "generated-1"},
    ),
    Verb(lambda: plusvibe.list_clients(HEX), {"clients": []}),
    Verb(lambda: plusvibe.delete_client(HEX, "c1"), {"status": "success"}),
    Verb(lambda: plusvibe.list_accounts(HEX), {"accounts": []}),
    Verb(lambda: plusvibe.update_accounts(HEX, {ADDRESS: HEX}, WarmupSettings()), {"status": "success"}),
    Verb(lambda: plusvibe.set_warmup(HEX, {ADDRESS: HEX}, True), {"updated_count": 1, "updated_ids": [HEX]}),
    Verb(
        lambda: plusvibe.add_accounts(HEX, [NewAccount(ADDRESS, "Sample", "Sender", Hidden("app-pass-1"))]),
        {"status": "success"},
    ),
    Verb(lambda: heyreach.check_key(), {}),
    Verb(
        lambda: heyreach.create_list("Sample prospects GTM-7K3F9Q"),
        {"id": 104512, "name": "Sample prospects GTM-7K3F9Q", "count": 0, "listType": "USER_LIST", "status": "UNKNOWN"},
    ),
    Verb(lambda: heyreach.find_lists("GTM-7K3F9Q"), {"totalCount": 0, "items": []}),
    Verb(lambda: heyreach.get_list(104512), {"id": 104512, "name": "Sample", "totalItemsCount": 3}),
    Verb(lambda: warmforge.list_workspaces(), {"workspaces": [], "currentPage": 1, "totalCount": 0, "totalPages": 0}),
    Verb(lambda: warmforge.create_workspace("Sample GTM-7K3F9Q"), {"id": "wfw_1", "name": "Sample GTM-7K3F9Q"}),
    Verb(lambda: warmforge.list_mailboxes("wfw_1"), {"mailboxes": [WARM], "page": 1, "pageSize": 25}),
    Verb(lambda: warmforge.get_mailbox("wfw_1", ADDRESS), WARM),
    Verb(
        lambda: warmforge.connect_smtp("wfw_1", WarmMailbox(ADDRESS, "Sample", "Sender", DOOR, DOOR, "GTM-7K3F9Q")),
        WARM,
    ),
    Verb(lambda: warmforge.update_mailbox("wfw_1", ADDRESS, WarmforgeWarmup()), WARM),
    Verb(lambda: warmforge.warmup_stats("wfw_1", ADDRESS, date(2026, 11, 20), date(2026, 11, 26)), {"stats": []}),
    Verb(lambda: warmforge.delete_mailbox("wfw_1", ADDRESS), b""),
    Verb(lambda: salesforge.me(), {"accountId": "acc_1", "apiKeyName": "production"}),
    Verb(lambda: salesforge.list_workspaces(), {"data": [], "limit": 100, "offset": 0, "total": 0}),
    Verb(lambda: salesforge.create_workspace("Sample GTM-7K3F9Q"), {"id": "wks_1", "name": "Sample GTM-7K3F9Q"}),
    Verb(lambda: salesforge.list_mailboxes("wks_1", [ADDRESS]), {"data": [SENDING], "total": 1}),
    Verb(
        lambda: salesforge.connect_mailbox("wks_1", SendingMailbox(ADDRESS, "Sample", "Sender", DOOR, DOOR, 30)),
        SENDING,
    ),
    Verb(lambda: salesforge.get_mailbox("wks_1", "mbx_9"), SENDING),
    Verb(lambda: salesforge.update_mailbox("wks_1", "mbx_9", 30), SENDING),
    Verb(lambda: salesforge.update_connection_settings("wks_1", "mbx_9", DOOR, DOOR), b""),
    Verb(lambda: salesforge.delete_mailbox("wks_1", "mbx_9"), b""),
    Verb(lambda: infraforge.list_workspaces(), [{"id": "ws_1", "name": "Sample GTM-7K3F9Q", "ip": None}]),
    Verb(
        lambda: infraforge.create_workspace("Sample GTM-7K3F9Q", attach_ip=True),
        {"id": "ws_1", "name": "Sample GTM-7K3F9Q", "mailserver": "mx1.example-mail.net"},
    ),
    Verb(lambda: infraforge.eligible_ips("ws_1"), ["192.0.2.10"]),
    Verb(lambda: infraforge.set_ip("ws_1", "192.0.2.10"), b""),
    Verb(lambda: infraforge.check_domains([DOMAIN]), [{"domain": DOMAIN, "available": True, "price": 14}]),
    Verb(
        lambda: infraforge.buy_domains("ws_1", {DOMAIN: 1500}, REGISTRANT),
        {
            "domains": [{"id": "dom_1", "sld": "getexamplebrand", "tld": "com", "status": "pending"}],
            "checkoutUrl": None,
        },
    ),
    Verb(lambda: infraforge.list_domains(), [{"id": "dom_1", "sld": "getexamplebrand", "tld": "com"}]),
    Verb(lambda: infraforge.enable_autorenew({DOMAIN: "dom_1"}), b""),
    Verb(lambda: infraforge.disable_autorenew({DOMAIN: "dom_1", f"try{DOMAIN}": "dom_2"}), b""),
    Verb(lambda: infraforge.get_dns("dom_1"), [{"name": DOMAIN, "type": "MX", "value": "10 mx1.example-mail.net"}]),
    Verb(lambda: infraforge.put_dns(DOMAIN, "dom_1", [DnsRecord(DOMAIN, "MX", "10 mx1.example-mail.net")]), b""),
    Verb(lambda: infraforge.set_dmarc_bulk({DOMAIN: "dom_1"}, "none", "dmarc@ops.example"), b""),
    Verb(
        lambda: infraforge.transfer_domains("ws_1", [DOMAIN]),
        {"domains": [{"id": "dom_1", "domain": DOMAIN}], "invoice": None, "allDomainsAlreadyInWorkspace": False},
    ),
    Verb(lambda: infraforge.transfer_nameservers(), {"nameservers": ["ns1.example.net", "ns2.example.net"]}),
    Verb(
        lambda: infraforge.create_mailboxes({DOMAIN: [ForgeMailbox("sample", "Sample", "Sender")]}),
        {"mailboxes": [{"email": ADDRESS, "status": "pending"}]},
    ),
    Verb(lambda: infraforge.list_mailboxes("ws_1"), [{"id": "mbx_1", "email": ADDRESS, "status": "active"}]),
    Verb(lambda: infraforge.set_password(ADDRESS, "mbx_1", "pass-word-1"), b""),
    Verb(lambda: infraforge.export_to_salesforge("ws_1", "wks_1", {ADDRESS: "mbx_1"}, "GTM-7K3F9Q", "wfw_1"), b""),
    Verb(lambda: infraforge.credit_balance(), {"availableAmountCents": 12500, "topupSettings": {"isEnabled": False}}),
    Verb(lambda: cloudflare.find_zone(DOMAIN), wrapped([ZONE])),
    Verb(lambda: cloudflare.list_zones(), wrapped([ZONE], result_info={"page": 1, "total_pages": 1})),
    Verb(lambda: cloudflare.create_zone(DOMAIN), wrapped(ZONE)),
    Verb(lambda: cloudflare.get_zone("z1"), wrapped(ZONE)),
    Verb(lambda: cloudflare.activation_check(DOMAIN, "z1"), wrapped({"id": "z1"})),
    Verb(lambda: cloudflare.delete_zone(DOMAIN, "z1"), wrapped({"id": "z1"})),
    Verb(lambda: cloudflare.list_records("z1"), wrapped([SPF_ROW], result_info={"page": 1, "total_pages": 1})),
    Verb(lambda: cloudflare.batch_records(DOMAIN, "z1", posts=[SPF]), wrapped({"posts": [SPF_ROW], "puts": None})),
    Verb(lambda: cloudflare.record_usage("z1"), wrapped({"record_quota": None, "record_usage": 7})),
    Verb(lambda: godaddy.check_domain(DOMAIN), {"domain": DOMAIN, "available": False}),
    Verb(lambda: godaddy.check_domains([DOMAIN]), {"items": [{"domain": DOMAIN, "available": False}]}),
    Verb(lambda: godaddy.quote(DOMAIN), {"domain": DOMAIN, "available": False}),
    Verb(lambda: godaddy.register(QUOTED, AGREED, "key-1", 1500), UNDER_WAY),
    Verb(lambda: godaddy_v1.agreements("com"), [{"agreementKey": "DNRA", "title": "Terms"}]),
    Verb(lambda: godaddy_v1.validate(DOMAIN, AGREED, PERSON), b""),
    Verb(lambda: godaddy_v1.purchase(DOMAIN, AGREED, PERSON, 1500), {"orderId": 123456789, "total": 11990000}),
    Verb(lambda: godaddy.get_operation("op1"), UNDER_WAY),
    Verb(lambda: godaddy.list_domains(), {"items": [OWNED], "links": []}),
    Verb(lambda: godaddy.get_domain(DOMAIN), OWNED),
    Verb(lambda: godaddy.set_nameservers(DOMAIN, SERVERS, "key-2"), UNDER_WAY),
    Verb(lambda: godaddy_v1.set_nameservers(DOMAIN, SERVERS, ""), b""),
    Verb(lambda: godaddy.set_auto_renew(DOMAIN, False, "key-3"), UNDER_WAY),
    Verb(lambda: google.access_token(SCOPE, at=1.8e9), {"access_token": "ya29.x", "expires_in": 3599}),
    Verb(lambda: google.list_domains(), {"kind": "admin#directory#domains", "domains": [GOOGLE_DOMAIN]}),
    Verb(lambda: google.get_domain(DOMAIN), GOOGLE_DOMAIN),
    Verb(lambda: google.add_domain(DOMAIN), GOOGLE_DOMAIN),
    Verb(lambda: google.verification_token(DOMAIN), {"method": "DNS_TXT", "token": "google-site-verification=x"}),
    Verb(lambda: google.verify_domain(DOMAIN), GOOGLE_SITE),
    Verb(lambda: google.list_verified(), {"items": [GOOGLE_SITE]}),
    Verb(lambda: google.get_user(ADDRESS), GOOGLE_USER),
    Verb(lambda: google.list_users(DOMAIN), {"kind": "admin#directory#users", "users": [GOOGLE_USER]}),
    Verb(lambda: google.create_user(NEW_USER), GOOGLE_USER),
    Verb(lambda: google.suspend_user(ADDRESS), GOOGLE_USER),
    Verb(lambda: google.get_licence(ADDRESS), LICENCE),
    Verb(lambda: google.assign_licence(ADDRESS), LICENCE),
    Verb(lambda: google.enable_imap(ADDRESS), {"enabled": True}),
    Verb(lambda: google.imap_enabled(ADDRESS), {"enabled": True}),
    Verb(lambda: google.list_app_passwords(ADDRESS), {"kind": "admin#directory#aspList", "items": [{"codeId": 1}]}),
    Verb(lambda: smartlead.check_key(), [SMART]),
    Verb(lambda: smartlead.list_accounts(0, ADDRESS), [SMART]),
    Verb(
        lambda: smartlead.find_ids([ADDRESS]), {"data": [{"email_account_id": 2849, "email_id": ADDRESS, "tags": []}]}
    ),
    Verb(lambda: smartlead.get_account(2849), SMART),
    Verb(lambda: smartlead.save_account(BY_PASSWORD), {"ok": True, "emailAccountId": 2849, "warmupKey": "apple-keys"}),
    Verb(lambda: smartlead.save_account(BY_TOKENS), {"ok": True, "id": 2849}),
    Verb(lambda: smartlead.update_account(ADDRESS, 2849, AccountSettings(per_day=60)), {"ok": True}),
    Verb(lambda: smartlead.set_warmup(ADDRESS, 2849, SmartWarmup()), {"ok": True, "emailAccountId": 2849}),
    Verb(lambda: smartlead.warmup_stats(2849), {"id": 2849, "sent_count": "40", "spam_count": "1"}),
    Verb(lambda: smartlead.suspend_account(ADDRESS, 2849), {"ok": True}),
    Verb(lambda: smartlead.delete_account(ADDRESS, 2849), {"ok": True}),
    Verb(lambda: smartlead.reconnect_failed(), {"ok": True, "message": "queued"}),
]

WRITES = [verb for verb in VERBS if verb.build().is_write]
READS = [verb for verb in VERBS if not verb.build().is_write]
