"""Writes what a step answered: rows, items, events and the next wake-up in one fenced commit."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any

from django.db import transaction
from django.utils import timezone
from django.utils.dateparse import parse_date

from infra import clock
from infra.clock import Instants, VendorInstant
from infra.models import (
    Credential,
    Domain,
    DomainState,
    Mail,
    Mailbox,
    MailboxState,
    OperatorItem,
    ParkedReason,
    Provision,
    ProvisionState,
    RunKind,
    RunState,
    StepState,
)
from infra.prepared import Lookup

from ..models import OPEN_STEP, Event, Run, Step
from . import questions, substitution
from .claims import IDLE_LEASE, Claim
from .failpoints import failpoint
from .fenced import Fenced
from .outcomes import PEOPLE, Done, Failed, Lost, NeedsOperator, NeedsStudent, NewCredential, Outcome, Wait, WaitsOn
from .specs import HOUR, GivesUpTo, Scope, StackSpec, StepSpec
from .wave import Wave

CRASHES_TO_PARK = 5  # wake-ups in a row that did not come to their end until a person is told
ASK_AGAIN = 24 * HOUR  # vendor seconds until a question to a person is looked at again by itself
TOO_SLOW = "too_slow"  # code of what did not end within its step's deadline
LATE_FACTOR = 3  # a step that takes so many times its usual time is "delayed"
LATE_AT_LEAST = 0.5 * HOUR
LEISURE_SINCE = "leisure_since"  # a row's fact: since when it lets others go first
LEISURE_POLL = 30.0  # vendor seconds: permits that nobody else wants lie idle no longer than this


Row = Step | Domain | Mailbox | Provision
# The columns that a run changes, by the rows that it reads at its beginning.
WRITTEN: Mapping[type[Row], tuple[str, ...]] = {
    Step: (
        *("state", "waits_on", "why", "next_attempt_at", "opened_at", "attempts", "errors", "started_at"),
        *("finished_at", "facts", "failure_code", "failure_sentence"),
    ),
    Domain: ("state", "facts", "reason", "bought_at", "connected_at", "expires_at"),
    Mailbox: ("state", "facts", "reason", "warmup_started_at"),
}


@dataclass(slots=True)
class Recorder:
    """Keeps the rows of one run in step with what its steps answered. Every commit is fenced by the claim."""

    claim: Claim
    run: Run
    provision: Provision
    wave: Wave
    now: Instants
    is_closed: bool = False
    _events: list[Event] = field(default_factory=list)
    _changed: dict[type[Row], dict[uuid.UUID, Row]] = field(default_factory=dict)
    _columns: dict[type[Row], dict[str, None]] = field(default_factory=dict)
    _mails: list[Mail] = field(default_factory=list)
    _resolved: dict[str, list[str]] = field(default_factory=dict)  # keys of operator items, by what closes them
    _besides: list[Callable[[], object]] = field(default_factory=list)
    _taken: set[uuid.UUID] = field(default_factory=set)

    def record(self, spec: StepSpec, outcomes: Mapping[str, Outcome], now: VendorInstant) -> bool:
        """Write the outcomes of a step by item key; return whether anything moved forward."""
        failpoint("before_record", spec)
        moved = False
        for item_key, outcome in outcomes.items():
            row = self.wave.rows[spec.key, item_key]
            moved |= self._record_one(spec, row, outcome, now)
        if all(isinstance(outcome, Done) for outcome in outcomes.values()) and self.wave.is_finished():
            self.finish()  # in the same commit as the last step
        else:
            self._commit()
        failpoint("after_record", spec)
        return moved

    def _commit(self, *, lease: float | None = IDLE_LEASE, changes_page: bool = True, **run: Any) -> None:
        """Write what has changed in memory, in one fenced commit: one statement, unless something is to be done besides."""
        write = Fenced(self.claim).run(**run)
        for model, rows in self._changed.items():
            write.update(list(rows.values()), tuple(self._columns[model]))
        write.insert(self._events).insert(self._mails, once=True)
        for resolution, keys in self._resolved.items():
            write.resolve(keys, resolution)
        besides = self._besides
        self._events, self._changed, self._columns, self._mails = [], {}, {}, []
        self._resolved, self._besides, self._taken = {}, [], set()
        if not besides:
            self.now = write.execute(lease=lease, changes_page=changes_page)
            return
        with transaction.atomic():
            self.now = write.execute(lease=lease, changes_page=changes_page)
            for act in besides:
                act()

    def _note(self, row: Row, columns: tuple[str, ...] = ()) -> None:
        # One statement changes a row once: what is noted of a model in several places is written together.
        self._changed.setdefault(type(row), {})[row.pk] = row
        self._columns.setdefault(type(row), {}).update(dict.fromkeys(columns or WRITTEN[type(row)]))

    def hold(self, spec: StepSpec, rows: Sequence[Step], now: VendorInstant) -> None:
        """Let rows that nobody has attempted wait for their siblings; all of them until the first has waited enough."""
        until = min(row.next_attempt_at or clock.later(now, spec.gather) for row in rows)
        fresh = [row for row in rows if row.next_attempt_at != until]
        for row in fresh:
            row.next_attempt_at = until
            self._note(row)
        if fresh:
            self._commit(changes_page=False)

    def put_off(self, spec: StepSpec, rows: Sequence[Step], now: VendorInstant, *, fresh: bool = False) -> None:
        """Let rows have their turn again after a while, without having had it now; `fresh`: nobody has attempted them yet."""
        for row in rows:
            row.next_attempt_at = clock.later(now, min(spec.poll, LEISURE_POLL) if fresh else spec.poll)
            if fresh:
                row.facts = {LEISURE_SINCE: now.isoformat(), **row.facts}
                self._move(row, StepState.WAITING, waits_on=WaitsOn.PLATFORM, why="others go first, who need it sooner")
            self._note(row)
        self._commit(changes_page=False)

    def _record_one(self, spec: StepSpec, row: Step, outcome: Outcome, now: VendorInstant) -> bool:
        row.attempts += 1
        row.facts = {name: fact for name, fact in row.facts.items() if name not in ("cause", LEISURE_SINCE)}
        if not (isinstance(outcome, Wait) and outcome.on is WaitsOn.BUDGET):
            row.opened_at = row.opened_at or now  # time without a permit is not the platform's
        row.started_at = row.started_at or timezone.now()
        match outcome:
            case Done():
                self._done(spec, row, outcome)
            case Wait():
                return self._wait(spec, row, outcome, now)
            case NeedsStudent():
                self._ask_student(spec, row, outcome, now)
                return False
            case NeedsOperator():
                self._ask_operator(spec, row, outcome, now)
                return False
            case Failed():
                self._fail(spec, row, outcome)
            case Lost():
                return self._lose(spec, row, outcome, now)
        return True

    # ---- the six answers ---------------------------------------------------------------------------------------------

    def _done(self, spec: StepSpec, row: Step, outcome: Done) -> None:
        self._close_items(row)
        self._move(row, StepState.COMPLETED, finished=True)
        item = self._item(spec, row)
        if item is None:
            self.provision.facts = {**self.provision.facts, **outcome.facts}
            if outcome.facts:
                self._note(self.provision, ("facts",))
        else:
            item.facts = {**item.facts, **outcome.facts}
            if spec.ends:
                item.state = self._state_of(row, spec.ends)
            if isinstance(item, Domain):
                take_dates(item, outcome.facts)
            if isinstance(item, Mailbox) and item.state == MailboxState.WARMING:
                item.warmup_started_at = item.warmup_started_at or self.now.vendor
            self._note(item)
        if outcome.credential is not None:
            self._besides.append(partial(self._keep, outcome.credential))
        if row.facts.get("delayed"):
            self._post("fixed", key=f"{self.run.pk}:{spec.stage}", stage=spec.stage)

    def _keep(self, credential: NewCredential) -> None:
        Credential.objects.update_or_create(
            provision=self.provision,
            kind=credential.kind,
            defaults={
                "student_id": self.provision.student_id,
                "login": credential.login,
                "password": credential.password,
            },
        )

    def _wait(self, spec: StepSpec, row: Step, outcome: Wait, now: VendorInstant) -> bool:
        if row.waits_on in PEOPLE and outcome.on not in PEOPLE and row.facts.get("code") != TOO_SLOW:
            # The person is done. The time that took is not the platform's.
            self._close_items(row)
            row.facts = {name: fact for name, fact in row.facts.items() if name not in ("code", "question")}
            row.opened_at = now
        if outcome.on is WaitsOn.PLATFORM and row.opened_at is not None:
            waited = clock.seconds_between(row.opened_at, now)
            if waited > spec.deadline:
                return self._give_up(spec, row, outcome, now)
            self._note_delay(spec, row, waited)
        if outcome.on is WaitsOn.FUNDS:
            self._besides.append(partial(self._alert_of_short_wallet, outcome.why))
        row.facts = {**{name: fact for name, fact in row.facts.items() if name != "firm"}, **FIRM[outcome.firm]}
        if outcome.cause:
            row.facts = {**row.facts, "cause": outcome.cause}
        row.next_attempt_at = clock.later(now, max(1.0, outcome.seconds))
        self._move(row, StepState.WAITING, waits_on=outcome.on, why=outcome.why)
        item = self._item(spec, row)
        begins = item is not None and spec.begins and item.state != spec.begins
        if item is not None and (begins or outcome.facts):
            self._begin_item(spec, item, outcome.facts)
        return False

    def _begin_item(self, spec: StepSpec, item: Domain | Mailbox, facts: Mapping[str, Any]) -> None:
        """Note what was seen of an item that a step works on, and that it does."""
        item.state = spec.begins or item.state
        item.facts = {**item.facts, **facts}
        self._note(item)

    def _alert_of_short_wallet(self, why: str) -> None:
        # One wallet is short, however many orders wait for it: the first one alerts, the others are listed.
        known = OperatorItem.objects.filter(kind="wallet_short", resolved_at__isnull=True).exists()
        sentence = f"{self.provision.reference} waits for money: {why}"
        OperatorItem.open(
            "wallet_short", key=str(self.run.pk), sentence=sentence, provision=self.provision, alert=not known
        )

    def _give_up(self, spec: StepSpec, row: Step, outcome: Wait, now: VendorInstant) -> bool:
        if spec.gives_up_to is GivesUpTo.SET_ASIDE:
            self._fail(spec, row, Failed(TOO_SLOW, outcome.why or "The platform did not finish this in time."))
            return True
        why = f"{spec.label} takes longer than {spec.deadline / HOUR:.0f} hours: {outcome.why}"
        self._ask_operator(spec, row, NeedsOperator(TOO_SLOW, why), now, look_again=HOUR)
        return False

    def _ask_student(self, spec: StepSpec, row: Step, outcome: NeedsStudent, now: VendorInstant) -> None:
        item = self._item(spec, row)
        number = f":{outcome.notice}" if outcome.notice else ""
        key = outcome.letter or f"{row.pk}:{outcome.question}{number}"
        self._post(outcome.mail, key=key, item=str(item or ""), notice=outcome.notice)
        if row.facts.get("code") not in (None, outcome.code):
            self._close_items(row)
        asks = {"question": outcome.question} | ({"code": outcome.code} if outcome.code else {})
        asks |= {"cause": outcome.cause} if outcome.cause else {}
        row.facts = {name: fact for name, fact in row.facts.items() if name != "code"} | asks
        if outcome.code:
            self._alert(
                questions.KIND,
                key=questions.key_of(self.run.pk, spec.key, outcome.code),
                sentence=f"{self.provision.reference}, {spec.label}: {outcome.why}",
                code=outcome.code,
            )
        if item is not None:
            self._begin_item(spec, item, outcome.facts)
        row.next_attempt_at = clock.later(now, outcome.look_again or ASK_AGAIN)
        self._move(row, StepState.WAITING, waits_on=WaitsOn.STUDENT, why=outcome.why or outcome.question)

    def _ask_operator(
        self, spec: StepSpec, row: Step, outcome: NeedsOperator, now: VendorInstant, *, look_again: float = HOUR
    ) -> None:
        sentence = f"{self.provision.reference}, {spec.label}: {outcome.why}"
        if row.facts.get("code") != outcome.code:
            self._close_items(row)
        self._alert(
            questions.KIND,
            key=questions.key_of(self.run.pk, spec.key, outcome.code),
            sentence=sentence,
            code=outcome.code,
        )
        row.facts = {**row.facts, "code": outcome.code}
        if outcome.facts and (item := self._item(spec, row)) is not None:
            self._begin_item(spec, item, outcome.facts)
        row.next_attempt_at = clock.later(now, look_again)
        self._move(row, StepState.WAITING, waits_on=WaitsOn.OPERATOR, why=outcome.why)

    def _fail(self, spec: StepSpec, row: Step, outcome: Failed) -> None:
        row.failure_code, row.failure_sentence = outcome.code[:40], outcome.sentence[:300]
        self._close_items(row)
        self._move(row, StepState.FAILED, finished=True, why=outcome.sentence)
        if spec.scope is Scope.RUN:
            self._fail_run(outcome)
        else:
            self.set_aside(row.item_key, outcome.sentence)
            what = f"{self.provision.reference}, {spec.label}: {self._item(spec, row)}"
            self._alert("set_aside", key=str(row.pk), sentence=f"{what}: {outcome.sentence}")

    def _lose(self, spec: StepSpec, row: Step, outcome: Lost, now: VendorInstant) -> bool:
        domain = self.wave.domains[row.item_key]
        spare = substitution.next_spare(self.provision, besides=self._taken)
        if spare is None:
            self._ask_student(spec, row, NeedsStudent("choose_replacement", outcome.sentence), now)
            return False
        row.failure_code, row.failure_sentence = "name_lost", outcome.sentence[:300]
        self._close_items(row)
        self._move(row, StepState.FAILED, finished=True, why=outcome.sentence)
        self._taken.add(spare.pk)
        self._besides += [self._substitute(domain, spare, outcome.sentence), self.reload]
        return True

    def _substitute(self, lost: Domain, spare: Domain, reason: str) -> Callable[[], object]:
        return partial(substitution.replace, self.run, lost, spare, steps=self.wave.stack.steps, reason=reason)

    # ---- the run -----------------------------------------------------------------------------------------------------

    def set_aside(self, item_key: str, sentence: str) -> None:
        """Take an item out of the wave: its open rows are skipped, with the reason; so are its mailboxes'."""
        keys = [item_key, *self.wave.mailboxes_of(item_key)]
        self.wave.dead.add(item_key)
        for key in keys:
            item = self.wave.domains.get(key) or self.wave.mailboxes.get(key)
            # What works, works on when a change of its records was refused.
            works_on = isinstance(item, Domain) and self.run.kind == RunKind.CHANGE
            if item is not None and not works_on:
                item.state = DomainState.FAILED if isinstance(item, Domain) else MailboxState.FAILED
                item.reason = sentence[:300]
                self._note(item)
        for (_, key), row in self.wave.rows.items():
            if key in keys and row.state in OPEN_STEP:
                self._close_items(row)
                self._move(row, StepState.SKIPPED, finished=True, why=sentence)

    def _fail_run(self, outcome: Failed) -> None:
        self.run.failure_code, self.run.failure_sentence = outcome.code[:40], outcome.sentence[:300]

    def finish(self) -> None:
        """Close a run whose every row is closed."""
        ending, exceptions = self.wave.stack.ending, self.has_exceptions()
        self._post(ending.missing if exceptions else ending.ready, key=str(self.run.pk))
        becomes, changes = ending.partly if exceptions else ending.done, {}
        if becomes is not None:
            changes = {"state": becomes, "parked_reason": "", **_stamps(self.provision, becomes)}
        if ending.act is not None:
            self._besides.append(partial(ending.act, self.run))
        self._close_run(RunState.DONE, **changes)

    def fail(self, outcome: Failed) -> None:
        """Close a run that cannot go on. What was built stays; a retry continues at the failed step."""
        self._fail_run(outcome)
        sentence = f"{self.provision.reference} failed: {outcome.sentence}"
        self._alert("run_failed", key=str(self.run.pk), sentence=sentence)
        ending = self.wave.stack.ending
        self._post(ending.trouble, key=f"{self.run.pk}:{self.run.token}", sentence=outcome.sentence)
        becomes = {"state": ending.failed, "parked_reason": ParkedReason.NEEDS_OPERATOR} if ending.failed else {}
        self._close_run(RunState.FAILED, **becomes)

    def _close_run(self, becomes: RunState, /, **provision: Any) -> None:
        self.is_closed = True
        for name, value in provision.items():
            setattr(self.provision, name, value)
        if provision:
            self._note(self.provision, tuple(provision))
        self._resolve("run_crashes", str(self.run.pk), "The run came to its end.")
        self._event("run", from_state=RunState.RUNNING, to_state=becomes)
        self._commit(
            lease=None,
            state=becomes,
            finished_at=timezone.now(),
            next_attempt_at=None,
            waits_on="",
            why="",
            crashes=0,
            failure_code=self.run.failure_code,
            failure_sentence=self.run.failure_sentence,
        )

    def release(self, now: VendorInstant) -> None:
        """Give the run back until its next row is due."""
        open_rows = [
            row
            for spec in self.wave.stack.steps
            for row in self.wave.open_rows(spec)
            if self.wave.is_ready(spec, row.item_key)
        ]
        due = [row.next_attempt_at or now for row in open_rows]
        reason, state = parked(open_rows)
        waiting = [row for row in open_rows if row.state == StepState.WAITING]
        # What the next wake-up is for: the tick rings by it when a budget is what is missing.
        # What lets others go first does not hide that another row is without a permit.
        waits = min(waiting, key=lambda row: (LEISURE_SINCE in row.facts, row.next_attempt_at or now), default=None)
        if self.wave.stack.ending.done is not None:  # a change to what is up and running parks nothing
            self.provision.parked_reason = reason
            self._note(self.provision, ("parked_reason",))
        self._commit(
            lease=None,
            changes_page=False,
            state=state,
            next_attempt_at=min(due, default=clock.later(now, HOUR)),
            waits_on=waits.waits_on if waits else "",
            why=waits.why if waits else "",
            crashes=0,
        )

    # ---- small things ------------------------------------------------------------------------------------------------

    def reload(self) -> None:
        """Read the rows again after they were rearranged."""
        self.provision.refresh_from_db()
        fresh = load_wave(self.run, self.provision, self.wave.stack)
        self.wave.__dict__.update(fresh.__dict__)

    def has_exceptions(self) -> bool:
        """Tell whether something that was ordered is missing. A lost name whose place a spare took is not missing."""
        failed = any(
            self.wave.domains[key].state != DomainState.LOST for key in self.wave.dead & set(self.wave.domains)
        )
        return failed or any(not self.wave.is_live(key) for key in self.wave.mailboxes)

    def _item(self, spec: StepSpec, row: Step) -> Domain | Mailbox | None:
        if spec.scope is Scope.DOMAIN:
            return self.wave.domains[row.item_key]
        if spec.scope is Scope.MAILBOX:
            return self.wave.mailboxes[row.item_key]
        return None

    def _state_of(self, row: Step, state: DomainState | MailboxState) -> DomainState | MailboxState:
        """Return the state that an item is in once a row is done: a later step may have been done by hand before it."""
        for spec in self.wave.stack.steps:
            later = self.wave.rows.get((spec.key, row.item_key))
            if later is not None and spec.ends and later.position > row.position and later.state == StepState.COMPLETED:
                state = spec.ends
        return state

    def _close_items(self, row: Step) -> None:
        """Close what was opened for a person, now that the row goes on."""
        because, code = "The step went on by itself.", row.facts.get("code")
        others = [other for other in self.wave.rows.values() if other is not row]
        if code and not questions.is_asked(others, row.key, code):
            self._resolve(questions.KIND, questions.key_of(self.run.pk, row.key, code), because)
        short = [other for other in self.wave.rows.values() if other.waits_on == WaitsOn.FUNDS]
        if short == [row]:  # one alert for the run, until nothing of it waits for money
            self._resolve("wallet_short", str(self.run.pk), because)

    def _resolve(self, kind: str, key: str, resolution: str) -> None:
        self._resolved.setdefault(resolution, []).append(OperatorItem.key_of(kind, key))

    def _alert(self, kind: str, *, key: str, sentence: str, **details: Any) -> None:
        provision = self.provision
        self._besides.append(
            partial(OperatorItem.open, kind, key=key, sentence=sentence, provision=provision, **details)
        )

    def _post(self, kind: str, *, key: str, **details: Any) -> None:
        if not kind:
            return
        self._mails.append(Mail.written(kind, key=key, provision=self.provision, **details))

    def _note_delay(self, spec: StepSpec, row: Step, waited: float) -> None:
        late = waited > max(LATE_AT_LEAST, LATE_FACTOR * spec.usual[1])
        if late and spec.stage and not row.facts.get("delayed"):
            row.facts = {**row.facts, "delayed": True}
            self._post("delayed", key=f"{self.run.pk}:{spec.stage}", stage=spec.stage)

    def _move(self, row: Step, state: StepState, *, finished: bool = False, waits_on: str = "", why: str = "") -> None:
        before = row.state
        changed = before != state or row.waits_on != waits_on
        row.state, row.waits_on, row.why = state, waits_on, why[:300]
        if finished:
            row.finished_at, row.next_attempt_at = timezone.now(), None
        self._note(row)
        if changed:
            item = self.wave.domains.get(row.item_key) or self.wave.mailboxes.get(row.item_key)
            self._event("step", step_key=row.key, item=str(item or ""), from_state=before, to_state=state, sentence=why)

    def _event(self, kind: str, **fields: Any) -> None:
        fields["sentence"] = str(fields.get("sentence", ""))[:500]
        self._events.append(
            Event(provision=self.provision, run=self.run, student_id=self.provision.student_id, kind=kind, **fields)
        )


def take_dates(domain: Domain, facts: Mapping[str, Any]) -> None:
    """Take the dates that a step has learnt into the domain's columns."""
    if "bought" in facts:
        domain.bought_at = domain.bought_at or timezone.now()
    if "connected" in facts:
        domain.connected_at = domain.connected_at or timezone.now()
    with contextlib.suppress(ValueError):  # the platform's dates come in many shapes; an odd one is only not shown
        day = parse_date(str(facts.get("expires_on") or "")[:10])
        if day:
            domain.expires_at = datetime(day.year, day.month, day.day, tzinfo=UTC)


FIRM: Mapping[bool, Mapping[str, bool]] = {True: {"firm": True}, False: {}}

PARKED_BY = (
    ("choice", ParkedReason.NEEDS_CHOICE),
    (WaitsOn.STUDENT, ParkedReason.NEEDS_STUDENT),
    (WaitsOn.FUNDS, ParkedReason.WAITING_FUNDS),
    (WaitsOn.OPERATOR, ParkedReason.NEEDS_OPERATOR),
    (WaitsOn.PLATFORM, ParkedReason.WAITING_VENDOR),
    (WaitsOn.BUDGET, ParkedReason.WAITING_VENDOR),
)


def _stamps(provision: Provision, becomes: ProvisionState) -> dict[str, datetime]:
    """Return what else an order notes when it comes into a state."""
    if becomes == ProvisionState.CANCELLED:
        return {"cancelled_at": timezone.now()}
    return {"ready_at": provision.ready_at or timezone.now()}


def parked(open_rows: Iterable[Step]) -> tuple[str, RunState]:
    """Return why a provision does not move, and whether its run is parked (only people can move it) or waiting."""
    waiting = [row for row in open_rows if row.state == StepState.WAITING]
    waits = {row.waits_on for row in waiting}
    chooses = {"choice" for row in waiting if row.facts.get("question") == "choose_replacement"}
    reason = next((reason for on, reason in PARKED_BY if on in waits | chooses), "")
    return reason, RunState.PARKED if waits and waits <= PEOPLE else RunState.WAITING


STEPS_OF = Lookup(lambda run: Step.objects.filter(run=run).order_by("position", "created_at"))
DOMAINS_OF = Lookup(lambda order: Domain.objects.filter(provision=order).order_by("position", "created_at"))
MAILBOXES_OF = Lookup(lambda order: Mailbox.objects.filter(provision=order).order_by("domain__position", "position"))


def load_wave(run: Run, provision: Provision, stack: StackSpec) -> Wave:
    """Read the rows of a run, and the items that they are about."""
    steps, domains, mailboxes = STEPS_OF(run.pk), list[Domain](), list[Mailbox]()
    if any(step.item_key for step in steps):
        domains, mailboxes = DOMAINS_OF(provision.pk), MAILBOXES_OF(provision.pk)
    for step in steps:
        step.run = run
    for domain in domains:
        domain.provision = provision
    for mailbox in mailboxes:
        mailbox.provision = provision
    return Wave(stack, steps, domains, mailboxes)
