"""Plays runs in which calls meet faults, and reads off our rows what each fault was taken for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from infra import clock
from infra.models import OperationState, OperatorItem, StepState
from integrations.http.call import Call, Raw
from integrations.http.transport import Transport
from integrations.sandbox.faults import Fault
from provisioning import actions
from provisioning.engine import failpoints
from provisioning.engine.entries import ASKED
from provisioning.models import Circuit, Operation, OperationItem, Step
from tests.integration.stories.kit import Story, describe

from .fault_table import ADVICE_IN_THE_BODY, PLAIN_WAIT, WAYS_ROUND, Read, Row, Write, meant
from .figures import Figures
from .scenes import HOURS, Scene, Seen, put_on_the_line

STATES = {
    OperationState.DONE: Write.DONE,
    OperationState.CAPTURED: Write.ACCEPTED,
    OperationState.UNKNOWN: Write.UNKNOWN,
    OperationState.REJECTED: Write.REJECTED,
}


# Asked for by the transport on behalf of a call: what becomes of it is that call's answer (tests/unit/integrations).
ON_THE_WAY = frozenset({"google_workspace.access_token"})
# What the student hears of a run that only took longer, and what the operator does.
LETTERS = frozenset({"ready", "delayed", "fixed", "nameservers"})
ALERTS = frozenset({"operator_circuit", "operator_step", "operator_set_aside"})


@dataclass
class Cell:
    """One call that meets one fault.

    call, operation   of the first request that met it
    is_missing        what it asked for was not there, which needs no readable answer
    seen              what our rows took it for
    wait              vendor seconds after which the step is tried again
    """

    target: Seen
    row: Row
    fault: Fault
    call: Call[Any] | None = None
    operation: Any = None
    is_missing: bool = False
    seen: Write | Read | None = None
    wait: float = 0.0

    def __str__(self) -> str:
        return f"{self.target} x {self.row.name}"

    def wrong(self) -> str:
        """Return what our rows should have said; nothing when they said it."""
        assert self.call is not None
        expected: set[Write | Read] = set(self.row.write(self.call) if self.call.is_write else self.row.read or ())
        if self.is_missing and self.row.fault["kind"] != "status":
            expected |= {Read.SEEN}
        if self.call.request.grant is not None and self.row.fault.get("status") == 401:
            expected |= {Write.NOT_SENT, Read.AGAIN}  # an old token was refused: a new one is asked for first
        if self.seen not in expected:
            return f"{self}: taken for {self.seen}, not for {' or '.join(sorted(expected))}"
        wait = self.row.wait
        if wait == PLAIN_WAIT:
            wait = ADVICE_IN_THE_BODY.get(self.call.platform, wait)
        if wait is not None and not wait - 1 <= self.wait <= wait + 1:
            return f"{self}: tried again after {self.wait:.0f} s, not after {wait:.0f}"
        return ""


@dataclass
class Watch:
    """Between a worker and the line: notices which request meets which fault, and reads our rows after it."""

    made: Story
    inner: Transport
    cells: Sequence[Cell]
    fresh: list[Cell] = field(default_factory=list)

    def send(self, call: Call[Any], *, send_before: float | None = None) -> Raw:
        met, is_missing = {cell.fault.id for cell in self.cells if cell.fault.drawn}, False
        try:
            raw = self.inner.send(call, send_before=send_before)
            is_missing = raw.status == 404 and not call.is_write
            return raw
        finally:
            for cell in self.cells:
                if cell.fault.drawn and cell.fault.id not in met and cell.call is None:
                    cell.call, cell.operation, cell.is_missing = call, self._operation(call), is_missing
                    self.fresh.append(cell)

    def _operation(self, call: Call[Any]) -> Any:
        if not call.is_write:
            return None
        mine = Operation.objects.filter(run=self.made.run, platform=call.platform, verb=call.verb)
        return mine.get(state=OperationState.INTENDED).pk

    def after(self, name: str, subject: Any) -> None:
        """Called at every failpoint: what became of a write is read off its outcome, before a step may read it back; the
        rest is read off a step's rows when they are written."""
        if name == "after_outcome":
            for cell in self.fresh:
                if cell.operation == subject.pk and cell.seen is None:
                    cell.seen = class_of_write(cell.operation)
        elif name == "after_record":
            for cell in self.fresh:
                self._read_off(cell, subject.key)
            self.fresh.clear()

    def _read_off(self, cell: Cell, step: str) -> None:
        rows = list(Step.objects.filter(run=self.made.run, key=step, state=StepState.WAITING))
        now = clock.vendor_now()
        slowed = [row for row in rows if row.facts.get("firm")] or rows
        cell.wait = min(
            (clock.seconds_between(now, row.next_attempt_at) for row in slowed if row.next_attempt_at), default=0
        )
        assert cell.call is not None
        if cell.seen is None:
            cell.seen = class_of_write(cell.operation) if cell.operation else class_of_read(cell.call, rows)


def class_of_write(operation: Any) -> Write:
    """Return what our rows say became of a write. Its items say the same, unless they are settled already."""
    found = Operation.objects.get(pk=operation)
    if found.state == OperationState.NOT_DONE:
        return Write.NOT_SENT if found.status is None else Write.NOT_DONE
    assert set(found.items.values_list("state", flat=True)) == {found.state}
    return STATES[OperationState(found.state)]


def class_of_read(call: Call[Any], rows: Sequence[Step]) -> Read:
    """Return what our rows say of a step whose read failed."""
    stopped = Circuit.objects.filter(platform=call.platform, is_open=True, reason="credentials").exists()
    on_operator = [row for row in rows if row.waits_on == "operator"]
    if on_operator and stopped:
        return Read.STOPPED
    if any(row.facts.get("code") != ASKED for row in on_operator):
        return Read.PERSON
    if any(row.facts.get("firm") for row in rows):  # first: what another read of the step met before is still counted
        return Read.ADVISED
    return Read.AGAIN if any(row.errors for row in rows) else Read.SEEN


# ---- playing ---------------------------------------------------------------------------------------------------------


@contextmanager
def watched(made: Story, cells: Sequence[Cell]) -> Iterator[None]:
    """Watch the line of a story while it is played."""
    watch: list[Watch] = []

    def between(inner: Transport) -> Transport:
        watch.append(Watch(made, inner, cells))
        return watch[0]

    put_on_the_line(made, between)
    failpoints.set_hook(watch[0].after)
    try:
        yield
    finally:
        failpoints.set_hook(None)


def play(scene: Scene, wanted: Sequence[tuple[Seen, Row]], *, seed: int = 1, **world: Any) -> tuple[Story, list[Cell]]:
    """Play a scene in which calls meet faults, to its end; a person retries what was refused. Return it, and what met."""
    made = scene.begin(seed=seed, **world)
    cells = [Cell(target, meant(target, row), add(made, target, row)) for target, row in wanted]
    with watched(made, cells):
        while not made.has_ended() or asked_for(made):
            made.play(lambda: made.has_ended() or bool(asked_for(made)), hours=HOURS)
            if asked_for(made):
                retry(made, cells)
    return made, cells


def add(made: Story, target: Seen, row: Row) -> Fault:
    values = {"platform": target.platform, "verb": target.verb, "times": row.times, **row.fault}
    return made.sandbox.faults.add(values.pop("kind"), **values)


def asked_for(made: Story) -> list[OperatorItem]:
    """Return what a person has to decide at the moment. An open circuit closes by itself."""
    return list(decisions(made).filter(resolved_at__isnull=True))


def decisions(made: Story) -> Any:
    """Return what a person had to decide. What only has to be made at a platform and typed in is no trouble."""
    return made.decisions().filter(provision=made.provision)


def retry(made: Story, cells: Sequence[Cell]) -> None:
    """The operator has looked at it and lets it be tried again."""
    made.refresh()
    assert any(cell.row.refuses and cell.call for cell in cells), describe(made.run)
    actions.retry_failed_step(run=made.run, actor="operator", reason="the platform takes it now")


# ---- judging ---------------------------------------------------------------------------------------------------------


def judge(made: Story, cells: Sequence[Cell], figures: Figures) -> None:
    """Assert that every fault that was met was taken for what it is, and that the order stands as if nothing had
    happened."""
    cells = [cell for cell in cells if cell.call is not None]
    wrong = [sentence for cell in cells if (sentence := cell.wrong())]
    assert not wrong, "; ".join(wrong)
    made.check(quotas=False)
    assert not made.provision.domains.filter(state="lost").exists(), "a name was given up"
    assert set(made.mails()) <= LETTERS | ALERTS, f"letters that nobody needs: {dict(made.mails())}"
    people = decisions(made).count()
    expected = sum(needs_a_person(cell) for cell in cells)
    assert people == expected, f"{people} items for a person, not {expected}: {[str(cell) for cell in cells]}"
    figures.add("fault_runs")
    figures.see("calls in fault runs", *(call for call in made.calls() if call not in ON_THE_WAY))
    for cell in cells:
        count(made, cell, figures)


def needs_a_person(cell: Cell) -> bool:
    """Tell whether a refusal is one that nobody but a person can answer. What was not done is asked for otherwise."""
    ways = WAYS_ROUND.get(str(cell.target), {})
    return cell.row.refuses and cell.seen is not Write.NOT_DONE and cell.row.fault["status"] not in ways


def count(made: Story, cell: Cell, figures: Figures) -> None:
    figures.add("fault_cells")
    figures.add(f"fault_{'write' if cell.operation else 'read'}_{cell.seen}")
    figures.see("calls that met faults", str(cell.target))
    if cell.seen is Write.UNKNOWN:
        for fate in fates(cell):
            figures.add(f"fault_unknown_then_{fate}")


def fates(cell: Cell) -> Counter[str]:
    """Return what became of the things whose outcome was unknown."""
    fate: Counter[str] = Counter()
    for item in OperationItem.objects.filter(operation=cell.operation):
        if item.state == OperationState.DONE:
            fate["adopted"] += 1
        elif item.state == OperationState.ABSENT:
            again = OperationItem.objects.filter(
                platform=item.platform, verb=item.verb, natural_key=item.natural_key, created_at__gt=item.created_at
            )
            fate["absent_then_sent_again" if again.exists() else "absent"] += 1
    return fate
