"""Students who have a name registered at GoDaddy, in an account of their own, as stories and pages use them."""

from __future__ import annotations

from infra.models import Domain, Origin, Provision, Registration
from integrations.sandbox import Sandbox
from provisioning import registering
from provisioning.engine.runner import Workshop

from .own_accounts import GODADDY, connect

TOKEN, PAIR = "gd_pat_own-token-of-ada", "own-key-of-ada:own-secret-of-ada"
ADA = {
    "first_name": "Ada",
    "last_name": "Keen",
    "email": "ada@agency.example",
    "phone": "+1.4805551234",
    "address": "1 Main St",
    "city": "Tempe",
    "state": "AZ",
    "postal_code": "85281",
    "country": "US",
    "organization": "",
}
PRICE = 1199
ADDRESS = "203.0.113.7"


def open_account(sandbox: Sandbox, key: str = TOKEN, owner: str = "ada's") -> None:
    """Let a student have an account at GoDaddy."""
    sandbox.world.godaddy.tokens[key] = owner


def look_up(draft: Provision, workshop: Workshop, *names: str) -> list[Registration]:
    """Have names looked up, and do what a worker does with them."""
    registering.look_up(draft=draft, names=names)
    for row in Registration.objects.filter(provision=draft, state="asked"):
        registering.ask_terms(row, workshop)
    return registering.listed(draft)


def to_register(draft: Provision, workshop: Workshop, *, key: str = TOKEN) -> None:
    """Let the student of a draft connect an account and agree to register all of its own domains there."""
    assert connect(draft.student, GODADDY, key, workshop).state == "good"
    names = list(draft.domains.filter(origin=Origin.OWN).values_list("name", flat=True))
    rows = look_up(draft, workshop, *names)
    assert {row.state for row in rows} == {"offered"}, [row.problem for row in rows]
    seen = {row.name: registering.digest(row) for row in rows}
    registering.agree(draft=draft, seen=seen, address=ADDRESS, registrant=ADA)


def charged(sandbox: Sandbox) -> list[tuple[str, int]]:
    """Return what GoDaddy charged: name and cents of each time."""
    return [(name, cents) for _at, name, cents in sandbox.world.godaddy.charges]


def wished(name: str) -> Domain:
    """Return a domain that is to be registered."""
    return Domain.objects.get(name=name, facts__has_key="register")
