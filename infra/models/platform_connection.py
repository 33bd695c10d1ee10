from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from infra.secret import SecretField

from .base import Appended, empty_facts

LIVE = Q(ended_at__isnull=True)


class PlatformConnection(Appended):
    """Whose account at a platform a student's orders work on: the operator's, or one of the student's own.

    A key that is typed in makes a row that is tried beside the one in use, and takes its place once the platform has taken
    it. Rows are never changed into others: one that has had its time is ended, keeps who ended it and when, and loses its
    key for good. The operator's own keys are settings and stand in no row. Times are vendor time.
    """

    class Platform(models.TextChoices):
        GOOGLE_WORKSPACE = "google_workspace", "Google Workspace"
        SMARTLEAD = "smartlead", "Smartlead"
        GODADDY = "godaddy", "GoDaddy"

    class Owner(models.TextChoices):
        OPERATOR = "operator", _("The operator")
        STUDENT = "student", _("The student")

    class State(models.TextChoices):
        PROVING = "proving", _("Waiting for the code that its administrator was sent")
        CHECKING = "checking", _("Saved, not checked yet")
        GOOD = "good", _("Works")
        REFUSED = "refused", _("Refused by the platform")

    student = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="connections")
    platform = models.CharField(max_length=20, choices=Platform)
    owner = models.CharField(max_length=8, choices=Owner)
    credential = SecretField(null=True)
    label = models.CharField(max_length=320, blank=True, help_text=_("What may be shown: never a key."))
    account = models.CharField(max_length=120, blank=True, help_text=_("The platform's own name of the account."))
    state = models.CharField(max_length=8, choices=State, default=State.CHECKING)
    is_used = models.BooleanField(default=False, help_text=_("Orders work with it. Else it is still being tried."))
    problem = models.CharField(max_length=40, blank=True, help_text=_("Code of why it is refused, or not checked."))
    scopes = models.JSONField(default=empty_facts, help_text=_("Each right that was checked, and whether it is there."))
    checked_at = models.DateTimeField(null=True, blank=True)
    due_at = models.DateTimeField(null=True, blank=True, help_text=_("When it is checked next."))
    failures = models.PositiveSmallIntegerField(default=0)
    wrong_codes = models.PositiveSmallIntegerField(default=0)
    actor = models.CharField(max_length=320)
    ended_at = models.DateTimeField(null=True, blank=True)
    ended_by = models.CharField(max_length=320, blank=True)

    class Meta:
        verbose_name = _("connection")
        ordering = ["-created_at", "-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["student", "platform"],
                condition=LIVE & Q(is_used=True),
                name="infra_platformconnection_one_used",
            ),
            models.UniqueConstraint(
                fields=["student", "platform"],
                condition=LIVE & Q(is_used=False),
                name="infra_platformconnection_one_tried",
            ),
            # Two students in one account would change each other's things.
            models.UniqueConstraint(
                fields=["platform", "account"],
                condition=LIVE & Q(is_used=True) & ~Q(account=""),
                name="infra_platformconnection_one_student",
            ),
            models.CheckConstraint(
                condition=Q(ended_at__isnull=True, owner="student", credential__isnull=False)
                | Q(ended_at__isnull=True, owner="operator", credential__isnull=True)
                | Q(ended_at__isnull=False, credential__isnull=True),
                name="infra_platformconnection_key_while_live",
            ),
        ]
        indexes = [
            models.Index(fields=["due_at"], name="infra_platformconnection_due", condition=Q(due_at__isnull=False))
        ]

    def __str__(self) -> str:
        return f"{self.get_platform_display()} {self.label}".strip()
