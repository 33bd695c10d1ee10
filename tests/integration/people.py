"""What people do while an order is built: owners change name servers, and somebody makes keys and passwords at Google."""

from __future__ import annotations

from collections.abc import Callable

from django.db.models import Exists, OuterRef

from infra.models import Domain, DomainState, Origin
from infra.prepared import Lookup
from integrations.sandbox import Sandbox, dns, registrar
from integrations.sandbox.google_world import (
    generate_key,
    make_app_password,
    start_authentication,
    switch_two_step,
)
from integrations.sandbox.reading import Refusal
from provisioning import entering, mail_tests
from provisioning.models import ACTIVE_RUN, Run, Step
from provisioning.stacks import STACKS
from provisioning.steps.workspace import signing

from . import world

# Asked between any two wake-ups, and answered with nothing nearly always.
ASKED_OWNERS = Lookup(
    lambda: Domain.objects.filter(state=DomainState.PENDING_NAMESERVERS, facts__has_key="nameservers")
)
ASKED_RUNS = Lookup(
    lambda: Run.objects.filter(Exists(Step.objects.filter(entering.IS_ASKED, run=OuterRef("pk"))), state__in=ACTIVE_RUN)
)


def of(stack: str) -> list[Callable[[Sandbox], bool]]:
    """Return the people that orders of a stack cannot do without."""
    steps = STACKS[stack].steps
    asks_owners = {spec.origin for spec in steps if spec.origin} == {Origin.OWN}  # it sells no domains
    asks_makers = any(spec.entry for spec in steps)
    found: list[Callable[[Sandbox], bool]] = []
    if asks_owners:
        found.append(own_domains_are_delegated)
    if asks_makers:
        found.append(what_is_asked_is_entered)
    if any(spec.key == signing.STEP for spec in steps):
        found.append(mail_is_tested)
    return found


def mail_is_tested(sandbox: Sandbox) -> bool:
    """Do what workers do with test messages, one at a time; return whether one was due."""
    return mail_tests.is_due() and bool(mail_tests.work(world.post_of(sandbox), world.name_servers(sandbox), 1))


def own_domains_are_delegated(sandbox: Sandbox) -> bool:
    """Let every owner who was asked change the name servers; return whether there was one."""
    moved = False
    for domain in ASKED_OWNERS():
        wanted = [str(one) for one in domain.facts["nameservers"]]
        now = sandbox.clock.now()
        if set(dns.delegation(sandbox.world, domain.name, now)) != set(wanted):
            registrar.delegate(sandbox.world, domain.name, wanted, now)
            moved = True
    return moved


def what_is_asked_is_entered(sandbox: Sandbox) -> bool:
    """Make at Google what the runs wait for, and enter it; return whether anything was."""
    return _enter(sandbox, ("dkim_keys", "accounts", "signed"))


def keys_are_entered(sandbox: Sandbox) -> bool:
    """Make and enter the keys alone."""
    return _enter(sandbox, ("dkim_keys",))


def _enter(sandbox: Sandbox, kinds: tuple[str, ...]) -> bool:
    moved = False
    for run in ASKED_RUNS():
        for one in (asked for asked in entering.asked(run) if asked.key in kinds):
            lines = [f"{item} {value}" for item in one.items if (value := _make(sandbox, one.key, item))]
            if lines:
                entering.enter(run=run, key=one.key, text="\n".join(lines), actor="test")
                moved = True
    return moved


def _make(sandbox: Sandbox, key: str, item: str) -> str:
    there, now = sandbox.world, sandbox.clock.now()
    try:
        if key == "dkim_keys":
            return generate_key(there, item, now).txt
        if key == "signed":
            start_authentication(there, item, now)
            return "started"
        switch_two_step(there, item, True)
        return make_app_password(there, item, "Smartlead", now).value
    except Refusal:  # the console is not ready for it yet
        return ""
