"""Fifty domains of a student's own in one order, three of them bad, and the worker killed half-way.

How long it takes is a figure, not a verdict: minutes from the payment until the records of every good domain are seen at
its own name servers, where a call takes 100 ms, owners change their name servers at once, and every limit of the platforms
is kept, Cloudflare's 25 zones in ten minutes included.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.db.models import Q

from infra.models import Domain, DomainState, Origin, Provision
from integrations.sandbox import Sandbox, dns, registrar
from integrations.sandbox.cloudflare_world import Record, add_zone
from provisioning import actions
from provisioning.models import Step
from tests.integration.stories.kit import Story, order, outlive

from . import harness
from .figures import Figures
from .harness import dying, new_world
from .whole import IS_WHOLE

MANY, BAD = (50 if IS_WHOLE else 8), 3
CALL = 0.1  # machine seconds
HOURS = 6.0
SEEN = (DomainState.CONNECTED, DomainState.ACTIVE)


def ordered() -> tuple[Story, str, str, str]:
    """Order fifty domains: one that another account holds, one with a policy of its owner's in it, one that is never
    led to us. Return the story and these three."""
    world = new_world()
    made = order(world, world.fresh("batch"), tier="own-domains", spares=0, before=more_domains)
    held, foreign, left = made.provision.domains.order_by("position").values_list("name", flat=True)[3:6]
    world.sandbox.switches.set(cloudflare_held_names=held)
    registrar.register(world.sandbox.world, foreign)
    zone = add_zone(world.sandbox.world, foreign, world.sandbox.clock.now())
    zone.records.append(Record("r1", "TXT", foreign, '"v=spf1 include:other.example -all"', 300, 0.0, 0.0))
    world.people = [owners_but(left)]
    return made, held, foreign, left


def more_domains(_world: object, provision: Provision) -> None:
    first = provision.domains.get()
    Domain.objects.bulk_create(
        Domain(
            provision=provision,
            student=provision.student,
            name=f"{number:02}{first.name}",
            position=number,
            state=DomainState.SELECTED,
            origin=Origin.OWN,
        )
        for number in range(1, MANY)
    )


def owners_but(left: str) -> Callable[[Sandbox], bool]:
    """Return the owners of all domains but one, who do as they are asked at once, and say so."""

    def act(sandbox: Sandbox) -> bool:
        now, moved = sandbox.clock.now(), False
        for domain in Domain.objects.filter(state=DomainState.PENDING_NAMESERVERS, facts__has_key="nameservers"):
            wanted = [str(one) for one in domain.facts["nameservers"]]
            if domain.name != left and set(dns.delegation(sandbox.world, domain.name, now)) != set(wanted):
                registrar.delegate(sandbox.world, domain.name, wanted, now)
                moved = True
        if moved:  # and press "Check now"
            actions.check_now(provision=domain.provision, actor="student")
        return moved

    return act


def waits(made: Story, name: str, **facts: str) -> bool:
    """Tell whether a row of a domain waits with these facts."""
    rows = Step.objects.filter(run=made.run, state="waiting", domain__name=name)
    return rows.filter(**{f"facts__{key}": value for key, value in facts.items()}).exists()


def test_many_domains_of_which_three_are_bad_are_ready_although_the_worker_dies_half_way(
    figures: Figures, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(harness, "LATENCY", CALL)
    made, held, foreign, left = ordered()
    began, zones = made.sandbox.clock.now(), 0

    def half_way(name: str, subject: Any) -> bool:
        nonlocal zones
        zones += name == "after_answer" and subject.verb == "create_zone"
        return name == "after_answer" and subject.verb == "create_zone" and zones == MANY // 2

    # Resolvers are asked once a domain's own servers show everything.
    ready = made.provision.domains.filter(Q(facts__dns_evidence__stage="resolvers") | Q(state__in=SEEN))
    with dying(half_way):
        deaths = outlive(made, lambda: ready.count() == MANY - BAD, hours=HOURS)
    assert deaths == 1
    assert made.sandbox.quotas.violations == []
    assert [entry for entry in made.sandbox.log if entry.status == 429] == []
    assert len(made.sandbox.world.cloudflare.zones) == MANY - 1  # each once, but the one that is another's
    minutes = (made.sandbox.clock.now() - began) / 60
    made.play(lambda: waits(made, held, code="zone_elsewhere") and waits(made, foreign, code="records_in_the_way"))
    assert waits(made, left, question="nameservers")
    figures.put(f"batch_of_{MANY}_minutes", minutes)
    figures.put(f"batch_of_{MANY}_calls", len(made.sandbox.log))
