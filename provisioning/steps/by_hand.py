"""Steps that a person does at a platform, where no call can: they wait until what was made there has been typed in."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256

from ..engine.context import Context, DomainItem, MailboxItem
from ..engine.entries import ASKED, Entry
from ..engine.outcomes import Done, NeedsOperator, NeedsStudent, Outcome
from ..engine.specs import Scope

Step = Callable[[Context], Mapping[str, Outcome]]


def entered(entry: Entry, scope: Scope) -> Step:
    """Return the step that waits for a value of each of its items, and does nothing with it."""

    def wait(ctx: Context) -> Mapping[str, Outcome]:
        items: Sequence[DomainItem | MailboxItem] = ctx.mailboxes if scope is Scope.MAILBOX else ctx.domains
        missing = sum(not item.facts.get(entry.fact) for item in items)
        return {item.key: Done() if item.facts.get(entry.fact) else ask(ctx, entry, missing) for item in items}

    return wait


def ask(ctx: Context, entry: Entry, count: int, why: str = "", facts: Mapping[str, str] | None = None) -> Outcome:
    """Ask a person for what no call can make, of so many items; `why` it is not the first time.

    In a student's own account that is the student, who gets one letter however many items there are.
    """
    said = f"{entry.label}: made by a person at the platform and entered on the page of the run, for {count}"
    if ctx.accounts.is_own("google_workspace"):
        letter = f"{ctx.run_id}:{ctx.ledger.step_key}:{sha256(why.encode()).hexdigest()[:12]}"
        return NeedsStudent(ASKED, f"{why}. {said}" if why else said, mail="by_hand", letter=letter, facts=facts or {})
    return NeedsOperator(ASKED, f"{why}. {said}" if why else said, facts or {})
