"""Which items are ready for which step: a wavefront, not a barrier. Pure bookkeeping over the rows of one run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from infra.clock import VendorInstant, later, seconds_between
from infra.models import Domain, Mailbox, StepState

from ..models import OPEN_STEP, Step
from .outcomes import PEOPLE, WaitsOn
from .specs import Needs, Scope, StackSpec, StepSpec, before_each

CLOSED = (StepState.COMPLETED, StepState.SKIPPED)


class Wave:
    """The rows of a run, with the questions that the runner asks of them."""

    def __init__(
        self, stack: StackSpec, steps: Sequence[Step], domains: Sequence[Domain], mailboxes: Sequence[Mailbox]
    ) -> None:
        self.stack = stack
        self.rows = {(step.key, step.item_key): step for step in steps}
        # Spares and replaced domains have no open rows: the wave knows only what it was given rows for.
        with_rows = {step.item_key for step in steps}
        self.homes = {str(domain.pk): domain for domain in domains}  # also of mailboxes whose domain has no row
        self.domains = {str(domain.pk): domain for domain in domains if str(domain.pk) in with_rows}
        self.mailboxes = {str(mailbox.pk): mailbox for mailbox in mailboxes if str(mailbox.pk) in with_rows}
        self.home_of = {key: str(mailbox.domain_id) for key, mailbox in self.mailboxes.items()}
        self._before = before_each(stack.steps)
        self.dead = {step.item_key for step in steps if step.state == StepState.FAILED and step.item_key}

    # ---- items -------------------------------------------------------------------------------------------------------

    def is_live(self, item_key: str) -> bool:
        """Tell whether an item is still in the wave."""
        if item_key in self.dead:
            return False
        return self.home_of.get(item_key) not in self.dead

    def live(self, scope: Scope) -> list[str]:
        """Return the keys of the items of a scope that are still in the wave, in the student's order."""
        if scope is Scope.RUN:
            return [""]
        items = self.domains if scope is Scope.DOMAIN else self.mailboxes
        return [key for key in items if self.is_live(key)]

    def mailboxes_of(self, domain_key: str) -> list[str]:
        """Return the keys of a domain's mailboxes."""
        return [key for key, home in self.home_of.items() if home == domain_key]

    # ---- readiness ---------------------------------------------------------------------------------------------------

    def due(self, spec: StepSpec, now: VendorInstant) -> list[Step]:
        """Return the rows of a step whose turn it is now, and those that cost nothing to take along.

        A row that was held for its siblings goes with the first of them that goes, or when no more are coming. A row
        that would look at the platform a moment later looks with the others now.
        """
        ready = [row for row in self.open_rows(spec) if self.is_ready(spec, row.item_key)]
        due = [row for row in ready if row.next_attempt_at is None or row.next_attempt_at <= now]
        held = [row for row in ready if row.opened_at is None and not row.waits_on and row not in due]
        if held and (any(row.opened_at is None for row in due) or not self.expects_siblings(spec, now)):
            due += held
        if due:
            soon = later(now, spec.poll)
            due += [
                r
                for r in ready
                if r not in due and r.waits_on == WaitsOn.PLATFORM and (r.next_attempt_at or now) <= soon
            ]
        return due

    def gathers(self, spec: StepSpec, fresh: Sequence[Step], now: VendorInstant) -> bool:
        """Tell whether rows that a step has not yet attempted should wait for siblings: none has waited long enough."""
        waited_enough = any(row.next_attempt_at is not None and row.next_attempt_at <= now for row in fresh)
        return bool(spec.gather) and not waited_enough and self.expects_siblings(spec, now)

    def expects_siblings(self, spec: StepSpec, now: VendorInstant) -> bool:
        """Tell whether more items will soon be ready for a step: what holds them up takes no longer than usual."""
        for row in self.open_rows(spec):
            before = self._blocker(spec, row.item_key)
            if before is None or before.waits_on in PEOPLE:
                continue
            usual = self.stack.step(before.key).usual[1]
            if before.opened_at is None or seconds_between(before.opened_at, now) <= usual:
                return True
        return False

    def _blocker(self, spec: StepSpec, item_key: str) -> Step | None:
        """Return the first open row that an item has to pass before `spec`, or None when it is ready."""
        for earlier in self._before[spec.key]:
            for key in self._depends_on(earlier, spec.scope, item_key):
                row = self.rows.get((earlier.key, key))
                if row is not None and row.state not in CLOSED:
                    return row
        return None

    def open_rows(self, spec: StepSpec) -> Iterator[Step]:
        """Yield the unfinished rows of a step whose items are still in the wave."""
        for item_key in self.live(spec.scope):
            row = self.rows.get((spec.key, item_key))
            if row is not None and row.state in OPEN_STEP:
                yield row

    def is_ready(self, spec: StepSpec, item_key: str) -> bool:
        """Tell whether every step that `spec` waits for is closed for what this item depends on."""
        before = self._before[spec.key]
        if spec.scope is not Scope.RUN:  # the nearest first: what is not ready fails there, as a rule
            return all(self._closed_for_item(earlier, spec.scope, item_key) for earlier in reversed(before))
        run_steps = [earlier for earlier in before if earlier.scope is Scope.RUN]
        item_steps = [earlier for earlier in before if earlier.scope is not Scope.RUN]
        if not all(self._closed(earlier, "") for earlier in run_steps):
            return False
        if not item_steps:
            return True
        if spec.needs is Needs.ALL:
            return all(self._closed(earlier, key) for earlier in item_steps for key in self.live(earlier.scope))
        narrowest = item_steps[-1].scope
        return any(
            all(self._closed_for_item(earlier, narrowest, key) for earlier in item_steps)
            for key in self.live(narrowest)
        )

    def has_nothing_left(self) -> bool:
        """Tell whether every domain or every mailbox of the run has been set aside."""
        return bool(self.domains and not self.live(Scope.DOMAIN)) or bool(
            self.mailboxes and not self.live(Scope.MAILBOX)
        )

    def is_finished(self) -> bool:
        """Tell whether no row of a live item is open."""
        return not any(True for spec in self.stack.steps for _ in self.open_rows(spec))

    def _closed(self, spec: StepSpec, item_key: str) -> bool:
        row = self.rows.get((spec.key, item_key))
        return row is None or row.state in CLOSED

    def _closed_for_item(self, earlier: StepSpec, scope: Scope, item_key: str) -> bool:
        return all(self._closed(earlier, key) for key in self._depends_on(earlier, scope, item_key))

    def _depends_on(self, earlier: StepSpec, scope: Scope, item_key: str) -> Sequence[str]:
        """Return the keys whose rows of an earlier step an item of `scope` has to wait for."""
        if earlier.scope is Scope.RUN:
            return [""]
        if earlier.scope is scope:
            return [item_key]
        if earlier.scope is Scope.DOMAIN:  # a mailbox looks at its domain
            return [self.home_of[item_key]]
        return [key for key in self.mailboxes_of(item_key) if self.is_live(key)]
