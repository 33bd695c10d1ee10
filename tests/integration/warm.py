"""Orders that warm up, with a history of figures as the collector keeps it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from infra import clock
from infra.models import Mailbox, Measurement, Provision, WarmupDay


def remember(box: Mailbox, figures: Sequence[float | None], **fields: Any) -> None:
    """Let the platform have said so of a mailbox on each of the last days, the last figure today."""
    now = clock.vendor_now()
    for age, figure in enumerate(reversed(figures)):
        at = now - timedelta(days=age)
        values: dict[str, Any] = {
            "connection": "connected",
            "is_warming": True,
            "health": figure,
            "health_google": figure and figure - 1,
            "health_microsoft": figure,
            "health_other": figure and figure + 1,
            "reply_rate": 2.0 if figure is not None else None,
            "warmup_sent": 4 if figure is not None else None,
            "campaign_sent": 0 if figure is not None else None,
            "measured_at": at,
            **fields,
        }
        day = at.astimezone(UTC).date()
        WarmupDay.objects.update_or_create(mailbox=box, day=day, defaults={"student_id": box.student_id, **values})


def looked(order: Provision, at: datetime | None = None, **fields: Any) -> Measurement:
    """Let the last look have been at that time: a few minutes ago."""
    at = at or clock.vendor_now() - timedelta(minutes=12, seconds=-30)
    values = {"student_id": order.student_id, "looked_at": at, "tried_at": at, **fields}
    return Measurement.objects.update_or_create(provision=order, defaults=values)[0]


def measured(order: Provision, *, leads: int = 412) -> Provision:
    """Give each mailbox of an order a week of figures: 90 %, 91 %, and so on."""
    for number, box in enumerate(order.mailboxes.order_by("address")):
        remember(box, [90.0 + number] * 7)
    looked(order, leads=leads, leads_at=clock.vendor_now() - timedelta(hours=3))
    return order
