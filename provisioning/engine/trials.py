"""Asking for a test of a mailbox: a row, and a ring. Pages and steps ask; `provisioning/mail_tests.py` does the work."""

from __future__ import annotations

import secrets
import uuid

from django.db import transaction

from infra import clock
from infra.models import AuthenticationTest
from infra.models.authentication_test import OPEN

from . import doorbell

BELL = "mail_tests"
KEPT = 20  # tests of a mailbox; older ones are forgotten
TOKEN_OCTETS = 24


def begin(*, mailbox: uuid.UUID, student: uuid.UUID, actor: str) -> AuthenticationTest:
    """Return the open test of a mailbox, made now unless there is one: there is never a second. Needs the worker's role."""
    with transaction.atomic():
        now = clock.vendor_now()
        made = AuthenticationTest(
            mailbox_id=mailbox,
            student_id=student,
            actor=actor[:320],
            token=secrets.token_hex(TOKEN_OCTETS),
            asked_at=now,
            due_at=now,
        )
        mine = AuthenticationTest.objects.filter(mailbox=mailbox)
        while True:  # the open one that is in the way may have ended when it is looked for
            AuthenticationTest.objects.bulk_create([made], ignore_conflicts=True)
            if found := mine.filter(state__in=OPEN).first():
                break
        if found.pk == made.pk:
            doorbell.ring(BELL)
            mine.exclude(pk__in=list(mine.values_list("pk", flat=True)[:KEPT])).delete()
    return found
