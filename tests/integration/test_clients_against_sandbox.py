"""Every verb of every client against the simulated platforms, in every position of the switches that change shapes.

What a client cannot read here it cannot read there either, as far as anybody knows how they answer.
"""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, TypeVar

import pytest

from config.env import SANDBOX_CREDENTIALS
from integrations import google_workspace, registry, salesforge, smartlead, warmforge
from integrations.cloudflare import DnsRecord as CloudRecord
from integrations.cloudflare import mark
from integrations.godaddy import Consent, Contact, Money
from integrations.google_workspace import NewUser
from integrations.http.call import Call
from integrations.http.delegated import Delegated
from integrations.http.either import EitherForm
from integrations.http.errors import (
    AlreadyExists,
    BadCredentials,
    NotFound,
    NotSent,
    OutcomeUnknown,
    PlatformError,
    RateLimited,
    Rejected,
    Unavailable,
)
from integrations.http.gate import judge, unclear
from integrations.http.redact import Hidden
from integrations.http.transport import HttpTransport, Transport
from integrations.infraforge import DnsRecord, contact_of, own_logins
from integrations.infraforge import NewMailbox as ForgeMailbox
from integrations.logins import Login
from integrations.plusvibe import NewAccount, WarmupSettings
from integrations.sandbox import ManualClock, Sandbox, mailhost
from integrations.sandbox.dns import delegate
from integrations.sandbox.google_world import MAIL, Domain, User, make_app_password, switch_two_step, user_at
from integrations.sandbox.server import Options, Servers
from integrations.zapmail import NewMailbox

T = TypeVar("T")

AGENCY = "65f0c0ffee00000000000001"
SETTINGS: dict[str, object] = {
    "ZAPMAIL_API_URL": "http://sandbox.test/zapmail/api",
    "ZAPMAIL_API_KEY": "sandbox-zapmail-key",
    "PLUSVIBE_API_URL": "http://sandbox.test/plusvibe/api/v1",
    "PLUSVIBE_API_KEY": "sandbox-plusvibe-key",
    "PLUSVIBE_AGENCY_WORKSPACE_ID": AGENCY,
    "HEYREACH_API_URL": "http://sandbox.test/heyreach/api/public",
    "HEYREACH_API_KEY": "sandbox-heyreach-key",
    "WARMFORGE_API_URL": "http://sandbox.test/warmforge/public/v1",
    "WARMFORGE_API_KEY": "sandbox-warmforge-key",
    "SALESFORGE_API_URL": "http://sandbox.test/salesforge/public/v2",
    "SALESFORGE_API_KEY": "sandbox-salesforge-key",
    "INFRAFORGE_API_URL": "http://sandbox.test/infraforge/public",
    "INFRAFORGE_API_KEY": "sandbox-infraforge-key",
    "CLOUDFLARE_API_URL": "http://sandbox.test/cloudflare/client/v4",
    "CLOUDFLARE_API_TOKEN": "sandbox-cloudflare-token",
    "CLOUDFLARE_ACCOUNT_ID": "5a4db0c05a4db0c05a4db0c05a4db0c0",
    "GODADDY_API_URL": "http://sandbox.test/godaddy",
    "GODADDY_API_TOKEN": "gd_pat_sandbox-godaddy-token",
    "GODADDY_API_KEY": "sandbox-godaddy-key",
    "GODADDY_API_SECRET": "sandbox-godaddy-secret",
    "GOOGLE_WORKSPACE_API_URL": "http://sandbox.test/google_workspace",
    "GOOGLE_WORKSPACE_SERVICE_ACCOUNT": SANDBOX_CREDENTIALS["GOOGLE_WORKSPACE_SERVICE_ACCOUNT"],
    "GOOGLE_WORKSPACE_ADMIN": "admin@operator.example",
    "SMARTLEAD_API_URL": "http://sandbox.test/smartlead/api/v1",
    "SMARTLEAD_API_KEY": "sandbox-smartlead-key",
}
BILLING = {
    "company": "Sample GTM", "firstName": "Sample", "lastName": "Operator", "addressLineOne": "1 Sample Street",
    "city": "Sampletown", "state": "SA", "country": "US", "postalCode": "12345", "phoneCc": "1", "phone": "5550100",
    "languagePreference": "en",
}  # fmt: skip
NAME = "Sample Student GTM-7K3F9Q"
DOMAINS = ("getexamplebrand.com", "tryexamplebrand.com")
ADDRESS = f"sample.sender@{DOMAINS[0]}"
LOGIN = "gtm-7k3f9q@ops.example"


class Bench:
    """Clients, the sandbox they talk to, and the verbs executed so far."""

    def __init__(
        self,
        settings: dict[str, object] | None = None,
        *,
        sandbox: Sandbox | None = None,
        transport: Transport | None = None,
        **switches: Any,
    ) -> None:
        self.sandbox = sandbox or Sandbox(seed=1, speed=ManualClock(), public_url="http://sandbox.test")
        self.sandbox.switches.set(**switches)
        self.transport = transport or Delegated(self.sandbox.transport())
        clients = registry.build_clients({**SETTINGS, **(settings or {})})
        self.zapmail, self.plusvibe, self.heyreach = clients.zapmail, clients.plusvibe, clients.heyreach
        self.warmforge, self.salesforge = clients.warmforge, clients.salesforge
        self.infraforge = clients.infraforge
        self.cloudflare, self.godaddy = clients.cloudflare, clients.godaddy
        self.google, self.smartlead = clients.google_workspace, clients.smartlead
        self.used: set[str] = set()

    def do(self, call: Call[T]) -> T:
        """Execute a call as the engine would, short of permits and intents."""
        self.used.add(f"{call.platform}.{call.verb}")
        # Quotas are counted in the sandbox's time: half a minute between calls keeps within every one of them.
        self.sandbox.advance(200.0 if "zapmail.search" in call.budgets else 5.0)
        try:
            raw = self.transport.send(call)
        except OutcomeUnknown as lost:
            error = lost if call.is_write else unclear(call, lost.sentence)
        else:
            return judge(call, raw)
        raise error

    def error(self, call: Call[Any]) -> PlatformError:
        with pytest.raises(PlatformError) as caught:
            self.do(call)
        return caught.value


def set_up_a_student(bench: Bench) -> None:
    """The whole job, with every verb at least once, checking what each reply says."""
    zapmail, plusvibe, heyreach, do = bench.zapmail, bench.plusvibe, bench.heyreach, bench.do

    assert NAME not in {found.name for found in do(zapmail.list_workspaces("GTM-7K3F9Q")).workspaces}
    made = do(zapmail.create_workspace(NAME, BILLING))
    listed = do(zapmail.list_workspaces("GTM-7K3F9Q"))
    assert listed.last
    assert made.id in {found.id for found in listed.workspaces if found.name == NAME}

    offers = do(zapmail.check_domains(DOMAINS, weight_class="paid"))
    assert [(offer.name, offer.available, offer.price_cents) for offer in offers] == [(n, True, 1299) for n in DOMAINS]
    before = do(zapmail.wallet_balance(made.id)).balance_cents
    do(zapmail.buy_domains(made.id, dict.fromkeys(DOMAINS, 1500)))
    assert do(zapmail.wallet_balance(made.id)).balance_cents == before - 2 * 1299
    bench.sandbox.advance(3600)
    owned = {domain.name: domain for domain in do(zapmail.list_domains(made.id)).domains}
    assert set(owned) == set(DOMAINS)
    assert all(domain.dns_ready for domain in owned.values())
    ids = {name: domain.id for name, domain in owned.items()}
    do(zapmail.set_dmarc(made.id, ids, "dmarc@ops.example"))
    bench.sandbox.advance(600)
    (found,) = do(zapmail.list_domains(made.id, contains=DOMAINS[0])).domains
    assert (found.dmarc_email, found.dmarc_applied) == ("dmarc@ops.example", True)

    slots = do(zapmail.list_mailboxes(made.id)).purchased or 0
    do(zapmail.buy_mailbox_slots(made.id, 2, slots, slots + 2))
    bench.sandbox.advance(600)
    assert do(zapmail.list_mailboxes(made.id)).purchased == slots + 2
    wanted = [NewMailbox("sample.sender", "Sample", "Sender"), NewMailbox("sample", "Sample", "Sender")]
    do(zapmail.create_mailboxes(made.id, {DOMAINS[0]: (ids[DOMAINS[0]], wanted)}))
    bench.sandbox.advance(6 * 3600)
    boxes = {box.address: box for box in do(zapmail.list_mailboxes(made.id)).mailboxes}
    assert set(boxes) == {ADDRESS, f"sample@{DOMAINS[0]}"}
    assert all(box.active and box.app_password for box in boxes.values())
    do(zapmail.retry_failed_mailboxes(made.id, ids))

    space = do(plusvibe.create_workspace(NAME))
    assert (space.id, NAME) in {(row.id, row.name) for row in do(plusvibe.authenticate()).workspaces}
    login = do(plusvibe.create_client(space.id, LOGIN, "Sample", "Student", "Sample GTM"))
    (client,) = [row for row in do(plusvibe.list_clients(space.id)) if row.email == LOGIN]
    assert client.id == login.id
    assert client.sees(space.id)
    assert not client.sees(AGENCY)

    do(zapmail.register_sender(made.id, LOGIN, login.password.open()))
    (sender,) = do(zapmail.list_senders(made.id))
    assert (sender.email, sender.error) == (LOGIN, "")
    do(zapmail.update_sender(made.id, LOGIN, login.password.open(), account_id=sender.id))
    export = do(zapmail.export_mailboxes(made.id, {box.address: box.id for box in boxes.values()}, sender.id))
    bench.sandbox.advance(3600)
    if export.export_id is not None:
        assert do(zapmail.export_status(made.id, export.export_id)).completed

    page = do(plusvibe.list_accounts(space.id))
    accounts = {account.email: account for account in page.accounts}
    assert set(accounts) == set(boxes)
    assert page.last
    known = {email: account.id for email, account in accounts.items()}
    do(plusvibe.update_accounts(space.id, known, WarmupSettings()))
    do(plusvibe.set_warmup(space.id, known, on=True))
    for account in do(plusvibe.list_accounts(space.id)).accounts:
        assert account.settings.known
        assert account.settings.differing(WarmupSettings()) == ()
        assert account.warming
    bench.sandbox.advance(8 * 86_400)
    measured = [account.analytics for account in do(plusvibe.list_accounts(space.id)).accounts]
    assert all(figures is not None and figures.health is not None for figures in measured)
    do(
        plusvibe.add_accounts(
            space.id, [NewAccount(f"late@{DOMAINS[1]}", "Late", "Sender", Hidden("abcdefghijklmnop"))]
        )
    )

    do(heyreach.check_key())
    prospects = do(heyreach.create_list(f"Sample prospects {NAME}"))
    bench.sandbox.advance(60)
    same = do(heyreach.find_lists("GTM-7K3F9Q")).lists + do(heyreach.find_lists()).lists
    assert prospects.id in {row.id for row in same if row.name == prospects.name}
    assert do(heyreach.get_list(prospects.id)).id == prospects.id

    records = do(zapmail.list_dns_records(made.id, ids[DOMAINS[0]]))
    assert {record.type for record in records} == {"MX", "TXT"}
    do(zapmail.schedule_removal(made.id, ids))
    do(plusvibe.delete_client(space.id, login.id))
    assert LOGIN not in {row.email for row in do(plusvibe.list_clients(space.id))}


def hold_and_warm_a_mailbox(bench: Bench) -> None:
    """A mailbox with a password goes to Salesforge and Warmforge, with every verb of both, and away again."""
    holder, warmer, do, world = bench.salesforge, bench.warmforge, bench.do, bench.sandbox.world
    mailhost.set_password(world, ADDRESS, "the first password", bench.sandbox.clock.now())

    assert do(holder.me()).key_name
    held = do(holder.create_workspace(NAME))
    assert (held.id, NAME) in {(row.id, row.name) for row in do(holder.list_workspaces()).workspaces}
    assert do(holder.list_mailboxes(held.id, [ADDRESS])).mailboxes == ()
    smtp, imap = (Login("mx1.sample.example", port, ADDRESS, Hidden("the first password")) for port in (465, 993))
    made = do(holder.connect_mailbox(held.id, salesforge.NewMailbox(ADDRESS, "Sample", "Sender", smtp, imap, 40)))
    bench.sandbox.advance(3600)
    page = do(holder.list_mailboxes(held.id, [ADDRESS, "nobody@sample.example"]))
    assert [(row.id, row.connected, row.daily_limit) for row in page.mailboxes] == [(made.id, True, 40)]
    assert page.last
    do(holder.update_mailbox(held.id, made.id, 25))
    assert do(holder.get_mailbox(held.id, made.id)).daily_limit == 25

    warmed = do(warmer.create_workspace(NAME))
    assert (warmed.id, NAME) in {(row.id, row.name) for row in do(warmer.list_workspaces()).workspaces}
    assert isinstance(bench.error(warmer.get_mailbox(warmed.id, ADDRESS)), NotFound)
    do(warmer.connect_smtp(warmed.id, warmforge.NewMailbox(ADDRESS, "Sample", "Sender", smtp, imap, "GTM-7K3F9Q-1")))
    wanted = warmforge.WarmupSettings()
    do(warmer.update_mailbox(warmed.id, ADDRESS, wanted))
    bench.sandbox.advance(10 * 86_400)
    (box,) = do(warmer.list_mailboxes(warmed.id)).mailboxes
    assert (box.address, box.connected, box.warming, box.settings.differing(wanted)) == (ADDRESS, True, True, ())
    today = datetime.fromtimestamp(bench.sandbox.clock.now(), UTC).date()
    days = do(warmer.warmup_stats(warmed.id, ADDRESS, today - timedelta(6), today))
    assert [one.day for one in days] == [today - timedelta(back) for back in range(6, -1, -1)]
    # Today counts as far as it has come: soon after midnight nothing may have been sent yet.
    assert all(seen.primary for one in days[:-1] for seen in one.providers.values())

    mailhost.set_password(world, ADDRESS, "the second password", bench.sandbox.clock.now())
    bench.sandbox.advance(7200)
    assert do(holder.get_mailbox(held.id, made.id)).lost
    assert not do(warmer.get_mailbox(warmed.id, ADDRESS)).connected
    smtp, imap = (replace(door, password=Hidden("the second password")) for door in (smtp, imap))
    do(holder.update_connection_settings(held.id, made.id, smtp, imap))
    assert do(holder.get_mailbox(held.id, made.id)).connected

    do(holder.delete_mailbox(held.id, made.id))
    assert do(holder.list_mailboxes(held.id, [ADDRESS])).mailboxes == ()
    do(warmer.delete_mailbox(warmed.id, ADDRESS))
    assert isinstance(bench.error(warmer.get_mailbox(warmed.id, ADDRESS)), NotFound)


def set_up_a_student_at_infraforge(bench: Bench) -> None:
    """The part of the other stack that InfraForge does, with every verb at least once."""
    infraforge, do = bench.infraforge, bench.do
    assert do(infraforge.list_workspaces()) == ()
    made = do(infraforge.create_workspace(NAME, attach_ip=True))
    bench.sandbox.advance(600)
    (space,) = do(infraforge.list_workspaces())
    assert (space.id, space.name, bool(space.ip)) == (made.id, NAME, True)
    (spare,) = do(infraforge.eligible_ips(space.id))
    do(infraforge.set_ip(space.id, spare))
    assert do(infraforge.list_workspaces())[0].ip == spare

    offers = do(infraforge.check_domains(DOMAINS, weight_class="paid"))
    assert [(offer.name, offer.available, offer.price_cents) for offer in offers] == [(n, True, 1400) for n in DOMAINS]
    before = do(infraforge.credit_balance()).balance_cents
    contact = contact_of(BILLING, "contact@ops.example")
    do(infraforge.buy_domains(space.id, dict.fromkeys(DOMAINS, 1500), contact, "dmarc@ops.example"))
    assert do(infraforge.credit_balance()).balance_cents == before - 2 * 1400
    bench.sandbox.advance(3600)
    owned = {domain.name: domain for domain in do(infraforge.list_domains())}
    assert [owned[name].active for name in DOMAINS] == [True, True]
    assert {domain.auto_renew for domain in owned.values()} == {False}
    ids = {name: owned[name].id for name in DOMAINS}
    do(infraforge.enable_autorenew(ids))
    do(infraforge.disable_autorenew({DOMAINS[1]: ids[DOMAINS[1]]}))
    assert [do(infraforge.list_domains(name))[0].auto_renew for name in DOMAINS] == [True, False]

    do(infraforge.set_dmarc_bulk(ids, "none"))
    records = do(infraforge.get_dns(ids[DOMAINS[0]]))
    assert [record.type for record in records] == ["MX", "TXT", "TXT", "TXT"]
    assert records[3].value == "v=DMARC1; p=none; rua=mailto:dmarc@ops.example"
    more = (*records, DnsRecord(f"track.{DOMAINS[0]}", "CNAME", "track.ops.example"))
    do(infraforge.put_dns(DOMAINS[0], ids[DOMAINS[0]], more))
    assert do(infraforge.get_dns(ids[DOMAINS[0]])) == more

    assert len(do(infraforge.transfer_nameservers())) == 2
    do(infraforge.transfer_domains(space.id, ["brought-in.com"], "dmarc@ops.example"))
    bench.sandbox.advance(86_400)
    assert do(infraforge.list_domains("brought-in.com"))[0].active

    do(infraforge.create_mailboxes({DOMAINS[0]: [ForgeMailbox("sample.sender", "Sample", "Sender")]}))
    bench.sandbox.advance(3600)
    (box,) = do(infraforge.list_mailboxes(space.id, with_credentials=True))
    assert (box.address, box.active, box.workspace_id) == (ADDRESS, True, space.id)
    do(infraforge.set_password(ADDRESS, box.id, "our-own-password-1"))
    (box,) = do(infraforge.list_mailboxes(search=ADDRESS, with_credentials=True))
    logins = own_logins(infraforge.settings, space.mailserver, ADDRESS, Hidden("our-own-password-1"))
    without_passwords = bench.sandbox.switches.infraforge_credentials == "without_passwords"
    assert (box.smtp, box.imap) == ((None, None) if without_passwords else logins)

    holder, warmer = do(bench.salesforge.create_workspace(NAME)).id, do(bench.warmforge.create_workspace(NAME)).id
    do(infraforge.export_to_salesforge(space.id, holder, {ADDRESS: box.id}, "GTM-7K3F9Q", warmer))
    bench.sandbox.advance(3600)
    assert [one.connected for one in do(bench.salesforge.list_mailboxes(holder, [ADDRESS])).mailboxes] == [True]
    assert do(bench.warmforge.get_mailbox(warmer, ADDRESS)).warming


INFRAFORGE_FORMS: list[dict[str, Any]] = [
    {"infraforge_lists": "named", "infraforge_workspace_reply": "named", "infraforge_purchase_reply": "array"},
    {"infraforge_lists": "data", "infraforge_eligible_ips": "objects", "infraforge_nameservers": "object"},
    {"infraforge_lists": "items", "infraforge_prices_as": "cents", "infraforge_mailboxes_reply": "message"},
    {"infraforge_lists": "results", "infraforge_mailboxes_reply": "empty", "infraforge_export_reply": "message"},
    {"infraforge_credentials": "without_passwords", "infraforge_transfer": "invoice", "infraforge_spf": "ip4"},
]


@pytest.mark.parametrize("switches", INFRAFORGE_FORMS, ids="-".join)
def test_infraforge_works_in_the_other_positions(switches: dict[str, Any]) -> None:
    set_up_a_student_at_infraforge(Bench(**switches))


def test_the_bulk_call_of_infraforge_by_name() -> None:
    settings: dict[str, object] = {"INFRAFORGE_BULK_DNS_BY": "name"}
    set_up_a_student_at_infraforge(Bench(settings, infraforge_bulk_dns_by="name"))


def bring_a_domain_to_cloudflare(bench: Bench) -> None:
    """A domain whose owner changes its name servers, from an empty account to a zone that is gone again."""
    cloudflare, do, name = bench.cloudflare, bench.do, "ownexample.com"
    mine = [
        CloudRecord("TXT", name, "v=spf1 include:_spf.google.com ~all", comment=mark("GTM-7K3F9Q", "spf")),
        CloudRecord("TXT", f"_dmarc.{name}", 'v=DMARC1; p=none; n="x"', comment=mark("GTM-7K3F9Q", "dmarc")),
        CloudRecord("TXT", f"google._domainkey.{name}", "v=DKIM1; p=" + "A" * 400, comment=mark("GTM-7K3F9Q", "dkim")),
        CloudRecord("MX", name, "smtp.google.com", 1, comment=mark("GTM-7K3F9Q", "mx")),
        CloudRecord("CNAME", f"inst.{name}", "track.example.net", comment=mark("GTM-7K3F9Q", "tracking")),
    ]
    assert do(cloudflare.find_zone(name)) == ()
    made = do(cloudflare.create_zone(name))
    assert (made.status, made.active, len(set(made.name_servers))) == ("pending", False, 2)
    assert [zone.id for zone in do(cloudflare.find_zone(name.upper()))] == [made.id]
    assert made.id in {zone.id for zone in do(cloudflare.list_zones(status="pending")).zones}

    assert do(cloudflare.record_usage(made.id)).has_room_for(len(mine))
    do(cloudflare.batch_records(name, made.id, posts=mine))
    bench.sandbox.advance(10)
    page = do(cloudflare.list_records(made.id))
    assert ({row.key for row in page.records}, page.next_page) == ({row.key for row in mine}, None)
    assert all(row.is_ours and row.id for row in page.records)
    assert isinstance(bench.error(cloudflare.batch_records(name, made.id, posts=mine[:1])), AlreadyExists)
    old = next(row for row in page.records if row.name.startswith("_dmarc"))
    new = replace(old, content="v=DMARC1; p=none; rua=mailto:d@ops.example")
    do(cloudflare.batch_records(name, made.id, patches=[(old, new)], deletes=[page.records[-1]]))
    left = do(cloudflare.list_records(made.id)).records
    assert new.key in {row.key for row in left}
    assert len(left) == len(mine) - 1

    delegate(bench.sandbox.world, name, made.name_servers, bench.sandbox.clock.now())
    do(cloudflare.activation_check(name, made.id))
    assert do(cloudflare.get_zone(made.id)).active
    do(cloudflare.delete_zone(name, made.id))
    assert do(cloudflare.find_zone(name)) == ()


@pytest.mark.parametrize(
    "switches",
    [
        {"cloudflare_dashboard_touched": True},
        {"cloudflare_quota_of": "account"},
        {"cloudflare_identical_code": 81057},
        {"cloudflare_conflict_status": 409},
        {"cloudflare_plan": "paid"},
    ],
    ids="-".join,
)
def test_a_domain_comes_to_cloudflare_in_the_other_positions(switches: dict[str, Any]) -> None:
    bring_a_domain_to_cloudflare(Bench(**switches))


REGISTRANT = Contact("Sample", "Student", "s@ops.example", "+1.4805551234", "1 Street", "Town", "AZ", "85001", "US")
SERVERS = ("ada.ns.cloudflare.com", "bob.ns.cloudflare.com")


def fill_a_workspace_account(bench: Bench) -> None:
    """A domain from its token to mailboxes that can be read, whose TXT record a zone at Cloudflare publishes."""
    google, do, name = bench.google, bench.do, "ownexample.com"
    address = f"sample@{name}"
    do(google.access_token(google_workspace.DOMAIN, at=time.time()))
    assert isinstance(bench.error(google.get_domain(name)), NotFound)
    assert not do(google.add_domain(name)).verified
    assert isinstance(bench.error(google.add_domain(name)), AlreadyExists)
    assert name in {domain.name for domain in do(google.list_domains())}
    wanted = do(google.verification_token(name)).txt
    assert isinstance(bench.error(google.verify_domain(name)), Rejected | OutcomeUnknown)
    zone = do(bench.cloudflare.create_zone(name))
    do(
        bench.cloudflare.batch_records(
            name, zone.id, posts=[CloudRecord("TXT", name, wanted, comment=mark("GTM-7K3F9Q", "google"))]
        )
    )
    delegate(bench.sandbox.world, name, zone.name_servers, bench.sandbox.clock.now())
    bench.sandbox.advance(7200)
    do(google.verify_domain(name))
    bench.sandbox.advance(300)
    assert do(google.get_domain(name)).verified
    assert do(google.list_verified()) == (name,)

    person = NewUser(address, "Sample", "Sender", Hidden("Word-4-you-and-me"), "GTM-7K3F9Q")
    assert do(google.create_user(person)).is_ours("GTM-7K3F9Q")
    bench.sandbox.advance(60)
    assert isinstance(bench.error(google.create_user(person)), AlreadyExists)
    bench.sandbox.advance(3600)
    found = do(google.get_user(address))
    assert (found.mailbox_ready, found.is_ours("GTM-OTHER1")) == (True, False)
    assert [user.address for user in do(google.list_users(name)).users] == [address]
    assert do(google.get_licence(address)).address == address
    assert isinstance(bench.error(google.assign_licence(address)), PlatformError)
    assert not do(google.imap_enabled(address))
    do(google.enable_imap(address))
    assert do(google.imap_enabled(address))
    assert do(google.list_app_passwords(address)) == ()
    switch_two_step(bench.sandbox.world, address, True)
    make_app_password(bench.sandbox.world, address, "Smartlead", bench.sandbox.clock.now())
    assert [one.name for one in do(google.list_app_passwords(address))] == ["Smartlead"]
    do(google.suspend_user(address))
    assert do(google.get_user(address)).suspended


@pytest.mark.parametrize(
    "switches",
    [
        {"google_workspace_error_form": "details"},
        {"google_workspace_unverified": "503"},
        {"google_workspace_unknown_domain": "403"},
        {"google_workspace_limit_reply": "403 limitExceeded"},
        {"google_workspace_rate_reply": "403 userRateLimitExceeded"},
    ],
    ids=str,
)
def test_a_workspace_account_is_filled_in_the_other_positions(switches: dict[str, Any]) -> None:
    fill_a_workspace_account(Bench(**switches))


def a_google_mailbox(bench: Bench, address: str, *, imap: bool = True) -> str:
    """Let a user with a mailbox be in the simulated account; return an app password of theirs."""
    world, now, domain = bench.sandbox.world, bench.sandbox.clock.now(), address.partition("@")[2]
    world.google_workspace.domains.setdefault(domain, Domain(domain, now, now))
    user = User(world.hex_id("a person"), address, "Sample", "Sender", "Word-4-you-and-me", now, imap=imap)
    world.google_workspace.users[user.id] = user
    switch_two_step(world, address, True)
    return make_app_password(world, address, "Smartlead", now).value


def by_password(address: str, password: str, **more: Any) -> smartlead.NewAccount:
    smtp = Login("smtp.gmail.com", 465, address, Hidden(password))
    credential = smartlead.AppPassword(smtp, replace(smtp, host="imap.gmail.com", port=993))
    return smartlead.NewAccount(address, "Sample Sender", credential, **more)


def send_by_smartlead(bench: Bench) -> None:
    """Mailboxes by app password and by token: connected, warmed, measured, stopped, taken away; with every verb."""
    client, do, switches, world = bench.smartlead, bench.do, bench.sandbox.switches, bench.sandbox.world
    address, neighbour, by_token = (f"{local}@ownexample.com" for local in ("sam", "pam.sam", "token"))
    do(client.check_key())
    assert do(client.list_accounts()).accounts == ()
    do(client.save_account(by_password(neighbour, a_google_mailbox(bench, neighbour))))

    wanted = smartlead.AccountSettings(per_day=60, gap_minutes=5, tracking_host="EmailTracking.OwnExample.com")
    new = by_password(address, a_google_mailbox(bench, address, imap=False), settings=wanted)
    user = user_at(world, address)
    assert user is not None
    if switches.smartlead_imap_failure == "refused":
        assert getattr(bench.error(client.save_account(new)), "code", "") == "imap_off"
        user.imap = True
    made = do(client.save_account(new))
    assert made.failed is (switches.smartlead_imap_failure == "saved" and switches.smartlead_save_reply == "new")
    assert isinstance(bench.error(client.save_account(new)), AlreadyExists)
    (found,) = do(client.list_accounts(address=address.upper())).accounts
    assert (found.id, found.differing(wanted), found.warmup) == (made.id, (), None)
    if switches.smartlead_imap_failure == "saved":
        assert (found.smtp_works, found.imap_works, "IMAP" in found.failure) == (True, False, True)
        user.imap = True
        do(client.reconnect_failed())
    assert do(client.get_account(made.id)).connected
    if switches.smartlead_tag_list == "works":
        assert do(client.find_ids([address, "nobody@ownexample.com"])) == {address: made.id}
    else:
        assert isinstance(bench.error(client.find_ids([address])), Rejected | Unavailable)

    warm = smartlead.WarmupSettings()
    do(client.set_warmup(address, made.id, warm))
    do(client.update_account(address, made.id, smartlead.AccountSettings(per_day=50, name="Sam Sample")))
    bench.sandbox.advance(10 * 86_400)
    for seen in (do(client.get_account(made.id)), do(client.list_accounts(address=address)).accounts[0]):
        assert (seen.name, seen.per_day, seen.campaign_per_day, seen.warming) == ("Sam Sample", 50, 20, True)
        assert seen.warmup is not None
        assert (seen.warmup.differing(warm), (seen.warmup.reputation or 0) > 90) == ((), True)
    stats = do(client.warmup_stats(made.id))
    assert stats.sent > 100
    assert (stats.inbox_percent or 0) > 90
    assert len(stats.days) == (0 if switches.smartlead_stats_reply == "openapi" else 7)

    do(client.suspend_account(address, made.id))
    assert do(client.get_account(made.id)).suspended is True
    do(client.suspend_account(address, made.id, suspended=False))
    assert do(client.get_account(made.id)).suspended is False

    a_google_mailbox(bench, by_token)
    token = do(bench.google.access_token(MAIL, by_token, at=time.time())).value
    tokens = smartlead.Tokens(token, Hidden("refresh-token-1"), 1_900_000_000)
    brought = do(client.save_account(smartlead.NewAccount(by_token, "Token Sender", tokens)))
    assert do(client.get_account(brought.id)).connected
    assert isinstance(bench.error(client.save_account(smartlead.NewAccount(by_token, "T", tokens))), AlreadyExists)

    do(client.delete_account(address, made.id))
    assert isinstance(bench.error(client.get_account(made.id)), NotFound)
    assert isinstance(bench.error(client.delete_account(address, made.id)), NotFound)
    assert {one.address for one in do(client.list_accounts()).accounts} == {neighbour, by_token}


@pytest.mark.parametrize(
    "switches",
    [
        {"smartlead_save_reply": "new", "smartlead_write_reply": "bare"},
        {"smartlead_save_reply": "openapi", "smartlead_stats_reply": "openapi"},
        {"smartlead_stats_reply": "new", "smartlead_reputation_as": "number"},
        {"smartlead_refusal": "200"},
        {"smartlead_refusal": "200", "smartlead_error_form": "guide", "smartlead_save_reply": "new"},
        {"smartlead_error_form": "validation", "smartlead_validation_status": 422},
        {"smartlead_imap_failure": "refused"},
        {"smartlead_imap_failure": "refused", "smartlead_login_failure": "400 message"},
        {"smartlead_imap_failure": "refused", "smartlead_login_failure": "406 code", "smartlead_refusal": "200"},
        {"smartlead_imap_failure": "refused", "smartlead_login_failure": "406 code"},
        {"smartlead_tag_list": "absent", "smartlead_tags_in_lists": False},
        {"smartlead_passwords_as": "base64", "smartlead_user_agent": "any"},
        {"smartlead_warmup_bounds": "lax", "smartlead_deleted_history": "kept"},
    ],
    ids=lambda switches: "-".join(f"{name}={value}" for name, value in switches.items()),
)
def test_mailboxes_send_by_smartlead_in_the_other_positions(switches: dict[str, Any]) -> None:
    send_by_smartlead(Bench(**switches))


def test_kinds_may_be_named_in_capitals_by_token() -> None:
    send_by_smartlead(Bench({"SMARTLEAD_OAUTH_TYPES": "GMAIL,OUTLOOK"}, smartlead_oauth_types="upper"))


def buy_at_godaddy(bench: Bench) -> None:
    """A name from the first look to its own name servers, in v3."""
    godaddy, do, name = bench.godaddy, bench.do, "boughtexample.com"
    offers = do(godaddy.check_domains([name, "taken.us"]))
    assert [(offer.name, offer.available, offer.problem) for offer in offers] == [
        (name, True, ""), ("taken.us", False, "unsupported_tld"),
    ]  # fmt: skip
    offer = do(godaddy.check_domain(name, accurate=True))
    assert (offer.price, offer.renewal) == (Money(Decimal("11.99"), "USD"), Money(Decimal("22.99"), "USD"))
    quote = do(godaddy.quote(name, contact=REGISTRANT))
    consent = Consent(tuple(one.kind for one in quote.agreements), "2026-11-20T10:00:00Z")
    call = godaddy.register(quote, consent, "key-1", 1500, contact=REGISTRANT)
    first, second = do(call), do(call)
    assert first.operation_id == second.operation_id
    bench.sandbox.advance(300)
    assert do(godaddy.get_operation(first.operation_id)).done
    assert len(bench.sandbox.world.godaddy.charges) == 1
    assert do(godaddy.get_domain(name)).active
    do(godaddy.set_nameservers(name, SERVERS, "key-2"))
    do(godaddy.set_auto_renew(name, False, "key-3"))
    bench.sandbox.advance(300)
    (owned,) = do(godaddy.list_domains()).domains
    assert (owned.nameservers, owned.auto_renew) == (SERVERS, False)


def buy_at_old_godaddy(bench: Bench) -> None:
    """The same in v1, which buys at once."""
    godaddy, do, name = bench.godaddy, bench.do, "boughtexample.com"
    assert [offer.available for offer in do(godaddy.check_domains([name, "taken.us"]))] == [True, False]
    assert do(godaddy.check_domain(name)).price == Money(Decimal("11.99"), "USD")
    consent = Consent(tuple(one.kind for one in do(godaddy.agreements("com"))), "2026-11-20T10:00:00Z", "203.0.113.7")
    do(godaddy.validate(name, consent, REGISTRANT))
    order = do(godaddy.purchase(name, consent, REGISTRANT, 1500))
    assert order.total == Money(Decimal("11.99"), "USD")
    assert do(godaddy.get_domain(name)).waiting
    bench.sandbox.advance(300)
    assert do(godaddy.get_domain(name)).active
    assert do(godaddy.set_nameservers(name, SERVERS, "")).done
    do(godaddy.set_auto_renew(name, False, ""))
    (owned,) = do(godaddy.list_domains()).domains
    assert (owned.nameservers, owned.auto_renew) == (SERVERS, False)


@pytest.mark.parametrize(
    ("settings", "switches"),
    [
        ({}, {"godaddy_envelope": "v1", "godaddy_code_case": "upper"}),
        ({}, {"godaddy_code_case": "lower", "godaddy_phone": "object"}),
        ({"GODADDY_PHONE_AS": "text"}, {"godaddy_phone": "text"}),
    ],
)
def test_a_name_is_bought_at_godaddy_in_the_other_positions(
    settings: dict[str, object], switches: dict[str, Any]
) -> None:
    buy_at_godaddy(Bench(settings, **switches))


def test_every_verb_works() -> None:
    bench = Bench(zapmail_export_id="present")
    set_up_a_student(bench)
    hold_and_warm_a_mailbox(bench)
    set_up_a_student_at_infraforge(bench)
    bring_a_domain_to_cloudflare(bench)
    fill_a_workspace_account(bench)
    send_by_smartlead(bench)
    buy_at_godaddy(bench)
    old = Bench({"GODADDY_API": "v1"})
    buy_at_old_godaddy(old)
    bench.used |= old.used
    verbs = {
        f"{row.slug}.{name}"
        for row in registry.PLATFORMS
        for name, _ in inspect.getmembers(row.client, inspect.isfunction)
        if not name.startswith("_")
    }
    assert bench.used == verbs


@pytest.mark.parametrize(
    "switches",
    [
        {"warmforge_strict_addresses": False},
        {"warmforge_bad_login": "400"},
        {"warmforge_answers": "sparse"},
        {"warmforge_dates_as": "moment"},
        {"salesforge_deleted": "gone"},
        {"salesforge_unknown_query": "ignore"},
    ],
    ids=lambda switches: "-".join(f"{name}={value}" for name, value in switches.items()),
)
def test_a_mailbox_is_held_and_warmed_in_the_other_positions(switches: dict[str, Any]) -> None:
    hold_and_warm_a_mailbox(Bench(**switches))


@pytest.mark.parametrize(
    ("switches", "settings"),
    [
        ({"warmforge_auth": "raw"}, {}),
        ({"warmforge_auth": "bearer"}, {}),
        ({"warmforge_auth": "bearer"}, {"WARMFORGE_AUTH": "bearer"}),
        ({"warmforge_auth": "raw"}, {"WARMFORGE_AUTH": "raw"}),
    ],
)
def test_the_form_of_the_key_is_found_out_or_set(switches: dict[str, Any], settings: dict[str, object]) -> None:
    sandbox = Sandbox(seed=1, speed=ManualClock(), public_url="http://sandbox.test")
    bench = Bench(settings, sandbox=sandbox, transport=EitherForm(sandbox.transport()), **switches)
    hold_and_warm_a_mailbox(bench)
    refused = [entry.verb for entry in sandbox.log if entry.status == 401]
    asked = ["list_workspaces"] if "WARMFORGE_AUTH" not in settings and switches["warmforge_auth"] == "bearer" else []
    assert refused == asked


def test_pages_are_read_on_to_their_end() -> None:
    bench = Bench({"WARMFORGE_PAGE_SIZE": "2"}, salesforge_page_most=2)
    made = {bench.do(bench.salesforge.create_workspace(f"{number} {NAME}")).id for number in range(5)}
    found, offset, last = set[str](), 0, False
    while not last:
        page = bench.do(bench.salesforge.list_workspaces(offset))
        found, offset, last = found | {row.id for row in page.workspaces}, page.next_offset, page.last
    assert found == made
    made = {bench.do(bench.warmforge.create_workspace(f"{number} {NAME}")).id for number in range(5)}
    pages = [bench.do(bench.warmforge.list_workspaces(number)) for number in (1, 2, 3)]
    assert [page.last for page in pages] == [False, False, True]
    assert {row.id for page in pages for row in page.workspaces} == made


def test_a_mailbox_is_found_behind_a_page_of_its_neighbours() -> None:
    bench = Bench({"SMARTLEAD_PAGE_SIZE": "2"})
    addresses = [f"{local}@sample.example" for local in ("a.sam", "b.sam", "c.sam", "sam")]
    for address in addresses:
        mailhost.set_password(bench.sandbox.world, address, "the first password", bench.sandbox.clock.now())
        bench.do(bench.smartlead.save_account(by_mail_server(address)))
    found, offset, last = list[str](), 0, False
    while not last:
        page = bench.do(bench.smartlead.list_accounts(offset, "sam@sample.example"))
        found, offset, last = [*found, *(one.address for one in page.accounts)], page.next_offset, page.last
    assert (found, offset) == (["sam@sample.example"], 4)


@pytest.mark.parametrize(
    "switches",
    [
        {"zapmail_bulk_nesting": "data"},
        {"zapmail_bulk_status_case": "lower"},
        {"zapmail_prices_as": "string"},
        {"zapmail_workspaces_as": "array"},
        {"zapmail_counters_as": "number"},
        {"zapmail_dmarc_reply": "empty"},
        {"zapmail_create_mailboxes_status": "202"},
        {"zapmail_export_id": "present"},
        {"zapmail_wallet": "account"},
        {"zapmail_new_workspace": "inherits"},
        {"zapmail_billing_details": "optional"},
        {"zapmail_lists": "one_provider"},
        {"zapmail_full_domain": "assignable"},
        {"zapmail_duplicate_sender": "accept"},
        {"plusvibe_account_id": "_id"},
        {"plusvibe_account_id": "both"},
        {"plusvibe_updated_ids": "data"},
        {"plusvibe_bulk_update_reply": "empty"},
        {"plusvibe_create_client_reply": "data"},
        {"plusvibe_flags_as": "boolean"},
        {"plusvibe_warmup_on_arrival": "ACTIVE"},
        {"heyreach_optional_members": "missing"},
        {"heyreach_keyword": "nothing"},
        {"heyreach_keyword": "word"},
    ],
    ids=lambda switches: "-".join(f"{name}={value}" for name, value in switches.items()),
)
def test_the_job_works_in_the_other_positions(switches: dict[str, Any]) -> None:
    set_up_a_student(Bench(**switches))


def test_the_member_that_names_a_clients_workspace_is_a_setting() -> None:
    set_up_a_student(
        Bench({"PLUSVIBE_CLIENT_WORKSPACE_ITEM": "workspace_id"}, plusvibe_client_workspace_item="workspace_id")
    )


def test_the_job_works_over_real_http() -> None:
    options = Options(port=0, control_port=0, mail_port=0, dns_port=0, post_port=0, speed=1.0, profile="none")
    servers = Servers(options, environment={})
    transport = HttpTransport()
    servers.start()
    try:
        addresses = {
            name: str(value).replace("http://sandbox.test", servers.public_url)
            for name, value in SETTINGS.items()
            if name.endswith("_URL")
        }
        bench = Bench(dict(addresses), sandbox=servers.sandbox, transport=Delegated(transport))
        set_up_a_student(bench)
        hold_and_warm_a_mailbox(bench)
        set_up_a_student_at_infraforge(bench)
        send_by_smartlead(bench)
    finally:
        transport.close()
        servers.stop()


def a_workspace(bench: Bench) -> str:
    return bench.do(bench.zapmail.create_workspace(NAME, BILLING)).id


WRONG = Login("mx1.sample.example", 465, ADDRESS, Hidden("not the password"))


def a_sending_mailbox(bench: Bench, limit: int = 30) -> Call[Any]:
    workspace = bench.do(bench.salesforge.create_workspace(NAME)).id
    new = salesforge.NewMailbox(ADDRESS, "Sample", "Sender", WRONG, WRONG, limit)
    return bench.salesforge.connect_mailbox(workspace, new)


def held_elsewhere(bench: Bench) -> Call[Any]:
    """A mailbox that another workspace holds already."""
    mailhost.set_password(bench.sandbox.world, ADDRESS, "not the password", bench.sandbox.clock.now())
    bench.do(a_sending_mailbox(bench))
    return a_sending_mailbox(bench)


def a_warm_mailbox(bench: Bench, *, warm_already: bool = False) -> Call[Any]:
    workspace = bench.do(bench.warmforge.create_workspace(NAME)).id
    for address in ("first@sample.example",) if warm_already else ():
        bench.do(
            bench.warmforge.connect_smtp(workspace, warmforge.NewMailbox(address, "Sample", "Sender", WRONG, WRONG))
        )
    return bench.warmforge.connect_smtp(workspace, warmforge.NewMailbox(ADDRESS, "Sample", "Sender", WRONG, WRONG))


Cause = Callable[[Bench], Call[Any]]


@pytest.mark.parametrize(
    ("cause", "switches", "meaning"),
    [
        (lambda b: b.zapmail.create_workspace(NAME), {}, "billing_missing"),
        (lambda b: b.zapmail.buy_domains(a_workspace(b), {"sample-google.com": 1500}), {}, "banned_name"),
        (lambda b: b.zapmail.buy_domains(a_workspace(b), {"sample.io": 1500}), {}, "ending_not_sold"),
        (
            lambda b: b.zapmail.buy_domains(a_workspace(b), {"sample.com": 1500}),
            {"zapmail_wallet_cents": 0, "zapmail_short_wallet_reply": "error"},
            "insufficient_wallet",
        ),
        (
            lambda b: b.zapmail.buy_domains(a_workspace(b), {"sample.com": 1500}),
            {"zapmail_names_with_workspace": "sample.com"},
            "name_has_workspace",
        ),
        (
            lambda b: b.zapmail.buy_mailbox_slots(a_workspace(b), 1, 0, 1),
            {"zapmail_wallet_cents": 0},
            "insufficient_wallet",
        ),
        (
            lambda b: b.zapmail.buy_mailbox_slots(a_workspace(b), 1, 0, 1),
            {"zapmail_new_workspace": "needs_plan"},
            "no_plan",
        ),
        (lambda b: b.zapmail.register_sender(a_workspace(b), LOGIN, "not-the-password"), {}, "wrong_login"),
        (lambda b: b.plusvibe.list_accounts("65f0c0ffee0000000000dead"), {}, "foreign_workspace"),
        (
            lambda b: b.plusvibe.create_client(AGENCY, LOGIN, "Sample", "Student", "GTM"),
            {"plusvibe_duplicate_email": "elsewhere"},
            "email_is_user",
        ),
        (lambda b: b.plusvibe.create_workspace(NAME), {"plusvibe_max_workspaces": 1}, "workspace_limit"),
        (lambda b: b.plusvibe.set_warmup(AGENCY, {ADDRESS: "not-hex"}, on=True), {}, "bad_value"),
        (lambda b: b.heyreach.create_list(NAME), {"heyreach_max_name_length": 5}, "bad_name"),
        (lambda b: a_sending_mailbox(b), {}, "wrong_login"),
        (lambda b: a_sending_mailbox(b, limit=60), {"salesforge_daily_cap": 50}, "bad_limit"),
        (lambda b: a_sending_mailbox(b), {"salesforge_credits": "used_up"}, "no_credits"),
        (lambda b: held_elsewhere(b), {}, "elsewhere"),
        (lambda b: held_elsewhere(b), {"salesforge_other_workspace": "409"}, "elsewhere"),
        (lambda b: a_warm_mailbox(b), {"warmforge_bad_login": "400"}, "wrong_login"),
        (
            lambda b: a_warm_mailbox(b, warm_already=True),
            {"warmforge_slots": 1, "warmforge_without_slot": "402"},
            "no_slot",
        ),
    ],
)
@pytest.mark.parametrize("shape", ["errors", "message", "error"])
def test_refusals_are_understood(cause: Cause, switches: dict[str, Any], meaning: str, shape: str) -> None:
    form = "message" if shape == "message" else "aspnet"
    bench = Bench(plusvibe_error_shape=shape, heyreach_error_form=form, **switches)
    error = bench.error(cause(bench))
    assert isinstance(error, Rejected)
    assert error.code == meaning


def at_the_limit(bench: Bench) -> Call[Any]:
    for address in ("older@sample.example", "fresh@sample.example"):
        mailhost.set_password(bench.sandbox.world, address, "the first password", bench.sandbox.clock.now())
    bench.do(bench.smartlead.save_account(by_mail_server("older@sample.example")))
    return bench.smartlead.save_account(by_mail_server("fresh@sample.example"))


def known_twice(bench: Bench) -> Call[Any]:
    """A mailbox that another user of Smartlead has connected already."""
    call = at_the_limit(bench)
    students = registry.build_clients({**SETTINGS, "SMARTLEAD_API_KEY": "sandbox-smartlead-other-key"}).smartlead
    bench.do(students.save_account(by_mail_server("fresh@sample.example")))
    return call


def of_no_kind(bench: Bench) -> Call[Any]:
    return bench.smartlead.save_account(replace(by_mail_server("fresh@sample.example"), kind="ZOHO"))


@pytest.mark.parametrize("refusal", ["status", "200"])
@pytest.mark.parametrize(
    ("cause", "switches", "meaning"),
    [
        (known_twice, {}, "elsewhere"),
        (at_the_limit, {"smartlead_held_addresses": "fresh@sample.example"}, "elsewhere"),
        (at_the_limit, {"smartlead_max_accounts": 1}, "account_limit"),
        (at_the_limit, {"smartlead_max_accounts": 1, "smartlead_error_form": "guide"}, "account_limit"),
        (of_no_kind, {}, "bad_value"),
        (of_no_kind, {"smartlead_validation_status": 400, "smartlead_error_form": "guide"}, "bad_value"),
        (of_no_kind, {"smartlead_validation_status": 422, "smartlead_error_form": "validation"}, "bad_value"),
        (lambda b: b.smartlead.save_account(by_mail_server("no@sample.example")), {}, "wrong_login"),
        (
            lambda b: b.smartlead.save_account(by_mail_server("no@sample.example")),
            {"smartlead_login_failure": "400 message"},
            "wrong_login",
        ),
        (
            lambda b: b.smartlead.save_account(by_mail_server("no@sample.example")),
            {"smartlead_login_failure": "406 code"},
            "wrong_login",
        ),
        (lambda b: b.smartlead.find_ids([ADDRESS]), {"smartlead_tag_list": "absent"}, "no_such_path"),
    ],
)
def test_refusals_of_smartlead_are_understood(
    cause: Cause, switches: dict[str, Any], meaning: str, refusal: str
) -> None:
    bench = Bench(smartlead_refusal=refusal, **switches)
    error = bench.error(cause(bench))
    assert isinstance(error, Rejected)
    assert error.code == meaning


def test_a_fresh_app_password_is_refused_as_a_wrong_one_and_taken_later() -> None:
    bench = Bench(smartlead_fresh_password_seconds=600.0)
    call = bench.smartlead.save_account(by_password(ADDRESS, a_google_mailbox(bench, ADDRESS)))
    error = bench.error(call)
    assert isinstance(error, Rejected)
    assert error.code == "wrong_login"
    bench.sandbox.advance(900)
    assert bench.do(call).id


def test_a_save_whose_answer_is_lost_is_found_by_its_address() -> None:
    bench = Bench()
    mailhost.set_password(bench.sandbox.world, ADDRESS, "the first password", bench.sandbox.clock.now())
    call = bench.smartlead.save_account(by_mail_server(ADDRESS))
    bench.sandbox.faults.add("reset_after", platform="smartlead", verb="save_account", times=1)
    assert isinstance(bench.error(call), OutcomeUnknown)
    (found,) = bench.do(bench.smartlead.list_accounts(address=ADDRESS)).accounts
    assert isinstance(bench.error(call), AlreadyExists)
    assert bench.do(bench.smartlead.find_ids([ADDRESS])) == {ADDRESS: found.id}


def test_warmup_that_they_have_blocked_is_not_warming() -> None:
    bench = Bench(smartlead_scenario="blocked")
    mailhost.set_password(bench.sandbox.world, ADDRESS, "the first password", bench.sandbox.clock.now())
    warm = smartlead.WarmupSettings()
    made = bench.do(bench.smartlead.save_account(replace(by_mail_server(ADDRESS), warmup=warm)))
    bench.sandbox.advance(6 * 86_400)
    for seen in (
        bench.do(bench.smartlead.get_account(made.id)),
        bench.do(bench.smartlead.list_accounts()).accounts[0],
    ):
        assert (seen.connected, seen.warming) == (True, False)
        assert seen.warmup is not None
        assert "spam" in seen.warmup.blocked


@pytest.mark.parametrize(("advice", "waits"), [("both", True), ("header", True), ("body", True), ("none", False)])
def test_a_limit_of_smartlead_is_waited_for_as_advised(advice: str, waits: bool) -> None:
    bench = Bench(smartlead_429_advice=advice, smartlead_reconnects_per_day=1, smartlead_per_minute=3)
    for call in (bench.smartlead.reconnect_failed(), bench.smartlead.check_key()):
        for _ in range(3):
            bench.transport.send(call)
        error = call.classify(bench.transport.send(call))
        assert isinstance(error, RateLimited)
        assert (error.advised_wait is not None and error.advised_wait > 1) is waits


@pytest.mark.parametrize("status", [400, 409, 422])
def test_a_workspace_name_in_use(status: int) -> None:
    bench = Bench(zapmail_duplicate_name_status=str(status))
    a_workspace(bench)
    assert isinstance(bench.error(bench.zapmail.create_workspace(NAME, BILLING)), AlreadyExists)


def test_the_same_things_twice() -> None:
    bench = Bench(plusvibe_duplicate_workspace="refuse", heyreach_duplicate_names="refuse")
    twice: list[Call[Any]] = [
        bench.plusvibe.create_workspace(NAME),
        bench.plusvibe.create_client(AGENCY, LOGIN, "Sample", "Student", "GTM"),
        bench.heyreach.create_list(NAME),
        bench.zapmail.buy_domains(a_workspace(bench), {DOMAINS[0]: 1500}),
    ]
    for call in twice:
        bench.do(call)
        bench.sandbox.advance(60)
        assert isinstance(bench.error(call), AlreadyExists), call.verb


def a_space(bench: Bench) -> str:
    return bench.do(bench.infraforge.create_workspace(NAME)).id


def an_order(bench: Bench, *names: str) -> Call[Any]:
    contact = contact_of(BILLING, "contact@ops.example")
    return bench.infraforge.buy_domains(a_space(bench), dict.fromkeys(names, 1500), contact)


def boxes_on_a_fresh_domain(bench: Bench, wait: float = 3600.0, count: int = 1) -> Call[Any]:
    bench.do(an_order(bench, DOMAINS[0]))
    bench.sandbox.advance(wait)
    return bench.infraforge.create_mailboxes({DOMAINS[0]: [ForgeMailbox(f"u{n}", "A", "B") for n in range(count)]})


@pytest.mark.parametrize(
    ("cause", "switches", "meaning"),
    [
        (lambda b: b.infraforge.create_workspace("x" * 51), {}, "bad_name"),
        (
            lambda b: b.infraforge.create_workspace(NAME, attach_ip=True),
            {"infraforge_credits_cents": 0},
            "insufficient_wallet",
        ),
        (lambda b: b.infraforge.set_ip(a_space(b), "192.0.2.1"), {}, "ip_not_available"),
        (lambda b: an_order(b, "sample.zz"), {}, "ending_not_sold"),
        (lambda b: an_order(b, "sample.io"), {"infraforge_endings": "com net"}, "ending_not_sold"),
        (lambda b: an_order(b, "sample.com"), {"infraforge_taken_names": "sample.com"}, "name_taken"),
        (
            lambda b: an_order(b, "sample.com"),
            {"infraforge_credits_cents": 0, "infraforge_402_body": "empty"},
            "insufficient_wallet",
        ),
        (
            lambda b: an_order(b, "sample.com"),
            {"infraforge_credits_cents": 0, "infraforge_short_credits": "checkout"},
            "insufficient_wallet",
        ),
        (
            lambda b: an_order(b, "sample.com"),
            {
                "infraforge_credits_cents": 0,
                "infraforge_short_credits": "checkout",
                "infraforge_checkout_rows": "unpaid",
            },
            "insufficient_wallet",
        ),
        (
            lambda b: b.infraforge.transfer_domains(a_space(b), ["sample.com"]),
            {"infraforge_transfer": "checkout"},
            "insufficient_wallet",
        ),
        (lambda b: boxes_on_a_fresh_domain(b, wait=0.0), {}, "domain_not_ready"),
        (lambda b: boxes_on_a_fresh_domain(b, count=11), {}, "domain_full"),
        (lambda b: boxes_on_a_fresh_domain(b), {"infraforge_credits_cents": 1400}, "insufficient_wallet"),
        (
            lambda b: b.infraforge.export_to_salesforge(a_space(b), "wks_1", {ADDRESS: "mbx_1"}, "GTM"),
            {"infraforge_salesforge_subscription": False},
            "no_subscription",
        ),
        (
            lambda b: b.infraforge.export_to_salesforge(a_space(b), "wks_1", {ADDRESS: "mbx_1"}, "GTM"),
            {},
            "nothing_to_export",
        ),
    ],
)
def test_refusals_of_infraforge_are_understood(cause: Cause, switches: dict[str, Any], meaning: str) -> None:
    bench = Bench(**switches)
    error = bench.error(cause(bench))
    assert isinstance(error, Rejected)
    assert error.code == meaning


def test_a_contact_that_infraforge_refuses() -> None:
    bench = Bench()
    call = an_order(bench, DOMAINS[0])
    call.request.json["contactDetails"]["phone"] = " "
    error = bench.error(call)
    assert isinstance(error, Rejected)
    assert (error.code, error.sentence) == ("contact_refused", "invalid request body; phone is a required field")


@pytest.mark.parametrize("reply", [{"infraforge_purchase_reply": "message"}, {"infraforge_taken_in_order": "skip"}])
def test_an_order_that_does_not_name_everything_is_unknown(reply: dict[str, Any]) -> None:
    bench = Bench(infraforge_taken_names=DOMAINS[1] if "infraforge_taken_in_order" in reply else "", **reply)
    assert type(bench.error(an_order(bench, *DOMAINS))) is OutcomeUnknown
    assert DOMAINS[0] in {domain.name for domain in bench.do(bench.infraforge.list_domains()) if domain.bought}


@pytest.mark.parametrize("form", ["never_404", "never_400"])
def test_credits_that_were_never_set_up(form: str) -> None:
    bench = Bench(infraforge_credits=form)
    assert isinstance(bench.error(bench.infraforge.credit_balance()), NotFound)


def test_things_that_infraforge_does_not_have() -> None:
    bench = Bench(infraforge_owned_name="refuse")
    infraforge = bench.infraforge
    for call in (
        infraforge.get_dns("dom_no"),
        infraforge.set_dmarc_bulk({DOMAINS[0]: "dom_no"}, "none"),
        infraforge.set_password(ADDRESS, "mbx_no", "our-own-password-1"),
        infraforge.create_mailboxes({DOMAINS[0]: [ForgeMailbox("a", "A", "B")]}),
        infraforge.buy_domains("ws_no", {DOMAINS[0]: 1500}, contact_of(BILLING, "contact@ops.example")),
    ):
        assert isinstance(bench.error(call), NotFound), call.verb
    bench.do(an_order(bench, DOMAINS[0]))
    assert isinstance(bench.error(an_order(bench, DOMAINS[0])), AlreadyExists)


def test_mailboxes_before_slots() -> None:
    bench = Bench()
    workspace = a_workspace(bench)
    bench.do(bench.zapmail.buy_domains(workspace, {DOMAINS[0]: 1500}))
    bench.sandbox.advance(3600)
    (domain,) = bench.do(bench.zapmail.list_domains(workspace)).domains
    call = bench.zapmail.create_mailboxes(workspace, {DOMAINS[0]: (domain.id, [NewMailbox("a", "A", "B")])})
    error = bench.error(call)
    assert isinstance(error, Rejected)
    assert error.code == "not_enough_slots"


@pytest.mark.parametrize(("reply", "meaning"), [("invoice", None), ("payment_link", OutcomeUnknown)])
def test_a_short_wallet_buys_nothing_and_is_never_a_success(reply: str, meaning: type[PlatformError] | None) -> None:
    bench = Bench(zapmail_wallet_cents=100, zapmail_short_wallet_reply=reply)
    workspace = a_workspace(bench)
    call = bench.zapmail.buy_domains(workspace, {DOMAINS[0]: 1500})
    if meaning is None:
        bench.do(call)
    else:
        assert type(bench.error(call)) is meaning
    bench.sandbox.advance(3600)
    assert bench.do(bench.zapmail.list_domains(workspace)).domains == ()


def test_a_client_without_password_is_unknown() -> None:
    bench = Bench(plusvibe_create_client_reply="no_password")
    call = bench.plusvibe.create_client(AGENCY, LOGIN, "Sample", "Student", "GTM")
    assert type(bench.error(call)) is OutcomeUnknown


def test_things_that_are_not_there() -> None:
    bench = Bench()
    assert isinstance(bench.error(bench.heyreach.get_list(99)), NotFound)
    assert isinstance(bench.error(bench.plusvibe.delete_client(AGENCY, "65f0c0ffee0000000000dead")), NotFound)


def by_mail_server(address: str) -> smartlead.NewAccount:
    door = Login("mx1.sample.example", 465, address, Hidden("the first password"))
    return smartlead.NewAccount(address, "Sample", smartlead.AppPassword(door, door), smartlead.SMTP)


def reads_and_writes(bench: Bench) -> list[Call[Any]]:
    return [
        bench.zapmail.list_workspaces(),
        bench.zapmail.create_workspace(NAME, BILLING),
        bench.plusvibe.authenticate(),
        bench.plusvibe.create_workspace(NAME),
        bench.heyreach.find_lists(),
        bench.heyreach.create_list(NAME),
        bench.warmforge.list_workspaces(),
        bench.warmforge.create_workspace(NAME),
        bench.salesforge.list_workspaces(),
        bench.salesforge.create_workspace(NAME),
        bench.infraforge.list_workspaces(),
        bench.infraforge.create_workspace(NAME),
        bench.smartlead.list_accounts(),
        bench.smartlead.save_account(by_mail_server("fresh@sample.example")),
    ]


@pytest.mark.parametrize("status", [401, 403])
def test_a_wrong_key(status: int) -> None:
    wrong = {f"{row.slug.upper()}_API_KEY": "not-the-right-key" for row in registry.PLATFORMS}
    switches: dict[str, Any] = {
        f"{name}_unauthorised_status": str(status) for name in ("zapmail", "plusvibe", "heyreach")
    }
    bench = Bench(dict(wrong), **switches)
    for call in reads_and_writes(bench):
        assert isinstance(bench.error(call), BadCredentials), call.verb


def test_too_fast() -> None:
    bench = Bench(zapmail_retry_after="seconds", zapmail_general_per_minute=1)
    call = bench.zapmail.list_workspaces()
    bench.transport.send(call)
    error = call.classify(bench.transport.send(call))
    assert isinstance(error, RateLimited)
    assert error.advised_wait is not None
    assert 0 < error.advised_wait <= 61


def test_advice_may_be_a_date() -> None:
    bench = Bench(zapmail_retry_after="date", zapmail_general_per_minute=1)
    call = bench.zapmail.list_workspaces()
    bench.transport.send(call)
    error = call.classify(bench.transport.send(call))
    assert isinstance(error, RateLimited)


@pytest.mark.parametrize(
    "kind",
    [
        "timeout_before", "reset_before", "status", "redirect", "late_execution", "timeout_after", "reset_after",
        "status_after", "empty_body", "truncated_body", "html_body", "garbage_body", "wrong_type", "null_id",
        "huge_body",
    ],
)  # fmt: skip
def test_faults_are_lost_answers(kind: str) -> None:
    bench = Bench()
    bench.do(bench.heyreach.create_list("An older list"))
    bench.do(bench.warmforge.create_workspace("An older one"))
    bench.do(bench.salesforge.create_workspace("An older one"))
    bench.do(bench.infraforge.create_workspace("An older workspace"))
    for address in ("older@sample.example", "fresh@sample.example"):
        mailhost.set_password(bench.sandbox.world, address, "the first password", bench.sandbox.clock.now())
    bench.do(bench.smartlead.save_account(by_mail_server("older@sample.example")))
    bench.sandbox.advance(60)
    for call in reads_and_writes(bench):
        bench.sandbox.faults.add(kind, platform=call.platform, verb=call.verb, times=1, amount=2_000_000, status=502)
        expected = OutcomeUnknown if call.is_write else Unavailable
        assert type(bench.error(call)) is expected, call.verb


def test_a_refused_connection_was_not_sent() -> None:
    bench = Bench()
    for call in reads_and_writes(bench):
        bench.sandbox.faults.add("refuse", platform=call.platform, verb=call.verb, times=1)
        assert type(bench.error(call)) is NotSent, call.verb
