"""Taking what a person has made by hand at a platform: the form's other half. See `engine/entries.py`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django import forms
from django.db import transaction
from django.db.models import Q
from django.utils.html import format_html_join
from django.utils.translation import gettext as _

from infra import clock
from infra.models import MailboxSecret, StepState
from infra.secret import Secret

from . import actions
from .engine.accounts import FROZEN
from .engine.entries import ASKED, Entry, entered_at, read_lines
from .models import ACTIVE_RUN, Run, Step
from .stacks import pipeline_of

# Of a step's row: it waits to be told something. Without a next attempt it was told, and is about to try it.
IS_ASKED = Q(Q(facts__code=ASKED) | Q(facts__question=ASKED), state=StepState.WAITING, next_attempt_at__isnull=False)


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
    rows = run.steps.filter(IS_ASKED, key__in=entries)
    found: dict[str, list[Step]] = {}
    for row in rows.select_related("domain", "mailbox").order_by("position", "domain__position", "mailbox__address"):
        found.setdefault(row.key, []).append(row)
    return [Asked(key, entry, found[key]) for key, entry in entries.items() if entry is not None and key in found]


def is_students(run: Run) -> bool:
    """Tell whether what is made by hand is made in an account of the student's own, who enters it then."""
    return "google_workspace" in run.order.get(FROZEN, ())


class EnterForm(forms.Form):
    """A field for each kind of thing that is asked for, a line for each item. What is wrong is said line by line."""

    def __init__(self, run: Run, data: Mapping[str, Any] | None = None) -> None:
        super().__init__(data)
        self.run = run
        self.asked = {one.key: one for one in asked(run)}
        for key, one in self.asked.items():
            widget = forms.Textarea(
                attrs={
                    "rows": min(20, len(one.items) + 1),
                    "class": "vLargeTextField",
                    "spellcheck": "false",
                    "autocomplete": "off",
                }
            )
            self.fields[key] = forms.CharField(
                label=str(one.entry.label),
                required=False,
                strip=False,
                widget=widget,
                initial="\n".join(f"{item} " for item in one.items),
                help_text=format_html_join("", "<p>{}</p>", ((line,) for line in one.entry.how)),
            )

    def clean(self) -> dict[str, Any]:
        """Judge every line; a line that still ends behind its name is left for later."""
        cleaned = super().clean() or {}
        for key, one in self.asked.items():
            lines = [line for line in cleaned.get(key, "").splitlines() if line.strip().lower() not in one.names]
            cleaned[key] = "\n".join(lines)
            if cleaned[key]:
                for problem in read_lines(one.entry, cleaned[key], one.items).problems:
                    self.add_error(key, problem)
        if not any(cleaned.get(key) for key in self.asked) and not self.errors:
            raise forms.ValidationError(_("Nothing was entered."))
        return cleaned

    def save(self, *, actor: str) -> int:
        """Enter everything or nothing; return how many lines. Raises actions.Refused."""
        with transaction.atomic():
            texts = ((key, self.cleaned_data[key]) for key in self.asked if self.cleaned_data[key])
            return sum(enter(run=self.run, key=key, text=text, actor=actor) for key, text in texts)


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
