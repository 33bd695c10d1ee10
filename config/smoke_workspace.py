"""The story of the `workspace` stack: a domain of the student's own, whose owner changes the name servers, another one that
is registered in the student's GoDaddy account, and a person who makes at Google what no call can. A test message fails
before that person starts the signing, and passes after it; what is exported opens the mailboxes. Then a second student's
set-up is given up half-way, and what was made for it is undone.
"""

from __future__ import annotations

import csv
import io
import json
import secrets
import smtplib
import ssl
from collections.abc import Callable, Iterator

import dns.message
import dns.query
from django.conf import settings

from infra.dns import message
from infra.models import AuthenticationTest, Domain, Mail, MailboxState, PlatformConnection, Provision, ProvisionState
from integrations import mail_probe
from integrations.cloudflare import marked
from provisioning import connections, entering

from .management.commands.create_demo_users import OPERATOR
from .smoke import Package, SmokeFailed, State, Story

Say = Callable[[float, str], None]  # how far it is, from 0 to 1, and a sentence
LONG = 900.0
ACCOUNTS, DOMAINS = "/infrastructure/setup/accounts/", "/infrastructure/setup/domains/"
KINDS = {"dkim_keys": "dkim", "accounts": "app_password", "signed": "start"}  # at the console, by step
PURPOSES = {"spf", "dmarc", "mx", "google", "dkim", "tracking"}
EXPORTS = (("csv", "plain"), ("json", "plain"), ("csv", "smartlead"))  # format and layout
EXPORTS_PAGE = "/infrastructure/exports/"
TRACKING = settings.PLATFORMS.get("SMARTLEAD_TRACKING_LABEL") or "emailtracking"
RECORDS = {  # of ours in public DNS before there is a key: where, of which type, with which text
    "MX": ("", "MX", ""),
    "SPF": ("", "TXT", "v=spf1"),
    "DMARC": ("_dmarc.", "TXT", "v=DMARC1"),
    "tracking": (f"{TRACKING}.", "CNAME", ""),
}


def main(story: Story) -> None:
    """Play each act with a student of its own: one whose set-up works in the end, and one whose order is given up."""
    acts = (own_and_bought, given_up)
    for number, act in enumerate(acts):

        def say(share: float, sentence: str, began: int = number) -> None:
            story.say((began + share) / len(acts), sentence)

        act(story.site, story.control, say)


def own_and_bought(site: str, control: str, say: Say) -> None:
    """Order an own domain and one to register, each with two mailboxes, do what people have to do, and use what was made."""
    told = BuyingStory(site, control, say, OWN_AND_BOUGHT)
    told.meanwhile = People(told)
    told.main()
    told.test_a_mailbox()
    told.read_exports_back()


def given_up(site: str, control: str, say: Say) -> None:
    """Order an own domain; before it is active the operator cancels it, and everything of ours is undone."""
    told = OwnStory(site, control, say, OWN_DOMAINS)
    told.order()
    provision = Provision.objects.get(student__email=told.email)
    people, (domain,) = People(told), provision.domains.all()
    for _ in told._until("the set-up did not come to the person who makes the key"):
        people.change_nameservers(provision)
        run = provision.runs.first()
        if run and any(asked.key == "dkim_keys" for asked in entering.asked(run)):
            break
    before = told.state()
    if not all(_made_for(provision, before).values()):
        raise SmokeFailed(f"There is nothing to be undone yet: {_made_for(provision, before)}.")
    own = {"domain": domain.name, "type": "TXT", "name": f"shop.{domain.name}", "content": "the owner's own"}
    own_id = told.control_ask("/zone", own)["made"]
    told.say(0.7, "the operator cancels the order")
    told.cancel(provision)
    for _ in told._until("what was made was not undone"):
        provision.refresh_from_db()
        if provision.state == ProvisionState.CANCELLED:
            break
    for _ in told._until(f"the name servers of {domain.name} still show records of ours"):
        if not any(shows(domain.name, kind) for kind in RECORDS):
            break
    told.say(0.9, "compare with the platforms")
    differences = list(_undone(provision, domain, own_id, told.state()))
    if differences:
        raise SmokeFailed("The order that was given up is not undone: " + "; ".join(differences))
    told.say(
        1.0, f"{provision.reference} is undone: the zone and the owner's record are left, its accounts are suspended"
    )


def _made_for(provision: Provision, state: State) -> dict[str, int]:
    """Count what was made for an order at the platforms, by what it is."""
    addresses = set(provision.mailboxes.values_list("address", flat=True))
    names = set(provision.domains.values_list("name", flat=True))
    zones = [zone for zone in state["cloudflare"]["zones"] if zone["name"] in names]
    return {
        "records": sum(marked(row["comment"] or "") is not None for zone in zones for row in zone["records"]),
        "accounts": sum(
            row["email"] in addresses and not row["suspended"] for row in state["google_workspace"]["users"]
        ),
    }


def _undone(provision: Provision, domain: Domain, own_id: str, state: State) -> Iterator[str]:
    zone = next((one for one in state["cloudflare"]["zones"] if one["name"] == domain.name), None)
    if zone is None or zone["status"] != "active":
        yield f"the zone of {domain.name} is not there any more, or not active"
    elif [row["id"] for row in zone["records"]] != [own_id]:
        yield f"the zone of {domain.name} holds {[(row['type'], row['name']) for row in zone['records']]}"
    users = {row["email"]: row for row in state["google_workspace"]["users"]}
    for address in provision.mailboxes.values_list("address", flat=True):
        row = users.get(address)
        if row is None or row["deleted"] or not row["suspended"]:
            yield f"{address} is not suspended, or was deleted"
    theirs = [
        row for row in state["stripe"]["subscriptions"] if row["metadata"]["provision_ref"] == provision.reference
    ]
    if [row["status"] for row in theirs] != ["canceled"]:
        yield f"its subscription is {[row['status'] for row in theirs]}"
    if (count := Mail.objects.filter(provision=provision, kind="cancelled").count()) != 1:
        yield f"{count} mails say that it was cancelled"


class OwnStory(Story):
    """A student who brings a domain along."""

    def cancel(self, provision: Provision) -> None:
        """Cancel the order on the operator's page."""
        operator = Story(
            self.site, self.control, self.say, self.package, email=OPERATOR.email, password=OPERATOR.password
        )
        operator.log_in()
        operator._open(f"/admin/infra/provision/{provision.pk}/cancel/")
        form = operator.browser.select_form("form:has([name=reason])")
        form.set("reason", "smoke: given up before it was active")
        operator._submit()

    def _connect(self, slug: str, action: str, field: str, value: str) -> None:
        form = self.browser.select_form(f"#connection-{slug} form:has(button[value={action}])")
        form.set(field, value)
        self._press("action", action, form)

    def _choose_domains(self, count: int, *, at: str = DOMAINS) -> None:
        self._open(at)
        names = [f"{self.brand.lower().replace(' ', '-')}-{number}.com" for number in range(count)]
        form = self.browser.select_form("#domains")
        form.set("own", "\n".join(names))
        self._press("action", "continue", form)
        if "/domains/" in self.browser.url:
            raise SmokeFailed(f"The domains page did not accept {names}.")

    def test_a_mailbox(self) -> None:
        """Press the button on the page of a mailbox, and wait until its message has passed."""
        self._open("/infrastructure/dashboard/")
        link = self.browser.page.select_one("a[href^='/infrastructure/mailboxes/']")
        if link is None:
            raise SmokeFailed("The dashboard leads to no test of a mailbox.")
        page = str(link["href"])
        self._open(page)
        self.browser.select_form(f"form[action='{page}']")
        self._submit()
        for _ in self._until("the test message did not arrive"):
            self._open(page)
            if not self.browser.page.select("#mailbox-test[data-poll]"):
                break
        found = [" ".join(one.get_text(" ").split()) for one in self.browser.page.select("[id^=check-]")]
        if len(found) != 3 or not all(" Passes " in one for one in found):
            raise SmokeFailed(f"The test message of the student's button shows {found}.")
        self.say(1.0, "a test message by the student's button: SPF, DKIM and DMARC pass")

    def read_exports_back(self) -> None:
        """Download each form of the export on its page; every mailbox must be in it, with the password that opens it."""
        provision = Provision.objects.get(student__email=self.email)
        addresses = set(provision.mailboxes.values_list("address", flat=True))
        for kind, layout in EXPORTS:
            self._open(EXPORTS_PAGE)
            form = self.browser.select_form("form:has([name=with_passwords])")
            for name, value in {"what": "mailboxes", "format": kind, "layout": layout}.items():
                form.set(name, value)
            form.set("with_passwords", True)
            form.set("password", self.password)
            logins = logins_in(self._submit().content, kind)
            if set(logins) != addresses:
                raise SmokeFailed(f"The export as {kind}, {layout}, holds {sorted(logins)}.")
            if refused := [address for address, password in logins.items() if not opens(address, password)]:
                raise SmokeFailed(f"The export as {kind}, {layout}, has a wrong password of {', '.join(refused)}.")
        if opens(address := min(addresses), logins[address] + "x"):
            raise SmokeFailed(f"Any password opens {address}: that those of the exports do says nothing.")
        if (told := Mail.objects.filter(provision=provision, kind="credentials_exported").count()) != len(EXPORTS):
            raise SmokeFailed(f"{told} mails tell of {len(EXPORTS)} exports with passwords.")
        self.say(1.0, f"{len(EXPORTS)} exports read back: each password opens its mailbox")


class BuyingStory(OwnStory):
    """A student who connects a GoDaddy account as well, and has one of the domains registered in it."""

    def _choose_domains(self, count: int, *, at: str = DOMAINS) -> None:
        token, account = f"gd_pat_{secrets.token_urlsafe(24)}", f"smoke-{secrets.token_hex(4)}"
        self.control_post("/godaddy", {"token": token, "account": account})
        self._open(ACCOUNTS)
        self._connect("godaddy", "save", "value", token)
        for _ in self._until("the GoDaddy account was not found to work"):
            self._open(ACCOUNTS)
            if "It is used." in str(self.browser.page.select_one("#connection-godaddy")):
                break
        self.account, self.registered = account, f"new-{secrets.token_hex(4)}.com"
        self._open(at)
        form = self.browser.select_form("#domains")
        form.set("register_names", self.registered)
        self._press("action", "lookup", form)
        for _ in self._until(f"nobody said what {self.registered} costs"):
            self._open(at)
            if self.browser.page.select("input[name=register]:not([disabled])"):
                break
        form = self.browser.select_form("#domains")
        form.set_checkbox({"register": self.registered, "consent": "yes"})
        self._press("action", "agree", form)
        self.say(0.2, f"{self.registered} is to be registered at GoDaddy")
        super()._choose_domains(count - 1, at=at)

    def differences(self, provision: Provision, *, payments: int = 1) -> Iterator[str]:
        """Yield a sentence for everything that differs, or that GoDaddy has not registered once in the student's account."""
        yield from super().differences(provision, payments=payments)
        held = self.state()["godaddy"]
        if (charges := [row for row in held["charges"] if row["domain"] == self.registered]) and len(charges) != 1:
            yield f"{self.registered} was charged {len(charges)} times"
        mine = [row for row in held["domains"] if row["name"] == self.registered and row["account"] == self.account]
        if not charges or len(mine) != 1 or mine[0]["auto_renew"]:
            yield f"{self.registered} is not registered once in the student's account, without renewal"


def own_accounts(story: Story) -> None:
    """The same in accounts of the student's own, who enters what only their owner can make."""
    told = OwnAccountsStory(site=story.site, control=story.control, say=story.say, package=story.package)
    told.meanwhile = People(told)
    told.main()


class OwnAccountsStory(OwnStory):
    """A student who brings accounts along, too: connected on the wizard's page, and compared with what they hold."""

    def __post_init__(self) -> None:
        super().__post_init__()
        word = secrets.token_hex(4)
        self.admin, self.key, self.owner = (
            f"admin@{word}.example",
            f"smoke-{secrets.token_urlsafe(24)}",
            secrets.randbits(30),
        )
        self.customer = ""

    def _choose_domains(self, count: int, *, at: str = DOMAINS) -> None:
        self.customer = self.control_ask("/google", {"delegate": self.admin})["made"]
        self.control_post("/smartlead", {"key": self.key, "owner": self.owner})
        self._open(ACCOUNTS)
        self._connect("smartlead", "save", "value", self.key)
        self._connect("google_workspace", "save", "value", self.admin)
        row = PlatformConnection.objects.get(student__email=self.email, platform="google_workspace", ended_at=None)
        self._connect("google_workspace", "prove", "code", connections.code_of(row))
        for _ in self._until("the accounts were not found to work"):
            self._open(ACCOUNTS)
            if str(self.browser.page).count("Your set-up is made in it.") == 2:
                break
        super()._choose_domains(count, at=at)

    def differences(self, provision: Provision, *, payments: int = 1) -> Iterator[str]:
        """Yield a sentence for everything that differs, or that was made in another account."""
        yield from super().differences(provision, payments=payments)
        addresses, state = set(provision.mailboxes.values_list("address", flat=True)), self.state()
        theirs = {row["email"] for row in state["google_workspace"]["users"] if row["customer"] == self.customer}
        if theirs != addresses | {self.admin}:
            yield f"the student's Google account holds {sorted(theirs)}"
        held = {row["email"] for row in state["smartlead"]["accounts"] if row["owner"] == self.owner}
        if held != addresses:
            yield f"the student's Smartlead account holds {sorted(held)}"


class People:
    """The domain's owner at a registrar, and the administrator in Google's console."""

    def __init__(self, story: Story) -> None:
        self.story = story
        self.changed: set[str] = set()

    def change_nameservers(self, provision: Provision, *, but: str = "") -> bool:
        """Lead to us whatever waits for that, except one name. Return whether anything was changed."""
        waiting = provision.domains.filter(state="pending_nameservers", facts__has_key="nameservers")
        names = set(waiting.values_list("name", flat=True)) - self.changed - {but}
        for name in sorted(names):
            self.story.control_post("/nameservers", {"domain": name})
        self.changed |= names
        return bool(names)

    def __call__(self, provision: Provision) -> None:
        self.change_nameservers(provision)
        run = provision.runs.first()
        if run is None:
            return
        for asked in entering.asked(run):
            if asked.key == "signed":
                self._tell(provision)
            lines = [f"{item} {made}" for item in asked.items if (made := self._made(KINDS[asked.key], item))]
            if lines:
                entering.enter(run=run, key=asked.key, text="\n".join(lines), actor="smoke")

    def _tell(self, provision: Provision) -> None:
        """Say what the newest test message has shown."""
        newest = AuthenticationTest.objects.filter(mailbox__provision=provision).first()
        if newest is not None and newest.verdicts:
            self.story.say(0.8, f"a test message failed: {message.sentence(newest.verdicts['dkim']['said'])}")

    def _made(self, kind: str, item: str) -> str:
        """Return what the console shows; nothing while it cannot be made yet."""
        try:
            return self.story.control_ask("/google", {kind: item})["made"] or "started"
        except SmokeFailed:
            return ""


def _compare(provision: Provision, domains: list[Domain], state: State) -> Iterator[str]:
    zones = {zone["name"]: zone for zone in state["cloudflare"]["zones"]}
    for domain in domains:
        zone = zones.get(domain.name)
        if zone is None or zone["status"] != "active" or zone["id"] != domain.facts["cloudflare_zone_id"]:
            yield f"the zone of {domain.name} is not active, or not the one that we noted"
            continue
        ours = [mine[1] for row in zone["records"] if (mine := marked(row["comment"] or ""))]
        if sorted(ours) != sorted(PURPOSES):
            yield f"{domain.name} has records for {sorted(ours)} instead of {sorted(PURPOSES)}"
        yield from _tests(domain)
        if domain.facts["dns_evidence"]["state"] != "complete":
            yield f"the records of {domain.name} are not seen everywhere"
    users = {row["email"]: row for row in state["google_workspace"]["users"]}
    accounts = {row["email"]: row for row in state["smartlead"]["accounts"]}
    mailboxes = list(provision.mailboxes.all())
    if len(mailboxes) != provision.order["mailbox_count"]:
        yield f"{len(mailboxes)} mailboxes instead of {provision.order['mailbox_count']}"
    for mailbox in mailboxes:
        if mailbox.state != MailboxState.WARMING:
            yield f"{mailbox.address} is {mailbox.state}"
        if users.get(mailbox.address, {}).get("id") != mailbox.facts["google_user_id"]:
            yield f"{mailbox.address} is no user at Google, or not the one that we noted"
        if not accounts.get(mailbox.address, {}).get("warmup"):
            yield f"{mailbox.address} does not warm up at Smartlead"


def _tests(domain: Domain) -> Iterator[str]:
    """Yield what is wrong with a domain's test messages: the first shows Google's signature, the last its own."""
    made = AuthenticationTest.objects.filter(mailbox__domain=domain, state="judged").order_by("created_at")
    codes = [one.verdicts["dkim"]["code"] for one in made]
    if codes[:1] != ["dkim-foreign"] or codes[-1:] != ["dkim-pass"]:
        yield f"the test messages of {domain.name} show {codes}, not first a foreign signature and then its own"


def logins_in(body: bytes, kind: str) -> dict[str, str]:
    """Return the password of each address in an export, whatever its columns are called."""
    if kind == "json":
        rows = json.loads(body)["mailboxes"]
    else:
        rows = list(csv.DictReader(io.StringIO(body.decode(), newline="")))
    return {row.get("email") or row["from_email"]: row.get("smtp_password") or row["password"] for row in rows}


def opens(address: str, password: str) -> bool:
    """Tell whether a password opens a mailbox at its mail server."""
    probe = mail_probe.Settings.from_mapping(settings.MAIL_PROBE)
    assert probe is not None  # the sandbox has one
    door = probe.submission[mail_probe.IMPLICIT]
    trust = ssl.create_default_context(cafile=probe.authorities)
    with smtplib.SMTP_SSL(door.host, door.port, timeout=10, context=trust) as server:
        try:
            server.login(address, password)
        except smtplib.SMTPAuthenticationError:
            return False
    return True


def shows(name: str, kind: str) -> bool:
    """Tell whether a domain's own name servers show a record of ours: asked by ourselves, not by the worker."""
    below, record_type, text = RECORDS[kind]
    host, _, port = settings.DNS_AUTHORITATIVE[0].rpartition(":")
    answer = dns.query.udp(dns.message.make_query(below + name, record_type), host, port=int(port), timeout=5)
    return any(text in row.to_text() for found in answer.answer for row in found)


OWN_DOMAINS = Package("own-domains", 1, ("sam", "sam.smoke"), _compare, LONG)
OWN_AND_BOUGHT = Package(OWN_DOMAINS.slug, 2, OWN_DOMAINS.usernames, _compare, LONG)
