from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from infra.secret import SecretField

from .base import Record
from .provision import Provision

MAILBOX = "mailbox:"  # begins the kind of a password that we chose for a mailbox; its key follows
ACCOUNT = "account:"  # the same for the account behind a mailbox, where another password opens the mailbox


class Credential(Record):
    """A login that a platform gave us for a student. The password is shown once, after re-entering the student's own."""

    provision = models.ForeignKey(Provision, on_delete=models.CASCADE, related_name="credentials")
    student = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    kind = models.CharField(max_length=40)
    login = models.CharField(max_length=320)
    password = SecretField()
    is_students_own = models.BooleanField(default=False)

    class Meta:
        verbose_name = _("credential")
        constraints = [
            models.UniqueConstraint(fields=["provision", "kind"], name="infra_credential_one_per_kind"),
            models.UniqueConstraint(fields=["id", "student"], name="infra_credential_id_student"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.login}"

    @classmethod
    def logins(cls, provision: Provision) -> models.QuerySet[Credential]:
        """Return the logins that a student is shown. Passwords of mailboxes are in the exports."""
        of_mailboxes = Q(kind__startswith=MAILBOX) | Q(kind__startswith=ACCOUNT)
        return cls.objects.filter(provision=provision).exclude(of_mailboxes)


class CredentialReveal(Record):
    """That a student looked at a password: once, whatever is clicked at the same moment. Append-only."""

    credential = models.ForeignKey(Credential, on_delete=models.CASCADE, related_name="reveals")
    student = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    address = models.GenericIPAddressField(null=True, blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["credential"], name="infra_credentialreveal_once")]
