"""A step looks at DNS: through its context, within its time, between transactions, while its claim holds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection

from config.bench import noop
from infra import clock
from infra.dns.propagation import Cause, Evidence, State
from infra.dns.records import Record, Type, record
from infra.dns.resolver import TIMEOUT, Answer, NameServers, Status
from infra.models import RunState
from integrations.sandbox import Sandbox
from provisioning import stacks
from provisioning.engine import claims, failpoints, runner
from provisioning.engine.claims import Claim, LostClaim
from provisioning.engine.context import Context
from provisioning.engine.looker import LOOKS, SILENT, Looker
from provisioning.engine.outcomes import Done, Outcomes, Wait
from provisioning.models import Run
from tests.integration.world import name_servers
from tests.unit.infra.dns.kit import Table

MX = record("MX", "getacme.com", "1 smtp.google.com")
SPF = record("TXT", "getacme.com", "v=spf1 -all")

ABOVE = [
    record("NS", "com", "above.example"),
    record("A", "above.example", "192.0.2.1"),
    record("A", "ns1.host.example", "192.0.2.2"),
]
OWN = {
    "192.0.2.1": Table("above", [record("NS", "getacme.com", "ns1.host.example")]),
    "192.0.2.2": Table("ns1", [MX]),
}

pytestmark = pytest.mark.django_db


def wake(monkeypatch: pytest.MonkeyPatch, servers: NameServers, step: Callable[[Context], Outcomes]) -> Run:
    """Build one order without items, whose last step is `step`; return its run."""
    *others, last = noop.NOOP.steps
    stack = replace(noop.NOOP, steps=(*others, replace(last, function=step)))
    monkeypatch.setitem(stacks.VERSIONS, (stack.key, stack.version), stack)
    noop.make_runs(1)
    claim = claims.take_next()
    assert claim is not None
    runner.wake(claim, replace(runner.default_workshop(), name_servers=servers))
    return Run.objects.select_related("provision").get()


def claimed() -> Claim:
    noop.make_runs(1)
    claim = claims.take_next()
    assert claim is not None
    return claim


def verify(ctx: Context) -> Outcomes:
    evidence = ctx.look([MX])
    if not evidence.is_complete:
        return Wait(ctx.poll, why=f"{evidence.state}")
    return Done({"dns": evidence.as_json()})


def test_a_step_keeps_the_evidence_as_a_fact(monkeypatch: pytest.MonkeyPatch) -> None:
    run = wake(monkeypatch, NameServers((Table("a", [MX]), Table("b", [MX]))), verify)

    assert run.state == RunState.DONE
    kept = run.provision.facts["dns"]
    assert (kept["state"], kept["records"][0]["resolvers"]["b"]["found"]) == ("complete", ["1 smtp.google.com"])
    assert kept["at"] is not None


def test_a_step_waits_for_what_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    run = wake(monkeypatch, NameServers((Table("a", [MX]), Table("b"))), verify)

    assert (run.state, run.steps.get(key=noop.NOOP.steps[-1].key).why) == (RunState.WAITING, "partial")


def test_without_name_servers_nothing_is_ever_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    run = wake(monkeypatch, NameServers(), verify)

    assert run.steps.get(key=noop.NOOP.steps[-1].key).why == "temporary_failure"


def test_questions_are_asked_between_transactions(monkeypatch: pytest.MonkeyPatch) -> None:
    outside, seen = len(connection.atomic_blocks), list[int]()

    class Watching(Table):
        def query(self, name: str, kind: Type, *, timeout: float = TIMEOUT) -> Answer:
            seen.append(len(connection.atomic_blocks))
            return super().query(name, kind, timeout=timeout)

    wake(monkeypatch, NameServers((Watching("a", [MX]),)), verify)

    assert seen == [outside]


def test_tests_may_stop_the_world_around_a_look() -> None:
    seen = list[tuple[str, str]]()
    failpoints.set_hook(lambda name, subject: seen.append((name, subject.key)))
    try:
        Looker(NameServers((Table("a"),)), claimed()).look([MX], at=clock.vendor_now())
    finally:
        failpoints.set_hook(None)

    assert seen == [("before_look", "dns.look"), ("after_look", "dns.look")]


def test_equal_looks_of_one_wake_up_are_made_once() -> None:
    table = Table("a", [MX])
    looker = Looker(NameServers((table,)), claimed())

    assert looker.look([MX], at=clock.vendor_now()) is looker.look([MX], at=clock.vendor_now())
    assert len(table.asked) == 1


def test_a_look_lets_the_lease_last_and_never_ends_it_sooner() -> None:
    claim = claimed()
    Run.objects.update(lease_until=clock.machine_now() + timedelta(seconds=1))

    claims.prolong(claim, 20)
    assert 18 < seconds_left() <= 20
    claims.prolong(claim, 5)
    assert 17 < seconds_left() <= 20


def seconds_left() -> float:
    return float((Run.objects.get().lease_until - clock.machine_now()).total_seconds())  # type: ignore[operator]


def test_a_worker_that_lost_its_claim_asks_nobody() -> None:
    table = Table("a", [MX])
    looker = Looker(NameServers((table,)), claimed())
    Run.objects.update(token=99)

    with pytest.raises(LostClaim):
        looker.look([MX], at=clock.vendor_now())
    assert table.asked == []


def test_silent_servers_cannot_use_up_a_wake_up(monkeypatch: pytest.MonkeyPatch) -> None:
    passed = [0.0]
    monkeypatch.setattr(clock, "monotonic", lambda: passed[0])

    class Slow(Table):
        def query(self, name: str, kind: Type, *, timeout: float = TIMEOUT) -> Answer:
            passed[0] += timeout
            return Answer(Status.TIMEOUT)

    servers = NameServers(tuple(Slow(name) for name in "abcdefghijkl"), timeout=3.0, seconds=5.0)
    looker = Looker(servers, claimed())
    states = [looker.look([named(number)], at=clock.vendor_now()).state for number in range(20)]

    assert passed[0] == LOOKS * servers.seconds
    assert set(states) == {State.TEMPORARY_FAILURE}


def test_a_server_that_kept_one_look_waiting_is_not_asked_again_in_the_same_wake_up() -> None:
    silent, others = Table("c", instead={"": Answer(Status.TIMEOUT)}), (Table("a", [MX, SPF]), Table("b", [MX, SPF]))
    looker = Looker(NameServers((silent, *others)), claimed())

    first, second = (looker.look([one], at=clock.vendor_now()) for one in (MX, SPF))

    assert [one.state for one in (first, second)] == [State.COMPLETE, State.COMPLETE]
    assert len(silent.asked) == 1
    assert second.rows[0].sights["c"].why == SILENT


def named(number: int) -> Record:
    return record("A", f"n{number}.getacme.com", "192.0.2.1")


def test_a_domains_own_servers_are_asked_where_the_servers_above_say() -> None:
    public = Table("public", [*ABOVE, MX])
    servers = NameServers((public,), connect=lambda name, address: OWN[address])
    looker = Looker(servers, claimed())

    evidence = looker.look([MX], at=clock.vendor_now(), zone="getacme.com")
    other = looker.look([SPF], at=clock.vendor_now(), zone="getacme.com")

    assert (evidence.stage, evidence.state) == ("resolvers", State.COMPLETE)
    assert (other.stage, other.cause) == ("authoritative", Cause.MISSING)
    assert list(other.rows[0].sights) == ["ns1"]
    assert sum(one[0] == "com" for one in public.asked) == 1, "one wake-up asks once where a domain is"


def test_a_domain_that_is_not_delegated_is_not_asked_of_resolvers() -> None:
    public = Table("public", ABOVE)
    servers = NameServers((public,), connect=lambda name, address: Table("above"))

    evidence = Looker(servers, claimed()).look([MX], at=clock.vendor_now(), zone="getacme.com")

    assert (evidence.stage, evidence.cause) == ("delegation", Cause.NOT_DELEGATED)
    assert "getacme.com" not in {name for name, _, _ in public.asked}


def test_the_sandbox_answers_in_process_and_a_silent_server_costs_time() -> None:
    sandbox, waited = Sandbox(), list[float]()
    sandbox.switches.set(dns_authoritative="silent")
    servers = name_servers(sandbox, waited.append)

    evidence: Evidence = Looker(servers, claimed()).look([SPF], at=clock.vendor_now())

    assert (evidence.stage, evidence.state) == ("authoritative", State.TEMPORARY_FAILURE)
    assert waited == [servers.timeout]


def test_the_settings_name_the_sandboxs_servers(settings: Any) -> None:
    settings.DNS_RESOLVERS, settings.DNS_AUTHORITATIVE = ["127.0.0.1:9103", "localhost"], ["127.0.0.1:9106"]
    found = runner.default_name_servers()

    assert [one.name for one in found.resolvers] == ["127.0.0.1:9103", "localhost"]
    assert [one.name for one in found.authoritative] == ["127.0.0.1:9106"]
