from __future__ import annotations

from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from .base import Appended, Record, empty_facts
from .domain import Domain
from .provision import Provision
from .states import WatchState


def no_rows() -> list[Any]:
    """Default of a JSON list column."""
    return []


class DnsCheck(Record):
    """What a domain's records looked like when the name servers were asked last, and when they are asked again.

    due_at, looked_at, tried_at, failures, problem   as `Measurement`; vendor time
    asked_at    machine time at which somebody pressed "Check now" last
    checked_at  machine time of the last look that came to its end: earlier than `asked_at` while one is wanted
    records     a row for each record that should be there, and its state
    seen        the answers of the name servers, which pages judge
    """

    domain = models.OneToOneField(Domain, on_delete=models.CASCADE, related_name="dns_check")
    provision = models.ForeignKey(Provision, on_delete=models.CASCADE, related_name="dns_checks")
    student = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    due_at = models.DateTimeField(null=True, blank=True)
    looked_at = models.DateTimeField(null=True, blank=True)
    tried_at = models.DateTimeField(null=True, blank=True)
    failures = models.PositiveSmallIntegerField(default=0)
    problem = models.CharField(max_length=80, blank=True)
    asked_at = models.DateTimeField(null=True, blank=True)
    checked_at = models.DateTimeField(null=True, blank=True)
    records = models.JSONField(default=no_rows, blank=True)
    seen = models.JSONField(default=empty_facts, blank=True)

    class Meta:
        verbose_name = _("look at DNS")
        indexes = [models.Index(fields=["due_at"], name="infra_dnscheck_due", condition=Q(due_at__isnull=False))]

    def __str__(self) -> str:
        return self.domain.name

    @classmethod
    def want(cls, domain: Domain, *, now: datetime, asked: datetime | None = None) -> None:
        """Let a domain be looked at as soon as somebody can; `asked` is the machine time at which a person wanted it."""
        values: dict[str, Any] = {"due_at": now} | ({"asked_at": asked} if asked else {})
        owner = {"provision_id": domain.provision_id, "student_id": domain.student_id}
        cls.objects.update_or_create(domain=domain, defaults=values, create_defaults=values | owner)

    @property
    def is_wanted(self) -> bool:
        """Whether somebody waits for a look."""
        return self.asked_at is not None and (self.checked_at is None or self.checked_at < self.asked_at)


class PropagationWatch(Record):
    """Watching a domain's records until all name servers show them. Vendor time; no row of it waits anywhere.

    since     when it began, or was told to go on: from then on it looks ever more rarely, for two days
    coverage  percent of the resolvers, as seen last
    """

    domain = models.ForeignKey(Domain, on_delete=models.CASCADE, related_name="watches")
    student = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    state = models.CharField(max_length=12, choices=WatchState, default=WatchState.POLLING)
    since = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)
    looks = models.PositiveIntegerField(default=0)
    coverage = models.PositiveSmallIntegerField(default=0)

    def __str__(self) -> str:
        return f"{self.domain.name} {self.state}"

    @classmethod
    def begin(cls, domain: Domain, *, now: datetime) -> PropagationWatch:
        """Watch from now on; one that runs already begins anew. `now` is vendor time."""
        watch, _created = cls.objects.update_or_create(
            domain=domain, state=WatchState.POLLING, defaults={"since": now, "student_id": domain.student_id}
        )
        return watch

    class Meta:
        verbose_name = _("propagation watch")
        ordering = ["-created_at"]
        constraints = [
            models.UniqueConstraint(
                fields=["domain"], condition=Q(state=WatchState.POLLING), name="infra_propagationwatch_one_polling"
            ),
            models.UniqueConstraint(fields=["id", "student"], name="infra_propagationwatch_id_student"),
            models.CheckConstraint(
                condition=Q(state=WatchState.POLLING, ended_at__isnull=True)
                | (~Q(state=WatchState.POLLING) & Q(ended_at__isnull=False)),
                name="infra_propagationwatch_ended_paired",
            ),
        ]


class PropagationObservation(Appended):
    """What one look of a watch saw. Kept for seven days; of older ones the first and the last of each state."""

    # Its index is the one below.
    watch = models.ForeignKey(PropagationWatch, on_delete=models.CASCADE, related_name="observations", db_index=False)
    student = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    at = models.DateTimeField()
    state = models.CharField(max_length=20)
    cause = models.CharField(max_length=20, blank=True)
    coverage = models.PositiveSmallIntegerField(default=0)

    class Meta:
        verbose_name = _("observation")
        ordering = ["-at", "-id"]
        indexes = [models.Index(fields=["watch", "state", "at"], name="infra_observation_by_state")]


class SpfFlattening(Record):
    """An SPF record whose names were replaced by addresses on a student's word, and what stood there before.

    flattened  name to text of each record that was written
    drift      what the last look found of its sources: empty while they say the same; see `infra.dns.spf.flatten`
    ended_at   when the original was written back
    """

    domain = models.ForeignKey(Domain, on_delete=models.CASCADE, related_name="flattenings")
    student = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    original = models.TextField()
    flattened = models.JSONField(default=empty_facts)
    sources = models.JSONField(default=no_rows)
    networks = models.JSONField(default=no_rows)
    lookups_before = models.PositiveSmallIntegerField()
    lookups_after = models.PositiveSmallIntegerField()
    characters = models.PositiveIntegerField()
    refresh = models.PositiveIntegerField(help_text=_("Seconds for which its sources say that their answer holds."))
    written_at = models.DateTimeField()
    looked_at = models.DateTimeField(null=True, blank=True)
    drift = models.JSONField(default=empty_facts, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = _("SPF flattening")
        ordering = ["-written_at"]
        constraints = [
            models.UniqueConstraint(
                fields=["domain"], condition=Q(ended_at__isnull=True), name="infra_spfflattening_one_in_use"
            )
        ]

    def __str__(self) -> str:
        return self.domain.name
