from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from .base import Appended, empty_facts
from .mailbox import Mailbox


class TrialState(models.TextChoices):
    """How far a test message has come."""

    ASKED = "asked", _("Asked for")
    SENDING = "sending", _("Being sent")  # or it was, and nobody knows: it is looked for, and never sent again
    SENT = "sent", _("Sent")
    RECEIVED = "received", _("Received")
    JUDGED = "judged", _("Judged")
    FAILED = "failed", _("Failed")
    TIMED_OUT = "timed_out", _("Timed out")


OPEN = (TrialState.ASKED, TrialState.SENDING, TrialState.SENT, TrialState.RECEIVED)


class AuthenticationTest(Appended):
    """One message from a mailbox to the operator's probe, and what it proves: see `provisioning/mail_tests.py`.

    token        what finds this message and no other
    due_at       when it is worked on next; empty once it has ended. Like all its times but `claimed_until` vendor time
    claims       counts who took it: whoever was overtaken writes nothing any more
    code, words  why it ended without a verdict, and the server's own words
    verdicts     what `infra.dns.message.Judged.as_json` says
    raw_headers  as they were received, in bounds
    """

    mailbox = models.ForeignKey(Mailbox, on_delete=models.CASCADE, related_name="tests")
    student = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    actor = models.CharField(max_length=320)
    token = models.CharField(max_length=64)
    state = models.CharField(max_length=12, choices=TrialState, default=TrialState.ASKED)
    asked_at = models.DateTimeField()
    sending_at = models.DateTimeField(null=True, blank=True)
    sent_at = models.DateTimeField(null=True, blank=True)
    received_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    due_at = models.DateTimeField(null=True, blank=True)
    claims = models.PositiveIntegerField(default=0)
    claimed_until = models.DateTimeField(null=True, blank=True, help_text=_("Machine time."))
    looks = models.PositiveSmallIntegerField(default=0)
    code = models.CharField(max_length=40, blank=True)
    words = models.CharField(max_length=300, blank=True)
    verdicts = models.JSONField(default=empty_facts, blank=True)
    raw_headers = models.TextField(blank=True)

    class Meta:
        verbose_name = _("authentication test")
        ordering = ["-created_at", "-id"]
        constraints = [
            models.UniqueConstraint(fields=["token"], name="infra_authenticationtest_token"),
            models.UniqueConstraint(
                fields=["mailbox"], condition=Q(state__in=OPEN), name="infra_authenticationtest_one_open"
            ),
            models.CheckConstraint(
                condition=Q(state__in=OPEN, due_at__isnull=False, ended_at__isnull=True)
                | Q(~Q(state__in=OPEN), due_at__isnull=True, ended_at__isnull=False),
                name="infra_authenticationtest_ends",
            ),
            models.CheckConstraint(
                condition=Q(sending_at__isnull=False)
                | Q(state__in=[TrialState.ASKED, TrialState.FAILED], sent_at__isnull=True, received_at__isnull=True),
                name="infra_authenticationtest_intent_first",
            ),
        ]
        indexes = [
            models.Index(fields=["due_at"], name="infra_authenticationtest_due", condition=Q(due_at__isnull=False)),
        ]

    def __str__(self) -> str:
        return f"{self.mailbox_id} {self.state}"

    @property
    def is_open(self) -> bool:
        return self.state in OPEN
