"""Reads that pages, API and admin share: where a set-up stands, in the student's stages."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Avg, F

from infra import troubles
from infra.models import Origin, Provision, ProvisionState, RunState, StepState
from infra.troubles import Trouble

from .engine.accounts import UPDATE_KEY
from .engine.entries import ASKED
from .engine.outcomes import PEOPLE
from .engine.specs import SETUP, Scope, StackSpec, Stage, StepSpec
from .models import BUILDS, NOT_BUILT, OPEN_STEP, Event, Run, Step
from .stacks import STACKS, pipeline_of


@dataclass(frozen=True, slots=True)
class ItemStatus:
    """One domain or mailbox within a stage. `state` is todo, doing, waiting, done, failed or skipped; `trouble` is what is
    in its way."""

    key: str
    name: str
    kind: str
    state: str
    waits_on: str = ""
    why: str = ""
    question: str = ""
    trouble: Trouble | None = None


@dataclass(frozen=True, slots=True)
class StageStatus:
    """One of the student's stages. `usual_seconds` is (from, to) in vendor seconds; `trouble` is the worst of its rows'."""

    key: str
    title: str
    doing: str
    state: str
    done: int
    total: int
    started_at: datetime | None
    finished_at: datetime | None
    usual_seconds: tuple[float, float]
    waits_on: str = ""
    why: str = ""
    items: tuple[ItemStatus, ...] = ()
    trouble: Trouble | None = None


@dataclass(frozen=True, slots=True)
class Status:
    """Where a set-up stands. `version` changes whenever a page would."""

    version: int
    state: str
    reason: str
    reference: str
    stages: tuple[StageStatus, ...]
    run_state: str = ""
    failure: str = ""
    checked_at: datetime | None = None
    questions: tuple[ItemStatus, ...] = field(default=())


def building_run(provision: Provision) -> Run | None:
    """Return the newest run that builds a provision; None before it is paid."""
    return provision.runs.filter(kind__in=BUILDS).order_by("-created_at").first()


def status_of(provision: Provision) -> Status:
    """Return the status of a provision in two queries. Reads only rows that the student may see."""
    run = building_run(provision)
    if run is None:
        return Status(0, provision.state, provision.parked_reason, provision.reference, ())
    stack = pipeline_of(run)
    rows: dict[str, list[Step]] = defaultdict(list)
    for row in run.steps.select_related("domain", "mailbox"):
        rows[row.key].append(row)
    dead = {row.item_key for group in rows.values() for row in group if row.item_key and row.state == StepState.FAILED}
    stages = _in_turn([_stage(stage, stack, rows, run, dead) for stage in stack.stages])
    return Status(
        version=run.version,
        state=provision.state,
        reason=provision.parked_reason,
        reference=provision.reference,
        stages=stages,
        run_state=run.state,
        failure=run.failure_sentence,
        checked_at=run.updated_at,
        questions=tuple(item for stage in stages for item in stage.items if item.question),
    )


def _in_turn(stages: Sequence[StageStatus]) -> tuple[StageStatus, ...]:
    """Say of a stage that it has not begun while what it is about has yet to come out of those before it: what is made for
    it meanwhile, a login for instance, is no news for a student as long as nobody is needed for it."""
    told: list[StageStatus] = []
    for one in stages:
        is_early = any(before.state not in ("done", "skipped") for before in told)
        is_idle = bool(one.items) and all(item.state == "todo" for item in one.items)
        goes_well = one.waits_on not in PEOPLE and one.trouble is None
        if one.state in ("doing", "waiting") and is_early and is_idle and goes_well:
            one = replace(one, state="todo", started_at=None, waits_on="", why="")
        told.append(one)
    return tuple(told)


def _stage(stage: Stage, stack: StackSpec, rows: dict[str, list[Step]], run: Run, dead: set[str]) -> StageStatus:
    specs = [spec for spec in stack.steps if spec.stage == stage.key]
    if not specs:  # payment: a run exists, so it is paid
        return StageStatus(
            stage.key, str(stage.title), str(stage.doing), "done", 1, 1, run.paid_at, run.paid_at, (0, 60)
        )
    mine = [row for spec in specs for row in rows[spec.key]]
    open_rows = [row for row in mine if row.state in OPEN_STEP and row.item_key not in dead]
    of_items = [row for row in mine if row.item_key and row.started_at] or mine
    started = min((row.started_at for row in of_items if row.started_at), default=None)
    finished = max((row.finished_at for row in mine if row.finished_at), default=None)
    waiting = next((row for on in WORST_FIRST for row in open_rows if row.waits_on == on), None)
    return StageStatus(
        key=stage.key,
        title=str(stage.title),
        doing=str(stage.doing),
        state=_stage_state(mine, open_rows, run, dead),
        done=len(mine) - len(open_rows),
        total=len(mine),
        started_at=started,
        finished_at=finished if not open_rows else None,
        usual_seconds=_usual([spec for spec in specs if rows[spec.key]]),
        waits_on=waiting.waits_on if waiting else "",
        why=waiting.why if waiting else "",
        items=_items(specs, rows),
        trouble=_trouble(waiting, specs) if waiting else None,
    )


WORST_FIRST = ("student", "operator", "funds", "platform", "budget")


def _usual(specs: Sequence[Any]) -> tuple[float, float]:
    # Steps of one stage follow each other for an item, so their usual times add up.
    return sum(spec.usual[0] for spec in specs), sum(spec.usual[1] for spec in specs)


def _stage_state(mine: Sequence[Step], open_rows: Sequence[Step], run: Run, dead: set[str]) -> str:
    if not open_rows:
        # A stage with items is done when an item came through it; the steps of the whole run alone prove nothing.
        proofs = [row for row in mine if row.item_key] or mine
        if any(row.state == StepState.COMPLETED and row.item_key not in dead for row in proofs):
            return "done"
        if any(row.state == StepState.FAILED for row in mine):
            return "failed"
        # What came through here and was lost later was not left out.
        return "done" if any(row.state == StepState.COMPLETED for row in mine if row.item_key) else "skipped"
    if run.state == RunState.CANCELLED:
        return "skipped"
    if run.state == RunState.FAILED and any(row.state == StepState.FAILED for row in mine):
        return "failed"
    if any(row.state == StepState.WAITING for row in open_rows):
        return "waiting"
    begun = any(row.state != StepState.PENDING for row in mine)
    return "doing" if begun and run.state != RunState.FAILED else "todo"


def _items(specs: Sequence[StepSpec], rows: dict[str, list[Step]]) -> tuple[ItemStatus, ...]:
    by_item: dict[str, list[Step]] = defaultdict(list)
    for spec in specs:
        if spec.scope is not Scope.RUN:
            for row in rows[spec.key]:
                by_item[row.item_key].append(row)
    found = [_item(group, specs) for group in by_item.values()]
    return tuple(sorted(found, key=lambda item: item.name))


# Questions that stand where a code would, because a student answers them; the other questions are the usual way.
ASKED_BECAUSE = {"choose_replacement": "name_lost", UPDATE_KEY: UPDATE_KEY, ASKED: ASKED}


def _trouble(row: Step, specs: Sequence[StepSpec]) -> Trouble | None:
    """Return what is in a row's way; None where it only takes its usual course."""
    code = row.failure_code
    if row.state == StepState.WAITING:
        code = row.facts.get("cause") or ASKED_BECAUSE.get(row.facts.get("question", ""), "")
        code = code or (row.facts.get("code", "") if row.waits_on in PEOPLE else "")
    platform = next((spec.asks for spec in specs if spec.key == row.key), "")
    return troubles.of(str(code), step=row.key, platform=platform)


def _item(group: Sequence[Step], specs: Sequence[StepSpec]) -> ItemStatus:
    first = group[0]
    subject = first.domain or first.mailbox
    failed = next((row for row in group if row.state == StepState.FAILED), None)
    open_row = next((row for row in group if row.state in OPEN_STEP), None)
    if failed is not None:
        state, row = "failed", failed
    elif open_row is None:
        state = "done" if all(row.state == StepState.COMPLETED for row in group) else "skipped"
        row = group[-1]
    else:
        row = open_row
        begun = row is not first or row.state == StepState.IN_PROGRESS
        state = "waiting" if row.state == StepState.WAITING else "doing" if begun else "todo"
    return ItemStatus(
        key=first.item_key,
        name=str(subject),
        kind="domain" if first.domain_id else "mailbox",
        state=state,
        waits_on=row.waits_on if state == "waiting" else "",
        why=row.failure_sentence or row.why,
        question=row.facts.get("question", "") if state == "waiting" else "",
        trouble=_trouble(row, specs) if state in ("waiting", "failed") else None,
    )


@dataclass(frozen=True, slots=True)
class DomainStatus:
    """A domain of an order with its mailboxes, over all stages.

    state   of all of it together: failed where one part has failed, done where every part is; skipped is left out
    lead    the part that decides it, the domain or a mailbox
    since   when the step began that the lead stands at, or when the lead came to its end; None before anything began
    """

    name: str
    state: str
    lead: ItemStatus
    since: datetime | None
    mailboxes: tuple[ItemStatus, ...]


FAILED_FIRST = ("failed", "waiting", "doing", "todo", "done", "skipped")


def domains_of(run: Run) -> list[DomainStatus]:
    """Return the domains that a run builds, failed ones first, in one query."""
    parts: dict[str, dict[str, list[Step]]] = defaultdict(lambda: defaultdict(list))
    rows = run.steps.exclude(item_key="").select_related("domain", "mailbox__domain")
    names: dict[str, str] = {}
    for row in rows:
        domain = row.domain or (row.mailbox.domain if row.mailbox else None)
        if domain is not None:
            names[str(domain.pk)] = domain.name
            parts[str(domain.pk)][row.item_key].append(row)
    specs = pipeline_of(run).steps
    found = [_domain(key, names[key], groups, specs) for key, groups in parts.items()]
    return sorted(found, key=lambda one: (FAILED_FIRST.index(one.state), one.lead.waits_on != "student", one.name))


def _domain(key: str, name: str, groups: dict[str, list[Step]], specs: Sequence[StepSpec]) -> DomainStatus:
    parts = {item: _whole(group, specs) for item, group in groups.items()}
    own = parts.get(key)
    is_left_out = own is not None and own.state == "skipped"
    states = {"skipped"} if is_left_out else {part.state for part in parts.values()}
    state = next((one for one in FAILED_FIRST if one in states), "todo")
    if state == "todo" and "done" in states:
        state = "doing"  # one part is ready, another has not begun
    leads = [part for part in parts.values() if part.state == state] or list(parts.values())
    lead = (
        own if own is not None and is_left_out else next((one for one in leads if one.waits_on == "student"), leads[0])
    )
    boxes = sorted((part for part in parts.values() if part.kind == "mailbox"), key=lambda one: one.name)
    return DomainStatus(name, state, lead, _since(groups[lead.key]), tuple(boxes))


def _whole(group: Sequence[Step], specs: Sequence[StepSpec]) -> ItemStatus:
    """Return the status of an item over all its steps; what was given up is left out."""
    found = _item(group, specs)
    if any(row.state == StepState.FAILED and row.failure_code in NOT_BUILT for row in group):
        return replace(found, state="skipped", trouble=None)
    return found


def _since(group: Sequence[Step]) -> datetime | None:
    finished = max((row.finished_at for row in group if row.finished_at), default=None)
    at = next((row for row in group if row.state in OPEN_STEP), None)
    return (at.started_at if at is not None else None) or finished


MEASURED_RUNS = 100


def measured_usual(stack_key: str) -> dict[str, timedelta]:
    """Return how long each stage took on average in the newest finished runs; empty while there are none."""
    stack = STACKS[stack_key]
    newest = Run.objects.filter(stack=stack_key, pipeline=SETUP, state=RunState.DONE).order_by("-finished_at")[
        :MEASURED_RUNS
    ]
    rows = (
        Step.objects.filter(run__in=newest.values("pk"), state=StepState.COMPLETED, started_at__isnull=False)
        .values("key")
        .annotate(took=Avg(F("finished_at") - F("started_at")))
    )
    took = {row["key"]: row["took"] for row in rows}
    found: dict[str, timedelta] = {}
    for spec in stack.steps:
        if spec.key in took and spec.origin != Origin.OWN:  # few orders have domains that wait for their owner
            found[spec.stage] = found.get(spec.stage, timedelta()) + took[spec.key]
    return found


def student_log(provision: Provision, limit: int = 50) -> list[Event]:
    """Return the newest events of a provision, for the student's log."""
    return list(provision.events.order_by("-created_at", "-id")[:limit])


def is_being_built(provision: Provision) -> bool:
    """Tell whether a provision is between payment and readiness."""
    return provision.state in (ProvisionState.PROVISIONING, ProvisionState.UPGRADING)


def set_aside(run: Run) -> list[str]:
    """Return the domains and mailboxes that a run could not do its work for, by name."""
    failed = run.steps.filter(state=StepState.FAILED).exclude(item_key="").select_related("domain", "mailbox")
    return sorted({str(step.domain or step.mailbox) for step in failed})
