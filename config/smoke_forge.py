"""The story of the `forge` stack: two packages, each with a record that is broken in public DNS and mended in between."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from infra.models import Domain, MailboxState, Provision
from infra.models.credential import MAILBOX

from .smoke import Package, SmokeFailed, State, Story

LONG = 900.0  # seconds: records take up to an hour of the platforms' time to be seen, and are broken on top of that
USERNAMES = ("sam", "sam.smoke", "s.smoke")


def main(story: Story) -> None:
    """Order Ignition and then Dominance, each by a student of its own."""
    for number, (package, kind, way) in enumerate(((IGNITION, "spf", "missing"), (DOMINANCE, "mx", "wrong"))):

        def say(share: float, sentence: str, began: int = number) -> None:
            story.say((began + share) / 2, sentence)

        told = Story(site=story.site, control=story.control, say=say, package=package)
        spoilt = Spoilt(told, kind, way)
        told.meanwhile = spoilt
        told.main()
        if not spoilt.is_mended:
            raise SmokeFailed(
                f"The {kind.upper()} record of {spoilt.name or 'no domain'} was broken, and nobody saw it."
            )


class Spoilt:
    """A record that resolvers do not see as it should be, from before the first look until our evidence shows it.

    Raises SmokeFailed when mailboxes are made on the domain meanwhile.
    """

    def __init__(self, story: Story, kind: str, way: str) -> None:
        self.story, self.kind, self.way = story, kind, way
        self.name, self.is_mended = "", False

    def __call__(self, provision: Provision) -> None:
        if self.is_mended:
            return
        if not self.name:
            self._break(provision)
            return
        domain = provision.domains.get(name=self.name)
        if domain.mailboxes.exclude(state=MailboxState.PLANNED).exists():
            raise SmokeFailed(f"Mailboxes are made on {self.name}, whose {self.kind.upper()} record is broken.")
        if self._is_noticed(domain):
            self.story.control_post("/records", {"domain": self.name, "kind": self.kind, "as": ""})
            self.is_mended = True

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
        if not row["auto_renew"]:
            yield f"{domain.name} is not renewed"
        dmarc = [one["value"] for one in row["records"] if one["name"] == f"_dmarc.{domain.name}"]
        if len(dmarc) != 1 or policy not in [part.strip() for part in dmarc[0].split(";")]:
            yield f"{domain.name} has other DMARC records than one of {policy}"
        if row["broken"] or domain.facts["dns_evidence"]["state"] != "complete":
            yield f"the records of {domain.name} are not seen everywhere"
        if (bought := forge["purchases"].get(domain.name, {}).get("bought", 0)) != 1:
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
