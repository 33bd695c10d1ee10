from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from infra.models.base import Appended, Record, empty_facts
from infra.models.domain import Domain
from infra.models.mailbox import Mailbox
from infra.models.provision import Provision
from infra.models.states import RunKind, RunState, StepState

ACTIVE_RUN = (RunState.QUEUED, RunState.RUNNING, RunState.WAITING, RunState.PARKED)
BUILDS = (RunKind.SETUP, RunKind.UPGRADE)  # what spends money, and what the progress page shows
OPEN_STEP = (StepState.PENDING, StepState.IN_PROGRESS, StepState.WAITING)
NOT_BUILT = ("name_lost", "skipped")  # why a row failed that nobody tries again: the item was given up


class Run(Record):
    """One piece of work that changes the outside world for a provision.

    `token` is the fence: each claim raises it, and every write of a claim names it. `lease_until` and `rung_at` are
    machine time; `next_attempt_at` is vendor time, and a wait is nothing but that row.
    """

    provision = models.ForeignKey(Provision, on_delete=models.CASCADE, related_name="runs")
    student = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    kind = models.CharField(max_length=12, choices=RunKind, default=RunKind.SETUP)
    pipeline = models.CharField(
        max_length=20, default="setup", db_default="setup", help_text=_("Which of the stack's tuples of steps.")
    )
    stack = models.CharField(max_length=20)
    stack_version = models.PositiveSmallIntegerField()
    state = models.CharField(max_length=12, choices=RunState, default=RunState.QUEUED)
    order = models.JSONField(default=empty_facts)
    paid_at = models.DateTimeField(help_text=_("Oldest paid first."))
    token = models.PositiveBigIntegerField(default=0)
    held_since = models.DateTimeField(
        null=True, blank=True, help_text=_("Nobody works on it until it is let go: the order may spend nothing.")
    )
    lease_until = models.DateTimeField(null=True, blank=True)
    holder = models.CharField(max_length=80, blank=True, help_text=_("The group of workers that holds the lease."))
    rung_at = models.DateTimeField(null=True, blank=True)
    next_attempt_at = models.DateTimeField(null=True, blank=True)
    waits_on = models.CharField(max_length=20, blank=True)
    why = models.CharField(max_length=300, blank=True)
    version = models.PositiveIntegerField(default=0, help_text=_("Raised with every change that a page shows."))
    wakeups = models.PositiveIntegerField(default=0)
    crashes = models.PositiveSmallIntegerField(default=0)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    failure_code = models.CharField(max_length=40, blank=True)
    failure_sentence = models.CharField(max_length=300, blank=True)

    class Meta:
        verbose_name = _("run")
        ordering = ["-created_at"]
        constraints = [
            models.UniqueConstraint(
                fields=["provision"],
                condition=Q(state__in=ACTIVE_RUN, held_since__isnull=True),
                name="provisioning_run_one_active",
            ),
            models.UniqueConstraint(fields=["id", "student"], name="provisioning_run_id_student"),
            models.CheckConstraint(
                condition=Q(state__in=[RunState.DONE, RunState.CANCELLED], finished_at__isnull=False)
                | (~Q(state__in=[RunState.DONE, RunState.CANCELLED])),
                name="provisioning_run_finished_paired",
            ),
        ]
        indexes = [
            models.Index(fields=["paid_at", "id"], name="provisioning_run_due", condition=Q(state__in=ACTIVE_RUN)),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.provision_id}"


class Step(Appended):
    """The state of one step for one item. Made up front, one row per (run, key, item). Times of waits are vendor time."""

    # Its index is that of the unique constraint.
    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="steps", db_index=False)
    student = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    key = models.CharField(max_length=40)
    position = models.PositiveSmallIntegerField()
    domain = models.ForeignKey(Domain, on_delete=models.CASCADE, null=True, blank=True, related_name="steps")
    mailbox = models.ForeignKey(Mailbox, on_delete=models.CASCADE, null=True, blank=True, related_name="steps")
    item_key = models.CharField(max_length=36, blank=True, help_text=_("The item's id; empty for the run itself."))
    state = models.CharField(max_length=12, choices=StepState, default=StepState.PENDING)
    waits_on = models.CharField(max_length=20, blank=True)
    why = models.CharField(max_length=300, blank=True)
    next_attempt_at = models.DateTimeField(null=True, blank=True)
    opened_at = models.DateTimeField(null=True, blank=True, help_text=_("Vendor time of the first attempt."))
    attempts = models.PositiveIntegerField(default=0)
    errors = models.PositiveSmallIntegerField(default=0)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    facts = models.JSONField(default=empty_facts)
    failure_code = models.CharField(max_length=40, blank=True)
    failure_sentence = models.CharField(max_length=300, blank=True)

    class Meta:
        verbose_name = _("step")
        ordering = ["position", "created_at"]
        constraints = [
            models.UniqueConstraint(fields=["run", "key", "item_key"], name="provisioning_step_one_per_item"),
            models.CheckConstraint(
                condition=Q(domain__isnull=True) | Q(mailbox__isnull=True), name="provisioning_step_one_item"
            ),
        ]

    def __str__(self) -> str:
        return self.key


class Event(Appended):
    """Append-only: every transition of a step or run, and everything a person did, with actor and reason."""

    provision = models.ForeignKey(Provision, on_delete=models.CASCADE, related_name="events")
    run = models.ForeignKey(Run, on_delete=models.CASCADE, null=True, blank=True, related_name="events", db_index=False)
    student = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    kind = models.CharField(max_length=40)
    step_key = models.CharField(max_length=40, blank=True)
    item = models.CharField(max_length=320, blank=True)
    from_state = models.CharField(max_length=24, blank=True)
    to_state = models.CharField(max_length=24, blank=True)
    sentence = models.CharField(max_length=500, blank=True)
    actor = models.CharField(max_length=320, blank=True)
    reason = models.CharField(max_length=500, blank=True)

    class Meta:
        verbose_name = _("event")
        ordering = ["-created_at"]
        indexes = [models.Index(fields=["run", "created_at"], name="provisioning_event_by_run")]

    def __str__(self) -> str:
        return f"{self.kind} {self.step_key}"
