"""The story of the `workspace` stack: a domain of the student's own, whose owner changes the name servers, and a person who
makes at Google what no call can.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator

from infra.models import Domain, MailboxState, PlatformConnection, Provision
from integrations.cloudflare import marked
from provisioning import connections, entering

from .smoke import Package, SmokeFailed, State, Story

LONG = 900.0
ACCOUNTS = "/infrastructure/setup/accounts/"
PURPOSES = {"spf", "dmarc", "mx", "google", "dkim", "tracking"}


def main(story: Story) -> None:
    """Order one own domain with two mailboxes, and do what people have to do meanwhile."""
    told = OwnStory(site=story.site, control=story.control, say=story.say, package=story.package)
    told.meanwhile = People(told)
    told.main()


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
            kind = "dkim" if asked.key == "dkim_keys" else "app_password"
            lines = [f"{item} {made}" for item in asked.items if (made := self._made(kind, item))]
            if lines:
                entering.enter(run=run, key=asked.key, text="\n".join(lines), actor="smoke")

    def _made(self, kind: str, item: str) -> str:
        """Return what the console shows; nothing while it cannot be made yet."""
        try:
            return self.story.control_ask("/google", {kind: item})["made"]
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


OWN_DOMAINS = Package("own-domains", 1, ("sam", "sam.smoke"), _compare, LONG)
