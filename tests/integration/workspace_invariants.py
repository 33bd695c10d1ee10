"""What must hold of orders of the `workspace` stack: the invariants that count things at Cloudflare and Google."""

from __future__ import annotations

import re
from collections import Counter

from infra.models import DomainState, MailboxState, Provision
from integrations.cloudflare import marked
from integrations.sandbox import Sandbox

from .books import Books

TOKEN = re.compile(rb"(?m)^X-Mailbox-Test: \S+")
THERE = (MailboxState.CREATED, MailboxState.CONNECTED, MailboxState.WARMING, MailboxState.READY)


def check(books: Books, sandbox: Sandbox) -> None:
    """Assert the halves of I1, I2 and I8 that are about these platforms."""
    nothing_is_made_twice(sandbox)
    for order in books.orders:
        if order.order.get("stack") == "workspace":
            no_row_lives_without_a_thing(order, books, sandbox)
    nothing_lives_without_a_row(books, sandbox)


def nothing_is_made_twice(sandbox: Sandbox) -> None:
    """I1: each zone, user and record of ours is there once, and each test message arrived once at most."""
    world = sandbox.world
    zones = world.cloudflare.zones.values()
    things: dict[str, list[object]] = {
        "zone": [zone.name for zone in zones],
        "user": [user.address for user in world.google_workspace.users.values() if user.deleted_at is None],
        "account": [account.address for account in world.smartlead.accounts.values()],
        "test message": [token[0] for one in world.letters if (token := TOKEN.search(one.raw))],
        "registration": [name for _at, name, _cents in world.godaddy.charges],
        "record": [(zone.name, record.comment) for zone in zones for record in zone.records if record.comment],
    }
    for what, names in things.items():
        twice = [name for name, count in Counter(names).items() if count > 1]
        assert not twice, f"{what} made twice: {twice}"


def nothing_lives_without_a_row(books: Books, sandbox: Sandbox) -> None:
    """I2, first half: every record that carries a mark carries that of an order, and every user is one of its mailboxes."""
    accounts = sandbox.world.smartlead.accounts.values()
    references = {order.reference for order in books.orders}
    addresses = {mailbox.address for order in books.orders for mailbox in books.mailboxes[order.pk]}
    for zone in sandbox.world.cloudflare.zones.values():
        for record in zone.records:
            mine = marked(record.comment or "")
            assert mine is None or mine[0] in references, f"{zone.name} {record.comment}"
    for account in accounts:
        assert account.address in addresses, account.address
    for user in sandbox.world.google_workspace.users.values():
        assert user.is_admin or user.address in addresses, user.address


def no_row_lives_without_a_thing(order: Provision, books: Books, sandbox: Sandbox) -> None:
    """I2, second half: what our rows say is there, is there."""
    world = sandbox.world
    zones = {zone.id: zone for zone in world.cloudflare.zones.values()}
    users = {user.address: user for user in world.google_workspace.users.values()}
    for domain in books.domains[order.pk]:
        if key := domain.facts.get("cloudflare_zone_id"):
            assert zones[key].name == domain.name
        if domain.state == DomainState.ACTIVE:
            assert world.google_workspace.domains[domain.name].verified_at is not None
    for mailbox in books.mailboxes[order.pk]:
        if key := mailbox.facts.get("google_user_id"):
            assert users[mailbox.address].id == key
        if mailbox.state in THERE:
            assert not users[mailbox.address].suspended


def check_complete(provision: Provision, sandbox: Sandbox) -> None:
    """Assert that everything that was ordered is there, once, and works."""
    size, world = provision.order, sandbox.world
    domains = provision.domains.filter(state=DomainState.ACTIVE)
    assert domains.count() == size["domain_count"]
    assert provision.mailboxes.count() == size["mailbox_count"]
    assert set(provision.mailboxes.values_list("state", flat=True)) == {"warming"}
    addresses = set(provision.mailboxes.values_list("address", flat=True))
    accounts = {one.address: one for one in world.smartlead.accounts.values()}
    assert addresses <= set(accounts)
    assert all(accounts[address].warmup_on for address in addresses)
    users = {one.address: one for one in world.google_workspace.users.values()}
    plan = size["warmup"]
    for mailbox in provision.mailboxes.all():
        account, user = accounts[mailbox.address], users[mailbox.address]
        assert (user.given_name, user.family_name) == (mailbox.first_name, mailbox.last_name)
        assert account.name == mailbox.sender
        campaign = account.per_day - account.warmup["total_warmup_per_day"]
        assert campaign == (mailbox.daily_limit or plan["campaign_daily_limit"])
    for domain in domains:
        zone = world.cloudflare.zone_named(domain.name)
        assert zone is not None
        assert zone.status == "active"
