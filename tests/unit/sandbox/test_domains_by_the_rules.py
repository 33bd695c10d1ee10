"""The simulated domains are such as the rules of DNS ask for, read as the product reads them."""

from __future__ import annotations

import pytest

from infra.dns import dkim, dmarc, mx
from infra.dns.compliance import Facts, Value, checks
from infra.dns.plan import Existing, plan
from infra.dns.propagation import State, look
from infra.dns.records import record
from infra.dns.resolver import Patience, Resolver
from infra.dns.spf.evaluate import evaluate
from infra.dns.spf.tree import grow
from integrations.sandbox.zapmail import records_of
from tests.integration.world import name_servers
from tests.unit.sandbox.kit import DAY, Box

NAME = "getexamplebrand.com"
PATIENCE = Patience(lambda: 0.0, 5.0)


@pytest.fixture(scope="module")
def box() -> Box:
    """A bought domain whose reports go to the operator, a day later."""
    box = Box()
    workspace = box.workspace()
    domain = box.active_domain(workspace, NAME)
    body = {"domainIds": [domain], "email": "dmarc@ops.example"}
    assert box.zapmail("POST", "/v2/domains/dmarc", body, workspace=workspace).status == 200
    box.sandbox.advance(DAY)
    return box


@pytest.fixture
def resolver(box: Box) -> Resolver:
    return name_servers(box.sandbox).resolvers[0]


def test_its_records_are_all_well(resolver: Resolver) -> None:
    tree = grow(NAME, resolver)
    found = (dkim.look_at("google", NAME, resolver), dmarc.look_at(NAME, resolver), mx.look_at(NAME, resolver))

    assert [finding.id for one in (tree, *found) for finding in one.findings] == []
    assert (tree.lookups, tree.voids) == (1, 0)
    assert found[0].key is not None
    assert found[0].key.bits == 2048


def test_what_dns_can_prove_of_compliance_is_proven(resolver: Resolver) -> None:
    facts = Facts(
        NAME,
        grow(NAME, resolver),
        [evaluate("192.0.2.7", f"ada@{NAME}", "mail.google.example", resolver)],
        [dkim.look_at("google", NAME, resolver)],
        dmarc.look_at(NAME, resolver),
    )
    proven = {row for row, check in checks(facts).items() if check.value is Value.PASS}

    assert proven == {"spf_record", "spf_sender", "dkim_key", "dmarc_record"}


def test_what_the_platform_lists_is_seen_everywhere_and_nothing_is_to_be_changed(box: Box) -> None:
    now = box.clock.now()
    listed = [
        record(one.type, one.name, one.value, one.priority)
        for one in records_of(box.sandbox.world, now)
        if one.until > now
    ]
    servers = name_servers(box.sandbox)

    evidence = look(listed, servers.resolvers, patience=PATIENCE, authoritative=servers.authoritative)

    assert (len(listed), evidence.state, evidence.coverage) == (4, State.COMPLETE, 100)
    assert plan(NAME, listed, [Existing(str(one), one) for one in listed]).changes == ()
