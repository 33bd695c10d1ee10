"""What must hold after every story, whatever went wrong in it: I1 to I12 of the specification, counted on both sides.

Each function is one invariant (or a half of one), over the books of some orders and the platforms they were built at.
Two are weaker than their sentence: I5 knows the student's payment from the order's lines only, because Stripe takes no
part in these stories (the tests of billing hold it against Stripe); I12 counts the outbox, not the mail server.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from functools import cache
from typing import Any

from django.db import connection

from infra import clock, rls
from infra.models import UNRESOLVED, DomainState, OrderLine, ProvisionState, RunKind, RunState, StepState
from infra.models.credential import ACCOUNT, MAILBOX
from integrations.sandbox import Sandbox
from integrations.sandbox.google_world import user_at
from integrations.sandbox.plusvibe import AGENCY
from integrations.sandbox.zapmail_world import PRIMARY, slot_price
from provisioning.models import ACTIVE_RUN, BUILDS, Event, Step

from . import forge_invariants, workspace_invariants
from .books import Books

LIVE = (
    ProvisionState.DRAFT,
    ProvisionState.PENDING_PAYMENT,
    ProvisionState.PROVISIONING,
    ProvisionState.ACTIVE,
    ProvisionState.ACTIVE_WITH_EXCEPTIONS,
    ProvisionState.UPGRADING,
    ProvisionState.SUSPENDED,
)
BUILT = (ProvisionState.ACTIVE, ProvisionState.ACTIVE_WITH_EXCEPTIONS)
ENDED = (StepState.COMPLETED, StepState.FAILED, StepState.SKIPPED)
FORGOTTEN = 3600  # vendor seconds after which something overdue counts as forgotten


def check(sandbox: Sandbox, books: Books, *, quotas: bool = True) -> None:
    """Assert I1 to I12 for some orders. `quotas=False` where a story makes the platform refuse on purpose."""
    check_books(books, sandbox, quotas=quotas)
    no_password_is_readable(passwords_of(sandbox), books)
    no_row_is_seen_by_another_student(books)


def check_books(books: Books, sandbox: Sandbox, *, quotas: bool = True) -> None:
    """Assert what can be told from rows that were read already: all but I9 and I10, which ask the database again."""
    forge_invariants.check(books, sandbox)
    workspace_invariants.check(books, sandbox)
    no_domain_is_bought_twice(sandbox)
    the_wallet_is_explained(books, sandbox)
    nothing_lives_without_a_row(books, sandbox)
    no_row_lives_without_a_thing(books, sandbox)
    every_login_opens(books, sandbox)
    no_intent_is_forgotten(books)
    every_order_explains_its_money(books, sandbox)
    one_live_provision_per_student(books)
    if quotas:
        assert sandbox.quotas.violations == []  # I7
    steps_moved_forward_with_events(books)
    nothing_unfinished_is_forgotten(books)
    mails_are_sent_once(books)


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


def the_wallet_is_explained(books: Books, sandbox: Sandbox) -> None:
    """I1, second half: what left the wallet is what we own; what was refunded came back whole."""
    world, spent = sandbox.world, defaultdict[str, int](int)
    for entry in world.zapmail.ledger:
        spent[entry.kind] += entry.cents
    owned = sum(domain.cents for domain in world.zapmail.domains.values())
    coming_back = sum(event.data["cents"] for event in world.events if event.kind == "refund")
    assert -spent["domain"] - spent["refund"] - coming_back == owned
    slots = sum(item.slots + item.slots_coming for item in world.zapmail.workspaces.values())
    inherited = inherited_slots(sandbox)
    given = inherited * (len(world.zapmail.workspaces) - 1)
    assert -spent["slots"] == (slots - given) * slot_price(world)
    for order in books.orders:
        if order.state in BUILT and not inherited and "zapmail_workspace_id" in order.facts:
            workspace = world.zapmail.workspaces[order.facts["zapmail_workspace_id"]]
            let_go = {one.pk for one in books.domains[order.pk] if one.state == DomainState.RELEASED}
            left_out = sum(box.domain_id in let_go for box in books.mailboxes[order.pk])
            assert workspace.slots <= order.order["mailbox_count"] + left_out, "more slots than were ordered"


def inherited_slots(sandbox: Sandbox) -> int:
    """Return how many mailbox slots a new workspace comes with."""
    switches = sandbox.switches
    return switches.zapmail_inherited_slots if switches.zapmail_new_workspace == "inherits" else 0


def nothing_lives_without_a_row(books: Books, sandbox: Sandbox) -> None:
    """I2, first half. What an unresolved attempt may have made is accounted for by its intent."""
    world = sandbox.world
    rows: dict[str, set[Any]] = defaultdict(set)
    for order in books.orders:
        for name, fact in order.facts.items():
            if isinstance(fact, str | int):
                rows[name].add(fact)
        rows["domain"] |= {domain.name for domain in books.domains[order.pk] if domain.bought_at}
        rows["mailbox"] |= {mailbox.address for mailbox in books.mailboxes[order.pk]}
    known = {item.natural_key for item in books.all_items if item.state in UNRESOLVED}
    if any(run.state in ACTIVE_RUN for run in books.all_runs):
        known |= {item.natural_key for item in books.all_items if item.state == "done"}
    # What an order's end has cut off from its note is a person's to look at.
    told = [t.sentence for o in books.orders for t in books.tasks[o.pk] if t.kind == "cancelled_unresolved"]
    known |= {item.natural_key for item in books.all_items if any(item.natural_key in sentence for sentence in told)}
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


def no_row_lives_without_a_thing(books: Books, sandbox: Sandbox) -> None:
    """I2, second half."""
    world = sandbox.world
    owned = {domain.name: domain for domain in world.zapmail.domains.values()}
    boxes = {mailbox.id for mailbox in world.zapmail.mailboxes.values()}
    accounts = {account.id: account for account in world.plusvibe.accounts.values()}
    for order in books.orders:
        if order.order.get("stack") != "zapmail":
            continue
        facts = order.facts
        assert facts.get("zapmail_workspace_id", PRIMARY) in world.zapmail.workspaces
        assert facts.get("plusvibe_workspace_id", AGENCY) in world.plusvibe.workspaces
        if "heyreach_list_id" in facts:
            assert facts["heyreach_list_id"] in world.heyreach.lists
        for domain in books.domains[order.pk]:
            if domain.bought_at:
                assert owned[domain.name].id == domain.facts["zapmail_domain_id"]
                assert owned[domain.name].workspace_id == facts["zapmail_workspace_id"]
        for mailbox in books.mailboxes[order.pk]:
            assert mailbox.facts.get("zapmail_mailbox_id") in {None} | boxes
            if account := mailbox.facts.get("plusvibe_account_id"):
                assert accounts[account].workspace_id == facts["plusvibe_workspace_id"]


def every_login_opens(books: Books, sandbox: Sandbox) -> None:
    """I3: each stored login sees exactly its student's workspace, each mailbox's password is the one that was set."""
    made = {mailbox.email: mailbox for mailbox in sandbox.world.infraforge.mailboxes.values()}
    for order in books.orders:
        for credential in books.credentials[order.pk]:
            password = credential.password.open()
            if not password:
                continue  # removed at the platform with its order
            if (user := user_at(sandbox.world, credential.login)) is not None:
                opens = (
                    [user.password] if credential.kind.startswith(ACCOUNT) else [a.value for a in user.app_passwords]
                )
                assert password in opens, credential.login
                continue
            if credential.kind.startswith(MAILBOX):
                there = made.get(credential.login)
                assert there is None or not there.password_set or there.password == password, credential.login
                continue
            seen = sandbox.check_login(credential.login, credential.password.open())
            assert seen == [order.facts["plusvibe_workspace_id"]], f"{credential.login} opens {seen}"


def no_intent_is_forgotten(books: Books) -> None:
    """I4: nothing unresolved is older than its bounds without a person who knows; a finished run leaves nothing open."""
    runs = {run.pk: run for run in books.all_runs}
    for operation in books.all_operations:
        open_items = [item for item in books.items[operation.pk] if item.state in UNRESOLVED]
        assert open_items or operation.state not in UNRESOLVED, f"{operation} is open without an open item"
        if not open_items:
            continue
        run = runs[operation.run_id]
        known = books.is_known(run.provision_id)
        assert run.state != RunState.DONE or known, f"{operation} {open_items} is open in a finished run"
        overdue = clock.seconds_between(operation.absent_after, clock.vendor_now()) > FORGOTTEN
        assert not overdue or known, f"{operation} {open_items} was forgotten"


def every_order_explains_its_money(books: Books, sandbox: Sandbox) -> None:
    """I5, as far as Stripe takes no part: what was paid is what was ordered; what left the wallet for the order's
    workspace is, to the cent, what our rows say it has bought, or within the ceiling where a price changed meanwhile."""
    world = sandbox.world
    moved = defaultdict[tuple[str, str], int](int)
    for entry in world.zapmail.ledger:
        if entry.kind in ("domain", "refund", "slots"):
            moved[entry.workspace_id, entry.kind.replace("refund", "domain")] += entry.cents
    changed = any(fault.kind == "price_changed" for fault in sandbox.faults.faults)
    for order in books.orders:
        if not order.paid_at or order.enlarges_id:  # what enlarges an order has its lines there
            continue
        begun = next((run.order for run in books.runs[order.pk] if run.kind == RunKind.SETUP), order.order)
        fees = {"setup": order.order["setup_fee_cents"], "monthly": begun["monthly_fee_cents"]}
        paid = Counter[str]()
        for line in books.lines[order.pk]:
            if line.kind in fees:
                paid[line.kind] += line.amount_cents
        assert paid == fees, "the lines are not what was ordered"
        shares = [line for line in books.lines[order.pk] if line.kind == OrderLine.Kind.DOMAIN_SHARE]
        assert len({line.domain_id for line in shares}) == len(shares), "a domain's share is refunded twice"
        workspace = order.facts.get("zapmail_workspace_id")
        if order.state not in BUILT or workspace is None:
            continue
        bought = [domain for domain in books.domains[order.pk] if domain.bought_at]
        explained, ceiling = sum(d.price_cents for d in bought), len(bought) * order.order["domain_price_cap_cents"]
        coming_back = sum(
            e.data["cents"] for e in world.events if e.kind == "refund" and e.data["workspace"] == workspace
        )
        spent = -moved[workspace, "domain"] - coming_back
        assert spent == explained or (changed and spent <= ceiling), f"{spent} cents spent, {explained} explained"
        slots = world.zapmail.workspaces[workspace].slots - inherited_slots(sandbox)
        assert -moved[workspace, "slots"] == max(0, slots) * slot_price(world), "mailbox slots are not explained"


def one_live_provision_per_student(books: Books) -> None:
    """I6."""
    live = Counter(order.student_id for order in books.orders if order.state in LIVE)
    assert all(count == 1 for count in live.values())


def steps_moved_forward_with_events(books: Books) -> None:
    """I8: events chain without a gap from the first state to the present one, and nothing closed is opened silently."""
    domains = {domain.pk: domain for order in books.ids for domain in books.domains[order]}
    for run in books.all_runs:
        people = any(event.kind in ("retried", "done_by_hand") for event in books.events[run.pk])
        moves: dict[tuple[str, str], list[Event]] = defaultdict(list)
        for event in books.events[run.pk]:
            if event.kind == "step":
                moves[event.step_key, event.item].append(event)
        for row in books.steps[run.pk]:
            domain = domains.get(row.domain_id) if row.domain_id else None
            if not row.mailbox_id:  # a mailbox changes its address when its domain is replaced
                replaced = domain is not None and domain.state == DomainState.LOST
                _check_chain(row, moves[row.key, domain.name if domain else ""], people, replaced=replaced)
            assert row.finished_at or row.state not in (StepState.COMPLETED, StepState.FAILED)


def _check_chain(row: Step, events: list[Event], people: bool, *, replaced: bool) -> None:
    state = StepState.PENDING
    for event in events:
        assert people or event.from_state == state, f"{row.key}: {event.from_state} follows {state}"
        assert people or state not in ENDED, f"{row.key} went on after {state}"
        state = StepState(event.to_state)
    assert people or replaced or state == row.state, f"{row.key} is {row.state}, its events say {state}"


def passwords_of(sandbox: Sandbox) -> list[str]:
    """Return every password that the platforms have made."""
    world = sandbox.world
    secrets = [client.password for client in world.plusvibe.clients.values()]
    for mailbox in world.zapmail.mailboxes.values():
        secrets += [mailbox.app_password, mailbox.password]
    secrets += [mailbox.password for mailbox in sandbox.world.infraforge.mailboxes.values()]
    for account in world.smartlead.accounts.values():
        secrets += [door.password for door in account.doors.values() if door.password]
    return secrets


def no_password_is_readable(secrets: Iterable[str], books: Books | None = None) -> None:
    """I9: no table holds a password in plain text, in whatever column. With `books`, of a table whose rows belong to
    students only theirs are looked at."""
    patterns = [f"%{secret}%" for secret in secrets]
    if not patterns:
        return
    students = None if books is None else [order.student_id for order in books.orders]
    wheres = {
        table: " AND student_id = ANY(%(students)s)" if students is not None and "student_id" in columns else ""
        for table, columns in tables().items()
    }
    query = " UNION ALL ".join(
        f"SELECT '{table}' FROM \"{table}\" AS t WHERE t::text LIKE ANY(%(patterns)s){where}"
        for table, where in wheres.items()
    )
    with connection.cursor() as cursor:
        cursor.execute(query, {"patterns": patterns, "students": students})
        found = {row[0] for row in cursor.fetchall()}
    assert not found, f"{found} hold a password"


def no_row_is_seen_by_another_student(books: Books) -> None:
    """I10: a student who asks the database sees rows of his own only, whatever the page forgot to filter."""
    if not books.orders:
        return
    mine = books.orders[0]
    query = " UNION ALL ".join(
        f"SELECT '{table}' FROM \"{table}\" WHERE student_id <> %(me)s" for table in shown_tables()
    )
    with rls.acting_as("student"), connection.cursor() as cursor:
        rls.set_role("student", str(mine.student_id))
        cursor.execute(query, {"me": mine.student_id})
        found = {row[0] for row in cursor.fetchall()}
        cursor.execute("SELECT count(*) FROM infra_provision WHERE id = %s", [mine.pk])
        assert cursor.fetchone()[0] == 1, "a student does not see his own order"
    assert not found, f"a student sees other students' rows of {found}"


@cache
def tables() -> dict[str, set[str]]:
    """Return every table with its columns."""
    found: dict[str, set[str]] = defaultdict(set)
    with connection.cursor() as cursor:
        cursor.execute("SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'public'")
        for table, column in cursor.fetchall():
            found[table].add(column)
    return found


@cache
def shown_tables() -> list[str]:
    """Return the tables with rows of students that a student may read."""
    owned = [table for table, columns in tables().items() if "student_id" in columns]
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT name FROM unnest(%s::text[]) AS name WHERE has_table_privilege('gtm_student', name, 'SELECT')",
            [owned],
        )
        return [row[0] for row in cursor.fetchall()]


def nothing_unfinished_is_forgotten(books: Books) -> None:
    """I11: every unfinished run has a next action time, every stopped one an operator item."""
    for run in books.all_runs:
        if run.state in (*ACTIVE_RUN, RunState.FAILED) and not books.is_known(run.provision_id):
            assert run.state != RunState.FAILED, f"{run} is forgotten"
            assert run.next_attempt_at is not None, f"{run} is forgotten"


ENDS = ("ready", "ready_with_exceptions", "upgraded")


def mails_are_sent_once(books: Books) -> None:
    """I12: one letter per event. Keys are unique; no run says twice how it ended, unless a person let it go on."""
    for run in books.all_runs:
        if run.state == RunState.DONE and run.kind in BUILDS:
            mails = books.mails[run.provision_id]
            ends = [m.kind for m in mails if m.kind in ENDS and str(run.pk) in m.key]
            went_on = any(event.kind in ("retried", "done_by_hand") for event in books.events[run.pk])
            most = 2 if went_on else 1  # with exceptions, and then without
            assert 1 <= len(ends) <= most, f"{len(ends)} mails say that {run} has ended"
            assert len(ends) == len(set(ends)), f"{run} said twice that it is {ends}"
