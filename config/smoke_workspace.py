"""The story of the `workspace` stack: a domain of the student's own, whose owner changes the name servers, and a person who
makes at Google what no call can.
"""

from __future__ import annotations

from collections.abc import Iterator

from infra.models import Domain, MailboxState, Provision
from integrations.cloudflare import marked
from provisioning import entering

from .smoke import Package, SmokeFailed, State, Story

LONG = 900.0
PURPOSES = {"spf", "dmarc", "mx", "google", "dkim", "tracking"}


def main(story: Story) -> None:
    """Order one own domain with two mailboxes, and do what people have to do meanwhile."""
    told = OwnStory(site=story.site, control=story.control, say=story.say, package=story.package)
    told.meanwhile = People(told)
    told.main()


class OwnStory(Story):
    """A student who brings a domain along."""

    def _choose_domains(self, count: int, *, at: str = "/infrastructure/setup/domains/") -> None:
        names = [f"{self.brand.lower().replace(' ', '-')}-{number}.com" for number in range(count)]
        form = self.browser.select_form("#domains")
        form.set("own", "\n".join(names))
        self._press("action", "continue", form)
        if "/domains/" in self.browser.url:
            raise SmokeFailed(f"The domains page did not accept {names}.")


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
