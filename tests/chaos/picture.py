"""How a story has ended, without what may differ from one telling to the next: ids, references, times, numbers of tries.

Two stories ended alike when their pictures are equal: our rows, what the platforms hold, the money, the mails, and what
a person was asked to do.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from infra.models import UNRESOLVED, Provision
from integrations.sandbox import Sandbox
from integrations.sandbox.zapmail_world import balance
from tests.integration.books import Books

from .harness import alike

Picture = dict[str, list[str]]

# How long something took is told to the student, and a crash makes it longer.
ABOUT_TIME = ("delayed", "fixed")
# Writes that only recovery needs, and whose lost answer they make good: a password is shown once.
RECOVERY = {"plusvibe.delete_client": "plusvibe.create_client"}


def picture(books: Books, sandbox: Sandbox) -> Picture:
    """Return how everything stands, section by section, in an order that does not depend on when it was made."""
    sections: dict[str, Iterable[Any]] = {
        **{f"our {name}": rows for name, rows in _rows(books).items()},
        **{f"platform's {name}": things for name, things in _things(sandbox).items()},
        "money": _money(sandbox),
    }
    return {name: sorted(alike(json.dumps(row, default=str)) for row in rows) for name, rows in sections.items()}


def differences(before: Picture, after: Picture) -> list[str]:
    """Return a line for everything that only one of two pictures shows."""
    found = []
    for section in sorted(before.keys() | after.keys()):
        old, new = Counter(before.get(section, ())), Counter(after.get(section, ()))
        found += [f"{section}: missing {row}" for row in (old - new).elements()]
        found += [f"{section}: too much {row}" for row in (new - old).elements()]
    return found


def _rows(books: Books) -> Mapping[str, Iterable[Any]]:
    orders, runs = books.orders, books.all_runs
    return {
        "orders": [_order(order) for order in orders],
        "domains": [
            (d.name, d.state, d.price_cents, bool(d.ordered_at), bool(d.bought_at), _facts(d.facts), d.reason)
            for order in orders
            for d in books.domains[order.pk]
        ],
        "mailboxes": [
            (m.address, m.state, bool(m.warmup_started_at), _facts(m.facts), m.reason)
            for order in orders
            for m in books.mailboxes[order.pk]
        ],
        "credentials": [(c.kind.partition(":")[0], c.login) for order in orders for c in books.credentials[order.pk]],
        "order lines": [(x.kind, x.state, x.amount_cents) for order in orders for x in books.lines[order.pk]],
        "runs": [(r.kind, r.state, r.failure_code, r.waits_on, bool(r.finished_at)) for r in runs],
        "steps": _steps(books),
        "writes": _writes(books),
        "mails": [(m.kind, m.to) for o in orders for m in books.mails[o.pk] if m.kind not in ABOUT_TIME],
        "tasks for people": [(t.kind, t.resolved_at is None) for o in orders for t in books.tasks[o.pk]],
    }


def _order(order: Provision) -> Any:
    facts = _facts(order.facts)
    return order.state, order.parked_reason, order.order, facts, bool(order.paid_at), bool(order.ready_at)


def _facts(facts: Mapping[str, Any]) -> Iterable[Any]:
    """Return what a row knows; of ids and dates only that it knows one."""
    return sorted(
        (name, None if name.endswith(("_id", "_on", "_at")) else _gist(value)) for name, value in facts.items()
    )


def _gist(value: Any) -> Any:
    """Return of evidence how it ended, of what is known per id how many there are."""
    if isinstance(value, dict):
        return str(value.get("state", len(value)))
    return len(value) if isinstance(value, list) else str(value)


def _steps(books: Books) -> Iterable[Any]:
    names = {str(row.pk): str(row) for o in books.ids for row in (*books.domains[o], *books.mailboxes[o])}
    for run in books.run_ids:
        for step in books.steps[run]:
            yield step.key, names.get(step.item_key, ""), step.state, step.waits_on, step.failure_code


def _writes(books: Books) -> Iterable[Any]:
    """Yield what was brought about, once each however often it was tried, and what is still open."""
    done = {(i.platform, i.verb, i.natural_key, "done") for i in books.all_items if i.state == "done"}
    still_open = {(i.platform, i.verb, i.natural_key, "open") for i in books.all_items if i.state in UNRESOLVED}
    names = _workspace_names(books)
    for platform, verb, key, state in done | still_open:
        if f"{platform}.{verb}" not in RECOVERY:
            yield platform, verb, _named(key, names), state


def _workspace_names(books: Books) -> Mapping[str, str]:
    """Return what to call the ids that platforms gave our workspaces, where they are part of a natural key."""
    return {str(value): name for order in books.orders for name, value in order.facts.items() if name.endswith("_id")}


def _named(key: str, names: Mapping[str, str]) -> str:
    for value, name in names.items():
        key = key.replace(value, name)
    return key


def _things(sandbox: Sandbox) -> Mapping[str, Iterable[Any]]:
    zapmail, plusvibe, heyreach = sandbox.world.zapmail, sandbox.world.plusvibe, sandbox.world.heyreach
    at_zapmail = {workspace.id: workspace.name for workspace in zapmail.workspaces.values()}
    at_plusvibe = {workspace.id: workspace.name for workspace in plusvibe.workspaces.values()}
    return {
        "workspaces": [
            *((w.name, w.slots, w.slots_coming, w.plan) for w in zapmail.workspaces.values()),
            *at_plusvibe.values(),
        ],
        "domains": [
            (d.name, at_zapmail[d.workspace_id], d.status, d.cents, d.dmarc_email, d.dmarc_added, d.auto_renew)
            for d in zapmail.domains.values()
        ],
        "mailboxes": [
            (m.email, m.first_name, m.last_name, at_zapmail[m.workspace_id], m.status, m.scheduled_for_removal)
            for m in zapmail.mailboxes.values()
        ],
        "senders": [(s.email, at_zapmail[s.workspace_id], s.app) for s in zapmail.senders.values()],
        "clients": [
            (c.email, c.first_name, c.last_name, c.status, [at_plusvibe[a.workspace_id] for a in c.access])
            for c in plusvibe.clients.values()
        ],
        "accounts": [
            (a.email, at_plusvibe[a.workspace_id], a.status, a.warmup_status, a.settings)
            for a in plusvibe.accounts.values()
        ],
        "lead lists": [(x.name, x.kind, len(x.leads)) for x in heyreach.lists.values()],
        **_forge_things(sandbox),
    }


def _forge_things(sandbox: Sandbox) -> Mapping[str, Iterable[Any]]:
    forge, sending, warming = sandbox.world.infraforge, sandbox.world.salesforge, sandbox.world.warmforge
    at_forge = {workspace.id: workspace.name for workspace in forge.workspaces.values()}
    return {
        "workspaces of forge": [
            *((w.name, bool(w.ip)) for w in forge.workspaces.values()),
            *(w.name for w in sending.workspaces.values()),
            *(w.name for w in warming.workspaces.values()),
        ],
        "domains of forge": [
            (d.name, at_forge[d.workspace_id], d.status, d.cents, d.auto_renew, [str(r) for r in d.records])
            for d in forge.domains.values()
        ],
        "mailboxes of forge": [
            (m.email, m.first_name, m.last_name, at_forge[m.workspace_id], m.status, m.password_set)
            for m in forge.mailboxes.values()
        ],
        "mailboxes that send": [
            (m.address, sending.workspaces[m.workspace_id].name, m.daily_limit) for m in sending.mailboxes.values()
        ],
        "mailboxes that warm up": [
            (m.address, warming.workspaces[m.workspace_id].name, m.settings) for m in warming.mailboxes.values()
        ],
    }


def _money(sandbox: Sandbox) -> Iterable[Any]:
    world, now = sandbox.world, sandbox.clock.now()
    spent: Counter[str] = Counter()
    for entry in world.zapmail.ledger:
        spent[entry.kind] += entry.cents
    coming = [event.kind for event in world.events if event.kind == "refund"]
    wallets = sorted(balance(world, workspace, now) for workspace in world.zapmail.workspaces)
    forge = Counter[str]()
    for moved in world.infraforge.ledger:
        forge[f"forge {moved.kind}"] += moved.cents
    return [("wallets", wallets), ("coming back", coming), *spent.items(), *forge.items()]
