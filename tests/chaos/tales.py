"""The stories of the crash matrix: each package as it should go, and the detours on which the engine makes further calls.

A call that is made on no tale has no row in the matrix; a call that any chaos test sees a platform receive, and that has
no row, fails the build. Then a detour is missing here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from django.utils import timezone

from infra.dns.dmarc import Rung
from infra.management.commands.load_tiers import DEFAULTS
from infra.models import Domain, DomainState, Provision
from integrations.sandbox import Sandbox, godaddy_world
from provisioning import changing, life
from provisioning.actions import freeze_order
from provisioning.engine.zoning import FLATTEN
from provisioning.stacks import STACKS
from tests.integration import own_accounts, registering
from tests.integration.stories.kit import World, answer, make_tier


@dataclass(frozen=True, eq=False)
class Tale:
    """How an order of a tier goes.

    world     what `new_world` takes: faults and switches
    mischief  something else that befalls the platforms; called now and then until it returns True
    then      what happens to the order once it is set up: begins another run, which the tale plays too
    until     the step at whose waiting `then` happens already, before the order is set up
    own       how many of the domains are the student's own
    before    what happens before the order is paid
    steps     those that the detour leads through: every place in them is a row, whatever the plain tale calls
    """

    title: str
    tier: str
    world: Mapping[str, Any] = field(default_factory=dict)
    mischief: Callable[[Sandbox], bool] | None = None
    then: Callable[[Provision], object] | None = None
    until: str = ""
    own: int = 0
    before: Callable[[World, Provision], object] | None = None
    steps: tuple[str, ...] = ()

    def __str__(self) -> str:
        return self.title


def lost_answer(platform: str, verb: str) -> dict[str, Any]:
    return {"kind": "timeout_after", "platform": platform, "verb": verb, "times": 1}


def forget_login(sandbox: Sandbox) -> bool:
    """Let Zapmail hold a wrong password of the sending tool, once an export is under way: it will not arrive."""
    if not sandbox.world.zapmail.exports:
        return False
    for sender in sandbox.world.zapmail.senders.values():
        sender.password = "forgotten"
    return True


def look_away(sandbox: Sandbox) -> bool:
    """Let Cloudflare look at a zone's name servers only when it is asked to."""
    looks = [one for one in sandbox.world.events if (one.platform, one.kind) == ("cloudflare", "check")]
    sandbox.world.events[:] = [one for one in sandbox.world.events if one not in looks]
    return bool(looks)


def take_down(provision: Provision) -> object:
    return life.tear_down(provision=provision, actor="billing", reason="its subscription has ended")


def leave_out(provision: Provision) -> object:
    """Change to a package that is one domain smaller."""
    *kept, dropped = provision.domains.filter(state=DomainState.ACTIVE).order_by("position")
    mailboxes = provision.mailboxes.filter(domain__in=kept).count()
    becomes = {**provision.order, "domain_count": len(kept), "mailbox_count": mailboxes}
    return life.reduce(provision=provision, drops=[dropped.name], becomes=becomes, actor="billing")


def change_policy(provision: Provision) -> object:
    """Have another DMARC policy set for one domain, as its student does on its page."""
    domain = provision.domains.filter(state=DomainState.ACTIVE).order_by("position")[0]
    return changing.change_policy(domain=domain, rung=Rung.REJECT, actor="student")


def flatten(provision: Provision) -> object:
    """Have addresses written in place of names, in two records."""
    domain = provision.domains.filter(state=DomainState.ACTIVE).order_by("position")[0]
    part = f"_spf1.{domain.name}"
    records = {domain.name: f"v=spf1 include:{part} ~all", part: "v=spf1 ip4:192.0.2.0/25 -all"}
    kept = {"original": "v=spf1 include:_spf.google.com ~all", "flattened": records, "sources": [], "networks": [],
            "lookups_before": 1, "lookups_after": 1, "characters": 60, "refresh": 300}  # fmt: skip
    wanted = {"facts": {"spf_records": records, "spf_text": kept["original"]}, "flattening": kept}
    return life.change(provision=provision, domain=domain, pipeline=FLATTEN, wanted=wanted, actor="student")


def bring_accounts(world: World, provision: Provision) -> None:
    """Let the student connect accounts of their own at Google and Smartlead."""
    word = provision.student.email.partition("@")[0]
    admin, key = f"admin@{word}.example", f"own-smartlead-key-of-{word}"
    own_accounts.open_accounts(world.sandbox, admin=admin, key=key)
    own_accounts.connect_both(provision.student, world.workshop, admin=admin, key=key)


def bring_a_token(world: World, provision: Provision) -> None:
    """Let the student's domains be registered at GoDaddy, and the student connect that account."""
    word = provision.student.email.partition("@")[0]
    state, now = world.sandbox.world, world.sandbox.clock.now()
    state.godaddy.tokens[f"gd_pat_own-{word}"] = word
    for name in provision.domains.values_list("name", flat=True):
        godaddy_world.own(state, name, now, "ACTIVE", godaddy_world.OWN_SERVERS, True, word)
    own_accounts.connect(provision.student, "godaddy", f"gd_pat_own-{word}", world.workshop)


def have_it_registered(world: World, provision: Provision) -> None:
    """Let the student agree that the domains are registered at GoDaddy, in an account of their own."""
    word = provision.student.email.partition("@")[0]
    registering.open_account(world.sandbox, f"gd_pat_own-{word}", word)
    registering.to_register(provision, world.workshop, key=f"gd_pat_own-{word}")


def have_it_registered_as_before(world: World, provision: Provision) -> None:
    """The same by the older interface, which knows no keys."""
    word = provision.student.email.partition("@")[0]
    registering.open_account(world.sandbox, f"own-key-{word}:own-secret-{word}", word)
    registering.to_register(provision, world.workshop, key=f"own-key-{word}:own-secret-{word}")


def enlarge(provision: Provision) -> object:
    """Upgrade to the next package, as a paid invoice does."""
    draft = Provision.objects.create(
        student=provision.student,
        enlarges=provision,
        tier=make_tier("growth"),
        brand=provision.brand,
        sender_first_name=provision.sender_first_name,
        sender_last_name=provision.sender_last_name,
        mailbox_patterns=provision.mailbox_patterns,
    )
    known = provision.domains.order_by("position").values_list("name", flat=True)[0]
    names = [f"more{known}", f"even{known}"]
    answer(*names)
    for place, name in enumerate(names):
        Domain.objects.create(provision=draft, student=draft.student, name=name, position=place)
    freeze_order(provision=draft, actor="test")
    return life.enlarge(extension=draft, actor="billing", paid_at=timezone.now())


def smallest_like(tale: Tale) -> Tale:
    """Return the smallest package of a tale's stack, as it should go."""
    sizes = next(sizes for sizes in DEFAULTS.values() if any(size.slug == tale.tier for size in sizes))
    return next(plain for plain in PLAIN if plain.tier == sizes[0].slug)


PLAIN = [Tale(size.slug, size.slug) for stack in STACKS for size in DEFAULTS.get(stack, ())]
SMALLEST = PLAIN[0]

UPLOADS = {"plusvibe_bulk_add_big_hosts": "accepted"}
CREATED = (
    ("zapmail", "create_workspace"),
    ("plusvibe", "create_workspace"),
    ("plusvibe", "create_client"),
    ("zapmail", "register_sender"),
    ("heyreach", "create_list"),
)
FORGED = (
    ("infraforge", "create_workspace"),
    ("salesforge", "create_workspace"),
    ("warmforge", "create_workspace"),
)
DETOURS = [
    Tale("answers-lost", "starter", {"faults": [lost_answer(*call) for call in CREATED]}),
    Tale("name-gone", "starter", {"faults": [{"kind": "domain_taken", "verb": "buy_domains", "times": 1}]}),
    Tale("mailbox-failed", "starter", {"faults": [{"kind": "failing_mailboxes", "times": 1}]}),
    Tale("login-refused", "starter", {"switches": {"zapmail_client_logins": "refused", **UPLOADS}}),
    Tale("login-forgotten", "starter", {}, forget_login),
    Tale("enlarged", "starter", then=enlarge),
    Tale("left-out", "starter", {"switches": {"zapmail_auto_renew": "off"}}, then=leave_out),
    Tale("taken-down", "starter", {"switches": {"zapmail_auto_renew": "off"}}, then=take_down),
    Tale("policy-changed", "own-domains", then=change_policy),
    Tale("forge-policy-changed", "ignition", then=change_policy),
    Tale("spf-flattened", "own-domains", then=flatten),
    Tale("forge-answers-lost", "ignition", {"faults": [lost_answer(*call) for call in FORGED]}),
    Tale("forge-old-answers", "ignition", {"switches": {"infraforge_ip_seconds": (1800.0, 1800.0)}}),
    Tale("forge-bulk-by-name", "ignition", {"switches": {"infraforge_bulk_dns_by": "name"}}),
    Tale("forge-own-domain", "ignition", own=1, steps=("connect_domains", "nameservers", "own_active")),
    Tale("workspace-zone-unseen", "own-domains", mischief=look_away),
    Tale("workspace-taken-down", "own-domains", then=take_down),
    Tale("workspace-given-up", "own-domains", then=take_down, until="dkim_keys"),
    Tale(
        "workspace-own-accounts",
        "own-domains",
        before=bring_accounts,
        steps=("google_domains", "users", "dkim_keys", "accounts", "warmup"),
    ),
    Tale("workspace-registered", "own-domains", before=have_it_registered, steps=("registered",)),
    Tale("workspace-registered-v1", "own-domains", before=have_it_registered_as_before, steps=("registered",)),
    Tale("workspace-at-godaddy", "own-domains", before=bring_a_token, steps=("nameservers",)),
    Tale("forge-export-lost", "ignition", {"switches": {"infraforge_export_lands": "never"}}),
]
