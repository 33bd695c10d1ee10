"""The story of the `workspace` stack: a domain of the student's own, whose owner changes the name servers, and a person who
makes at Google what no call can. A test message fails before that person starts the signing, and passes after it.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator

from infra.dns import message
from infra.models import AuthenticationTest, Domain, MailboxState, PlatformConnection, Provision
from integrations.cloudflare import marked
from provisioning import connections, entering

from .smoke import Package, SmokeFailed, State, Story

LONG = 900.0
ACCOUNTS = "/infrastructure/setup/accounts/"
KINDS = {"dkim_keys": "dkim", "accounts": "app_password", "signed": "start"}  # at the console, by step
PURPOSES = {"spf", "dmarc", "mx", "google", "dkim", "tracking"}


def main(story: Story) -> None:
    """Order one own domain with two mailboxes, and do what people have to do meanwhile."""
    told = OwnStory(site=story.site, control=story.control, say=story.say, package=story.package)
    told.meanwhile = People(told)
    told.main()
    told.test_a_mailbox()


class OwnStory(Story):
    """A student who brings a domain along."""

    def _choose_domains(self, count: int, *, at: str = "/infrastructure/setup/domains/") -> None:
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

    def _choose_domains(self, count: int, *, at: str = "/infrastructure/setup/domains/") -> None:
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

    def _connect(self, slug: str, action: str, field: str, value: str) -> None:
        form = self.browser.select_form(f"#connection-{slug} form:has(button[value={action}])")
        form.set(field, value)
        self._press("action", action, form)

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

    def __call__(self, provision: Provision) -> None:
        for domain in provision.domains.filter(state="pending_nameservers", facts__has_key="nameservers"):
            if domain.name not in self.changed:
                self.story.control_post("/nameservers", {"domain": domain.name})
                self.changed.add(domain.name)
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


OWN_DOMAINS = Package("own-domains", 1, ("sam", "sam.smoke"), _compare, LONG)
