"""What several subjects need: whole listings, external names, short outcomes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol, TypeVar

from infra.dns.records import Record
from integrations.http.call import Call
from integrations.zapmail import Domain, Mailbox, MailboxPage

from ..engine import budget
from ..engine.context import Context, DomainItem, MailboxItem
from ..engine.ledger import Book
from ..engine.outcomes import Done, Outcome, Wait


class HasId(Protocol):
    """Something that a platform knows by an id."""

    @property
    def id(self) -> str: ...


Item = TypeVar("Item", DomainItem, MailboxItem)
T = TypeVar("T", bound=HasId)

LEAST_WAIT = 5.0  # vendor seconds
RETRIED = "retried"  # a row's fact: how often an operator has had it tried again
MOST_PAGES = 40  # a listing that never ends is a fault of the platform, not a reason to read for ever


def external_name(ctx: Context, suffix: str = "", *, longest: int = 71) -> str:
    """Return the name that a thing of this student carries at a platform; it ends in our reference.

    The student's name is folded to plain letters and shortened to `longest` in all: platforms differ in what they take.
    """
    end = f"{suffix} {ctx.reference}".strip()
    plain = str(ctx.order.get("student_name", "")).encode("ascii", "ignore").decode()
    return f"{' '.join(plain.split())[: longest - len(end) - 1].strip()} {end}".strip()


def own(ctx: Context, name: str, fact: str, build: Callable[[], Call[T]], find: Callable[[], T | None]) -> Outcome:
    """Create the student's own thing `name` at a platform, or find it again; note its id under `fact`."""
    made = ctx.ledger.obtain(name, build, find)
    if isinstance(made, Book):
        return wait_for(made, name, ctx, "whether it was created is being checked")
    return Done({fact: made.id})


def is_ours(ctx: Context, name: str) -> bool:
    """Tell whether an external name ends in our reference. Never matched by the student's name."""
    return name.strip().endswith(ctx.reference)


def domains_there(ctx: Context) -> dict[str, Domain]:
    """Return the domains of the student's workspace, by name."""
    workspace, found = ctx.facts["zapmail_workspace_id"], dict[str, Domain]()
    for page in range(1, MOST_PAGES):
        answer = ctx.read(ctx.clients.zapmail.list_domains(workspace, page=page))
        found |= {domain.name: domain for domain in answer.domains}
        if answer.last:
            break
    return found


def mailbox_pages(ctx: Context) -> list[MailboxPage]:
    """Return the pages of the mailbox list of the student's workspace; the first carries the slot counters."""
    workspace, pages = ctx.facts["zapmail_workspace_id"], list[MailboxPage]()
    for page in range(1, MOST_PAGES):
        pages.append(ctx.read(ctx.clients.zapmail.list_mailboxes(workspace, page=page)))
        if pages[-1].last:
            break
    return pages


def mailboxes_there(ctx: Context) -> dict[str, Mailbox]:
    """Return the mailboxes of the student's workspace, by address."""
    return {mailbox.address: mailbox for page in mailbox_pages(ctx) for mailbox in page.mailboxes}


def wait_for(book: Book[Any], name: str, ctx: Context, why: str) -> Wait:
    """Return the wait for something that is not settled: the step's own pace, or until its absence can be told."""
    return Wait(max(LEAST_WAIT, min(ctx.poll, book.waiting.get(name, ctx.poll))), why=why)


def look(ctx: Context, expected: Iterable[Record], zone: str, facts: Mapping[str, Any] | None = None) -> Outcome:
    """See records in public DNS, or wait until they are; what was seen is kept, beside `facts`, and shown."""
    evidence = ctx.look(list(expected), zone=zone)
    kept = {**(facts or {}), "dns_evidence": evidence.as_json()}
    if evidence.is_complete:
        return Done(kept)
    absent = ", ".join(f"{one.owner} {one.type}" for one in evidence.missing[:3])
    return Wait(ctx.poll, why=f"seen at {evidence.coverage} % of the resolvers; not everywhere: {absent}", facts=kept)


def chances(item: DomainItem | MailboxItem, each: int) -> int:
    """Return how often a platform may be asked in all: `each` times, and again for every retry of an operator."""
    return each * (1 + int(item.step_facts.get(RETRIED, 0)))


def one_by_one(items: Iterable[Item], judge: Callable[[Item], Outcome]) -> dict[str, Outcome]:
    """Judge items that each take calls of their own. Where the budget ends in between, the others wait for its next room:
    what was done for the first ones is kept, so that a small budget never keeps a large order from going on."""
    outcomes: dict[str, Outcome] = {}
    waiting = list(items)
    while waiting:
        try:
            outcomes[waiting[0].key] = judge(waiting[0])
        except budget.NotNow as error:
            if not outcomes:
                raise
            return outcomes | dict.fromkeys((item.key for item in waiting), budget.called_later(error))
        waiting.pop(0)
    return outcomes


def for_all(items: Iterable[DomainItem | MailboxItem], outcome: Outcome) -> Mapping[str, Outcome]:
    """Return the same outcome for every item."""
    return {item.key: outcome for item in items}
