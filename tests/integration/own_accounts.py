"""Students with accounts of their own at Google Workspace and Smartlead, as stories use them."""

from __future__ import annotations

from typing import Any

from infra.models import PlatformConnection, User
from integrations.sandbox import Sandbox, google_world
from provisioning import connections
from provisioning.engine.runner import Workshop

GOOGLE, SMARTLEAD, GODADDY = "google_workspace", "smartlead", "godaddy"
ADMIN, KEY = "ada@agency.example", "own-smartlead-key-of-ada"
OWNER = 4711


def open_accounts(sandbox: Sandbox, *, admin: str = ADMIN, key: str = KEY, owner: int = OWNER) -> None:
    """Let a student have an account at both platforms."""
    google_world.delegate(sandbox.world, admin)
    sandbox.world.smartlead.owners[key] = owner


def connect(student: User, slug: str, value: str, workshop: Workshop | None = None) -> PlatformConnection:
    """Type in a key or an address, with the code where one is asked for, and let a worker try it."""
    row = connections.connect(student=student, slug=slug, key=value, actor=student.email)
    if row.state == PlatformConnection.State.PROVING:
        code = connections.code_of(row)
        connections.prove(student=student, slug=slug, code=code, actor=student.email)
        row.refresh_from_db()
    if workshop is not None:
        connections.check(row, workshop)
    row.refresh_from_db()
    return row


def connect_both(student: User, workshop: Workshop, *, admin: str = ADMIN, key: str = KEY) -> None:
    """Connect accounts that work."""
    for slug, value in ((GOOGLE, admin), (SMARTLEAD, key)):
        row = connect(student, slug, value, workshop)
        assert (row.state, row.is_used, row.problem) == ("good", True, ""), (slug, row.problem, row.scopes)


def users(sandbox: Sandbox, admin: str) -> set[str]:
    """Return the addresses of the people in the account of an administrator, without that one."""
    customer: Any = google_world.customer_of(sandbox.world, admin)
    there = sandbox.world.google_workspace.users.values()
    return {one.address for one in there if one.customer == customer.id and not one.is_admin}


def accounts(sandbox: Sandbox, owner: int) -> set[str]:
    """Return the addresses in one user's account at Smartlead."""
    return {one.address for one in sandbox.world.smartlead.accounts.values() if one.owner == owner}
