"""What every row of ours has."""

from __future__ import annotations

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


def empty_facts() -> dict[str, Any]:
    """Default of a JSON object column."""
    return {}
