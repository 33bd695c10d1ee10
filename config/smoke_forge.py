"""The story of the `forge` stack: two packages, each with a record that is broken in public DNS and mended in between, and a
third one with a domain that its student owns already.

The first record stays broken until the check that takes place every hour has been seen twice, in the platforms' time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from infra.models import Domain, DomainState, MailboxState, Provision
from infra.models.credential import MAILBOX

from .smoke import Package, SmokeFailed, State, Story

LONG = 1500.0  # seconds: records take up to an hour of the platforms' time to be seen, and are broken on top of that
USERNAMES = ("sam", "sam.smoke", "s.smoke")
HOUR = 3600.0
HARDLY_LESS = (
    0.97  # of an hour: between two looks that are an hour apart, the later one may be a moment earlier in its turn
)
OLD_SERVERS, OLD_MAIL = ("ns37.domaincontrol.com", "ns38.domaincontrol.com"), "mx.old.example"
SOON = (1 * HOUR, 1.5 * HOUR)  # until a domain is active whose nameservers were changed; it may take a day


def main(story: Story) -> None:
    """Order Ignition, Dominance, and Velocity with a domain of one's own, each by a student of its own."""
    acts = (
        hourly,
        lambda told: _with_a_broken_record(told, DOMINANCE, "mx", "wrong"),
        own,
    )
    for number, act in enumerate(acts):

        def say(share: float, sentence: str, began: int = number) -> None:
            story.say((began + share) / len(acts), sentence)

        act(Story(site=story.site, control=story.control, say=say, package=story.package))


def _with_a_broken_record(story: Story, package: Package, kind: str, way: str, *, hourly: bool = False) -> None:
    told = Story(site=story.site, control=story.control, say=story.say, package=package)
    spoilt = Spoilt(told, kind, way, hourly=hourly)
    told.meanwhile = spoilt
    told.main()
    if not spoilt.is_mended:
        raise SmokeFailed(f"The {kind.upper()} record of {spoilt.name or 'no domain'} was broken, and nobody saw it.")
    if hourly and len(spoilt.hours) < 2:
        raise SmokeFailed(
            f"{spoilt.name} was not looked at every hour: {spoilt.hours} hours lay between its last looks."
        )


def hourly(story: Story) -> None:
    """Order Ignition alone, with a record that stays broken until it was looked for every hour."""
    _with_a_broken_record(story, IGNITION, "spf", "missing", hourly=True)


def own(story: Story) -> None:
    """Order Velocity with a domain that its student has already, mail arriving at it, and do what the page says."""
    told = Story(site=story.site, control=story.control, say=story.say, package=WITH_OWN)
    (name,) = told.own
    switches = story.browser.session.get(f"{story.control}/switches", timeout=10).json()["switches"]
    told.control_post(
        "/nameservers", {"domain": name, "servers": list(OLD_SERVERS), "owned": True, "mail_server": OLD_MAIL}
    )
    told.control_post("/switches", {"infraforge_transfer_seconds": SOON})
    owner = Owner(told, name)
    told.meanwhile = owner
    try:
        told.main()
    finally:
        told.control_post("/switches", {"infraforge_transfer_seconds": switches["infraforge_transfer_seconds"]})
    if not owner.has_changed:
        raise SmokeFailed(f"Nobody asked for the nameservers of {name}.")


class Owner:
    """The owner of a domain, who reads the page and does what it says.

    Raises SmokeFailed when the page names the servers before it was confirmed that mail may stop, or when anything is done
    for the domain before it leads to them.
    """

    def __init__(self, story: Story, name: str) -> None:
        self.story, self.name = story, name
        self.has_confirmed = self.has_changed = False

    def __call__(self, provision: Provision) -> None:
        domain = provision.domains.get(name=self.name)
        if domain.connected_at is None and domain.mailboxes.exclude(state=MailboxState.PLANNED).exists():
            raise SmokeFailed(f"Mailboxes are made on {self.name} before it leads to us.")
        if self.has_changed or domain.state != DomainState.PENDING_NAMESERVERS:
            return
        self.story._open("/infrastructure/progress/")
        said = self.story.browser.page.select_one(f"#choice-{domain.pk}")
        if said is None:
            return
        if "What stops at" in said.get_text():
            self._confirm(said)
        elif servers := [str(button["data-copy"]) for button in said.select("[data-copy]")]:
            self._change(said, servers)

    def _confirm(self, said: Any) -> None:
        if OLD_MAIL not in said.get_text() or said.select("[data-copy]"):
            raise SmokeFailed(f"The page does not say what stops at {self.name}, or names the servers already.")
        if not self.has_confirmed:
            self.story._press("action", "stop")
            self.has_confirmed = True

    def _change(self, said: Any, servers: list[str]) -> None:
        if not self.has_confirmed or any(host not in said.get_text() for host in OLD_SERVERS):
            raise SmokeFailed(f"The page names servers for {self.name} unasked, or does not say what is seen.")
        self.story.say(0.5, f"{self.name} is led to {', '.join(servers)}")
        self.story.control_post("/nameservers", {"domain": self.name, "servers": servers})
        self.has_changed = True


class Spoilt:
    """A record that resolvers do not see as it should be, from before the first look until our evidence shows it; `hourly`:
    until it was looked for an hour later again.

    Once it is mended, the next look must see that. Raises SmokeFailed when mailboxes are made on the domain meanwhile.
    """

    def __init__(self, story: Story, kind: str, way: str, *, hourly: bool = False) -> None:
        self.story, self.kind, self.way, self.hourly = story, kind, way, hourly
        self.name, self.is_mended = "", False
        self.looks: list[datetime] = []

    @property
    def hours(self) -> list[float]:
        """The hours between looks that are an hour apart or more, the one that saw it mended included."""
        gaps = [
            (later - sooner).total_seconds() / HOUR for sooner, later in zip(self.looks, self.looks[1:], strict=False)
        ]
        return [round(gap, 2) for gap in gaps if gap >= HARDLY_LESS]

    def __call__(self, provision: Provision) -> None:
        if not self.name:
            self._break(provision)
            return
        domain = provision.domains.get(name=self.name)
        self._count(domain)
        if self.is_mended:
            return
        if domain.mailboxes.exclude(state=MailboxState.PLANNED).exists():
            raise SmokeFailed(f"Mailboxes are made on {self.name}, whose {self.kind.upper()} record is broken.")
        if self._is_noticed(domain) and (self.hours or not self.hourly):
            self.story.control_post("/records", {"domain": self.name, "kind": self.kind, "as": ""})
            self.is_mended = True

    def _count(self, domain: Domain) -> None:
        at = domain.facts.get("dns_evidence", {}).get("at")
        if not at or (self.looks and self.looks[-1] == datetime.fromisoformat(at)):
            return
        self.looks.append(datetime.fromisoformat(at))
        if self.hourly and self.hours:
            self.story.say(0.5, f"{self.name} is looked at every hour: {self.hours} hours between its last looks")

    def _break(self, provision: Provision) -> None:
        bought = provision.domains.filter(bought_at__isnull=False).order_by("position").first()
        if bought is not None:
            self.story.control_post("/records", {"domain": bought.name, "kind": self.kind, "as": self.way})
            self.name = bought.name

    def _is_noticed(self, domain: Domain) -> bool:
        """Tell whether exactly this record is what our evidence lacks: before, none of them are seen."""
        rows = domain.facts.get("dns_evidence", {}).get("records", [])
        lacking = [row for row in rows if row["state"] != "complete"]
        return len(rows) > len(lacking) > 0 and all(_kind(row) == self.kind for row in lacking)


def _kind(row: dict[str, Any]) -> str:
    return "spf" if str(row["value"]).startswith("v=spf1") else str(row["type"]).lower()


def _compare(provision: Provision, domains: list[Domain], state: State) -> Iterator[str]:
    forge, spaces = state["infraforge"], provision.facts["infraforge_workspaces"]
    yield from _workspaces(provision, state)
    yield from _domains(provision, domains, forge)
    yield from _mailboxes(provision, forge)
    yield from _sending(provision, state["salesforge"])
    yield from _warming(provision, state["warmforge"])
    paid = Counter(
        (row["kind"], row["what"]) for row in forge["ledger"] if row["workspace_id"] in spaces and row["cents"] < 0
    )
    if doubled := [what for what, count in paid.items() if count > 1]:
        yield f"paid more than once: {doubled}"


def _workspaces(provision: Provision, state: State) -> Iterator[str]:
    ips, noted = provision.order["dedicated_ip_count"], provision.facts["infraforge_workspaces"]
    for platform, wanted, mine in (
        ("infraforge", max(1, ips), set(noted)),
        ("salesforge", 1, {provision.facts["salesforge_workspace_id"]}),
        ("warmforge", 1, {provision.facts["warmforge_workspace_id"]}),
    ):
        there = [row for row in state[platform]["workspaces"] if str(row["name"]).endswith(provision.reference)]
        if len(there) != wanted or {row["id"] for row in there} != mine:
            yield f"{len(there)} workspaces of ours at {platform} instead of {wanted}, or others than we noted"
    held = {row["id"]: row["ip"] for row in state["infraforge"]["workspaces"] if row["id"] in noted and row["ip"]}
    if len(set(held.values())) != ips or held != provision.facts["dedicated_ips"]:
        yield f"{len(set(held.values()))} dedicated IPs instead of {ips}, or others than we noted"


def _domains(provision: Provision, domains: list[Domain], forge: dict[str, Any]) -> Iterator[str]:
    spaces = provision.facts["infraforge_workspaces"]
    there = {row["name"]: row for row in forge["domains"]}
    if extra := {name for name, row in there.items() if row["workspace_id"] in spaces} - {one.name for one in domains}:
        yield f"domains in the order's workspaces that we do not know: {sorted(extra)}"
    policy = f"p={provision.order['dmarc_policy']}"
    for domain in domains:
        row = there.get(domain.name)
        if row is None or row["status"] != "active" or row["id"] != domain.facts["infraforge_domain_id"]:
            yield f"{domain.name} is not active, or not the one that we noted"
            continue
        if row["workspace_id"] != domain.facts["infraforge_workspace_id"] or row["workspace_id"] not in spaces:
            yield f"{domain.name} lies in another workspace"
        if row["auto_renew"] is domain.is_own:
            yield f"{domain.name} is renewed although it is its student's, or is not"
        dmarc = [one["value"] for one in row["records"] if one["name"] == f"_dmarc.{domain.name}"]
        if len(dmarc) != 1 or policy not in [part.strip() for part in dmarc[0].split(";")]:
            yield f"{domain.name} has other DMARC records than one of {policy}"
        if row["broken"] or domain.facts["dns_evidence"]["state"] != "complete":
            yield f"the records of {domain.name} are not seen everywhere"
        if (bought := forge["purchases"].get(domain.name, {}).get("bought", 0)) != (0 if domain.is_own else 1):
            yield f"{domain.name} was bought {bought} times"
    yield from _uneven("domains", [domain.facts.get("infraforge_workspace_id") for domain in domains], len(spaces))


def _mailboxes(provision: Provision, forge: dict[str, Any]) -> Iterator[str]:
    spaces = provision.facts["infraforge_workspaces"]
    there = {row["email"]: row for row in forge["mailboxes"] if row["workspace_id"] in spaces}
    ours = list(provision.mailboxes.select_related("domain"))
    if len(ours) != provision.order["mailbox_count"] or set(there) != {mailbox.address for mailbox in ours}:
        yield f"{len(there)} mailboxes at infraforge, {len(ours)} here, {provision.order['mailbox_count']} ordered"
    for mailbox in ours:
        row = there.get(mailbox.address, {})
        if mailbox.state != MailboxState.WARMING:
            yield f"{mailbox.address} is {mailbox.state}"
        if row.get("id") != mailbox.facts["infraforge_mailbox_id"] or row.get("status") != "active":
            yield f"{mailbox.address} is not active at infraforge, or not the one that we noted"
        if row.get("workspace_id") != mailbox.domain.facts["infraforge_workspace_id"]:
            yield f"{mailbox.address} lies in another workspace than its domain"
        if not row.get("password_set"):
            yield f"{mailbox.address} has the password that it began with"
    if (kept := provision.credentials.filter(kind__startswith=MAILBOX).count()) != len(ours):
        yield f"{kept} passwords of {len(ours)} mailboxes are stored"
    yield from _uneven("mailboxes", [mailbox.domain_id for mailbox in ours], provision.order["domain_count"])


def _sending(provision: Provision, salesforge: dict[str, Any]) -> Iterator[str]:
    limit = provision.order["warmup"]["campaign_daily_limit"]
    there = _of_workspace(salesforge, provision.facts["salesforge_workspace_id"])
    yield from _same_addresses(provision, there, "salesforge")
    for mailbox in provision.mailboxes.all():
        row = there.get(mailbox.address, {})
        if row.get("id") != mailbox.facts["salesforge_mailbox_id"] or row.get("status") != "active":
            yield f"{mailbox.address} is not connected at salesforge, or not the one that we noted"
        if row.get("daily_limit") != limit:
            yield f"{mailbox.address} may send {row.get('daily_limit')} mails a day instead of {limit}"


def _warming(provision: Provision, warmforge: dict[str, Any]) -> Iterator[str]:
    there = _of_workspace(warmforge, provision.facts["warmforge_workspace_id"])
    yield from _same_addresses(provision, there, "warmforge")
    for mailbox in provision.mailboxes.all():
        row = there.get(mailbox.address, {})
        if row.get("id") != mailbox.facts["warmforge_mailbox_id"] or row.get("status") != "active":
            yield f"{mailbox.address} is not connected at warmforge, or not the one that we noted"
        if not row.get("warmup"):
            yield f"{mailbox.address} does not warm up"


def _of_workspace(platform: dict[str, Any], key: str) -> dict[str, dict[str, Any]]:
    return {row["email"]: row for row in platform["mailboxes"] if row["workspace_id"] == key}


def _same_addresses(provision: Provision, there: dict[str, dict[str, Any]], platform: str) -> Iterator[str]:
    if other := set(there) ^ set(provision.mailboxes.values_list("address", flat=True)):
        yield f"only here or only at {platform}: {sorted(other)}"


def _uneven(what: str, places: list[Any], count: int) -> Iterator[str]:
    spread = Counter(places)
    if len(spread) != count or max(spread.values()) - min(spread.values()) > 1:
        yield f"{what} are not spread evenly: {sorted(spread.values())} on {count}"


IGNITION = Package("ignition", 2, USERNAMES[:2], _compare, LONG)
DOMINANCE = Package("dominance", 5, USERNAMES, _compare, LONG)
WITH_OWN = Package("velocity", 3, USERNAMES[:2], _compare, LONG, own=1)
