"""Fifty domains of a student's own in one order of a really running demo: three of them bad, and the worker killed half-way.

How long it takes is measured in our time, so the platforms' time has to run as fast as ours: the demo is started with
`PROVISIONING_TIME_SCALE=1`. Every call takes 100 ms longer than the simulation does. Owners change their name servers as
soon as they are asked to, and press "Check now". It ends when the domains' own name servers, asked by ourselves, show the
records of all good ones; it fails when that takes longer than 15 minutes, or when a platform counted a call too many.
"""

from __future__ import annotations

import os
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db.models import Q, QuerySet

from infra import clock
from infra.models import Domain, DomainState, Provision
from provisioning.engine import groups
from provisioning.models import Step

from .smoke import Package, SmokeFailed, State, Story
from .smoke_workspace import OWN_DOMAINS, RECORDS, People, shows

MANY, BAD = 50, 3
TYPED = 20  # the others stand in a file
WITHIN = 15.0  # minutes
PATIENCE = 40.0 * 60  # seconds after which nobody waits any more, however late it is
LATENCY = 0.1  # seconds for every call to a platform
SEEN = (DomainState.CONNECTED, DomainState.ACTIVE)
CHECK_EVERY = 26.0  # seconds between two presses of "Check now", which is taken once in 25
BATCHES = "/infrastructure/batches/"


def batch(story: Story) -> None:
    """Order fifty domains, lead 49 of them here, kill the worker at the 25th zone, and wait until 47 are seen."""
    if clock.scale() != 1:
        raise SmokeFailed(
            f"The platforms' time runs {clock.scale():g} times as fast as ours; start the demo with PROVISIONING_TIME_SCALE=1."
        )
    package = Package(OWN_DOMAINS.slug, MANY, OWN_DOMAINS.usernames, OWN_DOMAINS.compare, PATIENCE)
    told = BatchStory(story.site, story.control, story.say, package)
    before = told.ask("/switches")["switches"]["cloudflare_held_names"]
    faults = {row["id"] for row in told.ask("/faults")["faults"]}
    told.control_post("/switches", {"cloudflare_held_names": told.held})
    told.control_post("/faults", {"kind": "slow_body", "seconds": LATENCY})
    try:
        told.play()
    finally:
        told.control_post("/switches", {"cloudflare_held_names": before})
        for row in told.ask("/faults")["faults"]:
            if row["id"] not in faults:
                told.control_post("/faults", {"remove": row["id"]})


class BatchStory(Story):
    """A student with fifty domains. One lies in another account, one has a policy of its owner's, one is never led here."""

    def __post_init__(self) -> None:
        super().__post_init__()
        word = self.brand.lower().replace(" ", "-")
        self.names = [f"{word}-{number:02}.com" for number in range(MANY)]
        self.held, self.foreign, self.left = self.names[3], self.names[TYPED - 1], self.names[-1]

    def ask(self, path: str) -> State:
        """Return what the control plane says."""
        said: State = self.browser.session.get(f"{self.control}{path}", timeout=10).json()
        return said

    def _choose_domains(self, count: int, *, at: str = "/infrastructure/setup/domains/") -> None:
        self._open(at)
        form = self.browser.select_form("#domains")
        form.set("own", "\n".join(self.names[:TYPED]))
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "domains.csv"
            path.write_text("domain,owner\n" + "".join(f"{name},Sam\n" for name in self.names[TYPED:]))
            with path.open("rb") as file:
                form.set("own_file", file)
                self._press("action", "continue", form)
        if "/domains/" in self.browser.url:
            raise SmokeFailed(f"The domains page did not accept {MANY} domains.")

    def play(self) -> None:
        """Order, do what owners do, kill the worker once, and judge what it took."""
        policy = {
            "domain": self.foreign,
            "type": "TXT",
            "name": self.foreign,
            "content": "v=spf1 include:other.example -all",
        }
        self.control_post("/zone", policy)
        calls, exceeded = self.ask("/log")["count"], len(self.ask("/quotas")["violations"])
        self.order()
        began = time.monotonic()
        provision = Provision.objects.get(student__email=self.email)
        if provision.domains.count() != MANY:
            raise SmokeFailed(f"{provision.domains.count()} domains are ordered instead of {MANY}.")
        self._await_seen(provision, began)
        minutes = (time.monotonic() - began) / 60
        self.say(0.95, f"the records of {MANY - BAD} domains are at their name servers after {minutes:.1f} minutes")
        self._await_bad(provision)
        self._see_batch(provision)
        entries = self.ask(f"/log?since={calls}")["entries"]
        for line in self._report(entries):
            self.say(0.97, line)
        self._judge_calls(minutes, entries, self.ask("/quotas")["violations"][exceeded:], self.state())
        self.say(1.0, f"{MANY - BAD} of {MANY} domains in {minutes:.1f} minutes, no limit exceeded")

    # ---- until it is there -------------------------------------------------------------------------------------------

    def _await_seen(self, provision: Provision, began: float) -> None:
        people, killed, pressed, last = People(self), False, 0.0, -1
        good = provision.domains.exclude(name__in=[self.held, self.foreign, self.left])
        for _ in self._until("the records were not seen"):
            people.change_nameservers(provision, but=self.left)
            if time.monotonic() > pressed + CHECK_EVERY and good.filter(state="pending_nameservers").exists():
                pressed = time.monotonic()
                self._check_now()
            zones = provision.domains.filter(facts__has_key="cloudflare_zone_id").count()
            if not killed and zones >= MANY // 2:
                killed = True
                self.say(0.5, f"{zones} zones are made; the worker is killed")
                self.say(0.5, f"the next worker began {self._kill_worker():.1f} s later")
            seen = _shown_by_own_servers(good)
            if (shown := seen.count()) != last:
                last = shown
                self.say(
                    0.35 + 0.6 * shown / good.count(),
                    f"{(time.monotonic() - began) / 60:.1f} minutes: {zones} zones, {shown} of {good.count()} seen",
                )
            if shown == good.count():
                break
        if not killed:
            raise SmokeFailed("The records were seen before the worker was killed.")
        names = good.values_list("name", flat=True)
        if missing := [f"{kind} of {name}" for name in names for kind in RECORDS if not shows(name, kind)]:
            raise SmokeFailed("The name servers do not show " + ", ".join(missing))

    def _check_now(self) -> None:
        self._open("/infrastructure/progress/")
        if self.browser.page.select("form[action='/infrastructure/progress/check/']"):
            self.browser.select_form("form[action='/infrastructure/progress/check/']")
            self._submit()

    def _kill_worker(self) -> float:
        """Kill the worker's supervisor with everything below it, and return the seconds until the demo has another one."""
        folder = Path(settings.VAR_DIR) / "workers"
        running = list(groups.alive(folder))
        if not running:
            raise SmokeFailed(f"No worker of this demo is known in {folder}.")
        known = set(folder.iterdir())
        began = time.monotonic()
        for group in running:
            os.kill(groups.supervisor_of(group), signal.SIGKILL)
        for _ in self._until("no worker was started again"):
            if set(folder.iterdir()) - known:
                break
        return time.monotonic() - began

    # ---- what it was -------------------------------------------------------------------------------------------------

    def _await_bad(self, provision: Provision) -> None:
        """Each bad domain waits for a person, with its own reason."""
        reasons: dict[str, dict[str, str]] = {
            self.held: {"code": "zone_elsewhere"},
            self.foreign: {"code": "records_in_the_way"},
            self.left: {"question": "nameservers"},
        }
        for name, facts in reasons.items():
            waiting = Step.objects.filter(run__provision=provision, state="waiting", domain__name=name)
            wanted = waiting.filter(**{f"facts__{key}": value for key, value in facts.items()})
            for _ in self._until(f"{name} does not wait for {facts}"):
                if wanted.exists():
                    break

    def _see_batch(self, provision: Provision) -> None:
        self._open(BATCHES)
        text = self.browser.page.get_text()
        if absent := [name for name in self.names if name not in text]:
            raise SmokeFailed("The page of the order's domains does not show " + ", ".join(absent))

    def _report(self, entries: list[dict[str, Any]]) -> Iterator[str]:
        calls = Counter(entry["platform"] for entry in entries)
        yield f"{len(entries)} calls: " + ", ".join(f"{count} {platform}" for platform, count in calls.most_common())
        for row in self.ask("/quotas")["windows"]:
            if row["platform"] in calls and row["limit"]:
                yield (
                    f"{row['platform']} {row['window']}: at most {row['peak']} of {row['limit']} in {row['seconds']:g} s"
                )
        yield f"{sum(entry['status'] == 429 for entry in entries)} answers 429"

    def _judge_calls(
        self, minutes: float, entries: list[dict[str, Any]], exceeded: list[dict[str, Any]], state: State
    ) -> None:
        wrong = []
        if minutes > WITHIN:
            wrong.append(f"it took {minutes:.1f} minutes instead of {WITHIN:g}")
        wrong += [
            f"{row['platform']} counted more than {row['limit']} in its window {row['window']}" for row in exceeded
        ]
        if refused := [entry["verb"] for entry in entries if entry["status"] == 429]:
            wrong.append(f"answers 429 to {', '.join(sorted(set(refused)))}")
        zones = Counter(zone["name"] for zone in state["cloudflare"]["zones"] if zone["name"] in self.names)
        if zones != Counter(name for name in self.names if name != self.held):
            wrong.append(f"{zones.total()} zones of {len(zones)} names instead of one of each but {self.held}")
        if wrong:
            raise SmokeFailed("; ".join(wrong) + ".")


def _shown_by_own_servers(domains: QuerySet[Domain]) -> QuerySet[Domain]:
    """Return those whose own name servers show every record: resolvers are asked from then on."""
    return domains.filter(Q(facts__dns_evidence__stage="resolvers") | Q(state__in=SEEN))
