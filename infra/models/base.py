"""What every row of ours has."""

from __future__ import annotations

import secrets
import time
import uuid
from typing import Any

from django.db import models


class Record(models.Model):
    """A uuid key and two timestamps."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        abstract = True


def ordered_id() -> uuid.UUID:
    """Return a key that grows with time: RFC 9562, version 7, which is milliseconds and then chance."""
    milliseconds, chance = time.time_ns() // 1_000_000, secrets.randbits(74)
    high, low = chance >> 62, chance & (1 << 62) - 1
    return uuid.UUID(int=milliseconds << 80 | 0b0111 << 76 | high << 64 | 0b10 << 62 | low)


class Appended(Record):
    """A row of a table that grows with every step.

    Its neighbours in time are its neighbours in the index of keys. With keys by chance, each commit would change another page
    of that index, and write it to the log as a whole when it is the first since a checkpoint.
    """

    id = models.UUIDField(primary_key=True, default=ordered_id, editable=False)

    class Meta:
        abstract = True


def empty_facts() -> dict[str, Any]:
    """Default of a JSON object column."""
    return {}
