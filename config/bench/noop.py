"""Our engine in the contest: a stack of ten steps that do nothing, known to the benchmark's own processes only."""

from __future__ import annotations

import time
import uuid
from datetime import timedelta

from django.core.management import call_command
from django.db import transaction
from django.utils import timezone

from infra import clock, rls
from infra.models import Mail, Provision, ProvisionState, RunState, StepState, User
from provisioning import stacks
from provisioning.engine import doorbell
from provisioning.engine.context import Context
from provisioning.engine.outcomes import Done, Outcomes
from provisioning.engine.specs import Scope, StackSpec, Stage, StepSpec
from provisioning.management.commands.worker import prepare
from provisioning.models import Event, Run, Step

from .chapter import BenchFailed, Numbers
from .rivals import STEPS, note_start, serve

CHUNK = 500
NEVER = timedelta(days=365)  # until when the runs wait that `start` makes due


def first(context: Context) -> Outcomes:
    """Do nothing, and say when."""
    note_start()
    return Done()


def nothing(context: Context) -> Outcomes:
    """Do nothing."""
    return Done()


NOOP = StackSpec(
    "noop",
    "Ten steps that do nothing",
    1,
    (Stage("all", "All", "All"),),
    tuple(StepSpec(f"step{n}", Scope.RUN, f"Step {n}", "all", nothing if n else first) for n in range(STEPS)),
)


def begin() -> None:
    """Make this process a worker that knows the stack."""
    stacks.VERSIONS[NOOP.key, NOOP.version] = NOOP
    rls.set_role("worker")


class Engine:
    """One worker process: what the queue's worker does when the bell rings, without the wait for the bell."""

    def prepare(self) -> None:
        prepare()
        make_runs(CHUNK, due=False)  # for `start`

    def stock(self, workflows: int) -> None:
        due = Run.objects.filter(stack=NOOP.key, state=RunState.QUEUED, next_attempt_at=None).count()
        for start in range(0, workflows - due, CHUNK):
            make_runs(min(CHUNK, workflows - due - start))

    def work(self, seconds: float, at_once: int) -> int:
        assert at_once == 1, "a worker process has one run in hand"
        ends, done = time.monotonic() + seconds, 0
        while time.monotonic() < ends:
            worked = doorbell.drain("runs")
            if not worked:
                raise BenchFailed("There were not enough runs in stock.")
            done += worked
        return done * STEPS

    def recorded(self) -> int:
        """Count the steps of the runs that are done. Raises BenchFailed when anything is missing that goes with them."""
        done = Run.objects.filter(stack=NOOP.key, state=RunState.DONE)
        steps = Step.objects.filter(run__in=done, state=StepState.COMPLETED, finished_at__isnull=False).count()
        found = {
            "events of steps": Event.objects.filter(run__in=done, kind="step", to_state=StepState.COMPLETED).count(),
            "events of runs": STEPS * Event.objects.filter(run__in=done, kind="run", to_state=RunState.DONE).count(),
            "active orders": STEPS * Provision.objects.filter(runs__in=done, state=ProvisionState.ACTIVE).count(),
            "mails": STEPS * Mail.objects.filter(kind="ready", provision__runs__in=done).count(),
            "runs": STEPS * done.count(),
        }
        if missing := {what: count for what, count in found.items() if count != steps}:
            raise BenchFailed(f"{steps} steps were completed, but they left {missing}.")
        return steps

    def clear(self) -> None:
        due = Run.objects.filter(stack=NOOP.key, state=RunState.QUEUED, next_attempt_at=None)
        due.update(next_attempt_at=clock.vendor_now() + NEVER)

    def start(self) -> None:
        """Make one run due and ring, in one transaction, as the payment of an order does."""
        with transaction.atomic():
            run = Run.objects.filter(stack=NOOP.key, state=RunState.QUEUED, next_attempt_at__isnull=False).first()
            if run is None:
                raise BenchFailed("There were not enough runs in stock.")
            Run.objects.filter(pk=run.pk).update(next_attempt_at=None)
            doorbell.ring("runs")


def make_runs(count: int, *, due: bool = True) -> None:
    """Write orders without any domain or mailbox, and their runs, as `actions.start_run` does."""
    now = timezone.now()
    students = [User(email=f"{uuid.uuid4().hex}@noop.example", is_enrolled=True) for _ in range(count)]
    orders = [
        Provision(
            student=student,
            reference=f"N-{uuid.uuid4().hex[:13]}",
            state=ProvisionState.PROVISIONING,
            order={"stack": NOOP.key},
            frozen_at=now,
            paid_at=now,
        )
        for student in students
    ]
    runs = [
        Run(
            provision=order,
            student_id=order.student_id,
            stack=NOOP.key,
            stack_version=NOOP.version,
            order=order.order,
            paid_at=now,
            next_attempt_at=None if due else clock.vendor_now() + NEVER,
        )
        for order in orders
    ]
    with transaction.atomic():
        User.objects.bulk_create(students)
        Provision.objects.bulk_create(orders)
        Run.objects.bulk_create(runs)
        Step.objects.bulk_create(
            Step(run=run, student_id=run.student_id, key=spec.key, position=position)
            for run in runs
            for position, spec in enumerate(NOOP.steps)
        )


def worker() -> Numbers:
    """Be one worker process of the contest until stdin ends."""
    begin()
    serve(Engine())
    return {}


def cluster() -> Numbers:
    """Be the queue's cluster, as `manage.py worker` starts it, with workers that know the stack."""
    begin()
    call_command("qcluster")
    return {}
