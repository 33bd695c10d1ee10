from __future__ import annotations

from django.db import models


class Counter(models.Model):
    """Throttles and login limits, shared by all processes: one row per key and window, raised by an upsert."""

    id = models.BigAutoField(primary_key=True)
    key = models.CharField(max_length=160)
    window_start = models.DateTimeField()
    count = models.PositiveIntegerField(default=0)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["key", "window_start"], name="infra_counter_once")]


class KeyCanary(models.Model):
    """A token that every configured installation must be able to open: read at start-up."""

    id = models.SmallIntegerField(primary_key=True, default=1)
    token = models.TextField()

    class Meta:
        constraints = [models.CheckConstraint(condition=models.Q(id=1), name="infra_keycanary_single")]
