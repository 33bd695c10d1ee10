"""What must hold after every story, whatever went wrong in it: the invariants of the engine, counted on both sides."""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import UTC, datetime
from typing import Any

from django.db import connection
from django.db.models import QuerySet

from infra import clock
from infra.models import UNRESOLVED, DomainState, Mail, OperatorItem, Provision, ProvisionState, RunState, StepState
from integrations.sandbox import Sandbox
from integrations.sandbox.plusvibe import AGENCY
from integrations.sandbox.zapmail_world import PRIMARY, slot_price
from provisioning.models import ACTIVE_RUN, Event, Operation, OperationItem, Run, Step

LIVE = (
    ProvisionState.DRAFT,
    ProvisionState.PENDING_PAYMENT,
    ProvisionState.PROVISIONING,
    ProvisionState.ACTIVE,
    ProvisionState.ACTIVE_WITH_EXCEPTIONS,
    ProvisionState.UPGRADING,
    ProvisionState.SUSPENDED,
)
Orders = QuerySet[Provision]
EVER = datetime.min.replace(tzinfo=UTC)
ENDED = (StepState.COMPLETED, StepState.FAILED, StepState.SKIPPED)


def check(sandbox: Sandbox, *, quotas: bool = True, since: datetime = EVER) -> None:
    """Assert I1-I4, I6-I9, I11 and I12 for the orders made since an instant.

    `quotas=False` where a story makes the platform refuse on purpose.
    """
    orders = Provision.objects.filter(created_at__gte=since)
    no_domain_is_bought_twice(sandbox)
    the_wallet_is_explained(sandbox, orders)
    nothing_lives_without_a_row(sandbox, orders)
    no_row_lives_without_a_thing(sandbox, orders)
    every_login_opens(sandbox, orders)
    no_intent_is_forgotten(orders)
    one_live_provision_per_student(orders)
    if quotas:
        assert sandbox.quotas.violations == []  # I7
    steps_moved_forward_with_events(orders)
    no_password_is_readable(sandbox)
    nothing_unfinished_is_forgotten(orders)
    mails_are_sent_once(orders)


def no_domain_is_bought_twice(sandbox: Sandbox) -> None:
    """I1, first half: each name at most once, and each thing that carries our reference at most once."""
    world = sandbox.world
    for name, purchases in world.zapmail.purchases.items():
        assert purchases.bought <= 1, f"{name} was bought {purchases.bought} times"
    for what, names in {
        "zapmail workspace": [item.name for item in world.zapmail.workspaces.values()],
        "plusvibe workspace": [item.name for item in world.plusvibe.workspaces.values()] if world.plusvibe else [],
        "lead list": [item.name for item in world.heyreach.lists.values()] if world.heyreach else [],
        "mailbox": [item.email for item in world.zapmail.mailboxes.values()],
        "client": [f"{c.email}" for c in world.plusvibe.clients.values()],
        "account": [f"{a.workspace_id} {a.email}" for a in world.plusvibe.accounts.values()],
    }.items():
        doubled = [name for name, count in Counter(names).items() if count > 1]
        assert not doubled, f"{what} twice: {doubled}"


def the_wallet_is_explained(sandbox: Sandbox, orders: Orders) -> None:
    """I1, second half: what left the wallet is what we own; what was refunded came back whole."""
    world, spent = sandbox.world, defaultdict[str, int](int)
    for entry in world.zapmail.ledger:
        spent[entry.kind] += entry.cents
    owned = sum(domain.cents for domain in world.zapmail.domains.values())
    coming_back = sum(event.data["cents"] for event in world.events if event.kind == "refund")
    assert -spent["domain"] - spent["refund"] - coming_back == owned
    slots = sum(item.slots + item.slots_coming for item in world.zapmail.workspaces.values())
    inherited = world.switches.zapmail_inherited_slots if world.switches.zapmail_new_workspace == "inherits" else 0
    given = inherited * (len(world.zapmail.workspaces) - 1)
    assert -spent["slots"] == (slots - given) * slot_price(world)
    for order in orders.filter(state__in=[ProvisionState.ACTIVE, ProvisionState.ACTIVE_WITH_EXCEPTIONS]):
        workspace = world.zapmail.workspaces[order.facts["zapmail_workspace_id"]]
        if not inherited:
            assert workspace.slots <= order.order["mailbox_count"], "more slots than were ordered"


def nothing_lives_without_a_row(sandbox: Sandbox, orders: Orders) -> None:
    """I2, first half. What an unresolved attempt may have made is accounted for by its intent."""
    world = sandbox.world
    rows: dict[str, set[Any]] = defaultdict(set)
    for provision in orders:
        for name, fact in provision.facts.items():
            rows[name].add(fact)
        rows["domain"] |= set(provision.domains.filter(bought_at__isnull=False).values_list("name", flat=True))
        rows["mailbox"] |= set(provision.mailboxes.values_list("address", flat=True))
    items = OperationItem.objects.filter(operation__run__provision__in=orders)
    open_keys = set(items.filter(state__in=UNRESOLVED).values_list("natural_key", flat=True))
    unrecorded = set(items.filter(state="done").values_list("natural_key", flat=True))
    known = open_keys | (
        unrecorded if Run.objects.filter(provision__in=orders, state__in=ACTIVE_RUN).exists() else set()
    )
    for workspace in world.zapmail.workspaces.values():
        assert workspace.id in rows["zapmail_workspace_id"] | {PRIMARY} or workspace.name in known, workspace.name
    for domain in world.zapmail.domains.values():
        assert domain.name in rows["domain"] | known, domain.name
    for mailbox in world.zapmail.mailboxes.values():
        assert mailbox.email in rows["mailbox"], mailbox.email
    for item in world.plusvibe.workspaces.values():
        assert item.id in rows["plusvibe_workspace_id"] | {AGENCY} or item.name in known, item.name
    for client in world.plusvibe.clients.values():
        seen = {f"{access.workspace_id}:{client.email}" for access in client.access}
        assert client.id in rows["plusvibe_client_id"] or seen & known, client.email
    for lead_list in world.heyreach.lists.values() if world.heyreach else ():
        assert lead_list.id in rows["heyreach_list_id"] or lead_list.name in known, lead_list.name


def no_row_lives_without_a_thing(sandbox: Sandbox, orders: Orders) -> None:
    """I2, second half."""
    world = sandbox.world
    owned = {domain.name: domain for domain in world.zapmail.domains.values()}
    boxes = {mailbox.id for mailbox in world.zapmail.mailboxes.values()}
    accounts = {account.id: account for account in world.plusvibe.accounts.values()}
    for provision in orders:
        facts = provision.facts
        assert facts.get("zapmail_workspace_id", PRIMARY) in world.zapmail.workspaces
        assert facts.get("plusvibe_workspace_id", AGENCY) in world.plusvibe.workspaces
        if "heyreach_list_id" in facts:
            assert facts["heyreach_list_id"] in world.heyreach.lists
        for domain in provision.domains.filter(bought_at__isnull=False):
            assert owned[domain.name].id == domain.facts["zapmail_domain_id"]
            assert owned[domain.name].workspace_id == facts["zapmail_workspace_id"]
        for mailbox in provision.mailboxes.all():
            assert mailbox.facts.get("zapmail_mailbox_id") in {None} | boxes
            if account := mailbox.facts.get("plusvibe_account_id"):
                assert accounts[account].workspace_id == facts["plusvibe_workspace_id"]


def every_login_opens(sandbox: Sandbox, orders: Orders) -> None:
    """I3: each stored login sees exactly its student's workspace."""
    for provision in orders:
        for credential in provision.credentials.all():
            seen = sandbox.check_login(credential.login, credential.password.open())
            assert seen == [provision.facts["plusvibe_workspace_id"]], f"{credential.login} opens {seen}"


def no_intent_is_forgotten(orders: Orders) -> None:
    """I4: nothing unresolved is older than its bounds without a person who knows; a finished run leaves nothing open."""
    ours = OperationItem.objects.filter(operation__run__provision__in=orders)
    for item in ours.filter(state__in=UNRESOLVED).select_related("operation__run"):
        run = item.operation.run
        known = OperatorItem.objects.filter(provision=run.provision, resolved_at__isnull=True).exists()
        assert run.state != RunState.DONE or known, f"{item.verb} {item.natural_key} is open in a finished run"
        overdue = clock.seconds_between(item.operation.absent_after, clock.vendor_now()) > 3600
        assert not overdue or known, f"{item.verb} {item.natural_key} was forgotten"
    for operation in Operation.objects.filter(run__provision__in=orders, state__in=UNRESOLVED):
        assert operation.items.filter(state__in=UNRESOLVED).exists(), f"{operation} is open without an open item"


def one_live_provision_per_student(orders: Orders) -> None:
    """I6."""
    live = Counter(orders.filter(state__in=LIVE).values_list("student_id", flat=True))
    assert all(count == 1 for count in live.values())


def steps_moved_forward_with_events(orders: Orders) -> None:
    """I8: events chain without a gap from the first state to the present one, and nothing closed is opened silently."""
    for run in Run.objects.filter(provision__in=orders):
        people = run.events.filter(kind__in=["retried", "done_by_hand"]).exists()
        moves: dict[tuple[str, str], list[Event]] = defaultdict(list)
        for event in run.events.filter(kind="step").order_by("created_at"):
            moves[event.step_key, event.item].append(event)
        for row in run.steps.select_related("domain", "mailbox"):
            if not row.mailbox:  # a mailbox changes its address when its domain is replaced
                _check_chain(row, moves[row.key, str(row.domain or "")], people)
        closed = run.steps.filter(state__in=[StepState.COMPLETED, StepState.FAILED])
        assert not closed.filter(finished_at__isnull=True).exists()


def _check_chain(row: Step, events: list[Event], people: bool) -> None:
    state = StepState.PENDING
    for event in events:
        assert people or event.from_state == state, f"{row.key}: {event.from_state} follows {state}"
        assert people or state not in ENDED, f"{row.key} went on after {state}"
        state = StepState(event.to_state)
    replaced = row.domain is not None and row.domain.state == DomainState.LOST
    assert people or replaced or state == row.state, f"{row.key} is {row.state}, its events say {state}"


def no_password_is_readable(sandbox: Sandbox) -> None:
    """I9: no table holds a password in plain text, in whatever column."""
    world = sandbox.world
    secrets = [client.password for client in world.plusvibe.clients.values()]
    for mailbox in world.zapmail.mailboxes.values():
        secrets += [mailbox.app_password, mailbox.password]
    if not secrets:
        return
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            cursor.execute(
                f'SELECT count(*) FROM "{table}" AS t WHERE t::text LIKE ANY(%s)', [[f"%{s}%" for s in secrets]]
            )
            assert cursor.fetchone()[0] == 0, f"{table} holds a password"


def nothing_unfinished_is_forgotten(orders: Orders) -> None:
    """I11: every unfinished run has a next action time, every stopped one an operator item."""
    for run in Run.objects.filter(provision__in=orders, state__in=[*ACTIVE_RUN, RunState.FAILED]):
        known = OperatorItem.objects.filter(provision=run.provision, resolved_at__isnull=True).exists()
        assert known or (run.state != RunState.FAILED and run.next_attempt_at is not None), f"{run} is forgotten"


def mails_are_sent_once(orders: Orders) -> None:
    """I12: one letter per event. Keys are unique; no run says twice how it ended."""
    for run in Run.objects.filter(provision__in=orders, state=RunState.DONE):
        ends = Mail.objects.filter(kind__in=["ready", "ready_with_exceptions"], key__contains=str(run.pk))
        assert ends.count() == 1
