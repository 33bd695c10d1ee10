"""Builds orders one after the other against a sandbox server, with both clocks jumped over every wait."""

from __future__ import annotations

import json
import statistics
import urllib.request
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from django.conf import settings
from django.db import connection

from infra import clock, rls
from infra.models import Provision, ProvisionState
from integrations.http.transport import HttpTransport
from integrations.registry import build_clients
from provisioning import actions
from provisioning.engine import claims
from provisioning.engine.options import Options
from provisioning.engine.runner import Workshop, default_name_servers, wake
from provisioning.management.commands.worker import prepare
from provisioning.models import Run

from .chapter import BenchFailed, Numbers
from .meters import Count, Spent, Timed
from .orders import draft, paid

PLATFORMS = ("zapmail", "plusvibe", "heyreach")
# The smallest possible number of calls for one Starter package (3 domains, 6 mailboxes): docs/performance.md.
FEWEST_CALLS = {"zapmail": 13, "plusvibe": 6, "heyreach": 1}

BUILT = 7  # orders that are really built; with three unfinished ones, ten
LONGEST_BUILD = 3 * 24 * 3600.0  # vendor seconds


@dataclass
class Bench:
    """Builds provisions on a sandbox server whose clock, like ours, is moved to the next moment at which work is due."""

    control: str
    timed: Timed = field(default_factory=lambda: Timed(HttpTransport()))
    count: Count = field(default_factory=Count)
    own: list[Spent] = field(default_factory=list)
    statements: list[float] = field(default_factory=list)
    wakeups: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        options = Options.from_mapping(settings.BUILD_OPTIONS)
        self.workshop = Workshop(self.timed, build_clients(settings.PLATFORMS), options, default_name_servers())

    def build(self, run: Run) -> None:
        """Build one order, and note what it took."""
        took, ends = Spent(), clock.later(clock.vendor_now(), LONGEST_BUILD)
        self.count.statements, self.timed.spent = 0, Spent()
        while not run.finished_at:
            with took:
                worked = self.work(run)
            run.refresh_from_db()
            if not worked:
                self._jump(run)
            if clock.vendor_now() > ends:
                raise BenchFailed(f"A provision was not built in time; it waits because {run.why or 'nobody knows'}.")
        if Provision.objects.get(pk=run.provision_id).state != ProvisionState.ACTIVE:
            raise BenchFailed(f"A provision ended {run.provision.state}: {run.failure_sentence}")
        platforms = self.timed.spent
        self.own.append(Spent(took.wall - platforms.wall, took.cpu - platforms.cpu))
        self.statements.append(self.count.statements)
        self.wakeups.append(run.wakeups)

    def work(self, run: Run) -> bool:
        """Wake the run if it is due; return whether it was."""
        with connection.execute_wrapper(self.count):
            claim = claims.take_next(run.pk)
            if claim is not None:
                wake(claim, self.workshop)
        return claim is not None

    def _jump(self, run: Run) -> None:
        wait = 1.0
        if run.next_attempt_at:
            wait = max(wait, (run.next_attempt_at - clock.vendor_now()).total_seconds())
        clock.advance_vendor(wait)
        ask(f"{self.control}/clock", {"advance": wait})

    def calls(self) -> Counter[str]:
        """Return the requests per platform as the platforms count them."""
        entries = ask(f"{self.control}/log")["entries"]
        return Counter(entry["platform"] for entry in entries if entry["platform"] in PLATFORMS)


def ask(url: str, body: Mapping[str, object] | None = None) -> Any:
    """Return the control plane's answer."""
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(url, data), timeout=30) as answer:  # noqa: S310 - our sandbox
        return json.load(answer)


def provision() -> Numbers:
    """Build the orders and return calls, our own time and statements per provision."""
    rls.set_role("worker")
    prepare()
    bench = Bench(settings.SANDBOX_CONTROL_URL)
    for number in range(BUILT):
        bench.build(paid(f"bench{number}"))
    calls = bench.calls()
    middle = paid("building")
    for _ in range(4):  # far enough to have domains under way
        if not bench.work(middle):
            middle.refresh_from_db()
            bench._jump(middle)
    actions.freeze_order(provision=draft("paying"), actor="bench")
    draft("drafting")
    return {
        **{f"calls_{name}": calls[name] / BUILT for name in PLATFORMS},
        **{f"calls_fewest_{name}": FEWEST_CALLS[name] for name in PLATFORMS},
        **{f"calls_over_minimum_{name}": calls[name] / BUILT / FEWEST_CALLS[name] for name in PLATFORMS},
        "calls_over_minimum": sum(calls.values()) / BUILT / sum(FEWEST_CALLS.values()),
        "provision_own_ms": 1000 * statistics.median(spent.wall for spent in bench.own),
        "provision_own_cpu_ms": 1000 * statistics.median(spent.cpu for spent in bench.own),
        "provision_statements": statistics.median(bench.statements),
        "provision_wakeups": statistics.median(bench.wakeups),
    }
