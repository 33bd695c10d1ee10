"""The webhooks' door: a delivery is verified on its raw body, stored before it is judged, and acknowledged.

Stripe waits for the answer, so the door does nothing else, and storing and ringing are one statement.
"""

from __future__ import annotations

import uuid

from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from infra.models import OperatorItem
from infra.rls import acting_as, execute_as
from provisioning.engine import doorbell

from . import gateway
from .gateway import BadSignature, Notice

MAX_BODY = 500_000  # events have a few kilobytes

# One row per event, however often it is delivered and by how many at once. Only a new one rings.
_KEEP = """
WITH kept AS (
    INSERT INTO billing_webhookevent (
        id, created_at, updated_at, event_id, type, api_version, livemode, payload, state, deliveries, attempts, error
    ) VALUES (%s, clock_timestamp(), clock_timestamp(), %s, %s, %s, %s, %s, 'received', 1, 0, '')
    ON CONFLICT (event_id) DO UPDATE
        SET deliveries = billing_webhookevent.deliveries + 1, updated_at = excluded.updated_at
    RETURNING deliveries
)
"""
_NEW = "kept WHERE deliveries = 1"


@csrf_exempt
@require_POST
def receive(request: HttpRequest) -> HttpResponse:
    """Take a delivery: 413 too large, 400 not from our Stripe account, 200 as soon as it is stored."""
    body = _body(request)
    if body is None:
        return HttpResponse("too large\n", status=413, content_type="text/plain")
    try:
        notice = gateway.current().verify(body, request.headers.get("Stripe-Signature", ""))
    except BadSignature as error:
        return HttpResponse(f"{error}\n", status=400, content_type="text/plain")
    if notice.livemode is not gateway.current().livemode:
        _report_other_mode(notice)
        return HttpResponse("an event of the other mode\n", status=400, content_type="text/plain")
    keep(notice)
    return HttpResponse("stored\n", content_type="text/plain")


def _body(request: HttpRequest) -> bytes | None:
    """Return the raw body, or None when it is too large. The announced length is enough to refuse it unread."""
    announced = request.META.get("CONTENT_LENGTH") or "0"
    if not announced.isdecimal() or int(announced) > MAX_BODY:
        return None
    try:
        return request.body
    except RequestDataTooBig:
        return None


def keep(notice: Notice) -> None:
    """Keep an event, once per id, and ring for it, in a transaction of its own."""
    ringing, parameters = doorbell.ring_for_each("webhooks", _NEW)
    values = [
        uuid.uuid4(), notice.id[:120], notice.type[:80], notice.api_version[:40], notice.livemode, notice.payload
    ]  # fmt: skip
    execute_as("worker", _KEEP + ringing, [*values, *parameters])


def _report_other_mode(notice: Notice) -> None:
    with acting_as("worker"):
        OperatorItem.open(
            "webhook_mode",
            key="live" if notice.livemode else "test",
            sentence="Stripe sends us events of the other mode (test or live): check which endpoint has our address. "
            "They are refused.",
            event=notice.id,
        )
