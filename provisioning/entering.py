"""Taking what a person has made by hand at a platform: the form's other half. See `engine/entries.py`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.db import transaction
from django.utils.translation import gettext as _

from infra import clock
from infra.models import MailboxSecret, StepState
from infra.secret import Secret

from . import actions
from .engine.entries import ASKED, Entry, entered_at, read_lines
from .models import ACTIVE_RUN, Run, Step
from .stacks import pipeline_of


@dataclass(frozen=True, slots=True)
class Asked:
    """What a run waits to be told: one kind of thing, for these rows, in the student's order."""

    key: str
    entry: Entry
    rows: Sequence[Step]

    @property
    def items(self) -> list[str]:
        return [item_of(row) for row in self.rows]

    @property
    def names(self) -> frozenset[str]:
        """What a line says that names an item and nothing more."""
        return frozenset(item.lower() for item in self.items)


def item_of(row: Step) -> str:
    """Return the name that a line begins with."""
    return str(row.domain or row.mailbox)


def asked(run: Run) -> list[Asked]:
    """Return what a person could enter now, by kind."""
    if run.state not in ACTIVE_RUN:
        return []
    entries = {spec.key: spec.entry for spec in pipeline_of(run).steps if spec.entry is not None}
    rows = run.steps.filter(key__in=entries, state=StepState.WAITING, facts__code=ASKED)
    rows = rows.exclude(next_attempt_at=None)  # entered, and about to be tried
    found: dict[str, list[Step]] = {}
    for row in rows.select_related("domain", "mailbox").order_by("position", "domain__position", "mailbox__address"):
        found.setdefault(row.key, []).append(row)
    return [Asked(key, entry, found[key]) for key, entry in entries.items() if entry is not None and key in found]


def enter(*, run: Run, key: str, text: str, actor: str) -> int:
    """Take lines of "item, value" for rows of one kind; return how many. All of them are right, or none is taken.

    A value is kept with its item, or encrypted where it is a secret; then the run goes on with it. Raises actions.Refused
    with what is wrong.
    """
    with transaction.atomic():
        run = actions.lock(run)
        wanted = next((one for one in asked(run) if one.key == key), None)
        if wanted is None:
            raise actions.Refused(_("Nothing of this kind is asked for at the moment."))
        read = read_lines(wanted.entry, text, wanted.items)
        if read.problems:
            raise actions.Refused(" ".join(read.problems))
        rows = [row for row in wanted.rows if item_of(row) in read.values]
        for row in rows:
            _keep(wanted, row, read.values[item_of(row)])
            actions.note(run.provision, "entered", run=run, actor=actor, step_key=key, item=item_of(row))
        actions.wake(run, run.steps.filter(pk__in=[row.pk for row in rows]))
    return len(rows)


def _keep(wanted: Asked, row: Step, value: str) -> None:
    """Keep what was entered, and when: with the item, or encrypted."""
    item = row.domain or row.mailbox
    if item is None:
        raise actions.Refused(_("What is entered belongs to a domain or a mailbox."))
    facts = {entered_at(wanted.key): clock.vendor_now().isoformat()}
    if not wanted.entry.is_secret:
        facts[wanted.entry.fact] = value
    item.facts = {**item.facts, **facts}
    item.save(update_fields=["facts", "updated_at"])
    if wanted.entry.is_secret and row.mailbox is not None:
        MailboxSecret.objects.update_or_create(
            mailbox=row.mailbox, defaults={"student_id": row.student_id, "app_password": Secret(value)}
        )
