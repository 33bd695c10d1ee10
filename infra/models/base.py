"""What every row of ours has."""

from __future__ import annotations

import secrets
import threading
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


_LOW = (1 << 62) - 1  # what follows the variant
_last, _lock = 0, threading.Lock()


def ordered_id() -> uuid.UUID:
    """Return a key that grows with time: RFC 9562, version 7, which is milliseconds and then chance.

    Within a process each is larger than the one before, however little time has passed (method 2 of its section 6.2):
    rows that one commit writes keep their order.
    """
    global _last
    fresh = time.time_ns() // 1_000_000 << 74 | secrets.randbits(74)
    with _lock:
        _last = value = max(fresh, _last + 1 + secrets.randbits(32))
    return uuid.UUID(int=value >> 74 << 80 | 0b0111 << 76 | (value >> 62 & 0xFFF) << 64 | 0b10 << 62 | value & _LOW)


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
