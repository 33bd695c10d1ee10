"""What must hold of orders of the `forge` stack: the invariants that count things at InfraForge, Salesforge and Warmforge."""

from __future__ import annotations

from collections import Counter
from typing import Any

from infra.models import UNRESOLVED, DomainState, OperatorItem, Provision
from integrations.sandbox import Sandbox

from .books import Books


def check(books: Books, sandbox: Sandbox) -> None:
    """Assert the halves of I1, I2 and I5 that are about these three platforms."""
    nothing_is_made_twice(sandbox)
    the_credits_are_explained(sandbox)
    nothing_lives_without_a_row(books, sandbox)
    for order in orders_of(books):
        no_row_lives_without_a_thing(order, books, sandbox)


def orders_of(books: Books) -> list[Provision]:
    return [order for order in books.orders if order.order.get("stack") == "forge"]


def nothing_is_made_twice(sandbox: Sandbox) -> None:
    """I1: each name and mailbox is paid for once, and each thing that carries our reference is there once."""
    forge, world = sandbox.world.infraforge, sandbox.world
    paid = [(entry.kind, entry.what) for entry in forge.ledger if entry.kind in ("domain", "mailbox", "ip")]
    things: dict[str, list[Any]] = {
        "payment": paid,
        "infraforge workspace": [item.name for item in forge.workspaces.values()],
        "mailbox": [item.email for item in forge.mailboxes.values()],
        "salesforge workspace": [item.name for item in world.salesforge.workspaces.values()],
        "salesforge mailbox": [item.address for item in world.salesforge.mailboxes.values()],
        "warmforge workspace": [item.name for item in world.warmforge.workspaces.values()],
        "warmforge mailbox": [item.address for item in world.warmforge.mailboxes.values()],
    }
    for what, names in things.items():
        doubled = [name for name, count in Counter(names).items() if count > 1]
        assert not doubled, f"{what} twice: {doubled}"


def the_credits_are_explained(sandbox: Sandbox) -> None:
    """I1 and I5: what left the credits is what we own, to the cent."""
    forge, switches = sandbox.world.infraforge, sandbox.switches
    spent = Counter[str]()
    for entry in forge.ledger:
        spent[entry.kind] -= entry.cents
    assert spent["domain"] == sum(domain.cents for domain in forge.domains.values())
    assert spent["mailbox"] == len(forge.mailboxes) * switches.infraforge_mailbox_price_cents
    ips = sum(1 for entry in forge.ledger if entry.kind == "ip")
    assert spent["ip"] == ips * switches.infraforge_ip_price_cents


def nothing_lives_without_a_row(books: Books, sandbox: Sandbox) -> None:
    """I2, first half. What an unresolved attempt may have made is accounted for by its intent."""
    forge, world = sandbox.world.infraforge, sandbox.world
    known = {item.natural_key for item in books.all_items if item.state in (*UNRESOLVED, "done")}
    orders = orders_of(books)
    spaces = {key for order in orders for key in order.facts.get("infraforge_workspaces", ())}
    senders = {order.facts.get("salesforge_workspace_id") for order in orders}
    warmers = {order.facts.get("warmforge_workspace_id") for order in orders}
    domains = {domain.name for order in orders for domain in books.domains[order.pk] if domain.ordered_at}
    addresses = {mailbox.address for order in orders for mailbox in books.mailboxes[order.pk]}
    for workspace in forge.workspaces.values():
        assert workspace.id in spaces or workspace.name in known, workspace.name
    for sender in world.salesforge.workspaces.values():
        assert sender.id in senders or sender.name in known, sender.name
    for warmer in world.warmforge.workspaces.values():
        assert warmer.id in warmers or warmer.name in known, warmer.name
    assert {domain.name for domain in forge.domains.values()} <= domains
    assert {mailbox.email for mailbox in forge.mailboxes.values()} <= addresses
    assert {mailbox.address for mailbox in world.salesforge.mailboxes.values()} <= addresses
    assert {mailbox.address for mailbox in world.warmforge.mailboxes.values()} <= addresses


def no_row_lives_without_a_thing(order: Provision, books: Books, sandbox: Sandbox) -> None:
    """I2, second half; and each thing lies in its student's own workspace."""
    forge, world = sandbox.world.infraforge, sandbox.world
    spaces = set(order.facts.get("infraforge_workspaces", ()))
    assert spaces <= set(forge.workspaces)
    owned = {domain.name: domain for domain in forge.domains.values()}
    for domain in books.domains[order.pk]:
        if domain.bought_at:
            assert owned[domain.name].id == domain.facts["infraforge_domain_id"]
            assert owned[domain.name].workspace_id in spaces
    for mailbox in books.mailboxes[order.pk]:
        if key := mailbox.facts.get("infraforge_mailbox_id"):
            assert forge.mailboxes[key].workspace_id in spaces
        if key := mailbox.facts.get("salesforge_mailbox_id"):
            assert world.salesforge.mailboxes[key].workspace_id == order.facts["salesforge_workspace_id"]
        if key := mailbox.facts.get("warmforge_mailbox_id"):
            assert world.warmforge.mailboxes[key].workspace_id == order.facts["warmforge_workspace_id"]


def check_complete(order: Provision, sandbox: Sandbox) -> None:
    """Assert that everything that was ordered is there, once, and works."""
    size, world = order.order, sandbox.world
    assert order.domains.filter(state=DomainState.ACTIVE).count() == size["domain_count"]
    addresses = set(order.mailboxes.values_list("address", flat=True))
    assert len(addresses) == size["mailbox_count"]
    assert set(order.mailboxes.values_list("state", flat=True)) == {"warming"}
    spaces = [world.infraforge.workspaces[key] for key in order.facts["infraforge_workspaces"]]
    assert len(spaces) == max(1, size["dedicated_ip_count"])
    assert sum(bool(space.ip) for space in spaces) == size["dedicated_ip_count"]
    sending = [
        m for m in world.salesforge.mailboxes.values() if m.workspace_id == order.facts["salesforge_workspace_id"]
    ]
    warming = [m for m in world.warmforge.mailboxes.values() if m.workspace_id == order.facts["warmforge_workspace_id"]]
    assert {mailbox.address for mailbox in sending} == {mailbox.address for mailbox in warming} == addresses
    assert all(mailbox.daily_limit == 30 for mailbox in sending)
    left = set(order.domains.filter(state=DomainState.LOST).values_list("name", flat=True))
    for domain in (one for one in world.infraforge.domains.values() if one.name not in left):
        policies = [record.value for record in domain.records if record.name == f"_dmarc.{domain.name}"]
        assert [policy.split(";")[1].strip() for policy in policies] == [f"p={size['dmarc_policy']}"]
    assert not OperatorItem.objects.filter(provision=order, resolved_at=None).exists()
